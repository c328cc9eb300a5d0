"""The tied linear autoencoder, ``x̂ = Wᵀ W x``: one matrix, used twice."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike

from nanoae.arrays import Array
from nanoae.losses import squared_error
from nanoae.models.hyperparameters import choice, documented
from nanoae.models.linear import LinearAutoencoder
from nanoae.network import MLP, Parameters


@documented
@dataclass(eq=False, repr=False, kw_only=True)
class TiedAutoencoder(LinearAutoencoder):
    """Linear autoencoder whose decoder is the transpose of its encoder.

    Minimises ``(1/n) Σ ‖x − WᵀW x‖² + λ_w ‖W‖²`` over centred samples. Orthonormal rows of W are
    what it finds, not what it is told: without weight decay, ``W = Q V_kᵀ`` with V_k the first k
    principal axes and Q any orthogonal matrix (3.2). Dropout is as in `LinearAutoencoder`, but has
    its optimum only where units can be dealt out (8.8).

    Attributes
    ----------
    encoder_weight_ : ndarray of shape (k, d)
        W.
    decoder_weight_ : ndarray of shape (d, k)
        Wᵀ, a view of the same numbers.
    parameters_ : ndarray of shape (d k,)
    mean_, encoder_, decoder_, loss_, n_iter_, history_, n_features_in_
        As in `LinearAutoencoder`.

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae import TiedAutoencoder, datasets
    >>> X = datasets.make_gaussian(200, [4.0, 2.0, 1.0], exact=True, random_state=0)
    >>> model = TiedAutoencoder(2, random_state=0).fit(X)
    >>> round(model.loss_, 6)  # the eigenvalue left out
    1.0
    >>> W = model.encoder_weight_
    >>> bool(np.allclose(W @ W.T, np.eye(2)))  # orthonormal, though nobody asked for it
    True
    """

    solver: str = choice(
        "lbfgs", "All follow the hand-written gradient.", ("lbfgs", "sgd", "adam")
    )

    def _build(self, n_features: int, dtype: DTypeLike) -> None:
        self.encoder_ = MLP((n_features, self.n_components), bias=False)
        self.decoder_ = MLP((self.n_components, n_features), bias=False)
        self._parameters = Parameters({"encoder_": self.encoder_}, dtype)
        encoder, decoder = self.encoder_.layers[0], self.decoder_.layers[0]
        decoder.weight = encoder.weight.T  # the same memory, read the other way
        decoder.grad_weight = np.empty_like(decoder.weight)

    def loss_and_gradient(
        self, X: Array, rng: np.random.Generator | None = None, weights: Array | None = None
    ) -> tuple[float, Array]:
        """Mean squared error and its gradient by backprop.

        With a corruption, their exact expectation (7.7).

        Parameters
        ----------
        X : ndarray of shape (n, d)
            Centred samples, or any other matrix with the same ``XᵀX/n``.
        rng : ignored
        weights : ndarray of shape (n,), optional
            Of the mean 1 over all samples of the training.

        Returns
        -------
        loss : float
        gradient : ndarray of shape (d k,)
            The live vector: it is overwritten by the next call.
        """
        x_tilde = X
        if self.corruption is not None:
            x_tilde, X, weights = self._with_noise(X, self.corruption, weights)
        h = self.encoder_.forward(x_tilde)  # h = W x̃
        x_hat = self.decoder_.forward(h)  # x̂ = Wᵀ h
        loss, grad_x_hat = squared_error(x_hat, X, weights)

        grad_h = self.decoder_.backward(grad_x_hat)
        if self.dropout:
            loss += self._drop_units(h, grad_h, weights)
        self.encoder_.backward(grad_h, input_gradient=False)
        # W is used twice, so its gradient is the sum of both uses' (3.1a): what it is owed as
        # encoder (3.1b) and, transposed, as decoder (3.1c), together (3.1)
        self.encoder_.layers[0].grad_weight += self.decoder_.layers[0].grad_weight.T
        return loss + self._decay_weights(), self._parameters.gradient
