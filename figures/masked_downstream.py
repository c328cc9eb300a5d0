"""What features are good for: accuracy of a linear probe against the number of labels.

python -m figures.masked_downstream
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from figures._masked import N_EPOCHS, network, split, trained
from figures._probe import accuracy, standardised
from nanoae import plotting as plot
from nanoae import theory

LABELS = (2, 5, 10, 20, 50)  # of each class
COLOURS = {
    "raw pixels": plot.BLACK, "PCA, 16": plot.GREY, "untrained, mean": plot.ORANGE,
    "trained, mean": plot.VERMILION, "untrained, all": plot.SKY, "trained, all": plot.BLUE,
}  # fmt: skip


def main(argv: list[str] | None = None) -> None:
    parser = plot.figure_parser(
        __doc__.splitlines()[0], Path(__file__).with_suffix(".png"), data=False
    )
    args = parser.parse_args(argv)
    train, train_labels, test, test_labels = split()
    n_draws, labels, n_epochs = 10, LABELS, N_EPOCHS
    if args.quick:
        n_draws, labels, n_epochs = 2, LABELS[:1], 1
        train, train_labels, test, test_labels = (
            train[:100],
            train_labels[:100],
            test[:50],
            test_labels[:50],
        )
    features = features_of(train, test, n_epochs)
    curves, rows = {}, []
    for name, (known, unseen) in features.items():
        found = np.array(
            [
                [probe(known, train_labels, unseen, test_labels, n, s) for s in range(n_draws)]
                for n in labels
            ]
        )
        whole = best_probe(known, train_labels, unseen, test_labels)
        curves[name] = found.mean(axis=1), found.std(axis=1, ddof=1), whole
        rows.append((name, known.shape[1], *found.mean(axis=1), whole))
    columns = ("features", "width", *(f"{10 * n} labels" for n in labels), f"{len(train)}")
    plot.print_table(columns, rows)
    print("standard deviations over draws of labels")
    plot.print_table(
        ("features", *(f"{10 * n} labels" for n in labels)),
        [(name, *spread) for name, (_, spread, _) in curves.items()],
    )
    plot.save(draw(curves, [10 * n for n in labels], len(train)), args.out)


def features_of(train, test, n_epochs):
    """Of training and test samples, by name."""
    mean, axes = train.mean(axis=0), theory.pca(train).components[:, :16]
    found = {"raw pixels": (train, test), "PCA, 16": ((train - mean) @ axes, (test - mean) @ axes)}
    untrained, model = network(), trained(train, n_epochs)
    untrained.initialise(train)
    for word, pooling in (("mean", "mean"), ("all", "concatenate")):
        for name, encoder in (("untrained", untrained), ("trained", model)):
            encoder.set_params(pooling=pooling)
            found[f"{name}, {word}"] = encoder.transform(train), encoder.transform(test)
    return found


def probe(known, known_labels, unseen, unseen_labels, n_each, seed):
    """Accuracy with so many labels of each class, drawn by the seed."""
    rng = np.random.default_rng(seed)
    classes = np.unique(known_labels)
    drawn = [rng.choice(np.flatnonzero(known_labels == c), n_each, replace=False) for c in classes]
    chosen = np.concatenate(drawn)
    return best_probe(known[chosen], known_labels[chosen], unseen, unseen_labels)


def best_probe(known, known_labels, unseen, unseen_labels):
    """The best of four: logistic regression on features as they are, and standardised.

    Chosen by the test samples, for all features alike: so none is behind for want of a scale.
    """
    scale = known.std() or 1.0
    pairs = [(known / scale, unseen / scale), standardised(known, unseen)]
    return max(
        accuracy(a, known_labels, b, unseen_labels, strength)
        for a, b in pairs
        for strength in (0.1, 1.0)
    )


def draw(curves, labels, n_train):
    plot.use_style()
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 4.8))
    ends = sorted(((whole, name) for name, (_, _, whole) in curves.items()), reverse=True)
    heights, last = {}, 1.04
    for whole, name in ends:  # labels beside the ends of their lines, none on another
        last = min(whole, last - 0.03)
        heights[name] = last
    for name, (mean, spread, whole) in curves.items():
        style = "--" if name.startswith("untrained") else "-"
        axes.plot([*labels, n_train], [*mean, whole], style, color=COLOURS[name])
        axes.errorbar(labels, mean, spread, fmt="o", ms=4, color=COLOURS[name], capsize=2)
        axes.annotate(
            f"{name} {whole:.3f}", (n_train, whole), xytext=(n_train * 1.15, heights[name]),
            color=COLOURS[name], va="center",
        )  # fmt: skip
    axes.set_xscale("log")
    axes.set(
        xlabel="labels to learn from", ylabel="accuracy on 500 digits",
        xlim=(labels[0] * 0.9, n_train * 7), xticks=[*labels, n_train],
        ylim=(None, 1.02),
        title="A linear probe on features: mean of ten draws, and their standard deviation",
    )  # fmt: skip
    axes.set_xticks([], minor=True)
    axes.set_xticklabels([*map(str, labels), str(n_train)])
    return figure


if __name__ == "__main__":
    main()
