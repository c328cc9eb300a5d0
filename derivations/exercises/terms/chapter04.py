"""Sparsity."""

from __future__ import annotations

import numpy as np

from derivations.exercises.grading import exercise
from derivations.exercises.terms.draw import normal, soft


def _values(rng, n, k):
    return 2 * normal(rng, n, k), rng.uniform(0.3, 1.5, (n, k))


def _threshold(v, t):
    beyond = np.abs(v) > t
    return {
        "v where |v| > t": (v * beyond, 1),
        "t sign v where |v| > t": (t * np.sign(v) * beyond, -1),
        "v where |v| ≤ t": (v * ~beyond, 0),
        "v where v > t": (v * (v > t), 0),
        "t where v > t": (t * (v > t), 0),
        "t sign v where |v| ≤ t": (t * np.sign(v) * ~beyond, 0),
    }


exercise(
    "4.1",
    "h",
    _values,
    _threshold,
    hint=(
        "Take the slope for h > 0 and for h < 0 by itself: where is it 0, and does that place "
        "lie on its own side? If neither does, the minimum is in the kink."
    ),
    way=("", "- If $v > t$"),
)


def _slopes(v, t):
    beyond = np.abs(v) > t
    return {
        "[|v| > t]": (beyond, 1),
        "[v > t]": (v > t, 0),
        "1 everywhere": (np.ones_like(v), 0),
    }, {
        "sign v where |v| > t": (np.sign(v) * beyond, -1),
        "sign v": (np.sign(v), 0),
        "[|v| > t]": (beyond, 0),
    }


exercise(
    "4.1d",
    "∂S/∂v; ∂S/∂t",
    _values,
    _slopes,
    hint=(
        "S has three branches: v above t, v below −t, and the interval between. Differentiate "
        "each by itself; by t, mind the sign of v."
    ),
    way=("- If $v > t$", '<a id="4.1">'),
)


def _orthonormal(rng, n, d=(5, 7), k=(2, 4)):
    return 2 * normal(rng, n, d), np.linalg.qr(normal(rng, d, k))[0], 0.4 + rng.random()


exercise(
    "4.2",
    "h",
    _orthonormal,
    lambda X, D, sparsity: {
        "S(Dᵀ x, λ/2)": (soft(X @ D, sparsity / 2), 1),
        "S(Dᵀ x, λ)": (soft(X @ D, sparsity), 0),
        "Dᵀ x": (X @ D, 0),
    },
    hint=(
        "With DᵀD = I the square is ‖h − b‖² and a constant: what is b? So there is one "
        "problem (4.1) for each coordinate; but (4.1) has a ½ before its square, so what is "
        "its t?"
    ),
)


def _code(rng, d=(4, 6), k=(7, 9)):
    h = normal(rng, k) * (rng.random(k) < 0.6)
    h[0] = 1.0
    return 2 * normal(rng, d), normal(rng, d, k), h, 0.2 + rng.random()


exercise(
    "4.3",
    "the correlations",
    lambda rng, d=(4, 6), k=(7, 9): _code(rng, d, k)[:3],
    lambda x, D, h: {
        "Dᵀ x": (D.T @ x, 2),
        "Dᵀ D h": (D.T @ D @ h, -2),
    },
    hint=(
        "It is minus the gradient of the square (the chapter calls it c): by the residual "
        "first, then the residual by h. It has one number for each atom."
    ),
    way=("*Necessary.*", "*Sufficient.*"),
)
exercise(
    "4.3a",
    "λ_max",
    lambda rng, d=(4, 6), k=(7, 9): _code(rng, d, k)[:2],
    lambda x, D: {
        "‖Dᵀ x‖∞": (np.abs(D.T @ x).max(), 2),
        "‖Dᵀ x‖₂": (np.linalg.norm(D.T @ x), 0),
        "‖Dᵀ x‖₁": (np.abs(D.T @ x).sum(), 0),
        "max Dᵀ x (no absolute value)": ((D.T @ x).max(), 0),
    },
    hint=(
        "Put h = 0 into the condition for an optimum, (4.3): what is the residual, and how "
        "large must λ be for no atom to object?"
    ),
)


def _first_step(x, D, sparsity):
    norm = np.linalg.norm(D, 2) ** 2
    return {
        "S(Dᵀ x/‖D‖², λ/2‖D‖²)": (soft(D.T @ x / norm, sparsity / (2 * norm)), 1),
        "the same with the threshold λ/2": (soft(D.T @ x / norm, sparsity / 2), 0),
        "the same with the threshold λ": (soft(D.T @ x / norm, sparsity), 0),
        "the same with the threshold λ/‖D‖²": (soft(D.T @ x / norm, sparsity / norm), 0),
        "Dᵀ x/‖D‖²": (D.T @ x / norm, 0),
    }


exercise(
    "4.6",
    "h₁",
    lambda rng, d=(4, 6), k=(7, 9): (2 * normal(rng, d), normal(rng, d, k), 0.2 + rng.random()),
    _first_step,
    hint=(
        "Take one step of length 1/L against the gradient of the square, at h = 0, and "
        "threshold it: with which t? ‖D‖ is the largest singular value."
    ),
    way=(r"Write $f(h) = \lVert x - D h", " Its"),
)


def _ista_step(x, D, h, sparsity):
    L = 2 * np.linalg.norm(D, 2) ** 2
    slope = 2 * D.T @ (x - D @ h)
    return {
        "S(h + 2 Dᵀ(x − D h)/L, λ/L)": (soft(h + slope / L, sparsity / L), 1),
        "the same with the threshold λ (the step left out)": (soft(h + slope / L, sparsity), 0),
        "the same with the threshold 2 λ/L": (soft(h + slope / L, 2 * sparsity / L), 0),
        "the same with a step of 2/L": (soft(h + 2 * slope / L, sparsity / L), 0),
        "the same with a step and a threshold twice as large": (
            soft(h + 2 * slope / L, 2 * sparsity / L),
            0,
        ),
        "h + 2 Dᵀ(x − D h)/L (no threshold)": (h + slope / L, 0),
    }


exercise(
    "4.6a",
    "h_{i+1}",
    _code,
    _ista_step,
    hint=(
        "As (4.6), but the gradient is now that at h, and the step starts there. From h = 0 "
        "it must be (4.6); an optimal code must stay where it is."
    ),
    way=(r"Write $f(h) = \lVert x - D h", " Its"),
)


def _momentum(h, h_old, t):
    t_next = (1 + np.sqrt(1 + 4 * t**2)) / 2
    return {
        "(1 + √(1 + 4 t²))/2": (t_next, 1),
        "t": (t, 0),
        "1": (1.0, 0),
    }, {
        "h": (h, 1),
        "(t − 1)/t' (h − h_old)": ((t - 1) / t_next * (h - h_old), 1),
        "(t − 1)/t (h − h_old)": ((t - 1) / t * (h - h_old), 0),
        "h − h_old": (h - h_old, 0),
    }


exercise(
    "4.4b",
    "t'; y",
    lambda rng, k: (normal(rng, k), normal(rng, k), rng.uniform(1, 9)),
    _momentum,
    hint=(
        "t' is the positive root of t'² − t' = t². y goes on from h in the direction of the "
        "last step, by a share of it that is 0 at t = 1 and tends to 1: it is made of t and "
        "t'."
    ),
    way=("The rule for $t$ is", "Call the last vector"),
)


def _gap(x, D, h, sparsity):
    r = x - D @ h
    s = min(1, sparsity / (2 * np.abs(D.T @ r).max()))
    return {
        "(1 − s)² ‖r‖²": ((1 - s) ** 2 * r @ r, 1),
        "λ ‖h‖₁": (sparsity * np.abs(h).sum(), 1),
        "s hᵀ Dᵀ r": (s * h @ D.T @ r, -2),
        "‖r‖²": (r @ r, 0),
        "s² ‖r‖²": (s**2 * r @ r, 0),
        "hᵀ Dᵀ r": (h @ D.T @ r, 0),
    }


exercise(
    "4.4c",
    "the gap",
    _code,
    _gap,
    hint=(
        "Every u with ‖Dᵀu‖∞ ≤ λ gives the lower bound uᵀx − ¼‖u‖². Take twice the residual, "
        "shrunk as little as is needed, and subtract its bound from the objective at h. The "
        "gap is never negative."
    ),
    way=("", "Elsewhere shrink it until it is"),
)


def _activations(rng, n, k):
    return rng.uniform(0.05, 0.95, (n, k)), rng.uniform(0.1, 0.6)


def _kl(p, q):
    return np.sum(p * np.log(p / q))


def _kl_sparsity(h, rho):
    hat, all_units = h.mean(axis=0), np.full(1, h.mean())
    return {
        "Σ ρ log(ρ/ρ̂)": (_kl(rho, hat), 1),
        "Σ (1 − ρ) log((1 − ρ)/(1 − ρ̂))": (_kl(1 - rho, 1 - hat), 1),
        "Σ ρ̂ log(ρ̂/ρ) (the other way round)": (_kl(hat, rho), 0),
        "Σ (1 − ρ̂) log((1 − ρ̂)/(1 − ρ)) (the other way round)": (_kl(1 - hat, 1 - rho), 0),
        "ρ log(ρ/ρ̂) of one mean over all units": (_kl(rho, all_units), 0),
        "(1 − ρ) log((1 − ρ)/(1 − ρ̂)) of one mean over all units": (
            _kl(1 - rho, 1 - all_units),
            0,
        ),
    }


exercise(
    "4.8",
    "K",
    _activations,
    _kl_sparsity,
    hint=(
        "Two coins, of bias ρ and ρ̂_j: the divergence has one term for each side of the "
        "coin, and the first coin's chances are the weights. Rows first: one ρ̂ a unit. It is "
        "0 where both are equal."
    ),
    way=("One term, as a", r"Subtract $2 (\hat\rho"),
)
exercise(
    "4.8a",
    "∂K/∂h",
    _activations,
    lambda h, rho: {
        "(1 − ρ)/(1 − ρ̂)/n": ((1 - rho) / (1 - h.mean(axis=0)) / len(h) + 0 * h, 1),
        "ρ/ρ̂/n": (rho / h.mean(axis=0) / len(h) + 0 * h, -1),
        "ρ/h/n (of each sample)": (rho / h / len(h), 0),
        "(1 − ρ)/(1 − h)/n (of each sample)": ((1 - rho) / (1 - h) / len(h), 0),
    },
    hint=(
        "Differentiate unit j's divergence by ρ̂_j. Then the chain rule: by how much does "
        "ρ̂_j move with one h of its column? All rows get the same."
    ),
    way=("For a sigmoid code", "One term, as a"),
)
