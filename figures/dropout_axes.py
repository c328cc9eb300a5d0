"""Dropout on a linear code: which principal axes stay in use, and how width undoes it.

python -m figures.dropout_axes
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nanoae import LinearAutoencoder, theory
from nanoae import plotting as plot

PROBABILITIES = (0.2, 0.5, 0.8)
COLOURS = dict(zip(PROBABILITIES, (plot.GREEN, plot.BLUE, plot.VERMILION), strict=True))
SHOWN = 0.5  # whose losses are drawn


def main(argv: list[str] | None = None) -> None:
    out = Path(__file__).with_suffix(".png")
    parser = plot.figure_parser(__doc__.splitlines()[0], out)
    args = parser.parse_args(argv)
    X = plot.load_data(parser, args.data)
    eigenvalues = theory.pca(X).eigenvalues
    n = plot.directions(eigenvalues)
    widths = [k for k in ((2, 4) if args.quick else (2, 4, 8, 16, 32, 64)) if k <= 2 * n]
    runs = [(p, k) for p in PROBABILITIES for k in widths]
    with plot.training(parser):
        trained = {run: train(X, *run, args.quick) for run in plot.progress(runs, "training")}
    plot.print_table(
        ("dropout", "width", "axes", "trained", "loss", "trained", "clean", "trained"),
        (
            (p, k, best.n_axes, axes, best.loss, loss, best.clean_loss, clean)
            for (p, k), (axes, loss, clean) in trained.items()
            for best in [theory.dropout_optimum(eigenvalues, k, p)]
        ),
    )
    plot.save(draw(eigenvalues, n, trained), args.out)


def train(X, p, k, quick):
    """Axes in use, and the mean error with dropout and without it."""
    tol = 1e-2 if quick else 1e-6
    model = LinearAutoencoder(k, dropout=p, tol=tol, random_state=0).fit(X)
    z = np.linalg.svd(model.decoder_weight_ @ model.transform(X).T)[1]
    return int(np.sum(z > 1e-3 * z[0])), model.loss_, -model.score(X)


def draw(eigenvalues, n, trained):
    plot.use_style()
    import matplotlib.pyplot as plt

    figure, (axes, losses) = plt.subplots(1, 2, figsize=(10, 4.4))
    widths = np.unique(np.geomspace(1, 16 * n, 200).astype(int))
    draw_axes(axes, eigenvalues, n, widths, trained)
    draw_losses(losses, eigenvalues, widths, trained)
    for ax in (axes, losses):
        ax.set_xscale("log", base=2)
        ax.xaxis.set_major_formatter("{x:.0f}")
        ax.set_xlabel("width k of the code")
    return figure


def draw_axes(ax, eigenvalues, n, widths, trained):
    for p, colour in COLOURS.items():
        counts = [theory.dropout_optimum(eigenvalues, k, p).n_axes for k in widths]
        ax.step(widths, counts, where="post", color=colour)
        ax.text(widths[-1] * 1.1, counts[-1], f"p = {p:g}", color=colour, va="center")
        points = [(k, run[0]) for (q, k), run in trained.items() if q == p]
        ax.plot(*zip(*points, strict=True), "o", color=colour, ms=6)
    ax.plot(widths[widths <= n], widths[widths <= n], color=plot.GREY, ls=":", zorder=1)
    ax.text(n * 0.55, n * 0.82, "no dropout: all k", color=plot.GREY, ha="right")
    ax.set(
        ylabel="principal axes in use", title="Dropout leaves out axes; width brings them back",
        xlim=(1, widths[-1] * 3.2), ylim=(0, n * 1.05),
    )  # fmt: skip


def draw_losses(ax, eigenvalues, widths, trained):
    best = [theory.dropout_optimum(eigenvalues, k, SHOWN) for k in widths]
    total = eigenvalues.sum()
    left = total - np.cumsum(eigenvalues)
    narrow = widths[left[np.minimum(widths, len(left)) - 1] > 1e-3 * total]
    if len(narrow):
        ax.plot(narrow, left[narrow - 1] / total, color=plot.GREY, ls=":")
        ax.text(narrow[-1] * 0.75, 0.004, "PCA", color=plot.GREY, ha="right")
    for place, colour, name, values in (
        (1, plot.BLUE, "with dropout", [each.loss for each in best]),
        (2, plot.SKY, "the same maps,\nwithout", [each.clean_loss for each in best]),
    ):
        ax.plot(widths, np.array(values) / total, color=colour)
        points = [(k, run[place] / total) for (p, k), run in trained.items() if p == SHOWN]
        ax.plot(*zip(*points, strict=True), "o", color=colour, ms=6)
        ax.text(widths[-1] * 1.1, values[-1] / total, name, color=colour, va="center")
    ax.set_yscale("log")
    ax.set(
        ylabel="mean squared error / variance", title=f"p = {SHOWN:g}: what is lost on average",
        xlim=(1, widths[-1] * 6.5),
    )  # fmt: skip


if __name__ == "__main__":
    main()
