"""Chapter 7, denoising: in order of difficulty.

Replace each ``raise NotImplementedError``, then run ``python -m derivations.exercises`` in the
folder of the project. Rows are samples where there are several. Sizes such as n and k are others
in every problem, so take them from the arguments.
"""

import numpy as np  # noqa: F401  for your answers

from derivations.exercises import answer


@answer("7.3")
def tweedie(x_tilde, score, scale):
    """The best denoiser's answer from the score ∇log p_σ at x̃; `scale` is σ.

    x_tilde (n, d), score (n, d), scale → r*(x̃) (n, d)
    """
    raise NotImplementedError


@answer("7.8a")
def wiener_gains(eigenvalues, k, scale):
    """The gain of each of the first k axes in the best linear denoiser of Gaussian noise σ
    (`scale`).

    eigenvalues (d,), k, scale → the gain of each kept axis (k,)
    """
    raise NotImplementedError


@answer("7.8")
def wiener_map(Sigma, noise):
    """The best linear denoiser M of full rank, for noise of the covariance `noise` in data of
    covariance Σ.

    Sigma (d, d), noise (d, d) → M (d, d)
    """
    raise NotImplementedError


@answer("7.6")
def two_points(x_tilde, a, scale):
    """The best denoiser of the two points ±a, at the rows of x̃.

    x_tilde (n, d), a (d,), scale → r*(x̃) (n, d)
    """
    raise NotImplementedError


@answer("7.2")
def best_denoiser(x_tilde, X, scale):
    """The best denoiser of the samples X under Gaussian noise, at the rows of x̃.

    x_tilde (m, d), X (n, d), scale → r*(x̃) (m, d)
    """
    raise NotImplementedError


@answer("7.13")
def langevin_step(x, denoised, scale, step, noise):
    """One Langevin step of size η (`step`); `denoised` is r(x) and `noise` is ξ.

    x (n, d), denoised (n, d), scale, step, noise (n, d) → the next x (n, d)
    """
    raise NotImplementedError


@answer("7.7a")
def masking_noise(mean, variance, probability):
    """The diagonal of N for masking with probability p, rescaled by 1/(1 − p); z̄ = 0.

    mean (d,), variance (d,), probability → the diagonal of N (d,)
    """
    raise NotImplementedError


@answer("7.5b")
def loss_without_clean_data(error, divergence, n_features, scale):
    """The denoising loss from E‖r(x̃) − x̃‖² (`error`) and E div r (`divergence`).

    error, divergence, n_features, scale → the loss without clean data
    """
    raise NotImplementedError


@answer("7.10")
def mismatch(eigenvalues, k, trained, used):
    """The loss of a denoiser for Gaussian noise of variance a (`trained`) at noise of variance b
    (`used`).

    eigenvalues (d,), k, trained, used → the loss
    """
    raise NotImplementedError
