"""Workload 7: what the penalty of a contractive autoencoder costs, 784-400-20-400-784."""

from __future__ import annotations

from functools import partial

import numpy as np

from benchmarks.measure import Contestant, Row, alternate, timed
from nanoae import Autoencoder, ContractiveAutoencoder
from nanoae.models import contractive

SHARED = {"hidden_layer_sizes": (400,), "activation": "tanh", "random_state": 0}
KINDS = {  # with the most that a step with the penalty may take, in steps without
    "linear code, tied": ({}, 4),
    "linear code": ({"decoder": "free"}, 4),
    "sigmoid code, 4 probes": ({"code_activation": "sigmoid", "n_probes": 4}, 4),
    "sigmoid code, all 20 rows": ({"code_activation": "sigmoid"}, None),
}


def contraction(X: np.ndarray, rounds: int) -> list[Row]:
    """A pass of Adam in batches of 128, against one of the plain autoencoder."""
    models = {"plain": Autoencoder(20, **SHARED)}
    for name, (more, _) in KINDS.items():
        models[name] = ContractiveAutoencoder(20, **SHARED, **more)
    contestants = [Contestant(name, partial(m.partial_fit, X)) for name, m in models.items()]
    timings = alternate(contestants, rounds)
    plain, rows = timings["plain"].seconds, []
    for name, (_, limit) in KINDS.items():
        ratios, ms = timings[name].seconds / plain, 1000 * np.median(timings[name].seconds)
        part = share_of_the_penalty(models[name], X)
        details = (
            f"{ms:.3g} and {1000 * np.median(plain):.3g} ms a pass, ratios {np.min(ratios):.2f} "
            f"to {np.max(ratios):.2f}; {part:.0%} of it the norm and its gradient"
        )
        rows.append(Row("7 contraction", f"{name} / plain", np.median(ratios), limit, details))
    return rows


def share_of_the_penalty(model: ContractiveAutoencoder, X: np.ndarray) -> float:
    """Of the time of a pass: the norm of the Jacobian, and what it asks of each layer."""
    right, seconds = contractive.squared_jacobian, []

    def watched(*args):
        part, found = timed(partial(right, *args))
        seconds.append(part)
        return found

    contractive.squared_jacobian = watched
    try:
        whole, _ = timed(partial(model.partial_fit, X))
    finally:
        contractive.squared_jacobian = right
    return sum(seconds) / whole
