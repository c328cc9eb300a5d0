"""The linear β-VAE: its loss needs no sampling, and its trade-off has a closed form."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np

from nanoae.arrays import Array, weighted
from nanoae.losses import gaussian_kl, gaussian_nll_of_error, squared_error
from nanoae.models.base import WeightDecay
from nanoae.models.deep import DeepAutoencoder
from nanoae.models.hyperparameters import choice, documented, integer, real
from nanoae.models.vae import LatentGaussian, noise_variance
from nanoae.network import Architecture, FullyConnected
from nanoae.training import Monitor


@documented
@dataclass(eq=False, repr=False)
class LinearVAE(LatentGaussian, WeightDecay, DeepAutoencoder):  # type: ignore[misc]
    """The VAE with one linear layer to μ(x) and log σ²(x), and one from z to x̂.

    It minimises the same β-weighted negative ELBO as `VAE`, with the expectation over z worked
    out: ``E_q ‖x − Wz − b‖² = ‖x − Wμ − b‖² + tr(W diag(σ²) Wᵀ)`` (6.7), so there is nothing to
    sample. Its optimum is known: ``W = U_k (Λ_k − βσ² I)_+^½`` (6.1).

    Attributes
    ----------
    encoder_, decoder_ : MLP
        Of a single layer each. The encoder's output is ``[μ, log σ²]``, side by side.
    noise_variance_ : float
        σ² of the Gaussian likelihood.
    parameters_ : ndarray of shape (n_parameters,)
    loss_ : float
        Training loss of the epoch or iteration whose parameters were kept.
    n_iter_ : int
    history_ : dict of ndarray
        ``"loss"`` and, with early stopping, ``"validation_loss"``.
    n_features_in_, n_samples_seen_ : int

    Examples
    --------
    Of three variances 4, 2 and ½, two lie above the level β σ² = 1, and are coded:

    >>> from nanoae import LinearVAE, datasets, theory
    >>> X = datasets.make_gaussian(50, [4.0, 2.0, 0.5], exact=True, random_state=0)
    >>> model = LinearVAE(3, beta=2.0, noise_variance=0.5, random_state=0).fit(X)
    >>> model.active_units(X)
    2
    >>> rate, distortion = model.rate_distortion(X)
    >>> round(rate, 4), round(distortion, 4)  # ½ log 4 + ½ log 2, and 1 + 1 + ½
    (1.0397, 2.5)
    """

    n_components: int = integer(2, "Dimension k of the code z.", 1)
    _: KW_ONLY
    noise_variance: float | str = noise_variance()
    beta: float = real(1.0, "Weight of the KL term.", 0)
    solver: str = choice(
        "lbfgs",
        '"lbfgs" takes all data at every step, by way of their mean and covariance.',
        ("lbfgs", "adam", "sgd"),
    )

    likelihood = "gaussian"
    _keeps_covariance = True

    @property
    def _architecture(self) -> Architecture:
        return FullyConnected(())

    def loss_and_gradient(
        self, X: Array, rng: np.random.Generator | None = None, weights: Array | None = None
    ) -> tuple[float, Array]:
        """The β-weighted negative ELBO of a batch, exactly, and its gradient.

        Parameters
        ----------
        X : ndarray of shape (n, d)
        rng : ignored
        weights : ndarray of shape (n,), optional
            Of the mean 1 over all samples of the training.

        Returns
        -------
        loss : float
            Nats per sample.
        gradient : ndarray of shape (n_parameters,)
            The live vector: it is overwritten by the next call.
        """
        decoder = self.decoder_.layers[0]
        mu, log_var = np.split(self.encoder_.forward(X), 2, axis=1)
        variance = weighted(np.exp(log_var), weights)
        mean_variance = np.mean(variance, axis=0)
        x_hat = self.decoder_.forward(mu)
        error, grad_x_hat = squared_error(x_hat, X, weights)
        W_squared = np.sum(decoder.weight**2, axis=1)  # ‖w_j‖², of the columns of W = weightᵀ
        error += mean_variance @ W_squared  # tr(W diag(σ²) Wᵀ), on average (6.7)
        nll, grad_error, grad_log_noise_variance = gaussian_nll_of_error(
            error, X.shape[1], self._log_noise_variance
        )
        kl, kl_grad_mu, kl_grad_log_var = gaussian_kl(mu, log_var, weights)

        self._grad_log_noise_variance[...] = grad_log_noise_variance
        grad_mu = self.decoder_.backward(grad_error * grad_x_hat) + self.beta * kl_grad_mu
        # the decoder has another use, in the trace
        decoder.grad_weight += 2 * grad_error * mean_variance[:, None] * decoder.weight
        grad_log_var = grad_error * W_squared * variance / len(X) + self.beta * kl_grad_log_var
        self.encoder_.backward(np.hstack([grad_mu, grad_log_var]), input_gradient=False)
        loss = nll + self.beta * kl + self._decay_weights()
        return loss, self._parameters.gradient

    def _train(self, X: Array, rng: np.random.Generator, monitor: Monitor, **options: Any) -> None:
        """By L-BFGS on a few rows with the covariance of the n samples.

        At its optimum σ²(x) is the same for all x, and then the exact loss is a function of the
        mean and Σ alone. So it may be minimised over any centred rows with the same Σ: the
        triangular factor and its mirror image, in a unit of the size of the data. Mean and unit u
        are put into the parameters afterwards: a code of ``(x − mean) / u`` is one of x, and the
        density of x is that of ``x / u`` over uᵈ.
        """
        if self.solver != "lbfgs":
            super()._train(X, rng, monitor, **options)
            return
        encoder, decoder = self.encoder_.layers[0], self.decoder_.layers[0]
        encoder.weight[:, self.n_components :] = 0  # σ²(x) constant from the start
        R = self._moments.few_rows
        # the root of the largest variance: then no entry of W is much larger than 1
        unit = float(np.linalg.norm(R, 2)) / math.sqrt(len(R)) or 1.0
        if self.weight_decay:
            unit = 1.0  # which decay is measured in
        R = (R / unit).astype(self._dtype)
        mean = self._moments.mean.astype(self._dtype)
        monitor.origin = self.n_features_in_ * math.log(unit)
        self._log_noise_variance -= 2 * math.log(unit)
        if options.get("is_part"):  # there is something already
            encoder.bias += mean @ encoder.weight
            encoder.weight *= unit
            decoder.bias -= mean
            decoder.bias /= unit
            decoder.weight /= unit
        try:
            super()._train(np.vstack([R, -R]), rng, monitor)
        finally:  # a model whose training was interrupted is to be usable, too
            encoder.weight /= unit
            encoder.bias -= mean @ encoder.weight
            decoder.weight *= unit
            decoder.bias *= unit
            decoder.bias += mean
            self._log_noise_variance += 2 * math.log(unit)

    @property
    def _may_be_null(self) -> bool:
        return self.solver == "lbfgs" or super()._may_be_null  # it ends at the optimum

    def _partial_fit(
        self, X: Array, rng: np.random.Generator, monitor: Monitor, **options: Any
    ) -> None:
        self._train(X, rng, monitor, is_part=len(monitor) > 0, **options)

    def _check_partial_fit(self) -> None:
        """All solvers can: L-BFGS trains on mean and covariance of all samples seen."""

    def _distortion(
        self, x: Array, mu: Array, log_var: Array, n_samples: int, rng: np.random.Generator
    ) -> float:
        spread = np.exp(log_var).mean(axis=0) @ np.sum(self.decoder_.layers[0].weight ** 2, 1)
        return squared_error(self._map_rows(self.decoder_, mu), x)[0] + spread
