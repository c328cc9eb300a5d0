"""The linear autoencoder, ``x̂ = W_d W_e x``: PCA, found by gradient descent."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from nanoae.arrays import Array, blocks, map_rows
from nanoae.losses import squared_error
from nanoae.models.base import BaseAutoencoder
from nanoae.network import MLP, Parameters
from nanoae.optimizers import SGD, Adam
from nanoae.persistence import Checkpoint
from nanoae.training import History, not_converged, progress_bar, train, train_full_batch
from nanoae.validation import check_bool, check_choice, check_integer, check_real


class LinearAutoencoder(BaseAutoencoder):
    """Linear encoder, linear decoder, squared error (Baldi & Hornik 1989).

    Minimises ``(1/n) Σ ‖x − W_d W_e x‖² + λ_w (‖W_e‖² + ‖W_d‖²)`` over centred samples. Without
    weight decay the columns of W_d come to span the first k principal components (2.3a); with it,
    its left singular vectors are the components themselves (2.9b). The loss sees the samples only
    through ``Σ = XᵀX/n`` (2.1), so training runs on a d×d factor of it and its cost does not
    depend on n.

    Parameters
    ----------
    n_components : int, default 2
        Width k of the code, at most the number of features.
    solver : {"lbfgs", "sgd", "adam", "alternating"}, default "lbfgs"
        The first three follow the hand-written gradient. "alternating" solves for the decoder
        and the encoder exactly, in turn; it knows no weight decay.
    learning_rate : float or None, default None
        Of "sgd", in units of ``1 / tr Σ``, so that rescaled data take the same path
        (default 0.1); of "adam" (default 0.003).
    batch_size : int or None, default None
        Of "sgd" and "adam": samples a step; None takes all data at every step.
    weight_decay : float, default 0
        λ_w.
    max_iter : int, default 20000
        Largest number of iterations, sweeps or epochs.
    tol : float, default 1e-11
        When to stop. "lbfgs": largest component of the gradient, relative to the start.
        "alternating": sine of the angle by which a sweep turns the subspace. "sgd" and "adam":
        after 100 epochs none of which lowers the least loss so far by more than this part of it.
    random_state : int, Generator or None, default None
        Draws the initial weights and the batches.
    verbose : bool, default False
        Show progress.

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

    _solvers: tuple[str, ...] = ("lbfgs", "sgd", "adam", "alternating")

    def __init__(
        self,
        n_components: int = 2,
        *,
        solver: str = "lbfgs",
        learning_rate: float | None = None,
        batch_size: int | None = None,
        weight_decay: float = 0.0,
        max_iter: int = 20_000,
        tol: float = 1e-11,
        random_state: Any = None,
        verbose: bool = False,
    ) -> None:
        self.n_components = n_components
        self.solver = solver
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.weight_decay = weight_decay
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state
        self.verbose = verbose

    def _build(self, n_features: int, dtype: DTypeLike) -> None:
        self.encoder_ = MLP((n_features, self.n_components), bias=False)
        self.decoder_ = MLP((self.n_components, n_features), bias=False)
        self._parameters = Parameters(
            {"encoder_": self.encoder_, "decoder_": self.decoder_}, dtype
        )

    def loss_and_gradient(
        self, X: Array, rng: np.random.Generator | None = None
    ) -> tuple[float, Array]:
        """Mean squared error (2.1) and its gradient (2.1a), (2.1b) by backprop.

        Parameters
        ----------
        X : ndarray of shape (n, d)
            Centred samples, or any other matrix with the same ``XᵀX/n``.
        rng : ignored

        Returns
        -------
        loss : float
        gradient : ndarray of shape (2 d k,)
            The live vector: it is overwritten by the next call.
        """
        h = self.encoder_.forward(X)  # h = W_e x
        x_hat = self.decoder_.forward(h)  # x̂ = W_d h
        loss, grad_x_hat = squared_error(x_hat, X, out=x_hat)

        grad_h = self.decoder_.backward(grad_x_hat)  # and ∂L/∂W_d (2.1a)
        self.encoder_.backward(grad_h, input_gradient=False)  # ∂L/∂W_e (2.1b)
        return loss + self._decay_weights(), self._parameters.gradient

    @property
    def encoder_weight_(self) -> Array:
        """W_e, of shape (k, d), so that ``h = W_e x``."""
        self._check_fitted()
        return self.encoder_.layers[0].weight.T

    @property
    def decoder_weight_(self) -> Array:
        """W_d, of shape (d, k), so that ``x̂ = W_d h``."""
        self._check_fitted()
        return self.decoder_.layers[0].weight.T

    def transform(self, X: ArrayLike) -> Array:
        """Codes ``W_e (x − mean)``, of shape (n_samples, k)."""
        X = self._check_samples(X)
        return map_rows(lambda x: self.encoder_(x - self.mean_), X, self._dtype)

    def inverse_transform(self, codes: ArrayLike) -> Array:
        """Samples ``W_d h + mean``, of shape (n, d), for codes ``(n, k)``."""
        codes = self._check_codes(codes)
        return map_rows(lambda h: self.decoder_(h) + self.mean_, codes, self._dtype)

    def _check_hyperparameters(self, n_features: int) -> None:
        check_integer("n_components", self.n_components, 1)
        if self.n_components > n_features:
            raise ValueError(
                f"n_components must be at most the number of features, {n_features}; "
                f"got {self.n_components}."
            )
        check_choice("solver", self.solver, self._solvers)
        if self.learning_rate is not None:
            check_real("learning_rate", self.learning_rate, 0, open_ends=True)
        if self.batch_size is not None:
            check_integer("batch_size", self.batch_size, 1)
        check_real("weight_decay", self.weight_decay, 0)
        if self.weight_decay and self.solver == "alternating":
            raise ValueError(
                "weight_decay must be 0 with solver='alternating', which has no exact step "
                f"for it; got {self.weight_decay!r}. Use solver='lbfgs'."
            )
        check_integer("max_iter", self.max_iter, 1)
        check_real("tol", self.tol, 0)
        check_bool("verbose", self.verbose)

    def _train_on_part(self, X: Array, rng: np.random.Generator, history: History) -> None:
        self._train(X, rng, history, None)

    def _check_parts_will_do(self) -> None:
        if self.batch_size is not None:
            raise ValueError(
                "batch_size must be None for partial_fit, which trains on the covariance of all "
                f"samples seen; got {self.batch_size!r}."
            )

    def _see(self, X: Array) -> None:
        if self.n_samples_seen_ == 0:
            self.mean_ = np.zeros(X.shape[1], self._dtype)
            self._factor = np.empty((0, X.shape[1]), self._dtype)
        self.n_samples_seen_, self.mean_, self._factor = add_samples(
            self.n_samples_seen_, self.mean_, self._factor, X
        )

    @property
    def _has_epochs(self) -> bool:
        return self.solver in ("sgd", "adam")

    def _train(
        self, X: Array, rng: np.random.Generator, history: History, checkpoint: Checkpoint | None
    ) -> None:
        R = scaled(self._factor, self.n_samples_seen_)
        if self.solver == "alternating":
            self._train_alternating(R, history)
        elif self.solver == "lbfgs":
            end = len(history) + self.max_iter
            self._train_full_batch(R, history, self.max_iter)
            if len(history) < end and self._balance():
                history.warning = ""  # it may meet its tolerance after all
                self._train_full_batch(R, history, end - len(history))
        else:
            optimizer: SGD | Adam
            if self.solver == "sgd":
                total_variance = np.sum(R * R) / len(R)
                rate = 0.1 if self.learning_rate is None else self.learning_rate
                optimizer = SGD(rate / (total_variance or 1), momentum=0.9)
            else:
                optimizer = Adam(0.003 if self.learning_rate is None else self.learning_rate)
            in_batches = self.batch_size is not None
            train(
                self, X if in_batches else R, rng, history,
                optimizer=optimizer, batch_size=self.batch_size or len(R),
                max_iter=len(history) + self.max_iter, tol=self.tol, n_iter_no_change=100,
                mean=self.mean_ if in_batches else None, checkpoint=checkpoint,
                verbose=self.verbose,
            )  # fmt: skip

    def _train_full_batch(self, X: Array, history: History, max_iter: int) -> None:
        train_full_batch(
            self, lambda: self.loss_and_gradient(X), history,
            max_iter=max_iter, tol=self.tol, verbose=self.verbose,
        )  # fmt: skip

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

    def _train_alternating(self, X: Array, history: History) -> None:
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
        with progress_bar(self.max_iter, self.verbose, type(self).__name__) as bar:
            for _ in range(self.max_iter):
                old = W_d
                W_d = np.linalg.qr(Sigma @ old)[0]  # (2.7)
                encoder.weight[...] = W_d
                decoder.weight[...] = W_d.T
                history.add(loss=self.loss_and_gradient(X)[0])
                history.kept = len(history) - 1
                bar.update()
                turned = np.linalg.norm(W_d - old @ (old.T @ W_d))
                if turned <= tol:
                    return
        history.warning = not_converged(self.max_iter, tol)


def add_samples(n: int, mean: Array, factor: Array, X: Array) -> tuple[int, Array, Array]:
    """Number, mean and triangular factor of ``n`` samples and those in ``X`` together.

    The factor F is that of a QR decomposition of the centred samples: ``FᵀF = Σ_i (x_i − mean)
    (x_i − mean)ᵀ``. Of samples gone by it replaces all that the loss sees (2.6), with no loss of
    digits as by their products. That two parts have different means takes one more row.

    Parameters
    ----------
    n : int
    mean : ndarray of shape (d,)
    factor : ndarray of shape (at most d, d)
    X : ndarray of shape (m, d)
        Read block by block.
    """
    for block in blocks(X, factor.dtype):
        m, block_mean = len(block), block.mean(axis=0)
        between = np.sqrt(n * m / (n + m)).astype(factor.dtype) * (block_mean - mean)
        rows = np.concatenate([factor, block - block_mean, between[None] if n else factor[:0]])
        factor = triangular_factor(rows)
        n += m
        mean = mean + (block_mean - mean) * (m / n)
    return n, mean, factor


def triangular_factor(rows: Array) -> Array:
    """R with ``RᵀR = rowsᵀ rows``: that of a QR decomposition, up to the signs of its rows.

    The products alone know it to a rounding times the square of the condition number. Where that
    is small enough, which their eigenvalues tell, Cholesky's decomposition of them is much faster.
    """
    products = rows.T @ rows
    if np.isfinite(products).all():
        eigenvalues = np.linalg.eigvalsh(products)
        if np.finfo(rows.dtype).eps * eigenvalues[-1] < 1e-11 * eigenvalues[0]:
            return np.linalg.cholesky(products).T
    return np.asarray(np.linalg.qr(rows, mode="r"))


def scaled(factor: Array, n: int) -> Array:
    """At most d rows with the same ``XᵀX/n`` as the n rows that ``factor`` stands for (2.6).

    Scaling by ``√(rows/n)`` turns the equality of sums into one of means.
    """
    return factor * np.sqrt(len(factor) / n).astype(factor.dtype)
