"""Sequences: the linear recurrent autoencoder, gradients at a lag, and what attention recalls."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from nanoae.arrays import Array
from nanoae.validation import check_choice


def reversed_prefixes(X: Array) -> Array:
    """Every prefix of every sequence, last step first, and zeros where it has no more.

    ``ξ_t = (x_t, …, x_1, 0, …, 0)``.

    Parameters
    ----------
    X : ndarray of shape (n, T, d)

    Returns
    -------
    ndarray of shape (n T, T d)

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae import theory
    >>> theory.reversed_prefixes(np.array([[[1.0], [2.0], [3.0]]])).tolist()
    [[1.0, 0.0, 0.0], [2.0, 1.0, 0.0], [3.0, 2.0, 1.0]]
    """
    X = np.asarray(X, dtype=np.float64)
    n, n_steps, d = X.shape
    prefixes = np.zeros((n, n_steps, n_steps, d))
    for t in range(n_steps):
        prefixes[:, t, : t + 1] = X[:, t::-1]
    return prefixes.reshape(n * n_steps, n_steps * d)


class LinearRecurrent(NamedTuple):
    """A linear recurrent autoencoder: ``h_t = A h_{t−1} + B x_t``, and back ``C Dʲ h``.

    Attributes
    ----------
    A, D : ndarray of shape (k, k)
    B : ndarray of shape (k, d)
    C : ndarray of shape (d, k)

    Examples
    --------
    A state that keeps the last two numbers read, and gives them back last first:

    >>> import numpy as np
    >>> from nanoae import theory
    >>> A, B = np.array([[0.0, 0.0], [1.0, 0.0]]), np.array([[1.0], [0.0]])
    >>> model = theory.LinearRecurrent(A, B, C=B.T, D=A.T)
    >>> h = model.states(np.array([[[5.0], [6.0], [7.0]]]))[0, -1]
    >>> model.decoded(h[None], n_steps=3).ravel().tolist()
    [7.0, 6.0, 0.0]
    """

    A: Array
    B: Array
    C: Array
    D: Array

    def states(self, X: Array) -> Array:
        """After every step, ``(n, T, k)``, of sequences ``(n, T, d)``, from ``h_0 = 0``."""
        X = np.asarray(X, dtype=np.float64)
        h, states = np.zeros((len(X), len(self.A))), []
        for x in X.swapaxes(0, 1):
            h = h @ self.A.T + x @ self.B.T
            states.append(h)
        return np.stack(states, axis=1)

    def decoded(self, h: Array, n_steps: int) -> Array:
        """Steps ``(n, n_steps, d)`` that are made of states ``(n, k)``, last read first."""
        h, steps = np.asarray(h, dtype=np.float64), []
        for _ in range(n_steps):
            steps.append(h @ self.C.T)
            h = h @ self.D.T
        return np.stack(steps, axis=1)

    def loss(self, X: Array, *, from_states: str = "every", padding: bool = True) -> float:
        """Squared error of what is decoded, summed over states and steps, averaged over sequences.

        Parameters
        ----------
        X : ndarray of shape (n, T, d)
        from_states : {"every", "last"}, default "every"
            Decode from the state after every step, or after the last alone.
        padding : bool, default True
            From every state, decode T steps, those before the first of which should be 0; or
            only as many steps as were read.
        """
        check_choice("from_states", from_states, ("every", "last"))
        n, n_steps, d = X.shape
        states, targets = self.states(X), reversed_prefixes(X).reshape(n, n_steps, n_steps, d)
        total = 0.0
        for t in range(n_steps) if from_states == "every" else [n_steps - 1]:
            length = n_steps if padding else t + 1
            error = self.decoded(states[:, t], length) - targets[:, t, :length]
            total += float(np.sum(error**2))
        return total / n


def linear_recurrent_autoencoder(
    X: Array, n_components: int, *, from_states: str = "every", tied: bool = True
) -> LinearRecurrent:
    """The linear recurrent autoencoder whose state is to be ``Uᵀ ξ_t``.

    U are the first k right singular vectors of all reversed prefixes (of whole sequences, if only
    the last state is decoded), R the shift by a step and E the place of the first.
    ``A = Uᵀ R U``, ``B = Uᵀ E`` and, tied, ``C = Bᵀ``, ``D = Aᵀ``: exact where k is the rank
    (11.10a). Or else A and D solve the recursions for the blocks of U, which they can where
    ``k ≥ (T − 1) d``: then the least loss is reached (11.10b).

    Parameters
    ----------
    X : ndarray of shape (n, T, d)
    n_components : int
        k; units beyond T d stay 0.
    from_states : {"every", "last"}, default "every"
    tied : bool, default True

    Returns
    -------
    LinearRecurrent

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae import theory
    >>> X = np.random.default_rng(0).standard_normal((2, 3, 1))
    >>> model = theory.linear_recurrent_autoencoder(X, 3)
    >>> bool(model.loss(X) < 1e-25), bool((model.C == model.B.T).all())
    (True, True)
    """
    rows, d = _decoded_rows(X, from_states), X.shape[2]
    # full_matrices: with fewer rows than numbers in one U has other axes besides
    axes = np.linalg.svd(rows, full_matrices=len(rows) < rows.shape[1])[2][:n_components]
    U = np.pad(axes, ((0, n_components - len(axes)), (0, 0))).T
    above, below = U[:-d], U[d:]  # without the last block, and without the first
    if tied:
        A = below.T @ above  # Uᵀ R U: R moves every block one down
        return LinearRecurrent(A, U[:d].T, U[:d], A.T)
    return LinearRecurrent(
        below.T @ np.linalg.pinv(above.T), U[:d].T, U[:d], np.linalg.pinv(above) @ below
    )


def linear_recurrent_bound(X: Array, n_components: int, *, from_states: str = "every") -> float:
    """What no linear recurrent autoencoder can fall below: ``Σ_{i>k} σ_i² / n`` (11.10).

    With the padding counted, of the singular values of all reversed prefixes. From the last state
    alone, of those of whole sequences; there, no encoder whatever beats it (11.11).

    Parameters
    ----------
    X : ndarray of shape (n, T, d)
    n_components : int
        k.
    from_states : {"every", "last"}, default "every"

    Returns
    -------
    float

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae import theory
    >>> X = np.array([[[1.0], [0.0]], [[0.0], [2.0]]])
    >>> round(theory.linear_recurrent_bound(X, 1, from_states="last"), 12)
    0.5
    """
    rows = _decoded_rows(X, from_states)
    left_out = np.linalg.svd(rows, compute_uv=False)[n_components:]
    return float(np.sum(left_out**2) / len(X))


def _decoded_rows(X: Array, from_states: str) -> Array:
    """What the states are to be decoded into, last step first: every prefix, or the whole."""
    check_choice("from_states", from_states, ("every", "last"))
    X = np.asarray(X, dtype=np.float64)
    return reversed_prefixes(X) if from_states == "every" else X[:, ::-1].reshape(len(X), -1)


def shift_register_loss(n_steps: int, n_features: int, n_kept: int) -> float:
    """Least loss on white inputs: the state keeps the last ``n_kept`` steps, τ (11.10c).

    ``d (T − τ)(T − τ + 1) / 2``, from every state, with the padding counted.

    Parameters
    ----------
    n_steps, n_features, n_kept : int
        T, d and ``τ = k / d``, which may exceed T.

    Returns
    -------
    float

    Examples
    --------
    >>> from nanoae import theory
    >>> [theory.shift_register_loss(3, 1, kept) for kept in range(4)]
    [6.0, 3.0, 1.0, 0.0]
    """
    lost = max(n_steps - n_kept, 0)
    return n_features * lost * (lost + 1) / 2


def lag_bound(recurrent_weight: Array, states: Array) -> float:
    """What ``‖∂h_T/∂h_0‖₂`` of a tanh network cannot exceed (11.5b).

    ``Π_t ‖U‖ max_i (1 − h²_{t,i})``.

    Parameters
    ----------
    recurrent_weight : ndarray of shape (k, k)
        U.
    states : ndarray of shape (T, k)
        ``h_1, …, h_T``.

    Returns
    -------
    float

    Examples
    --------
    Where no unit is saturated it is a power of the norm:

    >>> import numpy as np
    >>> from nanoae import theory
    >>> theory.lag_bound(2 * np.eye(3), np.zeros((4, 3)))
    16.0
    """
    recurrent_weight, states = (np.asarray(a, float) for a in (recurrent_weight, states))
    steepest = np.max(1 - states**2, axis=1)
    return float(np.prod(np.linalg.norm(recurrent_weight, 2) * steepest))


def attention_recall_error(sharpness: ArrayLike, n_steps: int, n_features: int) -> Array:
    """Squared error a step when attention copies white steps by their position (11.12).

    With orthonormal position keys and scores of β at the step itself, 0 at all others,
    ``d q² T / (T − 1)`` with ``q = (T − 1) / (e^β + T − 1)``, what the others are given.

    Parameters
    ----------
    sharpness : array-like
        β.
    n_steps, n_features : int
        T and d.

    Returns
    -------
    ndarray

    Examples
    --------
    Attention to all steps alike is the mean of them, and gets better as it sharpens:

    >>> from nanoae import theory
    >>> theory.attention_recall_error([0.0, 5.0, 10.0], 4, 1).round(6).tolist()
    [0.75, 0.000523, 0.0]
    """
    from scipy.special import expit  # here, so that importing nanoae stays cheap

    with np.errstate(divide="ignore"):  # a single step has no others, and q = 0
        q = expit(np.log(n_steps - 1) - np.asarray(sharpness, dtype=np.float64))
    return n_features * q**2 * n_steps / max(n_steps - 1, 1)
