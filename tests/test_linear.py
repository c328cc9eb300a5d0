"""Chapter 2: the linear autoencoder finds PCA, and everything else about its loss."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
import pytest
from effort import scale
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import least_squares
from theory_report import verify

from nanoae import Autoencoder, LinearAutoencoder, arrays, datasets, gradient_check, theory
from nanoae.arrays import Moments
from nanoae.exceptions import ConvergenceWarning
from nanoae.lbfgs import LBFGS
from nanoae.losses import squared_error
from nanoae.network import ACTIVATIONS, MLP, Parameters
from nanoae.optimizers import SGD, Adam

# Algebra that is exact on paper is held to 1e-12: some hundreds of roundings of 2.2e-16, and
# room for sums of numbers of unlike size.
EXACT = 1e-12


def triangular_factor(X, *, parts=1):
    """What training runs on in place of samples, which come in so many parts."""
    moments = Moments.of_nothing(X.shape[1], with_factor=True)
    for part in np.array_split(X, parts):
        if len(part):
            moments.add(part)
    rounding = 1e-13 * np.abs(X).max()
    np.testing.assert_allclose(moments.mean, X.mean(axis=0), rtol=0, atol=rounding)
    assert moments.n == len(X)
    assert moments.variance == pytest.approx(X.var(axis=0).sum(), rel=1e-12)
    return moments.few_rows


# --- Problems -----------------------------------------------------------------------------


class Problem(NamedTuple):
    """Samples ``X`` (n, d) off centre, a width k, and what is left of the generator."""

    X: np.ndarray
    k: int
    rng: np.random.Generator

    @property
    def centred(self):
        return self.X - self.X.mean(axis=0)

    @property
    def Sigma(self):
        return np.cov(self.X.T, bias=True).reshape(2 * self.X.shape[1:])

    @property
    def pca(self):
        return theory.pca(self.X)


def samples(rng, n, eigenvalues):
    """Samples whose covariance has the first n − 1 of the eigenvalues, to rounding; any n."""
    d, rank = len(eigenvalues), min(n - 1, len(eigenvalues))
    white = rng.standard_normal((n, rank))
    white = np.sqrt(n) * np.linalg.qr(white - white.mean(axis=0))[0]
    axes = np.linalg.qr(rng.standard_normal((d, d)))[0]
    offset = np.sqrt(eigenvalues.sum()) * rng.standard_normal(d)
    return white * np.sqrt(eigenvalues[:rank]) @ axes[:, :rank].T + offset


@st.composite
def gapped(draw, max_features=20):
    """λ_1/λ_k up to 100, λ_{k+1}/λ_k up to 0.95, d up to 20, n smaller and larger than d."""
    d = draw(st.integers(2, max_features))
    n = draw(st.integers(3, 3 * max_features))
    # the rest from a seed: left to itself, hypothesis prefers k = 1 and equal eigenvalues
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    k = int(rng.integers(1, min(d, n)))
    condition = 10 ** rng.uniform(0, 2)
    gap = 20 ** rng.uniform(-1, 0)  # 1 − λ_{k+1}/λ_k
    scale = 10 ** rng.uniform(-3, 3)
    leading = np.sort(condition ** rng.uniform(0, 1, k))[::-1]
    trailing = np.sort(rng.uniform(0, 1, d - k))[::-1]
    trailing *= (1 - gap) / trailing[0]
    eigenvalues = scale * np.concatenate([leading / leading[-1], trailing])
    return Problem(samples(rng, n, eigenvalues), k, rng)


@st.composite
def separated(draw, max_features=6, max_components=3):
    """Σ positive definite with all eigenvalues distinct: each 0.5 to 0.9 times the one before."""
    d = draw(st.integers(2, max_features))
    n = draw(st.integers(d + 1, 4 * max_features))
    k = draw(st.integers(1, min(d - 1, max_components)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    eigenvalues = np.cumprod(rng.uniform(0.5, 0.9, d)) * 10 ** rng.uniform(-3, 3)
    return Problem(samples(rng, n, eigenvalues), k, rng)


# --- Tools --------------------------------------------------------------------------------


def relative(a, b, scale=None):
    """Largest deviation over the largest value."""
    return np.max(np.abs(a - b)) / (np.max(np.abs(b)) if scale is None else scale)


def network(problem):
    """An untrained model, to look at its loss anywhere."""
    model = LinearAutoencoder(problem.k, random_state=0)
    model.initialise(problem.X)
    return model


def set_weights(model, W_e, W_d):
    model.encoder_.layers[0].weight[...] = W_e.T
    model.decoder_.layers[0].weight[...] = W_d.T


def gradients(model, X):
    """The backprop gradients by W_e and W_d."""
    model.loss_and_gradient(X)
    return model.encoder_.layers[0].grad_weight.T, model.decoder_.layers[0].grad_weight.T


def random_weights(problem):
    d, k = problem.X.shape[1], problem.k
    return problem.rng.standard_normal((k, d)), problem.rng.standard_normal((d, k))


def change_of_basis(rng, k):
    """An invertible matrix with singular values from 1/3 to 3."""
    P, Q = (np.linalg.qr(rng.standard_normal((k, k)))[0] for _ in range(2))
    return P * 3 ** rng.uniform(-1, 1, k) @ Q


def projector(W):
    """The orthogonal projector on the span of the columns of W."""
    Q = np.linalg.qr(W)[0]
    return Q @ Q.T


def angle_to_pca(problem, W_d):
    subspace = theory.linear_autoencoder_optimum(problem.X, problem.k)[1]
    return theory.largest_principal_angle(W_d, subspace)


# --- 2.1 The loss as traces, and its gradients --------------------------------------------


@pytest.mark.equation("2.1")
@pytest.mark.equation("2.1a")
@pytest.mark.equation("2.1b")
@given(gapped())
@settings(max_examples=50)
def test_loss_and_gradients_are_traces_of_the_covariance(problem):
    X, (W_e, W_d) = problem.centred, random_weights(problem)
    model = network(problem)
    set_weights(model, W_e, W_d)
    loss, _ = model.loss_and_gradient(X)
    verify("2.1", relative(theory.linear_autoencoder_loss(problem.Sigma, W_e, W_d), loss), EXACT)

    by_backprop = gradients(model, X)
    by_formula = theory.linear_autoencoder_gradients(problem.Sigma, W_e, W_d)
    verify("2.1a", relative(by_formula[1], by_backprop[1]), EXACT)
    verify("2.1b", relative(by_formula[0], by_backprop[0]), EXACT)


@pytest.mark.equation("2.1a")
@pytest.mark.equation("2.1b")
@given(gapped(max_features=6))
@settings(max_examples=20)
def test_gradients_are_derivatives_of_the_definition(problem):
    """The complex step: no formula but the definition of the loss, and no rounding floor."""
    X, weights = problem.centred, [W.astype(complex) for W in random_weights(problem)]
    analytic = theory.linear_autoencoder_gradients(problem.Sigma, *(W.real for W in weights))
    for number, W, gradient in zip(("2.1b", "2.1a"), weights, analytic, strict=True):
        numeric = np.empty_like(gradient)
        for place in np.ndindex(W.shape):
            W[place] += 1e-30j
            W_e, W_d = weights
            numeric[place] = (np.sum((X - X @ W_e.T @ W_d.T) ** 2) / len(X)).imag / 1e-30
            W[place] = W[place].real
        verify(number, relative(numeric, gradient), EXACT)


@given(gapped(max_features=6))
@settings(max_examples=10)
def test_backprop_agrees_with_differences(problem):
    assert gradient_check(LinearAutoencoder(problem.k), problem.X).error <= 1e-7
    assert gradient_check(LinearAutoencoder(problem.k, weight_decay=0.3), problem.X).error <= 1e-7


# --- 2.2 Where both gradients vanish ------------------------------------------------------


def stationary_points(Sigma, k, rng, n_starts):
    """Zeros of both gradients, by Levenberg–Marquardt from random starts.

    It minimises the size of the gradients, not the loss, so saddles attract it like minima; and
    it knows nothing of eigenvectors.
    """
    d = len(Sigma)

    def both_gradients(values):
        W_e, W_d = values[: k * d].reshape(k, d), values[k * d :].reshape(d, k)
        return np.concatenate(
            [grad.ravel() for grad in theory.linear_autoencoder_gradients(Sigma, W_e, W_d)]
        )

    found = 0
    for _ in range(4 * n_starts):
        end = least_squares(
            both_gradients, rng.standard_normal(2 * k * d), method="lm",
            xtol=1e-15, ftol=1e-15, gtol=1e-15, max_nfev=1000,
        )  # fmt: skip
        # one start in 700 creeps for ever along a valley where one matrix grows as the other
        # shrinks, and the gradients with it: no zero, only a limit
        if np.abs(end.fun).max() <= 1e-13:
            yield end.x[: k * d].reshape(k, d), end.x[k * d :].reshape(d, k)
            found += 1
            if found == n_starts:
                return
    raise AssertionError(f"only {found} of {4 * n_starts} starts came to a stationary point")


@pytest.mark.equation("2.2")
@pytest.mark.equation("2.2a")
@pytest.mark.equation("2.2b")
@pytest.mark.equation("2.5")
@given(separated(max_features=5))
@settings(max_examples=12)
def test_stationary_points_are_projectors_on_eigenvectors(problem):
    """(2.5), the half that says: there are no others."""
    Sigma = problem.Sigma / np.trace(problem.Sigma)
    projectors = [
        point.decoder_weight @ point.encoder_weight
        for point in theory.critical_points(problem.X, problem.k)
    ]
    for W_e, W_d in stationary_points(Sigma, problem.k, problem.rng, n_starts=5):
        # gradients of 1e-13 at most, divided by 2 λ_d of 0.01 at least: 1e-11; room for cond(W_d)
        M = W_d @ W_e
        verify("2.5", min(np.abs(M - P).max() for P in projectors), 1e-9)
        verify("2.2b", np.abs(M @ Sigma - Sigma @ M).max(), 1e-9)
        if np.linalg.matrix_rank(W_d, tol=1e-3) == problem.k:
            verify("2.2", np.abs(W_e @ W_d - np.eye(problem.k)).max(), 1e-9)
            verify("2.2a", np.abs(M - projector(W_d)).max(), 1e-9)


@pytest.mark.equation("2.2")
@pytest.mark.equation("2.2a")
@pytest.mark.equation("2.2b")
@given(separated(max_features=12, max_components=8))
@settings(max_examples=20)
def test_trained_models_project(problem):
    model = LinearAutoencoder(problem.k, random_state=problem.rng).fit(problem.X)
    W_e, W_d, Sigma = model.encoder_weight_, model.decoder_weight_, problem.Sigma
    P = projector(W_d)
    # training ends at gradients 1e-11 of the first ones; the smallest curvature is some 1e-4 of
    # the largest here
    verify("2.2", np.abs(W_e @ W_d - np.eye(problem.k)).max(), 1e-6)
    verify("2.2a", np.abs(W_d @ W_e - P).max(), 1e-6)
    verify("2.2b", np.abs(P @ Sigma - Sigma @ P).max() / np.abs(Sigma).max(), 1e-6)


@pytest.mark.equation("2.2c")
@given(st.integers(0, 2**32))
@settings(max_examples=15)
def test_off_the_data_the_product_is_free(seed):
    """With n ≤ d, Σ is singular: a projection holds on the data, and only there."""
    rng = np.random.default_rng(seed)
    d = int(rng.integers(6, 16))
    n = int(rng.integers(4, d))
    k = int(rng.integers(1, n - 1))
    problem = Problem(samples(rng, n, np.cumprod(rng.uniform(0.5, 0.9, d))), k, rng)
    model = LinearAutoencoder(k, random_state=rng).fit(problem.X)
    W_e, W_d, Sigma = model.encoder_weight_, model.decoder_weight_, problem.Sigma
    P = projector(W_d)
    verify("2.2c", relative(W_d @ W_e @ Sigma, P @ Sigma), 1e-6)
    assert np.abs(W_d @ W_e - P).max() > 1e-3  # the initial weights still stand there


# --- 2.3 The global minimum is PCA --------------------------------------------------------


def distance_to_pca(problem, **hyperparameters):
    """The angle to the principal subspace, and the relative error of the least loss."""
    model = LinearAutoencoder(problem.k, random_state=problem.rng, **hyperparameters)
    model.fit(problem.X)
    least = theory.linear_autoencoder_optimum(problem.X, problem.k)[0]
    # Where (next to) nothing is left out, an error of training is what is left: the square of
    # W_e W_d − I, some 1e-16 of tr Σ. So the error is relative down to 1e-6 of tr Σ.
    scale = max(least, 1e-6 * problem.pca.eigenvalues.sum())
    loss_error = abs(model.loss_ - least) / scale
    return angle_to_pca(problem, model.decoder_weight_), loss_error


@pytest.mark.equation("2.3")
@pytest.mark.equation("2.3a")
@pytest.mark.parametrize("solver", ["alternating", "lbfgs"])
@given(problem=gapped())
@settings(max_examples=40)
def test_training_finds_the_principal_subspace(solver, problem):
    angle, loss_error = distance_to_pca(problem, solver=solver)
    verify("2.3a", angle, 1e-6)
    verify("2.3", loss_error, 1e-8)


@pytest.mark.equation("2.3a")
@pytest.mark.parametrize("scale", [1 / 2000, 2000])
@pytest.mark.parametrize("seed", range(5))
def test_training_finds_it_from_far_out_in_a_valley(scale, seed):
    """Where the columns of W_d are millions of times as long as the rows of W_e, or the reverse.

    Some random starts lead there: one fit in 10,000 or so.
    """
    rng = np.random.default_rng(seed)
    problem = Problem(samples(rng, 30, np.array([5.0, 4.0, 3.0, 2.0, 1.0])), 2, rng)
    model = LinearAutoencoder(2, random_state=rng).fit(problem.X)
    model.encoder_weight_[...] = rng.standard_normal((2, 5)) / scale
    model.decoder_weight_[...] = rng.standard_normal((5, 2)) * scale
    model.partial_fit(problem.X)
    verify("2.3a", angle_to_pca(problem, model.decoder_weight_), 1e-6)


def test_a_unit_far_out_is_brought_back_and_says_the_same():
    rng = np.random.default_rng(0)
    X = samples(rng, 30, np.array([5.0, 4.0, 3.0, 2.0, 1.0]))
    model = LinearAutoencoder(2, random_state=rng).fit(X)
    W_e, W_d = model.encoder_weight_, model.decoder_weight_
    before = model.reconstruct(X)
    W_e[1] *= 1e-4
    W_d[:, 1] *= 1e4
    assert model._balance()
    np.testing.assert_allclose(np.linalg.norm(W_e, axis=1), np.linalg.norm(W_d, axis=0))
    np.testing.assert_allclose(model.reconstruct(X), before)
    assert not model._balance()  # done is done
    W_e[0], W_d[:, 0] = 0, 0  # a unit that says nothing cannot be brought to any length
    W_e[1] *= 1e-4
    left = model.parameters_.copy()
    assert not model._balance()
    np.testing.assert_array_equal(model.parameters_, left)


@pytest.mark.equation("2.3c")
@pytest.mark.parametrize("solver", ["adam", "sgd"])
@given(problem=gapped())
@settings(max_examples=5)
def test_first_order_training_finds_the_principal_subspace(solver, problem):
    eigenvalues = problem.pca.eigenvalues
    assume(-np.diff(eigenvalues)[problem.k - 1] >= 1e-3 * eigenvalues.sum())
    verify("2.3c", distance_to_pca(problem, solver=solver)[0], 1e-2)


@pytest.mark.equation("2.3c")
@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_first_order_training_where_the_other_eigenvalues_are_equal(solver):
    """The worst spectrum that we know, with a gap just above the limit."""
    eigenvalues = np.r_[1.0345, np.ones(29)]
    assert 1e-3 < (eigenvalues[0] - eigenvalues[1]) / eigenvalues.sum() < 1.2e-3
    X = datasets.make_gaussian(90, eigenvalues, exact=True, random_state=0)
    angle, _ = distance_to_pca(Problem(X, 1, np.random.default_rng(0)), solver=solver)
    verify("2.3c", angle, 1e-2)


def test_with_a_small_eigengap_first_order_training_runs_out_of_epochs():
    """The exception that the text makes of (2.3c)."""
    eigenvalues = np.array([1, 0.8, 0.7, 0.6, 0.5, 0.45, 0.3, 0.0177, 0.0167])
    X = datasets.make_gaussian(30, eigenvalues, exact=True, random_state=0)
    model = LinearAutoencoder(8, solver="sgd", random_state=1).fit(X)
    assert model.n_iter_ == 20_000
    subspace = theory.linear_autoencoder_optimum(X, 8)[1]
    assert theory.largest_principal_angle(model.decoder_weight_, subspace) > 1e-2


@pytest.mark.equation("2.3")
@pytest.mark.equation("2.3a")
@pytest.mark.parametrize("solver", ["alternating", "lbfgs"])
def test_training_finds_the_principal_subspace_of_the_digits(solver):
    digits = Problem(datasets.load_digits().X, 8, np.random.default_rng(0))
    angle, loss_error = distance_to_pca(digits, solver=solver)
    verify("2.3a", angle, 1e-6)
    verify("2.3", loss_error, 1e-8)


@pytest.mark.slow
@pytest.mark.equation("2.3c")
@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_first_order_training_on_the_digits(solver):
    digits = Problem(datasets.load_digits().X, 8, np.random.default_rng(0))
    verify("2.3c", distance_to_pca(digits, solver=solver)[0], 1e-2)


@pytest.mark.equation("2.3b")
@given(gapped())
@settings(max_examples=50)
def test_the_excess_loss_bounds_the_angle(problem):
    X, k, (_, U, eigenvalues) = problem.centred, problem.k, problem.pca
    gap, total = eigenvalues[k - 1] - eigenvalues[k], eigenvalues.sum()
    least = eigenvalues[k:].sum()
    for size in (1.0, 0.1, 1e-3):
        W_d = U[:, :k] + size * problem.rng.standard_normal(U[:, :k].shape)
        W_e = np.linalg.pinv(W_d) + size * problem.rng.standard_normal((k, len(U)))
        loss = np.sum((X - X @ W_e.T @ W_d.T) ** 2) / len(X)
        bound = gap * np.sin(angle_to_pca(problem, W_d)) ** 2
        verify("2.3b", max(0, bound - (loss - least)) / total, EXACT)

    # and no better bound is true: turning u_k towards u_{k+1} reaches it
    turn = problem.rng.uniform(0.1, 1.4)
    W_d = U[:, :k].copy()
    W_d[:, -1] = np.cos(turn) * U[:, k - 1] + np.sin(turn) * U[:, k]
    loss = np.sum((X - X @ W_d @ W_d.T) ** 2) / len(X)
    verify("2.3b", abs(gap * np.sin(turn) ** 2 - (loss - least)) / total, EXACT)


# --- 2.4 The minimisers are one orbit -----------------------------------------------------


@pytest.mark.equation("2.4")
@given(gapped())
@settings(max_examples=50)
def test_the_loss_is_the_same_along_an_orbit(problem):
    X, (W_e, W_d), model = problem.centred, random_weights(problem), network(problem)
    set_weights(model, W_e, W_d)
    loss = model.loss_and_gradient(X)[0]
    G = change_of_basis(problem.rng, problem.k)
    set_weights(model, np.linalg.inv(G) @ W_e, W_d @ G)
    verify("2.4", relative(model.loss_and_gradient(X)[0], loss), EXACT)


@pytest.mark.equation("2.4a")
@given(separated(max_features=12, max_components=8))
@settings(max_examples=15)
def test_two_minimisers_differ_by_an_invertible_matrix(problem):
    first, second = (
        LinearAutoencoder(problem.k, random_state=problem.rng).fit(problem.X) for _ in range(2)
    )
    G = first.encoder_weight_ @ second.decoder_weight_
    assert np.abs(G - np.eye(problem.k)).max() > 1e-6  # another point of the orbit
    back = np.linalg.solve(G, first.encoder_weight_)
    # 1e-8 from training (2.3a), times the sizes of G and its inverse
    verify("2.4a", relative(first.decoder_weight_ @ G, second.decoder_weight_), 1e-6)
    verify("2.4a", relative(back, second.encoder_weight_), 1e-6)


@pytest.mark.equation("2.4b")
@given(gapped())
@settings(max_examples=50)
def test_the_orbits_conserved_quantity(problem):
    (W_e, W_d), model = random_weights(problem), network(problem)
    set_weights(model, W_e, W_d)
    grad_W_e, grad_W_d = gradients(model, problem.centred)
    verify("2.4b", relative(W_d.T @ grad_W_d, grad_W_e @ W_e.T), EXACT)


# --- 2.5 All other critical points are strict saddles -------------------------------------


def hessian(model, X):
    """Second derivatives of the model's loss, by differences of its backprop gradient.

    The gradient is a polynomial of degree 3 in the weights, for which the fourth-order
    difference has no error but rounding, at any step.
    """
    values, start = model.parameters_, model.parameters_.copy()

    def gradient_at(place, step):
        values[...] = start
        values[place] += step
        return model.loss_and_gradient(X)[1].copy()

    h = 0.1
    return np.array(
        [
            (
                8 * (gradient_at(place, h) - gradient_at(place, -h))
                - (gradient_at(place, 2 * h) - gradient_at(place, -2 * h))
            )
            / (12 * h)
            for place in range(len(start))
        ]
    )


@pytest.mark.equation("2.5")
@pytest.mark.equation("2.5a")
@given(separated())
@settings(max_examples=12)
def test_every_set_of_eigenvectors_is_critical(problem):
    """(2.5), the half that says: these are, on all of their orbits."""
    X, model, total = problem.centred, network(problem), np.trace(problem.Sigma)
    for point in theory.critical_points(problem.X, problem.k):
        G = change_of_basis(problem.rng, problem.k)
        set_weights(model, np.linalg.solve(G, point.encoder_weight), point.decoder_weight @ G)
        loss, gradient = model.loss_and_gradient(X)
        verify("2.5", np.abs(gradient).max() / total, EXACT)
        verify("2.5a", abs(loss - point.loss) / point.loss, 1e-10)


@pytest.mark.equation("2.5b")
@pytest.mark.equation("2.5c")
@pytest.mark.equation("2.5d")
@given(separated())
@settings(max_examples=6)
def test_every_other_critical_point_has_a_way_down(problem):
    X, model, (_, _, eigenvalues) = problem.centred, network(problem), problem.pca
    least = theory.linear_autoencoder_optimum(problem.X, problem.k)[0]
    n_minima = 0
    for point in theory.critical_points(problem.X, problem.k):
        W_e, W_d = point.encoder_weight, point.decoder_weight
        set_weights(model, W_e, W_d)
        H = hessian(model, X)
        by_theory = theory.critical_point_hessian(eigenvalues, problem.k, point.kept)
        # differences of numbers of size λ_1, some roundings each, divided by h
        scale = eigenvalues[0]
        verify("2.5d", relative(np.linalg.eigvalsh((H + H.T) / 2), by_theory, scale), 1e-11)

        if point.direction is None:
            n_minima += 1
            assert abs(point.loss - least) <= EXACT * least
            continue
        number = "2.5b" if len(point.kept) == problem.k else "2.5c"
        set_weights(model, *point.direction)
        direction = model.parameters_.copy()  # the same layout as the gradient
        assert abs(direction @ direction - 1) <= EXACT
        assert point.curvature < 0
        verify(number, abs(direction @ H @ direction - point.curvature) / scale, 1e-11)

        # the loss along the way is a polynomial in t, known to the last term, on all the orbit
        D_e, D_d = point.direction
        gained = min(set(range(len(eigenvalues))) - set(point.kept))
        G = change_of_basis(problem.rng, problem.k)
        for t in (0.1, 0.5, 1.0):
            set_weights(model, np.linalg.solve(G, W_e + t * D_e), (W_d + t * D_d) @ G)
            expected = point.loss + point.curvature * t**2 / 2 + eigenvalues[gained] * t**4 / 4
            error = abs(model.loss_and_gradient(X)[0] - expected)
            verify(number, error / eigenvalues.sum(), EXACT)
    assert n_minima == 1


@pytest.mark.equation("2.5e")
@given(separated(max_features=4, max_components=2))
@settings(max_examples=3)
def test_gradient_descent_leaves_every_saddle(problem):
    X, model = triangular_factor(problem.centred), network(problem)
    least, total = theory.linear_autoencoder_optimum(problem.X, problem.k)[0], np.sum(X * X)
    for point in theory.critical_points(problem.X, problem.k):
        set_weights(model, point.encoder_weight, point.decoder_weight)
        push = problem.rng.standard_normal(len(model.parameters_))
        model.parameters_[...] += 1e-6 * push / np.linalg.norm(push)
        optimizer = SGD(0.1 / (total / len(X)), momentum=0.9)
        for _ in range(3000):
            loss, gradient = model.loss_and_gradient(X)
            optimizer.step(model.parameters_, gradient)
        # a step's gain is 1/tr Σ (momentum included), and curvatures are 0.02 tr Σ or more, so
        # 3000 steps are 60 factors of e: 14 to outgrow 1e-6, and plenty left to settle down
        verify("2.5e", abs(loss - least) / least, 1e-8)


@pytest.mark.parametrize("k", [0, 3])
def test_critical_points_are_of_codes_narrower_than_the_data(k):
    with pytest.raises(ValueError, match=f"^n_components must be from 1 to 2, below d; got {k}.$"):
        theory.critical_points(np.eye(4, 3), k)


# --- 2.6 Training on a factor of the data -------------------------------------------------


@pytest.mark.equation("2.6")
@given(gapped())
@settings(max_examples=50)
def test_a_triangular_factor_stands_for_the_data(problem):
    X, model = problem.centred, network(problem)
    set_weights(model, *random_weights(problem))
    loss, gradient = model.loss_and_gradient(X)
    gradient = gradient.copy()
    for parts in (1, 2, 5):  # samples may come bit by bit, each part with a mean of its own
        R = triangular_factor(X, parts=parts)
        assert len(R) <= X.shape[1]
        loss_on_R, gradient_on_R = model.loss_and_gradient(R)
        verify("2.6", relative(loss_on_R, loss), EXACT)
        verify("2.6", relative(gradient_on_R, gradient), EXACT)


# --- 2.7 Alternating least squares --------------------------------------------------------


def after_sweeps(problem, n_sweeps, seed):
    """The decoder after so many sweeps; 0 sweeps are the initial weights."""
    model = LinearAutoencoder(
        problem.k, solver="alternating", max_iter=max(n_sweeps, 1), tol=0, random_state=seed
    )
    if n_sweeps == 0:
        model.initialise(problem.X)
        return model.decoder_weight_.copy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # stopping short is the point
        return model.fit(problem.X).decoder_weight_


def tangents(problem, W_d):
    """T, whose singular values are the tangents of the angles to the principal subspace."""
    along = problem.pca.components.T @ W_d
    return along[problem.k :] @ np.linalg.inv(along[: problem.k])


@pytest.mark.equation("2.7")
@pytest.mark.equation("2.7a")
@pytest.mark.equation("2.7b")
@given(separated(max_features=10, max_components=6), st.integers(0, 5))
@settings(max_examples=30)
def test_a_sweep_multiplies_by_the_covariance(problem, n_sweeps):
    X, k, (_, U, eigenvalues) = problem.centred, problem.k, problem.pca
    W_d, swept = (after_sweeps(problem, n_sweeps + i, seed=0) for i in range(2))

    # the two least-squares problems of a sweep, left to a solver that knows no formula:
    W_e = np.linalg.lstsq(W_d, np.eye(len(U)), rcond=None)[0]  # h minimises ‖x − W_d h‖²
    best_W_d = np.linalg.lstsq(X @ W_e.T, X, rcond=None)[0].T
    # cond(W_d)² and cond(Σ) up to some 1e3 each, on 1e-16
    verify("2.7", theory.largest_principal_angle(swept, best_W_d), 1e-9)
    verify("2.7", theory.largest_principal_angle(swept, problem.Sigma @ W_d), 1e-9)

    T, T_swept = tangents(problem, W_d), tangents(problem, swept)
    by_theory = eigenvalues[k:, None] * T / eigenvalues[:k]
    verify("2.7a", relative(T_swept, by_theory), 1e-9)
    shrunk = np.linalg.norm(T_swept, 2) / np.linalg.norm(T, 2)
    verify("2.7b", max(0, shrunk / (eigenvalues[k] / eigenvalues[k - 1]) - 1), 1e-9)


@pytest.mark.equation("2.7c")
@given(separated(max_features=10, max_components=6))
@settings(max_examples=30)
def test_the_rate_of_alternating_sweeps(problem):
    k, (_, _, eigenvalues) = problem.k, problem.pca
    rate = eigenvalues[k] / eigenvalues[k - 1]
    n_sweeps = 60
    while True:  # but no further than where the angle is 1e-9, and rounding has its say
        T, T_swept = (
            tangents(problem, after_sweeps(problem, n, seed=0)) for n in (n_sweeps, n_sweeps + 1)
        )
        angles = np.linalg.norm(T, 2), np.linalg.norm(T_swept, 2)
        if angles[1] > 1e-9:
            break
        n_sweeps -= 5
    # it is the rate once the slowest entry is all that is left: the others fall faster by 0.9 a
    # sweep at least, which is enough but for a start with very little of the slowest
    assume(T[0, -1] ** 2 > 0.999 * np.sum(T**2))
    verify("2.7c", abs(angles[1] / angles[0] / rate - 1), 0.01)


# --- 2.8 What a nonlinear hidden layer cannot do, and what two can ------------------------


class Shallow:
    """``x̂ = W_d f(W_e x + b_e) + b_d``: one hidden layer, which is the code."""

    def __init__(self, n_features, k, activation):
        self.net = MLP((n_features, k, n_features), activation)
        self.parameters = Parameters({"net": self.net})

    def loss_and_gradient(self, X):
        loss, grad = squared_error(self.net.forward(X), X)
        self.net.backward(grad, input_gradient=False)
        return loss, self.parameters.gradient

    def train(self, X, rng):
        self.net.initialise(rng)
        LBFGS(
            lambda: self.loss_and_gradient(X), self.parameters.values,
            max_iter=300, tol=1e-6, callback=lambda loss: None,
        ).minimise()  # fmt: skip
        return self.loss_and_gradient(X)[0]


@pytest.mark.equation("2.8")
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_shallow_autoencoder_does_not_beat_pca(activation):
    above = []

    @given(gapped(max_features=8))
    @settings(max_examples=10)
    def check(problem):
        # of unit size, and off centre: the two biases have work to do
        X = problem.centred / np.sqrt(np.trace(problem.Sigma)) + 0.2
        least = theory.linear_autoencoder_optimum(X, problem.k)[0]
        shallow = Shallow(X.shape[1], problem.k, activation)
        loss = min(shallow.train(X, problem.rng) for _ in range(2))
        verify("2.8", max(0, least - loss), EXACT)
        above.append(loss - least)

    scale(check)
    check()
    assert np.median(above) < 0.01  # the networks did learn: the bound was in reach


@pytest.mark.equation("2.8")
@given(gapped(max_features=8))
@settings(max_examples=30)
def test_no_codes_whatever_beat_pca(problem):
    """Codes from a table, from the samples' own angles, or the best there are: same bound."""
    X, k = problem.centred, problem.k
    least, subspace = theory.linear_autoencoder_optimum(X, k)
    scores = X @ subspace
    for H in (problem.rng.standard_normal(scores.shape), np.arctan(X[:, :k]), scores):
        with_bias = np.column_stack([H, np.ones(len(H))])
        x_hat = with_bias @ np.linalg.lstsq(with_bias, X, rcond=None)[0]
        loss = np.sum((X - x_hat) ** 2) / len(X)
        verify("2.8", max(0, least - loss) / np.trace(problem.Sigma), EXACT)
    # the best codes reach it: the bound is not merely safe
    verify("2.8", abs(least - loss) / np.trace(problem.Sigma), EXACT)


@pytest.mark.equation("2.8a")
@given(gapped(max_features=8))
@settings(max_examples=30)
def test_a_relu_reaches_pca(problem):
    X, k = problem.X, problem.k
    least, U = theory.linear_autoencoder_optimum(X, k)
    shallow = Shallow(X.shape[1], k, "relu")
    encoder, decoder = shallow.net.layers
    encoder.weight[...], decoder.weight[...] = U, U.T
    mean = X.mean(axis=0)
    shift = 1 + np.abs((X - mean) @ U).max()  # every unit is on for every sample
    encoder.bias[...] = shift - mean @ U
    decoder.bias[...] = mean - shift * U.sum(axis=1)
    error = abs(shallow.loss_and_gradient(X)[0] - least)
    verify("2.8a", error / np.trace(problem.Sigma), EXACT)


@pytest.mark.equation("2.8b")
@given(gapped(max_features=8))
@settings(max_examples=30)
def test_a_tanh_comes_as_near_as_you_like(problem):
    X = problem.centred / np.sqrt(np.trace(problem.Sigma))
    least, U = theory.linear_autoencoder_optimum(X, problem.k)
    shallow = Shallow(X.shape[1], problem.k, "tanh")
    encoder, decoder = shallow.net.layers
    epsilon = 0.02
    encoder.weight[...], decoder.weight[...] = epsilon * U, U.T / epsilon
    excess = shallow.loss_and_gradient(X)[0] - least
    by_theory = epsilon**4 / 9 * np.sum((X @ U) ** 6) / len(X)
    # the next term, −4 ε⁶ y⁸ / 45, is smaller by 0.8 ε² y² at least; 1e-15 is for rounding
    bound = epsilon**2 * np.max((X @ U) ** 2) + 1e-15 / by_theory
    verify("2.8b", abs(excess / by_theory - 1), bound)


@pytest.mark.filterwarnings("ignore::nanoae.ConvergenceWarning")  # far enough
@pytest.mark.equation("2.8c")
@pytest.mark.parametrize("seed", range(3))
def test_layers_on_both_sides_of_the_code_beat_pca(seed):
    X = datasets.make_curve(400, noise=0.05, random_state=seed)
    least = theory.linear_autoencoder_optimum(X, 1)[0]
    deep = Autoencoder(
        1, hidden_layer_sizes=(32,), activation="tanh", solver="lbfgs", max_iter=300,
        random_state=seed,
    ).fit(X)  # fmt: skip
    verify("2.8c", deep.reconstruction_error(X).mean() / least, 1 / 5)


# --- PCA itself, and precision ------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 3, 5, 9])
def test_pca_has_an_axis_for_every_feature_however_few_the_samples(n):
    X = np.random.default_rng(n).standard_normal((n, 5))
    mean, U, eigenvalues = theory.pca(X)
    np.testing.assert_allclose(U.T @ U, np.eye(5), rtol=0, atol=EXACT)
    Sigma = (X - mean).T @ (X - mean) / n
    np.testing.assert_allclose(U * eigenvalues @ U.T, Sigma, rtol=0, atol=EXACT)


@pytest.mark.parametrize("as_given", [np.float32, np.int64])
def test_closed_forms_are_computed_in_float64_whatever_they_are_given(as_given):
    X = (10 * np.random.default_rng(0).standard_normal((7, 3))).astype(as_given)
    values, plain = np.array([9.1, 4.3, 2.2]).astype(as_given), X.astype(np.float64)
    np.testing.assert_equal(theory.pca(X), theory.pca(plain))
    np.testing.assert_equal(
        theory.critical_point_hessian(values, 2, (1,)),
        theory.critical_point_hessian(values.astype(np.float64), 2, (1,)),
    )


# --- 2.9 Weight decay ---------------------------------------------------------------------


@pytest.mark.equation("2.9")
@pytest.mark.equation("2.9a")
@pytest.mark.equation("2.9b")
@pytest.mark.equation("2.9c")
@given(separated(max_features=10, max_components=9), st.floats(0.01, 0.95), st.integers(0, 10))
@settings(max_examples=40)
def test_weight_decay_finds_the_axes_themselves(problem, fraction, place):
    # λ_w below one of the eigenvalues, by 5 % at least: at λ_w = λ_i the minimum is degenerate
    eigenvalues = problem.pca.eigenvalues
    weight_decay = fraction * eigenvalues[place % len(eigenvalues)]
    assume(np.abs(eigenvalues / weight_decay - 1).min() > 0.05)
    model = LinearAutoencoder(  # little decay is a flat valley for the axes to turn in
        problem.k, weight_decay=weight_decay, tol=1e-13, random_state=problem.rng
    ).fit(problem.X)
    optimum = theory.weight_decay_optimum(problem.X, problem.k, weight_decay)

    verify("2.9", np.abs(model.encoder_weight_ - model.decoder_weight_.T).max(), 1e-6)
    axes, singular_values, _ = np.linalg.svd(model.decoder_weight_, full_matrices=False)
    verify("2.9a", np.abs(singular_values - optimum.singular_values).max(), 1e-6)
    for i in np.flatnonzero(optimum.singular_values):
        angle = theory.largest_principal_angle(axes[:, [i]], optimum.axes[:, [i]])
        verify("2.9b", angle, 1e-5)
    verify("2.9c", abs(model.loss_ / optimum.loss - 1), 1e-10)


@pytest.mark.equation("2.9")
@given(gapped(max_features=6))
@settings(max_examples=10)
def test_weight_decay_ties_the_weights_at_every_critical_point(problem):
    """Saddles included, Σ singular or not: again by a finder that takes them as they come."""
    d, k = problem.X.shape[1], problem.k
    Sigma = problem.Sigma / np.trace(problem.Sigma)
    decay = 0.02

    def both_gradients(values):
        W_e, W_d = values[: k * d].reshape(k, d), values[k * d :].reshape(d, k)
        grad_W_e, grad_W_d = theory.linear_autoencoder_gradients(Sigma, W_e, W_d)
        return np.concatenate(
            [(grad_W_e + 2 * decay * W_e).ravel(), (grad_W_d + 2 * decay * W_d).ravel()]
        )

    for _ in range(3):
        found = least_squares(
            both_gradients, problem.rng.standard_normal(2 * k * d), method="lm",
            xtol=1e-15, ftol=1e-15, gtol=1e-15, max_nfev=20_000,
        )  # fmt: skip
        if np.abs(found.fun).max() > 1e-12:
            continue  # it got stuck elsewhere
        W_e, W_d = found.x[: k * d].reshape(k, d), found.x[k * d :].reshape(d, k)
        # (S + λ_w)(W_d − W_eᵀ) is the gradient's antisymmetric part: 1e-12 / λ_w
        verify("2.9", np.abs(W_e - W_d.T).max(), 1e-9)


@pytest.mark.equation("2.9a")
@pytest.mark.equation("2.9c")
@pytest.mark.parametrize("seed", range(3))
def test_weight_decay_with_equal_eigenvalues(seed):
    """Sizes and loss are as ever; the singular vectors are told no further than to a plane."""
    X = datasets.make_gaussian(20, [3.0, 2.0, 2.0, 1.0], exact=True, random_state=seed)
    model = LinearAutoencoder(3, weight_decay=0.5, tol=1e-13, random_state=seed).fit(X)
    axes, singular_values, _ = np.linalg.svd(model.decoder_weight_, full_matrices=False)
    expected = np.sqrt(1 - 0.5 / np.array([3, 2, 2]))
    verify("2.9a", np.abs(singular_values - expected).max(), 1e-6)
    kept = 2.5**2 / 3 + 2 * 1.5**2 / 2
    verify("2.9c", abs(model.loss_ / (8 - kept) - 1), 1e-10)
    U = theory.pca(X).components
    assert theory.largest_principal_angle(axes[:, 1:], U[:, 1:3]) <= 1e-5


@pytest.mark.parametrize("k", [4, 6])
def test_weight_decay_alone_does_not_keep_a_wide_code_from_copying(k):
    X = datasets.make_gaussian(20, [3.0, 2.0, 1.0, 0.5], exact=True, random_state=0)
    model = Autoencoder(
        k, hidden_layer_sizes=(), solver="lbfgs", weight_decay=0.1, max_iter=5000, tol=1e-13,
        random_state=0,
    ).fit(X)  # fmt: skip
    product = (model.encoder_.layers[0].weight @ model.decoder_.layers[0].weight).T
    copied = np.eye(4) - 0.1 * np.linalg.inv(X.T @ X / len(X))
    np.testing.assert_allclose(product, copied, rtol=0, atol=1e-6)


def test_weight_decay_beyond_every_eigenvalue_leaves_nothing():
    X = datasets.make_gaussian(50, [2.0, 1.0, 0.5], exact=True, random_state=0)
    model = LinearAutoencoder(2, weight_decay=2.1, random_state=0).fit(X)
    assert np.abs(model.parameters_).max() <= 1e-6
    assert theory.weight_decay_optimum(X, 2, 2.1).loss == pytest.approx(3.5, rel=1e-12)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("shape", [[0, 1, 2, 3], [0, 3, 3, 3], [0, 0, 0, 3]])
@pytest.mark.parametrize("exponent", range(8))
def test_triangular_factor_has_the_singular_values_of_the_rows_however_small(
    exponent, shape, scale
):
    """By a QR decomposition to ε times the condition; by products where 1e-11 is as good."""
    rng = np.random.default_rng(0)
    left, right = (np.linalg.qr(rng.standard_normal((n, 4)))[0] for n in (30, 4))
    true = scale * 10.0 ** (-exponent / 3 * np.array(shape))
    found = np.linalg.svd(arrays.triangular_factor(left * true @ right), compute_uv=False)
    np.testing.assert_allclose(found, true, rtol=1e-11 + 20 * 2.2e-16 * 10**exponent)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_alternation_knows_what_rounding_leaves_of_its_tol(dtype):
    X = np.random.default_rng(0).standard_normal((400, 200)) * np.geomspace(30, 1, 200)
    model = LinearAutoencoder(20, solver="alternating", tol=0, random_state=0)
    model.fit(X.astype(dtype))  # without the warning that it did not converge
    assert 5 < model.n_iter_ < 2000


def test_what_is_kept_of_float32_samples_is_float64():
    X = np.random.default_rng(0).standard_normal((40, 5)).astype(np.float32)
    moments = Moments.of_nothing(5, with_factor=True)
    for part in (X[:3], X[3:30], X[30:]):
        moments.add(part)
        assert moments.mean.dtype == moments.few_rows.dtype == np.float64
    np.testing.assert_allclose(moments.mean, X.astype(np.float64).mean(axis=0), rtol=1e-14)
    assert LinearAutoencoder(2, random_state=0).fit(X).mean_.dtype == np.float32


def steps(solver, total):
    if solver == "sgd":
        return SGD(1e-3 / total, momentum=0.9)  # of the samples' variance, so that units cancel
    return Adam(1e-3)


@pytest.mark.filterwarnings("ignore::nanoae.ConvergenceWarning")
@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_three_steps_of_gradient_descent_by_hand(solver):
    X = np.random.default_rng(0).standard_normal((40, 5)) * [3, 2, 1, 1, 0.5] + 1
    centred = X - X.mean(axis=0)
    still = LinearAutoencoder(2, solver=solver, learning_rate=1e-300, max_iter=1, random_state=0)
    by_hand = still.fit(X)
    optimizer = steps(solver, np.sum(centred**2) / len(X))
    # the unit of the loss is a power of four next to the variance of a feature: what is left of
    # Adam's ε depends on it
    unit = 4 ** np.round(np.log2(np.mean(centred**2)) / 2) if solver == "adam" else 1
    for _ in range(3):
        optimizer.step(by_hand.parameters_, by_hand.loss_and_gradient(centred)[1] / unit)
    model = LinearAutoencoder(2, solver=solver, learning_rate=1e-3, max_iter=3, random_state=0)
    np.testing.assert_allclose(model.fit(X).parameters_, by_hand.parameters_, rtol=0, atol=1e-10)


@pytest.mark.filterwarnings("ignore::nanoae.ConvergenceWarning")
@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_batches_are_of_the_samples_themselves(solver, monkeypatch):
    X = np.random.default_rng(0).standard_normal((40, 5)) + 1
    loss_and_gradient, seen = LinearAutoencoder.loss_and_gradient, []

    def spy(self, batch, rng):
        seen.append(batch.copy())
        return loss_and_gradient(self, batch, rng)

    monkeypatch.setattr(LinearAutoencoder, "loss_and_gradient", spy)
    LinearAutoencoder(2, solver=solver, batch_size=15, max_iter=1, random_state=0).fit(X)
    assert [len(batch) for batch in seen[:3]] == [15, 15, 10]
    rows = np.concatenate(seen[:3])
    centred = X - X.mean(axis=0)
    np.testing.assert_allclose(
        rows[np.argsort(rows[:, 0])], centred[np.argsort(X[:, 0])], rtol=0, atol=1e-13
    )


NEARLY_EXACT = (1 - 1e-9) * np.eye(2)


@pytest.mark.parametrize(
    "loss",
    [
        lambda S: theory.linear_autoencoder_loss(S, NEARLY_EXACT, np.eye(2)),
        lambda S: theory.dropout_loss(S, NEARLY_EXACT, np.eye(2), 0.0),
        lambda S: theory.tied_loss(np.sqrt(NEARLY_EXACT), S),
    ],
)
def test_a_loss_beside_its_least_keeps_its_digits(loss):
    np.testing.assert_allclose(loss(np.diag([1, 0.5])), 1.5e-18, rtol=1e-6)


def test_a_little_weight_decay_costs_twice_itself_an_axis():
    X = datasets.make_gaussian(50, [4.0, 2.0, 1.0], exact=True, random_state=0)
    np.testing.assert_allclose(theory.weight_decay_optimum(X, 3, 1e-13).loss, 6e-13, rtol=1e-12)


def test_more_components_than_axes_are_idle():
    X = datasets.make_gaussian(50, [4.0, 2.0, 1.0], exact=True, random_state=0)
    full, wide = (theory.weight_decay_optimum(X, k, 0.1) for k in (3, 5))
    assert wide.loss == full.loss and wide.axes.shape == (3, 3)
    assert wide.singular_values.tolist() == [*full.singular_values, 0, 0]


def test_the_flattest_curvature_beside_a_minimum_keeps_its_digits():
    """To first order in λ₂/λ₁ it is ``2 λ₂``."""
    flattest = theory.critical_point_hessian([1.0, 1e-12], 1, (0,))[1]
    np.testing.assert_allclose(flattest, 2e-12, rtol=1e-11)
    assert not theory.critical_point_hessian([0.0, 0.0], 1, (0,)).any()
