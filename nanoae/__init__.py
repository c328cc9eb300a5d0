"""nanoae: autoencoders from scratch in NumPy, held against their theory."""

from nanoae import datasets, theory
from nanoae.exceptions import ConvergenceWarning, NotFittedError, TrainingDiverged
from nanoae.gradient_check import gradient_check
from nanoae.models import (
    VAE,
    AdversarialAutoencoder,
    Autoencoder,
    LearnedISTA,
    LinearAutoencoder,
    LinearVAE,
    SparseAutoencoder,
    SparseCoding,
    TiedAutoencoder,
    load,
)
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
    "AdversarialAutoencoder",
    "load",
    "beta_sweep",
    "gradient_check",
    "datasets",
    "theory",
    "ConvergenceWarning",
    "NotFittedError",
    "TrainingDiverged",
]
