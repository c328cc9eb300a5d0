"""Backprop."""

from __future__ import annotations

import numpy as np

from derivations.exercises.grading import exercise
from derivations.exercises.terms.draw import normal, sigmoid


def _square(rng, n, p):
    return normal(rng, n, p), normal(rng, n, p)


exercise(
    "1.1a",
    "∂L/∂W",
    _square,
    lambda x, G: {
        "xᵀ G": (x.T @ G, 1),
        "Gᵀ x (the transpose)": (G.T @ x, 0),
        "the last sample's part alone": (np.outer(x[-1], G[-1]), 0),
    },
    hint=(
        "Write out one entry, y_rj = Σ_i x_ri W_ij + b_j: with which factor does W_ij move "
        "it? Which index is left to be summed, and where must it stand to make a product of "
        "matrices?"
    ),
    way=("", "The sum over"),
)
exercise(
    "1.1b",
    "∂L/∂b",
    lambda rng, n, q: (normal(rng, n, q),),
    lambda G: {
        "Σ_r G_r": (G.sum(axis=0), 1),
        "the last sample's part alone": (G[-1], 0),
    },
    hint=(
        "b_j is added in every row of y and nowhere else: in how many of the y's does it "
        "stand, and with which factor? The result has the shape of b."
    ),
)
exercise(
    "1.1c",
    "∂L/∂x",
    lambda rng, n, p: (normal(rng, p, p), normal(rng, n, p)),
    lambda W, G: {
        "G Wᵀ": (G @ W.T, 1),
        "G W (W not transposed)": (G @ W, 0),
    },
    hint=(
        "x_ri enters the outputs of its own row alone: each with which factor? W is square "
        "here, so look which of its indices is summed."
    ),
    way=("", ", so"),
)


def _outputs(rng, n, q):
    return (np.tanh(normal(rng, n, q)),)


exercise(
    "1.2a",
    "f'(a)",
    _outputs,
    lambda y: {
        "1": (np.ones_like(y), 1),
        "y²": (y**2, -1),
        "y": (y, 0),
        "tanh(y)² (tanh taken of its own output)": (np.tanh(y) ** 2, 0),
    },
    hint=(
        "tanh = sinh/cosh: the quotient rule, then say it in terms of y alone. At y = 0 the "
        "slope is 1, and it falls to 0 as |y| → 1."
    ),
    way=("", "$(s/c)'"),
)
exercise(
    "1.2b",
    "f'(a)",
    lambda rng, n, q: (sigmoid(2 * normal(rng, n, q)),),
    lambda y: {
        "y": (y, 1),
        "y²": (y**2, -1),
        "1": (np.ones_like(y), 0),
        "σ(y) (σ taken of its own output)": (sigmoid(y), 0),
        "σ(y)² (σ taken of its own output)": (sigmoid(y) ** 2, 0),
    },
    hint=(
        "Differentiate 1/(1 + e^−a), and split what comes out into two factors: one is y; "
        "what is the other in terms of y? The slope is largest at y = ½, and ¼ there."
    ),
    way=("", ", which is the product of"),
)
exercise(
    "1.2c",
    "f'(a)",
    lambda rng, n, q: (np.maximum(normal(rng, n, q), 0),),
    lambda y: {
        "[y > 0]": (y > 0, 1),
        "1 everywhere": (np.ones_like(y), 0),
        "y": (y, 0),
    },
    hint=(
        "What is the slope to the right of 0, and what to its left? Then tell from y on which "
        "side a was."
    ),
    way=("", ", and $a > 0$ exactly"),
)
exercise(
    "1.2d",
    "f'(a)",
    lambda rng, n, q: (np.logaddexp(0, normal(rng, n, q)),),
    lambda y: {
        "1": (np.ones_like(y), 1),
        "e^−y": (np.exp(-y), -1),
        "σ(y) (the slope at y, not at a)": (sigmoid(y), 0),
    },
    hint=(
        "Differentiate log(1 + e^a) by a first; then get rid of a, with e^y = 1 + e^a. For y "
        "→ 0 the slope goes to 0, for large y to 1."
    ),
    way=("", ", this is"),
)
exercise(
    "1.3",
    "∂L/∂x̂",
    lambda rng, n, d: (normal(rng, n, d), normal(rng, n, d)),
    lambda x_hat, x: {
        "x̂/n": (x_hat / len(x), 2),
        "x/n": (x / len(x), -2),
    },
    hint=(
        "One entry of x̂ stands in one term of the double sum. Differentiate that square; "
        "what stands in front of the sum stays."
    ),
    way=("", ", so the derivative is"),
)


def _clipped(a, x):
    p = np.clip(sigmoid(a), 1e-7, 1 - 1e-7)
    return -x * np.log(p) - (1 - x) * np.log1p(-p)


def _logits(rng, n, d):
    a = 3 * normal(rng, n, d)
    a[0, 0] = 1000 * (-1) ** n
    return a, rng.random((n, d))


exercise(
    "1.4a",
    "the loss of each pixel",
    _logits,
    lambda a, x: {
        "max(a, 0)": (np.maximum(a, 0), 1),
        "log(1 + e^−|a|)": (np.log1p(np.exp(-np.abs(a))), 1),
        "x a": (x * a, -1),
        "a": (a, 0),
        "log(1 + e^x) (a and x have changed places)": (np.log1p(np.exp(x)), 0),
        "the loss of probabilities clipped at 1e-7": (_clipped(a, x), 0),
        "x log(1 + e^−|a|)": (x * np.log1p(np.exp(-np.abs(a))), 0),
    },
    hint=(
        "Work the logarithms out before computing anything: log σ(a) = −softplus(−a). Then "
        "take the larger term out from under the logarithm of softplus, so that no exponent "
        "is positive."
    ),
    way=("", r"$$\log(1 + e^a) = \log"),
)


def _bernoulli(rng, n, d):
    return 2 * normal(rng, n, d), rng.random((n, d))


exercise(
    "1.4b",
    "∂L/∂a",
    _bernoulli,
    lambda a, x: {
        "σ(a)/n": (sigmoid(a) / len(x), 1),
        "x/n": (x / len(x), -1),
        "σ(a) σ'(a)/n (one σ' too many)": (sigmoid(a) ** 2 * sigmoid(-a) / len(x), 0),
        "x σ'(a)/n (one σ' too many)": (x * sigmoid(a) * sigmoid(-a) / len(x), 0),
        "a/n (the logit for its σ)": (a / len(x), 0),
        "(σ(a) − x)/σ'(a)/n (by the probability, not by the logit)": (
            (sigmoid(a) - x) / (sigmoid(a) * sigmoid(-a)) / len(x),
            0,
        ),
    },
    hint=(
        "Write each term as softplus(a) − x a, as in (1.4a), and differentiate that. Where "
        "the probability is the target the gradient is 0; and L is a mean."
    ),
    way=("For the gradient differentiate", "; the slope of"),
)


def _two_layers(rng, n, d, k):
    return normal(rng, n, d), normal(rng, d, k), normal(rng, k, d), normal(rng, n, d)


def _chain(x, W1, W2, G):
    a = x @ W1
    h, G_h = np.tanh(a), G @ W2.T
    return {
        "xᵀ (G W₂ᵀ)": (x.T @ G_h, 1),
        "xᵀ (G W₂ᵀ ⊙ h²)": (x.T @ (G_h * h**2), -1),
        "xᵀ (G W₂ᵀ ⊙ h)": (x.T @ (G_h * h), 0),
        "xᵀ (G W₂ᵀ ⊙ a²) (a for h)": (x.T @ (G_h * a**2), 0),
    }, {
        "hᵀ G": (h.T @ G, 1),
        "aᵀ G (the layer's a for its output)": (a.T @ G, 0),
    }


exercise(
    "1.2e",
    "∂L/∂W₁; ∂L/∂W₂",
    _two_layers,
    _chain,
    hint=(
        "Forward there are three lines: a = x W₁, h = tanh(a), y = h W₂. Go back through "
        "them, the last one first, with one rule for each: (1.1a) and (1.1c), (1.2a), (1.1a)."
    ),
)
exercise(
    "1.5c",
    "C_h",
    lambda rng, n: (*normal(rng, 4, n), 0.1 + rng.random()),
    lambda f_minus2, f_minus1, f_plus1, f_plus2, h: {
        "[f(x + h) − f(x − h)]/h": ((f_plus1 - f_minus1) / h, 2 / 3),
        "[f(x + 2h) − f(x − 2h)]/h": ((f_plus2 - f_minus2) / h, -1 / 12),
        "f(x + h)/h": (f_plus1 / h, 0),
        "f(x + 2h)/h": (f_plus2 / h, 0),
    },
    hint=(
        "Expand f(x ± h) and f(x ± 2h) up to h³ and take differences, so that even powers go. "
        "Combine the two so that h³ goes as well, and divide by what stands before f'. It "
        "must be exact for f = x³."
    ),
    way=("", "Eight times the"),
)


def _decayed(rng, p, q):
    return normal(rng, p, q), normal(rng, q), 0.1 + rng.random()


exercise(
    "1.9",
    "the penalty's ∂/∂W; the penalty's ∂/∂b",
    _decayed,
    lambda W, b, decay: (
        {"λ W": (decay * W, 2), "W": (W, 0)},
        {"λ b": (decay * b, 0)},
    ),
    hint=(
        "‖W‖² is the sum of the squares of W's entries, and each stands in one term. Does b "
        "stand in any? Its gradient has b's shape all the same."
    ),
    way=("", ", and"),
)
exercise(
    "1.10c",
    "the limit of the uniform distribution",
    lambda rng, n_in=(2, 60), n_out=(2, 60): (n_in, n_out, rng.uniform(0.5, 2)),
    lambda n_in, n_out, gain: {
        "gain √(6/(n_in + n_out))": (gain * (6 / (n_in + n_out)) ** 0.5, 1),
        "√(6/(n_in + n_out)) (no gain)": ((6 / (n_in + n_out)) ** 0.5, 0),
        "gain/√n_in": (gain / n_in**0.5, 0),
        "gain/√n_out": (gain / n_out**0.5, 0),
        "gain · 6/(n_in + n_out) (no root)": (gain * 6 / (n_in + n_out), 0),
    },
    hint=(
        "Signals keep their size at the variance gain²/n_in, gradients at gain²/n_out; the "
        "compromise has the mean of n_in and n_out in their place. For which c has the "
        "uniform distribution on ±c that variance?"
    ),
    way=("", r"$2/(n_\text{in}"),
)


def _moved(rng, n):
    return *normal(rng, 3, n), rng.uniform(0.01, 0.5), rng.uniform(0.5, 0.95)


def _momentum(theta, velocity, g, learning_rate, momentum):
    terms = {
        "μ v": (momentum * velocity, 1),
        "η g": (learning_rate * g, -1),
        "(1 − μ) η g (a moving average)": ((1 - momentum) * learning_rate * g, 0),
        "v": (velocity, 0),
    }
    return terms, {**terms, "θ": (theta, 1)}


exercise(
    "1.12",
    "the new v; the new θ",
    _moved,
    _momentum,
    hint=(
        "The velocity keeps a part of itself and adds what plain gradient descent would do. θ "
        "then moves by the velocity: by the old or by the new one? With μ = 0 it must be "
        "gradient descent."
    ),
    way=(r"The last step was $\theta_t", r"Write $\theta_t"),
)


def _moments(rng, n):
    return (
        normal(rng, n), rng.uniform(0.1, 2, n), normal(rng, n), int(rng.integers(2, 9)),
        rng.uniform(0.01, 0.5), rng.uniform(0.5, 0.8), rng.uniform(0.85, 0.99), 0.1,
    )  # fmt: skip


def _adam(m, v, g, t, learning_rate, beta_1, beta_2, epsilon):
    m_new, v_new = beta_1 * m + (1 - beta_1) * g, beta_2 * v + (1 - beta_2) * g**2
    m_hat, v_hat = m_new / (1 - beta_1**t), v_new / (1 - beta_2**t)
    return {
        "β₁ m": (beta_1 * m, 1), "(1 − β₁) g": ((1 - beta_1) * g, 1),
        "β₂ m (the betas swapped)": (beta_2 * m, 0),
        "(1 − β₂) g (the betas swapped)": ((1 - beta_2) * g, 0),
    }, {
        "β₂ v": (beta_2 * v, 1), "(1 − β₂) g²": ((1 - beta_2) * g**2, 1),
        "β₁ v (the betas swapped)": (beta_1 * v, 0),
        "(1 − β₁) g² (the betas swapped)": ((1 - beta_1) * g**2, 0),
    }, {
        "η m̂/(√v̂ + ε)": (learning_rate * m_hat / (np.sqrt(v_hat) + epsilon), -1),
        "η m/(√v + ε) (no bias correction)": (
            learning_rate * m_new / (np.sqrt(v_new) + epsilon), 0
        ),
        "η m̂/√(v̂ + ε) (ε inside the root)": (learning_rate * m_hat / np.sqrt(v_hat + epsilon), 0),
        "η g": (learning_rate * g, 0),
    }  # fmt: skip


exercise(
    "1.14",
    "the new m; the new v; the step",
    _moments,
    _adam,
    hint=(
        "m and v are running means, of g and of its square, each with its own β. Started from 0 "
        "they are too small: by which factor, if the gradient has been the same for t steps? "
        "Correct both; the step is against the mean of g, over the root of the mean square, with "
        "ε outside of the root."
    ),
    way=(r"Why divide by $1 - \beta^t$?", '<a id="1.14b">'),
)
