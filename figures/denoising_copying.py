"""What keeps a code that is wide enough to copy from copying: noise.

python -m figures.denoising_copying
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np

from nanoae import (
    Autoencoder,
    ConvergenceWarning,
    GaussianNoise,
    LinearAutoencoder,
    datasets,
    theory,
)
from nanoae import plotting as plot

SIGMA = 0.3  # of the noise, in the plane
WIDTH = 16  # of the code, for points in the plane
EIGENVALUES = np.geomspace(5, 0.02, 8)  # of the data for the linear models
LEVELS = ((0.0, plot.BLACK), (0.3, plot.BLUE), (1.0, plot.VERMILION))  # σ for these


def main(argv: list[str] | None = None) -> None:
    parser = plot.figure_parser(
        __doc__.splitlines()[0], Path(__file__).with_suffix(".png"), data=False
    )
    args = parser.parse_args(argv)
    X = datasets.make_curve(100, random_state=0)
    shape = {"hidden_layer_sizes": (32,), "activation": "tanh", "random_state": 0, "verbose": True}
    models = (
        Autoencoder(WIDTH, solver="lbfgs", max_iter=100 if args.quick else 1000, **shape),
        Autoencoder(
            WIDTH, corruption=GaussianNoise(SIGMA), learning_rate=3e-3, batch_size=1000,
            max_iter=100 if args.quick else 1000, n_iter_no_change=None, **shape,
        ),
    )  # fmt: skip
    with warnings.catch_warnings():  # a picture does not show the last digits
        warnings.simplefilter("ignore", ConvergenceWarning)
        models[0].fit(X)
        models[1].fit(np.tile(X, (10, 1)))
    grid = np.meshgrid(np.arange(-1.0, 1.7, 0.25), np.arange(-1.5, 1.6, 0.25))
    x = np.stack(grid, axis=-1).reshape(-1, 2)
    moves = [model.reconstruct(x) - x for model in models]
    lengths = [np.linalg.norm(move, axis=1) for move in moves]
    print(f"lengths of the {len(x)} steps from x to r(x)")
    plot.print_table(
        ("σ", "mean", "longest"),
        ((s, np.mean(v), np.max(v)) for s, v in zip((0.0, SIGMA), lengths, strict=True)),
    )

    gains = [linear_gains(sigma) for sigma, _ in LEVELS]
    print("gains of linear models, and by the theory, on axes of the variance λ")
    closed = [EIGENVALUES / (EIGENVALUES + sigma**2) for sigma, _ in LEVELS]
    plot.print_table(
        ("λ", *(f"σ = {sigma:g}" for sigma, _ in LEVELS), *("theory" for _ in LEVELS)),
        np.column_stack([EIGENVALUES, *gains, *closed]),
    )
    plot.save(draw(X, x, moves, lengths, gains), args.out)


def linear_gains(sigma):
    """By how much a trained linear model multiplies what lies on each principal axis."""
    d = len(EIGENVALUES)
    X = datasets.make_gaussian(200, EIGENVALUES, exact=True, random_state=0)
    if sigma > 0:
        model = LinearAutoencoder(2 * d, corruption=GaussianNoise(sigma), random_state=0)
    else:
        model = LinearAutoencoder(d, random_state=0)  # no wider one is needed to copy
    model.fit(X)
    _, U, _ = theory.pca(X)
    return np.sum(U * (model.decoder_weight_ @ model.encoder_weight_ @ U), axis=0)


def draw(X, x, moves, lengths, gains):
    plot.use_style()
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(10, 4.1))
    titles = ("Trained without noise: it copies", f"With noise, σ = {SIGMA:g}: it cannot")
    for ax, move, length, title in zip(axes, moves, lengths, titles, strict=False):
        ax.plot(*x.T, ".", color=plot.GREY, ms=2)
        ax.plot(*X.T, ".", color=plot.SKY, ms=5)
        ax.quiver(
            *x.T, *move.T, angles="xy", scale_units="xy", scale=2, color=plot.BLUE, width=0.006,
            minlength=0, zorder=3,
        )  # fmt: skip
        ax.set_aspect("equal")
        ax.set(xlabel="$x_1$", ylim=(-2, 1.65), title=title)
        ax.text(-1.05, -1.85, f"longest step: {length.max():.2f}", color=plot.BLUE)
    axes[0].set_ylabel("$x_2$")
    draw_gains(axes[2], gains)
    d = len(EIGENVALUES)
    figure.supxlabel(
        f"Left and middle: 2 features, a code of {WIDTH}; arrows: half the step from x to r(x).   "
        f"Right: {d} features, a code of {2 * d} (no noise: {d})", fontsize=10,
    )  # fmt: skip
    return figure


def draw_gains(ax, gains):
    lam = np.geomspace(EIGENVALUES[0] * 1.3, EIGENVALUES[-1] / 1.3, 200)
    labels = (  # x, y, text, the side of x it stands on
        (0.02, 0.93, "no noise", "left"), (0.06, 0.5, "σ = 0.3", "right"),
        (1.2, 0.4, "σ = 1", "left"),
    )  # fmt: skip
    for (sigma, colour), points, (x, y, name, side) in zip(LEVELS, gains, labels, strict=True):
        ax.plot(lam, lam / (lam + sigma**2), color=colour)
        ax.plot(EIGENVALUES, points, "o", color=colour, ms=5)
        ax.text(x, y, name, color=colour, ha=side)
    ax.set_box_aspect(1.2)
    ax.set(
        xscale="log", xlabel="variance λ on a principal axis", ylabel="gain on that axis",
        title="Linear: ● trained   — λ/(λ + σ²)",
    )  # fmt: skip


if __name__ == "__main__":
    main()
