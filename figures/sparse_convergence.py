"""ISTA and FISTA against their bounds, and the certificate that tells them when to stop.

python -m figures.sparse_convergence
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np

from nanoae import plotting as plot
from nanoae import theory
from nanoae.exceptions import ConvergenceWarning
from nanoae.proximal import fista, ista

SAMPLES, ATOMS = 50, 128
ROUNDING = 1e-11  # of the least objective: what is below is no more than that
SOLVERS = {
    "ISTA": (ista, {}),
    "FISTA": (fista, {"restart": False}),
    "FISTA, restarted": (fista, {}),
}
COLOURS = dict(zip(SOLVERS, (plot.VERMILION, plot.BLUE, plot.GREEN), strict=True))


def main(argv: list[str] | None = None) -> None:
    parser = plot.figure_parser(__doc__.splitlines()[0], Path(__file__).with_suffix(".png"))
    args = parser.parse_args(argv)
    n_steps = 200 if args.quick else 3000
    X = plot.load_data(parser, args.data)
    X = np.random.default_rng(0).permutation(X - X.mean(axis=0))
    if len(X) < SAMPLES + 2:
        parser.error(f"--data must have more than {SAMPLES + 1} samples; got {len(X)}")
    # other samples serve as atoms: overcomplete, and far from orthogonal, as learned atoms are
    X, D = X[:SAMPLES], X[SAMPLES : SAMPLES + ATOMS].T
    norms = np.linalg.norm(D, axis=0)
    D = D / np.where(norms > 0, norms, 1)
    sparsity = 0.1 * float(np.median(theory.lasso_max_sparsity(X, D)))
    if sparsity == 0:
        parser.error("needs other samples: most of these have nothing in common with the atoms")

    best = fista(X, D, sparsity, tol=1e-9, max_iter=100_000)
    least = theory.lasso_objective(X, D, best, sparsity).mean()
    distance = np.sqrt(np.mean(np.sum(best**2, axis=1)))  # of mean squares: bounds are means too
    gaps, certificates, implied = {}, {}, {}
    for name, (solver, options) in plot.progress(SOLVERS.items(), "solvers"):
        codes = trace(solver, X, D, sparsity, n_steps, **options)
        F = np.array([theory.lasso_objective(X, D, h, sparsity) for h in codes])
        rho = np.array([theory.lasso_kkt_residual(X, D, h, sparsity) for h in codes])
        gaps[name] = F.mean(axis=1) - least
        implied[name] = np.mean(2 * rho * F, axis=1)
        certificates[name] = np.array(
            [theory.lasso_duality_gap(X, D, h, sparsity).mean() for h in codes]
        )
    if min(gap.max() for gap in gaps.values()) <= ROUNDING * least:
        parser.error("needs samples that vary in several directions: on these the first step ends")
    k = np.arange(1, n_steps + 1)
    bounds = {
        "ISTA": theory.ista_bound(D, distance, k),
        "FISTA": theory.fista_bound(D, distance, k),
    }

    print(f"least objective {least:.6g}, mean active {np.mean(best != 0):.1%}")
    shown = np.unique(np.geomspace(1, n_steps, 12).round().astype(int))
    plot.print_table(
        ("step", *SOLVERS, "bound ISTA", "bound FISTA"),
        (
            (step, *(gaps[name][step - 1] for name in SOLVERS),
             bounds["ISTA"][step - 1], bounds["FISTA"][step - 1])
            for step in shown
        ),
    )  # fmt: skip
    name = "FISTA, restarted"
    plot.save(draw(k, gaps, bounds, certificates[name], implied[name], least), args.out)


def trace(solver, X, D, sparsity, n_steps, **options):
    """The codes after each step; the last ones stand for what follows them."""
    codes = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # stopped early on purpose
        solver(
            X, D, sparsity, max_iter=n_steps, tol=0, callback=lambda h: codes.append(h.copy()),
            **options,
        )  # fmt: skip
    return codes + [codes[-1]] * (n_steps - len(codes))


def draw(k, gaps, bounds, certificate, implied, least):
    plot.use_style()
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 5), sharey=True)
    floor = ROUNDING * least
    points = np.unique(np.geomspace(1, len(k), 45).round().astype(int)) - 1
    for name, gap in gaps.items():
        visible = points[gap[points] > floor]
        left.plot(k[visible], gap[visible], "o", color=COLOURS[name], ms=3.5)
        last = visible[-1]
        restarted = name == "FISTA, restarted"
        left.text(
            k[last] * (0.85 if restarted else 1.15), gap[last], name, color=COLOURS[name],
            ha="right" if restarted else "left", va="center",
        )  # fmt: skip
    labels = {"ISTA": "bound  L‖h*‖² / 2k", "FISTA": "bound  2L‖h*‖² / (k + 1)²"}
    for name, bound in bounds.items():
        left.plot(k, bound, color=COLOURS[name])
        place = len(k) // 6
        left.text(k[place], bound[place] * 2.5, labels[name], color=COLOURS[name])
    left.set(
        xscale="log", yscale="log", ylim=(floor, 5 * bounds["ISTA"][0]), xlim=(0.9, 4 * len(k)),
        xlabel="iteration k", ylabel="objective above its minimum, mean over samples",
        title="Lines: what is proved. Points: what happens",
    )  # fmt: skip

    gap = gaps["FISTA, restarted"]
    visible = points[gap[points] > floor]
    seen = k <= k[visible[-1]] * 1.5
    right.plot(k[seen], implied[seen], color=plot.GREY, ls="--")
    right.plot(k[seen], certificate[seen], color=plot.BLACK)
    right.plot(k[visible], gap[visible], "o", color=COLOURS["FISTA, restarted"], ms=3.5)
    right.text(3, implied[2] * 1.8, "2 ρ F, from the KKT residual ρ alone", color=plot.GREY)
    place = visible[2 * len(visible) // 3]
    right.annotate(
        "duality gap", (k[place], certificate[place]), xytext=(20, 55),
        textcoords="offset points", arrowprops={"arrowstyle": "-", "lw": 0.8},
    )  # fmt: skip
    place = visible[len(visible) // 2]
    right.text(
        k[place] / 1.4, gap[place] / 4, "the truth, which\nthe solver cannot see",
        color=COLOURS["FISTA, restarted"], ha="right", va="top",
    )  # fmt: skip
    right.set(
        xscale="log", xlabel="iteration k",
        title="What the solver knows at each step (FISTA, restarted)",
    )  # fmt: skip
    return figure


if __name__ == "__main__":
    main()
