"""Data to learn from: a reader of common file formats, bundled digits, synthetic makers.

Every function returns samples in rows. `load` trusts nothing that a file says about itself:
a format is recognised by its first bytes, and a size claimed by a header is compared with
the bytes that are there before any array is made.
"""

from __future__ import annotations

import csv
import gzip
import io
import math
import os
import reprlib
import struct
import textwrap
import zipfile
from array import array
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import chain
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

# --- Bundled data -------------------------------------------------------------------------


class Digits(NamedTuple):
    """Handwritten digits: images `X` (1797, 64) in [0, 1] and `labels` (1797,), 0 to 9.

    Examples
    --------
    >>> from nanoae import datasets
    >>> digits = datasets.load_digits()
    >>> float(digits.X.max()), sorted(set(digits.labels.tolist()))
    (1.0, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    """

    X: NDArray[np.float64]
    labels: NDArray[np.int64]


def load_digits() -> Digits:
    """Load the 1,797 bundled images of handwritten digits, 8 by 8 pixels each.

    Returns
    -------
    Digits
        A named tuple: `X`, float64 of shape (1797, 64), multiples of 1/16 in [0, 1];
        `labels`, int64 of shape (1797,).

    References
    ----------
    E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine
    Learning Repository, 1998, https://doi.org/10.24432/C50P49 (CC BY 4.0).

    Examples
    --------
    >>> from nanoae import datasets
    >>> X, labels = datasets.load_digits()
    >>> X.shape, labels[:4].tolist()
    ((1797, 64), [0, 1, 2, 3])
    """
    with np.load(Path(__file__).parent / "data" / "digits.npz", allow_pickle=False) as stored:
        return Digits(stored["images"] / 16.0, stored["labels"].astype(np.int64))


# --- Files --------------------------------------------------------------------------------


def load(path: str | os.PathLike[str]) -> NDArray[np.floating[Any]]:
    r"""Read samples from an npy, npz, IDX (MNIST) or comma-separated file, plain or gzipped.

    The content decides the format; the file's name does not matter.

    Parameters
    ----------
    path : str or path-like
        In an npz file, the only array is read, or else the one named "X". In a
        comma-separated file, a first line without a single number in it is a header.

    Returns
    -------
    ndarray of shape (n_samples, n_features)
        Axes after the first are flattened. Unsigned bytes are divided by 255; all other
        values are kept. The dtype is float32 if the file's is, float64 otherwise.

    Raises
    ------
    FileNotFoundError, IsADirectoryError
        If there is no file at `path`.
    ValueError
        If the file cannot be read, is damaged or of another format, is not at least 2-D, is
        empty, or holds anything but finite real numbers. The message names file and place.

    Notes
    -----
    Pickled objects are never read, so a file from a stranger cannot run code.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from nanoae import datasets
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "points.csv"
    ...     _ = path.write_text("width,height\n1,2\n3,4.5\n")
    ...     datasets.load(path).tolist()
    [[1.0, 2.0], [3.0, 4.5]]
    """
    if Path(path).is_dir():
        raise IsADirectoryError(f"{path}: this is a directory, not a file of samples")
    try:
        return _as_samples(_parse(Path(path).read_bytes()))
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: there is no such file") from None
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error


def _parse(content: bytes) -> NDArray[Any]:
    if content.startswith(b"\x1f\x8b"):
        with _decoding("gzip"):
            content = gzip.decompress(content)
    if not content:
        raise ValueError("the file is empty")
    if content.startswith(b"\x93NUMPY"):
        return _parse_npy(content)
    if content.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _parse_npz(content)
    if content.startswith(b"\0\0"):
        return _parse_idx(content)
    return _parse_csv(content)


@contextmanager
def _decoding(what: str) -> Iterator[None]:
    """Turn the many kinds of error that a decoder meets in damaged bytes into one."""
    try:
        yield
    except Exception as error:
        reason = textwrap.shorten(f"{type(error).__name__}: {error}", 200)
        raise ValueError(f"the {what} data cannot be decoded ({reason})") from error


def _parse_npy(content: bytes) -> NDArray[Any]:
    with _decoding("npy"):
        dtype, shape, order, offset = npy_header(content)
    return _array_after_header(content, offset, dtype, shape, order)


def npy_header(
    content: bytes, versions: tuple[tuple[int, int], ...] = ((1, 0), (2, 0))
) -> tuple[np.dtype[Any], tuple[int, ...], Literal["C", "F"], int]:
    """What the header of an npy file says: dtype, shape, order, and where the values begin.

    No code is run and no array is made: whoever reads the values has to compare them with this.

    Parameters
    ----------
    content : bytes
        The whole file.
    versions : tuple of pairs of int
        Those of the npy format that will do, of 1.0 and 2.0.

    Raises
    ------
    Exception
        It is none, in NumPy's many words.

    Examples
    --------
    >>> import io
    >>> import numpy as np
    >>> from nanoae.datasets import npy_header
    >>> file = io.BytesIO()
    >>> np.save(file, np.ones((2, 3)))
    >>> npy_header(file.getvalue())
    (dtype('float64'), (2, 3), 'C', 128)
    """
    stream = io.BytesIO(content)
    version = np.lib.format.read_magic(stream)
    if version not in versions:
        wanted = " or ".join(f"{major}.{minor}" for major, minor in versions)
        raise ValueError(f"not the npy format {wanted}")
    if version == (1, 0):
        shape, is_fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    else:
        shape, is_fortran, dtype = np.lib.format.read_array_header_2_0(stream)
    return dtype, shape, "F" if is_fortran else "C", stream.tell()


def _parse_npz(content: bytes) -> NDArray[Any]:
    with _decoding("npz"):
        archive = zipfile.ZipFile(io.BytesIO(content))
    members = [name for name in archive.namelist() if name.endswith(".npy")]
    member = members[0] if len(members) == 1 else "X.npy"
    if member not in members:
        names = ", ".join(repr(name.removesuffix(".npy")) for name in members) or "none"
        raise ValueError(f'the npz file needs a single array or one named "X"; it has: {names}')
    with _decoding("npz"):
        npy = archive.read(member)
    return _parse_npy(npy)


_IDX_DTYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def _parse_idx(content: bytes) -> NDArray[Any]:
    """Read two zero bytes, a byte for the dtype, one for the number of axes, sizes, values."""
    with _decoding("IDX"):
        dtype_code, n_axes = struct.unpack_from(">2x2B", content)
        shape = struct.unpack_from(f">{n_axes}I", content, offset=4)
    if dtype_code not in _IDX_DTYPES:
        raise ValueError(f"the IDX header has the unknown dtype code 0x{dtype_code:02X}")
    return _array_after_header(content, 4 + 4 * n_axes, np.dtype(_IDX_DTYPES[dtype_code]), shape)


def _array_after_header(
    content: bytes,
    offset: int,
    dtype: np.dtype[Any],
    shape: tuple[int, ...],
    order: Literal["C", "F"] = "C",
) -> NDArray[Any]:
    if dtype.kind not in "biuf":
        raise ValueError(f"the dtype is {dtype}, where real numbers are needed")
    claimed, present = math.prod(shape) * dtype.itemsize, len(content) - offset
    if claimed != present:
        raise ValueError(
            f"the header claims {claimed} bytes of values (shape {shape}, {dtype}), "
            f"but {present} follow it"
        )
    if claimed == 0:
        raise ValueError(f"the array is empty, its shape is {shape}")
    return np.frombuffer(content, dtype, offset=offset).reshape(shape, order=order)


def _parse_csv(content: bytes) -> NDArray[np.float64]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise ValueError("the format is none of npy, npz, IDX and comma-separated UTF-8 text")

    rows = _csv_rows(text)
    first_line, first = next(rows, (0, []))
    if len(first) == 1 and any(mark in first[0] for mark in ";\t"):
        raise ValueError("the columns must be separated by commas, not by semicolons or tabs")
    has_header = "".join(first).strip() and not any(map(_is_number, first))
    if has_header:
        names = [reprlib.repr(field.strip()) for field in first]
    else:
        names = [str(number) for number in range(1, len(first) + 1)]
        rows = chain([(first_line, first)], rows)
    values = array("d")
    for line, row in rows:
        values.extend(_csv_values(line, row, names))
    if not values:
        raise ValueError("there is no line of numbers in the text")
    return np.array(values).reshape(-1, len(names))


def _csv_rows(text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the number and the fields of every line that is not blank."""
    with _decoding("comma-separated"):
        reader = csv.reader(io.StringIO(text, newline=""))
        for row in reader:
            if len(row) > 1 or "".join(row).strip():
                yield reader.line_num, row


def _csv_values(line: int, row: list[str], names: list[str]) -> list[float]:
    if len(row) != len(names):
        raise ValueError(f"line {line} has {len(row)} fields where {len(names)} were expected")
    with suppress(ValueError):
        values = [float(field) for field in row]
        if all(map(math.isfinite, values)) and "_" not in "".join(row):
            return values
    good = [_is_number(field) and math.isfinite(float(field)) for field in row]
    name, field = names[good.index(False)], row[good.index(False)]
    what = reprlib.repr(field) if field.strip() else "an empty cell"
    raise ValueError(f"line {line}, column {name}: {what} is not a finite number")


def _is_number(field: str) -> bool:
    """Whether a field spells a number, be it NaN or infinite."""
    try:
        float(field)
    except ValueError:
        return False
    return "_" not in field  # 1_5 would be 15


def _as_samples(values: NDArray[Any]) -> NDArray[np.floating[Any]]:
    if values.ndim < 2:
        raise ValueError(
            f"the array is {values.ndim}-D, of shape {values.shape}; "
            "two axes or more are needed, samples along the first"
        )
    is_single = values.dtype.newbyteorder("=") == np.float32
    with np.errstate(all="ignore"):  # what overflows in the cast is found below
        dtype: type[np.floating[Any]] = np.float32 if is_single else np.float64
        X = values.reshape(len(values), -1).astype(dtype, "C")
    if values.dtype == np.uint8:
        X /= 255
    finite = np.isfinite(X)
    if not finite.all():
        row, column = np.unravel_index(np.argmin(finite), X.shape)
        raise ValueError(f"row {row}, column {column} (counted from 0) is {X[row, column]}")
    return X


# --- Synthetic data -----------------------------------------------------------------------

RandomState = int | np.random.Generator | None


def make_gaussian(
    n_samples: int,
    eigenvalues: ArrayLike,
    *,
    exact: bool = False,
    random_state: RandomState = None,
) -> NDArray[np.float64]:
    """Draw zero-mean Gaussian samples whose covariance has a given spectrum.

    The eigenvectors are a random orthonormal basis, uniformly (Haar) distributed.

    Parameters
    ----------
    n_samples : int
        At least 1; with `exact`, more than the number of eigenvalues.
    eigenvalues : array-like of shape (n_features,)
        Variances along the basis vectors, none negative, in any order.
    exact : bool
        If true, the sample mean is 0 and the eigenvalues of the sample covariance
        `X.T @ X / n_samples` are those given, up to rounding. If false, both only hold in
        expectation.
    random_state : int, Generator or None

    Returns
    -------
    ndarray of shape (n_samples, n_features)

    Raises
    ------
    ValueError
        If an argument is outside its range.

    References
    ----------
    F. Mezzadri, "How to generate random matrices from the classical compact groups",
    Notices of the AMS 54(5), 2007 (the signs in the QR factorisation).

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae import datasets
    >>> X = datasets.make_gaussian(100, [3.0, 1.0], exact=True, random_state=0)
    >>> np.linalg.eigvalsh(X.T @ X / 100).round(12).tolist()
    [1.0, 3.0]
    """
    spectrum = np.asarray(eigenvalues, dtype=np.float64)
    if spectrum.ndim != 1 or spectrum.size == 0:
        raise ValueError(
            f"eigenvalues must be a 1-D array of one value or more, got shape {spectrum.shape}"
        )
    for value in spectrum.tolist():
        _check_not_negative("every eigenvalue", value)
    _check_integer("n_samples", n_samples, low=spectrum.size + 1 if exact else 1)

    rng = np.random.default_rng(random_state)
    basis = _orthonormal_columns(rng.standard_normal((spectrum.size, spectrum.size)))
    white = rng.standard_normal((n_samples, spectrum.size))
    if exact:
        white = np.sqrt(n_samples) * _orthonormal_columns(white - white.mean(axis=0))
    X: NDArray[np.float64] = white * np.sqrt(spectrum) @ basis.T
    return X


def _orthonormal_columns(A: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return an orthonormal basis of A's column space, Haar distributed if A is Gaussian."""
    q, r = np.linalg.qr(A)
    # QR is unique only up to signs, and LAPACK's choice of them is not a random one.
    columns: NDArray[np.float64] = q * np.copysign(1.0, np.diag(r))
    return columns


def make_curve(
    n_samples: int = 500, *, noise: float = 0.05, random_state: RandomState = None
) -> NDArray[np.float64]:
    """Draw points near an arc in the plane: one-dimensional data, but not linearly so.

    With an angle θ uniform in [-0.65π, 0.65π] and ε standard normal, a point is
    `(1 + noise * ε) * (cos θ, sin θ)`: 65% of the unit circle, with noise across it.

    Parameters
    ----------
    n_samples : int
        At least 1.
    noise : float
        Standard deviation of the distance to the arc, not negative.
    random_state : int, Generator or None

    Returns
    -------
    ndarray of shape (n_samples, 2)

    Raises
    ------
    ValueError
        If an argument is outside its range.

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae import datasets
    >>> X = datasets.make_curve(1000, noise=0.1, random_state=0)
    >>> radius = np.linalg.norm(X, axis=1)
    >>> round(float(radius.mean()), 1), round(float(radius.std()), 1)
    (1.0, 0.1)
    """
    _check_integer("n_samples", n_samples, low=1)
    _check_not_negative("noise", noise)
    rng = np.random.default_rng(random_state)
    angle = rng.uniform(-0.65 * np.pi, 0.65 * np.pi, n_samples)
    radius = 1.0 + noise * rng.standard_normal(n_samples)
    return np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])


class SparseCodes(NamedTuple):
    """Signals `X` (n, d), the `codes` (n, k) they come from, and the `dictionary` (d, k).

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae import datasets
    >>> data = datasets.make_sparse_codes(5, 8, 16, noise=0.0, random_state=0)
    >>> np.allclose(data.X, data.codes @ data.dictionary.T)
    True
    """

    X: NDArray[np.float64]
    codes: NDArray[np.float64]
    dictionary: NDArray[np.float64]


def make_sparse_codes(
    n_samples: int,
    n_features: int,
    n_atoms: int,
    *,
    n_active: int = 3,
    noise: float = 0.01,
    random_state: RandomState = None,
) -> SparseCodes:
    """Draw signals that are noisy sums of a few atoms of a random dictionary.

    Parameters
    ----------
    n_samples, n_features, n_atoms : int
        At least 1.
    n_active : int
        How many atoms make a signal, from 1 to `n_atoms`. Their places are random, their
        coefficients have random signs and magnitudes uniform in [0.5, 1.5).
    noise : float
        Noise level, not negative: the noise's expected squared norm is `noise**2` times the
        mean squared norm of the clean signals.
    random_state : int, Generator or None

    Returns
    -------
    SparseCodes
        A named tuple: `X` of shape (n_samples, n_features), which is
        `codes @ dictionary.T` plus noise; `codes` of shape (n_samples, n_atoms);
        `dictionary` of shape (n_features, n_atoms) with random columns of norm 1.

    Raises
    ------
    ValueError
        If an argument is outside its range.

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae import datasets
    >>> X, codes, dictionary = datasets.make_sparse_codes(5, 8, 16, n_active=2, random_state=0)
    >>> np.count_nonzero(codes, axis=1).tolist()
    [2, 2, 2, 2, 2]
    >>> np.linalg.norm(dictionary, axis=0)[:3].round(12).tolist()
    [1.0, 1.0, 1.0]
    """
    _check_integer("n_samples", n_samples, low=1)
    _check_integer("n_features", n_features, low=1)
    _check_integer("n_atoms", n_atoms, low=1)
    _check_integer("n_active", n_active, low=1, high=n_atoms)
    _check_not_negative("noise", noise)

    rng = np.random.default_rng(random_state)
    dictionary = rng.standard_normal((n_features, n_atoms))
    dictionary /= np.linalg.norm(dictionary, axis=0)
    codes = np.zeros((n_samples, n_atoms))
    signs = rng.choice([-1.0, 1.0], (n_samples, n_active))
    codes[:, :n_active] = signs * rng.uniform(0.5, 1.5, (n_samples, n_active))
    codes = rng.permuted(codes, axis=1)

    clean = codes @ dictionary.T
    noise_std = noise * np.sqrt(np.mean(clean**2))  # both norms are sums over n_features
    return SparseCodes(clean + noise_std * rng.standard_normal(clean.shape), codes, dictionary)


def _check_integer(name: str, value: int, low: int, high: float = math.inf) -> None:
    if not (isinstance(value, Integral) and low <= value <= high):
        allowed = f"of at least {low}" if high == math.inf else f"from {low} to {high}"
        raise ValueError(f"{name} must be an integer {allowed}, got {value!r}")


def _check_not_negative(name: str, value: float) -> None:
    if not (isinstance(value, Real) and 0 <= value < math.inf):
        raise ValueError(f"{name} must be a finite number of at least 0, got {value!r}")
