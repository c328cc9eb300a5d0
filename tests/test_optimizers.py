"""Optimizers: the textbook's recursions, and how near they come to a minimum."""

import copy

import numpy as np
import pytest
from scipy.optimize import OptimizeResult

from nanoae.exceptions import TrainingDiverged
from nanoae.lbfgs import LBFGS
from nanoae.optimizers import SGD, Adam

RNG = np.random.default_rng(0)


# --- the recursions, written plainly -----------------------------------------------------------


def sgd_by_the_book(theta, gradients, eta, mu=0.0):
    v = 0 * theta
    for g in gradients:
        v = mu * v - eta * g
        theta = theta + v
    return theta


def adam_by_the_book(
    theta, gradients, eta, beta_1, beta_2, epsilon, *, correct_bias=True, epsilon_in_root=False
):
    m = v = 0 * theta
    for t, g in enumerate(gradients, start=1):
        m = beta_1 * m + (1 - beta_1) * g
        v = beta_2 * v + (1 - beta_2) * g**2
        m_hat = m / (1 - beta_1**t) if correct_bias else m
        v_hat = v / (1 - beta_2**t) if correct_bias else v
        root = np.sqrt(v_hat + epsilon) if epsilon_in_root else np.sqrt(v_hat) + epsilon
        theta = theta - eta * m_hat / root
    return theta


# Gradients over seven orders of magnitude, so that ε matters for some places and not for others.
START = RNG.standard_normal(8)
GRADIENTS = RNG.standard_normal((20, 8)) * np.logspace(-6, 1, 8)
ADAM = {"learning_rate": 0.02, "beta_1": 0.8, "beta_2": 0.95, "epsilon": 1e-3}


def run(optimizer):
    values = START.copy()
    for gradient in GRADIENTS:
        optimizer.step(values, gradient.copy())
    return values


def test_sgd_is_the_textbook_recursion():
    expected = sgd_by_the_book(START, GRADIENTS, 0.05)
    # 20 additions of numbers of order 1: rounding is some 20 · 1e-16
    np.testing.assert_allclose(run(SGD(0.05)), expected, rtol=0, atol=1e-12)


def test_momentum_is_the_textbook_recursion():
    expected = sgd_by_the_book(START, GRADIENTS, 0.05, mu=0.7)
    np.testing.assert_allclose(run(SGD(0.05, momentum=0.7)), expected, rtol=0, atol=1e-12)


def test_adam_is_the_textbook_recursion():
    expected = adam_by_the_book(START, GRADIENTS, *ADAM.values())
    np.testing.assert_allclose(run(Adam(**ADAM)), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("mistake", [{"correct_bias": False}, {"epsilon_in_root": True}])
def test_adam_is_told_from_its_usual_misreadings(mistake):
    wrong = adam_by_the_book(START, GRADIENTS, *ADAM.values(), **mistake)
    assert np.abs(run(Adam(**ADAM)) - wrong).max() > 1e-3


def test_adam_takes_first_steps_of_the_learning_rate_whatever_the_scale():
    # bias correction makes m̂ = g and √v̂ = |g| at t = 1
    values = np.zeros(3)
    Adam(0.01, epsilon=0.0).step(values, np.array([1e-8, -3.0, 1e6]))
    np.testing.assert_allclose(values, [-0.01, 0.01, -0.01], rtol=1e-12)


@pytest.mark.parametrize("kind, defaults", [(SGD, (1e-2, 0.0)), (Adam, (1e-3, 0.9, 0.999, 1e-8))])
def test_defaults(kind, defaults):
    assert np.array_equal(run(kind()), run(kind(*defaults)))


OPTIMIZERS = {
    "sgd": lambda: SGD(0.01),
    "momentum": lambda: SGD(0.01, momentum=0.9),
    "adam": lambda: Adam(0.01),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_steps_are_in_place_and_keep_the_dtype(name, dtype):
    parameters = np.ones(6, dtype)
    view = parameters[2:5]  # a model's layers hold such views
    optimizer = OPTIMIZERS[name]()
    for _ in range(2):
        optimizer.step(view, np.ones(3, dtype))
    assert view.dtype == dtype
    assert np.all(parameters[2:5] < 1) and np.all(parameters[[0, 1, 5]] == 1)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_restored_state_goes_on_as_if_it_had_made_the_steps(name):
    first, values = OPTIMIZERS[name](), START.copy()
    assert first.state() == {}
    first.restore({})  # of an optimizer that has not made a step: it starts as a new one does
    for gradient in GRADIENTS[:7]:
        first.step(values, gradient.copy())
    second = OPTIMIZERS[name]()
    second.restore(copy.deepcopy(first.state()))  # what a state holds is live
    for gradient in GRADIENTS[7:]:
        second.step(values, gradient.copy())
    assert np.array_equal(values, run(OPTIMIZERS[name]()))


@pytest.mark.parametrize(
    "optimizer, steps, bound",
    [
        # Curvatures c from 1 to 1000, θ* = 1. Gradient descent with η = 1/1000 leaves
        # (1 − c/1000)^steps of the error, so the flattest direction keeps e^−20 = 2e-9 of it.
        (SGD(1e-3), 20_000, 3e-9),
        # Heavy ball, tuned: ((√κ − 1)/(√κ + 1))^steps up to a factor linear in the steps.
        (
            SGD(4 / (1000**0.5 + 1) ** 2, momentum=((1000**0.5 - 1) / (1000**0.5 + 1)) ** 2),
            1000,
            1e-12,
        ),
        # Adam rescales each coordinate, so that the condition number hardly matters.
        (Adam(0.01), 3000, 1e-9),
    ],
    ids=["sgd", "momentum", "adam"],
)
def test_each_reaches_the_minimum_of_an_ill_conditioned_quadratic(optimizer, steps, bound):
    curvature, minimum = np.logspace(0, 3, 5), np.ones(5)
    theta = np.zeros(5)
    for _ in range(steps):
        optimizer.step(theta, curvature * (theta - minimum))
    assert np.abs(theta - minimum).max() <= bound


# --- L-BFGS ---------------------------------------------------------------------------------


def minimise(function, start, *, max_iter=2000, tol=1e-12):
    """Run `LBFGS` on ``function(theta) -> loss, gradient`` and note what it reports."""
    values, losses = np.array(start), []
    converged = LBFGS(
        lambda: function(values), values, max_iter=max_iter, tol=tol, callback=losses.append
    ).minimise()
    return values, np.array(losses), converged


def quadratic(eigenvalues, minimum, seed=0):
    """A quadratic with rotated axes whose least value is 1: its loss is flat below √ε."""
    d = len(eigenvalues)
    U = np.linalg.qr(np.random.default_rng(seed).standard_normal((d, d)))[0]
    A = (U * eigenvalues) @ U.T

    def function(theta):
        g = A @ (theta - minimum)
        return 1 + 0.5 * (theta - minimum) @ g, g

    return function


def rosenbrock(theta):
    """Banana-shaped valley with its minimum, 0, at (1, 1)."""
    x, y = theta
    loss = (1 - x) ** 2 + 100 * (y - x * x) ** 2
    return loss, np.array([-2 * (1 - x) - 400 * x * (y - x * x), 200 * (y - x * x)])


def test_lbfgs_goes_down_the_valley_of_rosenbrock():
    theta, losses, converged = minimise(rosenbrock, [-1.2, 1.0])
    assert converged
    # tol is relative to the gradient at the start, 216; the flattest curvature at the minimum is
    # 0.4, so the error is at most 216 · 1e-12 / 0.4
    assert np.abs(rosenbrock(theta)[1]).max() <= 216 * 1e-12
    np.testing.assert_allclose(theta, 1, rtol=0, atol=6e-10)
    assert len(losses) < 100
    assert losses[-1] == pytest.approx(0, abs=1e-18)


@pytest.mark.parametrize("seed", range(5))
def test_lbfgs_is_exact_where_the_loss_alone_is_blind(seed):
    """Parameters come out a thousand times nearer than √ε, which is all that a loss can tell.

    With loss 1 at the minimum, a loss is the same number for all errors below √(2ε/λ) = 2e-8.
    The gradient is blind only below a few ε: with 12 numbers and a condition of 100, some 1e-13.
    """
    minimum = np.random.default_rng(seed).standard_normal(12)
    function = quadratic(np.logspace(0, 2, 12), minimum, seed)
    theta, _, converged = minimise(function, np.zeros(12), tol=0.0)
    assert converged  # to the last digit: tol = 0 is met by the arithmetic having no more to give
    assert np.abs(theta - minimum).max() < 2e-12


def test_lbfgs_history_has_one_loss_an_iteration_and_ends_at_the_loss_of_the_result():
    function = quadratic(np.logspace(0, 2, 12), np.ones(12))
    theta, losses, _ = minimise(function, np.zeros(12), max_iter=5)
    assert len(losses) == 5
    assert np.all(np.diff(losses) < 0)  # a line search only ever goes down
    assert losses[-1] == function(theta)[0]


@pytest.mark.parametrize("max_iter", [1, 2, 7, 30, 50, 55, 60, 70, 100])
def test_lbfgs_never_exceeds_max_iter_and_says_so(max_iter):
    """Also where the budget ends in the last stage, which begins after some 55 iterations here."""
    function = quadratic(np.logspace(0, 2, 12), np.ones(12))
    theta, losses, converged = minimise(function, np.zeros(12), max_iter=max_iter, tol=1e-15)
    assert len(losses) == max_iter
    met = np.abs(function(theta)[1]).max() <= 1e-15 * np.abs(function(np.zeros(12))[1]).max()
    assert converged == met


@pytest.mark.parametrize("max_iter", [1, 50])
def test_lbfgs_that_starts_at_the_minimum_stays_and_reports_once(max_iter):
    theta, losses, converged = minimise(
        quadratic([1.0, 2.0], np.ones(2)), np.ones(2), max_iter=max_iter
    )
    assert converged
    assert losses.tolist() == [1.0]
    assert theta.tolist() == [1, 1]


def barrier(slope):
    """``slope · x − log x``, which has its minimum at 1/slope and no value at x ≤ 0."""

    def function(theta):
        (x,) = theta
        if not x > 0:
            raise TrainingDiverged
        return slope * x - np.log(x), np.array([slope - 1 / x])

    return function


def test_lbfgs_tries_again_where_a_step_left_the_domain():
    """Far from 0 there is hardly any curvature, and what little is seen leads far beyond 0."""
    function, tried = barrier(1.0), []

    def noted(theta):
        tried.append(theta[0])
        return function(theta)

    theta, losses, converged = minimise(noted, [10.0], tol=1e-10)
    assert converged
    np.testing.assert_allclose(theta, 1, rtol=0, atol=1e-9)
    assert np.all(np.diff(losses) <= 0) and len(losses) < 20
    # the search that left it began at the last point that was reached, and goes half as far, but
    # for the part of 1e-3 by which it wants the loss to fall
    left = next(i for i, x in enumerate(tried) if not x > 0)
    began = next(x for x in tried[:left][::-1] if function([x])[0] == losses[0])
    assert began != 10
    assert (tried[left + 1] - began) / (tried[left] - began) == pytest.approx(0.5, rel=2e-3)


def only_at_zero(theta):
    if theta != 0:
        raise TrainingDiverged
    return 0.0, np.ones(1)


def test_lbfgs_stays_and_says_so_where_no_step_however_short_has_a_loss():
    theta, losses, converged = minimise(only_at_zero, [0.0])
    assert theta == 0 and losses.tolist() == [0.0]
    assert not converged


def test_lbfgs_needs_a_loss_at_the_start():
    with pytest.raises(TrainingDiverged):
        minimise(only_at_zero, [1.0])


def test_lbfgs_changes_float32_values_in_place_to_their_own_precision():
    minimum = np.random.default_rng(0).standard_normal(12).astype(np.float32)
    eigenvalues = np.logspace(0, 1, 12, dtype=np.float32)
    U = np.linalg.qr(np.random.default_rng(1).standard_normal((12, 12)))[0].astype(np.float32)
    values = np.zeros(12, np.float32)

    def function():
        g = U @ (eigenvalues * (U.T @ (values - minimum)))
        return np.float32(1) + (values - minimum) @ g / 2, g

    assert LBFGS(function, values, max_iter=2000, tol=0.0, callback=lambda loss: None).minimise()
    assert values.dtype == np.float32
    # ten units in the last place of numbers of order 1; √ε would be 3e-4
    assert np.abs(values - minimum).max() < 10 * np.finfo(np.float32).eps


def last_stage(function, values, max_iter, rounding, losses):
    """What follows where SciPy gives up, by itself and with no target."""
    solver = LBFGS(function, values, max_iter=max_iter, tol=0.0, callback=losses.append)
    return solver._follow_gradient(0.0, rounding)


def test_last_stage_does_not_take_a_plateau_for_a_minimum():
    """Near an inflection the curvature is almost 0 and the step enormous: it lands where the
    gradient is smaller but the loss is higher, and must not stay there."""

    def bump(x):  # 1 − e^(−x²/2): minimum at 0, inflection at 1, plateau beyond
        return 1 - np.exp(-(x[0] ** 2) / 2), x * np.exp(-(x**2) / 2)

    values = np.array([0.999])
    start_loss, losses = bump(values)[0], []
    last_stage(lambda: bump(values), values, 50, 1e-14, losses)
    assert bump(values)[0] <= start_loss + 1e-14
    assert max(losses) <= start_loss + 1e-14


@pytest.mark.parametrize("scale", [1e-10, 1.0, 1e10])
def test_which_losses_are_the_same_depends_on_their_size(scale, monkeypatch):
    """The plateau again, in any unit of the loss, by way of `LBFGS`: one that gives up at
    its start leaves all to the last stage."""

    def bump(x):
        return scale * (1 - np.exp(-(x[0] ** 2) / 2)), scale * x * np.exp(-(x**2) / 2)

    def gives_up(function, start, **_):
        return OptimizeResult(x=start)

    monkeypatch.setattr("scipy.optimize.minimize", gives_up)
    theta, losses, _ = minimise(bump, [0.999], max_iter=50, tol=0.0)
    assert len(losses) > 1
    # a hundred rounding units of the loss
    assert max(*losses, bump(theta)[0]) <= bump(np.array([0.999]))[0] * (1 + 1e-13)


def test_callback_is_called_at_the_point_whose_loss_it_is_told():
    """Also in the last stage, which visits worse points than the best and must not show them."""
    minimum = np.random.default_rng(0).standard_normal(12)
    function = quadratic(np.logspace(0, 2, 12), minimum)
    values, told, shown = np.zeros(12), [], []

    def callback(loss):
        told.append(loss)
        shown.append(function(values)[0])

    LBFGS(lambda: function(values), values, max_iter=2000, tol=0.0, callback=callback).minimise()
    assert len(told) > 200  # as long as the last stage waits before it gives up
    assert shown == told


@pytest.mark.parametrize("start, halves", [(0.5, False), (1.5, True), (10.0, True)])
def test_last_stage_gives_up_200_iterations_after_the_last_halving(start, halves):
    """The gradient of ``|x| + x²/2`` comes near ±1 and never below: its size, ``1 + |x|``, is
    halved a few times only, or not at all."""
    values, sizes, losses = np.array([start]), [], []

    def function():
        gradient = np.sign(values) * (1 + np.abs(values))
        sizes.append(np.abs(gradient).max())
        return np.abs(values[0]) + values[0] ** 2 / 2, gradient

    assert last_stage(function, values, 1000, 0.0, losses)
    halved_at, halved_size = 0, sizes.pop(0)
    for i, best in enumerate(np.minimum.accumulate(sizes)):
        if best <= halved_size / 2:
            halved_at, halved_size = i, best
    assert (halved_at > 0) == halves
    assert len(losses) == len(sizes) == halved_at + 200
