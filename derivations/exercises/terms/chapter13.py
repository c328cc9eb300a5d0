"""Adversarial autoencoders."""

from __future__ import annotations

import numpy as np

from derivations.exercises.grading import exercise
from derivations.exercises.terms.draw import covariance, normal, sigmoid


def _logits(rng, m, n):
    prior, codes = 2 * normal(rng, m), 2 * normal(rng, n)
    prior[0], codes[0] = 900, -900
    return prior, codes


def _softplus(a):
    return np.logaddexp(0, a)


def _discriminator_loss(logits_prior, logits_codes):
    p, q = logits_prior, logits_codes
    return {
        "mean log(1 + e^−a) over the prior": (_softplus(-p).mean(), 1),
        "mean log(1 + e^a) over the codes": (_softplus(q).mean(), 1),
        "mean log(1 + e^a) over the prior (labels swapped)": (_softplus(p).mean(), 0),
        "mean log(1 + e^−a) over the codes (labels swapped)": (_softplus(-q).mean(), 0),
        "mean log(1 + e^−σ(a)) over the prior (σ twice)": (_softplus(-sigmoid(p)).mean(), 0),
        "mean log(1 + e^σ(a)) over the codes (σ twice)": (_softplus(sigmoid(q)).mean(), 0),
    }


exercise("13.2a", "L_D", _logits, _discriminator_loss)
exercise(
    "13.1",
    "by the logits of the prior; by those of the codes",
    lambda rng, m, n: (2 * normal(rng, m), 2 * normal(rng, n)),
    lambda logits_prior, logits_codes: (
        {
            "σ(a)/m": (sigmoid(logits_prior) / len(logits_prior), 1),
            "1/m": (np.ones_like(logits_prior) / len(logits_prior), -1),
        },
        {
            "σ(a)/n": (sigmoid(logits_codes) / len(logits_codes), 1),
            "1/n": (np.ones_like(logits_codes) / len(logits_codes), 0),
        },
    ),
)
exercise(
    "13.1b",
    "∂L_NS/∂a",
    lambda rng, n: (2 * normal(rng, n),),
    lambda logits_codes: {
        "σ(a)/n": (sigmoid(logits_codes) / len(logits_codes), 1),
        "1/n": (np.ones_like(logits_codes) / len(logits_codes), -1),
    },
)


def _wasserstein(mean, S):
    eigenvalues = np.linalg.eigvalsh(S)
    return {
        "‖m‖²": (mean @ mean, 1),
        "tr S": (np.trace(S), 1),
        "tr S^½": (np.sqrt(eigenvalues).sum(), -2),
        "k": (float(len(S)), 1),
        "log |S|": (np.log(eigenvalues).sum(), 0),
    }


exercise("13.7e", "W₂²", lambda rng, k: (normal(rng, k), covariance(rng, k)), _wasserstein)
