"""The adversarial autoencoder: codes that another network cannot tell from draws of a prior."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from nanoae.arrays import Array, standard_normal
from nanoae.losses import (
    discriminator_loss,
    mmd_to_normal,
    non_saturating_loss,
    saturating_loss,
)
from nanoae.models.autoencoder import Autoencoder
from nanoae.models.base import Objective
from nanoae.models.hyperparameters import anything, choice, documented, real
from nanoae.network import Layer
from nanoae.network.discriminator import Discriminator
from nanoae.optimizers import SGD, Adam, Optimizer
from nanoae.training import Monitor
from nanoae.validation import (
    check_choice,
    check_integer,
    check_layer_sizes,
    check_random_state,
    check_samples,
)

# what the encoder pays in the game
GAMES = {"non_saturating": non_saturating_loss, "saturating": saturating_loss}
NO_BEST_EPOCH = (
    "with a discriminator, as the loss of one player does not tell which epoch is best: choose "
    "max_iter, or match='mmd'"
)
ETAS = 0.25, 1.0, 4.0  # of the kernels of "mmd", for each dimension of the code


def _around_circle(
    radius: float, deviation: float, n_places: int | None = None
) -> Callable[[np.random.Generator, int], Array]:
    """Draws in the plane around a circle: all of it, or places that are evenly spaced on it."""

    def draw(rng: np.random.Generator, n_samples: int) -> Array:
        turns = rng.random(n_samples)
        if n_places is not None:
            turns = np.floor(turns * n_places) / n_places
        circle = np.stack([np.cos(2 * np.pi * turns), np.sin(2 * np.pi * turns)], axis=1)
        return radius * circle + deviation * rng.standard_normal((n_samples, 2))

    return draw


PLANE_PRIORS = {"ring": _around_circle(2.0, 0.2), "mixture": _around_circle(2.5, 0.25, 10)}


def _check_prior(name: str, value: Any) -> None:
    if not callable(value):
        check_choice(name, value, ("normal", *PLANE_PRIORS))


def _check_discriminator(name: str, value: Any) -> None:
    if value == "quadratic":
        return
    if isinstance(value, str):
        raise ValueError(f"{name} must be widths, as (64, 64), or 'quadratic'; got {value!r}.")
    check_layer_sizes(name, value)


@documented
@dataclass(eq=False, repr=False, kw_only=True)
class AdversarialAutoencoder(Autoencoder):
    """Adversarial autoencoder (Makhzani et al. 2015): the codes, all together, match a prior.

    Two players share the vector of parameters. Encoder and decoder minimise the reconstruction
    loss plus λ times what it costs the encoder that codes can be told from draws of the prior;
    the discriminator minimises what it pays for telling them apart, plus ``γ/2`` times the mean
    squared length of its slope ``∇_z a`` at the prior's draws. Each pays ``weight_decay`` for
    its own weights. Both move at once. In place of the
    game, ``match="mmd"`` takes a distance from N(0, I) in closed form (Tolstikhin et al. 2018;
    Rustamov 2019), and there is no discriminator.

    Attributes
    ----------
    encoder_, decoder_ : MLP, or what the architecture makes
    discriminator_ : Discriminator
        Logits of codes; not there under "mmd".
    parameters_ : ndarray of shape (n_parameters,)
        The discriminator's come last.
    loss_ : float
        The encoder and decoder's, in the last epoch. A game has no loss that falls to its end:
        look at ``history_``, and ask a test whether codes match the prior.
    n_iter_ : int
    history_ : dict of ndarray
        ``"loss"``; its parts ``"reconstruction"`` and ``"match"``, without λ; and
        ``"discriminator"``, which is 2 log 2 where it cannot tell. One value an epoch.
    n_features_in_, n_samples_seen_ : int

    Examples
    --------
    >>> from nanoae import AdversarialAutoencoder, datasets
    >>> X = datasets.load_digits().X
    >>> model = AdversarialAutoencoder(2, prior="ring", max_iter=3, random_state=0).fit(X)
    >>> sorted(model.history_)
    ['discriminator', 'loss', 'match', 'reconstruction']
    >>> model.sample(5, random_state=0).shape  # decoded draws of the prior
    (5, 64)
    """

    prior: str | Callable[[np.random.Generator, int], ArrayLike] = anything(
        "normal",
        'p(z). "normal" is N(0, I). In the plane, "ring" lies around a circle of radius 2 with a '
        'standard deviation of 0.2, and "mixture" is ten Gaussians of 0.25 on one of radius 2.5. '
        "Or a function of a Generator and a number n that draws (n, k); no file can hold it.",
        _check_prior,
        '"normal", "ring", "mixture" or callable',
    )
    match: str = choice(
        "non_saturating",
        "What the encoder pays: in the game, with a discriminator, the non-saturating or the "
        'saturating loss; "mmd", for the prior "normal", a distance without one.',
        (*GAMES, "mmd"),
    )
    match_weight: float = real(1.0, "λ, the weight of that beside the reconstruction.", 0)
    discriminator: Sequence[int] | str = anything(
        (64, 64),
        "Widths of the hidden layers, of leaky relu, of the network that tells codes from draws "
        'of the prior. Or "quadratic": it tells nothing where means and covariances agree.',
        _check_discriminator,
        'tuple of int or "quadratic"',
    )
    gradient_penalty: float = real(0.1, "γ of the penalty R1 on the discriminator's slope.", 0)
    instance_noise: float = real(
        0.0, "Standard deviation of noise on all that the discriminator is shown.", 0
    )
    discriminator_learning_rate: float | None = real(
        None, "That of the discriminator alone (None: ``learning_rate``).", 0, open_ends=True
    )
    solver: str = choice(
        "adam", 'In the game its β₁ is 0.5. "sgd" is with momentum.', ("adam", "sgd")
    )
    learning_rate: float = 2e-3
    n_iter_no_change: int | None = None

    _bound = ("_loss", "_game", "_draw", "_loss_parts")  # type: ignore[assignment]

    def _build(self, n_features: int, dtype: DTypeLike, **more: Layer | tuple[int, ...]) -> None:
        k = self.n_components
        self._game = GAMES.get(self.match)
        vars(self).pop("discriminator_", None)  # of a fit before
        if self._game is not None:
            self.discriminator_ = Discriminator(k, self.discriminator)
            more = {"discriminator_": self.discriminator_}
        super()._build(n_features, dtype, **more)
        self._draw: Callable[[np.random.Generator, int], ArrayLike]
        if callable(self.prior):
            self._draw = self.prior
        elif self.prior == "normal":
            self._draw = lambda rng, n: standard_normal(rng, (n, k), dtype)
        else:
            self._draw = PLANE_PRIORS[self.prior]
        self._loss_parts: dict[str, float] = {}  # of the last batch

    def loss_and_gradient(
        self, X: Array, rng: np.random.Generator | None = None, weights: Array | None = None
    ) -> tuple[float, Array]:
        """The loss of encoder and decoder on a batch, and the gradient of each player's own loss.

        Parameters
        ----------
        X : ndarray of shape (n, d)
        rng : Generator, optional
            Draws from the prior, as many as there are samples, and the noise; by default one made
            from ``random_state``.
        weights : ndarray of shape (n,), optional
            Of the mean 1 over all samples of the training.

        Returns
        -------
        loss : float
        gradient : ndarray of shape (n_parameters,)
            The live vector: it is overwritten by the next call. In the discriminator's part, which
            is the last, it is that of the discriminator's loss (13.1f).
        """
        rng = check_random_state(self.random_state) if rng is None else rng
        x_tilde = X if self.corruption is None else self._corrupt(X, rng)
        z = self.encoder_.forward(x_tilde, rng)
        x_hat = self.decoder_.forward(z, rng)
        error, grad_x_hat = self._loss.value(x_hat, X, weights)
        if self._game is None:
            etas = [eta * z.shape[1] for eta in ETAS]
            match, match_grad_z = mmd_to_normal(z, etas, weights)  # (13.7b)
        else:
            match, match_grad_z = self._play(z, rng, weights)

        grad_z = self.decoder_.backward(grad_x_hat) + self.match_weight * match_grad_z
        self.encoder_.backward(grad_z, input_gradient=False)
        self._loss_parts |= {"reconstruction": error, "match": match}
        loss = error + self.match_weight * match + self._decay_weights()
        return loss, self._parameters.gradient

    def _play(
        self, z: Array, rng: np.random.Generator, weights: Array | None
    ) -> tuple[float, Array]:
        """What the encoder pays for its codes, with the gradient by them; the discriminator's
        own loss and gradient are noted."""
        assert self._game is not None
        n = len(z)
        rows = np.vstack([self._draws(n, rng), z])  # of the prior, then of the codes
        if self.instance_noise:
            rows += self.instance_noise * standard_normal(rng, rows.shape, rows.dtype)
        logits, slopes = self.discriminator_.logits_and_slopes(rows)  # a, ∇_z a

        match, grad_logits = self._game(logits[n:], weights)  # (13.1a), (13.1b)
        match_grad_z = grad_logits[:, None] * slopes[n:]

        loss, *grads = discriminator_loss(logits[:n], logits[n:], weights)  # (13.1)
        gamma = np.repeat(np.array([self.gradient_penalty / n, 0], rows.dtype), n)  # of the prior
        loss += 0.5 * gamma @ np.sum(slopes * slopes, axis=1)
        self.discriminator_.backward_with_slopes(rows, slopes, np.concatenate(grads), gamma)
        self._loss_parts["discriminator"] = loss
        return match, match_grad_z

    def _decay_weights(self) -> float:
        """That of encoder and decoder; the discriminator pays for its own weights."""
        penalty = super()._decay_weights()
        if self._game is None or not self.weight_decay:
            return penalty
        of_discriminator = self.weight_decay * sum(
            np.sum(self._parameters[name][0] ** 2)
            for name in self._parameters.names
            if name.startswith("discriminator_") and name.endswith("weight")
        )
        self._loss_parts["discriminator"] += of_discriminator
        return penalty - of_discriminator

    def _draws(self, n_samples: int, rng: np.random.Generator) -> Array:
        draws = np.asarray(self._draw(rng, n_samples), self._dtype)
        self._check_draws(draws, n_samples)
        return draws

    def _check_draws(self, draws: ArrayLike, n_samples: int) -> None:
        shape = n_samples, self.n_components
        if np.shape(draws) != shape:
            raise ValueError(
                f"prior must draw {n_samples} codes if asked for {n_samples}, in the shape "
                f"{shape}; got {np.shape(draws)}."
            )

    def objectives(self) -> dict[str, tuple[Objective, slice]]:
        if self._game is None:
            return super().objectives()

        def of_discriminator(
            X: Array, rng: np.random.Generator | None = None
        ) -> tuple[float, Array]:
            gradient = self.loss_and_gradient(X, rng)[1]
            return self._loss_parts["discriminator"], gradient

        n = sum(math.prod(shape) for shape in self.discriminator_.shapes.values())
        return {
            "autoencoder": (self.loss_and_gradient, slice(0, -n)),
            "discriminator": (of_discriminator, slice(-n, None)),
        }

    def _train(self, X: Array, rng: np.random.Generator, monitor: Monitor, **options: Any) -> None:
        if self._game is not None:
            options["optimizer"] = self._optimizer_of_both()
        super()._train(X, rng, monitor, **options)

    def _optimizer_of_both(self) -> Optimizer:
        """One for both players, each with its own learning rate."""
        rate = np.full_like(self.parameters_, self.learning_rate)
        if self.discriminator_learning_rate is not None:
            rate[self.objectives()["discriminator"][1]] = self.discriminator_learning_rate
        if self.solver == "sgd":
            return SGD(rate, self.momentum)
        return Adam(rate, beta_1=0.5)  # a long memory of the gradient is one of past opponents

    def _null_loss(self) -> float:
        match = self.loss_ - self.history_["reconstruction"][self._kept_epoch]
        return super()._null_loss() + match  # a game's is low or high as the other player is good

    def sample_prior(self, n_samples: int = 1, *, random_state: Any = None) -> Array:
        """Codes drawn from the prior: what those of unseen samples are to be compared with.

        Parameters
        ----------
        n_samples : int, default 1
        random_state : int, Generator or None
            By default the model's own.

        Returns
        -------
        ndarray of shape (n_samples, k)
        """
        self._check_fitted()
        check_integer("n_samples", n_samples, 1)
        rng = check_random_state(self.random_state if random_state is None else random_state)
        return self._draws(n_samples, rng)

    def sample(self, n_samples: int = 1, *, random_state: Any = None) -> Array:
        """New data: codes drawn from the prior, decoded.

        Parameters are those of `sample_prior`.

        Returns
        -------
        ndarray of shape (n_samples, d)
        """
        return self.inverse_transform(self.sample_prior(n_samples, random_state=random_state))

    # --- what is refused -------------------------------------------------------------------

    def _check_hyperparameters(self, n_features: int) -> None:
        super()._check_hyperparameters(n_features)
        k = self.n_components
        if self.match == "mmd" and self.prior != "normal":
            raise ValueError(
                "prior must be 'normal' with match='mmd', whose closed form is for N(0, I); got "
                f"{self.prior!r}."
            )
        if self.prior in PLANE_PRIORS and k != 2:
            raise ValueError(
                f"n_components must be 2 with prior={self.prior!r}, which lies in the plane; got "
                f"{k}."
            )
        if callable(self.prior):
            draws = self.prior(np.random.default_rng(0), 3)
            self._check_draws(draws, 3)
            check_samples(draws, name="what prior draws")
        if self.early_stopping and self.match != "mmd":
            raise ValueError(f"early_stopping must be False {NO_BEST_EPOCH}; got True.")

    def _check_validation(
        self, X_validation: ArrayLike, n_features: int, names: list[str] | None
    ) -> Array:
        if self.match != "mmd":
            raise ValueError(f"X_validation must be None {NO_BEST_EPOCH}.")
        return super()._check_validation(X_validation, n_features, names)
