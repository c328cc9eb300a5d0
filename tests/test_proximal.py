"""ISTA and FISTA as functions that people call: batches, starts, precision, bad input."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanoae import theory
from nanoae.exceptions import ConvergenceWarning
from nanoae.proximal import fista, ista, soft_threshold

solvers = pytest.mark.parametrize("solver", [ista, fista])


def problem(seed=0, n=6, d=10, k=15):
    rng = np.random.default_rng(seed)
    D = rng.standard_normal((d, k))
    X = rng.standard_normal((n, d))
    return X, D, 0.3 * theory.lasso_max_sparsity(X, D).min()


@solvers
@pytest.mark.filterwarnings("ignore::nanoae.ConvergenceWarning")  # ISTA may take its time
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=5)
def test_samples_do_not_know_of_each_other(solver, seed):
    """Easy samples leave the batch early, hard ones stay: each gets the code it gets alone."""
    X, D, sparsity = problem(seed)
    X *= np.geomspace(0.01, 10, len(X))[:, None]  # the first are all zeros at once
    together = solver(X, D, sparsity, tol=1e-3)
    alone = np.vstack([solver([x], D, sparsity, tol=1e-3) for x in X])
    assert not together[0].any()
    # the same steps, up to the rounding of products of other shapes
    assert np.abs(together - alone).max() < 1e-10


@solvers
def test_a_small_sample_is_as_exact_beside_a_large_one(solver):
    """What rounding leaves of a large sample is more than a small one may be off by."""
    X, D, sparsity = problem()
    X[1:] *= 1e10
    D = D[:, :8]  # independent atoms: the large samples are solved soon
    together, alone = (solver(samples, D, sparsity)[0] for samples in (X, X[:1]))
    assert np.abs(together - alone).max() < 1e-10


@solvers
def test_a_warm_start_at_the_solution_stays_there(solver):
    X, D, sparsity = problem()
    h = fista(X, D, sparsity)
    called = []
    again = solver(X, D, sparsity, codes=h, callback=called.append)
    assert np.array_equal(again, h)
    assert again is not h
    assert not called


@solvers
def test_inputs_are_left_alone(solver):
    X, D, sparsity = problem()
    start = np.ones((6, 15))
    copies = X.copy(), D.copy(), start.copy()
    solver(X, D, sparsity, codes=start, tol=1e-2)
    for before, after in zip(copies, (X, D, start), strict=True):
        assert np.array_equal(before, after)


@solvers
@pytest.mark.parametrize("size", [1e-3, 1, 1e3])
def test_float32_stays_and_stops_at_its_own_precision(solver, size):
    X, D, sparsity = problem()
    X, sparsity = X * size, sparsity * size
    h = solver(X.astype(np.float32), D, sparsity)  # no ConvergenceWarning, which would be raised
    assert h.dtype == np.float32
    exact = fista(X, D, sparsity)
    assert np.abs(h - exact).max() < 1e-4 * np.abs(exact).max()
    assert solver(X, D.astype(np.float32), sparsity, tol=1e-2).dtype == np.float64


def test_float32_is_served_whatever_the_sparsity():
    """Rounding puts a floor under the residual; no sample may wait for what cannot come."""
    rng = np.random.default_rng(0)
    X, D = rng.standard_normal((100, 8)).astype(np.float32), np.diag(np.linspace(0.3, 2, 8))
    for sparsity in 10.0 ** np.arange(-8, 2):
        fista(X, D, sparsity)


@solvers
def test_warns_when_iterations_run_out(solver):
    X, D, sparsity = problem()
    warning = r"6 of 6 samples were not solved to tol=1e-08 in max_iter=3 iterations; .* Raise"
    with pytest.warns(ConvergenceWarning, match=warning) as record:
        solver(X, D, sparsity, max_iter=3)
    assert record[0].filename == __file__


@solvers
def test_dictionary_and_start_are_taken_in_the_precision_of_the_samples(solver):
    X, D, sparsity = problem()
    start = solver(X, D, sparsity, tol=1e-2)
    for kind, other in ((np.float64, np.float32), (np.float32, np.float64)):
        given = [array.astype(other) for array in (D, start)]
        codes = [
            solver(X.astype(kind), D, sparsity, codes=start, tol=1e-4)
            for D, start in (given, [array.astype(kind) for array in given])
        ]
        assert codes[0].dtype == kind
        assert np.array_equal(*codes)


@solvers
def test_tries_ten_thousand_iterations_unless_told_otherwise(solver):
    """What two atoms an angle of 1e-7 apart differ in moves by a part 1e-14 at a step."""
    with pytest.warns(ConvergenceWarning, match="in max_iter=10000 iterations"):
        solver([[1.0, 1e-7]], [[1.0, 1.0], [0.0, 1e-7]], 1e-12)


@solvers
def test_callback_sees_all_codes_of_every_iteration(solver):
    X, D, sparsity = problem()
    trace = []
    h = solver(X, D, sparsity, tol=1e-4, callback=lambda codes: trace.append(codes.copy()))
    assert len(trace) % 10 == 0  # looked at every tenth iteration
    assert np.array_equal(trace[-1], h)
    objective = [theory.lasso_objective(X, D, codes, sparsity).sum() for codes in trace]
    assert objective[-1] < objective[0]


def test_fista_without_restarts_is_the_textbook_recursion():
    X, D, sparsity = problem()
    L, trace = 2 * np.linalg.norm(D, 2) ** 2, []
    with pytest.warns(ConvergenceWarning):  # stopped early on purpose
        fista(
            X, D, sparsity, max_iter=30, tol=0, restart=False,
            callback=lambda codes: trace.append(codes.copy()),
        )  # fmt: skip
    h = y = np.zeros((6, 15))
    t = 1.0
    for codes in trace:
        h_old, t_old = h, t
        h = soft_threshold(y + 2 / L * (X - y @ D.T) @ D, sparsity / L)
        t = (1 + np.sqrt(1 + 4 * t**2)) / 2
        y = h + (t_old - 1) / t * (h - h_old)
        np.testing.assert_allclose(codes, h, rtol=0, atol=1e-12)  # rounding, 30 times


def test_restarts_help():
    X, D, sparsity = problem()
    counts = {}
    for restart in (False, True):
        trace = []
        fista(X, D, sparsity, restart=restart, callback=lambda _, trace=trace: trace.append(0))
        counts[restart] = len(trace)
    assert counts[True] < counts[False] / 2


@solvers
def test_an_atom_of_zeros_gets_no_code(solver):
    X, D, sparsity = problem()
    D[:, 3] = 0
    h = solver(X, D, sparsity)
    assert not h[:, 3].any()
    others = np.arange(15) != 3
    assert h[:, others] == pytest.approx(fista(X, D[:, others], sparsity), abs=1e-6)


@solvers
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"X": np.ones(10)}, ValueError, "X must be 2-D"),
        ({"X": np.full((2, 10), np.nan)}, ValueError, "X contains NaN"),
        ({"X": np.ones((2, 9))}, ValueError, "X has 9 features, but the dictionary is expecting"),
        ({"dictionary": np.full((10, 2), np.inf)}, ValueError, "dictionary contains NaN or inf"),
        ({"dictionary": np.zeros((10, 2))}, ValueError, "^dictionary is zero; .* that is not.$"),
        ({"sparsity": 0}, ValueError, "sparsity must be finite and greater than 0; got 0"),
        ({"sparsity": -1.0}, ValueError, "sparsity must be finite and greater than 0"),
        ({"sparsity": "1"}, TypeError, "sparsity must be a number"),
        ({"max_iter": 0}, ValueError, "max_iter must be at least 1; got 0"),
        ({"tol": -1e-3}, ValueError, "tol must be finite and at least 0"),
        ({"codes": np.ones((6, 14))}, ValueError, "codes has 14 features"),
        ({"codes": np.ones((5, 15))}, ValueError, "codes has 5 rows, but X has 6"),
    ],
)
def test_bad_input_is_named(solver, change, error, message):
    X, D, sparsity = problem()
    arguments = {"X": X, "dictionary": D, "sparsity": sparsity, **change}
    with pytest.raises(error, match=message):
        solver(**arguments)


def test_restart_must_be_a_bool():
    X, D, sparsity = problem()
    with pytest.raises(TypeError, match="restart must be True or False; got 'no'"):
        fista(X, D, sparsity, restart="no")
