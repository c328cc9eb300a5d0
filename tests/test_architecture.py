"""Networks other than the MLP, and several players in one vector."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, fields, replace

import numpy as np
import pytest
from test_layers import Residual

import nanoae
from nanoae import (
    VAE,
    Autoencoder,
    Convolutional,
    GaussianNoise,
    MaskingNoise,
    Recurrent,
    SaltAndPepper,
    Transformer,
    datasets,
    gradient_check,
)
from nanoae.denoising import Corruption
from nanoae.losses import squared_error
from nanoae.network import (
    GRU,
    RNN,
    Architecture,
    Convolution,
    Dense,
    Embedding,
    Flatten,
    FromImages,
    FullyConnected,
    LastRead,
    Layer,
    LayerNorm,
    MeanOverSteps,
    OnSequences,
    Parameters,
    Positions,
    Repeat,
    Reshape,
    Sequential,
    ToImages,
    TransformerBlock,
    TransposedConvolution,
)
from nanoae.optimizers import SGD, Adam
from nanoae.training import Monitor, train

X = datasets.make_gaussian(40, [4.0, 2.0, 1.0, 0.5], random_state=0)
SMALL = {"max_iter": 3, "random_state": 0}


@dataclass(frozen=True)
class Skip(Architecture):
    """A residual layer between two dense ones, in both networks."""

    width: int = 4
    activation: str = "tanh"

    def encoder(self, n_in, n_out):
        middle = Residual(Dense(self.width, self.width, self.activation))
        return Sequential([Dense(n_in, self.width), middle, Dense(self.width, n_out)])

    decoder = encoder


MODELS = [
    Autoencoder(2, architecture=Skip(), **SMALL),
    VAE(2, architecture=Skip(width=3), beta=0.5, noise_variance="learned", **SMALL),
    Autoencoder(2, architecture=FullyConnected((5,), code_activation="tanh"), **SMALL),
]
every_model = pytest.mark.parametrize("model", MODELS, ids=repr)


@every_model
def test_gradient(model):
    assert gradient_check(model, X[:6]).error < 1e-7


@every_model
def test_training_falls_and_codes_have_the_width_asked_for(model):
    model = type(model)(**{**model.get_params(), "max_iter": 40, "learning_rate": 0.01}).fit(X)
    assert model.history_["loss"][-1] < model.history_["loss"][0]
    assert model.transform(X).shape == (40, 2) and model.reconstruct(X).shape == X.shape


@every_model
def test_repr_copies_and_files(model, tmp_path):
    model = type(model)(**model.get_params()).fit(X)
    assert eval(repr(model)).get_params() == model.get_params()
    model.save(tmp_path / "model.npz")
    for other in (nanoae.load(tmp_path / "model.npz"), pickle.loads(pickle.dumps(model))):
        assert other.get_params() == model.get_params() and repr(other) == repr(model)
        assert other.transform(X).tobytes() == model.transform(X).tobytes()
    run = {"checkpoint": tmp_path / "run.npz", "checkpoint_every": 1}
    checkpointed = type(model)(**model.get_params()).fit(X, **run)
    assert np.array_equal(checkpointed.parameters_, model.parameters_)
    with pytest.raises(ValueError, match="architecture was"):
        checkpointed.set_params(architecture=Skip(width=9)).fit(X, **run)


def test_scikit_learn_clones_it_and_searches_over_it():
    base = pytest.importorskip("sklearn.base")
    selection = pytest.importorskip("sklearn.model_selection")
    model = Autoencoder(2, architecture=Skip(), **SMALL)
    assert base.clone(model).get_params() == model.get_params()
    grid = {"architecture": [None, Skip(), Skip(width=6)]}
    search = selection.GridSearchCV(model, grid, cv=2).fit(X)
    assert search.best_params_["architecture"] in grid["architecture"]


def test_files_name_an_architecture_and_know_only_those_that_derive_from_it(tmp_path):
    model = Autoencoder(2, architecture=Skip(), **SMALL).fit(X)

    @dataclass(frozen=True)
    class Gone(Skip):
        pass

    model.set_params(architecture=Gone())
    model.save(tmp_path / "model.npz")
    assert nanoae.load(tmp_path / "model.npz").architecture == Gone()
    Gone.__name__ = "Renamed"
    with pytest.raises(ValueError, match=r"its architecture 'Gone' is none of .*FullyConnected"):
        nanoae.load(tmp_path / "model.npz")


def test_what_is_no_architecture_or_has_other_widths_is_one_sentence():
    with pytest.raises(TypeError, match=r"must be None or an Architecture .*; got .mlp.\."):
        Autoencoder(architecture="mlp").fit(X)

    @dataclass(frozen=True)
    class Wide(FullyConnected):
        def encoder(self, n_in, n_out):
            return super().encoder(n_in, n_out + 1)

    with pytest.raises(ValueError, match=r"encoder of .*Wide.* must lead from \(4,\) to \(2,\)"):
        Autoencoder(architecture=Wide()).fit(X)


def test_what_is_no_dataclass_has_no_fields_for_files_and_is_refused():
    class Plain(Architecture):
        pass

    class Hiss(Corruption):
        pass

    @dataclass(frozen=True)
    class Neither:
        pass

    with pytest.raises(TypeError, match=r"architecture must be .* that is a dataclass"):
        Autoencoder(architecture=Neither()).fit(X)
    with pytest.raises(TypeError, match=r"corruption must be .* that is a dataclass"):
        Autoencoder(corruption=Neither()).fit(X)
    with pytest.raises(TypeError, match=r"architecture must be .* that is a dataclass"):
        Autoencoder(architecture=Plain()).fit(X)
    with pytest.raises(TypeError, match=r"corruption must be .* that is a dataclass"):
        Autoencoder(corruption=Hiss()).fit(X)


# --- several players ---------------------------------------------------------------------------


class Dirac:
    """A game of two: θ descends ``θ ψ``, ψ ascends it (Mescheder et al. 2018)."""

    def __init__(self, values=(1.0, 0.5)):
        self.parameters_ = np.array(values)

    def loss_and_gradient(self, X, rng=None):
        theta, psi = self.parameters_
        return theta * psi, np.array([psi, -theta])


def play(model, optimizer, n_epochs=5):
    monitor = Monitor(model.parameters_)
    monitor.max_iter = n_epochs
    train(model, np.zeros((4, 1)), np.random.default_rng(0), monitor, optimizer, batch_size=4)
    return model.parameters_


@pytest.mark.parametrize(
    ("right", "field"),
    [
        (right, field.name)
        for right in (
            FullyConnected((5,)), Convolutional((8, 8)), Recurrent(), Transformer(),
            GaussianNoise(0.3), MaskingNoise(0.3), SaltAndPepper(0.3),
        )
        for field in fields(right)
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)  # fmt: skip
def test_every_field_is_checked_where_it_is_given(right, field):
    """Not at the first training, far from the line that has it wrong."""
    for wrong in ("wrong", np.array([0.5, 0.5])):
        with pytest.raises((ValueError, TypeError), match=f"{field} must be"):
            replace(right, **{field: wrong})


LEAST = [
    Convolutional((1,), (1,), kernel=1, stride=1),
    Recurrent(1, width=1, n_steps=1),
    Recurrent(width=1, vocabulary_size=2),
    Transformer(1, width=1, n_steps=1, n_blocks=1, n_heads=1),
    Transformer(width=1, vocabulary_size=2, n_blocks=1, n_heads=1),
]


@pytest.mark.parametrize("least", LEAST, ids=repr)
def test_of_everything_there_is_so_much_at_least(least):
    """Less is refused, and not so much; it makes networks that can be used."""
    n = 1 if least.sequences is None else 2
    encoder, decoder = least.encoder(n, 1), least.decoder(1, n)
    networks = Parameters({"encoder": encoder, "decoder": decoder})
    networks.values.fill(0.5)
    assert decoder(encoder(np.zeros((3, n)))).shape == (3, *decoder.shape_out)
    for name, value in vars(least).items():
        if isinstance(value, int) and not isinstance(value, bool):
            with pytest.raises(ValueError, match=f"{name} must be at least {value}; got"):
                replace(least, **{name: value - 1})


CURLED = {"kernel": 4, "stride": 3, "padding": "same", "circular": True, "activation": "tanh"}
FLAT = {**CURLED, "activation": "identity"}
PLAIN = {"kernel": 3, "stride": 2, "padding": "same", "bias": False}
BY_HAND = {  # networks, and the layers that they are made of, written out
    "convolutional": (
        Convolutional((7, 4), (3, 5), 2, kernel=4, stride=3, circular=True, activation="tanh"),
        (56, 2), lambda: [
            ToImages((7, 4), 2), Convolution((2, 7, 4), 3, **CURLED),
            Convolution((3, 3, 2), 5, **CURLED), Reshape((5, 1, 1), (5,)), Dense(5, 2),
        ], lambda: [
            Dense(2, 5, "tanh"), Reshape((5,), (5, 1, 1)),
            TransposedConvolution(5, (3, 3, 2), **CURLED),
            TransposedConvolution(3, (2, 7, 4), **FLAT), FromImages((7, 4), 2),
        ],
    ),
    "convolutional, of defaults, without biases": (
        Convolutional((9,), (3, 5), bias=False), (9, 2), lambda: [
            ToImages((9,)), Convolution((1, 9), 3, **PLAIN, activation="relu"),
            Convolution((3, 5), 5, **PLAIN, activation="relu"), Reshape((5, 3), (15,)),
            Dense(15, 2, bias=False),
        ], lambda: [
            Dense(2, 15, "relu", bias=False), Reshape((15,), (5, 3)),
            TransposedConvolution(5, (3, 5), **PLAIN, activation="relu"),
            TransposedConvolution(3, (1, 9), **PLAIN), FromImages((9,)),
        ],
    ),
    "convolutional, to places": (
        Convolutional((9, 5), (3,), dense=False, bias=False), (45, 12), lambda: [
            ToImages((9, 5)), Convolution((1, 9, 5), 3, **PLAIN, activation="relu"),
            Convolution((3, 5, 3), 2, **PLAIN), Reshape((2, 3, 2), (12,)),
        ], lambda: [
            Reshape((12,), (2, 3, 2)),
            TransposedConvolution(2, (3, 5, 3), **PLAIN, activation="relu"),
            TransposedConvolution(3, (1, 9, 5), **PLAIN), FromImages((9, 5)),
        ],
    ),
    "recurrent": (
        Recurrent(3, width=5), (12, 2),
        lambda: [GRU(4, 3, 5, backwards=True), LastRead(4, 5), Dense(5, 2)],
        lambda: [Repeat(4, 2), GRU(4, 2, 5), Dense(5, 3), Flatten((4, 3))],
    ),
    "recurrent, linear": (
        Recurrent(3, width=5, cell="linear"), (12, 2),
        lambda: [RNN(4, 3, 5, "identity", backwards=True), LastRead(4, 5), Dense(5, 2)],
        lambda: [Repeat(4, 2), RNN(4, 2, 5, "identity"), Dense(5, 3), Flatten((4, 3))],
    ),
    "recurrent, of tokens": (
        Recurrent(width=5, vocabulary_size=6, cell="tanh"), (4, 2),
        lambda: [Embedding(6, 5), RNN(4, 5, 5, backwards=True), LastRead(4, 5), Dense(5, 2)],
        lambda: [Repeat(4, 2), RNN(4, 2, 5), Dense(5, 6)],
    ),
    "transformer": (
        Transformer(3, width=10, n_blocks=3, n_heads=5), (12, 2), lambda: [
            Dense(3, 10), Positions(4, 10), *(TransformerBlock(4, 10, 5) for _ in range(3)),
            LayerNorm(10), MeanOverSteps(4, 10), Dense(10, 2),
        ], lambda: [
            Dense(2, 10), Repeat(4, 10), Positions(4, 10),
            *(TransformerBlock(4, 10, 5) for _ in range(3)),
            LayerNorm(10), Dense(10, 3), Flatten((4, 3)),
        ],
    ),
    "transformer, of tokens": (
        Transformer(width=8, vocabulary_size=6), (4, 2), lambda: [
            Embedding(6, 8), Positions(4, 8), *(TransformerBlock(4, 8, 4) for _ in range(2)),
            LayerNorm(8), MeanOverSteps(4, 8), Dense(8, 2),
        ], lambda: [
            Dense(2, 8), Repeat(4, 8), Positions(4, 8),
            *(TransformerBlock(4, 8, 4) for _ in range(2)), LayerNorm(8), Dense(8, 6),
        ],
    ),
}  # fmt: skip


def does_as(network, right, x):
    """The same parameters, drawn alike; and at all weights the same outputs and gradients."""
    assert (network.shape_in, network.shape_out) == (right.shape_in, right.shape_out)
    both, results = [Parameters({"network": layer}) for layer in (network, right)], []
    for layer, parameters in zip((network, right), both, strict=True):
        layer.initialise(np.random.default_rng(0))
        parameters.values += 0.1 * np.random.default_rng(1).standard_normal(len(parameters.values))
        y = layer.forward(x)
        grad_x = layer.backward(np.random.default_rng(2).standard_normal(y.shape))
        results.append((parameters.values, layer(x), y, parameters.gradient, grad_x))
    assert both[0].names == both[1].names
    for found, expected in zip(*results, strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", BY_HAND)
def test_networks_are_the_layers_that_they_say(name):
    """To the last bit: whatever a field is for is handed on, and to all whom it concerns."""
    architecture, (n_features, n_code), encoder, decoder = BY_HAND[name]
    rng, sequences = np.random.default_rng(0), architecture.sequences
    x, h = rng.standard_normal((6, n_features)), rng.standard_normal((6, n_code))
    if sequences is None:
        encoder_by_hand = Sequential(encoder())
    else:
        encoder_by_hand = OnSequences(sequences, n_features, encoder())
        if sequences.n_tokens is not None:
            x = rng.integers(0, sequences.n_tokens, x.shape).astype(float)
        for row, n_steps in enumerate((1, 4, 3, 1, 2)):
            x[row, n_steps * sequences.features_per_step :] = np.nan
    does_as(architecture.encoder(n_features, n_code), encoder_by_hand, x)
    does_as(architecture.decoder(n_code, n_features), Sequential(decoder()), h)


@pytest.mark.parametrize("make", [Adam, lambda rate: SGD(rate, momentum=0.5)])
@pytest.mark.parametrize("rates", [(0.1, 0.1), (0.01, 0.3)])
def test_one_optimizer_on_one_vector_is_two_on_its_parts_bit_for_bit(make, rates):
    rate = rates[0] if rates[0] == rates[1] else np.array(rates)
    together = play(Dirac(), make(rate))
    theta, psi = np.array([1.0]), np.array([0.5])
    players = [make(rate) for rate in rates]
    for _ in range(5):
        gradients = psi.copy(), -theta.copy()
        for part, gradient, player in zip((theta, psi), gradients, players, strict=True):
            player.step(part, gradient)
    assert np.array_equal(together, np.concatenate([theta, psi]))


class Game(Autoencoder):
    """Encoder and decoder as players, each with a wish that the other does not hear of: short
    codes, and short reconstructions."""

    def loss_and_gradient(self, X, rng=None):
        loss, gradient = self._encoder_objective(X, rng)
        of_encoder = gradient[: self._n_encoder].copy()
        _, gradient = self._decoder_objective(X, rng)
        gradient[: self._n_encoder] = of_encoder
        return loss, gradient

    def objectives(self):
        return {
            "encoder": (self._encoder_objective, slice(0, self._n_encoder)),
            "decoder": (self._decoder_objective, slice(self._n_encoder, None)),
        }

    @property
    def _n_encoder(self):
        return sum(np.prod(shape) for shape in self.encoder_.shapes.values())

    def _encoder_objective(self, X, rng):
        return self._objective(X, of_codes=1.0, of_reconstructions=0.0)

    def _decoder_objective(self, X, rng):
        return self._objective(X, of_codes=0.0, of_reconstructions=0.5)

    def _objective(self, X, of_codes, of_reconstructions):
        h = self.encoder_.forward(X)
        x_hat = self.decoder_.forward(h)
        loss, grad_x_hat = squared_error(x_hat, X)
        grad_h = self.decoder_.backward(grad_x_hat + 2 * of_reconstructions * x_hat / len(X))
        self.encoder_.backward(grad_h + 2 * of_codes * h / len(X))
        wishes = of_codes * np.sum(h**2) + of_reconstructions * np.sum(x_hat**2)
        return loss + wishes / len(X), self.layout_.gradient


def test_gradient_check_walks_the_objectives():
    model = Game(2, hidden_layer_sizes=(3,), activation="tanh")
    assert gradient_check(model, X[:6]).error < 1e-7
    # the gradient of neither loss alone, so that one objective for all would be found wrong
    one = type("One", (Game,), {"objectives": Autoencoder.objectives})
    assert gradient_check(one(2, hidden_layer_sizes=(3,), activation="tanh"), X[:6]).error > 1e-3


@pytest.mark.parametrize("player", ["encoder", "decoder"])
def test_gradient_check_finds_the_player_with_the_wrong_gradient(player):
    class Wrong(Game):
        def loss_and_gradient(self, X, rng=None):
            loss, gradient = super().loss_and_gradient(X, rng)
            gradient[self.objectives()[player][1]] *= 1.01
            return loss, gradient

    check = gradient_check(Wrong(2, hidden_layer_sizes=(3,), activation="tanh"), X[:6])
    assert check.error == pytest.approx(0.01, rel=0.02)
    assert check.parameter.startswith(player)


@dataclass(frozen=True)
class Same(Architecture):
    """Networks that hand on what they were given."""

    def encoder(self, n_in, n_out):
        return Handed(n_in)

    decoder = encoder


class Handed(Layer):
    def __init__(self, n):
        super().__init__((n,), (n,))

    def __call__(self, x):
        return x

    def forward(self, x, rng=None):
        return x

    def backward(self, grad_y, *, input_gradient=True):
        return grad_y


def test_what_is_handed_in_is_not_written_over():
    codes = np.array([[0.25, 0.5], [1.0, 0.0]])
    model = Autoencoder(2, loss="bernoulli", architecture=Same())
    model.initialise(codes)
    before = codes.copy()
    np.testing.assert_allclose(model.inverse_transform(codes), 1 / (1 + np.exp(-before)))
    model.reconstruct(codes), model.reconstruction_error(codes)
    np.testing.assert_array_equal(codes, before)
