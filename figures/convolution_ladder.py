"""Loss against the length of the filters, between two lines of the theory; and alias classes.

python -m figures.convolution_ladder
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np

from nanoae import Autoencoder, ConvergenceWarning, Convolutional, theory
from nanoae import plotting as plot

SIZE, STRIDE, FILTERS, STARTS = 16, 4, 1, 4
CLASSES = (plot.BLUE, plot.VERMILION, plot.GREEN, plot.ORANGE, plot.PURPLE, plot.SKY)


def main(argv: list[str] | None = None) -> None:
    parser = plot.figure_parser(
        __doc__.splitlines()[0], Path(__file__).with_suffix(".png"), data=False
    )
    args = parser.parse_args(argv)
    X = samples()
    ladder = theory.filter_bank_ladder(X, (SIZE,), stride=STRIDE, n_filters=FILTERS)
    kernels = (4, 16) if args.quick else (4, 5, 6, 7, 8, 10, 12, 14, 16)
    losses = {
        k: [trained(X, k, start) for start in range(1 if args.quick else STARTS)]
        for k in plot.progress(kernels, "filter lengths")
    }
    plot.print_table(
        ("filter length", "least", "largest", *theory.FilterBankLadder._fields),
        ((k, min(found), max(found), *ladder) for k, found in losses.items()),
    )
    plot.save(draw(losses, ladder), args.out)


def samples():
    """A random walk from a border, which varies the more the farther it has come; plus a wave."""
    rng, place = np.random.default_rng(0), np.arange(SIZE)
    walk = np.cumsum(rng.standard_normal((400, SIZE)), axis=1) / 4
    phase = rng.uniform(0, 2 * np.pi, (400, 1))
    X = walk + np.cos(2 * np.pi * 5 * place / SIZE + phase)
    return X - X.mean(axis=0)


def trained(X, kernel, start):
    networks = Convolutional(
        (SIZE,), (), kernel=kernel, stride=STRIDE, circular=True, dense=False, bias=False
    )
    model = Autoencoder(
        FILTERS * SIZE // STRIDE, architecture=networks, solver="lbfgs", max_iter=3000, tol=1e-5,
        random_state=start,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # in between it is slow
        return model.fit(X).loss_


def draw(losses, ladder):
    plot.use_style()
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.8))
    lines = {
        "patch PCA (10.6e)": (ladder.patches, plot.BLUE),
        "filter bank (10.6)": (ladder.bank, plot.VERMILION),
        "PCA of the data and their shifts": (ladder.pca_of_shifts, plot.GREEN),
        "PCA": (ladder.pca, plot.GREY),
    }
    for i, (name, (loss, colour)) in enumerate(lines.items()):
        left.axhline(loss, color=colour)
        left.annotate(  # the first one at the end where no points are above its line
            f"{name}: {loss:.3g}", (SIZE + 0.4 if i == 0 else STRIDE - 0.4, loss), xytext=(0, 3),
            textcoords="offset points", color=colour, ha="right" if i == 0 else "left",
        )  # fmt: skip
    for kernel, found in losses.items():
        left.plot([kernel] * len(found), found, "o", color=plot.BLACK, ms=5, alpha=0.6)
    left.set(
        xlim=(STRIDE - 0.6, SIZE + 0.6), ylim=(0, None), xlabel="filter length k",
        ylabel="loss  (1/n) Σ ‖x − x̂‖²",
        title=f"Points: trained, {STARTS} starts each. Stride {STRIDE}, a code of "
        f"{FILTERS * SIZE // STRIDE} numbers of {SIZE}",
    )  # fmt: skip
    draw_classes(right)
    return figure


def draw_classes(axes, N=24, stride=4):
    """A spectrum with a band, and which of its frequencies a filter bank keeps."""
    m, f = N // stride, np.arange(-N // 2, N // 2)
    spectrum = 1 / (1 + 0.5 * np.abs(f)) + 0.55 * np.exp(-((np.abs(f) - 6.0) ** 2))
    kept = np.zeros(N, bool)
    for q in range(m):
        members = np.flatnonzero(f % m == q)
        kept[members[spectrum[members].argmax()]] = True
    by_pca = np.argsort(-spectrum, kind="stable")[:m]
    for i in range(N):
        colour = CLASSES[f[i] % m]
        axes.bar(
            f[i], spectrum[i], width=0.8, edgecolor=colour, linewidth=1.6,
            color=colour if kept[i] else "white",
        )  # fmt: skip
    axes.plot(f[by_pca], spectrum[by_pca] + 0.05, "v", color=plot.BLACK, ms=6)
    total = spectrum.sum()
    lost, by_pca_lost = spectrum[~kept].sum() / total, 1 - spectrum[by_pca].sum() / total
    axes.text(
        0.02, 0.98, f"filled: the largest of each colour is kept,\n   {lost:.0%} of the variance "
        f"is lost\n▼ PCA keeps the {m} largest: {by_pca_lost:.0%} is lost",
        transform=axes.transAxes, va="top",
    )  # fmt: skip
    axes.set(
        xlabel="frequency f (waves along the data)", ylabel="variance σ(f)", ylim=(0, 1.35),
        title=f"Frequencies {m} apart are one alias class, one colour (s = {stride}, C = 1)",
    )  # fmt: skip
    axes.grid(axis="x", visible=False)


if __name__ == "__main__":
    main()
