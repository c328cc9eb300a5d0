"""Workload 6: time to import, memory, and what a training step allocates."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import tracemalloc
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from benchmarks.measure import Row, timed
from benchmarks.networks import reference_vae

IMPORT = """
import time, numpy
start = time.perf_counter()
import nanoae
print(time.perf_counter() - start)
"""

# VmHWM and not getrusage: its maximum begins with that of the process which started this one
MEMORY = """
import re, sys
import numpy as np
from benchmarks.networks import reference_vae

def peak():
    return int(re.search(r"VmHWM:\\s*(\\d+) kB", open("/proc/self/status").read())[1]) / 1024

X, model = np.load(sys.argv[1]), reference_vae()
before = peak()
model.set_params(max_iter=2).fit(X)
print(peak() - before)
"""


def resources(path: Path, rounds: int) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:  # compiled as it is after the first import
        kept = {"PYTHONPYCACHEPREFIX": folder, "PYTHONDONTWRITEBYTECODE": ""}
        _run(IMPORT, **kept)
        seconds = np.median([float(_run(IMPORT, **kept)) for _ in range(max(rounds, 3))])
    rows = [Row("6 resources", "import nanoae after numpy (s)", seconds, 0.15)]
    if Path("/proc/self/status").exists():
        megabytes = float(_run(MEMORY, str(path)))
        rows.append(
            Row("6 resources", "peak memory of workload 1 over its data (MB)", megabytes, 60)
        )
    X, model = np.load(path), reference_vae()
    growth = growth_of_steps(model, X, max_iter=3)
    n_steps = -(-len(X) // model.batch_size)
    # from the second pass on; where a new pass begins, the loop makes its one batch array
    between_passes = growth[n_steps::n_steps]
    largest = max(g for i, g in enumerate(growth) if i > n_steps and i % n_steps)
    batch = model.batch_size * X[0].nbytes
    rows.append(
        Row(
            "6 resources", "largest allocation in a step / a batch", largest / batch, 1,
            f"{largest:,} bytes; a batch has {batch:,}; between passes {max(between_passes):,}",
        )
    )  # fmt: skip
    return rows


def suite() -> Row:
    """Of the tests, on one thread."""
    command = [sys.executable, "-m", "pytest", "-q"]
    seconds, done = timed(lambda: subprocess.run(command, capture_output=True, text=True))
    return Row("6 resources", "tests (s)", seconds, None, done.stdout.splitlines()[-1])


def growth_of_steps(model: Any, X: np.ndarray, *, max_iter: int) -> list[int]:
    """Of a fit, the peak of what is allocated between one call of the loss and the next, beyond
    what there was before."""
    growth, before, loss_and_gradient = [], 0, type(model).loss_and_gradient

    def watched(*args):
        nonlocal before
        now, peak = tracemalloc.get_traced_memory()
        growth.append(peak - before if growth else 0)
        before = now
        tracemalloc.reset_peak()
        return loss_and_gradient(*args)

    with patch.object(type(model), "loss_and_gradient", watched):
        tracemalloc.start()
        model.set_params(max_iter=max_iter).fit(X)
        tracemalloc.stop()
    return growth


def _run(code: str, *args: str, **variables: str) -> str:
    command, environment = [sys.executable, "-c", code, *args], {**os.environ, **variables}
    return subprocess.run(
        command, check=True, capture_output=True, text=True, env=environment
    ).stdout
