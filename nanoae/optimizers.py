"""Optimizers: each turns a flat gradient into a step of the flat vector, in place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from nanoae.arrays import Array, zeros

PART = 2**16  # parameters that Adam moves at a time


class Optimizer(Protocol):
    """Anything that can take a step.

    Examples
    --------
    >>> from nanoae.optimizers import SGD, Adam, Optimizer
    >>> optimizers: list[Optimizer] = [SGD(learning_rate=0.1), Adam(learning_rate=1e-3)]
    >>> [optimizer.state() for optimizer in optimizers]  # neither has made a step yet
    [{}, {}]
    """

    def step(self, values: Array, gradient: Array) -> None:
        """Move ``values`` downhill, in place; ``gradient`` may be overwritten."""

    def state(self) -> dict[str, Any]:
        """What it remembers of its steps: live arrays and numbers."""

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up a `state`, and go on as if it had made those steps itself."""


class SGD:
    """Gradient descent, with momentum if asked (Polyak 1964).

    ``v ← μ v − η g``, then ``θ ← θ + v``: (1.12) says how fast, on a quadratic.

    Parameters
    ----------
    learning_rate : float or ndarray of shape (n_parameters,), default 1e-2
        η, the size of a step, for all parameters or for each.
    momentum : float in [0, 1], default 0
        μ, the part of the last step that is taken again.

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae.optimizers import SGD
    >>> theta, optimizer = np.array([1.0]), SGD(learning_rate=0.1, momentum=0.9)
    >>> for _ in range(200):
    ...     optimizer.step(theta, 2 * theta)  # of θ²
    >>> bool(abs(theta[0]) < 1e-3)
    True
    """

    def __init__(self, learning_rate: float | Array = 1e-2, momentum: float = 0.0) -> None:
        self.learning_rate = learning_rate
        self.momentum = momentum
        self.t = 0
        self._velocity: Array | None = None

    def step(self, values: Array, gradient: Array) -> None:
        """Take one step, in place."""
        if self._velocity is None:
            self._velocity = np.zeros_like(values)
        self.t += 1
        self._velocity *= self.momentum
        gradient *= self.learning_rate
        self._velocity -= gradient
        values += self._velocity
        if self.t % 10 == 0:
            forget_traces(self._velocity)

    def state(self) -> dict[str, Any]:
        """The velocity, and the number of steps."""
        return {} if self._velocity is None else {"velocity": self._velocity, "t": self.t}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up a `state`."""
        self._velocity = state.get("velocity")
        self.t = state.get("t", 0)  # files of the first version have none


class Adam:
    """Adaptive moments (Kingma & Ba 2015, algorithm 1, in the efficient order of their §2).

    ``m ← β₁ m + (1 − β₁) g``, ``v ← β₂ v + (1 − β₂) g²``, and with both divided by their bias
    ``1 − β^t``: ``θ ← θ − η m̂ / (√v̂ + ε)``. The first step is (1.14).

    Parameters
    ----------
    learning_rate : float or ndarray of shape (n_parameters,), default 1e-3
        η; a vector gives each parameter its own, as when two players share one flat vector.
    beta_1, beta_2 : float, default 0.9 and 0.999
        Memories of the gradient and of its square.
    epsilon : float, default 1e-8
        Added to the root of the bias-corrected second moment.

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae.optimizers import Adam
    >>> theta = np.array([1.0, 1.0])
    >>> Adam(learning_rate=0.01).step(theta, np.array([1000.0, 0.001]))
    >>> theta.round(4).tolist()  # the first step has the same length whatever the gradient
    [0.99, 0.99]
    """

    def __init__(
        self,
        learning_rate: float | Array = 1e-3,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
    ) -> None:
        self.learning_rate = learning_rate
        self.beta_1, self.beta_2 = beta_1, beta_2
        self.epsilon = epsilon
        self.t = 0

    def step(self, values: Array, gradient: Array) -> None:
        """Take one step, in place."""
        if self.t == 0:
            self._m, self._v = zeros(values.size, values.dtype), zeros(values.size, values.dtype)
        self.t += 1
        # √v̂ + ε = (√v + ε/c) c with v̂ = c² v, and likewise m̂
        m_scale = (1 - self.beta_1) / (1 - self.beta_1**self.t)
        c = ((1 - self.beta_2) / (1 - self.beta_2**self.t)) ** 0.5
        rates = np.asarray(self.learning_rate * m_scale / c, values.dtype)
        rates = np.broadcast_to(rates, values.shape)
        # a part is read ten times: small enough, it is in the processor's cache from the second
        # time on. From the end, so that what the next batch needs first is there too
        for start in reversed(range(0, values.size, PART)):
            part = slice(start, start + PART)
            theta, g, m, v = values[part], gradient[part], self._m[part], self._v[part]
            m *= self.beta_1  # both without their factor 1 − β, which the two scalars take over
            m += g
            g *= g
            v *= self.beta_2
            v += g

            move = np.sqrt(v, out=g)
            move += self.epsilon / c
            np.divide(m, move, out=move)
            move *= rates[part]
            theta -= move
            if self.t % 10 == 0:
                forget_traces(m)

    def state(self) -> dict[str, Any]:
        """Both moments, and the number of steps."""
        return {"m": self._m, "v": self._v, "t": self.t} if self.t else {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up a `state`."""
        if state:
            self._m, self._v, self.t = state["m"], state["v"], state["t"]


def forget_traces(memory: Array) -> None:
    """Set to 0, in place, what a memory of gradients has all but forgotten.

    Where gradients have become exactly 0, as those of a pixel that is hardly ever lit, a factor of
    0.9 a step leads the memory down to the numbers below the smallest normal one, and never out of
    them: 0.9 · 5 rounds to 5, in units of the smallest. A processor takes a hundred times longer
    for each.

    Parameters
    ----------
    memory : ndarray of floats, any shape

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae.optimizers import forget_traces
    >>> memory = np.array([1e-40, -0.5, 1e-20], np.float32)
    >>> forget_traces(memory)
    >>> memory.tolist()[:2], bool(memory[2] > 0)
    ([0.0, -0.5], True)
    """
    memory[np.abs(memory) < 1e4 * np.finfo(memory.dtype).tiny] = 0
