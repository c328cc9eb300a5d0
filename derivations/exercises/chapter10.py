"""Chapter 10, convolution: in order of difficulty.

Replace each ``raise NotImplementedError``, then run ``python -m derivations.exercises`` in the
folder of the project. Rows are samples where there are several. Sizes such as n and k are others
in every problem, so take them from the arguments.
"""

import numpy as np  # noqa: F401  for your answers

from derivations.exercises import answer


@answer("10.1a")
def n_windows(N, k, s, p):
    """How many windows of width k fit, with stride s, and p zeros at both ends of N values.

    N, k, s, p → m
    """
    raise NotImplementedError


@answer("10.1")
def convolve(x, w, stride):
    """y[i] = Σ_a w[a] x[is + a] on one axis, one channel, no padding.

    x (N,), w (k,), stride → y (…,)
    """
    raise NotImplementedError


@answer("10.8a")
def average_pool_backward(g, k):
    """∂L/∂x of average pooling over windows of k side by side.

    g (m,), k → ∂L/∂x (m k,)
    """
    raise NotImplementedError


@answer("10.8")
def max_pool_backward(x, g, k):
    """∂L/∂x of max pooling over windows of k side by side; of equal values the first wins.

    x (m k,), g (m,), k → ∂L/∂x (m k,)
    """
    raise NotImplementedError


@answer("10.1b")
def kernel_gradient(x, w, g, stride):
    """∂L/∂w of the convolution, given g = ∂L/∂y.

    x (N,), w (k,), g (…,), stride → ∂L/∂w (k,)
    """
    raise NotImplementedError


@answer("10.1c")
def input_gradient(x, w, g, stride):
    """∂L/∂x of the convolution, given g = ∂L/∂y; windows may overlap.

    x (N,), w (k,), g (…,), stride → ∂L/∂x (N,)
    """
    raise NotImplementedError


@answer("10.5")
def overlaps(k, s):
    """How many windows see the places j = 0, …, s − 1 far from the borders.

    k, s → n_j for j = 0, …, s − 1 (s,)
    """
    raise NotImplementedError


@answer("10.7")
def receptive_field(kernels, strides):
    """The receptive field of a stack of layers, first layer first.

    kernels (layers,), strides (layers,) → r
    """
    raise NotImplementedError
