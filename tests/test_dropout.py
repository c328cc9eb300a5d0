"""Chapter 8: dropout. What it costs on average, what it does to a linear code, and the layer."""

from __future__ import annotations

import decimal
import itertools
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import pytest
from effort import scaled
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls
from theory_report import verify

import nanoae
from nanoae import (
    VAE,
    Autoencoder,
    LinearAutoencoder,
    SparseAutoencoder,
    TiedAutoencoder,
    datasets,
    gradient_check,
    persistence,
    theory,
)
from nanoae.network import LISTA, Dense, Dictionary, Dropout, FullyConnected, Parameters

# Algebra that is exact on paper is held to 1e-12: some hundreds of roundings of 2.2e-16, and
# room for sums of numbers of unlike size.
EXACT = 1e-12

seeds = st.integers(0, 2**32 - 1)


# --- Problems and tools -------------------------------------------------------------------------


class Problem(NamedTuple):
    """Samples off centre, a width k from 1 to 2d, and a probability p of dropout."""

    X: np.ndarray
    k: int
    p: float
    rng: np.random.Generator

    @property
    def nu(self):
        return self.p / (1 - self.p)

    @property
    def centred(self):
        return self.X - self.X.mean(axis=0)

    @property
    def Sigma(self):
        return self.centred.T @ self.centred / len(self.X)

    @property
    def eigenvalues(self):
        return theory.pca(self.X).eigenvalues

    @property
    def optimum(self):
        return theory.dropout_optimum(self.eigenvalues, self.k, self.p)

    def weights(self, scale=1.0):
        """Random W_e and W_d."""
        d = self.X.shape[1]
        normal = self.rng.standard_normal
        return scale * normal((self.k, d)), scale * normal((d, self.k))


def problem(seed, max_features=6):
    """Variances up to a thousand times apart; one problem in four has some that are 0.

    By how much W_e along an axis of small variance counts is for that variance to say, so that
    training takes the longer to tell, and ends with fewer digits, the further they are apart.
    """
    rng = np.random.default_rng(seed)
    d = int(rng.integers(2, max_features + 1))
    k, p, size = int(rng.integers(1, 2 * d + 1)), rng.uniform(0.05, 0.9), 10 ** rng.uniform(-3, 3)
    deviations = 1000 ** rng.uniform(-0.5, 0, d)
    if rng.random() < 0.25:
        deviations[: d // 2] = 0
    axes = np.linalg.qr(rng.standard_normal((d, d)))[0]
    return Problem(size * (rng.standard_normal((30, d)) * deviations @ axes + 5), k, p, rng)


problems = seeds.map(problem)


def square_root(Sigma):
    eigenvalues, U = np.linalg.eigh(Sigma)
    return U * np.sqrt(np.maximum(eigenvalues, 0)) @ U.T


def unit_products(Sigma, W_e, W_d):
    """``‖w_dj‖² w_ejᵀ Σ w_ej`` of every unit."""
    return np.sum(W_d**2, axis=0) * np.einsum("ji,ij->j", W_e, Sigma @ W_e.T)


def clean_loss(X, x_hat):
    return np.sum((X - x_hat) ** 2) / len(X)


def all_masks(k, p):
    """The 2^k masks of a code, with 1/q for what is kept, and their probabilities."""
    kept = np.array(list(itertools.product((0, 1), repeat=k)))
    return kept / (1 - p), np.prod(np.where(kept, 1 - p, p), axis=1)


ENCODERS = {
    "linear": lambda a: a,
    "tanh": np.tanh,
    "relu": lambda a: np.maximum(a - 0.3, 0),
}


def network(problem, W_e, W_d, model=LinearAutoencoder):
    """A model with these weights, and the rows that it is trained on."""
    model = model(problem.k, dropout=problem.p, random_state=0)
    model.initialise(problem.X)
    model.encoder_.layers[0].weight[...] = W_e.T
    model.decoder_.layers[0].weight[...] = W_d.T
    return model


def gradients(model, X):
    """Loss, and gradients by W_e and W_d in the notes' shapes."""
    loss, _ = model.loss_and_gradient(X)
    networks = model.encoder_, model.decoder_
    return loss, *(each.layers[0].grad_weight.T.copy() for each in networks)


# --- 8.1: the mean over all masks ---------------------------------------------------------------


@pytest.mark.equation("8.1")
@given(problems.filter(lambda problem: problem.k <= 6), st.sampled_from([*ENCODERS]))
@settings(max_examples=60)
def test_mean_over_all_masks(problem, encoder):
    W_e, W_d = problem.weights()
    h = ENCODERS[encoder](problem.centred @ W_e.T)
    masks, probabilities = all_masks(problem.k, problem.p)
    losses = [clean_loss(problem.centred, (mask * h) @ W_d.T) for mask in masks]
    penalty = problem.nu * np.sum(W_d**2, axis=0) @ np.mean(h**2, axis=0)
    exact = clean_loss(problem.centred, h @ W_d.T) + penalty
    verify("8.1", abs(probabilities @ losses / exact - 1), EXACT)
    if encoder == "linear":
        by_model = gradients(network(problem, W_e, W_d), problem.centred)[0]
        by_theory = theory.dropout_loss(problem.Sigma, W_e, W_d, problem.p)
        verify("8.1", max(abs(by_model / exact - 1), abs(by_theory / exact - 1)), EXACT)


@pytest.mark.equation("8.1a")
@given(problems.filter(lambda problem: problem.k <= 6))
@settings(max_examples=40)
def test_gradients_of_all_masks_average_to_that_of_the_mean(problem):
    W_e, W_d = problem.weights()
    X = problem.centred
    masks, probabilities = all_masks(problem.k, problem.p)
    by_W_e, by_W_d = 0, 0
    for mask, probability in zip(masks, probabilities, strict=True):
        dropped = X @ W_e.T * mask
        residual = 2 * (dropped @ W_d.T - X) / len(X)
        by_W_d = by_W_d + probability * residual.T @ dropped
        by_W_e = by_W_e + probability * (residual @ W_d * mask).T @ X
    _, grad_W_e, grad_W_d = gradients(network(problem, W_e, W_d), X)
    for averaged, exact in ((by_W_e, grad_W_e), (by_W_d, grad_W_d)):
        verify("8.1a", np.abs(averaged - exact).max() / np.abs(exact).max(), EXACT)


@pytest.mark.equation("8.1b")
@given(problems.filter(lambda problem: problem.k <= 4))
@settings(max_examples=40)
def test_of_multiplicative_noise_only_the_variance_counts(problem):
    """Gaussian noise: three nodes of Gauss–Hermite are exact for its second moments."""
    W_e, W_d = problem.weights()
    h = problem.centred @ W_e.T
    t, weight = np.polynomial.hermite_e.hermegauss(3)
    noises = 1 + np.sqrt(problem.nu) * np.array(list(itertools.product(t, repeat=problem.k)))
    chances = np.prod(list(itertools.product(weight / weight.sum(), repeat=problem.k)), axis=1)
    losses = [clean_loss(problem.centred, (noise * h) @ W_d.T) for noise in noises]
    exact = theory.dropout_loss(problem.Sigma, W_e, W_d, problem.p)
    verify("8.1b", abs(chances @ losses / exact - 1), EXACT)


# --- 8.2: the global optimum --------------------------------------------------------------------


@pytest.mark.equation("8.2a")
@given(problems)
@settings(max_examples=100)
def test_no_weights_are_below_the_optimum(problem):
    best = problem.optimum.loss
    for scale in (0.1, 0.5, 1):
        loss = theory.dropout_loss(problem.Sigma, *problem.weights(scale), problem.p)
        verify("8.2a", (best - loss) / best, EXACT)
    # and near it, where it is a near thing
    W_e, W_d = theory.dropout_weights(problem.Sigma, problem.k, problem.p)
    for size in (1e-4, 1e-2, 0.3):
        noise = problem.rng.standard_normal
        near = W_e * (1 + size * noise(W_e.shape)), W_d * (1 + size * noise(W_d.shape))
        loss = theory.dropout_loss(problem.Sigma, *near, problem.p)
        verify("8.2a", (best - loss) / best, EXACT)


@pytest.mark.equation("8.2a", "8.2b", "8.2c", "8.3a", "8.3b")
@given(problems)
@settings(max_examples=60)
def test_trained_models_are_at_the_optimum(problem):
    """From any start, for k below, at and above d, and for a singular Σ.

    L-BFGS ends where the gradient is 1e-11 of that at the start: the loss is then off by the
    square of that over the least curvature, the map by its first power.
    """
    model = LinearAutoencoder(problem.k, dropout=problem.p, random_state=problem.rng)
    model.fit(problem.X)
    optimum, U = problem.optimum, theory.pca(problem.X).components
    s = np.sqrt(problem.eigenvalues)
    excess = abs(model.loss_ / optimum.loss - 1)
    verify("8.2a", excess, 1e-10)
    verify("8.2c", excess, 1e-10)
    W_e, W_d = model.encoder_weight_, model.decoder_weight_
    root, right = U * s @ U.T, U * (optimum.gains * s) @ U.T
    if problem.k < len(s):  # a tie at the cut may go either way
        gap = s[problem.k - 1] - s[problem.k]
        assert gap > 1e-3 * s[0] or optimum.n_axes < problem.k
    # without variance there is nothing to map: Σ^½ on the right
    verify("8.2b", np.abs(W_d @ W_e @ root - right).max() / s[0], 1e-6)
    products = unit_products(problem.Sigma, W_e, W_d)
    each = (optimum.threshold / problem.nu) ** 2
    verify("8.3a", np.abs(products / each - 1).max(), 1e-5)
    verify("8.3b", np.abs(knocked_out(model, problem.X) / optimum.unit_loss - 1).max(), 1e-5)
    assert optimum.unit_loss == pytest.approx((1 + 2 * problem.nu) * each, rel=EXACT)
    # what a user sees is the loss without dropout
    assert -model.score(problem.X) == pytest.approx(optimum.clean_loss, rel=1e-6)


def knocked_out(model, X):
    """What the mean error rises by when one unit of the code is set to 0, for each unit."""
    codes, whole = model.transform(X), model.reconstruction_error(X).mean()
    others = 1 - np.eye(codes.shape[1])
    return np.array([clean_loss(X, model.inverse_transform(codes * o)) for o in others]) - whole


@pytest.mark.equation("8.2c")
@pytest.mark.parametrize("probability", [0.02, 0.95])
@pytest.mark.parametrize("k", [2, 4, 7])
def test_every_start_ends_at_the_optimum_for_little_and_much_dropout(k, probability):
    X = datasets.make_gaussian(40, [4.0, 2.0, 1.0, 0.5], random_state=0)
    optimum = theory.dropout_optimum(theory.pca(X).eigenvalues, k, probability)
    for seed in range(scaled(8)):
        model = LinearAutoencoder(k, dropout=probability, random_state=seed).fit(X)
        verify("8.2c", abs(model.loss_ / optimum.loss - 1), 1e-10)


@pytest.mark.slow
@pytest.mark.parametrize("max_features", [6, 10])
def test_every_start_of_1800(max_features):
    for seed in range(1000, 1300):
        case = problem(seed, max_features)
        U, s = theory.pca(case.X).components, np.sqrt(case.eigenvalues)
        for start in range(3):
            model = LinearAutoencoder(case.k, dropout=case.p, random_state=start).fit(case.X)
            assert abs(model.loss_ / case.optimum.loss - 1) < 1e-10, seed
            off = model.decoder_weight_ @ model.encoder_weight_ - U * case.optimum.gains @ U.T
            assert np.abs(off @ U * s).max() < 1e-6 * s[0], seed


@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_other_solvers_come_to_the_optimum_too(solver):
    X = datasets.make_gaussian(40, [4.0, 2.0, 1.0], random_state=0)
    model = LinearAutoencoder(4, dropout=0.4, solver=solver, random_state=0).fit(X)
    best = theory.dropout_optimum(theory.pca(X).eigenvalues, 4, 0.4).loss
    assert model.loss_ == pytest.approx(best, rel=1e-6)


@pytest.mark.equation("8.2")
@given(problems)
@settings(max_examples=60)
def test_least_penalty_of_a_map_is_its_nuclear_norm(problem):
    W_e, W_d = problem.weights()
    root = square_root(problem.Sigma)
    penalty = unit_products(problem.Sigma, W_e, W_d).sum()
    U, z, Vt = np.linalg.svd(W_d @ W_e @ root)
    least = z.sum() ** 2 / problem.k
    verify("8.2", (least - penalty) / penalty, EXACT)
    # it is attained: by units that are all alike
    rank = min(problem.k, len(z))
    R = theory.dropout.equalising_rotation(z[:rank], problem.k)
    A, B = U[:, :rank] * np.sqrt(z[:rank]) @ R, R.T * np.sqrt(z[:rank]) @ Vt[:rank]
    np.testing.assert_allclose(A @ B, W_d @ W_e @ root, rtol=0, atol=1e-12 * z[0])
    attained = np.sum(A**2, axis=0) @ np.sum(B**2, axis=1)
    verify("8.2", abs(attained / least - 1), EXACT)


@pytest.mark.parametrize(
    "values", [[5.1, 0, 0, 1.7], [0.9, 0.9, 0.6, 0], [0, 0.3, 0.1, 0.3, 0.3, 0.2], [2, 1, 1, 0]]
)
def test_no_turn_follows_when_equal_variances_are_spread_before_the_last(values):
    """What is left then are rounding errors, of which a turn of 45° would make a large one."""
    R = theory.dropout.equalising_rotation(values, len(values))
    np.testing.assert_allclose(R @ R.T, np.eye(len(values)), atol=1e-14)
    np.testing.assert_allclose(np.diag(R.T @ np.diag(values) @ R), np.mean(values), rtol=1e-13)


# --- 8.3: redundancy is equalisation ------------------------------------------------------------


@pytest.mark.equation("8.3c")
@given(problems)
@settings(max_examples=60)
def test_explicit_weights_of_the_optimum(problem):
    optimum = problem.optimum
    W_e, W_d = theory.dropout_weights(problem.Sigma, problem.k, problem.p)
    loss, grad_W_e, grad_W_d = gradients(network(problem, W_e, W_d), problem.centred)
    verify("8.3c", abs(loss / optimum.loss - 1), EXACT)
    # a gradient in the unit of its own terms: of 2 Σ W_eᵀ, and of 2 W_dᵀ Σ
    Sigma = problem.Sigma
    verify("8.3c", np.abs(grad_W_d).max() / np.abs(Sigma @ W_e.T).max(), EXACT)
    verify("8.3c", np.abs(grad_W_e).max() / np.abs(W_d.T @ Sigma).max(), EXACT)
    products = unit_products(Sigma, W_e, W_d)
    verify("8.3c", np.ptp(products) / products.max(), EXACT)


@pytest.mark.equation("8.3")
@given(problems, st.sampled_from([*ENCODERS]))
@settings(max_examples=60)
def test_price_of_a_unit_under_any_encoder(problem, encoder):
    """The best decoder of any encoder's code: W_d (E hhᵀ + ν diag E h²) = E x hᵀ."""
    X = problem.centred
    h = ENCODERS[encoder](X @ problem.weights(0.5 / X.std())[0].T)
    second = h.T @ h / len(X)
    loaded = second + problem.nu * np.diag(np.diag(second))
    W_d = np.linalg.lstsq(loaded, h.T @ X / len(X), rcond=None)[0].T
    whole = clean_loss(X, h @ W_d.T)
    for j in range(problem.k):
        without = clean_loss(X, h @ W_d.T - np.outer(h[:, j], W_d[:, j]))
        price = (1 + 2 * problem.nu) * (W_d[:, j] @ W_d[:, j]) * np.mean(h[:, j] ** 2)
        # the condition of the equations, 1 + k/ν at most, times rounding
        verify("8.3", abs(without - whole - price) / clean_loss(X, 0 * X), 1e-10)


# --- 8.4: which axes are in use -----------------------------------------------------------------


@pytest.mark.equation("8.4")
@given(problems)
@settings(max_examples=100)
def test_axes_in_use_by_non_negative_least_squares(problem):
    """``Σ (s_i − z_i)² + (ν/k)(Σ z_i)²`` over z ≥ 0, of which k at most are not 0."""
    optimum, s = problem.optimum, np.sqrt(problem.eigenvalues)
    first = s[: problem.k]
    rows = np.vstack([np.eye(len(first)), np.full(len(first), np.sqrt(problem.nu / problem.k))])
    z, residual = nnls(rows, np.append(first, 0))
    verify("8.4", np.abs(z - (optimum.gains * s)[: problem.k]).max() / s[0], 1e-12)
    verify("8.4", abs((residual**2 + np.sum(s[problem.k :] ** 2)) / optimum.loss - 1), 1e-12)
    limits = theory.dropout_limits(problem.eigenvalues, problem.k)
    assert np.sum(limits > problem.p) == optimum.n_axes >= 1
    assert np.all(np.diff(limits) <= 0) and limits[0] == 1


@pytest.mark.equation("8.4")
@pytest.mark.parametrize("k", [3, 6])
def test_trained_models_on_both_sides_of_the_limit(k):
    """The third axis, with 2 % more and less dropout than it can bear."""
    X = datasets.make_gaussian(40, [4.0, 2.0, 1.0, 0.2], exact=True, random_state=0)
    limit = theory.dropout_limits([4.0, 2.0, 1.0, 0.2], k)[2]
    odds = limit / (1 - limit)
    # by hand: 2 − 1 and √2 − 1 above the third
    verify("8.4", abs(odds / (k / (2 + np.sqrt(2) - 2)) - 1), EXACT)
    for nu, axes in ((0.98 * odds, 3), (1.02 * odds, 2)):
        model = LinearAutoencoder(k, dropout=nu / (1 + nu), random_state=0).fit(X)
        M = model.decoder_weight_ @ model.encoder_weight_
        gains = np.linalg.svd(M)[1]
        # 2 % of ν move τ by 2 % of what is left of its way, a gain by 5e-3 at the least
        assert np.sum(gains > 1e-6) == axes and gains[axes - 1] > 1e-3


@pytest.mark.equation("8.4a")
@given(problems)
@settings(max_examples=60)
def test_wide_codes_keep_all_axes_and_undo_dropout(problem):
    s = np.sqrt(problem.eigenvalues)
    s = s[s > 1e-6 * s[0]]
    r, nu, S = len(s), problem.nu, s.sum()
    from_here = max(r, int(nu * np.sum(s / s[-1] - 1)) + 1)
    for k in (from_here, 10 * from_here, 1000 * from_here):
        optimum = theory.dropout_optimum(s**2, k, problem.p)
        assert optimum.n_axes == r
        verify("8.4a", abs(optimum.loss / (nu * S**2 / (k + nu * r)) - 1), EXACT)
        gains = 1 - nu * S / (s * (k + nu * r))
        verify("8.4a", np.abs(optimum.gains - gains).max(), EXACT)
    fewer = from_here - 1
    if fewer >= r:
        assert theory.dropout_optimum(s**2, fewer, problem.p).n_axes < r


@pytest.mark.equation("8.4b")
@given(problems, st.integers(2, 9))
@settings(max_examples=40)
def test_width_and_odds_act_through_their_quotient(problem, c):
    rank = int(np.sum(problem.eigenvalues > 1e-20 * problem.eigenvalues[0]))
    k, odds = max(rank, problem.k), c * problem.nu
    one = theory.dropout_optimum(problem.eigenvalues, k, problem.p)
    other = theory.dropout_optimum(problem.eigenvalues, c * k, odds / (1 + odds))
    verify("8.4b", abs(other.loss / one.loss - 1), EXACT)
    verify("8.4b", np.abs(other.gains - one.gains).max(), EXACT)
    # and with weights: each unit c times, with a c-th of its part in the map
    W_e, W_d = theory.dropout_weights(problem.Sigma, k, problem.p)
    wide = np.repeat(W_e, c, axis=0), np.repeat(W_d, c, axis=1) / c
    loss = theory.dropout_loss(problem.Sigma, *wide, odds / (1 + odds))
    verify("8.4b", abs(loss / one.loss - 1), EXACT)


def test_numbers_of_the_text():
    """Five variances, half of the units dropped."""
    losses = [
        theory.dropout_optimum([4.0, 2.0, 1.0, 0.5, 0.25], k, 0.5).loss
        for k in (2, 5, 10, 100, 1000)
    ]
    assert np.round(losses, 4).tolist() == [4.6642, 3.1642, 2.1066, 0.3009, 0.0314]
    overcomplete = [theory.dropout_optimum([4.0, 2.0, 1.0, 0.5], k, 0.5).loss for k in (4, 8, 80)]
    assert np.round(overcomplete, 3).tolist() == [3.278, 2.186, 0.312]
    for k, gains in (
        (4, [0.68, 0.547, 0.36, 0.095]), (8, [0.787, 0.698, 0.573, 0.396]),
        (80, [0.97, 0.957, 0.939, 0.914]),
    ):  # fmt: skip
        optimum = theory.dropout_optimum([4.0, 2.0, 1.0, 0.5], k, 0.5)
        assert np.round(optimum.gains, 3).tolist() == gains
    eigenvalues = theory.pca(datasets.load_digits().X).eigenvalues
    for k, row in (
        (8, [8, 0.305, 3.015, 2.273, 0.278, 0.121]),
        (16, [16, 0.232, 2.423, 1.565, 0.161, 0.069]),
        (64, [37, 0.108, 1.267, 0.519, 0.035]),
        (256, [50, 0.039, 0.468, 0.078, 0.005]),
    ):
        optimum = theory.dropout_optimum(eigenvalues, k, 0.5)
        numbers = [
            optimum.n_axes, optimum.threshold, optimum.loss, optimum.clean_loss, optimum.unit_loss
        ]  # fmt: skip
        if k < 61:
            numbers.append(theory.dropout_noise_threshold(eigenvalues, k, 0.5))
        assert np.round(numbers, 3).tolist() == row
    assert round(theory.dropout_optimum(eigenvalues, 8, 0.5).scale, 3) == 1.793


# --- 8.5: scale ---------------------------------------------------------------------------------


@pytest.mark.equation("8.5")
@given(problems.filter(lambda problem: problem.k <= 6))
@settings(max_examples=40)
def test_the_mean_of_all_subnetworks_is_the_network(problem):
    """With dropout on input and code of a linear network; each mask is independent."""
    W_e, W_d = problem.weights()
    X, d = problem.centred[:3], problem.X.shape[1]
    mean = 0
    for input_mask, chance in zip(*all_masks(d, problem.p / 2), strict=True):
        for mask, probability in zip(*all_masks(problem.k, problem.p), strict=True):
            mean = mean + chance * probability * ((X * input_mask) @ W_e.T * mask) @ W_d.T
    whole = X @ W_e.T @ W_d.T
    verify("8.5", np.abs(mean - whole).max() / np.abs(whole).max(), EXACT)


@pytest.mark.equation("8.5a")
@given(seeds, st.sampled_from(["relu", "softplus"]), st.floats(0.05, 0.9))
@settings(max_examples=40)
def test_a_convex_unit_behind_dropout_is_larger_on_average(seed, activation, p):
    rng = np.random.default_rng(seed)
    layer = Dense(5, 4, activation)
    Parameters({"layer": layer}).values[...] = rng.standard_normal(24)
    h = rng.standard_normal((6, 5))
    masks, probabilities = all_masks(5, p)
    mean = sum(chance * layer(h * mask) for mask, chance in zip(masks, probabilities, strict=True))
    verify("8.5a", np.max(layer(h) - mean), EXACT)


def test_the_gap_of_a_single_relu():
    """relu(h − 1) at h = 1: 0 without dropout; with p = ½ it is relu(2 − 1) half of the time."""
    masks, probabilities = all_masks(1, 0.5)
    assert probabilities @ np.maximum(masks[:, 0] * 1.0 - 1, 0) == 0.5


@pytest.mark.equation("8.5b")
@given(problems)
@settings(max_examples=60)
def test_best_scale_of_the_trained_map(problem):
    optimum, s = problem.optimum, np.sqrt(problem.eigenvalues)
    z = optimum.gains * s
    best = np.linalg.lstsq(z[:, None], s, rcond=None)[0][0]  # of Σ (s_i − c z_i)²
    verify("8.5b", abs(optimum.scale / best - 1), EXACT)
    assert optimum.scale > 1
    scaled_loss = np.sum((s - best * z) ** 2)
    gained = (optimum.threshold * z.sum()) ** 2 / np.sum(z**2)
    verify("8.5b", abs(optimum.clean_loss - scaled_loss - gained) / optimum.clean_loss, EXACT)


# --- 8.6: noise ---------------------------------------------------------------------------------


@pytest.mark.equation("8.6")
@given(problems)
@settings(max_examples=60)
def test_no_sample_is_rebuilt_better_than_by_pca(problem):
    """Seen in training or not."""
    U = theory.pca(problem.X).components
    d = problem.X.shape[1]
    gains, kept = problem.optimum.gains, np.arange(d) < problem.k
    x = problem.rng.standard_normal((20, d)) * problem.X.std()
    by_dropout, by_pca = (np.sum((x - x @ (U * g) @ U.T) ** 2, axis=1) for g in (gains, kept))
    shrunk = (x @ U)[:, kept] ** 2 @ (1 - gains[kept]) ** 2
    verify("8.6", np.abs(by_dropout - by_pca - shrunk).max() / np.sum(x**2), EXACT)
    assert np.all(shrunk > 0)


@pytest.mark.equation("8.6a")
@given(problems, st.floats(0.05, 20))
@settings(max_examples=60)
def test_dropout_bears_noise_better_from_a_level_on(problem, ratio):
    eigenvalues, optimum = problem.eigenvalues, problem.optimum
    level = theory.dropout_noise_threshold(eigenvalues, problem.k, problem.p)
    kept = np.arange(len(eigenvalues)) < problem.k

    def error(gains, b):  # E‖x − M (x + noise)‖² = tr (I − M) Σ (I − M)ᵀ + b ‖M‖²
        return eigenvalues @ (1 - gains) ** 2 + b * np.sum(gains**2)

    at_level = error(optimum.gains, level), error(kept, level)
    verify("8.6a", abs(at_level[0] / at_level[1] - 1), EXACT)
    if abs(ratio - 1) > 1e-6:
        b = ratio * level
        assert (error(optimum.gains, b) < error(kept, b)) == (ratio > 1)


def test_trained_models_under_input_noise():
    """The same with models: 2d noisy copies of each sample give the error exactly."""
    X = datasets.make_gaussian(60, [4.0, 2.0, 1.0, 0.5], random_state=0)
    k, p, d = 2, 0.4, 4
    level = theory.dropout_noise_threshold(theory.pca(X).eigenvalues, k, p)
    models = [LinearAutoencoder(k, dropout=q, random_state=0).fit(X) for q in (p, 0.0)]
    for ratio in (0.9, 1.1):
        shift = np.sqrt(ratio * level * d) * np.vstack([np.eye(d), -np.eye(d)])
        errors = [
            np.mean([clean_loss(X, model.reconstruct(X + e)) for e in shift]) for model in models
        ]
        assert (errors[0] < errors[1]) == (ratio > 1)


# --- 8.7: noise that can be scaled away, and noise that cannot ----------------------------------


@pytest.mark.equation("8.7")
@given(problems)
@settings(max_examples=40)
def test_noise_added_to_the_code_can_be_scaled_away(problem):
    W_e, W_d = problem.weights()
    X, k, t = problem.centred, problem.k, problem.p
    plain = clean_loss(X, X @ W_e.T @ W_d.T)
    # 2k copies of each code, moved by ± t √k along one entry each, have the noise's moments
    moves = t * np.sqrt(k) * np.vstack([np.eye(k), -np.eye(k)])
    for c in (1, 10, 1000):
        loss = np.mean([clean_loss(X, (c * X @ W_e.T + move) @ (W_d / c).T) for move in moves])
        penalty = t**2 * np.sum(W_d**2) / c**2
        verify("8.7", abs(loss - plain - penalty) / (plain + penalty), EXACT)


@pytest.mark.equation("8.7a")
@given(problems)
@settings(max_examples=40)
def test_dropout_cannot_be_scaled_away(problem):
    W_e, W_d = problem.weights()
    c = 10 ** problem.rng.uniform(-3, 3, problem.k)  # each unit by a factor of its own
    loss, scaled_loss = (
        theory.dropout_loss(problem.Sigma, *weights, problem.p)
        for weights in ((W_e, W_d), (c[:, None] * W_e, W_d / c))
    )
    verify("8.7a", abs(scaled_loss / loss - 1), EXACT)


# --- 8.8: tied weights --------------------------------------------------------------------------


def tied_start(X, k, p, n_starts=4):
    return min(
        (TiedAutoencoder(k, dropout=p, random_state=seed).fit(X) for seed in range(n_starts)),
        key=lambda model: model.loss_,
    )


@pytest.mark.equation("8.8")
@pytest.mark.parametrize("units", [(1, 1), (2, 1), (3, 2), (4, 1, 1)])
@pytest.mark.parametrize("nu", [0.5, 1.5])
def test_tied_weights_reach_the_optimum_where_the_units_can_be_dealt_out(units, nu):
    """s_i = τ (1 + n_i/ν), with n_i units on axis i, each of them alone on it."""
    units, k, p = np.array(units), sum(units), nu / (1 + nu)
    s = np.append(1 + units / nu, 0.5)  # τ = 1, and an axis below it
    optimum = theory.dropout_optimum(s**2, k, p)
    assert optimum.threshold == pytest.approx(1, rel=EXACT)
    lengths = np.sqrt(1 / (nu * s[: len(units)]))  # ‖w‖² s = τ/ν
    W = np.repeat(np.eye(len(s))[: len(units)] * lengths[:, None], units, axis=0)
    loss = theory.dropout_loss(np.diag(s**2), W, W.T, p)
    verify("8.8", abs(loss / optimum.loss - 1), EXACT)
    X = datasets.make_gaussian(30, s**2, exact=True, random_state=0)
    assert tied_start(X, k, p).loss_ == pytest.approx(optimum.loss, rel=1e-9)


@pytest.mark.equation("8.8")
def test_tied_weights_reach_it_with_equal_variances():
    """k ≥ r units of one length with WᵀW ∝ I on the r axes: here a star of five in a plane."""
    angles = 2 * np.pi * np.arange(5) / 5
    nu, k, r = 0.8, 5, 2
    optimum = theory.dropout_optimum([1.0, 1.0], k, nu / (1 + nu))
    gain = optimum.gains[0]
    W = np.sqrt(gain * r / k) * np.column_stack([np.cos(angles), np.sin(angles)])
    loss = theory.dropout_loss(np.eye(2), W, W.T, nu / (1 + nu))
    verify("8.8", abs(loss / optimum.loss - 1), EXACT)


@pytest.mark.equation("8.8")
@pytest.mark.parametrize(("eigenvalues", "k", "p"), [
    ([4.0, 1.9, 1.1, 0.4], 1, 0.4), ([4.0, 1.0], 2, 0.75), ([5.0, 1.3, 0.7], 3, 0.8),
])  # fmt: skip
def test_tied_weights_reach_it_wherever_one_axis_is_in_use(eigenvalues, k, p):
    """All k units are dealt out to that one."""
    optimum = theory.dropout_optimum(eigenvalues, k, p)
    assert optimum.n_axes == 1
    X = datasets.make_gaussian(30, eigenvalues, exact=True, random_state=0)
    verify("8.8", abs(tied_start(X, k, p).loss_ / optimum.loss - 1), 1e-9)


@pytest.mark.equation("8.8")
@pytest.mark.parametrize(
    ("units", "nu"),
    [((1.7, 1.3), 0.5), ((2.4, 1.6), 1.5), ((1.2, 0.8), 1.5), ((2.5, 1.3, 1.2), 0.5)],
)
def test_tied_weights_stay_above_it_where_units_would_have_to_be_split(units, nu):
    """By how much the text does not say; here it is 7e-4 of the loss and more."""
    k, p = round(sum(units)), nu / (1 + nu)
    variances = np.append(1 + np.array(units) / nu, 0.5) ** 2  # as above, τ = 1
    optimum = theory.dropout_optimum(variances, k, p)
    assert (optimum.n_axes, optimum.threshold) == (len(units), pytest.approx(1, rel=EXACT))
    X = datasets.make_gaussian(30, variances, exact=True, random_state=0)
    least = tied_start(X, k, p).loss_
    verify("8.8", optimum.loss * (1 + 1e-4) - least, 0)


# --- exercises ----------------------------------------------------------------------------------


def test_data_that_never_change_have_nothing_to_scale_or_to_lose():
    assert theory.dropout_optimum([0.0, 0.0], 2, 0.5)[:3] == (0.0, 0, 0.0)
    assert theory.dropout_optimum([0.0, 0.0], 2, 0.5).scale == 1.0


def test_exercise_one_feature():
    for k in (1, 9, 10):
        optimum = theory.dropout_optimum([3.0], k, 0.5)
        assert optimum.loss == pytest.approx(3 / (k + 1)) and optimum.gains[0] == k / (k + 1)
        assert (optimum.loss < 0.3 - 1e-12) == (k > 9)


def test_exercise_pca_under_dropout():
    Sigma, axes = np.diag([9.0, 1.0]), np.eye(2)
    assert theory.dropout_loss(Sigma, axes, axes, 0.5) == pytest.approx(10)
    R = theory.dropout.equalising_rotation([3.0, 1.0], 2)
    root = np.diag(np.sqrt([3.0, 1.0]))
    W_d, W_e = root @ R, R.T @ root @ np.diag([1 / 3, 1])
    np.testing.assert_allclose(W_d @ W_e, axes, atol=1e-12)
    assert theory.dropout_loss(Sigma, W_e, W_d, 0.5) == pytest.approx(8)
    optimum = theory.dropout_optimum([9.0, 1.0], 2, 0.5)
    assert (optimum.n_axes, optimum.loss) == (1, pytest.approx(4))


@given(problems.filter(lambda problem: problem.k <= 4))
@settings(max_examples=10)
def test_exercise_forgotten_factors(problem):
    """Masks of 0 and 1: for any weights the loss is that of W_d times q, and so is its minimum."""
    masks, probabilities = all_masks(problem.k, problem.p)
    masks, q, X = masks * (1 - problem.p), 1 - problem.p, problem.centred

    def loss_without_factors(W_e, W_d):
        return probabilities @ [clean_loss(X, (mask * (X @ W_e.T)) @ W_d.T) for mask in masks]

    W_e, W_d = problem.weights()
    right = theory.dropout_loss(problem.Sigma, W_e, q * W_d, problem.p)
    assert loss_without_factors(W_e, W_d) == pytest.approx(right, rel=EXACT)
    W_e, W_d = theory.dropout_weights(problem.Sigma, problem.k, problem.p)
    assert loss_without_factors(W_e, W_d / q) == pytest.approx(problem.optimum.loss, rel=EXACT)


def test_exercise_forgotten_factors_in_numbers():
    s, gains = np.array([2.0, 1.0]), theory.dropout_optimum([4.0, 1.0], 2, 0.5).gains
    assert gains.tolist() == [5 / 8, 1 / 4]
    assert [np.sum(s**2 * (1 - g) ** 2) for g in (gains, 2 * gains)] == [9 / 8, 1 / 2]


def test_exercise_second_axis():
    assert theory.dropout_limits([9.0, 1.0], 2)[1] == pytest.approx(1 / 2)
    assert theory.dropout_limits([9.0, 1.0], 20)[1] == pytest.approx(10 / 11)


# --- the layer ----------------------------------------------------------------------------------


def test_masks_are_independent_with_the_mean_1_and_the_variance_nu():
    """z-tests at 6 standard errors: a false alarm in 500 million."""
    n, p = 40_000, 0.3
    layer, nu = Dropout(3, p), p / (1 - p)
    assert np.array_equal(layer.forward(np.ones((n, 3)), np.random.default_rng(0)), layer.mask)
    assert set(np.unique(layer.mask)) == {0, 1 / (1 - p)}
    deviation = layer.mask - 1
    products = np.column_stack([deviation**2, deviation * np.roll(deviation, 1, axis=1)])
    along_rows = deviation[1:] * deviation[:-1]
    for draws, expected in (
        (deviation, 0), (products[:, :3], nu), (products[:, 3:], 0), (along_rows, 0),
    ):  # fmt: skip
        error = draws.std(axis=0) / np.sqrt(len(draws))
        assert np.all(np.abs(draws.mean(axis=0) - expected) <= 6 * error)


def test_a_layer_that_is_called_drops_nothing_and_remembers_nothing():
    layer, x = Dropout(3, 0.5), np.random.default_rng(0).standard_normal((2, 4, 3))
    assert np.array_equal(layer(x), x) and "mask" not in vars(layer)
    y = layer.forward(x, np.random.default_rng(1))
    assert np.array_equal(y, x * layer.mask) and not np.array_equal(y, x)
    grad_y = np.random.default_rng(2).standard_normal(x.shape)
    assert np.array_equal(layer.backward(grad_y), grad_y * layer.mask)
    assert layer.backward(grad_y, input_gradient=False) is None


def test_masks_are_the_same_in_float32():
    x, layers = np.ones((5, 3)), [Dropout(3, 0.4) for _ in range(2)]
    y64, y32 = (
        layer.forward(x.astype(dtype), np.random.default_rng(0))
        for layer, dtype in zip(layers, (np.float64, np.float32), strict=True)
    )
    assert y32.dtype == layers[1].mask.dtype == layers[1].backward(y32).dtype == np.float32
    assert np.array_equal(y32, y64.astype(np.float32))


def test_no_dropout_is_a_mask_of_ones():
    for rng in (np.random.default_rng(0), None):  # nothing to draw needs no generator
        assert np.all(Dropout(3, 0).forward(np.ones((4, 3)), rng) == 1)


def test_masks_are_drawn_from_a_generator_that_is_handed_over():
    with pytest.raises(ValueError, match=r"rng must be a numpy.random.Generator.*; got None\."):
        Dropout(3, 0.5).forward(np.ones((2, 3)))
    model = Autoencoder(2, dropout=0.5, random_state=0)
    X = model.initialise(np.eye(4))
    with pytest.raises(ValueError, match=r"rng must be a numpy.random.Generator"):
        model.loss_and_gradient(X)


# --- the models ---------------------------------------------------------------------------------

X = np.random.default_rng(0).uniform(size=(30, 5))
FEW = {"batch_size": 8, "max_iter": 3, "random_state": 0}
MODELS = {
    "linear": LinearAutoencoder(7, dropout=0.3, random_state=0),
    "linear-adam": LinearAutoencoder(2, dropout=0.3, solver="adam", max_iter=3, random_state=0),
    "tied": TiedAutoencoder(3, dropout=0.3, random_state=0),
    "mlp": Autoencoder(2, hidden_layer_sizes=(4, 3), dropout=0.3, **FEW),
    "mlp-early": Autoencoder(2, dropout=0.3, early_stopping=True, **FEW),
    "architecture": Autoencoder(2, architecture=FullyConnected((4,), dropout=0.2), **FEW),
    "vae": VAE(2, hidden_layer_sizes=(4, 3), dropout=0.3, **FEW),
    "sparse": SparseAutoencoder(4, dropout=0.3, **FEW),
    "sparse-kl": SparseAutoencoder(4, dropout=0.3, penalty="kl", **FEW),
}
every_model = pytest.mark.parametrize("name", MODELS)


def new(name, **params):
    return type(MODELS[name])(**{**MODELS[name].get_params(), **params})


def kinds(model):
    """The layers of both networks, as letters: D for dense, d for dropout."""
    letters = {Dense: "D", Dropout: "d", Dictionary: "A", LISTA: "L"}
    return [
        "".join(letters.get(type(layer), "?") for layer in network.layers)
        for network in (model.encoder_, model.decoder_)
    ]


@pytest.mark.parametrize(
    ("name", "layers"),
    [
        ("linear", ["D", "D"]),  # in closed form: nothing is drawn
        ("mlp", ["DdDdD", "dDdDdD"]),  # hidden units, and the code on its way into the decoder
        ("vae", ["DdDdD", "DdDdD"]),  # hidden units alone
        ("sparse", ["L", "dA"]),
        ("sparse-kl", ["D", "dA"]),
    ],
)
def test_where_units_are_dropped_and_with_which_probability(name, layers):
    model = new(name)
    model.initialise(X)
    assert kinds(model) == layers
    every_layer = [*model.encoder_.layers, *model.decoder_.layers]
    assert {each.probability for each in every_layer if isinstance(each, Dropout)} <= {0.3}
    model = new(name, n_components=2, dropout=0.0)
    model.initialise(X)
    assert kinds(model) == [part.replace("d", "") for part in layers]


@pytest.mark.parametrize("name", ["mlp", "vae", "sparse"])
def test_another_probability_waits_for_the_next_fit(name):
    model = new(name).fit(X)
    layers = kinds(model)
    assert kinds(model.set_params(dropout=0.0).partial_fit(X)) == layers
    assert kinds(model.fit(X)) == [part.replace("d", "") for part in layers]


@every_model
def test_gradient(name):
    assert gradient_check(new(name), X[:6]).error < 1e-7


@every_model
def test_what_is_trained_drops_nothing(name):
    model = new(name).fit(X)
    assert np.array_equal(model.reconstruct(X), model.reconstruct(X))
    assert np.array_equal(model.transform(X)[:4], model.transform(X[:4]))


@every_model
def test_files_copies_and_checkpoints(name, tmp_path):
    model = new(name).fit(X)
    assert eval(repr(model)).get_params() == model.get_params()
    model.save(tmp_path / "model.npz")
    loaded = nanoae.load(tmp_path / "model.npz")
    assert loaded.get_params() == model.get_params()
    assert loaded.transform(X).tobytes() == model.transform(X).tobytes()
    model.partial_fit(X[:9]), loaded.partial_fit(X[:9])  # draw on from the same place
    assert loaded.parameters_.tobytes() == model.parameters_.tobytes()
    if model._can_checkpoint:
        file = {"checkpoint": tmp_path / "run.npz", "checkpoint_every": 1}
        whole = new(name, max_iter=6).fit(X)
        new(name, max_iter=2).fit(X, **file)
        assert new(name, max_iter=6).fit(X, **file).parameters_.tobytes() == (
            whole.parameters_.tobytes()
        )
        if "architecture" not in name:
            with pytest.raises(ValueError, match=r"another training, in which dropout was 0\.3"):
                new(name, dropout=0.2).fit(X, **file)


def test_files_from_before_there_was_dropout_had_none(tmp_path):
    file = {"checkpoint": tmp_path / "run.npz", "checkpoint_every": 1}
    new("mlp", dropout=0.0, max_iter=2).fit(X, **file)
    tree = persistence.read(tmp_path / "run.npz")
    for params in (tree["state"], tree["state"]["_fitted_params"], tree["run"]["settings"]):
        del params["dropout"]
    persistence.write(tmp_path / "run.npz", tree)
    assert nanoae.load(tmp_path / "run.npz").dropout == 0
    with pytest.raises(ValueError, match=r"training, in which dropout was 0\.0; now .*0\.3"):
        new("mlp", max_iter=4).fit(X, **file)
    resumed = new("mlp", dropout=0.0, max_iter=4).fit(X, **file)
    whole = new("mlp", dropout=0.0, max_iter=4).fit(X)
    assert resumed.parameters_.tobytes() == whole.parameters_.tobytes()


@every_model
def test_float32_stays_float32(name):
    model = new(name).fit(X.astype(np.float32))
    assert model.parameters_.dtype == model.transform(X).dtype == np.float32
    assert model.reconstruct(X).dtype == np.float32


def test_the_sampled_loss_and_gradient_are_unbiased():
    """A deep model without hidden layers or biases draws what the linear one has exactly.

    z-tests at 6 standard errors.
    """
    k, p, rng = 3, 0.4, np.random.default_rng(0)
    sampled = Autoencoder(k, hidden_layer_sizes=(), dropout=p, random_state=0)
    centred = sampled.initialise(X) - X.mean(axis=0)
    exact = LinearAutoencoder(k, dropout=p)
    exact.initialise(X)
    for name, place in (("encoder_", 0), ("decoder_", 1)):
        weight = getattr(exact, name).layers[0].weight
        weight[...] = getattr(sampled, name).layers[place].weight
    draws = []
    for _ in range(scaled(2000)):
        loss, _ = sampled.loss_and_gradient(centred, rng)
        weights = (sampled.encoder_.layers[0], sampled.decoder_.layers[1])
        draws.append(np.concatenate([[loss], *(each.grad_weight.ravel() for each in weights)]))
    loss, gradient = exact.loss_and_gradient(centred)
    error = np.std(draws, axis=0, ddof=1) / len(draws) ** 0.5
    assert np.all(np.abs(np.mean(draws, axis=0) - [loss, *gradient]) <= 6 * error)


def test_weights_count_as_repetitions():
    n_times = np.random.default_rng(0).integers(0, 4, len(X))
    model = LinearAutoencoder(3, dropout=0.3, random_state=0)
    X_repeated = np.repeat(X, n_times, axis=0)
    model.initialise(X_repeated)
    weights = n_times / n_times.mean()
    loss, gradient = model.loss_and_gradient(X, weights=weights)
    gradient = gradient.copy()
    repeated_loss, repeated_gradient = model.loss_and_gradient(X_repeated)
    assert loss == pytest.approx(repeated_loss, rel=1e-12)
    np.testing.assert_allclose(gradient, repeated_gradient, rtol=0, atol=1e-12)


def test_wider_codes_than_samples_need_dropout():
    with pytest.raises(
        ValueError, match=r"at most the number of features, 5, without corruption or dropout; .*7"
    ):
        LinearAutoencoder(7).fit(X)
    model = LinearAutoencoder(7, dropout=0.5, random_state=0).fit(X)
    assert model.transform(X).shape == (30, 7)
    parts = LinearAutoencoder(7, dropout=0.5, random_state=0).partial_fit(X[:9]).partial_fit(X[9:])
    assert parts.loss_ == pytest.approx(model.loss_, rel=1e-9)


@pytest.mark.parametrize("probability", [1, 1.0, -0.1, 2, np.nan, np.inf])
def test_a_probability_is_at_least_0_and_below_1(probability):
    for name in ("linear", "tied", "mlp", "vae", "sparse"):
        model = new(name).fit(X)
        before = model.parameters_.copy()
        with pytest.raises(ValueError, match=r"^dropout must be .*; got .*\.$"):
            model.set_params(dropout=probability).fit(X)
        assert np.array_equal(model.parameters_, before)
    with pytest.raises(ValueError, match=r"^probability must be .*; got .*\.$"):
        Dropout(3, probability)
    for name in ("dropout", "code_dropout"):
        with pytest.raises(ValueError, match=rf"^{name} must be .*; got .*\.$"):
            FullyConnected(**{name: probability})
    with pytest.raises(ValueError, match=r"^probability must be .*; got .*\.$"):
        theory.dropout_optimum([1.0], 1, probability)


def test_without_dropout_there_is_no_level_of_noise():
    with pytest.raises(ValueError, match=r"probability must be .* between 0 and 1; got 0\.0\."):
        theory.dropout_noise_threshold([2.0, 1.0], 1, 0.0)


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        (Autoencoder(2, dropout="half"), r"dropout must be a number; got 'half'\."),
        (Autoencoder(2, dropout=True), r"dropout must be a number; got True\."),
        (Autoencoder(2, dropout=0.5, solver="lbfgs"), r"dropout must be 0 with solver='lbfgs', "),
        (SparseAutoencoder(2, dropout=0.5, solver="lbfgs"), r"dropout must be 0 with solver='lb"),
        (
            LinearAutoencoder(2, dropout=0.5, solver="alternating"),
            r"dropout must be 0 with solver='alternating', .*; got 0\.5\. Use solver='lbfgs'\.",
        ),
        (VAE(2, hidden_layer_sizes=(), dropout=0.5), r"dropout must be 0 without hidden layers"),
        (
            Autoencoder(2, dropout=0.5, architecture=FullyConnected((4,))),
            r"dropout must be left at 0\.0 beside an architecture, which has layers of its own",
        ),
        (
            Autoencoder(2, architecture=FullyConnected(dropout=0.5), solver="lbfgs"),
            r"rng must be a numpy.random.Generator",
        ),
    ],
    ids=lambda value: repr(value) if hasattr(value, "fit") else "",
)
def test_what_cannot_be_is_one_sentence(model, sentence):
    with pytest.raises((ValueError, TypeError), match=sentence):
        model.fit(X)


@pytest.mark.parametrize("p", [1e-3, 1e-12, 1e-17, 1e-100])
def test_a_little_dropout_has_its_noise_threshold_and_its_clean_loss(p):
    """Of two axes, from decimals: ``τ = ν S/(k + 2ν)``, shares lost ``τ/s``."""
    with decimal.localcontext(prec=250):
        nu = Decimal(p) / (1 - Decimal(p))
        s = [Decimal(3).sqrt(), Decimal(1)]
        tau = nu * sum(s) / (2 + 2 * nu)
        threshold = 2 * tau**2 / sum(1 - (1 - tau / value) ** 2 for value in s)
    np.testing.assert_allclose(
        theory.dropout_noise_threshold([3.0, 1.0], 2, p), float(threshold), rtol=1e-13
    )
    optimum = theory.dropout_optimum([3.0, 1.0], 2, p)
    np.testing.assert_allclose(optimum.clean_loss, float(2 * tau**2), rtol=1e-13)


def test_almost_all_dropped_leaves_its_share_of_the_first_axis():
    """With one axis in use the gain is ``k/(k + ν)``."""
    p = 1 - 1e-12
    gain = Fraction(2) / (2 + Fraction(p) / (1 - Fraction(p)))
    np.testing.assert_allclose(
        theory.dropout_optimum([3.0, 1.0], 2, p).gains, [float(gain), 0], rtol=1e-14
    )
