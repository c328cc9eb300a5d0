"""The KL divergence of a Gaussian from the standard normal, by two roads that know no formula.

Both integrate the definition, ``KL(q ‖ p) = ∫ q(z) log (q(z) / p(z)) dz``.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from nanoae.arrays import Array


class Estimate(NamedTuple):
    """A Monte Carlo estimate and its standard error."""

    mean: float
    standard_error: float


def gaussian_kl_monte_carlo(
    mu: ArrayLike, log_var: ArrayLike, n_samples: int, rng: np.random.Generator
) -> Estimate:
    """KL(N(μ, diag σ²) ‖ N(0, I)) as the mean of ``log q(z) − log p(z)`` over draws from q.

    Parameters
    ----------
    mu, log_var : array-like of shape (k,)
    n_samples : int
        Number of draws.
    rng : Generator

    Returns
    -------
    Estimate
        Nats; the standard error is the sample's standard deviation over √n.
    """
    mu, log_var = np.asarray(mu, dtype=np.float64), np.asarray(log_var, dtype=np.float64)
    z = mu + np.exp(log_var / 2) * rng.standard_normal((n_samples, len(mu)))
    log_ratio = (_log_normal(z, mu, log_var) - _log_normal(z, 0.0, 0.0)).sum(axis=1)
    return Estimate(float(log_ratio.mean()), float(log_ratio.std(ddof=1) / np.sqrt(n_samples)))


def gaussian_kl_quadrature(mu: ArrayLike, log_var: ArrayLike) -> float:
    """KL(N(μ, diag σ²) ‖ N(0, I)) by numerical integration of its definition, in nats.

    One integral a dimension, since both densities factorise; adaptive Gauss–Kronrod over twelve
    standard deviations either side, beyond which the integrand is below 1e-30.

    Parameters
    ----------
    mu, log_var : array-like of shape (k,)
    """
    from scipy.integrate import quad  # here, so that importing nanoae stays cheap

    def one_dimension(m: float, v: float) -> float:
        sigma = np.exp(v / 2)

        def integrand(u: float) -> float:  # z = m + σ u
            z = m + sigma * u
            q = np.exp(_log_normal(u, 0.0, 0.0))
            return float(q * (_log_normal(z, m, v) - _log_normal(z, 0.0, 0.0)))

        return float(quad(integrand, -12, 12, epsabs=1e-13, epsrel=1e-13, limit=200)[0])

    return sum(one_dimension(m, v) for m, v in zip(np.ravel(mu), np.ravel(log_var), strict=True))


def _log_normal(
    z: Array | float,
    mu: Array | float,
    log_var: Array | float,
) -> Array:
    """log N(z; μ, σ²), elementwise."""
    return -0.5 * (np.log(2 * np.pi) + log_var + (z - mu) ** 2 / np.exp(log_var))
