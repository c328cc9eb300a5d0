"""Sparse codes on a fixed dictionary: the soft threshold, ISTA and FISTA.

For each sample x, a row of ``X (n, d)``, and a dictionary ``D (d, k)``, both solvers minimise
``F(h) = ‖x − D h‖² + λ ‖h‖₁``.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from nanoae.arrays import Array
from nanoae.exceptions import ConvergenceWarning
from nanoae.validation import check_bool, check_integer, check_real, check_samples

CHECK_EVERY = 10  # iterations; looking whether a sample is done costs as much as an iteration


def soft_threshold(v: ArrayLike, t: ArrayLike) -> Any:
    """``sign(v) max(|v| − t, 0)``: the minimiser of ``½ (h − v)² + t |h|`` over h (4.1).

    Elementwise. Computed as ``v`` less its projection on ``[−t, t]`` (4.1b): zeros are exact.

    Parameters
    ----------
    v : array-like
    t : array-like that broadcasts against ``v``
        At least 0.

    Returns
    -------
    ndarray of the shape of ``v``
        float32 if ``v`` is, and ``t`` too or a scalar.

    Raises
    ------
    ValueError
        Some ``t`` is negative.

    Examples
    --------
    >>> from nanoae.proximal import soft_threshold
    >>> soft_threshold([-3.0, -0.5, 0.5, 3.0], 1.0).tolist()
    [-2.0, 0.0, 0.0, 2.0]
    """
    v, t = np.asarray(v), np.asarray(t)
    if np.any(t < 0):
        raise ValueError(f"t must be at least 0; got {t.min()}.")
    limit: Any = t.item() if t.ndim == 0 else t  # a Python number leaves float32 as it is
    return v - np.clip(v, -limit, limit)


def ista(
    X: ArrayLike, dictionary: ArrayLike, sparsity: float, *, max_iter: int = 10_000,
    tol: float = 1e-8, codes: ArrayLike | None = None,
    callback: Callable[[Array], object] | None = None,
) -> Array:  # fmt: skip
    """Minimise ``‖x − D h‖² + λ ‖h‖₁`` for every row of X by proximal gradient steps.

    Iterative shrinkage-thresholding (Daubechies, Defrise & De Mol 2004): a gradient step on the
    square, then the soft threshold. The objective never rises (4.4a). `fista` finds the same, and
    is faster.

    Parameters
    ----------
    X : array-like of shape (n, d)
    dictionary : array-like of shape (d, k)
        Atoms in columns.
    sparsity : float
        λ > 0.
    max_iter : int, default 10_000
    tol : float, default 1e-8
        A sample is done when its optimality conditions hold to within ``tol λ`` (or to what
        its floating-point numbers resolve, if that is coarser). Its objective is then within a
        part ``2 tol`` of the minimum, by a duality gap (4.4d).
    codes : array-like of shape (n, k), optional
        Where to start; by default 0.
    callback : callable, optional
        Called with the codes after every iteration; it must not change them.

    Returns
    -------
    ndarray of shape (n, k)
        The codes; float32 if ``X`` is.

    Raises
    ------
    ValueError, TypeError
        An argument is not usable, or the dictionary is zero.

    Warns
    -----
    ConvergenceWarning
        Some sample was not done after ``max_iter`` iterations.

    Examples
    --------
    On orthonormal atoms the code is ``Dᵀx``, drawn towards 0 by λ/2, after a single step:

    >>> from nanoae.proximal import ista
    >>> ista([[3.0, 0.4]], [[1, 0], [0, 1]], sparsity=1.0).round(6).tolist()
    [[2.5, 0.0]]
    """
    return _minimise(
        X, dictionary, sparsity, max_iter, tol, codes, callback, momentum=False, restart=False
    )


def fista(
    X: ArrayLike, dictionary: ArrayLike, sparsity: float, *, max_iter: int = 10_000,
    tol: float = 1e-8, codes: ArrayLike | None = None, restart: bool = True,
    callback: Callable[[Array], object] | None = None,
) -> Array:  # fmt: skip
    """Minimise ``‖x − D h‖² + λ ‖h‖₁`` for every row of X by accelerated proximal steps.

    ISTA with Nesterov's momentum (Beck & Teboulle 2009).

    Parameters
    ----------
    X, dictionary, sparsity, max_iter, tol, codes, callback
        As in `ista`.
    restart : bool, default True
        Whether a sample drops its momentum when that points uphill (O'Donoghue & Candès 2015).
        Much faster near the solution; the bound (4.4b) is proved without it.

    Returns
    -------
    ndarray of shape (n, k)
        The codes; float32 if ``X`` is.

    Raises
    ------
    ValueError, TypeError
        An argument is not usable, or the dictionary is zero.

    Warns
    -----
    ConvergenceWarning
        Some sample was not done after ``max_iter`` iterations.

    Examples
    --------
    Both find the same code, and momentum needs a third of the iterations:

    >>> from nanoae import datasets
    >>> from nanoae.proximal import fista, ista
    >>> X, _, D = datasets.make_sparse_codes(1, 20, 40, random_state=0)
    >>> steps = {ista: [], fista: []}
    >>> for solver in steps:
    ...     h = solver(X, D, 0.1, callback=steps[solver].append)
    ...     print(h[h != 0].round(3).tolist())
    [1.308, -1.091, -0.697]
    [1.308, -1.091, -0.697]
    >>> round(len(steps[ista]) / len(steps[fista]))
    3
    """
    check_bool("restart", restart)
    return _minimise(
        X, dictionary, sparsity, max_iter, tol, codes, callback, momentum=True, restart=restart
    )


def _minimise(
    X: ArrayLike, dictionary: ArrayLike, sparsity: float, max_iter: int, tol: float,
    codes: ArrayLike | None, callback: Callable[[Array], object] | None, *,
    momentum: bool, restart: bool,
) -> Array:  # fmt: skip
    X = check_samples(X)
    D = check_samples(dictionary, dtype=X.dtype, name="dictionary")
    check_samples(X, n_features=len(D), model="the dictionary")
    check_real("sparsity", sparsity, 0, open_ends=True)
    check_integer("max_iter", max_iter, 1)
    check_real("tol", tol, 0)
    n, k = len(X), D.shape[1]
    if codes is None:
        codes = np.zeros((n, k), X.dtype)
    else:
        codes = check_samples(codes, n_features=k, dtype=X.dtype, name="codes").copy()
        if len(codes) != n:
            raise ValueError(f"codes has {len(codes)} rows, but X has {n}.")
    lipschitz = float(2 * np.linalg.norm(D, 2) ** 2)
    if lipschitz == 0:
        raise ValueError("dictionary is zero; it needs at least one atom that is not.")

    gram, XD = D.T @ D, X @ D
    epsilon = np.finfo(X.dtype).eps
    active = np.arange(n)  # the samples that are not done; all arrays below have their rows
    H, HG = codes.copy(), codes @ gram
    Y, YG = H, HG  # where the gradient step starts from
    t = np.ones((n, 1), X.dtype)
    for iteration in range(max_iter + 1):
        if iteration % CHECK_EVERY == 0 or iteration == max_iter:
            violation = _violation(H, 2 * (XD - HG), sparsity)
            # rounding h by ε ‖h‖ moves the gradient by ε L ‖h‖: finer than that it cannot get
            resolution = 2 * epsilon * (lipschitz * np.linalg.norm(H, axis=1) + sparsity)
            going = violation > tol * sparsity + resolution
            if not going.all():
                codes[active] = H
                active, XD, H, HG, Y, YG, t = (a[going] for a in (active, XD, H, HG, Y, YG, t))
            if len(active) == 0:
                return codes
        if iteration == max_iter:
            break
        H_old, HG_old = H, HG
        # down the gradient 2 (G y − Dᵀx) by 1/L, then the threshold λ/L; from 0 this is (4.6)
        H = soft_threshold(Y - (2 / lipschitz) * (YG - XD), sparsity / lipschitz)
        HG = H @ gram
        if not momentum:
            Y, YG = H, HG
        else:
            t_old, t = t, (1 + np.sqrt(1 + 4 * t**2)) / 2
            if restart:
                # Y − H is the generalised gradient there: the last move went against it
                uphill = np.einsum("ij,ij->i", Y - H, H - H_old) > 0
                t_old[uphill] = t[uphill] = 1
            step = (t_old - 1) / t
            # Y G by linearity: the product with the Gram matrix is spent on H, to be checked
            Y, YG = H + step * (H - H_old), HG + step * (HG - HG_old)
        if callback is not None:
            codes[active] = H
            callback(codes)

    codes[active] = H
    warnings.warn(
        f"{len(active)} of {n} samples were not solved to tol={tol:g} in max_iter={max_iter} "
        f"iterations; the worst is off by {violation.max() / sparsity:.2g} of sparsity. Raise "
        "max_iter or tol.",
        ConvergenceWarning,
        stacklevel=3,
    )
    return codes


def _violation(H: Array, correlation: Array, sparsity: float) -> Array:
    """How far each code is from optimal; not positive where its conditions hold exactly.

    On the support ``2 D_jᵀ(x − D h)``, the ``correlation``, must be ``λ sign(h_j)``, off it at
    most λ in size (4.3).
    """
    on_support = np.abs(correlation - sparsity * np.sign(H))
    off_support = np.abs(correlation) - sparsity
    return np.where(H != 0, on_support, off_support).max(axis=1)
