"""How things are timed and compared, and how the results are written down."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

SAME_LOSS = 0.01  # peers whose loss at the end differs by more have not done the same work


class Contestant(NamedTuple):
    """One that takes part: ``train`` is timed, and goes on from where its last call ended."""

    name: str
    train: Callable[[], object]
    loss: Callable[[], float] | None = None


class Timing(NamedTuple):
    """Seconds ``(rounds,)``, and the loss at the end of all rounds."""

    seconds: np.ndarray
    loss: float | None


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
    """Let them run in turn, A B A B ..., after one turn each that is not timed."""
    for contestant in contestants:
        contestant.train()
    seconds = [[timed(contestant.train)[0] for contestant in contestants] for _ in range(rounds)]
    return {
        contestant.name: Timing(column, contestant.loss and contestant.loss())
        for contestant, column in zip(contestants, np.transpose(seconds), strict=True)
    }


def compare(
    workload: str, timings: dict[str, Timing], passes: int, limits: dict[str, float]
) -> list[Row]:
    """The first contestant against each of the others: the median of the rounds' ratios."""
    (our_name, ours), *others = timings.items()
    rows = []
    for name, theirs in others:
        ratios = ours.seconds / theirs.seconds
        our_ms, their_ms = (1000 * np.median(t.seconds) / passes for t in (ours, theirs))
        details = (
            f"{our_ms:.3g} and {their_ms:.3g} ms a pass, "
            f"ratios {np.min(ratios):.2f} to {np.max(ratios):.2f}"
        )
        same = True
        if ours.loss is not None and theirs.loss is not None:
            details += f"; loss at the end {ours.loss:.5g} and {theirs.loss:.5g}"
            same = abs(theirs.loss / ours.loss - 1) <= SAME_LOSS
        measure = f"{our_name} / {name}"
        rows.append(Row(workload, measure, np.median(ratios), limits.get(name), details, not same))
    return rows


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
