"""Linear denoisers of one noise level, used at another.

python -m figures.denoising_mismatch
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np

from nanoae import ConvergenceWarning, GaussianNoise, LinearAutoencoder, datasets, theory
from nanoae import plotting as plot

TRAINED = (0.1, 0.2, 0.4, 0.8)  # σ
COLOURS = (plot.GREEN, plot.BLUE, plot.VERMILION, plot.PURPLE)
USED = np.geomspace(0.05, 1.6, 11)
TICKS = (0.05, *TRAINED, 1.6)
DRAWS = 20  # of the noise, for each image


def main(argv: list[str] | None = None) -> None:
    parser = plot.figure_parser(
        __doc__.splitlines()[0], Path(__file__).with_suffix(".png"), data=False
    )
    args = parser.parse_args(argv)
    X = datasets.load_digits().X
    used, draws, tol = USED, DRAWS, 1e-4
    if args.quick:
        used, draws, tol = USED[::2], 1, 1e-2
    eigenvalues, d = theory.pca(X).eigenvalues, X.shape[1]
    models = []
    for sigma in plot.progress(TRAINED, "σ"):
        model = LinearAutoencoder(d, corruption=GaussianNoise(sigma), tol=tol, random_state=0)
        with warnings.catch_warnings():  # a picture does not show the last digits
            warnings.simplefilter("ignore", ConvergenceWarning)
            models.append(model.fit(X))
    rng = np.random.default_rng(0)
    measured = np.array([[loss(m, X, sigma, draws, rng) for sigma in used] for m in models])
    closed = theory.mismatch_loss(eigenvalues, np.square(TRAINED)[:, None], used**2, d)
    matched = theory.mismatch_loss(eigenvalues, used**2, used**2, d)
    print("loss of the best denoiser of the noise in use, and of each trained one: by the theory,")
    print("and measured")
    names = [f"σ = {sigma:g}" for sigma in TRAINED]
    plot.print_table(
        ("σ in use", "best", *names, *names),
        np.column_stack([used, matched, closed.T, measured.T]),
    )
    plot.save(draw(eigenvalues, used, measured, matched), args.out)


def loss(model, X, sigma, draws, rng):
    """Mean squared error on images with noise of this σ."""
    corrupt = GaussianNoise(sigma)
    errors = [np.sum((model.reconstruct(corrupt(X, rng)) - X) ** 2) for _ in range(draws)]
    return np.mean(errors) / len(X)


def draw(eigenvalues, used, measured, matched):
    plot.use_style()
    import matplotlib.pyplot as plt

    d = len(eigenvalues)
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.6))
    sigma = np.geomspace(used[0], used[-1], 300)
    best = theory.mismatch_loss(eigenvalues, sigma**2, sigma**2, d)
    left.plot(sigma, best, color=plot.BLACK, lw=5, alpha=0.25)
    for trained, colour, points in zip(TRAINED, COLOURS, measured, strict=True):
        line = theory.mismatch_loss(eigenvalues, trained**2, sigma**2, d)
        left.plot(sigma, line, color=colour)
        left.plot(used, points, "o", color=colour, ms=4)
        right.plot(sigma, 100 * (line / best - 1), color=colour)
        right.plot(used, 100 * (points / matched - 1), "o", color=colour, ms=4)
    for trained, colour, height in zip(TRAINED, COLOURS, measured[:, -1], strict=True):
        left.annotate(
            f"σ = {trained:g}", (used[-1], height), xytext=(7, 0), textcoords="offset points",
            color=colour, va="center", annotation_clip=False,
        )  # fmt: skip
        right.text(trained, -7, f"{trained:g}", color=colour, ha="center", va="top")
    trained = np.square(TRAINED)
    other = np.multiply.outer((1 / 4, 4), trained)
    factors = theory.mismatch_loss(eigenvalues, trained, other, d)
    factors /= theory.mismatch_loss(eigenvalues, other, other, d)
    left.annotate(
        "trained at the\nnoise in use", (sigma[20], best[20]), xytext=(18, -8),
        textcoords="offset points", color="#555555",
    )  # fmt: skip
    left.text(0.05, 0.95, "Colours: σ in training\n● measured   — theory", va="top",
              transform=left.transAxes)  # fmt: skip
    left.set(
        yscale="log", ylabel="loss  E‖x − r(x̃)‖²  (log scale)",
        title="Each denoiser is the best at its own noise only",
    )  # fmt: skip
    right.set(
        ylim=(-17, 150), yticks=range(0, 150, 25),
        ylabel="loss above the best of the noise in use  (%)",
        title="Half or twice the σ of the training "
        f"costs {np.min(factors) - 1:.0%} to {np.max(factors) - 1:.0%}",
    )  # fmt: skip
    for ax in (left, right):
        ax.set(xscale="log", xlabel="σ in use  (log scale)", xlim=(used[0] / 1.1, used[-1] * 1.1))
        ax.set_xticks(TICKS, [f"{tick:g}" for tick in TICKS])
        ax.minorticks_off()
    return figure


if __name__ == "__main__":
    main()
