"""Activations, each with its derivatives written in terms of its own output.

The value works in place: it overwrites the array that it is given and returns it. A derivative
takes the output ``y = f(a)``, not ``a``, so a layer keeps one array, not two, and leaves it alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from nanoae.arrays import Array


class Activation(NamedTuple):
    """An elementwise function and its derivatives.

    Attributes
    ----------
    value : callable
        Turns ``a`` into ``f(a)``, in place.
    derivative : callable
        Makes of ``y = f(a)`` a new array, ``f'(a)``.
    second_derivative : callable
        Makes of ``y = f(a)`` a new array, ``f''(a)`` (9.1b): for losses of Jacobians.
    gain : float
        Factor on the initial weights of a layer with this activation (1.10c).

    Examples
    --------
    The value overwrites its argument, and the derivative is taken of what it left there:

    >>> import numpy as np
    >>> from nanoae.network import ACTIVATIONS
    >>> tanh, a = ACTIVATIONS["tanh"], np.array([0.0, 1.0])
    >>> tanh.value(a).round(4).tolist()
    [0.0, 0.7616]
    >>> tanh.derivative(a).round(4).tolist()  # 1 - 0.7616²
    [1.0, 0.42]
    """

    value: Callable[[Array], Array]
    derivative: Callable[[Array], Array]
    second_derivative: Callable[[Array], Array]
    gain: float


def identity(a: Array) -> Array:
    """``f(a) = a``.

    Parameters
    ----------
    a : ndarray of floats, any shape

    Returns
    -------
    ndarray
        ``a`` itself.

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae.network.activations import identity
    >>> a = np.array([-1.0, 2.0])
    >>> identity(a) is a
    True
    """
    return a


def _identity_derivative(y: Array) -> Array:
    return np.ones_like(y)


def _zero(y: Array) -> Array:
    """The second derivative of what is linear, or linear in pieces."""
    return np.zeros_like(y)


def relu(a: Array) -> Array:
    """``f(a) = max(a, 0)``, ``f' = 1`` where y > 0 and 0 elsewhere (1.2c), 0 itself included.

    Parameters
    ----------
    a : ndarray of floats, any shape
        Overwritten.

    Returns
    -------
    ndarray
        ``a`` itself.

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae.network.activations import relu
    >>> relu(np.array([-2.0, 0.5, 3.0])).tolist()
    [0.0, 0.5, 3.0]
    """
    return np.maximum(a, 0, out=a)


def _relu_derivative(y: Array) -> Array:
    return (y > 0).astype(y.dtype)


def tanh(a: Array) -> Array:
    """``f(a) = tanh(a)``, ``f' = 1 − y²`` (1.2a).

    Parameters
    ----------
    a : ndarray of floats, any shape
        Overwritten.

    Returns
    -------
    ndarray
        ``a`` itself.

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae.network.activations import tanh
    >>> a = np.array([-1.0, 0.0, 1.0])
    >>> _ = tanh(a)
    >>> a.round(4).tolist()  # in place
    [-0.7616, 0.0, 0.7616]
    """
    return np.tanh(a, out=a)


def _tanh_derivative(y: Array) -> Array:
    y_squared = y * y
    return np.subtract(1, y_squared, out=y_squared)


def _tanh_second_derivative(y: Array) -> Array:
    return -2 * y * (1 - y * y)


def sigmoid(a: Array) -> Array:
    """``f(a) = 1 / (1 + e^−a)``, ``f' = y (1 − y)`` (1.2b).

    Computed as ``(1 + tanh(a/2)) / 2``, which is the same function and cannot overflow. It is
    right to a rounding of 1, not of itself: far to the left it is 0.

    Parameters
    ----------
    a : ndarray of floats, any shape
        Overwritten.

    Returns
    -------
    ndarray
        ``a`` itself.

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae.network.activations import sigmoid
    >>> sigmoid(np.array([-1000.0, 0.0, np.log(3), 1000.0])).round(4).tolist()  # 3/(1 + 3)
    [0.0, 0.5, 0.75, 1.0]
    """
    a *= 0.5
    np.tanh(a, out=a)
    a += 1
    a *= 0.5
    return a


def _sigmoid_derivative(y: Array) -> Array:
    return y * (1 - y)


def _sigmoid_second_derivative(y: Array) -> Array:
    return y * (1 - y) * (1 - 2 * y)


def softplus(a: Array) -> Array:
    """``f(a) = log(1 + e^a)``, ``f' = 1 − e^−y`` (1.2d).

    Computed as ``max(a, 0) + log(1 + e^−|a|)``, with ``−|a| = min(a, −a)``: the exponent is never
    positive.

    Parameters
    ----------
    a : ndarray of floats, any shape
        Overwritten.

    Returns
    -------
    ndarray
        ``a`` itself.

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae.network.activations import softplus
    >>> softplus(np.array([-1000.0, 0.0, 1000.0])).round(4).tolist()  # log 2 in the middle
    [0.0, 0.6931, 1000.0]
    """
    tail = -a
    np.minimum(a, tail, out=tail)
    np.exp(tail, out=tail)
    np.log1p(tail, out=tail)
    np.maximum(a, 0, out=a)
    a += tail
    return a


def _softplus_derivative(y: Array) -> Array:
    return -np.expm1(-y)


def _softplus_second_derivative(y: Array) -> Array:
    return -np.expm1(-y) * np.exp(-y)


# relu halves the second moment of a signal (1.10a) and of a gradient (1.10b); sqrt(2) makes up
# for both (He et al. 2015). softplus is relu seen from afar and borrows its gain, which is only
# about right at unit scale. tanh and sigmoid keep Glorot & Bengio's (2010) gain of 1, meant for a
# slope of 1 at 0; that of sigmoid is 1/4, so deep stacks of it start out faint. Linear layers end
# an encoder or a decoder, where no layer behind them needs their signal: a smaller start is a
# start nearer to the mean and the prior, and trains better (chapter 1, section 9).
ACTIVATIONS = {
    "identity": Activation(identity, _identity_derivative, _zero, 0.5),
    "relu": Activation(relu, _relu_derivative, _zero, 2**0.5),
    "tanh": Activation(tanh, _tanh_derivative, _tanh_second_derivative, 1.0),
    "sigmoid": Activation(sigmoid, _sigmoid_derivative, _sigmoid_second_derivative, 1.0),
    "softplus": Activation(softplus, _softplus_derivative, _softplus_second_derivative, 2**0.5),
}


def softmax(scores: Array, mask: Array | None = None) -> Array:
    """``e^s / Σ e^s`` over the last axis, a new array; where ``mask`` is False, exactly 0.

    What is masked is taken out before the exponential: so the rest sums to 1 (11.6c).

    Parameters
    ----------
    scores : ndarray, any shape
    mask : ndarray of bool, optional
        Broadcasts against them, and leaves something of each row.

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae.network.activations import softmax
    >>> softmax(np.array([0.0, np.log(3), 1000.0]), np.array([True, True, False])).round(4)
    array([0.25, 0.75, 0.  ])
    """
    if mask is not None:
        scores = np.where(mask, scores, np.array(-np.inf, scores.dtype))
    exps = scores - scores.real.max(axis=-1, keepdims=True)  # nothing overflows
    np.exp(exps, out=exps)
    exps /= exps.sum(axis=-1, keepdims=True)
    return exps
