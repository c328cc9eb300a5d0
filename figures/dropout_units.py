"""What dropout makes of a code: units all alike, and maps that bear noise.

python -m figures.dropout_units
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nanoae import Autoencoder, LinearAutoencoder, datasets, theory
from nanoae import plotting as plot

N_COMPONENTS, PROBABILITY = 8, 0.5
NOISE = 0.3  # standard deviation, on the input of the deep networks
N_TRAINING = 1000  # of the digits that these see


def main(argv: list[str] | None = None) -> None:
    out = Path(__file__).with_suffix(".png")
    args = plot.figure_parser(__doc__.splitlines()[0], out, data=False).parse_args(argv)
    X = datasets.load_digits().X
    X = X[:, X.std(axis=0) > 0]  # three pixels never change, and let noise through untrained
    eigenvalues = theory.pca(X).eigenvalues
    plain, dropped = (
        LinearAutoencoder(
            N_COMPONENTS, dropout=p, tol=1e-2 if args.quick else 1e-8, random_state=0
        ).fit(X)
        for p in (0.0, PROBABILITY)
    )
    units = {
        "PCA's axes": eigenvalues[:N_COMPONENTS],
        "no dropout": np.sort(removed(plain, X))[::-1],
        "dropout": np.sort(removed(dropped, X))[::-1],
    }
    best = theory.dropout_optimum(eigenvalues, N_COMPONENTS, PROBABILITY)
    plot.print_table(
        ("unit", *units, "theory"),
        zip(range(1, N_COMPONENTS + 1), *units.values(), [best.unit_loss] * N_COMPONENTS,
            strict=True),
    )  # fmt: skip
    variances = np.linspace(0, 0.25, 6)
    noisy = [[under_noise(model, X, b) for b in variances] for model in (plain, dropped)]
    plot.print_table(("noise", "no dropout", "dropout"), zip(variances, *noisy, strict=True))
    probabilities = (0.0, 0.5) if args.quick else (0.0, 0.05, 0.1, 0.2, 0.3, 0.5)
    deep = [train_deep(X, p, args.quick) for p in plot.progress(probabilities, "training")]
    plot.print_table(
        ("dropout", "seen", "unseen", "noisy"),
        ((p, *errors) for p, errors in zip(probabilities, deep, strict=True)),
    )
    plot.save(
        draw(units, best, eigenvalues, variances, noisy, probabilities, np.array(deep)), args.out
    )


def removed(model, X):
    """What the mean error rises by when a unit of the code is set to 0, unit by unit."""
    codes, whole = model.transform(X), -model.score(X)
    others = 1 - np.eye(codes.shape[1])
    return np.array(
        [np.mean(np.sum((X - model.inverse_transform(codes * o)) ** 2, 1)) for o in others]
    ) - whole  # fmt: skip


def under_noise(model, X, variance):
    """The mean error when noise of this variance is added to each pixel, exactly.

    A linear map sees the covariance of noise alone, and 2d shifts along the axes have it.
    """
    d = X.shape[1]
    shifts = np.sqrt(variance * d) * np.vstack([np.eye(d), -np.eye(d)])
    mean = X.mean(axis=0)
    M = model.decoder_weight_ @ model.encoder_weight_
    clean = np.mean(np.sum((X - model.reconstruct(X)) ** 2, axis=1))
    moved = model.reconstruct(mean + shifts) - mean
    assert np.allclose(moved, shifts @ M.T)
    return clean + np.mean(np.sum(moved**2, axis=1))


def train_deep(X, p, quick):
    """Mean error of a deep network: on samples seen, on unseen ones, and on these with noise."""
    rng = np.random.default_rng(0)
    rows = rng.permutation(len(X))
    seen, unseen = X[rows[:N_TRAINING]], X[rows[N_TRAINING:]]
    noisy = unseen + NOISE * rng.standard_normal(unseen.shape)
    model = Autoencoder(
        16, hidden_layer_sizes=(64,), dropout=p, learning_rate=2e-3, n_iter_no_change=None,
        max_iter=2 if quick else 400, random_state=0,
    ).fit(seen)  # fmt: skip
    pairs = ((seen, seen), (unseen, unseen), (noisy, unseen))
    return [np.mean(np.sum((x - model.reconstruct(y)) ** 2, axis=1)) for y, x in pairs]


def draw(units, best, eigenvalues, variances, noisy, probabilities, deep):
    plot.use_style()
    import matplotlib.pyplot as plt

    figure, (bars, lines, curves) = plt.subplots(1, 3, figsize=(12, 4.3))
    draw_units(bars, units, best)
    draw_noise(lines, best, eigenvalues, variances, noisy)
    draw_deep(curves, probabilities, deep)
    return figure


COLOURS = dict(zip(("PCA's axes", "no dropout", "dropout"), (plot.GREY, plot.ORANGE, plot.BLUE),
                   strict=True))  # fmt: skip


def draw_units(ax, units, best):
    j = np.arange(1, N_COMPONENTS + 1)
    for shift, (name, losses) in zip((-0.28, 0, 0.28), units.items(), strict=True):
        ax.bar(j + shift, losses, width=0.26, color=COLOURS[name])
    ax.axhline(best.unit_loss, color=plot.BLACK, lw=1, ls="--", zorder=3)
    top = ax.get_ylim()[1]
    for place, (name, text) in enumerate(
        (("no dropout", "trained without dropout"), ("PCA's axes", "one unit a principal axis"),
         ("dropout", f"trained with p = {PROBABILITY:g}: all alike"))
    ):  # fmt: skip
        ax.text(8.5, top * (0.97 - 0.075 * place), text, color=COLOURS[name], ha="right", va="top")
    ax.text(8.5, top * 0.7, f"dashed: theory, {best.unit_loss:.3f}", ha="right", va="top")
    ax.set(
        xlabel="unit, largest first", ylabel="rise of the error without it",
        title=f"What each of {N_COMPONENTS} units is worth", xticks=j,
    )  # fmt: skip


def draw_noise(ax, best, eigenvalues, variances, noisy):
    b = np.linspace(0, variances[-1], 50)
    kept = (np.arange(len(eigenvalues)) < N_COMPONENTS).astype(float)
    for gains, points, name in ((kept, noisy[0], "no dropout"), (best.gains, noisy[1], "dropout")):
        error = eigenvalues @ (1 - gains) ** 2 + b * np.sum(gains**2)
        ax.plot(b, error, color=COLOURS[name])
        ax.plot(variances, points, "o", color=COLOURS[name], ms=6)
    level = theory.dropout_noise_threshold(eigenvalues, N_COMPONENTS, PROBABILITY)
    ax.axvline(level, color=plot.BLACK, lw=1, ls=":")
    low, high = ax.get_ylim()
    ax.text(level * 1.04, low + 0.02 * (high - low), f"b* = {level:.3f}", va="bottom")
    end = variances[-1]
    ax.text(end, low + 0.72 * (high - low), "no dropout", color=plot.ORANGE, ha="right")
    ax.text(end, low + 0.42 * (high - low), f"dropout, p = {PROBABILITY:g}", color=plot.BLUE,
            ha="right")  # fmt: skip
    ax.set(
        xlabel="noise on each pixel, variance b", ylabel="mean squared error",
        title="The linear ones, with noise at the input", xlim=(0, variances[-1] * 1.02),
    )  # fmt: skip


def draw_deep(ax, probabilities, deep):
    for errors, colour, name, place, shift, align in zip(
        deep.T,
        (plot.GREY, plot.BLUE, plot.VERMILION),
        ("seen in training", "unseen", f"unseen, with noise of {NOISE:g} at the input"),
        (len(deep) // 2, len(deep) // 2, -1),
        ((6, -8), (-8, 8), (0, 16)),
        ("left", "right", "right"),
        strict=True,
    ):
        ax.plot(probabilities, errors, "o-", color=colour, ms=5)
        ax.annotate(
            name, (probabilities[place], errors[place]), xytext=shift, color=colour, ha=align,
            textcoords="offset points", va="bottom" if shift[1] > 0 else "top",
        )  # fmt: skip
    ax.set(
        xlabel="probability p of dropout", ylabel="mean squared error",
        title="A deep network on digits", ylim=(0, None), xlim=(-0.02, 0.52),
    )  # fmt: skip


if __name__ == "__main__":
    main()
