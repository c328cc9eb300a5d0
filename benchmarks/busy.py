"""What a busy machine does to a pass of workload 1: ``python -m benchmarks --busy``."""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from benchmarks.measure import markdown
from benchmarks.networks import VAES
from benchmarks.race import Side

BUSY = {"quiet": 0, "one busy process": 1, "two": 2}


def beside_busy_processes(path: Path, rounds: int) -> str:
    """A table of medians, ms a pass, and how many times the quiet one that is."""
    lines = []
    with ExitStack() as stack:
        sides = [
            (threads, stack.enter_context(Side(VAES.title, name, path, threads=threads)))
            for name in ("nanoae", "PyTorch")
            for threads in (1, 2)
        ]
        for _, side in sides:
            side.turn()
        ms = np.array(
            [_medians(n_busy, [s for _, s in sides], rounds) for n_busy in BUSY.values()]
        )
    for (threads, side), (quiet, *others) in zip(sides, ms.T, strict=True):
        cells = [f"{each:.0f} ({each / quiet:.1f} times)" for each in others]
        lines.append((side.name, str(threads), f"{quiet:.0f}", *cells))
    return markdown(("workload 1, ms a pass", "threads", *BUSY), lines)


def _medians(n_busy: int, sides: list[Side], rounds: int) -> np.ndarray:
    """Of the turns of all sides, beside so many processes that do nothing but burn a core."""
    burning = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(n_busy)]
    try:
        seconds = [[side.turn() for side in sides] for _ in range(rounds)]
    finally:
        for process in burning:
            process.kill()
            process.wait()
    return 1000 * np.median(seconds, axis=0)
