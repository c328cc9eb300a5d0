"""Codes of unseen digits on the contours of three priors, and a test of whether they match.

python -m figures.adversarial_priors
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nanoae import AdversarialAutoencoder, Autoencoder, datasets, theory
from nanoae import plotting as plot

N_TRAIN = 1200
SETTINGS = {  # of each prior: with the default settings codes do not get onto the others
    "normal": {"max_iter": 150},
    "ring": {"max_iter": 300, "match_weight": 3.0},
    "mixture": {"max_iter": 300, "match_weight": 3.0, "gradient_penalty": 0.03},
}
TITLES = {"normal": "N(0, I)", "ring": "ring", "mixture": "ten Gaussians"}
COLOURS = (
    plot.BLUE, plot.VERMILION, plot.GREEN, plot.PURPLE, plot.ORANGE,
    plot.SKY, plot.BLACK, "#8B5A2B", plot.GREY, "#B8A800",
)  # fmt: skip


def main(argv: list[str] | None = None) -> None:
    parser = plot.figure_parser(
        __doc__.splitlines()[0], Path(__file__).with_suffix(".png"), data=False
    )
    args = parser.parse_args(argv)
    X, labels = datasets.load_digits()
    X = X.astype(np.float32)
    order = np.random.default_rng(0).permutation(len(X))
    train, unseen = order[:N_TRAIN], order[N_TRAIN:]

    rows, panels = [], []
    for prior, settings in plot.progress(SETTINGS.items(), "priors"):
        if args.quick:
            settings = {**settings, "max_iter": 5}
        model = AdversarialAutoencoder(
            2, prior=prior, batch_size=100, random_state=0, **settings
        ).fit(X[train])  # fmt: skip
        codes = model.transform(X[unseen])
        draws = model.sample_prior(len(codes), random_state=1)
        test = theory.energy_test(codes, draws)
        rows.append((prior, model.reconstruction_error(X[unseen]).mean(), *test))
        panels.append((prior, model.sample_prior(20_000, random_state=2), codes, test.p_value))
    plain = Autoencoder(
        2, batch_size=100, learning_rate=2e-3, max_iter=SETTINGS["normal"]["max_iter"],
        n_iter_no_change=None, random_state=0,
    )  # fmt: skip
    plain.set_params(max_iter=5 if args.quick else plain.max_iter).fit(X[train])
    draws = np.random.default_rng(1).standard_normal((len(unseen), 2))
    test = theory.energy_test(plain.transform(X[unseen]), draws)
    rows.append(("none (AE)", plain.reconstruction_error(X[unseen]).mean(), *test))
    plot.print_table(("prior", "error, unseen", "energy dist.", "p-value"), rows)
    plot.save(draw(panels, labels[unseen]), args.out)


def draw(panels, labels):
    plot.use_style()
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(7.8, 3.5), sharey=True)
    for ax, (prior, draws, codes, p) in zip(axes, panels, strict=True):
        density, x, y = np.histogram2d(*draws.T, bins=50, range=[[-3.6, 3.6]] * 2, density=True)
        density = smooth(density)
        ax.contour(
            (x[1:] + x[:-1]) / 2, (y[1:] + y[:-1]) / 2, density.T,
            levels=density.max() * np.array([0.05, 0.3, 0.7]), colors=plot.GREY, linewidths=0.8,
        )  # fmt: skip
        for digit in range(10):
            own = codes[labels == digit]
            ax.plot(*own.T, "o", ms=2.2, mew=0, color=COLOURS[digit])
        verdict = "rejected" if p <= 0.05 else "not rejected"
        ax.set_title(f"{TITLES[prior]}: p = {p:.3g},\n{verdict} at 5 %")
        ax.set(xlim=(-3.6, 3.6), ylim=(-3.6, 3.6), aspect="equal", xlabel="code, dimension 1")
    axes[0].set_ylabel("code, dimension 2")
    axes[2].text(
        0, 0.65, "contours: prior\npoints: codes of\nunseen digits,\na colour a digit",
        ha="center", va="center", fontsize=7,
    )  # fmt: skip
    return figure


def smooth(density):
    """Averages over neighbours: contours of 20,000 draws are ragged otherwise."""
    for _ in range(3):
        for axis in (0, 1):
            density = (np.roll(density, 1, axis) + 2 * density + np.roll(density, -1, axis)) / 4
    return density


if __name__ == "__main__":
    main()
