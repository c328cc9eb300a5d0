"""Contraction."""

from __future__ import annotations

import numpy as np

from derivations.exercises.grading import exercise
from derivations.exercises.terms.draw import normal, sigmoid, spectrum


def _layer(rng, n, d, k):
    return sigmoid(normal(rng, n, k)), normal(rng, k, d)


def _penalty(h, W):
    n, g, rows = len(h), h * (1 - h), np.sum(W**2, axis=1)
    jacobians = g[:, :, None] * W
    tanh = 1 - h**2
    return {
        "Σ_j g_j² ‖w_j‖²": (np.sum(g**2 * rows) / n, 1),
        "Σ_j g_j ‖w_j‖² (g not squared)": (np.sum(g * rows) / n, 0),
        "‖W‖² (no slopes)": (rows.sum(), 0),
        "Σ_j g_j² ‖w_j‖² with the slope of tanh": (np.sum(tanh**2 * rows) / n, 0),
        "‖Σ_j g_j w_j‖² (rows added before they are squared)": (np.sum((g @ W) ** 2) / n, 0),
        "‖E J‖² (samples averaged before they are squared)": (
            np.sum(jacobians.mean(axis=0) ** 2),
            0,
        ),
        "E‖J‖ (not squared)": (np.sqrt(np.sum(jacobians**2, axis=(1, 2))).mean(), 0),
        "‖J‖² of the first sample": (np.sum(jacobians[0] ** 2), 0),
    }


exercise(
    "9.1",
    "Ω, a mean over samples",
    _layer,
    _penalty,
    hint=(
        "What is row j of the Jacobian, by the chain rule? The slope comes from h alone, "
        "(1.2b). ‖J‖² is the sum of all squared entries, and the mean over samples comes "
        "last."
    ),
)


def _unit(rng, d, k):
    return normal(rng, d), normal(rng, k, d), normal(rng, k), normal(rng, k)


def _by_hand(x, W, slope, curvature):
    rows = np.sum(W**2, axis=1)
    a = slope * curvature * rows
    return {
        "g f'' ‖w_j‖²": (a, 2),
        "g² ‖w_j‖²": (slope**2 * rows, 0),
        "f'' ‖w_j‖²": (curvature * rows, 0),
    }, {
        "(g f'' ‖w_j‖²) xᵀ": (np.outer(a, x), 2),
        "diag(g²) W": (slope[:, None] ** 2 * W, 2),
        "diag(g) W (g not squared)": (slope[:, None] * W, 0),
        "W": (W, 0),
    }


exercise(
    "9.1a",
    "the penalty's gradient by a; by W",
    _unit,
    _by_hand,
    hint=(
        "W enters twice, by itself and through a = W x + b. By a only the slopes move: chain "
        "rule. By W: what a passes on to W, as in a dense layer (1.1a), and what is there "
        "with the slopes held still."
    ),
)
exercise(
    "9.1b",
    "tanh''; σ''",
    lambda rng, n, k: (np.tanh(normal(rng, n, k)), sigmoid(normal(rng, n, k))),
    lambda tanh, sigma: (
        {"h": (tanh, -2), "h³": (tanh**3, 2), "1": (np.ones_like(tanh), 0), "h²": (tanh**2, 0)},
        {
            "h": (sigma, 1),
            "h²": (sigma**2, -3),
            "h³": (sigma**3, 2),
            "1": (np.ones_like(sigma), 0),
        },
    ),
    hint=(
        "Differentiate tanh' = 1 − h² and σ' = h (1 − h) once more by a, not by h: the chain "
        "rule adds a factor. Both are 0 where the function is steepest."
    ),
)


def _quadratic(rng, d, m, k):
    return normal(rng, m), normal(rng, m, d), normal(rng, k, m)


exercise(
    "9.3",
    "‖J‖²",
    _quadratic,
    lambda slope, W, V: {
        "gᵀ[(W Wᵀ) ⊙ (VᵀV)] g": (slope @ ((W @ W.T) * (V.T @ V)) @ slope, 1),
        "gᵀ (W Wᵀ)(VᵀV) g (a product of matrices)": (slope @ W @ W.T @ V.T @ V @ slope, 0),
        "its diagonal alone": (np.sum(slope**2 * np.sum(W**2, axis=1) * np.sum(V**2, axis=0)), 0),
        "gᵀ W Wᵀ g (no V)": (slope @ W @ W.T @ slope, 0),
    },
    hint=(
        "J_ji = Σ_a V_ja g_a W_ai. Write ‖J‖² as a double sum over hidden units a and b: what "
        "multiplies g_a g_b is a product of two numbers, each an inner product."
    ),
    way=("", r"$$\lVert J \rVert^2 = \sum_{ji}"),
)


def _probes(jacobian):
    K = jacobian @ jacobian.T
    return {
        "‖K‖²": (np.sum(K**2), 2),
        "Σ_a K_aa²": (np.sum(np.diag(K) ** 2), -2),
        "(tr K)²": (np.trace(K) ** 2, 0),
        "‖J‖⁴ of its entries, Σ J_ij⁴": (np.sum(jacobian**4), 0),
    }


exercise(
    "9.4",
    "the estimate",
    lambda rng, m, k, d: (rng.choice([-1.0, 1.0], (m, k)), normal(rng, k, d)),
    lambda probes, jacobian: {
        "the mean of ‖uᵀJ‖² over the probes": (np.sum((probes @ jacobian) ** 2) / len(probes), 1),
        "‖ū ᵀJ‖² of the mean probe": (np.sum((probes.mean(axis=0) @ jacobian) ** 2), 0),
        "‖J‖² itself": (np.sum(jacobian**2), 0),
        "‖uᵀJ‖² of the first probe alone": (np.sum((probes[0] @ jacobian) ** 2), 0),
    },
    hint=(
        "For one probe: what is the mean of the squared length of uᵀJ, if E u uᵀ = I? For "
        "several: what comes first, the square or the mean?"
    ),
)
exercise(
    "9.4a",
    "the variance with signs",
    lambda rng, k, d: (normal(rng, k, d),),
    _probes,
    hint=(
        "With K = J Jᵀ the estimate is uᵀ K u. For signs u_a² = 1 always: which terms do not "
        "vary, then? The others come in equal pairs. If K is diagonal, the variance is 0."
    ),
    way=("(Hutchinson 1990, for traces.)", r"$$\mathbb E (u^\top K u)^2"),
)


def _tied(rng, d=(5, 8), k=(2, 4)):
    lam = spectrum(rng, d)
    return lam, k, rng.uniform(0.5, 2.2) * lam[k - 1]


def _shrunk(eigenvalues, k, contraction):
    lam = eigenvalues[:k]
    return {
        "(1 − λ_c/2λᵢ)₊": (np.maximum(1 - contraction / (2 * lam), 0), 1),
        "(1 − λ_c/λᵢ)₊ (decay without its half)": (np.maximum(1 - contraction / lam, 0), 0),
        "(1 − λ_c/2λᵢ) where it is below 0": (np.minimum(1 - contraction / (2 * lam), 0), 0),
        "1": (np.ones(k), 0),
    }


exercise(
    "9.6",
    "the gains of WᵀW",
    _tied,
    _shrunk,
    hint=(
        "With tied weights J = W, so the penalty is weight decay: which λ_w, if there it is "
        "paid for both matrices? Then (2.9a), squared. No gain is negative."
    ),
    way=("", ": the tied contractive"),
)


def _threshold(eigenvalues, m, k, contraction):
    lam = eigenvalues[:m]
    H = np.sum(1 / lam)
    return {
        "m/(H_m + k/λ_c)": (m / (H + k / contraction), 1),
        "m/(H_m + 1/λ_c) (one unit, not k)": (m / (H + 1 / contraction), 0),
        "m λ_c/k": (m * contraction / k, 0),
        "m/H_m": (m / H, 0),
    }


exercise(
    "9.7",
    "θ",
    lambda rng, d=(5, 8), m=(2, 4), k=(5, 9): (spectrum(rng, d), m, k, rng.uniform(0.3, 3)),
    _threshold,
    hint=(
        "The gains are 1 − θ/λᵢ on m axes, as with weight decay, but θ is set by their sum t: "
        "θ = λ_c t/k. That is one linear equation for θ."
    ),
    way=("Equality holds throughout iff", "If $m$ axes are"),
)


def _small_noise(residual, jacobian, laplacian, scale):
    s2 = scale**2
    return {
        "‖r − x‖²": (residual @ residual, 1),
        "σ² ‖J‖²": (s2 * np.sum(jacobian**2), 1),
        "σ² (r − x)ᵀ Δr": (s2 * residual @ laplacian, 1),
        "σ ‖J‖²": (scale * np.sum(jacobian**2), 0),
        "σ² ‖Δr‖²": (s2 * laplacian @ laplacian, 0),
        "σ² (tr J)²": (s2 * np.trace(jacobian) ** 2, 0),
    }


exercise(
    "9.11a",
    "E‖r(x + σε) − x‖², to the order of σ²",
    lambda rng, d: (normal(rng, d), normal(rng, d, d), normal(rng, d), rng.uniform(0.1, 1.5)),
    _small_noise,
    hint=(
        "Expand r(x + σε) to the second order, square, and take the mean with E ε = 0, E εεᵀ "
        "= I. Two terms are of the order of σ²: one from the first derivatives alone, one a "
        "product. Mind the ½ of the one and the 2 of the other."
    ),
)
