"""The masked autoencoder: from the patches that are visible to those that are missing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, NoReturn

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from nanoae.arrays import Array
from nanoae.losses import masked_squared_error
from nanoae.models.base import WeightDecay
from nanoae.models.deep import DeepAutoencoder
from nanoae.models.hyperparameters import (
    anything,
    choice,
    documented,
    integer,
    real,
    seed,
)
from nanoae.network import (
    FillingDecoder,
    Flatten,
    Layer,
    MeanOverSteps,
    Parameters,
    Sequential,
    ToPatches,
    VisibleEncoder,
)
from nanoae.validation import (
    check_bool,
    check_choice,
    check_column_names,
    check_layer_sizes,
    check_random_state,
    column_names,
)


@documented
@dataclass(eq=False, repr=False)
class MaskedAutoencoder(WeightDecay, DeepAutoencoder):
    """Transformers that fill in what is missing (He et al. 2022).

    Samples are cut into patches. In training, a random part of those of each sample is taken away;
    the encoder, a transformer, is shown the others, and the decoder, a smaller one, has to say
    what was there. Minimises ``(1/n) Σ_i (1/|M_i|) Σ_{j ∈ M_i} ‖x_ij − x̂_ij‖²`` (12.8), the
    squared error of a missing patch, on average over those of a sample.

    `reconstruct` fills in what is NaN. The encoder is for use elsewhere: `transform` gives the
    mean of its vectors of all patches, or these side by side.

    Scale the columns first: a layer norm takes the length off the vector of a patch, so that of
    numbers in the hundreds hardly more than the sign can be seen.

    Attributes
    ----------
    encoder_ : VisibleEncoder
    decoder_ : FillingDecoder
    parameters_ : ndarray of shape (n_parameters,)
    loss_ : float
        Training loss of the epoch whose parameters were kept.
    n_iter_ : int
    history_ : dict of ndarray
        ``"loss"`` and, with early stopping, ``"validation_loss"``, one value an epoch.
    n_features_in_, n_samples_seen_ : int

    Examples
    --------
    A table whose third column is the sum of the others, and a row that lacks it:

    >>> import numpy as np
    >>> from nanoae import MaskedAutoencoder
    >>> X = np.random.default_rng(0).uniform(-1, 1, (500, 2))
    >>> X = np.column_stack([X, X.sum(axis=1)])
    >>> model = MaskedAutoencoder(
    ...     mask_ratio=0.3, width=16, n_blocks=1, decoder_width=16, learning_rate=5e-3,
    ...     max_iter=50, random_state=0,
    ... ).fit(X)
    >>> filled = model.reconstruct([[0.5, -0.2, np.nan]])
    >>> filled[0, :2].tolist(), bool(abs(filled[0, 2] - 0.3) < 0.1)
    ([0.5, -0.2], True)
    """

    shape: Sequence[int] | None = anything(
        None,
        "Size of a sample along each axis, (28, 28) for images; None: the columns of a table or "
        "the values of a series, one behind the other.",
        check_layer_sizes,
        "tuple of int or None",
    )
    _: KW_ONLY
    patch_size: int = integer(1, "Of a patch along every axis, of whose size it is a divisor.", 1)
    mask_ratio: float = real(
        0.5,
        "Part of the patches that is taken away in training, at least one, and one stays.",
        0, 1, open_ends=True,
    )  # fmt: skip
    n_channels: int = integer(1, "Numbers of a pixel, which stand together: 3 for colours.", 1)
    width: int = integer(64, "Of the encoder's vector of a patch.", 1)
    n_blocks: int = integer(2, "Of the encoder.", 1)
    decoder_width: int = integer(32, "Of the decoder's vector of a patch.", 1)
    n_decoder_blocks: int = integer(1, "Of the decoder.", 1)
    n_heads: int = integer(4, "Of the attention; both widths must be multiples of it.", 1)
    pooling: str = choice(
        "mean",
        "What `transform` makes of the vectors of the patches: their mean, or a row of all. It "
        "may be set at any time.",
        ("mean", "concatenate"),
    )
    solver: str = choice("adam", "What trains it.", ("adam", "sgd"))
    max_iter: int | None = integer(None, "Largest number of epochs (None: 200).", 1)
    tol: float | None = real(
        None,
        "Training stops after ``n_iter_no_change`` epochs in a row in none of which the loss "
        "(with early stopping: that of the rows held out) has fallen by more than ``tol`` times "
        "itself (None: 1e-5).",
        0,
    )
    random_state: Any = seed("the initial weights, the batches, the rows to hold out, and masks")

    _bound = ("_n_missing",)

    def _build(  # type: ignore[override]
        self, n_features: int, dtype: DTypeLike
    ) -> None:
        self._patches = ToPatches(self._size(n_features), self.patch_size, self.n_channels)
        N, p = self._patches.shape_out
        self._n_missing = min(max(1, round(self.mask_ratio * N)), N - 1)
        self.encoder_ = VisibleEncoder(
            N, p, self.width, n_blocks=self.n_blocks, n_heads=self.n_heads
        )
        self.decoder_ = FillingDecoder(
            N, self.width, self.decoder_width, p, n_blocks=self.n_decoder_blocks,
            n_heads=self.n_heads,
        )  # fmt: skip
        self._parameters = Parameters(
            {"encoder_": self.encoder_, "decoder_": self.decoder_}, dtype
        )

    def _size(self, n_features: int) -> tuple[int, ...]:
        """Of a sample along each axis."""
        if self.shape is None:
            return (n_features // self.n_channels,)
        return tuple(self.shape)

    def loss_and_gradient(
        self, X: Array, rng: np.random.Generator | None = None, weights: Array | None = None
    ) -> tuple[float, Array]:
        """The error at the patches that are missing, and its gradient by backprop.

        Parameters
        ----------
        X : ndarray of shape (n, d)
        rng : Generator, optional
            Draws which patches are missing; by default one made from ``random_state``.
        weights : ndarray of shape (n,), optional
            Of the mean 1 over all samples of the training.

        Returns
        -------
        loss : float
        gradient : ndarray of shape (n_parameters,)
            The live vector: it is overwritten by the next call.
        """
        x = self._patches(X)  # (n, N, p)
        missing, visible = self._draw_masks(len(x), rng)
        h = self.encoder_.forward(x, rng, visible)  # of the visible patches, by these alone
        x_hat = self.decoder_.forward(h, rng, visible)  # of all patches
        loss, grad_x_hat = masked_squared_error(x_hat, x, missing, weights)  # of the missing ones

        grad_h = self.decoder_.backward(grad_x_hat)
        self.encoder_.backward(grad_h, input_gradient=False)
        return loss + self._decay_weights(), self._parameters.gradient

    def _draw_masks(self, n: int, rng: np.random.Generator | None) -> tuple[Array, Array]:
        """For each of n samples its own draw: which patches are missing, ``(n, N)``, and the
        places of the others, ``(n, v)``."""
        rng = check_random_state(self.random_state) if rng is None else rng
        N = self._patches.shape_out[0]
        order = rng.random((n, N)).argsort(axis=1)  # a random order of the patches
        missing, visible = np.ones((n, N), bool), order[:, self._n_missing :]
        np.put_along_axis(missing, visible, False, axis=1)
        return missing, visible

    # --- use -------------------------------------------------------------------------------

    def reconstruct(self, X: ArrayLike, *, missing: ArrayLike | None = None) -> Array:
        """Samples with what is missing filled in; all else is as it was.

        A patch that has a NaN is predicted from those that have none; where it has numbers, they
        stay. Of a table, with patches of 1, these are its gaps.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            May have NaN.
        missing : array-like of bool, shape (n_samples, n_patches) or (n_patches,), optional
            Patches to be predicted besides, whatever stands there. They are counted in reading
            order.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            Of the dtype of the training, to which what is there is rounded.

        Raises
        ------
        ValueError
            A sample has no patch that is visible, or ``missing`` has another shape.
        """
        X = np.asarray(self._check_samples(X, gaps=True), self._dtype)
        unknown = np.isnan(X)
        is_missing = np.any(self._patches(unknown), axis=-1)
        if missing is not None:
            wanted = self._check_missing(missing, is_missing.shape)
            is_missing |= wanted
            per_value = np.repeat(wanted[..., None], self._patches.shape_out[1], axis=-1)
            unknown |= self._patches.inverse(per_value)
        if (blind := is_missing.all(axis=1)).any():
            raise ValueError(
                f"row {blind.argmax()} has no patch that is visible, of which the others could be "
                "predicted; leave it out, or take smaller patches."
            )
        x = self._patches(np.where(np.isnan(X), 0, X))
        return np.where(unknown, self._patches.inverse(self._predict(x, is_missing)), X)

    def _check_missing(self, missing: ArrayLike, shape: tuple[int, ...]) -> Array:
        names = column_names(missing)
        if names is not None and shape[1] == self.n_features_in_:  # patches are columns
            check_column_names(missing, self._feature_names, type(self).__name__)
        wanted = np.asarray(missing)
        if wanted.dtype != bool or wanted.shape not in (shape, shape[1:]):
            raise ValueError(
                f"missing must be an array of bool, of the shape {shape} or {shape[1:]}; got one "
                f"of {wanted.dtype} and {wanted.shape}."
            )
        return np.broadcast_to(wanted, shape)

    def _predict(self, x: Array, missing: Array) -> Array:
        """Patches ``x (n, N, p)`` with those that are missing predicted from the others.

        Samples go together that miss equally many, in blocks, for the sake of memory.
        """
        x_hat, n_missing = x.copy(), missing.sum(axis=1)
        at_once = max(1, 2**18 // self._width)
        for count in np.unique(n_missing[n_missing > 0]):
            alike = np.flatnonzero(n_missing == count)
            for rows in np.split(alike, range(at_once, len(alike), at_once)):
                visible = np.nonzero(~missing[rows])[1].reshape(len(rows), -1)
                filled = self.decoder_(self.encoder_(x[rows], visible), visible)
                x_hat[rows] = np.where(missing[rows][..., None], filled, x[rows])
        return x_hat

    def _rebuild(self, X: Array) -> Array:
        """Samples whose every patch was predicted while it was missing.

        As many are missing at a time as in training, in an order that is always the same: so
        that samples compare.
        """
        x = self._patches(X)
        N, r = x.shape[1], self._n_missing
        order, x_hat = np.random.default_rng(0).permutation(N), np.empty_like(x)
        for start in range(0, N, r):
            missing = np.zeros(N, bool)
            missing[order.take(range(start, start + r), mode="wrap")] = True
            x_hat[:, missing] = self._predict(x, np.tile(missing, (len(x), 1)))[:, missing]
        return self._patches.inverse(x_hat)

    def reconstruction_error(self, X: ArrayLike, *, per_feature: bool = False) -> Array:
        """One value a sample: ``‖x − x̂‖²``, where each patch was predicted while it was missing.

        As many are missing at a time as in training, and always the same ones together, so that
        samples compare.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        per_feature : bool, default False
            Whether to tell what each feature has to do with it.

        Returns
        -------
        ndarray of shape (n_samples,), or (n_samples, n_features) whose rows sum to that
        """
        check_bool("per_feature", per_feature)
        X = np.asarray(self._check_samples(X), self._dtype)
        error_of = self._loss.per_feature if per_feature else self._loss.per_sample
        return error_of(self._rebuild(X), X)

    def inverse_transform(self, codes: ArrayLike) -> NoReturn:
        """There is none: the decoder takes the vectors of visible patches, and where they stand.

        Raises
        ------
        TypeError
        """
        raise TypeError(
            "MaskedAutoencoder has no way back from what transform gives; reconstruct fills in "
            "what is missing of a sample."
        )

    def interpolate(self, start: ArrayLike, end: ArrayLike, n_steps: int = 8) -> NoReturn:
        """There is none, as there is no `inverse_transform`.

        Raises
        ------
        TypeError
        """
        self.inverse_transform(start)

    def _codes(self, X: Array) -> Array:
        return self._to_codes(X)

    @property
    def _to_codes(self) -> Layer:
        # it may have been set since the fit
        check_choice("pooling", self.pooling, ("mean", "concatenate"))
        N, w = self.encoder_.shape_out
        pool: Layer = MeanOverSteps(N, w) if self.pooling == "mean" else Flatten((N, w))
        return Sequential([self._patches, self.encoder_, pool])

    @property
    def _code_width(self) -> int:
        return math.prod(self._to_codes.shape_out)

    # --- checks ------------------------------------------------------------------------------

    def _check_hyperparameters(self, n_features: int) -> None:
        super()._check_hyperparameters(n_features)
        size = self._size(n_features)
        if math.prod(size) * self.n_channels != n_features or not size:
            raise ValueError(
                f"shape and n_channels must be those of samples of {n_features} feature(s); got "
                f"{self.shape!r} and {self.n_channels}."
            )
        if any(n % self.patch_size for n in size):
            raise ValueError(
                f"patch_size must divide all of the shape {size}; got {self.patch_size}."
            )
        if math.prod(n // self.patch_size for n in size) < 2:
            raise ValueError(
                f"samples of {n_features} feature(s) with patch_size={self.patch_size} are one "
                "patch, and of nothing it could be predicted; take smaller patches."
            )
        for name in ("width", "decoder_width"):
            if getattr(self, name) % self.n_heads:
                raise ValueError(
                    f"{name} must be a multiple of n_heads; got {getattr(self, name)} and "
                    f"{self.n_heads}."
                )

    def _null_loss(self) -> float:
        return super()._null_loss() / self._patches.shape_out[0]  # of a patch

    def _update_statistics(self, X: Array, weights: Array | None) -> None:
        self._moments.n += len(X)  # mean and variance serve to begin with
