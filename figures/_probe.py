"""A linear probe: how much of a class a linear map can read off features."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize


def standardised(train, *others):
    """Features of mean 0 and variance 1, by those of the training samples alone."""
    mean, scale = train.mean(axis=0), train.std(axis=0)
    scale = np.where(scale > 0, scale, 1)
    return [(features - mean) / scale for features in (train, *others)]


def accuracy(train, train_labels, test, test_labels, strength=0.1):
    """Share of the test samples that logistic regression, learned on the others, gets right.

    Minimises ``strength · Σ −log p(label|features) + ½ ‖W‖²``.
    """
    if len(train) < train.shape[1]:  # the best W is a sum of samples, so it has no other axes
        axes = np.linalg.svd(train, full_matrices=False)[2].T
        train, test = train @ axes, test @ axes
    train, test = (np.c_[part, np.ones(len(part))].astype(float) for part in (train, test))
    classes, wanted = np.unique(train_labels, return_inverse=True)
    shape, rows = (train.shape[1], len(classes)), np.arange(len(train))

    def loss(theta):
        W = theta.reshape(shape)
        logits = train @ W
        logits -= logits.max(axis=1, keepdims=True)
        p = np.exp(logits)
        p /= p.sum(axis=1, keepdims=True)
        nll = -np.log(p[rows, wanted]).sum()
        p[rows, wanted] -= 1
        penalised = W.copy()
        penalised[-1] = 0  # not the bias
        value = strength * nll + (penalised**2).sum() / 2
        return value, (strength * train.T @ p + penalised).ravel()

    start, options = np.zeros(shape).ravel(), {"maxiter": 300}
    W = minimize(loss, start, jac=True, method="L-BFGS-B", options=options).x.reshape(shape)
    return float(np.mean(classes[np.argmax(test @ W, axis=1)] == test_labels))
