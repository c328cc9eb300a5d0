"""Chapter 9, contraction: in order of difficulty.

Replace each ``raise NotImplementedError``, then run ``python -m derivations.exercises`` in the
folder of the project. Rows are samples where there are several. Sizes such as n and k are others
in every problem, so take them from the arguments.
"""

import numpy as np  # noqa: F401  for your answers

from derivations.exercises import answer


@answer("9.1b")
def second_derivatives(tanh, sigma):
    """f''(a) of tanh and of the sigmoid, a tuple, each from its own output.

    tanh (n, k), sigma (n, k) → tanh'' (n, k), σ'' (n, k)
    """
    raise NotImplementedError


@answer("9.1")
def penalty(h, W):
    """‖J‖² of the layer h = σ(W x + b), a mean over samples; rows of h are codes.

    h (n, k), W (k, d) → Ω, a mean over samples
    """
    raise NotImplementedError


@answer("9.1a")
def penalty_gradients(x, W, slope, curvature):
    """The gradients of ‖J‖² of one sample by a = W x + b and by W, a tuple; `slope` is f'(a),
    `curvature` f''(a).

    x (d,), W (k, d), slope (k,), curvature (k,) → the penalty's gradient by a (k,), by W (k,
    d)
    """
    raise NotImplementedError


@answer("9.3")
def quadratic_form(slope, W, V):
    """‖J‖² of V f(W x), from the slopes f'(W x).

    slope (m,), W (m, d), V (k, m) → ‖J‖²
    """
    raise NotImplementedError


@answer("9.6")
def tied_gains(eigenvalues, k, contraction):
    """The first k eigenvalues of WᵀW at the tied linear optimum; λ_c is `contraction`.

    eigenvalues (d,), k, contraction → the gains of WᵀW (k,)
    """
    raise NotImplementedError


@answer("9.4")
def probed_penalty(probes, jacobian):
    """An estimate of ‖J‖² from m probes u of random signs, the rows of `probes`.

    probes (m, k), jacobian (k, d) → the estimate
    """
    raise NotImplementedError


@answer("9.4a")
def probe_variance(jacobian):
    """The variance of ‖uᵀJ‖² for probes u of random signs.

    jacobian (k, d) → the variance with signs
    """
    raise NotImplementedError


@answer("9.11a")
def small_noise(residual, jacobian, laplacian, scale):
    """E‖r(x + σε) − x‖² to the order of σ²; `residual` is r(x) − x, `laplacian` Δr(x).

    residual (d,), jacobian (d, d), laplacian (d,), scale → E‖r(x + σε) − x‖², to the order
    of σ²
    """
    raise NotImplementedError


@answer("9.7")
def threshold(eigenvalues, m, k, contraction):
    """θ of the optimum with unit columns; m axes are in use, of k units.

    eigenvalues (d,), m, k, contraction → θ
    """
    raise NotImplementedError
