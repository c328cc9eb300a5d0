"""What passes back through the sample, and what the KL adds: two equations, four factors."""

from __future__ import annotations

import numpy as np

from nanoae.arrays import Array
from nanoae.diagnose.batches import Batch
from nanoae.diagnose.mistakes import CUT, HALF_OF_KL, NO_HALF, NO_KL, SIGMA_DETACHED, Hypothesis
from nanoae.diagnose.report import Finding
from nanoae.diagnose.search import least_squares

CLOSE = 1e-3  # of factors that are 0, ½ or 1


def diagnose_gradients(batch: Batch) -> list[Finding]:
    """Hold the encoder's gradients against (5.6a) and (5.6b).

    By least squares ``∂L/∂μ = a ∂L/∂z + b μ`` and
    ``∂L/∂log σ² = a' ½ σ ε ∂L/∂z + b' ½ (σ² − 1)``: right are ``a = a' = 1`` and ``b = b'``.

    Parameters
    ----------
    batch : dict
        With ``mu, log_var, eps, grad_z, grad_mu, grad_log_var``.

    Returns
    -------
    list of Finding

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae.diagnose.gradients import diagnose_gradients
    >>> mu, log_var, eps, grad_z = np.random.default_rng(0).normal(size=(4, 20, 3))
    >>> batch = {"mu": mu, "log_var": log_var, "eps": eps, "grad_z": grad_z}
    >>> batch["grad_mu"] = grad_z + mu / 20
    >>> batch["grad_log_var"] = grad_z * np.exp(log_var / 2) * eps + (np.exp(log_var) - 1) / 40
    >>> [finding.mistakes for finding in diagnose_gradients(batch)]  # the ½ before σ is missing
    [('log_var_gradient_without_its_half',)]
    """
    mu, log_var, eps, grad_z = (batch[key] for key in ("mu", "log_var", "eps", "grad_z"))
    through_sigma = grad_z * np.exp(log_var / 2) * eps / 2
    a, b, left = _factors(batch["grad_mu"], grad_z, mu)
    a2, b2, left2 = _factors(batch["grad_log_var"], through_sigma, (np.exp(log_var) - 1) / 2)
    count = 2 * mu.size
    if mu.size < 3 or max(left, left2) > CLOSE:
        says = "the loss may hold a KL of draws or a third term: hand over gradients without it"
        words = "not made of what passes back through z and what the KL adds"
        return [Finding("gradient", "not recognised", words, says, (), count, max(left, left2))]
    found = []
    for name, factor, cut in (("μ", a, CUT), ("log σ²", a2, SIGMA_DETACHED)):
        if abs(factor) < CLOSE:
            found.append(_finding(cut, count))
        elif abs(factor - 2) < CLOSE and name != "μ":
            found.append(_finding(NO_HALF, count))
        elif abs(factor - 1) > CLOSE:
            words = f"what comes back to {name} through z is {factor:.4g} times what it should be"
            found.append(Finding("gradient", "wrong", words, "", (), count))
    if len(found) == 2 and CUT.words in found[0].words:
        found = found[:1]  # what does not pass z does not reach σ either
    size = max(np.abs(b) * np.abs(mu).max(), np.abs(b2) * np.abs(np.exp(log_var) - 1).max())
    if size < CLOSE * max(np.abs(batch["grad_mu"]).max(), np.abs(batch["grad_log_var"]).max()):
        found.append(_finding(NO_KL, count))
    elif min(abs(b), abs(b2)) < CLOSE * max(abs(b), abs(b2)):
        found.append(_finding(HALF_OF_KL, count))
    elif abs(b - b2) > CLOSE * abs(b):
        words = f"the KL weighs μ by {b:.4g} and log σ² by {b2:.4g}"
        found.append(Finding("gradient", "wrong", words, "no KL has this gradient", (), count))
    if found:
        return found
    words = "what passes back through z, and what the KL adds, is right"
    return [Finding("gradient", "right", words, "", (), count, max(left, left2))]


def _factors(gradient: Array, through_z: Array, of_kl: Array) -> tuple[float, float, float]:
    """Both factors, and the largest of what they leave as a part of the largest component."""
    A = np.stack([through_z.ravel(), of_kl.ravel()], axis=1)
    factors = least_squares(A, gradient.ravel())
    left = np.abs(A @ factors - gradient.ravel()).max() / (np.abs(gradient).max() + 1e-300)
    return float(factors[0]), float(factors[1]), float(left)


def _finding(hypothesis: Hypothesis, count: int) -> Finding:
    return Finding(
        "gradient", hypothesis.verdict, hypothesis.words, hypothesis.consequence,
        (hypothesis.name,), count,
    )  # fmt: skip
