"""What the closed forms have in common: what they compute in, and what they refuse."""

from __future__ import annotations

import dataclasses
import sys
import warnings
from fractions import Fraction
from math import factorial

import numpy as np
import pytest

from nanoae import theory

RNG = np.random.default_rng(0)
A, B, X, Y = (RNG.standard_normal((12, 4)).astype(np.float32) for _ in range(4))
S, M = A.T @ A / 12, A[:2]  # a covariance, a matrix
v, w = np.arange(1, 5, dtype=np.float32)[::-1] / 3, A[0]  # falling eigenvalues, a vector
half = np.array([True, True, False, False])
P = np.abs(A[:4]) / np.abs(A[:4]).sum(axis=1, keepdims=True)

CLOSED_FORMS = {  # of arrays; other arguments are bound
    "linear_autoencoder_loss": (lambda c, e: theory.linear_autoencoder_loss(c, e, e.T), S, M),
    "linear_autoencoder_gradients": (
        lambda c, e: theory.linear_autoencoder_gradients(c, e, e.T), S, M
    ),
    "largest_principal_angle": (theory.largest_principal_angle, A, B),
    "tied_loss": (theory.tied_loss, M, S),
    "tied_gradient": (theory.tied_gradient, M, S),
    "gap_variance": (
        lambda a, b: theory.gap_variance(0.9, a, b),
        np.array([100], np.int8), np.array([3], np.int8),
    ),
    "effective_initial_strengths": (theory.effective_initial_strengths, M, S),
    "logistic_mode_strength": (lambda s, i: theory.logistic_mode_strength(s, i, 0.1), v, P[0]),
    "logistic_half_time": (theory.logistic_half_time, v, P[0]),
    "tied_learning_curve": (lambda s, i: theory.tied_learning_curve(s, i, [0.1]), v, P[0]),
    "convolution_matrix": (
        lambda k: theory.convolution_matrix(k[None, None], (4, 4), padding=1, circular=True), S
    ),
    "circular_singular_values": (
        lambda k: theory.circular_singular_values(k[None, None], (12, 4)), A
    ),
    "polyphase_sums": (lambda k: theory.polyphase_sums(k, 3), A),
    "linear_recurrent_autoencoder": (
        lambda x: theory.linear_recurrent_autoencoder(x.reshape(4, 3, 4), 3), X
    ),
    "lag_bound": (theory.lag_bound, A[:4], P),
    "linear_recurrent_bound": (
        lambda x: theory.linear_recurrent_bound(x.reshape(4, 3, 4), 3), X
    ),
    "two_atom_path": (
        lambda x, d: [list(segment)[1:2] for segment in theory.two_atom_path(x, d)], w, M.T
    ),
    "ista_bound": (lambda d: theory.ista_bound(d, 1.0, 3), M),
    "fista_bound": (lambda d: theory.fista_bound(d, 1.0, 3), M),
    "gaussian_kl_between": (theory.gaussian_kl_between, X, S, w, S * 2),
    "gaussian_renyi_between": (theory.gaussian_renyi_between, X, S, w, S * 2),
    # the density is a difference of large numbers: of float32 ones it has no digits
    "gaussian_log_likelihood": (lambda x, y: theory.gaussian_log_likelihood(x, y, 0.1), X, Y),
    "masking_log_likelihood": (lambda x: theory.masking_log_likelihood(x, x, 0.3), X),
    "posterior_mean": (theory.posterior_mean, -(X @ Y.T) ** 2, Y),
    "linear_denoiser": (lambda c, n: theory.linear_denoiser(c, n, 2), S, v),
    "replacement_noise": (lambda m, s: theory.replacement_noise(m, s, 0.3), w, v),
    "mismatch_loss": (lambda s, a, b: theory.mismatch_loss(s, a, b, 2), v, v, v),
    "two_points_denoiser": (lambda x, a: theory.two_points_denoiser(x, a, 0.7), X, w),
    "dropout_loss": (lambda c, e: theory.dropout_loss(c, e, e.T, 0.3), S, M),
    "dropout_optimum": (lambda s: theory.dropout_optimum(s, 3, 0.3), v),
    "dropout_limits": (lambda s: theory.dropout_limits(s, 3), v),
    "dropout_weights": (lambda c: theory.dropout_weights(c, 3, 0.3), S),
    "dropout_noise_threshold": (lambda s: theory.dropout_noise_threshold(s, 2, 0.3), v),
    "tied_contractive_optimum": (lambda s: theory.tied_contractive_optimum(s, 2, 0.7), v),
    "unit_norm_contractive_optimum": (
        lambda s: theory.unit_norm_contractive_optimum(s, 2, 0.7), v
    ),
    "collapse_contraction": (lambda s: theory.collapse_contraction(s, 0.3), v),
    "probe_variance": (theory.probe_variance, M),
    "filter_bank": (
        lambda x: theory.filter_bank(x, (4,), stride=2, n_filters=1).reconstruct(x), X
    ),
    "filter_bank_ladder": (
        lambda x: theory.filter_bank_ladder(x, (4,), stride=2, n_filters=1), X
    ),
    "filter_bank_of_spectrum": (
        lambda s: theory.filter_bank_of_spectrum(s, stride=2, n_filters=1), v
    ),
    "masked_prediction": (lambda c: theory.masked_prediction(c, half), S),
    "masked_bound": (lambda c: theory.masked_bound(c, [half]), S),
    "zero_filled_map": (lambda c: theory.zero_filled_map(c, 0.3), S),
    "zero_filled_excess": (lambda c: theory.zero_filled_excess(c, 0.3), S),
    "masked_bottleneck_loss": (lambda c: theory.masked_bottleneck_loss(c, half, 1), S),
    "markov_gap_entropy": (theory.markov_gap_entropy, P),
    "gaussian_log_ratio": (lambda m, c, x: theory.gaussian_log_ratio(m, c)(x), w, S, X),
    "gaussian_jensen_shannon": (theory.gaussian_jensen_shannon, w[:1], S[:1, :1]),
    "linear_rate_split": (theory.linear_rate_split, M, v[:2], S),
    "linear_adversarial_optimum": (lambda c: theory.linear_adversarial_optimum(c, 2), S),
    "gaussian_mmd": (lambda m, c: theory.gaussian_mmd(m, c, 0.7), w, S),
    "gaussian_wasserstein": (theory.gaussian_wasserstein, w, S),
    "energy_distance": (theory.energy_distance, X, Y),
    "energy_test": (theory.energy_test, X, Y),
    "gaussian_log_odds": (
        theory.gaussian_log_odds, w, v, S
    ),
    "squared_length": (lambda m, c: theory.squared_length(m, c).exceeds(3.0), w, S),
    "ppca_log_likelihood": (
        lambda x, m, u, s: theory.ppca_log_likelihood(x, m, u, s, 0.3), X, w, M.T, v[:2]
    ),
    "minka_log_evidence": (lambda s: theory.minka_log_evidence(s, 50, 2), v),
    "linear_probe_accuracy": (
        lambda x, y: theory.linear_probe_accuracy(x, x[:, 0] > 0, y, y[:, 0] > 0), X, Y
    ),
    "attention_recall_error": (lambda b: theory.attention_recall_error(b, 5, 2), v),
    "momentum_rate": (lambda c: theory.momentum_rate(c, 0.1, 0.3), v),
    "minibatch_moments": (
        lambda x, y, s: theory.minibatch_moments(x, y, s, 0.01, 2, 5), X, Y[:, 0], w
    ),
    "lbfgs_direction": (theory.lbfgs_direction, w, M, M * 2),
}  # fmt: skip


def numbers(result):
    if isinstance(result, tuple):
        return np.concatenate([numbers(part) for part in result])
    return np.ravel(result)


@pytest.mark.parametrize("name", CLOSED_FORMS)
def test_a_closed_form_is_computed_in_float64_whatever_it_is_given(name):
    function, *arrays = CLOSED_FORMS[name]
    as_given = numbers(function(*arrays))
    assert np.array_equal(as_given, numbers(function(*(a.astype(float) for a in arrays))))


SINGULAR = [[1.0, 1.0], [1.0, 1.0]]
REFUSED = {
    "gaussian_log_odds, covariance": (
        lambda: theory.gaussian_log_odds([0, 0], [1, 0], SINGULAR),
        "covariance must be finite and positive definite: no feature constant",
    ),
    "gaussian_log_ratio": (
        lambda: theory.gaussian_log_ratio([0, 0], SINGULAR),
        "covariance must be finite and positive definite: no feature constant",
    ),
    "gaussian_kl_between": (
        lambda: theory.gaussian_kl_between([0, 0], np.eye(2), [0, 0], SINGULAR),
        "covariance_p must be finite and positive definite: no feature constant",
    ),
    "gaussian_jensen_shannon": (
        lambda: theory.gaussian_jensen_shannon([0, 0], SINGULAR),
        "covariance must be finite and positive definite: no feature constant",
    ),
    "exceeds": (
        lambda: theory.squared_length([0], [[1]]).exceeds(np.nan),
        "threshold must be a number; got NaN",
    ),
    "two_points_loss": (
        lambda: theory.two_points_loss(1.0, 0.0),
        "scale must be finite and greater than 0; got 0.0",
    ),
    "linear_probe_accuracy, ridge": (
        lambda: theory.linear_probe_accuracy(
            [[0, 0], [1, 1], [2, 2]], [0, 1, 1], [[0, 0]], [0], ridge=0
        ),
        "ridge must be greater than 0, by more than rounding, where a code is constant or depends",
    ),
    "threshold_of_scores, NaN": (
        lambda: theory.threshold_of_scores([1.0, 2.0], np.nan),
        "false_alarms must be finite and from 0 to 1; got nan",
    ),
    "all_masks": (
        lambda: theory.all_masks(3, 4),
        "n_missing must be from 0 to 3; got 4",
    ),
    "dropout_optimum": (
        lambda: theory.dropout_optimum(v, 0, 0.3),
        "n_components must be at least 1",
    ),
    "dropout_limits": (lambda: theory.dropout_limits(v, 0), "n_components must be at least 1"),
    "dropout_loss": (
        lambda: theory.dropout_loss(S, M, M.T, 1.0),
        "probability must be at least 0 and below 1",
    ),
    "dropout_noise_threshold": (
        lambda: theory.dropout_noise_threshold(v, 1, 0.0),
        "probability must be finite and strictly between 0 and 1; got 0.0",
    ),
    "tied_contractive_optimum, width": (
        lambda: theory.tied_contractive_optimum(v, 0, 1.0),
        "n_components must be at least 1",
    ),
    "unit_norm_contractive_optimum": (
        lambda: theory.unit_norm_contractive_optimum(v, 1, -0.1),
        "contraction must be finite and at least 0",
    ),
    "collapse_contraction": (
        lambda: theory.collapse_contraction(v, 0.0),
        "slope must be finite and greater than 0",
    ),
    "saturation_point": (
        lambda: theory.saturation_point("relu"),
        "activation must be 'sigmoid' or 'tanh'",
    ),
    "probe_variance": (
        lambda: theory.probe_variance(M, "ones"),
        "probes must be 'signs', 'gaussian' or 'sphere'",
    ),
    "circular_singular_values": (
        lambda: theory.circular_singular_values(np.ones((1, 1, 3)), (5,), stride=2),
        r"stride must divide all sizes; got 2 and \(5,\)",
    ),
    "circular_singular_values, one axis": (
        lambda: theory.circular_singular_values(np.ones((1, 1, 2, 2)), (4, 5), stride=2),
        r"stride must divide all sizes; got 2 and \(4, 5\)",
    ),
    "filter_bank, stride": (
        lambda: theory.filter_bank(X, (4,), stride=0, n_filters=1),
        "stride must be at least 1",
    ),
    "filter_bank, filters": (
        lambda: theory.filter_bank(X, (4,), stride=2, n_filters=0),
        "n_filters must be at least 1",
    ),
    "filter_bank, size": (
        lambda: theory.filter_bank(X, (2,), stride=2, n_filters=1),
        r"size and n_channels must make the 4 features of X; got \(2,\) and 1",
    ),
    "filter_bank, channels": (
        lambda: theory.filter_bank(X, (4,), stride=2, n_filters=1, n_channels=2),
        r"size and n_channels must make the 4 features of X; got \(4,\) and 2",
    ),
    "masked_prediction, shape": (
        lambda: theory.masked_prediction(S, half[:3]),
        r"visible must be an array of bool, of the shape \(4,\); got one of bool and \(3,\)",
    ),
    "masked_prediction, dtype": (
        lambda: theory.masked_prediction(S, half * 1.0),
        r"visible must be an array of bool, of the shape \(4,\); got one of float64 and \(4,\)",
    ),
    "masked_bound, one mask": (lambda: theory.masked_bound(S, half), "masks must be rows"),
    "masked_bound, no mask": (lambda: theory.masked_bound(S, [[]]), "masks must be rows"),
    "masked_bound, an empty mask": (
        lambda: theory.masked_bound(S, [half, half & False]),
        "masks must be rows",
    ),
    "zero_filled_map, probability": (
        lambda: theory.zero_filled_map(S, 1.1),
        "visible_probability must be finite and from 0 to 1; got 1.1",
    ),
    "zero_filled_map, targets": (
        lambda: theory.zero_filled_map(S, 0.5, targets="visible"),
        "targets must be 'missing' or 'all'; got 'visible'",
    ),
    "masked_bottleneck_loss, width": (
        lambda: theory.masked_bottleneck_loss(S, half, 0),
        "n_components must be at least 1; got 0",
    ),
    "masked_bottleneck_loss, targets": (
        lambda: theory.masked_bottleneck_loss(S, half, 1, targets="visible"),
        "targets must be 'missing' or 'all'; got 'visible'",
    ),
    "gap_variance": (
        lambda: theory.gap_variance(-1.0, 1, 1),
        "correlation must be finite and strictly between -1 and 1; got -1.0",
    ),
    "random_gap_variance, correlation": (
        lambda: theory.random_gap_variance(1.0, 0.5),
        "correlation must be finite and strictly between -1 and 1; got 1.0",
    ),
    "random_gap_variance, ratio": (
        lambda: theory.random_gap_variance(0.5, 1.0),
        "mask_ratio must be finite and strictly between 0 and 1; got 1.0",
    ),
    "markov_gap_entropy, shape": (
        lambda: theory.markov_gap_entropy(P[:2]),
        "transition must be a square of probabilities",
    ),
    "markov_gap_entropy, sign": (
        lambda: theory.markov_gap_entropy([[1.1, -0.1], [0.5, 0.5]]),
        "transition must be a square of probabilities",
    ),
    "markov_gap_entropy, sum": (
        lambda: theory.markov_gap_entropy([[0.5, 0.4], [0.5, 0.5]]),
        "transition must be a square of probabilities",
    ),
    "linear_adversarial_optimum, rank": (
        lambda: theory.linear_adversarial_optimum(np.diag([1.0, 1e-14]), 2),
        "n_components must be at most the rank of covariance; got 2",
    ),
    "energy_test, X": (
        lambda: theory.energy_test(X[:0], Y),
        r"X has 0 sample\(s\); the test needs at least 1",
    ),
    "energy_test, Y": (
        lambda: theory.energy_test(X, Y[:, :2]),
        "Y has 2 features, but a test with X is expecting 4",
    ),
    "linear_probe_accuracy, codes": (
        lambda: theory.linear_probe_accuracy(X[:0], [], Y, [0]),
        r"codes has 0 sample\(s\); the classifier needs at least 1",
    ),
    "linear_probe_accuracy, labels": (
        lambda: theory.linear_probe_accuracy(X, np.arange(11), X, np.arange(12)),
        "labels must be one a code, 12; got 11",
    ),
    "nearest_neighbour_accuracy, new codes": (
        lambda: theory.nearest_neighbour_accuracy(X, np.arange(12), X[:, :2], np.arange(12)),
        "new_codes has 2 features, but the classifier is expecting 4",
    ),
    "linear_adversarial_optimum": (
        lambda: theory.linear_adversarial_optimum(S, 5),
        "n_components must be from 1 to 4",
    ),
    "gaussian_mmd": (
        lambda: theory.gaussian_mmd(w, S, 0.0),
        "eta must be finite and greater than 0",
    ),
    "energy_test": (
        lambda: theory.energy_test(X, Y, n_permutations=0),
        "n_permutations must be at least 1",
    ),
    "gaussian_log_odds": (
        lambda: theory.gaussian_log_odds(w, v, S, prior_1=1.0),
        "prior_1 must be finite and strictly between 0 and 1; got 1.0",
    ),
    "threshold": (
        lambda: theory.squared_length(w, S).threshold(0.0),
        "false_alarms must be finite and strictly between 0 and 1; got 0.0",
    ),
    "threshold_of_scores": (
        lambda: theory.threshold_of_scores([1.0, np.nan], 0.5),
        "scores must be finite",
    ),
    "threshold_of_scores, too few": (
        lambda: theory.threshold_of_scores(range(9), 0.09),
        "false_alarms must be between 0.1 and 0.9 with 9 scores; got 0.09",
    ),
    "minka_log_evidence": (
        lambda: theory.minka_log_evidence(v, 50, 4),
        "n_components must be from 1 to 3",
    ),
    "linear_probe_accuracy": (
        lambda: theory.linear_probe_accuracy(0 * X, np.arange(12), X, np.arange(12)),
        "codes must differ; got 12 that are all",
    ),
    "nearest_neighbour_accuracy": (
        lambda: theory.nearest_neighbour_accuracy(X, np.arange(12), X, np.arange(11)),
        "new_labels must be one a code, 12; got 11",
    ),
    "best_gradient_descent": (
        lambda: theory.best_gradient_descent(0.0, 1.0),
        "smallest must be finite and greater than 0; got 0.0",
    ),
    "best_momentum": (
        lambda: theory.best_momentum(2.0, 1.0),
        "largest must be finite and at least 2;",
    ),
    "minibatch_moments": (
        lambda: theory.minibatch_moments(X, w, w, 0.1, 13, 1),
        "batch_size must be from 1 to 12",
    ),
    "random_gap_variance, terms": (
        lambda: theory.random_gap_variance(1 - 1e-12, 0.5),
        "correlation must be at most 0.999999 in size, for a sum of 10 million terms; got 0.99999",
    ),
    "gaussian_kl_monte_carlo": (
        lambda: theory.gaussian_kl_monte_carlo([1.0], [0.0], 1, RNG),
        "n_samples must be at least 2; got 1",
    ),
    "momentum_factor": (
        lambda: theory.momentum_factor([0.1, 10.0], 1.0, 0.9, 10**4),
        "n_steps must leave distances that a float can hold; got 10000 steps, each of which makes"
        " them up to 7.99 times as long",
    ),
    "posterior_mean": (
        lambda: theory.posterior_mean([[0.0], [-np.inf]], [[1.0]]),
        r"X_tilde has 1 point\(s\) that none of the samples can have become, the first in row 1",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_closed_form_is_refused_by_name(name):
    function, sentence = REFUSED[name]
    with pytest.raises(ValueError, match=f"^{sentence}"):
        function()


def test_a_point_far_from_all_samples_has_its_score_beside_one_that_is_near():
    data = theory.NoisyData(X[:3], 0.1)
    points = np.vstack([X[0], X[0] + 100])
    for values in (data.score, data.log_density, data.denoiser, data.jacobian):
        assert np.isfinite(values(points)).all()
        np.testing.assert_allclose(values(points)[1], values(points[1:])[0], rtol=1e-12)


def two_far_points(ratio):
    """(7.6b) far apart, in ‖a‖²: of the mean of sech its series in 1/ρ², by Euler's numbers."""
    terms = [
        euler * (-(np.pi**2) / 8 / ratio**2) ** n / factorial(n)
        for n, euler in enumerate([1, 1, 5, 61, 1385, 50521])
    ]
    return np.sqrt(np.pi / 2) / ratio * np.exp(-(ratio**2) / 2) * sum(terms)


def one_missing_step(rho):
    """(12.6) without rounding."""
    square = Fraction(rho) ** 2
    return float((1 - square) / (1 + square))


UNITS = np.array([1.0, 1e6, 1e-6])
SMALL = (1e-4, 1e-8, 1e-10)  # noise
CORRELATIONS = (0.999999999, -0.999999, 0.0, np.float32(0.7))
AXES = np.linalg.qr(np.random.default_rng(0).standard_normal((4, 4)))[0]
ROOT = np.array([[3.0, 1.0], [-2.0, 4.0], [5.0, 0.0], [1.0, -3.0]])  # R Rᵀ: singular, and exact

TO_THE_LAST_DIGITS = {  # what may be tiny, or beside something large: found, right, relative error
    "two_points_loss": (
        lambda: [theory.two_points_loss(1.0, s) for s in (0.1, 0.05, 0.03)],
        [two_far_points(ratio) for ratio in (10, 20, 1 / 0.03)],
        1e-7,
    ),
    "two_points_loss, near": (  # ‖a‖² (1 − ρ² + ρ⁴ − …)
        lambda: 1 - theory.two_points_loss(1.0, 1e3), 1e-6 - 1e-12, 1e-9,
    ),
    "tied_learning_curve": (
        lambda: theory.tied_learning_curve([1.0], [0.5], [3.5, 4.0, 5.0, 40.0]),
        1 / (1 + np.exp(8 * np.array([3.5, 4.0, 5.0, 40.0]))) ** 2,
        1e-12,
    ),
    "gap_variance": (
        lambda: [theory.gap_variance(rho, 1, 1) for rho in CORRELATIONS],
        [one_missing_step(float(rho)) for rho in CORRELATIONS],
        1e-14,
    ),
    "gap_variance, bytes": (
        lambda: theory.gap_variance(0.9, np.array([100], np.int8), np.array([1], np.int8)),
        1 - 0.9**2, 1e-8,
    ),
    "linear_rate_split, one number told twice": (
        lambda: theory.linear_rate_split([[1.0], [1.0]], [1e-18] * 2, [[1.0]]),
        [np.log(2e18) / 2, 1 - 1 - np.log(2e-18) / 2], 1e-14,
    ),
    "linear_rate_split, features in other units": (
        lambda: theory.linear_rate_split(
            np.diag(1 / UNITS), np.ones(3), (1 + np.eye(3)) / 2 * np.outer(UNITS, UNITS)
        ).information,
        np.log(3 * 1.5 * 1.5) / 2, 1e-14,
    ),
    "linear_rate_split, little information": (
        lambda: theory.linear_rate_split([[1e-6]], [1.0], [[1.0]]).information, 5e-13, 1e-11,
    ),
    "ppca_log_likelihood": (
        lambda: theory.ppca_log_likelihood(
            [AXES[:, 0] * 800 - AXES[:, 1] * 900], np.zeros(4), AXES[:, :2], [1e6, 1e6], 1e-10
        ),
        -0.5 * (4 * np.log(2 * np.pi) + 2 * np.log(1e6) + 2 * np.log(1e-10) + 0.64 + 0.81),
        1e-12,
    ),
    "linear_denoiser": (
        lambda: [theory.linear_denoiser(ROOT @ ROOT.T, np.full(4, s2), 4).loss for s2 in SMALL],
        [np.sum(s2 / (1 + s2 / np.linalg.eigvalsh(ROOT.T @ ROOT))) for s2 in SMALL],
        1e-4,  # Σ is of size 50, and its rounding some 1e-14, beside the least noise
    ),
    "gaussian_jensen_shannon": (
        lambda: [theory.gaussian_jensen_shannon([m], [[1e-20]]) for m in (0.0, 1.0)],
        np.log(2), 1e-8,  # less than 1e-9 is lost, of codes in a place where there is nothing else
    ),
    "gaussian_kl_quadrature": (
        lambda: [theory.gaussian_kl_quadrature([1.0], [v]) for v in (-50.0, -80.0, -800.0)],
        [25.0, 40.0, 400.0], 1e-10,
    ),
    "dirac_eigenvalues": (
        lambda: [theory.dirac_eigenvalues(h)[0].imag / h for h in (1e-6, 1e-8, 1e-12)],
        0.5, 1e-14,
    ),
    "dirac_eigenvalues, alternating": (  # of size 1, both: (13.4a)
        lambda: [theory.dirac_eigenvalues(h, alternating=True)[0].imag / h for h in (1e-6, 1e-8)],
        0.5, 1e-12,
    ),
    "dirac_step": (
        lambda: theory.dirac_step(1e-10, 3e11, 1.0, saturating=False)[0],
        3e11 * np.exp(-30.0) + 1e-10, 1e-12,
    ),
    "jacobian": (
        lambda: [
            theory.NoisyData(np.array(places)[:, None], 1.0).jacobian([[1e8 + 0.5]])[0, 0, 0]
            for places in ([1e8, 1e8 + 1], [0.0, 1e8, 1e8 + 1])
        ],
        0.25, 1e-14,
    ),
    "attention_recall_error": (
        lambda: theory.attention_recall_error([-800.0, 800.0], 4, 1), [4 / 3, 0.0], 1e-14,
    ),
    "attention_recall_error, sharp": (
        lambda: theory.attention_recall_error(300.0, 4, 1), 12 * np.exp(-600.0), 1e-12,
    ),
    "attention_recall_error, one step": (
        lambda: theory.attention_recall_error([0.0, 1.0, -800.0], 1, 2), [0.0] * 3, 0,
    ),
    "adam_longest_step": (
        lambda: np.log(theory.adam_longest_step(10**4, 0.99, 0.9)),
        np.log(0.01 / 0.1**0.5) + (10**4 * np.log(0.9801 / 0.9) - np.log(0.0801 / 0.9)) / 2,
        1e-12,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TO_THE_LAST_DIGITS)
def test_no_digits_are_lost_in_a_difference(name):
    function, right, error = TO_THE_LAST_DIGITS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = function()
    np.testing.assert_allclose(
        np.ravel(found), np.broadcast_to(right, np.shape(np.ravel(found))), rtol=error
    )


def test_drawn_from_a_narrow_posterior_the_divergence_has_its_variance():
    """(5.2d): of every draw, ½ from its log density alone; a z-test, of 5 standard errors."""
    mean, error = theory.gaussian_kl_monte_carlo([1.0], [-80.0], 10**5, np.random.default_rng(0))
    assert error == pytest.approx(0.5**0.5 / 10**2.5, rel=0.05)
    assert abs(mean - 40) < 5 * error


def test_axes_without_variance_are_never_in_use():
    assert theory.dropout_limits([0.0, 0.0], 2).tolist() == [0, 0]
    assert theory.dropout_limits([1.0, 0.0], 2).tolist() == [1, 0]
    assert theory.dropout_optimum([0.0, 0.0], 2, 0.5).n_axes == 0


def test_the_ends_of_what_is_allowed_are_allowed():
    nothing_is_dropped = theory.dropout_loss(S, M, M.T, 0.0)
    assert nothing_is_dropped == theory.linear_autoencoder_loss(S, M, M.T)
    assert theory.tied_contractive_optimum(v, 1, 0.0).gains[0] == 1
    assert theory.best_momentum(2.0, 2.0).rate == theory.best_gradient_descent(2.0, 2.0).rate == 0
    assert theory.threshold_of_scores(range(9), 0.1) == 8
    assert theory.threshold_of_scores(range(9), 0.9) == 0
    assert theory.minka_log_evidence(v, 50, 3) < np.inf
    assert theory.linear_adversarial_optimum(S, 4).loss == 0
    assert theory.energy_test(X, X + 9, n_permutations=1).p_value == 0.5
    theory.minibatch_moments(X, Y[:, 0], w, 0.01, 12, 1)
    assert theory.squared_length(w, S).exceeds(0.0) == theory.squared_length(w, S).exceeds(-1) == 1


@pytest.mark.parametrize("off", [0.7, 1.4])
def test_what_is_rounding_beside_the_largest_eigenvalue_is_none(off):
    """Each limit from both sides."""
    is_there = off > 1
    lam = [1.0, off * 2 * np.finfo(float).eps]
    assert theory.tied_contractive_optimum(lam, 2, 0.0).gains.tolist() == [1, is_there]
    assert theory.unit_norm_contractive_optimum(lam, 2, 0.0).gains.tolist() == [1, is_there]
    assert (theory.dropout_limits([1.0, (off * 1e-12) ** 2], 2)[1] > 0) == is_there
    is_as_large = theory.dropout_limits([1.0, 1 - 2 * off * 1e-15], 2)[1] == 1
    assert is_as_large == (not is_there)
    if is_there:
        assert theory.linear_adversarial_optimum(np.diag([1.0, off * 1e-14]), 2).loss == 0


def test_more_filters_than_numbers_in_a_block_leave_nothing():
    assert theory.filter_bank(X, (4,), stride=2, n_filters=3).loss == 0
    assert theory.filter_bank_ladder(X, (4,), stride=2, n_filters=3) == (0, 0, 0, 0)
    assert theory.filter_bank_of_spectrum(v, stride=2, n_filters=3) == 0
    # and one less than there are leaves the least of them, of a matrix as of a vector
    of_two = theory.filter_bank_of_spectrum([[1, 2], [3, 4]], stride=2, n_filters=3)
    assert of_two == theory.filter_bank_of_spectrum([1, 2, 3, 4], stride=4, n_filters=3) == 1


def test_of_nothing_known_the_optimizers_are_plain_descent():
    none = np.zeros((0, 4))
    assert theory.lbfgs_direction(w, none, none).tolist() == (-w).tolist()
    # one sample is its own batch: nothing is drawn
    moved = theory.minibatch_moments([[2.0]], [6.0], [1.0], 0.01, 1, 3)
    distance = -2 * (1 - 0.01 * 2 * 2**2) ** 3
    np.testing.assert_allclose([moved.mean[0] - 3, moved.second[0, 0]], [distance, distance**2])


def test_results_stay_as_they_are():
    for module in {sys.modules[value.__module__] for value in vars(theory).values()
                   if hasattr(value, "__module__")}:  # fmt: skip
        for value in vars(module).values():
            if dataclasses.is_dataclass(value):
                assert value.__dataclass_params__.frozen, value


def test_a_rank_of_scores_is_not_rounded_up():
    """(n + 1)(1 − α) may be a whole number but for its rounding."""
    for n in (9, 19, 49, 99, 199):
        for rank in range(1, n + 1):
            assert theory.threshold_of_scores(range(n), 1 - rank / (n + 1)) == rank - 1
    assert theory.threshold_of_scores(range(9), 0.7 - 1e-8) == 3


UNITLESS = {  # what must not depend on the unit c of lengths
    "linear_autoencoder_optimum": lambda c: theory.linear_autoencoder_optimum(c * X, 2)[0] / c**2,
    "linear_vae_optimum": lambda c: theory.linear_vae_optimum(c**2 * v, 3, 2.0, c**2 * 0.2)[3],
    "linear_vae_encoder": lambda c: c * theory.linear_vae_encoder(c * M.T, c**2)[0],
    "linear_vae_profile": lambda c: theory.linear_vae_profile(c * M.T, c**2 * S, c**2) / c**2,
    "water_filling": lambda c: theory.water_filling(c**2 * v, c**2 * 0.4)[0],
    "shannon_rate": lambda c: theory.shannon_rate(c**2 * v, c**2 * 0.7),
    "learned_noise_variance": lambda c: theory.learned_noise_variance(c**2 * v, 2, 1.5) / c**2,
    "probabilistic_pca": lambda c: theory.probabilistic_pca(c**2 * v, 2)[0] / c**2,
    "linear_denoiser": lambda c: theory.linear_denoiser(c**2 * S, c**2 * v, 2)[0],
    "circle_ridge": lambda c: [theory.circle_ridge(c, c * part) / c for part in (0.1, 0.5, 0.7)],
    "dropout_optimum": lambda c: theory.dropout_optimum(c**2 * v, 3, 0.3).gains,
    "dropout_noise_threshold": (
        lambda c: theory.dropout_noise_threshold(c**2 * v, 2, 0.3) / c**2
    ),
    "tied_contractive_optimum": lambda c: theory.tied_contractive_optimum(c**2 * v, 2, c**2)[1],
    "unit_norm_contractive_optimum": (
        lambda c: theory.unit_norm_contractive_optimum(c**2 * v, 2, c**2)[1]
    ),
    "masked_prediction": lambda c: theory.masked_prediction(c**2 * S, half)[0],
    "masked_bound": lambda c: theory.masked_bound(c**2 * S, [half]) / c**2,
    "zero_filled_map": lambda c: theory.zero_filled_map(c**2 * S, 0.3)[0],
    "masked_bottleneck_loss": (
        lambda c: theory.masked_bottleneck_loss(c**2 * S, half, 1) / c**2
    ),
    "linear_adversarial_optimum": (
        lambda c: theory.linear_adversarial_optimum(c**2 * S, 2).loss / c**2
    ),
    "energy_distance": lambda c: theory.energy_distance(c * X, c * Y) / c,
    "energy_test": lambda c: theory.energy_test(c * X, c * Y).p_value,
    "squared_length": lambda c: theory.squared_length(c * w, c**2 * S).exceeds(c**2 * 3),
    "squared_length, threshold": (
        lambda c: theory.squared_length(c * w, c**2 * S).threshold(0.1) / c**2
    ),
    "linear_probe_accuracy": lambda c: theory.linear_probe_accuracy(
        c * X, X[:, 0] > 0, c * Y, Y[:, 0] > 0
    ),
}  # fmt: skip


@pytest.mark.parametrize("unit", [1e-12, 1e12])
@pytest.mark.parametrize("name", UNITLESS)
def test_a_closed_form_knows_no_units(name, unit, monkeypatch):
    for array in "XYSMvw":
        monkeypatch.setitem(globals(), array, globals()[array].astype(np.float64))
    of_one = np.ravel(UNITLESS[name](1.0))
    assert np.all(np.isfinite(of_one)) and np.any(of_one)
    np.testing.assert_allclose(np.ravel(UNITLESS[name](unit)), of_one, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("seed", range(8))
def test_codes_that_depend_on_each_other_do_so_for_any_rounding(seed):
    """A determinant would be a rounding, and as often positive as not."""
    codes = np.random.default_rng(seed).standard_normal((60, 2))
    codes = np.column_stack([codes, codes.sum(axis=1)])
    labels = codes[:, 0] > 0
    with pytest.raises(ValueError, match="ridge must be greater than 0, by more than rounding"):
        theory.linear_probe_accuracy(codes, labels, codes, labels, ridge=0)
    with pytest.raises(ValueError, match="covariance must be finite and positive definite"):
        theory.gaussian_log_ratio(np.zeros(3), codes.T @ codes)


@pytest.mark.parametrize("bad", [-np.eye(2), np.diag([1, np.nan]), np.diag([1.0, 0.0])])
def test_what_is_no_covariance_is_refused_though_its_determinant_be_positive(bad):
    with pytest.raises(ValueError, match="covariance_p must be finite and positive definite"):
        theory.gaussian_kl_between([0, 0], np.eye(2), [0, 0], bad)


def test_a_covariance_of_features_in_very_different_units_is_one():
    S = np.array([[1, 5e-11], [5e-11, 1e-20]])
    ratio = theory.gaussian_log_ratio([0, 0], S)
    in_one_unit = theory.gaussian_log_ratio([0, 0], [[1, 0.5], [0.5, 1]])
    expected = in_one_unit.constant - 10 * np.log(10)
    assert ratio.constant == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    "function",
    [
        lambda values: theory.probabilistic_pca(values, 1),
        lambda values: theory.learned_noise_variance(values, 1, 1.0),
        lambda values: theory.tied_contractive_optimum(values, 1, 1.0),
        lambda values: theory.unit_norm_contractive_optimum(values, 1, 1.0),
    ],
)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_variance_that_is_no_number_is_not_taken_for_none(function, bad):
    with pytest.raises(ValueError, match="eigenvalues must be finite; got"):
        function([4.0, bad, 1.0])


@pytest.mark.parametrize("n_steps", [1, 7, 200])
@pytest.mark.parametrize(("beta_1", "beta_2"), [(0.9, 0.81), (0.5, 0.25), (0.9, 0.8), (0.9, 0.9)])
def test_the_longest_step_is_that_of_the_sum_whether_it_grows_or_not(n_steps, beta_1, beta_2):
    q = beta_1**2 / beta_2
    first, second = ((1 - b) / (1 - b**n_steps) for b in (beta_1, beta_2))
    expected = first * np.sqrt(np.sum(q ** np.arange(n_steps)) / second)
    assert theory.adam_longest_step(n_steps, beta_1, beta_2) == pytest.approx(expected, rel=1e-12)


def test_a_code_as_wide_as_what_is_seen_loses_only_what_cannot_be_predicted():
    hidden = np.trace(theory.masked_prediction(S, half).covariance)
    wide = theory.masked_bottleneck_loss(S, half, 2) - theory.masked_bottleneck_loss(S, half, 3)
    assert abs(wide) < 1e-12
    one = theory.masked_bottleneck_loss(S, half, 1)
    assert theory.masked_bottleneck_loss(S, half, 2) < one - 1e-6
    assert theory.masked_bottleneck_loss(S, half, 2) == pytest.approx(hidden, rel=1e-12)
