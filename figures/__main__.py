"""List the figures, and draw all of them or some.

python -m figures
"""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path

FOLDER = Path(__file__).parent
NAMES = sorted(path.stem for path in FOLDER.glob("[!_]*.py"))


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m figures", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="figures to draw (default: all)")
    parser.add_argument("--list", action="store_true", help="only list them")
    parser.add_argument("--quick", action="store_true", help="rough versions, in a minute")
    parser.add_argument(
        "--out", type=Path, default=FOLDER, metavar="FOLDER",
        help="where to write (default: %(default)s)",
    )  # fmt: skip
    args = parser.parse_args(argv)
    for name in args.names:
        if name not in NAMES:
            parser.error(f"there is no figure {name!r}; there are {', '.join(NAMES)}")
    if not args.out.is_dir():
        parser.error(f"--out must be a folder that exists; got {str(args.out)!r}")
    names = args.names or NAMES
    failed = []
    for i, name in enumerate(names, start=1):
        script = importlib.import_module(f"figures.{name}")
        print(f"{i:2}/{len(names)} {name}: {script.__doc__.splitlines()[0]}", flush=True)
        if args.list:
            continue
        quick = ["--quick"] if args.quick else []
        try:
            script.main(["--out", str(args.out / f"{name}.png"), *quick])
        except Exception as error:  # one figure less is no reason to draw none
            print(f"{name} failed: {type(error).__name__}: {error}", file=sys.stderr)
            failed.append(name)
    if failed:
        sys.exit(f"{len(failed)} of {len(names)} failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
