"""The linear β-VAE's optimum, and Shannon's rate–distortion function that it draws."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from nanoae.arrays import Array
from nanoae.theory.linear import spectrum
from nanoae.validation import check_integer, check_real


def linear_vae_encoder(W: ArrayLike, theta: float) -> tuple[Array, Array]:
    """The best ``q(z|x) = N(V(x − mean), diag s²)`` for a given decoder W, ``θ = β σ²``.

    No other Gaussian with diagonal covariance does better at any x, linear in x or not.

    Parameters
    ----------
    W : array-like of shape (d, k)
    theta : float

    Returns
    -------
    V : ndarray of shape (k, d)
        ``(WᵀW + θI)⁻¹ Wᵀ``, ridge regression on the decoder's columns (6.1b).
    posterior_variance : ndarray of shape (k,)
        ``θ / (‖w_j‖² + θ)`` (6.1a).

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae import theory
    >>> W = np.array([[2.0], [0.0]])
    >>> V, posterior_variance = theory.linear_vae_encoder(W, theta=1.0)
    >>> V.round(4).tolist(), posterior_variance.round(4).tolist()  # 2/(4 + 1), 1/(4 + 1)
    ([[0.4, 0.0]], [0.2])
    """
    W = np.asarray(W, dtype=np.float64)
    # by the axes of W, for where θ is lost beside WᵀW, their sum has no inverse
    U, s, V_t = np.linalg.svd(W, full_matrices=False)
    V = (V_t.T * (s / (s**2 + theta))) @ U.T
    return V, theta / (np.sum(W**2, axis=0) + theta)


def linear_vae_profile(W: ArrayLike, Sigma: ArrayLike, theta: float) -> float:
    """Least ``D + 2θR`` over all encoders, for a given decoder W (6.1c).

    ``θ {tr[(WWᵀ + θI)⁻¹ Σ] + Σ_j log(1 + ‖w_j‖²/θ)}``. The β-VAE's loss is this over ``2σ²``,
    plus a constant (6.8).

    Parameters
    ----------
    W : array-like of shape (d, k)
    Sigma : array-like of shape (d, d)
    theta : float

    Returns
    -------
    float

    Examples
    --------
    The least is at a column of length ``√(λ − θ)``, and there it is ``2 + log 4``:

    >>> import numpy as np
    >>> from nanoae import theory
    >>> Sigma, best = np.diag([4.0, 1.0]), np.array([[3**0.5], [0.0]])
    >>> [round(theory.linear_vae_profile(c * best, Sigma, theta=1.0), 4) for c in (0, 0.9, 1, 1.1)]
    [5.0, 3.3987, 3.3863, 3.3965]
    """
    W = np.asarray(W, dtype=np.float64)
    U, s, _ = np.linalg.svd(W)  # the axes of W again, here all d
    s = np.pad(s, (0, len(W) - len(s)))
    variances = np.einsum("ji,jk,ki->i", U, np.asarray(Sigma, dtype=np.float64), U)
    price = np.log1p(np.sum(W**2, axis=0) / theta).sum()
    return float(np.sum(theta / (s**2 + theta) * variances) + theta * price)


class LinearVAEOptimum(NamedTuple):
    """The linear β-VAE at its global minimum, for ``θ = β σ²``.

    Attributes
    ----------
    rate : float
        ``Σ_{i≤k} ½ log(λ_i / θ)`` over active dimensions, nats (6.3).
    distortion : float
        ``Σ_{i≤k} min(θ, λ_i) + Σ_{i>k} λ_i`` (6.3a).
    active : ndarray of bool, shape (k,)
        ``λ_i > θ`` (6.2), with ``λ_i = 0`` for i > d.
    posterior_variance : ndarray of shape (k,)
        ``θ / λ_i`` where active, else 1 (6.1f).
    decoder_norms : ndarray of shape (k,)
        Lengths ``√(λ_i − θ)_+`` of the decoder's columns, along the principal axes (6.1).

    Examples
    --------
    >>> from nanoae import theory
    >>> optimum = theory.linear_vae_optimum([4.0, 2.0], 2, beta=3.0, noise_variance=1.0)
    >>> optimum.active.tolist()  # 4 is above the level 3, and 2 below
    [True, False]
    >>> optimum.posterior_variance.tolist(), optimum.decoder_norms.tolist()
    ([0.75, 1.0], [1.0, 0.0])
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

    Returns
    -------
    LinearVAEOptimum

    Raises
    ------
    TypeError, ValueError
        One of the three numbers is out of its range.

    Examples
    --------
    A larger β buys a lower rate with distortion; the total variance is 6.5:

    >>> from nanoae import theory
    >>> for beta in (1.0, 3.0, 5.0):
    ...     optimum = theory.linear_vae_optimum([4.0, 2.0, 0.5], 2, beta, noise_variance=1.0)
    ...     print(beta, round(optimum.rate, 4), round(optimum.distortion, 4))
    1.0 1.0397 2.5
    3.0 0.1438 5.5
    5.0 0.0 6.5
    """
    eigenvalues = np.sort(np.asarray(eigenvalues, dtype=np.float64))[::-1]
    check_integer("n_components", n_components, 1)
    check_real("beta", beta, 0, open_ends=True)
    check_real("noise_variance", noise_variance, 0, open_ends=True)
    theta = beta * noise_variance
    left = eigenvalues[n_components:]
    used = np.zeros(n_components)
    used[: len(eigenvalues)] = eigenvalues[:n_components]  # dimensions beyond d have no variance
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
    described to within θ, the others not at all (6.3b). ``R = Σ ½ log(λ_i/θ)_+``,
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

    Examples
    --------
    >>> from nanoae import theory
    >>> rate, distortion = theory.water_filling([4.0, 1.0], theta=[4.0, 1.0, 0.5])
    >>> rate.round(4).tolist(), distortion.tolist()
    ([0.0, 0.6931, 1.3863], [5.0, 2.0, 1.0])
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

    Examples
    --------
    To halve the standard error of one number costs one bit:

    >>> import numpy as np
    >>> from nanoae import theory
    >>> [round(theory.shannon_rate([1.0], D) / float(np.log(2)), 4) for D in (1, 1 / 4, 1 / 16)]
    [0.0, 1.0, 2.0]
    """
    if not distortion > 0:
        raise ValueError(f"distortion must be greater than 0; got {distortion!r}.")
    ascending = np.sort(np.asarray(eigenvalues, dtype=np.float64))
    # with the level at ascending[j], components up to j are under water
    above = len(ascending) - 1 - np.arange(len(ascending))
    at_eigenvalues = np.cumsum(ascending) + above * ascending
    j = int(np.searchsorted(at_eigenvalues, distortion, side="right"))
    if j == len(ascending):  # all are
        return 0.0
    theta = (distortion - ascending[:j].sum()) / (len(ascending) - j)
    return float(water_filling(ascending, theta)[0])


def learned_noise_variance(eigenvalues: ArrayLike, n_components: int, beta: float) -> float:
    """The σ² that a linear β-VAE learns: its mean squared error a feature (6.4b).

    The root of ``d σ² = Σ_{i≤k} min(β σ², λ_i) + Σ_{i>k} λ_i``; at β = 1 `probabilistic_pca`'s.
    Both sides are straight lines between one dimension's collapse and the next.

    Parameters
    ----------
    eigenvalues : array-like of shape (d,)
    n_components : int
        k.
    beta : float

    Raises
    ------
    ValueError
        There is no single one: k dimensions hold all the variance, and the smaller σ², the better,
        or, if β times their number is just d, all small ones are equally good.

    Returns
    -------
    float
        σ², in the data's units squared.

    Examples
    --------
    At β = 1 it is the mean of the eigenvalues left out. At β = 1.5 it puts the level, 2.4, above
    the second eigenvalue, and only the first is described:

    >>> from nanoae import theory
    >>> [round(theory.learned_noise_variance([4, 2, 1, 1], 2, beta), 4) for beta in (1, 1.5)]
    [1.0, 1.6]
    """
    eigenvalues = spectrum(eigenvalues)
    d, used = len(eigenvalues), int(np.sum(eigenvalues[:n_components] > 0))
    if eigenvalues[used:].sum() == 0 and beta * used <= d:
        raise ValueError(
            f"no single noise variance is best: {used} components hold all the variance, and "
            f"beta * {used} = {beta * used:g} is not more than the {d} features."
        )
    active = used  # as many as can be above the water that they and the others make
    while active > 0:
        left = d - beta * active
        if left > 0 and eigenvalues[active - 1] * left > beta * eigenvalues[active:].sum():
            break
        active -= 1
    return float(eigenvalues[active:].sum() / (d - beta * active))


class ProbabilisticPCA(NamedTuple):
    """The maximum-likelihood linear-Gaussian model (Tipping & Bishop 1999).

    Attributes
    ----------
    noise_variance : float
        σ², the mean of the eigenvalues left out (6.4).
    decoder_norms : ndarray of shape (k,)
        ``√(λ_i − σ²)``: lengths of the columns of W, which lie along the principal axes.
    log_likelihood : float
        At the maximum, nats per sample (6.4a).

    Examples
    --------
    >>> from nanoae import theory
    >>> model = theory.probabilistic_pca([4.0, 2.0, 1.0, 1.0], 2)
    >>> model.noise_variance, (model.decoder_norms**2).round(4).tolist()  # 4 - 1, 2 - 1
    (1.0, [3.0, 1.0])
    """

    noise_variance: float
    decoder_norms: Array
    log_likelihood: float


def probabilistic_pca(eigenvalues: ArrayLike, n_components: int) -> ProbabilisticPCA:
    """Probabilistic PCA from the eigenvalues of the data's covariance Σ.

    Parameters
    ----------
    eigenvalues : array-like of shape (d,)
    n_components : int
        k < d.

    Returns
    -------
    ProbabilisticPCA
        Where no variance is left for the noise, it is 0 and the likelihood infinite.

    Raises
    ------
    TypeError, ValueError
        ``n_components`` is out of its range.

    Examples
    --------
    A third component gains nothing where the two eigenvalues left out are equal:

    >>> from nanoae import theory
    >>> [round(theory.probabilistic_pca([4, 2, 1, 1], k).log_likelihood, 4) for k in range(4)]
    [-7.062, -6.8004, -6.7155, -6.7155]
    """
    eigenvalues = spectrum(eigenvalues)
    d = len(eigenvalues)
    check_integer("n_components", n_components, 0, d - 1)
    used, left = eigenvalues[:n_components], eigenvalues[n_components:]
    noise_variance = float(left.mean())
    with np.errstate(divide="ignore"):  # where no noise is left, there is no highest likelihood
        log_det = np.log(used).sum() + len(left) * np.log(noise_variance)
    return ProbabilisticPCA(
        noise_variance,
        np.sqrt(np.maximum(used - noise_variance, 0)),  # the mean of equal ones may be rounded up
        float(-0.5 * (d * np.log(2 * np.pi) + log_det + d)),
    )
