"""Bad input: what is wrong is said, what was given and what is allowed, and nothing is harmed."""

import copy
import pickle
import re
from fractions import Fraction

import numpy as np
import pytest
import scipy.sparse

from nanoae import (
    VAE,
    Autoencoder,
    LinearAutoencoder,
    LinearVAE,
    NotFittedError,
    SparseAutoencoder,
    SparseCoding,
    TiedAutoencoder,
    gradient_check,
    theory,
)
from nanoae.network import FullyConnected
from nanoae.validation import check_samples, check_unit_interval

X = np.random.default_rng(0).uniform(size=(20, 4))
SMALL = {"hidden_layer_sizes": (3,), "max_iter": 2, "random_state": 0}
FITTED = {
    "linear": LinearAutoencoder(2, random_state=0).fit(X),
    "tied": TiedAutoencoder(2, random_state=0).fit(X),
    "mlp": Autoencoder(2, **SMALL).fit(X),
    "mlp-bernoulli": Autoencoder(2, loss="bernoulli", **SMALL).fit(X),
    "vae": VAE(2, **SMALL).fit(X),
    "vae-bernoulli": VAE(2, likelihood="bernoulli", **SMALL).fit(X),
    "vae-linear": LinearVAE(2, noise_variance="learned", random_state=0).fit(X),
    "sparse": SparseAutoencoder(2, max_iter=2, random_state=0).fit(X),
    "sparse-coding": SparseCoding(2, sparsity=0.1, random_state=0).fit(X),
}


@pytest.fixture
def models():
    """All the fitted models, which must not change while the test runs."""
    fitted = [copy.deepcopy(model) for model in FITTED.values()]
    before = pickle.dumps(fitted)
    yield fitted
    assert pickle.dumps(fitted) == before


def rejects(error, *words):
    """Expect exactly this error, in one or two sentences, with these words in its message."""

    class Rejection:
        def __enter__(self):
            return self

        def __exit__(self, kind, value, traceback):
            assert kind is error, f"raised {kind}: {value}"
            message = str(value)
            for word in words:
                assert word in message, f"{word!r} is not in: {message}"
            assert message.endswith(".") and len(re.findall(r"[.?!:] [A-Z]", message)) <= 1
            return True

    return Rejection()


def with_value(value, dtype=np.float64):
    bad = X.astype(dtype)
    bad[3, 1] = value
    return bad


# what is handed in, the error, and what its message must name: the argument, and what is wrong
BAD_DATA = {
    "NaN": (with_value(np.nan), ValueError, "NaN", "row 3, column 1"),
    "inf": (with_value(np.inf), ValueError, "infinity", "row 3, column 1", "inf"),
    "-inf": (with_value(-np.inf), ValueError, "infinity", "row 3, column 1", "-inf"),
    "NaN in float32": (with_value(np.nan, np.float32), ValueError, "NaN", "row 3, column 1"),
    "None inside": (with_value(None, object), ValueError, "NaN", "row 3, column 1"),
    "too large": (X * 1e200, ValueError, "too large", "float64", "Scale"),
    "larger still": (X * [1e308, 1e308, -1e308, 1e308], ValueError, "too large", "Scale"),
    "beyond float64": ([[10**400, 1, 1, 1]] * 20, ValueError, "real numbers", "too large"),
    "0-D": (3.0, ValueError, "2-D", "0-D", "()"),
    "1-D": (X[0], ValueError, "2-D", "1-D", "(4,)", "reshape(1, -1)"),
    "3-D": (X[None], ValueError, "2-D", "3-D", "(1, 20, 4)", "X.reshape(len(X), -1)"),
    "no rows": (X[:0], ValueError, "0 sample", "at least"),
    "empty list": ([], ValueError, "2-D", "(0,)"),
    "no features": (X[:, :0], ValueError, "0 feature(s)", "(20, 0)", "minimum of 1"),
    "ragged": ([[1, 2, 3, 4], [1, 2]], ValueError, "2-D", "differ in length"),
    "a pair": ((X, np.arange(20)), ValueError, "differ in length", "without labels"),
    "None": (None, ValueError, "2-D", "got None"),
    "a string": ("data.csv", ValueError, "real numbers", "<U8"),
    "strings": (X.astype(str), ValueError, "real numbers", "<U"),
    "bytes": (X.astype(bytes), ValueError, "real numbers", "S"),
    "strings as objects": (X.astype(str).astype(object), ValueError, "real numbers", "object"),
    "strings among numbers": ([[1, "2", 3, 4]] * 20, ValueError, "real numbers"),
    "objects": (np.full((20, 4), object()), TypeError, "real numbers", "object"),
    "dict": ({"a": [1, 2]}, TypeError, "real numbers", "dict"),
    "generator": ((row for row in X), TypeError, "real numbers", "generator"),
    "complex": (X + 0j, ValueError, "real numbers", "Complex data not supported"),
    "complex as objects": ((X + 1j).astype(object), TypeError, "real numbers", "complex"),
    "dates": (np.full((20, 4), np.datetime64("2020")), ValueError, "real numbers", "datetime64"),
    "durations": (
        np.full((20, 4), np.timedelta64(1, "s")),
        ValueError,
        "real numbers",
        "timedelta",
    ),
    "records": (np.zeros((20, 4), [("x", float)]), ValueError, "real numbers"),
    "sparse matrix": (scipy.sparse.csr_matrix(X), TypeError, "sparse", ".toarray()"),
    "sparse array": (scipy.sparse.coo_array(X), TypeError, "sparse", ".toarray()"),
    "masked": (np.ma.masked_greater(X, 0.5), ValueError, "masked", "fill"),
}
TRAIN = ["fit", "fit_transform", "partial_fit"]
USES = ["transform", "reconstruct", "reconstruction_error", "score"]
USES_OF_VAE = [
    "encode",
    "elbo",
    "rate_distortion",
    "log_likelihood",
    "score_samples",
    "active_units",
]


def uses(model):
    return [*USES, *(USES_OF_VAE if isinstance(model, VAE) else [])]


@pytest.mark.parametrize("kind", BAD_DATA)
def test_bad_data_are_refused_by_every_method_of_every_model(kind, models):
    bad, error, *words = BAD_DATA[kind]
    for model in models:
        for method in [*TRAIN, *uses(model)]:
            with rejects(error, "X", *words):
                getattr(model, method)(bad)


@pytest.mark.parametrize(
    "bad, error, words",
    [
        (np.full((3, 2), np.nan), ValueError, ["NaN"]),
        (np.full((3, 2), 1e200), ValueError, ["too large"]),
        (np.ones(2), ValueError, ["1-D", "codes.reshape"]),
        ([["1", "2"]], ValueError, ["real numbers"]),
        (scipy.sparse.eye(2, format="csr"), TypeError, ["codes.toarray()"]),
        (np.ones((3, 4)), ValueError, ["has 4 features", "expecting 2"]),
    ],
)
def test_bad_codes_are_refused_under_their_own_name(bad, error, words, models):
    for model in models:
        with rejects(error, "codes", *words):
            model.inverse_transform(bad)


def test_wrong_number_of_features_is_refused_with_both_numbers(models):
    for model in models:
        for method in uses(model):
            with rejects(ValueError, "X has 3 features", type(model).__name__, "expecting 4"):
                getattr(model, method)(X[:, :3])


def test_one_sample_is_too_few_to_fit_but_not_to_use(models):
    for model in models:
        with rejects(ValueError, "X has 1 sample", type(model).__name__, "at least 2"):
            model.fit(X[:1])
        assert model.transform(X[:1]).shape == (1, 2)


@pytest.mark.parametrize("name", ["mlp-bernoulli", "vae-bernoulli"])
@pytest.mark.parametrize("value", [-1e-9, 1 + 1e-9, 255.0])
def test_bernoulli_data_to_train_on_must_lie_between_0_and_1(name, value):
    bernoulli = copy.deepcopy(FITTED[name])
    for method in TRAIN:
        with rejects(ValueError, "X", "[0, 1]", "Bernoulli", f"{value:.10g}"):
            getattr(bernoulli, method)(with_value(value))
    edges = np.array([[0.0, 1.0, 0.0, 1.0]] * 5)
    assert np.isfinite(bernoulli.fit(edges).score(edges))


@pytest.mark.parametrize("name", ["mlp-bernoulli", "vae-bernoulli"])
@pytest.mark.parametrize("value", [-3.0, 1.5, 255.0])
def test_a_bernoulli_model_answers_for_rows_outside_of_0_and_1(name, value):
    """The encoder needs no likelihood, and the loss is finite for any finite row."""
    bernoulli = FITTED[name]
    for method in uses(bernoulli):
        assert np.isfinite(getattr(bernoulli, method)(with_value(value))).all()


@pytest.mark.parametrize("name", ["mlp-bernoulli", "vae-bernoulli"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_scaling_leaves_outside_by_rounding_is_put_onto_the_edge(name, dtype):
    """As min-max scaling does: ``(x − low) · (1 / (high − low))`` may be 1 + ε."""
    new = type(FITTED[name])(**FITTED[name].get_params())
    inside = X.astype(dtype)
    inside[3, 1], inside[2, 2] = 1, 0
    outside = inside.copy()
    outside[3, 1], outside[2, 2] = 1 + np.finfo(dtype).eps, -np.finfo(dtype).eps
    given = outside.copy()
    np.testing.assert_array_equal(
        new.fit(outside).parameters_, copy.deepcopy(new).fit(inside).parameters_
    )
    np.testing.assert_array_equal(outside, given)  # which stay the caller's


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_eight_roundings_outside_of_0_and_1_are_put_onto_the_edge_and_nine_are_refused(dtype):
    eps = np.finfo(dtype).eps
    for outside, edge in ((1 + 8 * eps, 1), (-8 * eps, 0)):
        X = np.array([[0.5, outside]], dtype)
        assert check_unit_interval(X).tolist() == [[0.5, edge]]
    for outside in (1 + 9 * eps, -9 * eps):
        with rejects(ValueError, "X must lie in [0, 1]"):
            check_unit_interval(np.array([[0.5, outside]], dtype))


def test_float32_model_refuses_what_float32_cannot_hold():
    X32 = X.astype(np.float32)
    fitted = LinearAutoencoder(2, random_state=0).fit(X32)
    with rejects(ValueError, "X", "infinity", "row 0"):
        fitted.transform(X * 1e60)
    for method in ("fit", "transform"):
        with rejects(ValueError, "X is too large", "squares overflow float32", "Scale"):
            getattr(fitted, method)(X32 * np.float32(1e25))
    tall = np.zeros((2**19, 1), np.float32)  # the squares of each half fit in, not those of both
    tall[[0, -1]] = 1.6e19
    with rejects(ValueError, "X is too large", "squares overflow float32", "up to 1.6e+19"):
        LinearAutoencoder(1).fit(tall)


@pytest.mark.parametrize(
    "good",
    [X.tolist(), X.astype(np.float16), X > 0.5, X.astype(object), (X * 9).astype(np.uint8),
     np.ma.masked_array(X, mask=False), np.asmatrix(X), X.astype(np.longdouble)],
    ids=["list", "float16", "bool", "object", "uint8", "unmasked", "matrix", "longdouble"],
)  # fmt: skip
def test_anything_that_is_a_table_of_numbers_is_taken(good):
    array = check_samples(good)
    assert type(array) is np.ndarray and array.dtype == np.float64
    np.testing.assert_array_equal(array, np.asarray(good, dtype=np.float64))


def test_pandas_like_tables_are_taken():
    class Frame:  # what NumPy asks of a pandas.DataFrame
        def __array__(self, dtype=None, copy=None):
            return X

    np.testing.assert_array_equal(check_samples(Frame()), X)


def test_good_data_are_not_copied():
    assert check_samples(X) is X


# --- hyper-parameters --------------------------------------------------------------------------

L, T, A, V = LinearAutoencoder, TiedAutoencoder, Autoencoder, VAE
S, C = SparseAutoencoder, SparseCoding

# model, argument, value, error, and what the message must name beside the argument and the value
BAD_HYPERPARAMETERS = [
    *[
        case
        for model in (L, T, A, V)
        for case in [
            (model, "n_components", 0, ValueError, "at least 1"),
            (model, "n_components", -3, ValueError, "at least 1"),
            (model, "n_components", 2.0, TypeError, "integer"),
            (model, "n_components", np.float64(2), TypeError, "integer"),
            (model, "n_components", True, TypeError, "integer"),
            (model, "n_components", "2", TypeError, "integer"),
            (model, "n_components", None, TypeError, "integer"),
            (model, "solver", "newton", ValueError, "'sgd'", "'adam'"),
            (model, "solver", None, ValueError, "'sgd'", "'adam'"),
            (model, "learning_rate", 0.0, ValueError, "greater than 0"),
            (model, "learning_rate", -1e-3, ValueError, "greater than 0"),
            (model, "learning_rate", np.nan, ValueError, "greater than 0"),
            (model, "learning_rate", np.inf, ValueError, "finite"),
            (model, "learning_rate", "fast", TypeError, "number"),
            (model, "learning_rate", Fraction(1, 100), TypeError, "number"),
            (model, "batch_size", 0, ValueError, "at least 1"),
            (model, "batch_size", 32.0, TypeError, "integer"),
            (model, "weight_decay", -0.1, ValueError, "at least 0"),
            (model, "weight_decay", 1j, TypeError, "number"),
            (model, "max_iter", 0, ValueError, "at least 1"),
            (model, "max_iter", 10.5, TypeError, "integer"),
            (model, "tol", -1e-9, ValueError, "at least 0"),
            (model, "tol", np.nan, ValueError, "at least 0"),
            (model, "verbose", 1, TypeError, "True or False"),
            (model, "random_state", -1, ValueError, "non-negative"),
            (model, "random_state", 1.5, ValueError, "integer"),
            (model, "random_state", True, ValueError, "integer"),
            (model, "random_state", "seed", ValueError, "integer"),
            (
                model,
                "random_state",
                np.random.RandomState(0),
                ValueError,
                "numpy.random.Generator",
            ),
        ]
    ],
    *[
        case
        for model in (A, V)
        for case in [
            (model, "hidden_layer_sizes", 64, TypeError, "(64,)"),
            (model, "hidden_layer_sizes", (8, 0), ValueError, "at least 1"),
            (model, "hidden_layer_sizes", (8.0,), TypeError, "integer"),
            (model, "activation", "swish", ValueError, "'relu'", "'tanh'"),
            (model, "momentum", -0.1, ValueError, "from 0 to 1"),
            (model, "momentum", 1.1, ValueError, "from 0 to 1"),
            (model, "n_iter_no_change", 0, ValueError, "at least 1"),
            (model, "early_stopping", "yes", TypeError, "True or False"),
            (model, "validation_fraction", 0.0, ValueError, "between 0 and 1"),
            (model, "validation_fraction", 1.0, ValueError, "between 0 and 1"),
        ]
    ],
    (L, "n_components", 5, ValueError, "at most", "features, 4"),
    (T, "n_components", 5, ValueError, "at most", "features, 4"),
    (T, "solver", "alternating", ValueError, "'lbfgs'", "'adam'"),
    (A, "solver", "auto", ValueError, "'lbfgs'", "'adam'"),
    (A, "loss", "mse", ValueError, "'squared_error'", "'bernoulli'"),
    (V, "likelihood", "poisson", ValueError, "'gaussian'", "'bernoulli'"),
    (V, "beta", -1.0, ValueError, "at least 0"),
    (V, "beta", np.inf, ValueError, "finite"),
    (V, "beta", "1", TypeError, "number"),
    (V, "beta", [1.0], TypeError, "number"),
    (V, "beta_warmup", -1, ValueError, "at least 0"),
    (V, "beta_warmup", 1.5, TypeError, "integer"),
    (V, "noise_variance", 0.0, ValueError, "greater than 0"),
    (V, "noise_variance", -1, ValueError, "greater than 0"),
    (V, "noise_variance", "trained", ValueError, "a number greater than 0 or 'learned'"),
    (V, "noise_variance", None, TypeError, "number"),
    (S, "penalty", "l2", ValueError, "'l1'", "'kl'"),
    (S, "sparsity", 0.0, ValueError, "greater than 0"),
    (S, "n_steps", 0, ValueError, "at least 1"),
    (S, "kl_weight", -1.0, ValueError, "at least 0"),
    (C, "sparsity", -0.1, ValueError, "greater than 0"),
    (C, "n_components", 0, ValueError, "at least 1"),
    (C, "max_iter", 0, ValueError, "at least 1"),
]


@pytest.mark.parametrize("model_class, name, value, error, words",
                         [(*case[:4], case[4:]) for case in BAD_HYPERPARAMETERS])  # fmt: skip
def test_impossible_hyper_parameters_are_refused_by_fit(model_class, name, value, error, words):
    shown = repr(value[-1]) if isinstance(value, tuple) else repr(value)
    with rejects(error, name, f"got {shown}", *words):
        model_class(**{name: value}).fit(X)

    names = {L: "linear", T: "tied", A: "mlp", V: "vae", S: "sparse", C: "sparse-coding"}
    fitted = copy.deepcopy(FITTED[names[model_class]])
    before, good = pickle.dumps(fitted), fitted.get_params()
    fitted.set_params(**{name: value})
    with pytest.raises(error):
        fitted.fit(X)
    assert pickle.dumps(fitted.set_params(**good)) == before


@pytest.mark.parametrize(
    "bad, words",
    [
        (L(solver="alternating", weight_decay=0.1), ["weight_decay", "alternating", "0.1"]),
        (V(solver="lbfgs"), ["solver must be 'adam' or 'sgd'", "'lbfgs'", "LinearVAE"]),
        (V(solver="auto"), ["solver must be 'adam' or 'sgd'", "'auto'", "LinearVAE"]),
        (
            A(architecture=FullyConnected((3,)), hidden_layer_sizes=(5,)),
            ["hidden_layer_sizes", "(64,)", "architecture", "(5,)"],
        ),
        (V(architecture=FullyConnected((3,)), activation="tanh"), ["activation", "'tanh'"]),
        (A(solver="lbfgs", early_stopping=True), ["early_stopping", "solver='lbfgs'", "True"]),
    ],
)
def test_impossible_combinations_are_refused(bad, words):
    with rejects(ValueError, *words):
        bad.fit(X)


def test_numpy_scalars_and_lists_are_as_good_as_pythons_own():
    plain = VAE(2, hidden_layer_sizes=(3,), batch_size=7, max_iter=2, learning_rate=0.5, beta=2.0,
                early_stopping=True, random_state=3)  # fmt: skip
    numpys = VAE(np.int64(2), hidden_layer_sizes=[np.int32(3)], batch_size=np.uint8(7),
                 max_iter=np.int16(2), learning_rate=np.float64(0.5), beta=2,
                 early_stopping=np.bool_(True), random_state=np.uint32(3))  # fmt: skip
    np.testing.assert_array_equal(plain.fit(X).parameters_, numpys.fit(X).parameters_)


def test_unknown_parameters_are_refused_and_nothing_is_set(models):
    for model in models:
        with rejects(ValueError, "'n_component'", type(model).__name__, "n_components"):
            model.set_params(random_state=5, n_component=3)


@pytest.mark.parametrize(
    "method", ["sample", "elbo", "rate_distortion", "log_likelihood", "score_samples"]
)
@pytest.mark.parametrize("n_samples, error", [(0, ValueError), (-1, ValueError), (2.0, TypeError),
                                              (None, TypeError), (True, TypeError)])  # fmt: skip
def test_number_of_samples_must_be_a_positive_integer(method, n_samples, error):
    arguments = [] if method == "sample" else [X]
    with rejects(error, "n_samples", f"got {n_samples!r}"):
        getattr(FITTED["vae"], method)(*arguments, n_samples=n_samples)


@pytest.mark.parametrize(
    "method", ["elbo", "score", "rate_distortion", "log_likelihood", "score_samples"]
)
def test_samples_at_which_a_bound_overflows_are_refused(method):
    model = copy.deepcopy(FITTED["vae-linear"])
    model.encoder_.layers[-1].weight[:, 2:] = 1.0  # a variance of e^(sum of the features)
    assert np.isfinite(model.elbo(X))
    with rejects(ValueError, "X", "too far", "overflows", "Scale"):
        getattr(model, method)(1000 * X)


@pytest.mark.parametrize("bad", [VAE, X, None])
def test_gradient_check_wants_a_model(bad):
    with rejects(TypeError, "model must be an autoencoder", f"got {bad!r}"):
        gradient_check(bad, X)


BAD_THEORY = [
    (theory.pca, (with_value(np.nan),), ValueError, "row 3, column 1"),
    (theory.pca, (X[0],), ValueError, "2-D"),
    (theory.linear_autoencoder_optimum, (X, 5), ValueError, "from 1 to 4; got 5"),
    (theory.linear_autoencoder_optimum, (X, 0), ValueError, "from 1 to 4; got 0"),
    (theory.linear_autoencoder_optimum, (X, 2.0), TypeError, "n_components must be an integer"),
    (theory.linear_vae_optimum, ([2, 1], 0, 1, 1), ValueError, "n_components must be at least 1"),
    (theory.linear_vae_optimum, ([2, 1], 1, -1, 1), ValueError, "beta must be"),
    (theory.linear_vae_optimum, ([2, 1], 1, 1, 0), ValueError, "noise_variance must be"),
]


@pytest.mark.parametrize("function, arguments, error, words", BAD_THEORY)
def test_the_theory_of_nothing_is_refused(function, arguments, error, words):
    with rejects(error, words):
        function(*arguments)


@pytest.mark.parametrize(
    "method", ["sample", "elbo", "rate_distortion", "log_likelihood", "score_samples"]
)
def test_random_state_of_a_draw_must_be_a_seed_or_a_generator(method):
    arguments = [] if method == "sample" else [X]
    with rejects(ValueError, "random_state", "got 'zero'"):
        getattr(FITTED["vae"], method)(*arguments, random_state="zero")


# --- before fit --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FITTED)
def test_nothing_can_be_used_before_fit(name):
    model = FITTED[name]
    new = type(model)(**model.get_params())
    for method in [*uses(new), "inverse_transform", "loss_and_gradient"]:
        with rejects(NotFittedError, type(new).__name__, "not fitted", "call 'fit'"):
            getattr(new, method)(X)
    fitted_attributes = [a for a in dir(model) if a.endswith("_") and not a.startswith("_")]
    assert len(fitted_attributes) >= 7
    for attribute in fitted_attributes:
        assert not hasattr(new, attribute)  # as of any Python object
        with rejects(NotFittedError, type(new).__name__, "not fitted", "call 'fit'"):
            getattr(new, attribute)


def test_sample_cannot_be_drawn_before_fit():
    with rejects(NotFittedError, "VAE", "not fitted"):
        VAE().sample()


def test_misspelt_attribute_is_no_matter_of_fitting():
    for model in (VAE(), FITTED["vae"]):
        for name in ("encode_X", "encodr_", "_paramters"):
            with pytest.raises(AttributeError, match=f"'VAE' object has no attribute '{name}'"):
                getattr(model, name)


def test_fit_that_refuses_leaves_a_new_model_new():
    for model in FITTED.values():
        new = type(model)(**model.get_params())
        before = vars(new).copy()
        for bad in (with_value(np.nan), X[:1], "X"):
            with pytest.raises(ValueError):
                new.fit(bad)
        assert vars(new) == before
