"""nanoae: autoencoders from scratch in NumPy, held against their theory."""

from nanoae import datasets, denoising, theory
from nanoae.denoising import GaussianNoise, MaskingNoise, SaltAndPepper
from nanoae.diagnose import diagnose_vae
from nanoae.exceptions import ConvergenceWarning, NotFittedError, TrainingDiverged
from nanoae.gradient_check import gradient_check
from nanoae.models import (
    VAE,
    AdversarialAutoencoder,
    Autoencoder,
    ContractiveAutoencoder,
    LearnedISTA,
    LinearAutoencoder,
    LinearVAE,
    MaskedAutoencoder,
    SparseAutoencoder,
    SparseCoding,
    TiedAutoencoder,
    load,
)
from nanoae.network import Convolutional, Recurrent, Transformer
from nanoae.sweep import beta_sweep

__all__ = [
    "LinearAutoencoder",
    "TiedAutoencoder",
    "Autoencoder",
    "ContractiveAutoencoder",
    "MaskedAutoencoder",
    "SparseAutoencoder",
    "SparseCoding",
    "LearnedISTA",
    "VAE",
    "LinearVAE",
    "GaussianNoise",
    "MaskingNoise",
    "SaltAndPepper",
    "Convolutional",
    "Recurrent",
    "Transformer",
    "AdversarialAutoencoder",
    "load",
    "beta_sweep",
    "gradient_check",
    "diagnose_vae",
    "datasets",
    "denoising",
    "theory",
    "ConvergenceWarning",
    "NotFittedError",
    "TrainingDiverged",
]
