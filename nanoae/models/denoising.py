"""Denoising: what a model has that learns from corrupted samples."""

from __future__ import annotations

from dataclasses import dataclass, is_dataclass
from typing import Any

import numpy as np

from nanoae.arrays import Array
from nanoae.denoising import Corruption
from nanoae.models.base import BaseAutoencoder
from nanoae.models.hyperparameters import anything
from nanoae.validation import check_random_state


def _check_corruption(name: str, value: Any) -> None:
    if not isinstance(value, Corruption) or not is_dataclass(value):
        raise TypeError(
            f"{name} must be None or a Corruption that is a dataclass, such as "
            f"GaussianNoise(scale=0.3); got {value!r}."
        )


@dataclass(eq=False, repr=False, kw_only=True)
class Denoising(BaseAutoencoder):
    """For models that may be given corrupted samples in training, and asked for the clean ones.

    Examples
    --------
    >>> from nanoae import VAE, LinearAutoencoder, SparseCoding
    >>> from nanoae.models.denoising import Denoising
    >>> [issubclass(model, Denoising) for model in (VAE, LinearAutoencoder, SparseCoding)]
    [True, True, False]
    """

    corruption: Corruption | None = anything(
        None,
        "What is done to the samples that the encoder is given in training, and only there: "
        "`GaussianNoise`, `MaskingNoise`, `SaltAndPepper` or one of your own. The loss compares "
        "with the clean ones.",
        _check_corruption,
        "Corruption or None",
    )

    _takes_expectation = False  # of the loss over the noise, in place of draws

    def _corrupt(self, X: Array, rng: np.random.Generator | None) -> Array:
        """What the encoder is given in place of a batch (less the offset, if there is one)."""
        assert self.corruption is not None
        rng = check_random_state(self.random_state) if rng is None else rng
        offset = self._offset
        # what happens to samples happens to them as they are
        clean = X.view() if offset is None else X + offset
        clean.flags.writeable = False  # or a corruption might corrupt the target, too
        X_tilde = np.asarray(self.corruption(clean, rng), X.dtype)
        if X_tilde.shape != X.shape:
            raise ValueError(
                f"corruption must return samples of the shape it was given, {X.shape}; "
                f"{self.corruption!r} returned {X_tilde.shape}."
            )
        if self._sequences() is not None:
            X_tilde = np.where(np.isnan(X), np.nan, X_tilde)  # an end stays where it is
        return X_tilde if offset is None else X_tilde - offset

    def _check_range(self, X: Array, name: str = "X") -> Array:
        X = super()._check_range(X, name)
        if self.corruption is not None:
            self.corruption.check(X, name)
        return X

    def _check_hyperparameters(self, n_features: int) -> None:
        super()._check_hyperparameters(n_features)
        solver = getattr(self, "solver", None)
        if self.corruption is not None and solver == "lbfgs" and not self._takes_expectation:
            raise ValueError(
                "corruption must be None with solver='lbfgs', which needs the same loss at every "
                f"step, and not one of new noise; got {self.corruption!r}. Use solver='adam'."
            )
