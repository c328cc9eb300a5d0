"""A convolution as a matrix, and its transpose: five weights, each in many places.

python -m figures.convolution_matrix
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nanoae import plotting as plot
from nanoae import theory

SIZE, KERNEL, STRIDE, PADDING = 12, 5, 2, 2
COLOURS = (plot.BLUE, plot.SKY, plot.GREEN, plot.ORANGE, plot.VERMILION)


def main(argv: list[str] | None = None) -> None:
    parser = plot.figure_parser(
        __doc__.splitlines()[0], Path(__file__).with_suffix(".png"), data=False
    )
    args = parser.parse_args(argv)
    weight = np.arange(1, KERNEL + 1)[None, None]
    taps = {
        "zeros beyond the borders": theory.convolution_matrix(
            weight, (SIZE,), stride=STRIDE, padding=PADDING
        ),
        "circular": theory.convolution_matrix(
            weight, (SIZE,), stride=STRIDE, padding=PADDING, circular=True
        ),
    }
    plot.print_table(
        ("borders", "rows", "columns", "entries", "not zero", "weights"),
        (
            (name.split()[0], *K.shape, K.size, np.count_nonzero(K), KERNEL)
            for name, K in taps.items()
        ),
    )
    plot.save(draw(taps["zeros beyond the borders"], taps["circular"]), args.out)


def draw(zeros, circular):
    plot.use_style()
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(
        1, 3, figsize=(12, 4.6), gridspec_kw={"width_ratios": [2, 2, 1]}, sharey=False
    )
    show(axes[0], zeros, "K: every window has the kernel", "x, the data", "y, a window each")
    show(axes[1], circular, "K, circular: windows go round", "x, the data", "y, a window each")
    show(axes[2], zeros.T, "Kᵀ: each y lays it down", "y", "x")
    return figure


def show(axes, taps, title, columns, rows):
    from matplotlib.colors import ListedColormap

    colours = ListedColormap(["#f4f4f4", *COLOURS])
    axes.imshow(taps, cmap=colours, vmin=0, vmax=KERNEL, interpolation="nearest")
    for (i, j), tap in np.ndenumerate(taps):
        if tap:
            axes.text(
                j, i, f"w{'₀₁₂₃₄'[int(tap) - 1]}", ha="center", va="center", fontsize=8,
                color="white" if tap in (1, 3, 5) else "black",
            )  # fmt: skip
    axes.set(title=title, xlabel=columns, ylabel=rows)
    axes.set_xticks(np.arange(taps.shape[1]))
    axes.set_yticks(np.arange(taps.shape[0]))
    axes.tick_params(labelsize=8, length=0)
    axes.set_xticks(np.arange(taps.shape[1] + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(taps.shape[0] + 1) - 0.5, minor=True)
    axes.grid(False)
    axes.grid(which="minor", color="white", lw=1.5)
    axes.tick_params(which="minor", length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)


if __name__ == "__main__":
    main()
