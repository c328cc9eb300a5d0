"""The linear autoencoder, ``x̂ = W_d W_e x``: PCA, found by gradient descent."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from nanoae.arrays import Array, weighted
from nanoae.denoising import Corruption
from nanoae.losses import squared_error
from nanoae.models.base import Centred, WeightDecay
from nanoae.models.denoising import Denoising
from nanoae.models.hyperparameters import (
    choice,
    documented,
    flag,
    integer,
    probability,
    real,
    seed,
)
from nanoae.network import MLP, Parameters
from nanoae.optimizers import SGD, Adam
from nanoae.training import Monitor, not_converged, train, train_full_batch


@documented
@dataclass(eq=False, repr=False)
class LinearAutoencoder(Centred, Denoising, WeightDecay):
    """Linear encoder, linear decoder, squared error (Baldi & Hornik 1989).

    Minimises ``(1/n) Σ ‖x − W_d W_e x‖² + λ_w (‖W_e‖² + ‖W_d‖²)`` over centred samples. Without
    weight decay the columns of W_d come to span the first k principal components (2.3a); with it,
    its left singular vectors are the components themselves (2.9b). The loss sees the samples only
    through ``Σ = XᵀX/n`` (2.1), so training runs on a d×d factor of it and its cost does not
    depend on n. For the same reason noise need not be drawn: with a ``corruption`` the loss is the
    expected one (7.7), and its least map the Wiener filter (7.8).

    With dropout of the code it minimises the mean of that over all masks, exactly and with nothing
    drawn: dropout is the penalty ``p/(1 − p) Σ_j ‖w_dj‖² h_j²``, on average over samples (8.1). It
    keeps the code from copying, so that k may exceed the number of features, and its optimum is
    known (8.2a).

    Attributes
    ----------
    encoder_weight_ : ndarray of shape (k, d)
        W_e.
    decoder_weight_ : ndarray of shape (d, k)
        W_d.
    mean_ : ndarray of shape (d,)
    encoder_, decoder_ : MLP
    parameters_ : ndarray of shape (2 d k,)
    loss_ : float
        With its penalties; `reconstruction_error` has none.
    n_iter_ : int
    history_ : dict of ndarray
        ``"loss"``, one value an iteration.
    n_features_in_, n_samples_seen_ : int

    Examples
    --------
    >>> from nanoae import LinearAutoencoder, datasets, theory
    >>> X = datasets.load_digits().X
    >>> model = LinearAutoencoder(8, solver="alternating", random_state=0).fit(X)
    >>> least, subspace = theory.linear_autoencoder_optimum(X, 8)  # PCA
    >>> bool(abs(model.loss_ - least) < 1e-12)
    True
    >>> theory.largest_principal_angle(model.decoder_weight_, subspace) < 1e-9
    True
    """

    n_components: int = integer(
        2,
        "Width k of the code, at most the number of features unless there is a corruption or "
        "dropout.",
        1,
    )
    _: KW_ONLY
    solver: str = choice(
        "lbfgs",
        'All but "alternating" follow the hand-written gradient. That one solves for the decoder '
        "and the encoder exactly, in turn; it knows no weight decay, corruption or dropout.",
        ("lbfgs", "sgd", "adam", "alternating"),
    )
    learning_rate: float | None = real(
        None,
        'Of "sgd", in units of ``1 / tr Σ``, so that rescaled data take the same path (None: '
        '0.1); of "adam" (None: 0.003).',
        0,
        open_ends=True,
    )
    batch_size: int | None = integer(
        None, 'Of "sgd" and "adam": samples a step; None takes all data at every step.', 1
    )
    max_iter: int = integer(20_000, "Largest number of iterations, sweeps or epochs.", 1)
    tol: float = real(
        1e-11,
        'When to stop. "lbfgs": largest component of the gradient, relative to the start. '
        '"alternating": sine of the angle by which a sweep turns the subspace. "sgd" and "adam": '
        "after 100 epochs none of which lowers the least loss so far by more than this part of "
        "it.",
        0,
    )
    dropout: float = probability(
        0.0,
        "Probability p with which an entry of the code is dropped, and the others are divided by "
        "1 − p: the loss is the mean over all masks.",
    )
    random_state: Any = seed("the initial weights and the batches")
    verbose: bool = flag(False, "Show progress.")

    _keeps_covariance = True
    _takes_expectation = True

    def _build(self, n_features: int, dtype: DTypeLike) -> None:
        self.encoder_ = MLP((n_features, self.n_components), bias=False)
        self.decoder_ = MLP((self.n_components, n_features), bias=False)
        self._parameters = Parameters(
            {"encoder_": self.encoder_, "decoder_": self.decoder_}, dtype
        )

    def loss_and_gradient(
        self, X: Array, rng: np.random.Generator | None = None, weights: Array | None = None
    ) -> tuple[float, Array]:
        """Mean squared error (2.1), over all masks of dropout (8.1), and its gradient by backprop.

        With a corruption, their exact expectation (7.7).

        Parameters
        ----------
        X : ndarray of shape (n, d)
            Centred samples, or any other matrix with the same ``XᵀX/n``.
        rng : ignored
        weights : ndarray of shape (n,), optional
            Of the mean 1 over all samples of the training.

        Returns
        -------
        loss : float
        gradient : ndarray of shape (2 d k,)
            The live vector: it is overwritten by the next call.
        """
        x_tilde = X
        if self.corruption is not None:
            x_tilde, X, weights = self._with_noise(X, self.corruption, weights)
        h = self.encoder_.forward(x_tilde)  # h = W_e x̃
        x_hat = self.decoder_.forward(h)  # x̂ = W_d h
        loss, grad_x_hat = squared_error(x_hat, X, weights)

        grad_h = self.decoder_.backward(grad_x_hat)  # and ∂L/∂W_d (2.1a)
        if self.dropout:
            loss += self._drop_units(h, grad_h, weights)
        self.encoder_.backward(grad_h, input_gradient=False)  # ∂L/∂W_e (2.1b)
        return loss + self._decay_weights(), self._parameters.gradient

    def _with_noise(
        self, X: Array, corruption: Corruption, weights: Array | None
    ) -> tuple[Array, Array, Array]:
        """Inputs, targets and weights of rows whose loss is that expected of corrupted samples.

        A linear map sees noise through its covariance N alone, and that is diagonal: so the noise
        is one more row for each feature, e_j, of the weight N_jj, and with 0 for its target (7.7).
        """
        n, d = X.shape
        variance = np.mean(weighted(X * X, weights), axis=0)
        noise = np.broadcast_to(
            corruption.noise_variance(self.mean_.real.astype(X.dtype), variance), d
        )
        if not np.all(noise >= 0):
            raise ValueError(
                f"corruption must have a noise_variance of at least 0; got {noise.min():g} of "
                f"{corruption!r}."
            )
        of_samples = np.ones(n, X.dtype) if weights is None else weights
        return (
            np.vstack([X, np.eye(d, dtype=X.dtype)]),
            np.vstack([X, np.zeros((d, d), X.dtype)]),
            np.concatenate([of_samples / n, noise]) * (n + d),  # the loss takes their mean
        )

    def _drop_units(self, h: Array, grad_h: Array, weights: Array | None) -> float:
        """What dropout adds to the loss, ``ν Σ_j ‖w_dj‖² E h_j²`` (8.1), on average over masks.

        Adds its derivatives, by the decoder to that one's gradient, and by h to ``grad_h`` (8.1a).
        """
        nu = self.dropout / (1 - self.dropout)  # the variance of an entry of a mask
        decoder = self.decoder_.layers[0]
        h_weighted = weighted(h, weights)
        h_squared = np.sum(h * h_weighted, axis=0) / len(h)  # E h_j²
        W_squared = np.sum(decoder.weight**2, axis=1)  # ‖w_dj‖², of the columns of W_d = weightᵀ
        decoder.grad_weight += 2 * nu * h_squared[:, None] * decoder.weight
        grad_h += 2 * nu / len(h) * W_squared * h_weighted
        return nu * (h_squared @ W_squared)

    @property
    def encoder_weight_(self) -> Array:
        """W_e, of shape (k, d), so that ``h = W_e x``."""
        return self.encoder_.layers[0].weight.T

    @property
    def decoder_weight_(self) -> Array:
        """W_d, of shape (d, k), so that ``x̂ = W_d h``."""
        return self.decoder_.layers[0].weight.T

    def _check_hyperparameters(self, n_features: int) -> None:
        super()._check_hyperparameters(n_features)
        if self.n_components > n_features and self.corruption is None and not self.dropout:
            raise ValueError(
                f"n_components must be at most the number of features, {n_features}, without "
                f"corruption or dropout; got {self.n_components}."
            )
        if self.corruption is not None:
            self._check_noise(self.corruption)
        if self.weight_decay and self.solver == "alternating":
            raise ValueError(
                "weight_decay must be 0 with solver='alternating', which has no exact step "
                f"for it; got {self.weight_decay!r}. Use solver='lbfgs'."
            )
        if self.dropout and self.solver == "alternating":
            raise ValueError(
                "dropout must be 0 with solver='alternating', which has no exact step for it; got "
                f"{self.dropout!r}. Use solver='lbfgs'."
            )

    def _check_noise(self, corruption: Corruption) -> None:
        if self.solver == "alternating":
            raise ValueError(
                "corruption must be None with solver='alternating', which has no exact step for "
                f"it; got {corruption!r}. Use solver='lbfgs'."
            )
        if not corruption.is_unbiased:
            raise ValueError(
                "corruption must be right on average for a linear model, whose loss is the "
                f"expected one; got {corruption!r}. Leave rescale at True: the map for the other "
                "is this one's divided by 1 − probability (7.7b)."
            )
        if type(corruption).noise_variance is Corruption.noise_variance:
            raise TypeError(
                "corruption must tell a linear model, whose loss is the expected one, its "
                f"noise_variance; {type(corruption).__name__} has none."
            )

    def _check_partial_fit(self) -> None:
        if self.batch_size is not None:
            raise ValueError(
                "batch_size must be None for partial_fit, which trains on the covariance of all "
                f"samples seen; got {self.batch_size!r}."
            )

    @property
    def _can_checkpoint(self) -> bool:
        return self.solver in ("sgd", "adam")

    def _train(  # type: ignore[override]
        self, X: Array, rng: np.random.Generator, monitor: Monitor, weights: Array | None = None
    ) -> None:
        R = self._moments.few_rows.astype(monitor.values.dtype)  # the same loss, from d rows
        monitor.max_iter, monitor.tol = len(monitor) + self.max_iter, self.tol
        unit = self._moments.unit**2  # of the loss
        if self.solver == "alternating":
            self._train_alternating(R, monitor)
        elif self.solver == "lbfgs":
            monitor.unit = unit
            train_full_batch(lambda: self.loss_and_gradient(R), monitor)
            if len(monitor) < monitor.max_iter and self._balance():
                monitor.warning = ""  # it may meet its tolerance after all
                train_full_batch(lambda: self.loss_and_gradient(R), monitor)
        else:
            optimizer: SGD | Adam
            if self.solver == "sgd":
                rate = 0.1 if self.learning_rate is None else self.learning_rate
                total_variance = self._moments.variance or 1.0
                optimizer = SGD(rate * unit / total_variance, momentum=0.9)
            else:
                optimizer = Adam(0.003 if self.learning_rate is None else self.learning_rate)
            monitor.n_iter_no_change = 100
            in_batches = self.batch_size is not None
            train(
                self, X if in_batches else R, rng, monitor, optimizer,
                batch_size=self.batch_size or len(R), unit=unit,
                mean=self.mean_ if in_batches else None, weights=weights if in_batches else None,
            )  # fmt: skip

    _partial_fit = _train  # type: ignore[assignment]  # on the covariance of all samples seen

    def _balance(self) -> bool:
        """Make rows of W_e and columns of W_d equally long; False if they nearly were.

        The loss does not see the scale of the code (2.4), but its curvature does: a start near a
        saddle may lead far out along a valley where one grows as the other shrinks. Curvatures
        differ by the square of what lengths differ by: with a million, no gradient tells where
        to go.
        """
        W_e, W_d = self.encoder_weight_, self.decoder_weight_
        lengths = np.linalg.norm(W_e, axis=1), np.linalg.norm(W_d, axis=0)
        shorter, longer = np.minimum(*lengths), np.maximum(*lengths)
        if np.all(longer <= 100 * shorter) or np.any(shorter == 0):
            return False
        scale = np.sqrt(lengths[1] / lengths[0])
        W_e *= scale[:, None]
        W_d /= scale
        return True

    def _train_alternating(self, X: Array, monitor: Monitor) -> None:
        """Alternating least squares, each half solved exactly.

        For a given W_d the best encoder is its pseudo-inverse, which is ``W_dᵀ`` once the
        columns of W_d are orthonormal; for a given W_e the best decoder is
        ``W_d = Σ W_eᵀ (W_e Σ W_eᵀ)⁻¹``. Any basis of the columns of ``Σ W_eᵀ`` gives the same
        product ``W_d W_e`` (2.4), so we take the orthonormal one: no inverse, and no drift in
        scale. A sweep turns the angle to PCA down by ``λ_{k+1}/λ_k`` (2.7c).
        """
        Sigma = X.T @ X / len(X)
        encoder, decoder = self.encoder_.layers[0], self.decoder_.layers[0]
        W_d = np.linalg.qr(decoder.weight.T)[0]
        rounding = 4 * float(np.finfo(W_d.dtype).eps) * W_d.size**0.5  # turns it as well
        tol = max(self.tol, rounding)
        with monitor:
            for _ in monitor:
                old = W_d
                W_d, lengths = np.linalg.qr(Sigma @ old)  # (2.7)
                encoder.weight[...] = W_d
                decoder.weight[...] = W_d.T
                monitor.note(self.loss_and_gradient(X)[0])
                # where the data do not vary, any direction is as good, and each sweep has another
                sizes = np.abs(np.diag(lengths))
                Q = W_d[:, sizes > rounding * sizes.max()]
                if np.linalg.norm(Q - old @ (old.T @ Q)) <= tol:
                    return
        monitor.warning = not_converged(self.max_iter, tol)
