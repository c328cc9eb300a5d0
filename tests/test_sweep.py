"""beta_sweep: one model a β, in this process or in others."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import pytest

from nanoae import VAE, LinearAutoencoder, beta_sweep

X = np.random.default_rng(0).uniform(size=(30, 4))
BETAS = [0.1, 1.0, 10.0]
MODEL = VAE(2, hidden_layer_sizes=(4,), noise_variance=0.05, max_iter=3, random_state=0)


def bits(sweep):
    """All numbers of a sweep in one row a β, parameters included."""
    columns = [sweep.beta, sweep.rate, sweep.distortion, sweep.elbo, sweep.active_units]
    parameters = np.array([model.parameters_ for model in sweep.models])
    return np.column_stack([*columns, parameters])


def test_each_entry_is_what_a_model_of_ones_own_would_say():
    sweep = beta_sweep(X, BETAS, model=MODEL)
    for i, beta in enumerate(BETAS):
        own = VAE(**{**MODEL.get_params(), "beta": beta}).fit(X)
        assert sweep.beta[i] == sweep.models[i].beta == beta
        assert (sweep.rate[i], sweep.distortion[i]) == own.rate_distortion(X)
        assert sweep.elbo[i] == own.elbo(X)
        assert sweep.active_units[i] == own.active_units(X)
        np.testing.assert_array_equal(sweep.models[i].parameters_, own.parameters_)


def test_result_is_a_tuple_of_equally_long_arrays():
    sweep = beta_sweep(X, BETAS, model=MODEL)
    assert sweep._fields == ("beta", "rate", "distortion", "elbo", "active_units", "models")
    for array in sweep[:4]:
        assert array.shape == (3,) and array.dtype == np.float64
    assert sweep.active_units.shape == (3,) and sweep.active_units.dtype.kind == "i"
    assert len(sweep.models) == 3


@pytest.mark.parametrize("betas", [np.array(BETAS), tuple(BETAS), iter(BETAS), np.array([1, 2])])
def test_betas_may_be_any_list_of_numbers_and_are_kept_in_order(betas):
    expected = [1.0, 2.0] if isinstance(betas, np.ndarray) and len(betas) == 2 else BETAS
    sweep = beta_sweep(X, betas, model=MODEL)
    assert sweep.beta.tolist() == [model.beta for model in sweep.models] == expected
    assert sweep.beta is not betas


def test_the_model_that_is_given_is_a_pattern_and_stays_as_it_was():
    model = VAE(**MODEL.get_params()).fit(X)
    before, parameters = model.get_params(), model.parameters_.copy()
    sweep = beta_sweep(X, BETAS, model=model)
    assert model.get_params() == before
    np.testing.assert_array_equal(model.parameters_, parameters)
    for trained in sweep.models:
        assert {**trained.get_params(), "beta": model.beta} == before


def test_without_a_model_it_is_the_default_one():
    sweep = beta_sweep(X[:4], [2.0])
    assert {**sweep.models[0].get_params(), "beta": 1.0} == VAE().get_params()


def test_other_threads_and_other_processes_give_the_same_bits():
    expected = bits(beta_sweep(X, BETAS, model=MODEL))
    with ThreadPoolExecutor(3) as executor:
        np.testing.assert_array_equal(
            bits(beta_sweep(X, BETAS, model=MODEL, executor=executor)), expected
        )
    # spawn: the workers know nothing but what they are sent
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=context) as executor:
        np.testing.assert_array_equal(
            bits(beta_sweep(X, BETAS, model=MODEL, executor=executor)), expected
        )


def test_a_generator_gives_one_seed_to_all_so_that_order_does_not_matter():
    def sweep(betas, executor=None):
        model = VAE(**{**MODEL.get_params(), "random_state": np.random.default_rng(5)})
        return bits(beta_sweep(X, betas, model=model, executor=executor))

    forward = sweep(BETAS)
    np.testing.assert_array_equal(sweep(BETAS[::-1]), forward[::-1])
    with ThreadPoolExecutor(3) as executor:
        np.testing.assert_array_equal(sweep(BETAS, executor), forward)


def test_progress_is_shown_on_stderr_if_asked_for(capsys):
    beta_sweep(X, [1.0], model=MODEL)
    assert capsys.readouterr() == ("", "")
    beta_sweep(X, [1.0], model=MODEL, verbose=True)
    out, err = capsys.readouterr()
    assert out == "" and "1/1" in err


class Untouched(VAE):
    """Shows that nothing is trained before all has been checked."""

    def fit(self, X, y=None):
        raise AssertionError("trained before all arguments were checked")


@pytest.mark.parametrize(
    "betas, error, words",
    [
        ([], ValueError, r"betas .*at least one.* got \[\]"),
        (1.0, ValueError, r"betas .*list.* got 1\.0"),
        (None, ValueError, r"betas .*list.* got None"),
        ([1.0, -0.5], ValueError, r"betas .*at least 0; got -0\.5"),
        ([1.0, np.nan], ValueError, r"betas .*finite.* got nan"),
        ([1.0, np.inf], ValueError, r"betas .*finite.* got inf"),
        (["1", "2"], TypeError, r"betas must be a number; got '1'"),
        ([1.0, None], TypeError, r"betas must be a number; got None"),
        ([1j], TypeError, r"betas must be a number; got 1j"),
        (np.ones((2, 2)), TypeError, r"betas must be a number; got array\(\[1\., 1\.\]\)"),
        ([[1, 2], [3]], TypeError, r"betas must be a number; got \[1, 2\]"),
    ],
)
def test_impossible_betas_are_refused_before_any_training(betas, error, words):
    with pytest.raises(error, match=words):
        beta_sweep(X, betas, model=Untouched())


def test_impossible_data_and_models_are_refused():
    with pytest.raises(ValueError, match="X contains NaN"):
        beta_sweep(np.full((5, 2), np.nan), BETAS, model=Untouched())
    with pytest.raises(ValueError, match="differ in length"):
        beta_sweep([[1, 2], [3]], BETAS, model=Untouched())
    for model in (LinearAutoencoder(), VAE, "vae"):
        with pytest.raises(TypeError, match="model must be a VAE"):
            beta_sweep(X, BETAS, model=model)
    with pytest.raises(ValueError, match="n_components must be at least 1; got 0"):
        beta_sweep(X, BETAS, model=VAE(0))
