"""The linear β-VAE's optimum, and Shannon's rate–distortion function that it draws."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from nanoae.arrays import Array


class LinearVAEOptimum(NamedTuple):
    """The linear β-VAE at its global minimum, for ``θ = β σ²``.

    Attributes
    ----------
    rate : float
        ``Σ_{i≤k} ½ log(λ_i / θ)`` over active dimensions, nats.
    distortion : float
        ``Σ_{i≤k} min(θ, λ_i) + Σ_{i>k} λ_i``.
    active : ndarray of bool, shape (k,)
        ``λ_i > θ``.
    posterior_variance : ndarray of shape (k,)
        ``θ / λ_i`` where active, else 1.
    decoder_norms : ndarray of shape (k,)
        Lengths ``√(λ_i − θ)_+`` of the decoder's columns, which lie along the principal axes.
    """

    rate: float
    distortion: float
    active: Array
    posterior_variance: Array
    decoder_norms: Array


def linear_vae_optimum(
    eigenvalues: ArrayLike, n_components: int, beta: float, noise_variance: float
) -> LinearVAEOptimum:
    """Closed form of the linear β-VAE with ``p(x|z) = N(Wz, σ²I)``, ``q(z|x) = N(Vx, diag)``.

    Lucas et al. (2019) for β = 1; a general β only moves the level from σ² to ``θ = β σ²``.

    Parameters
    ----------
    eigenvalues : array-like of shape (d,)
        Of the data's covariance Σ.
    n_components : int
        k.
    beta : float
    noise_variance : float
        σ².
    """
    eigenvalues = np.sort(np.asarray(eigenvalues, dtype=np.float64))[::-1]
    theta = beta * noise_variance
    used, left = eigenvalues[:n_components], eigenvalues[n_components:]
    active = used > theta
    return LinearVAEOptimum(
        rate=float(0.5 * np.log(used[active] / theta).sum()),
        distortion=float(np.minimum(theta, used).sum() + left.sum()),
        active=active,
        posterior_variance=np.where(active, theta / np.where(active, used, 1), 1.0),
        decoder_norms=np.sqrt(np.maximum(used - theta, 0)),
    )


def water_filling(eigenvalues: ArrayLike, theta: ArrayLike) -> tuple[Array, Array]:
    """Shannon's rate–distortion function of a Gaussian source, by its water level.

    Reverse water-filling (Cover & Thomas 2006, theorem 10.3.3): components above the level θ are
    described to within θ, the others not at all. ``R = Σ ½ log(λ_i/θ)_+``,
    ``D = Σ min(θ, λ_i)``.

    Parameters
    ----------
    eigenvalues : array-like of shape (d,)
        Of the source's covariance.
    theta : array-like of shape (m,) or scalar
        Water levels, positive.

    Returns
    -------
    rate, distortion : ndarray of the shape of ``theta``
        Nats, and summed squared error.
    """
    eigenvalues = np.asarray(eigenvalues, dtype=np.float64)
    theta = np.asarray(theta, dtype=np.float64)[..., None]
    ratio = np.maximum(eigenvalues, theta) / theta  # 1 where under water
    return 0.5 * np.log(ratio).sum(axis=-1), np.minimum(theta, eigenvalues).sum(axis=-1)


def shannon_rate(eigenvalues: ArrayLike, distortion: float) -> float:
    """R(D) of a Gaussian source, in nats: the least rate that allows a squared error ``D``.

    The water level that gives ``D`` is found exactly: between two eigenvalues D is linear in it.

    Parameters
    ----------
    eigenvalues : array-like of shape (d,)
    distortion : float
        ``0 < D``; from ``D = tr Σ`` on the rate is 0.

    Raises
    ------
    ValueError
        ``distortion`` is not positive.
    """
    if not distortion > 0:
        raise ValueError(f"distortion must be greater than 0; got {distortion!r}.")
    ascending = np.sort(np.asarray(eigenvalues, dtype=np.float64))
    if distortion >= ascending.sum():
        return 0.0
    # with the level at ascending[j], components up to j are under water
    above = len(ascending) - 1 - np.arange(len(ascending))
    at_eigenvalues = np.cumsum(ascending) + above * ascending
    j = int(np.searchsorted(at_eigenvalues, distortion, side="right"))
    theta = (distortion - ascending[:j].sum()) / (len(ascending) - j)
    return float(water_filling(ascending, theta)[0])
