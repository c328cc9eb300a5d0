"""What a diagnosis says: findings with a verdict, and the report in plain words."""

from __future__ import annotations

from dataclasses import dataclass, field
from textwrap import wrap
from typing import Any

import numpy as np

from nanoae.diagnose.mistakes import Verdict

# the worst first: that of a whole diagnosis is the first that any finding has
VERDICTS: tuple[Verdict, ...] = ("wrong", "not recognised", "convention", "right")
WIDTH = 80
HEADLINES = {
    "wrong": "WRONG: there is a mistake",
    "not recognised": "NOT RECOGNISED: no mistake found, but not all could be told",
    "convention": "right, by conventions that are spelled out below",
    "right": "right",
}


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes
    ----------
    about : str
        'KL', 'reconstruction', 'loss', 'β', 'σ', 'noise', 'gradient' or 'data'.
    verdict : {'right', 'convention', 'wrong', 'not recognised'}
    words : str
        Which formula it is.
    consequence : str
        What comes of it.
    mistakes : tuple of str
        The names of the mistakes in `nanoae.diagnose.mistakes.CATALOGUE`.
    numbers : int
        How many numbers it was held against.
    error : float
        The largest relative error that the formula leaves; NaN where that has no meaning.
    also : tuple of str
        What fits these numbers as well.

    Examples
    --------
    >>> from nanoae.diagnose import Finding
    >>> print(Finding("KL", "right", "right, mean over the batch", numbers=3, error=2e-8))
    right           KL: right, mean over the batch (3 numbers, relative error 2e-08)
    """

    about: str
    verdict: Verdict
    words: str
    consequence: str = ""
    mistakes: tuple[str, ...] = ()
    numbers: int = 0
    error: float = float("nan")
    also: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [f"{self.about}: {self.words}"]
        if self.consequence:
            lines.append(self.consequence)
        if self.numbers and np.isfinite(self.error):
            numbers = "1 number" if self.numbers == 1 else f"{self.numbers} numbers"
            lines[-1] += f" ({numbers}, relative error {self.error:.0e})"
        if self.also:
            lines.append(f"not to be told from: {'; '.join(self.also)}")
        wrapped = [piece for line in lines for piece in wrap(line, WIDTH)]
        verdict = self.verdict.upper() if self.verdict == "wrong" else self.verdict
        return f"{verdict:<16}" + f"\n{'':16}".join(wrapped)


@dataclass(frozen=True)
class Diagnosis:
    """What `diagnose_vae` found; print it.

    Attributes
    ----------
    findings : list of Finding
    effective_beta : float or None
        The β of the loss that was really computed, at the noise variance that was given; None if
        it could not be told.
    noise_variance : float or None
        Of squared errors: the noise variance at which β = 1 has the same optimum (6.8).
    not_checked : list of str
        What was not looked at, and what that takes.
    notes : list of str
        What is neither right nor wrong, such as latent dimensions that carry nothing.

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae import diagnose_vae
    >>> mu, log_var = np.array([[0.3, -1.2, 2.0], [0.1, 0.5, -0.7]]), np.full((2, 3), -1.0)
    >>> kl = np.mean((mu**2 + np.exp(log_var) - 1 - log_var) / 2)  # a mean over all
    >>> found = diagnose_vae(mu=mu, log_var=log_var, kl=kl)
    >>> found.verdict, found.mistakes
    ('wrong', ['kl_averaged_over_latent_dimensions'])
    """

    findings: list[Finding]
    effective_beta: float | None = None
    noise_variance: float | None = None
    not_checked: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def verdict(self) -> Verdict:
        """The worst of all findings."""
        return min((f.verdict for f in self.findings), key=VERDICTS.index)

    @property
    def mistakes(self) -> list[str]:
        """The names in the catalogue of the mistakes found, each once."""
        found = (name for f in self.findings if f.verdict == "wrong" for name in f.mistakes)
        return list(dict.fromkeys(found))

    def __str__(self) -> str:
        findings = sorted(self.findings, key=lambda f: VERDICTS.index(f.verdict))
        lines = [HEADLINES[self.verdict], *map(str, findings)]
        if self.effective_beta is not None:
            line = f"{'effective β':<16}{self.effective_beta:.6g}"
            if self.noise_variance is not None:
                line += f"; the same as β = 1 with noise variance {self.noise_variance:.6g}"
            lines.append(line)
        lines += [f"{'note':<16}{note}" for note in self.notes]
        lines += [f"{'not checked':<16}{what}" for what in self.not_checked]
        return "\n".join(lines)

    def as_dict(self) -> dict[str, Any]:
        """All of it in words, numbers, lists and None, for JSON."""
        return {
            "verdict": self.verdict,
            "mistakes": self.mistakes,
            "effective_beta": self.effective_beta,
            "noise_variance": self.noise_variance,
            "findings": [
                {
                    **vars(finding),
                    "mistakes": list(finding.mistakes),
                    "also": list(finding.also),
                    "error": finding.error if np.isfinite(finding.error) else None,
                }
                for finding in self.findings
            ],
            "notes": self.notes,
            "not_checked": self.not_checked,
        }
