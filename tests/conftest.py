"""Marks, options, and the theory report at the end of a run."""

from __future__ import annotations

import os

# before NumPy is imported: the products are small, and threads that wait for each other cost more
# than they bring, the more so on a busy machine
for library in ("OPENBLAS", "OMP", "MKL"):
    os.environ.setdefault(f"{library}_NUM_THREADS", "1")

import pytest  # noqa: E402
from effort import scale, spread  # noqa: E402
from hypothesis import Phase, settings  # noqa: E402
from mine import Mine, ours  # noqa: E402
from theory_report import RECORDS, note  # noqa: E402
from traceability import claims, order  # noqa: E402

# as many examples as each test asks for, always the same ones
settings.register_profile("thorough", deadline=None, derandomize=True)
# a quarter of them, for every day: `effort.scaled`
settings.register_profile("light", settings.get_profile("thorough"), max_examples=25)
settings.register_profile("explore", deadline=None, print_blob=True)  # other cases every time
settings.register_profile(  # a mutant that is found out need not be explained
    "mutation", settings.get_profile("thorough"), phases=(Phase.explicit, Phase.generate)
)
settings.register_profile(  # nor need a reader's mistake: by how much it fails is enough
    "mine", settings.get_profile("light"), phases=(Phase.explicit, Phase.generate)
)
settings.load_profile("light")


def pytest_addoption(parser):
    parser.addoption("--equation", help="run only the tests of one equation, such as 2.3")
    parser.addoption(
        "--mine", metavar="FILE", help="test the functions of your FILE in place of ours"
    )


def pytest_configure(config):
    config.mine = Mine()
    if config.getoption("--mine"):  # before any test imports them
        if config.getoption("numprocesses", None):
            raise pytest.UsageError("--mine counts calls in one process: leave out -n.")
        try:
            config.mine.put_in_place(config.getoption("--mine"))
        except pytest.UsageError as error:
            names = ", ".join(ours(_wanted(config) or ""))
            of = f"\nOf ({_wanted(config)}) ours are: {names}." if names else ""
            raise pytest.UsageError(f"{error}{of}") from None
        settings.load_profile("mine")
    config.addinivalue_line("markers", "equation(number): checks a numbered claim of the text")
    config.addinivalue_line("markers", "many: a light run tries some of the cases")
    config.addinivalue_line("markers", "slow: deselected unless asked for with -m slow")


def _wanted(config):
    return (config.getoption("--equation") or "").strip("()") or None


def pytest_ignore_collect(collection_path, config):
    """Of one equation, only the files that have tests of it: the others take long to read."""
    wanted = _wanted(config)
    if wanted in claims() and collection_path.match("test_*.py"):
        return f'"{wanted}"' not in collection_path.read_text("utf-8") or None
    return None


def _numbers(item):
    return [number for mark in item.iter_markers("equation") for number in mark.args]


def pytest_collection_modifyitems(config, items):
    wanted = _wanted(config)
    if wanted is not None and wanted not in claims():
        raise pytest.UsageError(
            f"there is no equation {wanted}; derivations/README.md lists all of them"
        )
    keep = [
        item
        for item in items
        if (wanted is None or wanted in _numbers(item))
        and ("slow" in config.getoption("-m") or not item.get_closest_marker("slow"))
    ]
    many = {}  # the cases of each test of many
    for item in keep:
        if item.get_closest_marker("many"):
            many.setdefault(item.obj, []).append(item)
    left_out = {item for cases in many.values() for item in set(cases) - set(spread(cases))}
    keep = [item for item in keep if item not in left_out]
    config.hook.pytest_deselected(items=[item for item in items if item not in keep])
    items[:] = keep


def pytest_collection_finish(session):
    for test in {item.obj for item in session.items}:
        scale(test)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    before = {number: record.cases for number, record in RECORDS.items()}
    result = yield
    for number in _numbers(item):
        if number not in RECORDS or RECORDS[number].cases == before.get(number, 0):
            pytest.fail(f"marked with equation {number} but verifies nothing of it")
    return result


def pytest_sessionfinish(session):
    if hasattr(session.config, "workeroutput"):  # of xdist: one process of several
        session.config.workeroutput["records"] = [
            (number, record.error, record.bound, record.cases)
            for number, record in RECORDS.items()
        ]
    if 0 in session.config.mine.calls.values() and session.exitstatus == 0:
        session.exitstatus = 1  # nothing failed, because nothing was tried


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    """What one of several processes has verified goes into the report of all."""
    for number, *record in getattr(node, "workeroutput", {}).get("records", ()):
        note(number, *record)


def pytest_terminal_summary(terminalreporter, config):
    if config.mine.calls:
        terminalreporter.section("yours")
        stats = terminalreporter.stats
        failed = len(stats.get("failed", ())) + len(stats.get("error", ()))
        for line in config.mine.lines(RECORDS, failed):
            terminalreporter.line(line)
    if not RECORDS:
        return
    words = claims()
    terminalreporter.section("theory report")
    terminalreporter.line(
        "A claim holds if error <= bound. Errors are relative or absolute, or in standard errors\n"
        "where the claim is statistical: its test says which. Shown is the case nearest its bound."
    )
    terminalreporter.line(f"{'eq.':>6} {'error':>9} {'bound':>9} {'cases':>6}  claim")
    for number in sorted(RECORDS, key=order):
        record = RECORDS[number]
        terminalreporter.line(
            f"{number:>6} {record.error:9.2g} {record.bound:9.2g} {record.cases:6d}  "
            f"{words.get(number, '')}"
        )
