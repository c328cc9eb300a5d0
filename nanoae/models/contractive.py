"""The contractive autoencoder: a code that moves little where the samples move."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass

import numpy as np
from numpy.typing import DTypeLike

from nanoae.arrays import Array
from nanoae.losses import LOSSES
from nanoae.models.deep import NetworkAutoencoder
from nanoae.models.hyperparameters import choice, documented, integer, real
from nanoae.network import (
    ACTIVATIONS,
    Architecture,
    Dictionary,
    FullyConnected,
    Parameters,
    Sequential,
    Transposed,
)
from nanoae.network.jacobian import backward, check_dense, squared_jacobian
from nanoae.validation import check_random_state, check_unit_interval


@documented
@dataclass(eq=False, repr=False)
class ContractiveAutoencoder(NetworkAutoencoder):
    """An MLP to the code with a penalty on its Jacobian (Rifai et al. 2011).

    Minimises the reconstruction loss plus ``λ_c (1/n) Σ ‖∂h/∂x‖²``, the squared Frobenius norm
    at the samples, or at the corrupted ones if there is a corruption. With a free decoder this
    asks for next to nothing: a code that is c times smaller is decoded by weights that are 1/c
    times larger (9.5). A tied one shares the encoder's weights, layer by layer; a unit-norm one is
    linear, with columns of norm 1.

    Attributes
    ----------
    encoder_, decoder_ : Sequential of dense layers
        ``model.encoder_.layers[i].weight`` of shape (n_in, n_out), and ``.bias``.
    parameters_ : ndarray of shape (n_parameters,)
    loss_ : float
        Training loss, penalty included, of the epoch whose parameters were kept.
    n_iter_ : int
    history_ : dict of ndarray
        ``"loss"`` and, with early stopping, ``"validation_loss"``, one value an epoch.
    n_features_in_, n_samples_seen_ : int

    Examples
    --------
    Points on an arc: what moves along it moves the code, what moves across it does not.

    >>> import numpy as np
    >>> from nanoae import ContractiveAutoencoder, datasets
    >>> X = datasets.make_curve(200, noise=0.0, random_state=0)
    >>> model = ContractiveAutoencoder(
    ...     2, contraction=0.03, hidden_layer_sizes=(16,), decoder="unit-norm", solver="lbfgs",
    ...     max_iter=300, tol=1e-3, random_state=0,
    ... ).fit(X)
    >>> along, across = model.jacobian(X, singular_values=True).T
    >>> bool(np.median(across / along) < 0.1)
    True
    """

    n_components: int = integer(2, "Width k of the code.", 1)
    _: KW_ONLY
    contraction: float = real(0.1, "λ_c, the weight of the penalty.", 0)
    decoder: str = choice(
        "tied",
        'Which weights it has: those of the encoder, columns of norm 1, or any. "unit-norm" has '
        "no hidden layers.",
        ("tied", "unit-norm", "free"),
    )
    activation: str = "tanh"
    code_activation: str = choice("identity", "Of the code.", tuple(ACTIVATIONS))
    n_probes: int | None = integer(
        None,
        "Random directions of the code, drawn anew at each step, by which the penalty is "
        "estimated (9.4). None: it is exact, which takes as many as the code is wide, or none at "
        "all if only the first layer of the encoder is nonlinear; more probes than that cost more "
        "and are still noisy.",
        1,
    )
    loss: str = choice(
        "squared_error",
        '"bernoulli" takes the decoder\'s output for logits, and data in [0, 1].',
        tuple(LOSSES),
    )

    _bound = ("_loss", "_mirrors")  # type: ignore[assignment]

    @property
    def _architecture(self) -> Architecture:
        return self.architecture or FullyConnected(
            self.hidden_layer_sizes, self.activation, self.code_activation
        )

    def _build(  # type: ignore[override]
        self, n_features: int, dtype: DTypeLike
    ) -> None:
        super()._build(n_features, dtype)
        self._mirrors: list[Transposed] = []  # layers of a tied decoder
        if self.decoder == "free":
            return
        if self.decoder == "tied":
            inner = [self.activation] * len(self.hidden_layer_sizes)
            mirrored = zip(reversed(self.encoder_.layers), [*inner, "identity"], strict=True)
            self._mirrors = [Transposed(layer, name) for layer, name in mirrored]
        unit_norm = Dictionary(self.n_components, n_features, bias=True)
        self.decoder_ = Sequential(self._mirrors or [unit_norm])
        self._parameters = Parameters(
            {"encoder_": self.encoder_, "decoder_": self.decoder_}, dtype
        )

    def loss_and_gradient(
        self, X: Array, rng: np.random.Generator | None = None, weights: Array | None = None
    ) -> tuple[float, Array]:
        """Reconstruction loss and penalty of a batch, and their gradient by double backprop.

        Parameters
        ----------
        X : ndarray of shape (n, d)
        rng : Generator, optional
            Draws the noise of the corruption and the probes, if there are any; by default one made
            from ``random_state``.
        weights : ndarray of shape (n,), optional
            Of the mean 1 over all samples of the training.

        Returns
        -------
        loss : float
        gradient : ndarray of shape (n_parameters,)
            The live vector: it is overwritten by the next call.
        """
        x_tilde = X if self.corruption is None else self._corrupt(X, rng)
        h = self.encoder_.forward(x_tilde, rng)  # h = f(x̃)
        x_hat = self.decoder_.forward(h, rng)  # x̂ = g(h), or the logits of x̂
        error, grad_x_hat = self._loss.value(x_hat, X, weights)
        omega, shares = squared_jacobian(self.encoder_, weights, self._probes(h, rng))  # Ω

        grad_h = self.decoder_.backward(grad_x_hat)
        backward(self.encoder_, grad_h, shares, self.contraction)  # and λ_c ∂Ω on the way (9.2b)
        for layer in self._mirrors:  # if tied, W is used twice, so its gradient is a sum (3.1a)
            layer.source.grad_weight += layer.grad_weight.T
        loss = error + self.contraction * omega + self._decay_weights()
        return loss, self._parameters.gradient

    def _probes(self, h: Array, rng: np.random.Generator | None) -> Array | None:
        """Random signs ``(n, m, k)``."""
        if self.n_probes is None:
            return None
        rng = check_random_state(self.random_state) if rng is None else rng
        n, k = h.shape
        return 2.0 * rng.integers(0, 2, size=(n, self.n_probes, k)) - 1

    def _check_range(self, X: Array, name: str = "X") -> Array:
        X = super()._check_range(X, name)
        return check_unit_interval(X, name) if LOSSES[self.loss].needs_unit_interval else X

    def _check_hyperparameters(self, n_features: int) -> None:
        super()._check_hyperparameters(n_features)
        if self.dropout:
            raise ValueError(
                "dropout must be 0, as the penalty is on the Jacobian of dense layers alone; got "
                f"{self.dropout!r}. A corruption it can have."
            )
        if self.architecture is not None:
            if self.decoder == "tied":
                raise ValueError(
                    "decoder must be 'free' or 'unit-norm' beside an architecture, whose layers "
                    "there are no mirror images of; got 'tied'."
                )
            if self.code_activation != "identity":
                raise ValueError(
                    "code_activation must be left at 'identity' beside an architecture, which "
                    f"has layers of its own; got {self.code_activation!r}."
                )
            check_dense("encoder", self._architecture.encoder(n_features, self.n_components))
        if self.n_probes is not None and self.solver == "lbfgs":
            raise ValueError(
                "n_probes must be None with solver='lbfgs', which needs a loss without noise; "
                f"got {self.n_probes}. Use solver='adam'."
            )

    _remedy = "Take a smaller contraction, scale the data"
