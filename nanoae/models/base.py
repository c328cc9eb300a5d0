"""What all models share: the estimator's manners. What a model *is* stands in its own file."""

from __future__ import annotations

import inspect
import os
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from nanoae.arrays import Array, Moments, map_rows
from nanoae.exceptions import ConvergenceWarning, NotFittedError
from nanoae.losses import LOSSES, Loss
from nanoae.models.hyperparameters import check_fields, real
from nanoae.network import Architecture, Layer, Parameters
from nanoae.network.jacobian import jacobian
from nanoae.persistence import Checkpoint, generator, write
from nanoae.sequences import Sequences
from nanoae.training import Monitor
from nanoae.upgrade import with_added
from nanoae.validation import (
    check_bool,
    check_choice,
    check_column_names,
    check_integer,
    check_random_state,
    check_samples,
    check_weights,
    column_names,
)

Self = TypeVar("Self", bound="BaseAutoencoder")
Objective = Callable[[Array, np.random.Generator | None], tuple[float, Array]]


class BaseAutoencoder:
    """An encoder, a decoder, and one flat vector of parameters under both.

    A model adds its hyper-parameters, as fields of a dataclass, `_build` (which networks) and
    `loss_and_gradient` (what it is), and overrides what differs.

    Examples
    --------
    The least that a model of one's own has to say, here a linear autoencoder whose code is shrunk
    by a penalty:

    >>> from dataclasses import dataclass
    >>> import numpy as np
    >>> from nanoae import Autoencoder, gradient_check
    >>> from nanoae.losses import squared_error
    >>> from nanoae.models.hyperparameters import real
    >>> @dataclass(eq=False, repr=False, kw_only=True)
    ... class Shrunk(Autoencoder):
    ...     shrinkage: float = real(0.1, "Weight of the squared length of codes.", 0)
    ...
    ...     def loss_and_gradient(self, X, rng=None):
    ...         h = self.encoder_.forward(X)
    ...         x_hat = self.decoder_.forward(h)
    ...         error, grad_x_hat = self._loss.value(x_hat, X)
    ...         penalty, penalty_grad_h = squared_error(h, np.zeros_like(h))
    ...         grad_h = self.decoder_.backward(grad_x_hat) + self.shrinkage * penalty_grad_h
    ...         self.encoder_.backward(grad_h)
    ...         loss = error + self.shrinkage * penalty + self._decay_weights()
    ...         return loss, self.layout_.gradient
    >>> X = np.random.default_rng(0).standard_normal((5, 3))
    >>> model = Shrunk(2, hidden_layer_sizes=(), shrinkage=0.5)
    >>> bool(gradient_check(model, X).error < 1e-7), model
    (True, Shrunk(hidden_layer_sizes=(), shrinkage=0.5))
    """

    architecture: Architecture | None = None  # of the models that have a choice
    n_components: int
    max_iter: int | None
    random_state: Any
    verbose: bool

    encoder_: Any  # Layers, of each model's own kinds
    decoder_: Any
    history_: dict[str, Array]
    loss_: float
    n_iter_: int
    n_features_in_: int
    _parameters: Parameters
    _moments: Moments
    _fitted_params: dict[str, Any]
    _training_state: dict[str, Any]
    _kept_epoch: int
    _n_values: float  # of a sample: of sequences, on average
    _feature_names: list[str] | None = None  # of the fit; a list, as files hold no array of words

    # --- what a model must say of itself -------------------------------------------------

    def _build(self, n_features: int, dtype: DTypeLike) -> None:
        """Set ``encoder_`` and ``decoder_``, bound to a new ``_parameters``."""
        raise NotImplementedError

    def loss_and_gradient(
        self, X: Array, rng: np.random.Generator | None = None, weights: Array | None = None
    ) -> tuple[float, Array]:
        """The training loss on a batch, and its gradient in the flat vector of parameters.

        A model that has no argument ``weights`` is refused samples that have some.
        """
        raise NotImplementedError

    def _train(self, X: Array, rng: np.random.Generator, monitor: Monitor, **options: Any) -> None:
        """Minimise the loss over ``X``, noting its course with the monitor.

        There are options only if `fit` was given them: ``weights`` and ``X_validation``.
        """
        raise NotImplementedError

    def _partial_fit(
        self, X: Array, rng: np.random.Generator, monitor: Monitor, **options: Any
    ) -> None:
        """What `partial_fit` does with samples that it has checked, and their ``weights``."""
        raise NotImplementedError

    def _check_partial_fit(self) -> None:
        """Raise if samples that come in parts are of no use to this solver."""

    @property
    def _can_checkpoint(self) -> bool:
        """Whether training goes by epochs, between which it can be kept and taken up again."""
        return True

    @property
    def _can_validate(self) -> bool:
        """Whether training may stop early, by a comparison of epochs on other samples."""
        return False

    _keeps_covariance = False  # or the mean and the variance of the samples alone
    _bound: tuple[str, ...] = ()  # what `_build` sets beside networks, and no file holds

    def objectives(self) -> dict[str, tuple[Objective, slice]]:
        """The players: each one's loss and gradient, and the part of the vector that follows it.

        Most models have one player, who moves all parameters. Where several share the flat vector,
        ``loss_and_gradient`` puts the gradient of each into its own part, so that one optimizer
        moves them all, and `gradient_check` looks at each part with its own loss.
        """
        return {"loss": (self.loss_and_gradient, slice(None))}

    # --- hyper-parameters ----------------------------------------------------------------

    @classmethod
    def _parameter_names(cls) -> list[str]:
        return [name for name in inspect.signature(cls.__init__).parameters if name != "self"]

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The constructor's arguments, by name."""
        return {name: getattr(self, name) for name in self._parameter_names()}

    def set_params(self: Self, **params: Any) -> Self:
        """Change constructor arguments; they take effect at the next ``fit``.

        Those of training, such as ``learning_rate`` or ``beta``, do so at the next `partial_fit`.
        """
        names = self._parameter_names()
        for name in params:
            if name not in names:
                raise ValueError(
                    f"{name!r} is no parameter of {type(self).__name__}; it has {names}."
                )
        for name, value in params.items():
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        """The call that makes this model, with what differs from the defaults."""
        defaults = inspect.signature(type(self).__init__).parameters
        changed = (
            f"{name}={value!r}"
            for name, value in self.get_params().items()
            if repr(value) != repr(defaults[name].default)
        )
        return f"{type(self).__name__}({', '.join(changed)})"

    def _check_hyperparameters(self, n_features: int) -> None:
        """Raise if one of them is impossible, by itself or beside the others."""
        check_fields(self)

    # --- training --------------------------------------------------------------------------

    def fit(
        self: Self,
        X: ArrayLike,
        y: object = None,
        *,
        sample_weight: ArrayLike | None = None,
        X_validation: ArrayLike | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_every: int = 10,
    ) -> Self:
        """Train on samples.

        Ctrl-C ends the training; the model is then as it was after the last full epoch.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            A `numpy.memmap` is read batch by batch and never copied whole, by solvers that train
            in batches (but without those of weight 0 it is a copy).
        y : ignored
        sample_weight : array-like of shape (n_samples,), optional
            How much each sample counts in the loss and in all that is learned of the samples,
            such as their mean: a weight of 2 as the sample twice, 0 as left out. Only how they
            compare counts, so all may be scaled. In batches this is so on average over batches,
            or to rounding if one batch takes all: many steps of a deep model may make much of
            that, towards another minimum of the same loss. Not for `SparseCoding`.
        X_validation : array-like of shape (m, n_features), optional
            Samples of your own for early stopping, in place of rows held out: the parameters are
            kept that are best on them. For deep models and `LinearVAE` with "adam" or "sgd".
        checkpoint : path-like, optional
            A file in which to keep the training ("adam", "sgd"). If it is there already, training
            goes on from it, and ends as it would have ended, bit for bit. `nanoae.load` reads it,
            too.
        checkpoint_every : int, default 10
            Epochs from one writing of it to the next.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            The data, a hyper-parameter or the checkpoint is not usable; the model is left as it
            was.
        TrainingDiverged
            The loss became infinite or NaN; the last finite parameters are kept.

        Warns
        -----
        ConvergenceWarning
            ``max_iter`` came first, Ctrl-C was pressed, or what was learned is no better than to
            answer every sample with their mean.
        """
        X, names, rng = self._check_training(X)
        X, options = self._check_weights(X, sample_weight)
        if X_validation is not None:
            options["X_validation"] = self._check_validation(X_validation, X.shape[1], names)
        file = None
        if checkpoint is not None:
            if not self._can_checkpoint:
                raise ValueError(
                    "checkpoint must be None with a solver that takes all samples at every step, "
                    f"as {type(self).__name__} does here. Use solver='adam'."
                )
            file = Checkpoint(checkpoint, checkpoint_every, self._to_tree)
            file.open(
                {"model": type(self).__name__, **self.get_params()}, X, rng,
                sample_weight=options.get("weights"), X_validation=options.get("X_validation"),
            )  # fmt: skip
        self._initialise(X, names, rng, options.get("weights"))
        monitor = Monitor(
            self._parameters.values, title=type(self).__name__, verbose=self.verbose,
            checkpoint=file,
        )  # fmt: skip
        self._run(self._train, X, rng, monitor, **options)
        if file is not None:
            file.finish(self._to_tree())
        monitor.warning = monitor.warning or self._verdict(monitor)
        self._warn(monitor)
        return self

    def partial_fit(
        self: Self, X: ArrayLike, y: object = None, *, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Train on more samples: for data that come as a stream, or in parts.

        Call it with one part after the other. Each call goes on from where the last one, or
        `fit`, has ended. Deep models make one pass over the part, in batches, by "adam" or "sgd".
        Linear ones keep mean and covariance of all that they have seen (2.1), and train on them:
        as if all of it were there. `SparseCoding` keeps ``HᵀH`` and ``HᵀX`` of its codes and
        samples, and does one round (Mairal et al. 2009, algorithm 1).

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : ignored
        sample_weight : array-like of shape (n_samples,), optional
            As in `fit`. Linear models compare it with the weights of all other parts, 1 where
            there were none; the pass of a deep one compares it within the part alone.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            The samples or a hyper-parameter is not usable, or the solver needs all samples at
            every step; the model is left as it was.
        TrainingDiverged
            As in `fit`.

        Warns
        -----
        ConvergenceWarning
            As in `fit`.
        """
        self._check_partial_fit()
        X, rng, monitor, options = self._resume(X, sample_weight)
        self._run(self._partial_fit, X, rng, monitor, **options)
        self._warn(monitor)
        return self

    def initialise(self, X: ArrayLike) -> Array:
        """All of `fit` but the training: checks, networks, and their initial weights.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            The samples as training sees them, but for what it takes off them.

        Raises
        ------
        ValueError, TypeError
            As in `fit`.
        """
        X, names, rng = self._check_training(X)
        self._initialise(X, names, rng)
        return X

    def _check_training(self, X: ArrayLike) -> tuple[Array, list[str] | None, np.random.Generator]:
        """What was handed in: the samples as an array, and the names of their columns;
        ``random_state`` as a generator."""
        names, X = column_names(X), self._check_samples(X, minimum=2)
        self._check_hyperparameters(X.shape[1])
        return self._check_range(X), names, check_random_state(self.random_state)

    def _check_weights(
        self, X: Array, sample_weight: ArrayLike | None, *, minimum: int = 2
    ) -> tuple[Array, dict[str, Array]]:
        """The samples that have a weight, and ``{"weights": ...}``, or ``{}`` if all count alike.

        What has no weight goes before anything looks at it, so that it is as if it were not there.
        """
        if sample_weight is None:
            return X, {}
        if "weights" not in inspect.signature(self.loss_and_gradient).parameters:
            raise ValueError(
                f"sample_weight must be None: {type(self).__name__} takes none, since its "
                "loss_and_gradient has no argument 'weights'. Repeat rows that count for more."
            )
        weights = check_weights(sample_weight, len(X))
        if not weights.all():
            X, weights = X[weights > 0], weights[weights > 0]
        if len(X) < minimum:
            raise ValueError(
                f"sample_weight is zero for all but {len(X)} sample(s); {type(self).__name__} "
                f"needs at least {minimum}."
            )
        return X, {"weights": weights}

    def _check_validation(
        self, X_validation: ArrayLike, n_features: int, names: list[str] | None
    ) -> Array:
        """Samples to compare epochs on."""
        if not self._can_validate:
            raise ValueError(
                f"X_validation must be None: {type(self).__name__} does not stop early with this "
                "solver. Deep models and LinearVAE do, with solver='adam'."
            )
        check_column_names(X_validation, names, type(self).__name__)
        X = check_samples(
            X_validation, n_features=n_features, name="X_validation", model=type(self).__name__,
            sequences=self.architecture.sequences if self.architecture else None,
        )  # fmt: skip
        return self._check_range(X, "X_validation")

    def _initialise(
        self,
        X: Array,
        names: list[str] | None,
        rng: np.random.Generator,
        weights: Array | None = None,
    ) -> None:
        self.n_features_in_, self._feature_names = X.shape[1], names
        self._fitted_params, self._training_state = self.get_params(), {}
        self._n_values, sequences = X.shape[1], None
        if self.architecture is not None:
            sequences = self.architecture.sequences
        if sequences is None:
            self._moments = Moments.of_nothing(X.shape[1], with_factor=self._keeps_covariance)
            self._moments.add(X, weights)
        else:
            self._moments = sequences.moments(X, weights)
            self._n_values = float(np.average(sequences.n_values(X), weights=weights))
        self._build(X.shape[1], np.float32 if X.dtype == np.float32 else np.float64)
        self._draw_weights(X, rng)

    def _resume(
        self, X: ArrayLike, sample_weight: ArrayLike | None
    ) -> tuple[Array, np.random.Generator, Monitor, dict[str, Array]]:
        """All of ``partial_fit`` that comes before training."""
        past: dict[str, Any] = {}
        if "_parameters" not in vars(self):
            X, names, rng = self._check_training(X)
            X, options = self._check_weights(X, sample_weight)
            self._initialise(X, names, rng, options.get("weights"))
        else:
            X = self._check_samples(X)
            self._check_hyperparameters(self.n_features_in_)
            X, options = self._check_weights(self._check_range(X), sample_weight, minimum=1)
            self._update_statistics(X, options.get("weights"))
            state = self._training_state.get("rng")
            rng = check_random_state(self.random_state) if state is None else generator(state)
            past = {"curves": self.history_, "kept": self._kept_epoch}
        monitor = Monitor(
            self._parameters.values, title=type(self).__name__, verbose=self.verbose, **past
        )
        return X, rng, monitor, options

    def _update_statistics(self, X: Array, weights: Array | None) -> None:
        """Take in what a model needs to know of samples that come after the first."""
        self._moments.add(X, weights)

    def _draw_weights(self, X: Array, rng: np.random.Generator) -> None:
        """Draw initial weights; a model may start from the samples ``X``."""
        for layer in self._parameters.layers:
            layer.initialise(rng)

    def _run(
        self, train: Callable[..., None], X: Array, rng: np.random.Generator, monitor: Monitor,
        **options: Any,
    ) -> None:  # fmt: skip
        """Train on ``X``, and leave the model usable however that ends."""
        try:
            with np.errstate(over="ignore", invalid="ignore"):  # the loop looks at the loss
                train(X, rng, monitor, **options)
        except KeyboardInterrupt:
            n = len(monitor)
            monitor.warning = (
                f"was interrupted after {n} epochs or iterations, and is as it was then."
            )
        finally:
            vars(self).update(monitor.outcome())
            for network in self._networks().values():
                network.forget()

    def _verdict(self, monitor: Monitor) -> str:
        """What is to be said of what was learned, if anything."""
        return monitor.unfinished()

    def _warn(self, monitor: Monitor) -> None:
        """Tell the caller of ``fit`` what there is to tell."""
        if monitor.warning:
            message = f"{type(self).__name__} {monitor.warning}"
            warnings.warn(message, ConvergenceWarning, stacklevel=3)

    def _networks(self) -> dict[str, Layer]:
        """Encoder and decoder, or what there is of them, by name."""
        return {name: part for name, part in vars(self).items() if isinstance(part, Layer)}

    # --- use -------------------------------------------------------------------------------

    @property
    def parameters_(self) -> Array:
        """All weights and biases, live, in one vector ``(n_parameters,)``."""
        return self._parameters.values

    @property
    def feature_names_in_(self) -> Array:
        """Names of the columns, ``(n_features_in_,)``; only after training on a DataFrame whose
        columns are all named by strings."""
        if self._feature_names is None:
            raise AttributeError(
                f"{type(self).__name__!r} object has no attribute 'feature_names_in_': it was "
                "trained on samples whose columns have no names"
            )
        return np.array(self._feature_names, dtype=object)

    def get_feature_names_out(self, input_features: Any = None) -> Array:
        """Names of the columns of codes: "vae0", "vae1" and so on.

        Parameters
        ----------
        input_features : array-like of str, optional
            Must be those of the fit; scikit-learn hands them over.

        Returns
        -------
        ndarray of str objects, shape (n_components,)

        Raises
        ------
        ValueError
            They are not.
        """
        if input_features is not None:
            names, n = [*input_features], self.n_features_in_
            if self._feature_names is not None and names != self._feature_names:
                raise ValueError("input_features is not equal to feature_names_in_; leave it out.")
            if len(names) != n:
                raise ValueError(
                    f"input_features should have length equal to the number of features, {n}; "
                    f"got {len(names)}."
                )
        prefix = type(self).__name__.lower()
        return np.array([f"{prefix}{j}" for j in range(self._code_width)], dtype=object)

    @property
    def _code_width(self) -> int:
        """Columns of what `transform` returns."""
        return int(self.decoder_.shape_in[0])

    @property
    def _to_codes(self) -> Layer:
        """The network from samples to these."""
        encoder: Layer = self.encoder_
        return encoder

    @property
    def layout_(self) -> Parameters:
        """The same with its gradient, and where in both each weight stands, by name."""
        return self._parameters

    @property
    def n_samples_seen_(self) -> int:
        """How many samples training has come upon."""
        return self._moments.n

    # what is lost between samples and reconstructions
    _loss: Loss = LOSSES["squared_error"]

    # what is taken off every sample before it is encoded, and added to what is decoded
    _offset: Array | None = None

    def _codes(self, X: Array) -> Array:
        """Codes of samples less the offset."""
        return self.encoder_(X)

    def transform(self, X: ArrayLike) -> Any:
        """Codes ``(n_samples, n_components)`` of samples ``(n_samples, n_features)``.

        An array, or the DataFrame that `set_output` asked for.
        """
        codes = self._transform(self._check_samples(X))
        if vars(self).get("_sklearn_output_config") != {"transform": "pandas"}:
            return codes
        frame = _pandas().DataFrame
        index = X.index if isinstance(X, frame) else None
        return frame(codes, index=index, columns=self.get_feature_names_out())

    def _transform(self, X: Array) -> Array:
        """Codes of samples that are checked."""
        offset = self._offset
        return self._map_rows(lambda x: self._codes(x if offset is None else x - offset), X)

    def fit_transform(self, X: ArrayLike, y: object = None, **options: Any) -> Any:
        """Train on samples, with the options of `fit`, and return their codes."""
        return self.fit(X, **options).transform(X)

    def set_output(self: Self, *, transform: str | None = None) -> Self:
        """Choose what `transform` and `fit_transform` return.

        Parameters
        ----------
        transform : {"default", "pandas"}, optional
            "pandas" asks for a DataFrame with the names of `get_feature_names_out` and, if the
            samples are a DataFrame, its index; "default" for an array. None changes nothing.
            "polars" there is not: make its frame of the array. scikit-learn's ``set_config`` has
            no say here.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            It is none of these.
        ImportError
            There is no pandas.
        """
        if transform is not None:
            check_choice("transform", transform, ("default", "pandas"))
            if transform == "pandas":
                _pandas()  # so that its lack is not found out after a training
            self._sklearn_output_config = {"transform": transform}  # where `clone` looks for it
        return self

    def inverse_transform(self, codes: ArrayLike) -> Array:
        """Samples ``(n, n_features)`` that the decoder makes of codes ``(n, n_components)``.

        Sequences are ``(n, T, p)``, or tokens ``(n, T)``: a code does not say where they end.
        """
        x_hat, sequences = self._decode(self._check_codes(codes)), self._sequences()
        return x_hat if sequences is None else sequences.unfolded(x_hat)

    def _decode(self, codes: Array) -> Array:
        """Samples in rows, of codes that are checked."""
        x_hat = self._map_rows(lambda h: self._loss.to_data(self.decoder_(h)), codes)
        return x_hat if self._offset is None else x_hat + self._offset

    def reconstruct(self, X: ArrayLike) -> Any:
        """Samples after their way through the code and back; sequences as long as they were."""
        rows, sequences = self._check_samples(X), self._sequences()
        x_hat = self._rebuild(rows)
        return x_hat if sequences is None else sequences.like(x_hat, rows, X)

    def _rebuild(self, X: Array) -> Array:
        """Samples that are checked, rebuilt from what the model makes of them."""
        return self._decode(self._transform(X))

    def interpolate(self, start: ArrayLike, end: ArrayLike, n_steps: int = 8) -> Array:
        """Decoded points of the straight line between the codes of two samples.

        Parameters
        ----------
        start, end : array-like of shape (n_features,), or a sequence each
        n_steps : int, default 8
            Points, both ends included.

        Returns
        -------
        ndarray of shape (n_steps, n_features), or as `inverse_transform` has sequences
        """
        check_integer("n_steps", n_steps, 2)
        ends: Any = [start, end]
        if all(isinstance(x, np.ndarray) and x.ndim == 2 for x in ends) and (
            np.shape(start) == np.shape(end)
        ):
            ends = np.stack(ends)  # of an array of sequences, so NaN may be behind their ends
        first, last = self._transform(self._check_samples(ends, named=False))
        part = np.linspace(0, 1, n_steps, dtype=first.dtype)[:, None]
        return self.inverse_transform((1 - part) * first + part * last)

    def reconstruction_error(self, X: ArrayLike, *, per_feature: bool = False) -> Array:
        """One value a sample: ``‖x − x̂‖²``, or −log p(x|x̂) in nats under the other two losses.

        High where the model has seen nothing like it.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        per_feature : bool, default False
            Whether to tell what each feature has to do with it.

        Returns
        -------
        ndarray of shape (n_samples,), or (n_samples, n_features) whose rows sum to that
        """
        check_bool("per_feature", per_feature)
        offset = self._offset
        error_of = self._loss.per_feature if per_feature else self._loss.per_sample

        def error(x: Array) -> Array:
            x = x if offset is None else x - offset
            return error_of(self.decoder_(self._codes(x)), x)

        return self._map_rows(error, self._check_samples(X))

    def jacobian(self, X: ArrayLike, *, singular_values: bool = False) -> Array:
        """``∂h/∂x``: how the code of each sample moves when the sample does (9.2).

        A VAE's code is the mean μ of q(z|x). Where the encoder has a kink, the derivative is that
        of its backward pass, and nothing is dropped. It is computed in a copy of the encoder, so
        the model and the gradients of its last training step stay as they are, and threads may
        share it.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        singular_values : bool, default False
            Whether to tell of each sample's Jacobian the singular values alone, from the largest
            down: in which way the code moves most, in units of code over units of data.

        Returns
        -------
        ndarray of shape (n_samples, n_components, n_features), or (n_samples, r)
            r is the smaller of both widths.

        Raises
        ------
        TypeError
            The model has no encoder, as `SparseCoding`, which solves for its codes; or its samples
            are tokens, of which there are no small moves.
        """
        check_bool("singular_values", singular_values)
        X = self._check_samples(X)
        if "encoder_" not in self._networks():
            raise TypeError(
                f"{type(self).__name__} has no encoder of which there were a Jacobian; "
                "SparseAutoencoder has one."
            )
        sequences = self._sequences()
        if sequences is not None and sequences.n_tokens is not None:
            raise TypeError(
                f"this {type(self).__name__} takes tokens, of which there are no small moves and "
                "so no Jacobian; sequences of numbers have one."
            )
        offset, k = self._offset, self._code_width

        def of_block(x: Array) -> Array:
            J = jacobian(self._to_codes, x if offset is None else x - offset, k)
            return np.linalg.svd(J, compute_uv=False) if singular_values else J

        width = max(self._width, k * self.n_features_in_)
        return map_rows(of_block, X, self._dtype, width=width)

    def score(self, X: ArrayLike, y: object = None) -> float:
        """Minus the mean reconstruction error: higher is better."""
        return -float(np.mean(self.reconstruction_error(X)))

    def _map_rows(self, function: Callable[[Array], Array], X: Array) -> Array:
        return map_rows(function, X, self._dtype, width=self._width)

    @property
    def _width(self) -> int:
        """Most numbers that a sample becomes on its way: what memory is to be counted by."""
        return max(network.width for network in self._networks().values())

    # --- checks ----------------------------------------------------------------------------

    if not TYPE_CHECKING:  # or mypy would believe in any attribute

        def __getattr__(self, name: str) -> Any:
            """Called for what is not there: ``encoder_``, and what is made of it, before fit."""
            bases = type(self).__mro__
            if hasattr(type(self), name) or any(name in inspect.get_annotations(b) for b in bases):
                self._check_fitted()
            return object.__getattribute__(self, name)  # raises what there is to raise

    @property
    def _dtype(self) -> np.dtype[Any]:
        return self._parameters.values.dtype

    def _check_fitted(self) -> None:
        if "_parameters" not in vars(self):
            raise NotFittedError(
                f"This {type(self).__name__} instance is not fitted yet; call 'fit' with data "
                "before using it."
            )

    def _check_samples(
        self, X: ArrayLike, *, minimum: int = 1, named: bool = True, gaps: bool = False
    ) -> Array:
        """Samples to train on (``minimum=2``), or else for the fitted model, in its dtype.

        Columns of these are held against those of the fit, unless they cannot have names. With
        ``gaps`` they may have NaN.
        """
        training, sequences = minimum > 1, None
        if not training:
            self._check_fitted()
            if named:
                check_column_names(X, self._feature_names, type(self).__name__)
            sequences = self._sequences()
        elif isinstance(self.architecture, Architecture):  # which nobody has looked at yet
            sequences = self.architecture.sequences
        return check_samples(
            X, minimum=minimum, n_features=None if training else self.n_features_in_,
            model=type(self).__name__, dtype=None if training else self._dtype,
            sequences=sequences, gaps=gaps,
        )  # fmt: skip

    def _sequences(self) -> Sequences | None:
        """How sequences stand in the rows that the networks take, if they take any."""
        architecture: Architecture | None = self._fitted_params.get("architecture")
        return architecture.sequences if architecture else None

    def _check_range(self, X: Array, name: str = "X") -> Array:
        """Samples to train on, if the loss is finite for all of them."""
        return X

    def _check_codes(self, codes: ArrayLike) -> Array:
        self._check_fitted()
        return check_samples(
            codes, n_features=self.decoder_.shape_in[0], dtype=self._dtype,
            name="codes", model=type(self).__name__,
        )  # fmt: skip

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn (1.6 or newer) wants to know; it alone calls this."""
        caller: Any = sys.modules["sklearn.utils"]  # which is there, so we need not import it
        return caller.Tags(
            estimator_type=None,
            target_tags=caller.TargetTags(required=False),
            transformer_tags=caller.TransformerTags(preserves_dtype=["float64", "float32"]),
            input_tags=caller.InputTags(),
        )

    # --- files and copies --------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model to a file, from which `nanoae.load` makes it again.

        With it goes all that further training needs. The file is an npz, its name is taken as it
        is, and it appears whole or not at all.

        Parameters
        ----------
        path : path-like

        Raises
        ------
        NotFittedError
        OSError
            The file cannot be written; an old one is left as it was.
        """
        self._check_fitted()
        write(path, self._to_tree())

    def _to_tree(
        self, outcome: dict[str, Any] | None = None, loop: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """What is written of the model; from within the training loop, as if it ended here."""
        state = self.__getstate__()
        if outcome is not None and loop is not None:
            state |= outcome
            state["_parameters"] = loop["best_values"].copy()
            state["_training_state"] = {
                key: loop[key] for key in ("optimizer", "rng") if key in loop
            }
        return {"class": type(self).__name__, "state": state}

    @classmethod
    def _from_tree(cls: type[Self], state: dict[str, Any]) -> Self:
        """A model in this state, after a look at what its use relies on."""
        names = set(cls._parameter_names())
        state = with_added(state, names)
        state["_fitted_params"] = with_added(state["_fitted_params"], names)
        if not names < state.keys() or names != state["_fitted_params"].keys():
            raise ValueError(f"these are not the parameters of {cls.__name__}")
        if any(callable(getattr(cls, key, None)) for key in state):
            raise ValueError("it would replace a method")
        n_features = state["n_features_in_"]
        check_integer("n_features_in_", n_features, 1)
        for params in (state, state["_fitted_params"]):
            model = cls(**{name: params[name] for name in names})
            model._check_hyperparameters(n_features)
            check_random_state(model.random_state)
        feature_names = state.get("_feature_names")
        if feature_names is not None and not (
            isinstance(feature_names, list)
            and len(feature_names) == n_features
            and all(isinstance(name, str) for name in feature_names)
        ):
            raise ValueError("the names of its columns do not fit")
        model = cls()
        model.__setstate__(state)
        with np.errstate(all="ignore"):
            works = np.isfinite(model._rebuild(np.zeros((1, n_features)))).all()
        if not (works and np.isfinite(model.parameters_).all()):
            raise ValueError("its numbers are NaN or infinite, or lead to such")
        for memory in state["_training_state"].get("optimizer", {}).values():
            if np.shape(memory) not in ((), model.parameters_.shape):
                raise ValueError("the optimizer's state does not fit")
        return model

    def __getstate__(self) -> dict[str, Any]:
        """State for pickle and copy: views of one vector do not survive either, so networks
        are left out and built again."""
        state = vars(self).copy()
        if "_parameters" in state:
            state["_parameters"] = state["_parameters"].values.copy()
            state["_moments"] = vars(state["_moments"]).copy()
            for name in (*self._networks(), *self._bound):
                state.pop(name, None)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take up a state."""
        vars(self).update(state)
        if "_parameters" in state:
            moments = state["_moments"]
            # a file from before there were weights has none
            self._moments = Moments(**{"weight": float(moments["n"]), **moments})
            vars(self).setdefault("_n_values", self.n_features_in_)  # nor had any sequences
            values, present = state["_parameters"], self.get_params()
            vars(self).update(self._fitted_params)  # set_params may have been called since fit
            self._build(self.n_features_in_, values.dtype)
            vars(self).update(present)
            if values.shape != self._parameters.values.shape:
                n = self._parameters.values.size
                raise ValueError(f"{values.size} parameters do not fit a model of {n}")
            self._parameters.values[...] = values


def _pandas() -> Any:
    """What a DataFrame is made with, for those who ask for one: nothing else here needs it."""
    try:
        import pandas
    except ImportError:
        raise ImportError(
            "set_output(transform='pandas') needs pandas; install it, or ask for 'default'."
        ) from None
    return pandas


class Centred(BaseAutoencoder):
    """For models that take the mean of all samples seen off each.

    Examples
    --------
    >>> from nanoae import Autoencoder, LinearAutoencoder
    >>> from nanoae.models.base import Centred
    >>> issubclass(LinearAutoencoder, Centred), issubclass(Autoencoder, Centred)
    (True, False)
    """

    @property
    def mean_(self) -> Array:
        """Of all samples seen, of shape (d,)."""
        return self._moments.mean.astype(self._dtype)

    @property
    def _offset(self) -> Array:  # type: ignore[override]
        return self.mean_


@dataclass(eq=False, repr=False, kw_only=True)
class WeightDecay(BaseAutoencoder):
    """For models with a penalty ``λ_w Σ ‖W‖²`` on their weights.

    Examples
    --------
    >>> from nanoae import VAE, LinearAutoencoder, SparseCoding
    >>> from nanoae.models.base import WeightDecay
    >>> [issubclass(model, WeightDecay) for model in (VAE, LinearAutoencoder, SparseCoding)]
    [True, True, False]
    """

    weight_decay: float = real(
        0.0, "λ_w of the penalty ``λ_w Σ ‖W‖²`` on all weight matrices, not on biases.", 0
    )

    def _decay_weights(self) -> float:
        """The penalty ``λ_w Σ ‖W‖²`` on all weights; adds ``2 λ_w W`` to the gradient (1.9)."""
        if not self.weight_decay:
            return 0.0
        penalty = 0.0
        for weight, grad_weight in self._parameters.weights():
            penalty += self.weight_decay * np.sum(weight * weight)
            grad_weight += 2 * self.weight_decay * weight
        return penalty
