"""What is a digit made of? Atoms of a dense, a sparse and an exact sparse code.

python -m figures.sparse_atoms
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nanoae import LinearAutoencoder, SparseAutoencoder, SparseCoding
from nanoae import plotting as plot

N_ATOMS = 64
SPARSITY = 0.3
PARTS = 9  # atoms of a sum that are shown one by one


def main(argv: list[str] | None = None) -> None:
    parser = plot.figure_parser(__doc__.splitlines()[0], Path(__file__).with_suffix(".png"))
    args = parser.parse_args(argv)
    X = plot.load_data(parser, args.data, minimum=9)
    if round(X.shape[1] ** 0.5) ** 2 != X.shape[1]:
        parser.error(f"images must be square; got {X.shape[1]} features")
    n_atoms, epochs = N_ATOMS, 300
    if args.quick:
        n_atoms, epochs, X = 16, 20, X[:300]
    plot.check_sparsity(parser, X, SPARSITY, SPARSITY)
    # as many units as the data have dimensions is all that PCA can use
    dense = LinearAutoencoder(min(n_atoms, *X.shape), tol=1e-6, random_state=0)
    sparse = SparseAutoencoder(
        n_atoms, sparsity=SPARSITY, n_steps=3, max_iter=epochs, random_state=0
    )
    coding = SparseCoding(n_atoms, sparsity=SPARSITY, max_iter=epochs // 5, random_state=0)
    rows = []
    for model in plot.progress((dense, sparse, coding), "models"):
        h = model.fit(X).transform(X)
        rows.append((type(model).__name__, np.mean(h != 0) * h.shape[1], -model.score(X)))
    plot.print_table(("model", "active atoms", "sq. error"), rows)
    plot.save(draw(X, dense, sparse, coding, [active for _, active, _ in rows]), args.out)


def draw(X, dense, sparse, coding, active):
    plot.use_style()
    import matplotlib.pyplot as plt

    figure = plt.figure(figsize=(10, 7))
    figure.get_layout_engine().set(wspace=0.06, hspace=0.04)
    upper, lower = figure.subfigures(2, 1, height_ratios=(3.8, 3))
    panels = (
        ("Linear, no penalty", dense, dense.decoder_weight_.T),
        ("Sparse autoencoder", sparse, sparse.components_),
        ("Sparse coding", coding, coding.components_),
    )
    for ax, (name, model, atoms), n in zip(upper.subplots(1, 3), panels, active, strict=True):
        use = np.abs(model.transform(X)).mean(axis=0)
        plot.show_images(ax, atoms[np.argsort(-use)], round(len(atoms) ** 0.5), signed=True)
        ax.set_title(f"{name}:\n{n:.3g} of {len(atoms)} atoms an image (mean)")

    # three images, each as the mean and the largest terms of its sum
    examples = X[[3, 6, 8]]
    codes = coding.transform(examples)
    side = round(X.shape[1] ** 0.5)
    widths = [n * (side + 1) - 1 for n in (2, PARTS)]  # in pixels, one tile beside the next
    axes = lower.subplots(1, 2, width_ratios=widths)
    given = np.stack([examples, coding.inverse_transform(codes)], axis=1)
    plot.show_images(axes[0], given.reshape(-1, X.shape[1]), 2)
    largest = np.argsort(-np.abs(codes), axis=1)[:, :PARTS]
    h = np.take_along_axis(codes, largest, axis=1)
    parts = h[:, :, None] * coding.components_[largest]
    # on one scale within an image, and so not through show_images, which scales each tile
    scale = np.abs(parts).max(axis=(1, 2), keepdims=True)
    tiles = parts / np.where(scale > 0, scale, 1)
    canvas = np.full((3 * (side + 1) - 1, widths[1]), np.nan)
    for row, column in np.ndindex(3, PARTS):
        top, left = row * (side + 1), column * (side + 1)
        canvas[top : top + side, left : left + side] = tiles[row, column].reshape(side, side)
    axes[1].imshow(canvas, cmap="RdBu_r", vmin=-1, vmax=1, interpolation="nearest")
    axes[1].set_axis_off()
    axes[0].set_anchor("E")
    axes[1].set_anchor("W")
    axes[0].set_title("image, x̂")
    axes[1].set_title(f"x̂ = mean + h₁ d₁ + h₂ d₂ + …  by sparse coding: the {PARTS} largest terms")
    return figure


if __name__ == "__main__":
    main()
