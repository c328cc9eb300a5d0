"""Attention and what transformers are made of, forward and backward by hand."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from nanoae.arrays import Array
from nanoae.network.activations import softmax
from nanoae.network.dense import Dense, draw
from nanoae.network.layer import Layer, Shape
from nanoae.network.mlp import MLP, Sequential
from nanoae.network.sequence import MeanOverSteps, Repeat, SequenceArchitecture, SequenceLayer
from nanoae.validation import check_integer


class Positions(Layer):
    """Adds to every step a vector of its own, by which attention tells steps apart (11.7).

    Parameters
    ----------
    n_steps, width : int

    Attributes
    ----------
    vectors, grad_vectors : ndarray of shape (n_steps, width)

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae.network import Parameters, Positions
    >>> layer = Positions(2, 1)
    >>> parameters = Parameters({"layer": layer})
    >>> parameters.values[...] = [10.0, 20.0]
    >>> layer(np.zeros((1, 2, 1))).tolist()
    [[[10.0], [20.0]]]
    """

    vectors: Array
    grad_vectors: Array

    def __init__(self, n_steps: int, width: int) -> None:
        super().__init__((n_steps, width), (n_steps, width), shapes={"vectors": (n_steps, width)})

    def initialise(self, rng: np.random.Generator) -> None:
        """Draw vectors of N(0, 1)."""
        self.vectors[...] = rng.standard_normal(self.vectors.shape)

    def __call__(self, x: Array) -> Array:
        return x + self.vectors

    def forward(self, x: Array, rng: np.random.Generator | None = None) -> Array:
        return self(x)

    def backward(self, grad_y: Array, *, input_gradient: bool = True) -> Any:
        grad_y.reshape(-1, *self.shape_in).sum(axis=0, out=self.grad_vectors)
        return grad_y if input_gradient else None


class LayerNorm(Layer):
    """``y = γ (x − mean) / √(variance + ε) + b``, over the last axis (Ba et al. 2016).

    Parameters
    ----------
    width : int
    epsilon : float, default 1e-5
        ε, inside the root, so that a constant x is no division by 0.

    Attributes
    ----------
    gain, grad_gain, bias, grad_bias : ndarray of shape (width,)

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae.network import LayerNorm, Parameters
    >>> layer = LayerNorm(2)
    >>> parameters = Parameters({"layer": layer})
    >>> layer.initialise(np.random.default_rng(0))
    >>> layer(np.array([[1.0, 5.0]])).round(4).tolist()
    [[-1.0, 1.0]]
    """

    remembers = ("normed", "scale")
    normed: Array
    scale: Array
    gain: Array
    grad_gain: Array
    bias: Array
    grad_bias: Array

    def __init__(self, width: int, epsilon: float = 1e-5) -> None:
        super().__init__((width,), (width,), shapes={"gain": (width,), "bias": (width,)})
        self.epsilon = epsilon

    def initialise(self, rng: np.random.Generator) -> None:
        """Gain 1 and bias 0."""
        self.gain.fill(1)
        self.bias.fill(0)

    def __call__(self, x: Array) -> Array:
        return self._output(self._normed(x)[0])

    def forward(self, x: Array, rng: np.random.Generator | None = None) -> Array:
        self.normed, self.scale = self._normed(x)
        return self._output(self.normed)

    def _normed(self, x: Array) -> tuple[Array, Array]:
        normed = x - _mean(x)
        scale = np.sqrt(_mean_product(normed, normed) + self.epsilon)
        normed /= scale
        return normed, scale

    def _output(self, normed: Array) -> Array:
        y = normed * self.gain
        y += self.bias
        return y

    def backward(self, grad_y: Array, *, input_gradient: bool = True) -> Any:
        """``∂L/∂x = (q − mean q − x̂ mean(q x̂)) / √(variance + ε)`` with ``q = γ ∂L/∂y`` (11.8)."""
        n = self.shape_in[0]
        rows, normed = grad_y.reshape(-1, n), self.normed.reshape(-1, n)
        np.einsum("ij,ij->j", rows, normed, out=self.grad_gain)
        rows.sum(axis=0, out=self.grad_bias)
        if not input_gradient:
            return None
        grad_x = grad_y * self.gain
        mean, along = _mean(grad_x), _mean_product(grad_x, self.normed)
        grad_x -= mean
        grad_x -= self.normed * along
        grad_x /= self.scale
        return grad_x


def _mean(x: Array) -> Array:
    """Over the last axis, by a product with a vector: several times as fast as ``mean``."""
    return x @ np.full((x.shape[-1], 1), 1 / x.shape[-1], x.real.dtype)


def _mean_product(x: Array, y: Array) -> Array:
    return np.einsum("...j,...j->...", x, y)[..., None] / x.shape[-1]


class SelfAttention(SequenceLayer):
    """Multi-head self-attention (Vaswani et al. 2017), ``softmax(Q Kᵀ/√d) V`` in each head.

    Keys have no bias: it would move all scores of a query alike, and its gradient is 0 (11.6b).
    Nor have values: theirs would pass the weighted mean as it is, and the output has one.

    Parameters
    ----------
    n_steps, width : int
        The steps are as many as there may be: of fewer it is the attention of these.
    n_heads : int, default 1
        Each works on ``d = width / n_heads`` features.
    causal : bool, default False
        A step sees itself and those before it.

    Attributes
    ----------
    weight, grad_weight : ndarray of shape (width, 3 width)
        Of queries, keys and values, side by side.
    bias, grad_bias : ndarray of shape (width,)
        Of the queries.
    output : Dense
        Behind the heads, which stand side by side.

    Examples
    --------
    Where all weights are 0 each step sees the mean of those that are there:

    >>> import numpy as np
    >>> from nanoae.network import Parameters, SelfAttention
    >>> layer = SelfAttention(3, 1)
    >>> parameters = Parameters({"layer": layer})
    >>> layer.weight[0, 2] = layer.output.weight[0, 0] = 1.0
    >>> layer(np.array([[[1.0], [3.0], [1000.0]]]), np.array([[True, True, False]])).tolist()
    [[[2.0], [2.0], [2.0]]]
    """

    remembers = ("x", "queries_keys_values", "attention", "heads")
    x: Array
    queries_keys_values: Array  # (3, n, heads, T, d); queries divided by √d
    attention: Array  # (n, heads, T, T): rows sum to 1
    heads: Array  # (n, heads, T, d)
    weight: Array
    grad_weight: Array
    bias: Array
    grad_bias: Array

    def __init__(
        self, n_steps: int, width: int, n_heads: int = 1, *, causal: bool = False
    ) -> None:
        self.n_heads, self.causal, self.head_width = n_heads, causal, width // n_heads
        self.output = Dense(width, width)
        shapes: dict[str, Shape] = {"weight": (width, 3 * width), "bias": (width,)}
        super().__init__(
            (n_steps, width), (n_steps, width), shapes=shapes, parts={"output": self.output}
        )

    def initialise(self, rng: np.random.Generator) -> None:
        """Draw the three maps and the output as dense layers; biases are 0."""
        for part in np.split(self.weight, 3, axis=1):
            draw(rng, part, 1.0)
        self.bias.fill(0)
        super().initialise(rng)

    def __call__(self, x: Array, mask: Array | None = None) -> Array:
        """Outputs ``(…, T, width)``; ``mask`` says which steps may be seen."""
        return self.output(self._merged(self._attend(x, mask)[-1], x.shape))

    def forward(
        self, x: Array, rng: np.random.Generator | None = None, mask: Array | None = None
    ) -> Array:
        """The same, keeping queries, keys, values and attention."""
        self.x = x
        self.queries_keys_values, self.attention, self.heads = self._attend(x, mask)
        return self.output.forward(self._merged(self.heads, x.shape), rng)

    def _attend(self, x: Array, mask: Array | None) -> tuple[Array, Array, Array]:
        n_steps, width = x.shape[-2:]
        rows = (x.reshape(-1, width) @ self.weight).reshape(-1, n_steps, 3 * width)
        rows[..., :width] += self.bias
        parts = rows.reshape(-1, n_steps, 3, self.n_heads, self.head_width)
        queries_keys_values = np.ascontiguousarray(parts.transpose(2, 0, 3, 1, 4))
        Q, K, V = queries_keys_values
        Q /= math.sqrt(self.head_width)
        seen: Any = None if mask is None else mask.reshape(-1, 1, 1, n_steps)
        if self.causal:
            before = np.tri(n_steps, dtype=bool)
            seen = before if seen is None else before & seen
        attention = softmax(Q @ K.swapaxes(-1, -2), seen)
        return queries_keys_values, attention, attention @ V

    def _merged(self, heads: Array, shape: Shape) -> Array:
        """``(n, heads, T, d)`` as ``(…, T, width)``: the heads of a step side by side."""
        return heads.swapaxes(1, 2).reshape(shape)

    def backward(self, grad_y: Array, *, input_gradient: bool = True) -> Any:
        """From the outputs to the scores ``S``, and from these to queries and keys (11.6)."""
        n_steps, width = self.x.shape[-2:]
        by_step = (-1, n_steps, self.n_heads, self.head_width)
        grad_merged = self.output.backward(grad_y)
        grad_O = np.ascontiguousarray(grad_merged.reshape(by_step).swapaxes(1, 2))
        (Q, K, V), P = self.queries_keys_values, self.attention
        # to Q, K and V, in one array with the steps first, as the rows of x have them
        grads = np.empty((len(P), n_steps, 3, self.n_heads, self.head_width), P.dtype)
        grad_Q, grad_K, grad_V = grads.transpose(2, 0, 3, 1, 4)
        grad_V[...] = P.swapaxes(-1, -2) @ grad_O
        # ∂L/∂S = P (∂L/∂P − rowsum(P ∂L/∂P)), and the sum is that of O ∂L/∂O (11.6a)
        grad_S = grad_O @ V.swapaxes(-1, -2)
        grad_S -= np.einsum("...d,...d->...", self.heads, grad_O)[..., None]
        grad_S *= P
        grad_Q[...] = grad_S @ K
        grad_Q /= math.sqrt(self.head_width)
        grad_K[...] = grad_S.swapaxes(-1, -2) @ Q
        rows, grad_rows = self.x.reshape(-1, width), grads.reshape(-1, 3 * width)
        np.matmul(rows.T, grad_rows, out=self.grad_weight)
        grad_rows[:, :width].sum(axis=0, out=self.grad_bias)
        return (grad_rows @ self.weight.T).reshape(self.x.shape) if input_gradient else None

    @property
    def width(self) -> int:
        n_steps, width = self.shape_in
        return max(3 * n_steps * width, self.n_heads * n_steps**2)


class TransformerBlock(SequenceLayer):
    """``y = x + attention(norm x)``, then ``y + MLP(norm y)``: a pre-norm block.

    Parameters
    ----------
    n_steps, width : int
    n_heads : int, default 1
    causal : bool, default False

    Attributes
    ----------
    attention : SelfAttention
    mlp : MLP
        With one hidden layer of ``4 width``, relu.
    norms : tuple of two LayerNorm

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae.network import Parameters, TransformerBlock
    >>> block = TransformerBlock(3, 4, n_heads=2)
    >>> parameters = Parameters({"block": block})  # of weights that are 0
    >>> x = np.random.default_rng(0).standard_normal((2, 3, 4))
    >>> bool((block(x) == x).all())  # what it adds is 0
    True
    """

    def __init__(
        self, n_steps: int, width: int, n_heads: int = 1, *, causal: bool = False
    ) -> None:
        self.norms = LayerNorm(width), LayerNorm(width)
        self.attention = SelfAttention(n_steps, width, n_heads, causal=causal)
        self.mlp = MLP((width, 4 * width, width))
        parts = {
            "norms[0]": self.norms[0], "attention": self.attention,
            "norms[1]": self.norms[1], "mlp": self.mlp,
        }  # fmt: skip
        super().__init__((n_steps, width), (n_steps, width), parts=parts)

    def __call__(self, x: Array, mask: Array | None = None) -> Array:
        y = x + self.attention(self.norms[0](x), mask)
        return y + self.mlp(self.norms[1](y))

    def forward(
        self, x: Array, rng: np.random.Generator | None = None, mask: Array | None = None
    ) -> Array:
        y = x + self.attention.forward(self.norms[0].forward(x, rng), rng, mask)
        return y + self.mlp.forward(self.norms[1].forward(y, rng), rng)

    def backward(self, grad_y: Array, *, input_gradient: bool = True) -> Any:
        """Each sum hands its gradient to both of its terms."""
        grad = grad_y + self.norms[1].backward(self.mlp.backward(grad_y))
        grad_branch = self.attention.backward(grad)
        grad_x = self.norms[0].backward(grad_branch, input_gradient=input_gradient)
        return grad + grad_x if input_gradient else None

    @property
    def width(self) -> int:
        return max(super().width, 4 * math.prod(self.shape_in))


@dataclass(frozen=True)
class Transformer(SequenceArchitecture):
    """Transformers, for sequences of unequal length.

    The encoder makes a vector of each step, adds that of its position, and sends all of them
    through blocks, in which steps look at each other; a dense layer makes the code of their mean.
    The decoder hands a vector made of the code to every position, and sends them through as many
    blocks; a dense layer makes a step of each. It knows no ends: all T steps look at each other.

    Samples are those of `Recurrent`.

    Parameters
    ----------
    features_per_step : int, default 1
        p.
    width : int, default 64
        Of the vector of a step, in both networks.
    vocabulary_size : int, optional
        Steps are tokens, whole numbers from 0 to this, exclusive. With ``loss="categorical"``.
    n_steps : int, optional
        T, if sequences are to come that are longer than those of the training. The encoder's
        vectors of positions that no sequence of the training had stay as they were drawn, so codes
        of longer ones are partly noise: rather train on some of that length.
    n_blocks : int, default 2
        In each network.
    n_heads : int, default 4
        Of the attention. The width must be a multiple of it.

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae import Autoencoder, Transformer
    >>> words = [np.array([0, 1, 2]), np.array([2, 1]), np.array([0, 0, 1])]
    >>> architecture = Transformer(width=8, n_blocks=1, n_heads=2, vocabulary_size=3)
    >>> model = Autoencoder(
    ...     2, architecture=architecture, loss="categorical", max_iter=200, learning_rate=0.01,
    ...     random_state=0,
    ... ).fit(words)
    >>> [word.tolist() for word in model.reconstruct(words)]
    [[0, 1, 2], [2, 1], [0, 0, 1]]
    """

    n_blocks: int = 2
    n_heads: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        check_integer("n_blocks", self.n_blocks, 1)
        check_integer("n_heads", self.n_heads, 1)
        if self.width % self.n_heads:
            raise ValueError(
                f"width must be a multiple of n_heads; got {self.width} and {self.n_heads}."
            )

    def encoder(self, n_in: int, n_out: int) -> Layer:
        """From rows ``(n, n_in)`` to codes ``(n, n_out)``."""
        n_steps, w = self._n_steps(n_in), self.width
        reader = self._reader() or [Dense(self.features_per_step, w)]
        pooled = [LayerNorm(w), MeanOverSteps(n_steps, w), Dense(w, n_out)]
        layers = [*reader, Positions(n_steps, w), *self._blocks(n_steps), *pooled]
        return self._on_sequences(n_in, layers)

    def decoder(self, n_in: int, n_out: int) -> Layer:
        """From codes ``(n, n_in)`` to rows ``(n, n_out)``, or logits ``(n, n_out, tokens)``."""
        n_steps, w = self._n_steps(n_out), self.width
        spread = [Dense(n_in, w), Repeat(n_steps, w), Positions(n_steps, w)]
        layers = [*spread, *self._blocks(n_steps), LayerNorm(w), *self._readout(n_steps)]
        return Sequential(layers)

    def _blocks(self, n_steps: int) -> list[Layer]:
        return [TransformerBlock(n_steps, self.width, self.n_heads) for _ in range(self.n_blocks)]
