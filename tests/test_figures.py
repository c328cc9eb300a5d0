"""Every figure script draws its figure, prints its numbers, and says what is wrong."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPTS = sorted(path.stem for path in (ROOT / "figures").glob("[!_]*.py"))


@pytest.mark.parametrize("name", SCRIPTS)
def test_draws_quickly(name, tmp_path, capsys):
    out = tmp_path / "figure.png"
    importlib.import_module(f"figures.{name}").main(["--quick", "--out", str(out)])
    assert out.read_bytes().startswith(b"\x89PNG")
    assert len(capsys.readouterr().out.splitlines()) > 3  # a table, and where it was written
    assert [path.name for path in tmp_path.iterdir()] == ["figure.png"]


@pytest.mark.parametrize("name", SCRIPTS)
def test_has_its_picture_beside_it(name):
    assert (ROOT / "figures" / f"{name}.png").exists()


def test_a_missing_data_file_is_one_sentence_and_exit_2(tmp_path, capsys):
    main = importlib.import_module("figures.beta_tradeoff").main
    with pytest.raises(SystemExit) as stop:
        main(["--data", str(tmp_path / "none.csv"), "--out", str(tmp_path / "x.png")])
    assert stop.value.code == 2
    assert "none.csv" in capsys.readouterr().err.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []
