"""What a pass of workload 1 is made of: ``python -m benchmarks --profile``."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any
from unittest.mock import patch

import numpy as np

from benchmarks.measure import markdown, timed
from benchmarks.networks import reference_vae
from nanoae import VAE, losses, training
from nanoae.models import vae
from nanoae.network import Dense
from nanoae.optimizers import Adam


class Stopwatch:
    """Times named parts; of parts inside one another, each only what is its own."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._open: list[str] = []
        self._since = 0.0

    def _switch(self) -> None:
        now = time.perf_counter()
        if self._open:
            self.seconds[self._open[-1]] += now - self._since
        self._since = now

    def __call__(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, timed."""

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            self._switch()
            self._open.append(part)
            try:
                return function(*args, **kwargs)
            finally:
                self._switch()
                self._open.pop()

        return wrapped


def profile(X: np.ndarray) -> str:
    """A table of parts, in ms and in shares of a pass."""
    model, passes = reference_vae(), 3
    model.partial_fit(X)  # not the first pass
    watch = Stopwatch()
    batches = training.batches

    def timed_batches(*args: Any, **kwargs: Any) -> Any:
        gather = watch("gather the batch", iter(batches(*args, **kwargs)).__next__)
        try:
            while True:
                yield gather()
        except StopIteration:
            return

    places = [
        (Dense, "forward", "the layers forward"),
        (Dense, "backward", "the layers backward"),
        (losses, "bernoulli_nll", "reconstruction loss and gradient"),
        (vae, "gaussian_kl", "KL and gradient"),
        (vae, "standard_normal", "noise"),
        (Adam, "step", "Adam"),
        (VAE, "partial_fit", "the rest"),
    ]
    with ExitStack() as stack:
        stack.enter_context(patch.object(training, "batches", timed_batches))
        for owner, name, part in places:
            stack.enter_context(patch.object(owner, name, watch(part, getattr(owner, name))))
        seconds, _ = timed(lambda: [model.partial_fit(X) for _ in range(passes)])
    return markdown(
        ("part of workload 1", "ms a pass", "share"),
        (
            (part, f"{1000 * own / passes:.1f}", f"{own / seconds:.1%}")
            for part, own in sorted(watch.seconds.items(), key=lambda item: -item[1])
        ),
    )
