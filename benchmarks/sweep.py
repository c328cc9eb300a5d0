"""Workload 5: the sweep over β, and the figure that it is for."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from benchmarks.measure import Row, timed
from figures.beta_tradeoff import BETAS, NOISE_VARIANCE
from nanoae import VAE, beta_sweep, datasets


def sweep(path: Path, rounds: int) -> list[Row]:
    """Once each: they take seconds, and no images."""
    X = datasets.load_digits().X.astype(np.float32)
    # the figure's own nonlinear model
    model = VAE(
        20, hidden_layer_sizes=(128,), noise_variance=NOISE_VARIANCE, batch_size=100,
        learning_rate=3e-3, max_iter=200, n_iter_no_change=200, random_state=0,
    )  # fmt: skip
    in_process, _ = timed(lambda: beta_sweep(X, BETAS, model=model))
    threads = os.environ["OPENBLAS_NUM_THREADS"]
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # of a worker, as in the figure
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as executor:
        side_by_side, _ = timed(lambda: beta_sweep(X, BETAS, model=model, executor=executor))
    os.environ["OPENBLAS_NUM_THREADS"] = threads
    with tempfile.TemporaryDirectory() as folder:
        out = str(Path(folder, "beta.png"))
        command = [sys.executable, "-m", "figures.beta_tradeoff", "--out", out]
        main_job, _ = timed(lambda: subprocess.run(command, check=True, capture_output=True))
    n = len(BETAS)
    return [
        Row("5 β sweep", f"{n} VAEs on the digits, one after the other (s)", in_process, None),
        Row("5 β sweep", f"{n} VAEs on the digits, one process a core (s)", side_by_side, 15),
        Row("5 β sweep", "python -m figures.beta_tradeoff (s)", main_job, 30),
    ]
