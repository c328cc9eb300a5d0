"""The same networks in PyTorch. Imported only if it is there."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import torch
from torch import nn

from benchmarks import THREADS
from benchmarks.vae_against_pytorch import Peer

torch.set_num_threads(THREADS)


class NotAvailable(Exception):
    """This machine cannot compile."""


class Deterministic(nn.Module):
    """ReLU after every layer but the last; squared error, summed over the batch."""

    def __init__(self, sizes: list[int]) -> None:
        super().__init__()
        self.linears = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(sizes))

    def loss(self, x: torch.Tensor) -> torch.Tensor:
        h = x
        for linear in self.linears[:-1]:
            h = torch.relu(linear(h))
        return nn.functional.mse_loss(self.linears[-1](h), x, reduction="sum")


def trainer(
    X: np.ndarray,
    start: list[np.ndarray],
    *,
    variational: bool,
    fused: bool,
    compiled: bool,
    batch_size: int,
    epochs: int,
) -> Callable[[], list[np.ndarray]]:
    """A function that trains from ``start`` by Adam, and returns the weights in its form."""
    rows = torch.from_numpy(X)
    if variational:
        network = Peer(X.shape[1])
        loss = network.negative_elbo
        hidden, output = network.decoder[0], network.decoder[2]
        # its two heads are one layer of ours
        layers = [[network.hidden], [network.mu, network.log_var], [hidden], [output]]
    else:
        network = Deterministic([X.shape[1], *(len(bias) for bias in start[1::2])])
        loss = network.loss
        layers = [[linear] for linear in network.linears]
    if compiled:
        try:
            loss = torch.compile(loss, dynamic=False)
            loss(rows[:batch_size]).backward()
        except torch._dynamo.exc.BackendCompilerFailed as error:
            raise NotAvailable(str(error).splitlines()[0]) from error

    def train() -> list[np.ndarray]:
        put(layers, start)
        optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, fused=fused)
        for _ in range(epochs):
            for batch in torch.randperm(len(rows)).split(batch_size):
                optimizer.zero_grad()
                (loss(rows[batch]) / len(batch)).backward()
                optimizer.step()
        return get(layers)

    return train


def put(layers: list[list[nn.Linear]], start: list[np.ndarray]) -> None:
    with torch.no_grad():
        for i, heads in enumerate(layers):
            weights = np.split(start[2 * i], len(heads), axis=1)
            biases = np.split(start[2 * i + 1], len(heads))
            for head, weight, bias in zip(heads, weights, biases, strict=True):
                head.weight.copy_(torch.from_numpy(weight.T))
                head.bias.copy_(torch.from_numpy(bias))


def get(layers: list[list[nn.Linear]]) -> list[np.ndarray]:
    parts = []
    for heads in layers:
        parts.append(np.hstack([head.weight.detach().numpy().T for head in heads]))
        parts.append(np.hstack([head.bias.detach().numpy() for head in heads]))
    return parts
