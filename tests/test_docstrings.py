"""Every public name says what it is and shows it at work, in an example that runs."""

from __future__ import annotations

import ast
import contextlib
import doctest
import inspect
import pkgutil
import re
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

import nanoae
import nanoae.theory

MODULES = [info.name for info in pkgutil.walk_packages(nanoae.__path__, "nanoae.")]
# of the figures' style only the table is for users; the others are what the package is made with
HELPERS = {
    f"nanoae.{name}"
    for name in ("arrays", "exceptions", "persistence", "plotting", "training", "validation")
}


def public_objects():
    """With their full names: all that is exported, and what the modules define."""
    objects = {import_module("nanoae.plotting").print_table: "nanoae.plotting.print_table"}
    for module in map(import_module, sorted({*MODULES} - HELPERS)):
        for name, value in vars(module).items():
            is_ours = getattr(value, "__module__", None) == module.__name__
            is_code = inspect.isclass(value) or (
                inspect.isfunction(value) and "models" not in module.__name__  # their helpers
            )
            if is_ours and is_code and not name.startswith("_"):
                objects[value] = f"{module.__name__}.{name}"
    for package in (nanoae, nanoae.theory):
        for name in package.__all__:
            objects.setdefault(getattr(package, name), f"{package.__name__}.{name}")
    return objects


def lacks(value):
    """What its docstring is without: text, an example or nothing."""
    text = (value.__doc__ or "").strip()
    # a named tuple without a docstring is given its own signature for one
    if not text or text.startswith((">>>", f"{value.__name__}(")):
        return "text"
    is_exception = inspect.isclass(value) and issubclass(value, BaseException)
    needs_example = not inspect.ismodule(value) and not is_exception
    return "example" if needs_example and not doctest.DocTestParser().get_examples(text) else None


def test_every_public_name_has_a_docstring_with_an_example():
    objects = public_objects()
    assert len(objects) > 100  # the walk finds them
    faults = [f"{name} lacks {lacks(value)}" for value, name in objects.items() if lacks(value)]
    assert not faults, "\n".join(sorted(faults))


def with_methods(objects):
    """And the public methods that the classes among them define."""
    for value, name in objects.items():
        yield name, value
        if inspect.isclass(value):
            for method, function in vars(value).items():
                if inspect.isfunction(function) and not method.startswith("_"):
                    yield f"{name}.{method}", function


def test_defaults_are_those_of_the_docstrings():
    """``low, high : float, default 0 and 1`` is what both are if they are left out."""
    wrong, n_read = [], 0
    for name, value in with_methods(public_objects()):
        said = re.findall(
            r"^(\w+(?:, \w+)*) : .*default (.+)$", inspect.getdoc(value) or "", re.MULTILINE
        )
        for arguments, words in said:
            arguments, defaults = arguments.split(", "), words.split(" and ")
            parameters = inspect.signature(value).parameters
            for argument, default in zip(arguments, defaults * len(arguments), strict=False):
                expected = eval(default, {"inf": np.inf, "float64": np.float64})
                n_read += 1
                if parameters[argument].default != expected:
                    wrong.append(f"{name}: {argument} is {parameters[argument].default!r}")
    assert n_read > 200
    assert not wrong, "\n".join(wrong)


def test_what_is_as_in_another_has_its_defaults():
    """``X, n_samples`` / ``As in `log_likelihood``` leaves the defaults to be read there."""
    wrong, n_read = [], 0
    for name, value in with_methods(public_objects()):
        doc = inspect.getdoc(value) or ""
        said = re.findall(
            r"^(\w+(?:, \w+)*)(?: : .*)?\n    As (?:in|of) `(\w+)`", doc, re.MULTILINE
        )
        ours = inspect.signature(value).parameters if said or "Parameters are" in doc else {}
        said += [
            (", ".join(ours), other) for other in re.findall(r"eters are those of `(\w+)`", doc)
        ]
        for arguments, other in said:
            scope = sys.modules[value.__module__]
            if inspect.isfunction(value) and "." in value.__qualname__:
                scope = getattr(scope, value.__qualname__.split(".")[0])
            theirs = inspect.signature(getattr(scope, other)).parameters
            for argument in {*arguments.split(", ")} & {*theirs}:
                n_read += 1
                if ours[argument].default != theirs[argument].default:
                    wrong.append(f"{name}: {argument} is {ours[argument].default!r}")
    assert n_read > 20
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("name", MODULES)
def test_examples_print_what_they_say(name):
    result = doctest.testmod(import_module(name), report=False)
    assert result.failed == 0, "the differences are in the captured output"


@pytest.mark.parametrize("model", [m for m in vars(nanoae).values() if hasattr(m, "get_params")])
def test_every_argument_of_a_model_is_explained(model):
    explained = re.findall(r"^(\w+(?:, \w+)*)(?: : |$)", inspect.getdoc(model), re.MULTILINE)
    named = {name for names in explained for name in names.split(", ")}
    assert set(inspect.signature(model).parameters) <= named


def defaults_said(docstring):
    """``name1, name2 : type, default 0.9 and 0.999`` as pairs of a name and a value."""
    said = re.findall(r"^(\w+(?:, \w+)*) : .*\bdefault (.+)$", docstring, re.MULTILINE)
    for names, values in said:
        names, values = names.split(", "), values.split(" and ")
        for name, value in zip(names, values * (len(names) // len(values)), strict=True):
            with contextlib.suppress(ValueError, SyntaxError):  # a word, such as a dtype's
                yield name, ast.literal_eval(value)


def test_defaults_are_those_that_the_docstrings_say():
    """Of models they are written down once; elsewhere twice, and a change of one is noticed."""
    count = 0
    for value, name in public_objects().items():
        methods = [m for m in vars(value).values() if inspect.isfunction(m)] if inspect.isclass(
            value) else []  # fmt: skip
        for function in (value, *methods):
            for argument, said in defaults_said(inspect.getdoc(function) or ""):
                default = inspect.signature(function).parameters[argument].default
                assert default == said, f"{name}: {argument}"
                count += 1
    assert count > 250


def test_the_programs_of_the_readme_run(tmp_path, monkeypatch, capsys):
    readme = Path(__file__).parents[1] / "README.md"
    programs = re.findall(r"```python\n(.*?)```", readme.read_text("utf-8"), re.DOTALL)
    assert len(programs) > 2
    monkeypatch.chdir(tmp_path)
    for program in programs:
        exec(program, {})
    out = capsys.readouterr().out
    assert "gradient right" in out
    lost, by_pca = map(float, re.search(r"lost .*: ([0-9.]+)%; by PCA: ([0-9.]+)%", out).groups())
    assert 10 * lost < by_pca
    loss, pca = (re.search(rf"{word} +([0-9.]+)", out).group(1) for word in ("loss", "PCA"))
    assert float(loss) == pytest.approx(float(pca), rel=1e-11)


CHAPTERS = sorted((Path(__file__).parents[1] / "derivations").glob("[0-9]*.md"))


@pytest.mark.filterwarnings("ignore::nanoae.ConvergenceWarning")
@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_the_programs_of_the_chapters_run(path, tmp_path, monkeypatch, capsys):
    """The ten lines with which a chapter opens, and they print what stands below them."""
    opening = path.read_text("utf-8").split("\n## ")[0]
    program, printed = re.search(
        r"```python\n(.*?)```\n(?:.*?```text\n(.*?)```)?", opening, re.DOTALL
    ).groups()
    assert len([line for line in program.splitlines() if line.strip()]) <= 14
    monkeypatch.chdir(tmp_path)
    exec(program, {"__name__": path.stem})
    out = capsys.readouterr().out
    assert out.strip()
    if printed is not None:
        assert out == printed
