"""One style for all figures, and what their scripts share."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from nanoae import datasets
from nanoae.arrays import Array
from nanoae.exceptions import TrainingDiverged

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

T = TypeVar("T")

# Okabe & Ito (2008): told apart with every kind of colour vision
BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
BLUE, VERMILION, PURPLE, GREY = "#0072B2", "#D55E00", "#CC79A7", "#777777"

SMALLEST, LARGEST = 1e-15, 1e15  # of data: their squares, and sums of these, fit into float32


def use_style() -> None:
    """Set Matplotlib's defaults to ours, and draw without a screen."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams.update(
        {
            "figure.dpi": 100,
            "savefig.dpi": 150,
            "figure.constrained_layout.use": True,
            "font.size": 10,
            "axes.titlesize": 11,
            "axes.titlelocation": "left",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "grid.color": "#e6e6e6",
            "grid.linewidth": 0.6,
            "lines.linewidth": 1.6,
            "legend.frameon": False,
        }
    )


def figure_parser(description: str, out: Path, *, data: bool = True) -> argparse.ArgumentParser:
    """The options that figure scripts share: ``--data`` (if any), ``--out``, ``--quick``."""
    parser = argparse.ArgumentParser(description=description)
    if data:
        parser.add_argument(
            "--data", type=Path, metavar="PATH",
            help="samples in rows: npy, npz, csv or IDX, gzipped or not (default: the digits)",
        )  # fmt: skip
    parser.add_argument(
        "--out", type=_figure_file, default=out, metavar="FILE",
        help="where to write (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="a rough version, in a few seconds")
    return parser


def _figure_file(text: str) -> Path:
    path = Path(text)
    if not path.suffix or path.is_dir() or not path.parent.is_dir():
        raise argparse.ArgumentTypeError(
            f"must be a file such as figure.png in a folder that exists; got {text!r}"
        )
    return path


def load_data(parser: argparse.ArgumentParser, path: Path | None, minimum: int = 2) -> Array:
    """The data of ``--data``, by default the digits; what is wrong with them ends the program."""
    if path is None:
        return datasets.load_digits().X
    try:
        X = datasets.load(path)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    if len(X) < minimum:
        parser.error(f"--data must have {minimum} samples or more; got {len(X)}")
    values = X.astype(np.float64)
    largest, spread = np.abs(values).max(), np.ptp(values, axis=0).max()
    if spread < SMALLEST or largest > LARGEST:
        parser.error(
            f"samples of --data must differ, by {SMALLEST:g} or more, and be no larger than "
            f"{LARGEST:g}; got differences up to {spread:.3g}, values up to {largest:.3g}"
        )
    return X


def directions(eigenvalues: Array) -> int:
    """In how many directions data vary by more than rounding."""
    return int(np.sum(eigenvalues > 1e-20 * eigenvalues[0]))


def check_sparsity(parser: argparse.ArgumentParser, X: Array, least: float, most: float) -> None:
    """Where data are out of all proportion to the λ from ``least`` to ``most``, say so and end."""
    longest = np.linalg.norm(X - X.mean(axis=0), axis=1).max()
    # (4.3a): no code is other than 0 unless λ is below twice the length of a sample
    if not least / 2 < longest < 1e6 * most:
        parser.error(
            f"the longest sample of --data, less their mean, must be between {least / 2:g} and "
            f"{1e6 * most:g} long, to suit λ; got {longest:.3g}: scale them"
        )


@contextmanager
def training(parser: argparse.ArgumentParser) -> Iterator[None]:
    """Where training on the data of ``--data`` comes to nothing, say so and end the program."""
    try:
        yield
    except TrainingDiverged as error:
        parser.error(f"with these data {error}")


def progress(items: Collection[T], description: str) -> Iterable[T]:
    """The items, with a bar on stderr that counts them."""
    from tqdm import tqdm

    return tqdm(items, desc=description)


def save(figure: Figure, path: Path) -> None:
    """Write a figure and close it; by a temporary name, so that a failure leaves the old file."""
    import matplotlib.pyplot as plt

    temporary = path.with_name(f".{path.stem}.tmp{path.suffix}")
    # no software version or date in the file: the same figure is the same bytes
    figure.savefig(temporary, metadata={"Software": None} if path.suffix == ".png" else None)
    temporary.replace(path)
    plt.close(figure)
    print(f"wrote {path}")


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print rows of numbers under their names.

    Parameters
    ----------
    columns : sequence of str
    rows : iterable of sequences
        Floats are shown to six digits, all else as it is.

    Examples
    --------
    >>> from nanoae.plotting import print_table
    >>> print_table(["beta", "rate"], [[1, 2 / 3], [4, 1e-9]])
            beta          rate
               1      0.666667
               4         1e-09
    """
    print("  ".join(f"{name:>12}" for name in columns))
    for row in rows:
        print("  ".join(f"{_short(value):>12}" for value in row))


def _short(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, (float, np.floating)) else str(value)


def show_images(axes: Axes, images: Array, n_columns: int, *, signed: bool = False) -> None:
    """Square images ``(n, side²)`` as a grid in one axes; ``signed`` ones around a white zero.

    Each signed image is scaled by its own largest value; the others are clipped to [0, 1].
    """
    n, side = len(images), round(images.shape[1] ** 0.5)
    n_rows = -(-n // n_columns)
    canvas = np.full((n_rows * (side + 1) - 1, n_columns * (side + 1) - 1), np.nan)
    for i, image in enumerate(images):
        row, column = divmod(i, n_columns)
        tile = image / np.abs(image).max() if signed else np.clip(image, 0, 1)
        top, left = row * (side + 1), column * (side + 1)
        canvas[top : top + side, left : left + side] = tile.reshape(side, side)
    colours = "RdBu_r" if signed else "gray_r"
    axes.imshow(canvas, cmap=colours, vmin=-1 if signed else 0, vmax=1, interpolation="nearest")
    axes.set_axis_off()
