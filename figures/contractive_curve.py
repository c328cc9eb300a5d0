"""A contractive code moves along a curve and not across it, at little cost in reconstruction.

python -m figures.contractive_curve
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np

from nanoae import ContractiveAutoencoder, ConvergenceWarning, datasets
from nanoae import plotting as plot

D, NOISE = 20, 0.01
SHOWN = 0.005


def points(n, seed):
    """Near an arc in 20 dimensions: the samples, its plane, the unit tangents."""
    rng = np.random.default_rng(seed)
    arc = datasets.make_curve(n, noise=0.0, random_state=rng)
    plane = np.linalg.qr(np.random.default_rng(99).standard_normal((D, 2)))[0].T
    tangents = np.column_stack([-arc[:, 1], arc[:, 0]]) @ plane
    return arc @ plane + NOISE * rng.standard_normal((n, D)), plane, tangents


def along_and_across(model, X, tangents):
    """How far the code moves along the curve, and at most across it, per unit of x."""
    J = model.jacobian(X)
    moved = np.einsum("nkd,nd->nk", J, tangents)
    across = J - moved[:, :, None] * tangents[:, None]
    return np.linalg.norm(moved, axis=1), np.linalg.svd(across, compute_uv=False)[:, 0]


def main(argv: list[str] | None = None) -> None:
    parser = plot.figure_parser(
        __doc__.splitlines()[0], Path(__file__).with_suffix(".png"), data=False
    )
    args = parser.parse_args(argv)
    contractions = [1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 2e-3, SHOWN, 0.01, 0.02]
    n, max_iter = 1000, 3000
    if args.quick:
        contractions, n, max_iter = [1e-4, 1e-3, SHOWN], 100, 50
    X, plane, _ = points(n, 0)
    unseen, _, tangents = points(1000, 1)

    models = {}
    for contraction in plot.progress([0.0, *contractions], "λ_c"):
        model = ContractiveAutoencoder(
            2, decoder="unit-norm", hidden_layer_sizes=(16,), contraction=contraction,
            solver="lbfgs", tol=1e-6, max_iter=max_iter, random_state=0,
        )  # fmt: skip
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # the last digits take long
            models[contraction] = model.fit(X)
    spectra = {c: along_and_across(model, unseen, tangents) for c, model in models.items()}
    errors = {c: -model.score(unseen) for c, model in models.items()}
    plot.print_table(
        ["contraction", "along", "across", "across/along", "Wiener", "error", "of plain"],
        (
            [c, np.median(a), np.median(b), np.median(b / a), NOISE**2 / (NOISE**2 + c),
             errors[c], errors[c] / errors[0.0]]
            for c, (a, b) in spectra.items()
        ),
    )  # fmt: skip
    plot.save(draw(X, plane, models, contractions, spectra, errors), args.out)


def draw(X, plane, models, contractions, spectra, errors):
    plot.use_style()
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 3, figsize=(12.5, 4.3), width_ratios=(1, 1, 1.35))
    arc = datasets.make_curve(4000, noise=0.0, random_state=0)
    arc = arc[np.argsort(np.arctan2(arc[:, 1], arc[:, 0]))]
    angles = np.linspace(-0.6, 0.6, 13) * np.pi
    places = np.column_stack([np.cos(angles), np.sin(angles)])
    circle = np.linspace(0, 2 * np.pi, 60)
    circle = 0.13 * np.column_stack([np.cos(circle), np.sin(circle)])
    for panel, contraction in zip(panels, (0.0, SHOWN), strict=False):
        model = models[contraction]
        J = plane @ model.decoder_.layers[0].atoms.T @ model.jacobian(places @ plane) @ plane.T
        rebuilt = model.reconstruct(places @ plane) @ plane.T
        panel.plot(*arc.T, color=plot.GREY, lw=1)
        panel.plot(*(X[:300] @ plane.T).T, ".", color=plot.GREY, ms=2)
        for centre, J_r in zip(rebuilt, J, strict=True):
            panel.plot(*(centre + circle @ J_r.T).T, color=plot.BLUE, lw=1.3)
        panel.set(aspect="equal")
        panel.set_axis_off()
    panels[0].set_title("No penalty: the code sees every move")
    panels[1].set_title(rf"$\lambda_c$ = {SHOWN:g}: only along the curve")
    panels[0].text(
        -0.75, 0, "what is left\nof small circles\naround points\nof the arc", va="center",
        color=plot.BLUE,
    )  # fmt: skip

    right, fine = panels[2], np.geomspace(contractions[0], contractions[-1], 200)
    right.plot(fine, NOISE**2 / (NOISE**2 + fine), color=plot.VERMILION, lw=1.2)
    for i, colour in enumerate((plot.BLUE, plot.VERMILION)):
        medians = [np.median(spectra[c][i]) for c in contractions]
        right.plot(contractions, medians, "o", color=colour, ms=6)
    right.annotate("along the curve", (contractions[0], 1), xytext=(0, 8), color=plot.BLUE,
                   textcoords="offset points")  # fmt: skip
    right.annotate(
        "across: points trained,\nline $\\sigma^2 / (\\sigma^2 + \\lambda_c)$,\n"
        r"$\sigma^2$ the noise across",
        (contractions[0], 0.16), color=plot.VERMILION, va="center",
    )  # fmt: skip
    right.axhline(0.05, color=plot.GREY, lw=0.8, ls=":")
    right.annotate("5 %", (contractions[0], 0.05), xytext=(0, -11), color=plot.GREY,
                   textcoords="offset points")  # fmt: skip
    for c in contractions[-4:]:
        right.annotate(
            f"{errors[c] / errors[0.0]:.2f}", (c, 1), xytext=(0, 8), ha="center",
            textcoords="offset points", fontsize=9,
        )  # fmt: skip
    right.annotate(
        "error, of that\nwithout penalty", (contractions[-2], 1), xytext=(0, 24), ha="center",
        textcoords="offset points", fontsize=9,
    )  # fmt: skip
    right.set(
        xscale="log", yscale="log", ylim=(0.012, 3.2),
        xlabel=r"contraction $\lambda_c$  (log scale)",
        ylabel="singular value of ∂h/∂x  (median, log scale)",
        title="20 dimensions, one of them worth a code",
    )  # fmt: skip
    return figure


if __name__ == "__main__":
    main()
