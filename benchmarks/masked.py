"""Workload 11: masked autoencoders, of images by patches and of a table by its columns."""

from __future__ import annotations

import numpy as np

from benchmarks.contestants import trained
from benchmarks.measure import Contestant
from benchmarks.race import Comparison
from nanoae import MaskedAutoencoder, datasets

ROWS = 1280  # ten batches a pass


def of_images(name: str, X: np.ndarray) -> Contestant:
    model = MaskedAutoencoder((28, 28), patch_size=4, mask_ratio=0.75, random_state=0)
    return trained(name, model, X[:ROWS], in_pytorch)


def of_table(name: str, _: np.ndarray) -> Contestant:
    X = datasets.load_digits().X[:ROWS].astype(np.float32)
    return trained(name, MaskedAutoencoder(random_state=0), X, in_pytorch)


def in_pytorch(model: MaskedAutoencoder):
    import torch
    from torch import nn

    from benchmarks.torch_peer import Block, Peer, affine, norm, same

    to_vectors, places = model.encoder_.embedding.layers
    decoder = model.decoder_
    embed, enter, read = (
        nn.Linear(layer.n_in, layer.n_out)
        for layer in (to_vectors, decoder.entrance, decoder.readout)
    )
    position, decoder_position = (
        nn.Parameter(torch.zeros(layer.shape_in)) for layer in (places, decoder.positions)
    )
    token = nn.Parameter(torch.zeros(decoder.mask_token.shape))
    pairs = [
        *affine(embed, to_vectors), *affine(enter, decoder.entrance),
        *affine(read, decoder.readout), same(position, places, "vectors"),
        same(decoder_position, decoder.positions, "vectors"), same(token, decoder, "mask_token"),
    ]  # fmt: skip
    stacks = []
    for network in (model.encoder_.blocks, decoder.blocks):
        *blocks, last = network.layers
        peers = [Block(block) for block in blocks]
        stacks.append(nn.Sequential(*peers, nn.LayerNorm(last.shape_in)))
        pairs += [pair for peer in peers for pair in peer.pairs()] + norm(stacks[-1][-1], last)
    encode, decode = stacks

    def patches(x: torch.Tensor) -> torch.Tensor:
        if model.shape is None:
            return x[..., None]
        p = model.patch_size
        rows, columns = (n // p for n in model.shape)
        parts = x.view(-1, rows, p, columns, p).transpose(2, 3)
        return parts.reshape(-1, rows * columns, p * p)

    def loss(x: torch.Tensor, missing: torch.Tensor, visible: torch.Tensor) -> torch.Tensor:
        x, at = patches(x), visible[..., None]
        vectors = embed(x) + position
        known = enter(encode(vectors.gather(1, at.expand(-1, -1, vectors.shape[-1]))))
        tokens = token.expand(*x.shape[:2], -1).scatter(1, at.expand_as(known), known)
        errors = (read(decode(tokens + decoder_position)) - x).square().sum(dim=-1)
        return ((errors * missing).sum(dim=1) / missing.sum(dim=1)).mean()

    return Peer(model, loss, pairs, lambda rng, n: model._draw_masks(n, rng))


LIMITS = {"PyTorch": None, "PyTorch, fused Adam": None}
COMPARISONS = [
    Comparison("11 masked autoencoder, 49 patches of 16", of_images, LIMITS),
    Comparison("11 masked autoencoder, table of 64", of_table, LIMITS),
]
