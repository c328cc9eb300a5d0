"""The β-tradeoff: what a VAE pays in rate for what it saves in distortion, and Shannon's bound.

python -m figures.beta_tradeoff
"""

from __future__ import annotations

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from nanoae import VAE, LinearVAE, beta_sweep, theory
from nanoae import plotting as plot

BETAS = (0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.5, 4.0, 6.0, 10.0, 20.0)
NOISE_VARIANCE = 0.05
SHOWN = 5  # values of β whose pictures are shown
IMAGES = 10  # pictures in a row


def main(argv: list[str] | None = None) -> None:
    parser = plot.figure_parser(__doc__.splitlines()[0], Path(__file__).with_suffix(".png"))
    parser.add_argument(
        "--betas", type=float, nargs="+", default=BETAS, metavar="β", help="values of β to train"
    )
    args = parser.parse_args(argv)
    betas = np.unique(args.betas)
    if not betas[0] > 0:
        parser.error(f"--betas must be greater than 0; got {betas[0]:g}")
    X = plot.load_data(parser, args.data)
    if args.quick:
        betas, X = betas[::3], X[:500]
    if len(X) < 6:
        parser.error(f"needs 6 samples or more, every third to hold out; got {len(X)}")
    held_out = np.arange(len(X)) % 3 == 2
    X, unseen = X[~held_out], X[held_out]
    eigenvalues = theory.pca(X).eigenvalues
    if not eigenvalues[0] > NOISE_VARIANCE * betas[0]:
        parser.error(
            f"--data must have a direction of variance greater than βσ² = "
            f"{NOISE_VARIANCE * betas[0]:g}, or all is noise; got {eigenvalues[0]:.3g}: scale them"
        )
    rank = min(40, *X.shape)
    linear = LinearVAE(
        rank, noise_variance=NOISE_VARIANCE,
        tol=1e-3 if args.quick else 1e-4, random_state=0,
    )  # fmt: skip
    epochs = 15 if args.quick else 500
    nonlinear = VAE(
        min(20, rank), hidden_layer_sizes=(128,), noise_variance=NOISE_VARIANCE, batch_size=200,
        learning_rate=2e-3, max_iter=epochs, n_iter_no_change=epochs, random_state=0,
    )  # fmt: skip

    # many small matrix products: one process a core is faster than many threads in one
    os.environ.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")
    spawn = multiprocessing.get_context("spawn")
    with plot.training(parser), ProcessPoolExecutor(mp_context=spawn) as executor:
        print("linear VAEs")
        linear_sweep = beta_sweep(X, betas, model=linear, executor=executor, verbose=True)
        print("nonlinear VAEs")
        X32 = X.astype(np.float32)
        nonlinear_sweep = beta_sweep(X32, betas, model=nonlinear, executor=executor, verbose=True)

    optimum = [theory.linear_vae_optimum(eigenvalues, rank, b, NOISE_VARIANCE) for b in betas]
    print("R: rate (nats); D: distortion; closed: what the theory says of the linear ones")
    plot.print_table(
        ("beta", "R closed", "R linear", "R nonlin.", "D closed", "D linear", "D nonlin.",
         "active lin.", "active nonl."),
        zip(
            betas, [o.rate for o in optimum], linear_sweep.rate, nonlinear_sweep.rate,
            [o.distortion for o in optimum], linear_sweep.distortion, nonlinear_sweep.distortion,
            linear_sweep.active_units, nonlinear_sweep.active_units, strict=True,
        ),
    )  # fmt: skip
    print(
        "on the third of the samples that no model has seen. Shannon: the least rate for D nonlin."
        "\nof a Gaussian with the covariance of the training samples, and with that of the unseen"
    )
    linear_unseen = [model.rate_distortion(unseen) for model in linear_sweep.models]
    nonlinear_unseen = [model.rate_distortion(unseen) for model in nonlinear_sweep.models]
    unseen_eigenvalues = theory.pca(unseen).eigenvalues
    plot.print_table(
        ("beta", "R linear", "D linear", "R nonlin.", "D nonlin.", "Shannon", "of unseen"),
        (
            (beta, *linear, *nonlinear, theory.shannon_rate(eigenvalues, nonlinear[1]),
             theory.shannon_rate(unseen_eigenvalues, nonlinear[1]))
            for beta, linear, nonlinear in zip(
                betas, linear_unseen, nonlinear_unseen, strict=True
            )
        ),
    )  # fmt: skip
    figure = draw(unseen, eigenvalues, linear_sweep, nonlinear_sweep, nonlinear_unseen)
    plot.save(figure, args.out)


def draw(unseen, eigenvalues, linear, nonlinear, nonlinear_unseen):
    plot.use_style()
    import matplotlib.pyplot as plt

    if round(unseen.shape[1] ** 0.5) ** 2 == unseen.shape[1]:
        figure = plt.figure(figsize=(10, 8.6))
        upper, lower = figure.subfigures(2, 1, height_ratios=(1.5, 1))
        draw_images(lower, unseen, nonlinear)
    else:  # these are no images
        upper = figure = plt.figure(figsize=(10, 5.2))
    plane, small = upper.subfigures(1, 2, width_ratios=(1.25, 1))
    draw_plane(plane.subplots(), eigenvalues, linear, nonlinear, nonlinear_unseen)
    draw_against_beta(small.subplots(3, 1, sharex=True), eigenvalues, linear, nonlinear)
    return figure


def draw_plane(axes, eigenvalues, linear, nonlinear, nonlinear_unseen):
    theta = np.geomspace(NOISE_VARIANCE * linear.beta[0] / 2, eigenvalues[0], 400)
    rate, distortion = theory.water_filling(eigenvalues, theta)
    axes.plot(distortion, rate, color=plot.BLACK, zorder=1)
    axes.plot(linear.distortion, linear.rate, "o", color=plot.BLUE, zorder=3)
    axes.plot(nonlinear.distortion, nonlinear.rate, "s", color=plot.VERMILION, ms=5, zorder=3)
    rate_unseen, distortion_unseen = np.transpose(nonlinear_unseen)
    for start, end in zip(
        zip(nonlinear.distortion, nonlinear.rate, strict=True),
        zip(distortion_unseen, rate_unseen, strict=True), strict=True,
    ):  # fmt: skip
        axes.plot(*zip(start, end, strict=True), color=plot.VERMILION, lw=0.7, zorder=2)
    axes.plot(distortion_unseen, rate_unseen, "s", color=plot.VERMILION, mfc="white", ms=5)
    for sweep, colour, side in ((linear, plot.BLUE, 1), (nonlinear, plot.VERMILION, -1)):
        for i in range(0, len(sweep.beta), 2):
            axes.annotate(
                f"{sweep.beta[i]:g}", (sweep.distortion[i], sweep.rate[i]), color=colour,
                xytext=(7 * side, 4 * side), textcoords="offset points", fontsize=9.5,
                ha="left" if side > 0 else "right", va="bottom" if side > 0 else "top",
            )  # fmt: skip
    total = eigenvalues.sum()
    axes.set(
        xlim=(-0.12 * total, 1.03 * total), ylim=(-0.03 * rate.max(), 0.9 * rate.max()),
        xlabel="distortion  D = E‖x − x̂‖²  (squared error per sample)",
        ylabel="rate  R = E KL(q(z|x) ‖ p(z))  (nats per sample)",
        title="What does a better picture cost? Small numbers: β",
    )  # fmt: skip
    middle = len(theta) // 2
    axes.annotate(
        "Shannon's R(D) of a Gaussian\nwith the same covariance",
        (distortion[middle], rate[middle]), xytext=(45, 25), textcoords="offset points",
        arrowprops={"arrowstyle": "-", "lw": 0.8},
    )  # fmt: skip
    widths = [sweep.models[0].n_components for sweep in (linear, nonlinear)]
    legend = (
        (0.62, plot.BLUE, f"● linear β-VAEs, code of {widths[0]},\ntrained: on the line"),
        (
            0.42,
            plot.VERMILION,
            f"■ nonlinear β-VAEs, code of {widths[1]}:\nbelow the line, they use\n"
            "more than the covariance\n"
            "□ on samples not seen in training",
        ),
    )
    for height, colour, text in legend:
        axes.text(0.97, height, text, color=colour, transform=axes.transAxes, ha="right")


def draw_against_beta(axes, eigenvalues, linear, nonlinear):
    rank = linear.models[0].n_components
    beta = np.geomspace(linear.beta[0], linear.beta[-1], 400)
    optimum = [theory.linear_vae_optimum(eigenvalues, rank, b, NOISE_VARIANCE) for b in beta]
    rows = (
        ("rate (nats)", [o.rate for o in optimum], "rate"),
        ("distortion", [o.distortion for o in optimum], "distortion"),
        ("active units", [o.active.sum() for o in optimum], "active_units"),
    )
    for ax, (label, closed_form, name) in zip(axes, rows, strict=True):
        ax.plot(beta, closed_form, color=plot.BLACK, lw=1.2, zorder=1)
        ax.plot(linear.beta, getattr(linear, name), "o", color=plot.BLUE, ms=5)
        ax.plot(nonlinear.beta, getattr(nonlinear, name), "s", color=plot.VERMILION, ms=4)
        ax.set(xscale="log", ylabel=label)
    thresholds = eigenvalues[:rank] / NOISE_VARIANCE
    thresholds = thresholds[(thresholds >= beta[0]) & (thresholds <= beta[-1])]
    axes[2].plot(thresholds, np.zeros_like(thresholds), "|", color=plot.BLACK, ms=9, clip_on=False)
    axes[2].text(
        0.99, 0.95, "ticks: λᵢ/σ², where\ndimension i collapses", transform=axes[2].transAxes,
        ha="right", va="top", fontsize=9.5,
    )  # fmt: skip
    for sweep, colour, drop in ((linear, plot.BLUE, -6), (nonlinear, plot.VERMILION, 12)):
        axes[2].annotate(
            f"of {sweep.models[0].n_components}", (beta[0], sweep.active_units[0]), color=colour,
            xytext=(-4, drop), textcoords="offset points", va="top", fontsize=9.5,
        )  # fmt: skip
    axes[2].set_xlabel("β  (log scale)")
    axes[0].set_title("Line: closed form of the linear β-VAE")


def draw_images(figure, X, sweep):
    side = round(X.shape[1] ** 0.5)
    shown = np.unique(np.linspace(0, len(sweep.beta) - 1, SHOWN).round().astype(int))
    models = [sweep.models[i] for i in shown]
    originals = X[:IMAGES]
    reconstructions = [originals, *(model.reconstruct(originals) for model in models)]
    samples = [model.sample(IMAGES, random_state=1) for model in models]
    left, right = figure.subplots(1, 2)
    plot.show_images(left, np.concatenate(reconstructions), IMAGES)
    plot.show_images(right, np.concatenate(samples), IMAGES)
    left.set_title("The nonlinear VAEs' reconstructions of unseen samples")
    right.set_title("... and samples: z drawn from the prior, decoded")
    labels = [f"β = {model.beta:g}" for model in models]
    for ax in (left, right):
        ax.set_anchor("S")  # the rows of one β side by side
    for ax, names in ((left, ["original", *labels]), (right, labels)):
        for row, name in enumerate(names):
            ax.text(-1, row * (side + 1) + side / 2, name, ha="right", va="center", fontsize=9)


if __name__ == "__main__":
    main()
