"""What the deep models share: training by the loop's optimizers, or by L-BFGS."""

from __future__ import annotations

from typing import Any

import numpy as np

from nanoae.arrays import Array
from nanoae.models.base import BaseAutoencoder
from nanoae.optimizers import SGD, Adam, Optimizer
from nanoae.persistence import Checkpoint
from nanoae.training import History, train, train_full_batch
from nanoae.validation import check_bool, check_choice, check_integer, check_real


class DeepAutoencoder(BaseAutoencoder):
    """A model with any number of layers, trained by the loop's optimizers or by L-BFGS.

    Examples
    --------
    All that they share, a deep autoencoder and a VAE among them:

    >>> from nanoae import VAE, Autoencoder
    >>> for model in (Autoencoder(solver="sgd"), VAE(batch_size=32)):
    ...     print(model)
    Autoencoder(solver='sgd')
    VAE(batch_size=32)
    """

    solver: str
    learning_rate: float
    momentum: float
    batch_size: int
    max_iter: int | None
    tol: float | None
    n_iter_no_change: int
    early_stopping: bool
    validation_fraction: float
    verbose: bool

    def _check_hyperparameters(self, n_features: int) -> None:
        check_integer("n_components", self.n_components, 1)
        check_choice("solver", self._solver, ("adam", "sgd", "lbfgs"))
        check_real("learning_rate", self.learning_rate, 0, open_ends=True)
        check_real("momentum", self.momentum, 0, 1)
        check_integer("batch_size", self.batch_size, 1)
        if self.max_iter is not None:
            check_integer("max_iter", self.max_iter, 1)
        if self.tol is not None:
            check_real("tol", self.tol, 0)
        check_integer("n_iter_no_change", self.n_iter_no_change, 1)
        check_bool("early_stopping", self.early_stopping)
        if self.early_stopping and self._solver == "lbfgs":
            raise ValueError(
                "early_stopping must be False with solver='lbfgs', which trains on all rows; "
                "got True. Use solver='adam'."
            )
        check_real("validation_fraction", self.validation_fraction, 0, 1, open_ends=True)
        check_real("weight_decay", self.weight_decay, 0)
        check_bool("verbose", self.verbose)

    def _train(
        self, X: Array, rng: np.random.Generator, history: History, checkpoint: Checkpoint | None
    ) -> None:
        if self._solver == "lbfgs":
            X = np.asarray(X, self._dtype)
            X = X if self._offset is None else X - self._offset
            train_full_batch(
                self, lambda: self._full_batch_loss_and_gradient(X), history,
                max_iter=5000 if self.max_iter is None else self.max_iter,
                tol=1e-6 if self.tol is None else self.tol,
                verbose=self.verbose,
            )  # fmt: skip
        else:
            self._train_in_batches(
                X, rng, history,
                max_iter=200 if self.max_iter is None else self.max_iter,
                tol=1e-5 if self.tol is None else self.tol,
                n_iter_no_change=self.n_iter_no_change, early_stopping=self.early_stopping,
                validation_fraction=self.validation_fraction, checkpoint=checkpoint,
            )  # fmt: skip

    def _train_on_part(self, X: Array, rng: np.random.Generator, history: History) -> None:
        one_more = len(history) + 1
        self._train_in_batches(X, rng, history, max_iter=one_more, tol=0, n_iter_no_change=1)

    def _check_parts_will_do(self) -> None:
        if self.solver == "lbfgs":
            raise ValueError(
                "solver must be 'adam' or 'sgd' for partial_fit, since 'lbfgs' needs all samples "
                "at every step; got 'lbfgs'."
            )

    def _train_in_batches(
        self, X: Array, rng: np.random.Generator, history: History, **stopping: Any
    ) -> None:
        optimizer = self._optimizer()
        optimizer.restore(self._training.get("optimizer", {}))
        try:
            train(
                self, X, rng, history, optimizer=optimizer, batch_size=self.batch_size,
                schedule=self._schedule, mean=self._offset, verbose=self.verbose, **stopping,
            )  # fmt: skip
        finally:
            self._training = {"optimizer": optimizer.state(), "rng": rng.bit_generator.state}

    @property
    def _has_epochs(self) -> bool:
        return self._solver != "lbfgs"

    @property
    def _offset(self) -> Array | None:
        """What is taken off every sample before training on it."""
        return None

    def _schedule(self, epoch: int) -> bool:
        """What `train` asks before each epoch; a loss that changes on the way says so here."""
        return True

    @property
    def _solver(self) -> str:
        return self.solver

    def _full_batch_loss_and_gradient(self, X: Array) -> tuple[float, Array]:
        """What L-BFGS minimises; it must be free of noise."""
        return self.loss_and_gradient(X)

    def _optimizer(self) -> Optimizer:
        if self._solver == "sgd":
            return SGD(self.learning_rate, self.momentum)
        return Adam(self.learning_rate)
