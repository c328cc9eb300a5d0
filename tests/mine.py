"""A reader's functions in place of the package's: ``pytest --equation=3.1 --mine=my.py``."""

from __future__ import annotations

import difflib
import functools
import importlib
import pkgutil
import runpy
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from theory_report import Record
from traceability import citations

import nanoae


class Mine:
    """What stands in place of what, and how often it was called.

    Attributes
    ----------
    calls : dict
        For each function of the file, by its name there.
    """

    def __init__(self) -> None:
        self.calls: dict[str, int] = {}

    def put_in_place(
        self, path: str, set_: Callable = setattr, set_item: Callable | None = None
    ) -> None:
        """Put every function of a file where the package has one of that name.

        ``Dense__backward`` is the method ``backward`` of ``Dense``. What begins with an
        underscore, and what the file has imported, is the file's own.
        """
        if not Path(path).is_file():
            raise pytest.UsageError(f"--mine must be a file of yours; there is no {path!r}.")
        for name, function in runpy.run_path(path).items():
            code = getattr(function, "__code__", None)
            if name.startswith("_") or code is None or code.co_filename != path:
                continue
            self.calls[name] = 0
            replace(name, self._counted(name, function), path, set_, set_item or _set_item)

    def _counted(self, name: str, function: Callable) -> Callable:
        @functools.wraps(function)
        def counted(*args: Any, **kwargs: Any) -> Any:
            self.calls[name] += 1
            return function(*args, **kwargs)

        return counted

    def lines(self, records: dict[str, Record], failed: int = 0) -> list[str]:
        """What was called how often, and which claims fail, for the end of a run.

        A test may have ``failed`` with an error before it measured anything.
        """
        called = [
            f"{name}: yours was called {n} times"
            if n
            else f"{name}: yours was NEVER CALLED by these tests, which say nothing of it"
            for name, n in self.calls.items()
        ]
        off = [
            f"({number}) FAILS with yours: off by {record.error:.3g}, more than {record.bound:.3g}"
            for number, record in sorted(records.items())
            if not record.error <= record.bound
        ]
        if failed and not off:
            tests = "1 test fails" if failed == 1 else f"{failed} tests fail"
            off = [f"{tests} with yours, though no claim was measured to be off: see E above"]
        return called + (off or ["no claim that was tried fails with yours"])


def ours(number: str) -> list[str]:
    """What the package has of an equation, by the names that ``--mine`` takes."""
    names = {name for n, _, name, _ in citations() if n == number and name}
    return sorted(n.replace(".", "__") for n in names if not n.rpartition(".")[2].startswith("_"))


@functools.cache
def modules() -> list[ModuleType]:
    """The package and all that is in it, but what draws."""
    return [nanoae] + [
        importlib.import_module(m.name)
        for m in pkgutil.walk_packages(nanoae.__path__, "nanoae.")
        if not m.name.endswith((".plotting", ".__main__"))
    ]


@functools.cache
def tables() -> list[dict]:
    """Losses, likelihoods, activations: they hold functions, too."""
    found = [t for m in modules() for t in vars(m).values() if isinstance(t, dict) and t]
    different = {id(t): t for t in found}.values()
    return [t for t in different if all(hasattr(entry, "_replace") for entry in t.values())]


def replace(name: str, function: Callable, path: str, set_: Callable, set_item: Callable) -> None:
    """Put ``function`` wherever the package has what is of that name."""
    owner, _, method = name.partition("__")
    found = [m for m in modules() if owner in vars(m)]
    if not found or (method and not hasattr(vars(found[0])[owner], method)):
        names = {n for m in modules() for n in vars(m) if not n.startswith("_")}
        near = difflib.get_close_matches(owner, names, 1)
        raise pytest.UsageError(
            f"{path}: nanoae has no {name.replace('__', '.')}"
            + (f"; did you mean {near[0]}?" if near and not found else ".")
            + " Names of your own helpers begin with an underscore."
        )
    old = vars(found[0])[owner]
    if method:
        kind = old.__dict__.get(method)
        set_(old, method, property(function) if isinstance(kind, property) else function)
        return
    for module in found:
        set_(module, owner, function)
    for table in tables():
        for key, entry in list(table.items()):
            changed = {f: function for f in entry._fields if getattr(entry, f) is old}
            if changed:
                set_item(table, key, entry._replace(**changed))


def _set_item(table: dict, key: Any, value: Any) -> None:
    table[key] = value
