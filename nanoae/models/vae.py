"""The Gaussian variational autoencoder, with β on its KL term."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from nanoae.arrays import Array, blocks, map_rows
from nanoae.losses import (
    bernoulli_nll,
    bernoulli_nll_per_sample,
    gaussian_kl,
    gaussian_nll,
    gaussian_nll_of_error,
    squared_error,
)
from nanoae.models.deep import DeepAutoencoder
from nanoae.models.linear import add_samples, scaled
from nanoae.network import ACTIVATIONS, MLP, Parameters
from nanoae.network.activations import sigmoid
from nanoae.persistence import Checkpoint
from nanoae.training import History
from nanoae.validation import (
    check_choice,
    check_integer,
    check_layer_sizes,
    check_random_state,
    check_real,
)


class VAE(DeepAutoencoder):
    """Variational autoencoder (Kingma & Welling 2014), β-VAE for β ≠ 1 (Higgins et al. 2017).

    Prior ``p(z) = N(0, I)``, encoder ``q(z|x) = N(μ(x), diag σ²(x))``, decoder ``p(x|z)``
    Gaussian or Bernoulli. Minimises ``E_q[−log p(x|z)] + β KL(q(z|x) ‖ p(z))``, in nats per
    sample, constants included: at β = 1 the negative ELBO (5.1a).

    Parameters
    ----------
    n_components : int, default 2
        Dimension k of the code z.
    hidden_layer_sizes : tuple of int, default (64,)
        Widths of the encoder's hidden layers; the decoder has them in reverse. ``()`` makes the
        linear VAE.
    activation : {"identity", "relu", "tanh", "sigmoid", "softplus"}, default "relu"
        Of the hidden layers.
    likelihood : {"gaussian", "bernoulli"}, default "gaussian"
        "bernoulli" takes the decoder's output for logits, and data in [0, 1].
    noise_variance : float or "learned", default 1.0
        Variance σ² of the Gaussian likelihood, one for all features. "learned" makes log σ² one
        more parameter.
    beta : float, default 1.0
        Weight of the KL term.
    beta_warmup : int, default 0
        Epochs over which that weight rises to β, in equal steps from near 0 (Bowman et al. 2016);
        only "adam" and "sgd" have epochs.
    solver : {"auto", "adam", "sgd", "lbfgs"}, default "auto"
        "lbfgs" is for the linear Gaussian VAE, whose loss needs no sampling, and "auto" takes it
        there; everywhere else it takes "adam".
    learning_rate : float, default 1e-3
        Of "adam" and "sgd".
    momentum : float in [0, 1], default 0.9
        Of "sgd".
    batch_size : int, default 128
        Samples a step of "adam" and "sgd".
    max_iter : int or None, default None
        Largest number of epochs (None: 200), or of iterations of "lbfgs" (None: 5000).
    tol : float or None, default None
        "adam" and "sgd" stop after ``n_iter_no_change`` epochs in a row in none of which the loss
        (with early stopping: that of the rows held out) has fallen by more than ``tol`` times
        itself (None: 1e-5); "lbfgs" when the gradient is down to ``tol`` times that at the start
        (None: 1e-6).
    n_iter_no_change : int, default 10
    early_stopping : bool, default False
        Hold rows out and keep the parameters that are best on them.
    validation_fraction : float in (0, 1), default 0.1
        Part of the rows to hold out.
    weight_decay : float, default 0
        λ_w of the penalty ``λ_w Σ ‖W‖²`` on all weight matrices (not on biases).
    random_state : int, Generator or None, default None
        Draws the initial weights, the batches, the rows to hold out, and the noise.
    verbose : bool, default False
        Show progress.

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

    def __init__(
        self,
        n_components: int = 2,
        *,
        hidden_layer_sizes: Sequence[int] = (64,),
        activation: str = "relu",
        likelihood: str = "gaussian",
        noise_variance: float | str = 1.0,
        beta: float = 1.0,
        beta_warmup: int = 0,
        solver: str = "auto",
        learning_rate: float = 1e-3,
        momentum: float = 0.9,
        batch_size: int = 128,
        max_iter: int | None = None,
        tol: float | None = None,
        n_iter_no_change: int = 10,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        weight_decay: float = 0.0,
        random_state: Any = None,
        verbose: bool = False,
    ) -> None:
        self.n_components = n_components
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.likelihood = likelihood
        self.noise_variance = noise_variance
        self.beta = beta
        self.beta_warmup = beta_warmup
        self.solver = solver
        self.learning_rate = learning_rate
        self.momentum = momentum
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.weight_decay = weight_decay
        self.random_state = random_state
        self.verbose = verbose

    def _build(self, n_features: int, dtype: DTypeLike) -> None:
        k, hidden = self.n_components, tuple(self.hidden_layer_sizes)
        self.encoder_ = MLP((n_features, *hidden, 2 * k), self.activation)
        self.decoder_ = MLP((k, *hidden[::-1], n_features), self.activation)
        parts = {"encoder_": self.encoder_, "decoder_": self.decoder_}
        if self.noise_variance == "learned":
            self._parameters = Parameters({**parts, "log_noise_variance": ()}, dtype)
        else:
            self._parameters = Parameters(parts, dtype)

    _warmth = 1.0  # part of β that counts in this epoch

    # --- the model ---------------------------------------------------------------------------

    def loss_and_gradient(
        self, X: Array, rng: np.random.Generator | None = None
    ) -> tuple[float, Array]:
        """The β-weighted negative ELBO of a batch, one draw of z a sample, and its gradient (5.6).

        Parameters
        ----------
        X : ndarray of shape (n, d)
        rng : Generator, optional
            Draws the noise ε, ``(n, k)``; by default one made from ``random_state``.

        Returns
        -------
        loss : float
            Nats per sample.
        gradient : ndarray of shape (n_parameters,)
            The live vector: it is overwritten by the next call.
        """
        rng = check_random_state(self.random_state) if rng is None else rng
        beta = self._warmth * self.beta
        mu, log_var = self._split(self.encoder_.forward(X))
        eps = self._standard_normal(rng, mu.shape)
        sigma = np.exp(log_var / 2)
        z = mu + sigma * eps  # the noise comes from outside, so z has a gradient (5.3)
        x_hat = self.decoder_.forward(z)
        nll, grad_x_hat = self._likelihood(x_hat, X)
        kl, kl_grad_mu, kl_grad_log_var = gaussian_kl(mu, log_var)

        grad_z = self.decoder_.backward(grad_x_hat)
        grad_mu = grad_z + beta * kl_grad_mu  # ∂z/∂μ = 1 (5.6a)
        # ∂σ/∂log σ² = σ/2 (5.6b)
        grad_log_var = grad_z * eps * sigma / 2 + beta * kl_grad_log_var
        self.encoder_.backward(np.hstack([grad_mu, grad_log_var]), input_gradient=False)
        loss = nll + beta * kl + self._decay_weights()
        return loss, self._parameters.gradient

    def exact_loss_and_gradient(self, X: Array) -> tuple[float, Array]:
        """The same loss with the expectation over z worked out: linear Gaussian decoders only.

        ``E_q ‖x − Wz − b‖² = ‖x − Wμ − b‖² + tr(W diag(σ²) Wᵀ)``, so there is nothing to sample.

        Parameters
        ----------
        X : ndarray of shape (n, d)

        Returns
        -------
        loss : float
        gradient : ndarray of shape (n_parameters,)
            The live vector: it is overwritten by the next call.
        """
        if len(self.decoder_.layers) > 1 or self.likelihood != "gaussian":
            raise ValueError(
                "The loss is exact only with hidden_layer_sizes=() and likelihood='gaussian'; got "
                f"hidden_layer_sizes={self.hidden_layer_sizes!r}, "
                f"likelihood={self.likelihood!r}. Use loss_and_gradient."
            )
        n, n_features = X.shape
        mu, log_var = self._split(self.encoder_.forward(X))
        variance = np.exp(log_var)
        x_hat = self.decoder_.forward(mu)
        error, grad_x_hat = squared_error(x_hat, X, out=x_hat)
        decoder = self.decoder_.layers[0]
        W_squared = np.sum(decoder.weight**2, axis=1)  # ‖w_j‖², w_j the columns of W
        error += np.mean(variance, axis=0) @ W_squared
        nll, grad_error, grad_log_noise = gaussian_nll_of_error(
            error, n_features, self._log_noise_variance
        )
        kl, kl_grad_mu, kl_grad_log_var = gaussian_kl(mu, log_var)

        grad_x_hat *= grad_error
        grad_mu = self.decoder_.backward(grad_x_hat) + self.beta * kl_grad_mu
        decoder.grad_weight += 2 * grad_error * np.mean(variance, axis=0)[:, None] * decoder.weight
        grad_log_var = grad_error * W_squared * variance / n + self.beta * kl_grad_log_var
        self.encoder_.backward(np.hstack([grad_mu, grad_log_var]), input_gradient=False)
        self._set_noise_gradient(grad_log_noise)
        loss = nll + self.beta * kl + self._decay_weights()
        return loss, self._parameters.gradient

    def _split(self, statistics: Array) -> tuple[Array, Array]:
        """``mu`` and ``log_var`` from the encoder's output."""
        k = statistics.shape[1] // 2
        return statistics[:, :k], statistics[:, k:]

    def _likelihood(self, x_hat: Array, X: Array) -> tuple[float, Array]:
        """−log p(x|z) and its gradient, written over the decoder's output."""
        if self.likelihood == "bernoulli":
            return bernoulli_nll(x_hat, X, out=x_hat)
        nll, grad_x_hat, grad_log_noise = gaussian_nll(
            x_hat, X, self._log_noise_variance, out=x_hat
        )
        self._set_noise_gradient(grad_log_noise)
        return nll, grad_x_hat

    @property
    def _log_noise_variance(self) -> Any:
        """A scalar of the model's dtype, so that float32 stays float32."""
        if isinstance(self.noise_variance, str):  # "learned"
            return self._parameters["log_noise_variance"][0][()]
        return self._parameters.values.dtype.type(math.log(self.noise_variance))

    def _set_noise_gradient(self, gradient: float) -> None:
        if self.noise_variance == "learned":
            self._parameters["log_noise_variance"][1][...] = gradient

    def _standard_normal(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        dtype = self._parameters.values.dtype
        return rng.standard_normal(shape, dtype=np.float32 if dtype == np.float32 else np.float64)

    @property
    def _is_linear_gaussian(self) -> bool:
        return self.likelihood == "gaussian" and len(self.hidden_layer_sizes) == 0

    # --- use ---------------------------------------------------------------------------------

    @property
    def noise_variance_(self) -> float:
        """σ² of the Gaussian likelihood."""
        self._check_fitted()
        return float(np.exp(self._log_noise_variance))

    def encode(self, X: ArrayLike) -> tuple[Array, Array]:
        """Mean and log-variance of q(z|x) for samples ``(n, d)``: two arrays ``(n, k)``."""
        X = self._check_samples(X)
        mu, log_var = self._split(map_rows(self.encoder_, X, self._dtype))
        return mu.copy(), log_var.copy()

    def transform(self, X: ArrayLike) -> Array:
        """Codes ``(n, k)``: the means of q(z|x)."""
        X = self._check_samples(X)
        return map_rows(lambda x: self._split(self.encoder_(x))[0].copy(), X, self._dtype)

    def inverse_transform(self, codes: ArrayLike) -> Array:
        """Means ``(n, d)`` of p(x|z) for codes ``(n, k)``."""
        x_hat = super().inverse_transform(codes)
        return sigmoid(x_hat) if self.likelihood == "bernoulli" else x_hat

    def sample(self, n_samples: int = 1, *, random_state: Any = None) -> Array:
        """New data: codes drawn from the prior, decoded to the means of p(x|z).

        Parameters
        ----------
        n_samples : int, default 1
        random_state : int, Generator or None
            By default the model's own.

        Returns
        -------
        ndarray of shape (n_samples, d)
        """
        self._check_fitted()
        check_integer("n_samples", n_samples, 1)
        rng = check_random_state(self.random_state if random_state is None else random_state)
        k = self.decoder_.layers[0].n_in
        return self.inverse_transform(self._standard_normal(rng, (n_samples, k)))

    def rate_distortion(
        self, X: ArrayLike, *, n_samples: int = 10, random_state: Any = 0
    ) -> tuple[float, float]:
        """Rate and distortion, averaged over the samples.

        Parameters
        ----------
        X : array-like of shape (n, d)
        n_samples : int, default 10
            Draws of z a sample; none is needed where the decoder is linear and Gaussian.
        random_state : int, Generator or None, default 0
            Of these draws: the same in every call, so that models can be compared.

        Returns
        -------
        rate : float
            ``KL(q(z|x) ‖ p(z))``, nats per sample.
        distortion : float
            ``E_q ‖x − x̂‖²`` per sample or, Bernoulli, ``E_q[−log p(x|z)]`` in nats.

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
                mu, log_var = self._split(self.encoder_(x))
                rate += gaussian_kl(mu, log_var)[0] * len(x)
                distortion += self._distortion(x, mu, log_var, n_samples, rng) * len(x)
        return _finite(rate / len(X)), _finite(distortion / len(X))

    def _distortion(
        self, x: Array, mu: Array, log_var: Array, n_samples: int, rng: np.random.Generator
    ) -> float:
        if self._is_linear_gaussian:
            spread = np.exp(log_var).mean(axis=0) @ np.sum(self.decoder_.layers[0].weight ** 2, 1)
            return squared_error(self.decoder_(mu), x)[0] + spread
        measure = bernoulli_nll if self.likelihood == "bernoulli" else squared_error
        draws = (
            mu + np.exp(log_var / 2) * self._standard_normal(rng, mu.shape)
            for _ in range(n_samples)
        )
        return float(np.mean([measure(self.decoder_(z), x)[0] for z in draws]))

    def elbo(self, X: ArrayLike, *, n_samples: int = 10, random_state: Any = 0) -> float:
        """The evidence lower bound ``E_q[log p(x|z)] − KL`` (5.1a), β = 1, in nats per sample.

        Parameters are those of `rate_distortion`.
        """
        rate, distortion = self.rate_distortion(X, n_samples=n_samples, random_state=random_state)
        if self.likelihood == "bernoulli":
            return -distortion - rate
        nll = gaussian_nll_of_error(distortion, self.n_features_in_, self._log_noise_variance)[0]
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

        def log_mean_weight(x: Array) -> Array:
            mu, log_var = self._split(self.encoder_(x))
            log_sum = np.full(len(x), -np.inf)
            for _ in range(n_samples):
                eps = self._standard_normal(rng, mu.shape)
                z = mu + np.exp(log_var / 2) * eps
                # log p(z) − log q(z|x): the constants of the two normal densities cancel
                log_ratio = 0.5 * np.sum(eps**2 + log_var - z**2, axis=1)
                log_weight = self._log_p_per_sample(x, self.decoder_(z)) + log_ratio
                log_sum = np.logaddexp(log_sum, log_weight)
            return log_sum - math.log(n_samples)

        with np.errstate(over="ignore", invalid="ignore"):
            return _finite(np.mean(map_rows(log_mean_weight, X, self._dtype)))

    def _log_p_per_sample(self, X: Array, x_hat: Array) -> Array:
        """log p(x|z) of each sample ``(n,)``, from the decoder's output."""
        if self.likelihood == "bernoulli":
            return -bernoulli_nll_per_sample(x_hat, X)
        errors = np.sum((X - x_hat) ** 2, axis=1)
        return -gaussian_nll_of_error(errors, X.shape[1], self._log_noise_variance)[0]

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
        return int(np.sum(self.transform(X).var(axis=0) > 0.01))

    def reconstruction_error(self, X: ArrayLike) -> Array:
        """One value a sample: ``‖x − x̂‖²``, or −log p(x|μ) in nats under "bernoulli"."""
        if self.likelihood == "gaussian":
            return super().reconstruction_error(X)
        X = self._check_samples(X)
        return map_rows(
            lambda x: -self._log_p_per_sample(x, self.decoder_(self.transform(x))), X, self._dtype
        )

    # --- training ------------------------------------------------------------------------------

    def _start(
        self, X: ArrayLike, checkpoint: Checkpoint | None = None
    ) -> tuple[Array, np.random.Generator]:
        X, rng = super()._start(X, checkpoint)
        if self.noise_variance == "learned":
            # the best noise for a decoder that still says nothing: the variance of a feature
            mean = sum(x.sum(axis=0) for x in blocks(X, self._dtype)) / len(X)
            variance = sum(np.sum((x - mean) ** 2) for x in blocks(X, self._dtype)) / X.size
            self._parameters["log_noise_variance"][0][...] = np.log(variance) if variance else 0
        return X, rng

    def _train(
        self, X: Array, rng: np.random.Generator, history: History, checkpoint: Checkpoint | None
    ) -> None:
        if self._solver == "lbfgs":
            self._train_on_moments(X, rng, history)
        else:
            super()._train(X, rng, history, checkpoint)

    def _train_in_batches(
        self, X: Array, rng: np.random.Generator, history: History, **stopping: Any
    ) -> None:
        try:
            super()._train_in_batches(X, rng, history, **stopping)
        finally:
            self._warmth = 1.0

    def _schedule(self, epoch: int) -> bool:
        self._warmth = min(1.0, (epoch + 1) / (self.beta_warmup + 1))
        return epoch >= self.beta_warmup

    def _train_on_moments(self, X: Array, rng: np.random.Generator, history: History) -> None:
        """Train the linear Gaussian VAE on a few rows with the covariance of the n samples.

        At its optimum σ²(x) is the same for all x, and then the exact loss is a function of the
        mean and Σ alone. So it may be minimised over any centred rows with the same Σ: the
        triangular factor and its mirror image. The mean is put into the biases afterwards:
        ``W (x − mean) + b = W x + (b − W mean)``.
        """
        encoder, decoder = self.encoder_.layers[0], self.decoder_.layers[0]
        encoder.weight[:, self.n_components :] = 0  # σ²(x) constant from the start
        none = np.zeros((0, X.shape[1]), self._dtype)
        n, mean, factor = add_samples(0, np.zeros(X.shape[1], self._dtype), none, X)
        R = scaled(factor, n)
        try:
            super()._train(np.vstack([R, -R]), rng, history, None)
        finally:  # a model whose training was interrupted is to be usable, too
            encoder.bias -= mean @ encoder.weight
            decoder.bias += mean

    @property
    def _solver(self) -> str:
        if self.solver == "auto":
            return "lbfgs" if self._is_linear_gaussian else "adam"
        return self.solver

    def _full_batch_loss_and_gradient(self, X: Array) -> tuple[float, Array]:
        return self.exact_loss_and_gradient(X)

    @property
    def _needs_unit_interval(self) -> bool:
        return self.likelihood == "bernoulli"

    def _check_hyperparameters(self, n_features: int) -> None:
        check_choice("likelihood", self.likelihood, ("gaussian", "bernoulli"))
        check_layer_sizes("hidden_layer_sizes", self.hidden_layer_sizes)
        check_choice("activation", self.activation, ACTIVATIONS)
        check_real("beta", self.beta, 0)
        check_integer("beta_warmup", self.beta_warmup, 0)
        if self.beta_warmup and self._solver == "lbfgs":
            raise ValueError(
                "beta_warmup must be 0 with solver='lbfgs', which has no epochs; got "
                f"{self.beta_warmup!r}. Use solver='adam'."
            )
        if isinstance(self.noise_variance, str) and self.noise_variance != "learned":
            raise ValueError(
                "noise_variance must be a number greater than 0 or 'learned'; got "
                f"{self.noise_variance!r}."
            )
        if self.noise_variance != "learned":
            check_real("noise_variance", self.noise_variance, 0, open_ends=True)
        check_choice("solver", self.solver, ("auto", "adam", "sgd", "lbfgs"))
        if self.solver == "lbfgs" and not self._is_linear_gaussian:
            raise ValueError(
                "solver='lbfgs' needs a loss without sampling noise, which only "
                "hidden_layer_sizes=() with likelihood='gaussian' has; got "
                f"hidden_layer_sizes={self.hidden_layer_sizes!r}, "
                f"likelihood={self.likelihood!r}. Use solver='adam'."
            )
        super()._check_hyperparameters(n_features)


def _finite(value: Any) -> float:
    """An average over samples, if it is a number."""
    if not np.isfinite(value):
        raise ValueError(
            "X is too far from the samples of the training: rate or distortion overflows. "
            "Scale it as those were scaled."
        )
    return float(value)
