"""How fast each way of training a linear autoencoder turns towards the principal subspace.

python -m figures.linear_convergence
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np

from nanoae import ConvergenceWarning, LinearAutoencoder, theory
from nanoae import plotting as plot
from nanoae.arrays import Moments
from nanoae.lbfgs import LBFGS
from nanoae.optimizers import SGD, Adam

N_COMPONENTS = 8
END = 80_000.0  # iteration at which the picture ends
# colour, and where the label stands
STYLES = {
    "alternating": (plot.BLUE, (2.5, 1e-7)),
    "L-BFGS": (plot.VERMILION, (290, 1e-6)),
    "momentum": (plot.GREEN, (1700, 0.1)),
    "Adam": (plot.ORANGE, (9000, 1.5e-8)),
}


def main(argv: list[str] | None = None) -> None:
    parser = plot.figure_parser(__doc__.splitlines()[0], Path(__file__).with_suffix(".png"))
    args = parser.parse_args(argv)
    X = plot.load_data(parser, args.data)
    eigenvalues = theory.pca(X).eigenvalues
    k = min(N_COMPONENTS, plot.directions(eigenvalues) - 1)
    if k < 1:
        parser.error("needs samples that vary in 2 directions or more; got samples on a line")
    rate = eigenvalues[k] / eigenvalues[k - 1]
    subspace = theory.linear_autoencoder_optimum(X, k)[1]
    n_steps = 1000 if args.quick else 20_000

    optimizers = {
        "L-BFGS": None,
        "momentum": SGD(0.1 / eigenvalues.sum(), momentum=0.9),
        "Adam": Adam(0.003),
    }
    runs = {"alternating": alternate(X, k, subspace, 100 if args.quick else 400)}
    for name, optimizer in plot.progress(optimizers.items(), "optimizers"):
        runs[name] = descend(X, k, subspace, n_steps, optimizer)
    plot.print_table(
        ("method", "iterations", "angle, rad", "1e-3 rad at", "1e-6 rad at"),
        (
            (name, t[-1], angles[-1], first_below(t, angles, 1e-3),
             first_below(t, angles, 1e-6))
            for name, (t, angles) in runs.items()
        ),
    )  # fmt: skip
    t, angles = runs["alternating"]
    late = (angles > 1e-9) & (angles < 1e-3)
    if late.sum() > 1:
        measured = np.exp(np.polyfit(t[late], np.log(np.tan(angles[late])), 1)[0])
        print(f"factor a sweep: {measured:.6f} measured, {rate:.6f} = λ_{k + 1}/λ_{k}")
    plot.save(draw(runs, rate, k), args.out)


def alternate(X, k, subspace, n_sweeps):
    """The angle after some of the sweeps, down to where rounding takes over."""
    sweeps, angles = [], []
    for n in np.unique(np.geomspace(1, n_sweeps, 40, dtype=int)):
        model = LinearAutoencoder(k, solver="alternating", max_iter=n, tol=0, random_state=0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # stopping short is the point
            model.fit(X)
        sweeps.append(model.n_iter_)
        angles.append(theory.largest_principal_angle(model.decoder_weight_, subspace))
        if model.n_iter_ < n:
            break
    return np.array(sweeps), np.array(angles)


def descend(X, k, subspace, n_steps, optimizer):
    """The angle after some of the steps of an optimizer; of L-BFGS if there is none."""
    model = LinearAutoencoder(k, random_state=0)
    model.initialise(X)
    moments = Moments.of_nothing(X.shape[1], with_factor=True)
    moments.add(X)
    X = moments.few_rows  # the same loss, from d rows
    shown = set(np.geomspace(1, n_steps, 60, dtype=int).tolist())
    t, angles = [], []
    n_done = 0

    def note(_: float) -> None:
        nonlocal n_done
        n_done += 1
        if n_done in shown:
            look()

    def look() -> None:
        t.append(n_done)
        angles.append(theory.largest_principal_angle(model.decoder_weight_, subspace))

    if optimizer is None:
        LBFGS(
            lambda: model.loss_and_gradient(X), model.parameters_,
            max_iter=n_steps, tol=1e-11, callback=note,
        ).minimise()  # fmt: skip
        look()  # at the best point, which is what a fit returns
    else:
        for _ in range(n_steps):
            loss, gradient = model.loss_and_gradient(X)
            optimizer.step(model.parameters_, gradient)
            note(loss)
    return np.array(t), np.array(angles)


def first_below(t, angles, threshold):
    """The first iteration looked at from which the angle stays below the threshold."""
    above = np.flatnonzero(angles >= threshold)
    after = above[-1] + 1 if len(above) else 0
    return t[after] if after < len(t) else "-"


def draw(runs, rate, k):
    plot.use_style()
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4.4))
    labels = {
        "alternating": f"alternating\nleast squares\nline: $(\\lambda_{k + 1}/\\lambda_{k})^t$"
        f" = {rate:.3f}$^t$",
        "L-BFGS": "L-BFGS",
        "momentum": "gradient descent\nwith momentum",
        "Adam": "Adam: steps\nof constant\nsize cannot\nsettle",
    }
    for name, (t, angles) in runs.items():
        colour, place = STYLES[name]
        axes.plot(t, angles, ".", markersize=6, color=colour)
        axes.text(*place, labels[name], color=colour)
    # The theory's line goes through the last point of the sweeps that rounding has not reached:
    # a rate says how steep, not from where.
    t, angles = runs["alternating"]
    not_rounded = np.flatnonzero(angles > 1e-9)
    if len(not_rounded):
        anchor = not_rounded[-1]
        sweeps = np.arange(1, END)
        logarithm = np.log(np.tan(angles[anchor])) + (sweeps - t[anchor]) * np.log(rate)
        line = np.arctan(np.exp(logarithm))
        axes.plot(sweeps[line > 1e-14], line[line > 1e-14], color=plot.BLUE, linewidth=1.2)
    axes.set(
        xscale="log", yscale="log", xlim=(0.8, END), ylim=(1e-14, 4), xlabel="iteration or sweep",
        ylabel="largest angle to the principal subspace (rad)",
        title=f"Four ways to the same {k}-dimensional subspace",
    )  # fmt: skip
    return figure


if __name__ == "__main__":
    main()
