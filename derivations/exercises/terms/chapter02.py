"""The linear autoencoder."""

from __future__ import annotations

import numpy as np

from derivations.exercises.grading import exercise
from derivations.exercises.terms.draw import covariance, normal, spectrum


def _linear(rng, d=(5, 8), k=(2, 4)):
    return covariance(rng, d), normal(rng, k, d), normal(rng, d, k)


exercise(
    "2.1a",
    "∂L/∂W_d",
    _linear,
    lambda Sigma, W_e, W_d: {
        "Σ W_eᵀ": (Sigma @ W_e.T, -2),
        "W_d W_e Σ W_eᵀ": (W_d @ W_e @ Sigma @ W_e.T, 2),
        "W_eᵀ": (W_e.T, 0),
    },
    hint=(
        "Write the loss as traces, (2.1), change W_d by a small E, and keep what is linear in "
        "E. W_d stands in the second term once and in the third twice. The shape is W_d's."
    ),
    way=("", "Its transpose has the same"),
)
exercise(
    "2.1b",
    "∂L/∂W_e",
    _linear,
    lambda Sigma, W_e, W_d: {
        "W_dᵀ Σ": (W_d.T @ Sigma, -2),
        "W_dᵀ W_d W_e Σ": (W_d.T @ W_d @ W_e @ Sigma, 2),
        "W_e Σ": (W_e @ Sigma, 0),
    },
    hint=(
        "As for the decoder, but now E changes W_e, which stands between W_d and Σ: turn each "
        "trace round the circle until Eᵀ stands first. The shape is W_e's."
    ),
    way=("", r"$-2 \mathrm{tr}(W_d E \Sigma)"),
)
exercise(
    "2.1",
    "L",
    _linear,
    lambda Sigma, W_e, W_d: {
        "tr Σ": (np.trace(Sigma), 1),
        "tr(W_d W_e Σ)": (np.trace(W_d @ W_e @ Sigma), -2),
        "tr(W_eᵀ W_dᵀ W_d W_e Σ)": (np.trace(W_e.T @ W_d.T @ W_d @ W_e @ Sigma), 1),
    },
    hint=(
        "A number is its own trace: ‖v‖² = tr(v vᵀ), with v = (I − W_d W_e) x. The mean over "
        "samples makes a Σ of x xᵀ; multiply out, and see which terms are equal."
    ),
    way=("", r"$$L = \frac1n \sum_s \mathrm{tr}"),
)


def _samples(rng, n=(7, 12), d=(4, 6), k=(2, 3)):
    return normal(rng, n, d) @ np.diag(1 + np.arange(d)) + 3 * normal(rng, d), k


def _eigenvalues(X):
    return np.linalg.svd(X, compute_uv=False) ** 2 / len(X)


def _least_loss(X, k):
    lam, n = _eigenvalues(X - X.mean(axis=0)), len(X)
    return {
        "Σ_{i>k} λᵢ": (lam[k:].sum(), 1),
        "Σ_{i≤k} λᵢ": (lam[:k].sum(), 0),
        "Σ_{i>k} λᵢ with n − 1 for n": (lam[k:].sum() * n / (n - 1), 0),
        "Σ_{i>k} λᵢ of data that are not centred": (_eigenvalues(X)[k:].sum(), 0),
        "Σ_{i>k} √λᵢ": (np.sqrt(lam[k:]).sum(), 0),
    }


exercise(
    "2.3",
    "the least loss",
    _samples,
    _least_loss,
    hint=(
        "It is PCA's loss. Centre X and take the eigenvalues of its covariance (with 1/n): "
        "which part of the variance can a projection on k axes not keep?"
    ),
    way=("", "Compare with giving weight 1"),
)
exercise(
    "2.2",
    "W_e",
    lambda rng, d=(5, 8), k=(2, 4): (normal(rng, d, k),),
    lambda W_d: {
        "the pseudo-inverse (W_dᵀ W_d)⁻¹ W_dᵀ": (np.linalg.pinv(W_d), 1),
        "W_dᵀ": (W_d.T, 0),
    },
    hint=(
        "At a critical point W_d W_e x is the orthogonal projection of x on the columns of "
        "W_d, (2.2a), so W_e x are the coefficients of a least-squares fit. Which matrix "
        "makes them? W_e W_d must be I."
    ),
    way=(r"**Assume first that $\Sigma$ is invertible**", " So $M = P$"),
)
exercise(
    "2.7",
    "the new W_d",
    lambda rng, d=(5, 8), k=(2, 4): (covariance(rng, d), normal(rng, k, d)),
    lambda Sigma, W_e: {
        "Σ W_eᵀ (W_e Σ W_eᵀ)⁻¹": (Sigma @ W_e.T @ np.linalg.inv(W_e @ Sigma @ W_e.T), 1),
        "Σ W_eᵀ": (Sigma @ W_e.T, 0),
        "W_eᵀ": (W_e.T, 0),
        "the pseudo-inverse of W_e": (np.linalg.pinv(W_e), 0),
    },
    hint=(
        "With W_e fixed the loss is quadratic in W_d: set the gradient (2.1a) to 0 and solve "
        "for W_d. It is the regression of x on its code."
    ),
    way=("", r"$W_d = \Sigma W_e^\top"),
)


def _decayed(rng, d=(5, 8), k=(2, 4)):
    lam = spectrum(rng, d)
    return lam, k, rng.uniform(0.3, 1.2) * lam[k - 1]


def _singular_values(eigenvalues, k, decay):
    lam = eigenvalues[:k]
    gain = np.maximum(1 - decay / lam, 0)
    return {
        "√(1 − λ_w/λᵢ)₊": (np.sqrt(gain), 1),
        "(1 − λ_w/λᵢ)₊ (no root)": (gain, 0),
        "[λᵢ > λ_w]": (gain > 0, 0),
    }


def _decayed_loss(eigenvalues, k, decay):
    lam = eigenvalues[:k]
    kept = lam[lam > decay]
    return {
        "Σ λᵢ": (eigenvalues.sum(), 1),
        "Σ (λᵢ − λ_w)²/λᵢ over kept axes": (np.sum((kept - decay) ** 2 / kept), -1),
        "Σ λᵢ over kept axes": (kept.sum(), 0),
        "λ_w times the number of kept axes": (decay * len(kept), 0),
        "Σ (λᵢ − λ_w)²/λᵢ over all k axes": (np.sum((lam - decay) ** 2 / lam), 0),
    }


exercise(
    "2.9a",
    "sᵢ",
    _decayed,
    _singular_values,
    hint=(
        "At the optimum W_e = W_dᵀ, and on each axis of Σ one number is left: minimise λ (1 − "
        "s²)² + 2 λ_w s² over s² ≥ 0. What if λ < λ_w?"
    ),
    way=("**What they are.**", r"$$\lambda_w s_i^2 = (1 - s_i^2)"),
)
exercise(
    "2.9c",
    "the least penalised loss",
    _decayed,
    _decayed_loss,
    hint=(
        "Go axis by axis: an axis left out costs λᵢ, one that is kept λ (1 − s²)² + 2 λ_w s² "
        "at the s of (2.9a). Which of the first k are kept? Without decay it is (2.3)."
    ),
    way=("What does axis $i$ add to $F$?", r"$$\lambda_i (1 - s_i^2)^2 + 2"),
)
