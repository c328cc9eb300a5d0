"""Chapter 11, sequences: in order of difficulty.

Replace each ``raise NotImplementedError``, then run ``python -m derivations.exercises`` in the
folder of the project. Rows are samples where there are several. Sizes such as n and k are others
in every problem, so take them from the arguments.
"""

import numpy as np  # noqa: F401  for your answers

from derivations.exercises import answer


@answer("11.4")
def token_loss(logits, x):
    """−log softmax(a)[x] of each token; logits may be of the order of 1000.

    logits (n, V), x (n,) → ℓ of each token (n,)
    """
    raise NotImplementedError


@answer("11.4a")
def token_gradient(logits, x):
    """Its gradient by the logits of the same token.

    logits (n, V), x (n,) → ∂ℓ/∂a (n, V)
    """
    raise NotImplementedError


@answer("11.3b")
def padded_loss(losses, lengths):
    """The loss of padded sequences from the loss of every step; steps from `lengths` on are not
    there.

    losses (n, T), lengths (n,) → L
    """
    raise NotImplementedError


@answer("11.3c")
def padded_noise_variance(errors, lengths, n_features):
    """The best noise variance of padded sequences, given ‖x − x̂‖² of every step (`errors`) of
    `n_features` values.

    errors (n, T), lengths (n,), n_features → the best σ²
    """
    raise NotImplementedError


@answer("11.1a")
def shared_gradients(delta, x, h):
    """∂L/∂W, ∂L/∂U and ∂L/∂b, a tuple, of h_t = f(W x_t + U h_{t−1} + b), h_0 = 0, from δ; rows
    are steps.

    delta (T, k), x (T, d), h (T, k) → ∂L/∂W (k, d), ∂L/∂U (k, k), ∂L/∂b (k,)
    """
    raise NotImplementedError


@answer("11.1")
def through_time(h, U, G):
    """δ_t of every step of a tanh network, given its states h and the gradients G from outside.

    h (T, k), U (k, k), G (T, k) → δ (T, k)
    """
    raise NotImplementedError


@answer("11.2")
def gate_gradients(g, h_before, z, c):
    """δ^c and δ^z, a tuple, of h = z ⊙ h_before + (1 − z) ⊙ c with c = tanh(a^c), z = σ(a^z),
    given g = ∂L/∂h.

    g (n, k), h_before (n, k), z (n, k), c (n, k) → δ^c (n, k), δ^z (n, k)
    """
    raise NotImplementedError


@answer("11.6c")
def masked_softmax(S, mask):
    """Softmax over the last axis of the scores that `mask` lets through.

    S (n, m), mask (n, m) → P (n, m)
    """
    raise NotImplementedError


@answer("11.6")
def score_gradient(P, P_bar):
    """∂L/∂S of P = softmax(S), row by row, given P̄ = ∂L/∂P.

    P (n, m), P_bar (n, m) → S̄ (n, m)
    """
    raise NotImplementedError


@answer("11.6a")
def query_and_key_gradients(S_bar, Q, K):
    """∂L/∂Q and ∂L/∂K, a tuple, of S = Q Kᵀ/√d, given S̄ = ∂L/∂S.

    S_bar (n, m), Q (n, d), K (m, d) → Q̄ (n, d), K̄ (m, d)
    """
    raise NotImplementedError


@answer("11.8")
def layer_norm_gradient(x, q):
    """∂L/∂x of x̂ = (x − mean)/s, row by row, ε = 0, given q = ∂L/∂x̂.

    x (n, d), q (n, d) → ∂L/∂x (n, d)
    """
    raise NotImplementedError
