"""The dense layer, ``y = f(x W + b)``, forward and backward by hand."""

from __future__ import annotations

from typing import Any

import numpy as np

from nanoae.arrays import Array
from nanoae.network.activations import ACTIVATIONS
from nanoae.network.parameters import Parameters


class Dense:
    """A dense layer with its activation.

    Calling it is pure; ``forward`` remembers what ``backward`` needs: its input, by reference,
    and its output. The arrays that those two return are the layer's own work arrays, used again
    at the next pass.

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

    weight: Array
    grad_weight: Array

    def __init__(
        self, n_in: int, n_out: int, activation: str = "identity", *, bias: bool = True
    ) -> None:
        self.n_in, self.n_out = n_in, n_out
        self.activation = ACTIVATIONS[activation]
        self.is_linear = activation == "identity"
        self.shapes: dict[str, tuple[int, ...]] = {"weight": (n_in, n_out)}
        if bias:
            self.shapes["bias"] = (n_out,)
        self.bias: Array | None = None
        self.grad_bias: Array | None = None
        self.forget()

    def bind(self, parameters: Parameters, prefix: str) -> None:
        """Take this layer's views of the flat vectors, under ``prefix + "weight"`` and so on."""
        self.weight, self.grad_weight = parameters[prefix + "weight"]
        if "bias" in self.shapes:
            self.bias, self.grad_bias = parameters[prefix + "bias"]

    def initialise(self, rng: np.random.Generator) -> None:
        """Draw the weights uniformly with variance ``gain² · 2 / (n_in + n_out)`` (1.10c).

        Glorot & Bengio (2010): signals ask for ``1 / n_in`` to keep their size, gradients for
        ``1 / n_out``, and this lies between; the gain is the activation's. Biases are 0.
        """
        limit = self.activation.gain * np.sqrt(6 / (self.n_in + self.n_out))  # variance limit²/3
        self.weight[...] = rng.uniform(-limit, limit, size=(self.n_in, self.n_out))
        if self.bias is not None:
            self.bias.fill(0)

    def __call__(self, x: Array) -> Array:
        """Outputs ``(n, n_out)`` for inputs ``(n, n_in)``, in a new array."""
        return self._activate(x @ self.weight)

    def forward(self, x: Array) -> Array:
        """The same, into a work array, keeping ``x`` and ``y`` for `backward`."""
        self.x = x
        self.y = self._activate(np.matmul(x, self.weight, out=self._work("y", x, self.n_out)))
        return self.y

    def backward(self, grad_y: Array, *, input_gradient: bool = True) -> Any:
        """Turn ∂L/∂y into ∂L/∂W, ∂L/∂b and ∂L/∂x.

        Parameters
        ----------
        grad_y : ndarray of shape (n, n_out)
            Overwritten (it becomes ∂L/∂a), as is the output that `forward` returned. It may lie
            in that output's own memory if the layer is linear, for then y is not needed.
        input_gradient : bool, default True
            Whether ∂L/∂x is wanted: the first layer of a network has nobody to pass it to.

        Returns
        -------
        grad_x : ndarray of shape (n, n_in), or None
        """
        grad_a = grad_y
        if not self.is_linear:
            grad_a *= self.activation.derivative(self.y)  # ∂L/∂a = ∂L/∂y ⊙ f'(a), part of (1.2e)
        np.matmul(self.x.T, grad_a, out=self.grad_weight)  # ∂L/∂W = xᵀ ∂L/∂a (1.1a)
        if self.grad_bias is not None:
            np.sum(grad_a, axis=0, out=self.grad_bias)  # ∂L/∂b = Σ_r ∂L/∂a (1.1b)
        if not input_gradient:
            return None
        # ∂L/∂x = ∂L/∂a Wᵀ (1.1c)
        return np.matmul(grad_a, self.weight.T, out=self._work("grad_x", grad_a, self.n_in))

    def forget(self) -> None:
        """Let go of the last batch and of the work arrays."""
        self.x = self.y = np.empty(0)
        self._work_arrays: dict[str, Array] = {}

    def _activate(self, a: Array) -> Array:
        if self.bias is not None:
            a += self.bias
        return self.activation.value(a)

    def _work(self, name: str, like: Array, width: int) -> Array:
        """The first ``len(like)`` rows of a work array that grows to the largest batch seen."""
        array = self._work_arrays.get(name)
        if array is None or len(array) < len(like):
            array = self._work_arrays[name] = np.empty((len(like), width), self.weight.dtype)
        return array[: len(like)]
