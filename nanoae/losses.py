"""Losses: the value and the gradient, side by side.

All sum over features (or latent dimensions) and average over the samples of the batch. Each
takes ``out=``, an array for the gradient with respect to its first argument, which may be that
argument itself.
"""

from __future__ import annotations

import numpy as np

from nanoae.arrays import Array
from nanoae.network.activations import sigmoid, softplus

LOG_2PI = float(np.log(2 * np.pi))


def squared_error(x_hat: Array, x: Array, *, out: Array | None = None) -> tuple[float, Array]:
    """``(1/n) Σ ‖x − x̂‖²``.

    Parameters
    ----------
    x_hat, x : ndarray of shape (n, d)
    out : ndarray of shape (n, d), optional
        Receives the gradient.

    Returns
    -------
    loss : float
    grad_x_hat : ndarray of shape (n, d)
        ``2 (x̂ − x) / n``.
    """
    residual = np.subtract(x_hat, x, out=out)
    loss = np.dot(residual.ravel(), residual.ravel()) / len(x)
    residual *= 2 / len(x)
    return loss, residual


def bernoulli_nll(logits: Array, x: Array, *, out: Array | None = None) -> tuple[float, Array]:
    """Negative log-likelihood of ``x`` in [0, 1] under Bernoulli(σ(a)), in nats per sample.

    ``(1/n) Σ softplus(a) − x a``, which overflows at no logit; for ``x`` strictly between 0 and
    1 this is the cross-entropy.

    Parameters
    ----------
    logits, x : ndarray of shape (n, d)
    out : ndarray of shape (n, d), optional
        Receives the gradient.

    Returns
    -------
    loss : float
    grad_logits : ndarray of shape (n, d)
        ``(σ(a) − x) / n``.
    """
    loss = bernoulli_nll_per_sample(logits, x).sum() / len(x)
    if out is None:
        out = logits.copy()
    elif out is not logits:
        out[...] = logits
    grad_logits = sigmoid(out)
    grad_logits -= x
    grad_logits /= len(x)
    return loss, grad_logits


def bernoulli_nll_per_sample(logits: Array, x: Array) -> Array:
    """The same negative log-likelihood, one value ``(n,)`` a sample."""
    nll = softplus(logits.copy())
    nll -= x * logits
    return np.sum(nll, axis=1)


def gaussian_nll(
    x_hat: Array, x: Array, log_noise_variance: float, *, out: Array | None = None
) -> tuple[float, Array, float]:
    """Negative log-likelihood of ``x`` under N(x̂, σ² I), in nats per sample.

    ``(1/n) Σ ½ [d log(2πσ²) + ‖x − x̂‖² / σ²]``.

    Parameters
    ----------
    x_hat, x : ndarray of shape (n, d)
    log_noise_variance : float
        ``log σ²``, one for all features.
    out : ndarray of shape (n, d), optional
        Receives the gradient with respect to ``x_hat``.

    Returns
    -------
    loss : float
    grad_x_hat : ndarray of shape (n, d)
        ``(x̂ − x) / (n σ²)``.
    grad_log_noise_variance : float
        ``½ (d − (1/n) Σ ‖x − x̂‖² / σ²)``: zero where σ² is the mean squared error a feature.
    """
    error, grad_x_hat = squared_error(x_hat, x, out=out)
    loss, grad_error, grad_log_noise_variance = gaussian_nll_of_error(
        error, x.shape[1], log_noise_variance
    )
    grad_x_hat *= grad_error
    return loss, grad_x_hat, grad_log_noise_variance


def gaussian_nll_of_error(
    error: float, n_features: int, log_noise_variance: float
) -> tuple[float, float, float]:
    """The same as a function of the squared error ``E = (1/n) Σ ‖x − x̂‖²`` alone.

    Returns
    -------
    loss, grad_error, grad_log_noise_variance : float
    """
    precision = np.exp(-log_noise_variance)
    loss = 0.5 * (n_features * (LOG_2PI + log_noise_variance) + precision * error)
    return loss, 0.5 * precision, 0.5 * (n_features - precision * error)


def gaussian_kl(mu: Array, log_var: Array) -> tuple[float, Array, Array]:
    """KL(N(μ, σ²) ‖ N(0, I)) in nats, summed over dimensions, averaged over samples.

    ``(1/n) Σ ½ (μ² + σ² − 1 − log σ²)``.

    Parameters
    ----------
    mu, log_var : ndarray of shape (n, k)
        ``log_var`` is log σ².

    Returns
    -------
    kl : float
    grad_mu : ndarray of shape (n, k)
        ``μ / n``.
    grad_log_var : ndarray of shape (n, k)
        ``½ (σ² − 1) / n``.
    """
    n = len(mu)
    variance = np.exp(log_var)
    kl = 0.5 * (mu**2 + variance - 1 - log_var).sum() / n
    return kl, mu / n, 0.5 * (variance - 1) / n
