"""Contestants take turns, A B A B ..., each in a process of its own.

In one process the threads of two libraries wait for each other, and either may look two or three
times slower or faster than it is. So each contestant is a process that trains when told, says how
long that took, and sleeps in between.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks import THREADS
from benchmarks.measure import Contestant, Row, Timing, compare

REST = 0.1  # seconds after a turn, whose threads look out for more work for a while


class Side:
    """A contestant in a process of its own; `benchmarks.child` is what runs there."""

    def __init__(
        self, title: str, name: str, path: Path, *, threads: int = THREADS, by_parts: bool = False
    ) -> None:
        command = [sys.executable, "-m", "benchmarks.child", title, name, str(path)]
        self.name, self.death = name, ""
        self._process = subprocess.Popen(
            [*command, *(["--by-parts"] if by_parts else [])],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=os.environ | {"OPENBLAS_NUM_THREADS": str(threads)},
        )  # fmt: skip

    def ask(self, what: str):
        """The answer, or None from one that has died."""
        with suppress(BrokenPipeError):
            self._process.stdin.write(f"{what}\n")
            self._process.stdin.flush()
        line = self._process.stdout.readline()
        answer = json.loads(line) if line else {}
        if line and "death" not in answer:
            return answer["answer"]
        reason = answer.get("death") or f"status {self._process.wait()}"
        self.death = self.death or f"{self.name} has ended early: {reason}"
        return None

    def turn(self) -> float:
        """Seconds that it took; NaN if it has died."""
        seconds = self.ask("train")
        time.sleep(REST)
        return np.nan if seconds is None else seconds

    def __enter__(self) -> Side:
        return self

    def __exit__(self, *error: object) -> None:
        try:
            self._process.communicate(timeout=10)  # nothing more to ask: it ends
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()


def race(title: str, names: Sequence[str], path: Path, rounds: int) -> dict[str, Timing]:
    """What all need in each round, after one turn each that does not count."""
    with ExitStack() as stack:
        sides = [stack.enter_context(Side(title, name, path)) for name in names]
        _, *seconds = [[side.turn() for side in sides] for _ in range(1 + rounds)]
        told = [side.ask("tell") for side in sides]
    return {
        side.name: Timing(column, its_own or {}, side.death)
        for side, column, its_own in zip(sides, np.transpose(seconds), told, strict=True)
    }


@dataclass(frozen=True)
class Comparison:
    """A workload with contestants.

    Attributes
    ----------
    title : str
    contestant : callable
        Makes one, of its name and the images, in the process where it is to train.
    limits : mapping
        The names of those that the first is compared with, and the most that it may take, in
        their times.
    first : str
    passes : int
        In a turn.
    """

    title: str
    contestant: Callable[[str, np.ndarray], Contestant]
    limits: Mapping[str, float | None]
    first: str = "nanoae"
    passes: int = 1

    def __call__(self, path: Path, rounds: int) -> list[Row]:
        timings = race(self.title, [self.first, *self.limits], path, rounds)
        return compare(self.title, timings, self.limits, self.passes)
