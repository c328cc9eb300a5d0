"""Chapter 11: recurrent networks and attention by hand, and what a code of sequences holds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from effort import scaled
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax
from scipy.stats import kstest
from theory_report import verify

from nanoae import Autoencoder, theory
from nanoae.losses import LIKELIHOODS, LOSSES, likelihood_skipping_gaps, skipping_gaps
from nanoae.network import (
    GRU,
    RNN,
    Embedding,
    FillingDecoder,
    Flatten,
    LastRead,
    LayerNorm,
    MeanOverSteps,
    Parameters,
    Positions,
    Recurrent,
    Repeat,
    SelfAttention,
    Transformer,
    TransformerBlock,
    VisibleEncoder,
)
from nanoae.network.activations import ACTIVATIONS, softmax

COMPLEX = 1e-12  # the complex step is exact to rounding: (1.7b)
ROUNDING = 1e-12  # sums and products of some hundred numbers of order 1
SEEDS = st.integers(0, 2**32 - 1)


# --- tools ------------------------------------------------------------------------------------


def drawn(make, rng, dtype=np.float64):
    """A layer with random parameters, none of them 0."""
    layer = make()
    parameters = Parameters({"layer": layer}, dtype)
    if dtype == np.float64:
        layer.initialise(rng)
        parameters.values += 0.3 * rng.standard_normal(parameters.values.shape)
    return layer, parameters


def difference(a, b):
    """Relative to the larger of the second, and 1e-3."""
    return np.abs(np.asarray(a) - b).max(initial=0) / np.abs(b).max(initial=1e-3)


def errors_of_backward(make, x, rng, **masked):
    """What the complex step says of a layer's gradients by its parameters and by its input."""
    layer, parameters = drawn(make, rng)
    y = layer.forward(x, **masked)
    grad_y = rng.standard_normal(y.shape)
    grad_x = layer.backward(grad_y)
    other, others = drawn(make, rng, np.complex128)
    right, right_x = np.zeros_like(parameters.values), np.zeros(x.shape)
    others.values[...] = parameters.values
    for i in range(right.size):
        others.values[i] += 1e-30j
        right[i] = np.sum(other.forward(x, **masked) * grad_y).imag / 1e-30
        others.values[i] = parameters.values[i]
    for i in range(x.size if grad_x is not None else 0):
        moved = x.astype(complex)
        moved.flat[i] += 1e-30j
        right_x.flat[i] = np.sum(other.forward(moved, **masked) * grad_y).imag / 1e-30
    return difference(parameters.gradient, right), (
        0.0 if grad_x is None else difference(grad_x, right_x)
    )


def some_mask(rng, n, n_steps):
    """Sequences of all lengths from 1 on, the longest among them."""
    lengths = rng.integers(1, n_steps + 1, n)
    lengths[0] = n_steps
    return np.arange(n_steps) < lengths[:, None]


def some_batch(seed, width=None):
    rng = np.random.default_rng(seed)
    n, n_steps, p = rng.integers([2, 1, 1], [4, 5, 4])
    x = rng.standard_normal((n, n_steps, p if width is None else width))
    mask = [None, some_mask(rng, n, n_steps)][rng.integers(2)]
    return rng, x, mask


# --- 11.1 and 11.2: backprop through time -----------------------------------------------------


@pytest.mark.equation("11.1", "11.1a")
@given(seed=SEEDS, activation=st.sampled_from(["tanh", "identity", "softplus"]))
@settings(max_examples=40)
def test_backprop_through_time(seed, activation):
    rng, x, mask = some_batch(seed)
    k, backwards = int(rng.integers(1, 4)), bool(rng.integers(2))
    of_parameters, of_input = errors_of_backward(
        lambda: RNN(*x.shape[1:], k, activation, backwards=backwards), x, rng, mask=mask
    )
    verify("11.1", of_input, COMPLEX)
    verify("11.1a", of_parameters, COMPLEX)


@pytest.mark.equation("11.2")
@given(seed=SEEDS)
@settings(max_examples=40)
def test_backprop_through_gates(seed):
    rng, x, mask = some_batch(seed)
    k, backwards = int(rng.integers(1, 4)), bool(rng.integers(2))
    verify("11.2", max(
        errors_of_backward(lambda: GRU(*x.shape[1:], k, backwards=backwards), x, rng, mask=mask)
    ), COMPLEX)  # fmt: skip


@pytest.mark.parametrize("layer", ["rnn", "gru"])
def test_reading_backwards_is_reading_the_steps_in_reverse(layer):
    rng = np.random.default_rng(0)
    make = {"rnn": RNN, "gru": GRU}[layer]
    forwards, parameters = drawn(lambda: make(4, 3, 2), rng)
    backwards, others = drawn(lambda: make(4, 3, 2, backwards=True), rng)
    others.values[...] = parameters.values
    x, mask = rng.standard_normal((3, 4, 3)), some_mask(rng, 3, 4)
    in_reverse = forwards(x[:, ::-1], mask[:, ::-1])[:, ::-1]
    np.testing.assert_array_equal(backwards(x, mask), in_reverse)
    # a short sequence begins with the state 0, however much padding comes before
    np.testing.assert_array_equal(backwards(x, mask)[~mask], 0)
    np.testing.assert_array_equal(LastRead(4, 2)(backwards(x, mask)), in_reverse[:, 0])


# --- 11.3: steps that are not there -----------------------------------------------------------


MASKED = {  # width 4, whatever the number of steps
    "rnn": lambda n_steps: RNN(n_steps, 4, 4),
    "gru": lambda n_steps: GRU(n_steps, 4, 4),
    "gru backwards": lambda n_steps: GRU(n_steps, 4, 4, backwards=True),
    "attention": lambda n_steps: SelfAttention(n_steps, 4, 2),
    "causal attention": lambda n_steps: SelfAttention(n_steps, 4, 2, causal=True),
    "block": lambda n_steps: TransformerBlock(n_steps, 4, 2),
    "mean": lambda n_steps: MeanOverSteps(n_steps, 4),
}


@pytest.mark.equation("11.3")
@pytest.mark.many
@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("name", MASKED)
def test_a_batch_is_the_sum_of_its_sequences(name, seed):
    rng = np.random.default_rng(seed)
    layer, parameters = drawn(lambda: MASKED[name](5), rng)
    x, mask = rng.standard_normal((4, 5, 4)), some_mask(rng, 4, 5)
    y = layer.forward(x, mask=mask)
    by_step = y.ndim == 3
    grad_y = rng.standard_normal(y.shape) * (mask[..., None] if by_step else 1)
    grad_x = layer.backward(grad_y)
    total = np.zeros_like(parameters.values)
    for i, length in enumerate(mask.sum(axis=1)):
        single, own = drawn(lambda n=length: MASKED[name](n), rng)
        own.values[...] = parameters.values
        grad = grad_y[i, :length] if by_step else grad_y[i]
        y_i = single.forward(x[i : i + 1, :length])[0]
        verify("11.3", difference(y[i, :length] if by_step else y[i], y_i), ROUNDING)
        verify("11.3", difference(grad_x[i, :length], single.backward(grad[None])[0]), ROUNDING)
        total += own.gradient
    verify("11.3", difference(parameters.gradient, total), ROUNDING)


@pytest.mark.parametrize("name", MASKED)
def test_masks_have_the_axes_of_rows(name):
    rng = np.random.default_rng(0)
    layer, parameters = drawn(lambda: MASKED[name](5), rng)
    x, mask = rng.standard_normal((6, 5, 4)), some_mask(rng, 6, 5)
    y = layer.forward(x, mask=mask)
    grad_y = rng.standard_normal(y.shape)
    grad_x, gradient = layer.backward(grad_y), parameters.gradient.copy()
    folded_x, folded_mask = x.reshape(2, 3, 5, 4), mask.reshape(2, 3, 5)
    folded = layer.forward(folded_x, mask=folded_mask)
    assert difference(folded, y.reshape(2, 3, *y.shape[1:])) < ROUNDING
    assert difference(layer(folded_x, folded_mask), folded) < ROUNDING
    assert difference(layer.backward(grad_y.reshape(folded.shape)).reshape(x.shape), grad_x) < (
        ROUNDING
    )
    assert difference(parameters.gradient, gradient) < ROUNDING


@pytest.mark.equation("11.3")
@pytest.mark.parametrize("network", ["recurrent", "transformer"])
def test_a_whole_network_alone_and_with_room(network):
    """Three steps in room for six, and in room for three, at the same weights."""
    architecture, more = {
        "recurrent": (Recurrent, {}), "transformer": (Transformer, {"n_blocks": 1, "n_heads": 2}),
    }[network]  # fmt: skip
    rng = np.random.default_rng(0)
    X = [*rng.standard_normal((4, 3, 2))]
    models = [
        Autoencoder(2, architecture=architecture(2, 4, n_steps=n_steps, **more), random_state=0)
        for n_steps in (6, 3)
    ]
    rows = [model.initialise(X) for model in models]
    (roomy, tight), (wide, _) = models, rows
    for name in tight.layout_.names:  # a transformer's first three positions
        values = tight.layout_[name][0]
        values[...] = roomy.layout_[name][0][: len(values)]
    verify("11.3", difference(roomy.transform(X), tight.transform(X)), ROUNDING)
    losses, gradients = zip(
        *(m.loss_and_gradient(x) for m, x in zip(models, rows, strict=True)), strict=True
    )
    x_hat, alone = (model.inverse_transform(roomy.transform(X)) for model in models)
    if network == "recurrent":
        verify("11.3", difference(x_hat[:, :3], alone), ROUNDING)
        verify("11.3", difference(losses[0], losses[1]), ROUNDING)
        verify("11.3", difference(gradients[0], gradients[1]), ROUNDING)
    else:  # what it writes attends to what is behind the end
        assert difference(x_hat[:, :3], alone) > 0.01
        read, written = (
            roomy.layout_[name][1] for name in roomy.layout_.names if "vectors" in name
        )
        assert not read[3:].any()  # positions that no sequence has stay as they were drawn
        assert np.abs(written[3:]).max() > 1e-4
    assert np.isnan(wide[:, 6:]).all()


@pytest.mark.equation("11.3a")
@pytest.mark.parametrize("name", MASKED)
def test_what_padding_holds_changes_no_bit(name):
    rng = np.random.default_rng(0)
    layer, parameters = drawn(lambda: MASKED[name](5), rng)
    x, mask = rng.standard_normal((4, 5, 4)), some_mask(rng, 4, 5)
    assert not mask.all()
    results = []
    for padding in (0.0, 1e3, -7.0):
        y = layer.forward(np.where(mask[..., None], x, padding), mask=mask)
        if y.ndim == 3:
            y = np.where(mask[..., None], y, 0)
        grad_x = layer.backward(y)
        assert np.array_equal(grad_x[~mask], np.zeros_like(grad_x[~mask]))
        results.append(np.concatenate([y, grad_x, parameters.gradient], axis=None))
    for result in results[1:]:
        verify("11.3a", np.abs(result - results[0]).max(), 0)


@pytest.mark.equation("11.3b")
@given(seed=SEEDS, name=st.sampled_from([*LOSSES]), more=st.integers(0, 4))
def test_a_loss_counts_what_is_there_and_averages_over_sequences(seed, name, more):
    rng = np.random.default_rng(seed)
    n, d = 4, 5
    there = some_mask(rng, n, d)
    x, x_hat = rng.integers(0, 2, (n, d)).astype(float), rng.standard_normal((n, d))
    if name == "categorical":
        x_hat = rng.standard_normal((n, d, 3))
    weights = rng.random(n)
    padding = ((0, 0), (0, more))
    given_x = np.pad(np.where(there, x, np.nan), padding, constant_values=np.nan)
    given_x_hat = np.pad(x_hat, [*padding, (0, 0)][: x_hat.ndim], constant_values=9.0)
    loss, gradient = skipping_gaps(LOSSES[name]).value(given_x_hat, given_x, weights)
    right, right_gradient = 0.0, np.zeros_like(given_x_hat)
    for i, length in enumerate(there.sum(axis=1)):
        one = slice(i, i + 1), slice(length)
        value, grad = LOSSES[name].value(x_hat[one], x[one])
        right += weights[i] * value / n
        right_gradient[one] = weights[i] * grad / n
    verify("11.3b", difference(loss, right), ROUNDING)
    verify("11.3b", difference(gradient, right_gradient), ROUNDING)
    assert (gradient[:, d:] == 0).all()
    per_feature = skipping_gaps(LOSSES[name]).per_feature(given_x_hat, given_x)
    assert (per_feature[np.isnan(given_x)] == 0).all()
    total = np.sum(weights * skipping_gaps(LOSSES[name]).per_sample(given_x_hat, given_x)) / n
    assert difference(total, right) < ROUNDING


@pytest.mark.equation("11.3c")
def test_the_noise_is_counted_by_value_not_by_row():
    rng = np.random.default_rng(0)
    there, x_hat = some_mask(rng, 6, 5), rng.standard_normal((6, 5))
    x, weights = np.where(there, rng.standard_normal((6, 5)), np.nan), rng.random(6)
    counted = there * weights[:, None]
    best = np.sum(counted * (np.where(there, x, x_hat) - x_hat) ** 2) / counted.sum()
    gaussian = likelihood_skipping_gaps("gaussian")
    nll, gradient, grad_log_variance = gaussian.nll(x_hat, x, np.log(best), weights)
    verify("11.3c", abs(grad_log_variance), ROUNDING)
    alone = [
        LIKELIHOODS["gaussian"].nll(x_hat[i, row][None], x[i, row][None], np.log(best))[:2]
        for i, row in enumerate(there)
    ]
    verify("11.3c", difference(nll, np.mean(weights * [own for own, _ in alone])), ROUNDING)
    right = [np.where(row, x_hat[i] - x[i], 0) * weights[i] / 6 / best
             for i, row in enumerate(there)]  # fmt: skip
    verify("11.3c", difference(gradient, np.nan_to_num(right)), ROUNDING)


# --- 11.4: tokens -----------------------------------------------------------------------------


@pytest.mark.equation("11.4", "11.4a")
@given(seed=SEEDS, size=st.sampled_from([1.0, 100.0, 1e4]))
def test_the_loss_of_tokens(seed, size):
    rng = np.random.default_rng(seed)
    n, d, V = rng.integers([1, 1, 2], [4, 4, 6])
    logits, x = size * rng.standard_normal((n, d, V)), rng.integers(0, V, (n, d))
    loss, gradient = LOSSES["categorical"].value(logits, x.astype(float))
    one_hot = np.eye(V)[x]
    right = -np.sum(one_hot * log_softmax(logits, axis=-1)) / n
    verify("11.4", abs(loss - right) / max(1, abs(right)), 1e-14 * d * V)
    verify(
        "11.4a",
        np.abs(n * gradient - (np.exp(log_softmax(logits, -1)) - one_hot)).max(),
        1e-14 * V,
    )
    verify("11.4a", np.abs(gradient.sum(axis=-1)).max(), 1e-15 * V)


# --- 11.5: gradients at a lag -----------------------------------------------------------------


def jacobian(layer, x):
    """``∂h_T/∂x_t`` of one sequence, ``(T, k, p)``, from the layer's own backward pass."""
    k = layer.n_out
    states = layer.forward(np.repeat(x[None], k, axis=0))
    grad_y = np.zeros_like(states)
    grad_y[:, -1] = np.eye(k)
    return states[0], layer.backward(grad_y).swapaxes(0, 1)


@pytest.mark.equation("11.5", "11.5a")
@given(seed=SEEDS)
@settings(max_examples=20)
def test_a_linear_gradient_at_a_lag_is_a_power(seed):
    rng = np.random.default_rng(seed)
    n_steps, p, k = 8, 2, 3
    layer, _ = drawn(lambda: RNN(n_steps, p, k, "identity"), rng)
    _, J = jacobian(layer, rng.standard_normal((n_steps, p)))
    for lag in range(n_steps):
        power = np.linalg.matrix_power(layer.recurrent_weight, lag)
        verify("11.5", difference(J[n_steps - 1 - lag], (layer.weight @ power).T), 1e-11)
    layer, _ = RNN(300, k, k, "identity"), None
    parameters = Parameters({"layer": layer})
    layer.initialise(rng)
    layer.weight[...] = np.eye(k)
    assert not parameters.values[-k:].any()
    _, J = jacobian(layer, np.zeros((300, k)))
    verify("11.5a", np.abs(np.linalg.norm(J, 2, axis=(1, 2)) - 1).max(), 1e-12)
    gated = GRU(2, 1, k)
    parameters = Parameters({"layer": gated})
    gated.initialise(rng)
    for U in np.split(gated.recurrent_weight, 3, axis=1):  # each of its three is drawn so, too
        verify("11.5a", np.abs(U.T @ U - np.eye(k)).max(), 1e-12)


@pytest.mark.equation("11.5b")
@given(seed=SEEDS, size=st.floats(0.1, 3))
def test_a_tanh_gradient_is_bounded_by_norms_and_slopes(seed, size):
    rng = np.random.default_rng(seed)
    n_steps, k = int(rng.integers(1, 11)), 4
    layer, _ = drawn(lambda: RNN(n_steps, k, k), rng)
    layer.recurrent_weight[...] = size * rng.standard_normal((k, k)) / 2
    layer.weight[...] = np.eye(k)
    states, J = jacobian(layer, rng.standard_normal((n_steps, k)))
    # J[0] is ∂h_T/∂h_1 times the slopes of the first step
    first = np.max(1 - states[0] ** 2)
    bound = theory.lag_bound(layer.recurrent_weight, states[1:]) * first
    verify("11.5b", np.linalg.norm(J[0], 2) / bound, 1 + 1e-9)
    # where all units do the same it is an equality
    layer.recurrent_weight[...], layer.bias[...] = size * np.eye(k), 0.1
    states, J = jacobian(layer, np.repeat(rng.standard_normal((n_steps, 1)), k, axis=1))
    first = np.max(1 - states[0] ** 2)
    bound = theory.lag_bound(layer.recurrent_weight, states[1:]) * first
    verify("11.5b", abs(np.linalg.norm(J[0], 2) / bound - 1), 1e-9)


@pytest.mark.equation("11.5c")
def test_neither_radius_nor_norm_decides_at_a_finite_lag():
    a, c = 0.9, 20.0
    W = np.array([[a, c], [0, a]])
    norms = []
    for lag in range(200):
        power = np.linalg.matrix_power(W, lag)
        right = np.array([[a**lag, lag * c * a ** (lag - 1) if lag else 0.0], [0, a**lag]])
        verify("11.5c", difference(power, right), 1e-12)
        norms.append(np.linalg.norm(power, 2))
    assert max(abs(np.linalg.eigvals(W))) < 0.901  # "vanishes"
    assert round(max(norms), 1) == 77.5 and np.argmax(norms) == 9  # and yet grows 77-fold
    assert norms[199] ** (1 / 199) == pytest.approx(0.939, abs=5e-4)  # Gelfand: slowly to 0.9
    layer, _ = drawn(lambda: RNN(15, 2, 2), np.random.default_rng(0))
    layer.weight[...], layer.bias[...] = np.eye(2), 0
    layer.recurrent_weight[...] = 3 * np.eye(2)  # "explodes"
    x = np.zeros((15, 2))
    _, J = jacobian(layer, x)
    np.testing.assert_allclose(J[0], 3**14 * np.eye(2))  # at h = 0 it does
    x[0] = 0.5
    _, J = jacobian(layer, x)
    assert np.linalg.norm(J[0], 2) < 1e-18  # and from there not: the units are saturated


@pytest.mark.equation("1.10c")
@pytest.mark.parametrize(
    ("make", "gains"),
    [
        (lambda: RNN(3, 50, 40, "relu"), [ACTIVATIONS["relu"].gain]),
        (lambda: GRU(3, 50, 40), [1, 1, ACTIVATIONS["tanh"].gain]),
        (lambda: SelfAttention(3, 60, 2), [1, 1, 1]),
    ],
    ids=["rnn", "gru", "attention"],
)
def test_each_map_is_drawn_as_a_dense_layer_and_each_recurrent_one_is_orthogonal(make, gains):
    """Uniform, so that the largest of thousands lies just below the limit."""
    layer = make()
    parameters = Parameters({"layer": layer})
    layer.initialise(np.random.default_rng(0))
    for gain, W in zip(gains, np.split(layer.weight, len(gains), axis=1), strict=True):
        limit = np.sqrt(3 * gain**2 * 2 / sum(W.shape))  # of a variance limit²/3
        assert 0.99 * limit < np.abs(W).max() < limit
        # W² of a uniform W with variance v has variance 4/5 v²
        z = (3 * np.mean(W**2) / limit**2 - 1) / np.sqrt(0.8 / W.size)
        verify("1.10c", abs(z), 5)
    if "layer.recurrent_weight" in parameters.names:
        for U in np.split(layer.recurrent_weight, len(gains), axis=1):
            np.testing.assert_allclose(U.T @ U, np.eye(40), atol=1e-13)


@pytest.mark.parametrize(
    ("make", "name", "deviation"),
    [
        (lambda: Positions(60, 80), "vectors", 1.0),
        (lambda: Embedding(60, 80), "vectors", 1.0),
        (lambda: VisibleEncoder(60, 2, 80, n_blocks=1, n_heads=1), "vectors", 0.2),
        (lambda: FillingDecoder(2, 3, 5000, 2, n_blocks=0, n_heads=1), "mask_token", 1.0),
    ],
    ids=["positions", "tokens", "positions of patches", "mask token"],
)
def test_vectors_are_drawn_of_a_normal_distribution(make, name, deviation):
    layer = make()
    parameters = Parameters({"layer": layer})
    layer.initialise(np.random.default_rng(0))
    (full_name,) = (full for full in parameters.names if full.endswith(name))
    drawn = parameters[full_name][0].ravel() / deviation
    assert kstest(drawn, "norm").pvalue > 1e-3


# --- 11.6 and 11.7: attention -----------------------------------------------------------------


def attention(Q, K, V, mask=None):
    """Chapter 11's, of one sequence, step by step."""
    outputs, attended = [], []
    for i, q in enumerate(Q):
        scores = np.array([q @ key for key in K]) / np.sqrt(len(q))
        seen = np.ones(len(K), bool) if mask is None else mask[i]
        weights = np.where(seen, np.exp(scores - scores.real[seen].max()), 0)
        attended.append(weights / weights.sum())
        outputs.append(attended[-1] @ V)
    return np.array(outputs), np.array(attended)


def attention_gradients(Q, K, V, grad_O):
    """(11.6) and what follows from it."""
    outputs, P = attention(Q, K, V)
    grad_P = grad_O @ V.T
    grad_S = P * (grad_P - np.sum(P * grad_P, axis=1, keepdims=True))
    scale = np.sqrt(Q.shape[1])
    return outputs, P, grad_P, grad_S, grad_S @ K / scale, grad_S.T @ Q / scale, P.T @ grad_O


@pytest.mark.equation("11.6", "11.6a", "11.6b")
@given(seed=SEEDS)
@settings(max_examples=40)
def test_gradients_of_attention(seed):
    rng = np.random.default_rng(seed)
    m, n, d, e = rng.integers([1, 1, 1, 1], [4, 5, 4, 4])
    Q, K, V = (rng.standard_normal(shape) for shape in ((m, d), (n, d), (n, e)))
    grad_O = rng.standard_normal((m, e))
    outputs, P, grad_P, grad_S, *gradients = attention_gradients(Q, K, V, grad_O)
    for which, gradient in enumerate(gradients):
        right = np.zeros_like(gradient)
        for place in np.ndindex(right.shape):
            moved = [Q, K, V]
            moved[which] = moved[which].astype(complex)
            moved[which][place] += 1e-30j
            right[place] = np.sum(attention(*moved)[0] * grad_O).imag / 1e-30
        verify("11.6", difference(gradient, right), COMPLEX)
    verify("11.6a", np.abs(grad_S.sum(axis=1)).max(), ROUNDING)
    sums = np.sum(P * grad_P, axis=1), np.sum(outputs * grad_O, axis=1)
    verify("11.6a", np.abs(sums[0] - sums[1]).max(), ROUNDING)
    # a bias of the keys: nothing sees it
    verify("11.6b", np.abs(gradients[1].sum(axis=0)).max(), ROUNDING)
    shifted = attention(Q, K + rng.standard_normal(d), V)[0]
    verify("11.6b", np.abs(shifted - outputs).max(), ROUNDING)


@pytest.mark.equation("11.6")
@given(seed=SEEDS)
@settings(max_examples=12)
def test_the_attention_layer_is_attention_in_each_head(seed):
    rng, x, mask = some_batch(seed, width=4)
    n, n_steps, width = x.shape
    n_heads, causal = [1, 2, 4][rng.integers(3)], bool(rng.integers(2))

    def make():
        return SelfAttention(n_steps, width, n_heads, causal=causal)

    layer, _ = drawn(make, rng)
    W_q, W_k, W_v = np.split(layer.weight, 3, axis=1)
    before = np.tri(n_steps, dtype=bool) if causal else np.ones((n_steps, n_steps), bool)
    right = np.empty_like(x)
    for i in range(n):
        seen = before if mask is None else before & mask[i]
        Q, K, V = x[i] @ W_q + layer.bias, x[i] @ W_k, x[i] @ W_v
        heads = np.split(np.arange(width), n_heads)
        merged = np.hstack([attention(Q[:, h], K[:, h], V[:, h], seen)[0] for h in heads])
        right[i] = layer.output(merged)
    verify("11.6", difference(layer(x, mask), right), ROUNDING)
    verify("11.6", max(errors_of_backward(make, x, rng, mask=mask)), COMPLEX)


@pytest.mark.equation("11.6c")
@given(seed=SEEDS)
def test_a_mask_before_the_softmax_leaves_a_distribution(seed):
    rng = np.random.default_rng(seed)
    scores, mask = 3 * rng.standard_normal((6, 6)), np.tri(6, dtype=bool)
    P = softmax(scores, mask)
    verify("11.6c", np.abs(P.sum(axis=1) - 1).max(), 1e-15 * 6)
    assert (P[~mask] == 0).all()
    after = softmax(scores) * mask  # the mistake
    assert after.sum(axis=1)[0] < 0.999
    np.testing.assert_allclose(after / after.sum(axis=1, keepdims=True), P, rtol=1e-12)


@pytest.mark.equation("11.6d")
@given(seed=SEEDS, n=st.integers(2, 8))
def test_the_softmax_never_stretches_by_more_than_a_half(seed, n):
    p = softmax(3 * np.random.default_rng(seed).standard_normal(n))
    eigenvalues = np.linalg.eigvalsh(np.diag(p) - np.outer(p, p))
    verify("11.6d", eigenvalues[-1], 0.5 + 1e-15)  # rounding of numbers up to 1
    verify("11.6d", abs(eigenvalues[0]), 1e-15)
    half = np.array([0.5, 0.5] + [0.0] * (n - 2))
    worst = np.linalg.eigvalsh(np.diag(half) - np.outer(half, half))[-1]
    verify("11.6d", abs(worst - 0.5), 1e-15)


@pytest.mark.equation("11.7", "11.7a")
@pytest.mark.parametrize("make", [SelfAttention, TransformerBlock])
def test_attention_knows_no_order_but_what_it_is_told(make):
    rng = np.random.default_rng(0)
    layer, _ = drawn(lambda: make(6, 4, 2), rng)
    x, order = rng.standard_normal((2, 6, 4)), rng.permutation(6)
    verify("11.7", difference(layer(x[:, order]), layer(x)[:, order]), ROUNDING)
    positions, _ = drawn(lambda: Positions(6, 4), rng)
    with_positions = difference(layer(positions(x[:, order])), layer(positions(x))[:, order])
    assert with_positions > 0.01
    mask = some_mask(rng, 2, 6)
    permuted = layer(x[:, order], mask[:, order])
    verify("11.7", difference(permuted, layer(x, mask)[:, order]), ROUNDING)
    causal, _ = drawn(lambda: make(6, 4, 2, causal=True), rng)
    y = causal.forward(x)
    assert difference(causal(x[:, order]), y[:, order]) > 0.01
    for i in range(5):
        grad_y = np.zeros_like(y)
        grad_y[:, i] = rng.standard_normal(4)
        grad_x = causal.backward(grad_y)
        verify("11.7a", np.abs(grad_x[:, i + 1 :]).max(), 0)
        assert np.abs(grad_x[:, : i + 1]).min() > 0
        other = x.copy()
        other[:, i + 1 :] = 99
        verify("11.7a", np.abs(causal(other)[:, : i + 1] - y[:, : i + 1]).max(), 0)


def test_a_transformer_tells_amy_from_may():
    model = Autoencoder(
        2, architecture=Transformer(width=8, n_blocks=1, n_heads=2, vocabulary_size=3),
        loss="categorical", random_state=0,
    )  # fmt: skip
    amy, may = [0, 1, 2], [1, 0, 2]
    model.initialise([amy, may])
    codes = model.transform([amy, may])
    assert np.abs(codes[0] - codes[1]).max() > 0.01


@pytest.mark.parametrize(
    "make",
    [
        lambda n_steps: TransformerBlock(n_steps, 4, 2),
        lambda n_steps: Positions(n_steps, 4),
        lambda n_steps: MeanOverSteps(n_steps, 4),
        lambda n_steps: LastRead(n_steps, 4),
        lambda n_steps: Flatten((n_steps, 4)),
    ],
)
def test_gradients_of_the_other_layers(make):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 3, 4))
    assert max(errors_of_backward(lambda: make(3), x, rng)) < COMPLEX
    assert max(errors_of_backward(lambda: Repeat(3, 4), x[:, 0], rng)) < COMPLEX
    tokens = rng.integers(0, 5, (2, 7, 1)).astype(float)  # some twice
    assert max(errors_of_backward(lambda: Embedding(5, 3), tokens, rng)) < COMPLEX


# --- 11.8: layer norm -------------------------------------------------------------------------


@pytest.mark.equation("11.8", "11.8a", "11.8b")
@given(seed=SEEDS, n=st.integers(2, 7), epsilon=st.sampled_from([1e-5, 0.01, 1.0]))
@settings(max_examples=40)
def test_layer_norm(seed, n, epsilon):
    rng = np.random.default_rng(seed)
    x, grad_y = rng.standard_normal((3, n)), rng.standard_normal((3, n))
    verify("11.8", max(errors_of_backward(lambda: LayerNorm(n, epsilon), x, rng)), 1e-11)
    layer, _ = drawn(lambda: LayerNorm(n, epsilon), rng)
    y = layer.forward(x)
    grad_x = layer.backward(grad_y)
    centred, variance = x - x.mean(axis=1, keepdims=True), x.var(axis=1)
    normed, q = (y - layer.bias) / layer.gain, layer.gain * grad_y
    np.testing.assert_allclose(np.mean(normed**2, axis=1), variance / (variance + epsilon))
    scale = np.abs(q).max() / np.sqrt(variance.min() + epsilon)
    verify("11.8a", np.abs(grad_x.sum(axis=1)).max() / scale, ROUNDING)
    along = np.sum(q * normed, axis=1) * epsilon / (variance + epsilon)
    verify("11.8a", np.abs(np.sum(grad_x * centred, axis=1) - along).max() / scale, ROUNDING)
    exact, _ = drawn(lambda: LayerNorm(n, 0.0), rng)
    exact.gain.fill(1)
    exact.forward(np.repeat(x[:1], n, axis=0))
    J = exact.backward(np.eye(n)) * x[0].std()
    verify("11.8b", np.abs(J @ J - J).max(), 1e-11)
    verify("11.8b", abs(np.trace(J) - (n - 2)), 1e-11)
    verify("11.8b", np.abs(J - J.T).max(), 1e-11)


# --- 11.9: attention is a posterior mean ------------------------------------------------------


@pytest.mark.equation("11.9")
@given(seed=SEEDS, noise=st.floats(0.3, 2))
def test_attention_without_a_bias_has_a_prior_of_its_own(seed, noise):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((6, 3))
    y = X[:2] + noise * rng.standard_normal((2, 3))
    attended = softmax(y @ X.T / noise**2) @ X
    likelihood = theory.gaussian_log_likelihood(y, X, noise)
    log_prior = np.sum(X**2, axis=1) / (2 * noise**2)
    right = theory.posterior_mean(likelihood + log_prior, X)
    verify("11.9", np.abs(attended - right).max(), 1e-11)
    equal = X / np.linalg.norm(X, axis=1, keepdims=True)
    of_equal = theory.posterior_mean(theory.gaussian_log_likelihood(y, equal, noise), equal)
    verify("11.9", np.abs(softmax(y @ equal.T / noise**2) @ equal - of_equal).max(), 1e-11)


def test_so_it_is_not_the_best_denoiser():
    rng = np.random.default_rng(5)
    X = rng.standard_normal((50, 3))
    y = X[:5] + 0.7 * rng.standard_normal((5, 3))
    best = theory.posterior_mean(theory.gaussian_log_likelihood(y, X, 0.7), X)
    assert np.abs(softmax(y @ X.T / 0.49) @ X - best).max() == pytest.approx(0.97, abs=0.005)


# --- 11.10: the linear recurrent autoencoder --------------------------------------------------


def sequences_of(rng, n, n_steps, d):
    return rng.standard_normal((n, n_steps, d))


@pytest.mark.equation("11.10a")
@given(seed=SEEDS)
@settings(max_examples=20)
def test_tied_and_as_wide_as_the_rank_it_is_exact(seed):
    rng = np.random.default_rng(seed)
    n, n_steps, d = rng.integers([1, 2, 1], [4, 5, 3])
    X = sequences_of(rng, n, n_steps, d)
    rank = np.linalg.matrix_rank(theory.reversed_prefixes(X))
    model = theory.linear_recurrent_autoencoder(X, rank)
    assert np.array_equal(model.C, model.B.T) and np.array_equal(model.D, model.A.T)
    verify("11.10a", model.loss(X), 1e-12)
    narrower = theory.linear_recurrent_autoencoder(X, rank - 1)
    least = theory.linear_recurrent_bound(X, rank - 1)
    assert 0 < least < narrower.loss(X) * (1 + 1e-9) + 1e-28
    # the layer of the package computes the same states
    layer, _ = drawn(lambda: RNN(n_steps, d, rank, "identity"), rng)
    layer.weight[...], layer.recurrent_weight[...] = model.B.T, model.A.T
    layer.bias.fill(0)
    U = np.linalg.svd(theory.reversed_prefixes(X), full_matrices=False)[2][:rank]
    wanted = (theory.reversed_prefixes(X) @ U.T).reshape(n, n_steps, rank)
    verify("11.10a", np.abs(layer(X) - wanted).max(), 1e-11)


@pytest.mark.equation("11.10")
@given(seed=SEEDS, tied=st.booleans(), from_states=st.sampled_from(["every", "last"]))
def test_nothing_linear_falls_below_the_singular_values_left_out(seed, tied, from_states):
    rng = np.random.default_rng(seed)
    X = sequences_of(rng, 6, 4, 1)
    for k in range(1, 5):
        least = theory.linear_recurrent_bound(X, k, from_states=from_states)
        model = theory.linear_recurrent_autoencoder(X, k, from_states=from_states, tied=tied)
        noisy = theory.LinearRecurrent(*(W + 0.01 * rng.standard_normal(W.shape) for W in model))
        for rival in (model, noisy):
            loss = rival.loss(X, from_states=from_states)
            verify("11.10", least - loss, 1e-10 * max(1, loss))


@pytest.mark.equation("11.10b")
@pytest.mark.parametrize("from_states", ["every", "last"])
@given(seed=SEEDS)
@settings(max_examples=20)
def test_wide_enough_it_reaches_them(from_states, seed):
    rng = np.random.default_rng(seed)
    n_steps, d = rng.integers([2, 1], [5, 3])
    X = sequences_of(rng, 8, n_steps, d)
    k = (n_steps - 1) * d
    model = theory.linear_recurrent_autoencoder(X, k, from_states=from_states, tied=False)
    least = theory.linear_recurrent_bound(X, k, from_states=from_states)
    loss = model.loss(X, from_states=from_states)
    # blocks of U are nearly singular now and then, and powers up to the third are taken
    condition = max(np.linalg.norm(W, 2) for W in (model.A, model.D)) ** (2 * n_steps)
    verify("11.10b", abs(loss - least), 1e-12 * max(1, condition) * max(1, loss))


def test_narrower_it_does_not():
    """The bound is strict in general, as training finds too: 20 sequences of 5 numbers."""
    X = np.random.default_rng(3).standard_normal((20, 5, 1))
    for k in (1, 2, 3):
        truncated = theory.linear_recurrent_autoencoder(X, k).loss(X)
        assert 1.0001 < truncated / theory.linear_recurrent_bound(X, k) < 1.02
        if k != 2:
            figures = {1: (10.526, 10.520), 3: (3.234, 3.215)}[k]
            both = truncated, theory.linear_recurrent_bound(X, k)
            assert both == pytest.approx(figures, abs=5e-4)


@pytest.mark.equation("11.10c")
@pytest.mark.parametrize(("n_steps", "d"), [(5, 1), (4, 2)])
def test_white_inputs_are_kept_by_a_shift_register(n_steps, d):
    size = n_steps * d
    X = (np.sqrt(size) * np.eye(size)).reshape(size, n_steps, d)  # second moments exactly I
    for kept in range(1, n_steps + 1):
        k = kept * d
        A, B = np.eye(k, k, -d), np.eye(k, d)
        register = theory.LinearRecurrent(A, B, B.T, A.T)
        right = theory.shift_register_loss(n_steps, d, kept)
        verify("11.10c", abs(register.loss(X) - right), 1e-10)
        verify("11.10c", abs(theory.linear_recurrent_bound(X, k) - right), 1e-10)


@pytest.mark.equation("11.10d")
def test_the_singular_values_are_no_bound_if_padding_is_not_counted():
    rng = np.random.default_rng(0)
    A = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    z = rng.standard_normal((50, 3))
    X = np.stack([z @ np.linalg.matrix_power(A, t).T for t in range(6)], axis=1)
    model = theory.LinearRecurrent(np.zeros((3, 3)), np.eye(3), np.eye(3), A.T)
    verify("11.10d", model.loss(X, padding=False), 1e-25)
    assert np.linalg.matrix_rank(theory.reversed_prefixes(X)) == 18
    assert theory.linear_recurrent_bound(X, 3) > 1
    assert model.loss(X) > 1  # it pays for the padding


def test_the_rank_of_sequences_decides_nothing_either():
    """One sequence of 8 numbers has rank 1, and takes a state of 4 (Prony): half the numbers."""
    y = np.random.default_rng(0).standard_normal(8)
    hankel = np.array([y[i : i + 4] for i in range(4)])
    D = np.diag(np.ones(3), 1)
    D[-1] = np.linalg.solve(hankel, y[4:])
    h, decoded = y[:4].copy(), []
    for _ in range(8):
        decoded.append(h[0])
        h = D @ h
    np.testing.assert_allclose(decoded, y, atol=1e-9)


# --- 11.11 and 11.12: the bottleneck, and attention without one ------------------------------


@dataclass(frozen=True)
class LinearDecoder(Recurrent):
    """A GRU that reads, and a linear recurrent network that writes."""

    def decoder(self, n_in, n_out):
        return Recurrent(self.features_per_step, self.width, cell="linear").decoder(n_in, n_out)


@dataclass(frozen=True)
class LinearDecoderOfTransformer(Transformer):
    def decoder(self, n_in, n_out):
        return Recurrent(self.features_per_step, self.width, cell="linear").decoder(n_in, n_out)


@pytest.mark.equation("11.11")
@pytest.mark.parametrize(
    "architecture", [LinearDecoder(2, 8), LinearDecoderOfTransformer(2, 8, n_blocks=1, n_heads=2)]
)
def test_no_encoder_beats_pca_with_a_linear_decoder(architecture):
    X = np.random.default_rng(0).standard_normal((30, 4, 2)).cumsum(axis=1)
    for k in (1, 3):
        least, _ = theory.linear_autoencoder_optimum(X.reshape(30, -1), k)
        model = Autoencoder(k, architecture=architecture, solver="lbfgs", max_iter=60, tol=1e-3,
                            random_state=0)  # fmt: skip
        loss = -fitted(model, X).score(X)
        verify("11.11", least / loss, 1 + 1e-12)
        assert loss < 3 * least  # and it is not for want of training
        size = 8
        white = np.sqrt(size) * np.r_[np.eye(size), -np.eye(size)]  # covariance exactly I
        verify("11.11", abs(theory.linear_autoencoder_optimum(white, k)[0] - (size - k)), 1e-12)


def fitted(model, X):
    with pytest.warns(match="stopped at max_iter"):
        return model.fit(X)


@pytest.mark.equation("11.11a")
@given(seed=SEEDS, wider=st.integers(0, 2))
@settings(max_examples=20)
def test_a_linear_recurrent_autoencoder_can_be_pca(seed, wider):
    """The shift register that reads, and the blocks that move up as it writes."""
    rng = np.random.default_rng(seed)
    n_steps, d = rng.integers([2, 1], [5, 3])
    k, size = 2, n_steps * d
    X = rng.standard_normal((12, n_steps, d)).cumsum(axis=1) + 1
    table = X.reshape(12, size)
    least, axes = theory.linear_autoencoder_optimum(table, min(k, size))
    architecture = Recurrent(int(d), width=int(size) + wider, cell="linear")
    model = Autoencoder(min(k, size), architecture=architecture, random_state=0)
    model.initialise(X)
    model.parameters_.fill(0)
    reader, _, to_code = model.encoder_.layers
    writer, to_step = model.decoder_.layers[1:3]
    mean = table.mean(axis=0)
    reader.weight[:, :d] = np.eye(d)
    reader.recurrent_weight[:size, :size] = np.eye(size, k=d)
    to_code.weight[:size], to_code.bias[...] = axes, -mean @ axes
    writer.recurrent_weight[:size, :size] = np.eye(size, k=-d)
    for given_row, row in ((axes.T, writer.weight), (mean[None], writer.bias[None])):
        row[:, :size] = given_row
        row[:, d:size] -= given_row[:, :-d]  # what is to be written, less what was
    to_step.weight[:d] = np.eye(d)
    verify("11.11a", abs(-model.score(X) - least), 1e-13 * np.sum(table**2))


@pytest.mark.equation("11.11b")
@pytest.mark.many
@pytest.mark.parametrize("seed", range(6))
def test_a_wide_linear_recurrent_autoencoder_finds_pca(seed):
    rng = np.random.default_rng(seed)
    n_steps, d = [(4, 1), (3, 2)][seed % 2]
    X = rng.standard_normal((40, n_steps, d)).cumsum(axis=1)
    least, axes = theory.linear_autoencoder_optimum(X.reshape(40, -1), 2)
    model = Autoencoder(
        2, architecture=Recurrent(d, width=2 * n_steps * d, cell="linear"), solver="lbfgs",
        tol=1e-7, random_state=seed,
    ).fit(X)  # fmt: skip
    # a gradient 1e-7 times that of the start leaves about the square of it, times a condition
    verify("11.11b", abs(model.loss_ / least - 1), 1e-9)
    codes = model.inverse_transform(np.vstack([np.zeros(2), np.eye(2)])).reshape(3, -1)
    spanned = (codes[1:] - codes[0]).T
    assert theory.largest_principal_angle(spanned, axes) < 1e-3


@pytest.mark.equation("11.12")
@pytest.mark.parametrize("sharpness", [1.0, 2.0, 4.0, 8.0])
def test_what_attention_recalls_by_position(sharpness):
    """A z-test: beyond 4 standard errors in 6 of 100,000 runs, under a fixed seed."""
    n_steps, d, n = 8, 3, scaled(8000, 2000)
    X = np.random.default_rng(0).standard_normal((n, n_steps, d))
    P = softmax(sharpness * np.eye(n_steps))
    losses = np.sum((P @ X - X) ** 2, axis=(1, 2)) / n_steps
    right = theory.attention_recall_error(sharpness, n_steps, d)
    z = (losses.mean() - right) / (losses.std() / np.sqrt(n))
    verify("11.12", abs(z), 4)


# --- exercises --------------------------------------------------------------------------------


def test_exercise_a_gate_keeps_the_gradient():
    layer, _ = drawn(lambda: GRU(101, 2, 2), np.random.default_rng(0))
    layer.recurrent_weight[...] = 0
    layer.weight[:, 2:4] = 0
    z = np.array([0.99, 0.9])
    layer.bias[2:4] = np.log(z / (1 - z))
    rng = np.random.default_rng(1)
    x, x_moved = np.zeros((2, 1, 101, 2))
    x[...] = x_moved[...] = rng.standard_normal((101, 2))
    x_moved[0, 0] += 0.1
    states = np.stack([layer(x)[0], layer(x_moved)[0]])
    first, last = states[1, 0] - states[0, 0], states[1, -1] - states[0, -1]
    np.testing.assert_allclose(last / first, z**100, rtol=1e-6, atol=1e-12)


def test_exercise_means_over_steps_depend_on_the_batch():
    e, f, short, long = 2.0, 3.0, 1, 9
    x_hat, there = np.zeros((2, long)), np.arange(long) < np.array([[short], [long]])
    x = np.where(there, np.sqrt([[e], [f]]), np.nan)
    loss = skipping_gaps(LOSSES["squared_error"]).value
    together = loss(x_hat, x)[0]
    apart = np.mean([loss(x_hat[[i]], x[[i]])[0] for i in range(2)])
    assert together == pytest.approx((e + 9 * f) / 2) == apart
    by_step = [together * 2 / there.sum(), np.mean([e, f])]
    assert by_step == pytest.approx([(e + 9 * f) / 10, (e + f) / 2])


def test_exercise_the_first_step_first_cannot_be_exact():
    X = np.random.default_rng(0).standard_normal((30, 2, 1))
    model = theory.linear_recurrent_autoencoder(X, 2)
    states, last_first = model.states(X), model.loss(X)
    assert last_first < 1e-25
    # any decoder: least squares for the first step written, which should be x_1 from every state
    H = states.reshape(-1, 2)  # generic: (x_1, 0) and (x_2, x_1), turned
    wanted = np.repeat(X[:, :1, 0], 2, axis=1).ravel()
    C = np.linalg.lstsq(H, wanted, rcond=None)[0]
    assert np.mean((H @ C - wanted) ** 2) > 0.1


# --- beside PyTorch ---------------------------------------------------------------------------


@pytest.fixture
def torch():
    torch = pytest.importorskip("torch")
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield torch
    torch.set_default_dtype(before)


def test_the_gru_is_pytorchs(torch):
    rng = np.random.default_rng(0)
    (n, n_steps, p), k = (5, 7, 3), 4
    layer, _ = drawn(lambda: GRU(n_steps, p, k), rng)
    x, grad_y = rng.standard_normal((n, n_steps, p)), rng.standard_normal((n, n_steps, k))
    y, grad_x = layer.forward(x), layer.backward(grad_y)
    peer = torch.nn.GRU(p, k, batch_first=True)
    with torch.no_grad():
        peer.weight_ih_l0[:] = torch.tensor(layer.weight.T)
        peer.weight_hh_l0[:] = torch.tensor(layer.recurrent_weight.T)
        peer.bias_ih_l0[:] = torch.tensor(layer.bias)
        peer.bias_hh_l0.zero_()
        peer.bias_hh_l0[2 * k :] = torch.tensor(layer.candidate_bias)
    x_peer = torch.tensor(x, requires_grad=True)
    y_peer, _ = peer(x_peer)
    y_peer.backward(torch.tensor(grad_y))
    for ours, theirs in (
        (y, y_peer.detach()), (grad_x, x_peer.grad), (layer.grad_weight.T, peer.weight_ih_l0.grad),
        (layer.grad_recurrent_weight.T, peer.weight_hh_l0.grad),
        (layer.grad_bias, peer.bias_ih_l0.grad),
        (layer.grad_candidate_bias, peer.bias_hh_l0.grad[2 * k :]),
    ):  # fmt: skip
        np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-10)


def test_the_transformer_block_is_pytorchs(torch):
    rng = np.random.default_rng(0)
    n, n_steps, width, n_heads = 4, 6, 8, 2
    block, _ = drawn(lambda: TransformerBlock(n_steps, width, n_heads), rng)
    x, mask = rng.standard_normal((n, n_steps, width)), some_mask(rng, n, n_steps)
    grad_y = rng.standard_normal(x.shape) * mask[..., None]
    y, grad_x = block.forward(x, mask=mask), block.backward(grad_y)
    peer = torch.nn.TransformerEncoderLayer(
        width, n_heads, 4 * width, dropout=0.0, batch_first=True, norm_first=True
    )
    attention = block.attention
    hidden, out = block.mlp.layers
    with torch.no_grad():
        peer.self_attn.in_proj_weight[:] = torch.tensor(attention.weight.T)
        peer.self_attn.in_proj_bias.zero_()
        peer.self_attn.in_proj_bias[:width] = torch.tensor(attention.bias)
        for theirs, ours in (
            (peer.self_attn.out_proj, attention.output), (peer.linear1, hidden),
            (peer.linear2, out),
        ):  # fmt: skip
            theirs.weight[:], theirs.bias[:] = torch.tensor(ours.weight.T), torch.tensor(ours.bias)
        for theirs, ours in ((peer.norm1, block.norms[0]), (peer.norm2, block.norms[1])):
            theirs.weight[:], theirs.bias[:] = torch.tensor(ours.gain), torch.tensor(ours.bias)
    x_peer = torch.tensor(x, requires_grad=True)
    y_peer = peer(x_peer, src_key_padding_mask=torch.tensor(~mask))
    y_peer.backward(torch.tensor(grad_y))
    np.testing.assert_allclose(y[mask], y_peer.detach().numpy()[mask], atol=1e-10)
    np.testing.assert_allclose(grad_x, x_peer.grad.numpy(), atol=1e-10)
    bias_gradient = peer.self_attn.in_proj_bias.grad.numpy()
    np.testing.assert_allclose(
        attention.grad_weight.T, peer.self_attn.in_proj_weight.grad, atol=1e-10
    )
    np.testing.assert_allclose(attention.grad_bias, bias_gradient[:width], atol=1e-10)
    assert np.abs(bias_gradient[width : 2 * width]).max() < 1e-12  # the keys' bias: (11.6b)


def test_a_register_longer_than_the_sequence_loses_nothing():
    assert theory.shift_register_loss(3, 1, 5) == 0


@pytest.mark.parametrize("n_components", [4, 6, 9])
@pytest.mark.parametrize("tied", [False, True])
def test_states_wider_than_the_data_have_all_their_units(n_components, tied):
    X = np.ones((1, 3, 2))
    model = theory.linear_recurrent_autoencoder(X, n_components, from_states="last", tied=tied)
    assert [part.shape for part in model] == [
        (n_components, n_components), (n_components, 2), (2, n_components),
        (n_components, n_components),
    ]  # fmt: skip
    if n_components >= 6 or not tied:
        assert model.loss(X, from_states="last") < 1e-25


def test_states_to_decode_from_are_every_one_or_the_last():
    X = np.ones((1, 3, 2))
    model = theory.linear_recurrent_autoencoder(X, 2)
    for function in (
        lambda: theory.linear_recurrent_autoencoder(X, 2, from_states="evry"),
        lambda: theory.linear_recurrent_bound(X, 2, from_states="evry"),
        lambda: model.loss(X, from_states="evry"),
    ):
        with pytest.raises(
            ValueError, match=r"^from_states must be 'every' or 'last'; got 'evry'"
        ):
            function()
