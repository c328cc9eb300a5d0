"""Contraction: linear optima and where axes collapse, saturation, probes, and a memorising code.

The penalty is ``λ_c (1/n) Σ ‖∂h/∂x‖²`` beside the squared error ``(1/n) Σ ‖x − x̂‖²``. Linear
optima are functions of the eigenvalues λ_i of ``Σ = XᵀX/n`` of centred samples.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from nanoae.arrays import Array
from nanoae.theory.linear import spectrum
from nanoae.validation import check_choice, check_integer, check_real


class ContractiveOptimum(NamedTuple):
    """A contractive linear autoencoder at its global minimum.

    Attributes
    ----------
    loss : float
        Penalty included.
    gains : ndarray of shape (d,)
        What is left of each principal axis, that with the most variance first:
        ``W_d W_e = U diag(gains) Uᵀ``.
    threshold : float
        The eigenvalue below which an axis is not kept; a kept one has the gain
        ``1 − threshold / λ_i``.

    Examples
    --------
    >>> from nanoae import theory
    >>> loss, gains, threshold = theory.tied_contractive_optimum([4.0, 2.0, 1.0], 2, 1.0)
    >>> round(loss, 4), gains.tolist(), threshold
    (2.8125, [0.875, 0.75, 0.0], 0.5)
    """

    loss: float
    gains: Array
    threshold: float


def tied_contractive_optimum(
    eigenvalues: ArrayLike, n_components: int, contraction: float
) -> ContractiveOptimum:
    """Least value of ``(1/n) Σ ‖x − WᵀW x‖² + λ_c ‖W‖²``, and what it keeps (9.6).

    Parameters
    ----------
    eigenvalues : array-like of shape (d,)
        Of Σ, in any order.
    n_components : int
    contraction : float
        λ_c, not negative.

    Returns
    -------
    ContractiveOptimum

    Examples
    --------
    From twice its eigenvalue on, an axis is gone:

    >>> from nanoae import theory
    >>> for contraction in (1.0, 3.9, 4.0, 8.0):
    ...     gains = theory.tied_contractive_optimum([4.0, 2.0, 1.0], 2, contraction).gains
    ...     print(contraction, gains.round(4).tolist())
    1.0 [0.875, 0.75, 0.0]
    3.9 [0.5125, 0.025, 0.0]
    4.0 [0.5, 0.0, 0.0]
    8.0 [0.0, 0.0, 0.0]
    """
    lam = _problem(eigenvalues, n_components, contraction)
    threshold = contraction / 2
    used = np.flatnonzero(lam[:n_components] > threshold)
    gains = np.zeros_like(lam)
    gains[used] = 1 - threshold / lam[used]
    loss = np.sum(lam * (1 - gains) ** 2 + contraction * gains)
    return ContractiveOptimum(float(loss), gains, threshold)


def unit_norm_contractive_optimum(
    eigenvalues: ArrayLike, n_components: int, contraction: float
) -> ContractiveOptimum:
    """Least value of ``(1/n) Σ ‖x − W_d W_e x‖² + λ_c ‖W_e‖²``, columns of W_d of norm 1 (9.7).

    Parameters
    ----------
    eigenvalues : array-like of shape (d,)
        Of Σ, in any order.
    n_components : int
        k, which may exceed d.
    contraction : float
        λ_c, not negative.

    Returns
    -------
    ContractiveOptimum

    Examples
    --------
    However strong the penalty, something of the first axis stays:

    >>> from nanoae import theory
    >>> for contraction in (1.0, 8.0, 1000.0):
    ...     gains = theory.unit_norm_contractive_optimum([4.0, 2.0, 1.0], 2, contraction).gains
    ...     print(contraction, gains.round(4).tolist())
    1.0 [0.8182, 0.6364, 0.0]
    8.0 [0.5, 0.0, 0.0]
    1000.0 [0.0079, 0.0, 0.0]
    """
    lam = _problem(eigenvalues, n_components, contraction)
    kept, threshold, gains = 0, 0.0, np.zeros_like(lam)
    n_axes = min(n_components, int(np.count_nonzero(lam)))
    for m in range(1, n_axes + 1):
        inverse = 1 / lam[:m]
        whole = contraction * inverse.sum() + n_components
        # 1 − threshold/λ_i, but for its cancellation where little is left
        of_m = (contraction * (inverse.sum() - m * inverse) + n_components) / whole
        if of_m[-1] > 0:
            kept, threshold, gains[:m] = m, float(m * contraction / whole), of_m
    return ContractiveOptimum(float(lam[kept:].sum() + kept * threshold), gains, threshold)


def _problem(eigenvalues: ArrayLike, n_components: int, contraction: float) -> Array:
    """The eigenvalues in falling order, those that are rounding set to 0."""
    check_integer("n_components", n_components, 1)
    check_real("contraction", contraction, 0)
    return spectrum(eigenvalues)


def collapse_contraction(eigenvalues: ArrayLike, slope: float = 1.0) -> Array:
    """λ_c from which on a tied autoencoder without biases has lost an axis: ``2 λ_i / f'(0)``.

    For linear codes this is exact for every axis (9.6a). For ``h = f(W x)`` with ``f(0) = 0`` the
    first is that from which on ``W = 0`` is no longer a saddle but a local minimum (9.6c).

    Parameters
    ----------
    eigenvalues : array-like of shape (d,)
    slope : float, default 1.0
        ``f'(0)``, positive.

    Returns
    -------
    ndarray of shape (d,)

    Examples
    --------
    >>> from nanoae import theory
    >>> theory.collapse_contraction([4.0, 2.0, 1.0]).tolist()
    [8.0, 4.0, 2.0]
    """
    check_real("slope", slope, 0, open_ends=True)
    return 2 * np.asarray(eigenvalues, dtype=np.float64) / slope


def saturation_point(activation: str = "sigmoid") -> float:
    """|a| beyond which larger weights make a unit's part of the penalty smaller (9.8).

    Parameters
    ----------
    activation : {"sigmoid", "tanh"}, default "sigmoid"

    Returns
    -------
    float
        Solution of ``a tanh(a/2) = 1``, for tanh half of that.

    Examples
    --------
    >>> from nanoae import theory
    >>> round(theory.saturation_point(), 4), round(theory.saturation_point("tanh"), 4)
    (1.5434, 0.7717)
    """
    from scipy.optimize import brentq

    check_choice("activation", activation, ("sigmoid", "tanh"))
    a = brentq(lambda a: a * np.tanh(a / 2) - 1, 1.0, 2.0, xtol=1e-15)
    return float({"sigmoid": a, "tanh": a / 2}[activation])


def probe_variance(jacobian: ArrayLike, probes: str = "signs") -> float:
    """Variance of ``‖uᵀJ‖²``, an estimate of ``‖J‖²`` by one random u with E uuᵀ = I (9.4a).

    Parameters
    ----------
    jacobian : array-like of shape (k, d)
        J. For probes ``‖J v‖²`` on the other side, its transpose.
    probes : {"signs", "gaussian", "sphere"}, default "signs"
        u with entries ±1, standard normal, or uniform on the sphere of radius √k.

    Returns
    -------
    float
        Of m independent probes' mean: divided by m.

    Examples
    --------
    Rows that are orthogonal need no luck if the entries of u are signs:

    >>> import numpy as np
    >>> from nanoae import theory
    >>> J = np.diag([2.0, 1.0])  # ‖uᵀJ‖² = 4 u₁² + u₂²
    >>> [round(theory.probe_variance(J, kind), 4) for kind in ("signs", "gaussian", "sphere")]
    [0.0, 34.0, 4.5]
    """
    check_choice("probes", probes, ("signs", "gaussian", "sphere"))
    J = np.asarray(jacobian, dtype=np.float64)
    K = J @ J.T
    k = len(K)
    # squares of differences, not differences of squares, which cancel where little varies
    return float(
        {
            "signs": 2 * np.sum((K - np.diag(np.diag(K))) ** 2),
            "gaussian": 2 * np.sum(K**2),
            "sphere": 2 * k / (k + 2) * np.sum((K - np.trace(K) / k * np.eye(k)) ** 2),
        }[probes]
    )


class Thermometer(NamedTuple):
    """A network that knows n samples by heart, with a Jacobian of next to nothing at each.

    Its code is ``h = σ(W_e x + b)``, its output ``W_d h + c``.

    Attributes
    ----------
    encoder_weight : ndarray of shape (n − 1, d)
        W_e; all rows are the same.
    encoder_bias : ndarray of shape (n − 1,)
    decoder_weight : ndarray of shape (d, n − 1)
        W_d.
    decoder_bias : ndarray of shape (d,)

    Examples
    --------
    >>> from nanoae import theory
    >>> theory.thermometer([[0.0], [5.0], [1.0]], sharpness=100.0).decoder_weight.round(6).tolist()
    [[1.0, 4.0]]
    """

    encoder_weight: Array
    encoder_bias: Array
    decoder_weight: Array
    decoder_bias: Array


def thermometer(X: ArrayLike, sharpness: float, direction: ArrayLike | None = None) -> Thermometer:
    """One unit between any two neighbours in a direction: it is on for all samples beyond (9.9).

    Parameters
    ----------
    X : array-like of shape (n, d)
        Samples with different projections.
    sharpness : float
        Length of the rows of W_e.
    direction : array-like of shape (d,), optional
        Of length 1; by default the first axis of the data's space.

    Returns
    -------
    Thermometer

    Examples
    --------
    The code of each sample counts those before it:

    >>> import numpy as np
    >>> from nanoae import theory
    >>> X = np.array([[0.0], [5.0], [1.0]])
    >>> W, b, _, _ = theory.thermometer(X, sharpness=100.0)
    >>> (1 / (1 + np.exp(-(X @ W.T + b)))).round(6).tolist()
    [[0.0, 0.0], [1.0, 1.0], [1.0, 0.0]]
    """
    X = np.asarray(X, dtype=np.float64)
    u = np.eye(X.shape[1])[0] if direction is None else np.asarray(direction, dtype=np.float64)
    X = X[np.argsort(X @ u)]
    places = X @ u
    between = (places[1:] + places[:-1]) / 2
    # of codes that are 0 or 1: each step adds what the next sample has more
    return Thermometer(
        np.outer(np.full(len(between), sharpness), u),
        -sharpness * between,
        np.diff(X, axis=0).T,
        X[0],
    )
