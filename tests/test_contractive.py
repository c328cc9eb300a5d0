"""Chapter 9: the norm of the Jacobian, its gradient, what it forbids and what it does not."""

from __future__ import annotations

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np
import pytest
from effort import scaled
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.polynomial.hermite_e import hermegauss
from scipy.optimize import minimize
from test_layers import Residual
from theory_report import verify

import nanoae
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
    theory,
)
from nanoae.network import (
    ACTIVATIONS,
    MLP,
    Architecture,
    Convolutional,
    Dense,
    Parameters,
    Recurrent,
    Sequential,
    Transformer,
    Transposed,
)
from nanoae.network.jacobian import backward, check_dense, jacobian, squared_jacobian

EPS = np.finfo(float).eps
SEEDS = st.integers(0, 2**32 - 1)
SIZES = st.integers(1, 5)
SMOOTH = st.sampled_from(["tanh", "sigmoid", "softplus", "identity"])
COMPLEX = 1e-12  # the project's standard for the complex step (1.6)

# as the text writes them, for complex arguments
TEXTBOOK = {
    "identity": (lambda a: a, lambda a: 0 * a + 1),
    "relu": (lambda a: a * (a.real > 0), lambda a: 0 * a + (a.real > 0)),
    "tanh": (np.tanh, lambda a: 1 / np.cosh(a) ** 2),
    "sigmoid": (lambda a: 1 / (1 + np.exp(-a)), lambda a: 1 / (2 + np.exp(a) + np.exp(-a))),
    "softplus": (lambda a: np.log(1 + np.exp(a)), lambda a: 1 / (1 + np.exp(-a))),
}


def complex_step(f, x, h=1e-30):
    z, gradient = x.astype(complex), np.empty(x.shape)
    for place in np.ndindex(x.shape):
        z[place] += 1j * h
        gradient[place] = f(z).imag / h
        z[place] = x[place]
    return gradient


def relative_error(found, right):
    return np.abs(found - right).max() / max(np.abs(right).max(), 1e-3)


def drawn(sizes, activation, last, rng):
    """A network with random weights, small enough that no slope is lost to rounding."""
    network = MLP(sizes, activation, last=last)
    parameters = Parameters({"network": network})
    parameters.values[...] = 0.5 * rng.standard_normal(parameters.values.shape)
    return network, parameters


def by_definition(theta, sizes, names, x):
    """Code ``(n, k)`` and Jacobian ``(n, k, d)`` as products of matrices, sample by sample."""
    h, J, start = x, np.broadcast_to(np.eye(x.shape[1]), (len(x), x.shape[1], x.shape[1])), 0
    for (n_in, n_out), name in zip(pairwise(sizes), names, strict=True):
        W = theta[start : start + n_in * n_out].reshape(n_in, n_out).T
        b = theta[start + n_in * n_out : start + (n_in + 1) * n_out]
        start += (n_in + 1) * n_out
        f, slope = TEXTBOOK[name]
        a = h @ W.T + b
        h, J = f(a), slope(a)[:, :, None] * (W @ J)
    return h, J


# --- 1: one layer ---------------------------------------------------------------------------


@pytest.mark.equation("9.1")
@pytest.mark.equation("9.1a")
@given(seed=SEEDS, n=SIZES, d=SIZES, k=st.integers(1, 7), name=SMOOTH)
@settings(max_examples=40)
def test_one_layer_in_closed_form(seed, n, d, k, name):
    rng = np.random.default_rng(seed)
    encoder, parameters = drawn((d, k), "identity", name, rng)
    x, w = rng.standard_normal((n, d)), rng.uniform(0.1, 2, n)

    def omega(theta):
        J = by_definition(theta, (d, k), [name], x)[1]
        return np.sum(w[:, None, None] * J**2) / n

    h = encoder.forward(x)
    found, shares = squared_jacobian(encoder, w)
    verify("9.1", abs(found / omega(parameters.values) - 1), 1e-13)
    backward(encoder, np.zeros_like(h), shares, 1.0)
    right = complex_step(omega, parameters.values)
    verify("9.1a", relative_error(parameters.gradient, right), COMPLEX)


@pytest.mark.equation("9.1b")
@given(seed=SEEDS, scale=st.sampled_from([0.1, 1.0, 10.0]))
@settings(max_examples=20)
def test_second_derivatives_from_the_output(seed, scale):
    a = scale * np.random.default_rng(seed).uniform(-3, 3, 50)
    for name, activation in ACTIVATIONS.items():
        y = activation.value(a.copy())
        right = TEXTBOOK[name][1](a + 1e-30j).imag / 1e-30
        found = activation.second_derivative(y)
        assert found is not y
        # y is off by a rounding or two, which the formulas take over with a factor below 4
        verify("9.1b", np.abs(found - right).max(), 8 * EPS)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_second_derivatives_at_extreme_inputs(name, dtype):
    a = np.array([-1e4, -800, -100, 100, 800, 1e4], dtype)
    curvature = ACTIVATIONS[name].second_derivative(ACTIVATIONS[name].value(a.copy()))
    assert curvature.dtype == dtype
    np.testing.assert_allclose(curvature, 0, atol=1e-40)  # all are straight by then


# --- 2: any depth ---------------------------------------------------------------------------


WIDTHS = st.lists(st.integers(1, 5), min_size=2, max_size=5)


@pytest.mark.equation("9.2")
@given(seed=SEEDS, sizes=WIDTHS, n=SIZES, name=st.sampled_from([*ACTIVATIONS]))
@settings(max_examples=30)
def test_rows_of_the_jacobian_are_what_backprop_makes_of_unit_vectors(seed, sizes, n, name):
    rng = np.random.default_rng(seed)
    network, parameters = drawn(sizes, name, name, rng)
    x, names = rng.standard_normal((n, sizes[0])), [name] * (len(sizes) - 1)
    right = by_definition(parameters.values, sizes, names, x)[1]
    verify("9.2", relative_error(jacobian(network, x), right), 1e-13)
    # and that is the derivative: along any direction v
    v = rng.standard_normal(x.shape)
    along = by_definition(parameters.values, sizes, names, x + 1e-30j * v)[0].imag / 1e-30
    verify("9.2", relative_error(np.einsum("nkd,nd->nk", right, v), along), 1e-13)


@pytest.mark.equation("9.2a")
@pytest.mark.equation("9.2b")
@given(
    seed=SEEDS, sizes=WIDTHS, n=SIZES, name=SMOOTH, last=SMOOTH, strength=st.floats(0, 3)
)  # fmt: skip
@settings(max_examples=40)
def test_gradient_by_rows_down_and_up(seed, sizes, n, name, last, strength):
    rng = np.random.default_rng(seed)
    encoder, parameters = drawn(sizes, name, last, rng)
    names = [name] * (len(sizes) - 2) + [last]
    x, w = rng.standard_normal((n, sizes[0])), rng.uniform(0.1, 2, n)
    wish = rng.standard_normal((n, sizes[-1]))  # of the rest of the loss, by the code

    def omega(theta):
        return np.sum(w[:, None, None] * by_definition(theta, sizes, names, x)[1] ** 2) / n

    def loss(theta):
        return np.sum(wish * by_definition(theta, sizes, names, x)[0]) + strength * omega(theta)

    for exactly in (None, np.sqrt(sizes[-1]) * np.eye(sizes[-1])[None].repeat(n, axis=0)):
        encoder.forward(x)
        found, shares = squared_jacobian(encoder, w, exactly)
        verify("9.2a", relative_error(found, omega(parameters.values)), 1e-12)
        backward(encoder, wish, shares, strength)
        right = complex_step(loss, parameters.values)
        verify("9.2b", relative_error(parameters.gradient, right), COMPLEX)


@pytest.mark.equation("9.3")
@given(seed=SEEDS, n=SIZES, d=SIZES, w=st.integers(1, 7), k=SIZES, name=SMOOTH)
@settings(max_examples=30)
def test_below_a_linear_layer_it_is_a_quadratic_form_in_the_slopes(seed, n, d, w, k, name):
    rng = np.random.default_rng(seed)
    encoder, parameters = drawn((d, w, k), name, "identity", rng)
    x = rng.standard_normal((n, d))
    encoder.forward(x)
    W, V = encoder.layers[0].weight.T, encoder.layers[1].weight.T
    form, g = (W @ W.T) * (V.T @ V), TEXTBOOK[name][1](x @ W.T + encoder.layers[0].bias)
    right = (by_definition(parameters.values, (d, w, k), [name, "identity"], x)[1] ** 2).sum() / n
    terms = np.einsum("na,ab,nb->", g, np.abs(form), g) / n  # whose rounding stays if they cancel
    verify("9.3", abs(np.einsum("na,ab,nb->", g, form, g) / n - right) / terms, 1e-14)
    verify("9.3", abs(squared_jacobian(encoder)[0] - right) / terms, 1e-14)


def test_one_sample_that_counts_twice_is_two_samples():
    rng = np.random.default_rng(0)
    for sizes, last in (((4, 3), "tanh"), ((4, 5, 3), "identity"), ((4, 5, 3), "tanh")):
        encoder, parameters = drawn(sizes, "tanh", last, rng)
        x, found = rng.standard_normal((3, 4)), []
        for rows, weights in ((x[[0, 1, 2, 2]], None), (x, np.array([0.75, 0.75, 1.5]))):
            h = encoder.forward(rows)
            omega, shares = squared_jacobian(encoder, weights)
            backward(encoder, np.zeros_like(h), shares, 1.0)
            found.append(np.append(parameters.gradient, omega))
        np.testing.assert_allclose(*found, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("kwargs", [
    {"hidden_layer_sizes": ()}, {"hidden_layer_sizes": (), "code_activation": "sigmoid"},
    {}, {"code_activation": "softplus"}, {"hidden_layer_sizes": (4, 3)}, {"n_probes": 2},
    {"loss": "bernoulli", "weight_decay": 0.3},
], ids=repr)  # fmt: skip
@pytest.mark.parametrize("decoder", ["tied", "unit-norm", "free"])
def test_gradient_of_the_model_by_central_differences(decoder, kwargs):
    model = ContractiveAutoencoder(
        3, decoder=decoder, contraction=0.7, **{"hidden_layer_sizes": (4,), **kwargs}
    )
    check = gradient_check(model, np.random.default_rng(1).random((5, 4)))
    assert check.error < 1e-7, check  # (1.7a)


@pytest.mark.parametrize("decoder", ["tied", "free"])
@pytest.mark.parametrize("sizes", [(), (5,), (5, 4)])
@pytest.mark.parametrize("name", ["tanh", "sigmoid", "softplus"])
def test_gradient_is_that_of_pytorchs_double_backprop(name, sizes, decoder):
    torch = pytest.importorskip("torch")
    X = np.random.default_rng(0).standard_normal((7, 4))
    model = ContractiveAutoencoder(
        3, hidden_layer_sizes=sizes, activation=name, code_activation=name, contraction=0.7,
        decoder=decoder, random_state=0,
    )  # fmt: skip
    model.initialise(X)
    model.parameters_[...] += 0.1 * np.random.default_rng(1).standard_normal(
        model.parameters_.shape
    )
    loss, gradient = model.loss_and_gradient(X)
    theta = {
        key: torch.tensor(model.layout_[key][0].copy(), requires_grad=True)
        for key in model.layout_.names
    }
    functional = {"softplus": torch.nn.functional.softplus, "tanh": torch.tanh,
                  "sigmoid": torch.sigmoid, "identity": lambda a: a}  # fmt: skip
    x = torch.tensor(X, requires_grad=True)
    h, depth = x, len(sizes) + 1
    for i in range(depth):
        a = h @ theta[f"encoder_.layers[{i}].weight"] + theta[f"encoder_.layers[{i}].bias"]
        h = functional[name](a)
    x_hat = h
    for i in range(depth):
        if decoder == "tied":
            W = theta[f"encoder_.layers[{depth - 1 - i}].weight"].T
        else:
            W = theta[f"decoder_.layers[{i}].weight"]
        a = x_hat @ W + theta[f"decoder_.layers[{i}].bias"]
        x_hat = functional[name if i < depth - 1 else "identity"](a)
    rows = [torch.autograd.grad(h[:, j].sum(), x, create_graph=True)[0] for j in range(3)]
    penalty = sum((row**2).sum() for row in rows) / len(X)
    theirs = ((x_hat - x) ** 2).sum() / len(X) + 0.7 * penalty
    theirs.backward()
    assert loss == pytest.approx(theirs.item(), rel=1e-12)
    right = np.concatenate([theta[key].grad.numpy().ravel() for key in model.layout_.names])
    assert relative_error(gradient, right) <= 1e-10


# --- 3: probes ------------------------------------------------------------------------------


def quadrature(k, kind):
    """Nodes u and weights with which polynomials of degree 4 have the mean that probes have."""
    if kind == "signs":
        nodes = np.array(list(product([-1.0, 1.0], repeat=k)))
        return nodes, np.full(len(nodes), 0.5**k)
    if kind == "sphere":  # of radius √2 in the plane: 8 equal angles are exact up to degree 7
        angles = 2 * np.pi * np.arange(8) / 8
        return 2**0.5 * np.column_stack([np.cos(angles), np.sin(angles)]), np.full(8, 1 / 8)
    points, weights = hermegauss(3)  # exact up to degree 5
    nodes = np.array(list(product(points, repeat=k)))
    return nodes, np.prod(list(product(weights / weights.sum(), repeat=k)), axis=1)


@pytest.mark.equation("9.4")
@pytest.mark.equation("9.4a")
@given(seed=SEEDS, k=st.integers(1, 4), d=st.integers(1, 5))
@settings(max_examples=20)
def test_mean_and_variance_of_a_probe(seed, k, d):
    rng = np.random.default_rng(seed)
    for kind in ("signs", "gaussian", "sphere"):
        J = rng.standard_normal((2 if kind == "sphere" else k, d))
        nodes, weights = quadrature(len(J), kind)
        estimates, right = np.sum((nodes @ J) ** 2, axis=1), np.sum(J**2)
        verify("9.4", abs(weights @ estimates / right - 1), 1e-13)
        variance = weights @ (estimates - right) ** 2
        verify("9.4a", abs(theory.probe_variance(J, kind) - variance) / right**2, 1e-13)
    # from the other side, J v, Gaussian probes have the same variance; signs have another
    both = [theory.probe_variance(A, "gaussian") for A in (J, J.T)]
    verify("9.4a", abs(both[0] - both[1]) / np.sum(J**2) ** 2, 1e-13)


def test_signs_from_the_other_side_have_another_variance():
    J = np.array([[1.0, 1.0], [0.0, 0.0]])
    assert theory.probe_variance(J, "signs") == 0
    assert theory.probe_variance(J.T, "signs") == 4


@given(seed=SEEDS, k=st.integers(2, 6))
@settings(max_examples=10)
def test_the_sphere_has_less_variance_than_the_gaussian_and_is_exact_for_isometries(seed, k):
    J = np.random.default_rng(seed).standard_normal((k, k + 1))
    assert theory.probe_variance(J, "sphere") < theory.probe_variance(J, "gaussian")
    Q = np.linalg.qr(J.T)[0].T  # of orthonormal rows
    assert abs(theory.probe_variance(Q, "sphere")) < 1e-13
    assert abs(theory.probe_variance(Q, "signs")) < 1e-13


@pytest.mark.equation("9.4b")
@given(seed=SEEDS, k=st.integers(1, 5), name=SMOOTH)
@settings(max_examples=10)
def test_as_many_orthogonal_probes_as_code_variables_are_exact(seed, k, name):
    rng = np.random.default_rng(seed)
    encoder, _ = drawn((4, 3, k), name, name, rng)
    encoder.forward(rng.standard_normal((6, 4)))
    turns = np.array([np.linalg.qr(rng.standard_normal((k, k)))[0] for _ in range(6)])
    exact, found = squared_jacobian(encoder)[0], squared_jacobian(encoder, None, k**0.5 * turns)[0]
    verify("9.4b", abs(found / exact - 1), 1e-12)


@pytest.mark.parametrize("n_probes", [1, 3])
def test_loss_and_gradient_with_probes_are_right_on_average(n_probes):
    """z-tests at 5.5 standard errors, of 40 numbers: a false alarm in 600,000, and fixed seeds."""
    X = np.random.default_rng(0).standard_normal((20, 3))
    exact = ContractiveAutoencoder(4, hidden_layer_sizes=(3,), contraction=1.0, random_state=0)
    exact.initialise(X)
    exact.parameters_[...] *= 2
    w = np.linspace(0.1, 1.9, len(X))  # of the mean 1
    right_loss, right = exact.loss_and_gradient(X, weights=w)
    model = copy.deepcopy(exact).set_params(n_probes=n_probes)
    rng, draws = np.random.default_rng(1), []
    for _ in range(scaled(2000, least=500)):
        loss, gradient = model.loss_and_gradient(X, rng, w)
        draws.append(np.append(gradient, loss))
    draws = np.array(draws)
    error = np.abs(draws.mean(axis=0) - np.append(right, right_loss))
    standard_error = draws.std(axis=0, ddof=1) / len(draws) ** 0.5
    moves = standard_error > 1e-12  # the decoder's part has no noise
    assert moves.sum() >= 20 and error[~moves].max() < 1e-12
    assert (error[moves] / standard_error[moves]).max() < 5.5
    # and the loss varies as (9.4a) says: a weighted mean over samples of means over probes
    J = exact.jacobian(X)
    variances = [theory.probe_variance(j, "signs") for j in J]
    variance = w**2 @ variances / n_probes / len(X) ** 2
    # the logarithm of a variance of n draws has an error of √(2/n), for sums of many: times 5
    assert abs(np.log(draws[:, -1].var() / variance)) < 5 * (2 / len(draws)) ** 0.5


# --- 4: a free decoder ------------------------------------------------------------------------


def centred(d, seed, n=60, eigenvalues=None):
    lam = np.sort(np.random.default_rng(seed).uniform(0.2, 4, d))[::-1]
    lam = lam if eigenvalues is None else np.asarray(eigenvalues, float)
    X = datasets.make_gaussian(n, lam, exact=True, random_state=seed)
    return X - X.mean(axis=0), lam


def principal_axes(X):
    return theory.pca(X)[1]


@pytest.mark.equation("9.5")
@given(seed=SEEDS, d=st.integers(2, 5), k=st.integers(1, 6), c=st.floats(1e-4, 1))
@settings(max_examples=20)
def test_a_free_decoder_makes_the_penalty_void(seed, d, k, c):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((20, d))
    kwargs = {"hidden_layer_sizes": (3,) if seed % 2 else (), "random_state": 0}
    model = ContractiveAutoencoder(k, decoder="free", contraction=2.0, **kwargs)
    model.initialise(X)
    model.parameters_[...] = rng.standard_normal(model.parameters_.shape)
    error, loss = -model.score(X), model.loss_and_gradient(X)[0]
    code, first = model.encoder_.layers[-1], model.decoder_.layers[0]
    code.weight *= c
    code.bias *= c
    first.weight /= c
    penalty, scaled_penalty = loss - error, model.loss_and_gradient(X)[0] - error
    # rounding of the loss, which is all that is left where the penalty is next to nothing
    verify("9.5", abs(scaled_penalty - c**2 * penalty) / loss, 1e-12)


def test_with_a_hidden_layer_the_infimum_may_be_attained():
    """h(x_i) = x_i and J(x_i) = 0: n (d + 1) linear equations for the upper weights of an h_j."""
    X = np.random.default_rng(0).standard_normal((4, 2))
    encoder, _ = drawn((2, 30, 2), "tanh", "identity", np.random.default_rng(1))
    below, above = encoder.layers
    below.weight *= 4
    below.forward(X)
    values = np.column_stack([below.y, np.ones(4)])
    moves = (below.slope[:, None] * below.weight).reshape(8, 30)
    equations = np.vstack([values, np.column_stack([moves, np.zeros(8)])])
    solution = np.linalg.lstsq(equations, np.vstack([X, np.zeros((8, 2))]), rcond=None)[0]
    above.weight[...], above.bias[...] = solution[:-1], solution[-1]
    np.testing.assert_allclose(encoder.forward(X), X, rtol=0, atol=1e-12)
    assert np.abs(jacobian(encoder, X)).max() < 1e-12
    assert abs(squared_jacobian(encoder)[0]) < 1e-13  # of terms of either sign


@pytest.mark.equation("9.5a")
@given(seed=SEEDS, k=st.integers(1, 3), epsilon=st.floats(1e-3, 0.3))
@settings(max_examples=20)
def test_a_sigmoid_code_is_void_too(seed, k, epsilon):
    X, lam = centred(4, seed % 1000)
    U = principal_axes(X)[:, :k]
    model = ContractiveAutoencoder(
        k, hidden_layer_sizes=(), code_activation="sigmoid", decoder="free", contraction=1.0
    )
    model.initialise(X)
    encoder, decoder = model.encoder_.layers[0], model.decoder_.layers[0]
    encoder.weight[...], encoder.bias[...] = epsilon * U, 0
    decoder.weight[...] = 4 / epsilon * U.T
    decoder.bias[...] = -2 / epsilon * U.sum(axis=1)
    error, loss = -model.score(X), model.loss_and_gradient(X)[0]
    sixth = np.mean(np.sum((X @ U) ** 6, axis=1))
    # rounding of codes, divided by ε
    verify("9.5a", error - lam[k:].sum(), epsilon**4 / 144 * sixth + 1e-13 / epsilon)
    verify("9.5a", (loss - error) / (k * epsilon**2 / 16), 1 + 1e-10)
    if epsilon < 0.01:
        assert loss - error > 0.99 * k * epsilon**2 / 16  # no worse a bound than it must be


@pytest.mark.equation("9.5b")
@given(seed=SEEDS, d=st.integers(2, 5), k=st.integers(1, 6), ratio=st.floats(0.05, 20))
@settings(max_examples=20)
def test_decay_on_the_decoder_makes_it_weight_decay(seed, d, k, ratio):
    rng = np.random.default_rng(seed)
    W_e, W_d, decay = rng.standard_normal((k, d)), rng.standard_normal((d, k)), rng.uniform(0.1, 2)
    contraction = ratio * decay
    c = (contraction / decay) ** 0.25  # W_d is c times, W_e 1/c times as long as under decay
    found = contraction * np.sum((W_e / c) ** 2) + decay * np.sum((c * W_d) ** 2)
    right = np.sqrt(contraction * decay) * (np.sum(W_e**2) + np.sum(W_d**2))
    verify("9.5b", abs(found / right - 1), 1e-13)


# --- 5: tied ----------------------------------------------------------------------------------


def linear(k, contraction, decoder, seed=0):
    return ContractiveAutoencoder(
        k, hidden_layer_sizes=(), contraction=contraction, decoder=decoder, solver="lbfgs",
        tol=1e-9, max_iter=20000, random_state=seed,
    )  # fmt: skip


def trained_map(model):
    """``W_d W_e``."""
    encoder, decoder = model.encoder_.layers[0], model.decoder_.layers[0]
    columns = decoder.atoms.T if hasattr(decoder, "atoms") else decoder.weight.T
    return columns @ encoder.weight.T


def far_from(threshold, lam):
    """Whether no eigenvalue is near the threshold, where minima are flat."""
    return np.abs(lam / threshold - 1).min() > 0.05


@pytest.mark.equation("9.6")
@pytest.mark.equation("9.6b")
@given(
    seed=st.integers(0, 1000), d=st.integers(2, 5), k=st.integers(1, 7), part=st.floats(0.1, 2.4)
)
@settings(max_examples=20)
def test_trained_tied_models_are_at_the_optimum(seed, d, k, part):
    X, lam = centred(d, seed)
    contraction = part * lam[0]
    if not far_from(contraction / 2, lam):
        return
    optimum = theory.tied_contractive_optimum(lam, k, contraction)
    model = linear(k, contraction, "tied")
    model._verdict = lambda monitor: None  # where all is gone, that is as it should be
    model.fit(X)
    U = principal_axes(X)
    verify("9.6", abs(model.loss_ / optimum.loss - 1), 1e-8)
    verify("9.6", np.abs(trained_map(model) - U * optimum.gains @ U.T).max(), 1e-6)
    J = model.jacobian(X[:1], singular_values=True)[0]
    right = np.sqrt(np.sort(optimum.gains)[::-1][: min(k, d)])
    # of squares that are right to 1e-6
    verify("9.6b", np.abs(J**2 - right**2).max(), 1e-6)


@pytest.mark.equation("9.6")
@pytest.mark.equation("9.6a")
@given(seed=SEEDS, d=st.integers(1, 6), k=st.integers(1, 6))
@settings(max_examples=30)
def test_an_axis_is_gone_from_twice_its_eigenvalue_on(seed, d, k):
    lam = np.sort(np.random.default_rng(seed).uniform(0.2, 4, d))[::-1]
    for i, threshold in enumerate(theory.collapse_contraction(lam)[:k]):
        at, below = (
            theory.tied_contractive_optimum(lam, k, c).gains[i]
            for c in (threshold, threshold * (1 - 1e-12))
        )
        verify("9.6a", at, 0)  # to the last bit
        assert below > 0
    # it is weight decay of half the strength (2.9c), whose least loss chapter 2 has
    contraction = lam[0] * 0.7
    X = datasets.make_gaussian(40, lam, exact=True, random_state=0)
    right = theory.weight_decay_optimum(X, k, contraction / 2).loss if k <= d else None
    if right is not None:
        found = theory.tied_contractive_optimum(lam, k, contraction).loss
        verify("9.6", abs(found / right - 1), 1e-12)


@pytest.mark.equation("9.6a")
def test_trained_axes_die_one_by_one():
    X, lam = centred(4, 3, eigenvalues=[4.0, 2.0, 1.0, 0.5])
    U = principal_axes(X)
    for i in range(4):
        for factor in (0.9, 1.1):
            model = linear(4, 2 * factor * lam[i], "tied")
            model._verdict = lambda monitor: None
            left = U[:, i] @ trained_map(model.fit(X)) @ U[:, i]
            # dead: nothing but what the solver leaves; alive: 1 − 0.9, as (9.6) says
            verify("9.6a", abs(left - max(1 - factor, 0)), 1e-6)


def second_difference(loss, e=2e-3):
    """Truncation of order e⁴, rounding of order 1e-16 / e²."""
    return (-loss(2 * e) + 16 * loss(e) - 30 * loss(0) + 16 * loss(-e) - loss(-2 * e)) / (
        12 * e**2
    )


@pytest.mark.equation("9.6c")
@given(seed=SEEDS, d=st.integers(1, 4), slope=st.floats(0.3, 1.5))
@settings(max_examples=15)
def test_where_zero_stops_being_a_saddle(seed, d, slope):
    """The second derivative at W = 0 along the first axis, of tanh(β a), of the model at β = 1."""
    X, lam = centred(d, seed % 1000)
    u = principal_axes(X)[:, 0]
    model = ContractiveAutoencoder(1, hidden_layer_sizes=(), code_activation="tanh")
    model.initialise(X)

    def of_model(t):
        model.encoder_.layers[0].weight[...] = t * u[:, None]
        return model.loss_and_gradient(X)[0]

    def by_hand(t):
        h = np.tanh(slope * t * X @ u)
        penalty = contraction * np.mean((slope * (1 - h**2) * t) ** 2)
        return np.mean(np.sum((X - np.outer(h, t * u)) ** 2, axis=1)) + penalty

    threshold = theory.collapse_contraction(lam, slope)[0]
    for contraction in (0.8 * threshold, 1.2 * threshold):
        right = 2 * slope**2 * contraction - 4 * slope * lam[0]
        verify("9.6c", abs(second_difference(by_hand) - right) / lam[0], 1e-6)
        assert (right < 0) == (contraction < threshold)
        model.set_params(contraction=contraction)
        right = 2 * contraction - 4 * lam[0]
        verify("9.6c", abs(second_difference(of_model) - right) / lam[0], 1e-6)


def test_a_tied_tanh_code_without_biases_outlives_its_threshold():
    """At 2.2 λ_1 zero is a local minimum; from a large start a lower one is found elsewhere."""
    X, lam = centred(3, 0)
    model = ContractiveAutoencoder(
        1, hidden_layer_sizes=(), code_activation="tanh", contraction=2.2 * lam[0]
    )
    model.initialise(X)
    model.parameters_.fill(0)  # and of biases it stays so
    weight = model.encoder_.layers[0].weight

    def loss_and_gradient(w):
        weight[:, 0] = w
        loss, _ = model.loss_and_gradient(X)
        return loss, model.encoder_.layers[0].grad_weight[:, 0]

    start = np.random.default_rng(1).standard_normal(3)
    ends = [
        minimize(loss_and_gradient, size * start, jac=True, method="L-BFGS-B").fun / lam.sum()
        for size in (0.1, 3.0)
    ]
    assert ends[0] == pytest.approx(1, abs=1e-6) and ends[1] < 0.95


@pytest.mark.equation("9.6d")
@given(seed=SEEDS, d=st.integers(1, 4), factor=st.floats(1.05, 50))
@settings(max_examples=15)
def test_with_biases_there_is_a_way_down_from_zero_at_any_contraction(seed, d, factor):
    X, lam = centred(d, seed % 1000)
    u = principal_axes(X)[:, 0]
    model = ContractiveAutoencoder(
        1, hidden_layer_sizes=(), code_activation="tanh", contraction=factor * lam[0]
    )
    model.initialise(X)
    constant = (1 - 1 / factor) ** 0.5  # h = tanh b, with the slope 1 − h² = λ_1/λ_c

    def of_model(t):
        encoder, decoder = model.encoder_.layers[0], model.decoder_.layers[0]
        encoder.weight[...], encoder.bias[...] = t * u[:, None], np.arctanh(constant)
        decoder.bias[...] = -t * u * constant
        return model.loss_and_gradient(X)[0]

    right = -2 * lam[0] / factor  # 2 (β² λ_c − 2 β λ_1)
    verify("9.6d", abs(second_difference(of_model) - right) / lam[0], 1e-6)


@pytest.mark.parametrize(("factor", "part"), [(4, 0.9949), (10, 0.9983), (50, 0.9997)])
def test_a_tied_tanh_code_with_biases_never_collapses(factor, part):
    """The text's numbers: descent from W = 0.1 u_1 and the bias of (9.6d)."""
    X, lam = centred(3, 0, eigenvalues=[4.0, 2.0, 1.0])
    model = ContractiveAutoencoder(
        1, hidden_layer_sizes=(), code_activation="tanh", contraction=factor * lam[0]
    )
    model.initialise(X)

    def loss_and_gradient(theta):
        model.parameters_[...] = theta
        return model.loss_and_gradient(X)

    model.parameters_.fill(0)
    model.encoder_.layers[0].weight[:, 0] = 0.1 * principal_axes(X)[:, 0]
    model.encoder_.layers[0].bias[...] = np.arctanh((1 - 1 / factor) ** 0.5)
    options = {"maxiter": 20000, "ftol": 1e-15, "gtol": 1e-10}
    least = minimize(
        loss_and_gradient, model.parameters_.copy(), jac=True, method="L-BFGS-B", options=options
    ).fun
    assert least / lam.sum() == pytest.approx(part, abs=5e-5)


# --- 6: columns of norm 1 ---------------------------------------------------------------------


@pytest.mark.equation("9.7")
@pytest.mark.equation("9.7a")
@given(seed=st.integers(0, 1000), d=st.integers(2, 5), k=st.integers(1, 8), part=st.floats(0.1, 3))
@settings(max_examples=20)
def test_trained_unit_norm_models_are_at_the_optimum(seed, d, k, part):
    X, lam = centred(d, seed)
    optimum = theory.unit_norm_contractive_optimum(lam, k, part * lam.mean())
    if not far_from(optimum.threshold, lam):
        return
    model = linear(k, part * lam.mean(), "unit-norm").fit(X)
    U = principal_axes(X)
    verify("9.7", abs(model.loss_ / optimum.loss - 1), 1e-8)
    verify("9.7", np.abs(trained_map(model) - U * optimum.gains @ U.T).max(), 1e-6)
    rows = np.linalg.norm(model.encoder_.layers[0].weight, axis=0)
    right = optimum.threshold / (part * lam.mean())
    verify("9.7a", np.abs(rows / right - 1).max(), 1e-5)


@pytest.mark.equation("9.7b")
@given(seed=SEEDS, d=st.integers(1, 6), k=st.integers(1, 12), exponent=st.floats(-3, 6))
@settings(max_examples=30)
def test_the_first_axis_never_dies_and_more_units_undo_the_penalty(seed, d, k, exponent):
    lam = np.sort(np.random.default_rng(seed).uniform(0.2, 4, d))[::-1]
    contraction = 10**exponent
    gains = theory.unit_norm_contractive_optimum(lam, k, contraction).gains
    verify("9.7b", lam[0] / (contraction + k * lam[0]) - gains[0], 1e-15)
    many = theory.unit_norm_contractive_optimum(lam, 10**9, contraction)
    # and of so many units: all gains are 1 but for d λ_c / (k λ_i), and a rounding
    verify("9.7b", np.max((1 - many.gains) * lam), 1e-9 * contraction * d + 1e-15)
    assert many.loss <= 1e-9 * contraction * d**2


def test_optima_of_any_spectrum_or_a_refusal():
    """In any order, with zeros that are rounding, from no penalty on."""
    optima = theory.tied_contractive_optimum, theory.unit_norm_contractive_optimum
    lam = np.array([4.0, 2.0, 1.0])
    for optimum in optima:
        loss, gains, threshold = optimum(lam, 5, 1e-3)
        for tail in (np.zeros(2), np.array([-1e-17, -1e-16])):
            found = optimum(np.append(tail, lam), 5, 1e-3)
            assert found.loss == pytest.approx(loss, rel=1e-14) and found.threshold == threshold
            assert np.array_equal(found.gains, np.append(gains, [0, 0]))
        for unit in (1e-20, 1e20):  # the penalty has the unit of a variance, too
            found = optimum(unit * lam, 2, unit)
            in_ones = optimum(lam, 2, 1.0)
            assert found.loss == pytest.approx(unit * in_ones.loss, rel=1e-12)
            np.testing.assert_allclose(found.gains, in_ones.gains, rtol=1e-12)
        loss, gains, threshold = optimum(lam, 2, 0.0)  # PCA
        assert (loss, gains.tolist(), threshold) == (1, [1, 1, 0], 0)
        with pytest.raises(ValueError, match=r"contraction must be finite and at least 0; got -3"):
            optimum(lam, 2, -3.0)
        with pytest.raises(ValueError, match="n_components must be at least 1; got 0"):
            optimum(lam, 0, 1.0)
    with pytest.raises(ValueError, match=r"slope must be .*greater than 0; got 0"):
        theory.collapse_contraction(lam, 0)
    with pytest.raises(ValueError, match="activation must be 'sigmoid' or 'tanh'; got 'relu'"):
        theory.saturation_point("relu")
    with pytest.raises(ValueError, match=r"probes must be 'signs', .*; got 'sign'"):
        theory.probe_variance(np.eye(2), "sign")


# --- 7: saturation ----------------------------------------------------------------------------


@pytest.mark.equation("9.8")
@given(
    a=st.floats(0.01, 12), name=st.sampled_from(["sigmoid", "tanh"]), sign=st.sampled_from([-1, 1])
)
@settings(max_examples=40)
def test_beyond_the_threshold_larger_weights_cost_less(a, name, sign):
    slope, threshold = TEXTBOOK[name][1], theory.saturation_point(name)

    def growth(a):  # of (c g(ca))² by log c, at c = 1
        c = 1 + 1e-30j
        return np.log(c * slope(c * a)).imag / 1e-30

    verify("9.8", abs(growth(threshold)), 1e-14)
    if abs(a / threshold - 1) > 1e-9:
        verify("9.8", growth(sign * a) * np.sign(a - threshold), 0)


def test_training_splits_a_code_at_the_threshold():
    """Under the penalty alone, with biases held still, no weight stays in between."""
    a = np.linspace(0.05, 4, 40)
    z = a.copy()
    for _ in range(400):  # descent of log(c² g(ca)²) by log c, up to the point of no return
        z = np.minimum(z * np.exp(-0.05 * (1 - z * np.tanh(z / 2))), 50)
    below = a < theory.saturation_point()
    assert z[below].max() < 0.1 and z[~below].min() == 50


# --- 8: a code that memorises -------------------------------------------------------------------


@pytest.mark.equation("9.9")
@given(seed=SEEDS, n=st.integers(2, 9), d=st.integers(1, 4), exponent=st.floats(0.3, 3))
@settings(max_examples=30)
def test_a_thermometer_memorises_at_no_penalty(seed, n, d, exponent):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d))
    u = rng.standard_normal(d)
    u /= np.linalg.norm(u)
    order = np.argsort(X @ u)
    half_gap = np.diff(X[order] @ u).min() / 2
    sharpness = 10**exponent / half_gap
    model = ContractiveAutoencoder(
        n - 1, hidden_layer_sizes=(), code_activation="sigmoid", decoder="free", contraction=1.0
    )
    model.initialise(X)
    encoder, decoder = model.encoder_.layers[0], model.decoder_.layers[0]
    W_e, encoder.bias[...], W_d, decoder.bias[...] = theory.thermometer(X, sharpness, u)
    encoder.weight[...], decoder.weight[...] = W_e.T, W_d.T
    error, loss = -model.score(X), model.loss_and_gradient(X)[0]
    away = np.exp(-sharpness * half_gap)  # how far each unit may be from 0 or 1
    steps = np.linalg.norm(np.diff(X[order], axis=0), axis=1).sum()
    # rounding of a sum of n steps, and of 1 − σ, which σ' takes over
    verify("9.9", error**0.5, away * steps + 1e-14 * n * steps)
    verify("9.9", (loss - error) ** 0.5, (n - 1) ** 0.5 * sharpness * (away + 2 * EPS))


# --- 9: along and across ----------------------------------------------------------------------


@pytest.mark.equation("9.10")
@pytest.mark.equation("9.10a")
@given(seed=SEEDS, m=st.integers(1, 3), more=st.integers(0, 4))
@settings(max_examples=20)
def test_the_shortest_jacobian_that_inverts_the_decoder_is_blind_across(seed, m, more):
    rng = np.random.default_rng(seed)
    J_g = rng.standard_normal((m + more, m))
    inverse, across = np.linalg.pinv(J_g), np.eye(m + more) - J_g @ np.linalg.pinv(J_g)
    J_h = inverse + rng.standard_normal((m, m + more)) @ across  # all that there are
    scale = np.sum(J_h**2)
    verify("9.10", np.abs(J_h @ J_g - np.eye(m)).max() / scale, 1e-12)
    s = np.linalg.svd(J_g, compute_uv=False)
    verify("9.10", abs(scale - np.sum(1 / s**2) - np.sum((J_h @ across) ** 2)) / scale, 1e-12)
    contracted = J_g / s[0]  # a decoder that stretches nothing
    verify("9.10a", m - np.sum(np.linalg.pinv(contracted) ** 2), 1e-10)
    k = m + more  # columns of norm 1 stretch by √k at most: m/k, for codes along m directions
    columns = rng.standard_normal((k + 1, k))
    columns /= np.linalg.norm(columns, axis=0)
    along = np.linalg.qr(rng.standard_normal((k, m)))[0]
    verify("9.10a", m / k - np.sum(np.linalg.pinv(columns @ along) ** 2), 1e-10)


@pytest.mark.equation("9.10b")
@given(seed=SEEDS, d=st.integers(1, 5), k=st.integers(1, 5))
@settings(max_examples=20)
def test_encoder_and_reconstruction_have_comparable_jacobians(seed, d, k):
    rng = np.random.default_rng(seed)
    encoder, _ = drawn((d, 4, k), "tanh", "identity", rng)
    decoder, _ = drawn((k, 4, d), "tanh", "identity", rng)
    x = rng.standard_normal((3, d))
    both = Sequential([*encoder.layers, *decoder.layers])
    J_h, J_g, J_r = jacobian(encoder, x), jacobian(decoder, encoder(x)), jacobian(both, x)
    for of_h, of_g, of_r in zip(J_h, J_g, J_r, strict=True):
        s, size = np.linalg.svd(of_g, compute_uv=False), np.linalg.norm(of_h)
        least = s[-1] if d >= k else 0.0  # a decoder to fewer dimensions has a kernel
        verify("9.10b", least * size - np.linalg.norm(of_r), 1e-14)
        verify("9.10b", np.linalg.norm(of_r) - s[0] * size, 1e-14)


def curve_in_space(n, noise, seed, d=20):
    """Points near an arc in d dimensions, and the unit tangents there."""
    rng = np.random.default_rng(seed)
    arc = datasets.make_curve(n, noise=0.0, random_state=rng)
    plane = np.linalg.qr(np.random.default_rng(99).standard_normal((d, 2)))[0].T
    tangents = np.column_stack([-arc[:, 1], arc[:, 0]]) @ plane
    return arc @ plane + noise * rng.standard_normal((n, d)), tangents


@pytest.mark.equation("9.10c")
@pytest.mark.filterwarnings("ignore::nanoae.ConvergenceWarning")  # stopped before the end
def test_a_trained_code_moves_along_a_curve_and_not_across():
    X, _ = curve_in_space(300, 0.01, 0)
    unseen, tangents = curve_in_space(1000, 0.01, 1)
    shared = {"hidden_layer_sizes": (16,), "solver": "lbfgs", "tol": 1e-6, "random_state": 0}
    errors, ratios = [], []
    for contraction, max_iter in ((0.0, 500), (0.005, 2500)):
        model = ContractiveAutoencoder(
            2, decoder="unit-norm", contraction=contraction, max_iter=max_iter, **shared
        ).fit(X)
        J = model.jacobian(unseen)
        moved = np.einsum("nkd,nd->nk", J, tangents)
        across = J - moved[:, :, None] * tangents[:, None]
        largest = np.linalg.svd(across, compute_uv=False)[:, 0]
        ratios.append(np.median(largest / np.linalg.norm(moved, axis=1)))
        errors.append(-model.score(unseen))
    assert ratios[0] > 0.5  # without the penalty, nothing is told from anything
    verify("9.10c", ratios[1], 0.05)
    verify("9.10c", errors[1] / errors[0], 1.2)


# --- 10: small noise --------------------------------------------------------------------------


def noisy(f, x, sigma, order=7):
    """``E f(x + σ ε)`` for ε ~ N(0, I), by quadrature."""
    points, weights = hermegauss(order)
    nodes = np.array(list(product(points, repeat=len(x))))
    share = np.prod(list(product(weights / weights.sum(), repeat=len(x))), axis=1)
    return share @ f(x + sigma * nodes)


def without_next_term(f, x, sigma):
    """What ``E f(x + σ ε) − f(x)`` is a multiple of σ² by, the term in σ⁴ taken off."""
    q = [(noisy(f, x, s) - f(x[None])[0]) / s**2 for s in (sigma, sigma / 2)]
    return (4 * q[1] - q[0]) / 3


@pytest.mark.equation("9.11")
@pytest.mark.equation("9.11a")
@given(seed=SEEDS, d=st.integers(1, 2), w=st.integers(1, 4))
@settings(max_examples=20)
def test_small_noise_is_a_penalty_on_the_jacobian_and_one_on_the_bend(seed, d, w):
    rng = np.random.default_rng(seed)
    W, b, V = rng.standard_normal((w, d)), rng.standard_normal(w), rng.standard_normal((d, w))
    x = rng.standard_normal(d)

    def f(y):
        return np.tanh(y @ W.T + b) @ V.T

    t = np.tanh(W @ x + b)
    J = V @ ((1 - t**2)[:, None] * W)
    laplacian = V @ (-2 * t * (1 - t**2) * np.sum(W**2, axis=1))
    scale = np.sum(V**2) * (np.sum(W**2) + np.sum(W**4))  # of any term
    # left are terms of order σ⁴, and rounding over σ²
    code = without_next_term(lambda y: np.sum((f(y) - f(x)) ** 2, axis=1), x, 0.01)
    verify("9.11", abs(code - np.sum(J**2)) / (scale + 1), 1e-5)
    loss = without_next_term(lambda y: np.sum((f(y) - x) ** 2, axis=1), x, 0.01)
    right = np.sum(J**2) + (f(x) - x) @ laplacian
    verify("9.11a", abs(loss - right) / (scale + 1), 1e-5)


@pytest.mark.equation("9.11b")
@given(seed=SEEDS, d=st.integers(1, 3), sigma=st.floats(0.01, 3))
@settings(max_examples=20)
def test_noise_on_a_quadratic_map_is_exact_in_two_terms(seed, d, sigma):
    rng = np.random.default_rng(seed)
    c, A, H = (rng.standard_normal((d,) * n) for n in (1, 2, 3))
    H = H + np.swapaxes(H, 1, 2)
    x = rng.standard_normal(d)

    def r(y):
        return c + y @ A.T + np.einsum("aij,ni,nj->na", H, y, y) / 2

    def loss(y):
        return np.sum((r(y) - x) ** 2, axis=1)

    J, laplacian = A + H @ x, np.trace(H, axis1=1, axis2=2)
    second = np.sum(J**2) + (r(x[None])[0] - x) @ laplacian
    fourth = np.sum(H**2) / 2 + np.sum(laplacian**2) / 4
    right = loss(x[None])[0] + sigma**2 * second + sigma**4 * fourth
    found = noisy(loss, x, sigma, order=3)  # exact up to degree 5
    verify("9.11b", abs(found - right) / max(found, 1), 1e-12)


@pytest.mark.equation("9.11c")
def test_noise_can_lower_the_loss_that_its_penalty_would_raise():
    """r(y) = y² at x = 0.3: ‖J‖² = 0.36, and with the bend −0.06."""
    x = np.array([0.3])
    by_noise = noisy(lambda y: np.sum((y**2 - x) ** 2, axis=1), x, 0.1) - (0.09 - 0.3) ** 2
    verify("9.11c", abs(by_noise - (-0.06 * 0.01 + 3 * 0.0001)), 1e-15)
    assert by_noise < 0 < 0.36


@pytest.mark.equation("9.11d")
@given(seed=SEEDS, d=st.integers(1, 4), noise=st.floats(0.05, 3))
@settings(max_examples=20)
def test_for_linear_maps_noise_is_contraction_at_any_strength(seed, d, noise):
    rng = np.random.default_rng(seed)
    lam = rng.uniform(0.2, 4, d)
    U = np.linalg.qr(rng.standard_normal((d, d)))[0]
    Sigma, M, x = U * lam @ U.T, rng.standard_normal((d, d)), rng.standard_normal(d)
    by_noise = noisy(lambda y: np.sum((y @ M.T - x) ** 2, axis=1), x, noise**0.5, order=3)
    penalised = np.sum((M @ x - x) ** 2) + noise * np.sum(M**2)
    verify("9.11d", abs(by_noise / penalised - 1), 1e-12)
    best = U * (lam / (lam + noise)) @ U.T  # a convex problem: where the gradient is 0
    verify("9.11d", np.abs((best - np.eye(d)) @ Sigma + noise * best).max(), 1e-13)
    loss = np.trace((best - np.eye(d)) @ Sigma @ (best - np.eye(d))) + noise * np.sum(best**2)
    verify("9.11d", abs(loss / np.sum(lam * noise / (lam + noise)) - 1), 1e-12)


# --- 11: wide codes ---------------------------------------------------------------------------


def least(penalty, Sigma, k, seeds=range(3)):
    """Least value of the linear loss and a penalty ``(value, ∂W_d, ∂W_e)``, and the map there."""
    d = len(Sigma)

    def f(theta):
        W_d, W_e = theta[: d * k].reshape(d, k), theta[d * k :].reshape(k, d)
        R = W_d @ W_e - np.eye(d)
        value, by_d, by_e = penalty(W_d, W_e)
        gradient = [2 * R @ Sigma @ W_e.T + by_d, 2 * W_d.T @ R @ Sigma + by_e]
        return np.sum(R @ Sigma * R) + value, np.concatenate([g.ravel() for g in gradient])

    options = {"maxiter": 20000, "maxfun": 40000, "ftol": 0, "gtol": 1e-10}
    starts = (0.6 * np.random.default_rng(seed).standard_normal(2 * d * k) for seed in seeds)
    ends = [minimize(f, x, jac=True, method="L-BFGS-B", options=options) for x in starts]
    end = min(ends, key=lambda end: end.fun)
    return end.fun, end.x[: d * k].reshape(d, k) @ end.x[d * k :].reshape(k, d)


WIDE = np.array([4.0, 2.0, 1.0, 0.4])


def wide_optimum(name, k, lam=WIDE):
    """Gains and least loss of a row of the table."""
    if name == "none":
        return np.ones_like(lam), 0.0
    if name == "decay":  # λ_w = 1/2, or tied with λ_c = 1
        loss, gains, _ = theory.tied_contractive_optimum(lam, k, 1.0)
        return gains, loss
    if name == "noise":  # σ² = 1/2, or λ_c = 1/2 on the Jacobian of x̂
        return lam / (lam + 0.5), np.sum(lam * 0.5 / (lam + 0.5))
    if name == "dropout":  # p = 1/2: ν = 1
        s = np.sqrt(lam)
        kept = max(m for m in range(1, 5) if s[m - 1] > s[:m].sum() / (k + m))
        tau = s[:kept].sum() / (k + kept)
        return np.maximum(1 - tau / s, 0), lam[kept:].sum() + s[:kept].sum() ** 2 / (k + kept)
    loss, gains, _ = theory.unit_norm_contractive_optimum(lam, k, 1.0)
    return gains, loss


def wide_penalties(Sigma):
    def dropout(W_d, W_e):
        columns, rows = np.sum(W_d**2, axis=0), np.sum(W_e @ Sigma * W_e, axis=1)
        return columns @ rows, 2 * W_d * rows, 2 * columns[:, None] * W_e @ Sigma

    def unit_norm(W_d, W_e):
        columns, rows = np.sum(W_d**2, axis=0), np.sum(W_e**2, axis=1)
        return columns @ rows, 2 * W_d * rows, 2 * columns[:, None] * W_e

    def noise(W_d, W_e):
        M = W_d @ W_e
        return 0.5 * np.sum(M**2), M @ W_e.T, W_d.T @ M

    return {
        "none": lambda W_d, W_e: (0.0, 0 * W_d, 0 * W_e),
        "decay": lambda W_d, W_e: (0.5 * (np.sum(W_d**2) + np.sum(W_e**2)), W_d, W_e),
        "noise": noise,
        "dropout": dropout,
        "unit-norm": unit_norm,
    }


@pytest.mark.equation("9.12")
@pytest.mark.parametrize("name", ["none", "decay", "noise", "dropout", "unit-norm"])
def test_what_stops_a_wide_linear_code_from_copying(name):
    Q = np.linalg.qr(np.random.default_rng(5).standard_normal((4, 4)))[0]
    Sigma = Q * WIDE @ Q.T
    gains, loss = wide_optimum(name, 8)
    found, M = least(wide_penalties(Sigma)[name], Sigma, 8)
    verify("9.12", abs(found - loss) / WIDE.sum(), 1e-9)
    verify("9.12", np.abs(M - Q * gains @ Q.T).max(), 1e-6)
    wide, narrow = (wide_optimum(name, k)[1] for k in (80, 4))
    assert wide < 0.2 * narrow if name in ("dropout", "unit-norm") else wide == narrow


@pytest.mark.equation("9.12")
@given(seed=SEEDS, correlated=st.booleans())
@settings(max_examples=10)
def test_masking_forbids_copying_only_where_features_are_correlated(seed, correlated):
    """Zeroed with p = ½ and not rescaled, averaged over all 16 masks, solved exactly."""
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((4, 6)) if correlated else np.diag(rng.uniform(0.5, 2, 4))
    Sigma, masks = A @ A.T, np.array(list(product([0.0, 1.0], repeat=4)))
    with_clean = np.mean([Sigma * m for m in masks], axis=0)  # E x x̃ᵀ
    of_noisy = np.mean([m[:, None] * Sigma * m for m in masks], axis=0)  # E x̃ x̃ᵀ
    best = with_clean @ np.linalg.inv(of_noisy)
    # by the formula, of the rescaled input: ν = 1, then a half for each of x̃'s halves
    verify("9.12", np.abs(best - 2 * Sigma @ np.linalg.inv(Sigma + np.diag(np.diag(Sigma)))).max()
           / np.abs(best).max(), 1e-10)  # fmt: skip
    N = np.diag(np.diag(Sigma))
    least = np.trace(Sigma) - 2 * np.sum(best * with_clean) + np.sum(best @ of_noisy * best)
    right = np.trace(Sigma - Sigma @ np.linalg.inv(Sigma + N) @ Sigma)
    verify("9.12", abs(least - right) / np.trace(Sigma), 1e-12)
    copies = np.abs(best - np.eye(4)).max() < 1e-10
    assert copies != correlated
    # rescaled, x̃ is twice that, so the map is half of it: q I where features are uncorrelated
    with_clean, of_noisy = 2 * with_clean, 4 * of_noisy
    rescaled = with_clean @ np.linalg.inv(of_noisy)
    assert (np.abs(rescaled - np.eye(4) / 2).max() < 1e-10) != correlated


@pytest.mark.equation("9.12")
@given(seed=SEEDS, c=st.floats(1e-4, 1))
@settings(max_examples=10)
def test_penalties_on_the_code_alone_are_void_whatever_its_width(seed, c):
    """Contraction or decay of W_e, noise on the code: each falls as c², and copying goes on."""
    W_e = np.random.default_rng(seed).standard_normal((8, 4))
    W_d = np.linalg.pinv(W_e)  # copies
    for decoder, encoder, cost, before in (
        (W_d / c, c * W_e, np.sum((c * W_e) ** 2), np.sum(W_e**2)),  # a short code
        (c * W_d, W_e / c, np.sum((c * W_d) ** 2), np.sum(W_d**2)),  # a long one: t² ‖W_d‖²
    ):
        verify("9.12", np.abs(decoder @ encoder - np.eye(4)).max(), 1e-12)
        verify("9.12", abs(cost / before / c**2 - 1), 1e-12)


# --- the Jacobian of every model ----------------------------------------------------------------


@dataclass(frozen=True)
class Dropping(Architecture):
    """Dropout in a part of a part."""

    def encoder(self, n_in, n_out):
        return Sequential([Dense(n_in, 4, "tanh"), Residual(MLP((4, 4, 4), dropout=0.3)),
                           Dense(4, n_out)])  # fmt: skip

    decoder = encoder


POINTS = np.random.default_rng(0).random((30, 5))
QUICK = {"max_iter": 2, "random_state": 0}
ENCODERS = {
    "linear": LinearAutoencoder(3, random_state=0),
    "tied": TiedAutoencoder(3, random_state=0),
    "mlp": Autoencoder(3, hidden_layer_sizes=(4,), activation="tanh", **QUICK),
    "vae": VAE(3, hidden_layer_sizes=(4,), activation="softplus", **QUICK),
    "vae-linear": LinearVAE(3, tol=1e-2, random_state=0),
    "sparse": SparseAutoencoder(6, n_steps=2, sparsity=0.01, **QUICK),
    "sparse-kl": SparseAutoencoder(6, penalty="kl", **QUICK),
    "lista": LearnedISTA(5, dictionary=np.eye(5), sparsity=0.01, **QUICK),
    "contractive": ContractiveAutoencoder(3, hidden_layer_sizes=(4,), **QUICK),
    "unit-norm": ContractiveAutoencoder(
        7, decoder="unit-norm", code_activation="sigmoid", hidden_layer_sizes=(), **QUICK
    ),
    "dropout": Autoencoder(3, hidden_layer_sizes=(4,), dropout=0.3, **QUICK),
    "vae-dropout": VAE(3, hidden_layer_sizes=(4, 4), dropout=0.3, **QUICK),
    "dropout-within": Autoencoder(3, architecture=Dropping(), **QUICK),
    "convolutional": Autoencoder(3, architecture=Convolutional((5,), (2,)), **QUICK),
    "recurrent": Autoencoder(3, architecture=Recurrent(width=4), **QUICK),
    "transformer": VAE(3, architecture=Transformer(width=4, n_blocks=1, n_heads=2), **QUICK),
}  # fmt: skip


def fitted(name):
    return copy.deepcopy(ENCODERS[name]).fit(POINTS)


@pytest.mark.filterwarnings("ignore::nanoae.ConvergenceWarning")
@pytest.mark.parametrize("name", ENCODERS)
def test_the_jacobian_is_the_derivative_of_transform(name):
    model, step = fitted(name), 1e-6
    J = model.jacobian(POINTS)
    assert J.shape == (30, model.n_components, 5)
    for i in range(5):
        e = step * np.eye(5)[i]
        numeric = (model.transform(POINTS + e) - model.transform(POINTS - e)) / (2 * step)
        # rounding 1e-16 over the step, truncation of order step²
        assert np.abs(J[:, :, i] - numeric).max() < 1e-8
    values = model.jacobian(POINTS, singular_values=True)
    assert values.shape == (30, min(model.n_components, 5))
    np.testing.assert_array_equal(values, np.linalg.svd(J, compute_uv=False))


@pytest.mark.filterwarnings("ignore::nanoae.ConvergenceWarning")
def test_the_jacobian_leaves_model_and_gradient_alone_and_threads_may_share_it():
    model = fitted("contractive")
    model.loss_and_gradient(POINTS)
    before = copy.deepcopy(model.__getstate__()), model.layout_.gradient.copy()
    memory = model.encoder_.memory
    J = model.jacobian(POINTS)
    state, gradient = model.__getstate__(), model.layout_.gradient
    assert np.array_equal(gradient, before[1]) and state.keys() == before[0].keys()
    assert np.array_equal(state["_parameters"], before[0]["_parameters"])
    assert all(a is b for a, b in zip(memory[0], model.encoder_.memory[0], strict=True))
    parts = [POINTS[i : i + 3] for i in range(28)]
    with ThreadPoolExecutor(4) as pool:
        for i, part in enumerate(pool.map(model.jacobian, parts)):
            np.testing.assert_allclose(part, J[i : i + 3], rtol=1e-12)


@pytest.mark.filterwarnings("ignore::nanoae.ConvergenceWarning")
@pytest.mark.parametrize("name", ["contractive", "unit-norm", "vae"])
def test_the_jacobian_of_a_float32_model_is_float32(name):
    model = copy.deepcopy(ENCODERS[name]).fit(POINTS.astype(np.float32))
    J = model.jacobian(POINTS)
    assert J.dtype == model.jacobian(POINTS, singular_values=True).dtype == np.float32


@pytest.mark.filterwarnings("ignore::nanoae.ConvergenceWarning")
def test_jacobians_are_computed_block_by_block(monkeypatch):
    rows = []
    right = nanoae.models.base.jacobian
    monkeypatch.setattr(
        nanoae.models.base, "jacobian",
        lambda network, x, k: rows.append(len(x)) or right(network, x, k),
    )  # fmt: skip
    model = ContractiveAutoencoder(16, hidden_layer_sizes=(8,), **QUICK)
    X = np.random.default_rng(0).random((700, 64))
    model.fit(X)
    values = model.jacobian(X, singular_values=True)
    assert max(rows) <= 2**18 / (16 * 64) and sum(rows) == 700 and len(values) == 700


def test_what_has_no_encoder_has_no_jacobian_and_says_so():
    model = SparseCoding(3, max_iter=1, random_state=0)
    with pytest.raises(nanoae.NotFittedError):
        model.jacobian(POINTS)
    model.fit(POINTS)
    with pytest.raises(TypeError, match="SparseCoding has no encoder of which"):
        model.jacobian(POINTS)
    words = np.random.default_rng(0).integers(0, 3, (4, 5))
    model = Autoencoder(2, architecture=Recurrent(vocabulary_size=3), loss="categorical")
    model.initialise(words)
    with pytest.raises(TypeError, match="this Autoencoder takes tokens, of which there are no sm"):
        model.jacobian(words)


@pytest.mark.filterwarnings("ignore::nanoae.ConvergenceWarning")
def test_bad_samples_have_no_jacobian():
    model = fitted("contractive")
    for bad in (POINTS[:, :4], np.full((2, 5), np.nan), "X"):
        with pytest.raises((ValueError, TypeError)):
            model.jacobian(bad)
    with pytest.raises(TypeError, match="singular_values"):
        model.jacobian(POINTS, singular_values="all")


# --- the model ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Residuals(Architecture):
    def encoder(self, n_in, n_out):
        return Sequential([Dense(n_in, 4), Residual(Dense(4, 4, "tanh")), Dense(4, n_out)])

    decoder = encoder


@dataclass(frozen=True)
class Shallow(Architecture):
    """One's own, of dense layers."""

    def encoder(self, n_in, n_out):
        return Sequential([Dense(n_in, 3, "softplus", bias=False), Dense(3, n_out, "tanh")])

    def decoder(self, n_in, n_out):
        return MLP((n_in, n_out))


@dataclass(frozen=True)
class Bare(Shallow):
    def encoder(self, n_in, n_out):
        return Dense(n_in, n_out)


@pytest.mark.parametrize(
    ("decoder", "of_decoder"),
    [
        ("tied", [("Transposed", "tanh", 2, 5), ("Transposed", "tanh", 5, 3),
                  ("Transposed", "identity", 3, 4)]),
        ("free", [("Dense", "tanh", 2, 5), ("Dense", "tanh", 5, 3), ("Dense", "identity", 3, 4)]),
        ("unit-norm", [("Dictionary", None, 2, 4)]),
    ],
)  # fmt: skip
def test_networks_are_the_layers_that_they_say(decoder, of_decoder):
    model = ContractiveAutoencoder(
        2, hidden_layer_sizes=(3, 5), activation="tanh", code_activation="sigmoid",
        decoder=decoder,
    )  # fmt: skip
    model.initialise(np.random.default_rng(0).random((7, 4)))
    of_encoder = [("Dense", "tanh", 4, 3), ("Dense", "tanh", 3, 5), ("Dense", "sigmoid", 5, 2)]
    for network, right in ((model.encoder_, of_encoder), (model.decoder_, of_decoder)):
        assert len(network.layers) == len(right)
        for layer, (kind, activation, n_in, n_out) in zip(network.layers, right, strict=True):
            assert (type(layer).__name__, layer.shape_in, layer.shape_out) == (
                kind, (n_in,), (n_out,)
            )  # fmt: skip
            assert layer.bias is not None
            assert activation is None or layer.activation is ACTIVATIONS[activation]


class Own(Dense):
    """A class of one's own, which draws its weights in its own way and computes no differently."""

    def initialise(self, rng):
        self.weight.fill(0.5)


class Called(Dense):
    def __call__(self, x):
        return super().__call__(x)


class Forwards(Dense):
    def forward(self, x, rng=None):
        return super().forward(x, rng)


class Backwards(Dense):
    def backward(self, grad_y, *, input_gradient=True):
        return super().backward(grad_y, input_gradient=input_gradient)


def test_a_dense_layer_may_be_of_a_class_that_computes_no_differently():
    check_dense("encoder", Sequential([Dense(4, 3), Own(3, 2)]))
    for other in (Called, Forwards, Backwards):
        with pytest.raises(ValueError, match=rf"the encoder must be .*; got {other.__name__}\."):
            check_dense("encoder", Sequential([Dense(4, 3), other(3, 2)]))


def test_unless_told_otherwise_it_is_tied_and_its_penalty_exact():
    model = ContractiveAutoencoder()
    assert (model.contraction, model.decoder, model.n_probes) == (0.1, "tied", None)
    assert (model.activation, model.code_activation) == ("tanh", "identity")


def test_an_architecture_is_asked_for_the_widths_of_samples_and_code_alone():
    @dataclass(frozen=True)
    class Exact(Shallow):
        def encoder(self, n_in, n_out):
            assert (n_in, n_out) == (POINTS.shape[1], 1)
            return super().encoder(n_in, n_out)

    model = ContractiveAutoencoder(
        1, architecture=Exact(), decoder="free", max_iter=1, random_state=0
    )
    assert model.fit(POINTS).transform(POINTS).shape == (len(POINTS), 1)


def test_the_ends_of_what_is_allowed_can_be_trained():
    """A code of width 1, and one direction of it, which is all of it: the estimate is exact."""
    least = {"max_iter": 1, "random_state": 0}
    model = ContractiveAutoencoder(1, n_probes=1, **least).fit(POINTS)
    exact = ContractiveAutoencoder(1, **least).fit(POINTS)
    assert model.loss_ == pytest.approx(exact.loss_, rel=1e-12)
    free = ContractiveAutoencoder(1, contraction=0.0, **least).fit(POINTS)
    assert free.loss_ < exact.loss_


@pytest.mark.parametrize(("params", "words"), [
    ({"contraction": -1e-9}, "contraction must be"),
    ({"decoder": "loose"}, "decoder must be 'tied', 'unit-norm' or 'free'; got 'loose'"),
    ({"code_activation": "sine"}, "code_activation must be .*; got 'sine'"),
    ({"n_probes": 0}, "n_probes must be at least 1; got 0"),
    ({"n_probes": 1, "solver": "lbfgs"}, "n_probes must be None with solver='lbfgs'"),
    ({"dropout": 0.1}, "dropout must be 0, as the penalty"),
    ({"architecture": Shallow()}, "decoder must be 'free' or 'unit-norm' beside an architecture"),
    ({"architecture": Shallow(), "decoder": "free", "code_activation": "tanh"},
     "code_activation must be left at 'identity'"),
    ({"architecture": Residuals(), "decoder": "free"},
     "the encoder must be a Sequential of Dense layers.*; got Residual"),
    ({"architecture": Bare(), "decoder": "free"}, "the encoder must be a Sequential.*; got Dense"),
])  # fmt: skip
def test_what_cannot_be_is_one_sentence_and_leaves_the_model_as_it_was(params, words):
    model = ContractiveAutoencoder(2, max_iter=2, random_state=0)
    with pytest.warns(nanoae.ConvergenceWarning):
        model.fit(POINTS)
    before = model.parameters_.copy(), model.transform(POINTS)
    model.set_params(**params)
    with pytest.raises(ValueError, match=words) as refusal:
        model.fit(POINTS)
    assert str(refusal.value).count("\n") == 0
    assert np.array_equal(model.parameters_, before[0])
    assert np.array_equal(model.transform(POINTS), before[1])


@pytest.mark.parametrize("decoder", ["free", "unit-norm"])
def test_an_architecture_of_dense_layers_is_welcome(decoder, tmp_path):
    model = ContractiveAutoencoder(
        2, architecture=Shallow(), decoder=decoder, contraction=0.3, max_iter=2, random_state=0
    )
    assert gradient_check(model, POINTS[:6]).error < 1e-7
    with pytest.warns(nanoae.ConvergenceWarning):
        model.fit(POINTS)
    model.save(tmp_path / "model.npz")
    for other in (nanoae.load(tmp_path / "model.npz"), pickle.loads(pickle.dumps(model))):
        assert other.get_params() == model.get_params()
        assert np.array_equal(other.reconstruct(POINTS), model.reconstruct(POINTS))


@pytest.mark.filterwarnings("ignore::nanoae.ConvergenceWarning")
def test_a_tied_decoder_is_the_encoder_read_backwards_also_after_a_file(tmp_path):
    model = ContractiveAutoencoder(2, hidden_layer_sizes=(4, 3), max_iter=3, random_state=0)
    model.fit(POINTS)
    model.save(tmp_path / "model.npz")
    for some in (model, nanoae.load(tmp_path / "model.npz"), copy.deepcopy(model)):
        encoder, decoder = some.encoder_.layers, some.decoder_.layers
        for layer, mirror in zip(encoder, reversed(decoder), strict=True):
            assert isinstance(mirror, Transposed)
            assert np.shares_memory(layer.weight, mirror.weight)
            assert np.array_equal(layer.weight.T, mirror.weight)
        assert np.array_equal(some.reconstruct(POINTS), model.reconstruct(POINTS))
    n_weights = 5 * 4 + 4 * 3 + 3 * 2
    assert len(model.parameters_) == n_weights + (4 + 3 + 2) + (3 + 4 + 5)


@pytest.mark.parametrize("decoder", ["tied", "unit-norm", "free"])
def test_another_decoder_waits_for_the_next_fit(decoder):
    model = ContractiveAutoencoder(2, hidden_layer_sizes=(4,), decoder=decoder, random_state=0)
    model.initialise(POINTS)
    gradient = model.loss_and_gradient(POINTS)[1].copy()
    for other in ("tied", "unit-norm", "free"):
        model.set_params(decoder=other)
        assert np.array_equal(model.loss_and_gradient(POINTS)[1], gradient)


def test_no_penalty_is_the_plain_autoencoder_bit_for_bit():
    plain = Autoencoder(2, hidden_layer_sizes=(4,), activation="tanh", random_state=0)
    model = ContractiveAutoencoder(
        2, hidden_layer_sizes=(4,), decoder="free", contraction=0.0, random_state=0
    )
    for other in (plain, model):
        other.initialise(POINTS)
    loss, gradient = plain.loss_and_gradient(POINTS)
    same_loss, same_gradient = model.loss_and_gradient(POINTS)
    assert loss == same_loss and np.array_equal(gradient, same_gradient)


def test_a_contraction_too_strong_is_told():
    model = ContractiveAutoencoder(
        2, hidden_layer_sizes=(), contraction=10.0, solver="lbfgs", random_state=0
    )
    with pytest.warns(nanoae.ConvergenceWarning, match="Take a smaller contraction"):
        model.fit(POINTS)


def test_probes_are_drawn_anew_at_every_step_and_from_the_seed():
    model = ContractiveAutoencoder(3, hidden_layer_sizes=(3,), n_probes=1, random_state=0)
    model.initialise(POINTS)
    rng = np.random.default_rng(0)
    draws = [model.loss_and_gradient(POINTS, rng)[0] for _ in range(3)]
    assert len(set(draws)) == 3
    again = [model.loss_and_gradient(POINTS)[0] for _ in range(2)]  # from random_state
    assert again[0] == again[1] == draws[0]
    with pytest.warns(nanoae.ConvergenceWarning):
        ends = [copy.deepcopy(model).set_params(max_iter=2).fit(POINTS).loss_ for _ in range(2)]
    assert ends[0] == ends[1]


# --- exercises ----------------------------------------------------------------------------------


def one_unit(W, b, x):
    encoder = MLP((2, 1), last="sigmoid")
    parameters = Parameters({"encoder_": encoder})
    encoder.layers[0].weight[...], encoder.layers[0].bias[...] = W[:, None], b
    encoder.forward(x[None])
    omega, shares = squared_jacobian(encoder)
    backward(encoder, np.zeros((1, 1)), shares, 1.0)
    return omega, parameters.gradient


def test_exercise_one_unit_by_hand():
    W, x = np.array([2.0, 0.0]), np.array([0.0, 1.0])
    for b, omega, gradient in (
        (0.0, 1 / 4, [1 / 4, 0, 0]),
        (np.log(3), 9 / 64, [9 / 64, -9 / 64, -9 / 64]),
    ):
        found, its_gradient = one_unit(W, b, x)
        assert found == pytest.approx(omega, rel=1e-14)
        np.testing.assert_allclose(its_gradient, gradient, rtol=1e-13, atol=1e-16)


@given(seed=SEEDS, k=st.integers(1, 4))
@settings(max_examples=10)
def test_exercise_the_gradient_of_a_sum(seed, k):
    rng = np.random.default_rng(seed)
    encoder, _ = drawn((3, 4, k), "tanh", "sigmoid", rng)
    x = rng.standard_normal((1, 3))
    J = jacobian(encoder, x)[0]
    of_sum = copy.deepcopy(encoder)
    row = of_sum.backward(np.ones_like(of_sum.forward(x)))
    K = J @ J.T
    assert np.sum(row**2) == pytest.approx(np.sum(J**2) + K.sum() - np.trace(K), rel=1e-11)
    assert (abs(np.sum(row**2) / np.sum(J**2) - 1) < 1e-12) == (k == 1)


def test_exercise_rows_that_cancel_are_free():
    """J_2 = −J_1, from mirrored units: the penalty by a sum sees nothing, by (9.1) all of it."""
    encoder, _ = drawn((3, 2), "identity", "tanh", np.random.default_rng(0))
    layer = encoder.layers[0]
    layer.weight[:, 1], layer.bias[1] = -layer.weight[:, 0], -layer.bias[0]
    h = encoder.forward(np.ones((1, 3)))
    assert np.abs(encoder.backward(np.ones_like(h))).max() < 1e-16
    assert squared_jacobian(encoder)[0] > 0.1


def test_exercise_contraction_has_a_unit():
    X, _ = centred(3, 0)
    for decoder, activation, power in (
        ("tied", "identity", 2), ("unit-norm", "identity", 2), ("free", "sigmoid", 4),
    ):  # fmt: skip
        losses = []
        for a in (1.0, 1 / 16):
            model = ContractiveAutoencoder(
                2, hidden_layer_sizes=(), code_activation=activation, decoder=decoder,
                contraction=0.3 * a**power, random_state=0,
            )  # fmt: skip
            model.initialise(X)
            if decoder == "free":  # the same codes of smaller samples
                model.encoder_.layers[0].weight[...] /= a
                model.decoder_.layers[0].weight[...] *= a
            losses.append(model.loss_and_gradient(a * X)[0] / a**2)
        assert losses[0] == pytest.approx(losses[1], rel=1e-12)


def test_exercise_before_training():
    lam = [4.0, 1.0]
    for optimum, k, gain, loss in (
        (theory.tied_contractive_optimum, 2, 1 / 2, 4),
        (theory.unit_norm_contractive_optimum, 1, 1 / 2, 3),
        (theory.unit_norm_contractive_optimum, 2, 2 / 3, 7 / 3),
    ):
        found = optimum(lam, k, 4.0)
        np.testing.assert_allclose(found.gains, [gain, 0], rtol=1e-14)
        assert found.loss == pytest.approx(loss, rel=1e-14)


def test_exercise_the_thermometer_moves_between_the_samples():
    X = np.random.default_rng(0).standard_normal((6, 2))
    X = X[np.argsort(X[:, 0])]
    model = ContractiveAutoencoder(
        5, hidden_layer_sizes=(), code_activation="sigmoid", decoder="free", contraction=1.0
    )
    model.initialise(X)
    encoder, decoder = model.encoder_.layers[0], model.decoder_.layers[0]
    sharpness = 40 / np.diff(X[:, 0]).min()
    W_e, encoder.bias[...], W_d, decoder.bias[...] = theory.thermometer(X, sharpness)
    encoder.weight[...], decoder.weight[...] = W_e.T, W_d.T
    assert model.loss_and_gradient(X)[0] < 1e-8
    between = model.jacobian((X[1:] + X[:-1]) / 2)
    assert np.sum(between**2, axis=(1, 2)).min() >= sharpness**2 / 16 * (1 - 1e-12)


@pytest.mark.slow
def test_long_training_hides_the_moves_between_the_samples():
    """Overfitting of the penalty: small at the samples that it looks at, and large elsewhere."""
    X, _ = curve_in_space(300, 0.01, 0)
    unseen, _ = curve_in_space(1000, 0.01, 1)
    ratios = []
    for max_iter in (300, 3000):
        model = ContractiveAutoencoder(
            2, decoder="unit-norm", contraction=0.02, hidden_layer_sizes=(32, 32),
            solver="lbfgs", tol=1e-6, max_iter=max_iter, random_state=0,
        )  # fmt: skip
        with pytest.warns(nanoae.ConvergenceWarning):
            model.fit(X)
        seen, other = (np.mean(np.sum(model.jacobian(Y) ** 2, axis=(1, 2))) for Y in (X, unseen))
        print(f"{max_iter} iterations: {seen:.3f} at the samples, {other:.3f} elsewhere")
        ratios.append(other / seen)
    assert ratios[0] < 1.1 and ratios[1] > 1.5


@pytest.mark.parametrize("contraction", [1.0, 1e13, 1e20])
def test_what_the_strongest_penalty_leaves_keeps_its_digits(contraction):
    """Of one axis: ``1 − λ_c/(λ_c + k)``."""
    gain = theory.unit_norm_contractive_optimum([1.0], 1, contraction).gains[0]
    np.testing.assert_allclose(gain, 1 / (contraction + 1), rtol=1e-14)


@pytest.mark.parametrize(
    ("probes", "jacobian", "variance"),
    [
        ("signs", [[0.6, 0.8], [-0.8 + 1e-8, 0.6]], 4 * 6e-9**2),  # 4 (J₁ · J₂)²
        ("sphere", np.diag([1, 1 + 1e-9]), 2e-18),  # (a − b)²/2 of K = diag(a, b)
    ],
)
def test_probes_that_hardly_vary_keep_the_digits_of_their_variance(probes, jacobian, variance):
    np.testing.assert_allclose(theory.probe_variance(jacobian, probes), variance, rtol=1e-6)
