"""Workloads 1 to 3: deep autoencoders trained by Adam, from the same initial weights.

All losses at the end are measured by our own code, with each contestant's weights put into one of
our models. So it does not matter how a framework scales its loss, nor how it draws its weights.
"""

from __future__ import annotations

import warnings
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
    """Rows in [0, 1], float32: those of a file, or 784 pixels that depend on 20 numbers."""
    if path is not None:
        return datasets.load(path)[:n].astype(np.float32)
    rng = np.random.default_rng(0)
    logits = rng.standard_normal((n, 20)) @ rng.standard_normal((20, 784))
    return (1 / (1 + np.exp(-logits))).astype(np.float32)


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


def reference_vae(X: np.ndarray, epochs: int) -> VAE:
    """784-400-20-400-784: PyTorch's own example."""
    return VAE(
        20, hidden_layer_sizes=(400,), likelihood="bernoulli", batch_size=128, max_iter=epochs,
        n_iter_no_change=epochs, random_state=0,
    )  # fmt: skip


def vae(data: str | None, rounds: int) -> list[Row]:
    """Workload 1: the reference VAE."""
    X, epochs = images(data), 2
    model = reference_vae(X, epochs)
    contestants = [
        ours(model, X),
        *(torch_peers(model, X, compiled=True) if find_spec("torch") else ()),
        matrix_products(model, X),
    ]
    limits = {"PyTorch": 0.7, "PyTorch, fused Adam": 1.05, "matrix products": 2.7}
    return compare("1 VAE", alternate(contestants, rounds), epochs, limits)


def autoencoder(data: str | None, rounds: int) -> list[Row]:
    """Workload 2: the deterministic autoencoder."""
    model = CodeThroughReLU(20, hidden_layer_sizes=(400,), max_iter=2, random_state=0)
    limits = {"scikit-learn": 0.45, "PyTorch": 0.7}
    return _deterministic("2 autoencoder", model, images(data), rounds, limits)


def small(data: str | None, rounds: int) -> list[Row]:
    """Workload 3: the same, small, on the digits."""
    X = datasets.load_digits().X.astype(np.float32)
    model = CodeThroughReLU(
        8, hidden_layer_sizes=(32,), batch_size=64, max_iter=30, n_iter_no_change=30,
        random_state=0,
    )  # fmt: skip
    limits = {"scikit-learn": 0.5, "PyTorch": 0.3}
    return _deterministic("3 small", model, X, rounds, limits)


def _deterministic(
    workload: str, model: Autoencoder, X: np.ndarray, rounds: int, limits: dict[str, float]
) -> list[Row]:
    contestants = [
        ours(model, X),
        *(torch_peers(model, X) if find_spec("torch") else ()),
        *(sklearn_peer(model, X) if find_spec("sklearn") else ()),
    ]
    return compare(workload, alternate(contestants, rounds), model.max_iter, limits)


# --- contestants ---------------------------------------------------------------------------


def started(model: DeepAutoencoder, X: np.ndarray) -> DeepAutoencoder:
    """Another one like it, with the weights that it will start from."""
    other = type(model)(**model.get_params())
    other._start(X)
    return other


def weights(model: DeepAutoencoder) -> Weights:
    layers = (*model.encoder_.layers, *model.decoder_.layers)
    return [array for layer in layers for array in (layer.weight, layer.bias)]


def loss_of(model: DeepAutoencoder, X: np.ndarray, trained: Weights) -> float:
    """The loss with these weights; a VAE's with the same noise for all."""
    for array, value in zip(weights(model), trained, strict=True):
        array[...] = value
    return -model.elbo(X, n_samples=1) if isinstance(model, VAE) else -model.score(X)


def ours(model: DeepAutoencoder, X: np.ndarray) -> Contestant:
    loss = partial(loss_of, started(model, X), X)
    return Contestant("nanoae", lambda: weights(model.fit(X)), loss)


def torch_peers(
    model: DeepAutoencoder, X: np.ndarray, *, compiled: bool = False
) -> Iterator[Contestant]:
    from benchmarks import torch_networks

    start = started(model, X)
    for name, fused, compile_it in (
        ("PyTorch", False, False),
        ("PyTorch, fused Adam", True, False),
        *([("PyTorch, compiled, fused Adam", True, True)] if compiled else []),
    ):
        try:
            train = torch_networks.trainer(
                X, [w.copy() for w in weights(start)], fused=fused, compiled=compile_it,
                variational=isinstance(model, VAE), batch_size=model.batch_size,
                epochs=model.max_iter,
            )  # fmt: skip
        except torch_networks.NotAvailable as reason:
            print(f"{name}: not available ({reason})")
            continue
        yield Contestant(name, train, partial(loss_of, started(model, X), X))


def sklearn_peer(model: Autoencoder, X: np.ndarray) -> Iterator[Contestant]:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPRegressor

    start = [w.copy() for w in weights(started(model, X))]
    hidden = tuple(model.hidden_layer_sizes)
    peer = MLPRegressor(
        hidden_layer_sizes=(*hidden, model.n_components, *hidden[::-1]), alpha=0, tol=0,
        learning_rate_init=model.learning_rate, batch_size=model.batch_size, warm_start=True,
        max_iter=1, n_iter_no_change=10**9, random_state=0,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        peer.fit(X, X)  # so that there are weights to set; a warm start begins at them
    peer.set_params(max_iter=model.max_iter)

    def train() -> Weights:
        peer.coefs_ = [w.copy() for w in start[::2]]
        peer.intercepts_ = [b.copy() for b in start[1::2]]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # it stops at max_iter, as told
            peer.fit(X, X)
        pairs = zip(peer.coefs_, peer.intercepts_, strict=True)
        return [array for pair in pairs for array in pair]

    yield Contestant("scikit-learn", train, partial(loss_of, started(model, X), X))


def matrix_products(model: DeepAutoencoder, X: np.ndarray) -> Contestant:
    """The floor: the matrix products of every step, and nothing else."""
    rng = np.random.default_rng(0)
    layers = []
    for weight in weights(started(model, X))[::2]:
        n_in, n_out = weight.shape
        shapes = [(model.batch_size, n_in), (model.batch_size, n_out), weight.shape]
        layers.append([weight, *(rng.random(shape, dtype=np.float32) for shape in shapes)])

    def train() -> None:
        for start in range(0, model.max_iter * len(X), model.batch_size):
            rows = min(model.batch_size, len(X) - start % len(X))
            for weight, x, y, _ in layers:
                np.matmul(x[:rows], weight, out=y[:rows])
            for weight, x, y, grad_weight in reversed(layers):
                np.matmul(x[:rows].T, y[:rows], out=grad_weight)
                if weight is not layers[0][0]:
                    np.matmul(y[:rows], weight.T, out=x[:rows])

    return Contestant("matrix products", train)
