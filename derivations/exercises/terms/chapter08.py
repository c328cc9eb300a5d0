"""Dropout."""

from __future__ import annotations

import numpy as np

from derivations.exercises.grading import exercise
from derivations.exercises.terms.draw import normal, spectrum


def _masked(rng, n, k):
    p = rng.uniform(0.2, 0.7)
    return normal(rng, n, k), (rng.random((n, k)) >= p) * 1.0, normal(rng, n, k), p


def _layer(h, mask, G, p):
    q = 1 - p
    return {
        "δ ⊙ h/q": (mask * h / q, 1),
        "δ ⊙ h (no 1/q)": (mask * h, 0),
        "h": (h, 0),
        "δ ⊙ h/q²": (mask * h / q**2, 0),
        "δ ⊙ h/p": (mask * h / p, 0),
        "(1 − δ) ⊙ h/p (the units that were dropped)": ((1 - mask) * h / p, 0),
    }, {
        "δ ⊙ G/q": (mask * G / q, 1),
        "δ ⊙ G (no 1/q)": (mask * G, 0),
        "G (no mask on the way back)": (G, 0),
        "G/q": (G / q, 0),
    }


exercise(
    "8.5",
    "y; ∂L/∂h",
    _masked,
    _layer,
    hint=(
        "A unit is dropped or multiplied by a constant, chosen so that its mean is what it "
        "was: a unit stays with probability 1 − p. Backward it is the same linear map again."
    ),
)


def _linear(rng, n, d=(5, 8), k=(2, 4)):
    return normal(rng, n, d), normal(rng, n, k), normal(rng, d, k), rng.uniform(0.2, 0.7)


def _odds(p):
    return p / (1 - p)


def _expected(X, H, W_d, p):
    n = len(X)
    price = np.sum(np.sum(W_d**2, axis=0) * np.mean(H**2, axis=0))
    return {
        "E‖x − W_d h‖²": (np.sum((X - H @ W_d.T) ** 2) / n, 1),
        "p/(1 − p) Σ_j ‖w_dj‖² E h_j²": (_odds(p) * price, 1),
        "p Σ_j ‖w_dj‖² E h_j²": (p * price, 0),
        "1/(1 − p) Σ_j ‖w_dj‖² E h_j² (the second moment for the variance)": (price / (1 - p), 0),
        "(1 − p)/p Σ_j ‖w_dj‖² E h_j² (the probability to keep)": (price / _odds(p), 0),
        "p (1 − p) Σ_j ‖w_dj‖² E h_j²": (p * (1 - p) * price, 0),
    }


exercise(
    "8.1",
    "the mean loss",
    _linear,
    _expected,
    hint=(
        "Write δ_j/q = 1 + ε_j: of mean 0, and of which variance? The reconstruction is x̂ + "
        "Σ_j ε_j h_j w_j; expand the square and take the mean, with independent ε. At p = 0 "
        "nothing comes on top."
    ),
)


def _decays(H, W_d, p):
    squares, columns = np.mean(H**2, axis=0), np.sum(W_d**2, axis=0)
    return {
        "ν W_d diag(E h_j²)": (_odds(p) * W_d * squares, 2),
        "p W_d diag(E h_j²)": (p * W_d * squares, 0),
        "ν W_d": (_odds(p) * W_d, 0),
        "ν W_d diag((E h_j)²) (the square of the mean)": (_odds(p) * W_d * H.mean(axis=0) ** 2, 0),
    }, {
        "ν ‖w_dj‖² h_j": (_odds(p) * columns * H, 2),
        "p ‖w_dj‖² h_j": (p * columns * H, 0),
        "ν ‖w_dj‖ h_j": (_odds(p) * np.sqrt(columns) * H, 0),
        "ν h_j": (_odds(p) * H, 0),
    }


exercise(
    "8.1a",
    "the penalty's ∂/∂W_d; the penalty's ∂/∂h of each sample",
    lambda rng, n, d=(5, 8), k=(2, 4): _linear(rng, n, d, k)[1:],
    _decays,
    hint=(
        "Differentiate the penalty of (8.1). By W_d the mean square of the unit is a constant "
        "for each column; by h it is the squared length of the column. Only one of the two is "
        "a mean over samples."
    ),
    way=(r"The reconstruction is $\hat x + \sum_j", '<a id="8.1">'),
)


def _used(rng, d=(5, 8), m=(2, 4), k=(5, 9)):
    return spectrum(rng, d), m, k, rng.uniform(0.2, 2)


def _least_loss(eigenvalues, m, k, nu):
    S = np.sqrt(eigenvalues[:m]).sum()
    return {
        "Σ_{i>m} λᵢ": (eigenvalues[m:].sum(), 1),
        "ν S²/(k + ν m)": (nu * S**2 / (k + nu * m), 1),
        "ν S²/k (the price alone, no shrinking)": (nu * S**2 / k, 0),
        "ν Σ_{i≤m} λᵢ/(k + ν m) (squares before the sum)": (
            nu * eigenvalues[:m].sum() / (k + nu * m),
            0,
        ),
        "S²/(k + ν m) (no ν)": (S**2 / (k + nu * m), 0),
    }


exercise(
    "8.2a",
    "the least loss",
    _used,
    _least_loss,
    hint=(
        "Put the zᵢ of (8.2b) into Σ (sᵢ − zᵢ)² + (ν/k) (Σ zᵢ)², with sᵢ = √λᵢ. The axes not "
        "in use cost all that they have. As ν → 0 the others cost nothing."
    ),
    way=("It is strictly convex", ", and with"),
)


def _gains(eigenvalues, m, k, nu):
    s = np.sqrt(eigenvalues[:m])
    tau = nu * s.sum() / (k + nu * m)
    return {
        "1": (np.ones(m), 1),
        "τ/sᵢ": (tau / s, -1),
        "τ/λᵢ": (tau / s**2, 0),
        "ν S/k/sᵢ (τ without ν m)": (nu * s.sum() / k / s, 0),
    }


exercise(
    "8.2b",
    "gᵢ of the axes in use",
    _used,
    _gains,
    hint=(
        "Minimise Σ (sᵢ − zᵢ)² + (ν/k) (Σ zᵢ)² with sᵢ = √λᵢ: set the derivative by zᵢ to 0, "
        "and call what is the same for all axes τ. The sum over the m axes tells τ; the gain "
        "is zᵢ/sᵢ."
    ),
    way=("It is strictly convex", "It must be 0 where"),
)


def _removal(H, W_d, p):
    each = np.sum(W_d**2, axis=0) * np.mean(H**2, axis=0)
    return {
        "‖w_dj‖² E h_j²": (each, 1),
        "ν ‖w_dj‖² E h_j²": (_odds(p) * each, 2),
        "p ‖w_dj‖² E h_j²": (p * each, 0),
    }


exercise(
    "8.3",
    "the cost of removing each unit",
    lambda rng, n=(5, 9), d=(5, 8), k=(2, 4): _linear(rng, n, d, k)[1:],
    _removal,
    hint=(
        "Without unit j the error is x − x̂ + h_j w_j: expand its square. The cross term is "
        "known, since the derivative of (8.1) along column j is 0."
    ),
    way=("", " Without the unit the"),
)


def _noise_level(eigenvalues, gains):
    lam = eigenvalues[: len(gains)]
    return {
        "Σ λᵢ (1 − gᵢ)²/Σ (1 − gᵢ²)": (np.sum(lam * (1 - gains) ** 2) / np.sum(1 - gains**2), 1),
        "Σ λᵢ (1 − gᵢ)²/Σ (1 − gᵢ)²": (
            np.sum(lam * (1 - gains) ** 2) / np.sum((1 - gains) ** 2),
            0,
        ),
        "Σ λᵢ (1 − gᵢ²)/Σ (1 − gᵢ²)": (np.sum(lam * (1 - gains**2)) / np.sum(1 - gains**2), 0),
        "Σ λᵢ (1 − gᵢ)²": (np.sum(lam * (1 - gains) ** 2), 0),
    }


exercise(
    "8.6a",
    "b*",
    lambda rng, d=(5, 8), k=(2, 4): (spectrum(rng, d), np.sort(rng.uniform(0, 1, k))[::-1].copy()),
    _noise_level,
    hint=(
        "What does a map of gains gᵢ lose, of the signal and by the noise of variance b that "
        "it lets through? PCA's gains are 1. Both losses are straight lines in b: where do "
        "they cross?"
    ),
    way=("What it does help against", "Compare the two"),
)
