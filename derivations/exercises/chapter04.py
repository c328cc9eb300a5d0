"""Chapter 4, sparsity: in order of difficulty.

Replace each ``raise NotImplementedError``, then run ``python -m derivations.exercises`` in the
folder of the project. Rows are samples where there are several. Sizes such as n and k are others
in every problem, so take them from the arguments.
"""

import numpy as np  # noqa: F401  for your answers

from derivations.exercises import answer


@answer("4.1")
def soft_threshold(v, t):
    """The h that minimises ½ (h − v)² + t |h|, entry by entry.

    v (n, k), t (n, k) → h (n, k)
    """
    raise NotImplementedError


@answer("4.1d")
def threshold_slopes(v, t):
    """∂S/∂v and ∂S/∂t of the soft threshold S(v, t), a tuple.

    v (n, k), t (n, k) → ∂S/∂v (n, k), ∂S/∂t (n, k)
    """
    raise NotImplementedError


@answer("4.3")
def correlations(x, D, h):
    """Minus the gradient of ‖x − D h‖² by h: what is compared with λ to see if h is optimal.

    x (d,), D (d, k), h (k,) → the correlations (k,)
    """
    raise NotImplementedError


@answer("4.3a")
def largest_useful_sparsity(x, D):
    """The λ from which on the code of x is zero.

    x (d,), D (d, k) → λ_max
    """
    raise NotImplementedError


@answer("4.2")
def orthonormal_code(X, D, sparsity):
    """The sparse codes of the rows of X for a dictionary with orthonormal columns; λ is
    `sparsity`.

    X (n, d), D (d, k), sparsity → h (n, k)
    """
    raise NotImplementedError


@answer("4.6")
def first_step(x, D, sparsity):
    """One ISTA step from h = 0 for ‖x − D h‖² + λ ‖h‖₁, with the step 1/L, L = 2 ‖D‖².

    x (d,), D (d, k), sparsity → h₁ (k,)
    """
    raise NotImplementedError


@answer("4.6a")
def ista_step(x, D, h, sparsity):
    """One ISTA step from h, with the same step.

    x (d,), D (d, k), h (k,), sparsity → h_{i+1} (k,)
    """
    raise NotImplementedError


@answer("4.4b")
def fista_momentum(h, h_old, t):
    """t' and the point y from which FISTA's next step starts, a tuple; h is the newest code, h_old
    the one before.

    h (k,), h_old (k,), t → t', y (k,)
    """
    raise NotImplementedError


@answer("4.4c")
def duality_gap(x, D, h, sparsity):
    """The duality gap of the code h: a bound of how far its objective is from the least.

    x (d,), D (d, k), h (k,), sparsity → the gap
    """
    raise NotImplementedError


@answer("4.8")
def kl_sparsity(h, rho):
    """Σ_j KL(ρ ‖ ρ̂_j) of activations h in (0, 1); ρ̂_j is unit j's mean over the rows.

    h (n, k), rho → K
    """
    raise NotImplementedError


@answer("4.8a")
def kl_sparsity_gradient(h, rho):
    """Its gradient by h.

    h (n, k), rho → ∂K/∂h (n, k)
    """
    raise NotImplementedError
