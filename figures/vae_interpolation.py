"""Between two digits, and out of nothing: an autoencoder beside VAEs of several β.

python -m figures.vae_interpolation
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nanoae import VAE, Autoencoder, datasets
from nanoae import plotting as plot

PAIRS = ((0, 6), (4, 9), (3, 8))  # the digits to walk between
STEPS = 11
SAMPLES = 11
BETAS = (0.05, 0.3, 1.0, 3.0, 8.0)
CENTRE = 1.0  # the β shown beside the autoencoder
NOISE_VARIANCE = 0.05
N_COMPONENTS = 10


def main(argv: list[str] | None = None) -> None:
    parser = plot.figure_parser(
        __doc__.splitlines()[0], Path(__file__).with_suffix(".png"), data=False
    )
    args = parser.parse_args(argv)
    X, labels = datasets.load_digits()
    X = X.astype(np.float32)
    epochs = 15 if args.quick else 200
    common = {
        "hidden_layer_sizes": (256,), "learning_rate": 3e-3, "max_iter": epochs,
        "n_iter_no_change": epochs, "random_state": 0, "verbose": True,
    }  # fmt: skip
    autoencoder = Autoencoder(N_COMPONENTS, **common).fit(X)
    vaes = {
        beta: VAE(N_COMPONENTS, noise_variance=NOISE_VARIANCE, beta=beta, **common).fit(X)
        for beta in BETAS
    }

    rows = []
    for name, model in (("AE", autoencoder), *((f"β = {b:g}", m) for b, m in vaes.items())):
        rate, distortion = model.rate_distortion(X) if isinstance(model, VAE) else ("", "")
        codes = model.transform(X)
        halfway = (codes + np.random.default_rng(5).permutation(codes)) / 2
        rows.append(
            (name, rate, distortion, model.reconstruction_error(X).mean(),
             np.linalg.norm(codes, axis=1).mean(), nearest(model.inverse_transform(halfway), X),
             nearest(samples(model, 500), X))
        )  # fmt: skip
    print("last two: mean squared distance to the nearest digit, from codes halfway between two")
    print("digits and from codes drawn from the prior")
    plot.print_table(
        ("model", "rate", "distortion", "error at μ", "mean ‖code‖", "halfway", "prior"), rows
    )
    plot.save(draw(X, labels, autoencoder, vaes), args.out)


def samples(model, n):
    """Codes drawn from N(0, I), decoded."""
    z = np.random.default_rng(4).standard_normal((n, N_COMPONENTS))
    return model.inverse_transform(z)


def nearest(images, X):
    """Mean squared distance from images to the digit next to each."""
    squared = np.sum(images**2, axis=1)[:, None] - 2 * images @ X.T + np.sum(X**2, axis=1)
    return float(squared.min(axis=1).mean())


def draw(X, labels, autoencoder, vaes):
    plot.use_style()
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, 1, figsize=(8.4, 8.2))
    walks, names = [], []
    for first, last in PAIRS:
        ends = X[[np.flatnonzero(labels == digit)[0] for digit in (first, last)]]
        for name, model in (("AE", autoencoder), ("VAE", vaes[CENTRE])):
            walks.append(model.interpolate(*ends, STEPS))
            names.append(f"{first}→{last} {name}")
    show(axes[0], walks, names)
    axes[0].set_title("Straight lines between the codes of two digits, decoded")
    generated = [samples(autoencoder, SAMPLES), *(samples(m, SAMPLES) for m in vaes.values())]
    show(axes[1], generated, ["AE", *(f"β = {beta:g}" for beta in vaes)])
    axes[1].set_title("Codes drawn from the prior N(0, I), decoded: the AE, and VAEs of several β")
    return figure


def show(axes, rows, names):
    plot.show_images(axes, np.concatenate(rows), len(rows[0]))
    pitch = round(rows[0].shape[1] ** 0.5) + 1
    for i, name in enumerate(names):
        axes.text(-1, i * pitch + pitch / 2 - 1, name, ha="right", va="center", fontsize=8.5)


if __name__ == "__main__":
    main()
