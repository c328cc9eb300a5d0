"""Does our VAE learn as well as PyTorch's reference example? Held-out negative ELBO, side by side.

    pip install torch
    python -m benchmarks.vae_against_pytorch --data t10k-images-idx3-ubyte.gz

Both: 784-400-20-400-784, ReLU, Bernoulli likelihood, Adam at 1e-3, batch 128, float32; the first
four fifths of the rows train, the rest test. The peer is the architecture and the loss of the
`basic VAE example <https://github.com/pytorch/examples/tree/main/vae>`_, written anew, with its
framework's default initial weights.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch
from torch import nn

from nanoae import VAE, datasets
from nanoae.plotting import print_table

HIDDEN, CODE, BATCH = 400, 20, 128


class Peer(nn.Module):
    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(n_features, HIDDEN)
        self.mu = nn.Linear(HIDDEN, CODE)
        self.log_var = nn.Linear(HIDDEN, CODE)
        self.decoder = nn.Sequential(
            nn.Linear(CODE, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, n_features)
        )

    def negative_elbo(self, x: torch.Tensor, eps: torch.Tensor | None = None) -> torch.Tensor:
        """Summed over the batch, one draw of z a sample."""
        h = torch.relu(self.hidden(x))
        mu, log_var = self.mu(h), self.log_var(h)
        z = mu + torch.exp(log_var / 2) * (torch.randn_like(mu) if eps is None else eps)
        logits = self.decoder(z)
        nll = nn.functional.binary_cross_entropy_with_logits(logits, x, reduction="sum")
        return nll - 0.5 * torch.sum(1 + log_var - mu**2 - log_var.exp())


def train_peer(train: np.ndarray, test: np.ndarray, epochs: int, seed: int) -> float:
    torch.manual_seed(seed)
    model = Peer(train.shape[1])
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    rows, held_out = torch.from_numpy(train), torch.from_numpy(test)
    for _ in range(epochs):
        for batch in torch.randperm(len(rows)).split(BATCH):
            optimizer.zero_grad()
            (model.negative_elbo(rows[batch]) / len(batch)).backward()
            optimizer.step()
    with torch.no_grad():
        draws = [model.negative_elbo(held_out).item() for _ in range(10)]
    return float(np.mean(draws)) / len(test)


def train_ours(train: np.ndarray, test: np.ndarray, epochs: int, seed: int) -> float:
    model = VAE(
        CODE, hidden_layer_sizes=(HIDDEN,), likelihood="bernoulli", batch_size=BATCH,
        max_iter=epochs, n_iter_no_change=epochs, random_state=seed,
    )  # fmt: skip
    return -model.fit(train).elbo(test)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, metavar="PATH", help="images in [0, 1]")
    parser.add_argument("--epochs", type=int, nargs="+", default=[10, 30, 100])
    parser.add_argument("--seeds", type=int, default=2)
    args = parser.parse_args()
    X = datasets.load(args.data).astype(np.float32)
    train, test = np.split(X, [4 * len(X) // 5])
    rows = []
    for epochs in args.epochs:
        for seed in range(args.seeds):
            start = time.perf_counter()
            ours = train_ours(train, test, epochs, seed)
            middle = time.perf_counter()
            theirs = train_peer(train, test, epochs, seed)
            end = time.perf_counter()
            rows.append((epochs, seed, ours, theirs, middle - start, end - middle))
            print_table(
                ("epochs", "seed", "ours (nats)", "PyTorch", "ours (s)", "PyTorch (s)"), rows[-1:]
            )


if __name__ == "__main__":
    main()
