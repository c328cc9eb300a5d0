"""Ground floor: how a network computes, and how it passes gradients back."""

from nanoae.network.activations import ACTIVATIONS
from nanoae.network.dense import Dense
from nanoae.network.dictionary import Dictionary
from nanoae.network.mlp import MLP, Sequential
from nanoae.network.parameters import Parameters
from nanoae.network.unrolled import Unrolled

__all__ = ["ACTIVATIONS", "MLP", "Dense", "Dictionary", "Parameters", "Sequential", "Unrolled"]
