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
    """``F(h)`` for every sample, of shape (n,)."""
    residual, h = _residual(X, dictionary, codes)
    return np.sum(residual**2, axis=1) + sparsity * np.abs(h).sum(axis=1)


def orthonormal_code(X: ArrayLike, dictionary: ArrayLike, sparsity: float) -> Array:
    """The minimiser of F for a dictionary with orthonormal columns (4.2).

    ``Dᵀx``, with every coordinate drawn towards 0 by ``λ/2`` and stopped there.

    Returns
    -------
    ndarray of shape (n, k)
    """
    v = np.asarray(X, dtype=np.float64) @ np.asarray(dictionary)
    return np.sign(v) * np.maximum(np.abs(v) - sparsity / 2, 0)


def lasso_kkt_residual(
    X: ArrayLike, dictionary: ArrayLike, codes: ArrayLike, sparsity: float
) -> Array:
    """How far each code is from optimal, as a part of λ: 0 at minimisers and nowhere else (4.3).

    The largest over the coordinates of ``|2 D_jᵀ(x − D h) − λ sign(h_j)| / λ`` on the support and
    ``(|2 D_jᵀ(x − D h)| − λ)_+ / λ`` off it.

    Returns
    -------
    ndarray of shape (n,)
    """
    residual, h = _residual(X, dictionary, codes)
    c = 2 * residual @ np.asarray(dictionary) / sparsity  # what KKT wants in sign(h) or [−1, 1]
    off = np.maximum(np.abs(c) - 1, 0)
    return np.where(h != 0, np.abs(c - np.sign(h)), off).max(axis=1)


def lasso_max_sparsity(X: ArrayLike, dictionary: ArrayLike) -> Array:
    """λ_max ``= 2 ‖Dᵀx‖_∞`` of every sample: from there on its code is 0 (4.3a)."""
    return 2 * np.abs(np.asarray(X, dtype=np.float64) @ np.asarray(dictionary)).max(axis=1)


def lasso_duality_gap(
    X: ArrayLike, dictionary: ArrayLike, codes: ArrayLike, sparsity: float
) -> Array:
    """A bound on ``F(h) − min F`` that needs no minimiser (4.4c).

    F at the codes, less the dual objective ``u·x − ‖u‖²/4`` at ``u = 2 s (x − D h)``, where the
    factor ``s ≤ 1`` sees to it that ``‖Dᵀu‖_∞ ≤ λ``.

    Returns
    -------
    ndarray of shape (n,)
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
    """
    L = 2 * np.linalg.norm(np.asarray(dictionary), 2) ** 2
    return L * np.square(distance) / (2 * np.asarray(iterations))


def fista_bound(dictionary: ArrayLike, distance: ArrayLike, iterations: ArrayLike) -> Array:
    """``2 L ‖h_0 − h*‖² / (k + 1)²``, the same for FISTA without restarts (4.4b)."""
    L = 2 * np.linalg.norm(np.asarray(dictionary), 2) ** 2
    return 2 * L * np.square(distance) / (np.asarray(iterations) + 1.0) ** 2


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
    """
    D = np.asarray(dictionary, dtype=np.float64)
    b, gram = D.T @ np.asarray(x), D.T @ D
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
        if np.any(p[q == 0] < 0):
            continue
        low = max([0.0, *(-p[q > 0] / q[q > 0])])
        high = min([np.inf, *(-p[q < 0] / q[q < 0])])
        if low < high:
            segments.append(PathSegment(float(high), float(low), signs, intercept, slope))
    return sorted(segments, key=lambda segment: -segment.high)


def mutual_coherence(dictionary: ArrayLike) -> float:
    """μ, the largest ``|cos|`` of an angle between two different atoms."""
    D = np.asarray(dictionary, dtype=np.float64)
    D = D / np.linalg.norm(D, axis=0)
    cosines = np.abs(D.T @ D)
    np.fill_diagonal(cosines, 0)
    return float(cosines.max())


def _residual(X: ArrayLike, dictionary: ArrayLike, codes: ArrayLike) -> tuple[Array, Array]:
    """``x − D h`` in rows, and the codes, in float64."""
    h = np.asarray(codes, dtype=np.float64)
    return np.asarray(X, dtype=np.float64) - h @ np.asarray(dictionary).T, h
