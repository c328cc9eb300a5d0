"""Adversarial autoencoders: what their game is worth, whether it settles, and what it ends in."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.polynomial.hermite_e import hermegauss
from numpy.typing import ArrayLike

from nanoae.arrays import Array
from nanoae.validation import (
    check_integer,
    check_positive_definite,
    check_random_state,
    check_real,
    check_samples,
)


class Quadratic(NamedTuple):
    """``a(z) = c + bᵀz + ½ zᵀHz``.

    Attributes
    ----------
    constant : float
        c.
    linear : ndarray of shape (k,)
        b.
    matrix : ndarray of shape (k, k)
        H, symmetric.

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae.theory import Quadratic
    >>> a = Quadratic(1.0, np.array([2.0]), np.array([[6.0]]))
    >>> a(np.array([[0.0], [1.0]])).tolist()  # 1 + 2z + 3z²
    [1.0, 6.0]
    """

    constant: float
    linear: Array
    matrix: Array

    def __call__(self, z: ArrayLike) -> Array:
        """Values ``(n,)`` at the rows of z ``(n, k)``."""
        z = np.asarray(z, dtype=np.float64)
        return self.constant + z @ self.linear + 0.5 * np.sum(z @ self.matrix * z, axis=1)


def gaussian_log_ratio(mean: ArrayLike, covariance: ArrayLike) -> Quadratic:
    """The best logit between N(0, I) and codes of N(m, S): ``log p − log q`` (13.2c).

    Parameters
    ----------
    mean : array-like of shape (k,)
        m.
    covariance : array-like of shape (k, k)
        S.

    Returns
    -------
    Quadratic

    Raises
    ------
    ValueError
        The covariance is not positive definite: such codes have no density.

    Examples
    --------
    Codes that are too wide are those far out:

    >>> from nanoae import theory
    >>> logit = theory.gaussian_log_ratio([0.0], [[4.0]])
    >>> logit([[0.0], [3.0]]).round(4).tolist()  # log 2, and that less 27/8
    [0.6931, -2.6819]
    """
    m, S = np.asarray(mean, dtype=np.float64), np.asarray(covariance, dtype=np.float64)
    check_positive_definite("covariance", S)
    precision = np.linalg.inv(S)
    constant = 0.5 * (m @ precision @ m + np.linalg.slogdet(S)[1])
    return Quadratic(float(constant), -precision @ m, precision - np.eye(len(m)))


def gauss_hermite(n_nodes: int, k: int) -> tuple[Array, Array]:
    """Nodes and weights whose sums are expectations under N(0, I), exact up to degree 2n − 1.

    Parameters
    ----------
    n_nodes : int
        n, in each dimension.
    k : int
        Number of dimensions.

    Returns
    -------
    nodes : ndarray of shape (n_nodes ** k, k)
    weights : ndarray of shape (n_nodes ** k,)
        They add up to 1.

    Examples
    --------
    >>> from nanoae.theory.adversarial import gauss_hermite
    >>> nodes, weights = gauss_hermite(3, 2)
    >>> round(float(weights @ (nodes[:, 0] ** 4 * nodes[:, 1] ** 2)), 12)
    3.0
    """
    x, w = hermegauss(n_nodes)
    grids = np.meshgrid(*[x] * k, indexing="ij")
    weights = np.ones(1)
    for _ in range(k):
        weights = np.outer(weights, w / w.sum()).ravel()
    return np.stack([grid.ravel() for grid in grids], axis=1), weights


def gaussian_jensen_shannon(mean: ArrayLike, covariance: ArrayLike, n_nodes: int = 80) -> float:
    """Jensen–Shannon divergence of N(m, S) and N(0, I), in nats, by Gauss–Hermite quadrature.

    Parameters
    ----------
    mean : array-like of shape (k,)
    covariance : array-like of shape (k, k)
    n_nodes : int, default 80
        In each dimension; k should be 1 or 2, and for 2 the codes narrower than the prior along
        both axes, or wider. With 80, to 1e-7 for k = 1.

    Returns
    -------
    float
        From 0 to log 2.

    Raises
    ------
    ValueError
        The covariance is not positive definite.

    Examples
    --------
    >>> from nanoae import theory
    >>> round(theory.gaussian_jensen_shannon([0.0], [[1.0]]), 12)
    0.0
    >>> round(theory.gaussian_jensen_shannon([30.0], [[1.0]]), 6)  # log 2
    0.693147
    """
    m, S = np.asarray(mean, dtype=np.float64), np.asarray(covariance, dtype=np.float64)
    check_positive_definite("covariance", S)
    nodes, weights = gauss_hermite(n_nodes, len(m))
    # both expectations under the narrower of the two, of which nodes of the wider would see
    # nothing: ∫ p log(1 + q/p) is E_q r log(1 + 1/r), r = p/q, which is never above 1
    if np.linalg.det(S) < 1:
        root = np.linalg.cholesky(S)
        codes = m + nodes @ root.T
        # log p − log q, of q by the nodes: beside m the codes have lost them if S is small
        log_r = (np.sum(nodes**2, axis=1) - np.sum(codes**2, axis=1)) / 2
        log_r += np.sum(np.log(np.diag(root)))
    else:
        log_r = -gaussian_log_ratio(m, S)(nodes)
    bounded = np.minimum(log_r, 35)  # from there on it is 1
    loss = np.logaddexp(0, log_r) + np.exp(bounded) * np.logaddexp(0, -bounded)
    return float(np.log(2) - weights @ loss / 2)


class GameGradients(NamedTuple):
    """Slopes by m of what the encoder pays for codes of N(m, 1), before the best discriminator.

    Attributes
    ----------
    saturating, non_saturating, kl, mmd : float

    Examples
    --------
    >>> from nanoae import theory
    >>> gradients = theory.game_gradients(2)
    >>> round(gradients.saturating + gradients.non_saturating, 12), gradients.kl
    (2.0, 2.0)
    """

    saturating: float
    non_saturating: float
    kl: float
    mmd: float


def game_gradients(m: float, n_nodes: int = 200) -> GameGradients:
    """How hard each loss pulls codes of N(m, 1) towards N(0, 1) (13.3), (13.3b), (13.7d).

    Parameters
    ----------
    m : float
    n_nodes : int, default 200

    Returns
    -------
    GameGradients
        That of the MMD with the kernel ``exp(−(x − y)²/4)``.

    Examples
    --------
    Far away the saturating loss pulls no more, and the other as hard as the KL divergence:

    >>> from nanoae import theory
    >>> far = theory.game_gradients(9)
    >>> f"{far.saturating:.1e}", round(far.non_saturating, 6)
    ('4.8e-05', 8.999952)
    """
    # an even, smooth, fast falling integrand: the trapezoid rule is exact to rounding
    u = np.linspace(-12, 12, 10 * n_nodes + 1)
    density = np.exp(-u * u / 2) / np.sqrt(2 * np.pi)
    decay = np.exp(-np.abs(m * u / 2))  # 1/cosh a = 2 e^−|a| / (1 + e^−2|a|) never overflows
    integral = np.sum(density * 2 * decay / (1 + decay**2)) * (u[1] - u[0]) / 2
    saturating = float(m * np.exp(-m * m / 8) * integral)
    mmd = float(m * np.exp(-m * m / 8) / (2 * np.sqrt(2)))
    return GameGradients(saturating, m - saturating, float(m), mmd)


def dirac_step(
    theta: float, psi: float, h: float, *, gamma: float = 0.0,
    alternating: bool = False, saturating: bool = True,
) -> tuple[float, float]:  # fmt: skip
    """One step of the smallest game: prior at 0, one code at θ, logit ψz (Mescheder et al. 2018).

    Parameters
    ----------
    theta, psi : float
    h : float
        Size of the step, of both players.
    gamma : float, default 0
        γ of the penalty ``(γ/2) ψ²``.
    alternating : bool, default False
        Whether the discriminator sees the code after its step.
    saturating : bool, default True
        Which loss the code pays.

    Returns
    -------
    theta, psi : float

    Examples
    --------
    >>> from nanoae.theory import dirac_step
    >>> dirac_step(1.0, 0.0, 0.5), dirac_step(0.0, 1.0, 0.5)  # around 0, and outward
    ((1.0, -0.25), (0.25, 1.0))
    """
    moved = theta + h * psi * _sigmoid(psi * theta if saturating else -psi * theta)
    seen = moved if alternating else theta
    return moved, psi - h * (seen * _sigmoid(psi * seen) + gamma * psi)


def _sigmoid(a: float) -> float:
    from scipy.special import expit  # here, so that importing nanoae stays cheap

    return float(expit(a))


def dirac_eigenvalues(
    h: float, *, gamma: float = 0.0, alternating: bool = False, instance_noise: float = 0.0
) -> Array:
    """By what a step multiplies small deviations from rest in the Dirac game, of either loss.

    The roots of ``t² − (2 − hγ')t + 1 − hγ' + h²/4`` (13.4), or, if the players alternate, of
    ``t² − (2 − hγ' − h²/4)t + 1 − hγ'`` (13.4a); noise of standard deviation s on code and prior
    makes ``γ' = γ + s²/2`` (13.4f).

    Parameters
    ----------
    h : float
    gamma : float, default 0
    alternating : bool, default False
    instance_noise : float, default 0
        s.

    Returns
    -------
    ndarray of shape (2,), complex

    Examples
    --------
    Both above 1 in size: the players spiral outward.

    >>> from nanoae import theory
    >>> abs(theory.dirac_eigenvalues(1 / 2)).round(4).tolist()
    [1.0308, 1.0308]
    """
    # with γ' + h/4 in place of γ' (13.4) is (13.4a): its roots are 1 − hG/2 ± h/2 √(G² − 1)
    G = gamma + instance_noise**2 / 2 + (h / 4 if alternating else 0)
    root = h / 2 * np.sqrt(complex((G - 1) * (G + 1)))
    return np.array([1 - h * G / 2 + root, 1 - h * G / 2 - root])


class RateSplit(NamedTuple):
    """The rate of a code as information and mismatch, in nats.

    Attributes
    ----------
    information : float
        I(x; z).
    mismatch : float
        KL(q(z) ‖ p(z)), of all codes together.

    Examples
    --------
    >>> from nanoae import theory
    >>> theory.linear_rate_split([[1.0]], [1.0], [[1.0]]).information > 0
    True
    """

    information: float
    mismatch: float


def linear_rate_split(
    encoder: ArrayLike, posterior_variance: ArrayLike, covariance: ArrayLike
) -> RateSplit:
    """``E KL(q(z|x) ‖ p) = I(x; z) + KL(q(z) ‖ p)`` for a linear Gaussian encoder (13.5).

    Parameters
    ----------
    encoder : array-like of shape (k, d)
        V of ``q(z|x) = N(Vx, diag s²)``, with x of N(0, Σ).
    posterior_variance : array-like of shape (k,)
        s².
    covariance : array-like of shape (d, d)
        Σ.

    Returns
    -------
    RateSplit

    Examples
    --------
    Codes that all together are N(0, 1), half of it noise: ½ log 2, and no mismatch.

    >>> from nanoae import theory
    >>> information, mismatch = theory.linear_rate_split([[1.0]], [0.5], [[0.5]])
    >>> round(information, 4), round(mismatch, 12)
    (0.3466, 0.0)
    """
    V, Sigma = np.asarray(encoder, dtype=np.float64), np.asarray(covariance, dtype=np.float64)
    s2 = np.asarray(posterior_variance, dtype=np.float64)
    # det S / Π s² is Π (1 + r), r the signals in units of the noise, which S loses beside them
    variances = np.diag(Sigma)
    units = np.sqrt(np.where(variances > 0, variances, 1))  # features may differ in theirs
    lam, U = np.linalg.eigh(Sigma / np.outer(units, units))
    root = units[:, None] * U * np.sqrt(np.maximum(lam, 0))
    signal = np.linalg.svd(V @ root / np.sqrt(s2)[:, None], compute_uv=False) ** 2
    information = 0.5 * np.sum(np.log1p(signal))
    log_det = 2 * information + np.sum(np.log(s2))
    trace = np.trace(V @ Sigma @ V.T) + np.sum(s2)
    return RateSplit(float(information), float(0.5 * (trace - len(s2) - log_det)))


class LinearAdversarialOptimum(NamedTuple):
    """The linear adversarial autoencoder at its minimum: whitened PCA, up to a rotation.

    Attributes
    ----------
    loss : float
        ``Σ_{i>k} λ_i``, that of PCA.
    encoder : ndarray of shape (k, d)
        ``Λ_k^(−½) U_kᵀ``; any rotation Q of it is as good.
    decoder : ndarray of shape (d, k)
        ``U_k Λ_k^½``, then times Qᵀ.

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae import theory
    >>> theory.linear_adversarial_optimum(np.diag([4.0, 1.0]), 1).loss
    1.0
    """

    loss: float
    encoder: Array
    decoder: Array


def linear_adversarial_optimum(
    covariance: ArrayLike, n_components: int
) -> LinearAdversarialOptimum:
    """Closed form of the linear adversarial autoencoder with the prior N(0, I) (13.6).

    For Gaussian data, any divergence between the codes and the prior, and any weight of it.

    Parameters
    ----------
    covariance : array-like of shape (d, d)
        Σ, with ``λ_k > λ_{k+1}`` and ``λ_k > 0``.
    n_components : int
        k.

    Returns
    -------
    LinearAdversarialOptimum

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae import theory
    >>> optimum = theory.linear_adversarial_optimum(np.diag([4.0, 1.0, 0.5]), 2)
    >>> optimum.loss, np.abs(optimum.encoder).tolist()
    (0.5, [[0.5, 0.0, 0.0], [0.0, 1.0, 0.0]])
    """
    Sigma = np.asarray(covariance, dtype=np.float64)
    check_integer("n_components", n_components, 1, len(Sigma))
    eigenvalues, U = np.linalg.eigh(Sigma)
    eigenvalues, U = eigenvalues[::-1], U[:, ::-1]
    if eigenvalues[n_components - 1] <= 1e-14 * eigenvalues[0]:
        raise ValueError(
            f"n_components must be at most the rank of covariance; got {n_components}, and the "
            f"eigenvalues {eigenvalues}."
        )
    roots, axes = np.sqrt(eigenvalues[:n_components]), U[:, :n_components]
    return LinearAdversarialOptimum(
        float(eigenvalues[n_components:].sum()), axes.T / roots[:, None], axes * roots
    )


def gaussian_mmd(mean: ArrayLike, covariance: ArrayLike, eta: float) -> float:
    """Squared MMD of N(m, S) and N(0, I) with the kernel ``exp(−‖x − y‖²/2η)`` (13.7).

    Parameters
    ----------
    mean : array-like of shape (k,)
    covariance : array-like of shape (k, k)
    eta : float
        η, a variance.

    Returns
    -------
    float

    Examples
    --------
    >>> from nanoae import theory
    >>> round(theory.gaussian_mmd([0.0], [[1.0]], 2.0), 12)
    0.0
    >>> round(theory.gaussian_mmd([30.0], [[1.0]], 2.0), 4)  # 2/√2: nothing is alike
    1.4142
    """
    check_real("eta", eta, 0, open_ends=True)
    m, S = np.asarray(mean, dtype=np.float64), np.asarray(covariance, dtype=np.float64)
    identity = np.eye(len(m))
    T = S + (1 + eta) * identity
    # logarithms, since determinants of many dimensions overflow
    among_codes = np.exp(-0.5 * np.linalg.slogdet(identity + 2 * S / eta)[1])
    across = np.exp(-0.5 * (np.linalg.slogdet(T / eta)[1] + m @ np.linalg.solve(T, m)))
    return float(among_codes + (1 + 2 / eta) ** (-len(m) / 2) - 2 * across)


def gaussian_wasserstein(mean: ArrayLike, covariance: ArrayLike) -> float:
    """Squared Wasserstein distance of N(m, S) and N(0, I): ``‖m‖² + ‖S^½ − I‖²`` (13.7e).

    Parameters
    ----------
    mean : array-like of shape (k,)
    covariance : array-like of shape (k, k)

    Returns
    -------
    float

    Examples
    --------
    >>> from nanoae import theory
    >>> theory.gaussian_wasserstein([3.0, 0.0], [[4.0, 0.0], [0.0, 1.0]])  # 3² + (2 − 1)²
    10.0
    """
    m, S = np.asarray(mean, dtype=np.float64), np.asarray(covariance, dtype=np.float64)
    roots = np.sqrt(np.maximum(np.linalg.eigvalsh(S), 0))
    return float(m @ m + np.sum((roots - 1) ** 2))


def energy_distance(X: ArrayLike, Y: ArrayLike) -> float:
    """``2 E‖x − y‖ − E‖x − x'‖ − E‖y − y'‖`` of two samples (Székely & Rizzo 2004).

    Parameters
    ----------
    X, Y : array-like of shape (n, k) and (m, k)

    Returns
    -------
    float
        0 if they are the same, otherwise more.

    Examples
    --------
    >>> from nanoae import theory
    >>> theory.energy_distance([[0.0]], [[3.0]])
    6.0
    """
    X, Y = np.asarray(X, dtype=np.float64), np.asarray(Y, dtype=np.float64)
    between, within_x, within_y = (_distances(*pair).mean() for pair in ((X, Y), (X, X), (Y, Y)))
    return float(2 * between - within_x - within_y)


def _distances(X: Array, Y: Array) -> Array:
    from scipy.spatial.distance import cdist  # here, so that importing nanoae stays cheap

    return np.asarray(cdist(X, Y))


class TwoSampleTest(NamedTuple):
    """Whether two samples may be of one distribution.

    Attributes
    ----------
    statistic : float
        Their energy distance.
    p_value : float
        At most α with a probability of at most α, if they are.

    Examples
    --------
    >>> from nanoae.theory import TwoSampleTest
    >>> TwoSampleTest(0.1, 0.005).p_value < 0.05  # rejected at 5 %
    True
    """

    statistic: float
    p_value: float


def energy_test(
    X: ArrayLike, Y: ArrayLike, *, n_permutations: int = 199, random_state: int = 0
) -> TwoSampleTest:
    """Do two samples come from one distribution? A permutation test of their energy distance.

    The distance is compared with that of as many random splits of both samples together:
    ``p = (1 + #{T_b ≥ T})/(B + 1)``, a test of level α whatever the distribution (13.8). To ask
    whether codes match a prior, take codes of samples that no training has seen (13.8a).

    Parameters
    ----------
    X, Y : array-like of shape (n, k) and (m, k)
    n_permutations : int, default 199
        B. The least p-value is ``1/(B + 1)``.
    random_state : int, Generator or None, default 0

    Returns
    -------
    TwoSampleTest

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae import theory
    >>> rng = np.random.default_rng(0)
    >>> X, Y = rng.standard_normal((2, 100, 2))
    >>> theory.energy_test(X, Y).p_value > 0.05, theory.energy_test(X, Y + 1).p_value
    (True, 0.005)
    """
    check_integer("n_permutations", n_permutations, 1)
    X = check_samples(X, dtype=np.float64, model="the test")
    Y = check_samples(Y, n_features=X.shape[1], dtype=np.float64, name="Y", model="a test with X")
    rng, n, together = check_random_state(random_state), len(X), np.vstack([X, Y])
    m = len(Y)
    distances = _distances(together, together)
    in_x = np.zeros((n + m, n_permutations + 1))
    in_x[:n, 0] = 1
    for split in in_x.T[1:]:
        split[rng.permutation(n + m)[:n]] = 1
    of_rows = distances.sum(axis=1)
    within_x = np.sum(in_x * (distances @ in_x), axis=0)
    between = of_rows @ in_x - within_x
    within_y = of_rows.sum() - within_x - 2 * between
    T = 2 * between / (n * m) - within_x / n**2 - within_y / m**2
    # a split that is the same but for its order must count, whatever rounding says
    as_far = np.sum(T[1:] >= T[0] - 1e-12 * distances.mean())
    return TwoSampleTest(float(T[0]), float(1 + as_far) / (n_permutations + 1))
