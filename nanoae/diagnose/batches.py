"""What is handed in, as batches of float64 arrays; or one sentence about what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import Any, TypeAlias

import numpy as np

from nanoae.arrays import Array

CODES = ("mu", "log_var", "z", "eps", "grad_z", "grad_mu", "grad_log_var")
DATA = ("x", "x_hat")
NUMBERS = ("kl", "reconstruction", "loss")
KEYS = CODES + DATA + NUMBERS

Batch: TypeAlias = dict[str, Array]
# a sum of many float32 numbers is off by some 1e-6 at most, if it is not one long chain; in
# float64 what tells is rather a 1e-10 that somebody has added inside a logarithm
TOLERANCE = {np.dtype(np.float16): 4e-3, np.dtype(np.float32): 4e-6, np.dtype(np.float64): 1e-9}
LARGEST = np.finfo(np.float32).max


def read_batches(batches: Any, arrays: Mapping[str, Any]) -> tuple[list[Batch], np.dtype[Any]]:
    """Batches of float64 arrays, codes and data in rows, and the coarsest dtype among them.

    Parameters
    ----------
    batches : iterable of mappings, or None
    arrays : mapping
        One batch, if ``batches`` is None.

    Returns
    -------
    batches : list of dict
        Codes (n, k) and data (n, d), numbers one-dimensional.
    dtype : dtype
        float64 arrays that hold nothing but float32 numbers count as float32.

    Raises
    ------
    ValueError, TypeError
        One sentence: what is wrong, and what to do.

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae.diagnose.batches import read_batches
    >>> [batch], dtype = read_batches(None, {"x": np.ones((2, 1, 3, 3)), "loss": 0.5})
    >>> batch["x"].shape, batch["loss"].shape, str(dtype)
    ((2, 9), (1,), 'float64')
    """
    given = {key: value for key, value in arrays.items() if value is not None}
    if batches is None:
        batches = [given]
    elif given:
        raise ValueError(f"give batches or arrays, not both; got batches and {_list(given)}.")
    elif isinstance(batches, Mapping):
        batches = [batches]
    elif not isinstance(batches, Iterable) or isinstance(batches, (str, bytes)):
        raise TypeError(f"batches must be a list of dicts of arrays; got {batches!r}.")
    batches = list(batches)
    if not batches:
        raise ValueError("batches is empty; give one dict of arrays a batch.")
    dtypes: list[np.dtype[Any]] = []
    read = [_read_batch(batch, i, len(batches), dtypes) for i, batch in enumerate(batches)]
    for i, batch in enumerate(read):
        for key in sorted(read[0].keys() ^ batch.keys()):
            without, with_it = (i, 0) if key in read[0] else (0, i)
            raise ValueError(
                f"batch {without} lacks {key}, which batch {with_it} has; give all batches the "
                "same keys."
            )
        for key in ("mu", "x"):  # the others are as wide as these
            if key in batch and batch[key].shape[1] != read[0][key].shape[1]:
                raise ValueError(
                    f"{key} has {batch[key].shape[1]} columns in batch {i} and "
                    f"{read[0][key].shape[1]} in batch 0; give batches of one model."
                )
    return read, min(dtypes, key=lambda dtype: dtype.itemsize, default=np.dtype(np.float64))


def _read_batch(batch: Any, i: int, count: int, dtypes: list[np.dtype[Any]]) -> Batch:
    if not isinstance(batch, Mapping):
        raise TypeError(f"batches must be a list of dicts of arrays; batch {i} is {batch!r:.60}.")
    where = f" of batch {i}" if count > 1 else ""
    read: Batch = {}
    shapes: dict[str, tuple[int, ...]] = {}
    for key, value in batch.items():
        if key not in KEYS:
            close = get_close_matches(str(key), KEYS, 1, 0.5)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise ValueError(f"{key!r}{where} is not known; the keys are {_list(KEYS)}.{hint}")
        if value is None:
            continue
        if callable(value):
            raise TypeError(
                f"{key}{where} is a function; only kl may be one, given beside the batches."
            )
        array, dtype = _read_array(f"{key}{where}", value)
        shapes[key] = array.shape
        if key != "x":  # data are not computed
            dtypes.append(dtype)
        if key in NUMBERS:
            read[key] = array.ravel()
            continue
        if array.ndim < 2:
            raise ValueError(
                f"{key}{where} must have one row a sample, and two dimensions at least; got the "
                f"shape {array.shape}. Reshape it to (n, 1) if there is one number a sample."
            )
        read[key] = array.reshape(len(array), -1)
    for keys in (CODES, DATA):
        for key in keys[1:]:
            if keys[0] in read and key in read:
                _check_same(keys[0], key, where, shapes, read)
    if "mu" in read and "x" in read and len(read["mu"]) != len(read["x"]):
        raise ValueError(
            f"mu{where} has {len(read['mu'])} rows and x {len(read['x'])}; give the same samples "
            "in both."
        )
    return read


def _check_same(
    a: str, b: str, where: str, shapes: dict[str, tuple[int, ...]], read: Batch
) -> None:
    both_have_axes = len(shapes[a]) > 2 and len(shapes[b]) > 2
    if read[a].shape == read[b].shape and not (both_have_axes and shapes[a] != shapes[b]):
        return
    hint = ""
    if b == "log_var" and read[b].shape[1] == 1:
        hint = f" If one variance is shared, pass np.broadcast_to(log_var, {shapes[a]})."
    elif both_have_axes and sorted(shapes[a]) == sorted(shapes[b]):
        hint = " The axes must come in the same order."
    raise ValueError(
        f"{a} and {b}{where} must have the same shape; got {shapes[a]} and {shapes[b]}.{hint}"
    )


def _read_array(name: str, value: Any) -> tuple[Array, np.dtype[Any]]:
    """The array in float64, and the dtype that its numbers have been rounded to."""
    if np.ma.is_masked(value):
        raise ValueError(f"{name} has masked values; leave their rows out.")
    try:
        if hasattr(value, "detach"):  # a PyTorch tensor, which may still be part of a graph
            value = value.detach().cpu()
        array = np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(
            f"{name} cannot be read as a NumPy array ({error}); of a tensor pass "
            ".detach().cpu().float().numpy()."
        ) from None
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{name} must hold real numbers; got an array of {array.dtype}.")
    if array.size == 0:
        raise ValueError(f"{name} is empty: its shape is {array.shape}.")
    wide = array.astype(np.float64)
    if not np.isfinite(wide).all():
        bad = wide[~np.isfinite(wide)]
        raise ValueError(
            f"{name} contains NaN or infinity ({bad.size} of {wide.size} numbers, the first is "
            f"{bad[0]}); hand over a step before that happened."
        )
    return wide, _dtype(array, wide)


def _dtype(array: Array, values: Array) -> np.dtype[Any]:
    """Of the numbers in it: a list, item() or a cast leaves float32 numbers as rounded as before.

    Whole numbers, and one alone, say nothing.
    """
    if array.dtype in (np.float16, np.float32):
        return array.dtype
    if values.size > 1 and np.any(values % 1) and np.abs(values).max() <= LARGEST:
        return np.dtype(np.float32 if np.array_equal(values, np.float32(values)) else np.float64)
    return np.dtype(np.float64)


def batches_of_a_function(
    kl: Callable[[Array, Array], Any], k: int | None
) -> tuple[list[Batch], np.dtype[Any]]:
    """What a function computes as the KL of random batches of several sizes.

    Parameters
    ----------
    kl : callable
        Of ``mu`` and ``log_var``, float64 arrays.
    k : int or None
        Latent dimensions, if it takes only so many.

    Raises
    ------
    ValueError
        It raised something, or returned what is no number.

    Examples
    --------
    >>> from nanoae.diagnose.batches import batches_of_a_function
    >>> batches, dtype = batches_of_a_function(lambda mu, log_var: mu.sum(), None)
    >>> [batch["mu"].shape for batch in batches[:3]]
    [(1, 3), (2, 3), (5, 5)]
    """
    rng = np.random.default_rng(0)
    batches: list[Batch] = []
    sizes = [(1, 3), (2, 3), (5, 5), (7, 3), (11, 4), (13, 3), (16, 5), (19, 3)]
    for n, width in sizes:
        shape = (n, k or width)
        mu, log_var = rng.normal(0, 1, shape), rng.normal(-0.2, 1, shape)
        try:
            value = kl(mu.copy(), log_var.copy())
        except Exception as error:
            raise ValueError(
                f"kl(mu, log_var) raised {type(error).__name__}: {error}. It is called with NumPy "
                f"arrays of the shape {shape}; wrap it if it needs tensors or other widths."
            ) from error
        reported, dtype = _read_array("kl", value)
        batches.append({"mu": mu, "log_var": log_var, "kl": reported.ravel()})
    values = np.concatenate([batch["kl"] for batch in batches])
    return batches, min(dtype, _dtype(values, values), key=lambda dtype: dtype.itemsize)


def _list(words: Iterable[str]) -> str:
    return ", ".join(words)
