"""Run the workloads, print a table and write it to a file."""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from benchmarks import THREADS
from benchmarks.busy import beside_busy_processes
from benchmarks.contestants import images
from benchmarks.measure import report
from benchmarks.parts import profile
from benchmarks.resources import suite
from benchmarks.workloads import CONTESTS, WORKLOADS


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=WORKLOADS, default=WORKLOADS, metavar="NAME",
                        help=f"some of {', '.join(WORKLOADS)}")  # fmt: skip
    parser.add_argument("--rounds", type=int, default=5, help="of A B A B (default: %(default)s)")
    parser.add_argument("--data", metavar="PATH", help="images in [0, 1] for the large networks")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("RESULTS.md"),
                        metavar="PATH", help="where to write (default: %(default)s)")  # fmt: skip
    parser.add_argument("--profile", action="store_true", help="each by its parts, as well")
    parser.add_argument("--busy", action="store_true",
                        help="workload 1 beside busy processes, as well")  # fmt: skip
    parser.add_argument("--suite", action="store_true", help="time the tests, as well")
    args = parser.parse_args()
    if args.rounds < 1:
        parser.error(f"--rounds must be at least 1; got {args.rounds}")

    try:
        X = images(args.data)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "X.npy")
        np.save(path, X)
        rows = []
        for name in args.only:
            for workload in WORKLOADS[name]:
                found = workload(path, args.rounds)
                print(report(found), flush=True)
                rows += found
        if args.suite:
            rows.append(suite())
        parts = [report(rows)]
        contests = [contest for name in args.only for contest in CONTESTS[name]]
        if args.profile and contests:
            parts.append(profile(contests, path))
        if args.busy:
            parts.append(beside_busy_processes(path, args.rounds))
    text = "\n\n".join(["# Benchmarks", conditions(args), *parts]) + "\n"
    args.out.write_text(text, encoding="utf-8")
    print(f"\n{text}\nwrote {args.out}")


def conditions(args: argparse.Namespace) -> str:
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    versions = []
    for package in ("numpy", "scipy", "torch", "scikit-learn"):
        try:
            versions.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            versions.append(f"no {package}")
    return (
        f"Medians of {args.rounds} rounds, {datetime.date.today()}. Ratios are of times, ours "
        "over theirs, in the same round.\nEvery contestant is a process of its own, and they take "
        "turns: the same initial weights, batches and\nnoise. Void: not the same work, its first "
        "gradient differs or its loss at the end by more than 1 %, or\nnot there. A pass of "
        "workload 9 is one batch, without Adam.\n"
        f"Python {platform.python_version()}, {', '.join(versions)}; NumPy's BLAS is "
        f"{blas['name']} {blas['version']}.\n{os.cpu_count()} CPUs, {THREADS} threads for all; "
        f"images: {args.data or 'synthetic'}."
    )


if __name__ == "__main__":
    main()
