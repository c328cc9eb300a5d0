"""The dense layer, ``y = f(x W + b)``, forward and backward by hand."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from nanoae.arrays import Array, rows_times
from nanoae.network.activations import ACTIVATIONS
from nanoae.network.layer import Layer, Shape


class Dense(Layer):
    """A dense layer with its activation, on the last axis of its input.

    Parameters
    ----------
    n_in, n_out : int
        Widths of input and output.
    activation : {"identity", "relu", "tanh", "sigmoid", "softplus"}, default "identity"
    bias : bool, default True

    Attributes
    ----------
    weight, grad_weight : ndarray of shape (n_in, n_out)
        Views into the model's flat vectors, from `bind` on.
    bias, grad_bias : ndarray of shape (n_out,), or None
    x, y : ndarray
        Input and output of the last `forward`.

    Raises
    ------
    KeyError
        There is no such activation.

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae.network import Dense, Parameters
    >>> layer = Dense(2, 1)
    >>> parameters = Parameters({"layer": layer})  # holds the memory
    >>> layer.weight[...] = [[1.0], [2.0]]
    >>> layer.forward(np.array([[3.0, 4.0]])).tolist()  # 3 · 1 + 4 · 2
    [[11.0]]
    >>> layer.backward(np.ones((1, 1))).tolist(), layer.grad_weight.tolist()  # Wᵀ, and xᵀ
    ([[1.0, 2.0]], [[3.0], [4.0]])
    """

    remembers: ClassVar[tuple[str, ...]] = ("x", "y")
    x: Array
    y: Array
    weight: Array
    grad_weight: Array

    def __init__(
        self, n_in: int, n_out: int, activation: str = "identity", *, bias: bool = True
    ) -> None:
        shapes: dict[str, Shape] = {"weight": (n_in, n_out)}
        if bias:
            shapes["bias"] = (n_out,)
        super().__init__((n_in,), (n_out,), shapes=shapes)
        self.n_in, self.n_out = n_in, n_out
        self.activation = ACTIVATIONS[activation]
        self.is_linear = activation == "identity"
        self.bias: Array | None = None
        self.grad_bias: Array | None = None

    def initialise(self, rng: np.random.Generator) -> None:
        """Draw the weights, with the activation's gain; biases are 0."""
        draw(rng, self.weight, self.activation.gain)
        if self.bias is not None:
            self.bias.fill(0)

    def __call__(self, x: Array) -> Array:
        """Outputs ``(…, n_out)`` for inputs ``(…, n_in)``."""
        a = rows_times(x, self.weight)
        if self.bias is not None:
            a += self.bias
        return self.activation.value(a)

    def forward(self, x: Array, rng: np.random.Generator | None = None) -> Array:
        """The same, keeping ``x`` and ``y`` for `backward`."""
        self.x, self.y = x, self(x)
        return self.y

    @property
    def slope(self) -> Array:
        """``f'(a)`` at the last `forward`, of shape (…, n_out)."""
        return self.activation.derivative(self.y)

    @property
    def curvature(self) -> Array:
        """``f''(a)`` there."""
        return self.activation.second_derivative(self.y)

    def backward(self, grad_y: Array, *, input_gradient: bool = True) -> Any:
        """Turn ∂L/∂y into ∂L/∂W, ∂L/∂b and ∂L/∂x.

        Parameters
        ----------
        grad_y : ndarray of shape (…, n_out)
        input_gradient : bool, default True
            Whether ∂L/∂x is wanted: the first layer of a network has nobody to pass it to.

        Returns
        -------
        grad_x : ndarray of shape (…, n_in), or None
        """
        grad_a = grad_y  # f' = 1 if the layer is linear
        if not self.is_linear:
            grad_a = grad_y * self.slope  # part of (1.2e)
        return self.backward_affine(grad_a, input_gradient=input_gradient)

    def backward_affine(self, grad_a: Array, *, input_gradient: bool = True) -> Any:
        """The same from ∂L/∂a, ``a = x W + b``: for losses that see more of a than f(a)."""
        x, rows = self.x.reshape(-1, self.n_in), grad_a.reshape(-1, self.n_out)
        np.matmul(x.T, rows, out=self.grad_weight)  # ∂L/∂W = xᵀ ∂L/∂a (1.1a)
        if self.grad_bias is not None:
            rows.sum(axis=0, out=self.grad_bias)  # ∂L/∂b = Σ_r ∂L/∂a (1.1b)
        # ∂L/∂x = ∂L/∂a Wᵀ (1.1c)
        return rows_times(grad_a, self.weight.T) if input_gradient else None


def draw(
    rng: np.random.Generator, weight: Array, gain: float, *, fans: float | None = None
) -> None:
    """Draw ``weight`` (n_in, n_out) uniformly, of variance ``gain² · 2 / (n_in + n_out)`` (1.10c).

    Glorot & Bengio (2010): signals ask for ``1 / n_in`` to keep their size, gradients for
    ``1 / n_out``, and this lies between.

    Parameters
    ----------
    rng : Generator
    weight : ndarray of shape (n_in, n_out)
    gain : float
    fans : float, optional
        ``n_in + n_out`` where that is not the sum of the shape.

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae.network.dense import draw
    >>> weight = np.empty((300, 100))
    >>> draw(np.random.default_rng(0), weight, gain=1.0)
    >>> round(float(weight.var()), 4)  # 2 / 400
    0.005
    """
    # the variance of these is limit²/3
    limit = gain * np.sqrt(6 / (sum(weight.shape) if fans is None else fans))
    weight[...] = rng.uniform(-limit, limit, size=weight.shape)
