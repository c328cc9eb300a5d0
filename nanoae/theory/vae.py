"""What the VAE's parts must equal: KL by two roads that know no formula, the linear-Gaussian
model where nothing is intractable, and the noise of two gradient estimators.

The derivations are chapter 5's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from nanoae.arrays import Array
from nanoae.validation import check_integer, check_positive_definite


class Estimate(NamedTuple):
    """A Monte Carlo estimate and its standard error.

    Attributes
    ----------
    mean : float
    standard_error : float
        Standard deviation of ``mean`` over repetitions, estimated from the draws.

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae import theory
    >>> rng = np.random.default_rng(0)
    >>> estimate = theory.gaussian_kl_monte_carlo([1.0], [0.0], 10_000, rng)  # exactly: 1/2
    >>> bool(abs(estimate.mean - 0.5) < 3 * estimate.standard_error)
    True
    """

    mean: float
    standard_error: float


def gaussian_kl_monte_carlo(
    mu: ArrayLike, log_var: ArrayLike, n_samples: int, rng: np.random.Generator
) -> Estimate:
    """KL(N(μ, diag σ²) ‖ N(0, I)) by its definition: the mean of ``log q − log p`` over q.

    Parameters
    ----------
    mu, log_var : array-like of shape (k,)
    n_samples : int
        Number of draws, at least 2.
    rng : Generator

    Returns
    -------
    Estimate
        Nats; the standard error is the sample's standard deviation over √n.

    Raises
    ------
    ValueError, TypeError
        ``n_samples`` is no integer of at least 2.

    Examples
    --------
    A hundred times the draws, a tenth of the error; the KL is ``½ μ² = ½``:

    >>> import numpy as np
    >>> from nanoae import theory
    >>> for n in (100, 10_000):
    ...     mean, error = theory.gaussian_kl_monte_carlo([1.0], [0.0], n, np.random.default_rng(0))
    ...     print(round(mean, 2), round(error, 2))
    0.58 0.1
    0.51 0.01
    """
    check_integer("n_samples", n_samples, 2)
    mu, log_var = np.asarray(mu, dtype=np.float64), np.asarray(log_var, dtype=np.float64)
    u = rng.standard_normal((n_samples, len(mu)))
    z = mu + np.exp(log_var / 2) * u
    # log q(z) by u: beside μ a small σ u is lost in z
    log_ratio = (_log_normal(u) - log_var / 2 - _log_normal(z)).sum(axis=1)
    return Estimate(float(log_ratio.mean()), float(log_ratio.std(ddof=1) / np.sqrt(n_samples)))


def gaussian_kl_monte_carlo_variance(mu: ArrayLike, log_var: ArrayLike) -> float:
    """Variance of one draw of that estimate, ``Σ μ² σ² + ½ (σ² − 1)²`` (5.2d).

    Parameters
    ----------
    mu, log_var : array-like of shape (k,)

    Returns
    -------
    float
        Nats squared.

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae import theory
    >>> theory.gaussian_kl_monte_carlo_variance([0.0], [0.0])  # q is p: every draw says 0
    0.0
    >>> round(theory.gaussian_kl_monte_carlo_variance([1.0], [np.log(4)]), 4)  # 4 + ½ (4 - 1)²
    8.5
    """
    mu, variance = np.asarray(mu, dtype=np.float64), np.exp(np.asarray(log_var, dtype=np.float64))
    return float(np.sum(mu**2 * variance + 0.5 * (variance - 1) ** 2))


def gaussian_kl_quadrature(mu: ArrayLike, log_var: ArrayLike) -> float:
    """KL(N(μ, diag σ²) ‖ N(0, I)) by numerical integration of its definition, in nats.

    One integral a dimension, since both densities factorise; adaptive Gauss–Kronrod over twelve
    standard deviations either side, beyond which the integrand is below 1e-30.

    Parameters
    ----------
    mu, log_var : array-like of shape (k,)

    Returns
    -------
    float

    Examples
    --------
    Beside the formula, ``½ (μ² + σ² − 1 − log σ²)``:

    >>> import numpy as np
    >>> from nanoae import theory
    >>> round(float(theory.gaussian_kl_quadrature([1.0], [np.log(4)])), 8)
    1.30685282
    >>> round(float(0.5 * (1 + 4 - 1 - np.log(4))), 8)
    1.30685282
    """
    from scipy.integrate import quad  # here, so that importing nanoae stays cheap

    def one_dimension(m: float, v: float) -> float:
        sigma = np.exp(v / 2)

        def integrand(u: float) -> float:  # z = m + σ u
            log_q = _log_normal(u) - v / 2
            return float(np.exp(_log_normal(u)) * (log_q - _log_normal(m + sigma * u)))

        return float(quad(integrand, -12, 12, epsabs=1e-13, epsrel=1e-13, limit=200)[0])

    both = (np.ravel(values).astype(np.float64) for values in (mu, log_var))
    return sum(one_dimension(m, v) for m, v in zip(*both, strict=True))


def _log_normal(z: Array | float) -> Array:
    """log N(z; 0, 1), elementwise."""
    return np.asarray(-0.5 * (np.log(2 * np.pi) + np.square(z)))


# --- the linear-Gaussian model: p(z) = N(0, I), p(x|z) = N(Wz + b, σ² I) ---------------------


class LinearGaussian(NamedTuple):
    """The generative model in which marginal likelihood and posterior have closed forms.

    Attributes
    ----------
    W : ndarray of shape (d, k)
    b : ndarray of shape (d,)
    noise_variance : float
        σ².

    Examples
    --------
    With the true posterior for q, the ELBO is the log-likelihood, ``log N(1; 0, 2)``:

    >>> import numpy as np
    >>> from nanoae import theory
    >>> model, X = theory.LinearGaussian(np.ones((1, 1)), np.zeros(1), 1.0), np.ones((1, 1))
    >>> round(float(model.log_likelihood(X)[0]), 4)
    -1.5155
    >>> round(float(model.elbo(X, *model.posterior(X))[0]), 4)
    -1.5155
    >>> round(float(model.elbo(X, mean=np.zeros((1, 1)), covariance=np.eye(1))[0]), 4)
    -1.9189
    """

    W: Array
    b: Array
    noise_variance: float

    def log_likelihood(self, X: ArrayLike) -> Array:
        """``log p(x) = log N(x; b, W Wᵀ + σ² I)`` of each sample ``(n,)``, nats (5.1c)."""
        centred, d = np.asarray(X, dtype=np.float64) - self.b, len(self.b)
        # by the axes of W, for where σ² is lost beside W Wᵀ, their sum has no inverse
        U, s, _ = np.linalg.svd(self.W, full_matrices=False)
        variances = s**2 + self.noise_variance
        along = centred @ U
        across = centred - along @ U.T
        log_det = np.sum(np.log(variances)) + (d - len(s)) * np.log(self.noise_variance)
        distance = np.sum(along**2 / variances, axis=1)
        distance += np.sum(across**2, axis=1) / self.noise_variance
        return -0.5 * (d * np.log(2 * np.pi) + log_det + distance)

    def posterior(self, X: ArrayLike) -> tuple[Array, Array]:
        """Mean ``(n, k)`` and covariance ``(k, k)`` of ``p(z|x)``.

        With ``M = WᵀW + σ² I``: ``N(M⁻¹ Wᵀ (x − b), σ² M⁻¹)`` (5.1d).
        """
        # by the axes of W again; V is to have all k, those that W does not use too
        d, k = self.W.shape
        U, s, V_t = np.linalg.svd(self.W, full_matrices=d < k)
        s = np.pad(s, (0, k - len(s)))
        variances = s**2 + self.noise_variance
        along = (np.asarray(X, dtype=np.float64) - self.b) @ U
        mean = along @ (V_t.T * (s / variances))[:, : U.shape[1]].T
        return mean, (V_t.T * (self.noise_variance / variances)) @ V_t

    def elbo(self, X: ArrayLike, mean: ArrayLike, covariance: ArrayLike) -> Array:
        """The ELBO of each sample ``(n,)`` for any Gaussian ``q(z|x)``, nats, no sampling (5.1e).

        Parameters
        ----------
        X : array-like of shape (n, d)
        mean : array-like of shape (n, k)
        covariance : array-like of shape (k, k)
        """
        X, mean, covariance = (np.asarray(a, float) for a in (X, mean, covariance))
        d, k = self.W.shape
        error = np.sum((X - mean @ self.W.T - self.b) ** 2, axis=1)
        error += np.trace(self.W @ covariance @ self.W.T)
        log_p = -0.5 * (d * np.log(2 * np.pi * self.noise_variance) + error / self.noise_variance)
        return log_p - gaussian_kl_between(mean, covariance, np.zeros(k), np.eye(k))


def gaussian_kl_between(
    mean_q: ArrayLike, covariance_q: ArrayLike, mean_p: ArrayLike, covariance_p: ArrayLike
) -> Array:
    """KL between Gaussians with full covariances, for one pair of means a row, in nats.

    ``½ [tr(Σ_p⁻¹ Σ_q) + (μ_p − μ_q)ᵀ Σ_p⁻¹ (μ_p − μ_q) − k + log |Σ_p| / |Σ_q|]`` (5.2e).

    Parameters
    ----------
    mean_q, mean_p : array-like of shape (n, k) or (k,)
    covariance_q, covariance_p : array-like of shape (k, k)

    Returns
    -------
    ndarray of shape (n,)

    Raises
    ------
    ValueError
        ``covariance_p`` is not positive definite.

    Examples
    --------
    KL is not symmetric: it costs more to call a wide Gaussian narrow than the reverse:

    >>> from nanoae import theory
    >>> narrow, wide = ([0.0], [[1.0]]), ([0.0], [[4.0]])
    >>> round(float(theory.gaussian_kl_between(*wide, *narrow)[0]), 4)  # ½ (4 - 1 - log 4)
    0.8069
    >>> round(float(theory.gaussian_kl_between(*narrow, *wide)[0]), 4)  # ½ (¼ - 1 + log 4)
    0.3181
    """
    difference = np.atleast_2d(np.asarray(mean_p, float) - np.asarray(mean_q, float))
    covariance_q, covariance_p = (np.asarray(S, float) for S in (covariance_q, covariance_p))
    check_positive_definite("covariance_p", covariance_p)
    log_dets = np.linalg.slogdet(covariance_p)[1] - np.linalg.slogdet(covariance_q)[1]
    spread = np.trace(np.linalg.solve(covariance_p, covariance_q))
    distance = np.sum(difference * np.linalg.solve(covariance_p, difference.T).T, axis=1)
    return 0.5 * (spread + distance - len(covariance_q) + log_dets)


def gaussian_renyi_between(
    mean_p: ArrayLike, covariance_p: ArrayLike, mean_q: ArrayLike, covariance_q: ArrayLike
) -> Array:
    """Rényi's divergence of order 2, ``log ∫ p²/q``, for one pair of means a row, in nats (5.1g).

    ``exp`` of it, less 1, is the variance of the importance weight p/q when z is drawn from q:
    what one draw from the prior is worth (5.1f), and from the encoder (5.5c). Infinite unless
    ``2 Σ_q − Σ_p`` is positive definite: q must not be much narrower than p.

    Parameters
    ----------
    mean_p, mean_q : array-like of shape (n, k) or (k,)
    covariance_p, covariance_q : array-like of shape (k, k)

    Returns
    -------
    ndarray of shape (n,)

    Examples
    --------
    ``μ²`` for two Gaussians of variance 1 that are μ apart; infinite for a q of half p's variance:

    >>> from nanoae import theory
    >>> [float(theory.gaussian_renyi_between([2.0], [[1.0]], [0.0], [[v]])[0]) for v in (1.0, 0.5)]
    [4.0, inf]
    """
    difference = np.atleast_2d(np.asarray(mean_p, float) - np.asarray(mean_q, float))
    covariance_p, covariance_q = (np.asarray(S, float) for S in (covariance_p, covariance_q))
    C = 2 * covariance_q - covariance_p
    if np.linalg.eigvalsh(C)[0] <= 0:
        return np.full(len(difference), np.inf)
    log_det_p, log_det_q, log_det_C = (
        np.linalg.slogdet(matrix)[1] for matrix in (covariance_p, covariance_q, C)
    )
    distance = np.sum(difference * np.linalg.solve(C, difference.T).T, axis=1)
    return log_det_q - 0.5 * (log_det_p + log_det_C) + distance


# --- two estimators of ∇_μ E f(z), z ~ N(μ, σ² I) --------------------------------------------


def reparameterised_gradients(
    grad_f: Callable[[Array], Array], mu: ArrayLike, sigma: float, n: int, rng: np.random.Generator
) -> Array:
    """``n`` independent estimates ``(n, k)``: ``∇f(μ + σ ε)`` (5.3).

    Parameters
    ----------
    grad_f : callable
        ∇f at points ``(n, k)``.
    mu : array-like of shape (k,)
    sigma : float
    n : int
    rng : Generator

    Returns
    -------
    ndarray of shape (n, k)

    Examples
    --------
    For ``f(z) = z`` every draw is the gradient itself:

    >>> import numpy as np
    >>> from nanoae import theory
    >>> rng = np.random.default_rng(0)
    >>> draws = theory.reparameterised_gradients(np.ones_like, [0.0], 1.0, 1000, rng)
    >>> float(draws.mean()), float(draws.var())
    (1.0, 0.0)
    """
    mu = np.asarray(mu, dtype=np.float64)
    return grad_f(mu + sigma * rng.standard_normal((n, len(mu))))


def score_function_gradients(
    f: Callable[[Array], Array], mu: ArrayLike, sigma: float, n: int, rng: np.random.Generator
) -> Array:
    """``n`` independent estimates ``(n, k)``: ``f(z) ∇_μ log q(z) = f(μ + σ ε) ε / σ`` (5.3a).

    No derivative of f is needed.

    Parameters
    ----------
    f : callable
        Values ``(n,)`` at points ``(n, k)``.
    mu : array-like of shape (k,)
    sigma : float
    n : int
    rng : Generator

    Returns
    -------
    ndarray of shape (n, k)

    Examples
    --------
    For ``f(z) = z`` the draws are right on average only, and have the variance 2:

    >>> import numpy as np
    >>> from nanoae import theory
    >>> rng = np.random.default_rng(0)
    >>> draws = theory.score_function_gradients(lambda z: z[:, 0], [0.0], 1.0, 100_000, rng)
    >>> round(float(draws.mean()), 1), round(float(draws.var()), 1)
    (1.0, 2.0)
    """
    mu = np.asarray(mu, dtype=np.float64)
    eps = rng.standard_normal((n, len(mu)))
    return f(mu + sigma * eps)[:, None] * eps / sigma


class EstimatorVariance(NamedTuple):
    """Variance of one draw of each estimator, summed over the k components.

    Attributes
    ----------
    reparameterised : float
    score_function : float

    Examples
    --------
    >>> from nanoae import theory
    >>> theory.gradient_estimator_variance(0.0, [1.0], [[0.0]], [0.0], 1.0)  # f(z) = z
    EstimatorVariance(reparameterised=0.0, score_function=2.0)
    """

    reparameterised: float
    score_function: float


def gradient_estimator_variance(
    c: float, a: ArrayLike, A: ArrayLike, mu: ArrayLike, sigma: float
) -> EstimatorVariance:
    """Both variances for ``f(z) = c + aᵀz + ½ zᵀA z``, in closed form.

    With ``F = f(μ)`` and ``g = ∇f(μ) = a + Aμ``, the reparameterised one is ``σ² ‖A‖²`` (5.3b);
    the other is ``k F²/σ² + (k+1) ‖g‖² + (k+2) F tr A + ¼ σ² (k+4) ((tr A)² + 2 ‖A‖²)`` (5.3c),
    from the moments of a standard normal up to the sixth. A constant baseline, subtracted from
    f, changes c alone; the best one, (5.3e), leaves ``(k + 2)/2`` times the reparameterised
    variance at least (5.3f), and without one it is ``(k + 2)(k + 4)/4`` times for ``½ ‖z‖²`` at
    ``μ = 0`` (5.3d).

    Parameters
    ----------
    c : float
    a : array-like of shape (k,)
    A : array-like of shape (k, k)
        Symmetric.
    mu : array-like of shape (k,)
    sigma : float

    Returns
    -------
    EstimatorVariance

    Examples
    --------
    A constant c says nothing of the gradient, and yet the score function pays for it:

    >>> from nanoae import theory
    >>> for c in (0.0, 10.0):
    ...     variance = theory.gradient_estimator_variance(c, [1.0], [[1.0]], [0.0], sigma=0.5)
    ...     print(variance.reparameterised, variance.score_function)
    0.25 2.9375
    0.25 432.9375
    """
    a, A, mu = (np.asarray(value, dtype=np.float64) for value in (a, A, mu))
    k, trace, square = len(mu), np.trace(A), np.sum(A * A)
    F = c + a @ mu + 0.5 * mu @ A @ mu
    g = a + A @ mu
    score = k * F**2 / sigma**2 + (k + 1) * g @ g + (k + 2) * F * trace
    score += 0.25 * sigma**2 * (k + 4) * (trace**2 + 2 * square)
    return EstimatorVariance(float(sigma**2 * square), float(score))
