"""Recurrent layers, forward and backward through time by hand, and the networks made of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from nanoae.arrays import Array
from nanoae.network.activations import ACTIVATIONS
from nanoae.network.dense import Dense, draw
from nanoae.network.layer import Layer, Shape
from nanoae.network.mlp import Sequential
from nanoae.network.sequence import LastRead, Repeat, SequenceArchitecture, SequenceLayer
from nanoae.validation import check_choice


class RecurrentLayer(SequenceLayer):
    """What recurrent layers share: a state that each step changes, if it is there.

    They work with time as the first axis, so that a step is one block of memory, and with the
    products of all inputs taken at once: only ``h U`` has to wait for the step before. A step
    that is not there hands the state on as it is, and its gradient too (11.3).

    Examples
    --------
    >>> from nanoae.network import GRU, RNN
    >>> from nanoae.network.recurrent import RecurrentLayer
    >>> issubclass(RNN, RecurrentLayer) and issubclass(GRU, RecurrentLayer)
    True
    """

    weight: Array
    recurrent_weight: Array
    bias: Array
    backwards: bool

    def __init__(
        self, n_steps: int, n_in: int, n_out: int, *, backwards: bool, shapes: dict[str, Shape]
    ) -> None:
        super().__init__((n_steps, n_in), (n_steps, n_out), shapes=shapes)
        self.n_in, self.n_out, self.backwards = n_in, n_out, backwards

    def _by_time(self, x: Array) -> Array:
        """``(…, T, p)`` as ``(T, n, p)``, in the order of reading."""
        x = x.reshape(-1, *x.shape[-2:]).swapaxes(0, 1)
        return np.ascontiguousarray(x[::-1] if self.backwards else x)

    def _by_sample(self, h: Array, rows: Shape) -> Array:
        """And back."""
        h = h[::-1] if self.backwards else h
        return np.ascontiguousarray(h.swapaxes(0, 1)).reshape(*rows, *h.shape[::2])

    def _mask_by_time(self, mask: Array | None) -> list[Array | None]:
        """For each step which samples have it ``(n, 1)``, or None if all do."""
        if mask is None:
            return [None] * self.shape_in[0]
        steps = self._by_time(mask[..., None])
        return [None if step.all() else step for step in steps]

    def _products(self, x: Array) -> Array:
        """``x W + b`` of all steps."""
        a = x.reshape(-1, self.n_in) @ self.weight
        a += self.bias
        return a.reshape(*x.shape[:2], -1)


class RNN(RecurrentLayer):
    """A plain recurrent layer, ``h_t = f(x_t W + h_{t−1} U + b)`` from ``h_0 = 0``.

    Parameters
    ----------
    n_steps, n_in, n_out : int
        T, features a step, and width of the state.
    activation : {"identity", "relu", "tanh", "sigmoid", "softplus"}, default "tanh"
    backwards : bool, default False
        Read from the last step to the first. The state after a step stands at that step.

    Attributes
    ----------
    weight, grad_weight : ndarray of shape (n_in, n_out)
    recurrent_weight, grad_recurrent_weight : ndarray of shape (n_out, n_out)
    bias, grad_bias : ndarray of shape (n_out,)

    Examples
    --------
    It remembers a half of the sum so far; the last of three steps is not there:

    >>> import numpy as np
    >>> from nanoae.network import RNN, Parameters
    >>> layer = RNN(3, 1, 1, "identity")
    >>> parameters = Parameters({"layer": layer})
    >>> parameters.values[...] = [1.0, 0.5, 0.0]
    >>> layer(np.ones((1, 3, 1)), np.array([[True, True, False]])).ravel().tolist()
    [1.0, 1.5, 1.5]
    """

    remembers = ("x", "states", "mask", "rows")
    x: Array
    states: Array
    mask: list[Array | None]
    rows: Shape
    grad_weight: Array
    grad_recurrent_weight: Array
    grad_bias: Array

    def __init__(
        self, n_steps: int, n_in: int, n_out: int, activation: str = "tanh",
        *, backwards: bool = False,
    ) -> None:  # fmt: skip
        shapes = {"weight": (n_in, n_out), "recurrent_weight": (n_out, n_out), "bias": (n_out,)}
        super().__init__(n_steps, n_in, n_out, backwards=backwards, shapes=shapes)
        self.activation = ACTIVATIONS[activation]

    def initialise(self, rng: np.random.Generator) -> None:
        """Draw W as of a dense layer, and for U an orthogonal matrix (11.5a); biases are 0."""
        draw(rng, self.weight, self.activation.gain)
        self.recurrent_weight[...] = orthogonal(rng, self.n_out)
        self.bias.fill(0)

    def __call__(self, x: Array, mask: Array | None = None) -> Array:
        """States after every step ``(…, T, n_out)`` of sequences ``(…, T, n_in)``."""
        states = self._states(self._by_time(x), self._mask_by_time(mask))
        return self._by_sample(states[1:], x.shape[:-2])

    def forward(
        self, x: Array, rng: np.random.Generator | None = None, mask: Array | None = None
    ) -> Array:
        """The same, keeping inputs and states."""
        self.rows, self.x = x.shape[:-2], self._by_time(x)
        self.mask = self._mask_by_time(mask)
        self.states = self._states(self.x, self.mask)
        return self._by_sample(self.states[1:], self.rows)

    def _states(self, x: Array, mask: list[Array | None]) -> Array:
        a = self._products(x)
        states = np.zeros((len(x) + 1, *a.shape[1:]), a.dtype)
        for t, there in enumerate(mask):
            a[t] += states[t] @ self.recurrent_weight
            h = self.activation.value(a[t])
            states[t + 1] = h if there is None else np.where(there, h, states[t])
        return states

    def backward(self, grad_y: Array, *, input_gradient: bool = True) -> Any:
        """Through time, last step first: ``δ_t = ∂L/∂h_t f'``, ``∂L/∂h_{t−1} += δ_t Uᵀ`` (11.1).

        The gradients of the weights are sums over all steps (11.1a).
        """
        grad_y, n_steps = self._by_time(grad_y), len(self.x)
        derivative = self.activation.derivative(self.states[1:])
        delta = np.empty_like(grad_y)
        grad_h = np.zeros_like(grad_y[0])
        for t in reversed(range(n_steps)):
            grad_h = grad_h + grad_y[t]  # a state is an output, and the input of the next step
            there = self.mask[t]
            np.multiply(grad_h, derivative[t], out=delta[t])
            if there is None:
                grad_h = delta[t] @ self.recurrent_weight.T
            else:
                delta[t] *= there
                grad_h = np.where(there, 0, grad_h) + delta[t] @ self.recurrent_weight.T
        rows = delta.reshape(-1, self.n_out)
        np.matmul(self.x.reshape(-1, self.n_in).T, rows, out=self.grad_weight)
        np.matmul(self.states[:-1].reshape(-1, self.n_out).T, rows, out=self.grad_recurrent_weight)
        rows.sum(axis=0, out=self.grad_bias)
        return self._by_sample(delta @ self.weight.T, self.rows) if input_gradient else None

    @property
    def width(self) -> int:
        n_steps = self.shape_in[0]
        return max(n_steps * self.n_in, (n_steps + 1) * self.n_out)  # with the state h_0


class GRU(RecurrentLayer):
    """Gated recurrent units (Cho et al. 2014), with the reset gate behind the product.

    ``r, z = σ(x W + h U + b)``, ``g = tanh(x W_g + b_g + r (h U_g + c))``,
    ``h_t = (1 − z) g + z h_{t−1}``. That is PyTorch's form, but for its second bias of r and z,
    which would say the same as the first.

    Parameters
    ----------
    n_steps, n_in, n_out : int
        T, features a step, and width of the state.
    backwards : bool, default False
        Read from the last step to the first. The state after a step stands at that step.

    Attributes
    ----------
    weight, grad_weight : ndarray of shape (n_in, 3 n_out)
        Of r, z and g, side by side.
    recurrent_weight, grad_recurrent_weight : ndarray of shape (n_out, 3 n_out)
    bias, grad_bias : ndarray of shape (3 n_out,)
    candidate_bias, grad_candidate_bias : ndarray of shape (n_out,)
        c.

    Examples
    --------
    A gate of z = 1 keeps the state, whatever comes:

    >>> import numpy as np
    >>> from nanoae.network import GRU, Parameters
    >>> layer = GRU(2, 1, 1)
    >>> parameters = Parameters({"layer": layer})
    >>> layer.weight[0, 2], layer.bias[1] = 1.0, -50.0  # g = tanh(x), z = 0
    >>> layer(np.array([[[0.5], [2.0]]])).ravel().round(4).tolist()
    [0.4621, 0.964]
    >>> layer.bias[1] = 50.0
    >>> layer(np.array([[[0.5], [2.0]]])).ravel().round(4).tolist()
    [0.0, 0.0]
    """

    remembers = ("x", "states", "gates", "recalled", "mask", "rows")
    x: Array
    states: Array  # (T + 1, n, k), h_0 first
    gates: Array  # (T, n, 3 k): r, z, g
    recalled: Array  # (T, n, k): h U_g + c
    mask: list[Array | None]
    rows: Shape
    grad_weight: Array
    grad_recurrent_weight: Array
    grad_bias: Array
    candidate_bias: Array
    grad_candidate_bias: Array

    def __init__(self, n_steps: int, n_in: int, n_out: int, *, backwards: bool = False) -> None:
        shapes = {
            "weight": (n_in, 3 * n_out),
            "recurrent_weight": (n_out, 3 * n_out),
            "bias": (3 * n_out,),
            "candidate_bias": (n_out,),
        }
        super().__init__(n_steps, n_in, n_out, backwards=backwards, shapes=shapes)

    def initialise(self, rng: np.random.Generator) -> None:
        """Draw W as of dense layers, and for each U an orthogonal matrix; biases are 0."""
        for i, gain in enumerate((1.0, 1.0, ACTIVATIONS["tanh"].gain)):
            own = slice(i * self.n_out, (i + 1) * self.n_out)
            draw(rng, self.weight[:, own], gain)
            self.recurrent_weight[:, own] = orthogonal(rng, self.n_out)
        self.bias.fill(0)
        self.candidate_bias.fill(0)

    def __call__(self, x: Array, mask: Array | None = None) -> Array:
        """States after every step ``(…, T, n_out)`` of sequences ``(…, T, n_in)``."""
        states, *_ = self._run(self._by_time(x), self._mask_by_time(mask))
        return self._by_sample(states[1:], x.shape[:-2])

    def forward(
        self, x: Array, rng: np.random.Generator | None = None, mask: Array | None = None
    ) -> Array:
        """The same, keeping inputs, gates and states."""
        self.rows, self.x = x.shape[:-2], self._by_time(x)
        self.mask = self._mask_by_time(mask)
        self.states, self.gates, self.recalled = self._run(self.x, self.mask)
        return self._by_sample(self.states[1:], self.rows)

    def _run(self, x: Array, mask: list[Array | None]) -> tuple[Array, Array, Array]:
        k = self.n_out
        gates = self._products(x)
        states = np.zeros((len(x) + 1, x.shape[1], k), gates.dtype)
        recalled = np.empty((len(x), x.shape[1], k), gates.dtype)
        for t, there in enumerate(mask):
            h, r_and_z, g = states[t], gates[t, :, : 2 * k], gates[t, :, 2 * k :]
            h_U = h @ self.recurrent_weight
            r_and_z += h_U[:, : 2 * k]
            ACTIVATIONS["sigmoid"].value(r_and_z)
            np.add(h_U[:, 2 * k :], self.candidate_bias, out=recalled[t])
            g += r_and_z[:, :k] * recalled[t]
            np.tanh(g, out=g)
            new = np.subtract(h, g, out=states[t + 1])
            new *= r_and_z[:, k:]
            new += g  # g + z (h − g)
            if there is not None:
                np.copyto(new, h, where=~there)
        return states, gates, recalled

    def backward(self, grad_y: Array, *, input_gradient: bool = True) -> Any:
        """Through time, last step first (11.2)."""
        k, grad_y = self.n_out, self._by_time(grad_y)
        grad_a = np.empty_like(self.gates)  # by the pre-activations of r, z, g
        grad_h_U = np.empty_like(self.gates)  # by the three parts of h U
        grad_h = np.zeros_like(grad_y[0])
        for t in reversed(range(len(self.x))):
            grad_h += grad_y[t]  # a state is an output, and the input of the next step
            h, (r, z, g) = self.states[t], np.split(self.gates[t], 3, axis=1)
            there = self.mask[t]
            grad_kept: Any = 0
            if there is not None:
                grad_kept = np.where(there, 0, grad_h)  # handed on
                grad_h *= there
            grad_r, grad_z, grad_g = np.split(grad_a[t], 3, axis=1)  # views
            grad_through_z = grad_h * z
            np.multiply(grad_h - grad_through_z, 1 - g * g, out=grad_g)
            np.multiply(grad_through_z * (h - g), 1 - z, out=grad_z)
            np.multiply(grad_g * self.recalled[t], r * (1 - r), out=grad_r)
            grad_h_U[t, :, : 2 * k] = grad_a[t, :, : 2 * k]
            np.multiply(grad_g, r, out=grad_h_U[t, :, 2 * k :])
            grad_h = grad_h_U[t] @ self.recurrent_weight.T
            grad_h += grad_through_z
            grad_h += grad_kept
        rows, recurrent_rows = grad_a.reshape(-1, 3 * k), grad_h_U.reshape(-1, 3 * k)
        np.matmul(self.x.reshape(-1, self.n_in).T, rows, out=self.grad_weight)
        np.matmul(
            self.states[:-1].reshape(-1, k).T, recurrent_rows, out=self.grad_recurrent_weight
        )
        rows.sum(axis=0, out=self.grad_bias)
        recurrent_rows[:, 2 * k :].sum(axis=0, out=self.grad_candidate_bias)
        if not input_gradient:
            return None
        return self._by_sample((rows @ self.weight.T).reshape(self.x.shape), self.rows)

    @property
    def width(self) -> int:
        return self.shape_in[0] * max(self.n_in, 3 * self.n_out)


def orthogonal(rng: np.random.Generator, n: int) -> Array:
    """A random orthogonal matrix ``(n, n)``: no power of it changes a length (11.5a).

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae.network.recurrent import orthogonal
    >>> Q = orthogonal(np.random.default_rng(0), 4)
    >>> bool(np.allclose(Q.T @ Q, np.eye(4)))
    True
    """
    Q, R = np.linalg.qr(rng.standard_normal((n, n)))
    return Q * np.sign(np.diag(R))  # so that it is uniform over all of them


@dataclass(frozen=True)
class Recurrent(SequenceArchitecture):
    """Recurrent networks, for sequences of unequal length.

    The encoder reads a sequence from its last step to its first, and a dense layer makes the code
    of the state at the end. The decoder is handed the code at every step, begins with the first,
    which is the one that was read last, and a dense layer makes a step of each of its states.

    Samples are a list of ``(T_i, p)`` arrays, an ``(n, T, p)`` array, or rows of T p columns with
    NaN behind the end of those that are shorter; of tokens, ``(T_i,)`` arrays of whole numbers.
    Decoded samples have T steps, as many as the longest.

    Parameters
    ----------
    features_per_step : int, default 1
        p.
    width : int, default 64
        Of the state, in both networks.
    vocabulary_size : int, optional
        Steps are tokens, whole numbers from 0 to this, exclusive. With ``loss="categorical"``.
    n_steps : int, optional
        T, if sequences are to come that are longer than those of the training. Every step has the
        same weights, so there is nothing that such steps would lack.
    cell : {"gru", "tanh", "linear"}, default "gru"

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae import Autoencoder, Recurrent
    >>> rng = np.random.default_rng(0)
    >>> X = [np.cumsum(rng.standard_normal((T, 2)), axis=0) for T in (5, 3, 4, 5)]
    >>> model = Autoencoder(2, architecture=Recurrent(2, width=8), max_iter=200, random_state=0)
    >>> model.fit(X).transform(X).shape
    (4, 2)
    >>> [x.shape for x in model.reconstruct(X)]
    [(5, 2), (3, 2), (4, 2), (5, 2)]
    """

    cell: str = "gru"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("cell", self.cell, ("gru", "tanh", "linear"))

    def encoder(self, n_in: int, n_out: int) -> Layer:
        """From rows ``(n, n_in)`` to codes ``(n, n_out)``."""
        n_steps, reader = self._n_steps(n_in), self._reader()
        p = self.width if reader else self.features_per_step
        cell = self._cell(n_steps, p, backwards=True)
        last = [LastRead(n_steps, self.width), Dense(self.width, n_out)]
        return self._on_sequences(n_in, [*reader, cell, *last])

    def decoder(self, n_in: int, n_out: int) -> Layer:
        """From codes ``(n, n_in)`` to rows ``(n, n_out)``, or logits ``(n, n_out, tokens)``."""
        n_steps = self._n_steps(n_out)
        cell = self._cell(n_steps, n_in, backwards=False)
        return Sequential([Repeat(n_steps, n_in), cell, *self._readout(n_steps)])

    def _cell(self, n_steps: int, n_in: int, *, backwards: bool) -> Layer:
        if self.cell == "gru":
            return GRU(n_steps, n_in, self.width, backwards=backwards)
        activation = {"tanh": "tanh", "linear": "identity"}[self.cell]
        return RNN(n_steps, n_in, self.width, activation, backwards=backwards)
