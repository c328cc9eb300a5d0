"""Measured against claimed: what the tests of numbered equations note, for the end of the run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Record:
    """The worst case of one equation so far."""

    error: float
    bound: float
    cases: int = 0


RECORDS: dict[str, Record] = {}


def note(number: str, error: float, bound: float, cases: int = 1) -> None:
    """Note how well a claim held; of several bounds, the tightest fit is shown."""
    record = RECORDS.setdefault(number, Record(error, bound))
    record.cases += cases
    if not error * (record.bound or 1) <= record.error * (bound or 1):
        record.error, record.bound = error, bound


def verify(number: str, error: float, bound: float) -> None:
    """Assert that a claim holds to within ``bound``, and note how well.

    Parameters
    ----------
    number : str
        The equation, such as "2.3"; the test must carry its mark.
    error, bound : float
        The claim holds if ``error <= bound``.
    """
    error, bound = float(error), float(bound)
    note(number, error, bound)
    assert error <= bound, f"({number}) is off by {error:.3g}, more than {bound:.3g}"
