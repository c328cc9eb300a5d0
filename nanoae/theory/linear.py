"""PCA, and what a linear autoencoder can reach."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from nanoae.arrays import Array


class PCA(NamedTuple):
    """Principal component analysis of a sample.

    Attributes
    ----------
    mean : ndarray of shape (d,)
    components : ndarray of shape (d, d)
        Orthonormal eigenvectors of Σ in columns, U.
    eigenvalues : ndarray of shape (d,)
        Of ``Σ = XᵀX/n`` (centred X), λ_1 ≥ λ_2 ≥ …
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
    """
    X = np.asarray(X, dtype=np.float64)
    mean = X.mean(axis=0)
    # full_matrices: with fewer samples than features the other axes have eigenvalue 0
    _, s, Ut = np.linalg.svd(X - mean, full_matrices=len(X) < X.shape[1])
    eigenvalues = np.zeros(X.shape[1])
    eigenvalues[: len(s)] = s**2 / len(X)
    return PCA(mean, Ut.T, eigenvalues)


def linear_autoencoder_optimum(X: ArrayLike, n_components: int) -> tuple[float, Array]:
    """The least mean squared error of a linear autoencoder, and the subspace that reaches it.

    Baldi & Hornik (1989): ``min (1/n) Σ ‖x − W_d W_e x‖² = Σ_{i>k} λ_i``, with the columns of
    W_d spanning the first k principal components.

    Parameters
    ----------
    X : array-like of shape (n_samples, d)
    n_components : int

    Returns
    -------
    loss : float
    subspace : ndarray of shape (d, k)
        Orthonormal columns.
    """
    _, U, eigenvalues = pca(X)
    return float(eigenvalues[n_components:].sum()), U[:, :n_components]


def largest_principal_angle(A: ArrayLike, B: ArrayLike) -> float:
    """The largest angle between the column spaces of two matrices, in radians (0 to π/2).

    From sines where the angle is small, so that 1e-12 rad is told from 0 (Björck & Golub 1973;
    SciPy's ``subspace_angles``).

    Parameters
    ----------
    A, B : array-like of shape (d, k)
    """
    from scipy.linalg import subspace_angles  # here, so that importing nanoae stays cheap

    return float(subspace_angles(A, B)[0])
