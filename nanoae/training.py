"""The training loops, and the monitor that they all talk to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import nullcontext
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike

from nanoae.arrays import Array
from nanoae.exceptions import TrainingDiverged
from nanoae.lbfgs import LBFGS
from nanoae.optimizers import Optimizer
from nanoae.persistence import Checkpoint

UNSCALED = "scale the data or try a smaller learning_rate"


class Trainable(Protocol):
    """What the loop knows of a model: its loss, with the gradient in the flat vector.

    It is handed ``weights`` only if samples have any: a model that knows of none need not take it.
    A model whose loss has parts that are worth a curve each leaves them in ``_loss_parts``.
    """

    def loss_and_gradient(
        self, X: Array, rng: np.random.Generator | None = None, weights: Array | None = None
    ) -> tuple[float, Array]: ...


class Monitor:
    """What a training loop talks to: history, best parameters, stopping, progress, checkpoint.

    A loop goes over the epochs that are still to come, and notes the loss at the end of each::

        with monitor as state:
            for epoch in monitor:
                ...
                monitor.note(loss)

    With a checkpoint it goes on from there, and ``state`` is what the loop itself has kept in it;
    otherwise it is None. However the loop ends, the parameters are then those of the epoch that
    was kept: the last one, or the best.

    Parameters
    ----------
    values : ndarray of shape (n_parameters,)
        The parameters, live.
    curves : mapping from name to sequence of float, optional
        Losses of the epochs before.
    kept : int, default -1
        Number of the epoch, from 0, whose parameters these are; -1 for those of the start.
    checkpoint : Checkpoint, optional
        Where to go on from, and what to keep the state of the loop in.
    title : str
        Of the progress bar.
    verbose : bool, default False
        Whether to show it.

    Attributes
    ----------
    max_iter : int
        Number of epochs, or iterations, at which to stop, those before counted.
    tol : float
        An epoch is an improvement if its loss is below the best one by more than
        ``tol · |best|``.
    n_iter_no_change : float
        Stop after so many epochs with no improvement.
    watches : str
        Name of the loss by which epochs are compared.
    keeps_best : bool
        Whether to keep the epoch with the least loss, not the last one.
    unit, origin : float
        A loss ``L`` is noted as ``unit · L + origin``: a model may be trained in its own unit.
    warning : str
        What is to be said of this training once it is over, if anything.
    """

    max_iter: int
    tol = 0.0
    n_iter_no_change = np.inf
    watches = "loss"
    keeps_best = False
    unit, origin = 1.0, 0.0
    warning = ""

    def __init__(
        self,
        values: Array,
        *,
        curves: Mapping[str, Iterable[float]] | None = None,
        kept: int = -1,
        checkpoint: Checkpoint | None = None,
        title: str = "",
        verbose: bool = False,
    ) -> None:
        self.values, self.kept = values, kept
        self.curves = {name: list(curve) for name, curve in (curves or {}).items()}
        self._kept_values, self._best, self._since_best = values.copy(), np.inf, 0
        self._checkpoint, self._title, self._verbose = checkpoint, title, verbose

    def __len__(self) -> int:
        return len(self.curves.get("loss", ()))

    def __enter__(self) -> dict[str, Any] | None:
        state = None if self._checkpoint is None else self._checkpoint.state
        if state is not None:
            self.values[...], self._kept_values[...] = state["values"], state["best_values"]
            self._best, self._since_best = state["best"], state["epochs_since_best"]
            self.curves = {name: list(curve) for name, curve in state["curves"].items()}
            self.kept = state["kept"]
        else:
            self._kept_values[...] = self.values
        self._bar = progress_bar(self.max_iter, self._verbose, self._title, done=len(self))
        self._bar.__enter__()
        return state

    def __exit__(self, *error: object) -> None:
        self._bar.__exit__(*error)
        self.values[...] = self._kept_values

    def __iter__(self) -> Iterator[int]:
        while len(self) < self.max_iter and self._since_best < self.n_iter_no_change:
            yield len(self)

    def note(self, loss: float, *, is_final: bool = True, **others: float) -> None:
        """An epoch or iteration is over, and these were its losses.

        Parameters
        ----------
        loss : float
        is_final : bool, default True
            Whether the loss has its final form: those before that are compared with none after it.
        **others : float
            More curves of the history.
        """
        losses = {
            name: float(self.unit * value + self.origin)
            for name, value in {"loss": loss, **others}.items()
        }
        for name, value in losses.items():
            self.curves.setdefault(name, []).append(value)
        watched = losses[self.watches]
        if not self.keeps_best or watched < self._best:
            self.kept = len(self) - 1
            self._kept_values[...] = self.values
        improved = np.isinf(self._best) or watched < self._best - self.tol * abs(self._best)
        self._since_best = 0 if improved else self._since_best + 1
        self._best = min(self._best, watched) if is_final else np.inf
        self._bar.set_postfix_str(f"loss {losses['loss']:.6g}", refresh=False)
        self._bar.update()

    def unfinished(self, null: float = np.inf) -> str:
        """What to say if the last epoch came while the loss was still falling; "" if not.

        It was if the last tenth of the epochs has brought a hundredth of all its fall, and more
        than noise explains. The fall counts from the ``null``, the loss of a model that has
        learned nothing, if training has come past it: a start far above would hide all the rest.
        """
        curve = np.array(self.curves.get(self.watches, ()))
        tenth = max(1, len(curve) // 10)
        if len(curve) < max(self.max_iter, 2) or self.warning:
            return ""
        fall = curve[-2 * tenth : -tenth].mean() - curve[-tenth:].mean()
        noise = np.diff(curve[-2 * tenth :]).std() / np.sqrt(tenth)  # of a difference of means
        start = null if curve.min() < null < curve[0] else curve[0]
        if not fall > max(0.01 * (start - curve.min()), 2 * noise):
            return ""
        return (
            f"stopped at max_iter={self.max_iter} while its loss was still falling, from "
            f"{curve[-tenth - 1]:.6g} to {curve[-1]:.6g} in the last tenth of the epochs; raise "
            "max_iter or learning_rate."
        )

    def diverged(self, unit: str, advice: str) -> TrainingDiverged:
        """The error for a loss that has become infinite or NaN."""
        return TrainingDiverged(
            f"the loss is no longer finite in {unit} {len(self) + 1}: {advice}; "
            f"the parameters from before that {unit} are kept."
        )

    def outcome(self) -> dict[str, Any]:
        """What a model tells of its training: history, number of epochs, loss of the one kept."""
        curves = {name: np.array(curve) for name, curve in self.curves.items()}
        loss = float(curves["loss"][self.kept]) if curves else np.inf
        return {
            "history_": curves, "n_iter_": len(self), "loss_": loss, "_kept_epoch": self.kept,
        }  # fmt: skip

    def save(self, **loop: Any) -> None:
        """Write the checkpoint, if there is one and it is time to, with what the loop adds."""
        if self._checkpoint is None:
            return
        state = {
            "values": self.values, "best_values": self._kept_values,
            "best": self._best, "epochs_since_best": self._since_best,
            "curves": {name: np.array(curve) for name, curve in self.curves.items()},
            "kept": self.kept, **loop,
        }  # fmt: skip
        is_over = len(self) >= self.max_iter or self._since_best >= self.n_iter_no_change
        self._checkpoint.save(state, self.outcome(), is_last=is_over)


def progress_bar(total: int, verbose: bool, title: str, *, done: int = 0) -> Any:
    """A tqdm bar over epochs, or something that takes the same calls and shows nothing."""
    if not verbose:
        return _NoBar()
    from tqdm import tqdm  # here, so that only those who look at it pay for it

    return tqdm(total=total, initial=done, desc=title)


class _NoBar(nullcontext):  # type: ignore[type-arg]
    def __enter__(self) -> _NoBar:
        return self

    def set_postfix_str(self, text: str, refresh: bool = True) -> None: ...

    def update(self) -> None: ...


def batches(
    X: Array, rows: Array, batch_size: int, dtype: DTypeLike, *, mean: Array | None = None
) -> Iterator[Array]:
    """Some rows of ``X`` (n, d), in their order, in batches; the last one may be smaller.

    Each batch is gathered into one work array of the given dtype, less the ``mean`` if there is
    one.
    """
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


def with_mean_one(weights: Array, rows: Array | slice, dtype: DTypeLike) -> Array:
    """Weights as the losses want them: of the mean 1 over these rows, whatever their scale."""
    return (weights / weights[rows].mean()).astype(dtype)


def mean_loss(
    model: Trainable, batches: Iterable[Array], rng: np.random.Generator,
    weights: Array | None = None,
) -> float:  # fmt: skip
    """The loss over all batches, each counted by its number of samples."""
    total, done = 0.0, 0
    for batch in batches:
        more = {} if weights is None else {"weights": weights[done : done + len(batch)]}
        total += model.loss_and_gradient(batch, rng, **more)[0] * len(batch)
        done += len(batch)
    return total / done


def train(
    model: Trainable,
    X: Array,
    rng: np.random.Generator,
    monitor: Monitor,
    optimizer: Optimizer,
    *,
    batch_size: int,
    validation_fraction: float = 0.0,
    X_validation: Array | None = None,
    weights: Array | None = None,
    mean: Array | None = None,
    unit: float = 1.0,
    begin_epoch: Callable[[int], bool] | None = None,
) -> None:
    """Train on shuffled mini-batches.

    The loss of an epoch is the mean over its samples, each measured with the parameters as they
    were when its batch came up. With a ``validation_fraction``, rows are held out, and their loss
    decides when to stop and which epoch's parameters are kept; or that of ``X_validation`` does.

    Parameters
    ----------
    model : Trainable
    X : ndarray of shape (n, d)
        Batches are taken from it and converted one by one, so it may be a file mapped to memory.
    rng : Generator
        Holds out, shuffles, and feeds the model's own noise.
    monitor : Monitor
        Has been told when to stop.
    optimizer : Optimizer
    batch_size : int
    validation_fraction : float in [0, 1), default 0
        Part of the rows to hold out.
    X_validation : ndarray of shape (m, d), optional
        In place of rows held out.
    weights : ndarray of shape (n,), optional
        Those of a batch go to the loss, divided by the mean over all samples and not over the
        batch: so the gradient of a batch is that of all samples on average, and that of a batch
        of all samples is exact. (Drawing rows as often as their weights say would leave the loss
        as it is, but add noise where there are no batches, too.) Rows held out keep theirs.
    mean : ndarray of shape (d,), optional
        Taken off every sample.
    unit : float, default 1
        What the loss is divided by for the optimizer: for data in other units Adam's ε and the
        size of a step would be others.
    begin_epoch : callable, optional
        Called with the number of an epoch, from 0, before it begins. It may change the loss, and
        says whether this is its final form.

    Raises
    ------
    TrainingDiverged
        The loss is no longer finite; the parameters of the last epoch (with rows held out: of the
        best one) are put back, as they are after any other error or an interrupt.
    """
    # The C library gives freed memory back to the system if it is more than twice the largest
    # array that it has seen freed. Shown one of 20 MB, it keeps the arrays of a step for the next.
    np.empty(20 * 2**17)
    values, rows = monitor.values, np.arange(len(X))
    unseen, held_out, unseen_weights = X_validation, rows, None
    if unseen is not None:
        held_out = np.arange(len(unseen))
    elif validation_fraction:
        order = rng.permutation(len(X))
        n_validation = min(max(1, round(validation_fraction * len(X))), len(X) - 1)
        unseen, held_out, rows = X, order[:n_validation], order[n_validation:]
        if weights is not None:
            unseen_weights = with_mean_one(weights, held_out, values.dtype)[held_out]
    if unseen is not None:
        validation_seed = int(rng.integers(2**63))
        monitor.watches, monitor.keeps_best = "validation_loss", True
    if weights is not None:
        weights = with_mean_one(weights, rows, values.dtype)
    with monitor as state:
        if state is not None:
            optimizer.restore(state["optimizer"])
            rng.bit_generator.state = state["rng"]
        for epoch in monitor:
            is_final = begin_epoch is None or begin_epoch(epoch)
            totals: dict[str, float] = {}
            done, order = 0, rng.permutation(rows)
            for batch in batches(X, order, batch_size, values.dtype, mean=mean):
                of_batch = order[done : done + len(batch)]
                more = {} if weights is None else {"weights": weights[of_batch]}
                loss, gradient = model.loss_and_gradient(batch, rng, **more)
                if unit != 1:
                    gradient /= unit
                optimizer.step(values, gradient)
                parts = {"loss": loss, **vars(model).get("_loss_parts", {})}
                for name, part in parts.items():  # a smaller last batch counts for fewer samples
                    totals[name] = totals.get(name, 0.0) + part * len(batch)
                done += len(batch)
                if not np.isfinite(loss):
                    raise monitor.diverged("epoch", UNSCALED)
            losses = {name: total / len(rows) for name, total in totals.items()}
            if unseen is not None:
                held = batches(unseen, held_out, batch_size, values.dtype, mean=mean)
                # the same noise every time: epochs are compared, not draws
                noise = np.random.default_rng(validation_seed)
                losses["validation_loss"] = mean_loss(model, held, noise, unseen_weights)
            if not (np.isfinite(values).all() and np.isfinite([*losses.values()]).all()):
                raise monitor.diverged("epoch", UNSCALED)
            monitor.note(**losses, is_final=is_final)
            monitor.save(optimizer=optimizer.state(), rng=rng.bit_generator.state)


def train_full_batch(
    loss_and_gradient: Callable[[], tuple[float, Array]], monitor: Monitor
) -> None:
    """Train on all the data at once, by L-BFGS; the history has one value an iteration.

    If it ends before it meets the monitor's ``tol``, the monitor is left with a warning.

    Parameters
    ----------
    loss_and_gradient : callable
        Loss and gradient at the monitor's ``values``; L-BFGS sees both divided by its ``unit``.
    monitor : Monitor
        Has been told when to stop.

    Raises
    ------
    TrainingDiverged
        The loss is no longer finite; the parameters of the last iteration are put back, as they
        are after any other error or an interrupt.
    """

    def finite() -> tuple[float, Array]:
        loss, gradient = loss_and_gradient()
        if not np.isfinite(loss):
            raise monitor.diverged("iteration", "scale the data")
        return loss / monitor.unit, gradient / monitor.unit

    max_iter = monitor.max_iter - len(monitor)
    with monitor:
        converged = LBFGS(
            finite, monitor.values, max_iter=max_iter, tol=monitor.tol, callback=monitor.note
        ).minimise()
    if not converged and len(monitor) == monitor.max_iter:
        monitor.warning = not_converged(max_iter, monitor.tol)
    elif not converged:
        monitor.warning = (
            f"stopped at iteration {len(monitor)}, before it met tol={monitor.tol:g}: "
            "from there no step led on; scale the data, or take a smooth activation."
        )


def not_converged(max_iter: int, tol: float) -> str:
    """What to say of a solver of a deterministic loss that stopped at ``max_iter``."""
    return f"stopped at max_iter={max_iter}, before it met tol={tol:g}; raise max_iter or tol."
