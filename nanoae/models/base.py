"""What all models share: the estimator's manners. What a model *is* stands in its own file."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from nanoae.arrays import Array
from nanoae.exceptions import NotFittedError
from nanoae.network import Parameters, Sequential
from nanoae.optimizers import SGD, Adam, Optimizer
from nanoae.training import History, train, train_full_batch
from nanoae.validation import (
    check_bool,
    check_choice,
    check_integer,
    check_random_state,
    check_real,
    check_samples,
)

Self = TypeVar("Self", bound="BaseAutoencoder")


class BaseAutoencoder:
    """An encoder, a decoder, and one flat vector of parameters under both.

    A model adds its constructor, `_build` (which networks), `loss_and_gradient` (what it is),
    and overrides what differs.
    """

    n_components: int
    weight_decay: float
    random_state: Any

    encoder_: Sequential
    decoder_: Sequential
    _parameters: Parameters

    # --- what a model must say of itself -------------------------------------------------

    def _build(self, n_features: int, dtype: DTypeLike) -> None:
        """Set ``encoder_`` and ``decoder_``, bound to a new ``_parameters``."""
        raise NotImplementedError

    def loss_and_gradient(
        self, X: Array, rng: np.random.Generator | None = None
    ) -> tuple[float, Array]:
        """The training loss on a batch, and its gradient in the flat vector of parameters."""
        raise NotImplementedError

    def _train(self, X: Array, rng: np.random.Generator, history: History) -> None:
        """Minimise the loss over ``X``, noting its course in ``history``."""
        raise NotImplementedError

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

    def fit(self: Self, X: ArrayLike, y: object = None) -> Self:
        """Train on samples.

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
            The data or a hyper-parameter is not usable; the model is left as it was.
        TrainingDiverged
            The loss became infinite or NaN; the last finite parameters are kept.
        """
        X, rng = self._start(X)
        history = History()
        try:
            with np.errstate(over="ignore", invalid="ignore"):  # the loop looks at the loss
                self._train(X, rng, history)
        finally:
            self.history_ = history.arrays()
            self.n_iter_ = len(self.history_.get("loss", ()))
            self.loss_ = float(self.history_["loss"][history.kept]) if self.n_iter_ else np.inf
            for network in self._networks().values():
                network.forget()
        return self

    def _start(self, X: ArrayLike) -> tuple[Array, np.random.Generator]:
        """All of ``fit`` that comes before training: checks, networks, initial weights."""
        X = self._check_samples(X, minimum=2)
        self._check_hyperparameters(X.shape[1])
        rng = check_random_state(self.random_state)
        self.n_features_in_ = X.shape[1]
        self._built_with = self.get_params()
        self._build(X.shape[1], X.dtype)
        self._initialise(rng)
        return X, rng

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
        return self.encoder_(self._check_samples(X))

    def fit_transform(self, X: ArrayLike, y: object = None) -> Array:
        """Train on samples, and return their codes."""
        return self.fit(X).transform(X)

    def inverse_transform(self, codes: ArrayLike) -> Array:
        """Samples ``(n, n_features)`` that the decoder makes of codes ``(n, n_components)``."""
        return self.decoder_(self._check_codes(codes))

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
        return np.sum((X - self.reconstruct(X)) ** 2, axis=1)

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
            dtype=None if training else self._parameters.values.dtype,
        )  # fmt: skip

    def _check_codes(self, codes: ArrayLike) -> Array:
        self._check_fitted()
        return check_samples(
            codes, n_features=self.decoder_.layers[0].n_in, dtype=self._parameters.values.dtype,
            name="codes", model=type(self).__name__,
        )  # fmt: skip

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn (1.6 or newer) wants to know; it alone calls this."""
        from sklearn.utils import InputTags, Tags, TargetTags, TransformerTags

        return Tags(
            estimator_type=None,
            target_tags=TargetTags(required=False),
            transformer_tags=TransformerTags(preserves_dtype=["float64", "float32"]),
            input_tags=InputTags(),
        )

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
            self._parameters.values[...] = values


class DeepAutoencoder(BaseAutoencoder):
    """A model with any number of layers, trained by the loop's optimizers or by L-BFGS."""

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

    def _train(self, X: Array, rng: np.random.Generator, history: History) -> None:
        if self._solver == "lbfgs":
            train_full_batch(
                self, lambda: self._full_batch_loss_and_gradient(X), history,
                max_iter=5000 if self.max_iter is None else self.max_iter,
                tol=1e-6 if self.tol is None else self.tol,
                verbose=self.verbose,
            )  # fmt: skip
        else:
            train(
                self, X, rng, history,
                optimizer=self._optimizer(), batch_size=self.batch_size,
                max_iter=200 if self.max_iter is None else self.max_iter,
                tol=1e-5 if self.tol is None else self.tol,
                n_iter_no_change=self.n_iter_no_change, early_stopping=self.early_stopping,
                validation_fraction=self.validation_fraction, schedule=self._schedule,
                verbose=self.verbose,
            )  # fmt: skip

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
