"""The two parts of the loss: which formula each is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from nanoae.arrays import Array
from nanoae.diagnose.batches import Batch
from nanoae.diagnose.mistakes import (
    KL_FACTORS,
    KL_REDUCTIONS,
    KL_TERMS,
    LARGE_PIXELS,
    ONE_SAMPLE,
    RECONSTRUCTION_FACTORS,
    RECONSTRUCTION_REDUCTIONS,
    SOME_DIMENSIONS,
    SQUASHED,
    Hypothesis,
    Scale,
    Size,
    Term,
    Verdict,
    reconstruction_terms,
    right_kl,
    scales,
)
from nanoae.diagnose.report import VERDICTS, Finding
from nanoae.diagnose.search import (
    TELLING,
    Match,
    Numbers,
    candidates,
    find_matches,
    least_squares,
    near_ties,
)


@dataclass(frozen=True)
class Setting:
    """What holds for all batches.

    Examples
    --------
    >>> from nanoae.diagnose.parts import Setting
    >>> setting = Setting(k=2, d=9, beta=1.0, noise_variance=1.0, free_bits=None, rtol=1e-9)
    >>> setting.size(n=7).n
    7
    """

    k: int
    d: int
    beta: float
    noise_variance: float
    free_bits: float | None
    rtol: float

    def size(self, n: Array | float, k: Array | float | None = None) -> Size:
        """What scales depend on, with ``n`` samples behind each number."""
        k = float(self.k) if k is None else k
        return Size(n, k, float(self.d), self.beta, self.noise_variance)


# === KL ======================================================================================


def diagnose_kl(batches: Sequence[Batch], setting: Setting) -> tuple[Finding, Match | None]:
    """Which formula gives the numbers reported as KL.

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae.diagnose.parts import Setting, diagnose_kl
    >>> batch = {"mu": np.array([[1.0, 2.0, 0.5]]), "log_var": np.zeros((1, 3))}
    >>> batch["kl"] = np.array([2.625])
    >>> finding, match = diagnose_kl([batch], Setting(3, 9, 1.0, 1.0, None, 1e-9))
    >>> finding.verdict, finding.words
    ('right', 'right, mean over the batch')
    """
    numbers = Numbers.read(batches, "kl", "mu")
    size = setting.size(numbers.n, numbers.k)
    rtol = setting.rtol
    kl = [right_kl(batch["mu"], batch["log_var"]) for batch in batches]
    terms = candidates(batches, KL_TERMS, "mu", "log_var")
    total = numbers.sums(kl)
    rounding = rtol * (total + numbers.sums([np.ones_like(t) for t in kl]))
    if np.all((TELLING * total < rounding) & (np.abs(numbers.values) < rounding)):
        words = "0 to rounding, so that neither its formula nor its scale can be told"
        says = "the codes carry nothing: hand over an earlier step"
        return Finding("KL", "not recognised", words, says, (), len(numbers.values)), None
    of_kl = scales(KL_REDUCTIONS, KL_FACTORS, size)
    conventions = [s for s in of_kl if all(part.verdict != "wrong" for part in s.parts)]
    matches = find_matches(numbers, terms, of_kl, size, rtol)
    if not (matches and matches[0].named) and all("z" in batch for batch in batches):
        matches = find_matches(numbers, [_one_draw(batches)], conventions, size, rtol) or matches
    if matches and matches[0].named:
        return _finding("KL", matches, numbers, setting), matches[0]
    some = _some_of_it(numbers, kl, rtol)
    if some is not None:
        return some, None
    free, hint = _free_bits(numbers, kl, conventions, size, setting)
    if free is not None:
        return _finding("KL", [free], numbers, setting), free
    if matches:
        return _finding("KL", matches, numbers, setting), matches[0]
    other = _coefficients(numbers, batches, rtol)
    if other is not None:
        return other, None
    hint = hint or (
        "hand over one number a sample, or the function itself; of free bits say how many, of "
        "rounded numbers their rtol"
    )
    words = "no formula of the table gives these numbers"
    return Finding("KL", "not recognised", words, hint, numbers=len(numbers.values)), None


def _one_draw(batches: Sequence[Batch]) -> tuple[Term, list[Array], list[Array]]:
    """log q(z|x) − log p(z) at the one z that was drawn (5.2d)."""
    values, sizes = [], []
    for batch in batches:
        z, mu, log_var = batch["z"], batch["mu"], batch["log_var"]
        value = (z**2 - (z - mu) ** 2 * np.exp(-log_var) - log_var) / 2
        values.append(value)
        sizes.append(np.abs(value) + 1 + z**2)
    term = Term(
        words="log q(z|x) − log p(z) at one draw", verdict="convention", value=right_kl,
        consequence="an unbiased estimate with noise that the formula does not have",
    )  # fmt: skip
    return term, values, sizes


FREE_BITS: dict[str, Callable[[Array, float], float]] = {
    "a latent dimension": lambda kl, least: float(np.maximum(kl.mean(axis=0), least).sum()),
    "a sample and latent dimension": lambda kl, least: float(np.maximum(kl, least).sum(1).mean()),
    "a sample": lambda kl, least: float(np.maximum(kl.sum(axis=1), least).mean()),
    "a batch": lambda kl, least: max(float(kl.sum(axis=1).mean()), least),
}


def _free_bits(
    numbers: Numbers, kl: Sequence[Array], conventions: Sequence[Scale], size: Size,
    setting: Setting,
) -> tuple[Match | None, str]:  # fmt: skip
    """The right KL with a floor: one that was said, or solved on one batch and held on the others.

    Also what to say if one batch alone would give a floor that nothing can confirm.
    """
    if "element" in numbers.each or (numbers.per_sample and setting.free_bits is None):
        return None, ""
    parts = [
        part
        for each, t in zip(numbers.each, kl, strict=True)
        for part in ([t] if each == "batch" else np.split(t, len(t)))
    ]
    hint = ""
    for (where, floor), scale in product(FREE_BITS.items(), conventions):
        target = numbers.values / (scale.value(size) * size.n)
        if setting.free_bits is not None:
            least: float | None = setting.free_bits
        else:
            plain = np.array([floor(t, 0.0) for t in parts])
            i = int(np.argmax(target - plain))
            least = _solve(floor, parts[i], float(target[i])) if target[i] > plain[i] else None
        if least is None:
            continue
        floored = np.array([floor(t, least) for t in parts])
        error = float(np.max(np.abs(target - floored) / (floored + numbers.k / 4)))
        if error > setting.rtol * (1 if setting.free_bits is not None else 5):
            continue
        if setting.free_bits is None and len(parts) > 1 and np.ptp(floored) < setting.rtol:
            continue  # all is floored: any constant would do
        if setting.free_bits is None and len(parts) == 1:
            hint = hint or (
                f"free bits, such as {least:.4g} nats {where}, would give it, which one number "
                "cannot confirm: pass free_bits=, or more batches"
            )
            continue
        term = Term(
            words=f"right, with free bits of {least:.4g} nats {where}", verdict="convention",
            consequence="no ELBO where they bind: report the KL itself beside it", value=right_kl,
        )  # fmt: skip
        return Match(term, scale, error, per_sample=numbers.per_sample), ""
    return None, hint


def _solve(floor: Callable[[Array, float], float], kl: Array, target: float) -> float:
    """The floor at which this batch gives the target, by halving: it grows with the floor."""
    low, high = 0.0, target + 1
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if floor(kl, middle) < target else (low, middle)
    return high


def _some_of_it(numbers: Numbers, kl: Sequence[Array], rtol: float) -> Finding | None:
    """The right KL of some dimensions, or of one sample."""
    if any(each != "batch" for each in numbers.each):
        return None
    k = min(t.shape[1] for t in kl)
    tries: list[tuple[Hypothesis, str, Callable[[Array], Array]]] = []
    for j in range(1, k):
        tries += [
            (SOME_DIMENSIONS, f"only the first {j} latent dimensions", _columns(0, j)),
            (SOME_DIMENSIONS, f"only the last {j} latent dimensions", _columns(-j, None)),
        ]
    tries += [
        (SOME_DIMENSIONS, "only the first half of the dimensions", lambda t: _half(t, True)),
        (SOME_DIMENSIONS, "only the last half of the dimensions", lambda t: _half(t, False)),
        (ONE_SAMPLE, "only the first sample of the batch", lambda t: t[:1]),
        (ONE_SAMPLE, "only the last sample of the batch", lambda t: t[-1:]),
    ]
    for hypothesis, words, part in tries:
        parts = [part(t) for t in kl]
        size = np.array([np.abs(t).sum() + t.size / 4 for t in parts])
        for how, divisor in (
            ("mean", np.array([float(len(t)) for t in parts])), ("sum", np.ones(len(kl))),
        ):  # fmt: skip
            right = np.array([t.sum() for t in parts])
            error = np.max(np.abs(numbers.values * divisor - right) / size)
            if error < rtol and np.all(rtol * size < TELLING * right):
                return Finding(
                    "KL", "wrong", f"right, but of {words}, {how} over the batch",
                    hypothesis.consequence, (hypothesis.name,), len(right), float(error),
                )  # fmt: skip
    return None


def _columns(start: int, stop: int | None) -> Callable[[Array], Array]:
    return lambda t: t[:, start:stop]


def _half(t: Array, first: bool) -> Array:
    middle = t.shape[1] // 2
    return t[:, :middle] if first else t[:, middle:]


def _coefficients(numbers: Numbers, batches: Sequence[Batch], rtol: float) -> Finding | None:
    """The reported KL as a Σμ² + b Σσ² + c Σlog σ² + e k, by least squares, and one check more."""
    columns = []
    for batch in batches:
        mu, log_var = batch["mu"], batch["log_var"]
        columns.append([mu**2, np.exp(log_var), log_var, np.ones_like(log_var)])
    A = np.stack([numbers.sums([c[j] for c in columns]) / numbers.n for j in range(4)], axis=1)
    if len(A) < 6:
        return None
    fitted = least_squares(A, numbers.values)
    error = np.max(np.abs(A @ fitted - numbers.values) / (np.abs(A) @ np.abs(fitted)))
    if not error < 5 * rtol:
        return None
    a, b, c, e = fitted.tolist()
    words = (
        f"{a:.4g} Σμ² {b:+.4g} Σσ² {c:+.4g} Σlog σ² {e:+.4g} k, where ½ Σμ² + ½ Σσ² − ½ Σlog σ² − "
        "½ k is right"
    )
    verdict: Verdict = "wrong"
    consequence = "no KL to the standard normal prior"
    # KL(N(μ, σ²), N(0, s²)) = ½ (μ² + σ²)/s² − ½ − ½ log σ² + ½ log s²
    if a > 0 and np.allclose([b / a, c, e], [1, -0.5, -0.5 - 0.5 * np.log(2 * a)], 0, 1e-3):
        verdict = "convention"
        consequence = f"the KL to the prior N(0, s² I) with s² = {1 / (2 * a):.4g}, if meant"
    return Finding("KL", verdict, words, consequence, (), len(A), float(error))


# === Reconstruction ==========================================================================


def diagnose_reconstruction(
    batches: Sequence[Batch], setting: Setting
) -> tuple[Finding, Match | None]:
    """Which formula gives the numbers reported as reconstruction loss.

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae.diagnose.parts import Setting, diagnose_reconstruction
    >>> batch = {"x": np.array([[0.0, 1.0]]), "x_hat": np.array([[0.5, 0.5]])}
    >>> batch["reconstruction"] = np.array([0.25])  # a mean over both, without ½
    >>> setting = Setting(1, 2, 1.0, 0.3, None, 1e-9)
    >>> diagnose_reconstruction([batch], setting)[0].words
    'squared error, mean over batch and features, missing 1/(2σ²)'
    """
    numbers = Numbers.read(batches, "reconstruction", "x")
    size = setting.size(numbers.n)
    terms = candidates(batches, reconstruction_terms(setting.noise_variance), "x_hat", "x")
    of_it = scales(RECONSTRUCTION_REDUCTIONS, RECONSTRUCTION_FACTORS, size)
    matches = find_matches(numbers, terms, of_it, size, setting.rtol)
    if matches:
        return _finding("reconstruction", matches, numbers, setting), matches[0]
    words = "no formula of the table gives these numbers"
    hint = "hand over one number a sample; say the noise variance, or the rtol of rounded numbers"
    x, x_hat = (max(np.ptp(batch[key]) for batch in batches) for key in ("x", "x_hat"))
    if max(x, x_hat) > 50 * min(x, x_hat):
        hint = (
            f"x spans {x:.4g} and x_hat {x_hat:.4g}: hand over x as the loss saw it, divided "
            "by 255 if that is what was done"
        )
    count = len(numbers.values)
    return Finding("reconstruction", "not recognised", words, hint, numbers=count), None


def diagnose_data(batches: Sequence[Batch], likelihood: str) -> list[Finding]:
    """What data and outputs alone give away.

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae.diagnose.parts import diagnose_data
    >>> batch = {"x": np.array([[0.0, 255.0]]), "x_hat": np.array([[0.1, 0.9]])}
    >>> diagnose_data([batch], "Bernoulli of logits")[0].mistakes
    ('pixels_up_to_255_as_probabilities',)
    """
    low, high = (float(f([f(batch["x"]) for batch in batches])) for f in (np.min, np.max))
    least, most = (float(f([f(batch["x_hat"]) for batch in batches])) for f in (np.min, np.max))
    found = []
    if "Bernoulli" in likelihood and (low < 0 or high > 1):
        words = f"x from {low:.4g} to {high:.4g} under a Bernoulli likelihood"
        found.append(_one(LARGE_PIXELS, "data", words))
    enough = sum(batch["x_hat"].size for batch in batches) >= 20
    if likelihood == "Bernoulli of logits" and enough and least >= 0 and most <= 1:
        words = "x_hat lie in [0, 1], and the loss took them for logits: a sigmoid twice"
        found.append(_one(SQUASHED, "data", words))
    narrow = least >= 0.5 - 1e-6 and most <= 1 / (1 + np.exp(-1.0)) + 1e-6
    if enough and narrow and (low < 0.45 or high > 0.78):
        words = "x_hat all lie in [0.5, 0.731], the sigmoids of [0, 1]: a sigmoid twice"
        found.append(_one(SQUASHED, "data", words))
    return found


# === Both ====================================================================================


def _finding(about: str, matches: Sequence[Match], numbers: Numbers, setting: Setting) -> Finding:
    """The first match in words."""
    best = matches[0]
    hypotheses: list[Hypothesis] = [best.term, *(best.scale.parts or (best.scale,))]
    words = best.words
    if numbers.per_sample and best.named:  # sum or mean over one sample
        words = words.replace("mean over the batch", "one number a sample")
    return Finding(
        about,
        min((h.verdict for h in hypotheses), key=VERDICTS.index),
        words,
        "; ".join(_with_numbers(h.consequence, setting) for h in hypotheses if h.consequence),
        tuple(h.name for h in hypotheses if h.name and h.verdict == "wrong"),
        len(numbers.values),
        best.error,
        near_ties(matches),
    )


def _with_numbers(text: str, setting: Setting) -> str:
    for fraction, number in (("1/k", setting.k), ("1/d", setting.d)):
        if number > 1:  # it is 1 if it is not known, too
            text = text.replace(fraction, f"1/{number}")
    return text


def _one(hypothesis: Hypothesis, about: str, words: str = "") -> Finding:
    return Finding(
        about, hypothesis.verdict, words or hypothesis.words, hypothesis.consequence,
        (hypothesis.name,) if hypothesis.name else (),
    )  # fmt: skip
