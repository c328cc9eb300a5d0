"""A model of ours in PyTorch. Imported only where there is a peer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from benchmarks import THREADS
from nanoae.network import Layer, TransformerBlock

torch.set_num_threads(THREADS)

Array = np.ndarray
TOLERANCE = 1e-3  # of a gradient in float32, relative


class Pair(NamedTuple):
    """A parameter there and the same here: live views, of the value and of its gradient."""

    theirs: nn.Parameter
    ours: Array
    our_gradient: Array
    as_ours: Callable[[torch.Tensor], torch.Tensor] = lambda tensor: tensor  # a view, too


def same(theirs: nn.Parameter, layer: Layer, name: str) -> Pair:
    """Of the same shape in both."""
    return Pair(theirs, getattr(layer, name), getattr(layer, f"grad_{name}"))


def affine(module: nn.Module, layer: Layer, part: slice = slice(None)) -> list[Pair]:
    """Weight and bias of a layer, or of some units of ours; a dense one's weight is transposed."""
    weight = Pair(module.weight, layer.weight[..., part], layer.grad_weight[..., part])
    bias = Pair(module.bias, layer.bias[part], layer.grad_bias[part])
    return [weight._replace(as_ours=torch.t) if module.weight.ndim == 2 else weight, bias]


def norm(module: nn.LayerNorm, layer: Layer) -> list[Pair]:
    return [same(module.weight, layer, "gain"), same(module.bias, layer, "bias")]


class Peer:
    """Trains by Adam, as our model does.

    Parameters
    ----------
    model
        Ours, whose weights it starts from.
    loss : callable
        Of a batch, and of what is drawn for it: what ours minimises.
    pairs : sequence of Pair
        All parameters.
    draws : callable, optional
        Of a generator and the number of rows: the noise of a step, as ours draws it.
    beta_1 : float
        Of Adam.
    """

    def __init__(
        self,
        model: Any,
        loss: Callable[..., torch.Tensor],
        pairs: Sequence[Pair],
        draws: Callable[[np.random.Generator, int], Sequence[Array]] = lambda rng, n: (),
        *,
        beta_1: float = 0.9,
    ) -> None:
        self.model, self.loss, self.pairs, self.draws = model, loss, pairs, draws
        self.parameters = list(dict.fromkeys(pair.theirs for pair in pairs))
        self.beta_1 = beta_1
        with torch.no_grad():
            for pair in pairs:
                pair.as_ours(pair.theirs).copy_(torch.from_numpy(pair.ours))

    def prepare(
        self, *, fused: bool = False, compiled: bool = False, keep_memory: bool = False
    ) -> None:
        """Choose among the ways that PyTorch has; ``keep_memory`` is what `nanoae.training.train`
        does for ours, and PyTorch's users do not."""
        if keep_memory:
            np.empty(20 * 2**17)
        if compiled:
            self.loss = torch.compile(self.loss, dynamic=False)
        self.optimizer = torch.optim.Adam(
            self.parameters, self.model.learning_rate, (self.beta_1, 0.999), fused=fused or None
        )

    def backward(self, x: torch.Tensor, rng: np.random.Generator | None) -> torch.Tensor:
        for parameter in self.parameters:
            parameter.grad = None
        loss = self.loss(x, *map(torch.from_numpy, self.draws(rng, len(x))))
        loss.backward()
        return loss.detach()

    def loss_and_gradient(
        self, x: Array, rng: np.random.Generator | None = None
    ) -> tuple[float, list[torch.Tensor]]:
        loss = self.backward(torch.from_numpy(x), rng)
        return loss.item(), [parameter.grad for parameter in self.parameters]

    def train(self, X: Array, rng: np.random.Generator, batch_size: int) -> None:
        """A pass."""
        rows = torch.from_numpy(X)
        for batch in torch.from_numpy(rng.permutation(len(X))).split(batch_size):
            self.backward(rows[batch], rng)
            self.optimizer.step()

    def hand_back(self) -> None:
        """Its weights to our model."""
        for pair in self.pairs:
            pair.ours[...] = pair.as_ours(pair.theirs.detach()).numpy()

    def check(self, x: Array) -> None:
        """Whether loss and gradient of a batch are those of our model, up to rounding."""
        ours = self.model.loss_and_gradient(x, np.random.default_rng(0))[0]
        theirs = self.loss_and_gradient(x, np.random.default_rng(0))[0]
        if not abs(theirs - ours) <= 1e-4 * abs(ours):
            raise ValueError(
                f"the loss of the first batch is {theirs:.6g}, and ours is {ours:.6g}"
            )
        whole = np.sqrt(sum(np.vdot(p.our_gradient, p.our_gradient) for p in self.pairs))
        for i, pair in enumerate(self.pairs):
            error = np.linalg.norm(pair.as_ours(pair.theirs.grad).numpy() - pair.our_gradient)
            size = np.linalg.norm(pair.our_gradient)
            if not error <= TOLERANCE * (size + 1e-3 * whole):
                raise ValueError(
                    f"the gradient of the first batch differs from ours by {error / size:.1e} in "
                    f"the {i + 1}th of its {len(self.pairs)} parts"
                )


class Block(nn.Module):
    """Our block: keys and values have no bias, which would add nothing."""

    def __init__(self, ours: TransformerBlock) -> None:
        super().__init__()
        _, width = ours.shape_in
        self.ours, self.n_heads = ours, ours.attention.n_heads
        self.norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])
        self.to_heads = nn.Linear(width, 3 * width, bias=False)
        self.of_queries = nn.Parameter(torch.zeros(width))
        self.output = nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.ReLU(), nn.Linear(4 * width, width)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, steps, width = x.shape
        bias = torch.cat([self.of_queries, self.of_queries.new_zeros(2 * width)])
        rows = nn.functional.linear(self.norms[0](x), self.to_heads.weight, bias)
        heads = rows.view(n, steps, 3, self.n_heads, -1).permute(2, 0, 3, 1, 4)
        seen = nn.functional.scaled_dot_product_attention(*heads)
        y = x + self.output(seen.transpose(1, 2).reshape(x.shape))
        return y + self.mlp(self.norms[1](y))

    def pairs(self) -> list[Pair]:
        attention, (hidden, last) = self.ours.attention, self.ours.mlp.layers
        return [
            *norm(self.norms[0], self.ours.norms[0]),
            same(self.to_heads.weight, attention, "weight")._replace(as_ours=torch.t),
            same(self.of_queries, attention, "bias"),
            *affine(self.output, attention.output),
            *norm(self.norms[1], self.ours.norms[1]),
            *affine(self.mlp[0], hidden),
            *affine(self.mlp[2], last),
        ]
