"""Noise as a teacher: what corrupts the inputs of a training, and what the denoiser is good for.

A model with ``corruption=`` sees corrupted samples and is asked for the clean ones. What it learns
is chapter 7's subject.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from nanoae.arrays import Array, standard_normal
from nanoae.exceptions import ConvergenceWarning
from nanoae.validation import (
    check_bool,
    check_integer,
    check_probability,
    check_random_state,
    check_real,
    check_samples,
)


class Corruption:
    """What is done to samples before a model sees them in training.

    One of your own is a frozen dataclass that derives from this and has ``__call__``;
    ``corruption=Mine(...)`` then works in all models that take one, and in files. For the linear
    models, which train on the expected loss, it has `noise_variance` too. (A search over
    corruptions needs a scoring of its own: on clean samples, which `score` takes, none is best.)

    Examples
    --------
    Noise that is stronger where the signal is:

    >>> from dataclasses import dataclass
    >>> from nanoae import Autoencoder, datasets
    >>> from nanoae.denoising import Corruption
    >>> @dataclass(frozen=True)
    ... class Speckle(Corruption):
    ...     scale: float = 0.1
    ...
    ...     def __call__(self, X, rng):
    ...         return X * (1 + self.scale * rng.standard_normal(X.shape, dtype=X.dtype.name))
    ...
    ...     def noise_variance(self, mean, variance):
    ...         return self.scale**2 * (variance + mean**2)
    >>> X = datasets.make_gaussian(50, [2.0, 1.0, 1.0], random_state=0)
    >>> Autoencoder(1, corruption=Speckle(scale=0.2), max_iter=2, random_state=0).fit(X).n_iter_
    2
    """

    def __call__(self, X: Array, rng: np.random.Generator) -> Array:
        """Corrupted samples of shape and dtype of ``X`` (n, d), which is left as it is."""
        raise NotImplementedError

    def noise_variance(self, mean: Array, variance: Array) -> Array:
        """``E Var(x̃_j|x)`` of each feature, for features of these means and variances (7.7).

        That is all which a linear model sees of the noise, if the features' noises are
        uncorrelated and ``E[x̃|x] = x``.
        """
        raise NotImplementedError

    @property
    def is_unbiased(self) -> bool:
        """Whether ``E[x̃|x] = x``."""
        return True

    def check(self, X: Array, name: str = "X") -> None:
        """Raise a ValueError if these are no samples that it can corrupt."""


@dataclass(frozen=True)
class GaussianNoise(Corruption):
    """``x̃ = x + ε`` with ε ~ N(0, scale² I).

    Parameters
    ----------
    scale : float
        σ, the noise's standard deviation, in the units of the data.

    Raises
    ------
    ValueError, TypeError
        It is not a positive number.

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae import GaussianNoise
    >>> noise = GaussianNoise(scale=0.5)
    >>> X_noisy = noise(np.zeros((10_000, 2)), np.random.default_rng(0))
    >>> round(float(X_noisy.std()), 2)
    0.5
    """

    scale: float

    def __post_init__(self) -> None:
        check_real("scale", self.scale, 0, open_ends=True)

    def __call__(self, X: Array, rng: np.random.Generator) -> Array:
        X = _floats(X)
        return X + self.scale * standard_normal(rng, X.shape, X.dtype)

    def noise_variance(self, mean: Array, variance: Array) -> Array:
        return np.full_like(variance, self.scale**2)


class _Replacing(Corruption):
    """Replaces each entry with a probability, on its own, by a value of its own mean and variance.

    If it rescales, the result is ``(x̃ − p z̄) / q``, which is x on average.
    """

    probability: float
    rescale: bool
    _replacement = 0.0, 0.0  # mean z̄ and variance v

    def __post_init__(self) -> None:
        check_probability("probability", self.probability)
        check_bool("rescale", self.rescale)

    def __call__(self, X: Array, rng: np.random.Generator) -> Array:
        X = _floats(X)
        draws = rng.random(X.shape)  # in float64, so that float32 data meet the same noise
        X_tilde = self._replace(X, draws)
        if self.rescale:
            X_tilde -= self.probability * self._replacement[0]
            X_tilde /= 1 - self.probability
        return X_tilde

    def _replace(self, X: Array, draws: Array) -> Array:
        """Where the draws of U(0, 1) are below the probability."""
        raise NotImplementedError

    def noise_variance(self, mean: Array, variance: Array) -> Array:
        # the law of total variance over kept or not, divided by q² (7.7a)
        z_bar, v = self._replacement
        q = 1 - self.probability
        return self.probability / q * (variance + (mean - z_bar) ** 2 + v / q)

    @property
    def is_unbiased(self) -> bool:
        return self.rescale or self.probability == 0


@dataclass(frozen=True)
class MaskingNoise(_Replacing):
    """Each entry of x is set to 0 with a probability p, and the others are divided by 1 − p.

    Parameters
    ----------
    probability : float in [0, 1)
        p, of each entry on its own.
    rescale : bool, default True
        So that corrupted samples are right on average, and the trained model may be given clean
        ones. False leaves what is kept as it is: for data of which parts are missing when the
        model is used, too.

    Raises
    ------
    ValueError, TypeError

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae import MaskingNoise
    >>> MaskingNoise(probability=0.5)(np.ones((2, 6)), np.random.default_rng(1)).tolist()
    [[2.0, 2.0, 0.0, 2.0, 0.0, 0.0], [2.0, 0.0, 2.0, 0.0, 2.0, 2.0]]
    """

    probability: float
    rescale: bool = True

    def _replace(self, X: Array, draws: Array) -> Array:
        return X * (draws >= self.probability)


@dataclass(frozen=True)
class SaltAndPepper(_Replacing):
    """Each entry is replaced with a probability p, by one end of the data's range or the other.

    Parameters
    ----------
    probability : float in [0, 1)
        p, of each entry on its own.
    low, high : float, default 0 and 1
        The ends, either of which is drawn with probability ½. No sample may lie outside.
    rescale : bool, default True
        So that corrupted samples are right on average: ``(x̃ − p (low + high)/2) / (1 − p)``, and
        the trained model may be given clean ones. False leaves them as they are: for a model
        that is to be given noisy ones.

    Raises
    ------
    ValueError, TypeError

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae import SaltAndPepper
    >>> X = np.full((2, 6), 0.3)
    >>> SaltAndPepper(0.5, rescale=False)(X, np.random.default_rng(1)).tolist()
    [[0.3, 0.3, 0.0, 0.3, 1.0, 1.0], [0.3, 1.0, 0.3, 0.0, 0.3, 0.3]]
    """

    probability: float
    low: float = 0.0
    high: float = 1.0
    rescale: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_real("low", self.low, -np.inf)
        check_real("high", self.high, -np.inf)
        if not self.low < self.high:
            raise ValueError(f"low must be less than high; got {self.low!r} and {self.high!r}.")

    @property
    def _replacement(self) -> tuple[float, float]:  # type: ignore[override]
        return (self.low + self.high) / 2, (self.high - self.low) ** 2 / 4

    def _replace(self, X: Array, draws: Array) -> Array:
        self.check(X)
        p = self.probability
        return np.where(
            draws >= p, X, np.where(draws < p / 2, self.low, self.high).astype(X.dtype)
        )

    def check(self, X: Array, name: str = "X") -> None:
        lowest, highest = np.nanmin(X, initial=self.low), np.nanmax(X, initial=self.low)
        # a model that takes the mean off, and puts it back for this, rounds
        rounding = 8 * float(np.finfo(X.dtype).eps) * max(abs(self.low), abs(self.high))
        if lowest < self.low - rounding or highest > self.high + rounding:
            raise ValueError(
                f"{name} must lie in [low, high] = [{self.low:g}, {self.high:g}] under "
                f"SaltAndPepper noise, whose values these are; got values from {lowest:.10g} to "
                f"{highest:.10g}. Scale it, or name its ends."
            )


def langevin(
    denoise: Callable[[Array], Array],
    X: ArrayLike,
    scale: float,
    n_steps: int,
    *,
    step: float | None = None,
    random_state: Any = None,
) -> Array:
    """Draw samples with a denoiser: Langevin steps along the score that it has learned.

    By Tweedie's formula (7.3) ``(r(x) − x)/σ²`` is the gradient of the log-density of the noisy
    data, if r is the best denoiser for Gaussian noise. A step goes ``η/2`` times that far, and
    then at random, by √η: ``x ← x + η/2 (r(x) − x)/σ² + √η ξ``. After many, x is a draw of the
    noisy data's density, up to an error of the order of η (7.13).

    Parameters
    ----------
    denoise : callable
        From points ``(n, d)`` to points ``(n, d)``: ``model.reconstruct`` of a model that was
        trained with ``corruption=GaussianNoise(scale)``.
    X : array-like of shape (n, d)
        Where to start; every row goes its own way.
    scale : float
        σ of that noise.
    n_steps : int
    step : float, optional
        η; by default σ²/2.
    random_state : int, Generator or None

    Returns
    -------
    ndarray of shape (n, d)

    Raises
    ------
    ValueError, TypeError
        An argument is not usable, or the steps run away to infinity: they are too long.

    Examples
    --------
    The data are two points, of which the best denoiser is known; the draws fall around both:

    >>> import numpy as np
    >>> from nanoae import denoising
    >>> start = np.zeros((1000, 1))
    >>> X = denoising.langevin(
    ...     lambda x: np.tanh(x / 0.25), start, scale=0.5, n_steps=200, random_state=0
    ... )
    >>> round(float(np.abs(X).mean()), 1), round(float(np.mean(X > 0)), 1)
    (1.0, 0.5)
    """
    check_real("scale", scale, 0, open_ends=True)
    check_integer("n_steps", n_steps, 1)
    step = scale**2 / 2 if step is None else step
    check_real("step", step, 0, open_ends=True)
    rng = check_random_state(random_state)
    x = check_samples(X, dtype=np.float64).copy()
    for _ in range(n_steps):
        score = (_denoised(denoise, x) - x) / scale**2
        x = x + step / 2 * score + np.sqrt(step) * rng.standard_normal(x.shape)
        if not np.isfinite(x).all():
            raise ValueError(
                f"step must be small enough for the steps to stay finite; got {step:g}. Take a "
                "smaller one."
            )
    return x


def mean_shift(
    denoise: Callable[[Array], Array], X: ArrayLike, *, max_iter: int = 1000, tol: float = 1e-8
) -> Array:
    """Denoise again and again, until nothing moves: each point climbs to a mode (7.12).

    Parameters
    ----------
    denoise : callable
        From points ``(n, d)`` to points ``(n, d)``, such as ``model.reconstruct``.
    X : array-like of shape (n, d)
        Where to start.
    max_iter : int, default 1000
    tol : float, default 1e-8
        Stop when no point moves by more, each coordinate on its own.

    Returns
    -------
    ndarray of shape (n, d)
        Where they are after the last step.

    Raises
    ------
    ValueError, TypeError
        An argument is not usable, or the denoiser leads to infinity.

    Warns
    -----
    ConvergenceWarning
        ``max_iter`` came first.

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae import denoising
    >>> modes = denoising.mean_shift(lambda x: np.tanh(x / 0.25), [[-0.1], [0.2]])
    >>> modes.round(3).tolist()  # of two points at ±1, seen through noise of σ = ½
    [[-0.999], [0.999]]
    """
    check_integer("max_iter", max_iter, 1)
    check_real("tol", tol, 0)
    x = check_samples(X, dtype=np.float64).copy()
    for _ in range(max_iter):
        moved = _denoised(denoise, x)
        step = np.max(np.abs(moved - x))
        rounding = 8 * float(np.finfo(moved.dtype).eps) * np.abs(moved).max()  # never less moves
        x = moved.astype(np.float64)
        if step <= tol + rounding:
            return x
    warnings.warn(
        f"mean_shift stopped at max_iter={max_iter} while points still moved, by {step:.2g}; "
        "raise max_iter or tol.",
        ConvergenceWarning,
        stacklevel=2,
    )
    return x


def _floats(X: ArrayLike) -> Array:
    """Samples to corrupt: float32 as they are, all else in float64."""
    X = np.asarray(X)
    return np.asarray(X, np.float32 if X.dtype == np.float32 else np.float64)


def _denoised(denoise: Callable[[Array], Array], x: Array) -> Array:
    """What a denoiser makes of points, after a look at it."""
    if not callable(denoise):
        raise TypeError(f"denoise must be a function, such as model.reconstruct; got {denoise!r}.")
    result = np.asarray(denoise(x.copy()))
    if result.shape != x.shape:
        raise ValueError(
            f"denoise must return points of the shape it was given, {x.shape}; got {result.shape}."
        )
    if not np.isfinite(result).all():
        raise ValueError("denoise must return finite points; some have run away to infinity.")
    return result
