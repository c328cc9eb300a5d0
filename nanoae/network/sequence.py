"""What recurrent networks and transformers share: steps, masks, and the way from and to rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nanoae.arrays import Array
from nanoae.network.architecture import Architecture
from nanoae.network.dense import Dense
from nanoae.network.layer import Layer
from nanoae.network.mlp import Sequential
from nanoae.sequences import Sequences
from nanoae.validation import check_integer


class SequenceLayer(Layer):
    """A layer of sequences ``(…, T, p)`` that is told which steps are there.

    ``mask`` is a boolean array ``(…, T)``; None stands for all. Nothing that a step holds which is
    not there may change an output of those that are, or a gradient.

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae.network import MeanOverSteps
    >>> layer, x = MeanOverSteps(3, 1), np.array([[[1.0], [3.0], [1000.0]]])
    >>> layer(x, np.array([[True, True, False]])).tolist()
    [[2.0]]
    """

    def __call__(self, x: Array, mask: Array | None = None) -> Array:
        """Outputs for inputs; keeps nothing."""
        raise NotImplementedError

    def forward(
        self, x: Array, rng: np.random.Generator | None = None, mask: Array | None = None
    ) -> Array:
        """The same in training."""
        raise NotImplementedError


class OnSequences(Sequential):
    """Layers, one behind the other, on the steps of rows: the encoder of sequences.

    Parameters
    ----------
    sequences : Sequences
        How they stand in the rows.
    n_in : int
        Columns of a row: T steps of p features each.
    layers : sequence of Layer
        The first takes ``(T, p)``. Those that are a `SequenceLayer` are handed the mask.

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae.network import MeanOverSteps, OnSequences
    >>> from nanoae.sequences import Sequences
    >>> network = OnSequences(Sequences(1), 3, [MeanOverSteps(3, 1)])
    >>> network(np.array([[1.0, 3.0, np.nan], [4.0, 5.0, 6.0]])).tolist()
    [[2.0], [5.0]]
    """

    def __init__(self, sequences: Sequences, n_in: int, layers: Sequence[Layer]) -> None:
        p = sequences.features_per_step
        super().__init__(layers, shape_in=(n_in // p, p))
        self.sequences, self.shape_in = sequences, (n_in,)

    def __call__(self, x: Array) -> Array:
        """Codes of rows ``(n, T p)``; keeps nothing."""
        x, mask = self.sequences.steps(x)
        for layer in self.layers:
            x = layer(x, mask) if isinstance(layer, SequenceLayer) else layer(x)
        return x

    def forward(self, x: Array, rng: np.random.Generator | None = None) -> Array:
        """The same, with every layer keeping what `backward` needs."""
        x, mask = self.sequences.steps(x)
        for layer in self.layers:
            masked = {"mask": mask} if isinstance(layer, SequenceLayer) else {}
            x = layer.forward(x, rng, **masked)
        return x

    def backward(self, grad_y: Array, *, input_gradient: bool = True) -> Any:
        """As of `Sequential`; the gradient at what is not there is 0."""
        grad_x = super().backward(grad_y, input_gradient=input_gradient)
        return None if grad_x is None else grad_x.reshape(*grad_x.shape[:-2], -1)


class Embedding(Layer):
    """A vector for each token.

    Parameters
    ----------
    n_tokens, width : int
        Inputs ``(…, 1)`` are whole numbers from 0 to ``n_tokens``, exclusive.

    Attributes
    ----------
    vectors, grad_vectors : ndarray of shape (n_tokens, width)

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae.network import Embedding, Parameters
    >>> layer = Embedding(2, 3)
    >>> parameters = Parameters({"layer": layer})
    >>> layer.vectors[1] = [1.0, 2.0, 3.0]
    >>> layer(np.array([[0], [1]])).tolist()
    [[0.0, 0.0, 0.0], [1.0, 2.0, 3.0]]
    """

    remembers = ("tokens",)
    tokens: Array
    vectors: Array
    grad_vectors: Array

    def __init__(self, n_tokens: int, width: int) -> None:
        super().__init__((1,), (width,), shapes={"vectors": (n_tokens, width)})

    def initialise(self, rng: np.random.Generator) -> None:
        """Draw vectors of N(0, 1)."""
        self.vectors[...] = rng.standard_normal(self.vectors.shape)

    def __call__(self, x: Array) -> Array:
        return self.vectors[x[..., 0].astype(np.intp)]

    def forward(self, x: Array, rng: np.random.Generator | None = None) -> Array:
        self.tokens = x[..., 0].astype(np.intp)
        return self.vectors[self.tokens]

    def backward(self, grad_y: Array, *, input_gradient: bool = True) -> None:
        """A vector's gradient is the sum over all places of its token (3.1a); tokens have none."""
        rows, tokens = grad_y.reshape(-1, grad_y.shape[-1]), self.tokens.ravel()
        order = np.argsort(tokens, kind="stable")
        present, starts = np.unique(tokens[order], return_index=True)
        self.grad_vectors.fill(0)
        self.grad_vectors[present] = np.add.reduceat(rows[order], starts, axis=0)


class MeanOverSteps(SequenceLayer):
    """The mean over the steps that are there.

    Parameters
    ----------
    n_steps, width : int

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae.network import MeanOverSteps
    >>> MeanOverSteps(2, 2)(np.array([[[1.0, 0.0], [3.0, 4.0]]])).tolist()
    [[2.0, 2.0]]
    """

    remembers = ("weights",)
    weights: Array

    def __init__(self, n_steps: int, width: int) -> None:
        super().__init__((n_steps, width), (width,))

    def __call__(self, x: Array, mask: Array | None = None) -> Array:
        return _weighted_sum(self._weights(x, mask), x)

    def forward(
        self, x: Array, rng: np.random.Generator | None = None, mask: Array | None = None
    ) -> Array:
        self.weights = self._weights(x, mask)
        return _weighted_sum(self.weights, x)

    def backward(self, grad_y: Array, *, input_gradient: bool = True) -> Any:
        return self.weights[..., None] * grad_y[..., None, :] if input_gradient else None

    def _weights(self, x: Array, mask: Array | None) -> Array:
        there = np.ones(x.shape[:-1], bool) if mask is None else mask
        return (there / there.sum(axis=-1, keepdims=True)).astype(x.real.dtype)


def _weighted_sum(weights: Array, x: Array) -> Array:
    return (weights[..., None, :] @ x)[..., 0, :]


class LastRead(Layer):
    """The last state of a recurrent layer that reads backwards: the one at the first step.

    Parameters
    ----------
    n_steps, width : int

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae.network import LastRead
    >>> LastRead(2, 1)(np.array([[[7.0], [8.0]]])).tolist()
    [[7.0]]
    """

    def __init__(self, n_steps: int, width: int) -> None:
        super().__init__((n_steps, width), (width,))

    def __call__(self, x: Array) -> Array:
        return np.ascontiguousarray(x[..., 0, :])

    def forward(self, x: Array, rng: np.random.Generator | None = None) -> Array:
        return self(x)

    def backward(self, grad_y: Array, *, input_gradient: bool = True) -> Any:
        if not input_gradient:
            return None
        grad_x = np.zeros((*grad_y.shape[:-1], *self.shape_in), grad_y.dtype)
        grad_x[..., 0, :] = grad_y
        return grad_x


class Repeat(Layer):
    """A code, handed to every step.

    Parameters
    ----------
    n_steps, width : int

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae.network import Repeat
    >>> Repeat(3, 1)(np.array([[5.0]])).tolist()
    [[[5.0], [5.0], [5.0]]]
    """

    def __init__(self, n_steps: int, width: int) -> None:
        super().__init__((width,), (n_steps, width))

    def __call__(self, x: Array) -> Array:
        return np.repeat(x[..., None, :], self.shape_out[0], axis=-2)

    def forward(self, x: Array, rng: np.random.Generator | None = None) -> Array:
        return self(x)

    def backward(self, grad_y: Array, *, input_gradient: bool = True) -> Any:
        return grad_y.sum(axis=-2) if input_gradient else None  # a shared value: the sum (3.1a)


class Flatten(Layer):
    """Steps, one behind the other in a row.

    Parameters
    ----------
    shape_in : tuple of int

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae.network import Flatten
    >>> Flatten((2, 2))(np.array([[[1.0, 2.0], [3.0, 4.0]]])).tolist()
    [[1.0, 2.0, 3.0, 4.0]]
    """

    def __init__(self, shape_in: tuple[int, ...]) -> None:
        super().__init__(shape_in, (int(np.prod(shape_in)),))

    def __call__(self, x: Array) -> Array:
        return x.reshape(*x.shape[: x.ndim - len(self.shape_in)], -1)

    def forward(self, x: Array, rng: np.random.Generator | None = None) -> Array:
        return self(x)

    def backward(self, grad_y: Array, *, input_gradient: bool = True) -> Any:
        return grad_y.reshape(*grad_y.shape[:-1], *self.shape_in) if input_gradient else None


@dataclass(frozen=True)
class SequenceArchitecture(Architecture):
    """What `Recurrent` and `Transformer` share: how steps come in and go out.

    Examples
    --------
    >>> from nanoae.network import Recurrent, Transformer
    >>> Recurrent(12).sequences
    Sequences(features_per_step=12, n_tokens=None, n_steps=None)
    >>> Transformer(vocabulary_size=27).sequences
    Sequences(features_per_step=1, n_tokens=27, n_steps=None)
    """

    features_per_step: int = 1
    width: int = 64
    vocabulary_size: int | None = None
    n_steps: int | None = None

    def __post_init__(self) -> None:
        check_integer("features_per_step", self.features_per_step, 1)
        check_integer("width", self.width, 1)
        if self.vocabulary_size is not None:
            check_integer("vocabulary_size", self.vocabulary_size, 2)
            if self.features_per_step != 1:
                raise ValueError(
                    "features_per_step must be 1 with a vocabulary_size: a step is a token; got "
                    f"{self.features_per_step}."
                )
        if self.n_steps is not None:
            check_integer("n_steps", self.n_steps, 1)

    @property
    def sequences(self) -> Sequences:
        """How samples stand in rows."""
        return Sequences(self.features_per_step, self.vocabulary_size, self.n_steps)

    def _n_steps(self, n_columns: int) -> int:
        return n_columns // self.features_per_step

    def _on_sequences(self, n_in: int, layers: Sequence[Layer]) -> Layer:
        return OnSequences(self.sequences, n_in, layers)

    def _reader(self) -> list[Layer]:
        """What makes vectors of tokens; nothing for steps of numbers."""
        tokens = self.vocabulary_size
        return [] if tokens is None else [Embedding(tokens, self.width)]

    def _readout(self, n_steps: int) -> list[Layer]:
        """What makes rows of states ``(n, T, width)``, or logits ``(n, T, tokens)``."""
        if self.vocabulary_size is not None:
            return [Dense(self.width, self.vocabulary_size)]
        p = self.features_per_step
        return [Dense(self.width, p), Flatten((n_steps, p))]
