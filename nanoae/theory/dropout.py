"""Dropout on the code of a linear autoencoder: what it costs, and what it makes of the data."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from nanoae.arrays import Array
from nanoae.theory.linear import linear_autoencoder_loss
from nanoae.validation import check_integer, check_probability, check_real


def dropout_loss(Sigma: ArrayLike, W_e: ArrayLike, W_d: ArrayLike, probability: float) -> float:
    """Mean squared error of ``x̂ = W_d (δ ⊙ W_e x) / q``, over all samples and masks.

    ``E‖x − W_d W_e x‖² + ν Σ_j ‖w_dj‖² w_ejᵀ Σ w_ej`` with ``ν = p/q`` (8.1).

    Parameters
    ----------
    Sigma : array-like of shape (d, d)
        ``XᵀX/n`` of centred samples.
    W_e : array-like of shape (k, d)
    W_d : array-like of shape (d, k)
    probability : float
        p, with which an entry of the code is dropped.

    Returns
    -------
    float

    Examples
    --------
    A code of one number, dropped half of the time and doubled otherwise: x̂ is 0 or 2x.

    >>> import numpy as np
    >>> from nanoae import theory
    >>> theory.dropout_loss([[3.0]], [[1.0]], [[1.0]], probability=0.5)
    3.0
    """
    nu = _odds(probability)
    Sigma, W_e, W_d = (np.asarray(a, dtype=np.float64) for a in (Sigma, W_e, W_d))
    code_variance = np.einsum("ji,ij->j", W_e, Sigma @ W_e.T)
    penalty = nu * np.sum(W_d**2, axis=0) @ code_variance
    return linear_autoencoder_loss(Sigma, W_e, W_d) + float(penalty)


class DropoutOptimum(NamedTuple):
    """The linear autoencoder with dropout on its code, at its global minimum.

    Attributes
    ----------
    loss : float
        Mean squared error over samples and masks (8.2a).
    n_axes : int
        m, the principal axes in use (8.4).
    threshold : float
        τ, what the standard deviation along each of them is shrunk by (8.2b).
    gains : ndarray of shape (d,)
        ``(1 − τ/s_i)_+`` for the first m axes, 0 for the others: ``W_d W_e = U diag(gains) Uᵀ``.
    clean_loss : float
        Mean squared error without dropout, ``Σ λ_i (1 − g_i)²``.
    scale : float
        What to multiply the trained map with for the least of those (8.5b), above 1.
    unit_loss : float
        What the clean loss rises by when any one unit is removed (8.3b).

    Examples
    --------
    >>> from nanoae import theory
    >>> optimum = theory.dropout_optimum([4.0, 1.0], n_components=2, probability=0.5)
    >>> optimum.n_axes, optimum.threshold, optimum.gains.tolist()  # τ = 3/4: s = 2, 1 become ...
    (2, 0.75, [0.625, 0.25])
    >>> optimum.loss, optimum.clean_loss  # 9/4, and 2 · (3/4)²
    (2.25, 1.125)
    """

    loss: float
    n_axes: int
    threshold: float
    gains: Array
    clean_loss: float
    scale: float
    unit_loss: float


def dropout_optimum(
    eigenvalues: ArrayLike, n_components: int, probability: float
) -> DropoutOptimum:
    """Least value of `dropout_loss` over all encoders and decoders, and where it is.

    Cavazza et al. (2018) and Mianjy, Arora & Vidal (2018) for a given matrix; here with data, and
    an encoder that is free.

    Parameters
    ----------
    eigenvalues : array-like of shape (d,)
        Of Σ, in any order.
    n_components : int
        k, which may exceed d.
    probability : float
        p, with which an entry of the code is dropped.

    Returns
    -------
    DropoutOptimum

    Raises
    ------
    TypeError, ValueError
        The width or the probability is none.

    Examples
    --------
    More units keep more axes: the same dropout does less and less.

    >>> from nanoae import theory
    >>> for k in (2, 5, 100):
    ...     optimum = theory.dropout_optimum([4.0, 2.0, 1.0, 0.5, 0.25], k, 0.5)
    ...     print(k, optimum.n_axes, round(optimum.loss, 4))
    2 2 4.6642
    5 4 3.1642
    100 5 0.3009
    """
    check_integer("n_components", n_components, 1)
    nu, k = _odds(probability), n_components
    eigenvalues = np.sort(np.asarray(eigenvalues, dtype=np.float64))[::-1]
    s = np.sqrt(np.maximum(eigenvalues, 0))
    n_axes = int(np.sum(nu < _largest_odds(s, k)))
    used, left_out = s[:n_axes], s[n_axes:]
    total = used.sum()  # S_m
    threshold = nu * total / (k + nu * n_axes)
    z = np.zeros_like(s)
    # s_i − τ, but for its cancellation where little is left
    z[:n_axes] = (k * used - nu * (total - n_axes * used)) / (k + nu * n_axes)
    gains = np.divide(z, s, out=np.zeros_like(s), where=z > 0)  # (8.2b)
    return DropoutOptimum(
        loss=float(np.sum(left_out**2) + nu * total**2 / (k + nu * n_axes)),  # (8.2a)
        n_axes=n_axes,
        threshold=float(threshold),
        gains=gains,
        clean_loss=float(np.sum(left_out**2) + n_axes * threshold**2),
        scale=float(1 + threshold * z.sum() / np.sum(z**2)) if n_axes else 1.0,  # (8.5b)
        unit_loss=float((1 + 2 * nu) * (z.sum() / k) ** 2),  # as τ/ν = Σz/k (8.3b)
    )


def dropout_limits(eigenvalues: ArrayLike, n_components: int) -> Array:
    """The probability of dropout from which on each principal axis is left out (8.4).

    Parameters
    ----------
    eigenvalues : array-like of shape (d,)
        Of Σ, in falling order.
    n_components : int
        k.

    Returns
    -------
    ndarray of shape (d,)
        1 for the first axis, which no dropout removes; 0 for those from the k-th on and for those
        without variance, which are never in use.

    Examples
    --------
    >>> from nanoae import theory
    >>> theory.dropout_limits([4.0, 1.0, 1.0], n_components=2).tolist()  # ν = 2 · 1/(2 − 1)
    [1.0, 0.6666666666666666, 0.0]
    """
    check_integer("n_components", n_components, 1)
    odds = _largest_odds(np.sqrt(np.maximum(np.asarray(eigenvalues, np.float64), 0)), n_components)
    return np.where(np.isinf(odds), 1.0, odds / (1 + np.where(np.isinf(odds), 0, odds)))


def _largest_odds(s: Array, n_components: int) -> Array:
    """The ν below which axis m is in use: ``k s_m / Σ_{i<m} (s_i − s_m)`` (8.4)."""
    lead = np.cumsum(s) - np.arange(1, len(s) + 1) * s  # Σ_{i<m} (s_i − s_m)
    lead[lead <= 1e-15 * s[0]] = 0  # no more than rounding above the first
    with np.errstate(divide="ignore", invalid="ignore"):
        odds = np.where(lead > 0, n_components * s / lead, np.inf)
    odds[(np.arange(len(s)) >= n_components) | (s <= 1e-12 * s[0])] = 0
    return odds


def dropout_weights(
    Sigma: ArrayLike, n_components: int, probability: float
) -> tuple[Array, Array]:
    """Weights at the global minimum, all units alike (8.3c).

    Parameters
    ----------
    Sigma : array-like of shape (d, d)
        ``XᵀX/n`` of centred samples.
    n_components : int
        k, which may exceed d.
    probability : float
        p.

    Returns
    -------
    W_e : ndarray of shape (k, d)
    W_d : ndarray of shape (d, k)
        With ``‖w_dj‖² w_ejᵀ Σ w_ej`` the same for all j.

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae import theory
    >>> Sigma = np.diag([4.0, 1.0])
    >>> W_e, W_d = theory.dropout_weights(Sigma, 3, 0.5)
    >>> (np.diag(W_e @ Sigma @ W_e.T) * np.diag(W_d.T @ W_d)).round(4).tolist()
    [0.36, 0.36, 0.36]
    >>> round(theory.dropout_loss(Sigma, W_e, W_d, 0.5), 4)
    1.8
    >>> theory.dropout_optimum([4.0, 1.0], 3, 0.5).loss
    1.8
    """
    eigenvalues, U = np.linalg.eigh(np.asarray(Sigma, dtype=np.float64))
    eigenvalues, U = np.maximum(eigenvalues[::-1], 0), U[:, ::-1]
    optimum = dropout_optimum(eigenvalues, n_components, probability)
    s, U = np.sqrt(eigenvalues[: optimum.n_axes]), U[:, : optimum.n_axes]
    root = np.sqrt(optimum.gains[: optimum.n_axes] * s)
    R = equalising_rotation(root**2, n_components)
    # A = U Z^½ R and B = Rᵀ Z^½ Uᵀ, with W_d = A and W_e Σ^½ = B
    return R.T @ (root / s * U).T, root * U @ R


def equalising_rotation(values: ArrayLike, n_components: int) -> Array:
    """Orthonormal rows R such that all diagonal entries of ``Rᵀ diag(values) R`` are the same.

    There are some for any values (Schur 1923, Horn 1954): k − 1 rotations of two columns at a
    time, each of which brings one entry to the mean.

    Parameters
    ----------
    values : array-like of shape (m,)
        Not negative.
    n_components : int
        k, at least m.

    Returns
    -------
    ndarray of shape (m, k)

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae.theory.dropout import equalising_rotation
    >>> R = equalising_rotation([5.0, 1.0], 3)
    >>> np.diag(R.T @ np.diag([5.0, 1.0]) @ R).round(12).tolist()  # 6/3
    [2.0, 2.0, 2.0]
    """
    values = np.asarray(values, dtype=np.float64)
    m, k = len(values), n_components
    H, R, mean = np.diag(np.append(values, np.zeros(k - m))), np.eye(k), values.sum() / k
    for _ in range(k - 1):
        excess = np.diag(H) - mean
        i, j = int(excess.argmax()), int(excess.argmin())
        # t = tan of the angle at which entry i is the mean: a quadratic, whose ends differ in sign
        # (H_ij is 0 until only rounding errors are left to turn, and keeps t as small as they are)
        a, b, c = excess[j], -2 * H[i, j], excess[i]
        if not a < 0 < c:
            break
        t = (-b - np.sqrt(b * b - 4 * a * c)) / (2 * a)
        cosine = 1 / np.sqrt(1 + t * t)
        turn = np.eye(k)
        turn[[i, j], [i, j]], turn[i, j], turn[j, i] = cosine, t * cosine, -t * cosine
        H, R = turn.T @ H @ turn, R @ turn
    return R[:m]


def dropout_noise_threshold(
    eigenvalues: ArrayLike, n_components: int, probability: float
) -> float:
    """The variance of input noise above which dropout's map errs less than PCA's (8.6a).

    Neither has seen noise in training. It is ``Σ λ_i (1 − g_i)² / Σ (1 − g_i²)``, over the first k
    axes.

    Parameters
    ----------
    eigenvalues : array-like of shape (d,)
        Of Σ, in any order.
    n_components : int
        k.
    probability : float
        p, above 0: without dropout the two maps are one.

    Returns
    -------
    float
        A variance, of each feature.

    Raises
    ------
    TypeError, ValueError
        The width or the probability is none.

    Examples
    --------
    >>> from nanoae import theory
    >>> round(theory.dropout_noise_threshold([4.0, 1.0], 1, 0.5), 6)  # g = ½: 4 · ¼ / ¾
    1.333333
    """
    check_real("probability", probability, 0, 1, open_ends=True)
    optimum = dropout_optimum(eigenvalues, n_components, probability)
    kept = np.sort(np.asarray(eigenvalues, dtype=np.float64))[::-1][:n_components]
    g, m = optimum.gains[:n_components], optimum.n_axes
    lost = np.ones_like(g)  # 1 − g, where g may be 1 but for rounding
    lost[:m] = optimum.threshold / np.sqrt(kept[:m])
    return float(np.sum(kept * lost**2) / np.sum(lost * (1 + g)))


def _odds(probability: float) -> float:
    """``ν = p/(1 − p)``: the variance of an entry of a mask over the square of its mean."""
    check_probability("probability", probability)
    return float(probability / (1 - probability))
