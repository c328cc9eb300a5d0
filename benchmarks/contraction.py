"""Workload 7: what the penalty of a contractive autoencoder costs, 784-400-20-400-784."""

from __future__ import annotations

from functools import partial

import numpy as np

from benchmarks.measure import Contestant
from benchmarks.race import Comparison
from nanoae import Autoencoder, ContractiveAutoencoder

SHARED = {"hidden_layer_sizes": (400,), "activation": "tanh", "random_state": 0}
KINDS = {
    "linear code, tied": {},
    "linear code": {"decoder": "free"},
    "sigmoid code, 4 probes": {"code_activation": "sigmoid", "n_probes": 4},
    "sigmoid code, all 20 rows": {"code_activation": "sigmoid"},
}


def contestant(kind: str, name: str, X: np.ndarray) -> Contestant:
    if name == "plain":
        return Contestant(partial(Autoencoder(20, **SHARED).partial_fit, X))
    return Contestant(partial(ContractiveAutoencoder(20, **SHARED, **KINDS[kind]).partial_fit, X))


# a step with the penalty may take four without; with all rows it is to be known
COMPARISONS = [
    Comparison(
        f"7 contraction, {kind}", partial(contestant, kind),
        {"plain": None if "all" in kind else 4}, first="penalty",
    )
    for kind in KINDS
]  # fmt: skip
