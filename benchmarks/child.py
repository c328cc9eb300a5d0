"""What runs in the process of a contestant: ``python -m benchmarks.child TITLE NAME IMAGES``.

It answers each line of its input by one of JSON: "train" by the seconds of a turn, "tell" by what
there is to tell; with ``--by-parts``, "parts" by the seconds of each since the last such question.
"""

from __future__ import annotations

import argparse
import json
import sys

import numpy as np

from benchmarks.measure import timed
from benchmarks.parts import Stopwatch, watch_all
from benchmarks.workloads import COMPARISONS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("title")
    parser.add_argument("name")
    parser.add_argument("images")
    parser.add_argument("--by-parts", action="store_true")
    args = parser.parse_args()
    answers, sys.stdout = sys.stdout, sys.stderr  # where libraries may print what they like

    def say(**what: object) -> None:
        print(json.dumps(what, default=float), file=answers, flush=True)

    try:
        stopwatch = Stopwatch()
        if args.by_parts:
            watch_all(stopwatch)
        contestant = COMPARISONS[args.title].contestant(args.name, np.load(args.images))
        train = stopwatch("the rest", contestant.train)
        questions = {
            "train": lambda: timed(train)[0],
            "tell": contestant.tell,
            "parts": stopwatch.read,
        }
        for line in sys.stdin:
            say(answer=questions[line.strip()]())
    except Exception as error:
        say(death=f"{type(error).__name__}: {str(error).partition(chr(10))[0]}")
        sys.exit(1)


if __name__ == "__main__":
    main()
