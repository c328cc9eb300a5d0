"""Layers that only say what shape a row has."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from nanoae.arrays import Array
from nanoae.network.layer import Layer, Shape


class Reshape(Layer):
    """The same numbers of each row, in the same order, in another shape.

    Parameters
    ----------
    shape_in, shape_out : tuple of int

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae.network import Reshape
    >>> Reshape((4,), (2, 2))(np.array([[1, 2, 3, 4]])).tolist()
    [[[1, 2], [3, 4]]]
    """

    def __call__(self, x: Array) -> Array:
        """Rows ``(…, *shape_in)`` as ``(…, *shape_out)``."""
        return x.reshape(*_rows(x, self.shape_in), *self.shape_out)

    def forward(self, x: Array, rng: np.random.Generator | None = None) -> Array:
        """The same."""
        return self(x)

    def backward(self, grad_y: Array, *, input_gradient: bool = True) -> Any:
        """Back into the first shape."""
        if not input_gradient:
            return None
        return grad_y.reshape(*_rows(grad_y, self.shape_out), *self.shape_in)


class ToImages(Layer):
    """Rows as images: ``(H · W · c,)``, with the colours of a pixel together, as (c, H, W).

    Parameters
    ----------
    size : tuple of int
        (H, W), or one number for each axis that there is.
    n_channels : int, default 1
        c.

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae.network import ToImages
    >>> ToImages((2,), 3)(np.array([[1, 2, 3, 4, 5, 6]])).tolist()  # two pixels, three colours
    [[[1, 4], [2, 5], [3, 6]]]
    """

    def __init__(self, size: Shape, n_channels: int = 1) -> None:
        super().__init__((math.prod(size) * n_channels,), (n_channels, *size))

    def __call__(self, x: Array) -> Array:
        """Images ``(…, c, *size)`` of rows ``(…, d)``."""
        return _images(x, self.shape_out)

    def forward(self, x: Array, rng: np.random.Generator | None = None) -> Array:
        """The same."""
        return self(x)

    def backward(self, grad_y: Array, *, input_gradient: bool = True) -> Any:
        """Back to rows."""
        return _pixels(grad_y, self.shape_out) if input_gradient else None


class FromImages(Layer):
    """Images as rows, the other way round.

    Parameters
    ----------
    size, n_channels
        As of `ToImages`.

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae.network import FromImages
    >>> FromImages((2,), 3)(np.array([[[1, 4], [2, 5], [3, 6]]])).tolist()
    [[1, 2, 3, 4, 5, 6]]
    """

    def __init__(self, size: Shape, n_channels: int = 1) -> None:
        super().__init__((n_channels, *size), (math.prod(size) * n_channels,))

    def __call__(self, x: Array) -> Array:
        """Rows ``(…, d)`` of images ``(…, c, *size)``."""
        return _pixels(x, self.shape_in)

    def forward(self, x: Array, rng: np.random.Generator | None = None) -> Array:
        """The same."""
        return self(x)

    def backward(self, grad_y: Array, *, input_gradient: bool = True) -> Any:
        """Back to images."""
        return _images(grad_y, self.shape_in) if input_gradient else None


def _rows(x: Array, shape: Shape) -> Shape:
    return x.shape[: x.ndim - len(shape)]


def _images(x: Array, shape: Shape) -> Array:
    n_channels, *size = shape
    return np.moveaxis(x.reshape(*x.shape[:-1], *size, n_channels), -1, -len(shape))


def _pixels(x: Array, shape: Shape) -> Array:
    # in C order, as the samples are with which the losses compare it
    return np.ascontiguousarray(np.moveaxis(x, -len(shape), -1)).reshape(*_rows(x, shape), -1)
