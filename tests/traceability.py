"""Which equation stands where: in the text, in the code, in the tests.

``python tests/traceability.py`` writes the index of equations into derivations/README.md.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
NUMBER = r"\d+\.\d+[a-z]?"
INDEX_START, INDEX_END = "<!-- index: start -->", "<!-- index: end -->"


def tags() -> list[tuple[str, str]]:
    """Every ``\\tag`` in the text: its number and its chapter's file name, in reading order."""
    return [
        (number, chapter.name)
        for chapter in sorted((ROOT / "derivations").glob("*.md"))
        for number in re.findall(rf"\\tag\{{({NUMBER})\}}", chapter.read_text("utf-8"))
    ]


def claims() -> dict[str, str]:
    """What each equation says, in words: the bold line that introduces it.

    Behind the bold words may stand ``*measured*`` or ``*partly measured*``; it goes with them.
    """
    line = re.compile(
        rf'^<a id="({NUMBER})"></a>\*\*\(\1\) (.+)\*\*( \*(?:partly )?measured\*)?$', re.MULTILINE
    )
    return {
        number: words + mark
        for chapter in sorted((ROOT / "derivations").glob("*.md"))
        for number, words, mark in line.findall(chapter.read_text("utf-8"))
    }


@cache
def citations() -> list[tuple[str, str, str, int]]:
    """Every ``(2.3)`` in a comment or docstring of the package: number, file, definition, line."""
    found = []
    for path in sorted((ROOT / "nanoae").rglob("*.py")):
        source = path.read_text("utf-8")
        definitions = _definitions(ast.parse(source))
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            if token.type not in (tokenize.COMMENT, tokenize.STRING):
                continue
            for offset, line in enumerate(token.string.splitlines()):
                for number in re.findall(rf"\(({NUMBER})\)", line):
                    place = token.start[0] + offset
                    where = _enclosing(definitions, place)
                    found.append((number, path.relative_to(ROOT).as_posix(), where, place))
    return found


@cache
def marks() -> list[tuple[str, str, str, int]]:
    """Every ``@pytest.mark.equation``: number, file, test and its line."""
    found = []
    for path in sorted((ROOT / "tests").glob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            for decorator in getattr(node, "decorator_list", ()):
                if ast.unparse(decorator).startswith("pytest.mark.equation("):
                    file = path.relative_to(ROOT).as_posix()
                    for argument in decorator.args:
                        found.append((argument.value, file, node.name, node.lineno))
    return found


def index() -> str:
    """The table of equations, with links to text, code and test, to the line."""
    rows = ["| equation | claim, code and tests |", "|---|---|"]
    words = claims()
    for number, chapter in sorted(tags(), key=lambda tag: order(tag[0])):
        lines = [words.get(number, ""), *_links(citations(), number), *_links(marks(), number)]
        # one below the other: beside each other they are wider than a page
        rows.append(f"| [({number})]({chapter}#{number}) | {'<br>'.join(lines)} |")
    return "\n".join(rows)


def _links(places: list[tuple[str, str, str, int]], number: str) -> list[str]:
    """To the first place of an equation in each definition."""
    first: dict[tuple[str, str], int] = {}
    for n, file, name, line in places:
        if n == number:
            first.setdefault((file, name), line)
    return [f"[`{name or file}`](../{file}#L{line})" for (file, name), line in first.items()]


def order(number: str) -> tuple[int, int, str]:
    """Sorts 2.9 before 2.10, and 2.3 before 2.3a."""
    chapter, claim, part = re.fullmatch(r"(\d+)\.(\d+)([a-z]?)", number).groups()
    return int(chapter), int(claim), part


def _definitions(tree: ast.AST, prefix: str = "") -> list[tuple[int, int, str]]:
    found = []
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found.append((node.lineno, node.end_lineno, prefix + node.name))
            found += _definitions(node, f"{prefix}{node.name}.")
    return found


def _enclosing(definitions: list[tuple[int, int, str]], line: int) -> str:
    inside = [(start, name) for start, end, name in definitions if start <= line <= end]
    return max(inside)[1] if inside else ""


def with_index(readme: str) -> str:
    """The text with its index brought up to date."""
    before, rest = readme.split(INDEX_START)
    after = rest.split(INDEX_END)[1]
    return f"{before}{INDEX_START}\n{index()}\n{INDEX_END}{after}"


if __name__ == "__main__":
    readme = ROOT / "derivations" / "README.md"
    readme.write_text(with_index(readme.read_text("utf-8")), "utf-8")
