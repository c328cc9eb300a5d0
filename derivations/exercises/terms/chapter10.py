"""Convolution."""

from __future__ import annotations

import numpy as np

from derivations.exercises.grading import exercise
from derivations.exercises.terms.draw import normal


def _signal(rng, N=(9, 13), k=(2, 4), s=(1, 3)):
    return normal(rng, N), normal(rng, k), s


def windows(x, k, s):
    return np.lib.stride_tricks.sliding_window_view(x, k)[::s]


def _forward(x, w, stride):
    seen = windows(x, len(w), stride)
    return {
        "Σ_a w[a] x[is + a]": (seen @ w, 1),
        "Σ_a w[k − 1 − a] x[is + a] (the kernel flipped)": (seen @ w[::-1], 0),
        "the first tap's part alone": (seen[:, 0] * w[0], 0),
    }


exercise(
    "10.1",
    "y",
    _signal,
    _forward,
    hint=(
        "Window i begins at i times the stride, and the kernel is not flipped. How many "
        "windows there are says (10.1a). A kernel of one tap 1 gives back every stride-th "
        "value."
    ),
)


def _ends(rng, N=(9, 13), k=(2, 4), s=(1, 3)):
    x, w, stride = _signal(rng, N, k, s)
    return x, w, normal(rng, len(windows(x, k, s))), stride


def laid_down(w, g, stride, N, last=False):
    grad = np.zeros(N)
    for i, value in enumerate(g):
        place = slice(i * stride, i * stride + len(w))
        grad[place] = value * w if last else grad[place] + value * w
    return grad


def _kernel(x, w, g, stride):
    seen = windows(x, len(w), stride)
    return {
        "Σ_i g[i] x[is + a]": (g @ seen, 1),
        "the same with its taps in the other order": (g @ seen[:, ::-1], 0),
        "the last window's part alone": (g[-1] * seen[-1], 0),
    }


def _input(x, w, g, stride):
    N = len(x)
    return {
        "Σ w[a] g[i] over is + a = j": (laid_down(w, g, stride, N), 1),
        "the same where windows do not add up but overwrite": (
            laid_down(w, g, stride, N, last=True),
            0,
        ),
        "the same with the kernel flipped": (laid_down(w[::-1], g, stride, N), 0),
    }


exercise(
    "10.1b",
    "∂L/∂w",
    _ends,
    _kernel,
    hint=(
        "y is linear in w: which value of x is the factor of tap a in y[i]? Then the chain "
        "rule over all outputs. The result is as long as w."
    ),
    way=("**Backward.**", r"$\sum_{o,i} g[o,i]"),
)
exercise(
    "10.1c",
    "∂L/∂x",
    lambda rng, N=(9, 13), k=(2, 4): _ends(rng, N, k, 1 + N % 2),
    _input,
    hint=(
        "Which outputs does x[j] reach, and through which tap each? It is easier told from "
        "the other side: what does one g[i] send back, and to which places? What lies in "
        "several windows gets several parts."
    ),
    way=("In the same way a change of", ""),
)


def _sizes(rng, N=(8, 40), k=(2, 7), s=(2, 5), p=(0, 3)):
    return N, k, s, p


exercise(
    "10.1a",
    "m",
    _sizes,
    lambda N, k, s, p: {
        "⌊(N + 2p − k)/s⌋": ((N + 2 * p - k) // s, 1),
        "1": (1, 1),
        "⌈(N + 2p − k)/s⌉ (rounded up)": (-((k - N - 2 * p) // s), 0),
        "⌊(N + p − k)/s⌋ (padding on one side)": ((N + p - k) // s, 0),
        "⌊N/s⌋": (N // s, 0),
    },
    hint=(
        "The first window begins at 0, the m-th where? It must end within N + 2p values. "
        "Solve for m; what of a remainder?"
    ),
)
exercise(
    "10.5",
    "n_j for j = 0, …, s − 1",
    lambda rng, k=(2, 12), s=(2, 6): (k, s),
    lambda k, s: {
        "⌊k/s⌋": (np.full(s, k // s), 1),
        "[j mod s < k mod s]": (np.arange(s) < k % s, 1),
        "k/s": (np.full(s, k / s), 0),
        "1": (np.ones(s), 0),
    },
    hint=(
        "Window i sees the place j if i s ≤ j ≤ i s + k − 1: count the i, negative ones too. "
        "If s divides k there are as many for every j."
    ),
    way=("Far from the borders, window", " That makes"),
)


def _stack(rng, layers=(3, 5)):
    return rng.integers(2, 6, layers), rng.integers(1, 4, layers)


def _field(kernels, strides):
    before = np.concatenate([[1], np.cumprod(strides)[:-1]])
    return {
        "1": (1, 1),
        "Σ_l (k_l − 1) Π_{i<l} s_i": (np.sum((kernels - 1) * before), 1),
        "Σ_l (k_l − 1) Π_{i≤l} s_i (its own stride counted)": (
            np.sum((kernels - 1) * np.cumprod(strides)),
            0,
        ),
        "Σ_l k_l Π_{i<l} s_i (k for k − 1)": (np.sum(kernels * before), 0),
        "Σ_l (k_l − 1) (no strides)": (np.sum(kernels - 1), 0),
    }


exercise(
    "10.7",
    "r",
    _stack,
    _field,
    hint=(
        "Within layer l a kernel spans k_l − 1 steps. How many pixels is one such step: which "
        "strides count, its own too? With one layer the answer is its kernel."
    ),
    way=("", "Place $i$ of the last layer"),
)


def _pooled(rng, m, k):
    return rng.integers(0, 3, m * k).astype(float), normal(rng, m), k


def _max_pool(x, g, k):
    rows = x.reshape(-1, k)
    winner = np.arange(k) == rows.argmax(axis=1)[:, None]
    all_largest = rows == rows.max(axis=1, keepdims=True)
    return {
        "g at the first of the largest of each window": ((g[:, None] * winner).ravel(), 1),
        "g at all that are largest": ((g[:, None] * all_largest).ravel(), 0),
        "g everywhere": (np.repeat(g, k), 0),
        "g/k everywhere (average pooling)": (np.repeat(g / k, k), 0),
        "g at the first of each window": ((g[:, None] * (np.arange(k) == 0)).ravel(), 0),
    }


exercise(
    "10.8",
    "∂L/∂x",
    _pooled,
    _max_pool,
    hint=(
        "A small change of a value that is not the largest of its window changes nothing: so "
        "who gets the gradient? Reshape x to one row a window."
    ),
)
exercise(
    "10.8a",
    "∂L/∂x",
    lambda rng, m, k: (normal(rng, m), k),
    lambda g, k: {
        "g/k": (np.repeat(g, k) / k, 1),
        "g/k at the first of each window": ((g[:, None] / k * (np.arange(k) == 0)).ravel(), 0),
    },
    hint=(
        "Forward, each value of a window counts for 1/k of the mean. What share of the "
        "gradient is then its own? The result is k times as long as g."
    ),
    way=("", "the part $k^{-D}$"),
)
