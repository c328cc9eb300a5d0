"""Chapter 3, tied weights: in order of difficulty.

Replace each ``raise NotImplementedError``, then run ``python -m derivations.exercises`` in the
folder of the project. Rows are samples where there are several. Sizes such as n and k are others
in every problem, so take them from the arguments.
"""

import numpy as np  # noqa: F401  for your answers

from derivations.exercises import answer


@answer("3.1b")
def encoder_share(W, Sigma):
    """G_e: the gradient of the tied loss by W in its use as the encoder, W_d = Wᵀ held still.

    W (k, d), Sigma (d, d) → G_e (k, d)
    """
    raise NotImplementedError


@answer("3.1c")
def decoder_share(W, Sigma):
    """G_d: the gradient by W in its use as the decoder, in the shape of W.

    W (k, d), Sigma (d, d) → G_d (k, d)
    """
    raise NotImplementedError


@answer("3.1")
def tied_gradient(W, Sigma):
    """∂L/∂W of L = (1/n) Σ ‖x − Wᵀ W x‖².

    W (k, d), Sigma (d, d) → ∂L/∂W (k, d)
    """
    raise NotImplementedError


@answer("3.3")
def strength_flow(s, eigenvalues):
    """ds/dt of the strengths s of modes under gradient flow, with aligned weights.

    s (k,), eigenvalues (k,) → ds/dt (k,)
    """
    raise NotImplementedError


@answer("3.3b")
def half_time(s0, eigenvalues):
    """When each mode is half learned, given its strength s0 at the start.

    s0 (k,), eigenvalues (k,) → t_i (k,)
    """
    raise NotImplementedError


@answer("3.3a")
def strength(s0, eigenvalues, t):
    """The strengths at time t, given those at the start.

    s0 (k,), eigenvalues (k,), t → s(t) (k,)
    """
    raise NotImplementedError


@answer("3.3c")
def aligned_loss(s, eigenvalues):
    """The loss when the first modes have the strengths s, and the other eigenvalues are not
    learned at all.

    s (k,), eigenvalues (d,) → L
    """
    raise NotImplementedError
