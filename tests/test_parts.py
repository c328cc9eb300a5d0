"""Samples that come in parts, and samples that lie in a file larger than memory."""

from __future__ import annotations

import copy
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from effort import scaled
from test_estimators import every_model, new, outputs
from test_persistence import same

from nanoae import (
    VAE,
    Autoencoder,
    ConvergenceWarning,
    LinearAutoencoder,
    LinearVAE,
    SparseAutoencoder,
    SparseCoding,
    TiedAutoencoder,
    TrainingDiverged,
    datasets,
    theory,
)
from nanoae.models.sparse import redraw_atoms, update_atoms
from nanoae.proximal import fista

X = np.random.default_rng(0).uniform(size=(50, 6)) * [3.0, 2.5, 2.0, 1.5, 1.0, 0.5]


# --- parts -------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", [
    LinearAutoencoder(2, random_state=0),
    LinearAutoencoder(2, solver="alternating", random_state=0),
    TiedAutoencoder(2, random_state=0),
])  # fmt: skip
@pytest.mark.parametrize("n_parts", [2, 7])
def test_a_linear_model_learns_from_parts_what_it_would_from_the_whole(model, n_parts):
    model = copy.deepcopy(model)
    X_far = X + 100  # so that the mean matters; the parts have means of their own
    for part in np.array_split(X_far[np.argsort(X[:, 0])], n_parts):
        assert model.partial_fit(part) is model
    least, subspace = theory.linear_autoencoder_optimum(X_far, 2)
    assert model.n_samples_seen_ == len(X)
    np.testing.assert_allclose(model.mean_, X_far.mean(axis=0), rtol=1e-14)
    assert model.loss_ == pytest.approx(least, rel=1e-10)
    assert theory.largest_principal_angle(model.decoder_weight_, subspace) < 1e-6


EPOCHS = {"hidden_layer_sizes": (4,), "batch_size": 16, "max_iter": 5, "random_state": 0}
BATCHES = {
    "mlp": Autoencoder(2, **EPOCHS),
    "mlp-sgd": Autoencoder(2, solver="sgd", learning_rate=0.01, **EPOCHS),
    "vae-warm-up": VAE(2, beta_warmup=3, **EPOCHS),
    "vae-learned": VAE(2, noise_variance="learned", **EPOCHS),
    "sparse": SparseAutoencoder(3, batch_size=16, max_iter=5, random_state=0),
    "sparse-kl": SparseAutoencoder(3, penalty="kl", batch_size=16, max_iter=5, random_state=0),
}


@pytest.mark.parametrize("name", BATCHES)
def test_as_many_parts_as_epochs_are_a_fit(name):
    """The same samples again and again: moments of the optimizer, draws and warm-up go on."""
    whole, parts = copy.deepcopy(BATCHES[name]).fit(X), copy.deepcopy(BATCHES[name])
    for _ in range(5):
        parts.partial_fit(X)
    assert parts.parameters_.tobytes() == whole.parameters_.tobytes()
    assert same(parts.history_, whole.history_) and parts.loss_ == whole.loss_
    assert parts.n_samples_seen_ == 5 * len(X) and parts.n_iter_ == 5
    more = whole.partial_fit(X)  # and a fit may be gone on from
    assert more.n_iter_ == 6
    assert same(more.parameters_, parts.partial_fit(X).parameters_)


def test_sparse_models_keep_the_mean_of_all_that_they_have_seen():
    for model in (BATCHES["sparse"], SparseCoding(3, random_state=0)):
        model = copy.deepcopy(model)
        for part in (X[:10], X[10:13], X[13:]):
            model.partial_fit(part)
        np.testing.assert_allclose(model.mean_, X.mean(axis=0), rtol=1e-14)
        assert 0 < model.active_fraction_ <= 1


def test_sparse_coding_learns_from_a_stream_nearly_what_it_learns_from_the_whole():
    n_parts = scaled(160, least=80)
    X = datasets.make_sparse_codes(9000, 10, 15, n_active=2, noise=0.01, random_state=1).X
    seen, unseen = X[: 50 * n_parts], X[8000:]
    model = SparseCoding(15, sparsity=0.3, random_state=0)
    losses = []
    for i, part in enumerate(np.split(seen, n_parts)):
        model.partial_fit(part)
        if i in (0, n_parts - 1):
            losses.append(model.loss_and_gradient(unseen - model.mean_)[0])
    whole = SparseCoding(15, sparsity=0.3, random_state=0).fit(seen)
    least = whole.loss_and_gradient(unseen - whole.mean_)[0]
    assert losses[-1] < 1.03 * least < 1.2 * least < losses[0]
    np.testing.assert_allclose(np.linalg.norm(model.components_, axis=1), 1, rtol=1e-12)


def test_a_linear_vae_takes_parts_by_adam():
    model = LinearVAE(
        2, solver="adam", noise_variance=0.1, learning_rate=0.01, batch_size=10, random_state=0
    )  # fmt: skip
    losses = [model.partial_fit(X).loss_ for _ in range(300)]
    exact = LinearVAE(2, noise_variance=0.1, tol=1e-4, random_state=0).fit(X)
    assert exact.loss_ < losses[-1] < exact.loss_ + 0.03 < losses[0]


@pytest.mark.parametrize("n_parts", [2, 7])
def test_a_linear_vae_learns_from_parts_what_it_would_from_the_whole(n_parts):
    """By L-BFGS, from mean and covariance of all that it has seen."""
    X_far = X + 100  # so that the mean matters; the parts have means of their own
    whole = LinearVAE(2, noise_variance="learned", tol=1e-9, random_state=0).fit(X_far)
    model = LinearVAE(2, noise_variance="learned", tol=1e-9, random_state=0)
    for part in np.array_split(X_far[np.argsort(X[:, 0])], n_parts):
        model.partial_fit(part)
    assert model.n_samples_seen_ == len(X) and model.n_iter_ > whole.n_iter_
    assert model.loss_ == pytest.approx(whole.loss_, rel=1e-10)
    np.testing.assert_allclose(model.reconstruct(X_far), whole.reconstruct(X_far), atol=1e-5)


@pytest.mark.parametrize("model, words", [
    (Autoencoder(solver="lbfgs"), ["solver must be 'adam' or 'sgd'", "'lbfgs'"]),
    (LinearAutoencoder(solver="adam", batch_size=8), ["batch_size must be None", "got 8"]),
])  # fmt: skip
def test_a_solver_that_parts_do_not_suit_says_so(model, words):
    before = vars(model).copy()
    with pytest.raises(ValueError) as refusal:
        model.partial_fit(X)
    assert all(word in str(refusal.value) for word in words)
    assert vars(model) == before


@every_model
def test_a_bad_part_leaves_the_model_as_it_was(name):
    if name == "linear-adam":
        return  # takes no parts
    data = X / 3  # in [0, 1]
    model = new(name)
    model.partial_fit(data)
    before = copy.deepcopy(model.__getstate__())
    for bad in (data[:, :5], np.full((3, 6), np.nan), "X", data[:0], [[1j] * 6]):
        with pytest.raises((ValueError, TypeError)):
            model.partial_fit(bad)
    assert same(model.__getstate__(), before)
    model.set_params(n_components=0)
    with pytest.raises(ValueError, match="n_components must be at least 1"):
        model.partial_fit(data)


def test_divergence_in_a_part_keeps_the_parameters_from_before_it():
    model = Autoencoder(2, batch_size=16, random_state=0).partial_fit(X)
    before = model.parameters_.copy()
    model.set_params(learning_rate=1e200)
    with pytest.raises(TrainingDiverged, match="epoch 2"):
        model.partial_fit(X)
    assert (model.parameters_ == before).all() and model.n_iter_ == 1


# --- files -------------------------------------------------------------------------------------


def in_a_file(array, path, order="C"):
    mapped = np.memmap(path, array.dtype, "w+", shape=array.shape, order=order)
    mapped[...] = array
    mapped.flush()
    return np.memmap(path, array.dtype, "r", shape=array.shape, order=order)


@every_model
@pytest.mark.parametrize(("dtype", "order"), [("f4", "C"), ("f8", "F"), ("u1", "C")])
def test_samples_in_a_file_give_the_same_bits(name, dtype, order, tmp_path):
    data = (X > 1).astype(dtype) if dtype == "u1" else (X / 3).astype(dtype)
    mapped = in_a_file(data, tmp_path / "data", order)
    in_memory, in_file = new(name).fit(data), new(name).fit(mapped)
    assert same(in_file.__getstate__(), in_memory.__getstate__())
    assert outputs(in_file, mapped).tobytes() == outputs(in_memory, data).tobytes()


@every_model
def test_a_float32_model_stays_so_with_float64_samples_in_a_file(name, tmp_path):
    model = new(name).fit((X / 3).astype(np.float32))
    mapped = in_a_file(X / 3, tmp_path / "data")
    codes = model.transform(mapped)
    assert codes.dtype == np.float32
    assert codes.tobytes() == model.transform(X / 3).tobytes()


def test_bad_values_in_a_file_are_found(tmp_path):
    data = np.zeros((200_000, 6), np.float32)
    data[190_000, 3] = np.nan
    with pytest.raises(ValueError, match="NaN or infinity, first at row 190000, column 3"):
        Autoencoder().fit(in_a_file(data, tmp_path / "data"))


LARGE = {"hidden_layer_sizes": (8,), "max_iter": 1, "random_state": 0}


@pytest.mark.parametrize(("model", "dtype", "order"), [
    (Autoencoder(2, **LARGE), "f4", "C"),
    (Autoencoder(2, **LARGE), "u1", "C"),
    (Autoencoder(2, early_stopping=True, **LARGE), "f4", "F"),
    (VAE(2, noise_variance="learned", **LARGE), "f4", "C"),
    (LinearVAE(2, tol=1e-2, random_state=0), "f4", "F"),
    (LinearAutoencoder(2, random_state=0), "f4", "F"),
    (LinearAutoencoder(2, random_state=0), "u1", "C"),
    (TiedAutoencoder(2, solver="adam", batch_size=100, max_iter=1, random_state=0), "u1", "C"),
    (SparseAutoencoder(8, max_iter=1, random_state=0), "f4", "C"),
], ids=repr)  # fmt: skip
def test_samples_in_a_file_are_never_copied_whole(model, dtype, order, tmp_path):
    n, d = 100_000, 64  # 26 MB in float32, 51 MB in float64
    part = np.random.default_rng(0).uniform(0, 20, size=(4000, d)) * np.arange(1, d + 1) / d
    mapped = np.memmap(tmp_path / "data", dtype, "w+", shape=(n, d), order=order)
    for start in range(0, n, len(part)):
        mapped[start : start + len(part)] = part
    mapped = np.memmap(tmp_path / "data", dtype, "r", shape=(n, d), order=order)
    model = copy.deepcopy(model)
    tracemalloc.start()  # counts NumPy's arrays, but no mapped file
    try:
        model.fit(mapped)
        fitted = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        codes = model.transform(mapped)
        errors = model.reconstruction_error(mapped)
        used = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # blocks of 2¹⁸ numbers, a few at a time, and an index for every sample,
    # 0.8 MB, twice; three times with rows held out
    assert fitted < 25e6
    assert used < 25e6 + codes.nbytes + errors.nbytes
    assert codes.shape[0] == len(errors) == n


WIDE = {"hidden_layer_sizes": (512,), "max_iter": 1, "random_state": 0}


@pytest.mark.parametrize("model", [
    Autoencoder(1, **WIDE), VAE(1, **WIDE), SparseAutoencoder(512, max_iter=1, random_state=0),
], ids=repr)  # fmt: skip
def test_memory_is_that_of_the_widest_layer_not_of_the_samples(model):
    """3 MB of samples of 2 numbers become 410 MB of 512, if all are sent through at once."""
    many = np.random.default_rng(0).uniform(size=(100_000, 2)) * [3.0, 0.5]
    model = copy.deepcopy(model)
    model.initialise(many)
    tracemalloc.start()
    try:
        for use in (model.reconstruct, model.reconstruction_error):
            use(many)
        if isinstance(model, VAE):
            model.elbo(many, n_samples=2), model.log_likelihood(many, n_samples=2)
        if isinstance(model, SparseAutoencoder):
            model.fit(many)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # codes of sparse models are 512 numbers a sample, and asked for
    codes = 0 if not hasattr(model, "components_") else 512 * many.itemsize * len(many)
    assert peak < 30e6 + codes


@pytest.mark.slow
def test_two_gigabytes_are_fitted_within_a_tenth_of_one(tmp_path):
    """Limited by the system: private memory of 100 MB above what the interpreter has taken."""
    n, d = 2_600_000, 200
    mapped = np.memmap(tmp_path / "data", np.float32, "w+", shape=(n, d))
    part = np.random.default_rng(0).uniform(size=(26_000, d)).astype(np.float32)
    for start in range(0, n, len(part)):
        mapped[start : start + len(part)] = part
    mapped.flush()
    del mapped
    code = f"""
import resource
from pathlib import Path
import numpy as np
from nanoae import VAE

def private(name):  # bytes; the pages of a mapped file are the system's to drop: not among them
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.split(name + ":")[1].split()[0])

X = np.memmap({str(tmp_path / "data")!r}, np.float32, "r", shape=({n}, {d}))
before, limit = private("RssAnon"), private("VmData") + 100 * 10**6
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
model = VAE(8, hidden_layer_sizes=(32,), batch_size=512, max_iter=1, random_state=0).fit(X)
print("private memory at the end, above the start, MB:", (private("RssAnon") - before) / 1e6)
assert len(model.transform(X[: {n} // 5])) == {n} // 5
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    print(done.stdout)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("sparsity", [1.0, 4.0])  # at the second, atoms lie idle
def test_a_round_of_sparse_coding_is_on_all_codes_so_far_the_older_ones_faded(sparsity):
    """Mairal's HᵀH and HᵀX, from codes that are all kept instead."""
    rng = np.random.default_rng(0)
    parts = [rng.standard_normal((6, 4)) * [2, 1, 1, 0.2] + 1 for _ in range(5)]
    model = SparseCoding(6, sparsity=sparsity, max_iter=1, random_state=0).fit(parts[0])
    atoms = model.components_.copy()
    X = parts[0] - model.mean_
    kept, n_redrawn = [(1.0, fista(X, atoms.T, sparsity, tol=1e-8), X)], 0
    for t, part in enumerate(parts[1:], start=2):
        model.partial_fit(part)
        X = part - np.mean(np.concatenate(parts[:t]), axis=0)
        H = fista(X, atoms.T, sparsity, tol=1e-8)
        penalty = sparsity * np.sum(np.abs(H), axis=1)
        loss = np.mean(np.sum((X - H @ atoms) ** 2, axis=1) + penalty)
        assert model.n_iter_ == t and model.loss_ == pytest.approx(loss, rel=1e-9)
        assert model.active_fraction_ == np.mean(H != 0)
        kept = [(weight * (1 - 1 / t) ** 2, H, X) for weight, H, X in kept] + [(1.0, H, X)]
        update_atoms(
            atoms, sum(w * H.T @ H for w, H, X in kept), sum(w * H.T @ X for w, H, X in kept)
        )
        used = np.any([np.any(H != 0, axis=0) for _, H, _ in kept], axis=0)
        redrawn = redraw_atoms(atoms, H, X, used=used)
        for _, H, _ in kept:
            H[:, redrawn] = 0  # codes on atoms that are no more
        n_redrawn += len(redrawn)
        np.testing.assert_allclose(model.components_, atoms, rtol=0, atol=1e-9)
    assert n_redrawn > 0


def test_a_part_that_is_interrupted_leaves_the_loss_of_the_parameters_that_are_kept(monkeypatch):
    X = np.random.default_rng(0).uniform(size=(30, 5))
    model = Autoencoder(
        2, learning_rate=0.03, max_iter=30, hidden_layer_sizes=(4,), batch_size=8,
        early_stopping=True, random_state=0,
    ).fit(X)  # fmt: skip
    best = np.argmin(model.history_["validation_loss"])
    assert best < model.n_iter_ - 1
    before = model.loss_

    def impatient(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(model, "loss_and_gradient", impatient)
    with pytest.warns(ConvergenceWarning, match="interrupted"):
        model.partial_fit(X)
    assert model.loss_ == before


def test_divergence_in_a_part_keeps_the_loss_too():
    X = np.random.default_rng(0).uniform(size=(50, 6)) * [3.0, 2.5, 2.0, 1.5, 1.0, 0.5]
    model = Autoencoder(2, batch_size=16, random_state=0).partial_fit(X).partial_fit(X)
    before = model.loss_
    model.set_params(learning_rate=1e200)
    with pytest.raises(TrainingDiverged, match="epoch 3"):
        model.partial_fit(X)
    assert model.loss_ == before == model.history_["loss"][-1] < model.history_["loss"][0]
