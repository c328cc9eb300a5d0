"""The exercises that grade themselves: what they take for right, and what they say of what is not.

Every right answer is held against the package, or against derivatives by the complex step: nothing
of an exercise is its own judge. Then the grader: every mistake of the catalogue that an exercise can
have must come out named.
"""

from __future__ import annotations

import inspect
import re
import runpy
import sys

import numpy as np
import pytest
from scipy.linalg import toeplitz
from scipy.special import logsumexp, softmax
from scipy.stats import multivariate_normal, norm
from test_known_mistakes import MISTAKES, TANH_VAE  # noqa: F401
from traceability import claims, order

from derivations.exercises import __main__ as runner
from derivations.exercises import hunt
from derivations.exercises.grading import EXERCISES, drawn, find, grade
from derivations.exercises.hints import claim, hint
from derivations.exercises.hunt import culprit, suspects
from nanoae import denoising, gradient_check, losses, proximal, theory
from nanoae.diagnose.mistakes import CATALOGUE, SIGMAS, kl_formula
from nanoae.network import ACTIVATIONS, Dense, LayerNorm, MaxPool, Parameters
from nanoae.network.activations import softmax as masked_softmax

find("1.1a")  # enters all


def right_answer(number):
    """What the exercise takes for right, looked up by its arguments."""
    known = [(p.arguments, [p.right(i) for i in range(len(p.terms))]) for p in drawn(find(number))]
    calls = iter(known)

    def function(*arguments):
        return tuple(next(calls)[1])

    return function
