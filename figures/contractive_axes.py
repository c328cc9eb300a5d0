"""Which axes survive as the contraction grows: all die if weights are tied, the first never else.

python -m figures.contractive_axes
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nanoae import ContractiveAutoencoder, theory
from nanoae import plotting as plot

N_AXES = 5
COLOURS = (plot.BLACK, plot.BLUE, plot.GREEN, plot.ORANGE, plot.VERMILION)
OPTIMA = {
    "tied": theory.tied_contractive_optimum,
    "unit-norm": theory.unit_norm_contractive_optimum,
}


def main(argv: list[str] | None = None) -> None:
    parser = plot.figure_parser(__doc__.splitlines()[0], Path(__file__).with_suffix(".png"))
    args = parser.parse_args(argv)
    X = plot.load_data(parser, args.data).astype(np.float64)
    _, U, eigenvalues = theory.pca(X)
    k = min(N_AXES, plot.directions(eigenvalues))
    U, lam = U[:, :k], eigenvalues / eigenvalues[0]
    # the axes are all that a linear model sees: their coordinates stand for the samples
    Z = (X - X.mean(axis=0)) @ U / eigenvalues[0] ** 0.5
    contractions = np.geomspace(0.03, 30, 4 if args.quick else 13)

    gains = {name: [] for name in OPTIMA}
    for contraction in plot.progress(contractions, "λ_c"):
        for name, of_model in gains.items():
            model = ContractiveAutoencoder(
                k, hidden_layer_sizes=(), decoder=name, contraction=contraction, solver="lbfgs",
                tol=1e-7, random_state=0,
            )  # fmt: skip
            model._verdict = lambda monitor: None  # that all is gone is what is to be seen
            model.fit(Z)
            step = np.vstack([np.eye(k), np.zeros((1, k))])
            x_hat = model.reconstruct(step)
            of_model.append(np.diag(x_hat[:-1] - x_hat[-1]))
    axes = [f"axis {i + 1}" for i in range(k)]
    for name, of_model in gains.items():
        print(f"{name}: gains by training, and their largest distance from theory")
        right = [OPTIMA[name](lam[:k], k, c).gains for c in contractions]
        rows = zip(contractions, of_model, right, strict=True)
        plot.print_table(
            ["contraction", *axes, "distance"],
            ([c, *found, np.abs(found - wanted).max()] for c, found, wanted in rows),
        )
    plot.save(draw(lam[:k], contractions, gains), args.out)


def draw(lam, contractions, gains):
    plot.use_style()
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(10, 4.4), sharey=True)
    fine = np.geomspace(contractions[0], contractions[-1], 400)
    titles = {
        "tied": r"Tied weights: axis i is gone from $\lambda_c = 2 \lambda_i$ on",
        "unit-norm": "Decoder columns of norm 1: the first axis stays",
    }
    k = len(lam)
    for panel, (name, measured) in zip(panels, gains.items(), strict=True):
        lines = np.array([OPTIMA[name](lam, k, c).gains for c in fine])
        for i in reversed(range(k)):
            colour = COLOURS[i]
            panel.plot(fine, lines[:, i], color=colour)
            panel.plot(
                contractions, np.array(measured)[:, i], "o", color=colour, ms=5, mfc="white"
            )
        panel.set(
            xscale="log", title=titles[name], ylim=(-0.03, 1.03),
            xlabel=r"contraction $\lambda_c$, in units of $\lambda_1$  (log scale)",
        )  # fmt: skip
    for i, collapse in enumerate(theory.collapse_contraction(lam)):
        panels[0].axvline(collapse, ymax=0.05, color=COLOURS[i], lw=1)
    panels[0].text(0.03, 0.05, "lines: theory\npoints: trained",
                   transform=panels[0].transAxes, color=plot.GREY)  # fmt: skip
    panels[0].set_ylabel("what is left of an axis (gain)")
    lines = np.array([theory.unit_norm_contractive_optimum(lam, k, c).gains for c in fine])
    for i in range(k):  # where it is alone: at its end, or where it comes down
        alive = np.count_nonzero(lines[:, i])
        at_end = alive == len(fine)
        panels[1].annotate(
            f"axis {i + 1}", (fine[alive - 1], lines[alive - 1, i]), color=COLOURS[i],
            xytext=(8, -3) if at_end else (2, 7), textcoords="offset points",
            annotation_clip=False,
        )  # fmt: skip
    return figure


if __name__ == "__main__":
    main()
