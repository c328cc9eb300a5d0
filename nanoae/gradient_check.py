"""Is a hand-written gradient right? Ask the loss itself."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

if TYPE_CHECKING:
    from nanoae.arrays import Array
from nanoae.models.base import BaseAutoencoder, Objective

RIGHT = 1e-7  # what differences of a loss in float64 can tell (1.7a)
# The first is the best where the loss is smooth. Shorter ones are likelier to miss kinks; long
# ones tell the slope of a bias, beside data of some hundreds, from the rounding of the loss.
STEPS = (1e-3, 1e-4, 1e-5, 1e-6, 1e-2, 1e-1)

# What a cubic leaves of nine values at equal steps: nothing of a smooth loss, something of a kink.
_POWERS = np.vander(np.arange(-4.0, 5.0), 4)
LEFT_BY_CUBIC = np.eye(9) - _POWERS @ np.linalg.pinv(_POWERS)
# A kink moves the difference by at most 1.3 times what it leaves. Several at once may leave less
# than each alone: of 20,000 random sets of them one in a thousand exceeds 6. Only such as lie
# close together, beside the step, leave next to nothing, and those a shorter step sees.
TRUST = 10


class GradientCheck(NamedTuple):
    """Where a gradient is worst; printed, it says whether it is right.

    Where differences of the loss can tell nothing of a whole parameter, `error` and `numeric` are
    NaN, and what is printed says so: that is no proof of a right gradient.

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
    gradient WRONG: relative error 9.1e-02 a
    """

    error: float
    parameter: str
    analytic: float
    numeric: float

    def __str__(self) -> str:
        if np.isnan(self.error):
            array = re.sub(r"\[[\d, ]+\]$", "", self.parameter)
            return (
                f"gradient NOT TOLD: at no place of {array} is the loss smooth enough, "
                "or small enough beside its slope, for its differences; scale the samples, or "
                "take fewer of them"
            )
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

    A kink of relu within the step spoils a difference. Where a difference does not agree, the
    loss is asked at more points around: if they do not lie on a smooth curve, the place is looked
    at again from a point nearby, and passed over if that is no better. The gradient has no say in
    this, so that a wrong one cannot hide. If all places of a parameter are passed over, the
    verdict is that it cannot be told. Of a model with several objectives, each parameter is
    looked at with the one that moves it.

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
    rows = copy._check_samples(X, minimum=2)
    X = copy.initialise(np.asarray(rows, dtype=np.float64))
    X = X if copy._offset is None else X - copy._offset  # as training hands them over
    values = copy.parameters_
    values += 0.1 * rng.standard_normal(values.shape)  # no bias stays at 0

    def loss_and_gradient(objective: Objective, theta: Array) -> tuple[float, Array]:
        values[...] = theta
        with np.errstate(all="ignore"):  # what is not finite is looked for
            return objective(X, np.random.default_rng(random_state))

    def loss_at(objective: Objective, theta: Array) -> float:
        return loss_and_gradient(objective, theta)[0]

    at = partial(loss_and_gradient, copy.loss_and_gradient)

    layout, parts = copy.layout_, list(copy.layout_.places())
    theta = _point_of_good_sight(at, values.copy(), parts)
    at(theta)  # nothing of it may stay
    analytic = at(theta)[1].copy()
    if not np.isfinite(analytic).all():
        i = int(np.argmin(np.isfinite(analytic)))
        return GradientCheck(np.inf, layout.locate(i), float(analytic[i]), np.nan)

    worst = GradientCheck(0.0, layout.locate(0), float(analytic[0]), float(analytic[0]))
    not_told = None
    for objective, places in _objectives_of_places(copy, parts):
        own_loss = partial(loss_at, objective)
        scale = np.abs(analytic[places]).max() or 1.0
        n_told = 0
        for i in rng.permutation(places)[:30]:
            by_hand = float(analytic[i])
            found = _compare(own_loss, theta, i, by_hand, scale)
            for _ in range(3):
                if found is None:
                    nearby = theta * (1 + 0.01 * rng.standard_normal(theta.shape))
                    by_hand = float(at(nearby)[1][i])
                    found = _compare(own_loss, nearby, i, by_hand, scale)
            if found is not None:
                n_told += 1
                error, numeric = found
                if error >= worst.error:
                    worst = GradientCheck(error, layout.locate(i), by_hand, numeric)
        if n_told == 0 and not_told is None:
            i = places[0]
            not_told = GradientCheck(np.nan, layout.locate(i), float(analytic[i]), np.nan)
    return worst if not_told is None or worst.error >= RIGHT else not_told


def _objectives_of_places(
    model: BaseAutoencoder, parts: list[Array]
) -> Iterator[tuple[Objective, Array]]:
    """Each parameter's places with the objective that moves them: of several players, one each."""
    for objective, part in model.objectives().values():
        own = range(len(model.parameters_))[part]
        for places in parts:
            if places.size and int(places[0]) in own:
                yield objective, places


def _point_of_good_sight(
    at: Callable[[Array], tuple[float, Array]], theta: Array, parts: list[Array]
) -> Array:
    """``theta``, or a point at which the rounding of the loss hides less of the gradient.

    Data of size 255 make of a log-variance some hundreds, and of the loss e^hundreds, beside
    which most slopes are lost. Then the first parameter, which is the one that meets the data, is
    halved until all can be seen, or as many times as is best.
    """
    found = []
    for halvings in range(12):
        point = theta.copy()
        point[parts[0]] /= 2**halvings
        loss, gradient = at(point)
        hidden = np.inf
        if np.isfinite(loss) and not np.isfinite(gradient).all():
            hidden = 0.0  # plain to see
        elif np.isfinite(loss):
            slopes = [np.abs(gradient[places]).max() or 1.0 for places in parts]
            hidden = np.spacing(abs(loss)) / min(slopes)
        found.append((hidden, halvings, point))
        if hidden <= 1e-10:
            break
    return min(found)[2]


def _compare(
    f: Callable[[Array], float], theta: Array, i: int, analytic: float, scale: float
) -> tuple[float, float] | None:
    """The relative error of ``analytic``, and the numeric derivative; None if ``f`` has no say.

    The first step is near ε^⅕, where the difference is most exact if the loss is smooth (1.5c).
    Agreement at one step is enough: a wrong derivative agrees with none. Without it, a difference
    is trusted as far as nine values of ``f`` around lie on a cubic: what they are off it, by kinks
    or by rounding, bounds its error. The step that is trusted most has the say, unless one that is
    shorter contradicts it: then ``f`` is not smooth at its scale, and does not look it.
    """
    results = []
    for step in STEPS:
        h = step * max(1.0, abs(theta[i]))
        numeric = central_difference(f, theta, i, h)
        error = float(abs(numeric - analytic) / scale) if np.isfinite(analytic) else np.inf
        if error < 1e-8:
            return error, numeric
        e = np.zeros_like(theta)
        e[i] = h
        around = [f(theta + t * e) for t in range(-4, 5)]
        if np.isfinite(around).all():
            left = np.abs(LEFT_BY_CUBIC @ around).max()
            results.append((float(TRUST * left / (h * scale)), error, numeric, h))
    agreed = min(((result[1], result[2]) for result in results), default=(np.inf, np.nan))
    if agreed[0] < RIGHT:
        return agreed
    if not results:
        return None
    doubt, error, numeric, h = min(results)
    for other_doubt, _, other, other_h in results:
        if other_h < h and abs(other - numeric) / scale > doubt + other_doubt:
            return None
    return (error, numeric) if error > doubt else None


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
