"""Sparse codes: closed forms, optimality, certificates, and how fast the solvers must be.

Everywhere ``F(h) = ‖x − D h‖² + λ ‖h‖₁``, with samples x in the rows of ``X (n, d)``, atoms in the
columns of ``dictionary (d, k)`` and codes h in the rows of ``codes (n, k)``.
"""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from nanoae.arrays import Array


def lasso_objective(
    X: ArrayLike, dictionary: ArrayLike, codes: ArrayLike, sparsity: float
) -> Array:
    """``F(h)`` for every sample, of shape (n,).

    Parameters
    ----------
    X : array-like of shape (n, d)
    dictionary : array-like of shape (d, k)
    codes : array-like of shape (n, k)
    sparsity : float
        λ.

    Returns
    -------
    ndarray of shape (n,)

    Examples
    --------
    >>> from nanoae import theory
    >>> x, D = [[3.0, 0.4]], [[1, 0], [0, 1]]
    >>> float(theory.lasso_objective(x, D, x, sparsity=1.0)[0].round(4))  # 0 + |3| + |0.4|
    3.4
    >>> float(theory.lasso_objective(x, D, [[2.5, 0.0]], sparsity=1.0)[0].round(4))  # the least
    2.91
    """
    residual, h = _residual(X, dictionary, codes)
    return np.sum(residual**2, axis=1) + sparsity * np.abs(h).sum(axis=1)


def orthonormal_code(X: ArrayLike, dictionary: ArrayLike, sparsity: float) -> Array:
    """The minimiser of F for a dictionary with orthonormal columns (4.2).

    ``Dᵀx``, with every coordinate drawn towards 0 by ``λ/2`` and stopped there.

    Parameters
    ----------
    X : array-like of shape (n, d)
    dictionary : array-like of shape (d, k)
        Orthonormal columns.
    sparsity : float
        λ.

    Returns
    -------
    ndarray of shape (n, k)

    Examples
    --------
    >>> from nanoae import theory
    >>> theory.orthonormal_code([[3.0, 0.4]], [[1, 0], [0, 1]], sparsity=1.0).tolist()
    [[2.5, 0.0]]
    """
    v = np.asarray(X, dtype=np.float64) @ np.asarray(dictionary)
    return np.sign(v) * np.maximum(np.abs(v) - sparsity / 2, 0)


def lasso_kkt_residual(
    X: ArrayLike, dictionary: ArrayLike, codes: ArrayLike, sparsity: float
) -> Array:
    """How far each code is from optimal, as a part of λ: 0 at minimisers and nowhere else (4.3).

    The largest over the coordinates of ``|2 D_jᵀ(x − D h) − λ sign(h_j)| / λ`` on the support and
    ``(|2 D_jᵀ(x − D h)| − λ)_+ / λ`` off it.

    Parameters
    ----------
    X : array-like of shape (n, d)
    dictionary : array-like of shape (d, k)
    codes : array-like of shape (n, k)
    sparsity : float
        λ > 0.

    Returns
    -------
    ndarray of shape (n,)

    Examples
    --------
    >>> from nanoae import theory
    >>> X, D = [[3.0, 0.4]] * 2, [[1, 0], [0, 1]]
    >>> theory.lasso_kkt_residual(X, D, [[0, 0], [2.5, 0]], sparsity=1.0).round(4).tolist()
    [5.0, 0.0]
    """
    residual, h = _residual(X, dictionary, codes)
    c = 2 * residual @ np.asarray(dictionary) / sparsity  # what KKT wants in sign(h) or [−1, 1]
    off = np.maximum(np.abs(c) - 1, 0)
    return np.where(h != 0, np.abs(c - np.sign(h)), off).max(axis=1)


def lasso_max_sparsity(X: ArrayLike, dictionary: ArrayLike) -> Array:
    """λ_max ``= 2 ‖Dᵀx‖_∞`` of every sample: from there on its code is 0 (4.3a).

    Parameters
    ----------
    X : array-like of shape (n, d)
    dictionary : array-like of shape (d, k)

    Returns
    -------
    ndarray of shape (n,)

    Examples
    --------
    >>> from nanoae import theory
    >>> x, D = [[3.0, 0.4]], [[1, 0], [0, 1]]
    >>> theory.lasso_max_sparsity(x, D).tolist()
    [6.0]
    >>> [theory.orthonormal_code(x, D, sparsity).tolist() for sparsity in (5.5, 6.0)]
    [[[0.25, 0.0]], [[0.0, 0.0]]]
    """
    return 2 * np.abs(np.asarray(X, dtype=np.float64) @ np.asarray(dictionary)).max(axis=1)


def lasso_duality_gap(
    X: ArrayLike, dictionary: ArrayLike, codes: ArrayLike, sparsity: float
) -> Array:
    """A bound on ``F(h) − min F`` that needs no minimiser (4.4c).

    F at the codes, less the dual objective ``u·x − ‖u‖²/4`` at ``u = 2 s (x − D h)``, where the
    factor ``s ≤ 1`` sees to it that ``‖Dᵀu‖_∞ ≤ λ``.

    Parameters
    ----------
    X : array-like of shape (n, d)
    dictionary : array-like of shape (d, k)
    codes : array-like of shape (n, k)
    sparsity : float
        λ > 0.

    Returns
    -------
    ndarray of shape (n,)

    Examples
    --------
    The bound at the code 0, and what it bounds:

    >>> from nanoae import theory
    >>> x, D, zero, best = [[3.0, 0.4]], [[1, 0], [0, 1]], [[0, 0]], [[2.5, 0]]
    >>> gap = theory.lasso_duality_gap(x, D, zero, sparsity=1.0)
    >>> above = theory.lasso_objective(x, D, zero, 1.0) - theory.lasso_objective(x, D, best, 1.0)
    >>> round(float(gap[0]), 4), round(float(above[0]), 4)
    (6.3611, 6.25)
    """
    residual, _ = _residual(X, dictionary, codes)
    largest = 2 * np.abs(residual @ np.asarray(dictionary)).max(axis=1)
    u = 2 * residual * (sparsity / np.maximum(largest, sparsity))[:, None]
    dual = np.sum(u * np.asarray(X), axis=1) - np.sum(u**2, axis=1) / 4
    return lasso_objective(X, dictionary, codes, sparsity) - dual


def ista_bound(dictionary: ArrayLike, distance: ArrayLike, iterations: ArrayLike) -> Array:
    """``L ‖h_0 − h*‖² / (2k)``: no further above its minimum is F after k steps of ISTA (4.4).

    Parameters
    ----------
    dictionary : array-like of shape (d, k)
        Gives ``L = 2 ‖D‖₂²``.
    distance : array-like
        ``‖h_0 − h*‖`` from the start to a minimiser.
    iterations : array-like that broadcasts against ``distance``
        From 1 on.

    Returns
    -------
    ndarray of the broadcast shape
        In the units of F.

    Examples
    --------
    Ten times the iterations, a tenth of the error:

    >>> from nanoae import theory
    >>> theory.ista_bound([[1, 0], [0, 1]], 1.0, [1, 10, 100]).round(6).tolist()
    [1.0, 0.1, 0.01]
    """
    L = 2 * np.linalg.norm(np.asarray(dictionary, float), 2) ** 2
    distance, k = np.asarray(distance, float), np.asarray(iterations, float)
    return L * distance**2 / (2 * k)


def fista_bound(dictionary: ArrayLike, distance: ArrayLike, iterations: ArrayLike) -> Array:
    """``2 L ‖h_0 − h*‖² / (k + 1)²``, the same for FISTA without restarts (4.4b).

    Parameters
    ----------
    dictionary, distance, iterations
        As in `ista_bound`.

    Returns
    -------
    ndarray of the broadcast shape
        In the units of F.

    Examples
    --------
    Where ISTA may need 10,000 iterations, 199 will do:

    >>> from nanoae import theory
    >>> D = [[1, 0], [0, 1]]
    >>> round(float(theory.ista_bound(D, 1.0, 10_000)), 8)
    0.0001
    >>> round(float(theory.fista_bound(D, 1.0, 199)), 8)
    0.0001
    """
    L = 2 * np.linalg.norm(np.asarray(dictionary, float), 2) ** 2
    distance, k = np.asarray(distance, float), np.asarray(iterations, float)
    return 2 * L * distance**2 / (k + 1) ** 2


class PathSegment(NamedTuple):
    """A range of λ over which the minimiser of F is a straight line.

    Attributes
    ----------
    high, low : float
        The ends of the range; infinity and 0 are the outermost.
    signs : tuple of int
        Of the coordinates of h: -1, 0 or 1.
    intercept, slope : ndarray of shape (2,)
        ``h(λ) = intercept + slope λ``.

    Examples
    --------
    >>> from nanoae import theory
    >>> _, segment, _ = theory.two_atom_path([3.0, 1.0], [[1, 0], [0, 1]])
    >>> segment.high, segment.low, segment.signs
    (6.0, 2.0, (1, 0))
    >>> (segment.intercept + 4.0 * segment.slope).tolist()  # the code at λ = 4
    [1.0, 0.0]
    """

    high: float
    low: float
    signs: tuple[int, ...]
    intercept: Array
    slope: Array


def two_atom_path(x: ArrayLike, dictionary: ArrayLike) -> list[PathSegment]:
    """The minimiser of F for two independent atoms, for every λ at once (4.3c).

    Each of the nine sign patterns fixes h as a linear function of λ; the optimality conditions
    are then linear in λ, so they hold on an interval, which may be empty.

    Parameters
    ----------
    x : array-like of shape (d,)
    dictionary : array-like of shape (d, 2)

    Returns
    -------
    list of PathSegment
        From λ = ∞ down to 0, without gaps.

    Raises
    ------
    numpy.linalg.LinAlgError
        One atom is a multiple of the other.

    Examples
    --------
    Atoms come in one after the other as λ falls:

    >>> from nanoae import theory
    >>> path = theory.two_atom_path([3.0, 1.0], [[1, 0], [0, 1]])
    >>> [(segment.high, segment.low, segment.signs) for segment in path]
    [(inf, 6.0, (0, 0)), (6.0, 2.0, (1, 0)), (2.0, 0.0, (1, 1))]
    """
    D = np.asarray(dictionary, dtype=np.float64)
    b, gram = D.T @ np.asarray(x, dtype=np.float64), D.T @ D
    rounding = 1e-14 * 2 * np.abs(b).max()  # beside λ_max (4.3a)
    segments = []
    for signs in product((-1, 0, 1), repeat=2):
        s = np.array(signs, dtype=np.float64)
        on = s != 0
        intercept, slope = np.zeros(2), np.zeros(2)
        # on the support 2 (b − G h) = λ s
        intercept[on] = np.linalg.solve(gram[np.ix_(on, on)], b[on])
        slope[on] = np.linalg.solve(gram[np.ix_(on, on)], -s[on] / 2)
        # off it −λ ≤ 2 (b − G h) ≤ λ
        c, c_slope = 2 * (b - gram @ intercept)[~on], -2 * (gram @ slope)[~on]
        # all that must not be negative, as p + q λ
        p = np.concatenate([s[on] * intercept[on], c, -c])
        q = np.concatenate([s[on] * slope[on], 1 + c_slope, 1 - c_slope])
        flat, active = q == 0, np.arange(len(p)) < on.sum()
        if np.any(p[flat] < 0) or np.any(p[flat & active] == 0):  # 0 is not active
            continue
        low = max([0.0, *(-p[q > 0] / q[q > 0])])
        high = min([np.inf, *(-p[q < 0] / q[q < 0])])
        if high - low > rounding:
            segments.append(PathSegment(float(high), float(low), signs, intercept, slope))
    segments.sort(key=lambda segment: -segment.high)
    # one ends where the next begins, but for rounding
    ends = [segment.high for segment in segments[1:]] + [0.0]
    return [segment._replace(low=end) for segment, end in zip(segments, ends, strict=True)]


def mutual_coherence(dictionary: ArrayLike) -> float:
    """μ, the largest ``|cos|`` of an angle between two different atoms.

    Parameters
    ----------
    dictionary : array-like of shape (d, k)
        Atoms of any length but 0; k ≥ 2.

    Returns
    -------
    float

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae import theory
    >>> angles = np.array([0, 1, 2]) * 2 * np.pi / 3  # three atoms in the plane cannot do better
    >>> round(theory.mutual_coherence([np.cos(angles), np.sin(angles)]), 4)
    0.5
    """
    D = np.asarray(dictionary, dtype=np.float64)
    D = D / np.linalg.norm(D, axis=0)
    cosines = np.abs(D.T @ D)
    np.fill_diagonal(cosines, 0)
    return float(cosines.max())


def _residual(X: ArrayLike, dictionary: ArrayLike, codes: ArrayLike) -> tuple[Array, Array]:
    """``x − D h`` in rows, and the codes, in float64."""
    h = np.asarray(codes, dtype=np.float64)
    return np.asarray(X, dtype=np.float64) - h @ np.asarray(dictionary).T, h
