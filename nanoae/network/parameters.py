"""One flat vector of values, one of gradients; everything else is a view into them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Protocol

import numpy as np
from numpy.typing import DTypeLike

from nanoae.arrays import Array, zeros


class _Part(Protocol):
    """A layer or a network, as far as it matters here."""

    shapes: dict[str, tuple[int, ...]]

    def bind(self, parameters: Parameters, prefix: str) -> None: ...

    def initialise(self, rng: np.random.Generator) -> None: ...


class Parameters:
    """All that a model learns, in one contiguous vector, and its gradient in another.

    Layers hold reshaped views of both vectors. So an optimizer's step is arithmetic on two
    vectors, a gradient check walks along one, and saving a model is saving one array.

    Parameters
    ----------
    parts : mapping from name to Layer or shape
        Laid out one behind the other in this order. A layer, such as a network, is bound: it is
        handed its views. A bare shape, such as ``()`` for a scalar, is one parameter.
    dtype : dtype, default float64

    Attributes
    ----------
    values, gradient : ndarray of shape (n_parameters,)
    names : list of str
        ``'encoder_.layers[0].weight'``: the way to each parameter from the model.
    layers : list of Layer
        Those of the parts that are one.

    Examples
    --------
    A layer's weights and the flat vector are the same memory:

    >>> from nanoae.network import MLP, Parameters
    >>> network = MLP((2, 1))
    >>> parameters = Parameters({"decoder_": network, "log_noise_variance": ()})
    >>> network.layers[0].weight[...] = [[1.0], [2.0]]
    >>> parameters.names[0], parameters.values.tolist()
    ('decoder_.layers[0].weight', [1.0, 2.0, 0.0, 0.0])
    >>> parameters.locate(2), parameters.locate(3)
    ('decoder_.layers[0].bias[0]', 'log_noise_variance')
    """

    def __init__(
        self, parts: Mapping[str, _Part | tuple[int, ...]], dtype: DTypeLike = np.float64
    ) -> None:
        shapes: dict[str, tuple[int, ...]] = {}
        for name, part in parts.items():
            if isinstance(part, tuple):
                shapes[name] = part
            else:
                shapes.update({f"{name}.{inner}": s for inner, s in part.shapes.items()})
        self.names = list(shapes)
        self._shapes = list(shapes.values())
        self._starts = np.cumsum([0, *(math.prod(shape) for shape in self._shapes)])
        self.values, self.gradient = (zeros(int(self._starts[-1]), dtype) for _ in range(2))
        self.layers: list[_Part] = []
        for name, part in parts.items():
            if not isinstance(part, tuple):
                part.bind(self, f"{name}.")
                self.layers.append(part)

    def __getitem__(self, name: str) -> tuple[Array, Array]:
        """Views of one parameter's values and gradient, in its own shape."""
        i = self.names.index(name)
        part = slice(self._starts[i], self._starts[i + 1])
        return (
            self.values[part].reshape(self._shapes[i]),
            self.gradient[part].reshape(self._shapes[i]),
        )

    def weights(self) -> Iterator[tuple[Array, Array]]:
        """Values and gradient of all whose names end in "weight", which weight decay acts on."""
        return (self[name] for name in self.names if name.endswith("weight"))

    def places(self) -> Iterator[Array]:
        """For each parameter, its places in the flat vector."""
        return (np.arange(a, b) for a, b in zip(self._starts[:-1], self._starts[1:], strict=True))

    def locate(self, index: int) -> str:
        """What stands at a place of the flat vector: ``'encoder_.layers[0].bias[3]'``."""
        i = int(np.searchsorted(self._starts, index, side="right")) - 1
        place = np.unravel_index(index - self._starts[i], self._shapes[i])
        return self.names[i] + (f"[{', '.join(map(str, place))}]" if place else "")
