"""Sequences."""

from __future__ import annotations

import numpy as np

from derivations.exercises.grading import exercise
from derivations.exercises.terms.draw import logsumexp, normal, softmax


def _states(rng, T, k):
    return np.tanh(normal(rng, T, k)), normal(rng, k, k), normal(rng, T, k)


def through_time(h, U, G, *, outer=True, last_outer=False, transposed=True, slope=None):
    """δ_t of every step; the switches make the mistakes."""
    slope = 1 - h**2 if slope is None else slope
    delta, back = np.zeros_like(h), np.zeros(h.shape[1])
    for t in reversed(range(len(h))):
        own = G[t] if outer and (not last_outer or t == len(h) - 1) else 0
        delta[t] = slope[t] * (own + back)
        back = (U.T if transposed else U) @ delta[t]
    return delta


def _bptt(h, U, G):
    return {
        "δ_t = f'(a_t) ⊙ (G_t + Uᵀ δ_{t+1})": (through_time(h, U, G), 1),
        "the same with G_T of the last step alone": (through_time(h, U, G, last_outer=True), 0),
        "the same with U for Uᵀ": (through_time(h, U, G, transposed=False), 0),
        "f'(a_t) ⊙ G_t (nothing from later steps)": (through_time(h, 0 * U, G), 0),
        "the same with a slope of 1": (through_time(h, U, G, slope=np.ones_like(h)), 0),
        "the same with 1 − h for 1 − h²": (through_time(h, U, G, slope=1 - h), 0),
    }


exercise(
    "11.1",
    "δ",
    _states,
    _bptt,
    hint=(
        "Last step first. A state has two users, the outside and the next step: add what each "
        "sends back, and pass that through tanh, (1.2a). Through U a gradient goes back as "
        "through a dense layer, (1.1c)."
    ),
    way=("", r"$\delta_t = \partial L"),
)


def _shared(delta, x, h):
    before = np.vstack([np.zeros(h.shape[1]), h[:-1]])
    return (
        {
            "Σ_t δ_t x_tᵀ": (delta.T @ x, 1),
            "δ_T x_Tᵀ, the last step's part alone": (np.outer(delta[-1], x[-1]), 0),
        },
        {
            "Σ_t δ_t h_{t−1}ᵀ": (delta.T @ before, 1),
            "Σ_t δ_t h_tᵀ (h_t for h_{t−1})": (delta.T @ h, 0),
            "its transpose": (before.T @ delta, 0),
            "δ_T h_{T−1}ᵀ, the last step's part alone": (np.outer(delta[-1], before[-1]), 0),
        },
        {"Σ_t δ_t": (delta.sum(axis=0), 1), "δ_T, the last step's part alone": (delta[-1], 0)},
    )


exercise(
    "11.1a",
    "∂L/∂W; ∂L/∂U; ∂L/∂b",
    lambda rng, T, d, k: (normal(rng, T, k), normal(rng, T, d), normal(rng, T, k)),
    _shared,
    hint=(
        "W, U and b are used at every step: add up what each use alone would give, (1.1a). "
        "What is U's input at step t, and what at the first?"
    ),
)


def _gates(g, h_before, z, c):
    return {
        "g ⊙ (1 − z)": (g * (1 - z), 1),
        "g ⊙ (1 − z) ⊙ c²": (g * (1 - z) * c**2, -1),
        "g ⊙ z": (g * z, 0),
        "g ⊙ z ⊙ c²": (g * z * c**2, 0),
        "g ⊙ (1 − z) ⊙ c": (g * (1 - z) * c, 0),
    }, {
        "g ⊙ h_{t−1} ⊙ z (1 − z)": (g * h_before * z * (1 - z), 1),
        "g ⊙ c ⊙ z (1 − z)": (g * c * z * (1 - z), -1),
        "g ⊙ h_{t−1}": (g * h_before, 0),
        "g ⊙ c": (g * c, 0),
    }


exercise(
    "11.2",
    "δ^c; δ^z",
    lambda rng, n, k: (
        normal(rng, n, k),
        np.tanh(normal(rng, n, k)),
        rng.uniform(0.1, 0.9, (n, k)),
        np.tanh(normal(rng, n, k)),
    ),
    _gates,
    hint=(
        "Go back through the last line: what does g send to c, and what to z? Then through "
        "tanh and σ, each from its own output, (1.2a) and (1.2b). If h_before = c, z matters "
        "to nobody."
    ),
    way=("", "The last line sends"),
)


def _padded(rng, n=(3, 6), T=(3, 6)):
    lengths = rng.integers(1, T + 1, n)
    return rng.uniform(0.1, 2, (n, T)), lengths


def _sequences(losses, lengths):
    there = np.arange(losses.shape[1]) < lengths[:, None]
    total = np.sum(losses * there)
    return {
        "Σ over the steps that are there, over n": (total / len(losses), 1),
        "the same over all steps, padding counted": (losses.sum() / len(losses), 0),
        "a mean over the steps that are there": (total / there.sum(), 0),
        "a mean over sequences of their means": (
            np.mean(np.sum(losses * there, axis=1) / lengths),
            0,
        ),
    }


exercise(
    "11.3b",
    "L",
    _padded,
    _sequences,
    hint=(
        "A sequence is one sample, whatever its length: what is summed, then, and what "
        "averaged? More padding must not move it, and neither must which lengths come "
        "together."
    ),
)


def _noise(errors, lengths, n_features):
    there = np.arange(errors.shape[1]) < lengths[:, None]
    total = np.sum(errors * there)
    return {
        "Σ ‖x − x̂‖² over the steps that are there, a value": (
            total / (there.sum() * n_features),
            1,
        ),
        "the same, divided by all steps, padding counted": (total / errors.size / n_features, 0),
        "the same over n": (total / len(errors) / n_features, 0),
        "the same a step, not a value": (total / there.sum(), 0),
    }


exercise(
    "11.3c",
    "the best σ²",
    lambda rng, n=(3, 6), T=(3, 6), p=(2, 5): (*_padded(rng, n, T), p),
    _noise,
    hint=(
        "Each value that is there has ½ log 2πσ² + e²/2σ². Add up all of them, and set the "
        "derivative by log σ² to 0. How many values has a step?"
    ),
)


def _tokens(rng, n, V=(3, 8)):
    logits = 2 * normal(rng, n, V)
    logits[0] += 900
    return logits, rng.integers(0, V, n)


def _onehot(logits, x):
    return (np.arange(logits.shape[1]) == x[:, None]) * 1.0


exercise(
    "11.4",
    "ℓ of each token",
    _tokens,
    lambda logits, x: {
        "log Σ_v e^{a_v}": (logsumexp(logits), 1),
        "a_x": (np.sum(logits * _onehot(logits, x), axis=1), -1),
        "the largest a_v": (logits.max(axis=1), 0),
        "log V": (np.log(logits.shape[1]) + 0 * logits[:, 0], 0),
    },
    hint=(
        "Take the logarithm of the softmax on paper: what becomes of the quotient, and of the "
        "exponential above? What is left below must not overflow, so take the row's largest "
        "logit off first."
    ),
)
exercise(
    "11.4a",
    "∂ℓ/∂a",
    _tokens,
    lambda logits, x: {
        "P": (softmax(logits), 1),
        "1{v = x}": (_onehot(logits, x), -1),
        "P (1 − P) (as if elementwise)": (softmax(logits) * (1 - softmax(logits)), 0),
        "P(x) everywhere": (
            np.sum(softmax(logits) * _onehot(logits, x), axis=1)[:, None] + 0 * logits,
            0,
        ),
    },
    hint=(
        "Differentiate (11.4) by each a_v: the first term gives something that you know, the "
        "second moves with one of them only. Each row adds up to 0."
    ),
    way=("It goes out as $V$ logits", '<a id="11.4">'),
)


def _attention(rng, n, m, d):
    return softmax(normal(rng, n, m)), normal(rng, n, m), normal(rng, n, d), normal(rng, m, d)


def _scores(P, P_bar):
    return {
        "P ⊙ P̄": (P * P_bar, 1),
        "P ⊙ Σ_l P_l P̄_l": (P * np.sum(P * P_bar, axis=1, keepdims=True), -1),
        "P² ⊙ P̄ (the softmax as if elementwise)": (P**2 * P_bar, 0),
        "P ⊙ Σ_l P̄_l": (P * P_bar.sum(axis=1, keepdims=True), 0),
    }


exercise(
    "11.6",
    "S̄",
    lambda rng, n, m: _attention(rng, n, m, 2)[:2],
    _scores,
    hint=(
        "A softmax is not entrywise: ∂P_il/∂S_ij = P_il (1{l = j} − P_ij). Chain rule over l. "
        "Each row of the result adds up to 0."
    ),
    way=("For the softmax,", ", so"),
)
exercise(
    "11.6a",
    "Q̄; K̄",
    lambda rng, n, m, d: (normal(rng, n, m), *_attention(rng, n, m, d)[2:]),
    lambda S_bar, Q, K: (
        {
            "S̄ K/√d": (S_bar @ K / K.shape[1] ** 0.5, 1),
            "S̄ K (no 1/√d)": (S_bar @ K, 0),
            "S̄ K/d": (S_bar @ K / K.shape[1], 0),
        },
        {
            "S̄ᵀ Q/√d": (S_bar.T @ Q / K.shape[1] ** 0.5, 1),
            "S̄ᵀ Q (no 1/√d)": (S_bar.T @ Q, 0),
            "S̄ᵀ Q/d": (S_bar.T @ Q / K.shape[1], 0),
        },
    ),
    hint=(
        "Q Kᵀ is a product, as x W is: (1.1c) for the left factor, (1.1a) for the right one, "
        "which stands transposed. The 1/√d goes along."
    ),
    way=("**Backwards.** $O = PV$", "For the softmax,"),
)


def _masked(rng, n, m=(3, 7)):
    mask = rng.random((n, m)) < 0.6
    mask[:, 0] = True
    return normal(rng, n, m), mask


exercise(
    "11.6c",
    "P",
    _masked,
    lambda S, mask: {
        "e^S/Σ e^S over what is there": (softmax(np.where(mask, S, -np.inf)), 1),
        "the softmax of all, masked after it": (softmax(S) * mask, 0),
        "the softmax of all": (softmax(S), 0),
        "the softmax with scores of 0 in place of −∞": (softmax(S * mask), 0),
    },
    hint=(
        "What is masked must have no weight, and what is left must add up to 1: so at which "
        "place does the mask belong, before the softmax or after it, and which score has no "
        "weight?"
    ),
    way=("**Masks.**", ""),
)


def _norm(rng, n, d=(3, 7)):
    return normal(rng, n, d) * 2, normal(rng, n, d)


def _layer_norm(x, q):
    s = x.std(axis=1, keepdims=True)
    x_hat = (x - x.mean(axis=1, keepdims=True)) / s
    along, d = np.mean(q * x_hat, axis=1, keepdims=True), x.shape[1]
    less = np.sqrt((d - 1) / d)  # 1/s with d − 1 for d, over 1/s
    return {
        "q/s": (q / s, 1),
        "mean q/s": (q.mean(axis=1, keepdims=True) / s + 0 * q, -1),
        "x̂ (1/d) q·x̂/s": (x_hat * along / s, -1),
        "q": (q, 0),
        "q/s²": (q / s**2, 0),
        "q/s with d − 1 for d": (q / s * less, 0),
        "mean q/s with d − 1 for d": (q.mean(axis=1, keepdims=True) / s * less + 0 * q, 0),
        "x̂ (1/d) q·x̂/s with d − 1 for d": (x_hat * along / s * less**3, 0),
        "x (1/d) q·x/s (x for x̂)": (x * np.mean(q * x, axis=1, keepdims=True) / s, 0),
    }


exercise(
    "11.8",
    "∂L/∂x",
    _norm,
    _layer_norm,
    hint=(
        "A change dx moves x̂ by itself, through the mean, and through s. Write dx̂ with all "
        "three, take its product with q, and read off what stands before dx. A shift of x "
        "changes nothing, so each row adds up to 0."
    ),
    way=("", "Hence"),
)
