"""The tables of what a VAE's numbers may be: right formulas, conventions, and famous mistakes.

This is the one catalogue of the mistakes that can be told from a VAE's arrays: the diagnosis names
them, ``tests/test_known_mistakes.py`` makes each on purpose in the models here, and what else
needs a list of them takes it from `CATALOGUE`. How a hypothesis is held against numbers is in
``search.py``; here is no search.

A reported number is taken for ``scale · Σ term``: a term is a formula for one latent dimension (or
feature) of one sample, a scale a reduction times up to two factors. ``met_in`` says where a
mistake was seen, which is not to say that the code there is wrong today.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from nanoae.arrays import Array

Verdict: TypeAlias = Literal["right", "convention", "wrong", "not recognised"]
LOG_2PI = float(np.log(2 * np.pi))


@dataclass(frozen=True, kw_only=True)
class Hypothesis:
    """One thing that code may do, in the words of the report.

    Attributes
    ----------
    words : str
    verdict : str
        What it is if nothing else speaks for or against it.
    consequence : str
        What comes of it.
    name : str
        In the catalogue of mistakes; empty for what is none.
    met_in : str
    cost : float
        The simplest explanation wins: a mistake costs about 1, a convention next to nothing.

    Examples
    --------
    >>> from nanoae.diagnose.mistakes import CATALOGUE
    >>> CATALOGUE["kl_without_the_minus_one"].consequence
    'k/2 nats too much: the gradient is right, the ELBO is not'
    """

    words: str
    verdict: Verdict = "right"
    consequence: str = ""
    name: str = ""
    met_in: str = ""
    cost: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Term(Hypothesis):
    """A formula for one latent dimension or one feature of one sample.

    Attributes
    ----------
    value : callable
        Of ``(mu, log_var)`` or of ``(x_hat, x)``, elementwise.
    reads : str
        What the array ``log_var`` is taken for.
    bounds : tuple of float
        It is to be told from the right formula only where log_var lies outside.
    unit : bool
        It needs x and x_hat in [0, 1].

    Examples
    --------
    >>> from nanoae.diagnose.mistakes import KL_TERMS
    >>> KL_TERMS[0].words, float(KL_TERMS[0].value(2.0, 0.0))  # ½ (2² + 1 − 1 − 0)
    ('right', 2.0)
    """

    value: Callable[[Array, Array], Array]
    reads: str = "log σ²"
    bounds: tuple[float, float] | None = None
    unit: bool = False


@dataclass(frozen=True, kw_only=True)
class Sigma(Hypothesis):
    """What the noise is multiplied by, as a function of log_var.

    Examples
    --------
    >>> from nanoae.diagnose.mistakes import SIGMAS
    >>> SIGMAS[0].words, float(SIGMAS[0].value(0))
    ('exp(log_var/2)', 1.0)
    """

    value: Callable[[Array], Array]
    reads: str = ""


class Size(NamedTuple):
    """What scales depend on: samples behind a number, latent dimensions, features, β and σ².

    Examples
    --------
    >>> from nanoae.diagnose.mistakes import KL_REDUCTIONS, Size
    >>> KL_REDUCTIONS[0].value(Size(n=4.0, k=2.0, d=9.0, beta=1.0, noise_variance=1.0))
    0.25
    """

    n: Array | float
    k: Array | float
    d: float
    beta: float
    noise_variance: float


@dataclass(frozen=True, kw_only=True)
class Scale(Hypothesis):
    """A reduction, a factor, or a product of them: what a sum of terms is multiplied by.

    Examples
    --------
    >>> from nanoae.diagnose.mistakes import KL_FACTORS, Size
    >>> half = KL_FACTORS[1]
    >>> half.words, half.name, half.value(Size(4.0, 2.0, 9.0, 1.0, 1.0))
    ('missing ½', 'kl_without_the_half', 2.0)
    """

    value: Callable[[Size], Array | float]
    parts: tuple[Scale, ...] = ()


# === KL ======================================================================================


def right_kl(mu: Array, log_var: Array) -> Array:
    """``½ (μ² + σ² − 1 − log σ²)`` of every latent dimension of every sample (5.2c).

    Examples
    --------
    >>> from nanoae.diagnose.mistakes import right_kl
    >>> float(right_kl(2.0, 0.0))
    2.0
    """
    return (mu**2 + np.exp(log_var) - 1 - log_var) / 2


def _clamped(low: float, high: float) -> Callable[[Array, Array], Array]:
    return lambda mu, log_var: right_kl(mu, np.clip(log_var, low, high))


# where the floor is high, σ cannot become as small as a posterior is
CLAMPS = [(-5.0, 5.0), (-8.0, 8.0), (-10.0, 10.0), (-20.0, 2.0), (-4.0, 4.0), (-2.0, 2.0)]
NARROW = -4.0
BEYOND = "σ cannot be what the posterior needs beyond the clamp, and has no gradient there"

KL_TERMS = [
    Term(words="right", value=right_kl),
    Term(
        words="log_var read as log σ", verdict="wrong", cost=1, reads="log σ",
        consequence="exp(log_var) is taken for σ, which is right only if the array is log σ "
        "everywhere, and then z needs exp(log_var) · ε",
        name="kl_from_exp_log_var_as_sigma",
        met_in="Common where e^log_var goes by the name of σ (DmitryUlyanov/AGE #3): every "
        "variance is taken for its square.",
        value=lambda mu, log_var: (mu**2 + np.exp(log_var) ** 2 - 1 - 2 * log_var) / 2,
    ),
    Term(
        words="log_var read as σ", verdict="wrong", cost=1, reads="σ",
        consequence="log_var itself is squared for a variance",
        name="kl_from_log_var_as_sigma",
        met_in="deepchem's VAE_KLDivergence: what it calls logvar is squared for a variance.",
        value=lambda mu, log_var: (mu**2 + log_var**2 - 1 - np.log(log_var**2)) / 2,
    ),
    Term(
        words="log_var read as σ²", verdict="wrong", cost=1, reads="σ²",
        consequence="log_var itself is the variance, and nothing keeps it positive",
        name="kl_from_log_var_as_variance",
        met_in="Common where an encoder's head is named var and left without an activation.",
        value=lambda mu, log_var: (mu**2 + log_var - 1 - np.log(log_var**2) / 2) / 2,
    ),
    Term(
        words="softplus(log_var) for σ", verdict="wrong", cost=1, reads="σ before a softplus",
        consequence="right only if z has the same σ, and then the array is no log σ²",
        name="kl_of_a_softplus",
        met_in="A head with a softplus, under a name that says logarithm.",
        value=lambda mu, log_var: (
            (mu**2 + np.log(1 + np.exp(log_var)) ** 2 - 1) / 2
            - np.log(np.log(1 + np.exp(log_var)))
        ),
    ),
    Term(
        words="σ for σ²", verdict="wrong", cost=1,
        consequence="exp(log σ) is not squared: the best σ is 2, not 1",
        name="kl_with_sigma_for_its_square",
        met_in="DaehanKim/vgae_pytorch #2.",
        value=lambda mu, log_var: (mu**2 + np.exp(log_var / 2) - 1 - log_var) / 2,
    ),
    Term(
        words="σ⁴ for σ²", verdict="wrong", cost=1,
        consequence="σ² is squared once more: the best σ² is 1/√2",
        name="kl_with_the_variance_squared",
        met_in="Common where a variance is passed to a formula for a standard deviation.",
        value=lambda mu, log_var: (mu**2 + np.exp(2 * log_var) - 1 - log_var) / 2,
    ),
    Term(
        words="missing −1", verdict="wrong", cost=1,
        consequence="k/2 nats too much: the gradient is right, the ELBO is not",
        name="kl_without_the_minus_one",
        met_in="Common in blog code, and harmless to training: the ELBO is k/2 nats too low.",
        value=lambda mu, log_var: (mu**2 + np.exp(log_var) - log_var) / 2,
    ),
    Term(
        words="missing μ²", verdict="wrong", cost=1,
        consequence="codes may lie anywhere, and samples of the prior miss them",
        name="kl_without_the_mean",
        met_in="Blog code that regularises σ alone.",
        value=lambda mu, log_var: right_kl(0 * mu, log_var),
    ),
    Term(
        words="μ for μ²", verdict="wrong", cost=1,
        consequence="unbounded below: codes run to −∞",
        name="kl_with_the_mean_unsquared",
        met_in="A lost exponent.",
        value=lambda mu, log_var: (mu + np.exp(log_var) - 1 - log_var) / 2,
    ),
    Term(
        words="missing log σ²", verdict="wrong", cost=1,
        consequence="σ is driven to 0: an autoencoder with weight on ‖μ‖²",
        name="kl_without_the_log_variance",
        met_in="A lost term.",
        value=lambda mu, log_var: (mu**2 + np.exp(log_var) - 1) / 2,
    ),
    Term(
        words="missing σ²", verdict="wrong", cost=1,
        consequence="unbounded below: σ is driven to ∞",
        name="kl_without_the_variance",
        met_in="A lost term.",
        value=lambda mu, log_var: (mu**2 - 1 - log_var) / 2,
    ),
    Term(
        words="reverse, KL(p‖q)", verdict="wrong", cost=1,
        consequence="the other direction, which is no part of an ELBO",
        name="kl_the_other_way_round",
        met_in="Common in blog code: KL(p ‖ q), which charges 1/σ² for a small σ where log 1/σ is "
        "due.",
        value=lambda mu, log_var: (log_var + (1 + mu**2) * np.exp(-log_var) - 1) / 2,
    ),
    Term(
        words="½ on log σ² only", verdict="wrong", cost=1,
        consequence="μ² and σ² lack their ½: the best σ is 1/√2",
        name="kl_with_its_half_on_the_log_alone",
        met_in="SupaeroDataScience/deep-learning PR 6.",
        value=lambda mu, log_var: mu**2 + np.exp(log_var) - log_var / 2 - 0.5,
    ),
    Term(
        words="sign of log σ² flipped", verdict="wrong", cost=1,
        consequence="σ is driven to 0",
        name="kl_with_the_sign_of_its_log_flipped",
        met_in="FluxML/model-zoo PR 147.",
        value=lambda mu, log_var: (mu**2 + np.exp(log_var) - 1 + log_var) / 2,
    ),
    Term(
        words="sign of μ² flipped", verdict="wrong", cost=1,
        consequence="unbounded below: codes are driven to ∞",
        name="kl_with_the_sign_of_its_mean_flipped",
        met_in="A lost bracket.",
        value=lambda mu, log_var: (-(mu**2) + np.exp(log_var) - 1 - log_var) / 2,
    ),
    Term(
        words="sign of the 1 flipped", verdict="wrong", cost=1,
        consequence="k nats too much: the gradient is right, the ELBO is not",
        name="kl_with_the_sign_of_its_one_flipped",
        met_in="A lost bracket.",
        value=lambda mu, log_var: (mu**2 + np.exp(log_var) + 1 - log_var) / 2,
    ),
    Term(
        words="(log σ)² for −log σ²", verdict="wrong", cost=1,
        consequence="no KL: it is least at a σ below 1",
        name="kl_with_its_log_squared",
        met_in="FluxML/model-zoo #73.",
        value=lambda mu, log_var: (mu**2 + np.exp(log_var) - 1 + log_var**2 / 4) / 2,
    ),
    Term(
        words="μ and log_var swapped", verdict="wrong", cost=1,
        consequence="the encoder's output is split in the other order",
        name="kl_of_mean_and_log_variance_swapped",
        met_in="An encoder that returns its two heads in the other order.",
        value=lambda mu, log_var: right_kl(log_var, mu),
    ),
    Term(
        words="σ fixed to 1", verdict="wrong", cost=1,
        consequence="½ ‖μ‖²: the variance is not in it",
        name="kl_of_a_variance_of_one",
        met_in="Common beside z = μ + ε.",
        value=lambda mu, log_var: mu**2 / 2 + 0 * log_var,
    ),
    Term(
        words="log σ for log σ²", verdict="wrong", cost=1,
        consequence="the best σ² is ½",
        name="kl_with_log_sigma_for_its_double",
        met_in="A formula in σ, read with log σ² at one place and log σ at the other.",
        value=lambda mu, log_var: (mu**2 + np.exp(log_var) - 1 - log_var / 2) / 2,
    ),
    Term(
        words="log_var clamped to [0, inf]", verdict="wrong", cost=1.05, bounds=(0.0, np.inf),
        consequence="σ is never below 1: a relu behind the encoder's last layer",
        name="kl_of_a_rectified_log_variance",
        met_in="TensorflowProjects PR 1, video_prediction #3: a relu on log_var.",
        value=_clamped(0.0, np.inf),
    ),
    *(
        Term(
            words=f"log_var clamped to [{low:g}, {high:g}]", bounds=(low, high),
            verdict="wrong" if low >= NARROW else "convention",
            cost=1.05 if low >= NARROW else 0.05, consequence=BEYOND, value=_clamped(low, high),
        )
        for low, high in CLAMPS
    ),
]  # fmt: skip

SUMMED = "right if the reconstruction is summed over the batch too; else β grows with the batch"

KL_REDUCTIONS = [
    Scale(words="mean over the batch", value=lambda s: 1 / s.n),
    Scale(
        words="sum over the batch", verdict="convention", consequence=SUMMED,
        name="kl_summed_over_the_batch",
        met_in="Common in code that sums one term and averages the other: β grows with the batch "
        "size.",
        value=lambda s: 1 + 0 * s.n,
    ),
    Scale(
        words="mean over batch and features", verdict="convention", cost=0.2,
        consequence="right if the reconstruction is averaged over the features too; else β is "
        "effectively 1/d of what it says",
        value=lambda s: 1 / (s.n * s.d),
    ),
    Scale(
        words="mean over batch and latent dimensions", verdict="wrong", cost=1,
        consequence="β is effectively 1/k of what it says",
        name="kl_averaged_over_latent_dimensions",
        met_in="keras-io's example, grammarVAE and keras-molecules: a β of 1/k that nobody chose.",
        value=lambda s: 1 / (s.n * s.k),
    ),
    Scale(
        words="mean over latent dimensions, sum over the batch", verdict="wrong", cost=1,
        consequence="β is effectively 1/k of what it says",
        name="kl_averaged_over_latent_dimensions",
        value=lambda s: 1 / s.k + 0 * s.n,
    ),
    Scale(
        words="mean over features, sum over the batch", verdict="convention", cost=1.3,
        consequence="right if the reconstruction is, too; else β is effectively 1/d of what it "
        "says",
        value=lambda s: 1 / s.d + 0 * s.n,
    ),
    Scale(
        words="divided by the batch size twice", verdict="wrong", cost=1.3,
        consequence="β falls with the batch size",
        name="kl_divided_by_the_batch_size_twice",
        met_in="zfjsail/gae-pytorch #3: a mean, divided by n once more.",
        value=lambda s: 1 / s.n**2,
    ),
    Scale(
        words="divided by the batch size twice and by the features", verdict="wrong", cost=1.3,
        consequence="β falls with the batch size",
        value=lambda s: 1 / (s.n**2 * s.d),
    ),
    Scale(
        words="divided by the batch size twice and by the latent dimensions", verdict="wrong",
        consequence="β falls with the batch size", cost=1.3,
        value=lambda s: 1 / (s.n**2 * s.k),
    ),
]  # fmt: skip

SIGN = Scale(
    words="sign flipped", verdict="wrong", cost=1,
    consequence="a KL is never negative: added to a loss, it drives q away from the prior. Right "
    "if the loss subtracts it: hand over the loss too, and that is told",
    name="kl_with_its_sign_flipped",
    met_in="Common where an ELBO is minimised or the minus before ½ is lost "
    "(AntixK/PyTorch-VAE #68).",
    value=lambda s: -1.0,
)  # fmt: skip
BITS = Scale(
    words="in bits", verdict="convention", cost=0.1, value=lambda s: float(1 / np.log(2)),
    consequence="1 nat is 1.44 bits: right if the reconstruction is in bits too",
)  # fmt: skip
KL_FACTORS = [
    SIGN,
    Scale(
        words="missing ½", verdict="wrong", cost=1,
        consequence="β is effectively twice what it says",
        name="kl_without_the_half",
        met_in="Common where the reconstruction has no ½ either: then it is no mistake.",
        value=lambda s: 2.0,
    ),
    Scale(
        words="½ twice", verdict="wrong", cost=1.2,
        consequence="β is effectively half of what it says",
        name="kl_with_its_half_twice",
        met_in="A ½ in the formula, and a mean of the two losses.",
        value=lambda s: 0.5,
    ),
    Scale(words="times β", verdict="convention", cost=0.1, value=lambda s: s.beta),
    BITS,
]  # fmt: skip

SOME_DIMENSIONS = Hypothesis(
    words="some of the latent dimensions only", verdict="wrong",
    consequence="nothing keeps the others near the prior",
    name="kl_of_some_dimensions_only",
    met_in="A slice that was meant for another array.",
)  # fmt: skip
ONE_SAMPLE = Hypothesis(
    words="one sample of the batch only", verdict="wrong",
    consequence="the others are free of the prior",
    name="kl_of_one_sample_only",
    met_in="mu[0] for mu.",
)  # fmt: skip

# === Reconstruction ==========================================================================

CONSTANT = "without ½ log 2πσ² a feature: good for training, but no ELBO before that is added"


def bernoulli_of_logits(a: Array, x: Array) -> Array:
    """``softplus(a) − x a`` of every feature of every sample (1.4a).

    Examples
    --------
    >>> from nanoae.diagnose.mistakes import bernoulli_of_logits
    >>> round(float(bernoulli_of_logits(0.0, 1.0)), 4)  # log 2
    0.6931
    """
    return np.logaddexp(0, a) - x * a


def _bernoulli(edge: float) -> Callable[[Array, Array], Array]:
    def value(p: Array, x: Array) -> Array:
        p = np.clip(p, edge, 1 - edge)
        with np.errstate(divide="ignore"):  # torch, too, has no logarithm below −100
            log_p, log_q = np.maximum(np.log(p), -100), np.maximum(np.log1p(-p), -100)
        return -(x * log_p + (1 - x) * log_q)

    return value


def _sigmoid(a: Array) -> Array:
    return np.exp(-np.logaddexp(0, -a))


def reconstruction_terms(noise_variance: float) -> list[Term]:
    """The terms of a reconstruction under this noise variance.

    Examples
    --------
    >>> from nanoae.diagnose.mistakes import reconstruction_terms
    >>> squared_error = reconstruction_terms(1 / 2)[0]
    >>> squared_error.words, float(squared_error.value(3.0, 1.0))  # (3 − 1)² / 2σ²
    ('squared error', 4.0)
    """
    s2 = noise_variance
    constant = 0.5 * (LOG_2PI + np.log(s2))
    swapped = "x and x_hat change places"
    terms = [
        Term(
            words="squared error", verdict="convention", consequence=CONSTANT,
            name="log_2_pi_left_out_of_the_elbo",
            met_in='Common wherever constants are dropped "for training" and the result is called '
            "an ELBO.",
            value=lambda y, x: (y - x) ** 2 / (2 * s2),
        ),
        Term(
            words="squared error with log 2πσ²",
            value=lambda y, x: (y - x) ** 2 / (2 * s2) + constant,
        ),
        Term(
            words="squared error with log σ²", verdict="convention", consequence=CONSTANT,
            cost=0.01, value=lambda y, x: (y - x) ** 2 / (2 * s2) + 0.5 * np.log(s2),
        ),
        Term(
            words="absolute error", verdict="convention",
            consequence="a Laplace likelihood of scale 1 without its constant, if meant",
            value=lambda y, x: np.abs(y - x),
        ),
        Term(words="Bernoulli of probabilities", unit=True, value=_bernoulli(0.0)),
        Term(
            words="Bernoulli of probabilities clipped at 1e-7", verdict="convention", cost=0.05,
            unit=True, consequence="no pixel costs more than 16 nats, however wrong",
            name="cross_entropy_of_clipped_probabilities",
            met_in="The usual remedy: finite, but no pixel costs more than 16 nats, however "
            "wrong.",
            value=_bernoulli(1e-7),
        ),
        Term(words="Bernoulli of logits", value=bernoulli_of_logits),
        Term(
            words="sigmoid twice", verdict="wrong", cost=1,
            consequence="x_hat are logits, squashed once by hand and once by the loss: no pixel "
            "can be darker than ½",
            name="sigmoid_applied_twice",
            met_in="A sigmoid output under a loss that takes logits (V-GAN-tensorflow #16): no "
            "pixel can be darker than ½.",
            value=lambda a, x: bernoulli_of_logits(_sigmoid(a), x),
        ),
        Term(
            words="Bernoulli of probabilities, arguments swapped", verdict="wrong", cost=1,
            unit=True, consequence=swapped, name="cross_entropy_of_swapped_arguments",
            met_in="autonomousvision/sledge #4: cross-entropy(x, x̂) for cross-entropy(x̂, x).",
            value=lambda p, x: _bernoulli(0.0)(x, p),
        ),
        Term(
            words="Bernoulli of logits, arguments swapped", verdict="wrong", cost=1,
            consequence=swapped, name="cross_entropy_of_swapped_arguments",
            value=lambda a, x: bernoulli_of_logits(x, a),
        ),
    ]  # fmt: skip
    return [t for t in terms if s2 != 1 or t.words != "squared error with log σ²"]


RECONSTRUCTION_REDUCTIONS = [
    Scale(words="mean over the batch", value=lambda s: 1 / s.n),
    Scale(
        words="sum over the batch", verdict="convention", value=lambda s: 1 + 0 * s.n,
        consequence="right if the KL is summed over the batch too; else β falls with the batch",
        name="reconstruction_summed_over_the_batch",
        met_in="A sum beside a mean, the other way round.",
    ),
    Scale(
        words="mean over batch and features", verdict="convention", cost=0.2,
        consequence="right if the KL is divided by the features too; else β is effectively d "
        "times what it says",
        name="reconstruction_averaged_over_features",
        met_in="A framework's mean squared error beside a summed KL, met everywhere: β is d times "
        "larger.",
        value=lambda s: 1 / (s.n * s.d),
    ),
    Scale(
        words="mean over features, sum over the batch", verdict="convention", cost=1,
        consequence="right if the KL is divided by the features too",
        name="reconstruction_averaged_over_features",
        value=lambda s: 1 / s.d + 0 * s.n,
    ),
    Scale(
        words="divided by the batch size twice", verdict="wrong", cost=1.3,
        consequence="β grows with the batch size",
        name="reconstruction_divided_by_the_batch_size_twice",
        met_in="A mean over the batch, divided by n once more.",
        value=lambda s: 1 / s.n**2,
    ),
    Scale(
        words="divided by the batch size twice and by the features", verdict="wrong", cost=1.3,
        consequence="β grows with the batch size",
        value=lambda s: 1 / (s.n**2 * s.d),
    ),
]  # fmt: skip
RECONSTRUCTION_FACTORS = [
    Scale(
        words="sign flipped", verdict="wrong", cost=1,
        consequence="a log-likelihood: added to a loss, it drives reconstructions away from the "
        "data. Right if the loss subtracts it: hand over the loss too, and that is told",
        name="reconstruction_with_its_sign_flipped",
        met_in="Common where an ELBO is minimised.",
        value=lambda s: -1.0,
    ),
    Scale(
        words="missing ½", verdict="convention", cost=0.3,
        consequence="half the noise variance that it says",
        name="squared_error_without_the_half_of_the_likelihood",
        met_in="‖x − x̂‖²/σ² + KL, common in blog code: half the noise variance that it says.",
        value=lambda s: 2.0,
    ),
    Scale(words="½ twice", verdict="wrong", cost=1.2, value=lambda s: 0.5),
    Scale(
        words="missing 1/σ²", verdict="wrong", cost=1, name="noise_variance_left_out",
        consequence="the noise variance is not in it",
        met_in="A plain squared error beside a noise variance that was chosen.",
        value=lambda s: s.noise_variance,
    ),
    Scale(
        words="1/σ for 1/σ²", verdict="wrong", cost=1,
        consequence="the error is divided by σ where its square is due",
        name="squared_error_divided_by_sigma",
        met_in="A noise scale, taken for a variance.",
        value=lambda s: s.noise_variance**0.5,
    ),
    Scale(  # at σ² = 1 this is the missing ½
        words="missing 1/(2σ²)", verdict="wrong", cost=0.3, name="noise_variance_left_out",
        consequence="the noise variance is not in it",
        value=lambda s: 2 * s.noise_variance if s.noise_variance != 1 else 1.0,
    ),
    Scale(
        words="times β", verdict="wrong", cost=1,
        consequence="β weighs the reconstruction: a large β is a small one",
        name="reconstruction_weighted_by_beta",
        met_in="tsgm #69 and others: β before the wrong term.",
        value=lambda s: s.beta,
    ),
    BITS,
]  # fmt: skip

# two of these in one product would be one of the others, or nothing
_EXCLUSIVE = [
    {"missing ½", "½ twice"}, {"missing ½", "missing 1/(2σ²)"}, {"½ twice", "missing 1/(2σ²)"},
    {"missing 1/σ²", "missing 1/(2σ²)"}, {"missing 1/σ²", "1/σ for 1/σ²"},
    {"1/σ for 1/σ²", "missing 1/(2σ²)"},
]  # fmt: skip


def scales(reductions: list[Scale], factors: list[Scale], size: Size) -> list[Scale]:
    """All products of a reduction and up to two factors that are not 1, the simplest first.

    Examples
    --------
    >>> from nanoae.diagnose.mistakes import KL_FACTORS, KL_REDUCTIONS, Size, scales
    >>> found = scales(KL_REDUCTIONS, KL_FACTORS, Size(8.0, 2.0, 3.0, 4.0, 1.0))
    >>> len(found), [scale.words for scale in found[:3]]
    (135, ['mean over the batch', 'sum over the batch', 'mean over the batch, times β'])
    """
    factors = [f for f in factors if f.value(size) != 1]
    values = [np.broadcast_to(r.value(size), np.shape(size.n)).tolist() for r in reductions]
    # with one sample behind a number, one dimension or no known data, some are the same
    reductions = [r for i, r in enumerate(reductions) if values[i] not in values[:i]]
    products = [
        combination
        for count in range(3)
        for combination in combinations(factors, count)
        if not any(pair <= {f.words for f in combination} for pair in _EXCLUSIVE)
    ]
    found = [_product((reduction, *factors)) for reduction in reductions for factors in products]
    return sorted(found, key=lambda scale: scale.cost)


def _product(parts: tuple[Scale, ...]) -> Scale:
    def value(size: Size) -> Array | float:
        product: Array | float = 1.0
        for part in parts:
            product = product * part.value(size)
        return product

    return Scale(
        words=", ".join(part.words for part in parts),
        cost=sum(part.cost for part in parts),
        value=value,
        parts=parts,
    )


# === Noise ===================================================================================


def _clamped_sigma(low: float, high: float) -> Callable[[Array], Array]:
    return lambda log_var: np.exp(np.clip(log_var, low, high) / 2)


SIGMAS = [
    Sigma(words="exp(log_var/2)", value=lambda v: np.exp(v / 2), reads="log σ²"),
    Sigma(
        words="exp(log_var)", verdict="wrong", value=lambda v: np.exp(v), reads="log σ",
        consequence="σ² ε for σ ε, unless the array is log σ",
        name="noise_scaled_by_the_variance",
        met_in="Common where exp(log_var) lacks its ½ (keras PR 9972, ibp_vae #3): σ² ε for σ ε.",
    ),
    Sigma(
        words="log_var", verdict="wrong", value=lambda v: v, reads="σ",
        consequence="log_var itself is taken for σ, which may even be negative",
        name="log_var_used_as_standard_deviation",
        met_in='Common in blog code whose encoder has a head named "std": σ may even be negative.',
    ),
    Sigma(
        words="√|log_var|", verdict="wrong", value=lambda v: np.sqrt(np.abs(v)), reads="σ²",
        consequence="log_var itself is taken for σ²",
        name="log_var_used_as_variance",
        met_in="Common beside a KL that reads the same array as log σ².",
    ),
    Sigma(
        words="1", verdict="wrong", value=lambda v: np.ones_like(v),
        consequence="the scale of the prior: the decoder never sees the σ that the KL asks for",
        name="posterior_sampled_at_the_scale_of_the_prior",
        met_in="Blog code with z = μ + ε: the KL asks for a σ that the decoder never gets to see.",
    ),
    Sigma(
        words="softplus(log_var)", verdict="wrong", value=lambda v: np.logaddexp(0, v),
        reads="σ before a softplus",
        consequence="right only if the KL reads the array so, too",
        name="noise_scaled_by_softplus",
        met_in="A head with a softplus beside a KL for a logarithm.",
    ),
    Sigma(
        words="exp(2 log_var)", verdict="wrong", value=lambda v: np.exp(2 * v),
        consequence="four times the exponent",
        name="noise_scaled_by_the_squared_variance",
        met_in="A ½ turned into a 2.",
    ),
    Sigma(
        words="max(exp(log_var/2), 1)", verdict="wrong",
        value=lambda v: np.exp(np.maximum(v, 0) / 2),
        consequence="log_var behind a relu: σ is never below 1",
        name="noise_scaled_by_a_rectified_log_variance",
        met_in="TensorflowProjects PR 1, video_prediction #3: a relu on log_var.",
    ),
    *(
        Sigma(
            words=f"exp(log_var/2) with log_var clamped to [{low:g}, {high:g}]",
            verdict="convention", reads="log σ²",
            value=_clamped_sigma(low, high),
        )
        for low, high in CLAMPS
    ),
]  # fmt: skip

NO_NOISE = Hypothesis(
    words="z = μ", verdict="wrong",
    consequence="no noise: an autoencoder, in which σ is free to please the KL (or evaluation "
    "mode: then hand over arrays of training)",
    name="noise_left_out",
    met_in="Training in evaluation mode (timeseries-clustering-vae #14): the decoder sees means, "
    "and σ is free to please the KL.",
)  # fmt: skip
CONSTANT_NOISE = Hypothesis(
    words="ε is the same number everywhere", verdict="wrong",
    consequence="no draw at all: z is a fixed function of x",
    name="noise_without_a_draw",
    met_in="keras_lstm_vae #1, MONAI PR 8921: μ + σ.",
)  # fmt: skip
ROW_NOISE = Hypothesis(
    words="the same ε for the whole batch", verdict="wrong",
    consequence="unbiased, but a larger batch is no less noisy",
    name="same_noise_for_the_whole_batch",
    met_in="Noise of shape (k,) that broadcasts: unbiased, but a larger batch is no less noisy.",
)  # fmt: skip
COLUMN_NOISE = Hypothesis(
    words="the same ε for all latent dimensions", verdict="wrong",
    consequence="q is a line, not a Gaussian with independent dimensions: its KL is another",
    name="same_noise_for_all_dimensions",
    met_in="Noise of shape (n, 1) that broadcasts.",
)  # fmt: skip
STEP_NOISE = Hypothesis(
    words="the same ε in every batch", verdict="wrong",
    consequence="a generator seeded anew, or noise drawn when the graph was built: the model "
    "learns one draw by heart",
    name="same_noise_at_every_step",
    met_in="A generator seeded anew in the forward pass (tensorflow #36715, l4casadi #32): the "
    "model learns one draw by heart.",
)  # fmt: skip
UNIFORM_NOISE = Hypothesis(
    words="ε is uniform on [0, 1]", verdict="wrong",
    consequence="a mean of ½ and a twelfth of the variance",
    name="uniform_noise",
    met_in="rand for randn: a mean of ½ and a twelfth of the variance.",
)  # fmt: skip
SCALED_NOISE = Hypothesis(
    words="noise of another scale", verdict="wrong",
    consequence="the noise has another scale than the KL's",
    name="noise_of_another_scale",
    met_in="keras PR 4211: an epsilon_std of 0.01.",
)  # fmt: skip

# === Gradients, data =========================================================================

CUT = Hypothesis(
    words="no gradient passes z", verdict="wrong",
    consequence="the KL alone trains the encoder, to collapse",
    name="gradient_cut_at_the_sample",
    met_in="A sampling call that no gradient passes: the KL alone trains the encoder, to "
    "collapse.",
)  # fmt: skip
SIGMA_DETACHED = Hypothesis(
    words="no gradient reaches σ through z", verdict="wrong",
    consequence="the KL alone trains σ, to 1",
    name="sigma_detached_in_the_sample",
    met_in="σ computed from detached values, or under no_grad.",
)  # fmt: skip
NO_HALF = Hypothesis(
    words="∂σ/∂log σ² is taken for σ, twice what it is", verdict="wrong",
    consequence="the noise is fought twice as hard",
    name="log_var_gradient_without_its_half",
    met_in="Hand-written backprop that takes ∂σ/∂log σ² for σ: the noise is fought twice as hard.",
)  # fmt: skip
NO_KL = Hypothesis(
    words="the KL is not in the gradient", verdict="wrong",
    consequence="it is reported and never descended",
    name="kl_left_out_of_the_gradient",
    met_in="Hand-written backprop that reports the KL and never descends it.",
)  # fmt: skip
HALF_OF_KL = Hypothesis(
    words="the KL's gradient reaches one of μ and log σ² only", verdict="wrong",
    consequence="the other is detached in the KL",
    name="kl_gradient_of_one_head_only",
    met_in="A detached head.",
)  # fmt: skip
LARGE_PIXELS = Hypothesis(
    words="x outside [0, 1] under a Bernoulli likelihood", verdict="wrong",
    consequence="unbounded below: the loss falls without end, and looks like success",
    name="pixels_up_to_255_as_probabilities",
    met_in="Common with raw image files: the loss falls without end, and looks like success.",
)  # fmt: skip
SQUASHED = Hypothesis(
    words="sigmoid twice", verdict="wrong",
    consequence="no pixel can be darker than ½",
    name="sigmoid_applied_twice",
)  # fmt: skip
KL_NOT_IN_LOSS = Hypothesis(
    words="reconstruction alone", verdict="wrong",
    consequence="the KL is not in the loss",
    name="kl_left_out_of_the_loss",
    met_in="A KL that is logged and not added.",
)  # fmt: skip

_ALL: list[Hypothesis] = [
    *KL_TERMS, *KL_REDUCTIONS, *KL_FACTORS, SOME_DIMENSIONS, ONE_SAMPLE,
    *reconstruction_terms(1 / 2), *RECONSTRUCTION_REDUCTIONS, *RECONSTRUCTION_FACTORS,
    *SIGMAS, NO_NOISE, CONSTANT_NOISE, ROW_NOISE, COLUMN_NOISE, STEP_NOISE, UNIFORM_NOISE,
    SCALED_NOISE, CUT, SIGMA_DETACHED, NO_HALF, NO_KL, HALF_OF_KL, LARGE_PIXELS, KL_NOT_IN_LOSS,
]  # fmt: skip
CATALOGUE: dict[str, Hypothesis] = {h.name: h for h in reversed(_ALL) if h.name}


def kl_formula(name: str) -> Callable[[Array, Array], Array] | None:
    """A wrong KL of the catalogue as a formula for one dimension of one sample, for a batch mean.

    Parameters
    ----------
    name : str
        In `CATALOGUE`.

    Returns
    -------
    callable or None
        Of ``(mu, log_var)``, to be summed over dimensions and averaged over samples; None if the
        mistake is not in the KL.

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae.diagnose.mistakes import kl_formula
    >>> formula = kl_formula("kl_averaged_over_latent_dimensions")
    >>> formula(np.full((1, 4), 2.0), np.zeros((1, 4))).tolist()  # a quarter of 2 each
    [[0.5, 0.5, 0.5, 0.5]]
    """
    entry = CATALOGUE[name]
    if entry in KL_TERMS:
        assert isinstance(entry, Term)
        return entry.value
    if entry not in KL_REDUCTIONS + KL_FACTORS:
        return None
    assert isinstance(entry, Scale)
    scale = entry.value

    def formula(mu: Array, log_var: Array) -> Array:
        n, k = mu.shape
        weight = scale(Size(float(n), float(k), 1.0, 1.0, 1.0))
        return right_kl(mu, log_var) * (weight * n if entry in KL_REDUCTIONS else weight)

    return formula
