"""What a pass is made of: ``python -m benchmarks --profile``."""

from __future__ import annotations

import inspect
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from benchmarks.measure import markdown
from benchmarks.race import Comparison, Side
from nanoae.network import Layer

# of all functions of a module, or of one; those of layers are told apart by the class
PARTS = {
    "nanoae.losses": "loss",
    "nanoae.network.jacobian": "Jacobian",
    "nanoae.optimizers": "optimizer",
    "nanoae.training.batches": "gathering",
    "nanoae.arrays.standard_normal": "noise",
    "nanoae.models.masked.MaskedAutoencoder._draw_masks": "noise",
    "nanoae.arrays.Moments.add": "mean and covariance",
    "nanoae.lbfgs": "L-BFGS",
}
PASSES = 3


class Stopwatch:
    """Times named parts; of parts inside one another, each only what is its own."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = defaultdict(float)
        self._open: list[str] = []
        self._since = 0.0

    def _switch(self) -> None:
        now = time.perf_counter()
        if self._open:
            self._seconds[self._open[-1]] += now - self._since
        self._since = now

    def __call__(
        self, part: str, function: Callable[..., Any], *, by_class: bool = False
    ) -> Callable[..., Any]:
        """The function, timed; by class, the part is one of its first argument's."""

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            self._switch()
            self._open.append(f"{type(args[0]).__name__} {part}" if by_class else part)
            try:
                return function(*args, **kwargs)
            finally:
                self._switch()
                self._open.pop()

        def wrapped_generator(*args: Any, **kwargs: Any) -> Any:
            take = self(part, function(*args, **kwargs).__next__)
            try:
                while True:
                    yield take()
            except StopIteration:
                return

        return wrapped_generator if inspect.isgeneratorfunction(function) else wrapped

    def read(self) -> dict[str, float]:
        """Seconds of each part since it was last read."""
        seconds, self._seconds = self._seconds, defaultdict(float)
        return seconds


def watch_all(stopwatch: Stopwatch) -> None:
    """Put a timed one in the place of every function of nanoae that is a part of its own."""
    done: dict[Any, Any] = {}

    def timed(value: Any) -> Any:
        """What is to stand in the place of a function, or of a table with functions in it."""
        if isinstance(value, FunctionType):
            if value not in done:
                name = f"{value.__module__}.{value.__qualname__}"
                part = PARTS.get(name) or PARTS.get(value.__module__)
                done[value] = value if part is None else stopwatch(part, value)
            return done[value]
        if isinstance(value, dict):
            value.update({key: timed(inner) for key, inner in value.items()})
        elif isinstance(value, tuple) and hasattr(value, "_fields"):
            return type(value)(*map(timed, value))
        return value

    def watch(owner: ModuleType | type) -> None:
        for name, value in list(vars(owner).items()):
            if name.startswith("__") and name != "__call__":
                continue
            way = "forward" if name == "__call__" else name.partition("_")[0]
            is_function = isinstance(value, FunctionType)
            if isinstance(owner, type) and issubclass(owner, Layer) and is_function:
                if way in ("forward", "backward"):
                    setattr(owner, name, stopwatch(way, value, by_class=True))
            elif (replacement := timed(value)) is not value:
                setattr(owner, name, replacement)

    modules = [module for name, module in sys.modules.items() if name.startswith("nanoae")]
    classes = {
        value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, type) and value.__module__.startswith("nanoae")
    }
    for owner in (*modules, *classes):
        watch(owner)


def profile(comparisons: Sequence[Comparison], path: Path) -> str:
    """A table of what passes of ours are made of, the largest part first."""
    lines = []
    for comparison in comparisons:
        with Side(comparison.title, comparison.first, path, by_parts=True) as side:
            side.turn()  # the first does not count
            side.ask("parts")
            for _ in range(PASSES):
                side.turn()
            parts = side.ask("parts")
        if parts is None:
            lines.append((comparison.title, "", side.death))
            continue
        whole = sum(parts.values())
        shares = sorted(((own / whole, part) for part, own in parts.items()), reverse=True)
        ms = 1000 * whole / PASSES / comparison.passes
        largest = ", ".join(f"{part} {share:.0%}" for share, part in shares if share >= 0.01)
        lines.append((comparison.title, f"{ms:.3g}", largest))
    return markdown(("workload", "ms a pass", "parts"), lines)
