"""What is right, exercise by exercise. To look here first is to read the last page first."""

from derivations.exercises.terms import (  # noqa: F401  each enters its exercises
    chapter01,
    chapter02,
    chapter03,
    chapter04,
    chapter05,
    chapter06,
    chapter07,
    chapter08,
    chapter09,
    chapter10,
    chapter11,
    chapter12,
    chapter13,
    chapter14,
)
