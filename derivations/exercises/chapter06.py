"""Chapter 6, β: in order of difficulty.

Replace each ``raise NotImplementedError``, then run ``python -m derivations.exercises`` in the
folder of the project. Rows are samples where there are several. Sizes such as n and k are others
in every problem, so take them from the arguments.
"""

import numpy as np  # noqa: F401  for your answers

from derivations.exercises import answer


@answer("6.8")
def beta_vae_loss(D, R, n_features, noise_variance, beta):
    """The β-VAE's loss of a Gaussian decoder from its distortion D and its rate R (nats).

    D, R, n_features, noise_variance, beta → L
    """
    raise NotImplementedError


@answer("6.7")
def expected_error(x, W, b, mu, s2):
    """E‖x − W z − b‖² for z ~ N(μ, diag(s²)), without sampling; `s2` is s².

    x (d,), W (d, k), b (d,), mu (k,), s2 (k,) → E‖x − W z − b‖²
    """
    raise NotImplementedError


@answer("6.1a")
def posterior_variances(W, theta):
    """The best s² of every dimension for a linear decoder W, with θ = βσ².

    W (d, k), theta → s² (k,)
    """
    raise NotImplementedError


@answer("6.1b")
def best_encoder(W, theta):
    """The matrix V of the best encoder μ = V (x − b) for a linear decoder W.

    W (d, k), theta → V (k, d)
    """
    raise NotImplementedError


@answer("6.3")
def rate(eigenvalues, k, theta):
    """The rate of the optimal linear VAE, in nats.

    eigenvalues (d,), k, theta → R
    """
    raise NotImplementedError


@answer("6.3a")
def distortion(eigenvalues, k, theta):
    """Its distortion.

    eigenvalues (d,), k, theta → D
    """
    raise NotImplementedError


@answer("6.4")
def learned_noise(eigenvalues, k):
    """The noise variance that is learned at β = 1.

    eigenvalues (d,), k → σ²
    """
    raise NotImplementedError


@answer("6.4a")
def log_likelihood(eigenvalues, k):
    """The mean log-likelihood under probabilistic PCA with that noise; `eigenvalues` are Σ's.

    eigenvalues (d,), k → E log p(x)
    """
    raise NotImplementedError


@answer("6.1c")
def profile(W, Sigma, theta):
    """J(W): the least D + 2θR that a linear decoder W allows.

    W (d, k), Sigma (d, d), theta → J(W)
    """
    raise NotImplementedError
