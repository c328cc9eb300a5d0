"""Workload 10: the adversarial autoencoder, 784-400-20-400-784 and a discriminator 20-64-64-1."""

from __future__ import annotations

import numpy as np

from benchmarks.contestants import trained
from benchmarks.measure import Contestant
from benchmarks.race import Comparison
from nanoae import AdversarialAutoencoder
from nanoae.arrays import standard_normal

ROWS = 2560  # a game magnifies rounding: with more steps, or larger ones, the losses drift apart


def contestant(name: str, X: np.ndarray) -> Contestant:
    model = AdversarialAutoencoder(
        20, hidden_layer_sizes=(400,), learning_rate=2e-4, random_state=0
    )
    return trained(name, model, X[:ROWS], in_pytorch)


def in_pytorch(model: AdversarialAutoencoder):
    import torch
    from torch import nn
    from torch.nn.functional import mse_loss, softplus

    from benchmarks.torch_peer import Peer, affine

    layers = (*model.encoder_.layers, *model.decoder_.layers, *model.discriminator_.layers)
    linears = [nn.Linear(layer.n_in, layer.n_out) for layer in layers]
    encoder = nn.Sequential(linears[0], nn.ReLU(), linears[1])
    decoder = nn.Sequential(linears[2], nn.ReLU(), linears[3])
    slope = nn.LeakyReLU(0.2)
    discriminator = nn.Sequential(linears[4], slope, linears[5], slope, linears[6])

    def loss(x: torch.Tensor, prior: torch.Tensor) -> torch.Tensor:
        """The autoencoder's; its gradient is that of each player's own loss."""
        z, n = encoder(x), len(x)
        rows = torch.cat([prior, z.detach()]).requires_grad_()
        logits = discriminator(rows)[:, 0]
        (slopes,) = torch.autograd.grad(logits.sum(), rows, create_graph=True)
        penalty = model.gradient_penalty / 2 * slopes[:n].square().sum() / n
        theirs = softplus(-logits[:n]).mean() + softplus(logits[n:]).mean() + penalty
        # the encoder pays for its codes, the discriminator's weights do not
        fooled = softplus(-logits[n:].detach()).mean()
        grad_z = -torch.sigmoid(-logits[n:, None].detach()) / n * slopes[n:].detach()
        match = model.match_weight * (z * grad_z).sum()
        error = mse_loss(decoder(z), x, reduction="sum") / n
        value = error.detach() + model.match_weight * fooled
        whole = error + match + theirs
        return whole - whole.detach() + value

    return Peer(
        model,
        loss,
        [pair for both in zip(linears, layers, strict=True) for pair in affine(*both)],
        lambda rng, n: [standard_normal(rng, (n, model.n_components), np.float32)],
        beta_1=0.5,
    )


STEP = Comparison(
    "10 adversarial step", contestant, {"PyTorch": None, "PyTorch, fused Adam": None}
)
