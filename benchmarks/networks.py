"""Workloads 1 to 3: deep autoencoders trained by Adam, from the same initial weights.

All losses at the end are measured by our own code, with each contestant's weights put into one of
our models. So it does not matter how a framework scales its loss, nor how it draws its weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from importlib.util import find_spec

import numpy as np

from benchmarks.measure import Contestant, Row, alternate, compare
from nanoae import VAE, Autoencoder, datasets
from nanoae.models.base import DeepAutoencoder
from nanoae.network import Dense, Parameters, Sequential

Weights = list[np.ndarray]  # weight (n_in, n_out) and bias of every layer, in turn


def images(path: str | None, n: int = 10_000) -> np.ndarray:
    """Rows in [0, 1], float32: those of a file, or 784 noisy pixels that depend on 10 numbers."""
    if path is not None:
        return datasets.load(path)[:n].astype(np.float32)
    rng = np.random.default_rng(0)
    logits = rng.standard_normal((n, 10)) @ rng.standard_normal((10, 784))
    noise = 0.1 * rng.standard_normal((n, 784))
    return np.clip(1 / (1 + np.exp(-logits)) + noise, 0, 1).astype(np.float32)


class CodeThroughReLU(Autoencoder):
    """Scikit-learn's perceptron has the activation on every layer but the last."""

    def _build(self, n_features, dtype):
        sizes = (n_features, *self.hidden_layer_sizes, self.n_components)
        *outer, last = zip(sizes[:0:-1], sizes[-2::-1], strict=True)
        pairs = zip(sizes[:-1], sizes[1:], strict=True)
        self.encoder_ = Sequential([Dense(*pair, "relu") for pair in pairs])
        self.decoder_ = Sequential([*(Dense(*pair, "relu") for pair in outer), Dense(*last)])
        self._parameters = Parameters(
            {"encoder_": self.encoder_, "decoder_": self.decoder_}, dtype
        )


def reference_vae() -> VAE:
    """784-400-20-400-784: PyTorch's own example."""
    return VAE(
        20, hidden_layer_sizes=(400,), likelihood="bernoulli", batch_size=128, random_state=0
    )


def vae(data: str | None, rounds: int) -> list[Row]:
    """Workload 1: the reference VAE."""
    model, X = reference_vae(), images(data)
    contestants = [
        ours(model, X),
        *(torch_peers(model, X, compiled=True) if find_spec("torch") else ()),
        matrix_products(model, X),
    ]
    limits = {"PyTorch": 0.7, "PyTorch, fused Adam": 1.05, "matrix products": 2.7}
    return compare("1 VAE", alternate(contestants, rounds), 1, limits)


def autoencoder(data: str | None, rounds: int) -> list[Row]:
    """Workload 2: the deterministic autoencoder."""
    model, X = CodeThroughReLU(20, hidden_layer_sizes=(400,), random_state=0), images(data)
    contestants = [
        ours(model, X),
        *(torch_peers(model, X) if find_spec("torch") else ()),
        *(sklearn_peer(model, X) if find_spec("sklearn") else ()),
    ]
    limits = {"scikit-learn": 0.45, "PyTorch": 0.7}
    return compare("2 autoencoder", alternate(contestants, rounds), 1, limits)


def small(data: str | None, rounds: int) -> list[Row]:
    """Workload 3: the same, small, on the digits; ten passes a turn."""
    X = datasets.load_digits().X.astype(np.float32)
    model = CodeThroughReLU(8, hidden_layer_sizes=(32,), batch_size=64, random_state=0)
    contestants = [
        ours(model, X, passes=10),
        *(torch_peers(model, X, passes=10) if find_spec("torch") else ()),
        *(sklearn_peer(model, X, passes=10) if find_spec("sklearn") else ()),
    ]
    limits = {"scikit-learn": 0.5, "PyTorch": 0.3}
    return compare("3 small", alternate(contestants, rounds), 10, limits)


# --- contestants ---------------------------------------------------------------------------


def started(model: DeepAutoencoder, X: np.ndarray) -> DeepAutoencoder:
    """Another one like it, with the weights that it will start from."""
    other = type(model)(**model.get_params())
    other._start(X)
    return other


def weights(model: DeepAutoencoder) -> Weights:
    layers = (*model.encoder_.layers, *model.decoder_.layers)
    return [array for layer in layers for array in (layer.weight, layer.bias)]


def loss(model: DeepAutoencoder, X: np.ndarray) -> float:
    """Over all rows; a VAE's with the same noise for all contestants."""
    return -model.elbo(X) if isinstance(model, VAE) else -model.score(X)


def loss_with(model: DeepAutoencoder, X: np.ndarray, trained: Weights) -> float:
    """The loss of another's weights."""
    model = started(model, X)
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
    start = weights(started(model, X))
    for name, kind in kinds.items():
        try:
            peer = Peer(X, start, isinstance(model, VAE), model.batch_size, **kind)
        except NotAvailable as reason:
            print(f"{name}: not available ({reason})")
            continue
        yield Contestant(
            name, partial(peer.train, passes), lambda peer=peer: loss_with(model, X, peer.weights())
        )


def sklearn_peer(model: Autoencoder, X: np.ndarray, *, passes: int = 1) -> Iterator[Contestant]:
    from sklearn.neural_network import MLPRegressor

    hidden = tuple(model.hidden_layer_sizes)
    peer = MLPRegressor(
        hidden_layer_sizes=(*hidden, model.n_components, *hidden[::-1]), alpha=0,
        learning_rate_init=model.learning_rate, batch_size=model.batch_size, random_state=0,
    )  # fmt: skip
    peer.partial_fit(X[:2], X[:2])  # so that it has weights
    start = weights(started(model, X))
    for array, value in zip([*peer.coefs_, *peer.intercepts_], start[::2] + start[1::2], strict=True):
        array[...] = value

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
    for weight in weights(started(model, X))[::2]:
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
