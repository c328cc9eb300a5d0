"""Reconstruction against sparsity as λ grows: exact codes, and what encoders make of them.

python -m figures.sparse_tradeoff
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nanoae import LearnedISTA, SparseCoding, theory
from nanoae import plotting as plot
from nanoae.losses import l1_norm, squared_error

LAMBDAS = (0.05, 0.1, 0.2, 0.4, 0.7, 1.2, 2.0)
N_ATOMS = 128
N_STEPS = 3
SERIES = (  # name, colour, marker
    ("exact codes", plot.BLACK, "o"),
    (f"{N_STEPS} learned steps", plot.BLUE, "s"),
    ("1 learned step", plot.VERMILION, "^"),
)


def measure(X, atoms, sparsity, h):
    """Active fraction, squared error and objective of codes, averaged over samples."""
    error = squared_error(h @ atoms, X)[0]
    return np.mean(h != 0), error, error + sparsity * l1_norm(h)[0]


def main(argv: list[str] | None = None) -> None:
    parser = plot.figure_parser(__doc__.splitlines()[0], Path(__file__).with_suffix(".png"))
    args = parser.parse_args(argv)
    X = plot.load_data(parser, args.data).astype(np.float32)
    if X.shape[1] < 3:
        parser.error(f"--data must have 3 features or more; got {X.shape[1]}")
    lambdas, n_atoms, epochs = LAMBDAS, N_ATOMS, 500
    if args.quick:
        lambdas, n_atoms, epochs, X = LAMBDAS[1::2], 32, 20, X[:400]
    plot.check_sparsity(parser, X, lambdas[0], lambdas[-1])
    eigenvalues = theory.pca(X).eigenvalues  # of what float32 leaves of the data
    if plot.directions(eigenvalues) < 2:
        parser.error("needs samples that vary in 2 directions or more; got samples on a line")

    rows = []
    for sparsity in plot.progress(lambdas, "λ"):
        coding = SparseCoding(n_atoms, sparsity=sparsity, max_iter=30, random_state=0).fit(X)
        centred, atoms = X - coding.mean_, coding.components_
        ista, learned = [], []
        for n_steps in (N_STEPS, 1):
            encoder = LearnedISTA(
                n_atoms, dictionary=atoms.T, sparsity=sparsity, n_steps=n_steps, max_iter=epochs,
                random_state=0,
            )  # fmt: skip
            encoder.initialise(X)
            ista.append(measure(centred, atoms, sparsity, encoder.transform(X)))
            learned.append(measure(centred, atoms, sparsity, encoder.fit(X).transform(X)))
        exact = measure(centred, atoms, sparsity, coding.transform(X))
        rows.append([exact, *learned, *ista])
    results = np.array(rows)  # (λ, method, quantity)
    names = ["exact", f"learned {N_STEPS}", "learned 1", f"ISTA {N_STEPS}", "ISTA 1"]
    for i, quantity in enumerate(("active fraction", "squared error", "objective")):
        print(quantity)
        table = ([float(v), *row] for v, row in zip(lambdas, results[:, :, i], strict=True))
        plot.print_table(["lambda", *names], table)
    plot.save(draw(lambdas, results, n_atoms, eigenvalues), args.out)


def draw(lambdas, results, n_atoms, eigenvalues):
    plot.use_style()
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.6))
    active, error, objective = np.moveaxis(results, 2, 0)
    active = active * n_atoms

    kept = np.arange(len(eigenvalues))
    pca_error = eigenvalues.sum() - np.cumsum(eigenvalues) + eigenvalues
    shown = (kept >= 1) & (kept <= max(2, 1.15 * active.max()))
    left.plot(kept[shown], pca_error[shown], color=plot.GREY, zorder=1)
    middle = np.flatnonzero(shown)[len(kept[shown]) // 4]
    left.annotate(
        "PCA: the same coordinates\nfor every image", (kept[middle], pca_error[middle]),
        xytext=(40, -14), textcoords="offset points", color=plot.GREY,
    )  # fmt: skip
    for i, (name, colour, marker) in enumerate(SERIES):
        left.plot(active[:, i], error[:, i], marker, color=colour, ms=6)
        left.text(
            0.97, 0.95 - 0.08 * i, f"{name} {'●■▲'[i]}", color=colour, ha="right", va="top",
            transform=left.transAxes,
        )  # fmt: skip
    for value, x, y in zip(lambdas, active[:, 0], error[:, 0], strict=True):
        left.annotate(
            f"{value:g}", (x, y), xytext=(-6, -2), textcoords="offset points", fontsize=9.5,
            ha="right", va="center",
        )  # fmt: skip
    left.margins(x=0.1)  # room for the small numbers
    left.set(
        xlabel=f"active atoms per image, of {n_atoms} (mean)",
        yscale="log", ylabel="‖x − x̂‖²  (mean squared error per image, log scale)",
        title="Few atoms, chosen image by image. Small numbers: λ",
        ylim=(0.6 * error.min(), 1.2 * pca_error[1]),
    )  # fmt: skip

    gap = 100 * (objective[:, 1:] / objective[:, :1] - 1)
    curves = zip(
        ("steps learned", "step learned", "steps of ISTA", "step of ISTA"),
        (N_STEPS, 1, N_STEPS, 1), (plot.BLUE, plot.VERMILION) * 2, "s^s^", strict=True,
    )  # fmt: skip
    for i, (name, n_steps, colour, marker) in enumerate(curves):
        face = colour if i < 2 else "white"
        right.plot(lambdas, gap[:, i], color=colour, lw=0.8, ls="-" if i < 2 else ":")
        right.plot(lambdas, gap[:, i], marker, color=colour, mfc=face, ms=6)
        apart = 6 if gap[-1, i] > gap[-1, i ^ 1] else -6  # the two of a kind may end in one point
        right.annotate(
            f"{n_steps} {name}", (lambdas[-1], gap[-1, i]), xytext=(8, apart),
            textcoords="offset points", color=colour, va="center", annotation_clip=False,
        )  # fmt: skip
    right.set(
        xscale="log", yscale="log", xlabel="λ  (log scale)",
        ylabel="objective above that of the exact codes  (%)",
        title="The amortisation gap, on one dictionary for each λ",
    )  # fmt: skip
    right.set_xlim(lambdas[0] / 1.15, lambdas[-1] * 4)
    return figure


if __name__ == "__main__":
    main()
