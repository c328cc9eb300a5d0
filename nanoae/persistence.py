"""Files of models, and checkpoints of their training: one npz each, without pickle."""

from __future__ import annotations

import copy
import io
import json
import os
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from nanoae.arrays import Array, blocks
from nanoae.datasets import npy_header
from nanoae.denoising import Corruption
from nanoae.network import Architecture
from nanoae.upgrade import from_format_1, with_added
from nanoae.validation import check_integer

FORMAT = 2
Class = TypeVar("Class")
# frozen dataclasses that are kept by the name of their class, and their fields
NAMED: dict[str, type] = {"architecture": Architecture, "corruption": Corruption}
BIT_GENERATORS = ("PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64")


def write(path: str | os.PathLike[str], tree: dict[str, Any]) -> None:
    """Write a tree of dicts, lists, numbers, strings, arrays and generators to one file.

    Each array is an entry of the npz; the rest is JSON, in one more. The file appears whole or
    not at all: it is written under another name and renamed.

    Parameters
    ----------
    path : path-like
    tree : dict

    Raises
    ------
    TypeError
        Something in the tree is of another kind.
    OSError
        The file cannot be written; an old one is left as it was.
    """
    arrays: dict[str, Array] = {}
    text = json.dumps({"format": FORMAT, "tree": _flatten(tree, "", arrays)})
    arrays["nanoae"] = np.frombuffer(text.encode(), dtype=np.uint8)
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{str(path)!r} is in a folder that does not exist.")
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with temporary.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
            file.flush()
            os.fsync(file.fileno())  # or a power cut could leave the new name on an empty file
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def read(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The tree that `write` wrote.

    Nothing in a file can run code, nor take more memory than a few times the file's own size.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    dict

    Raises
    ------
    OSError
        There is no such file, or it cannot be read.
    ValueError
        It is no file of ours, or damaged, or of a later version.
    """
    data = Path(path).read_bytes()
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            if sum(entry.file_size for entry in entries) > len(data):
                raise ValueError("its entries claim to be larger than the file")
            arrays = {e.filename.removesuffix(".npy"): _array(archive.read(e)) for e in entries}
        if "nanoae" not in arrays:
            raise ValueError("it lacks the entry 'nanoae'")
        header = json.loads(arrays.pop("nanoae").tobytes())
        version, tree = header["format"], header["tree"]
        if version in (1, FORMAT):
            result = _unflatten(tree, arrays)
            if isinstance(result, dict):
                return from_format_1(result) if version == 1 else result
    except Exception as error:  # of many kinds: those of zipfile, zlib, NumPy and json
        raise ValueError(
            f"{path} is no file of a nanoae model, or it is damaged ({error})."
        ) from None
    raise ValueError(f"{path} has format {version!r}, but this nanoae reads 1 and {FORMAT}.")


def _array(data: bytes) -> Array:
    """The array of one entry, without trusting its header."""
    dtype, shape, order, offset = npy_header(data)
    if dtype.kind not in "biuf":
        raise ValueError(f"an array of {dtype}")
    array = np.frombuffer(data, dtype, offset=offset)
    return array.reshape(shape, order=order).astype(dtype.newbyteorder("="))


def _flatten(value: Any, name: str, arrays: dict[str, Array]) -> Any:
    """``value`` for JSON, with its arrays put into ``arrays`` under their names."""
    if isinstance(value, dict):
        prefix = f"{name}." if name else ""
        return {key: _flatten(part, f"{prefix}{key}", arrays) for key, part in value.items()}
    if isinstance(value, tuple):
        return {"tuple": _flatten([*value], name, arrays)}
    if isinstance(value, list):
        return [_flatten(part, f"{name}[{i}]", arrays) for i, part in enumerate(value)]
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        arrays[name] = value
        return {"array": name}
    for kind, base in NAMED.items():
        if isinstance(value, base):
            fields = _flatten(vars(value), name, arrays)
            return {kind: type(value).__name__, "fields": fields}
    if isinstance(value, np.random.Generator):
        return {"generator": _flatten(value.bit_generator.state, name, arrays)}
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"{name} cannot be written to a file: {value!r}.")


def _unflatten(value: Any, arrays: dict[str, Array]) -> Any:
    if isinstance(value, list):
        return [_unflatten(part, arrays) for part in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {"tuple"}:
        return tuple(_unflatten(value["tuple"], arrays))
    if value.keys() == {"array"}:
        return arrays[value["array"]]
    if value.keys() == {"generator"}:
        return generator(_unflatten(value["generator"], arrays))
    parts = {key: _unflatten(part, arrays) for key, part in value.items()}
    for kind in NAMED:
        if value.keys() == {kind, "fields"}:
            return named(kind, parts[kind], parts["fields"])
    return parts


def named(kind: str, name: str, fields: dict[str, Any]) -> Any:
    """The object of this class: one of ours, or of your own if it has been imported."""
    known: dict[str, type] = derived(NAMED[kind])
    if name not in known:
        raise ValueError(
            f"its {kind} {name!r} is none of {', '.join(sorted(known))}; one of your own is to be "
            "imported first"
        )
    return known[name](**fields)


def derived(base: type[Class]) -> dict[str, type[Class]]:
    """All classes derived from one, by name."""
    return {
        name: found
        for direct in base.__subclasses__()
        for name, found in {direct.__name__: direct, **derived(direct)}.items()
    }


def generator(state: dict[str, Any]) -> np.random.Generator:
    """A generator that goes on from the ``state`` of another one's ``bit_generator``."""
    name = state["bit_generator"]
    if name not in BIT_GENERATORS:
        raise ValueError(f"unknown random generator {name!r}")
    bit_generator = getattr(np.random, name)()
    bit_generator.state = state
    return np.random.Generator(bit_generator)


def _fingerprint(array: Array) -> str:
    """What tells an array from others, in words."""
    checksum = 0
    for block in blocks(array.reshape(len(array), -1), array.dtype):
        checksum = zlib.crc32(block.data, checksum)
    return f"an array of shape {array.shape}, {array.dtype}, checksum {checksum:08x}"


def _in_words(value: Any, name: str) -> str:
    """A hyper-parameter, with what tells its arrays from others."""
    arrays: dict[str, Array] = {}
    text = json.dumps(_flatten(value, name, arrays))
    return ", ".join([text, *(_fingerprint(np.atleast_1d(array)) for array in arrays.values())])


class Checkpoint:
    """A file from which a training goes on, should it not come to its end.

    Parameters
    ----------
    path : path-like
        If there is such a file, training goes on from it.
    every : int
        Epochs from one writing to the next.
    model_tree : callable
        What `write` is to keep of the model, given the outcome of its training so far and the
        state of the loop.

    Attributes
    ----------
    state : dict or None
        What the training loop knew when the file was written; None if there is no file yet.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        every: int,
        model_tree: Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]],
    ) -> None:
        check_integer("checkpoint_every", every, 1)
        self._path, self._every, self._model_tree = Path(path), every, model_tree
        if not self._path.parent.is_dir():
            raise ValueError(
                f"checkpoint must be a file in a folder that exists; got {str(path)!r}."
            )
        self.state: dict[str, Any] | None = None
        self._last: dict[str, Any] | None = None

    def open(
        self, model: dict[str, Any], X: Array, rng: np.random.Generator,
        *, sample_weight: Array | None = None, X_validation: Array | None = None,
    ) -> None:  # fmt: skip
        """Begin a run, or take up the one in the file.

        Parameters
        ----------
        model : dict
            Its class and parameters: but for ``max_iter`` and ``verbose`` those of the run in the
            file.
        X : ndarray of shape (n, d)
            The samples: those of the run in the file.
        sample_weight : ndarray of shape (n,), optional
        X_validation : ndarray of shape (m, d), optional
            Likewise.
        rng : Generator
            Is set to where that run began.

        Raises
        ------
        ValueError
            The file belongs to another run, or is no checkpoint.
        """
        settings = {
            name: _in_words(value, name)
            for name, value in model.items()
            if name not in ("max_iter", "verbose")
        }
        settings["X"] = _fingerprint(X)
        for name, array in (("sample_weight", sample_weight), ("X_validation", X_validation)):
            settings[name] = "None" if array is None else _fingerprint(array)
        self._run = {"settings": settings, "start": rng.bit_generator.state}
        if not self._path.exists():
            return
        tree = read(self._path)
        if "run" not in tree:
            raise ValueError(
                f"checkpoint must be a file that a checkpoint wrote, or a new one; {self._path} "
                "holds a model without its training."
            )
        # a file from before there were these has none of them
        added = {name: json.dumps(value) for name, value in with_added({}, {*settings}).items()}
        theirs = {"sample_weight": "None", "X_validation": "None", **added}
        theirs |= tree["run"]["settings"]
        for name, value in theirs.items():
            if settings.get(name) != value:
                raise ValueError(
                    f"checkpoint {self._path} belongs to another training, in which {name} was "
                    f"{value}; now it is {settings.get(name)}. Remove it, or take another name."
                )
        self._run, self.state = tree["run"], tree["loop"]
        rng.bit_generator.state = self._run["start"]

    def save(self, state: dict[str, Any], outcome: dict[str, Any], *, is_last: bool) -> None:
        """Write the file if it is time to. The last state waits for `finish`."""
        if is_last:
            self._last = copy.deepcopy(state)
        elif outcome["n_iter_"] % self._every == 0:
            model = self._model_tree(outcome, state)
            write(self._path, {**model, "run": self._run, "loop": state})

    def finish(self, tree: dict[str, Any]) -> None:
        """Write the file for the last time, with the model as it is now that it is trained."""
        if self._last is not None:
            write(self._path, {**tree, "run": self._run, "loop": self._last})
