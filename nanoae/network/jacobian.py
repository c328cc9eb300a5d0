"""Jacobians of networks, and their squared norm as a penalty, with its gradient by hand."""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

import numpy as np

from nanoae.arrays import Array, rows_times, weighted
from nanoae.network.dense import Dense
from nanoae.network.dropout import Dropout
from nanoae.network.layer import Layer
from nanoae.network.mlp import Sequential


def jacobian(network: Layer, x: Array, n_outputs: int | None = None) -> Array:
    """``∂y/∂x`` of every row, for any network: row j is what backprop makes of ∂L/∂y = e_j (9.2).

    A backward pass writes gradients, so all this happens in a copy of the network, and one that
    drops nothing.

    Parameters
    ----------
    network : Layer
        From rows ``(n, d)`` to rows ``(n, k)``, each of which depends on its own alone.
    x : ndarray of shape (n, d)
    n_outputs : int, optional
        How many outputs, from the first on; by default all.

    Returns
    -------
    ndarray of shape (n, n_outputs, d)

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae.network import MLP, Parameters
    >>> from nanoae.network.jacobian import jacobian
    >>> network = MLP((2, 1), last="tanh")
    >>> parameters = Parameters({"network": network})
    >>> network.layers[0].weight[...] = [[3.0], [4.0]]
    >>> jacobian(network, np.array([[0.0, 0.0], [100.0, 0.0]])).tolist()  # tanh' is 1, and 0
    [[[3.0, 4.0]], [[0.0, 0.0]]]
    """
    network = copy.deepcopy(network)
    _drop_nothing(network)
    y = network.forward(x)
    rows = []
    for j in range(y.shape[1] if n_outputs is None else n_outputs):
        e_j = np.zeros_like(y)
        e_j[:, j] = 1
        rows.append(network.backward(e_j))
    return np.stack(rows, axis=1)


def _drop_nothing(layer: Layer) -> None:
    if isinstance(layer, Dropout):
        layer.probability = 0.0
    for part in layer.parts.values():
        _drop_nothing(part)


class Share(NamedTuple):
    """What a penalty on the Jacobian asks of one layer: its gradient, all other things held still.

    Attributes
    ----------
    grad_weight : ndarray of shape (n_in, n_out)
        By the weights, the slopes ``f'(a)`` held still.
    grad_a : ndarray of shape (n, n_out)
        By ``a``, of which the slopes are functions: here enters ``f''``.

    Examples
    --------
    Where f is linear, the slopes are the same everywhere, and nothing is asked of ``a``:

    >>> import numpy as np
    >>> from nanoae.network import MLP, Parameters
    >>> from nanoae.network.jacobian import squared_jacobian
    >>> encoder = MLP((2, 1))
    >>> parameters = Parameters({"encoder_": encoder})
    >>> encoder.layers[0].weight[...] = [[3.0], [4.0]]
    >>> h = encoder.forward(np.ones((5, 2)))
    >>> omega, (share,) = squared_jacobian(encoder)
    >>> float(omega), share.grad_weight.tolist(), float(abs(share.grad_a).max())
    (25.0, [[6.0], [8.0]], 0.0)
    """

    grad_weight: Array
    grad_a: Array


def check_dense(name: str, network: Layer) -> None:
    """Raise unless the norm of this network's Jacobian has a gradient here.

    Parameters
    ----------
    name : str
        What to call it in the message.
    network : Layer

    Raises
    ------
    ValueError
        It is not made of dense layers alone.

    Examples
    --------
    >>> from nanoae.network import LISTA, MLP, Sequential
    >>> from nanoae.network.jacobian import check_dense
    >>> check_dense("encoder", MLP((3, 4, 2)))
    >>> check_dense("encoder", Sequential([LISTA(3, 2)]))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ValueError: the encoder must be a Sequential of Dense layers, ... here; got LISTA.
    """
    layers = network.layers if isinstance(network, Sequential) else [network]
    other = [type(layer).__name__ for layer in layers if not _is_dense(layer)]
    if other or not isinstance(network, Sequential):
        raise ValueError(
            f"the {name} must be a Sequential of Dense layers, for of those alone the norm of "
            f"the Jacobian has a gradient here; got {', '.join(other or ['Dense'])}."
        )


def _is_dense(layer: Layer) -> bool:
    """A dense layer, or one of a class of one's own that computes no differently."""
    kind = type(layer)
    return isinstance(layer, Dense) and (
        (kind.__call__, kind.forward, kind.backward)
        == (Dense.__call__, Dense.forward, Dense.backward)
    )


def squared_jacobian(
    encoder: Sequential, weights: Array | None = None, probes: Array | None = None
) -> tuple[float, list[Share]]:
    """``Ω = (1/n) Σ ‖∂h/∂x‖²`` at the rows of the last forward, and what it asks of each layer.

    One layer, alone or with a linear one above it, has a closed form (9.1), (9.3), next to which
    a forward pass is dear. All else goes by the k rows of the Jacobian (9.2), or by probes.

    Parameters
    ----------
    encoder : Sequential of Dense
    weights : ndarray of shape (n,), optional
        Of the mean 1 over all samples of the training.
    probes : ndarray of shape (n, m, k), optional
        Directions u of the code with ``E u uᵀ = I``. Then Ω is the mean of ``‖uᵀ ∂h/∂x‖²`` over
        them, which is right on average (9.4).

    Returns
    -------
    omega : float
    shares : list of Share
        One a layer, for `backward`.

    Examples
    --------
    The norm of the Jacobian, which is never written down:

    >>> import numpy as np
    >>> from nanoae.network import MLP, Parameters
    >>> from nanoae.network.jacobian import jacobian, squared_jacobian
    >>> encoder, rng = MLP((6, 5, 4, 2), "tanh"), np.random.default_rng(0)
    >>> parameters = Parameters({"encoder_": encoder})
    >>> encoder.initialise(rng)
    >>> X = rng.standard_normal((7, 6))
    >>> h = encoder.forward(X)
    >>> omega, shares = squared_jacobian(encoder)
    >>> bool(np.isclose(omega, (jacobian(encoder, X) ** 2).sum() / 7))
    True
    """
    layers: list[Any] = encoder.layers
    n, k = layers[-1].y.shape
    if probes is None and len(layers) == 1:
        return _of_one_layer(layers[0], weights)
    if probes is None and len(layers) == 2 and layers[1].is_linear:
        return _below_a_linear_layer(layers[0], layers[1], weights)
    rows = np.eye(k)[None] if probes is None else probes / probes.shape[1] ** 0.5
    share_of_sample = np.full(n, 1 / n) if weights is None else weights / n
    dtype = layers[-1].y.dtype
    return _by_rows(layers, (rows * np.sqrt(share_of_sample)[:, None, None]).astype(dtype))


def _of_one_layer(layer: Dense, weights: Array | None) -> tuple[float, list[Share]]:
    """(9.1): unit j adds its slope squared times its weights squared."""
    slope, n = layer.slope, len(layer.y)
    norms = np.sum(layer.weight**2, axis=0)  # ‖w_j‖²
    mean_square = weighted(slope**2, weights).sum(axis=0) / n
    grad_a = weighted(2 / n * slope * norms, weights) * layer.curvature  # (9.1a)
    return mean_square @ norms, [Share(2 * layer.weight * mean_square, grad_a)]


def _below_a_linear_layer(
    layer: Dense, above: Dense, weights: Array | None
) -> tuple[float, list[Share]]:
    """(9.3): a quadratic form in the slopes, by one matrix for all samples."""
    slope, n = layer.slope, len(layer.y)
    below_products = layer.weight.T @ layer.weight  # ⟨w_a, w_b⟩ of units a and b, towards x
    above_products = above.weight @ above.weight.T  # ⟨v_a, v_b⟩, towards h
    products = slope @ (below_products * above_products)
    omega = np.sum(weighted(products * slope, weights)) / n
    mean_square = slope.T @ weighted(slope, weights) / n
    grad_a = weighted(2 / n * products, weights) * layer.curvature
    return omega, [
        Share(2 * layer.weight @ (mean_square * above_products), grad_a),
        Share(2 * (mean_square * below_products) @ above.weight, np.zeros_like(above.y)),
    ]


def _by_rows(layers: list[Dense], rows: Array) -> tuple[float, list[Share]]:
    """(9.2) and its gradient: rows of Jacobians down (n, m, ·), and their gradients up (9.2a).

    The last product, by the widest matrix, is left out: of ``A W`` the norm alone is wanted, and
    that is ``⟨A, A W Wᵀ⟩``.
    """
    first, *upper = layers
    kept = []
    for layer in reversed(upper):
        sloped = rows * layer.slope[:, None]
        kept.append((layer, rows, sloped))
        rows = rows_times(sloped, layer.weight.T)
    sloped = rows * first.slope[:, None]
    products = rows_times(sloped, first.weight.T @ first.weight)
    omega = np.sum(products * sloped)

    grad_sloped, flat = 2 * products, sloped.reshape(-1, first.n_out)
    grad_weight = 2 * first.weight @ (flat.T @ flat)
    shares = [Share(grad_weight, np.einsum("nma,nma->na", grad_sloped, rows) * first.curvature)]
    grad_rows = grad_sloped * first.slope[:, None]
    for layer, rows, sloped in reversed(kept):
        grad_weight = np.tensordot(grad_rows, sloped, axes=((0, 1), (0, 1)))
        grad_sloped = rows_times(grad_rows, layer.weight)
        shares.append(
            Share(grad_weight, np.einsum("nma,nma->na", grad_sloped, rows) * layer.curvature)
        )
        grad_rows = grad_sloped * layer.slope[:, None]
    return omega, shares


def backward(encoder: Sequential, grad_h: Array, shares: list[Share], strength: float) -> None:
    """The encoder's backward pass, with what the penalty asks of each layer added in (9.2b).

    Parameters
    ----------
    encoder : Sequential of Dense
    grad_h : ndarray of shape (n, k)
        Of the rest of the loss, by the code.
    shares : list of Share
        Of Ω.
    strength : float
        Ω's factor in the loss.

    Examples
    --------
    The penalty alone, at a point where its slope is known, 2 W:

    >>> import numpy as np
    >>> from nanoae.network import MLP, Parameters
    >>> from nanoae.network.jacobian import backward, squared_jacobian
    >>> encoder = MLP((2, 1))
    >>> parameters = Parameters({"encoder_": encoder})
    >>> encoder.layers[0].weight[...] = [[3.0], [4.0]]
    >>> h = encoder.forward(np.ones((5, 2)))
    >>> omega, shares = squared_jacobian(encoder)
    >>> backward(encoder, np.zeros((5, 1)), shares, strength=10.0)
    >>> parameters.gradient.tolist()
    [60.0, 80.0, 0.0]
    """
    layers: list[Any] = encoder.layers
    for layer, share in zip(reversed(layers), reversed(shares), strict=True):
        grad_a = grad_h * layer.slope + strength * share.grad_a
        grad_h = layer.backward_affine(grad_a, input_gradient=layer is not layers[0])
        layer.grad_weight += strength * share.grad_weight
