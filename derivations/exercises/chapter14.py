"""Chapter 14, in use: in order of difficulty.

Replace each ``raise NotImplementedError``, then run ``python -m derivations.exercises`` in the
folder of the project. Rows are samples where there are several. Sizes such as n and k are others
in every problem, so take them from the arguments.
"""

import numpy as np  # noqa: F401  for your answers

from derivations.exercises import answer


@answer("14.2")
def moments_of_the_error(w, mu):
    """Mean and variance of Σ e_j², a tuple, for independent e_j ~ N(μ_j, w_j).

    w (d,), mu (d,) → E‖e‖², Var‖e‖²
    """
    raise NotImplementedError


@answer("14.3b")
def threshold(scores, alpha):
    """The threshold of a false-alarm rate of at most α, one of the scores of n samples that were
    not trained on.

    scores (n,), alpha → t
    """
    raise NotImplementedError


@answer("14.4")
def twice_the_surprise(h, error, eigenvalues, noise_variance, n_features):
    """−2 log p(x) under probabilistic PCA: `error` is ‖e‖² across the subspace, h the coordinates
    in it, λ the eigenvalues of the k kept axes.

    h (k,), error, eigenvalues (k,), noise_variance, n_features → −2 log p(x)
    """
    raise NotImplementedError
