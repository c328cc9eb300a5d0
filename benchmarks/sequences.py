"""Networks of sequences: loss and gradient of a batch, without the optimizer."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

import numpy as np

from benchmarks import THREADS
from benchmarks.measure import Contestant, Row, alternate, compare
from nanoae import Autoencoder
from nanoae.network import Parameters, Recurrent, TransformerBlock

BATCH, STEPS = 128, 28
GRU_WIDTH, TOKENS, WIDTH, HEADS = 64, 64, 64, 4
WORKLOADS = {"9 GRU, 28 steps of 28": 1.2, "9 transformer block, 64 tokens of 64": 2.2}


def sequences(images: np.ndarray, rounds: int) -> list[Row]:
    """Workload 9: rows of images as steps through a GRU autoencoder, and a block of attention."""
    rows = []
    for (name, limit), contestants in zip(
        WORKLOADS.items(), (recurrent(images[:BATCH]), block()), strict=True
    ):
        timings = alternate([*contestants], rounds)
        rows += compare(name, timings, 1, {"PyTorch": limit})
    return rows


def recurrent(X: np.ndarray) -> Iterator[Contestant]:
    model = Autoencoder(GRU_WIDTH, architecture=Recurrent(STEPS, GRU_WIDTH), random_state=0)
    model.initialise(X)
    yield Contestant(
        "nanoae", lambda: model.loss_and_gradient(X), lambda: model.loss_and_gradient(X)[0]
    )
    if find_spec("torch") is None:
        return
    import torch
    from torch import nn

    torch.set_num_threads(THREADS)
    reader, _, code = model.encoder_.layers
    _, writer, readout, _ = model.decoder_.layers
    networks = [gru_of(reader), linear_of(code), gru_of(writer), linear_of(readout)]
    x = torch.from_numpy(X).view(BATCH, -1, STEPS)

    def step() -> torch.Tensor:
        for network in networks:
            network.zero_grad()
        first, to_code, second, to_steps = networks
        h = to_code(first(x.flip(1))[1][0])  # ours reads from the end
        states, _ = second(h[:, None].expand(-1, x.shape[1], -1))
        loss = nn.functional.mse_loss(to_steps(states), x, reduction="sum") / BATCH
        loss.backward()
        return loss

    yield Contestant("PyTorch", step, lambda: float(step().detach()))


def gru_of(layer):
    """PyTorch's with our weights."""
    import torch

    peer, k = torch.nn.GRU(layer.n_in, layer.n_out, batch_first=True), layer.n_out
    with torch.no_grad():
        peer.weight_ih_l0.copy_(torch.from_numpy(layer.weight.T))
        peer.weight_hh_l0.copy_(torch.from_numpy(layer.recurrent_weight.T))
        peer.bias_ih_l0.copy_(torch.from_numpy(layer.bias))
        peer.bias_hh_l0.zero_()
        peer.bias_hh_l0[2 * k :] = torch.from_numpy(layer.candidate_bias)
    return peer


def linear_of(layer):
    import torch

    peer = torch.nn.Linear(layer.n_in, layer.n_out)
    with torch.no_grad():
        peer.weight.copy_(torch.from_numpy(layer.weight.T))
        peer.bias.copy_(torch.from_numpy(layer.bias))
    return peer


def block() -> Iterator[Contestant]:
    rng = np.random.default_rng(0)
    ours = TransformerBlock(TOKENS, WIDTH, HEADS)
    ours.parameters = Parameters({"block": ours}, np.float32)
    ours.initialise(rng)
    x, grad_y = rng.standard_normal((2, BATCH, TOKENS, WIDTH), dtype=np.float32)

    def step() -> float:
        y = ours.forward(x)
        ours.backward(grad_y)
        return float(np.vdot(y, y)) / BATCH

    yield Contestant("nanoae", step, step)
    if find_spec("torch") is None:
        return
    import torch

    torch.set_num_threads(THREADS)
    peer = torch.nn.TransformerEncoderLayer(
        WIDTH, HEADS, 4 * WIDTH, dropout=0.0, batch_first=True, norm_first=True
    )
    hidden, out = ours.mlp.layers
    attention = peer.self_attn
    with torch.no_grad():
        attention.in_proj_weight.copy_(torch.from_numpy(ours.attention.weight.T))
        attention.in_proj_bias.zero_()
        for theirs, layer in (
            (attention.out_proj, ours.attention.output), (peer.linear1, hidden),
            (peer.linear2, out),
        ):  # fmt: skip
            theirs.weight.copy_(torch.from_numpy(layer.weight.T))
            theirs.bias.copy_(torch.from_numpy(layer.bias))
    x_peer, grad_peer = torch.from_numpy(x).requires_grad_(), torch.from_numpy(grad_y)

    def their_step() -> float:
        peer.zero_grad()
        y = peer(x_peer)
        y.backward(grad_peer)
        return float((y.detach() ** 2).sum()) / BATCH

    yield Contestant("PyTorch", their_step, their_step)
