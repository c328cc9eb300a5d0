"""Workload 8: the convolutional autoencoder, images of 28 by 28."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.contestants import images, trained
from benchmarks.measure import Contestant, Row
from benchmarks.race import Comparison
from benchmarks.resources import growth_of_steps
from nanoae import Autoencoder, Convolutional
from nanoae.network import Layer

TITLE, ROWS = "8 convolution", 1280  # ten batches a pass


def reference() -> Autoencoder:
    """Channels 1-16-32, kernel 3, stride 2, code 20."""
    return Autoencoder(20, architecture=Convolutional((28, 28)), batch_size=128, random_state=0)


def contestant(name: str, X: np.ndarray) -> Contestant:
    return trained(name, reference(), X[:ROWS], in_pytorch)


def in_pytorch(model: Autoencoder):
    from torch import nn

    from benchmarks.torch_peer import Peer, affine

    down = partial(nn.Conv2d, kernel_size=3, stride=2, padding=1)
    up = partial(nn.ConvTranspose2d, kernel_size=3, stride=2, padding=1, output_padding=1)
    network = nn.Sequential(
        nn.Unflatten(1, (1, 28, 28)), down(1, 16), nn.ReLU(), down(16, 32), nn.ReLU(),
        nn.Flatten(), nn.Linear(1568, 20), nn.Linear(20, 1568), nn.ReLU(),
        nn.Unflatten(1, (32, 7, 7)), up(32, 16), nn.ReLU(), up(16, 1), nn.Flatten(),
    )  # fmt: skip
    theirs = [module for module in network if hasattr(module, "weight")]
    layers = [*model.encoder_.layers, *model.decoder_.layers]
    ours = [layer for layer in layers if layer.shapes]
    return Peer(
        model,
        lambda x: nn.functional.mse_loss(network(x), x, reduction="sum") / len(x),
        [pair for both in zip(theirs, ours, strict=True) for pair in affine(*both)],
    )


SPEED = Comparison(TITLE, contestant, {"PyTorch": 1.4})


def memory(path: Path, rounds: int) -> list[Row]:
    """What a step allocates beyond what the step before has left, in unfolded patches."""
    model = reference()
    growth = growth_of_steps(model, images(None, ROWS), max_iter=3)
    layers: list[Layer] = [*model.encoder_.layers, *model.decoder_.layers]
    patches = max(layer.width for layer in layers) * model.batch_size * 4
    largest = max(growth[2:])
    return [
        Row(
            TITLE, "largest allocation in a step / patches of a layer", largest / patches,
            1.5, f"{largest:,} bytes; the largest layer's patches have {patches:,}",
        )
    ]  # fmt: skip
