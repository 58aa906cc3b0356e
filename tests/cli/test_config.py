"""Options from flags, variables and files: which comes first, and what is said of one that is none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from cli.conftest import Run


def width(out: str) -> int:
    return len(json.loads(out.splitlines()[0])["embedding"])


def test_a_flag_comes_before_a_variable_before_the_file(twofold: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("twofold.toml").write_text('model = "fake:"\ndimensions = 32\n')
    assert width(twofold("embed", "x")[1]) == 32
    monkeypatch.setenv("TWOFOLD_DIMENSIONS", "16")
    assert width(twofold("embed", "x")[1]) == 16
    assert width(twofold("embed", "x", "--dimensions", "8")[1]) == 8


def test_pyprojects_table_and_a_table_of_one_command(twofold: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("pyproject.toml").write_text(
        '[project]\nname = "x"\n[tool.twofold]\nmodel = "fake:"\ndimensions = 32\n'
        "[tool.twofold.embed]\ndimensions = 8\n"
    )
    Path("inner").mkdir()
    monkeypatch.chdir("inner")  # a folder below
    assert width(twofold("embed", "x")[1]) == 8


def test_a_pyproject_of_others_is_passed_over(twofold: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("twofold.toml").write_text('model = "fake:"\n')
    Path("inner").mkdir()
    Path("inner/pyproject.toml").write_text('[project]\nname = "x"\n')
    monkeypatch.chdir("inner")
    assert twofold("embed", "x")[0] == 0


def test_a_file_that_is_named(twofold: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "own.toml"
    own.write_text('model = "fake:"\ndimensions = 16\n')
    assert width(twofold("--config", str(own), "embed", "x")[1]) == 16
    monkeypatch.setenv("TWOFOLD_CONFIG", str(own))
    assert width(twofold("embed", "x")[1]) == 16


def test_dashes_lists_and_switches(twofold: Run, notes: tuple[str, ...]) -> None:
    Path("twofold.toml").write_text(
        f'store = "{notes[1]}"\ncollection = "notes"\njson = true\n[search]\nfilter = ["topic=food"]\nlimit = 1\n'
    )
    code, out, err = twofold("search", "ships")
    assert code == 0, err
    (hit,) = json.loads(out)
    assert hit["metadata"]["topic"] == "food"
    Path("twofold.toml").write_text('query-task = "topic"\nmodel = "fake:"\ninclude = "*.md"\n')
    assert twofold("embed", "x")[0] == 0


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('modle = "fake:"', "twofold.toml: modle is not an option of any command; did you mean model?"),
        ("[serach]\nlimit = 1", "twofold.toml: [serach] is not a command"),
        ("[embed]\nlimit = 1", "limit is not an option of embed"),
        ("model = ", "twofold.toml is not TOML"),
        ("dimensions = 1979-05-27", "dimensions is datetime.date"),
        ('model = "fake:"\ndimensions = "wide"', "--dimensions"),
    ],
)
def test_what_is_wrong_in_a_file_is_said(twofold: Run, content: str, said: str) -> None:
    Path("twofold.toml").write_text(content)
    code, out, err = twofold("embed", "x")
    assert (code, out) == (2, "")
    assert said in err
    assert "Traceback" not in err


def test_options_of_other_commands_are_no_fault(twofold: Run) -> None:
    Path("twofold.toml").write_text('model = "fake:"\nchunk-tokens = 100\nlimit = 3\n')
    assert twofold("embed", "x")[0] == 0
    assert twofold("models", "--json")[0] == 0
