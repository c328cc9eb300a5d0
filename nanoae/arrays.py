"""What the annotations call an array, and how to go through one that is too large to copy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

# float32 or float64, as the data are; complex for the complex-step check
Array: TypeAlias = NDArray[Any]


def zeros(n: int, dtype: DTypeLike) -> Array:
    """Zeros ``(n,)`` that begin where a line of the processor's cache does.

    What it takes at once, 64 bytes at most, then never lies in two lines: NumPy's own large arrays
    begin 16 bytes after a line, and sums of them take a quarter longer.
    """
    n_bytes = n * np.dtype(dtype).itemsize
    memory = np.zeros(n_bytes + 64, np.uint8)
    start = -memory.ctypes.data % 64
    return memory[start : start + n_bytes].view(dtype)


def blocks(X: Array, dtype: DTypeLike, *, width: int = 1) -> Iterator[Array]:
    """The rows of ``X`` (n, d) in blocks of 2¹⁸ numbers, in C order and of this dtype.

    Blocks are views where ``X`` is so already; otherwise no more than one is in memory. Where a
    row grows to ``width`` numbers on its way, blocks are so much smaller.
    """
    n_rows = max(1, 2**18 // max(X.shape[1], width))
    for start in range(0, len(X), n_rows):
        yield np.ascontiguousarray(X[start : start + n_rows], dtype)


def map_rows(
    function: Callable[[Array], Array], X: Array, dtype: DTypeLike, *, width: int = 1
) -> Array:
    """``function(X)`` for a function that treats every row alike, block by block.

    So what it computes on the way takes the memory of a block, however many rows there are.
    """
    done, result = 0, np.empty(0)
    for block in blocks(X, dtype, width=width):
        part = function(block)
        if len(part) == len(X):
            return part
        if done == 0:
            result = np.empty((len(X), *part.shape[1:]), part.dtype)
        result[done : done + len(part)] = part
        done += len(part)
    return result


def standard_normal(rng: np.random.Generator, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
    """One draw of N(0, 1) of this shape: in float32 if that is the dtype, otherwise in float64."""
    return rng.standard_normal(shape, dtype=np.float32 if dtype == np.float32 else np.float64)


def weighted(rows: Array, weights: Array | None) -> Array:
    """Each of the rows (n, d) times its weight (n,); without weights the rows themselves."""
    return rows if weights is None else rows * weights[:, None]


def rows_times(x: Array, W: Array) -> Array:
    """``x @ W`` for x (…, n_in) and one W (n_in, n_out), as a single product.

    Of a stack of matrices NumPy makes a product each, of few rows: two or three times as slow.
    """
    rows = x.reshape(-1, x.shape[-1]) @ W
    return rows.reshape(*x.shape[:-1], W.shape[1])


@dataclass
class Moments:
    """Number, mean and scatter of all rows that have gone by, in float64 whatever they are.

    A row of weight w counts as w rows: everything but ``n`` is what it would be of so many.

    The factor F is that of a QR decomposition of the centred rows: ``FᵀF = Σ_i (x_i − mean)
    (x_i − mean)ᵀ``. Of rows gone by it replaces all that a squared error of linear maps sees
    (2.6), with no loss of digits as by their products.

    Attributes
    ----------
    n : int
    weight : float
        The sum of all weights; without any, n.
    mean : ndarray of shape (d,)
    scatter : float
        ``Σ_i w_i ‖x_i − mean‖²``.
    factor : ndarray of shape (at most d, d), or None
    """

    n: int
    weight: float
    mean: Array
    scatter: float
    factor: Array | None

    @classmethod
    def of_nothing(cls, n_features: int, *, with_factor: bool = False) -> Moments:
        """Those of no rows at all."""
        factor = np.empty((0, n_features)) if with_factor else None
        return cls(0, 0.0, np.zeros(n_features), 0.0, factor)

    def add(self, X: Array, weights: Array | None = None) -> None:
        """Take in the rows of ``X`` (m, d), block by block, as often as their weights (m,) say."""
        done, work = 0, np.empty((0, 0))  # for all blocks: fresh memory costs as much as the sums
        for block in blocks(X, np.float64):
            w = None if weights is None else weights[done : done + len(block)]
            m = float(len(block) if w is None else w.sum())
            block_mean = np.average(block, axis=0, weights=w)
            # that two parts have different means takes one more row
            between = np.sqrt(m * (self.weight / (self.weight + m))) * (block_mean - self.mean)
            n_old = 0 if self.factor is None else len(self.factor)
            end = n_old + len(block)
            if len(work) <= end:
                work = np.empty((end + 1, len(self.mean)))
            centred = np.subtract(block, block_mean, out=work[n_old:end])
            if (
                w is not None
            ):  # a squared error sees a row w times as it sees the row times √w once
                centred *= np.sqrt(w)[:, None]
            self.scatter += float(np.vdot(centred, centred) + between @ between)
            if self.factor is not None:
                work[:n_old], work[end] = self.factor, between
                self.factor = triangular_factor(work[: end + 1] if self.n else work[:end])
            self.n += len(block)
            self.weight += m
            self.mean = self.mean + (block_mean - self.mean) * (m / self.weight)
            done += len(block)

    @property
    def variance(self) -> float:
        """Of all features together: the trace of their covariance."""
        return self.scatter / self.weight

    @property
    def unit(self) -> float:
        """The power of two next to the standard deviation of a feature, on average over all.

        A model whose loss scales with the data is trained in this unit, so that volts and
        microvolts come to the same. Scaling by a power of two rounds nothing.
        """
        variance = self.variance / len(self.mean)
        return float(2 ** np.round(np.log2(variance) / 2)) if variance > 0 else 1.0

    @property
    def few_rows(self) -> Array:
        """At most d rows with the mean 0 and the same ``XᵀX/n`` as all n of them, centred (2.6).

        With weights, n is their sum. Scaling the factor by ``√(rows/n)`` turns the equality of
        sums into one of means.
        """
        assert self.factor is not None
        return self.factor * np.sqrt(len(self.factor) / self.weight)


def triangular_factor(rows: Array) -> Array:
    """R with ``RᵀR = rowsᵀ rows``: that of a QR decomposition, up to the signs of its rows.

    The products alone know it to a rounding times the square of the condition number. Where that
    is small enough, which their eigenvalues tell, Cholesky's decomposition of them is much faster.
    """
    products = rows.T @ rows
    if np.isfinite(products).all():
        eigenvalues = np.linalg.eigvalsh(products)
        if np.finfo(rows.dtype).eps * eigenvalues[-1] < 1e-11 * eigenvalues[0]:
            return np.linalg.cholesky(products).T
    return np.asarray(np.linalg.qr(rows, mode="r"))
