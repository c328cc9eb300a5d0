"""Text, code and tests hang together: no equation without a test, no loose end anywhere."""

from __future__ import annotations

import re
from collections import Counter
from unittest.mock import Mock

import conftest
import pytest
from traceability import ROOT, citations, claims, index, marks, tags, with_index


def test_every_tag_is_unique():
    repeated = [number for number, count in Counter(n for n, _ in tags()).items() if count > 1]
    assert not repeated


def test_every_tagged_equation_has_a_claim_in_words():
    assert {number for number, _ in tags()} == set(claims())


def test_every_tagged_equation_has_a_test_and_every_mark_an_equation():
    assert {number for number, _ in tags()} == {number for number, *_ in marks()}


def test_the_text_names_only_tests_that_exist():
    sources = [path.read_text("utf-8") for path in (ROOT / "tests").glob("*.py")]
    defined = set(re.findall(r"def (test_\w+)", "".join(sources)))
    defined |= {path.stem for path in (ROOT / "tests").glob("*.py")}
    for text in [ROOT / "README.md", *(ROOT / "derivations").glob("*.md")]:
        named = set(re.findall(r"\btest_\w+\b", text.read_text("utf-8")))
        assert not named - defined, text.name


def test_code_cites_only_equations_that_exist():
    numbers = {number for number, _ in tags()}
    assert [citation for citation in citations() if citation[0] not in numbers] == []


def test_links_of_the_index_lead_to_the_line():
    def line_of(file, line):
        return (ROOT / file).read_text("utf-8").splitlines()[line - 1]

    for number, file, name, line in citations():
        assert f"({number})" in line_of(file, line), (file, name)
    for _, file, name, line in marks():
        assert line_of(file, line).startswith(f"def {name}("), file


def test_the_index_says_which_claims_are_measured():
    marked = {number for number, words in claims().items() if words.endswith(" *measured*")}
    assert {"2.3c", "2.8c", "4.7b", "5.3g", "6.6d"} <= marked
    assert claims()["2.5e"].endswith(". *partly measured*")
    assert f"{claims()['2.3c']}<br>" in index()
    assert not claims()["2.3"].endswith("*")  # proved: no mark


def test_the_index_of_equations_is_up_to_date():
    readme = (ROOT / "derivations" / "README.md").read_text("utf-8")
    assert readme == with_index(readme), "run python tests/traceability.py"


@pytest.mark.parametrize("asked, found", [("2.3", True), ("(2.3)", True), ("99.9", False)])
def test_one_equation_can_be_asked_for(asked, found):
    config = Mock()
    config.getoption = {"--equation": asked, "-m": ""}.__getitem__
    items = [Mock(), Mock()]
    for item, number in zip(items, ("2.3", "2.4"), strict=True):
        item.iter_markers = lambda name, number=number: [Mock(args=[number])]
        item.get_closest_marker = lambda name: None
    wanted = items[:1]
    if found:
        conftest.pytest_collection_modifyitems(config, items)
        assert items == wanted
    else:
        with pytest.raises(pytest.UsageError, match=r"no equation 99\.9"):
            conftest.pytest_collection_modifyitems(config, items)
