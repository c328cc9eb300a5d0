"""The training loop: mini-batches, history, progress, stopping."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import nullcontext
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike

from nanoae.arrays import Array
from nanoae.exceptions import TrainingDiverged
from nanoae.optimizers import Optimizer, lbfgs


class Trainable(Protocol):
    """What the loop knows of a model: its flat parameters, and its loss with the gradient."""

    @property
    def parameters_(self) -> Array: ...

    def loss_and_gradient(
        self, X: Array, rng: np.random.Generator | None = None
    ) -> tuple[float, Array]: ...


class History:
    """Losses, one value an epoch, and which epoch's parameters were kept.

    Parameters
    ----------
    curves : mapping from name to sequence of float, optional
        Of the epochs before.
    kept : int, default -1
        Number of the epoch, from 0, whose parameters the model has; -1 for those of the start.

    Attributes
    ----------
    warning : str
        What is to be said of this training once it is over, if anything.
    """

    def __init__(self, curves: Mapping[str, Iterable[float]] | None = None, kept: int = -1):
        self.curves = {name: list(curve) for name, curve in (curves or {}).items()}
        self.kept = kept
        self.warning = ""

    def __len__(self) -> int:
        return len(self.curves.get("loss", ()))

    def add(self, **losses: float) -> None:
        """Note the losses of one more epoch."""
        for name, loss in losses.items():
            self.curves.setdefault(name, []).append(float(loss))

    def arrays(self) -> dict[str, Array]:
        """The curves as 1-D arrays."""
        return {name: np.array(curve) for name, curve in self.curves.items()}


class Checkpoint(Protocol):
    """What the loop knows of a file that it can go on from (`nanoae.persistence.Checkpoint`)."""

    @property
    def state(self) -> dict[str, Any] | None:
        """What the loop knew when the file was written; None if there is no file yet."""

    def save(self, state: dict[str, Any], history: History, *, is_last: bool) -> None:
        """Keep what the loop knows, if it is time to, or if these are its last words."""


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


def batches(
    X: Array, rows: Array, batch_size: int, dtype: DTypeLike,
    *, mean: Array | None = None, rng: np.random.Generator | None = None,
) -> Iterator[Array]:  # fmt: skip
    """Some rows of ``X`` (n, d), each once, in batches; the last one may be smaller.

    Each batch is gathered into one work array of the given dtype, less the ``mean`` if there is
    one. In random order if there is a generator.
    """
    if rng is not None:
        rows = rng.permutation(rows)
    work = np.empty((min(batch_size, len(rows)), X.shape[1]), dtype)
    for start in range(0, len(rows), batch_size):
        chosen = rows[start : start + batch_size]
        batch = work[: len(chosen)]
        if X.dtype == work.dtype and X.flags.c_contiguous:
            # "clip" spares take its own buffer; there is no index to clip
            np.take(X, chosen, axis=0, out=batch, mode="clip")
        else:
            batch[...] = X[chosen]  # where take would first convert all of X
        if mean is not None:
            batch -= mean
        yield batch


def mean_loss(model: Trainable, batches: Iterable[Array], rng: np.random.Generator) -> float:
    """The loss over all batches, each weighted by its number of samples."""
    losses = [(model.loss_and_gradient(batch, rng)[0], len(batch)) for batch in batches]
    return sum(loss * n for loss, n in losses) / sum(n for _, n in losses)


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
    mean: Array | None = None,
    checkpoint: Checkpoint | None = None,
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
        Batches are taken from it and converted one by one, so it may be a file mapped to memory.
    rng : Generator
        Holds out, shuffles, and feeds the model's own noise.
    history : History
        Filled as training goes, so that it survives an error.
    optimizer : Optimizer
    batch_size : int
    max_iter : int
        Number of epochs at which to stop, those counted that the history has already.
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
    mean : ndarray of shape (d,), optional
        Taken off every sample.
    checkpoint : Checkpoint, optional
        Where to go on from, and what to keep the state of the loop in.
    verbose : bool
        Show progress.

    Raises
    ------
    TrainingDiverged
        The loss is no longer finite; the parameters of the last epoch (with early stopping: of
        the best one) are put back, as they are after any other error or an interrupt.
    """
    values = model.parameters_
    rows = np.arange(len(X))
    if early_stopping:
        order = rng.permutation(len(X))
        n_validation = min(max(1, round(validation_fraction * len(X))), len(X) - 1)
        held_out, rows = order[:n_validation], order[n_validation:]
        validation_seed = int(rng.integers(2**63))

    best_values, best, epochs_since_best = values.copy(), np.inf, 0
    state = None if checkpoint is None else checkpoint.state
    if state is not None:
        values[...], best_values[...] = state["values"], state["best_values"]
        best, epochs_since_best = state["best"], state["epochs_since_best"]
        history.curves, history.kept = History(state["curves"]).curves, state["kept"]
        optimizer.restore(state["optimizer"])
        rng.bit_generator.state = state["rng"]
    try:
        with progress_bar(max_iter, verbose, type(model).__name__) as bar:
            for epoch in range(len(history), max_iter):
                if epochs_since_best >= n_iter_no_change:
                    break
                is_final = schedule(epoch)
                total = 0.0
                for batch in batches(X, rows, batch_size, values.dtype, mean=mean, rng=rng):
                    loss, gradient = model.loss_and_gradient(batch, rng)
                    optimizer.step(values, gradient)
                    total += loss * len(batch)  # a smaller last batch counts for fewer samples
                    if not np.isfinite(loss):
                        break
                losses = {"loss": total / len(rows)}
                if early_stopping:
                    unseen = batches(X, held_out, batch_size, values.dtype, mean=mean)
                    # the same noise every time: epochs are compared, not draws
                    noise = np.random.default_rng(validation_seed)
                    losses["validation_loss"] = mean_loss(model, unseen, noise)
                if not (np.isfinite(values).all() and np.isfinite([*losses.values()]).all()):
                    advice = "scale the data or try a smaller learning_rate"
                    raise diverged("epoch", epoch + 1, advice)
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
                if checkpoint is not None:
                    state = {
                        "values": values, "best_values": best_values,
                        "best": best, "epochs_since_best": epochs_since_best,
                        "curves": history.arrays(), "kept": history.kept,
                        "optimizer": optimizer.state(), "rng": rng.bit_generator.state,
                    }  # fmt: skip
                    is_last = epoch + 1 == max_iter or epochs_since_best >= n_iter_no_change
                    checkpoint.save(state, history, is_last=is_last)
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

    If it ends before it meets ``tol``, the history is left with a warning.

    Raises
    ------
    TrainingDiverged
        The loss is no longer finite; the parameters of the last iteration are put back, as they
        are after any other error or an interrupt.
    """
    values = model.parameters_
    last_values, end = values.copy(), len(history) + max_iter

    def checked() -> tuple[float, Array]:
        loss, gradient = loss_and_gradient()
        if not np.isfinite(loss):
            raise diverged("iteration", len(history) + 1, "scale the data")
        return loss, gradient

    with progress_bar(max_iter, verbose, type(model).__name__) as bar:

        def note(loss: float) -> None:
            last_values[...] = values
            history.add(loss=loss)
            history.kept = len(history) - 1
            bar.set_postfix_str(f"loss {loss:.6g}", refresh=False)
            bar.update()

        try:
            converged = lbfgs(checked, values, max_iter=max_iter, tol=tol, callback=note)
        except BaseException:
            values[...] = last_values
            raise
    if not converged and len(history) == end:
        history.warning = not_converged(max_iter, tol)
    elif not converged:
        history.warning = (
            f"stopped at iteration {len(history)}, before it met tol={tol:g}: "
            "from there no step led to a finite loss; scale the data."
        )


def not_converged(max_iter: int, tol: float) -> str:
    """What to say of a solver of a deterministic loss that stopped at ``max_iter``."""
    return f"stopped at max_iter={max_iter}, before it met tol={tol:g}; raise max_iter or tol."


def diverged(unit: str, number: int, advice: str) -> TrainingDiverged:
    """The error for a loss that has become infinite or NaN."""
    return TrainingDiverged(
        f"the loss is no longer finite in {unit} {number}: {advice}; "
        f"the parameters from before that {unit} are kept."
    )
