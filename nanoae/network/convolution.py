"""Convolution and its transpose, and networks of them; forward and backward by hand."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from nanoae.arrays import Array
from nanoae.network.activations import ACTIVATIONS
from nanoae.network.architecture import Architecture
from nanoae.network.dense import Dense, draw
from nanoae.network.layer import Layer, Shape
from nanoae.network.mlp import Sequential
from nanoae.network.reshape import FromImages, Reshape, ToImages
from nanoae.network.windows import Windows, samples_first, samples_last
from nanoae.validation import check_bool, check_choice, check_integer, check_layer_sizes

AT_A_TIME = 4  # channels whose columns are in memory, on the way back


class _Sliding(Layer):
    """A kernel at all windows of an image: what convolution and its transpose have in common.

    In here samples are last, and all places in one row: ``(channels, places · n)``.
    """

    y: Array
    weight: Array
    grad_weight: Array

    def __init__(
        self, image: Shape, n_channels: int, kernel: int, stride: int, padding: int | str,
        circular: bool, activation: str, bias: bool, *, is_transposed: bool,
    ) -> None:  # fmt: skip
        self.windows = Windows(
            image[1:], kernel, stride=stride, padding=padding, circular=circular
        )
        ends: tuple[Shape, Shape] = (image, (n_channels, *self.windows.counts))
        shape_in, shape_out = reversed(ends) if is_transposed else ends
        shapes: dict[str, Shape] = {
            "weight": (n_channels, image[0], *[kernel] * len(self.windows.size))
        }
        if bias:
            shapes["bias"] = shape_out[:1]
        super().__init__(shape_in, shape_out, shapes=shapes)
        self.activation = ACTIVATIONS[activation]
        self.is_linear = activation == "identity"
        self.bias: Array | None = None
        self.grad_bias: Array | None = None

    def initialise(self, rng: np.random.Generator) -> None:
        """Draw the weights, with the activation's gain; biases are 0.

        At the windows a number is made of ``c k^D`` of the image, with D axes; of these each goes,
        on average, into ``c' (k/s)^D`` windows. They are the fans of (1.10c).
        """
        n_windows, n_image, n_taps = (*self.weight.shape[:2], self.windows.n_taps)
        fans = n_taps * (n_image + n_windows / self.windows.stride ** len(self.windows.size))
        draw(rng, self.weight, self.activation.gain, fans=fans)
        if self.bias is not None:
            self.bias.fill(0)

    @property
    def width(self) -> int:
        """That of the patches, which are most."""
        n_image = self.weight.shape[1]
        return max(super().width, n_image * self.windows.n_taps * math.prod(self.windows.counts))

    @property
    def _matrix(self) -> Array:
        """The kernel as it multiplies columns, ``(channels at the windows, c · taps)``."""
        return self.weight.reshape(len(self.weight), -1)

    def _columns(self, image: Array, shape: Shape) -> Array:
        return self.windows.unfold(samples_last(image, shape))

    def _flat(self, x: Array, shape: Shape) -> Array:
        return samples_last(x, shape).reshape(shape[0], -1)

    def _some_channels(self) -> Iterator[tuple[slice, slice]]:
        """The channels of the image, a few at a time, and the taps of these: so that not all
        columns need be in memory at once."""
        n_channels, n_taps = self.weight.shape[1], self.windows.n_taps
        for first in range(0, n_channels, AT_A_TIME):
            last = min(first + AT_A_TIME, n_channels)
            yield slice(first, last), slice(first * n_taps, last * n_taps)

    def _transposed(self, values: Array) -> Array:
        """``Kᵀ`` of values at the windows: images ``(c, *size, n)`` (10.1c)."""
        n_samples = values.shape[1] // math.prod(self.windows.counts)
        images = np.zeros((self.weight.shape[1], *self.windows.size, n_samples), values.dtype)
        for channels, taps in self._some_channels():
            self.windows.fold(self._matrix[:, taps].T @ values, images[channels])
        return images

    def _activate(self, a: Array) -> Array:
        a = a.reshape(self.shape_out[0], -1)
        if self.bias is not None:
            a += self.bias[:, None]
        return self.activation.value(a)

    def _grad_a(self, grad_y: Array, channels: slice = slice(None)) -> Array:
        """∂L/∂a of some channels of the output, and the gradients of their biases."""
        grad_a = grad_y
        if not self.is_linear:
            grad_a = self.activation.derivative(self.y[channels])
            grad_a *= grad_y  # part of (1.2e)
        if self.grad_bias is not None:
            grad_a.sum(axis=1, out=self.grad_bias[channels])  # over samples and places
        return grad_a


class Convolution(_Sliding):
    """A convolutional layer with its activation, ``y = f(K x + b)``, over any number of axes.

    ``(K x)[o, i, j] = Σ_cab w[o, c, a, b] x[c, i s + a − p, j s + b − p]``: the kernel is not
    flipped, as nowhere in deep learning. What lies beyond the borders is 0, or the image anew if
    it is ``circular``.

    Parameters
    ----------
    shape_in : tuple of int
        Channels, and the size along each axis: (c, N) for series, (c, H, W) for images.
    n_channels : int
        Of the output.
    kernel : int
        k, the width of the kernel along every axis.
    stride : int, default 1
        s, from one window to the next.
    padding : int or "same", default 0
        p: the first window begins so far before the border, and the last may end so far behind it.
        "same" is as much as lets ``⌈N/s⌉`` windows see all N numbers, the larger half before.
    circular : bool, default False
    activation : {"identity", "relu", "tanh", "sigmoid", "softplus"}, default "identity"
    bias : bool, default True
        One a channel.

    Attributes
    ----------
    weight, grad_weight : ndarray of shape (n_channels, channels in, k, …, k)
    bias, grad_bias : ndarray of shape (n_channels,), or None
    columns, y : ndarray
        What the windows saw in the last `forward`, and what became of it.

    Raises
    ------
    ValueError, TypeError
        A number is out of its range, or the kernel does not fit into the image.
    KeyError
        There is no such activation.

    Examples
    --------
    Differences of neighbours; and who has had a share in the first:

    >>> import numpy as np
    >>> from nanoae.network import Convolution, Parameters
    >>> layer = Convolution((1, 4), 1, kernel=2, bias=False)
    >>> parameters = Parameters({"layer": layer})  # holds the memory
    >>> layer.weight[...] = [[[-1.0, 1.0]]]
    >>> layer.forward(np.array([[[1.0, 4.0, 9.0, 16.0]]])).tolist()
    [[[3.0, 5.0, 7.0]]]
    >>> layer.backward(np.array([[[1.0, 0.0, 0.0]]])).tolist(), layer.grad_weight.tolist()
    ([[[-1.0, 1.0, 0.0, 0.0]]], [[[1.0, 4.0]]])
    """

    remembers = ("columns", "y")
    columns: Array

    def __init__(
        self, shape_in: Shape, n_channels: int, kernel: int, *, stride: int = 1,
        padding: int | str = 0, circular: bool = False, activation: str = "identity",
        bias: bool = True,
    ) -> None:  # fmt: skip
        super().__init__(
            shape_in, n_channels, kernel, stride, padding, circular, activation, bias,
            is_transposed=False,
        )  # fmt: skip

    def __call__(self, x: Array) -> Array:
        """Outputs ``(…, *shape_out)`` for inputs ``(…, *shape_in)``."""
        y = self._activate(self._matrix @ self._columns(x, self.shape_in))
        return samples_first(y, self.shape_out, _rows(x, self.shape_in))

    def forward(self, x: Array, rng: np.random.Generator | None = None) -> Array:
        """The same, keeping the columns and ``y`` for `backward`."""
        self.columns = self._columns(x, self.shape_in)
        self.y = self._activate(self._matrix @ self.columns)
        return samples_first(self.y, self.shape_out, _rows(x, self.shape_in))

    def backward(self, grad_y: Array, *, input_gradient: bool = True) -> Any:
        """Turn ∂L/∂y into ∂L/∂w, ∂L/∂b and ∂L/∂x.

        Parameters
        ----------
        grad_y : ndarray of shape (…, *shape_out)
        input_gradient : bool, default True
            Whether ∂L/∂x is wanted.

        Returns
        -------
        grad_x : ndarray of shape (…, *shape_in), or None
        """
        rows = _rows(grad_y, self.shape_out)
        grad_a = self._grad_a(self._flat(grad_y, self.shape_out))
        grad_matrix = self.grad_weight.reshape(len(grad_a), -1)
        np.matmul(grad_a, self.columns.T, out=grad_matrix)  # Σ g[o, i] x[c, is + a − p] (10.1b)
        if not input_gradient:
            return None
        return samples_first(self._transposed(grad_a), self.shape_in, rows)  # Kᵀ g


class TransposedConvolution(_Sliding):
    """The transpose of a convolution with its activation, ``y = f(Kᵀ x + b)``.

    K leads from images of ``shape_out`` to the ``n_channels`` that this layer takes, so the two
    have each other's shapes, and weights of the same shape. It is no inverse.

    Parameters
    ----------
    n_channels : int
        Of the input.
    shape_out : tuple of int
        Channels, and the size along each axis. It decides the size of the input, and so of all
        sizes that K takes to the same one this is the one that is meant.
    kernel, stride, padding, circular, activation, bias
        As of `Convolution`, of K.

    Attributes
    ----------
    weight, grad_weight : ndarray of shape (n_channels, channels out, k, …, k)
    bias, grad_bias : ndarray of shape (channels out,), or None
    x, y : ndarray
        Input and output of the last `forward`, samples last.

    Raises
    ------
    ValueError, TypeError, KeyError
        As of `Convolution`.

    Examples
    --------
    Each input sets a kernel down, a stride from the next, and where they overlap they add up:

    >>> import numpy as np
    >>> from nanoae.network import Parameters, TransposedConvolution
    >>> layer = TransposedConvolution(1, (1, 5), kernel=3, stride=2, bias=False)
    >>> parameters = Parameters({"layer": layer})
    >>> layer.weight[...] = [[[1.0, 2.0, 3.0]]]
    >>> layer.shape_in, layer(np.array([[[1.0, 10.0]]])).tolist()
    ((1, 2), [[[1.0, 2.0, 13.0, 20.0, 30.0]]])
    """

    remembers = ("x", "y")
    x: Array

    def __init__(
        self, n_channels: int, shape_out: Shape, kernel: int, *, stride: int = 1,
        padding: int | str = 0, circular: bool = False, activation: str = "identity",
        bias: bool = True,
    ) -> None:  # fmt: skip
        super().__init__(
            shape_out, n_channels, kernel, stride, padding, circular, activation, bias,
            is_transposed=True,
        )  # fmt: skip

    def __call__(self, x: Array) -> Array:
        """Outputs ``(…, *shape_out)`` for inputs ``(…, *shape_in)``."""
        return samples_first(
            self._outputs(self._flat(x, self.shape_in)), self.shape_out, _rows(x, self.shape_in)
        )

    def forward(self, x: Array, rng: np.random.Generator | None = None) -> Array:
        """The same, keeping ``x`` and ``y`` for `backward`."""
        self.x = self._flat(x, self.shape_in)
        self.y = self._outputs(self.x)
        return samples_first(self.y, self.shape_out, _rows(x, self.shape_in))

    def _outputs(self, x: Array) -> Array:
        return self._activate(self._transposed(x))

    def backward(self, grad_y: Array, *, input_gradient: bool = True) -> Any:
        """Turn ∂L/∂y into ∂L/∂w, ∂L/∂b and ∂L/∂x.

        Parameters
        ----------
        grad_y : ndarray of shape (…, *shape_out)
        input_gradient : bool, default True
            Whether ∂L/∂x is wanted.

        Returns
        -------
        grad_x : ndarray of shape (…, *shape_in), or None
        """
        rows, grad_y = _rows(grad_y, self.shape_out), self._flat(grad_y, self.shape_out)
        grad_matrix = self.grad_weight.reshape(len(self.x), -1)
        grad_x = np.zeros_like(self.x)
        for channels, taps in self._some_channels():
            grad_a = self._grad_a(grad_y[channels], channels)
            columns = self.windows.unfold(grad_a.reshape(len(grad_a), *self.windows.size, -1))
            # (10.1b), x and g having changed places
            np.matmul(self.x, columns.T, out=grad_matrix[:, taps])
            if input_gradient:
                grad_x += self._matrix[:, taps] @ columns  # K g
            del grad_a, columns  # before there are the next ones
        return samples_first(grad_x, self.shape_in, rows) if input_gradient else None


def _rows(x: Array, shape: Shape) -> Shape:
    return x.shape[: x.ndim - len(shape)]


@dataclass(frozen=True)
class Convolutional(Architecture):
    """Strided convolutions to the code, and their transposes back.

    Samples stay rows: of images the pixels in reading order, of colour images the colours of a
    pixel together, of series the channels of a moment.

    Parameters
    ----------
    shape : tuple of int
        Size of a sample along each axis: (28, 28) for images, (100,) for series.
    channels : tuple of int, default (16, 32)
        Of the encoder's hidden layers; the decoder has them in reverse. Each layer divides the
        size by ``stride``, rounded up.
    n_channels : int, default 1
        Of the data: 3 for colour images, whose colours come last. Of an (n, c, H, W) array X make
        ``np.moveaxis(X, 1, -1).reshape(len(X), -1)``. A ``shape`` of (3, 32, 32) is a volume.
    kernel : int, default 3
        Width of the kernels along every axis, not below ``stride``.
    stride : int, default 2
    circular : bool, default False
        Whether what lies beyond a border is the other end of the sample, and not 0. Codes move
        along with the data only if the strides divide the size all the way (10.4).
    activation : {"identity", "relu", "tanh", "sigmoid", "softplus"}, default "relu"
        Of the hidden layers.
    dense : bool, default True
        Whether a dense layer leads to the code, and one from it. If not, it is one more
        convolution, and ``n_components`` must be a multiple of the places that this leaves.
    bias : bool, default True
        Of all layers.

    Raises
    ------
    ValueError, TypeError
        One of these is impossible, or does not fit the data or the code.

    Examples
    --------
    A convolutional VAE of images of 8 by 8 pixels:

    >>> from nanoae import VAE, datasets
    >>> from nanoae.network import Convolutional
    >>> X = datasets.load_digits().X
    >>> model = VAE(2, architecture=Convolutional((8, 8), (4, 8)), max_iter=1, random_state=0)
    >>> [layer.shape_out for layer in model.fit(X).encoder_.layers]
    [(1, 8, 8), (4, 4, 4), (8, 2, 2), (32,), (4,)]
    """

    shape: Sequence[int]
    channels: Sequence[int] = (16, 32)
    n_channels: int = 1
    kernel: int = 3
    stride: int = 2
    circular: bool = False
    activation: str = "relu"
    dense: bool = True
    bias: bool = True

    def __post_init__(self) -> None:
        check_layer_sizes("shape", self.shape)
        if len(self.shape) == 0:
            raise ValueError("shape must have a number for each axis of a sample; got none.")
        check_layer_sizes("channels", self.channels)
        check_integer("n_channels", self.n_channels, 1)
        check_integer("stride", self.stride, 1)
        check_integer("kernel", self.kernel, 1)
        if self.kernel < self.stride:
            raise ValueError(
                f"kernel must be at least the stride, {self.stride}, or places between windows "
                f"are not seen; got {self.kernel}."
            )
        check_bool("circular", self.circular)
        check_choice("activation", self.activation, tuple(ACTIVATIONS))
        check_bool("dense", self.dense)
        check_bool("bias", self.bias)

    def encoder(self, n_in: int, n_out: int) -> Sequential:
        """From samples ``(n, n_in)`` to codes ``(n, n_out)``."""
        shapes = self._shapes(n_in, n_out)
        layers: list[Layer] = [ToImages(tuple(self.shape), self.n_channels)]
        for i, (below, above) in enumerate(pairwise(shapes)):
            activation = self.activation if i < len(self.channels) else "identity"
            layers.append(Convolution(below, above[0], activation=activation, **self._kernel))
        width = math.prod(shapes[-1])
        layers.append(Reshape(shapes[-1], (width,)))
        if self.dense:
            layers.append(Dense(width, n_out, bias=self.bias))
        return Sequential(layers)

    def decoder(self, n_in: int, n_out: int) -> Sequential:
        """From codes ``(n, n_in)`` to samples ``(n, n_out)``."""
        shapes = self._shapes(n_out, n_in)
        width = math.prod(shapes[-1])
        layers: list[Layer] = []
        if self.dense:
            activation = self.activation if self.channels else "identity"
            layers.append(Dense(n_in, width, activation, bias=self.bias))
        layers.append(Reshape((width,), shapes[-1]))
        for i, (below, above) in reversed([*enumerate(pairwise(shapes))]):
            activation = self.activation if i > 0 else "identity"
            layers.append(
                TransposedConvolution(above[0], below, activation=activation, **self._kernel)
            )
        layers.append(FromImages(tuple(self.shape), self.n_channels))
        return Sequential(layers)

    @property
    def _kernel(self) -> dict[str, Any]:
        return {
            "kernel": self.kernel, "stride": self.stride, "padding": "same",
            "circular": self.circular, "bias": self.bias,
        }  # fmt: skip

    def _shapes(self, n_features: int, n_code: int) -> list[Shape]:
        """Of the data, and of what each convolution makes of them."""
        if math.prod(self.shape) * self.n_channels != n_features:
            raise ValueError(
                "shape and n_channels of the architecture must be those of samples of "
                f"{n_features} features; got {self.shape!r} and {self.n_channels}."
            )
        size, shapes = tuple(self.shape), [(self.n_channels, *self.shape)]
        for n_channels in self.channels:
            size = tuple(-(-n // self.stride) for n in size)
            shapes.append((n_channels, *size))
        if not self.dense:
            size = tuple(-(-n // self.stride) for n in size)
            n_channels, rest = divmod(n_code, math.prod(size))
            if rest or n_channels == 0:
                raise ValueError(
                    f"without a dense layer a code has {math.prod(size)} places, so its width "
                    f"must be a multiple of that; got {n_code}."
                )
            shapes.append((n_channels, *size))
        return shapes
