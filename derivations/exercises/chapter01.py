"""Chapter 1, backprop: in order of difficulty.

Replace each ``raise NotImplementedError``, then run ``python -m derivations.exercises`` in the
folder of the project. Rows are samples where there are several. Sizes such as n and k are others
in every problem, so take them from the arguments.
"""

import numpy as np  # noqa: F401  for your answers

from derivations.exercises import answer


@answer("1.1b")
def bias_gradient(G):
    """∂L/∂b of y = x W + b, given G = ∂L/∂y.

    G (n, q) → ∂L/∂b (q,)
    """
    raise NotImplementedError


@answer("1.1a")
def weight_gradient(x, G):
    """∂L/∂W of y = x W + b, given G = ∂L/∂y. (W is square: shapes will not help.)

    x (n, p), G (n, p) → ∂L/∂W (p, p)
    """
    raise NotImplementedError


@answer("1.1c")
def input_gradient(W, G):
    """∂L/∂x of y = x W + b, given W and G = ∂L/∂y. (W is square.)

    W (p, p), G (n, p) → ∂L/∂x (n, p)
    """
    raise NotImplementedError


@answer("1.3")
def squared_error_gradient(x_hat, x):
    """∂L/∂x̂ of L = (1/n) Σ ‖x − x̂‖².

    x_hat (n, d), x (n, d) → ∂L/∂x̂ (n, d)
    """
    raise NotImplementedError


@answer("1.2a")
def tanh_derivative(y):
    """f'(a) of f = tanh, from the output y = f(a).

    y (n, q) → f'(a) (n, q)
    """
    raise NotImplementedError


@answer("1.2b")
def sigmoid_derivative(y):
    """f'(a) of the sigmoid, from the output y = f(a).

    y (n, q) → f'(a) (n, q)
    """
    raise NotImplementedError


@answer("1.2c")
def relu_derivative(y):
    """f'(a) of relu, from the output y = f(a).

    y (n, q) → f'(a) (n, q)
    """
    raise NotImplementedError


@answer("1.2d")
def softplus_derivative(y):
    """f'(a) of softplus, from the output y = f(a) = log(1 + e^a).

    y (n, q) → f'(a) (n, q)
    """
    raise NotImplementedError


@answer("1.9")
def decay_gradients(W, b, decay):
    """The gradients, by W and by b, of the weight decay λ ‖W‖², as a tuple. λ is `decay`.

    W (p, q), b (q,), decay → the penalty's ∂/∂W (p, q), the penalty's ∂/∂b (q,)
    """
    raise NotImplementedError


@answer("1.4b")
def bernoulli_gradient(a, x):
    """∂L/∂a of L = (1/n) Σ [−x log σ(a) − (1 − x) log(1 − σ(a))], the cross-entropy.

    Σ is over samples and features; a are logits, x the data in [0, 1].

    a (n, d), x (n, d) → ∂L/∂a (n, d)
    """
    raise NotImplementedError


@answer("1.2e")
def backward(x, W1, W2, G):
    """∂L/∂W₁ and ∂L/∂W₂, a tuple, of y = tanh(x W₁) W₂, given G = ∂L/∂y.

    x (n, d), W1 (d, k), W2 (k, d), G (n, d) → ∂L/∂W₁ (d, k), ∂L/∂W₂ (k, d)
    """
    raise NotImplementedError


@answer("1.4a")
def bernoulli_loss(a, x):
    """−x log σ(a) − (1 − x) log(1 − σ(a)), entry by entry, for logits of up to ±1000.

    a (n, d), x (n, d) → the loss of each pixel (n, d)
    """
    raise NotImplementedError


@answer("1.5c")
def combined_difference(f_minus2, f_minus1, f_plus1, f_plus2, h):
    """f'(x) from f at x − 2h, x − h, x + h and x + 2h, with an error of the order of h⁴.

    f_minus2 (n,), f_minus1 (n,), f_plus1 (n,), f_plus2 (n,), h → C_h (n,)
    """
    raise NotImplementedError


@answer("1.12")
def momentum_step(theta, velocity, g, learning_rate, momentum):
    """One step of gradient descent with momentum: the new velocity and the new θ, a tuple.

    theta (n,), velocity (n,), g (n,), learning_rate, momentum → the new v (n,), the new θ
    (n,)
    """
    raise NotImplementedError


@answer("1.14")
def adam_step(m, v, g, t, learning_rate, beta_1, beta_2, epsilon):
    """Step number t of Adam (counted from 1): m and v after it, and what is added to θ, a tuple.

    m (n,), v (n,), g (n,), t, learning_rate, beta_1, beta_2, epsilon → the new m (n,), the
    new v (n,), the step (n,)
    """
    raise NotImplementedError


@answer("1.10c")
def initial_limit(n_in, n_out, gain):
    """The limit c of the weights uniform on ±c that we start from; `gain` is the activation's.

    n_in, n_out, gain → the limit of the uniform distribution
    """
    raise NotImplementedError
