"""The field that a denoiser learns of points on a curve, beside the exact score.

python -m figures.denoising_field
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np

from nanoae import Autoencoder, ConvergenceWarning, GaussianNoise, datasets, theory
from nanoae import plotting as plot

SIGMA = 0.2
REACH = 3.0  # in σ: arrows start no further from a sample, where noisy points are rare


def main(argv: list[str] | None = None) -> None:
    parser = plot.figure_parser(
        __doc__.splitlines()[0], Path(__file__).with_suffix(".png"), data=False
    )
    args = parser.parse_args(argv)
    X = datasets.make_curve(100, random_state=0)
    data = theory.NoisyData(X, SIGMA)
    model = Autoencoder(
        16, hidden_layer_sizes=(32,), activation="tanh", corruption=GaussianNoise(SIGMA),
        learning_rate=3e-3, batch_size=1000, max_iter=100 if args.quick else 1500,
        n_iter_no_change=None, random_state=0, verbose=True,
    )  # fmt: skip
    with warnings.catch_warnings():  # a picture does not show the last digits
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(np.tile(X, (10, 1)))

    _, x_tilde, weights = data.nodes(1.5 if args.quick else 0.5)
    exact, learned = fields(data, model, x_tilde)
    size, error = (np.sum(field**2, axis=1) for field in (exact, learned - exact))
    distance = distances(x_tilde, X) / SIGMA
    rows = []
    for least, most in ((0, 1), (1, 2), (2, REACH), (0, np.inf)):
        w = weights * ((distance >= least) & (distance < most))
        rows.append((f"{least:g}–{most:g}", w.sum(), w @ size / w.sum(), w @ error / w.sum(),
                     w @ error / (w @ size)))  # fmt: skip
    print("mean squares over the noisy points this far from the nearest sample, in σ")
    plot.print_table(("distance", "of points", "of σ² score", "of error", "share"), rows)
    plot.save(draw(data, model, rows[-1][-1]), args.out)


def fields(data, model, x):
    """``σ² ∇log p_σ`` by its definition, and ``r(x) − x``."""
    return data.scale**2 * data.score(x), model.reconstruct(x) - x


def distances(x, X):
    """From each point to the nearest sample."""
    return np.min(np.linalg.norm(x[:, None] - X, axis=2), axis=1)


def draw(data, model, share):
    plot.use_style()
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(9.6, 4.1), sharex=True, sharey=True)
    grid = np.meshgrid(np.arange(-1.0, 1.8, 0.2), np.arange(-1.6, 1.7, 0.2))
    x = np.stack(grid, axis=-1).reshape(-1, 2)
    x = x[distances(x, data.X) < REACH * SIGMA]
    exact, learned = fields(data, model, x)
    panels = (
        (exact, plot.BLACK, "Exact: σ² times the score"),
        (learned, plot.BLUE, "Learned by denoising: r(x) − x"),
        (learned - exact, plot.VERMILION, "Their difference"),
    )
    for ax, (field, colour, title) in zip(axes, panels, strict=True):
        ax.plot(*data.X.T, ".", color=plot.SKY, ms=5)
        ax.quiver(
            *x.T, *field.T, angles="xy", scale_units="xy", scale=2, color=colour, width=0.007,
            minlength=0, zorder=3,
        )  # fmt: skip
        ax.set_aspect("equal")
        ax.set(xlabel="$x_1$", title=title)
    axes[0].set_ylabel("$x_2$")
    axes[0].text(
        -0.95, 0, f"{len(data.X)} samples,\nnoise of σ = {SIGMA:g}", color="#555555", va="center"
    )
    axes[2].text(
        -0.95, 0, f"mean square:\n{share:.1%} of the\nfield's", va="center", color=plot.VERMILION
    )
    figure.supxlabel("All arrows at half their length: a whole one would end at r(x)", fontsize=10)
    return figure


if __name__ == "__main__":
    main()
