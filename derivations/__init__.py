"""The text, and its exercises: ``python -m derivations.exercises``."""
