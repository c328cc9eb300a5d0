"""Which mistake is in this VAE? The diagnosis on right and wrong code that is not the package's.

The mutants here are written out once more, in float32 and as users write them: none takes a formula
from the tables of the diagnosis.
"""

from __future__ import annotations

import numpy as np
import pytest
from effort import scaled

from nanoae import diagnose_vae
from nanoae.diagnose.mistakes import CATALOGUE

SHAPES = [(128, 20, 784), (100, 2, 64), (64, 16, 64), (32, 8, 30), (50, 10, 100)]
SIZES = (0, 7, 14, 21, 28, 35)  # what the six batches have more than the first
half = np.float32(0.5)


def make_batch(n, k, d, rng):
    """What an encoder and a decoder might compute, in float32."""
    normal = lambda *shape: rng.standard_normal(shape, dtype=np.float32)  # noqa: E731
    logits = normal(n, d) * np.float32(1.5) - half
    return {
        "m": normal(n, k) * np.float32(1.2),
        "v": normal(n, k) * np.float32(0.8) - 1,
        "e": normal(n, k),
        "x": rng.random((n, d), dtype=np.float32),
        "y": normal(n, d) * half,
        "a": logits,
        "p": 1 / (1 + np.exp(-logits)),
        "n": n, "k": k, "d": d,
    }  # fmt: skip


def kl_terms(b):
    return half * (b["m"] ** 2 + np.exp(b["v"]) - 1 - b["v"])


def kl_right(b):
    return kl_terms(b).sum(axis=1).mean()


def of(term):
    """Half the sum of a term over dimensions, averaged over the batch."""
    return lambda b: half * np.asarray(term(b["m"], b["v"])).sum(axis=1).mean()


def scaled_by(factor, kl=kl_right):
    return lambda b: np.float32(factor(b)) * kl(b)


exp, log = np.exp, np.log
WRONG_KLS = {  # names of the catalogue that must be found, and what is computed
    "kl_averaged_over_latent_dimensions": lambda b: kl_terms(b).mean(),
    "kl_without_the_half": lambda b: 2 * kl_right(b),
    "kl_with_its_sign_flipped": lambda b: -kl_right(b),
    "kl_with_its_half_twice": lambda b: kl_right(b) / 2,
    "kl_without_the_minus_one": of(lambda m, v: m**2 + exp(v) - v),
    "kl_from_exp_log_var_as_sigma": of(lambda m, v: m**2 + exp(v) ** 2 - 1 - 2 * v),
    "kl_from_log_var_as_sigma": of(lambda m, v: m**2 + v**2 - 1 - log(v**2)),
    "kl_from_log_var_as_variance": of(lambda m, v: m**2 + v - 1 - log(abs(v))),
    "kl_with_sigma_for_its_square": of(lambda m, v: m**2 + exp(v / 2) - 1 - v),
    "kl_with_the_variance_squared": of(lambda m, v: m**2 + exp(2 * v) - 1 - v),
    "kl_without_the_mean": of(lambda m, v: exp(v) - 1 - v),
    "kl_with_the_mean_unsquared": of(lambda m, v: m + exp(v) - 1 - v),
    "kl_without_the_log_variance": of(lambda m, v: m**2 + exp(v) - 1),
    "kl_without_the_variance": of(lambda m, v: m**2 - 1 - v),
    "kl_the_other_way_round": of(lambda m, v: v + (1 + m**2) * exp(-v) - 1),
    "kl_with_its_half_on_the_log_alone": lambda b: (
        (b["m"] ** 2 + exp(b["v"]) - half * b["v"] - half).sum(axis=1).mean()
    ),
    "kl_with_the_sign_of_its_log_flipped": of(lambda m, v: m**2 + exp(v) - 1 + v),
    "kl_with_the_sign_of_its_mean_flipped": of(lambda m, v: -(m**2) + exp(v) - 1 - v),
    "kl_with_the_sign_of_its_one_flipped": of(lambda m, v: m**2 + exp(v) + 1 - v),
    "kl_with_its_log_squared": of(lambda m, v: m**2 + exp(v) - 1 + (v / 2) ** 2),
    "kl_of_mean_and_log_variance_swapped": of(lambda m, v: v**2 + exp(m) - 1 - m),
    "kl_of_a_variance_of_one": of(lambda m, v: m**2),
    "kl_with_log_sigma_for_its_double": of(lambda m, v: m**2 + exp(v) - 1 - v / 2),
    "kl_of_a_rectified_log_variance": of(
        lambda m, v: m**2 + exp(np.maximum(v, 0)) - 1 - np.maximum(v, 0)
    ),
    "kl_divided_by_the_batch_size_twice": lambda b: kl_right(b) / b["n"],
    "kl_of_some_dimensions_only": lambda b: kl_terms(b)[:, : b["k"] // 2].sum(axis=1).mean(),
    "kl_of_one_sample_only": lambda b: kl_terms(b)[0].sum(),
    # pairs
    "kl_averaged_over_latent_dimensions, kl_without_the_half": lambda b: 2 * kl_terms(b).mean(),
    "kl_averaged_over_latent_dimensions, kl_with_its_sign_flipped": lambda b: -kl_terms(b).mean(),
    "kl_averaged_over_latent_dimensions, kl_from_exp_log_var_as_sigma": lambda b: (
        half * (b["m"] ** 2 + exp(2 * b["v"]) - 1 - 2 * b["v"]).mean()
    ),
    "kl_averaged_over_latent_dimensions, kl_without_the_minus_one": lambda b: (
        kl_terms(b) + half
    ).mean(),
    "kl_divided_by_the_batch_size_twice, kl_without_the_half": lambda b: 2 * kl_right(b) / b["n"],
    "kl_without_the_half, kl_with_the_sign_of_its_log_flipped": lambda b: (
        (b["m"] ** 2 + exp(b["v"]) - 1 + b["v"]).sum(axis=1).mean()
    ),
    "kl_without_the_half, kl_without_the_log_variance": lambda b: (
        (b["m"] ** 2 + exp(b["v"]) - 1).sum(axis=1).mean()
    ),
    "kl_the_other_way_round, kl_averaged_over_latent_dimensions": lambda b: (
        half * (b["v"] + (1 + b["m"] ** 2) * exp(-b["v"]) - 1).mean()
    ),
    "kl_without_the_mean, kl_with_its_sign_flipped": lambda b: (
        -half * (exp(b["v"]) - 1 - b["v"]).sum(axis=1).mean()
    ),
}
assert len(WRONG_KLS) == 36


def hand_over(b, output="y", **numbers):
    return {"mu": b["m"], "log_var": b["v"], "x": b["x"], "x_hat": b[output], **numbers}


def is_named(diagnosis, names):
    return diagnosis.verdict == "wrong" and sorted(diagnosis.mistakes) == sorted(names.split(", "))


def wrong_kl_is_named(names, shape, rng):
    kl = WRONG_KLS[names]
    n, k, d = shape
    batches = [make_batch(n + more, k, d, rng) for more in SIZES]
    return diagnose_vae([hand_over(b, kl=kl(b)) for b in batches])


# --- right code, in the conventions that are met -------------------------------------------------

log_2 = np.float32(np.log(2))
log_2_pi = np.float32(np.log(2 * np.pi))


def z_of(b):
    return b["m"] + np.exp(b["v"] / 2) * b["e"]


def squared(b):
    return (b["y"] - b["x"]) ** 2


def cross_entropy(b):
    return -(b["x"] * np.log(b["p"]) + (1 - b["x"]) * np.log1p(-b["p"]))


def from_logits(b):
    return np.logaddexp(np.float32(0), b["a"]) - b["x"] * b["a"]


def half_squared(b):
    return half * squared(b).sum(axis=1).mean()


def kl_of_one_draw(b):
    z = z_of(b)
    log_q = -half * (((z - b["m"]) / np.exp(b["v"] / 2)) ** 2 + b["v"] + log_2_pi)
    return (log_q + half * (z**2 + log_2_pi)).sum(axis=1).mean()


def kl_between_normals(b):
    ratio = np.exp(b["v"] / 2) ** 2  # as torch.distributions.kl_divergence has it
    return (half * (ratio + b["m"] ** 2 - 1 - np.log(ratio))).sum(axis=1).mean()


def kl_clamped(b):
    return kl_right({**b, "v": np.clip(b["v"], -20, 2)})


CONVENTIONS = {  # output, kl, reconstruction, β, whether the KL has β in it
    "means over the batch": ("y", kl_right, half_squared, 1, False),
    "sums over the batch": (
        "y", lambda b: kl_terms(b).sum(), lambda b: half * squared(b).sum(), 1, False
    ),
    "means over the features": (
        "p", lambda b: kl_terms(b).sum() / (b["n"] * b["d"]),
        lambda b: cross_entropy(b).mean(), 1, False,
    ),
    "Bernoulli, sums": (
        "p", lambda b: kl_terms(b).sum(), lambda b: cross_entropy(b).sum(), 1, False
    ),
    "Bernoulli of logits": (
        "a", kl_right, lambda b: from_logits(b).sum(axis=1).mean(), 1, False
    ),
    "bits": (
        "p", lambda b: kl_right(b) / log_2,
        lambda b: cross_entropy(b).sum(axis=1).mean() / log_2, 1, False,
    ),
    "β inside the KL": ("y", lambda b: 4 * kl_right(b), half_squared, 4, True),
    "β outside": ("y", kl_right, half_squared, 4, False),
    "with constants": (
        "y", kl_right, lambda b: half_squared(b) + half * b["d"] * log_2_pi, 1, False
    ),
    "one number a sample": (
        "y", lambda b: kl_terms(b).sum(axis=1), lambda b: half * squared(b).sum(axis=1), 1, False
    ),
    "KL of two normals": ("y", kl_between_normals, half_squared, 1, False),
    "KL of one draw": ("y", kl_of_one_draw, half_squared, 1, False),
    "log_var clamped": ("y", kl_clamped, half_squared, 1, False),
}  # fmt: skip
assert len(CONVENTIONS) == 13

FREE_BITS = {
    "a latent dimension": lambda t, least: np.maximum(t.mean(axis=0), least).sum(),
    "a sample and latent dimension": lambda t, least: np.maximum(t, least).sum(axis=1).mean(),
    "a sample": lambda t, least: np.maximum(t.sum(axis=1), least).mean(),
}


def diagnoses_of_right_code(convention, batches):
    """From both parts, from those of one batch, and from the loss alone."""
    output, kl, reconstruction, beta, inside = CONVENTIONS[convention]
    parts = [
        hand_over(b, output, kl=kl(b), reconstruction=reconstruction(b), z=z_of(b))
        for b in batches
    ]
    yield "parts", diagnose_vae(parts[:4], beta=beta)
    yield "one batch", diagnose_vae(parts[:1], beta=beta)
    weight = 1 if inside else np.float32(beta)
    losses = [reconstruction(b) + weight * kl(b) for b in batches]
    if convention != "KL of one draw":  # its noise is not in the arrays of the loss alone
        yield (
            "loss",
            diagnose_vae(
                [hand_over(b, output, loss=loss) for b, loss in zip(batches, losses, strict=True)],
                beta=beta,
            ),
        )
    whole = [{**part, "loss": loss} for part, loss in zip(parts, losses, strict=True)]
    yield "all", diagnose_vae(whole, beta=beta)
