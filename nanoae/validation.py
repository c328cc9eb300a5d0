"""Every check of what a user hands in, in one place and one voice."""

from __future__ import annotations

import numbers
import sys
import warnings
from collections import Counter
from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from nanoae.arrays import Array, blocks
from nanoae.sequences import Sequences


def check_samples(
    X: Any, *, n_features: int | None = None, minimum: int = 1,
    dtype: DTypeLike | None = None, name: str = "X", model: str = "the model",
    sequences: Sequences | None = None, gaps: bool = False,
) -> Array:  # fmt: skip
    """Samples in rows as a finite 2-D float array, in C order so that equal data give equal bits.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
    n_features : int, optional
        Number of columns that the fitted model expects.
    minimum : int, default 1
        Smallest number of rows.
    dtype : dtype, optional
        What to return; by default float32 if ``X`` is, otherwise float64.
    name, model : str
        What to call the two in a message.
    sequences : Sequences, optional
        Samples are sequences: they may come as such, and rows may have NaN behind their end.
    gaps : bool, default False
        Whether NaN may stand anywhere, for what is not known.

    Returns
    -------
    ndarray of shape (n_samples, n_features)
        ``X`` itself where that needs no copy. A `numpy.memmap` is never copied: it keeps its
        dtype and order, and whoever reads it does so block by block.

    Raises
    ------
    TypeError
        ``X`` is a sparse matrix, or holds objects that are no numbers.
    ValueError
        Anything else that is wrong.
    """
    if hasattr(X, "toarray") and hasattr(X, "nnz"):
        raise TypeError(
            f"{name} is a sparse matrix; pass a dense array, such as {name}.toarray()."
        )
    listed = isinstance(X, (list, tuple))
    if np.ma.is_masked(X) or (listed and any(np.ma.is_masked(x) for x in X)):
        raise ValueError(f"{name} has masked values; fill them or drop their rows.")
    if X is None:
        raise ValueError(f"{name} must be 2-D, one row a sample; got None.")
    if sequences is not None:
        X = sequences.rows(X, n_features, name, model)
    try:
        array = np.asarray(X)
    except ValueError:
        hint = " Pass the samples alone, without labels." if isinstance(X, tuple) else ""
        if not hint and sequences is None:
            hint = (
                " Of sequences Autoencoder and VAE learn, with architecture=Recurrent(...) or "
                "Transformer(...)."
            )
        raise ValueError(f"{name} must be 2-D, but its rows differ in length.{hint}") from None
    texts = array.dtype.kind == "O" and any(isinstance(v, (str, bytes)) for v in array.flat)
    if array.dtype.kind == "c":
        raise ValueError(f"{name} must hold real numbers. Complex data not supported.")
    if (texts or array.dtype.kind in "SU") and (labels := column_names(X)) is not None:
        words = [
            label
            for label, column in zip(labels, array.T, strict=True)
            if any(isinstance(v, (str, bytes)) for v in column)
        ]
        raise ValueError(
            f"{name} must hold real numbers, but these columns hold words: {_some(words)}; leave "
            "them out, or make numbers of them."
        )
    if array.dtype.kind not in "biufO" or texts:
        raise ValueError(f"{name} must hold real numbers; got an array of {array.dtype}.")
    if array.dtype.kind == "O" and "pandas" in sys.modules:  # or there could be none of its NA
        NA = getattr(sys.modules["pandas"], "NA", None)
        missing = np.fromiter((v is NA for v in array.flat), bool, array.size)
        array = np.where(missing.reshape(array.shape), np.nan, array)  # found below
    if dtype is None:
        dtype = np.float32 if array.dtype == np.float32 else np.float64
    if not isinstance(X, np.memmap):
        try:
            with np.errstate(over="ignore"):  # too large for the dtype becomes inf: found below
                array = array.astype(dtype, order="C", copy=False)
        except TypeError as error:
            raise TypeError(f"{name} must hold real numbers: {error}.") from None
        except (ValueError, OverflowError) as error:
            raise ValueError(f"{name} must hold real numbers: {error}.") from None
    if array.ndim != 2:
        way = f"{name}.reshape(len({name}), -1)"
        if array.ndim == 4:
            way += f", colours last: of (n, c, height, width), np.moveaxis({name}, 1, -1) first"
        if array.ndim < 2:
            way = (
                f"{name}.reshape(-1, 1) if it has one feature, {name}.reshape(1, -1) if it is one "
                "sample"
            )
        raise ValueError(
            f"{name} must be 2-D, one row a sample; got {array.ndim}-D of shape {array.shape}. "
            f"Reshape your data with {way}."
        )
    if array.shape[1] == 0:
        raise ValueError(
            f"{name} has 0 feature(s) (shape={array.shape}) while a minimum of 1 is required."
        )
    if len(array) < minimum:
        raise ValueError(f"{name} has {len(array)} sample(s); {model} needs at least {minimum}.")
    if n_features is not None and array.shape[1] != n_features:
        raise ValueError(
            f"{name} has {array.shape[1]} features, but {model} is expecting {n_features} "
            "features as input."
        )
    _check_finite(array, np.dtype(dtype), name, column_names(X), sequences, gaps)
    return array


def column_names(X: Any) -> list[str] | None:
    """The names of a frame's columns if they all are strings; None for anything else."""
    columns = getattr(X, "columns", None)
    names = [*columns] if np.iterable(columns) else []
    is_named = len(names) > 0 and all(isinstance(name, str) for name in names)
    return [str(name) for name in names] if is_named else None


def check_column_names(X: Any, fitted: list[str] | None, model: str) -> None:
    """Hold the names of a frame's columns against those of the fit.

    Raises
    ------
    ValueError
        They are others, or in another order.

    Warns
    -----
    UserWarning
        Only one of the two has names. The sentence begins as scikit-learn's does, so that a
        filter against the one is a filter against the other.
    """
    names = column_names(X)
    if names == fitted:
        return
    if names is None or fitted is None:
        what = (
            f"X has feature names, but {model} was fitted without feature names"
            if fitted is None
            else f"X does not have valid feature names, but {model} was fitted with feature names"
        )
        warnings.warn(
            f"{what}, so the order of its columns is not checked.",
            UserWarning,
            stacklevel=_depth_in_package(),
        )
        return
    lacking = [*(Counter(fitted) - Counter(names)).elements()]
    unknown = [*(Counter(names) - Counter(fitted)).elements()]
    select = "pass X[list(model.feature_names_in_)]"
    if lacking or unknown:
        faults = [f"lacks {_some(lacking)}"] if lacking else []
        faults += [f"has besides {_some(unknown)}"] if unknown else []
        raise ValueError(
            f"X must have the columns that {model} was fitted with, but {' and '.join(faults)}; "
            f"{'add or rename columns' if lacking else select}."
        )
    j = next(j for j, name in enumerate(names) if name != fitted[j])
    raise ValueError(
        f"X must have its columns in the order in which {model} was fitted with them, but column "
        f"{j} is {names[j]!r} in place of {fitted[j]!r}; {select}."
    )


def _some(names: list[str]) -> str:
    """The first of them, and how many more."""
    more = [f"{len(names) - 5} more"] if len(names) > 5 else []
    return ", ".join([repr(name) for name in names[:5]] + more)


def _depth_in_package() -> int:
    """How far up the stack from its caller the package was called: where a warning points."""
    frame, depth = sys._getframe(), 0
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] == "nanoae":
        frame, depth = frame.f_back, depth + 1
    return depth


def check_weights(weights: Any, n_samples: int) -> Array:
    """One weight a sample as a float64 array: finite, none negative, and not all of them zero."""
    array = np.asarray(weights)
    if array.dtype.kind not in "biufO":
        raise ValueError(f"sample_weight must hold real numbers; got an array of {array.dtype}.")
    if array.shape != (n_samples,):
        raise ValueError(
            f"sample_weight must have one value a sample, the shape ({n_samples},); got the shape "
            f"{array.shape}."
        )
    try:
        array = array.astype(np.float64, copy=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"sample_weight must hold real numbers: {error}.") from None
    with np.errstate(over="ignore", invalid="ignore"):
        if not np.isfinite(array.sum()):
            raise ValueError(
                "sample_weight must be finite, its sum too; got values from "
                f"{array.min():g} to {array.max():g}."
            )
    if array.min() < 0:
        raise ValueError(
            f"sample_weight must not be negative; got {array.min():g} at row {array.argmin()}."
        )
    if not array.any():
        raise ValueError("sample_weight must not be zero for all samples.")
    return array


def check_unit_interval(X: Array, name: str = "X") -> Array:
    """Samples for a Bernoulli likelihood, which must lie in [0, 1].

    What lies outside by no more than rounding, as after scaling by minimum and maximum, is put
    onto the edge, in a copy.

    Raises
    ------
    ValueError
        Something lies farther outside.
    """
    lowest, highest = np.nanmin(X), np.nanmax(X)  # sequences have NaN behind their ends
    if lowest >= 0 and highest <= 1:
        return X
    rounding = 8 * float(np.finfo(X.dtype).eps)
    if lowest < -rounding or highest > 1 + rounding:
        raise ValueError(
            f"{name} must lie in [0, 1] under a Bernoulli likelihood; "
            f"got values from {lowest:.10g} to {highest:.10g}. Scale it first."
        )
    return np.clip(X, 0, 1)


def _check_finite(
    array: Array, dtype: np.dtype[Any], name: str, columns: list[str] | None,
    sequences: Sequences | None, gaps: bool,
) -> None:  # fmt: skip
    """Raise unless all values are finite in this dtype, and their squares' sum is too.

    Of sequences, all that are there; with gaps, all that are known.
    """
    total, first_row = dtype.type(0), 0
    with np.errstate(over="ignore", invalid="ignore"):
        for block in blocks(array, dtype):
            if sequences is not None:
                block = sequences.filled(block, name, first_row)
            if gaps:
                block = np.where(np.isnan(block), 0, block)
            total += np.vdot(block, block)  # in one pass; squares are what losses are made of
            if not np.isfinite(total):
                break
            first_row += len(block)
        else:
            return
    finite = np.isfinite(block)
    if finite.all():
        raise ValueError(
            f"{name} is too large: its squares overflow {dtype}; got values up to "
            f"{np.abs(block).max():g}. Scale it first."
        )
    row, j = np.unravel_index(np.argmin(finite), block.shape)
    column = j if columns is None else repr(columns[j])
    raise ValueError(
        f"{name} contains NaN or infinity, first at row {first_row + row}, column {column} "
        f"({block[row, j]}); remove or impute such values."
    )


def check_integer(name: str, value: Any, minimum: int, maximum: int | None = None) -> None:
    """Raise unless ``value`` is an integer within the range."""
    is_integer = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not is_integer:
        raise TypeError(f"{name} must be an integer; got {value!r}.")
    if value < minimum or (maximum is not None and value > maximum):
        limits = f"at least {minimum}" if maximum is None else f"from {minimum} to {maximum}"
        raise ValueError(f"{name} must be {limits}; got {value!r}.")


def check_real(
    name: str, value: Any, minimum: float, maximum: float = np.inf, *, open_ends: bool = False
) -> None:
    """Raise unless ``value`` is a finite real number within the range; ends excluded if open."""
    is_real = isinstance(value, (int, float, np.integer, np.floating))
    is_real = is_real and not isinstance(value, bool)
    if not is_real:
        raise TypeError(f"{name} must be a number; got {value!r}.")
    inside = minimum < value < maximum if open_ends else minimum <= value <= maximum
    if not (inside and np.isfinite(value)):
        if np.isinf(maximum):
            limits = f"{'greater than' if open_ends else 'at least'} {minimum:g}"
        else:
            limits = f"{'strictly between' if open_ends else 'from'} {minimum:g} "
            limits += f"{'and' if open_ends else 'to'} {maximum:g}"
        raise ValueError(f"{name} must be finite and {limits}; got {value!r}.")


def check_probability(name: str, value: Any) -> None:
    """Raise unless ``value`` is at least 0 and below 1."""
    check_real(name, value, 0)
    if value >= 1:
        raise ValueError(f"{name} must be at least 0 and below 1; got {value!r}.")


def is_positive_definite(matrix: Array) -> bool:
    """Whether a covariance is one of a density, by more than rounding, whatever the units."""
    variances = np.diag(matrix)
    if not (np.isfinite(matrix).all() and np.all(variances > 0)):
        return False
    units = np.sqrt(variances)
    least = np.linalg.eigvalsh(matrix / np.outer(units, units))[0]
    return bool(least > len(matrix) * np.finfo(np.float64).eps)


def check_positive_definite(name: str, matrix: Array) -> None:
    """Raise unless `is_positive_definite`."""
    if not is_positive_definite(matrix):
        raise ValueError(
            f"{name} must be finite and positive definite: no feature constant, and none that "
            "depends on the others."
        )


def check_choice(name: str, value: Any, choices: Collection[str]) -> None:
    """Raise unless ``value`` is one of the words."""
    if not isinstance(value, str) or value not in choices:
        *most, last = (repr(choice) for choice in choices)
        raise ValueError(f"{name} must be {', '.join(most)} or {last}; got {value!r}.")


def check_bool(name: str, value: Any) -> None:
    """Raise unless ``value`` is true or false."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be True or False; got {value!r}.")


def check_layer_sizes(name: str, value: Any) -> None:
    """Raise unless ``value`` is a tuple or list of positive integers; it may be empty."""
    if not isinstance(value, (tuple, list)):
        raise TypeError(f"{name} must be a tuple of integers, such as (64,); got {value!r}.")
    for size in value:
        check_integer(f"each width in {name}", size, 1)


def check_random_state(random_state: Any) -> np.random.Generator:
    """A generator from a seed, from None (unpredictable), or the one that is given."""
    if random_state is None or isinstance(random_state, np.random.Generator):
        return np.random.default_rng(random_state)
    is_integer = isinstance(random_state, numbers.Integral) and not isinstance(random_state, bool)
    if is_integer and random_state >= 0:
        return np.random.default_rng(int(random_state))
    raise ValueError(
        "random_state must be None, a non-negative integer or a numpy.random.Generator; "
        f"got {random_state!r}."
    )
