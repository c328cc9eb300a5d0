"""Hints, read from the chapters: what leads to an equation, and its exercises on paper."""

from __future__ import annotations

import re
from pathlib import Path

TEXT = Path(__file__).parents[1]


def chapter(number: str) -> Path:
    """The file that has equation ``number``."""
    (path,) = TEXT.glob(f"{int(number.split('.')[0]):02d}-*.md")
    return path


def claim(number: str) -> str:
    """What the equation says, in words."""
    found = re.search(
        rf'^<a id="{re.escape(number)}"></a>\*\*\(.+?\) (.+?)\*\*', _read(number), re.MULTILINE
    )
    assert found is not None, number
    return found[1]


def hint(number: str) -> str:
    """What leads to the equation, and the hints of exercises on paper that ask about it."""
    text = _read(number)
    before = text[: text.index(f'<a id="{number}"></a>**')]
    parts = re.split(r"\n#+ .*\n|\$\$[^$]*\\tag\{.*?\}[^$]*\$\$\n", before)
    lead = next((part.strip() for part in reversed(parts) if len(part.split()) > 15), "")
    lead = re.sub(r'^<a id=".*?"></a>\*\*.*$', "", lead, flags=re.MULTILINE).strip()
    hints = [
        f"To exercise {which} of the chapter, another question about this, on paper: {help_}"
        for which, help_ in paper_hints(text, number)
    ]
    place = f"derivations/{chapter(number).name}, at ({number})"
    return "\n\n".join([f"({number}) {claim(number)}", lead, *hints, f"(From {place}.)"])


def paper_hints(text: str, number: str) -> list[tuple[str, str]]:
    """Number and hint of each exercise on paper that asks about an equation."""
    _, _, exercises = text.partition("\n## Exercises\n")
    found = re.findall(
        r"^\*\*(\d+)\.(.*?)(?=^\*\*\d+\.|^## |\Z)", exercises, re.MULTILINE | re.DOTALL
    )
    parts = [
        (which, *re.split(r"<summary>Hint</summary>|</details>", body)[:2])
        for which, body in found
    ]
    return [
        (which, help_.strip())
        for which, question, help_ in parts
        if f"({number})" in question + help_  # the solution may use much else
    ]


def _read(number: str) -> str:
    return chapter(number).read_text("utf-8")
