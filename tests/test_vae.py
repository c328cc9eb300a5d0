"""Chapter 5: the Gaussian KL, held against its own definition, and the VAE's exact loss."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanoae import VAE, theory
from nanoae.losses import gaussian_kl

seeds = st.integers(0, 2**32 - 1)


def kl_of_one(mu, log_var):
    """The model's KL of a single sample."""
    return gaussian_kl(mu[None], log_var[None])[0]


def random_gaussian(seed, k):
    """Means over ±3, standard deviations over e^±2: from sharp posteriors to broad ones."""
    rng = np.random.default_rng(seed)
    return rng.uniform(-3, 3, k), rng.uniform(-4, 4, k), rng


@given(seeds, st.integers(1, 4))
@settings(max_examples=40)
def test_kl_equals_the_integral_of_its_definition(seed, k):
    mu, log_var, _ = random_gaussian(seed, k)
    integral = theory.gaussian_kl_quadrature(mu, log_var)
    # the quadrature is asked for 1e-13 a dimension
    assert kl_of_one(mu, log_var) == pytest.approx(integral, rel=1e-10, abs=1e-12)


def test_kl_lies_within_five_standard_errors_of_monte_carlo():
    for seed in range(200):
        mu, log_var, rng = random_gaussian(seed, 1 + seed % 8)
        estimate = theory.gaussian_kl_monte_carlo(mu, log_var, 5_000, rng)
        # 5 standard errors: a false alarm in 200 cases has probability 1e-4
        assert abs(kl_of_one(mu, log_var) - estimate.mean) <= 5 * estimate.standard_error


def test_the_monte_carlo_error_falls_as_one_over_root_n():
    mu, log_var, rng = random_gaussian(0, 4)
    kl, repeats, sizes = kl_of_one(mu, log_var), 400, np.array([10, 40, 160, 640, 2560])
    error = [
        np.sqrt(
            np.mean(
                [
                    (theory.gaussian_kl_monte_carlo(mu, log_var, int(n), rng).mean - kl) ** 2
                    for _ in range(repeats)
                ]
            )
        )
        for n in sizes
    ]
    x = np.log(sizes) - np.log(sizes).mean()
    slope = x @ np.log(error) / (x @ x)
    # the log of a root mean square over 400 nearly normal errors has deviation 1/√800
    standard_error = 1 / np.sqrt(2 * repeats) / np.sqrt(x @ x)
    assert abs(slope + 0.5) <= 5 * standard_error


@given(seeds, st.integers(1, 5))
def test_kl_is_positive_but_at_the_prior_and_adds_up_over_dimensions(seed, k):
    mu, log_var, _ = random_gaussian(seed, k)
    assert kl_of_one(mu, log_var) > 0
    assert kl_of_one(np.zeros(k), np.zeros(k)) == 0
    parts = [kl_of_one(mu[j : j + 1], log_var[j : j + 1]) for j in range(k)]
    assert kl_of_one(mu, log_var) == pytest.approx(sum(parts), rel=1e-14)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda m, v: 0.5 * np.mean(m**2 + np.exp(v) - 1 - v),  # mean over dimensions
        lambda m, v: 0.5 * np.sum(m**2 + np.exp(v) - v),  # without the −1
        lambda m, v: np.sum(m**2 + np.exp(v) - 1 - v),  # without the ½
        lambda m, v: 0.5 * np.sum(m**2 + np.exp(2 * v) - 1 - 2 * v),  # log σ² taken for log σ
        lambda m, v: -0.5 * np.sum(m**2 + np.exp(v) - 1 - v),  # sign
    ],
)
def test_wrong_kls_are_told_from_the_integral(wrong):
    mu, log_var, rng = random_gaussian(1, 3)
    right = theory.gaussian_kl_quadrature(mu, log_var)
    estimate = theory.gaussian_kl_monte_carlo(mu, log_var, 200_000, rng)
    assert abs(wrong(mu, log_var) - right) > 1e-3 * right
    assert abs(wrong(mu, log_var) - estimate.mean) > 5 * estimate.standard_error


def test_learned_noise_is_the_mean_squared_error_per_feature():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((300, 6)) * [3, 2, 1, 0.5, 0.5, 0.5]
    model = VAE(2, hidden_layer_sizes=(), noise_variance="learned", random_state=0).fit(X)
    _, distortion = model.rate_distortion(X)
    # stationary in log σ²: the error is that of L-BFGS's gradient
    assert model.noise_variance_ == pytest.approx(distortion / 6, rel=1e-5)


def test_a_bernoulli_vae_learns_and_beats_the_best_constant():
    rng = np.random.default_rng(0)
    prototypes = rng.uniform(size=(4, 12)) < 0.5
    X = prototypes[rng.integers(4, size=400)].astype(float)
    model = VAE(2, likelihood="bernoulli", max_iter=60, learning_rate=1e-2, random_state=0).fit(X)
    p = X.mean(axis=0)
    constant = -np.sum(p * np.log(p + 1e-300) + (1 - p) * np.log(1 - p + 1e-300))
    # the four patterns cost log 4 nats to name; naming each pixel costs `constant`
    assert np.log(4) <= -model.elbo(X) < 0.5 * constant
    assert np.mean((model.reconstruct(X) > 0.5) == X) > 0.99
