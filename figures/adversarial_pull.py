"""How hard each loss pulls codes towards the prior, against how far away they are.

python -m figures.adversarial_pull
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nanoae import losses, theory
from nanoae import plotting as plot
from nanoae.network import Parameters
from nanoae.network.discriminator import Discriminator
from nanoae.theory.adversarial import gauss_hermite


def main(argv: list[str] | None = None) -> None:
    parser = plot.figure_parser(
        __doc__.splitlines()[0], Path(__file__).with_suffix(".png"), data=False
    )
    args = parser.parse_args(argv)
    distances = np.arange(0.5, 9.1, 2 if args.quick else 0.5)
    rows = []
    for m in distances:
        theirs = theory.game_gradients(m)
        rows.append((m, theirs.saturating, theirs.non_saturating, theirs.mmd, *of_package(m)))
    rows = np.array(rows)
    names = ("saturating", "non-saturating", "MMD")
    plot.print_table(("m", *names, *(f"{name[:8]}, pkg" for name in names)), rows)
    plot.save(draw(rows), args.out)


def of_package(m):
    """The same from the package's losses and a discriminator whose weights are the best."""
    nodes, weights = gauss_hermite(120, 1)
    codes, w = m + nodes, weights * len(nodes)
    network = Discriminator(1, "quadratic")
    parameters = Parameters({"discriminator_": network})
    parameters.values[...] = -m, 0, m * m / 2  # of z, z² and 1
    logits, slopes = network.logits_and_slopes(codes)
    pulls = [
        np.sum(loss(logits, w)[1] * slopes[:, 0])
        for loss in (losses.saturating_loss, losses.non_saturating_loss)
    ]
    return *pulls, np.sum(losses.mmd_to_normal(codes, [2.0], w)[1])


def draw(rows):
    plot.use_style()
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots(figsize=(6.8, 4.2))
    m = np.linspace(0.05, 9.3, 300)
    theirs = [theory.game_gradients(x) for x in m]
    curves = (
        ("saturating: → √(π/2) e^(−m²/8)", [g.saturating for g in theirs], plot.BLUE, 0.15, 2e-3),
        ("non-saturating: as KL, → m", [g.non_saturating for g in theirs], plot.GREEN, 3.4, 1.5),
        ("MMD, η = 2: m e^(−m²/8)/2√2", [g.mmd for g in theirs], plot.VERMILION, 5.0, 0.16),
    )
    for i, (name, values, colour, x, y) in enumerate(curves):
        ax.plot(m, values, color=colour)
        ax.plot(rows[:, 0], rows[:, 4 + i], "o", color=colour, ms=4)
        ax.text(x, y, name, color=colour)
    ax.plot(m, 2 * m, color=plot.GREY, ls=(0, (4, 3)))
    ax.text(1.9, 5.5, "Wasserstein: 2m", color=plot.GREY, ha="right")
    ax.text(0.15, 3e-5, "lines: closed forms\npoints: the package's losses")
    ax.set(
        yscale="log", ylim=(1e-5, 40), xlim=(0, 9.4),
        xlabel="distance m of the codes N(m, 1) from the prior N(0, 1)", ylabel="pull on m",
    )  # fmt: skip
    ax.set_title("Far away, two of the losses let go")
    return figure


if __name__ == "__main__":
    main()
