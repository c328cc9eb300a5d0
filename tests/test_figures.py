"""Every figure script draws its figure, prints its numbers, and says what is wrong."""

from __future__ import annotations

import importlib
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from nanoae import VAE, LinearVAE, TrainingDiverged

ROOT = Path(__file__).parents[1]
SCRIPTS = sorted(path.stem for path in (ROOT / "figures").glob("[!_]*.py"))


@pytest.fixture
def rough(monkeypatch):
    """Few pixels, and labels that stay put: to find room for them takes as long as all else.

    Some figures below are drawn without it.
    """
    save = Figure.savefig

    def save_roughly(self, *args, **kwargs):
        with monkeypatch.context() as patch:
            patch.setattr(Figure, "get_layout_engine", lambda self: None)
            save(self, *args, **kwargs, dpi=20)

    monkeypatch.setattr(Figure, "savefig", save_roughly)


@pytest.fixture
def in_one_process(monkeypatch):
    """No processes of its own for a sweep: to start them takes longer than these."""
    script = importlib.import_module("figures.beta_tradeoff")
    monkeypatch.setattr(script, "ProcessPoolExecutor", lambda mp_context: ThreadPoolExecutor(1))


@pytest.mark.many
@pytest.mark.parametrize("name", SCRIPTS)
def test_draws_quickly(name, tmp_path, capsys, rough):
    out = tmp_path / "figure.png"
    importlib.import_module(f"figures.{name}").main(["--quick", "--out", str(out)])
    assert out.read_bytes().startswith(b"\x89PNG")
    assert len(capsys.readouterr().out.splitlines()) > 3  # a table, and where it was written
    page = ["figure.html"] if name == "beta_explorer" else []
    assert sorted(path.name for path in tmp_path.iterdir()) == [*page, "figure.png"]


@pytest.mark.parametrize("name", SCRIPTS)
def test_has_its_picture_beside_it(name):
    assert (ROOT / "figures" / f"{name}.png").exists()


def takes_data(name):
    return "--data" in (ROOT / "figures" / f"{name}.py").read_text("utf-8") or (
        "data=False" not in (ROOT / "figures" / f"{name}.py").read_text("utf-8")
    )


WITH_DATA = [name for name in SCRIPTS if takes_data(name)]


def table(rows):
    return "\n".join(",".join(repr(float(v)) for v in row) for row in rows).encode()


NINE, TWO = np.random.default_rng(0).random((2, 60, 9))  # nine columns are images of 3 by 3
TWO = TWO[:, :2]
ROUND = np.round(1.2 * NINE[:2])  # the mean of these and their negatives is 0, not nearly 0
SPREAD = np.linspace(0, 1, 60)[:, None]
DATA = {  # what may be handed in; a figure is drawn, or one sentence says why not
    "missing": None,
    "text": b"one,two\nthree,four\n",
    "NaN": b"1,2\n3,nan\n",
    "one column": b"1\n2\n4\n",
    "one row": b"1,2,3,4\n",
    "few rows": b"1,2,3,4\n2,3,4,6\n3,1,4,1\n",
    "more columns than rows": table(NINE.reshape(-1, 36)[:12]),
    "no square": table(NINE[:, :5]),
    "constant column": table(np.hstack([NINE[:, :8], np.full((60, 1), 3)])),
    "constant column in the plane": table(np.hstack([TWO[:, :1], np.full((60, 1), 3)])),
    "equal rows": table(np.tile(NINE[:1], (60, 1))),
    "equal rows in the plane": table(np.tile(TWO[:1], (60, 1))),
    "on a line": table(SPREAD * NINE[:1]),
    "on a line in the plane": table(SPREAD * TWO[:1]),
    "nearly on a line in the plane": table(SPREAD * TWO[:1] + 1e-8 * TWO),
    "mostly zeros": table(np.vstack([np.zeros((56, 9)), ROUND, -ROUND])),
    "nearly all zeros": table(np.vstack([np.zeros((396, 9)), ROUND, -ROUND])),
    "size 1e-13": table(1e-13 * NINE),
    "size 1e-13 in the plane": table(1e-13 * TWO),
    "size 1e-160": table(1e-160 * NINE),
    "size 1e13": table(1e13 * NINE),
    "size 1e160": table(1e160 * NINE),
    "large offset": table(1e9 + NINE),
    "large offset in the plane": table(1e6 + TWO),
    "float32 with an offset": (1e4 + NINE).astype(np.float32),
}
MUST_STOP = {  # all scripts, or these
    **dict.fromkeys(("missing", "text", "NaN", "one row", "equal rows"), WITH_DATA),
    **dict.fromkeys(("equal rows in the plane", "size 1e-160", "size 1e160"), WITH_DATA),
    "on a line": ["linear_axes", "linear_convergence", "sparse_convergence"],
    "on a line in the plane": ["linear_convergence", "linear_curve"],
    "size 1e-13": ["beta_tradeoff", "sparse_atoms", "sparse_tradeoff", "vae_bounds"],
    "size 1e13": ["sparse_atoms", "sparse_tradeoff", "vae_bounds"],
}
MUST_DRAW = {
    "constant column": set(WITH_DATA) - {"linear_curve", "vae_bounds"},
    "on a line": {"tied_landscape"},
    "nearly all zeros": {"sparse_tradeoff"},
}
ONLY = {  # kinds that would teach nothing new of other scripts
    "size 1e13": MUST_STOP["size 1e13"],
    "nearly all zeros": ["sparse_tradeoff"],
    **{kind: ["linear_convergence", "linear_curve"] for kind in DATA if "in the plane" in kind},
}


@pytest.mark.many
@pytest.mark.filterwarnings("ignore::nanoae.ConvergenceWarning")
@pytest.mark.parametrize(
    ("name", "kind"),
    [(name, kind) for name in WITH_DATA for kind in DATA if name in ONLY.get(kind, WITH_DATA)],
)
def test_data_that_will_not_do_are_one_sentence_and_exit_2(
    name, kind, tmp_path, capsys, rough, in_one_process
):
    given, out = DATA[kind], tmp_path / "figure.png"
    path = tmp_path / ("data.npy" if isinstance(given, np.ndarray) else "data.csv")
    if isinstance(given, np.ndarray):
        np.save(path, given)
    elif given is not None:
        path.write_bytes(given)
    main = importlib.import_module(f"figures.{name}").main
    try:
        main(["--quick", "--data", str(path), "--out", str(out)])
    except SystemExit as stop:
        assert stop.code == 2 and name not in MUST_DRAW.get(kind, ())
        message = capsys.readouterr().err.splitlines()[-1]
        assert re.search(r"error: .*(data\.csv|needs|must|got|with these data)", message)
        assert not out.exists()
    else:
        assert name not in MUST_STOP.get(kind, ())
        assert not {"nan", "inf", "-inf"} & set(capsys.readouterr().out.split())
        assert out.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("name", "model"),
    [("beta_collapse", LinearVAE), ("vae_estimators", VAE), ("vae_bounds", LinearVAE)],
)
def test_data_on_which_training_diverges_are_one_sentence_and_exit_2(
    name, model, tmp_path, capsys, monkeypatch
):
    def diverges(self, X):
        raise TrainingDiverged("the loss is no longer finite in epoch 1")

    monkeypatch.setattr(model, "fit", diverges)
    path, out = tmp_path / "data.csv", tmp_path / "figure.png"
    np.savetxt(path, np.random.default_rng(0).random((6, 3)), delimiter=",")
    stops_with_one_sentence(name, path, out, capsys)


def stops_with_one_sentence(name, path, out, capsys):
    with pytest.raises(SystemExit) as stop:
        importlib.import_module(f"figures.{name}").main(
            ["--quick", "--data", str(path), "--out", str(out)]
        )
    assert stop.value.code == 2 and not out.exists()
    message = capsys.readouterr().err.splitlines()[-1]
    assert "error: with these data the loss is no longer finite" in message


@pytest.mark.parametrize("out", ["none/figure.png", ".", "figure"])
@pytest.mark.parametrize("name", SCRIPTS)
def test_says_where_it_cannot_write_before_it_begins(name, out, tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        importlib.import_module(f"figures.{name}").main(["--out", str(tmp_path / out)])
    assert stop.value.code == 2
    message = capsys.readouterr().err.splitlines()[-1]
    assert "--out: must be a file such as figure.png in a folder that exists" in message


@pytest.mark.parametrize("name", [*SCRIPTS, "__main__"])
def test_help_says_what_it_draws(name, capsys):
    script = importlib.import_module(f"figures.{name}")
    with pytest.raises(SystemExit) as stop:
        script.main(["--help"])
    assert stop.value.code == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert script.__doc__.splitlines()[0] in shown and "--quick" in shown and "--out" in shown


def test_all_figures_are_listed_and_some_are_drawn(tmp_path, capsys):
    main = importlib.import_module("figures.__main__").main
    main(["--list"])
    listed = capsys.readouterr().out.splitlines()
    assert [line.split()[1].rstrip(":") for line in listed] == SCRIPTS
    drawn = ["tied_landscape", "vae_estimators"]
    main([*drawn, "--quick", "--out", str(tmp_path)])
    assert sorted(path.stem for path in tmp_path.iterdir()) == drawn
    for wrong in (["none"], ["--out", str(tmp_path / "none")]):
        with pytest.raises(SystemExit) as stop:
            main(wrong)
        assert stop.value.code == 2 and "none" in capsys.readouterr().err.splitlines()[-1]


def test_a_figure_that_fails_does_not_keep_the_others_from_being_drawn(
    tmp_path, capsys, monkeypatch
):
    def fail(argv):
        raise RuntimeError("no ink")

    monkeypatch.setattr(importlib.import_module("figures.sparse_prox"), "main", fail)
    with pytest.raises(SystemExit) as stop:
        importlib.import_module("figures.__main__").main(
            ["sparse_prox", "tied_landscape", "--quick", "--out", str(tmp_path)]
        )
    assert stop.value.code == "1 of 2 failed: sparse_prox"
    assert "sparse_prox failed: RuntimeError: no ink" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["tied_landscape.png"]
