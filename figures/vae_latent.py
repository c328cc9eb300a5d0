"""The two-dimensional code of the digits: an autoencoder's beside a variational one's.

python -m figures.vae_latent
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nanoae import VAE, Autoencoder, datasets
from nanoae import plotting as plot

NOISE_VARIANCE = 0.04
HIDDEN = (128, 64)
GRID = 10  # decoded codes a side
PRIOR_PARTS = (0.5, 0.95)  # of the prior's mass within the circles drawn
# ten colours that are told apart as far as ten can be; every cloud also carries its digit
COLOURS = (
    plot.BLUE, plot.VERMILION, plot.GREEN, plot.PURPLE, plot.ORANGE,
    plot.SKY, plot.BLACK, "#8B5A2B", plot.GREY, "#B8A800",
)  # fmt: skip


def main(argv: list[str] | None = None) -> None:
    parser = plot.figure_parser(
        __doc__.splitlines()[0], Path(__file__).with_suffix(".png"), data=False
    )
    args = parser.parse_args(argv)
    X, labels = datasets.load_digits()
    X = X.astype(np.float32)
    epochs = 30 if args.quick else 300
    common = {
        "hidden_layer_sizes": HIDDEN, "learning_rate": 3e-3, "max_iter": epochs,
        "n_iter_no_change": epochs, "random_state": 0, "verbose": True,
    }  # fmt: skip
    autoencoder = Autoencoder(2, **common).fit(X)
    vae = VAE(2, noise_variance=NOISE_VARIANCE, **common).fit(X)

    rows = []
    for name, model in (("AE", autoencoder), ("VAE", vae)):
        codes = model.transform(X)
        error = model.reconstruction_error(X).mean()
        inside = [within_prior(codes, part) for part in PRIOR_PARTS]
        rows.append((name, error, *codes.mean(axis=0), *codes.std(axis=0), *inside))
    plot.print_table(
        ("model", "error", "mean 1", "mean 2", "std 1", "std 2", "in 50 %", "in 95 %"), rows
    )
    rate, distortion = vae.rate_distortion(X)
    print(f"VAE at σ² = {NOISE_VARIANCE}: rate {rate:.3f} nats, distortion {distortion:.3f}")
    plot.save(draw(autoencoder, vae, X, labels), args.out)


def within_prior(codes, part):
    """Part of the codes inside the circle that holds ``part`` of N(0, I) in two dimensions."""
    return float(np.mean(np.sum(codes**2, axis=1) <= radius(part) ** 2))


def radius(part):
    return np.sqrt(-2 * np.log(1 - part))  # ‖z‖² is exponential with mean 2


def draw(autoencoder, vae, X, labels):
    plot.use_style()
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, 2, figsize=(8, 9.6))
    both = (
        (autoencoder, "Autoencoder: codes lie wherever they fell"),
        (vae, "VAE: codes fill the prior N(0, I)"),
    )
    codes = [model.transform(X) for model, _ in both]
    everything = np.concatenate(codes)
    limits = np.stack([everything.min(axis=0) - 0.3, everything.max(axis=0) + 0.3], axis=1)
    limits[1, 0] = -radius(PRIOR_PARTS[-1]) - 1  # room for what the circles are
    for (scatter, grid), z, (model, title) in zip(axes.T, codes, both, strict=True):
        draw_codes(scatter, z, labels, limits)
        inside = 100 * within_prior(z, PRIOR_PARTS[-1])
        scatter.set_title(f"{title},\n{inside:.0f} % of them in the outer circle")
        draw_grid(grid, model, radius(PRIOR_PARTS[-1]))
    axes[0, 0].set_ylabel("code, dimension 2")
    return figure


def draw_codes(axes, codes, labels, limits):
    for digit in np.unique(labels):
        own = codes[labels == digit]
        colour = COLOURS[digit]
        axes.plot(*own.T, "o", ms=2.3, mew=0, color=colour, alpha=0.7)
        centre = np.median(own, axis=0)
        axes.text(
            *centre, str(digit), color=colour, fontsize=15, weight="bold", ha="center",
            va="center", path_effects=outline(),
        )  # fmt: skip
    angle = np.linspace(0, 2 * np.pi, 200)
    for part in PRIOR_PARTS:
        r = radius(part)
        axes.plot(r * np.cos(angle), r * np.sin(angle), color=plot.BLACK, lw=1, ls=(0, (4, 3)))
    axes.text(
        0.5, 0.02, "circles: 50 % and 95 % of the prior", transform=axes.transAxes, ha="center"
    )
    axes.set(xlim=limits[0], ylim=limits[1], aspect="equal", xlabel="code, dimension 1")


def outline():
    from matplotlib.patheffects import withStroke

    return [withStroke(linewidth=3, foreground="white")]


def draw_grid(axes, model, side):
    """What the decoder makes of codes on a grid over the square around the larger circle."""
    z = np.linspace(-side, side, GRID)
    codes = np.stack(np.meshgrid(z, z[::-1]), axis=-1).reshape(-1, 2)
    plot.show_images(axes, model.inverse_transform(codes), GRID)
    axes.set_title(f"... decoded on a grid, −{side:.1f} to {side:.1f} in both")


if __name__ == "__main__":
    main()
