"""What a score of anomalies finds: two scores on Gaussian data, and digits with one held out.

python -m figures.in_use_anomalies
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from scipy.stats import rankdata

from nanoae import VAE, Autoencoder, ConvergenceWarning, LinearAutoencoder, datasets, theory
from nanoae import plotting as plot

NOISE, VARIANCES, D = 0.5, np.array([9.0, 6.0, 4.0, 3.0]), 12
K = len(VARIANCES)
DISPLACED = {
    "within the subspace": (0, 9.0),
    "outside the subspace": (K, 2.2),
}  # along which axis, how far
ALPHAS = np.array([0.001, 0.003, 0.01, 0.03, 0.1, 0.2, 0.4, 0.6, 0.8])
WIDTH = 8
DETECTORS = {
    "PCA, error": plot.GREY,
    "probabilistic PCA, likelihood": plot.ORANGE,
    "autoencoder, error": plot.BLUE,
    "VAE, likelihood": plot.VERMILION,
}


def main(argv: list[str] | None = None) -> None:
    parser = plot.figure_parser(
        __doc__.splitlines()[0], Path(__file__).with_suffix(".png"), data=False
    )
    args = parser.parse_args(argv)
    n, max_iter, digits = 20_000, 60, range(10)
    if args.quick:
        n, max_iter, digits = 500, 2, range(2)
    curves, measured = gaussian(n)
    areas = np.array([held_out(c, max_iter) for c in plot.progress(digits, "digit held out")])
    print("anomalies found at a share of false alarms: by the theory, and measured")
    names = [f"{place}, {score}" for place in DISPLACED for score in ("error", "likelihood")]
    plot.print_table(
        ("false alarms", *names, *names), np.column_stack([ALPHAS, curves.T, measured.T])
    )
    print("\narea under the ROC curve, digits of one class never seen")
    rows = [(c, *row) for c, row in zip(digits, areas, strict=True)]
    plot.print_table(("digit", *DETECTORS), [*rows, ("mean", *areas.mean(axis=0))])
    plot.save(draw(curves, measured, list(digits), areas), args.out)


def gaussian(n):
    """Detected shares at `ALPHAS`: rows are (place, score), closed form and measured."""
    rng = np.random.default_rng(0)
    spread = np.concatenate([VARIANCES, np.full(D - K, NOISE)])
    train = rng.standard_normal((200, D))
    train = (
        np.linalg.qr(train - train.mean(axis=0))[0] * (200 * spread) ** 0.5
    )  # exactly as spread
    model = LinearAutoencoder(K, random_state=0).fit(train)
    M = model.decoder_weight_ @ model.encoder_weight_
    left = np.eye(D) - M, np.diag(spread**-0.5)  # of the error, and of the likelihood
    normal = rng.standard_normal((n, D)) * spread**0.5
    curves, measured = [], []
    for axis, length in DISPLACED.values():
        shift = length * np.eye(D)[axis]
        anomalous = rng.standard_normal((n, D)) * spread**0.5 + shift
        for B in left:
            laws = [
                theory.squared_length(B @ (mean - model.mean_), (B * spread) @ B.T)
                for mean in (np.zeros(D), shift)
            ]
            curves.append([theory.detected(*laws, alpha) for alpha in ALPHAS])
            found = np.sum(((anomalous - model.mean_) @ B.T) ** 2, axis=1)
            usual = np.sum(((normal - model.mean_) @ B.T) ** 2, axis=1)
            measured.append([np.mean(found > np.quantile(usual, 1 - a)) for a in ALPHAS])
    return np.array(curves), np.array(measured)


def held_out(c, max_iter):
    """Areas under the ROC curve of the four detectors, for a digit that none of them has seen."""
    X, labels = datasets.load_digits()
    known = np.random.default_rng(c).permutation(np.flatnonzero(labels != c))
    train, samples = X[known[:1100]], (X[known[1100:]], X[labels == c])
    mean, U, lam = theory.pca(train)
    U, noise = U[:, :WIDTH], lam[WIDTH:].mean()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        deep = Autoencoder(WIDTH, max_iter=max_iter, random_state=0).fit(train)
        vae = VAE(WIDTH, noise_variance=0.02, max_iter=max_iter, random_state=0).fit(train)
    scores = (
        lambda x: np.sum((x - mean - (x - mean) @ U @ U.T) ** 2, axis=1),
        lambda x: -theory.ppca_log_likelihood(x, mean, U, lam[:WIDTH], noise),
        deep.reconstruction_error,
        lambda x: -vae.score_samples(x, n_samples=20),
    )
    return [area(*(score(x) for x in samples)) for score in scores]


def area(normal, anomalous):
    """The share of pairs in which the anomaly scores higher."""
    ranks = rankdata(np.concatenate([normal, anomalous]))
    m = len(anomalous)
    return (ranks[len(normal) :].sum() - m * (m + 1) / 2) / (len(normal) * m)


def draw(curves, measured, digits, areas):
    plot.use_style()
    import matplotlib.pyplot as plt

    figure, (*pair, right) = plt.subplots(1, 3, figsize=(13, 4.6), width_ratios=(1, 1, 1.5))
    colours = {"reconstruction error": plot.BLUE, "likelihood": plot.VERMILION}
    places = ((0.42, 0.2), (0.42, 0.78)), ((0.02, 0.97), (0.42, 0.74))  # of the labels
    for i, (ax, place) in enumerate(zip(pair, DISPLACED, strict=True)):
        for j, (score, colour) in enumerate(colours.items()):
            row = 2 * i + j
            ax.plot(ALPHAS, curves[row], color=colour)
            ax.plot(ALPHAS, measured[row], "o", color=colour, ms=4)
            ax.text(*places[i][j], score, color=colour, transform=ax.transAxes)
        ax.plot([0, 1], [0, 1], color="#999999", lw=0.8, ls=":")
        ax.set(
            xlim=(-0.02, 1), ylim=(-0.02, 1.02), xlabel="false alarms", ylabel="anomalies found",
            title=f"Displaced {place}",
        )  # fmt: skip
    for i, (name, colour) in enumerate(DETECTORS.items()):
        right.plot(digits, areas[:, i], "o", color=colour, ms=6, label=name)
    for c, row in zip(digits, areas, strict=True):
        right.plot([c, c], [row.min(), row.max()], color="#cccccc", zorder=0)
    means = [f"{name}: {areas[:, i].mean():.3f}" for i, name in enumerate(DETECTORS)]
    for i, (text, colour) in enumerate(zip(means, DETECTORS.values(), strict=True)):
        right.text(0.98, 0.04 + 0.06 * (3 - i), text, color=colour, ha="right", fontsize=9,
                   transform=right.transAxes)  # fmt: skip
    right.text(0.98, 0.28, "mean over the digits", ha="right", fontsize=9,
               transform=right.transAxes)  # fmt: skip
    right.set(
        xticks=digits, ylim=(0.45, 1.0), xlabel="digit that was never seen in training",
        ylabel="area under the ROC curve", title=f"Digits, codes of {WIDTH}: what is found",
    )  # fmt: skip
    return figure


if __name__ == "__main__":
    main()
