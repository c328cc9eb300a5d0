"""The Gaussian variational autoencoder, with β on its KL term."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from nanoae.arrays import Array, blocks, map_rows, standard_normal
from nanoae.losses import LIKELIHOODS, Likelihood, gaussian_kl, likelihood_skipping_gaps
from nanoae.models.base import BaseAutoencoder
from nanoae.models.deep import NetworkAutoencoder
from nanoae.models.hyperparameters import (
    anything,
    choice,
    documented,
    integer,
    probability,
    real,
)
from nanoae.training import Monitor
from nanoae.validation import (
    check_integer,
    check_random_state,
    check_real,
    check_unit_interval,
)

# of |log σ²| in a sampled loss: with samples in the hundreds it would start at hundreds, and its
# exponential be all of the loss
LIMIT = 30.0


def noise_variance() -> Any:
    """The field of σ²."""

    def check(name: str, value: Any) -> None:
        if isinstance(value, str) and value != "learned":
            raise ValueError(
                f"{name} must be a number greater than 0 or 'learned'; got {value!r}."
            )
        if value != "learned":
            check_real(name, value, 0, open_ends=True)

    return anything(
        1.0,
        'Variance σ² of the Gaussian likelihood, one for all features. "learned" makes log σ² one '
        "more parameter.",
        check,
        'float or "learned"',
    )


class LatentGaussian(BaseAutoencoder):
    """What all VAEs are once they are trained: a prior N(0, I), q(z|x) and p(x|z), and its bounds.

    Examples
    --------
    >>> from nanoae import VAE, LinearVAE
    >>> from nanoae.models.vae import LatentGaussian
    >>> issubclass(VAE, LatentGaussian) and issubclass(LinearVAE, LatentGaussian)
    True
    """

    likelihood: str
    noise_variance: float | str
    beta: float
    _likelihood: Likelihood
    _log_noise_variance: Array
    _grad_log_noise_variance: Array

    _outputs_per_component = 2
    _loss_field = "likelihood"
    _bound = ("_likelihood", "_loss", "_log_noise_variance", "_grad_log_noise_variance")

    def _build(self, n_features: int, dtype: DTypeLike) -> None:
        if self.noise_variance != "learned":
            super()._build(n_features, dtype)
            log_variance = np.array(math.log(float(self.noise_variance)), dtype)
            views = log_variance, np.zeros_like(log_variance)
        else:
            super()._build(n_features, dtype, log_noise_variance=())  # type: ignore[call-arg]
            views = self._parameters["log_noise_variance"]
            # the best noise for a decoder that still says nothing: the variance of a feature
            views[0][...] = self._log_variance_of_features
        self._log_noise_variance, self._grad_log_noise_variance = views
        self._likelihood = LIKELIHOODS[self.likelihood]
        if self.architecture is not None and self.architecture.sequences is not None:
            self._likelihood = likelihood_skipping_gaps(self.likelihood)
        self._loss = self._likelihood.distortion

    @property
    def _log_variance_of_features(self) -> float:
        """Of the samples, on average; 0 if they are all the same."""
        variance = self._moments.variance / self._n_values
        return math.log(variance) if variance > 0 else 0.0

    def _check_range(self, X: Array, name: str = "X") -> Array:
        X = super()._check_range(X, name)
        distortion = LIKELIHOODS[self.likelihood].distortion
        return check_unit_interval(X, name) if distortion.needs_unit_interval else X

    def _split(self, statistics: Array) -> tuple[Array, Array]:
        """μ and log σ² of q(z|x), from the encoder's output."""
        mu, log_var = np.split(statistics, 2, axis=1)
        return mu, log_var

    def _codes(self, X: Array) -> Array:
        return self._split(self.encoder_(X))[0].copy()  # the means of q(z|x)

    def _null_loss(self) -> float:
        distortion = super()._null_loss()  # type: ignore[misc]
        log_variance: Any = self._log_noise_variance
        if self.noise_variance == "learned":  # the best noise for a decoder that says nothing
            log_variance = self._log_variance_of_features
        return float(self._likelihood.nll_of_distortion(distortion, self._n_values, log_variance))

    @property
    def _may_be_null(self) -> bool:
        return self.beta > 1  # which may well ask for a code that says nothing (6.2)

    _remedy = "Take a smaller noise_variance or beta, scale the data"

    @property
    def noise_variance_(self) -> float:
        """σ² of the Gaussian likelihood."""
        return float(np.exp(self._log_noise_variance))

    def encode(self, X: ArrayLike) -> tuple[Array, Array]:
        """Mean and log-variance of q(z|x) for samples ``(n, d)``: two arrays ``(n, k)``."""
        mu, log_var = self._split(self._map_rows(self.encoder_, self._check_samples(X)))
        return mu.copy(), log_var.copy()

    def sample(self, n_samples: int = 1, *, random_state: Any = None) -> Array:
        """New data: codes of the prior, decoded to the means of p(x|z), or its likeliest tokens.

        With an integer for ``random_state``, here or in the constructor, every call gives the same
        samples. To draw on, hand over a generator: ``rng = np.random.default_rng(0)`` once, then
        ``model.sample(10, random_state=rng)`` as often as you like.

        Parameters
        ----------
        n_samples : int, default 1
        random_state : int, Generator or None
            By default the model's own.

        Returns
        -------
        ndarray of shape (n_samples, d)
            Sequences are (n_samples, T, p), or tokens (n_samples, T).
        """
        self._check_fitted()
        check_integer("n_samples", n_samples, 1)
        rng = check_random_state(self.random_state if random_state is None else random_state)
        (k,) = self.decoder_.shape_in
        return self.inverse_transform(standard_normal(rng, (n_samples, k), self._dtype))

    def rate_distortion(
        self, X: ArrayLike, *, n_samples: int = 10, random_state: Any = 0
    ) -> tuple[float, float]:
        """Rate and distortion, averaged over the samples.

        Parameters
        ----------
        X : array-like of shape (n, d)
        n_samples : int, default 10
            Draws of z a sample; `LinearVAE` needs none.
        random_state : int, Generator or None, default 0
            Of these draws: the same in every call, so that models can be compared.

        Returns
        -------
        rate : float
            ``KL(q(z|x) ‖ p(z))``, nats per sample.
        distortion : float
            ``E_q ‖x − x̂‖²`` per sample; if not Gaussian, ``E_q[−log p(x|z)]`` in nats.

        Raises
        ------
        ValueError
            Of all that is wrong with ``X``, also if it is so large that either overflows.
        """
        X = self._check_samples(X)
        check_integer("n_samples", n_samples, 1)
        rng = check_random_state(random_state)
        rate, distortion = 0.0, 0.0
        with np.errstate(over="ignore", invalid="ignore"):  # one sentence says it below
            for x in blocks(X, self._dtype):
                mu, log_var = self._split(self._map_rows(self.encoder_, x))
                rate += gaussian_kl(mu, log_var)[0] * len(x)
                distortion += self._distortion(x, mu, log_var, n_samples, rng) * len(x)
        return _finite(rate / len(X)), _finite(distortion / len(X))

    def _distortion(
        self, x: Array, mu: Array, log_var: Array, n_samples: int, rng: np.random.Generator
    ) -> float:
        """``E_q`` of what is lost between ``x`` and its reconstructions, by draws."""
        draws = (
            mu + np.exp(log_var / 2) * standard_normal(rng, mu.shape, self._dtype)
            for _ in range(n_samples)
        )
        return float(
            np.mean([self._loss.value(self._map_rows(self.decoder_, z), x)[0] for z in draws])
        )

    def elbo(self, X: ArrayLike, *, n_samples: int = 10, random_state: Any = 0) -> float:
        """The evidence lower bound ``E_q[log p(x|z)] − KL`` (5.1a), β = 1, in nats per sample.

        Parameters are those of `rate_distortion`.
        """
        rate, distortion = self.rate_distortion(X, n_samples=n_samples, random_state=random_state)
        sequences = self._sequences()
        n_values: Any = self.n_features_in_
        if sequences is not None:
            n_values = np.mean(sequences.n_values(self._check_samples(X)))
        nll = self._likelihood.nll_of_distortion(distortion, n_values, self._log_noise_variance)
        return -float(nll) - rate

    def log_likelihood(
        self, X: ArrayLike, *, n_samples: int = 100, random_state: Any = 0
    ) -> float:
        """Importance-weighted estimate of log p(x), in nats per sample.

        ``log (1/K) Σ_k p(x|z_k) p(z_k) / q(z_k|x)`` with ``z_k`` from q(z|x): on average a lower
        bound, at K = 1 the ELBO (5.5a), and the tighter the larger K (5.5). Burda et al. (2016).

        Parameters
        ----------
        X : array-like of shape (n, d)
        n_samples : int, default 100
            K.
        random_state : int, Generator or None, default 0
            The same draws in every call by default, so that models can be compared.

        Returns
        -------
        float
            Averaged over the samples.
        """
        X = self._check_samples(X)
        check_integer("n_samples", n_samples, 1)
        rng = check_random_state(random_state)

        (k,) = self.decoder_.shape_in

        def noise(n: int) -> Iterator[Array]:
            for _ in range(n_samples):
                yield standard_normal(rng, (n, k), self._dtype)

        with np.errstate(over="ignore", invalid="ignore"):
            return _finite(np.mean(self._log_mean_weights(X, noise, n_samples)))

    def score_samples(self, X: ArrayLike, *, n_samples: int = 100, random_state: Any = 0) -> Array:
        """The same estimate for each sample: a low one is unusual (14.4).

        All samples are given the same draws, so that the estimate of one does not depend on the
        others. Their mean is noisier for it than `log_likelihood`.

        Parameters
        ----------
        X, n_samples, random_state
            As in `log_likelihood`.

        Returns
        -------
        ndarray of shape (n,)
        """
        X = self._check_samples(X)
        check_integer("n_samples", n_samples, 1)
        rng = check_random_state(random_state)
        draws = standard_normal(rng, (n_samples, 1, *self.decoder_.shape_in), self._dtype)
        with np.errstate(over="ignore", invalid="ignore"):
            each = self._log_mean_weights(X, lambda n: iter(draws), n_samples)
            _finite(np.mean(each))
        return each

    def _log_mean_weights(
        self, X: Array, noise: Callable[[int], Iterator[Array]], n_samples: int
    ) -> Array:
        """``log (1/K) Σ_k p(x|z_k) p(z_k) / q(z_k|x)``, block by block of the samples."""

        sequences = self._sequences()

        def log_mean_weight(x: Array) -> Array:
            mu, log_var = self._split(self._map_rows(self.encoder_, x))
            n_values: Any = x.shape[1] if sequences is None else sequences.n_values(x)
            log_sum = np.full(len(x), -np.inf)
            for eps in noise(len(x)):
                z = mu + np.exp(log_var / 2) * eps
                # log p(z) − log q(z|x): the constants of the two normal densities cancel
                log_ratio = 0.5 * np.sum(eps**2 + log_var - z**2, axis=1)
                distortion = self._loss.per_sample(self._map_rows(self.decoder_, z), x)
                nll = self._likelihood.nll_of_distortion(
                    distortion, n_values, self._log_noise_variance
                )
                log_sum = np.logaddexp(log_sum, log_ratio - nll)
            return log_sum - math.log(n_samples)

        return map_rows(log_mean_weight, X, self._dtype)

    def score(self, X: ArrayLike, y: object = None) -> float:
        """The ELBO: higher is better."""
        return self.elbo(X)

    def kl_per_dimension(self, X: ArrayLike) -> Array:
        """The rate of each code dimension ``(k,)``, in nats; they add up to the rate (5.2c)."""
        mu, log_var = self.encode(X)
        return np.array([gaussian_kl(mu[:, [j]], log_var[:, [j]])[0] for j in range(mu.shape[1])])

    def active_units(self, X: ArrayLike) -> int:
        """Number of code dimensions in use: those whose mean varies by more than 0.01.

        Burda, Grosse & Salakhutdinov (2016): ``Var_x(μ_j(x)) > 0.01``, the prior's being 1.
        """
        return int(np.sum(self.encode(X)[0].var(axis=0) > 0.01))


@documented
@dataclass(eq=False, repr=False)
class VAE(LatentGaussian, NetworkAutoencoder):  # type: ignore[misc]
    """Variational autoencoder (Kingma & Welling 2014), β-VAE for β ≠ 1 (Higgins et al. 2017).

    Prior ``p(z) = N(0, I)``, encoder ``q(z|x) = N(μ(x), diag σ²(x))``, decoder ``p(x|z)``
    Gaussian, Bernoulli or categorical. Minimises ``E_q[−log p(x|z)] + β KL(q(z|x) ‖ p(z))``, in
    nats per sample, constants included: at β = 1 the negative ELBO (5.1a).

    Attributes
    ----------
    encoder_, decoder_ : MLP
        ``model.encoder_.layers[i].weight`` of shape (n_in, n_out), and ``.bias``. The encoder's
        output is ``[μ, log σ²]``, side by side.
    noise_variance_ : float
        σ² of the Gaussian likelihood.
    parameters_ : ndarray of shape (n_parameters,)
    loss_ : float
        Training loss of the epoch whose parameters were kept.
    n_iter_ : int
    history_ : dict of ndarray
        ``"loss"`` and, with early stopping, ``"validation_loss"``, one value an epoch.
    n_features_in_, n_samples_seen_ : int

    Examples
    --------
    >>> from nanoae import VAE, datasets
    >>> X = datasets.load_digits().X
    >>> model = VAE(2, noise_variance=0.05, max_iter=5, random_state=0).fit(X)
    >>> mu, log_var = model.encode(X)
    >>> mu.shape, log_var.shape
    ((1797, 2), (1797, 2))
    >>> model.sample(3, random_state=0).shape  # new digits
    (3, 64)
    >>> model.elbo(X) <= model.log_likelihood(X, n_samples=20)
    True
    """

    n_components: int = integer(2, "Dimension k of the code z.", 1)
    _: KW_ONLY
    likelihood: str = choice(
        "gaussian",
        'p(x|z). "bernoulli" takes the decoder\'s output for logits, and data in [0, 1]; '
        '"categorical" for logits of tokens, with an architecture that has a ``vocabulary_size``.',
        tuple(LIKELIHOODS),
    )
    noise_variance: float | str = noise_variance()
    beta: float = real(1.0, "Weight of the KL term.", 0)
    beta_warmup: int = integer(
        0,
        "Epochs over which that weight rises to β, in equal steps from near 0 (Bowman et al. "
        "2016).",
        0,
    )
    solver: str = choice("adam", '"sgd" is with momentum.', ("adam", "sgd"))
    max_iter: int | None = integer(None, "Largest number of epochs (None: 200).", 1)
    tol: float | None = real(
        None,
        "An epoch is an improvement if the loss (with early stopping: that of the rows held out) "
        "has fallen by more than ``tol`` times itself (None: 1e-5).",
        0,
    )

    dropout: float = probability(
        0.0,
        "Probability p with which training drops a hidden unit of either network, for each sample "
        "anew; the others are divided by 1 − p. Codes are not dropped: they have their own noise. "
        "Another p waits for the next fit.",
    )

    _drops_code = False
    _beta_factor = 1.0  # part of β that counts in this epoch

    def loss_and_gradient(
        self, X: Array, rng: np.random.Generator | None = None, weights: Array | None = None
    ) -> tuple[float, Array]:
        """The β-weighted negative ELBO of a batch, one draw of z a sample, and its gradient (5.6).

        Parameters
        ----------
        X : ndarray of shape (n, d)
        rng : Generator, optional
            Draws the noise ε, ``(n, k)``, that of the corruption and the masks of dropout; by
            default one made from ``random_state``.
        weights : ndarray of shape (n,), optional
            Of the mean 1 over all samples of the training.

        Returns
        -------
        loss : float
            Nats per sample.
        gradient : ndarray of shape (n_parameters,)
            The live vector: it is overwritten by the next call.
        """
        rng = check_random_state(self.random_state) if rng is None else rng
        beta = self._beta_factor * self.beta
        x_tilde = X if self.corruption is None else self._corrupt(X, rng)
        mu, log_var = np.split(self.encoder_.forward(x_tilde, rng), 2, axis=1)
        log_var = np.clip(log_var, -LIMIT, LIMIT)
        eps = standard_normal(rng, mu.shape, X.dtype)
        sigma = np.exp(log_var / 2)
        z = mu + sigma * eps  # the noise comes from outside, so z has a gradient (5.3)
        x_hat = self.decoder_.forward(z, rng)
        nll, grad_x_hat, grad_log_noise_variance = self._likelihood.nll(
            x_hat, X, self._log_noise_variance, weights
        )
        kl, kl_grad_mu, kl_grad_log_var = gaussian_kl(mu, log_var, weights)

        self._grad_log_noise_variance[...] = grad_log_noise_variance  # if learned (5.4a)
        grad_z = self.decoder_.backward(grad_x_hat)
        grad_mu = grad_z + beta * kl_grad_mu  # ∂z/∂μ = 1 (5.6a)
        grad_log_var = grad_z * eps * sigma / 2 + beta * kl_grad_log_var  # ∂σ/∂log σ² = σ/2 (5.6b)
        grad_log_var[np.abs(log_var) >= LIMIT] = 0  # where it is held
        self.encoder_.backward(np.hstack([grad_mu, grad_log_var]), input_gradient=False)
        loss = nll + beta * kl + self._decay_weights()
        return loss, self._parameters.gradient

    def _split(self, statistics: Array) -> tuple[Array, Array]:
        mu, log_var = super()._split(statistics)
        return mu, np.clip(log_var, -LIMIT, LIMIT)

    def _train(self, X: Array, rng: np.random.Generator, monitor: Monitor, **options: Any) -> None:
        if self.beta_warmup:
            options["begin_epoch"] = self._warm_up
        try:
            super()._train(X, rng, monitor, **options)
        finally:
            self._beta_factor = 1.0

    def _verdict(self, monitor: Monitor) -> str:
        is_linear = self.architecture is None and len(self.hidden_layer_sizes) == 0
        if is_linear and self.likelihood == "gaussian":
            return (
                "has linear networks and was trained on the noisy gradients of drawn codes; "
                "LinearVAE minimises the exact loss of the same model."
            )
        return super()._verdict(monitor)

    def _warm_up(self, epoch: int) -> bool:
        self._beta_factor = min(1.0, (epoch + 1) / (self.beta_warmup + 1))
        return epoch >= self.beta_warmup

    def _check_hyperparameters(self, n_features: int) -> None:
        if self.solver in ("lbfgs", "auto"):
            raise ValueError(
                "solver must be 'adam' or 'sgd' for a loss with sampling noise; got "
                f"{self.solver!r}. Of the linear Gaussian VAE, LinearVAE minimises the exact loss."
            )
        super()._check_hyperparameters(n_features)
        if self.dropout and len(self.hidden_layer_sizes) == 0:
            raise ValueError(
                "dropout must be 0 without hidden layers, since a VAE drops hidden units alone; "
                f"got {self.dropout!r}."
            )


def _finite(value: Any) -> float:
    """An average over samples, if it is a number."""
    if not np.isfinite(value):
        raise ValueError(
            "X is too far from the samples of the training: rate or distortion overflows. "
            "Scale it as those were scaled."
        )
    return float(value)
