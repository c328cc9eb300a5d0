"""L-BFGS: SciPy's, and behind it the last digits, by the gradient alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nanoae.arrays import Array
from nanoae.exceptions import TrainingDiverged


class LBFGS:
    """Minimise by SciPy's L-BFGS, then to the last digits by the gradient alone.

    A loss near its minimum is flat: with ``ε`` the rounding unit it tells parameters apart only
    to about ``√ε``, and there a line search gives up. The gradient still tells them apart to
    about ``ε``. So where L-BFGS stops short of ``tol`` the gradient goes on alone.

    Parameters
    ----------
    loss_and_gradient : callable
        Loss and gradient at the present ``values``. Where there is none it raises
        `TrainingDiverged`, and the line search takes a shorter step.
    values : ndarray
        Start, and after `minimise` the end; changed in place.
    max_iter : int
        Largest number of iterations.
    tol : float
        Done when the largest component of the gradient is at most ``tol`` times that at the
        start.
    callback : callable
        Called with the loss after every iteration.

    Examples
    --------
    Rosenbrock's valley, whose lowest point is (1, 1):

    >>> import numpy as np
    >>> from nanoae.lbfgs import LBFGS
    >>> theta = np.array([-1.2, 1.0])
    >>> def loss_and_gradient():
    ...     x, y = theta
    ...     gradient = [-400 * x * (y - x**2) - 2 * (1 - x), 200 * (y - x**2)]
    ...     return 100 * (y - x**2) ** 2 + (1 - x) ** 2, np.array(gradient)
    >>> valley = LBFGS(
    ...     loss_and_gradient, theta, max_iter=200, tol=1e-10, callback=lambda loss: None
    ... )
    >>> valley.minimise()
    True
    >>> theta.round(8).tolist()
    [1.0, 1.0]
    """

    def __init__(
        self,
        loss_and_gradient: Callable[[], tuple[float, Array]],
        values: Array,
        *,
        max_iter: int,
        tol: float,
        callback: Callable[[float], None],
    ) -> None:
        self.loss_and_gradient, self.values = loss_and_gradient, values
        self.max_iter, self.tol, self.callback = max_iter, tol, callback
        self.n_iter = 0
        # loss and gradient of the last evaluation, and those of the last step
        self._latest: tuple[float, Array] = (np.inf, np.empty(0))
        self._reached = self._latest

    def minimise(self) -> bool:
        """Go from where ``values`` are to a minimum.

        Returns
        -------
        converged : bool
            Whether the gradient is down to ``tol``, or to what rounding leaves of it. False if
            ``max_iter`` came first, or if it led nowhere, as at a kink.

        Raises
        ------
        TrainingDiverged
            There is no loss at the start.
        """
        from scipy.optimize import minimize  # here, so that importing nanoae does not pay for it

        self._evaluate()
        self._reached = self._latest
        loss, gradient = self._latest
        target = self.tol * float(np.abs(gradient).max())
        rounding = 100 * float(np.finfo(self.values.dtype).eps * abs(loss))
        options = {
            "maxiter": self.max_iter,
            "maxfun": 20 * self.max_iter,
            "maxcor": 20,  # ten steps of memory are few for a long, narrow valley
            "ftol": 0.0,
            "gtol": target,
        }
        result = minimize(
            self, self.values.astype(np.float64), jac=True, method="L-BFGS-B",
            callback=self._after_step, options=options,
        )  # fmt: skip
        self.values[...] = result.x
        if self.n_iter == 0:  # the start is a minimum already
            self._latest = self._reached
            self._after_step(result.x)
        size = self._follow_gradient(target, rounding)
        # seen in float64: where rounding ends the search, smooth losses leave 1e-7 of the gradient
        # at the start, at most, and kinks of relu 4e-6 or more; the start may be a minimum itself
        size_at_start = max(float(np.abs(gradient).max()), abs(loss))
        floor = float(np.finfo(self.values.dtype).eps) ** 0.4 * size_at_start
        return size <= target or (size <= floor and self.n_iter < self.max_iter)

    def __call__(self, theta: Array) -> tuple[float, Array]:
        """What SciPy minimises."""
        if np.array_equal(theta, self.values):  # it begins where we have been
            return self._latest
        self.values[...] = theta
        try:
            self._evaluate()
        except TrainingDiverged:
            self.values.fill(np.nan)  # we have not been here
            # the far side of a valley, as high as where the search began: half of the step is next
            loss, gradient = self._reached
            return loss, -gradient
        return self._latest

    def _evaluate(self) -> None:
        loss, gradient = self.loss_and_gradient()
        self._latest = float(loss), gradient.astype(np.float64)

    def _after_step(self, _: Array) -> None:
        self.n_iter += 1
        self._reached = self._latest
        self.callback(self._latest[0])

    def _follow_gradient(self, target: float, rounding: float) -> float:
        """Gradient descent with Barzilai & Borwein's (1988) step, keeping the best point.

        Their step is the inverse curvature along the last move ``s``, ``⟨s, s⟩ / ⟨s, y⟩`` with
        ``y`` the change of the gradient, and needs no value of the loss. It is not monotone, so
        the point with the smallest gradient is what counts, among those whose loss is the same to
        ``rounding``: a saddle or a plateau has a small gradient too. When the smallest has not
        been halved in 200 iterations, it will not be. Returns the size of that gradient.
        """
        self._evaluate()
        loss, gradient = self._latest
        best, best_loss, best_size = self.values.copy(), loss, float(np.abs(gradient).max())
        highest = loss + rounding
        halved_at, halved_size = 0, best_size
        theta = self.values.astype(np.float64)
        # before there is a last move: a short one, to measure the curvature with
        move = -1e-6 * gradient * (1 + np.linalg.norm(theta)) / (np.linalg.norm(gradient) or 1)
        for i in range(self.max_iter - self.n_iter):
            if best_size <= target or i - halved_at >= 200:
                break
            theta += move
            self.values[...] = theta
            try:
                self._evaluate()
            except TrainingDiverged:  # along a nearly flat direction such a step may go anywhere
                break
            loss, new_gradient = self._latest
            change, gradient = new_gradient - gradient, new_gradient
            curvature = move @ change
            if not curvature > 0:
                break  # rounding has the last word
            move = -(move @ move) / curvature * gradient
            size = float(np.abs(gradient).max())
            if size < best_size and loss <= highest:
                best[...], best_loss, best_size = self.values, loss, size
            if best_size <= halved_size / 2:
                halved_at, halved_size = i, best_size
            self.values[...] = best
            self.n_iter += 1
            self.callback(best_loss)
        self.values[...] = best
        return best_size
