"""A few steps of ISTA as a layer, its matrices and thresholds learned."""

from __future__ import annotations

from typing import Any

import numpy as np

from nanoae.arrays import Array
from nanoae.network.activations import ACTIVATIONS
from nanoae.network.dense import draw
from nanoae.network.layer import Layer, Shape
from nanoae.proximal import soft_threshold


class LISTA(Layer):
    """``h ← S(W_e x + M h, θ)``, begun at ``h = 0`` and done ``n_steps`` times (4.6a).

    The learned ISTA of Gregor & LeCun (2010), with one W_e, M and θ for all steps; S is the soft
    threshold. A single step is ``h = S(W_e x, θ)``, a layer with S for its activation.

    Parameters
    ----------
    n_in, n_out : int
    n_steps : int, default 1

    Attributes
    ----------
    weight, grad_weight : ndarray of shape (n_in, n_out)
        ``W_eᵀ``.
    recurrent_weight, grad_recurrent_weight : ndarray of shape (n_out, n_out)
        ``Mᵀ``; there is none with a single step.
    log_threshold, grad_log_threshold : ndarray of shape (n_out,)
        ``log θ``, which keeps every θ positive whatever the optimizer does.

    Examples
    --------
    As many steps, as many iterations of ISTA. Here x is the first atom, and its code (0.9, 0):

    >>> import numpy as np
    >>> from nanoae.network import LISTA, Parameters
    >>> for n_steps in (1, 2, 100):
    ...     layer = LISTA(2, 2, n_steps)
    ...     parameters = Parameters({"encoder_": layer})
    ...     layer.start_as_ista(atoms=np.array([[1.0, 0.0], [0.6, 0.8]]), sparsity=0.2)
    ...     print(layer(np.array([[1.0, 0.0]])).round(2).tolist())
    [[0.56, 0.31]]
    [[0.66, 0.22]]
    [[0.9, 0.0]]
    """

    remembers = ("x", "codes")
    x: Array
    codes: list[Array]
    weight: Array
    grad_weight: Array
    recurrent_weight: Array
    grad_recurrent_weight: Array
    log_threshold: Array
    grad_log_threshold: Array

    def __init__(self, n_in: int, n_out: int, n_steps: int = 1) -> None:
        shapes: dict[str, Shape] = {"weight": (n_in, n_out)}
        if n_steps > 1:
            shapes["recurrent_weight"] = (n_out, n_out)
        shapes["log_threshold"] = (n_out,)
        super().__init__((n_in,), (n_out,), shapes=shapes)
        self.n_in, self.n_out, self.n_steps = n_in, n_out, n_steps

    def initialise(self, rng: np.random.Generator) -> None:
        """Draw W_e as a linear layer's; M is 0 and θ is 1, until `start_as_ista`."""
        draw(rng, self.weight, ACTIVATIONS["identity"].gain)
        self.log_threshold.fill(0)
        if self.n_steps > 1:
            self.recurrent_weight.fill(0)

    def start_as_ista(self, atoms: Array, sparsity: float) -> None:
        """Set W_e, M and θ so that the steps are those of ISTA.

        ``W_e = (2/L) Dᵀ`` and ``θ = λ/L`` with ``L = 2 ‖D‖₂²`` (4.6), and
        ``M = I − (2/L) DᵀD`` (4.6a).

        Parameters
        ----------
        atoms : ndarray of shape (n_out, n_in)
            ``Dᵀ``.
        sparsity : float
            λ.
        """
        lipschitz = float(2 * np.linalg.norm(atoms, 2) ** 2)
        self.weight[...] = 2 / lipschitz * atoms.T
        if self.n_steps > 1:
            self.recurrent_weight[...] = np.eye(self.n_out) - 2 / lipschitz * atoms @ atoms.T
        self.log_threshold.fill(np.log(sparsity / lipschitz))

    def __call__(self, x: Array) -> Array:
        """Codes ``(…, n_out)`` for inputs ``(…, n_in)``."""
        return self._codes(x)[-1]

    def forward(self, x: Array, rng: np.random.Generator | None = None) -> Array:
        """The same, keeping ``x`` and the code after every step for `backward`."""
        self.x, self.codes = x, self._codes(x)
        return self.codes[-1]

    def _codes(self, x: Array) -> list[Array]:
        """The code after every step."""
        W_e_x, theta = x @ self.weight, np.exp(self.log_threshold)
        codes = [soft_threshold(W_e_x, theta)]  # from h = 0 (4.6)
        while len(codes) < self.n_steps:
            codes.append(soft_threshold(W_e_x + codes[-1] @ self.recurrent_weight, theta))
        return codes

    def backward(self, grad_y: Array, *, input_gradient: bool = True) -> Any:
        """Turn ∂L/∂h into ∂L/∂W_e, ∂L/∂M, ∂L/∂log θ and ∂L/∂x, from the last step to the first.

        For ``h = S(a, θ)``, ``∂h/∂a = 1`` and ``∂h/∂θ = −sign(a)`` where ``|a| > θ``, and both
        are 0 where ``|a| < θ`` (4.1d). At the kink, ``|a| = θ``, we take 0 as well.
        """
        x, *codes = (a.reshape(-1, a.shape[-1]) for a in (self.x, *self.codes))
        grad_h = grad_y.reshape(-1, self.n_out)
        grad_W_e_x = np.zeros_like(grad_h)
        grad_theta = np.zeros_like(self.log_threshold)
        if self.n_steps > 1:
            self.grad_recurrent_weight.fill(0)
        for step in reversed(range(self.n_steps)):
            grad_a = np.where(codes[step] != 0, grad_h, 0)
            grad_theta -= np.sum(grad_a * np.sign(codes[step]), axis=0)
            grad_W_e_x += grad_a  # W_e x enters at every step
            if step > 0:
                self.grad_recurrent_weight += codes[step - 1].T @ grad_a
                grad_h = grad_a @ self.recurrent_weight.T
        np.matmul(x.T, grad_W_e_x, out=self.grad_weight)
        np.multiply(grad_theta, np.exp(self.log_threshold), out=self.grad_log_threshold)
        return (grad_W_e_x @ self.weight.T).reshape(self.x.shape) if input_gradient else None
