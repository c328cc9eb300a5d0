"""Unseen digits under three kinds of noise, and what three denoisers make of them.

python -m figures.denoising_digits
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np

from nanoae import (
    Autoencoder,
    ConvergenceWarning,
    GaussianNoise,
    MaskingNoise,
    SaltAndPepper,
    datasets,
    theory,
)
from nanoae import plotting as plot

SEEN = 1300  # of the digits, for training; the others are to be denoised
SHOWN = 6
NOISES = (  # name, its σ or p, noise as it is shown and as it is right on average, log p(x̃|x)
    ("Gaussian", "σ", 0.3, GaussianNoise(0.3), GaussianNoise(0.3),
     theory.gaussian_log_likelihood),
    ("Masking", "p", 0.4, MaskingNoise(0.4, rescale=False), MaskingNoise(0.4),
     theory.masking_log_likelihood),
    ("Salt and pepper", "p", 0.3, SaltAndPepper(0.3, rescale=False), SaltAndPepper(0.3),
     theory.salt_and_pepper_log_likelihood),
)  # fmt: skip
ROWS = ("clean", "noisy", "best linear\nmap", "deep network", "r* of the\nseen digits")


def main(argv: list[str] | None = None) -> None:
    parser = plot.figure_parser(
        __doc__.splitlines()[0], Path(__file__).with_suffix(".png"), data=False
    )
    args = parser.parse_args(argv)
    X = datasets.load_digits().X
    seen, unseen, epochs = X[:SEEN], X[SEEN:], 200
    if args.quick:
        seen, unseen, epochs = X[:200], X[SEEN : SEEN + 30], 5
    columns, rows = {}, []
    for kind, symbol, level, corruption, unbiased, log_likelihood in NOISES:
        x_tilde, rescaled = (c(unseen, np.random.default_rng(0)) for c in (corruption, unbiased))
        network = train(corruption, seen, epochs)
        ideal, possible = ideal_of_seen(log_likelihood, level, x_tilde, seen)
        images = (
            unseen, x_tilde, wiener(unbiased, rescaled, seen), network.reconstruct(x_tilde), ideal
        )  # fmt: skip
        errors = [None if x is None else mean_squared_error(x, unseen) for x in images]
        columns[f"{kind}, {symbol} = {level:g}"] = images, errors, possible
        rows.append((*errors[1:], possible, kind))
    print(f"‖x − x̂‖², mean over {len(unseen)} unseen digits. r*: the best denoiser of the seen")
    print("ones, which is defined for what one of these can be with noise; possible: how many are")
    plot.print_table(("noisy", "linear", "deep", "r*", "possible", "noise"), rows)
    plot.save(draw(columns), args.out)


def wiener(unbiased, x_tilde, seen):
    """The best linear map, for noise that is right on average (7.8)."""
    mean, variance = seen.mean(axis=0), seen.var(axis=0)
    # a pixel that is always 0 may have no noise either; more than none keeps it 0
    noise = unbiased.noise_variance(mean, variance)
    M = theory.linear_denoiser(np.cov(seen.T, bias=True), noise, len(mean)).map
    return mean + (x_tilde - mean) @ M.T


def train(corruption, seen, epochs):
    model = Autoencoder(
        64, hidden_layer_sizes=(256,), corruption=corruption, learning_rate=3e-3, batch_size=200,
        max_iter=epochs, n_iter_no_change=None, random_state=0, verbose=True,
    )  # fmt: skip
    with warnings.catch_warnings():  # noise is new in each epoch: it may go on learning for long
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(seen.astype(np.float32))


def ideal_of_seen(log_likelihood, level, x_tilde, seen):
    """The best denoiser of the seen digits, or None if undefined; for how many it is defined."""
    parts = np.array_split(x_tilde, 10)  # to need less memory
    of_each = np.vstack([log_likelihood(part, seen, level) for part in parts])
    possible = int(np.isfinite(of_each).any(axis=1).sum())
    if possible < len(x_tilde):
        return None, possible
    return theory.posterior_mean(of_each, seen), possible


def mean_squared_error(x_hat, x):
    return np.mean(np.sum((x_hat - x) ** 2, axis=1))


def draw(columns):
    plot.use_style()
    import matplotlib.pyplot as plt

    figure, grid = plt.subplots(len(ROWS), len(columns), figsize=(10.5, 4.5))
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.01)
    for axes, (name, column) in zip(grid.T, columns.items(), strict=True):
        images, errors, possible = column
        axes[0].set_title(name)
        best = min(error for error in errors[1:] if error is not None)
        for ax, x, error in zip(axes, images, errors, strict=True):
            if x is None:
                ax.set_axis_off()
                ax.text(
                    0.5, 0.6, f"undefined: {possible} of the {len(images[0])} can be\n"
                    "a seen digit with this noise",
                    ha="center", va="center", transform=ax.transAxes, color=plot.GREY,
                )  # fmt: skip
                continue
            plot.show_images(ax, x[:SHOWN], SHOWN)
            if error > 0:
                ax.text(
                    0.5, -0.06, f"{error:.2f}", ha="center", va="top", transform=ax.transAxes,
                    color=plot.VERMILION if error == best else plot.BLACK,
                    weight="bold" if error == best else "normal",
                )  # fmt: skip
    for ax, name in zip(grid[:, 0], ROWS, strict=True):
        ax.text(-0.03, 0.5, name, ha="right", va="center", transform=ax.transAxes)
    figure.supxlabel(
        "Numbers: ‖x − x̂‖², mean over all unseen digits (orange: the least)", fontsize=10
    )
    return figure


if __name__ == "__main__":
    main()
