"""Go through the exercises, and stop at the first that is not right.

python -m derivations.exercises
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

from derivations.exercises.grading import find, grade
from derivations.exercises.hints import chapter, hint
from derivations.exercises.hunting import culprit, hunt, suspects
from nanoae import gradient_check

FOLDER = Path(__file__).parent
CHAPTERS = sorted(path.stem for path in FOLDER.glob("chapter*.py"))


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m derivations.exercises", description=__doc__.splitlines()[0]
    )
    parser.add_argument(
        "which", nargs="*", metavar="WHICH",
        help="a chapter (3), an equation (3.1), or 'hunt' and a number: a model with a broken "
        "gradient, to be found; with a guess, whether that is what is broken",
    )  # fmt: skip
    parser.add_argument(
        "--hint", action="count", default=0, help="where to start; twice: the chapter's way there"
    )
    parser.add_argument("--list", action="store_true", help="all exercises, and how they stand")
    args = parser.parse_args(argv)
    try:
        if args.which[:1] == ["hunt"]:
            return _hunt(*args.which[1:])
        return _go_through(args.which, args.hint, args.list)
    except ValueError as error:
        parser.error(str(error))


def answers(name: str) -> dict[str, Callable]:
    """What a module of stubs has for its exercises, in its order."""
    module = importlib.import_module(f"derivations.exercises.{name}")
    return {f.exercise: f for f in vars(module).values() if hasattr(f, "exercise")}


def _go_through(which: list[str], hints: int, wants_list: bool) -> int:
    names, numbers = CHAPTERS, None
    if len(which) > 1:
        raise ValueError(f"one chapter or equation at a time; got {' '.join(which)!r}.")
    if which:
        number = which[0].strip("()")
        names = [f"chapter{number.split('.')[0].zfill(2)}"]
        if names[0] not in CHAPTERS:
            there_are = ", ".join(str(int(name.removeprefix("chapter"))) for name in CHAPTERS)
            raise ValueError(
                f"there are no exercises for {which[0]!r}; there are for the chapters {there_are}."
            )
        if "." in number:
            find(number)
            numbers = [number]
    mine = {number: function for name in names for number, function in answers(name).items()}
    if numbers:
        mine = {number: mine[number] for number in numbers}
    if wants_list:
        for number, function in mine.items():
            print(f"{number:>6}  {grade(number, function).state:12} {function.__name__}")
        return 0
    for done, (number, function) in enumerate(mine.items()):
        verdict = grade(number, function)
        if verdict.state == "right":
            continue
        if hints:
            print(hint(number, again=hints > 1))
            return 1
        line = inspect.getsourcelines(function)[1]
        print(f"{done} right; next is {function.__name__} in {_where(function)}, line {line}:\n")
        if verdict.state == "not written":
            print(textwrap.indent(f"({number}) {inspect.getdoc(function)}\n", "  "))
        else:
            print(f"{verdict}\n")
        print(f"The text: derivations/{chapter(number).name}, at ({number}). A hint: --hint.")
        return 1
    if hints and numbers:
        print(hint(numbers[0], again=hints > 1))
    else:
        print(f"{len(mine)} of {len(mine)} right")
    return 0


def _where(function: Callable) -> str:
    path = Path(inspect.getsourcefile(function) or "")
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _hunt(number: str = "1", *words: str) -> int:
    if not number.isdigit():
        raise ValueError(f"hunt takes a number from 1 to {len(suspects())}; got {number!r}.")
    right = culprit(int(number))
    if words:
        guess = " ".join(words)  # in quotes or not
        if guess not in suspects():
            raise ValueError(f"{guess!r} is none of {', '.join(suspects())}.")
        print("Yes, that is it." if guess == right else "No, something else.")
        return 0 if guess == right else 1
    model, X = hunt(int(number))
    check = gradient_check(model, X)
    hunt(0)
    print(f"{model!r}\nX of shape {X.shape}\n{check}\n")
    print("One of these is what is broken:")
    for suspect in suspects():
        print(f"  {suspect}")
    print(f"""
Look at it in Python. `gradient_check` shows the worst place alone, and it is another one with
other parameters: which layers and columns are wrong, which never? Then change the data, the model.

    from derivations.exercises import hunt
    from nanoae import gradient_check
    model, X = hunt({number})
    for seed in range(10):
        print(gradient_check(model, X, random_state=seed))

Found? python -m derivations.exercises hunt {number} "what it is\"""")
    return 0


if __name__ == "__main__":
    sys.exit(main())
