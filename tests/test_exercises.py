"""The exercises that grade themselves: what they take for right, and what they say of what is not.

Every right answer is held against the package or a derivative: no exercise is its own judge. Then
the grader: every mistake of the catalogues that an exercise can have must come out named.
"""

from __future__ import annotations

import doctest
import inspect
import re
import unicodedata

import numpy as np
import pytest
from exercise_answers import ANSWERS
from scipy.special import expit, softmax
from test_backprop import started
from test_known_mistakes import MISTAKES
from traceability import claims, order

from derivations.exercises import __main__ as runner
from derivations.exercises import hunt, hunting
from derivations.exercises.broken import BROKEN
from derivations.exercises.grading import EXERCISES, answer, drawn, find, grade
from derivations.exercises.hints import chapter, way
from derivations.exercises.hunting import culprit, suspects
from derivations.exercises.terms.chapter10 import laid_down, windows
from derivations.exercises.terms.chapter11 import through_time
from derivations.exercises.terms.draw import soft
from nanoae.diagnose.mistakes import CATALOGUE, SIGMAS, kl_formula

find("1.1a")  # enters all


# --- what is right ----------------------------------------------------------------------------


def test_every_exercise_has_a_claim_and_an_answer_by_another_road():
    assert set(EXERCISES) == set(ANSWERS) <= set(claims())
    assert len(EXERCISES) >= 60
    assert {order(number)[0] for number in EXERCISES} >= {*range(1, 12), 13, 14}


@pytest.mark.parametrize("number", ANSWERS)
def test_what_is_right_is_right_by_another_road(number):
    assert grade(number, ANSWERS[number]).text == f"({number}) right"


@pytest.mark.parametrize("number", ANSWERS)
def test_no_term_is_a_combination_of_others(number):
    """Else the factors would not say which one is wrong."""
    some = drawn(find(number))
    for i in range(len(some[0].terms)):
        A = np.vstack(
            [np.column_stack([np.ravel(t) for t, _ in p.terms[i].values()]) for p in some]
        ).astype(float)
        singular_values = np.linalg.svd(A / np.linalg.norm(A, axis=0), compute_uv=False)
        # factors are known to rounding over this, and told apart at 1e-7
        assert singular_values[-1] > 1e-6


# --- what is wrong: the mistakes of the catalogues --------------------------------------------


def kl_answer(formula):
    return lambda mu, log_var: formula(mu, log_var).sum() / len(mu)


def kl_each(mu, log_var):
    return (mu**2 + np.exp(log_var) - 1 - log_var) / 2


def right(number):
    return ANSWERS[number]


def times(number, factor):
    """The right answer times a factor of its arguments."""
    return lambda *args: np.asarray(ANSWERS[number](*args)) * factor(*args)


def penalty(change):
    """A contractive penalty of slopes and weights that is not ‖J‖²."""
    return lambda h, W: change(h * (1 - h), W, h)


def ista(threshold, step=1.0):
    def one(x, D, h, sparsity):
        L = 2 * np.linalg.norm(D, 2) ** 2
        v = h + step * 2 * D.T @ (x - D @ h) / L
        return soft(v, threshold(sparsity, L))

    return one


def momentum(sign=1, update=True):
    def step(h, h_old, t):
        t_next = (1 + (1 + 4 * t**2) ** 0.5) / 2 if update else t
        return t_next, h + sign * (t - 1) / t_next * (h - h_old)

    return step


def encoder_heads(by_mu=True, by_log_var=True, through_z=True, half=1 / 2, sigma=True):
    """Both heads' gradients of a β-VAE, with parts left out."""

    def mu_gradient(mu, log_var, eps, G, beta):
        return through_z * G + by_mu * beta * mu / len(mu)

    def log_var_gradient(mu, log_var, eps, G, beta):
        pull = beta / len(mu) * (np.exp(log_var) - 1) / 2
        return through_z * sigma * half * G * np.exp(log_var / 2) * eps + by_log_var * pull

    return mu_gradient, log_var_gradient


def masked_layer(y, grad_h):
    return lambda h, mask, G, p: (y(h, mask, 1 - p), grad_h(G, mask, 1 - p))


def dropped(h, mask, q):
    return h * mask / q


def expected_dropout(odds):
    def loss(X, H, W_d, p):
        price = np.sum(np.sum(W_d**2, axis=0) * np.mean(H**2, axis=0))
        return np.sum((X - H @ W_d.T) ** 2) / len(X) + odds(p) * price

    return loss


def nll(constant=lambda s: np.log(2 * np.pi * s), scale=lambda s: 1 / s, half=1 / 2):
    def loss(x_hat, x, s):
        error = np.sum((x - x_hat) ** 2) / len(x)
        return x.shape[1] * constant(s) / 2 + half * scale(s) * error

    return loss


def attention(change):
    return lambda P, P_bar: change(P, P_bar)


def deltas_of_last(delta, x, h):
    before = np.vstack([0 * h[:1], h[:-1]])
    return np.outer(delta[-1], x[-1]), np.outer(delta[-1], before[-1]), delta[-1]


def layer_norm_by(x, q, s):
    x_hat = (x - x.mean(axis=1, keepdims=True)) / s
    along = np.mean(q * x_hat, axis=1, keepdims=True)
    return (q - q.mean(axis=1, keepdims=True) - x_hat * along) / s


def adam(correct=True, inside=False, swap=False):
    def step(m, v, g, t, eta, b1, b2, epsilon):
        b1, b2 = (b2, b1) if swap else (b1, b2)
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        m_hat, v_hat = (m / (1 - b1**t), v / (1 - b2**t)) if correct else (m, v)
        below = np.sqrt(v_hat + epsilon) if inside else np.sqrt(v_hat) + epsilon
        return m, v, -eta * m_hat / below

    return step


def eigen(X):
    return np.linalg.svd(X, compute_uv=False) ** 2 / len(X)


def overlapping(x, w, g, stride):
    return laid_down(w, g, stride, len(x), last=True)


MADE = {  # mistake: exercise, answer, what must be said of it
    # what is missing
    "masked_loss_divided_by_all_patches": (
        "12.8",
        lambda x_hat, x, missing: 2 * missing[..., None] * (x_hat - x) / missing.size,
        r"\(n N\) where missing",
    ),
    "one_mean_over_the_missing_patches_of_the_batch": (
        "12.8",
        lambda x_hat, x, missing: 2 * missing[..., None] * (x_hat - x) / missing.sum(),
        r"Σ\|M_i\| where missing",
    ),
    "visible_patches_in_the_masked_loss": (
        "12.8", lambda x_hat, x, missing: 2 * (x_hat - x) / missing.size, "where visible"
    ),
    # gradients of layers
    "tanh_derivative_without_its_square": ("1.2a", lambda y: 1 - y, "y is there -1 times"),
    "sigmoid_derivative_of_its_own_output": (
        "1.2b", lambda y: expit(y) * (1 - expit(y)), "σ taken of its own output"
    ),
    "relu_derivative_of_an_overwritten_input": ("1.2c", np.ones_like, "1 everywhere"),
    "softplus_derivative_of_an_overwritten_input": ("1.2d", expit, "the slope at y, not at a"),
    "bias_gradient_averaged": ("1.1b", lambda G: G.mean(axis=0), "divided by n"),
    "bias_gradient_missing": ("1.1b", lambda G: 0 * G[0], "Σ_r G_r is missing"),
    "weight_gradient_of_the_last_sample": (
        "1.1a", lambda x, G: np.outer(x[-1], G[-1]), "last sample's part alone is there"
    ),
    "loss_divided_by_n_but_gradient_not": (
        "1.3", lambda x_hat, x: 2 * (x_hat - x), "all of it is multiplied by n"
    ),
    "gradient_of_half_the_squared_error": (
        "1.3", lambda x_hat, x: (x_hat - x) / len(x), "all of it is there 0.5 times"
    ),
    "squared_error_averaged_over_features": (
        "1.3", lambda x_hat, x: 2 * (x_hat - x) / x.size, "all of it is divided by d"
    ),
    "weight_decay_on_biases": ("1.9", lambda W, b, d: (2 * d * W, 2 * d * b), "λ b is there 2"),
    "weight_decay_gradient_without_its_two": (
        "1.9", lambda W, b, d: (d * W, 0 * b), "λ W is there 1 times, should be 2"
    ),
    "standard_deviation_as_the_limit_of_a_uniform": (
        "1.10c", lambda n_in, n_out, gain: gain * (2 / (n_in + n_out)) ** 0.5, "there 0.577 times"
    ),
    "cross_entropy_of_saturated_probabilities": (
        "1.4a", lambda a, x: -x * np.log(p := expit(a)) - (1 - x) * np.log(1 - p), "at a = 1e.03"
    ),
    "cross_entropy_of_clipped_probabilities": (
        "1.4a", lambda a, x: -x * np.log(p := np.clip(expit(a), 1e-7, 1 - 1e-7))
        - (1 - x) * np.log1p(-p), "clipped at 1e-7 is there 1 times",
    ),
    "cross_entropy_of_swapped_arguments": (
        "1.4a", lambda a, x: np.logaddexp(0, x) - x * a, "have changed places. is there 1"
    ),
    "sigmoid_applied_twice": (
        "1.4b", lambda a, x: (expit(a) - x) * expit(a) * expit(-a) / len(x), "one σ' too many"
    ),
    # linear
    "tied_gradient_of_the_encoder_alone": (
        "3.1", right("3.1b"), "the decoder's use, is missing, should be 2"
    ),
    "tied_gradient_of_the_decoder_alone": (
        "3.1", right("3.1c"), "the encoder's use, is missing, should be 2"
    ),
    "tied_gradient_of_one_use_twice": (
        "3.1", lambda W, S: 2 * right("3.1b")(W, S), "encoder's use, is doubled: there 4 times"
    ),
    "pca_without_centring": ("2.3", lambda X, k: eigen(X)[k:].sum(), "not centred"),
    "covariance_by_n_minus_1": (
        "2.3", lambda X, k: np.linalg.eigvalsh(np.cov(X.T))[::-1][k:].sum(), "n − 1 for n"
    ),
    "transpose_for_the_pseudo_inverse": (
        "2.2", lambda W_d: W_d.T, "W_dᵀ is there 1 times; it has no place"
    ),
    # sparse
    "hard_threshold_for_soft": (
        "4.1", lambda v, t: v * (np.abs(v) > t), r"t sign v where \|v\| > t is missing"
    ),
    "clipping_for_the_soft_threshold": (
        "4.1", lambda v, t: np.clip(v, -t, t), r"v where \|v\| ≤ t is there 1"
    ),
    "one_sided_soft_threshold": (
        "4.1", lambda v, t: np.maximum(v - t, 0), "v where v > t is there 1"
    ),
    "threshold_lambda_for_half_lambda": (
        "4.6a", ista(lambda lam, L: 2 * lam / L), "threshold 2 λ/L is there"
    ),
    "step_size_left_out_of_the_threshold": (
        "4.6a", ista(lambda lam, L: lam), "the step left out"
    ),
    "step_twice_too_long": (
        "4.6a", ista(lambda lam, L: 2 * lam / L, step=2), "a step and a threshold twice as large"
    ),
    "fista_with_t_never_updated": ("4.4b", momentum(update=False), "t is there 1 times"),
    "fista_extrapolating_backwards": ("4.4b", momentum(-1), "has the wrong sign"),
    "kl_sparsity_the_other_way_round": (
        "4.8", lambda h, r: right("4.8")(np.full((1, h.shape[1]), r), h.mean(axis=0)),
        "the other way round",
    ),
    "kl_sparsity_of_the_mean_over_all_units": (
        "4.8", lambda h, r: right("4.8")(np.full((1, 1), h.mean()), r), "one mean over all units"
    ),
    # the VAE: what is not a formula for the KL or for σ
    "kl_left_out_of_the_loss": ("6.8", lambda D, R, d, s, beta: right("6.8")(D, 0, d, s, beta),
                                "β R is missing"),
    "kl_of_some_dimensions_only": (
        "5.2", kl_answer(lambda mu, v: kl_each(mu, v)[:, :1]), "first dimension alone"
    ),
    "kl_of_one_sample_only": (
        "5.2", lambda mu, v: kl_each(mu, v)[0].sum(), "first sample alone"
    ),
    "noise_left_out": ("5.3", lambda mu, v, eps: mu, "σ ε is missing"),
    "noise_without_a_draw": ("5.3", lambda mu, v, eps: mu + np.exp(v / 2), "no draw"),
    "noise_of_another_scale": (
        "5.3", lambda mu, v, eps: mu + 0.01 * np.exp(v / 2) * eps, "σ ε is there 0.01 times"
    ),
    "same_noise_for_the_whole_batch": (
        "5.3", lambda mu, v, eps: mu + np.exp(v / 2) * eps[0], "of the first sample .the same"
    ),
    "same_noise_for_all_dimensions": (
        "5.3", lambda mu, v, eps: mu + np.exp(v / 2) * eps[:, :1], "of the first dimension .the"
    ),
    "log_var_gradient_without_its_half": (
        "5.6b", encoder_heads(half=1)[1], "σ ⊙ ε is doubled: there 1 times"
    ),
    "gradient_cut_at_the_sample": ("5.6a", encoder_heads(through_z=False)[0], r"G\^z is missing"),
    "kl_left_out_of_the_gradient": ("5.6a", encoder_heads(by_mu=False)[0], "β μ/n is missing"),
    "sigma_detached_in_the_sample": (
        "5.6b", encoder_heads(sigma=False)[1], "σ ⊙ ε is missing"
    ),
    "kl_gradient_of_one_head_only": (
        "5.6b", encoder_heads(by_log_var=False)[1], "β σ²/n is missing"
    ),
    "score_function_without_its_sigma": (
        "5.3a", lambda f, v, eps: (f[:, None] * eps, right("5.3a")(f, v, eps)[1]), "no 1/σ"
    ),
    "reconstruction_averaged_over_features": (
        "5.4", lambda x_hat, x, s: nll(half=1 / (2 * x.shape[1]))(x_hat, x, s),
        "E/σ² is divided by d",
    ),
    "squared_error_without_the_half_of_the_likelihood": ("5.4", nll(half=1), "E/σ² is doubled"),
    "log_2_pi_left_out_of_the_elbo": ("5.4", nll(np.log), "d log 2π is missing"),
    "log_noise_variance_counted_once": (
        "5.4a", lambda x_hat, x, s: (
            right("5.4a")(x_hat, x, s)[0], (1 - np.sum((x - x_hat) ** 2) / len(x) / s) / 2
        ), "d is divided by d",
    ),
    "log_variance_taken_for_log_sigma": (
        "5.4", nll(lambda s: np.log(2 * np.pi) + 2 * np.log(s)), "d log σ² is doubled"
    ),
    "noise_variance_left_out": ("5.4", nll(scale=lambda s: 1), "E \\(no σ²\\) is there"),
    "squared_error_divided_by_sigma": ("5.4", nll(scale=lambda s: s**-0.5), "E/σ is there"),
    "reconstruction_with_its_sign_flipped": ("5.4", nll(scale=lambda s: -1 / s), "wrong sign"),
    "reconstruction_summed_over_the_batch": (
        "5.4", times("5.4", lambda x_hat, x, s: len(x)), "all of it is multiplied by n"
    ),
    "reconstruction_divided_by_the_batch_size_twice": (
        "5.4", times("5.4", lambda x_hat, x, s: 1 / len(x)), "all of it is divided by n"
    ),
    "reconstruction_weighted_by_beta": (
        "6.8", lambda D, R, d, s, beta: right("6.8")(D, R, d, s, 1) + (beta - 1) * D / (2 * s),
        "β before the wrong term",
    ),
    "loss_of_a_beta_vae_reported_as_its_elbo": (
        "6.8", lambda D, R, d, s, beta: right("6.8")(D, R, d, s, 1.0), "no β"
    ),
    "mean_of_logs_for_log_of_mean": ("5.5", lambda log_w: log_w.mean(axis=1), "the plain ELBO"),
    "log_of_sum_for_log_of_mean": (
        "5.5", lambda log_w: right("5.5")(log_w) + np.log(log_w.shape[1]), "log K is missing"
    ),
    # noise, dropout, contraction
    "loss_against_the_corrupted_samples": ("7.8a", lambda lam, k, s: np.ones(k), "PCA, or"),
    "noise_scale_for_its_variance": (
        "7.8a", lambda lam, k, s: lam[:k] / (lam[:k] + s), "σ for its square"
    ),
    "probability_to_keep_for_that_to_mask": (
        "7.7a", lambda mean, var, p: (1 - p) / p * (var + mean**2), "the probability to keep"
    ),
    "mask_not_rescaled": (
        "7.7a", lambda mean, var, p: p * (1 - p) * (var + mean**2), "not rescaled"
    ),
    "langevin_without_its_half": (
        "7.13", lambda x, r, scale, step, xi: x + step * (r - x) / scale**2 + step**0.5 * xi,
        "η score is doubled",
    ),
    "dropout_left_on_in_use": ("8.1", expected_dropout(lambda p: 0), "is missing"),
    "dropout_not_rescaled": (
        "8.5", masked_layer(lambda h, d, q: h * d, dropped), r"y: δ ⊙ h \(no 1/q\)"
    ),
    "dropout_rescaled_twice": (
        "8.5", masked_layer(lambda h, d, q: h * d / q**2, dropped), "δ ⊙ h/q² is there"
    ),
    "dropout_without_the_mask_on_the_way_back": (
        "8.5", masked_layer(dropped, lambda G, d, q: G), "no mask on the way back"
    ),
    "dropout_without_its_scale_on_the_way_back": (
        "8.5", masked_layer(dropped, lambda G, d, q: G * d), r"∂L/∂h: δ ⊙ G \(no 1/q\)"
    ),
    "probability_of_keeping_for_that_of_dropping": (
        "8.1", expected_dropout(lambda p: (1 - p) / p), "the probability to keep"
    ),
    "dropout_penalty_with_p_for_the_odds": (
        "8.1", expected_dropout(lambda p: p), "p Σ_j ‖w_dj‖² E h_j² is there 1"
    ),
    "dropout_penalty_with_the_second_moment_of_the_mask": (
        "8.1", expected_dropout(lambda p: 1 / (1 - p)), "the second moment for the variance"
    ),
    "slopes_left_out_of_the_jacobian": (
        "9.1", penalty(lambda g, W, h: np.sum(W**2)), "no slopes"
    ),
    "slopes_not_squared": (
        "9.1", penalty(lambda g, W, h: np.sum(g @ np.sum(W**2, axis=1)) / len(g)), "g not squared"
    ),
    "slope_of_another_activation": (
        "9.1", penalty(lambda g, W, h: np.sum((1 - h**2) ** 2 @ np.sum(W**2, axis=1)) / len(g)),
        "with the slope of tanh",
    ),
    "jacobian_of_the_sum_of_the_code": (
        "9.1", penalty(lambda g, W, h: np.sum((g @ W) ** 2) / len(g)), "rows added before"
    ),
    "norm_of_the_mean_jacobian": (
        "9.1", penalty(lambda g, W, h: np.sum((g[:, :, None] * W).mean(axis=0) ** 2)),
        "samples averaged before",
    ),
    "root_of_the_norm": (
        "9.1", penalty(lambda g, W, h: np.mean(np.sqrt(g**2 @ np.sum(W**2, axis=1)))),
        "not squared",
    ),
    "penalty_summed_over_the_batch": (
        "9.1", times("9.1", lambda h, W: len(h)), "multiplied by n"
    ),
    "slopes_held_still_in_the_gradient": (
        "9.1a", lambda x, W, g, f2: (0 * g, 2 * g[:, None] ** 2 * W), "g f'' ‖w_j‖² is missing"
    ),
    # convolution and sequences
    "kernel_flipped": (
        "10.1", lambda x, w, s: windows(x, len(w), s) @ w[::-1], "the kernel flipped"
    ),
    "transposed_kernel_not_flipped": (
        "10.1c", lambda x, w, g, s: laid_down(w[::-1], g, s, len(x)), "the kernel flipped"
    ),
    "padding_off_by_one": (
        "10.1a", lambda N, k, s, p: (N + p - k) // s + 1, "padding on one side"
    ),
    "size_rounded_up": (
        "10.1a", lambda N, k, s, p: -((k - N - 2 * p) // s) + 1, "rounded up"
    ),
    "overlaps_overwritten": ("10.1c", overlapping, "do not add up but overwrite"),
    "softmax_gradient_as_if_elementwise": (
        "11.6", attention(lambda P, B: P * (1 - P) * B), "as if elementwise"
    ),
    "mask_multiplied_after_the_softmax": (
        "11.6c", lambda S, mask: softmax(S, axis=1) * mask, "masked after it"
    ),
    "padding_counted_in_the_mean": (
        "11.3b", lambda step_losses, lengths: step_losses.sum() / len(lengths), "padding counted"
    ),
    "outer_gradient_of_the_last_state_alone": (
        "11.1", lambda h, U, G: through_time(h, U, G, last_outer=True), "of the last step alone"
    ),
    "gradient_to_all_that_are_largest": (
        "10.8", lambda x, g, k: (
            g[:, None] * (x.reshape(-1, k) == x.reshape(-1, k).max(axis=1)[:, None])
        ).ravel(), "all that are largest is there",
    ),
    "layer_norm_by_d_minus_1": (
        "11.8", lambda x, q: layer_norm_by(x, q, x.std(axis=1, ddof=1, keepdims=True)),
        "with d − 1 for d",
    ),
    "noise_of_padding_counted_in_the_likelihood": (
        "11.3c", lambda errors, lengths, p: (
            np.sum(errors * (np.arange(errors.shape[1]) < lengths[:, None])) / errors.size / p
        ), "padding counted",
    ),
    "probes_of_length_one": (
        "9.4", times("9.4", lambda probes, J: 1 / probes.shape[1]), "divided by k"
    ),
    # optimisers, adversarial, in use
    "adam_without_bias_correction": ("1.14", adam(correct=False), "no bias correction"),
    "adam_with_epsilon_inside_the_root": ("1.14", adam(inside=True), "ε inside the root"),
    "adam_with_its_betas_swapped": ("1.14", adam(swap=True), "the betas swapped"),
    "momentum_with_a_stale_gradient": (
        "1.12", lambda w, v, g, eta, mu: (mu * v - eta * g, w + v), "the new θ: v is there 1"
    ),
    "momentum_as_a_moving_average": (
        "1.12", lambda w, v, g, eta, mu: (
            mu * v - (1 - mu) * eta * g, w + mu * v - (1 - mu) * eta * g
        ), "a moving average",
    ),
    "encoder_climbs_where_it_should_descend": (
        "13.1b", lambda a: (1 - expit(a)) / len(a), "all of it has the wrong sign"
    ),
    "encoder_with_the_labels_of_the_discriminator": (
        "13.1b", lambda a: expit(a) / len(a), "1/n is missing"
    ),
    "saturating_loss_called_non_saturating": (
        "13.1b", lambda a: -expit(a) / len(a), r"σ\(a\)/n has the wrong sign(.|\n)*1/n is missing"
    ),
    "sigmoid_before_a_loss_of_logits": (
        "13.2a", lambda p, q: right("13.2a")(expit(p), expit(q)), "σ twice"
    ),
    "labels_swapped_for_the_discriminator_alone": (
        "13.2a", lambda p, q: right("13.2a")(-p, -q), "labels swapped"
    ),
    "half_of_the_loss_of_the_discriminator": (
        "13.2a", lambda p, q: right("13.2a")(p, q) / 2, "all of it is there 0.5 times"
    ),
    "log_of_a_sigmoid": (
        "13.2a", lambda p, q: -np.log(expit(p)).mean() - np.log(expit(q)).mean(), "infinite"
    ),
    "threshold_at_the_quantile_of_the_scores": (
        "14.3b", lambda scores, alpha: np.quantile(scores, 1 - alpha), "the quantile of the scores"
    ),
    "noise_left_out_within_the_subspace": (
        "14.4", lambda h, e, lam, s, d: right("14.4")(h, e, lam - s, s, d), "no noise within"
    ),
    "log_determinant_forgotten": (
        "14.4", lambda h, e, lam, s, d: e / s + np.sum(h**2 / lam), "Σ log λᵢ is missing"
    ),
    "weight_gradient_of_the_last_step": ("11.1a", deltas_of_last, "last step's part alone"),
}  # fmt: skip

KL_SAYS = {
    "kl_with_its_half_twice": "all of it is there 0.5 times",
    "kl_without_the_half": "all of it is doubled",
    "kl_with_its_sign_flipped": "all of it has the wrong sign",
    "kl_divided_by_the_batch_size_twice": "all of it is divided by n",
    "kl_averaged_over_latent_dimensions": "all of it is divided by k",
    "kl_summed_over_the_batch": "all of it is multiplied by n",
    "kl_of_a_rectified_log_variance": "a relu on log_var",
    "kl_with_log_sigma_for_its_double": "Σ log σ² is there -0.25 times",
    "kl_of_a_variance_of_one": "Σ σ² is missing(.|\n)*Σ 1 is missing(.|\n)*Σ log σ² is missing",
    "kl_of_mean_and_log_variance_swapped": "μ and log_var swapped",
    "kl_with_its_log_squared": "Σ log_var² .* is there 0.125 times",
    "kl_with_the_sign_of_its_one_flipped": "Σ 1 has the wrong sign",
    "kl_with_the_sign_of_its_mean_flipped": "Σ μ² has the wrong sign",
    "kl_with_the_sign_of_its_log_flipped": "Σ log σ² has the wrong sign",
    "kl_with_its_half_on_the_log_alone": "Σ μ² is doubled(.|\n)*Σ σ² is doubled",
    "kl_the_other_way_round": "of the reverse KL",
    "kl_without_the_variance": "Σ σ² is missing, should be 0.5$",
    "kl_without_the_log_variance": "Σ log σ² is missing, should be -0.5$",
    "kl_with_the_mean_unsquared": "Σ μ is there 0.5 times",
    "kl_without_the_mean": "Σ μ² is missing, should be 0.5$",
    "kl_without_the_minus_one": "Σ 1 is missing, should be -0.5$",
    "kl_with_the_variance_squared": "Σ σ⁴ .* is there 0.5 times",
    "kl_with_sigma_for_its_square": "Σ σ .for its square. is there 0.5 times",
    "kl_of_a_softplus": "softplus",
    "kl_from_log_var_as_variance": "log_var read as σ or σ²",
    "kl_from_log_var_as_sigma": "Σ log_var² .log_var read as σ. is there 0.5 times",
    "kl_from_exp_log_var_as_sigma": "log_var read as log σ",
}
for wrong, said in KL_SAYS.items():
    MADE[wrong] = "5.2", kl_answer(kl_formula(wrong)), said

SIGMA_SAYS = {
    "noise_scaled_by_the_variance": "σ² ε is there 1 times",
    "log_var_used_as_standard_deviation": "log_var taken for σ\\)",
    "log_var_used_as_variance": "log_var taken for σ²",
    "posterior_sampled_at_the_scale_of_the_prior": "σ left out",
    "noise_scaled_by_softplus": "softplus",
    "noise_scaled_by_the_squared_variance": "σ⁴ ε is there 1 times",
    "noise_scaled_by_a_rectified_log_variance": "a relu on log_var",
}
for sigma in SIGMAS:
    if sigma.name in SIGMA_SAYS:
        MADE[sigma.name] = (
            "5.3", lambda mu, v, eps, f=sigma.value: mu + f(v) * eps, SIGMA_SAYS[sigma.name]
        )  # fmt: skip

NO_EXERCISE = {  # no formula is wrong there, but something that is done around one
    "what loops do": (
        "small_last_batch_counted_in_full rows_drawn_with_replacement last_rows_dropped "
        "shuffle_that_breaks_rows_apart shuffled_once_for_all_epochs data_shuffled_in_place "
        "early_stopping_across_a_warm_up gradients_not_set_to_zero noise_drawn_once "
        "same_noise_at_every_step one_probe_for_all_steps"
    ),
    "which noise or mask is drawn": (
        "uniform_noise one_mask_for_a_whole_row one_mask_for_the_whole_batch"
    ),
    "which data go where": (
        "new_data_centred_by_their_own_mean pixels_up_to_255_as_probabilities "
        "salt_and_pepper_on_pixels_up_to_16 clean_samples_in_the_backward_pass"
    ),
    "what is on or off in use": (
        "sampling_noise_left_on_in_evaluation corrupted_when_it_is_used logits_shown_as_pixels"
    ),
    "how a model is put together": (
        "contraction_with_a_free_decoder dictionary_without_a_norm dropout_behind_the_decoder"
    ),
    "solvers and optimisers": ("fista_restarted_when_it_goes_well "),
    "two players, and slopes through networks": (
        "loss_of_the_discriminator_leaks_into_the_encoder "
        "loss_of_the_encoder_moves_the_discriminator codes_from_before_the_last_step "
        "slope_penalised_at_the_codes slope_penalty_without_its_half "
        "gradient_of_a_square_without_its_two uniform_prior prior_drawn_once"
    ),
    "masked networks: where patches and masks go": (
        "unshuffled_with_the_order_itself positions_of_the_list_of_visible_patches "
        "no_positions_in_the_decoder patches_dropped_after_the_encoder "
        "mask_token_gradient_of_the_last_place one_mask_of_patches_for_the_whole_batch "
        "the_same_masks_at_every_step patches_cut_with_axes_exchanged "
        "patches_by_a_reshape_alone probe_scaled_with_the_test_samples"
    ),
    "what is chosen by what": "width_chosen_by_the_likelihood_of_training",
    "several channels, heads or layers, which no exercise has": (
        "bias_gradient_of_a_mean_over_places borders_left_over_in_a_work_array "
        "channels_not_swapped_on_the_way_back patches_in_another_order_than_weights "
        "features_dealt_out_to_heads_in_turn heads_merged_without_a_transposition "
        "scores_divided_by_the_width_of_all_heads padded_keys_attended_to "
        "gradient_not_handed_past_padding embedding_gradient_of_the_last_place "
        "first_step_written_first epsilon_outside_of_the_root"
    ),
}


def test_every_mistake_of_the_catalogues_is_made_or_fits_no_exercise():
    elsewhere = " ".join(NO_EXERCISE.values()).split()
    assert len(set(elsewhere)) == len(elsewhere)
    assert set(MADE).isdisjoint(elsewhere)
    assert {*MADE, *elsewhere} == {m.name for m in MISTAKES} | set(CATALOGUE)


@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")  # the mistakes' own
@pytest.mark.parametrize("name", MADE)
def test_every_mistake_that_fits_an_exercise_comes_out_named(name):
    number, function, said = MADE[name]
    verdict = grade(number, function)
    assert verdict.state == "wrong"
    assert re.search(said, verdict.text), verdict.text


# --- the grader says what else is wrong --------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "function", "said"),
    [
        ("3.1", lambda W, S: "W", "is no array of real numbers, but str"),
        ("3.1", lambda W, S: (W @ S).T, r"has the shape \(\d, \d\), should have"),
        ("3.1", lambda W, S: right("3.1")(W, S).T, "it is transposed"),
        ("7.8", lambda S, N: right("7.8")(S, N).T, "transpose"),
        ("3.1", lambda W, S: None, "is None: a return is missing"),
        ("3.1", lambda W, S: np.zeros((1, 1)) @ S, "raises ValueError: matmul"),
        ("3.1b", lambda W, S: W @ S + 1, r"% of it is none of the terms W Σ"),
        ("5.2a", lambda mu, v: mu, "returns 1 array, should return 2, as a tuple: "),
        ("3.1", lambda W, S: (W, W), "returns 2 arrays, should return 1: ∂L/∂W"),
        (
            "12.1",
            lambda S, v, m, x: S[np.ix_(m, v)] @ np.linalg.inv(S)[np.ix_(v, v)] @ x,
            "a block of the inverse is there 1",
        ),
        (
            "12.8",  # no mask
            lambda x_hat, x, missing: (
                2 * (x_hat - x) / (len(x) * missing.sum(axis=1)[:, None, None])
            ),
            r"\(n \|M_i\|\) where visible is there 2",
        ),
        ("1.3", lambda x_hat, x: 2 * (x_hat - x) / n, r"n is \d here: take it from"),  # noqa: F821
        ("1.4b", lambda a, x: (a - x) / len(x), "the logit for its σ. is there 1 times"),
        (
            "1.4b",
            lambda a, x: ((1 - x) / expit(-a) - x / expit(a)) / len(x),
            "by the probability, not by the logit. is there 1 times",
        ),
        (
            "5.2a",
            lambda mu, v: (mu, (np.exp(v) - 1) / 2 / len(mu)),
            "∂/∂μ: all .* by n\n.*: right",
        ),
        ("3.1", lambda W, S: 1e-6 + right("3.1")(W, S), "none of the terms"),
    ],
)
def test_what_is_said_of_other_answers(number, function, said):
    verdict = grade(number, function)
    assert verdict.state == "wrong" and re.search(said, verdict.text), verdict.text


def test_a_list_of_arrays_is_as_good_as_a_tuple():
    def both(W, b, decay):
        return [2 * decay * W, np.zeros_like(b)]

    assert grade("1.9", both).state == "right"


def test_an_answer_that_changes_its_arguments_harms_nobody():
    def in_place(W, Sigma):
        W *= 0
        return W

    assert grade("3.1", in_place).state == "wrong"
    assert grade("3.1", ANSWERS["3.1"]).state == "right"


def test_there_is_no_exercise_on_a_number_that_has_none():
    with pytest.raises(
        ValueError, match=r"no exercise on equation '3.9'; in its chapter there are 3"
    ):
        answer("3.9")


# --- in a cell, and through all stubs ----------------------------------------------------------


def test_in_a_notebooks_cell_the_verdict_is_printed_at_once(capsys):
    cell = """
from derivations.exercises import answer

@answer("3.1")
def gradient(W, Sigma):
    return -4 * W @ Sigma + 4 * W @ W.T @ W @ Sigma
"""
    exec(compile(cell, "cell", "exec"), {"__name__": "__main__"})
    assert capsys.readouterr().out == (
        "(3.1) WRONG\n"
        "  ∂L/∂W: W Wᵀ W Σ, the encoder's use, is doubled: there 4 times, should be 2\n"
        "  ∂L/∂W: W Σ Wᵀ W, the decoder's use, is missing, should be 2\n"
    )


def stubs():
    return {number: f for name in runner.CHAPTERS for number, f in runner.answers(name).items()}


def test_there_is_a_stub_for_every_exercise_and_its_arguments_are_the_exercises():
    assert set(stubs()) == set(EXERCISES)
    for number, function in stubs().items():
        names = list(inspect.signature(find(number).terms).parameters)
        assert list(inspect.signature(function).parameters) == names
        assert "→" in function.__doc__


@pytest.fixture
def solved(monkeypatch):
    """A reader who has done all exercises but some."""

    def solve(but=()):
        def answers(name):
            return {n: f if n in but else ANSWERS[n] for n, f in real(name).items()}

        monkeypatch.setattr(runner, "answers", answers)

    real = runner.answers
    return solve


def test_the_first_that_is_not_right_is_where_it_stops(solved, capsys):
    solved(but=["1.2d"])
    assert runner.main([]) == 1
    out = capsys.readouterr().out
    assert "7 right; next is softplus_derivative in derivations/exercises/chapter01.py" in out
    assert "f'(a) of softplus, from the output" in out and "at (1.2d)" in out
    assert runner.main(["2"]) == 0
    assert "8 of 8 right" in capsys.readouterr().out
    assert runner.main(["1.2d"]) == 1
    assert "0 right; next is softplus_derivative" in capsys.readouterr().out
    assert runner.main(["--list"]) == 0
    out = capsys.readouterr().out
    assert out.count(" right ") == len(EXERCISES) - 1 and out.count(" not written ") == 1


def test_a_wrong_answer_is_explained(solved, capsys, monkeypatch):
    solved()
    real = runner.answers
    monkeypatch.setattr(
        runner, "answers", lambda name: {**real(name), "3.1": lambda W, Sigma: -4 * W @ Sigma}
    )
    assert runner.main(["3"]) == 1
    assert "the encoder's use, is missing, should be 2" in capsys.readouterr().out


@pytest.mark.parametrize(
    "wrong", ["99", "15", "3.9", "hunt 99", "hunt x", "x", "3.1 2", "hunt 7 of all"]
)
def test_what_there_is_not_is_one_sentence(wrong, capsys):
    with pytest.raises(SystemExit) as stop:
        runner.main(wrong.split())
    assert stop.value.code == 2 and "error:" in capsys.readouterr().err


# --- hints: where to start, then the chapter's way, and neither tells the answer ----------------


SIGNS = {
    r"\alpha": "α", r"\beta": "β", r"\gamma": "γ", r"\delta": "δ", r"\theta": "θ",
    r"\lambda": "λ", r"\mu": "μ", r"\nu": "ν", r"\xi": "ξ", r"\pi": "π", r"\rho": "ρ",
    r"\sigma": "σ", r"\tau": "τ", r"\eta": "η",
    r"\varepsilon": "ε", r"\epsilon": "ε", r"\Sigma": "Σ", r"\sum": "Σ", r"\prod": "Π",
    r"\partial": "∂", r"\odot": "⊙", r"\top": "ᵀ", r"\le": "≤", r"\gt": ">", r"\lt": "<",
    r"\lVert": "‖", r"\rVert": "‖", r"\infty": "∞", r"\sqrt": "√", r"\mathbb 1": "1",
    r"\lfloor": "⌊", r"\rfloor": "⌋", r"\lceil": "⌈", r"\rceil": "⌉", r"\prime": "'",
}  # fmt: skip


def plain(formula):
    """A formula as bare as can be: the same from TeX and from the words of terms and hints."""
    formula = re.sub(r"\\[td]?frac *(\{[^{}]*\}|\w) *(\{[^{}]*\}|\w)", r"\1/\2", formula)
    for tex, sign in sorted(SIGNS.items(), reverse=True):
        formula = formula.replace(tex, sign)
    formula = re.sub(r"\\hat *(\w)", "\\1\u0302", formula)
    formula = re.sub(r"\\tilde *(\w)", "\\1\u0303", formula)
    formula = re.sub(r"\\(q?quad|[bB]igg?[lr]?|mathrm|mathbb|text|[,; ])", "", formula)
    formula = formula.replace("−", "-").replace("\\", "")
    formula = re.sub("([₀-₉ᵢⱼₐ-ₜ]+)", r"_\1", unicodedata.normalize("NFD", formula))
    return re.sub(r"[\s${}^&·,.:]", "", unicodedata.normalize("NFKD", formula))


def equation(number):
    """What the claim's formula says, in TeX."""
    text = chapter(number).read_text("utf-8")
    return re.search(rf"\$\$((?:(?!\$\$).)*?)\\tag\{{{re.escape(number)}\}}", text, re.DOTALL)[1]


def right_sides(number):
    parts = re.split(r"\\qquad|\\\\|\\implies|\\iff|:", equation(number))
    sides = [plain(side) for part in parts for side in part.split("=")[1:]]
    given = plain(stubs()[number].__doc__)
    return [side for side in sides if len(side) > 3 and side not in given]  # x̂ alone tells nothing


def has_all(text, terms):
    for term in sorted(terms, key=len, reverse=True):
        if len(term) < 2 or term not in text:
            return False
        text = text.replace(term, "|")  # so that it is not the next one's too
    return bool(terms)


def tells(number, text):
    """Whether a text has a right side of the equation, or all terms of an array of the answer."""
    arrays = [
        [
            plain(re.sub(r" \(.*\)$|,.*", "", words))
            for words, (_, factor) in terms.items()
            if factor
        ]
        for terms in drawn(find(number))[0].terms
    ]
    text = plain(text)
    return any(side in text for side in right_sides(number)) or any(
        has_all(text, terms) for terms in arrays
    )


@pytest.mark.parametrize("number", EXERCISES)
def test_every_exercise_says_where_to_start_and_the_second_time_the_way(number, capsys):
    assert runner.main([number, "--hint"]) in (0, 1)
    first = capsys.readouterr().out
    start, more = first.split("\n\n")
    assert " ".join(start.split()) == f"({number}) {find(number).hint}"
    assert 12 <= len(start.split()) <= 75 and start[-1] in ".?"
    name = f"derivations/{chapter(number).name}"
    assert name in more and "--hint --hint" in more
    assert runner.main([number, "--hint", "--hint"]) in (0, 1)
    *paragraphs, last = capsys.readouterr().out.strip().split("\n\n")
    assert last.startswith(f"(From {name}")
    text = chapter(number).read_text("utf-8")
    assert sum(len(paragraph.split()) for paragraph in paragraphs) > 5
    for paragraph in paragraphs:
        assert paragraph.removesuffix(" …") in text


@pytest.mark.parametrize("number", EXERCISES)
def test_no_hint_tells_the_answer(number):
    assert not tells(number, find(number).hint)
    assert not tells(number, way(number))
    assert "</a>**" not in way(number)  # the bold line of a claim: many tell it in words


def test_an_answer_in_a_hint_would_be_seen():
    elsewhere = {  # exercises on what leads to the equation
        "2.2", "4.4b", "5.5", "8.5", "9.4", "10.8"
    }  # fmt: skip
    assert {n for n in EXERCISES if not tells(n, f"It is ${equation(n)}$.")} == elsewhere
    assert tells("2.1a", "Add −2 Σ W_eᵀ and 2 W_d W_e Σ W_eᵀ.")
    assert tells("2.1a", r"$-2 \Sigma W_e^\top$ and $2 W_d W_e \Sigma W_e^\top$")
    assert not tells("2.1a", "Add −2 Σ W_eᵀ and something.")
    assert tells("6.1a", "It is θ/(‖w_j‖² + θ).")
    assert tells("4.6a", "Take S(h + 2 Dᵀ(x − D h)/L, λ/L).")


def test_the_way_begins_and_ends_where_it_is_told():
    assert way("3.1").startswith("The free autoencoder of chapter 2 has the loss")
    assert way("3.1").endswith("Put $W_e = W$, $W_d = W^\\top$. …")
    assert way("3.3a").startswith("Look at the log-odds")  # behind the last heading or equation
    assert way("3.3a").endswith("back from log-odds,")  # up to the claim


def test_hints_send_to_equations_that_are_there():
    named = {n for e in EXERCISES.values() for n in re.findall(r"\((\d+\.\d+[a-z]?)\)", e.hint)}
    assert len(named) > 30 and named <= set(claims())


def test_without_a_number_the_hint_is_on_the_first_that_is_not_right(solved, capsys):
    solved(but=["1.2d"])
    assert runner.main(["--hint"]) == 1
    assert capsys.readouterr().out.startswith("(1.2d) Differentiate log(1 + e^a)")
    assert runner.main(["1", "--hint", "--hint"]) == 1
    assert capsys.readouterr().out.startswith("**softplus.**")
    assert runner.main(["2", "--hint"]) == 0
    assert capsys.readouterr().out == "8 of 8 right\n"


# --- the hunt -----------------------------------------------------------------------------------


NUMBERS = range(1, len(BROKEN) + 1)


def test_every_broken_model_is_handed_out_once_and_in_no_order():
    assert sorted(map(culprit, NUMBERS)) == sorted(BROKEN) == suspects()
    assert [culprit(n) for n in NUMBERS] not in (list(BROKEN), suspects())


@pytest.mark.many
@pytest.mark.parametrize("number", NUMBERS)
def test_what_is_handed_out_is_broken_and_is_mended_again(number):
    """That `gradient_check` finds each is (1.8)."""
    model, X = hunt(number)
    broken = started(model, X)[2]
    hunt(0)
    mended = started(model, X)[2]
    assert np.abs(broken - mended).max() > 0.001 * np.abs(mended).max()
    assert np.array_equal(mended, started(BROKEN[culprit(number)][0], X)[2])


def test_the_example_of_a_hunt_runs():
    assert doctest.testmod(hunting) == (0, 6)


def test_a_hunt_is_handed_out_and_judged(capsys):
    assert runner.main(["hunt", "7"]) == 0
    out = capsys.readouterr().out
    assert "gradient WRONG" in out and all(name in out for name in BROKEN)
    assert runner.main(["hunt", "7", culprit(7)]) == 0
    assert runner.main(["hunt", "7", *culprit(8).split()]) == 1
    assert capsys.readouterr().out.splitlines() == ["Yes, that is it.", "No, something else."]
