"""How the tied autoencoder learns: one component after another, from saddle to saddle.

python -m figures.tied_landscape
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nanoae import TiedAutoencoder, datasets, theory
from nanoae import plotting as plot

SPECTRUM = (5.0, 3.0, 1.8, 1.1, 0.3, 0.2)
N_COMPONENTS = 4
SIZE_OF_START = 1e-5  # standard deviation of the initial weights
MOST_STEPS = 1_000_000
POINTS = 70  # drawn of each run
COLOURS = (plot.BLUE, plot.VERMILION, plot.GREEN, plot.ORANGE)


def main(argv: list[str] | None = None) -> None:
    parser = plot.figure_parser(
        __doc__.splitlines()[0], Path(__file__).with_suffix(".png"), data=False
    )
    parser.add_argument(
        "--data", type=Path, metavar="PATH",
        help=f"samples in rows (default: Gaussian, with eigenvalues {SPECTRUM})",
    )  # fmt: skip
    args = parser.parse_args(argv)
    if args.data is None:
        X = datasets.make_gaussian(200, SPECTRUM, exact=True, random_state=0)
    else:
        X = plot.load_data(parser, args.data)
    if X.shape[1] < 2 or len(X) <= N_COMPONENTS:
        parser.error(f"needs 2 features and {N_COMPONENTS + 1} samples; got {X.shape}")
    mean, U, eigenvalues = theory.pca(X)
    k = min(N_COMPONENTS, X.shape[1] - 1, plot.directions(eigenvalues))
    W = SIZE_OF_START * np.random.default_rng(1).standard_normal((k, X.shape[1]))
    s0 = theory.effective_initial_strengths(W, U)
    half_times = theory.logistic_half_time(eigenvalues[:k], s0[:k])
    # a step lets the log-odds lag by a part 2 η λ of their way: 0.1 %, or 1 % if quick
    step = (5e-3 if args.quick else 5e-4) / eigenvalues[0]
    end = 1.25 * half_times.max()
    if not end / step < MOST_STEPS:
        parser.error(
            f"--data must have {k} eigenvalues of a similar size; got {eigenvalues[0]:.3g} to "
            f"{eigenvalues[k - 1]:.3g}, which needs {end / step:.2g} steps"
        )
    t = np.arange(0, end, step)
    strengths, losses = descend(X - mean, W, U, step, len(t))

    measured = np.array([np.interp(0.5, s, t) for s in strengths.T])
    naive = theory.logistic_half_time(eigenvalues[:k], strengths[0])
    plot.print_table(
        ("mode", "eigenvalue", "R_ii²", "‖W u_i‖²", "half at t", "from R_ii²", "from ‖Wu_i‖²"),
        zip(
            range(1, k + 1), eigenvalues[:k], s0[:k], strengths[0], measured, half_times, naive,
            strict=True,
        ),
    )  # fmt: skip
    shown = np.linspace(0, len(t) - 1, POINTS).astype(int)
    figure = draw(t[shown], strengths[shown], losses[shown], eigenvalues, s0, half_times)
    plot.save(figure, args.out)


def descend(X, W, U, step, n_steps):
    """Gradient descent from W: at every step the strengths ``‖W u_i‖²`` and the loss."""
    k = len(W)
    model = TiedAutoencoder(k, tol=1.0, random_state=0).fit(X)  # stops at once: we descend
    model.encoder_weight_[...] = W
    strengths, losses = np.empty((n_steps, k)), np.empty(n_steps)
    for i in range(n_steps):
        losses[i], gradient = model.loss_and_gradient(X)
        strengths[i] = np.sum((model.encoder_weight_ @ U[:, :k]) ** 2, axis=0)
        model.parameters_[...] -= step * gradient
    return strengths, losses


def draw(t, strengths, losses, eigenvalues, s0, half_times):
    plot.use_style()
    import matplotlib.pyplot as plt

    figure, (upper, lower) = plt.subplots(2, 1, figsize=(8, 7), sharex=True)
    fine = np.linspace(0, t[-1], 1000)
    draw_loss(upper, fine, t, losses, eigenvalues, s0, len(half_times))
    draw_strengths(lower, fine, t, strengths, eigenvalues, s0, half_times)
    return figure


def draw_loss(axes, fine, t, losses, eigenvalues, s0, k):
    for r in range(k + 1):
        saddle = eigenvalues[r:].sum()
        axes.axhline(saddle, color=plot.GREY, lw=0.9, ls=(0, (5, 3)), zorder=1)
        words = f"minimum: {saddle:.3g}" if r == k else f"{r} learned: {saddle:.3g}"
        axes.annotate(
            words, (0, saddle), xytext=(0, 4), textcoords="offset points",
            va="bottom", color="#555555", fontsize=9,
        )  # fmt: skip
    axes.text(
        1, 1.02 * eigenvalues.sum(), "dashed: critical points, the sum of all λᵢ not learned",
        color="#555555", fontsize=9, ha="right", transform=axes.get_yaxis_transform(),
    )  # fmt: skip
    axes.plot(fine, theory.tied_learning_curve(eigenvalues, s0, fine), color=plot.BLACK, zorder=2)
    axes.plot(t, losses, "o", color=plot.SKY, mec=plot.BLUE, mew=0.8, ms=4.5, zorder=3)
    axes.set(
        ylim=(0, 1.12 * eigenvalues.sum()), ylabel="loss  E‖x − WᵀWx‖²",
        title="Gradient descent (points) rests at saddle after saddle; the line is the theory",
    )  # fmt: skip


def draw_strengths(axes, fine, t, strengths, eigenvalues, s0, half_times):
    for i, (half_time, colour) in enumerate(zip(half_times, COLOURS, strict=False)):
        curve = theory.logistic_mode_strength(eigenvalues[i], s0[i], fine)
        axes.plot(fine, curve, color=colour)
        axes.plot(t, strengths[:, i], "o", color=colour, ms=4)
        height = 0.8 - 0.2 * i  # staggered, for curves may be close
        there = half_time + np.log(height / (1 - height)) / (8 * eigenvalues[i])
        axes.annotate(
            f"λ{'₁₂₃₄'[i]} = {eigenvalues[i]:.3g}", (there, height), xytext=(9, -6),
            textcoords="offset points", color=colour,
        )  # fmt: skip
    axes.set(
        ylim=(-0.05, 1.1),
        xlabel="time  t = number of steps × learning rate  (1 / units of variance)",
        ylabel="strength of mode i:  sᵢ = ‖W uᵢ‖²",
        title="Each component switches on along its own logistic curve, the largest first",
    )


if __name__ == "__main__":
    main()
