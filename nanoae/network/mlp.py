"""Layers, one behind the other; of plain dense ones, the multilayer perceptron."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from nanoae.arrays import Array
from nanoae.network.activations import ACTIVATIONS
from nanoae.network.architecture import Architecture
from nanoae.network.dense import Dense
from nanoae.network.dropout import Dropout
from nanoae.network.layer import Layer, Shape
from nanoae.validation import check_choice, check_layer_sizes, check_probability


class Sequential(Layer):
    """Layers, one behind the other.

    Parameters
    ----------
    layers : sequence of Layer
    shape_in : tuple of int, optional
        Of a row of input, where it has more axes than the first layer looks at.

    Attributes
    ----------
    layers : list of Layer

    Raises
    ------
    ValueError
        A layer does not take what the one before it gives.

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

    def __init__(self, layers: Sequence[Layer], shape_in: Shape | None = None) -> None:
        shape_in = shape = layers[0].shape_in if shape_in is None else shape_in
        for i, layer in enumerate(layers):
            n_before = len(shape) - len(layer.shape_in)  # axes that are rows to it
            if shape[max(n_before, 0) :] != layer.shape_in:
                raise ValueError(
                    f"layers[{i}] must take rows of shape {shape}, which layers[{i - 1}] gives; "
                    f"it takes {layer.shape_in}."
                )
            shape = shape[:n_before] + layer.shape_out
        self.layers = list(layers)
        parts = {f"layers[{i}]": layer for i, layer in enumerate(layers)}
        super().__init__(shape_in, shape, parts=parts)

    def __call__(self, x: Array) -> Array:
        """Outputs for inputs; keeps nothing."""
        for layer in self.layers:
            x = layer(x)
        return x

    def forward(self, x: Array, rng: np.random.Generator | None = None) -> Array:
        """The same, with every layer keeping what `backward` needs."""
        for layer in self.layers:
            x = layer.forward(x, rng)
        return x

    def backward(self, grad_y: Array, *, input_gradient: bool = True) -> Any:
        """From ∂L/∂output to the gradients of all parameters and, if wanted, ∂L/∂input (1.2e).

        Last layer first. About twice the multiplications of ``forward`` (1.2f).
        """
        for layer in reversed(self.layers[1:]):
            grad_y = layer.backward(grad_y)
        return self.layers[0].backward(grad_y, input_gradient=input_gradient)


class MLP(Sequential):
    """Dense layers between the given widths.

    Parameters
    ----------
    sizes : sequence of int
        Widths from input to output; two of them make a single linear layer.
    activation : str, default "relu"
        Of every layer but the last.
    last : str, default "identity"
        Activation of the last layer.
    bias : bool, default True
    dropout, input_dropout : float, default 0
        Probability with which training drops a hidden unit, and an input: there is a `Dropout` in
        front of the layers that take them.

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
        self,
        sizes: Sequence[int],
        activation: str = "relu",
        *,
        last: str = "identity",
        bias: bool = True,
        dropout: float = 0.0,
        input_dropout: float = 0.0,
    ) -> None:
        n_hidden = len(sizes) - 2
        activations = [activation] * n_hidden + [last]
        probabilities = [input_dropout] + [dropout] * n_hidden
        layers: list[Layer] = []
        for (n_in, n_out), its_own, probability in zip(
            pairwise(sizes), activations, probabilities, strict=True
        ):
            if probability:
                layers.append(Dropout(n_in, probability))
            layers.append(Dense(n_in, n_out, its_own, bias=bias))
        super().__init__(layers)


@dataclass(frozen=True)
class FullyConnected(Architecture):
    """An MLP to the code, and its mirror image back: what ``architecture=None`` stands for.

    Parameters
    ----------
    hidden_layer_sizes : tuple of int, default (64,)
        Widths of the encoder's hidden layers; the decoder has them in reverse, and linear outputs.
    activation : {"identity", "relu", "tanh", "sigmoid", "softplus"}, default "relu"
        Of the hidden layers.
    code_activation : the same words, default "identity"
        Of the code.
    dropout : float, default 0
        Probability with which training drops a hidden unit of either network.
    code_dropout : float, default 0
        The same of the code, on its way into the decoder.

    Raises
    ------
    ValueError, TypeError
        One of these is impossible.

    Examples
    --------
    >>> from nanoae.network import FullyConnected
    >>> networks = FullyConnected((16, 4))
    >>> [layer.shape_out for layer in networks.encoder(64, 2).layers]
    [(16,), (4,), (2,)]
    >>> [layer.shape_out for layer in networks.decoder(2, 64).layers]
    [(4,), (16,), (64,)]
    """

    hidden_layer_sizes: Sequence[int] = (64,)
    activation: str = "relu"
    code_activation: str = "identity"
    dropout: float = 0.0
    code_dropout: float = 0.0

    def __post_init__(self) -> None:
        check_layer_sizes("hidden_layer_sizes", self.hidden_layer_sizes)
        for name in ("activation", "code_activation"):
            check_choice(name, getattr(self, name), tuple(ACTIVATIONS))
        for name in ("dropout", "code_dropout"):
            check_probability(name, getattr(self, name))

    def encoder(self, n_in: int, n_out: int) -> MLP:
        """From samples ``(n, n_in)`` to codes ``(n, n_out)``."""
        sizes = (n_in, *self.hidden_layer_sizes, n_out)
        return MLP(sizes, self.activation, last=self.code_activation, dropout=self.dropout)

    def decoder(self, n_in: int, n_out: int) -> MLP:
        """From codes ``(n, n_in)`` to samples ``(n, n_out)``."""
        sizes = (n_in, *reversed(self.hidden_layer_sizes), n_out)
        return MLP(sizes, self.activation, dropout=self.dropout, input_dropout=self.code_dropout)
