"""Chapter 6: the β-VAE's trade-off, held against its closed form and against Shannon."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from nanoae import VAE, beta_sweep, datasets, theory

seeds = st.integers(0, 2**32 - 1)


@given(seeds, st.integers(1, 8), st.floats(0.01, 0.99))
def test_shannon_rate_inverts_water_filling(seed, d, part):
    eigenvalues = np.random.default_rng(seed).exponential(size=d)
    distortion = part * eigenvalues.sum()
    rate = theory.shannon_rate(eigenvalues, distortion)
    # the level that gives this rate must give this distortion: found again by bisection
    low, high = 0.0, eigenvalues.max()
    for _ in range(200):
        middle = (low + high) / 2
        too_much = theory.water_filling(eigenvalues, middle)[1] > distortion
        low, high = (low, middle) if too_much else (middle, high)
    assert theory.water_filling(eigenvalues, high)[0] == pytest.approx(rate, rel=1e-9, abs=1e-12)


@given(seeds, st.integers(2, 5), st.floats(0.1, 0.9))
@settings(max_examples=20)
def test_no_other_split_of_the_distortion_needs_less_rate(seed, d, part):
    """Shannon's rate is the least ``Σ ½ log(λ_i/D_i)`` with ``D_i ≤ λ_i`` and ``Σ D_i = D``."""
    rng = np.random.default_rng(seed)
    eigenvalues = rng.uniform(0.1, 2, d)
    distortion = part * eigenvalues.sum()
    rate = theory.shannon_rate(eigenvalues, distortion)
    best = minimize(
        lambda D: 0.5 * np.sum(np.log(eigenvalues / D)), part * eigenvalues, method="SLSQP",
        bounds=[(1e-9, v) for v in eigenvalues],
        constraints={"type": "eq", "fun": lambda D: D.sum() - distortion},
        options={"maxiter": 300, "ftol": 1e-14},
    )  # fmt: skip
    assert best.success
    assert rate == pytest.approx(best.fun, rel=1e-6, abs=1e-6)  # the accuracy of SLSQP
    for split in rng.dirichlet(np.ones(d), 20) * distortion:
        D = np.minimum(split, eigenvalues)
        assert 0.5 * np.sum(np.log(eigenvalues / D)) >= rate - 1e-12


def test_shannon_at_its_ends_and_bad_input():
    assert theory.shannon_rate([2.0, 1.0], 3.0) == 0
    assert theory.shannon_rate([2.0, 1.0], 5.0) == 0
    assert theory.shannon_rate([4.0], 1.0) == pytest.approx(np.log(2))  # ½ log(4/1)
    with pytest.raises(ValueError, match="distortion must be greater than 0; got 0"):
        theory.shannon_rate([1.0], 0)


@given(seeds, st.integers(2, 6), st.data())
@settings(max_examples=12)
def test_linear_vae_reaches_its_closed_form(seed, d, data):
    k = data.draw(st.integers(1, d))
    rng = np.random.default_rng(seed)
    # neighbours apart by 25 % and none within 10 % of the water level, where the loss is flat
    eigenvalues = np.cumprod(rng.uniform(0.5, 0.8, d))
    beta, noise_variance = rng.uniform(0.2, 3), 0.1
    theta = beta * noise_variance
    near = np.abs(eigenvalues / theta - 1) < 0.1
    eigenvalues[near] *= 0.8
    X = datasets.make_gaussian(50, eigenvalues, exact=True, random_state=rng)
    model = VAE(
        k,
        hidden_layer_sizes=(),
        noise_variance=noise_variance,
        beta=beta,
        random_state=0,
        tol=1e-8,
    ).fit(X)
    optimum = theory.linear_vae_optimum(eigenvalues, k, beta, noise_variance)

    rate, distortion = model.rate_distortion(X)
    # a loss within ε of its minimum leaves R and D within about √ε: L-BFGS gives 1e-9 or less
    assert rate == pytest.approx(optimum.rate, rel=1e-4, abs=1e-6)
    assert distortion == pytest.approx(optimum.distortion, rel=1e-4)

    _, log_var = model.encode(X)
    assert np.ptp(log_var, axis=0).max() < 1e-6  # σ²(x) is the same for every x
    assert np.sort(np.exp(log_var[0])) == pytest.approx(np.sort(optimum.posterior_variance), 1e-3)
    W = model.decoder_.layers[0].weight
    norms = np.linalg.norm(W, axis=1)
    assert np.sort(norms)[::-1] == pytest.approx(optimum.decoder_norms, abs=1e-3)

    # the diagonal posterior fixes the rotation: columns lie along single principal axes
    axes = theory.pca(X).components
    cosines = np.abs(W[norms > 0.01] @ axes) / norms[norms > 0.01, None]
    assert np.all(cosines.max(axis=1) >= 0.999)
    assert model.active_units(X) == optimum.active.sum()


@pytest.fixture(scope="module")
def digits():
    return datasets.load_digits().X


def test_linear_vae_on_digits_draws_shannons_curve(digits):
    eigenvalues = theory.pca(digits).eigenvalues
    model = VAE(20, hidden_layer_sizes=(), noise_variance=0.05, random_state=0)
    sweep = beta_sweep(digits, [0.1, 0.5, 1, 2, 5, 20], model=model)
    on_the_curve = 0
    for beta, rate, distortion, active in zip(
        sweep.beta, sweep.rate, sweep.distortion, sweep.active_units, strict=True
    ):
        optimum = theory.linear_vae_optimum(eigenvalues, 20, beta, 0.05)
        assert rate == pytest.approx(optimum.rate, rel=1e-3, abs=1e-3)
        assert distortion == pytest.approx(optimum.distortion, rel=1e-3)
        assert active == optimum.active.sum()
        if eigenvalues[19] <= beta * 0.05:
            on_the_curve += 1
            shannon = theory.shannon_rate(eigenvalues, distortion)
            assert rate == pytest.approx(shannon, rel=1e-3, abs=1e-3)
        else:  # twenty dimensions are too few here, and cost more than Shannon asks
            assert rate > theory.shannon_rate(eigenvalues, distortion)
    assert on_the_curve == 4
    assert sweep.rate[-1] < 1e-3  # all of it collapsed: β σ² = 1 > λ_1


def test_with_beta_one_and_learned_noise_it_is_probabilistic_pca():
    """Tipping & Bishop (1999): σ² is the mean of the eigenvalues left out."""
    eigenvalues = [5.0, 3.0, 1.0, 0.5, 0.3, 0.2]
    X = datasets.make_gaussian(40, eigenvalues, exact=True, random_state=0)
    model = VAE(2, hidden_layer_sizes=(), noise_variance="learned", random_state=0, tol=1e-8)
    model.fit(X)
    noise = np.mean(eigenvalues[2:])
    assert model.noise_variance_ == pytest.approx(noise, rel=1e-6)
    # the exact log-likelihood at its maximum: a Gaussian with the fitted covariance
    log_det = np.log(eigenvalues[:2]).sum() + 4 * np.log(noise)
    log_likelihood = -0.5 * (6 * np.log(2 * np.pi) + log_det + 6)
    assert model.elbo(X) == pytest.approx(log_likelihood, abs=1e-8)


def test_nonlinear_rate_falls_and_distortion_rises_with_beta(digits):
    X, betas, n_seeds = digits[:400].astype(np.float32), (0.3, 1, 3, 10, 30), 4
    rates, distortions = np.empty((2, n_seeds, len(betas)))
    for seed in range(n_seeds):
        model = VAE(
            5, hidden_layer_sizes=(32,), noise_variance=0.05, max_iter=60, learning_rate=5e-3,
            batch_size=64, tol=0, random_state=seed,
        )  # fmt: skip
        sweep = beta_sweep(X, betas, model=model)
        rates[seed], distortions[seed] = sweep.rate, sweep.distortion
    for falling in (rates, -distortions):
        step = np.diff(falling, axis=1)
        # noise: the standard error of the step over seeds; collapsed ends do not move at all
        noise = step.std(axis=0, ddof=1) / np.sqrt(n_seeds)
        assert np.all(step.mean(axis=0) <= 2 * noise + 1e-3)
    assert rates[:, 0].min() > 10 > 0.1 > rates[:, -1].max()  # and it does move
