"""The manners of all models: what a user of any of them may rely on."""

import copy
import inspect
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from nanoae import (
    VAE,
    AdversarialAutoencoder,
    Autoencoder,
    ContractiveAutoencoder,
    LinearAutoencoder,
    LinearVAE,
    MaskedAutoencoder,
    SparseAutoencoder,
    SparseCoding,
    TiedAutoencoder,
)

N, D, K = 30, 5, 2
X = np.random.default_rng(0).uniform(size=(N, D))  # in [0, 1], for the Bernoulli likelihood
SMALL = {"batch_size": 8, "max_iter": 3, "random_state": 0}
MODELS = {
    "linear": LinearAutoencoder(K, random_state=0),
    "linear-alternating": LinearAutoencoder(K, solver="alternating", random_state=0),
    "linear-adam": LinearAutoencoder(K, solver="adam", **SMALL),
    "tied": TiedAutoencoder(K, random_state=0),
    # learns so fast that its first epoch is its best on the rows held out
    "mlp": Autoencoder(
        K, hidden_layer_sizes=(4,), early_stopping=True, learning_rate=2.0, **SMALL
    ),
    "mlp-bernoulli": Autoencoder(K, hidden_layer_sizes=[4, 3], loss="bernoulli", **SMALL),
    "vae": VAE(K, hidden_layer_sizes=(4,), beta=0.5, **SMALL),
    "vae-bernoulli": VAE(K, hidden_layer_sizes=(4,), likelihood="bernoulli", **SMALL),
    "vae-learned": VAE(K, hidden_layer_sizes=(4,), noise_variance="learned", **SMALL),
    "vae-linear": LinearVAE(K, noise_variance=0.02, tol=1e-4, random_state=0),
    "vae-linear-learned": LinearVAE(
        K, noise_variance="learned", tol=1e-4, random_state=0
    ),
    "contractive": ContractiveAutoencoder(
        K, hidden_layer_sizes=(4,), activation="relu", n_probes=1, **SMALL
    ),
    "sparse": SparseAutoencoder(K, **SMALL),
    "sparse-unrolled": SparseAutoencoder(K, n_steps=3, **SMALL),
    "sparse-kl": SparseAutoencoder(K, penalty="kl", **SMALL),
    "sparse-coding": SparseCoding(K, sparsity=0.1, random_state=0),
    "adversarial": AdversarialAutoencoder(K, hidden_layer_sizes=(4,), discriminator=(5,), **SMALL),
}  # fmt: skip
VAES = [name for name in MODELS if name.startswith("vae")]
DENSE = [name for name in MODELS if not name.startswith("sparse")]  # of dense layers alone
SOLVED = ["linear", "linear-alternating", "tied", "vae-linear", "vae-linear-learned"]
every_model = pytest.mark.parametrize("name", MODELS)
every_vae = pytest.mark.parametrize("name", VAES)


def new(name, **params):
    """An unfitted model of one's own."""
    model = MODELS[name]
    return type(model)(**{**model.get_params(), **params})


def outputs(model, X=X):
    """All that a fitted model says of samples, as one flat vector."""
    codes = model.transform(X)
    parts = [codes, model.inverse_transform(codes), model.reconstruct(X)]
    parts += [model.reconstruction_error(X), model.score(X)]
    if hasattr(model, "encode"):
        parts += [*model.encode(X), model.sample(3), model.elbo(X), *model.rate_distortion(X)]
    return np.concatenate([np.ravel(part) for part in parts])


# --- hyper-parameters ------------------------------------------------------------------------


@every_model
def test_constructor_arguments_are_stored_untouched_and_survive_fit(name):
    params = MODELS[name].get_params()
    model = type(MODELS[name])(**params)
    assert list(params) == list(inspect.signature(type(model)).parameters)
    for _ in range(2):  # before and after fit
        assert all(getattr(model, key) is value for key, value in params.items())
        model.fit(X)
    fitted = {key for key in vars(model) if not key.startswith("_")} - params.keys()
    assert fitted and all(key.endswith("_") for key in fitted)


@every_model
def test_set_params_changes_what_get_params_tells(name):
    model = new(name)
    assert model.set_params(n_components=3, random_state=7) is model
    expected = {**MODELS[name].get_params(), "n_components": 3, "random_state": 7}
    assert model.get_params() == model.get_params(deep=False) == expected


@every_model
def test_repr_is_the_call_that_makes_the_model(name):
    model = MODELS[name]
    again = eval(repr(model))
    assert type(again) is type(model) and again.get_params() == model.get_params()
    assert repr(type(model)()) == f"{type(model).__name__}()"


TRAINED = dict(
    solver="adam", learning_rate=1e-3, momentum=0.9, batch_size=128, max_iter=None, tol=None,
    n_iter_no_change=10, early_stopping=False, validation_fraction=0.1, random_state=None,
    verbose=False, weight_decay=0.0,
)  # fmt: skip
OF_NETWORKS = {
    **TRAINED,
    **dict(
        n_components=2, corruption=None, hidden_layer_sizes=(64,), activation="relu", dropout=0.0,
        architecture=None,
    ),
}  # fmt: skip
IN_FULL = {
    Autoencoder: {**OF_NETWORKS, "loss": "squared_error"},
    VAE: {
        **OF_NETWORKS,
        **dict(likelihood="gaussian", noise_variance=1.0, beta=1.0, beta_warmup=0),
    },
    ContractiveAutoencoder: {
        **OF_NETWORKS,
        **dict(
            activation="tanh", contraction=0.1, decoder="tied", code_activation="identity",
            n_probes=None, loss="squared_error",
        ),
    },
    AdversarialAutoencoder: {
        **OF_NETWORKS,
        **dict(
            learning_rate=2e-3, n_iter_no_change=None, loss="squared_error", prior="normal",
            match="non_saturating", match_weight=1.0, discriminator=(64, 64),
            gradient_penalty=0.1, instance_noise=0.0, discriminator_learning_rate=None,
        ),
    },
    MaskedAutoencoder: {
        **TRAINED,
        **dict(
            shape=None, patch_size=1, mask_ratio=0.5, n_channels=1, width=64, n_blocks=2,
            decoder_width=32, n_decoder_blocks=1, n_heads=4, pooling="mean",
        ),
    },
}  # fmt: skip


@pytest.mark.parametrize("kind", IN_FULL)
def test_what_a_printed_model_leaves_out_is_what_it_was(kind):
    """Calls in scripts, and models in notes, name what differs from the defaults alone."""
    assert eval(f"{kind.__name__}()").get_params() == IN_FULL[kind]


@pytest.mark.parametrize(
    "model",
    [*MODELS.values(), MaskedAutoencoder(width=4, decoder_width=4, max_iter=1, random_state=0)],
    ids=repr,
)
def test_what_is_built_from_hyper_parameters_is_in_no_copy_and_no_file(model):
    model, built = copy.deepcopy(model).fit(X), set()

    class Watched(type(model)):
        def __setattr__(self, name, value):
            built.add(name)
            super().__setattr__(name, value)

    twin = object.__new__(Watched)
    vars(twin).update(vars(model))
    twin._build(D, np.float64)
    built -= {"sparsity_"}  # which says what was trained with
    assert built & model.__getstate__().keys() == {"_parameters"}


@every_model
def test_hyper_parameters_of_a_fitted_model_wait_for_the_next_fit(name):
    model = new(name).fit(X)
    before, error = outputs(model), model.reconstruction_error(X)
    model.set_params(n_components=1)
    if hasattr(model, "hidden_layer_sizes"):
        model.set_params(hidden_layer_sizes=(7,))
    np.testing.assert_array_equal(model.reconstruction_error(X), error)
    again = pickle.loads(pickle.dumps(model))
    assert again.get_params() == model.get_params()
    np.testing.assert_array_equal(outputs(again.set_params(**new(name).get_params())), before)
    assert model.fit(X).transform(X).shape == (N, 1)


# --- fit --------------------------------------------------------------------------------------


@every_model
def test_fit_returns_self_changes_no_data_and_counts_what_it_did(name):
    model, data = new(name), X.copy()
    assert model.fit(data) is model
    np.testing.assert_array_equal(data, X)
    assert model.n_features_in_ == D
    curves = {"loss", "validation_loss"} if getattr(model, "early_stopping", 0) else {"loss"}
    if name == "adversarial":
        curves |= {"reconstruction", "match", "discriminator"}
    assert model.history_.keys() == curves
    for curve in model.history_.values():
        assert curve.shape == (model.n_iter_,) and np.isfinite(curve).all()
    kept = np.argmin(model.history_["validation_loss"]) if "validation_loss" in curves else -1
    assert model.loss_ == model.history_["loss"][kept]
    if getattr(model, "max_iter", None) == 3:
        assert model.n_iter_ == 3


@every_model
def test_fit_transform_is_fit_then_transform(name):
    np.testing.assert_array_equal(new(name).fit_transform(X), new(name).fit(X).transform(X))


@every_model
def test_the_seed_decides_every_bit(name):
    model = new(name).fit(X)
    first = model.parameters_.copy()
    np.testing.assert_array_equal(model.fit(X).parameters_, first)  # the same object again
    np.testing.assert_array_equal(new(name).fit(X, y=np.ones(N)).parameters_, first)
    for other in (1, None):
        assert np.any(new(name, random_state=other).fit(X).parameters_ != first)


@every_model
def test_generator_is_used_up_as_it_goes(name):
    model = new(name, random_state=np.random.default_rng(0)).fit(X)
    first = model.parameters_.copy()
    np.testing.assert_array_equal(first, new(name, random_state=0).fit(X).parameters_)
    assert np.any(model.fit(X).parameters_ != first)  # it has moved on


@every_model
def test_numpys_global_random_state_is_neither_read_nor_moved(name):
    np.random.seed(0)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    outputs(new(name).fit(X))
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


BITS = (X > 0.5).astype(float)
LAYOUTS = {  # the same numbers twice
    "list": (X.tolist(), X),
    "Fortran order": (np.asfortranarray(X), X),
    "every other column": (np.repeat(X, 2, axis=1)[:, ::2], X),
    "backwards in memory": (X[::-1].copy()[::-1], X),
    "read-only": (read_only(X), X),
    "big-endian": (X.astype(">f8"), X),
    "integers": (BITS.astype(np.int8), BITS),
    "booleans": (BITS.astype(bool), BITS),
}


@every_model
def test_the_same_numbers_give_the_same_bits_however_they_are_stored(name):
    for how, (data, plain) in LAYOUTS.items():
        expected = outputs(new(name).fit(plain), plain)
        np.testing.assert_array_equal(outputs(new(name).fit(data), data), expected, how)


@every_model
def test_model_can_be_fitted_again_to_other_shapes(name):
    model = new(name).fit(X)
    wide = np.random.default_rng(1).uniform(size=(7, 9))  # and fewer samples than features
    np.testing.assert_array_equal(
        outputs(model.fit(wide), wide), outputs(new(name).fit(wide), wide)
    )
    assert model.n_features_in_ == 9 and model.transform(wide).shape == (7, K)


@every_model
def test_float32_data_make_a_float32_model(name):
    model = new(name).fit(X.astype(np.float32))
    assert model.parameters_.dtype == np.float32
    for samples in (X, X.astype(np.float32)):  # the model decides, not what it is given
        codes = model.transform(samples)
        arrays = [codes, model.inverse_transform(codes.astype(float)), model.reconstruct(samples)]
        arrays += [model.reconstruction_error(samples)]
        if name in VAES:
            arrays += [*model.encode(samples), model.sample(4)]
        assert {array.dtype for array in arrays} == {np.dtype(np.float32)}
        assert np.isfinite(model.score(samples))
    assert new(name).fit(X > 0.5).parameters_.dtype == np.float64


@pytest.mark.parametrize("name", SOLVED)
def test_float32_finds_the_same_minimum(name):
    """A loss is flat at its minimum, so what is left is the rounding of the loss itself.

    It is a sum of a few terms of order 1 a feature, each rounded by a unit or so: 20 units.
    """
    single = new(name, tol=1e-6).fit(X.astype(np.float32))
    double = new(name, tol=1e-6).fit(X)
    assert abs(single.score(X) - double.score(X)) <= 20 * np.finfo(np.float32).eps


# --- use -------------------------------------------------------------------------------------


@every_model
def test_shapes(name):
    model = new(name).fit(X)
    for n in (1, 2, N):
        codes = model.transform(X[:n])
        assert codes.shape == (n, K)
        assert model.inverse_transform(codes).shape == (n, D)
        assert model.reconstruct(X[:n]).shape == (n, D)
        assert model.reconstruction_error(X[:n]).shape == (n,)
        assert isinstance(model.score(X[:n]), float)
        if name in VAES:
            assert [part.shape for part in model.encode(X[:n])] == [(n, K)] * 2
            assert model.sample(n).shape == (n, D)
            assert isinstance(model.elbo(X[:n]), float)
            assert [type(part) for part in model.rate_distortion(X[:n])] == [float, float]
    assert isinstance(model.loss_, float) and isinstance(model.n_iter_, int)
    assert model.parameters_.ndim == 1


@every_model
def test_reconstruction_is_the_way_through_the_code_and_back(name):
    model = new(name).fit(X)
    x_hat = model.inverse_transform(model.transform(X))
    np.testing.assert_array_equal(model.reconstruct(X), x_hat)
    if "bernoulli" in name:  # x̂ is a probability, and the error is in nats
        assert x_hat.min() > 0 and x_hat.max() < 1
        errors = -np.sum(X * np.log(x_hat) + (1 - X) * np.log(1 - x_hat), axis=1)
    else:
        errors = np.sum((X - x_hat) ** 2, axis=1)
    np.testing.assert_allclose(model.reconstruction_error(X), errors, rtol=1e-12)
    expected = model.elbo(X) if name in VAES else -errors.mean()
    assert model.score(X) == pytest.approx(expected, rel=1e-12)


@every_model
def test_score_is_higher_for_the_better_model_and_the_likelier_data(name):
    untrained = new(name).fit(X)
    untrained.parameters_[...] += np.random.default_rng(0).standard_normal(
        untrained.parameters_.shape
    )
    model = new(name, max_iter=1000 if name in SOLVED else 100).fit(X)
    assert model.score(X) > untrained.score(X)
    assert model.score(X) > model.score(1 - np.round(X))  # corners, where no sample lies


@pytest.mark.parametrize("name", DENSE)
def test_the_layers_by_hand_give_the_codes(name):
    """The weights that a reader sees are the ones that are used, and used as the text says."""
    model = new(name).fit(X)

    def by_hand(network, x):
        for i, layer in enumerate(network.layers):
            x = x @ layer.weight + (0 if layer.bias is None else layer.bias)
            if i < len(network.layers) - 1:
                x = np.maximum(x, 0)  # all of these models have relu
        return x

    mean = getattr(model, "mean_", 0.0)
    codes = by_hand(model.encoder_, X - mean)
    np.testing.assert_allclose(model.transform(X), codes[:, :K], rtol=0, atol=1e-14)
    if name in VAES:  # the last layer is [μ, log σ²], side by side
        mu, log_var = model.encode(X)
        np.testing.assert_allclose(np.hstack([mu, log_var]), codes, rtol=0, atol=1e-14)
    x_hat = by_hand(model.decoder_, codes[:, :K])
    if "bernoulli" in name:
        x_hat = 1 / (1 + np.exp(-x_hat))
    # rounding of a few sums of numbers of order 1
    np.testing.assert_allclose(model.reconstruct(X), x_hat + mean, rtol=0, atol=1e-14)
    if isinstance(model, LinearAutoencoder):
        np.testing.assert_array_equal(model.encoder_weight_, model.encoder_.layers[0].weight.T)
        np.testing.assert_array_equal(model.decoder_weight_, model.decoder_.layers[0].weight.T)
        assert model.encoder_weight_.shape == (K, D) and model.decoder_weight_.shape == (D, K)
    if name == "tied":
        np.testing.assert_array_equal(model.decoder_weight_, model.encoder_weight_.T)


@every_model
def test_parameters_are_live(name):
    model = new(name).fit(X)
    layer = (model.decoder_ if name == "sparse-coding" else model.encoder_).layers[0]
    before = model.transform(X)
    model.parameters_[...] += 0.5
    assert np.abs(model.transform(X) - before).max() > 1e-3
    layer.weight[...] = 0.125
    assert np.sum(model.parameters_ == 0.125) == layer.weight.size
    assert layer.weight.size == layer.n_in * layer.n_out


@every_model
@pytest.mark.parametrize(
    "duplicate",
    [copy.copy, copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))],
    ids=["copy", "deepcopy", "pickle"],
)
def test_copies_say_the_same_and_lead_their_own_lives(name, duplicate):
    model = new(name).fit(X)
    expected = outputs(model)
    twin = duplicate(model)
    np.testing.assert_array_equal(outputs(twin), expected)
    assert twin.get_params() == model.get_params() and twin.loss_ == model.loss_
    assert twin.n_iter_ == model.n_iter_ and twin.history_.keys() == model.history_.keys()

    codes = twin.transform(X)
    twin.parameters_[...] += 1.0  # the copy's vector is under the copy's layers,
    assert np.abs(twin.transform(X) - codes).max() > 1e-3
    np.testing.assert_array_equal(outputs(model), expected)  # and not under the original's
    np.testing.assert_array_equal(outputs(twin.fit(X)), expected)  # and it can be trained
    np.testing.assert_array_equal(outputs(model), expected)
    duplicate(new(name)).fit(X)  # unfitted models can be copied as well


@every_model
def test_many_threads_may_use_one_model(name):
    model = new(name).fit(X)
    chunks = [np.roll(X, i, axis=0)[: 1 + i % N] for i in range(64)]
    expected = [model.reconstruct(chunk) for chunk in chunks]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(3):
            for got, want in zip(pool.map(model.reconstruct, chunks), expected, strict=True):
                np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("name", ["linear", "linear-alternating", "tied", "linear-adam"])
def test_linear_models_do_not_mind_where_the_data_lie_nor_their_units(name):
    """Reconstruction moves and stretches with the data: ``x → s x + t``.

    The minimum does; how near it is come to bounds the rest. Training ends when the gradient is
    down to 1e-11 of that at the start, and curvatures here are within a factor of 100 of each
    other. Adam's path depends on the scale, so there the data are only moved.
    """
    data = X * [3, 2, 1, 0.5, 0.25]
    scale = 1.0 if name == "linear-adam" else 1e3
    shift = 100.0 * np.arange(D)
    one = new(name).fit(data).reconstruct(data)
    other = new(name).fit(scale * data + shift).reconstruct(scale * data + shift)
    np.testing.assert_allclose((other - shift) / scale, one, rtol=0, atol=1e-9)


# --- what only a VAE does ---------------------------------------------------------------------


@every_vae
def test_samples_are_decoded_draws_from_the_prior(name):
    model = new(name).fit(X)
    drawn = model.sample(50, random_state=3)
    z = np.random.default_rng(3).standard_normal((50, K))
    np.testing.assert_array_equal(drawn, model.inverse_transform(z))
    np.testing.assert_array_equal(drawn, model.sample(50, random_state=np.random.default_rng(3)))
    np.testing.assert_array_equal(model.sample(5), model.sample(5))  # the model's own seed
    assert np.abs(model.sample(5) - model.sample(5, random_state=1)).max() > 0
    free = new(name, random_state=None).fit(X)
    assert np.abs(free.sample(5) - free.sample(5)).max() > 0


@every_vae
def test_rate_is_the_mean_divergence_of_what_encode_tells(name):
    model = new(name).fit(X)
    mu, log_var = model.encode(X)
    kl = 0.5 * np.sum(mu**2 + np.exp(log_var) - 1 - log_var, axis=1)
    rate, _ = model.rate_distortion(X)
    assert rate == pytest.approx(kl.mean(), rel=1e-12)
    mu[...] = 0  # what encode gives is the caller's
    assert model.rate_distortion(X)[0] == rate


@every_vae
def test_elbo_is_minus_the_training_loss_at_beta_one(name):
    """Exactly, draw for draw: both take one (n, k) draw after the other from the generator."""
    model = new(name).fit(X)
    model.beta = 1.0
    if "linear" in name:
        loss = model.loss_and_gradient(X)[0]
    else:
        rng = np.random.default_rng(5)
        loss = np.mean([model.loss_and_gradient(X, rng)[0] for _ in range(7)])
    assert model.elbo(X, n_samples=7, random_state=5) == pytest.approx(-loss, rel=1e-12)


@every_vae
def test_elbo_is_noise_model_minus_rate(name):
    model = new(name).fit(X)
    rate, distortion = model.rate_distortion(X)
    if "bernoulli" in name:
        expected = -distortion - rate
    else:
        variance = model.noise_variance_
        if "learned" not in name:
            assert variance == pytest.approx(model.noise_variance, rel=1e-14)
        expected = -0.5 * (D * np.log(2 * np.pi * variance) + distortion / variance) - rate
    assert model.elbo(X) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", ["vae-linear", "vae-linear-learned"])
def test_exact_loss_is_the_mean_of_the_sampled_one_and_so_is_its_gradient(name):
    """z-tests on the loss and some forty gradient components, 2000 draws, bound 5.5.

    A right formula would fail one of them with one seed in 600,000. The parameters are random,
    so that no gradient is 0 by training.
    """
    model = new(name, beta=0.7).fit(X)
    values = model.parameters_
    values[...] = 0.5 * np.random.default_rng(1).standard_normal(values.shape)
    batch, rng = X[:6], np.random.default_rng(2)
    loss, gradient = model.loss_and_gradient(batch)
    exact = np.array([loss, *gradient])
    sampled = VAE(
        K, hidden_layer_sizes=(), beta=0.7, noise_variance=model.noise_variance, random_state=0
    )
    sampled.initialise(X)
    sampled.parameters_[...] = values
    draws = np.empty((2000, len(exact)))
    for row in draws:
        row[0], row[1:] = sampled.loss_and_gradient(batch, rng)
    deviation = np.abs(draws.mean(axis=0) - exact)
    standard_error = draws.std(axis=0, ddof=1) / np.sqrt(len(draws))
    assert np.all(deviation <= 5.5 * standard_error)


@every_model
def test_interpolation_runs_straight_from_one_code_to_the_other(name):
    model = new(name).fit(X)
    path = model.interpolate(X[0], X[1], 5)
    first, last = model.transform(X[:2])
    line = np.stack([first, 0.75 * first + 0.25 * last, (first + last) / 2])
    assert path[:3] == pytest.approx(model.inverse_transform(line), rel=1e-9, abs=1e-9)
    assert path[-1] == pytest.approx(model.reconstruct(X[1:2])[0], rel=1e-9, abs=1e-9)
    with pytest.raises(ValueError, match="n_steps must be at least 2; got 1"):
        model.interpolate(X[0], X[1], 1)
    with pytest.raises(ValueError, match="rows differ in length"):
        model.interpolate(X[0], X[1, :3])


def test_kl_per_dimension_adds_up_to_the_rate():
    for name in VAES:
        model = new(name).fit(X)
        rates = model.kl_per_dimension(X)
        assert rates.shape == (K,) and rates.min() >= 0
        assert rates.sum() == pytest.approx(model.rate_distortion(X)[0], rel=1e-12)


def test_a_vae_draws_its_noise_from_random_state_if_given_no_generator():
    X = np.random.default_rng(0).uniform(size=(30, 5))
    model = VAE(2, hidden_layer_sizes=(4,), max_iter=1, random_state=3).fit(X)
    loss, gradient = model.loss_and_gradient(X)
    gradient = gradient.copy()
    same_loss, same_gradient = model.loss_and_gradient(X, np.random.default_rng(3))
    assert loss == same_loss
    np.testing.assert_array_equal(gradient, same_gradient)


@pytest.mark.parametrize("hidden", [(), (4,)])
def test_a_single_draw_a_single_sample_and_a_line_of_two_points_are_enough(hidden):
    X = np.random.default_rng(0).uniform(size=(30, 5))
    model = VAE(2, hidden_layer_sizes=hidden, solver="adam", max_iter=2, random_state=0).fit(X)
    rate, distortion = model.rate_distortion(X, n_samples=1)
    assert np.isfinite([rate, distortion, model.elbo(X, n_samples=1)]).all()
    assert np.isfinite(model.log_likelihood(X, n_samples=1))
    assert model.sample(1, random_state=0).shape == (1, 5) == model.sample().shape
    ends = model.interpolate(X[0], X[1], 2)
    np.testing.assert_allclose(ends, model.reconstruct(X[:2]), rtol=1e-12)


def test_a_float32_vae_computes_in_float32(monkeypatch):
    X = np.random.default_rng(0).uniform(size=(30, 5)).astype(np.float32)
    model = VAE(2, hidden_layer_sizes=(4,), max_iter=1, random_state=0).fit(X)
    forward, dtypes = model.decoder_.forward, set()

    def spy(z, rng):
        dtypes.add(z.dtype)
        return forward(z, rng)

    monkeypatch.setattr(model.decoder_, "forward", spy)
    model.loss_and_gradient(X, np.random.default_rng(0))
    assert dtypes == {np.dtype(np.float32)}


@pytest.mark.parametrize("model", [Autoencoder(2), VAE(2)], ids=["mlp", "vae"])
def test_the_decoder_has_the_hidden_layers_in_reverse(model):
    X = np.random.default_rng(0).uniform(size=(20, 4))
    model = copy.deepcopy(model)
    model.set_params(hidden_layer_sizes=(7, 5), max_iter=1, random_state=0).fit(X)
    n_out = 4 if isinstance(model, VAE) else 2
    assert [layer.weight.shape for layer in model.encoder_.layers] == [(4, 7), (7, 5), (5, n_out)]
    assert [layer.weight.shape for layer in model.decoder_.layers] == [(2, 5), (5, 7), (7, 4)]


MANY = np.random.default_rng(0).uniform(size=(600, 1024))  # three blocks of rows, the last smaller
MANY[300:] *= 0.5


@pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli"])
def test_rate_and_distortion_of_many_samples_are_means_over_all_of_them(likelihood):
    few = {"noise_variance": 0.01, "max_iter": 2, "random_state": 0}
    model = LinearVAE(2, solver="adam", **few)
    if likelihood == "bernoulli":
        model = VAE(2, hidden_layer_sizes=(), likelihood=likelihood, **few)
    model.fit(MANY)
    parts = [MANY[:200], MANY[200:400], MANY[400:]]  # of a block each
    measured = np.array([model.rate_distortion(part, n_samples=10) for part in parts])
    rate, distortion = model.rate_distortion(MANY, n_samples=10)
    assert rate == pytest.approx(measured[:, 0].mean(), rel=1e-12)
    exact = 1e-12 if likelihood == "gaussian" else 5e-3  # 10 draws for each of 600 samples
    assert distortion == pytest.approx(measured[:, 1].mean(), rel=exact)
    assert np.ptp(measured, axis=0).min() > 0.01 * rate  # the parts differ


def test_what_is_known_of_many_samples_is_known_of_all_of_them():
    vae = VAE(2, noise_variance="learned", hidden_layer_sizes=(4,), learning_rate=1e-300,
              max_iter=1, random_state=0).fit(MANY)  # fmt: skip
    assert vae.noise_variance_ == pytest.approx(MANY.var(axis=0).mean(), rel=1e-12)
    sparse = SparseAutoencoder(4, max_iter=1, random_state=0).fit(MANY)
    np.testing.assert_allclose(sparse.mean_, MANY.mean(axis=0), rtol=1e-12)
    active = np.mean(sparse.transform(MANY) != 0)
    assert sparse.active_fraction_ == pytest.approx(active, rel=1e-12)
    linear = LinearAutoencoder(2, solver="alternating", tol=1e-3, random_state=0).fit(MANY)
    np.testing.assert_allclose(linear.mean_, MANY.mean(axis=0), rtol=1e-12)
    assert linear.loss_ == pytest.approx(linear.reconstruction_error(MANY).mean(), rel=1e-10)
