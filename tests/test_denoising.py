"""Chapter 7: what noise teaches, held against the denoisers that are known exactly.

Expectations over noise are sums here, not averages of draws: over all patterns of a mask, or over
a grid that integrates smooth functions to rounding.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.integrate import trapezoid
from scipy.linalg import solve_banded
from scipy.special import expit, softmax
from theory_report import verify

from nanoae import (
    VAE,
    AdversarialAutoencoder,
    Autoencoder,
    ContractiveAutoencoder,
    GaussianNoise,
    LinearAutoencoder,
    MaskingNoise,
    SaltAndPepper,
    SparseAutoencoder,
    TiedAutoencoder,
    datasets,
    denoising,
    load,
    theory,
)
from nanoae.denoising import Corruption
from nanoae.exceptions import ConvergenceWarning
from nanoae.lbfgs import LBFGS
from nanoae.network import FullyConnected

SEEDS = st.integers(0, 10**6)
# a quadrature of positive terms, of some 10⁴ roundings that do not all go one way
ROUNDING = 1e-11
STEP = 1e-4  # of central differences of the fourth order, which leave some 1e-10


def squares(rows):
    return np.sum(rows**2, axis=-1)


def some_data(seed, d=None):
    """A handful of points, and noise that neither hides nor hardly blurs them."""
    rng = np.random.default_rng(seed)
    d = 1 + seed % 2 if d is None else d
    X = rng.standard_normal((int(rng.integers(2, 6)), d))
    return theory.NoisyData(X, float(rng.uniform(0.4, 1.2))), rng


class Net:
    """``r(x̃) = W₂ tanh(W₁ x̃ + b)``, with the derivatives that the claims need."""

    def __init__(self, rng, d, width=5):
        self.W1, self.W2 = rng.standard_normal((width, d)), rng.standard_normal((d, width))
        self.b = rng.standard_normal(width)

    def __call__(self, x):
        return np.tanh(x @ self.W1.T + self.b) @ self.W2.T

    def jacobian(self, x):
        slope = 1 - np.tanh(x @ self.W1.T + self.b) ** 2
        return np.einsum("dj,mj,je->mde", self.W2, slope, self.W1)

    def divergence(self, x):
        return np.trace(self.jacobian(x), axis1=1, axis2=2)

    def laplacian(self, x):
        t = np.tanh(x @ self.W1.T + self.b)
        return (-2 * t * (1 - t**2) * squares(self.W1)) @ self.W2.T


def derivative(f, x):
    """``∂f/∂x`` of a function of one number, by four differences."""
    return (8 * (f(x + STEP) - f(x - STEP)) - (f(x + 2 * STEP) - f(x - 2 * STEP))) / (12 * STEP)


def gradient(f, x):
    """The same by every coordinate of points ``(m, d)``, on the last axis."""
    directions = np.eye(x.shape[1])
    return np.stack([derivative(lambda t, e=e: f(x + t * e), 0.0) for e in directions], axis=-1)


def patterns(X, probability, values):
    """All that can become of a small data set: x, x̃ and the probability of each case.

    Entries are replaced one by one with a ``probability``, by each of the ``values`` alike.
    """
    n, d = X.shape
    x, x_tilde, weights = [], [], []
    for choice in itertools.product([None, *values], repeat=d):
        replaced = np.array([value is not None for value in choice])
        new = np.array([0.0 if value is None else value for value in choice])
        m = replaced.sum()
        x.append(X)
        x_tilde.append(np.where(replaced, new, X))
        each = (probability / len(values)) ** m * (1 - probability) ** (d - m)
        weights.append(np.full(n, each / n))
    return np.vstack(x), np.vstack(x_tilde), np.concatenate(weights)


# --- 7.1, 7.2: the best denoiser ---------------------------------------------------------------


def discrete_case(seed):
    """A few points with zeros and ones among their entries, so that corrupted ones coincide."""
    rng = np.random.default_rng(seed)
    X = rng.integers(0, 3, (int(rng.integers(2, 6)), 3)) / 2
    p = float(rng.uniform(0.1, 0.6))
    if seed % 2:
        x, x_tilde, w = patterns(X, p, [0.0])
        of_each = theory.masking_log_likelihood(x_tilde, X, p)
    else:
        x, x_tilde, w = patterns(X, p, [0.0, 1.0])
        of_each = theory.salt_and_pepper_log_likelihood(x_tilde, X, p)
    return x, x_tilde, w, theory.posterior_mean(of_each, X), rng


def gaussian_case(seed):
    data, rng = some_data(seed)
    x, x_tilde, w = data.nodes()
    return x, x_tilde, w, data.denoiser(x_tilde), rng


CASES = st.sampled_from([discrete_case, gaussian_case])


@pytest.mark.equation("7.1")
@pytest.mark.equation("7.1a")
@given(case=CASES, seed=SEEDS)
@settings(max_examples=40)
def test_what_a_denoiser_loses_beyond_the_best_is_its_distance_from_it(case, seed):
    x, x_tilde, w, best, rng = case(seed)
    r = Net(rng, x.shape[1])(x_tilde)
    loss, least = w @ squares(r - x), w @ squares(best - x)
    verify("7.1", abs(loss - least - w @ squares(r - best)) / loss, ROUNDING)
    noise = w @ squares(x_tilde - x)
    verify("7.1a", abs(noise - w @ squares(x_tilde - best) - least) / noise, ROUNDING)


@pytest.mark.equation("7.2")
@given(case=CASES, seed=SEEDS)
@settings(max_examples=40)
def test_the_weighted_mean_is_the_conditional_expectation(case, seed):
    """Whose definition is that the rest is orthogonal to every function of x̃."""
    x, x_tilde, w, best, rng = case(seed)
    g = Net(rng, x.shape[1])(x_tilde)
    of_both = math.sqrt((w @ squares(best - x) + 1e-300) * (w @ squares(g)))
    verify("7.2", abs(w @ np.sum((best - x) * g, axis=1)) / max(of_both, 1e-15), ROUNDING)


@pytest.mark.equation("7.2")
@given(seed=SEEDS)
@settings(max_examples=20)
def test_points_that_coincide_have_the_mean_of_where_they_come_from(seed):
    x, x_tilde, w, best, _ = discrete_case(seed)
    for point in np.unique(x_tilde, axis=0):
        same = np.all(x_tilde == point, axis=1)
        mean = w[same] @ x[same] / w[same].sum()
        verify("7.2", np.abs(best[same] - mean).max(), 1e-14)  # a handful of roundings


def test_a_point_that_no_sample_can_have_become_has_no_best_answer():
    of_each = theory.masking_log_likelihood([[0.0, 1.0], [3.0, 0.0]], [[1.0, 1.0]], 0.5)
    with pytest.raises(ValueError, match=r"1 point\(s\) .* the first in row 1"):
        theory.posterior_mean(of_each, [[1.0, 1.0]])


def attention(x_tilde, X, scale, *, bias):
    K, b = X / scale**2, -squares(X) / (2 * scale**2) if bias else 0
    return softmax(x_tilde @ K.T + b, axis=1) @ X


@pytest.mark.equation("7.2a")
@given(seed=SEEDS)
@settings(max_examples=40)
def test_the_best_denoiser_is_attention_with_a_bias(seed):
    data, rng = some_data(seed)
    x_tilde = 2 * rng.standard_normal((20, data.X.shape[1]))
    best = data.denoiser(x_tilde)
    verify("7.2a", np.abs(attention(x_tilde, data.X, data.scale, bias=True) - best).max(), 1e-12)


def test_attention_without_the_bias_is_another_unless_all_samples_are_as_long():
    data, rng = some_data(3)
    x_tilde = rng.standard_normal((20, data.X.shape[1]))
    wrong = attention(x_tilde, data.X, data.scale, bias=False) - data.denoiser(x_tilde)
    assert np.abs(wrong).max() > 0.1
    on_a_circle = theory.NoisyData(data.X / np.linalg.norm(data.X, axis=1)[:, None], data.scale)
    right = attention(x_tilde, on_a_circle.X, data.scale, bias=False)
    assert np.abs(right - on_a_circle.denoiser(x_tilde)).max() < 1e-12


# --- 7.3 to 7.5: Gaussian noise, and the score -------------------------------------------------


@pytest.mark.equation("7.3")
@pytest.mark.equation("7.3a")
@given(seed=SEEDS)
@settings(max_examples=40)
def test_tweedie(seed):
    data, rng = some_data(seed)
    x = 2 * rng.standard_normal((20, data.X.shape[1]))
    score = gradient(data.log_density, x)
    # differences of the fourth order with h = 1e-4 leave some h⁴, and rounding ε/h of log p
    step = data.denoiser(x) - x
    verify("7.3", np.abs(step - data.scale**2 * score).max() / np.abs(step).max(), 1e-9)
    J = data.jacobian(x)
    numeric = gradient(data.denoiser, x)
    verify("7.3a", np.abs(J - numeric).max() / max(1, np.abs(J).max()), 1e-9)
    verify("7.3a", np.abs(J - np.swapaxes(J, 1, 2)).max(), 1e-13)
    verify("7.3a", -np.linalg.eigvalsh(J).min(), 1e-13)


@pytest.mark.equation("7.4")
@pytest.mark.equation("7.4a")
@pytest.mark.equation("7.4b")
@given(seed=SEEDS)
@settings(max_examples=30)
def test_the_least_loss_is_told_by_the_score(seed):
    data, _ = some_data(seed)
    X, s2 = data.X - data.X.mean(axis=0), data.scale**2
    data = theory.NoisyData(X, data.scale)
    d, least = X.shape[1], data.least_loss()
    _, x_tilde, w = data.nodes()
    J = w @ squares(data.score(x_tilde))
    # a difference of numbers of size dσ², of which little is left where points are far apart
    verify("7.4", abs(least - (d * s2 - s2**2 * J)) / (d * s2), ROUNDING)
    traces = np.trace(data.jacobian(x_tilde), axis1=1, axis2=2)
    verify("7.4a", abs(least - s2 * (w @ traces)) / (d * s2), ROUNDING)
    Sigma = X.T @ X / len(X)
    linear = theory.linear_denoiser(Sigma, np.full(d, s2), d).loss
    gap = s2**2 * (J - np.trace(np.linalg.inv(Sigma + s2 * np.eye(d))))
    verify("7.4b", abs(linear - least - gap) / linear, ROUNDING)
    assert 0 < least < linear < d * s2  # a few points are not Gaussian; the identity costs dσ²


@pytest.mark.equation("7.5")
@pytest.mark.equation("7.5a")
@pytest.mark.equation("7.5b")
@given(seed=SEEDS)
@settings(max_examples=30)
def test_denoising_is_score_matching(seed):
    data, rng = some_data(seed)
    x, x_tilde, w = data.nodes()
    d, s2, r = x.shape[1], data.scale**2, Net(rng, x.shape[1])
    psi = (r(x_tilde) - x_tilde) / s2
    score = data.score(x_tilde)
    loss, J = w @ squares(r(x_tilde) - x), w @ squares(score)
    explicit = w @ squares(psi - score) / 2
    verify("7.5", abs(loss - 2 * s2**2 * (explicit + (d / s2 - J) / 2)) / loss, ROUNDING)
    divergence = (r.divergence(x_tilde) - d) / s2
    implicit = w @ (squares(psi) / 2 + divergence)
    verify("7.5a", abs(explicit - implicit - J / 2) / explicit, ROUNDING)
    sure = w @ squares(r(x_tilde) - x_tilde) + 2 * s2 * (w @ r.divergence(x_tilde)) - d * s2
    verify("7.5b", abs(loss - sure) / loss, ROUNDING)


@pytest.mark.equation("7.5c")
@given(seed=SEEDS)
@settings(max_examples=20)
def test_the_field_of_a_tied_network_is_a_gradient(seed):
    rng = np.random.default_rng(seed)
    W, b, c = rng.standard_normal((5, 3)), rng.standard_normal(5), rng.standard_normal(3)
    x = rng.standard_normal((7, 3))

    def potential(x):
        return np.log(np.cosh(x @ W.T + b)).sum(axis=1) + x @ c - squares(x) / 2

    field = np.tanh(x @ W.T + b) @ W + c - x
    verify("7.5c", np.abs(gradient(potential, x) - field).max() / np.abs(field).max(), 1e-9)


def test_the_field_of_an_untied_network_need_not_be_one():
    net = Net(np.random.default_rng(0), 3)
    J = net.jacobian(np.zeros((1, 3)))[0]
    assert np.abs(J - J.T).max() > 0.1 * np.abs(J).max()


# --- 7.6: data whose best denoiser has a name --------------------------------------------------


def two_points(seed, d):
    rng = np.random.default_rng(seed)
    a = rng.standard_normal(d)
    a *= rng.uniform(0.6, 1.5) / np.linalg.norm(a)
    return a, theory.NoisyData(np.stack([a, -a]), float(rng.uniform(0.4, 0.9)))


@pytest.mark.equation("7.6")
@pytest.mark.equation("7.6b")
@given(seed=SEEDS)
@settings(max_examples=30)
def test_two_points(seed):
    a, data = two_points(seed, 2)
    x, x_tilde, w = data.nodes()
    best = theory.two_points_denoiser(x_tilde, a, data.scale)
    verify("7.6", np.abs(best - data.denoiser(x_tilde)).max(), 1e-13)
    least = theory.two_points_loss(float(np.linalg.norm(a)), data.scale)
    verify("7.6b", abs(least - w @ squares(best - x)) / least, ROUNDING)


class Listed(Corruption):
    """Corrupted points that stand in a list, one for each sample: a quadrature's."""

    def __init__(self, x_tilde):
        self.x_tilde = x_tilde

    def __call__(self, X, rng):
        return self.x_tilde


@pytest.mark.equation("7.6a")
@pytest.mark.parametrize("seed", range(4))
def test_one_trained_unit_finds_the_two_points(seed):
    a, data = two_points(seed, 2)
    x, x_tilde, w = data.nodes(0.3)
    model = Autoencoder(
        1, architecture=FullyConnected((), code_activation="tanh"), random_state=seed
    )
    model.initialise(x)
    model.corruption = Listed(x_tilde)
    LBFGS(
        lambda: model.loss_and_gradient(x, None, w * len(w)), model.parameters_,
        max_iter=500, tol=1e-11, callback=lambda loss: None,
    ).minimise()  # fmt: skip
    encoder, decoder = model.encoder_.layers[0], model.decoder_.layers[0]
    sign = np.sign(decoder.weight[0] @ a)
    expected = a / data.scale**2
    # the optimizer stops where the gradient is 1e-11 of the start's; the curvature is of size 1
    for found, right in (
        (sign * encoder.weight[:, 0], expected), (sign * decoder.weight[0], a),
        (encoder.bias, np.zeros(1)), (decoder.bias, np.zeros(2)),
    ):  # fmt: skip
        verify("7.6a", np.abs(found - right).max(), 1e-6)


def ring(distance, radius, scale):
    """The best denoiser of a circle by an average over 400 points of it, and its Jacobian."""
    angles = np.linspace(0, 2 * np.pi, 400, endpoint=False)
    X = radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    data, x = theory.NoisyData(X, scale), np.array([[distance, 0.0]])
    return data.denoiser(x)[0, 0], np.diag(data.jacobian(x)[0])


@pytest.mark.equation("7.6c")
@given(radius=st.floats(0.5, 3), ratio=st.floats(0.08, 0.9), distance=st.floats(0.05, 2))
@settings(max_examples=40)
def test_a_circle(radius, ratio, distance):
    scale, rho = ratio * radius, distance * radius
    found = theory.circle_denoiser(rho, radius, scale)
    length, (across, along) = ring(rho, radius, scale)
    verify("7.6c", abs(found.radius - length) / radius, 1e-13)
    # differences of numbers of size R²/σ², up to 156
    verify("7.6c", max(abs(found.across - across), abs(found.along - along)), 1e-11)


@pytest.mark.equation("7.6d")
@given(radius=st.floats(0.5, 3), ratio=st.floats(0.05, 0.7))
@settings(max_examples=40)
def test_where_a_circle_leaves_points(radius, ratio):
    scale = ratio * radius
    rho = theory.circle_ridge(radius, scale)
    found = theory.circle_denoiser(rho, radius, scale)
    verify("7.6d", abs(found.radius - rho) / radius, 1e-13)
    # eigenvalues are R²/σ² times numbers that are known to rounding, as the root is
    rounding = 1e-14 * (radius / scale) ** 4
    verify("7.6d", abs(found.along - 1), max(rounding, 1e-13) / (rho / radius) ** 2)
    right = (radius**2 - rho**2) / scale**2 - 1
    verify("7.6d", abs(found.across - right), max(rounding, 1e-12) / (rho / radius) ** 2)


@pytest.mark.equation("7.6e")
def test_the_ridge_lies_inside_the_circle():
    for ratio in (0.02, 0.04, 0.08):
        rho = theory.circle_ridge(1.0, ratio)
        leading = 1 - ratio**2 / 2
        # the next term is −3/8 σ⁴, and the one after it O(σ⁶)
        verify("7.6e", abs((rho - leading) / (-3 / 8 * ratio**4) - 1), 5 * ratio**2)


@pytest.mark.parametrize("scale", [0.045, 0.0447, 1e-3, 1e-5, 1e-9])
def test_beside_a_sharp_circle_no_digits_are_lost(scale):
    """Of A′(κ) = 1/2κ² + 1/4κ³ + 3/8κ⁴ + …, as a difference, a rounding of 1 is left."""
    found = theory.circle_denoiser(1.0, 1.0, scale)
    expected = scale**2 / 2 + scale**4 / 4 + 3 / 8 * scale**6 + 25 / 32 * scale**8
    rounding = 1e-15 / scale**4 if 1 / scale**2 < 500 else 1e-14
    np.testing.assert_allclose(found.across, expected, rtol=5 * scale**8 + rounding)
    np.testing.assert_allclose(found.along * scale**2, found.radius * scale**2, rtol=1e-14)
    ridge = theory.circle_ridge(1.0, scale)
    assert ridge == pytest.approx(1 - scale**2 / 2 - 3 / 8 * scale**4, abs=2 * scale**6 + 1e-15)


@pytest.mark.parametrize("gap", [1e-3, 1e-6, 3e-9, 2e-9, 1e-12, 1e-15])
def test_the_ridge_comes_out_of_the_centre_like_a_root(gap):
    """ρ² = 8 σ⁴ (1 − 2σ²/R²), and little more, where σ is just below R/√2."""
    ratio = (1 - gap) / 2**0.5
    rest = 1 - 2 * ratio**2
    expected = ratio**2 * (8 * rest) ** 0.5
    assert 5 * theory.circle_ridge(0.2, 0.2 * ratio) == pytest.approx(expected, rel=rest + 1e-7)


@pytest.mark.parametrize("function", [
    lambda scale: theory.circle_ridge(1.0, scale),
    lambda scale: theory.circle_denoiser(0.5, 1.0, scale),
])  # fmt: skip
def test_a_circle_is_seen_through_some_noise(function):
    for scale in (0.0, -1.0, np.nan):
        with pytest.raises(ValueError, match="scale must be finite and greater than 0; got"):
            function(scale)


@pytest.mark.equation("7.6f")
@pytest.mark.parametrize("d", [2, 3, 5])
def test_when_all_is_drawn_to_the_centre(d):
    """The slope of r* at the centre of a sphere passes 1 where σ = R/√d."""
    rng = np.random.default_rng(d)
    # points whose mean is 0 and whose covariance is that of the sphere: all that the slope sees
    axes = np.linalg.qr(rng.standard_normal((d, d)))[0]
    X = np.vstack([axes, -axes])
    for scale, drawn_in in ((0.99 / d**0.5, False), (1.01 / d**0.5, True)):
        slope = theory.NoisyData(X, scale).jacobian(np.zeros((1, d)))[0]
        verify("7.6f", np.abs(slope - np.eye(d) / (d * scale**2)).max(), 1e-12)
        assert (slope[0, 0] < 1) == drawn_in
    assert theory.circle_ridge(1.0, 0.99 / 2**0.5) > 0 == theory.circle_ridge(1.0, 1.01 / 2**0.5)


@pytest.mark.equation("7.6g")
def test_the_loss_over_the_variance_counts_dimensions():
    angles = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    X = np.stack([np.cos(angles), np.sin(angles)], axis=1)

    def per_variance(scale):
        data = theory.NoisyData(X, scale)
        of_one = theory.NoisyData(X[:1], scale)  # all points are alike
        x, x_tilde, w = of_one.nodes(0.5)
        return w @ squares(data.denoiser(x_tilde) - x) / scale**2

    # a circle to the noise: its dimension 1, and the curvature's share, to the next order
    for scale in (0.08, 0.12, 0.16):
        verify("7.6g", abs(per_variance(scale) - (1 + scale**2 / 2)), 2 * scale**4)
    verify("7.6g", per_variance(0.01), 1e-3)  # 64 points, a tenth apart: dimension 0


# --- 7.7 to 7.10: linear denoisers -------------------------------------------------------------


KINDS = {
    "gaussian": (GaussianNoise(0.5), None),
    "masking": (MaskingNoise(0.4), (0.4, [0.0])),
    "salt and pepper": (SaltAndPepper(0.3), (0.3, [0.0, 1.0])),
}


def expected_cases(X, kind):
    """x, x̃ and weights whose moments up to the second are those of the corruption, exactly."""
    corruption, replaced = KINDS[kind]
    n, d = X.shape
    if replaced is None:  # 2d copies for the noise's covariance
        steps = corruption.scale * d**0.5 * np.vstack([np.eye(d), -np.eye(d)])
        x = np.repeat(X, 2 * d, axis=0)
        return x, x + np.tile(steps, (n, 1)), np.full(len(x), 1 / len(x))
    probability, values = replaced
    x, x_tilde, w = patterns(X, probability, values)
    return x, (x_tilde - probability * np.mean(values)) / (1 - probability), w


def noise_of(X, kind):
    """Diagonal of N, by the theory."""
    mean, variance = X.mean(axis=0), X.var(axis=0)
    if kind == "gaussian":
        return np.full(len(mean), 0.25)
    if kind == "masking":
        return theory.replacement_noise(mean, variance, 0.4)
    return theory.replacement_noise(mean, variance, 0.3, 0.5, 0.25)


def pixels(seed, d=4, n=9, rank=None):
    rng = np.random.default_rng(seed)
    if rank is None:
        return rng.random((n, d))
    X = rng.random((n, rank)) @ rng.random((rank, d))
    return X / X.max()


@pytest.mark.equation("7.7")
@pytest.mark.equation("7.7a")
@given(kind=st.sampled_from([*KINDS]), seed=SEEDS)
@settings(max_examples=40)
def test_a_linear_map_sees_the_noise_through_its_covariance(kind, seed):
    X = pixels(seed)
    x, x_tilde, w = expected_cases(X, kind)
    noise = x_tilde - x
    verify("7.7a", np.abs(w @ noise).max(), 1e-13)  # right on average
    N = np.diag(noise_of(X, kind))
    verify("7.7a", np.abs(noise.T @ (w[:, None] * noise) - N).max() / N.max(), 1e-13)
    mean, Sigma = X.mean(axis=0), np.cov(X.T, bias=True)
    M = np.random.default_rng(seed).standard_normal((4, 4))
    R = np.eye(4) - M
    loss = np.trace(R @ Sigma @ R.T) + np.trace(M @ N @ M.T)
    exact = w @ squares((x_tilde - mean) @ M.T + mean - x)
    verify("7.7", abs(loss - exact) / exact, 1e-13)


@pytest.mark.equation("7.7")
@pytest.mark.parametrize("model", [LinearAutoencoder(2), TiedAutoencoder(2)], ids=repr)
@pytest.mark.parametrize("kind", KINDS)
def test_the_models_train_on_the_expected_loss(model, kind):
    X = pixels(0)
    model = type(model)(2, corruption=KINDS[kind][0], random_state=0)
    X_centred = model.initialise(X) - model.mean_
    weights = np.linspace(0.5, 1.5, len(X))
    x, x_tilde, w = expected_cases(X, kind)
    M, mean = model.decoder_weight_ @ model.encoder_weight_, X.mean(axis=0)
    exact = w @ squares((x_tilde - mean) @ M.T + mean - x)
    verify("7.7", abs(model.loss_and_gradient(X_centred)[0] / exact - 1), 1e-13)
    # a sample of the weight 2 is one that is there twice
    doubled = np.vstack([X_centred, X_centred[:3]])
    weights = np.repeat([2.0, 1.0], [3, len(X) - 3])
    one = model.loss_and_gradient(doubled)[0]
    other = model.loss_and_gradient(X_centred, None, weights / weights.mean())[0]
    assert abs(one / other - 1) < 1e-13


@pytest.mark.parametrize("model", [LinearAutoencoder, TiedAutoencoder])
@pytest.mark.parametrize("kind", KINDS)
def test_noise_at_the_input_and_dropout_of_the_code_add_up(kind, model):
    """The loss is the mean over both, each mask of the code with each corruption."""
    X, p = pixels(0), 0.3
    model = model(3, corruption=KINDS[kind][0], dropout=p, random_state=0)
    loss = model.loss_and_gradient(model.initialise(X) - model.mean_)[0]
    x, x_tilde, w = expected_cases(X, kind)
    h = (x_tilde - model.mean_) @ model.encoder_weight_.T
    exact = 0.0
    for mask in itertools.product([0, 1], repeat=3):
        x_hat = h * mask / (1 - p) @ model.decoder_weight_.T + model.mean_
        weight = p ** (3 - sum(mask)) * (1 - p) ** sum(mask)
        exact += weight * (w @ squares(x_hat - x))
    assert abs(loss / exact - 1) < 1e-13


@pytest.mark.equation("7.7b")
@given(kind=st.sampled_from(["masking", "salt and pepper"]), seed=SEEDS)
@settings(max_examples=20)
def test_without_rescaling_the_best_map_is_larger_and_its_loss_the_same(kind, seed):
    X, (probability, values) = pixels(seed), KINDS[kind][1]
    x, x_tilde, w = patterns(X, probability, values)
    # the best affine map by least squares, with the bias that it needs
    columns = np.hstack([x_tilde, np.ones((len(x), 1))]) * np.sqrt(w)[:, None]
    solution = np.linalg.lstsq(columns, x * np.sqrt(w)[:, None], rcond=None)[0]
    best = theory.linear_denoiser(np.cov(X.T, bias=True), noise_of(X, kind), 4)
    raw = best.map / (1 - probability)
    verify("7.7b", np.abs(solution[:4].T - raw).max() / np.abs(raw).max(), 1e-10)
    loss = squares(columns @ solution - x * np.sqrt(w)[:, None]).sum()
    verify("7.7b", abs(loss / best.loss - 1), 1e-12)


@pytest.mark.equation("7.8")
@pytest.mark.many
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("k", [1, 3, 4, 6])
@pytest.mark.parametrize("kind", KINDS)
def test_trained_linear_denoisers_are_the_wiener_filter(kind, k, seed):
    X = pixels(seed, n=12) * np.array([1, 0.8, 0.6, 0.3])
    if seed == 2:
        X[:, 3] = X[:, 0] / 3  # a singular covariance
    best = theory.linear_denoiser(np.cov(X.T, bias=True), noise_of(X, kind), k)
    model = LinearAutoencoder(k, corruption=KINDS[kind][0], tol=1e-13, random_state=seed).fit(X)
    M = model.decoder_weight_ @ model.encoder_weight_
    # loss and gradient are of size 1 and known to 1e-16; a map errs as the root of a loss does
    verify("7.8", np.abs(M - best.map).max(), 1e-6)
    verify("7.8", abs(model.loss_ / best.loss - 1), 1e-10)


@pytest.mark.equation("7.8a")
@given(seed=SEEDS, k=st.integers(1, 5), scale=st.floats(0.1, 3))
@settings(max_examples=30)
def test_gaussian_noise_keeps_the_axes_and_shrinks_them(seed, k, scale):
    rng = np.random.default_rng(seed)
    lam = np.sort(rng.uniform(0.1, 4, 5))[::-1] * [1, 0.8, 0.6, 0.4, 0.2]
    U = np.linalg.qr(rng.standard_normal((5, 5)))[0]
    best = theory.linear_denoiser(U * lam @ U.T, np.full(5, scale**2), k)
    gains = lam[:k] / (lam[:k] + scale**2)
    verify("7.8a", np.abs(best.map - U[:, :k] * gains @ U[:, :k].T).max(), 1e-11)
    loss = np.sum(gains * scale**2) + lam[k:].sum()
    verify("7.8a", abs(best.loss / loss - 1), 1e-12)


@pytest.mark.equation("7.8b")
@given(seed=SEEDS, k=st.integers(1, 5), scale=st.floats(0.1, 1.5))
@settings(max_examples=30)
def test_three_ways_to_one_shrinkage(seed, k, scale):
    """Denoising the clean data; weight decay, and a β-VAE, on the noisy data."""
    rng = np.random.default_rng(seed)
    lam = np.array([4.0, 2.5, 1.2, 0.6, 0.2]) * rng.uniform(0.9, 1.1, 5)
    noisy = lam + scale**2
    best = theory.linear_denoiser(np.diag(lam), np.full(5, scale**2), k)
    X = datasets.make_gaussian(20, noisy, exact=True, random_state=seed)
    decay = theory.weight_decay_optimum(X, k, scale**2)
    verify("7.8b", np.abs(np.diag(best.map)[:k] - decay.singular_values**2).max(), 1e-12)
    vae = theory.linear_vae_optimum(noisy, k, beta=2.0, noise_variance=scale**2 / 2)
    W = np.eye(5)[:, :k] * vae.decoder_norms
    V = theory.linear_vae_encoder(W, scale**2)[0]
    verify("7.8b", np.abs(best.map - W @ V).max(), 1e-12)


def angle(kind_of_noise, Sigma, k=1):
    """Between the axes that denoising chooses and PCA's, in radians."""
    best = theory.linear_denoiser(Sigma, kind_of_noise, k)
    pca = np.linalg.eigh(Sigma)[1][:, ::-1]
    return theory.largest_principal_angle(best.axes[:, :k], pca[:, :k])


def masked(Sigma, p):
    return theory.replacement_noise(np.zeros(len(Sigma)), np.diag(Sigma), p)


@pytest.mark.equation("7.9")
def test_masking_turns_the_axes():
    Sigma = np.array([[4.0, 1.0], [1.0, 1.0]])
    exact = abs(math.atan(11 / 12) - math.atan(2 / 3)) / 2
    verify("7.9", abs(angle(masked(Sigma, 0.5), Sigma) - exact), 1e-14)
    verify("7.9", angle(np.full(2, 0.7), Sigma), 1e-7)  # Gaussian noise does not


@pytest.mark.equation("7.9a")
@pytest.mark.parametrize("seed", range(4))
def test_masking_chooses_what_is_redundant(seed):
    """One feature of variance 5, or four of variance 1 that are the same."""
    Sigma = np.zeros((5, 5))
    Sigma[0, 0], Sigma[1:, 1:] = 5, 1
    switch = 4 / 15
    for p, turned in ((switch - 1e-6, 0.0), (switch + 1e-6, np.pi / 2), (0.5, np.pi / 2)):
        verify("7.9a", abs(angle(masked(Sigma, p), Sigma) - turned), 1e-7)
    signs = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]])  # these two vary on their own
    X = np.hstack([5**0.5 * signs[:, :1], np.repeat(signs[:, 1:], 4, axis=1)])
    model = LinearAutoencoder(1, corruption=MaskingNoise(0.5), random_state=seed).fit(X)
    verify("7.9a", abs(model.decoder_weight_[0, 0] / np.linalg.norm(model.decoder_weight_)), 1e-6)
    verify("7.9a", abs(model.loss_ - 5.8), 1e-9)


@pytest.mark.equation("7.9b")
@given(seed=SEEDS, p=st.floats(0.1, 0.9))
@settings(max_examples=20)
def test_masking_features_that_tell_nothing_of_each_other_asks_for_a_copy(seed, p):
    variances = np.random.default_rng(seed).uniform(0.2, 3, 4)
    best = theory.linear_denoiser(np.diag(variances), masked(np.diag(variances), p), 4)
    verify("7.9b", np.abs(best.map / (1 - p) - np.eye(4)).max(), 1e-13)


@pytest.mark.equation("7.9c")
@given(seed=SEEDS, p=st.floats(0.05, 0.95))
@settings(max_examples=20)
def test_who_sees_the_mask_does_better_and_one_map_must_compromise(seed, p):
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((4, 6))
    Sigma, d = A @ A.T / 6, 4
    seen = 0.0
    for hidden in itertools.product([False, True], repeat=d):
        h = np.array(hidden)
        if h.any():
            weight = p ** h.sum() * (1 - p) ** (d - h.sum())
            S = Sigma[np.ix_(h, h)]
            if not h.all():
                S = S - Sigma[np.ix_(h, ~h)] @ np.linalg.solve(
                    Sigma[np.ix_(~h, ~h)], Sigma[np.ix_(~h, h)]
                )
            seen += weight * np.trace(S)
    linear = theory.linear_denoiser(Sigma, masked(Sigma, p), d).loss
    verify("7.9c", seen / linear, 1)
    verify("7.9c", linear / (p * np.trace(Sigma)), 1 + 1e-12)


@pytest.mark.equation("7.10")
@pytest.mark.equation("7.10a")
@pytest.mark.equation("7.10b")
@given(seed=SEEDS, k=st.integers(1, 4), a=st.floats(0.1, 3), b=st.floats(0.1, 3))
@settings(max_examples=30)
def test_noise_other_than_in_training(seed, k, a, b):
    lam = np.sort(np.random.default_rng(seed).uniform(0.2, 4, 4))[::-1]
    M = theory.linear_denoiser(np.diag(lam), np.full(4, a), k).map
    R = np.eye(4) - M
    loss = np.trace(R * lam @ R.T) + b * np.trace(M @ M.T)
    verify("7.10", abs(theory.mismatch_loss(lam, a, b, k) / loss - 1), 1e-13)
    least = theory.mismatch_loss(lam, b, b, k)
    kept = lam[:k]
    excess = np.sum(kept**2 * (a - b) ** 2 / ((kept + a) ** 2 * (kept + b)))
    verify("7.10a", abs(loss - least - excess) / loss, 1e-13)
    # too little noise in training by δ, and too much by δ, on one axis
    delta = b * 0.8
    below, above = (
        theory.mismatch_loss(lam[:1], b + way * delta, b, 1)
        - theory.mismatch_loss(lam[:1], b, b, 1)
        for way in (-1, 1)
    )
    ratio = ((lam[0] + b + delta) / (lam[0] + b - delta)) ** 2
    # the excess is a difference of losses, with their rounding
    verify("7.10b", abs(below / above / ratio - 1), 1e-14 * float(least / above + 100))


@pytest.mark.equation("7.10c")
@given(seed=SEEDS, ratio=st.floats(0.6, 1.8))
@settings(max_examples=20)
def test_other_noise_costs_the_distance_of_the_two_denoisers(seed, ratio):
    data, _ = some_data(seed)
    other = theory.NoisyData(data.X, data.scale * ratio)
    # each denoiser is analytic to a distance of πσ²/(the samples' distance), with its own σ: so
    # the error is below exp(−2π · that / spacing), here 1e-15
    widest = np.sqrt(squares(data.X[:, None] - data.X).max())
    spacing = 2 * np.pi**2 * min(data.scale, other.scale) ** 2 / (35 * widest * other.scale)
    assume(data.X.shape[1] == 1 or spacing > 0.08)  # in the plane that would be millions of points
    assume(
        widest < 12 * other.scale
    )  # the nodes end at 8.5, and midway between samples all is decided
    x, x_tilde, w = other.nodes(min(spacing, 0.1))
    used, best = data.denoiser(x_tilde), other.denoiser(x_tilde)
    loss, least = w @ squares(used - x), w @ squares(best - x)
    verify("7.10c", abs(loss - least - w @ squares(used - best)) / loss, ROUNDING)


# --- 7.11: denoising and contraction -----------------------------------------------------------


@pytest.mark.equation("7.11")
@pytest.mark.parametrize("seed", range(5))
def test_what_a_little_noise_adds_to_the_loss(seed):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((6, 2))
    r = Net(rng, 2)
    residual = r(X) - X
    bracket = np.sum(r.jacobian(X) ** 2, axis=(1, 2)) + np.sum(residual * r.laplacian(X), axis=1)

    def remainder(scale):
        x, x_tilde, w = theory.NoisyData(X, scale).nodes()
        loss = w @ squares(r(x_tilde) - x)
        return loss - np.mean(squares(residual)) - scale**2 * np.mean(bracket)

    # it is O(σ⁴): half the noise leaves a sixteenth, up to terms of the order of σ², whose
    # factors are ratios of the sixth derivatives to the fourth, here hundreds
    verify("7.11", abs(remainder(0.01) / remainder(0.005) - 16), 16 * 200 * 0.01**2)


def test_the_jacobian_alone_may_have_the_wrong_sign():
    """Noise can lower the loss of a network that is not at its best."""
    signs = set()
    for seed in range(20):
        rng = np.random.default_rng(seed)
        X, r = rng.standard_normal((1, 2)), Net(rng, 2)
        jacobian = np.sum(r.jacobian(X) ** 2)
        signs.add(np.sign(jacobian + np.sum((r(X) - X) * r.laplacian(X))))
    assert signs == {-1, 1}


@pytest.mark.equation("7.11a")
@pytest.mark.equation("7.11b")
@pytest.mark.parametrize("seed", range(6))
def test_the_slope_of_the_loss_in_the_noise(seed):
    data, rng = some_data(seed)
    X, s2 = data.X, data.scale**2
    r = Net(rng, X.shape[1])

    def loss(variance, denoiser=None):
        noisy = theory.NoisyData(X, variance**0.5)
        x, x_tilde, w = noisy.nodes()
        return w @ squares((denoiser or noisy.denoiser)(x_tilde) - x)

    x, x_tilde, w = data.nodes()
    of_r = np.sum(r.jacobian(x_tilde) ** 2, axis=(1, 2))
    of_r = w @ (of_r + np.sum((r(x_tilde) - x) * r.laplacian(x_tilde), axis=1))
    # differences of the fourth order of a loss known to 1e-14: 1e-14/h and some h⁴
    verify("7.11a", abs(derivative(lambda t: loss(t, r), s2) - of_r) / abs(of_r), 1e-8)
    of_best = w @ np.sum(data.jacobian(x_tilde) ** 2, axis=(1, 2))
    verify("7.11b", abs(derivative(loss, s2) - of_best) / of_best, 1e-8)


@pytest.mark.equation("7.11c")
@given(lam=st.floats(0.3, 3), noise=st.floats(0.1, 2), t=st.floats(0.1, 1))
@settings(max_examples=10)
def test_noise_does_not_slow_the_start(lam, noise, t):
    """Gradient flow of a tied unit on its axis, by the exact model's gradient and RK4."""
    model = TiedAutoencoder(1, corruption=GaussianNoise(noise**0.5), random_state=0)
    X = np.array([[lam**0.5], [-(lam**0.5)]])
    model.initialise(X)
    w = np.array([0.1])

    def flow(w):
        model.parameters_[...] = w
        return -model.loss_and_gradient(X)[1].copy()

    h = t / 400
    for _ in range(400):
        k1 = flow(w)
        k2 = flow(w + h / 2 * k1)
        k3 = flow(w + h / 2 * k2)
        w = w + h / 6 * (k1 + 2 * k2 + 2 * k3 + flow(w + h * k3))
    plateau = lam / (lam + noise)
    s = plateau * theory.logistic_mode_strength(lam, 0.01 / plateau, t)
    # Runge–Kutta's error of h⁴ times derivatives of a logistic of rate 8 λ, at most 24
    verify("7.11c", abs(w[0] ** 2 - s) / s, (24 * h) ** 4 + 1e-12)


# --- 7.12, 7.13: what a denoiser is good for ---------------------------------------------------


@pytest.mark.equation("7.12")
@given(seed=SEEDS)
@settings(max_examples=30)
def test_denoising_again_climbs(seed):
    data, rng = some_data(seed)
    x = 3 * rng.standard_normal((20, data.X.shape[1]))
    for _ in range(20):
        moved = data.denoiser(x)
        gain = data.log_density(moved) - data.log_density(x)
        lack = squares(moved - x) / (2 * data.scale**2) - gain
        size = 1 + np.abs(data.log_density(x)).max()
        verify("7.12", lack.max(), 1e-14 * size)  # rounding of two logarithms
        x = moved
    modes = denoising.mean_shift(data.denoiser, x, max_iter=20_000, tol=1e-12)
    assert np.abs(data.score(modes)).max() * data.scale**2 < 1e-8  # where nothing moves


@pytest.mark.equation("7.12a")
@pytest.mark.parametrize(("variance", "split"), [(0.99, True), (1.01, False)])
def test_two_points_merge_where_the_noise_is_as_large(variance, split):
    """A pitchfork: for σ ≥ ‖a‖ all goes to the mean, where there are no data."""
    slope = theory.NoisyData(np.array([[-1.0], [1.0]]), variance**0.5).jacobian(np.zeros((1, 1)))
    verify("7.12a", abs(slope[0, 0, 0] - 1 / variance), 1e-14)
    denoiser = lambda x: theory.two_points_denoiser(x, [1.0], variance**0.5)  # noqa: E731
    end = denoising.mean_shift(denoiser, [[1.0]], max_iter=20_000, tol=1e-14)
    assert (end[0, 0] > 0.1) == split


@pytest.mark.equation("7.12b")
@given(seed=SEEDS)
@settings(max_examples=30)
def test_with_little_noise_the_denoiser_answers_with_the_nearest_sample(seed):
    rng = np.random.default_rng(seed)
    X, x = rng.standard_normal((5, 2)), rng.standard_normal((20, 2))
    scale = 0.05
    best = theory.NoisyData(X, scale).denoiser(x)
    distances = squares(x[:, None] - X)
    nearest, order = X[distances.argmin(axis=1)], np.sort(distances, axis=1)
    diameter = max(np.linalg.norm(a - b) for a in X for b in X)
    bound = 4 * diameter * np.exp(-(order[:, 1] - order[:, 0]) / (2 * scale**2))
    error = np.linalg.norm(best - nearest, axis=1)
    verify("7.12b", np.max(error / (bound + 1e-14)), 1)
    # all but one of five in one place: there the bound is met up to its own square
    X = np.vstack([np.zeros((1, 2)), np.tile([0.3, 0.0], (4, 1))])
    error = theory.NoisyData(X, scale).denoiser(np.zeros((1, 2)))[0, 0]
    verify("7.12b", abs(error / (4 * 0.3 * np.exp(-(0.3**2) / (2 * scale**2))) - 1), 1e-6)


@pytest.mark.equation("7.13")
def test_langevin_steps_with_a_learned_score():
    """Of Gaussian data, whose noisy density is N(0, C) with C = Λ + σ²: then all is linear."""
    lam, scale, step, n = np.array([2.0, 0.5]), 0.7, 1.2, 20_000
    X = datasets.make_gaussian(50, lam, exact=True, random_state=0)
    model = LinearAutoencoder(2, corruption=GaussianNoise(scale), random_state=0).fit(X)
    C = np.cov(X.T, bias=True) + scale**2 * np.eye(2)
    draws = denoising.langevin(
        model.reconstruct, np.zeros((n, 2)), scale, 60, step=step, random_state=0
    )
    c, U = np.linalg.eigh(C)
    stationary = c / (1 - step / (4 * c))
    found = np.var((draws - X.mean(axis=0)) @ U, axis=0)
    # the start is forgotten to (1 − η/2c)¹²⁰, 1e-12; a variance of n draws errs by √(2/n).
    # 6 standard errors: a false alarm in 500 million, and 6 % of variances 14 and 45 % above c
    verify("7.13", np.max(np.abs(found / stationary - 1) / math.sqrt(2 / n)), 6)


# --- 7.14, 7.15: deep denoisers ----------------------------------------------------------------


def curve_denoiser():
    """A network that has learned to denoise points of a curve in the plane; those points."""
    X = datasets.make_curve(100, random_state=0)
    model = Autoencoder(
        16, hidden_layer_sizes=(32,), activation="tanh", corruption=GaussianNoise(0.2),
        learning_rate=3e-3, batch_size=200, max_iter=400, n_iter_no_change=None, random_state=0,
    )  # fmt: skip
    return model.fit(np.tile(X, (10, 1))), theory.NoisyData(X, 0.2)


@pytest.mark.equation("7.14")
@pytest.mark.equation("7.14a")
def test_a_deep_denoiser_learns_the_field_of_a_curve():
    model, data = curve_denoiser()
    x, x_tilde, w = data.nodes(0.5)
    r, best = model.reconstruct(x_tilde), data.denoiser(x_tilde)
    distance = w @ squares(r - best)
    verify("7.14", distance / (w @ squares(best - x_tilde)), 0.05)
    # a z-test by draws as in training: 6 standard errors, a false alarm in 500 million
    rng = np.random.default_rng(1)
    x = np.repeat(data.X, 200, axis=0)
    x_tilde = GaussianNoise(0.2)(x, rng)
    excess = squares(model.reconstruct(x_tilde) - x) - squares(data.denoiser(x_tilde) - x)
    z = (excess.mean() - distance) / (excess.std() / len(excess) ** 0.5)
    verify("7.14a", abs(z), 6)


@pytest.mark.equation("7.15")
def test_a_deep_denoiser_beats_the_wiener_filter_on_unseen_digits():
    X = datasets.load_digits().X
    seen, unseen = X[:1300], X[1300:]
    model = Autoencoder(
        64, hidden_layer_sizes=(256,), corruption=GaussianNoise(0.3), learning_rate=2e-3,
        batch_size=64, max_iter=40, random_state=0,
    ).fit(seen)  # fmt: skip
    noisy = GaussianNoise(0.3)(unseen, np.random.default_rng(0))
    mean = seen.mean(axis=0)
    M = theory.linear_denoiser(np.cov(seen.T, bias=True), np.full(64, 0.09), 64).map
    wiener = squares((noisy - mean) @ M.T + mean - unseen)
    deep = squares(model.reconstruct(noisy) - unseen)
    verify("7.15", deep.mean() / wiener.mean(), 0.9)


def test_the_optimum_of_training_is_not_the_goal():
    """The best denoiser of the digits seen is worse on unseen ones than to do nothing."""
    X = datasets.load_digits().X
    seen, unseen = X[:1300], X[1300:1500]
    noisy = GaussianNoise(0.1)(unseen, np.random.default_rng(0))
    best = theory.NoisyData(seen, 0.1).denoiser(noisy)
    assert squares(best - unseen).mean() > 1.5 * squares(noisy - unseen).mean()


# --- exercises, and the notes' errata ----------------------------------------------------------


def test_exercise_all_noise_levels_know_the_entropy():
    X = np.array([[-1.3], [0.2], [1.5]])
    log_scales = np.linspace(math.log(0.02), math.log(300), 400)
    losses = [theory.NoisyData(X, math.exp(s)).least_loss() for s in log_scales]
    # dγ = −2 σ⁻² d log σ; beyond the ends lie e^{-1/(2·0.02²)} and, as L* → Var x, Var/2·300²
    integral = trapezoid(losses / np.exp(2 * log_scales), log_scales)
    assert integral == pytest.approx(math.log(3), abs=1e-4)


@pytest.mark.parametrize("seed", range(3))
def test_exercise_the_cross_entropy_has_the_same_best_denoiser(seed):
    rng = np.random.default_rng(seed)
    data = theory.NoisyData(rng.uniform(0.05, 0.95, (4, 2)), 0.5)
    x, x_tilde, w = data.nodes(0.3)
    r, best = expit(Net(rng, 2)(x_tilde)), data.denoiser(x_tilde)

    def loss(r):
        return -w @ np.sum(x * np.log(r) + (1 - x) * np.log1p(-r), axis=1)

    kl = w @ np.sum(best * np.log(best / r) + (1 - best) * np.log((1 - best) / (1 - r)), axis=1)
    assert loss(r) - loss(best) == pytest.approx(kl, rel=1e-11)


def test_exercise_blind_denoising():
    lam, (a, b) = np.array([3.0, 1.0, 0.2]), (0.2, 1.5)

    def loss(M):
        return np.mean([np.sum(lam * (1 - M) ** 2) + s * np.sum(M**2) for s in (a, b)])

    M = np.diag(theory.linear_denoiser(np.diag(lam), np.full(3, (a + b) / 2), 3).map)
    for axis in np.eye(3):
        assert derivative(lambda t, axis=axis: loss(M + t * axis), 0.0) == pytest.approx(
            0, abs=1e-9
        )

    weak, strong = (theory.NoisyData(np.array([[-1.0], [1.0], [0.4]]), s) for s in (0.4, 1.0))
    losses = {"blind": 0.0, "weak": 0.0, "strong": 0.0, "told": 0.0}
    for level in (weak, strong):
        x, x_tilde, w = level.nodes(0.08)
        p = expit(weak.log_density(x_tilde) - strong.log_density(x_tilde))[:, None]
        of_both = weak.denoiser(x_tilde), strong.denoiser(x_tilde)
        blind = p * of_both[0] + (1 - p) * of_both[1]
        for name, r in (
            ("blind", blind), ("weak", of_both[0]), ("strong", of_both[1]),
            ("told", level.denoiser(x_tilde)),
        ):  # fmt: skip
            losses[name] += w @ squares(r - x) / 2
        # the definition of a conditional expectation, over both levels
        losses["inner"] = losses.get("inner", 0.0) + w @ ((blind - x) * np.sin(x_tilde))[:, 0]
    assert abs(losses["inner"]) < 1e-12
    assert losses["told"] < losses["blind"] < min(losses["weak"], losses["strong"])


def test_exercise_a_penalty_on_the_reconstruction():
    """The Euler–Lagrange equation on a grid, for a mixture of two Gaussians."""
    x = np.linspace(-7, 7, 7001)
    h = x[1] - x[0]

    def score(x, variance):
        weights = softmax([-((x - m) ** 2) / (2 * variance) for m in (-1.0, 1.5)], axis=0)
        return (weights[0] * (-1.0 - x) + weights[1] * (1.5 - x)) / variance

    p = np.exp(-((x + 1) ** 2) / 2) + np.exp(-((x - 1.5) ** 2) / 2)
    middle = np.abs(x) < 3
    curvature = np.gradient(np.gradient(score(x, 1.0), h), h)
    remainders = []
    for variance in (0.01, 0.005):
        between = (p[1:] + p[:-1]) / 2 * variance / h**2
        diagonal = p.copy()
        diagonal[1:] += between
        diagonal[:-1] += between
        bands = np.array([np.append(0, -between), diagonal, np.append(-between, 0)])
        penalised = solve_banded((1, 1), bands, x * p)
        denoised = x + variance * score(x, 1 + variance)
        difference = (denoised - penalised)[middle] / variance**2
        remainders.append(np.abs(difference + curvature[middle] / 2).max())
    # O(σ²) is left: half as much for half the variance, up to the next order
    assert remainders[0] / remainders[1] == pytest.approx(2, abs=0.3)
    assert remainders[1] < 0.1 * np.abs(curvature[middle]).max() / 2


@pytest.mark.parametrize("seed", range(3))
def test_a_softmax_layer_is_at_its_best_with_the_samples_in_its_weights(seed):
    """So that one can read them off: no other keys, values and biases near are as good."""
    data, rng = some_data(seed, d=1)
    x, x_tilde, w = data.nodes(0.08)
    X, s2 = data.X, data.scale**2
    best = X, X / s2, -squares(X) / (2 * s2)

    def loss(V, K, b):
        return w @ squares(softmax(x_tilde @ K.T + b, axis=1) @ V - x)

    least = loss(*best)
    assert least == pytest.approx(data.least_loss(), rel=1e-5)  # a coarser grid
    for _ in range(20):
        steps = [rng.standard_normal(part.shape) for part in best]

        def moved(t, steps=steps):
            return loss(*(part + t * step for part, step in zip(best, steps, strict=True)))

        assert abs(derivative(moved, 0.0)) < 1e-9
        assert moved(0.01) > least


def test_exercise_skewed_noise_adds_a_third_order():
    t = np.arange(0, 60, 1e-3) + 5e-4
    density = np.exp(-t)
    density /= density.sum()
    for sigma in (0.3, 0.1, 0.03):
        y = 0.5 + sigma * (t - 1)
        loss = density @ (y**2 - 0.5) ** 2
        right = 1 / 16 + sigma**2 / 2 + 4 * sigma**3 + 9 * sigma**4
        assert loss == pytest.approx(right, rel=1e-5)  # the grid's step, squared


def test_where_the_density_is_high_there_may_be_no_data():
    """A, §17: the vector points towards high *smoothed* density."""
    a = np.array([0.6, 0.8])
    data = theory.NoisyData(np.stack([a, -a]), 1.1)
    x = np.random.default_rng(0).standard_normal((200, 2))
    step = data.denoiser(x) - x
    assert (np.sum(step * x, axis=1) < 0).all()  # everywhere towards 0, where there are none
    # and on the data themselves the vector is not 0
    assert np.linalg.norm(data.denoiser(data.X) - data.X, axis=1).min() > 0.3


def test_half_of_the_distortion_stays_on_a_circle():
    """A, §17: not the distortion is reversed, but its mean given what is seen."""
    angles = np.linspace(0, 2 * np.pi, 400, endpoint=False)
    X = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    one = theory.NoisyData(X[:1], 0.05)
    x, x_tilde, w = one.nodes(0.5)
    left = w @ squares(theory.NoisyData(X, 0.05).denoiser(x_tilde) - x)
    assert left / (w @ squares(x_tilde - x)) == pytest.approx(0.5, abs=0.01)


def test_masking_does_not_keep_an_overcomplete_model_from_copying():
    """C, "Overcomplete": of features that tell nothing of each other a copy is the best."""
    signs = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]]) * np.array([2.0, 1.0])
    model = LinearAutoencoder(4, corruption=MaskingNoise(0.4), random_state=0).fit(signs)
    M = model.decoder_weight_ @ model.encoder_weight_
    assert np.abs(M / 0.6 - np.eye(2)).max() < 1e-6  # as for samples that are not rescaled


# --- models that are given corrupted samples ---------------------------------------------------


CORRUPTIONS = [GaussianNoise(0.3), MaskingNoise(0.4), SaltAndPepper(0.3)]
UNSCALED = [MaskingNoise(0.4, rescale=False), SaltAndPepper(0.3, rescale=False)]
IMAGES = pixels(1, d=6, n=40)


def models(corruption):
    small = {"random_state": 0, "corruption": corruption}
    return [
        LinearAutoencoder(2, **small),
        TiedAutoencoder(2, **small),
        Autoencoder(2, hidden_layer_sizes=(4,), max_iter=4, **small),
        VAE(2, hidden_layer_sizes=(4,), max_iter=4, **small),
        SparseAutoencoder(3, max_iter=4, **small),
        ContractiveAutoencoder(2, hidden_layer_sizes=(4,), max_iter=4, **small),
        AdversarialAutoencoder(2, hidden_layer_sizes=(4,), max_iter=4, **small),
    ]


@pytest.mark.parametrize("corruption", CORRUPTIONS + UNSCALED, ids=repr)
def test_a_corruption_leaves_its_samples_alone_and_has_the_moments_that_it_says(corruption):
    X = np.repeat(pixels(3, d=3, n=2), 40_000, axis=0)
    before, rng = X.copy(), np.random.default_rng(0)
    X_tilde = corruption(X, rng)
    assert (before == X).all()
    assert X_tilde.shape == X.shape
    if not corruption.is_unbiased:
        return
    noise = X_tilde - X
    z = noise.mean(axis=0) / (noise.std(axis=0) / len(X) ** 0.5)
    assert np.abs(z).max() < 6  # standard errors
    expected = corruption.noise_variance(X.mean(axis=0), X.var(axis=0))
    spread = np.std(noise**2, axis=0) / len(X) ** 0.5
    assert (np.abs(np.mean(noise**2, axis=0) - expected) < 6 * spread).all()
    correlations = np.corrcoef(noise.T) - np.eye(3)  # each entry on its own
    assert np.abs(correlations).max() < 6 / len(X) ** 0.5


@pytest.mark.parametrize("corruption", CORRUPTIONS + UNSCALED, ids=repr)
def test_float32_stays_float32(corruption):
    X = IMAGES.astype(np.float32)
    assert corruption(X, np.random.default_rng(0)).dtype == np.float32
    for model in models(corruption)[0 if corruption.is_unbiased else 2 :]:
        assert model.fit(X).parameters_.dtype == np.float32


@pytest.mark.parametrize("corruption", CORRUPTIONS, ids=repr)
def test_nothing_is_corrupted_outside_training(corruption):
    for model in models(corruption):
        model.fit(IMAGES)
        for answer in (model.transform, model.reconstruct, model.reconstruction_error):
            assert (answer(IMAGES) == answer(IMAGES)).all()
        clean = type(model)(**{**model.get_params(), "corruption": None})
        clean.__setstate__({**model.__getstate__(), "corruption": None})
        assert (clean.reconstruct(IMAGES) == model.reconstruct(IMAGES)).all()


@pytest.mark.parametrize("corruption", CORRUPTIONS, ids=repr)
def test_files_and_checkpoints_keep_the_corruption(corruption, tmp_path):
    for model in models(corruption):
        model.fit(IMAGES).save(tmp_path / "model.npz")
        loaded = load(tmp_path / "model.npz")
        assert loaded.corruption == corruption
        assert repr(loaded) == repr(model)
        assert (loaded.reconstruct(IMAGES) == model.reconstruct(IMAGES)).all()
    model = models(corruption)[2]
    whole = type(model)(**{**model.get_params(), "max_iter": 6}).fit(IMAGES)
    file = tmp_path / "run.npz"
    model.fit(IMAGES, checkpoint=file, checkpoint_every=2)
    resumed = model.set_params(max_iter=6).fit(IMAGES, checkpoint=file)
    assert (resumed.parameters_ == whole.parameters_).all()
    with pytest.raises(ValueError, match="in which corruption was"):
        model.set_params(corruption=GaussianNoise(7.0)).fit(IMAGES, checkpoint=file)


def test_the_noise_is_new_in_every_epoch_and_the_same_for_a_seed():
    seen = []

    class Spy(GaussianNoise):
        def __call__(self, X, rng):
            seen.append(super().__call__(X, rng) - X)
            return X + seen[-1]

    model = Autoencoder(1, hidden_layer_sizes=(), corruption=Spy(0.5), max_iter=3, random_state=0)
    model.fit(IMAGES)
    assert len(seen) == 3
    assert all(np.abs(a - b).max() > 0.1 for a, b in itertools.combinations(seen, 2))
    first, seen[:] = list(seen), []
    model.fit(IMAGES)
    assert all((a == b).all() for a, b in zip(first, seen, strict=True))


def test_epochs_are_compared_on_the_same_noise():
    model = Autoencoder(
        1, hidden_layer_sizes=(), corruption=GaussianNoise(0.5), learning_rate=1e-12, max_iter=3,
        early_stopping=True, random_state=0,
    ).fit(IMAGES)  # fmt: skip
    losses = model.history_["validation_loss"]
    assert np.ptp(losses) < 1e-9 * losses[0]  # parameters that hardly move


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: GaussianNoise(0), ValueError, "scale must be finite and greater than 0; got 0"),
        (lambda: GaussianNoise(-1.0), ValueError, "greater than 0; got -1.0"),
        (lambda: GaussianNoise("loud"), TypeError, "scale must be a number; got 'loud'"),
        (lambda: MaskingNoise(1), ValueError, "probability must be at least 0 and below 1; got 1"),
        (lambda: MaskingNoise(-0.1), ValueError, "at least 0; got -0.1"),
        (lambda: MaskingNoise(np.nan), ValueError, "probability must be finite"),
        (lambda: MaskingNoise(0.5, rescale=1), TypeError, "rescale must be True or False"),
        (lambda: SaltAndPepper(2.0), ValueError, "below 1"),
        (lambda: SaltAndPepper(0.1, 1, 0), ValueError, "low must be less than high; got 1 and 0"),
        (lambda: SaltAndPepper(0.1, low=np.inf), ValueError, "low must be finite"),
    ],
)
def test_noise_that_cannot_be_is_said_in_one_sentence(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_salt_and_pepper_forgives_rounding_at_its_ends_and_no_more(dtype):
    """What is shifted by a mean and back may be off by a rounding or two."""
    noise, eps = SaltAndPepper(0.1, low=-3.0, high=5.0), 5 * np.finfo(dtype).eps
    for outwards, end in ((-1, -3.0), (1, 5.0)):
        noise.check(np.array([[end + outwards * 4 * eps]], dtype))
        with pytest.raises(ValueError, match=r"must lie in \[low, high\]"):
            noise.check(np.array([[end + outwards * 16 * eps]], dtype))


def refused(model, error, message, X=IMAGES):
    before = dict(vars(model))
    with pytest.raises(error, match=message):
        model.fit(X)
    assert vars(model) == before


def test_a_model_says_what_it_cannot_be_trained_with():
    for model in models(SaltAndPepper(0.2)):
        refused(model, ValueError, r"X must lie in \[low, high\] = \[0, 1\]", 16 * IMAGES)
    for model in models(None):
        model.corruption = 0.3
        refused(model, TypeError, "corruption must be None or a Corruption .* got 0.3")
    unscaled = MaskingNoise(0.3, rescale=False)
    refused(LinearAutoencoder(2, corruption=unscaled), ValueError, "must be right on average")
    LinearAutoencoder(2, corruption=MaskingNoise(0.0, rescale=False)).fit(IMAGES)  # which it is
    noise = GaussianNoise(0.3)
    refused(Autoencoder(2, solver="lbfgs", corruption=noise), ValueError, "Use solver='adam'")
    alternating = LinearAutoencoder(2, solver="alternating", corruption=noise)
    refused(alternating, ValueError, "no exact step")
    refused(LinearAutoencoder(9), ValueError, "n_components must be at most")

    @dataclass(frozen=True)
    class Unknown(Corruption):
        def __call__(self, X, rng):
            return X + 1

    refused(LinearAutoencoder(2, corruption=Unknown()), TypeError, "Unknown has none")
    for kind in (Autoencoder, VAE, ContractiveAutoencoder):
        model = kind(2, corruption=SaltAndPepper(0.2), max_iter=1)
        with pytest.raises(ValueError, match="X_validation must lie in"):
            model.fit(IMAGES, X_validation=3 * IMAGES)


@pytest.mark.parametrize("model", models(None)[2:], ids=lambda model: type(model).__name__)
def test_the_encoder_is_given_the_corrupted_samples_and_the_loss_the_clean_ones(model):
    @dataclass(frozen=True)
    class Constant(Corruption):
        def __call__(self, X, rng):
            return np.tile(corrupted, (len(X), 1))

    corrupted = np.array([4.0, -2.0, 1.0, 0.5, 3.0, -3.0])  # large enough for a sparse code
    model.corruption = Constant()
    X = model.initialise(IMAGES)
    X = X if model._offset is None else X - model._offset
    rng = np.random.default_rng(0)
    loss, _ = model.loss_and_gradient(X, np.random.default_rng(0))
    model.corruption = None
    twin = type(model).loss_and_gradient
    seen, encode = [], model.encoder_.forward

    def forward(x, rng=None):
        seen.append(x)
        offset = 0 if model._offset is None else model._offset
        codes.append(encode(np.tile(corrupted, (len(x), 1)) - offset, rng))
        return codes[0]

    codes, model.encoder_.forward = [], forward
    assert twin(model, X, rng)[0] == loss
    assert codes[0].any()
    assert seen[0] is X


def test_a_corruption_cannot_corrupt_the_target():
    @dataclass(frozen=True)
    class InPlace(Corruption):
        def __call__(self, X, rng):
            X[rng.random(X.shape) < 0.3] = 0
            return X

    for model in models(InPlace())[2:]:
        with pytest.raises(ValueError, match="read-only"):
            model.fit(IMAGES)


def test_what_a_corruption_returns_is_looked_at():
    @dataclass(frozen=True)
    class Wrong(Corruption):
        result: object = None
        noise: float = 0.0

        def __call__(self, X, rng):
            return self.result

        def noise_variance(self, mean, variance):
            return self.noise

    for result in (None, np.zeros((2, 2))):
        with pytest.raises(ValueError, match=r"shape it was given, \(40, 6\)"):
            Autoencoder(2, corruption=Wrong(result)).fit(IMAGES)
    with pytest.raises(ValueError, match="noise_variance of at least 0; got -1"):
        LinearAutoencoder(2, corruption=Wrong(noise=-1.0)).fit(IMAGES)
    right = LinearAutoencoder(2, corruption=GaussianNoise(0.5), random_state=0).fit(IMAGES)
    same = LinearAutoencoder(2, corruption=Wrong(noise=0.25), random_state=0).fit(IMAGES)
    assert (same.parameters_ == right.parameters_).all()


@pytest.mark.parametrize("corruption", CORRUPTIONS + UNSCALED, ids=repr)
def test_integers_and_lists_are_corrupted_as_numbers(corruption):
    pixels = [[0, 1, 1], [1, 0, 1]]
    expected = corruption(np.array(pixels, float), np.random.default_rng(0))
    for X in (pixels, np.array(pixels), np.array(pixels, np.uint8)):
        assert (corruption(X, np.random.default_rng(0)) == expected).all()
    assert corruption(np.empty((0, 3)), np.random.default_rng(0)).shape == (0, 3)


def test_salt_and_pepper_allows_for_rounding_and_no_more():
    noise, rng = SaltAndPepper(0.3, -2, 2), np.random.default_rng(0)
    noise(np.array([[2 + 3e-15, -2 - 3e-15]]), rng)
    with pytest.raises(ValueError, match=r"^X must lie .* = \[-2, 2\] .*from -2 to 2\.0000001\."):
        noise(np.array([[2.0000001, -2]]), rng)
    with pytest.raises(ValueError, match=r"^Y must lie .*got values from -2\.0000001 to -1"):
        noise.check(np.array([[-1, -2.0000001]]), "Y")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_mean_shift_ends_at_rounding_of_what_the_denoiser_computes_in_and_not_before(dtype):
    eps = float(np.finfo(dtype).eps)

    def further_by(roundings):
        return lambda x: (x * (1 + roundings * eps)).astype(dtype)

    moved = denoising.mean_shift(further_by(2), [[1.0, 0.0]], tol=0.0)  # by the largest number
    assert moved.tolist() == [[1 + 2 * eps, 0]]
    with pytest.warns(ConvergenceWarning, match="while points still moved"):
        moved = denoising.mean_shift(further_by(16), [[1.0]], max_iter=3, tol=0.0)
    assert moved == pytest.approx(1 + 3 * 16 * eps, abs=3 * eps)


def test_the_default_step_and_the_end_of_mean_shift():
    draws = [
        denoising.langevin(np.tanh, np.zeros((5, 1)), 0.6, 3, random_state=0, **step)
        for step in ({}, {"step": 0.18})
    ]
    assert (draws[0] == draws[1]).all()
    # one point is there at once, the other takes its time
    ends = denoising.mean_shift(np.tanh, [[0.0], [2.0]], max_iter=100_000, tol=1e-6)
    assert ends[1, 0] < 0.02
    single = lambda x: np.tanh(x.astype(np.float32) / 0.25)  # noqa: E731
    assert denoising.mean_shift(single, [[0.5]]).dtype == np.float64  # and it ends


def test_features_of_very_different_sizes_keep_the_digits_of_the_small_ones():
    """A loss that is a difference of traces would lose them."""
    lam = np.array([1.0, 1e6, 1e-6, 1e12])
    best = theory.linear_denoiser(np.diag(lam), np.full(4, 0.09), 3)
    kept = lam[[0, 1, 3]]
    assert best.loss == pytest.approx(np.sum(kept * 0.09 / (kept + 0.09)) + 1e-6, rel=1e-12)


def test_a_corruption_of_another_range():
    X = 16 * IMAGES
    noise = SaltAndPepper(0.3, 0, 16)
    raw = SaltAndPepper(0.3, 0, 16, rescale=False)(X, np.random.default_rng(0))
    assert set(raw[raw != X]) == {0.0, 16.0}
    small = LinearAutoencoder(2, corruption=SaltAndPepper(0.3), random_state=0).fit(IMAGES)
    large = LinearAutoencoder(2, corruption=noise, random_state=0).fit(X)
    assert large.loss_ == pytest.approx(256 * small.loss_, rel=1e-9)


def test_a_langevin_step_is_what_is_written():
    x, xi = np.array([[1.0, -2.0]]), np.random.default_rng(3).standard_normal((1, 2))
    moved = denoising.langevin(np.tanh, x, 0.6, 1, step=0.1, random_state=3)
    right = x + 0.05 * (np.tanh(x) - x) / 0.36 + np.sqrt(0.1) * xi
    np.testing.assert_allclose(moved, right, rtol=1e-13)


def test_samplers_say_what_is_wrong():
    double = lambda x: 2 * x  # noqa: E731
    with pytest.raises(ValueError, match="step must be small enough"), np.errstate(all="ignore"):
        denoising.langevin(np.tanh, [[1.0]], 1e-200, 500, step=1e200, random_state=0)
    with pytest.raises(ValueError, match="scale must be finite and greater than 0"):
        denoising.langevin(double, [[1.0]], 0.0, 1)
    with pytest.raises(ValueError, match="n_steps"):
        denoising.langevin(double, [[1.0]], 1.0, 0)
    with pytest.raises(ValueError, match="step must be finite and greater than 0"):
        denoising.langevin(double, [[1.0]], 1.0, 1, step=0.0)
    with pytest.raises(ValueError, match="max_iter"):
        denoising.mean_shift(double, [[1.0]], max_iter=0)
    with pytest.raises(ValueError, match="tol must be finite and at least 0"):
        denoising.mean_shift(double, [[1.0]], tol=-1e-9)
    for sampler in (denoising.mean_shift, lambda r, X: denoising.langevin(r, X, 1.0, 1)):
        with pytest.raises(TypeError, match="denoise must be a function"):
            sampler(Autoencoder(), [[1.0]])
        with pytest.raises(ValueError, match=r"shape it was given, \(1, 2\); got \(1, 1\)"):
            sampler(lambda x: x[:, :1], [[1.0, 2.0]])
        with pytest.raises(ValueError, match="must be 2-D"):
            sampler(double, [1.0])
        with pytest.raises(ValueError, match="NaN"):
            sampler(double, [[np.nan]])
    with pytest.raises(ValueError, match="run away"), np.errstate(over="ignore"):
        denoising.mean_shift(lambda x: x**2, [[0.5, 3.0], [0.5, 0.5]])  # one of them
    far = lambda x: np.where(x > 0, 1e308, x)  # noqa: E731
    with pytest.raises(ValueError, match="step must be small enough"), np.errstate(all="ignore"):
        denoising.langevin(far, [[1e3, -1e3], [-1e3, -1e3]], 1e-3, 1, step=1.0, random_state=0)
    start = np.array([[1.0]])
    with pytest.warns(ConvergenceWarning, match="while points still moved, by 4"):
        denoising.mean_shift(double, start, max_iter=3)
    denoising.langevin(double, start, 1.0, 3, random_state=0)
    assert start[0, 0] == 1.0


def test_salt_that_is_pepper_replaces_with_the_whole_probability():
    likelihood = np.exp(theory.salt_and_pepper_log_likelihood([[0.5]], [[0.2]], 0.2, 0.5, 0.5))
    np.testing.assert_allclose(likelihood, 0.2, rtol=1e-15)


def test_a_denoiser_trained_on_no_noise_or_on_too_much():
    assert theory.mismatch_loss([3.0, 0.0], 0.0, 1.0, 2) == 1  # passes the noise of one axis
    assert theory.mismatch_loss([3.0, 1.0], 1e160, 1.0, 2) == 4  # passes nothing
