"""How noisy are the two estimators of the encoder's gradient?

python -m figures.vae_estimators
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np

from nanoae import VAE, ConvergenceWarning, theory
from nanoae import plotting as plot
from nanoae.losses import gaussian_nll

DIMENSIONS = (1, 2, 4, 8, 16, 32, 64)
SIGMA = 0.5
EPOCHS = (0, 1, 3, 10, 30, 100)  # 0: random weights
BATCH = 128
COMPONENTS = 8  # of the VAE
ESTIMATORS = (
    ("score function", plot.VERMILION),
    ("score function with\nthe best baseline", plot.ORANGE),
    ("reparameterised", plot.BLUE),
)


def main(argv: list[str] | None = None) -> None:
    parser = plot.figure_parser(__doc__.splitlines()[0], Path(__file__).with_suffix(".png"))
    args = parser.parse_args(argv)
    X = plot.load_data(parser, args.data)
    rng = np.random.default_rng(0)
    dimensions, epochs = (DIMENSIONS[:5], EPOCHS[:3]) if args.quick else (DIMENSIONS, EPOCHS)
    n_draws = 2_000 if args.quick else 100_000

    measured = np.array([measure_square(k, n_draws, rng) for k in dimensions])
    closed = np.array([closed_square(k) for k in dimensions])
    print("f(z) = ½‖z‖² around μ = (1, ..., 1)")
    plot.print_table(
        ("k", "score", "measured", "baseline", "measured", "reparam.", "measured"),
        ([k, *np.ravel(pair)] for k, pair in zip(
            dimensions, np.stack([closed, measured], axis=2), strict=True
        )),
    )  # fmt: skip
    draws = 50 if args.quick else 400
    with plot.training(parser):
        on_data = np.array(
            [measure_vae(X, e, draws, rng) for e in plot.progress(epochs, "epochs")]
        )
    print(f"a VAE on the data, learned noise, batch of {BATCH}")
    plot.print_table(
        ("epochs", "score", "baseline", "reparam.", "score/rep.", "base/rep."),
        ([e, *row, row[0] / row[2], row[1] / row[2]] for e, row in
         zip(epochs, on_data, strict=True)),
    )  # fmt: skip

    plot.use_style()
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.8), width_ratios=(1.1, 1))
    draw_dimensions(left, dimensions, measured)
    k = min(COMPONENTS, X.shape[1])
    draw_training(
        right, epochs, on_data, f"the {'digits' if args.data is None else 'data'}, k = {k}"
    )
    plot.save(figure, args.out)


def closed_square(k):
    """The three variances in closed form; the best baseline of (5.3e) is part of c."""
    zero, ones, identity = np.zeros(k), np.ones(k), np.eye(k)
    plain = theory.gradient_estimator_variance(0, zero, identity, ones, SIGMA)
    best = 0.5 * k + SIGMA**2 * (k + 2) / 2
    baseline = theory.gradient_estimator_variance(-best, zero, identity, ones, SIGMA)
    return plain.score_function, baseline.score_function, plain.reparameterised


def measure_square(k, n, rng):
    ones, best = np.ones(k), 0.5 * k + SIGMA**2 * (k + 2) / 2

    def f(z):
        return 0.5 * np.sum(z**2, axis=1)

    gradients = (
        theory.score_function_gradients(f, ones, SIGMA, n, rng),
        theory.score_function_gradients(lambda z: f(z) - best, ones, SIGMA, n, rng),
        theory.reparameterised_gradients(lambda z: z, ones, SIGMA, n, rng),
    )
    return [g.var(axis=0, ddof=1).sum() for g in gradients]


def measure_vae(X, epochs, n_draws, rng):
    """The three variances of ∇ log p(x|z) by [μ, log σ²], averaged over a batch."""
    model = VAE(
        min(COMPONENTS, X.shape[1]), noise_variance="learned", batch_size=64, learning_rate=2e-3,
        max_iter=max(epochs, 1), n_iter_no_change=1000, random_state=0,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # young ones are asked for
        model.fit(X)
    if epochs == 0:
        model.initialise(X)  # random weights again
    batch = X[:BATCH].astype(np.float64)
    mu, log_var = model.encode(batch)
    sigma, log_noise = np.exp(log_var / 2), np.log(model.noise_variance_)
    f, paths, scores = [], [], []
    for _ in range(n_draws):
        eps = rng.standard_normal(mu.shape)
        x_hat = model.decoder_.forward(mu + sigma * eps)
        f.append(-0.5 * np.sum((batch - x_hat) ** 2, axis=1) / model.noise_variance_)
        grad_x_hat = gaussian_nll(x_hat, batch, log_noise)[1]
        grad_z = -len(batch) * model.decoder_.backward(grad_x_hat)
        paths.append(np.hstack([grad_z, grad_z * eps * sigma / 2]))
        scores.append(np.hstack([eps / sigma, (eps**2 - 1) / 2]))
    # −log p's constant is part of f too: nothing may be left out for the estimator's benefit
    f = np.array(f)[:, :, None] - 0.5 * X.shape[1] * (np.log(2 * np.pi) + log_noise)
    scores = np.array(scores)
    # least squares of f·score on score, sample by sample: the constant that leaves least
    plain = f * scores
    spread, mean = scores - scores.mean(axis=0), plain.mean(axis=0)
    best = np.sum((plain - mean) * spread, axis=(0, 2)) / np.sum(spread**2, axis=(0, 2))
    with_baseline = (f - best[:, None]) * scores
    return [
        g.var(axis=0, ddof=1).sum(axis=1).mean() for g in (plain, with_baseline, np.array(paths))
    ]


def draw_dimensions(axes, dimensions, measured):
    fine = np.unique(np.geomspace(dimensions[0], dimensions[-1], 60).round().astype(int))
    curves = np.array([closed_square(k) for k in fine]).T
    growths = "like k³", "like k²", "like k"
    for curve, points, growth, (name, colour) in zip(
        curves, measured.T, growths, ESTIMATORS, strict=True
    ):
        axes.plot(fine, curve, color=colour)
        axes.plot(dimensions, points, "o", color=colour, ms=5)
        label(axes, fine[-1], curve[-1], f"{name}: {growth}", colour)
    axes.set(
        xscale="log", yscale="log", xlim=(0.85, 14 * fine[-1]),
        xlabel="dimension k of the code  (log scale)",
        ylabel="variance of one draw, summed over k",
        title=f"f(z) = ½‖z‖², μ = (1, …, 1), σ = {SIGMA:g}. Lines: closed form",
    )  # fmt: skip
    axes.set_xticks(dimensions, [str(k) for k in dimensions])
    axes.minorticks_off()


def draw_training(axes, epochs, variances, where):
    places = np.array([np.log10(e) if e else -0.5 for e in epochs])
    for series, (name, colour) in zip(variances.T, ESTIMATORS, strict=True):
        axes.plot(places, series, "o", color=colour, ms=6)
        axes.plot(places, series, color=colour, lw=0.6, ls=":")
        label(axes, places[-1], series[-1], name, colour, drop=10)
    for place, (plain, baseline, path) in zip(places, variances, strict=True):
        axes.annotate(
            f"×{plain / path:.0f}", (place, plain), xytext=(0, 8), ha="center",
            textcoords="offset points", color=plot.VERMILION, fontsize=9,
        )  # fmt: skip
        axes.annotate(
            f"×{baseline / path:.1f}", (place, baseline), xytext=(0, 8), ha="center",
            textcoords="offset points", color=plot.ORANGE, fontsize=9,
        )  # fmt: skip
    axes.set(
        yscale="log", xlim=(-0.7, places[-1] + 1.6), ylim=(None, variances.max() * 4),
        xlabel="epochs of training  (log scale; 0: random weights)",
        ylabel="variance of one draw  (nats²)",
        title=f"∇ log p(x|z) of a VAE on {where}",
    )  # fmt: skip
    axes.text(
        0.99, 0.02, "×: times reparameterised", color=plot.GREY, ha="right",
        transform=axes.transAxes,
    )  # fmt: skip
    axes.set_xticks(places, [str(e) for e in epochs])


def label(axes, x, y, text, colour, *, drop=0):
    axes.annotate(
        text, (x, y), xytext=(9, -drop), textcoords="offset points", color=colour, va="center"
    )


if __name__ == "__main__":
    main()
