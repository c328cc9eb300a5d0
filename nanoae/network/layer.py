"""The layer contract: what all that computes forward and passes gradients back agrees on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from nanoae.arrays import Array
from nanoae.network.parameters import Parameters

Shape = tuple[int, ...]


class Layer:
    """A part of a network, ``y = f(x)``, with the way of the gradients back through it.

    What all of them keep to:

    - Calling a layer is pure; `forward` computes the same and remembers what `backward` needs.
    - A layer writes only into arrays of its own, never into what it was given or has handed out.
      So a result may have several users, and after one forward any number of backwards is right.
    - `backward` sets the gradients of the parameters, it does not add to them. A layer that is
      used twice in one pass is one layer on the stacked rows of both uses.
    - A layer looks at the last axes of its input, as many as ``shape_in`` has; those before them
      are rows.

    A layer of one's own has ``__call__``, ``forward`` and ``backward``, tells this constructor its
    shapes, names in ``remembers`` what its ``forward`` keeps, and draws its own parameters in
    ``initialise``, or they stay 0. Weight decay acts on those whose names end in "weight".

    Parameters
    ----------
    shape_in, shape_out : tuple of int
        Of one row of input and output; neighbours are checked against each other.
    shapes : mapping from name to shape, optional
        Of its own parameters. `bind` makes attributes of them: ``weight`` and ``grad_weight``.
    parts : mapping from name to Layer, optional
        Layers inside this one.

    Attributes
    ----------
    shapes : dict from name to shape
        Of its own parameters and those of its parts.
    memory : tuple
        What the last forward kept. Hand it back, and the next backward is that of its pass, if
        its input is still what it was (training's batches share one array) and so are the weights.
    width : int
        Most numbers that a row takes on its way through.

    Examples
    --------
    A layer that stretches each feature, and that may be used as often as one likes:

    >>> import numpy as np
    >>> from nanoae.network import Layer, Parameters
    >>> class Scale(Layer):
    ...     remembers = ("x",)
    ...
    ...     def __init__(self, n):
    ...         super().__init__((n,), (n,), shapes={"factor": (n,)})
    ...
    ...     def initialise(self, rng):
    ...         self.factor.fill(1)
    ...
    ...     def __call__(self, x):
    ...         return x * self.factor
    ...
    ...     def forward(self, x, rng=None):
    ...         self.x = x
    ...         return self(x)
    ...
    ...     def backward(self, grad_y, *, input_gradient=True):
    ...         rows = (grad_y * self.x).reshape(-1, *self.shape_in)
    ...         rows.sum(axis=0, out=self.grad_factor)
    ...         return grad_y * self.factor if input_gradient else None
    >>> layer = Scale(2)
    >>> parameters = Parameters({"layer": layer})
    >>> parameters.values[...] = [2.0, 3.0]
    >>> layer.forward(np.array([[1.0, 1.0], [5.0, 0.0]])).tolist()
    [[2.0, 3.0], [10.0, 0.0]]
    >>> layer.backward(np.ones((2, 2))).tolist(), parameters.gradient.tolist()
    ([[2.0, 3.0], [2.0, 3.0]], [6.0, 1.0])
    """

    remembers: ClassVar[tuple[str, ...]] = ()
    shapes: dict[str, Shape]

    def __init__(
        self,
        shape_in: Shape,
        shape_out: Shape,
        *,
        shapes: Mapping[str, Shape] | None = None,
        parts: Mapping[str, Layer] | None = None,
    ) -> None:
        self.shape_in, self.shape_out = shape_in, shape_out
        self.parts = dict(parts or {})
        self._own = dict(shapes or {})
        self.shapes = self._own | {
            f"{part}.{name}": shape
            for part, layer in self.parts.items()
            for name, shape in layer.shapes.items()
        }

    def __call__(self, x: Array) -> Array:
        """Outputs for inputs; keeps nothing, so threads may share a layer."""
        raise NotImplementedError

    def forward(self, x: Array, rng: np.random.Generator | None = None) -> Array:
        """The same in training: keeps what `backward` needs; ``rng`` draws the noise, if any."""
        raise NotImplementedError

    def backward(self, grad_y: Array, *, input_gradient: bool = True) -> Any:
        """From ∂L/∂y to the gradients of the parameters and, if wanted, ∂L/∂x."""
        raise NotImplementedError

    def bind(self, parameters: Parameters, prefix: str) -> None:
        """Take this layer's views of the flat vectors, under ``prefix + "weight"`` and so on."""
        for name in self._own:
            value, gradient = parameters[prefix + name]
            vars(self).update({name: value, f"grad_{name}": gradient})
        for name, part in self.parts.items():
            part.bind(parameters, f"{prefix}{name}.")

    def initialise(self, rng: np.random.Generator) -> None:
        """Draw all weights anew."""
        for part in self.parts.values():
            part.initialise(rng)

    @property
    def memory(self) -> tuple[Any, ...]:
        own = tuple(getattr(self, name) for name in self.remembers)
        return own + tuple(part.memory for part in self.parts.values())

    @memory.setter
    def memory(self, memory: tuple[Any, ...]) -> None:
        n_own = len(self.remembers)
        vars(self).update(zip(self.remembers, memory[:n_own], strict=True))
        for part, its_own in zip(self.parts.values(), memory[n_own:], strict=True):
            part.memory = its_own

    def forget(self) -> None:
        """Let go of the last batch."""
        for name in self.remembers:
            vars(self).pop(name, None)
        for part in self.parts.values():
            part.forget()

    @property
    def width(self) -> int:
        ends = max(math.prod(self.shape_in), math.prod(self.shape_out))
        return max([ends, *(part.width for part in self.parts.values())])
