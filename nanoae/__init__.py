"""nanoae: autoencoders from scratch in NumPy, held against their theory."""

from nanoae import datasets, denoising, theory
from nanoae.denoising import GaussianNoise, MaskingNoise, SaltAndPepper
from nanoae.exceptions import ConvergenceWarning, NotFittedError, TrainingDiverged
from nanoae.gradient_check import gradient_check
from nanoae.models import (
    VAE,
    Autoencoder,
    LearnedISTA,
    LinearAutoencoder,
    LinearVAE,
    SparseAutoencoder,
    SparseCoding,
    TiedAutoencoder,
    load,
)
from nanoae.network import Recurrent, Transformer
from nanoae.sweep import beta_sweep

__all__ = [
    "LinearAutoencoder",
    "TiedAutoencoder",
    "Autoencoder",
    "SparseAutoencoder",
    "SparseCoding",
    "LearnedISTA",
    "VAE",
    "LinearVAE",
    "GaussianNoise",
    "MaskingNoise",
    "SaltAndPepper",
    "Recurrent",
    "Transformer",
    "load",
    "beta_sweep",
    "gradient_check",
    "datasets",
    "denoising",
    "theory",
    "ConvergenceWarning",
    "NotFittedError",
    "TrainingDiverged",
]
