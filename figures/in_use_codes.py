"""Codes of the digits, judged by their reconstruction and by two tasks.

python -m figures.in_use_codes
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np

from nanoae import VAE, Autoencoder, ConvergenceWarning, SparseAutoencoder, datasets, theory
from nanoae import plotting as plot

WIDTHS = (1, 2, 4, 8, 16, 32)
DEEP = (2, 8, 32)
TRAIN = 1200


def main(argv: list[str] | None = None) -> None:
    parser = plot.figure_parser(
        __doc__.splitlines()[0], Path(__file__).with_suffix(".png"), data=False
    )
    args = parser.parse_args(argv)
    max_iter = 2 if args.quick else 100
    X, labels = datasets.load_digits()
    train, new = X[:TRAIN], X[TRAIN:]
    kinds: dict[str, list[tuple[int, float, float, float]]] = {}

    def judge(kind, width, codes, new_codes, error):
        task = codes, labels[:TRAIN], new_codes, labels[TRAIN:]
        probe, near = theory.linear_probe_accuracy(*task), theory.nearest_neighbour_accuracy(*task)
        kinds.setdefault(kind, []).append((width, float(error), probe, near))

    mean, U, _ = theory.pca(train)
    for k in WIDTHS:
        away = new - mean
        error = np.mean(np.sum((away - away @ U[:, :k] @ U[:, :k].T) ** 2, axis=1))
        judge("PCA", k, (train - mean) @ U[:, :k], away @ U[:, :k], error)
    models = [("autoencoder", Autoencoder(k, max_iter=max_iter, random_state=0)) for k in DEEP]
    models += [
        ("VAE", VAE(k, noise_variance=0.02, max_iter=max_iter, random_state=0)) for k in DEEP
    ]
    sparse = SparseAutoencoder(64, sparsity=0.1, max_iter=max_iter, random_state=0)
    for kind, model in plot.progress([*models, ("sparse autoencoder", sparse)], "models"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(train)
        codes = model.transform(train), model.transform(new)
        judge(kind, model.n_components, *codes, model.reconstruction_error(new).mean())
    judge("the pixels themselves", 64, train, new, 0.0)
    A = np.random.default_rng(0).standard_normal((64, 64)) * np.geomspace(1, 100, 64)
    judge("pixels, mixed", 64, train @ A, new @ A, 0.0)
    print("codes of digits not seen: squared error, and shares that two classifiers get right")
    rows = [(kind, *row) for kind, all_rows in kinds.items() for row in all_rows]
    plot.print_table(("width", "error", "linear probe", "neighbour", "code"),
                     [(*row[1:], row[0]) for row in rows])  # fmt: skip
    plot.save(draw(kinds), args.out)


def draw(kinds):
    plot.use_style()
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(11, 4.8), sharey=True)
    styles = {
        "PCA": (plot.GREY, "o-"), "autoencoder": (plot.BLUE, "o-"), "VAE": (plot.VERMILION, "o-"),
        "sparse autoencoder": (plot.GREEN, "D"), "the pixels themselves": (plot.BLACK, "s"),
        "pixels, mixed": (plot.PURPLE, "X"),
    }  # fmt: skip
    for ax, column, title in ((axes[0], 2, "Linear probe"), (axes[1], 3, "Nearest neighbour")):
        for kind, rows in kinds.items():
            colour, style = styles[kind]
            error = np.array([row[1] for row in rows])
            right = np.array([row[column] for row in rows])
            ax.plot(error, 100 * right, style, color=colour, ms=7 if style in "DsX" else 5, lw=1)
        for k, error, *right in kinds["PCA"]:
            ax.annotate(
                f"{k}", (error, 100 * right[column - 2]), xytext=(4, 6),
                textcoords="offset points", fontsize=8, color=plot.GREY,
            )  # fmt: skip
        ax.set(xlabel="squared error of digits not seen", title=title, ylim=(10, 103))
        ax.invert_xaxis()
    for i, (kind, (colour, _)) in enumerate(styles.items()):
        text = f"{kind}, width at the points" if kind == "PCA" else kind
        axes[0].text(0.98, 0.40 - 0.06 * i, text, color=colour, ha="right",
                     transform=axes[0].transAxes)  # fmt: skip
    axes[0].set_ylabel("right, of digits not seen  (%)")
    return figure


if __name__ == "__main__":
    main()
