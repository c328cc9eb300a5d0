"""A hunt: a model of which something is broken, to be found by `gradient_check`."""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

import numpy as np

_undo: list[Any] = []


class Prey(NamedTuple):
    """A model with a broken gradient, and data for `gradient_check`."""

    model: Any
    X: np.ndarray


class _Patch:
    """Sets attributes and items, and knows how to set them back."""

    def setattr(self, owner: Any, name: str, value: Any) -> None:
        if name in vars(owner):
            old = vars(owner)[name]
            _undo.append(lambda: setattr(owner, name, old))
        else:  # inherited
            _undo.append(lambda: delattr(owner, name))
        setattr(owner, name, value)

    def setitem(self, table: dict[str, Any], name: str, value: Any) -> None:
        old = table[name]
        _undo.append(lambda: table.__setitem__(name, old))
        table[name] = value


def suspects() -> list[str]:
    """What may be broken, in alphabetical order."""
    from derivations.exercises.broken import BROKEN

    return sorted(BROKEN)


def culprit(number: int) -> str:
    """What is broken in model ``number``, counted from 1: not in the order of any list."""
    names = suspects()
    if not 1 <= number <= len(names):
        raise ValueError(f"hunts are numbered from 1 to {len(names)}; got {number}.")
    return names[np.random.default_rng(26).permutation(len(names))[number - 1]]


def hunt(number: int) -> Prey:
    """Break the package, in this process, as broken model ``number`` has it.

    The next `hunt` mends it, and ``hunt(0)`` does no more than that.

    Parameters
    ----------
    number : int
        From 1; `suspects` has what it may be.

    Returns
    -------
    model : estimator
        Not fitted.
    X : ndarray of shape (8, 4)

    Examples
    --------
    >>> from derivations.exercises import hunt
    >>> from nanoae import gradient_check
    >>> model, X = hunt(7)
    >>> gradient_check(model, X).error > 1e-3
    True
    >>> model, X = hunt(0)  # mended
    >>> gradient_check(model, X).error < 1e-7
    True
    """
    from derivations.exercises.broken import BROKEN

    while _undo:
        _undo.pop()()
    X = np.random.default_rng(7).random((8, 4))
    if number == 0:
        return Prey(copy.deepcopy(BROKEN["sign"][0]), X)
    model, break_it = BROKEN[culprit(number)]
    break_it(_Patch())
    return Prey(copy.deepcopy(model), X)
