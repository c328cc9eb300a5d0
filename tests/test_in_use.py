"""Chapter 14: scores of anomalies, widths of codes, codes judged by tasks, and a real table."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from effort import scaled
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.optimize import minimize_scalar
from test_column_names import Frame
from theory_report import verify

from nanoae import (
    VAE,
    Autoencoder,
    LinearAutoencoder,
    LinearVAE,
    MaskedAutoencoder,
    datasets,
    theory,
)

SEEDS = st.integers(0, 10**6)
# a share that is off by more than this many standard errors: once in 1.7 million, and the seeds
# are fixed
Z = 5.0


def spd(rng, d, least=0.3):
    A = rng.standard_normal((d, d))
    return A @ A.T / d + least * np.eye(d)


def standard_errors(share, expected, n):
    return abs(share - expected) / max(np.sqrt(expected * (1 - expected) / n), 1e-12)


def rank_area(normal, anomalous):
    """The share of pairs in which the anomaly scores higher, by Mann and Whitney's ranks."""
    ranks = stats.rankdata(np.concatenate([normal, anomalous]))
    n, m = len(normal), len(anomalous)
    return (ranks[n:].sum() - m * (m + 1) / 2) / (n * m)


# --- 14.1: two kinds of model ------------------------------------------------------------------


def two_classes(seed, d=4):
    rng = np.random.default_rng(seed)
    prior = rng.uniform(0.1, 0.9)
    return rng.standard_normal(d), rng.standard_normal(d), spd(rng, d), prior, rng


@pytest.mark.equation("14.1")
@given(seed=SEEDS)
@settings(max_examples=30)
def test_a_generative_model_contains_a_classifier(seed):
    m0, m1, Sigma, prior, rng = two_classes(seed)
    weight, bias = theory.gaussian_log_odds(m0, m1, Sigma, prior)
    x = 2 * rng.standard_normal((20, 4))
    joint = [
        np.log(p) + stats.multivariate_normal(m, Sigma).logpdf(x)
        for m, p in ((m0, 1 - prior), (m1, prior))
    ]
    error = np.abs(x @ weight + bias - (joint[1] - joint[0])).max()
    verify("14.1", error / (1 + np.abs(joint).max()), 1e-12)


@pytest.mark.equation("14.1a")
@given(seed=SEEDS)
@settings(max_examples=30)
def test_what_a_generative_model_answers_when_features_are_missing(seed):
    m0, m1, Sigma, prior, _ = two_classes(seed)
    seen, missing = [0, 2], [1, 3]
    whole = theory.gaussian_log_odds(m0, m1, Sigma, prior).weight
    block = np.ix_(seen, seen)
    part = theory.gaussian_log_odds(m0[seen], m1[seen], Sigma[block], prior).weight
    regression = np.linalg.solve(Sigma[block], Sigma[np.ix_(seen, missing)])
    error = np.abs(part - whole[seen] - regression @ whole[missing]).max()
    verify("14.1a", error / np.abs(whole).max(), 1e-12)
    assert np.abs(part - whole[seen]).max() > 1e-6  # the weights of the whole would be wrong


def digits_split():
    X, labels = datasets.load_digits()
    return X[:1200], labels[:1200], X[1200:], labels[1200:]


def ppca_scores(train, new, k):
    """Minus log p under probabilistic PCA, and the reconstruction error of PCA."""
    mean, U, lam = theory.pca(train)
    U, noise = U[:, :k], lam[k:].mean()
    away = new - mean
    error = np.sum((away - away @ U @ U.T) ** 2, axis=1)
    return -theory.ppca_log_likelihood(new, mean, U, lam[:k], noise), error


@pytest.mark.equation("14.1b")
def test_ten_generative_models_of_the_digits_classify():
    train, labels, new, answers = digits_split()
    scores = [
        ppca_scores(train[labels == c], new, 12)[0] - np.log(np.mean(labels == c))
        for c in range(10)
    ]
    right = np.mean(np.argmin(scores, axis=0) == answers)
    probe = theory.linear_probe_accuracy(train, labels, new, answers)
    verify("14.1b", 1 - right, 0.03)
    assert 1 - probe > 0.12


# --- 14.2, 14.3: the law of a score ------------------------------------------------------------


@pytest.mark.equation("14.2")
@given(seed=SEEDS)
@settings(max_examples=20)
def test_moments_and_transform_of_a_squared_length(seed):
    rng = np.random.default_rng(seed)
    mean, C = rng.standard_normal(3), spd(rng, 3)
    law = theory.squared_length(mean, C)
    verify("14.2", abs(law.mean / (np.trace(C) + mean @ mean) - 1), 1e-12)
    verify("14.2", abs(law.variance / (2 * np.trace(C @ C) + 4 * mean @ C @ mean) - 1), 1e-12)
    # E exp(s ‖e‖²) by completing the square in the density of e
    s = -rng.uniform(0.1, 2)
    inner = np.eye(3) - 2 * s * C
    expected = np.exp(s * mean @ np.linalg.solve(inner, mean)) / np.linalg.det(inner) ** 0.5
    w, m = law.weights, law.shifts
    found = np.prod((1 - 2 * s * w) ** -0.5 * np.exp(s * m**2 / (1 - 2 * s * w)))
    verify("14.2", abs(found / expected - 1), 1e-12)


@pytest.mark.equation("14.2a")
@pytest.mark.parametrize(
    ("nu", "noncentral"), [*itertools.product([1, 2, 5, 60], [0.0, 1.0, 30.0]), (8, 900.0)]
)
def test_equal_eigenvalues_give_chi_squared(nu, noncentral):
    shifts = np.zeros(nu)
    shifts[0] = np.sqrt(0.3 * noncentral)
    law = theory.SquaredLength(np.full(nu, 0.3), shifts)
    scipys = stats.ncx2(nu, noncentral) if noncentral else stats.chi2(nu)
    for p in (1e-6, 0.01, 0.3, 0.5, 0.9, 0.999):
        t = scipys.isf(p)
        # SciPy's own noncentral tails are good to some 1e-11
        verify("14.2a", abs(law.exceeds(0.3 * t) / scipys.sf(t) - 1), 1e-9)
        verify("14.2a", abs(law.threshold(scipys.sf(t)) / (0.3 * t) - 1), 1e-9)


@pytest.mark.equation("14.2a")
def test_as_many_eigenvalues_as_an_image_has():
    law, scipys = theory.SquaredLength(np.full(784, 0.01), np.zeros(784)), stats.chi2(784)
    for p in (1e-6, 0.05, 0.5, 0.95):
        verify("14.2a", abs(law.exceeds(0.01 * scipys.isf(p)) / p - 1), 1e-9)
    # one large among many small: given the sum y of these, it is one chi-squared
    law = theory.SquaredLength(np.r_[100.0, np.full(300, 0.01)], np.zeros(301))
    y, dy = np.linspace(0.5, 7.5, 2001, retstep=True)
    small = stats.chi2(300).pdf(y / 0.01) / 0.01
    for t in (8.0, 100.0, 700.0):
        expected = np.sum(small * stats.chi2(1).sf((t - y) / 100)) * dy
        assert law.exceeds(t) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("b", [0.5, 1e-2, 1e-5])
def test_pairs_of_eigenvalues_give_sums_of_exponentials(b):
    law = theory.SquaredLength(np.array([1, 1, b, b]), np.zeros(4))
    for t in (1e-3, 0.1, 1.0, 3.0, 30.0):
        expected = (np.exp(-t / 2) - b * np.exp(-t / (2 * b))) / (1 - b)
        assert law.exceeds(t) == pytest.approx(expected, rel=1e-11)


@pytest.mark.parametrize("part", [0.8, 1.1, 2.0])
def test_a_mean_along_an_axis_of_little_variance(part):
    """Where the parabola has to be straightened, or the integrand would grow along it."""
    law = theory.SquaredLength(np.array([0.36, 0.004]), np.array([0.0, 4.5]))
    g, dg = np.linspace(-12, 12, 4001, retstep=True)  # what is drawn along the second axis
    t = part * law.mean
    of_g = stats.chi2(1).sf((t - (4.5 + 0.004**0.5 * g) ** 2) / 0.36)
    expected = np.sum(of_g * stats.norm.pdf(g)) * dg
    assert law.exceeds(t) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("unit", [1e-8, 1e8])
def test_the_unit_of_a_score_does_not_matter(unit):
    a, b = np.array([[1.0, 0.3, 2.0], [1.2, 0.1, 0.2]])
    m = np.array([0.5, 1.0, 0.0])
    of_one, others = theory.SquaredLength(a, m), theory.SquaredLength(b, 2 * m)
    law = theory.SquaredLength(unit * a, unit**0.5 * m)
    other = theory.SquaredLength(unit * b, unit**0.5 * 2 * m)
    for t in (0.03, 1.0, 4.0, 20.0):
        assert law.exceeds(unit * t) == pytest.approx(of_one.exceeds(t), rel=1e-11)
    for p in (0.01, 0.3, 0.95):
        assert law.threshold(p) == pytest.approx(unit * of_one.threshold(p), rel=1e-11)
    for one, two in ((law, other), (other, law)):
        of_unit_1 = theory.area_under_roc(*((of_one, others) if one is law else (others, of_one)))
        assert theory.area_under_roc(one, two) == pytest.approx(of_unit_1, rel=1e-11)


def test_an_axis_without_variance_adds_a_constant_to_the_score():
    law = theory.SquaredLength(np.array([1.0, 0.0, 0.0]), np.array([0.0, 1.0, 2.0]))
    for t in (0.0, 0.5, 5.0):
        assert law.exceeds(t) == 1
    for t in (5.001, 5.5, 6.0, 9.0, 30.0):
        assert law.exceeds(t) == pytest.approx(stats.chi2(1).sf(t - 5), rel=1e-11)
    assert law.threshold(0.9) == pytest.approx(5 + stats.chi2(1).isf(0.9), rel=1e-11)


class Problem:
    """A trained linear autoencoder, samples like its own, and others."""

    def __init__(self, seed, d=6, n=80):
        rng = np.random.default_rng(seed)
        k = int(rng.integers(1, d - 1))
        self.of_normal = rng.standard_normal(d), spd(rng, d)
        self.of_anomalous = rng.standard_normal(d) * 1.5, spd(rng, d) * rng.uniform(0.5, 2)
        train, *self.samples = (
            rng.multivariate_normal(*of, size=n)
            for of, n in ((self.of_normal, n), (self.of_normal, 1500), (self.of_anomalous, 1500))
        )
        self.model = LinearAutoencoder(k, random_state=0, tol=1e-6).fit(train)

    def law(self, mean, covariance):
        M = self.model.decoder_weight_ @ self.model.encoder_weight_
        left = np.eye(len(M)) - M
        return theory.squared_length(left @ (mean - self.model.mean_), left @ covariance @ left.T)


@pytest.mark.equation("14.3")
@pytest.mark.equation("14.3a")
def test_roc_of_trained_models_on_random_problems():
    for seed in range(scaled(50)):
        problem = Problem(seed)
        normal, anomalous = problem.law(*problem.of_normal), problem.law(*problem.of_anomalous)
        scores = [problem.model.reconstruction_error(x) for x in problem.samples]
        n = len(scores[0])
        for alpha in (0.01, 0.1, 0.5):
            threshold = normal.threshold(alpha)
            verify("14.3", standard_errors(np.mean(scores[0] > threshold), alpha, n), Z)
            expected = theory.detected(normal, anomalous, alpha)
            verify("14.3", standard_errors(np.mean(scores[1] > threshold), expected, n), Z)
        area = theory.area_under_roc(normal, anomalous)
        # the variance of the rank statistic is at most this (Birnbaum & Klose 1957)
        error = np.sqrt(area * (1 - area) / n)
        verify("14.3a", abs(rank_area(*scores) - area) / error, Z)


def test_the_law_of_another_model_is_rejected():
    """That of the eigenvalues left out, which forgets that axes and mean were estimated."""
    worst = 0.0
    for seed in range(10):
        problem = Problem(seed, n=20)
        Sigma = problem.of_normal[1]
        k = problem.model.n_components
        wrong = theory.squared_length(np.zeros(6 - k), np.diag(np.linalg.eigvalsh(Sigma)[: 6 - k]))
        scores = problem.model.reconstruction_error(problem.samples[0])
        share = np.mean(scores > wrong.threshold(0.5))
        worst = max(worst, standard_errors(share, 0.5, len(scores)))
    assert worst > Z


@pytest.mark.equation("14.3a")
@given(seed=SEEDS)
@settings(max_examples=8)
def test_area_under_the_roc_where_it_has_other_closed_forms(seed):
    rng = np.random.default_rng(seed)
    nu, ratio = int(rng.integers(1, 12)), float(rng.uniform(0.3, 5))
    normal = theory.SquaredLength(np.ones(nu), np.zeros(nu))
    wide = theory.SquaredLength(np.full(nu, ratio), np.zeros(nu))
    # P(ratio χ² > χ²') is F's distribution function
    verify("14.3a", abs(theory.area_under_roc(normal, wide) - stats.f(nu, nu).cdf(ratio)), 1e-10)
    shifted = theory.SquaredLength(np.array([1.0, 0.4]), rng.standard_normal(2) * 2)
    pair = theory.SquaredLength(np.array([0.7, 0.2]), np.zeros(2))
    # ∫ of the curve over the false alarms, by Gauss and Legendre
    x, w = np.polynomial.legendre.leggauss(24)
    u = (x + 1) / 2  # false alarms u³, which soften the corner at 0
    points = [theory.detected(pair, shifted, a) for a in u**3]
    area = np.sum(w / 2 * 3 * u**2 * points)
    verify("14.3a", abs(theory.area_under_roc(pair, shifted) - area), 1e-5)


@pytest.mark.equation("14.3b")
@pytest.mark.parametrize("alpha", [0.17, 0.25, 0.5, 0.8])
def test_a_threshold_from_scores_alone(alpha):
    """Any of the six may be the new one: all orders are alike."""
    scores = np.array([0.3, 1.0, 1.7, 2.0, 5.0, 40.0])
    alarms = [
        scores[i] > theory.threshold_of_scores(np.delete(scores, i), alpha) for i in range(6)
    ]
    rank = np.ceil(6 * (1 - alpha))
    verify("14.3b", abs(np.mean(alarms) - (1 - rank / 6)), 1e-15)
    verify("14.3b", np.mean(alarms), alpha)


def test_too_few_scores_for_so_few_alarms():
    with pytest.raises(ValueError, match=r"between 0\.0909 and .* with 10 scores; got 0\.05"):
        theory.threshold_of_scores(np.arange(10), 0.05)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: theory.threshold_of_scores([1.0, np.nan], 0.5), "scores must be finite"),
        (lambda: theory.SquaredLength(np.ones(1), np.zeros(1)).threshold(5), "false_alarms must"),
        (lambda: theory.SquaredLength(np.ones(1), np.zeros(1)).threshold(1.0), "false_alarms"),
        (lambda: theory.gaussian_log_odds([0], [1], [[1]], 1.5), "prior_1 must be"),
        (lambda: theory.minka_log_evidence([3.0, 2.0], 9, 2), "n_components must be from 1 to 1"),
        (lambda: theory.linear_probe_accuracy([[0], [0]], [0, 1], [[0]], [0]), "codes must diff"),
        (lambda: theory.linear_probe_accuracy([0, 1], [0, 1], [[0]], [0]), "codes must be 2-D"),
        (lambda: theory.nearest_neighbour_accuracy([[0]], [0], [[0], [1]], [0]), "new_labels"),
    ],
)
def test_what_has_no_answer_is_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()


@pytest.mark.parametrize(("given", "ridge"), [({}, 1e-6), ({"ridge": 1.0}, 1.0)])
def test_a_ridge_is_a_part_of_the_mean_variance_of_a_code(given, ridge):
    """Two codes of ±1, of variance 1, and a class where both are 1: it begins at h₁ + h₂ = 1 + ρ.

    Least squares alone have the vote ``1/4 + (h₁ + h₂)/4``, of the other class 1 less that.
    """
    codes = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]])
    labels = [1, 0, 0, 0]
    new = np.array([[1 + 0.8 * ridge], [1 + 1.25 * ridge]]) * [0.5, 0.5]
    assert theory.linear_probe_accuracy(codes, labels, new, [0, 1], **given) == 1
    assert theory.linear_probe_accuracy(10 * codes, labels, 10 * new, [0, 1], **given) == 1


def test_columns_of_labels_and_of_scores():
    codes, labels = [[0], [1], [2], [3]], [[0], [0], [1], [1]]
    for accuracy in (theory.linear_probe_accuracy, theory.nearest_neighbour_accuracy):
        assert accuracy(codes, labels, codes, labels) == 1.0
    assert theory.threshold_of_scores([[1.0], [3.0], [2.0]], 0.5) == 2.0


def test_a_threshold_on_the_training_error_raises_too_many_alarms():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((4000, 20))
    model = LinearAutoencoder(10, random_state=0, tol=1e-4).fit(X[:60])
    wrong = theory.threshold_of_scores(model.reconstruction_error(X[:60]), 0.05)
    right = theory.threshold_of_scores(model.reconstruction_error(X[60:160]), 0.05)
    new = model.reconstruction_error(X[160:])
    assert np.mean(new > wrong) > 0.2
    assert np.mean(new > right) < 0.12


# --- 14.4: reconstruction error against likelihood -----------------------------------------------


def planted_model(rng, d=7, k=3):
    U = np.linalg.qr(rng.standard_normal((d, d)))[0]
    lam, noise = np.sort(rng.uniform(2, 9, k))[::-1], rng.uniform(0.2, 1)
    C = (U[:, :k] * lam) @ U[:, :k].T + noise * (np.eye(d) - U[:, :k] @ U[:, :k].T)
    return U, lam, noise, C


@pytest.mark.equation("14.4")
@given(seed=SEEDS)
@settings(max_examples=20)
def test_the_likelihood_of_probabilistic_pca_in_two_parts(seed):
    rng = np.random.default_rng(seed)
    U, lam, noise, C = planted_model(rng)
    mean, x = rng.standard_normal(7), rng.standard_normal((9, 7)) * 2
    found = theory.ppca_log_likelihood(x, mean, U[:, :3], lam, noise)
    expected = stats.multivariate_normal(mean, C).logpdf(x)
    verify("14.4", np.abs(found - expected).max() / np.abs(expected).max(), 1e-12)


@pytest.mark.equation("14.4")
def test_a_trained_linear_vae_scores_by_this_likelihood():
    rng = np.random.default_rng(0)
    X = rng.multivariate_normal(np.arange(5), spd(rng, 5), size=200)
    model = LinearVAE(2, noise_variance="learned", random_state=0).fit(X)
    mean, U, lam = theory.pca(X)
    expected = theory.ppca_log_likelihood(X, mean, U[:, :2], lam[:2], lam[2:].mean())
    # the posterior is exact at the optimum, so all importance weights are the same
    error = np.abs(model.score_samples(X, n_samples=3) - expected).max()
    verify("14.4", error, 1e-4)
    assert model.log_likelihood(X, n_samples=3) == pytest.approx(expected.mean(), abs=1e-6)


def test_the_score_of_a_sample_does_not_depend_on_the_others():
    X = datasets.make_curve(60, random_state=0)
    model = VAE(1, noise_variance=0.1, learning_rate=0.01, max_iter=60, random_state=0).fit(X)
    scores = model.score_samples(X, n_samples=5)
    assert scores.shape == (60,)
    np.testing.assert_allclose(model.score_samples(X[::-1], n_samples=5)[::-1], scores, atol=1e-12)
    np.testing.assert_allclose(model.score_samples(X[7:8], n_samples=5), scores[7:8], atol=1e-12)
    # of one draw, the mean over samples and 200 seeds is the ELBO's
    each = [model.score_samples(X, n_samples=1, random_state=i).mean() for i in range(200)]
    elbo = model.elbo(X, n_samples=2000)
    assert abs(np.mean(each) - elbo) < Z * np.std(each) / np.sqrt(200)


def laws(mean_shift, U, lam, noise, C):
    """Of reconstruction error and of the likelihood's score, for a mean and covariance of C."""
    rest = np.eye(len(C)) - U[:, : len(lam)] @ U[:, : len(lam)].T
    root = np.linalg.cholesky(np.linalg.inv(C)).T
    return (
        theory.squared_length(rest @ mean_shift, rest @ C @ rest),
        theory.squared_length(root @ mean_shift, np.eye(len(C))),
    )


@pytest.mark.equation("14.4a")
@pytest.mark.equation("14.4b")
@given(seed=SEEDS)
@settings(max_examples=15)
def test_each_of_the_two_scores_is_better_where_it_looks(seed):
    rng = np.random.default_rng(seed)
    model = planted_model(rng)
    U, noise = model[0], model[2]
    error, likelihood = laws(np.zeros(7), *model)
    inside, outside = U[:, :3] @ rng.standard_normal(3) * 8, U[:, 3:] @ rng.standard_normal(4)
    blind, sees = laws(inside, *model)
    verify("14.4a", abs(theory.area_under_roc(error, blind) - 0.5), 1e-9)
    assert theory.area_under_roc(likelihood, sees) > 0.6
    sharp, dull = laws(outside, *model)
    ncp = outside @ outside / noise
    for alpha in (0.01, 0.1, 0.5):
        of_error = stats.ncx2(4, ncp).sf(stats.chi2(4).isf(alpha))
        of_likelihood = stats.ncx2(7, ncp).sf(stats.chi2(7).isf(alpha))
        verify("14.4b", abs(theory.detected(error, sharp, alpha) - of_error), 1e-8)
        verify("14.4b", abs(theory.detected(likelihood, dull, alpha) - of_likelihood), 1e-8)
        verify("14.4b", of_likelihood - of_error, 0)


@pytest.mark.equation("14.4c")
@pytest.mark.parametrize("d", [2, 10, 100, 1000])
def test_the_likeliest_point_is_like_no_sample(d):
    law = theory.squared_length(np.zeros(d), np.eye(d))
    verify("14.4c", abs(law.mean / d - 1), 1e-12)
    verify("14.4c", abs(law.variance / (2 * d) - 1), 1e-12)
    if d >= 100:
        # not one sample in 10^12 is as near to the mean as a tenth of the typical distance
        assert law.exceeds(0.01 * d) > 1 - 1e-12


# --- 14.5: digits, one class held out ------------------------------------------------------------


def held_out_digit(c, k):
    X, labels = datasets.load_digits()
    known = np.random.default_rng(c).permutation(np.flatnonzero(labels != c))
    train, normal, anomalous = X[known[:1100]], X[known[1100:]], X[labels == c]
    scores = [ppca_scores(train, x, k) for x in (normal, anomalous)]
    likelihood, error = (rank_area(scores[0][i], scores[1][i]) for i in (0, 1))
    return likelihood, error, train, normal, anomalous


@pytest.mark.equation("14.5")
@pytest.mark.equation("14.5a")
def test_a_better_autoencoder_may_be_a_worse_detector():
    areas = np.array([[held_out_digit(c, k)[:2] for k in (8, 16, 32)] for c in range(10)])
    mean = areas.mean(axis=0)  # by k, then likelihood and error
    verify("14.5", mean[1, 1] - mean[0, 1], -0.03)
    verify("14.5", mean[2, 1] - mean[1, 1], -0.03)
    verify("14.5a", mean[1, 1] - mean[1, 0], 0)
    gains = mean[:, 0] - mean[:, 1]
    verify("14.5a", gains[1] - gains[2], -0.03)


@pytest.mark.equation("14.5b")
def test_a_deep_autoencoder_finds_the_strange_digit_better():
    found = []
    for c in (1, 3, 9):
        _, by_pca, train, normal, anomalous = held_out_digit(c, 8)
        model = Autoencoder(8, max_iter=40, random_state=0).fit(train)
        deep = rank_area(*(model.reconstruction_error(x) for x in (normal, anomalous)))
        found.append(by_pca - deep)
        assert deep < 0.95  # and well short of certainty
    verify("14.5b", np.mean(found), 0)


# --- 14.6: how wide a code -----------------------------------------------------------------------


@pytest.mark.equation("14.6")
@given(seed=SEEDS)
@settings(max_examples=20)
def test_a_wider_code_reconstructs_every_sample_better(seed):
    rng = np.random.default_rng(seed)
    train, new = rng.standard_normal((12, 6)), 3 * rng.standard_normal((30, 6)) + 1
    mean, U, _ = theory.pca(train)
    away = new - mean
    errors = [np.sum((away - away @ U[:, :k] @ U[:, :k].T) ** 2, axis=1) for k in range(7)]
    verify("14.6", np.diff(errors, axis=0).max(), 1e-12)


@pytest.mark.equation("14.6a")
@given(seed=SEEDS)
@settings(max_examples=20)
def test_the_likelihood_of_the_training_rises_with_every_component(seed):
    rng = np.random.default_rng(seed)
    lam = np.sort(rng.uniform(0.1, 5, 7))[::-1]
    training = [theory.probabilistic_pca(lam, k).log_likelihood for k in range(7)]
    for k in range(6):
        m, noise = 7 - k, lam[k:].mean()
        rest = lam[k + 1 :].mean()
        gain = (m * np.log(noise) - np.log(lam[k]) - (m - 1) * np.log(rest)) / 2
        verify("14.6a", abs(training[k + 1] - training[k] - gain), 1e-12)
        verify("14.6a", -gain, 0)


def chosen(spectrum, n, seed):
    """The k that four rules choose: Minka's, BIC, the likelihood of others, and the elbow."""
    rng = np.random.default_rng(seed)
    d = len(spectrum)
    X, others = rng.standard_normal((2, n, d)) * np.sqrt(spectrum)
    mean, U, lam = theory.pca(X)
    ks = np.arange(1, d - 1)
    free = d * ks - ks * (ks - 1) / 2
    minka = [theory.minka_log_evidence(lam, n, k) for k in ks]
    bic = [n * theory.probabilistic_pca(lam, k).log_likelihood for k in ks]
    held_out = [
        theory.ppca_log_likelihood(others, mean, U[:, :k], lam[:k], lam[k:].mean()).mean()
        for k in ks
    ]
    left = np.array([lam[k:].sum() for k in range(d)])
    chord = np.linspace(left[0], left[-1], d)
    rules = minka, np.array(bic) - np.log(n) / 2 * free, held_out
    return [*(int(ks[np.argmax(rule)]) for rule in rules), int(np.argmax(chord - left))]


@pytest.mark.parametrize("k", [1, 2, 4])
def test_minkas_evidence_is_his_equation_30_factor_by_factor(k):
    lam, n, d = [5.0, 3.0, 2.0, 1.5, 0.9, 0.6], 70, 6
    v = sum(lam[k:]) / (d - k)
    kept = [*lam[:k], *[v] * (d - k)]
    log_prior = -k * math.log(2)
    for i in range(1, k + 1):
        log_prior += math.lgamma((d - i + 1) / 2) - (d - i + 1) / 2 * math.log(math.pi)
    log_det = 0.0
    for i in range(k):
        for j in range(i + 1, d):
            log_det += math.log((1 / kept[j] - 1 / kept[i]) * (lam[i] - lam[j]) * n)
    m = d * k - k * (k + 1) / 2
    right = log_prior - n / 2 * sum(map(math.log, kept))
    right += (m + k) / 2 * math.log(2 * math.pi) - log_det / 2 - k / 2 * math.log(n)
    assert theory.minka_log_evidence(lam[::-1], n, k) == pytest.approx(right, rel=1e-13)


def test_minkas_rule_is_scikit_learns():
    decomposition = pytest.importorskip("sklearn.decomposition")
    for seed in range(6):
        rng = np.random.default_rng(seed)
        X = rng.standard_normal((60, 8)) * np.geomspace(4, 0.5 + seed / 4, 8)
        X[:, 4:] = rng.standard_normal((60, 4)) * 0.5
        lam = theory.pca(X).eigenvalues
        ours = [theory.minka_log_evidence(lam, 60, k) for k in range(1, 8)]
        theirs = decomposition.PCA(n_components="mle").fit(X).n_components_
        assert int(np.argmax(ours)) + 1 == theirs


CLEAR = np.array([10, 8, 6, 4, *[1] * 16], float)
WEAK = np.array([10, 5, 2.5, 1.6, *[1] * 16], float)


@pytest.mark.equation("14.6b")
def test_every_rule_finds_what_is_clear():
    for seed in range(scaled(40)):
        verify("14.6b", max(abs(k - 4) for k in chosen(CLEAR, 200, seed)), 0)


@pytest.mark.equation("14.6c")
def test_no_rule_finds_what_is_weak_and_the_elbow_does_not_learn():
    few = np.array([chosen(WEAK, 200, seed) for seed in range(scaled(40, 20))])
    many = np.array([chosen(WEAK, 2000, seed) for seed in range(scaled(40, 20))])
    verify("14.6c", np.mean(few == 4, axis=0).max(), 0.75)
    verify("14.6c", np.mean(many[:, :3] != 4), 0)  # with ten times the samples three rules do
    verify("14.6c", np.mean(many[:, 3] == 4), 0)  # and the elbow still does not


@pytest.mark.equation("14.6d")
def test_minkas_rule_wants_all_where_no_noise_is_even():
    X, *_ = datasets.load_economy()
    lam = theory.pca((X - X.mean(axis=0)) / X.std(axis=0)).eigenvalues
    evidence = [theory.minka_log_evidence(lam, len(X), k) for k in range(1, 10)]
    verify("14.6d", -np.diff(evidence).min(), 0)


@pytest.mark.equation("14.6e")
def test_the_best_noise_is_the_error_of_samples_not_seen():
    train, _, new, _ = digits_split()
    model = Autoencoder(16, max_iter=30, random_state=0).fit(train[:300])
    seen, unseen = (model.reconstruction_error(x) for x in (train[:300], new))
    d = new.shape[1]

    def nll(log_variance):
        variance = np.exp(log_variance)
        return np.mean(d / 2 * np.log(2 * np.pi * variance) + unseen / (2 * variance))

    best = np.exp(minimize_scalar(nll, bracket=(-5, -3), tol=1e-12).x)
    # a minimum is found to the root of the rounding
    verify("14.6e", abs(best / (unseen.mean() / d) - 1), 1e-6)
    assert unseen.mean() > 1.05 * seen.mean()


# --- 14.7: a code judged by a task ---------------------------------------------------------------


def loud_and_telling(seed):
    """Two classes: one direction varies most and tells nothing, another tells almost all."""
    rng = np.random.default_rng(seed)
    d = 4
    U = np.linalg.qr(rng.standard_normal((d, d)))[0]
    variances = np.array([rng.uniform(50, 200), 0.04, 0.04, 0.04])
    Sigma = (U * variances) @ U.T
    return U, Sigma, -0.5 * U[:, 1], 0.5 * U[:, 1], rng


@pytest.mark.equation("14.7")
@pytest.mark.equation("14.7a")
@given(seed=SEEDS)
@settings(max_examples=15)
def test_good_reconstruction_with_a_bad_code_and_the_reverse(seed):
    U, Sigma, m0, m1, rng = loud_and_telling(seed)
    v = rng.standard_normal(4)
    # a threshold half-way between the means, by the normal law of the code itself
    code = stats.norm(v @ m0, np.sqrt(v @ Sigma @ v))
    middle = v @ (m0 + m1) / 2
    right = code.cdf(middle) if v @ m1 > v @ m0 else code.sf(middle)
    verify("14.7", abs(theory.projected_accuracy(v, m0, m1, Sigma) - right), 1e-12)
    total = Sigma + np.outer(m1 - m0, m1 - m0) / 4  # of both classes together
    exact = rng.standard_normal((40, 4))
    exact = np.linalg.qr(exact - exact.mean(axis=0))[0] * 40**0.5  # mean 0, covariance I exactly
    X = exact @ np.linalg.cholesky(total).T
    model = LinearAutoencoder(1, random_state=0).fit(X)
    kept = 1 - model.loss_ / np.trace(total)
    tells = theory.projected_accuracy(model.encoder_weight_[0], m0, m1, Sigma)
    verify("14.7a", 1 - kept, 0.02)
    verify("14.7a", abs(tells - 0.5), 1e-5)
    verify("14.7a", 1 - theory.projected_accuracy(U[:, 1], m0, m1, Sigma), 0.01)
    lost = 1 - U[:, 1] @ total @ U[:, 1] / np.trace(total)
    verify("14.7a", 1 - lost, 0.02)


@pytest.mark.equation("14.7b")
def test_a_linear_probe_does_not_see_a_change_of_basis_and_neighbours_do():
    """The label is the sign of one feature, at a distance of 1; the other is noise."""
    rng = np.random.default_rng(0)
    labels, noise = rng.integers(0, 2, (2, 200)), rng.uniform(-1, 1, (2, 200))
    codes = [np.column_stack([noise[i], 2.0 * labels[i] - 1]) for i in (0, 1)]
    wide = [H * [1e6, 1.0] for H in codes]
    B = np.array([[1.0, 2.0], [-0.5, 3.0]])
    of = [labels[0], codes[1], labels[1]]
    exact = theory.linear_probe_accuracy(codes[0], *of, ridge=0.0)
    for change in (B, np.diag([1e6, 1.0])):
        same = theory.linear_probe_accuracy(
            codes[0] @ change, labels[0], codes[1] @ change, labels[1], ridge=0.0
        )
        verify("14.7b", abs(same - exact), 0)
    assert exact == 1
    verify("14.7b", 1 - theory.nearest_neighbour_accuracy(codes[0], *of), 0)
    blind = theory.nearest_neighbour_accuracy(wide[0], labels[0], wide[1], labels[1])
    verify("14.7b", standard_errors(blind, 0.5, 200), Z)


@pytest.mark.equation("14.7c")
def test_codes_of_the_digits_by_error_and_by_task():
    train, labels, new, answers = digits_split()
    mean, U, _ = theory.pca(train)
    small, whole = (
        ((x - mean) @ U[:, :16] for x in (train, new)),
        (train, new),
    )
    of_small, of_whole = (
        theory.nearest_neighbour_accuracy(a, labels, b, answers) for a, b in (small, whole)
    )
    verify("14.7c", abs(of_small - of_whole), 0.01)
    # the same information, and no error at all, after an invertible map: a worse code
    A = np.random.default_rng(0).standard_normal((64, 64)) * np.geomspace(1, 100, 64)
    mixed = theory.nearest_neighbour_accuracy(train @ A, labels, new @ A, answers)
    verify("14.7c", mixed - of_small, -0.04)


# --- 14.8, 14.9: tables ------------------------------------------------------------------------


@pytest.mark.equation("14.8")
@given(seed=SEEDS)
@settings(max_examples=20)
def test_the_first_axis_turns_with_the_unit_of_a_column(seed):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((50, 2)) @ rng.standard_normal((2, 2))
    X -= X.mean(axis=0)
    c = float(np.exp(rng.uniform(-2, 2)))
    S = X.T @ X / 50
    angle = np.arctan2(2 * c * S[0, 1], c**2 * S[0, 0] - S[1, 1]) / 2
    axis = LinearAutoencoder(1, random_state=0).fit(X * [c, 1]).decoder_weight_[:, 0]
    lam = theory.pca(X * [c, 1]).eigenvalues
    # ε of the gradient moves the axis by ε over the gap
    gap = (lam[0] - lam[1]) / lam[0]
    off = abs(np.sin(angle) * axis[0] - np.cos(angle) * axis[1]) / np.linalg.norm(axis)
    verify("14.8", off * gap, 1e-7)


@pytest.mark.equation("14.8")
def test_the_first_axis_is_one_of_two_solutions():
    S = np.array([[1.0, 0.3], [0.3, 4.0]])  # the arctangent alone is the other
    angle = np.arctan2(2 * S[0, 1], S[0, 0] - S[1, 1]) / 2
    axis = np.linalg.eigh(S)[1][:, 1]
    verify("14.8", abs(np.sin(angle) * axis[0] - np.cos(angle) * axis[1]), 1e-15)
    other = np.arctan(2 * S[0, 1] / (S[0, 0] - S[1, 1])) / 2
    assert abs(np.cos(other - angle)) < 1e-15


@pytest.mark.equation("14.8a")
@given(seed=SEEDS)
@settings(max_examples=10)
def test_standardised_columns_have_forgotten_their_units(seed):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((60, 4)) @ rng.standard_normal((4, 4)) + 3
    units = 10.0 ** rng.uniform(-4, 4, 4)

    def standardised(X):
        return (X - X.mean(axis=0)) / X.std(axis=0)

    verify("14.8a", np.abs(standardised(X * units) - standardised(X)).max(), 1e-10)
    R = np.corrcoef(X.T)
    model = LinearAutoencoder(2, random_state=0).fit(standardised(X))
    verify("14.8a", abs(model.loss_ - np.linalg.eigvalsh(R)[:2].sum()) / 4, 1e-9)
    x_hat = model.reconstruct(standardised(X)) * X.std(axis=0) + X.mean(axis=0)
    weighted = np.mean(np.sum((X - x_hat) ** 2 / X.var(axis=0), axis=1))
    verify("14.8a", abs(weighted - model.loss_) / 4, 1e-12)


def test_a_column_of_noise_is_made_as_large_as_the_others():
    """What standardising costs: the correlation matrix does not know what was small."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((300, 1)) @ np.ones((1, 3)) + 0.1 * rng.standard_normal((300, 3))
    X[:, 2] = 1e-9 * rng.standard_normal(300)
    S = theory.pca(X / X.std(axis=0)).eigenvalues
    assert theory.pca(X).eigenvalues[1] < 0.02 and 0.9 < S[1] < 1.1


def economy():
    X, names, quarters = datasets.load_economy()
    return (X - X.mean(axis=0)) / X.std(axis=0), names, quarters


# National Bureau of Economic Research: (peak, trough], in quarters
RECESSIONS = (
    (1960.25, 1961.0), (1969.75, 1970.75), (1973.75, 1975.0), (1980.0, 1980.5),
    (1981.5, 1982.75), (1990.5, 1991.0), (2001.0, 2001.75), (2007.75, 2009.25),
)  # fmt: skip


@pytest.mark.equation("14.9")
def test_without_a_scale_one_series_is_all_there_is():
    X, names, _ = datasets.load_economy()
    raw, scaled_ = theory.pca(X), theory.pca(economy()[0])
    verify("14.9", 0.97 - abs(raw.components[names.index("realinv"), 0]), 0)
    largest = {names[i] for i in np.argsort(-np.abs(scaled_.components[:, 0]))[:4]}
    assert largest == {"realgdp", "unemp", "realinv", "realcons"}


@pytest.mark.equation("14.9a")
def test_factors_of_the_economy_beside_those_of_pca():
    Z, _, _ = economy()
    _, U, lam = theory.pca(Z)
    model = LinearVAE(3, noise_variance=float(lam[3:].mean()), random_state=0).fit(Z)
    codes = model.encode(Z)[0]
    scores = Z @ U[:, :3]
    cosines = np.abs(
        codes.T @ scores
        / np.outer(np.linalg.norm(codes, axis=0), np.linalg.norm(scores, axis=0))
    )  # fmt: skip
    # an angle is right to the tolerance of the fit over the gap of eigenvalues, its cosine better
    verify("14.9a", 1 - cosines.max(axis=0).min(), 1e-8)
    plain = LinearAutoencoder(3, random_state=0).fit(Z)
    angle = theory.largest_principal_angle(plain.decoder_weight_, U[:, :3])
    verify("14.9a", angle, 1e-6)


@pytest.mark.equation("14.9b")
def test_the_first_factor_tells_recessions():
    Z, names, quarters = economy()
    factor = Z @ theory.pca(Z).components[:, 0]
    factor *= np.sign(theory.pca(Z).components[names.index("realgdp"), 0])
    in_recession = np.any([(quarters > a) & (quarters <= b) for a, b in RECESSIONS], axis=0)
    of_factor, of_gdp = (rank_area(-x[~in_recession], -x[in_recession]) for x in (factor, Z[:, 0]))
    verify("14.9b", 0.97 - of_factor, 0)
    verify("14.9b", of_gdp - of_factor, 0)


@pytest.mark.equation("14.9c")
def test_a_deep_network_finds_nothing_more_in_a_hundred_quarters():
    X, *_ = datasets.load_economy()
    half = len(X) // 2
    mean, std = X[:half].mean(axis=0), X[:half].std(axis=0)
    train, later = (X[:half] - mean) / std, (X[half:] - mean) / std
    _, U, _ = theory.pca(train)
    U = U[:, :3]
    by_pca = np.mean(np.sum((later - later @ U @ U.T) ** 2, axis=1))
    for max_iter in (200, 400):
        model = Autoencoder(3, hidden_layer_sizes=(16,), max_iter=max_iter, random_state=0)
        verify("14.9c", by_pca / model.fit(train).reconstruction_error(later).mean(), 1)


@pytest.mark.slow
def test_gaps_in_the_table_are_hardly_filled_in_better_than_by_means():
    X = datasets.load_economy().X
    seen = X[:150]
    Z = (X - seen.mean(axis=0)) / seen.std(axis=0)
    seen, later = Z[:150], Z[150:]
    hidden = np.random.default_rng(0).random(later.shape) < 0.2

    def error(guess):
        return np.mean((guess - later)[hidden] ** 2)

    Sigma, regressed = np.cov(seen.T, bias=True), later.copy()
    for row, h in zip(regressed, hidden, strict=True):
        row[h] = Sigma[np.ix_(h, ~h)] @ np.linalg.solve(Sigma[np.ix_(~h, ~h)], row[~h])
    np.testing.assert_allclose([error(0 * later), error(regressed)], [0.87, 0.85], atol=0.005)
    by_networks = []
    for seed in range(10):
        model = MaskedAutoencoder(
            mask_ratio=0.2, max_iter=300, learning_rate=3e-3, batch_size=32, random_state=seed
        ).fit(seen)
        filled = model.reconstruct(np.where(hidden, np.nan, later))
        assert (filled[~hidden] == later[~hidden]).all()
        by_networks.append(error(filled))
    # rounding makes others of them: their mean within three of its standard errors, 0.026
    assert np.mean(by_networks) == pytest.approx(0.86, abs=0.08)
    assert np.std(by_networks) > 0.03


def test_names_of_columns_lead_to_the_series_that_is_unusual():
    Z, names, quarters = economy()
    frame = Frame(Z, columns=names)
    model = LinearAutoencoder(3, random_state=0).fit(frame)
    strange = int(np.argmax(model.reconstruction_error(frame)))
    assert quarters[strange] == 1975.25  # a tax rebate
    of_each = model.reconstruction_error(frame, per_feature=True)[strange]
    assert model.feature_names_in_[np.argmax(of_each)] == "realdpi"
    with pytest.raises(ValueError, match="column 0 is 'pop' in place of 'realgdp'"):
        model.reconstruct(Frame(Z[:, ::-1], columns=names[::-1]))


def test_the_table_is_that_of_its_description():
    X, names, quarters = datasets.load_economy()
    assert X.shape == (202, 10) and len(names) == 10
    assert quarters[0] == 1959.25 and quarters[-1] == 2009.5 and np.all(np.diff(quarters) == 0.25)
    # by hand, from the first two lines of the file
    assert X[0, 0] == pytest.approx(400 * np.log(2778.801 / 2710.349), rel=1e-12)
    assert X[0, names.index("unemp")] == pytest.approx(5.1 - 5.8, rel=1e-9)
    # year by year growth adds up: chained quarters are the whole
    assert X[:, 0].sum() / 400 == pytest.approx(np.log(12990.341 / 2710.349), rel=1e-9)


def test_every_permutation_of_classes_is_the_same_to_a_probe():
    H = np.random.default_rng(0).standard_normal((60, 3))
    labels = np.digitize(H[:, 0], [-0.4, 0.4])
    right = theory.linear_probe_accuracy(H, labels, H, labels)
    for order in itertools.permutations(range(3)):
        renamed = np.array(order)[labels]
        assert theory.linear_probe_accuracy(H, renamed, H, renamed) == right


def test_exercise_a_larger_spread():
    normal, wide = (theory.SquaredLength(np.full(2, v), np.zeros(2)) for v in (1.0, 3.0))
    assert theory.detected(normal, wide, 0.008) == pytest.approx(0.2, rel=1e-9)  # 0.008^(1/3)
    assert theory.area_under_roc(normal, wide) == pytest.approx(3 / 4, abs=1e-12)


def test_exercise_which_width_detects_best():
    """Four directions of 100 and six of 0.01; anomalies add 1 everywhere."""
    spectrum = np.array([100.0] * 4 + [0.01] * 6)
    areas = [
        theory.area_under_roc(
            theory.SquaredLength(spectrum[k:], np.zeros(10 - k)),
            theory.SquaredLength(spectrum[k:] + 1, np.zeros(10 - k)),
        )
        for k in range(10)
    ]
    assert np.argmax(areas) == 4 and areas[4] > 0.999
    assert areas[3] < 0.75
    assert np.all(np.diff(areas[4:]) < 0)  # and beyond 4, each is a little blinder


@pytest.mark.parametrize(
    ("mean_0", "mean_1", "ahead"), [(0, 0, 9), (0, 0, -1), (2, 0, 1), (3, 3, -1), (3, 0, 9)]
)
@pytest.mark.parametrize("variance", [0.0, 1e-17])
def test_the_area_under_a_roc_curve_with_a_mean_where_nothing_varies(
    mean_0, mean_1, ahead, variance
):
    """``P((z + m₁)² + c > (z' + m₀)²)``, by integration over z."""
    from scipy.integrate import quad
    from scipy.stats import norm

    def wins(z):
        root = np.sqrt(max((z + mean_1) ** 2 + ahead, 0))
        return (norm.cdf(root - mean_0) - norm.cdf(-root - mean_0)) * norm.pdf(z)

    edge = np.sqrt(max(-ahead, 0))
    places = sorted({-12, -mean_1 - edge, -mean_1, -mean_1 + edge, 12})
    pieces = itertools.pairwise(places)
    right = sum(quad(wins, *piece, epsabs=1e-12)[0] for piece in pieces)
    covariance = np.diag([1.0, variance])
    normal = theory.squared_length([mean_0, np.sqrt(max(-ahead, 0))], covariance)
    anomalous = theory.squared_length([mean_1, np.sqrt(max(ahead, 0))], covariance)
    np.testing.assert_allclose(theory.area_under_roc(normal, anomalous), right, atol=1e-12)


def test_a_score_has_its_probability_however_small_or_large_it_is():
    exponential, one = (theory.squared_length(np.zeros(d), np.eye(d)) for d in (2, 1))
    assert [exponential.exceeds(t) for t in (1e13, 1e300, np.inf)] == [0, 0, 0]
    np.testing.assert_allclose(exponential.exceeds(1400.0), np.exp(-700), rtol=1e-12)
    assert exponential.exceeds(1e-200) == one.exceeds(1e-40) == 1
    np.testing.assert_allclose(1 - one.exceeds(1e-20), 1e-10 * np.sqrt(2 / np.pi), rtol=1e-5)
    assert theory.detected(one, theory.squared_length([0.0], [[1e-14]]), 0.05) == 0


@pytest.mark.parametrize("share", [1e-300, 1e-9, 0.3, np.exp(-1), 0.5, 1 - 1e-6, 1 - 1e-12])
def test_a_threshold_of_an_exponential_law_is_a_logarithm(share):
    score = theory.squared_length([0, 0], np.eye(2))
    right = -2 * (np.log(share) if share < 0.5 else np.log1p(-(1 - share)))
    np.testing.assert_allclose(score.threshold(share), right, rtol=1e-12)


def test_a_code_that_does_not_vary_tells_all_or_nothing():
    flat = [[1, 0], [0, 0]]
    assert theory.projected_accuracy([0, 1], [0, 0], [0, 0], flat) == 0.5
    assert theory.projected_accuracy([0, 1], [0, 0], [0, 1], flat) == 1


def test_minkas_evidence_of_eigenvalues_that_almost_agree():
    """In (14.6b) the two kept axes' own gap enters as ``−½ log (1/b − 1/a)(a − b)``."""
    b = 0.85
    wide, close = b + 0.25, np.nextafter(b, 1)

    def evidence_less_what_a_does(a):
        A, B = Fraction(float(a)), Fraction(b)
        own, to_third = (1 / B - 1 / A) * (A - B), (1 / A - Fraction(1, 3)) * (3 - A)
        does = -100 * np.log(a) - 0.5 * (np.log(float(own)) + np.log(float(to_third)))
        return theory.minka_log_evidence([3, a, b], 200, 2) - does

    np.testing.assert_allclose(
        evidence_less_what_a_does(close), evidence_less_what_a_does(wide), rtol=1e-12
    )
