"""What all models share: the estimator's manners. What a model *is* stands in its own file."""

from __future__ import annotations

import inspect
import os
import sys
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from nanoae.arrays import Array, map_rows
from nanoae.exceptions import ConvergenceWarning, NotFittedError
from nanoae.network import Parameters, Sequential
from nanoae.persistence import Checkpoint, generator, write
from nanoae.training import History
from nanoae.validation import (
    check_integer,
    check_random_state,
    check_samples,
)

Self = TypeVar("Self", bound="BaseAutoencoder")


class BaseAutoencoder:
    """An encoder, a decoder, and one flat vector of parameters under both.

    A model adds its constructor, `_build` (which networks), `loss_and_gradient` (what it is),
    and overrides what differs.

    Examples
    --------
    The least that a model of one's own has to say, here a linear autoencoder whose code is shrunk
    by a penalty:

    >>> import numpy as np
    >>> from nanoae import Autoencoder, gradient_check
    >>> class Shrunk(Autoencoder):
    ...     def loss_and_gradient(self, X, rng=None):
    ...         h = self.encoder_.forward(X)
    ...         x_hat = self.decoder_.forward(h)
    ...         grad_x_hat = 2 * (x_hat - X) / len(X)
    ...         loss = (np.sum((x_hat - X) ** 2) + 0.1 * np.sum(h**2)) / len(X)
    ...         grad_h = self.decoder_.backward(grad_x_hat) + 0.2 * h / len(X)
    ...         self.encoder_.backward(grad_h)
    ...         return loss, self._parameters.gradient
    >>> X = np.random.default_rng(0).standard_normal((5, 3))
    >>> gradient_check(Shrunk(2, hidden_layer_sizes=()), X).error < 1e-7
    True
    """

    n_components: int
    weight_decay: float
    random_state: Any

    encoder_: Sequential
    decoder_: Sequential
    _parameters: Parameters
    _kept = -1  # the epoch whose parameters these are

    # --- what a model must say of itself -------------------------------------------------

    def _build(self, n_features: int, dtype: DTypeLike) -> None:
        """Set ``encoder_`` and ``decoder_``, bound to a new ``_parameters``."""
        raise NotImplementedError

    def loss_and_gradient(
        self, X: Array, rng: np.random.Generator | None = None
    ) -> tuple[float, Array]:
        """The training loss on a batch, and its gradient in the flat vector of parameters."""
        raise NotImplementedError

    def _train(
        self, X: Array, rng: np.random.Generator, history: History, checkpoint: Checkpoint | None
    ) -> None:
        """Minimise the loss over ``X``, noting its course in ``history``."""
        raise NotImplementedError

    def _train_on_part(self, X: Array, rng: np.random.Generator, history: History) -> None:
        """What `partial_fit` does with samples that it has checked."""
        raise NotImplementedError

    def _check_parts_will_do(self) -> None:
        """Raise if samples that come in parts are of no use to this solver."""

    @property
    def _has_epochs(self) -> bool:
        """Whether training goes by epochs, between which it can be kept and taken up again."""
        return True

    # --- hyper-parameters ----------------------------------------------------------------

    @classmethod
    def _parameter_names(cls) -> list[str]:
        return [name for name in inspect.signature(cls.__init__).parameters if name != "self"]

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The constructor's arguments, by name."""
        return {name: getattr(self, name) for name in self._parameter_names()}

    def set_params(self: Self, **params: Any) -> Self:
        """Change constructor arguments; they take effect at the next ``fit``."""
        names = self._parameter_names()
        for name in params:
            if name not in names:
                raise ValueError(
                    f"{name!r} is no parameter of {type(self).__name__}; it has {names}."
                )
        for name, value in params.items():
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        """The call that makes this model, with what differs from the defaults."""
        defaults = inspect.signature(type(self).__init__).parameters
        changed = (
            f"{name}={value!r}"
            for name, value in self.get_params().items()
            if repr(value) != repr(defaults[name].default)
        )
        return f"{type(self).__name__}({', '.join(changed)})"

    def _check_hyperparameters(self, n_features: int) -> None:
        """Raise if one of them is impossible."""
        raise NotImplementedError

    # --- training --------------------------------------------------------------------------

    def fit(
        self: Self,
        X: ArrayLike,
        y: object = None,
        *,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_every: int = 10,
    ) -> Self:
        """Train on samples.

        Ctrl-C ends the training; the model is then as it was after the last full epoch.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            A `numpy.memmap` is read batch by batch and never copied whole, by solvers that train
            in batches.
        y : ignored
        checkpoint : path-like, optional
            A file in which to keep the training ("adam", "sgd"). If it is there already, training
            goes on from it, and ends as it would have ended, bit for bit. `nanoae.load` reads it,
            too.
        checkpoint_every : int, default 10
            Epochs from one writing of it to the next.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            The data, a hyper-parameter or the checkpoint is not usable; the model is left as it
            was.
        TrainingDiverged
            The loss became infinite or NaN; the last finite parameters are kept.

        Warns
        -----
        ConvergenceWarning
            A solver of a deterministic loss came to ``max_iter`` first, or Ctrl-C was pressed.
        """
        file = None
        if checkpoint is not None:
            file = Checkpoint(checkpoint, checkpoint_every, self._tree)
        X, rng = self._start(X, file)
        history = History()
        self._run(X, lambda: self._train(X, rng, history, file), history)
        if file is not None:
            file.finish(self._tree())
        self._warn(history)
        return self

    def partial_fit(self: Self, X: ArrayLike, y: object = None) -> Self:
        """Train on more samples: for data that come as a stream, or in parts.

        Call it with one part after the other. Each call goes on from where the last one, or
        `fit`, has ended. Deep models make one pass over the part, in batches, by "adam" or "sgd".
        Linear ones keep mean and covariance of all that they have seen (2.1), and train on them:
        as if all of it were there. `SparseCoding` keeps ``HᵀH`` and ``HᵀX`` of its codes and
        samples, and does one round (Mairal et al. 2009, algorithm 1).

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : ignored

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            The samples or a hyper-parameter is not usable, or the solver needs all samples at
            every step; the model is left as it was.
        TrainingDiverged
            As in `fit`.

        Warns
        -----
        ConvergenceWarning
            As in `fit`.
        """
        self._check_parts_will_do()
        X, rng, history = self._go_on(X)
        self._run(X, lambda: self._train_on_part(X, rng, history), history)
        self._warn(history)
        return self

    def _start(
        self, X: ArrayLike, checkpoint: Checkpoint | None = None
    ) -> tuple[Array, np.random.Generator]:
        """All of ``fit`` that comes before training: checks, networks, initial weights."""
        X = self._check_samples(X, minimum=2)
        self._check_hyperparameters(X.shape[1])
        rng = check_random_state(self.random_state)
        if checkpoint is not None:
            if not self._has_epochs:
                raise ValueError(
                    "checkpoint must be None with a solver that takes all samples at every step, "
                    f"as {type(self).__name__} does here. Use solver='adam'."
                )
            checkpoint.open({"model": type(self).__name__, **self.get_params()}, X, rng)
        self.n_features_in_ = X.shape[1]
        self._built_with = self.get_params()
        dtype = np.float32 if X.dtype == np.float32 else np.float64
        self._build(X.shape[1], dtype)
        self._training: dict[str, Any] = {}
        self.n_samples_seen_ = 0
        self._see(X)
        self._initialise(rng)
        return X, rng

    def _go_on(self, X: ArrayLike) -> tuple[Array, np.random.Generator, History]:
        """All of ``partial_fit`` that comes before training."""
        if "_parameters" not in vars(self):
            return *self._start(X), History()
        X = self._check_samples(X)
        self._check_hyperparameters(self.n_features_in_)
        self._see(X)
        state = self._training.get("rng")
        rng = check_random_state(self.random_state) if state is None else generator(state)
        return X, rng, History(self.history_, self._kept)

    def _see(self, X: Array) -> None:
        """Take in samples that training will come upon: their number, and what else a model needs
        to know of all of them at once."""
        self.n_samples_seen_ += len(X)

    def _run(self, X: Array, train: Callable[[], None], history: History) -> None:
        """Train on ``X``, and leave the model usable however that ends."""
        try:
            with np.errstate(over="ignore", invalid="ignore"):  # the loop looks at the loss
                train()
        except KeyboardInterrupt:
            n = len(history)
            history.warning = (
                f"was interrupted after {n} epochs or iterations, and is as it was then."
            )
        finally:
            self._note(history)
            for network in self._networks().values():
                network.forget()

    def _warn(self, history: History) -> None:
        """Tell the caller of ``fit`` what there is to tell."""
        if history.warning:
            message = f"{type(self).__name__} {history.warning}"
            warnings.warn(message, ConvergenceWarning, stacklevel=3)

    def _note(self, history: History) -> None:
        self.history_, self._kept = history.arrays(), history.kept
        self.n_iter_ = len(history)
        self.loss_ = float(self.history_["loss"][history.kept]) if self.n_iter_ else np.inf

    def _networks(self) -> dict[str, Sequential]:
        """Encoder and decoder, or what there is of them, by name."""
        return {name: part for name, part in vars(self).items() if isinstance(part, Sequential)}

    def _initialise(self, rng: np.random.Generator) -> None:
        for network in self._networks().values():
            network.initialise(rng)

    def _decay_weights(self) -> float:
        """The penalty ``λ_w Σ ‖W‖²`` on all weights; adds ``2 λ_w W`` to the gradient (1.9)."""
        if not self.weight_decay:
            return 0.0
        penalty = 0.0
        for weight, grad_weight in self._parameters.weights():
            penalty += self.weight_decay * np.sum(weight * weight)
            grad_weight += 2 * self.weight_decay * weight
        return penalty

    # --- use -------------------------------------------------------------------------------

    @property
    def parameters_(self) -> Array:
        """All weights and biases, live, in one vector ``(n_parameters,)``."""
        self._check_fitted()
        return self._parameters.values

    def transform(self, X: ArrayLike) -> Array:
        """Codes ``(n_samples, n_components)`` of samples ``(n_samples, n_features)``."""
        X = self._check_samples(X)
        return map_rows(self.encoder_, X, self._dtype)

    def fit_transform(self, X: ArrayLike, y: object = None) -> Array:
        """Train on samples, and return their codes."""
        return self.fit(X).transform(X)

    def inverse_transform(self, codes: ArrayLike) -> Array:
        """Samples ``(n, n_features)`` that the decoder makes of codes ``(n, n_components)``."""
        return map_rows(self.decoder_, self._check_codes(codes), self._dtype)

    def reconstruct(self, X: ArrayLike) -> Array:
        """Samples after their way through the code and back."""
        return self.inverse_transform(self.transform(X))

    def interpolate(self, start: ArrayLike, end: ArrayLike, n_steps: int = 8) -> Array:
        """Decoded points of the straight line between the codes of two samples.

        Parameters
        ----------
        start, end : array-like of shape (n_features,)
        n_steps : int, default 8
            Points, both ends included.

        Returns
        -------
        ndarray of shape (n_steps, n_features)
        """
        check_integer("n_steps", n_steps, 2)
        ends: Any = [start, end]
        first, last = self.transform(ends)
        part = np.linspace(0, 1, n_steps, dtype=first.dtype)[:, None]
        return self.inverse_transform((1 - part) * first + part * last)

    def traverse(self, sample: ArrayLike, dimension: int, values: ArrayLike) -> Array:
        """What one dimension of the code does: decoded codes of a sample with that one changed.

        Parameters
        ----------
        sample : array-like of shape (n_features,)
        dimension : int
            Which of the code's dimensions, from 0.
        values : array-like of shape (m,)
            What to put there.

        Returns
        -------
        ndarray of shape (m, n_features)
        """
        code = self.transform(np.asarray(sample)[None])
        check_integer("dimension", dimension, 0, code.shape[1] - 1)
        codes = np.repeat(code, len(np.atleast_1d(values)), axis=0)
        codes[:, dimension] = values
        return self.inverse_transform(codes)

    def reconstruction_error(self, X: ArrayLike) -> Array:
        """``‖x − x̂‖²`` of each sample: high where the model has seen nothing like it."""
        X = self._check_samples(X)
        return map_rows(lambda x: np.sum((x - self.reconstruct(x)) ** 2, axis=1), X, self._dtype)

    def score(self, X: ArrayLike, y: object = None) -> float:
        """Minus the mean reconstruction error: higher is better."""
        return -float(np.mean(self.reconstruction_error(X)))

    # --- checks and copies -----------------------------------------------------------------

    @property
    def _needs_unit_interval(self) -> bool:
        return False  # a Bernoulli likelihood does

    if not TYPE_CHECKING:  # or mypy would believe in any attribute

        def __getattr__(self, name: str) -> Any:
            """Called for what is not there: ``encoder_``, and what is made of it, before fit."""
            if (name.endswith("_") or name.startswith("_")) and not name.startswith("__"):
                self._check_fitted()
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    @property
    def _dtype(self) -> np.dtype[Any]:
        self._check_fitted()
        return self._parameters.values.dtype

    def _check_fitted(self) -> None:
        if "_parameters" not in vars(self):
            raise NotFittedError(
                f"This {type(self).__name__} instance is not fitted yet; call 'fit' with data "
                "before using it."
            )

    def _check_samples(self, X: ArrayLike, *, minimum: int = 1) -> Array:
        """Samples to train on (``minimum=2``), or else for the fitted model, in its dtype."""
        training = minimum > 1
        if not training:
            self._check_fitted()
        return check_samples(
            X, minimum=minimum, n_features=None if training else self.n_features_in_,
            unit_interval=self._needs_unit_interval, model=type(self).__name__,
            dtype=None if training else self._dtype,
        )  # fmt: skip

    def _check_codes(self, codes: ArrayLike) -> Array:
        self._check_fitted()
        return check_samples(
            codes, n_features=self.decoder_.layers[0].n_in, dtype=self._dtype,
            name="codes", model=type(self).__name__,
        )  # fmt: skip

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn (1.6 or newer) wants to know; it alone calls this."""
        caller: Any = sys.modules["sklearn.utils"]  # which is there, so we need not import it
        return caller.Tags(
            estimator_type=None,
            target_tags=caller.TargetTags(required=False),
            transformer_tags=caller.TransformerTags(preserves_dtype=["float64", "float32"]),
            input_tags=caller.InputTags(),
        )

    # --- files and copies --------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model to a file, from which `nanoae.load` makes it again.

        With it goes all that further training needs. The file is an npz, its name is taken as it
        is, and it appears whole or not at all.

        Parameters
        ----------
        path : path-like

        Raises
        ------
        NotFittedError
        OSError
            The file cannot be written; an old one is left as it was.
        """
        self._check_fitted()
        write(path, self._tree())

    def _tree(
        self, history: History | None = None, loop: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """What is written of the model; from within the training loop, as if it ended here."""
        if history is not None:
            self._note(history)
        state = self.__getstate__()
        if loop is not None:
            state["_parameters"] = np.ravel(loop["best_values"])
            state["_training"] = {key: loop[key] for key in ("optimizer", "rng") if key in loop}
        return {"class": type(self).__name__, "state": state}

    def __getstate__(self) -> dict[str, Any]:
        """State for pickle and copy: views of one vector do not survive either, so networks
        are left out and built again."""
        state = vars(self).copy()
        if "_parameters" in state:
            state["_parameters"] = state["_parameters"].values.copy()
            for name in self._networks():
                del state[name]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take up a state."""
        vars(self).update(state)
        if "_parameters" in state:
            values, present = state["_parameters"], self.get_params()
            vars(self).update(self._built_with)  # set_params may have been called since fit
            self._build(self.n_features_in_, values.dtype)
            vars(self).update(present)
            if values.shape != self._parameters.values.shape:
                n = self._parameters.values.size
                raise ValueError(f"{values.size} parameters do not fit a model of {n}")
            self._parameters.values[...] = values
