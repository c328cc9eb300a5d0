"""What models are used for, where that is known: scores of anomalies, widths of codes, probes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from nanoae.arrays import Array
from nanoae.validation import (
    check_integer,
    check_positive_definite,
    check_real,
    check_samples,
    is_positive_definite,
)

# --- Two classes -----------------------------------------------------------------------------


class LogOdds(NamedTuple):
    """``log p(y = 1|x) − log p(y = 0|x) = wᵀ x + b``.

    Attributes
    ----------
    weight : ndarray of shape (d,)
    bias : float

    Examples
    --------
    >>> from nanoae import theory
    >>> theory.gaussian_log_odds([-1.0], [1.0], [[1.0]]).weight.tolist()
    [2.0]
    """

    weight: Array
    bias: float


def gaussian_log_odds(
    mean_0: ArrayLike, mean_1: ArrayLike, covariance: ArrayLike, prior_1: float = 0.5
) -> LogOdds:
    """The classifier that two Gaussian classes of one covariance contain (14.1).

    Parameters
    ----------
    mean_0, mean_1 : array-like of shape (d,)
    covariance : array-like of shape (d, d)
    prior_1 : float, default 0.5
        Probability of class 1.

    Returns
    -------
    LogOdds

    Raises
    ------
    TypeError, ValueError
        The prior is none, or the covariance is not positive definite.

    Examples
    --------
    Half-way between the means the prior alone decides:

    >>> from nanoae import theory
    >>> odds = theory.gaussian_log_odds([0.0, 0.0], [2.0, 0.0], [[1, 0], [0, 1]], 0.5)
    >>> odds.weight.tolist(), odds.bias
    ([2.0, 0.0], -2.0)
    """
    check_real("prior_1", prior_1, 0, 1, open_ends=True)
    m0, m1 = np.asarray(mean_0, float), np.asarray(mean_1, float)
    covariance = np.asarray(covariance, float)
    check_positive_definite("covariance", covariance)
    weight = np.linalg.solve(covariance, m1 - m0)
    return LogOdds(weight, float(np.log(prior_1 / (1 - prior_1)) - weight @ (m0 + m1) / 2))


def projected_accuracy(
    direction: ArrayLike, mean_0: ArrayLike, mean_1: ArrayLike, covariance: ArrayLike
) -> float:
    """How often the best threshold on a code ``vᵀ x`` tells two Gaussian classes apart (14.7).

    Parameters
    ----------
    direction : array-like of shape (d,)
        v.
    mean_0, mean_1 : array-like of shape (d,)
        Of two classes, each of probability ½.
    covariance : array-like of shape (d, d)
        Of both.

    Returns
    -------
    float

    Examples
    --------
    What varies most may tell nothing:

    >>> from nanoae import theory
    >>> classes = [0.0, -1.0], [0.0, 1.0], [[100.0, 0.0], [0.0, 0.25]]
    >>> [round(theory.projected_accuracy(v, *classes), 4) for v in ([1, 0], [0, 1])]
    [0.5, 0.9772]
    """
    from scipy.special import ndtr

    v = np.asarray(direction, float)
    apart = abs(v @ (np.asarray(mean_1, float) - np.asarray(mean_0, float)))
    variance = v @ np.asarray(covariance, float) @ v
    if variance == 0:  # a code that does not vary tells all or nothing
        return 1.0 if apart > 0 else 0.5
    return float(ndtr(apart / (2 * np.sqrt(variance))))


# --- Scores of anomalies ------------------------------------------------------------------------


@dataclass(frozen=True)
class SquaredLength:
    """The law of ``‖e‖²`` for a Gaussian vector e: what every linear model's score follows (14.2).

    Parameters
    ----------
    weights : ndarray of shape (m,)
        Eigenvalues of the covariance of e, one of them above 0.
    shifts : ndarray of shape (m,)
        The mean of e along their axes.

    Examples
    --------
    Two equal eigenvalues make an exponential law:

    >>> import numpy as np
    >>> from nanoae import theory
    >>> score = theory.SquaredLength(np.array([1.0, 1.0]), np.zeros(2))
    >>> round(score.exceeds(3), 12), round(float(np.exp(-3 / 2)), 12)
    (0.223130160148, 0.223130160148)
    """

    weights: Array
    shifts: Array

    @property
    def mean(self) -> float:
        """``Σ w_j + m_j²``."""
        return float(np.sum(self.weights + self.shifts**2))

    @property
    def variance(self) -> float:
        """``Σ 2 w_j² + 4 w_j m_j²``."""
        return float(np.sum(2 * self.weights**2 + 4 * self.weights * self.shifts**2))

    def exceeds(self, threshold: float) -> float:
        """Probability of a score above a threshold.

        Laplace's transform is known, and is inverted by the trapezoidal rule on a parabola around
        its singularities, through the saddle point: to some 12 digits of the tail above the
        mean; below it of 1, so that digits of 1 − p are lost.

        Raises
        ------
        ValueError
            The threshold is NaN.
        ArithmeticError
            The integral is no probability.
        """
        if np.isnan(threshold):
            raise ValueError("threshold must be a number; got NaN.")
        upper = threshold >= self.mean
        tail = self._tail(threshold, upper)
        return tail if upper else 1 - tail

    def threshold(self, false_alarms: float) -> float:
        """The threshold that a share of the scores exceeds."""
        from scipy.optimize import brentq

        check_real("false_alarms", false_alarms, 0, 1, open_ends=True)
        # of the tail on the same side of the mean: beside 1, a share has fewer digits
        upper = false_alarms <= self.exceeds(self.mean)
        share, outward = (false_alarms, 2.0) if upper else (1 - false_alarms, 0.5)
        share = min(share, self._tail(self.mean, upper))  # the two may add up to 1 ± rounding
        far = self.mean
        while self._tail(far, upper) > share:
            far *= outward
        low, high = min(far, self.mean), max(far, self.mean)
        return float(
            brentq(lambda t: self._tail(t, upper) - share, low, high, xtol=1e-14 * low, rtol=1e-14)
        )

    def _tail(self, threshold: float, upper: bool) -> float:
        """Probability of a score above a threshold, or below it."""
        # less it never is, or with a probability below all rounding of 1
        least = np.sum(self.shifts[self.weights == 0] ** 2)
        if threshold <= max(least, 1e-36 * self.mean):
            return 1.0 if upper else 0.0
        half = self._singularity / 2  # Chernoff's bound there: below the smallest number?
        if upper and self._log_transform(np.array([half]))[0] - half * threshold < -746:
            return 0.0
        left = 0.0 if upper else -1 / threshold
        while left and self._slope(left) - threshold > 2 / left:  # the saddle is further left
            left *= 2
        right = self._singularity if upper else 0.0
        centre, width = _saddle(lambda s: self._slope(s) - threshold, self._curvature, left, right)
        x, h = np.linspace(-9, 9, 1601, retstep=True)
        v = np.sinh(x)

        def exponent(s: Array) -> Array:
            return np.asarray(self._log_transform(s) - s * threshold - np.log(s))

        # near the singularity the integrand grows: bend no more than leaves the saddle highest
        top = exponent(np.array([complex(centre)]))[0].real
        bend = 0.4 * min(1.0, width / (self._singularity - centre))
        while True:
            s = centre + width * (1j * v + bend * v**2)
            log_integrand = exponent(s)
            if not np.max(log_integrand.real) > top + 1e-9:
                break
            bend /= 2
        ds = width * (1j + 2 * bend * v) * np.cosh(x) * h
        integral = float((np.sum(np.exp(log_integrand) * ds) / (2j * np.pi)).real)
        p = integral if upper else -integral  # left of the pole at 0 it is less by 1
        if not -1e-9 <= p <= 1 + 1e-9:
            raise ArithmeticError(
                f"the probability of a score {'above' if upper else 'below'} {threshold} came out "
                f"as {p}: the law of {len(self.weights)} weights is beyond this quadrature. "
                "Please report it."
            )
        return min(max(p, 0.0), 1.0)

    @property
    def _singularity(self) -> float:
        """Where the transform ends, on the right."""
        return float(1 / (2 * self.weights.max()))

    def _log_transform(self, s: Array) -> Array:
        """``log E exp(s ‖e‖²)`` at complex s."""
        s = np.asarray(s)[:, None]
        q = 1 - 2 * self.weights * s
        return np.sum(-0.5 * np.log(q) + s * self.shifts**2 / q, axis=1)

    def _slope(self, s: float) -> float:
        q = 1 - 2 * self.weights * s
        return float(np.sum(self.weights / q + self.shifts**2 / q**2))

    def _curvature(self, s: float) -> float:
        w, q = self.weights, 1 - 2 * self.weights * s
        return float(np.sum(2 * w**2 / q**2 + 4 * w * self.shifts**2 / q**3))


def _saddle(
    slope: Callable[[float], float],
    curvature: Callable[[float], float],
    left: float,
    right: float,
) -> tuple[float, float]:
    """Where ``K(s) − log|s|`` is least between two bounds, one of them 0, and how wide that is."""
    from scipy.optimize import brentq

    inside = 1e-12 * (right - left)
    centre = brentq(lambda s: slope(s) - 1 / s, left + inside, right - inside, xtol=inside)
    return centre, (curvature(centre) + centre**-2) ** -0.5


def squared_length(mean: ArrayLike, covariance: ArrayLike) -> SquaredLength:
    """The law of ``‖e‖²`` for ``e ~ N(mean, covariance)`` (14.2).

    For the reconstruction error of a linear model, ``e = (I − M)(x − b)``; for the likelihood of a
    Gaussian model of covariance C, ``e = C^{-1/2} (x − b)``.

    Parameters
    ----------
    mean : array-like of shape (d,)
    covariance : array-like of shape (d, d)

    Returns
    -------
    SquaredLength

    Examples
    --------
    >>> from nanoae import theory
    >>> score = theory.squared_length([1.0, 0.0], [[4.0, 0.0], [0.0, 1.0]])
    >>> score.mean, score.variance  # 4 + 1 + 1, 2 (16 + 1) + 4 · 4 · 1
    (6.0, 50.0)
    """
    covariance = np.asarray(covariance, float)
    weights, axes = np.linalg.eigh((covariance + covariance.T) / 2)
    return SquaredLength(np.maximum(weights, 0), axes.T @ np.asarray(mean, float))


def detected(normal: SquaredLength, anomalous: SquaredLength, false_alarms: float) -> float:
    """A point of the ROC curve: the share of anomalies above the threshold (14.3).

    Parameters
    ----------
    normal, anomalous : SquaredLength
        Laws of the score of the two kinds.
    false_alarms : float
        The share of normal samples above the threshold, in (0, 1).

    Returns
    -------
    float

    Examples
    --------
    >>> from nanoae import theory
    >>> normal = theory.squared_length([0.0], [[1.0]])
    >>> [round(theory.detected(normal, theory.squared_length([m], [[1.0]]), 0.05), 4)
    ...  for m in (0, 2, 4)]
    [0.05, 0.516, 0.9793]
    """
    return anomalous.exceeds(normal.threshold(false_alarms))


def area_under_roc(normal: SquaredLength, anomalous: SquaredLength) -> float:
    """The probability that an anomaly scores above a normal sample (14.3a).

    Parameters
    ----------
    normal, anomalous : SquaredLength

    Returns
    -------
    float

    Examples
    --------
    For one degree of freedom and four times the variance it is ``2/π arctan 2``:

    >>> import numpy as np
    >>> from nanoae import theory
    >>> normal, wide = (theory.squared_length([0.0], [[v]]) for v in (1.0, 4.0))
    >>> round(theory.area_under_roc(normal, wide), 12), round(float(2 / np.pi * np.arctan(2)), 12)
    (0.704832764699, 0.704832764699)
    """
    from scipy.special import logsumexp

    # P(Q₁ − Q₀ > 0): one transform at s, the other at −s, between their singularities
    upper = anomalous.mean < normal.mean
    centre, width = _saddle(
        lambda s: anomalous._slope(s) - normal._slope(-s),
        lambda s: anomalous._curvature(s) + normal._curvature(-s),
        *((0.0, anomalous._singularity) if upper else (-normal._singularity, 0.0)),
    )
    x, h = np.linspace(-40, 40, 1601, retstep=True)

    def log_terms(bend: float) -> Array:
        """Of the sum along a line, or a branch of a hyperbola that leads to the right or left."""
        s = centre + width * (1j * np.sinh(x) + bend * (np.cosh(x) - 1))
        ds = width * (1j * np.cosh(x) + bend * np.sinh(x)) * h
        return np.asarray(anomalous._log_transform(s) + normal._log_transform(-s) + np.log(ds / s))

    def size(terms: Array) -> float:
        """Of the terms, of those far out above all."""
        return float(logsumexp(terms.real + 2 * np.abs(x)))

    # any will do, but with a mean where there is (almost) no variance the integrand falls on one
    # side, grows on the other, and on the line does nothing but turn
    terms = min(map(log_terms, (-1, -0.5, -0.2, 0, 0.2, 0.5, 1)), key=size)
    integral = float(np.sum(np.exp(terms)).imag / (2 * np.pi))
    return integral if upper else 1 + integral


def threshold_of_scores(scores: ArrayLike, false_alarms: float) -> float:
    """The threshold that a new normal score exceeds with at most this probability (14.3b).

    It asks nothing of the law of the scores, only that the new one be drawn like them.

    Parameters
    ----------
    scores : array-like of shape (n,)
        Of normal samples that the model was not trained on.
    false_alarms : float
        α, at least 1/(n + 1): n scores can promise no less.

    Returns
    -------
    float
        The ``⌈(n + 1)(1 − α)⌉``-th smallest score.

    Raises
    ------
    TypeError, ValueError
        The share is none, too few scores for so small a share, or some that are not finite.

    Examples
    --------
    >>> from nanoae import theory
    >>> theory.threshold_of_scores(range(1, 100), 0.05)
    95.0
    """
    scores = np.sort(np.ravel(np.asarray(scores, float)))
    if not np.isfinite(scores).all():
        raise ValueError("scores must be finite; got NaN or infinity among them.")
    check_real("false_alarms", false_alarms, 0, 1)
    n = len(scores)
    rank = int(np.ceil((n + 1) * (1 - false_alarms) - 1e-9))
    if not 1 <= rank <= n:
        raise ValueError(
            f"false_alarms must be between {1 / (n + 1):.3g} and {n / (n + 1):.3g} with {n} "
            f"scores; got {false_alarms}. Take more scores, or another share."
        )
    return float(scores[rank - 1])


# --- Widths of codes ----------------------------------------------------------------------------


def ppca_log_likelihood(
    X: ArrayLike, mean: ArrayLike, components: ArrayLike, eigenvalues: ArrayLike, noise: float
) -> Array:
    """``log p(x)`` of each sample under probabilistic PCA (14.4).

    Parameters
    ----------
    X : array-like of shape (n, d)
    mean : array-like of shape (d,)
    components : array-like of shape (d, k)
        Orthonormal columns.
    eigenvalues : array-like of shape (k,)
        Variances along them.
    noise : float
        σ², the variance in all other directions.

    Returns
    -------
    ndarray of shape (n,)

    Examples
    --------
    >>> from nanoae import theory
    >>> model = dict(mean=[0, 0], components=[[1], [0]], eigenvalues=[4.0], noise=1.0)
    >>> theory.ppca_log_likelihood([[2.0, 0.0]], **model).round(4).tolist()
    [-3.031]
    """
    Y, lam = np.asarray(X, float) - np.asarray(mean, float), np.asarray(eigenvalues, float)
    C = np.asarray(components, float)
    codes = Y @ C
    # not ‖y‖² − ‖Cᵀy‖², in which a small noise would be lost
    rest = np.sum((Y - codes @ C.T) ** 2, axis=1)
    d, k = Y.shape[1], len(lam)
    log_det = np.sum(np.log(lam)) + (d - k) * np.log(noise)
    return -0.5 * (d * np.log(2 * np.pi) + log_det + codes**2 @ (1 / lam) + rest / noise)


def minka_log_evidence(eigenvalues: ArrayLike, n_samples: int, n_components: int) -> float:
    """Laplace's approximation of ``log p(data|k)`` under probabilistic PCA (Minka 2000) (14.6b).

    Parameters
    ----------
    eigenvalues : array-like of shape (d,)
        Of the data's covariance, all above 0 and different.
    n_samples : int
    n_components : int
        k, from 1 to d − 1.

    Returns
    -------
    float
        But for a constant that does not depend on k.

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae import theory
    >>> eigenvalues = [9.0, 4.0, 1.05, 1.0, 0.95]
    >>> evidence = [theory.minka_log_evidence(eigenvalues, 200, k) for k in (1, 2, 3, 4)]
    >>> int(np.argmax(evidence)) + 1
    2
    """
    from scipy.special import gammaln

    lam = np.sort(np.asarray(eigenvalues, float))[::-1]
    d, n, k = len(lam), n_samples, n_components
    check_integer("n_components", k, 1, d - 1)
    noise = lam[k:].mean()
    i = np.arange(1, k + 1)
    log_prior = np.sum(gammaln((d - i + 1) / 2) - (d - i + 1) / 2 * np.log(np.pi)) - k * np.log(2)
    fit = -n / 2 * (np.log(lam[:k]).sum() + (d - k) * np.log(noise))
    free = d * k - k * (k + 1) / 2  # numbers in the axes
    smooth = np.concatenate([lam[:k], np.full(d - k, noise)])
    first, second = np.triu_indices(d, 1)
    pairs = first < k
    first, second = first[pairs], second[pairs]
    a, b = smooth[first], smooth[second]
    curvature = np.log(a - b) - np.log(a) - np.log(b)  # log(1/b − 1/a)
    curvature += np.log(lam[first] - lam[second]) + np.log(n)
    volume = (free + k) / 2 * np.log(2 * np.pi) - curvature.sum() / 2 - k / 2 * np.log(n)
    return float(log_prior + fit + volume)


# --- Codes judged by a task ----------------------------------------------------------------------


def linear_probe_accuracy(
    codes: ArrayLike,
    labels: ArrayLike,
    new_codes: ArrayLike,
    new_labels: ArrayLike,
    ridge: float = 1e-6,
) -> float:
    """How often a least-squares classifier on codes is right on new ones.

    Parameters
    ----------
    codes : array-like of shape (n, k)
    labels : array-like of shape (n,)
    new_codes : array-like of shape (m, k)
    new_labels : array-like of shape (m,)
    ridge : float, default 1e-6
        Added to the covariance, relative to the mean variance of a code.

    Returns
    -------
    float

    Raises
    ------
    TypeError, ValueError
        Codes and labels do not fit, all codes are the same, or some depend on others and there is
        no ridge.

    Examples
    --------
    >>> from nanoae import theory
    >>> theory.linear_probe_accuracy([[0], [1], [2], [3]], [0, 0, 1, 1], [[-1], [5]], [0, 1])
    1.0
    """
    check_real("ridge", ridge, 0)
    H, labels, new, new_labels = _check_task(codes, labels, new_codes, new_labels)
    mean = H.mean(axis=0)
    classes = np.unique(labels)
    targets = (labels[:, None] == classes).astype(float)
    H = H - mean
    if not H.any():
        raise ValueError(f"codes must differ; got {len(H)} that are all {mean}.")
    gram = H.T @ H
    gram += ridge * np.trace(gram) / len(gram) * np.eye(len(gram))
    if not is_positive_definite(gram):
        raise ValueError(
            "ridge must be greater than 0, by more than rounding, where a code is constant or "
            f"depends on the others; got {ridge!r}."
        )
    weight = np.linalg.solve(gram, H.T @ (targets - targets.mean(axis=0)))
    votes = (new - mean) @ weight + targets.mean(axis=0)
    return float(np.mean(classes[votes.argmax(axis=1)] == new_labels))


def nearest_neighbour_accuracy(
    codes: ArrayLike, labels: ArrayLike, new_codes: ArrayLike, new_labels: ArrayLike
) -> float:
    """How often a new code has the label of the code nearest to it.

    Parameters
    ----------
    codes : array-like of shape (n, k)
    labels : array-like of shape (n,)
    new_codes : array-like of shape (m, k)
    new_labels : array-like of shape (m,)

    Returns
    -------
    float

    Examples
    --------
    >>> from nanoae import theory
    >>> theory.nearest_neighbour_accuracy([[0], [1], [5]], [0, 0, 1], [[2], [4]], [0, 1])
    1.0
    """
    from scipy.spatial.distance import cdist

    H, labels, new, new_labels = _check_task(codes, labels, new_codes, new_labels)
    return float(np.mean(labels[cdist(new, H).argmin(axis=1)] == new_labels))


def _check_task(
    codes: ArrayLike, labels: ArrayLike, new_codes: ArrayLike, new_labels: ArrayLike
) -> tuple[Array, Array, Array, Array]:
    H = check_samples(codes, name="codes", model="the classifier", dtype=np.float64)
    new = check_samples(
        new_codes, n_features=H.shape[1], name="new_codes", model="the classifier",
        dtype=np.float64,
    )  # fmt: skip
    y, new_y = np.ravel(labels), np.ravel(new_labels)
    for name, rows, given in (("labels", H, y), ("new_labels", new, new_y)):
        if len(rows) != len(given):
            raise ValueError(f"{name} must be one a code, {len(rows)}; got {len(given)}.")
    return H, y, new, new_y
