"""Other units, offsets and precisions: what theory says is the same must come out the same."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nanoae import (
    LinearAutoencoder,
    LinearVAE,
    SparseAutoencoder,
    SparseCoding,
    TiedAutoencoder,
    theory,
)

RNG = np.random.default_rng(0)
X = RNG.standard_normal((60, 5)) @ np.diag([3.0, 2.0, 1.0, 0.7, 0.5]) + [1, 0, -1, 2, 0]
OPTIMA = {  # exact solvers: the optimum is the same
    "linear": LinearAutoencoder(2, random_state=0),
    "alternating": LinearAutoencoder(2, solver="alternating", random_state=0),
    "tied": TiedAutoencoder(2, random_state=0),
}
PATHS = {  # others take the same path
    "linear-adam": LinearAutoencoder(2, solver="adam", max_iter=300, random_state=0),
    "linear-sgd": LinearAutoencoder(2, solver="sgd", max_iter=300, random_state=0),
    "linear-batches": LinearAutoencoder(
        2, solver="adam", batch_size=16, max_iter=60, random_state=0
    ),
    "tied-adam": TiedAutoencoder(2, solver="adam", max_iter=300, random_state=0),
}
DOUBLE = st.floats(-12, 12)
SINGLE = st.floats(-6, 6)


def fitted(model, X):
    return copy.deepcopy(model).fit(X)


@pytest.mark.parametrize("name", OPTIMA)
@given(DOUBLE)
@example(-12.0)
@example(-8.0)
@example(12.0)
@settings(max_examples=12)
def test_exact_solvers_know_no_units(name, exponent):
    scale = 10.0**exponent
    one, other = fitted(OPTIMA[name], X), fitted(OPTIMA[name], scale * X)
    least, _ = theory.linear_autoencoder_optimum(X, 2)
    assert one.loss_ == pytest.approx(least, rel=1e-9)
    assert other.loss_ == pytest.approx(scale**2 * least, rel=1e-9)
    reconstructed = other.reconstruct(scale * X) / scale
    np.testing.assert_allclose(reconstructed, one.reconstruct(X), rtol=0, atol=1e-7)
    assert other.history_["loss"][-1] == pytest.approx(other.loss_)


@pytest.mark.parametrize("name", OPTIMA)
@given(SINGLE)
@example(-6.0)
@example(6.0)
@settings(max_examples=6)
def test_nor_do_they_in_single_precision(name, exponent):
    scale = np.float32(10.0**exponent)
    X32 = X.astype(np.float32)
    other = fitted(OPTIMA[name].set_params(tol=1e-6), scale * X32)
    least, _ = theory.linear_autoencoder_optimum(X, 2)
    assert other.loss_ == pytest.approx(float(scale) ** 2 * least, rel=1e-4)
    OPTIMA[name].set_params(tol=1e-11)


@pytest.mark.parametrize("name", PATHS)
@pytest.mark.parametrize("exponent", [-40, -3, 2, 40])
def test_first_order_solvers_take_the_same_path_in_units_of_powers_of_two(name, exponent):
    scale = 2.0**exponent
    one, other = fitted(PATHS[name], X), fitted(PATHS[name], scale * X)
    np.testing.assert_allclose(other.parameters_, one.parameters_, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(other.history_["loss"], scale**2 * one.history_["loss"], rtol=1e-9)


@pytest.mark.parametrize("name", PATHS)
@pytest.mark.parametrize("scale", [1e-12, 1e-5, 3.0, 1e12])
def test_and_nearly_the_same_in_all_others(name, scale):
    least, _ = theory.linear_autoencoder_optimum(X, 2)
    one, other = fitted(PATHS[name], X).loss_, fitted(PATHS[name], scale * X).loss_ / scale**2
    total = np.sum(X.var(axis=0))
    assert one < least + 0.3 * (total - least) and other < least + 0.3 * (total - least)


@given(DOUBLE)
@example(-12.0)
@example(2.0)
@example(12.0)
@settings(max_examples=10)
def test_a_linear_vae_with_learned_noise_knows_no_units(exponent):
    """x in another unit has another density: ``log p(s x) = log p(x) − d log s``."""
    scale = 10.0**exponent
    model = LinearVAE(2, noise_variance="learned", tol=1e-9, random_state=0)
    one, other = fitted(model, X), fitted(model, scale * X)
    shift = X.shape[1] * np.log(scale)
    assert one.active_units(X) == other.active_units(scale * X) == 2
    assert other.loss_ == pytest.approx(one.loss_ + shift, abs=1e-8)
    assert other.elbo(scale * X) == pytest.approx(-other.loss_, abs=1e-8)
    assert other.noise_variance_ == pytest.approx(scale**2 * one.noise_variance_, rel=1e-5)
    np.testing.assert_allclose(
        other.reconstruct(scale * X) / scale, one.reconstruct(X), rtol=0, atol=1e-4
    )


@given(st.floats(-4, 4), st.sampled_from([0.5, 1.0, 3.0]))
@settings(max_examples=8)
def test_a_linear_vae_with_noise_in_the_same_unit_knows_no_units(exponent, beta):
    scale = 10.0**exponent
    model = LinearVAE(2, noise_variance=0.4, beta=beta, tol=1e-9, random_state=0)
    one = fitted(model, X)
    other = fitted(model.set_params(noise_variance=0.4 * scale**2), scale * X)
    assert other.loss_ == pytest.approx(one.loss_ + X.shape[1] * np.log(scale), abs=1e-8)
    for found, right in zip(other.rate_distortion(scale * X), one.rate_distortion(X), strict=True):
        assert found in (pytest.approx(right, abs=1e-5), pytest.approx(scale**2 * right, rel=1e-5))


@pytest.mark.parametrize("exponent", [-40, -10, 3, 40])
@pytest.mark.parametrize("model", [
    SparseCoding(6, sparsity=0.5, max_iter=20, random_state=0),
    SparseAutoencoder(6, sparsity=0.5, n_steps=2, max_iter=20, random_state=0),
], ids=lambda model: type(model).__name__)  # fmt: skip
def test_sparse_models_know_no_units_if_sparsity_has_the_same(model, exponent):
    scale = 2.0**exponent
    one = fitted(model, X)
    other = copy.deepcopy(model).set_params(sparsity=scale * model.sparsity).fit(scale * X)
    np.testing.assert_allclose(other.components_, one.components_, rtol=1e-7, atol=1e-9)
    codes = one.transform(X)
    np.testing.assert_allclose(
        other.transform(scale * X), scale * codes, rtol=1e-6, atol=1e-7 * scale
    )
    assert other.loss_ == pytest.approx(scale**2 * one.loss_, rel=1e-8)


# --- offsets ---------------------------------------------------------------------------------


def pressures(constant):
    """Single precision, with one column of a large constant: pascals among standard normals."""
    noise = np.random.default_rng(0).standard_normal((9000, 30)).astype(np.float32)
    noise[:, 7] = constant
    return noise


@pytest.mark.parametrize("constant", [101325.0, -3e6, 1e-3])
@pytest.mark.parametrize("model", [
    LinearAutoencoder(1, random_state=0), TiedAutoencoder(1, random_state=0),
    LinearAutoencoder(1, solver="alternating", random_state=0),
    LinearAutoencoder(1, solver="sgd", random_state=0),
], ids=repr)  # fmt: skip
def test_a_large_constant_in_single_precision_is_not_a_component(model, constant):
    X32 = pressures(constant)
    model = fitted(model.set_params(tol=1e-6, max_iter=3000), X32)
    least, _ = theory.linear_autoencoder_optimum(X32, 1)
    assert model.loss_ == pytest.approx(least, rel=2e-3 if model.solver == "sgd" else 1e-5)
    assert model.mean_[7] == np.float32(constant)
    assert abs(model.decoder_weight_[7, 0]) < 1e-3 * np.linalg.norm(model.decoder_weight_)


@given(st.floats(0, 5), st.integers(0, 2**32 - 1))
@settings(max_examples=10)
def test_means_and_variances_are_those_of_double_precision(exponent, seed):
    rng = np.random.default_rng(seed)
    X32 = (rng.standard_normal((3000, 4)) + 10**exponent).astype(np.float32)
    exact = X32.astype(np.float64)
    for model in (
        LinearAutoencoder(2, max_iter=2), SparseAutoencoder(3, max_iter=1),
        SparseCoding(3, max_iter=1, tol=1.0), LinearVAE(2, max_iter=2),
    ):  # fmt: skip
        model.initialise(X32)
        moments = model._moments
        np.testing.assert_allclose(moments.mean, exact.mean(axis=0), rtol=1e-14)
        assert moments.variance == pytest.approx(exact.var(axis=0).sum(), rel=1e-9)
        if moments.factor is not None:
            np.testing.assert_allclose(
                moments.factor.T @ moments.factor / 3000, np.cov(exact.T, bias=True),
                rtol=1e-8, atol=1e-9,
            )  # fmt: skip


def test_sparse_models_do_not_mind_a_large_constant_in_single_precision():
    X32 = pressures(101325.0)[:500]
    for model in (
        SparseAutoencoder(4, sparsity=1.0, max_iter=3, random_state=0),
        SparseCoding(4, sparsity=1.0, max_iter=3, random_state=0),
    ):
        model.fit(X32)
        assert model.mean_[7] == np.float32(101325.0)
        assert np.all(np.abs(model.components_[:, 7]) < 0.9)


# --- more components than the data have ---------------------------------------------------------


@pytest.mark.parametrize("rank", [0, 1, 2, 3])
@pytest.mark.parametrize("k", [1, 2, 3, 5])
@pytest.mark.filterwarnings("error")
def test_alternating_knows_when_it_is_done_beyond_the_rank(rank, k):
    rng = np.random.default_rng(rank)
    low = rng.standard_normal((40, rank)) @ rng.standard_normal((rank, 5)) + 3
    model = LinearAutoencoder(k, solver="alternating", random_state=0).fit(low)
    least, _ = theory.linear_autoencoder_optimum(low, k)
    assert model.loss_ == pytest.approx(least, abs=1e-12)
    assert model.n_iter_ < (1000 if k < rank else 5)


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
@pytest.mark.parametrize(
    "model",
    [*OPTIMA.values(), LinearVAE(2, noise_variance="learned", random_state=0)],
    ids=[*OPTIMA, "vae"],
)
def test_the_first_part_is_trained_on_as_if_it_were_all(model, scale):
    first, whole = copy.deepcopy(model).partial_fit(scale * X), fitted(model, scale * X)
    assert np.array_equal(first.parameters_, whole.parameters_)
