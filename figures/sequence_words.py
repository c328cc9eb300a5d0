"""Names through a code of 16 numbers: how many letters come back, and what lies between two.

python -m figures.sequence_words
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nanoae import VAE, Autoencoder, datasets
from nanoae import plotting as plot
from nanoae.network import Recurrent, Transformer

CODE = 16
HELD_OUT = 500
PAIRS = (("amanda", "robert"), ("elizabeth", "tom"), ("christopher", "lily"))
NETWORKS = {
    "GRU": Recurrent(width=64, vocabulary_size=27),
    "transformer": Transformer(width=64, n_blocks=1, vocabulary_size=27),
}
COLOURS = {"GRU": plot.BLUE, "transformer": plot.VERMILION}


def main(argv: list[str] | None = None) -> None:
    parser = plot.figure_parser(
        __doc__.splitlines()[0], Path(__file__).with_suffix(".png"), data=False
    )
    args = parser.parse_args(argv)
    data = datasets.load_names()
    order = np.random.default_rng(0).permutation(len(data.X))[:: 20 if args.quick else 1]
    X = [data.X[i].astype(np.float32) for i in order]
    n_test = HELD_OUT if not args.quick else 40
    test, train = X[:n_test], X[n_test:]
    n_epochs, every = (2, 1) if args.quick else (40, 4)

    curves, rows = {}, []
    for name, architecture in NETWORKS.items():
        model = Autoencoder(
            CODE, architecture=architecture, loss="categorical", learning_rate=2e-3,
            random_state=0,
        )  # fmt: skip
        curve = []
        for epoch in plot.progress(range(1, n_epochs + 1), name):
            model.partial_fit(train)
            if epoch % every == 0:
                curve.append((epoch, accuracy(model, test)[0]))
        curves[name] = np.array(curve)
        letters, words = accuracy(model, test)
        rows.append((name, model.parameters_.size, accuracy(model, train)[0], letters, words))
    plot.print_table(("network", "parameters", "train letters", "held-out", "whole names"), rows)

    vae = VAE(
        CODE, architecture=NETWORKS["transformer"], likelihood="categorical", beta=0.1,
        learning_rate=2e-3, max_iter=n_epochs, n_iter_no_change=None, random_state=0,
    ).fit(train)  # fmt: skip
    between = []
    for pair in PAIRS:
        first, last = ([data.alphabet.index(letter) for letter in f"{name}."] for name in pair)
        between.append(data.text(vae.interpolate(np.array(first), np.array(last), 7)))
        print(" → ".join(between[-1]))
    plot.save(draw(curves, between), args.out)


def accuracy(model, X):
    """Share of tokens, ends included, and of whole sequences that come back as they were."""
    right = [x_hat == x for x_hat, x in zip(model.reconstruct(X), X, strict=True)]
    return np.concatenate(right).mean(), np.mean([one.all() for one in right])


def draw(curves, between):
    plot.use_style()
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(
        1, 2, figsize=(10, 4.2), gridspec_kw={"width_ratios": [1, 1.15]}
    )
    for name, curve in curves.items():
        left.plot(*curve.T, "o-", color=COLOURS[name], ms=4)
        left.annotate(
            f"{name} {curve[-1, 1]:.0%}", curve[-1], xytext=(0, -15), textcoords="offset points",
            color=COLOURS[name], ha="right",
        )  # fmt: skip
    left.set(
        xlabel="epochs", ylabel="letters that come back, held-out names", ylim=(0, 1.02),
        title=f"A name through {CODE} numbers and back",
    )  # fmt: skip
    right.set_axis_off()
    right.set(xlim=(0, len(between)), ylim=(7.2, -1.2), title="Between two names, through a VAE")
    for column, names in enumerate(between):
        for step, name in enumerate(names):
            is_end = step in (0, len(names) - 1)
            right.text(
                column + 0.5, step, name, ha="center", va="center", family="monospace",
                fontsize=12, weight="bold" if is_end else "normal",
                color=plot.BLACK if is_end else plot.BLUE,
            )  # fmt: skip
        right.text(
            column + 0.5, -0.9, f"{PAIRS[column][0]} to {PAIRS[column][1]}", ha="center",
            va="center", fontsize=9, color="#555555",
        )  # fmt: skip
    return figure


if __name__ == "__main__":
    main()
