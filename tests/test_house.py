"""The rules of the house: what may know what, and what an import may cost."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "nanoae"


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


def test_the_package_needs_numpy_scipy_matplotlib_and_tqdm_only():
    for path in PACKAGE.rglob("*.py"):
        outside = {name for name in imports(path) if not name.startswith("nanoae")}
        allowed = {"numpy", "scipy", "matplotlib", "tqdm"}
        assert outside - sys.stdlib_module_names <= allowed, path


def test_importing_nanoae_imports_numpy_and_nothing_else():
    others = {"scipy", "matplotlib", "tqdm", "sklearn"}
    code = f"import sys, nanoae; print(*{others} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@pytest.mark.parametrize("name", ["README.md", "derivations/README.md"])
def test_links_lead_somewhere(name):
    import re

    page = ROOT / name
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text("utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{name} links to {target}"
