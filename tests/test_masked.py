"""Chapter 12: what is visible tells of what is missing, and how much a network makes of it."""

from __future__ import annotations

import copy
import itertools
import pickle

import numpy as np
import pytest
from effort import scaled
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from test_backprop import CENTRAL, COMPLEX, complex_step, relative_error
from test_column_names import Frame
from theory_report import verify

import nanoae
from figures._masked import network, split, trained
from figures._probe import accuracy, standardised
from figures.masked_downstream import probe
from figures.masked_filled import by_regression
from figures.masked_redundancy import linear_rest
from nanoae import MaskedAutoencoder, datasets, gradient_check, losses
from nanoae.network import FillingDecoder, Parameters, ToPatches, TransformerBlock, VisibleEncoder
from nanoae.theory import (
    all_masks,
    gap_variance,
    markov_gap_entropy,
    masked_bottleneck_loss,
    masked_bound,
    masked_prediction,
    random_gap_variance,
    zero_filled_excess,
    zero_filled_map,
)

SEEDS = st.integers(0, 2**32 - 1)
EPS = np.finfo(float).eps


def centred_samples(rng, d):
    """Of a random covariance, whose condition is some hundreds, and that covariance."""
    axes = np.linalg.qr(rng.standard_normal((d, d)))[0]
    X = rng.standard_normal((8 * d, d)) * rng.uniform(0.3, 3, d) @ axes
    X -= X.mean(axis=0)
    return X, X.T @ X / len(X)


def random_mask(rng, d):
    """Which features are visible: at least one, and not all."""
    visible = np.zeros(d, dtype=bool)
    visible[rng.permutation(d)[: rng.integers(1, d)]] = True
    return visible


# --- 12.1: the best prediction for one mask ---------------------------------------------------


@pytest.mark.equation("12.1")
@given(seed=SEEDS, d=st.integers(2, 6))
@settings(max_examples=40)
def test_no_prediction_is_better_than_the_schur_complement(seed, d):
    rng = np.random.default_rng(seed)
    _, S = centred_samples(rng, d)
    v = random_mask(rng, d)
    B, left = masked_prediction(S, v)

    def loss(B):  # E ‖x_m − B x_v‖², written from the covariance
        both = np.zeros((len(B), d), B.dtype)
        both[:, ~v], both[:, v] = np.eye(len(B)), -B
        return np.trace(both @ S @ both.T)

    # condition numbers of some hundreds, so a dozen digits stay
    verify("12.1", abs(loss(B) - np.trace(left)) / np.trace(S), 1e-12)
    slope = complex_step(loss, B)
    verify("12.1", np.abs(slope).max() / np.trace(S), 1e-11)
    other = B + rng.standard_normal(B.shape)
    assert loss(other) > loss(B)  # convex: the flat place is the lowest


@pytest.mark.equation("12.1a")
@given(seed=SEEDS, d=st.integers(2, 6))
@settings(max_examples=40)
def test_regression_of_the_samples_leaves_exactly_their_schur_complement(seed, d):
    rng = np.random.default_rng(seed)
    X, S = centred_samples(rng, d)
    v = random_mask(rng, d)
    left = X[:, ~v] - X[:, v] @ np.linalg.lstsq(X[:, v], X[:, ~v], rcond=None)[0]
    error = np.sum(left**2) / len(X) - np.trace(masked_prediction(S, v).covariance)
    verify("12.1a", abs(error) / np.trace(S), 1e-12)


@pytest.mark.equation("12.1a")
@pytest.mark.equation("12.5")
@pytest.mark.equation("12.3")
def test_features_may_be_constant_repeat_others_and_have_units_of_their_own():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((40, 3)) @ rng.standard_normal((3, 3))
    X = np.column_stack([X, X[:, 0], np.zeros(40), X[:, 0] - 2 * X[:, 1]])
    X = (X - X.mean(axis=0)) * [1, 1e-9, 1, 1, 1, 1e6]
    S, v = X.T @ X / 40, np.array([True, True, False, True, True, True])
    best = np.linalg.lstsq(X[:, :2] / [1, 1e-9], X[:, 2], rcond=None)  # the others add nothing
    least = best[1][0] / 40
    left = X[:, 2] - X[:, v] @ masked_prediction(S, v).weight[0]
    verify("12.1a", abs(np.mean(left**2) / least - 1), 1e-9)
    verify("12.1a", abs(masked_prediction(S, v).covariance[0, 0] / least - 1), 1e-9)
    verify("12.5", abs(masked_bottleneck_loss(S, v, 1) / least - 1), 1e-9)
    assert zero_filled_map(S, 0.5).weight[2, 4] == 0  # of a constant nothing is asked
    W = zero_filled_map(S, 1.0).weight[2]
    verify("12.3", abs(np.mean((X[:, 2] - X @ W) ** 2) / least - 1), 1e-9)


@pytest.mark.equation("12.1b")
@pytest.mark.equation("12.1c")
@pytest.mark.equation("12.1d")
@given(seed=SEEDS, d=st.integers(2, 6))
@settings(max_examples=40)
def test_precision_determinant_and_monotony(seed, d):
    rng = np.random.default_rng(seed)
    _, S = centred_samples(rng, d)
    precision = np.linalg.inv(S)
    for i in range(d):
        left = masked_prediction(S, np.arange(d) != i).covariance[0, 0]
        verify("12.1b", abs(left * precision[i, i] - 1), 1e-11)
    v = random_mask(rng, d)
    left = masked_prediction(S, v).covariance
    log_det = np.linalg.slogdet(S)[1] - np.linalg.slogdet(S[np.ix_(v, v)])[1]
    verify("12.1c", abs(np.linalg.slogdet(left)[1] - log_det), 1e-11)
    if v.sum() > 1:  # one more is hidden: what was missing already is predicted no better
        fewer = v.copy()
        fewer[np.flatnonzero(v)[0]] = False
        before = masked_prediction(S, fewer).covariance
        was_missing = ~v[~fewer]
        gained = before[np.ix_(was_missing, was_missing)] - left
        verify("12.1d", max(0.0, -np.linalg.eigvalsh(gained).min()) / np.trace(S), 1e-13)


def test_the_bound_of_patches_is_a_mean_over_missing_patches():
    _, S = centred_samples(np.random.default_rng(0), 6)
    of = np.array([0, 1, 0, 1, 2, 2])
    expected = []
    for gone in itertools.combinations(range(3), 2):
        v = ~np.isin(of, gone)
        expected.append(np.trace(masked_prediction(S, v).covariance) / 2)
    assert masked_bound(S, all_masks(3, 2), of) == pytest.approx(np.mean(expected), rel=1e-14)
    assert all_masks(5, 2).sum(axis=1).tolist() == [2] * 10
    assert len(np.unique(all_masks(5, 2), axis=0)) == 10


S3 = np.eye(3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: masked_prediction(S3, [0, 2]), r"visible must be an array of bool, of the shape"),
        (lambda: masked_prediction(S3, [True, False]), r"of the shape \(3,\); got one of bool"),
        (lambda: masked_bottleneck_loss(S3, [0, 1], 1), r"visible must be an array of bool"),
        (lambda: masked_bottleneck_loss(S3, [True] * 3, -1), r"n_components must be at least 1"),
        (lambda: masked_bottleneck_loss(S3, [True] * 3, 1, targets="visible"), r"targets must be"),
        (lambda: masked_bound(S3, np.zeros((1, 3), bool)), r"in each of which a patch is missing"),
        (lambda: masked_bound(S3, [True, False, False]), r"masks must be rows"),
        (lambda: zero_filled_map(S3, 0.5, targets="visible"), r"targets must be 'missing' or"),
        (lambda: zero_filled_excess(S3, 1.5), r"visible_probability must be finite and from 0 to"),
        (lambda: gap_variance(1.0, 1, 1), r"correlation must be finite and strictly between -1"),
        (lambda: random_gap_variance(0.5, 1.0), r"mask_ratio must be finite and strictly between"),
        (lambda: markov_gap_entropy([[0.5, 0.6], [0.5, 0.5]]), r"whose rows sum to 1"),
    ],
)
def test_what_has_no_meaning_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# --- 12.2: a network comes to it --------------------------------------------------------------


def excess_over_the_bound(n_features, n_missing, n_samples, n_epochs, **params):
    """Of a network trained on Gaussian samples: ``E ‖x̂ − best‖²`` over the least loss.

    The loss is that bound plus this, as the best prediction is the conditional mean; so the
    difference has no noise of the samples that it is measured on, but for its own size.
    """
    rng, d = np.random.default_rng(7), n_features
    root = rng.standard_normal((d, d)) / d**0.5
    S, masks = root @ root.T, all_masks(d, n_missing)
    X = (rng.standard_normal((n_samples, d)) @ root.T).astype(np.float32)
    unseen = rng.standard_normal((2000, d)) @ root.T
    model = MaskedAutoencoder(
        mask_ratio=n_missing / d, n_iter_no_change=None, random_state=0, **params
    )
    rate = model.learning_rate
    for epoch in range(n_epochs):  # down to a hundredth, as draws of masks are noise to the last
        model.set_params(learning_rate=rate * max(0.01, 1 - epoch / n_epochs))
        model.partial_fit(X)
    excess = []
    for mask in masks:
        best = unseen[:, ~mask] @ masked_prediction(S, ~mask).weight.T
        x_hat = model.reconstruct(unseen, missing=mask)[:, mask]
        excess.append(np.mean(np.sum((x_hat - best) ** 2, axis=1)) / n_missing)
    return np.mean(excess) / masked_bound(S, masks)


@pytest.mark.equation("12.2")
def test_a_network_comes_near_to_the_bound():
    excess = excess_over_the_bound(
        3, 1, 2000, 16, width=16, n_blocks=1, decoder_width=16, n_heads=2, learning_rate=1e-2,
        batch_size=32,
    )  # fmt: skip
    verify("12.2", excess, 0.1)  # a second of training; a few per cent is what it leaves


@pytest.mark.slow  # a minute
@pytest.mark.equation("12.2")
def test_a_network_comes_within_a_hundredth_of_the_bound():
    excess = excess_over_the_bound(
        4, 2, 20000, 60, width=32, n_blocks=1, decoder_width=32, learning_rate=5e-3,
        batch_size=128,
    )  # fmt: skip
    verify("12.2", excess, 0.01)


# --- 12.3 and 12.4: one linear map for all masks ----------------------------------------------


def expected_loss(S, p, W, targets):
    """By all 2^d masks: ``E ‖(x − W (v ⊙ x)) at the targets‖²``."""
    d, total = len(S), 0.0
    for bits in itertools.product((0.0, 1.0), repeat=d):
        v = np.array(bits)
        E = np.eye(d) - W * v
        if targets == "missing":
            E = E * (1 - v)[:, None]
        total = total + p ** v.sum() * (1 - p) ** (d - v.sum()) * np.sum((E @ S) * E)
    return total


@pytest.mark.equation("12.3")
@pytest.mark.equation("12.3a")
@given(seed=SEEDS, d=st.integers(2, 4), p=st.floats(0.1, 0.9))
@settings(max_examples=20)
def test_one_map_for_all_masks(seed, d, p):
    _, S = centred_samples(np.random.default_rng(seed), d)
    scale = np.trace(S)
    for targets in ("missing", "all"):
        W, loss = zero_filled_map(S, p, targets=targets)
        slope = complex_step(lambda W, to=targets: expected_loss(S, p, W, to), W)
        verify("12.3", np.abs(slope).max() / scale, 1e-11)
        verify("12.3a", abs(expected_loss(S, p, W, targets) - loss) / scale, 1e-12)
    # of features with the variance 1, p times it is ridge regression
    units = np.sqrt(np.diag(S))
    C = S / np.outer(units, units)
    ridge = np.linalg.solve(C[1:, 1:] + (1 - p) / p * np.eye(d - 1), C[1:, 0])
    verify("12.3", np.abs(p * zero_filled_map(C, p).weight[0, 1:] - ridge).max(), 1e-11)


@pytest.mark.equation("12.4")
@pytest.mark.equation("12.4a")
@given(seed=SEEDS, d=st.integers(2, 4), p=st.floats(0.1, 0.9))
@settings(max_examples=20)
def test_to_copy_what_is_visible_starves_the_prediction(seed, d, p):
    _, S = centred_samples(np.random.default_rng(seed), d)
    missing, loss = zero_filled_map(S, p)
    everything = zero_filled_map(S, p, targets="all").weight
    copied = np.diag(everything)
    off = ~np.eye(d, dtype=bool)
    error = everything - (1 - p * copied)[:, None] * missing
    verify("12.4", np.abs(error[off]).max() / np.abs(missing).max(), 1e-11)
    excess = expected_loss(S, p, everything, "missing") - loss
    verify("12.4a", abs(excess - zero_filled_excess(S, p)) / np.trace(S), 1e-12)
    assert np.all((copied > 0) & (copied <= 1 + 1e-12))
    factor = 1 - p * copied
    verify("12.4", max(0, (1 - p - factor).max(), (factor - 1).max()), 1e-12)


# --- 12.5: through a bottleneck ---------------------------------------------------------------


@pytest.mark.equation("12.5")
@pytest.mark.equation("12.5a")
@pytest.mark.many
@pytest.mark.parametrize("seed", range(20))
def test_a_bottleneck_that_must_tell_of_all(seed):
    rng, d, k = np.random.default_rng(seed), 5, 1
    _, S = centred_samples(rng, d)
    v = np.array([True, False, True, False, True])
    root = np.linalg.cholesky(S)
    rest = {}
    for targets, of in (("missing", ~v), ("all", np.ones(d, bool))):

        def loss(theta, of=of):
            E, D = theta[: k * 3].reshape(k, 3), theta[k * 3 :].reshape(-1, k)
            left = root[of] - D @ E @ root[v]
            grad = -2 * left @ root[v].T
            return np.sum(left**2), np.concatenate([(D.T @ grad).ravel(), (grad @ E.T).ravel()])

        starts = rng.standard_normal((3, k * 3 + of.sum() * k))
        options = {"maxiter": 2000, "ftol": 1e-15, "gtol": 1e-10}
        fits = [minimize(loss, t, jac=True, method="L-BFGS-B", options=options) for t in starts]
        best = min(fits, key=lambda fit: fit.fun)
        bound = masked_bottleneck_loss(S, v, k, targets=targets)
        # SciPy stops where no step leads on: at a gradient of 1e-8 or so, whose square it costs
        verify("12.5", abs(best.fun / bound - 1), 1e-9)
        E, D = best.x[: k * 3].reshape(k, 3), best.x[k * 3 :].reshape(-1, k)
        rest[targets] = np.sum(((root[of] - D @ E @ root[v])[~v[of]]) ** 2)
    verify("12.5a", max(0.0, rest["missing"] / rest["all"] - 1), 1e-9)


def test_a_bottleneck_costs_the_missing_something_if_all_must_be_told():
    S = np.diag([9.0, 1.0, 1.0])
    S[1, 2] = S[2, 1] = 0.9  # the first feature tells nothing of the third, which is missing
    v = np.array([True, True, False])
    assert masked_bottleneck_loss(S, v, 1) == pytest.approx(1 - 0.81)
    # asked for all, the one number of the code goes to the first, and nothing to the third
    assert masked_bottleneck_loss(S, v, 1, targets="all") == pytest.approx(1 + 1)


# --- 12.6: redundancy as a number -------------------------------------------------------------


def ar(rho, n):
    return rho ** np.abs(np.subtract.outer(np.arange(n), np.arange(n)))


@pytest.mark.equation("12.6")
@pytest.mark.equation("12.6a")
@given(rho=st.floats(-0.97, 0.97), a=st.integers(1, 8), b=st.integers(1, 8))
@settings(max_examples=40)
def test_what_a_gap_leaves_of_an_autoregressive_series(rho, a, b):
    n = a + b + 7
    visible = np.ones(n, dtype=bool)
    visible[3 + 1 : 3 + a + b] = False  # the next that are known: a before and b behind
    left = masked_prediction(ar(rho, n), visible).covariance[a - 1, a - 1]
    # up to a condition number of (1 + ρ)²/(1 − ρ)², some thousands
    verify("12.6a", abs(gap_variance(rho, a, b) - left), 1e-11)
    one = (1 - rho**2) / (1 + rho**2)
    verify("12.6", abs(gap_variance(rho, 1, 1) - one), 1e-14)


@pytest.mark.equation("12.6b")
@pytest.mark.parametrize(("rho", "q"), [(0.95, 0.75), (0.5, 0.3), (-0.8, 0.5)])
def test_what_random_gaps_leave(rho, q):
    """A z-test: beyond 5 standard errors once in 1.7 million seeds."""
    rng, n, drawn = np.random.default_rng(0), 120, []
    S, inner = ar(rho, n), slice(40, 80)
    for _ in range(60):
        visible = rng.random(n) > q
        visible[[0, -1]] = True
        left = np.full(n, np.nan)
        left[~visible] = np.diag(masked_prediction(S, visible).covariance)
        drawn.append((np.nansum(left[inner]), np.sum(~visible[inner])))
    sums, counts = np.transpose(drawn)
    claimed = random_gap_variance(rho, q)
    # a ratio of means: its error is that of the mean of sum − claimed · count
    deviations = sums - claimed * counts
    z = abs(deviations.mean()) / (deviations.std(ddof=1) / len(deviations) ** 0.5)
    verify("12.6b", z, 5)


@pytest.mark.equation("12.6b")
@given(rho=st.floats(-0.99, 0.99), q=st.floats(0.02, 0.9))
@settings(max_examples=20)
def test_what_random_gaps_leave_is_a_single_sum(rho, q):
    steps = np.arange(1, 400)  # beyond is less than 0.9⁴⁰⁰
    chance = (1 - q) ** 2 * q ** (steps[:, None] + steps - 2.0)
    double = np.sum(chance * gap_variance(rho, steps[:, None], steps))
    verify("12.6b", abs(random_gap_variance(rho, q) - double), 1e-13)


def test_hardly_a_step_that_is_known_costs_no_memory():
    """Gaps of a million steps: all is left, but for the few next to one that is known."""
    rho, q = 0.9, 1 - 1e-6
    x = rho ** (2.0 * np.arange(1, 400))
    near = 2 * (1 - q) * np.sum(x)  # one neighbour has a say, the other is far away
    assert 1 - random_gap_variance(rho, q) == pytest.approx(near, rel=1e-4)


@pytest.mark.equation("12.6c")
@given(seed=SEEDS, s=st.integers(2, 4))
@settings(max_examples=30)
def test_entropy_between_two_neighbours(seed, s):
    P = np.random.default_rng(seed).dirichlet(np.ones(s), s)
    pi = np.linalg.matrix_power(P, 2**16)[0]
    joint = np.einsum("a,ab,bc->abc", pi, P, P)
    given_both = joint / joint.sum(axis=1, keepdims=True)
    direct = -np.sum(joint * np.log(given_both))
    # pi by a large power: its rounding adds up over 16 squarings
    verify("12.6c", abs(direct - markov_gap_entropy(P)), 1e-9)


@pytest.mark.parametrize("q", [0.0, 0.3, 1.0])
def test_states_that_do_not_follow_on_each_other_leave_less_to_say(q):
    """A walk around a triangle, to the right with probability q: only a turn back says nothing."""
    P = q * np.roll(np.eye(3), 1, axis=1) + (1 - q) * np.roll(np.eye(3), -1, axis=1)
    back = 2 * q * (1 - q)  # then the state between may be either of the two others
    expected = -back * np.log(1 / 2)
    assert abs(markov_gap_entropy(P) - expected) < 1e-14


def test_erratum_how_little_a_patch_has_to_say():
    X = datasets.load_digits().X[np.random.default_rng(0).permutation(1797)]
    train, test = X[:1297], X[1297:]
    one, many = (linear_rest(train, test, 2, share, scaled(40)) for share in (1 / 16, 12 / 16))
    large = linear_rest(train, test, 4, 1 / 4, scaled(40))
    # draws of ten masks or more are within a twentieth of 0.37, 0.68 and 0.56
    assert one == pytest.approx(0.37, abs=0.05)
    assert many == pytest.approx(0.68, abs=0.05)
    assert large == pytest.approx(0.56, abs=0.05)
    assert gap_variance(0.95, 1, 1) == pytest.approx(0.051, abs=5e-4)
    assert random_gap_variance(0.95, 0.75) == pytest.approx(0.150, abs=5e-4)
    assert random_gap_variance(0.7, 0.75) == pytest.approx(0.667, abs=5e-4)
    assert np.log2(20) / 2 == pytest.approx(2.2, abs=0.05)


# --- 12.7: the structure ----------------------------------------------------------------------

N, P, W = 6, 2, 8


def networks(seed=0, dtype=float):
    rng = np.random.default_rng(seed)
    encoder = VisibleEncoder(N, P, W, n_blocks=2, n_heads=2)
    decoder = FillingDecoder(N, W, 4, P, n_blocks=1, n_heads=2)
    parameters = Parameters({"encoder": encoder, "decoder": decoder}, dtype)
    encoder.initialise(rng)
    decoder.initialise(rng)
    parameters.values += 0.1 * rng.standard_normal(parameters.values.shape)
    return encoder, decoder, parameters


def masks(rng, n=5, v=4):
    visible = rng.random((n, N)).argsort(axis=1)[:, :v]
    missing = np.ones((n, N), dtype=bool)
    np.put_along_axis(missing, visible, False, axis=1)
    return visible, missing


@pytest.mark.equation("12.7")
@given(seed=SEEDS, v=st.integers(1, N - 1))
@settings(max_examples=20)
def test_to_drop_patches_is_to_mask_them_as_keys(seed, v):
    rng = np.random.default_rng(seed)
    encoder, _, _ = networks(seed)
    x = rng.standard_normal((5, N, P))
    visible, missing = masks(rng, v=v)
    y = encoder.embedding(x)
    for block in encoder.blocks.layers[:-1]:
        y = block(y, ~missing)
    y = encoder.blocks.layers[-1](y)
    right = np.take_along_axis(y, visible[..., None], axis=1)
    # two blocks and three norms, in another order of sums
    verify("12.7", np.abs(encoder(x, visible) - right).max(), 1e-12)


@pytest.mark.equation("12.7a")
@given(seed=SEEDS)
@settings(max_examples=20)
def test_what_a_missing_patch_holds_changes_no_bit(seed):
    rng = np.random.default_rng(seed)
    encoder, decoder, parameters = networks(seed)
    visible, missing = masks(rng)
    x, grad_y = rng.standard_normal((2, 5, N, P))
    results = []
    for hidden in (x, np.where(missing[..., None], 77.0, x)):
        x_hat = decoder.forward(encoder.forward(hidden, None, visible), None, visible)
        grad_x = encoder.backward(decoder.backward(grad_y))
        results.append((x_hat, parameters.gradient.copy(), grad_x))
    changed = [np.count_nonzero(a != b) for a, b in zip(*results, strict=True)]
    verify("12.7a", sum(changed) + np.count_nonzero(grad_x[missing]), 0)


@pytest.mark.equation("12.7b")
@given(seed=SEEDS, v=st.integers(1, N - 1))
@settings(max_examples=10)
def test_gradient_of_the_mask_token_and_of_all_else(seed, v):
    rng = np.random.default_rng(seed)
    encoder, decoder, parameters = networks(seed)
    visible, missing = masks(rng, v=v)
    x, grad_y = rng.standard_normal((2, 5, N, P))
    decoder.forward(encoder.forward(x, None, visible), None, visible)
    grad_tokens = decoder.positions.backward(
        decoder.blocks.backward(decoder.readout.backward(grad_y))
    )
    encoder.backward(decoder.backward(grad_y))
    verify(
        "12.7b",
        np.abs(decoder.grad_mask_token - grad_tokens[missing].sum(axis=0)).max(),
        1e-13,  # a sum of some thirty terms of order 1
    )
    assert visible.shape[1] < N  # and where nothing is missing, nothing asks for the token:
    whole = encoder.forward(x)
    decoder.forward(whole)
    kept = parameters.gradient.copy()
    decoder.backward(grad_y)
    assert not decoder.grad_mask_token.any()
    parameters.gradient[...] = kept
    e, d, p = networks(seed, complex)
    theta = parameters.values
    for i in rng.permutation(len(theta))[:20]:
        p.values[...] = theta
        p.values[i] += 1e-30j
        slope = np.sum(grad_y * d.forward(e.forward(x, None, visible), None, visible)).imag
        scale = np.abs(parameters.gradient).max()
        verify("12.7b", abs(slope / 1e-30 - parameters.gradient[i]) / scale, COMPLEX)


@pytest.mark.equation("12.7c")
@given(seed=SEEDS, v=st.integers(1, N - 2))
@settings(max_examples=20)
def test_without_positions_all_that_is_missing_is_the_same(seed, v):
    rng = np.random.default_rng(seed)
    encoder, decoder, _ = networks(seed)
    visible, missing = masks(rng, v=v)
    x = rng.standard_normal((5, N, P))
    with_them = decoder(encoder(x, visible), visible)
    assert all(
        np.ptp(one[gone], axis=0).max() > 1e-6
        for one, gone in zip(with_them, missing, strict=True)
    )
    decoder.positions.vectors.fill(0)
    x_hat = decoder(encoder(x, visible), visible)
    # every row goes through the same operations, but a product may take rows in groups
    spread = max(np.ptp(one[gone], axis=0).max() for one, gone in zip(x_hat, missing, strict=True))
    verify("12.7c", spread, 1e-13)
    loss, _ = losses.masked_squared_error(x_hat, x, missing)
    within = [np.sum(np.var(one[gone], axis=0)) for one, gone in zip(x, missing, strict=True)]
    assert loss >= np.mean(within) * (1 - 1e-12)


@pytest.mark.equation("12.7d")
@given(seed=SEEDS, v=st.integers(3, N - 1))
@settings(max_examples=20)
def test_the_order_of_the_visible_patches_does_not_matter(seed, v):
    rng = np.random.default_rng(seed)
    encoder, decoder, _ = networks(seed)
    visible, _ = masks(rng, v=v)
    x = rng.standard_normal((5, N, P))
    turned = np.roll(visible, 1, axis=1)
    h, h_turned = encoder(x, visible), encoder(x, turned)
    verify("12.7d", np.abs(np.roll(h, 1, axis=1) - h_turned).max(), 1e-12)
    error = decoder(h, visible) - decoder(h_turned, turned)
    verify("12.7d", np.abs(error).max(), 1e-12)


# --- 12.8: the loss ---------------------------------------------------------------------------


@pytest.mark.equation("12.8")
@given(seed=SEEDS)
@settings(max_examples=30)
def test_the_loss_looks_at_what_is_missing_and_at_each_sample_alike(seed):
    rng = np.random.default_rng(seed)
    x, x_hat = rng.standard_normal((2, 3, 16, 2))
    missing = np.zeros((3, 16), dtype=bool)
    missing[0, 5], missing[1, 1:], missing[2, rng.permutation(16)[:8]] = True, True, True
    weights = rng.random(3)
    loss, gradient = losses.masked_squared_error(x_hat, x, missing, weights)
    direct = np.mean(
        [
            w * np.mean([np.sum((a[j] - b[j]) ** 2) for j in np.flatnonzero(gone)])
            for a, b, gone, w in zip(x, x_hat, missing, weights, strict=True)
        ]
    )
    verify("12.8", abs(loss / direct - 1), 1e-13)

    def value(y):
        E = np.where(missing[..., None], y - x, 0)
        return np.sum(weights[:, None, None] * E * E / missing.sum(axis=1)[:, None, None]) / 3

    verify("12.8", relative_error(gradient, complex_step(value, x_hat)), COMPLEX)
    assert not gradient[~missing].any()
    moved = np.where(missing[..., None], x_hat, x_hat + 1)
    assert losses.masked_squared_error(moved, x, missing, weights)[0] == loss


# --- patches ----------------------------------------------------------------------------------


def test_patches_are_cut_out_of_the_picture():
    rng = np.random.default_rng(0)
    images = rng.standard_normal((3, 4, 6, 2))  # height, width, channels
    patches = ToPatches((4, 6), 2, 2)
    found = patches(images.reshape(3, -1))
    for place, (i, j) in enumerate(itertools.product(range(2), range(3))):
        right = images[:, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2].reshape(3, -1)
        assert np.array_equal(found[:, place], right)
    assert np.array_equal(patches.inverse(found), images.reshape(3, -1))


def test_patches_of_three_axes_are_put_back_where_they_were():
    """Of two axes the order of parts is its own inverse, and to go back by itself is right."""
    volumes = np.random.default_rng(0).standard_normal((3, 2, 4, 6))
    patches = ToPatches((2, 4, 6), 2)
    found = patches(volumes.reshape(3, -1))
    assert np.array_equal(found[:, 5], volumes[:, :, 2:, 4:].reshape(3, -1))
    assert np.array_equal(patches.inverse(found), volumes.reshape(3, -1))


# --- the model --------------------------------------------------------------------------------

SMALL = {
    "width": 4, "n_blocks": 1, "decoder_width": 4, "n_heads": 2, "max_iter": 3,
    "batch_size": 16, "random_state": 0,
}  # fmt: skip
TABLE = np.random.default_rng(0).random((30, 5))
MODELS = [
    MaskedAutoencoder(**SMALL, mask_ratio=0.6, weight_decay=0.1),
    MaskedAutoencoder((2, 3), **{**SMALL, "n_blocks": 2}, n_decoder_blocks=2),
    MaskedAutoencoder((1, 2), **SMALL, n_channels=3),
]


@pytest.mark.equation("1.7b")
@pytest.mark.parametrize("model", MODELS, ids=repr)
def test_gradient_by_the_complex_step(model):
    """At two places of every parameter: twenty or forty of them, of all layers."""
    rng = np.random.default_rng(0)
    X, weights = model.initialise(rng.random((4, 5 if model.shape is None else 6))), rng.random(4)
    model.parameters_[...] += 0.1 * rng.standard_normal(model.parameters_.shape)
    theta = model.parameters_.copy()
    gradient = model.loss_and_gradient(X, np.random.default_rng(0), weights)[1].copy()
    model._build(X.shape[1], np.complex128)
    for places in model.layout_.places():
        for place in rng.permutation(places)[:2]:
            model.layout_.values[...] = theta
            model.layout_.values[place] += 1e-30j
            loss = model.loss_and_gradient(X, np.random.default_rng(0), weights)[0]
            scale = max(np.abs(gradient[places]).max(), 1e-3)
            verify("1.7b", abs(loss.imag / 1e-30 - gradient[place]) / scale, COMPLEX)


@pytest.mark.slow
@pytest.mark.equation("1.7a")
@pytest.mark.parametrize("model", MODELS, ids=repr)
def test_gradient_by_central_differences_at_every_parameter(model):
    X = np.random.default_rng(0).random((4, 5 if model.shape is None else 6))
    verify("1.7a", gradient_check(model, X).error, CENTRAL)


def test_networks_are_what_the_parameters_say():
    model = MaskedAutoencoder(
        (4, 6), patch_size=2, n_channels=3, width=8, n_blocks=3, decoder_width=4,
        n_decoder_blocks=2, n_heads=2,
    )  # fmt: skip
    model.initialise(np.random.default_rng(0).random((9, 72)))
    encoder = VisibleEncoder(6, 12, 8, n_blocks=3, n_heads=2)
    decoder = FillingDecoder(6, 8, 4, 12, n_blocks=2, n_heads=2)
    for found, right in ((model.encoder_, encoder), (model.decoder_, decoder)):
        assert found.shapes == right.shapes
        assert found.shape_in == right.shape_in and found.shape_out == right.shape_out
        heads = [block.attention.n_heads for block in found.blocks.layers[:-1]]
        assert heads == [2] * (3 if found is model.encoder_ else 2)


def test_both_networks_are_handed_the_generator():
    model, rng, handed = MaskedAutoencoder(**SMALL), np.random.default_rng(0), []
    X = model.initialise(TABLE)
    for found in (model.encoder_, model.decoder_):

        def spy(x, rng, visible, computed=found.forward):
            handed.append(rng)
            return computed(x, rng, visible)

        found.forward = spy
    model.loss_and_gradient(X, rng)
    assert handed == [rng, rng]


@pytest.mark.parametrize(("width", "sizes"), [(2**16, [4, 4, 1]), (2**19, [1] * 9)])
def test_samples_are_filled_in_blocks_of_so_many_numbers(width, sizes, monkeypatch):
    """2¹⁸ on their way, or one sample."""
    model, found = MaskedAutoencoder(**SMALL).fit(TABLE), []
    missing = [True, False, False, True, False]
    whole, computed = model.reconstruct(TABLE[:9], missing=missing), VisibleEncoder.__call__
    monkeypatch.setattr(MaskedAutoencoder, "_width", width)
    monkeypatch.setattr(
        VisibleEncoder, "__call__",
        lambda self, x, visible: found.append(len(x)) or computed(self, x, visible),
    )  # fmt: skip
    in_blocks = model.reconstruct(TABLE[:9], missing=missing)
    np.testing.assert_allclose(in_blocks, whole, rtol=1e-12)
    assert found == sizes


def test_it_wants_no_gradient_by_its_samples():
    model = MaskedAutoencoder(**SMALL)
    X = model.initialise(TABLE)
    first, wanted = model.encoder_.embedding.layers[0], []
    computed = first.backward

    def spy(grad_y, *, input_gradient=True):
        wanted.append(input_gradient)
        return computed(grad_y, input_gradient=input_gradient)

    first.backward = spy
    model.loss_and_gradient(X)
    assert wanted == [False]


def test_gaps_of_a_table_are_filled_and_nothing_else_changes():
    model = MaskedAutoencoder(**SMALL).fit(TABLE)
    X = TABLE.copy()
    X[0, 1] = X[1, [0, 2, 3, 4]] = np.nan
    filled = model.reconstruct(X)
    gaps = np.isnan(X)
    assert np.isfinite(filled).all() and np.array_equal(filled[~gaps], X[~gaps])
    assert np.array_equal(filled[2:], TABLE[2:])
    # the same as where it is said which are missing, whatever stands there
    missing = gaps.copy()
    assert np.array_equal(model.reconstruct(np.where(gaps, 9.0, X), missing=missing), filled)
    assert np.array_equal(model.reconstruct(X[[1]])[0], filled[1])
    one_for_all = np.array([True, False, False, True, False])
    both = model.reconstruct(TABLE, missing=one_for_all)
    assert np.array_equal(both[:, ~one_for_all], TABLE[:, ~one_for_all])
    assert not np.any(both[:, one_for_all] == TABLE[:, one_for_all])


def test_columns_of_a_table_of_gaps_are_those_of_the_fit():
    names = [*"abcde"]
    model = MaskedAutoencoder(**SMALL).fit(Frame(TABLE, columns=names))
    gaps, missing = TABLE.copy(), np.zeros(TABLE.shape, bool)
    gaps[0, 1], missing[0, 1] = np.nan, True
    whole = Frame(TABLE, columns=names)
    filled = model.reconstruct(whole, missing=Frame(missing, columns=names))
    assert np.array_equal(filled, model.reconstruct(Frame(gaps, columns=names)))
    with pytest.raises(ValueError, match="column 0 is 'b' in place of 'a'"):
        model.reconstruct(whole, missing=Frame(missing, columns=[*"bacde"]))


def test_a_patch_with_a_gap_is_missing_and_what_it_has_stays():
    model = MaskedAutoencoder((2, 4), patch_size=2, **SMALL)
    X = np.random.default_rng(0).random((30, 8))
    model.fit(X)
    gaps = X.copy()
    gaps[0, 5] = np.nan  # in the first of two patches, whose pixels are 0, 1, 4 and 5
    filled = model.reconstruct(gaps)
    assert np.array_equal(np.delete(filled[0], 5), np.delete(X[0], 5))
    predicted = model.reconstruct(X, missing=[True, False])
    assert predicted[0, 5] == filled[0, 5]
    assert np.all(predicted[:, [0, 1, 4, 5]] != X[:, [0, 1, 4, 5]])
    assert np.array_equal(predicted[:, [2, 3, 6, 7]], X[:, [2, 3, 6, 7]])


def test_the_error_of_a_sample_is_that_of_patches_predicted_while_missing():
    model = MaskedAutoencoder(mask_ratio=0.4, **SMALL).fit(TABLE)  # 2 of 5 at a time
    order = np.random.default_rng(0).permutation(5)
    x_hat = np.empty_like(TABLE)
    for places in (order[:2], order[2:4], order[[4, 0]]):
        missing = np.isin(np.arange(5), places)
        x_hat[:, missing] = model.reconstruct(TABLE, missing=missing)[:, missing]
    by_hand = (x_hat - TABLE) ** 2
    assert np.array_equal(model.reconstruction_error(TABLE, per_feature=True), by_hand)
    np.testing.assert_allclose(model.reconstruction_error(TABLE), by_hand.sum(axis=1), rtol=1e-14)
    assert model.score(TABLE) == pytest.approx(-by_hand.sum(axis=1).mean(), rel=1e-14)


@pytest.mark.parametrize(
    ("mask_ratio", "n_missing"),
    [(1e-9, 1), (0.29, 1), (0.31, 2), (0.69, 3), (0.71, 4), (0.999, 4)],
)
def test_at_least_one_patch_is_missing_and_one_stays(mask_ratio, n_missing):
    model = MaskedAutoencoder(mask_ratio=mask_ratio, **SMALL)
    model.initialise(TABLE)
    missing, visible = model._draw_masks(7, np.random.default_rng(0))
    assert missing.sum(axis=1).tolist() == [n_missing] * 7
    assert visible.shape == (7, 5 - n_missing)


def test_features_are_the_mean_of_all_vectors_or_all_of_them():
    model = MaskedAutoencoder(**SMALL).fit(TABLE)
    vectors = model.encoder_(model._patches(TABLE))
    np.testing.assert_allclose(model.transform(TABLE), vectors.mean(axis=1), rtol=1e-12)
    model.set_params(pooling="concatenate")
    assert np.array_equal(model.transform(TABLE), vectors.reshape(30, -1))
    assert len(model.get_feature_names_out()) == 20
    assert model.jacobian(TABLE[:2]).shape == (2, 20, 5)
    model.set_params(pooling="max")
    with pytest.raises(ValueError, match="pooling must be 'mean' or 'concatenate'; got 'max'"):
        model.transform(TABLE)
    model.set_params(pooling="mean")
    J, step = model.jacobian(TABLE[:1])[0], 1e-6
    moved = [model.transform(TABLE[:1] + step * e) for e in np.eye(5)]
    back = [model.transform(TABLE[:1] - step * e) for e in np.eye(5)]
    differences = (np.vstack(moved) - np.vstack(back)).T / (2 * step)
    np.testing.assert_allclose(J, differences, rtol=1e-6, atol=1e-8)


def test_each_sample_and_each_step_has_a_mask_of_its_own():
    """Counts of a binomial distribution, within 5 standard deviations."""
    model = MaskedAutoencoder((10,), mask_ratio=0.3, **SMALL)
    model.initialise(np.random.default_rng(0).random((5, 10)))
    rng, n = np.random.default_rng(0), scaled(4000)
    first, visible = model._draw_masks(n, rng)
    second, _ = model._draw_masks(n, rng)
    assert (first.sum(axis=1) == 3).all() and visible.shape == (n, 7)
    assert not np.take_along_axis(first, visible, axis=1).any()
    # means of one, and of whether a place is missing twice: for neighbours in a batch, and in time
    for hits, share in ((first, 0.3), (first & second, 0.09), (first[1:] & first[:-1], 0.09)):
        z = (hits.mean(axis=0) - share) / (share * (1 - share) / len(hits)) ** 0.5
        assert np.abs(z).max() <= 5


def test_weights_count_as_samples_do():
    model = MaskedAutoencoder(**SMALL)
    X = model.initialise(TABLE)
    weights = np.random.default_rng(1).random(len(X))
    rng = np.random.default_rng(2)
    draws = rng.random((len(X), 5))

    class Draws:
        def __init__(self, rows):
            self.rows = rows

        def random(self, shape):
            return draws[self.rows]

    loss, gradient = model.loss_and_gradient(X, Draws(slice(None)), weights)
    gradient = gradient.copy()
    alone = []
    for i, w in enumerate(weights):
        one, slope = model.loss_and_gradient(X[[i]], Draws([i]))
        alone.append(np.concatenate([[w * one], w * slope]))
    total, total_gradient = np.mean(alone, axis=0)[0], np.mean(alone, axis=0)[1:]
    assert loss == pytest.approx(total, rel=1e-13)
    np.testing.assert_allclose(gradient, total_gradient, rtol=1e-10, atol=1e-13)


def test_float32_stays_float32():
    X = TABLE.astype(np.float32)
    model, right = MaskedAutoencoder(**SMALL), MaskedAutoencoder(**SMALL)
    X32, X64 = model.initialise(X), right.initialise(X.astype(np.float64))
    right.parameters_[...] = model.parameters_
    loss, gradient = model.loss_and_gradient(X32, np.random.default_rng(0))
    loss64, gradient64 = right.loss_and_gradient(X64, np.random.default_rng(0))
    assert gradient.dtype == np.float32
    # rounding 6e-8 a step, through a few dozen steps and the norms' divisions
    assert relative_error(gradient, gradient64) <= 1e-4 and loss == pytest.approx(loss64, rel=1e-5)
    model.fit(X)
    results = (model.transform(X), model.reconstruct(X), model.reconstruction_error(X))
    assert all(array.dtype == np.float32 for array in results)


def test_a_memmap_in_another_dtype_gives_the_same(tmp_path):
    model = MaskedAutoencoder(**SMALL).fit(TABLE.astype(np.float32))
    mapped = np.memmap(tmp_path / "table", np.float64, "w+", shape=TABLE.shape, order="F")
    mapped[...] = TABLE
    mapped[0, 1] = np.nan
    filled = model.reconstruct(mapped)
    assert filled.dtype == np.float32
    assert np.array_equal(filled, model.reconstruct(np.array(mapped)))
    error = model.reconstruction_error(mapped[1:])
    assert np.array_equal(error, model.reconstruction_error(TABLE[1:]))


def test_files_copies_and_checkpoints(tmp_path):
    model = MaskedAutoencoder(**SMALL).fit(TABLE)
    model.save(tmp_path / "model.npz")
    others = [nanoae.load(tmp_path / "model.npz"), copy.deepcopy(model)]
    others.append(pickle.loads(pickle.dumps(model)))
    for other in others:
        assert repr(other) == repr(model)
        assert np.array_equal(other.transform(TABLE), model.transform(TABLE))
        assert np.array_equal(other.reconstruction_error(TABLE), model.reconstruction_error(TABLE))
    model.partial_fit(TABLE)
    assert model.n_samples_seen_ == 60
    for other in others:
        assert np.array_equal(other.partial_fit(TABLE).parameters_, model.parameters_)
    whole = MaskedAutoencoder(**SMALL).fit(TABLE).parameters_
    again = MaskedAutoencoder(**SMALL).fit(TABLE, checkpoint=tmp_path / "other.npz")
    assert np.array_equal(again.parameters_, whole)
    once_more = MaskedAutoencoder(**SMALL).fit(TABLE, checkpoint=tmp_path / "other.npz")
    assert np.array_equal(once_more.parameters_, whole)


def test_hyper_parameters_wait_for_the_next_fit():
    model = MaskedAutoencoder(**SMALL).fit(TABLE)
    before = (
        model.reconstruction_error(TABLE),
        model.reconstruct(TABLE, missing=[True] + [False] * 4),
    )
    model.set_params(mask_ratio=0.9, width=16, n_heads=1, patch_size=5)
    after = (
        model.reconstruction_error(TABLE),
        model.reconstruct(TABLE, missing=[True] + [False] * 4),
    )
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"shape": (2, 3)}, r"shape and n_channels must be those of samples of 5 feature\(s\)"),
        ({"shape": ()}, r"shape and n_channels must be those"),
        ({"shape": (), "n_channels": 5}, r"shape and n_channels must be those.* got \(\) and 5"),
        ({"n_channels": 2}, r"shape and n_channels must be those"),
        ({"patch_size": 2}, r"patch_size must divide all of the shape \(5,\); got 2"),
        ({"patch_size": 5}, r"are one patch"),
        ({"mask_ratio": 0.0}, r"mask_ratio must be finite and strictly between 0 and 1; got 0"),
        ({"mask_ratio": 1}, r"mask_ratio must be finite and strictly between 0 and 1; got 1"),
        ({"width": 6, "n_heads": 4}, r"width must be a multiple of n_heads; got 6 and 4"),
        ({"decoder_width": 5}, r"decoder_width must be a multiple of n_heads; got 5 and 2"),
        ({"pooling": "max"}, r"pooling must be 'mean' or 'concatenate'; got 'max'"),
        ({"solver": "lbfgs"}, r"solver must be 'adam' or 'sgd'; got 'lbfgs'"),
    ],
)
def test_impossible_parameters_are_refused(params, message):
    with pytest.raises(ValueError, match=message):
        MaskedAutoencoder(**{**SMALL, **params}).fit(TABLE)


def test_a_series_of_several_channels_needs_no_shape():
    X = np.random.default_rng(0).random((20, 6))
    series = MaskedAutoencoder(n_channels=3, **SMALL).fit(X)
    same = MaskedAutoencoder((2,), n_channels=3, **SMALL).fit(X)
    assert np.array_equal(series.parameters_, same.parameters_)


LEAST = {
    "patch_size": 1, "n_channels": 1, "width": 1, "n_blocks": 1, "decoder_width": 1,
    "n_decoder_blocks": 1, "n_heads": 1, "max_iter": 1,
}  # fmt: skip


@pytest.mark.parametrize("name", LEAST)
def test_of_everything_there_is_one_at_least(name):
    with pytest.raises(ValueError, match=f"{name} must be at least 1; got 0"):
        MaskedAutoencoder(**{**LEAST, name: 0}).fit(TABLE)


def test_the_smallest_one_there_is_can_be_trained():
    model = MaskedAutoencoder(**LEAST, tol=0.0, random_state=0).fit(TABLE)
    assert model.n_iter_ == 1 and model.transform(TABLE).shape == (30, 1)
    with pytest.raises(ValueError, match="tol must be finite and at least 0"):
        model.set_params(tol=-1e-9).fit(TABLE)


def test_what_cannot_be_done_is_said():
    X = TABLE.copy()
    X[3, 2] = np.nan
    model = MaskedAutoencoder(**SMALL)
    with pytest.raises(ValueError, match="contains NaN or infinity, first at row 3, column 2"):
        model.fit(X)
    model.fit(TABLE)
    for use in (model.transform, model.reconstruction_error, model.score, model.partial_fit):
        with pytest.raises(ValueError, match="contains NaN or infinity"):
            use(X)
    X[4] = np.nan
    with pytest.raises(ValueError, match="row 4 has no patch that is visible"):
        model.reconstruct(X)
    X[4] = np.inf
    with pytest.raises(
        ValueError, match=r"contains NaN or infinity, first at row 4, column 0 \(inf"
    ):
        model.reconstruct(X)
    for missing in ([1, 0, 0, 0, 0], [True, False], np.zeros((2, 5), bool)):
        with pytest.raises(ValueError, match="missing must be an array of bool, of the shape"):
            model.reconstruct(TABLE, missing=missing)
    with pytest.raises(TypeError, match="per_feature must be True or False"):
        model.reconstruction_error(TABLE, per_feature="all")
    for use in (model.inverse_transform, lambda codes: model.interpolate(*codes[:2])):
        with pytest.raises(TypeError, match="no way back from what transform gives"):
            use(model.transform(TABLE))


def test_noise_is_not_learned_and_it_says_so():
    X = np.random.default_rng(0).standard_normal((64, 4))
    with pytest.warns(nanoae.ConvergenceWarning, match="no better than to answer every sample"):
        MaskedAutoencoder(**{**SMALL, "max_iter": 2}).fit(X)


@pytest.mark.parametrize("patch_size", [1, 2, 3])
def test_the_warning_compares_with_a_network_that_answers_the_mean(patch_size):
    signs = np.random.default_rng(0).choice([-1.0, 1.0], (20, 6))
    X = np.vstack([signs, -signs])  # of mean 0, and all patches are of the same length
    model = MaskedAutoencoder(**{**SMALL, "patch_size": patch_size}).fit(X)
    model.decoder_.readout.weight.fill(0)
    model.decoder_.readout.bias.fill(0)
    loss, _ = model.loss_and_gradient(X, np.random.default_rng(0))
    assert loss == pytest.approx(patch_size, rel=1e-12)
    assert model._null_loss() == pytest.approx(loss, rel=1e-12)


# --- 12.9: the digits -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained_on_digits():
    """A minute of training, and the encoder as it was before."""
    untrained, data = network(), split()
    untrained.initialise(data[0])
    return trained(data[0]), untrained, data


@pytest.mark.slow
@pytest.mark.equation("12.9")
def test_missing_patches_of_digits_are_predicted_better_than_by_any_linear_map(trained_on_digits):
    model, _, (train, _, test, _) = trained_on_digits
    rng, errors = np.random.default_rng(1), []
    for _ in range(3):
        missing = rng.random((len(test), 16)).argsort(axis=1) < 8
        gone = model._patches.inverse(np.repeat(missing[..., None], 4, axis=-1))
        found = model.reconstruct(test, missing=missing), by_regression(train, test, gone)
        errors.append([np.mean((x_hat - test)[gone] ** 2) for x_hat in found])
    by_network, linear = np.mean(errors, axis=0)
    print(f"network {by_network:.4f}, linear {linear:.4f}")
    verify("12.9", by_network / linear, 1)


@pytest.mark.slow
@pytest.mark.equation("12.9a")
def test_mean_features_of_digits_after_and_before_the_training(trained_on_digits):
    model, untrained, (train, train_labels, test, test_labels) = trained_on_digits

    def probed(model):
        features = standardised(model.transform(train), model.transform(test))
        return accuracy(features[0], train_labels, features[1], test_labels)

    def with_few_labels(model):
        known, unseen = model.transform(train), model.transform(test)
        draws = [probe(known, train_labels, unseen, test_labels, 10, s) for s in range(10)]
        return np.mean(draws)

    before, after = probed(untrained), probed(model)
    few_before, few_after = with_few_labels(untrained), with_few_labels(model)
    print(f"before training {before:.3f} and {few_before:.3f}, after {after:.3f}, {few_after:.3f}")
    verify("12.9a", 0.91 - after, 0)
    verify("12.9a", few_before + 0.05 - few_after, 0)
    assert after >= before + 0.02  # by this probe; by the best of four the difference is 0.004


# --- exercises --------------------------------------------------------------------------------


@given(rho=st.floats(-0.99, 0.99))
@settings(max_examples=20)
def test_exercise_the_second_neighbour(rho):
    assert gap_variance(rho, 1, 10**6) == pytest.approx(1 - rho**2, abs=1e-15)
    saved = np.log2((1 - rho**2) / gap_variance(rho, 1, 1)) / 2
    assert saved == pytest.approx(np.log2(1 + rho**2) / 2, abs=1e-12)
    assert saved <= 0.5


@given(seed=SEEDS, d=st.integers(2, 5))
@settings(max_examples=20)
def test_exercise_both_ends_of_the_ridge(seed, d):
    _, S = centred_samples(np.random.default_rng(seed), d)
    for i in range(d):
        others = np.arange(d) != i
        alone = masked_prediction(S, others).weight[0]
        # 1 − p and p of 1e-12 move the map by a condition number times that
        np.testing.assert_allclose(
            zero_filled_map(S, 1 - 1e-12).weight[i, others], alone, rtol=1e-7, atol=1e-9
        )
        np.testing.assert_allclose(
            zero_filled_map(S, 1e-12).weight[i, others], S[i, others] / np.diag(S)[others],
            rtol=1e-7, atol=1e-9,
        )  # fmt: skip


@given(rho=st.floats(-1, 1), p=st.floats(0.05, 0.95))
@settings(max_examples=20)
def test_exercise_two_features(rho, p):
    S = np.array([[1, rho], [rho, 1]])
    everything = zero_filled_map(S, p, targets="all").weight
    below = 1 - p**2 * rho**2
    assert everything[0, 0] == pytest.approx((1 - p * rho**2) / below, rel=1e-9)
    assert everything[0, 1] == pytest.approx(rho * (1 - p) / below, rel=1e-9, abs=1e-12)
    assert zero_filled_map(S, p).weight[0, 1] == pytest.approx(rho, rel=1e-12, abs=1e-15)


@given(seed=SEEDS, d=st.integers(2, 5))
@settings(max_examples=20)
def test_exercise_imputed_data_vary_too_little(seed, d):
    rng = np.random.default_rng(seed)
    X, S = centred_samples(rng, d)
    v = random_mask(rng, d)
    B, left = masked_prediction(S, v)
    filled = X[:, v] @ B.T
    np.testing.assert_allclose(
        filled.T @ filled / len(X) + left, S[np.ix_(~v, ~v)], rtol=1e-9, atol=1e-9
    )


@pytest.mark.parametrize("w", [2, 8])
def test_exercise_what_masking_saves(w):
    block = Parameters({"block": TransformerBlock(16, w)})
    weights = sum(weight.size for weight, _ in block.weights())
    assert weights == 12 * w**2  # a product and a sum for each, and each vector: 24 N w²
