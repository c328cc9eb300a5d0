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
from nanoae.network.convolution import Convolution, Convolutional, TransposedConvolution
from nanoae.network.dense import Dense
from nanoae.network.dictionary import Dictionary
from nanoae.network.dropout import Dropout
from nanoae.network.layer import Layer
from nanoae.network.lista import LISTA
from nanoae.network.masked import FillingDecoder, ToPatches, VisibleEncoder
from nanoae.network.mlp import MLP, FullyConnected, Sequential
from nanoae.network.parameters import Parameters
from nanoae.network.pooling import AveragePool, MaxPool, Upsample
from nanoae.network.recurrent import GRU, RNN, Recurrent
from nanoae.network.reshape import FromImages, Reshape, ToImages
from nanoae.network.sequence import (
    Embedding,
    Flatten,
    LastRead,
    MeanOverSteps,
    OnSequences,
    Repeat,
    SequenceLayer,
)
from nanoae.network.transposed import Transposed

__all__ = [
    "ACTIVATIONS", "GRU", "LISTA", "MLP", "RNN", "Architecture", "AveragePool", "Convolution",
    "Convolutional", "Dense", "Dictionary", "Dropout", "Embedding", "FillingDecoder", "Flatten",
    "FromImages", "FullyConnected", "LastRead", "Layer", "LayerNorm", "MaxPool", "MeanOverSteps",
    "OnSequences", "Parameters", "Positions", "Recurrent", "Repeat", "Reshape", "SelfAttention",
    "SequenceLayer", "Sequential", "ToImages", "ToPatches", "Transformer", "TransformerBlock",
    "Transposed", "TransposedConvolution", "Upsample", "VisibleEncoder",
]  # fmt: skip
