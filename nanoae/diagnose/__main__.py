"""``python -m nanoae.diagnose run.npz``: the report on a file of arrays."""

from __future__ import annotations

import argparse
import json
import re
import sys
import zipfile
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from nanoae.diagnose import diagnose_vae

DESCRIPTION = """Tell which formulas a VAE really computes. The file holds arrays named mu,
log_var, z, eps, x, x_hat, kl, reconstruction, loss, grad_z, grad_mu, grad_log_var, as many of them
as there are; of several batches mu_0, mu_1 and so on. Exit status: 0 if no mistake was found, 1 if
one was, 2 if the file cannot be read. What was not recognised is in the report, and is no mistake
found."""


def read(path: str) -> list[dict[str, Any]]:
    """The batches in a file: one, or those that numbers at the end of the names tell apart.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> from nanoae.diagnose.__main__ import read
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "run.npz")
    ...     np.savez(path, mu_0=np.zeros((2, 1)), mu_1=np.zeros((3, 1)))
    ...     [batch["mu"].shape for batch in read(path)]
    [(2, 1), (3, 1)]
    """
    try:
        with open(path, "rb") as opened, np.lib.npyio.NpzFile(opened, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} cannot be read as an npz file: {error}") from None
    if not arrays:
        raise ValueError(f"{path} holds no arrays; write some with np.savez.")
    if "arr_0" in arrays:
        raise ValueError(
            f"{path} holds arrays without names; write it with np.savez(path, mu=mu, …)."
        )
    batches: dict[int, dict[str, Any]] = defaultdict(dict)
    for name, array in arrays.items():
        numbered = re.fullmatch(r"(.+?)_(\d+)", name)
        key, i = (numbered[1], int(numbered[2])) if numbered else (name, -1)
        batches[i][key] = array
    if -1 in batches and len(batches) > 1:
        first = next(iter(batches[-1]))
        raise ValueError(
            f"{path} has names with a number and names without, such as {first!r}; "
            "number those of every batch, or of none."
        )
    return [batches[i] for i in sorted(batches)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the report, and return the exit status.

    Examples
    --------
    >>> from nanoae.diagnose.__main__ import main
    >>> main(["nowhere.npz"])
    2
    """
    parser = argparse.ArgumentParser(prog="python -m nanoae.diagnose", description=DESCRIPTION)
    parser.add_argument("file", help="npz file, as np.savez writes it")
    parser.add_argument("--beta", type=float, default=1.0, help="weight that the KL should have")
    parser.add_argument("--noise-variance", type=float, default=1.0, help="of a squared error")
    parser.add_argument("--free-bits", type=float, help="least KL that is charged, in nats")
    parser.add_argument("--rtol", type=float, help="of numbers that were rounded, such as 1e-3")
    parser.add_argument("--json", action="store_true", help="the report as JSON")
    options = parser.parse_args(arguments)
    try:
        found = diagnose_vae(
            read(options.file), beta=options.beta, noise_variance=options.noise_variance,
            free_bits=options.free_bits, rtol=options.rtol,
        )  # fmt: skip
    except (ValueError, TypeError) as error:
        print(error, file=sys.stderr)
        return 2
    print(json.dumps(found.as_dict(), ensure_ascii=False, indent=2) if options.json else found)
    return int(found.verdict == "wrong")


if __name__ == "__main__":
    sys.exit(main())
