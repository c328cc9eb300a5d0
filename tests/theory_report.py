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
    record = RECORDS.setdefault(number, Record(error, bound))
    record.cases += 1
    # several tests may check one equation under different bounds: show the tightest fit
    if not error * (record.bound or 1) <= record.error * (bound or 1):
        record.error, record.bound = error, bound
    assert error <= bound, f"({number}) is off by {error:.3g}, more than {bound:.3g}"
