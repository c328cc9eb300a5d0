"""Denoising."""

from __future__ import annotations

import numpy as np

from derivations.exercises.grading import exercise
from derivations.exercises.terms.draw import covariance, normal, softmax, spectrum


def _points(rng, n, d, m):
    return normal(rng, m, d), normal(rng, n, d), rng.uniform(0.4, 0.9)


def _denoiser(x_tilde, X, scale):
    squares = np.sum((x_tilde[:, None] - X) ** 2, axis=2)
    return {
        "Σ w x with w = softmax(−‖x̃ − x‖²/2σ²)": (softmax(-squares / (2 * scale**2)) @ X, 1),
        "the same without the 2": (softmax(-squares / scale**2) @ X, 0),
        "the same with σ for σ²": (softmax(-squares / (2 * scale)) @ X, 0),
        "the nearest sample": (X[squares.argmin(axis=1)], 0),
        "the mean of the samples": (X.mean(axis=0) + 0 * x_tilde, 0),
        "Σ w x with w = softmax(x̃·x/σ²) (no bias)": (softmax(x_tilde @ X.T / scale**2) @ X, 0),
        "x̃": (x_tilde, 0),
    }


exercise(
    "7.2",
    "r*(x̃)",
    _points,
    _denoiser,
    hint=(
        "The best answer is a posterior mean, and every sample is as likely before x̃ is "
        "seen: so how does its weight depend on its distance from x̃? Weights add up to 1. "
        "With a tiny σ it must be the nearest sample."
    ),
)
exercise(
    "7.3",
    "r*(x̃)",
    lambda rng, n, d: (normal(rng, n, d), normal(rng, n, d), rng.uniform(0.4, 2)),
    lambda x_tilde, score, scale: {
        "x̃": (x_tilde, 1),
        "σ² ∇log p_σ": (scale**2 * score, 1),
        "σ ∇log p_σ": (scale * score, 0),
        "∇log p_σ": (score, 0),
        "σ⁴ ∇log p_σ": (scale**4 * score, 0),
    },
    hint=(
        "Differentiate log p_σ, where p_σ(x̃) = E N(x̃; x, σ² I): a posterior mean comes out, "
        "and that is the best denoiser. Solve for it."
    ),
    way=("", "; by Bayes' rule"),
)
exercise(
    "7.5b",
    "the loss without clean data",
    lambda rng, d=(2, 30): (*rng.uniform(0.5, 4, 2), d, rng.uniform(0.3, 2)),
    lambda error, divergence, n_features, scale: {
        "E‖r(x̃) − x̃‖²": (error, 1),
        "σ² E div r": (scale**2 * divergence, 2),
        "d σ²": (n_features * scale**2, -1),
        "σ E div r": (scale * divergence, 0),
        "σ²": (scale**2, 0),
        "d σ": (n_features * scale, 0),
    },
    hint=(
        "Expand ‖r(x̃) − x‖² about x̃. The cross term needs E⟨r(x̃) − x̃, x̃ − x⟩: the noise "
        "is Gaussian, so integrate by parts, which leaves σ² times the mean of a divergence. "
        "The identity's own is d."
    ),
    way=("That is Vincent's (2011) theorem", '<a id="7.5a">'),
)
exercise(
    "7.6",
    "r*(x̃)",
    lambda rng, n, d: (normal(rng, n, d), normal(rng, d), rng.uniform(0.5, 2)),
    lambda x_tilde, a, scale: {
        "a tanh(aᵀx̃/σ²)": (np.outer(np.tanh(x_tilde @ a / scale**2), a), 1),
        "a tanh(aᵀx̃/σ)": (np.outer(np.tanh(x_tilde @ a / scale), a), 0),
        "a tanh(2 aᵀx̃/σ²)": (np.outer(np.tanh(2 * x_tilde @ a / scale**2), a), 0),
        "a sign(aᵀx̃)": (np.outer(np.sign(x_tilde @ a), a), 0),
    },
    hint=(
        "The posterior has two weights, w and 1 − w, so the answer is (2w − 1) a. w is a "
        "logistic function of the difference of two log-densities; 2w − 1 has a shorter name."
    ),
    way=("**Two points", ", and $2/(1 + e"),
)


def _masked(rng, d):
    return normal(rng, d), rng.uniform(0.3, 2, d), rng.uniform(0.1, 0.8)


def _masking(mean, variance, probability):
    p, nu = probability, probability / (1 - probability)
    return {
        "p/(1 − p) Σ_jj": (nu * variance, 1),
        "p/(1 − p) μ_j²": (nu * mean**2, 1),
        "p Σ_jj": (p * variance, 0),
        "p μ_j²": (p * mean**2, 0),
        "(1 − p)/p Σ_jj (the probability to keep)": (variance / nu, 0),
        "(1 − p)/p μ_j² (the probability to keep)": (mean**2 / nu, 0),
        "p (1 − p) Σ_jj (not rescaled)": (p * (1 - p) * variance, 0),
        "p (1 − p) μ_j² (not rescaled)": (p * (1 - p) * mean**2, 0),
    }


exercise(
    "7.7a",
    "the diagonal of N",
    _masked,
    _masking,
    hint=(
        "Masked with probability p and rescaled, an entry is 0 or x/(1 − p). What is its "
        "variance, for one x? Then average over the data, which have a mean and a variance."
    ),
    way=("Where an entry is replaced", r" Subtract $p\bar z$"),
)
exercise(
    "7.8",
    "M",
    lambda rng, d: (covariance(rng, d), covariance(rng, d)),
    lambda Sigma, noise: {
        "Σ (Σ + N)⁻¹": (Sigma @ np.linalg.inv(Sigma + noise), 1),
        "(Σ + N)⁻¹ Σ (the transpose)": (np.linalg.inv(Sigma + noise) @ Sigma, 0),
        "N (Σ + N)⁻¹": (noise @ np.linalg.inv(Sigma + noise), 0),
        "Σ N⁻¹": (Sigma @ np.linalg.inv(noise), 0),
    },
    hint=(
        "The loss is quadratic in M: with C = Σ + N it is tr M C Mᵀ − 2 tr M Σ + tr Σ. Set "
        "its derivative to 0. M is not symmetric, so the order of the factors counts."
    ),
    way=("**The optimum.**", " Complete the square"),
)


def _spectrum(rng, d=(5, 8), k=(2, 4)):
    return spectrum(rng, d), k, rng.uniform(0.4, 2)


exercise(
    "7.8a",
    "the gain of each kept axis",
    _spectrum,
    lambda eigenvalues, k, scale: {
        "λᵢ/(λᵢ + σ²)": (eigenvalues[:k] / (eigenvalues[:k] + scale**2), 1),
        "λᵢ/(λᵢ + σ) (σ for its square)": (eigenvalues[:k] / (eigenvalues[:k] + scale), 0),
        "1 (PCA, or trained on the noisy samples)": (np.ones(k), 0),
        "(1 − σ²/λᵢ) (one step of an expansion)": (1 - scale**2 / eigenvalues[:k], 0),
    },
    hint=(
        "In the eigenbasis of Σ each axis is alone: minimise λ (1 − g)² + σ² g² over its gain "
        "g. Without noise it is 1."
    ),
    way=(r"If $N = \sigma^2 I$", ""),
)


def _mismatch(eigenvalues, k, trained, used):
    lam, rest = eigenvalues[:k], eigenvalues[k:].sum()
    return {
        "Σ_{i≤k} a² λᵢ/(λᵢ + a)²": (np.sum(trained**2 * lam / (lam + trained) ** 2), 1),
        "Σ_{i≤k} b λᵢ²/(λᵢ + a)²": (np.sum(used * lam**2 / (lam + trained) ** 2), 1),
        "Σ_{i>k} λᵢ": (rest, 1),
        "Σ_{i≤k} a λᵢ²/(λᵢ + a)² (a for b)": (np.sum(trained * lam**2 / (lam + trained) ** 2), 0),
        "Σ_{i≤k} b² λᵢ/(λᵢ + b)² (b for a)": (np.sum(used**2 * lam / (lam + used) ** 2), 0),
        "Σ_{i≤k} b λᵢ²/(λᵢ + b)² (b for a)": (np.sum(used * lam**2 / (lam + used) ** 2), 0),
    }


exercise(
    "7.10",
    "the loss",
    lambda rng, d=(5, 8), k=(2, 4): (
        spectrum(rng, d),
        k,
        rng.uniform(0.3, 2),
        rng.uniform(0.3, 2),
    ),
    _mismatch,
    hint=(
        "The gains are those that (7.8a) has for the noise a. What does an axis of gain g "
        "lose in use, of its signal and by the noise b that it lets through? Then the axes "
        "beyond k. At a = b it is (7.8a)'s loss."
    ),
    way=("", " and the loss"),
)


def _langevin(x, denoised, scale, step, noise):
    score = (denoised - x) / scale**2
    return {
        "x": (x, 1),
        "η score": (step * score, 1 / 2),
        "√η ξ": (np.sqrt(step) * noise, 1),
        "η ξ (no root)": (step * noise, 0),
        "r(x) − x": (denoised - x, 0),
        "ξ": (noise, 0),
    }


exercise(
    "7.13",
    "the next x",
    lambda rng, n, d: (
        normal(rng, n, d),
        normal(rng, n, d),
        rng.uniform(0.5, 2),
        rng.uniform(0.01, 0.5),
        normal(rng, n, d),
    ),
    _langevin,
    hint=(
        "Get the score at x out of r(x), by (7.3). A step goes η/2 along it, and adds noise "
        "of the *variance* η: what is then the factor of ξ? Where r(x) = x the noise alone "
        "moves it."
    ),
    way=("How exact is that?", ""),
)
