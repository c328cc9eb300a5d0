"""The tied linear autoencoder, ``x̂ = Wᵀ W x``: its loss surface, and how it learns."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from nanoae.arrays import Array


def tied_loss(W: Array, Sigma: Array) -> float:
    """``E‖x − WᵀW x‖² = tr Σ − 2 tr(W Σ Wᵀ) + tr(W Σ Wᵀ W Wᵀ)``, for data of covariance Σ.

    Computed as ``tr R Σ Rᵀ`` with ``R = I − WᵀW``, so that a small loss keeps its digits.

    Parameters
    ----------
    W : ndarray of shape (k, d)
    Sigma : ndarray of shape (d, d)

    Returns
    -------
    float

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae import theory
    >>> Sigma = np.diag([4.0, 1.0])
    >>> float(theory.tied_loss(np.array([[1.0, 0.0]]), Sigma))  # loses the second axis
    1.0
    >>> float(theory.tied_loss(np.array([[2.0, 0.0]]), Sigma))  # x̂ = 4 x along the first
    37.0
    """
    W = np.asarray(W, np.result_type(W, np.float64))  # a complex step stays complex
    R = np.eye(len(Sigma)) - W.T @ W
    return np.trace(R @ Sigma @ R.T)


def tied_gradient(W: Array, Sigma: Array) -> tuple[Array, Array]:
    """∂L/∂W of `tied_loss`, one part for each use of W; the gradient is their sum (3.1).

    Parameters
    ----------
    W : ndarray of shape (k, d)
    Sigma : ndarray of shape (d, d)

    Returns
    -------
    as_encoder, as_decoder : ndarray of shape (k, d)
        What W owes to its work as ``W_e`` (3.1b) and as ``W_dᵀ`` (3.1c).

    Examples
    --------
    The two parts differ, and their sum is the derivative of the loss:

    >>> import numpy as np
    >>> from nanoae import theory
    >>> W, Sigma, step = np.array([[1.0, 1.0]]), np.diag([2.0, 1.0]), np.array([[1e-4, 0.0]])
    >>> [part.tolist() for part in theory.tied_gradient(W, Sigma)]
    [[[4.0, 2.0]], [[2.0, 4.0]]]
    >>> difference = theory.tied_loss(W + step, Sigma) - theory.tied_loss(W - step, Sigma)
    >>> round(float(difference) / 2e-4, 4)
    6.0
    """
    W = np.asarray(W, np.result_type(W, np.float64))  # a complex step stays complex
    W_Sigma = W @ Sigma
    as_encoder = -2 * W_Sigma + 2 * W @ W.T @ W_Sigma
    as_decoder = -2 * W_Sigma + 2 * W_Sigma @ W.T @ W
    return as_encoder, as_decoder


def tied_curvatures(
    eigenvalues: ArrayLike, n_components: int, chosen: ArrayLike | None = None
) -> Array:
    """Eigenvalues of the loss's Hessian at a critical point (3.4), in ascending order.

    Parameters
    ----------
    eigenvalues : array-like of shape (d,)
        Of Σ.
    n_components : int
        k, which may exceed d.
    chosen : array-like of int, optional
        Which eigenvectors the critical point keeps, at most k of them; default the first k
        (all, if k exceeds d), which is the minimum.

    Returns
    -------
    ndarray of shape (d k,)

    Examples
    --------
    The first principal axis is a minimum, the second a saddle:

    >>> from nanoae import theory
    >>> theory.tied_curvatures([4.0, 1.0], 1).tolist()
    [6.0, 32.0]
    >>> theory.tied_curvatures([4.0, 1.0], 1, chosen=[1]).tolist()
    [-6.0, 8.0]
    """
    eigenvalues = np.asarray(eigenvalues, dtype=np.float64)
    if chosen is None:
        chosen = np.arange(min(n_components, len(eigenvalues)))
    chosen = np.asarray(chosen, dtype=np.intp)
    kept, left = eigenvalues[chosen], np.delete(eigenvalues, chosen)
    r = len(kept)
    turn_out = 2 * (kept[:, None] - left)  # exchange a kept axis for one left out
    turn_within = np.zeros(r * (r - 1) // 2)  # rotations of the code change nothing
    i, j = np.triu_indices(r)
    stretch = 4 * (kept[i] + kept[j])  # leave W Wᵀ = I
    idle = n_components - r  # directions of the code that nothing uses
    learn = np.repeat(-4 * left, idle)
    repeat = np.zeros(idle * r)  # a kept axis a second time: flat to second order
    parts = (turn_out.ravel(), turn_within, stretch, learn, repeat)
    return np.sort(np.concatenate(parts))


def logistic_mode_strength(eigenvalue: ArrayLike, s0: ArrayLike, t: ArrayLike) -> Array:
    """How strongly a mode is learned at time t: ``ds/dt = 8 λ s (1 − s)``, ``s(0) = s0`` (3.3a).

    ``s(t) = 1 / (1 + (1/s0 − 1) e^{−8 λ t})``, computed on the scale of log-odds, where it is
    the straight line ``logit s0 + 8 λ t`` and nothing overflows. The arguments broadcast.

    Parameters
    ----------
    eigenvalue : array-like
        λ, the variance along the mode.
    s0 : array-like
        Initial strength, from 0 to 1.
    t : array-like
        Time of gradient flow: steps times learning rate.

    Returns
    -------
    ndarray of the broadcast shape

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae import theory
    >>> half_time = theory.logistic_half_time(1.0, 0.01)
    >>> t = half_time * np.array([0, 1, 2])
    >>> theory.logistic_mode_strength(1.0, 0.01, t).round(4).tolist()
    [0.01, 0.5, 0.99]
    """
    from scipy.special import expit, logit  # here, so that importing nanoae stays cheap

    return expit(logit(np.asarray(s0, float)) + 8 * np.asarray(eigenvalue, float) * np.asarray(t))


def logistic_half_time(eigenvalue: ArrayLike, s0: ArrayLike) -> Array:
    """The time at which ``logistic_mode_strength`` is ½: ``log(1/s0 − 1) / (8 λ)`` (3.3b).

    Parameters
    ----------
    eigenvalue, s0 : array-like

    Returns
    -------
    ndarray of the broadcast shape
        In the unit of t, steps times learning rate; infinite along an axis without variance.

    Examples
    --------
    Four times the variance is learned four times as soon:

    >>> from nanoae import theory
    >>> theory.logistic_half_time([1.0, 4.0], 0.01).round(4).tolist()
    [0.5744, 0.1436]
    """
    from scipy.special import logit

    with np.errstate(divide="ignore"):
        return -logit(np.asarray(s0, float)) / (8 * np.asarray(eigenvalue, float))


def tied_learning_curve(eigenvalues: ArrayLike, s0: ArrayLike, t: ArrayLike) -> Array:
    """Loss at times t of a start aligned with the eigenvectors: ``Σ λ_i (1 − s_i(t))²`` (3.3c).

    Parameters
    ----------
    eigenvalues : array-like of shape (d,)
    s0 : array-like of shape (d,)
        Initial strengths, 0 for a mode that never starts.
    t : array-like of shape (m,)

    Returns
    -------
    ndarray of shape (m,)

    Examples
    --------
    One step down for each mode; the loss starts at 5, nearly, and rests at 1 in between:

    >>> from nanoae import theory
    >>> theory.tied_learning_curve([4.0, 1.0], [1e-4, 1e-9], [0.0, 1.0, 4.0]).round(3).tolist()
    [4.999, 1.0, 0.0]
    """
    from scipy.special import expit, logit

    eigenvalues = np.asarray(eigenvalues, float)
    log_odds = logit(np.asarray(s0, float)) + 8 * eigenvalues * np.asarray(t)[:, None]  # (3.3a)
    return expit(-log_odds) ** 2 @ eigenvalues  # 1 − s, which late is far below s's last digit


def effective_initial_strengths(W: Array, U: Array) -> Array:
    """Strengths that a small random start counts as, ``R_ii²`` of ``W U_k = Q R`` (3.3d).

    Row direction by row direction, what earlier modes have not taken is left to the later ones.

    Parameters
    ----------
    W : ndarray of shape (k, d)
        Initial weights.
    U : ndarray of shape (d, d)
        Eigenvectors of Σ in columns, largest eigenvalue first.

    Returns
    -------
    ndarray of shape (d,)
        0 from mode k on: no direction is left.

    Examples
    --------
    The first mode takes all that points its way, ``0.3² + 0.4²``, and leaves the second less than
    ``0.3²``:

    >>> import numpy as np
    >>> from nanoae import theory
    >>> W = np.array([[0.3, 0.3, 0.0], [0.4, 0.0, 0.0]])
    >>> theory.effective_initial_strengths(W, np.eye(3)).round(4).tolist()
    [0.25, 0.0576, 0.0]
    """
    W, k = np.asarray(W, dtype=np.float64), len(W)
    strengths = np.zeros(len(U))
    strengths[:k] = np.diag(np.linalg.qr(W @ U[:, :k], mode="r")) ** 2
    return strengths
