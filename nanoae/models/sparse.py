"""Sparse models, ``x̂ = D h`` with few h_j at work: one learns to compute h, one solves for it."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from nanoae.arrays import Array, blocks, weighted
from nanoae.losses import kl_sparsity, l1_norm, squared_error
from nanoae.models.base import Centred
from nanoae.models.deep import DeepAutoencoder
from nanoae.models.denoising import Denoising
from nanoae.models.hyperparameters import (
    anything,
    choice,
    documented,
    flag,
    integer,
    probability,
    real,
    seed,
)
from nanoae.network import LISTA, Dense, Dictionary, Dropout, Layer, Parameters, Sequential
from nanoae.proximal import fista
from nanoae.training import Monitor
from nanoae.validation import check_integer, check_real


class _DictionaryModel(Centred):
    """What the sparse models share: centred samples, and atoms of norm 1 to rebuild them from."""

    active_fraction_: float
    sparsity_: float

    @property
    def components_(self) -> Array:
        """The atoms, rows of norm 1, of shape (k, d)."""
        return self._dictionary.atoms

    @property
    def _dictionary(self) -> Dictionary:
        layer = self.decoder_.layers[-1]
        assert isinstance(layer, Dictionary)
        return layer


@documented
@dataclass(eq=False, repr=False)
class SparseAutoencoder(_DictionaryModel, Denoising, DeepAutoencoder):
    """An encoder trained to give sparse codes, and a dictionary to decode them.

    With ``penalty="l1"`` it minimises ``(1/n) Σ ‖x − D h‖² + λ ‖h‖₁``. The encoder is a proximal
    step, ``h = S(W_e x, θ)`` with the soft threshold S (4.6), so its zeros are exact, or several
    such steps (4.6a). All of W_e, M and θ > 0 are learned, from where they are those of ISTA on
    the initial dictionary. With ``penalty="kl"`` the code is ``h = σ(W_e x + b)``, and
    ``KL(ρ ‖ ρ̂_j)``, summed over units, pulls each unit's mean activation ρ̂_j towards ρ (4.8);
    ``x̂ = D h + c``. Such a code is small where it is not needed, but nowhere zero.

    Atoms have norm 1, without which both penalties would be void (4.5), (4.8c). A code of "kl"
    stays below 1, so its data should be scaled to about that size. Samples are centred: then a
    code of zero, which costs nothing, stands for their mean.

    Attributes
    ----------
    components_ : ndarray of shape (k, d)
        The atoms, in rows.
    mean_ : ndarray of shape (d,)
    sparsity_ : float
        λ or ρ.
    active_fraction_ : float
        Over the training data: the part of all code entries that is not zero or, "kl", the mean
        activation.
    encoder_, decoder_ : Sequential
        Of a single layer each, ``model.encoder_.layers[0]``; the decoder's has a `Dropout` before
        it if there is one.
    parameters_ : ndarray of shape (n_parameters,)
    loss_ : float
        Training loss of the epoch whose parameters were kept.
    n_iter_ : int
    history_ : dict of ndarray
        ``"loss"`` and, with early stopping, ``"validation_loss"``, one value an epoch.
    n_features_in_, n_samples_seen_ : int

    Examples
    --------
    >>> from nanoae import SparseAutoencoder, datasets
    >>> X = datasets.load_digits().X
    >>> model = SparseAutoencoder(64, sparsity=0.5, max_iter=20, random_state=0).fit(X)
    >>> codes = model.transform(X)
    >>> float((codes == 0).mean()) > 0.5  # exact zeros
    True
    """

    n_components: int = integer(2, "Number k of atoms, which may exceed that of features.", 1)
    _: KW_ONLY
    penalty: str = choice("l1", "What keeps codes sparse.", ("l1", "kl"))
    sparsity: float | None = real(
        None,
        'λ of "l1" (None: 0.3), in the units of the squared error over those of the code, or ρ of '
        '"kl", in (0, 1) (None: 0.05).',
        0,
        open_ends=True,
    )
    n_steps: int = integer(1, 'Steps of the encoder of "l1".', 1)
    kl_weight: float = real(1.0, 'Weight of the KL term of "kl".', 0)
    dropout: float = probability(
        0.0,
        "Probability p with which training drops an entry of the code on its way into the "
        "decoder, for each sample anew; the others are divided by 1 − p. The penalty sees the "
        "whole code. Another p waits for the next fit.",
    )
    learning_rate: float = 3e-3
    batch_size: int = integer(
        128,
        'Samples a step of "adam" and "sgd"; "kl" takes each unit\'s mean over them.',
        1,
    )

    def _build(  # type: ignore[override]
        self, n_features: int, dtype: DTypeLike
    ) -> None:
        k, is_l1 = self.n_components, self.penalty == "l1"
        default = 0.3 if is_l1 else 0.05
        self.sparsity_ = default if self.sparsity is None else float(self.sparsity)
        encoder: Layer = (
            LISTA(n_features, k, self.n_steps) if is_l1 else Dense(n_features, k, "sigmoid")
        )
        self.encoder_ = Sequential([encoder])
        dictionary = Dictionary(k, n_features, bias=not is_l1)
        drop = [Dropout(k, self.dropout)] if self.dropout else []
        self.decoder_ = Sequential([*drop, dictionary])
        self._parameters = Parameters(
            {"encoder_": self.encoder_, "decoder_": self.decoder_}, dtype
        )

    def _draw_weights(self, X: Array, rng: np.random.Generator) -> None:
        super()._draw_weights(X, rng)
        self.active_fraction_ = np.nan  # until training is over
        encoder = self.encoder_.layers[0]
        if isinstance(encoder, LISTA):
            encoder.start_as_ista(self._dictionary.atoms, self.sparsity_)
        else:
            encoder.bias.fill(np.log(self.sparsity_ / (1 - self.sparsity_)))  # σ(b) = ρ

    def loss_and_gradient(
        self, X: Array, rng: np.random.Generator | None = None, weights: Array | None = None
    ) -> tuple[float, Array]:
        """Squared error and penalty of a batch, and their gradient by backprop.

        Where the loss has a kink, at ``h_j = 0`` and at the threshold, the gradient is that of
        the side on which the code stays zero.

        Parameters
        ----------
        X : ndarray of shape (n, d)
            Centred samples.
        rng : Generator, optional
            Draws the noise of the corruption, and the masks of dropout.
        weights : ndarray of shape (n,), optional
            Of the mean 1 over all samples of the training.

        Returns
        -------
        loss : float
        gradient : ndarray of shape (n_parameters,)
            The live vector: it is overwritten by the next call.
        """
        x_tilde = X if self.corruption is None else self._corrupt(X, rng)
        h = self.encoder_.forward(x_tilde)  # h = S(W_e x̃, θ), or σ(W_e x̃ + b)
        x_hat = self.decoder_.forward(h, rng)  # x̂ = D h
        error, grad_x_hat = squared_error(x_hat, X, weights)
        if self.penalty == "l1":
            penalty, penalty_grad_h = l1_norm(h, weights)
            weight = self.sparsity_
        else:
            penalty, penalty_grad_h = kl_sparsity(h, self.sparsity_, weights)
            weight = self.kl_weight

        grad_h = self.decoder_.backward(grad_x_hat)
        grad_h += weight * penalty_grad_h
        self.encoder_.backward(grad_h, input_gradient=False)
        return error + weight * penalty, self._parameters.gradient

    def _run(self, train: Any, X: Array, *args: Any, weights: Any = None, **options: Any) -> None:
        try:
            super()._run(train, X, *args, weights=weights, **options)
        finally:
            active, done, offset = 0.0, 0, self.mean_
            for x in blocks(X, self._dtype, width=self._width):
                h = self._codes(x - offset)
                w = None if weights is None else weights[done : done + len(x)]
                active += np.sum(weighted(h != 0 if self.penalty == "l1" else h, w))
                done += len(x)
            total = len(X) if weights is None else weights.sum()
            self.active_fraction_ = float(active / (total * self.n_components))

    def _check_hyperparameters(self, n_features: int) -> None:
        super()._check_hyperparameters(n_features)
        if self.penalty == "kl":
            check_integer("n_steps", self.n_steps, 1, 1)
            if self.sparsity is not None:
                check_real("sparsity", self.sparsity, 0, 1, open_ends=True)

    @property
    def _remedy(self) -> str:  # type: ignore[override]
        return "Take a smaller sparsity, scale the data"

    @property
    def _unit(self) -> float:  # type: ignore[override]
        return self._moments.unit**2 if self.penalty == "l1" else 1.0

    @property
    def _may_be_null(self) -> bool:
        return self.penalty == "kl"  # what it asks for may cost more than a mean


@documented
@dataclass(eq=False, repr=False, kw_only=True)
class LearnedISTA(SparseAutoencoder):
    """The encoder of `SparseAutoencoder` alone, for a dictionary that stays (Gregor & LeCun 2010).

    Minimises ``(1/n) Σ ‖x − D h‖² + λ ‖h‖₁`` over W_e, M and θ of ``n_steps`` steps (4.6a), from
    where they are those of ISTA: so it says how well so many steps can do.

    Attributes
    ----------
    components_, mean_, sparsity_, active_fraction_, encoder_, decoder_, loss_, n_iter_, history_
        As in `SparseAutoencoder`.
    parameters_ : ndarray of shape (n_parameters,)
        Those of the encoder.

    Examples
    --------
    Three learned steps come nearer to the exact codes than three of ISTA:

    >>> from nanoae import LearnedISTA, datasets
    >>> X, codes, D = datasets.make_sparse_codes(500, 10, 15, n_active=2, random_state=0)
    >>> model = LearnedISTA(15, dictionary=D, sparsity=0.2, n_steps=3, max_iter=30, random_state=0)
    >>> ista = model.loss_and_gradient(model.initialise(X) - model.mean_)[0]
    >>> bool(model.fit(X).loss_ < 0.9 * ista)
    True
    """

    dictionary: Any = anything(
        None, "D, of shape (d, k), with columns of norm 1.", kind="array-like"
    )
    penalty: str = choice("l1", "What keeps codes sparse.", ("l1",))

    def _build(self, n_features: int, dtype: DTypeLike) -> None:  # type: ignore[override]
        super()._build(n_features, dtype)
        self._parameters = Parameters({"encoder_": self.encoder_}, dtype)
        Parameters({"decoder_": self.decoder_}, dtype)  # memory of its own, which nothing moves
        self._dictionary.weight[...] = np.transpose(self.dictionary)

    def _check_hyperparameters(self, n_features: int) -> None:
        super()._check_hyperparameters(n_features)
        if np.shape(self.dictionary) != (n_features, self.n_components):
            raise ValueError(
                f"dictionary must have the shape (d, k) = {(n_features, self.n_components)}; "
                f"got {np.shape(self.dictionary)}."
            )
        lengths = np.linalg.norm(self.dictionary, axis=0)
        if not np.allclose(lengths, 1, rtol=1e-4, atol=0):
            raise ValueError(
                "dictionary must have columns of norm 1; got norms from "
                f"{lengths.min():.4g} to {lengths.max():.4g}. Divide it by them."
            )


@documented
@dataclass(eq=False, repr=False)
class SparseCoding(_DictionaryModel):
    """A dictionary, and for each sample the best sparse code on it (Olshausen & Field 1996).

    Minimises ``(1/n) Σ ‖x − D h‖² + λ ‖h‖₁`` over the codes of all centred samples and over
    dictionaries with atoms of norm 1. There is no encoder: a code is the solution of a convex
    problem, which FISTA finds. Training alternates between the codes and the dictionary, taking
    the atoms one by one (Mairal et al. 2009); two that come closer than a cosine of 0.9 are taken
    for one, and the second is drawn anew. So it finds a planted dictionary again (4.7b).

    Attributes
    ----------
    components_ : ndarray of shape (k, d)
        The atoms, in rows.
    mean_ : ndarray of shape (d,)
    active_fraction_ : float
        The part of all code entries that is not zero, over the training data.
    decoder_ : Sequential
        Of a single layer, ``model.decoder_.layers[0]``.
    parameters_ : ndarray of shape (k d,)
    loss_ : float
        Training loss of the round whose dictionary was kept: the lowest.
    n_iter_ : int
    history_ : dict of ndarray
        ``"loss"``, one value a round.
    n_features_in_, n_samples_seen_ : int

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae import SparseCoding, datasets
    >>> planted = datasets.make_sparse_codes(1000, 8, 12, n_active=2, noise=0.01, random_state=0)
    >>> model = SparseCoding(12, sparsity=0.2, random_state=0).fit(planted.X)
    >>> cosines = np.abs(model.components_ @ planted.dictionary)
    >>> float(np.mean(cosines.max(axis=0) > 0.98))  # the part of the atoms that is found again
    1.0
    """

    n_components: int = integer(2, "Number k of atoms, which may exceed that of features.", 1)
    _: KW_ONLY
    sparsity: float = real(
        0.3, "λ, in the units of the squared error over those of the code.", 0, open_ends=True
    )
    max_iter: int = integer(200, "Largest number of rounds.", 1)
    tol: float = real(
        1e-4,
        "Training stops after 10 rounds in which the loss has not fallen by more than ``tol`` "
        "times itself.",
        0,
    )
    random_state: Any = seed("the samples that the atoms start from")
    verbose: bool = flag(False, "Show progress.")

    def _build(self, n_features: int, dtype: DTypeLike) -> None:
        self.sparsity_ = float(self.sparsity)
        self.decoder_ = Sequential([Dictionary(self.n_components, n_features)])
        self._parameters = Parameters({"decoder_": self.decoder_}, dtype)

    def loss_and_gradient(  # type: ignore[override]
        self, X: Array, rng: np.random.Generator | None = None
    ) -> tuple[float, Array]:
        """The loss at the best codes, and its gradient in the dictionary.

        The codes move when the dictionary does, but being at a minimum they change the loss only
        in second order (the envelope theorem): the gradient is that for codes held still.

        Parameters
        ----------
        X : ndarray of shape (n, d)
            Centred samples.
        rng : ignored

        Returns
        -------
        loss : float
        gradient : ndarray of shape (k d,)
            The live vector: it is overwritten by the next call.
        """
        h = self._codes(X)  # argmin ‖x − D h‖² + λ ‖h‖₁
        x_hat = self.decoder_.forward(h)  # x̂ = D h
        error, grad_x_hat = squared_error(x_hat, X)
        penalty, _ = l1_norm(h)

        self.decoder_.backward(grad_x_hat, input_gradient=False)
        return error + self.sparsity_ * penalty, self._parameters.gradient

    def _codes(self, X: Array, *, tol: float = 1e-8, start: Array | None = None) -> Array:
        return fista(X, self._dictionary.atoms.T, self.sparsity_, tol=tol, codes=start)

    def _draw_weights(self, X: Array, rng: np.random.Generator) -> None:
        super()._draw_weights(X, rng)
        self.active_fraction_ = np.nan  # until training is over
        atoms, offset = self._dictionary.weight, self.mean_
        atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
        for atom, i in zip(atoms, rng.permutation(len(X)), strict=False):
            turn_to(atom, X[i] - offset)
        self._HH, self._HX = np.zeros((len(atoms), len(atoms)), atoms.dtype), np.zeros_like(atoms)

    def _train(  # type: ignore[override]
        self, X: Array, rng: np.random.Generator, monitor: Monitor
    ) -> None:
        X, atoms, H = np.asarray(X, self._dtype) - self.mean_, self._dictionary.weight, None
        monitor.max_iter, monitor.tol, monitor.n_iter_no_change = self.max_iter, self.tol, 10
        monitor.keeps_best = True
        try:
            with monitor as state:
                if state is not None:
                    H = state["H"]
                for _ in monitor:
                    H = self._codes(X, tol=1e-2, start=H)
                    monitor.note(self._loss_of(H, X))
                    update_atoms(atoms, H.T @ H, H.T @ X)
                    redraw_atoms(atoms, H, X, used=np.any(H != 0, axis=0))
                    monitor.save(H=H)
        finally:
            H = self._codes(X)
            self._HH, self._HX = H.T @ H, H.T @ X
            self.active_fraction_ = float(np.mean(H != 0))

    def _verdict(self, monitor: Monitor) -> str:
        if self.active_fraction_ == 0 and self.loss_ > 0:
            return (
                "answers every sample with the mean, as all its codes are 0: "
                f"sparsity={self.sparsity_:g} is too much for data of this size. Take a smaller "
                "one, or scale the data."
            )
        return super()._verdict(monitor)

    def _partial_fit(  # type: ignore[override]
        self, X: Array, rng: np.random.Generator, monitor: Monitor
    ) -> None:
        X = np.asarray(X, self._dtype) - self.mean_
        atoms, H = self._dictionary.weight, self._codes(X)
        loss = self._loss_of(H, X)
        self.active_fraction_ = float(np.mean(H != 0))
        # codes of the first rounds are on atoms that have moved since: they fade as Mairal's do
        fading = (1 - 1 / (len(monitor) + 1)) ** 2
        self._HH = fading * self._HH + H.T @ H
        self._HX = fading * self._HX + H.T @ X
        monitor.max_iter = len(monitor) + 1
        with monitor:
            update_atoms(atoms, self._HH, self._HX)
            for j in redraw_atoms(atoms, H, X, used=np.diag(self._HH) > 0):
                self._HH[j], self._HH[:, j], self._HX[j] = 0, 0, 0
            monitor.note(loss)

    def _loss_of(self, H: Array, X: Array) -> float:
        """That of given codes."""
        error, _ = squared_error(H @ self._dictionary.weight, X)
        return error + self.sparsity_ * l1_norm(H)[0]


def update_atoms(atoms: Array, HH: Array, HX: Array) -> None:
    """Move each atom in turn to its best place on the sphere, all else held still, in place.

    With ``A = HᵀH`` and ``B = HᵀX``, the squared error depends on atom j by ``A_jj ‖d_j‖² −
    2 ⟨d_j, b_j − Σ_{l≠j} A_jl d_l⟩``; at norm 1 only the second term counts, and it wants d_j
    along that vector. So no move raises the loss.

    Parameters
    ----------
    atoms : ndarray of shape (k, d)
    HH : ndarray of shape (k, k)
    HX : ndarray of shape (k, d)
    """
    for j, atom in enumerate(atoms):
        turn_to(atom, HX[j] - HH[j] @ atoms + HH[j, j] * atom)


def redraw_atoms(atoms: Array, codes: Array, X: Array, *, used: Array) -> Array:
    """Turn atoms that are of no use to what the samples lack most, in place.

    Of no use is an atom that no code needs, or that is within a cosine of 0.9 of an earlier one:
    the two stand for one atom of the data, while another has none. What samples lack are the
    largest residuals.

    Parameters
    ----------
    atoms : ndarray of shape (k, d)
    codes : ndarray of shape (n, k)
        Those of redrawn atoms are set to 0.
    X : ndarray of shape (n, d)
    used : ndarray of bool, shape (k,)
        Which atoms codes need.

    Returns
    -------
    ndarray of int
        Which atoms were redrawn.
    """
    doubled = np.abs(np.tril(atoms @ atoms.T, -1)).max(axis=1) > 0.9
    useless = np.flatnonzero(doubled | ~used)[: len(X)]
    residual = X - codes @ atoms
    worst = np.argsort(-np.sum(residual**2, axis=1))
    for j, i in zip(useless, worst, strict=False):
        turn_to(atoms[j], residual[i])
        codes[:, j] = 0
    return useless


def turn_to(atom: Array, v: Array) -> None:
    """Point an atom of norm 1 along ``v``, in place; along 0 it stays as it is."""
    length = np.linalg.norm(v)
    if length > 0:
        np.divide(v, length, out=atom)
