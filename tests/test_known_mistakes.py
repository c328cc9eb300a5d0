"""Famous mistakes: each is made here on purpose, and a check must reject it.

First the checks: what is asked of the code, whatever is inside. Then the catalogue: one wrong
variant an entry, with where it is met, what it does, and the claim that breaks. Every check must
accept the right code and reject the wrong one, by name; a crash does not count.

Many of these mistakes are the right gradient of a wrong loss. They train without complaint, and
no gradient check sees them: only a value known from elsewhere does. What else looks like a check
of a mistake and is blind to it is tested at the end.

Statistical checks reject beyond 6 standard errors: a false alarm in 500 million, and the seeds are
fixed.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest
from effort import scaled
from scipy.special import log_expit, logit, rel_entr
from scipy.stats import norm
from traceability import NUMBER, claims

from derivations.exercises.broken import BROKEN, break_dense, break_derivative
from figures import _probe
from nanoae import (
    VAE,
    AdversarialAutoencoder,
    Autoencoder,
    ContractiveAutoencoder,
    Convolutional,
    GaussianNoise,
    LinearAutoencoder,
    LinearVAE,
    MaskedAutoencoder,
    MaskingNoise,
    SaltAndPepper,
    SparseAutoencoder,
    TiedAutoencoder,
    denoising,
    gradient_check,
    losses,
    optimizers,
    proximal,
    theory,
    training,
)
from nanoae.diagnose.mistakes import (
    CATALOGUE,
    RECONSTRUCTION_FACTORS,
    RECONSTRUCTION_REDUCTIONS,
    SIGMAS,
    Size,
    kl_formula,
    reconstruction_terms,
)
from nanoae.exceptions import ConvergenceWarning
from nanoae.losses import LIKELIHOODS, LOSSES
from nanoae.models import adversarial, beta, contractive, sparse, vae
from nanoae.models import deep as deep_models
from nanoae.models import masked as masked_models
from nanoae.models.vae import LatentGaussian
from nanoae.network import (
    GRU,
    RNN,
    Convolution,
    Dense,
    Dictionary,
    Dropout,
    Embedding,
    FillingDecoder,
    FullyConnected,
    LayerNorm,
    MaxPool,
    Parameters,
    Recurrent,
    SelfAttention,
    SequenceLayer,
    Sequential,
    ToPatches,
    TransposedConvolution,
    VisibleEncoder,
    attention,
)
from nanoae.network import masked as network_masked
from nanoae.network import windows as windows_module
from nanoae.network.activations import sigmoid
from nanoae.network.windows import Windows

EIGENVALUES = np.array([9.0, 4.0, 1.0, 0.5, 0.3])


def make_samples():
    """60 samples around 3 with the covariance's eigenvalues exactly those above."""
    rng = np.random.default_rng(0)
    columns = np.hstack([np.ones((60, 1)), rng.standard_normal((60, 5))])
    white = np.linalg.qr(columns)[0][:, 1:] * 60**0.5  # orthogonal to the ones: of mean 0
    axes = np.linalg.qr(rng.standard_normal((5, 5)))[0]
    return 3 + white * EIGENVALUES**0.5 @ axes.T


SAMPLES = make_samples()
PIXELS = np.random.default_rng(1).random((10, 4))
DICTIONARY = np.random.default_rng(2).standard_normal((6, 9))


# === The checks: each takes the claim that it holds the code to ==============================


def holds(claim, what, error, bound):
    assert error <= bound, f"({claim}) {what}: {error:.3g}, more than {bound:.3g}"  # not if NaN


def agrees(claim, what, draws, expected):
    """A z-test of the mean of independent draws."""
    draws = np.asarray(draws)
    standard_error = draws.std(axis=0, ddof=1) / len(draws) ** 0.5
    z = np.max(np.abs(draws.mean(axis=0) - expected) / standard_error)
    holds(claim, f"{what} differs from its expectation, in standard errors", z, 6)


def random_vae(X, **params):
    """A VAE with random parameters, of which what holds for all parameters can be asked."""
    params = {"hidden_layer_sizes": (4,), "activation": "tanh", **params}
    model = VAE(2, solver="adam", max_iter=1, random_state=0, **params).fit(X)
    model.parameters_[...] = np.random.default_rng(3).normal(0, 0.7, model.parameters_.shape)
    return model


# --- gradients ---


def gradient_is_right(claim, model, X=PIXELS):
    worst = gradient_check(model, X)
    holds(claim, f"gradient of {worst.parameter}", worst.error, 1e-7)  # (1.7a)


# --- losses ---


def squared_error_sums_features_and_averages_samples(claim):
    x_hat, x = PIXELS[::-1], PIXELS
    right = np.linalg.norm(x - x_hat) ** 2 / len(x)
    loss = LOSSES["squared_error"].value(x_hat, x)[0]
    holds(claim, "relative error of the squared error", abs(loss / right - 1), 1e-14)


def bernoulli_nll_matches_scipy(claim):
    a, x = np.meshgrid([-800.0, -40, -3, 0, 0.5, 20, 800], [0, 0.3, 1])
    right = -np.sum(x * log_expit(a) + (1 - x) * log_expit(-a)) / len(x)
    with np.errstate(all="ignore"):
        loss = LOSSES["bernoulli"].value(a.copy(), x)[0]
    holds(claim, "relative error of the Bernoulli loss", abs(loss / right - 1), 1e-14)


def bernoulli_loss_can_reach_the_entropy(claim):
    entropy = -np.sum(PIXELS * np.log(PIXELS) + (1 - PIXELS) * np.log1p(-PIXELS)) / len(PIXELS)
    loss, gradient = LOSSES["bernoulli"].value(logit(PIXELS), PIXELS)
    holds(claim, "excess of the least Bernoulli loss", abs(loss - entropy), 1e-13)
    holds(claim, "gradient at the least Bernoulli loss", np.abs(gradient).max(), 1e-15)


def bernoulli_refuses_unscaled_pixels(claim):
    try:
        VAE(2, likelihood="bernoulli", max_iter=1, random_state=0).fit(255 * PIXELS)
    except ValueError:
        return
    raise AssertionError(f"({claim}) pixels up to 255 were taken for probabilities")


def kl_matches_monte_carlo(claim):
    model = random_vae(PIXELS)
    kl = model.rate_distortion(PIXELS[:1])[0]
    mu, log_var = (statistic[0] for statistic in model.encode(PIXELS[:1]))
    estimate = theory.gaussian_kl_monte_carlo(mu, log_var, 100_000, np.random.default_rng(0))
    z = abs(kl - estimate.mean) / estimate.standard_error
    holds(claim, "KL against its definition, in standard errors", z, 6)


def kl_is_a_mean_over_samples(claim):
    model = random_vae(PIXELS)
    once, twice = (model.rate_distortion(X)[0] for X in (PIXELS, np.vstack([PIXELS, PIXELS])))
    error = abs(twice / once - 1)
    holds(claim, "relative change of the KL when all samples come twice", error, 1e-14)


def kl_of_a_batch_is_the_mean_of_its_samples(claim):
    model = random_vae(PIXELS)
    each = [model.rate_distortion(x[None])[0] for x in PIXELS]
    error = abs(model.rate_distortion(PIXELS)[0] / np.mean(each) - 1)
    holds(claim, "relative error of the KL of a batch", error, 1e-13)


def gaussian_loss_matches_scipy(claim):
    model = random_vae(PIXELS, noise_variance=0.2, beta=0.0)  # no KL: the likelihood alone
    no_noise = SimpleNamespace(standard_normal=lambda shape, dtype: np.zeros(shape))
    loss = model.loss_and_gradient(PIXELS, no_noise)[0]
    right = -norm.logpdf(PIXELS, model.reconstruct(PIXELS), 0.2**0.5).sum() / len(PIXELS)
    holds(claim, "relative error of the Gaussian loss", abs(loss / right - 1), 1e-13)


def kl_sparsity_matches_scipy(claim):
    rho, rho_hat = 0.1, PIXELS.mean(axis=0)
    right = np.sum(rel_entr(rho, rho_hat) + rel_entr(1 - rho, 1 - rho_hat))
    penalty = sparse.kl_sparsity(PIXELS, rho)[0]
    holds(claim, "relative error of the KL penalty", abs(penalty / right - 1), 1e-14)


def weight_decay_leaves_biases_alone(claim):
    model = Autoencoder(2, hidden_layer_sizes=(3,), max_iter=1, random_state=0).fit(PIXELS)
    model.parameters_[...] = 1.0
    plain = model.loss_and_gradient(PIXELS)[0]
    penalty = model.set_params(weight_decay=1.0).loss_and_gradient(PIXELS)[0] - plain
    n_weights = 4 * 3 + 3 * 2 + 2 * 3 + 3 * 4
    holds(claim, "penalty on weights of 1, less their number", abs(penalty - n_weights), 1e-9)


# --- linear models ---


def linear_model_recovers_pca(claim, model=None, bound=1e-6):
    model = (model or LinearAutoencoder(2, random_state=0)).fit(SAMPLES)
    axes = theory.linear_autoencoder_optimum(SAMPLES, 2)[1]
    angle = theory.largest_principal_angle(model.decoder_weight_, axes)
    holds(claim, "angle to PCA in radians", angle, bound)


def linear_loss_is_the_eigenvalues_left_out(claim):
    model = LinearAutoencoder(2, random_state=0).fit(SAMPLES)
    error = abs(model.loss_ / EIGENVALUES[2:].sum() - 1)
    holds(claim, "relative error of the least loss", error, 1e-9)


def coding_undoes_decoding(claim):
    model = LinearAutoencoder(2, random_state=0).fit(SAMPLES)
    codes = np.eye(2)
    error = np.abs(model.transform(model.inverse_transform(codes)) - codes).max()
    holds(claim, "code of a decoded code", error, 1e-6)


def tied_model_recovers_pca(claim):
    # it stops when the loss falls by less than 1e-11 of itself: by (2.3b) at an angle near 1e-5
    model = TiedAutoencoder(2, solver="sgd", random_state=0)
    linear_model_recovers_pca(claim, model, bound=1e-3)


# --- sparse codes ---


def prox_step_is_argmin(claim):
    v, t, grid = np.linspace(-3, 3, 13), 0.8, np.linspace(-4, 4, 8001)[:, None]
    objective = 0.5 * (grid - v) ** 2 + t * np.abs(grid)
    error = np.abs(proximal.soft_threshold(v, t) - grid[objective.argmin(axis=0), 0]).max()
    holds(claim, "soft threshold against the best of a grid", error, 0.0005)  # half its spacing


def codes_meet_kkt(claim):
    X = np.random.default_rng(4).standard_normal((8, 6))
    with np.errstate(all="ignore"):
        codes = proximal.fista(X, DICTIONARY, 0.5, max_iter=3000)
    residual = theory.lasso_kkt_residual(X, DICTIONARY, codes, 0.5).max()
    holds(claim, "KKT residual as a part of λ", residual, 1e-6)


def fista_keeps_its_bound(claim, restart=False):
    """On two atoms of very different length, where plain ISTA is above FISTA's bound.

    The bound is proved without restarts; on this problem it holds with them, too.
    """
    lengths, sparsity, codes = np.array([1, 0.05]), 1e-4, []
    D, x = np.diag(lengths), lengths[None]
    best = theory.orthonormal_code(x, D, sparsity) / lengths**2  # atom by atom: D is diagonal
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # wanted is the path, not the end
        proximal.fista(
            x, D, sparsity, restart=restart, max_iter=200, tol=0,
            callback=lambda h: codes.append(h.copy()),
        )  # fmt: skip
    F = [theory.lasso_objective(x, D, h, sparsity)[0] for h in codes]
    excess = np.array(F) - theory.lasso_objective(x, D, best, sparsity)
    bound = theory.fista_bound(D, np.linalg.norm(best), np.arange(1, len(F) + 1))
    holds(claim, "excess of the objective over its bound", np.max(excess / bound), 1)


def reconstructions_are_no_longer_than_codes(claim):
    model = SparseAutoencoder(3, sparsity=0.01, max_iter=1, random_state=0).fit(PIXELS)
    model.decoder_.layers[0].weight *= 100  # no parameters may break the bound
    codes = model.transform(PIXELS)
    lengths = np.linalg.norm(model.inverse_transform(codes) - model.mean_, axis=1)
    excess = np.max(lengths - np.abs(codes).sum(axis=1))
    holds(claim, "length of a reconstruction above the norm of its code", excess, 1e-12)


# --- contraction ---


def contracted(k=3, **params):
    """One sigmoid layer, with random weights, started but not trained."""
    model = ContractiveAutoencoder(
        k, hidden_layer_sizes=(), code_activation="sigmoid", contraction=1.0, random_state=0,
        **params,
    )  # fmt: skip
    model.initialise(PIXELS)
    model.parameters_[...] = np.random.default_rng(3).normal(0, 0.7, model.parameters_.shape)
    return model


def penalty_is_the_norm_of_the_jacobian(claim, k=3):
    model, step = contracted(k), 1e-5
    moved = [
        (model.transform(PIXELS + e) - model.transform(PIXELS - e)) / (2 * step)
        for e in step * np.eye(4)
    ]
    right = np.sum(np.square(moved)) / len(PIXELS)
    penalty = model.loss_and_gradient(PIXELS)[0] + model.score(PIXELS)
    holds(claim, "relative error of the penalty", abs(penalty / right - 1), 1e-8)


def penalty_is_a_mean_over_samples(claim):
    model, twice = contracted(), np.vstack([PIXELS, PIXELS])
    error = abs(model.loss_and_gradient(twice)[0] / model.loss_and_gradient(PIXELS)[0] - 1)
    holds(claim, "relative change of the loss when all samples come twice", error, 1e-13)


def probes_are_right_on_average(claim):
    model, rng = contracted(n_probes=1), np.random.default_rng(4)
    draws = [model.loss_and_gradient(PIXELS, rng)[0] for _ in range(scaled(2000))]
    with np.errstate(all="ignore"):  # draws that are all the same have no standard error
        agrees(claim, "loss by probes", draws, contracted().loss_and_gradient(PIXELS)[0])


def unit_columns_bound_what_contraction_can_reach(claim):
    model = ContractiveAutoencoder(
        2, hidden_layer_sizes=(), decoder="unit-norm", contraction=4.0, solver="lbfgs",
        max_iter=500, random_state=0,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # with a void penalty it never ends
        model.fit(SAMPLES)
    right = theory.unit_norm_contractive_optimum(EIGENVALUES, 2, 4.0).loss
    holds(claim, "relative error of the least loss", abs(model.loss_ / right - 1), 1e-6)


# --- variational autoencoders ---


def sampled_loss_is_unbiased(claim):
    model, rng = random_vae(PIXELS, hidden_layer_sizes=()), np.random.default_rng(5)
    draws = [model.loss_and_gradient(PIXELS, rng)[0] for _ in range(scaled(2000))]
    exact = LinearVAE(2)
    exact.initialise(PIXELS)
    exact.parameters_[...] = model.parameters_
    agrees(claim, "sampled loss", draws, exact.loss_and_gradient(PIXELS)[0])


def noise_averages_out_over_a_batch(claim):
    """The loss of 16 equal samples varies a sixteenth as much as that of one.

    A logarithm of a ratio of two variances of n draws has a standard error of √(2 (κ − 1)/n), κ
    the kurtosis, which is 15 at most here (that of χ²₁).
    """
    model, rng = random_vae(PIXELS, hidden_layer_sizes=()), np.random.default_rng(6)
    n = scaled(2000)
    one, many = (
        np.var([model.loss_and_gradient(X, rng)[0] for _ in range(n)])
        for X in (PIXELS[:1], np.repeat(PIXELS[:1], 16, axis=0))
    )
    with np.errstate(all="ignore"):
        z = abs(np.log(16 * many / one)) / (2 * 14 / n) ** 0.5
    holds(claim, "variance of the loss of a batch, in standard errors", z, 6)


def noise_of_one_sample():
    """z − μ and σ, of one sample that fills a batch."""
    model, sent = random_vae(PIXELS), []
    forward = model.decoder_.forward
    model.decoder_.forward = lambda z, rng=None: sent.append(z.copy()) or forward(z, rng)
    model.loss_and_gradient(np.repeat(PIXELS[:1], 2000, axis=0), np.random.default_rng(10))
    mu, log_var = model.encode(PIXELS[:1])
    return sent[0] - mu, np.exp(log_var / 2)


def noise_has_the_variance_of_q(claim):
    noise, sigma = noise_of_one_sample()
    agrees(claim, "squared noise in units of σ²", (noise / sigma) ** 2, 1)


def noise_of_dimensions_is_independent(claim):
    noise, sigma = noise_of_one_sample()
    agrees(claim, "covariance of the noise of two dimensions", np.prod(noise / sigma, axis=1), 0)


def score_function_is_unbiased(claim):
    mu, sigma = np.array([0.5, -1.0]), 0.6  # f(z) = ‖z‖²: the gradient of its mean is 2μ
    draws = theory.vae.score_function_gradients(
        lambda z: np.sum(z**2, axis=1), mu, sigma, 20_000, np.random.default_rng(7)
    )
    agrees(claim, "score-function gradient", draws, 2 * mu)


def linear_vae(**params):
    return LinearVAE(2, tol=1e-10, random_state=0, **params).fit(SAMPLES)


def generative(model):
    """The linear VAE's decoder as a distribution whose likelihood is known exactly."""
    decoder = model.decoder_.layers[0]
    return theory.LinearGaussian(decoder.weight.T, decoder.bias, model.noise_variance_)


def rate_is_water_filling(claim):
    right = theory.linear_vae_optimum(EIGENVALUES, 2, beta=1.0, noise_variance=0.5).rate
    rate = linear_vae(noise_variance=0.5).rate_distortion(SAMPLES)[0]
    holds(claim, "relative error of the trained rate", abs(rate / right - 1), 1e-6)


def elbo_is_below_log_likelihood(claim, beta=1.0):
    model = linear_vae(beta=beta)
    excess = model.elbo(SAMPLES) - generative(model).log_likelihood(SAMPLES).mean()
    holds(claim, "ELBO above log p(x), in nats", excess, 1e-8)


def learned_noise_is_probabilistic_pca(claim):
    right = EIGENVALUES[2:].mean()
    learned = linear_vae(noise_variance="learned").noise_variance_
    holds(claim, "relative error of the learned noise", abs(learned / right - 1), 1e-6)


def many_importance_samples_reach_log_likelihood(claim):
    """K draws leave a gap of V/2K (5.5c), V the variance of the weights; twice that is allowed."""
    model, K = linear_vae(noise_variance=2.0), 200
    model.encoder_.layers[0].bias[2:] += 0.5  # a posterior that is too wide
    exact = generative(model)
    mean, covariance = exact.posterior(SAMPLES)
    mu, log_var = model.encode(SAMPLES)
    divergence = theory.gaussian_renyi_between(mean, covariance, mu, np.diag(np.exp(log_var[0])))
    gap = np.mean(np.expm1(divergence)) / K
    estimates = [model.log_likelihood(SAMPLES, n_samples=K, random_state=i) for i in range(20)]
    missing = exact.log_likelihood(SAMPLES).mean() - estimates
    noise = 6 * missing.std(ddof=1) / 20**0.5
    holds(claim, "what log p(x) is underestimated by, in nats", missing.mean(), gap + noise)
    holds(claim, "what log p(x) is overestimated by, in nats", -missing.mean(), noise)


def transform_is_the_mean(claim):
    model = random_vae(PIXELS)
    error = np.abs(model.transform(PIXELS) - model.encode(PIXELS)[0]).max()
    holds(claim, "distance of a code from its mean", error, 0)


def reconstructions_are_probabilities(claim):
    model = random_vae(PIXELS, likelihood="bernoulli")
    logits = model.decoder_(model.transform(PIXELS))
    error = np.abs(model.reconstruct(PIXELS) - 1 / (1 + np.exp(-logits))).max()
    holds(claim, "distance of a reconstruction from its mean", error, 1e-15)


# --- dropout ---

HALF = np.full((1, 3), 2.0)  # a row to drop units of


def dropout_in_training(rows=1, n=4000):
    """What a layer makes of rows, one draw after the other, and what it is when called."""
    layer, rng, x = Dropout(3, 0.3), np.random.default_rng(11), np.repeat(HALF, rows, axis=0)
    return np.array([layer.forward(x, rng) for _ in range(n)]), layer(x)


def units_keep_their_mean(claim):
    drawn, called = dropout_in_training()
    agrees(claim, "a unit in training", drawn, called)


def rows_are_dropped_independently(claim):
    drawn, called = dropout_in_training(rows=2)
    first, second = np.moveaxis(drawn - called, 1, 0)
    agrees(claim, "product of the deviations of two rows", first * second, 0)


def nothing_is_dropped_in_use(claim):
    model = Autoencoder(2, dropout=0.4, max_iter=1, random_state=0).fit(PIXELS)
    first, second = model.reconstruct(PIXELS), model.reconstruct(PIXELS)
    holds(claim, "difference of two reconstructions", np.abs(first - second).max(), 0)


def drawn_dropout_has_the_exact_mean(claim):
    """Of a network without hidden layers and biases, the linear model has the exact loss."""
    drawn, rng = Autoencoder(2, hidden_layer_sizes=(), dropout=0.3), np.random.default_rng(12)
    X = drawn.set_params(random_state=0).initialise(PIXELS)
    exact = LinearAutoencoder(2, dropout=0.3)
    exact.initialise(PIXELS)
    for network, twin in ((drawn.encoder_, exact.encoder_), (drawn.decoder_, exact.decoder_)):
        dense = next(layer for layer in network.layers if isinstance(layer, Dense))
        dense.weight[...] = rng.standard_normal(dense.weight.shape)
        twin.layers[0].weight[...] = dense.weight
    draws = [drawn.loss_and_gradient(X, rng)[0] for _ in range(scaled(4000))]
    agrees(claim, "loss of drawn masks", draws, exact.loss_and_gradient(X)[0])


def linear_dropout_is_at_its_optimum(claim):
    model = LinearAutoencoder(3, dropout=0.4, random_state=0).fit(SAMPLES)
    right = theory.dropout_optimum(EIGENVALUES, 3, 0.4).loss
    holds(
        claim, "relative error of the least loss with dropout", abs(model.loss_ / right - 1), 1e-9
    )


# --- adversarial autoencoders ---


def on_stage(m=1.5, **params):
    """A model whose codes are N(m, 1), by 4,000 quantiles as draws, and whose logit is the best.

    Sums over them are off by some 1e-3 from expectations, as the tails are cut.
    """
    n = 4000
    quantiles = norm.ppf((np.arange(n) + 0.5) / n)[:, None]
    model = AdversarialAutoencoder(
        1, hidden_layer_sizes=(), discriminator="quadratic", random_state=0,
        prior=lambda rng, n: np.resize(quantiles, (n, 1)), **{"gradient_penalty": 0.0, **params},
    )  # fmt: skip
    model.initialise(quantiles)
    model.parameters_[...] = 0  # the decoder, too: no reconstruction moves the encoder
    code, logit = model.encoder_.layers[0], model.discriminator_.layers[-1]
    code.weight[...], code.bias[...] = 1, m
    logit.weight[:, 0], logit.bias[...] = (-m, 0), m * m / 2
    return model, quantiles


def paid_by_the_discriminator(model, X):
    model.loss_and_gradient(X, np.random.default_rng(0))
    return model._loss_parts["discriminator"]


def a_discriminator_reports_the_divergence(claim):
    js = theory.gaussian_jensen_shannon([1.5], [[1.0]])
    model, X = on_stage()
    best = paid_by_the_discriminator(model, X)
    holds(claim, "loss of the best discriminator", abs(best - (np.log(4) - 2 * js)), 2e-3)
    slopes = [np.abs(layer.grad_bias).max() for layer in model.discriminator_.layers[-1:]]
    holds(claim, "its gradient", max(slopes), 2e-3)
    model.parameters_[model.objectives()["discriminator"][1]] = 0
    blind = paid_by_the_discriminator(model, X)
    holds(claim, "loss of one that cannot tell", abs(blind - np.log(4)), 1e-12)


def codes_are_pulled_towards_the_prior(claim):
    model, X = on_stage()
    model.loss_and_gradient(X, np.random.default_rng(0))
    pull = model.encoder_.layers[0].grad_bias[0]
    right = theory.game_gradients(1.5).non_saturating
    holds(claim, "pull of the non-saturating loss", abs(pull - right), 5e-3)


def no_logit_overflows(claim):
    a = np.array([-800.0, 800.0])
    with np.errstate(all="ignore"):
        found = [adversarial.discriminator_loss(a, a)[0], adversarial.GAMES["saturating"](a)[0]]
    holds(claim, "losses at logits of ±800", np.abs(np.subtract(found, [800, -400])).max(), 1e-9)


PLAYERS = {"hidden_layer_sizes": (4,), "activation": "tanh", "random_state": 0}


def players_are_apart(claim):
    """Bit for bit, whatever the other one pays."""

    def gradients(**params):
        model = AdversarialAutoencoder(2, discriminator=(5,), **PLAYERS, **params)
        model.initialise(PIXELS)
        rng = np.random.default_rng(0)
        model.parameters_[...] += 0.1 * rng.standard_normal(model.parameters_.shape)
        gradient = model.loss_and_gradient(PIXELS, np.random.default_rng(0))[1]
        return [gradient[part] for _, part in model.objectives().values()], model

    (own, its), _ = gradients()
    (same, _), _ = gradients(gradient_penalty=5.0)
    (_, its_same), _ = gradients(match_weight=5.0)
    (alone, _), model = gradients(match_weight=0.0)
    plain = Autoencoder(2, **PLAYERS)
    plain.initialise(PIXELS)
    plain.parameters_[...] = model.parameters_[: len(alone)]
    no_match = plain.loss_and_gradient(PIXELS)[1]
    different = sum(
        np.count_nonzero(x != y) for x, y in ((own, same), (its, its_same), (alone, no_match))
    )
    holds(claim, "components that see the other player's loss", different, 0)


def r1_is_its_closed_form(claim):
    """``E_p (b + Hz)² = b² + H²``, at the prior's ±1 and not at the codes."""
    paid = []
    for gamma in (0.0, 1.0):
        model = AdversarialAutoencoder(
            1, hidden_layer_sizes=(), discriminator="quadratic", gradient_penalty=gamma,
            prior=lambda rng, n: np.resize([[-1.0], [1.0]], (n, 1)), random_state=0,
        )  # fmt: skip
        model.initialise(np.zeros((4, 1)))
        model.parameters_[...] = 0
        model.encoder_.layers[0].bias[...] = 3.0
        model.discriminator_.layers[-1].weight[:, 0] = 0.7, 0.2  # b, H/2
        paid.append(paid_by_the_discriminator(model, np.zeros((4, 1))))
    error = abs(paid[1] - paid[0] - 0.5 * (0.7**2 + 0.4**2))
    holds(claim, "R1 of a quadratic logit", error, 1e-12)


def prior_is_standard_normal_and_fresh(claim):
    model = AdversarialAutoencoder(2, max_iter=1, random_state=0).fit(PIXELS)
    rng = np.random.default_rng(0)
    draws, others = (model.sample_prior(20_000, random_state=rng) for _ in range(2))
    agrees(claim, "mean of the prior's draws", draws, 0)
    agrees(claim, "mean of their squares", draws**2, 1)
    holds(claim, "draws that are the same twice", np.count_nonzero(draws == others), 0)


def dirac_game_turns_as_it_should(claim):
    h, gamma = 0.5, 0.2
    X = np.zeros((3, 1))
    model = AdversarialAutoencoder(
        1, hidden_layer_sizes=(), discriminator=(), gradient_penalty=gamma,
        prior=lambda rng, n: np.zeros((n, 1)), random_state=0,
    )  # fmt: skip
    model.initialise(X)
    code, logit = model.encoder_.layers[0], model.discriminator_.layers[0]

    def step(theta, psi):
        for at in ((0, 0), (theta, psi)):  # the step before was made at rest
            model.parameters_[...] = 0
            code.bias[...], logit.weight[...] = at
            model.loss_and_gradient(X)
        return np.array([theta - h * code.grad_bias[0], psi - h * logit.grad_weight[0, 0]])

    e = 1e-4
    columns = [step(e, 0) - step(-e, 0), step(0, e) - step(0, -e)]
    determinant = np.linalg.det(np.stack(columns, axis=1) / (2 * e))
    right = np.prod(theory.dirac_eigenvalues(h, gamma=gamma)).real
    holds(claim, "determinant of a step", abs(determinant - right), 1e-6)


# --- training ---


def epoch_loss_is_a_mean_over_samples(claim):
    # too small a step to move anything: the loss of the epoch is that of the start
    model = Autoencoder(
        2, solver="sgd", learning_rate=1e-12, batch_size=8, max_iter=1, random_state=0
    )
    loss = model.fit(PIXELS).history_["loss"][0]  # of batches of 8 and 2
    error = abs(loss / model.reconstruction_error(PIXELS).mean() - 1)
    holds(claim, "relative error of the loss of an epoch", error, 1e-9)


def epochs():
    """The rows of two epochs as a model sees them in training."""
    seen = []

    class Witness(Autoencoder):
        def loss_and_gradient(self, X, rng=None):
            seen.extend(X.copy())
            return super().loss_and_gradient(X, rng)

    Witness(2, batch_size=4, max_iter=2, random_state=0).fit(PIXELS.copy())
    return np.split(np.array(seen), 2)


def an_epoch_is_every_row_once(claim):
    rows = [sorted(map(tuple, epoch)) for epoch in epochs()]
    wrong = sum(epoch != sorted(map(tuple, PIXELS)) for epoch in rows)
    holds(claim, "epochs that are no permutation of the rows", wrong, 0)


def epochs_differ_in_order(claim):
    first, second = epochs()
    holds(claim, "epochs in the order of the one before", np.array_equal(first, second), 0)


def fit_leaves_the_data_alone(claim):
    X = PIXELS.copy()
    Autoencoder(2, max_iter=2, random_state=0).fit(X)
    holds(claim, "change of the samples by training", np.abs(X - PIXELS).max(), 0)


def a_code_depends_on_its_sample_alone(claim):
    model = LinearAutoencoder(2, random_state=0).fit(SAMPLES)
    error = np.abs(model.transform(SAMPLES)[:5] - model.transform(SAMPLES[:5])).max()
    holds(claim, "change of a code with the company of its sample", error, 1e-12)


def early_stopping_waits_for_beta(claim):
    model = VAE(
        2, beta=20, beta_warmup=8, early_stopping=True, n_iter_no_change=2, max_iter=12,
        batch_size=1, learning_rate=1e-8, random_state=0,
    ).fit(np.vstack([SAMPLES] * 5))  # fmt: skip
    holds(claim, "epochs of warm-up that were left out", 9 - model.n_iter_, 0)


def initial_weights_have_their_variance(claim):
    layer = Dense(300, 200, "tanh")
    layer.bind(Parameters({"": layer}), ".")
    layer.initialise(np.random.default_rng(8))
    agrees(claim, "squared initial weight", layer.weight.ravel() ** 2, 2 / (300 + 200))


# --- denoising ---


def linear_denoiser_is_wieners(claim):
    model = LinearAutoencoder(3, corruption=GaussianNoise(0.5), random_state=0).fit(SAMPLES)
    best = theory.linear_denoiser(np.cov(SAMPLES.T, bias=True), np.full(5, 0.25), 3)
    error = np.abs(model.decoder_weight_ @ model.encoder_weight_ - best.map).max()
    holds(claim, "distance of the map from Wiener's filter", error, 1e-6)


def training_loss_is_at_least_the_least(claim):
    # on average: the mean over 50 epochs, of 8 samples each, errs by some per cent
    X = np.random.default_rng(0).standard_normal((8, 6))
    draws = np.repeat(X, 2000, axis=0)
    noisy = GaussianNoise(1.0)(draws, np.random.default_rng(1))
    best = theory.NoisyData(X, 1.0).denoiser(noisy)
    least = np.mean(np.sum((best - draws) ** 2, axis=1))
    model = Autoencoder(
        16, hidden_layer_sizes=(32,), corruption=GaussianNoise(1.0), learning_rate=1e-2,
        max_iter=400, n_iter_no_change=None, random_state=0,
    ).fit(X)  # fmt: skip
    part = least / model.history_["loss"][-50:].mean()
    holds(claim, "least denoising loss over that of training", part, 1.1)


def corruption_has_the_covariance_it_says(claim, corruption):
    X = np.repeat(PIXELS[:2], 20_000, axis=0)
    noise = corruption(X, np.random.default_rng(0)) - X
    products = (noise[:, :, None] * noise[:, None, :]).reshape(len(X), -1)
    N = np.diag(corruption.noise_variance(X.mean(axis=0), X.var(axis=0)))
    agrees(claim, "product of the noise of two features", products, N.ravel())


def corruption_is_right_on_average(claim, corruption):
    X = np.repeat(PIXELS[:2], 20_000, axis=0)
    agrees(claim, "noise", corruption(X, np.random.default_rng(0)) - X, 0)


def salt_and_pepper_refuses_unscaled_pixels(claim):
    try:
        Autoencoder(2, corruption=SaltAndPepper(0.3), max_iter=1, random_state=0).fit(16 * PIXELS)
    except ValueError:
        return
    raise AssertionError(f"({claim}) pixels up to 16 were peppered with 1")


def nothing_is_corrupted_after_training(claim):
    model = Autoencoder(2, corruption=GaussianNoise(0.5), max_iter=1, random_state=0).fit(PIXELS)
    error = np.abs(model.reconstruct(PIXELS) - model.reconstruct(PIXELS)).max()
    holds(claim, "difference of two reconstructions", error, 0)


def langevin_draws_from_the_noisy_density(claim):
    draws = denoising.langevin(  # data N(0, 1) and noise of 1: r*(x) = x/2, of C = 2
        lambda x: x / 2, np.zeros((20_000, 1)), 1.0, 100, step=0.2, random_state=0
    )
    agrees(claim, "square of a Langevin draw", draws[:, 0] ** 2, 2 / (1 - 0.2 / 8))


# --- optimizers ---

GRADIENTS = np.random.default_rng(9).standard_normal((8, 5)) * [1e-4, 1e-2, 1, 1e2, 1e4]


def path(optimizer):
    """Where the steps along the gradients above lead, from 0."""
    values, places = np.zeros(5), []
    for gradient in GRADIENTS:
        optimizer.step(values, gradient.copy())
        places.append(values.copy())
    return np.array(places)


def first_step_of_adam_is_its_learning_rate(claim):
    step = path(optimizers.Adam(0.01, epsilon=1e-8))[0]
    right = -0.01 * GRADIENTS[0] / (np.abs(GRADIENTS[0]) + 1e-8)
    holds(claim, "relative error of Adam's first step", np.abs(step / right - 1).max(), 1e-12)


def adam_follows_its_paper(claim):
    m = v = theta = np.zeros(5)
    right = []
    for t, g in enumerate(GRADIENTS, start=1):
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        theta = theta - 0.01 * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        right.append(theta)
    error = np.abs(path(optimizers.Adam(0.01)) - right).max() / 0.01
    holds(claim, "error of Adam's path in learning rates", error, 1e-12)


def momentum_adds_up_all_gradients(claim):
    ages = np.subtract.outer(np.arange(8), np.arange(8))
    steps = -0.01 * np.where(ages >= 0, 0.9 ** np.abs(ages), 0) @ GRADIENTS
    error = np.abs(path(optimizers.SGD(0.01, momentum=0.9)) / steps.cumsum(axis=0) - 1).max()
    holds(claim, "relative error of the path with momentum", error, 1e-10)


# --- convolution ---


def random_layer(layer, seed=10):
    """A layer with random parameters."""
    parameters = Parameters({"layer": layer})
    parameters.values[...] = np.random.default_rng(seed).standard_normal(parameters.values.shape)
    layer.parameters = parameters  # holds the memory
    return layer


def convolution_is_its_matrix(claim, circular_before=False):
    """Against the definition, number by number; if asked for, with another layer called before."""
    rng, options = np.random.default_rng(11), {"stride": 2, "padding": 1}
    layer = random_layer(Convolution((2, 5, 6), 3, 3, bias=False, **options))
    x = rng.standard_normal((4, 2, 5, 6))
    if circular_before:
        random_layer(Convolution((2, 5, 6), 3, 3, circular=True, **options))(x)
    right = x.reshape(4, -1) @ theory.convolution_matrix(layer.weight, (5, 6), **options).T
    holds(
        claim,
        "convolution against its matrix",
        np.abs(layer(x).reshape(4, -1) - right).max(),
        1e-13,
    )


def convolution_and_its_backward_are_adjoint(claim):
    rng = np.random.default_rng(12)
    layer = random_layer(Convolution((2, 5, 6), 2, 3, stride=2, padding=1, bias=False))
    x = rng.standard_normal((4, 2, 5, 6))
    y = layer.forward(x)
    g = rng.standard_normal(y.shape)
    error = abs(np.sum(g * y) - np.sum(layer.backward(g) * x))
    holds(claim, "⟨g, Kx⟩ less ⟨Kᵀg, x⟩", error, 1e-12)


def transposed_convolution_is_the_transpose(claim):
    rng = np.random.default_rng(13)
    down = random_layer(Convolution((1, 7), 1, 3, bias=False))
    up = random_layer(TransposedConvolution(1, (1, 7), 3, bias=False))
    x, h = rng.standard_normal((4, 1, 7)), rng.standard_normal((4, 1, 5))
    error = abs(np.sum(h * down(x)) - np.sum(up(h) * x))
    holds(claim, "⟨h, Kx⟩ less ⟨Kᵀh, x⟩", error, 1e-12)


def a_single_pixel_comes_out_as_the_kernel(claim):
    layer = random_layer(Convolution((1, 6, 6), 1, 3, padding=1, bias=False))
    x = np.zeros((1, 1, 6, 6))
    x[0, 0, 2, 3] = 1
    y = layer(x)[0, 0]
    y[1:4, 2:5] -= layer.weight[0, 0, ::-1, ::-1]  # window i sees place 2 at its tap 2 − i + p
    holds(claim, "what a pixel becomes, less the kernel around it", np.abs(y).max(), 0)


def all_windows_are_there_and_no_more(claim):
    for n in range(3, 12):
        layer = Convolution((1, n), 1, 3, stride=3, padding=1)
        windows = [i for i in range(n) if 3 * i + 3 <= n + 2]
        error = abs(layer.shape_out[1] - len(windows))
        holds(claim, f"windows too many or too few on {n} numbers", error, 0)


def gradient_times_input_is_kept(claim):
    layer, x = MaxPool((1, 4, 4), 2), np.ones((1, 1, 4, 4))
    y = layer.forward(x)
    g = np.arange(1.0, 5.0).reshape(1, 1, 2, 2)
    error = abs(np.sum(layer.backward(g) * x) - np.sum(g * y))
    holds(claim, "⟨∂L/∂x, x⟩ less ⟨∂L/∂y, y⟩ where all are equal", error, 0)


def masked_networks():
    """An encoder and a decoder of six patches, and for three samples four that are visible.

    Their order is none that undoes itself: a swap would hide which way it is gone back.
    """
    rng = np.random.default_rng(0)
    encoder = VisibleEncoder(6, 2, 8, n_blocks=1, n_heads=2)
    decoder = FillingDecoder(6, 8, 4, 2, n_blocks=1, n_heads=2)
    decoder.parameters = Parameters({"encoder": encoder, "decoder": decoder})
    decoder.parameters.values[...] = rng.standard_normal(decoder.parameters.values.shape)
    visible = np.array([[2, 0, 3, 5], [4, 2, 1, 0], [5, 3, 0, 1]])
    missing = np.array([[k not in row for k in range(6)] for row in visible])
    return encoder, decoder, rng.standard_normal((3, 6, 2)), visible, missing


def visible_patches_are_no_target(claim):
    patch_loss = masked_models.masked_squared_error
    rng = np.random.default_rng(1)
    x_hat, x, missing = rng.random((3, 4, 1)), rng.random((3, 4, 1)), rng.random((3, 4)) < 0.5
    missing[:, 0] = True
    before, gradient = patch_loss(x_hat, x, missing)
    after, _ = patch_loss(x_hat, np.where(missing[..., None], x, x + 1), missing)
    holds(claim, "change of the loss by what is visible", abs(after - before), 0)
    holds(claim, "gradient at what is visible", np.abs(gradient[~missing]).max(), 0)


def samples_count_alike_whatever_they_miss(claim):
    """One that misses 1 patch of 16, and one that misses 15."""
    x_hat, x = np.random.default_rng(0).standard_normal((2, 2, 16, 3))
    missing = np.arange(16) < np.array([[1], [15]])
    both, _ = masked_models.masked_squared_error(x_hat, x, missing)
    alone = [
        np.mean(np.sum((x_hat - x)[i][missing[i]] ** 2, axis=1)) for i in range(2)
    ]  # the mean over its missing patches
    holds(claim, "relative error of the loss of two", abs(both / np.mean(alone) - 1), 1e-12)


def order_of_visible_patches_does_not_matter(claim):
    encoder, decoder, x, visible, _ = masked_networks()
    turned = np.roll(visible, 1, axis=1)
    first, second = (decoder(encoder(x, order), order) for order in (visible, turned))
    holds(claim, "change by the order of what is visible", np.abs(first - second).max(), 1e-10)


def missing_patches_are_told_apart(claim):
    encoder, decoder, x, visible, missing = masked_networks()
    x_hat = decoder(encoder(x, visible), visible)
    spread = min(np.ptp(one[gone], axis=0).max() for one, gone in zip(x_hat, missing, strict=True))
    holds(claim, "missing patches of a sample that are alike", float(spread < 1e-6), 0)


def missing_patches_tell_nothing(claim):
    encoder, decoder, x, visible, missing = masked_networks()
    hidden = np.where(missing[..., None], 77.0, x)
    first, second = (decoder(encoder(one, visible), visible) for one in (x, hidden))
    holds(claim, "change by what is missing", np.abs(first - second).max(), 0)


def filling_gradient_is_right(claim):
    """By differences, at the mask token: two patches of each of three samples are it."""
    encoder, decoder, x, visible, _ = masked_networks()
    h = encoder(x, visible)
    grad_y = np.random.default_rng(1).standard_normal((3, 6, 2))
    decoder.forward(h, None, visible)
    decoder.backward(grad_y)
    found, numeric = decoder.grad_mask_token.copy(), []
    for j in range(4):
        values = []
        for step in (1e-5, -1e-5):
            decoder.mask_token[j] += step
            values.append(np.sum(decoder(h, visible) * grad_y))
            decoder.mask_token[j] -= step
        numeric.append((values[0] - values[1]) / 2e-5)
    # differences of second order: 1e-10 of truncation, and rounding over the step
    error = np.abs(found - numeric).max() / np.abs(numeric).max()
    holds(claim, "relative error of the mask token's gradient", error, 1e-7)


def masks_are_drawn_anew(claim):
    """Places are missing as often as they should, in pairs of samples and of steps, too."""
    model = MaskedAutoencoder(mask_ratio=0.5, width=4, decoder_width=4, random_state=0)
    model.initialise(np.random.default_rng(0).random((5, 8)))
    rng = np.random.default_rng(0)
    draws = np.array([model._draw_masks(30, rng)[0] for _ in range(40)])
    flat = draws.reshape(-1, 8).astype(float)
    agrees(claim, "how often a patch is missing", flat, 0.5)
    pairs = (draws[:, 1:] & draws[:, :-1]).reshape(-1, 8).astype(float)
    agrees(claim, "how often it is in two samples of a batch", pairs, 0.25)
    steps = (draws[1:] & draws[:-1]).reshape(-1, 8).astype(float)
    agrees(claim, "how often it is at two steps", steps, 0.25)


def patches_are_those_of_the_picture(claim):
    """Of a picture that is neither square nor symmetric; and back."""
    image = np.arange(24.0).reshape(4, 6)
    cut = ToPatches((4, 6), 2)
    patches = cut(image.reshape(1, -1))
    right = [image[i : i + 2, j : j + 2].ravel() for i in (0, 2) for j in (0, 2, 4)]
    holds(claim, "error of patches", np.abs(patches[0] - right).max(), 0)
    back = cut.inverse(patches).reshape(4, 6)
    holds(claim, "error of the picture again", np.abs(back - image).max(), 0)


def samples_held_out_have_no_say_in_the_scale(claim):
    rng = np.random.default_rng(0)
    train, test = rng.standard_normal((20, 3)), rng.standard_normal((20, 3))
    scaled_so = [_probe.standardised(train, one)[0] for one in (test, 100 * test + 7)]
    holds(claim, "change of the features learned on", np.abs(scaled_so[0] - scaled_so[1]).max(), 0)


# --- in use ---


def threshold_keeps_its_promise(claim):
    """Each of six scores may be the new one, and a quarter of alarms is what was asked for."""
    scores = np.array([0.3, 1.0, 1.7, 2.0, 5.0, 40.0])
    alarms = [scores[i] > theory.threshold_of_scores(np.delete(scores, i), 0.25) for i in range(6)]
    holds(claim, "share of false alarms", np.mean(alarms), 0.25)


def likelihood_of_ppca_is_that_of_its_covariance(claim):
    U = np.linalg.qr(np.random.default_rng(5).standard_normal((5, 5)))[0]
    C = (U * [5.0, 2.0, 0.5, 0.5, 0.5]) @ U.T
    x = SAMPLES - 3
    right = -0.5 * (
        np.sum(x @ np.linalg.inv(C) * x, axis=1) + np.log(np.linalg.det(2 * np.pi * C))
    )
    found = theory.ppca_log_likelihood(x, np.zeros(5), U[:, :2], [5.0, 2.0], 0.5)
    holds(claim, "error of log p in nats", np.abs(found - right).max(), 1e-10)


def evidence_finds_two_dimensions(claim):
    evidence = [
        theory.minka_log_evidence([9.0, 4.0, 1.05, 1.0, 0.95], 200, k) for k in range(1, 5)
    ]
    holds(claim, "dimensions too many", abs(int(np.argmax(evidence)) + 1 - 2), 0)


# === The catalogue ===========================================================================


class Mistake(NamedTuple):
    """An entry: the claim is an equation's number or, where none says it, a few words."""

    name: str
    claim: str
    where: str
    put_in: Callable
    check: Callable
    arguments: tuple


MISTAKES: list[Mistake] = []


def breaks(claim, check, *arguments):
    """Enter the function below, which puts the mistake in, into the catalogue."""

    def enter(put_in):
        name = put_in.__name__
        where = put_in.__doc__ or CATALOGUE[name].met_in
        MISTAKES.append(Mistake(name, claim, where, put_in, check, arguments))
        return put_in

    return enter


def hunted(patch, name):
    """Put in what a broken model of the exercises' hunt has."""
    _, break_it = BROKEN[name]
    break_it(patch)


# --- the KL term: wrong losses with the right gradient of their own ---

WRONG_KLS = []


def kl_of(formula):
    """A KL from one term a dimension and sample, its gradient by the complex step."""

    def kl(mu, log_var, weights=None):
        n, h = len(mu), 1e-30
        grad_mu = formula(mu + 1j * h, log_var).imag / h / n
        grad_log_var = formula(mu, log_var + 1j * h).imag / h / n
        return formula(mu, log_var).sum() / n, grad_mu, grad_log_var

    return kl


def kl_term(mu, log_var):
    return (mu**2 + np.exp(log_var) - 1 - log_var) / 2


def wrong_kl(name, where, formula, claim="5.2", check=kl_matches_monte_carlo):
    def put_in(patch):
        for module in (vae, beta):
            patch.setattr(module, "gaussian_kl", kl_of(formula))

    WRONG_KLS.append(name)
    MISTAKES.append(Mistake(name, claim, where, put_in, check, ()))


OF_SAMPLES = "mean over samples"
KL_OF_SOME = {  # whose formulas are no sums over all that there is
    "kl_left_out_of_the_loss": (
        lambda mu, v: 0 * kl_term(mu, v), "5.2", kl_matches_monte_carlo
    ),
    "kl_of_some_dimensions_only": (
        lambda mu, v: kl_term(mu, v) * (np.arange(mu.shape[1]) < 1), "5.2", kl_matches_monte_carlo
    ),
    "kl_of_one_sample_only": (
        lambda mu, v: kl_term(mu, v) * len(mu) * (np.arange(len(mu)) < 1)[:, None],
        OF_SAMPLES, kl_of_a_batch_is_the_mean_of_its_samples,
    ),
}  # fmt: skip

# what a VAE's arrays give away is in the catalogue of the diagnosis, with where it was met
for wrong_name, entry in CATALOGUE.items():
    if wrong_name in KL_OF_SOME:
        wrong_kl(wrong_name, entry.met_in, *KL_OF_SOME[wrong_name])
    elif "batch" in wrong_name and kl_formula(wrong_name):
        args = OF_SAMPLES, kl_is_a_mean_over_samples
        wrong_kl(wrong_name, entry.met_in, kl_formula(wrong_name), *args)
    elif kl_formula(wrong_name):
        wrong_kl(wrong_name, entry.met_in, kl_formula(wrong_name))


# --- the noise ---


def noise_becomes(patch, eps):
    """Hand the model ``eps(rng, log_var)`` when it asks for noise."""
    right = VAE.loss_and_gradient

    def loss_and_gradient(model, X, rng):
        wrong_eps = eps(rng, model.encode(X)[1])
        return right(model, X, SimpleNamespace(standard_normal=lambda *args, **kw: wrong_eps))

    patch.setattr(VAE, "loss_and_gradient", loss_and_gradient)


def sigma_becomes(patch, wrong_sigma):
    """Sample with ``wrong_sigma(log_var)`` for σ."""
    noise_becomes(
        patch,
        lambda rng, log_var: (
            rng.standard_normal(log_var.shape) * wrong_sigma(log_var) / np.exp(log_var / 2)
        ),
    )


for entry in SIGMAS:
    if entry.verdict == "wrong":
        put_in = partial(sigma_becomes, wrong_sigma=entry.value)
        check = noise_has_the_variance_of_q
        MISTAKES.append(Mistake(entry.name, "5.3", entry.met_in, put_in, check, ()))


@breaks("6.7", sampled_loss_is_unbiased)
def noise_left_out(patch):
    sigma_becomes(patch, np.zeros_like)


@breaks("6.7", sampled_loss_is_unbiased)
def uniform_noise(patch):
    noise_becomes(patch, lambda rng, log_var: rng.random(log_var.shape))


@breaks("independent noise", noise_averages_out_over_a_batch)
def same_noise_for_the_whole_batch(patch):
    noise_becomes(patch, lambda rng, log_var: rng.standard_normal(2) + 0 * log_var)


@breaks("6.7", sampled_loss_is_unbiased)
def noise_of_another_scale(patch):
    sigma_becomes(patch, lambda log_var: 0.01 * np.exp(log_var / 2))


@breaks("6.7", sampled_loss_is_unbiased)
def noise_without_a_draw(patch):
    noise_becomes(patch, lambda rng, log_var: np.ones_like(log_var))


@breaks("independent noise", noise_of_dimensions_is_independent)
def same_noise_for_all_dimensions(patch):
    noise_becomes(patch, lambda rng, log_var: rng.standard_normal((len(log_var), 1)) + 0 * log_var)


@breaks("independent noise", noise_averages_out_over_a_batch)
def same_noise_at_every_step(patch):
    noise_becomes(
        patch, lambda rng, log_var: np.random.default_rng(0).standard_normal(log_var.shape)
    )


@breaks("a code is a mean", transform_is_the_mean)
def sampling_noise_left_on_in_evaluation(patch):
    """Common in blog code: codes are draws, so that a sample has another one at every call."""
    rng = np.random.default_rng(0)

    def transform(model, X):
        mu, log_var = model.encode(X)
        return mu + np.exp(log_var / 2) * rng.standard_normal(mu.shape)

    patch.setattr(VAE, "transform", transform)


def encoder_gradient_becomes(patch, change):
    """Change what the encoder is sent: ``change(gradient, KL's part)``, each [by μ, by log σ²]."""
    right = VAE.loss_and_gradient

    def loss_and_gradient(model, X, rng):
        kl_grad = np.hstack(losses.gaussian_kl(*model.encode(X))[1:])
        backward = model.encoder_.backward
        with patch.context() as inner:
            inner.setattr(
                model.encoder_, "backward",
                lambda grad, **kwargs: backward(change(grad, kl_grad), **kwargs),
            )  # fmt: skip
            return right(model, X, rng)

    patch.setattr(VAE, "loss_and_gradient", loss_and_gradient)


TANH_VAE = VAE(2, hidden_layer_sizes=(3,), activation="tanh")


@breaks("5.6b", gradient_is_right, TANH_VAE)
def log_var_gradient_without_its_half(patch):
    encoder_gradient_becomes(
        patch, lambda grad, kl_grad: grad + (grad - kl_grad) * np.repeat([0, 1], 2)
    )


@breaks("5.6a", gradient_is_right, TANH_VAE)
def gradient_cut_at_the_sample(patch):
    encoder_gradient_becomes(patch, lambda grad, kl_grad: kl_grad)


@breaks("5.6a", gradient_is_right, TANH_VAE)
def kl_left_out_of_the_gradient(patch):
    encoder_gradient_becomes(patch, lambda grad, kl_grad: grad - kl_grad)


@breaks("5.6b", gradient_is_right, TANH_VAE)
def sigma_detached_in_the_sample(patch):
    encoder_gradient_becomes(
        patch, lambda grad, kl_grad: grad + (kl_grad - grad) * np.repeat([0, 1], 2)
    )


@breaks("5.6a", gradient_is_right, TANH_VAE)
def kl_gradient_of_one_head_only(patch):
    encoder_gradient_becomes(patch, lambda grad, kl_grad: grad - kl_grad * np.repeat([1, 0], 2))


@breaks("5.3a", score_function_is_unbiased)
def score_function_without_its_sigma(patch):
    """REINFORCE by f(z) ε for f(z) ε/σ: the gradient of another σ."""

    def gradients(f, mu, sigma, n, rng):
        eps = rng.standard_normal((n, len(mu)))
        return f(mu + sigma * eps)[:, None] * eps

    patch.setattr(theory.vae, "score_function_gradients", gradients)


# --- likelihoods and bounds ---


NLL_OF_ERROR = losses.gaussian_nll_of_error


def nll_of_error_becomes(patch, wrong):
    for module in (losses, beta):
        patch.setattr(module, "gaussian_nll_of_error", wrong)


def nll_of_error_is_scaled(patch, name):
    scale = CATALOGUE[name].value

    def nll(error, d, log_noise_variance):
        size = Size(1.0, 2.0, d, 1.0, float(np.exp(log_noise_variance)))
        return tuple(scale(size) * v for v in NLL_OF_ERROR(error, d, log_noise_variance))

    nll_of_error_becomes(patch, nll)


@breaks("6.3", rate_is_water_filling)
def reconstruction_averaged_over_features(patch):
    nll_of_error_is_scaled(patch, "reconstruction_averaged_over_features")


@breaks("6.3", rate_is_water_filling)
def squared_error_without_the_half_of_the_likelihood(patch):
    nll_of_error_is_scaled(patch, "squared_error_without_the_half_of_the_likelihood")


@breaks("5.1a", elbo_is_below_log_likelihood)
def log_2_pi_left_out_of_the_elbo(patch):
    def nll(error, d, log_noise_variance):
        loss, *gradients = NLL_OF_ERROR(error, d, log_noise_variance)
        return loss - 0.5 * d * losses.LOG_2PI, *gradients

    nll_of_error_becomes(patch, nll)


@breaks("6.4", learned_noise_is_probabilistic_pca)
def log_noise_variance_counted_once(patch):
    """log σ² for d log σ²: the noise that is learned is d times too large."""

    def nll(error, d, log_noise_variance):
        precision = np.exp(-log_noise_variance)
        loss = 0.5 * (log_noise_variance + precision * error)
        return loss, 0.5 * precision, 0.5 * (1 - precision * error)

    nll_of_error_becomes(patch, nll)


def scale_of_gaussian_becomes(patch, wrong):
    """Multiply the Gaussian loss by a scale of the catalogue, where the right one is 1."""
    right = LIKELIHOODS["gaussian"]

    def nll(x_hat, x, log_noise_variance, *weights):
        n, d = x.shape
        size = Size(n, 2, d, 4.0, float(np.exp(log_noise_variance)))
        scale = wrong.value(size) * (n if wrong in RECONSTRUCTION_REDUCTIONS else 1)
        return tuple(scale * v for v in right.nll(x_hat, x, log_noise_variance, *weights))

    patch.setitem(LIKELIHOODS, "gaussian", right._replace(nll=nll))


for wrong_name, entry in CATALOGUE.items():
    of_scale = entry in RECONSTRUCTION_REDUCTIONS + RECONSTRUCTION_FACTORS
    if of_scale and wrong_name not in {m.name for m in MISTAKES}:
        put_in = partial(scale_of_gaussian_becomes, wrong=entry)
        check = gaussian_loss_matches_scipy
        MISTAKES.append(Mistake(wrong_name, "5.4a", entry.met_in, put_in, check, ()))


@breaks("5.4a", gaussian_loss_matches_scipy)
def log_variance_taken_for_log_sigma(patch):
    """A scalar named log_scale, read by one line as log σ and by the next as log σ²."""
    right = LIKELIHOODS["gaussian"]
    wrong = right._replace(
        nll=lambda x_hat, x, log_scale, *weights: right.nll(x_hat, x, 2 * log_scale, *weights)
    )
    patch.setitem(LIKELIHOODS, "gaussian", wrong)


@breaks("5.1a", elbo_is_below_log_likelihood, 0.1)
def loss_of_a_beta_vae_reported_as_its_elbo(patch):
    """Common in β sweeps: −loss at β < 1 is no bound, and beats the likelihood itself."""
    right = LatentGaussian.elbo

    def elbo(model, X, **kwargs):
        return right(model, X, **kwargs) + (1 - model.beta) * model.rate_distortion(X)[0]

    patch.setattr(LatentGaussian, "elbo", elbo)


@breaks("5.5b", many_importance_samples_reach_log_likelihood)
def mean_of_logs_for_log_of_mean(patch):
    """Common in importance-weighted code: however many samples, it is the plain ELBO."""
    patch.setattr(LatentGaussian, "log_likelihood", LatentGaussian.elbo)


@breaks("5.5b", many_importance_samples_reach_log_likelihood)
def log_of_sum_for_log_of_mean(patch):
    """logsumexp without −log K: the more samples, the better the model seems."""
    right = LatentGaussian.log_likelihood
    patch.setattr(
        LatentGaussian, "log_likelihood",
        lambda model, X, n_samples, **kwargs: (
            right(model, X, n_samples=n_samples, **kwargs) + np.log(n_samples)
        ),
    )  # fmt: skip


def bernoulli_becomes(patch, wrong):
    patch.setitem(LOSSES, "bernoulli", LOSSES["bernoulli"]._replace(value=wrong))


def bernoulli_becomes_term(patch, words, output=np.copy):
    """A loss of the diagnosis' table, of logits or of what is made of them."""
    term = next(term for term in reconstruction_terms(1.0) if term.words == words)
    bernoulli_becomes(patch, lambda a, x: (term.value(output(a), x).sum() / len(x), None))


def cross_entropy(p, x):
    return -np.sum(x * np.log(p) + (1 - x) * np.log(1 - p)) / len(x), (p - x) / len(x)


@breaks("1.4a", bernoulli_nll_matches_scipy)
def cross_entropy_of_saturated_probabilities(patch):
    """Common in code from scratch: σ(40) is 1 exactly, and log(1 − 1) ends the training."""
    bernoulli_becomes(patch, lambda a, x: cross_entropy(sigmoid(a.copy()), x))


@breaks("1.4a", bernoulli_nll_matches_scipy)
def cross_entropy_of_clipped_probabilities(patch):
    bernoulli_becomes_term(
        patch, "Bernoulli of probabilities clipped at 1e-7", lambda a: sigmoid(a.copy())
    )


@breaks("1.4a", bernoulli_nll_matches_scipy)
def cross_entropy_of_swapped_arguments(patch):
    bernoulli_becomes_term(patch, "Bernoulli of logits, arguments swapped")


@breaks("5.4d", bernoulli_loss_can_reach_the_entropy)
def sigmoid_applied_twice(patch):
    bernoulli_becomes_term(patch, "sigmoid twice")


@breaks("pixels in [0, 1]", bernoulli_refuses_unscaled_pixels)
def pixels_up_to_255_as_probabilities(patch):
    patch.setattr(vae, "check_unit_interval", lambda X, name: X)


@breaks("a reconstruction is a mean", reconstructions_are_probabilities)
def logits_shown_as_pixels(patch):
    """Common after a move to a loss that takes logits: the plots still show the output."""
    bernoulli = LIKELIHOODS["bernoulli"]
    shown = bernoulli.distortion._replace(to_data=lambda logits: logits)
    patch.setitem(LIKELIHOODS, "bernoulli", bernoulli._replace(distortion=shown))


# --- backprop ---


def deep(activation="tanh", **params):
    return Autoencoder(2, hidden_layer_sizes=(3,), activation=activation, **params)


@breaks("1.2a", gradient_is_right, deep("tanh"))
def tanh_derivative_without_its_square(patch):
    """1 − y for 1 − y², common in code from scratch: right where y is 0 or 1."""
    hunted(patch, "1 - y")


@breaks("1.2b", gradient_is_right, deep("sigmoid"))
def sigmoid_derivative_of_its_own_output(patch):
    """σ'(y) for σ'(a), common in code from scratch: σ applied a second time."""
    hunted(patch, "sigmoid at the output")


@breaks("1.2c", gradient_is_right, deep("relu"))
def relu_derivative_of_an_overwritten_input(patch):
    """a ≥ 0, asked after relu has overwritten a: true everywhere, and no unit is ever off."""
    hunted(patch, "relu everywhere")


@breaks("1.2d", gradient_is_right, deep("softplus"))
def softplus_derivative_of_an_overwritten_input(patch):
    """σ(a), asked after softplus has overwritten a: never below ½."""
    hunted(patch, "softplus at the output")


@breaks("1.1b", gradient_is_right, deep())
def bias_gradient_averaged(patch):
    """mean for sum where the loss has divided by n already: biases learn n times too slowly."""
    hunted(patch, "mean over the batch")


@breaks("1.1b", gradient_is_right, deep())
def bias_gradient_missing(patch):
    """Blog code that has biases and updates weights only."""
    break_dense(lambda layer, grad_a, grad_x: layer.grad_bias.fill(0))(patch)


@breaks("1.1a", gradient_is_right, deep())
def weight_gradient_of_the_last_sample(patch):
    """An outer product inside a loop, assigned where it should be added."""
    hunted(patch, "last sample only")


@breaks("1.7a", gradient_is_right, deep())
def gradients_not_set_to_zero(patch):
    """The forgotten zero_grad: each step adds up all batches so far. A gradient check that asks
    for the gradient only once sees nothing."""
    right = Dense.backward

    def backward(layer, grad_y, **kwargs):
        before = layer.grad_weight.copy()
        grad_x = right(layer, grad_y, **kwargs)
        layer.grad_weight += before
        return grad_x

    patch.setattr(Dense, "backward", backward)


@breaks("1.3", gradient_is_right, deep())
def loss_divided_by_n_but_gradient_not(patch):
    """Common in code from scratch: the learning rate depends on the batch size."""
    hunted(patch, "sum over samples")


@breaks("1.3", gradient_is_right, deep())
def gradient_of_half_the_squared_error(patch):
    """x̂ − x as the gradient of a loss that has no ½."""
    hunted(patch, "half the gradient")


@breaks("sum over features", squared_error_sums_features_and_averages_samples)
def squared_error_averaged_over_features(patch):
    """A framework's default: penalties of the same strength weigh d times more."""

    def loss(x_hat, x, weights=None):
        return tuple(v / x.shape[1] for v in losses.squared_error(x_hat, x, weights))

    patch.setitem(LOSSES, "squared_error", LOSSES["squared_error"]._replace(value=loss))


@breaks("1.9", weight_decay_leaves_biases_alone)
def weight_decay_on_biases(patch):
    """Common where all parameters go to the optimizer as one list: the mean is pulled to 0."""
    patch.setattr(Parameters, "weights", lambda self: (self[name] for name in self.names))


@breaks("1.9", gradient_is_right, deep(weight_decay=0.3))
def weight_decay_gradient_without_its_two(patch):
    """λ W as the gradient of λ ‖W‖²: half the decay that the loss reports."""
    hunted(patch, "decay without 2")


@breaks("1.10c", initial_weights_have_their_variance)
def standard_deviation_as_the_limit_of_a_uniform(patch):
    """Glorot's σ put into uniform(−σ, σ): a third of the variance, and deep layers go silent."""

    def initialise(layer, rng):
        sigma = (2 / (layer.n_in + layer.n_out)) ** 0.5
        layer.weight[...] = rng.uniform(-sigma, sigma, layer.weight.shape)

    patch.setattr(Dense, "initialise", initialise)


# --- linear and tied models ---


def tied_gradient_becomes(patch, share):
    """Keep a part of the tied gradient: ``share(W, Sigma)``."""
    right = TiedAutoencoder.loss_and_gradient

    def loss_and_gradient(model, X, rng=None):
        loss, gradient = right(model, X, rng)
        gradient[...] = share(model.encoder_weight_, X.T @ X / len(X)).T.ravel()
        return loss, gradient

    patch.setattr(TiedAutoencoder, "loss_and_gradient", loss_and_gradient)


@breaks("3.2", tied_model_recovers_pca)
def tied_gradient_of_the_encoder_alone(patch):
    """A decoder that holds a copy of W: training stops at the first orthonormal rows it meets."""
    hunted(patch, "one use of two")


@breaks("3.1", gradient_is_right, TiedAutoencoder(2))
def tied_gradient_of_the_decoder_alone(patch):
    """Code that detaches the code: Oja's (1982) rule, which finds PCA all the same, so that
    only the gradient gives it away."""
    tied_gradient_becomes(patch, lambda W, Sigma: theory.tied_gradient(W, Sigma)[1])


@breaks("3.1", gradient_is_right, TiedAutoencoder(2))
def tied_gradient_of_one_use_twice(patch):
    """−4WΣ + 4WWᵀWΣ, as notes B, §9.3 part 2, have it: zero at any orthonormal rows."""
    tied_gradient_becomes(patch, lambda W, Sigma: 2 * theory.tied_gradient(W, Sigma)[0])


@breaks("2.3a", linear_model_recovers_pca)
def pca_without_centring(patch):
    """Common in code that goes straight to an SVD of X: the first axis points at the mean."""
    right = LinearAutoencoder.fit
    # with every sample its mirror image: the mean is 0, and XᵀX/n that of the uncentred samples
    patch.setattr(LinearAutoencoder, "fit", lambda model, X: right(model, np.vstack([X, -X])))


@breaks("2.3", linear_loss_is_the_eigenvalues_left_out)
def covariance_by_n_minus_1(patch):
    """np.cov beside a mean over n: loss and eigenvalues disagree by a part 1/n."""
    right = LinearAutoencoder.fit

    def fit(model, X):
        mean, n = X.mean(axis=0), len(X)
        return right(model, mean + (X - mean) * (n / (n - 1)) ** 0.5)

    patch.setattr(LinearAutoencoder, "fit", fit)


@breaks("2.2", coding_undoes_decoding)
def transpose_for_the_pseudo_inverse(patch):
    """ "A linear autoencoder is PCA", so its decoder must be orthonormal: it is not."""
    patch.setattr(
        LinearAutoencoder, "transform",
        lambda model, X: (np.asarray(X) - model.mean_) @ model.decoder_weight_,
    )  # fmt: skip


@breaks("one sample, one code", a_code_depends_on_its_sample_alone)
def new_data_centred_by_their_own_mean(patch):
    """A scaler fitted again at prediction time: the code of a sample depends on its company."""
    patch.setattr(
        LinearAutoencoder, "transform",
        lambda model, X: (np.asarray(X) - np.mean(X, axis=0)) @ model.encoder_weight_.T,
    )  # fmt: skip


# --- sparse codes ---


def threshold_becomes(patch, wrong):
    patch.setattr(proximal, "soft_threshold", wrong)


@breaks("4.1", prox_step_is_argmin)
def hard_threshold_for_soft(patch):
    """Common in blog code: large values are left as they are, the prox of another penalty."""
    threshold_becomes(patch, lambda v, t: v * (np.abs(v) > t))


@breaks("4.1", prox_step_is_argmin)
def clipping_for_the_soft_threshold(patch):
    """Moreau's other half (4.1b): what the threshold takes away, returned for what it leaves."""
    threshold_becomes(patch, lambda v, t: np.clip(v, -t, t))


@breaks("4.1", prox_step_is_argmin)
def one_sided_soft_threshold(patch):
    """relu(v − t), common in networks: codes of the other sign are lost."""
    threshold_becomes(patch, lambda v, t: np.maximum(v - t, 0))


def plain_fista(
    step=lambda L: 1 / L, threshold=lambda sparsity, L: sparsity / L,
    t_after=lambda t: (1 + np.sqrt(1 + 4 * t**2)) / 2, momentum=1, uphill=1,
):  # fmt: skip
    """FISTA in its shortest form, with its parts open to mistakes."""

    def fista(X, D, sparsity, *, max_iter, restart=True, callback=lambda H: None, tol=None):
        L = 2 * np.linalg.norm(D, 2) ** 2
        H = Y = np.zeros((len(X), D.shape[1]))
        t = np.ones((len(X), 1))
        for _ in range(max_iter):
            v = Y - step(L) * 2 * (Y @ D.T - X) @ D
            H_old, H = H, np.sign(v) * np.maximum(np.abs(v) - threshold(sparsity, L), 0)
            t_old, t = t, t_after(t)
            if restart:
                against = uphill * np.sum((Y - H) * (H - H_old), axis=1, keepdims=True) > 0
                t_old, t = np.where(against, 1, t_old), np.where(against, 1, t)
            Y = H + momentum * (t_old - 1) / t * (H - H_old)
            callback(H)
        return H

    return fista


@breaks("4.3", codes_meet_kkt)
def threshold_lambda_for_half_lambda(patch):
    """The prox of ½‖·‖² with the gradient of ‖·‖²: codes of twice the λ that was asked for."""
    patch.setattr(proximal, "fista", plain_fista(threshold=lambda sparsity, L: 2 * sparsity / L))


@breaks("4.3", codes_meet_kkt)
def step_size_left_out_of_the_threshold(patch):
    """soft(v, λ) after a step of 1/L, common in code from scratch: L times too sparse."""
    patch.setattr(proximal, "fista", plain_fista(threshold=lambda sparsity, L: sparsity))


@breaks("4.3", codes_meet_kkt)
def step_twice_too_long(patch):
    """L = ‖D‖² for a loss without ½: momentum turns the step into divergence."""
    patch.setattr(
        proximal, "fista", plain_fista(lambda L: 2 / L, lambda sparsity, L: 2 * sparsity / L)
    )


@breaks("4.4b", fista_keeps_its_bound)
def fista_with_t_never_updated(patch):
    """t stays 1, and (t − 1)/t is 0: plain ISTA under the name of FISTA."""
    patch.setattr(proximal, "fista", plain_fista(t_after=lambda t: t))


@breaks("4.4b", fista_keeps_its_bound)
def fista_extrapolating_backwards(patch):
    """h_old − h for h − h_old: a brake, slower than no momentum at all."""
    patch.setattr(proximal, "fista", plain_fista(momentum=-1))


@breaks("4.4b", fista_keeps_its_bound, True)
def fista_restarted_when_it_goes_well(patch):
    """The sign of the restart test: momentum is dropped while it helps, and kept when it hurts."""
    patch.setattr(proximal, "fista", plain_fista(uphill=-1))


@breaks("4.5c", reconstructions_are_no_longer_than_codes)
def dictionary_without_a_norm(patch):
    """Common in sparse autoencoders: a longer atom makes a shorter code, and the penalty void."""

    class Free(Dictionary):
        __call__, forward, backward = Dense.__call__, Dense.forward, Dense.backward
        atoms = property(lambda self: self.weight)

    patch.setattr(sparse, "Dictionary", Free)


def kl_sparsity_becomes(patch, wrong):
    patch.setattr(sparse, "kl_sparsity", wrong)


@breaks("4.8", kl_sparsity_matches_scipy)
def kl_sparsity_the_other_way_round(patch):
    """KL(ρ̂ ‖ ρ), common in blog code: finite for units that are always off."""

    def penalty(h, rho):
        rho_hat = h.mean(axis=0)
        return np.sum(rel_entr(rho_hat, rho) + rel_entr(1 - rho_hat, 1 - rho)), None

    kl_sparsity_becomes(patch, penalty)


@breaks("4.8", kl_sparsity_matches_scipy)
def kl_sparsity_of_the_mean_over_all_units(patch):
    """One mean for samples and units: a few units always on and the rest dead cost nothing."""
    right = losses.kl_sparsity
    kl_sparsity_becomes(patch, lambda h, rho: right(np.full_like(h, h.mean()), rho))


# --- dropout ---


def dropout_becomes(patch, **methods):
    for name, method in methods.items():
        patch.setattr(Dropout, name, method)


def masks_become(patch, mask):
    """A layer whose masks are ``mask(uniform numbers, p)``."""

    def forward(layer, x, rng=None):
        layer.mask = mask(rng.random(x.shape), layer.probability)
        return x * layer.mask

    dropout_becomes(patch, forward=forward)


def right_mask(u, p):
    return (u >= p) / (1 - p)


@breaks("no dropout in use", nothing_is_dropped_in_use)
def dropout_left_on_in_use(patch):
    """model.eval() forgotten: two reconstructions of a sample differ, and err by (8.1)."""
    rng, forward = np.random.default_rng(0), Dropout.forward
    dropout_becomes(patch, __call__=lambda layer, x: forward(layer, x, rng))


@breaks("8.5", units_keep_their_mean)
def dropout_not_rescaled(patch):
    """The mask alone, and nothing in use either: codes are 1/q too large once all are there."""
    masks_become(patch, lambda u, p: 1.0 * (u >= p))


@breaks("8.5", units_keep_their_mean)
def dropout_rescaled_twice(patch):
    """1/q in training, as libraries have it, and q in use, as the paper has it."""
    dropout_becomes(patch, __call__=lambda layer, x: x * (1 - layer.probability))


@breaks("8.1a", gradient_is_right, Autoencoder(2, hidden_layer_sizes=(), dropout=0.4))
def dropout_without_the_mask_on_the_way_back(patch):
    """Units that were dropped are told to change what they had no part in."""
    hunted(patch, "no mask on the way back")


@breaks("8.1a", gradient_is_right, Autoencoder(2, hidden_layer_sizes=(), dropout=0.4))
def dropout_without_its_scale_on_the_way_back(patch):
    """The mask, but not 1/q: the encoder learns at q times the rate of the decoder."""
    hunted(patch, "mask of the way back unscaled")


@breaks("independent masks", rows_are_dropped_independently)
def one_mask_for_the_whole_batch(patch):
    """Right on average, loss and gradient: with n times the variance, and no mean tells."""
    masks_become(patch, lambda u, p: right_mask(u[:1], p) * np.ones_like(u))


@breaks("8.1", drawn_dropout_has_the_exact_mean)
def probability_of_keeping_for_that_of_dropping(patch):
    """keep_prob of one library for the rate of another: 0.3 drops seven in ten."""
    masks_become(patch, lambda u, p: right_mask(u, 1 - p))


@breaks("8.1", drawn_dropout_has_the_exact_mean)
def dropout_behind_the_decoder(patch):
    """One line too late: features are dropped, and no unit learns to do without another."""

    def decoder(networks, n_in, n_out):
        return Sequential([Dense(n_in, n_out), Dropout(n_out, networks.code_dropout)])

    patch.setattr(FullyConnected, "decoder", decoder)


def odds_become(patch, odds):
    """The exact penalty with something else for ``p / (1 − p)``."""
    right = LinearAutoencoder._drop_units

    def drop_units(model, *args):
        nu = odds(model.dropout)
        return right(SimpleNamespace(dropout=nu / (1 + nu), decoder_=model.decoder_), *args)

    patch.setattr(LinearAutoencoder, "_drop_units", drop_units)


@breaks("8.2a", linear_dropout_is_at_its_optimum)
def dropout_penalty_with_p_for_the_odds(patch):
    """The variance of δ over its mean, not over the square of its mean."""
    odds_become(patch, lambda p: p)


@breaks("8.2a", linear_dropout_is_at_its_optimum)
def dropout_penalty_with_the_second_moment_of_the_mask(patch):
    """1/(1 − p), the mean square of δ/q, for its variance: the mean is counted too."""
    odds_become(patch, lambda p: 1 / (1 - p))


# --- contraction ---


def penalty_becomes(patch, wrong):
    """The penalty as ``wrong(layer)`` of the encoder's only layer; its gradient stays."""
    right = contractive.squared_jacobian

    def penalty(encoder, *args):
        return wrong(encoder.layers[0]), right(encoder, *args)[1]

    patch.setattr(contractive, "squared_jacobian", penalty)


def one_jacobian_a_sample(layer):
    return layer.slope[:, :, None] * layer.weight.T


@breaks("9.1", penalty_is_the_norm_of_the_jacobian)
def slopes_left_out_of_the_jacobian(patch):
    """A norm of the weights by the name of a Jacobian: weight decay, whatever the units do."""
    penalty_becomes(patch, lambda layer: np.sum(layer.weight**2))


@breaks("9.1", penalty_is_the_norm_of_the_jacobian)
def slopes_not_squared(patch):
    """Blog code with h (1 − h) for its square before the norms of the weights."""
    penalty_becomes(patch, lambda layer: np.mean(layer.slope @ np.sum(layer.weight**2, axis=0)))


@breaks("9.1", penalty_is_the_norm_of_the_jacobian)
def slope_of_another_activation(patch):
    """1 − h² kept from a tanh code when the activation was changed to a sigmoid."""
    penalty_becomes(
        patch,
        lambda layer: np.mean((1 - layer.y**2) ** 2 @ np.sum(layer.weight**2, axis=0)),
    )


@breaks("9.1", penalty_is_the_norm_of_the_jacobian)
def jacobian_of_the_sum_of_the_code(patch):
    """A framework's gradient of h.sum(): rows are added before they are squared."""
    penalty_becomes(
        patch,
        lambda layer: np.sum(one_jacobian_a_sample(layer).sum(axis=1) ** 2) / len(layer.y),
    )


@breaks("9.1", penalty_is_the_norm_of_the_jacobian)
def norm_of_the_mean_jacobian(patch):
    """A mean over the batch taken too early: Jacobians of different samples cancel."""
    penalty_becomes(patch, lambda layer: np.sum(one_jacobian_a_sample(layer).mean(axis=0) ** 2))


@breaks("9.1", penalty_is_the_norm_of_the_jacobian)
def root_of_the_norm(patch):
    """A framework's norm() without its square: another penalty, with another optimum."""
    penalty_becomes(
        patch,
        lambda layer: np.mean(np.linalg.norm(one_jacobian_a_sample(layer), axis=(1, 2))),
    )


@breaks("mean over samples", penalty_is_a_mean_over_samples)
def penalty_summed_over_the_batch(patch):
    """Beside a loss that is a mean: λ_c grows with the batch size."""
    penalty_becomes(patch, lambda layer: np.sum(one_jacobian_a_sample(layer) ** 2))


@breaks("9.1a", gradient_is_right, ContractiveAutoencoder(3, contraction=2.0))
def slopes_held_still_in_the_gradient(patch):
    """The gradient of ‖J‖² by the weights alone: f'' is forgotten."""
    right = contractive.squared_jacobian

    def penalty(*args):
        omega, shares = right(*args)
        return omega, [share._replace(grad_a=0 * share.grad_a) for share in shares]

    patch.setattr(contractive, "squared_jacobian", penalty)


@breaks("9.7", unit_columns_bound_what_contraction_can_reach)
def contraction_with_a_free_decoder(patch):
    """Common: a short code and long columns, and the penalty is void. Training never settles."""

    class Free(Dictionary):
        __call__, forward, backward = Dense.__call__, Dense.forward, Dense.backward

    patch.setattr(contractive, "Dictionary", Free)


@breaks("9.4", probes_are_right_on_average)
def one_probe_for_all_steps(patch):
    """Drawn before the loop over epochs: one direction of the code is contracted, and no other."""
    probe = np.random.default_rng(5).choice([-1.0, 1.0], size=3)
    patch.setattr(
        ContractiveAutoencoder, "_probes",
        lambda model, h, rng: model.n_probes and np.tile(probe, (len(h), 1, 1)),
    )  # fmt: skip


@breaks("9.4", probes_are_right_on_average)
def probes_of_length_one(patch):
    """Normalised directions: E uuᵀ is I/k, and so is the penalty."""
    right = ContractiveAutoencoder._probes
    patch.setattr(
        ContractiveAutoencoder, "_probes",
        lambda model, h, rng: model.n_probes and right(model, h, rng) / h.shape[1] ** 0.5,
    )  # fmt: skip


# --- the adversarial game ---

BOTH_PLAYERS = AdversarialAutoencoder(
    2, hidden_layer_sizes=(3,), activation="tanh", discriminator=(4,), gradient_penalty=0.7
)


@breaks("13.3b", codes_are_pulled_towards_the_prior)
def encoder_climbs_where_it_should_descend(patch):
    """Hand-written steps with one sign for both players: codes are pushed away from the prior."""
    right = losses.non_saturating_loss

    def wrong(logits, weights=None):
        loss, gradient = right(logits, weights)
        return -loss, -gradient

    patch.setitem(adversarial.GAMES, "non_saturating", wrong)


@breaks("13.3b", codes_are_pulled_towards_the_prior)
def encoder_with_the_labels_of_the_discriminator(patch):
    """Naresh1318/Adversarial_Autoencoder issue 1: the encoder helps to tell codes apart."""

    def wrong(logits, weights=None):
        loss, gradient = losses.saturating_loss(logits, weights)
        return -loss, -gradient

    patch.setitem(adversarial.GAMES, "non_saturating", wrong)


@breaks("13.3b", codes_are_pulled_towards_the_prior)
def saturating_loss_called_non_saturating(patch):
    """The formula of the paper in place of what it was trained with: far codes stay where they
    are."""
    patch.setitem(adversarial.GAMES, "non_saturating", losses.saturating_loss)


def add_to_the_gradient(patch, more):
    """Add a gradient: ``more(model, codes)`` writes it, and says to which part it belongs."""
    right = AdversarialAutoencoder.loss_and_gradient

    def loss_and_gradient(model, X, rng=None, weights=None):
        loss, gradient = right(model, X, rng, weights)
        kept = gradient.copy()
        gradient[...] = 0
        added = more(model, model.encoder_(X))
        gradient[added] += kept[added]
        others = np.ones(len(gradient), dtype=bool)
        others[added] = False
        gradient[others] = kept[others]
        return loss, gradient

    patch.setattr(AdversarialAutoencoder, "loss_and_gradient", loss_and_gradient)


@breaks("13.1f", players_are_apart)
def loss_of_the_discriminator_leaks_into_the_encoder(patch):
    """No detach where codes go to the discriminator (disentangling-vae issue 77, in FactorVAE)."""

    def leak(model, codes):
        logits, slopes = model.discriminator_.logits_and_slopes(codes)
        grad_codes = losses.discriminator_loss(logits, logits)[2]
        model.encoder_.backward(grad_codes[:, None] * slopes, input_gradient=False)
        return slice(0, sum(int(np.prod(shape)) for shape in model.encoder_.shapes.values()))

    add_to_the_gradient(patch, leak)


@breaks("13.1f", players_are_apart)
def loss_of_the_encoder_moves_the_discriminator(patch):
    """One optimizer of all parameters on the sum of both losses (pytorch_geometric PR 151)."""

    def leak(model, codes):
        logits = model.discriminator_.forward(codes)[:, 0]
        gradient = model.match_weight * losses.non_saturating_loss(logits)[1]
        model.discriminator_.backward(gradient[:, None])
        return model.objectives()["discriminator"][1]

    add_to_the_gradient(patch, leak)


def discriminator_loss_becomes(patch, wrong):
    """A loss of two logits arrays, with the gradient of its own by the complex step."""

    def discriminator_loss(logits_prior, logits_codes, weights=None):
        step = 1e-30j
        with np.errstate(all="ignore"):
            loss = np.mean(wrong(logits_prior, True)) + np.mean(wrong(logits_codes, False))
            grads = [
                wrong(logits + step, real).imag / 1e-30 / len(logits)
                for logits, real in ((logits_prior, True), (logits_codes, False))
            ]
        return loss, *grads

    patch.setattr(adversarial, "discriminator_loss", discriminator_loss)


def log_1p_exp(a):
    return np.log(1 + np.exp(a))


@breaks("13.2a", a_discriminator_reports_the_divergence)
def sigmoid_before_a_loss_of_logits(patch):
    """BCEWithLogits on probabilities (V-GAN-tensorflow issue 16): D stays in σ(0) to σ(1)."""

    def wrong(a, real):
        D = 1 / (1 + np.exp(-a))
        return log_1p_exp(-D if real else D)

    discriminator_loss_becomes(patch, wrong)


@breaks("13.2a", a_discriminator_reports_the_divergence)
def labels_swapped_for_the_discriminator_alone(patch):
    """Which label is "real" is a convention, harmless if both players keep to the same one
    (PyTorch-GAN issue 152)."""
    discriminator_loss_becomes(patch, lambda a, real: log_1p_exp(a if real else -a))


@breaks("13.2a", a_discriminator_reports_the_divergence)
def half_of_the_loss_of_the_discriminator(patch):
    """The mean of the losses of both halves: harmless, but its value is not JS any more."""
    discriminator_loss_becomes(patch, lambda a, real: log_1p_exp(-a if real else a) / 2)


@breaks("losses of logits", no_logit_overflows)
def log_of_a_sigmoid(patch):
    """log D and log(1 − D) of a probability: infinite as soon as it rounds to 0 or 1."""

    def wrong(a, real):
        D = 1 / (1 + np.exp(-a))
        return -np.log(D if real else 1 - D)

    discriminator_loss_becomes(patch, wrong)


def play_becomes(patch, penalty_at="prior", half=0.5, of_gradient=1.0, stale=False):
    """The discriminator's part of the game in the open, with what may be wrong in it."""

    def play(model, z, rng, weights):
        n, seen = len(z), z
        if stale:
            seen = vars(model).get("last_codes", z)
            model.last_codes = z.copy()
        network, prior = model.discriminator_, model._draws(n, rng)
        a, slopes = network.logits_and_slopes(z)
        match, grad = adversarial.GAMES[model.match](a)
        rows = np.vstack([prior, seen])
        logits, its_slopes = network.logits_and_slopes(rows)
        loss, *grads = adversarial.discriminator_loss(logits[:n], logits[n:])
        parts = (1, 0) if penalty_at == "prior" else (0, 1)
        gamma = np.repeat(parts, n) * model.gradient_penalty / n
        loss += half * gamma @ np.sum(its_slopes**2, axis=1)
        network.backward_with_slopes(
            rows, its_slopes, np.concatenate(grads), 2 * half * of_gradient * gamma
        )
        model._loss_parts["discriminator"] = loss
        return match, grad[:, None] * slopes

    patch.setattr(AdversarialAutoencoder, "_play", play)


@breaks("13.4", dirac_game_turns_as_it_should)
def codes_from_before_the_last_step(patch):
    """Fake samples that are kept for the discriminator: it plays against yesterday's encoder."""
    play_becomes(patch, stale=True)


@breaks("R1 at the prior", r1_is_its_closed_form)
def slope_penalised_at_the_codes(patch):
    """R2 for R1: where codes lie on a thin set the prior's side goes unpenalised."""
    play_becomes(patch, penalty_at="codes")


@breaks("R1 at the prior", r1_is_its_closed_form)
def slope_penalty_without_its_half(patch):
    """γ for γ/2, a convention: another γ than the paper's."""
    play_becomes(patch, half=1.0)


@breaks("1.7a", gradient_is_right, BOTH_PLAYERS)
def gradient_of_a_square_without_its_two(patch):
    """Hand-written double backprop that takes the slope for fixed on both sides."""
    play_becomes(patch, of_gradient=0.5)


@breaks("draws of the prior", prior_is_standard_normal_and_fresh)
def uniform_prior(patch):
    """rand for randn: codes in a square of side 1, none of them negative."""
    patch.setattr(adversarial, "standard_normal", lambda rng, shape, dtype: rng.random(shape))


@breaks("draws of the prior", prior_is_standard_normal_and_fresh)
def prior_drawn_once(patch):
    """One batch for all steps: codes learn these points by heart."""
    patch.setattr(
        adversarial, "standard_normal",
        lambda rng, shape, dtype: np.random.default_rng(0).standard_normal(shape),
    )  # fmt: skip


# --- training ---


@breaks("mean over samples", epoch_loss_is_a_mean_over_samples)
def small_last_batch_counted_in_full(patch):
    """A mean of the batches' means: the samples of the smaller last batch count for more."""
    right = Autoencoder.loss_and_gradient

    def loss_and_gradient(model, X, rng=None):
        loss, gradient = right(model, X, rng)
        return loss * (10 / 2) / len(X), gradient  # undoes that the loop weights by size

    patch.setattr(Autoencoder, "loss_and_gradient", loss_and_gradient)


def batches_become(patch, order):
    """Batches of what ``order(rows, rng)`` makes of the rows of an epoch."""
    right, rng = training.batches, np.random.default_rng(0)

    def batches(*args, **kwargs):
        parts = [batch.copy() for batch in right(*args, **kwargs)]
        rows, size = order(np.vstack(parts), rng), len(parts[0])
        return (rows[i : i + size] for i in range(0, len(rows), size))

    patch.setattr(training, "batches", batches)


@breaks("every row once", an_epoch_is_every_row_once)
def rows_drawn_with_replacement(patch):
    """randint for permutation: a third of the samples is missing from every epoch."""
    batches_become(patch, lambda rows, rng: rows[rng.integers(len(rows), size=len(rows))])


@breaks("every row once", an_epoch_is_every_row_once)
def last_rows_dropped(patch):
    """range(n // batch_size): without a shuffle, the same rows are never seen."""
    batches_become(patch, lambda rows, rng: rows[: len(rows) // 4 * 4])


@breaks("every row once", an_epoch_is_every_row_once)
def shuffle_that_breaks_rows_apart(patch):
    """Each column in an order of its own: right means, right variances, no correlations."""
    batches_become(patch, lambda rows, rng: rng.permuted(rows, axis=0))


@breaks("a new order each epoch", epochs_differ_in_order)
def shuffled_once_for_all_epochs(patch):
    """A shuffle before the loop over epochs: the same batches again and again."""
    batches_become(patch, lambda rows, rng: rows[rows[:, 0].argsort()])


@breaks("data left as they are", fit_leaves_the_data_alone)
def data_shuffled_in_place(patch):
    """np.random.shuffle(X), common in code from scratch: the caller's labels no longer fit."""
    right = training.batches

    def batches(X, *args, **kwargs):
        np.random.default_rng(0).shuffle(X)
        return right(X, *args, **kwargs)

    patch.setattr(training, "batches", batches)


@breaks("same loss compared", early_stopping_waits_for_beta)
def early_stopping_across_a_warm_up(patch):
    """The loss rises because β does: the best epoch is the first, and training stops there."""
    right = VAE._warm_up

    def warm_up(model, epoch):
        right(model, epoch)
        return True

    patch.setattr(VAE, "_warm_up", warm_up)


# --- optimizers ---


def adam_becomes(patch, correct=True, denominator=None, swap=False):
    """Adam in its shortest form, with its parts open to mistakes."""
    denominator = denominator or (lambda v, epsilon: np.sqrt(v) + epsilon)

    def step(self, values, gradient):
        if self.t == 0:
            self.m, self.v = np.zeros_like(values), np.zeros_like(values)
        self.t += 1
        beta_1, beta_2 = (self.beta_2, self.beta_1) if swap else (self.beta_1, self.beta_2)
        self.m = beta_1 * self.m + (1 - beta_1) * gradient
        self.v = beta_2 * self.v + (1 - beta_2) * gradient**2
        m_hat = self.m / (1 - beta_1**self.t) if correct else self.m
        v_hat = self.v / (1 - beta_2**self.t) if correct else self.v
        values -= self.learning_rate * m_hat / denominator(v_hat, self.epsilon)

    patch.setattr(optimizers.Adam, "step", step)


ADAM = "Kingma & Ba 2015, algorithm 1"


@breaks("1.14", first_step_of_adam_is_its_learning_rate)
def adam_without_bias_correction(patch):
    """Common in code from scratch: the first steps are three times too long."""
    adam_becomes(patch, correct=False)


@breaks("1.14", first_step_of_adam_is_its_learning_rate)
def adam_with_epsilon_inside_the_root(patch):
    """√(v + ε) for √v + ε: gradients below 1e-4 hardly move anything."""
    adam_becomes(patch, denominator=lambda v, epsilon: np.sqrt(v + epsilon))


@breaks(ADAM, adam_follows_its_paper)
def adam_with_its_betas_swapped(patch):
    """Two similar arguments: long memory for the direction, short for the size. The first step
    is right."""
    adam_becomes(patch, swap=True)


@breaks("Polyak 1964", momentum_adds_up_all_gradients)
def momentum_with_a_stale_gradient(patch):
    """The velocity updated after the step: every gradient comes one step late."""

    def step(self, values, gradient):
        velocity = getattr(self, "velocity", np.zeros_like(values))
        values += velocity
        self.velocity = self.momentum * velocity - self.learning_rate * gradient

    patch.setattr(optimizers.SGD, "step", step)


@breaks("Polyak 1964", momentum_adds_up_all_gradients)
def momentum_as_a_moving_average(patch):
    """(1 − μ) g for g: at μ = 0.9, a tenth of the learning rate that was asked for."""
    right = optimizers.SGD.step
    patch.setattr(
        optimizers.SGD, "step",
        lambda self, values, gradient: right(self, values, (1 - self.momentum) * gradient),
    )  # fmt: skip


# --- denoising ---


@breaks("7.8", linear_denoiser_is_wieners)
def loss_against_the_corrupted_samples(patch):
    """fit(noisy, noisy): an autoencoder of noisy data, that shrinks nothing."""
    right = LinearAutoencoder._with_noise

    def with_noise(model, X, corruption, weights):
        x_tilde, _, weights = right(model, X, corruption, weights)
        return x_tilde, x_tilde, weights

    patch.setattr(LinearAutoencoder, "_with_noise", with_noise)


@breaks("7.8", linear_denoiser_is_wieners)
def noise_scale_for_its_variance(patch):
    """σ where σ² belongs: below 1 the filter takes noise to be louder than it is."""
    patch.setattr(
        GaussianNoise, "noise_variance", lambda self, mean, var: np.full_like(var, self.scale)
    )


@breaks("7.1", training_loss_is_at_least_the_least)
def noise_drawn_once(patch):
    """X_noisy made before the training: the network learns this noise by heart, and its loss
    falls below the least that there is."""
    patch.setattr(
        GaussianNoise, "__call__",
        lambda self, X, rng: X + self.scale * np.random.default_rng(X.tobytes()[0]).normal(
            size=X.shape
        ),
    )  # fmt: skip
    patch.setattr(training, "batches", lambda X, rows, *args, **kwargs: iter([X.copy()]))


@breaks("1.1a", gradient_is_right, deep(corruption=GaussianNoise(0.5)))
def clean_samples_in_the_backward_pass(patch):
    """∂L/∂W_e with x for x̃: off by some per cent, and training seems to work."""

    def loss_and_gradient(model, X, rng=None, weights=None):
        h = model.encoder_.forward(model._corrupt(X, rng))
        loss, grad_x_hat = model._loss.value(model.decoder_.forward(h), X, weights)
        grad_h = model.decoder_.backward(grad_x_hat)
        model.encoder_.layers[0].x = X
        model.encoder_.backward(grad_h)
        return loss, model.layout_.gradient

    patch.setattr(Autoencoder, "loss_and_gradient", loss_and_gradient)


def replacing_becomes(patch, draw):
    """Masking and the like, with draws of another kind."""
    right = denoising._Replacing.__call__

    def call(self, X, rng):
        draws = SimpleNamespace(random=lambda shape: draw(self, shape, rng))
        return right(self, X, draws)

    for kind in (MaskingNoise, SaltAndPepper):
        patch.setattr(kind, "__call__", call)


@breaks("7.7a", corruption_has_the_covariance_it_says, MaskingNoise(0.4))
def one_mask_for_a_whole_row(patch):
    """rng.random((n, 1)): samples vanish whole, and there is nothing to tell them from."""
    replacing_becomes(patch, lambda self, shape, rng: np.broadcast_to(
        rng.random((shape[0], 1)), shape
    ))  # fmt: skip


@breaks("7.7a", corruption_has_the_covariance_it_says, MaskingNoise(0.4))
def probability_to_keep_for_that_to_mask(patch):
    """Frameworks disagree on what p is. Masked are those that should stay."""
    patch.setattr(MaskingNoise, "_replace", lambda self, X, draws: X * (draws < self.probability))


@breaks("7.7", corruption_is_right_on_average, MaskingNoise(0.4))
def mask_not_rescaled(patch):
    """Trained on what is smaller by q, then given clean samples: the answer is too large."""
    patch.setattr(denoising._Replacing, "__call__", lambda self, X, rng: self._replace(
        X, rng.random(X.shape)
    ))  # fmt: skip


@breaks("data in their range", salt_and_pepper_refuses_unscaled_pixels)
def salt_and_pepper_on_pixels_up_to_16(patch):
    """Zeros and ones put among the digits' 0 to 16: all of it is pepper."""
    patch.setattr(SaltAndPepper, "check", lambda self, X, name="X": None)


@breaks("clean outside training", nothing_is_corrupted_after_training)
def corrupted_when_it_is_used(patch):
    """A noise layer that is on in prediction, too: each call has another answer."""
    patch.setattr(Autoencoder, "_codes", lambda self, X: self.encoder_(
        self._corrupt(X, np.random.default_rng())
    ))  # fmt: skip


@breaks("7.13", langevin_draws_from_the_noisy_density)
def langevin_without_its_half(patch):
    """A whole step along the score beside noise of the same step: too narrow by half."""
    right = denoising.langevin

    def langevin(denoise, X, scale, n_steps, **options):
        return right(lambda x: x + 2 * (denoise(x) - x), X, scale, n_steps, **options)

    patch.setattr(denoising, "langevin", langevin)


# --- convolution ---

IMAGES = Autoencoder(2, architecture=Convolutional((2, 2), (2,), activation="tanh"))


def taps_backwards(patch, *names):
    """Windows that hand their taps out, or take them back, the last one first."""

    def turned(columns, windows, n_channels):
        return columns.reshape(n_channels, windows.n_taps, -1)[:, ::-1].reshape(columns.shape)

    unfold, fold = Windows.unfold, Windows.fold
    if "unfold" in names:
        patch.setattr(Windows, "unfold", lambda self, x: turned(unfold(self, x), self, len(x)))
    if "fold" in names:
        patch.setattr(Windows, "fold", lambda self, c, x: fold(self, turned(c, self, len(x)), x))


@breaks("10.1", convolution_is_its_matrix)
def kernel_flipped(patch):
    """The convolution of the mathematicians: trains as well, and imported weights are garbage."""
    taps_backwards(patch, "unfold", "fold")


@breaks("10.1", convolution_is_its_matrix)
def patches_in_another_order_than_weights(patch):
    """Columns ordered (c, a, b) against weights ordered (a, b, c): im2col's classic. With one
    channel nobody notices."""
    patch.setattr(
        Convolution, "_matrix",
        property(lambda self: np.moveaxis(self.weight, 1, -1).reshape(len(self.weight), -1)),
    )  # fmt: skip


@breaks("10.1d", transposed_convolution_is_the_transpose)
def transposed_kernel_not_flipped(patch):
    """A transposed convolution made of a padded one with the kernel as it is: right for symmetric
    kernels only."""
    taps_backwards(patch, "fold")


@breaks("10.1d", convolution_and_its_backward_are_adjoint)
def channels_not_swapped_on_the_way_back(patch):
    """w[o, c] where w[c, o] is due: an error of shapes, unless there are as many of both."""
    right = Convolution.backward

    def backward(layer, grad_y, *, input_gradient=True):
        right(layer, grad_y, input_gradient=False)
        flat = layer._grad_a(layer._flat(grad_y, layer.shape_out))
        matrix = layer.weight.swapaxes(0, 1).reshape(len(layer.weight), -1)
        grad_x = np.zeros((*layer.shape_in, len(grad_y)))
        return np.moveaxis(layer.windows.fold(matrix.T @ flat, grad_x), -1, 0)

    patch.setattr(Convolution, "backward", backward)


@breaks("10.1", a_single_pixel_comes_out_as_the_kernel)
def padding_off_by_one(patch):
    """All of the padding on one side, or k/2 rounded the other way: images creep with depth."""
    right = windows_module._fit

    def fit(n, kernel, stride, padding):
        before, count = right(n, kernel, stride, padding)
        return before - 1, count

    patch.setattr(windows_module, "_fit", fit)


@breaks("10.1a", all_windows_are_there_and_no_more)
def size_rounded_up(patch):
    """⌈(N + 2p − k)/s⌉ + 1: a last window that sees what is not there, where s does not divide."""
    patch.setattr(
        windows_module, "_fit",
        lambda n, kernel, stride, padding: (padding, -(-(n + 2 * padding - kernel) // stride) + 1),
    )  # fmt: skip


@breaks("10.1d", convolution_and_its_backward_are_adjoint)
def overlaps_overwritten(patch):
    """= for +=, or indexing with repeated places: where windows overlap, the last one wins."""

    def fold(windows, columns, x):
        columns = columns.reshape(len(x), windows.n_taps, *windows.counts, -1)
        for tap, pairs in enumerate(windows._pairs.values()):
            for places, pixels in pairs:
                x[pixels] = columns[:, tap][places]
        return x

    patch.setattr(Windows, "fold", fold)


@breaks("1.1b", gradient_is_right, IMAGES)
def bias_gradient_of_a_mean_over_places(patch):
    """A bias stands at every place, and its gradient is a sum over them, not a mean."""
    right = Convolution.backward

    def backward(layer, grad_y, **kwargs):
        grad_x = right(layer, grad_y, **kwargs)
        layer.grad_bias /= 4
        return grad_x

    patch.setattr(Convolution, "backward", backward)


@breaks("10.1", convolution_is_its_matrix, True)
def borders_left_over_in_a_work_array(patch):
    """Patches written into an array that was used before: what nobody writes, the zeros beyond
    the borders, is still what another layer saw there."""
    right, work = Windows.unfold, {}

    def unfold(windows, x):
        columns = right(windows, x)
        seen = right(windows, np.ones_like(x)) > 0
        kept = work.setdefault(columns.shape, np.zeros_like(columns))
        kept[seen] = columns[seen]
        return kept

    patch.setattr(Windows, "unfold", unfold)


@breaks("10.8b", gradient_times_input_is_kept)
def gradient_to_all_that_are_largest(patch):
    """x == max: every one of several equal winners gets the whole gradient, which flat images,
    and relu's zeros, have plenty of."""
    forward = MaxPool.forward

    def remembering(layer, x, rng=None):
        layer.seen = layer._columns(x)
        return forward(layer, x)

    def backward(layer, grad_y, *, input_gradient=True):
        is_largest = layer.seen == layer.seen.max(axis=1, keepdims=True)
        return layer._back(is_largest * layer._flat(grad_y), grad_y)

    patch.setattr(MaxPool, "forward", remembering)
    patch.setattr(MaxPool, "backward", backward)


# --- sequences: the checks, and the mistakes ---


STEPS = [
    np.random.default_rng(i).standard_normal((length, 2)) for i, length in enumerate((4, 2, 3))
]


def of_sequences(model, **architecture):
    return model(2, architecture=Recurrent(2, width=3, **architecture), random_state=0)


def drawn_layer(make):
    layer, rng = make(), np.random.default_rng(0)
    layer.parameters = Parameters({"layer": layer})
    layer.parameters.values[...] = rng.standard_normal(layer.parameters.values.shape)
    return layer, rng.standard_normal((2, 5, 4)), np.arange(5) < np.array([[5], [3]])


def two_heads():
    return SelfAttention(5, 4, n_heads=2)


def layer_gradient_is_right(claim, make):
    """By the complex step at every parameter, on two sequences, one of them shorter."""
    layer, x, mask = drawn_layer(make)
    masked = {"mask": mask} if isinstance(layer, SequenceLayer) else {}
    if isinstance(layer, Embedding):
        x = np.array([[[0], [1], [1], [2], [0]]])
    grad_y = np.random.default_rng(1).standard_normal(layer.forward(x, **masked).shape)
    layer.backward(grad_y)
    other = make()
    values = Parameters({"layer": other}, complex).values
    numeric = []
    for i in range(values.size):
        values[...] = layer.parameters.values
        values[i] += 1e-30j
        numeric.append(np.sum(other.forward(x, **masked) * grad_y).imag / 1e-30)
    error = np.abs(layer.parameters.gradient - numeric).max() / np.abs(numeric).max()
    holds(claim, "relative error of a layer's gradient", error, 1e-12)


def attention_is_that_of_its_heads(claim):
    layer, x, mask = drawn_layer(two_heads)
    Q, K, V = np.split(x @ layer.weight, 3, axis=2)
    Q = Q + layer.bias
    merged = np.zeros_like(x)
    for i, length in enumerate(mask.sum(axis=1)):
        for head in (slice(0, 2), slice(2, 4)):
            e = np.exp(Q[i, :, head] @ K[i, :length, head].T / np.sqrt(2))
            merged[i, :, head] = e / e.sum(axis=1, keepdims=True) @ V[i, :length, head]
    error = np.abs(layer(x, mask) - layer.output(merged)).max()
    holds(claim, "error of the attention of two heads", error, 1e-12)


def padding_changes_no_bit(claim, make):
    layer, x, mask = drawn_layer(make)
    found = [layer.forward(np.where(mask[..., None], x, v), mask=mask)[mask] for v in (0, 1e3)]
    holds(claim, "change by what padding holds", np.abs(found[1] - found[0]).max(), 0)


def more_room_changes_nothing(claim, model, **params):
    losses = []
    for n_steps in (4, 8):
        roomy = of_sequences(model, n_steps=n_steps).set_params(**params)
        X = roomy.initialise(STEPS)
        losses.append(roomy.loss_and_gradient(X, np.random.default_rng(0))[0])
    holds(claim, "relative change by more padding", abs(losses[1] / losses[0] - 1), 1e-12)


def normed_has_its_mean_square(claim):
    layer, x, _ = drawn_layer(lambda: LayerNorm(4, epsilon=0.5))
    mean_square = np.mean(((layer(x) - layer.bias) / layer.gain) ** 2, axis=2)
    variance = x.var(axis=2)
    error = np.abs(mean_square - variance / (variance + 0.5)).max()
    holds(claim, "error of the mean square behind a layer norm", error, 1e-12)


def recurrent_construction_is_exact(claim):
    X = np.random.default_rng(0).standard_normal((2, 3, 2))
    holds(claim, "loss at k = rank", theory.linear_recurrent_autoencoder(X, 6).loss(X), 1e-12)


def steps_commute_with_permutations(claim):
    layer, x, _ = drawn_layer(two_heads)
    order = np.array([3, 0, 4, 1, 2])
    error = np.abs(layer(x[:, order]) - layer(x)[:, order]).max()
    holds(claim, "error of permuted steps", error, 1e-12)


def attention_backward_becomes(patch, grad_scores):
    """The way back in open form: ``grad_scores(P, ∂L/∂P)`` for ∂L/∂S."""

    def backward(layer, grad_y, *, input_gradient=True):
        n, n_heads, n_steps, d = layer.heads.shape
        (Q, K, V), P = layer.queries_keys_values, layer.attention
        grad_heads = layer.output.backward(grad_y).reshape(n, n_steps, n_heads, d).swapaxes(1, 2)
        grad_S = grad_scores(P, grad_heads @ V.swapaxes(-1, -2))
        parts = grad_S @ K / d**0.5, grad_S.swapaxes(-1, -2) @ Q, P.swapaxes(-1, -2) @ grad_heads
        rows = np.hstack([part.swapaxes(1, 2).reshape(n * n_steps, -1) for part in parts])
        layer.grad_weight[...] = layer.x.reshape(n * n_steps, -1).T @ rows
        layer.grad_bias[...] = rows[:, : n_heads * d].sum(axis=0)
        return (rows @ layer.weight.T).reshape(layer.x.shape)

    patch.setattr(SelfAttention, "backward", backward)


def softmax_gradient(P, grad_P):
    return P * (grad_P - np.sum(P * grad_P, axis=-1, keepdims=True))


@breaks("11.6", layer_gradient_is_right, two_heads)
def softmax_gradient_as_if_elementwise(patch):
    """p (1 − p), the sigmoid's: as if the other probabilities did not move."""
    attention_backward_becomes(patch, lambda P, grad_P: P * (1 - P) * grad_P)


@breaks("11.6c", attention_is_that_of_its_heads)
def mask_multiplied_after_the_softmax(patch):
    """What may not be seen is taken out of a distribution that counted it: less than 1 is left."""
    right = attention.softmax

    def softmax(scores, mask=None):
        return right(scores) if mask is None else right(scores) * mask

    patch.setattr(attention, "softmax", softmax)


@breaks("11.6", attention_is_that_of_its_heads)
def scores_divided_by_the_width_of_all_heads(patch):
    """√d_model for √d_head: the same with one head, and too soft with several."""
    patch.setattr(attention, "math", SimpleNamespace(sqrt=lambda d: (2 * d) ** 0.5))


@breaks("11.6", attention_is_that_of_its_heads)
def heads_merged_without_a_transposition(patch):
    """reshape of (heads, T, d) to (T, heads · d): no error, and steps and heads mixed up."""
    patch.setattr(
        SelfAttention, "_merged", lambda layer, heads, shape: heads.reshape(shape)
    )  # fmt: skip


@breaks("11.6", attention_is_that_of_its_heads)
def features_dealt_out_to_heads_in_turn(patch):
    """A split into (d, heads) for (heads, d), there and back: a network as good, but not that of
    the weights of others."""

    def mixed(layer, x, mask):
        turn = np.arange(4).reshape(2, 2).T.ravel()
        weight, bias = layer.weight, layer.bias
        layer.weight = weight[:, np.concatenate([turn, turn + 4, turn + 8])]
        layer.bias = bias[turn]
        result = right(layer, x, mask)
        layer.weight, layer.bias = weight, bias
        return result

    def merged(layer, heads, shape):
        return in_turn(layer, heads, shape)[..., [0, 2, 1, 3]]

    right, in_turn = SelfAttention._attend, SelfAttention._merged
    patch.setattr(SelfAttention, "_attend", mixed)
    patch.setattr(SelfAttention, "_merged", merged)


@breaks("11.3a", padding_changes_no_bit, lambda: SelfAttention(5, 4))
def padded_keys_attended_to(patch):
    """A mask that is built and not handed on: short sequences look at what is behind their end."""
    right = SelfAttention.forward
    patch.setattr(
        SelfAttention, "forward", lambda layer, x, rng=None, mask=None: right(layer, x, rng)
    )


@breaks("11.3b", more_room_changes_nothing, Autoencoder)
def padding_counted_in_the_mean(patch):
    """A framework's mean over all places: the longer the longest, the less the others weigh."""
    right = deep_models.skipping_gaps

    def skipping_gaps(loss):
        def value(x_hat, x, weights=None):
            total, grad_x_hat = of_steps.value(x_hat, x, weights)
            return total / x.shape[1], grad_x_hat / x.shape[1]

        of_steps = right(loss)
        return of_steps._replace(value=value)

    patch.setattr(deep_models, "skipping_gaps", skipping_gaps)


@breaks("11.3c", more_room_changes_nothing, VAE)
def noise_of_padding_counted_in_the_likelihood(patch):
    """d log 2πσ² of all columns: with a learned σ² the padding makes it smaller."""
    right = vae.likelihood_skipping_gaps

    def of_columns(name):
        def nll(x_hat, x, log_noise_variance, weights=None):
            error, grad_x_hat = likelihood.distortion.value(x_hat, x, weights)
            loss, grad_error, grad_log = losses.gaussian_nll_of_error(
                error, x.shape[1], log_noise_variance
            )
            return loss, grad_error * grad_x_hat, grad_log

        likelihood = right(name)
        return likelihood._replace(nll=nll)

    patch.setattr(vae, "likelihood_skipping_gaps", of_columns)


def recurrent_backward_becomes(patch, layer_class, before):
    """Change what a layer remembers, or is sent, before it goes back through time."""
    right = layer_class.backward

    def backward(layer, grad_y, **kwargs):
        memory, grad_y = layer.memory, grad_y.copy()
        before(layer, grad_y)
        result = right(layer, grad_y, **kwargs)
        layer.memory = memory
        return result

    patch.setattr(layer_class, "backward", backward)


def forget_the_mask(layer, grad_y):
    layer.mask = [None] * len(layer.mask)


@breaks("11.3", layer_gradient_is_right, lambda: GRU(5, 4, 2))
def gradient_not_handed_past_padding(patch):
    """Masked forwards, and not backwards: a state that was handed on is taken for a new one."""
    recurrent_backward_becomes(patch, GRU, forget_the_mask)


def hear_the_last_state_alone(layer, grad_y):
    grad_y[:, :-1] = 0


@breaks("11.1", layer_gradient_is_right, lambda: RNN(5, 4, 2))
def outer_gradient_of_the_last_state_alone(patch):
    """Backprop through time of an encoder, used for a decoder: all other outputs teach nothing."""
    recurrent_backward_becomes(patch, RNN, hear_the_last_state_alone)


def see_the_last_step_alone(layer, grad_y):
    layer.x = layer.x * (np.arange(len(layer.x)) == len(layer.x) - 1)[:, None, None]


@breaks("11.1a", layer_gradient_is_right, lambda: RNN(5, 4, 2))
def weight_gradient_of_the_last_step(patch):
    """Assigned in the loop where it should be added. With sequences of one step it is right."""
    recurrent_backward_becomes(patch, RNN, see_the_last_step_alone)


@breaks("3.1a", layer_gradient_is_right, lambda: Embedding(3, 2))
def embedding_gradient_of_the_last_place(patch):
    """grad[tokens] = rows, or +=, which is the same with an index array: repeats are lost."""

    def backward(layer, grad_y, *, input_gradient=True):
        layer.grad_vectors.fill(0)
        layer.grad_vectors[layer.tokens.ravel()] = grad_y.reshape(-1, grad_y.shape[-1])

    patch.setattr(Embedding, "backward", backward)


@breaks("v/(v + ε)", normed_has_its_mean_square)
def layer_norm_by_d_minus_1(patch):
    """The variance of statistics for that of a set of numbers: two features, and it is twice."""
    patch.setattr(
        attention, "_mean_product",
        lambda x, y: np.sum(x * y, axis=-1, keepdims=True) / (x.shape[-1] - 1),
    )  # fmt: skip


@breaks("v/(v + ε)", normed_has_its_mean_square)
def epsilon_outside_of_the_root(patch):
    """√v + ε for √(v + ε): another function, and no derivative where v is 0."""

    def normed(layer, x):
        centred = x - x.mean(axis=-1, keepdims=True)
        scale = centred.std(axis=-1, keepdims=True) + layer.epsilon
        return centred / scale, scale

    patch.setattr(LayerNorm, "_normed", normed)


@breaks("11.10a", recurrent_construction_is_exact)
def first_step_written_first(patch):
    """The decoder in the order of reading: its first output would have to be the oldest step."""
    right = theory.LinearRecurrent.decoded
    patch.setattr(
        theory.LinearRecurrent,
        "decoded",
        lambda model, h, n_steps: right(model, h, n_steps)[:, ::-1],
    )


# --- masked autoencoders ---


def loss_becomes(patch, share_of):
    """A masked loss in which each patch counts as ``share_of(missing)`` says."""

    def loss(x_hat, x, missing, weights=None):
        share = share_of(missing)[..., None]
        return np.sum(share * (x_hat - x) ** 2), 2 * share * (x_hat - x)

    patch.setattr(masked_models, "masked_squared_error", loss)


@breaks("12.8", visible_patches_are_no_target)
def visible_patches_in_the_masked_loss(patch):
    """The mean over all patches: most of it is then a copy, which one linear map starves by."""
    loss_becomes(patch, lambda missing: np.full(missing.shape, 1 / missing.size))


@breaks("12.8", samples_count_alike_whatever_they_miss)
def masked_loss_divided_by_all_patches(patch):
    """(loss · mask).mean(): right up to a factor where all miss equally many, and only there."""
    loss_becomes(patch, lambda missing: missing / missing.size)


@breaks("12.8", samples_count_alike_whatever_they_miss)
def one_mean_over_the_missing_patches_of_the_batch(patch):
    """(loss · mask).sum() / mask.sum(), as it is often written: samples weigh by their gaps."""
    loss_becomes(patch, lambda missing: missing / missing.sum())


@breaks("12.7d", order_of_visible_patches_does_not_matter)
def unshuffled_with_the_order_itself(patch):
    """tokens[order] for tokens[argsort(order)]: what stands at a place is of another patch."""

    def filled(decoder, known, places):
        if places is None:
            return known
        n, N = len(known), decoder.shape_in[0]
        visible = places - N * np.arange(n)[:, None]
        missing = [[k for k in range(N) if k not in row] for row in visible]
        order = np.hstack([visible, np.array(missing, int)])
        mask_tokens = np.broadcast_to(decoder.mask_token, (n, N, len(decoder.mask_token)))
        tokens = np.concatenate([known, mask_tokens[:, visible.shape[1] :]], axis=1)
        return np.take_along_axis(tokens, order[..., None], axis=1)

    patch.setattr(FillingDecoder, "_filled", filled)


@breaks("12.7d", order_of_visible_patches_does_not_matter)
def positions_of_the_list_of_visible_patches(patch):
    """Added after the others were dropped, 0 to v − 1: a place in a list is none in a picture."""

    def call(encoder, x, visible=None):
        dense, positions = encoder.embedding.layers
        y = dense(x)
        if visible is not None:
            y = np.take_along_axis(y, visible[..., None], axis=1)
        return encoder.blocks(y + positions.vectors[: y.shape[1]])

    patch.setattr(VisibleEncoder, "__call__", call)


@breaks("12.7c", missing_patches_are_told_apart)
def no_positions_in_the_decoder(patch):
    """Mask tokens that nothing tells apart: one answer for all that is missing of a sample."""
    right = FillingDecoder.__call__

    def call(decoder, h, visible=None):
        decoder.positions.vectors.fill(0)
        return right(decoder, h, visible)

    patch.setattr(FillingDecoder, "__call__", call)


@breaks("12.7a", missing_patches_tell_nothing)
def patches_dropped_after_the_encoder(patch):
    """Attention has been to all of them by then: the answer is in what is kept."""

    def call(encoder, x, visible=None):
        y = encoder.blocks(encoder.embedding(x))
        return y if visible is None else np.take_along_axis(y, visible[..., None], axis=1)

    patch.setattr(VisibleEncoder, "__call__", call)


@breaks("12.7b", filling_gradient_is_right)
def mask_token_gradient_of_the_last_place(patch):
    """Assigned where it should be added: all other places at which it stands teach it nothing."""
    right = FillingDecoder.backward

    def backward(decoder, grad_y, *, input_gradient=True):
        result = right(decoder, grad_y, input_gradient=input_gradient)
        grad = decoder.positions.backward(
            decoder.blocks.backward(decoder.readout.backward(grad_y))
        ).reshape(-1, 4)
        last = max(set(range(len(grad))) - set(decoder.places.ravel()))
        decoder.grad_mask_token[...] = grad[last]
        return result

    patch.setattr(FillingDecoder, "backward", backward)


@breaks("a mask of its own for each", masks_are_drawn_anew)
def one_mask_of_patches_for_the_whole_batch(patch):
    """A single permutation, for all samples of a step."""
    right = MaskedAutoencoder._draw_masks

    def draw(model, n, rng):
        return tuple(np.repeat(part, n, axis=0) for part in right(model, 1, rng))

    patch.setattr(MaskedAutoencoder, "_draw_masks", draw)


@breaks("a mask of its own for each", masks_are_drawn_anew)
def the_same_masks_at_every_step(patch):
    """A generator made anew of the same seed: each row of a batch has its mask for ever."""
    right = MaskedAutoencoder._draw_masks
    patch.setattr(MaskedAutoencoder, "_draw_masks", lambda model, n, rng: right(model, n, None))


@breaks("cut as they lie", patches_are_those_of_the_picture)
def patches_cut_with_axes_exchanged(patch):
    """Height for width: of a square picture the patches of its transpose, and nobody sees it."""
    right = network_masked._cut

    def cut(size, patch_size, n_channels):
        return right(tuple(reversed(size)), patch_size, n_channels)

    patch.setattr(network_masked, "_cut", cut)


@breaks("cut as they lie", patches_are_those_of_the_picture)
def patches_by_a_reshape_alone(patch):
    """(N, p) of the row as it is: strips of lines, not squares; the way back hides it."""
    right = network_masked._cut

    def cut(size, patch_size, n_channels):
        cut_so, _ = right(size, patch_size, n_channels)
        return cut_so, tuple(range(len(cut_so)))

    patch.setattr(network_masked, "_cut", cut)


@breaks("scaled by the training samples", samples_held_out_have_no_say_in_the_scale)
def probe_scaled_with_the_test_samples(patch):
    """One scaler for everything: what is to be unseen has been looked at."""

    def standardised(train, *others):
        both = np.vstack([train, *others])
        return [(part - both.mean(axis=0)) / both.std(axis=0) for part in (train, *others)]

    patch.setattr(_probe, "standardised", standardised)


# --- in use ---


@breaks("14.3b", threshold_keeps_its_promise)
def threshold_at_the_quantile_of_the_scores(patch):
    """np.quantile(scores, 1 − α), the usual line: the new score is one more, and is forgotten."""
    patch.setattr(
        theory, "threshold_of_scores", lambda scores, alpha: np.quantile(scores, 1 - alpha)
    )


@breaks("14.4", likelihood_of_ppca_is_that_of_its_covariance)
def noise_left_out_within_the_subspace(patch):
    """W Wᵀ for W Wᵀ + σ² I: the variance along an axis is λ, not λ − σ²."""
    right = theory.ppca_log_likelihood
    patch.setattr(
        theory, "ppca_log_likelihood",
        lambda X, mean, U, lam, noise: right(X, mean, U, np.subtract(lam, noise), noise),
    )  # fmt: skip


@breaks("14.4", likelihood_of_ppca_is_that_of_its_covariance)
def log_determinant_forgotten(patch):
    """A Mahalanobis distance called a likelihood: no two models can be compared by it."""
    right = theory.ppca_log_likelihood
    patch.setattr(
        theory, "ppca_log_likelihood",
        lambda X, mean, U, lam, noise: right(X, mean, U, lam, noise)
        + (np.log(lam).sum() + (len(U) - len(lam)) * np.log(noise)) / 2,
    )  # fmt: skip


@breaks("14.6b", evidence_finds_two_dimensions)
def width_chosen_by_the_likelihood_of_training(patch):
    """It rises with every component (14.6a), and chooses all of them."""
    patch.setattr(
        theory, "minka_log_evidence",
        lambda lam, n, k: n * theory.probabilistic_pca(lam, k).log_likelihood,
    )  # fmt: skip


# === The tests ===============================================================================

each_mistake = pytest.mark.parametrize("mistake", MISTAKES, ids=[m.name for m in MISTAKES])


each_check = {(m.check, repr(m.arguments)): m for m in reversed(MISTAKES)}.values()  # once


@pytest.mark.parametrize("mistake", each_check, ids=[m.name for m in each_check])
def test_the_check_accepts_the_right_code(mistake):
    mistake.check(mistake.claim, *mistake.arguments)


@each_mistake
def test_the_check_rejects_the_mistake(mistake, monkeypatch):
    mistake.put_in(monkeypatch)
    with pytest.raises(AssertionError, match=re.escape(f"({mistake.claim})")):
        mistake.check(mistake.claim, *mistake.arguments)


def test_claims_that_are_numbers_are_equations_of_the_text():
    numbers = {m.claim for m in MISTAKES if re.fullmatch(NUMBER, m.claim)}
    assert numbers <= set(claims())
    assert len(numbers) > 20


def test_all_that_the_diagnosis_can_name_is_made_and_rejected_here():
    assert set(CATALOGUE) <= {mistake.name for mistake in MISTAKES}
    assert len(MISTAKES) >= 150
    assert len({mistake.name for mistake in MISTAKES}) == len(MISTAKES)
    assert all(mistake.where for mistake in MISTAKES)


BLIND = [
    *(
        (name, "1.7a", gradient_is_right, (IMAGES,))
        for name in (
            "kernel_flipped",
            "patches_in_another_order_than_weights",
            "padding_off_by_one",
        )
    ),
    ("weight_decay_on_biases", "1.9", gradient_is_right, (deep(weight_decay=0.3),)),
    ("tied_gradient_of_the_decoder_alone", "3.2", tied_model_recovers_pca, ()),
    ("same_noise_for_the_whole_batch", "6.7", sampled_loss_is_unbiased, ()),
    ("dropout_not_rescaled", "1.7a", gradient_is_right, (deep(dropout=0.4),)),
    ("one_mask_for_the_whole_batch", "8.1", drawn_dropout_has_the_exact_mean, ()),
    (
        "dropout_penalty_with_p_for_the_odds",
        "1.7a",
        gradient_is_right,
        (LinearAutoencoder(2, dropout=0.4),),
    ),
    ("log_2_pi_left_out_of_the_elbo", "6.4", learned_noise_is_probabilistic_pca, ()),
    *(
        (name, "1.7a", gradient_is_right, (BOTH_PLAYERS,))
        for name in (
            "encoder_climbs_where_it_should_descend",
            "encoder_with_the_labels_of_the_discriminator",
            "saturating_loss_called_non_saturating",
            "sigmoid_before_a_loss_of_logits",
            "labels_swapped_for_the_discriminator_alone",
            "slope_penalised_at_the_codes",
            "half_of_the_loss_of_the_discriminator",
            "log_of_a_sigmoid",
            "slope_penalty_without_its_half",
            "uniform_prior",
            "prior_drawn_once",
        )
    ),
    ("adam_with_its_betas_swapped", ADAM, first_step_of_adam_is_its_learning_rate, ()),
    ("jacobian_of_the_sum_of_the_code", "9.1", penalty_is_the_norm_of_the_jacobian, (1,)),
    ("scores_divided_by_the_width_of_all_heads", "11.6", layer_gradient_is_right, (two_heads,)),
    ("mask_multiplied_after_the_softmax", "11.7", steps_commute_with_permutations, ()),
    ("features_dealt_out_to_heads_in_turn", "11.7", steps_commute_with_permutations, ()),
]


@pytest.mark.many
@pytest.mark.parametrize("name", WRONG_KLS)
def test_a_gradient_check_is_blind_to_a_wrong_kl(name, monkeypatch):
    next(mistake for mistake in MISTAKES if mistake.name == name).put_in(monkeypatch)
    gradient_is_right("1.7a", TANH_VAE)


@pytest.mark.parametrize(("name", "claim", "check", "arguments"), BLIND, ids=[b[0] for b in BLIND])
def test_a_check_that_is_blind_to_the_mistake(name, claim, check, arguments, monkeypatch):
    next(mistake for mistake in MISTAKES if mistake.name == name).put_in(monkeypatch)
    check(claim, *arguments)


def test_relu_may_ask_its_overwritten_input_where_it_was_positive(monkeypatch):
    break_derivative("relu", lambda y: y > 0)(monkeypatch)  # max(a, 0) > 0 is a > 0
    gradient_is_right("1.2c", deep("relu"))


def test_the_open_forms_are_right_until_they_are_broken(monkeypatch):
    with monkeypatch.context() as patch:
        attention_backward_becomes(patch, softmax_gradient)
        layer_gradient_is_right("11.6", two_heads)
    with monkeypatch.context() as patch:
        adam_becomes(patch)
        adam_follows_its_paper(ADAM)
    with monkeypatch.context() as patch:
        penalty_becomes(
            patch, lambda layer: np.sum(one_jacobian_a_sample(layer) ** 2) / len(layer.y)
        )
        penalty_is_the_norm_of_the_jacobian("9.1")
        penalty_is_a_mean_over_samples("mean over samples")
    with monkeypatch.context() as patch:
        for module in (vae, beta):
            patch.setattr(module, "gaussian_kl", kl_of(kl_term))
        kl_matches_monte_carlo("5.2")
    with monkeypatch.context() as patch:
        patch.setattr(proximal, "fista", plain_fista())
        codes_meet_kkt("4.3")
        fista_keeps_its_bound("4.4b")
        fista_keeps_its_bound("4.4b", restart=True)
    with monkeypatch.context() as patch:
        sigma_becomes(patch, lambda log_var: np.exp(log_var / 2))
        sampled_loss_is_unbiased("6.7")
        noise_averages_out_over_a_batch("independent noise")
    with monkeypatch.context() as patch:
        encoder_gradient_becomes(patch, lambda grad, kl_grad: grad)
        gradient_is_right("5.6b", TANH_VAE)
    with monkeypatch.context() as patch:
        play_becomes(patch)
        r1_is_its_closed_form("R1 at the prior")
        dirac_game_turns_as_it_should("13.4")
        gradient_is_right("1.7a", BOTH_PLAYERS)
    with monkeypatch.context() as patch:
        batches_become(patch, lambda rows, rng: rows)
        an_epoch_is_every_row_once("every row once")
        epochs_differ_in_order("a new order each epoch")
    with monkeypatch.context() as patch:
        masks_become(patch, right_mask)
        units_keep_their_mean("8.5")
        drawn_dropout_has_the_exact_mean("8.1")
    with monkeypatch.context() as patch:
        odds_become(patch, lambda p: p / (1 - p))
        linear_dropout_is_at_its_optimum("8.2a")
