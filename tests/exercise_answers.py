"""Right answers to the exercises: by the package, or by a derivative of what is asked for.

None is the exercise's own formula: each is another road to the same numbers.
"""

from __future__ import annotations

from itertools import product
from types import SimpleNamespace

import numpy as np
from scipy.linalg import sqrtm
from scipy.optimize import minimize_scalar
from scipy.special import log_expit, logsumexp, rel_entr
from scipy.stats import multivariate_normal, ncx2, norm

from nanoae import denoising, losses, proximal, theory
from nanoae.network import (
    AveragePool,
    Convolution,
    Dense,
    Dropout,
    LayerNorm,
    MaxPool,
    Parameters,
)
from nanoae.network.activations import ACTIVATIONS
from nanoae.network.activations import softmax as masked_softmax
from nanoae.network.dense import draw
from nanoae.optimizers import SGD, Adam


def gradient(f, x):
    """Of a number by the complex step (1.6)."""
    z, result = np.array(x, complex), np.empty(np.shape(x))
    for place in np.ndindex(np.shape(x)):
        z[place] += 1e-30j
        result[place] = np.imag(f(z)) / 1e-30
        z[place] = np.asarray(x)[place]
    return result


def bound(layer, **values):
    """A layer with these parameters, and 0 for the others."""
    Parameters({"layer": layer}).values[...] = 0
    for name, value in values.items():
        getattr(layer, name)[...] = value
    return layer


def slope(f, inverse):
    """f'(a) from y = f(a)."""
    return lambda y: np.imag(f(inverse(y) + 1e-30j)) / 1e-30


def curvature(f, inverse):
    """f''(a) from y = f(a), by three points on a circle around a: exact to h⁶."""
    step = 1e-2 * np.exp(2j * np.pi * np.arange(8) / 8)

    def second(y):
        a = inverse(y)
        values = np.array([f(a + s) * np.exp(-4j * np.pi * i / 8) for i, s in enumerate(step)])
        return 2 * np.real(values.mean(axis=0)) / 1e-4

    return second


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def logit(y):
    return np.log(y) - np.log1p(-y)


# --- 1 ---


def dense(x, W, G):
    layer = bound(Dense(*W.shape), weight=W)
    layer.forward(x)
    return layer.backward(G), layer.grad_weight.copy(), layer.grad_bias.copy()


def zero_weight(x, G):
    return np.zeros((x.shape[1], G.shape[1]))


def two_layers(x, W1, W2, G):
    def loss(W1, W2):
        return np.sum(G * (np.tanh(x @ W1) @ W2))

    return gradient(lambda W: loss(W, W2), W1), gradient(lambda W: loss(W1, W), W2)


def polynomial_slope(f_minus2, f_minus1, f_plus1, f_plus2, h):
    """The slope, at the middle, of the cubic through four points."""
    at = np.vander(h * np.array([-2, -1, 1, 2]), increasing=True)
    return np.linalg.solve(at, np.array([f_minus2, f_minus1, f_plus1, f_plus2]))[1]


def initial_limit(n_in, n_out, gain):
    weight = np.empty((n_in, n_out))
    largest = SimpleNamespace(uniform=lambda low, high, size: np.full(size, high))
    draw(largest, weight, gain)
    return weight[0, 0]


# --- 2 and 3 ---


def linear_loss(Sigma, W_e, W_d):
    rest = np.eye(len(Sigma)) - W_d @ W_e
    return np.trace(rest @ Sigma @ rest.T)


def best_decoder(Sigma, W_e):
    """Where the gradient, linear in W_d, is 0."""
    W_d = np.zeros(W_e.T.shape)
    at_zero = gradient(lambda W: linear_loss(Sigma, W_e, W), W_d)
    curvatures = 2 * W_e @ Sigma @ W_e.T
    return -np.linalg.solve(curvatures, at_zero.T).T


def samples_of(eigenvalues):
    """Centred samples of this diagonal covariance."""
    half = np.sqrt(len(eigenvalues)) * np.diag(np.sqrt(eigenvalues))
    return np.vstack([half, -half])


def decayed(eigenvalues, k, decay):
    return theory.weight_decay_optimum(samples_of(eigenvalues), k, decay)


def aligned_loss(s, eigenvalues):
    kept = np.zeros(len(eigenvalues))
    kept[: len(s)] = np.sqrt(s)
    W = np.diag(kept)
    return linear_loss(np.diag(eigenvalues), W, W.T)


def strength_flow(s, eigenvalues):
    """From dW/dt = −∂L/∂W with W = diag(√s)."""
    W = np.diag(np.sqrt(s))
    move = -gradient(lambda W: linear_loss(np.diag(eigenvalues), W, W.T), W)
    return 2 * np.sqrt(s) * np.diag(move)


def half_time(s0, eigenvalues):
    return theory.logistic_half_time(eigenvalues, s0)


# --- 4 ---


def best_of_three(v, t):
    """Of the three candidates, the two zeros of the slope and the kink, the best."""
    candidates = np.array([np.zeros_like(v), np.maximum(v - t, 0), np.minimum(v + t, 0)])
    values = 0.5 * (candidates - v) ** 2 + t * np.abs(candidates)
    return np.take_along_axis(candidates, values.argmin(axis=0)[None], axis=0)[0]


def threshold_slopes(v, t):
    h = 1e-6  # no entry lies so near to its kink; the function is linear beside it
    by_v = (best_of_three(v + h, t) - best_of_three(v - h, t)) / (2 * h)
    by_t = (best_of_three(v, t + h) - best_of_three(v, t - h)) / (2 * h)
    return np.round(by_v), np.round(by_t)


def ista_codes(x, D, sparsity, start, steps=1):
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # wanted is one step, not the end
        return proximal.ista(x[None], D, sparsity, max_iter=steps, tol=0, codes=start[None])[0]


def fista_step(h, h_old, t):
    """The positive root of t'² − t' = t², and the line through both codes."""
    t_next = np.roots([1, -1, -(t**2)]).max()
    return t_next, h_old + (1 + (t - 1) / t_next) * (h - h_old)


def lasso_gap(x, D, h, sparsity):
    return theory.lasso_duality_gap(x[None], D, h[None], sparsity)[0]


def sparsity_loss(h, rho):
    mean = h.mean(axis=0)
    return np.sum(rel_entr(rho, mean) + rel_entr(1 - rho, 1 - mean))


# --- 5 ---


def kl(mu, log_var):
    return losses.gaussian_kl(mu, log_var)[0]


def vae_loss(mu, log_var, eps, G, beta):
    """A loss with ∂L/∂z = G, and the KL."""
    z = mu + np.exp(log_var / 2) * eps
    term = (mu**2 + np.exp(log_var) - 1 - log_var) / 2
    return np.sum(G * z) + beta * np.sum(term) / len(mu)


def score_gradients(f, log_var, eps):
    """f(z) times the gradients of log q(z), z held still."""
    z = np.exp(log_var / 2) * eps

    def weighted(mu, v):
        return np.sum(f[:, None] * -0.5 * (v + (z - mu) ** 2 * np.exp(-v)))

    return (
        gradient(lambda mu: weighted(mu, log_var), np.zeros_like(z)),
        gradient(lambda v: weighted(0, v), log_var),
    )


def gaussian_nll(x_hat, x, noise_variance):
    return -norm.logpdf(x, x_hat, noise_variance**0.5).sum() / len(x)


def nll_gradients(x_hat, x, noise_variance):
    _, by_x_hat, by_noise = losses.gaussian_nll(x_hat, x, np.log(noise_variance))
    return by_x_hat, by_noise


def best_noise(x_hat, x):
    by_log = minimize_scalar(
        lambda v: gaussian_nll(x_hat, x, np.exp(v)), bracket=(-3, 3), tol=1e-12
    )
    # a minimum is known to the root of the rounding of its value: one Newton step on the slope
    v, error = by_log.x, np.sum((x - x_hat) ** 2) / len(x)
    d = x.shape[1]
    for _ in range(4):
        v -= (d - error * np.exp(-v)) / (error * np.exp(-v))
    return np.exp(v)


def posterior(x, W, b, noise_variance):
    model = theory.LinearGaussian(W, b, noise_variance)
    mean, covariance = model.posterior(x)
    return mean, covariance


# --- 6 ---


def expected_error(x, W, b, mu, s2):
    """Over the 2 k points at ±√k s_j, of which every quadratic function has the same mean."""
    k = len(mu)
    points = [
        mu + sign * np.sqrt(k * s2[j]) * np.eye(k)[j] for j, sign in product(range(k), (-1, 1))
    ]
    return np.mean([np.sum((x - W @ z - b) ** 2) for z in points])


def optimum(eigenvalues, k, theta):
    return theory.linear_vae_optimum(eigenvalues, k, 1.0, theta)


def beta_vae_loss(D, R, n_features, noise_variance, beta):
    error = losses.gaussian_nll_of_error(D, n_features, np.log(noise_variance))[0]
    return error + beta * R


def pca_likelihood(eigenvalues, k):
    """−½ E xᵀC⁻¹x − ½ log |2πC| with C of ``k`` axes and the same noise in all others."""
    lam = np.array(eigenvalues)
    C = lam.copy()
    C[k:] = theory.probabilistic_pca(lam, k).noise_variance
    return np.mean(multivariate_normal(np.zeros(len(lam)), np.diag(C)).logpdf(samples_of(lam)))


def least_over_encoders(W, Sigma, theta):
    """D + 2θR at the best encoder, which (6.1a) and (6.1b) give."""
    V, s2 = theory.linear_vae_encoder(W, theta)
    rest = np.eye(len(W)) - W @ V
    D = np.trace(rest @ Sigma @ rest.T) + np.sum(W**2 * s2)
    R = 0.5 * (np.trace(V @ Sigma @ V.T) + np.sum(s2 - 1 - np.log(s2)))
    return D + 2 * theta * R


# --- 7 to 9 ---


def best_denoiser(x_tilde, X, scale):
    return theory.NoisyData(X, scale).denoiser(x_tilde)


def langevin(x, denoised, scale, step, noise):
    """Of `denoising.langevin`, with this noise for its draw."""
    rng = np.random.default_rng(0)
    drawn = np.random.default_rng(0).standard_normal(x.shape)
    moved = denoising.langevin(lambda _: denoised, x, scale, 1, step=step, random_state=rng)
    return moved + np.sqrt(step) * (noise - drawn)


def wiener_gains(eigenvalues, k, scale):
    d = len(eigenvalues)
    best = theory.linear_denoiser(np.diag(eigenvalues), scale**2 * np.eye(d), k)
    return np.diag(best.map)[:k]


def wiener(Sigma, noise):
    return theory.linear_denoiser(Sigma, noise, len(Sigma)).map


def clean_from_noisy(error, divergence, n_features, scale):
    """E‖r − x‖² with x̃ = x + σε: Stein's lemma makes σ E⟨r − x̃, ε⟩ of the divergence."""
    cross = scale**2 * (divergence - n_features)  # E⟨r(x̃) − x̃, x̃ − x⟩
    return error + 2 * cross + n_features * scale**2


def masks(k):
    return np.array(list(product((0, 1), repeat=k)))


def dropout_layer(h, mask, G, p):
    layer = Dropout(h.shape[1], p)
    rng = SimpleNamespace(random=lambda shape: np.where(mask, 1.0, 0.0))
    y = layer.forward(h, rng)
    return y, layer.backward(G)


def mean_over_masks(X, H, W_d, p):
    total = 0
    for mask in masks(W_d.shape[1]):
        weight = p ** np.sum(1 - mask) * (1 - p) ** np.sum(mask)
        total = total + weight * np.sum((X - (H * mask / (1 - p)) @ W_d.T) ** 2) / len(X)
    return total


def dropout_gradients(H, W_d, p):
    """What is there with dropout, less what is there without it."""
    X, n = np.ones((len(H), len(W_d))), len(H)

    def extra(H, W_d):
        return mean_over_masks(X, H, W_d, p) - np.sum((X - H @ W_d.T) ** 2) / n

    return gradient(lambda W: extra(H, W), W_d), n * gradient(lambda h: extra(h, W_d), H)


def cost_of_removal(H, W_d, p):
    """On samples for which this decoder is stationary: for their residual, Rᵀ H/n = ν W_d E h²."""
    pull = len(H) * p / (1 - p) * W_d * np.mean(H**2, axis=0)
    X = H @ W_d.T + np.linalg.lstsq(H.T, pull.T, rcond=None)[0]
    losses_without = [
        np.sum((X - (H * (np.arange(H.shape[1]) != j)) @ W_d.T) ** 2) / len(H)
        for j in range(H.shape[1])
    ]
    return np.array(losses_without) - np.sum((X - H @ W_d.T) ** 2) / len(H)


def dropout_loss_of_gains(eigenvalues, m, k, nu):
    """A minimum over the gains of m axes of Σ λ(1 − g)² + ν/k (Σ s g)²: a linear system."""
    lam = eigenvalues[:m]
    s = np.sqrt(lam)
    g = np.linalg.solve(np.diag(lam) + nu / k * np.outer(s, s), lam)
    loss = np.sum(lam * (1 - g) ** 2) + nu / k * np.sum(s * g) ** 2 + eigenvalues[m:].sum()
    return g, loss


def beats_pca_from(eigenvalues, gains):
    """Where the two errors, straight lines in the noise, meet."""
    lam, g = eigenvalues[: len(gains)], gains

    def error(gain, noise):
        return np.sum(lam * (1 - gain) ** 2 + noise * gain**2)

    at_0 = error(g, 0) - error(np.ones_like(g), 0)
    at_1 = error(g, 1) - error(np.ones_like(g), 1)
    return at_0 / (at_0 - at_1)


def jacobian_penalty(h, W):
    J = gradient_rows(lambda a: sigmoid(a), logit(h))[:, :, None] * W
    return np.mean(np.sum(J**2, axis=(1, 2)))


def gradient_rows(f, a):
    return np.imag(f(a + 1e-30j)) / 1e-30


def penalty_gradients(x, W, slope, curvature):
    """Of Σ f'(a)² ‖w‖² where a moves with x: f'(a + δ) = f' + f'' δ is all that matters."""

    def penalty(a, W):
        return np.sum((slope + curvature * a) ** 2 * np.sum(W**2, axis=1))

    by_a = gradient(lambda a: penalty(a, W), np.zeros(len(W)))
    return by_a, gradient(lambda M: penalty((M - W) @ x, M), W)


def small_noise(residual, jacobian, laplacian, scale):
    """The mean over ±√d σ eᵢ of r = r₀ + J δ + ½ δᵢ² Δr, without its term of the fourth order."""
    d = len(residual)
    second = laplacian / d  # each axis' share of the Laplacian
    total = 0
    for axis, sign in product(range(d), (-1, 1)):
        step = sign * np.sqrt(d) * scale * np.eye(d)[axis]
        moved = residual + jacobian @ step + 0.5 * d * scale**2 * second
        total += moved @ moved / (2 * d)
    return total - np.sum((0.5 * scale**2 * laplacian) ** 2)


def unit_norm_threshold(eigenvalues, m, k, contraction):
    """Where m axes are in use and no more: Σ (1 − θ/λᵢ) = k θ/λ_c."""
    lam = eigenvalues[:m]
    # a straight line in θ
    left = [np.sum(1 - theta / lam) - k * theta / contraction for theta in (0.0, 1.0)]
    return left[0] / (left[0] - left[1])


# --- 10 and 11 ---


def convolution(x, w, stride):
    layer = Convolution((1, len(x)), 1, len(w), stride=stride, bias=False)
    return bound(layer, weight=w)


def convolve(x, w, stride):
    return convolution(x, w, stride)(x[None, None])[0, 0]


def kernel_gradient(x, w, g, stride):
    layer = convolution(x, w, stride)
    layer.forward(x[None, None])
    layer.backward(g[None, None])
    return layer.grad_weight[0, 0].copy()


def image_gradient(x, w, g, stride):
    layer = convolution(x, w, stride)
    layer.forward(x[None, None])
    return layer.backward(g[None, None])[0, 0]


def n_windows(N, k, s, p):
    return len(range(0, N + 2 * p - k + 1, s))


def pooled(layer, x, g):
    layer.forward(x[None, None])
    return layer.backward(g[None, None])[0, 0]


def through_time(h, U, G):
    """δ is the gradient by the biases of each step, if every step has biases of its own."""

    def loss(b):
        state, total = np.zeros(h.shape[1]), 0
        before = np.vstack([0 * h[:1], h[:-1]])
        for t, own in enumerate(np.arctanh(h) - before @ U.T):
            state = np.tanh(own + b[t] + U @ state)
            total = total + G[t] @ state
        return total

    return gradient(loss, np.zeros_like(h))


def shared_gradients(delta, x, h):
    before = np.vstack([np.zeros((1, h.shape[1])), h[:-1]])
    k, d = delta.shape[1], x.shape[1]

    def loss(W, U, b):
        return np.sum(delta * (x @ W.T + before @ U.T + b))

    W, U, b = np.zeros((k, d)), np.zeros((k, k)), np.zeros(k)
    return (
        gradient(lambda W: loss(W, U, b), W),
        gradient(lambda U: loss(W, U, b), U),
        gradient(lambda b: loss(W, U, b), b),
    )


def gate_gradients(g, h_before, z, c):
    def loss(a_c, a_z):
        gate = sigmoid(a_z)
        return np.sum(g * (gate * h_before + (1 - gate) * np.tanh(a_c)))

    a_c, a_z = np.arctanh(c), logit(z)
    return gradient(lambda a: loss(a, a_z), a_c), gradient(lambda a: loss(a_c, a), a_z)


def padded_loss(step_losses, lengths):
    return sum(row[:n].sum() for row, n in zip(step_losses, lengths, strict=True)) / len(lengths)


def padded_noise(errors, lengths, n_features):
    rows = [row[:n] for row, n in zip(errors, lengths, strict=True)]
    return np.mean(np.concatenate(rows)) / n_features


def complex_softmax(S):
    e = np.exp(S)
    return e / e.sum(axis=-1, keepdims=True)


def layer_norm_gradient(x, q):
    layer = bound(LayerNorm(x.shape[1], epsilon=0.0), gain=1.0)
    layer.forward(x)
    return layer.backward(q)


def momentum_step(theta, velocity, g, learning_rate, momentum):
    optimizer, theta = SGD(learning_rate, momentum), theta.copy()
    optimizer.restore({"velocity": velocity.copy()})
    optimizer.step(theta, g.copy())
    return optimizer.state()["velocity"], theta


def adam_step(m, v, g, t, learning_rate, beta_1, beta_2, epsilon):
    optimizer, theta = Adam(learning_rate, beta_1, beta_2, epsilon), np.zeros_like(m)
    # it keeps m/(1 − β₁) and v/(1 − β₂)
    optimizer.restore({"m": m / (1 - beta_1), "v": v / (1 - beta_2), "t": t - 1})
    optimizer.step(theta, g.copy())
    kept = optimizer.state()
    return kept["m"] * (1 - beta_1), kept["v"] * (1 - beta_2), theta


def smallest_threshold(scores, alpha):
    """Of all scores, the least that a new one exceeds with a chance of no more than α."""
    ranks = {t: 1 - np.sum(scores <= t) / (len(scores) + 1) for t in scores}
    return min(t for t, chance in ranks.items() if chance <= alpha + 1e-12)


def pca_surprise(h, error, eigenvalues, noise_variance, n_features):
    d, k = n_features, len(h)
    variances = np.append(eigenvalues, np.full(d - k, noise_variance))
    x = np.append(h, np.full(d - k, (error / (d - k)) ** 0.5))
    return -2 * norm.logpdf(x, 0, np.sqrt(variances)).sum()


def mismatch(eigenvalues, k, trained, used):
    return float(theory.mismatch_loss(eigenvalues, trained, used, k))


ANSWERS = {
    "1.1a": lambda x, G: dense(x, zero_weight(x, G), G)[1],
    "1.1b": lambda G: dense(G, np.eye(G.shape[1]), G)[2],
    "1.1c": lambda W, G: dense(G, W, G)[0],
    "1.2a": slope(np.tanh, np.arctanh),
    "1.2b": slope(sigmoid, logit),
    "1.2c": ACTIVATIONS["relu"].derivative,
    "1.2d": slope(lambda a: np.log(1 + np.exp(a)), lambda y: np.log(np.expm1(y))),
    "1.2e": two_layers,
    "1.3": lambda x_hat, x: gradient(lambda y: np.sum((y - x) ** 2) / len(x), x_hat),
    "1.4a": lambda a, x: -x * log_expit(a) - (1 - x) * log_expit(-a),
    "1.4b": lambda a, x: losses.bernoulli_nll(a, x)[1],
    "1.5c": polynomial_slope,
    "1.9": lambda W, b, decay: (gradient(lambda W: decay * np.sum(W**2), W), 0 * b),
    "1.10c": initial_limit,
    "1.12": momentum_step,
    "1.14": adam_step,
    "2.1": linear_loss,
    "2.1a": lambda S, W_e, W_d: gradient(lambda W: linear_loss(S, W_e, W), W_d),
    "2.1b": lambda S, W_e, W_d: gradient(lambda W: linear_loss(S, W, W_d), W_e),
    "2.2": lambda W_d: np.linalg.lstsq(W_d, np.eye(len(W_d)), rcond=None)[0],
    "2.3": lambda X, k: theory.linear_autoencoder_optimum(X, k)[0],
    "2.7": best_decoder,
    "2.9a": lambda lam, k, decay: decayed(lam, k, decay).singular_values,
    "2.9c": lambda lam, k, decay: decayed(lam, k, decay).loss,
    "3.1": lambda W, S: gradient(lambda W: linear_loss(S, W, W.T), W),
    "3.1b": lambda W, S: gradient(lambda V: linear_loss(S, V, W.T), W),
    "3.1c": lambda W, S: gradient(lambda V: linear_loss(S, W, V.T), W),
    "3.3": strength_flow,
    "3.3a": lambda s0, lam, t: theory.logistic_mode_strength(lam, s0, t),
    "3.3b": half_time,
    "3.3c": aligned_loss,
    "4.1": best_of_three,
    "4.1d": threshold_slopes,
    "4.2": lambda X, D, sparsity: theory.orthonormal_code(X, D, sparsity),
    "4.3": lambda x, D, h: -gradient(lambda h: np.sum((x - D @ h) ** 2), h),
    "4.3a": lambda x, D: float(np.squeeze(theory.lasso_max_sparsity(x[None], D))),
    "4.4b": fista_step,
    "4.4c": lasso_gap,
    "4.6": lambda x, D, sparsity: ista_codes(x, D, sparsity, np.zeros(D.shape[1])),
    "4.6a": lambda x, D, h, sparsity: ista_codes(x, D, sparsity, h),
    "4.8": sparsity_loss,
    "4.8a": lambda h, rho: losses.kl_sparsity(h, rho)[1],
    "5.1d": posterior,
    "5.2": kl,
    "5.2a": lambda mu, v: losses.gaussian_kl(mu, v)[1:],
    "5.2e": lambda *gaussians: np.squeeze(theory.gaussian_kl_between(*gaussians)),
    "5.3": lambda mu, v, eps: norm.ppf(norm.cdf(eps), mu, np.exp(v / 2)),
    "5.3a": score_gradients,
    "5.4": gaussian_nll,
    "5.4a": nll_gradients,
    "5.4c": best_noise,
    "5.5": lambda log_w: logsumexp(log_w, axis=1, b=1 / log_w.shape[1]),
    "5.6a": lambda mu, v, *rest: gradient(lambda m: vae_loss(m, v, *rest), mu),
    "5.6b": lambda mu, v, *rest: gradient(lambda w: vae_loss(mu, w, *rest), v),
    "6.1a": lambda W, theta: theory.linear_vae_encoder(W, theta)[1],
    "6.1b": lambda W, theta: theory.linear_vae_encoder(W, theta)[0],
    "6.1c": least_over_encoders,
    "6.3": lambda lam, k, theta: optimum(lam, k, theta).rate,
    "6.3a": lambda lam, k, theta: optimum(lam, k, theta).distortion,
    "6.4": lambda lam, k: theory.learned_noise_variance(lam, k, 1.0),
    "6.4a": pca_likelihood,
    "6.7": expected_error,
    "6.8": beta_vae_loss,
    "7.2": best_denoiser,
    "7.3": lambda x, score, scale: x + gradient(lambda y: np.sum(y * score), x) * scale * scale,
    "7.5b": clean_from_noisy,
    "7.6": theory.two_points_denoiser,
    "7.7a": theory.replacement_noise,
    "7.8": wiener,
    "7.8a": wiener_gains,
    "7.10": mismatch,
    "7.13": langevin,
    "8.1": mean_over_masks,
    "8.1a": dropout_gradients,
    "8.2a": lambda *args: dropout_loss_of_gains(*args)[1],
    "8.2b": lambda *args: dropout_loss_of_gains(*args)[0],
    "8.3": cost_of_removal,
    "8.5": dropout_layer,
    "8.6a": beats_pca_from,
    "9.1": jacobian_penalty,
    "9.1a": penalty_gradients,
    "9.1b": lambda t, s: (curvature(np.tanh, np.arctanh)(t), curvature(sigmoid, logit)(s)),
    "9.3": lambda g, W, V: np.sum((V @ (g[:, None] * W)) ** 2),
    "9.4": lambda probes, J: np.mean([np.linalg.norm(u @ J) ** 2 for u in probes]),
    "9.4a": lambda J: theory.probe_variance(J),
    "9.6": lambda lam, k, c: theory.tied_contractive_optimum(lam, k, c).gains[:k],
    "9.7": unit_norm_threshold,
    "9.11a": small_noise,
    "10.1": convolve,
    "10.1a": n_windows,
    "10.1b": kernel_gradient,
    "10.1c": image_gradient,
    "10.5": lambda k, s: theory.overlap_counts(k, s, np.arange(s)),
    "10.7": lambda kernels, strides: theory.receptive_field(kernels.tolist(), strides.tolist()),
    "10.8": lambda x, g, k: pooled(MaxPool((1, len(x)), k), x, g),
    "10.8a": lambda g, k: pooled(AveragePool((1, len(g) * k), k), np.repeat(g, k), g),
    "11.1": through_time,
    "11.1a": shared_gradients,
    "11.2": gate_gradients,
    "11.3b": padded_loss,
    "11.3c": padded_noise,
    "11.4": lambda a, x: losses.categorical_nll_per_sample(a[:, None], x[:, None].astype(float)),
    "11.4a": lambda a, x: (
        len(a) * losses.categorical_nll(a[:, None], x[:, None].astype(float))[1][:, 0]
    ),
    "11.6": lambda P, B: gradient(lambda S: np.sum(B * complex_softmax(S)), np.log(P)),
    "11.6a": lambda S, Q, K: (
        gradient(lambda Q: np.sum(S * (Q @ K.T)) / K.shape[1] ** 0.5, Q),
        gradient(lambda K: np.sum(S * (Q @ K.T)) / K.shape[1] ** 0.5, K),
    ),
    "11.6c": masked_softmax,
    "11.8": layer_norm_gradient,
    "12.1b": lambda S: np.array(
        [
            S[j, j] - S[j, r] @ np.linalg.solve(S[np.ix_(r, r)], S[r, j])
            for j in range(len(S))
            for r in [np.delete(np.arange(len(S)), j)]
        ]
    ),
    "12.1": lambda S, v, m, x: (np.linalg.pinv(S[np.ix_(v, v)]) @ S[np.ix_(v, m)]).T @ x,
    "12.8": lambda x_hat, x, missing: losses.masked_squared_error(x_hat, x, missing)[1],
    "13.1": lambda p, q: (
        gradient(lambda a: np.mean(np.log(1 + np.exp(-a))), p),
        gradient(lambda a: np.mean(np.log(1 + np.exp(a))), q),
    ),
    "13.1b": lambda q: gradient(lambda a: np.mean(np.log(1 + np.exp(-a))), q),
    "13.2a": lambda p, q: -log_expit(p).mean() - log_expit(-q).mean(),
    "13.7e": lambda m, S: m @ m + np.sum((sqrtm(S) - np.eye(len(S))) ** 2),
    "14.2": lambda w, mu: (
        np.sum(w * ncx2.mean(1, mu**2 / w)),
        np.sum(w**2 * ncx2.var(1, mu**2 / w)),
    ),
    "14.3b": smallest_threshold,
    "14.4": pca_surprise,
}
