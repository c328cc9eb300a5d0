"""How much a run tries: all that the tests ask for, or a share of it."""

from __future__ import annotations

import math

from hypothesis import settings


def scaled(full: int, least: int = 5) -> int:
    """The number of cases to try where a thorough run tries ``full``.

    The profile of hypothesis says which share it is: its ``max_examples``, of 100.

    Parameters
    ----------
    full : int
    least : int
        Not fewer than these, where there are as many. The first that hypothesis draws are the
        simplest there are, on which too much is true.
    """
    return max(math.ceil(full * settings().max_examples / 100), min(full, least))


def scale(test) -> None:
    """Scale the ``@settings(max_examples=...)`` of a test, if it has them."""
    own = getattr(test, "_hypothesis_internal_use_settings", None)  # there is no public way
    if own is not None and own is not settings.default:  # the profile's number is scaled already
        test._hypothesis_internal_use_settings = settings(
            own, max_examples=scaled(own.max_examples)
        )


def spread(cases: list) -> list:
    """As many of the cases as `scaled` says, evenly spaced, the first among them."""
    n = scaled(len(cases))
    return [cases[i * len(cases) // n] for i in range(n)] if cases else []
