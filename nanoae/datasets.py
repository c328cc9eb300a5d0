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
import re
import reprlib
import struct
import textwrap
import zipfile
from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import chain, islice
from numbers import Integral
from pathlib import Path
from typing import Any, Literal, NamedTuple, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nanoae.validation import check_integer, check_real

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


class Vowels(NamedTuple):
    """Two Japanese vowels spoken in a row, /ae/: 640 utterances of nine men.

    Attributes
    ----------
    X : list of ndarray of shape (T_i, 12)
        12 coefficients of the spectrum (LPC cepstrum) at each of 7 to 29 steps.
    labels : ndarray of shape (640,)
        Speakers, 0 to 8.
    n_train : int
        The first 270 utterances, 30 of each speaker, are what the authors train on; they test on
        the others.

    Examples
    --------
    >>> from nanoae import datasets
    >>> X, labels, n_train = datasets.load_vowels()
    >>> X[0].shape, int(labels[0]), len(X[n_train:])
    ((20, 12), 0, 370)
    """

    X: list[NDArray[np.float64]]
    labels: NDArray[np.int64]
    n_train: int


def load_vowels() -> Vowels:
    """Load the 640 bundled utterances of Japanese vowels, sequences of unequal length.

    Returns
    -------
    Vowels
        A named tuple: `X`, 640 float64 arrays of 7 to 29 steps and 12 features; `labels`, int64 of
        shape (640,); `n_train`.

    References
    ----------
    M. Kudo, J. Toyama and M. Shimbo, "Japanese Vowels", UCI Machine Learning Repository, 1999,
    https://doi.org/10.24432/C5NS47 (CC BY 4.0). Here to four decimals.

    Examples
    --------
    >>> from nanoae import datasets
    >>> X, labels, _ = datasets.load_vowels()
    >>> sorted({len(x) for x in X})[0], sorted(set(labels.tolist()))
    (7, [0, 1, 2, 3, 4, 5, 6, 7, 8])
    """
    with np.load(Path(__file__).parent / "data" / "vowels.npz", allow_pickle=False) as stored:
        ends = np.cumsum(stored["lengths"].astype(np.int64))
        X = np.split(stored["coefficients"] / 1e4, ends[:-1])
        return Vowels(X, stored["speakers"].astype(np.int64) - 1, int(stored["n_train"]))


class Names(NamedTuple):
    """First names as sequences of tokens, each with a token for its end.

    Attributes
    ----------
    X : list of ndarray of shape (T_i,)
        Places of the letters in the alphabet; the last is that of ".", the end.
    names : list of str
    alphabet : str
        "a" to "z", and ".".

    Examples
    --------
    >>> from nanoae import datasets
    >>> data = datasets.load_names()
    >>> data.names[0], data.X[0].tolist()
    ('aaron', [0, 0, 17, 14, 13, 26])
    >>> data.text([data.X[0], [1, 14, 1, 26, 3]])
    ['aaron', 'bob']
    """

    X: list[NDArray[np.int64]]
    names: list[str]
    alphabet: str

    def text(self, tokens: Iterable[ArrayLike]) -> list[str]:
        """What sequences of tokens say, up to the first end, or to theirs."""
        words = ("".join(self.alphabet[int(i)] for i in np.asarray(word)) for word in tokens)
        return [word.partition(".")[0] for word in words]


def load_names() -> Names:
    """Load 5,163 bundled first names, of 2 to 11 letters from "a" to "z", in alphabetical order.

    Returns
    -------
    Names
        A named tuple: `X`, 5,163 int64 arrays of 3 to 12 tokens; `names`; `alphabet`.

    References
    ----------
    United States Census Bureau, "Frequently Occurring Surnames and First Names from the 1990
    Census", a work of the federal government in the public domain.

    Examples
    --------
    >>> from nanoae import datasets
    >>> X, names, alphabet = datasets.load_names()
    >>> len(names), max(map(len, names)), len(alphabet)
    (5163, 11, 27)
    """
    names = (Path(__file__).parent / "data" / "names.txt").read_text("ascii").split()
    alphabet = "abcdefghijklmnopqrstuvwxyz."
    X = [np.array([alphabet.index(letter) for letter in f"{name}."]) for name in names]
    return Names(X, names, alphabet)


# --- Files --------------------------------------------------------------------------------


class Economy(NamedTuple):
    """A table of the United States' economy: changes `X` (202, 10), `names` and `quarters`.

    Examples
    --------
    >>> from nanoae import datasets
    >>> economy = datasets.load_economy()
    >>> economy.names[:3], economy.quarters[:2].tolist()
    (['realgdp', 'realcons', 'realinv'], [1959.25, 1959.5])
    """

    X: NDArray[np.float64]
    names: list[str]
    quarters: NDArray[np.float64]


def load_economy() -> Economy:
    """Load the bundled quarterly changes of ten economic series, United States, 1959 to 2009.

    What grows by a factor is given as growth, in percent a year (400 times the change of the
    logarithm); the two rates, `tbilrate` and `unemp`, as differences in percentage points.

    Returns
    -------
    Economy
        A named tuple: `X`, float64 of shape (202, 10); `names` of its columns; `quarters`,
        float64 of shape (202,), 1959.25 for the second quarter of 1959.

    References
    ----------
    FRED, Federal Reserve Bank of St. Louis, and the Bureau of Labor Statistics, 2009, as compiled
    in statsmodels' data set "macrodata" (public domain); nanoae/data/README.md has the columns.

    Examples
    --------
    Investment varies most, by far:

    >>> from nanoae import datasets
    >>> X, names, quarters = datasets.load_economy()
    >>> X.shape, dict(zip(names, X.std(axis=0).round(1).tolist()))["realinv"]
    ((202, 10), 18.7)
    """
    path = Path(__file__).parent / "data" / "economy.csv"
    names = path.read_text("utf-8").splitlines()[0].split(",")
    table = np.loadtxt(path, delimiter=",", skiprows=1)
    year, quarter, *levels = table.T
    changes = [
        np.diff(level) if name in ("tbilrate", "unemp") else 400 * np.diff(np.log(level))
        for name, level in zip(names[2:], levels, strict=True)
    ]
    return Economy(np.column_stack(changes), names[2:], (year + (quarter - 1) / 4)[1:])


# --- Files --------------------------------------------------------------------------------


class Labelled(NamedTuple):
    """Samples `X` (n, d) of a table, and the `labels` (n,) in one of its columns.

    Labels are int64 if all of them are written as whole numbers, strings otherwise.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from nanoae import datasets
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "flowers.csv"
    ...     _ = path.write_text("width;height;kind\\n1,5;2,5;rose\\n3,0;4,5;lily\\n")
    ...     X, labels = datasets.load(path, labels="kind")
    >>> X.tolist(), labels.tolist()
    ([[1.5, 2.5], [3.0, 4.5]], ['rose', 'lily'])
    """

    X: NDArray[np.floating[Any]]
    labels: NDArray[Any]


Column = int | str


class _Layout(NamedTuple):
    """What the caller says of a table; None is to be guessed."""

    delimiter: str | None
    decimal: str | None
    header: bool | None
    columns: Sequence[Column] | None
    labels: Column | None


@overload
def load(
    path: str | os.PathLike[str],
    *,
    scale: bool | None = None,
    delimiter: str | None = None,
    decimal: str | None = None,
    header: bool | None = None,
    columns: Sequence[Column] | None = None,
    labels: None = None,
) -> NDArray[np.floating[Any]]: ...


@overload
def load(
    path: str | os.PathLike[str],
    *,
    scale: bool | None = None,
    delimiter: str | None = None,
    decimal: str | None = None,
    header: bool | None = None,
    columns: Sequence[Column] | None = None,
    labels: Column,
) -> Labelled: ...


def load(
    path: str | os.PathLike[str],
    *,
    scale: bool | None = None,
    delimiter: str | None = None,
    decimal: str | None = None,
    header: bool | None = None,
    columns: Sequence[Column] | None = None,
    labels: Column | None = None,
) -> NDArray[np.floating[Any]] | Labelled:
    r"""Read samples from an npy, npz, IDX (MNIST) or text file (csv), plain or gzipped.

    The content decides the format; the file's name does not matter.

    Parameters
    ----------
    path : str or path-like
        In an npz file, the only array is read, or else the one named "X".
    scale : bool, optional
        Divide the values by 255. By default this is done to arrays of unsigned bytes, unless
        none of them is above 1: then they are black and white already, and kept.
    delimiter : str, optional
        What separates the columns of a text, one character; " " is any number of blanks. By
        default that one of comma, semicolon, tab and blanks which leaves most numbers.
    decimal : {".", ","}, optional
        By default a comma if numbers are written so and the delimiter is another.
    header : bool, optional
        Whether the first line names the columns. By default it does if no number is in it, or
        if it numbers them from 0, as pandas does; two columns "0" and "1" are names only above
        numbers that are all written with a point.
    columns : sequence of int or str, optional
        The columns to read, counted from 0 or by name. By default all, but for a nameless first
        one that numbers or names the rows (the index of pandas), the labels, and columns named
        "label", "labels", "class" or "target".
    labels : int or str, optional
        A column of a text that is no feature, to be returned beside the samples.

    Returns
    -------
    ndarray of shape (n_samples, n_features)
        Axes after the first are flattened. The dtype is float32 if the file's is, float64
        otherwise. With `labels`, a named tuple `Labelled` of this and the labels.

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
    _check_layout(delimiter, decimal, columns)
    layout = _Layout(delimiter, decimal, header, columns, labels)
    if Path(path).is_dir():
        raise IsADirectoryError(f"{path}: this is a directory, not a file of samples")
    try:
        values, names = _parse(Path(path).read_bytes(), layout)
        X = _as_samples(values, scale)
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: there is no such file") from None
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error
    return X if names is None else Labelled(X, names)


def _check_layout(
    delimiter: str | None, decimal: str | None, columns: Sequence[Column] | None
) -> None:
    if delimiter is not None and not (
        isinstance(delimiter, str) and len(delimiter) == 1 and delimiter not in '"\r\n'
    ):
        raise ValueError(f"delimiter must be a single character, got {delimiter!r}")
    if decimal not in (None, ".", ",") or (decimal is not None and decimal == delimiter):
        raise ValueError(
            f'decimal must be "." or ",", and not the delimiter; got {decimal!r} with '
            f"delimiter={delimiter!r}"
        )
    if columns is not None and (isinstance(columns, str) or len(columns) == 0):
        raise ValueError(f"columns must be a list of names or numbers, got {columns!r}")


def _parse(content: bytes, layout: _Layout) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """The values of a file, and the labels if they are asked for."""
    if content.startswith(b"\x1f\x8b"):
        with _decoding("gzip"):
            content = gzip.decompress(content)
    if not content:
        raise ValueError("the file is empty")
    for name, magic, parse in (
        ("npy", (b"\x93NUMPY",), _parse_npy),
        ("npz", (b"PK\x03\x04", b"PK\x05\x06"), _parse_npz),
        ("IDX", (b"\0\0",), _parse_idx),
    ):
        if content.startswith(magic):
            values = parse(content)
            for argument, value in layout._asdict().items():
                if value is not None:
                    raise ValueError(f"{argument} is for text files, and this is an {name} file")
            return values, None
    if content.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):
        raise ValueError(_SPREADSHEET)
    return _parse_csv(content, layout)


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


def npy_header(content: bytes) -> tuple[np.dtype[Any], tuple[int, ...], Literal["C", "F"], int]:
    """What the header of an npy file says: dtype, shape, order, and where the values begin.

    No code is run and no array is made: whoever reads the values has to compare them with this.

    Parameters
    ----------
    content : bytes
        The whole file.

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
    if version == (1, 0):
        shape, is_fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    elif version == (2, 0):
        shape, is_fortran, dtype = np.lib.format.read_array_header_2_0(stream)
    else:
        raise ValueError("not the npy format 1.0 or 2.0")
    return dtype, shape, "F" if is_fortran else "C", stream.tell()


_SPREADSHEET = "this is a spreadsheet or another office file; save it as csv there, and load that"


def _parse_npz(content: bytes) -> NDArray[Any]:
    with _decoding("npz"):
        archive = zipfile.ZipFile(io.BytesIO(content))
    names = archive.namelist()
    if "[Content_Types].xml" in names or "mimetype" in names:
        raise ValueError(_SPREADSHEET)
    members = [name for name in names if name.endswith(".npy")]
    if names and not members:
        raise ValueError(
            f"this is a zip archive, of {reprlib.repr(names[0])}; unpack it, or pack that file "
            "with gzip instead"
        )
    member = members[0] if len(members) == 1 else "X.npy"
    if member not in members:
        has = ", ".join(repr(name.removesuffix(".npy")) for name in members) or "none"
        raise ValueError(f'the npz file needs a single array or one named "X"; it has: {has}')
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


# In the order of trust: blanks stand beside the first two, decimal commas between all others.
_DELIMITERS = {";": "semicolon", "\t": "tab", " ": "blank", ",": "comma"}
_GUESSED_FROM = 50  # lines
_LABEL_NAMES = ("label", "labels", "class", "target")
_NAMELESS = re.compile(r"\s*(Unnamed: 0)?\s*")


def _parse_csv(content: bytes, layout: _Layout) -> tuple[NDArray[np.float64], NDArray[Any] | None]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise ValueError("the format is none of npy, npz, IDX and comma-separated UTF-8 text")

    delimiter = layout.delimiter or _guess_delimiter(text, layout.decimal)
    decimal = layout.decimal or _guess_decimal(text, delimiter)
    rows = _csv_rows(text, delimiter)
    head = list(islice(rows, _GUESSED_FROM))
    rows = chain(head, rows)
    fields = [row for _, row in head]
    header = _is_header(fields, decimal) if layout.header is None else layout.header
    width = len(fields[0]) if fields else 0
    names = [field.strip() for field in next(rows)[1]] if header and fields else [""] * width
    if header:
        titles = [reprlib.repr(name) for name in names]
    else:
        titles = [str(number) for number in range(1, width + 1)]

    label = None if layout.labels is None else _find_column(layout.labels, names)
    if layout.columns is not None:
        take = [_find_column(column, names) for column in layout.columns]
    else:
        take = [j for j in range(width) if j != label]
        features = [j for j in take if names[j].lower() not in _LABEL_NAMES]
        take = features or take
    # whether a nameless first column is an index is known when all of it has been seen
    has_index = header and layout.columns is None and len(take) > 1 and take[0] == 0
    has_index = has_index and _NAMELESS.fullmatch(names[0]) is not None
    index: list[tuple[int, str]] = []
    labels: list[str] = []
    values = array("d")
    for line, row in rows:
        if len(row) != width:
            raise ValueError(f"line {line} has {len(row)} fields where {width} were expected")
        if has_index:
            index.append((line, row[0]))
        if label is not None:
            labels.append(row[label].strip())
        values.extend(_csv_values(line, row, take[has_index:], titles, decimal))
    if not values:
        raise ValueError("there is no line of numbers in the text")
    X = np.array(values).reshape(-1, len(take) - has_index)
    if has_index and not _numbers_or_names_rows([field for _, field in index], decimal):
        column = [_csv_values(line, [field], [0], titles, decimal)[0] for line, field in index]
        X = np.column_stack([column, X])
    return X, None if label is None else _as_labels(labels)


def _csv_rows(text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the number and the fields of every line that is not blank.

    Lines before the first one that begin with "#" are comments.
    """
    lines: Iterable[str] = io.StringIO(text, newline="")
    if delimiter == " ":
        lines = (line.expandtabs(1).strip() for line in lines)
    kind = _DELIMITERS.get(delimiter, "character")
    is_first = True
    with _decoding(f"{kind}-separated"):
        reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=delimiter == " ")
        for row in reader:
            if len(row) > 1 or "".join(row).strip():
                if is_first and row[0].lstrip().startswith("#"):
                    continue
                is_first = False
                yield reader.line_num, row


def _guess_delimiter(text: str, decimal: str | None) -> str:
    """That which leaves most fields below the first line numbers; then, which fits that line."""
    best = (0.0, False, 0)
    guess = ";" if decimal == "," else ","
    for delimiter in _DELIMITERS:
        if delimiter == decimal:
            continue
        with suppress(ValueError):
            rows = [row for _, row in islice(_csv_rows(text, delimiter), _GUESSED_FROM)]
            first = len(rows[0]) if rows else 0
            rows = rows[1:] or rows
            width = max(map(len, rows), default=0)
            if width < 2 and delimiter != ",":  # 1,5 alone in its line is two columns
                continue
            fields = [field for row in rows for field in row]
            marks = decimal or ("." if delimiter == "," else ".,")
            numbers = sum(any(_is_number(field, mark) for mark in marks) for field in fields)
            score = (numbers / max(len(fields), 1), first == width, width)
            if score > best:
                best, guess = score, delimiter
    return guess


def _guess_decimal(text: str, delimiter: str) -> str:
    if delimiter == "," or "," not in text:
        return "."
    with_comma, with_point, doubtful = "", "", ""
    for _, row in _csv_rows(text, delimiter):
        for field in row:
            if "," in field and _is_number(field, ","):
                if re.fullmatch(r"\s*[+-]?[1-9]\d{0,2},\d{3}\s*", field):
                    doubtful = field.strip()
                else:
                    with_comma = field.strip()
            elif "." in field and _is_number(field, "."):
                with_point = field.strip()
    if with_comma and with_point:
        raise ValueError(
            f"the text has both {reprlib.repr(with_point)} and {reprlib.repr(with_comma)}; say "
            'which is right by decimal="." or decimal=","'
        )
    if doubtful and not with_comma and not with_point:
        raise ValueError(
            f"{doubtful!r} may be a fraction or some thousands; if it is a fraction, say so by "
            'decimal=","'
        )
    return "," if with_comma else "."


def _is_header(rows: list[list[str]], decimal: str) -> bool:
    """Whether the first of some rows names the columns."""
    if not rows:
        return False
    first, below = [field.strip() for field in rows[0]], rows[1:]
    if not any(_is_number(field, decimal) for field in first):
        return any(first)
    counted = [field for field in first if field.isdecimal()]
    words = [field for field in first if not field.isdecimal()]
    if counted != [str(j) for j in range(len(counted))] or not below:
        return False
    if words:  # of pandas, too: columns without a name are numbered
        return not any(_is_number(field, decimal) for field in words) and (
            len(counted) > 1 or not first[0]
        )
    if below[0] == [str(len(first) + j) for j in range(len(first))]:
        return False  # the rows go on counting: these are samples
    all_fractions = all(decimal in field for row in below for field in row)
    return len(first) > 2 or (len(first) == 2 and all_fractions)


def _numbers_or_names_rows(column: list[str], decimal: str) -> bool:
    """Whether this may be an index: whole numbers, all different, or anything but numbers."""
    if not all(field.strip() for field in column):
        return False
    if not all(_is_number(field, decimal) for field in column):
        return True
    values = {_number(field, decimal) for field in column}
    return len(values) == len(column) and all(value.is_integer() for value in values)


def _find_column(column: Column, names: list[str]) -> int:
    if isinstance(column, str):
        if names.count(column) == 1:
            return names.index(column)
        known = reprlib.repr([name for name in names if name])
        how = "two columns or more are" if column in names else "no column is"
        raise ValueError(f"{how} named {column!r}; there are {known}")
    if isinstance(column, Integral) and 0 <= column < len(names):
        return int(column)
    raise ValueError(f"there is no column {column!r}; they go from 0 to {len(names) - 1}")


def _as_labels(labels: list[str]) -> NDArray[Any]:
    """As whole numbers if that is what they are and nothing is lost."""
    if all(re.fullmatch(r"[+-]?(0|[1-9]\d{0,17})", label, re.ASCII) for label in labels):
        return np.array([int(label) for label in labels], dtype=np.int64)
    return np.array(labels)


def _csv_values(
    line: int, row: list[str], take: list[int], titles: list[str], decimal: str
) -> list[float]:
    """The numbers in some columns of a row."""
    fields = [row[j] for j in take]
    with suppress(ValueError):
        if decimal == "." and "_" not in "".join(fields):  # nearly always, and a third faster
            values = [float(field) for field in fields]
        else:
            values = [_number(field, decimal) for field in fields]
        if all(map(math.isfinite, values)):
            return values
    for j in take:
        field = row[j]
        if not (_is_number(field, decimal) and math.isfinite(_number(field, decimal))):
            what = reprlib.repr(field) if field.strip() else "an empty cell"
            hint = ""
            if field.strip() and not _is_number(field, decimal):
                hint = "; if the column holds labels, say so by labels="
            raise ValueError(
                f"line {line}, column {titles[j]}: {what} is not a finite number{hint}"
            )
    raise AssertionError("one of them was none")


def _number(field: str, decimal: str) -> float:
    """The number, be it NaN or infinite, that a field spells; a ValueError if it does not."""
    if "_" in field:  # 1_5 would be 15
        raise ValueError("no number")
    if decimal == ",":
        if "." in field or field.rstrip().endswith(","):
            raise ValueError("no number")
        field = field.replace(",", ".")
    return float(field)


def _is_number(field: str, decimal: str) -> bool:
    try:
        _number(field, decimal)
    except ValueError:
        return False
    return True


def _as_samples(values: NDArray[Any], scale: bool | None) -> NDArray[np.floating[Any]]:
    if values.ndim < 2:
        raise ValueError(
            f"the array is {values.ndim}-D, of shape {values.shape}; "
            "two axes or more are needed, samples along the first"
        )
    is_single = values.dtype.newbyteorder("=") == np.float32
    with np.errstate(all="ignore"):  # what overflows in the cast is found below
        dtype: type[np.floating[Any]] = np.float32 if is_single else np.float64
        X = values.reshape(len(values), -1).astype(dtype, "C")
    if scale or (scale is None and values.dtype == np.uint8 and values.max() > 1):
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
        check_real("every eigenvalue", value, 0)
    check_integer("n_samples", n_samples, spectrum.size + 1 if exact else 1)

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
    check_integer("n_samples", n_samples, 1)
    check_real("noise", noise, 0)
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
    check_integer("n_samples", n_samples, 1)
    check_integer("n_features", n_features, 1)
    check_integer("n_atoms", n_atoms, 1)
    check_integer("n_active", n_active, 1, n_atoms)
    check_real("noise", noise, 0)

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


class Sprites(NamedTuple):
    """Images `X` (n, side²) of one shape each, and what they show.

    `positions` (n, 2) are the row and the column of its middle and `sizes` (n,) half its width,
    all in pixels; `kinds` (n,) are 0 for a disc, 1 for a square, 2 for a diamond.

    Examples
    --------
    >>> from nanoae import datasets
    >>> sprites = datasets.make_sprites(100, side=8, random_state=0)
    >>> sprites.X.shape, sprites.positions.shape, sorted(set(sprites.kinds.tolist()))
    ((100, 64), (100, 2), [0, 1, 2])
    """

    X: NDArray[np.float64]
    positions: NDArray[np.float64]
    sizes: NDArray[np.float64]
    kinds: NDArray[np.int64]


def make_sprites(
    n_samples: int = 1000, *, side: int = 16, random_state: RandomState = None
) -> Sprites:
    """Draw images of a white shape on black: a disc, a square or a diamond.

    Its middle may be anywhere, between pixels too, as long as all of it is in the image. Half its
    width is uniform in [side/8, side/4]. A pixel's value falls from 1 to 0 across the edge, over
    the width of a pixel: so images change smoothly with what they show, and are fixed by three
    numbers and a kind, whatever their side.

    Parameters
    ----------
    n_samples : int
        At least 1.
    side : int
        Pixels of an image's side, at least 4.
    random_state : int, Generator or None

    Returns
    -------
    Sprites
        A named tuple: `X` of shape (n_samples, side²), values in [0, 1]; `positions`, `sizes`
        and `kinds`.

    Raises
    ------
    ValueError
        If an argument is outside its range.

    Examples
    --------
    >>> from nanoae import datasets
    >>> X, positions, sizes, kinds = datasets.make_sprites(3, random_state=0)
    >>> image = X[0].reshape(16, 16)
    >>> row, column = positions[0].round().astype(int)
    >>> float(image[row, column]), float(image[0, 0])  # in its middle, and in a corner
    (1.0, 0.0)
    """
    check_integer("n_samples", n_samples, 1)
    check_integer("side", side, 4)
    rng = np.random.default_rng(random_state)
    kinds = rng.integers(3, size=n_samples)
    sizes = rng.uniform(side / 8, side / 4, n_samples)
    positions = sizes[:, None] + rng.random((n_samples, 2)) * (side - 1 - 2 * sizes[:, None])
    away = np.abs(np.arange(side) - positions[:, :, None])  # of each row and column
    down, across = away[:, 0, :, None], away[:, 1, None, :]
    kind, size = kinds[:, None, None], sizes[:, None, None]
    beyond_the_edge = np.select(
        [kind == 0, kind == 1],
        [np.hypot(down, across) - size, np.maximum(down, across) - size],
        (down + across - size) / np.sqrt(2),
    )
    X = np.clip(0.5 - beyond_the_edge, 0, 1).reshape(n_samples, side**2)
    return Sprites(X, positions, sizes, kinds)
