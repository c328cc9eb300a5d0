"""What is learned. None of it knows the theory that it is held against."""

from nanoae.models.adversarial import AdversarialAutoencoder
from nanoae.models.autoencoder import Autoencoder
from nanoae.models.beta import LinearVAE
from nanoae.models.contractive import ContractiveAutoencoder
from nanoae.models.linear import LinearAutoencoder
from nanoae.models.load import load
from nanoae.models.masked import MaskedAutoencoder
from nanoae.models.sparse import LearnedISTA, SparseAutoencoder, SparseCoding
from nanoae.models.tied import TiedAutoencoder
from nanoae.models.vae import VAE

__all__ = [
    "VAE",
    "AdversarialAutoencoder",
    "Autoencoder",
    "ContractiveAutoencoder",
    "LearnedISTA",
    "LinearAutoencoder",
    "LinearVAE",
    "MaskedAutoencoder",
    "SparseAutoencoder",
    "SparseCoding",
    "TiedAutoencoder",
    "load",
]
