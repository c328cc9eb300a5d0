"""Hints: first where to start, then the way to an equation, read from its chapter."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

from derivations.exercises.grading import find

TEXT = Path(__file__).parents[1]
BREAK = re.compile(r"^#+ .*\n|\$\$[^$]*\\tag\{.*?\}[^$]*\$\$\n", re.MULTILINE)


def chapter(number: str) -> Path:
    """The file that has equation ``number``."""
    (path,) = TEXT.glob(f"{int(number.split('.')[0]):02d}-*.md")
    return path


def hint(number: str, again: bool = False) -> str:
    """Where to start; asked again, the way to the equation."""
    name = f"derivations/{chapter(number).name}"
    if again:
        return f"{way(number)}\n\n(From {name}, which ends it at ({number}).)"
    start = textwrap.fill(f"({number}) {find(number).hint}", 79, break_on_hyphens=False)
    return f"{start}\n\nMore, the way there from {name}: --hint --hint."


def way(number: str) -> str:
    """What leads to the equation in its chapter, up to where it would be told."""
    text, (start, stop) = chapter(number).read_text("utf-8"), find(number).way
    claim = text.index(f'<a id="{number}"></a>**')
    if start:
        begin = text.index(start)
    else:
        *_, last = BREAK.finditer(text, 0, claim)
        begin = last.end()
    told = text[begin : text.index(stop, begin) if stop else claim]
    return told.strip() + (" …" if stop else "")
