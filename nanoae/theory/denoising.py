"""Denoising: the best denoiser of any finite data, its loss, and the best linear one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from nanoae.arrays import Array
from nanoae.validation import check_real


def posterior_mean(log_likelihood: ArrayLike, X: ArrayLike) -> Array:
    """``r*(x̃) = E[x|x̃] = Σ_i w_i x_i``: the best denoiser of a finite data set (7.2).

    Parameters
    ----------
    log_likelihood : array-like of shape (m, n)
        ``log p(x̃|x_i)`` of each corrupted point and each sample, up to a constant a point:
        that of `gaussian_log_likelihood`, `masking_log_likelihood`,
        `salt_and_pepper_log_likelihood`, or of any other corruption.
    X : array-like of shape (n, d)

    Returns
    -------
    ndarray of shape (m, d)

    Raises
    ------
    ValueError
        A point cannot come from any of the samples, so that it has no posterior.

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae import theory
    >>> X = np.array([[-1.0], [1.0]])
    >>> x_tilde = np.array([[0.0], [0.5]])
    >>> theory.posterior_mean(theory.gaussian_log_likelihood(x_tilde, X, 0.5), X).round(4).tolist()
    [[0.0], [0.964]]
    """
    from scipy.special import softmax  # here, so that importing nanoae stays cheap

    log_likelihood = np.asarray(log_likelihood, float)
    lost = ~np.any(np.isfinite(log_likelihood), axis=1)
    if lost.any():
        raise ValueError(
            f"X_tilde has {lost.sum()} point(s) that none of the samples can have become, the "
            f"first in row {lost.argmax()}; for those there is no posterior mean."
        )
    return softmax(log_likelihood, axis=1) @ np.asarray(X, float)


def gaussian_log_likelihood(X_tilde: ArrayLike, X: ArrayLike, scale: float) -> Array:
    """``log p(x̃|x)`` for ``x̃ = x + σ ε``, of each corrupted point and each sample.

    Parameters
    ----------
    X_tilde : array-like of shape (m, d)
    X : array-like of shape (n, d)
    scale : float
        σ.

    Returns
    -------
    ndarray of shape (m, n)

    Examples
    --------
    >>> from nanoae import theory
    >>> theory.gaussian_log_likelihood([[0.0]], [[0.0], [1.0]], 1.0).round(4).tolist()
    [[-0.9189, -1.4189]]
    """
    from scipy.spatial.distance import cdist

    X = np.asarray(X, float)
    squares = cdist(np.asarray(X_tilde, float), X, "sqeuclidean")
    return -squares / (2 * scale**2) - X.shape[1] / 2 * np.log(2 * np.pi * scale**2)


def masking_log_likelihood(X_tilde: ArrayLike, X: ArrayLike, probability: float) -> Array:
    """The same for entries that are set to 0 with a probability p, and else stay as they are.

    Parameters
    ----------
    X_tilde : array-like of shape (m, d)
        Not rescaled.
    X : array-like of shape (n, d)
    probability : float
        p, in (0, 1).

    Returns
    -------
    ndarray of shape (m, n)
        Minus infinity for samples that a point cannot come from.

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae import theory
    >>> likelihood = np.exp(theory.masking_log_likelihood([[0.0, 2.0]], [[1, 2], [1, 3]], 0.25))
    >>> likelihood.round(4).tolist()
    [[0.1875, 0.0]]
    """
    return _replacing_log_likelihood(X_tilde, X, [(0.0, probability)])


def salt_and_pepper_log_likelihood(
    X_tilde: ArrayLike, X: ArrayLike, probability: float, low: float = 0.0, high: float = 1.0
) -> Array:
    """The same for entries that are replaced with a probability p, by ``low`` or ``high``.

    Parameters
    ----------
    X_tilde : array-like of shape (m, d)
        Not rescaled.
    X : array-like of shape (n, d)
    probability : float
        p, in (0, 1).
    low, high : float, default 0 and 1

    Returns
    -------
    ndarray of shape (m, n)
        Minus infinity for samples that a point cannot come from.

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae import theory
    >>> likelihood = theory.salt_and_pepper_log_likelihood([[0.0, 0.5]], [[0.2, 0.5]], 0.2)
    >>> round(float(np.exp(likelihood[0, 0])), 4)  # 0.1 · 0.8
    0.08
    """
    halves = [(low, probability / 2), (high, probability / 2)]
    return _replacing_log_likelihood(X_tilde, X, halves)


def _replacing_log_likelihood(
    X_tilde: ArrayLike, X: ArrayLike, replacements: list[tuple[float, float]]
) -> Array:
    X_tilde, X = np.asarray(X_tilde, float)[:, None], np.asarray(X, float)
    likelihood = (1 - sum(probability for _, probability in replacements)) * (X_tilde == X)
    for value, probability in replacements:
        likelihood += probability * (X_tilde == value)
    with np.errstate(divide="ignore"):
        return np.sum(np.log(likelihood), axis=2)


@dataclass(frozen=True)
class NoisyData:
    """A finite data set seen through Gaussian noise: the density ``p_σ = (1/n) Σ_i N(x_i, σ² I)``.

    Parameters
    ----------
    X : ndarray of shape (n, d)
    scale : float
        σ.

    Examples
    --------
    Tweedie's formula: the best denoiser is a step along the score (7.3).

    >>> import numpy as np
    >>> from nanoae import theory
    >>> data = theory.NoisyData(np.array([[-1.0, 0.0], [1.0, 0.0], [0.0, 2.0]]), 0.5)
    >>> x_tilde = np.array([[0.3, 0.4]])
    >>> step = data.denoiser(x_tilde) - x_tilde
    >>> bool(np.allclose(step, 0.25 * data.score(x_tilde)))
    True
    """

    X: Array
    scale: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "X", np.asarray(self.X, float))

    def log_density(self, x: Array) -> Array:
        """``log p_σ`` of points ``(m, d)``: an array ``(m,)``."""
        from scipy.special import logsumexp

        of_each = gaussian_log_likelihood(x, self.X, self.scale)
        return logsumexp(of_each, axis=1) - np.log(len(self.X))

    def score(self, x: Array) -> Array:
        """``∇ log p_σ = Σ_i w_i (x_i − x)/σ²`` at points ``(m, d)``: an array ``(m, d)``.

        Of the definition, not by (7.3): so that each can be held to the other.
        """
        of_each = gaussian_log_likelihood(x, self.X, self.scale)
        density = np.exp(of_each - of_each.max(axis=1, keepdims=True))
        gradients = (self.X - x[:, None]) / self.scale**2
        return np.einsum("mn,mnd->md", density, gradients) / density.sum(axis=1)[:, None]

    def denoiser(self, x_tilde: Array) -> Array:
        """``r*(x̃)``, for points ``(m, d)``: an array ``(m, d)`` (7.2)."""
        return posterior_mean(gaussian_log_likelihood(x_tilde, self.X, self.scale), self.X)

    def jacobian(self, x_tilde: Array) -> Array:
        """``∇r*(x̃) = Cov(x|x̃)/σ²``, for points ``(m, d)``: an array ``(m, d, d)`` (7.3a)."""
        from scipy.special import softmax

        w = softmax(gaussian_log_likelihood(x_tilde, self.X, self.scale), axis=1)
        mean = w @ self.X
        # from the mean on, before squaring: data may be far from 0
        deviations = np.sqrt(w)[:, :, None] * (self.X - mean[:, None])
        return deviations.swapaxes(1, 2) @ deviations / self.scale**2

    def nodes(self, spacing: float = 0.1) -> tuple[Array, Array, Array]:
        """Points for the expectation over sample and noise, exact to rounding for a smooth r.

        By the trapezoid rule in each direction, which errs exponentially little in 1/spacing for
        functions that are analytic near the real axis, as the best denoiser is to a distance of
        πσ²/(the samples' distance). Where that is small, so is the density: for samples gσ apart
        the error is of the order of exp(−g²/8 − 2π²/(g spacing)), below 1e-13 for every g.

        Parameters
        ----------
        spacing : float, default 0.1
            In units of σ.

        Returns
        -------
        x, x_tilde : ndarray of shape (m, d)
        weights : ndarray of shape (m,)
            ``Σ weights · f(x, x̃)`` is ``E f(x, x̃)``.
        """
        n, d = self.X.shape
        t = np.arange(-8.5, 8.5 + spacing / 2, spacing)
        grids = np.meshgrid(*[t] * d, indexing="ij")
        eps = np.stack([grid.ravel() for grid in grids], axis=1)
        of_noise = np.exp(-np.sum(eps**2, axis=1) / 2)
        x = np.repeat(self.X, len(eps), axis=0)
        x_tilde = x + self.scale * np.tile(eps, (n, 1))
        return x, x_tilde, np.tile(of_noise / of_noise.sum() / n, n)

    def least_loss(self) -> float:
        """``L* = E ‖r*(x̃) − x‖²``, by quadrature; for d of 1 or 2.

        The error is absolute, some 1e-13 of the samples' squared distances: of points so far
        apart that they lose less, no digit need be right (but those of `two_points_loss` are).
        """
        x, x_tilde, weights = self.nodes()
        return float(weights @ np.sum((self.denoiser(x_tilde) - x) ** 2, axis=1))


class LinearDenoiser(NamedTuple):
    """The best linear denoiser of rank k, and what it costs.

    Attributes
    ----------
    map : ndarray of shape (d, d)
        ``x̂ − μ = M (x̃ − μ)``.
    loss : float
        Expected.
    strengths : ndarray of shape (d,)
        Eigenvalues t_i of ``Σ (Σ+N)⁻¹ Σ``, falling: what each of the axes chosen saves.
    axes : ndarray of shape (d, d)
        Its eigenvectors in columns.

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae import theory
    >>> best = theory.linear_denoiser(np.diag([3.0, 1.0]), [1.0, 1.0], 1)
    >>> best.strengths.round(12).tolist()
    [2.25, 0.5]
    """

    map: Array
    loss: float
    strengths: Array
    axes: Array


def linear_denoiser(Sigma: ArrayLike, noise: ArrayLike, n_components: int) -> LinearDenoiser:
    """The least of ``tr (M−I) Σ (M−I)ᵀ + tr M N Mᵀ`` over M of rank k: Wiener's filter (7.8).

    Parameters
    ----------
    Sigma : array-like of shape (d, d)
        Covariance of the clean data; it may be singular.
    noise : array-like of shape (d,) or (d, d)
        ``N = E Cov(x̃|x)``, or its diagonal: σ² for Gaussian noise, `replacement_noise` for
        masking and for salt and pepper.
    n_components : int
        k; d or more of them leave M free.

    Returns
    -------
    LinearDenoiser

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae import theory
    >>> M, loss, *_ = theory.linear_denoiser(np.diag([3.0, 1.0]), [1.0, 1.0], 1)
    >>> M.round(4).tolist()  # λ/(λ+σ²) on the first axis
    [[0.75, 0.0], [0.0, 0.0]]
    >>> round(loss, 4)  # 3/4 + 1
    1.75
    """
    Sigma, N = np.asarray(Sigma, float), np.asarray(noise, float)
    N = np.diag(N) if N.ndim == 1 else N
    C = Sigma + N
    units = np.sqrt(np.where(np.diag(C) > 0, np.diag(C), 1))  # features may differ in theirs
    # F Fᵀ = (Σ+N)⁻¹, or the pseudoinverse, which is not formed: where Σ is singular it has 1/N,
    # beside which the rest of it would be lost
    lam, U = np.linalg.eigh(C / np.outer(units, units))
    seen = lam > 1e-15 * lam[-1]
    F = U[:, seen] / np.sqrt(lam[seen]) / units[:, None]
    Sigma_F = Sigma @ F
    wiener = Sigma_F @ F.T
    strengths, axes = np.linalg.eigh(Sigma_F @ Sigma_F.T)
    strengths, axes = strengths[::-1], axes[:, ::-1]
    V = axes[:, :n_components]
    M = V @ V.T @ wiener
    R = np.eye(len(Sigma)) - M
    # tr Σ − Σ t_i, but for its cancellation
    loss = float(np.trace(R @ Sigma @ R.T) + np.trace(M @ N @ M.T))
    return LinearDenoiser(M, loss, strengths, axes)


def replacement_noise(
    mean: ArrayLike,
    variance: ArrayLike,
    probability: float,
    replacement: float = 0.0,
    replacement_variance: float = 0.0,
) -> Array:
    """N of entries that are replaced with a probability p, then made right on average (7.7a).

    Parameters
    ----------
    mean, variance : array-like of shape (d,)
        Of the features.
    probability : float
        p.
    replacement, replacement_variance : float, default 0
        Mean z̄ and variance v of what comes in their place: 0 and 0 for masking, ½ and ¼ for salt
        and pepper on data in [0, 1].

    Returns
    -------
    ndarray of shape (d,)
        Diagonal of N.

    Examples
    --------
    >>> from nanoae import theory
    >>> theory.replacement_noise([0.0, 1.0], [1.0, 1.0], 0.5).tolist()
    [1.0, 2.0]
    """
    mean, variance = np.asarray(mean, float), np.asarray(variance, float)
    q = 1 - probability
    offset = (mean - replacement) ** 2 + replacement_variance / q
    return probability / q * (variance + offset)


def mismatch_loss(
    eigenvalues: ArrayLike, trained: ArrayLike, used: ArrayLike, n_components: int
) -> Array:
    """Loss of the linear denoiser of one noise level at another (7.10), Gaussian noise.

    Parameters
    ----------
    eigenvalues : array-like of shape (d,)
        λ_i of the clean data, falling.
    trained, used : array-like
        σ² of the noise in training, and where the denoiser is used; they broadcast.
    n_components : int
        k.

    Returns
    -------
    ndarray of their broadcast shape

    Examples
    --------
    >>> from nanoae import theory
    >>> theory.mismatch_loss([3.0, 1.0], 1.0, [0.5, 1.0, 1.5], 2).round(4).tolist()
    [0.8438, 1.25, 1.6562]
    """
    a, b = np.asarray(trained, float)[..., None], np.asarray(used, float)[..., None]
    lam = np.asarray(eigenvalues, float)
    kept, lost = lam[:n_components], lam[n_components:]
    variance = np.where(kept + a > 0, kept + a, 1)  # where there is nothing, nothing is lost
    return np.sum((a / variance) ** 2 * kept + (kept / variance) ** 2 * b, axis=-1) + lost.sum()


def two_points_denoiser(x_tilde: ArrayLike, a: ArrayLike, scale: float) -> Array:
    """``r*(x̃) = a tanh(aᵀx̃/σ²)``: the best denoiser of the two points ±a (7.6).

    Parameters
    ----------
    x_tilde : array-like of shape (m, d)
    a : array-like of shape (d,)
    scale : float
        σ.

    Returns
    -------
    ndarray of shape (m, d)

    Examples
    --------
    >>> from nanoae import theory
    >>> theory.two_points_denoiser([[0.5, 7.0]], [1.0, 0.0], 0.5).round(4).tolist()
    [[0.964, 0.0]]
    """
    a = np.asarray(a, float)
    return np.tanh(np.asarray(x_tilde, float) @ a / scale**2)[:, None] * a


def two_points_loss(length: float, scale: float) -> float:
    """``L* = ‖a‖² (1 − E tanh(‖a‖²/σ² + t ‖a‖/σ))``, t ~ N(0, 1), of the two points ±a (7.6b).

    Computed as what it is equal to, ``‖a‖² exp(−ρ²/2) E sech(ρ t)`` with ``ρ = ‖a‖/σ``, which
    keeps its digits where the points are far apart: the mean of the posterior's variance,
    ``‖a‖² sech²(aᵀx̃/σ²)``, over the density of x̃, which has a factor of cosh.

    Parameters
    ----------
    length : float
        ‖a‖.
    scale : float
        σ.

    Returns
    -------
    float

    Raises
    ------
    ValueError, TypeError
        ``scale`` is no positive number.

    Examples
    --------
    >>> from nanoae import theory
    >>> round(theory.two_points_loss(1.0, 0.5), 4)
    0.0686
    """
    check_real("scale", scale, 0, open_ends=True)
    ratio = length / scale
    step = 0.2 / max(ratio, 1)  # fine beside both widths, that of the density and that of sech
    t = step * np.arange(-200, 201)
    density = np.exp(-(t**2) / 2) / np.sqrt(2 * np.pi)
    mean = step * np.sum(density / np.cosh(ratio * t))
    return float(length**2 * np.exp(-ratio * ratio / 2) * mean)


class CircleDenoiser(NamedTuple):
    """The best denoiser of a circle at one distance from its centre.

    Attributes
    ----------
    radius : ndarray
        ``‖r*(x̃)‖``: r* points as x̃ does.
    along, across : ndarray
        Eigenvalues of ``∇r*``: along the circle, and towards the centre.

    Examples
    --------
    >>> from nanoae import theory
    >>> theory.circle_denoiser(0.0, 1.0, 1.0).radius.tolist()  # the centre stays
    0.0
    """

    radius: Array
    along: Array
    across: Array


def circle_denoiser(distance: ArrayLike, radius: float, scale: float) -> CircleDenoiser:
    """The best denoiser of a uniform distribution on a circle in the plane (7.6d).

    Parameters
    ----------
    distance : array-like
        ρ = ‖x̃‖.
    radius : float
        R, of the circle.
    scale : float
        σ.

    Returns
    -------
    CircleDenoiser
        Of arrays of the shape of ``distance``.

    Raises
    ------
    ValueError, TypeError
        ``scale`` is no positive number.

    Examples
    --------
    A point on the circle is moved inwards, to about ``R − σ²/2R``:

    >>> from nanoae import theory
    >>> theory.circle_denoiser(1.0, 1.0, 0.1).radius.round(5).tolist()
    0.99499
    """
    from scipy.special import i0e, i1e

    check_real("scale", scale, 0, open_ends=True)
    kappa = radius / scale * np.asarray(distance, float) / scale
    A = i1e(kappa) / i0e(kappa)  # I₁/I₀
    ratio = np.where(kappa > 1e-8, A / np.where(kappa > 1e-8, kappa, 1), 0.5)  # A/κ → ½
    # of the difference A′ = 1 − A/κ − A² a large κ leaves no digits: its series in 1/κ
    u = 1 / np.maximum(kappa, 500)
    series = u**2 * (1 / 2 + u * (1 / 4 + u * (3 / 8 + u * (25 / 32 + u * 65 / 32))))
    slope = np.where(kappa > 500, series, 1 - ratio - A**2)
    curvature = (radius / scale) ** 2
    return CircleDenoiser(radius * A, curvature * ratio, curvature * slope)


def circle_ridge(radius: float, scale: float) -> float:
    """Distance from the centre at which the best denoiser of a circle leaves a point (7.6e).

    Parameters
    ----------
    radius : float
        R.
    scale : float
        σ.

    Returns
    -------
    float
        0 if ``σ ≥ R/√2``: then all points are drawn to the centre.

    Raises
    ------
    ValueError, TypeError
        ``scale`` is no positive number.

    Examples
    --------
    >>> from nanoae import theory
    >>> round(theory.circle_ridge(1.0, 0.1), 5), theory.circle_ridge(1.0, 0.8)
    (0.99496, 0.0)
    """
    from scipy.optimize import brentq

    check_real("scale", scale, 0, open_ends=True)
    if scale**2 >= radius**2 / 2:
        return 0.0
    ratio = scale / radius
    at_least = ratio**2 * np.sqrt(8 * (1 - 2 * ratio**2))  # by I₁/I₀ = κ/2 − κ³/16 + …

    def move(rho: float) -> float:  # in radii, which have no unit
        return float(circle_denoiser(rho, 1.0, ratio).radius) - rho

    if 1 - 2 * ratio**2 < 1e-8:  # there it is equal, and the move is lost in rounding
        return radius * float(at_least)
    return radius * float(brentq(move, at_least / 2, 1.0, xtol=1e-15, rtol=1e-15))
