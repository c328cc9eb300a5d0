"""Nine speakers, told apart by the codes of two vowels, though no speaker was told to the model.

python -m figures.sequence_vowels
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nanoae import Autoencoder, datasets, theory
from nanoae import plotting as plot
from nanoae.network import Recurrent, Transformer

N_STEPS, N_FEATURES, N_SPEAKERS = 29, 12, 9
CODE = 16
NETWORKS = {
    "GRU": Recurrent(N_FEATURES, width=64, n_steps=N_STEPS),
    "transformer": Transformer(N_FEATURES, width=32, n_blocks=1, n_steps=N_STEPS),
}
COLOURS = (
    plot.BLUE, plot.VERMILION, plot.GREEN, plot.ORANGE, plot.PURPLE, plot.SKY, plot.BLACK,
    plot.GREY, "#8C6D31",
)  # fmt: skip


def main(argv: list[str] | None = None) -> None:
    parser = plot.figure_parser(
        __doc__.splitlines()[0], Path(__file__).with_suffix(".png"), data=False
    )
    args = parser.parse_args(argv)
    X, labels, n = datasets.load_vowels()
    steps = np.concatenate(X[:n])
    X = [((x - steps.mean(axis=0)) / steps.std(axis=0)).astype(np.float32) for x in X]
    codes, losses = {}, {}
    for name, architecture in NETWORKS.items():
        model = Autoencoder(
            CODE, architecture=architecture, learning_rate=3e-3, batch_size=32,
            max_iter=2 if args.quick else 100, n_iter_no_change=None, random_state=0, verbose=True,
        ).fit(X[:n])  # fmt: skip
        codes[name] = model.transform(X).astype(np.float64)
        losses[name] = model.loss_, -model.score(X[n:])
    padded = np.zeros((len(X), N_STEPS * N_FEATURES))
    for row, x in zip(padded, X, strict=True):
        row[: x.size] = x.ravel()
    mean, axes, _ = theory.pca(padded[:n])
    codes["PCA, padded with 0"] = (padded - mean) @ axes[:, :CODE]
    codes["mean of the steps (12)"] = np.array([x.mean(axis=0) for x in X], dtype=np.float64)
    plot.print_table(
        ("codes", "loss", "held-out loss", "speakers told"),
        (
            (name, *losses.get(name, ("", "")), accuracy(H[:n], labels[:n], H[n:], labels[n:]))
            for name, H in codes.items()
        ),
    )
    plot.save(draw(codes["GRU"], labels, n), args.out)


def accuracy(H, labels, others, their_labels):
    """Share of the others that a linear classifier on the codes, by least squares, gets right."""
    mean, std = H.mean(axis=0), H.std(axis=0)
    A, B = (np.c_[(codes - mean) / std, np.ones(len(codes))] for codes in (H, others))
    weights = np.linalg.solve(A.T @ A + np.eye(A.shape[1]), A.T @ np.eye(N_SPEAKERS)[labels])
    return np.mean((B @ weights).argmax(axis=1) == their_labels)


def discriminants(H, labels):
    """The two directions in which speakers differ most, beside how each of them varies."""
    means = np.array([H[labels == speaker].mean(axis=0) for speaker in range(N_SPEAKERS)])
    within = np.cov((H - means[labels]).T)
    roots, U = np.linalg.eigh(within)
    whiten = U / np.sqrt(roots + 1e-9 * roots[-1])
    _, _, Vt = np.linalg.svd((means - H.mean(axis=0)) @ whiten)
    return whiten @ Vt[:2].T


def draw(H, labels, n):
    plot.use_style()
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 5.6))
    plane = (H - H[:n].mean(axis=0)) @ discriminants(H[:n], labels[:n])
    for speaker, colour in enumerate(COLOURS):
        own = labels[n:] == speaker
        x, y = plane[n:][own].T
        axes.plot(x, y, "o", color=colour, ms=4, alpha=0.7, mew=0)
        axes.annotate(
            f"{speaker + 1}", (np.median(x), np.median(y)), color="white", weight="bold",
            ha="center", va="center", fontsize=11,
            bbox={"boxstyle": "circle,pad=0.25", "fc": colour, "ec": "white", "lw": 1},
        )  # fmt: skip
    axes.set(
        xlabel="direction in which speakers differ most", ylabel="the next one",
        title=f"Codes of {len(plane) - n} held-out utterances, by speaker (numbers): a GRU's "
        f"{CODE} numbers,\nseen from where the training utterances of speakers lie farthest apart",
    )  # fmt: skip
    return figure


if __name__ == "__main__":
    main()
