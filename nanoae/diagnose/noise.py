"""The draw: which σ is it scaled by, and is ε what it should be?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from nanoae.arrays import Array
from nanoae.diagnose.batches import Batch
from nanoae.diagnose.mistakes import (
    COLUMN_NOISE,
    CONSTANT_NOISE,
    NO_NOISE,
    ROW_NOISE,
    SCALED_NOISE,
    SIGMAS,
    STEP_NOISE,
    UNIFORM_NOISE,
    Hypothesis,
    Sigma,
)
from nanoae.diagnose.report import Finding

LIMIT = 6.0  # of a statistic, in units in which chance exceeds it once in 10⁷ draws or less
CHANCE = 1e-8
FEW = 30  # numbers below which nothing is said about a distribution
EQUAL = 2e-3  # what two ε recovered from float32 codes may differ by


@dataclass(frozen=True)
class _Draws:
    """All rows below each other, and where σ is large enough beside z to be seen in z − μ."""

    e: Array
    log_var: Array
    resolution: Array  # of e

    def eps(self, sigma: Sigma) -> Array:
        """(z − μ)/σ; NaN where z has not the digits for it."""
        with np.errstate(all="ignore"):
            value = sigma.value(self.log_var)
            return np.where(np.abs(value) > 1e3 * self.resolution, self.e / value, np.nan)

    def log_likelihood(self, sigma: Sigma) -> float:
        """Of z under N(μ, σ²), up to a constant."""
        with np.errstate(over="ignore"):
            variance = sigma.value(self.log_var) ** 2 + self.resolution**2 + 1e-300
        return float(-0.5 * np.sum(self.e**2 / variance + np.log(variance)))


def diagnose_noise(batches: Sequence[Batch], eps: float) -> tuple[list[Finding], str]:
    """What z is made of, from the ε that was used or, without it, from the distribution.

    Parameters
    ----------
    batches : sequence of dict
    eps : float
        The rounding of the arrays.

    Returns
    -------
    findings : list of Finding
        Nothing is said about a distribution if there are fewer than `FEW` numbers, or if σ is
        lost in the rounding of z.
    reads : str
        What σ takes the array log_var for; empty if that was not found.

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae.diagnose.noise import diagnose_noise
    >>> rng = np.random.default_rng(0)
    >>> mu, log_var, eps = rng.normal(size=(3, 100, 4))
    >>> batch = {"mu": mu, "log_var": log_var, "z": mu + np.exp(log_var) * eps}
    >>> [finding.words for finding in diagnose_noise([batch], 1e-16)[0]]
    ['σ = exp(log_var)', 'ε is standard normal']
    """
    z, mu, log_var = (np.vstack([b[key] for b in batches]) for key in ("z", "mu", "log_var"))
    draws = _Draws(z - mu, log_var, eps * (np.abs(z) + np.abs(mu)))
    seen = np.isfinite(draws.eps(SIGMAS[0]))
    if np.sum(seen) < min(FEW, seen.size):
        return [], ""  # z has no digits for so small a σ
    if np.all(np.abs(draws.e) <= 8 * draws.resolution):
        return [_finding(NO_NOISE, draws.e.size)], ""
    if all("eps" in batch for batch in batches):
        return _with_eps(batches, draws, eps)
    return _without_eps(batches, draws)


def _finding(hypothesis: Hypothesis, count: int, words: str = "", about: str = "noise") -> Finding:
    names = (hypothesis.name,) if hypothesis.name and hypothesis.verdict == "wrong" else ()
    words = words or hypothesis.words
    return Finding(about, hypothesis.verdict, words, hypothesis.consequence, names, count)


def _sigma_finding(sigma: Sigma, count: int) -> Finding:
    return _finding(sigma, count, f"σ = {sigma.words}", "σ")


def _with_eps(
    batches: Sequence[Batch], draws: _Draws, rounding: float
) -> tuple[list[Finding], str]:
    eps, count = np.vstack([batch["eps"] for batch in batches]), draws.e.size
    findings, reads = [], ""

    def fits(scaled: Array) -> bool:
        # the exponential loses as many digits as its argument has before the point
        parts = np.abs(scaled) * (1 + np.abs(draws.log_var))
        return bool(np.all(np.abs(draws.e - scaled) <= 32 * (draws.resolution + rounding * parts)))

    with np.errstate(all="ignore"):
        found = next((s for s in SIGMAS if fits(s.value(draws.log_var) * eps)), None)
    unit = np.exp(draws.log_var / 2) * eps
    factor = float(np.sum(unit * draws.e) / np.sum(unit**2)) if np.any(unit) else 0.0
    if found is not None:
        findings, reads = [_sigma_finding(found, count)], found.reads
    elif fits(factor * unit):
        words = f"z − μ is {factor:.4g} exp(log_var/2) ε"
        findings = [_finding(SCALED_NOISE, count, words, "σ")]
    else:
        says = "this ε is not the one that was used, or z is no Gaussian draw"
        words = "z is not μ + σ ε for any σ of the table"
        findings = [Finding("σ", "not recognised", words, says, (), count)]
    return findings + _distribution(eps, [batch["eps"] for batch in batches], batches), reads


def _without_eps(batches: Sequence[Batch], draws: _Draws) -> tuple[list[Finding], str]:
    count = draws.e.size
    ends = np.cumsum([len(batch["z"]) for batch in batches])[:-1]
    for sigma in SIGMAS:
        u = draws.eps(sigma)
        if np.isnan(u).all():
            continue
        structure = _structure(u, np.split(u, ends), batches)
        if structure is not None and np.all(np.abs(u[np.isfinite(u)]) < 8):
            return [_sigma_finding(sigma, count), structure], sigma.reads
    if count < FEW:
        return [], ""
    likelihoods = np.array([draws.log_likelihood(sigma) for sigma in SIGMAS])
    # a wrong one beats the right one by so much with a probability below e⁻²⁰
    usual_will_do = likelihoods[0] > likelihoods.max() - 20
    sigma = SIGMAS[0 if usual_will_do else int(np.argmax(likelihoods))]
    u = draws.eps(sigma)
    if _surprise(u, draws.log_var) < LIMIT:
        chosen = sigma.value(draws.log_var)
        close = [
            f"σ = {other.words}"
            for other, likelihood in zip(SIGMAS, likelihoods, strict=True)
            if likelihood > likelihoods.max() - 5
            and other.verdict == "wrong"
            and not np.allclose(other.value(draws.log_var), chosen)
        ]
        found = replace(_sigma_finding(sigma, count), also=tuple(close[:3]))
        findings = [found] + _distribution(u, np.split(u, ends), batches)
        return findings, sigma.reads
    return [_other_noise(draws, count)], ""


def _other_noise(draws: _Draws, count: int) -> Finding:
    """No σ of the table makes it standard normal."""
    u = draws.eps(SIGMAS[0])
    u = u[np.isfinite(u)]
    if u.min() >= -EQUAL and u.max() <= 1 + EQUAL:
        return _finding(UNIFORM_NOISE, count)
    scale = float(np.sqrt(np.mean(u**2)))
    scaled = Sigma(words="", value=lambda v: scale * np.exp(v / 2))
    if _surprise(draws.eps(scaled), draws.log_var) < LIMIT:
        words = f"σ = {scale:.4g} exp(log_var/2)"
        return _finding(SCALED_NOISE, count, words, "σ")
    words = "z is no μ + σ ε with standard normal ε for any σ of the table"
    says = f"with σ = exp(log_var/2), ε has the mean {u.mean():.3g} and the variance {u.var():.3g}"
    return Finding("noise", "wrong", words, says, (), count)


def _surprise(u: Array, log_var: Array) -> float:
    """The larger of two statistics: is u standard normal, and does |u| know of log_var?

    2 √N times the Kolmogorov–Smirnov distance is above 6 with the probability 2 e⁻¹⁸; √N times a
    rank correlation is nearly a standard normal number.
    """
    from scipy.stats import kstest, spearmanr

    seen = np.isfinite(u)
    u, v = u[seen], log_var[seen]
    if len(u) < FEW:
        return np.inf
    distance = float(kstest(u, "norm").statistic) * 2 * len(u) ** 0.5
    if np.ptp(v) == 0 or np.ptp(np.abs(u)) == 0:
        return distance
    return max(distance, abs(float(spearmanr(np.abs(u), v)[0])) * len(u) ** 0.5)


def _structure(u: Array, parts: list[Array], batches: Sequence[Batch]) -> Finding | None:
    """ε that repeats itself: everywhere, over rows, dimensions or batches."""
    if np.nanmean(u**2) < (10 * EQUAL) ** 2:
        return None  # divided by a σ that is much too large, any ε are near 0, and so equal
    count = u.size

    def equal(a: Array) -> bool:
        # independent ε are so close once in a thousand times: three times at least is no chance
        return bool(a.size > 2 and np.all(np.abs(a) < EQUAL))

    rows = np.vstack([part[1:] - part[:1] for part in parts])
    if equal(u.ravel()[1:] - u[0, 0]):
        return _finding(CONSTANT_NOISE, count, f"ε is {u[0, 0]:.4g} everywhere")
    if equal(rows) and min(map(len, parts)) > 1:
        return _finding(ROW_NOISE, count)
    if equal(u[:, 1:] - u[:, :1]):
        return _finding(COLUMN_NOISE, count)
    for i in range(1, len(parts)):
        same_pass = np.array_equal(batches[0]["mu"], batches[i]["mu"])  # one batch, twice
        if parts[0].shape == parts[i].shape and not same_pass and equal(parts[0] - parts[i]):
            return _finding(STEP_NOISE, count)
    return None


def _distribution(u: Array, parts: list[Array], batches: Sequence[Batch]) -> list[Finding]:
    """Is ε standard normal, and independent from row to row and from dimension to dimension?"""
    from scipy.stats import chi2, kstest

    structure = _structure(u, parts, batches)
    if structure is not None:
        return [structure]
    seen = u[np.isfinite(u)]
    count = len(seen)
    if count < FEW:
        return []
    squares = np.sum(seen**2)
    is_odd = (
        abs(seen.mean()) * count**0.5 > LIMIT
        or min(chi2.cdf(squares, count), chi2.sf(squares, count)) < CHANCE
        or kstest(seen, "norm").statistic * 2 * count**0.5 > LIMIT
    )
    if is_odd:
        if seen.min() >= 0 and seen.max() <= 1:
            return [_finding(UNIFORM_NOISE, count)]
        words = f"ε is not standard normal: mean {seen.mean():.3g}, variance {seen.var():.3g}"
        return [Finding("noise", "wrong", words, "the KL is that of another q", (), count)]
    rows = u[np.isfinite(u).all(axis=1)]
    if len(rows) > LIMIT**2:  # of fewer no correlation, at most 1, is too large for chance
        # a sample correlation of independent normal numbers exceeds c with a probability below
        # 2 exp(−n c²/2); there are k²/2 of them
        limit = ((LIMIT**2 + 4 * np.log(rows.shape[1])) / len(rows)) ** 0.5
        with np.errstate(all="ignore"):  # a dimension whose noise is constant has none
            correlation = np.corrcoef(rows.T) - np.eye(rows.shape[1])
        if np.abs(correlation).max() > limit:
            words = f"ε of two dimensions are correlated by {np.abs(correlation).max():.2g}"
            says = "q has no independent dimensions, and its KL is another"
            return [Finding("noise", "wrong", words, says, (), count)]
    return [Finding("noise", "right", "ε is standard normal", numbers=count)]
