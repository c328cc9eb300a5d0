"""Models from files."""

from __future__ import annotations

import os

from nanoae.models.base import BaseAutoencoder
from nanoae.persistence import derived, read


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
        name, classes = tree["class"], derived(BaseAutoencoder)
        if name not in classes:
            known = ", ".join(sorted(classes))
            raise ValueError(
                f"its class is {name!r}, which is none of {known}; one of your own is to be "
                "imported first"
            )
        return classes[name]._from_tree(tree["state"])
    except Exception as error:  # of many kinds: whatever a made-up state may cause
        raise ValueError(f"{path} does not hold a usable model ({error}).") from None
