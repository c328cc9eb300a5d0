"""Chapter 3: the tied linear autoencoder. Its gradient, its loss surface, how it learns."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import least_squares
from scipy.special import logit
from theory_report import verify

from nanoae import LinearAutoencoder, TiedAutoencoder, gradient_check, theory
from nanoae.datasets import load_digits, make_gaussian
from nanoae.network import Dense
from nanoae.theory import (
    effective_initial_strengths,
    largest_principal_angle,
    linear_autoencoder_loss,
    logistic_half_time,
    logistic_mode_strength,
    pca,
    tied_curvatures,
    tied_gradient,
    tied_learning_curve,
    tied_loss,
)

seeds = st.integers(0, 2**32 - 1)


@st.composite
def problems(draw, max_d=10, falls=(0.5, 0.95), scales=(1e-3, 1e3)):
    """d, k < d, a falling spectrum (each eigenvalue a factor in ``falls`` of the last), rng."""
    d = draw(st.integers(2, max_d))
    k = draw(st.integers(1, d - 1))
    rng = np.random.default_rng(draw(seeds))
    scale = np.exp(rng.uniform(*np.log(scales)))
    return d, k, scale * np.cumprod(rng.uniform(*falls, size=d)), rng


def orthonormal(n, k, rng):
    """n×k, orthonormal columns."""
    return np.linalg.qr(rng.standard_normal((n, k)))[0]


def covariance(eigenvalues, rng):
    """Σ with these eigenvalues, and its eigenvectors."""
    U = orthonormal(len(eigenvalues), len(eigenvalues), rng)
    return U * eigenvalues @ U.T, U


def at(model, X, W):
    """The model on data X, untrained, with weights W."""
    model.initialise(X)
    model.encoder_weight_[...] = W
    return model


def model_gradient(model, X):
    model.loss_and_gradient(X)
    return model.encoder_.layers[0].grad_weight.T.copy()


def relative_error(actual, expected):
    return np.abs(actual - expected).max() / np.abs(expected).max()


# --- 3.1 one weight, two uses --------------------------------------------------------------


@pytest.mark.equation("3.1")
@pytest.mark.equation("3.1b")
@pytest.mark.equation("3.1c")
@given(problems())
@settings(max_examples=40)
def test_gradient_is_the_sum_of_both_uses(problem):
    d, k, eigenvalues, rng = problem
    X = make_gaussian(d + 5, eigenvalues, exact=True, random_state=rng)
    model = at(TiedAutoencoder(k), X, rng.standard_normal((k, d)))
    W, Sigma = model.encoder_weight_, X.T @ X / len(X)

    total = model_gradient(model, X)
    as_decoder = model.decoder_.layers[0].grad_weight
    # sums of d + n products of numbers of one size: some tens of rounding units
    encoder_part, decoder_part = tied_gradient(W, Sigma)
    verify("3.1b", relative_error(total - as_decoder, encoder_part), 1e-12)
    verify("3.1c", relative_error(as_decoder, decoder_part), 1e-12)
    printed = -4 * W @ Sigma + 2 * W @ W.T @ W @ Sigma + 2 * W @ Sigma @ W.T @ W
    verify("3.1", relative_error(total, printed), 1e-12)


@pytest.mark.equation("3.1")
@given(problems(max_d=6))
@settings(max_examples=15)
def test_gradient_against_the_loss_alone(problem):
    d, k, eigenvalues, rng = problem
    X = make_gaussian(d + 5, eigenvalues, exact=True, random_state=rng)
    Sigma = X.T @ X / len(X)
    W = rng.standard_normal((k, d))
    model = at(TiedAutoencoder(k), X, W)
    assert model.loss_and_gradient(X)[0] == pytest.approx(tied_loss(W, Sigma), rel=1e-12)

    step = 1e-30  # the complex step has no difference to cancel, so no smallest useful step
    numeric = np.empty((k, d))
    for place in np.ndindex(k, d):
        moved = W.astype(complex)
        moved[place] += step * 1j
        numeric[place] = tied_loss(moved, Sigma).imag / step
    verify("3.1", relative_error(model_gradient(model, X), numeric), 1e-12)
    # and by differences of the model's own loss, which know nothing of tied_loss
    assert gradient_check(model, X).error <= 1e-7


@pytest.mark.equation("3.1a")
@given(uses=st.integers(1, 5), width=st.integers(1, 5), seed=seeds)
@settings(max_examples=25)
def test_gradient_of_a_shared_parameter_is_the_sum_over_its_uses(uses, width, seed):
    """One matrix as the weight of every layer of a tanh network."""
    rng = np.random.default_rng(seed)
    x, target = rng.standard_normal((2, 4, width))
    W = 0.5 * rng.standard_normal((width, width))  # where tanh is all but 1, digits are gone
    layers = [Dense(width, width, "tanh", bias=False) for _ in range(uses)]

    def loss(W):
        y = x.astype(W.dtype)
        for layer in layers:
            layer.weight = W  # the same memory in all of them
            y = layer(y)
        return ((y - target) ** 2).sum()

    loss(W)
    y = x
    for layer in layers:
        layer.grad_weight = np.empty_like(W)
        y = layer.forward(y)
    grad = 2 * (y - target)
    for layer in reversed(layers):
        grad = layer.backward(grad)
    total = sum(layer.grad_weight for layer in layers)

    numeric = np.empty_like(W)
    for place in np.ndindex(W.shape):
        moved = W.astype(complex)
        moved[place] += 1e-30j
        numeric[place] = loss(moved).imag / 1e-30
    verify("3.1a", relative_error(total, numeric), 1e-12)


# --- 3.2 the loss surface -------------------------------------------------------------------


@st.composite
def critical_points(draw, max_d=7):
    """``W = B U_Sᵀ`` for a random choice S of at most k eigenvectors."""
    d, k, eigenvalues, rng = draw(problems(max_d=max_d))
    r = draw(st.integers(0, k))
    chosen = np.sort(rng.choice(d, size=r, replace=False))
    Sigma, U = covariance(eigenvalues, rng)
    B = orthonormal(k, k, rng)
    return B[:, :r] @ U[:, chosen].T, B, Sigma, U, eigenvalues, chosen


@pytest.mark.equation("3.2a")
@pytest.mark.equation("3.2b")
@given(critical_points())
@settings(max_examples=60)
def test_projectors_on_eigenvectors_are_critical(point):
    W, _, Sigma, _, eigenvalues, chosen = point
    gradient = sum(tied_gradient(W, Sigma))
    verify("3.2a", np.abs(gradient).max() / eigenvalues[0], 1e-13)
    left_out = np.delete(eigenvalues, chosen).sum()
    verify("3.2b", abs(tied_loss(W, Sigma) - left_out) / eigenvalues.sum(), 1e-13)


@pytest.mark.equation("3.2a")
def test_nothing_else_is_critical():
    """Solve ``∂L/∂W = 0`` from many random starts, with no preference for minima."""
    ranks, losses_above_minimum = set(), 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        d, k = 4, 2
        eigenvalues = np.cumprod(np.r_[1, rng.uniform(0.4, 0.9, size=d - 1)])
        Sigma, _ = covariance(eigenvalues, rng)

        def equations(w, Sigma=Sigma, shape=(k, d)):
            return np.ravel(sum(tied_gradient(w.reshape(shape), Sigma)))

        start = 0.7 * rng.standard_normal(d * k)
        found = least_squares(equations, start, xtol=1e-15, ftol=1e-15, gtol=1e-15)
        if np.abs(found.fun).max() > 1e-10:
            continue  # a minimum of the gradient's length that is not 0
        W = found.x.reshape(k, d)
        A = W.T @ W
        # where W repeats an axis the gradient grows only as the cube of the way off, A as its
        # square: a gradient of 1e-10 leaves A uncertain by 1e-10^(2/3) = 2e-7 over eigenvalues
        # of at least 0.4³
        error = max(np.abs(A @ A - A).max(), np.abs(A @ Sigma - Sigma @ A).max())
        verify("3.2a", error, 3e-6)
        ranks.add(round(np.trace(A)))
        losses_above_minimum += tied_loss(W, Sigma) > eigenvalues[k:].sum() + 1e-3
    assert ranks >= {1, 2}
    assert losses_above_minimum >= 10, "found hardly any saddle, so this says little"


@pytest.mark.equation("3.2c")
@pytest.mark.equation("3.2d")
@given(critical_points(), st.floats(-1.5, 1.5))
@settings(max_examples=60)
def test_every_critical_point_but_the_minimum_has_a_way_down(point, t):
    W, B, Sigma, U, eigenvalues, chosen = point
    loss, total = tied_loss(W, Sigma), eigenvalues.sum()
    left = np.setdiff1d(np.arange(len(eigenvalues)), chosen)
    j = left[0]  # the largest eigenvalue left out
    if len(chosen) < len(W):  # a row direction is idle: let it learn axis j
        idle = np.outer(B[:, len(chosen)], U[:, j])
        expected = loss - 2 * eigenvalues[j] * t**2 + eigenvalues[j] * t**4
        verify("3.2c", abs(tied_loss(W + t * idle, Sigma) - expected) / total, 1e-13)
    if len(chosen):  # turn a kept axis toward the one left out
        i = chosen[-1]  # the smallest eigenvalue kept
        turn = np.outer(W @ U[:, i], U[:, j])
        gap = eigenvalues[i] - eigenvalues[j]
        expected = loss + gap * t**2 + eigenvalues[j] * t**4
        verify("3.2d", abs(tied_loss(W + t * turn, Sigma) - expected) / total, 1e-13)


@pytest.mark.equation("3.2e")
@given(critical_points())
@settings(max_examples=30)
def test_critical_for_tied_weights_is_critical_for_free_ones(point):
    W, _, Sigma, _, eigenvalues, _ = point
    X = np.linalg.cholesky(Sigma).T * np.sqrt(len(Sigma))  # XᵀX/n = Σ
    free = LinearAutoencoder(len(W))
    free.initialise(X)
    free.encoder_weight_[...], free.decoder_weight_[...] = W, W.T
    gradient = free.loss_and_gradient(X)[1]
    verify("3.2e", np.abs(gradient).max() / eigenvalues[0], 1e-13)


@pytest.mark.equation("3.2")
@given(problems(max_d=12))
@settings(max_examples=40)
def test_training_finds_a_rotation_of_the_leading_eigenvectors(problem):
    """Nothing tells the model that rows should be orthonormal, nor where to point."""
    d, k, eigenvalues, rng = problem  # the gap at k is at least 5 % of λ_k
    X = make_gaussian(d + 5, eigenvalues, exact=True, random_state=rng)
    model = TiedAutoencoder(k, random_state=rng).fit(X)
    W, U_k = model.encoder_weight_, pca(X).components[:, :k]
    angle = largest_principal_angle(W.T, U_k)
    # the project's promise; the stopping rule alone would give: gradient 1e-11 times that of
    # the start, over the least curvature 2 (λ_k − λ_{k+1}) of (3.4)
    verify("3.2", max(angle, np.abs(W @ W.T - np.eye(k)).max()), 1e-6)
    Q = W @ U_k
    verify("3.2", np.abs(Q @ Q.T - np.eye(k)).max(), 1e-6)
    verify("3.2", abs(model.loss_ / eigenvalues[k:].sum() - 1), 1e-10)


@pytest.mark.equation("3.2")
def test_training_on_the_digits():
    X = load_digits().X
    model = TiedAutoencoder(8, random_state=0).fit(X)
    W, (_, U, eigenvalues) = model.encoder_weight_, pca(X)
    verify("3.2", largest_principal_angle(W.T, U[:, :8]), 1e-6)
    verify("3.2", np.abs(W @ W.T - np.eye(8)).max(), 1e-6)
    verify("3.2", abs(model.loss_ / eigenvalues[8:].sum() - 1), 1e-10)


@pytest.mark.equation("3.2")
@given(problems(), st.floats(-3, 3))
@settings(max_examples=40)
def test_no_weights_do_better_and_every_rotation_does_as_well(problem, log_scale):
    d, k, eigenvalues, rng = problem
    Sigma, U = covariance(eigenvalues, rng)
    least, total = eigenvalues[k:].sum(), eigenvalues.sum()
    W = 10**log_scale * rng.standard_normal((k, d))
    verify("3.2", (least - tied_loss(W, Sigma)) / total, 1e-13)
    W = orthonormal(k, k, rng) @ U[:, :k].T
    verify("3.2", abs(tied_loss(W, Sigma) - least) / total, 1e-13)


@pytest.mark.equation("3.4")
@given(critical_points(max_d=5))
@settings(max_examples=40)
def test_curvatures_at_critical_points(point):
    W, _, Sigma, _, eigenvalues, chosen = point
    hessian = np.empty((W.size, W.size))
    for column, place in enumerate(np.ndindex(W.shape)):
        moved = W.astype(complex)
        moved[place] += 1e-30j
        hessian[:, column] = sum(tied_gradient(moved, Sigma)).imag.ravel() / 1e-30
    measured = np.linalg.eigvalsh((hessian + hessian.T) / 2)
    claimed = tied_curvatures(eigenvalues, len(W), chosen)
    verify("3.4", np.abs(measured - claimed).max() / eigenvalues[0], 1e-12)
    is_minimum = np.array_equal(chosen, np.arange(len(W)))
    assert (claimed[0] < 0) == (not is_minimum)
    assert measured[0] < -1e-3 * eigenvalues[-1] or is_minimum  # strict, not merely flat


def test_curvatures_where_nothing_is_kept():
    """At W = 0 the loss is ``tr Σ − 2 tr(W Σ Wᵀ)`` to second order: −4λ for each unit."""
    assert tied_curvatures([3, 1], 2, chosen=[]).tolist() == [-12, -12, -4, -4]


def test_curvatures_are_computed_in_float64_whatever_they_are_given():
    eigenvalues = np.array([9.1, 4.3, 2.2], dtype=np.float32)
    claimed = tied_curvatures(eigenvalues, 2)
    assert np.array_equal(claimed, tied_curvatures(eigenvalues.astype(np.float64), 2))


@pytest.mark.parametrize("n", [1.0, 1.5, 2.0])
def test_a_direction_without_data_can_block_tied_weights_but_not_free_ones(n):
    """The remark after (3.4): Σ = diag(1, 0), W = (t, n); for free weights, whose two t's
    have the Hessian [[2n², −2], [−2, 0]] there, the same point is a saddle."""
    Sigma = np.diag([1.0, 0.0])
    for t in np.linspace(-1, 1, 21):
        closed_form = 1 + (n**2 - 2) * t**2 + t**4
        assert abs(tied_loss(np.array([[t, n]]), Sigma) - closed_form) < 1e-14
    W = np.array([[0.05, n]])
    for _ in range(2000):
        W = W - 0.02 * sum(tied_gradient(W, Sigma))
    blocked = n**2 > 2
    assert abs(tied_loss(W, Sigma) - blocked) < 1e-6  # stuck at 1, else at the minimum, 0

    W_e, W_d = np.array([[0.1 / n**2, n]]), np.array([[0.1], [n]])  # untied, down from there
    assert linear_autoencoder_loss(Sigma, W_e, W_d) < 1


# --- 3.3 how it learns ----------------------------------------------------------------------


@st.composite
def aligned_starts(draw):
    """Weights ``Q diag(w) U_Sᵀ`` with small w; S need not be the leading eigenvectors."""
    d, k, eigenvalues, rng = draw(problems(max_d=6, falls=(0.7, 0.95)))
    X = make_gaussian(d + 5, eigenvalues, exact=True, random_state=rng)
    _, U, eigenvalues = pca(X)
    chosen = np.sort(rng.choice(d, size=k, replace=False))
    s0 = 10 ** rng.uniform(-3, -1, size=k)
    Q = orthonormal(k, k, rng)
    return X, U, eigenvalues, chosen, s0, Q


@pytest.mark.equation("3.3")
@given(aligned_starts(), seeds)
@settings(max_examples=40)
def test_flow_keeps_modes_apart_and_each_is_logistic(start, seed):
    X, U, eigenvalues, chosen, _, Q = start
    V, lam = U[:, chosen], eigenvalues[chosen]
    s = np.random.default_rng(seed).uniform(0, 1.5, size=len(lam))  # small or not
    model = at(TiedAutoencoder(len(lam)), X, Q * np.sqrt(s) @ V.T)
    velocity = -model_gradient(model, X)
    in_modes = Q.T @ velocity @ V
    rates = np.diag(in_modes)
    scale = eigenvalues[0]
    off_diagonal = np.abs(in_modes - np.diag(rates)).max()
    elsewhere = np.abs(velocity - velocity @ V @ V.T).max()
    ds_dt = 2 * np.sqrt(s) * rates
    error = np.abs(ds_dt - 8 * lam * s * (1 - s)).max()
    verify("3.3", max(off_diagonal, elsewhere, error) / scale, 1e-12)


def descend(model, X, learning_rate, n_steps):
    """Plain gradient descent with the model's own gradient: weights and losses on the way."""
    weights, losses = [], []
    for _ in range(n_steps):
        loss, gradient = model.loss_and_gradient(X)
        weights.append(model.encoder_weight_.copy())
        losses.append(loss)
        model.parameters_[...] -= learning_rate * gradient
    return np.array(weights), np.array(losses)


@pytest.mark.equation("3.3a")
@pytest.mark.equation("3.3b")
@pytest.mark.equation("3.3c")
@given(aligned_starts())
@settings(max_examples=10)
def test_gradient_descent_follows_the_logistic_curves(start):
    X, U, eigenvalues, chosen, s0, Q = start
    V, lam = U[:, chosen], eigenvalues[chosen]
    model = at(TiedAutoencoder(len(lam)), X, Q * np.sqrt(s0) @ V.T)
    step = 5e-4 / eigenvalues[0]
    half_times = logistic_half_time(lam, s0)
    n_steps = int(1.5 * half_times.max() / step)
    weights, losses = descend(model, X, step, n_steps)
    t = step * np.arange(n_steps)

    # one step multiplies a small w by 1 + 4 η λ where the flow has e^(4 η λ), so the log-odds
    # lag by a part 2 η λ ≤ 1e-3 of the way: at most 0.7 % of s while odds rise from 1e-3 to 1
    s = np.sum((weights @ V) ** 2, axis=1)
    predicted = logistic_mode_strength(lam, s0, t[:, None])
    verify("3.3a", np.abs(s / predicted - 1).max(), 0.01)
    measured = np.array([np.interp(0.5, column, t) for column in s.T])
    verify("3.3b", np.abs(measured / half_times - 1).max(), 0.01)
    all_s0 = np.zeros(len(eigenvalues))
    all_s0[chosen] = s0
    verify("3.3c", np.abs(losses / tied_learning_curve(eigenvalues, all_s0, t) - 1).max(), 0.01)


@pytest.mark.equation("3.3a")
@pytest.mark.equation("3.3b")
@given(log_odds=st.floats(-600, 0), eigenvalue=st.floats(1e-3, 1e3), distance=st.floats(0, 1e6))
@settings(max_examples=100)
def test_logistic_curve_solves_its_equation_and_never_overflows(log_odds, eigenvalue, distance):
    s0 = 1 / (1 + np.exp(-log_odds))
    assert logistic_mode_strength(eigenvalue, 0.0, distance) == 0
    assert logistic_mode_strength(eigenvalue, 1.0, distance) == 1
    assert 0 < logistic_mode_strength(eigenvalue, s0, distance) <= 1  # warnings are errors
    # the derivative in time by the complex step, on the formula as it stands in the text
    t = distance / 1e6 * 2 * (1 - log_odds) / (8 * eigenvalue)
    odds = (1 / s0 - 1) * np.exp(-8 * eigenvalue * (t + 1e-30j))
    curve = 1 / (1 + odds)
    s = logistic_mode_strength(eigenvalue, s0, t)
    # log-odds of up to 600 in size, rounded at 1e-16: their exponential is off by 1e-13
    verify("3.3a", abs(s / curve.real - 1), 1e-12)
    slope = curve.imag / 1e-30
    verify("3.3a", abs(slope - 8 * eigenvalue * s * (1 - s)) / (8 * eigenvalue), 1e-12)
    half = logistic_half_time(eigenvalue, s0)
    verify("3.3b", abs(logistic_mode_strength(eigenvalue, s0, half) - 0.5), 1e-12)


@pytest.mark.equation("3.3c")
def test_learning_pauses_at_the_saddles():
    """Between two drops the loss stands at the sum of the eigenvalues not yet learned."""
    eigenvalues, s0 = np.array([8.0, 4.0, 2.0, 1.0]), np.array([1e-12, 1e-12, 1e-12, 0.0])
    half_times = logistic_half_time(eigenvalues[:3], s0[:3])
    pauses = np.r_[0, np.sqrt(half_times[:-1] * half_times[1:]), 2 * half_times[-1]]
    losses = tied_learning_curve(eigenvalues, s0, pauses)
    saddles = [15, 7, 3, 1]
    # there the odds are at least e^(0.29 · 27.6) = 3e3 to 1 for or against every mode
    verify("3.3c", np.abs(losses / saddles - 1).max(), 1e-3)


def flow_half_times(model, X, step, end):
    """When each of k modes reaches ½ under gradient flow (Runge–Kutta, fourth order).

    NaN for a mode that has not got there by the end.
    """
    _, U, _ = pca(X)
    k = len(model.encoder_weight_)
    half_times = np.full(k, np.nan)

    def velocity(W):
        model.encoder_weight_[...] = W
        return -model_gradient(model, X)

    def strengths(W):
        return np.sum((W @ U[:, :k]) ** 2, axis=0)

    W = model.encoder_weight_.copy()
    s = strengths(W)
    for t in np.arange(0, end, step):
        a = velocity(W)
        b = velocity(W + step / 2 * a)
        c = velocity(W + step / 2 * b)
        W = W + step / 6 * (a + 2 * b + 2 * c + velocity(W + step * c))
        before, s = s, strengths(W)
        crossed = (before < 0.5) & (s >= 0.5) & np.isnan(half_times)
        # log-odds are nearly straight lines in time
        y_before, y = logit(before[crossed]), logit(s[crossed])
        half_times[crossed] = t - step * y_before / (y - y_before)
    return half_times


@pytest.mark.equation("3.3d")
@given(problems(max_d=6, falls=(0.3, 0.7)), st.sampled_from([1e-2, 1e-3, 1e-4]))
@settings(max_examples=25)
def test_small_random_starts_follow_the_curves_of_the_gram_schmidt_strengths(problem, size):
    d, k, eigenvalues, rng = problem
    X = make_gaussian(d + 5, eigenvalues, exact=True, random_state=rng)
    _, U, eigenvalues = pca(X)
    W = size * rng.standard_normal((k, d))
    R = np.abs(np.linalg.qr(W @ U, mode="r"))
    lag = lag_of_rivals(R, eigenvalues)
    assume(lag <= 0.1 and np.diag(R).min() >= 0.01 * size)
    late = lateness(X, U, eigenvalues, W)
    verify("3.3d", late.max(), lag + 1e-4)  # 1e-4 for the interpolation between two steps


def lag_of_rivals(R, eigenvalues):
    """The right-hand side of (3.3d)."""
    lag = 0.0
    for i, row in enumerate(R):
        for j in range(i + 1, len(row)):
            r = eigenvalues[j] / eigenvalues[i]
            lag += (1 + r) / (2 * r) * 2 ** ((1 - r) / 2) * row[j] ** 2 / row[i] ** (2 * r)
    return lag


def lateness(X, U, eigenvalues, W):
    """The left-hand side, on the scale of log-odds; one value a mode."""
    leading = eigenvalues[: len(W)]
    predicted = logistic_half_time(leading, effective_initial_strengths(W, U)[: len(W)])
    model = at(TiedAutoencoder(len(W)), X, W)
    measured = flow_half_times(model, X, 0.03 / eigenvalues[0], 1.5 * predicted.max())
    return 8 * leading * np.abs(measured - predicted)


def test_where_a_strength_nearly_vanishes_the_rivals_of_other_modes_move_it():
    """The exception that the text makes of (3.3d)."""
    R = 1e-3 * np.array([[1, 0.5, 2, 0.5, 2], [0, 2, 0.5, 0.5, 0.1], [0, 0, 3e-4, 0.1, 0.6]])
    X = make_gaussian(8, [0.8, 0.3, 0.1, 0.04, 0.02], exact=True, random_state=0)
    _, U, eigenvalues = pca(X)
    late, lag = lateness(X, U, eigenvalues, R @ U.T), lag_of_rivals(R, eigenvalues)
    assert late[:2].max() <= lag
    assert 5 * lag <= late[2] <= 0.1


# --- exercises --------------------------------------------------------------------------------


@given(aligned_starts())
@settings(max_examples=15)
def test_exercise_free_weights_learn_half_as_fast(start):
    X, U, eigenvalues, chosen, s0, Q = start
    W = Q * np.sqrt(s0) @ U[:, chosen].T
    tied = model_gradient(at(TiedAutoencoder(len(s0)), X, W), X)
    free = at(LinearAutoencoder(len(s0)), X, W)
    free.decoder_weight_[...] = W.T
    free.loss_and_gradient(X)
    for gradient in (free.encoder_.layers[0].grad_weight.T, free.decoder_.layers[0].grad_weight):
        assert np.abs(2 * gradient - tied).max() <= 1e-12 * eigenvalues[0]


@pytest.mark.parametrize(("part", "stays"), [(0.98, True), (1.02, False)])
def test_exercise_largest_stable_step(part, stays):
    X = make_gaussian(20, [4.0, 2.0, 1.0], exact=True, random_state=0)
    _, U, eigenvalues = pca(X)
    rng = np.random.default_rng(0)
    model = at(TiedAutoencoder(2), X, U[:, :2].T + 1e-6 * rng.standard_normal((2, 3)))
    weights, _ = descend(model, X, part / (4 * eigenvalues[0]), 200)
    off = [np.abs(W @ W.T - np.eye(2)).max() for W in (weights[0], weights[-1])]
    assert (off[1] < off[0]) == stays


@given(problems(max_d=6), st.floats(0.05, 0.95))
@settings(max_examples=15)
def test_exercise_weight_decay(problem, part):
    d, k, eigenvalues, rng = problem
    X = make_gaussian(d + 5, eigenvalues, exact=True, random_state=rng)
    weight_decay = part * 2 * eigenvalues[k - 1]
    model = TiedAutoencoder(k, weight_decay=weight_decay, random_state=rng).fit(X)
    strengths = np.linalg.svd(model.encoder_weight_, compute_uv=False) ** 2
    assert np.abs(strengths - (1 - weight_decay / (2 * eigenvalues[:k]))).max() <= 1e-6


def test_curvatures_with_more_units_than_axes_are_those_of_the_hessian():
    """At ``WᵀW = I``, ``W = (I, 0)ᵀ``, by differences of the gradient."""
    Sigma, W, step = np.diag([4.0, 1.0]), np.eye(3, 2), 1e-5

    def gradient(flat):
        return sum(theory.tied_gradient(flat.reshape(3, 2), Sigma)).ravel()

    moves = step * np.eye(6)
    hessian = [(gradient(W.ravel() + e) - gradient(W.ravel() - e)) / (2 * step) for e in moves]
    np.testing.assert_allclose(
        theory.tied_curvatures([4.0, 1.0], 3), np.linalg.eigvalsh(hessian), atol=1e-7
    )


def test_a_mode_without_variance_is_never_half_learned():
    assert theory.logistic_half_time([1.0, 0.0], 0.01)[1] == np.inf
