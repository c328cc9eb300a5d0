"""What nanoae raises and warns of, beside Python's own ValueError and TypeError."""

from __future__ import annotations


class NotFittedError(ValueError, AttributeError):
    """A method that needs a fitted model was called before ``fit``."""


class TrainingDiverged(ArithmeticError):
    """The loss became infinite or NaN; the model keeps its last finite parameters."""


class ConvergenceWarning(UserWarning):
    """A solver used up ``max_iter`` before it met its tolerance."""
