"""Files from before there was this or that, read as if the present version had written them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

RENAMED = {
    "_built_with": "_fitted_params",
    "_training": "_training_state",
    "_kept": "_kept_epoch",
}
# hyper-parameters that have come since, and what models did before there were these
ADDED: dict[str, Any] = {"corruption": None, "dropout": 0.0}
ONLY_VAE = ("hidden_layer_sizes", "activation", "architecture", "likelihood", "beta_warmup")


def with_added(params: dict[str, Any], names: set[str]) -> dict[str, Any]:
    """Hyper-parameters as the present version has them, of a model that has these ``names``.

    Examples
    --------
    >>> from nanoae.upgrade import with_added
    >>> with_added({"n_components": 3}, {"n_components", "corruption"})
    {'corruption': None, 'n_components': 3}
    """
    return {name: value for name, value in ADDED.items() if name in names} | params


def from_format_1(tree: dict[str, Any]) -> dict[str, Any]:
    """The tree of a model, or of a checkpoint, as format 2 has it.

    Then the linear Gaussian VAE was a `VAE` without hidden layers, whose solver was chosen by
    itself; there was no architecture but the MLP; and linear and sparse models kept their mean and
    covariance each in its own way, others none.

    Examples
    --------
    >>> from nanoae.upgrade import from_format_1
    >>> params = {"hidden_layer_sizes": (), "likelihood": "gaussian", "solver": "auto"}
    >>> state = {**params, "_built_with": {**params}, "n_samples_seen_": 9, "n_features_in_": 2}
    >>> tree = from_format_1({"class": "VAE", "state": state})
    >>> tree["class"], tree["state"]["solver"]
    ('LinearVAE', 'lbfgs')
    """
    state = {RENAMED.get(key, key): value for key, value in tree["state"].items()}
    name = tree["class"]
    is_linear_vae = name == "VAE" and _is_linear(state["_fitted_params"])
    if is_linear_vae:
        name = "LinearVAE"
    for params in (state, state["_fitted_params"]):
        if name in ("Autoencoder", "VAE"):
            params["architecture"] = None
        if is_linear_vae:
            for key in ONLY_VAE:
                params.pop(key, None)
        if params.get("solver") == "auto":
            params["solver"] = "lbfgs" if is_linear_vae else "adam"
    state.pop("_warmth", None)
    state["_moments"] = _moments(state)
    upgraded = {**tree, "class": name, "state": state}
    if "run" in tree:
        settings = {**tree["run"]["settings"], "model": json.dumps(name)}
        if settings.get("solver") == '"auto"':
            settings["solver"] = '"adam"'  # the others had no checkpoints
        loop = {**tree["loop"]}
        for key in ("values", "best_values"):
            loop[key] = np.ravel(loop[key])
        if "rounds_since_best" in loop:
            loop["epochs_since_best"] = loop.pop("rounds_since_best")
        upgraded |= {"run": {**tree["run"], "settings": settings}, "loop": loop}
    return upgraded


def _is_linear(params: dict[str, Any]) -> bool:
    """Whether a VAE of the first version was trained on the exact loss."""
    is_linear = len(params["hidden_layer_sizes"]) == 0 and params["likelihood"] == "gaussian"
    return is_linear and params["solver"] in ("auto", "lbfgs")


def _moments(state: dict[str, Any]) -> dict[str, Any]:
    """Of the samples seen: what was kept of them, and NaN for what was not."""
    n, n_features = state.pop("n_samples_seen_"), state["n_features_in_"]
    mean = np.asarray(state.pop("mean_", np.full(n_features, np.nan)), dtype=np.float64)
    factor, scatter = state.pop("_factor", None), np.nan
    if factor is not None:
        factor = np.asarray(factor, dtype=np.float64)
        scatter = float(np.sum(factor**2))
    return {"n": n, "mean": mean, "scatter": scatter, "factor": factor}
