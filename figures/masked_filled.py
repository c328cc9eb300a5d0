"""Digits with half of their patches missing, filled in by a trained network and by a linear map.

python -m figures.masked_filled
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from figures._masked import N_EPOCHS, split, trained
from nanoae import plotting as plot
from nanoae import theory
from nanoae.network import ToPatches

CUT = ToPatches((8, 8), 2)
SHOWN = 10


def main(argv: list[str] | None = None) -> None:
    parser = plot.figure_parser(
        __doc__.splitlines()[0], Path(__file__).with_suffix(".png"), data=False
    )
    args = parser.parse_args(argv)
    train, _, test, labels = split()
    test, labels = (test[:60], labels[:60]) if args.quick else (test, labels)
    model = trained(train, 1 if args.quick else N_EPOCHS)
    rng = np.random.default_rng(2)
    missing = rng.random((len(test), 16)).argsort(axis=1) < 8
    gone = CUT.inverse(np.repeat(missing[..., None], 4, axis=-1))  # of each pixel
    filled = model.reconstruct(test, missing=missing)
    linear = by_regression(train, test, gone)
    rows = [
        (name, np.mean((x_hat - test)[gone] ** 2))
        for name, x_hat in (
            ("mean", np.where(gone, train.mean(axis=0), test)), ("linear", linear),
            ("network", filled),
        )
    ]  # fmt: skip
    plot.print_table(("prediction", "error of a missing pixel"), rows)
    shown = [int(np.flatnonzero(labels == digit)[0]) for digit in range(SHOWN)]
    plot.save(draw(test[shown], gone[shown], linear[shown], filled[shown], rows), args.out)


def by_regression(train, test, gone):
    """The best linear prediction of the missing pixels, for each mask its own (12.1)."""
    mean = train.mean(axis=0)
    S = np.cov(train, rowvar=False, bias=True) + 1e-3 * np.eye(train.shape[1])
    x_hat = test.copy()
    for row, missing in zip(x_hat, gone, strict=True):
        B = theory.masked_prediction(S, ~missing).weight
        row[missing] = mean[missing] + B @ (row - mean)[~missing]
    return x_hat


def draw(original, gone, linear, filled, rows):
    plot.use_style()
    import matplotlib.pyplot as plt
    from matplotlib.patches import Rectangle

    errors = {name: error for name, error in rows}
    figure, axes = plt.subplots(4, 1, figsize=(8.6, 4.6))
    lines = {
        "half of it": np.where(gone, 0, original),
        f"linear\n{errors['linear']:.3f}": linear,
        f"network\n{errors['network']:.3f}": filled,
        "original": original,
    }
    for ax, (name, images) in zip(axes, lines.items(), strict=True):
        plot.show_images(ax, images, SHOWN)
        ax.text(-2, 3.5, name, ha="right", va="center", fontsize=11)
    for k, mask in enumerate(gone):
        for i, j in np.argwhere(mask.reshape(8, 8)):
            square = Rectangle((9 * k + j - 0.5, i - 0.5), 1, 1, color=plot.SKY, lw=0)
            axes[0].add_patch(square)
    figure.suptitle(
        "Missing patches (blue), and their mean squared error where filled in", fontsize=11
    )
    return figure


if __name__ == "__main__":
    main()
