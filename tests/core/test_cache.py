"""`cache=`: what is embedded once is not embedded again, by any process, and never comes back for something else."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from twofold import CacheWarning, Document, Embedder, InputError, ProviderError, RequestRefused, SpaceMismatch
from twofold.cache import NAME, VectorCache
from twofold.settings import Settings
from twofold.space import SpaceRecord

if TYPE_CHECKING:
    from pathlib import Path

TEXTS = ["a ship", "a harbour", "a ship"]


def calls(embedder: Embedder) -> list[tuple[str, ...]]:
    """The texts of each call that came through to the model."""
    return [call.texts for call in embedder.backend.calls]  # type: ignore[attr-defined]


def test_a_text_is_embedded_once(tmp_path: Path) -> None:
    right = Embedder("fake:")
    first = Embedder("fake:", cache=str(tmp_path))
    np.testing.assert_array_equal(first.embed_documents(TEXTS), right.embed_documents(TEXTS))
    second = Embedder("fake:", cache=str(tmp_path))
    np.testing.assert_array_equal(
        second.embed_documents([*TEXTS, "a lighthouse"]), right.embed_documents([*TEXTS, "a lighthouse"])
    )
    assert calls(first) == [("a ship", "a harbour")]
    assert calls(second) == [("a lighthouse",)]


def test_a_query_never_gets_a_documents_vector_nor_another_size(tmp_path: Path) -> None:
    embedder = Embedder("fake:", cache=str(tmp_path))
    embedder.embed_documents(["a ship"])
    np.testing.assert_array_equal(embedder.embed_query("a ship"), Embedder("fake:").embed_query("a ship"))
    small = Embedder("fake:", cache=str(tmp_path), dimensions=16)
    assert small.embed_documents(["a ship"]).shape == (1, 16)
    embedder.embed(["a ship"], task=None)
    embedder.embed(["a ship"], task=None)
    assert len(calls(embedder)) == 4  # any other task goes past the cache


async def test_late_chunks_and_async_calls_share_it(tmp_path: Path) -> None:
    embedder, right = Embedder("fake:", cache=str(tmp_path)), Embedder("fake:")
    document = Document.from_chunks(["One. ", "Two. ", "Three."])
    (late,) = await embedder.aembed_late([document])
    np.testing.assert_array_equal(late, right.embed_late([document])[0])
    np.testing.assert_array_equal(embedder.embed_chunks(["One. ", "Two. ", "Three."]), late)
    assert len(calls(embedder)) == 1
    embedder.embed_documents([document.text])  # the same text whole is something else
    assert (await embedder.aembed_documents([document.text])).shape == (1, embedder.dimensions)
    assert (await embedder.aembed_query("a ship")).tolist() == embedder.embed_query("a ship").tolist()
    assert len(calls(embedder)) == 3


def test_what_was_cut_is_no_answer_where_it_would_be_refused(tmp_path: Path) -> None:
    long = "word " * 9000
    Embedder("fake:", cache=str(tmp_path), truncate="end").embed_documents([long])
    with pytest.raises(InputError, match="text 1 "):
        Embedder("fake:", cache=str(tmp_path)).embed_documents(["short", long])


def test_canaries_are_never_taken_from_it(tmp_path: Path) -> None:
    embedder = Embedder("fake:", cache=str(tmp_path))
    record = embedder.record()
    embedder.record()
    assert len(calls(embedder)) == 4
    other = SpaceRecord(Embedder("fake:", dimensions=16).space, record.canaries)
    with pytest.raises(SpaceMismatch):
        embedder.check(other)


def test_an_estimate_leaves_out_what_is_there(tmp_path: Path) -> None:
    embedder = Embedder("fake:", cache=str(tmp_path))
    embedder.embed_documents(["three words here"])
    assert embedder.estimate(["three words here", "two words"]).tokens == 2


def test_what_was_paid_for_before_a_failure_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    embedder = Embedder("fake:", cache=str(tmp_path))
    embedder.embed_documents(["a"])
    whole = embedder.backend.embed

    def fails(documents: Any, *rest: Any, **options: Any) -> Any:
        rows = whole(documents, *rest, **options)
        raise RequestRefused("no", partial={0: rows[:1]}, failed={1: "no"})

    monkeypatch.setattr(embedder.backend, "embed", fails)
    with pytest.raises(ProviderError) as caught:
        embedder.embed_documents(["a", "b", "c", "b", "c"])
    assert sorted(caught.value.partial) == [0, 1, 3]
    assert caught.value.failed == {2: "no", 4: "no"}
    right = Embedder("fake:").embed_documents(["a", "b"])
    np.testing.assert_array_equal(caught.value.partial[3], right[1:])
    later = Embedder("fake:", cache=str(tmp_path))
    np.testing.assert_array_equal(later.embed_documents(["a", "b"]), right)
    assert calls(later) == []


def test_a_folder_that_cannot_be_used_is_said_before_any_work(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("no folder")
    embedder = Embedder("fake:", cache=str(file))
    with pytest.raises(InputError, match=r"cache=.* cannot be used"):
        embedder.embed_documents(["a"])
    assert calls(embedder) == []
    (tmp_path / NAME).write_bytes(b"not a database, but long enough to be read as one" * 20)
    with pytest.raises(InputError, match="not a database"):
        Embedder("fake:", cache=str(tmp_path)).embed_documents(["a"])


def test_a_cache_that_breaks_costs_a_warning_and_no_vector(tmp_path: Path) -> None:
    embedder = Embedder("fake:", cache=str(tmp_path))
    embedder.embed_documents(["a"])
    with sqlite3.connect(tmp_path / NAME) as database:
        database.execute("DROP TABLE vectors")
    with pytest.warns(CacheWarning, match="could not be (read|written): no such table") as warned:
        vectors = embedder.embed_documents(["a"])
    np.testing.assert_array_equal(vectors, Embedder("fake:").embed_documents(["a"]))
    assert len(warned) == 2


def test_a_value_that_was_cut_off_is_missing(tmp_path: Path) -> None:
    embedder = Embedder("fake:", cache=str(tmp_path))
    embedder.embed_documents(["a"])
    with sqlite3.connect(tmp_path / NAME) as database:
        database.execute("UPDATE vectors SET value = substr(value, 1, 8)")
    np.testing.assert_array_equal(embedder.embed_documents(["a"]), Embedder("fake:").embed_documents(["a"]))


WRITER = """
import sys
from twofold.cache import VectorCache
cache = VectorCache(sys.argv[1])
for turn in range(20):
    cache.put([(f"{sys.argv[2]}-{turn}-{key}", b"value") for key in range(50)])
"""


def test_processes_write_at_once_and_nothing_is_lost(tmp_path: Path) -> None:
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), str(number)]) for number in range(3)]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    keys = [f"{number}-{turn}-{key}" for number in range(3) for turn in range(20) for key in range(50)]
    assert None not in VectorCache(str(tmp_path)).get(keys)


def test_a_path_will_do(tmp_path: Path) -> None:
    settings = Settings("fake:", cache=tmp_path)  # type: ignore[arg-type]
    assert settings.cache == str(tmp_path)
