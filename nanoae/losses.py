"""Losses: the value and the gradient, side by side.

All sum over features (or latent dimensions) and average over the samples of the batch. `LOSSES` is
the table of those between data and reconstruction, `LIKELIHOODS` that of a VAE's noise models.

With ``weights``, a loss is ``(1/n) Σ w_i ℓ_i`` in place of ``(1/n) Σ ℓ_i``. They are to have the
mean 1 over all training samples, not over the batch: so the loss of a batch drawn at random is, on
average, that of all samples, whichever weights have come together in it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from nanoae.arrays import Array, weighted
from nanoae.network.activations import identity, sigmoid, softmax, softplus

LOG_2PI = float(np.log(2 * np.pi))


def squared_error(x_hat: Array, x: Array, weights: Array | None = None) -> tuple[float, Array]:
    """``(1/n) Σ ‖x − x̂‖²``.

    Parameters
    ----------
    x_hat, x : ndarray of shape (n, d)
    weights : ndarray of shape (n,), optional

    Returns
    -------
    loss : float
    grad_x_hat : ndarray of shape (n, d)
        ``2 (x̂ − x) / n`` (1.3).

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae import losses
    >>> x_hat, x = np.array([[1.0, 2.0], [0.0, 0.0]]), np.array([[0.0, 0.0], [0.0, 1.0]])
    >>> loss, grad_x_hat = losses.squared_error(x_hat, x)
    >>> float(loss), grad_x_hat.tolist()  # (1 + 4 + 0 + 1) / 2
    (3.0, [[1.0, 2.0], [0.0, -1.0]])
    """
    residual = x_hat - x
    grad_x_hat = weighted(residual, weights)  # without weights one array for both
    loss = np.dot(residual.ravel(), grad_x_hat.ravel()) / len(x)
    grad_x_hat *= 2 / len(x)
    return loss, grad_x_hat


def squared_error_per_sample(x_hat: Array, x: Array) -> Array:
    """``‖x − x̂‖²``, one value ``(n,)`` a sample.

    Parameters
    ----------
    x_hat, x : ndarray of shape (n, d)

    Returns
    -------
    ndarray of shape (n,)

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae import losses
    >>> x_hat, x = np.array([[1.0, 2.0], [0.0, 0.0]]), np.array([[0.0, 0.0], [0.0, 1.0]])
    >>> losses.squared_error_per_sample(x_hat, x).tolist()
    [5.0, 1.0]
    """
    return np.sum(squared_error_per_feature(x_hat, x), axis=1)


def squared_error_per_feature(x_hat: Array, x: Array) -> Array:
    """``(x − x̂)²``, one value ``(n, d)`` a sample and feature.

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae import losses
    >>> losses.squared_error_per_feature(np.array([[1.0, 2.0]]), np.array([[0.0, 5.0]])).tolist()
    [[1.0, 9.0]]
    """
    return (x - x_hat) ** 2


def masked_squared_error(
    x_hat: Array, x: Array, missing: Array, weights: Array | None = None
) -> tuple[float, Array]:
    """``(1/n) Σ_i (1/|M_i|) Σ_{j ∈ M_i} ‖x_ij − x̂_ij‖²``: what is missing alone counts.

    The sum is over the numbers of a patch, the mean over the patches M_i of a sample that are
    missing, whose number may differ between samples, and then over samples.

    Parameters
    ----------
    x_hat, x : ndarray of shape (n, N, p)
    missing : ndarray of bool, shape (n, N)
        At least one of each sample.
    weights : ndarray of shape (n,), optional

    Returns
    -------
    loss : float
    grad_x_hat : ndarray of shape (n, N, p)
        ``2 (x̂ − x) / (n |M_i|)`` where a patch is missing, and exactly 0 elsewhere (12.8).

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae import losses
    >>> x_hat, x = np.zeros((1, 3, 1)), np.array([[[1.0], [2.0], [100.0]]])
    >>> missing = np.array([[True, True, False]])
    >>> loss, grad_x_hat = losses.masked_squared_error(x_hat, x, missing)
    >>> float(loss), grad_x_hat[0, :, 0].tolist()  # (1 + 4) / 2
    (2.5, [-1.0, -2.0, 0.0])
    """
    residual = np.where(missing[..., None], x_hat - x, 0)
    grad_x_hat = residual / missing.sum(axis=1)[:, None, None]
    if weights is not None:
        grad_x_hat = grad_x_hat * weights[:, None, None]
    loss = np.dot(residual.ravel(), grad_x_hat.ravel()) / len(x)
    grad_x_hat *= 2 / len(x)
    return loss, grad_x_hat.astype(x_hat.dtype, copy=False)


def bernoulli_nll(logits: Array, x: Array, weights: Array | None = None) -> tuple[float, Array]:
    """Negative log-likelihood of ``x`` in [0, 1] under Bernoulli(σ(a)), in nats per sample.

    ``(1/n) Σ softplus(a) − x a`` (1.4a), which overflows at no logit; for ``x`` strictly between
    0 and 1 this is the cross-entropy.

    Parameters
    ----------
    logits, x : ndarray of shape (n, d)
    weights : ndarray of shape (n,), optional

    Returns
    -------
    loss : float
    grad_logits : ndarray of shape (n, d)
        ``(σ(a) − x) / n`` (1.4b).

    Examples
    --------
    A logit of 0 says one half, and that costs log 2 whatever x is:

    >>> import numpy as np
    >>> from nanoae import losses
    >>> loss, grad_logits = losses.bernoulli_nll(np.array([[0.0]]), np.array([[1.0]]))
    >>> round(float(loss), 4), grad_logits.tolist()
    (0.6931, [[-0.5]])
    >>> float(losses.bernoulli_nll(np.array([[-1000.0]]), np.array([[1.0]]))[0])
    1000.0
    """
    nll = bernoulli_nll_per_feature(logits, x)
    loss = weighted(nll, weights).sum() / len(x)  # (1.4a)
    grad_logits = sigmoid(logits.copy())
    grad_logits -= x
    grad_logits /= len(x)  # (1.4b)
    return loss, weighted(grad_logits, weights)


def bernoulli_nll_per_sample(logits: Array, x: Array) -> Array:
    """The same negative log-likelihood, one value ``(n,)`` a sample.

    Parameters
    ----------
    logits, x : ndarray of shape (n, d)

    Returns
    -------
    ndarray of shape (n,)
        Nats.

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae import losses
    >>> logits, x = np.array([[0.0, 0.0], [50.0, -50.0]]), np.array([[1.0, 0.0], [1.0, 0.0]])
    >>> losses.bernoulli_nll_per_sample(logits, x).round(4).tolist()  # unsure, and sure and right
    [1.3863, 0.0]
    """
    return np.sum(bernoulli_nll_per_feature(logits, x), axis=1)


def bernoulli_nll_per_feature(logits: Array, x: Array) -> Array:
    """The same, one value ``(n, d)`` a sample and feature.

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae import losses
    >>> logits, x = np.array([[0.0, 50.0]]), np.array([[1.0, 1.0]])
    >>> losses.bernoulli_nll_per_feature(logits, x).round(4).tolist()
    [[0.6931, 0.0]]
    """
    nll = softplus(logits.copy())
    nll -= x * logits
    return nll


def gaussian_nll(
    x_hat: Array, x: Array, log_noise_variance: Any, weights: Array | None = None
) -> tuple[float, Array, float]:
    """Negative log-likelihood of ``x`` under N(x̂, σ² I), in nats per sample.

    ``(1/n) Σ ½ [d log(2πσ²) + ‖x − x̂‖² / σ²]``.

    Parameters
    ----------
    x_hat, x : ndarray of shape (n, d)
    log_noise_variance : float
        ``log σ²``, one for all features.
    weights : ndarray of shape (n,), optional

    Returns
    -------
    loss : float
    grad_x_hat : ndarray of shape (n, d)
        ``(x̂ − x) / (n σ²)``.
    grad_log_noise_variance : float
        ``½ (d − (1/n) Σ ‖x − x̂‖² / σ²)``: zero where σ² is the mean squared error a feature.

    Examples
    --------
    The third value is 0 where σ² is the mean squared error a feature, here 4, and there alone:

    >>> import numpy as np
    >>> from nanoae import losses
    >>> x_hat, x = np.zeros((1, 2)), np.full((1, 2), 2.0)
    >>> for variance in (1.0, 4.0, 9.0):
    ...     loss, _, grad_log_variance = losses.gaussian_nll(x_hat, x, np.log(variance))
    ...     print(round(float(loss), 3), round(float(grad_log_variance), 3))
    5.838 -3.0
    4.224 0.0
    4.48 0.556
    """
    error, grad_x_hat = squared_error(x_hat, x, weights)
    loss, grad_error, grad_log_noise_variance = gaussian_nll_of_error(
        error, x.shape[1], log_noise_variance
    )
    grad_x_hat *= grad_error
    return loss, grad_x_hat, grad_log_noise_variance


def gaussian_nll_of_error(
    error: Any, n_features: int, log_noise_variance: Any
) -> tuple[Any, float, Any]:
    """The same as a function of the squared error ``E = (1/n) Σ ‖x − x̂‖²`` alone.

    Parameters
    ----------
    error : float or ndarray
        E, or one squared error a sample, which gives one loss a sample.
    n_features : int
        d.
    log_noise_variance : float

    Returns
    -------
    loss, grad_error, grad_log_noise_variance : float, or as ``error``

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae import losses
    >>> nll, grad_error, _ = losses.gaussian_nll_of_error(np.array([0.0, 2.0]), 1, 0.0)
    >>> nll.round(4).tolist(), float(grad_error)  # ½ log 2π, and half the error
    ([0.9189, 1.9189], 0.5)
    """
    precision = np.exp(-log_noise_variance)
    loss = 0.5 * (n_features * (LOG_2PI + log_noise_variance) + precision * error)
    return loss, 0.5 * precision, 0.5 * (n_features - precision * error)


def gaussian_kl(
    mu: Array, log_var: Array, weights: Array | None = None
) -> tuple[float, Array, Array]:
    """KL(N(μ, σ²) ‖ N(0, I)) in nats (5.2), summed over dimensions, averaged over samples.

    ``(1/n) Σ ½ (μ² + σ² − 1 − log σ²)``.

    Parameters
    ----------
    mu, log_var : ndarray of shape (n, k)
        ``log_var`` is log σ².
    weights : ndarray of shape (n,), optional

    Returns
    -------
    kl : float
    grad_mu : ndarray of shape (n, k)
        ``μ / n``.
    grad_log_var : ndarray of shape (n, k)
        ``½ (σ² − 1) / n``.

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae import losses
    >>> kl, grad_mu, grad_log_var = losses.gaussian_kl(np.array([[2.0]]), np.array([[0.0]]))
    >>> float(kl), grad_mu.tolist(), grad_log_var.tolist()  # ½ μ²
    (2.0, [[2.0]], [[0.0]])
    """
    n = len(mu)
    variance = np.exp(log_var)
    kl = 0.5 * weighted(mu**2 + variance - 1 - log_var, weights).sum() / n
    return kl, weighted(mu, weights) / n, 0.5 * weighted(variance - 1, weights) / n


def kl_sparsity(h: Array, rho: float, weights: Array | None = None) -> tuple[float, Array]:
    """KL(Bernoulli(ρ) ‖ Bernoulli(ρ̂_j)), summed over units; ρ̂_j is unit j's mean over the batch.

    ``Σ_j ρ log(ρ/ρ̂_j) + (1 − ρ) log((1 − ρ)/(1 − ρ̂_j))``, in nats: 0 where every ρ̂_j is ρ (4.8),
    infinite where some unit is always or never on.

    Parameters
    ----------
    h : ndarray of shape (n, k)
        Codes strictly between 0 and 1.
    rho : float
        ρ, the mean activation that is wanted, between 0 and 1.
    weights : ndarray of shape (n,), optional
        Here their own mean over the batch is taken for 1: ρ̂_j is to be a mean, below 1.

    Returns
    -------
    kl : float
    grad_h : ndarray of shape (n, k)
        ``((1 − ρ)/(1 − ρ̂_j) − ρ/ρ̂_j) / n``, the same for all samples (4.8a).

    Examples
    --------
    Two units, on for half and for a tenth of the time; a tenth is what is wanted:

    >>> import numpy as np
    >>> from nanoae import losses
    >>> kl, grad_h = losses.kl_sparsity(np.array([[0.9, 0.2], [0.1, 0.0]]), rho=0.1)
    >>> round(float(kl), 4)  # 0.1 log(1/5) + 0.9 log(9/5), and nothing for the second
    0.3681
    >>> grad_h[:, 0].round(4).tolist()  # downhill, the first is on less
    [0.8, 0.8]
    """
    if weights is not None:
        weights = weights / weights.mean()
    rho_hat = weighted(h, weights).mean(axis=0)
    with np.errstate(divide="ignore"):
        kl = np.sum(rho * np.log(rho / rho_hat) + (1 - rho) * np.log((1 - rho) / (1 - rho_hat)))
        grad_rho_hat = (1 - rho) / (1 - rho_hat) - rho / rho_hat
    return kl, weighted(np.broadcast_to(grad_rho_hat / len(h), h.shape), weights)


def l1_norm(h: Array, weights: Array | None = None) -> tuple[float, Array]:
    """``(1/n) Σ ‖h‖₁``, and ``sign(h) / n``, which at 0 is one of the subgradients: 0.

    Parameters
    ----------
    h : ndarray of shape (n, k)
    weights : ndarray of shape (n,), optional

    Returns
    -------
    norm : float
    grad_h : ndarray of shape (n, k)

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae import losses
    >>> norm, grad_h = losses.l1_norm(np.array([[3.0, 0.0], [-1.0, 2.0]]))
    >>> float(norm), grad_h.tolist()
    (3.0, [[0.5, 0.0], [-0.5, 0.5]])
    """
    return weighted(np.abs(h), weights).sum() / len(h), weighted(np.sign(h) / len(h), weights)


def categorical_nll(logits: Array, x: Array, weights: Array | None = None) -> tuple[float, Array]:
    """Negative log-likelihood of tokens under softmax(a), in nats per sample.

    ``(1/n) Σ log Σ_v e^{a_v} − a_x`` (11.4): the cross-entropy of tokens.

    Parameters
    ----------
    logits : ndarray of shape (n, d, V)
    x : ndarray of shape (n, d)
        Whole numbers from 0 to V, exclusive.
    weights : ndarray of shape (n,), optional

    Returns
    -------
    loss : float
    grad_logits : ndarray of shape (n, d, V)
        ``(softmax(a) − 1{v = x}) / n`` (11.4a).

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae import losses
    >>> loss, grad_logits = losses.categorical_nll(np.array([[[0.0, np.log(3)]]]), np.array([[0]]))
    >>> round(float(loss), 4), grad_logits.round(4).tolist()  # log 4
    (1.3863, [[[-0.75, 0.75]]])
    """
    nll = categorical_nll_per_feature(logits, x)
    grad_logits = softmax(logits)
    grad_logits -= np.arange(logits.shape[-1]) == x[..., None]
    grad_logits /= len(x)
    if weights is not None:
        grad_logits *= weights[:, None, None]
    return weighted(nll, weights).sum() / len(x), grad_logits


def categorical_nll_per_sample(logits: Array, x: Array) -> Array:
    """The same negative log-likelihood, one value ``(n,)`` a sample.

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae import losses
    >>> losses.categorical_nll_per_sample(np.zeros((1, 3, 4)), np.zeros((1, 3))).round(4).tolist()
    [4.1589]
    """
    return np.sum(categorical_nll_per_feature(logits, x), axis=1)


def categorical_nll_per_feature(logits: Array, x: Array) -> Array:
    """The same, one value ``(n, d)`` a sample and token.

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae import losses
    >>> logits = np.array([[[0.0, 1000.0], [0.0, 0.0]]])  # sure and wrong, and unsure
    >>> losses.categorical_nll_per_feature(logits, np.array([[0, 0]])).round(4).tolist()
    [[1000.0, 0.6931]]
    """
    shifted = logits - logits.real.max(axis=-1, keepdims=True)  # no exponential overflows
    of_token = np.take_along_axis(shifted, x.astype(np.intp)[..., None], axis=-1)[..., 0]
    return np.log(np.exp(shifted).sum(axis=-1)) - of_token


def discriminator_loss(
    logits_prior: Array, logits_codes: Array, weights: Array | None = None
) -> tuple[float, Array, Array]:
    """What a discriminator pays: ``E_p softplus(−a) + E_q softplus(a)``, in nats.

    Minus the log-probability that it gives to the truth, with ``σ(a)`` for that of "drawn from the
    prior": 2 log 2 if it cannot tell.

    Parameters
    ----------
    logits_prior, logits_codes : ndarray of shape (m,) and (n,)
        Its logits ``a`` of draws from the prior p, and of codes, which are draws from q.
    weights : ndarray of shape (n,), optional
        Of the codes.

    Returns
    -------
    loss : float
    grad_logits_prior, grad_logits_codes : ndarray of shape (m,) and (n,)
        ``(σ(a) − 1)/m`` and ``σ(a)/n`` (13.1).

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae import losses
    >>> loss, of_prior, of_codes = losses.discriminator_loss(np.zeros(1), np.zeros(1))
    >>> round(float(loss), 4), of_prior.tolist(), of_codes.tolist()
    (1.3863, [-0.5], [0.5])
    """
    fooled_by_prior, grad_prior = non_saturating_loss(logits_prior)
    fooled_by_codes, grad_codes = saturating_loss(logits_codes, weights)
    return fooled_by_prior - fooled_by_codes, grad_prior, -grad_codes


def saturating_loss(logits: Array, weights: Array | None = None) -> tuple[float, Array]:
    """Minus what the discriminator pays for codes: ``−E_q softplus(a)``.

    Parameters
    ----------
    logits : ndarray of shape (n,)
    weights : ndarray of shape (n,), optional

    Returns
    -------
    loss : float
    grad_logits : ndarray of shape (n,)
        ``−σ(a)/n`` (13.1a): nothing, where the discriminator is sure.

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae import losses
    >>> loss, grad_logits = losses.saturating_loss(np.array([-800.0, 0.0]))
    >>> round(float(loss), 4), grad_logits.tolist()
    (-0.3466, [-0.0, -0.25])
    """
    w = 1 / len(logits) if weights is None else weights / len(logits)
    return -np.sum(w * softplus(logits.copy())), -w * sigmoid(logits.copy())


def non_saturating_loss(logits: Array, weights: Array | None = None) -> tuple[float, Array]:
    """What a discriminator would pay, were these draws from the prior: ``E_q softplus(−a)``.

    Parameters
    ----------
    logits : ndarray of shape (n,)
    weights : ndarray of shape (n,), optional

    Returns
    -------
    loss : float
    grad_logits : ndarray of shape (n,)
        ``(σ(a) − 1)/n`` (13.1b): most, where the discriminator is sure.

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae import losses
    >>> loss, grad_logits = losses.non_saturating_loss(np.array([-800.0, 0.0]))
    >>> round(float(loss), 4), grad_logits.tolist()
    (400.3466, [-0.5, -0.25])
    """
    w = 1 / len(logits) if weights is None else weights / len(logits)
    return np.sum(w * softplus(-logits)), w * -sigmoid(-logits)


def mmd_to_normal(
    z: Array, etas: Sequence[float], weights: Array | None = None
) -> tuple[float, Array]:
    """Squared MMD between rows and N(0, I) itself, from which nothing is drawn (13.7a), (13.7b).

    The kernel is the mean over η of ``exp(−‖x − y‖²/2η)``. For each, ``(1/n²) Σ_rs k(z_r, z_s) −
    (2/n) Σ_r c e^(−‖z_r‖²/2(1 + η)) + (1 + 2/η)^(−k/2)`` with ``c = (η/(1 + η))^(k/2)``.

    Parameters
    ----------
    z : ndarray of shape (n, k)
    etas : sequence of float
    weights : ndarray of shape (n,), optional
        Here their own mean over the batch is taken for 1: a distribution has the mass 1.

    Returns
    -------
    mmd : float
        Never negative.
    grad_z : ndarray of shape (n, k)

    Examples
    --------
    A code at the prior's centre is pushed nowhere, others are pulled towards it:

    >>> import numpy as np
    >>> from nanoae import losses
    >>> losses.mmd_to_normal(np.array([[0.0]]), [1.0])[1].tolist()
    [[0.0]]
    >>> mmd, grad_z = losses.mmd_to_normal(np.array([[2.0]]), [1.0])
    >>> round(float(mmd), 4), grad_z.round(4).tolist()  # downhill is inward
    (1.0571, [[0.5203]])
    """
    n, k = z.shape
    w = np.full(n, 1 / n, z.dtype) if weights is None else weights / weights.sum()
    squares = np.sum(z * z, axis=1)
    centred = z - z.mean(axis=0)  # codes far from 0 would cancel each other's digits
    lengths = np.sum(centred * centred, axis=1)
    distances = np.maximum(lengths[:, None] + lengths - 2 * (centred @ centred.T), 0)
    mmd, grad_z = 0.0, np.zeros_like(z)
    for eta in etas:
        kernel = np.exp(distances / (-2 * eta)) * w
        to_prior = (eta / (1 + eta)) ** (k / 2) * np.exp(squares / (-2 * (1 + eta)))
        mmd += w @ kernel.sum(axis=1) - 2 * (w @ to_prior) + (1 + 2 / eta) ** (-k / 2)
        apart = z * kernel.sum(axis=1)[:, None] - kernel @ z  # Σ_s w_s k(z_r, z_s) (z_r − z_s)
        grad_z += (2 / (1 + eta)) * to_prior[:, None] * z - (2 / eta) * apart
    return mmd / len(etas), w[:, None] * grad_z / len(etas)


class Loss(NamedTuple):
    """What is lost between data and reconstruction.

    Attributes
    ----------
    value : callable
        Of the decoder's output and the data, both ``(n, d)``, and of weights ``(n,)`` if there are
        any: the loss and its gradient with respect to the first.
    per_sample, per_feature : callable
        Of the first two: one value a sample ``(n,)``, or a sample and feature ``(n, d)``.
    to_data : callable
        Makes reconstructions of the decoder's output.
    needs_unit_interval : bool
        Whether the data must lie in [0, 1].
    of_mean : callable
        Of the mean ``(d,)`` of the samples and their total variance: the loss of a model that
        answers every sample with the mean. Of tokens the mean is how often each is found, (d, V).

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae.losses import LOSSES
    >>> loss, logits, x = LOSSES["bernoulli"], np.array([[0.0, np.log(3)]]), np.array([[1.0, 1.0]])
    >>> loss.per_sample(logits, x).round(4).tolist()  # log 2 + log 4/3
    [0.9808]
    >>> loss.to_data(logits).round(4).tolist()
    [[0.5, 0.75]]
    """

    value: Callable[..., tuple[float, Array]]
    per_sample: Callable[[Array, Array], Array]
    per_feature: Callable[[Array, Array], Array]
    to_data: Callable[[Array], Array]
    needs_unit_interval: bool
    of_mean: Callable[[Array, float], float]


def _bernoulli_entropy(mean: Array, variance: float) -> float:
    p = mean[(mean > 0) & (mean < 1)]
    return float(-np.sum(p * np.log(p) + (1 - p) * np.log1p(-p)))


def _categorical_entropy(mean: Array, variance: float) -> float:
    there = np.broadcast_to(mean.sum(axis=-1, keepdims=True), mean.shape)  # who has this step
    said = mean > 0
    return float(-np.sum(mean[said] * np.log(mean[said] / there[said])))


LOSSES = {
    "squared_error": Loss(
        squared_error,
        squared_error_per_sample,
        squared_error_per_feature,
        identity,
        False,
        lambda mean, variance: variance,
    ),
    "bernoulli": Loss(
        bernoulli_nll,
        bernoulli_nll_per_sample,
        bernoulli_nll_per_feature,
        lambda logits: sigmoid(logits.copy()),
        True,
        _bernoulli_entropy,
    ),
    "categorical": Loss(
        categorical_nll,
        categorical_nll_per_sample,
        categorical_nll_per_feature,
        lambda logits: np.argmax(logits, axis=-1),
        False,
        _categorical_entropy,
    ),
}


def skipping_gaps(loss: Loss) -> Loss:
    """The same loss of samples with gaps: what is NaN in the data is not there, and costs nothing.

    Still summed over the features that are there, and averaged over samples (11.3b).

    Parameters
    ----------
    loss : Loss

    Returns
    -------
    Loss

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae.losses import LOSSES, skipping_gaps
    >>> loss = skipping_gaps(LOSSES["squared_error"])
    >>> value, grad_x_hat = loss.value(np.array([[3.0, 7.0]]), np.array([[1.0, np.nan]]))
    >>> float(value), grad_x_hat.tolist()
    (4.0, [[4.0, 0.0]])
    """

    def per_feature(x_hat: Array, x: Array) -> Array:
        there = ~np.isnan(x)
        return np.where(there, loss.per_feature(x_hat, np.where(there, x, 0)), 0)

    def value(x_hat: Array, x: Array, weights: Array | None = None) -> tuple[float, Array]:
        there = ~np.isnan(x)
        _, grad_x_hat = loss.value(x_hat, np.where(there, x, 0), weights)
        grad_x_hat[~there] = 0
        return weighted(per_feature(x_hat, x), weights).sum() / len(x), grad_x_hat

    return loss._replace(
        value=value,
        per_sample=lambda x_hat, x: per_feature(x_hat, x).sum(axis=1),
        per_feature=per_feature,
    )


class Likelihood(NamedTuple):
    """A VAE's p(x|z): −log p in nats, and the distortion that it is a function of.

    Attributes
    ----------
    nll : callable
        Of decoder's output, data, log σ² and, if there are any, weights: −log p(x|z) per sample,
        and its gradients with respect to the first and the third.
    distortion : Loss
    nll_of_distortion : callable
        Of distortion, number of values and log σ²: −log p(x|z).

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae.losses import LIKELIHOODS
    >>> gaussian = LIKELIHOODS["gaussian"]
    >>> nll, _, _ = gaussian.nll(np.zeros((1, 2)), np.ones((1, 2)), 0.0)
    >>> distortion, _ = gaussian.distortion.value(np.zeros((1, 2)), np.ones((1, 2)))
    >>> float(nll) == float(gaussian.nll_of_distortion(distortion, 2, 0.0))
    True
    """

    nll: Callable[..., tuple[float, Array, float]]
    distortion: Loss
    nll_of_distortion: Callable[[Any, Any, Any], Any]


LIKELIHOODS = {
    "gaussian": Likelihood(
        gaussian_nll, LOSSES["squared_error"], lambda *args: gaussian_nll_of_error(*args)[0]
    ),
    "bernoulli": Likelihood(  # has no σ²
        lambda logits, x, _, weights=None: (*bernoulli_nll(logits, x, weights), 0.0),
        LOSSES["bernoulli"],
        lambda nll, *_: nll,
    ),
    "categorical": Likelihood(
        lambda logits, x, _, weights=None: (*categorical_nll(logits, x, weights), 0.0),
        LOSSES["categorical"],
        lambda nll, *_: nll,
    ),
}


def likelihood_skipping_gaps(name: str) -> Likelihood:
    """A likelihood of samples with gaps: that of what is there (11.3c).

    Parameters
    ----------
    name : str
        Of the table.

    Returns
    -------
    Likelihood

    Examples
    --------
    A sample of one value and a gap is a sample of one value:

    >>> import numpy as np
    >>> from nanoae.losses import LIKELIHOODS, likelihood_skipping_gaps
    >>> x, gap = np.array([[2.0]]), np.array([[2.0, np.nan]])
    >>> nll = likelihood_skipping_gaps("gaussian").nll(np.zeros((1, 2)), gap, 0.0)[0]
    >>> float(nll) == float(LIKELIHOODS["gaussian"].nll(np.zeros((1, 1)), x, 0.0)[0])
    True
    """
    likelihood = LIKELIHOODS[name]
    distortion = skipping_gaps(likelihood.distortion)

    def nll(
        x_hat: Array, x: Array, log_noise_variance: Any, weights: Array | None = None
    ) -> tuple[float, Array, float]:
        loss, grad_x_hat = distortion.value(x_hat, x, weights)
        if name != "gaussian":
            return loss, grad_x_hat, 0.0
        n_values = weighted(~np.isnan(x), weights).sum() / len(x)  # in place of d
        loss, grad_error, grad_log_noise_variance = gaussian_nll_of_error(
            loss, n_values, log_noise_variance
        )
        return loss, grad_x_hat * grad_error, grad_log_noise_variance

    return likelihood._replace(nll=nll, distortion=distortion)
