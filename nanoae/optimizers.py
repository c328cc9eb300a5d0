"""Optimizers: each turns a flat gradient into a step of the flat vector, in place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np

from nanoae.arrays import Array
from nanoae.exceptions import TrainingDiverged


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

    ``v ← μ v − η g``, then ``θ ← θ + v``.

    Parameters
    ----------
    learning_rate : float, default 1e-2
        η, the size of a step.
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

    def __init__(self, learning_rate: float = 1e-2, momentum: float = 0.0) -> None:
        self.learning_rate = learning_rate
        self.momentum = momentum
        self._velocity: Array | None = None

    def step(self, values: Array, gradient: Array) -> None:
        """Take one step, in place."""
        if self._velocity is None:
            self._velocity = np.zeros_like(values)
        self._velocity *= self.momentum
        gradient *= self.learning_rate
        self._velocity -= gradient
        values += self._velocity

    def state(self) -> dict[str, Any]:
        """The velocity."""
        return {} if self._velocity is None else {"velocity": self._velocity}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up a `state`."""
        self._velocity = state.get("velocity")


class Adam:
    """Adaptive moments (Kingma & Ba 2015, algorithm 1, in the efficient order of their §2).

    ``m ← β₁ m + (1 − β₁) g``, ``v ← β₂ v + (1 − β₂) g²``, and with both divided by their bias
    ``1 − β^t``: ``θ ← θ − η m̂ / (√v̂ + ε)``.

    Parameters
    ----------
    learning_rate : float, default 1e-3
        η.
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
        learning_rate: float = 1e-3,
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
            self._m, self._v = np.zeros_like(values), np.zeros_like(values)
        self.t += 1
        m, v = self._m, self._v  # both without their factor 1 − β, which the two scalars take over
        m *= self.beta_1
        m += gradient
        gradient *= gradient
        v *= self.beta_2
        v += gradient

        # √v̂ + ε = (√v + ε/c) c with v̂ = c² v, and likewise m̂
        m_scale = (1 - self.beta_1) / (1 - self.beta_1**self.t)
        c = ((1 - self.beta_2) / (1 - self.beta_2**self.t)) ** 0.5
        move = np.sqrt(v, out=gradient)
        move += self.epsilon / c
        np.divide(m, move, out=move)
        move *= self.learning_rate * m_scale / c
        values -= move

    def state(self) -> dict[str, Any]:
        """Both moments, and the number of steps."""
        return {"m": self._m, "v": self._v, "t": self.t} if self.t else {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up a `state`."""
        if state:
            self._m, self._v, self.t = state["m"], state["v"], state["t"]


def lbfgs(
    loss_and_gradient: Callable[[], tuple[float, Array]],
    values: Array,
    *,
    max_iter: int,
    tol: float,
    callback: Callable[[float], None],
) -> bool:
    """Minimise by SciPy's L-BFGS, then to the last digits by the gradient alone.

    A loss near its minimum is flat: with ``ε`` the rounding unit it tells parameters apart only
    to about ``√ε``, and there a line search gives up. The gradient still tells them apart to
    about ``ε``. So when L-BFGS stops short of ``tol`` we go on with `_follow_gradient`.

    Parameters
    ----------
    loss_and_gradient : callable
        Loss and gradient at the present ``values``. Where there is none it raises
        `TrainingDiverged`, and the line search takes a shorter step.
    values : ndarray
        Start, and on return the end; changed in place.
    max_iter : int
        Largest number of iterations.
    tol : float
        Done when the largest component of the gradient is at most ``tol`` times that at the
        start.
    callback : callable
        Called with the loss after every iteration.

    Returns
    -------
    converged : bool
        False if ``max_iter`` came first, or if the gradient is not yet small but led nowhere.

    Raises
    ------
    TrainingDiverged
        There is no loss at the start.

    Examples
    --------
    Rosenbrock's valley, whose lowest point is (1, 1):

    >>> import numpy as np
    >>> from nanoae.optimizers import lbfgs
    >>> theta = np.array([-1.2, 1.0])
    >>> def loss_and_gradient():
    ...     x, y = theta
    ...     gradient = [-400 * x * (y - x**2) - 2 * (1 - x), 200 * (y - x**2)]
    ...     return 100 * (y - x**2) ** 2 + (1 - x) ** 2, np.array(gradient)
    >>> lbfgs(loss_and_gradient, theta, max_iter=200, tol=1e-10, callback=lambda loss: None)
    True
    >>> theta.round(8).tolist()
    [1.0, 1.0]
    """
    from scipy.optimize import minimize  # here, so that importing nanoae does not pay for it

    loss, gradient = loss_and_gradient()
    target = tol * float(np.abs(gradient).max())
    rounding = 100 * float(np.finfo(values.dtype).eps * abs(loss))
    n_iter = 0
    latest = reached = float(loss), gradient.astype(np.float64)

    def count(_: Array) -> None:
        nonlocal n_iter, reached
        n_iter += 1
        reached = latest
        callback(latest[0])

    def function(theta: Array) -> tuple[float, Array]:
        nonlocal latest
        values[...] = theta
        try:
            loss, gradient = loss_and_gradient()
        except TrainingDiverged:
            # the far side of a valley, as high as where the search began: half of the step is next
            return reached[0], -reached[1]
        latest = float(loss), gradient.astype(np.float64)
        return latest

    options = {
        "maxiter": max_iter,
        "maxfun": 20 * max_iter,
        "maxcor": 20,  # ten steps of memory are few for a long, narrow valley
        "ftol": 0.0,
        "gtol": target,
    }
    result = minimize(
        function, values.astype(np.float64), jac=True, method="L-BFGS-B",
        callback=count, options=options,
    )  # fmt: skip
    values[...] = result.x
    if n_iter == 0:  # the start is a minimum already
        latest = reached
        count(values)
    left = max_iter - n_iter
    return _follow_gradient(loss_and_gradient, values, left, target, rounding, callback)


def _follow_gradient(
    loss_and_gradient: Callable[[], tuple[float, Array]],
    values: Array,
    max_iter: int,
    target: float,
    rounding: float,
    callback: Callable[[float], None],
) -> bool:
    """Gradient descent with Barzilai & Borwein's (1988) step, keeping the best point.

    Their step is the inverse curvature along the last move ``s``, ``⟨s, s⟩ / ⟨s, y⟩`` with ``y``
    the change of the gradient, and needs no value of the loss. It is not monotone, so the point
    with the smallest gradient is what counts, among those whose loss is the same to ``rounding``:
    a saddle or a plateau has a small gradient too. When the smallest has not been halved in 200
    iterations, the arithmetic has no more to give. False if ``max_iter`` came first, or a step to
    where there is no loss.
    """
    loss, gradient = loss_and_gradient()
    gradient = gradient.astype(np.float64)
    best, best_loss, best_size = values.copy(), loss, np.abs(gradient).max()
    highest, converged = loss + rounding, True
    halved_at, halved_size = 0, best_size
    theta = values.astype(np.float64)
    # before there is a last move: a short one, to measure the curvature with
    move = -1e-6 * gradient * (1 + np.linalg.norm(theta)) / (np.linalg.norm(gradient) or 1)
    for i in range(max_iter):
        if best_size <= target or i - halved_at >= 200:
            break
        theta += move
        values[...] = theta
        try:
            loss, new_gradient = loss_and_gradient()
        except TrainingDiverged:  # along a nearly flat direction such a step may go anywhere
            converged = False
            break
        change = new_gradient - gradient
        gradient += change
        curvature = move @ change
        if not curvature > 0:
            break  # rounding has the last word
        move = -(move @ move) / curvature * gradient
        size = np.abs(gradient).max()
        if size < best_size and loss <= highest:
            best[...], best_loss, best_size = values, loss, size
        if best_size <= halved_size / 2:
            halved_at, halved_size = i, best_size
        values[...] = best
        callback(best_loss)
    else:
        converged = bool(best_size <= target)
    values[...] = best
    return converged
