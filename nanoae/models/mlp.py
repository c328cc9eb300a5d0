"""The autoencoder in general: any two MLPs, one behind the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from nanoae.arrays import Array, map_rows
from nanoae.losses import bernoulli_nll, bernoulli_nll_per_sample, squared_error
from nanoae.models.deep import DeepAutoencoder
from nanoae.network import ACTIVATIONS, MLP, Parameters
from nanoae.network.activations import sigmoid
from nanoae.validation import check_choice, check_layer_sizes

LOSSES = {"squared_error": squared_error, "bernoulli": bernoulli_nll}


class Autoencoder(DeepAutoencoder):
    """An MLP to the code and a mirrored MLP back.

    Parameters
    ----------
    n_components : int, default 2
        Width k of the code.
    hidden_layer_sizes : tuple of int, default (64,)
        Widths of the encoder's hidden layers; the decoder has them in reverse. Code and output
        layer are linear.
    activation : {"identity", "relu", "tanh", "sigmoid", "softplus"}, default "relu"
        Of the hidden layers.
    loss : {"squared_error", "bernoulli"}, default "squared_error"
        "bernoulli" takes the decoder's output for logits, and data in [0, 1].
    solver : {"adam", "sgd", "lbfgs"}, default "adam"
        "lbfgs" takes all data at every step.
    learning_rate : float, default 1e-3
        Of "adam" and "sgd".
    momentum : float in [0, 1], default 0.9
        Of "sgd".
    batch_size : int, default 128
        Samples a step of "adam" and "sgd".
    max_iter : int or None, default None
        Largest number of epochs (None: 200), or of iterations of "lbfgs" (None: 5000).
    tol : float or None, default None
        "adam" and "sgd" stop after ``n_iter_no_change`` epochs in a row in none of which the loss
        (with early stopping: that of the rows held out) has fallen by more than ``tol`` times
        itself (None: 1e-5); "lbfgs" when the gradient is down to ``tol`` times that at the start
        (None: 1e-6).
    n_iter_no_change : int, default 10
    early_stopping : bool, default False
        Hold rows out and keep the parameters that are best on them.
    validation_fraction : float in (0, 1), default 0.1
        Part of the rows to hold out.
    weight_decay : float, default 0
        λ_w of the penalty ``λ_w Σ ‖W‖²`` on all weight matrices (not on biases).
    random_state : int, Generator or None, default None
        Draws the initial weights, the batches and the rows to hold out.
    verbose : bool, default False
        Show progress.

    Attributes
    ----------
    encoder_, decoder_ : MLP
        ``model.encoder_.layers[i].weight`` of shape (n_in, n_out), and ``.bias``.
    parameters_ : ndarray of shape (n_parameters,)
    loss_ : float
        Training loss of the epoch whose parameters were kept.
    n_iter_ : int
    history_ : dict of ndarray
        ``"loss"`` and, with early stopping, ``"validation_loss"``, one value an epoch.
    n_features_in_, n_samples_seen_ : int

    Examples
    --------
    >>> from nanoae import Autoencoder, LinearAutoencoder, datasets
    >>> X = datasets.make_curve(300, noise=0.05, random_state=0)
    >>> line = LinearAutoencoder(1, random_state=0).fit(X)
    >>> curve = Autoencoder(
    ...     1, hidden_layer_sizes=(32, 32), activation="tanh", solver="lbfgs", max_iter=300,
    ...     tol=1e-2, random_state=0,
    ... ).fit(X)
    >>> curve.loss_ < line.loss_ / 5
    True
    >>> curve.transform(X).shape
    (300, 1)
    """

    def __init__(
        self,
        n_components: int = 2,
        *,
        hidden_layer_sizes: Sequence[int] = (64,),
        activation: str = "relu",
        loss: str = "squared_error",
        solver: str = "adam",
        learning_rate: float = 1e-3,
        momentum: float = 0.9,
        batch_size: int = 128,
        max_iter: int | None = None,
        tol: float | None = None,
        n_iter_no_change: int = 10,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        weight_decay: float = 0.0,
        random_state: Any = None,
        verbose: bool = False,
    ) -> None:
        self.n_components = n_components
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.loss = loss
        self.solver = solver
        self.learning_rate = learning_rate
        self.momentum = momentum
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.weight_decay = weight_decay
        self.random_state = random_state
        self.verbose = verbose

    def _build(self, n_features: int, dtype: DTypeLike) -> None:
        hidden = tuple(self.hidden_layer_sizes)
        self.encoder_ = MLP((n_features, *hidden, self.n_components), self.activation)
        self.decoder_ = MLP((self.n_components, *hidden[::-1], n_features), self.activation)
        self._parameters = Parameters(
            {"encoder_": self.encoder_, "decoder_": self.decoder_}, dtype
        )

    def loss_and_gradient(
        self, X: Array, rng: np.random.Generator | None = None
    ) -> tuple[float, Array]:
        """The reconstruction loss of a batch and its gradient by backprop.

        Parameters
        ----------
        X : ndarray of shape (n, d)
        rng : ignored

        Returns
        -------
        loss : float
        gradient : ndarray of shape (n_parameters,)
            The live vector: it is overwritten by the next call.
        """
        h = self.encoder_.forward(X)  # h = f(x)
        x_hat = self.decoder_.forward(h)  # x̂ = g(h), or the logits of x̂
        loss, grad_x_hat = LOSSES[self.loss](x_hat, X, out=x_hat)

        grad_h = self.decoder_.backward(grad_x_hat)
        self.encoder_.backward(grad_h, input_gradient=False)
        return loss + self._decay_weights(), self._parameters.gradient

    def inverse_transform(self, codes: ArrayLike) -> Array:
        """Samples ``(n, n_features)`` that the decoder makes of codes ``(n, n_components)``."""
        x_hat = super().inverse_transform(codes)
        return sigmoid(x_hat) if self.loss == "bernoulli" else x_hat

    def reconstruction_error(self, X: ArrayLike) -> Array:
        """One value a sample: ``‖x − x̂‖²``, or the negative log-likelihood under "bernoulli"."""
        if self.loss == "squared_error":
            return super().reconstruction_error(X)
        X = self._check_samples(X)
        return map_rows(
            lambda x: bernoulli_nll_per_sample(self.decoder_(self.encoder_(x)), x), X, self._dtype
        )

    @property
    def _needs_unit_interval(self) -> bool:
        return self.loss == "bernoulli"

    def _check_hyperparameters(self, n_features: int) -> None:
        super()._check_hyperparameters(n_features)
        check_layer_sizes("hidden_layer_sizes", self.hidden_layer_sizes)
        check_choice("activation", self.activation, ACTIVATIONS)
        check_choice("loss", self.loss, LOSSES)
