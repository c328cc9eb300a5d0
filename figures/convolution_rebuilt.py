"""Unseen images, rebuilt by PCA, by a dense and by a convolutional autoencoder of equal size.

python -m figures.convolution_rebuilt
"""

from __future__ import annotations

import math
import time
import warnings
from pathlib import Path

import numpy as np

from nanoae import Autoencoder, ConvergenceWarning, Convolutional, datasets, theory
from nanoae import plotting as plot

CHANNELS, MOST, SHOWN = (8, 16), 2000, 12
COLOURS = {"as they are": plot.BLACK, "PCA": plot.GREY, "dense": plot.BLUE,
           "convolutional": plot.VERMILION}  # fmt: skip


def main(argv: list[str] | None = None) -> None:
    parser = plot.figure_parser(
        __doc__.splitlines()[0], Path(__file__).with_suffix(".png"), data=False
    )
    parser.add_argument(
        "--data", type=Path, metavar="PATH",
        help="square images in rows, such as MNIST (default: sprites, and the digits)",
    )  # fmt: skip
    parser.add_argument("--code", type=int, metavar="K", help="width of the code (default: 5, 8)")
    args = parser.parse_args(argv)
    if args.code is not None and args.code < 1:
        parser.error(f"--code must be 1 or more; got {args.code}")
    if args.data is None:
        n = 300 if args.quick else 2000
        sets = {
            "sprites": (datasets.make_sprites(n, random_state=0).X, args.code or 5),
            "digits": (datasets.load_digits().X[:n], args.code or 8),
        }
    else:
        sets = {args.data.name: (plot.load_data(parser, args.data, minimum=4), args.code or 20)}
    for X, _ in sets.values():
        if round(X.shape[1] ** 0.5) ** 2 != X.shape[1] or X.shape[1] < 4:
            parser.error(f"needs square images of 2 by 2 or more; got {X.shape[1]} features")
    epochs = 2 if args.quick else 40
    results = {}
    with plot.training(parser):
        for name, (X, k) in sets.items():
            results[name] = k, compare(X, min(k, X.shape[1]), epochs)
    plot.print_table(
        ("data", "code", "model", "parameters", "train error", "unseen error", "seconds"),
        (
            (name[:12], k, model, *numbers)
            for name, (k, found) in results.items()
            for model, (numbers, _) in found.items()
        ),
    )
    plot.save(draw(results), args.out)


def compare(X, k, epochs):
    """For each model its numbers and what it makes of the first unseen images."""
    X = np.random.default_rng(0).permutation(X)
    X = X - X.mean()  # of all pixels: what is not background is rare
    scale = X.std() or 1.0
    X = (X / scale).astype(np.float32)
    half = min(len(X) // 2, MOST)
    train, unseen = X[:half], X[half : 2 * half]
    side = round(X.shape[1] ** 0.5)
    found = {"as they are": ((0, 0.0, 0.0, 0.0), unseen[:SHOWN] * scale)}

    def enter(name, n_parameters, reconstruct, seconds):
        errors = [
            float(np.mean(np.sum((A - reconstruct(A)) ** 2, axis=1))) * scale**2
            for A in (train, unseen)
        ]
        images = reconstruct(unseen[:SHOWN]) * scale
        found[name] = (n_parameters, *errors, seconds), images

    start = time.perf_counter()
    mean, components, _ = theory.pca(train)
    U = components[:, :k]
    enter(
        "PCA", (k + 1) * X.shape[1], lambda A: mean + (A - mean) @ U @ U.T,
        time.perf_counter() - start,
    )  # fmt: skip
    convolutional = networks(side)
    n_parameters = size_of(Autoencoder(k, architecture=convolutional), train)
    # 2 d w + w (2 k + 1) + d + k and a few: as many parameters
    width = max(1, round(n_parameters / (2 * X.shape[1] + 2 * k)))
    models = {
        "dense": Autoencoder(k, hidden_layer_sizes=(width,)),
        "convolutional": Autoencoder(k, architecture=convolutional),
    }
    for name, model in models.items():
        model.set_params(
            batch_size=32, learning_rate=3e-3, max_iter=epochs, n_iter_no_change=None,
            random_state=0,
        )  # fmt: skip
        start = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # a set time, not to the end
            model.fit(train)
        enter(name, len(model.parameters_), model.reconstruct, time.perf_counter() - start)
    return found


def networks(side):
    return Convolutional((side, side), CHANNELS if side > 3 else CHANNELS[:1])


def size_of(model, X):
    model.initialise(X)
    return len(model.parameters_)


def draw(results):
    plot.use_style()
    import matplotlib.pyplot as plt

    figure, all_axes = plt.subplots(
        len(results), 1, figsize=(10, 3.4 * len(results)), squeeze=False
    )
    for axes, (name, (k, found)) in zip(all_axes[:, 0], results.items(), strict=True):
        images = np.concatenate([images for _, images in found.values()])
        lowest, highest = images[: len(images) // 4].min(), images[: len(images) // 4].max()
        n_columns = len(images) // len(found)
        plot.show_images(axes, (images - lowest) / ((highest - lowest) or 1), n_columns)
        side = math.isqrt(images.shape[1]) + 1
        for row, (model, ((n_parameters, _, error, _), _)) in enumerate(found.items()):
            words = model
            if n_parameters:
                words += f"\n{n_parameters:,} parameters\nerror {error:.3g}"
            axes.text(
                -0.3 * side, (row + 0.45) * side, words, color=COLOURS[model], ha="right",
                va="center", fontsize=9,
            )  # fmt: skip
        axes.set_title(f"{name}: unseen, a code of {k} numbers")
    return figure


if __name__ == "__main__":
    main()
