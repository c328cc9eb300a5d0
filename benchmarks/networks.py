"""Workloads 1 to 3: fully connected networks trained by Adam."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from benchmarks.contestants import KEPT, PEERS, loss, started, trained
from benchmarks.measure import Contestant
from benchmarks.race import Comparison
from nanoae import VAE, Autoencoder, datasets
from nanoae.arrays import standard_normal
from nanoae.models.deep import DeepAutoencoder
from nanoae.network import Dense, FullyConnected, Sequential


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


def vae(name: str, X: np.ndarray) -> Contestant:
    model = reference_vae()
    return floor(model, X) if name == "matrix products" else trained(name, model, X, torch_vae)


def autoencoder(name: str, X: np.ndarray) -> Contestant:
    model = Autoencoder(20, architecture=CodeThroughReLU((400,)), random_state=0)
    return perceptron(name, model, X, passes=1)


def small(name: str, _: np.ndarray) -> Contestant:
    X = datasets.load_digits().X.astype(np.float32)
    model = Autoencoder(8, architecture=CodeThroughReLU((32,)), batch_size=64, random_state=0)
    return perceptron(name, model, X, passes=10)


VAES = Comparison(
    "1 VAE", vae,
    {
        "PyTorch": 0.7, "PyTorch, fused Adam": 1.0, "PyTorch, compiled, fused Adam": 1.1,
        **dict.fromkeys((peer + KEPT for peer in PEERS), None), "matrix products": 1.75,
    },
)  # fmt: skip
AUTOENCODERS = Comparison(
    "2 autoencoder", autoencoder,
    {
        "PyTorch": 0.7, "PyTorch, fused Adam": None, f"PyTorch{KEPT}": None,
        f"PyTorch, fused Adam{KEPT}": None, "scikit-learn": 0.45,
    },
)  # fmt: skip
SMALL = Comparison(
    "3 small", small,
    {"PyTorch": 0.3, "PyTorch, fused Adam": None, "scikit-learn": 0.5}, passes=10,
)  # fmt: skip


def torch_vae(model: VAE):
    from benchmarks.torch_peer import Peer, affine
    from benchmarks.vae_against_pytorch import Peer as ReferenceVAE

    network, k = ReferenceVAE(model.n_features_in_), model.n_components
    (hidden, code), (from_code, output) = model.encoder_.layers, model.decoder_.layers
    pairs = [
        *affine(network.hidden, hidden),
        *affine(network.mu, code, slice(k)),  # two there, side by side in one layer of ours
        *affine(network.log_var, code, slice(k, None)),
        *affine(network.decoder[0], from_code),
        *affine(network.decoder[2], output),
    ]
    return Peer(
        model,
        lambda x, eps: network.negative_elbo(x, eps) / len(x),
        pairs,
        lambda rng, n: [standard_normal(rng, (n, k), np.float32)],
    )


def perceptron(name: str, model: Autoencoder, X: np.ndarray, passes: int) -> Contestant:
    if name == "scikit-learn":
        return in_sklearn(model, X, passes)
    return trained(name, model, X, torch_perceptron, passes=passes)


def torch_perceptron(model: Autoencoder):
    from torch import nn

    from benchmarks.torch_peer import Peer, affine

    layers = [*model.encoder_.layers, *model.decoder_.layers]
    linears = [nn.Linear(layer.n_in, layer.n_out) for layer in layers]
    network = nn.Sequential(*[part for linear in linears for part in (linear, nn.ReLU())][:-1])
    return Peer(
        model,
        lambda x: nn.functional.mse_loss(network(x), x, reduction="sum") / len(x),
        [pair for both in zip(linears, layers, strict=True) for pair in affine(*both)],
    )


def in_sklearn(model: Autoencoder, X: np.ndarray, passes: int) -> Contestant:
    from sklearn.neural_network import MLPRegressor

    hidden = tuple(model.architecture.hidden_layer_sizes)
    scale = 2  # what its gradient is to be multiplied by for ours: its loss has a factor of ½
    peer = MLPRegressor(
        hidden_layer_sizes=(*hidden, model.n_components, *hidden[::-1]), alpha=0,
        learning_rate_init=model.learning_rate, batch_size=model.batch_size, shuffle=False,
        epsilon=1e-8 / scale, random_state=0,
    )  # fmt: skip
    twin, rng = started(model, X)
    few = X[: model.batch_size]
    peer.partial_fit(few, few)  # so that it has weights
    layers = [*twin.encoder_.layers, *twin.decoder_.layers]

    class InOurOrder(np.random.RandomState):
        def shuffle(self, indices):
            indices[...] = rng.permutation(len(X))

    def start() -> None:
        del peer._optimizer  # Adam begins anew
        for theirs, layer in zip(
            zip(peer.coefs_, peer.intercepts_, strict=True), layers, strict=True
        ):
            theirs[0][...], theirs[1][...] = layer.weight, layer.bias

    start()
    peer.partial_fit(few, few)
    twin.loss_and_gradient(few)
    moments = peer._optimizer.ms[: len(layers)]  # (1 − β₁) times the gradients by the weights
    for moment, layer in zip(moments, layers, strict=True):
        error = np.linalg.norm(10 * scale * moment - layer.grad_weight)
        if not error <= 1e-3 * np.linalg.norm(layer.grad_weight):
            raise ValueError("the gradient of the first batch differs from ours")
    start()
    peer.set_params(shuffle=True, random_state=InOurOrder())

    def train() -> None:
        for _ in range(passes):
            peer.partial_fit(X, X)  # one pass, by the code of its fit

    def tell() -> dict[str, float]:
        for theirs, layer in zip(
            zip(peer.coefs_, peer.intercepts_, strict=True), layers, strict=True
        ):
            layer.weight[...], layer.bias[...] = theirs
        return {"loss": loss(twin, X)}

    return Contestant(train, tell)


def floor(model: DeepAutoencoder, X: np.ndarray) -> Contestant:
    """The matrix products of every step, and nothing else."""
    rng, layers = np.random.default_rng(0), []
    twin: Any = started(model, X)[0]
    for layer in (*twin.encoder_.layers, *twin.decoder_.layers):
        x, y = (rng.random((model.batch_size, n), dtype=np.float32) for n in layer.weight.shape)
        layers.append((layer.weight, x, y, np.empty_like(layer.weight), np.empty_like(x)))

    def train() -> None:
        for start in range(0, len(X), model.batch_size):
            rows = min(model.batch_size, len(X) - start)
            for weight, x, y, _, _ in layers:
                np.matmul(x[:rows], weight, out=y[:rows])
            for weight, x, y, grad_weight, grad_x in reversed(layers):
                np.matmul(x[:rows].T, y[:rows], out=grad_weight)
                if weight is not layers[0][0]:
                    np.matmul(y[:rows], weight.T, out=grad_x[:rows])

    return Contestant(train)
