"""Random arguments, and a few functions that several chapters need."""

from __future__ import annotations

import numpy as np


def normal(rng, *shape):
    return rng.standard_normal(shape)


def covariance(rng, d):
    """Well conditioned, of no special axes."""
    B = normal(rng, d, d)
    return B @ B.T / d + 0.3 * np.eye(d)


def spectrum(rng, d):
    """Eigenvalues in falling order, well apart from each other."""
    return np.cumsum(rng.uniform(0.2, 1.5, d))[::-1].copy()


def sigmoid(a):
    return (1 + np.tanh(a / 2)) / 2


def softmax(a):
    e = np.exp(a - a.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def logsumexp(a):
    top = a.max(axis=-1)
    return top + np.log(np.exp(a - top[..., None]).sum(axis=-1))


def soft(v, t):
    return np.sign(v) * np.maximum(np.abs(v) - t, 0)
