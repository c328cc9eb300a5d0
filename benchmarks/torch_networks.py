"""The same networks in PyTorch. Imported only if it is there."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import torch
from torch import nn

from benchmarks import THREADS
from benchmarks.vae_against_pytorch import Peer as ReferenceVAE

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


class Peer:
    """Trains by Adam from weights that it is given in our form, and tells its own in that form."""

    def __init__(
        self,
        X: np.ndarray,
        start: list[np.ndarray],
        order: Callable[[], np.ndarray],
        variational: bool,
        batch_size: int,
        *,
        fused: bool = False,
        compiled: bool = False,
    ) -> None:
        self.rows, self.order, self.batch_size = torch.from_numpy(X), order, batch_size
        if variational:
            network = ReferenceVAE(X.shape[1])
            self.loss = network.negative_elbo
            hidden, output = network.decoder[0], network.decoder[2]
            # its two heads are one layer of ours
            self.layers = [[network.hidden], [network.mu, network.log_var], [hidden], [output]]
        else:
            network = Deterministic([X.shape[1], *(len(bias) for bias in start[1::2])])
            self.loss = network.loss
            self.layers = [[linear] for linear in network.linears]
        self._put(start)
        self.optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, fused=fused or None)
        if compiled:
            self.loss = torch.compile(self.loss, dynamic=False)
            try:
                self.loss(self.rows[:batch_size])
            except torch._dynamo.exc.BackendCompilerFailed as error:
                raise NotAvailable(str(error).splitlines()[0]) from error

    def train(self, passes: int) -> None:
        for _ in range(passes):
            for batch in torch.from_numpy(self.order()).split(self.batch_size):
                self.optimizer.zero_grad()
                (self.loss(self.rows[batch]) / len(batch)).backward()
                self.optimizer.step()

    def weights(self) -> list[np.ndarray]:
        arrays = []
        for heads in self.layers:
            arrays.append(np.hstack([head.weight.detach().numpy().T for head in heads]))
            arrays.append(np.hstack([head.bias.detach().numpy() for head in heads]))
        return arrays

    @torch.no_grad()
    def _put(self, start: list[np.ndarray]) -> None:
        for heads, weight, bias in zip(self.layers, start[::2], start[1::2], strict=True):
            parts = np.split(weight, len(heads), axis=1), np.split(bias, len(heads))
            for head, head_weight, head_bias in zip(heads, *parts, strict=True):
                head.weight.copy_(torch.from_numpy(head_weight.T))
                head.bias.copy_(torch.from_numpy(head_bias))
