"""The masked autoencoder of the digits that the figures of chapter 12 share."""

from __future__ import annotations

import numpy as np

from nanoae import MaskedAutoencoder, datasets
from nanoae import plotting as plot

N_TRAIN, N_EPOCHS = 1297, 180


def split(seed=0):
    """Digits and labels, those to learn from and the other 500."""
    X, y = datasets.load_digits()
    order = np.random.default_rng(seed).permutation(len(X))
    X, y = X[order].astype(np.float32), y[order]
    return X[:N_TRAIN], y[:N_TRAIN], X[N_TRAIN:], y[N_TRAIN:]


def network(seed=0):
    """Half of the sixteen 2×2 patches are missing."""
    return MaskedAutoencoder(
        (8, 8), patch_size=2, mask_ratio=0.5, width=32, decoder_width=32, batch_size=32,
        n_iter_no_change=None, random_state=seed,
    )  # fmt: skip


def trained(X, n_epochs=N_EPOCHS, seed=0, learning_rate=3e-3):
    """Trained at a rate that falls to a fiftieth in the second half of the epochs."""
    model = network(seed)
    for epoch in plot.progress(range(n_epochs), "masked autoencoder"):
        falling = max(0.02, min(1.0, 2 * (1 - epoch / n_epochs)))
        model.set_params(learning_rate=learning_rate * falling)
        model.partial_fit(X)
    return model
