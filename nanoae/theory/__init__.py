"""What should be learned: closed forms, from NumPy and SciPy alone.

Nothing here knows a model, and no model knows any of this. Tests and figures are where the two
roads meet.
"""

from nanoae.theory.beta import (
    LinearVAEOptimum,
    linear_vae_optimum,
    shannon_rate,
    water_filling,
)
from nanoae.theory.linear import (
    PCA,
    largest_principal_angle,
    linear_autoencoder_optimum,
    pca,
)
from nanoae.theory.vae import (
    Estimate,
    gaussian_kl_monte_carlo,
    gaussian_kl_quadrature,
)

__all__ = [
    "PCA",
    "Estimate",
    "LinearVAEOptimum",
    "gaussian_kl_monte_carlo",
    "gaussian_kl_quadrature",
    "largest_principal_angle",
    "linear_autoencoder_optimum",
    "linear_vae_optimum",
    "pca",
    "shannon_rate",
    "water_filling",
]
