"""The rules of the house: what may know what, and what an import may cost."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "nanoae"
PAGES = [ROOT / "README.md", *sorted((ROOT / "derivations").glob("*.md"))]


def imports(path):
    """Top-level names of everything that a file imports, nanoae's with their second name."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            parts = name.split(".")
            yield ".".join(parts[:2]) if parts[0] == "nanoae" else parts[0]


def imported_by(folder):
    return {name for path in (PACKAGE / folder).rglob("*.py") for name in imports(path)}


def test_models_and_theory_never_meet_in_the_package():
    learning = {path.stem for path in PACKAGE.iterdir()} - {"theory", "arrays", "validation"}
    assert imported_by("theory").isdisjoint(f"nanoae.{name}" for name in learning)
    for folder in ("models", "network"):
        assert "nanoae.theory" not in imported_by(folder)
    for path in PACKAGE.glob("*.py"):
        if path.name != "__init__.py":
            assert "nanoae.theory" not in imports(path), path


def module_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {
    module_of(path): path
    for folder in ("nanoae", "derivations", "figures", "benchmarks")
    for path in (ROOT / folder).rglob("*.py")
}


def needs(path):
    """Our modules that a file imports, be it in a function or for annotations alone."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES)
        elif isinstance(node, ast.ImportFrom) and node.module in MODULES:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in MODULES else node.module


def test_no_module_needs_one_that_needs_it():
    graph = {module: set(needs(path)) for module, path in MODULES.items()}
    assert sum(map(len, graph.values())) > 500  # they are found
    TopologicalSorter(graph).prepare()  # raises, and names the circle


TOPICS = {  # the chapters' names, as modules have them
    path.stem[3:].replace("-", "_") for path in (ROOT / "derivations").glob("[0-9]*.md")
}
LACKS = {
    "backprop": {"learned", "theory", "figures"},  # all networks; what it has of these: optimizers
    "in_use": {"learned"},  # what is done with the models of the others
}


@pytest.mark.parametrize("topic", sorted(TOPICS))
def test_a_topic_stands_in_five_places_by_one_name(topic):
    places = {
        "learned": [PACKAGE / folder / f"{topic}.py" for folder in ("models", "network")],
        "theory": [PACKAGE / "theory" / f"{topic}.py"],
        "tests": [ROOT / "tests" / f"test_{topic}.py"],
        "figures": [*(ROOT / "figures").glob(f"{topic}_*.py")],
    }
    lacks = {place for place, paths in places.items() if not any(map(Path.exists, paths))}
    assert lacks == LACKS.get(topic, set())


def test_theory_and_figures_have_no_other_topics():
    names = TOPICS | {"optimizers"}
    assert {path.stem for path in (PACKAGE / "theory").glob("[a-z]*.py")} <= names
    for path in (ROOT / "figures").glob("[a-z]*.py"):
        assert path.stem.startswith(tuple(f"{name}_" for name in names)), path


def test_the_map_of_the_readme_is_whole_in_order_and_fits_one_screen():
    section = (ROOT / "README.md").read_text("utf-8").split("## The house\n")[1].split("\n## ")[0]
    lines = section.strip().splitlines()
    assert len(lines) <= 40 and max(map(len, lines)) <= 100
    assert all(f"`{topic}`" in section for topic in TOPICS)
    tree = section.split("nanoae/\n")[1].split("```")[0]
    floors = [re.findall(r"(\w+)(?:\.py|/)", line[:34]) for line in tree.splitlines()]
    parts = {path.stem for path in PACKAGE.iterdir()} - {"__init__", "__pycache__", "py"}
    assert sorted(name for floor in floors for name in floor) == sorted(parts)
    above = set()
    for floor in floors:
        for path in PACKAGE.rglob("*.py"):
            if path.relative_to(PACKAGE).parts[0].removesuffix(".py") in floor:
                assert above.isdisjoint(name.split(".")[1] for name in needs(path)), path
        above |= set(floor)


def test_the_package_needs_numpy_scipy_matplotlib_and_tqdm_only():
    for path in PACKAGE.rglob("*.py"):
        outside = {name for name in imports(path) if not name.startswith("nanoae")}
        allowed = {"numpy", "scipy", "matplotlib", "tqdm"}
        if path == PACKAGE / "models" / "base.py":
            allowed |= {"pandas"}  # within a function, for those who ask for its frames
        assert outside - sys.stdlib_module_names <= allowed, path


def test_importing_nanoae_imports_numpy_and_nothing_else():
    others = {"scipy", "matplotlib", "tqdm", "sklearn", "pandas"}
    code = f"import sys, nanoae; print(*{others} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@pytest.mark.parametrize("name", ["README.md", "derivations/README.md"])
def test_links_lead_somewhere(name):
    page = ROOT / name
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text("utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{name} links to {target}"


MATH = re.compile(r"\$\$.+?\$\$|\$[^$]+?\$", re.DOTALL)
CODE = re.compile(r"^```.*?^```|`[^`\n]+`", re.DOTALL | re.MULTILINE)
# macros that GitHub refuses, and escapes that its Markdown undoes before the formula is read:
# all of them but `\\` at the end of a line
EATEN = re.compile(
    r"\\(?:operatorname|mbox|h?phantom|vphantom|newcommand|def|href|class|style)\b"
    r"|\\\\(?! *\n)|(?<!\\)\\[!\"#%&'()*+,\-./:;<=>?@\[\]^_`{|}~]"
)
# `}_x … )_+` opens and closes an emphasis, and the formula stays raw
ITALIC = re.compile(r"(?<![\w\\])_(?=\S).+?(?<=\S)_(?!\w)", re.DOTALL)


def eaten(text):
    """What of the formulas in a Markdown text GitHub does not show as it is written."""
    text = CODE.sub(lambda code: re.sub(r"[^\n]", " ", code[0]), text)
    found = [
        f"line {text[: formula.start() + bite.start()].count(chr(10)) + 1}: {bite[0]}"
        for formula in MATH.finditer(text)
        for bite in EATEN.finditer(formula[0])
    ]
    italics = (ITALIC.search(paragraph) for paragraph in re.split(r"\n\s*\n", text))
    return found + [f"in italics: {italic[0][:70]}" for italic in italics if italic]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_formulas_are_shown_as_they_are_written(path):
    assert not eaten(path.read_text("utf-8"))


@pytest.mark.parametrize(
    "formula",
    [r"$\operatorname{tr} A$", r"$a\,b$", r"$\|x\|$", r"$$a \\ b$$", "$T^{(t)}_{ji}$, $(x)_+$"],
)
def test_formulas_that_would_not_be_are_found(formula):
    assert eaten(formula)
    assert not eaten(f"`{formula}`")  # code is shown as it is
