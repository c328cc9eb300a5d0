"""The grader: which term of an answer is missing, doubled or transposed.

An exercise knows how to draw a problem, and of which terms each array of the answer is the sum.
An answer is written as a combination of these terms, and of decoys which have no place in it, by
least squares over many problems of different sizes: the factors say what is wrong. No rule knows
any mistake.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from functools import cache
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

Terms = dict[str, tuple[Any, float]]

EXACT = 1e-9  # rounding of a few hundred operations, with room
WITHIN = 1e-7  # the same, of factors from least squares


class Exercise(NamedTuple):
    """A formula of the text, to be written as a function.

    Attributes
    ----------
    number : str
        Of its claim.
    names : tuple of str
        Of the arrays that are to be returned.
    inputs : callable
        ``inputs(rng, n, k, ...)`` draws the arguments. Behind ``rng`` stand the sizes of the
        problem, drawn for it: by default from 2 to 6, all different, or from the range that is the
        parameter's default.
    terms : callable
        Of the arguments: ``{term in words: (array, factor)}`` for each array that is to be
        returned, in a tuple if they are several. Decoys have the factor 0.
    hint : str
        Where to start, which rule to use, what to check: not the answer.
    way : tuple of str
        Words of the chapter: from where on it leads to the answer, and where it would tell it.
        "" is the end of the equation or heading before the claim, and the claim.
    """

    number: str
    names: tuple[str, ...]
    inputs: Callable[..., tuple[Any, ...]]
    terms: Callable[..., Terms | tuple[Terms, ...]]
    hint: str
    way: tuple[str, str]


class Verdict(NamedTuple):
    """What there is to say of an answer: ``state`` is "right", "wrong" or "not written"."""

    state: str
    text: str

    def __str__(self) -> str:
        return self.text


class Problem(NamedTuple):
    """One drawing: arguments, sizes by name, and the terms of each array."""

    arguments: tuple[Any, ...]
    sizes: dict[str, int]
    terms: tuple[Terms, ...]

    def right(self, i: int) -> np.ndarray:
        """What array ``i`` should be."""
        return sum(np.asarray(factor * array, float) for array, factor in self.terms[i].values())


EXERCISES: dict[str, Exercise] = {}


def exercise(
    number: str,
    names: str,
    inputs: Callable,
    terms: Callable,
    hint: str,
    way: tuple[str, str] = ("", ""),
) -> None:
    """Enter an exercise; ``names`` are separated by semicolons."""
    EXERCISES[number] = Exercise(number, tuple(names.split("; ")), inputs, terms, hint, way)


def find(number: str) -> Exercise:
    """The exercise of a claim; one sentence if there is none."""
    number = str(number).strip("()")
    if number not in EXERCISES:
        chapter = [n for n in EXERCISES if n.split(".")[0] == number.split(".")[0]]
        others = f"; in its chapter there are {', '.join(chapter)}" if chapter else ""
        raise ValueError(f"there is no exercise on equation {number!r}{others}.")
    return EXERCISES[number]


def answer(number: str) -> Callable[[Callable], Callable]:
    """Mark a function as the answer to the exercise of an equation.

    In a notebook or a script the verdict is printed at once; in a module that is imported, whoever
    imports it asks for it.
    """
    find(number)

    def take(function: Callable) -> Callable:
        function.exercise = number  # type: ignore[attr-defined]
        if function.__module__ == "__main__":
            print(grade(number, function))
        return function

    return take


def problems(task: Exercise) -> Iterator[Problem]:
    """Problems without end, always the same."""
    ranges = {
        name: (2, 6) if p.default is p.empty else p.default
        for name, p in list(inspect.signature(task.inputs).parameters.items())[1:]
    }
    seed = 0
    while True:
        rng = np.random.default_rng(seed)
        sizes = {name: int(rng.integers(low, high + 1)) for name, (low, high) in ranges.items()}
        seed += 1
        if len(set(sizes.values())) == len(sizes):  # what is mixed up shows in the shapes
            arguments = task.inputs(rng, **sizes)
            terms = task.terms(*(_copy(a) for a in arguments))
            yield Problem(arguments, sizes, terms if isinstance(terms, tuple) else (terms,))


@cache
def drawn(task: Exercise) -> list[Problem]:
    """As many as leave the factors of all terms no choice."""
    some: list[Problem] = []
    for problem in problems(task):
        some.append(problem)
        rows = [sum(p.right(i).size for p in some) for i in range(len(task.names))]
        if len(some) >= 8 and all(
            r >= 5 * len(terms) for r, terms in zip(rows, problem.terms, strict=True)
        ):
            return some
    raise AssertionError


def grade(number: str, function: Callable) -> Verdict:
    """What is right and what is wrong with an answer.

    Parameters
    ----------
    number : str
        Of the equation.
    function : callable
        Takes the arguments of the stub, and returns an array, or a tuple of them.

    Raises
    ------
    ValueError
        There is no such exercise.
    """
    task = find(number)
    some = drawn(task)
    answers = []
    for problem in some:
        try:
            mine = function(*(_copy(a) for a in problem.arguments))
        except NotImplementedError:
            return Verdict("not written", f"({task.number}) not yet written")
        except Exception as error:  # whatever it is, it is the reader's to see
            return _wrong(
                task,
                f"raises {type(error).__name__}: {error}",
                *_size_of_that_name(error, problem),
                _shapes(task, problem),
            )
        if len(task.names) > 1 and isinstance(mine, list):
            mine = tuple(mine)
        mine = mine if isinstance(mine, tuple) else (mine,)
        if len(mine) != len(task.names):
            count = "1 array" if len(mine) == 1 else f"{len(mine)} arrays"
            should = f"{len(task.names)}, as a tuple" if len(task.names) > 1 else "1"
            names = ", ".join(task.names)
            return _wrong(task, f"returns {count}, should return {should}: {names}")
        answers.append(mine)
    findings = []
    for i, name in enumerate(task.names):
        off = _shape_off(task, [a[i] for a in answers], some, i) or _factors_off(
            [np.asarray(a[i], float) for a in answers], some, i
        )
        findings.append([f"{name}: {line}" for line in off or ["right"]])
    lines = [line for finding in findings for line in finding]
    if all(finding[0].endswith(": right") for finding in findings):
        return Verdict("right", f"({task.number}) right")
    return _wrong(task, *lines)


def _copy(argument: Any) -> Any:
    return argument.copy() if isinstance(argument, np.ndarray) else argument


def _wrong(task: Exercise, *lines: str) -> Verdict:
    return Verdict("wrong", "\n  ".join([f"({task.number}) WRONG", *lines]))


def _shapes(task: Exercise, problem: Problem) -> str:
    """What the arguments of a problem look like."""
    names = inspect.signature(task.terms).parameters
    shown = [
        f"{name} {np.shape(a)}" if np.ndim(a) else f"{name} = {a:.3g}"
        for name, a in zip(names, problem.arguments, strict=True)
    ]
    return f"here the arguments are {', '.join(shown)}"


def _size_of_that_name(error: Exception, problem: Problem) -> list[str]:
    """Where a size is to be had from, if it was taken for a variable."""
    name = getattr(error, "name", None)
    if not isinstance(error, NameError) or name not in problem.sizes:
        return []
    return [f"{name} is {problem.sizes[name]} here: take it from the shape of an argument"]


def _where(task: Exercise, problem: Problem, array: np.ndarray) -> str:
    """The arguments at the first entry that is not finite."""
    place = tuple(np.argwhere(~np.isfinite(array))[0])
    names = inspect.signature(task.terms).parameters
    at = [
        f"{name} = {argument[place]:.3g}"
        for name, argument in zip(names, problem.arguments, strict=True)
        if np.shape(argument) == array.shape and place
    ]
    return f", at {', '.join(at)}" if at else ""


def _shape_off(task: Exercise, mine: list[Any], some: list[Problem], i: int) -> list[str]:
    """Shapes first: they say more than numbers."""
    for value, problem in zip(mine, some, strict=True):
        if value is None:
            return ["is None: a return is missing"]
        try:
            array = np.asarray(value, float)
        except (TypeError, ValueError):
            return [f"is no array of real numbers, but {type(value).__name__}"]
        right = problem.right(i)
        if array.shape != right.shape:
            sizes = ", ".join(f"{name} = {size}" for name, size in problem.sizes.items())
            turned = array.ndim > 1 and array.shape == right.shape[::-1]
            close = turned and np.allclose(array.T, right, EXACT, EXACT)
            return [
                f"has the shape {array.shape}, should have {right.shape}"
                + (f" (here {sizes})" if sizes else "")
                + ("; it is transposed" if close else "")
            ]
        if not np.isfinite(array).all():
            return [f"is infinite or not a number{_where(task, problem, array)}"]
    return []


def _factors_off(mine: list[np.ndarray], some: list[Problem], i: int) -> list[str]:
    terms = list(some[0].terms[i])
    right_factors = np.array([factor for _, factor in some[0].terms[i].values()], float)
    A = np.vstack(
        [np.column_stack([np.ravel(p.terms[i][t][0]) for t in terms]) for p in some]
    ).astype(float)
    y = np.concatenate([m.ravel() for m in mine])
    right = A @ right_factors
    scale = max(np.abs(right).max(), np.abs(A).max())
    if np.abs(right - y).max() <= EXACT * scale:
        return []
    square = all(m.ndim == 2 and m.shape[0] == m.shape[1] for m in mine)
    if (
        square
        and np.abs(np.concatenate([m.T.ravel() for m in mine]) - right).max() <= EXACT * scale
    ):
        return ["it is transposed"]
    found = _solve(A, y)
    if found is not None:
        return _say(terms, found, right_factors)
    explanations = []
    for words, power in _powers(some):  # a mean for a sum, or the other way round
        weights = np.concatenate(
            [np.full(m.size, power(p.sizes)) for m, p in zip(mine, some, strict=True)]
        )
        whole = right * weights
        ratio = whole @ y / (whole @ whole or 1)
        if np.abs(ratio * whole - y).max() <= EXACT * np.abs(y).max():
            also = "" if abs(ratio - 1) <= WITHIN else f", and {_times(ratio, 1)}"
            return [f"all of it is {words}{also}"]
        found = _solve(np.hstack([A, A * weights[:, None]]), y)
        if found is not None:
            plain, scaled = found[: len(terms)], found[len(terms) :]
            explanations.append(_say(terms, plain, right_factors, scaled, words))
    if explanations:
        return min(explanations, key=len)
    rest = np.linalg.norm(A @ np.linalg.lstsq(A, y, rcond=None)[0] - y) / np.linalg.norm(y)
    true = [t for t, f in zip(terms, right_factors, strict=True) if f]
    return [
        f"{rest:.0%} of it is none of the terms {', '.join(true)}"
        if rest >= 0.005
        else f"{rest:.1g} of it is none of the terms {', '.join(true)}"
    ]


def _powers(some: list[Problem]) -> Iterator[tuple[str, Callable[[dict[str, int]], float]]]:
    names = [n for n in some[0].sizes if len({p.sizes[n] for p in some}) > 1]
    for n in names:
        yield f"divided by {n}", lambda s, n=n: 1 / s[n]
        yield f"multiplied by {n}", lambda s, n=n: float(s[n])
    for a, b in combinations(names, 2):
        yield f"divided by {a} and by {b}", lambda s, a=a, b=b: 1 / (s[a] * s[b])
        yield f"multiplied by {a}, divided by {b}", lambda s, a=a, b=b: s[a] / s[b]
        yield f"multiplied by {b}, divided by {a}", lambda s, a=a, b=b: s[b] / s[a]


def _solve(A: np.ndarray, y: np.ndarray) -> np.ndarray | None:
    """The factors, if ``y`` is a combination of columns: the simplest, if several are."""
    lengths = np.linalg.norm(A, axis=0)
    lengths[lengths == 0] = 1
    found, _, rank, _ = np.linalg.lstsq(A / lengths, y, rcond=1e-11)
    if np.linalg.norm(A / lengths @ found - y) > WITHIN / 10 * np.linalg.norm(y):
        return None
    if rank < A.shape[1]:  # one column less, as long as the others do
        for j in np.argsort(-np.arange(A.shape[1])):
            fewer = A.copy()
            fewer[:, j] = 0
            if A[:, j].any() and (simpler := _solve(fewer, y)) is not None:
                return simpler
    return found / lengths


def _say(
    terms: list[str],
    found: np.ndarray,
    right: np.ndarray,
    scaled: np.ndarray | None = None,
    words: str = "",
) -> list[str]:
    scaled = np.zeros_like(found) if scaled is None else scaled
    size = max(np.abs(right).max(), 1)
    used = right != 0
    ratios = found[used] / right[used]
    stray = np.abs(found[~used]).max(initial=0) > WITHIN * size
    if len(ratios) > 1 and not stray and not np.any(np.abs(scaled) > WITHIN * size):
        ratio = ratios[0]
        if np.abs(ratios - ratio).max() <= WITHIN and abs(ratio - 1) > WITHIN:
            return [f"all of it {_times(ratio, 1)}"]
    lines = []
    for term, f, s, g in zip(terms, found, scaled, right, strict=True):
        if abs(s) > WITHIN * size:
            if abs(f) <= WITHIN * size and abs(s - g) <= WITHIN * size:
                lines.append(f"{term} is {words}")
            else:
                lines.append(f"{term}, {words}, is there {s:.3g} times; it has no place")
                if abs(f - g) > WITHIN * size:
                    lines.append(f"{term} {_times(f, g)}")
        elif abs(f - g) > WITHIN * size:
            lines.append(f"{term} {_times(f, g)}")
    return lines


def _times(found: float, right: float) -> str:
    should = f"should be {right:.3g}"
    if right == 0:
        return f"is there {found:.3g} times; it has no place"
    if abs(found) <= WITHIN:
        return f"is missing, {should}"
    if abs(found + right) <= WITHIN:
        return f"has the wrong sign: {found:.3g} times, {should}"
    if abs(found - 2 * right) <= WITHIN:
        return f"is doubled: there {found:.3g} times, {should}"
    return f"is there {found:.3g} times, {should}"
