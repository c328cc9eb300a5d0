"""A linear autoencoder finds the principal subspace; with weight decay, the axes themselves.

python -m figures.linear_axes
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nanoae import LinearAutoencoder, theory
from nanoae import plotting as plot

N_COMPONENTS = 8


def main(argv: list[str] | None = None) -> None:
    parser = plot.figure_parser(__doc__.splitlines()[0], Path(__file__).with_suffix(".png"))
    args = parser.parse_args(argv)
    X = plot.load_data(parser, args.data)
    d = X.shape[1]
    if round(d**0.5) ** 2 != d or d <= N_COMPONENTS or len(X) <= N_COMPONENTS + 1:
        parser.error(f"needs square images, at least 3 by 3, and 10 of them; got {X.shape}")
    if args.quick:
        X = X[:300]
    _, U, eigenvalues = theory.pca(X)
    if plot.directions(eigenvalues) < N_COMPONENTS:
        parser.error(
            f"needs images that vary in {N_COMPONENTS} directions or more; "
            f"these vary in {plot.directions(eigenvalues)}"
        )
    U = U[:, :N_COMPONENTS]
    weight_decay = eigenvalues[N_COMPONENTS - 1] / 2

    plain = LinearAutoencoder(N_COMPONENTS, random_state=0).fit(X).decoder_weight_
    decayed = LinearAutoencoder(N_COMPONENTS, weight_decay=weight_decay, random_state=0).fit(X)
    rows = {
        "principal axes": U,
        "no weight decay: columns of $W_d$": plain / np.linalg.norm(plain, axis=0),
        "no weight decay: left singular vectors of $W_d$": left_singular_vectors(plain),
        "weight decay: left singular vectors of $W_d$": left_singular_vectors(
            decayed.decoder_weight_
        ),
    }
    angles = {
        name: (
            theory.largest_principal_angle(U, axes),
            max(theory.largest_principal_angle(u[:, None], a[:, None])
                for u, a in zip(U.T, axes.T, strict=True)),
        )
        for name, axes in rows.items()
    }  # fmt: skip
    plot.print_table(
        ("subspace, rad", "worst axis, rad", "of"),
        ((*both, name) for name, both in angles.items()),
    )
    plot.save(draw(rows, angles), args.out)


def left_singular_vectors(W_d):
    return np.linalg.svd(W_d, full_matrices=False)[0]


def draw(rows, angles):
    plot.use_style()
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(
        len(rows), 2, figsize=(8, 5.6), width_ratios=(N_COMPONENTS + 1, 1.3)
    )
    U = rows["principal axes"]
    for (images, panel), (name, columns) in zip(axes, rows.items(), strict=True):
        cosines = U.T @ columns
        signs = np.sign(np.diag(cosines))  # a singular vector's sign is arbitrary
        plot.show_images(images, (columns * signs).T, N_COMPONENTS, signed=True)
        images.set_title(name)
        if columns is not U:
            subspace, axis = angles[name]
            distance = f"off by: subspace {subspace:.1e}, worst axis {axis:.2g} rad"
            images.set_title(distance, loc="right", color=plot.GREY, fontsize=9)
        panel.imshow(np.abs(cosines), cmap="gray_r", vmin=0, vmax=1)
        panel.set(xticks=[], yticks=[])
        for spine in panel.spines.values():
            spine.set_visible(True)
    axes[0, 1].set_title("|cosines|\nwith the axes", fontsize=9)
    return figure


if __name__ == "__main__":
    main()
