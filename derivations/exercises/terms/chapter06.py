"""β and the rate–distortion curve."""

from __future__ import annotations

import numpy as np

from derivations.exercises.grading import exercise
from derivations.exercises.terms.draw import covariance, normal, spectrum


def _objective(D, R, n_features, noise_variance, beta):
    d = n_features
    return {
        "d log 2πσ²": (d * np.log(2 * np.pi * noise_variance), 1 / 2),
        "D/σ²": (D / noise_variance, 1 / 2),
        "β R": (beta * R, 1),
        "R (no β)": (R, 0),
        "D": (D, 0),
        "β D/σ² (β before the wrong term)": (beta * D / noise_variance, 0),
    }


exercise(
    "6.8",
    "L",
    lambda rng, d=(2, 30): (*rng.uniform(0.5, 3, 2), d, rng.uniform(0.2, 2), rng.uniform(0.3, 5)),
    _objective,
)


def _decoder(rng, d=(5, 8), k=(2, 4)):
    return normal(rng, d, k), rng.uniform(0.3, 2)


exercise(
    "6.1a",
    "s²",
    _decoder,
    lambda W, theta: {
        "θ/(‖w_j‖² + θ)": (theta / (np.sum(W**2, axis=0) + theta), 1),
        "θ/‖w_j‖²": (theta / np.sum(W**2, axis=0), 0),
        "1/(‖w_j‖² + θ)": (1 / (np.sum(W**2, axis=0) + theta), 0),
        "1": (np.ones(W.shape[1]), 0),
    },
)


def _encoder(W, theta):
    k = W.shape[1]
    return {
        "(WᵀW + θI)⁻¹ Wᵀ": (np.linalg.inv(W.T @ W + theta * np.eye(k)) @ W.T, 1),
        "(WᵀW)⁻¹ Wᵀ (no θ)": (np.linalg.pinv(W), 0),
        "Wᵀ": (W.T, 0),
    }


exercise("6.1b", "V", _decoder, _encoder)


def _levels(rng, d=(5, 8), k=(2, 4)):
    lam = spectrum(rng, d)
    return lam, k, rng.uniform(0.9 * lam[-1], 1.1 * lam[0])


def _rate(lam, k, theta):
    nats = np.log(lam / theta)
    return {
        "Σ_{i≤k} log(λᵢ/θ)₊": (np.maximum(nats[:k], 0).sum(), 1 / 2),
        "Σ log(λᵢ/θ)₊ of the axes beyond k": (np.maximum(nats[k:], 0).sum(), 0),
        "Σ_{i≤k} log(λᵢ/θ) where it is below 0": (np.minimum(nats[:k], 0).sum(), 0),
    }


exercise("6.3", "R", _levels, lambda eigenvalues, k, theta: _rate(eigenvalues, k, theta))
exercise(
    "6.3a",
    "D",
    _levels,
    lambda eigenvalues, k, theta: {
        "Σ_{i≤k} min(θ, λᵢ)": (np.minimum(theta, eigenvalues[:k]).sum(), 1),
        "Σ_{i>k} λᵢ": (eigenvalues[k:].sum(), 1),
        "k θ": (k * theta, 0),
        "Σ_{i>k} min(θ, λᵢ)": (np.minimum(theta, eigenvalues[k:]).sum(), 0),
    },
)


def _above(rng, d=(5, 8), k=(2, 4)):
    return spectrum(rng, d), k


exercise(
    "6.4",
    "σ²",
    _above,
    lambda eigenvalues, k: {
        "Σ_{i>k} λᵢ/(d − k)": (eigenvalues[k:].mean(), 1),
        "Σ_{i>k} λᵢ/d": (eigenvalues[k:].sum() / len(eigenvalues), 0),
        "Σ_{i>k} λᵢ": (eigenvalues[k:].sum(), 0),
        "λ_{k+1}": (eigenvalues[k], 0),
    },
)


def _evidence(eigenvalues, k):
    d, s2 = len(eigenvalues), eigenvalues[k:].mean()
    return {
        "d log 2πe": (d * (np.log(2 * np.pi) + 1), -1 / 2),
        "Σ_{i≤k} log λᵢ": (np.log(eigenvalues[:k]).sum(), -1 / 2),
        "(d − k) log σ²": ((d - k) * np.log(s2), -1 / 2),
        "Σ_{i>k} log λᵢ": (np.log(eigenvalues[k:]).sum(), 0),
        "k log σ²": (k * np.log(s2), 0),
    }


exercise("6.4a", "E log p(x)", _above, _evidence)


def _expected(rng, d=(5, 8), k=(2, 4)):
    return (
        normal(rng, d),
        normal(rng, d, k),
        normal(rng, d),
        normal(rng, k),
        rng.uniform(0.1, 2, k),
    )


exercise(
    "6.7",
    "E‖x − W z − b‖²",
    _expected,
    lambda x, W, b, mu, s2: {
        "‖x − W μ − b‖²": (np.sum((x - W @ mu - b) ** 2), 1),
        "tr(W diag(s²) Wᵀ)": (np.sum(W**2 * s2), 1),
        "tr(W diag(s) Wᵀ) (s for s²)": (np.sum(W**2 * np.sqrt(s2)), 0),
        "Σ s²": (s2.sum(), 0),
    },
)


def _profile(W, Sigma, theta):
    columns = np.sum(W**2, axis=0)
    C = W @ W.T + theta * np.eye(len(W))
    return {
        "θ tr[(W Wᵀ + θI)⁻¹ Σ]": (theta * np.trace(np.linalg.solve(C, Sigma)), 1),
        "θ Σ_j log(1 + ‖w_j‖²/θ)": (theta * np.log1p(columns / theta).sum(), 1),
        "θ log det((W Wᵀ + θI)/θ)": (theta * np.linalg.slogdet(C / theta)[1], 0),
        "tr[(W Wᵀ + θI)⁻¹ Σ] (no θ)": (np.trace(np.linalg.solve(C, Sigma)), 0),
        "Σ_j log(1 + ‖w_j‖²/θ) (no θ)": (np.log1p(columns / theta).sum(), 0),
    }


exercise(
    "6.1c",
    "J(W)",
    lambda rng, d=(5, 8), k=(2, 4): (normal(rng, d, k), covariance(rng, d), rng.uniform(0.3, 2)),
    _profile,
)
