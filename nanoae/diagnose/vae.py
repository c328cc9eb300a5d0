"""Which mistake is in this VAE? The one question, put to all that was handed over."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from nanoae.diagnose.batches import TOLERANCE, Batch, batches_of_a_function, read_batches
from nanoae.diagnose.gradients import diagnose_gradients
from nanoae.diagnose.loss import ENOUGH, diagnose_beta, diagnose_loss, diagnose_sum
from nanoae.diagnose.mistakes import CATALOGUE, Term, right_kl
from nanoae.diagnose.noise import FEW, diagnose_noise
from nanoae.diagnose.parts import Setting, diagnose_data, diagnose_kl, diagnose_reconstruction
from nanoae.diagnose.report import Diagnosis, Finding
from nanoae.diagnose.search import Match
from nanoae.validation import check_real

NEEDS = {
    "the KL": ("mu", "log_var", "kl"),
    "the reconstruction": ("x", "x_hat", "reconstruction"),
    "the noise": ("z", "mu", "log_var"),
    "the gradients": ("mu", "log_var", "eps", "grad_z", "grad_mu", "grad_log_var"),
}
OF_LOSS = ("kl", "reconstruction"), ("x", "x_hat", "mu", "log_var")  # one or the other
Part: TypeAlias = tuple[Finding, Match | None] | None  # None: not handed over
DEAD = 0.01  # nats: a latent dimension with less carries nothing


def diagnose_vae(
    batches: Iterable[Mapping[str, Any]] | None = None,
    *,
    mu: ArrayLike | None = None,
    log_var: ArrayLike | None = None,
    z: ArrayLike | None = None,
    eps: ArrayLike | None = None,
    x: ArrayLike | None = None,
    x_hat: ArrayLike | None = None,
    kl: ArrayLike | Callable[..., Any] | None = None,
    reconstruction: ArrayLike | None = None,
    loss: ArrayLike | None = None,
    grad_z: ArrayLike | None = None,
    grad_mu: ArrayLike | None = None,
    grad_log_var: ArrayLike | None = None,
    beta: float = 1.0,
    noise_variance: float = 1.0,
    free_bits: float | None = None,
    rtol: float | None = None,
) -> Diagnosis:
    """Tell which formulas a VAE really computes, of any framework, from the arrays it computed.

    Every hypothesis of the tables in `nanoae.diagnose.mistakes` is a closed form. It is kept if it
    gives every number that was reported, to rounding; the simplest one that does is named, and
    what fits nearly as simply is listed beside it (5.7b). All arguments are optional: what is
    missing is not checked, and the report says so. Best are the arrays of several batches of
    *different* sizes (a small last one will do), of one training step each, with three latent
    dimensions or more, and numbers that are not rounded.

    Parameters
    ----------
    batches : iterable of dicts, optional
        One a batch, with the names below for keys; or give one batch by the names themselves.
    mu, log_var : array-like of shape (n, k), optional
        The encoder's output. ``log_var`` is what the code calls so; that it is log σ² is one of
        the things that are looked at.
    z : array-like of shape (n, k), optional
        The sample that was decoded.
    eps : array-like of shape (n, k), optional
        The noise in it. Without it z can be judged by its distribution alone.
    x, x_hat : array-like of shape (n, ...), optional
        Data, and the decoder's output as it goes into the loss: logits, if the loss takes those.
    kl, reconstruction, loss : float or array-like, optional
        The parts as they enter the loss, and the loss: one number a batch, or one a sample. ``kl``
        may also be a function of ``mu`` and ``log_var``, which it is then called with.
    grad_z, grad_mu, grad_log_var : array-like of shape (n, k), optional
        Gradients of the loss.
    beta : float, default 1.0
        The weight that the KL is meant to have.
    noise_variance : float, default 1.0
        That a squared error is meant to be the likelihood of.
    free_bits : float, optional
        The least KL, in nats, that is charged. Without it, it is found if there are several
        batches.
    rtol : float, optional
        Relative tolerance. By default what sums of the coarsest dtype that was handed over are
        rounded by; numbers read off a printed log need one, such as 1e-3.

    Returns
    -------
    Diagnosis
        Print it. ``verdict`` is right, convention, wrong or not recognised; ``mistakes`` are names
        of `nanoae.diagnose.mistakes.CATALOGUE`.

    Raises
    ------
    TypeError, ValueError
        Something cannot be read, does not fit together, is NaN or infinite; or nothing can be
        checked with what was given.

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae import diagnose_vae
    >>> rng = np.random.default_rng(0)
    >>> mu, log_var, eps = rng.normal(size=(3, 50, 8))
    >>> x, x_hat = rng.random((2, 50, 30))
    >>> print(diagnose_vae(
    ...     mu=mu, log_var=log_var, z=mu + np.exp(log_var) * eps, eps=eps, x=x, x_hat=x_hat,
    ...     kl=-0.5 * np.mean(np.sum(1 + log_var - mu**2 - np.exp(log_var), axis=1)),
    ...     reconstruction=np.mean((x - x_hat) ** 2),
    ... ))
    WRONG: there is a mistake
    WRONG           β: effectively 15, d/2 = 15 times what it says
                    the KL is: mean over the batch; the reconstruction: mean over batch and
                    features, missing ½
    WRONG           σ: σ = exp(log_var)
                    σ² ε for σ ε, unless the array is log σ
    convention      reconstruction: squared error, mean over batch and features, missing ½
                    without ½ log 2πσ² a feature: good for training, but no ELBO before that is
                    added (1 number, relative error 2e-16)
    right           KL: right, mean over the batch (1 number, relative error 2e-16)
    right           noise: ε is standard normal
    effective β     15; the same as β = 1 with noise variance 15
    not checked     the gradients: needs grad_z, grad_mu, grad_log_var
    not checked     the loss: needs loss
    """
    check_real("beta", beta, 0, open_ends=True)
    check_real("noise_variance", noise_variance, 0, open_ends=True)
    if free_bits is not None:
        check_real("free_bits", free_bits, 0)
    if rtol is not None:
        check_real("rtol", rtol, 0, 0.1, open_ends=True)
    arrays = {
        "mu": mu, "log_var": log_var, "z": z, "eps": eps, "x": x, "x_hat": x_hat,
        "kl": None if callable(kl) else kl, "reconstruction": reconstruction, "loss": loss,
        "grad_z": grad_z, "grad_mu": grad_mu, "grad_log_var": grad_log_var,
    }  # fmt: skip
    nothing = batches is None and all(value is None for value in arrays.values())
    if nothing and not callable(kl):
        raise ValueError(
            "nothing to check: give batches, or arrays by name, such as mu, log_var and kl."
        )
    read, dtype = ([], np.dtype(np.float64)) if nothing else read_batches(batches, arrays)
    setting = Setting(
        k=read[0]["mu"].shape[1] if _has(read, "mu") else 1,
        d=read[0]["x"].shape[1] if _has(read, "x") else 1,
        beta=float(beta),
        noise_variance=float(noise_variance),
        free_bits=free_bits,
        rtol=TOLERANCE[dtype] if rtol is None else rtol,
    )
    with np.errstate(all="ignore"):  # wrong formulas overflow where right ones do not
        return _diagnose(
            read, kl if callable(kl) else None, setting, float(np.finfo(dtype).eps), rtol
        )


def _has(batches: Sequence[Batch], *keys: str) -> bool:
    return bool(batches) and all(key in batches[0] for key in keys)


def _diagnose(
    batches: list[Batch], kl_function: Callable[..., Any] | None, setting: Setting, eps: float,
    rtol: float | None,
) -> Diagnosis:  # fmt: skip
    few: list[str] = []
    kl = _diagnose_kl(batches, kl_function, setting, rtol)
    reconstruction: Part = None
    if _has(batches, *NEEDS["the reconstruction"]):
        reconstruction = diagnose_reconstruction(batches, setting)
    likelihood = reconstruction[1].term.words if reconstruction and reconstruction[1] else ""
    findings, effective = _join(batches, kl, reconstruction, kl_function is None, setting)
    together = _has(batches, "kl", "reconstruction")
    if not together and _has(batches, "loss", "x", "x_hat", "mu", "log_var"):
        of_loss, beta_of_loss, likelihood_of_loss = diagnose_loss(batches, setting)
        findings += of_loss
        if of_loss:
            effective, likelihood = beta_of_loss, likelihood_of_loss
        else:
            few.append(f"the loss alone: needs {ENOUGH} losses at least")
    if _has(batches, *NEEDS["the noise"]):
        of_noise, reads = diagnose_noise(batches, eps)
        findings = _agree(findings + of_noise, kl[1].term if kl and kl[1] else None, reads)
        if not any(finding.about == "noise" for finding in of_noise):
            few.append(f"the distribution of the noise: needs {FEW} numbers at least")
    if _has(batches, *NEEDS["the gradients"]):
        findings += diagnose_gradients(max(batches, key=lambda batch: len(batch["mu"])))
    if _has(batches, "x", "x_hat"):
        findings += diagnose_data(batches, likelihood)
    missing = few + _not_checked(batches, kl_function is not None)
    if not findings:
        raise ValueError(f"nothing to check with what was given: {'; '.join(missing)}.")
    variance = None
    if effective is not None and "squared error" in likelihood:
        variance = effective * setting.noise_variance
    notes = _dead_dimensions(batches, variance) if _has(batches, "mu", "log_var") else []
    return Diagnosis(findings, effective, variance, missing, notes)


def _diagnose_kl(
    batches: list[Batch], function: Callable[..., Any] | None, setting: Setting,
    rtol: float | None,
) -> Part:  # fmt: skip
    if function is None:
        return diagnose_kl(batches, setting) if _has(batches, *NEEDS["the KL"]) else None
    own, dtype = batches_of_a_function(function, setting.k if _has(batches, "mu") else None)
    part = diagnose_kl(own, replace(setting, rtol=TOLERANCE[dtype] if rtol is None else rtol))
    if part[0].verdict != "not recognised" or rtol is not None:
        return part
    # a float32 sum over an int is of float64 in NumPy 1, and so is one over what item() returned
    return diagnose_kl(own, replace(setting, rtol=TOLERANCE[np.dtype(np.float32)]))


def _join(
    batches: list[Batch], kl: Part, reconstruction: Part, kl_is_in_loss: bool, setting: Setting
) -> tuple[list[Finding], float | None]:
    """The two parts, how the loss adds them, and the β that they make."""
    parts = [part[0] for part in (kl, reconstruction) if part is not None]
    loss, factors = [], None
    if _has(batches, "loss", "kl", "reconstruction"):
        finding, factors = diagnose_sum(batches, setting.beta, setting.rtol)
        loss = [finding]
    add_up = factors is not None or not (_has(batches, "loss") and kl_is_in_loss)
    if not (kl and kl[1] and reconstruction and reconstruction[1] and add_up):
        return parts + loss, None
    sizes = [setting.size(float(len(batch["x"]))) for batch in batches]
    # a function's own k is not known without codes; a KL that is divided by it makes no number
    other_k = sizes[0]._replace(k=2 * sizes[0].k)
    if not _has(batches, "mu") and kl[1].weight(other_k) != kl[1].weight(sizes[0]):
        return parts + loss, None
    of_kl, of_reconstruction, of_beta, effective = diagnose_beta(
        (kl[0], kl[1]), (reconstruction[0], reconstruction[1]), factors, sizes
    )
    return [of_kl, of_reconstruction, *loss, of_beta], effective


def _agree(findings: list[Finding], kl_term: Term | None, reads: str) -> list[Finding]:
    """Where KL and z agree that the array is not log σ² but log σ, σ or σ², neither is wrong."""
    if kl_term is None or not reads or kl_term.reads != reads or reads == "log σ²":
        return findings
    agreed = []
    for finding in findings:
        if finding.about in ("KL", "σ") and finding.verdict == "wrong":
            names = tuple(
                name for name in finding.mistakes
                if getattr(CATALOGUE[name], "reads", "") != reads
            )  # fmt: skip
            says = f"KL and z agree that the array handed over as log_var is {reads}"
            verdict = finding.verdict if names else "convention"
            finding = replace(finding, verdict=verdict, mistakes=names, consequence=says)
        agreed.append(finding)
    return agreed


def _not_checked(batches: list[Batch], kl_is_function: bool) -> list[str]:
    missing = []
    for what, keys in NEEDS.items():
        lacking = [key for key in keys if not _has(batches, key)]
        if lacking and not (what == "the KL" and kl_is_function):
            missing.append(f"{what}: needs {', '.join(lacking)}")
    if not _has(batches, "loss"):
        missing.append("the loss: needs loss")
    elif not any(_has(batches, *keys) for keys in OF_LOSS):
        missing.append("the loss: needs kl and reconstruction, or x, x_hat, mu and log_var")
    return missing


def _dead_dimensions(batches: list[Batch], variance: float | None) -> list[str]:
    """How many latent dimensions carry nothing, and how many would in a linear model."""
    mu, log_var = (np.vstack([batch[key] for batch in batches]) for key in ("mu", "log_var"))
    dead = int(np.sum(right_kl(mu, log_var).mean(axis=0) < DEAD))
    if not dead:
        return []
    k = mu.shape[1]
    note = f"{dead} of {k} latent dimensions carry nothing (a KL below {DEAD} nats)"
    if variance is not None and len(mu) > k:
        x = np.vstack([batch["x"] for batch in batches])
        eigenvalues = np.linalg.svd(x - x.mean(axis=0), compute_uv=False) ** 2 / len(x)
        alive = int(np.sum(eigenvalues[:k] > variance))  # (6.2)
        note += f"; of a linear VAE with β σ² = {variance:.4g} it would be {k - alive}"
    return [note]
