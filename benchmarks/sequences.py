"""Workload 9, networks of sequences: loss and gradient of a batch, without the optimizer."""

from __future__ import annotations

import numpy as np

from benchmarks.contestants import stepping
from benchmarks.measure import Contestant
from benchmarks.race import Comparison
from nanoae import Autoencoder
from nanoae.network import Parameters, Recurrent, TransformerBlock

BATCH, STEPS, REPEATS = 128, 28, 5
GRU_WIDTH, TOKENS, WIDTH, HEADS = 64, 64, 64, 4


def recurrent(name: str, X: np.ndarray) -> Contestant:
    """Rows of images as steps through a GRU autoencoder."""
    model = Autoencoder(GRU_WIDTH, architecture=Recurrent(STEPS, GRU_WIDTH), random_state=0)
    model.initialise(X[:BATCH])
    return stepping(name, model, X[:BATCH], torch_recurrent, passes=REPEATS)


def torch_recurrent(model: Autoencoder):
    import torch
    from torch import nn

    from benchmarks.torch_peer import Pair, Peer, affine

    reader, _, code = model.encoder_.layers
    _, writer, readout, _ = model.decoder_.layers
    first, second = (nn.GRU(gru.n_in, gru.n_out, batch_first=True) for gru in (reader, writer))
    to_code, to_steps = (nn.Linear(layer.n_in, layer.n_out) for layer in (code, readout))
    pairs = [*affine(to_code, code), *affine(to_steps, readout)]
    for theirs, ours in ((first, reader), (second, writer)):
        nn.init.zeros_(theirs.bias_hh_l0)  # of r and z there are two there
        pairs += [
            Pair(theirs.weight_ih_l0, ours.weight, ours.grad_weight, torch.t),
            Pair(theirs.weight_hh_l0, ours.recurrent_weight, ours.grad_recurrent_weight, torch.t),
            Pair(theirs.bias_ih_l0, ours.bias, ours.grad_bias),
            Pair(
                theirs.bias_hh_l0, ours.candidate_bias, ours.grad_candidate_bias,
                lambda bias: bias[2 * GRU_WIDTH :],
            ),
        ]  # fmt: skip

    def loss(x: torch.Tensor) -> torch.Tensor:
        x = x.view(len(x), -1, STEPS)
        h = to_code(first(x.flip(1))[1][0])  # ours reads from the end
        states, _ = second(h[:, None].expand(-1, x.shape[1], -1))
        return nn.functional.mse_loss(to_steps(states), x, reduction="sum") / len(x)

    return Peer(model, loss, pairs)


class SquareOfBlock:
    """A block of attention with the loss ``½ ‖y‖²``, whose gradient by y is y."""

    def __init__(self) -> None:
        self.block = TransformerBlock(TOKENS, WIDTH, HEADS)
        self.block.parameters = Parameters({"block": self.block}, np.float32)
        self.block.initialise(np.random.default_rng(0))

    def loss_and_gradient(self, x: np.ndarray, rng: object = None) -> tuple[float, np.ndarray]:
        y = self.block.forward(x)
        self.block.backward(y / len(x))
        return float(np.vdot(y, y)) / (2 * len(x)), self.block.parameters.gradient


def block(name: str, _: np.ndarray) -> Contestant:
    x = np.random.default_rng(1).standard_normal((BATCH, TOKENS, WIDTH), dtype=np.float32)
    return stepping(name, SquareOfBlock(), x, torch_block, passes=REPEATS)


def torch_block(model: SquareOfBlock):
    from benchmarks.torch_peer import Block, Peer

    peer = Block(model.block)
    # as in ours, x has a gradient
    loss = lambda x: peer(x.requires_grad_()).square().sum() / (2 * len(x))  # noqa: E731
    return Peer(model, loss, peer.pairs())


COMPARISONS = [
    Comparison("9 GRU, 28 steps of 28", recurrent, {"PyTorch": 1.2}, passes=REPEATS),
    Comparison("9 transformer block, 64 tokens of 64", block, {"PyTorch": 2.2}, passes=REPEATS),
]
