"""How things are timed and compared, and how the results are written down."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

SAME_LOSS = 0.01  # peers whose loss at the end differs by more have not done the same work


class Contestant(NamedTuple):
    """One that takes part: ``train`` is timed, and returns what ``loss`` needs, if anything."""

    name: str
    train: Callable[[], object]
    loss: Callable[[object], float] | None = None


class Timing(NamedTuple):
    """Seconds ``(rounds,)``, and the median loss at the end of a round."""

    seconds: np.ndarray
    loss: float


class Row(NamedTuple):
    """A line of the report. It passes if ``value`` is at most ``limit``."""

    workload: str
    measure: str
    value: float
    limit: float | None = None
    details: str = ""
    void: bool = False

    @property
    def verdict(self) -> str:
        if self.void:
            return "void"
        if self.limit is None:
            return ""
        return "pass" if self.value <= self.limit else "FAIL"


def timed(function: Callable[[], object]) -> tuple[float, object]:
    start = time.perf_counter()
    result = function()
    return time.perf_counter() - start, result


def alternate(contestants: Sequence[Contestant], rounds: int) -> dict[str, Timing]:
    """Let them run in turn, A B A B ..., after one turn each that does not count."""
    for contestant in contestants:
        contestant.train()
    seconds: dict[str, list[float]] = {c.name: [] for c in contestants}
    losses: dict[str, list[float]] = {c.name: [] for c in contestants}
    for _ in range(rounds):
        for name, train, loss in contestants:
            duration, result = timed(train)
            seconds[name].append(duration)
            losses[name].append(np.nan if loss is None else loss(result))
    return {name: Timing(np.array(seconds[name]), np.median(losses[name])) for name in seconds}


def compare(
    workload: str, timings: dict[str, Timing], passes: int, limits: dict[str, float]
) -> list[Row]:
    """The first contestant against each of the others: the median of the rounds' ratios."""
    (our_name, ours), *others = timings.items()
    rows = []
    for name, theirs in others:
        ratio = np.median(ours.seconds / theirs.seconds)
        details = (
            f"{_ms(ours, passes)} and {_ms(theirs, passes)} ms a pass, "
            f"ratios {np.min(ours.seconds / theirs.seconds):.2f} to "
            f"{np.max(ours.seconds / theirs.seconds):.2f}"
        )
        void = False
        if not np.isnan(theirs.loss):
            details += f"; losses {ours.loss:.5g} and {theirs.loss:.5g}"
            void = abs(theirs.loss / ours.loss - 1) > SAME_LOSS
        measure = f"{our_name} / {name}"
        rows.append(Row(workload, measure, ratio, limits.get(name), details, void))
    return rows


def _ms(timing: Timing, passes: int) -> str:
    return f"{1000 * np.median(timing.seconds) / passes:.0f}"


def markdown(columns: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A table in Markdown, padded so that it reads well as plain text."""
    table = [list(columns), *([*line] for line in lines)]
    widths = [max(len(line[i]) for line in table) for i in range(len(columns))]
    table.insert(1, ["-" * width for width in widths])
    return "\n".join(
        "| " + " | ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)) + " |"
        for line in table
    )


def report(rows: Iterable[Row]) -> str:
    return markdown(
        ("workload", "measure", "value", "at most", "", "details"),
        (
            (
                row.workload, row.measure, f"{row.value:.3g}",
                "" if row.limit is None else f"{row.limit:g}", row.verdict, row.details,
            )
            for row in rows
        ),
    )  # fmt: skip
