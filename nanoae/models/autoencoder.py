"""The autoencoder in general: any two networks, one behind the other."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass

import numpy as np

from nanoae.arrays import Array
from nanoae.losses import LOSSES
from nanoae.models.deep import NetworkAutoencoder
from nanoae.models.hyperparameters import choice, documented, integer
from nanoae.validation import check_unit_interval


@documented
@dataclass(eq=False, repr=False)
class Autoencoder(NetworkAutoencoder):
    """An MLP to the code and a mirrored MLP back, or any other two networks.

    Attributes
    ----------
    encoder_, decoder_ : MLP, or what the architecture makes
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

    n_components: int = integer(2, "Width k of the code.", 1)
    _: KW_ONLY
    loss: str = choice(
        "squared_error",
        '"bernoulli" takes the decoder\'s output for logits, and data in [0, 1]; "categorical" '
        "for logits of tokens, with an architecture that has a ``vocabulary_size``.",
        tuple(LOSSES),
    )

    def loss_and_gradient(
        self, X: Array, rng: np.random.Generator | None = None, weights: Array | None = None
    ) -> tuple[float, Array]:
        """The reconstruction loss of a batch and its gradient by backprop.

        Parameters
        ----------
        X : ndarray of shape (n, d)
        rng : Generator, optional
            Draws the noise of the corruption, the masks of dropout, and whatever else networks
            draw in training.
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
        loss, grad_x_hat = self._loss.value(x_hat, X, weights)

        grad_h = self.decoder_.backward(grad_x_hat)
        self.encoder_.backward(grad_h, input_gradient=False)
        return loss + self._decay_weights(), self._parameters.gradient

    def _check_range(self, X: Array, name: str = "X") -> Array:
        X = super()._check_range(X, name)
        return check_unit_interval(X, name) if LOSSES[self.loss].needs_unit_interval else X
