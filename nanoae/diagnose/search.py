"""Which formula gives these numbers? A hypothesis is kept if it gives every one, to rounding."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from nanoae.arrays import Array
from nanoae.diagnose.batches import Batch
from nanoae.diagnose.mistakes import Scale, Size, Term

TELLING = 0.05  # a sum tells something if its rounding is less than this part of it
NEAR_TIE = 0.6  # less than a mistake


@dataclass(frozen=True)
class Numbers:
    """Reported numbers, with the samples that are behind each.

    Attributes
    ----------
    values : ndarray of shape (m,)
    n, k : ndarray of shape (m,)
        Samples behind each number (1 if there is one a sample), and their dimensions.
    each : list of str
        Of every batch: one number a 'batch', 'sample' or 'element'.

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae.diagnose.search import Numbers
    >>> numbers = Numbers.read([{"mu": np.ones((4, 2)), "kl": np.ones(4)}], "kl", "mu")
    >>> numbers.n.tolist(), numbers.sums([np.ones((4, 2))]).tolist()  # one a sample
    ([1.0, 1.0, 1.0, 1.0], [2.0, 2.0, 2.0, 2.0])
    """

    values: Array
    n: Array
    k: Array
    each: list[str]

    @staticmethod
    def read(batches: Sequence[Batch], key: str, rows: str) -> Numbers:
        """The numbers under ``key``, which come from the rows of the array ``rows``."""
        values, n, k, each = [], [], [], []
        for i, batch in enumerate(batches):
            reported, (samples, width) = batch[key], batch[rows].shape
            kinds = {1: "batch", samples: "sample", samples * width: "element"}
            kind = "batch" if len(reported) == 1 else kinds.get(len(reported))
            if kind is None:
                raise ValueError(
                    f"{key} of batch {i} has {len(reported)} values for {samples} samples; give "
                    "one number a batch, or one a sample."
                )
            each.append(kind)
            values.append(reported)
            n.append(np.full(len(reported), samples if kind == "batch" else 1.0))
            k.append(np.full(len(reported), float(width)))
        return Numbers(np.concatenate(values), np.concatenate(n), np.concatenate(k), each)

    def sums(self, terms: Sequence[Array]) -> Array:
        """The sums of the terms (n, width) of each batch that are behind the numbers."""
        return np.concatenate([
            np.array([t.sum()]) if each == "batch" else
            t.sum(axis=1) if each == "sample" else t.ravel()
            for each, t in zip(self.each, terms, strict=True)
        ])  # fmt: skip

    @property
    def per_sample(self) -> bool:
        return "batch" not in self.each


@dataclass(frozen=True)
class Match:
    """A term and a scale that give every number.

    Attributes
    ----------
    term : Term
    scale : Scale
    error : float
        Relative to the size of what is added up.
    named : bool
        The scale is one of the table, and not just some number.
    per_sample : bool
        There is one number a sample: nothing is known of what becomes of them in a batch.

    Examples
    --------
    >>> from nanoae.diagnose.mistakes import KL_REDUCTIONS, KL_TERMS
    >>> from nanoae.diagnose.search import Match
    >>> Match(KL_TERMS[0], KL_REDUCTIONS[0], 1e-8).words
    'right, mean over the batch'
    """

    term: Term
    scale: Scale
    error: float
    named: bool = True
    per_sample: bool = False

    @property
    def cost(self) -> float:
        return self.term.cost + self.scale.cost

    @property
    def words(self) -> str:
        return f"{self.term.words}, {self.scale.words}"

    def has(self, *factors: str) -> bool:
        """Whether one of these factors is part of the scale."""
        return any(part.words in factors for part in self.scale.parts)

    def weight(self, size: Size, summed: bool = False) -> float:
        """What the quantity of one sample is multiplied by in a batch: 1 for a mean.

        One number a sample is averaged over the batch, unless it is ``summed``.
        """
        weight = float(np.mean(self.scale.value(size) * size.n))
        return weight * float(size.n) if summed and self.per_sample else weight


def candidates(
    batches: Sequence[Batch], terms: Sequence[Term], a: str, b: str
) -> Iterator[tuple[Term, list[Array], list[Array]]]:
    """The terms that these batches can tell, their values, and the size of what is added up.

    One after the other: a term is as large as the data.

    Parameters
    ----------
    batches : sequence of dict
    terms : sequence of Term
    a, b : str
        The arrays that they are functions of.

    Examples
    --------
    A clamp that log_var never reaches is not to be told from none:

    >>> import numpy as np
    >>> from nanoae.diagnose.mistakes import KL_TERMS
    >>> from nanoae.diagnose.search import candidates
    >>> batch = {"mu": np.ones((2, 2)), "log_var": np.ones((2, 2))}
    >>> any(t.bounds for t, *_ in candidates([batch], KL_TERMS, "mu", "log_var"))
    False
    """
    for term in terms:
        if term.unit and not all(v.min() >= 0 and v.max() <= 1 for v in _both(batches, a, b)):
            continue
        if term.bounds is not None:
            low, high = term.bounds
            if all(low <= v.min() and v.max() <= high for v in (batch[b] for batch in batches)):
                continue
        with np.errstate(all="ignore"):
            values = [term.value(batch[a], batch[b]) for batch in batches]
            sizes = [np.abs(v) + _cancelling(term, batch[a], batch[b])
                     for v, batch in zip(values, batches, strict=True)]  # fmt: skip
        if all(np.isfinite(v).all() for v in values):
            yield term, values, sizes


def _both(batches: Sequence[Batch], a: str, b: str) -> list[Array]:
    return [batch[key] for batch in batches for key in (a, b)]


def _cancelling(term: Term, a: Array, b: Array) -> Array | float:
    """What is rounded inside a term beside its value."""
    if term.words in ("squared error", "absolute error"):
        return 0.0
    if not term.unit:
        return 0.25 * (1 + np.minimum(np.abs(b), 50))
    # near 1 a probability has lost digits of 1 − p, which are in the logits that a loss may take;
    # 1/32 of the tolerance is the rounding of one number
    return 0.25 + (1 - b) * a / np.maximum(1 - a, 1e-8) / 32


def find_matches(
    numbers: Numbers,
    terms: Iterable[tuple[Term, list[Array], list[Array]]],
    scales: Sequence[Scale],
    size: Size,
    rtol: float,
) -> list[Match]:
    """All products of a term and a scale that give every number, the simplest first.

    If there is none, those with a scale that has no name.

    Parameters
    ----------
    numbers : Numbers
    terms : iterable of tuples
        From `candidates`.
    scales : sequence of Scale
    size : Size
        Its ``n`` and ``k`` are those of the numbers.
    rtol : float

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae.diagnose.mistakes import KL_FACTORS, KL_REDUCTIONS, KL_TERMS, Size, scales
    >>> from nanoae.diagnose.search import Numbers, candidates, find_matches
    >>> batch = {"mu": np.array([[1.0, 2.0, 0.3]]), "log_var": np.zeros((1, 3))}
    >>> batch["kl"] = np.array([5.09 / 3])  # 5.09/2 in nats, over 3 dimensions, without its ½
    >>> numbers = Numbers.read([batch], "kl", "mu")
    >>> size = Size(numbers.n, numbers.k, 7.0, 1.0, 1.0)
    >>> found = find_matches(numbers, candidates([batch], KL_TERMS, "mu", "log_var"),
    ...                      scales(KL_REDUCTIONS, KL_FACTORS, size), size, 1e-9)
    >>> found[0].words
    'right, mean over batch and latent dimensions, missing ½'
    """
    weights = np.array([scale.value(size) + 0 * numbers.n for scale in scales])
    named, unnamed = [], []
    for term, values, sizes in terms:
        S, M = numbers.sums(values), numbers.sums(sizes)
        if not np.any(rtol * M < TELLING * np.abs(S)):
            continue
        errors = np.max(np.abs(numbers.values - weights * S) / (np.abs(weights) * M), axis=1)
        fitting = np.flatnonzero(errors < rtol).tolist()
        each = numbers.per_sample
        named += [Match(term, scales[i], errors[i], per_sample=each) for i in fitting]
        if not named and len(numbers.values) > 1:
            unnamed += _some_factor(numbers, term, S, M, rtol)
    return sorted(named or unnamed, key=lambda match: (round(match.cost, 3), match.error))


def _some_factor(numbers: Numbers, term: Term, S: Array, M: Array, rtol: float) -> list[Match]:
    found = []
    for words, power in (("the sum over the batch", 0.0), ("the mean over the batch", 1.0)):
        s, m = S * numbers.n**-power, M * numbers.n**-power
        c = float(np.sum(numbers.values * s / m**2) / np.sum((s / m) ** 2))
        error = np.max(np.abs(numbers.values - c * s) / (np.abs(c) * m + 1e-300))
        if error < rtol:
            inverse = round(1 / c)
            factor = f"1/{inverse}" if inverse and abs(c * inverse - 1) < 1e-5 else f"{c:.6g}"
            scale = Scale(
                words=f"{factor} times {words}", verdict="wrong", cost=2.5 - power / 10,
                consequence="a factor that has no name here; say beta= if it is yours",
                value=_power(c, power),
            )  # fmt: skip
            found.append(Match(term, scale, error, False, numbers.per_sample))
    return found


def _power(c: float, power: float) -> Callable[[Size], Array | float]:
    return lambda size: c * np.asarray(size.n, dtype=np.float64) ** -power


def least_squares(A: Array, values: Array) -> Array:
    """The factors of the columns of A, which may differ in size by any power of ten, or be 0.

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae.diagnose.search import least_squares
    >>> A = np.array([[1e-200, 2.0, 0.0], [3e-200, 1.0, 0.0]])
    >>> least_squares(A, A @ [5e200, 7.0, 0.0]).round(9).tolist()
    [5e+200, 7.0, 0.0]
    """
    size = np.abs(A).max(axis=0) + 1e-300
    return np.linalg.lstsq(A / size, values, rcond=None)[0] / size


def near_ties(matches: Sequence[Match]) -> tuple[str, ...]:
    """What fits nearly as simply as the best and is something else, up to three of them.

    Examples
    --------
    >>> from nanoae.diagnose.mistakes import KL_REDUCTIONS, KL_TERMS
    >>> from nanoae.diagnose.search import Match, near_ties
    >>> mean, total = (Match(KL_TERMS[0], scale, 0.0) for scale in KL_REDUCTIONS[:2])
    >>> near_ties([mean, total])
    ('right, sum over the batch',)
    """
    best = matches[0]
    others = [
        match.words
        for match in matches[1:]
        if match.cost < best.cost + NEAR_TIE
        # two right formulas that agree on these numbers, such as with a clip that never binds
        and not (
            match.scale is best.scale and "wrong" not in (match.term.verdict, best.term.verdict)
        )
    ]
    return tuple(dict.fromkeys(others))[:3]
