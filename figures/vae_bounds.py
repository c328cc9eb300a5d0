"""ELBO, importance-weighted bounds and the exact log p(x), where all three are known.

python -m figures.vae_bounds
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nanoae import LinearVAE, theory
from nanoae import plotting as plot

BETA = 2.0  # not 1: the encoder is not the posterior of the decoder's model
NOISE_VARIANCE = 0.05
N_COMPONENTS = 6
SHOWN = 50  # samples to average over
# K and repetitions: small gaps take many, and beyond K = 100 the noise of a run outgrows its bias
SIZES = {1: 400, 2: 400, 5: 400, 10: 400, 20: 400, 50: 400, 100: 400, 500: 20, 1000: 20, 5000: 10}


def main(argv: list[str] | None = None) -> None:
    parser = plot.figure_parser(__doc__.splitlines()[0], Path(__file__).with_suffix(".png"))
    args = parser.parse_args(argv)
    X = plot.load_data(parser, args.data).astype(np.float64)
    most = theory.pca(X).eigenvalues[0]
    if not most > BETA * NOISE_VARIANCE:
        parser.error(
            f"--data must have a direction of variance greater than βσ² = "
            f"{BETA * NOISE_VARIANCE:g}, or all is noise; got {most:.3g}: scale them"
        )
    repeats = {K: 10 for K in (1, 5, 20)} if args.quick else SIZES
    sizes = np.array(list(repeats))
    vae = LinearVAE(
        min(N_COMPONENTS, *X.shape), noise_variance=NOISE_VARIANCE,
        beta=BETA, tol=1e-3 if args.quick else None, random_state=0,
    )  # fmt: skip
    with plot.training(parser):
        vae.fit(X)
    decoder = vae.decoder_.layers[0]
    model = theory.LinearGaussian(decoder.weight.T, decoder.bias, NOISE_VARIANCE)
    batch = X[:SHOWN]
    exact, elbo = model.log_likelihood(batch).mean(), vae.elbo(batch)
    with np.errstate(over="ignore"):
        variance = weight_variance(vae, model, batch)
    if not np.isfinite(variance):
        parser.error("with these data the importance weights' variance overflows: scale the data")
    runs = [
        [vae.log_likelihood(batch, n_samples=K, random_state=1000 * K + r) for r in range(n)]
        for K, n in plot.progress(repeats.items(), "K")
    ]
    mean = np.array([np.mean(run) for run in runs])
    deviation = np.array([np.std(run, ddof=1) for run in runs])
    # what the prior would be worth in the encoder's place
    prior = np.zeros(model.W.shape[1]), np.eye(model.W.shape[1])
    naive = theory.gaussian_renyi_between(*model.posterior(batch), *prior)
    print(
        f"exact log p(x) {exact:.6g}, ELBO {elbo:.6g} nats; variance of the weights {variance:.4g}"
    )
    print(f"the same from the prior: e^{np.median(naive):.1f} (median)")
    plot.print_table(
        ("K", "runs", "bound", "s.d. of a run", "gap", "s.e. of gap", "V / 2K"),
        zip(
            sizes, repeats.values(), mean, deviation, exact - mean,
            deviation / np.sqrt(list(repeats.values())), variance / (2 * sizes), strict=True,
        ),
    )  # fmt: skip
    figure = draw(sizes, list(repeats.values()), mean, deviation, exact, elbo, variance)
    plot.save(figure, args.out)


def weight_variance(vae, model, X):
    """Variance of the importance weights over p(x)², averaged over samples."""
    mu, log_var = vae.encode(X)
    mean, covariance = model.posterior(X)
    divergences = [
        theory.gaussian_renyi_between(m, covariance, q, np.diag(np.exp(v)))[0]
        for m, q, v in zip(mean, mu, log_var, strict=True)
    ]
    return np.expm1(divergences).mean()


def draw(sizes, repeats, mean, deviation, exact, elbo, variance):
    plot.use_style()
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.6), width_ratios=(1.1, 1))
    draw_climb(left, sizes, mean, deviation, exact, elbo)
    often = np.array(repeats) == max(repeats)
    error = deviation[often] / np.sqrt(max(repeats))
    draw_gap(right, sizes[often], exact - mean[often], error, exact - elbo, variance)
    return figure


def draw_climb(axes, sizes, mean, deviation, exact, elbo):
    gap = exact - elbo
    axes.axhline(exact, color=plot.BLACK)
    axes.axhline(elbo, color=plot.VERMILION)
    axes.errorbar(sizes, mean, deviation, fmt="o", color=plot.BLUE, ms=5, capsize=3, lw=1.2)
    axes.text(sizes[0], exact + 0.03 * gap, f"exact log p(x): {exact:.2f} nats")
    axes.text(sizes[-1], elbo + 0.03 * gap, f"ELBO: {elbo:.2f}", color=plot.VERMILION, ha="right")
    middle = np.sqrt(sizes[0] * sizes[-1])
    axes.annotate(
        "", (middle, elbo), (middle, exact), arrowprops={"arrowstyle": "<->", "color": plot.GREY}
    )
    axes.text(
        middle * 1.2, elbo + 0.5 * gap, f"mean KL(q(z|x) ‖ p(z|x)):\n{gap:.2f} nats",
        color="#555555", va="center",
    )  # fmt: skip
    axes.set(
        xscale="log", xlabel="draws of z for one estimate, K  (log scale)",
        ylabel="nats per sample", ylim=(elbo - 0.4 * gap, exact + 0.2 * gap),
        title="Importance-weighted bounds (points, ± 1 s.d. of a run)",
    )  # fmt: skip


def draw_gap(axes, sizes, gap, error, elbo_gap, variance):
    fine = np.geomspace(sizes[0] / 1.3, sizes[-1] * 1.3, 100)
    axes.axhline(elbo_gap, color=plot.VERMILION)
    axes.text(fine[-1], elbo_gap * 1.08, "gap of the ELBO", color=plot.VERMILION, ha="right")
    axes.plot(fine, variance / (2 * fine), color=plot.BLACK)
    axes.errorbar(sizes, gap, error, fmt="o", color=plot.BLUE, ms=5, capsize=3, lw=1.2)
    axes.annotate(
        "V / 2K, with V the variance of\nthe importance weights",
        (fine[60], variance / (2 * fine[60])), xytext=(-150, -50), textcoords="offset points",
        arrowprops={"arrowstyle": "-", "lw": 0.8},
    )  # fmt: skip
    axes.set(
        xscale="log", yscale="log", xlim=(fine[0], fine[-1]), xlabel="K  (log scale)",
        ylabel="log p(x) − bound  (nats, log scale)",
        title="What is left of the gap falls as 1/K (± 1 s.e.)",
    )  # fmt: skip


if __name__ == "__main__":
    main()
