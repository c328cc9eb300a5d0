"""Workload 8: the convolutional autoencoder, ours and PyTorch's, each in a process of its own.

In one process the threads of two libraries wait for each other, and either may look two or three
times slower or faster than it is. So each contestant is a process that takes its turn when told,
and sleeps in between.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import tracemalloc
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from benchmarks.measure import Contestant, Row, alternate, compare
from benchmarks.networks import Order, Weights, images, loss_with, started, weights
from nanoae import Autoencoder, Convolutional
from nanoae.network import Layer

ROWS = 1280  # ten batches a pass


def reference() -> Autoencoder:
    """Images of 28 by 28, channels 1-16-32, kernel 3, stride 2, code 20."""
    return Autoencoder(20, architecture=Convolutional((28, 28)), batch_size=128, random_state=0)


def convolution(X: np.ndarray, rounds: int) -> list[Row]:
    """Workload 8."""
    X, rows = X[:ROWS], []
    if X.shape[1] == 784:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "X.npy")
            np.save(path, X)
            sides = ["nanoae", *(["PyTorch"] if find_spec("torch") else [])]
            processes = {side: Side(side, path) for side in sides}
            contestants = [
                Contestant(side, partial(process.ask, "train"), partial(process.loss, X))
                for side, process in processes.items()
            ]
            timings = alternate(contestants, rounds)
            for process in processes.values():
                process.end()
        rows = compare("8 convolution", timings, 1, {"PyTorch": 1.4})
    return [*rows, memory()]


class Side:
    """A contestant in a process of its own."""

    def __init__(self, side: str, path: Path) -> None:
        self.trained = path.with_name(f"{side}.npz")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.convolution", side, str(path), str(self.trained)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def ask(self, what: str) -> None:
        self.process.stdin.write(f"{what}\n")
        self.process.stdin.flush()
        if self.process.stdout.readline().strip() != what:
            raise RuntimeError(f"a contestant of the convolutions has ended at {what!r}")

    def loss(self, X: np.ndarray) -> float:
        self.ask("save")
        with np.load(self.trained) as arrays:
            return loss_with(reference(), X, [*arrays.values()])

    def end(self) -> None:
        self.process.stdin.close()
        self.process.wait()


def take_turns(side: str, X: np.ndarray, trained: str) -> None:
    """What such a process does: a pass over all rows, or its weights, as the other end asks."""
    model = reference()
    if side == "nanoae":
        train, its_weights = partial(model.partial_fit, X), partial(weights, model)
    else:
        start, order = started(model, X)
        train, its_weights = in_pytorch(X, weights(start), order, model.batch_size)
    for line in sys.stdin:
        if line.strip() == "train":
            train()
        else:
            np.savez(trained, *its_weights())
        print(line.strip(), flush=True)


def in_pytorch(X: np.ndarray, start: Weights, order: Order, batch_size: int):
    """The same network and Adam there: a pass of training, and its weights in our form."""
    import torch
    from torch import nn

    from benchmarks import THREADS

    torch.set_num_threads(THREADS)
    down = partial(nn.Conv2d, kernel_size=3, stride=2, padding=1)
    up = partial(nn.ConvTranspose2d, kernel_size=3, stride=2, padding=1, output_padding=1)
    network = nn.Sequential(
        nn.Unflatten(1, (1, 28, 28)), down(1, 16), nn.ReLU(), down(16, 32), nn.ReLU(),
        nn.Flatten(), nn.Linear(1568, 20), nn.Linear(20, 1568), nn.ReLU(),
        nn.Unflatten(1, (32, 7, 7)), up(32, 16), nn.ReLU(), up(16, 1), nn.Flatten(),
    )  # fmt: skip
    parameters = [*network.parameters()]
    with torch.no_grad():
        for theirs, ours in zip(parameters, start, strict=True):
            theirs.copy_(torch.from_numpy(ours.T if ours.ndim == 2 else ours))
    optimizer, rows = torch.optim.Adam(network.parameters(), lr=1e-3), torch.from_numpy(X)

    def train() -> None:
        for batch in torch.from_numpy(order()).split(batch_size):
            optimizer.zero_grad()
            x = rows[batch]
            (nn.functional.mse_loss(network(x), x, reduction="sum") / len(x)).backward()
            optimizer.step()

    def its_weights() -> Weights:
        arrays = [parameter.detach().numpy() for parameter in parameters]
        return [array.T if array.ndim == 2 else array for array in arrays]

    return train, its_weights


class Watched(Autoencoder):
    """Notes the peak of what is allocated between one call of the loss and the next."""

    def loss_and_gradient(self, X, rng=None):
        now, peak = tracemalloc.get_traced_memory()
        self.growth = [*vars(self).get("growth", ()), peak - vars(self).get("before", now)]
        self.before = now
        tracemalloc.reset_peak()
        return super().loss_and_gradient(X, rng)


def memory() -> Row:
    """What a step allocates beyond what the step before has left, in unfolded patches."""
    X = images(None, ROWS)
    model = Watched(**{**reference().get_params(), "max_iter": 3})
    tracemalloc.start()
    model.fit(X)
    tracemalloc.stop()
    layers: list[Layer] = [*model.encoder_.layers, *model.decoder_.layers]
    patches = max(layer.width for layer in layers) * model.batch_size * X.itemsize
    largest = max(model.growth[2:])
    return Row(
        "8 convolution", "largest allocation in a step / patches of a layer", largest / patches,
        1.5, f"{largest:,} bytes; the largest layer's patches have {patches:,}",
    )  # fmt: skip


if __name__ == "__main__":
    take_turns(sys.argv[1], np.load(sys.argv[2]), sys.argv[3])
