"""What an architecture is: the encoder and the decoder of a model, for any widths."""

from __future__ import annotations

from nanoae.network.layer import Layer
from nanoae.sequences import Sequences


class Architecture:
    """Which networks a model is made of.

    One of your own is a frozen dataclass that derives from this and has the two methods below;
    ``architecture=Mine(...)`` then works in `Autoencoder` and `VAE`, in files, in a grid search.

    Examples
    --------
    A residual hidden layer, in both networks:

    >>> from dataclasses import dataclass
    >>> from nanoae import Autoencoder, datasets, gradient_check
    >>> from nanoae.network import Architecture, Dense, Layer, Sequential
    >>> class Residual(Layer):
    ...     def __init__(self, inner):
    ...         super().__init__(inner.shape_in, inner.shape_out, parts={"inner": inner})
    ...         self.inner = inner
    ...
    ...     def __call__(self, x):
    ...         return x + self.inner(x)
    ...
    ...     def forward(self, x, rng=None):
    ...         return x + self.inner.forward(x, rng)
    ...
    ...     def backward(self, grad_y, *, input_gradient=True):
    ...         grad_x = self.inner.backward(grad_y, input_gradient=input_gradient)
    ...         return grad_y + grad_x if input_gradient else None  # x has two users
    >>> @dataclass(frozen=True)
    ... class Skip(Architecture):
    ...     width: int = 4
    ...
    ...     def encoder(self, n_in, n_out):
    ...         w = self.width
    ...         middle = Residual(Dense(w, w, "tanh"))
    ...         return Sequential([Dense(n_in, w), middle, Dense(w, n_out)])
    ...
    ...     decoder = encoder
    >>> X = datasets.make_gaussian(5, [2.0, 1.0, 1.0], random_state=0)
    >>> bool(gradient_check(Autoencoder(2, architecture=Skip(width=3)), X).error < 1e-7)
    True
    """

    @property
    def sequences(self) -> Sequences | None:
        """How sequences stand in the rows that the networks take, if samples are such."""
        return None

    def encoder(self, n_in: int, n_out: int) -> Layer:
        """From samples ``(n, n_in)`` to codes ``(n, n_out)``, or what a model makes them of."""
        raise NotImplementedError

    def decoder(self, n_in: int, n_out: int) -> Layer:
        """From codes ``(n, n_in)`` to samples ``(n, n_out)``."""
        raise NotImplementedError
