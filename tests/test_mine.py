"""A reader's functions in place of the package's: ``--mine``."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import conftest
import numpy as np
import pytest
from mine import Mine, modules, ours, replace
from theory_report import Record
from traceability import citations, marks

import nanoae
from nanoae import losses
from nanoae.losses import LIKELIHOODS, LOSSES
from nanoae.network import Dense, dense
from nanoae.theory import tied

ROOT = Path(__file__).parents[1]
WRONG = """
import numpy as np
from numpy import exp

def tied_gradient(W, Sigma):  # as notes B print it, a half for each use
    half = -2 * W @ Sigma + 2 * W @ W.T @ W @ Sigma
    return half, half

def soft_threshold(v, t):
    return _helper(v)

def _helper(v):
    return v
"""


@pytest.fixture
def put_in_place(tmp_path, monkeypatch):
    def put(text):
        path = tmp_path / "my.py"
        path.write_text(text, "utf-8")
        mine = Mine()
        mine.put_in_place(str(path), monkeypatch.setattr, monkeypatch.setitem)
        return mine

    return put


def test_says_by_how_much_which_claim_fails_and_what_was_never_called(tmp_path):
    """In a process of its own, as it is used: the package is changed before it is tested."""
    path = tmp_path / "my.py"
    path.write_text(WRONG, "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--equation=3.1", f"--mine={path}", "-q",
         "-p", "no:cacheprovider"], cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 1
    assert "tied_gradient: yours was called" in done.stdout
    assert "soft_threshold: yours was NEVER CALLED" in done.stdout
    assert "(3.1c) FAILS with yours: off by 0." in done.stdout
    assert "(3.1b) FAILS" not in done.stdout


def test_a_function_stands_wherever_the_package_has_it(put_in_place):
    mine = put_in_place(WRONG)
    assert nanoae.theory.tied_gradient is tied.tied_gradient
    tied.tied_gradient(np.eye(2), np.eye(2))
    assert mine.calls == {"tied_gradient": 1, "soft_threshold": 0}


def test_tables_of_functions_get_it_too(put_in_place):
    put_in_place("def squared_error(x_hat, x, weights=None):\n    return 'mine'\n")
    assert LOSSES["squared_error"].value(0, 0) == losses.squared_error(0, 0) == "mine"
    put_in_place("def gaussian_nll(*args):\n    return 'mine'\n")
    assert LIKELIHOODS["gaussian"].nll() == "mine"


def test_two_underscores_lead_to_a_method(put_in_place):
    right = Dense.backward
    mine = put_in_place(
        "def Dense__backward(self, grad_y, *, input_gradient=True):\n    return 7\n"
    )
    assert Dense.backward is dense.Dense.backward is not right
    assert Dense(1, 1).backward(None) == 7 and mine.calls == {"Dense__backward": 1}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def tied_gradeint(W, Sigma):\n    pass\n", "did you mean tied_gradient"),
        ("def Dense__backwards(self):\n    pass\n", "nanoae has no Dense.backwards"),
    ],
)
def test_a_name_that_the_package_has_not_is_one_sentence(text, said, put_in_place):
    with pytest.raises(pytest.UsageError, match=said):
        put_in_place(text)


def test_a_file_that_is_not_there_is_one_sentence():
    with pytest.raises(pytest.UsageError, match=r"must be a file of yours; there is no 'none.py'"):
        Mine().put_in_place("none.py")


def test_of_one_equation_only_files_without_it_are_left_unread():
    """They are told by their text, which takes no time: it has to find every mark."""
    config = SimpleNamespace(getoption={"--equation": "3.1"}.__getitem__)
    tests = ROOT / "tests"
    assert not conftest.pytest_ignore_collect(tests / "test_tied.py", config)
    assert conftest.pytest_ignore_collect(tests / "test_beta.py", config)
    for number, file, _, _ in marks():
        assert f'"{number}"' in (ROOT / file).read_text("utf-8")


@pytest.mark.parametrize(("calls", "status"), [({"f": 1}, 0), ({"f": 1, "g": 0}, 1), ({}, 0)])
def test_what_was_never_called_has_not_passed(calls, status):
    session = SimpleNamespace(
        config=SimpleNamespace(mine=SimpleNamespace(calls=calls)), exitstatus=0
    )
    conftest.pytest_sessionfinish(session)
    assert session.exitstatus == status


def test_the_end_of_a_run_says_what_failed():
    mine = Mine()
    mine.calls = {"f": 2}
    right, wrong, nan = Record(1e-13, 1e-12), Record(0.5, 1e-12), Record(float("nan"), 1e-12)
    assert mine.lines({"3.1": right})[-1] == "no claim that was tried fails with yours"
    lines = mine.lines({"3.1": right, "3.1c": wrong, "3.2": nan})
    assert [line.split()[0] for line in lines] == ["f:", "(3.1c)", "(3.2)"]
    assert mine.lines({"3.1": right}, failed=1)[-1].startswith("1 test fails with yours")


def test_a_wrong_name_is_told_what_there_is_of_the_equation(tmp_path):
    assert ours("3.1") == ["TiedAutoencoder__loss_and_gradient", "tied_gradient"]
    path = tmp_path / "my.py"
    path.write_text("def gradient(W, Sigma):\n    pass\n", "utf-8")
    options = {"--mine": str(path), "--equation": "(3.1)", "numprocesses": None}
    config = SimpleNamespace(getoption=lambda name, default=None: options.get(name, default))
    with pytest.raises(pytest.UsageError, match=r"Of \(3.1\) ours are: .*, tied_gradient\."):
        conftest.pytest_configure(config)


def test_every_public_function_that_cites_an_equation_can_be_replaced():
    cited = {
        name for _, file, name, _ in citations()
        if name and not name.startswith("_") and file != "nanoae/plotting.py"
    }  # fmt: skip
    everything, replaced = modules(), 0
    for name in cited:
        owner, _, method = name.partition(".")
        owners = [vars(m)[owner] for m in everything if owner in vars(m)]
        if not method and isinstance(owners[0], type):
            continue  # a class: its claim is about what its methods do, or who makes it
        places = []
        mine = SimpleNamespace(set=lambda *args, places=places: places.append(args))
        replace(name.replace(".", "__"), lambda: None, "my.py", mine.set, mine.set)
        assert places, name
        replaced += 1
    assert replaced > 100
