"""Collapse, dimension by dimension: the KL of each code dimension against β.

python -m figures.beta_collapse
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nanoae import VAE, LinearVAE, beta_sweep, theory
from nanoae import plotting as plot

NOISE_VARIANCE = 0.05
N_COMPONENTS = 8
BETAS = np.array((0.3, 0.5, 0.8, 1.2, 1.8, 2.6, 3.5, 4.3, 5.0, 6.5, 8.0, 9.5, 11.5, 13.4, 16.0))


def main(argv: list[str] | None = None) -> None:
    parser = plot.figure_parser(__doc__.splitlines()[0], Path(__file__).with_suffix(".png"))
    args = parser.parse_args(argv)
    X = plot.load_data(parser, args.data)
    eigenvalues = theory.pca(X).eigenvalues
    # thresholds λ_i/σ² where the digits have them, whatever the scale of the data
    noise_variance = NOISE_VARIANCE * eigenvalues[0] / 0.7
    betas = BETAS[::3] if args.quick else BETAS
    k = min(N_COMPONENTS, *X.shape)
    linear = LinearVAE(
        k, noise_variance=noise_variance,
        tol=1e-3 if args.quick else 1e-5, random_state=0,
    )  # fmt: skip
    epochs = 10 if args.quick else 120
    nonlinear = VAE(
        k, hidden_layer_sizes=(128,), noise_variance=noise_variance, learning_rate=3e-3,
        max_iter=epochs, n_iter_no_change=epochs, random_state=0,
    )  # fmt: skip
    kl = []
    for model, data in ((linear, X), (nonlinear, X.astype(np.float32))):
        with plot.training(parser):
            sweep = beta_sweep(data, betas, model=model, verbose=True)
        kl.append(np.array([np.sort(m.kl_per_dimension(data))[::-1] for m in sweep.models]))
    closed_form = kl_of_optimum(eigenvalues, k, betas, noise_variance)

    print("KL of the first, the middle and the last dimension, nats, and their sum")
    shown = [0, k // 2, k - 1]
    plot.print_table(
        ("beta", *(f"{name} {i + 1}" for name in ("closed", "lin.", "nonl.") for i in shown),
         "sum closed", "sum lin.", "sum nonl."),
        (
            (beta, *c[shown], *a[shown], *b[shown], c.sum(), a.sum(), b.sum())
            for beta, c, a, b in zip(betas, closed_form, *kl, strict=True)
        ),
    )  # fmt: skip
    print(f"largest |linear - closed form|: {np.abs(kl[0] - closed_form).max():.2g} nats")
    plot.save(draw(eigenvalues, noise_variance, betas, *kl), args.out)


def kl_of_optimum(eigenvalues, k, betas, noise_variance):
    """``(m, k)``: with ``E μ² + s² = 1`` in every dimension, the KL is ``½ log 1/s²``."""
    optima = [theory.linear_vae_optimum(eigenvalues, k, b, noise_variance) for b in betas]
    return np.array([0.5 * np.log(1 / o.posterior_variance) for o in optima])


def draw(eigenvalues, noise_variance, betas, linear, nonlinear):
    plot.use_style()
    import matplotlib.pyplot as plt

    k = linear.shape[1]
    shades = plt.get_cmap("viridis")(np.linspace(0, 0.8, k))
    fine = np.geomspace(betas[0] * 0.9, betas[-1] * 1.1, 1000)
    lines = kl_of_optimum(eigenvalues, k, fine, noise_variance)
    thresholds = eigenvalues[:k] / noise_variance
    figure, axes = plt.subplots(1, 2, figsize=(11, 5), sharex=True, sharey=True)
    for ax, kl in zip(axes, (linear, nonlinear), strict=True):
        for i, shade in enumerate(shades):
            if ax is axes[0]:
                ax.plot(fine, lines[:, i], color=shade, lw=1.4, zorder=1)
            ax.plot(betas, kl[:, i], "os"[ax is axes[1]], color=shade, ms=4.5, zorder=2)
        ax.plot(
            thresholds, np.zeros(k), "|", color=plot.BLACK, ms=13, mew=1.3, clip_on=False, zorder=3
        )
        ax.set(xscale="log", xlabel="β  (log scale)", xticks=(0.3, 1, 3, 10))
        ax.set_xticklabels(("0.3", "1", "3", "10"))
        ax.minorticks_off()
    axes[1].plot(fine, lines[:, 0], color=plot.GREY, lw=1, ls=(0, (4, 3)), zorder=1)
    axes[1].plot(fine, lines[:, -1], color=plot.GREY, lw=1, ls=(0, (4, 3)), zorder=1)
    axes[1].annotate(
        "dashed: the linear VAE's\nlargest and smallest", (fine[330], lines[330, 0]),
        xytext=(30, 30), textcoords="offset points", color="#555555",
        arrowprops={"arrowstyle": "-", "lw": 0.8, "color": "#555555"},
    )  # fmt: skip
    for i, place in ((0, (0.3, 0.78)), (k - 1, (0.03, 0.25))):
        axes[0].text(
            *place, f"dimension {i + 1}: λ = {eigenvalues[i]:.2g}", color=shades[i],
            ha="left", va="top", transform=axes[0].transAxes,
        )  # fmt: skip
    axes[0].annotate(
        "ticks: λᵢ/σ², where dimension i\nof the closed form collapses", (thresholds[-1], 0.02),
        xytext=(0.03, 0.12), textcoords="axes fraction", va="center",
        arrowprops={"arrowstyle": "-", "lw": 0.8},
    )  # fmt: skip
    axes[0].set(
        ylim=(-0.05, 1.08 * max(linear.max(), nonlinear.max())),
        ylabel="KL of one code dimension  (nats per image)",
        title="Linear VAEs (points) on their closed form ½ log(λᵢ/βσ²)",
    )
    axes[1].set_title("Nonlinear VAEs, dimensions in falling order of KL")
    return figure


if __name__ == "__main__":
    main()
