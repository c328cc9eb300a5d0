"""Is a hand-written gradient right? Ask the loss itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

if TYPE_CHECKING:
    from nanoae.arrays import Array
from nanoae.models.base import BaseAutoencoder

RIGHT = 1e-7  # what differences of a loss in float64 can tell (1.7a)


class GradientCheck(NamedTuple):
    """Where a gradient is worst; printed, it says whether it is right.

    Attributes
    ----------
    error : float
        Largest relative error.
    parameter : str
        Where it is: ``'encoder_.layers[0].weight[3, 1]'``.
    analytic, numeric : float
        The two derivatives there.

    Examples
    --------
    It finds the one component that is twice what it should be:

    >>> from nanoae import LinearAutoencoder, datasets, gradient_check
    >>> X = datasets.make_gaussian(5, [2.0, 1.0, 1.0], random_state=0)
    >>> class TwiceOne(LinearAutoencoder):
    ...     def loss_and_gradient(self, X, rng=None):
    ...         loss, gradient = super().loss_and_gradient(X, rng)
    ...         gradient[4] *= 2
    ...         return loss, gradient
    >>> check = gradient_check(TwiceOne(1), X)
    >>> check.parameter, round(check.analytic / check.numeric, 4)
    ('decoder_.layers[0].weight[0, 1]', 2.0)
    >>> print(str(check)[:40])
    gradient WRONG: relative error 6.2e-02 a
    """

    error: float
    parameter: str
    analytic: float
    numeric: float

    def __str__(self) -> str:
        verdict = "right" if self.error < RIGHT else "WRONG"
        return (
            f"gradient {verdict}: relative error {self.error:.1e} at worst, in {self.parameter}: "
            f"by hand {self.analytic:.10g}, by differences of the loss {self.numeric:.10g}"
        )


def gradient_check(
    model: BaseAutoencoder, X: ArrayLike, *, random_state: int = 0
) -> GradientCheck:
    """Compare a model's gradient with differences of its loss.

    Works on a copy of the model with random parameters, in float64; the model itself is not
    touched and need not be fitted. The error at a place is ``|analytic − numeric|`` over the
    largest component of that parameter's gradient. At most 30 places of each parameter are
    looked at, drawn at random.

    Parameters
    ----------
    model : autoencoder
    X : array-like of shape (n_samples, n_features)
        A handful of samples will do.
    random_state : int, default 0
        Draws the parameters, the places and the model's own noise.

    Returns
    -------
    GradientCheck
        Right gradients come out below 1e-7 (1.7a), wrong ones as far off as they are (1.8).

    Raises
    ------
    TypeError
        ``model`` is no model, but perhaps its class.

    Examples
    --------
    >>> from nanoae import VAE, datasets, gradient_check
    >>> X = datasets.make_gaussian(5, [2.0, 1.0, 1.0], random_state=0)
    >>> model = VAE(1, hidden_layer_sizes=(3,), activation="tanh")
    >>> bool(gradient_check(model, X).error < 1e-7)
    True

    A gradient that is 1% too long is found to be:

    >>> class TooLong(VAE):
    ...     def loss_and_gradient(self, X, rng=None):
    ...         loss, gradient = super().loss_and_gradient(X, rng)
    ...         return loss, 1.01 * gradient
    >>> model = TooLong(1, hidden_layer_sizes=(3,), activation="tanh")
    >>> round(float(gradient_check(model, X).error), 3)
    0.01
    """
    if not isinstance(model, BaseAutoencoder):
        raise TypeError(f"model must be an autoencoder, such as VAE(2); got {model!r}.")
    rng = np.random.default_rng(random_state)
    copy = type(model)(**{**model.get_params(), "random_state": random_state})
    X = copy.initialise(np.asarray(X, dtype=np.float64))
    values = copy.parameters_
    values += 0.1 * rng.standard_normal(values.shape)  # no bias stays at 0

    def loss_at(theta: Array) -> float:
        values[...] = theta
        return copy.loss_and_gradient(X, np.random.default_rng(random_state))[0]

    theta = values.copy()
    copy.loss_and_gradient(X, np.random.default_rng(random_state))  # nothing of it may stay
    analytic = copy.loss_and_gradient(X, np.random.default_rng(random_state))[1].copy()
    if not np.isfinite(analytic).all():
        i = int(np.argmin(np.isfinite(analytic)))
        return GradientCheck(np.inf, copy.layout_.locate(i), float(analytic[i]), np.nan)

    worst = GradientCheck(0.0, copy.layout_.locate(0), float(analytic[0]), float(analytic[0]))
    for places in copy.layout_.places():
        scale = np.abs(analytic[places]).max() or 1.0
        for i in rng.permutation(places)[:30]:
            numeric, error = _best_difference(loss_at, theta, i, analytic[i], scale)
            if error >= worst.error:
                name = copy.layout_.locate(i)
                worst = GradientCheck(error, name, float(analytic[i]), numeric)
    return worst


def _best_difference(
    f: Callable[[Array], float], theta: Array, i: int, analytic: float, scale: float
) -> tuple[float, float]:
    """The numeric derivative that comes nearest to ``analytic``, and its relative error.

    A kink of relu within the step spoils a difference, and a shorter step is then likely to miss
    it. A wrong derivative agrees with no step. The first step, near ε^⅕, is the best where the
    loss is smooth (1.5c).
    """
    results = []
    for step in (1e-3, 1e-4, 1e-5):
        numeric = central_difference(f, theta, i, step * max(1.0, abs(theta[i])))
        error = float(abs(numeric - analytic) / scale)
        results.append((np.inf if np.isnan(error) else error, numeric))
        if results[-1][0] < 1e-8:
            break
    error, numeric = min(results)
    return numeric, error


def central_difference(f: Callable[[Array], float], x: Array, i: int, h: float) -> float:
    """∂f/∂x_i by central differences at h and 2h, combined so that the h² terms cancel (1.5c).

    Parameters
    ----------
    f : callable
        A number for a vector ``(n,)``.
    x : ndarray of shape (n,)
    i : int
        Place of the component.
    h : float
        Step, greater than 0.

    Returns
    -------
    float

    Examples
    --------
    ∂/∂x_1 of ``x_0 x_1³`` at (2, 3) is ``2 · 27``; the formula is exact up to fourth powers:

    >>> import numpy as np
    >>> from nanoae.gradient_check import central_difference
    >>> round(central_difference(lambda x: x[0] * x[1] ** 3, np.array([2.0, 3.0]), 1, h=0.5), 8)
    54.0
    """
    e = np.zeros_like(x)
    e[i] = h
    near = f(x + e) - f(x - e)
    far = f(x + 2 * e) - f(x - 2 * e)
    return float((8 * near - far) / (12 * h))
