"""Exercises that grade themselves: the formulas of the text, to be written as code.

``python -m derivations.exercises`` goes through the stubs in ``chapter01.py`` and after, and stops
at the first that is not right. The same in a notebook's cell::

    from derivations.exercises import answer

    @answer("3.1")
    def tied_gradient(W, Sigma):
        return -4 * W @ Sigma + 4 * W @ W.T @ W @ Sigma
"""

from derivations.exercises import terms  # noqa: F401  enters all exercises
from derivations.exercises.grading import answer
from derivations.exercises.hunting import hunt

__all__ = ["answer", "hunt"]
