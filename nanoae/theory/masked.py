"""What can be known of what is missing: best predictions, for each mask and for all masks."""

from __future__ import annotations

from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from nanoae.arrays import Array
from nanoae.validation import check_choice, check_integer, check_real


class MaskedPrediction(NamedTuple):
    """The best linear prediction of what is missing, and what it leaves.

    Attributes
    ----------
    weight : ndarray of shape (m, v)
        ``Σ_mv Σ_vv⁻¹``: the prediction of centred samples is this times what is visible.
    covariance : ndarray of shape (m, m)
        Of its error, ``Σ_mm − Σ_mv Σ_vv⁻¹ Σ_vm``.

    Examples
    --------
    >>> from nanoae.theory import masked_prediction
    >>> weight, covariance = masked_prediction([[1.0, 0.6], [0.6, 1.0]], [True, False])
    >>> weight.tolist(), covariance.round(12).tolist()
    ([[0.6]], [[0.64]])
    """

    weight: Array
    covariance: Array


def masked_prediction(covariance: ArrayLike, visible: ArrayLike) -> MaskedPrediction:
    """The best linear prediction of the other features from some of them (12.1).

    Of Gaussian data it is the best of all. Of the sample covariance of centred samples it is their
    regression (12.1a).

    Parameters
    ----------
    covariance : array-like of shape (d, d)
        It may be singular: of the predictions that are equally good this is then a short one.
    visible : array-like of bool, shape (d,)

    Returns
    -------
    MaskedPrediction

    Examples
    --------
    Of nothing nothing is predicted:

    >>> from nanoae.theory import masked_prediction
    >>> masked_prediction([[4.0]], [False]).covariance.tolist()
    [[4.0]]
    """
    S = np.asarray(covariance, dtype=float)
    v = _check_visible(visible, S)
    weight = _solve(S[np.ix_(v, v)], S[np.ix_(v, ~v)]).T
    return MaskedPrediction(weight, S[np.ix_(~v, ~v)] - weight @ S[np.ix_(v, ~v)])


def _check_visible(visible: ArrayLike, S: Array) -> Array:
    v = np.asarray(visible)
    if v.dtype != bool or v.shape != S.shape[:1]:
        raise ValueError(
            f"visible must be an array of bool, of the shape {S.shape[:1]}; got one of {v.dtype} "
            f"and {v.shape}."
        )
    return v


def _solve(S: Array, B: Array) -> Array:
    """``Σ⁻¹ B``, or by the pseudo-inverse if features are constant or repeat what others say."""
    units = np.sqrt(np.where(np.diag(S) > 0, np.diag(S), 1))  # features may differ in theirs
    scaled = np.linalg.lstsq(S / np.outer(units, units), (B.T / units).T, rcond=None)[0]
    return (scaled.T / units).T


def all_masks(n_patches: int, n_missing: int) -> Array:
    """Every way to take so many patches away: which are missing.

    Parameters
    ----------
    n_patches, n_missing : int
        No more missing than there are.

    Returns
    -------
    ndarray of bool, shape (n_masks, n_patches)

    Raises
    ------
    TypeError, ValueError
        One of the two is no such number.

    Examples
    --------
    >>> from nanoae.theory import all_masks
    >>> all_masks(3, 2).astype(int).tolist()
    [[1, 1, 0], [1, 0, 1], [0, 1, 1]]
    """
    check_integer("n_patches", n_patches, 1)
    check_integer("n_missing", n_missing, 0, n_patches)
    places = list(combinations(range(n_patches), n_missing))
    masks = np.zeros((len(places), n_patches), dtype=bool)
    np.put_along_axis(masks, np.array(places, dtype=int).reshape(len(places), -1), True, axis=1)
    return masks


def masked_bound(
    covariance: ArrayLike, masks: ArrayLike, patches: ArrayLike | None = None
) -> float:
    """The least loss of a masked autoencoder of Gaussian data, on average over masks (12.1).

    A sum over the features of a patch and a mean over patches that are missing, as the model's.

    Parameters
    ----------
    covariance : array-like of shape (d, d)
    masks : array-like of bool, shape (n_masks, n_patches)
        Which patches are missing, at least one by each mask.
    patches : array-like of int, shape (d,), optional
        To which patch each feature belongs; by default each is one.

    Returns
    -------
    float

    Examples
    --------
    >>> from nanoae.theory import all_masks, masked_bound
    >>> round(masked_bound([[1.0, 0.6], [0.6, 1.0]], all_masks(2, 1)), 12)
    0.64
    """
    S, masks = np.asarray(covariance, dtype=float), np.asarray(masks)
    if masks.ndim != 2 or not masks.size or not masks.any(axis=1).all():
        raise ValueError(
            "masks must be rows in each of which a patch is missing; got an array of the shape "
            f"{masks.shape}."
        )
    of = np.arange(len(S)) if patches is None else np.asarray(patches, dtype=int)
    losses = [np.trace(masked_prediction(S, ~mask[of]).covariance) / mask.sum() for mask in masks]
    return float(np.mean(losses))


class ZeroFilledMap(NamedTuple):
    """The best single matrix for all masks, and its loss.

    Attributes
    ----------
    weight : ndarray of shape (d, d)
        W of ``x̂ = W (v ⊙ x)``.
    loss : float
        The expected squared error, summed over the features that count.

    Examples
    --------
    >>> from nanoae.theory import zero_filled_map
    >>> zero_filled_map([[1.0, 0.6], [0.6, 1.0]], 0.5).weight.tolist()
    [[0.0, 0.6], [0.6, 0.0]]
    """

    weight: Array
    loss: float


def zero_filled_map(
    covariance: ArrayLike, visible_probability: float, *, targets: str = "missing"
) -> ZeroFilledMap:
    """One linear map that is given zeros where features are missing.

    Each feature of the centred samples is visible with the probability p, on its own. If what is
    missing alone counts, row i of W is a shrunk regression on the other features (12.3), with the
    loss (12.3a); if all counts, W is (12.4), and copies as well.

    Parameters
    ----------
    covariance : array-like of shape (d, d)
    visible_probability : float
        p, from 0 to 1.
    targets : {"missing", "all"}, default "missing"
        What counts.

    Returns
    -------
    ZeroFilledMap

    Examples
    --------
    Asked for all, it copies what it sees, and predicts less of the rest:

    >>> from nanoae.theory import zero_filled_map
    >>> zero_filled_map([[1.0, 0.6], [0.6, 1.0]], 0.5, targets="all").weight.round(3).tolist()
    [[0.901, 0.33], [0.33, 0.901]]
    """
    check_real("visible_probability", visible_probability, 0, 1)
    check_choice("targets", targets, ("missing", "all"))
    S, p = np.asarray(covariance, dtype=float), visible_probability
    R = p * S + (1 - p) * np.diag(np.diag(S))
    if targets == "all":
        W = _solve(R, S).T
        return ZeroFilledMap(W, float(np.trace(S) - p * np.sum(W * S)))
    W = np.zeros_like(S)
    for i in range(len(S)):
        others = np.arange(len(S)) != i
        W[i, others] = _solve(R[np.ix_(others, others)], S[others, i])
    return ZeroFilledMap(W, float((1 - p) * (np.trace(S) - p * np.sum(W * S))))


def zero_filled_excess(covariance: ArrayLike, visible_probability: float) -> float:
    """By how much the map that is trained on all features is worse at the missing ones (12.4a).

    Parameters
    ----------
    covariance : array-like of shape (d, d)
    visible_probability : float
        p, from 0 to 1.

    Returns
    -------
    float

    Examples
    --------
    >>> from nanoae.theory import zero_filled_excess
    >>> round(zero_filled_excess([[1.0, 0.6], [0.6, 1.0]], 0.5), 6)
    0.036539
    """
    S, p = np.asarray(covariance, dtype=float), visible_probability
    missing, everything = zero_filled_map(S, p).weight, zero_filled_map(S, p, targets="all").weight
    copied = p * np.diag(everything)
    return float((1 - p) * p * np.sum(copied**2 * np.sum(missing * S, axis=1)))


def masked_bottleneck_loss(
    covariance: ArrayLike, visible: ArrayLike, n_components: int, *, targets: str = "missing"
) -> float:
    """The least loss of a linear code of k numbers of what is visible, for one mask (12.5).

    Parameters
    ----------
    covariance : array-like of shape (d, d)
    visible : array-like of bool, shape (d,)
    n_components : int
        k.
    targets : {"missing", "all"}, default "missing"
        What has to be told by the code (12.5a).

    Returns
    -------
    float
        Summed over these.

    Examples
    --------
    A code of one number for two that are visible, which are all that counts:

    >>> import numpy as np
    >>> from nanoae.theory import masked_bottleneck_loss
    >>> round(masked_bottleneck_loss(np.diag([3.0, 2.0]), [True, True], 1, targets="all"), 12)
    2.0
    """
    check_integer("n_components", n_components, 1)
    check_choice("targets", targets, ("missing", "all"))
    S = np.asarray(covariance, dtype=float)
    v = _check_visible(visible, S)
    of = ~v if targets == "missing" else np.ones(len(S), dtype=bool)
    explained = S[np.ix_(of, v)] @ _solve(S[np.ix_(v, v)], S[np.ix_(v, of)])
    kept = np.linalg.eigvalsh(explained)[::-1][:n_components]
    return float(np.trace(S[np.ix_(of, of)]) - kept.sum())


def gap_variance(correlation: float, before: ArrayLike, after: ArrayLike) -> Array:
    """What is left of the variance of a step between two that are known, of an AR(1) (12.6a).

    Parameters
    ----------
    correlation : float
        ρ, between one step and the next, from −1 to 1, exclusive.
    before, after : array-like of int
        How many steps away the known ones are, at least 1.

    Returns
    -------
    ndarray
        Fractions.

    Examples
    --------
    >>> from nanoae.theory import gap_variance
    >>> gap_variance(0.5, [1, 1, 2], [1, 2, 2]).round(4).tolist()
    [0.6, 0.7143, 0.8824]
    """
    check_real("correlation", correlation, -1, 1, open_ends=True)
    a, b = np.asarray(before, float), np.asarray(after, float)
    with np.errstate(divide="ignore"):  # ρ = 0 leaves all
        log_square = 2 * np.log(np.abs(np.float64(correlation)))

    def lost(steps: Array) -> Array:  # 1 − ρ^(2 steps), to the last digit for ρ near 1, too
        return -np.expm1(log_square * steps)

    # (12.6a), multiplied out
    return np.asarray(lost(a) * lost(b) / lost(a + b))


def random_gap_variance(correlation: float, mask_ratio: float) -> float:
    """The same on average, where each step of a long series is missing with a probability (12.6b).

    Parameters
    ----------
    correlation : float
        ρ, up to 0.999999 in size; the sum has 10/(1 − |ρ|) terms.
    mask_ratio : float
        q, from 0 to 1, both exclusive.

    Returns
    -------
    float

    Examples
    --------
    >>> from nanoae.theory import random_gap_variance
    >>> round(random_gap_variance(0.95, 0.75), 4)
    0.1501
    """
    check_real("correlation", correlation, -1, 1, open_ends=True)
    check_real("mask_ratio", mask_ratio, 0, 1, open_ends=True)
    if abs(correlation) > 0.999999:
        raise ValueError(
            "correlation must be at most 0.999999 in size, for a sum of 10 million terms; got "
            f"{correlation!r}."
        )
    # A_k is at most ρ^(2k), and squares of it below e⁻⁴⁰ are left out
    powers = np.float64(correlation) ** (2 * np.arange(np.ceil(10 / (1 - abs(correlation))) + 1))
    A = (1 - mask_ratio) * powers / (1 - mask_ratio * powers)
    return float(1 - 2 * np.sum(A[1:] * (A[:-1] - A[1:])))


def markov_gap_entropy(transition: ArrayLike) -> float:
    """The entropy of a token of a stationary Markov chain whose two neighbours are known (12.6c).

    Parameters
    ----------
    transition : array-like of shape (s, s)
        Row a has the probabilities of what follows on a. Each state can be reached from each.

    Returns
    -------
    float
        Nats.

    Examples
    --------
    A fair coin that is tossed each time anew, whatever its neighbours:

    >>> from nanoae.theory import markov_gap_entropy
    >>> round(markov_gap_entropy([[0.5, 0.5], [0.5, 0.5]]), 4)
    0.6931
    """
    P = np.asarray(transition, dtype=float)
    if P.shape != (len(P), len(P)) or P.min() < 0 or not np.allclose(P.sum(axis=1), 1):
        raise ValueError("transition must be a square of probabilities whose rows sum to 1.")
    # the distribution that a step does not change, and that sums to 1
    equations = np.vstack([P.T - np.eye(len(P)), np.ones(len(P))])
    pi = np.linalg.lstsq(equations, np.eye(len(P) + 1)[-1], rcond=None)[0]

    def entropy(M: Array) -> float:
        return -float(pi @ np.sum(M * np.log(np.where(M > 0, M, 1)), axis=1))

    return 2 * entropy(P) - entropy(P @ P)
