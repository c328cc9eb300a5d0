"""Error on unseen images of PCA and of the filter bank, against the number of training images.

python -m figures.convolution_samples
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nanoae import datasets, theory
from nanoae import plotting as plot

UNSEEN, DRAWS = 1000, 5
COLOURS = (plot.BLUE, plot.VERMILION)


def main(argv: list[str] | None = None) -> None:
    parser = plot.figure_parser(
        __doc__.splitlines()[0], Path(__file__).with_suffix(".png"), data=False
    )
    parser.add_argument(
        "--data", type=Path, metavar="PATH",
        help="square images in rows, a quarter of them at most kept unseen (default: sprites)",
    )  # fmt: skip
    args = parser.parse_args(argv)
    if args.data is None:
        X = datasets.make_sprites(3000, random_state=0).X
    else:
        X = np.asarray(plot.load_data(parser, args.data), dtype=np.float64)
    side = round(X.shape[1] ** 0.5)
    divisors = [s for s in (4, 2, 3, 5, 7) if side % s == 0]
    if side**2 != X.shape[1] or not divisors or len(X) < 8:
        parser.error(
            "needs 8 or more square images whose side is a multiple of 2, 3, 5 or 7; "
            f"got {len(X)} samples of {X.shape[1]} features"
        )
    stride = divisors[0]
    X = np.random.default_rng(0).permutation(X)
    n_unseen = min(UNSEEN, len(X) // 4)
    unseen, X = X[:n_unseen], X[n_unseen:]
    numbers = [n for n in (10, 20, 50, 100, 200, 500, 1000, 2000) if n <= len(X)] or [len(X)]
    if args.quick:
        numbers = numbers[:3]
    found = {
        n_filters: [
            errors(X, unseen, n, side, stride, n_filters)
            for n in plot.progress(numbers, f"{n_filters} filters")
        ]
        for n_filters in (1, stride**2 // 4 or 1)
    }
    places = (side // stride) ** 2
    plot.print_table(
        ("code", "n", "filter bank", "PCA"),
        (
            (n_filters * places, n, bank, pca)
            for n_filters, row in found.items()
            for n, (bank, pca) in zip(numbers, row, strict=True)
        ),
    )
    plot.save(draw(numbers, found, places, stride), args.out)


def errors(X, unseen, n, side, stride, n_filters):
    """Mean errors of both on what they have not seen, over draws of n images."""
    rng, size, found = np.random.default_rng(n), (side, side), []
    n_code = n_filters * (side // stride) ** 2
    for _ in range(DRAWS):
        chosen = X[rng.permutation(len(X))[:n]]
        bank = theory.filter_bank(chosen, size, stride=stride, n_filters=n_filters)
        axes = np.linalg.svd(chosen, full_matrices=False)[2][:n_code]
        for rebuilt in (bank.reconstruct(unseen), unseen @ axes.T @ axes):
            found.append(np.mean(np.sum((unseen - rebuilt) ** 2, axis=1)))
    return np.reshape(found, (DRAWS, 2)).mean(axis=0)


def draw(numbers, found, places, stride):
    plot.use_style()
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 5))
    for (n_filters, row), colour in zip(found.items(), COLOURS, strict=False):
        bank, pca = np.transpose(row)
        axes.plot(numbers, pca, "s--", color=colour, ms=5)
        axes.plot(numbers, bank, "o-", color=colour, ms=5)
        for name, curve in (("filter bank", bank), ("PCA", pca)):
            axes.annotate(
                f"{name}, a code of {n_filters * places}", (numbers[-1], curve[-1]), xytext=(8, 0),
                textcoords="offset points", color=colour, va="center",
            )  # fmt: skip
    axes.set(
        xscale="log", xlim=(0.8 * numbers[0], 12 * numbers[-1]), ylim=(0, None),
        xlabel="number of images to learn from, n",
        ylabel="squared error of an image that was not among them",
        title=f"With few images the filter bank wins, with many PCA (stride {stride})",
    )  # fmt: skip
    axes.set_xticks(numbers, [str(n) for n in numbers])
    axes.minorticks_off()
    return figure


if __name__ == "__main__":
    main()
