"""The layer of a tied decoder, ``y = f(x Wᵀ + b)`` with the weights W of another layer."""

from __future__ import annotations

import numpy as np

from nanoae.network.dense import Dense
from nanoae.network.parameters import Parameters


class Transposed(Dense):
    """A dense layer that leads back where another has come from, by the same weights.

    The bias is its own. What the weights are owed for their use here is left in ``grad_weight``;
    a model adds it, transposed, to what they are owed as the other's (3.1a).

    Parameters
    ----------
    source : Dense
        Must be bound before this layer is.
    activation : str, default "identity"

    Attributes
    ----------
    weight : ndarray of shape (n_in, n_out)
        The source's, transposed: the same numbers.
    grad_weight : ndarray of shape (n_in, n_out)
        No part of the flat vector.
    bias, grad_bias : ndarray of shape (n_out,)

    Examples
    --------
    >>> from nanoae.network import Dense, Parameters, Transposed
    >>> encoder = Dense(3, 1)
    >>> decoder = Transposed(encoder)
    >>> parameters = Parameters({"encoder_": encoder, "decoder_": decoder})
    >>> parameters.names
    ['encoder_.weight', 'encoder_.bias', 'decoder_.bias']
    >>> encoder.weight[...] = [[1.0], [2.0], [3.0]]
    >>> decoder.weight.tolist()
    [[1.0, 2.0, 3.0]]
    """

    def __init__(self, source: Dense, activation: str = "identity") -> None:
        super().__init__(source.n_out, source.n_in, activation)
        for shapes in (self.shapes, self._own):
            del shapes["weight"]
        self.source = source

    def bind(self, parameters: Parameters, prefix: str) -> None:
        super().bind(parameters, prefix)
        self.weight = self.source.weight.T
        self.grad_weight = np.empty(self.weight.shape, self.weight.dtype)

    def initialise(self, rng: np.random.Generator) -> None:
        """The bias is 0; the weights are the source's to draw."""
        assert self.bias is not None
        self.bias.fill(0)
