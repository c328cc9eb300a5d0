"""The discriminator: logits of codes, their slopes, and the gradient of a penalty on these."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from nanoae.arrays import Array
from nanoae.network.activations import Activation
from nanoae.network.dense import Dense
from nanoae.network.layer import Layer
from nanoae.network.mlp import Sequential


def _leaky_relu(a: Array) -> Array:
    return np.maximum(a, 0.2 * a, out=a)


def _leaky_relu_derivative(y: Array) -> Array:
    return np.where(y > 0, 1, 0.2).astype(y.dtype)


# Unlike relu it has a slope everywhere, and codes that no unit sees would be pushed nowhere.
LEAKY_RELU = Activation(_leaky_relu, _leaky_relu_derivative, np.zeros_like, 2**0.5)


class DenseAlong(Dense):
    """A dense layer, linear or of leaky relu, that can take a direction along.

    Beside ``y = f(a)``, ``a = x W + b``, it computes how ``y`` changes as ``x`` moves along
    ``x_dot``: ``y_dot = f'(a) (x_dot W)``. Of a function of both, `backward_along` finds the
    gradients. As f' is constant on either side of 0, nothing comes back from ``y_dot`` to ``a``.

    Parameters
    ----------
    n_in, n_out : int
    is_linear : bool, default False

    Examples
    --------
    ``leaky_relu(2x)`` at −1 grows by 0.2 · 2 as x grows by 1:

    >>> import numpy as np
    >>> from nanoae.network import Parameters
    >>> from nanoae.network.discriminator import DenseAlong
    >>> layer = DenseAlong(1, 1)
    >>> parameters = Parameters({"layer": layer})  # holds the memory
    >>> layer.weight[...] = 2.0
    >>> x_dot = np.array([[1.0]])
    >>> y, y_dot = layer.forward_along(np.array([[-1.0]]), x_dot)
    >>> y.tolist(), y_dot.tolist()
    ([[-0.4]], [[0.4]])
    >>> _ = layer.backward_along(np.zeros((1, 1)), np.ones((1, 1)), x_dot)
    >>> layer.grad_weight.tolist()  # y_dot is 0.2 W
    [[0.2]]
    """

    def __init__(self, n_in: int, n_out: int, *, is_linear: bool = False) -> None:
        super().__init__(n_in, n_out)
        if not is_linear:
            self.activation, self.is_linear = LEAKY_RELU, False

    def forward_along(self, x: Array, x_dot: Array) -> tuple[Array, Array]:
        """Outputs, and their change along ``x_dot``; keeps what `forward` does."""
        y = self.forward(x)
        return y, self.activation.derivative(y) * (x_dot @ self.weight)  # (13.1e)

    def backward_along(
        self, grad_y: Array, grad_y_dot: Array, x_dot: Array
    ) -> tuple[Array, Array]:
        """From the gradients by both outputs to those by parameters and both inputs (13.1e)."""
        slope = self.activation.derivative(self.y)
        grad_a, grad_a_dot = slope * grad_y, slope * grad_y_dot
        self.grad_weight[...] = self.x.T @ grad_a + x_dot.T @ grad_a_dot
        if self.grad_bias is not None:
            self.grad_bias[...] = grad_a.sum(axis=0)  # the change does not see it
        return grad_a @ self.weight.T, grad_a_dot @ self.weight.T


class Products(Layer):
    """Each row and its products: ``z_1 … z_k``, then ``z_i z_j`` for ``i ≤ j``.

    Parameters
    ----------
    k : int

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae.network.discriminator import Products
    >>> Products(2)(np.array([[2.0, 3.0]])).tolist()
    [[2.0, 3.0, 4.0, 6.0, 9.0]]
    """

    remembers = ("x",)
    x: Array

    def __init__(self, k: int) -> None:
        self.i, self.j = np.triu_indices(k)
        super().__init__((k,), (k + len(self.i),))

    def __call__(self, x: Array) -> Array:
        """Outputs ``(…, k + k(k + 1)/2)`` for inputs ``(…, k)``."""
        return np.concatenate([x, x[..., self.i] * x[..., self.j]], axis=-1)

    def forward(self, x: Array, rng: np.random.Generator | None = None) -> Array:
        """The same, keeping the input."""
        self.x = x
        return self(x)

    def backward(self, grad_y: Array, *, input_gradient: bool = True) -> Any:
        """∂L/∂x: each product passes to either factor its gradient times the other one."""
        return self._to_factors(grad_y, self.x) if input_gradient else None

    def forward_along(self, x: Array, x_dot: Array) -> tuple[Array, Array]:
        """Outputs, and their change along ``x_dot``."""
        products = x_dot[:, self.i] * x[:, self.j] + x[:, self.i] * x_dot[:, self.j]
        return self.forward(x), np.hstack([x_dot, products])

    def backward_along(
        self, grad_y: Array, grad_y_dot: Array, x_dot: Array
    ) -> tuple[Array, Array]:
        """From the gradients by both outputs to those by both inputs."""
        k = self.x.shape[1]
        of_products = np.hstack([np.zeros_like(self.x), grad_y_dot[:, k:]])
        grad_x = self._to_factors(grad_y, self.x) + self._to_factors(of_products, x_dot)
        return grad_x, self._to_factors(grad_y_dot, self.x)

    def _to_factors(self, grad_y: Array, x: Array) -> Array:
        k = x.shape[-1]
        grad_x = grad_y[..., :k].copy()
        for c, (i, j) in enumerate(zip(self.i, self.j, strict=True)):
            grad_x[..., i] += grad_y[..., k + c] * x[..., j]
            grad_x[..., j] += grad_y[..., k + c] * x[..., i]
        return grad_x


class Discriminator(Sequential):
    """Logits a(z) of codes: σ(a) is the probability that z was drawn from the prior.

    Parameters
    ----------
    k : int
        Width of the codes.
    sizes : sequence of int, or "quadratic"
        Widths of hidden layers of leaky relu; or a quadratic function of z, which tells nothing
        where means and covariances agree, and is right where prior and codes are Gaussian (13.2c).

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae.network import Parameters
    >>> from nanoae.network.discriminator import Discriminator
    >>> discriminator = Discriminator(2, "quadratic")
    >>> parameters = Parameters({"discriminator_": discriminator})
    >>> parameters.values[...] = [0, 0, 1, 0, 0, 5]  # z_1² + 5
    >>> z = np.array([[1.0, 2.0]])
    >>> logits, slopes = discriminator.logits_and_slopes(z)
    >>> logits.tolist(), slopes.tolist()
    ([6.0], [[2.0, 0.0]])
    """

    def __init__(self, k: int, sizes: Sequence[int] | str) -> None:
        layers: list[Any] = []
        if isinstance(sizes, str):
            layers = [Products(k)]
            k, sizes = layers[0].shape_out[0], ()
        for n_in, n_out in pairwise((k, *sizes)):
            layers.append(DenseAlong(n_in, n_out))
        super().__init__([*layers, DenseAlong((k, *sizes)[-1], 1, is_linear=True)])

    def logits_and_slopes(self, z: Array) -> tuple[Array, Array]:
        """a and ``∇_z a`` of each row: ``(n,)`` and ``(n, k)``."""
        a = self.forward(z)
        return a[:, 0], self.backward(np.ones_like(a))

    def backward_with_slopes(self, z: Array, slopes: Array, grad_a: Array, gamma: Array) -> None:
        """Set the gradients of ``L(a) + ½ Σ_r γ_r ‖∇_z a(z_r)‖²`` by the parameters.

        That of the second term is that of ``Σ_r γ_r a_dot_r``, the change of each logit along its
        own slope, with the direction held fixed (13.1d).

        Parameters
        ----------
        z, slopes : ndarray of shape (n, k)
            Codes, and their slopes as `logits_and_slopes` gave them.
        grad_a, gamma : ndarray of shape (n,)
            ∂L/∂a, and the weight of each row's penalty.
        """
        layers: list[Any] = self.layers
        pair, directions = (z, slopes), []
        for layer in layers:
            directions.append(pair[1])
            pair = layer.forward_along(*pair)
        pair = grad_a[:, None], gamma[:, None]
        for layer, x_dot in zip(reversed(layers), reversed(directions), strict=True):
            pair = layer.backward_along(*pair, x_dot)
