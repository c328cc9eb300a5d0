"""What is learned. None of it knows the theory that it is held against."""

from nanoae.models.linear import LinearAutoencoder
from nanoae.models.load import load
from nanoae.models.mlp import Autoencoder
from nanoae.models.sparse import SparseAutoencoder, SparseCoding
from nanoae.models.tied import TiedAutoencoder
from nanoae.models.vae import VAE

__all__ = [
    "VAE",
    "Autoencoder",
    "LinearAutoencoder",
    "SparseAutoencoder",
    "SparseCoding",
    "TiedAutoencoder",
    "load",
]
