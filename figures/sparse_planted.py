"""A planted dictionary, found again by models with a sparse code and by no others.

python -m figures.sparse_planted
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from nanoae import Autoencoder, SparseAutoencoder, SparseCoding, datasets
from nanoae import plotting as plot
from nanoae.theory import pca

SPARSITY = 0.3
RECOVERED = 0.98  # cosine from which an atom counts as found
RINGS = {"sparse coding": 9, "encoder, 3 steps": 5.5}  # around what would hide them
TOP, STEP = 1.16, 0.055  # of the picture of cosines, and between its labels


def main(argv: list[str] | None = None) -> None:
    parser = plot.figure_parser(
        __doc__.splitlines()[0], Path(__file__).with_suffix(".png"), data=False
    )
    args = parser.parse_args(argv)
    n, d, k, n_active, epochs = 5000, 20, 40, 3, 200
    if args.quick:
        n, d, k, n_active, epochs = 1000, 8, 12, 2, 20
    truth = datasets.make_sparse_codes(n, d, k, n_active=n_active, noise=0.01, random_state=0)
    X, dictionary = truth.X, truth.dictionary

    sparse = {"sparsity": SPARSITY, "random_state": 0}
    models = {
        "sparse coding": SparseCoding(k, **sparse),
        "encoder, 3 steps": SparseAutoencoder(k, n_steps=3, max_iter=epochs, **sparse),
        "encoder, 1 step": SparseAutoencoder(k, max_iter=epochs, **sparse),
        "no penalty": Autoencoder(k, hidden_layer_sizes=(), max_iter=epochs // 4, random_state=0),
    }
    found, rows = {}, []
    for name, model in plot.progress(models.items(), "models"):
        start = time.process_time()
        model.fit(X)
        seconds = time.process_time() - start
        atoms = getattr(model, "components_", None)
        if atoms is None:
            atoms = model.decoder_.layers[0].weight
            atoms = atoms / np.linalg.norm(atoms, axis=1, keepdims=True)
        found[name] = atoms @ dictionary
        best = np.abs(found[name]).max(axis=0)
        rows.append((name, np.mean(best >= RECOVERED), np.median(best), f"{seconds:.1f}"))
    found["principal axes"] = pca(X).components.T @ dictionary
    best = np.abs(found["principal axes"]).max(axis=0)
    rows.append(("principal axes", np.mean(best >= RECOVERED), np.median(best), "-"))
    plot.print_table(("model", "recovered", "median |cos|", "CPU seconds"), rows)
    codes = models["sparse coding"].transform(X)
    plot.save(draw(found, truth, codes), args.out)


def draw(found, truth, codes):
    plot.use_style()
    import matplotlib.pyplot as plt
    from scipy.optimize import linear_sum_assignment

    figure = plt.figure(figsize=(9, 7.6))
    figure.get_layout_engine().set(w_pad=0.12)
    upper, lower = figure.subfigures(2, 1, height_ratios=(1, 1.05))
    middle, (left, right) = upper.subplots(), lower.subplots(1, 2)
    cosines = found["sparse coding"]
    planted, learned = linear_sum_assignment(-np.abs(cosines.T))  # learned[j] stands for atom j
    cosines = cosines[learned]
    image = left.imshow(np.abs(cosines), cmap="gray_r", vmin=0, vmax=1)
    left.grid(False)
    left.set(
        xlabel="planted atom", ylabel="learned atom, matched",
        title="Sparse coding: |cosine| between atoms",
    )  # fmt: skip
    lower.colorbar(image, ax=left, shrink=0.8)

    colours = (plot.BLACK, plot.BLUE, plot.VERMILION, plot.ORANGE, plot.GREY)
    k = truth.dictionary.shape[1]
    middle.plot((0, k + 0.7), (RECOVERED, RECOVERED), color=plot.GREEN, lw=1)
    middle.text(
        1, RECOVERED - 0.015, f"{RECOVERED} and more: recovered", color=plot.GREEN, va="top"
    )
    height = TOP
    curves = {name: np.sort(np.abs(c).max(axis=0))[::-1] for name, c in found.items()}
    ranked = sorted(zip(curves, colours, strict=True), key=lambda item: -curves[item[0]][-1])
    for name, colour in ranked:
        middle.plot(
            np.arange(1, k + 1), curves[name], "o", color=colour, ms=RINGS.get(name, 2.5),
            mfc="none" if name in RINGS else colour,
        )  # fmt: skip
        # labels do not overlap, and those of models that find atoms stand above the line
        n_found = np.sum(curves[name] >= RECOVERED)
        height = height - STEP if n_found else min(curves[name][-1], height - STEP)
        middle.text(k + 1.5, height, f"{name}: {n_found} of {k}", color=colour, va="center")
    middle.set(
        xlim=(0, 1.42 * k), ylim=(0.33, TOP), xlabel="planted atoms, best found first",
        ylabel="|cosine| to the nearest learned atom", title="Which models find the planted atoms",
    )  # fmt: skip
    middle.set_yticks(np.arange(4, 11) / 10)
    middle.set_xticks(np.linspace(0, k, 5).astype(int))

    h = codes[:, learned] * np.sign(cosines[planted, planted])
    right.plot(truth.codes[:400].ravel(), h[:400].ravel(), ".", color=plot.BLACK, ms=2, alpha=0.5)
    span = np.array([-1.6, 1.6])
    right.plot(span, span, color=plot.GREY, lw=0.8)
    right.annotate(
        "equal", (1.35, 1.35), xytext=(0, 8), textcoords="offset points", color=plot.GREY,
        ha="right",
    )  # fmt: skip
    right.set(
        xlabel="planted code", ylabel="code found",
        title="Sparse coding: codes, drawn towards 0",
    )  # fmt: skip
    return figure


if __name__ == "__main__":
    main()
