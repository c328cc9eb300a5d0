"""Models from files."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from nanoae.models.base import BaseAutoencoder
from nanoae.persistence import read
from nanoae.validation import check_integer, check_random_state


def load(path: str | os.PathLike[str]) -> BaseAutoencoder:
    """A model from a file that `save`, or a checkpoint of `fit`, has written.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    autoencoder
        Of the class that was saved. Classes of your own, derived from one of ours, are found if
        they have been imported.

    Raises
    ------
    OSError
        There is no such file, or it cannot be read.
    ValueError
        It is not such a file, or it is damaged. Nothing in a file can run code.

    Examples
    --------
    >>> import tempfile
    >>> from nanoae import LinearAutoencoder, datasets, load
    >>> X = datasets.load_digits().X
    >>> model = LinearAutoencoder(2, random_state=0).fit(X)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     model.save(f"{folder}/model.npz")
    ...     same = load(f"{folder}/model.npz")
    >>> bool((same.transform(X) == model.transform(X)).all())
    True
    """
    tree = read(path)
    try:
        return _revive(tree["class"], tree["state"])
    except Exception as error:  # of many kinds: whatever a made-up state may cause
        raise ValueError(f"{path} does not hold a usable model ({error}).") from None


def _revive(name: str, state: dict[str, Any]) -> BaseAutoencoder:
    """The model of this class in this state, after a look at what its use relies on."""
    if name not in (classes := _derived(BaseAutoencoder)):
        raise ValueError(f"its class is {name!r}, which is none of {', '.join(sorted(classes))}")
    model_class = classes[name]
    names = set(model_class._parameter_names())
    if not names < state.keys() or names != state["_built_with"].keys():
        raise ValueError(f"these are not the parameters of {name}")
    if any(callable(getattr(model_class, key, None)) for key in state):
        raise ValueError("it would replace a method")
    n_features = state["n_features_in_"]
    check_integer("n_features_in_", n_features, 1)
    for params in (state, state["_built_with"]):
        model = model_class(**{name: params[name] for name in names})
        model._check_hyperparameters(n_features)
        check_random_state(model.random_state)
    model = model_class()
    model.__setstate__(state)
    with np.errstate(all="ignore"):
        works = np.isfinite(model.reconstruct(np.zeros((1, n_features)))).all()
    if not (works and np.isfinite(model.parameters_).all()):
        raise ValueError("its numbers are not finite")
    for memory in state["_training"].get("optimizer", {}).values():
        if np.shape(memory) not in ((), model.parameters_.shape):
            raise ValueError("the optimizer's state does not fit")
    return model


def _derived(base: type[BaseAutoencoder]) -> dict[str, type[BaseAutoencoder]]:
    """All classes derived from one, by name."""
    return {
        name: found
        for direct in base.__subclasses__()
        for name, found in {direct.__name__: direct, **_derived(direct)}.items()
    }
