"""β and the rate–distortion curve."""

from __future__ import annotations

import numpy as np

from derivations.exercises.grading import exercise
from derivations.exercises.terms.draw import covariance, normal, spectrum


def _objective(D, R, n_features, noise_variance, beta):
    d = n_features
    return {
        "d log 2πσ²": (d * np.log(2 * np.pi * noise_variance), 1 / 2),
        "D/σ²": (D / noise_variance, 1 / 2),
        "β R": (beta * R, 1),
        "R (no β)": (R, 0),
        "D": (D, 0),
        "β D/σ² (β before the wrong term)": (beta * D / noise_variance, 0),
    }


exercise(
    "6.8",
    "L",
    lambda rng, d=(2, 30): (*rng.uniform(0.5, 3, 2), d, rng.uniform(0.2, 2), rng.uniform(0.3, 5)),
    _objective,
    hint=(
        "Take (5.4) with the distortion for the squared error, and add the price of the rate. "
        "It has its constants; at β = 1 it is minus the ELBO."
    ),
)


def _decoder(rng, d=(5, 8), k=(2, 4)):
    return normal(rng, d, k), rng.uniform(0.3, 2)


exercise(
    "6.1a",
    "s²",
    _decoder,
    lambda W, theta: {
        "θ/(‖w_j‖² + θ)": (theta / (np.sum(W**2, axis=0) + theta), 1),
        "θ/‖w_j‖²": (theta / np.sum(W**2, axis=0), 0),
        "1/(‖w_j‖² + θ)": (1 / (np.sum(W**2, axis=0) + theta), 0),
        "1": (np.ones(W.shape[1]), 0),
    },
    hint=(
        "Of J = D + 2θR keep what has s_j² in it, from (6.7) and from the KL: a function of "
        "one number. Set its derivative to 0. A column of zeros must give the prior's 1."
    ),
    way=("", "This is strictly convex"),
)


def _encoder(W, theta):
    k = W.shape[1]
    return {
        "(WᵀW + θI)⁻¹ Wᵀ": (np.linalg.inv(W.T @ W + theta * np.eye(k)) @ W.T, 1),
        "(WᵀW)⁻¹ Wᵀ (no θ)": (np.linalg.pinv(W), 0),
        "Wᵀ": (W.T, 0),
    }


exercise(
    "6.1b",
    "V",
    _decoder,
    _encoder,
    hint=(
        "For each x the best μ is a ridge regression: minimise ‖(x − b) − W μ‖² + θ ‖μ‖² by "
        "setting the gradient to 0. The shape of V is k × d."
    ),
    way=("**Step 2: the best mean.**", ""),
)


def _levels(rng, d=(5, 8), k=(2, 4)):
    lam = spectrum(rng, d)
    return lam, k, rng.uniform(0.9 * lam[-1], 1.1 * lam[0])


def _rate(lam, k, theta):
    nats = np.log(lam / theta)
    return {
        "Σ_{i≤k} log(λᵢ/θ)₊": (np.maximum(nats[:k], 0).sum(), 1 / 2),
        "Σ log(λᵢ/θ)₊ of the axes beyond k": (np.maximum(nats[k:], 0).sum(), 0),
        "Σ_{i≤k} log(λᵢ/θ) where it is below 0": (np.minimum(nats[:k], 0).sum(), 0),
    }


exercise(
    "6.3",
    "R",
    _levels,
    lambda eigenvalues, k, theta: _rate(eigenvalues, k, theta),
    hint=(
        "Sum the KL (5.2) over dimensions at the optimum. What is left of it for one of the "
        "first k axes above the water level θ, and what for one below? At λᵢ = θ an axis "
        "costs nothing."
    ),
    way=("", r"$\theta^2/\lambda_i +"),
)
exercise(
    "6.3a",
    "D",
    _levels,
    lambda eigenvalues, k, theta: {
        "Σ_{i≤k} min(θ, λᵢ)": (np.minimum(theta, eigenvalues[:k]).sum(), 1),
        "Σ_{i>k} λᵢ": (eigenvalues[k:].sum(), 1),
        "k θ": (k * theta, 0),
        "Σ_{i>k} min(θ, λᵢ)": (np.minimum(theta, eigenvalues[k:]).sum(), 0),
    },
    hint=(
        "Three kinds of axes: of the first k those above the water level θ and those below "
        "it, and all beyond k. What does each lose? For the first put the optimal s², w v and "
        "w² into λ (1 − w v)² + s² w²; as θ → 0 the whole is PCA's loss."
    ),
    way=("In (6.2c) and (6.1f) sum over", r"$\theta^2/\lambda_i +"),
)


def _above(rng, d=(5, 8), k=(2, 4)):
    return spectrum(rng, d), k


exercise(
    "6.4",
    "σ²",
    _above,
    lambda eigenvalues, k: {
        "Σ_{i>k} λᵢ/(d − k)": (eigenvalues[k:].mean(), 1),
        "Σ_{i>k} λᵢ/d": (eigenvalues[k:].sum() / len(eigenvalues), 0),
        "Σ_{i>k} λᵢ": (eigenvalues[k:].sum(), 0),
        "λ_{k+1}": (eigenvalues[k], 0),
    },
    hint=(
        "The derivative of the loss by log σ² vanishes where d σ² = D, (5.4a). At β = 1 the "
        "water level is σ² itself: put (6.3a) in, with the first k axes above water, and "
        "solve."
    ),
    way=("For fixed $D$ and $R$ the loss", r"$$g(\sigma^2)"),
)


def _evidence(eigenvalues, k):
    d, s2 = len(eigenvalues), eigenvalues[k:].mean()
    return {
        "d log 2πe": (d * (np.log(2 * np.pi) + 1), -1 / 2),
        "Σ_{i≤k} log λᵢ": (np.log(eigenvalues[:k]).sum(), -1 / 2),
        "(d − k) log σ²": ((d - k) * np.log(s2), -1 / 2),
        "Σ_{i>k} log λᵢ": (np.log(eigenvalues[k:]).sum(), 0),
        "k log σ²": (k * np.log(s2), 0),
    }


exercise(
    "6.4a",
    "E log p(x)",
    _above,
    _evidence,
    hint=(
        "Write the mean log-density of a Gaussian whose covariance C has the eigenvalues λ₁ … "
        "λ_k and, for all other axes, the noise of (6.4). What is log det C, and what tr(C⁻¹ "
        "Σ)?"
    ),
    way=("(Tipping & Bishop 1999.", "At other β"),
)


def _expected(rng, d=(5, 8), k=(2, 4)):
    return (
        normal(rng, d),
        normal(rng, d, k),
        normal(rng, d),
        normal(rng, k),
        rng.uniform(0.1, 2, k),
    )


exercise(
    "6.7",
    "E‖x − W z − b‖²",
    _expected,
    lambda x, W, b, mu, s2: {
        "‖x − W μ − b‖²": (np.sum((x - W @ mu - b) ** 2), 1),
        "tr(W diag(s²) Wᵀ)": (np.sum(W**2 * s2), 1),
        "tr(W diag(s) Wᵀ) (s for s²)": (np.sum(W**2 * np.sqrt(s2)), 0),
        "Σ s²": (s2.sum(), 0),
    },
    hint=(
        "Write z = μ + s ⊙ ε: the error is a fixed part minus W(s ⊙ ε). What is the mean of "
        "the cross term, and what that of ‖W(s ⊙ ε)‖² for independent ε? With s = 0 the fixed "
        "part alone is left."
    ),
    way=("**Step 0: no sampling.**", "; the cross term has mean 0"),
)


def _profile(W, Sigma, theta):
    columns = np.sum(W**2, axis=0)
    C = W @ W.T + theta * np.eye(len(W))
    return {
        "θ tr[(W Wᵀ + θI)⁻¹ Σ]": (theta * np.trace(np.linalg.solve(C, Sigma)), 1),
        "θ Σ_j log(1 + ‖w_j‖²/θ)": (theta * np.log1p(columns / theta).sum(), 1),
        "θ log det((W Wᵀ + θI)/θ)": (theta * np.linalg.slogdet(C / theta)[1], 0),
        "tr[(W Wᵀ + θI)⁻¹ Σ] (no θ)": (np.trace(np.linalg.solve(C, Sigma)), 0),
        "Σ_j log(1 + ‖w_j‖²/θ) (no θ)": (np.log1p(columns / theta).sum(), 0),
    }


exercise(
    "6.1c",
    "J(W)",
    lambda rng, d=(5, 8), k=(2, 4): (normal(rng, d, k), covariance(rng, d), rng.uniform(0.3, 2)),
    _profile,
    hint=(
        "Put the best encoder and the best variances, (6.1a) and (6.1b), into J = D + 2θR. "
        "The ridge regression leaves a quadratic form in x, whose matrix is θ times an "
        "inverse; the variances leave a logarithm for each column."
    ),
    way=("**Step 4: put them in.**", "The variance terms become"),
)
