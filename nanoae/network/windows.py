"""Where a sliding kernel stands, and what it sees there: for convolution and for pooling."""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import product

import numpy as np

from nanoae.arrays import Array
from nanoae.validation import check_integer

Index = tuple[slice, ...]


class Windows:
    """The windows of a kernel that slides over an image of any number of axes.

    Along each axis window i begins at ``i s − p`` and is k wide. What lies beyond the borders is
    0, or the image anew if it is ``circular``.

    Arrays in here are ``(channels, *size, n)``, samples last. What a tap of the kernel sees lies
    a stride apart, but each of these numbers has those of all other samples beside it: so whatever
    the stride, copies and sums run along whole rows of memory. Outside samples come first, as
    everywhere. `samples_last` and `samples_first` lead from one to the other; the second is a view
    and the first need not copy what is one already, so that layers of this kind hand arrays to
    each other as they are.

    Parameters
    ----------
    size : tuple of int
        Of the image, one number an axis.
    kernel : int
        k, the same along every axis.
    stride : int, default 1
        s, likewise.
    padding : int or "same", default 0
        p: the first window begins so far before the border, and the last may end so far behind it.
        "same" is as much as lets ``⌈N/s⌉`` windows see all N numbers, the larger half before.
    circular : bool, default False

    Attributes
    ----------
    counts : tuple of int
        Number of windows along each axis (10.1a).
    n_taps : int
        Numbers in a window.

    Raises
    ------
    ValueError, TypeError
        One of these is impossible, or there is no room for a window.

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae.network.windows import Windows
    >>> windows = Windows((5,), kernel=3, stride=2, padding=1)
    >>> columns = windows.unfold(np.arange(1.0, 6.0).reshape(1, 5, 1))
    >>> columns.T.tolist()  # 0 1 2 3 4 5 0, three at a time
    [[0.0, 1.0, 2.0], [2.0, 3.0, 4.0], [4.0, 5.0, 0.0]]
    >>> windows.fold(columns, np.zeros((1, 5, 1)))[0, :, 0].tolist()  # 2 and 4 were seen twice
    [1.0, 4.0, 3.0, 8.0, 5.0]
    """

    def __init__(
        self, size: tuple[int, ...], kernel: int, *, stride: int = 1, padding: int | str = 0,
        circular: bool = False,
    ) -> None:  # fmt: skip
        check_integer("kernel", kernel, 1)
        check_integer("stride", stride, 1)
        if padding != "same":
            check_integer("padding", padding, 0)
        self.size, self.kernel, self.stride = size, kernel, stride
        self.n_taps = kernel ** len(size)
        before, counts = zip(*(_fit(n, kernel, stride, padding) for n in size), strict=True)
        self.counts: tuple[int, ...] = counts
        along = [
            [_seen(n, count, stride, tap - start, circular) for tap in range(kernel)]
            for n, count, start in zip(size, counts, before, strict=True)
        ]
        # of each tap: places among the windows, and the pixels that they see there
        self._pairs: dict[tuple[int, ...], list[tuple[Index, Index]]] = {
            tap: [
                (_index(part[0] for part in parts), _index(part[1] for part in parts))
                for parts in product(*(axis[t] for axis, t in zip(along, tap, strict=True)))
            ]
            for tap in product(range(kernel), repeat=len(size))
        }

    def unfold(self, x: Array) -> Array:
        """Columns ``(c · taps, places · n)`` of what windows see of images ``(c, *size, n)``."""
        columns = np.zeros((len(x), self.n_taps, *self.counts, x.shape[-1]), x.dtype)
        for tap, pairs in enumerate(self._pairs.values()):
            for places, pixels in pairs:
                columns[:, tap][places] = x[pixels]
        return columns.reshape(len(x) * self.n_taps, -1)

    def fold(self, columns: Array, x: Array) -> Array:
        """The adjoint of `unfold`: all goes back to where it was seen, and is added to ``x``."""
        columns = columns.reshape(len(x), self.n_taps, *self.counts, -1)
        for tap, pairs in enumerate(self._pairs.values()):
            for places, pixels in pairs:
                x[pixels] += columns[:, tap][places]
        return x


def _fit(n: int, kernel: int, stride: int, padding: int | str) -> tuple[int, int]:
    """Along one axis: how far before the border the first window begins, and their number."""
    if isinstance(padding, str):
        count = -(-n // stride)
        beyond = max(0, (count - 1) * stride + kernel - n)
        return beyond - beyond // 2, count
    count = (n + 2 * padding - kernel) // stride + 1
    if count < 1:
        raise ValueError(
            f"kernel must be at most {n + 2 * padding}, the image's size with its padding; got "
            f"{kernel}."
        )
    return padding, count


def _seen(
    n: int, count: int, stride: int, shift: int, circular: bool
) -> list[tuple[slice, slice]]:
    """Along one axis: which windows i see the image at ``i s + shift``, and where; one pair for
    each turn around it, which is one at most if it is not circular."""
    last = (count - 1) * stride + shift
    pairs = []
    for turn in range(shift // n, last // n + 1) if circular else (0,):
        begin, end = (max(0, math.ceil((t * n - shift) / stride)) for t in (turn, turn + 1))
        end = min(end, count)
        if begin < end:
            first = begin * stride + shift - turn * n
            pixels = slice(first, first + (end - begin - 1) * stride + 1, stride)
            pairs.append((slice(begin, end), pixels))
    return pairs


def _index(slices: Iterable[slice]) -> Index:
    return (slice(None), *slices)


def samples_last(x: Array, shape: tuple[int, ...]) -> Array:
    """Rows of this shape, ``(…, *shape)``, as ``(*shape, n)``, in C order.

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae.network.windows import samples_last
    >>> samples_last(np.array([[1, 2, 3], [4, 5, 6]]), (3,)).tolist()
    [[1, 4], [2, 5], [3, 6]]
    """
    return np.ascontiguousarray(np.moveaxis(x.reshape(-1, *shape), 0, -1))


def samples_first(y: Array, shape: tuple[int, ...], rows: tuple[int, ...]) -> Array:
    """All of ``(*shape, n)`` as ``(*rows, *shape)``: a view, whose memory is as it was.

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae.network.windows import samples_first
    >>> samples_first(np.array([[1, 4], [2, 5], [3, 6]]), (3,), (2,)).tolist()
    [[1, 2, 3], [4, 5, 6]]
    """
    return np.moveaxis(y.reshape(*shape, -1), -1, 0).reshape(*rows, *shape)
