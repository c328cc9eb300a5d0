"""Workload 4: the linear autoencoder to 1e-8 rad of the PCA subspace, against n."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.measure import Contestant, Row, compare, timed
from benchmarks.race import Comparison, race
from nanoae import LinearAutoencoder, theory

SIZES = (1_000, 10_000, 100_000, 1_000_000)
CODE, ANGLE = 8, 1e-8


class InTwoParts(LinearAutoencoder):
    """Notes how much of `fit` is training, once the one pass over the data is over."""

    training_seconds = ()

    def _train(self, *args):
        seconds, _ = timed(lambda: super(InTwoParts, self)._train(*args))
        self.training_seconds = (*self.training_seconds, seconds)


def samples(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows whose covariance is the same for every n, to rounding, and its first components."""
    rng = np.random.default_rng(0)
    components = np.linalg.qr(rng.standard_normal((64, 64)))[0]
    root = np.sqrt(np.linspace(64, 1, 64))[:, None] * components.T
    Z = rng.standard_normal((n, 64))
    Z -= Z.mean(axis=0)
    X = Z @ np.linalg.solve(np.linalg.cholesky(Z.T @ Z / n).T, root)
    return X, components[:, :CODE]


def contestant(n: int, name: str, _: np.ndarray) -> Contestant:
    X, subspace = samples(n)
    if name != "nanoae":
        from sklearn.decomposition import PCA

        return Contestant(partial(PCA(CODE).fit, X))
    model = InTwoParts(CODE, random_state=0)

    def tell() -> dict[str, float]:
        return {
            "angle": theory.largest_principal_angle(model.decoder_weight_, subspace),
            "training": np.median(model.training_seconds[1:]),  # the first turn does not count
            "iterations": model.n_iter_,
        }

    return Contestant(partial(model.fit, X), tell)


COMPARISONS = [
    Comparison(
        f"4 linear, n = {n:,}", partial(contestant, n),
        {"scikit-learn's PCA": 5 if n == SIZES[-1] else None},
    )
    for n in SIZES
]  # fmt: skip


def linear(path: Path, rounds: int) -> list[Row]:
    rows, training = [], []
    for comparison in COMPARISONS:
        title = comparison.title
        timings = race(title, ["nanoae", *comparison.limits], path, rounds)
        ours = timings["nanoae"]
        if not ours.death:
            training.append(ours.told["training"])
            details = (
                f"training {training[-1]:.3g} s of it, in {ours.told['iterations']:.0f} iterations"
            )
            rows.append(Row(title, "angle to PCA (rad)", ours.told["angle"], ANGLE, details))
        rows += compare(title, timings, comparison.limits, 1)
    if len(training) == len(SIZES):
        slope = np.polyfit(np.log(SIZES), np.log(training), 1)[0]
        rows.append(Row("4 linear", "slope of log training time in log n", slope, 0.1))
    return rows
