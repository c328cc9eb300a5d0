"""The two parts together: what the loss is made of, and which β that is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from nanoae.arrays import Array
from nanoae.diagnose.batches import Batch
from nanoae.diagnose.mistakes import (
    KL_FACTORS,
    KL_NOT_IN_LOSS,
    KL_REDUCTIONS,
    KL_TERMS,
    RECONSTRUCTION_FACTORS,
    RECONSTRUCTION_REDUCTIONS,
    Hypothesis,
    Scale,
    Size,
    Term,
    Verdict,
    reconstruction_terms,
    right_kl,
    scales,
)
from nanoae.diagnose.parts import FREE_BITS, Setting
from nanoae.diagnose.report import VERDICTS, Finding
from nanoae.diagnose.search import TELLING, Match, Numbers, candidates, least_squares

SAME = 1e-6  # weights that are one differ by rounding alone
FITTED = "factors that have no name here, by least squares"
HALF_THE_NOISE = "that is, half the noise variance that it says"
ENOUGH = 4  # losses that two unknown factors are read off, and two more to confirm them


# === The loss from its two reported parts ====================================================


class Factors(NamedTuple):
    """What the reconstruction (a) and the KL (b) are multiplied by; exact, or by least squares.

    ``summed`` are, not averaged, parts of which there is one number a sample.

    Examples
    --------
    >>> from nanoae.diagnose.loss import Factors
    >>> Factors(1.0, 4.0, exact=True).b
    4.0
    """

    a: float
    b: float
    exact: bool
    summed: bool = False


def diagnose_sum(
    batches: Sequence[Batch], beta: float, rtol: float
) -> tuple[Finding, Factors | None]:
    """How the reported parts are added up in the reported loss: ``a · reconstruction + b · kl``.

    Returns
    -------
    finding : Finding
    factors : Factors or None

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae.diagnose.loss import diagnose_sum
    >>> batch = {key: np.array([v]) for key, v in
    ...          {"reconstruction": 3.0, "kl": 0.5, "loss": 3.5}.items()}
    >>> finding, factors = diagnose_sum([batch], beta=4.0, rtol=1e-9)
    >>> finding.words, factors
    ('reconstruction + KL', Factors(a=1.0, b=1.0, exact=True, summed=False))
    """
    known = [
        (1.0, beta, f"reconstruction + {beta:g} KL" if beta != 1 else "reconstruction + KL"),
        (1.0, 1.0, "reconstruction + KL"),
        (-1.0, -beta, "minus the sum: an ELBO, to be maximised"),
        (1.0, 0.0, KL_NOT_IN_LOSS.words),
        (1.0, -1.0, "reconstruction − KL"),
        (1.0, -beta, f"reconstruction − {beta:g} KL"),
        (-1.0, 1.0, "KL − reconstruction"),
        (-1.0, beta, f"{beta:g} KL − reconstruction"),
        (beta, 1.0, f"{beta:g} reconstruction + KL"),
        (0.5, 0.5 * beta, "half the sum"),
    ]
    (A, loss), (A_summed, _) = (_parts(batches, reduce) for reduce in (np.mean, np.sum))
    for (a, b, words), summed in product(known, (False, True)):
        error = _error(A_summed if summed else A, np.array([a, b]), loss)
        if error < rtol:
            verdict: Verdict = "wrong" if b == 0 else "right"
            names = (KL_NOT_IN_LOSS.name,) if b == 0 else ()
            says = KL_NOT_IN_LOSS.consequence if b == 0 else ""
            finding = Finding("loss", verdict, words, says, names, len(loss), error)
            return finding, Factors(a, b, exact=True, summed=summed)
    if len(loss) > 2:
        factors = least_squares(A, loss)
        error = _error(A, factors, loss)
        if error < rtol:
            words = f"{factors[0]:.5g} times the reconstruction + {factors[1]:.5g} times the KL"
            finding = Finding("loss", "right", words, FITTED, (), len(loss), error)
            return finding, Factors(float(factors[0]), float(factors[1]), exact=False)
    else:  # two factors cannot be told; that of the KL may be a short number, meant as β
        rest, kl = loss[0] - A[0, 0], A[0, 1]
        b = float(f"{rest / kl:.3g}")
        words, says = "its two factors cannot be told", "needs 3 losses"
        if _error(A, np.array([1.0, b]), loss) < rtol:
            words, says = f"reconstruction + {b:g} KL, if that is meant", f"pass beta={b:g}"
        return Finding("loss", "not recognised", words, says, (), len(loss)), None
    words = "not the two parts with any factors"
    says = "there is a third term in it, or the parts are of another batch"
    return Finding("loss", "not recognised", words, says, (), len(loss)), None


def _parts(batches: Sequence[Batch], reduce: Callable[[Array], Any]) -> tuple[Array, Array]:
    """Reported reconstruction and KL side by side, one row a reported loss."""
    rows, losses = [], []
    for i, batch in enumerate(batches):
        m = len(batch["loss"])
        columns = []
        for key in ("reconstruction", "kl"):
            values = batch[key]
            if len(values) != m and m != 1:
                raise ValueError(
                    f"loss of batch {i} has {m} values and {key} {len(values)}; give both a batch "
                    "or both a sample."
                )
            columns.append(values if len(values) == m else np.array([reduce(values)]))
        rows.append(np.stack(columns, axis=1))
        losses.append(batch["loss"])
    return np.concatenate(rows), np.concatenate(losses)


def _error(A: Array, factors: Array, loss: Array) -> float:
    return float(np.max(np.abs(A @ factors - loss) / (np.abs(A) @ np.abs(factors) + 1e-300)))


# === β =======================================================================================


def diagnose_beta(
    kl: tuple[Finding, Match], reconstruction: tuple[Finding, Match], factors: Factors | None,
    sizes: Sequence[Size],
) -> tuple[Finding, Finding, Finding, float]:  # fmt: skip
    """Which β the weights of the two parts make, and what that means for both.

    Parameters
    ----------
    kl, reconstruction : tuple of Finding and Match
    factors : Factors or None
        Of the two in the loss; None: they are added as they stand, the KL times β if that is not
        in it already.
    sizes : sequence of Size
        Of the batches.

    Returns
    -------
    kl, reconstruction, beta : Finding
        A scale that both share is a convention, whatever it is alone.
    effective_beta : float

    Examples
    --------
    >>> from nanoae.diagnose import Finding
    >>> from nanoae.diagnose.loss import diagnose_beta
    >>> from nanoae.diagnose.mistakes import (
    ...     KL_REDUCTIONS, KL_TERMS, RECONSTRUCTION_REDUCTIONS, Size, reconstruction_terms)
    >>> from nanoae.diagnose.search import Match
    >>> kl = Match(KL_TERMS[0], KL_REDUCTIONS[0], 0.0)
    >>> mean = Match(reconstruction_terms(1)[0], RECONSTRUCTION_REDUCTIONS[2], 0.0)
    >>> parts = [(Finding("part", "right", m.words), m) for m in (kl, mean)]
    >>> *_, beta, _ = diagnose_beta(*parts, None, [Size(8.0, 2.0, 784.0, 1.0, 1.0)])
    >>> beta.words
    'effectively 784, d = 784 times what it says'
    """
    (kl_finding, kl_match), (rec_finding, rec_match) = kl, reconstruction
    beta = sizes[0].beta
    double, loss_is_known = sizes[0]._replace(n=2 * sizes[0].n), factors is not None
    if factors is None:
        # what is said of a sample goes into the loss as the other part does
        batch = rec_match if kl_match.per_sample else kl_match
        grows = batch.weight(double) > 1.5 * batch.weight(sizes[0])
        b = 1.0 if kl_match.has("times β") else beta
        factors = Factors(1.0, b, exact=True, summed=bool(grows))
    a, b, exact, summed = factors

    def beta_of(size: Size) -> float:
        return b * kl_match.weight(size, summed) / (a * rec_match.weight(size, summed))

    ratios = np.array([beta_of(size) for size in sizes])
    effective = float(ratios[0])
    tolerance = SAME if exact and kl_match.named and rec_match.named else 1e-3
    varies = np.ptp(ratios) > tolerance * np.abs(ratios).max()
    # ‖x − x̂‖² is what a noise variance half as large gives, and may be meant
    is_half = rec_match.has("missing ½") and "squared error" in rec_match.term.words
    fits = not varies and abs(effective / beta - 1) < tolerance
    if fits or (is_half and not varies and abs(2 * effective / beta - 1) < tolerance):
        if fits:
            finding = Finding("β", "right", f"{effective:.6g}, as it says")
        else:
            words = f"effectively {effective:.6g}, half of what it says"
            finding = Finding("β", "convention", words, HALF_THE_NOISE)
        return _shared(kl_finding, kl_match), _shared(rec_finding, rec_match), finding, effective
    words = f"effectively {effective:.6g}, {_ratio(effective / beta, sizes[0])} times what it says"
    if varies:
        words += f", and in another batch {ratios[np.argmax(np.abs(ratios - effective))]:.6g}"
    names = _names(kl_match) + _names(rec_match)
    if np.isclose(beta_of(double), effective):
        # both are sums over the batch, or both means: that is not it
        names = tuple(name for name in names if not name.endswith("summed_over_the_batch"))
    says = f"the KL is: {kl_match.scale.words}; the reconstruction: {rec_match.scale.words}"
    if loss_is_known:
        says += f"; in the loss they have the factors {b:.6g} and {a:.6g}"
    finding = Finding("β", "wrong", words, says, names)
    return _of_term(kl_finding, kl_match), _of_term(rec_finding, rec_match), finding, effective


def _shared(finding: Finding, match: Match) -> Finding:
    """A scale that is no mistake, as the other part has it too."""
    finding = _of_term(finding, match)
    if finding.verdict != "wrong":
        return finding
    if match.term.verdict == "wrong":
        return replace(finding, mistakes=(match.term.name,) if match.term.name else ())
    says = "a convention, as the rest of the loss makes up for it"
    return replace(finding, verdict="convention", consequence=says, mistakes=())


def _of_term(finding: Finding, match: Match) -> Finding:
    """Of the scale is said what comes of it where β is told."""
    return replace(finding, consequence=match.term.consequence)


def _names(match: Match) -> tuple[str, ...]:
    return tuple(part.name for part in match.scale.parts if part.name)


def _ratio(ratio: float, size: Size) -> str:
    """A factor of β, as a formula where it is one."""
    n, k, d = (float(np.mean(v)) for v in (size.n, size.k, size.d))
    s2 = size.noise_variance
    formulas = {
        "1/k": 1 / k, "d": d, "1/d": 1 / d, "d/2": d / 2, "2/d": 2 / d, "d/k": d / k, "k/d": k / d,
        "n": n, "1/n": 1 / n, "1/2": 0.5, "β": size.beta,
        "1/β": 1 / size.beta, "d/(2k)": d / (2 * k), "1/(2σ²)": 1 / (2 * s2), "2σ²": 2 * s2,
        "1/(2dσ²)": 1 / (2 * d * s2), "d/(2σ²)": d / (2 * s2),
    }  # fmt: skip
    near = 2e-3
    names = [f for f, value in formulas.items() if abs(ratio / value - 1) < near < abs(value - 1)]
    return f"{names[0]} = {ratio:.6g}" if names else f"{ratio:.6g}"


# === The loss alone ==========================================================================


def diagnose_loss(
    batches: Sequence[Batch], setting: Setting
) -> tuple[list[Finding], float | None, str]:
    """The loss as a sum of a reconstruction term and a KL term with two factors.

    For every pair of terms, and every power of the batch size, the two factors are read off by
    least squares; a pair is kept if it gives every loss, to rounding.

    Returns
    -------
    findings : list of Finding
        Empty if there are fewer than `ENOUGH` losses.
    effective_beta : float or None
    likelihood : str
        In words; empty if it could not be told.

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae.diagnose.loss import diagnose_loss
    >>> from nanoae.diagnose.parts import Setting
    >>> rng, batches = np.random.default_rng(0), []
    >>> for n in (4, 5, 6, 7, 8):
    ...     b = {"mu": rng.normal(size=(n, 3)), "log_var": rng.normal(size=(n, 3)),
    ...          "x": rng.normal(size=(n, 9)), "x_hat": rng.normal(size=(n, 9))}
    ...     kl = np.sum(b["mu"]**2 + np.exp(b["log_var"]) - 1 - b["log_var"]) / 2 / n
    ...     b["loss"] = np.array([np.mean((b["x"] - b["x_hat"])**2) + kl])
    ...     batches.append(b)
    >>> findings, beta, likelihood = diagnose_loss(batches, Setting(3, 9, 1.0, 1.0, None, 1e-9))
    >>> print(findings[1].words)
    effectively 4.5, d/2 = 4.5 times what it says
    """
    numbers = Numbers.read(batches, "loss", "x")
    if len(numbers.values) < ENOUGH:
        return [], None, ""
    best = _best_pair(batches, numbers, setting)
    if best is None:
        words = "no pair of formulas gives these numbers"
        says = "hand over KL and reconstruction apart; of free bits say how many"
        return [Finding("loss", "not recognised", words, says, (), len(numbers.values))], None, ""
    return _pair_findings(best, numbers, setting)


class _Pair:
    """A reconstruction term, a KL term, the powers of 1/n that both have, and their factors."""

    def __init__(
        self, terms: tuple[Term, Term], powers: tuple[int, int], columns: Array, sizes: Array,
        loss: Array, rtol: float,
    ) -> None:  # fmt: skip
        self.terms, self.powers = terms, powers
        weights = 1 / sizes.sum(axis=1)
        A = columns * weights[:, None]
        self.factors = least_squares(A, loss * weights)
        with np.errstate(all="ignore"):
            rounding = sizes @ np.abs(self.factors)
            self.error = float(np.max(np.abs(columns @ self.factors - loss) / rounding))
        self.keep = self.error < rtol
        if self.keep:  # how far rounding may have moved the factors
            spread = np.sqrt(np.diag(np.linalg.pinv(A.T @ A)))
            self.uncertain = 3 * rtol * np.max(rounding * weights) * spread
            extra = 0.3 * (powers[0] != powers[1])
            self.cost = terms[0].cost + terms[1].cost + extra


def _best_pair(
    batches: Sequence[Batch], numbers: Numbers, setting: Setting
) -> tuple[_Pair, tuple[str, ...]] | None:
    powers = (0, 1, 2) if np.ptp(numbers.n) else (1,)
    of_kl = candidates(batches, KL_TERMS, "mu", "log_var")
    columns = {
        "rec": [
            (term, numbers.sums(values), numbers.sums(sizes))
            for term, values, sizes in candidates(
                batches, reconstruction_terms(setting.noise_variance), "x_hat", "x"
            )
        ],
        "kl": [(term, numbers.sums(v), numbers.sums(sizes)) for term, v, sizes in of_kl],
    }
    if setting.free_bits is not None:
        columns["kl"] += _floored(batches, numbers, setting.free_bits)
    found = []
    for (rec, R, R_size), (kl, K, K_size) in product(columns["rec"], columns["kl"]):
        if not (np.any(R) and np.any(K)):
            continue
        for p, q in product(powers, powers):
            by_n = np.stack([numbers.n ** -float(p), numbers.n ** -float(q)], axis=1)
            pair = _Pair(
                (rec, kl), (p, q), np.stack([R, K], axis=1) * by_n,
                np.stack([R_size, K_size], axis=1) * by_n, numbers.values, setting.rtol,
            )  # fmt: skip
            if pair.keep:
                found.append(pair)
    if not found:
        return None
    best = min(found, key=lambda pair: (pair.cost, pair.error))
    also = [
        f"{pair.terms[0].words} + {pair.terms[1].words}"
        for pair in found
        if pair.cost <= best.cost and pair.terms != best.terms
    ]
    return best, tuple(dict.fromkeys(also))[:3]


def _floored(
    batches: Sequence[Batch], numbers: Numbers, free_bits: float
) -> list[tuple[Term, Array, Array]]:
    if any(each != "batch" for each in numbers.each):
        return []
    kl = [right_kl(batch["mu"], batch["log_var"]) for batch in batches]
    columns = []
    for where, floor in FREE_BITS.items():
        K = np.array([len(t) * floor(t, free_bits) for t in kl])
        size = K + np.array([t.size / 4 for t in kl])
        term = Term(
            words=f"right, with free bits of {free_bits:.4g} nats {where}", verdict="convention",
            consequence="no ELBO where they bind: report the KL itself beside it", value=right_kl,
            cost=0.1,
        )  # fmt: skip
        columns.append((term, K, size))
    return columns


def _pair_findings(
    best: tuple[_Pair, tuple[str, ...]], numbers: Numbers, setting: Setting
) -> tuple[list[Finding], float | None, str]:
    pair, also = best
    n = float(np.mean(numbers.n))
    size = setting.size(n)
    # per sample: 1 is right for both, up to a common factor
    per_sample = pair.factors * n ** (1.0 - np.array(pair.powers))
    uncertain = pair.uncertain * n ** (1.0 - np.array(pair.powers)) + 1e-4 * np.abs(per_sample)
    named = [
        _named(scales(reductions, factors, size), size, value, spread)
        for (reductions, factors), value, spread in zip(
            ((RECONSTRUCTION_REDUCTIONS, RECONSTRUCTION_FACTORS), (KL_REDUCTIONS, KL_FACTORS)),
            per_sample,
            uncertain,
            strict=True,
        )
    ]
    rec, kl = pair.terms
    effective = float(per_sample[1] / per_sample[0])
    by = (uncertain[1] + uncertain[0] * abs(effective)) / abs(per_sample[0])  # how sure that is
    labels = [
        scale.words if scale is not None else f"times {value:.5g}"
        for scale, value in zip(named, per_sample, strict=True)
    ]
    hypotheses: list[Hypothesis] = [rec, kl]
    loss = Finding(
        "loss",
        min((h.verdict for h in hypotheses), key=VERDICTS.index),
        f"{rec.words} ({labels[0]}) + KL {kl.words} ({labels[1]})",
        "; ".join(h.consequence for h in hypotheses if h.consequence),
        tuple(h.name for h in hypotheses if h.name and h.verdict == "wrong"),
        len(numbers.values),
        pair.error,
        also,
    )
    beta = _beta_of_pair(effective, float(by), named, rec, pair, size, numbers)
    told = effective if beta.verdict != "not recognised" else None
    return [loss, beta], told, rec.words


def _named(found: list[Scale], size: Size, value: float, spread: float) -> Scale | None:
    return next(
        (s for s in found if abs(float(s.value(size) * size.n) - value) < spread), None
    )  # fmt: skip


def _beta_of_pair(
    effective: float, by: float, named: list[Scale | None], rec: Term, pair: _Pair,
    size: Size, numbers: Numbers,
) -> Finding:  # fmt: skip
    ratio = effective / size.beta
    tolerance = 1e-3 + by / size.beta
    if tolerance > TELLING * max(1, abs(ratio)):
        words = f"somewhere near {effective:.4g}, which these losses do not tell"
        return Finding("β", "not recognised", words, "hand over KL and reconstruction apart")
    if abs(ratio) < tolerance:
        words, name = "effectively 0", KL_NOT_IN_LOSS.name
        return Finding("β", "wrong", words, KL_NOT_IN_LOSS.consequence, (name,))
    depends = pair.powers[0] != pair.powers[1] and np.ptp(numbers.n) > 0
    parts = [part for scale in named if scale is not None for part in scale.parts]
    is_half = "squared error" in rec.words and any(part.words == "missing ½" for part in (
        named[0].parts if named[0] is not None else ()
    ))  # fmt: skip
    if not depends and abs(ratio - 1) < tolerance:
        return Finding("β", "right", f"{effective:.4g}, as it says")
    if not depends and is_half and abs(2 * ratio - 1) < tolerance:
        return Finding("β", "convention", f"effectively {effective:.4g}", HALF_THE_NOISE)
    words = f"effectively {effective:.4g}, {_ratio(ratio, size)} times what it says"
    if depends:
        words += ", and another with another batch size"
    names = tuple(part.name for part in parts if part.name)
    return Finding("β", "wrong", words, "", names)
