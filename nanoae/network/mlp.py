"""Layers, one behind the other; of plain dense ones, the multilayer perceptron."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from nanoae.arrays import Array
from nanoae.network.dense import Dense
from nanoae.network.parameters import Parameters


class Sequential:
    """Layers, one behind the other.

    Parameters
    ----------
    layers : sequence of Dense
        Each as wide at its input as the one before at its output.

    Attributes
    ----------
    layers : list of Dense
    shapes : dict from name to shape
        Of all parameters, for `Parameters`.

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae.network import Dense, Parameters, Sequential
    >>> network = Sequential([Dense(1, 2, "relu", bias=False), Dense(2, 1, bias=False)])
    >>> parameters = Parameters({"network": network})
    >>> parameters.values[...] = [1, -1, 1, 1]  # relu(x) + relu(-x)
    >>> network(np.array([[-3.0], [2.0]])).tolist()
    [[3.0], [2.0]]
    """

    def __init__(self, layers: Sequence[Dense]) -> None:
        self.layers = list(layers)
        self.shapes = {
            f"layers[{i}].{name}": shape
            for i, layer in enumerate(self.layers)
            for name, shape in layer.shapes.items()
        }

    def bind(self, parameters: Parameters, prefix: str) -> None:
        """Hand every layer its views of the flat vectors."""
        for i, layer in enumerate(self.layers):
            layer.bind(parameters, f"{prefix}layers[{i}].")

    def initialise(self, rng: np.random.Generator) -> None:
        """Draw all weights anew."""
        for layer in self.layers:
            layer.initialise(rng)

    def __call__(self, x: Array) -> Array:
        """Outputs for inputs ``(n, n_in)``; keeps nothing, so threads may share a network."""
        for layer in self.layers:
            x = layer(x)
        return x

    def forward(self, x: Array) -> Array:
        """The same, with every layer keeping what `backward` needs."""
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def backward(self, grad: Array, *, input_gradient: bool = True) -> Any:
        """From ∂L/∂output to the gradients of all parameters and, if wanted, ∂L/∂input (1.2e).

        ``grad`` is overwritten. Last layer first: so a layer has used its input before the layer
        below, whose output that is, writes its derivative over it. About twice the
        multiplications of ``forward`` (1.2f).
        """
        for layer in reversed(self.layers[1:]):
            grad = layer.backward(grad)
        return self.layers[0].backward(grad, input_gradient=input_gradient)

    def forget(self) -> None:
        """Let go of the last batch and of the work arrays."""
        for layer in self.layers:
            layer.forget()


class MLP(Sequential):
    """Dense layers between the given widths, with a linear last one.

    Parameters
    ----------
    sizes : sequence of int
        Widths from input to output; two of them make a single linear layer.
    activation : str, default "relu"
        Of every layer but the last.
    bias : bool, default True

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae.network import MLP, Parameters
    >>> network = MLP((64, 16, 2))
    >>> network.shapes["layers[1].weight"], [layer.is_linear for layer in network.layers]
    ((16, 2), [False, True])
    >>> Parameters({"encoder_": network}).values.size  # 64 · 16 + 16 + 16 · 2 + 2
    1074
    """

    def __init__(
        self, sizes: Sequence[int], activation: str = "relu", *, bias: bool = True
    ) -> None:
        last = len(sizes) - 2
        super().__init__(
            [
                Dense(n_in, n_out, activation if i < last else "identity", bias=bias)
                for i, (n_in, n_out) in enumerate(pairwise(sizes))
            ]
        )
