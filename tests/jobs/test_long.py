"""Documents that are cut into sections."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from twofold import Document
from twofold.jobs import Counts, Item, index
from twofold.jobs.chunking import sections, split
from twofold.stores.store import scan_rows

if TYPE_CHECKING:
    from twofold.stores import Store
    from twofold.testing import FakeEmbedder

TEXT = "\n\n".join(f"The keeper of lighthouse {number} counts ships. Fog comes in at nine." for number in range(60))


@pytest.fixture(autouse=True)
def short_sections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("twofold.jobs.chunking.SECTION", 500)


def versions(store: Store) -> set[tuple[str, int]]:
    return {(row.digest, row.rows) for row in scan_rows(store)}


def test_sections_cover_a_text_and_end_where_a_paragraph_does() -> None:
    found = list(sections(TEXT))
    assert (found[0][0], found[-1][1]) == (0, len(TEXT))
    assert all(end == start for (_, end), (start, _) in pairwise(found))
    assert all(TEXT[:end].endswith("\n\n") for _, end in found[:-1])
    assert [end - start for start, end in sections("x" * 1200)] == [500, 500, 200]
    words = TEXT.replace("\n\n", " ")
    assert all(words[:end].endswith(" ") for _, end in list(sections(words))[:-1])


@pytest.mark.parametrize("late", [True, False])
def test_a_long_document_is_written_section_by_section(embedder: FakeEmbedder, memory: Store, late: bool) -> None:
    options: dict[str, Any] = {"chunk_tokens": 8, "late_chunking": late}
    counts = index(embedder, memory, [Item("a", "Tea."), Item("book", TEXT, {"n": 1}), Item("b", "Ink.")], **options)
    rows = [one.row for one in memory.get([row.id for row in memory.held(["book"])])]
    assert counts == Counts(added=3, rows=len(rows) + 2, tokens=counts.tokens, gone=0)
    assert counts.tokens >= len(TEXT.split())
    assert {row.rows for row in rows} == {len(rows)}
    assert all(TEXT[slice(*row.span)] == row.text for row in rows)
    ordered = sorted(rows, key=lambda row: row.span)
    assert [row.id for row in ordered] == [f"book#{number}" for number in range(len(rows))]
    assert " ".join(row.text for row in ordered).split() == TEXT.split()
    start, end = next(sections(TEXT))
    spans = split(embedder, TEXT[start:end], 8)
    first = [one.vector for one in memory.get([f"book#{number}" for number in range(len(spans))])]
    alone = embedder.embed_documents([TEXT[slice(*span)] for span in spans])
    expected = embedder.embed_late([Document(TEXT[start:end], spans)])[0] if late else alone
    assert first == pytest.approx(expected)
    embedder.calls.clear()
    assert index(embedder, memory, [Item("book", TEXT, {"n": 1})], **options).skipped == 1
    assert not embedder.calls
    assert index(embedder, memory, [Item("book", TEXT[:1000])], **options).updated == 1
    assert len(versions(memory)) == 3


def test_a_long_document_that_was_left_in_the_middle_goes_on(embedder: FakeEmbedder, memory: Store) -> None:
    options: dict[str, Any] = {"chunk_tokens": 8, "late_chunking": True}
    stopped = index(embedder, memory, [Item("book", TEXT)], stop=lambda: memory.count() > 0, **options)
    assert stopped == Counts(stopped=True)
    there = memory.count()
    assert there > 0
    done = [text for call in embedder.calls for text in call.texts]
    embedder.calls.clear()
    counts = index(embedder, memory, [Item("book", TEXT)], **options)
    assert not {text for call in embedder.calls for text in call.texts} & set(done)
    assert (counts.updated, counts.rows) == (1, memory.count())
    assert memory.count() > there
