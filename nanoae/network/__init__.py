"""Ground floor: how a network computes, and how it passes gradients back."""

from nanoae.network.activations import ACTIVATIONS
from nanoae.network.dense import Dense
from nanoae.network.mlp import MLP
from nanoae.network.parameters import Parameters

__all__ = ["ACTIVATIONS", "MLP", "Dense", "Parameters"]
