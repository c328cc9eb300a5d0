"""Workloads 1 to 3: deep autoencoders trained by Adam, from the same initial weights, on the same
batches.

All losses at the end are measured by our own code, with each contestant's weights put into one of
our models. So it does not matter how a framework scales its loss, nor how it draws its weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from itertools import pairwise

import numpy as np

from benchmarks.measure import Contestant, Row, alternate, compare
from nanoae import VAE, Autoencoder, datasets
from nanoae.models.deep import DeepAutoencoder
from nanoae.network import Dense, FullyConnected, Sequential

Weights = list[np.ndarray]  # weight (n_in, n_out) and bias of every layer, in turn
Order = Callable[[], np.ndarray]  # of the rows, in the next pass


def images(path: str | None, n: int = 10_000) -> np.ndarray:
    """Rows in [0, 1], float32: those of a file, or 784 noisy pixels that depend on 10 numbers."""
    if path is not None:
        return datasets.load(path)[:n].astype(np.float32)
    rng = np.random.default_rng(0)
    logits = rng.standard_normal((n, 10)) @ rng.standard_normal((10, 784))
    noise = 0.1 * rng.standard_normal((n, 784))
    return np.clip(1 / (1 + np.exp(-logits)) + noise, 0, 1).astype(np.float32)


class Code(Dense):
    """Of which no unit dies early: which ones do is chance, and decides the loss."""

    def initialise(self, rng: np.random.Generator) -> None:
        super().initialise(rng)
        self.bias.fill(5)


@dataclass(frozen=True)
class CodeThroughReLU(FullyConnected):
    """Scikit-learn's perceptron has the activation on every layer but the last."""

    def encoder(self, n_in: int, n_out: int) -> Sequential:
        *hidden, last = pairwise((n_in, *self.hidden_layer_sizes, n_out))
        return Sequential([*(Dense(*pair, "relu") for pair in hidden), Code(*last, "relu")])


def reference_vae() -> VAE:
    """784-400-20-400-784: PyTorch's own example."""
    return VAE(
        20, hidden_layer_sizes=(400,), likelihood="bernoulli", batch_size=128, random_state=0
    )


def vae(X: np.ndarray, rounds: int) -> list[Row]:
    """Workload 1: the reference VAE."""
    model = reference_vae()
    contestants = [
        ours(model, X),
        *(torch_peers(model, X, compiled=True) if find_spec("torch") else ()),
        matrix_products(model, X),
    ]
    limits = {"PyTorch": 0.7, "PyTorch, fused Adam": 1.05, "matrix products": 2.7}
    return compare("1 VAE", alternate(contestants, rounds), 1, limits)


def autoencoder(X: np.ndarray, rounds: int) -> list[Row]:
    """Workload 2: the deterministic autoencoder."""
    model = Autoencoder(20, architecture=CodeThroughReLU((400,)), random_state=0)
    contestants = [
        ours(model, X),
        *(torch_peers(model, X) if find_spec("torch") else ()),
        *(sklearn_peer(model, X) if find_spec("sklearn") else ()),
    ]
    limits = {"scikit-learn": 0.45, "PyTorch": 0.7}
    return compare("2 autoencoder", alternate(contestants, rounds), 1, limits)


def small(_: np.ndarray, rounds: int) -> list[Row]:
    """Workload 3: the same, small, on the digits; ten passes a turn."""
    X = datasets.load_digits().X.astype(np.float32)
    model = Autoencoder(8, architecture=CodeThroughReLU((32,)), batch_size=64, random_state=0)
    contestants = [
        ours(model, X, passes=10),
        *(torch_peers(model, X, passes=10) if find_spec("torch") else ()),
        *(sklearn_peer(model, X, passes=10) if find_spec("sklearn") else ()),
    ]
    limits = {"scikit-learn": 0.5, "PyTorch": 0.3}
    return compare("3 small", alternate(contestants, rounds), 10, limits)


# --- contestants ---------------------------------------------------------------------------


def started(model: DeepAutoencoder, X: np.ndarray) -> tuple[DeepAutoencoder, Order]:
    """Another one like it with the weights that it will start from, and its orders of the rows.

    Orders are the very same only while the model draws nothing else: a VAE draws noise.
    """
    other = type(model)(**model.get_params())
    rng = np.random.default_rng(model.random_state)
    other.set_params(random_state=rng).initialise(X)
    return other, partial(rng.permutation, len(X))


def weights(model: DeepAutoencoder) -> Weights:
    layers = (*model.encoder_.layers, *model.decoder_.layers)
    return [array for layer in layers if layer.shapes for array in (layer.weight, layer.bias)]


def loss(model: DeepAutoencoder, X: np.ndarray) -> float:
    """Over all rows; a VAE's with the same noise for all contestants."""
    return -model.elbo(X) if isinstance(model, VAE) else -model.score(X)


def loss_with(model: DeepAutoencoder, X: np.ndarray, trained: Weights) -> float:
    """The loss of another's weights."""
    model, _ = started(model, X)
    for array, value in zip(weights(model), trained, strict=True):
        array[...] = value
    return loss(model, X)


def ours(model: DeepAutoencoder, X: np.ndarray, *, passes: int = 1) -> Contestant:
    def train() -> None:
        for _ in range(passes):
            model.partial_fit(X)

    return Contestant("nanoae", train, partial(loss, model, X))


def torch_peers(
    model: DeepAutoencoder, X: np.ndarray, *, passes: int = 1, compiled: bool = False
) -> Iterator[Contestant]:
    from benchmarks.torch_networks import NotAvailable, Peer

    kinds = {"PyTorch": {}, "PyTorch, fused Adam": {"fused": True}}
    if compiled:
        kinds["PyTorch, compiled, fused Adam"] = {"fused": True, "compiled": True}
    for name, kind in kinds.items():
        start, order = started(model, X)
        try:
            peer = Peer(X, weights(start), order, isinstance(model, VAE), model.batch_size, **kind)
        except NotAvailable as reason:
            print(f"{name}: not available ({reason})")
            continue
        yield Contestant(
            name,
            partial(peer.train, passes),
            lambda peer=peer: loss_with(model, X, peer.weights()),
        )


def sklearn_peer(model: Autoencoder, X: np.ndarray, *, passes: int = 1) -> Iterator[Contestant]:
    from sklearn.neural_network import MLPRegressor

    hidden = tuple(model.architecture.hidden_layer_sizes)
    peer = MLPRegressor(
        hidden_layer_sizes=(*hidden, model.n_components, *hidden[::-1]), alpha=0,
        learning_rate_init=model.learning_rate, batch_size=model.batch_size, shuffle=False,
        epsilon=1e-8 / (2 * X.shape[1]), random_state=0,  # its loss is so much smaller than ours
    )  # fmt: skip
    few = X[: model.batch_size]
    peer.partial_fit(few, few)  # so that it has weights
    del peer._optimizer  # Adam starts anew
    start, order = started(model, X)
    theirs = [*peer.coefs_, *peer.intercepts_]
    for array, value in zip(theirs, weights(start)[::2] + weights(start)[1::2], strict=True):
        array[...] = value

    class InOurOrder(np.random.RandomState):
        def shuffle(self, indices):
            indices[...] = order()

    peer.set_params(shuffle=True, random_state=InOurOrder())

    def train() -> None:
        for _ in range(passes):
            peer.partial_fit(X, X)  # one pass, by the code of its fit

    def trained() -> float:
        pairs = zip(peer.coefs_, peer.intercepts_, strict=True)
        return loss_with(model, X, [array for pair in pairs for array in pair])

    yield Contestant("scikit-learn", train, trained)


def matrix_products(model: DeepAutoencoder, X: np.ndarray) -> Contestant:
    """The floor: the matrix products of every step, and nothing else."""
    rng = np.random.default_rng(0)
    layers = []
    for weight in weights(started(model, X)[0])[::2]:
        x, y = (rng.random((model.batch_size, n), dtype=np.float32) for n in weight.shape)
        layers.append((weight, x, y, np.empty_like(weight), np.empty_like(x)))

    def train() -> None:
        for start in range(0, len(X), model.batch_size):
            rows = min(model.batch_size, len(X) - start)
            for weight, x, y, _, _ in layers:
                np.matmul(x[:rows], weight, out=y[:rows])
            for weight, x, y, grad_weight, grad_x in reversed(layers):
                np.matmul(x[:rows].T, y[:rows], out=grad_weight)
                if weight is not layers[0][0]:
                    np.matmul(y[:rows], weight.T, out=grad_x[:rows])

    return Contestant("matrix products", train)
