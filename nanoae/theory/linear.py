"""PCA, and what a linear autoencoder can reach."""

from __future__ import annotations

from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from nanoae.arrays import Array
from nanoae.validation import check_integer, check_samples


class PCA(NamedTuple):
    """Principal component analysis of a sample.

    Attributes
    ----------
    mean : ndarray of shape (d,)
    components : ndarray of shape (d, d)
        Orthonormal eigenvectors of Σ in columns, U.
    eigenvalues : ndarray of shape (d,)
        Of ``Σ = XᵀX/n`` (centred X), λ_1 ≥ λ_2 ≥ …

    Examples
    --------
    >>> from nanoae import theory
    >>> mean, components, eigenvalues = theory.pca([[1, 1], [2, 2], [3, 3]])
    >>> mean.tolist(), eigenvalues.round(4).tolist()  # all variance is along the diagonal
    ([2.0, 2.0], [1.3333, 0.0])
    >>> abs(components[:, 0]).round(4).tolist()  # the sign of an axis means nothing
    [0.7071, 0.7071]
    """

    mean: Array
    components: Array
    eigenvalues: Array


def pca(X: ArrayLike) -> PCA:
    """Principal components by the singular value decomposition of the centred data.

    ``X − mean = P S Uᵀ``, so ``Σ = U (S²/n) Uᵀ``: no covariance matrix is formed, and small
    eigenvalues keep their digits.

    Parameters
    ----------
    X : array-like of shape (n_samples, d)

    Returns
    -------
    PCA

    Raises
    ------
    TypeError, ValueError
        ``X`` is no matrix of finite numbers.

    Examples
    --------
    >>> from nanoae import datasets, theory
    >>> eigenvalues = theory.pca(datasets.load_digits().X).eigenvalues
    >>> share = eigenvalues.cumsum() / eigenvalues.sum()
    >>> share[[1, 9, 19]].round(3).tolist()  # of the variance, in 2, 10 and 20 components
    [0.285, 0.738, 0.894]
    """
    X = np.asarray(check_samples(X), dtype=np.float64)
    mean = X.mean(axis=0)
    # full_matrices: with fewer samples than features the other axes have eigenvalue 0
    _, s, Ut = np.linalg.svd(X - mean, full_matrices=len(X) < X.shape[1])
    eigenvalues = np.zeros(X.shape[1])
    eigenvalues[: len(s)] = s**2 / len(X)
    return PCA(mean, Ut.T, eigenvalues)


def spectrum(eigenvalues: ArrayLike) -> Array:
    """The eigenvalues of a covariance in falling order, those that are rounding set to 0.

    Raises
    ------
    ValueError
        They are not finite.

    Examples
    --------
    >>> from nanoae.theory.linear import spectrum
    >>> spectrum([-3e-16, 1.0, 4.0]).tolist()
    [4.0, 1.0, 0.0]
    """
    falling = np.sort(np.asarray(eigenvalues, dtype=np.float64))[::-1]
    if not np.isfinite(falling).all():
        raise ValueError(f"eigenvalues must be finite; got {eigenvalues!r}.")
    rounding = len(falling) * np.finfo(np.float64).eps * falling[0]
    return np.where(falling > rounding, falling, 0.0)


def linear_autoencoder_loss(Sigma: ArrayLike, W_e: ArrayLike, W_d: ArrayLike) -> float:
    """Mean squared error of ``x̂ = W_d W_e x``, from the covariance alone.

    ``tr Σ − 2 tr(W_d W_e Σ) + tr(W_eᵀ W_dᵀ W_d W_e Σ)`` (2.1), which is ``tr R Σ Rᵀ`` with
    ``R = I − W_d W_e``: so computed, a small loss keeps its digits.

    Parameters
    ----------
    Sigma : array-like of shape (d, d)
        ``XᵀX/n`` of centred samples.
    W_e : array-like of shape (k, d)
    W_d : array-like of shape (d, k)

    Returns
    -------
    float

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae import theory
    >>> Sigma, W_e = np.diag([4.0, 2.0, 1.0]), np.eye(2, 3)
    >>> theory.linear_autoencoder_loss(Sigma, W_e, W_e.T)  # keeps two axes, loses the third
    1.0
    """
    Sigma = np.asarray(Sigma, float)
    R = np.eye(len(Sigma)) - np.asarray(W_d, float) @ np.asarray(W_e, float)
    return float(np.trace(R @ Sigma @ R.T))  # (2.1)


def linear_autoencoder_gradients(
    Sigma: ArrayLike, W_e: ArrayLike, W_d: ArrayLike
) -> tuple[Array, Array]:
    """Derivatives of `linear_autoencoder_loss` by W_e, of shape (k, d), and W_d, (d, k).

    Parameters
    ----------
    Sigma : array-like of shape (d, d)
    W_e : array-like of shape (k, d)
    W_d : array-like of shape (d, k)

    Returns
    -------
    grad_W_e : ndarray of shape (k, d)
    grad_W_d : ndarray of shape (d, k)

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae import theory
    >>> Sigma, axis = np.diag([4.0, 1.0]), np.array([[1.0, 0.0]])
    >>> grad_W_e, grad_W_d = theory.linear_autoencoder_gradients(Sigma, axis, 0.5 * axis.T)
    >>> grad_W_e.tolist(), grad_W_d.T.tolist()  # the decoder is too short: downhill is longer
    ([[-2.0, 0.0]], [[-4.0, 0.0]])
    """
    Sigma, W_e, W_d = (np.asarray(matrix, float) for matrix in (Sigma, W_e, W_d))
    grad_W_d = -2 * Sigma @ W_e.T + 2 * W_d @ W_e @ Sigma @ W_e.T  # (2.1a)
    grad_W_e = -2 * W_d.T @ Sigma + 2 * W_d.T @ W_d @ W_e @ Sigma  # (2.1b)
    return grad_W_e, grad_W_d


def linear_autoencoder_optimum(X: ArrayLike, n_components: int) -> tuple[float, Array]:
    """The least mean squared error of a linear autoencoder, and the subspace that reaches it.

    Baldi & Hornik (1989): ``min (1/n) Σ ‖x − W_d W_e x‖² = Σ_{i>k} λ_i`` (2.3), with the columns
    of W_d spanning the first k principal components (2.3a).

    Parameters
    ----------
    X : array-like of shape (n_samples, d)
    n_components : int

    Returns
    -------
    loss : float
    subspace : ndarray of shape (d, k)
        Orthonormal columns.

    Raises
    ------
    TypeError, ValueError
        ``X`` is no matrix of finite numbers, or ``n_components`` is no integer from 1 to d.

    Examples
    --------
    A trained model ends at the eigenvalue left out:

    >>> from nanoae import LinearAutoencoder, datasets, theory
    >>> X = datasets.make_gaussian(50, [4.0, 2.0, 1.0], exact=True, random_state=0)
    >>> round(theory.linear_autoencoder_optimum(X, 2)[0], 4)
    1.0
    >>> round(float(LinearAutoencoder(2, random_state=0).fit(X).loss_), 4)
    1.0
    """
    _, U, eigenvalues = pca(X)
    check_integer("n_components", n_components, 1, len(eigenvalues))
    return float(eigenvalues[n_components:].sum()), U[:, :n_components]


def largest_principal_angle(A: ArrayLike, B: ArrayLike) -> float:
    """The largest angle between the column spaces of two matrices, in radians (0 to π/2).

    From sines where the angle is small, so that 1e-12 rad is told from 0 (Björck & Golub 1973;
    SciPy's ``subspace_angles``).

    Parameters
    ----------
    A, B : array-like of shape (d, k)

    Returns
    -------
    float

    Examples
    --------
    >>> from nanoae import theory
    >>> round(theory.largest_principal_angle([[1], [0]], [[1], [1]]), 4)  # π/4
    0.7854
    >>> f"{theory.largest_principal_angle([[1], [0]], [[1], [1e-12]]):.1e}"
    '1.0e-12'
    """
    from scipy.linalg import subspace_angles  # here, so that importing nanoae stays cheap

    return float(subspace_angles(np.asarray(A, float), np.asarray(B, float))[0])


class CriticalPoint(NamedTuple):
    """A point where both gradients of the linear autoencoder vanish.

    Attributes
    ----------
    kept : tuple of int
        The principal axes that it reconstructs, counted from 0; at most k of them.
    encoder_weight : ndarray of shape (k, d)
        The kept axes in rows, then zeros.
    decoder_weight : ndarray of shape (d, k)
        Its transpose.
    loss : float
        Sum of the eigenvalues of the axes that are not kept.
    direction : tuple of ndarray of shapes (k, d) and (d, k), or None
        Of unit length together: a step along it, in W_e and W_d at once, lowers the loss. None at
        the global minimum.
    curvature : float
        Second derivative of the loss along ``direction``; negative, or 0 without one.

    Examples
    --------
    The point that keeps the second axis of two is a saddle, down which the first one comes in:

    >>> from nanoae import datasets, theory
    >>> X = datasets.make_gaussian(50, [4.0, 1.0], exact=True, random_state=0)
    >>> *_, saddle = theory.critical_points(X, 1)
    >>> saddle.kept, round(saddle.loss, 4), round(saddle.curvature, 4)
    ((1,), 4.0, -3.0)
    """

    kept: tuple[int, ...]
    encoder_weight: Array
    decoder_weight: Array
    loss: float
    direction: tuple[Array, Array] | None
    curvature: float


def critical_points(X: ArrayLike, n_components: int) -> list[CriticalPoint]:
    """One point of each family of critical points of the linear autoencoder (2.5).

    With distinct positive eigenvalues there is one family for every set of at most k principal
    axes; the rest of it is ``(G⁻¹ W_e, W_d G)`` with G invertible. The global minimum comes first
    among the sets of k axes, and those with fewer axes come before them.

    Parameters
    ----------
    X : array-like of shape (n_samples, d)
    n_components : int
        k < d.

    Returns
    -------
    list of CriticalPoint

    Raises
    ------
    ValueError
        k is not from 1 to d − 1.

    Examples
    --------
    >>> from nanoae import datasets, theory
    >>> X = datasets.make_gaussian(50, [4.0, 2.0, 1.0], exact=True, random_state=0)
    >>> [(point.kept, round(point.loss, 4)) for point in theory.critical_points(X, 1)]
    [((), 7.0), ((0,), 3.0), ((1,), 5.0), ((2,), 6.0)]
    """
    _, U, eigenvalues = pca(X)
    k = n_components
    if not 1 <= k < len(U):
        raise ValueError(f"n_components must be from 1 to {len(U) - 1}, below d; got {k}.")
    axes = range(len(eigenvalues))
    points = []
    for rank in range(k + 1):
        for kept in combinations(axes, rank):
            left_out = [i for i in axes if i not in kept]
            loss = float(eigenvalues[left_out].sum())  # (2.5a)
            W_d = np.zeros((len(U), k))
            W_d[:, :rank] = U[:, list(kept)]

            gained = left_out[0]  # the largest eigenvalue that is missing
            D = np.zeros_like(W_d)
            direction = None
            if rank < k:  # an idle unit takes it up (2.5c)
                D[:, rank] = U[:, gained]
                curvature = -2 * eigenvalues[gained]
            elif gained < kept[-1]:  # the last kept axis turns towards it (2.5b)
                D[:, rank - 1] = U[:, gained]
                curvature = eigenvalues[kept[-1]] - eigenvalues[gained]
            else:
                curvature = 0.0
            if curvature:
                D /= np.sqrt(2)
                direction = (D.T, D)
            points.append(CriticalPoint(kept, W_d.T, W_d, loss, direction, float(curvature)))
    return points


def critical_point_hessian(
    eigenvalues: ArrayLike, n_components: int, kept: tuple[int, ...]
) -> Array:
    """All ``2 d k`` eigenvalues of the loss's Hessian at a point of `critical_points` (2.5d).

    Parameters
    ----------
    eigenvalues : array-like of shape (d,)
        Of Σ, in falling order.
    n_components : int
    kept : tuple of int
        The axes that the point reconstructs, counted from 0.

    Returns
    -------
    ndarray of shape (2 d k,)
        In rising order.

    Examples
    --------
    None is negative at the minimum, one at the saddle; the zero is the rescaling of the code:

    >>> from nanoae import theory
    >>> theory.critical_point_hessian([4.0, 1.0], 1, kept=(0,)).round(3).tolist()
    [0.0, 1.394, 8.606, 16.0]
    >>> theory.critical_point_hessian([4.0, 1.0], 1, kept=(1,)).round(3).tolist()
    [-3.544, 0.0, 4.0, 13.544]
    """
    eigenvalues = np.asarray(eigenvalues, dtype=np.float64)
    used, left = eigenvalues[list(kept)], np.delete(eigenvalues, list(kept))
    rank, idle = len(used), n_components - len(used)
    lambda_i, lambda_j = used[:, None], left[None, :]
    root = np.sqrt((lambda_i - lambda_j) ** 2 + 4 * lambda_j**2)
    larger = lambda_i + lambda_j + root
    # λ_i + λ_j − root, but for its cancellation; of two axes without variance it is 0
    smaller = 4 * lambda_j * (lambda_i - lambda_j) / np.where(larger > 0, larger, 1)
    curvatures = [
        larger.ravel(),
        smaller.ravel(),
        np.repeat(2 * left, idle),
        np.repeat(-2 * left, idle),
        np.repeat(4 * used, rank),
        np.zeros(rank * rank + 2 * idle * rank),
    ]
    return np.sort(np.concatenate(curvatures))


class WeightDecayOptimum(NamedTuple):
    """The linear autoencoder with weight decay at its global minimum.

    Attributes
    ----------
    loss : float
        Penalty included.
    singular_values : ndarray of shape (k,)
        Of W_d and of W_e, ``√(1 − λ_w/λ_i)``, or 0 where λ_i ≤ λ_w and where no axis is left.
    axes : ndarray of shape (d, min(d, k))
        Left singular vectors of W_d: the principal axes themselves.

    Examples
    --------
    >>> from nanoae import datasets, theory
    >>> X = datasets.make_gaussian(50, [4.0, 2.0, 1.0], exact=True, random_state=0)
    >>> loss, singular_values, axes = theory.weight_decay_optimum(X, 2, weight_decay=1.0)
    >>> round(loss, 4), (singular_values**2).round(4).tolist(), axes.shape  # 1 - 1/4, 1 - 1/2
    (4.25, [0.75, 0.5], (3, 2))
    """

    loss: float
    singular_values: Array
    axes: Array


def weight_decay_optimum(
    X: ArrayLike, n_components: int, weight_decay: float
) -> WeightDecayOptimum:
    """Least value of ``(1/n) Σ ‖x − W_d W_e x‖² + λ_w (‖W_e‖² + ‖W_d‖²)``, and where it is.

    Kunin et al. (2019), with the penalty's ``λ_w`` in units of the eigenvalues of ``XᵀX/n``.

    Parameters
    ----------
    X : array-like of shape (n_samples, d)
    n_components : int
        k, which may exceed d.
    weight_decay : float
        λ_w.

    Returns
    -------
    WeightDecayOptimum

    Examples
    --------
    A penalty above an eigenvalue switches its axis off:

    >>> from nanoae import datasets, theory
    >>> X = datasets.make_gaussian(50, [4.0, 2.0, 1.0], exact=True, random_state=0)
    >>> theory.weight_decay_optimum(X, 2, weight_decay=3.0).singular_values.round(4).tolist()
    [0.5, 0.0]
    """
    _, U, eigenvalues = pca(X)
    worth_it = np.flatnonzero(eigenvalues[:n_components] > weight_decay)
    kept, lost = eigenvalues[worth_it], np.delete(eigenvalues, worth_it)
    squared = np.zeros(n_components)
    squared[worth_it] = 1 - weight_decay / kept  # (2.9a)
    costs = weight_decay * (2 - weight_decay / kept)  # λ_i − (λ_i − λ_w)²/λ_i (2.9c)
    return WeightDecayOptimum(
        loss=float(lost.sum() + costs.sum()),
        singular_values=np.sqrt(squared),
        axes=U[:, :n_components],
    )
