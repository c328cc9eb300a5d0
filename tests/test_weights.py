"""Weights of samples, a validation set of one's own, and errors feature by feature."""

from __future__ import annotations

import re
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanoae import (
    VAE,
    Autoencoder,
    ContractiveAutoencoder,
    LearnedISTA,
    LinearAutoencoder,
    LinearVAE,
    SparseAutoencoder,
    SparseCoding,
    TiedAutoencoder,
    datasets,
    gradient_check,
    load,
    theory,
)
from nanoae.arrays import Moments
from nanoae.exceptions import ConvergenceWarning

SMALL = {"hidden_layer_sizes": (3,), "activation": "tanh"}
DICTIONARY = np.eye(4)[:, :3]
# one of each loss and of each penalty
LOSSES_OF_MODELS = {
    "linear": LinearAutoencoder(2, weight_decay=0.1),
    "tied": TiedAutoencoder(2, weight_decay=0.1),
    "autoencoder": Autoencoder(2, weight_decay=0.1, **SMALL),
    "bernoulli": Autoencoder(2, loss="bernoulli", **SMALL),
    "l1": SparseAutoencoder(5, sparsity=0.1),
    "kl": SparseAutoencoder(3, penalty="kl", sparsity=0.2),
    "lista": LearnedISTA(3, dictionary=DICTIONARY, sparsity=0.1, n_steps=2),
    "vae": VAE(2, beta=0.7, weight_decay=0.1, **SMALL),
    "vae, learned noise": VAE(2, noise_variance="learned", **SMALL),
    "vae, bernoulli": VAE(2, likelihood="bernoulli", **SMALL),
    "linear vae": LinearVAE(2, beta=0.3, noise_variance="learned"),
    "contractive": ContractiveAutoencoder(2, **SMALL),
    "contractive, one layer": ContractiveAutoencoder(
        3, hidden_layer_sizes=(), code_activation="sigmoid", decoder="unit-norm"
    ),
    "contractive, deep": ContractiveAutoencoder(2, hidden_layer_sizes=(4, 3), loss="bernoulli"),
}
# full batches: what is trained is a deterministic function of the loss
TRAININGS = {
    "autoencoder": Autoencoder(2, batch_size=1000, max_iter=20, **SMALL),
    "autoencoder, sgd": Autoencoder(2, batch_size=1000, max_iter=20, solver="sgd", **SMALL),
    "autoencoder, lbfgs": Autoencoder(2, solver="lbfgs", max_iter=20, **SMALL),
    "bernoulli": Autoencoder(2, loss="bernoulli", batch_size=1000, max_iter=20, **SMALL),
    "l1": SparseAutoencoder(5, sparsity=0.1, batch_size=1000, max_iter=20),
    "kl": SparseAutoencoder(3, penalty="kl", sparsity=0.2, batch_size=1000, max_iter=20),
    "linear vae, adam": LinearVAE(2, solver="adam", batch_size=1000, max_iter=20),
    "linear, adam": LinearAutoencoder(2, solver="adam", max_iter=20),
    "linear, sgd in a batch": LinearAutoencoder(2, solver="sgd", batch_size=1000, max_iter=20),
    "tied, sgd": TiedAutoencoder(2, solver="sgd", max_iter=20),
}
SOLVERS = {
    "lbfgs": LinearAutoencoder(2),
    "alternating": LinearAutoencoder(2, solver="alternating"),
    "tied": TiedAutoencoder(2),
    "linear vae": LinearVAE(2, noise_variance=0.01),
    "linear vae, learned noise": LinearVAE(2, noise_variance="learned"),
}
NO_EARLY_STOPPING = "X_validation must be None: [A-Za-z]+ does not stop early with this solver"
SEEDS = st.integers(0, 2**32 - 1)


class Copies:
    """A generator whose noise is the same for all copies of a row."""

    def __init__(self, seed, n, copies):
        self.noise, self.n, self.copies = np.random.default_rng(seed), n, copies

    def standard_normal(self, shape, dtype):
        return self.noise.standard_normal((self.n, *shape[1:]), dtype).repeat(self.copies, axis=0)


def samples(seed, n=12):
    """Rows of four features in [0, 1], of sizes that tell their principal axes apart."""
    rng = np.random.default_rng(seed)
    return 0.5 + (rng.random((n, 4)) - 0.5) * [1.0, 0.7, 0.4, 0.2], rng


def fresh(model, **changes):
    return type(model)(**{**model.get_params(), "random_state": 0, **changes})


def fitted(model, X, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # 20 epochs are few
        return fresh(model).fit(X, **options)


def integer_weights(rng, n):
    """Some of them 0, two at least not."""
    w = rng.integers(0, 5, n)
    w[:2] = 1, 2
    return rng.permutation(w)


def of_mean_one(w):
    return w / w.mean()


def at_a_point(model, X, theta_seed):
    """The model at the point of a seed: for all data the same."""
    model = fresh(model)
    model.initialise(X)
    model.parameters_[...] += 0.1 * np.random.default_rng(theta_seed).random(
        model.parameters_.shape
    )
    return model


# --- the loss ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LOSSES_OF_MODELS)
@given(seed=SEEDS)
@settings(max_examples=20)
def test_weighted_loss_and_gradient_are_those_of_repeated_rows(name, seed):
    X, rng = samples(seed)
    w = integer_weights(rng, len(X))
    model = at_a_point(LOSSES_OF_MODELS[name], X, seed)
    loss, gradient = model.loss_and_gradient(X.repeat(w, axis=0), Copies(seed, len(X), w), None)
    gradient = gradient.copy()
    weighted, its_gradient = model.loss_and_gradient(X, Copies(seed, len(X), 1), of_mean_one(w))
    # sums of some fifty terms of size 1, in another order
    assert weighted == pytest.approx(loss, rel=1e-13)
    assert np.abs(its_gradient - gradient).max() < 1e-13 * max(1, np.abs(gradient).max())


@pytest.mark.parametrize("name", LOSSES_OF_MODELS)
def test_the_gradient_of_the_weighted_loss_is_right(name, monkeypatch):
    X, rng = samples(1, 6)
    w = of_mean_one(rng.uniform(0.1, 3, len(X)))
    model = fresh(LOSSES_OF_MODELS[name])
    plain = model.loss_and_gradient
    monkeypatch.setattr(model, "loss_and_gradient", lambda X, rng: plain(X, rng, w))
    assert gradient_check(model, X).error < 1e-7


@pytest.mark.parametrize("name", [n for n in LOSSES_OF_MODELS if n != "kl"])
@given(seed=SEEDS, batch_size=st.integers(1, 5))
@settings(max_examples=10)
def test_loss_and_gradient_of_batches_are_those_of_all_samples_on_average(name, seed, batch_size):
    """With weights whose mean is 1 over all samples, and not over each batch.

    The KL of "kl" is none of means over samples: without weights it is no such average, either.
    """
    X, rng = samples(seed, 5 * batch_size)
    w = of_mean_one(rng.exponential(size=len(X)))
    noise = np.random.default_rng(seed).standard_normal((len(X), 2))
    model = at_a_point(LOSSES_OF_MODELS[name], X, seed)

    def at(rows):
        class Noise:
            def standard_normal(self, shape, dtype):
                return noise[rows]

        loss, gradient = model.loss_and_gradient(X[rows], Noise(), w[rows])
        return np.append(gradient, loss)

    parts = rng.permutation(len(X)).reshape(5, batch_size)
    mean = np.mean([at(rows) for rows in parts], axis=0)
    assert np.allclose(mean, at(np.arange(len(X))), rtol=1e-12, atol=1e-13)


def test_kl_takes_a_mean_activation_below_one_whatever_the_batch():
    """Weights of the mean 3 in a batch: with them as they are, ρ̂ could be above 1."""
    X, _ = samples(0)
    model = at_a_point(LOSSES_OF_MODELS["kl"], X, 0)
    model.encoder_.layers[0].bias[...] = 3.0
    loss = model.loss_and_gradient(X, None, np.full(len(X), 3.0))[0]
    error = model.decoder_(model.encoder_(X)) - X
    unweighted = model.loss_and_gradient(X)[0]
    assert loss == pytest.approx(unweighted + 2 * np.sum(error**2) / len(X), rel=1e-12)


@given(seed=SEEDS)
@settings(max_examples=20)
def test_the_loss_of_an_epoch_in_batches_is_the_weighted_mean(seed):
    """In steps too small to change a parameter."""
    X, rng = samples(seed, 23)
    w = rng.exponential(size=len(X))
    model = Autoencoder(
        2, batch_size=5, max_iter=1, solver="sgd", learning_rate=1e-200, random_state=0, **SMALL
    )
    model = fitted(model, X, sample_weight=w)
    exact = np.average(model.reconstruction_error(X), weights=w)
    assert model.history_["loss"][0] == pytest.approx(exact, rel=1e-12)


@given(seed=SEEDS)
@settings(max_examples=20)
def test_rows_held_out_keep_their_weights(seed):
    X, rng = samples(seed, 20)
    w = rng.exponential(size=len(X))
    model = fitted(
        Autoencoder(
            2, early_stopping=True, validation_fraction=0.4, batch_size=3, max_iter=1,
            solver="sgd", learning_rate=1e-200, **SMALL,
        ),
        X, sample_weight=w,
    )  # fmt: skip
    error = model.reconstruction_error(X)
    # a generator that has drawn the initial weights next draws which rows to hold out
    rng = np.random.default_rng(0)
    fresh(model, random_state=rng).initialise(X)
    order = rng.permutation(20)
    for name, rows in (("validation_loss", order[:8]), ("loss", order[8:])):
        exact = np.average(error[rows], weights=w[rows])
        assert model.history_[name][0] == pytest.approx(exact, rel=1e-12)


# --- training ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TRAININGS)
@given(seed=SEEDS)
@settings(max_examples=8)
def test_full_batch_training_takes_the_path_of_repeated_rows(name, seed):
    X, rng = samples(seed)
    w = integer_weights(rng, len(X))
    one = fitted(TRAININGS[name], X, sample_weight=w)
    other = fitted(TRAININGS[name], X.repeat(w, axis=0))
    # roundings of 1e-16 a step; L-BFGS and Adam, near a gradient of 0, make more of them
    assert np.allclose(one.history_["loss"], other.history_["loss"], rtol=1e-7, atol=1e-9)
    assert np.allclose(one.parameters_, other.parameters_, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", SOLVERS)
@given(seed=SEEDS)
@settings(max_examples=8)
def test_the_optimum_is_that_of_repeated_rows(name, seed):
    X, rng = samples(seed, 30)
    w = integer_weights(rng, len(X))
    one = fitted(SOLVERS[name], X, sample_weight=w)
    other = fitted(SOLVERS[name], X.repeat(w, axis=0))
    assert one.loss_ == pytest.approx(other.loss_, rel=1e-10, abs=1e-10)
    assert np.allclose(one.reconstruct(X), other.reconstruct(X), atol=1e-6)
    assert one.n_samples_seen_ == np.count_nonzero(w)


@given(seed=SEEDS)
@settings(max_examples=20)
def test_the_linear_autoencoder_finds_the_weighted_pca(seed):
    X, rng = samples(seed, 30)
    w = rng.exponential(size=len(X))
    model = fitted(LinearAutoencoder(2), X, sample_weight=w)
    mean = np.average(X, axis=0, weights=w)
    covariance = (X - mean).T @ ((X - mean) * (w / w.sum())[:, None])
    eigenvalues, V = np.linalg.eigh(covariance)
    assert np.allclose(model.mean_, mean, rtol=1e-13)
    assert model.loss_ == pytest.approx(eigenvalues[:2].sum(), rel=1e-10)
    assert theory.largest_principal_angle(model.decoder_weight_, V[:, 2:]) < 1e-4


EVERY_MODEL = {
    **TRAININGS,
    **SOLVERS,
    "vae": VAE(2, batch_size=4, max_iter=3, **SMALL),
    "early stopping": Autoencoder(2, early_stopping=True, batch_size=4, max_iter=3, **SMALL),
}


@pytest.mark.parametrize("name", EVERY_MODEL)
def test_a_weight_of_zero_is_a_row_left_out_to_the_last_bit(name):
    X, rng = samples(3, 20)
    w = rng.exponential(size=len(X))
    w[rng.permutation(20)[:7]] = 0
    one = fitted(EVERY_MODEL[name], X, sample_weight=w)
    other = fitted(EVERY_MODEL[name], X[w > 0], sample_weight=w[w > 0])
    assert np.array_equal(one.parameters_, other.parameters_)
    assert one.n_samples_seen_ == other.n_samples_seen_ == 13


@pytest.mark.parametrize("name", EVERY_MODEL)
@pytest.mark.parametrize("scale", [2.0**-600, 0.25, 2.0**600])
def test_only_how_weights_compare_counts(name, scale):
    X, rng = samples(4, 20)
    w = rng.exponential(size=len(X))
    one = fitted(EVERY_MODEL[name], X, sample_weight=w)
    other = fitted(EVERY_MODEL[name], X, sample_weight=w * scale)
    assert np.array_equal(one.parameters_, other.parameters_)  # powers of 4 round nothing


@given(seed=SEEDS, scale=st.floats(1e-9, 1e9))
@settings(max_examples=20)
def test_any_other_scale_changes_roundings_alone(seed, scale):
    X, rng = samples(seed, 20)
    w = rng.exponential(size=len(X))
    for name in ("l1", "alternating"):
        one = fitted(EVERY_MODEL[name], X, sample_weight=w)
        other = fitted(EVERY_MODEL[name], X, sample_weight=w * scale)
        assert one.loss_ == pytest.approx(other.loss_, rel=1e-10)


@pytest.mark.parametrize("name", EVERY_MODEL)
def test_weights_that_are_all_alike_are_none(name):
    X, _ = samples(5, 20)
    one, other = (fitted(EVERY_MODEL[name], X, sample_weight=w) for w in (None, np.full(20, 1.0)))
    assert np.allclose(one.history_["loss"], other.history_["loss"], rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize(
    "name",
    ["autoencoder", "autoencoder, lbfgs", "l1", "kl", "linear, sgd in a batch", "early stopping"],
)
def test_float32_stays_float32(name, monkeypatch):
    X, rng = samples(6, 20)
    model, dtypes = fresh(EVERY_MODEL[name]), set()
    right = model.loss_and_gradient

    def spy(X, rng=None, weights=None):
        dtypes.add(weights.dtype)
        return right(X, rng, weights)

    monkeypatch.setattr(model, "loss_and_gradient", spy)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(X.astype(np.float32), sample_weight=rng.random(20) + 0.1)
    assert dtypes == {np.dtype(np.float32)} == {model.parameters_.dtype}


@given(seed=SEEDS)
@settings(max_examples=30)
def test_active_fraction_is_weighted(seed):
    X, rng = samples(seed)
    w = integer_weights(rng, len(X))
    for name in ("l1", "kl"):
        model = fitted(TRAININGS[name], X, sample_weight=w)
        h = model.transform(X)
        active = np.average((h != 0 if name == "l1" else h).mean(axis=1), weights=w)
        assert model.active_fraction_ == pytest.approx(active, rel=1e-12)


@given(seed=SEEDS, cut=st.integers(1, 11))
@settings(max_examples=30)
def test_moments_of_weighted_parts_are_those_of_repeated_rows(seed, cut):
    X, rng = samples(seed)
    w = rng.integers(1, 5, len(X)).astype(float)
    parts, whole = (Moments.of_nothing(4, with_factor=True) for _ in range(2))
    parts.add(X[:cut], w[:cut])
    parts.add(X[cut:], w[cut:])
    whole.add(X.repeat(w.astype(int), axis=0))
    assert (parts.n, parts.weight) == (12, whole.weight)
    assert np.allclose(parts.mean, whole.mean, rtol=1e-13)
    assert parts.variance == pytest.approx(whole.variance, rel=1e-12)
    R, S = parts.few_rows, whole.few_rows
    assert np.allclose(R.T @ R / len(R), S.T @ S / len(S), rtol=1e-11, atol=1e-14)


def test_each_block_of_rows_has_its_own_weights():
    """Rows so wide that two of them are a block."""
    rng = np.random.default_rng(0)
    X, w = rng.random((5, 2**17)), np.array([3, 1, 1, 2, 4])
    moments = Moments.of_nothing(X.shape[1])
    moments.add(X, w)
    assert np.allclose(moments.mean, np.average(X, axis=0, weights=w), rtol=1e-13)
    scatter = w @ np.sum((X - moments.mean) ** 2, axis=1)
    assert moments.scatter == pytest.approx(scatter, rel=1e-12) and moments.weight == 11
    model = fitted(SparseAutoencoder(2, penalty="kl", max_iter=1), X, sample_weight=w)
    active = np.average(model.transform(X).mean(axis=1), weights=w)
    assert model.active_fraction_ == pytest.approx(active, rel=1e-12)


@pytest.mark.parametrize("scale", [2.0**-1000, 2.0**1000])
def test_products_of_weights_neither_overflow_nor_vanish(scale):
    X, rng = samples(9, 20)
    w = rng.random(20) + 0.1
    one, other = (Moments.of_nothing(4, with_factor=True) for _ in range(2))
    for rows in (slice(12), slice(12, 20)):
        one.add(X[rows], w[rows])
        other.add(X[rows], w[rows] * scale)
    assert np.array_equal(one.mean, other.mean) and one.variance == other.variance
    assert np.array_equal(one.few_rows, other.few_rows)


def test_parts_of_a_stream_are_compared_with_each_other():
    X, rng = samples(7, 30)
    w = integer_weights(rng, 30) + 1
    stream = LinearVAE(2, noise_variance=0.01, random_state=0).fit(X[:10], sample_weight=w[:10])
    stream.partial_fit(X[10:20], sample_weight=w[10:20]).partial_fit(X[20:].repeat(w[20:], 0))
    whole = LinearVAE(2, noise_variance=0.01, random_state=0).fit(X, sample_weight=w)
    assert stream.loss_ == pytest.approx(whole.loss_, rel=1e-10)


def test_the_pass_of_a_deep_model_over_a_part_is_weighted():
    X, rng = samples(8, 20)
    w = integer_weights(rng, 20)
    one, other = (fitted(TRAININGS["autoencoder"], X) for _ in range(2))
    one.partial_fit(X, sample_weight=w)
    other.partial_fit(X.repeat(w, axis=0))
    assert np.allclose(one.parameters_, other.parameters_, atol=1e-12)
    assert not np.allclose(
        one.parameters_, fitted(TRAININGS["autoencoder"], X).partial_fit(X).parameters_, atol=1e-6
    )


def test_fit_transform_takes_them_too():
    X, rng = samples(9, 20)
    w = rng.random(20)
    codes = LinearAutoencoder(2, random_state=0).fit_transform(X, sample_weight=w)
    model = LinearAutoencoder(2, random_state=0).fit(X, sample_weight=w)
    assert np.array_equal(codes, model.transform(X))


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.ones(19), "must have one value a sample, the shape (20,); got the shape (19,)."),
        (np.ones((20, 1)), "must have one value a sample, the shape (20,); got the shape (20, 1)"),
        (2.0, "must have one value a sample, the shape (20,); got the shape ()."),
        ([np.nan] + [1.0] * 19, "must be finite, its sum too; got values from nan to nan."),
        ([np.inf] + [1.0] * 19, "must be finite, its sum too; got values from 1 to inf."),
        ([1e308] * 20, "must be finite, its sum too; got values from 1e+308 to 1e+308."),
        ([1.0, -0.5] + [1.0] * 18, "must not be negative; got -0.5 at row 1."),
        ([0.0] * 20, "must not be zero for all samples."),
        ([1.0] + [0] * 19, "is zero for all but 1 sample(s); Autoencoder needs at least 2."),
        (["a"] * 20, "must hold real numbers; got an array of <U1."),
        ([1j] * 20, "must hold real numbers; got an array of complex128."),
        ([object()] * 20, "must hold real numbers: "),
    ],
)
def test_weights_that_cannot_be(weights, message):
    X, _ = samples(0, 20)
    model = Autoencoder(2, random_state=0)
    for fit in (model.fit, model.partial_fit):
        with pytest.raises(ValueError, match=re.escape(f"sample_weight {message}")) as error:
            fit(X, sample_weight=weights)
        assert "\n" not in str(error.value) and not hasattr(model, "parameters_")


def test_models_that_take_none_say_so():
    X, _ = samples(0, 20)

    class Own(Autoencoder):
        def loss_and_gradient(self, X, rng=None):
            return super().loss_and_gradient(X, rng)

    for model in (SparseCoding(2), Own(2, max_iter=1)):
        with pytest.raises(ValueError, match=r"sample_weight must be None: (SparseCoding|Own) "):
            model.fit(X, sample_weight=np.ones(20))
    assert fitted(Own(2, max_iter=1), X).n_iter_ == 1


# --- a validation set ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "model",
    [
        Autoencoder(2, batch_size=4, max_iter=30, learning_rate=0.1, **SMALL),
        VAE(2, batch_size=4, max_iter=10, learning_rate=0.1, **SMALL),
        SparseAutoencoder(3, batch_size=4, max_iter=10, learning_rate=0.1),
        LinearVAE(2, solver="adam", batch_size=4, max_iter=10, learning_rate=0.1),
    ],
    ids=lambda model: type(model).__name__,
)
def test_the_best_epoch_on_a_validation_set_is_kept(model):
    X, rng = samples(10, 20)
    unseen = rng.random((9, 4))
    result = fitted(model, X, X_validation=unseen)
    curve = result.history_["validation_loss"]
    best = int(np.argmin(curve))
    assert len(curve) == result.n_iter_ and best + 1 < len(curve)  # the last one is another
    assert result.loss_ == result.history_["loss"][best]
    # it is all of the data that are trained on, for as many epochs as were best
    again = fitted(fresh(model, max_iter=best + 1), X, X_validation=unseen)
    assert np.array_equal(again.parameters_, result.parameters_)
    if type(model) is Autoencoder:
        error = result.reconstruction_error(unseen)
        assert curve[best] == pytest.approx(error.mean(), rel=1e-12)


def test_with_a_validation_set_no_rows_are_held_out():
    X, rng = samples(11, 20)
    unseen = rng.random((9, 4))
    models = [
        fitted(
            Autoencoder(2, early_stopping=stopping, max_iter=3, **SMALL), X, X_validation=unseen
        )
        for stopping in (False, True)
    ]
    assert np.array_equal(models[0].parameters_, models[1].parameters_)


def test_it_stops_when_nothing_more_is_gained_on_the_validation_set():
    X, _ = samples(12, 20)
    model = Autoencoder(2, batch_size=1, max_iter=500, learning_rate=0.05, tol=0.0, **SMALL)
    model = fitted(model, X, X_validation=-X)  # where what is learned does not help
    assert np.argmin(model.history_["validation_loss"]) == model.n_iter_ - 11 < 400
    assert np.argmin(model.history_["loss"]) > model.n_iter_ - 11


@pytest.mark.parametrize(
    ("model", "unseen", "message"),
    [
        (Autoencoder(2), np.ones((3, 5)), "X_validation has 5 features, but Autoencoder is"),
        (Autoencoder(2), np.ones(4), "X_validation must be 2-D"),
        (Autoencoder(2), np.full((3, 4), np.nan), "X_validation contains NaN or infinity"),
        (Autoencoder(2, loss="bernoulli"), np.full((3, 4), 2.0), r"X_validation must lie in \[0"),
        (VAE(2, likelihood="bernoulli"), np.full((3, 4), 2.0), r"X_validation must lie in \[0"),
        (Autoencoder(2, solver="lbfgs"), np.ones((3, 4)), NO_EARLY_STOPPING),
        (LinearAutoencoder(2), np.ones((3, 4)), NO_EARLY_STOPPING),
        (TiedAutoencoder(2, solver="sgd"), np.ones((3, 4)), NO_EARLY_STOPPING),
        (LinearVAE(2), np.ones((3, 4)), NO_EARLY_STOPPING),
        (SparseCoding(2), np.ones((3, 4)), NO_EARLY_STOPPING),
    ],
)
def test_validation_sets_that_cannot_be(model, unseen, message):
    X, _ = samples(0, 20)
    model = fresh(model)
    with pytest.raises(ValueError, match=message):
        model.fit(X, X_validation=unseen)
    assert not hasattr(model, "parameters_")


# --- checkpoints and files -----------------------------------------------------------------


class Killed(BaseException):
    """An end that no handler sees coming."""


def interrupted(model, X, after, monkeypatch, **options):
    """Train until the loss has been asked for so often, as a machine that goes down would."""
    calls, right = 0, model.loss_and_gradient

    def impatient(*args, **kwargs):
        nonlocal calls
        calls += 1
        if calls > after:
            raise Killed
        return right(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(type(model), "loss_and_gradient", _with_weights(impatient))
        with pytest.raises(Killed):
            model.fit(X, checkpoint_every=1, **options)


def _with_weights(function):
    def loss_and_gradient(self, X, rng=None, weights=None):
        return function(X, rng) if weights is None else function(X, rng, weights)

    return loss_and_gradient


def test_a_run_with_both_goes_on_to_the_same_bits(tmp_path, monkeypatch):
    X, rng = samples(13, 20)
    options = {"sample_weight": integer_weights(rng, 20), "X_validation": rng.random((9, 4))}
    model = VAE(2, batch_size=4, max_iter=6, **SMALL)
    file = tmp_path / "run.npz"
    interrupted(fresh(model), X, 20, monkeypatch, checkpoint=file, **options)
    assert 0 < load(file).n_iter_ < 6
    resumed = fitted(model, X, checkpoint=file, **options)
    assert np.array_equal(resumed.parameters_, fitted(model, X, **options).parameters_)


@pytest.mark.parametrize("name", ["sample_weight", "X_validation"])
def test_a_run_taken_up_with_others_is_refused(tmp_path, name):
    X, rng = samples(14, 20)
    model, file = Autoencoder(2, max_iter=2, **SMALL), tmp_path / "run.npz"
    values = [None, rng.random((20, 4)), rng.random((20, 4))]
    if name == "sample_weight":
        values = [None, *rng.random((2, 20))]
    for first, then in ((0, 1), (1, 0), (1, 2)):
        file.unlink(missing_ok=True)
        fitted(model, X, checkpoint=file, **{name: values[first]})
        fitted(model, X, checkpoint=file, **{name: values[first]})  # the same is not
        with pytest.raises(ValueError, match=f"belongs to another training, in which {name} was"):
            fitted(model, X, checkpoint=file, **{name: values[then]})


def test_a_file_from_before_there_were_weights(tmp_path):
    X, _ = samples(15, 20)
    model = LinearAutoencoder(2, random_state=0).fit(X[:10])
    state = model.__getstate__()
    del state["_moments"]["weight"]
    old = LinearAutoencoder._from_tree(state)
    assert np.array_equal(old.partial_fit(X[10:]).mean_, model.partial_fit(X[10:]).mean_)
    model.save(tmp_path / "new.npz")
    assert load(tmp_path / "new.npz")._moments.weight == 20.0


# --- errors feature by feature -------------------------------------------------------------


@pytest.mark.parametrize(
    "model",
    [
        LinearAutoencoder(2),
        Autoencoder(2, max_iter=2, **SMALL),
        Autoencoder(2, loss="bernoulli", max_iter=2, **SMALL),
        SparseAutoencoder(3, max_iter=2),
        SparseCoding(3, max_iter=2),
        VAE(2, max_iter=2, **SMALL),
        VAE(2, likelihood="bernoulli", max_iter=2, **SMALL),
        LinearVAE(2, noise_variance=0.01),
    ],
    ids=repr,
)
def test_errors_of_features_sum_to_those_of_samples(model):
    X, _ = samples(16, 20)
    model = fitted(model, X)
    error = model.reconstruction_error(X, per_feature=True)
    assert error.shape == (20, 4) and error.dtype == np.float64
    assert np.allclose(error.sum(axis=1), model.reconstruction_error(X), rtol=1e-14)
    x_hat = model.reconstruct(X)
    expected = (X - x_hat) ** 2
    if "bernoulli" in repr(model):
        expected = -(X * np.log(x_hat) + (1 - X) * np.log(1 - x_hat))
    assert np.allclose(error, expected, rtol=1e-9, atol=1e-12)


def test_the_feature_that_is_wrong_stands_out():
    X = datasets.make_gaussian(200, [4.0, 1.0, 0.1, 0.1], random_state=0)
    model = LinearAutoencoder(2, random_state=0).fit(X)
    strange = X[:1].copy()
    strange[0] += 5 * theory.linear_autoencoder_optimum(X, 4)[1][:, 3]
    error = model.reconstruction_error(strange, per_feature=True)
    assert error.sum() == pytest.approx(model.reconstruction_error(strange)[0]) and error.max() > 5
    with pytest.raises(TypeError, match="per_feature must be True or False; got 1"):
        model.reconstruction_error(X, per_feature=1)
