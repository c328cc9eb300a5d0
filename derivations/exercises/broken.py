"""Models whose gradient is broken on purpose: the classics of everybody's first backward pass.

Each entry of `BROKEN` is a model and a function that breaks what it is made of. The function is
handed ``setattr`` and ``setitem`` in one object (pytest's ``monkeypatch``, or that of `hunt`), so
that what it does can be undone. ``tests/test_backprop.py`` lets `gradient_check` find all of them,
and ``python -m derivations.exercises hunt`` lets the reader.
"""

from __future__ import annotations

import numpy as np

from derivations.exercises.terms.draw import sigmoid
from nanoae import VAE, Autoencoder, LinearAutoencoder, TiedAutoencoder, losses
from nanoae.losses import LIKELIHOODS, LOSSES
from nanoae.models import vae
from nanoae.network import ACTIVATIONS, Dense, Dropout


def broken_loss(loss, change):
    """A loss whose gradient is changed."""

    def broken(y, x, weights=None):
        value, gradient = loss(y, x, weights)
        return value, change(gradient, y, x)

    return broken


def break_loss(name, change):
    broken = LOSSES[name]._replace(value=broken_loss(LOSSES[name].value, change))
    return lambda patch: patch.setitem(LOSSES, name, broken)


def break_squared_error(change):
    return break_loss("squared_error", change)


def break_bernoulli(change):
    return break_loss("bernoulli", change)


def break_derivative(name, derivative):
    broken = ACTIVATIONS[name]._replace(derivative=derivative)
    return lambda patch: patch.setitem(ACTIVATIONS, name, broken)


def break_dense(change):
    """A dense layer whose backward pass goes wrong; ``change`` sees the layer and both ends."""
    backward = Dense.backward

    def broken(layer, grad_y, *, input_gradient=True):
        grad_x = backward(layer, grad_y, input_gradient=input_gradient)
        grad_a = grad_y if layer.is_linear else grad_y * layer.activation.derivative(layer.y)
        changed = change(layer, grad_a, grad_x)
        return grad_x if changed is None else changed

    return lambda patch: patch.setattr(Dense, "backward", broken)


def transpose_weight_gradient(layer, grad_a, grad_x):
    if layer.n_in == layer.n_out:  # elsewhere the shapes would give it away
        layer.grad_weight[...] = layer.grad_weight.T.copy()


def forget_to_transpose(layer, grad_a, grad_x):
    return grad_a @ layer.weight if layer.n_in == layer.n_out else grad_x


def average_bias_gradient(layer, grad_a, grad_x):
    layer.grad_bias /= len(grad_a)


def last_row_only(layer, grad_a, grad_x):
    layer.grad_weight[...] = np.outer(layer.x[-1], grad_a[-1])


def break_kl(change_mu, change_log_var):
    def broken(mu, log_var, weights=None):
        kl, grad_mu, grad_log_var = losses.gaussian_kl(mu, log_var, weights)
        return kl, change_mu * grad_mu, change_log_var * grad_log_var

    return lambda patch: patch.setattr(vae, "gaussian_kl", broken)


def freeze_noise(patch):
    def broken(x_hat, x, log_noise_variance, weights=None):
        return *losses.gaussian_nll(x_hat, x, log_noise_variance, weights)[:2], 0.0

    patch.setitem(LIKELIHOODS, "gaussian", LIKELIHOODS["gaussian"]._replace(nll=broken))


def halve_decay(patch):
    decay = Autoencoder._decay_weights

    def broken(model):
        penalty = decay(model)
        for weight, grad_weight in model.layout_.weights():
            grad_weight -= model.weight_decay * weight
        return penalty

    patch.setattr(Autoencoder, "_decay_weights", broken)


def forget_second_use(patch):
    right = TiedAutoencoder.loss_and_gradient

    def broken(model, X, rng=None):
        loss, gradient = right(model, X, rng)
        gradient -= model.decoder_.layers[0].grad_weight.T.ravel()
        return loss, gradient

    patch.setattr(TiedAutoencoder, "loss_and_gradient", broken)


def break_dropout(backward):
    return lambda patch: patch.setattr(
        Dropout, "backward", lambda layer, grad_y, input_gradient=True: backward(layer, grad_y)
    )


def forget_what_dropout_asks_of_the_encoder(patch):
    right = LinearAutoencoder._drop_units
    patch.setattr(
        LinearAutoencoder,
        "_drop_units",
        lambda model, h, grad_h, weights: right(model, h, grad_h.copy(), weights),
    )


def deep(activation="tanh", **kwargs):
    # a square layer in the middle, where a transposition changes no shape
    return Autoencoder(3, hidden_layer_sizes=(3,), activation=activation, **kwargs)


BROKEN = {
    "half the gradient": (deep(), break_squared_error(lambda g, y, x: g / 2)),
    "sign": (deep(), break_squared_error(lambda g, y, x: -g)),
    "sum over samples": (deep(), break_squared_error(lambda g, y, x: len(g) * g)),
    "mean over features": (deep(), break_squared_error(lambda g, y, x: g / g.shape[1])),
    "one per cent": (deep(), break_squared_error(lambda g, y, x: 1.01 * g)),
    "target forgotten": (
        deep(loss="bernoulli"),
        break_bernoulli(lambda g, a, x: sigmoid(a) / len(x)),
    ),
    "sigmoid twice": (
        deep(loss="bernoulli"),
        break_bernoulli(lambda g, a, x: g / (2 + np.exp(a) + np.exp(-a))),
    ),
    "no derivative": (deep(), break_derivative("tanh", lambda y: np.ones_like(y))),
    "1 - y": (deep(), break_derivative("tanh", lambda y: 1 - y)),
    "sigmoid at the output": (
        deep("sigmoid"),
        break_derivative("sigmoid", lambda y: sigmoid(y) * sigmoid(-y)),
    ),
    "softplus at the output": (
        deep("softplus"),
        break_derivative("softplus", sigmoid),
    ),
    "relu everywhere": (deep("relu"), break_derivative("relu", lambda y: np.ones_like(y))),
    "weight gradient transposed": (deep(), break_dense(transpose_weight_gradient)),
    "weight not transposed": (deep(), break_dense(forget_to_transpose)),
    "mean over the batch": (deep(), break_dense(average_bias_gradient)),
    "last sample only": (deep(), break_dense(last_row_only)),
    "decay without 2": (deep(weight_decay=0.3), halve_decay),
    "one use of two": (TiedAutoencoder(2), forget_second_use),
    "no mask on the way back": (deep(dropout=0.4), break_dropout(lambda layer, g: g)),
    "mask of the way back unscaled": (
        deep(dropout=0.4),
        break_dropout(lambda layer, g: g * (layer.mask > 0)),
    ),
    "dropout by the decoder alone": (
        LinearAutoencoder(2, dropout=0.4),
        forget_what_dropout_asks_of_the_encoder,
    ),
    "KL without mu": (VAE(2, hidden_layer_sizes=(3,), activation="tanh"), break_kl(0, 1)),
    "KL without half by log_var": (
        VAE(2, hidden_layer_sizes=(3,), activation="tanh"),
        break_kl(1, 2),
    ),
    "noise not learned": (
        VAE(2, hidden_layer_sizes=(3,), activation="tanh", noise_variance="learned"),
        freeze_noise,
    ),
}
