"""Layers without weights that make images smaller or larger."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from nanoae.arrays import Array
from nanoae.network.layer import Layer, Shape
from nanoae.network.windows import Windows, samples_first, samples_last


class _Pool(Layer):
    """One number for each window and channel."""

    def __init__(self, shape_in: Shape, kernel: int, stride: int | None = None) -> None:
        self.windows = Windows(shape_in[1:], kernel, stride=kernel if stride is None else stride)
        super().__init__(shape_in, (shape_in[0], *self.windows.counts))

    def _columns(self, x: Array) -> Array:
        """What the windows see, ``(channels, taps, windows · n)``."""
        columns = self.windows.unfold(samples_last(x, self.shape_in))
        return columns.reshape(self.shape_in[0], self.windows.n_taps, -1)

    def _flat(self, grad_y: Array) -> Array:
        return samples_last(grad_y, self.shape_out).reshape(self.shape_in[0], 1, -1)

    def _out(self, y: Array, x: Array) -> Array:
        return samples_first(y, self.shape_out, x.shape[: -len(self.shape_in)])

    def _back(self, grad_columns: Array, grad_y: Array) -> Array:
        n_samples = grad_y.size // math.prod(self.shape_out)
        grad_x = np.zeros((*self.shape_in, n_samples), grad_y.dtype)
        self.windows.fold(grad_columns, grad_x)
        return samples_first(grad_x, self.shape_in, grad_y.shape[: -len(self.shape_out)])


class MaxPool(_Pool):
    """The largest number of each window, ``y_i = max_t x_{is + t}``; of equal ones the first.

    Parameters
    ----------
    shape_in : tuple of int
        Channels, and the size along each axis. What is left of a last window is left out.
    kernel : int
    stride : int, optional
        By default the kernel: windows side by side.

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae.network import MaxPool
    >>> layer = MaxPool((1, 4), 2)
    >>> layer.forward(np.array([[[1.0, 3.0, 2.0, 2.0]]])).tolist()
    [[[3.0, 2.0]]]
    >>> layer.backward(np.array([[[10.0, 20.0]]])).tolist()  # to the places that won
    [[[0.0, 10.0, 20.0, 0.0]]]
    """

    remembers = ("winners",)
    winners: Array

    def __call__(self, x: Array) -> Array:
        """Outputs ``(…, *shape_out)`` for inputs ``(…, *shape_in)``."""
        return self._out(self._columns(x).max(axis=1), x)

    def forward(self, x: Array, rng: np.random.Generator | None = None) -> Array:
        """The same, keeping which ones won."""
        columns = self._columns(x)
        self.winners = columns.argmax(axis=1, keepdims=True)
        return self._out(np.take_along_axis(columns, self.winners, axis=1), x)

    def backward(self, grad_y: Array, *, input_gradient: bool = True) -> Any:
        """The gradient of an output goes to the winner alone (10.8)."""
        if not input_gradient:
            return None
        n_channels, _, n_windows = self.winners.shape
        grad_columns = np.zeros((n_channels, self.windows.n_taps, n_windows), grad_y.dtype)
        np.put_along_axis(grad_columns, self.winners, self._flat(grad_y), axis=1)
        return self._back(grad_columns, grad_y)


class AveragePool(_Pool):
    """The mean of each window.

    Parameters
    ----------
    shape_in, kernel, stride
        As of `MaxPool`.

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae.network import AveragePool
    >>> AveragePool((1, 4), 2)(np.array([[[1.0, 3.0, 2.0, 2.0]]])).tolist()
    [[[2.0, 2.0]]]
    """

    def __call__(self, x: Array) -> Array:
        """Outputs ``(…, *shape_out)`` for inputs ``(…, *shape_in)``."""
        return self._out(self._columns(x).mean(axis=1), x)

    def forward(self, x: Array, rng: np.random.Generator | None = None) -> Array:
        """The same."""
        return self(x)

    def backward(self, grad_y: Array, *, input_gradient: bool = True) -> Any:
        """The gradient of an output goes to all in its window, in equal parts (10.8a)."""
        if not input_gradient:
            return None
        share = self._flat(grad_y) / self.windows.n_taps
        return self._back(np.repeat(share, self.windows.n_taps, axis=1), grad_y)


class Upsample(Layer):
    """Every number ``factor`` times along each axis: nearest-neighbour upsampling.

    Parameters
    ----------
    shape_in : tuple of int
        Channels, and the size along each axis.
    factor : int

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae.network import Upsample
    >>> layer = Upsample((1, 2), 3)
    >>> layer.forward(np.array([[[1.0, 2.0]]])).tolist()
    [[[1.0, 1.0, 1.0, 2.0, 2.0, 2.0]]]
    >>> layer.backward(np.ones((1, 1, 6))).tolist()
    [[[3.0, 3.0]]]
    """

    def __init__(self, shape_in: Shape, factor: int) -> None:
        n_channels, *size = shape_in
        shape_out = (n_channels, *(factor * n for n in size))
        self.windows = Windows(shape_out[1:], factor, stride=factor)
        super().__init__(shape_in, shape_out)

    def __call__(self, x: Array) -> Array:
        """Outputs ``(…, *shape_out)`` for inputs ``(…, *shape_in)``."""
        flat = samples_last(x, self.shape_in).reshape(self.shape_in[0], 1, -1)
        y = np.zeros((*self.shape_out, x.size // math.prod(self.shape_in)), x.dtype)
        self.windows.fold(np.repeat(flat, self.windows.n_taps, axis=1), y)
        return samples_first(y, self.shape_out, x.shape[: -len(self.shape_in)])

    def forward(self, x: Array, rng: np.random.Generator | None = None) -> Array:
        """The same."""
        return self(x)

    def backward(self, grad_y: Array, *, input_gradient: bool = True) -> Any:
        """The gradients of all copies, added up."""
        if not input_gradient:
            return None
        columns = self.windows.unfold(samples_last(grad_y, self.shape_out))
        grad_x = columns.reshape(self.shape_in[0], self.windows.n_taps, -1).sum(axis=1)
        return samples_first(grad_x, self.shape_in, grad_y.shape[: -len(self.shape_out)])
