"""Chapter 12, the masked autoencoder: in order of difficulty.

Replace each ``raise NotImplementedError``, then run ``python -m derivations.exercises`` in the
folder of the project. Rows are samples where there are several. Sizes such as n and d are others
in every problem, so take them from the arguments.
"""

import numpy as np  # noqa: F401  for your answers

from derivations.exercises import answer


@answer("12.1b")
def left_of_one(Sigma):
    """What is left of the variance of each feature if it alone is missing, of a Gaussian sample.

    Sigma (d, d) → (d,)
    """
    raise NotImplementedError


@answer("12.1")
def fill_in(Sigma, visible, missing, x_visible):
    """The best linear prediction of the missing features, from the visible ones; all of mean 0.

    Sigma (d, d), visible (v,) and missing (m,) indices, x_visible (v,) → (m,)
    """
    raise NotImplementedError


@answer("12.8")
def masked_gradient(x_hat, x, missing):
    """∂L/∂x̂ of L = (1/n) Σ_i (1/|M_i|) Σ_{j in M_i} ‖x_ij − x̂_ij‖², M_i the missing patches.

    x_hat, x (n, N, p), missing (n, N) of booleans → (n, N, p)
    """
    raise NotImplementedError
