"""What the annotations call an array, and how to go through one that is too large to copy."""

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

# float32 or float64, as the data are; complex for the complex-step check
Array: TypeAlias = NDArray[Any]


def blocks(X: Array, dtype: DTypeLike) -> Iterator[Array]:
    """The rows of ``X`` (n, d) in blocks of 2¹⁸ numbers, in C order and of this dtype.

    Blocks are views where ``X`` is so already; otherwise no more than one is in memory.
    """
    n_rows = max(1, 2**18 // X.shape[1])
    for start in range(0, len(X), n_rows):
        yield np.ascontiguousarray(X[start : start + n_rows], dtype)


def map_rows(function: Callable[[Array], Array], X: Array, dtype: DTypeLike) -> Array:
    """``function(X)`` for a function that treats every row alike, block by block.

    So what it computes on the way takes the memory of a block, however many rows there are.
    """
    done, result = 0, np.empty(0)
    for block in blocks(X, dtype):
        part = function(block)
        if len(part) == len(X):
            return part
        if done == 0:
            result = np.empty((len(X), *part.shape[1:]), part.dtype)
        result[done : done + len(part)] = part
        done += len(part)
    return result
