"""Chapter 10: convolution as a matrix, what its windows see, and the linear convolutional
autoencoder against its closed form."""

from __future__ import annotations

import copy
import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from theory_report import verify

import nanoae
from nanoae import VAE, Autoencoder, Convolutional, datasets, gradient_check, theory
from nanoae.network import (
    AveragePool,
    Convolution,
    MaxPool,
    Parameters,
    Sequential,
    TransposedConvolution,
    Upsample,
)

EPS = np.finfo(float).eps
# sums of a few hundred products of numbers of order 1, relative to what they would be if all had
# one sign: a rounding each
ROUNDING = 1e-13
Z_BOUND = 5.0  # two-sided: a false alarm once in 1.7 million draws
seeds = st.integers(0, 2**32 - 1)


class Geometry:
    """A convolution with its transpose, of random shapes and with the same random weights."""

    def __init__(self, seed, n_axes, circular):
        rng = self.rng = np.random.default_rng(seed)
        self.k, self.s = int(rng.integers(1, 6)), int(rng.integers(1, 5))
        self.p = int(rng.integers(0, self.k))
        least = max(1, self.k - 2 * self.p)
        self.size = tuple(int(n) for n in rng.integers(least, 10, n_axes))
        # up to more channels than the way back takes at a time
        c, n_channels, self.n = (int(n) for n in rng.integers(1, [7, 4, 4]))
        self.options = {"stride": self.s, "padding": self.p, "circular": circular}
        image = (c, *self.size)
        self.layer, self.parameters = bound(
            Convolution(image, n_channels, self.k, bias=False, **self.options), rng
        )
        self.transpose, _ = bound(
            TransposedConvolution(n_channels, image, self.k, bias=False, **self.options), rng
        )
        self.transpose.weight[...] = self.layer.weight
        self.x = rng.standard_normal((self.n, *image))
        self.g = rng.standard_normal((self.n, *self.layer.shape_out))

    def matrix(self, weight=None):
        weight = self.layer.weight if weight is None else weight
        return theory.convolution_matrix(weight, self.size, **self.options)


geometries = st.builds(Geometry, seeds, st.sampled_from([1, 2, 2]), st.booleans())


def bound(layer, rng, dtype=np.float64):
    """A layer with random parameters, and these."""
    parameters = Parameters({"layer": layer}, dtype)
    parameters.values[...] = rng.standard_normal(parameters.values.shape)
    return layer, parameters


def rows(x):
    return x.reshape(len(x), -1)


def relative(found, right):
    return np.abs(found - right).max() / max(1.0, np.abs(right).max())


# --- 10.1: a convolution and its gradients ------------------------------------------------------


@pytest.mark.equation("10.1")
@pytest.mark.equation("10.1a")
@pytest.mark.equation("10.1b")
@pytest.mark.equation("10.1c")
@given(geometries)
@settings(max_examples=100)
def test_a_convolution_is_its_matrix(geometry):
    """The matrix is written number by number, in loops over the definition."""
    layer, x, g = geometry.layer, geometry.x, geometry.g
    K = geometry.matrix()
    counts = [(n + 2 * geometry.p - geometry.k) // geometry.s + 1 for n in geometry.size]
    verify("10.1a", np.abs(np.subtract(layer.shape_out[1:], counts)).max(), 0)
    # and the last window ends within the padding, where one more would not
    for n, m in zip(geometry.size, layer.shape_out[1:], strict=True):
        ends = [(i - 1) * geometry.s + geometry.k for i in (m, m + 1)]
        verify("10.1a", ends[0] > n + 2 * geometry.p or ends[1] <= n + 2 * geometry.p, 0)
    y = layer.forward(x)
    verify("10.1", relative(rows(y), rows(x) @ K.T), ROUNDING)
    assert np.array_equal(layer(x), y)
    grad_x = layer.backward(g)
    verify("10.1c", relative(rows(grad_x), rows(g) @ K), ROUNDING)
    # L = Σ g y is linear in the kernel: its derivative by a weight is L at that weight alone
    grad_weight = np.empty_like(layer.weight)
    for place in np.ndindex(*layer.weight.shape):
        unit = np.zeros_like(layer.weight)
        unit[place] = 1
        grad_weight[place] = np.sum(rows(g) * (rows(x) @ geometry.matrix(unit).T))
    verify("10.1b", relative(layer.grad_weight, grad_weight), ROUNDING)


@pytest.mark.equation("10.1c")
@given(geometries)
@settings(max_examples=60)
def test_the_transposed_layer_is_the_transposed_matrix(geometry):
    layer, h, g = geometry.transpose, geometry.g, geometry.x
    K = geometry.matrix()
    y = layer.forward(h)
    verify("10.1c", relative(rows(y), rows(h) @ K), ROUNDING)
    assert np.array_equal(layer(h), y)
    assert relative(rows(layer.backward(g)), rows(g) @ K.T) <= ROUNDING
    # the same bilinear form as that of the convolution, with x and g having changed places
    geometry.layer.forward(g)
    geometry.layer.backward(h)
    assert relative(layer.grad_weight, geometry.layer.grad_weight) <= ROUNDING


@pytest.mark.equation("10.1d")
@pytest.mark.parametrize("seed", range(200))
def test_adjoint_identity(seed):
    geometry = Geometry(seed, 2, circular=bool(seed % 2))
    layer, x, g = geometry.layer, geometry.x, geometry.g
    y = layer.forward(x)
    grad_x = layer.backward(g)
    scale = np.linalg.norm(y) * np.linalg.norm(g)
    right = np.sum(g * y)
    verify("10.1d", abs(np.sum(grad_x * x) - right) / scale, ROUNDING)
    verify("10.1d", abs(np.sum(layer.grad_weight * layer.weight) - right) / scale, ROUNDING)
    verify("10.1d", abs(np.sum(geometry.transpose(g) * x) - right) / scale, ROUNDING)


@pytest.mark.equation("10.1e")
@given(n=st.integers(1, 30), k=st.integers(1, 6), s=st.integers(1, 5), data=st.data())
@settings(max_examples=100)
def test_size_of_the_transpose(n, k, s, data):
    p = data.draw(st.integers(0, k - 1))
    assume(n + 2 * p >= k)
    (m,) = Convolution((1, n), 1, k, stride=s, padding=p).shape_out[1:]
    rest = (n + 2 * p - k) % s
    verify("10.1e", abs((m - 1) * s + k - 2 * p + rest - n), 0)
    # the s sizes that share m are those with another rest
    for other in range(s):
        n_other = n - rest + other
        if n_other > 0:
            shape = Convolution((1, n_other), 1, k, stride=s, padding=p).shape_out
            verify("10.1e", abs(shape[1] - m), 0)
    layer = TransposedConvolution(1, (1, n), k, stride=s, padding=p)
    assert layer.shape_in == (1, m) and layer.shape_out == (1, n)


@pytest.mark.equation("10.1f")
@given(st.builds(Geometry, seeds, st.sampled_from([1, 2, 2]), st.just(False)))
@settings(max_examples=60)
def test_the_transpose_inserts_zeros_and_flips_the_kernel(geometry):
    k, s, p = geometry.k, geometry.s, geometry.p
    g, w, size = geometry.g, geometry.layer.weight, geometry.size
    spread = np.zeros((*g.shape[:2], *(n + 2 * p - k + 1 for n in size)))
    spread[(..., *(slice(0, (m - 1) * s + 1, s) for m in g.shape[2:]))] = g
    flipped = np.flip(w, axis=tuple(range(2, w.ndim))).swapaxes(0, 1)
    layer, _ = bound(
        Convolution(spread.shape[1:], w.shape[1], k, padding=k - 1, bias=False), geometry.rng
    )
    layer.weight[...] = flipped
    inside = (..., *(slice(p, p + n) for n in size))
    verify("10.1f", relative(layer(spread)[inside], geometry.transpose(g)), ROUNDING)


# --- 10.2: a dense layer with ties --------------------------------------------------------------


@pytest.mark.equation("10.2")
@given(geometries)
@settings(max_examples=60)
def test_gradient_of_the_kernel_is_the_sum_over_ties(geometry):
    layer, x, g = geometry.layer, geometry.x, geometry.g
    layer.forward(x)
    layer.backward(g)
    grad_K = rows(g).T @ rows(x)
    # which entries are tied: a matrix of the number of each weight, 0 where there is none. A
    # circular window longer than the data has two weights in one entry: they are no ties.
    assume(not geometry.options["circular"] or geometry.k <= min(geometry.size))
    numbers = np.arange(1.0, layer.weight.size + 1).reshape(layer.weight.shape)
    which = geometry.matrix(numbers)
    summed = [grad_K[which == number].sum() for number in numbers.ravel()]
    verify("10.2", relative(layer.grad_weight.ravel(), np.array(summed)), ROUNDING)


# --- 10.3: frequencies --------------------------------------------------------------------------


@pytest.mark.equation("10.3")
@given(seed=seeds, s=st.integers(1, 4), blocks=st.lists(st.integers(1, 4), min_size=1, max_size=2))
@settings(max_examples=60)
def test_singular_values_by_the_fft(seed, s, blocks):
    rng = np.random.default_rng(seed)
    size = tuple(s * m for m in (blocks if len(blocks) == 1 or s < 4 else blocks[:1]))
    k = int(rng.integers(1, min(size) + 1))
    c, n_channels = (int(n) for n in rng.integers(1, 4, 2))
    layer, _ = bound(
        Convolution(
            (c, *size), n_channels, k, stride=s, padding=int(rng.integers(0, k)), circular=True,
            bias=False,
        ), rng,
    )  # fmt: skip
    assume(layer.shape_out[1:] == tuple(n // s for n in size))  # one window a stride, no more
    unit_images = np.eye(c * math.prod(size)).reshape(-1, c, *size)
    values = np.linalg.svd(rows(layer(unit_images)), compute_uv=False)
    by_fft = theory.circular_singular_values(layer.weight, size, stride=s)[: len(values)]
    verify("10.3", relative(by_fft, values[: len(by_fft)]), ROUNDING)
    assert np.all(values[len(by_fft) :] <= ROUNDING * values[0])


@pytest.mark.equation("10.3a")
@given(seeds)
@settings(max_examples=100)
def test_zero_padding_is_bounded_on_the_larger_grid(seed):
    geometry = Geometry(seed, 1, circular=False)
    grid = (geometry.size[0] + geometry.k - 1,)
    bound = theory.circular_singular_values(geometry.layer.weight, grid)[0]
    norm = np.linalg.norm(geometry.matrix(), 2)
    verify("10.3a", norm / bound, 1 + ROUNDING)


@pytest.mark.equation("10.3a")
def test_zero_padding_is_not_bounded_on_the_grid_of_the_data():
    w = np.array([[[-1.0, 2.0, -1.0]]])
    norm = np.linalg.norm(theory.convolution_matrix(w, (3,), padding=1), 2)
    verify("10.3a", abs(norm - (2 + 2**0.5)), 10 * EPS)
    assert theory.circular_singular_values(w, (3,))[0] == pytest.approx(3)


# --- 10.4: equivariance -------------------------------------------------------------------------


@pytest.mark.equation("10.4")
@given(seed=seeds, s=st.integers(1, 3), m=st.integers(2, 4), t=st.integers(-5, 5))
@settings(max_examples=60)
def test_circular_layers_are_equivariant(seed, s, m, t):
    """On whole numbers, where nothing rounds: exactly."""
    rng = np.random.default_rng(seed)
    shape, k = (2, s * m, 2 * s * m), int(rng.integers(1, 6))
    options = {"stride": s, "padding": "same", "circular": True, "activation": "relu"}
    down, down_parameters = bound(Convolution(shape, 3, k, **options), rng)
    up, up_parameters = bound(TransposedConvolution(3, shape, k, **options), rng)
    for parameters in (down_parameters, up_parameters):
        parameters.values[...] = rng.integers(-4, 5, parameters.values.shape)
    x = rng.integers(-9, 10, (2, *shape)).astype(float)
    axes, code = (2, 3), down(x)
    shifted = down(np.roll(x, (s * t, -s * t), axes))
    verify("10.4", np.abs(shifted - np.roll(code, (t, -t), axes)).max(), 0)
    shifted = up(np.roll(code, (t, -t), axes))
    verify("10.4", np.abs(shifted - np.roll(up(code), (s * t, -s * t), axes)).max(), 0)


def test_a_stride_that_does_not_divide_the_circle_ends_equivariance():
    """10 places, strides of 2 and 2: the second goes round 5 places."""
    X = np.random.default_rng(0).standard_normal((6, 10))
    networks = Convolutional((10,), (4,), circular=True, dense=False, activation="tanh")
    model = Autoencoder(3, architecture=networks, random_state=0)
    model.initialise(X)
    shifted = model.transform(np.roll(X, 4, axis=1))
    assert all(
        np.abs(shifted - np.roll(model.transform(X), t, axis=1)).max() > 0.1 for t in (0, 1, 2)
    )


def test_a_shift_by_half_a_stride_is_no_shift_of_the_code():
    rng = np.random.default_rng(0)
    layer, _ = bound(Convolution((1, 12), 1, 3, stride=2, padding="same", circular=True), rng)
    x = rng.standard_normal((1, 1, 12))
    shifted = layer(np.roll(x, 1, axis=2))
    assert all(np.abs(shifted - np.roll(layer(x), t, axis=2)).max() > 0.5 for t in range(6))


@pytest.mark.equation("10.4a")
@given(
    seed=seeds, kernels=st.lists(st.integers(1, 5), min_size=1, max_size=3), s=st.integers(1, 2)
)
@settings(max_examples=60)
def test_zero_padding_is_equivariant_away_from_the_borders(seed, kernels, s):
    rng = np.random.default_rng(seed)
    n, shape, layers = 40, (1, 40), []
    for k in kernels:
        layer = Convolution(shape, 2, k, stride=s, padding=k // 2, activation="relu")
        bound(layer, rng)
        layer.weight[...] = rng.integers(-3, 4, layer.weight.shape)
        layer.bias[...] = rng.integers(-3, 4, 2)
        layers.append(layer)
        shape = layer.shape_out
    strides = [s] * len(kernels)
    jump, field = s ** len(kernels), theory.receptive_field(kernels, strides)
    before = sum(k // 2 * s**layer for layer, k in enumerate(kernels))
    t = int(rng.integers(1, 3))
    x = rng.integers(-9, 10, (1, 1, n)).astype(float)
    moved = np.roll(x, t * jump, axis=2)
    moved[..., : t * jump] = rng.integers(-9, 10, t * jump)  # whatever came in
    y, y_moved = x, moved
    for layer in layers:
        y, y_moved = layer(y), layer(y_moved)
    begins = np.arange(shape[1]) * jump - before
    inside = (begins >= t * jump) & (begins + field <= n)  # before the shift it is t further left
    places = np.flatnonzero(inside)
    assume(len(places))
    verify("10.4a", np.abs(y_moved[..., places] - y[..., places - t]).max(), 0)


@given(seed=seeds)
@settings(max_examples=5)
def test_a_whole_circular_autoencoder_is_equivariant(seed):
    """All its strides together: 4 pixels, one place of the code."""
    X = datasets.make_sprites(5, random_state=seed).X
    networks = Convolutional((16, 16), (3,), circular=True, dense=False, activation="softplus")
    model = Autoencoder(2 * 16, architecture=networks, random_state=seed)
    model.initialise(X)
    shifted = rows(np.roll(X.reshape(5, 16, 16), (4, -8), (1, 2)))
    codes = np.roll(model.transform(X).reshape(5, 2, 4, 4), (1, -2), (2, 3))
    assert np.abs(model.transform(shifted) - rows(codes)).max() <= 1e-13
    images = np.roll(model.reconstruct(X).reshape(5, 16, 16), (4, -8), (1, 2))
    assert np.abs(model.reconstruct(shifted) - rows(images)).max() <= 1e-13


# --- 10.5: checkerboards ------------------------------------------------------------------------


def laid_down(kernel_weights, stride, inputs):
    """The output of a transposed convolution of one channel, along one axis, without padding."""
    k, m = len(kernel_weights), len(inputs)
    layer = TransposedConvolution(1, (1, (m - 1) * stride + k), k, stride=stride, bias=False)
    bound(layer, np.random.default_rng(0))
    layer.weight[...] = kernel_weights
    return layer(inputs[None, None])[0, 0]


@pytest.mark.equation("10.5")
@pytest.mark.equation("10.5a")
@pytest.mark.parametrize("k", range(1, 12))
@pytest.mark.parametrize("s", range(1, 6))
def test_overlap_counts(k, s):
    counted = laid_down(np.ones(k), s, np.ones(20))
    inside = np.arange(k - 1, 20 * s)  # all windows that could see them are there
    inside = inside[inside < len(counted)]
    counts = theory.overlap_counts(k, s, inside)
    verify("10.5", np.abs(counted[inside] - counts).max(), 0)
    verify("10.5a", (len(set(counted[inside])) == 1) != (k % s == 0), 0)


@pytest.mark.equation("10.5")
def test_counts_multiply_over_axes_and_come_back_in_the_backward_of_a_convolution():
    layer = Convolution((1, 21, 21), 1, 3, stride=2, bias=False)
    bound(layer, np.random.default_rng(0))
    layer.weight[...] = 1
    layer.forward(np.zeros((1, 1, 21, 21)))
    terms = layer.backward(np.ones((1, *layer.shape_out)))[0, 0, 2:-2, 2:-2]
    counts = theory.overlap_counts(3, 2, range(2, 19))
    verify("10.5", np.abs(terms - np.outer(counts, counts)).max(), 0)
    assert set(counts) == {1, 2}


@pytest.mark.equation("10.5b")
@pytest.mark.parametrize(("k", "s"), [(3, 2), (4, 2), (5, 3)])
def test_variance_at_the_start(k, s):
    rng, m, n_draws = np.random.default_rng(k), 6, 4000
    # every output channel is a draw of weights
    layer = TransposedConvolution(3, (n_draws, (m - 1) * s + k), k, stride=s)
    Parameters({"layer": layer})
    layer.initialise(rng)
    h = rng.standard_normal((3, m))
    squares = layer(h[None])[0] ** 2
    sigma2 = layer.weight.var()  # of 12,000 k draws: known better than what is tested
    fan_in, fan_out = 3 * k / s, n_draws * k
    assert sigma2 == pytest.approx(0.25 * 2 / (fan_in + fan_out), rel=0.05)  # the gain is 1/2
    right = np.zeros(squares.shape[1])
    for i in range(m):
        right[i * s : i * s + k] += sigma2 * np.sum(h[:, i] ** 2)
    z = np.abs(squares.mean(axis=0) - right) / (squares.std(axis=0) / n_draws**0.5)
    verify("10.5b", z.max(), Z_BOUND)


@pytest.mark.equation("10.5c")
@given(seed=seeds, k=st.integers(1, 9), s=st.integers(1, 5), is_flat=st.booleans())
@settings(max_examples=60)
def test_a_constant_comes_out_as_polyphase_sums(seed, k, s, is_flat):
    rng = np.random.default_rng(seed)
    w = rng.standard_normal(k)
    if is_flat and k >= s:
        for r in range(1, s):  # correct the last tap of each phase
            w[r::s][-1:] += w[::s].sum() - w[r::s].sum()
    y = laid_down(w, s, np.ones(12))
    inside = np.arange(k - 1, min(12 * s, len(y)))
    sums = theory.polyphase_sums(w, s)
    verify("10.5c", np.abs(y[inside] - sums[inside % s]).max(), ROUNDING)
    frequencies = np.arange(1, s) / s
    transform = np.exp(-2j * np.pi * np.outer(frequencies, np.arange(k))) @ w
    flat = np.ptp(sums) <= 1e-12
    verify("10.5c", flat != (np.abs(transform).max(initial=0) <= 1e-11), 0)
    assert flat == (s == 1 or (is_flat and k >= s))


@pytest.mark.equation("10.5c")
def test_a_stride_that_divides_the_kernel_is_neither_sufficient_nor_necessary():
    ripples = laid_down(np.arange(1.0, 7.0), 3, np.ones(9))[6:-6]
    verify("10.5c", np.abs(ripples[:3] - [5, 7, 9]).max(), 0)
    flat = laid_down(np.array([1.0, 3.0, 2.0]), 2, np.ones(9))[2:-2]
    verify("10.5c", np.abs(flat - 3).max(), 0)


@pytest.mark.equation("10.5d")
@given(seed=seeds, k=st.integers(1, 6), s=st.integers(1, 5))
@settings(max_examples=60)
def test_upsampling_and_a_convolution_are_one_flat_transposed_convolution(seed, k, s):
    rng = np.random.default_rng(seed)
    up = Upsample((1, 7), s)
    layer, _ = bound(Convolution(up.shape_out, 1, k, padding=k - 1, bias=False), rng)
    w, h = layer.weight[0, 0], rng.standard_normal(7)
    v = np.array(
        [sum(w[a] for a in range(k) if 0 <= t + a - (k - 1) < s) for t in range(s + k - 1)]
    )
    y = layer(up(h[None, None]))[0, 0]
    verify("10.5d", relative(laid_down(v, s, h), y), ROUNDING)
    verify("10.5d", np.abs(theory.polyphase_sums(v, s) - w.sum()).max(), ROUNDING)


# --- 10.6: the linear convolutional autoencoder -------------------------------------------------


def linear_model(size, stride, n_filters, *, kernel, n_channels=1, **params):
    networks = Convolutional(
        size, (), n_channels=n_channels, kernel=kernel, stride=stride, circular=True,
        dense=False, bias=False,
    )  # fmt: skip
    n_code = n_filters * math.prod(n // stride for n in size)
    return Autoencoder(n_code, architecture=networks, solver="lbfgs", random_state=0, **params)


def with_a_spectrum(rng, d, n, falls=0.25):
    """Samples that no shift leaves alike, and whose variances fall."""
    mixing = rng.standard_normal((d, d)) * np.exp(-falls * np.arange(d))
    return rng.standard_normal((n, d)) @ mixing.T + rng.standard_normal(d)


@pytest.mark.equation("10.6")
@given(seed=seeds, s=st.integers(1, 4), blocks=st.lists(st.integers(1, 3), min_size=1, max_size=2))
@settings(max_examples=60)
def test_no_filters_do_better_and_the_banks_own_are_real(seed, s, blocks):
    rng = np.random.default_rng(seed)
    size = tuple(s * m for m in blocks)
    c, n_filters = (int(n) for n in rng.integers(1, 3, 2))
    d = c * math.prod(size)
    X = with_a_spectrum(rng, d, 20)
    bank = theory.filter_bank(X, size, stride=s, n_filters=n_filters, n_channels=c)
    total = np.sum(X**2) / len(X)
    # its reconstruction is real, of that loss, and linear: a projector
    error = np.sum((X - bank.reconstruct(X)) ** 2) / len(X)
    verify("10.6", abs(error - bank.loss) / total, ROUNDING)
    P = bank.reconstruct(np.eye(d))
    verify("10.6", np.abs(P @ P - P).max(), ROUNDING)
    # it is circular, a stride at a time: so are its filters
    shifted = np.roll(np.eye(d).reshape(d, *size, c), [s] * len(size), range(1, 1 + len(size)))
    moved = np.roll(P.reshape(d, *size, c), [s] * len(size), range(1, 1 + len(size)))
    verify("10.6", np.abs(bank.reconstruct(rows(shifted)) - rows(moved)).max(), ROUNDING)
    # any other filters, with the best decoder for their code; on all shifts of the samples, which
    # to the bank are as the samples, it need not even be a convolution
    layer, _ = bound(
        Convolution(
            (c, *size), n_filters, max(size), stride=s, padding="same", circular=True, bias=False
        ), rng,
    )  # fmt: skip
    shifts = all_shifts(X, size, c, s)
    codes = rows(layer(np.moveaxis(shifts.reshape(-1, *size, c), -1, 1)))
    lost = shifts - codes @ np.linalg.lstsq(codes, shifts, rcond=None)[0]
    verify("10.6", max(0.0, bank.loss - np.sum(lost**2) / len(shifts)) / total, ROUNDING)


def all_shifts(X, size, n_channels, stride):
    images, axes = X.reshape(len(X), *size, n_channels), range(1, 1 + len(size))
    steps = np.ndindex(*(n // stride for n in size))
    shifts = [np.roll(images, [stride * t for t in step], axes) for step in steps]
    return rows(np.concatenate(shifts))


@pytest.mark.equation("10.6a")
@pytest.mark.many
@pytest.mark.parametrize(
    ("size", "stride", "n_filters", "n_channels"),
    [
        ((12,), 2, 1, 1), ((6, 6), 2, 1, 1), ((12,), 4, 2, 2), ((8, 8), 4, 3, 1), ((15,), 3, 2, 1),
        ((6, 6), 3, 2, 2), ((12,), 3, 1, 1), ((10,), 5, 3, 1), ((6, 6), 2, 3, 1),
    ],
)  # fmt: skip
def test_trained_with_filters_as_long_as_the_data(size, stride, n_filters, n_channels):
    d = n_channels * math.prod(size)
    X = with_a_spectrum(np.random.default_rng(d), d, 100, falls=3 / d)
    model = linear_model(size, stride, n_filters, kernel=size[0], n_channels=n_channels).fit(X)
    bank = theory.filter_bank(X, size, stride=stride, n_filters=n_filters, n_channels=n_channels)
    verify("10.6a", abs(model.loss_ / bank.loss - 1), 1e-8)
    scale = np.abs(X).max()  # an excess of the loss of δ is a turn of its axes by √δ or so
    assert np.abs(model.reconstruct(X) - bank.reconstruct(X)).max() <= 1e-3 * scale


@pytest.mark.equation("10.6e")
@pytest.mark.many
@pytest.mark.parametrize(
    ("size", "stride", "n_filters", "n_channels"),
    [((12,), 3, 1, 1), ((6, 6), 3, 2, 1), ((8, 8), 2, 1, 2), ((12,), 4, 2, 1), ((20,), 5, 2, 2)],
)
def test_trained_with_filters_as_long_as_the_stride(size, stride, n_filters, n_channels):
    d = n_channels * math.prod(size)
    X = with_a_spectrum(np.random.default_rng(d), d, 100, falls=3 / d)
    model = linear_model(size, stride, n_filters, kernel=stride, n_channels=n_channels).fit(X)
    # PCA of all blocks, cut out by hand
    images = X.reshape(len(X), *size, n_channels)
    windows = np.lib.stride_tricks.sliding_window_view(
        images, [stride] * len(size), axis=tuple(range(1, 1 + len(size)))
    )[(slice(None), *[slice(None, None, stride)] * len(size))]
    blocks = windows.reshape(-1, n_channels * stride ** len(size))
    left_out = np.linalg.eigvalsh(blocks.T @ blocks / len(X))[:-n_filters].sum()
    verify("10.6e", abs(model.loss_ / left_out - 1), 1e-8)
    ladder = theory.filter_bank_ladder(
        X, size, stride=stride, n_filters=n_filters, n_channels=n_channels
    )
    verify("10.6e", abs(ladder.patches / left_out - 1), ROUNDING)


@pytest.mark.equation("10.6e")
def test_a_stride_as_long_as_the_data_is_pca():
    X = with_a_spectrum(np.random.default_rng(0), 9, 40)
    loss = theory.filter_bank(X, (9,), stride=9, n_filters=4).loss
    left_out = np.linalg.eigvalsh(X.T @ X / len(X))[:-4].sum()
    verify("10.6e", abs(loss / left_out - 1), ROUNDING)
    verify("10.6e", abs(theory.filter_bank(X, (9,), stride=1, n_filters=1).loss), 0)


def stationary(spectrum):
    """Samples whose second moment is exactly the circulant matrix of this spectrum."""
    N = len(spectrum)
    F = np.fft.fft(np.eye(N), norm="ortho")
    return np.sqrt(N) * (F.conj().T * np.sqrt(spectrum) @ F).real


@st.composite
def spectra(draw):
    """A real spectrum, N, s, C: one that falls, or any other."""
    s, m = draw(st.integers(2, 4)), draw(st.integers(2, 6))
    rng, falls = np.random.default_rng(draw(seeds)), draw(st.booleans())
    values = rng.uniform(0.1, 1, s * m // 2 + 1)
    values = np.sort(values)[::-1] if falls else values
    frequency = np.minimum(np.arange(s * m), s * m - np.arange(s * m))
    return values[frequency], s, draw(st.integers(1, s - 1)), falls


@pytest.mark.equation("10.6b")
@pytest.mark.equation("10.6c")
@given(spectra())
@settings(max_examples=100)
def test_stationary_data(problem):
    spectrum, s, n_filters, falls = problem
    N, m = len(spectrum), len(spectrum) // s
    X = stationary(spectrum)
    bank = theory.filter_bank(X, (N,), stride=s, n_filters=n_filters).loss
    classes = [np.sort(spectrum[q::m]) for q in range(m)]
    by_class = sum(values[: s - n_filters].sum() for values in classes)
    total = spectrum.sum()
    verify("10.6b", abs(bank - by_class) / total, ROUNDING)
    by_theory = theory.filter_bank_of_spectrum(spectrum, stride=s, n_filters=n_filters)
    verify("10.6b", abs(by_theory - by_class) / total, ROUNDING)
    # can the largest be chosen with as many in each class? Those above the last one must be
    # taken, those equal to it may be
    pca = np.sort(spectrum)[: N - n_filters * m].sum()
    last = np.sort(spectrum)[N - n_filters * m]
    must, may = (
        [sum(values > last) for values in classes], [sum(values >= last) for values in classes],
    )  # fmt: skip
    can = max(must) <= n_filters <= min(may)
    verify("10.6c", (abs(bank - pca) <= ROUNDING * total) != can, 0)
    if falls:
        verify("10.6c", not can, 0)


@pytest.mark.equation("10.6c")
def test_on_two_axes_a_falling_spectrum_is_not_enough():
    f = np.minimum(np.arange(16), 16 - np.arange(16))
    spectrum = (1 + f[:, None] ** 2 + f**2) ** -1.5
    bank = theory.filter_bank_of_spectrum(spectrum, stride=4, n_filters=1)
    pca = np.sort(spectrum, axis=None)[: 256 - 16].sum()
    verify("10.6c", bank < 1.03 * pca, 0)  # a disc of 16 is no square of 16
    F = np.fft.fft(np.eye(16), norm="ortho")
    F2 = np.kron(F, F)
    X = 16 * (F2.conj().T * np.sqrt(spectrum.ravel()) @ F2).real
    loss = theory.filter_bank(X, (16, 16), stride=4, n_filters=1).loss
    assert loss == pytest.approx(bank, rel=1e-12)


@pytest.mark.equation("10.6d")
@given(seed=seeds, s=st.integers(2, 4), blocks=st.lists(st.integers(1, 4), min_size=1, max_size=2))
@settings(max_examples=60)
def test_the_ladder(seed, s, blocks):
    rng = np.random.default_rng(seed)
    size = tuple(s * m for m in (blocks if s < 4 else blocks[:1]))
    c, n_filters = (int(n) for n in rng.integers(1, 3, 2))
    X = with_a_spectrum(rng, c * math.prod(size), 15)
    ladder = theory.filter_bank_ladder(X, size, stride=s, n_filters=n_filters, n_channels=c)
    total = np.sum(X**2) / len(X)
    for above, below in pairwise(ladder):
        verify("10.6d", max(0.0, below - above) / total, ROUNDING)


@pytest.mark.equation("10.6d")
def test_filters_in_between_are_in_between():
    X = with_a_spectrum(np.random.default_rng(1), 12, 60)
    ladder = theory.filter_bank_ladder(X, (12,), stride=3, n_filters=1)
    assert ladder.patches > 1.02 * ladder.bank
    for kernel in (5, 7):
        loss = linear_model((12,), 3, 1, kernel=kernel, tol=1e-4).fit(X).loss_
        # trained losses are no less than the least: the lower step holds of any training, and the
        # upper one of those that end well
        verify("10.6d", max(ladder.bank / loss, loss / ladder.patches), 1 + 1e-12)


@pytest.mark.equation("10.6f")
def test_few_samples_and_many():
    """Errors on 500 sprites that neither has seen, each a mean of five training sets."""
    unseen = datasets.make_sprites(500, random_state=100).X

    def error(n):
        errors = []
        for seed in range(5):
            X = datasets.make_sprites(n, random_state=seed).X
            bank = theory.filter_bank(X, (16, 16), stride=4, n_filters=4)
            axes = np.linalg.svd(X, full_matrices=False)[2][:64]
            rebuilt = bank.reconstruct(unseen), unseen @ axes.T @ axes
            errors.append([np.sum((unseen - r) ** 2) / len(unseen) for r in rebuilt])
        return np.mean(errors, axis=0)

    bank, pca = error(20)
    verify("10.6f", bank / pca, 1 / 2)
    bank, pca = error(1000)
    verify("10.6f", pca / bank, 2 / 3)


# --- 10.7: receptive fields ---------------------------------------------------------------------

stacks = st.lists(st.tuples(st.integers(1, 4), st.integers(1, 3)), min_size=1, max_size=4)


def dependence(kernels, strides):
    """How the only output of a stack of equal positive weights depends on each pixel."""
    shape, layers = (1, theory.receptive_field(kernels, strides)), []
    for k, s in zip(kernels, strides, strict=True):
        layers.append(Convolution(shape, 1, k, stride=s, bias=False))
        bound(layers[-1], np.random.default_rng(0))
        layers[-1].weight[...] = 1 / k
        shape = layers[-1].shape_out
    network = Sequential(layers)
    assert network.shape_out == (1, 1)
    network.forward(np.zeros((1, *network.shape_in)))
    return network.backward(np.ones((1, 1, 1)))[0, 0]


@pytest.mark.equation("10.7")
@pytest.mark.equation("10.7a")
@pytest.mark.equation("10.7b")
@given(stacks)
@settings(max_examples=100)
def test_receptive_field(stack):
    kernels, strides = zip(*stack, strict=True)
    seen = dependence(kernels, strides)
    places = np.flatnonzero(seen)
    verify("10.7", abs(places[-1] - places[0] + 1 - theory.receptive_field(kernels, strides)), 0)
    if all(k >= s for k, s in stack[:-1]):
        verify("10.7a", np.count_nonzero(seen == 0), 0)
    where = np.arange(len(seen))
    mean = seen @ where
    variance = seen @ (where - mean) ** 2
    right = theory.receptive_field_variance(kernels, strides)
    verify("10.7b", abs(variance - right) / max(1.0, right), ROUNDING)


@pytest.mark.equation("10.7a")
def test_a_kernel_smaller_than_its_stride_leaves_holes():
    verify("10.7a", abs(np.count_nonzero(dependence((2, 2), (3, 1)) == 0) - 1), 0)


# --- 10.8: pooling ------------------------------------------------------------------------------


def pooled(layer, seed, n=3):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, *layer.shape_in))
    y = layer.forward(x)
    g = rng.standard_normal(y.shape)
    return x, y, g, layer.backward(g)


sides = st.tuples(st.integers(3, 8), st.integers(3, 8))


@pytest.mark.equation("10.8")
@pytest.mark.equation("10.8a")
@given(seed=seeds, size=sides, k=st.integers(1, 3))
@settings(max_examples=50)
def test_pooling(seed, size, k):
    x, y, g, grad_x = pooled(MaxPool((2, *size), k), seed)
    for i, j in np.ndindex(*y.shape[2:]):
        window = x[:, :, i * k : i * k + k, j * k : j * k + k]
        assert np.array_equal(y[:, :, i, j], window.max(axis=(2, 3)))
    verify("10.8", abs(np.linalg.norm(grad_x) / np.linalg.norm(g) - 1), ROUNDING)
    x, y, g, grad_x = pooled(AveragePool((2, *size), k), seed)
    for i, j in np.ndindex(*y.shape[2:]):
        window = x[:, :, i * k : i * k + k, j * k : j * k + k]
        assert np.abs(y[:, :, i, j] - window.mean(axis=(2, 3))).max() <= 4 * EPS
    verify("10.8a", abs(k**2 * np.sum(grad_x**2) / np.sum(g**2) - 1), ROUNDING)


@pytest.mark.equation("10.8b")
@given(seed=seeds, size=sides, k=st.integers(1, 3), s=st.integers(1, 3))
@settings(max_examples=50)
def test_euler(seed, size, k, s):
    """Windows that overlap and ties, too: small whole numbers have many."""
    rng = np.random.default_rng(seed)
    pool = MaxPool((2, *size), k, s)
    layer = Convolution(pool.shape_out, 3, 3, padding="same", activation="relu", bias=False)
    last = TransposedConvolution(3, pool.shape_out, 3, padding="same", bias=False)
    network, _ = bound(Sequential([pool, layer, last]), rng)
    x = rng.integers(-2, 3, (3, *pool.shape_in)).astype(float)
    y = network.forward(x)
    g = rng.standard_normal(y.shape)
    grad_x = network.backward(g)
    scale = max(1.0, np.linalg.norm(g) * np.linalg.norm(y))
    verify("10.8b", abs(np.sum(grad_x * x) - np.sum(g * y)) / scale, ROUNDING)


def test_of_equal_numbers_the_first_wins():
    layer = MaxPool((1, 2, 2), 2)
    layer.forward(np.zeros((1, 1, 2, 2)))
    assert layer.backward(np.ones((1, 1, 1, 1))).tolist() == [[[[1.0, 0.0], [0.0, 0.0]]]]


@given(seed=seeds, size=sides, factor=st.integers(1, 3))
@settings(max_examples=20)
def test_upsampling_repeats_and_its_backward_is_its_transpose(seed, size, factor):
    x, y, g, grad_x = pooled(Upsample((2, *size), factor), seed)
    assert np.array_equal(y, x.repeat(factor, axis=2).repeat(factor, axis=3))
    scale = np.linalg.norm(g) * np.linalg.norm(y)
    assert abs(np.sum(g * y) - np.sum(grad_x * x)) <= ROUNDING * scale


# --- 10.9: trained networks ---------------------------------------------------------------------


@pytest.mark.equation("10.9")
def test_a_convolutional_autoencoder_against_pca_on_sprites():
    X, unseen = (datasets.make_sprites(n, random_state=n).X for n in (1000, 500))
    mean, components, _ = theory.pca(X)
    lost = (unseen - mean) - (unseen - mean) @ components[:, :5] @ components[:, :5].T
    pca = np.sum(lost**2) / len(unseen)
    model = Autoencoder(
        5, architecture=Convolutional((16, 16), (8, 16)), learning_rate=3e-3, batch_size=32,
        max_iter=15, random_state=0,
    ).fit(X.astype(np.float32))  # fmt: skip
    verify("10.9", -model.score(unseen) / pca, 0.5)


# --- layers and architectures in use ------------------------------------------------------------


def test_agreement_with_pytorch():
    torch = pytest.importorskip("torch")
    F = torch.nn.functional

    def agrees(layer, theirs, rng):
        x = rng.standard_normal((2, *layer.shape_in))
        y = layer.forward(x)
        g = rng.standard_normal(y.shape)
        grad_x = layer.backward(g)
        tensors = [torch.tensor(x, requires_grad=True)]
        if hasattr(layer, "weight"):
            tensors += [torch.tensor(p, requires_grad=True) for p in (layer.weight, layer.bias)]
        out = theirs(*tensors)
        out.backward(torch.tensor(g))
        found, right = [y, grad_x], [out.detach(), tensors[0].grad]
        if hasattr(layer, "weight"):
            found += [layer.grad_weight, layer.grad_bias]
            right += [tensor.grad for tensor in tensors[1:]]
        for ours, array in zip(found, right, strict=True):
            assert np.abs(ours - array.numpy()).max() <= 1e-10

    for seed in range(50):
        geometry = Geometry(seed, 2, circular=False)
        rng, k, s, p = geometry.rng, geometry.k, geometry.s, geometry.p
        image, n_channels = geometry.layer.shape_in, geometry.layer.shape_out[0]
        layer, _ = bound(Convolution(image, n_channels, k, stride=s, padding=p), rng)
        agrees(layer, lambda x, w, b, s=s, p=p: F.conv2d(x, w, b, s, p), rng)
        rest = [(n + 2 * p - k) % s for n in image[1:]]
        layer, _ = bound(TransposedConvolution(n_channels, image, k, stride=s, padding=p), rng)
        agrees(
            layer, lambda x, w, b, s=s, p=p, r=rest: F.conv_transpose2d(x, w, b, s, p, r), rng
        )  # fmt: skip
        k = int(rng.integers(1, min(image[1:]) + 1))
        agrees(MaxPool(image, k, s), lambda x, k=k, s=s: F.max_pool2d(x, k, s), rng)
        agrees(AveragePool(image, k, s), lambda x, k=k, s=s: F.avg_pool2d(x, k, s), rng)
        agrees(Upsample(image, s), lambda x, s=s: F.interpolate(x, scale_factor=s), rng)


NETWORKS = {  # of samples of 48 numbers: a series, images, colour images, and a code of places
    "series": Convolutional((48,), (2, 3), kernel=4, stride=3, activation="tanh"),
    "images": Convolutional((8, 6), (3,), activation="sigmoid", circular=True),
    "colours": Convolutional((4, 4), (6, 2), n_channels=3, activation="softplus"),
    "stereo": Convolutional((24,), (2,), n_channels=2, activation="relu", bias=False),
    "no hidden layer": Convolutional((8, 6), (), activation="tanh"),
    "places": Convolutional((4, 4), (3,), n_channels=3, dense=False, activation="tanh"),
    "places of a series": Convolutional((48,), (), stride=8, kernel=9, dense=False),
}
every_network = pytest.mark.parametrize("networks", NETWORKS.values(), ids=NETWORKS)
SAMPLES = np.random.default_rng(0).random((9, 48))


@every_network
def test_gradients_of_convolutional_models(networks):
    n_code = 6 if networks.stride == 8 else 2
    assert gradient_check(Autoencoder(n_code, architecture=networks), SAMPLES[:5]).error < 1e-7


@every_network
def test_models_keep_float32_and_survive_files_copies_and_a_checkpoint(networks, tmp_path):
    n_code = 6 if networks.stride == 8 else 2
    X = SAMPLES.astype(np.float32)
    model = VAE(n_code, architecture=networks, max_iter=2, batch_size=4, random_state=0)
    model.fit(X, checkpoint=tmp_path / "run.npz", sample_weight=np.arange(9) + 1.0)
    assert model.parameters_.dtype == np.float32
    h = model.transform(X)
    assert h.dtype == np.float32 and h.shape == (9, n_code)
    assert model.reconstruct(X).dtype == np.float32 and model.sample(2).shape == (2, 48)
    x = model.encoder_.forward(X)
    assert model.encoder_.backward(np.ones_like(x)).dtype == np.float32
    model.save(tmp_path / "model.npz")
    for other in (nanoae.load(tmp_path / "model.npz"), copy.deepcopy(model)):
        assert other.architecture == networks
        assert np.array_equal(other.transform(X), h)
    assert eval(repr(model), vars(nanoae)).get_params() == model.get_params()


@pytest.mark.parametrize("model", [Autoencoder, VAE])
def test_one_sample_or_many_and_any_memory_order_are_the_same(model):
    model = model(2, architecture=NETWORKS["colours"], max_iter=1, random_state=0).fit(SAMPLES)
    codes = model.transform(SAMPLES)
    # products of other sizes round in another order
    assert np.abs(model.transform(SAMPLES[:1]) - codes[:1]).max() <= ROUNDING
    assert np.abs(model.transform(np.asfortranarray(SAMPLES)) - codes).max() <= ROUNDING
    assert model.encoder_.width == 3 * 9 * 4  # what four windows see of three channels
    assert model.decoder_.width == 3 * 9 * 4


@pytest.mark.parametrize(
    ("layer", "width"),
    [
        (Convolution((2, 5, 4), 3, 3, stride=2, padding=1), 2 * 9 * 6),  # of what windows see
        (Convolution((2, 5, 4), 3, 1, stride=2), 40),  # of the image
        (Convolution((1, 7), 9, 1), 63),  # of what becomes of it
        (TransposedConvolution(3, (2, 5, 4), 3, stride=2, padding=1), 2 * 9 * 6),
        (TransposedConvolution(3, (2, 5, 4), 1, stride=2), 40),
        (TransposedConvolution(9, (1, 7), 1), 63),
    ],
)
def test_the_width_of_a_layer_is_that_of_the_largest_of_its_arrays(layer, width):
    Parameters({"layer": layer})
    assert layer.width == width


@pytest.mark.equation("1.10c")
@pytest.mark.parametrize("n_axes", [1, 2])
def test_variance_of_the_initial_weights(n_axes):
    """By the fans: a window's number has c k^D inputs, a pixel goes into c' (k/s)^D windows."""
    k, s, c, n_channels = 4, 2, 3, 200
    image = (c, *[8] * n_axes)
    fans = c * k**n_axes + n_channels * (k / s) ** n_axes
    for layer in (
        Convolution(image, n_channels, k, stride=s, activation="tanh"),
        TransposedConvolution(n_channels, image, k, stride=s, activation="tanh"),
    ):
        Parameters({"layer": layer})
        layer.initialise(np.random.default_rng(n_axes))
        squares = layer.weight.ravel() ** 2
        standard_error = squares.std() / len(squares) ** 0.5
        verify("1.10c", abs(squares.mean() - 2 / fans) / standard_error, Z_BOUND)
        assert np.all(layer.bias == 0)


def test_hidden_layers_have_the_activation_and_codes_and_reconstructions_none():
    for name, encoder, decoder in (
        ("series", "ffl", "ffl"), ("no hidden layer", "l", "l"), ("places", "fl", "fl"),
        ("places of a series", "l", "l"),
    ):  # fmt: skip
        networks = NETWORKS[name]
        for network, kinds in (
            (networks.encoder(48, 6), encoder), (networks.decoder(6, 48), decoder),
        ):  # fmt: skip
            layers = [layer for layer in network.layers if layer.shapes]
            assert "".join("l" if layer.is_linear else "f" for layer in layers) == kinds


def test_colours_of_a_pixel_stay_together():
    networks = Convolutional((4, 4), (), n_channels=3, kernel=1, stride=1, dense=False, bias=False)
    model = Autoencoder(48, architecture=networks, random_state=0)
    model.initialise(SAMPLES)
    for network in (model.encoder_, model.decoder_):
        (layer,) = (layer for layer in network.layers if hasattr(layer, "weight"))
        layer.weight[...] = np.eye(3)[:, :, None, None]
    assert np.array_equal(model.reconstruct(SAMPLES), SAMPLES)
    planes = model.transform(SAMPLES).reshape(9, 3, 4, 4)
    assert np.array_equal(planes, np.moveaxis(SAMPLES.reshape(9, 4, 4, 3), -1, 1))
    with pytest.raises(ValueError, match=r"4-D.*colours last: .*np\.moveaxis\(X, 1, -1\) first"):
        Autoencoder(2, architecture=NETWORKS["colours"]).fit(planes)


def test_equal_padding_sees_all_and_is_pytorchs_where_that_is_one():
    for n in range(1, 12):
        for s in range(1, 5):
            for k in range(s, 6):
                layer = Convolution((1, n), 1, k, stride=s, padding="same", bias=False)
                bound(layer, np.random.default_rng(0))
                layer.weight[...] = 1
                y = layer.forward(np.ones((1, 1, n)))
                assert y.shape[2] == -(-n // s)
                assert layer.backward(np.ones_like(y)).min() >= 1
    same, one = (
        bound(Convolution((1, 28), 1, 3, stride=2, padding=padding), np.random.default_rng(0))[0]
        for padding in ("same", 1)
    )
    x = np.random.default_rng(1).standard_normal((2, 1, 28))
    assert np.array_equal(same(x), one(x))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Convolutional((8.5, 8)), r"each width in shape must be an integer.*8\.5"),
        (lambda: Convolutional(()), "shape must have a number for each axis"),
        (lambda: Convolutional(8), "shape must be a tuple of integers.*got 8"),
        (lambda: Convolutional((8, 8), (0,)), "each width in channels must be .*got 0"),
        (lambda: Convolutional((8, 8), n_channels=0), "n_channels must be .*got 0"),
        (lambda: Convolutional((8, 8), kernel=2, stride=3), "kernel .* the stride, 3.*got 2"),
        (
            lambda: Convolutional((8, 8), activation="elu"),
            "activation must be .*'elu'",
        ),
        (lambda: Convolutional((8, 8), kernel=2.5), "kernel must be an integer"),
        (lambda: Convolutional((8, 8), circular=1), "circular must be True or False; got 1"),
        (lambda: Convolution((1, 4), 1, 7, padding=1), "kernel must be at most 6.*got 7"),
        (lambda: Convolution((1, 4), 1, 2, stride=0), "stride must be .*got 0"),
        (lambda: Convolution((1, 4), 1, 2, padding=-1), "padding must be .*got -1"),
        (lambda: MaxPool((1, 4, 4), 5), "kernel must be at most 4.*got 5"),
    ],
)
def test_what_is_impossible_is_one_sentence(make, message):
    with pytest.raises((ValueError, TypeError), match=message):
        make()


@pytest.mark.parametrize("dense", [True, False])
def test_all_layers_have_a_bias_or_none_has(dense):
    for bias in (True, False):
        networks = Convolutional((8, 8), (3,), dense=dense, bias=bias)
        for network in (networks.encoder(64, 4), networks.decoder(4, 64)):
            shapes = [layer.shapes for layer in network.layers if layer.shapes]
            assert len(shapes) == 2 and all(("bias" in own) == bias for own in shapes)


@pytest.mark.parametrize(
    ("networks", "message"),
    [
        (Convolutional((8, 8)), r"must be those of samples of 48 features; got \(8, 8\) and 1"),
        (Convolutional((48,), dense=False), "code has 6 places, so its width must be a multiple"),
    ],
)
def test_an_architecture_that_does_not_fit_leaves_the_model_as_it_was(networks, message):
    model = Autoencoder(2, architecture=NETWORKS["images"], max_iter=1, random_state=0)
    before = model.fit(SAMPLES).transform(SAMPLES)
    for train in (model.set_params(architecture=networks).fit, model.partial_fit):
        with pytest.raises(ValueError, match=message):
            train(SAMPLES)
    assert np.array_equal(model.transform(SAMPLES), before)
    with pytest.raises(ValueError, match="hidden_layer_sizes must be left"):
        Autoencoder(2, architecture=networks, hidden_layer_sizes=(3,)).fit(SAMPLES)


def test_a_training_of_images_gets_better():
    X = datasets.load_digits().X[:300]
    for model in (
        Autoencoder(4, architecture=Convolutional((8, 8), (4,)), loss="bernoulli"),
        VAE(4, architecture=Convolutional((8, 8), (4,)), likelihood="bernoulli"),
    ):
        model.set_params(max_iter=8, batch_size=32, learning_rate=0.01, random_state=0).fit(X)
        losses = model.history_["loss"]
        assert losses[-1] < 0.8 * losses[0]


# --- the exercises ------------------------------------------------------------------------------


def test_exercise_counts():
    layer = Convolution((1, 28, 28), 16, 3, stride=2, padding=1)
    assert Parameters({"layer": layer}).values.size == 160
    n_out, n_in = math.prod(layer.shape_out), math.prod(layer.shape_in)
    assert n_out * n_in + n_out == 2_461_760
    assert 9 * n_out == 28_224


def test_exercise_by_hand():
    layer = Convolution((1, 5), 1, 3, stride=2, bias=False)
    bound(layer, np.random.default_rng(0))
    layer.weight[...] = [[[1.0, 0.0, -1.0]]]
    assert layer.forward(np.array([[[1.0, 2.0, 4.0, 7.0, 11.0]]])).tolist() == [[[-3.0, -7.0]]]
    assert layer.backward(np.array([[[1.0, 2.0]]])).tolist() == [[[1.0, 0.0, 1.0, 0.0, -2.0]]]
    assert layer.grad_weight.tolist() == [[[9.0, 16.0, 26.0]]]


def test_exercise_two_lines_in_one_class():
    spectrum = [5.0, 0.0, 3.0, 0.0]
    X = stationary(np.array(spectrum))
    ladder = theory.filter_bank_ladder(X, (4,), stride=2, n_filters=1)
    assert ladder == pytest.approx((3, 3, 0, 0))


def test_exercise_a_flat_kernel():
    w = np.array([1.0, -2.0, 4.0, 0.5, 6.0])
    sums = theory.polyphase_sums(w, 2)
    assert sums.tolist() == [11, -1.5]
    fixed = w - (sums - sums.mean())[[0, 1, 0, 1, 0]] / np.array([3, 2, 3, 2, 3])
    assert np.abs(theory.polyphase_sums(fixed, 2) - 4.75).max() <= 8 * EPS


def test_exercise_field_of_a_deep_stack():
    def field(n_layers, stride):
        stack = [3] * n_layers, [stride] * n_layers
        return theory.receptive_field(*stack), theory.receptive_field_variance(*stack) ** 0.5

    assert field(13, 1)[0] < 28 and field(14, 1) == pytest.approx((29, 3.06), abs=0.01)
    assert field(3, 2)[0] < 28 and field(4, 2) == pytest.approx((31, 7.53), abs=0.01)


def test_weights_of_small_integers_add_up():
    weight = np.array([100, 100], np.int8)
    assert theory.polyphase_sums(weight, 1).tolist() == [200]
    K = theory.convolution_matrix(weight[None, None], (1,), circular=True, padding=1)
    assert K.tolist() == [[200], [200]]
