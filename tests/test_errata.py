"""Where the lecture notes are wrong: a counterexample, or the true statement, for each erratum."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanoae import Autoencoder, Convolutional, LinearAutoencoder, TiedAutoencoder
from nanoae.datasets import load_digits, make_gaussian
from nanoae.losses import squared_error
from nanoae.network import MLP, Convolution, Parameters, TransposedConvolution, Upsample
from nanoae.network.activations import sigmoid
from nanoae.theory import (
    dropout_optimum,
    largest_principal_angle,
    pca,
    tied_gradient,
    tied_loss,
)

seeds = st.integers(0, 2**32 - 1)


@st.composite
def shapes(draw, max_d=8):
    """d, k < d, rng."""
    d = draw(st.integers(2, max_d))
    return d, draw(st.integers(1, d - 1)), np.random.default_rng(draw(seeds))


def covariance(d, rng):
    """A random Σ with eigenvalues well apart, and its eigenvectors."""
    U = np.linalg.qr(rng.standard_normal((d, d)))[0]
    eigenvalues = np.cumprod(rng.uniform(0.5, 0.9, size=d))
    return U * eigenvalues @ U.T, U, eigenvalues


def bound_mlp(sizes, activation):
    mlp = MLP(sizes, activation)
    Parameters({"mlp": mlp})
    return mlp


# --- A, §17: "even with nonlinear units in the hidden layer" ---------------------------------

# Four equally spaced points on each of two parallel lines: λ = (5, 1), axes = coordinates.
PAIRS = np.array([(t, s) for t in (-3.0, -1.0, 1.0, 3.0) for s in (-1.0, 1.0)])


def loss_with_best_output_layer(h, X):
    """Least mean squared error of any affine function of the hidden outputs h."""
    A = np.column_stack([h, np.ones(len(X))])
    residual = X - A @ np.linalg.lstsq(A, X, rcond=None)[0]
    return np.sum(residual**2) / len(X)


@given(w=st.tuples(st.floats(-3, 3), st.floats(-3, 3)), b=st.floats(-3, 3))
@settings(max_examples=100)
def test_a_tanh_unit_comes_nowhere_to_the_pca_loss(w, b):
    """The infimum λ_2 = 1 is beyond every choice of weights (proof in the text)."""
    best_output_layer = loss_with_best_output_layer(np.tanh(PAIRS @ w + b), PAIRS)
    least = pca(PAIRS).eigenvalues[1]
    if np.hypot(*w) > 0.05:  # the excess is of order w⁴: 1e-6 and far above rounding
        assert best_output_layer > least + 1e-6
    assert best_output_layer >= least - 1e-12


def test_a_tanh_unit_comes_as_near_to_the_pca_loss_as_you_like():
    least = pca(PAIRS).eigenvalues[1]
    for w in (0.2, 0.1, 0.05, 0.025):
        mlp = bound_mlp((2, 1, 2), "tanh")
        mlp.layers[0].weight[...] = [[w], [0]]
        h = np.tanh(w * PAIRS[:, 0])
        mlp.layers[1].weight[...] = [[h @ PAIRS[:, 0] / (h @ h), 0]]  # least squares
        excess = squared_error(mlp(PAIRS), PAIRS)[0] - least
        # tanh(w t)/w = t − w² t³/3 + ...; what of t³ no multiple of t explains is
        # E t⁶ − (E t⁴)²/E t² = 365 − 41²/5 = 28.8, so the excess is 28.8 w⁴/9 to leading order
        assert excess == pytest.approx(3.2 * w**4, rel=12 * w**2)
        assert excess > 0


def test_a_relu_unit_attains_it_by_never_bending():
    X = make_gaussian(30, [3.0, 1.0, 0.5], exact=True, random_state=0)
    _, U, eigenvalues = pca(X)
    mlp = bound_mlp((3, 1, 3), "relu")
    mlp.layers[0].weight[...] = U[:, :1]
    mlp.layers[0].bias[...] = shift = 100  # keeps every sample on the unit's straight part
    mlp.layers[1].weight[...] = U[:, :1].T
    mlp.layers[1].bias[...] = -shift * U[:, 0]
    loss = squared_error(mlp(X), X)[0]
    assert loss == pytest.approx(eigenvalues[1:].sum(), rel=1e-12)


@given(shapes(max_d=5), st.sampled_from(["relu", "tanh", "sigmoid", "softplus"]))
@settings(max_examples=40)
def test_no_nonlinear_hidden_layer_does_better_than_pca(shape, activation):
    d, k, rng = shape
    X = rng.standard_normal((20, d)) @ rng.standard_normal((d, d))
    X -= X.mean(axis=0)
    mlp = bound_mlp((d, k, d), activation)
    mlp.initialise(rng)
    mlp.layers[0].weight[...] *= rng.uniform(0.01, 5)
    h = mlp.layers[0](X)
    eigenvalues = pca(X).eigenvalues
    # with the best output layer that there is for these hidden outputs
    excess = loss_with_best_output_layer(h, X) - eigenvalues[k:].sum()
    assert excess >= -1e-12 * eigenvalues.sum()


@given(seeds)
@settings(max_examples=20)
def test_a_nonlinear_output_layer_can_do_better_than_pca(seed):
    """One linear hidden unit, two sigmoid outputs, three samples: no error at all."""
    rng = np.random.default_rng(seed)
    h = np.array([0.5, 1.5, 2.5]) + rng.uniform(-0.4, 0.4, size=3)
    slopes = np.array([1.0, rng.uniform(2, 4)])
    X = sigmoid(h[:, None] * slopes)
    # three samples on a strictly concave curve are not on one line: an affine function takes
    # any values there
    weights = np.linalg.solve(np.column_stack([X, np.ones(3)]), h)
    hidden = X @ weights[:2] + weights[2]
    x_hat = sigmoid(hidden[:, None] * slopes)
    assert np.abs(x_hat - X).max() <= 1e-10
    assert pca(X).eigenvalues[1] >= 1e-6  # what PCA with k = 1 must leave


# --- B, §9.3 part 1 ----------------------------------------------------------------------------


def decoder_gradient_as_printed(W_e, W_d, Sigma):
    return -2 * W_e @ Sigma + 2 * W_d @ W_e @ Sigma @ W_e.T


@given(shapes())
@settings(max_examples=40)
def test_printed_decoder_gradient_does_not_even_add(shape):
    d, k, rng = shape
    Sigma, _, _ = covariance(d, rng)
    W_e, W_d = rng.standard_normal((k, d)), rng.standard_normal((d, k))
    if k > 1:
        with pytest.raises(ValueError, match="broadcast"):
            decoder_gradient_as_printed(W_e, W_d, Sigma)
    else:  # a row plus a column: NumPy makes a square of them, and no error
        assert decoder_gradient_as_printed(W_e, W_d, Sigma).shape == (d, d)


@given(st.integers(2, 6), seeds)
@settings(max_examples=20)
def test_printed_decoder_gradient_is_wrong_where_it_adds(d, seed):
    """With d = k the shapes agree; the numbers only where Σ W_eᵀ happens to be symmetric."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((d + 5, d))
    Sigma = X.T @ X / len(X)
    model = LinearAutoencoder(d, random_state=rng)
    model.initialise(X)
    W_e, W_d = model.encoder_weight_, model.decoder_weight_
    model.loss_and_gradient(X)
    true = model.decoder_.layers[0].grad_weight.T
    corrected = -2 * Sigma @ W_e.T + 2 * W_d @ W_e @ Sigma @ W_e.T
    printed = decoder_gradient_as_printed(W_e, W_d, Sigma)
    scale = np.abs(true).max()
    assert np.abs(corrected - true).max() <= 1e-12 * scale
    asymmetry = 2 * (Sigma @ W_e.T - W_e @ Sigma)
    assert np.abs(printed - true - asymmetry).max() <= 1e-12 * scale
    assert np.abs(asymmetry).max() >= 1e-6 * scale


@given(shapes(max_d=6))
@settings(max_examples=12)
def test_it_is_the_small_product_that_is_the_identity(shape):
    d, k, rng = shape
    X = make_gaussian(d + 5, 0.7 ** np.arange(d), exact=True, random_state=rng)
    model = LinearAutoencoder(k, random_state=rng).fit(X)
    W_e, W_d = model.encoder_weight_, model.decoder_weight_
    assert np.abs(W_e @ W_d - np.eye(k)).max() <= 1e-6
    # d − k: the squared distance from I_d to the nearest matrix of rank k (Eckart–Young)
    distance = np.sum((W_d @ W_e - np.eye(d)) ** 2)
    assert distance == pytest.approx(d - k, abs=1e-6)
    W_e, W_d = rng.standard_normal((k, d)), rng.standard_normal((d, k))
    assert np.sum((W_d @ W_e - np.eye(d)) ** 2) >= d - k - 1e-9


@given(shapes(max_d=6))
@settings(max_examples=10)
def test_columns_of_W_d_span_the_subspace_and_those_of_its_transpose_cannot(shape):
    d, k, rng = shape
    X = make_gaussian(d + 5, 0.7 ** np.arange(d), exact=True, random_state=rng)
    W_d = LinearAutoencoder(k, random_state=rng).fit(X).decoder_weight_
    U = pca(X).components
    assert largest_principal_angle(W_d, U[:, :k]) <= 1e-6
    assert len(W_d.T) == k < len(U)  # columns of W_dᵀ are not even vectors of the data's space


@given(shapes(max_d=6))
@settings(max_examples=30)
def test_the_equations_hold_at_saddles_too(shape):
    """Both derivatives vanish, W_e has full row rank, and it is not PCA."""
    d, k, rng = shape
    Sigma, U, eigenvalues = covariance(d, rng)
    chosen = np.arange(d - k, d)  # the last k, the worst choice
    W_d, W_e = U[:, chosen], U[:, chosen].T
    by_decoder = -2 * Sigma @ W_e.T + 2 * W_d @ W_e @ Sigma @ W_e.T
    by_encoder = -2 * W_d.T @ Sigma + 2 * W_d.T @ W_d @ W_e @ Sigma
    assert max(np.abs(by_decoder).max(), np.abs(by_encoder).max()) <= 1e-13
    excess = tied_loss(W_e, Sigma) - eigenvalues[k:].sum()
    expected = eigenvalues[:k].sum() - eigenvalues[chosen].sum()
    assert excess == pytest.approx(expected, rel=1e-9)
    assert expected > 0.01 * eigenvalues[0]


# --- B, §9.3 part 2 ----------------------------------------------------------------------------


def tied_gradient_as_printed(W, Sigma):
    return -4 * W @ Sigma + 4 * W @ W.T @ W @ Sigma


@given(shapes())
@settings(max_examples=40)
def test_printed_tied_gradient_is_not_the_gradient(shape):
    d, k, rng = shape
    Sigma, _, _ = covariance(d, rng)
    W = rng.standard_normal((k, d))
    numeric = np.empty_like(W)  # by the complex step, of the loss that the notes print
    for place in np.ndindex(W.shape):
        M = W.astype(complex)
        M[place] += 1e-30j
        A = M.T @ M
        loss = np.trace(Sigma) - 2 * np.trace(A @ Sigma) + np.trace(A @ Sigma @ A)
        numeric[place] = loss.imag / 1e-30
    scale = np.abs(numeric).max()
    assert np.abs(sum(tied_gradient(W, Sigma)) - numeric).max() <= 1e-12 * scale
    printed = tied_gradient_as_printed(W, Sigma)
    # how wrong: by the commutator of WᵀW and Σ, which chance may make small
    A = W.T @ W
    difference = 2 * W @ (A @ Sigma - Sigma @ A)
    assert np.abs(printed - numeric - difference).max() <= 1e-12 * scale


def test_printed_tied_gradient_by_hand():
    W, Sigma = np.array([[1.0, 1.0]]), np.diag([2.0, 1.0])
    assert tied_gradient_as_printed(W, Sigma).tolist() == [[8, 4]]
    assert sum(tied_gradient(W, Sigma)).tolist() == [[6, 6]]  # by all of its two terms


def test_printed_tied_gradient_is_the_gradient_of_nothing():
    """Second derivatives are symmetric; the derivatives of this expression are not."""
    rng = np.random.default_rng(0)
    Sigma, _, _ = covariance(3, rng)
    W = rng.standard_normal((2, 3))

    def jacobian(field):
        columns = []
        for place in np.ndindex(W.shape):
            moved = W.astype(complex)
            moved[place] += 1e-30j
            columns.append(field(moved).imag.ravel() / 1e-30)
        return np.array(columns).T

    def asymmetry(J):
        return np.abs(J - J.T).max() / np.abs(J).max()

    assert asymmetry(jacobian(lambda M: sum(tied_gradient(M, Sigma)))) <= 1e-14
    assert asymmetry(jacobian(lambda M: tied_gradient_as_printed(M, Sigma))) >= 0.01


@given(shapes())
@settings(max_examples=40)
def test_printed_tied_gradient_vanishes_at_every_matrix_with_orthonormal_rows(shape):
    d, k, rng = shape
    Sigma, _, eigenvalues = covariance(d, rng)
    W = np.linalg.qr(rng.standard_normal((d, k)))[0].T  # rows know nothing of Σ
    assert np.abs(tied_gradient_as_printed(W, Sigma)).max() <= 1e-13
    true = sum(tied_gradient(W, Sigma))
    # −2 W Σ (I − WᵀW): what Σ moves out of the rows' span
    expected = -2 * W @ Sigma @ (np.eye(d) - W.T @ W)
    assert np.abs(true - expected).max() <= 1e-13
    # of the loss no more than the square is left where the rows happen to be near the axes
    assert np.abs(true).max() >= 1e-5 * eigenvalues[0]
    assert tied_loss(W, Sigma) > eigenvalues[k:].sum() + 1e-10 * eigenvalues[0]


@given(st.integers(2, 5), st.integers(1, 4), seeds)
@settings(max_examples=20)
def test_tied_weights_find_the_eigenvectors_only_up_to_a_rotation(k, more, seed):
    eigenvalues = 0.7 ** np.arange(k + more)
    X = make_gaussian(k + more + 5, eigenvalues, exact=True, random_state=seed)
    V_k = pca(X).components[:, :k]
    W = TiedAutoencoder(k, random_state=seed).fit(X).encoder_weight_
    Q = W @ V_k
    assert np.abs(Q @ Q.T - np.eye(k)).max() <= 1e-6
    # were W equal to V_kᵀ up to signs and order of rows, |Q| would be a permutation. A random
    # rotation comes within 1e-5 of one with a probability of 1e-5 at k = 2, less above
    assert np.sort(np.abs(Q), axis=1)[:, -2].max() >= 1e-5
    # codes of PCA are uncorrelated with variances λ_i; these have Q Λ Qᵀ
    code_covariance = W @ (X.T @ X / len(X)) @ W.T
    assert np.abs(code_covariance - Q * eigenvalues[:k] @ Q.T).max() <= 1e-7
    correlated = np.abs(code_covariance - np.diag(np.diag(code_covariance))).max()
    assert correlated >= 2e-6 * eigenvalues[0]


@given(shapes())
@settings(max_examples=20)
def test_with_equal_eigenvalues_there_is_no_subspace_to_find(shape):
    d, k, rng = shape
    A, B = (np.linalg.qr(rng.standard_normal((d, k)))[0].T for _ in range(2))
    for W in (A, B):
        assert tied_loss(W, np.eye(d)) == pytest.approx(d - k, rel=1e-13)
    assert largest_principal_angle(A.T, B.T) >= 1e-6


# --- C, "Undercomplete": what a bottleneck forces ---------------------------------------------


@given(n=st.integers(3, 12), d=st.integers(2, 8), seed=seeds)
@settings(max_examples=30)
def test_one_number_can_carry_any_finite_data(n, d, seed):
    """A code of width 1 and a relu decoder reproduce pure noise without error."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d))
    X -= X.mean(axis=0)
    encoder = rng.standard_normal((d, 1))
    order = np.argsort((X @ encoder).ravel())
    X = X[order]
    codes = (X @ encoder).ravel()
    gaps = np.diff(codes)
    slopes = np.diff(X, axis=0) / gaps[:, None]  # of the broken line from sample to sample

    decoder = bound_mlp((1, n - 1, d), "relu")
    decoder.layers[0].weight[...] = 1
    decoder.layers[0].bias[...] = -codes[:-1]  # one bend at each sample
    decoder.layers[1].weight[...] = np.diff(slopes, axis=0, prepend=np.zeros((1, d)))
    decoder.layers[1].bias[...] = X[0]
    loss = squared_error(decoder(codes[:, None]), X)[0]
    # slopes grow as 1/gap, and rounding with them
    assert loss <= (1e-13 * np.abs(slopes).max() * n) ** 2 * d + 1e-24
    assert loss < pca(X).eigenvalues[1:].sum()  # what PCA with k = 1 leaves


# --- C, Overview: "the most salient structure" ----------------------------------------------


def test_a_bottleneck_keeps_what_varies_not_what_matters():
    rng = np.random.default_rng(0)
    labels = np.arange(4000) % 2
    X = np.column_stack(
        [10 * rng.standard_normal(4000), labels - 0.5 + 0.2 * rng.standard_normal(4000)]
    )
    share_right = []
    for columns in (X, X * [1, 100]):
        model = LinearAutoencoder(1, random_state=0).fit(columns)
        kept = 1 - model.loss_ / np.sum(columns.var(axis=0))
        assert kept > 0.95
        code = model.transform(columns).ravel()
        right = np.mean((code > code.mean()) == labels)
        share_right.append(max(right, 1 - right))
    # of 4,000: a coin within 5 standard errors, and Φ(2.5) = 0.994 less what the mean is off by
    assert share_right[0] < 0.54 and share_right[1] > 0.985


# --- D, §6: "PCA can be seen as a special case" ---------------------------------------------


def test_a_linear_autoencoder_finds_the_plane_of_pca_but_not_its_axes():
    X = make_gaussian(200, 0.7 ** np.arange(8), exact=True, random_state=0)
    _, U, eigenvalues = pca(X)
    models = [LinearAutoencoder(4, random_state=seed).fit(X) for seed in range(2)]
    codes = [model.transform(X) for model in models]
    for model, h in zip(models, codes, strict=True):
        assert largest_principal_angle(model.decoder_weight_, U[:, :4]) <= 1e-6
        correlations = np.corrcoef(h.T) - np.eye(4)
        assert np.abs(correlations).max() >= 0.1  # PCA's are 0
        cosines = U[:, :4].T @ model.decoder_weight_
        cosines /= np.linalg.norm(model.decoder_weight_, axis=0)
        assert np.abs(cosines).max(axis=0).min() <= 0.95  # no axis is found, up to sign
    # two runs agree on the loss, not on the code
    assert models[0].loss_ == pytest.approx(models[1].loss_, rel=1e-10)
    assert np.abs(codes[0] - codes[1]).max() >= 0.1 * np.sqrt(eigenvalues[0])


def test_without_centring_it_is_not_pca():
    """Minimising ‖x − W_d W_e x‖² on raw data finds the second moment's axes, the mean's first."""
    X = make_gaussian(200, [4.0, 1.0, 0.25], exact=True, random_state=0)
    _, U, eigenvalues = pca(X)
    X = X + 10 * U[:, 2]  # the mean lies along the least of the axes

    def loss_and_gradient(axis):
        model = LinearAutoencoder(1, random_state=0)
        model.initialise(X)
        model.encoder_weight_[...], model.decoder_weight_[...] = axis[None, :], axis[:, None]
        loss, gradient = model.loss_and_gradient(X)  # X as it is: only `fit` centres
        return loss, np.abs(gradient).max()

    loss_of_pca, _ = loss_and_gradient(U[:, 0])
    loss_of_mean, gradient = loss_and_gradient(U[:, 2])
    assert gradient <= 1e-10
    assert loss_of_pca == pytest.approx(100 + eigenvalues[1:].sum())
    assert loss_of_mean == pytest.approx(eigenvalues[:2].sum())
    assert loss_of_mean < loss_of_pca


# --- D, §7.2, and C: what dropout does --------------------------------------------------------

VARIANCES = [4.0, 2.0, 1.0, 0.5]


def trained_with_dropout(k, p):
    X = make_gaussian(40, VARIANCES, exact=True, random_state=0)
    return X, LinearAutoencoder(k, dropout=p, random_state=0).fit(X)


def test_erratum_dropout_makes_units_equal_and_not_alike():
    X, model = trained_with_dropout(3, 0.2)
    codes, whole = model.transform(X), -model.score(X)
    without = [np.where(np.arange(3) == j, 0, codes) for j in range(3)]
    prices = [squared_error(model.inverse_transform(h), X)[0] - whole for h in without]
    assert np.ptp(prices) <= 1e-6 * max(prices)
    # a copy of another unit would be of no use: three axes are in use, and need three directions
    correlations = np.corrcoef(codes.T) - np.eye(3)
    assert np.abs(correlations).max() <= 0.99
    assert np.linalg.matrix_rank(codes, tol=1e-3) == 3


def test_erratum_dropout_rebuilds_no_sample_better():
    X, model = trained_with_dropout(2, 0.3)
    plain = LinearAutoencoder(2, random_state=0).fit(X)
    unseen = make_gaussian(200, VARIANCES, random_state=1)
    for samples in (X, unseen):
        excess = model.reconstruction_error(samples) - plain.reconstruction_error(samples)
        assert excess.min() >= -1e-6 and excess.mean() >= 0.1


def test_erratum_a_dropout_network_wants_another_scale():
    X, model = trained_with_dropout(3, 0.3)
    x_hat, centred = model.reconstruct(X) - X.mean(axis=0), X - X.mean(axis=0)
    best = np.sum(x_hat * centred) / np.sum(x_hat**2)
    assert best == pytest.approx(dropout_optimum(VARIANCES, 3, 0.3).scale, rel=1e-6)
    assert best >= 1.1
    assert squared_error(best * x_hat, centred)[0] <= 0.9 * squared_error(x_hat, centred)[0]


def test_erratum_a_wide_code_copies_in_spite_of_dropout():
    S = np.sum(np.sqrt(VARIANCES))
    for k in (4, 16, 64):
        X, model = trained_with_dropout(k, 0.5)
        assert model.loss_ == pytest.approx(S**2 / (k + 4), rel=1e-9)
        # the clean loss is 4 τ², as each axis lacks τ
        assert -model.score(X) == pytest.approx(4 * (S / (k + 4)) ** 2, rel=1e-6)
    assert -model.score(X) < 0.004 * np.sum(VARIANCES)  # of the last, 64 units


# --- C, "Convolutional" ------------------------------------------------------------------------


@pytest.mark.parametrize(("kernel", "stride"), [(2, 2), (3, 2), (8, 4)])
def test_a_linear_convolutional_autoencoder_does_not_beat_pca_on_its_training_data(kernel, stride):
    X = load_digits().X[:100]
    n_code = (8 // stride) ** 2  # one channel
    model = Autoencoder(
        n_code, solver="lbfgs", tol=1e-4, random_state=0,
        architecture=Convolutional(
            (8, 8), (), kernel=kernel, stride=stride, circular=True, dense=False, bias=False
        ),
    ).fit(X)  # fmt: skip
    eigenvalues = np.linalg.eigvalsh(X.T @ X / len(X))  # without biases neither has a mean
    assert model.loss_ > 1.5 * eigenvalues[:-n_code].sum()


def constant_through(layers, weight):
    """What becomes of a constant, far from the borders."""
    y = np.ones((1, *layers[0].shape_in))
    for layer in layers:
        if layer.shapes:
            parameters = Parameters({"layer": layer})
            parameters.values[...] = weight
        y = layer(y)
    return y[0, 0, 8:-8]


def test_what_ripples_are_polyphase_sums():
    def transposed(weight, stride):
        k = len(weight)
        shape = (1, 11 * stride + k)
        layer = TransposedConvolution(1, shape, k, stride=stride, bias=False)
        return constant_through([layer], weight)

    assert set(transposed([1, 2, 3, 4, 5, 6], 3)) == {5, 7, 9}  # though 3 divides 6
    assert set(transposed([1, 3, 2], 2)) == {3}  # though 2 does not divide 3
    up = Upsample((1, 12), 3)
    layers = [up, Convolution(up.shape_out, 1, 4, bias=False)]
    assert set(constant_through(layers, [1, -2, 4, 8])) == {11}
