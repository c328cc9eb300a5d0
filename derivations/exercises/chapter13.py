"""Chapter 13, adversarial: in order of difficulty.

Replace each ``raise NotImplementedError``, then run ``python -m derivations.exercises`` in the
folder of the project. Rows are samples where there are several. Sizes such as n and k are others
in every problem, so take them from the arguments.
"""

import numpy as np  # noqa: F401  for your answers

from derivations.exercises import answer


@answer("13.1b")
def encoder_gradient(logits_codes):
    """The gradient of the non-saturating loss of the encoder by the logits of codes.

    logits_codes (n,) → ∂L_NS/∂a (n,)
    """
    raise NotImplementedError


@answer("13.1")
def discriminator_gradients(logits_prior, logits_codes):
    """The gradients of the discriminator's loss L_D by the logits of draws of the prior, and of
    codes, a tuple.

    logits_prior (m,), logits_codes (n,) → by the logits of the prior (m,), by those of the
    codes (n,)
    """
    raise NotImplementedError


@answer("13.2a")
def discriminator_loss(logits_prior, logits_codes):
    """L_D from the same logits, which may be of the order of 1000: draws of the prior have the
    label 1.

    logits_prior (m,), logits_codes (n,) → L_D
    """
    raise NotImplementedError


@answer("13.7e")
def wasserstein(mean, S):
    """The squared 2-Wasserstein distance of N(m, S) from N(0, I).

    mean (k,), S (k, k) → W₂²
    """
    raise NotImplementedError
