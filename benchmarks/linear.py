"""Workload 4: the linear autoencoder to 1e-8 rad of the PCA subspace, against n."""

from __future__ import annotations

from functools import partial
from importlib.util import find_spec

import numpy as np

from benchmarks.measure import Contestant, Row, alternate, timed
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


def linear(_: np.ndarray, rounds: int) -> list[Row]:
    rows, training = [], []
    for n in SIZES:
        X, subspace = samples(n)
        model = InTwoParts(CODE, random_state=0)
        contestants = [Contestant("nanoae", partial(model.fit, X))]
        if find_spec("sklearn"):
            from sklearn.decomposition import PCA

            contestants.append(Contestant("PCA", partial(PCA(CODE).fit, X)))
        timings = alternate(contestants, min(rounds, 2) if n == SIZES[-1] else rounds)
        angle = theory.largest_principal_angle(model.decoder_weight_, subspace)
        whole = timings["nanoae"].seconds
        training.append(np.median(model.training_seconds[1:]))  # the first turn does not count
        rows.append(
            Row(
                "4 linear", f"angle to PCA at n = {n:,} (rad)", angle, ANGLE,
                f"fit {np.median(whole):.3g} s, of which training {training[-1]:.3g} s in "
                f"{model.n_iter_} iterations",
            )
        )  # fmt: skip
    slope = np.polyfit(np.log(SIZES), np.log(training), 1)[0]
    rows.append(Row("4 linear", "slope of log training time in log n", slope, 0.1))
    if "PCA" in timings:
        ratio, pca = np.median(whole / timings["PCA"].seconds), np.median(timings["PCA"].seconds)
        measure = f"nanoae / scikit-learn's PCA at n = {SIZES[-1]:,}"
        rows.append(Row("4 linear", measure, ratio, 5, f"{np.median(whole):.3g} and {pca:.3g} s"))
    return rows
