"""A curve in the plane: one hidden layer stays on PCA's line, layers either side leave it.

python -m figures.linear_curve
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np

from nanoae import Autoencoder, ConvergenceWarning, datasets, theory
from nanoae import plotting as plot
from nanoae.network import FullyConnected

RESIDUALS = 60  # of the samples, that a short line joins to their reconstruction


def main(argv: list[str] | None = None) -> None:
    parser = plot.figure_parser(
        __doc__.splitlines()[0], Path(__file__).with_suffix(".png"), data=False
    )
    parser.add_argument(
        "--data", type=Path, metavar="PATH", help="points in the plane (default: a noisy arc)"
    )
    args = parser.parse_args(argv)
    if args.data is None:
        X = datasets.make_curve(400, noise=0.05, random_state=0)
    else:
        X = plot.load_data(parser, args.data)
    if X.shape[1] != 2 or len(X) < 3:
        parser.error(f"needs 3 points in the plane or more; got {X.shape}")
    mean, U, eigenvalues = theory.pca(X)
    if plot.directions(eigenvalues) < 2:
        parser.error("needs points that are not all on one line")
    line = mean + (X - mean) @ U[:, :1] @ U[:, :1].T
    deep = Autoencoder(
        1, hidden_layer_sizes=(32,), activation="tanh", solver="lbfgs",
        max_iter=100 if args.quick else 1500, random_state=0, verbose=True,
    )  # fmt: skip
    with warnings.catch_warnings():  # a picture does not show the last digits
        warnings.simplefilter("ignore", ConvergenceWarning)
        deep.fit(X)
        shallow = train_shallow(X)

    errors = {
        "PCA": mean_squared_error(X, line),
        "shallow": mean_squared_error(X, shallow.reconstruct(X)),
        "deep": mean_squared_error(X, deep.reconstruct(X)),
    }
    plot.print_table(
        ("model", "squared error", "of PCA's"),
        ((name, error, error / errors["PCA"]) for name, error in errors.items()),
    )
    plot.save(draw(X, line, shallow, deep, errors), args.out)


def train_shallow(X):
    """One hidden layer of one tanh unit, which is the code; the best of a few starts."""
    networks = FullyConnected((), code_activation="tanh")
    rng = np.random.default_rng(0)
    models = [
        Autoencoder(
            1, architecture=networks, solver="lbfgs", max_iter=1000, tol=1e-8, random_state=rng
        ).fit(X)
        for _ in range(5)
    ]
    return min(models, key=lambda model: model.loss_)


def mean_squared_error(X, x_hat):
    return np.mean(np.sum((X - x_hat) ** 2, axis=1))


def draw(X, line, shallow, deep, errors):
    plot.use_style()
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(8.4, 4.3), sharex=True, sharey=True)
    for axes, x_hat in ((left, shallow.reconstruct(X)), (right, deep.reconstruct(X))):
        axes.plot(*X.T, ".", color=plot.SKY, markersize=3)
        for x, y in list(zip(X, x_hat, strict=True))[:RESIDUALS]:
            axes.plot(*np.array([x, y]).T, color=plot.GREY, linewidth=0.5)
        axes.set_aspect("equal")
        axes.set_xlabel("$x_1$")
    left.set_ylabel("$x_2$")
    left.set_title("One hidden layer, which is the code")
    right.set_title("Hidden layers either side of the code")

    along = line @ (line[1] - line[0])  # position on PCA's line
    left.plot(*line[[along.argmin(), along.argmax()]].T, color=plot.BLACK, linewidth=4, alpha=0.3)
    left.plot(*shallow.reconstruct(X)[along.argsort()].T, color=plot.VERMILION)
    left.text(0.02, 0.57, f"PCA\nMSE {errors['PCA']:.3g}", color="#555555",
              transform=left.transAxes)  # fmt: skip
    left.text(0.02, 0.39, f"one tanh unit\nMSE {errors['shallow']:.3g}",
              color=plot.VERMILION, transform=left.transAxes)  # fmt: skip

    codes = deep.transform(X)
    sweep = np.linspace(codes.min(), codes.max(), 400)[:, None]
    right.plot(*deep.inverse_transform(sweep).T, color=plot.VERMILION)
    ratio = errors["PCA"] / errors["deep"]
    right.text(0.02, 0.45, f"widths 2, 32, 1, 32, 2\nMSE "
               f"{errors['deep']:.3g}, {ratio:.1f} times less",
               color=plot.VERMILION, transform=right.transAxes)  # fmt: skip
    return figure


if __name__ == "__main__":
    main()
