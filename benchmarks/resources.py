"""Workload 6: time to import, memory, and what a training step allocates."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import tracemalloc
from pathlib import Path

import numpy as np

from benchmarks.measure import Row, timed
from benchmarks.networks import reference_vae
from nanoae import VAE

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


def resources(X: np.ndarray, rounds: int) -> list[Row]:
    seconds = np.median([float(_run(IMPORT)) for _ in range(max(rounds, 3))])
    rows = [Row("6 resources", "import nanoae after numpy (s)", seconds, 0.15)]
    if Path("/proc/self/status").exists():
        with tempfile.TemporaryDirectory() as folder:
            np.save(Path(folder, "X.npy"), X)
            megabytes = float(_run(MEMORY, str(Path(folder, "X.npy"))))
        rows.append(
            Row("6 resources", "peak memory of workload 1 over its data (MB)", megabytes, 60)
        )
    model = Watched(**{**reference_vae().get_params(), "max_iter": 3})
    tracemalloc.start()
    model.fit(X)
    tracemalloc.stop()
    n_steps = -(-len(X) // model.batch_size)
    # from the second pass on; where a new pass begins, the loop makes its one batch array
    between_passes = model.growth[n_steps::n_steps]
    largest = max(g for i, g in enumerate(model.growth) if i > n_steps and i % n_steps)
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


class Watched(VAE):
    """Notes the peak of what is allocated and let go between one call of the loss and the next."""

    def loss_and_gradient(self, X, rng=None):
        now, peak = tracemalloc.get_traced_memory()
        self.growth = [*vars(self).get("growth", ()), peak - vars(self).get("before", now)]
        self.before = now
        tracemalloc.reset_peak()
        return super().loss_and_gradient(X, rng)


def _run(code: str, *args: str) -> str:
    command = [sys.executable, "-c", code, *args]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
