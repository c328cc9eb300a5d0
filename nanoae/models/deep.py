"""What the deep models share: training by the loop's optimizers, or by L-BFGS, and networks."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from nanoae.arrays import Array
from nanoae.losses import LOSSES, skipping_gaps
from nanoae.models.base import BaseAutoencoder, WeightDecay
from nanoae.models.denoising import Denoising
from nanoae.models.hyperparameters import (
    choice,
    flag,
    integer,
    layer_sizes,
    networks,
    probability,
    real,
    seed,
)
from nanoae.network import ACTIVATIONS, Architecture, FullyConnected, Layer, Parameters
from nanoae.optimizers import SGD, Adam, Optimizer
from nanoae.training import Monitor, train, train_full_batch, with_mean_one


@dataclass(eq=False, repr=False, kw_only=True)
class DeepAutoencoder(BaseAutoencoder):
    """A model with any number of layers, trained by the loop's optimizers or by L-BFGS.

    Examples
    --------
    All that they share, a deep autoencoder and a VAE among them:

    >>> from nanoae import VAE, Autoencoder
    >>> for model in (Autoencoder(solver="sgd"), VAE(batch_size=32)):
    ...     print(model)
    Autoencoder(solver='sgd')
    VAE(batch_size=32)
    """

    solver: str = choice("adam", '"lbfgs" takes all data at every step.', ("adam", "sgd", "lbfgs"))
    learning_rate: float = real(1e-3, 'Of "adam" and "sgd".', 0, open_ends=True)
    momentum: float = real(0.9, 'Of "sgd", from 0 to 1.', 0, 1)
    batch_size: int = integer(128, 'Samples a step of "adam" and "sgd".', 1)
    max_iter: int | None = integer(
        None, 'Largest number of epochs (None: 200), or of iterations of "lbfgs" (None: 5000).', 1
    )
    tol: float | None = real(
        None,
        '"adam" and "sgd" stop after ``n_iter_no_change`` epochs in a row in none of which the '
        "loss (with early stopping: that of the rows held out) has fallen by more than ``tol`` "
        'times itself (None: 1e-5); "lbfgs" when the gradient is down to ``tol`` times that at '
        "the start (None: 1e-6).",
        0,
    )
    n_iter_no_change: int | None = integer(
        10,
        "Epochs without such a fall, after which to stop; but 200 steps at least, for an epoch of "
        "a few steps is no evidence. None: never.",
        1,
    )
    early_stopping: bool = flag(
        False, "Hold rows out and keep the parameters that are best on them."
    )
    validation_fraction: float = real(0.1, "Part of the rows to hold out.", 0, 1, open_ends=True)
    random_state: Any = seed(
        "the initial weights, the batches, the rows to hold out, and all noise"
    )
    verbose: bool = flag(False, "Show progress.")

    def _check_hyperparameters(self, n_features: int) -> None:
        super()._check_hyperparameters(n_features)
        if self.early_stopping and self.solver == "lbfgs":
            raise ValueError(
                "early_stopping must be False with solver='lbfgs', which trains on all rows; "
                "got True. Use solver='adam'."
            )
        if self.dropout and self.solver == "lbfgs":
            raise ValueError(
                "dropout must be 0 with solver='lbfgs', which needs the same loss at every step; "
                f"got {self.dropout!r}. Use solver='adam'."
            )

    loss = "squared_error"
    dropout = 0.0
    _bound = ("_loss",)
    _outputs_per_component = 1  # of the encoder: a VAE has two

    def _build(self, n_features: int, dtype: DTypeLike, **more: Layer | tuple[int, ...]) -> None:
        self.encoder_, self.decoder_ = self._make_networks(n_features)
        self._parameters = Parameters(
            {"encoder_": self.encoder_, "decoder_": self.decoder_, **more}, dtype
        )
        self._loss = LOSSES[self.loss]
        if self._architecture.sequences is not None:
            self._loss = skipping_gaps(self._loss)

    def _make_networks(self, n_features: int) -> tuple[Layer, Layer]:
        """Encoder and decoder, if the architecture has them of these widths."""
        networks = self._architecture
        sequences = networks.sequences
        outputs = (n_features,) if sequences is None else sequences.outputs(n_features)
        n_outputs = self._outputs_per_component * self.n_components
        encoder = networks.encoder(n_features, n_outputs)
        decoder = networks.decoder(self.n_components, n_features)
        for name, network, shapes in (
            ("encoder", encoder, ((n_features,), (n_outputs,))),
            ("decoder", decoder, ((self.n_components,), outputs)),
        ):
            if (network.shape_in, network.shape_out) != shapes:
                raise ValueError(
                    f"the {name} of {networks!r} must lead from {shapes[0]} to {shapes[1]}; "
                    f"it leads from {network.shape_in} to {network.shape_out}."
                )
        return encoder, decoder

    @property
    def _architecture(self) -> Architecture:
        raise NotImplementedError

    def _train(  # type: ignore[override]
        self, X: Array, rng: np.random.Generator, monitor: Monitor,
        *, is_part: bool = False, begin_epoch: Callable[[int], bool] | None = None,
        weights: Array | None = None, X_validation: Array | None = None,
        optimizer: Optimizer | None = None,
    ) -> None:  # fmt: skip
        if self.solver == "lbfgs":
            max_iter = 5000 if self.max_iter is None else self.max_iter
            monitor.max_iter = len(monitor) + max_iter
            monitor.tol = 1e-6 if self.tol is None else self.tol
            X = np.asarray(X, self._dtype)
            X = X if self._offset is None else X - self._offset
            more: dict[str, Any] = {}  # as in `train`, for models that know of no weights
            if weights is not None:
                more["weights"] = with_mean_one(weights, slice(None), self._dtype)
            train_full_batch(lambda: self.loss_and_gradient(X, **more), monitor)
            return
        held_out = 0.0
        if is_part:
            monitor.max_iter = len(monitor) + 1
        else:
            monitor.max_iter = 200 if self.max_iter is None else self.max_iter
            monitor.tol = 1e-5 if self.tol is None else self.tol
            if self.n_iter_no_change is not None:
                steps = math.ceil(len(X) / self.batch_size)  # an epoch
                monitor.n_iter_no_change = max(self.n_iter_no_change, math.ceil(200 / steps))
            held_out = self.validation_fraction if self.early_stopping else 0.0
        if optimizer is None:
            rate, is_sgd = self.learning_rate, self.solver == "sgd"
            optimizer = SGD(rate, self.momentum) if is_sgd else Adam(rate)
        if "optimizer" in self._training_state:
            optimizer.restore(self._training_state["optimizer"])
        try:
            train(
                self, X, rng, monitor, optimizer, batch_size=self.batch_size, unit=self._unit,
                validation_fraction=held_out, X_validation=X_validation, weights=weights,
                mean=self._offset, begin_epoch=begin_epoch,
            )  # fmt: skip
        finally:
            self._training_state = {"optimizer": optimizer.state(), "rng": rng.bit_generator.state}

    def _partial_fit(
        self, X: Array, rng: np.random.Generator, monitor: Monitor, **options: Any
    ) -> None:
        self._train(X, rng, monitor, is_part=True, **options)

    # what the loss is measured in, for the optimizer
    _unit = 1.0

    def _null_loss(self) -> float:
        """The loss of the best model that tells one sample from another in nothing."""
        mean = self._moments.mean.reshape(self.decoder_.shape_out)  # of tokens (d, V)
        return self._loss.of_mean(mean, self._moments.variance)

    def _verdict(self, monitor: Monitor) -> str:
        null = self._null_loss()
        if not self._may_be_null and self.loss_ > null - 1e-4 * abs(null):
            return (
                "is no better than to answer every sample with the mean: its loss is "
                f"{self.loss_:.6g}, that one's {null:.6g}. {self._remedy}, try another "
                "learning_rate, or raise max_iter."
            )
        return monitor.unfinished(null)

    # what to try first
    _remedy = "Scale the data"

    @property
    def _may_be_null(self) -> bool:
        """Whether that may be what was asked for."""
        return False

    def _check_partial_fit(self) -> None:
        if self.solver == "lbfgs":
            raise ValueError(
                "solver must be 'adam' or 'sgd' for partial_fit, since 'lbfgs' needs all samples "
                "at every step; got 'lbfgs'."
            )

    @property
    def _can_checkpoint(self) -> bool:
        return self.solver != "lbfgs"

    @property
    def _can_validate(self) -> bool:
        return self.solver != "lbfgs"


@dataclass(eq=False, repr=False, kw_only=True)
class NetworkAutoencoder(Denoising, WeightDecay, DeepAutoencoder):
    """A deep model whose encoder and decoder may be any networks: by default two MLPs.

    Examples
    --------
    >>> from nanoae import VAE, datasets
    >>> from nanoae.network import FullyConnected
    >>> X = datasets.make_gaussian(20, [2.0, 1.0, 1.0], random_state=0)
    >>> one = VAE(1, hidden_layer_sizes=(5,), max_iter=2, random_state=0).fit(X)
    >>> same = VAE(1, architecture=FullyConnected((5,)), max_iter=2, random_state=0).fit(X)
    >>> bool((one.parameters_ == same.parameters_).all())
    True
    """

    hidden_layer_sizes: Sequence[int] = layer_sizes(
        (64,),
        "Widths of the encoder's hidden layers; the decoder has them in reverse. Code and output "
        "layer are linear.",
    )
    activation: str = choice("relu", "Of the hidden layers.", tuple(ACTIVATIONS))
    dropout: float = probability(
        0.0,
        "Probability p with which training drops a hidden unit, or an entry of the code on its "
        "way into the decoder, for each sample anew; the others are divided by 1 − p (8.1). What "
        "is trained drops nothing. It belongs to the networks: another p waits for the next fit.",
    )
    architecture: Architecture | None = networks(
        "Networks other than these two MLPs, in place of ``hidden_layer_sizes``, ``activation`` "
        "and ``dropout``."
    )

    _drops_code = True

    _loss_field = "loss"  # which of the fields names it

    @property
    def _architecture(self) -> Architecture:
        return self.architecture or FullyConnected(
            self.hidden_layer_sizes,
            self.activation,
            dropout=self.dropout,
            code_dropout=self.dropout if self._drops_code else 0.0,
        )

    def _verdict(self, monitor: Monitor) -> str:
        verdict = super()._verdict(monitor)
        distance = np.linalg.norm(self._moments.mean) / np.sqrt(self._moments.variance or np.inf)
        if (
            verdict or distance <= 10
            or self._loss.needs_unit_interval or getattr(self, self._loss_field) == "categorical"
        ):  # fmt: skip
            return verdict
        return (
            f"was trained on samples whose mean lies {distance:.3g} times as far from 0 as they "
            "lie from it, and networks learn badly from such; take it off first, and scale them."
        )

    def _update_statistics(self, X: Array, weights: Array | None) -> None:
        self._moments.n += len(X)  # mean and variance serve to begin with

    def _check_hyperparameters(self, n_features: int) -> None:
        super()._check_hyperparameters(n_features)
        fields = type(self).__dataclass_fields__
        for name in ("hidden_layer_sizes", "activation", "dropout"):
            value, default = getattr(self, name), fields[name].default
            is_default = value == default or (isinstance(value, list) and tuple(value) == default)
            if self.architecture is not None and not is_default:
                raise ValueError(
                    f"{name} must be left at {default!r} beside an architecture, which has layers "
                    f"of its own; got {value!r}."
                )
        if self.architecture is not None:
            self._make_networks(n_features)  # it may refuse, and the model is still as it was
        sequences, loss = None, getattr(self, self._loss_field)
        if self.architecture is not None:
            sequences = self.architecture.sequences
        has_tokens = sequences is not None and sequences.n_tokens is not None
        if has_tokens != (loss == "categorical"):
            raise ValueError(
                "an architecture with a vocabulary_size and the loss 'categorical' need each "
                f"other; got architecture={self.architecture!r} and {loss!r}."
            )
        if has_tokens and self.corruption is not None:
            raise ValueError(
                "corruption must be None with an architecture of tokens, which noise would make "
                f"no tokens; got {self.corruption!r}."
            )
