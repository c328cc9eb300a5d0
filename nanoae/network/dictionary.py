"""The dictionary layer, ``x̂ = D h + b`` with atoms of norm 1."""

from __future__ import annotations

from typing import Any

import numpy as np

from nanoae.arrays import Array
from nanoae.network.dense import Dense


class Dictionary(Dense):
    """A linear layer that uses its weights at norm 1.

    The atoms, columns of D, are ``d_j = w_j / ‖w_j‖`` with ``w_j`` free. So any optimizer may
    move the weights, and yet no step can make an atom longer or shorter.

    Parameters
    ----------
    n_in, n_out : int
        Number of atoms k, and their length in features d.
    bias : bool, default False

    Attributes
    ----------
    weight, grad_weight : ndarray of shape (n_in, n_out)
        The ``w_j``, in rows.
    bias, grad_bias : ndarray of shape (n_out,), or None

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae.network import Dictionary, Parameters
    >>> layer = Dictionary(1, 2)
    >>> parameters = Parameters({"layer": layer})
    >>> layer.weight[...] = [[3.0, 4.0]]
    >>> layer(np.array([[10.0]])).round(4).tolist()  # 10 times the atom (0.6, 0.8)
    [[6.0, 8.0]]
    """

    def __init__(self, n_in: int, n_out: int, *, bias: bool = False) -> None:
        super().__init__(n_in, n_out, bias=bias)

    @property
    def atoms(self) -> Array:
        """``Dᵀ``, of shape (n_in, n_out): the atoms in rows."""
        return self.weight / self._norms

    @property
    def _norms(self) -> Array:
        return np.linalg.norm(self.weight, axis=1, keepdims=True)

    def __call__(self, x: Array) -> Array:
        """Outputs ``(…, n_out)`` for inputs ``(…, n_in)``."""
        x_hat = x @ self.atoms
        return x_hat if self.bias is None else x_hat + self.bias

    def backward(self, grad_y: Array, *, input_gradient: bool = True) -> Any:
        """Turn ∂L/∂y into ∂L/∂W, ∂L/∂b and ∂L/∂x.

        The atoms are a dense layer's weights. A longer ``w_j`` is the same atom, so of ∂L/∂d_j
        only the part across d_j reaches it:
        ``∂L/∂w_j = (∂L/∂d_j − ⟨∂L/∂d_j, d_j⟩ d_j) / ‖w_j‖``.
        """
        atoms = self.atoms
        super().backward(grad_y, input_gradient=False)
        grad_atoms = self.grad_weight
        grad_atoms -= np.sum(grad_atoms * atoms, axis=1, keepdims=True) * atoms
        grad_atoms /= self._norms
        return grad_y @ atoms.T if input_gradient else None
