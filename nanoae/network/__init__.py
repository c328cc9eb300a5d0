"""Ground floor: how a network computes, and how it passes gradients back."""

from nanoae.network.activations import ACTIVATIONS
from nanoae.network.architecture import Architecture
from nanoae.network.attention import (
    LayerNorm,
    Positions,
    SelfAttention,
    Transformer,
    TransformerBlock,
)
from nanoae.network.dense import Dense
from nanoae.network.dictionary import Dictionary
from nanoae.network.dropout import Dropout
from nanoae.network.layer import Layer
from nanoae.network.lista import LISTA
from nanoae.network.mlp import MLP, FullyConnected, Sequential
from nanoae.network.parameters import Parameters
from nanoae.network.recurrent import GRU, RNN, Recurrent
from nanoae.network.sequence import (
    Embedding,
    Flatten,
    LastRead,
    MeanOverSteps,
    OnSequences,
    Repeat,
    SequenceLayer,
)

__all__ = [
    "ACTIVATIONS", "GRU", "LISTA", "MLP", "RNN", "Architecture", "Dense", "Dictionary",
    "Dropout", "Embedding", "Flatten", "FullyConnected", "LastRead", "Layer", "LayerNorm",
    "MeanOverSteps", "OnSequences", "Parameters", "Positions", "Recurrent", "Repeat",
    "SelfAttention", "SequenceLayer", "Sequential", "Transformer", "TransformerBlock",
]  # fmt: skip
