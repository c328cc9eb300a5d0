"""The field that a denoiser learns of a curve, beside the score that it estimates.

python -m figures.denoising_field
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np

from nanoae import Autoencoder, ConvergenceWarning, GaussianNoise, datasets, theory
from nanoae import plotting as plot

SIGMA = 0.2
REACH = 3.0  # arrows start within so many σ of a sample: further out hardly any noisy point falls
ACROSS = np.linspace(0.45, 1.55, 23)  # where the third panel measures, on the line x₂ = 0


def main(argv: list[str] | None = None) -> None:
    parser = plot.figure_parser(
        __doc__.splitlines()[0], Path(__file__).with_suffix(".png"), data=False
    )
    args = parser.parse_args(argv)
    X = datasets.make_curve(100, random_state=0)
    data = theory.NoisyData(X, SIGMA)
    model = Autoencoder(
        16, hidden_layer_sizes=(32,), activation="tanh", corruption=GaussianNoise(SIGMA),
        learning_rate=3e-3, batch_size=200, max_iter=30 if args.quick else 800,
        n_iter_no_change=None, random_state=0, verbose=True,
    )  # fmt: skip
    with warnings.catch_warnings():  # a picture does not show the last digits
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(np.tile(X, (10, 1)))

    _, x_tilde, weights = data.nodes(1.0 if args.quick else 0.5)
    error, size = squared_error(model, data, x_tilde, weights)
    print("mean squares over noisy points")
    plot.print_table(
        ("σ² score", "difference", "share"), [(float(size), float(error), float(error / size))]
    )
    print(f"on the line x₂ = 0, along it; the samples' distance from the centre is near 1")
    line = np.column_stack([ACROSS, np.zeros_like(ACROSS)])
    plot.print_table(
        ("x₁", "σ² score", "learned"),
        zip(ACROSS, exact(data, line)[:, 0], learned(model, line)[:, 0], strict=True),
    )
    plot.save(draw(model, data, error / size), args.out)


def learned(model, x):
    return model.reconstruct(x) - x


def exact(data, x):
    return data.scale**2 * data.score(x)


def squared_error(model, data, x, weights):
    """Of the learned field, and the mean square of the exact one."""
    field = exact(data, x)
    return (
        weights @ np.sum((learned(model, x) - field) ** 2, axis=1),
        weights @ np.sum(field**2, axis=1),
    )


def draw(model, data, share):
    plot.use_style()
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(11, 4.4), width_ratios=(1, 1, 1.05))
    grid = np.meshgrid(np.arange(-1.2, 1.8, 0.17), np.arange(-1.7, 1.75, 0.17))
    x = np.stack(grid, axis=-1).reshape(-1, 2)
    nearest = np.min(np.linalg.norm(x[:, None] - data.X, axis=2), axis=1)
    x = x[nearest < REACH * SIGMA]
    for ax, field, colour in (
        (axes[0], exact(data, x), plot.BLACK), (axes[1], learned(model, x), plot.VERMILION),
    ):  # fmt: skip
        ax.plot(*data.X.T, ".", color=plot.SKY, ms=5)
        ax.quiver(
            *x.T, *field.T, angles="xy", scale_units="xy", scale=1, color=colour, width=0.005,
            zorder=3,
        )  # fmt: skip
        ax.set_aspect("equal")
        ax.set(xlabel="$x_1$", ylabel="$x_2$")
    axes[0].set_title("σ² ∇log p(x), exact")
    axes[1].set_title("r(x) − x, learned by denoising")
    draw_across(axes[2], model, data, share)
    return figure


def draw_across(ax, model, data, share):
    def on_line(x1):
        return np.column_stack([x1, np.zeros_like(x1)])

    x1 = np.linspace(ACROSS[0], ACROSS[-1], 300)
    ax.plot(x1, exact(data, on_line(x1))[:, 0], color=plot.BLACK)
    ax.plot(ACROSS, learned(model, on_line(ACROSS))[:, 0], "o", color=plot.VERMILION, ms=5)
    ax.set(xlabel="$x_1$, on the line $x_2 = 0$", ylabel="first component of the field")
    ax.set_title("Across the curve")
    ax.text(0.97, 0.95, f"learned: off by {share:.1%} of the\nfield's mean square", transform=ax.transAxes, ha="right", va="top", color=plot.VERMILION)


if __name__ == "__main__":
    main()
