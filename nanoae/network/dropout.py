"""The dropout layer, ``y = δ ⊙ x / q``: units left out at random, in training alone."""

from __future__ import annotations

from typing import Any

import numpy as np

from nanoae.arrays import Array
from nanoae.network.layer import Layer
from nanoae.validation import check_probability


class Dropout(Layer):
    """Leaves out each unit of each row with probability p (Srivastava et al. 2014).

    What is kept is divided by ``q = 1 − p``, so that a unit is what it was on average, and a layer
    that is called, and drops nothing, needs no other scale ("inverted" dropout). The variance that
    this adds to a unit is ``p/q`` times its square, which is what (8.1) is made of.

    Parameters
    ----------
    n : int
        Width of input and output.
    probability : float
        p, at least 0 and below 1.

    Attributes
    ----------
    mask : ndarray of the input's shape
        Of the last `forward`: 0 where a unit was dropped, and 1/q elsewhere.

    Raises
    ------
    ValueError, TypeError
        The probability is none; or `forward` has no generator, and there is something to drop.

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae.network import Dropout
    >>> layer = Dropout(4, 0.5)
    >>> layer.forward(np.ones((2, 4)), np.random.default_rng(0)).tolist()
    [[2.0, 0.0, 0.0, 0.0], [2.0, 2.0, 2.0, 2.0]]
    >>> layer.backward(np.ones((2, 4))).tolist()  # by the same way back
    [[2.0, 0.0, 0.0, 0.0], [2.0, 2.0, 2.0, 2.0]]
    >>> layer(np.ones((2, 4))).tolist()
    [[1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0]]
    """

    remembers = ("mask",)
    mask: Array

    def __init__(self, n: int, probability: float) -> None:
        check_probability("probability", probability)
        super().__init__((n,), (n,))
        self.probability = float(probability)

    def __call__(self, x: Array) -> Array:
        """The inputs ``(…, n)`` themselves."""
        return x

    def forward(self, x: Array, rng: np.random.Generator | None = None) -> Array:
        """Inputs with a part of them dropped: a mask of its own for every row.

        The masks are drawn in float64, so that they are the same whatever the dtype of ``x``.
        """
        if rng is None and self.probability > 0:
            raise ValueError(
                "rng must be a numpy.random.Generator, for the masks of dropout to be drawn from; "
                "got None. Hand one over, or call the layer, which drops nothing."
            )
        kept = np.ones(x.shape) if rng is None else rng.random(x.shape) >= self.probability
        self.mask = (kept / (1 - self.probability)).astype(x.real.dtype)
        return x * self.mask

    def backward(self, grad_y: Array, *, input_gradient: bool = True) -> Any:
        """Turn ∂L/∂y into ∂L/∂x, which is ∂L/∂y through the same mask."""
        return grad_y * self.mask if input_gradient else None
