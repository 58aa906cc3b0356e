from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from twofold import Embedder, InputError
from twofold.jobs import Item, Unreadable, dry_run, index

if TYPE_CHECKING:
    from twofold.stores import Store
    from twofold.testing import FakeEmbedder

BOOK = "\n\n".join(f"Page {number} tells of ships and fog." for number in range(20))
ITEMS = [Item("book", BOOK, source="/c/book"), Item("a", "Tea."), Item("b", "Ink."), Item("blank", " ")]


@pytest.mark.parametrize("options", [{}, {"chunk_tokens": 8}, {"chunk_tokens": 8, "late_chunking": True}])
def test_what_is_counted_is_what_a_run_does(embedder: FakeEmbedder, memory: Store, options: dict[str, Any]) -> None:
    index(embedder, memory, [Item("a", "Tea."), Item("b", "Ink.", {"n": 1})], **options)
    bad: list[Item | Unreadable] = [*ITEMS, Unreadable("c", "broken"), Item("a", "twice")]
    found = dry_run(embedder, memory, bad, **options)
    before = memory.count()
    counts = index(embedder, memory, bad, on_error="skip", **options)
    assert (found.embedded, found.chunks) == (counts.added, counts.rows)
    assert (found.embedded, found.tokens, memory.count()) == (1, counts.tokens, before + counts.rows)
    assert (found.refiled, found.skipped, found.blank, found.set_aside) == (1, 1, 1, 2)
    assert found.first_refused == "document 'c': broken"
    assert found.tokens_a_second is not None
    assert found.seconds == pytest.approx(found.tokens / found.tokens_a_second)
    other = [Item("book", "Another.", source="/d/book")]
    assert dry_run(embedder, memory, other, **options).set_aside == 1
    assert dry_run(embedder, memory, other, take_over=True, **options).embedded == 1
    assert dry_run(embedder, memory, ITEMS, force=True, **options).embedded == 3


def test_a_collection_that_is_not_there_has_nothing(embedder: FakeEmbedder) -> None:
    found = dry_run(embedder, None, [*ITEMS, Item("long", "word " * 600)])
    assert (found.embedded, found.set_aside, found.skipped) == (3, 1, 0)
    assert dry_run(embedder, None, []).seconds is None
    with pytest.raises(InputError, match="late_chunking needs chunk_tokens"):
        dry_run(embedder, None, ITEMS, late_chunking=True)


def test_a_hosted_model_is_not_tried() -> None:
    embedder = Embedder("jina:jina-embeddings-v3", api_key="unused", base_url="http://127.0.0.1:9/v1")
    found = dry_run(embedder, None, ITEMS)
    assert (found.embedded, found.seconds) == (3, None)
    assert found.tokens > 100


def test_what_a_hosted_run_costs_is_known_before_the_first_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    embedder = Embedder("openai:text-embedding-3-small")
    found = dry_run(embedder, None, ITEMS)
    assert (found.embedded, found.blank) == (3, 1)
    assert found.price is not None
    assert found.cost == pytest.approx(found.tokens * found.price.dollars / 1e6)
    assert dry_run(Embedder("fake:"), None, ITEMS).cost is None
