"""The late chunking example, run as a user runs it."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "late_chunking" / "example.py"


def test_late_chunks_know_which_city_is_meant(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["example.py"])
    runpy.run_path(str(EXAMPLE), run_name="__main__")
    lines = capsys.readouterr().out.splitlines()
    (population,) = (line for line in lines if "3.85 million" in line)
    late, late_rank, naive, naive_rank, *_ = population.split()
    assert (late_rank, naive_rank) == ("(#1)", "(#2)")
    assert float(late) > float(naive)
