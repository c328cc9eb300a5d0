"""Sparse models, ``x̂ = D h`` with few h_j at work: one learns to compute h, one solves for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from nanoae.arrays import Array, blocks, map_rows
from nanoae.losses import kl_sparsity, l1_norm, squared_error
from nanoae.models.base import BaseAutoencoder
from nanoae.models.deep import DeepAutoencoder
from nanoae.network import Dense, Dictionary, Parameters, Sequential, Unrolled
from nanoae.persistence import Checkpoint
from nanoae.proximal import fista
from nanoae.training import History, progress_bar
from nanoae.validation import check_bool, check_choice, check_integer, check_real


class _DictionaryModel(BaseAutoencoder):
    """What the sparse models share: centred samples, and atoms of norm 1 to rebuild them from."""

    @property
    def components_(self) -> Array:
        """The atoms, rows of norm 1, of shape (k, d)."""
        self._check_fitted()
        return self._dictionary.atoms

    @property
    def _dictionary(self) -> Dictionary:
        layer = self.decoder_.layers[0]
        assert isinstance(layer, Dictionary)
        return layer

    def transform(self, X: ArrayLike) -> Array:
        """Codes ``(n_samples, k)`` of samples ``(n_samples, d)``."""
        X = self._check_samples(X)
        return map_rows(lambda x: self._codes(x - self.mean_), X, self._dtype)

    def inverse_transform(self, codes: ArrayLike) -> Array:
        """Samples ``D h + mean``, of shape (n, d), for codes ``(n, k)``."""
        return super().inverse_transform(codes) + self.mean_

    def _codes(self, X: Array) -> Array:
        """Codes of centred samples."""
        return self.encoder_(X)

    def _see(self, X: Array) -> None:
        if self.n_samples_seen_ == 0:
            self.active_fraction_ = np.nan  # until training is over
            self.mean_ = np.zeros(X.shape[1], self._dtype)
        for x in blocks(X, self._dtype):
            self.n_samples_seen_ += len(x)
            self.mean_ += (x.mean(axis=0) - self.mean_) * (len(x) / self.n_samples_seen_)

    @property
    def _offset(self) -> Array:
        return self.mean_


class SparseAutoencoder(_DictionaryModel, DeepAutoencoder):
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

    Parameters
    ----------
    n_components : int, default 2
        Number k of atoms, which may exceed the number of features.
    penalty : {"l1", "kl"}, default "l1"
    sparsity : float or None, default None
        λ of "l1" (None: 0.3), in the units of the squared error over those of the code, or ρ of
        "kl", in (0, 1) (None: 0.05).
    n_steps : int, default 1
        Steps of the encoder of "l1".
    kl_weight : float, default 1.0
        Weight of the KL term of "kl".
    solver : {"adam", "sgd", "lbfgs"}, default "adam"
        "lbfgs" takes all data at every step.
    learning_rate : float, default 3e-3
        Of "adam" and "sgd".
    momentum : float in [0, 1], default 0.9
        Of "sgd".
    batch_size : int, default 128
        Samples a step of "adam" and "sgd"; "kl" takes each unit's mean over them.
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
    random_state : int, Generator or None, default None
        Draws the initial weights, the batches and the rows to hold out.
    verbose : bool, default False
        Show progress.

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
        Of a single layer each, ``model.encoder_.layers[0]``.
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

    weight_decay = 0.0  # atoms have norm 1 in any case

    def __init__(
        self,
        n_components: int = 2,
        *,
        penalty: str = "l1",
        sparsity: float | None = None,
        n_steps: int = 1,
        kl_weight: float = 1.0,
        solver: str = "adam",
        learning_rate: float = 3e-3,
        momentum: float = 0.9,
        batch_size: int = 128,
        max_iter: int | None = None,
        tol: float | None = None,
        n_iter_no_change: int = 10,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        random_state: Any = None,
        verbose: bool = False,
    ) -> None:
        self.n_components = n_components
        self.penalty = penalty
        self.sparsity = sparsity
        self.n_steps = n_steps
        self.kl_weight = kl_weight
        self.solver = solver
        self.learning_rate = learning_rate
        self.momentum = momentum
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.random_state = random_state
        self.verbose = verbose

    def _build(self, n_features: int, dtype: DTypeLike) -> None:
        k, is_l1 = self.n_components, self.penalty == "l1"
        default = 0.3 if is_l1 else 0.05
        self.sparsity_ = default if self.sparsity is None else float(self.sparsity)
        encoder = (
            Unrolled(n_features, k, self.n_steps) if is_l1 else Dense(n_features, k, "sigmoid")
        )
        self.encoder_ = Sequential([encoder])
        self.decoder_ = Sequential([Dictionary(k, n_features, bias=not is_l1)])
        self._parameters = Parameters(
            {"encoder_": self.encoder_, "decoder_": self.decoder_}, dtype
        )

    def _initialise(self, rng: np.random.Generator) -> None:
        super()._initialise(rng)
        encoder = self.encoder_.layers[0]
        if isinstance(encoder, Unrolled):
            encoder.start_as_ista(self._dictionary.atoms, self.sparsity_)
        elif encoder.bias is not None:
            encoder.bias.fill(np.log(self.sparsity_ / (1 - self.sparsity_)))  # σ(b) = ρ

    def loss_and_gradient(
        self, X: Array, rng: np.random.Generator | None = None
    ) -> tuple[float, Array]:
        """Squared error and penalty of a batch, and their gradient by backprop.

        Where the loss has a kink, at ``h_j = 0`` and at the threshold, the gradient is that of
        the side on which the code stays zero.

        Parameters
        ----------
        X : ndarray of shape (n, d)
            Centred samples.
        rng : ignored

        Returns
        -------
        loss : float
        gradient : ndarray of shape (n_parameters,)
            The live vector: it is overwritten by the next call.
        """
        h = self.encoder_.forward(X)  # h = S(W_e x, θ), or σ(W_e x + b)
        x_hat = self.decoder_.forward(h)  # x̂ = D h
        error, grad_x_hat = squared_error(x_hat, X, out=x_hat)
        if self.penalty == "l1":
            penalty, penalty_grad_h = l1_norm(h)
            weight = self.sparsity_
        else:
            penalty, penalty_grad_h = kl_sparsity(h, self.sparsity_)
            weight = self.kl_weight

        grad_h = self.decoder_.backward(grad_x_hat)
        grad_h += weight * penalty_grad_h
        self.encoder_.backward(grad_h, input_gradient=False)
        return error + weight * penalty, self._parameters.gradient

    def _run(self, X: Array, train: Callable[[], None], history: History) -> None:
        try:
            super()._run(X, train, history)
        finally:
            active = 0.0
            for x in blocks(X, self._dtype):
                h = self._codes(x - self.mean_)
                active += np.sum(h != 0 if self.penalty == "l1" else h)
            self.active_fraction_ = float(active / (len(X) * self.n_components))

    def _check_hyperparameters(self, n_features: int) -> None:
        super()._check_hyperparameters(n_features)
        check_choice("penalty", self.penalty, ("l1", "kl"))
        if self.sparsity is not None:
            highest = np.inf if self.penalty == "l1" else 1
            check_real("sparsity", self.sparsity, 0, highest, open_ends=True)
        check_integer("n_steps", self.n_steps, 1, None if self.penalty == "l1" else 1)
        check_real("kl_weight", self.kl_weight, 0)


class SparseCoding(_DictionaryModel):
    """A dictionary, and for each sample the best sparse code on it (Olshausen & Field 1996).

    Minimises ``(1/n) Σ ‖x − D h‖² + λ ‖h‖₁`` over the codes of all centred samples and over
    dictionaries with atoms of norm 1. There is no encoder: a code is the solution of a convex
    problem, which FISTA finds. Training alternates between the codes and the dictionary, taking
    the atoms one by one (Mairal et al. 2009); two that come closer than a cosine of 0.9 are taken
    for one, and the second is drawn anew. So it finds a planted dictionary again (4.7b).

    Parameters
    ----------
    n_components : int, default 2
        Number k of atoms, which may exceed the number of features.
    sparsity : float, default 0.3
        λ, in the units of the squared error over those of the code.
    max_iter : int, default 200
        Largest number of rounds.
    tol : float, default 1e-4
        Training stops after 10 rounds in which the loss has not fallen by more than ``tol``
        times itself.
    random_state : int, Generator or None, default None
        Draws the samples that the atoms start from.
    verbose : bool, default False
        Show progress.

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

    def __init__(
        self,
        n_components: int = 2,
        *,
        sparsity: float = 0.3,
        max_iter: int = 200,
        tol: float = 1e-4,
        random_state: Any = None,
        verbose: bool = False,
    ) -> None:
        self.n_components = n_components
        self.sparsity = sparsity
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state
        self.verbose = verbose

    def _build(self, n_features: int, dtype: DTypeLike) -> None:
        self.sparsity_ = float(self.sparsity)
        self.decoder_ = Sequential([Dictionary(self.n_components, n_features)])
        self._parameters = Parameters({"decoder_": self.decoder_}, dtype)

    def loss_and_gradient(
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
        error, grad_x_hat = squared_error(x_hat, X, out=x_hat)
        penalty, _ = l1_norm(h)

        self.decoder_.backward(grad_x_hat, input_gradient=False)
        return error + self.sparsity_ * penalty, self._parameters.gradient

    def _codes(self, X: Array, *, tol: float = 1e-8, start: Array | None = None) -> Array:
        return fista(X, self._dictionary.atoms.T, self.sparsity_, tol=tol, codes=start)

    def _start(
        self, X: ArrayLike, checkpoint: Checkpoint | None = None
    ) -> tuple[Array, np.random.Generator]:
        X, rng = super()._start(X, checkpoint)
        atoms = self._dictionary.weight
        atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
        for atom, i in zip(atoms, rng.permutation(len(X)), strict=False):
            turn_to(atom, X[i] - self.mean_)
        self._HH, self._HX = np.zeros((len(atoms), len(atoms)), atoms.dtype), np.zeros_like(atoms)
        return X, rng

    def _train(
        self, X: Array, rng: np.random.Generator, history: History, checkpoint: Checkpoint | None
    ) -> None:
        X, atoms = np.asarray(X, self._dtype) - self.mean_, self._dictionary.weight
        H, best, best_atoms, rounds_since_best = None, np.inf, atoms.copy(), 0
        state = None if checkpoint is None else checkpoint.state
        if state is not None:
            H, best, rounds_since_best = state["H"], state["best"], state["rounds_since_best"]
            atoms[...], best_atoms[...] = state["values"], state["best_values"]
            history.curves, history.kept = History(state["curves"]).curves, state["kept"]
        try:
            with progress_bar(self.max_iter, self.verbose, type(self).__name__) as bar:
                for i in range(len(history), self.max_iter):
                    if rounds_since_best >= 10:
                        break
                    H = self._codes(X, tol=1e-2, start=H)
                    loss = squared_error(H @ atoms, X)[0] + self.sparsity_ * l1_norm(H)[0]
                    history.add(loss=loss)
                    bar.set_postfix_str(f"loss {loss:.6g}", refresh=False)
                    bar.update()

                    rounds_since_best += 1
                    if loss < best * (1 - self.tol):
                        rounds_since_best = 0
                    if loss < best:
                        best, history.kept, best_atoms[...] = loss, i, atoms
                    update_atoms(atoms, H.T @ H, H.T @ X)
                    redraw_atoms(atoms, H, X, used=np.any(H != 0, axis=0))
                    if checkpoint is not None:
                        state = {
                            "values": atoms, "H": H, "best_values": best_atoms, "best": best,
                            "rounds_since_best": rounds_since_best,
                            "curves": history.arrays(), "kept": history.kept,
                        }  # fmt: skip
                        is_last = i + 1 == self.max_iter or rounds_since_best >= 10
                        checkpoint.save(state, history, is_last=is_last)
        finally:
            atoms[...] = best_atoms
            H = self._codes(X)
            self._HH, self._HX = H.T @ H, H.T @ X
            self.active_fraction_ = float(np.mean(H != 0))

    def _train_on_part(self, X: Array, rng: np.random.Generator, history: History) -> None:
        X = np.asarray(X, self._dtype) - self.mean_
        atoms, H = self._dictionary.weight, self._codes(X)
        loss = squared_error(H @ atoms, X)[0] + self.sparsity_ * l1_norm(H)[0]
        history.add(loss=loss)
        history.kept = len(history) - 1
        self.active_fraction_ = float(np.mean(H != 0))
        # codes of the first rounds are on atoms that have moved since: they fade as Mairal's do
        fading = (1 - 1 / len(history)) ** 2
        self._HH = fading * self._HH + H.T @ H
        self._HX = fading * self._HX + H.T @ X
        update_atoms(atoms, self._HH, self._HX)
        for j in redraw_atoms(atoms, H, X, used=np.diag(self._HH) > 0):
            self._HH[j], self._HH[:, j], self._HX[j] = 0, 0, 0

    def _check_hyperparameters(self, n_features: int) -> None:
        check_integer("n_components", self.n_components, 1)
        check_real("sparsity", self.sparsity, 0, open_ends=True)
        check_integer("max_iter", self.max_iter, 1)
        check_real("tol", self.tol, 0)
        check_bool("verbose", self.verbose)


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
