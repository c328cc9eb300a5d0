"""What is timed, how times are compared, and how the results are written down."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

SAME_LOSS = 0.01  # peers whose loss at the end differs by more have not done the same work


class Contestant(NamedTuple):
    """One that takes part: a turn of ``train`` is timed, and goes on from where the last ended.

    ``tell`` has what there is to tell after the last one: under "loss", what peers must agree on.
    """

    train: Callable[[], object]
    tell: Callable[[], dict[str, float]] = dict


class Timing(NamedTuple):
    """Seconds ``(rounds,)``, what the contestant had to tell, and why it ended if it did early."""

    seconds: np.ndarray
    told: dict[str, float]
    death: str = ""


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


def compare(
    workload: str,
    timings: Mapping[str, Timing],
    limits: Mapping[str, float | None],
    passes: int,
) -> list[Row]:
    """The first contestant against each of the others: the median of the rounds' ratios."""
    (our_name, ours), *others = timings.items()
    rows = []
    for name, theirs in others:
        measure, limit = f"{our_name} / {name}", limits[name]
        if death := ours.death or theirs.death:
            rows.append(Row(workload, measure, np.nan, limit, death, void=True))
            continue
        ratios = ours.seconds / theirs.seconds
        our_ms, their_ms = (1000 * np.median(t.seconds) / passes for t in (ours, theirs))
        details = (
            f"{our_ms:.3g} and {their_ms:.3g} ms a pass, "
            f"ratios {np.min(ratios):.2f} to {np.max(ratios):.2f}"
        )
        same = True
        if "loss" in ours.told and "loss" in theirs.told:
            our_loss, their_loss = ours.told["loss"], theirs.told["loss"]
            details += f"; loss at the end {our_loss:.5g} and {their_loss:.5g}"
            same = abs(their_loss / our_loss - 1) <= SAME_LOSS
        rows.append(Row(workload, measure, np.median(ratios), limit, details, not same))
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
                row.workload, row.measure, "" if np.isnan(row.value) else f"{row.value:.3g}",
                "" if row.limit is None else f"{row.limit:g}", row.verdict, row.details,
            )
            for row in rows
        ),
    )  # fmt: skip
