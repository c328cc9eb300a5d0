"""Chapter 5, the variational autoencoder: in order of difficulty.

Replace each ``raise NotImplementedError``, then run ``python -m derivations.exercises`` in the
folder of the project. Rows are samples where there are several. Sizes such as n and k are others
in every problem, so take them from the arguments.
"""

import numpy as np  # noqa: F401  for your answers

from derivations.exercises import answer


@answer("5.3")
def reparameterise(mu, log_var, eps):
    """z, from μ, log σ² (`log_var`) and the noise ε.

    mu (n, k), log_var (n, k), eps (n, k) → z (n, k)
    """
    raise NotImplementedError


@answer("5.2")
def gaussian_kl(mu, log_var):
    """KL(N(μ, σ²) ‖ N(0, I)): summed over dimensions, averaged over samples.

    mu (n, k), log_var (n, k) → the KL
    """
    raise NotImplementedError


@answer("5.2a")
def gaussian_kl_gradients(mu, log_var):
    """Its gradients by μ and by log σ², a tuple.

    mu (n, k), log_var (n, k) → ∂/∂μ (n, k), ∂/∂log σ² (n, k)
    """
    raise NotImplementedError


@answer("5.6a")
def mu_gradient(mu, log_var, eps, G, beta):
    """∂L/∂μ of a β-VAE, given G = ∂L/∂z of the reconstruction.

    mu (n, k), log_var (n, k), eps (n, k), G (n, k), beta → G^μ (n, k)
    """
    raise NotImplementedError


@answer("5.6b")
def log_var_gradient(mu, log_var, eps, G, beta):
    """∂L/∂log σ² of a β-VAE, given the same.

    mu (n, k), log_var (n, k), eps (n, k), G (n, k), beta → G^{log σ²} (n, k)
    """
    raise NotImplementedError


@answer("5.4")
def gaussian_nll(x_hat, x, noise_variance):
    """−log p(x|z) under N(x̂, σ² I), a mean over samples, with all constants.

    x_hat (n, d), x (n, d), noise_variance → −log p(x|z)
    """
    raise NotImplementedError


@answer("5.4a")
def gaussian_nll_gradients(x_hat, x, noise_variance):
    """Its gradients by x̂ and by log σ² (σ² is `noise_variance`), a tuple.

    x_hat (n, d), x (n, d), noise_variance → by x̂ (n, d), by log σ²
    """
    raise NotImplementedError


@answer("5.4c")
def best_noise_variance(x_hat, x):
    """The σ² that makes it least.

    x_hat (n, d), x (n, d) → the best σ²
    """
    raise NotImplementedError


@answer("5.3a")
def score_function(f, log_var, eps):
    """One draw of the score-function gradients by μ and by log σ², a tuple, given f(z), a number a
    sample.

    f (n,), log_var (n, k), eps (n, k) → by μ (n, k), by log σ² (n, k)
    """
    raise NotImplementedError


@answer("5.5")
def importance_weighted_bound(log_w):
    """L_K of each sample from log w = log p(x, z) − log q(z|x) of K draws; the weights themselves
    underflow.

    log_w (n, K) → L_K of each sample (n,)
    """
    raise NotImplementedError


@answer("5.1d")
def posterior(x, W, b, noise_variance):
    """Mean and covariance of p(z|x) for p(x|z) = N(W z + b, σ² I), a tuple.

    x (d,), W (d, k), b (d,), noise_variance → the posterior's mean (k,), the posterior's
    covariance (k, k)
    """
    raise NotImplementedError


@answer("5.2e")
def kl_between(mu_q, Sigma_q, mu_p, Sigma_p):
    """KL(N(μ_q, Σ_q) ‖ N(μ_p, Σ_p)).

    mu_q (k,), Sigma_q (k, k), mu_p (k,), Sigma_p (k, k) → KL(q‖p)
    """
    raise NotImplementedError
