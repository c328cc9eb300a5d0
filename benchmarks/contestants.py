"""Models of ours as contestants, and the same in PyTorch: from the same initial weights, on the
same batches, with the same noise.

All losses at the end are measured by our own code, with each contestant's weights put into one of
our models. So it does not matter how a framework scales its loss.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.measure import Contestant
from nanoae import datasets

PEERS = {  # and how each differs from the first
    "PyTorch": {},
    "PyTorch, fused Adam": {"fused": True},
    "PyTorch, compiled, fused Adam": {"fused": True, "compiled": True},
}
KEPT = ", memory kept"  # after the name of any of them
JUDGED = 1000  # rows


def images(path: str | None, n: int = 10_000) -> np.ndarray:
    """Rows in [0, 1], float32: those of a file, or 784 noisy pixels that depend on 10 numbers."""
    if path is not None:
        return datasets.load(path)[:n].astype(np.float32)
    rng = np.random.default_rng(0)
    logits = rng.standard_normal((n, 10)) @ rng.standard_normal((10, 784))
    noise = 0.1 * rng.standard_normal((n, 784))
    return np.clip(1 / (1 + np.exp(-logits)) + noise, 0, 1).astype(np.float32)


def started(model: Any, X: np.ndarray) -> tuple[Any, np.random.Generator]:
    """Another one like it with the weights that it will start from, and the generator as it is
    then: it is the one that orders the rows of each pass, and draws all noise.

    Of a few rows only: large arrays that we free in a peer's process would have the C library keep
    its freed memory at hand, as it does not for those who use it (see ``keep_memory``)."""
    rng = np.random.default_rng(model.random_state)
    twin = type(model)(**{**model.get_params(), "random_state": rng})
    twin.initialise(X[: model.batch_size])
    return twin, rng


def loss(model: Any, X: np.ndarray) -> float:
    """With the same noise for all contestants."""
    return model.loss_and_gradient(X[:JUDGED], np.random.default_rng(0))[0]


def trained(
    name: str, model: Any, X: np.ndarray, in_pytorch: Callable[[Any], Any], *, passes: int = 1
) -> Contestant:
    """Whoever of that name trains the model; ``in_pytorch`` makes a `Peer` of it."""
    if name == "nanoae":
        return ours(model, X, passes=passes)
    twin, rng = started(model, X)
    peer = in_pytorch(twin)
    peer.prepare(**PEERS[name.removesuffix(KEPT)], keep_memory=name.endswith(KEPT))
    peer.check(X[: model.batch_size])

    def tell() -> dict[str, float]:
        peer.hand_back()
        return {"loss": loss(twin, X)}

    return Contestant(lambda: [peer.train(X, rng, twin.batch_size) for _ in range(passes)], tell)


def ours(model: Any, X: np.ndarray, *, passes: int = 1) -> Contestant:
    def train() -> None:
        for _ in range(passes):
            model.partial_fit(X)

    return Contestant(train, lambda: {"loss": loss(model, X)})


def stepping(
    name: str, model: Any, x: np.ndarray, in_pytorch: Callable[[Any], Any], *, passes: int
) -> Contestant:
    """The same without an optimizer: loss and gradient of one batch, again and again."""
    step = model.loss_and_gradient
    if name != "nanoae":
        peer = in_pytorch(model)
        peer.check(x)
        step = peer.loss_and_gradient
    return Contestant(lambda: [step(x) for _ in range(passes)], lambda: {"loss": step(x)[0]})
