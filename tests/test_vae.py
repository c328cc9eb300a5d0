"""Chapter 5: the variational autoencoder. Its bounds, its KL, two gradients, its likelihoods."""

from __future__ import annotations

from inspect import signature
from itertools import combinations_with_replacement
from math import factorial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import logit, logsumexp, xlogy
from scipy.stats import binom, multivariate_normal, norm
from theory_report import verify

from nanoae import VAE, LinearAutoencoder, LinearVAE, diagnose_vae, gradient_check, theory
from nanoae.datasets import load_digits, make_gaussian
from nanoae.losses import (
    LIKELIHOODS,
    bernoulli_nll,
    gaussian_kl,
    gaussian_nll,
    gaussian_nll_of_error,
    squared_error,
)

seeds = st.integers(0, 2**32 - 1)


# --- shared ------------------------------------------------------------------------------------


def random_covariance(k, rng, *, diagonal=False):
    """Eigenvalues from 0.1 to 3, axes at random or along the coordinates."""
    variances = np.exp(rng.uniform(np.log(0.1), np.log(3), k))
    if diagonal:
        return np.diag(variances)
    U = np.linalg.qr(rng.standard_normal((k, k)))[0]
    return U * variances @ U.T


def random_linear_gaussian(d, k, rng):
    return theory.LinearGaussian(
        rng.standard_normal((d, k)), rng.standard_normal(d), rng.uniform(0.2, 2)
    )


@st.composite
def linear_gaussians(draw, max_k=4):
    """A random model, a random Gaussian q (full or diagonal), one x, rng."""
    rng = np.random.default_rng(draw(seeds))
    d, k = draw(st.integers(1, 5)), draw(st.integers(1, max_k))
    model = random_linear_gaussian(d, k, rng)
    q = rng.standard_normal(k), random_covariance(k, rng, diagonal=draw(st.booleans()))
    return model, q, 2 * rng.standard_normal((1, d)), rng


def expectation(f, mean, covariance, nodes):
    """E f(z), z ~ N(mean, covariance), by Gauss–Hermite: exact for degrees below 2 nodes."""
    k = len(mean)
    t, w = np.polynomial.hermite_e.hermegauss(nodes)
    eps = np.stack(np.meshgrid(*[t] * k, indexing="ij"), axis=-1).reshape(-1, k)
    weights = np.prod(np.meshgrid(*[w] * k, indexing="ij"), axis=0).ravel() / w.sum() ** k
    return weights @ f(mean + eps @ np.linalg.cholesky(covariance).T)


def log_integral(log_f, k, centre, spread, smallest):
    """log ∫ exp(log_f) by the trapezoid rule over ±``spread`` round ``centre``.

    For a Gaussian of standard deviation s and a spacing of s/2 its error is below 1e-30; only
    what lies outside the box is lost.
    """
    ticks = np.arange(-spread, spread, smallest / 2)
    axes = np.meshgrid(*[ticks] * k, indexing="ij")
    z = centre + np.stack(axes, axis=-1).reshape(-1, k)
    return logsumexp(log_f(z)) + k * np.log(smallest / 2)


def peak(model, x, power=1):
    """Where p(x|z)^power p(z) is largest: regularised least squares."""
    W = np.sqrt(power / model.noise_variance) * model.W
    target = np.sqrt(power / model.noise_variance) * (x[0] - model.b)
    return np.linalg.solve(W.T @ W + np.eye(W.shape[1]), W.T @ target)


def log_joint(model, x, z):
    """log p(x|z) + log p(z), from SciPy's densities."""
    likelihood = norm.logpdf(x, z @ model.W.T + model.b, np.sqrt(model.noise_variance))
    return likelihood.sum(axis=1) + norm.logpdf(z).sum(axis=1)


def linear_vae(d, k, rng, **parameters):
    """A linear VAE with random parameters, untrained, and its decoder as a LinearGaussian."""
    model = LinearVAE(k, random_state=0, **parameters)
    model.initialise(rng.standard_normal((3, d)))
    model.parameters_[...] += 0.3 * rng.standard_normal(model.parameters_.shape)
    return model, linear_gaussian_of(model)


def linear_gaussian_of(model):
    decoder = model.decoder_.layers[0]
    return theory.LinearGaussian(decoder.weight.T, decoder.bias, model.noise_variance_)


def tables(m, rng):
    """p(x, z) for one x and m values of z, and q(z|x): any model with a discrete code."""
    return rng.dirichlet(np.ones(m)) * rng.uniform(0.1, 1), rng.dirichlet(2 * np.ones(m))


def largest(error):
    return np.abs(error).max()


# --- 5.1 the bound and its gap -----------------------------------------------------------------


@pytest.mark.equation("5.1")
@pytest.mark.equation("5.1a")
@given(linear_gaussians())
@settings(max_examples=60)
def test_elbo_and_the_gap_add_up_to_the_log_likelihood(case):
    model, q, x, _ = case
    log_p, elbo = model.log_likelihood(x), model.elbo(x, *q)
    gap = theory.gaussian_kl_between(*q, *model.posterior(x))
    verify("5.1", largest(elbo + gap - log_p), 1e-10)  # nats, of numbers up to some hundreds
    verify("5.1a", (elbo - log_p).max(), 0)  # a random q is never the posterior


@pytest.mark.equation("5.1")
@given(seeds, st.integers(2, 6), st.integers(1, 3))
@settings(max_examples=20)
def test_the_models_own_elbo_and_the_gap_add_up_to_the_log_likelihood(seed, d, k):
    """The encoder's q is another one at each sample."""
    rng = np.random.default_rng(seed)
    vae, model = linear_vae(d, k, rng, noise_variance=rng.uniform(0.2, 2))
    X = rng.standard_normal((8, d))
    mu, log_var = vae.encode(X)
    gaps = [
        theory.gaussian_kl_between(m, np.diag(np.exp(v)), *model.posterior(x[None]))
        for x, m, v in zip(X, mu, log_var, strict=True)
    ]
    log_p = model.log_likelihood(X).mean()
    verify("5.1", abs(vae.elbo(X) + np.mean(gaps) - log_p) / max(1, abs(log_p)), 1e-12)


@pytest.mark.equation("5.1")
@pytest.mark.equation("5.1a")
@pytest.mark.equation("5.1b")
@given(seeds, st.integers(2, 6))
@settings(max_examples=60)
def test_decomposition_for_any_discrete_code(seed, m):
    joint, q = tables(m, np.random.default_rng(seed))
    log_p, posterior = np.log(joint.sum()), joint / joint.sum()
    elbo = np.sum(q * np.log(joint / q))
    gap = np.sum(q * np.log(q / posterior))
    verify("5.1", abs(elbo + gap - log_p), 1e-13)
    verify("5.1a", elbo - log_p, 0)
    verify("5.1b", abs(np.sum(posterior * np.log(joint / posterior)) - log_p), 1e-13)


@pytest.mark.equation("5.1b")
@given(linear_gaussians())
@settings(max_examples=40)
def test_the_bound_is_tight_at_the_posterior_and_nowhere_near_it(case):
    model, _, x, rng = case
    log_p, (mean, covariance) = model.log_likelihood(x), model.posterior(x)
    verify("5.1b", largest(model.elbo(x, mean, covariance) - log_p), 1e-10)
    # moved by δ, the KL to the posterior is ½ δᵀ S⁻¹ δ
    delta = rng.standard_normal(mean.shape)
    gap = log_p - model.elbo(x, mean + delta, covariance)
    expected = 0.5 * np.sum(delta * np.linalg.solve(covariance, delta.T).T)
    assert expected > 0
    verify("5.1b", largest(gap - expected) / max(1, expected), 1e-10)
    # its covariance changed, with the same mean: ½ (tr S⁻¹S' − k − log |S'|/|S|)
    for other in (0.5 * covariance, random_covariance(len(covariance), rng)):
        gap = log_p - model.elbo(x, mean, other)
        relative = np.linalg.eigvals(np.linalg.solve(covariance, other)).real
        expected = 0.5 * np.sum(relative - 1 - np.log(relative))
        assert expected > 0
        verify("5.1b", largest(gap - expected) / max(1, expected), 1e-10)


@pytest.mark.equation("5.1c")
@given(linear_gaussians(max_k=2))
@settings(max_examples=20)
def test_marginal_likelihood_is_the_integral_over_the_code(case):
    model, _, x, _ = case
    k = model.W.shape[1]
    # no direction of z is sharper in p(x, z) than 1 + ‖W‖²/σ² allows
    sharpest = 1 / np.sqrt(1 + np.linalg.norm(model.W, 2) ** 2 / model.noise_variance)
    log_p = log_integral(lambda z: log_joint(model, x, z), k, peak(model, x), 9, sharpest)
    # nor wider than the prior: 1e-18 lies outside ±9; log p(x) can be −100 or so, and sums round
    verify("5.1c", abs(model.log_likelihood(x)[0] - log_p), 1e-10)


@pytest.mark.equation("5.1d")
@given(linear_gaussians())
@settings(max_examples=40)
def test_posterior_obeys_bayes_rule_at_every_code(case):
    model, _, x, rng = case
    mean, covariance = model.posterior(x)
    z = mean + 2 * rng.standard_normal((10, mean.shape[1]))
    log_posterior = multivariate_normal.logpdf(z, mean[0], covariance)
    log_p = log_joint(model, x, z) - log_posterior  # the same number for all z
    scale = np.maximum(1, np.abs(log_posterior))
    verify("5.1d", largest((log_p - model.log_likelihood(x)) / scale), 1e-10)


@pytest.mark.equation("5.1e")
@given(linear_gaussians(max_k=3))
@settings(max_examples=30)
def test_closed_form_elbo_is_the_expectation_it_stands_for(case):
    model, (mean, covariance), x, _ = case
    elbo = expectation(
        lambda z: log_joint(model, x, z) - multivariate_normal.logpdf(z, mean, covariance),
        mean, covariance, nodes=3,
    )  # fmt: skip
    # both logs are quadratic in z, so three nodes a dimension are exact
    verify("5.1e", abs(model.elbo(x, mean, covariance)[0] / elbo - 1), 1e-10)


@pytest.mark.equation("5.1f")
@given(linear_gaussians(max_k=2))
@settings(max_examples=20)
def test_draws_from_the_prior_have_the_variance_of_a_divergence(case):
    model, _, x, _ = case
    k = model.W.shape[1]
    prior = np.zeros(k), np.eye(k)
    sharpest = 1 / np.sqrt(1 + 2 * np.linalg.norm(model.W, 2) ** 2 / model.noise_variance)
    log_second_moment = log_integral(  # ∫ p(x|z)² p(z) dz
        lambda z: 2 * log_joint(model, x, z) - norm.logpdf(z).sum(axis=1),
        k, peak(model, x, 2), 9, sharpest,
    )  # fmt: skip
    divergence = theory.gaussian_renyi_between(*model.posterior(x), *prior)[0]
    relative = np.expm1(log_second_moment - 2 * model.log_likelihood(x)[0])
    # over 1 + the variance: of one that nearly vanishes, rounding leaves few digits
    verify("5.1f", abs(relative - np.expm1(divergence)) / np.exp(divergence), 1e-10)


@pytest.mark.equation("5.1g")
@given(seeds, st.integers(1, 2))
@settings(max_examples=20)
def test_renyi_divergence_of_two_gaussians(seed, k):
    rng = np.random.default_rng(seed)
    p, q = random_covariance(k, rng), random_covariance(k, rng)
    q += 0.6 * p  # so that 2 q − p is positive definite
    mean_p, mean_q = rng.standard_normal((2, k))
    closed = theory.gaussian_renyi_between(mean_p, p, mean_q, q)[0]
    # p²/q is a Gaussian with the precision 2 p⁻¹ − q⁻¹, and this mean
    P, Q = np.linalg.inv(p), np.linalg.inv(q)
    centre = np.linalg.solve(2 * P - Q, 2 * P @ mean_p - Q @ mean_q)
    spreads = 1 / np.sqrt(np.linalg.eigvalsh(2 * P - Q))
    integral = log_integral(
        lambda z: 2 * multivariate_normal.logpdf(z, mean_p, p)
        - multivariate_normal.logpdf(z, mean_q, q),
        k, centre, 9 * spreads.max(), spreads.min(),
    )  # fmt: skip
    verify("5.1g", abs(closed - integral), 1e-9)
    assert theory.gaussian_renyi_between(mean_p, p, mean_p, p)[0] == pytest.approx(0, abs=1e-12)
    # half the variance or less: the weights have no second moment
    assert theory.gaussian_renyi_between(mean_p, p, mean_q, 0.5 * p)[0] == np.inf


# --- 5.2 the Gaussian KL -----------------------------------------------------------------------


def kl_of_one(mu, log_var):
    """The model's KL of a single sample."""
    return gaussian_kl(mu[None], log_var[None])[0]


def random_gaussian(seed, k):
    """Means over ±3, standard deviations over e^±2: from sharp posteriors to broad ones."""
    rng = np.random.default_rng(seed)
    return rng.uniform(-3, 3, k), rng.uniform(-4, 4, k), rng


@pytest.mark.equation("5.2")
@given(seeds, st.integers(1, 4))
@settings(max_examples=40)
def test_kl_equals_the_integral_of_its_definition(seed, k):
    mu, log_var, _ = random_gaussian(seed, k)
    integral = theory.gaussian_kl_quadrature(mu, log_var)
    # the quadrature is asked for 1e-13 a dimension
    verify("5.2", abs(kl_of_one(mu, log_var) - integral) / max(1, integral), 1e-10)


@pytest.mark.equation("5.2a")
@given(seeds, st.integers(1, 5), st.integers(1, 4))
@settings(max_examples=30)
def test_gradient_of_the_kl_by_the_complex_step(seed, n, k):
    rng = np.random.default_rng(seed)
    mu, log_var = rng.uniform(-3, 3, (2, n, k))
    _, grad_mu, grad_log_var = gaussian_kl(mu, log_var)
    step = 1e-30
    for place in np.ndindex(n, k):
        e = np.zeros((n, k), complex)
        e[place] = step * 1j
        by_mu = gaussian_kl(mu + e, log_var)[0].imag / step
        by_log_var = gaussian_kl(mu, log_var + e)[0].imag / step
        verify("5.2a", abs(by_mu - grad_mu[place]) / largest(grad_mu), 1e-12)
        verify("5.2a", abs(by_log_var - grad_log_var[place]) / largest(grad_log_var), 1e-12)


@pytest.mark.equation("5.2b")
@given(seeds, st.integers(1, 5), st.floats(-5, 0))
def test_kl_is_positive_but_at_the_prior(seed, k, power):
    mu, log_var, rng = random_gaussian(seed, k)
    near = 10**power * rng.standard_normal((2, k))
    verify("5.2b", kl_of_one(mu, log_var) <= 0, 0)
    # at 1e-5 the KL is near 1e-10, and its rounding 1e-15
    verify("5.2b", kl_of_one(*near) <= 0, 0)
    verify("5.2b", kl_of_one(np.zeros(k), np.zeros(k)), 0)


@pytest.mark.equation("5.2c")
@given(seeds, st.integers(1, 5))
def test_kl_adds_up_over_dimensions(seed, k):
    mu, log_var, rng = random_gaussian(seed, k)
    parts = [kl_of_one(mu[j : j + 1], log_var[j : j + 1]) for j in range(k)]
    verify("5.2c", abs(sum(parts) / kl_of_one(mu, log_var) - 1), 1e-14)
    vae, _ = linear_vae(4, k, rng)
    X = rng.standard_normal((9, 4))
    rate, _ = vae.rate_distortion(X)
    verify("5.2c", abs(vae.kl_per_dimension(X).sum() / rate - 1), 1e-14)


@pytest.mark.equation("5.2d")
def test_kl_lies_within_five_standard_errors_of_monte_carlo():
    for seed in range(200):
        mu, log_var, rng = random_gaussian(seed, 1 + seed % 8)
        estimate = theory.gaussian_kl_monte_carlo(mu, log_var, 5_000, rng)
        # 5 standard errors: a false alarm in 200 cases has probability 1e-4
        error = abs(kl_of_one(mu, log_var) - estimate.mean)
        verify("5.2d", error / estimate.standard_error, 5)


@pytest.mark.equation("5.2d")
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
    verify("5.2d", abs(slope + 0.5), 5 * standard_error)  # false alarm: 6e-7


def test_the_standard_error_of_two_draws_is_half_their_distance():
    mu, log_var = np.array([1.0, -0.5]), np.array([0.3, -1.0])
    estimate = theory.gaussian_kl_monte_carlo(mu, log_var, 2, np.random.default_rng(0))
    sigma = np.exp(log_var / 2)
    z = mu + sigma * np.random.default_rng(0).standard_normal((2, 2))
    first, second = (norm.logpdf(z, mu, sigma) - norm.logpdf(z)).sum(axis=1)
    assert estimate.mean == pytest.approx((first + second) / 2, rel=1e-12)
    assert estimate.standard_error == pytest.approx(abs(first - second) / 2, rel=1e-12)


@pytest.mark.equation("5.2d")
@given(seeds, st.integers(1, 3))
@settings(max_examples=30)
def test_variance_of_the_monte_carlo_kl(seed, k):
    mu, log_var, rng = random_gaussian(seed, k)
    sigma = np.exp(log_var / 2)

    def log_ratio(z):
        return (norm.logpdf(z, mu, sigma) - norm.logpdf(z)).sum(axis=1)

    S = np.diag(sigma**2)
    mean = expectation(log_ratio, mu, S, 2)
    variance = expectation(lambda z: (log_ratio(z) - mean) ** 2, mu, S, 3)  # degree 4: exact
    closed = theory.gaussian_kl_monte_carlo_variance(mu, log_var)
    verify("5.2d", abs(closed / variance - 1), 1e-10)
    # and the estimator's own standard error is on average that: 5 % is over 5 deviations, since
    # the variance of n draws is known to √((κ − 1)/n), and the kurtosis κ of log q/p is at most 15
    estimate = theory.gaussian_kl_monte_carlo(mu, log_var, 200_000, rng)
    assert 200_000 * estimate.standard_error**2 == pytest.approx(closed, rel=0.05)


@pytest.mark.equation("5.2e")
@given(seeds, st.integers(1, 4))
@settings(max_examples=30)
def test_kl_between_full_gaussians(seed, k):
    rng = np.random.default_rng(seed)
    q, p = ((rng.standard_normal(k), random_covariance(k, rng)) for _ in range(2))
    integral = expectation(
        lambda z: multivariate_normal.logpdf(z, *q) - multivariate_normal.logpdf(z, *p), *q, 2
    )
    verify("5.2e", abs(theory.gaussian_kl_between(*q, *p)[0] / integral - 1), 1e-10)
    mu, log_var, _ = random_gaussian(seed, k)
    to_prior = theory.gaussian_kl_between(mu, np.diag(np.exp(log_var)), np.zeros(k), np.eye(k))
    verify("5.2e", abs(to_prior[0] / kl_of_one(mu, log_var) - 1), 1e-12)


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


@pytest.mark.equation("5.2f")
@given(seeds, st.integers(1, 6))
@settings(max_examples=25)
def test_average_kl_is_information_and_the_mismatch_of_the_aggregate(seed, n):
    rng = np.random.default_rng(seed)
    mu, log_var = rng.uniform(-2, 2, (n, 1)), rng.uniform(-2, 1, (n, 1))
    # trapezoid rule: σ is e^-1 to e^½, so this is 9 deviations out, 7 points or more a deviation
    z = np.arange(-18, 18, 0.05)
    each = norm.pdf(z, mu, np.exp(log_var / 2))
    aggregate = each.mean(axis=0)
    information = 0.05 * np.sum(xlogy(each, each) - xlogy(each, aggregate)) / n
    mismatch = 0.05 * np.sum(xlogy(aggregate, aggregate) - aggregate * norm.logpdf(z))
    verify("5.2f", abs((information + mismatch) / gaussian_kl(mu, log_var)[0] - 1), 1e-9)
    # z cannot tell more than which of the n it was
    assert -1e-12 <= information <= np.log(n) + 1e-12


# --- 5.3 two gradients -------------------------------------------------------------------------


class Quadratic:
    """``f(z) = c + aᵀz + ½ zᵀA z``."""

    def __init__(self, c, a, A):
        self.c, self.a, self.A = c, a, A

    def __call__(self, z):
        return self.c + z @ self.a + 0.5 * np.sum(z @ self.A * z, axis=1)

    def gradient(self, z):
        return self.a + z @ self.A


def random_quadratic(k, rng, *, linear=False):
    A = np.zeros((k, k)) if linear else rng.standard_normal((k, k))
    return Quadratic(rng.standard_normal(), rng.standard_normal(k), (A + A.T) / 2)


class Exponential:
    """``f(z) = exp(aᵀz)``, whose expectation is known too."""

    def __init__(self, a):
        self.a = a

    def __call__(self, z):
        return np.exp(z @ self.a)

    def gradient(self, z):
        return self(z)[:, None] * self.a


def z_scores(estimates, truth):
    deviation = estimates.std(axis=0, ddof=1)
    assert np.all(deviation > 0)
    return (estimates.mean(axis=0) - truth) / (deviation / np.sqrt(len(estimates)))


@pytest.mark.equation("5.3")
@pytest.mark.equation("5.3a")
def test_both_estimators_are_unbiased():
    n, components = 50_000, 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        k, sigma = 1 + seed % 5, rng.uniform(0.3, 1.5)
        mu = rng.standard_normal(k)
        f = random_quadratic(k, rng)
        truth = f.gradient(mu)  # E f = f(μ) + ½ σ² tr A
        if seed % 3 == 0:
            f = Exponential(rng.uniform(-0.5, 0.5, k))
            truth = np.exp(f.a @ mu + 0.5 * sigma**2 * f.a @ f.a) * f.a
        reparameterised = theory.reparameterised_gradients(f.gradient, mu, sigma, n, rng)
        score = theory.score_function_gradients(f, mu, sigma, n, rng)
        components += k
        # 180 z-scores in all: a false alarm of |z| > 5 has probability 1e-4
        verify("5.3", largest(z_scores(reparameterised, truth)), 5)
        verify("5.3a", largest(z_scores(score, truth)), 5)
    assert components == 90


@pytest.mark.equation("5.3")
@pytest.mark.equation("5.3a")
@given(seeds, st.integers(1, 3))
@settings(max_examples=25)
def test_both_estimators_have_the_exact_gradient_as_their_mean(seed, k):
    """Also that by log σ², one σ a dimension; by quadrature, so to rounding."""
    rng = np.random.default_rng(seed)
    f, mu, log_var = random_quadratic(k, rng), rng.standard_normal(k), rng.uniform(-2, 1, k)
    sigma = np.exp(log_var / 2)
    true_mu = f.gradient(mu)
    true_log_var = 0.5 * np.diag(f.A) * sigma**2  # E f = f(μ) + ½ Σ A_jj σ_j²

    def mean(estimator):  # degree 4 at most: three nodes are exact
        return expectation(lambda eps: estimator(mu + sigma * eps, eps), 0 * mu, np.eye(k), 3)

    scale = 1 + largest(true_mu) + largest(true_log_var) + abs(f.c)
    for number, by_mu, by_log_var in (
        ("5.3", lambda z, eps: f.gradient(z), lambda z, eps: f.gradient(z) * eps * sigma / 2),
        (
            "5.3a",
            lambda z, eps: f(z)[:, None] * eps / sigma,
            lambda z, eps: f(z)[:, None] * (eps**2 - 1) / 2,
        ),
    ):
        verify(number, largest(mean(by_mu) - true_mu) / scale, 1e-12)
        verify(number, largest(mean(by_log_var) - true_log_var) / scale, 1e-12)


@pytest.mark.equation("5.3b")
@pytest.mark.equation("5.3c")
@given(seeds, st.integers(1, 4))
@settings(max_examples=30)
def test_variances_in_closed_form_are_exact(seed, k):
    rng = np.random.default_rng(seed)
    f, mu, sigma = random_quadratic(k, rng), rng.standard_normal(k), rng.uniform(0.3, 1.5)
    closed = theory.gradient_estimator_variance(f.c, f.a, f.A, mu, sigma)

    def total_variance(estimator):  # the score's square has degree 6: four nodes are exact
        mean = f.gradient(mu)
        return expectation(
            lambda eps: np.sum((estimator(mu + sigma * eps, eps) - mean) ** 2, axis=1),
            0 * mu, np.eye(k), 4,
        )  # fmt: skip

    verify(
        "5.3b", abs(closed.reparameterised / total_variance(lambda z, _: f.gradient(z)) - 1), 1e-11
    )
    score = total_variance(lambda z, eps: f(z)[:, None] * eps / sigma)
    verify("5.3c", abs(closed.score_function / score - 1), 1e-11)


@pytest.mark.equation("5.3b")
@pytest.mark.equation("5.3c")
@pytest.mark.parametrize("k", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("linear", [True, False])
def test_variances_of_the_estimators_are_the_closed_forms(k, linear):
    rng = np.random.default_rng(k)
    f, mu, sigma = random_quadratic(k, rng, linear=linear), rng.standard_normal(k), 0.7
    closed = theory.gradient_estimator_variance(f.c, f.a, f.A, mu, sigma)
    n = 100_000
    reparameterised = theory.reparameterised_gradients(f.gradient, mu, sigma, n, rng)
    score = theory.score_function_gradients(f, mu, sigma, n, rng)
    measured = [g.var(axis=0, ddof=1).sum() for g in (reparameterised, score)]
    if linear:
        verify("5.3b", largest(reparameterised - f.a), 0)  # every draw is the exact gradient
        assert closed.reparameterised == 0
    else:
        verify("5.3b", abs(measured[0] / closed.reparameterised - 1), 0.05)
    verify("5.3c", abs(measured[1] / closed.score_function - 1), 0.05)


@pytest.mark.equation("5.3d")
@given(st.integers(1, 50), st.floats(0.01, 10))
def test_ratio_for_the_squared_norm(k, sigma):
    variance = theory.gradient_estimator_variance(0, np.zeros(k), np.eye(k), np.zeros(k), sigma)
    ratio = variance.score_function / variance.reparameterised
    verify("5.3d", abs(ratio / ((k + 2) * (k + 4) / 4) - 1), 1e-12)


@pytest.mark.equation("5.3e")
@pytest.mark.equation("5.3f")
@given(seeds, st.integers(1, 8))
@settings(max_examples=60)
def test_the_best_baseline_leaves_half_of_k_plus_two(seed, k):
    rng = np.random.default_rng(seed)
    f, mu, sigma = random_quadratic(k, rng), rng.standard_normal(k), rng.uniform(0.3, 1.5)
    trace, square = np.trace(f.A), np.sum(f.A**2)
    F, g = f(mu[None])[0], f.gradient(mu)

    def variance(baseline):  # subtracting a constant from f changes c alone
        return theory.gradient_estimator_variance(f.c - baseline, f.a, f.A, mu, sigma)

    best = F + sigma**2 * (k + 2) * trace / (2 * k)
    least = (k + 1) * g @ g + sigma**2 * ((k + 4) / 2 * square - trace**2 / k)
    verify("5.3e", abs(variance(best).score_function / least - 1), 1e-11)
    for other in best + rng.standard_normal(5):
        verify("5.3e", variance(other).score_function <= least, 0)
    reparameterised = variance(best).reparameterised
    verify("5.3f", (k + 2) / 2 * reparameterised / least, 1)
    # reached by the squared norm, around its minimum
    f = theory.gradient_estimator_variance(
        -(sigma**2) * (k + 2) / 2, 0 * mu, np.eye(k), 0 * mu, sigma
    )
    verify("5.3f", abs(f.score_function / f.reparameterised / ((k + 2) / 2) - 1), 1e-12)


def total_variances(f, mu, sigma, units):
    """Of both gradients by μ, component j times ``units[j]``: the score function's with its best
    constant baseline, and the reparameterised one's. By quadrature: degree 6, four nodes."""
    k, mean = len(mu), f.gradient(mu) * units

    def average(g):
        return expectation(g, np.zeros(k), np.eye(k), 4)

    def square(eps):
        return np.sum((eps / sigma * units) ** 2, axis=1)

    def at(eps):
        return f(mu + sigma * eps)

    # E (f − b)² ‖s‖² is a parabola in b
    baseline = average(lambda eps: at(eps) * square(eps)) / average(square)
    score = average(lambda eps: (at(eps) - baseline) ** 2 * square(eps)) - mean @ mean
    slopes = average(
        lambda eps: np.sum((f.gradient(mu + sigma * eps) * units - mean) ** 2, axis=1)
    )
    return score, slopes


@pytest.mark.equation("5.3f")
@given(seeds, st.integers(1, 4), st.booleans())
@settings(max_examples=40)
def test_with_unequal_sigmas_it_holds_in_their_units_only(seed, k, narrow):
    rng = np.random.default_rng(seed)
    f, mu = random_quadratic(k, rng), rng.standard_normal(k)
    sigma = np.exp(rng.uniform(-2, 2, k))
    if narrow:  # f depends on the narrowest direction alone, which in other units is too little
        f, mu = Quadratic(0.0, np.zeros(k), np.diag(1.0 * (sigma == sigma.min()))), np.zeros(k)
    score, reparameterised = total_variances(f, mu, sigma, sigma)
    verify("5.3f", (k + 2) / 2 * reparameterised / score, 1 + 1e-12)
    # and with one σ in any units, the same one for all
    score, reparameterised = total_variances(f, mu, np.full(k, sigma[0]), np.ones(k))
    verify("5.3f", (k + 2) / 2 * reparameterised / score, 1 + 1e-12)


@pytest.mark.parametrize("k, others, ratio", [(2, 10.0, 1.5149), (4, 3.0, 1.9167)])
def test_with_unequal_sigmas_half_of_k_plus_two_is_too_much(k, others, ratio):
    """f = ½ z_k², σ_k = 1: the other dimensions, if wide, bring the score function no noise."""
    sigma, A = np.append(np.full(k - 1, others), 1.0), np.zeros((k, k))
    A[-1, -1] = 1
    f, mu = Quadratic(0.0, np.zeros(k), A), np.zeros(k)
    score, reparameterised = total_variances(f, mu, sigma, np.ones(k))
    assert reparameterised == pytest.approx(1, rel=1e-12)
    tau = (k - 1) / others**2
    assert score == pytest.approx(15 / 4 + 0.75 * tau - (3 + tau) ** 2 / (4 + 4 * tau), rel=1e-12)
    assert score == pytest.approx(ratio, abs=1e-4)
    assert score < (k + 2) / 2


def train_on_digits(**parameters):
    return VAE(
        8, hidden_layer_sizes=(64,), batch_size=64, max_iter=10, random_state=0, **parameters
    ).fit(load_digits().X)


def negative_log_likelihood(model, x_hat, X):
    """One value a sample, and the gradient of their mean."""
    likelihood, log_variance = LIKELIHOODS[model.likelihood], np.log(model.noise_variance_)
    distortion = likelihood.distortion.per_sample(x_hat, X)
    nll = likelihood.nll_of_distortion(distortion, X.shape[1], log_variance)
    return nll, likelihood.nll(x_hat, X, log_variance)[1]


def batch_gradients(model, X, n_draws, rng):
    """``∇ log p(x|z)`` by [μ, log σ²] of every sample, by both estimators, ``(n_draws, n, 2k)``.

    Also log p(x|z) and the scores ``∇ log q``.
    """
    mu, log_var = model.encode(X)
    sigma = np.exp(log_var / 2)
    log_p, reparameterised, scores = [], [], []
    for _ in range(n_draws):
        eps = rng.standard_normal(mu.shape)
        x_hat = model.decoder_.forward(mu + sigma * eps)
        nll, grad_x_hat = negative_log_likelihood(model, x_hat, X)
        log_p.append(-nll)
        grad_z = -len(X) * model.decoder_.backward(grad_x_hat)
        reparameterised.append(np.hstack([grad_z, grad_z * eps * sigma / 2]))
        scores.append(np.hstack([eps / sigma, (eps**2 - 1) / 2]))
    return np.array(log_p)[:, :, None], np.array(reparameterised), np.array(scores)


def noise(gradients):
    """Variance, summed over the 2k numbers, averaged over samples."""
    return gradients.var(axis=0, ddof=1).sum(axis=1).mean()


@pytest.mark.equation("5.3g")
@pytest.mark.parametrize(
    "likelihood",
    [{"noise_variance": "learned"}, {"noise_variance": 0.05}, {"likelihood": "bernoulli"}],
    ids=["learned", "fixed", "bernoulli"],
)
def test_reparameterised_gradients_of_digits_are_less_noisy(likelihood):
    model, X, rng = train_on_digits(**likelihood), load_digits().X[:64], np.random.default_rng(1)
    log_p, reparameterised, scores = batch_gradients(model, X, 400, rng)
    score = log_p * scores
    # unbiased both, in all 16 numbers of the batch's gradient: false alarm 16 · 6e-7
    difference = (reparameterised - score).mean(axis=1)
    assert largest(z_scores(difference, 0)) <= 5
    ratio = noise(score) / noise(reparameterised)
    verify("5.3g", 10 / ratio, 1)
    # the best constant a sample, Σ cov(log p s, s) / Σ var s, takes most of the gap away, but
    # not all: the claim is about the plain estimator, and this is the other half of the truth
    centred, centred_scores = score - score.mean(axis=0), scores - scores.mean(axis=0)
    best = np.sum(centred * centred_scores, axis=(0, 2)) / np.sum(centred_scores**2, axis=(0, 2))
    with_baseline = noise((log_p - best[:, None]) * scores) / noise(reparameterised)
    assert 2 < with_baseline < ratio / 2


# --- 5.4 likelihoods ---------------------------------------------------------------------------


@pytest.mark.equation("5.4")
@given(seeds, st.integers(1, 20))
def test_best_noise_variance_is_the_mean_squared_error_per_feature(seed, d):
    rng = np.random.default_rng(seed)
    error = np.exp(rng.uniform(-5, 5))
    best = np.log(error / d)
    least, _, gradient = gaussian_nll_of_error(error, d, best)
    verify("5.4", abs(gradient) / d, 1e-12)
    verify("5.4", abs(least / d - 0.5 * (np.log(2 * np.pi * error / d) + 1)), 1e-12)
    for other in best + rng.standard_normal(5):
        verify("5.4", gaussian_nll_of_error(error, d, other)[0] <= least, 0)


@pytest.mark.equation("5.4a")
@given(seeds, st.integers(1, 5), st.integers(1, 5))
@settings(max_examples=30)
def test_gaussian_gradients_by_the_complex_step(seed, n, d):
    rng = np.random.default_rng(seed)
    x, x_hat = rng.standard_normal((2, n, d))
    log_noise, step = rng.uniform(-3, 3), 1e-30
    _, grad_x_hat, grad_log_noise = gaussian_nll(x_hat, x, log_noise)
    for place in np.ndindex(n, d):
        e = np.zeros((n, d), complex)
        e[place] = step * 1j
        numeric = gaussian_nll(x_hat + e, x, log_noise)[0].imag / step
        verify("5.4a", abs(numeric - grad_x_hat[place]) / largest(grad_x_hat), 1e-12)
    numeric = gaussian_nll(x_hat + 0j, x, log_noise + step * 1j)[0].imag / step
    # ½ (d − E/σ²): the error is that of the two terms
    terms = d + squared_error(x_hat, x)[0] * np.exp(-log_noise)
    verify("5.4a", abs(numeric - grad_log_noise) / terms, 1e-12)


@pytest.mark.equation("5.4b")
@given(seeds, st.integers(2, 12), st.integers(1, 8), st.integers(1, 6))
def test_noise_variance_fitted_to_each_batch_flatters_the_loss(seed, batches, size, d):
    rng = np.random.default_rng(seed)
    errors = np.sum(rng.standard_normal((batches, size, d)) ** 2, axis=2)

    def least(error):
        return gaussian_nll_of_error(error, d, np.log(error / d))[0]

    per_batch = np.mean([least(error) for error in errors.mean(axis=1)])
    verify("5.4b", per_batch - least(errors.mean()), 0)


@pytest.mark.equation("5.4c")
def test_learned_noise_is_the_mean_squared_error_per_feature():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((300, 6)) * [3, 2, 1, 0.5, 0.5, 0.5]
    model = LinearVAE(2, noise_variance="learned", random_state=0).fit(X)
    _, distortion = model.rate_distortion(X)
    # stationary in log σ²: the error is that of L-BFGS's gradient
    verify("5.4c", abs(model.noise_variance_ / (distortion / 6) - 1), 1e-5)


@pytest.mark.equation("5.4c")
def test_learned_noise_of_a_nonlinear_vae():
    X = load_digits().X
    model = VAE(
        4, hidden_layer_sizes=(32,), noise_variance="learned", learning_rate=5e-3, max_iter=60,
        random_state=0,
    ).fit(X)  # fmt: skip
    _, distortion = model.rate_distortion(X, n_samples=50)
    # Adam moves log σ² by about its learning rate a step at most, and the error differs from
    # batch to batch by some percent, so σ² lags and jitters by a few of these 5e-3
    verify("5.4c", abs(model.noise_variance_ / (distortion / 64) - 1), 0.03)


@pytest.mark.equation("5.4d")
@given(seeds, st.integers(1, 6))
def test_bernoulli_is_least_at_the_logit_of_the_data_where_it_is_their_entropy(seed, d):
    rng = np.random.default_rng(seed)
    x = rng.uniform(0.001, 0.999, (3, d))
    entropy = -np.sum(xlogy(x, x) + xlogy(1 - x, 1 - x), axis=1).mean()
    least, gradient = bernoulli_nll(logit(x), x)
    verify("5.4d", abs(least - entropy) / entropy, 1e-12)
    verify("5.4d", largest(gradient), 1e-12)
    other = bernoulli_nll(logit(x) + rng.standard_normal(x.shape), x)[0]
    verify("5.4d", other <= entropy, 0)
    binary = (rng.uniform(size=x.shape) < 0.5).astype(float)
    assert bernoulli_nll(np.where(binary, 800.0, -800.0), binary)[0] == 0  # no entropy to pay


@pytest.mark.equation("5.4e")
@given(st.floats(-30, 30).filter(lambda a: abs(a) > 1e-3))
@settings(max_examples=40)
def test_bernoulli_of_gray_values_is_no_density(a):
    def density(x):
        return np.exp(-bernoulli_nll(np.array([[a]]), np.array([[x]]))[0])

    integral = quad(density, 0, 1, epsabs=1e-13, epsrel=1e-12)[0]
    verify("5.4e", abs(np.tanh(a / 2) / a / integral - 1), 1e-10)
    verify("5.4e", integral - 0.5, 0)


@pytest.mark.equation("5.4f")
@given(seeds, st.integers(2, 6), st.integers(1, 4), st.integers(1, 5))
def test_best_decoder_averages_what_is_encoded_at_the_same_place(seed, n, m, d):
    """n samples, m places z: the loss Σ q(z|x_n) nll(x̂(z), x_n) / n, minimised over every x̂(z)."""
    rng = np.random.default_rng(seed)
    X, q = rng.uniform(0.01, 0.99, (n, d)), rng.dirichlet(np.ones(m), size=n)
    average = q.T @ X / q.sum(axis=0)[:, None]

    def loss_and_gradient(nll, outputs):  # gradients come divided by the batch's size, n
        pairs = [nll(np.repeat(row[None], n, axis=0), X) for row in outputs]
        gradients = [
            weights @ gradient for weights, (_, gradient, *_) in zip(q.T, pairs, strict=True)
        ]
        return np.array(gradients)

    gaussian = loss_and_gradient(lambda x_hat, x: gaussian_nll(x_hat, x, -1.0), average)
    bernoulli = loss_and_gradient(bernoulli_nll, logit(average))
    # both losses are convex in the decoder's output: a zero of the gradient is the minimum
    verify("5.4f", largest(gaussian), 1e-14)
    verify("5.4f", largest(bernoulli), 1e-14)
    assert largest(loss_and_gradient(bernoulli_nll, logit(average) + 0.1)) > 1e-4


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


# --- 5.5 importance-weighted bounds ------------------------------------------------------------


def importance_weighted_bounds(joint, q, largest_K):
    """L_1, ..., L_K exactly: the expectation is a sum over the counts of each value of z."""
    bounds = []
    for K in range(1, largest_K + 1):
        total = 0.0
        for draw in combinations_with_replacement(range(len(q)), K):
            counts = np.bincount(draw, minlength=len(q))
            ways = factorial(K) / np.prod([float(factorial(c)) for c in counts])
            total += ways * np.prod(q**counts) * np.log(counts @ (joint / q) / K)
        bounds.append(total)
    return np.array(bounds)


@pytest.mark.equation("5.5")
@pytest.mark.equation("5.5a")
@given(seeds, st.integers(2, 4))
@settings(max_examples=15)
def test_importance_weighted_bounds_rise_exactly(seed, m):
    joint, q = tables(m, np.random.default_rng(seed))
    bounds = importance_weighted_bounds(joint, q, 6)
    verify("5.5", np.diff(bounds).min() <= 0, 0)
    verify("5.5a", abs(bounds[0] - np.sum(q * np.log(joint / q))), 1e-13)
    verify("5.5a", bounds[-1] >= np.log(joint.sum()), 0)


@pytest.mark.equation("5.5c")
@given(seeds)
@settings(max_examples=30)
def test_gap_of_the_importance_weighted_bound_falls_as_one_over_K(seed):
    joint, q = tables(2, np.random.default_rng(seed))
    log_p = np.log(joint.sum())
    weights = joint / q / joint.sum()  # mean 1 under q
    V, skew = q @ (weights - 1) ** 2, q @ (weights - 1) ** 3
    for K in (1_000, 4_000):
        counts = np.arange(K + 1)
        averages = (counts * weights[0] + (K - counts) * weights[1]) / K
        gap = -np.exp(binom.logpmf(counts, K, q[0])) @ np.log(averages)
        assert gap + abs(log_p) * 1e-14 > 0
        # the next term of the expansion is (3V/2 − 2 skew/3V) / K; twice its parts is allowed
        following = (1.5 * V + 2 * abs(skew) / (3 * V)) / K
        # and pmf's rounding, 1e-13 or so, counts against a gap of V/2K
        verify("5.5c", abs(gap / (V / (2 * K)) - 1), 2 * following + 1e-11 * K / V)


@pytest.fixture(scope="module", params=[0.8, 2.0, 4.0], ids="beta={:g}".format)
def trained(request):
    """A linear VAE at β ≠ 1: its q is not its model's posterior, so that there is a gap."""
    X = make_gaussian(60, [4, 2, 1, 0.5, 0.2, 0.1], exact=True, random_state=0)
    vae = LinearVAE(3, noise_variance=0.15, beta=request.param, random_state=0).fit(X)
    return vae, linear_gaussian_of(vae), X[:20]


def weight_variance(vae, model, X):
    """Variance of the importance weights of every sample, relative to p(x)²."""
    mu, log_var = vae.encode(X)
    mean, covariance = model.posterior(X)
    return np.array(
        [
            np.expm1(theory.gaussian_renyi_between(m, covariance, q, np.diag(np.exp(v))))[0]
            for m, q, v in zip(mean, mu, log_var, strict=True)
        ]
    )


@pytest.mark.equation("5.5b")
def test_bound_at_5000_draws_is_the_exact_log_likelihood(trained):
    vae, model, X = trained
    exact = model.log_likelihood(X).mean()
    V = weight_variance(vae, model, X)
    assert np.all(np.isfinite(V))
    # by the delta method log of a mean of K weights has the variance V/K
    standard_error = np.sqrt(V.mean() / 5_000 / len(X))
    assert exact - vae.elbo(X) > 10 * standard_error  # one draw does not do
    estimate = vae.log_likelihood(X, n_samples=5_000)
    # its bias, V/2K on average, is far below: z is nearly standard normal, |z| > 3 one in 370
    assert V.mean() / 10_000 < 0.2 * standard_error
    verify("5.5b", abs(estimate - exact) / standard_error, 3)


@pytest.mark.equation("5.5")
@pytest.mark.equation("5.5a")
@pytest.mark.equation("5.5c")
def test_the_models_bounds_rise_from_the_elbo(trained):
    vae, model, X = trained
    repeats, sizes = 120, (1, 2, 4, 16, 64)
    draws = np.array(
        [
            [vae.log_likelihood(X, n_samples=K, random_state=100 * r + K) for r in range(repeats)]
            for K in sizes
        ]
    )
    mean, error = draws.mean(axis=1), draws.std(axis=1, ddof=1) / np.sqrt(repeats)
    exact = model.log_likelihood(X).mean()
    # at each step up the rise is seen, or at least no fall: 5 deviations, false alarm 3e-7 each
    rise, rise_error = np.diff(mean), np.hypot(error[1:], error[:-1])
    verify("5.5", (-rise / rise_error).max(), 5)
    assert mean[-1] - mean[0] > 5 * np.hypot(error[-1], error[0])
    verify("5.5a", abs(mean[0] - vae.elbo(X)) / error[0], 5)
    verify("5.5a", ((mean - exact) / error).max(), 5)
    # (5.5c), leading term, and up to a half of itself for the next ones: V/K is below 0.05
    V = weight_variance(vae, model, X).mean()
    predicted = V / (2 * sizes[-1])
    verify("5.5c", abs(exact - mean[-1] - predicted), 0.5 * predicted + 5 * error[-1])


# --- 5.6 back through the whole model ----------------------------------------------------------


@pytest.mark.equation("5.6")
@pytest.mark.parametrize("activation, beta", [("relu", 0), ("tanh", 0.7), ("softplus", 4.0)])
@pytest.mark.parametrize(
    "likelihood",
    [{}, {"noise_variance": 0.3}, {"noise_variance": "learned"}, {"likelihood": "bernoulli"}],
    ids=["gaussian", "fixed", "learned", "bernoulli"],
)
def test_gradient_of_the_whole_model(likelihood, activation, beta):
    X = np.random.default_rng(0).uniform(size=(6, 5))
    model = VAE(
        2, hidden_layer_sizes=(7, 4), activation=activation, beta=beta, weight_decay=0.01,
        random_state=1, **likelihood,
    )  # fmt: skip
    verify("5.6", gradient_check(model, X).error, 1e-7)  # central differences, float64


@pytest.mark.equation("5.6a")
@pytest.mark.equation("5.6b")
@given(seeds, st.integers(1, 4), st.sampled_from(["identity", "tanh", "sigmoid"]))
@settings(max_examples=25)
def test_gradient_by_mu_and_log_var_by_the_complex_step(seed, k, activation):
    """With one sample, the gradient of the encoder's last bias is that of its output."""
    rng = np.random.default_rng(seed)
    beta, noise_variance = rng.uniform(0.1, 4), rng.uniform(0.2, 2)
    model = VAE(
        k, hidden_layer_sizes=(5,), activation=activation, beta=beta,
        noise_variance=noise_variance, random_state=0,
    )  # fmt: skip
    x = rng.standard_normal((1, 4))
    model.initialise(rng.standard_normal((2, 4)))
    model.loss_and_gradient(x, np.random.default_rng(seed))
    grad = model.encoder_.layers[-1].grad_bias
    statistics = model.encoder_(x)[0]
    eps = np.random.default_rng(seed).standard_normal(k)

    def loss(statistics):
        mu, log_var = statistics[:k], statistics[k:]
        x_hat = model.decoder_((mu + np.exp(log_var / 2) * eps)[None])
        nll = 0.5 * np.sum(np.log(2 * np.pi * noise_variance) + (x - x_hat) ** 2 / noise_variance)
        return nll + beta * 0.5 * np.sum(mu**2 + np.exp(log_var) - 1 - log_var)

    assert loss(statistics) == pytest.approx(
        model.loss_and_gradient(x, np.random.default_rng(seed))[0], rel=1e-13
    )
    step = 1e-30
    numeric = np.array([loss(statistics + step * 1j * e).imag / step for e in np.eye(2 * k)])
    verify("5.6a", largest(grad[:k] - numeric[:k]) / largest(numeric), 1e-12)
    verify("5.6b", largest(grad[k:] - numeric[k:]) / largest(numeric), 1e-12)


# --- 5.7 somebody else's VAE --------------------------------------------------------------------


def wrong_elbos(model, q, x, beta):
    """What is reported, in expectation, by four kinds of wrong code; and what they add to it."""
    (m, S), (d, k), s2 = q, model.W.shape, model.noise_variance

    def log_p_x_given_z(z):
        return norm.logpdf(x, z @ model.W.T + model.b, s2**0.5).sum(axis=1)

    def log_ratio(z):
        return multivariate_normal.logpdf(z, m, S) - norm.logpdf(z).sum(axis=1)

    # two nodes are exact for what is quadratic in z
    reconstruction = expectation(log_p_x_given_z, m, S, 2)
    kl = expectation(log_ratio, m, S, 2)
    without_constant = expectation(
        lambda z: -np.sum((x - z @ model.W.T - model.b) ** 2, axis=1) / (2 * s2), m, S, 2
    )
    yield without_constant - kl, 0.5 * d * np.log(2 * np.pi * s2)
    yield reconstruction - kl / k, (1 - 1 / k) * kl
    yield reconstruction - beta * kl, (1 - beta) * kl
    yield log_p_x_given_z(m[None])[0] - kl, np.trace(model.W @ S @ model.W.T) / (2 * s2)


@pytest.mark.equation("5.7")
@pytest.mark.equation("5.7a")
@given(linear_gaussians(), st.floats(0, 0.9))
@settings(max_examples=60)
def test_what_a_wrong_elbo_exceeds_the_likelihood_by(case, beta):
    model, q, x, _ = case
    log_p, elbo = model.log_likelihood(x)[0], model.elbo(x, *q)[0]
    posterior_mean, posterior_covariance = model.posterior(x)
    gap = theory.gaussian_kl_between(*q, posterior_mean[0], posterior_covariance).item()
    for reported, added in wrong_elbos(model, q, x, beta):
        # nats, of numbers up to some hundreds
        verify("5.7a", abs(reported - elbo - added), 1e-10)
        verify("5.7", abs(reported - log_p - (added - gap)), 1e-10)
    for reported, added in wrong_elbos(model, (posterior_mean[0], posterior_covariance), x, beta):
        verify("5.7", abs(reported - log_p - added), 1e-10)  # there is no gap


@pytest.mark.equation("5.7c")
@given(linear_gaussians())
@settings(max_examples=30)
def test_every_draw_at_the_posterior_is_the_log_likelihood(case):
    model, _, x, rng = case
    mean, S = model.posterior(x)
    for z in mean[0] + 3 * rng.standard_normal((5, len(S))):  # any z, likely or not
        joint = norm.logpdf(x, z @ model.W.T + model.b, model.noise_variance**0.5).sum()
        joint += norm.logpdf(z).sum()
        error = joint - multivariate_normal.logpdf(z, mean[0], S) - model.log_likelihood(x)[0]
        # a posterior a tenth as wide as z is far makes densities of e^-1000, summed to 1e-16
        verify("5.7c", abs(error) / (1 + abs(joint)), 1e-11)


# --- codes in use ------------------------------------------------------------------------------


def test_a_code_is_in_use_if_its_mean_varies_by_more_than_a_hundredth():
    """The limit of Burda et al. (2016), of a variance and not of a deviation, from both sides."""
    X = make_gaussian(50, [1.0] * 4, exact=True, random_state=0)  # of covariance I
    model = VAE(4, hidden_layer_sizes=(), max_iter=1, random_state=0).fit(X)
    layer = model.encoder_.layers[0]
    for variances in ([0.0099, 0.0101, 0.0099, 1.0], [0.0, 0.005, 0.0101, 0.02]):
        layer.weight[:, :4], layer.bias[:4] = np.diag(variances) ** 0.5, 5.0  # wherever they lie
        assert model.active_units(X) == 2


def test_without_arguments_it_is_the_vae_of_kingma_and_welling_with_a_code_to_look_at():
    plain = {"n_components": 2, "likelihood": "gaussian", "noise_variance": 1.0, "beta": 1.0,
             "beta_warmup": 0, "dropout": 0.0, "solver": "adam"}  # fmt: skip
    assert plain.items() <= VAE().get_params().items()


@pytest.mark.parametrize(
    ("method", "model_of"), [("elbo", "rate_distortion"), ("score_samples", "log_likelihood")]
)
def test_methods_that_say_as_in_another_have_its_defaults(method, model_of):
    def defaults(name):
        return {p.name: p.default for p in signature(getattr(VAE, name)).parameters.values()}

    assert defaults(method) == defaults(model_of)


# --- batches and precision ---------------------------------------------------------------------


def test_a_batch_comes_to_what_its_samples_come_to_alone():
    rng = np.random.default_rng(0)
    model = random_linear_gaussian(4, 2, rng)
    q, p = random_covariance(2, rng), random_covariance(2, rng)
    X, mean = rng.standard_normal((5, 4)), rng.standard_normal((5, 2))

    def values(rows):
        return np.column_stack(
            [
                model.log_likelihood(X[rows]),
                model.posterior(X[rows])[0],
                model.elbo(X[rows], mean[rows], q),
                theory.gaussian_kl_between(mean[rows], q, np.zeros(2), p),
                theory.gaussian_renyi_between(mean[rows], q, np.zeros(2), q + p),
            ]
        )

    alone = np.vstack([values([i]) for i in range(5)])
    np.testing.assert_allclose(values(slice(None)), alone, rtol=1e-12)  # the order of the sums


@pytest.mark.parametrize("as_given", [np.float32, np.int64])
def test_closed_forms_are_computed_in_float64_whatever_they_are_given(as_given):
    rng = np.random.default_rng(0)
    given = [(3 * rng.standard_normal(shape)).astype(as_given) for shape in (2, 2, (2, 2))]
    plain = [array.astype(np.float64) for array in given]
    for function in (
        lambda mu, log_var, _: theory.gaussian_kl_monte_carlo_variance(mu, log_var),
        lambda mu, log_var, _: theory.gaussian_kl_monte_carlo(
            mu, log_var, 10, np.random.default_rng(0)
        ),
        lambda mu, a, A: theory.gradient_estimator_variance(0.5, a, A, mu, 0.3),
    ):
        assert np.array_equal(function(*given), function(*plain))


def test_kl_by_quadrature_wants_a_variance_for_every_mean():
    with pytest.raises(ValueError):
        theory.gaussian_kl_quadrature([1.0, 2.0], [0.0])


# --- exercises ---------------------------------------------------------------------------------


def test_exercise_one_dimension_by_hand():
    """p(z) = N(0, 1), p(x|z) = N(z, 1), x = 2, q = N(1, s²)."""
    model, x = theory.LinearGaussian(np.eye(1), np.zeros(1), 1.0), np.array([[2.0]])
    assert model.log_likelihood(x)[0] == pytest.approx(-0.5 * np.log(4 * np.pi) - 1)
    mean, variance = model.posterior(x)
    assert (mean[0, 0], variance[0, 0]) == pytest.approx((1, 0.5))
    for s2 in (0.25, 0.5, 1.0):
        gap = model.log_likelihood(x) - model.elbo(x, np.ones((1, 1)), s2 * np.eye(1))
        assert gap[0] == pytest.approx(0.5 * (2 * s2 - 1 - np.log(2 * s2)), abs=1e-12)


def test_exercise_the_other_kl():
    mu, log_var, _ = random_gaussian(3, 1)
    reverse = theory.gaussian_kl_between([0.0], np.eye(1), mu, np.exp(log_var)[None])[0]
    expected = 0.5 * ((1 + mu**2) / np.exp(log_var) - 1 + log_var)
    assert reverse == pytest.approx(expected[0])


def test_exercise_mean_over_features():
    """MSE over features + KL is the β-VAE's loss with σ² = ½ and β = d, divided by d."""
    rng = np.random.default_rng(0)
    d = 7
    x, x_hat = rng.standard_normal((2, 5, d))
    mu, log_var = rng.standard_normal((2, 5, 3))
    careless = np.mean((x - x_hat) ** 2) + gaussian_kl(mu, log_var)[0]
    loss = gaussian_nll(x_hat, x, np.log(0.5))[0] + d * gaussian_kl(mu, log_var)[0]
    assert careless == pytest.approx((loss - 0.5 * d * np.log(np.pi)) / d)


def test_exercise_reparameterised_exponential():
    """z = −log u / r: two estimators of the gradient of E z² = 2/r² by the rate r."""
    r = 1.7

    def moments(estimator):
        def expectation_of(g):
            return quad(lambda z: g(estimator(z)) * r * np.exp(-r * z), 0, 40)[0]

        mean = expectation_of(lambda g: g)
        return mean, expectation_of(lambda g: (g - mean) ** 2)

    reparameterised = moments(lambda z: 2 * z * -z / r)
    score = moments(lambda z: z**2 * (1 / r - z))
    assert reparameterised == pytest.approx((-4 / r**3, 80 / r**6))
    assert score == pytest.approx((-4 / r**3, 488 / r**6))


def test_exercise_a_narrow_q_has_weights_without_variance():
    p = np.eye(1)
    for s2, finite in ((0.5, False), (0.51, True), (2.0, True)):
        divergence = theory.gaussian_renyi_between([0.0], p, [0.0], s2 * p)[0]
        assert np.isfinite(divergence) == finite
        if finite:
            assert np.exp(divergence) == pytest.approx(s2 / np.sqrt(2 * s2 - 1))


@given(linear_gaussians())
@settings(max_examples=30)
def test_exercise_a_diagonal_q_is_too_narrow(case):
    """The best diagonal q has the inverse of the precision's diagonal: never more variance."""
    model, _, x, _ = case
    mean, covariance = model.posterior(x)
    best = 1 / (1 + np.sum(model.W**2, axis=0) / model.noise_variance)
    assert np.all(best <= np.diag(covariance) * (1 + 1e-12))
    elbo = model.elbo(x, mean, np.diag(best))
    for j in range(len(best)):
        for factor in (0.9, 1.1):
            other = best.copy()
            other[j] *= factor
            assert model.elbo(x, mean, np.diag(other)) < elbo


@pytest.mark.parametrize("H", [0.0, 3.0, 1000.0])
def test_exercise_log_variance(H):
    """½ H σ² + KL in one dimension: its curvature at the minimum by σ, log σ², and softplus."""

    def slope(log_var):
        """By log σ²; the KL's part is the model's own."""
        zero, v = np.zeros((1, 1)), np.full((1, 1), log_var)
        return 0.5 * H * np.exp(log_var) + gaussian_kl(zero, v)[2].item()

    def curvature(log_var_of, at, step):
        def by_parameter(p):  # the chain rule, by differences too
            chain = (log_var_of(p + step) - log_var_of(p - step)) / (2 * step)
            return slope(log_var_of(p)) * chain

        return (by_parameter(at + step) - by_parameter(at - step)) / (2 * step)

    best = -np.log(1 + H)
    sigma = np.exp(best / 2)
    assert slope(best) == pytest.approx(0, abs=1e-13)
    assert curvature(lambda v: v, best, 1e-4) == pytest.approx(0.5, rel=1e-6)
    by_sigma = curvature(lambda s: 2 * np.log(s), sigma, 1e-4 * sigma)
    assert by_sigma == pytest.approx(2 * (1 + H), rel=1e-6)
    if H == 1000:  # softplus(a) is eᵃ but for a part σ/2
        inverse = np.log(np.expm1(sigma))
        by_a = curvature(lambda a: 2 * np.log(np.logaddexp(0, a)), inverse, 1e-4)
        assert by_a == pytest.approx(2, rel=0.05)
    # by log σ² the rate 3.9 is right for every H, by σ only what is below 1/(1 + H)
    v = best + 0.1
    for _ in range(300):
        v -= 3.9 * slope(v)
    assert v == pytest.approx(best, abs=1e-3)
    for factor, falls in ((0.9, True), (1.1, False)):
        s = 1.01 * sigma
        for _ in range(20):
            s -= factor / (1 + H) * 2 * slope(2 * np.log(s)) / s
        assert (abs(s / sigma - 1) < 0.01) == falls


def test_exercise_which_formula_was_it():
    mu, log_var = np.array([1.0, 0, 1]), np.log([1.0, 4, 1])
    kl = (mu**2 + np.exp(log_var) - 1 - log_var) / 2
    assert kl[:2].sum() == pytest.approx(1.3069, abs=5e-5)
    assert kl[:2].sum() / 2 == pytest.approx(0.6534, abs=5e-5)
    assert kl.sum() / 3 == pytest.approx(0.6023, abs=5e-5)
    first = {"mu": mu[None, :2], "log_var": log_var[None, :2], "kl": kl[:2].sum() / 2}
    second = {"mu": mu[None], "log_var": log_var[None], "kl": kl.sum() / 3}
    assert diagnose_vae(**first).findings[0].also == ("right, mean over the batch, ½ twice",)
    assert diagnose_vae(**second).mistakes == ["kl_averaged_over_latent_dimensions"]


# --- errata ------------------------------------------------------------------------------------


def test_erratum_the_vae_loss_is_the_negative_elbo():
    """Notes C print the ELBO as the loss. Descend it, and the model forgets the data."""
    rng = np.random.default_rng(0)
    X = make_gaussian(100, [3, 1, 0.3], exact=True, random_state=rng)
    model = LinearVAE(2, noise_variance=0.3, random_state=0)
    model.initialise(X)
    start = model.elbo(X)
    loss, gradient = model.loss_and_gradient(X)
    assert loss == pytest.approx(-start, rel=1e-12)
    model.parameters_[...] += 1e-3 * gradient  # a descent step on the printed L_VAE = −loss
    assert model.elbo(X) < start
    model.parameters_[...] -= 2e-3 * gradient
    assert model.elbo(X) > start


def test_erratum_reconstruction_term_is_no_cross_entropy_with_q():
    """d = k = 1: p(x|z), read as a function of z, integrates to 1/|w|."""
    x, w, s, m, t = 0.7, 3.0, 0.4, 0.2, 0.5  # p(x|z) = N(x; w z, s²), q = N(m, t²)
    area = quad(lambda z: norm.pdf(x, w * z, s), -5, 5, points=[x / w])[0]
    assert area == pytest.approx(1 / w)
    term = quad(lambda z: norm.pdf(z, m, t) * norm.logpdf(x, w * z, s), -6, 6)[0]
    normalised = norm(x / w, s / w)  # the density over z that is proportional to p(x|z)
    cross_entropy = -quad(lambda z: norm.pdf(z, m, t) * normalised.logpdf(z), -6, 6)[0]
    assert term == pytest.approx(-cross_entropy - np.log(w))
    assert abs(term + cross_entropy) > 1


def test_erratum_clouds_are_far_from_the_centre_and_their_sum_is_the_prior():
    """At a linear VAE's optimum q(z) = N(0, I) exactly, and no q(z|x) is anywhere near it."""
    eigenvalues = [9, 4, 2, 0.1, 0.05]
    X = make_gaussian(200, eigenvalues, exact=True, random_state=0)
    model = LinearVAE(3, noise_variance=0.1, random_state=0, tol=1e-8).fit(X)
    mu, log_var = model.encode(X)
    aggregate = mu.T @ mu / len(X) + np.diag(np.exp(log_var).mean(axis=0))
    assert largest(mu.mean(axis=0)) < 1e-4
    assert largest(aggregate - np.eye(3)) < 1e-4  # as near as L-BFGS comes to the optimum
    # each by itself: a variance of θ/λ, a twentieth of the prior's at most, and a KL of 5 nats
    assert np.exp(log_var).max() == pytest.approx(0.1 / 2, rel=1e-3)
    rate = 0.5 * np.sum(np.log(np.array(eigenvalues[:3]) / 0.1))
    assert gaussian_kl(mu, log_var)[0] == pytest.approx(rate, rel=1e-4)
    assert rate > 5


@pytest.mark.parametrize(
    "noise_variance, overlap", [("learned", False), (0.1, True)], ids=["learned", "fixed"]
)
def test_erratum_nothing_forces_clouds_to_overlap(noise_variance, overlap):
    """If q(z|x) tells the n samples apart, I(x; z) is log n; if m share a place, log n/m."""
    X = load_digits().X[:500]
    model = VAE(
        8, noise_variance=noise_variance, learning_rate=5e-3, batch_size=50, max_iter=60,
        random_state=0,
    ).fit(X)  # fmt: skip
    mu, log_var = model.encode(X)
    z = mu + np.exp(log_var / 2) * np.random.default_rng(0).standard_normal(mu.shape)
    distance = np.sum((z[:, None] - mu) ** 2 / np.exp(log_var), axis=2)
    log_q = -0.5 * (distance + log_var.sum(axis=1))
    log_aggregate = logsumexp(log_q, axis=1) - np.log(len(X))
    sharing = len(X) / np.exp(np.mean(np.diag(log_q) - log_aggregate))
    assert sharing > 5 if overlap else sharing < 1.3


def test_erratum_squared_error_is_a_likelihood_of_one_noise_variance():
    """‖x − x̂‖² is −log p(x|z) with σ² = ½; the notes' ½‖x − x̂‖², with σ² = 1."""
    x, x_hat = np.random.default_rng(0).standard_normal((2, 4, 6))
    error, gradient = squared_error(x_hat, x)
    for factor, noise_variance in ((1.0, 0.5), (0.5, 1.0)):
        nll, nll_gradient, _ = gaussian_nll(x_hat, x, np.log(noise_variance))
        assert nll - 0.5 * 6 * np.log(2 * np.pi * noise_variance) == pytest.approx(factor * error)
        assert nll_gradient == pytest.approx(factor * gradient)


def test_erratum_sampling_has_a_gradient_without_the_trick():
    """Adam on score-function gradients alone trains an encoder of one number."""
    rng = np.random.default_rng(0)
    mu, target = np.zeros(2), np.array([1.0, -2.0])

    def f(z):
        return -np.sum((z - target) ** 2, axis=1)

    for _ in range(300):
        mu += 0.01 * theory.score_function_gradients(f, mu, 0.5, 200, rng).mean(axis=0)
    # stationary noise: step · variance/2 of an estimate with a variance of about 0.5
    assert largest(mu - target) < 0.3


def test_erratum_covering_averages_only_where_modes_share_a_code():
    """Two sharp modes at ±1. With one place and one peak for both, to cover is to average."""
    s, x = 0.2, np.linspace(-4, 4, 4001)
    m = np.linspace(-1.5, 1.5, 301)

    def log_mixture(centres):
        return logsumexp([norm.logpdf(x, c, s) for c in centres], axis=0) - np.log(len(centres))

    def divergence(log_p, log_q):  # by the trapezoid rule, 10 points a deviation
        return np.sum(np.exp(log_p) * (log_p - log_q)) * (x[1] - x[0])

    data = log_mixture([-1, 1])
    models = [norm.logpdf(x, centre, s) for centre in m]
    covering = np.array([divergence(data, model) for model in models])
    seeking = np.array([divergence(model, data) for model in models])
    assert abs(m[covering.argmin()]) < 1e-12
    assert covering - covering.min() == pytest.approx(m**2 / (2 * s**2), abs=1e-9)
    assert abs(m[seeking.argmin()]) == pytest.approx(1, abs=0.01)
    assert seeking[150] > seeking.min() + 5  # m = 0, where no data are, in nats
    # two places, each with one peak: nothing is lost, and neither peak is an average
    assert divergence(data, log_mixture([-1, 1])) == 0 < covering.min()


@given(seeds)
@settings(max_examples=10)
def test_erratum_an_autoencoder_says_nothing_of_where_its_codes_lie(seed):
    """Same loss, another code: what comes of decoding N(0, I) is arbitrary. A VAE's is not."""
    rng = np.random.default_rng(seed)
    X = make_gaussian(50, [4, 2, 1], exact=True, random_state=rng)
    model = LinearAutoencoder(2, random_state=0).fit(X)
    error, decoder = model.reconstruction_error(X), model.decoder_weight_
    spread = np.trace(decoder @ decoder.T)  # variance of decoded draws from N(0, I)
    model.decoder_weight_[...] *= 100
    model.encoder_weight_[...] /= 100
    assert model.reconstruction_error(X) == pytest.approx(error)
    assert np.trace(model.decoder_weight_ @ model.decoder_weight_.T) > 1000 * spread


def test_erratum_the_midpoint_of_two_codes_is_no_typical_code():
    """‖z‖² is k ± √(2k) under the prior, and k/2 at the midpoint of two independent draws."""
    k, n = 64, 2_000
    z1, z2 = np.random.default_rng(0).standard_normal((2, n, k))
    square = np.sum(((z1 + z2) / 2) ** 2, axis=1)
    # mean k/2, variance k/2: 5 standard errors, false alarm 6e-7
    assert abs(square.mean() - k / 2) <= 5 * np.sqrt(k / 2 / n)
    assert np.mean(square < k - 2 * np.sqrt(2 * k)) > 0.9


def test_kl_by_quadrature_is_as_exact_for_float32():
    mu, log_var = np.array([0.5, -2.0], np.float32), np.array([0.25, -1.0], np.float32)
    exact = gaussian_kl(mu[None].astype(float), log_var[None].astype(float))[0]
    assert abs(theory.gaussian_kl_quadrature(mu, log_var) - exact) < 1e-12


def test_learned_noise_starts_as_the_variance_of_a_feature():
    X = np.random.default_rng(0).standard_normal((50, 4)) * [1, 2, 3, 4] + 10
    model = VAE(2, noise_variance="learned", learning_rate=1e-300, max_iter=1, random_state=0).fit(
        X
    )  # moves nothing
    assert model.noise_variance_ == pytest.approx(X.var(axis=0).mean(), rel=1e-12)


@pytest.mark.parametrize(
    "model", [LinearVAE(1, solver="adam"), VAE(1, hidden_layer_sizes=(4,))], ids=repr
)
def test_learned_noise_of_data_without_variance_is_finite(model):
    model.set_params(noise_variance="learned", max_iter=2, random_state=0).fit(np.ones((10, 3)))
    assert np.isfinite(model.parameters_).all() and np.isfinite(model.loss_)


def test_the_linear_vae_is_trained_on_few_rows_however_many_samples_there_are(monkeypatch):
    model = LinearVAE(2, max_iter=500, tol=1e-3, random_state=0)
    exact, sizes = model.loss_and_gradient, set()

    def spy(X):
        sizes.add(len(X))
        return exact(X)

    monkeypatch.setattr(model, "loss_and_gradient", spy)
    model.fit(np.random.default_rng(0).standard_normal((1000, 4)) * [4, 3, 2, 1])
    assert sizes == {2 * 4}  # the triangular factor of the samples and its mirror image


def test_the_exact_likelihood_is_a_number_where_the_noise_is_lost_in_the_covariance():
    """W Wᵀ + σ² I is singular in float64, and its inverse was asked for."""
    w = 1e13 * np.array([[3.0], [4.0]])
    model = theory.LinearGaussian(w, np.zeros(2), 1.0)
    found = model.log_likelihood(np.array([[0.0, 0.0], [-0.8, 0.6]]))  # the second is across w
    expected = -0.5 * (2 * np.log(2 * np.pi) + np.log(2.5e27)) - np.array([0, 0.5])
    np.testing.assert_allclose(found, expected, rtol=1e-13)


@pytest.mark.parametrize("d", [1, 2, 5])
def test_the_exact_posterior_keeps_the_prior_in_the_direction_that_large_weights_do_not_use(d):
    """Of two equal columns z₁ − z₂ is never seen, and z₁ + z₂ to a hair."""
    W = np.full((d, 2), 1e9)
    mean, covariance = theory.LinearGaussian(W, np.zeros(d), 1.0).posterior(np.full((1, d), 4e9))
    np.testing.assert_allclose(mean, [[2, 2]], rtol=1e-12)
    np.testing.assert_allclose(covariance, [[0.5, -0.5], [-0.5, 0.5]], rtol=1e-12)
