"""Sequences of unequal length in `Autoencoder` and `VAE`: what goes in, and what comes out."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from test_backprop import CENTRAL, COMPLEX

import nanoae
from nanoae import (
    VAE,
    Autoencoder,
    ConvergenceWarning,
    GaussianNoise,
    LinearAutoencoder,
    MaskingNoise,
    SaltAndPepper,
    TiedAutoencoder,
    datasets,
    gradient_check,
)
from nanoae.losses import LOSSES
from nanoae.network import (
    Convolutional,
    Dense,
    FillingDecoder,
    FullyConnected,
    Recurrent,
    SelfAttention,
    Sequential,
    Transformer,
    TransformerBlock,
    VisibleEncoder,
)
from nanoae.sequences import Sequences

LENGTHS = (5, 2, 4, 5, 1, 3, 5, 4)
RNG = np.random.default_rng(0)
STEPS = [RNG.standard_normal((T, 3)) for T in LENGTHS]
UNIT = [np.abs(np.tanh(x)) for x in STEPS]
TOKENS = [RNG.integers(0, 6, T) for T in LENGTHS]
SMALL = {"max_iter": 3, "random_state": 0}
MODELS = {
    **{
        cell: Autoencoder(2, architecture=Recurrent(3, width=4, cell=cell), **SMALL)
        for cell in ("gru", "tanh", "linear")
    },
    "transformer": Autoencoder(
        2, architecture=Transformer(3, width=4, n_heads=2, n_blocks=1), weight_decay=0.1, **SMALL
    ),
    "bernoulli": Autoencoder(
        2, architecture=Recurrent(3, width=4), loss="bernoulli", weight_decay=0.1, **SMALL
    ),
    "vae": VAE(2, architecture=Recurrent(3, width=4), beta=0.5, noise_variance="learned", **SMALL),
    "vae, transformer": VAE(
        2, architecture=Transformer(3, width=4, n_heads=2, n_blocks=1), noise_variance=0.5, **SMALL
    ),
    "tokens": Autoencoder(
        2, architecture=Recurrent(width=4, vocabulary_size=6), loss="categorical", **SMALL
    ),
    "vae, tokens": VAE(
        2, architecture=Transformer(width=4, vocabulary_size=6, n_heads=2, n_blocks=1),
        likelihood="categorical", beta=0.5, **SMALL,
    ),
}  # fmt: skip
every_model = pytest.mark.parametrize("name", MODELS)


def new(name, **params):
    return type(MODELS[name])(**{**MODELS[name].get_params(), **params})


def data_of(name, dtype=np.float64):
    data = TOKENS if "tokens" in name else UNIT if name == "bernoulli" else STEPS
    return [x.astype(dtype) for x in data]


def rows_of(name):
    return MODELS[name].architecture.sequences.rows(data_of(name))


@pytest.mark.parametrize("name", ["vae", "tokens", "transformer"])
def test_gradient_by_differences(name):
    assert gradient_check(new(name), data_of(name)[1:3]).error < CENTRAL


@every_model
def test_gradient_by_the_complex_step(name):
    """At three places of every parameter."""
    model, rng = new(name), np.random.default_rng(0)
    X = model.initialise(data_of(name))
    model.parameters_[...] += 0.1 * rng.standard_normal(model.parameters_.shape)
    gradient = model.loss_and_gradient(X, np.random.default_rng(0))[1].copy()
    theta, places = model.parameters_.copy(), [*model.layout_.places()]
    model._build(X.shape[1], np.complex128)
    for of_parameter in places:
        scale = np.abs(gradient[of_parameter]).max()
        for place in rng.permutation(of_parameter)[:3]:
            model.layout_.values[...] = theta
            model.layout_.values[place] += 1e-30j
            loss = model.loss_and_gradient(X, np.random.default_rng(0))[0]
            assert abs(loss.imag / 1e-30 - gradient[place]) < COMPLEX * max(scale, 1e-3)


@every_model
def test_the_loss_of_a_batch_is_the_mean_of_its_sequences(name):
    model, X = new(name), rows_of(name)
    model.initialise(X)
    noise = np.random.default_rng(1).standard_normal((len(X), 2))

    class Noise:
        def __init__(self, rows):
            self.rows = rows

        def standard_normal(self, shape, dtype):
            return noise[self.rows]

    weights = np.random.default_rng(2).random(len(X))
    loss, gradient = model.loss_and_gradient(X, Noise(slice(None)), weights=weights)
    gradient = gradient.copy()
    total, total_gradient = 0.0, np.zeros_like(gradient)
    for i in range(len(X)):
        row = slice(i, i + 1)
        own, own_gradient = model.loss_and_gradient(X[row], Noise(row), weights=weights[row])
        total += own / len(X)
        total_gradient += own_gradient / len(X)
    assert abs(total / loss - 1) < 1e-13
    np.testing.assert_allclose(total_gradient, gradient, rtol=1e-10, atol=1e-13)


@every_model
def test_samples_come_back_in_the_form_in_which_they_were_handed_in(name):
    model, X = new(name).fit(data_of(name)), data_of(name)
    rows = rows_of(name)
    n, n_steps = len(X), max(LENGTHS)
    codes = model.transform(X)
    assert codes.shape == (n, 2) and np.array_equal(model.transform(rows), codes)
    back = model.reconstruct(X)
    assert [x.shape for x in back] == [x.shape for x in X]
    tokens = "tokens" in name
    if tokens:
        assert all(word.dtype.kind == "i" for word in back)
        padded = np.where(np.isnan(rows), np.nan, model.inverse_transform(codes))
    else:
        folded = rows.reshape(n, n_steps, 3)
        assert np.array_equal(model.transform(folded), codes)
        again = model.reconstruct(folded)
        assert again.shape == folded.shape and np.array_equal(np.isnan(again), np.isnan(folded))
        padded = again.reshape(n, -1)
        between = model.interpolate(folded[0], folded[1], 4)
        np.testing.assert_allclose(between, model.interpolate(X[0], X[1], 4), rtol=1e-5)
    np.testing.assert_array_equal(model.reconstruct(rows), padded)
    for x_hat, row, x in zip(back, padded, X, strict=True):
        np.testing.assert_array_equal(x_hat.ravel(), row[: x.size])
    decoded = model.inverse_transform(codes)
    assert decoded.shape == ((n, n_steps) if tokens else (n, n_steps, 3))
    assert model.interpolate(X[0], X[1], 4).shape == (4, *decoded.shape[1:])
    if isinstance(model, VAE):
        assert model.sample(2).shape == (2, *decoded.shape[1:])
    error = model.reconstruction_error(X, per_feature=True)
    assert (error[np.isnan(rows)] == 0).all()
    np.testing.assert_allclose(error.sum(axis=1), model.reconstruction_error(X))


@every_model
def test_what_stands_behind_an_end_is_only_room(name):
    """Nor does its company in a batch change a code or a loss."""
    model = new(name).fit(data_of(name))
    rows, X = rows_of(name), data_of(name)
    for i in (1, 4):
        alone = model.transform([X[i]])
        np.testing.assert_allclose(alone, model.transform(rows)[i : i + 1], rtol=1e-12)
        np.testing.assert_allclose(
            model.reconstruction_error([X[i]]), model.reconstruction_error(rows)[i], rtol=1e-12
        )


@every_model
def test_files_copies_and_checkpoints(name, tmp_path):
    X = data_of(name)
    model = new(name).fit(X)
    assert eval(repr(model), {**vars(nanoae), **vars(nanoae.network)}).get_params() == (
        model.get_params()
    )
    model.save(tmp_path / "model.npz")
    for other in (nanoae.load(tmp_path / "model.npz"), pickle.loads(pickle.dumps(model))):
        assert other.get_params() == model.get_params()
        assert other.transform(X).tobytes() == model.transform(X).tobytes()
        if isinstance(model, VAE):
            assert other.elbo(X) == model.elbo(X)
        before = model.parameters_.copy()
        twin = pickle.loads(pickle.dumps(model)).partial_fit(X[2:])
        assert np.array_equal(other.partial_fit(X[2:]).parameters_, twin.parameters_)
        assert np.array_equal(model.parameters_, before)
    run = {"checkpoint": tmp_path / "run.npz", "checkpoint_every": 1}
    new(name, max_iter=2).fit(X, **run)
    taken_up = new(name).fit(X, **run)
    assert np.array_equal(taken_up.parameters_, model.parameters_)


@every_model
def test_weights_validation_sets_and_parts(name):
    X = data_of(name)
    if not isinstance(MODELS[name], VAE):  # or copies would have noise of their own
        twice = new(name, batch_size=99).fit([*X, *X[:3]])
        weighted = new(name, batch_size=99).fit(X, sample_weight=[2] * 3 + [1] * 5)
        # the order of the sum is all that differs
        np.testing.assert_allclose(weighted.loss_, twice.loss_, rtol=1e-9)
    some = new(name).fit(X, sample_weight=[1] * 4 + [0] * 4)
    assert np.array_equal(some.parameters_, new(name).fit(X[:4]).parameters_)
    stopped = new(name).fit(X, X_validation=X[:3])
    assert len(stopped.history_["validation_loss"]) == 3
    held_out = new(name, early_stopping=True, validation_fraction=0.3).fit(X)
    assert len(held_out.history_["validation_loss"]) == 3
    stream = new(name)
    for part in (X[:4], X[4:], X[1:3]):  # the last has shorter ones alone
        stream.partial_fit(part)
    assert stream.n_samples_seen_ == 10 and stream.transform(X[1:2]).shape == (1, 2)


@every_model
def test_float32_stays_float32(name):
    model = new(name).fit(data_of(name, np.float32))
    X = data_of(name, np.float32)
    kinds = {
        model.parameters_.dtype,
        model.transform(X).dtype,
        model.reconstruction_error(X).dtype,
    }
    assert kinds == {np.dtype(np.float32)}
    assert model.loss_and_gradient(model._check_samples(X), np.random.default_rng(0))[1].dtype == (
        np.float32
    )
    if "tokens" not in name:
        assert model.reconstruct(X)[0].dtype == np.float32
    for layer in (model.encoder_, model.decoder_):
        h = np.zeros((1, *layer.shape_in), np.float32)
        assert layer(h).dtype == np.float32


def test_a_vae_counts_values_not_columns():
    model = new("vae", noise_variance=0.3).fit(STEPS)
    rows = rows_of("vae")
    n_values = np.sum(~np.isnan(rows), axis=1)
    rate, distortion = model.rate_distortion(STEPS)
    right = -rate - 0.5 * (n_values.mean() * np.log(2 * np.pi * 0.3) + distortion / 0.3)
    assert model.elbo(STEPS) == pytest.approx(right, rel=1e-12)
    # a bound below the likelihood, of the same samples
    assert model.elbo(STEPS) < model.log_likelihood(STEPS, n_samples=200)
    one = model.log_likelihood(STEPS[1:2], n_samples=1, random_state=0)
    mu, log_var = model.encode(STEPS[1:2])
    eps = np.random.default_rng(0).standard_normal((1, 2))
    z = mu + np.exp(log_var / 2) * eps
    error = np.sum((model.inverse_transform(z)[0, :2] - STEPS[1]) ** 2)
    right = 0.5 * np.sum(eps**2 + log_var - z**2) - 0.5 * (
        6 * np.log(2 * np.pi * 0.3) + error / 0.3
    )
    assert one == pytest.approx(right, rel=1e-12)


def test_a_learned_noise_starts_at_the_variance_of_what_is_there():
    model = new("vae")
    rows = model.initialise(STEPS)
    column_means = np.nanmean(rows, axis=0)
    right = np.nansum((rows - column_means) ** 2) / np.sum(~np.isnan(rows))
    assert model.noise_variance_ == pytest.approx(right, rel=1e-12)


def test_the_mean_to_be_beaten_is_that_of_each_step_over_those_that_have_it():
    rows = rows_of("gru")
    model = new("gru")
    model.initialise(rows)
    null = np.nansum((rows - np.nanmean(rows, axis=0)) ** 2) / len(rows)
    assert model._null_loss() == pytest.approx(null, rel=1e-12)
    vae = new("vae", noise_variance=0.3)
    vae.initialise(rows)
    n_values = np.mean(np.sum(~np.isnan(rows), axis=1))
    right = 0.5 * (n_values * np.log(2 * np.pi * 0.3) + null / 0.3)
    assert vae._null_loss() == pytest.approx(right, rel=1e-12)
    with pytest.warns(ConvergenceWarning, match="is no better than to answer"):
        new("gru", learning_rate=1e-9).fit(STEPS)


@pytest.mark.parametrize("name", ["gru", "vae"])
def test_the_mean_to_be_beaten_counts_a_weight_of_two_as_two(name):
    twice = new(name, max_iter=1).fit([*STEPS, *STEPS[:3]])
    weighted = new(name, max_iter=1).fit(STEPS, sample_weight=[2] * 3 + [1] * 5)
    assert weighted._n_values == pytest.approx(twice._n_values, rel=1e-12)
    np.testing.assert_allclose(weighted._moments.mean, twice._moments.mean, rtol=1e-12)
    assert weighted._moments.variance == pytest.approx(twice._moments.variance, rel=1e-12)


@pytest.mark.parametrize("name", ["tokens", "vae, tokens"])
def test_and_of_tokens_how_often_each_is_found_at_a_step(name):
    """That is the loss of the best logits that are the same for all names."""
    model, weights = new(name), np.arange(1.0, 9.0)
    model.fit(TOKENS, sample_weight=weights)
    right = 0.0
    for step in range(max(LENGTHS)):
        there = [i for i, word in enumerate(TOKENS) if len(word) > step]
        found = np.bincount([TOKENS[i][step] for i in there], weights[there], minlength=6)
        share = found / found.sum()
        right -= np.sum(found * np.log(np.where(share > 0, share, 1)))
    assert model._null_loss() == pytest.approx(right / weights.sum(), rel=1e-12)
    with pytest.warns(ConvergenceWarning, match="is no better than to answer"):
        new(name, learning_rate=1e-9).fit(TOKENS)


def test_a_sweep_over_beta_takes_sequences():
    sweep = nanoae.beta_sweep(TOKENS, [0.1, 1.0], model=new("vae, tokens"))
    assert np.isfinite(sweep.elbo).all() and sweep.models[1].beta == 1


@pytest.mark.parametrize("corruption", [GaussianNoise(0.3), MaskingNoise(0.3), SaltAndPepper(0.3)])
def test_noise_leaves_ends_where_they_are(corruption):
    model = new("bernoulli", corruption=corruption)
    X = model.initialise(UNIT)
    noisy = model._corrupt(X, np.random.default_rng(0))
    assert np.array_equal(np.isnan(noisy), np.isnan(X)) and not np.array_equal(noisy, X)
    assert np.isfinite(model.fit(UNIT).loss_)


# --- what is refused ---------------------------------------------------------------------------


def with_value(row, column, value):
    rows = rows_of("gru").copy()
    rows[row, column] = value
    return rows


BAD = {
    "a gap inside": (with_value(0, 4, np.nan), "NaN behind the end .* row 0 has 14 value"),
    "a step in parts": (with_value(0, 14, np.nan), "whole steps of 3; row 0 has 14 value"),
    "nothing": (with_value(4, slice(3), np.nan), r"a step at least.*row 4 has 0 value"),
    "infinity": (with_value(2, 1, np.inf), "contains NaN or infinity, first at row 2, column 1"),
    "too large": (with_value(2, 1, 1e200), "too large"),
    "columns": (np.ones((4, 7)), "multiple of 3 columns"),
    "other features": ([np.ones((3, 3)), np.ones((2, 2))], r"sequence 1 is of the shape \(2, 2\)"),
    "an empty one": ([np.ones((3, 3)), np.ones((0, 3))], r"sequence 1 is of the shape \(0, 3\)"),
    "words": ([np.array([["a"] * 3]), np.ones((2, 3))], "sequence 0 is of <U1"),
    "one dimension": (np.ones(3), "must be 2-D"),
    "four": (np.ones((2, 2, 2, 3)), r"its sequence 0|must be 2-D"),
    "a gap at the end of one": ([np.ones((3, 3)), np.r_[np.ones((1, 3)), [[np.nan] * 3]]],
                                "NaN in its sequence 1, first at step 1; impute"),
    "steps of unequal length": ([[[1, 2, 3], [4]], np.ones((2, 3))], "its sequence 0 differ in"),
    "an empty list": ([[], np.ones((2, 3))], r"sequence 0 is of the shape \(0,\)"),
    "masked": ([np.ma.masked_equal(np.ones((2, 3)), 1), np.ones((2, 3))], "has masked values"),
    "no list": ([], "must be 2-D|0 feature"),
    "None": (None, "must be 2-D"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD)
def test_what_is_no_set_of_sequences_is_one_sentence_and_changes_nothing(kind):
    X, words = BAD[kind]
    with pytest.raises(ValueError, match=words) as caught:
        new("gru").fit(X)
    assert "\n" not in str(caught.value)
    model = new("gru").fit(STEPS)
    before = pickle.dumps(model)
    for call in (model.fit, model.partial_fit, model.transform, model.reconstruct, model.score):
        with pytest.raises(ValueError, match=words if kind != "columns" else "7"):
            call(X)
    if X is not None:
        with pytest.raises(ValueError, match=words if kind != "columns" else "7 features"):
            model.fit(STEPS, X_validation=X)
    assert pickle.dumps(model) == before


def test_a_list_says_where_its_sequences_end_and_an_array_of_objects_is_a_list():
    model = new("tokens").fit(TOKENS)
    with pytest.raises(ValueError, match="NaN in its sequence 1, first at step 2"):
        model.transform([np.array([0, 1]), np.array([3, 4, np.nan])])
    row = rows_of("tokens")[1]  # as wide as the table, so it is a row of it
    assert np.array_equal(model.transform([row, row]), model.transform([TOKENS[1]] * 2))
    for name in ("gru", "tokens"):
        model, X = new(name).fit(data_of(name)), data_of(name)
        objects = np.empty(len(X), object)
        objects[:] = X
        assert np.array_equal(model.transform(objects), model.transform(X))
        assert [x.shape for x in model.reconstruct(objects)] == [x.shape for x in X]


def test_an_architecture_without_its_brackets_is_said_to_be_none():
    for architecture in (Recurrent, Transformer, Convolutional, FullyConnected):
        with pytest.raises(TypeError, match="architecture must be None or an Architecture"):
            Autoencoder(2, architecture=architecture).fit(np.ones((3, 4)))


def test_tokens_have_no_jacobian():
    with pytest.raises(TypeError, match=r"takes tokens, .* no Jacobian"):
        new("tokens").fit(TOKENS).jacobian(TOKENS)
    assert new("gru").fit(STEPS).jacobian(STEPS[:1]).shape == (1, 2, 15)


@pytest.mark.parametrize("bad", [6, -1, 1.5])
def test_what_is_no_token_is_said_where_it_stands(bad):
    words = [TOKENS[0], np.array([1.0, bad])]
    with pytest.raises(
        ValueError, match=rf"whole numbers from 0 to 5; got {bad} at row 1, step 1"
    ):
        new("tokens").fit(words)
    model = new("vae, tokens").fit(TOKENS)
    with pytest.raises(ValueError, match="whole numbers from 0 to 5"):
        model.encode(words)


def test_longer_sequences_need_room():
    model = new("gru").fit(STEPS)
    longer = [np.ones((7, 3))]
    with pytest.raises(ValueError, match=r"7 steps, number 0, but .* room for 5; .*n_steps=7"):
        model.transform(longer)
    roomy = new("gru", architecture=Recurrent(3, width=4, n_steps=7)).fit(STEPS)
    assert roomy.n_features_in_ == 21 and roomy.transform(longer).shape == (1, 2)
    assert roomy.reconstruct(STEPS)[1].shape == (2, 3)
    assert roomy.reconstruct(np.ones((4, 2, 3))).shape == (4, 2, 3)
    assert roomy.inverse_transform(np.zeros((1, 2))).shape == (1, 7, 3)


@pytest.mark.parametrize(
    "model", [Autoencoder(2), VAE(2), LinearAutoencoder(2), TiedAutoencoder(2)], ids=repr
)
def test_other_models_go_on_refusing_gaps_and_lists(model):
    rows = rows_of("gru")
    with pytest.raises(ValueError, match="contains NaN or infinity, first at row 1, column 6"):
        model.fit(rows)
    with pytest.raises(ValueError, match=r"its rows differ in length.*architecture=Recurrent"):
        model.fit(STEPS)
    model.fit(rows[[0, 3, 6]])
    with pytest.raises(ValueError, match="contains NaN or infinity"):
        model.transform(rows)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Recurrent(0), "features_per_step must be at least 1; got 0"),
        (lambda: Recurrent(width=0), "width must be at least 1"),
        (lambda: Recurrent(cell="lstm"), "cell must be 'gru', 'tanh' or 'linear'; got 'lstm'"),
        (lambda: Recurrent(vocabulary_size=1), "vocabulary_size must be at least 2"),
        (
            lambda: Recurrent(2, vocabulary_size=5),
            "features_per_step must be 1 with a vocabulary_size",
        ),
        (lambda: Recurrent(n_steps=0), "n_steps must be at least 1"),
        (lambda: Transformer(0), "features_per_step must be at least 1; got 0"),
        (lambda: Transformer(width=6, n_heads=4), "multiple of n_heads; got 6 and 4"),
        (lambda: Transformer(n_blocks=0), "n_blocks must be at least 1"),
        (lambda: Transformer(n_heads=0), "n_heads must be at least 1"),
        (lambda: Autoencoder(loss="categorical").fit(np.ones((3, 3))), "need each other"),
        (lambda: new("tokens", loss="squared_error").fit(TOKENS), "need each other"),
        (lambda: new("vae, tokens", likelihood="gaussian").fit(TOKENS), "need each other"),
        (lambda: new("gru", loss="bernoulli").fit(STEPS), r"must lie in \[0, 1\]"),
        (
            lambda: new("tokens", corruption=GaussianNoise(1.0)).fit(TOKENS),
            "corruption must be None",
        ),
    ],
)
def test_impossible_architectures_are_one_sentence(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_layers_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match=r"layers\[1\] must take rows of shape \(5, 4\)"):
        Sequential([SelfAttention(5, 4), Dense(3, 2)])
    assert Sequential([SelfAttention(5, 4), Dense(4, 2)]).shape_out == (5, 2)


@pytest.mark.parametrize(
    "network",
    [
        VisibleEncoder(4, 2, 6, n_blocks=3, n_heads=2),
        FillingDecoder(4, 6, 6, 2, n_blocks=3, n_heads=2),
        Transformer(2, 6, n_blocks=3, n_heads=2).encoder(8, 2),
        Transformer(2, 6, n_blocks=3, n_heads=2).decoder(2, 8),
    ],
    ids=lambda network: type(network).__name__,
)
def test_there_are_as_many_blocks_and_heads_as_asked_for(network):
    def all_parts(layer):
        return [layer, *(found for part in layer.parts.values() for found in all_parts(part))]

    blocks = [layer for layer in all_parts(network) if isinstance(layer, TransformerBlock)]
    assert [block.attention.n_heads for block in blocks] == [2, 2, 2]


def test_rows_and_sequences():
    three = Sequences(3)
    rows = three.rows(STEPS)
    assert rows.shape == (8, 15) and rows.dtype == np.float64
    assert three.rows([x.astype(np.float32) for x in STEPS]).dtype == np.float32
    given = np.ones((2, 5))
    assert three.rows(given) is given  # what is no list of sequences is left to other checks
    flat = [[1.0] * 6, [2.0] * 6]
    assert three.rows(flat) is flat
    numbers = [1.0, 2.0]
    assert Sequences().rows(numbers) is numbers
    flat = [[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, np.nan, np.nan]]  # rows, of two features a step
    again = Sequences(2).like(np.array(flat) + 1, np.array(flat), flat)
    np.testing.assert_array_equal(again, np.array(flat) + 1)
    assert isinstance(again, np.ndarray)
    with pytest.raises(ValueError, match=r"its sequence 1 is of the shape \(\)\."):
        Sequences().rows([np.ones(2), 3.0])
    assert Sequences().rows([[1.0, 2.0], [3.0]]).tolist()[1][:1] == [3.0]
    steps, there = three.steps(rows)
    assert np.array_equal(there.sum(axis=1), LENGTHS) and not np.isnan(steps).any()
    weights = np.arange(1.0, 9.0)
    mean, column = three.moments(rows, weights).mean, ~np.isnan(rows[:, -1])
    assert mean[-1] == pytest.approx(np.average(rows[column, -1], weights=weights[column]))


NAN = np.nan


@pytest.mark.parametrize(
    ("sequences", "given", "right"),
    [
        (Sequences(2), [[[1, 2], [3, 4], [5, 6]], [[7, 8]]],
         [[1, 2, 3, 4, 5, 6], [7, 8, NAN, NAN, NAN, NAN]]),
        (Sequences(2), np.arange(24.0).reshape(4, 3, 2), np.arange(24.0).reshape(4, 6)),
        (Sequences(2), ([[1, 2]], [[3, 4], [5, 6]]), [[1, 2, NAN, NAN], [3, 4, 5, 6]]),
        (Sequences(), [[1, 2, 3], [4]], [[1, 2, 3], [4, NAN, NAN]]),
        (Sequences(), [[[1], [2]], [4]], [[1, 2], [4, NAN]]),
        (Sequences(n_steps=4), [[1, 2], [3]], [[1, 2, NAN, NAN], [3, NAN, NAN, NAN]]),
        (Sequences(2, n_steps=3), [[[1, 2]]], [[1, 2, NAN, NAN, NAN, NAN]]),
        (Sequences(n_tokens=3), [[True, False], [True]], [[1, 0], [1, NAN]]),
        (Sequences(n_tokens=3), [np.uint8([2, 1]), np.int16([0])], [[2, 1], [0, NAN]]),
    ],
)  # fmt: skip
def test_sequences_of_any_kind_become_rows(sequences, given, right):
    rows = sequences.rows(given)
    assert rows.dtype == np.float64
    np.testing.assert_array_equal(rows, right)
    wide = sequences.rows(given, n_columns=len(right[0]) + 4)
    np.testing.assert_array_equal(wide[:, :-4], right)
    assert np.isnan(wide[:, -4:]).all()


OBJECTS = np.empty(2, object)
OBJECTS[:] = [[1, 2, 3], [4]]


@pytest.mark.parametrize(
    ("p", "given", "right"),
    [  # each number is replaced by its place in the table
        (2, [[[1, 2], [3, 4], [5, 6]], [[7, 8]]], [[[0, 1], [2, 3], [4, 5]], [[6, 7]]]),
        (1, [[1, 2, 3], [4]], [[0, 1, 2], [3]]),
        (1, ([1, 2, 3], [4]), [[0, 1, 2], [3]]),
        (1, OBJECTS, [[0, 1, 2], [3]]),
        (1, [[[1], [2], [3]], [[4]]], [[[0], [1], [2]], [[3]]]),
    ],
)
def test_rows_are_given_back_as_the_list_that_they_were(p, given, right):
    sequences = Sequences(p)
    rows = sequences.rows(given)
    result = np.arange(rows.size).reshape(rows.shape)
    found = sequences.like(result, rows, given)
    assert isinstance(found, list) and [np.asarray(one).tolist() for one in found] == right


def test_rows_are_given_back_as_the_array_that_they_were():
    two = Sequences(2)
    whole = np.arange(24.0).reshape(4, 6)
    result = whole + 100
    assert two.like(result, whole, whole) is result
    assert np.array_equal(two.like(result, whole, whole.reshape(4, 3, 2)),
                          result.reshape(4, 3, 2))  # fmt: skip
    gaps = whole.astype(np.float32)
    gaps[1, 2:] = gaps[2, 4:] = NAN
    found = two.like(result, gaps, gaps)
    np.testing.assert_array_equal(found, np.where(np.isnan(gaps), NAN, result))
    assert found.dtype == np.float32
    # of two steps, to a model that has room for three
    short = whole[:, :4].reshape(4, 2, 2)
    rows = two.rows(short, n_columns=6)
    assert np.array_equal(two.like(result, rows, short), result[:, :4].reshape(4, 2, 2))
    # rows in a list, of two features a step
    listed = [[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, NAN, NAN]]
    found = two.like(np.ones((2, 4)), np.array(listed), listed)
    np.testing.assert_array_equal(found, [[1, 1, 1, 1], [1, 1, NAN, NAN]])


def test_steps_and_what_is_there_whatever_axes_rows_have():
    rows = np.arange(120.0).reshape(5, 4, 6)
    rows[2, 1, 4:] = NAN
    steps, there = Sequences(2).steps(rows)
    assert np.array_equal(steps, np.where(np.isnan(rows), 0, rows).reshape(5, 4, 3, 2))
    assert there.shape == (5, 4, 3) and np.argwhere(~there).tolist() == [[2, 1, 2]]
    assert Sequences(2).n_values(rows[2]).tolist() == [6, 4, 6, 6]
    assert Sequences(2).outputs(6) == (6,) and Sequences(n_tokens=9).outputs(6) == (6, 9)
    assert Sequences(2).unfolded(rows[2]).shape == (4, 3, 2)
    assert Sequences(n_tokens=9).unfolded(rows[2]).shape == (4, 6)


def test_what_is_not_there_is_filled_with_0_and_nothing_else_is_changed():
    rows = np.arange(24.0).reshape(4, 6)
    rows[1, 2:] = rows[2, 4:] = NAN
    found = Sequences(2).filled(rows, "X", 0)
    np.testing.assert_array_equal(found, np.where(np.isnan(rows), 0, rows))
    tokens = np.array([[0.0, 5.0, 3.0], [5.0, NAN, NAN]])
    assert Sequences(n_tokens=6).filled(tokens, "X", 0).tolist() == [[0, 5, 3], [5, 0, 0]]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Sequences(2).rows([np.ones((3, 2)), np.ones((2, 2), complex)]),
         "X must hold real numbers; its sequence 1 is of complex128."),
        (lambda: Sequences(2).rows([np.ones((3, 2)), np.ones((2, 3))], None, "Y"),
         "Y must have sequences of the shape (steps, 2), with a step at least; its sequence 1 is "
         "of the shape (2, 3)."),
        (lambda: Sequences(2).rows([np.ones((3, 2)), np.ones(4)]),
         "X must have sequences of the shape (steps, 2), with a step at least; its sequence 1 is "
         "of the shape (4,)."),
        (lambda: Sequences().rows([np.ones((3, 1)), np.ones((2, 1, 1))]),
         "X must have sequences of the shape (steps, 1), with a step at least; its sequence 1 is "
         "of the shape (2, 1, 1)."),
        (lambda: Sequences(2).rows([np.ones((3, 2)), np.ones((5, 2)), np.ones((4, 2))], 8, "Y",
                                   "VAE"),
         "Y has a sequence of 5 steps, number 1, but VAE has room for 4; cut it, or fit with an "
         "architecture that has n_steps=5."),
        (lambda: Sequences(n_steps=2).rows([[1, 2], [1, 2, 3]]),
         "X has a sequence of 3 steps, number 1, but the model has room for 2; cut it, or fit "
         "with an architecture that has n_steps=3."),
        (lambda: Sequences(2).rows([np.ones((3, 2)), [[1, 2], [3, 4], [5, NAN]]]),
         "X has NaN in its sequence 1, first at step 2; impute such values, or cut the sequence "
         "where it ends."),
        (lambda: Sequences().rows([[1, 2], [1, [2]]], None, "Y"),
         "Y must have sequences of equal steps, but those of its sequence 1 differ in length."),
        (lambda: Sequences(3).filled(np.ones((2, 7)), "X", 5),
         "X must have a multiple of 3 columns, features_per_step=3 of each step; got 7."),
        (lambda: Sequences(2).filled(np.array([[1.0] * 6, [1, 2, 3, NAN, NAN, NAN]]), "X", 5),
         "X may have NaN behind the end of a sequence only, which has a step at least, and whole "
         "steps of 2; row 6 has 3 value(s), and NaN first in column 3."),
        (lambda: Sequences(2).filled(np.array([[1.0] * 6, [1, 2, NAN, NAN, 3, 4]]), "X", 5),
         "X may have NaN behind the end of a sequence only, which has a step at least, and whole "
         "steps of 2; row 6 has 4 value(s), and NaN first in column 2."),
        (lambda: Sequences(n_tokens=6).filled(np.array([[1, 2, 3], [4, 7, NAN]]), "X", 5),
         "X must hold tokens, whole numbers from 0 to 5; got 7 at row 6, step 1."),
    ],
)  # fmt: skip
def test_what_is_wrong_and_where_is_said(call, message):
    with pytest.raises(ValueError) as caught:
        call()
    assert str(caught.value) == message


@pytest.mark.parametrize("weights", [None, np.array([1.0, 2.0, 3.0, 4.0])])
def test_moments_of_each_step_are_those_of_the_samples_that_have_it(weights):
    rows = np.random.default_rng(0).standard_normal((4, 6))
    rows[1, 2:] = rows[2, 4:] = rows[0, 4:] = rows[3, 4:] = NAN  # the last step nobody has
    found = Sequences(2).moments(rows, weights)
    w = np.ones(4) if weights is None else weights
    mean, scatter = np.zeros(6), 0.0
    for j in range(4):
        have = ~np.isnan(rows[:, j])
        mean[j] = np.average(rows[have, j], weights=w[have])
        scatter += np.sum(w[have] * (rows[have, j] - mean[j]) ** 2)
    np.testing.assert_allclose(found.mean, mean, rtol=1e-12, atol=1e-15)
    assert found.variance == pytest.approx(scatter / w.sum(), rel=1e-12)


@pytest.mark.parametrize("n_rows", [7, 1024, 1025, 2500])
def test_moments_of_tokens_are_those_of_their_indicators_however_many_rows_there_are(n_rows):
    rng = np.random.default_rng(n_rows)
    rows = rng.integers(0, 3, (n_rows, 4)).astype(float)
    rows[1::2, 3] = np.nan
    weights = rng.random(n_rows)
    found = Sequences(n_tokens=3).moments(rows, weights)
    indicators = (rows[:, :, None] == np.arange(3)).reshape(n_rows, 12)
    mean = np.average(indicators, axis=0, weights=weights)
    np.testing.assert_allclose(found.mean, mean, rtol=1e-12)
    total = np.average(((indicators - mean) ** 2).sum(axis=1), weights=weights)
    assert found.variance == pytest.approx(total, rel=1e-12)


# --- real sequences ----------------------------------------------------------------------------


def test_vowels():
    X, labels, n_train = datasets.load_vowels()
    assert len(X) == 640 and {x.shape[1] for x in X} == {12}
    assert np.bincount(labels[:n_train]).tolist() == [30] * 9
    assert np.bincount(labels[n_train:]).tolist() == [31, 35, 88, 44, 29, 24, 40, 50, 29]
    assert sum(map(len, X)) == 9961 and min(map(len, X)) == 7 and max(map(len, X)) == 29
    np.testing.assert_array_equal(X[0][:2, 0], [1.8609, 1.8917])  # 1.860936 and 1.891651


def test_names():
    data = datasets.load_names()
    assert len(set(data.names)) == 5163 and data.names == sorted(data.names)
    assert data.text(data.X) == data.names
    assert {word[-1] for word in data.X} == {26}


def separable(codes, labels, others, their_labels):
    """Share of the others that least squares on the codes sorts rightly: a linear classifier."""
    mean, std = codes.mean(axis=0), codes.std(axis=0)
    A, B = (np.c_[(c - mean) / std, np.ones(len(c))] for c in (codes, others))
    scores = B @ np.linalg.lstsq(A, np.eye(9)[labels], rcond=None)[0]
    return np.mean(scores.argmax(axis=1) == their_labels)


def test_codes_of_vowels_tell_speakers_apart():
    X, labels, n_train = datasets.load_vowels()
    frames = np.concatenate(X[:n_train])
    X = [((x - frames.mean(axis=0)) / frames.std(axis=0)).astype(np.float32) for x in X]
    model = Autoencoder(
        16, architecture=Recurrent(12, width=32, n_steps=29), learning_rate=0.01, batch_size=32,
        max_iter=12, random_state=0,
    ).fit(X[:n_train])  # fmt: skip
    codes = model.transform(X)
    assert separable(codes[:n_train], labels[:n_train], codes[n_train:], labels[n_train:]) > 0.8


def test_the_table_of_losses_has_all_three():
    assert [*LOSSES] == ["squared_error", "bernoulli", "categorical"]
