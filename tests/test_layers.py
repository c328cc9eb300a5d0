"""The contract that all layers keep to, and what follows from it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nanoae.network import (
    ACTIVATIONS,
    GRU,
    LISTA,
    MLP,
    RNN,
    AveragePool,
    Convolution,
    Dense,
    Dictionary,
    Dropout,
    Embedding,
    FillingDecoder,
    Flatten,
    FromImages,
    LastRead,
    Layer,
    LayerNorm,
    MaxPool,
    MeanOverSteps,
    Parameters,
    Positions,
    Recurrent,
    Repeat,
    Reshape,
    SelfAttention,
    Sequential,
    ToImages,
    ToPatches,
    Transformer,
    TransformerBlock,
    TransposedConvolution,
    Upsample,
    VisibleEncoder,
)
from nanoae.network.discriminator import Discriminator, Products


class Residual(Layer):
    """``y = x + f(x)``: x has two users."""

    def __init__(self, inner):
        super().__init__(inner.shape_in, inner.shape_out, parts={"inner": inner})
        self.inner = inner

    def __call__(self, x):
        return x + self.inner(x)

    def forward(self, x, rng=None):
        return x + self.inner.forward(x, rng)

    def backward(self, grad_y, *, input_gradient=True):
        grad_x = self.inner.backward(grad_y, input_gradient=input_gradient)
        return grad_y + grad_x if input_gradient else None


FLAT = Reshape((2, 2), (4,))

LAYERS = {
    **{f"dense-{name}": lambda name=name: Dense(3, 4, name) for name in ACTIVATIONS},
    "dense-no-bias": lambda: Dense(3, 4, "tanh", bias=False),
    "dictionary": lambda: Dictionary(3, 4),
    "dictionary-bias": lambda: Dictionary(3, 4, bias=True),
    "dropout": lambda: Sequential([Dropout(3, 0.4), Dense(3, 4)]),
    "lista": lambda: LISTA(3, 4),
    "lista-3": lambda: LISTA(3, 4, 3),
    "mlp": lambda: MLP((3, 5, 4), "tanh"),
    "convolution": lambda: Sequential(
        [Reshape((3,), (1, 3)), Convolution((1, 3), 2, 2, activation="tanh"), FLAT]
    ),
    "convolution-circular": lambda: Sequential(
        [
            Reshape((3,), (1, 3)),
            Convolution((1, 3), 2, 3, stride=2, padding=1, circular=True),
            FLAT,
        ]
    ),
    "transposed": lambda: Sequential(
        [
            ToImages((3,)),
            TransposedConvolution(1, (1, 4), 2, activation="softplus"),
            FromImages((4,)),
        ]
    ),
    "pooling": lambda: Sequential(
        [
            Dense(3, 3),
            Reshape((3,), (1, 3)),
            Upsample((1, 3), 3),
            MaxPool((1, 9), 3, 2),
            Upsample((1, 4), 2),
            AveragePool((1, 8), 2),
            Reshape((1, 4), (4,)),
        ]
    ),
    "residual": lambda: Sequential([Residual(Dense(3, 3, "tanh")), Dense(3, 4)]),
    "sequential": lambda: Sequential([Dense(3, 5, "softplus"), Dictionary(5, 4), Dense(4, 4)]),
}
WIDTHS = {  # elsewhere 4
    "mlp": 5, "sequential": 5, "convolution-circular": 6, "transposed": 6, "pooling": 9,
}  # fmt: skip

SEQUENCE_LAYERS = {
    "rnn": lambda: RNN(4, 3, 2),
    "gru": lambda: GRU(4, 3, 2, backwards=True),
    "positions": lambda: Positions(4, 3),
    "norm": lambda: LayerNorm(3),
    "attention": lambda: SelfAttention(4, 6, n_heads=2, causal=True),
    "block": lambda: TransformerBlock(4, 4, n_heads=2),
    "mean": lambda: MeanOverSteps(4, 3),
    "last": lambda: LastRead(4, 3),
    "repeat": lambda: Repeat(4, 3),
    "flatten": lambda: Flatten((4, 3)),
    "recurrent encoder": lambda: Recurrent(2, width=3).encoder(8, 2),
    "patches": lambda: ToPatches((2, 4), 2, 3),
    "visible": lambda: VisibleEncoder(3, 2, 4, n_blocks=1, n_heads=2),
    "filling": lambda: FillingDecoder(3, 4, 2, 5, n_blocks=1, n_heads=1),
    "images": lambda: ToImages((2,), 3),
    "products": lambda: Products(3),
    "discriminator": lambda: Discriminator(3, (5,)),
    "quadratic discriminator": lambda: Discriminator(3, "quadratic"),
    "transformer decoder": lambda: Transformer(2, 4, n_blocks=1).decoder(3, 8),
}
IMAGE_LAYERS = {  # alone, and no two axes of one size
    "convolution": lambda: Convolution((2, 5, 4), 3, 3, stride=2, padding=1, activation="relu"),
    "linear convolution": lambda: Convolution((5, 4), 2, 3, bias=False),
    "transposed": lambda: TransposedConvolution(2, (6, 5, 4), 3, padding=1, activation="tanh"),
    "linear transposed": lambda: TransposedConvolution(2, (5, 4), 3, stride=2, bias=False),
    "maximum": lambda: MaxPool((2, 5, 7), 3, 2),
    "mean": lambda: AveragePool((2, 5, 7), 3, 2),
    "upsampling": lambda: Upsample((2, 3, 4), 2),
    "reshape": lambda: Reshape((2, 6), (3, 4)),
    "images": lambda: ToImages((4, 5), 3),
    "rows": lambda: FromImages((4, 5), 3),
}
MORE_LAYERS = [*SEQUENCE_LAYERS.values(), *IMAGE_LAYERS.values()]
every_layer = pytest.mark.parametrize("name", LAYERS)
these_too = pytest.mark.parametrize("make", [*LAYERS.values(), *MORE_LAYERS])


def drawn(make, rng):
    """A layer with random parameters, none of them 0, and these."""
    layer = make()
    parameters = Parameters({"layer": layer})
    layer.initialise(rng)
    parameters.values += 0.3 * rng.standard_normal(parameters.values.shape)
    return layer, parameters


def data(rng, *rows, shape_in=(3,), shape_out=(4,)):
    return 2 * rng.standard_normal((*rows, *shape_in)), rng.standard_normal((*rows, *shape_out))


def noise(rows_before=0):
    """A generator that has drawn the noise of so many rows: three numbers a row, if any."""
    rng = np.random.default_rng(1)
    rng.random((rows_before, 3))
    return rng


def keeps_to_the_contract(make):
    """Whatever the use, the gradients are those of a fresh layer with the same weights."""
    rng = np.random.default_rng(0)
    layer, parameters = drawn(make, rng)
    shapes = {"shape_in": layer.shape_in, "shape_out": layer.shape_out}
    (x1, g1), (x2, g2) = data(rng, 5, **shapes), data(rng, 4, **shapes)

    def fresh(x, grad_y, rows_before):
        other = make()
        others = Parameters({"layer": other})
        others.values[...] = parameters.values
        y = other.forward(x.copy(), noise(rows_before))
        return y, other.backward(grad_y.copy()), others.gradient

    (y1, grad_x1, grad1), (y2, grad_x2, grad2) = fresh(x1, g1, 0), fresh(x2, g2, 5)

    def gives(grad_y, grad_x, gradient):
        assert np.array_equal(layer.backward(grad_y), grad_x)
        assert np.array_equal(parameters.gradient, gradient)

    given = [a.copy() for a in (x1, g1, x2, g2)]
    # one forward and two backwards, with the same gradient and with another
    out1 = layer.forward(x1, noise())
    gives(g1, grad_x1, grad1)
    gives(g1, grad_x1, grad1)
    layer.backward(2 * g1)
    gives(g1, grad_x1, grad1)
    # a call in between, and a batch of another size
    draws = not np.array_equal(fresh(x2, g2, 0)[0], y2)  # what draws is called without noise
    assert draws or np.array_equal(layer(x2), y2)
    gives(g1, grad_x1, grad1)
    # two forwards, a backward on the second, and one on the first
    first = layer.memory
    out2 = layer.forward(x2, noise(5))
    gives(g2, grad_x2, grad2)
    layer.memory = first
    gives(g1, grad_x1, grad1)
    # what it has handed out and what it was given is as it was
    assert np.array_equal(out1, y1) and np.array_equal(out2, y2)
    for array, before in zip((x1, g1, x2, g2), given, strict=True):
        assert np.array_equal(array, before)
    # used twice in one pass: one layer on stacked rows, and its gradient the sum of both
    layer.forward(np.vstack([x1, x2]), noise())
    grad_x = layer.backward(np.vstack([g1, g2]))
    rounding = {"rtol": 1e-12, "atol": 1e-12}  # sums of a dozen terms of order 1
    np.testing.assert_allclose(grad_x, np.vstack([grad_x1, grad_x2]), **rounding)
    np.testing.assert_allclose(parameters.gradient, grad1 + grad2, **rounding)
    assert layer.backward(np.vstack([g1, g2]), input_gradient=False) is None


@these_too
def test_the_contract_of_layers(make):
    keeps_to_the_contract(make)


class Thrifty(Dense):
    """As layers were once written: all in place, in a chain without harm."""

    def backward(self, grad_y, *, input_gradient=True):
        grad_y *= self.activation.derivative(self.y)
        self.y[...] = grad_y
        np.matmul(self.x.T, grad_y, out=self.grad_weight)
        np.sum(grad_y, axis=0, out=self.grad_bias)
        return grad_y @ self.weight.T if input_gradient else None


class Reusing(Dense):
    """Writes its output into the array that it handed out before."""

    def forward(self, x, rng=None):
        y = self(x)
        if vars(self).get("y") is not None and len(self.y) >= len(y):
            self.y[: len(y)] = y
            y = self.y[: len(y)]
        self.x, self.y = x, y
        return y


class Adding(Dense):
    """Adds to its gradients, as frameworks do."""

    def backward(self, grad_y, *, input_gradient=True):
        before = self.grad_weight.copy()
        grad_x = super().backward(grad_y, input_gradient=input_gradient)
        self.grad_weight += before
        return grad_x


@pytest.mark.parametrize("layer", [Thrifty, Reusing, Adding])
def test_the_contract_rejects(layer):
    with pytest.raises(AssertionError):
        keeps_to_the_contract(lambda: layer(3, 4, "tanh"))


@these_too
def test_layers_work_on_the_last_axes(make):
    rng = np.random.default_rng(0)
    layer, parameters = drawn(make, rng)
    shape_in, shape_out = layer.shape_in, layer.shape_out
    x, grad_y = data(rng, 2, 5, shape_in=shape_in, shape_out=shape_out)
    y, grad_x = layer.forward(x, noise()), layer.backward(grad_y)
    gradient = parameters.gradient.copy()
    assert y.shape == (2, 5, *shape_out) and grad_x.shape == (2, 5, *shape_in)
    assert layer(x).shape == y.shape
    rows = layer.forward(x.reshape(10, *shape_in), noise())
    np.testing.assert_allclose(y.reshape(rows.shape), rows, rtol=1e-12, atol=1e-14)
    grad_rows = layer.backward(grad_y.reshape(rows.shape))
    np.testing.assert_allclose(grad_x.reshape(grad_rows.shape), grad_rows, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(gradient, parameters.gradient, rtol=1e-12, atol=1e-13)


@every_layer
def test_layers_know_their_shapes_and_forget(name):
    layer, parameters = drawn(LAYERS[name], np.random.default_rng(0))
    assert layer.shape_in == (3,) and layer.shape_out == (4,)
    assert layer.width == WIDTHS.get(name, 4)
    assert sum(np.prod(shape) for shape in layer.shapes.values()) == len(parameters.values)
    layer.forward(np.ones((2, 3)), noise())
    assert layer.memory
    layer.forget()
    with pytest.raises(AttributeError):
        _ = layer.memory
    assert layer(np.ones((2, 3))).shape == (2, 4)


def attributes(layer, path=""):
    """Names of all that a layer and its parts hold."""
    of_parts = (attributes(part, f"{path}{name}.") for name, part in layer.parts.items())
    return {path + name for name in vars(layer)}.union(*of_parts)


def remembered(layer, path=""):
    of_parts = (remembered(part, f"{path}{name}.") for name, part in layer.parts.items())
    return {path + name for name in layer.remembers}.union(*of_parts)


@pytest.mark.parametrize("make", [*LAYERS.values(), *MORE_LAYERS, lambda: Embedding(20, 2)])
def test_a_layer_names_all_that_it_keeps_of_a_batch(make):
    """Else a copy of the batch would stay in every fitted model."""
    rng = np.random.default_rng(0)
    layer, _ = drawn(make, rng)
    x, grad_y = data(rng, 5, shape_in=layer.shape_in, shape_out=layer.shape_out)
    before = attributes(layer)
    layer.forward(x, noise())
    layer.backward(grad_y)
    assert attributes(layer) - before == remembered(layer)
    layer.forget()
    assert attributes(layer) == before


@pytest.mark.parametrize(
    "make",
    [
        *SEQUENCE_LAYERS.values(),
        lambda: RNN(4, 2, 3),
        lambda: GRU(4, 7, 2),
        lambda: SelfAttention(20, 2, n_heads=2),
        lambda: TransformerBlock(20, 2, n_heads=2),
    ],
)
def test_the_width_of_a_layer_is_that_of_the_largest_array_that_a_row_becomes(make):
    """By which rows are handled in blocks, for the sake of memory."""
    layer, _ = drawn(make, np.random.default_rng(0))
    layer.forward(np.ones((6, *layer.shape_in)), noise())

    def kept(memory):
        parts = [size for part in memory if isinstance(part, tuple) for size in kept(part)]
        return parts + [part.size // 6 for part in memory if isinstance(part, np.ndarray)]

    ends = math.prod(layer.shape_in), math.prod(layer.shape_out)
    assert layer.width == max([*ends, *kept(layer.memory)])


@these_too
def test_biases_begin_at_0_and_gains_at_1_whatever_was_there(make):
    layer = make()
    parameters = Parameters({"layer": layer})
    parameters.values.fill(np.nan)
    layer.initialise(np.random.default_rng(0))
    assert np.isfinite(parameters.values).all()
    for name in parameters.names:
        kind, value = name.rpartition(".")[-1], parameters[name][0]
        if kind in ("bias", "candidate_bias", "gain"):
            assert np.all(value == (kind == "gain")), name


def all_parts(layer):
    return [deep for part in layer.parts.values() for deep in (part, *all_parts(part))]


OF_PARTS = [make for make in [*LAYERS.values(), *MORE_LAYERS] if make().parts]


@pytest.mark.parametrize("make", OF_PARTS)
def test_all_parts_are_handed_the_generator(make):
    """In any of them something may be dropped."""
    layer, _ = drawn(make, np.random.default_rng(0))
    handed = {}
    for part in all_parts(layer):

        def forward(x, rng=None, *mask, part=part, computed=part.forward, **more):
            handed[part] = rng
            return computed(x, rng, *mask, **more)

        part.forward = forward
    rng = np.random.default_rng(1)
    layer.forward(np.ones((2, *layer.shape_in)), rng)
    assert [handed[part] for part in all_parts(layer)] == [rng] * len(all_parts(layer))


def test_neighbours_are_checked():
    with pytest.raises(ValueError, match=r"layers\[1\] must take rows of shape \(4,\).*\(5,\)\."):
        Sequential([Dense(3, 4), Dense(5, 2)])


def test_parts_have_names_memory_and_initial_weights_through_the_layer_that_holds_them():
    rng = np.random.default_rng(0)
    layer = Residual(Residual(Dense(3, 3, "tanh")))
    parameters = Parameters({"layer": layer})
    assert parameters.names == ["layer.inner.inner.weight", "layer.inner.inner.bias"]
    layer.initialise(rng)
    assert np.any(layer.inner.inner.weight != 0)
    x, grad_y = rng.standard_normal((2, 4, 3))
    layer.forward(x)
    memory, grad_x = layer.memory, layer.backward(grad_y)
    layer.forward(-x)
    layer.memory = memory
    assert np.array_equal(layer.backward(grad_y), grad_x)
    layer.forget()
    assert "x" not in vars(layer.inner.inner)
