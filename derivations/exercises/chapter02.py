"""Chapter 2, the linear autoencoder: in order of difficulty.

Replace each ``raise NotImplementedError``, then run ``python -m derivations.exercises`` in the
folder of the project. Rows are samples where there are several. Sizes such as n and k are others
in every problem, so take them from the arguments.
"""

import numpy as np  # noqa: F401  for your answers

from derivations.exercises import answer


@answer("2.1a")
def decoder_gradient(Sigma, W_e, W_d):
    """∂L/∂W_d of L = (1/n) Σ ‖x − W_d W_e x‖², from Σ (XᵀX/n) alone.

    Sigma (d, d), W_e (k, d), W_d (d, k) → ∂L/∂W_d (d, k)
    """
    raise NotImplementedError


@answer("2.1b")
def encoder_gradient(Sigma, W_e, W_d):
    """∂L/∂W_e of the same loss.

    Sigma (d, d), W_e (k, d), W_d (d, k) → ∂L/∂W_e (k, d)
    """
    raise NotImplementedError


@answer("2.1")
def loss(Sigma, W_e, W_d):
    """The same loss, a number, from Σ alone.

    Sigma (d, d), W_e (k, d), W_d (d, k) → L
    """
    raise NotImplementedError


@answer("2.2")
def encoder_at_a_critical_point(W_d):
    """W_e at a critical point with this W_d, of full rank; Σ is invertible.

    W_d (d, k) → W_e (k, d)
    """
    raise NotImplementedError


@answer("2.3")
def least_loss(X, k):
    """The least loss of a linear autoencoder of width k on the rows of X. It centres the data.

    X (n, d), k → the least loss
    """
    raise NotImplementedError


@answer("2.7")
def decoder_sweep(Sigma, W_e):
    """The W_d that is best for this W_e: half a sweep of alternating least squares.

    Sigma (d, d), W_e (k, d) → the new W_d (d, k)
    """
    raise NotImplementedError


@answer("2.9a")
def decayed_singular_values(eigenvalues, k, decay):
    """The first k singular values of either matrix at the optimum with weight decay λ_w (`decay`);
    `eigenvalues` are Σ's, in falling order.

    eigenvalues (d,), k, decay → sᵢ (k,)
    """
    raise NotImplementedError


@answer("2.9c")
def least_decayed_loss(eigenvalues, k, decay):
    """The least loss with weight decay λ_w (`decay`), penalty included.

    eigenvalues (d,), k, decay → the least penalised loss
    """
    raise NotImplementedError
