"""Chapter 8, dropout: in order of difficulty.

Replace each ``raise NotImplementedError``, then run ``python -m derivations.exercises`` in the
folder of the project. Rows are samples where there are several. Sizes such as n and k are others
in every problem, so take them from the arguments.
"""

import numpy as np  # noqa: F401  for your answers

from derivations.exercises import answer


@answer("8.5")
def dropout(h, mask, G, p):
    """A layer of dropout in training: its output and ∂L/∂h, a tuple; δ is `mask` (0 or 1), p
    drops, G = ∂L/∂y.

    h (n, k), mask (n, k), G (n, k), p → y (n, k), ∂L/∂h (n, k)
    """
    raise NotImplementedError


@answer("8.1")
def expected_loss(X, H, W_d, p):
    """The mean over all masks of (1/n) Σ ‖x − W_d (δ ⊙ h)/q‖²; rows of H are codes h.

    X (n, d), H (n, k), W_d (d, k), p → the mean loss
    """
    raise NotImplementedError


@answer("8.1a")
def expected_gradients(H, W_d, p):
    """What dropout adds to the gradients of that loss by W_d (a mean over samples), and by the h
    of each sample (not divided by n), a tuple.

    H (n, k), W_d (d, k), p → the penalty's ∂/∂W_d (d, k), the penalty's ∂/∂h of each sample
    (n, k)
    """
    raise NotImplementedError


@answer("8.3")
def cost_of_removal(H, W_d, p):
    """What it costs, in use, to remove each unit, once training with dropout has made W_d
    stationary.

    H (n, k), W_d (d, k), p → the cost of removing each unit (k,)
    """
    raise NotImplementedError


@answer("8.2b")
def gains(eigenvalues, m, k, nu):
    """gᵢ of the m axes in use, at the optimum with k units; ν is `nu`.

    eigenvalues (d,), m, k, nu → gᵢ of the axes in use (m,)
    """
    raise NotImplementedError


@answer("8.2a")
def least_loss(eigenvalues, m, k, nu):
    """The least loss.

    eigenvalues (d,), m, k, nu → the least loss
    """
    raise NotImplementedError


@answer("8.6a")
def noise_level(eigenvalues, gains):
    """The noise variance from which on the dropout map beats PCA's; `gains` are those of the first
    axes.

    eigenvalues (d,), gains (k,) → b*
    """
    raise NotImplementedError
