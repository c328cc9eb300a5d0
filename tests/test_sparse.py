"""Chapter 4: soft thresholds, sparse codes, and what a sparsity penalty does and does not do."""

from __future__ import annotations

import warnings
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.linalg import hadamard
from scipy.special import expit, logit, rel_entr
from theory_report import verify

from nanoae import theory
from nanoae.datasets import make_gaussian
from nanoae.exceptions import ConvergenceWarning
from nanoae.losses import kl_sparsity
from nanoae.proximal import fista, ista, soft_threshold

EPS = np.finfo(float).eps
seeds = st.integers(0, 2**32 - 1)


@st.composite
def problems(draw, max_d=8, max_k=12, parts=(0.05, 0.95)):
    """X, a dictionary with atoms of many lengths, and λ as a part of the least λ_max; rng."""
    d, k, n = draw(st.integers(1, max_d)), draw(st.integers(1, max_k)), draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(seeds))
    X = rng.standard_normal((n, d))
    D = rng.standard_normal((d, k)) * rng.uniform(0.3, 3, k)
    sparsity = draw(st.floats(*parts)) * theory.lasso_max_sparsity(X, D).min()
    return X, D, sparsity, rng


def unit_atoms(D):
    return D / np.linalg.norm(D, axis=0)


def steps(solver, X, D, sparsity, n_steps, **options):
    """The codes after each step."""
    trace = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # stopped early on purpose
        solver(
            X, D, sparsity, max_iter=n_steps, tol=0, callback=lambda h: trace.append(h.copy()),
            **options,
        )  # fmt: skip
    return trace


# --- 4.1 the soft threshold -----------------------------------------------------------------

numbers = st.floats(-1e6, 1e6, allow_subnormal=False)
thresholds = st.floats(0, 1e6, allow_subnormal=False)


def lacks_of_growth(square, penalty, v, t, h):
    """How far ``square (h − v)² + penalty |h|`` falls short of growing as square (h − h*)².

    Around its minimiser h* a strongly convex function grows at least so, and around no other
    point: this is the definition of the minimiser, checked against the places where it might be.
    """

    def objective(h):
        return square * (h - v) ** 2 + penalty * abs(h)

    elsewhere = np.array([0.0, v - t, v + t, v, h + 1, h - 1])
    lack = objective(h) + square * (elsewhere - h) ** 2 - objective(elsewhere)
    return lack.max() / (v**2 + t**2 + 1)


@pytest.mark.equation("4.1")
@given(numbers, thresholds)
@example(1.0, 1.0)
@example(-1.0, 1.0)
def test_soft_threshold_is_the_proximal_operator(v, t):
    h = soft_threshold(v, t)
    verify("4.1", lacks_of_growth(0.5, t, v, t, h), 10 * EPS)
    verify("4.1", abs(h - np.sign(v) * max(abs(v) - t, 0)), 0)  # the same roundings: same bits


@pytest.mark.equation("4.1a")
@given(numbers, thresholds)
def test_without_the_half_the_threshold_is_half_of_lambda(v, sparsity):
    h = soft_threshold(v, sparsity / 2)
    verify("4.1a", lacks_of_growth(1, sparsity, v, sparsity / 2, h), 10 * EPS)


@pytest.mark.equation("4.1b")
@given(numbers, thresholds)
def test_moreau_threshold_and_projection_add_up(v, t):
    projection = min(max(v, -t), t)
    verify("4.1b", abs(soft_threshold(v, t) + projection - v) / max(abs(v), 1), EPS)


@pytest.mark.equation("4.1c")
@given(seeds, st.integers(1, 10), st.floats(0, 3))
def test_soft_threshold_is_firmly_non_expansive(seed, k, t):
    u, v = np.random.default_rng(seed).standard_normal((2, k)) * 2
    moved = soft_threshold(u, t) - soft_threshold(v, t)
    left = (u - v) - moved
    excess = moved @ moved + left @ left - (u - v) @ (u - v)
    verify("4.1c", excess / ((u - v) @ (u - v)), 20 * EPS)  # 3 k products


@pytest.mark.equation("4.1d")
@given(seeds, st.floats(0.01, 3))
def test_derivatives_of_the_soft_threshold(seed, t):
    v = np.random.default_rng(seed).standard_normal(20) * 2
    through = np.abs(v) > t
    # the complex step is exact where the function is analytic: everywhere but at |v| = t
    by_v = soft_threshold(v + 1e-30j, t).imag / 1e-30
    by_t = soft_threshold(v.astype(complex), np.full(20, t + 1e-30j)).imag / 1e-30
    error = max(np.abs(by_v - through).max(), np.abs(by_t + np.sign(v) * through).max())
    verify("4.1d", error, 1e-12)
    # at the kink, by differences: 0 towards the origin, 1 away from it; t and δ cancel exactly
    t, delta = 1.0, 2.0**-20
    for sign in (-1, 1):
        kink = soft_threshold(sign * t, t)
        outward = (soft_threshold(sign * (t + delta), t) - kink) / (sign * delta)
        inward = (kink - soft_threshold(sign * (t - delta), t)) / (sign * delta)
        verify("4.1d", max(abs(kink), abs(outward - 1), abs(inward)), 0)


def test_zeros_are_exact_and_positive_and_float32_stays():
    h = soft_threshold(np.float32([-0.3, 0.3, 2.0]), np.float64(0.3))
    assert h.dtype == np.float32
    assert h.tolist() == [0, 0, np.float32(2) - np.float32(0.3)]
    assert not np.signbit(h).any()
    with pytest.raises(ValueError, match="t must be at least 0; got -1"):
        soft_threshold([1.0], [-1.0])


# --- 4.2 orthonormal dictionaries -----------------------------------------------------------


@pytest.mark.equation("4.2")
@given(seeds, st.integers(1, 10), st.floats(0.05, 3), st.data())
@settings(max_examples=50)
def test_closed_form_for_orthonormal_atoms(seed, d, sparsity, data):
    rng = np.random.default_rng(seed)
    D = np.linalg.qr(rng.standard_normal((d, data.draw(st.integers(1, d)))))[0]
    X = rng.standard_normal((5, d)) * 2
    closed = theory.orthonormal_code(X, D, sparsity)
    # the code solves it (to d roundings of 2 Dᵀx, over λ), and both solvers find it
    size = np.abs(X).sum(axis=1) / sparsity
    verify("4.2", (theory.lasso_kkt_residual(X, D, closed, sparsity) / size).max(), 1e-13)
    for solver in (ista, fista):
        verify("4.2", np.abs(solver(X, D, sparsity) - closed).max(), 1e-12)


@pytest.mark.equation("4.2a")
@given(seeds, st.integers(1, 6), st.integers(2, 9), st.floats(0.1, 2), st.floats(1, 1e4))
def test_no_other_dictionary_with_unit_atoms_has_that_closed_form(seed, d, k, sparsity, c):
    """At x = c D_i the violation is 2c Σ_{j≠i} (D_iᵀD_j)² to within λ Σ_{j≠i} |D_iᵀD_j|."""
    D = unit_atoms(np.random.default_rng(seed).standard_normal((d, k)))
    gram = D.T @ D
    h = theory.orthonormal_code(c * D.T, D, sparsity)  # row i: the code of x = c D_i
    violation = 2 * np.diag((c * D.T - h @ D.T) @ D) - sparsity
    predicted = -2 * c * (np.sum(gram**2, axis=1) - 1)
    slack = sparsity * (np.abs(gram).sum(axis=1) - 1)
    allowed = slack + 1e-13 * c  # numbers of size c are subtracted
    verify("4.2a", (np.abs(violation - predicted) / allowed).max(), 1)
    assert np.all(predicted < 0)  # random atoms are not orthogonal


@pytest.mark.equation("4.2b")
@given(st.floats(-5, 5), st.floats(0.1, 5))
def test_duplicated_short_atoms_have_it_too(x, sparsity):
    D = np.full((1, 2), 0.5**0.5)
    h = theory.orthonormal_code([[x]], D, sparsity)
    residual = theory.lasso_kkt_residual([[x]], D, h, sparsity)[0]
    verify("4.2b", residual * sparsity / (abs(x) + sparsity), 10 * EPS)


# --- 4.3 optimality -------------------------------------------------------------------------


@pytest.mark.parametrize("sign", [1, -1])
def test_the_kkt_residual_off_the_support_is_that_of_either_sign(sign):
    """h = 0 where the atom is worth taking, forwards or backwards: ``2 · 2/λ − 1``."""
    residual = theory.lasso_kkt_residual([[sign * 2.0]], [[1.0]], [[0.0]], sparsity=0.5)
    assert residual == pytest.approx([7.0])


@pytest.mark.equation("4.3")
@given(problems())
@settings(max_examples=40)
def test_solvers_meet_the_optimality_conditions_and_they_mean_a_minimum(problem):
    X, D, sparsity, rng = problem
    h = fista(X, D, sparsity)
    verify("4.3", theory.lasso_kkt_residual(X, D, h, sparsity).max(), 1e-8)
    # where they hold, F grows at least as ‖D (h − h*)‖² in every direction
    least = theory.lasso_objective(X, D, h, sparsity)
    for size in (1e-3, 1, 10):
        other = h + size * rng.standard_normal(h.shape)
        growth = np.sum(((other - h) @ D.T) ** 2, axis=1)
        value = theory.lasso_objective(X, D, other, sparsity)
        # h itself is off by 1e-8 λ a coordinate, so F may fall by that times the step
        allowed = 1e-8 * sparsity * np.abs(other - h).sum(axis=1) + 1e-13 * value
        verify("4.3", ((least + growth - value) / allowed).max(), 1)
        assert np.all(theory.lasso_kkt_residual(X, D, other, sparsity) > 1e-8)


@pytest.mark.equation("4.3")
def test_ista_meets_them_too_or_says_that_it_does_not():
    """Where two atoms do nearly as well as each other, it may take any number of steps."""
    warned = []

    @given(problems(parts=(0.3, 0.95)))
    @example((np.array([[0.6]]), np.array([[3.4466, -3.4456]]), 0.26, None))
    @settings(max_examples=15)
    def check(problem):
        X, D, sparsity, _ = problem
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            h = ista(X, D, sparsity, max_iter=10_000)
        residual = theory.lasso_kkt_residual(X, D, h, sparsity).max()
        if caught:
            assert caught[0].category is ConvergenceWarning and residual > 1e-8
        else:
            verify("4.3", residual, 1e-8)
        warned.append(bool(caught))

    check()
    assert 0 < np.mean(warned) < 0.3


@pytest.mark.equation("4.3a")
@given(problems())
@settings(max_examples=30)
def test_the_code_is_zero_from_lambda_max_on(problem):
    X, D, _, _ = problem
    for x, largest in zip(X, theory.lasso_max_sparsity(X, D), strict=True):
        above = fista([x], D, largest * (1 + 1e-9))
        below = fista([x], D, largest * (1 - 1e-3))
        verify("4.3a", np.any(above != 0) + np.all(below == 0), 0)


@pytest.mark.equation("4.3b")
@given(problems(max_d=5), st.booleans())
@settings(max_examples=30)
def test_all_minimisers_share_one_reconstruction(problem, doubled):
    X, D, sparsity, rng = problem
    if doubled:
        D = np.hstack([D, D])  # every code may be split between twins
    one, other = (
        fista(X, D, sparsity, codes=rng.standard_normal((len(X), D.shape[1])), tol=1e-10)
        for _ in range(2)
    )
    # F(h) − F* ≤ 2 tol F bounds ‖D(h − h*)‖²; twice, once for each
    F = theory.lasso_objective(X, D, one, sparsity)
    apart = np.linalg.norm((one - other) @ D.T, axis=1)
    verify("4.3b", (apart / np.sqrt(F)).max(), 2 * np.sqrt(2.1e-10))
    if doubled:  # though the codes differ: either twin may have all
        k = D.shape[1] // 2
        joined = one[:, :k] + one[:, k:]
        for codes in (np.hstack([joined, 0 * joined]), np.hstack([0 * joined, joined])):
            assert theory.lasso_objective(X, D, codes, sparsity) == pytest.approx(F, rel=1e-9)


@pytest.mark.equation("4.3c")
@given(seeds, st.integers(2, 6), st.floats(-0.9, 0.9))
@settings(max_examples=40)
def test_two_unit_atoms_enter_where_the_hand_says(seed, d, cosine):
    rng = np.random.default_rng(seed)
    Q = np.linalg.qr(rng.standard_normal((d, 2)))[0]
    D = Q @ np.array([[1, cosine], [0, np.sqrt(1 - cosine**2)]])
    x = rng.standard_normal(d)
    b = D.T @ x
    first, second = np.argsort(-np.abs(b))
    rest = b[second] - cosine * b[first]
    enters = 2 * np.abs(rest) / (1 - np.sign(rest * b[first]) * cosine)
    breakpoints = np.array([2 * np.abs(b[first]), enters])

    path = theory.two_atom_path(x, D)
    found = np.array([segment.low for segment in path[:-1]])
    verify("4.3c", np.abs(found - breakpoints).max() / breakpoints[0], 1e-13)
    assert (path[0].high, path[-1].low, len(path)) == (np.inf, 0, 3)

    for sparsity in rng.uniform(0.01, 1.1, 3) * breakpoints[0]:
        code = next(s.intercept + s.slope * sparsity for s in path if s.low <= sparsity)
        # F is 2 (1 − |cos|)-strongly convex, and a subgradient of size √2 tol λ remains
        allowed = np.sqrt(2) * 1e-10 * sparsity / (2 * (1 - abs(cosine))) + 1e-13
        found = fista([x], D, sparsity, tol=1e-10)[0]
        verify("4.3c", np.abs(found - code).max() / allowed, 1)


def check_path(x, D):
    path = theory.two_atom_path(x, D)
    assert path[0].high == np.inf and path[-1].low == 0
    assert all(segment.low < segment.high for segment in path)
    for above, below in pairwise(path):
        assert above.low == pytest.approx(below.high, rel=1e-9)
    for segment in path[1:]:
        sparsity = (segment.low + segment.high) / 2
        code = segment.intercept + segment.slope * sparsity
        assert np.array_equal(np.sign(code), segment.signs)
        assert theory.lasso_kkt_residual([x], D, [code], sparsity)[0] < 1e-9


@given(seeds)
@settings(max_examples=60)
def test_path_of_two_atoms_of_any_length_has_no_gaps_and_solves_it(seed):
    rng = np.random.default_rng(seed)
    check_path(rng.standard_normal(3), rng.standard_normal((3, 2)) * [3, 0.5])


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("x", [(1.0, 0.1), (1.0, -0.1), (1.0, 3.0), (0.0, 1.0), (1.0, 0.0)])
def test_path_where_a_condition_does_not_depend_on_lambda(x, sign):
    """D₁ᵀD₂ = ‖D₁‖²: with the first atom at work, λ moves the second one's correlation as fast as
    the bound that it must keep."""
    check_path(sign * np.array(x), np.array([[1.0, 1.0], [0.0, 1.0]]))


def test_a_long_atom_enters_first_leaves_and_returns_with_the_other_sign():
    D, x = np.array([[4.0, 0.9], [0.0, 0.3]]), np.array([1.0, 4.0])
    signs = [segment.signs for segment in theory.two_atom_path(x, D)]
    assert signs == [(0, 0), (1, 0), (1, 1), (0, 1), (-1, 1)]


# --- 4.4 how fast ---------------------------------------------------------------------------


@pytest.mark.equation("4.4")
@pytest.mark.equation("4.4a")
@pytest.mark.equation("4.4b")
@given(problems(), st.booleans())
@settings(max_examples=40)
def test_ista_and_fista_keep_their_bounds_at_every_step(problem, warm):
    X, D, sparsity, rng = problem
    best = fista(X, D, sparsity)
    start = rng.standard_normal(best.shape) if warm else np.zeros_like(best)
    least = theory.lasso_objective(X, D, best, sparsity)
    distance = np.linalg.norm(start - best, axis=1)
    at_start = theory.lasso_objective(X, D, start, sparsity)
    # The bounds hold with any point for h* (proof in the text), so they need no exact minimiser.
    # What remains is the rounding of F: a sum of d + k terms, and two of them are subtracted.
    rounding = 1e-13 * at_start

    trace = steps(ista, X, D, sparsity, 100, codes=start)
    F = np.array([theory.lasso_objective(X, D, h, sparsity) for h in trace])
    bound = theory.ista_bound(D, distance, np.arange(1, len(F) + 1)[:, None])
    verify("4.4", ((F - least - rounding) / bound).max(), 1)
    moves = np.diff([start, *trace], axis=0)
    half_L = np.linalg.norm(D, 2) ** 2
    fall = -np.diff([at_start, *F], axis=0)
    lack = half_L * np.sum(moves**2, axis=2) - fall
    verify("4.4a", (lack / at_start).max(), 1e-13)

    trace = steps(fista, X, D, sparsity, 100, codes=start, restart=False)
    F = np.array([theory.lasso_objective(X, D, h, sparsity) for h in trace])
    bound = theory.fista_bound(D, distance, np.arange(1, len(F) + 1)[:, None])
    verify("4.4b", ((F - least - rounding) / bound).max(), 1)


@pytest.mark.equation("4.4")
@pytest.mark.parametrize("k", [1, 7, 50])
def test_ista_can_be_made_to_use_up_half_of_its_bound(k):
    """A zero atom, and x = 0: its coordinate comes down from 1 to 0 by λ/L a step."""
    D, x, start = np.array([[1.0, 0.0]]), np.zeros((1, 1)), np.array([[0.0, 1.0]])
    L = 2.0
    sparsity = L / (2 * k)
    (last,) = steps(ista, x, D, sparsity, k, codes=start)[-1:]
    used = theory.lasso_objective(x, D, last, sparsity)[0] / theory.ista_bound(D, 1.0, k)
    verify("4.4", used, 1)
    assert abs(used - 0.5) <= k * EPS  # k subtractions


def test_bounds_by_hand():
    D = [[2.0, 0.0], [0.0, 1.0]]  # L = 2 · 2²
    assert theory.ista_bound(D, 3.0, 5) == 8 * 3**2 / (2 * 5)
    assert theory.fista_bound(D, 3.0, 5) == 2 * 8 * 3**2 / (5 + 1) ** 2


@pytest.mark.equation("4.4b")
def test_ista_breaks_the_bound_of_fista():
    """So that bound says something: it takes momentum to keep it where F is badly conditioned."""
    D = np.diag(np.linspace(0.02, 1, 30))
    X, sparsity = np.ones((1, 30)), 1e-3
    best = fista(X, D, sparsity)
    least = theory.lasso_objective(X, D, best, sparsity)
    k = np.arange(1, 201)[:, None]
    bound = theory.fista_bound(D, np.linalg.norm(best, axis=1), k)
    worst = {}
    for name, solver, options in (("ista", ista, {}), ("fista", fista, {"restart": False})):
        trace = steps(solver, X, D, sparsity, 200, **options)
        F = np.array([theory.lasso_objective(X, D, h, sparsity) for h in trace])
        worst[name] = ((F - least) / bound).max()
    verify("4.4b", worst["fista"], 1)
    assert worst["ista"] > 2


@pytest.mark.equation("4.4c")
@pytest.mark.equation("4.4d")
@given(problems(), st.floats(-12, 1))
@settings(max_examples=60)
def test_duality_gap_certifies(problem, exponent):
    X, D, sparsity, rng = problem
    best = fista(X, D, sparsity)
    h = best + 10**exponent * rng.standard_normal(best.shape) * (rng.random(best.shape) < 0.5)
    F = theory.lasso_objective(X, D, h, sparsity)
    scale = F + np.sum(X**2, axis=1)
    gap = theory.lasso_duality_gap(X, D, h, sparsity)
    # the two values are sums of up to 20 terms of this scale, and subtracted
    least = theory.lasso_objective(X, D, best, sparsity)
    verify("4.4c", ((F - least - gap) / scale).max(), 1e-13)
    r = X - h @ D.T
    s = np.minimum(1, sparsity / (2 * np.abs(r @ D).max(axis=1)))
    terms = sparsity * np.abs(h) - 2 * s[:, None] * h * (r @ D)
    in_terms = (1 - s) ** 2 * np.sum(r**2, axis=1) + terms.sum(axis=1)
    verify("4.4c", (np.abs(gap - in_terms) / scale).max(), 1e-13)

    rho = theory.lasso_kkt_residual(X, D, h, sparsity)
    verify("4.4d", (gap / (2 * rho * F + 1e-13 * scale)).max(), 1)


@pytest.mark.equation("4.4d")
@given(st.floats(1e-3, 0.9), st.floats(0.1, 10))
def test_no_number_below_two_certifies(rho, sparsity):
    """All work is done by an atom that is a little too short, and another could do it."""
    D, a = np.array([[1 - rho, 1 + rho]]), 1e4 * sparsity / rho
    x = np.array([[(1 - rho) * a + sparsity / 2]])
    short = np.array([[a, 0.0]])
    best = np.array([[0.0, (x[0, 0] - sparsity / (2 * (1 + rho))) / (1 + rho)]])
    # rounding of x, of size a, over λ
    rounding = 10 * EPS * a / sparsity
    assert theory.lasso_kkt_residual(x, D, best, sparsity)[0] < rounding
    assert theory.lasso_kkt_residual(x, D, short, sparsity)[0] == pytest.approx(rho, abs=rounding)
    F, least = (theory.lasso_objective(x, D, h, sparsity)[0] for h in (short, best))
    # what the residuals add is λ²/4 to λ a, a part of 1e-4 ρ λ/4a at most
    used = (F - least) / (2 * rho * F)
    verify("4.4d", used, 1)
    verify("4.4d", abs(used * (1 + rho) - 1), 1e-3)


@pytest.mark.equation("4.4d")
@pytest.mark.parametrize("solver", [ista, fista])
@given(problem=problems(parts=(0.3, 0.95)), tol=st.sampled_from([1e-1, 1e-3, 1e-5]))
# two atoms that do nearly as well, and a sample far above its λ
@example(problem=(np.array([[1.118]]), np.array([[-2.2324, 2.25]]), 0.00135, None), tol=1e-3)
@settings(max_examples=15)
def test_returned_codes_are_certified_to_tol(solver, problem, tol):
    X, D, sparsity, _ = problem
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        h = solver(X, D, sparsity, tol=tol, max_iter=10_000)
    rho = theory.lasso_kkt_residual(X, D, h, sparsity).max()
    assert bool(caught) == (rho > tol * (1 + 1e-6))
    assert not caught or solver is ista
    gap = theory.lasso_duality_gap(X, D, h, sparsity)
    bound = 2 * max(tol, rho)
    verify("4.4d", (gap / theory.lasso_objective(X, D, h, sparsity)).max(), bound)


@pytest.mark.equation("4.4e")
@given(problems())
@settings(max_examples=40)
def test_codes_are_optimal_for_scikit_learns_objective(problem):
    """Its Lasso without an intercept, written out; the comparison with it is in test_sklearn."""
    X, D, sparsity, rng = problem
    d = len(D)
    alpha = sparsity / (2 * d)

    def objective(w, y):  # ‖y − A w‖²/2m + α ‖w‖₁, where A = D has m = d rows
        return np.sum((y - D @ w) ** 2) / (2 * len(D)) + alpha * np.abs(w).sum()

    for x, h in zip(X, fista(X, D, sparsity), strict=True):
        # its slopes Aᵀ(y − A w)/m are α sign(w) where w is not 0, and no more than α elsewhere
        slope = D.T @ (x - D @ h) / len(D)
        wrong = np.where(h != 0, np.abs(slope - alpha * np.sign(h)), np.abs(slope) - alpha)
        verify("4.4e", wrong.max() / alpha, 1.01e-8)  # tol
        # so the objective, convex, is nowhere lower: by what tol leaves of a step, and rounding
        for size in (1e-3, 1):
            other = h + size * rng.standard_normal(h.shape)
            allowed = 1.01e-8 * alpha * np.abs(other - h).sum() + 1e-13 * objective(other, x)
            verify("4.4e", (objective(h, x) - objective(other, x)) / allowed, 1)


# --- 4.5 the penalty alone is void ----------------------------------------------------------


@pytest.mark.equation("4.5")
@pytest.mark.equation("4.5a")
@given(seeds, st.integers(2, 7), st.floats(-8, 2), st.data())
@settings(max_examples=30)
def test_scaling_the_code_down_voids_the_penalty(seed, d, exponent, data):
    k, c = data.draw(st.integers(1, d - 1)), 10**exponent
    rng = np.random.default_rng(seed)
    X = make_gaussian(30, np.cumprod(rng.uniform(0.4, 0.9, d)), exact=True, random_state=rng)

    def reconstruction_and_penalty(W_e, W_d):
        h = X @ W_e.T
        return h @ W_d.T, np.abs(h).sum() / len(X)

    W_e, W_d = rng.standard_normal((k, d)), rng.standard_normal((d, k))
    x_hat, penalty = reconstruction_and_penalty(W_e, W_d)
    scaled_x_hat, scaled_penalty = reconstruction_and_penalty(c * W_e, W_d / c)
    verify("4.5", np.abs(scaled_x_hat - x_hat).max() / np.abs(x_hat).max(), 1e-14)
    verify("4.5", abs(scaled_penalty / (c * penalty) - 1), 1e-14)

    # so the penalised loss comes as near to PCA's as one likes, and no weights beat that
    least, U = theory.linear_autoencoder_optimum(X, k)
    x_hat, penalty = reconstruction_and_penalty(c * U.T, U / c)
    loss = np.sum((X - x_hat) ** 2) / len(X) + 3.0 * penalty
    bare = 3.0 * np.abs(X @ U).sum() / len(X)
    verify("4.5a", abs(loss - least - c * bare) / (least + c * bare), 1e-13)
    x_hat, penalty = reconstruction_and_penalty(W_e, W_d)
    verify("4.5a", least - (np.sum((X - x_hat) ** 2) / len(X) + 3.0 * penalty), 0)


@pytest.mark.equation("4.5b")
@given(seeds, st.floats(-8, 8))
def test_the_thresholded_code_scales_with_weights_and_threshold(seed, exponent):
    rng = np.random.default_rng(seed)
    v, t, c = rng.standard_normal(10), np.abs(rng.standard_normal(10)), 10**exponent
    error = np.abs(soft_threshold(c * v, c * t) / c - soft_threshold(v, t))
    verify("4.5b", error.max() / np.abs(v).max(), 4 * EPS)


@pytest.mark.equation("4.5c")
@given(seeds, st.integers(1, 8), st.integers(1, 12))
def test_with_unit_atoms_the_penalty_pays_for_the_reconstruction(seed, d, k):
    rng = np.random.default_rng(seed)
    D, h = unit_atoms(rng.standard_normal((d, k))), rng.standard_normal(k)
    verify("4.5c", np.linalg.norm(D @ h) / np.abs(h).sum(), 1 + 20 * EPS)
    # without them it does not: an atom's reconstruction for a thousandth
    assert np.linalg.norm(1000 * D[:, 0] * (h[0] / 1000)) > np.abs(h[0] / 1000)


@pytest.mark.equation("4.5d")
@given(seeds)
def test_decay_of_the_decoder_bounds_it_too(seed):
    p, q = np.exp(np.random.default_rng(seed).uniform(-5, 5, 2))
    least = 3 * 2 ** (-2 / 3) * p ** (2 / 3) * q ** (1 / 3)

    def cost(c):
        return p * c + q / c**2

    verify("4.5d", abs(cost((2 * q / p) ** (1 / 3)) / least - 1), 1e-14)
    verify("4.5d", (1 - cost(np.geomspace(1e-5, 1e5, 500)) / least).max(), 1e-14)


def test_a_linear_code_has_no_zeros_whatever_the_penalty():
    """Erratum of notes B: P(w·x = 0) = 0, so a penalty alone makes no linear code sparse."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((2000, 6))
    W_e = rng.standard_normal((4, 6))
    for c in (1, 1e-3, 1e-9):  # as a growing penalty would have it
        assert np.count_nonzero(X @ (c * W_e).T == 0) == 0
    assert np.mean(soft_threshold(X @ W_e.T, 1.0) == 0) > 0.2  # a threshold does


def test_half_of_lambda_off_its_domain_is_worse_than_no_code():
    """Erratum of notes B: soft(Dᵀx, λ/2) as printed, where atoms are not orthogonal."""
    D = np.array([[1.0, 0.8, 0.8], [0.0, 0.6, -0.6]])  # unit atoms
    x, sparsity = np.array([[1.0, 0.0]]), 0.2
    printed, exact = soft_threshold(x @ D, sparsity / 2), fista(x, D, sparsity)
    assert printed == pytest.approx(np.array([[0.9, 0.7, 0.7]]))
    assert exact == pytest.approx(np.array([[0.9, 0.0, 0.0]]), abs=1e-7)
    codes = (exact, np.zeros_like(exact), printed)
    F = [theory.lasso_objective(x, D, h, sparsity)[0] for h in codes]
    assert pytest.approx([0.19, 1.0, 1.5004]) == F
    # nor is λ/2 what the iterations threshold by: that is λ/L, here with L = 2 · 2.28
    (step,) = steps(ista, x, D, sparsity, 1)
    assert step == pytest.approx(soft_threshold(x @ D, sparsity / 2) / 2.28)


# --- 4.6 one step is a layer ----------------------------------------------------------------


@pytest.mark.equation("4.6")
@pytest.mark.equation("4.6a")
@pytest.mark.equation("4.6b")
@given(problems())
@settings(max_examples=30)
def test_steps_of_ista_are_layers(problem):
    X, D, sparsity, _ = problem
    squared_norm = np.linalg.norm(D, 2) ** 2
    W_e, theta = D.T / squared_norm, sparsity / (2 * squared_norm)
    M = np.eye(D.shape[1]) - D.T @ D / squared_norm
    trace = steps(ista, X, D, sparsity, 10)
    layers = [soft_threshold(X @ W_e.T, theta)]
    size = np.abs(X @ W_e.T).max()
    verify("4.6", np.abs(layers[0] - trace[0]).max() / size, 1e-14)
    for _ in range(9):
        layers.append(soft_threshold(X @ W_e.T + layers[-1] @ M.T, theta))
    # ‖M‖₂ ≤ 1: roundings add up and are not amplified, up to ten times √k each
    verify("4.6a", np.abs(np.subtract(layers, trace)).max() / size, 1e-13)

    best = fista(X, D, sparsity)
    least = theory.lasso_objective(X, D, best, sparsity).mean()
    worth = np.mean(np.sum(best**2, axis=1))
    for K, h in enumerate(layers, 1):
        gap = theory.lasso_objective(X, D, h, sparsity).mean() - least
        rounding = 1e-13 * np.mean(np.sum(X**2, axis=1))
        verify("4.6b", (gap - rounding) / (squared_norm * worth / K), 1)
        # 2e-8: what the codes called best may lack
        verify("4.6b", -gap / least, 2e-8)


@pytest.mark.equation("4.6b")
def test_twins_use_up_nearly_half_of_the_amortisation_bound():
    """So its constant is halved at best. The worst case found, of a family that the text has:
    after the first step all twins share the work, and all but the longest lose it at a constant
    pace, all the way to 0."""
    k, K, delta = 30, 600, 0.081
    D, x = np.ones((1, k)), np.ones((1, 1))
    D[0, -1] += delta
    sparsity = 0.2 * theory.lasso_max_sparsity(x, D)[0]
    best = np.zeros((1, k))
    best[0, -1] = (1 - sparsity / (2 * (1 + delta))) / (1 + delta)
    assert theory.lasso_kkt_residual(x, D, best, sparsity)[0] < 1e-13
    (codes,) = steps(ista, x, D, sparsity, K)[-1:]
    F, least = (theory.lasso_objective(x, D, h, sparsity)[0] for h in (codes, best))
    used = (F - least) / (np.linalg.norm(D, 2) ** 2 * np.sum(best**2) / K)
    verify("4.6b", used, 1)
    assert used > 0.45


# --- 4.7 overcomplete -----------------------------------------------------------------------


@pytest.mark.equation("4.7")
@given(seeds, st.integers(1, 6), st.integers(0, 6))
@settings(max_examples=30)
def test_overcomplete_without_sparsity_copies_and_its_codes_are_arbitrary(seed, d, more):
    rng = np.random.default_rng(seed)
    # singular values from ½ to 2: the pseudo-inverse loses no digits
    U, Vt = (np.linalg.qr(rng.standard_normal((m, m)))[0] for m in (d, d + more))
    D = U * rng.uniform(0.5, 2, d) @ Vt[:d]
    W_e = np.linalg.pinv(D) + (np.eye(d + more) - Vt[:d].T @ Vt[:d]) @ rng.standard_normal(
        (d + more, d)
    )
    X = rng.standard_normal((5, d))
    verify("4.7", np.abs(X @ W_e.T @ D.T - X).max() / np.abs(X).max(), 1e-12)
    # Z moves the codes of every sample, unless k = d: then there is one code, D⁻¹x
    moved = np.linalg.norm(X @ (W_e - np.linalg.pinv(D)).T, axis=1) / np.linalg.norm(X, axis=1)
    if more:
        verify("4.7", 1e-6 / moved.min(), 1)  # normal numbers are not that small by chance
    else:
        verify("4.7", moved.max(), 1e-12)


def test_coherence_is_of_directions_whatever_the_lengths():
    D = np.random.default_rng(0).standard_normal((4, 6))
    lengths = np.geomspace(1e-3, 1e3, 6)
    cosines = np.abs(np.triu(unit_atoms(D).T @ unit_atoms(D), 1))
    assert theory.mutual_coherence(D * lengths) == pytest.approx(cosines.max(), rel=1e-14)


@pytest.mark.equation("4.7a")
@given(seeds, st.sampled_from([(16, 1), (16, 2), (64, 3), (64, 4)]), st.floats(-3, 0))
@settings(max_examples=30)
def test_incoherent_atoms_give_a_sparse_code_away(seed, size, exponent):
    """Unit vectors beside a Hadamard basis: 2d atoms of coherence 1/√d."""
    d, s = size
    D = np.hstack([np.eye(d), hadamard(d) / np.sqrt(d)])
    mu = theory.mutual_coherence(D)
    assert s < (1 + 1 / mu) / 2
    rng = np.random.default_rng(seed)
    planted = np.zeros((4, 2 * d))
    for h in planted:
        h[rng.choice(2 * d, s, replace=False)] = rng.standard_normal(s)
    X = planted @ D.T
    sparsity = 10**exponent * theory.lasso_max_sparsity(X, D).min()
    h = fista(X, D, sparsity)
    verify("4.7a", np.count_nonzero(h[planted == 0]), 0)
    error = np.abs(h - planted).max()
    bound = sparsity / (2 * (1 - (s - 1) * mu))
    verify("4.7a", error / bound, 1 + 1e-7)  # tol = 1e-8, and at most 8/3 of it here


@pytest.mark.equation("4.7c")
@given(problems())
def test_signs_and_order_of_atoms_cannot_be_known(problem):
    X, D, sparsity, rng = problem
    k = D.shape[1]
    order, signs = rng.permutation(k), rng.choice([-1, 1], k)
    h = rng.standard_normal((len(X), k))
    one = theory.lasso_objective(X, D, h, sparsity)
    other = theory.lasso_objective(X, (D * signs)[:, order], (h * signs)[:, order], sparsity)
    verify("4.7c", (np.abs(one - other) / one).max(), 1e-13)


# --- 4.8 the KL penalty ---------------------------------------------------------------------

parts = st.floats(0.01, 0.99)


@pytest.mark.equation("4.8")
@given(seeds, st.integers(1, 6), st.integers(1, 6), parts)
def test_kl_sparsity_and_its_minimum(seed, n, k, rho):
    h = np.random.default_rng(seed).uniform(0.001, 0.999, (n, k))
    rho_hat = h.mean(axis=0)
    loss, _ = kl_sparsity(h, rho)
    by_scipy = (rel_entr(rho, rho_hat) + rel_entr(1 - rho, 1 - rho_hat)).sum()
    verify("4.8", abs(loss - by_scipy) / (1 + by_scipy), 1e-14)
    verify("4.8", 2 * np.sum((rho_hat - rho) ** 2) - loss, 1e-14)  # Pinsker: 0 at ρ only
    at_rho, gradient = kl_sparsity(np.full((n, k), rho), rho)
    # means of equal numbers are off by a rounding, which counts squared in the value
    verify("4.8", abs(at_rho), k * 1e-15)
    verify("4.8", np.abs(gradient).max(), 1e-12)  # 1/(ρ (1 − ρ)) roundings


@pytest.mark.equation("4.8a")
@given(seeds, st.integers(1, 5), st.integers(1, 4), parts)
@settings(max_examples=40)
def test_gradient_of_kl_sparsity(seed, n, k, rho):
    h = np.random.default_rng(seed).uniform(0.01, 0.99, (n, k))
    _, gradient = kl_sparsity(h, rho)

    def loss(h):
        rho_hat = h.mean(axis=0)
        return np.sum(rho * np.log(rho / rho_hat) + (1 - rho) * np.log((1 - rho) / (1 - rho_hat)))

    numeric = np.empty((n, k))
    for place in np.ndindex(n, k):
        moved = h.astype(complex)
        moved[place] += 1e-30j
        numeric[place] = loss(moved).imag / 1e-30
    # two terms of opposite sign are added: relative to them, not to what is left of them
    terms = (rho / h.mean(axis=0) + (1 - rho) / (1 - h.mean(axis=0))) / n
    verify("4.8a", (np.abs(gradient - numeric) / terms).max(), 1e-12)


@pytest.mark.equation("4.8b")
@given(seeds, st.integers(2, 30), st.integers(1, 4), parts)
def test_kl_sparsity_sees_means_only(seed, n, k, rho):
    rng = np.random.default_rng(seed)
    h = rng.uniform(0.01, 0.99, (n, k))
    shuffled = rng.permuted(h, axis=0)  # each unit on its own
    dense = np.broadcast_to(h.mean(axis=0), (n, k))
    for other in (shuffled, dense):
        change = kl_sparsity(h, rho)[0] - kl_sparsity(other, rho)[0]
        # a rounding of ρ̂ at most 1/min(ρ̂, 1 − ρ̂) ≤ 100 times as large in the value
        verify("4.8b", abs(change) / (1 + kl_sparsity(h, rho)[0]), 1e-13)


@pytest.mark.equation("4.8c")
@given(seeds, st.integers(1, 4), st.floats(0.02, 0.4), st.sampled_from([1e-2, 3e-3]))
@settings(max_examples=30)
def test_scaling_voids_the_kl_penalty_too(seed, k, rho, epsilon):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((50, 5))
    X = np.vstack([X, -X])  # odd moments vanish, so that the next order is ε², not ε
    W_e, W_d = rng.standard_normal((k, 5)) / 5, rng.standard_normal((5, k))
    v = X @ W_e.T
    h = expit(logit(rho) + epsilon * v)
    slope = rho * (1 - rho)
    x_hat = (h - rho) @ W_d.T / (epsilon * slope)
    largest = np.abs(v).max()
    # the second-order term ½ (1 − 2ρ) ε v² of each code, and 1 in 1 + ε|v| for the rest
    allowed = 0.5 * epsilon * largest**2 * np.abs(W_d).sum(axis=1).max() * (1 + epsilon * largest)
    verify("4.8c", np.abs(x_hat - v @ W_d.T).max() / allowed, 1)
    penalty, _ = kl_sparsity(h, rho)
    predicted = epsilon**4 * np.sum(slope * (1 - 2 * rho) ** 2 * np.mean(v**2, axis=0) ** 2 / 8)
    # relative corrections of order ε² v²; the value itself is known to 1e-15
    verify("4.8c", abs(penalty - predicted), 10 * (epsilon * largest) ** 2 * predicted + 1e-15)


# --- precision ------------------------------------------------------------------------------


@pytest.mark.parametrize("as_given", [np.float32, np.int64])
def test_closed_forms_are_computed_in_float64_whatever_they_are_given(as_given):
    rng = np.random.default_rng(0)
    given = [
        (9 * rng.standard_normal(shape)).astype(as_given) for shape in ((5, 3), (3, 2), (5, 2))
    ]
    plain = [array.astype(np.float64) for array in given]
    for function in (
        lambda X, D, h: theory.lasso_objective(X, D, h, 0.3),
        lambda X, D, h: theory.lasso_kkt_residual(X, D, h, 0.3),
        lambda X, D, h: theory.lasso_duality_gap(X, D, h, 0.3),
        lambda X, D, _: theory.orthonormal_code(X, D, 0.3),
        lambda X, D, _: theory.lasso_max_sparsity(X, D),
        lambda X, D, _: theory.two_atom_path(X[0], D),
        lambda _, D, __: theory.mutual_coherence(D),
    ):
        np.testing.assert_equal(function(*given), function(*plain))


# --- exercises ------------------------------------------------------------------------------


@given(numbers, thresholds)
def test_exercise_non_negative_codes(v, t):
    h = max(v - t, 0)  # a relu with bias −t

    def objective(h):
        return 0.5 * (h - v) ** 2 + t * h

    elsewhere = np.abs([0.0, v - t, v, h + 1, 2 * h])
    lack = objective(h) + 0.5 * (elsewhere - h) ** 2 - objective(elsewhere)
    assert lack.max() <= 10 * EPS * (v**2 + t**2 + 1)


def test_exercise_sparsity_has_the_unit_of_the_data():
    rng = np.random.default_rng(0)
    X, D = rng.standard_normal((5, 8)), rng.standard_normal((8, 12))
    h = fista(X, D, 2.0)
    assert h.any()
    assert 16 * fista(X / 16, D, 2.0 / 16) == pytest.approx(h, abs=1e-12)
    wide, D_wide = X / np.sqrt(8), D / np.sqrt(8)  # a mean over 8 features, written as a sum
    assert fista(wide, D_wide, 2.0 / 8) == pytest.approx(h, abs=1e-7)


def test_exercise_path_by_hand():
    D, x = np.array([[1, 0.6], [0, 0.8]]), np.array([1.0, 1.0])
    empty, one, both = theory.two_atom_path(x, D)
    assert [empty.low, one.low, both.low] == pytest.approx([2.8, 0.8, 0])
    assert np.array([one.intercept, one.slope]) == pytest.approx(np.array([[0, 1.4], [0, -0.5]]))
    assert both.intercept == pytest.approx([0.25, 1.25])
    assert both.slope == pytest.approx([-0.3125, -0.3125])
    assert fista([x], D, 1.0)[0] == pytest.approx([0, 0.9])
    assert theory.orthonormal_code([x], D, 1.0)[0] == pytest.approx([0.5, 0.9])


@pytest.mark.parametrize("seed", range(5))
def test_exercise_only_then_for_atoms_of_any_length(seed):
    rng = np.random.default_rng(seed)
    D = rng.standard_normal((4, 3)) * rng.uniform(0.3, 3, 3)
    X = 100 * rng.standard_normal((50, 4))
    residual = theory.lasso_kkt_residual(X, D, theory.orthonormal_code(X, D, 1.0), 1.0)
    assert residual.max() > 1


@given(seeds, st.integers(1, 20), parts)
def test_exercise_gradient_at_the_bias(seed, n, rho):
    h = expit(3 * np.random.default_rng(seed).standard_normal((n, 1)))
    rho_hat = h.mean()
    at_bias = np.sum(kl_sparsity(h, rho)[1] * h * (1 - h))
    share = (rho_hat - np.mean(h**2)) / (rho_hat * (1 - rho_hat))
    assert 0 <= share <= 1 + 1e-12
    assert at_bias == pytest.approx((rho_hat - rho) * share, rel=1e-9, abs=1e-13)


def test_the_solvers_bounds_do_not_know_integers():
    D = [[1, 0], [0, 1]]
    for bound in (theory.ista_bound, theory.fista_bound):
        np.testing.assert_allclose(bound(D, 10**10, 1), 1e20, rtol=1e-15)
    np.testing.assert_allclose(theory.ista_bound(D, 1.0, np.array([2**30], np.int32)), 2.0**-30)


def test_a_path_has_no_segments_of_rounding():
    """Its solution ``h₁`` is 0 for all λ: at its end that is a tie."""
    path = theory.two_atom_path([0.5, 0.0], [[0.7, -1.2], [-0.7, 0.0]])
    assert [segment.signs for segment in path] == [(0, 0), (0, -1)]
    assert [segment.low for segment in path] == [path[1].high, 0]
