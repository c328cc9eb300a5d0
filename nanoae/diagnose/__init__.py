"""Which mistake is in this VAE? Told from arrays that any framework can hand over.

``diagnose_vae`` asks; ``mistakes`` holds the tables of what may be the case, ``search`` how a
hypothesis is held against numbers. ``python -m nanoae.diagnose run.npz`` does it from a file.
"""

from nanoae.diagnose.report import Diagnosis, Finding
from nanoae.diagnose.vae import diagnose_vae

__all__ = ["diagnose_vae", "Diagnosis", "Finding"]
