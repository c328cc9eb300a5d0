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


exercise(
    "13.2a",
    "L_D",
    _logits,
    _discriminator_loss,
    hint=(
        "What is minus the logarithm of the probability that the discriminator gives to the "
        "truth, on the prior's draws and on codes? Write both as a softplus, not as the log "
        "of a σ (np.logaddexp). A mean over each."
    ),
    way=("The discriminator is a function", r"With $\mathrm{sp}(a) = "),
)
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
    hint=(
        "L_D is a mean of log(1 + e^−a) over the prior and one of log(1 + e^a) over codes: "
        "each logit stands in one term, and softplus' is σ. Signs: the prior's logits are to "
        "rise, those of codes to fall."
    ),
    way=(r"With $\mathrm{sp}(a) = ", "Encoder and decoder minimise"),
)
exercise(
    "13.1b",
    "∂L_NS/∂a",
    lambda rng, n: (2 * normal(rng, n),),
    lambda logits_codes: {
        "σ(a)/n": (sigmoid(logits_codes) / len(logits_codes), 1),
        "1/n": (np.ones_like(logits_codes) / len(logits_codes), -1),
    },
    hint=(
        "The loss is the mean of log(1 + e^−a) over codes. Differentiate; softplus' is σ, and "
        "there is an inner derivative. All entries are negative: the logits are to rise."
    ),
    way=("Encoder and decoder minimise", "The first is minus"),
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


exercise(
    "13.7e",
    "W₂²",
    lambda rng, k: (normal(rng, k), covariance(rng, k)),
    _wasserstein,
    hint=(
        "The best plan moves the mean and stretches each axis of S by itself: what does it "
        "cost to bring an axis of deviation s to 1? np.linalg.eigvalsh has the squares of "
        "these. At m = 0, S = I it is 0."
    ),
    way=("*Why.* For any plan", r", and $\mathrm{tr}(S^{1/2}K)"),
)
