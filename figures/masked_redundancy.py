"""How much of the variance cannot be predicted, against how much is missing.

python -m figures.masked_redundancy
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nanoae import datasets, theory
from nanoae import plotting as plot
from nanoae.network import ToPatches

SHARES = np.arange(1, 16) / 16
CORRELATIONS = {0.99: plot.BLUE, 0.95: plot.SKY, 0.7: plot.GREEN, 0.0: plot.GREY}


def main(argv: list[str] | None = None) -> None:
    parser = plot.figure_parser(
        __doc__.splitlines()[0], Path(__file__).with_suffix(".png"), data=False
    )
    parser.add_argument(
        "--images", type=Path, metavar="PATH",
        help="square images to draw beside the digits, in patches of 4x4 (a third is unseen)",
    )  # fmt: skip
    args = parser.parse_args(argv)
    X, _ = datasets.load_digits()
    order = np.random.default_rng(0).permutation(len(X))
    train, test = X[order[:1297]], X[order[1297:]]
    n_masks = 3 if args.quick else 40
    digits = {
        size: [linear_rest(train, test, size, share, n_masks) for share in shares]
        for size, shares in ((2, SHARES), (4, SHARES[3::4]))
    }
    lines = {
        rho: [theory.random_gap_variance(rho, q) if rho else 1.0 for q in SHARES]
        for rho in CORRELATIONS
    }
    plot.print_table(
        ("missing", "digits 2x2", *(f"AR {rho}" for rho in lines)),
        zip(SHARES, digits[2], *lines.values(), strict=True),
    )
    plot.print_table(("missing", "digits 4x4"), zip(SHARES[3::4], digits[4], strict=True))
    images, side = None, 0
    if args.images is not None:
        X = datasets.load(args.images)
        X = (X / X.max())[np.random.default_rng(0).permutation(len(X))]
        seen, side = 2 * len(X) // 3, round(X.shape[1] ** 0.5)
        images = [linear_rest(X[:seen], X[seen:], 4, share, 5) for share in SHARES[3::4]]
        plot.print_table(("missing", "images 4x4"), zip(SHARES[3::4], images, strict=True))
    plot.save(draw(digits, lines, images, side), args.out)


def linear_rest(train, test, patch_size, share, n_masks):
    """Part of the variance of missing patches that the best linear prediction leaves, unseen."""
    d = train.shape[1]
    cut = ToPatches((round(d**0.5), round(d**0.5)), patch_size)
    patch = np.empty(d, dtype=int)  # of each pixel
    for j, pixels in enumerate(cut(np.arange(float(d))[None])[0].astype(int)):
        patch[pixels] = j
    mean = train.mean(axis=0)
    S = np.cov(train, rowvar=False, bias=True) + 1e-3 * np.eye(d)  # pixels that are always 0
    rng, N = np.random.default_rng(1), cut.shape_out[0]
    left = total = 0.0
    for _ in range(n_masks):
        missing = np.isin(patch, rng.permutation(N)[: round(share * N)])
        B = theory.masked_prediction(S, ~missing).weight
        x = test - mean
        left += np.sum((x[:, missing] - x[:, ~missing] @ B.T) ** 2)
        total += np.sum(x[:, missing] ** 2)
    return left / total


def draw(digits, lines, images, side):
    plot.use_style()
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4.6))
    for (rho, line), colour in zip(lines.items(), CORRELATIONS.values(), strict=True):
        axes.plot(SHARES, line, color=colour)
        label = f"AR(1), ρ = {rho}" if rho else "independent: nothing can be predicted"
        where, shift = {0.0: (0, (6, -15)), 0.7: (12, (9, -12))}.get(rho, (2, (6, 5)))
        axes.annotate(
            label, (SHARES[where], line[where]), xytext=shift, textcoords="offset points",
            color=colour,
        )  # fmt: skip
    axes.plot(SHARES, digits[2], "o", color=plot.VERMILION)
    axes.annotate(
        "digits, 2×2 patches", (SHARES[-1], digits[2][-1]), xytext=(-8, 1),
        textcoords="offset points", color=plot.VERMILION, ha="right",
    )  # fmt: skip
    axes.plot(SHARES[3::4], digits[4], "s", color=plot.ORANGE)
    axes.annotate(
        "digits, 4×4 patches", (SHARES[3], digits[4][0]), xytext=(0, 10),
        textcoords="offset points", color=plot.ORANGE, ha="center",
    )  # fmt: skip
    if images is not None:
        axes.plot(SHARES[3::4], images, "D", color=plot.PURPLE)
        axes.annotate(
            f"images of {side}×{side},\n4×4 patches", (SHARES[11], images[2]), xytext=(8, -16),
            textcoords="offset points", color=plot.PURPLE,
        )  # fmt: skip
    axes.set(
        xlabel="part of the patches, or steps, that is missing",
        ylabel="part of its variance that is left",
        title="How little a patch has to say that the others have not said (linearly)",
        xlim=(0, 1), ylim=(0, 1.05),
    )  # fmt: skip
    return figure


if __name__ == "__main__":
    main()
