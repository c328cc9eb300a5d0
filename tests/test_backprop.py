"""Chapter 1: every formula of the backward pass, against the definition of a derivative."""

import copy
import math
import zlib
from decimal import Decimal, localcontext
from itertools import pairwise
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from theory_report import verify

from derivations.exercises.broken import BROKEN, break_squared_error, deep
from nanoae import (
    VAE,
    AdversarialAutoencoder,
    Autoencoder,
    ContractiveAutoencoder,
    Convolutional,
    GaussianNoise,
    LinearAutoencoder,
    LinearVAE,
    MaskedAutoencoder,
    MaskingNoise,
    SaltAndPepper,
    SparseAutoencoder,
    SparseCoding,
    TiedAutoencoder,
    gradient_check,
    losses,
)
from nanoae.datasets import load_digits, make_curve, make_sparse_codes
from nanoae.gradient_check import LEFT_BY_CUBIC, TRUST, _compare, central_difference
from nanoae.losses import LOSSES
from nanoae.models import adversarial, vae
from nanoae.models.deep import NetworkAutoencoder
from nanoae.network import ACTIVATIONS, MLP, Dense, Dropout, Parameters

EPS = np.finfo(float).eps

# The project's two standards. Central differences, combined as in (1.5c), lose about four of
# the sixteen digits, and some more where a gradient is small beside its loss; the complex step
# (1.6) loses nothing beyond the rounding of a few hundred operations.
CENTRAL = 1e-7
COMPLEX = 1e-12

# Two-sided z-tests at 5 standard deviations: a false alarm once in 1.7 million draws.
Z_BOUND = 5.0

SEEDS = st.integers(0, 2**32 - 1)
SIZES = st.integers(1, 6)
WIDTHS = st.lists(st.integers(1, 5), min_size=2, max_size=5)

# The formulas as the chapter writes them, free of |a| and max, which no complex step can pass.
TEXTBOOK = {
    "identity": lambda a: a,
    "relu": lambda a: a * (a.real > 0),
    "tanh": lambda a: np.tanh(a),
    "sigmoid": lambda a: 1 / (1 + np.exp(-a)),
    "softplus": lambda a: np.log(1 + np.exp(a)),
}


def complex_step(f, x, h=1e-30):
    """Gradient of ``f`` at a real array by (1.6), one place at a time."""
    z = x.astype(complex)
    gradient = np.empty(x.shape)
    for place in np.ndindex(x.shape):
        z[place] += 1j * h
        gradient[place] = f(z).imag / h
        z[place] = x[place]
    return gradient


def relative_error(found, right):
    """Largest difference, over the largest component of what is right.

    Below 1e-3 over that: a sum of terms of order 1 that cancel is not known to more digits.
    """
    largest = np.abs(right).max()
    return np.abs(found - right).max() / (max(largest, 1e-3) if largest else 1)


def bound_to_parameters(network, rng, dtype=np.float64):
    """Give a network random weights and biases."""
    parameters = Parameters({"network": network}, dtype)
    parameters.values[...] = rng.standard_normal(parameters.values.shape)
    return network, parameters


# --- 1.1: the dense layer ---------------------------------------------------------------------


@pytest.mark.equation("1.1a")
@pytest.mark.equation("1.1b")
@pytest.mark.equation("1.1c")
@given(seed=SEEDS, n=SIZES, n_in=SIZES, n_out=SIZES)
@settings(max_examples=50)
def test_dense_layer(seed, n, n_in, n_out):
    rng = np.random.default_rng(seed)
    layer, _ = bound_to_parameters(Dense(n_in, n_out), rng)
    x, grad_y = rng.standard_normal((n, n_in)), rng.standard_normal((n, n_out))

    # L = Σ_nj G_nj y_nj has ∂L/∂y = G, and is written here in indices, not in matrices
    def loss(x, W, b):
        y = np.einsum("ni,ij->nj", x, W) + b
        return np.einsum("nj,nj->", grad_y, y)

    W, b = layer.weight, layer.bias
    layer.forward(x)
    grad_x = layer.backward(grad_y.copy())
    grad_W, grad_b = layer.grad_weight, layer.grad_bias
    verify("1.1a", relative_error(grad_W, complex_step(lambda W: loss(x, W, b), W)), COMPLEX)
    verify("1.1b", relative_error(grad_b, complex_step(lambda b: loss(x, W, b), b)), COMPLEX)
    verify("1.1c", relative_error(grad_x, complex_step(lambda x: loss(x, W, b), x)), COMPLEX)


# --- 1.2: activations, and one layer behind the other -----------------------------------------


@pytest.mark.equation("1.2a")
@pytest.mark.equation("1.2b")
@pytest.mark.equation("1.2d")
@given(seed=SEEDS, scale=st.sampled_from([0.1, 1.0, 10.0]))
@settings(max_examples=30)
def test_derivatives_from_the_output(seed, scale):
    a = scale * np.random.default_rng(seed).uniform(-3, 3, 100)
    for number, name in (("1.2a", "tanh"), ("1.2b", "sigmoid"), ("1.2d", "softplus")):
        activation = ACTIVATIONS[name]
        y = activation.value(a.copy())
        # y is off by a rounding or two, which the formula takes over with a factor of at most 2
        right = TEXTBOOK[name](a + 1e-30j).imag / 1e-30
        verify(number, np.abs(activation.derivative(y) - right).max(), 4 * EPS)


@pytest.mark.equation("1.2c")
@given(seed=SEEDS)
@settings(max_examples=30)
def test_derivative_of_relu_from_the_output(seed):
    a = np.random.default_rng(seed).standard_normal(100)
    y = ACTIVATIONS["relu"].value(a.copy())
    slopes = ACTIVATIONS["relu"].derivative(y)
    verify("1.2c", np.count_nonzero(slopes != np.where(a > 0, 1, 0)), 0)


@given(seed=SEEDS, scale=st.sampled_from([0.1, 1.0, 10.0]))
@settings(max_examples=30)
def test_activations_are_the_textbook_functions(seed, scale):
    a = scale * np.random.default_rng(seed).uniform(-3, 3, 100)
    for name, activation in ACTIVATIONS.items():
        # the textbook's own rounding: 1 + e^a is off by half a unit of its last place
        assert np.abs(activation.value(a.copy()) - TEXTBOOK[name](a)).max() <= 4 * EPS * (
            1 + np.abs(a).max()
        )


@given(a=st.floats(-700, -1))
@settings(max_examples=50)
def test_softplus_keeps_its_digits_on_the_far_left(a):
    y = ACTIVATIONS["softplus"].value(np.array([a]))
    # exp, log1p and expm1 are each right to a unit of their own last place
    assert y[0] == pytest.approx(math.log1p(math.exp(a)), rel=4 * EPS, abs=0)
    slope = ACTIVATIONS["softplus"].derivative(y)
    assert slope[0] == pytest.approx(math.exp(a) / (1 + math.exp(a)), rel=8 * EPS, abs=0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_at_extreme_inputs(name, dtype):
    # every warning is an error here, so an overflow anywhere would fail
    a = np.array([-1e4, -800, -100, 0, 100, 800, 1e4], dtype)
    limits = {
        "identity": (a, np.ones(7)),
        "relu": (np.maximum(a, 0), a > 0),
        "tanh": (np.sign(a), a == 0),
        "sigmoid": ((1 + np.sign(a)) / 2, (a == 0) / 4),
        "softplus": (np.maximum(a, 0) + (a == 0) * np.log(2), (1 + np.sign(a)) / 2),
    }
    value, slope = limits[name]
    y = ACTIVATIONS[name].value(a.copy())
    assert y.dtype == dtype
    # at ±100 and beyond all have reached their limits, to the last digit
    np.testing.assert_allclose(y, value, rtol=np.finfo(dtype).eps, atol=1e-40)
    slopes = ACTIVATIONS[name].derivative(y)
    assert slopes.dtype == dtype
    np.testing.assert_allclose(slopes, slope, rtol=np.finfo(dtype).eps, atol=1e-40)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_work_in_place_and_their_derivatives_do_not(name):
    a = np.linspace(-2, 2, 5)
    assert ACTIVATIONS[name].value(a) is a
    y = a.copy()
    assert ACTIVATIONS[name].derivative(a) is not a
    assert np.array_equal(a, y)  # which backward may need again


@pytest.mark.equation("1.2e")
@given(seed=SEEDS, sizes=WIDTHS, n=SIZES, activation=st.sampled_from([*ACTIVATIONS]))
@settings(max_examples=40)
def test_chain_through_the_layers(seed, sizes, n, activation):
    rng = np.random.default_rng(seed)
    net, parameters = bound_to_parameters(MLP(sizes, activation), rng)
    parameters.values *= 0.5  # where tanh is all but 1, so many digits of 1 − y² are gone
    x, grad_y = rng.standard_normal((n, sizes[0])), rng.standard_normal((n, sizes[-1]))
    net.forward(x)
    grad_x = net.backward(grad_y.copy())

    def loss(theta, x):
        start = 0
        for i, (n_in, n_out) in enumerate(pairwise(sizes)):
            W = theta[start : start + n_in * n_out].reshape(n_in, n_out)
            b = theta[start + n_in * n_out : start + (n_in + 1) * n_out]
            start += (n_in + 1) * n_out
            x = x @ W + b
            if i < len(sizes) - 2:
                x = TEXTBOOK[activation](x)
        return np.sum(grad_y * x)

    theta = parameters.values
    right = complex_step(lambda theta: loss(theta, x), theta)
    verify("1.2e", relative_error(parameters.gradient, right), COMPLEX)
    verify("1.2e", relative_error(grad_x, complex_step(lambda x: loss(theta, x), x)), COMPLEX)


@pytest.mark.equation("1.2f")
@given(seed=SEEDS, sizes=WIDTHS, n=SIZES)
@settings(max_examples=30)
def test_cost_of_forward_and_backward(seed, sizes, n):
    rng = np.random.default_rng(seed)
    net, _ = bound_to_parameters(MLP(sizes), rng)
    counted = []

    class Counting(np.ndarray):
        def __array_ufunc__(self, ufunc, method, *inputs, out=(), **kwargs):
            a, b = (np.asarray(array) for array in inputs)
            assert ufunc is np.matmul
            counted.append(a.shape[0] * a.shape[1] * b.shape[1])
            if out:
                kwargs["out"] = np.asarray(out[0])
            return np.matmul(a, b, **kwargs)

    for layer in net.layers:  # one of the two is in every product
        layer.weight = layer.weight.view(Counting)
        layer.grad_weight = layer.grad_weight.view(Counting)
    y = net.forward(rng.standard_normal((n, sizes[0])))
    forward = sum(counted)
    counted.clear()
    net.backward(np.ones_like(y), input_gradient=False)
    backward = sum(counted)
    n_weights = sum(a * b for a, b in pairwise(sizes))
    claimed = (n * n_weights, 2 * n * n_weights - n * sizes[0] * sizes[1])
    verify("1.2f", abs(forward - claimed[0]) + abs(backward - claimed[1]), 0)


# --- 1.3 and 1.4: losses ----------------------------------------------------------------------


@pytest.mark.equation("1.3")
@given(seed=SEEDS, n=SIZES, d=SIZES)
@settings(max_examples=30)
def test_squared_error(seed, n, d):
    rng = np.random.default_rng(seed)
    x_hat, x = rng.standard_normal((2, n, d))

    def notes_error(x_hat):  # E = ½ Σ ‖y − x‖², notes A
        return np.sum((x_hat - x) ** 2) / 2

    loss, grad_x_hat = losses.squared_error(x_hat, x)
    assert loss == pytest.approx(2 / n * notes_error(x_hat), rel=1e-14)
    verify("1.3", relative_error(grad_x_hat, 2 * (x_hat - x) / n), COMPLEX)
    verify("1.3", relative_error(grad_x_hat, 2 / n * complex_step(notes_error, x_hat)), COMPLEX)


def exact_cross_entropy(a, x):
    """−x log σ(a) − (1 − x) log(1 − σ(a)), in 120 digits."""
    with localcontext() as context:
        context.prec = 120
        a, x = Decimal(a), Decimal(x)
        p = 1 / (1 + (-a).exp())
        return float(-x * p.ln() - (1 - x) * (1 - p).ln())


@pytest.mark.equation("1.4a")
@given(a=st.floats(-100, 100), x=st.floats(0, 1))
@settings(max_examples=100)
def test_bernoulli_is_the_cross_entropy(a, x):
    loss = losses.bernoulli_nll(np.array([[a]]), np.array([[x]]))[0]
    # softplus(a) and x a, both of size |a| at most, are rounded before they are subtracted
    error = abs(loss - exact_cross_entropy(a, x)) / max(1.0, abs(a))
    verify("1.4a", error, 2 * EPS)


@pytest.mark.equation("1.4a")
@pytest.mark.parametrize("x", [0.0, 0.25, 0.5, 1.0])
@pytest.mark.parametrize("a", [-1e4, -800.0, 800.0, 1e4])
def test_bernoulli_at_extreme_logits(a, x):
    # e^−800 is below the smallest number there is, so that the limit max(a, 0) − x a is exact
    loss, gradient = losses.bernoulli_nll(np.array([[a]]), np.array([[x]]))
    verify("1.4a", abs(loss - (max(a, 0) - x * a)), 0)
    assert gradient[0, 0] == (a > 0) - x


@pytest.mark.equation("1.4b")
@given(seed=SEEDS, n=SIZES, d=SIZES, scale=st.sampled_from([0.1, 1.0, 10.0]))
@settings(max_examples=30)
def test_bernoulli_gradient(seed, n, d, scale):
    rng = np.random.default_rng(seed)
    logits, x = scale * rng.uniform(-3, 3, (n, d)), rng.random((n, d))
    right = complex_step(lambda a: np.sum(np.log(1 + np.exp(a)) - x * a) / n, logits)
    gradient = losses.bernoulli_nll(logits, x)[1]
    # σ(a) − x is a difference of numbers up to 1: right to a few roundings of 1, over n
    verify("1.4b", n * np.abs(gradient - right).max(), 8 * EPS)


def test_bernoulli_per_sample_is_what_is_averaged():
    rng = np.random.default_rng(0)
    logits, x = rng.standard_normal((5, 3)), rng.random((5, 3))
    per_sample = losses.bernoulli_nll_per_sample(logits, x)
    assert per_sample.shape == (5,)
    assert losses.bernoulli_nll(logits, x)[0] == pytest.approx(per_sample.mean(), rel=1e-14)


def test_bernoulli_takes_targets_of_any_type():
    logits, x = np.array([[-1.0, 2.0]], np.float32), np.array([[0.0, 1.0]], np.float32)
    expected = losses.bernoulli_nll(logits, x)
    for dtype in (bool, int, np.float64):
        loss, gradient = losses.bernoulli_nll(logits, x.astype(dtype))
        assert loss == expected[0]
        assert gradient.dtype == np.float32
        assert np.array_equal(gradient, expected[1])


@given(seed=SEEDS, n=SIZES, d=SIZES, log_noise_variance=st.floats(-3, 3))
@settings(max_examples=30)
def test_gaussian_nll_gradient(seed, n, d, log_noise_variance):
    rng = np.random.default_rng(seed)
    x_hat, x = rng.standard_normal((2, n, d))
    s = np.array([log_noise_variance])
    _, grad_x_hat, grad_s = losses.gaussian_nll(x_hat, x, log_noise_variance)

    right = complex_step(lambda v: losses.gaussian_nll(v, x, log_noise_variance)[0], x_hat)
    assert relative_error(grad_x_hat, right) <= COMPLEX

    def loss(s):
        return losses.gaussian_nll(x_hat.astype(s.dtype), x, s[0])[0]

    right = complex_step(loss, s)[0]
    numeric = central_difference(loss, s, 0, 1e-3)
    # the two parts of ∂L/∂s may cancel: relative to either of them, d/2
    assert abs(grad_s - right) <= COMPLEX * (d / 2 + abs(grad_s))
    assert abs(grad_s - numeric) <= CENTRAL * (d / 2 + abs(grad_s))


def test_gaussian_nll_is_the_density():
    rng = np.random.default_rng(0)
    x_hat, x = rng.standard_normal((2, 4, 3))
    noise = NormalDist(0, math.sqrt(0.3))
    right = -sum(math.log(noise.pdf(v)) for v in (x - x_hat).ravel()) / 4
    assert losses.gaussian_nll(x_hat, x, math.log(0.3))[0] == pytest.approx(right, rel=1e-13)


@given(seed=SEEDS, n=SIZES, k=SIZES)
@settings(max_examples=30)
def test_gaussian_kl_gradient(seed, n, k):
    rng = np.random.default_rng(seed)
    mu, log_var = rng.standard_normal((2, n, k))
    _, grad_mu, grad_log_var = losses.gaussian_kl(mu, log_var)
    right = complex_step(lambda mu: losses.gaussian_kl(mu, log_var)[0], mu)
    assert relative_error(grad_mu, right) <= COMPLEX
    right = complex_step(lambda log_var: losses.gaussian_kl(mu, log_var)[0], log_var)
    assert relative_error(grad_log_var, right) <= COMPLEX
    flat = np.concatenate([mu, log_var], axis=None)
    numeric = [
        central_difference(lambda v: losses.gaussian_kl(*v.reshape(2, n, k))[0], flat, i, 1e-3)
        for i in range(flat.size)
    ]
    assert relative_error(np.concatenate([grad_mu, grad_log_var], axis=None), numeric) <= CENTRAL


def outputs_and_data(name, rng):
    if name == "categorical":  # logits of tokens
        return rng.standard_normal((5, 3, 4)), rng.integers(0, 4, (5, 3)).astype(float)
    return rng.standard_normal((5, 3)), rng.random((5, 3))


@pytest.mark.parametrize("name", LOSSES)
def test_losses_leave_their_arguments_as_they_are(name):
    y, x = outputs_and_data(name, np.random.default_rng(0))
    kept = y.copy(), x.copy()
    for function in (LOSSES[name].value, LOSSES[name].per_sample):
        function(y, x)
        assert np.array_equal(y, kept[0]) and np.array_equal(x, kept[1])


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_is_the_mean_of_what_it_is_for_each_sample(name):
    y, x = outputs_and_data(name, np.random.default_rng(0))
    loss = LOSSES[name].value(y, x)[0]
    assert loss == pytest.approx(LOSSES[name].per_sample(y, x).mean(), rel=1e-14)


# --- 1.5 and 1.6: numerical derivatives -------------------------------------------------------

# e^{cx} and sin(cx + p): every derivative is known, and so is its largest size within h.
# With c, x, p in small binary fractions and h a power of 2, x ± h and c (x ± h) are exact, so
# that the only rounding is that of the function's value: one unit in the last place at most.


class Exponential:
    def __init__(self, c, p):
        self.c = c

    def __call__(self, x):
        return math.exp(self.c * x)

    def derivative(self, m, x):
        return self.c**m * math.exp(self.c * x)

    def largest(self, m, x, h):
        return abs(self.c) ** m * math.exp(self.c * x + abs(self.c) * h)


class Sine:
    def __init__(self, c, p):
        self.c, self.p = c, p

    def __call__(self, x):
        return math.sin(self.c * x + self.p)

    def derivative(self, m, x):
        return self.c**m * math.sin(self.c * x + self.p + m * math.pi / 2)

    def largest(self, m, x, h):
        return abs(self.c) ** m


KINDS = st.sampled_from([Exponential, Sine])
COEFFICIENTS = st.integers(-8, 8).filter(bool).map(lambda i: i / 4)
POINTS = st.integers(-64, 64).map(lambda i: i / 32)


def simple_difference(f, x, h):
    return (f(x + h) - f(x - h)) / (2 * h)


def combined_difference(f, x, h):
    return central_difference(lambda v: f(v[0]), np.array([x]), 0, h)


@pytest.mark.equation("1.5a")
@given(kind=KINDS, c=COEFFICIENTS, x=POINTS, p=POINTS, m=st.integers(3, 8))
@settings(max_examples=100)
def test_central_differences_err_as_h_squared(kind, c, x, p, m):
    f, h = kind(c, p), 2.0**-m
    leading = h**2 / 6 * f.derivative(3, x)
    assume(abs(leading) > 0.1 * h**2 / 6 * f.largest(3, x, h))  # the term may have a zero there
    error = simple_difference(f, x, h) - f.derivative(1, x)
    # Taylor's next term, and the rounding of (1.5b); 2 EPS for that of f' itself
    next_term = h**4 / 120 * f.largest(5, x, h)
    rounding = EPS * f.largest(0, x, h) / h + 2 * EPS * f.largest(1, x, h)
    verify("1.5a", abs(error / leading - 1), (next_term + rounding) / abs(leading))


@pytest.mark.equation("1.5b")
@given(kind=KINDS, c=COEFFICIENTS, x=POINTS, p=POINTS, m=st.integers(3, 40))
@settings(max_examples=200)
def test_central_differences_err_no_more_than_the_sum_of_both(kind, c, x, p, m):
    f, h = kind(c, p), 2.0**-m
    error = abs(simple_difference(f, x, h) - f.derivative(1, x))
    truncation = h**2 / 6 * f.largest(3, x, h)
    rounding = EPS * f.largest(0, x, h) / h + 2 * EPS * f.largest(1, x, h)
    verify("1.5b", error / (truncation + rounding), 1)


def bound_of_central_differences(h, M0, M1, M3, x):
    """The right-hand side of (1.5b)."""
    return h**2 / 6 * M3 + EPS * (M0 + abs(x) / 2 * M1) / h + 1.5 * EPS * M1


@pytest.mark.equation("1.5b")
@given(
    kind=KINDS, c=st.integers(-2, 1).map(lambda i: 2.0**i), x=st.floats(-40, 40),
    exponent=st.floats(-12, -1),
)  # fmt: skip
@settings(max_examples=200)
def test_central_differences_where_the_arguments_are_rounded(kind, c, x, exponent):
    f, h = kind(c, 0.0), 10.0**exponent  # c is a power of 2: c (x ± h) is not rounded once more
    error = abs(simple_difference(f, x, h) - f.derivative(1, x))
    M0, M1, M3 = (f.largest(m, x, h) for m in (0, 1, 3))
    # 1 EPS for that of f' itself
    verify("1.5b", error / (bound_of_central_differences(h, M0, M1, M3, x) + EPS * M1), 1)


def test_the_rounding_of_the_arguments_is_not_for_nothing():
    """Without it the bound of (1.5b) is broken, four times over."""
    f, x, h = Exponential(1.0, 0.0), 30.1, 1e-6
    error = abs(simple_difference(f, x, h) - f.derivative(1, x))
    M0, M1, M3 = (f.largest(m, x, h) for m in (0, 1, 3))
    assert error > 4 * bound_of_central_differences(h, M0, M1, M3, 0.0)


@pytest.mark.equation("1.5b")
@pytest.mark.parametrize(
    "offset, c, centre", [(2.0**10, 1, 0), (2.0**24, 8, 0), (0, 1, 1000), (0, 4, 1e6)]
)
def test_the_best_step(offset, c, centre):
    """Of K + sin(cx): far up the values' rounding decides, far out that of the arguments."""
    sizes = M0, M1, M3 = offset + 1, c, c**3
    M = M0 + abs(centre) / 2 * M1
    best = (3 * EPS * M / M3) ** (1 / 3)
    least = minimize_scalar(
        lambda log_h: bound_of_central_differences(math.exp(log_h), *sizes, centre),
        bracket=(math.log(best / 10), math.log(best * 10)),
    )
    # of a flat minimum, known to a few EPS, the place is known to their root
    verify("1.5b", abs(least.x - math.log(best)), 1e-6)
    expected = (9 * M**2 * M3) ** (1 / 3) / 2 * EPS ** (2 / 3) + 1.5 * EPS * M1
    assert least.fun == pytest.approx(expected, rel=1e-12)

    # and the bound is not merely safe: on both sides of that step the errors come near it
    rng = np.random.default_rng(0)
    x = centre + rng.uniform(-1, 1, 2000) * math.pi / c
    steps = best * np.geomspace(1 / 100, 100, 41)
    shares = []
    # each point has a step of its own: neighbours round the same step in the same way
    for h in steps[:, None] * rng.uniform(0.98, 1.02, (41, 2000)):
        error = simple_difference(lambda x: offset + np.sin(c * x), x, h) - c * np.cos(c * x)
        shares.append(np.max(np.abs(error) / bound_of_central_differences(h, *sizes, abs(x))))
    verify("1.5b", max(shares), 1)
    # a value is off by half of ε |f|; so is an argument by half of ½ ε |x|, near a power of 2
    assert min(shares) > 0.4


def root_mean_square_errors(difference, steps):
    """Of the derivative of sin, over 500 points where its values lie in [½, 1)."""
    points = np.random.default_rng(0).integers(560, 1600, 500) / 1024
    return np.array(
        [
            math.sqrt(np.mean([(difference(math.sin, x, h) - math.cos(x)) ** 2 for x in points]))
            for h in steps
        ]
    )


@pytest.mark.equation("1.5b")
def test_rounding_takes_over_at_the_cube_root_of_eps():
    m = np.arange(4, 41)
    steps = 2.0**-m
    errors = root_mean_square_errors(simple_difference, steps)

    # Far below h*, each of the two values is off by a rounding spread evenly over one last
    # place, EPS/2 for values in [½, 1): variance (EPS/2)²/12 each, so the difference quotient
    # has standard deviation (EPS/2) / (√24 h). An estimate from 500 points has a relative
    # standard error of 1/√1000; the mean over the 17 steps is within 5 of these.
    small = m >= 24
    predicted = EPS / 2 / math.sqrt(24) / steps[small]
    verify("1.5b", abs(np.log(errors[small] / predicted).mean()), 5 / math.sqrt(1000))

    # best step and least error: within a factor of 4 of ε^⅓ and ε^⅔ (f and f''' are below 1)
    best = np.argmin(errors)
    assert abs(math.log2(steps[best] / EPS ** (1 / 3))) <= 2
    assert abs(math.log2(errors[best] / EPS ** (2 / 3))) <= 4
    # and on the other side the slope is that of (1.5a)
    large = m <= 14
    assert np.polyfit(-m[large], np.log2(errors[large]), 1)[0] == pytest.approx(2, abs=0.01)


@pytest.mark.equation("1.5c")
@given(kind=KINDS, c=COEFFICIENTS, x=POINTS, p=POINTS, m=st.integers(3, 30))
@settings(max_examples=200)
def test_combined_differences_err_as_h_to_the_fourth(kind, c, x, p, m):
    f, h = kind(c, p), 2.0**-m
    error = combined_difference(f, x, h) - f.derivative(1, x)
    # Lagrange's remainders of both differences, and 8 + 8 + 1 + 1 roundings over 12 h
    remainder = 17 / 3780 * h**6 * f.largest(7, x, 2 * h)
    rounding = 3 / 2 * EPS * f.largest(0, x, 2 * h) / h + 4 * EPS * f.largest(1, x, 2 * h)
    difference = abs(error + h**4 / 30 * f.derivative(5, x))
    verify("1.5c", difference / (remainder + rounding), 1)


def complex_difference(f, x, h):
    inner = f.c * (x + 1j * h)
    value = np.exp(inner) if isinstance(f, Exponential) else np.sin(inner + f.p)
    return value.imag / h


@pytest.mark.equation("1.6")
@given(kind=KINDS, c=COEFFICIENTS, x=POINTS, p=POINTS, exponent=st.integers(-300, -9))
@settings(max_examples=100)
def test_the_complex_step_has_no_rounding_floor(kind, c, x, p, exponent):
    f, h = kind(c, p), 10.0**exponent
    error = abs(complex_difference(f, x, h) - f.derivative(1, x))
    # h² is below 1e-18, so what remains is the rounding of a handful of operations
    verify("1.6", error / f.largest(1, x, h), 8 * EPS)


@pytest.mark.equation("1.6")
@given(kind=KINDS, c=COEFFICIENTS, x=POINTS, p=POINTS, m=st.integers(3, 10))
@settings(max_examples=100)
def test_a_long_complex_step_errs_as_h_squared(kind, c, x, p, m):
    """With the sign opposite to that of (1.5a)."""
    f, h = kind(c, p), 2.0**-m
    leading = -(h**2) / 6 * f.derivative(3, x)
    assume(abs(leading) > 0.1 * h**2 / 6 * f.largest(3, x, h))  # the term may have a zero there
    error = complex_difference(f, x, h) - f.derivative(1, x)
    # Taylor's next term; on the way up to ih a sine grows by cosh(ch)
    next_term = h**4 / 120 * f.largest(5, x, h) * math.cosh(c * h)
    rounding = 8 * EPS * f.largest(1, x, h)
    verify("1.6", abs(error / leading - 1), (next_term + rounding) / abs(leading))


@pytest.mark.equation("1.5a")
@pytest.mark.equation("1.5c")
def test_both_orders_on_a_whole_network():
    model = Autoencoder(2, hidden_layer_sizes=(4,), activation="tanh", random_state=0)
    X, theta, _ = started(model, np.random.default_rng(0).standard_normal((7, 5)))
    # of size 1: at the small initial weights tanh is straight, and the error only rounding
    theta = np.random.default_rng(2).standard_normal(theta.shape)
    model.parameters_[...] = theta
    gradient = model.loss_and_gradient(X)[1].copy()
    direction = np.random.default_rng(1).standard_normal(theta.shape)
    direction /= np.linalg.norm(direction)

    def f(t):
        model.parameters_[...] = theta + t * direction
        return model.loss_and_gradient(X)[0]

    # Halving h divides the error by 2^order, up to 1 + O(h²). The coefficient of that h² is a
    # ratio of derivatives two orders apart over 20 or more, at weights of size 1 some units.
    h = 2.0**-4
    for number, difference, order in (
        ("1.5a", simple_difference, 2),
        ("1.5c", combined_difference, 4),
    ):
        error, halved = (abs(difference(f, 0.0, s) - gradient @ direction) for s in (h, h / 2))
        verify(number, abs(math.log2(error / halved) - order), 4 * h**2)


# --- 1.7: the gradient of every model ---------------------------------------------------------


MODELS = [
    LinearAutoencoder(2),
    LinearAutoencoder(3, weight_decay=0.3),
    TiedAutoencoder(2),
    TiedAutoencoder(3, weight_decay=0.3),
    LinearAutoencoder(6, dropout=0.4),
    TiedAutoencoder(3, dropout=0.4),
    *(
        Autoencoder(2, hidden_layer_sizes=(4,), activation=activation, loss=loss)
        for activation in ACTIVATIONS
        for loss in ("squared_error", "bernoulli")
    ),
    Autoencoder(2, hidden_layer_sizes=()),
    Autoencoder(2, hidden_layer_sizes=(4, 3), activation="tanh", weight_decay=0.3),
    Autoencoder(2, hidden_layer_sizes=(4,), activation="tanh", dropout=0.4),
    *(
        VAE(2, hidden_layer_sizes=(4,), activation=activation, likelihood=likelihood, beta=0.7)
        for activation in ACTIVATIONS
        for likelihood in ("gaussian", "bernoulli")
    ),
    VAE(2, hidden_layer_sizes=(), noise_variance=0.2),
    VAE(2, hidden_layer_sizes=(4,), activation="tanh", noise_variance="learned", beta=4.0),
    VAE(2, hidden_layer_sizes=(4, 3), activation="tanh", beta=0.0, weight_decay=0.3),
    VAE(2, hidden_layer_sizes=(4,), activation="tanh", dropout=0.4),
    Autoencoder(2, architecture=Convolutional((5,), (2,), activation="tanh")),
    VAE(3, architecture=Convolutional((5,), (), circular=True, dense=False)),
    LinearVAE(2, beta=0.7),
    LinearVAE(2, noise_variance="learned", weight_decay=0.3),
    *(
        model(2, corruption=corruption)
        for model in (LinearAutoencoder, TiedAutoencoder)
        for corruption in (GaussianNoise(0.5), MaskingNoise(0.3))
    ),
    LinearAutoencoder(7, corruption=SaltAndPepper(0.3)),
    LinearAutoencoder(7, corruption=GaussianNoise(0.5), dropout=0.3, weight_decay=0.1),
    Autoencoder(2, hidden_layer_sizes=(4,), activation="tanh", corruption=SaltAndPepper(0.3)),
    VAE(2, hidden_layer_sizes=(4,), activation="tanh", corruption=MaskingNoise(0.3)),
    ContractiveAutoencoder(3, hidden_layer_sizes=(), code_activation="sigmoid", loss="bernoulli"),
    ContractiveAutoencoder(2, hidden_layer_sizes=(4,), decoder="free", weight_decay=0.3),
    *(
        ContractiveAutoencoder(
            2, hidden_layer_sizes=(4, 3), activation=activation, code_activation=activation
        )
        for activation in ACTIVATIONS
    ),
    ContractiveAutoencoder(3, hidden_layer_sizes=(4,), n_probes=2),
    ContractiveAutoencoder(3, hidden_layer_sizes=(4,), corruption=MaskingNoise(0.3)),
    AdversarialAutoencoder(2, hidden_layer_sizes=(4,), activation="tanh", discriminator=(5, 3)),
    AdversarialAutoencoder(
        2, hidden_layer_sizes=(4,), match="saturating", discriminator="quadratic",
        gradient_penalty=0.7, instance_noise=0.3, weight_decay=0.3,
    ),
    AdversarialAutoencoder(2, hidden_layer_sizes=(4,), activation="tanh", match="mmd"),
]  # fmt: skip


def initialised(model, X):
    """The model before its training, and its data as `loss_and_gradient` is given them."""
    X = model.initialise(X)
    return X if model._offset is None else X - model._offset


def started(model, X, seed=0):
    """Data as it is trained on, parameters and gradient, where `gradient_check` looks at them."""
    rng = np.random.default_rng(seed)
    model.set_params(random_state=seed)
    X = initialised(model, X)
    model.parameters_[...] += 0.1 * rng.standard_normal(model.parameters_.shape)
    gradient = model.loss_and_gradient(X, np.random.default_rng(seed))[1]
    return X, model.parameters_.copy(), gradient.copy()


@pytest.mark.equation("1.7a")
@pytest.mark.parametrize("model", MODELS, ids=repr)
def test_gradient_by_central_differences(model):
    X = np.random.default_rng(1).random((7, 5))
    verify("1.7a", gradient_check(model, X).error, CENTRAL)


@pytest.mark.equation("1.7b")
@pytest.mark.parametrize("model", MODELS, ids=repr)
def test_gradient_by_the_complex_step(model):
    X, theta, gradient = started(model, np.random.default_rng(1).random((7, 5)))
    model._build(X.shape[1], np.complex128)
    for objective, part in model.objectives().values():

        def loss(own, objective=objective, part=part):
            model.layout_.values[...] = theta
            model.layout_.values[part] = own
            return objective(X, np.random.default_rng(0))[0]

        error = relative_error(gradient[part], complex_step(loss, theta[part]))
        verify("1.7b", error, COMPLEX)


# --- 1.8: the check finds a wrong gradient, and says how wrong it is --------------------------


@pytest.mark.equation("1.8")
@pytest.mark.parametrize("name", BROKEN)
def test_a_wrong_gradient_is_found_and_named(name, monkeypatch):
    model, break_it = BROKEN[name]
    data = np.random.default_rng(1).random((6, 4))
    right = started(model, data)[2]
    break_it(monkeypatch)
    wrong = started(model, data)[2]
    check = gradient_check(model, data)

    # how wrong it is, by the check's own measure, from the right gradient
    error = np.empty_like(right)
    for places in model.layout_.places():
        scale = np.abs(wrong[places]).max() or 1
        error[places] = np.abs(wrong[places] - right[places]) / scale
    assert error.max() > 0.009, "this break breaks nothing"

    # 1 + error: the numeric derivative's accuracy is relative to the right gradient
    verify("1.8", abs(check.error - error.max()) / (1 + error.max()), CENTRAL)
    place = [model.layout_.locate(i) for i in range(len(right))].index(check.parameter)
    assert error[place] == pytest.approx(error.max(), rel=1e-6)
    assert check.analytic == wrong[place]
    assert check.numeric == pytest.approx(right[place], rel=1e-6, abs=1e-8)


def test_a_gradient_that_is_not_a_number_is_found(monkeypatch):
    break_squared_error(lambda g, y, x: g * np.nan)(monkeypatch)
    assert gradient_check(deep(), np.random.default_rng(1).random((6, 4))).error == np.inf


def test_no_point_is_looked_for_where_the_gradient_is_a_number():
    class Overflowing(Autoencoder):
        def loss_and_gradient(self, X, rng=None):
            loss, gradient = super().loss_and_gradient(X, rng)
            if np.abs(self.encoder_.layers[0].weight).max() > 0.1:
                gradient[0] = np.nan
            return loss, gradient

    check = gradient_check(Overflowing(2), np.random.default_rng(1).random((6, 4)))
    assert check.error == np.inf and check.parameter == "encoder_.layers[0].weight[0, 0]"


def test_gradient_check_says_its_verdict(monkeypatch):
    X = np.random.default_rng(1).random((6, 4))
    right = gradient_check(deep(), X)
    assert str(right).startswith("gradient right: ") and right.parameter in str(right)
    break_squared_error(lambda g, y, x: g * 1.01)(monkeypatch)
    wrong = gradient_check(deep(), X)
    assert str(wrong).startswith("gradient WRONG: relative error 9.9e-03 ")
    assert f"{wrong.analytic:.10g}" in str(wrong) and f"{wrong.numeric:.10g}" in str(wrong)


def test_gradient_check_leaves_the_model_alone():
    model = Autoencoder(2, hidden_layer_sizes=(3,), random_state=0, max_iter=2)
    X = np.random.default_rng(0).random((10, 4))
    gradient_check(model, X)
    assert not hasattr(model, "encoder_")
    model.fit(X)
    parameters = model.parameters_.copy()
    gradient_check(model, X)
    assert np.array_equal(model.parameters_, parameters)


# --- kinks: they are no errors, and hide none -------------------------------------------------


def relu_case(seed, most_units, most_rows):
    """A relu network and data that may be large or far from 0."""
    rng = np.random.default_rng(seed)
    rows = int(2 * (most_rows / 2) ** rng.random())  # as often below 20 as above, if to 200
    X = [
        lambda: rng.standard_normal((rows, int(rng.integers(2, 30)))),
        lambda: rng.permutation(load_digits().X)[:rows],
        lambda: make_sparse_codes(rows, 20, 40, random_state=rng).X,
        lambda: make_curve(rows, random_state=rng),
    ][rng.integers(4)]()
    X = X * rng.choice([1, 1, 255]) + rng.choice([0, 0, 10, 1000])
    widths = 2 ** rng.integers(1, int(math.log2(most_units)) + 1, size=rng.integers(1, 4))
    model = (Autoencoder, VAE)[rng.integers(2)](2, hidden_layer_sizes=tuple(widths.tolist()))
    return model, X.astype(rng.choice([np.float32, np.float64]))


def with_one_parameter_wrong(model, number, factor=1.01):
    """The model with the gradient of one parameter too long: of the first that has any."""

    class Wrong(type(model)):
        def loss_and_gradient(self, X, rng=None):
            loss, gradient = super().loss_and_gradient(X, rng)
            parts = list(self.layout_.places())
            first = number % len(parts)
            # relu may be off in a whole layer, before which all gradients are 0
            part = next(part for part in parts[first:] + parts[:first] if gradient[part].any())
            gradient[part] *= factor
            return loss, gradient

    return Wrong(**model.get_params())


def check_right_and_wrong(seed, most_units, most_rows, also_wrong=True):
    model, X = relu_case(seed, most_units, most_rows)
    right = gradient_check(model, X, random_state=seed)
    assert right.error < CENTRAL, (model, X.shape, str(right))
    if not also_wrong:
        return
    wrong = gradient_check(with_one_parameter_wrong(model, seed), X, random_state=seed)
    # 1% of the longest component; the places drawn may have missed it
    assert 1e-5 < wrong.error < 0.011, (model, X.shape, str(wrong))
    assert wrong.analytic == pytest.approx(1.01 * wrong.numeric, rel=1e-3)


@pytest.mark.many
@pytest.mark.parametrize("seed", range(20))
def test_kinks_of_relu_are_no_errors_and_hide_none(seed):
    check_right_and_wrong(seed, 16, 30)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, 500, 50))
def test_kinks_of_relu_are_no_errors_in_500_runs(first):
    for seed in range(1000 + first, 1050 + first):
        check_right_and_wrong(seed, 256, 200, also_wrong=seed % 5 == 0)


@pytest.mark.parametrize("seed", range(2))
def test_kinks_of_a_wide_network(seed):
    X = np.random.default_rng(seed).standard_normal((20, 5))
    model = VAE(2, hidden_layer_sizes=(128, 64, 32))
    assert gradient_check(model, X, random_state=seed).error < CENTRAL


def test_one_wrong_component_is_found_among_kinks():
    X = np.random.default_rng(0).standard_normal((100, 3))
    model = Autoencoder(1, hidden_layer_sizes=(4,))
    _, theta, gradient = started(model, X)

    class TwiceOne(Autoencoder):
        def loss_and_gradient(self, X, rng=None):
            loss, gradient = super().loss_and_gradient(X, rng)
            gradient[self.twice] *= 2
            return loss, gradient

    for i in range(len(theta)):
        if abs(gradient[i]) < 1e-3:  # a unit that is off for all samples
            continue
        TwiceOne.twice = i
        check = gradient_check(TwiceOne(**model.get_params()), X)
        assert check.parameter == model.layout_.locate(i)
        assert check.analytic == pytest.approx(2 * check.numeric, rel=1e-4)


@pytest.mark.parametrize("right", [True, False])
def test_a_kink_right_here_is_seen_from_nearby(right):
    class Kink(Autoencoder):
        """With a kink in the only bias of its code, at the place that is looked at first."""

        def loss_and_gradient(self, X, rng=None):
            loss, gradient = super().loss_and_gradient(X, rng)
            layer = self.encoder_.layers[0]
            self.at = vars(self).get("at", layer.bias[0])
            sign = 1 if layer.bias[0] > self.at else -1
            layer.grad_bias[0] += sign if right else 2 * sign
            return loss + abs(layer.bias[0] - self.at), gradient

    X = np.random.default_rng(0).random((6, 4))
    for seed in range(5):  # the kink is passed on either side
        check = gradient_check(Kink(1, hidden_layer_sizes=()), X, random_state=seed)
        assert (check.error < CENTRAL) == right
        assert right or check.parameter == "encoder_.layers[0].bias[0]"


def test_what_is_smaller_than_a_long_step_is_left_to_the_shorter_ones():
    def f(theta):  # a steep place a ten-thousandth wide; seen closely, it is rough
        return 1e-4 * np.tanh(theta[0] / 1e-4) + 1e-8 * zlib.crc32(theta.data) / 2**32

    assert abs(central_difference(f, np.zeros(1), 0, 0.1)) < 0.01  # where the slope is 1
    assert _compare(f, np.zeros(1), 0, 1.0, 1.0) is None


def test_slopes_beside_data_in_the_millions():
    X = 3e6 + np.random.default_rng(0).standard_normal((6, 4))
    model = Autoencoder(1, hidden_layer_sizes=())
    assert gradient_check(model, X).error < CENTRAL
    assert gradient_check(with_one_parameter_wrong(model, 1), X).error > 1e-3


def test_a_kink_anywhere_leaves_its_mark():
    t = np.arange(-4.0, 5.0)
    at = np.linspace(-4, 4, 4001)[:-1] + 1e-3  # of the kink, at no place of t
    values = np.maximum(t - at[:, None], 0)
    difference = values @ [0, 0, 1, -8, 0, 8, -1, 0, 0] / 12
    left = np.abs(values @ LEFT_BY_CUBIC.T).max(axis=1)
    assert np.all(np.abs(difference - (at < 0)) <= 1.3 * left)
    # several at once can leave less than they do, but seldom as little as is asked for
    rng = np.random.default_rng(0)
    weights = rng.standard_normal((20_000, 5)) * (rng.random((20_000, 5)) < 0.6)
    at = rng.uniform(-4, 4, (20_000, 5))
    values = np.sum(np.maximum(t[:, None, None] - at, 0) * weights, axis=2).T
    difference = values @ [0, 0, 1, -8, 0, 8, -1, 0, 0] / 12
    error = np.abs(difference - np.sum(weights * (at < 0), axis=1))
    left = np.abs(values @ LEFT_BY_CUBIC.T).max(axis=1)
    assert np.mean(error > TRUST * left + 1e-12) < 5e-4
    # of a cubic nothing is left, and of a smooth function as much as of its fourth derivative
    assert np.abs(LEFT_BY_CUBIC @ (1 + t - t**2 + t**3)).max() < 1e-12
    assert np.abs(LEFT_BY_CUBIC @ np.exp(1e-3 * t)).max() < 1e-10


@pytest.mark.parametrize("roughness", [1e-4, 1.0])
def test_a_loss_too_rough_for_differences_is_not_called_right(roughness):
    class Rough(Autoencoder):
        def loss_and_gradient(self, X, rng=None):
            loss, gradient = super().loss_and_gradient(X, rng)
            return loss + roughness * zlib.crc32(self.parameters_.data) / 2**32, gradient

    X = np.random.default_rng(1).random((6, 4))
    check = gradient_check(Rough(2, hidden_layer_sizes=(3,), activation="tanh"), X)
    assert np.isnan(check.error) and np.isnan(check.numeric)
    assert check.parameter == "encoder_.layers[0].weight[0, 0]"
    assert "NOT TOLD: at no place of encoder_.layers[0].weight is the loss smooth" in str(check)


def test_a_wrong_parameter_comes_before_one_that_cannot_be_told():
    class RoughAndWrong(Autoencoder):
        def loss_and_gradient(self, X, rng=None):
            loss, gradient = super().loss_and_gradient(X, rng)
            gradient[-1] *= 3
            return loss + zlib.crc32(self.encoder_.layers[0].bias.data) / 2**32, gradient

    X = np.random.default_rng(1).random((6, 4))
    check = gradient_check(RoughAndWrong(2, hidden_layer_sizes=(3,), activation="tanh"), X)
    assert check.parameter == "decoder_.layers[1].bias[3]" and str(check).startswith("gradient WR")


def test_a_loss_that_is_never_finite_is_not_called_right():
    class Infinite(Autoencoder):
        def loss_and_gradient(self, X, rng=None):
            return np.inf, super().loss_and_gradient(X, rng)[1]

    X = np.random.default_rng(1).random((6, 4))
    check = gradient_check(Infinite(2, hidden_layer_sizes=(3,)), X)
    assert not check.error < CENTRAL and "right" not in str(check)


# --- 1.9: weight decay ------------------------------------------------------------------------


@pytest.mark.equation("1.9")
@pytest.mark.parametrize(
    "model",
    [
        LinearAutoencoder(2),
        TiedAutoencoder(2),
        Autoencoder(2, hidden_layer_sizes=(4,), activation="tanh"),
        VAE(2, hidden_layer_sizes=(4,), noise_variance="learned"),
        MaskedAutoencoder(width=4, n_blocks=1, decoder_width=4, n_heads=2),
    ],
    ids=repr,
)
def test_weight_decay(model):
    model.set_params(weight_decay=0.0)  # it is set below, and would be still if this ran twice
    X, theta, gradient = started(model, np.random.default_rng(0).random((7, 5)))
    loss = model.loss_and_gradient(X, np.random.default_rng(0))[0]
    is_weight = np.array(["weight" in model.layout_.locate(i) for i in range(len(theta))])
    model.set_params(weight_decay=0.3)
    decayed_loss, decayed = model.loss_and_gradient(X, np.random.default_rng(0))
    verify("1.9", relative_error(decayed - gradient, 0.6 * theta * is_weight), COMPLEX)
    assert decayed_loss - loss == pytest.approx(0.3 * np.sum(theta[is_weight] ** 2), rel=1e-12)
    # biases and the noise feel none of it, to the bit
    assert np.array_equal(decayed[~is_weight], gradient[~is_weight])


# --- 1.10: initial weights --------------------------------------------------------------------


@pytest.mark.equation("1.10c")
@given(
    seed=SEEDS, n_in=st.integers(40, 80), n_out=st.integers(40, 80),
    activation=st.sampled_from([*ACTIVATIONS]),
)  # fmt: skip
@settings(max_examples=20)
def test_variance_of_the_initial_weights(seed, n_in, n_out, activation):
    rng = np.random.default_rng(seed)
    layer, _ = bound_to_parameters(Dense(n_in, n_out, activation), rng)
    layer.initialise(rng)
    variance = ACTIVATIONS[activation].gain ** 2 * 2 / (n_in + n_out)
    assert np.all(layer.bias == 0)
    # W² of a uniform W with variance v has variance 4/5 v²
    z = (np.mean(layer.weight**2) - variance) / (variance * math.sqrt(0.8 / (n_in * n_out)))
    verify("1.10c", abs(z), Z_BOUND)


def z_score(draws, mean):
    """How many standard errors independent draws are off a mean."""
    return abs(np.mean(draws) - mean) / (np.std(draws, ddof=1) / math.sqrt(len(draws)))


@pytest.mark.equation("1.10a")
@pytest.mark.equation("1.10b")
@given(seed=SEEDS, n_in=st.integers(5, 30), n_out=st.integers(5, 30))
@settings(max_examples=10)
def test_sizes_of_signal_and_gradient(seed, n_in, n_out):
    rng = np.random.default_rng(seed)
    layer, parameters = bound_to_parameters(Dense(n_in, n_out, "relu"), rng)
    x, grad_y = rng.standard_normal((1, n_in)), rng.standard_normal((1, n_out))
    squares = []
    for _ in range(400):
        layer.initialise(rng)
        y = layer.forward(x).copy()
        # the gradient that arrives from above knows nothing of W: its signs are drawn anew
        grad_x = layer.backward(grad_y * rng.choice([-1, 1], size=n_out))
        squares.append((np.sum(y**2), np.sum(grad_x**2)))
    forward, backward = np.array(squares).T
    variance = 4 / (n_in + n_out)
    verify("1.10a", z_score(forward, n_out * variance / 2 * np.sum(x**2)), Z_BOUND)
    verify("1.10b", z_score(backward, n_in * variance / 2 * np.sum(grad_y**2)), Z_BOUND)
    assert len(parameters.values) == (n_in + 1) * n_out


def test_weights_without_a_density_may_close_the_gate():
    """The exception that the text makes of (1.10b): all four weights ±1 on x = (1, −1)."""
    x = np.array([1.0, -1.0])
    weights = np.array([[a, b] for a in (-1.0, 1.0) for b in (-1.0, 1.0)])
    passed = np.mean(np.sum(((weights @ x > 0)[:, None] * weights) ** 2, axis=1))
    by_formula = 2 * 1 / 2  # n_in v / 2
    assert passed == by_formula / 2


# --- Calls, work arrays, parameters -----------------------------------------------------------


@given(seed=SEEDS, sizes=WIDTHS, n=SIZES, activation=st.sampled_from([*ACTIVATIONS]))
@settings(max_examples=30)
def test_forward_is_the_pure_call_bit_for_bit(seed, sizes, n, activation):
    rng = np.random.default_rng(seed)
    net, _ = bound_to_parameters(MLP(sizes, activation, bias=bool(seed % 2)), rng)
    x = rng.standard_normal((n, sizes[0]))
    assert np.array_equal(net.forward(x), net(x))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_pure_call_keeps_nothing(activation):
    rng = np.random.default_rng(0)
    net, parameters = bound_to_parameters(MLP((4, 3, 2), activation), rng)
    x, other = rng.standard_normal((2, 5, 4))
    grad_y = rng.standard_normal((5, 2))
    net.forward(x)
    net.backward(grad_y.copy())
    gradient = parameters.gradient.copy()

    net.forward(x)
    kept, inputs = [layer.y.copy() for layer in net.layers], other.copy()
    first, second = net(other), net(other)
    assert np.array_equal(other, inputs)
    assert not np.shares_memory(first, second)
    assert all(np.array_equal(layer.y, y) for layer, y in zip(net.layers, kept, strict=True))
    net.backward(grad_y.copy())  # still of x
    assert np.array_equal(parameters.gradient, gradient)


def test_a_network_forgets_its_last_batch():
    rng = np.random.default_rng(0)
    net, _ = bound_to_parameters(MLP((4, 3, 2), "tanh"), rng)
    x = rng.standard_normal((5, 4))
    y = net.forward(x)
    assert net.layers[0].x is x and net.layers[1].y is y
    net.forget()
    assert not any(hasattr(layer, name) for layer in net.layers for name in layer.remembers)
    assert np.array_equal(net(x), y)


@pytest.mark.parametrize("model", MODELS, ids=repr)
def test_the_gradient_does_not_depend_on_what_came_before(model):
    X, theta, gradient = started(model, np.random.default_rng(0).random((7, 5)))
    model.loss_and_gradient(1 - X[:3], np.random.default_rng(1))
    assert np.array_equal(model.parameters_, theta)  # and no call changes the parameters
    assert np.array_equal(model.loss_and_gradient(X, np.random.default_rng(0))[1], gradient)


def test_no_input_gradient_unless_wanted():
    rng = np.random.default_rng(0)
    net, parameters = bound_to_parameters(MLP((4, 3, 2), "tanh"), rng)
    x, grad_y = rng.standard_normal((5, 4)), rng.standard_normal((5, 2))
    net.forward(x)
    assert net.backward(grad_y.copy()).shape == (5, 4)
    gradient = parameters.gradient.copy()
    net.forward(x)
    assert net.backward(grad_y.copy(), input_gradient=False) is None
    assert np.array_equal(parameters.gradient, gradient)


@pytest.mark.parametrize(
    "model", [model for model in MODELS if isinstance(model, NetworkAutoencoder)], ids=repr
)
def test_both_networks_are_handed_the_generator(model):
    """Either may have something to drop; the linear models expect, and draw nothing."""
    X, _, _ = started(model, np.random.default_rng(0).random((7, 5)))
    rng, handed = np.random.default_rng(0), []
    for network in (model.encoder_, model.decoder_):

        def spy(x, rng=None, computed=network.forward):
            handed.append(rng)
            return computed(x, rng)

        network.forward = spy
    model.loss_and_gradient(X, rng)
    assert handed == [rng, rng]


@pytest.mark.parametrize("model", MODELS, ids=repr)
def test_no_model_wants_a_gradient_by_its_samples(model):
    """A product by the widest matrix, for nothing."""
    X, _, _ = started(model, np.random.default_rng(0).random((7, 5)))
    first, wanted = model.encoder_.layers[0], []
    for name in ("backward", "backward_affine"):
        if computed := getattr(first, name, None):

            def spy(*args, computed=computed, input_gradient=True):
                wanted.append(input_gradient)
                return computed(*args, input_gradient=input_gradient)

            setattr(first, name, spy)
    model.loss_and_gradient(X, np.random.default_rng(0))
    assert wanted and not any(wanted)


def test_without_biases():
    rng = np.random.default_rng(0)
    net, parameters = bound_to_parameters(MLP((4, 3, 2), "tanh", bias=False), rng)
    assert parameters.names == ["network.layers[0].weight", "network.layers[1].weight"]
    assert len(parameters.values) == 4 * 3 + 3 * 2
    assert all(layer.bias is None and layer.grad_bias is None for layer in net.layers)
    x, grad_y = rng.standard_normal((5, 4)), rng.standard_normal((5, 2))
    with_zeros = MLP((4, 3, 2), "tanh")
    Parameters({"network": with_zeros})
    for layer, twin in zip(net.layers, with_zeros.layers, strict=True):
        twin.weight[...] = layer.weight
    assert np.array_equal(net.forward(x), with_zeros.forward(x))
    assert np.array_equal(net.backward(grad_y.copy()), with_zeros.backward(grad_y.copy()))
    for layer, twin in zip(net.layers, with_zeros.layers, strict=True):
        assert np.array_equal(layer.grad_weight, twin.grad_weight)
    net.initialise(rng)  # has no bias to set to 0


@pytest.mark.parametrize("model", MODELS, ids=repr)
def test_float32_stays_float32(model):
    X = np.random.default_rng(0).random((7, 5)).astype(np.float32)
    X64, theta, _ = started(model, X.astype(np.float64))
    # the same noise for both: standard_normal draws other numbers in float32
    noise = np.random.default_rng(0).standard_normal((7, model.n_components))
    with pytest.MonkeyPatch.context() as patch:
        for module in (vae, adversarial):
            patch.setattr(
                module, "standard_normal",
                lambda rng, shape, dtype: np.resize(noise, shape).astype(dtype),
            )  # fmt: skip
        loss64, gradient = model.loss_and_gradient(X64, np.random.default_rng(0))
        gradient64 = gradient.copy()
        X32 = initialised(model, X)
        model.parameters_[...] = theta
        loss32, gradient32 = model.loss_and_gradient(X32, np.random.default_rng(0))
    assert X32.dtype == model.parameters_.dtype == gradient32.dtype == np.float32
    for layer in (*model.encoder_.layers, *model.decoder_.layers):
        of_layer = (layer.y, layer.grad_weight) if layer.shapes else ()  # others turn rows over
        of_layer = (layer.mask,) if isinstance(layer, Dropout) else of_layer
        assert all(array.dtype == np.float32 for array in of_layer)
    assert model.decoder_(model.encoder_(X32)[:, : model.n_components]).dtype == np.float32
    # rounding 6e-8 a step, through a few dozen steps, over the cancellation in x̂ − x
    assert relative_error(gradient32, gradient64) <= 1e-5
    assert loss32 == pytest.approx(loss64, rel=1e-5)


def test_parameters_are_one_vector_and_all_else_views():
    model = VAE(2, hidden_layer_sizes=(3,), noise_variance="learned", random_state=0)
    model.initialise(np.random.default_rng(0).random((6, 4)))
    parameters = model._parameters
    for vector in (parameters.values, parameters.gradient):
        assert vector.ndim == 1
        assert vector.flags.c_contiguous
        assert vector.ctypes.data % 64 == 0  # where a line of the cache begins
    layers = [*model.encoder_.layers, *model.decoder_.layers]
    size = 1  # the noise
    for layer in layers:
        for value, gradient in ((layer.weight, layer.grad_weight), (layer.bias, layer.grad_bias)):
            assert np.shares_memory(value, parameters.values)
            assert np.shares_memory(gradient, parameters.gradient)
            assert value.shape == gradient.shape
            size += value.size
    assert parameters.values.size == parameters.gradient.size == size
    parameters.values[...] = 7
    assert all(np.all(layer.weight == 7) and np.all(layer.bias == 7) for layer in layers)
    layers[-1].grad_bias[-1] = 3
    assert parameters.gradient[-2] == 3  # behind it stands the noise alone
    places = np.concatenate([*parameters.places()])
    assert np.array_equal(places, np.arange(size))


def test_locate_names_the_way_to_a_parameter():
    model = VAE(2, hidden_layer_sizes=(3,), noise_variance="learned", random_state=0)
    model.initialise(np.random.default_rng(0).random((6, 4)))
    parameters = model._parameters
    *within, noise = range(len(parameters.values))
    parameters.values[...] = np.arange(len(parameters.values))
    for i in within:  # the name is the expression that finds it
        assert eval(f"model.{parameters.locate(i)}") == i
    assert parameters.locate(noise) == "log_noise_variance"
    assert parameters["log_noise_variance"][0][()] == noise
    assert parameters.locate(0) == "encoder_.layers[0].weight[0, 0]"


def test_weights_are_all_weights_and_no_biases():
    net, parameters = bound_to_parameters(MLP((4, 3, 2)), np.random.default_rng(0))
    found = list(parameters.weights())
    assert len(found) == len(net.layers)
    for (weight, grad_weight), layer in zip(found, net.layers, strict=True):
        assert np.array_equal(weight, layer.weight)
        assert np.shares_memory(weight, layer.weight)
        assert np.shares_memory(grad_weight, layer.grad_weight)


# --- The exercises' answers -------------------------------------------------------------------


def test_exercise_worked_by_hand():
    """The 2-2-1 network: small integers, so every number must be exact."""
    net = MLP((2, 2, 1), "relu")
    Parameters({"net": net})
    hidden, last = net.layers
    hidden.weight[...], hidden.bias[...] = [[1, -1], [1, 1]], [0, 1]
    last.weight[...], last.bias[...] = [[2], [-1]], [1]
    x, target = np.array([[1.0, 2], [2, -1]]), np.array([[4.0], [5]])
    y = net.forward(x)
    assert hidden.y.tolist() == [[3, 2], [1, 0]]
    assert y.tolist() == [[5], [3]]
    loss, grad_y = losses.squared_error(y, target)
    assert loss == 2.5
    assert grad_y.tolist() == [[1], [-2]]
    grad_x = net.backward(grad_y)
    assert last.grad_weight.tolist() == [[1], [2]]
    assert last.grad_bias.tolist() == [-1]
    assert hidden.grad_weight.tolist() == [[-6, -1], [8, -2]]
    assert hidden.grad_bias.tolist() == [-2, -1]
    assert grad_x.tolist() == [[3, 1], [-4, -4]]


@given(seed=SEEDS, n=SIZES, d=SIZES, k=SIZES)
@settings(max_examples=20)
def test_exercise_a_weight_used_twice(seed, n, d, k):
    rng = np.random.default_rng(seed)
    x, grad_y = rng.standard_normal((2, n, d))
    W = rng.standard_normal((d, k))
    right = complex_step(lambda W: np.sum(grad_y * (x @ W @ W.T)), W)
    assert relative_error(x.T @ grad_y @ W + grad_y.T @ x @ W, right) <= COMPLEX


@given(seed=SEEDS, n=SIZES, d=SIZES)
@settings(max_examples=20)
def test_exercise_a_scale_layer(seed, n, d):
    rng = np.random.default_rng(seed)
    x, grad_y = rng.standard_normal((2, n, d))
    s = rng.standard_normal(d)
    right = complex_step(lambda s: np.sum(grad_y * (x * s)), s)
    assert relative_error(np.sum(grad_y * x, axis=0), right) <= COMPLEX
    right = complex_step(lambda x: np.sum(grad_y * (x * s)), x)
    assert relative_error(grad_y * s, right) <= COMPLEX


@pytest.mark.parametrize("model", [
    Autoencoder(2, hidden_layer_sizes=(3,), max_iter=2), LinearAutoencoder(2), TiedAutoencoder(2),
    VAE(2, noise_variance="learned", max_iter=2), SparseAutoencoder(2, n_steps=2, max_iter=2),
    SparseCoding(2, max_iter=2), ContractiveAutoencoder(2, max_iter=2),
    MaskedAutoencoder(width=4, decoder_width=4, max_iter=2),
], ids=lambda m: type(m).__name__)  # fmt: skip
def test_names_of_parameters_lead_to_them(model):
    X = np.random.default_rng(0).uniform(size=(9, 4))
    model = copy.deepcopy(model).set_params(random_state=0).fit(X)
    for i, value in enumerate(model.parameters_):
        name = model.layout_.locate(i)
        if name != "log_noise_variance":
            assert eval(f"model.{name}") == value
