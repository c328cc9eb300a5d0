"""The variational autoencoder."""

from __future__ import annotations

import numpy as np

from derivations.exercises.grading import exercise
from derivations.exercises.terms.draw import covariance, logsumexp, normal


def _codes(rng, n, k):
    return 1.5 * normal(rng, n, k), 1.2 * normal(rng, n, k)


def _kl(mu, log_var):
    n, v = len(mu), log_var

    def mean(term):
        return np.sum(term) / n

    each = (mu**2 + np.exp(v) - 1 - v) / 2
    softplus = np.logaddexp(0, v)
    return {
        "Σ μ²": (mean(mu**2), 1 / 2),
        "Σ σ²": (mean(np.exp(v)), 1 / 2),
        "Σ 1": (mean(np.ones_like(v)), -1 / 2),
        "Σ log σ²": (mean(v), -1 / 2),
        "Σ μ": (mean(mu), 0),
        "Σ σ (for its square)": (mean(np.exp(v / 2)), 0),
        "Σ σ⁴ (log_var read as log σ)": (mean(np.exp(2 * v)), 0),
        "Σ log_var² (log_var read as σ)": (mean(v**2), 0),
        "Σ log |log_var| (log_var read as σ or σ²)": (mean(np.log(np.abs(v))), 0),
        "Σ 1/σ² (of the reverse KL)": (mean(np.exp(-v)), 0),
        "Σ μ²/σ² (of the reverse KL)": (mean(mu**2 * np.exp(-v)), 0),
        "Σ e^μ (μ and log_var swapped)": (mean(np.exp(mu)), 0),
        "Σ softplus(log_var)²": (mean(softplus**2), 0),
        "Σ log softplus(log_var)": (mean(np.log(softplus)), 0),
        "Σ max(log_var, 0) (a relu on log_var)": (mean(np.maximum(v, 0)), 0),
        "Σ e^max(log_var, 0) (a relu on log_var)": (mean(np.exp(np.maximum(v, 0))), 0),
        "the KL of the first dimension alone": (mean(each[:, 0]), 0),
        "the KL of the first sample alone": (np.sum(each[0]), 0),
    }


exercise(
    "5.2",
    "the KL",
    _codes,
    _kl,
    hint=(
        "Take the mean of log q(z) − log p(z) at z = μ + σ ε: both are quadratic, so E ε² and "
        "E z² are all that is needed. Sum over dimensions, mean over samples. It is 0 at μ = "
        "0, σ = 1."
    ),
    way=("", r"With $\mathbb E \varepsilon^2 = 1$"),
)
exercise(
    "5.2a",
    "∂/∂μ; ∂/∂log σ²",
    _codes,
    lambda mu, log_var: (
        {"μ/n": (mu / len(mu), 1), "1/n": (np.ones_like(mu) / len(mu), 0)},
        {
            "σ²/n": (np.exp(log_var) / len(mu), 1 / 2),
            "1/n": (np.ones_like(mu) / len(mu), -1 / 2),
            "σ/n": (np.exp(log_var / 2) / len(mu), 0),
            "σ⁴/n": (np.exp(2 * log_var) / len(mu), 0),
            "log σ²/n": (log_var / len(mu), 0),
            "1/(σ² n)": (np.exp(-log_var) / len(mu), 0),
        },
    ),
    hint=(
        "Differentiate (5.2) term by term; with v = log σ², what is the derivative of σ² by "
        "v? Both are 0 at μ = 0, σ = 1. And (5.2) is a mean over samples."
    ),
    way=(r"By $v$: $\sigma^2 = e^v$", ""),
)


def _noisy(rng, n, k):
    return *_codes(rng, n, k), normal(rng, n, k)


def _sample(mu, log_var, eps):
    v, sigma = log_var, np.exp(log_var / 2)
    return {
        "μ": (mu, 1),
        "σ ε": (sigma * eps, 1),
        "σ² ε": (np.exp(v) * eps, 0),
        "σ⁴ ε": (np.exp(2 * v) * eps, 0),
        "ε (σ left out)": (eps, 0),
        "log_var ε (log_var taken for σ)": (v * eps, 0),
        "√|log_var| ε (log_var taken for σ²)": (np.sqrt(np.abs(v)) * eps, 0),
        "softplus(log_var) ε": (np.logaddexp(0, v) * eps, 0),
        "max(σ, 1) ε (a relu on log_var)": (np.maximum(sigma, 1) * eps, 0),
        "σ (no draw)": (sigma, 0),
        "σ ε of the first sample (the same for all)": (sigma * eps[:1], 0),
        "σ ε of the first dimension (the same for all)": (sigma * eps[:, :1], 0),
    }


exercise(
    "5.3",
    "z",
    _noisy,
    _sample,
    hint=(
        "log_var is log σ²: what is σ? Then move and stretch the standard normal ε so that it "
        "has the mean μ and the deviation σ."
    ),
    way=("", ", and set"),
)


def _backward(mu, log_var, eps, G, beta):
    n, sigma = len(mu), np.exp(log_var / 2)
    return {
        "G^z": (G, 1),
        "β μ/n": (beta * mu / n, 1),
        "μ/n (no β)": (mu / n, 0),
    }, {
        "G^z ⊙ σ ⊙ ε": (G * sigma * eps, 1 / 2),
        "β σ²/n": (beta * sigma**2 / n, 1 / 2),
        "β/n": (beta * np.ones_like(mu) / n, -1 / 2),
        "G^z ⊙ ε": (G * eps, 0),
        "G^z ⊙ σ² ⊙ ε": (G * sigma**2 * eps, 0),
        "β σ⁴/n (σ taken for σ²)": (beta * sigma**4 / n, 0),
        "β σ/n": (beta * sigma / n, 0),
        "G^z": (G, 0),
    }


def _gradients(rng, n, k):
    return *_noisy(rng, n, k), normal(rng, n, k), rng.uniform(0.3, 3)


exercise(
    "5.6a",
    "G^μ",
    _gradients,
    lambda mu, log_var, eps, G, beta: _backward(mu, log_var, eps, G, beta)[0],
    hint=(
        "μ reaches the loss on two ways: through z = μ + σ ε, and through the KL, (5.2a). Add "
        "what comes back on both; which of them has a β and a 1/n to it?"
    ),
    way=("- The likelihood has given", ""),
)
exercise(
    "5.6b",
    "G^{log σ²}",
    _gradients,
    lambda mu, log_var, eps, G, beta: _backward(mu, log_var, eps, G, beta)[1],
    hint=(
        "log σ² reaches the loss on two ways. Through z: what is ∂z/∂v, if σ = e^{v/2}? "
        "Through the KL: (5.2a). The noise is that of the forward pass, so with ε = 0 the KL "
        "alone is left."
    ),
    way=("", ", so"),
)


def _score(f, log_var, eps):
    f, sigma = f[:, None], np.exp(log_var / 2)
    return {
        "f ε/σ": (f * eps / sigma, 1),
        "f ε (no 1/σ)": (f * eps, 0),
        "f ε/σ²": (f * eps / sigma**2, 0),
    }, {"f ε²": (f * eps**2, 1 / 2), "f": (f + 0 * eps, -1 / 2), "f ε": (f * eps, 0)}


exercise(
    "5.3a",
    "by μ; by log σ²",
    lambda rng, n, k: (normal(rng, n), *_noisy(rng, n, k)[1:]),
    _score,
    hint=(
        "∇ E f = E[f ∇ log q], with z held still: differentiate log q by μ and by v = log σ², "
        "and write what comes out in terms of ε. f is one number a sample, and none of its "
        "derivatives occurs."
    ),
    way=("", ", whose derivatives are"),
)


def _reconstructions(rng, n, d):
    return normal(rng, n, d), normal(rng, n, d), rng.uniform(0.2, 3)


def _nll(x_hat, x, noise_variance):
    d, error = x.shape[1], np.sum((x - x_hat) ** 2) / len(x)
    return {
        "d log 2π": (d * np.log(2 * np.pi), 1 / 2),
        "d log σ²": (d * np.log(noise_variance), 1 / 2),
        "E/σ²": (error / noise_variance, 1 / 2),
        "E/σ": (error / noise_variance**0.5, 0),
        "E (no σ²)": (error, 0),
        "E/σ⁴": (error / noise_variance**2, 0),
    }


exercise(
    "5.4",
    "−log p(x|z)",
    _reconstructions,
    _nll,
    hint=(
        "Each feature has a normal density of mean x̂ and variance σ². Take −log of one, add "
        "up the d features, average over samples. Without any error and with σ² = 1 it is ½ "
        "log 2π a feature."
    ),
    way=(r"With $p(x|z) = N(\hat x(z)", r"$\frac12 [d \log (2\pi"),
)
exercise(
    "5.4a",
    "by x̂; by log σ²",
    _reconstructions,
    lambda x_hat, x, noise_variance: (
        {
            "(x̂ − x)/(n σ²)": ((x_hat - x) / len(x) / noise_variance, 1),
            "(x̂ − x)/n": ((x_hat - x) / len(x), 0),
            "(x̂ − x)/(n σ)": ((x_hat - x) / len(x) / noise_variance**0.5, 0),
        },
        {
            "d": (float(x.shape[1]), 1 / 2),
            "E/σ²": (np.sum((x - x_hat) ** 2) / len(x) / noise_variance, -1 / 2),
            "E": (np.sum((x - x_hat) ** 2) / len(x), 0),
        },
    ),
    hint=(
        "Start from the loss as ½ [d log 2πσ² + E/σ²]. x̂ stands in E alone, and that is "
        "(1.3) over 2σ²; for the other write σ² = e^v and differentiate by v. It is one "
        "number."
    ),
)
exercise(
    "5.4c",
    "the best σ²",
    lambda rng, n, d: _reconstructions(rng, n, d)[:2],
    lambda x_hat, x: {
        "mean of (x − x̂)² over samples and features": (np.mean((x - x_hat) ** 2), 1),
        "mean of |x − x̂|": (np.mean(np.abs(x - x_hat)), 0),
    },
    hint="Where is the second of (5.4a) zero? Try it with one sample and two features first.",
    way=(r"With $p(x|z) = N(\hat x(z)", " (This σ belongs"),
)


def _linear_gaussian(rng, d=(4, 7), k=(2, 3)):
    return normal(rng, d), normal(rng, d, k), normal(rng, d), rng.uniform(0.3, 2)


def _posterior(x, W, b, noise_variance):
    k = W.shape[1]
    inverse = np.linalg.inv(W.T @ W + noise_variance * np.eye(k))
    return {
        "M⁻¹ Wᵀ (x − b)": (inverse @ W.T @ (x - b), 1),
        "M⁻¹ Wᵀ b": (inverse @ W.T @ b, 0),
        "Wᵀ (x − b) (no M⁻¹)": (W.T @ (x - b), 0),
        "(WᵀW)⁻¹ Wᵀ (x − b) (M without σ²)": (np.linalg.pinv(W) @ (x - b), 0),
    }, {
        "σ² M⁻¹": (noise_variance * inverse, 1),
        "M⁻¹ (no σ²)": (inverse, 0),
        "I": (np.eye(k), 0),
    }


exercise(
    "5.1d",
    "the posterior's mean; the posterior's covariance",
    _linear_gaussian,
    _posterior,
    hint=(
        "log p(x|z) + log p(z) is quadratic in z, so the posterior is Gaussian. Compare with "
        "−½ zᵀ S⁻¹ z + zᵀ S⁻¹ m: the quadratic part tells S, the linear one then m."
    ),
    way=("", "Comparing the two"),
)


def _two_gaussians(rng, k):
    return normal(rng, k), covariance(rng, k), normal(rng, k), covariance(rng, k)


def _between(mu_q, Sigma_q, mu_p, Sigma_p):
    step, inverse = mu_q - mu_p, np.linalg.inv(Sigma_p)
    wrong = np.linalg.inv(Sigma_q)
    return {
        "tr(Σ_p⁻¹ Σ_q)": (np.trace(inverse @ Sigma_q), 1 / 2),
        "(μ_q − μ_p)ᵀ Σ_p⁻¹ (μ_q − μ_p)": (step @ inverse @ step, 1 / 2),
        "k": (float(len(step)), -1 / 2),
        "log |Σ_p|": (np.linalg.slogdet(Sigma_p)[1], 1 / 2),
        "log |Σ_q|": (np.linalg.slogdet(Sigma_q)[1], -1 / 2),
        "tr(Σ_q⁻¹ Σ_p) (the other way round)": (np.trace(wrong @ Sigma_p), 0),
        "(μ_q − μ_p)ᵀ Σ_q⁻¹ (μ_q − μ_p) (the other way round)": (step @ wrong @ step, 0),
    }


exercise(
    "5.2e",
    "KL(q‖p)",
    _two_gaussians,
    _between,
    hint=(
        "As (5.2), with the quadratic forms of both covariances in the place of z² and ε². "
        "The mean of a quadratic form is a trace and the form at the mean. It is 0 if both "
        "Gaussians are the same."
    ),
    way=("For full covariances (posteriors have them)", ""),
)
exercise(
    "5.5",
    "L_K of each sample",
    lambda rng, n, K: (3 * normal(rng, n, K) - 900,),
    lambda log_w: {
        "log Σ w": (logsumexp(log_w), 1),
        "log K": (np.log(log_w.shape[1]) + 0 * log_w[:, 0], -1),
        "the mean of log w (the plain ELBO)": (log_w.mean(axis=1), 0),
        "the largest log w": (log_w.max(axis=1), 0),
    },
    hint=(
        "It is the logarithm of the mean of the K weights w, not the mean of the logarithms. "
        "Take the largest log w of each row out before the exponential, and put it back "
        "behind the logarithm."
    ),
    way=(r"One draw gives $\log w$", '<a id="5.5a">'),
)
