"""Chapter 13: two players, held against the closed forms of their game."""

from __future__ import annotations

import copy
import math
import warnings

import numpy as np
import pytest
from effort import scaled
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import trapezoid
from scipy.optimize import minimize
from scipy.special import expit
from scipy.stats import norm
from theory_report import verify

from nanoae import (
    AdversarialAutoencoder,
    Autoencoder,
    ConvergenceWarning,
    NotFittedError,
    datasets,
    load,
    theory,
)
from nanoae.losses import (
    discriminator_loss,
    mmd_to_normal,
    non_saturating_loss,
    saturating_loss,
)
from nanoae.network import ACTIVATIONS, Parameters
from nanoae.network.discriminator import Discriminator
from nanoae.optimizers import SGD, Adam
from nanoae.theory.adversarial import gauss_hermite

seeds = st.integers(0, 2**32 - 1)

EXACT = 1e-12  # algebra, some hundreds of roundings
COMPLEX = 1e-12  # the complex step (1.6)
QUADRATURE = 1e-8  # Gauss–Hermite with 80 nodes of log(1 + e^a), a of degree 2
Z_BOUND = 5.0  # two-sided z-tests: a false alarm once in 1.7 million draws


def complex_step(f, x, h=1e-30):
    """Gradient of ``f`` at a real array by (1.6)."""
    z, gradient = x.astype(complex), np.empty(x.shape)
    for place in np.ndindex(x.shape):
        z[place] += 1j * h
        gradient[place] = f(z).imag / h
        z[place] = x[place]
    return gradient


def relative_error(found, right):
    return np.abs(found - right).max() / max(np.abs(right).max(), 1e-3)


def softplus(a):
    """By its definition, which a complex step can pass."""
    return np.log(1 + np.exp(a))


def discriminator(sizes, k, rng, dtype=np.float64):
    network = Discriminator(k, sizes)
    parameters = Parameters({"discriminator_": network}, dtype)
    parameters.values[...] = rng.standard_normal(parameters.values.shape)
    return network, parameters


def gaussian(rng, k):
    """A mean and a Cholesky factor, not far from N(0, I)."""
    return rng.normal(0, 0.5, k), np.eye(k) + 0.2 * np.tril(rng.standard_normal((k, k)))


# --- 13.1 The game and its gradients ---------------------------------------------------------


@pytest.mark.equation("13.1")
@pytest.mark.equation("13.1a")
@pytest.mark.equation("13.1b")
@pytest.mark.equation("13.1c")
@given(seed=seeds, n=st.integers(1, 6), m=st.integers(1, 6), weigh=st.booleans())
@settings(max_examples=40)
def test_gradients_by_the_logits(seed, n, m, weigh):
    rng = np.random.default_rng(seed)
    a_prior, a_codes = 3 * rng.standard_normal(m), 3 * rng.standard_normal(n)
    weights = rng.exponential(size=n) if weigh else None
    w = np.ones(n) if weights is None else weights
    loss, grad_prior, grad_codes = discriminator_loss(a_prior, a_codes, weights)

    def paid(a_prior, a_codes):
        return np.mean(softplus(-a_prior)) + np.mean(w * softplus(a_codes))

    assert loss == pytest.approx(paid(a_prior, a_codes), rel=1e-13)
    right = complex_step(lambda a: paid(a, a_codes), a_prior)
    verify("13.1", relative_error(grad_prior, right), COMPLEX)
    right = complex_step(lambda a: paid(a_prior, a), a_codes)
    verify("13.1", relative_error(grad_codes, right), COMPLEX)

    saturating, grad_s = saturating_loss(a_codes, weights)
    right = complex_step(lambda a: -np.mean(w * softplus(a)), a_codes)
    verify("13.1a", relative_error(grad_s, right), COMPLEX)
    non_saturating, grad_ns = non_saturating_loss(a_codes, weights)
    right = complex_step(lambda a: np.mean(w * softplus(-a)), a_codes)
    verify("13.1b", relative_error(grad_ns, right), COMPLEX)

    total = -np.mean(w * a_codes)
    error = abs(saturating + non_saturating - total) / (abs(saturating) + abs(non_saturating))
    verify("13.1c", error, 1e-14)  # a few roundings of the larger
    verify("13.1c", np.abs(grad_s + grad_ns + w / n).max() / w.max(), 1e-15)


@pytest.mark.parametrize("a", [-800.0, 800.0])
def test_no_logit_overflows(a):
    a = np.array([a])
    loss, *_ = discriminator_loss(a, a)
    assert loss == 800.0
    assert non_saturating_loss(a)[0] == max(-a[0], 0) and saturating_loss(a)[0] == -max(a[0], 0)


def slopes_of(network, z):
    """∇_z a of each row, by the complex step."""
    slopes = np.empty_like(z)
    for r, row in enumerate(z):
        slopes[r] = complex_step(lambda x: network(x[None])[0, 0], row)
    return slopes


@pytest.mark.equation("13.1d")
@pytest.mark.equation("13.1e")
@given(seed=seeds, sizes=st.sampled_from([(), (4,), (5, 3), "quadratic"]), k=st.integers(1, 3))
@settings(max_examples=30)
def test_gradient_of_a_penalty_on_slopes(seed, sizes, k):
    rng = np.random.default_rng(seed)
    network, parameters = discriminator(sizes, k, rng)
    n = 5
    z, grad_a = rng.standard_normal((n, k)), rng.standard_normal(n)
    gamma = rng.exponential(size=n) * (rng.random(n) < 0.7)
    logits, slopes = network.logits_and_slopes(z)
    assert np.array_equal(logits, network(z)[:, 0])
    assert relative_error(slopes, slopes_of(network, z)) <= COMPLEX
    network.backward_with_slopes(z, slopes, grad_a, gamma)
    gradient = parameters.gradient.copy()

    complex_network, its = discriminator(sizes, k, rng, complex)

    def loss(theta):
        """Forward and back with complex parameters: (1.1) to (1.2e) are analytic in them."""
        its.values[...] = theta
        a, slopes = complex_network.logits_and_slopes(z.astype(complex))
        return grad_a @ a + 0.5 * gamma @ np.sum(slopes**2, axis=1)

    verify("13.1d", relative_error(gradient, complex_step(loss, parameters.values)), COMPLEX)

    # the change along a direction that is not the slope, and all its gradients
    x_dot = rng.standard_normal((n, k))
    layer, twin = network.layers[0], complex_network.layers[0]
    its.values[...] = parameters.values
    y, y_dot = layer.forward_along(z, x_dot)
    moved = twin(z + 1e-30j * x_dot)
    verify("13.1e", relative_error(y_dot, moved.imag / 1e-30), COMPLEX)
    grads = rng.standard_normal(y.shape), rng.standard_normal(y.shape)
    grad_x, grad_x_dot = layer.backward_along(*grads, x_dot)

    def change(x, x_dot):
        y, y_dot = twin.forward_along(x, x_dot)
        return np.sum(grads[0] * y + grads[1] * y_dot)

    right = complex_step(lambda x: change(x, x_dot + 0j), z)
    verify("13.1e", relative_error(grad_x, right), COMPLEX)
    right = complex_step(lambda x_dot: change(z + 0j, x_dot), x_dot)
    verify("13.1e", relative_error(grad_x_dot, right), COMPLEX)


@pytest.mark.equation("1.10c")
def test_hidden_layers_are_drawn_as_those_of_relu_and_the_last_as_a_linear_one():
    """Uniform, so that the largest lies just below the limit."""
    network = Discriminator(50, (400, 400))
    Parameters({"discriminator_": network})
    network.initialise(np.random.default_rng(0))
    for layer, name in zip(network.layers, ("relu", "relu", "identity"), strict=True):
        limit = ACTIVATIONS[name].gain * np.sqrt(6 / sum(layer.weight.shape))
        verify("1.10c", 1 - np.abs(layer.weight).max() / limit, 0.01)
        assert np.abs(layer.weight).max() < limit


@given(seed=seeds, k=st.integers(1, 3))
@settings(max_examples=20)
def test_r1_of_a_quadratic_has_a_closed_form(seed, k):
    """``E_p ‖b + Hz‖² = ‖b‖² + ‖H‖²``, over nodes that are exact for it."""
    rng = np.random.default_rng(seed)
    network, parameters = discriminator("quadratic", k, rng)
    b, upper = parameters.values[:k], np.zeros((k, k))
    upper[np.triu_indices(k)] = parameters.values[k:-1]
    H = upper + upper.T
    nodes, weights = gauss_hermite(2, k)
    _, slopes = network.logits_and_slopes(nodes)
    penalty = weights @ np.sum(slopes**2, axis=1)
    assert penalty == pytest.approx(b @ b + np.sum(H**2), rel=1e-12)


PLAYERS = {"hidden_layer_sizes": (4,), "activation": "tanh", "discriminator": (5,)}


@pytest.mark.equation("13.1f")
@given(seed=seeds, match=st.sampled_from(["saturating", "non_saturating"]))
@settings(max_examples=20)
def test_no_player_sees_the_loss_of_the_other(seed, match):
    """What changes one player's loss alone leaves the other's gradient as it is, bit for bit."""
    X = np.random.default_rng(seed).standard_normal((6, 3))

    def gradients(**params):
        model = AdversarialAutoencoder(2, match=match, random_state=0, **PLAYERS)
        model.initialise(X)
        model.parameters_[...] += 0.1 * np.random.default_rng(seed).standard_normal(
            model.parameters_.shape
        )
        model.set_params(**params)
        gradient = model.loss_and_gradient(X, np.random.default_rng(1))[1]
        parts = {name: part for name, (_, part) in model.objectives().items()}
        return gradient[parts["autoencoder"]].copy(), gradient[parts["discriminator"]].copy()

    of_autoencoder, of_discriminator = gradients()
    same, other = gradients(gradient_penalty=7.0)
    verify("13.1f", np.count_nonzero(same != of_autoencoder), 0)
    assert np.any(other != of_discriminator)
    other, same = gradients(match_weight=7.0)
    verify("13.1f", np.count_nonzero(same != of_discriminator), 0)
    assert np.any(other != of_autoencoder)


@pytest.mark.equation("13.1f")
def test_each_player_pays_for_its_own_weights():
    X = np.random.default_rng(0).standard_normal((6, 3))

    def losses(weight_decay):
        model = AdversarialAutoencoder(2, weight_decay=weight_decay, random_state=0, **PLAYERS)
        model.initialise(X)
        _, gradient = model.loss_and_gradient(X, np.random.default_rng(1))
        gradient = gradient.copy()
        values = []
        for objective, part in model.objectives().values():
            value, found = objective(X, np.random.default_rng(1))
            assert np.array_equal(found[part], gradient[part])
            values.append(value)
        squares = {"autoencoder": 0.0, "discriminator": 0.0}
        for name in model._parameters.names:
            if name.endswith("weight"):
                player = "discriminator" if name.startswith("discriminator_") else "autoencoder"
                squares[player] += np.sum(model._parameters[name][0] ** 2)
        return np.array(values), np.array(list(squares.values()))

    free, squares = losses(0.0)
    verify("13.1f", np.abs(losses(0.3)[0] - free - 0.3 * squares).max(), 1e-13)


# --- 13.2 The best discriminator -------------------------------------------------------------


@pytest.mark.equation("13.2")
@pytest.mark.equation("13.2a")
@pytest.mark.equation("13.2b")
@given(seed=seeds, n=st.integers(2, 6))
@settings(max_examples=30)
def test_best_discriminator_of_two_distributions(seed, n):
    """Of n places each: the least loss found by a search, its value, and the regret of another."""
    rng = np.random.default_rng(seed)
    p, q = rng.dirichlet(np.ones(n), 2) * 0.9 + 0.1 / n

    def loss_and_gradient(a):
        prior, codes = non_saturating_loss(a, n * p), saturating_loss(a, n * q)
        return prior[0] - codes[0], prior[1] - codes[1]

    best = np.log(p) - np.log(q)
    found = minimize(loss_and_gradient, np.zeros(n), jac=True, method="BFGS",
                     options={"gtol": 1e-10}).x  # fmt: skip
    # the loss is flat as its square root: gradients to 1e-10 over curvatures of 1e-3
    verify("13.2", np.abs(found - best).max(), 1e-6)
    verify("13.2", np.abs(loss_and_gradient(best)[1]).max(), 1e-15)

    mixture = (p + q) / 2
    js = 0.5 * np.sum(p * np.log(p / mixture) + q * np.log(q / mixture))
    V = -loss_and_gradient(best)[0]
    verify("13.2a", abs(V - (2 * js - math.log(4))), 1e-14)

    a = best + rng.standard_normal(n)
    D, D_best = expit(a), expit(best)
    divergence = D_best * np.log(D_best / D) + (1 - D_best) * np.log((1 - D_best) / (1 - D))
    regret = V + loss_and_gradient(a)[0]
    verify("13.2b", abs(regret - np.sum((p + q) * divergence)), 1e-14)
    assert (-loss_and_gradient(a)[0] + math.log(4)) / 2 <= js <= math.log(2)


@pytest.mark.equation("13.2a")
@given(m=st.floats(-2, 2), s=st.floats(0.6, 1.5))
@settings(max_examples=15)
def test_jensen_shannon_of_gaussians(m, s):
    z, dz = np.linspace(-16, 16, 4001, retstep=True)
    p, q = norm.pdf(z), norm.pdf(z, m, s)
    mixture = (p + q) / 2
    right = 0.5 * dz * np.sum(p * np.log(p / mixture) + q * np.log(q / mixture))
    error = abs(theory.gaussian_jensen_shannon([m], [[s * s]]) - right)
    verify("13.2a", error, QUADRATURE)


@pytest.mark.equation("13.2a")
@pytest.mark.parametrize("s", [0.01, 0.1, 10.0])
def test_jensen_shannon_of_narrow_and_wide_codes(s):
    m, wide, narrow = 0.5, max(1, s), min(1, s)
    z = np.sinh(np.linspace(-12, 12, 200001)) * narrow / 100 + (m if s < 1 else 0)
    z = z[np.abs(z) < 16 * wide]
    p, q = norm.logpdf(z), norm.logpdf(z, m, s)
    mixture = np.logaddexp(p, q) - math.log(2)
    right = 0.5 * trapezoid(np.exp(p) * (p - mixture) + np.exp(q) * (q - mixture), z)
    verify("13.2a", abs(theory.gaussian_jensen_shannon([m], [[s * s]]) - right), QUADRATURE)


@pytest.mark.equation("13.2c")
@pytest.mark.parametrize("k", [1, 2])
@given(seed=seeds)
@settings(max_examples=5)
def test_quadratic_discriminator_learns_the_log_ratio(k, seed):
    """Newton's method on the package's network, over nodes instead of draws."""
    rng = np.random.default_rng(seed)
    m, A = gaussian(rng, k)
    # the trapezoid rule: σ(a) has poles near the real axis, on which Gauss's rule is slow
    t = np.arange(-9, 9, 0.01 if k == 1 else 0.1)
    prior = np.stack(np.meshgrid(*[t] * k), axis=-1).reshape(-1, k)
    w = np.exp(-np.sum(prior**2, axis=1) / 2)
    w /= w.sum()
    codes, n = m + prior @ A.T, len(prior)
    network, parameters = discriminator("quadratic", k, rng)
    parameters.values[...] = 0
    rows = np.vstack([prior, codes])
    features = np.hstack([network.layers[0](rows), np.ones((2 * n, 1))])
    for _ in range(30):
        a = network.forward(rows)[:, 0]
        of_prior, of_codes = (
            non_saturating_loss(a[:n], n * w)[1],
            -saturating_loss(a[n:], n * w)[1],
        )
        network.backward(np.concatenate([of_prior, of_codes])[:, None])
        D = expit(a)
        curvature = np.concatenate([w, w]) * D * (1 - D)
        hessian = features.T @ (features * curvature[:, None])
        step = np.linalg.solve(hessian, parameters.gradient)
        parameters.values -= step
        if np.abs(step).max() < 1e-14:
            break
    logit = theory.gaussian_log_ratio(m, A @ A.T)
    z = rng.standard_normal((20, k))
    verify("13.2c", np.abs(network(z)[:, 0] - logit(z)).max(), QUADRATURE)
    right = norm(0, 1).logpdf(z).sum(axis=1) - theory_logpdf(z, m, A)
    verify("13.2c", np.abs(logit(z) - right).max(), 1e-11)


def theory_logpdf(z, m, A):
    white = np.linalg.solve(A, (z - m).T).T
    return norm(0, 1).logpdf(white).sum(axis=1) - np.log(np.abs(np.diag(A))).sum()


@pytest.mark.equation("13.2d")
def test_a_discriminator_tells_samples_of_one_distribution_apart():
    rng, n, n_features = np.random.default_rng(0), 1000, 3
    excess = []
    for _ in range(scaled(200)):
        z = rng.standard_normal(2 * n)
        F = np.stack([np.ones(2 * n), z, z * z], axis=1)
        sign = np.repeat([-1.0, 1.0], n)  # softplus(−a) of the prior, softplus(a) of codes
        w = np.zeros(n_features)
        for _ in range(6):  # from so near, Newton's method is there
            D = expit(F @ w)
            gradient = F.T @ np.where(sign > 0, D, D - 1)
            w -= np.linalg.solve(F.T @ (F * (D * (1 - D))[:, None]), gradient)
        loss = np.sum(np.logaddexp(0, sign * (F @ w))) / n
        excess.append(4 * n * (math.log(4) - loss) / 2)
    error = abs(np.mean(excess) - (n_features - 1)) / (np.std(excess) / len(excess) ** 0.5)
    verify("13.2d", error, Z_BOUND)


# --- 13.3 How hard the losses pull -----------------------------------------------------------


@pytest.mark.equation("13.3")
@pytest.mark.equation("13.3b")
@given(m=st.floats(0.1, 9))
@settings(max_examples=20)
def test_pull_on_codes_before_the_best_discriminator(m):
    z, dz = np.linspace(m - 13, m + 13, 5001, retstep=True)  # trapezoids are exact here

    def pull(of_logit):
        """``E_q`` of ∂loss/∂a · ∂a*/∂z, with a* = m²/2 − mz."""
        return np.sum(norm.pdf(z - m) * of_logit(m * m / 2 - m * z) * -m) * dz

    gradients = theory.game_gradients(m)
    saturating = pull(lambda a: -expit(a))
    verify("13.3", abs(gradients.saturating / saturating - 1), 1e-9)
    verify("13.3b", abs(gradients.non_saturating - pull(lambda a: expit(a) - 1)) / m, 1e-10)
    if m < 2:  # beyond, quadrature of the divergence has fewer digits
        h = 1e-2  # a five-point difference leaves h⁴
        js = [theory.gaussian_jensen_shannon([m + i * h], [[1.0]]) for i in (-2, -1, 1, 2)]
        slope = (js[0] - 8 * js[1] + 8 * js[2] - js[3]) / (12 * h)
        assert abs(2 * slope - gradients.saturating) < 1e-7


@pytest.mark.equation("13.3a")
@pytest.mark.parametrize("m", [10.0, 20.0])
def test_the_saturating_pull_far_away(m):
    ratio = theory.game_gradients(m).saturating / (math.sqrt(math.pi / 2) * math.exp(-m * m / 8))
    # the next term is E u⁴ under sech, 5π⁴, over 8 m⁴
    verify("13.3a", abs(ratio - (1 - math.pi**2 / (2 * m * m))), 1.1 * 5 * math.pi**4 / (8 * m**4))


# --- 13.4 The smallest game ------------------------------------------------------------------


def jacobian(f, h=1e-5):
    """Of a map of the plane at 0, which is odd: no h² term, and h⁴ cancels."""
    columns = []
    for e in np.eye(2):
        near = np.subtract(f(*(h * e)), f(*(-h * e)))
        far = np.subtract(f(*(2 * h * e)), f(*(-2 * h * e)))
        columns.append((8 * near - far) / (12 * h))
    return np.stack(columns, axis=1)


def apart(found, right):
    """Of two pairs of eigenvalues, by their sum and product, which have no order or root."""
    return max(abs(np.sum(found) - np.sum(right)), abs(np.prod(found) - np.prod(right)))


H = st.sampled_from([0.05, 0.3, 1.0, 3.0])
GAMMA = st.sampled_from([0.0, 0.2, 0.8, 1.5])


@pytest.mark.equation("13.4")
@pytest.mark.equation("13.4a")
@given(h=H, gamma=GAMMA, saturating=st.booleans())
@settings(max_examples=40)
def test_eigenvalues_of_a_step(h, gamma, saturating):
    for number, alternating in (("13.4", False), ("13.4a", True)):
        options = {"gamma": gamma, "alternating": alternating}
        J = jacobian(
            lambda *x, options=options: theory.dirac_step(*x, h, saturating=saturating, **options)
        )
        found = np.linalg.eigvals(J)
        verify(number, apart(found, theory.dirac_eigenvalues(h, **options)), EXACT)
    # simultaneous and without R1 both are 1 ± ih/2; alternating, of size √(1 − hγ) if complex
    size = np.abs(theory.dirac_eigenvalues(h)).min()
    assert size == pytest.approx(math.sqrt(1 + h * h / 4), rel=1e-13)


@pytest.mark.equation("13.4")
@given(h=H, gamma=GAMMA, match=st.sampled_from(["saturating", "non_saturating"]))
@settings(max_examples=20)
def test_the_model_plays_the_smallest_game(h, gamma, match):
    """Code at the encoder's bias θ, a linear logit ψz, nothing to reconstruct."""
    X = np.zeros((3, 1))
    model = AdversarialAutoencoder(
        1, hidden_layer_sizes=(), discriminator=(), match=match, gradient_penalty=gamma,
        prior=lambda rng, n: np.zeros((n, 1)), random_state=0,
    )  # fmt: skip
    model.initialise(X)

    def step(theta, psi):
        model.parameters_[...] = 0
        code, logit = model.encoder_.layers[0], model.discriminator_.layers[0]
        code.bias[...], logit.weight[...] = theta, psi
        model.loss_and_gradient(X)
        return theta - h * code.grad_bias[0], psi - h * logit.grad_weight[0, 0]

    found = np.linalg.eigvals(jacobian(step))
    verify("13.4", apart(found, theory.dirac_eigenvalues(h, gamma=gamma)), EXACT)


@pytest.mark.equation("13.4b")
@given(h=st.floats(0.01, 1.9), part=st.floats(0.0, 0.9))
@settings(max_examples=30)
def test_alternating_with_r1_contracts(h, part):
    # complex as long as (h γ + h²/4)² < h²; any γ below 1 − h/4
    gamma = part * (1 - h / 4)
    eigenvalues = theory.dirac_eigenvalues(h, gamma=gamma, alternating=True)
    verify("13.4b", np.abs(np.abs(eigenvalues) - math.sqrt(max(1 - h * gamma, 0))).max(), EXACT)


def runs_away(h, gamma, alternating):
    x = (1e-3, 0.0)
    for _ in range(3000):
        x = theory.dirac_step(*x, h, gamma=gamma, alternating=alternating)
        if math.hypot(*x) > 1:
            return True
    return math.hypot(*x) > 1e-3


@pytest.mark.equation("13.4c")
@pytest.mark.parametrize("gamma", [0.1, 0.5, 0.9])
def test_steps_that_are_too_long(gamma):
    limits = {False: 4 * gamma, True: 4 * (math.sqrt(gamma**2 + 1) - gamma)}
    for alternating, limit in limits.items():
        for part, is_away in ((0.97, False), (1.03, True)):
            verify("13.4c", runs_away(part * limit, gamma, alternating) != is_away, 0)
            sizes = np.abs(
                theory.dirac_eigenvalues(part * limit, gamma=gamma, alternating=alternating)
            )
            verify("13.4c", (sizes.max() > 1) != is_away, 0)


@pytest.mark.equation("13.4d")
@given(theta=st.floats(-2, 2), psi=st.floats(-2, 2), h=st.floats(0.01, 1))
@settings(max_examples=40)
def test_saturating_players_drift_apart_at_every_step(theta, psi, h):
    moved = theory.dirac_step(theta, psi, h)
    r2 = theta**2 + psi**2
    grown = r2 * (1 + h * h * expit(psi * theta) ** 2)
    verify("13.4d", abs(sum(x * x for x in moved) - grown), 1e-14 * (1 + r2))


@pytest.mark.equation("13.4e")
@pytest.mark.parametrize("start", [0.4, 0.2])  # from outside and from inside
def test_non_saturating_players_end_on_a_circle(start):
    h, x, squares = 0.05, (start, 0.0), []
    for step in range(scaled(60_000, 40_000)):
        x = theory.dirac_step(*x, h, saturating=False)
        if step >= 35_000:
            squares.append(x[0] ** 2 + x[1] ** 2)
    # to leading order in h: what is left is of order h
    verify("13.4e", abs(np.mean(squares) / (2 * h) - 1), h)


@pytest.mark.equation("13.4f")
@given(h=st.sampled_from([0.1, 0.5]), gamma=GAMMA, s=st.sampled_from([0.5, 1.0, 1.3]))
@settings(max_examples=20)
def test_noise_acts_as_r1_of_half_its_variance(h, gamma, s):
    nodes, w = gauss_hermite(40, 1)
    u = s * nodes[:, 0]

    def step(theta, psi):
        """Alternating, on noisy codes and a noisy prior; the logit's constant stays at 0."""
        theta = theta + h * psi * (w @ expit(-psi * (theta + u)))
        of_prior = w @ (expit(-psi * u) * u)
        of_codes = w @ (expit(psi * (theta + u)) * (theta + u))
        return theta, psi + h * (of_prior - of_codes - gamma * psi)

    right = theory.dirac_eigenvalues(h, gamma=gamma, alternating=True, instance_noise=s)
    verify("13.4f", apart(np.linalg.eigvals(jacobian(step, h=1e-4)), right), 1e-11)


# --- 13.5 What the term is -------------------------------------------------------------------


def covariance(rng, d):
    B = rng.standard_normal((d, d))
    return B @ B.T / d + 0.1 * np.eye(d)


@pytest.mark.equation("13.5")
@given(seed=seeds, d=st.integers(2, 6))
@settings(max_examples=30)
def test_rate_is_information_and_mismatch(seed, d):
    rng, k = np.random.default_rng(seed), (d + 1) // 2
    Sigma, V = covariance(rng, d), 0.5 * rng.standard_normal((k, d))
    s2 = np.exp(rng.standard_normal(k))
    rate = 0.5 * (np.trace(V @ Sigma @ V.T) + np.sum(s2 - 1 - np.log(s2)))
    information, mismatch = theory.linear_rate_split(V, s2, Sigma)
    verify("13.5", abs(information + mismatch - rate) / rate, EXACT)
    # both by themselves: what x and z tell of each other, and the divergence of Gaussians
    joint = np.block([[Sigma, Sigma @ V.T], [V @ Sigma, V @ Sigma @ V.T + np.diag(s2)]])
    dets = [np.linalg.slogdet(part)[1] for part in (Sigma, joint[d:, d:], joint)]
    assert information == pytest.approx(0.5 * (dets[0] + dets[1] - dets[2]), abs=1e-9)
    zero, S = np.zeros(k), joint[d:, d:]
    between = theory.gaussian_kl_between(zero[None], S, zero[None], np.eye(k))
    assert mismatch == pytest.approx(float(between[0]), abs=1e-10)


@pytest.mark.equation("13.5a")
@given(seed=seeds, beta=st.floats(0.05, 0.9))
@settings(max_examples=20)
def test_rate_of_the_linear_vae_is_information_alone(seed, beta):
    rng, k = np.random.default_rng(seed), 2
    Sigma = covariance(rng, 4)
    eigenvalues, U = np.linalg.eigh(Sigma)
    theta = beta * eigenvalues[-k]
    W = U[:, -k:] * np.sqrt(eigenvalues[-k:] - theta)
    V, s2 = theory.linear_vae_encoder(W, theta)
    split = theory.linear_rate_split(V, s2, Sigma)
    verify("13.5a", abs(split.mismatch), EXACT)
    rate = theory.linear_vae_optimum(eigenvalues[::-1], k, theta, 1.0).rate
    verify("13.5a", abs(split.information - rate), EXACT)


@pytest.mark.equation("13.5b")
@pytest.mark.equation("13.5c")
@given(seed=seeds, k=st.integers(1, 2))
@settings(max_examples=20)
def test_logits_estimate_the_divergence(seed, k):
    rng = np.random.default_rng(seed)
    m, A = gaussian(rng, k)
    S = A @ A.T
    prior, w = gauss_hermite(60, k)
    codes = m + prior @ A.T
    logit = theory.gaussian_log_ratio(m, S)
    kl = 0.5 * (np.trace(S) + m @ m - k - np.linalg.slogdet(S)[1])
    verify("13.5b", abs(-w @ logit(codes) - kl), 1e-11)
    # the gradient through the codes alone, with a* held fixed, is that of the divergence
    slopes = logit.linear + codes @ logit.matrix
    verify("13.5b", np.abs(-w @ slopes - m).max(), 1e-11)
    by_A = -(slopes * w[:, None]).T @ prior
    verify("13.5b", np.abs(np.tril(by_A - (A - np.linalg.inv(A).T))).max(), 1e-11)

    b, c = logit.linear + 0.3 * rng.standard_normal(k), logit.constant + 0.3 * rng.normal()
    wrong = theory.Quadratic(c, b, logit.matrix)
    in_prior = w @ np.exp(-wrong(prior))
    nwj, dv = -w @ wrong(codes) - in_prior + 1, -w @ wrong(codes) - math.log(in_prior)
    # the mean of e^−a may be as heavy as Gauss–Hermite can take: it is then too small, by 1e-6
    verify("13.5c", nwj - dv, 1e-12)
    verify("13.5c", dv - kl, 1e-6)


# --- 13.6 The linear adversarial autoencoder -------------------------------------------------

SPECTRUM = np.array([3.0, 1.5, 0.4, 0.2, 0.1])


def linear_game(seed, **params):
    """Data and a prior of few rows whose mean and covariance are exact: all that a quadratic
    discriminator sees."""
    X = datasets.make_gaussian(12, SPECTRUM, exact=True, random_state=seed)
    prior = datasets.make_gaussian(12, np.ones(2), exact=True, random_state=seed + 1)
    settings = {
        "hidden_layer_sizes": (), "discriminator": "quadratic", "match_weight": 3.0,
        "prior": lambda rng, n: prior[:n], "solver": "sgd", "momentum": 0.5,
        "learning_rate": 0.05, "discriminator_learning_rate": 0.4, "batch_size": 12,
        "max_iter": 1500, "random_state": seed,
    }  # fmt: skip
    model = AdversarialAutoencoder(2, **{**settings, **params})
    return model, X


@pytest.mark.equation("13.6")
@given(seed=seeds, d=st.integers(2, 6))
@settings(max_examples=20)
def test_whitened_pca_up_to_a_rotation_is_the_minimum(seed, d):
    rng, k = np.random.default_rng(seed), (d + 1) // 2
    Sigma = covariance(rng, d)
    optimum = theory.linear_adversarial_optimum(Sigma, k)
    Q = np.linalg.qr(rng.standard_normal((k, k)))[0]
    A, B = Q @ optimum.encoder, optimum.decoder @ Q.T

    def loss_and_mismatch(A, B):
        R = np.eye(d) - B @ A
        S = A @ Sigma @ A.T
        return np.trace(R @ Sigma @ R.T), np.trace(S) - k - np.linalg.slogdet(S)[1]

    error, mismatch = loss_and_mismatch(A, B)
    least = np.linalg.eigvalsh(Sigma)[: d - k].sum()
    verify("13.6", abs(error - least) / np.trace(Sigma), EXACT)
    verify("13.6", abs(mismatch), 1e-10)  # Σ's condition, below 100, times some roundings
    assert optimum.loss == pytest.approx(least, abs=1e-12)
    for _ in range(5):  # neither term is ever below that
        other = loss_and_mismatch(*(M + 0.1 * rng.standard_normal(M.shape) for M in (A, B)))
        assert other[0] >= least - 1e-12 and other[1] >= 0
    # where Σ is singular, more than this form: what no data see is free
    singular = np.diag([4.0, 1.0, 0.0])
    flat = theory.linear_adversarial_optimum(singular, 1)
    other = flat.encoder + [[0.0, 0.0, 7.0]]
    assert other @ singular @ other.T == pytest.approx(1.0, abs=1e-12)
    R = np.eye(3) - flat.decoder @ other
    verify("13.6", abs(np.trace(R @ singular @ R.T) - flat.loss), EXACT)
    if k > 1:  # a pair that is not of this form has the same loss and another mismatch
        G = np.diag(np.linspace(1, 2, k))
        error, mismatch = loss_and_mismatch(np.linalg.inv(G) @ A, B @ G)
        assert abs(error - least) < 1e-9 and mismatch > 1e-3


@pytest.mark.equation("13.6a")
@pytest.mark.parametrize(
    ("seed", "params"),
    [
        (0, {}),
        (1, {"match": "saturating"}),
        pytest.param(2, {"match_weight": 1.0, "max_iter": 6000}, marks=pytest.mark.slow),
        pytest.param(3, {"gradient_penalty": 0.0, "max_iter": 6000}, marks=pytest.mark.slow),
        pytest.param(4, {"momentum": 0.0, "max_iter": 6000}, marks=pytest.mark.slow),
    ],
)
def test_trained_as_a_game_it_is_whitened_pca(seed, params):
    model, X = linear_game(seed, **params)
    model.fit(X)
    A, B = model.encoder_.layers[0].weight.T, model.decoder_.layers[0].weight.T
    Sigma = X.T @ X / len(X)
    verify("13.6a", np.abs(A @ Sigma @ A.T - np.eye(2)).max(), 1e-8)
    excess = model.reconstruction_error(X).mean() - SPECTRUM[2:].sum()
    verify("13.6a", abs(excess), 1e-10)
    optimum = theory.linear_adversarial_optimum(Sigma, 2)
    Q = A @ optimum.decoder
    verify("13.6a", np.abs(Q @ Q.T - np.eye(2)).max(), 1e-8)
    verify("13.6a", np.abs(B - optimum.decoder @ Q.T).max(), 1e-8)
    # the discriminator can tell nothing
    assert model.history_["discriminator"][-1] == pytest.approx(math.log(4), abs=1e-12)
    assert np.abs(model.discriminator_(X[:, :2])).max() < 1e-7


def test_more_dimensions_than_the_data_have_cannot_be_white():
    with pytest.raises(ValueError, match="n_components must be at most the rank"):
        theory.linear_adversarial_optimum(np.diag([1.0, 0.0]), 2)


def test_the_rotation_is_left_open():
    angles = []
    for seed in (0, 1):
        model, X = linear_game(0)
        model.set_params(random_state=seed, max_iter=500).fit(X)
        A = model.encoder_.layers[0].weight.T
        Q = A @ theory.linear_adversarial_optimum(X.T @ X / len(X), 2).decoder
        angles.append(math.atan2(abs(Q[1, 0]), abs(Q[0, 0])))
    assert abs(angles[0] - angles[1]) > 0.05


@pytest.mark.equation("13.6b")
@given(seed=seeds, beta=st.floats(0.05, 0.9))
@settings(max_examples=20)
def test_decoded_draws_vary_by_the_noise_less_in_a_vae(seed, beta):
    rng, k = np.random.default_rng(seed), 2
    Sigma = covariance(rng, 4)
    eigenvalues, U = np.linalg.eigh(Sigma)
    theta = beta * eigenvalues[-k]
    B = theory.linear_adversarial_optimum(Sigma, k).decoder
    norms = theory.linear_vae_optimum(eigenvalues[::-1], k, theta, 1.0).decoder_norms
    W = U[:, ::-1][:, :k] * norms
    verify("13.6b", np.abs(B @ B.T - W @ W.T - theta * U[:, -k:] @ U[:, -k:].T).max(), EXACT)


# --- 13.7 Match without an adversary ---------------------------------------------------------


@pytest.mark.equation("13.7")
@given(m=st.floats(-3, 3), s=st.floats(0.4, 2), eta=st.floats(0.3, 4))
@settings(max_examples=15)
def test_mmd_of_gaussians_by_their_characteristic_functions(m, s, eta):
    w, dw = np.linspace(-25, 25, 8001, retstep=True)
    apart = np.exp(1j * w * m - 0.5 * (s * w) ** 2) - np.exp(-0.5 * w * w)
    right = dw * np.sum(np.abs(apart) ** 2 * norm.pdf(w, 0, eta**-0.5))
    verify("13.7", abs(theory.gaussian_mmd([m], [[s * s]], eta) - right), EXACT)


@pytest.mark.equation("13.7a")
@pytest.mark.equation("13.7b")
@given(seed=seeds, n=st.integers(1, 7), k=st.integers(1, 3), weigh=st.booleans())
@settings(max_examples=20)
def test_mmd_of_a_sample_to_the_normal_itself(seed, n, k, weigh):
    rng = np.random.default_rng(seed)
    z, etas = rng.standard_normal((n, k)), [0.5, 2.0]
    weights = rng.exponential(size=n) if weigh else None
    w = np.full(n, 1 / n) if weights is None else weights / weights.sum()
    nodes, of_nodes = gauss_hermite(40 if k < 3 else 24, k)

    def kernel(x, y, eta):
        return np.exp(-np.sum((x[:, None] - y[None]) ** 2, axis=2) / (2 * eta))

    def mmd(z):
        """By the definition, draws of the prior replaced by nodes."""
        total = 0
        for eta in etas:
            within = (1 + 2 / eta) ** (-k / 2)
            total += w @ kernel(z, z, eta) @ w - 2 * w @ kernel(z, nodes, eta) @ of_nodes + within
        return total / len(etas)

    found, grad_z = mmd_to_normal(z, etas, weights)
    # Gauss–Hermite of a kernel as narrow as η = ½, with 24 nodes
    verify("13.7a", abs(found - mmd(z)), 1e-5 if k == 3 else 1e-7)
    assert found >= 0

    def closed(z):
        total = 0
        for eta in etas:
            c = (eta / (1 + eta)) ** (k / 2)
            to_prior = c * np.exp(-np.sum(z * z, axis=1) / (2 * (1 + eta)))
            total += w @ kernel(z, z, eta) @ w - 2 * w @ to_prior
        return total / len(etas)

    verify("13.7b", relative_error(grad_z, complex_step(closed, z)), COMPLEX)


def test_mmd_of_codes_far_away_in_single_precision():
    z = 3000 + np.random.default_rng(0).standard_normal((20, 2))
    z = z.astype(np.float32)
    found, grad_z = mmd_to_normal(z, [2.0])
    right, grad = mmd_to_normal(z.astype(float), [2.0])
    assert grad_z.dtype == np.float32
    # centred codes of size 1, of which the mean takes some 3000 · 2^-24, once for all
    assert abs(found - right) < 1e-3 and np.abs(grad_z - grad).max() < 1e-3


def test_three_kernels_for_each_dimension_of_the_code():
    model = AdversarialAutoencoder(2, match="mmd", **SMALL).fit(X)
    model.loss_and_gradient(X)
    found = model._loss_parts["match"]
    right = mmd_to_normal(model.transform(X), [0.5, 2.0, 8.0])[0]
    assert found == pytest.approx(right, rel=1e-12)


@pytest.mark.equation("13.7c")
def test_mmd_of_draws_of_the_normal_is_not_zero():
    rng, n, k, eta = np.random.default_rng(0), 30, 2, 2.0
    found = [mmd_to_normal(rng.standard_normal((n, k)), [eta])[0] for _ in range(scaled(2000))]
    right = (1 - (1 + 2 / eta) ** (-k / 2)) / n
    z = abs(np.mean(found) - right) / (np.std(found) / len(found) ** 0.5)
    verify("13.7c", z, Z_BOUND)


@pytest.mark.equation("13.7d")
@given(m=st.floats(0.1, 12))
@settings(max_examples=20)
def test_pull_of_the_mmd(m):
    h = 1e-3
    values = [theory.gaussian_mmd([m + i * h], [[1.0]], 2.0) for i in (-2, -1, 1, 2)]
    slope = (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * h)
    # h⁴ and roundings of 1 over h
    verify("13.7d", abs(theory.game_gradients(m).mmd - slope), 1e-11)


@pytest.mark.equation("13.7e")
@given(seed=seeds, k=st.integers(1, 3))
@settings(max_examples=20)
def test_wasserstein_is_that_of_the_best_linear_map(seed, k):
    rng = np.random.default_rng(seed)
    m, A = gaussian(rng, k)
    S = A @ A.T
    eigenvalues, U = np.linalg.eigh(S)
    root = U * np.sqrt(eigenvalues) @ U.T
    found = theory.gaussian_wasserstein(m, S)
    # z ↦ m + S^½ z carries N(0, I) to N(m, S), and no rotation before it is cheaper
    carried = m @ m + np.sum((root - np.eye(k)) ** 2)
    verify("13.7e", abs(found - carried), EXACT)
    for _ in range(5):
        Q = np.linalg.qr(rng.standard_normal((k, k)))[0]
        assert found <= m @ m + np.sum((root @ Q - np.eye(k)) ** 2) + 1e-12


# --- 13.8 Does the code match? ---------------------------------------------------------------


def p_values(draw, n_tests, n, rng):
    return np.array(
        [
            theory.energy_test(
                draw(rng, n), rng.standard_normal((n, 2)), n_permutations=39, random_state=rng
            ).p_value
            for _ in range(n_tests)
        ]
    )


@pytest.mark.equation("13.8")
def test_false_alarms_are_as_rare_as_promised():
    rng, n_tests = np.random.default_rng(0), scaled(1000)
    p = p_values(lambda rng, n: rng.standard_normal((n, 2)), n_tests, 15, rng)
    for level in (0.025, 0.1, 0.5):  # multiples of 1/40: there the level is reached exactly
        z = abs(np.mean(p <= level) - level) / math.sqrt(level * (1 - level) / n_tests)
        verify("13.8", z, Z_BOUND)
    shifted = p_values(lambda rng, n: 1 + rng.standard_normal((n, 2)), 40, 30, rng)
    assert np.mean(shifted <= 0.05) > 0.8


def test_energy_test_is_what_it_says():
    rng = np.random.default_rng(0)
    X, Y = rng.standard_normal((5, 2)), rng.standard_normal((7, 2))
    test = theory.energy_test(X, Y, n_permutations=19, random_state=3)
    assert test.statistic == pytest.approx(theory.energy_distance(X, Y), rel=1e-12)
    together, splits = np.vstack([X, Y]), np.random.default_rng(3)
    others = []
    for _ in range(19):
        order = splits.permutation(12)
        others.append(theory.energy_distance(together[order[:5]], together[order[5:]]))
    assert test.p_value == (1 + np.sum(np.array(others) >= test.statistic)) / 20
    assert theory.energy_test(X, X).p_value == 1.0


def test_energy_test_refuses_what_it_would_answer_wrongly():
    X = np.zeros((3, 2))
    with pytest.raises(ValueError, match="Y contains NaN"):
        theory.energy_test(X, np.full((3, 2), np.nan))
    with pytest.raises(ValueError, match=r"X has 0 sample\(s\)"):
        theory.energy_test(X[:0], X)
    with pytest.raises(ValueError, match="Y has 1 features"):
        theory.energy_test(X, X[:, :1])


@pytest.mark.equation("13.8a")
def test_codes_fitted_to_the_prior_pass_too_often():
    def standardised(rng, n):
        z = rng.standard_normal((n, 2))
        z -= z.mean(axis=0)
        return z @ np.linalg.inv(np.linalg.cholesky(np.cov(z.T, bias=True))).T

    n_tests = scaled(400)
    p = p_values(standardised, n_tests, 40, np.random.default_rng(0))
    # as many rejections as were promised would be 5 % ± 1.1 % (2.2 % in a light run)
    verify("13.8a", np.mean(p <= 0.05), 0.02)
    verify("13.8a", 0.6 - np.mean(p), 0)


# --- errata ----------------------------------------------------------------------------------


def test_erratum_a_perfect_match_may_keep_everything():
    """x of an exponential distribution, coded by its quantiles: N(0, 1), and nothing lost."""
    x = np.random.default_rng(0).exponential(size=1000)
    z = norm.ppf(-np.expm1(-x))
    assert theory.energy_test(z[:, None], norm.rvs(size=(1000, 1), random_state=1)).p_value > 0.05
    assert np.abs(-norm.logsf(z) - x).max() < 1e-10
    assert theory.energy_test(x[:, None], norm.rvs(size=(1000, 1), random_state=1)).p_value < 0.01
    # the VAE's optimum of the same distortion pays its whole rate for information
    split = theory.linear_rate_split([[0.9]], [0.19], [[1.0]])
    assert abs(split.mismatch) < 1e-12 and split.information == pytest.approx(-0.5 * np.log(0.19))


@given(seed=seeds)
@settings(max_examples=10)
def test_erratum_sharper_by_the_noise_that_is_not_shown(seed):
    rng, k = np.random.default_rng(seed), 2
    Sigma = covariance(rng, 4)
    eigenvalues, U = np.linalg.eigh(Sigma)
    axes, noise = U[:, -k:], 0.5 * eigenvalues[-k]
    shown = axes * (eigenvalues[-k:] - noise) @ axes.T  # means of a VAE, (6.1), β = 1
    decoded = theory.linear_adversarial_optimum(Sigma, k).decoder
    along = axes.T @ (shown + noise * np.eye(4)) @ axes
    assert np.abs(along - axes.T @ decoded @ decoded.T @ axes).max() < 1e-12
    norms = theory.linear_vae_optimum(eigenvalues[::-1], k, 1.0, noise).decoder_norms
    assert np.allclose(norms**2, (eigenvalues[::-1][:k] - noise), atol=1e-12)


# --- 13.9 Digits -----------------------------------------------------------------------------


def held_out(seed):
    X = datasets.load_digits().X.astype(np.float32)
    rows = np.random.default_rng(seed).permutation(len(X))
    return X[rows[:1200]], X[rows[1200:]]


@pytest.mark.slow
@pytest.mark.equation("13.9")
@pytest.mark.equation("13.9a")
def test_codes_of_unseen_digits_pass_the_test():
    train, unseen = held_out(0)
    passed, differences = 0, []
    for seed in range(5):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = AdversarialAutoencoder(2, max_iter=150, batch_size=100, random_state=seed)
            model.fit(train)
            plain = Autoencoder(
                2, max_iter=150, batch_size=100, learning_rate=2e-3, n_iter_no_change=None,
                random_state=seed,
            ).fit(train)  # fmt: skip
        codes = model.transform(unseen)
        prior = model.sample_prior(len(unseen), random_state=1)
        p = theory.energy_test(codes, prior).p_value
        errors = [m.reconstruction_error(unseen).mean() for m in (model, plain)]
        passed += p > 0.05
        differences.append(errors[0] - errors[1])
        plain_p = theory.energy_test(plain.transform(unseen), prior).p_value
        assert plain_p <= 0.05
    verify("13.9", 4 - passed, 0)
    standard_error = np.std(differences, ddof=1) / 5**0.5
    verify("13.9a", np.mean(differences) / standard_error, 2)


# --- the model's manners ---------------------------------------------------------------------

X = np.random.default_rng(0).standard_normal((30, 4))
SMALL = {"hidden_layer_sizes": (4,), "discriminator": (5,), "max_iter": 2, "random_state": 0}


def clover(rng, n):
    """A prior of one's own, at the top of a module, where pickle finds it."""
    turns = 2 * np.pi * rng.random(n)
    return np.cos(2 * turns)[:, None] * np.stack([np.cos(turns), np.sin(turns)], axis=1)


@pytest.mark.parametrize("prior", ["normal", "ring", "mixture", clover])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_priors(prior, dtype):
    model = AdversarialAutoencoder(2, prior=prior, **SMALL).fit(X.astype(dtype))
    codes = model.sample_prior(20_000, random_state=0)
    assert codes.dtype == model.sample(3).dtype == dtype
    assert not np.array_equal(codes, model.sample_prior(20_000, random_state=1))
    radius = np.linalg.norm(codes, axis=1)
    square = {"normal": 2, "ring": 4 + 0.08, "mixture": 2.5**2 + 2 * 0.25**2, clover: 0.5}[prior]
    assert abs(np.mean(radius**2) - square) < 6 * np.std(radius**2) / len(codes) ** 0.5
    assert np.abs(codes.mean(axis=0)).max() < 6 * codes.std() / len(codes) ** 0.5
    # ten places at angles with a standard deviation of 0.25/2.5: E cos 10φ is near e^−½
    tenfold = np.mean(np.cos(10 * np.arctan2(*codes.T[::-1])))
    assert abs(tenfold - (np.exp(-0.5) if prior == "mixture" else 0)) < 0.06
    assert np.array_equal(
        copy.deepcopy(model).sample(3, random_state=0), model.sample(3, random_state=0)
    )


def test_draws_are_new_in_every_batch():
    seen = []

    def prior(rng, n):
        seen.append(rng.standard_normal((n, 2)))
        return seen[-1]

    AdversarialAutoencoder(2, prior=prior, batch_size=10, **SMALL).fit(X)
    draws = np.vstack(seen[1:])  # the first are to see whether it can be used
    assert len(np.unique(draws)) == draws.size == 2 * 2 * 30


@pytest.mark.parametrize("match", ["non_saturating", "saturating", "mmd"])
def test_weights_are_repeated_rows(match):
    """Of a full batch; the prior's draws are the same, twice as often for twice the rows."""
    w = np.array([2.0, 1, 1, 2, 1, 1])
    rows = np.repeat(np.arange(6), w.astype(int))
    points = np.random.default_rng(1).standard_normal((2, 2))
    prior = "normal" if match == "mmd" else lambda rng, n: points[np.arange(n) % 2]
    model = AdversarialAutoencoder(2, match=match, prior=prior, **SMALL)
    model.initialise(X[:6])
    loss, gradient = model.loss_and_gradient(X[:6], None, w / w.mean())
    gradient = gradient.copy()
    repeated, right = model.loss_and_gradient(X[:6][rows])
    assert loss == pytest.approx(repeated, rel=1e-13)
    assert np.abs(gradient - right).max() < 1e-13


def test_without_an_adversary_there_is_no_discriminator():
    model = AdversarialAutoencoder(2, match="mmd", early_stopping=True, **SMALL).fit(X)
    assert not hasattr(model, "discriminator_") and set(model.objectives()) == {"loss"}
    assert "discriminator" not in model.history_
    assert len(model.parameters_) == len(
        Autoencoder(2, hidden_layer_sizes=(4,), max_iter=1).fit(X).parameters_
    )


def test_nor_one_that_would_pay_for_weights():
    losses = []
    for weight_decay in (0.0, 0.3):
        model = AdversarialAutoencoder(2, match="mmd", weight_decay=weight_decay, **SMALL)
        rows = model.initialise(X)
        losses.append(model.loss_and_gradient(rows)[0])
    squares = sum(np.sum(weight**2) for weight, _ in model.layout_.weights())
    assert losses[1] - losses[0] == pytest.approx(0.3 * squares, rel=1e-12)


def test_history_tells_what_both_players_pay():
    model = AdversarialAutoencoder(2, match_weight=3.0, **{**SMALL, "max_iter": 4}).fit(X)
    curves = model.history_
    total = curves["reconstruction"] + 3 * curves["match"]
    assert np.allclose(curves["loss"], total, rtol=1e-12) and len(curves["discriminator"]) == 4
    assert "_loss_parts" not in model.__getstate__()


@pytest.mark.parametrize(("match", "beta_1"), [("non_saturating", 0.5), ("mmd", 0.9)])
def test_two_players_remember_less_of_their_gradients_than_a_loss(match, beta_1, monkeypatch):
    used, step = set(), Adam.step
    monkeypatch.setattr(
        Adam, "step", lambda self, *args: used.add(self.beta_1) or step(self, *args)
    )
    AdversarialAutoencoder(2, match=match, **SMALL).fit(X)
    assert used == {beta_1}


def test_both_players_have_the_momentum_of_the_model(monkeypatch):
    used, step = set(), SGD.step
    monkeypatch.setattr(
        SGD, "step", lambda self, *args: used.add(self.momentum) or step(self, *args)
    )
    AdversarialAutoencoder(2, solver="sgd", momentum=0.3, learning_rate=1e-3, **SMALL).fit(X)
    assert used == {0.3}


def test_each_player_has_its_learning_rate():
    one, other = (
        AdversarialAutoencoder(2, discriminator_learning_rate=rate, **SMALL)
        for rate in (None, 1e-9)
    )
    starts = []
    for model in (one, other):
        model.initialise(X)
        starts.append(model.parameters_.copy())
        model.fit(X)
    part = one.objectives()["discriminator"][1]
    assert np.abs(one.parameters_[part] - starts[0][part]).max() > 1e-3
    assert np.abs(other.parameters_[part] - starts[1][part]).max() < 1e-7


def test_noise_is_on_all_that_the_discriminator_sees():
    """Prior and codes at 0, a logit ‖z‖²: it is that of the noise."""
    model = AdversarialAutoencoder(
        2, hidden_layer_sizes=(), discriminator="quadratic", gradient_penalty=0.0,
        instance_noise=0.3, prior=lambda rng, n: np.zeros((n, 2)), random_state=0,
    )  # fmt: skip
    model.initialise(X)
    model.parameters_[...] = 0
    model.discriminator_.layers[-1].weight[:, 0] = 0, 0, 1, 0, 1
    match, _ = model.loss_and_gradient(0 * X, np.random.default_rng(0))
    noise = 0.3 * np.random.default_rng(0).standard_normal((2 * len(X), 2))
    logits = np.sum(noise**2, axis=1)
    loss, *_ = discriminator_loss(logits[: len(X)], logits[len(X) :])
    assert model._loss_parts["discriminator"] == pytest.approx(loss, rel=1e-13)
    assert match == pytest.approx(non_saturating_loss(logits[len(X) :])[0], rel=1e-13)


def test_a_model_that_has_learned_nothing_is_told_of_whatever_the_game_pays():
    """By its reconstructions: the saturating loss alone is below 0."""
    model = AdversarialAutoencoder(
        2, match="saturating", match_weight=50.0, **{**SMALL, "learning_rate": 1e-9}
    )
    with pytest.warns(ConvergenceWarning, match="is no better than to answer"):
        model.fit(X)


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"prior": "uniform"}, "prior must be 'normal', 'ring' or 'mixture'; got 'uniform'"),
        ({"prior": 3}, "prior must be"),
        ({"match": "hinge"}, "match must be"),
        ({"match_weight": -1e-9}, "match_weight must be finite and at least 0"),
        ({"gradient_penalty": -1e-9}, "gradient_penalty must be"),
        ({"instance_noise": -1e-9}, "instance_noise must be"),
        ({"discriminator": "cubic"}, "discriminator must be widths"),
        ({"discriminator": (0,)}, "width in discriminator"),
        ({"discriminator_learning_rate": 0.0}, "discriminator_learning_rate must be"),
        ({"solver": "lbfgs"}, "solver must be 'adam' or 'sgd'"),
        ({"prior": "ring", "n_components": 3}, "n_components must be 2 with prior='ring'"),
        ({"prior": "ring", "match": "mmd"}, "prior must be 'normal' with match='mmd'"),
        ({"early_stopping": True}, "early_stopping must be False with a discriminator"),
        ({"prior": lambda rng, n: np.zeros((n, 5))}, "prior must draw 3 codes if asked for 3"),
        ({"prior": lambda rng, n: np.full((n, 2), np.nan)}, "what prior draws"),
        ({"prior": lambda rng, n: np.zeros((7, 2))}, "prior must draw 3 codes if asked for 3"),
        ({"prior": lambda rng, n: np.zeros(n)}, "prior must draw 3 codes if asked for 3"),
    ],
)
def test_what_cannot_be_is_refused(params, words):
    model = AdversarialAutoencoder(**{**SMALL, **params})
    with pytest.raises(ValueError, match=words.replace("(", r"\(")):
        model.fit(X)
    assert not hasattr(model, "_parameters")


def test_without_weight_penalty_and_noise_encoder_and_decoder_play_no_game():
    """All three may be 0; an autoencoder of the same initial weights then learns the same."""
    none = {"match_weight": 0.0, "gradient_penalty": 0.0, "instance_noise": 0.0}
    model = AdversarialAutoencoder(2, **none, **SMALL)
    rows, alone = model.initialise(X), Autoencoder(2, hidden_layer_sizes=(4,))
    alone.initialise(X)
    n = len(alone.parameters_)
    alone.parameters_[...] = model.parameters_[:n]
    loss, gradient = model.loss_and_gradient(rows)
    right, right_gradient = alone.loss_and_gradient(rows)
    assert loss == pytest.approx(right, rel=1e-12)
    np.testing.assert_allclose(gradient[:n], right_gradient, rtol=1e-10, atol=1e-14)
    assert model.fit(X).n_iter_ == SMALL["max_iter"]


def test_a_prior_that_draws_another_number_in_a_batch_is_refused():
    model = AdversarialAutoencoder(2, prior=lambda rng, n: np.zeros((min(n, 3), 2)), **SMALL)
    with pytest.raises(ValueError, match=r"prior must draw \d+ codes .* got \(3, 2\)"):
        model.fit(X)


def test_validation_samples_are_refused_in_a_game():
    with pytest.raises(ValueError, match="X_validation must be None with a discriminator"):
        AdversarialAutoencoder(**SMALL).fit(X, X_validation=X)
    AdversarialAutoencoder(match="mmd", **SMALL).fit(X, X_validation=X)


def test_sampling_before_fit_is_refused():
    with pytest.raises(NotFittedError):
        AdversarialAutoencoder().sample(3)
    with pytest.raises(ValueError, match="n_samples"):
        AdversarialAutoencoder(**SMALL).fit(X).sample_prior(0)


def test_the_gaussians_of_the_mixture_are_round():
    """Ten on a circle of radius 2.5, of a deviation of 0.25 in every direction."""
    model = AdversarialAutoencoder(2, prior="mixture", **SMALL).fit(X)
    z = model.sample_prior(4000, random_state=0)
    turns = 2 * np.pi * np.arange(10) / 10
    centres = 2.5 * np.stack([np.cos(turns), np.sin(turns)], axis=1)
    off = z[:, None] - centres
    off = off[np.arange(4000), (off**2).sum(axis=2).argmin(axis=1)]  # 3 deviations apart
    error = 0.25**2 * (2 / 4000) ** 0.5
    np.testing.assert_allclose(off.T @ off / 4000, 0.25**2 * np.eye(2), atol=6 * error)


def test_one_sample_unless_asked_for_more():
    model = AdversarialAutoencoder(2, **SMALL).fit(X)
    assert model.sample().shape == (1, X.shape[1]) and model.sample_prior().shape == (1, 2)


def test_saved_and_loaded(tmp_path):
    model = AdversarialAutoencoder(2, prior="mixture", **SMALL).fit(X)
    model.save(tmp_path / "model.npz")
    again = load(tmp_path / "model.npz")
    assert np.array_equal(again.sample(5, random_state=1), model.sample(5, random_state=1))
    assert np.array_equal(again.partial_fit(X).parameters_, model.partial_fit(X).parameters_)
    own = AdversarialAutoencoder(2, prior=clover, **SMALL).fit(X)
    with pytest.raises(TypeError, match="prior cannot be written to a file"):
        own.save(tmp_path / "own.npz")


def test_a_later_change_of_the_game_waits_for_the_next_fit():
    model = AdversarialAutoencoder(2, **SMALL).fit(X)
    model.set_params(match="mmd").partial_fit(X)
    assert len(model.history_["discriminator"]) == 3
    model.fit(X)
    assert not hasattr(model, "discriminator_") and "discriminator" not in model.history_


def test_far_codes_and_many_dimensions_overflow_nothing():
    assert theory.game_gradients(120).saturating == 0
    # among codes, among the prior and across are the same three numbers, far below 1
    assert 0 <= abs(theory.gaussian_mmd(np.zeros(200), np.eye(200), 0.01)) < 1e-200
