"""Checkerboards: how often a place is seen, and how its output varies at random weights.

python -m figures.convolution_checkerboard
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nanoae import plotting as plot
from nanoae import theory
from nanoae.network import (
    Parameters,
    TransposedConvolution,
)

CHANNELS, SIDE, END = 16, 8, 30
CASES = {(10, 2): plot.GREEN, (11, 3): plot.BLUE, (3, 2): plot.VERMILION}


def main(argv: list[str] | None = None) -> None:
    parser = plot.figure_parser(
        __doc__.splitlines()[0], Path(__file__).with_suffix(".png"), data=False
    )
    args = parser.parse_args(argv)
    n_draws = 500 if args.quick else 20_000
    curves = {}
    for k, s in CASES:
        n_places = -(-(END + k) // s)
        shape = (n_draws, (n_places - 1) * s + k)
        layer = TransposedConvolution(CHANNELS, shape, k, stride=s, bias=False)
        first = -(-(k - 1) // s) * s  # where a window begins, and all before it are there
        curves[k, s] = variance(layer)[first : first + END]
    n_images = 20 if args.quick else 3000
    images = {}
    for k in (3, 4):
        size = (SIDE - 1) * 2 + k
        layer = TransposedConvolution(CHANNELS, (n_images, size, size), k, stride=2, bias=False)
        images[k] = variance(layer)[k - 1 : 1 - k, k - 1 : 1 - k]

    plot.print_table(
        ("k", "s", "i mod s", "count", "variance / σ²‖h‖²"),
        (
            (k, s, r, theory.overlap_counts(k, s, r), float(found[r::s].mean()))
            for (k, s), found in curves.items()
            for r in range(s)
        ),
    )
    plot.save(draw(curves, images), args.out)


def variance(layer):
    """Of each output in units of ``σ_w² ‖h‖²``, with codes of one length: over draws of weights,
    of which every output channel is one."""
    rng = np.random.default_rng(0)
    parameters = Parameters({"layer": layer})
    parameters.values[...] = rng.standard_normal(parameters.values.shape)
    h = rng.standard_normal(layer.shape_in)
    h /= np.linalg.norm(h, axis=0)
    return np.mean(layer(h[None])[0] ** 2, axis=0)


def draw(curves, images):
    plot.use_style()
    import matplotlib.pyplot as plt

    figure, (left, *others) = plt.subplots(
        1, 3, figsize=(12, 4.6), gridspec_kw={"width_ratios": [1.7, 1, 1]}
    )
    places = np.arange(END)
    for (k, s), found in curves.items():
        counts, colour = theory.overlap_counts(k, s, places), CASES[k, s]
        left.step(places, counts, where="mid", color=colour)
        left.plot(places, found, "o", color=colour, ms=4)
        words = "the stride divides the kernel" if k % s == 0 else f"{k} mod {s} = {k % s}"
        left.text(0, counts.max() + 0.13, f"k = {k}, s = {s}: {words}", color=colour, va="bottom")
    left.set(
        ylim=(0, 5.8), xlabel="place j of the output, from the beginning of a window",
        ylabel="variance of the output / σ²‖h‖²",
        title="Lines: windows that see j. Points: random weights",
    )  # fmt: skip
    for axes, (k, image) in zip(others, images.items(), strict=True):
        axes.imshow(image, cmap="Blues", vmin=0, vmax=4.4, interpolation="nearest")
        axes.set(title=f"Two axes, k = {k}, s = 2")
        axes.set_axis_off()
        for i, j in np.ndindex(4, 4):
            axes.text(
                j, i, f"{image[i, j]:.1f}", ha="center", va="center", fontsize=8,
                color="white" if image[i, j] > 2.5 else "black",
            )  # fmt: skip
    words = (
        "each pixel's variance: it is seen\nby 4, 2, 2 or 1 windows",
        "each pixel's variance:\n4 windows everywhere",
    )
    for axes, text in zip(others, words, strict=True):
        axes.text(0, -0.03, text, transform=axes.transAxes, va="top")
    return figure


if __name__ == "__main__":
    main()
