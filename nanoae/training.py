"""The training loop: mini-batches, history, progress, stopping."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any, Protocol

import numpy as np

from nanoae.arrays import Array
from nanoae.exceptions import ConvergenceWarning, TrainingDiverged
from nanoae.optimizers import Optimizer, lbfgs


class Trainable(Protocol):
    """What the loop knows of a model: its flat parameters, and its loss with the gradient."""

    @property
    def parameters_(self) -> Array: ...

    def loss_and_gradient(
        self, X: Array, rng: np.random.Generator | None = None
    ) -> tuple[float, Array]: ...


class History:
    """Losses, one value an epoch, and which epoch's parameters were kept."""

    def __init__(self) -> None:
        self.curves: dict[str, list[float]] = {}
        self.kept = -1

    def add(self, **losses: float) -> None:
        """Note the losses of one more epoch."""
        for name, loss in losses.items():
            self.curves.setdefault(name, []).append(float(loss))

    def arrays(self) -> dict[str, Array]:
        """The curves as 1-D arrays."""
        return {name: np.array(curve) for name, curve in self.curves.items()}


def progress_bar(total: int, verbose: bool, description: str) -> Any:
    """A tqdm bar over epochs, or something that takes the same calls and shows nothing."""
    if not verbose:
        return _NoBar()
    from tqdm import tqdm  # here, so that only those who look at it pay for it

    return tqdm(total=total, desc=description)


class _NoBar(nullcontext):  # type: ignore[type-arg]
    def __enter__(self) -> _NoBar:
        return self

    def set_postfix_str(self, text: str, refresh: bool = True) -> None: ...

    def update(self) -> None: ...


def batches(X: Array, batch_size: int, rng: np.random.Generator | None = None) -> Iterator[Array]:
    """Every row of ``X`` once, in rows of ``batch_size``; the last batch may be smaller.

    In random order if there is a generator, each batch then gathered into one work array.
    """
    n = len(X)
    if rng is None:
        yield from (X[start : start + batch_size] for start in range(0, n, batch_size))
        return
    order = rng.permutation(n)
    work = np.empty((min(batch_size, n), X.shape[1]), X.dtype)
    for start in range(0, n, batch_size):
        rows = order[start : start + batch_size]
        # "clip" spares take its own buffer; a permutation has no index to clip
        yield np.take(X, rows, axis=0, out=work[: len(rows)], mode="clip")


def mean_loss(model: Trainable, X: Array, batch_size: int, rng: np.random.Generator) -> float:
    """The loss over ``X``, each batch weighted by its number of samples."""
    total = sum(
        model.loss_and_gradient(batch, rng)[0] * len(batch) for batch in batches(X, batch_size)
    )
    return total / len(X)


def train(
    model: Trainable,
    X: Array,
    rng: np.random.Generator,
    history: History,
    *,
    optimizer: Optimizer,
    batch_size: int,
    max_iter: int,
    tol: float,
    n_iter_no_change: int,
    early_stopping: bool = False,
    validation_fraction: float = 0.1,
    schedule: Callable[[int], bool] = lambda epoch: True,
    verbose: bool = False,
) -> None:
    """Train on shuffled mini-batches until the loss stops falling or ``max_iter`` epochs are over.

    The loss of an epoch is the mean over its samples, each measured with the parameters as they
    were when its batch came up. With ``early_stopping``, rows are held out, their loss decides
    when to stop, and the parameters of the best epoch are put back.

    Parameters
    ----------
    model : Trainable
    X : ndarray of shape (n, d)
    rng : Generator
        Holds out, shuffles, and feeds the model's own noise.
    history : History
        Filled as training goes, so that it survives an error.
    optimizer : Optimizer
    batch_size, max_iter : int
    tol : float
        An epoch is an improvement if its loss is below the best one by more than
        ``tol · |best|``.
    n_iter_no_change : int
        Stop after so many epochs with no improvement.
    early_stopping : bool
    validation_fraction : float in (0, 1)
    schedule : callable
        Called with the number of an epoch, from 0, before it begins. It may change the loss, and
        says whether this is its final form: losses before that are compared with none after it.
    verbose : bool
        Show progress.

    Raises
    ------
    TrainingDiverged
        The loss is no longer finite; the parameters of the last epoch (with early stopping: of
        the best one) are put back, as they are after any other error or an interrupt.
    """
    values = model.parameters_
    if early_stopping:
        order = rng.permutation(len(X))
        n_validation = min(max(1, round(validation_fraction * len(X))), len(X) - 1)
        X_validation, X = X[order[:n_validation]], X[order[n_validation:]]
        validation_seed = int(rng.integers(2**63))

    best_values, best, epochs_since_best = values.copy(), np.inf, 0
    try:
        with progress_bar(max_iter, verbose, type(model).__name__) as bar:
            for epoch in range(max_iter):
                is_final = schedule(epoch)
                total = 0.0
                for batch in batches(X, batch_size, rng):
                    loss, gradient = model.loss_and_gradient(batch, rng)
                    optimizer.step(values, gradient)
                    total += loss * len(batch)  # a smaller last batch counts for fewer samples
                    if not np.isfinite(loss):
                        break
                losses = {"loss": total / len(X)}
                if early_stopping:
                    # the same noise every time: epochs are compared, not draws
                    noise = np.random.default_rng(validation_seed)
                    losses["validation_loss"] = mean_loss(model, X_validation, batch_size, noise)
                if not (np.isfinite(values).all() and np.isfinite([*losses.values()]).all()):
                    raise diverged(f"epoch {epoch + 1}")
                history.add(**losses)
                bar.set_postfix_str(f"loss {losses['loss']:.6g}", refresh=False)
                bar.update()

                watched = losses["validation_loss" if early_stopping else "loss"]
                if not early_stopping or watched < best:
                    history.kept = epoch
                    best_values[...] = values
                improved = np.isinf(best) or watched < best - tol * abs(best)
                epochs_since_best = 0 if improved else epochs_since_best + 1
                best = min(best, watched) if is_final else np.inf
                if epochs_since_best >= n_iter_no_change:
                    break
    finally:  # after an error or an interrupt, too: the parameters are those of ``history.kept``
        values[...] = best_values


def train_full_batch(
    model: Trainable,
    loss_and_gradient: Callable[[], tuple[float, Array]],
    history: History,
    *,
    max_iter: int,
    tol: float,
    verbose: bool = False,
) -> None:
    """Train on all the data at once, by L-BFGS; the history has one value an iteration.

    Warns
    -----
    ConvergenceWarning
        ``max_iter`` came before ``tol``.

    Raises
    ------
    TrainingDiverged
        The loss is no longer finite; the parameters of the last iteration are put back, as they
        are after any other error or an interrupt.
    """
    values = model.parameters_
    last_values = values.copy()

    def checked() -> tuple[float, Array]:
        loss, gradient = loss_and_gradient()
        if not np.isfinite(loss):
            raise diverged(f"iteration {history.kept + 2}")
        return loss, gradient

    with progress_bar(max_iter, verbose, type(model).__name__) as bar:

        def note(loss: float) -> None:
            last_values[...] = values
            history.add(loss=loss)
            history.kept += 1
            bar.set_postfix_str(f"loss {loss:.6g}", refresh=False)
            bar.update()

        try:
            converged = lbfgs(checked, values, max_iter=max_iter, tol=tol, callback=note)
        except BaseException:
            values[...] = last_values
            raise
    if not converged:
        warn_not_converged(model, max_iter, tol)


def warn_not_converged(model: Trainable, max_iter: int, tol: float) -> None:
    """Say that a solver of a deterministic loss stopped at ``max_iter``."""
    warnings.warn(
        f"{type(model).__name__} stopped at max_iter={max_iter}, before it met tol={tol:g}; "
        "raise max_iter or tol.",
        ConvergenceWarning, stacklevel=5,
    )  # fmt: skip


def diverged(when: str) -> TrainingDiverged:
    """The error for a loss that has become infinite or NaN."""
    return TrainingDiverged(
        f"the loss is no longer finite in {when}: scale the data or try a smaller learning_rate; "
        f"the parameters from before that {when.split()[0]} are kept."
    )
