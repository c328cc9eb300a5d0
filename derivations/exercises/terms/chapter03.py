"""Tied weights."""

from __future__ import annotations

import numpy as np

from derivations.exercises.grading import exercise
from derivations.exercises.terms.draw import covariance, normal


def _tied(rng, d=(5, 8), k=(2, 4)):
    return normal(rng, k, d), covariance(rng, d)


def _uses(W, Sigma, first, encoder, decoder):
    return {
        "W Σ": (W @ Sigma, first),
        "W Wᵀ W Σ, the encoder's use,": (W @ W.T @ W @ Sigma, encoder),
        "W Σ Wᵀ W, the decoder's use,": (W @ Sigma @ W.T @ W, decoder),
    }


exercise(
    "3.1b",
    "G_e",
    _tied,
    lambda W, Sigma: _uses(W, Sigma, -2, 2, 0),
    hint=(
        "Take the gradient by a free encoder, (2.1b), and put in what both matrices are here: "
        "W and Wᵀ. The shape is k × d."
    ),
)
exercise(
    "3.1c",
    "G_d",
    _tied,
    lambda W, Sigma: _uses(W, Sigma, -2, 0, 2),
    hint=(
        "Take the gradient by a free decoder, (2.1a), and put in what both matrices are here. "
        "Its shape is d × k, for it is one by Wᵀ: what makes it one by W?"
    ),
    way=("The free autoencoder of chapter 2", " The encoder's share follows"),
)
exercise(
    "3.1",
    "∂L/∂W",
    _tied,
    lambda W, Sigma: _uses(W, Sigma, -4, 2, 2),
    hint=(
        "W is used twice, as the encoder and, transposed, as the decoder: by (3.1a) the "
        "gradient is the sum of what each use alone would give. Start from (2.1a) and (2.1b), "
        "and mind the shapes. It is 0 where the rows of W are different eigenvectors of length 1."
    ),
    way=("The free autoencoder of chapter 2", " The encoder's share follows"),
)


def _modes(rng, k):
    return rng.uniform(0.2, 0.8, k), rng.uniform(0.5, 2, k)


exercise(
    "3.3",
    "ds/dt",
    _modes,
    lambda s, eigenvalues: {
        "λ s": (eigenvalues * s, 8),
        "λ s²": (eigenvalues * s**2, -8),
        "λ √s": (eigenvalues * s**0.5, 0),
        "λ": (eigenvalues, 0),
    },
    hint=(
        "In the eigenbasis W is diagonal, w₁ … w_k: then (3.1) says what −∂L/∂w is for one of "
        "them. The strength is s = w², so ds/dt = 2 w dw/dt. At s = 0 and at s = 1 nothing "
        "moves."
    ),
    way=("", ", and each has"),
)


def _strength(s0, eigenvalues, t):
    def logistic(rate):
        return 1 / (1 + (1 / s0 - 1) * np.exp(-rate * eigenvalues * t))

    return {
        "the logistic curve of rate 8 λ": (logistic(8), 1),
        "the logistic curve of rate 4 λ, of free weights,": (logistic(4), 0),
        "e^{8 λ t} s(0), which never ends,": (s0 * np.exp(8 * eigenvalues * t), 0),
        "the same with 1/s(0) for 1/s(0) − 1": (1 / (1 + np.exp(-8 * eigenvalues * t) / s0), 0),
    }


exercise(
    "3.3a",
    "s(t)",
    lambda rng, k: (*_modes(rng, k), rng.uniform(0.05, 0.3)),
    _strength,
    hint=(
        "Not s itself but its log-odds log(s/(1 − s)) have a constant speed, by (3.3). Follow "
        "them for the time t, then go back to s. At t = 0 it must be s(0), and it ends at 1."
    ),
)
exercise(
    "3.3b",
    "t_i",
    _modes,
    lambda s0, eigenvalues: {
        "log(1/s(0) − 1)/λ": (np.log(1 / s0 - 1) / eigenvalues, 1 / 8),
        "log(1/s(0))/λ": (np.log(1 / s0) / eigenvalues, 0),
        "1/λ": (1 / eigenvalues, 0),
    },
    hint=(
        "Half learned is s = ½, where the log-odds log(s/(1 − s)) are 0. They move along a "
        "straight line, by (3.3): where do they start, and how fast are they?"
    ),
    way=("Look at the log-odds", " They grow along"),
)


def _aligned(s, eigenvalues):
    kept, left = eigenvalues[: len(s)], eigenvalues[len(s) :]
    return {
        "Σ_S λᵢ (1 − sᵢ)²": (np.sum(kept * (1 - s) ** 2), 1),
        "Σ λⱼ of the others": (left.sum(), 1),
        "Σ_S λᵢ (1 − sᵢ)": (np.sum(kept * (1 - s)), 0),
    }


exercise(
    "3.3c",
    "L",
    lambda rng, d=(5, 8), k=(2, 4): (
        rng.uniform(0, 1, k),
        np.sort(rng.uniform(0.5, 2, d))[::-1].copy(),
    ),
    _aligned,
    hint=(
        "Mode i reconstructs sᵢ times its coordinate: what is left of that coordinate, and so "
        "of its variance? And of an axis that no mode has?"
    ),
    way=(r"Let $W = Q D U_S^\top$", "Diagonal matrices commute"),
)
