"""The soft threshold: what it minimises, and how it shares a value with a projection.

python -m figures.sparse_prox
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.optimize import minimize_scalar

from nanoae import plotting as plot
from nanoae.proximal import soft_threshold

T = 1.0  # the threshold
COLOURS = (plot.GREEN, plot.ORANGE, plot.PURPLE)


def main(argv: list[str] | None = None) -> None:
    out = Path(__file__).with_suffix(".png")
    args = plot.figure_parser(__doc__.splitlines()[0], out, data=False).parse_args(argv)
    v = np.linspace(-3, 3, 7 if args.quick else 13)
    searched = [minimise(value) for value in v]
    h = soft_threshold(v, T)
    plot.print_table(
        ("v", "soft(v, 1)", "by search", "projection", "sum"),
        zip(v, h, searched, np.clip(v, -T, T), h + np.clip(v, -T, T), strict=True),
    )
    plot.save(draw(v, searched), args.out)


def objective(h, v):
    return 0.5 * (h - v) ** 2 + T * np.abs(h)


def minimise(v):
    """The minimiser of `objective` by golden sections, which know nothing of thresholds."""
    return minimize_scalar(
        objective, bracket=(-4, 4), args=(v,), method="golden", options={"xtol": 1e-10}
    ).x


def draw(v, searched):
    plot.use_style()
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(10, 4))
    draw_objectives(axes[0])
    draw_operator(axes[1], v, searched)
    draw_envelopes(axes[2])
    return figure


def draw_objectives(ax):
    h = np.linspace(-1.5, 3, 400)
    for v, colour in zip((0.6, 1.5, 2.5), COLOURS, strict=True):
        ax.plot(h, objective(h, v), color=colour)
        least = soft_threshold(v, T)
        ax.plot(least, objective(least, v), "o", color=colour, ms=8, zorder=3)
        ax.text(3.1, objective(3, v), f"v = {v:g}", color=colour, va="center")
    ax.annotate(
        "v = 0.6 < t: the kink holds\nthe minimum at exactly 0", (0, objective(0, 0.6)),
        xytext=(1.1, 0.45), arrowprops={"arrowstyle": "-", "lw": 0.8}, fontsize=9, va="center",
    )  # fmt: skip
    ax.set(
        xlabel="h", ylabel="½ (h − v)² + t |h|,  t = 1", ylim=(0, 6.2), xlim=(-1.6, 3.9),
        title="A parabola plus a kink: its minimum",
    )  # fmt: skip


def draw_operator(ax, v, searched):
    line = np.linspace(-3, 3, 601)
    ax.plot(line, line, color=plot.GREY, lw=1, ls=":")
    ax.plot(line, np.clip(line, -T, T), color=plot.VERMILION)
    ax.plot(line, soft_threshold(line, T), color=plot.BLUE)
    ax.plot(v, searched, "o", color=plot.BLUE, ms=5)
    ax.text(
        0.4, -0.3, "soft threshold\n(points: minima\nfound by search)", color=plot.BLUE, va="top"
    )
    ax.annotate(
        "projection\non [−t, t]", (0.5, 0.5), xytext=(-2.8, 1.3), color=plot.VERMILION,
        arrowprops={"arrowstyle": "-", "lw": 0.8, "color": plot.VERMILION},
    )  # fmt: skip
    ax.text(1.9, 2.2, "their sum: v", color=plot.GREY, ha="right")
    ax.set(xlabel="v", ylabel="value", title="Moreau: v = threshold + projection")
    ax.set_aspect("equal", adjustable="datalim")


def draw_envelopes(ax):
    v = np.linspace(-3, 3, 601)
    least = objective(soft_threshold(v, T), v)  # Huber's function
    ax.fill_between(v, least, color=plot.VERMILION, alpha=0.25, lw=0)
    ax.fill_between(v, least, 0.5 * v**2, color=plot.BLUE, alpha=0.25, lw=0)
    ax.plot(v, least, color=plot.VERMILION)
    ax.plot(v, 0.5 * v**2, color=plot.GREY, ls=":")
    ax.text(
        0, 1.5, "least value of\n½ (h − v)² + t |h|:\n½ v², then straight\n(Huber)",
        color=plot.VERMILION, ha="center",
    )  # fmt: skip
    ax.text(-2.55, 4, "½ v²", color=plot.GREY)
    ax.annotate(
        "½ soft(v, t)²:\nwhat is left", (2.75, 3), xytext=(2.15, 4.1), color=plot.BLUE, ha="right",
        va="center", arrowprops={"arrowstyle": "-", "lw": 0.8, "color": plot.BLUE},
    )  # fmt: skip
    ax.set(xlabel="v", ylabel="energy", title="... and energies add up to ½ v²")


if __name__ == "__main__":
    main()
