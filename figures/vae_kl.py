"""The Gaussian KL in closed form, and what sampling it would cost.

python -m figures.vae_kl
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nanoae import plotting as plot
from nanoae import theory
from nanoae.losses import gaussian_kl

MEANS = ((0.0, plot.BLACK), (1.0, plot.BLUE), (2.0, plot.VERMILION))
DRAWS = 100  # for one point of the left panel
POSTERIOR = (1.0, -2.0)  # μ, log σ² of every dimension, on the right
DIMENSION = 4


def main(argv: list[str] | None = None) -> None:
    parser = plot.figure_parser(
        __doc__.splitlines()[0], Path(__file__).with_suffix(".png"), data=False
    )
    args = parser.parse_args(argv)
    rng = np.random.default_rng(0)
    sizes = 4 ** np.arange(1, 6 if args.quick else 9)
    repeats = 30 if args.quick else 100
    log_var = np.linspace(-5, 2, 15)
    sweep = {
        mean: [theory.gaussian_kl_monte_carlo([mean], [v], DRAWS, rng) for v in log_var]
        for mean, _ in MEANS
    }

    mu, v = (np.full(DIMENSION, value) for value in POSTERIOR)
    kl = gaussian_kl(mu[None], v[None])[0]
    deviation = np.sqrt(theory.gaussian_kl_monte_carlo_variance(mu, v))
    estimates = np.array(
        [
            [theory.gaussian_kl_monte_carlo(mu, v, n, rng).mean for _ in range(repeats)]
            for n in sizes.tolist()
        ]
    )
    measured = np.sqrt(np.mean((estimates - kl) ** 2, axis=1))
    print(f"KL in closed form: {kl:.6g} nats")
    plot.print_table(
        ("draws", "first run", "r.m.s. error", "closed form", "ratio"),
        zip(
            sizes, estimates[:, 0], measured, deviation / np.sqrt(sizes),
            measured / deviation * np.sqrt(sizes), strict=True,
        ),
    )  # fmt: skip

    plot.use_style()
    import matplotlib.pyplot as plt

    figure = plt.figure(figsize=(11, 5))
    left, right = figure.subfigures(1, 2)
    draw_sweep(left.subplots(), log_var, sweep)
    upper, lower = right.subplots(2, 1, sharex=True, height_ratios=(1.4, 1))
    draw_estimates(upper, sizes, estimates, measured, kl, deviation)
    draw_error(lower, sizes, measured, deviation)
    plot.save(figure, args.out)


def draw_sweep(axes, log_var, sweep):
    fine = np.linspace(log_var[0], log_var[-1], 400)
    for mean, colour in MEANS:
        curve = [gaussian_kl(np.array([[mean]]), np.array([[v]]))[0] for v in fine]
        axes.plot(fine, curve, color=colour)
        values, errors = np.array(sweep[mean]).T
        axes.errorbar(
            log_var, values, errors, fmt="o", color=colour, ms=4, lw=1, capsize=2, zorder=3
        )
        axes.annotate(
            f"μ = {mean:g}", (fine[0], curve[0]), xytext=(-6, 0), textcoords="offset points",
            color=colour, ha="right", va="center",
        )  # fmt: skip
    axes.annotate(
        "zero only here: q = prior", (0, 0), xytext=(-80, -14), textcoords="offset points",
        va="top", ha="center", arrowprops={"arrowstyle": "-", "lw": 0.8},
    )  # fmt: skip
    axes.set(
        xlim=(-6.2, 2.2), ylim=(-0.8, 5), xlabel="log σ²  of the encoder's Gaussian",
        ylabel="KL(N(μ, σ²) ‖ N(0, 1))  (nats)",
        title=f"Lines: closed form. Points: means of {DRAWS} draws, ± 1 s.e.",
    )  # fmt: skip


def draw_estimates(axes, sizes, estimates, measured, kl, deviation):
    fine = np.geomspace(sizes[0] / 1.5, sizes[-1] * 1.5, 200)
    axes.fill_between(
        fine, kl - deviation / np.sqrt(fine), kl + deviation / np.sqrt(fine),
        color=plot.SKY, alpha=0.35, lw=0,
    )  # fmt: skip
    axes.axhline(kl, color=plot.BLACK, lw=1)
    jitter = np.linspace(0.8, 1.25, 30)
    for n, row in zip(sizes, estimates, strict=True):
        axes.plot(n * jitter, row[: len(jitter)], ".", color=plot.GREY, ms=3, zorder=2)
    axes.errorbar(
        sizes, estimates.mean(axis=1), measured, fmt="none", ecolor=plot.BLUE, capsize=4, zorder=3
    )
    axes.text(fine[-1], kl + 0.1, f"closed form: {kl:.3f} nats", ha="right", va="bottom")
    axes.set(
        ylabel="KL estimate  (nats)",
        title=f"A {DIMENSION}-dimensional example: 30 estimates each, bars their error",
    )


def draw_error(axes, sizes, measured, deviation):
    fine = np.array([sizes[0] / 1.5, sizes[-1] * 1.5])
    axes.plot(fine, deviation / np.sqrt(fine), color=plot.SKY)
    axes.plot(sizes, measured, "o", color=plot.BLUE, ms=5)
    axes.text(
        0.97, 0.8, "√(Σ μ²σ² + ½(σ² − 1)²) / √n", color=plot.BLUE, ha="right",
        transform=axes.transAxes,
    )  # fmt: skip
    axes.set(
        xscale="log", yscale="log", xlabel="draws of z for one estimate, n  (log scale)",
        ylabel="r.m.s. error  (nats)", xlim=fine,
    )  # fmt: skip


if __name__ == "__main__":
    main()
