"""Optimizers: the textbook's recursions, and how near they come to a minimum."""

import copy
import importlib
import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import OptimizeResult
from scipy.special import eval_chebyu
from theory_report import verify

from nanoae import theory
from nanoae.exceptions import TrainingDiverged
from nanoae.lbfgs import LBFGS
from nanoae.optimizers import PART, SGD, Adam

RNG = np.random.default_rng(0)


# --- the recursions, written plainly -----------------------------------------------------------


def sgd_by_the_book(theta, gradients, eta, mu=0.0):
    v = 0 * theta
    for g in gradients:
        v = mu * v - eta * g
        theta = theta + v
    return theta


def adam_by_the_book(
    theta,
    gradients,
    learning_rate,
    beta_1,
    beta_2,
    epsilon,
    *,
    correct_bias=True,
    epsilon_in_root=False,
):
    m = v = 0 * theta
    for t, g in enumerate(gradients, start=1):
        m = beta_1 * m + (1 - beta_1) * g
        v = beta_2 * v + (1 - beta_2) * g**2
        m_hat = m / (1 - beta_1**t) if correct_bias else m
        v_hat = v / (1 - beta_2**t) if correct_bias else v
        root = np.sqrt(v_hat + epsilon) if epsilon_in_root else np.sqrt(v_hat) + epsilon
        theta = theta - learning_rate * m_hat / root
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


@pytest.mark.parametrize(
    "rate", [0.02, np.repeat([0.02, 0.3], [PART, PART + 3])], ids=["one", "each"]
)
def test_adam_moves_a_long_vector_part_by_part_as_it_moves_a_short_one(rate):
    n_copies = (2 * PART + 3) // len(START) + 1
    rates = np.broadcast_to(rate, 2 * PART + 3)
    values = np.tile(START, n_copies)[: len(rates)]
    optimizer = Adam(**{**ADAM, "learning_rate": rate})
    for gradient in GRADIENTS:
        optimizer.step(values, np.tile(gradient, n_copies)[: len(rates)])
    for place in (0, PART - 1, PART, 2 * PART - 1, 2 * PART, len(rates) - 1):  # ends of the parts
        i = place % len(START)
        expected = adam_by_the_book(
            START[i], GRADIENTS[:, i], **{**ADAM, "learning_rate": rates[place]}
        )
        assert values[place] == pytest.approx(expected, rel=0, abs=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("make", [lambda: SGD(1e-3, momentum=0.9), lambda: Adam()])
def test_what_has_no_gradient_any_more_is_forgotten_before_it_is_below_normal(make, dtype):
    """Numbers below the smallest normal one made the 30th epoch on MNIST two thirds longer."""
    optimizer, values = make(), np.ones(3, dtype)
    optimizer.step(values, np.array([1, 1e-3, -1e3], dtype))
    smallest, least = np.finfo(dtype).tiny, []
    for _ in range(round(math.log(smallest) / math.log(0.9)) + 300):
        optimizer.step(values, np.array([0, 0, 0], dtype))
        memory = np.abs(next(iter(optimizer.state().values())))
        least.append(memory[memory > 0].min(initial=1))
    assert smallest <= min(least) < 1e5 * smallest  # it came near, and no nearer
    assert not memory.any()


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


def test_lbfgs_does_not_take_a_point_without_a_loss_for_one_where_it_has_been():
    values, at = np.array([3.0]), barrier(1.0)
    search = LBFGS(lambda: at(values), values, max_iter=100, tol=1e-10, callback=lambda loss: None)
    search.minimise()
    assert search(np.array([2.0]))[0] == at([2.0])[0]
    for _ in range(2):
        assert search(np.array([-1.0]))[0] == pytest.approx(at([1.0])[0], rel=1e-12)


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


@pytest.mark.parametrize(("left", "is_rounding"), [(1e-7, True), (4e-6, False)])
def test_a_gradient_that_rounding_leaves_is_told_from_that_of_a_kink(
    left, is_rounding, monkeypatch
):
    """As parts of that at the start, 1 here: what smooth losses leave, and what relu does."""
    values = np.array([1.0])
    monkeypatch.setattr("scipy.optimize.minimize", lambda f, start, **_: OptimizeResult(x=start))
    monkeypatch.setattr(LBFGS, "_follow_gradient", lambda *_: left)
    solver = LBFGS(
        lambda: (values[0] ** 2 / 2, values.copy()), values, max_iter=9, tol=0.0,
        callback=lambda loss: None,
    )  # fmt: skip
    assert solver.minimise() == is_rounding


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


# --- chapter 1, section 11: how fast, and when to stop ------------------------------------------

SEEDS = st.integers(0, 10**6)
RATES = 1e-10  # what all rates are held to; a few hundred roundings of numbers of order 1


def descend(optimizer, curvature, start, n_steps):
    """The optimizer's path on ``½ Σ c θ²``: an array (n_steps + 1, p)."""
    values, path = np.array(start, float), [np.array(start, float)]
    for _ in range(n_steps):
        optimizer.step(values, curvature * values)
        path.append(values.copy())
    return np.array(path)


def some_curvatures(seed, p=4):
    rng = np.random.default_rng(seed)
    return np.sort(10 ** rng.uniform(-1, 2, p)), rng


@pytest.mark.equation("1.11")
@given(seed=SEEDS)
@settings(max_examples=40)
def test_gradient_descent_shrinks_each_axis_by_its_own_factor(seed):
    """Along the axes of a Hessian that is not diagonal."""
    c, rng = some_curvatures(seed)
    U = np.linalg.qr(rng.standard_normal((4, 4)))[0]
    eta, t = rng.uniform(0, 2.02) / c[-1], 30
    start = rng.standard_normal(4)
    optimizer, theta = SGD(eta), start.copy()
    for _ in range(t):
        optimizer.step(theta, U @ (c * (U.T @ theta)))
    expected = U @ ((1 - eta * c) ** t * (U.T @ start))
    verify("1.11", np.abs(theta - expected).max() / np.abs(start).max(), RATES)
    found = theory.momentum_factor(c, eta, 0.0, t)
    verify("1.11", np.abs(found - (1 - eta * c) ** t).max(), RATES)


def slowest(settings, c):
    """The rate in the direction where it is worst."""
    return float(np.max(theory.momentum_rate(c, settings.learning_rate, settings.momentum)))


@pytest.mark.equation("1.11a")
@given(seed=SEEDS)
@settings(max_examples=40)
def test_gradient_descent_is_stable_below_two_over_the_curvature(seed):
    c, _ = some_curvatures(seed)
    inside, outside = (
        np.abs(descend(SGD(side * 2 / c[-1]), c, np.ones(4), 2000)[-1]).max()
        for side in (1 - 1e-3, 1 + 1e-3)
    )
    verify("1.11a", inside, 1)
    verify("1.11a", 1 / outside, 0.1)  # (1 + 2e-3)^2000 is some e⁴


@pytest.mark.equation("1.11b")
@given(seed=SEEDS)
@settings(max_examples=40)
def test_the_best_learning_rate_and_its_rate(seed):
    c, _ = some_curvatures(seed)
    best = theory.best_gradient_descent(c[0], c[-1])
    kappa = c[-1] / c[0]
    verify("1.11b", abs(best.rate - (kappa - 1) / (kappa + 1)), RATES)
    path = descend(SGD(best.learning_rate), c, np.ones(4), 3)
    shrunk = np.abs(path[3] / path[2])  # at both ends by the same, and nowhere by less
    verify("1.11b", abs(shrunk[0] - best.rate), RATES)
    verify("1.11b", abs(shrunk[-1] - best.rate), RATES)
    verify("1.11b", shrunk.max() - best.rate, RATES)
    for other in best.learning_rate * np.array([0.97, 1.03]):
        assert np.abs(1 - other * c).max() > best.rate


@pytest.mark.equation("1.12")
@given(seed=SEEDS)
@settings(max_examples=40)
def test_momentum_on_a_quadratic(seed):
    c, rng = some_curvatures(seed)
    mu, t = rng.uniform(0.05, 0.95), int(rng.integers(1, 60))
    eta = rng.uniform(0, 2 * (1 + mu)) / c[-1]
    path = descend(SGD(eta, momentum=mu), c, np.ones(4), t)
    x = (1 + mu - eta * c) / (2 * mu**0.5)
    # U_{-1} = 0 by its recurrence
    before = eval_chebyu(t - 1, x) if t > 1 else np.ones(4)
    expected = mu ** (t / 2) * (eval_chebyu(t, x) - mu**0.5 * before)
    verify("1.12", np.abs(path[-1] - expected).max(), RATES)
    verify("1.12", np.abs(theory.momentum_factor(c, eta, mu, t) - expected).max(), RATES)


@pytest.mark.equation("1.12a")
@given(seed=SEEDS)
@settings(max_examples=12)
def test_momentum_is_stable_further_out(seed):
    rng = np.random.default_rng(seed)
    mu = rng.uniform(0, 0.9)
    edge = 2 * (1 + mu)
    inside, outside = (
        abs(descend(SGD(side * edge, momentum=mu), 1.0, np.ones(1), 4000)[-1, 0])
        for side in (1 - 1e-3, 1 + 1e-3)
    )
    # at the edge one root is −1, and 1e-3 of the edge moves it by 2e-3 or more
    verify("1.12a", inside, 0.1)
    verify("1.12a", 1 / outside, 0.1)
    for reach in (-1e-3, 0.999 * edge, 1.001 * edge):
        assert (theory.momentum_rate(reach, 1.0, mu) < 1) == (0 < reach < edge)


@pytest.mark.equation("1.12b")
@given(seed=SEEDS)
@settings(max_examples=40)
def test_the_rate_of_momentum(seed):
    """Against the roots of the polynomial, and between the two edges ``√μ``."""
    rng = np.random.default_rng(seed)
    mu = rng.uniform(0.01, 0.95)
    low, high = (1 - mu**0.5) ** 2, (1 + mu**0.5) ** 2
    for reach in (*np.linspace(low, high, 7)[1:-1], low * rng.uniform(0.1, 0.9), 1.02 * high):
        roots = np.abs(np.roots([1, -(1 + mu - reach), mu]))
        rate = float(theory.momentum_rate(reach, 1.0, mu))
        verify("1.12b", abs(rate - roots.max()), RATES)
        if low < reach < high:
            verify("1.12b", abs(rate - mu**0.5), RATES)
        else:
            assert rate > mu**0.5


@pytest.mark.equation("1.12c")
@given(seed=SEEDS)
@settings(max_examples=40)
def test_the_best_momentum_and_no_other_is_faster(seed):
    c, rng = some_curvatures(seed)
    best = theory.best_momentum(c[0], c[-1])
    root = math.sqrt(c[-1] / c[0])
    verify("1.12c", abs(best.rate - (root - 1) / (root + 1)), RATES)
    verify("1.12c", abs(best.momentum - best.rate**2), RATES)
    # a double root: rounding of ε in the square of its distance moves it by √ε
    assert abs(slowest(best, c) - best.rate) < 1e-7
    for _ in range(200):
        mu, reach = rng.uniform(-0.5, 1), rng.uniform(0, 4)
        verify("1.12c", best.rate - np.max(theory.momentum_rate(c, reach / c[-1], mu)), RATES)
    near = [
        np.max(theory.momentum_rate(c, best.learning_rate * a, best.momentum * b))
        for a in (0.98, 1, 1.02) for b in (0.98, 1, 1.02) if (a, b) != (1, 1)
    ]  # fmt: skip
    assert min(near) > best.rate


@pytest.mark.equation("1.12d")
@given(seed=SEEDS)
@settings(max_examples=40)
def test_at_the_best_momentum_the_steepest_direction_first_grows(seed):
    c, _ = some_curvatures(seed)
    eta, mu, r = theory.best_momentum(c[0], c[-1])
    t = np.arange(61)
    path = descend(SGD(eta, momentum=mu), c, np.ones(4), 60)
    flat, steep = r**t * (1 + (1 - r) * t), (-r) ** t * (1 + (1 + r) * t)
    verify("1.12d", np.abs(path[:, 0] - flat).max(), RATES)
    verify("1.12d", np.abs(path[:, -1] - steep).max(), RATES)
    assert (abs(path[1, -1]) > 1) == (r > 2**0.5 - 1)


# --- mini-batches: every sequence of batches, so that expectations are sums ---------------------


def least_squares(seed, n=5, d=2):
    rng = np.random.default_rng(seed)
    X, y = rng.standard_normal((n, d)), rng.standard_normal(n)
    return X, y, rng.standard_normal(d), rng


def batch_gradient(X, y, w, batch):
    rows = list(batch)
    return 2 * X[rows].T @ (X[rows] @ w - y[rows]) / len(rows)


@pytest.mark.equation("1.13")
@pytest.mark.equation("1.13a")
@given(seed=SEEDS)
@settings(max_examples=20)
def test_mean_and_covariance_of_a_batch_gradient(seed):
    X, y, w, _ = least_squares(seed, n=6)
    each = np.array([batch_gradient(X, y, w, [i]) for i in range(6)])
    S = np.cov(each.T, bias=True)
    for B in range(1, 7):
        of_all = [batch_gradient(X, y, w, b) for b in itertools.combinations(range(6), B)]
        verify("1.13", np.abs(np.mean(of_all, axis=0) - each.mean(axis=0)).max(), RATES)
        covariance = np.cov(np.array(of_all).T, bias=True)
        verify("1.13a", np.abs(covariance - (6 - B) / (B * 5) * S).max() / np.trace(S), RATES)


@pytest.mark.equation("1.13b")
@given(seed=SEEDS, batch_size=st.integers(1, 5))
@settings(max_examples=12)
def test_moments_of_mini_batch_descent_by_all_sequences_of_batches(seed, batch_size):
    X, y, start, rng = least_squares(seed)
    eta, n_steps = rng.uniform(0.02, 0.3), 3
    ends = []
    batches = list(itertools.combinations(range(5), batch_size))
    for sequence in itertools.product(batches, repeat=n_steps):
        optimizer, w = SGD(eta), start.copy()
        for batch in sequence:
            optimizer.step(w, batch_gradient(X, y, w, batch))
        ends.append(w)
    away = np.array(ends) - np.linalg.lstsq(X, y, rcond=None)[0]
    found = theory.minibatch_moments(X, y, start, eta, batch_size, n_steps)
    size = np.mean(np.sum(away**2, axis=1))
    verify("1.13b", np.abs(found.mean - np.mean(ends, axis=0)).max() / size**0.5, RATES)
    verify("1.13b", np.abs(found.second - away.T @ away / len(away)).max() / size, RATES)


@pytest.mark.equation("1.13c")
@given(seed=SEEDS)
@settings(max_examples=20)
def test_the_floor_of_a_constant_learning_rate(seed):
    rng = np.random.default_rng(seed)
    n, B = 9, int(rng.integers(1, 9))
    y, eta = rng.standard_normal(n), rng.uniform(0.05, 0.9)  # stable below 1: c = 2
    part = (n - B) / (B * (n - 1))
    s2 = 4 * y.var() * part  # of the gradient 2 (θ − mean of the batch)
    found = theory.minibatch_moments(np.ones((n, 1)), y, [5.0], eta, B, 1500)
    verify("1.13c", abs(found.second[0, 0] / (eta * s2 / (2 * (2 - 2 * eta))) - 1), RATES)


@pytest.mark.equation("1.13d")
@given(seed=SEEDS)
@settings(max_examples=20)
def test_a_learning_rate_that_falls_as_one_over_t_averages(seed):
    rng = np.random.default_rng(seed)
    samples = rng.standard_normal(40)
    theta, optimizer = rng.standard_normal(1), SGD()
    for t, x in enumerate(samples, start=1):
        optimizer.learning_rate = 1 / (2 * t)
        optimizer.step(theta, 2 * (theta - x))
        verify("1.13d", abs(theta[0] - samples[:t].mean()), RATES)


def test_at_the_end_of_an_epoch_the_noise_has_mostly_cancelled():
    """Each sample once, in all orders: the exact stationary variance, and that of (1.13c)."""
    y, eta = np.array([-2.0, -1.0, 0.0, 1.0, 2.0]), 0.02
    ends = []
    for order in itertools.permutations(y):
        theta, optimizer = np.zeros(1), SGD(eta)
        for x in order:
            optimizer.step(theta, 2 * (theta - x))
        ends.append(theta[0])
    keeps = (1 - 2 * eta) ** len(y)  # of where the epoch began
    of_epochs = np.mean(np.square(ends)) / (1 - keeps**2)
    anew = theory.minibatch_moments(np.ones((5, 1)), y, [0.0], eta, 1, 2000).second[0, 0]
    assert round(anew / of_epochs) == 241


def test_the_noise_can_grow_though_the_mean_shrinks():
    script = importlib.import_module("figures.optimizers_rates")
    X, y = script.linear_problem()
    limit = 2 / (2 * np.linalg.eigvalsh(X.T @ X / len(X))[-1])  # (1.11a)
    assert round(limit, 2) == 1.15
    found = theory.minibatch_moments(X, y, np.zeros(3), 0.3, 1, 500)
    best = np.linalg.lstsq(X, y, rcond=None)[0]
    assert np.abs(found.mean - best).max() < 1e-12 < 1e12 < np.trace(found.second)


def test_where_all_residuals_are_0_there_is_no_floor():
    X, _, start, _ = least_squares(0)
    found = theory.minibatch_moments(X, X @ [1.0, -2.0], start, 0.1, 1, 3000)
    assert np.trace(found.second) < 1e-20
    noisy = theory.minibatch_moments(X, X @ [1.0, -2.0] + [1, 0, 0, -1, 0], start, 0.1, 1, 3000)
    assert np.trace(noisy.second) > 1e-3


# --- Adam ---


def adam_path(gradients, **params):
    optimizer, values, path = Adam(0.01, **{"epsilon": 0.0, **params}), np.zeros(3), []
    for g in gradients:
        before = values.copy()
        optimizer.step(values, np.array(g, float))
        path.append(values - before)
    return np.array(path)


@pytest.mark.equation("1.14")
@given(seed=SEEDS)
@settings(max_examples=20)
def test_the_first_step_of_adam(seed):
    rng = np.random.default_rng(seed)
    g, epsilon = rng.standard_normal(3) * 10.0 ** rng.integers(-9, 5, 3), 1e-8
    step = adam_path([g], epsilon=epsilon)[0]
    verify("1.14", np.abs(step / (-0.01 * g / (np.abs(g) + epsilon)) - 1).max(), RATES)


@pytest.mark.equation("1.14a")
@given(seed=SEEDS)
@settings(max_examples=20)
def test_adam_does_not_see_the_scale_of_a_parameter(seed):
    rng = np.random.default_rng(seed)
    gradients, scales = rng.standard_normal((30, 3)), 10.0 ** rng.uniform(-6, 6, 3)
    moved = adam_path(gradients * scales) - adam_path(gradients)
    verify("1.14a", np.abs(moved).max() / 0.01, RATES)


@pytest.mark.equation("1.14b")
@given(seed=SEEDS)
@settings(max_examples=20)
def test_what_the_division_by_the_bias_mends(seed):
    """A gradient that stays the same moves by the learning rate, from the first step on."""
    rng = np.random.default_rng(seed)
    g, beta_1, beta_2 = rng.standard_normal(3), rng.uniform(0.5, 0.95), rng.uniform(0.9, 0.999)
    steps = adam_path([g] * 40, beta_1=beta_1, beta_2=beta_2)
    verify("1.14b", np.abs(steps + 0.01 * np.sign(g)).max() / 0.01, RATES)
    m = v = 0.0
    for t in range(1, 41):
        m, v = beta_1 * m + (1 - beta_1) * g[0], beta_2 * v + (1 - beta_2) * g[0] ** 2
        raw = (1 - beta_1**t) / (1 - beta_2**t) ** 0.5
        verify("1.14b", abs(m / v**0.5 - raw * np.sign(g[0])), RATES)


def test_without_it_the_first_steps_would_be_too_long():
    t = np.arange(1, 100)
    raw = (1 - 0.9**t) / (1 - 0.999**t) ** 0.5
    assert round(raw[0], 2) == 3.16 and round(raw.max(), 2) == 6.57 and t[raw.argmax()] == 12


@pytest.mark.equation("1.14c")
@given(seed=SEEDS, t=st.integers(1, 60))
@settings(max_examples=30)
def test_the_longest_step_of_adam(seed, t):
    rng = np.random.default_rng(seed)
    bound = theory.adam_longest_step(t)
    kinds = rng.standard_normal((t, 3)) * rng.uniform(0.5, 2) ** np.arange(t)[:, None]
    verify("1.14c", np.abs(adam_path(kinds)[-1]).max() / 0.01 - bound, RATES)
    worst = (0.9 / 0.999) ** -np.arange(t)[:, None] * np.ones(3)  # (1.14c) is reached
    verify("1.14c", np.abs(np.abs(adam_path(worst)[-1]) / 0.01 - bound).max(), RATES)


def test_adam_may_step_further_than_its_paper_says():
    # the worst case of (1.14c), when the bias has long faded; 1e-9 in place of 0: here ε is 0
    rest = np.full((10000, 3), 1e-9)
    grows = np.vstack([rest, 1.11 ** np.arange(200)[:, None] * np.ones(3)])
    stated = (1 - 0.9) / (1 - 0.999) ** 0.5  # Kingma & Ba 2015, §2.1: 3.16 learning rates
    assert np.abs(adam_path(grows)[-1]).max() / 0.01 > 2 * stated
    lone = np.vstack([rest, np.ones((1, 3))])  # their worst case: nothing until the last step
    assert np.abs(adam_path(lone)[-1]).max() / 0.01 == pytest.approx(stated, rel=1e-3)


# --- L-BFGS ---


def bfgs_matrix(moves, changes):
    """(1.15) as it stands, from the scaled identity on."""
    H = (moves[-1] @ changes[-1]) / (changes[-1] @ changes[-1]) * np.eye(moves.shape[1])
    for s, y in zip(moves, changes, strict=True):
        V = np.eye(len(s)) - np.outer(y, s) / (s @ y)
        H = V.T @ H @ V + np.outer(s, s) / (s @ y)
    return H


def spd(rng, c):
    U = np.linalg.qr(rng.standard_normal((len(c), len(c))))[0]
    return U @ np.diag(c) @ U.T


@pytest.mark.equation("1.15")
@pytest.mark.equation("1.15a")
@given(seed=SEEDS, m=st.integers(1, 6))
@settings(max_examples=30)
def test_the_matrix_of_lbfgs(seed, m):
    rng = np.random.default_rng(seed)
    c = rng.uniform(1, 10, 5)
    moves = rng.standard_normal((m, 5))
    changes, g = moves @ spd(rng, c), rng.standard_normal(5)
    H = bfgs_matrix(moves, changes)
    verify("1.15a", np.abs(H @ changes[-1] - moves[-1]).max() / np.abs(moves[-1]).max(), RATES)
    direction = theory.lbfgs_direction(g, moves, changes)
    verify("1.15", np.abs(direction + H @ g).max() / np.abs(direction).max(), RATES)
    assert direction @ g < 0


def exact_line_search(A, start, memory, n_steps):
    theta, path, moves, changes = start.copy(), [start], [], []
    for _ in range(n_steps):
        g = A @ theta
        kept = slice(len(moves) - memory, None) if len(moves) > memory else slice(None)
        p = theory.lbfgs_direction(g, moves[kept], changes[kept])
        move = -(p @ g) / (p @ A @ p) * p
        theta = theta + move
        moves.append(move)
        changes.append(A @ move)
        path.append(theta)
    return np.array(path)


def conjugate_gradients(A, start, n_steps):
    theta, g, path = start.copy(), A @ start, [start]
    p = -g
    for _ in range(n_steps):
        theta = theta + (g @ g) / (p @ A @ p) * p
        new = A @ theta
        p = -new + (new @ new) / (g @ g) * p
        g = new
        path.append(theta)
    return np.array(path)


@pytest.mark.equation("1.15b")
@given(seed=SEEDS, memory=st.integers(1, 6))
@settings(max_examples=30)
def test_lbfgs_with_an_exact_line_search_is_conjugate_gradients(seed, memory):
    rng = np.random.default_rng(seed)
    levels = np.array([1.0, 2.5, 4.0, 9.0])
    A, start = spd(rng, levels[[0, 0, 1, 2, 3, 3]]), rng.standard_normal(6)
    path = exact_line_search(A, start, memory, 4)
    verify("1.15b", np.abs(path - conjugate_gradients(A, start, 4)).max(), RATES)
    verify("1.15b", np.abs(path[4]).max(), RATES)  # four curvatures, four steps
    assert np.abs(path[3]).max() > 1e-4
    kappa, size = 9.0, np.einsum("ti,ij,tj->t", path, A, path) ** 0.5
    rate = (kappa**0.5 - 1) / (kappa**0.5 + 1)
    assert np.all(size[:4] <= 2 * rate ** np.arange(4) * size[0])


@pytest.mark.equation("1.15c")
@pytest.mark.parametrize("p", [10, 50])
@pytest.mark.parametrize("kappa", [10, 1e3, 1e5])
def test_lbfgs_needs_no_more_iterations_than_the_best_momentum(kappa, p):
    c, theta = np.geomspace(1, kappa, p), np.random.default_rng(p).standard_normal(p)
    at_start, losses = c @ theta**2 / 2, []
    LBFGS(
        lambda: (c @ theta**2 / 2, c * theta), theta, max_iter=5000, tol=1e-8,
        callback=losses.append,
    ).minimise()  # fmt: skip
    needed = next(i for i, loss in enumerate(losses, start=1) if loss <= 1e-10 * at_start)
    # the rate alone, without the polynomial before it, from 1 to 1e-5 of the distance
    momentum = math.log(1e-5) / math.log(theory.best_momentum(1, kappa).rate)
    verify("1.15c", needed / momentum, 1.1)


# --- when to stop ---


@pytest.mark.equation("1.16")
@given(seed=SEEDS)
@settings(max_examples=40)
def test_what_a_gradient_tells_of_the_distance(seed):
    c, rng = some_curvatures(seed)
    A, theta = spd(rng, c), rng.standard_normal(4)
    g, above = A @ theta, theta @ A @ theta / 2
    low, high = g @ g / (2 * c[-1]), g @ g / (2 * c[0])
    verify("1.16", max(low - above, above - high) / above, RATES)
    verify("1.16", np.linalg.norm(theta) * c[0] / np.linalg.norm(g) - 1, RATES)
    along = np.linalg.eigh(A)[1]
    for i, bound in ((0, c[0]), (-1, c[-1])):  # both are reached
        g = A @ along[:, i]
        verify("1.16", abs(along[:, i] @ g / 2 * 2 * bound / (g @ g) - 1), RATES)


@pytest.mark.equation("1.16a")
@given(seed=SEEDS)
@settings(max_examples=40)
def test_what_is_left_when_the_loss_hardly_changes(seed):
    rng = np.random.default_rng(seed)
    r = rng.uniform(0.3, 0.999)
    theta = descend(SGD(1 - r), 1.0, np.ones(1), 20)[:, 0]
    loss = theta**2 / 2
    change = loss[:-1] - loss[1:]
    verify("1.16a", np.abs(change * r**2 / (1 - r**2) / loss[1:] - 1).max(), RATES)


@pytest.mark.equation("1.16b")
@pytest.mark.parametrize("c", [0.1, 1.0, 30.0])
def test_a_loss_cannot_tell_parameters_apart_that_a_gradient_can(c):
    """Of ``1 + ½ c θ²``: the loss is 1 to the last bit, and the gradient knows."""
    eps = np.finfo(float).eps
    blind = 0.99 * math.sqrt(eps / c)  # half a spacing above 1 is ε/2, and is rounded down
    verify("1.16b", 1.0 + c * blind**2 / 2 - 1.0, 0)
    theta = np.array([blind])
    SGD(1 / c).step(theta, c * theta)
    verify("1.16b", abs(theta[0]), eps * blind)
    assert 1.0 + c * (1.1 * blind) ** 2 / 2 > 1.0


def test_exercise_early_stopping():
    s = np.linspace(0.01, 20, 2000)  # c/λ
    eta = 1e-4
    stopped = 1 - theory.momentum_factor(s, eta, 0.0, round(1 / eta))  # ηt = 1/λ, in units of λ
    ratio = stopped / (s / (1 + s))
    # η c of up to 2e-3 moves the powers by as much
    assert ratio.min() >= 1 and ratio.max() == pytest.approx(1.298, abs=2e-3)
    assert s[ratio.argmax()] == pytest.approx(1.79, abs=0.03)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: theory.best_momentum(9.0, 1.0), "largest must be finite and at least 9; got 1"),
        (lambda: theory.best_gradient_descent(0.0, 1.0), "smallest must be"),
        (
            lambda: theory.minibatch_moments([[1.0], [2.0]], [0.0, 1.0], [0.0], 0.1, 3, 1),
            "batch_size must be from 1 to 2; got 3",
        ),
    ],
)
def test_what_has_no_meaning_is_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()
