"""Autoencoders in use."""

from __future__ import annotations

import numpy as np

from derivations.exercises.grading import exercise
from derivations.exercises.terms.draw import normal, spectrum


def _squares(rng, d):
    return rng.uniform(0.2, 2, d), normal(rng, d)


exercise(
    "14.2",
    "E‖e‖²; Var‖e‖²",
    _squares,
    lambda w, mu: (
        {"Σ w_j": (w.sum(), 1), "Σ μ_j²": (mu @ mu, 1), "Σ w_j²": (w @ w, 0)},
        {
            "Σ w_j²": (w @ w, 2),
            "Σ w_j μ_j²": (w @ mu**2, 4),
            "Σ w_j": (w.sum(), 0),
            "Σ μ_j⁴": (np.sum(mu**4), 0),
        },
    ),
    hint=(
        "Take one term: e = √w ξ + μ with a standard normal ξ. Expand e², and its square, "
        "with E ξ² = 1, E ξ³ = 0, E ξ⁴ = 3. Independent terms add up, in mean and in "
        "variance."
    ),
)


def _point(rng, d=(5, 8), k=(2, 4)):
    return normal(rng, k), rng.uniform(0.5, 3), 1 + spectrum(rng, d)[:k], rng.uniform(0.2, 0.9), d


def _likelihood(h, error, eigenvalues, noise_variance, n_features):
    lam, s, d, k = eigenvalues, noise_variance, n_features, len(h)
    return {
        "‖e‖²/σ²": (error / s, 1),
        "Σ hᵢ²/λᵢ": (np.sum(h**2 / lam), 1),
        "Σ log λᵢ": (np.log(lam).sum(), 1),
        "(d − k) log σ²": ((d - k) * np.log(s), 1),
        "d log 2π": (d * np.log(2 * np.pi), 1),
        "Σ hᵢ²/(λᵢ − σ²) (no noise within the subspace)": (np.sum(h**2 / (lam - s)), 0),
        "Σ log(λᵢ − σ²) (no noise within the subspace)": (np.log(lam - s).sum(), 0),
        "d log σ²": (d * np.log(s), 0),
    }


exercise(
    "14.4",
    "−2 log p(x)",
    _point,
    _likelihood,
    hint=(
        "Along the eigenvectors of C the coordinates are independent normals: k of the "
        "variances λᵢ, and d − k of the variance σ². Add up −2 log of their densities, "
        "constants and all."
    ),
)


def _scores(rng, n=(19, 60)):
    return rng.chisquare(4, n), rng.uniform(0.06, 0.4)


def _threshold(scores, alpha):
    ordered, n = np.sort(scores), len(scores)
    rank = int(np.ceil((n + 1) * (1 - alpha)))
    return {
        "s_(r), r = ⌈(n + 1)(1 − α)⌉": (ordered[rank - 1], 1),
        "s_(r + 1)": (ordered[min(rank, n - 1)], 0),
        "the quantile of the scores themselves": (np.quantile(scores, 1 - alpha), 0),
        "s_(r) with n for n + 1": (ordered[int(np.ceil(n * (1 - alpha))) - 1], 0),
    }


exercise(
    "14.3b",
    "t",
    _scores,
    _threshold,
    hint=(
        "A new score has each rank among n + 1 with the same probability. Above which of the "
        "sorted scores does it lie with probability α at most? Take the least of these; rank "
        "1 is index 0."
    ),
)
