"""The masked autoencoder."""

from __future__ import annotations

import numpy as np

from derivations.exercises.grading import exercise
from derivations.exercises.terms.draw import covariance, normal


def _left(Sigma):
    return {
        "1/(Σ⁻¹)_jj": (1 / np.diag(np.linalg.inv(Sigma)), 1),
        "Σ_jj": (np.diag(Sigma), 0),
        "(Σ⁻¹)_jj": (np.diag(np.linalg.inv(Sigma)), 0),
        "1/Σ_jj": (1 / np.diag(Sigma), 0),
    }


exercise(
    "12.1b",
    "variances left",
    lambda rng, d=(3, 6): (covariance(rng, d),),
    _left,
    hint=(
        "Which block of Σ⁻¹ belongs to what is missing, and what has it to do with the Schur "
        "complement of (12.1)? One inverse serves all features. If Σ is diagonal, all "
        "variance is left."
    ),
)


def _gaps(rng, d=(4, 7), m=(1, 3)):
    order = rng.permutation(d)
    visible, missing = np.sort(order[m:]), np.sort(order[:m])
    return covariance(rng, d), visible, missing, normal(rng, d - m)


def _filled(Sigma, visible, missing, x_visible):
    across = Sigma[np.ix_(missing, visible)]
    inverse = np.linalg.inv(Sigma)
    return {
        "Σ_mv Σ_vv⁻¹ x_v": (
            across @ np.linalg.solve(Sigma[np.ix_(visible, visible)], x_visible),
            1,
        ),
        "Σ_mv x_v, without Σ_vv⁻¹": (across @ x_visible, 0),
        "(Σ⁻¹)_mv x_v, of the inverse of all": (inverse[np.ix_(missing, visible)] @ x_visible, 0),
        "Σ_mv (Σ⁻¹)_vv x_v, a block of the inverse": (
            across @ inverse[np.ix_(visible, visible)] @ x_visible,
            0,
        ),
    }


exercise(
    "12.1",
    "the missing",
    _gaps,
    _filled,
    hint=(
        "It is a regression: minimise E‖x_m − B x_v‖² over B, which needs two blocks of Σ "
        "(np.ix_). If m and v are uncorrelated the answer is 0."
    ),
    way=("", "Put $B = "),
)


def _patches(rng, n=(3, 5), N=(4, 6), p=(2, 3)):
    missing = rng.random((n, N)) < 0.5
    missing[:, 0], missing[:, 1] = True, False
    missing[0] = np.arange(N) == 0  # so that samples differ in what they miss
    return normal(rng, n, N, p), normal(rng, n, N, p), missing


def _masked(x_hat, x, missing):
    there, n = missing[..., None], len(x)
    each = missing.sum(axis=1)[:, None, None]
    return {
        "(x̂ − x)/(n |M_i|) where missing": (there * (x_hat - x) / (n * each), 2),
        "(x̂ − x)/(n N) where missing": (there * (x_hat - x) / missing.size, 0),
        "(x̂ − x)/Σ|M_i| where missing": (there * (x_hat - x) / missing.sum(), 0),
        "(x̂ − x)/(n N) where visible": (~there * (x_hat - x) / missing.size, 0),
        "(x̂ − x)/(n |M_i|) where visible": (~there * (x_hat - x) / (n * each), 0),
    }


exercise(
    "12.8",
    "∂L/∂x̂",
    _patches,
    _masked,
    hint=(
        "Each x̂_ij stands in one term if its patch is missing, and in none if not. Which "
        "count of patches stands before that term, its own sample's or the batch's?"
    ),
    way=("Inside a patch it is a sum", "### What it is used for"),
)
