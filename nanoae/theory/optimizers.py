"""How fast optimizers are where that is known: on quadratics, and on linear least squares."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from nanoae.arrays import Array
from nanoae.validation import check_integer, check_real


def momentum_factor(
    curvature: ArrayLike, learning_rate: float, momentum: float, n_steps: int
) -> Array:
    """What gradient descent with momentum leaves of a distance from the minimum (1.12).

    Without momentum it is ``(1 − ηc)^t`` (1.11). The loss is ``½ c θ²`` in each direction.

    Parameters
    ----------
    curvature : array-like
        c, of one or of many directions.
    learning_rate, momentum : float
        η and μ ≥ 0.
    n_steps : int
        t.

    Returns
    -------
    ndarray of the shape of ``curvature``
        ``θ_t / θ_0`` after a start at rest.

    Raises
    ------
    ValueError
        It grows beyond what a float can hold.

    Examples
    --------
    >>> from nanoae import theory
    >>> theory.momentum_factor([1.0, 10.0], 0.1, 0.0, 2).round(4).tolist()  # 0.9², 0
    [0.81, 0.0]
    >>> theory.momentum_factor([1.0, 10.0], 0.1, 0.5, 2).round(4).tolist()
    [0.76, -0.5]
    """
    # (θ_{t+1}, θ_t) from (θ_t, θ_{t−1}): where μ = 0 the closed form would divide by it
    c = np.asarray(curvature, float)
    step = np.zeros((*c.shape, 2, 2))
    step[..., 0, 0], step[..., 0, 1] = 1 + momentum - learning_rate * c, -momentum
    step[..., 1, 0] = 1
    with np.errstate(over="ignore", invalid="ignore"):  # told below
        left = np.linalg.matrix_power(step, n_steps)[..., 0, :].sum(axis=-1)  # θ_{−1} = θ_0
    if not np.isfinite(left).all():
        growth = momentum_rate(c, learning_rate, momentum).max()
        raise ValueError(
            f"n_steps must leave distances that a float can hold; got {n_steps} steps, each of "
            f"which makes them up to {growth:.3g} times as long."
        )
    return left


def momentum_rate(curvature: ArrayLike, learning_rate: float, momentum: float) -> Array:
    """The factor by which a distance shrinks a step, in the long run (1.12b).

    Parameters
    ----------
    curvature : array-like
    learning_rate, momentum : float

    Returns
    -------
    ndarray of the shape of ``curvature``
        The larger modulus of the two roots of ``r² − (1 + μ − ηc) r + μ``; above 1, it grows.

    Examples
    --------
    >>> from nanoae import theory
    >>> theory.momentum_rate([1.0, 10.0, 31.0], 0.1, 0.25).round(4).tolist()
    [0.8589, 0.5, 1.7032]
    """
    half = (1 + momentum - learning_rate * np.asarray(curvature, float)) / 2
    square = half**2 - momentum
    real = np.abs(half) + np.sqrt(np.maximum(square, 0))
    return np.where(square > 0, real, np.sqrt(np.maximum(momentum, 0)))


class BestRate(NamedTuple):
    """The settings that are fastest in the direction where they are slowest.

    Attributes
    ----------
    learning_rate, momentum : float
    rate : float
        The factor a step by which distances shrink in the long run.

    Examples
    --------
    >>> from nanoae import theory
    >>> theory.best_gradient_descent(1.0, 9.0)
    BestRate(learning_rate=0.2, momentum=0.0, rate=0.8)
    """

    learning_rate: float
    momentum: float
    rate: float


def best_gradient_descent(smallest: float, largest: float) -> BestRate:
    """The best learning rate without momentum, between two curvatures (1.11b).

    Parameters
    ----------
    smallest, largest : float
        Curvatures, that is eigenvalues of the Hessian, above 0.

    Returns
    -------
    BestRate

    Examples
    --------
    >>> from nanoae import theory
    >>> round(theory.best_gradient_descent(1.0, 99.0).rate, 4)  # (κ − 1)/(κ + 1)
    0.98
    """
    _check_curvatures(smallest, largest)
    total = smallest + largest
    return BestRate(2 / total, 0.0, (largest - smallest) / total)


def best_momentum(smallest: float, largest: float) -> BestRate:
    """The best learning rate and momentum, between two curvatures (1.12c).

    Parameters
    ----------
    smallest, largest : float
        Curvatures, above 0.

    Returns
    -------
    BestRate

    Examples
    --------
    >>> from nanoae import theory
    >>> theory.best_momentum(1.0, 9.0)
    BestRate(learning_rate=0.25, momentum=0.25, rate=0.5)
    """
    _check_curvatures(smallest, largest)
    a, b = smallest**0.5, largest**0.5
    rate = (b - a) / (b + a)
    return BestRate(4 / (a + b) ** 2, rate**2, rate)


def _check_curvatures(smallest: float, largest: float) -> None:
    check_real("smallest", smallest, 0, open_ends=True)
    check_real("largest", largest, smallest)


class Moments(NamedTuple):
    """Mean and second moment of weights that mini-batches have moved at random.

    Attributes
    ----------
    mean : ndarray of shape (d,)
    second : ndarray of shape (d, d)
        Mean of ``(w − w*)(w − w*)ᵀ``, about the least-squares solution w*.

    Examples
    --------
    >>> from nanoae import theory
    >>> moments = theory.minibatch_moments([[1.0], [1.0]], [0.0, 2.0], [1.0], 0.1, 1, 1)
    >>> moments.second.round(4).tolist()
    [[0.04]]
    """

    mean: Array
    second: Array


def minibatch_moments(
    X: ArrayLike,
    y: ArrayLike,
    start: ArrayLike,
    learning_rate: float,
    batch_size: int,
    n_steps: int,
) -> Moments:
    """Mini-batch gradient descent on ``(1/n) ‖X w − y‖²``: the exact moments of w (1.13b).

    Each step draws its batch anew, of different samples.

    Parameters
    ----------
    X : array-like of shape (n, d)
        Of rank d.
    y : array-like of shape (n,)
    start : array-like of shape (d,)
    learning_rate : float
    batch_size : int
        At most n.
    n_steps : int

    Returns
    -------
    Moments

    Examples
    --------
    The mean of the targets, found from one sample at a time: the noise stays, and on average
    the weight comes near.

    >>> import numpy as np
    >>> from nanoae import theory
    >>> X, y = np.ones((4, 1)), np.array([0.0, 1.0, 2.0, 3.0])
    >>> moments = theory.minibatch_moments(X, y, [0.0], 0.1, 1, 100)
    >>> moments.mean.round(4).tolist(), moments.second.round(4).tolist()  # 0.1 · 1.25/0.9
    ([1.5], [[0.1389]])
    """
    X, y = np.asarray(X, float), np.asarray(y, float)
    n, d = X.shape
    check_integer("batch_size", batch_size, 1, n)
    best = np.linalg.lstsq(X, y, rcond=None)[0]
    # gradient of sample i at w = best + v: A_i v + g_i
    A = 2 * X[:, :, None] * X[:, None, :]
    g = 2 * (X @ best - y)[:, None] * X
    mean_A = A.mean(axis=0)
    # (1.13): a batch has this part of the variance of one sample
    part = (n - batch_size) / (batch_size * (n - 1)) if n > 1 else 0.0
    keep = np.eye(d) - learning_rate * mean_A
    v = np.asarray(start, float) - best
    second = np.outer(v, v)
    for _ in range(n_steps):
        mixed = np.einsum("sij,j,sk->ik", A, v, g) / n
        of_samples = np.einsum("sij,jk,slk->il", A, second, A) / n + g.T @ g / n
        covariance = of_samples + mixed + mixed.T - mean_A @ second @ mean_A
        second = keep @ second @ keep + learning_rate**2 * part * covariance
        v = keep @ v
    return Moments(best + v, second)


def adam_longest_step(n_steps: int, beta_1: float = 0.9, beta_2: float = 0.999) -> float:
    """The longest step that Adam can take as its ``n_steps``-th, in learning rates (1.14c).

    Parameters
    ----------
    n_steps : int
        t ≥ 1.
    beta_1, beta_2 : float, default 0.9 and 0.999
        With ``β₁² ≠ β₂``.

    Returns
    -------
    float

    Examples
    --------
    >>> from nanoae import theory
    >>> [round(theory.adam_longest_step(t), 3) for t in (1, 10, 10000)]
    [1.0, 1.043, 7.27]
    """
    q = beta_1**2 / beta_2
    # 1 + q + … + q^(t−1); where it grows from its last term back, in powers of 1/q, for the root
    # of that term is all that the step grows by
    ratio, last = (q, 1.0) if q < 1 else (1 / q, np.float64(q) ** ((n_steps - 1) / 2))
    terms = (1 - ratio**n_steps) / (1 - ratio) if ratio < 1 else n_steps
    first = (1 - beta_1) / (1 - beta_1**n_steps)
    second = (1 - beta_2) / (1 - beta_2**n_steps)
    return float(first * np.sqrt(terms / second) * last)


def lbfgs_direction(gradient: ArrayLike, moves: ArrayLike, changes: ArrayLike) -> Array:
    """Where L-BFGS goes next: the two loops (Nocedal 1980) that multiply by its matrix (1.15).

    Parameters
    ----------
    gradient : array-like of shape (p,)
    moves, changes : array-like of shape (m, p)
        The last steps ``s`` and how each changed the gradient, ``y``; the latest is the last.

    Returns
    -------
    ndarray of shape (p,)
        ``−H g``.

    Examples
    --------
    Two moves are enough to know a Hessian of 2 by 2, and to step into the minimum:

    >>> import numpy as np
    >>> from nanoae import theory
    >>> Hessian, moves = np.diag([1.0, 4.0]), np.eye(2)
    >>> gradient = Hessian @ [3.0, 5.0]
    >>> theory.lbfgs_direction(gradient, moves, moves @ Hessian).round(12).tolist()
    [-3.0, -5.0]
    """
    moves, changes = np.asarray(moves, float), np.asarray(changes, float)
    q = np.array(gradient, float)
    used = []
    for s, y in zip(moves[::-1], changes[::-1], strict=True):
        alpha = (s @ q) / (s @ y)
        q -= alpha * y
        used.append(alpha)
    if len(moves):
        s, y = moves[-1], changes[-1]
        q *= (s @ y) / (y @ y)
    for s, y, alpha in zip(moves, changes, reversed(used), strict=True):
        q += (alpha - (y @ q) / (s @ y)) * s
    return -q
