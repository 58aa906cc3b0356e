"""What a run sets aside, refuses to overwrite, removes and leaves alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from twofold import InputError
from twofold.errors import RequestRefused
from twofold.jobs import Counts, Item, Unreadable, index
from twofold.stores.store import scan_rows
from twofold.testing import FakeEmbedder

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from twofold import Document
    from twofold.stores import Store
    from twofold.vectors import FloatArray

GOOD = [Item(f"d{number}", f"Ship number {number} came in at nine.") for number in range(5)]


def ids(store: Store) -> list[str]:
    return sorted({row.document for row in scan_rows(store)})


def test_what_cannot_be_embedded_is_set_aside_and_the_others_go_on(
    embedder: FakeEmbedder, memory: Store, tmp_path: Path
) -> None:
    bad: list[Item | Unreadable] = [
        Item("long", "word " * 600, source="/c/long.txt"),
        Item("broken", "\ud800"),
        Item("bad\udc80id", "text"),
        Item("d1", "again", source="/c/again.txt"),
        Item("listed", "x", {"y": []}),  # type: ignore[dict-item]
        Unreadable("latin", "byte 0xe9 is not UTF-8", "/c/latin.txt"),
    ]
    letters = tmp_path / "letters.jsonl"
    counts = index(embedder, memory, [*GOOD, *bad], on_error="skip", dead_letters=letters)
    assert (counts.added, counts.set_aside, ids(memory)) == (5, 6, [item.id for item in GOOD])
    read = {letter["id"]: letter for letter in map(json.loads, letters.read_text().splitlines())}
    assert set(read) == {item.id for item in bad}
    assert "600 tokens, the limit is 512" in read["long"]["reason"]
    assert "lone surrogate" in read["broken"]["reason"]
    assert "occurs twice" in read["d1"]["reason"]
    assert (read["latin"]["reason"], read["latin"]["source"]) == (
        "document 'latin': byte 0xe9 is not UTF-8",
        "/c/latin.txt",
    )
    index(embedder, memory, GOOD, on_error="skip", dead_letters=letters)
    assert letters.read_text() == ""


class Refusing(FakeEmbedder):
    """A hosted model that refuses some texts for good."""

    def embed_late(self, documents: Iterable[Document], **options: Any) -> list[FloatArray]:
        documents = list(documents)
        bad = [number for number, document in enumerate(documents) if "forbidden" in document.text]
        good = dict(enumerate(super().embed_late(documents, **options)))
        if not bad:
            return list(good.values())
        partial = {number: vectors for number, vectors in good.items() if number not in bad}
        raise RequestRefused("refused", status=self.status, partial=partial, failed=dict.fromkeys(bad, "not allowed"))

    status = 400


@pytest.mark.parametrize("options", [{}, {"chunk_tokens": 8}])
def test_a_text_that_a_provider_refuses_is_set_aside(memory: Store, options: dict[str, Any]) -> None:
    embedder, items = Refusing(), [*GOOD, Item("bad", "This is forbidden."), Item("last", "The last one.")]
    assert index(embedder, memory, items, on_error="skip", **options).set_aside == 1
    assert ids(memory) == [*(item.id for item in GOOD), "last"]
    with pytest.raises(InputError, match="document 'bad': not allowed") as error:
        index(embedder, memory, items, **options)
    assert error.value.index == 5
    embedder.status = 401
    with pytest.raises(RequestRefused):
        index(embedder, memory, items, on_error="skip", **options)


def test_bad_options_are_refused_before_anything_is_read(embedder: FakeEmbedder, memory: Store, tmp_path: Path) -> None:
    def never() -> Any:
        raise AssertionError("the corpus was read")
        yield

    for options, said in (
        ({"on_error": "ignore"}, "choose 'stop' or 'skip'"),
        ({"dead_letters": tmp_path / "no" / "letters"}, "cannot write the dead-letter file"),
        ({"chunk_tokens": 513}, "chunk_tokens=513"),
    ):
        with pytest.raises(InputError, match=said):
            index(embedder, memory, never(), **options)


def test_a_blank_document_has_no_rows(embedder: FakeEmbedder, memory: Store) -> None:
    index(embedder, memory, GOOD)
    blank = [Item("d0", " \n"), *GOOD[1:], Item("new", "")]
    assert index(embedder, memory, blank) == Counts(skipped=4, blank=2, gone=0)
    assert ids(memory) == ["d1", "d2", "d3", "d4"]


def test_an_id_of_another_source_is_not_overwritten(embedder: FakeEmbedder, memory: Store) -> None:
    first = [Item("docs/a.md", "Ships.", source="/p1/docs/a.md"), Item("docs/b.md", "Fog.", source="/p1/docs/b.md")]
    second = [Item("docs/a.md", "Tea.", source="/p2/docs/a.md"), Item("docs/b.md", "Fog.", source="/p2/docs/b.md")]
    index(embedder, memory, first)
    with pytest.raises(InputError, match=r"in the collection came from /p1/docs/a.md .* from /p2/docs/a.md.*id_root"):
        index(embedder, memory, second)
    assert index(embedder, memory, second, on_error="skip") == Counts(skipped=1, set_aside=1, gone=0)
    assert index(embedder, memory, second[::-1], take_over=True).updated == 1
    assert {one.row.source for one in memory.get(["docs/a.md"])} == {"/p2/docs/a.md"}
    with pytest.raises(InputError, match=r"occurs twice, in /p1/docs/a\.md and in /p2/docs/a\.md"):
        index(embedder, memory, [first[0], second[0]])


def test_what_left_the_corpus_is_counted_and_removed_where_that_is_wanted(
    embedder: FakeEmbedder, memory: Store
) -> None:
    asked: list[tuple[int, int]] = []

    def ask(documents: int, rows: int) -> bool:
        asked.append((documents, rows))
        return len(asked) > 1

    index(embedder, memory, [*GOOD, Item("book", "One. Two. Three. Four. Five. Six.")], chunk_tokens=3)
    left = GOOD[:3]
    options: dict[str, Any] = {"chunk_tokens": 3}
    rows = sum(row.document in ("d3", "d4", "book") for row in scan_rows(memory))
    assert index(embedder, memory, left, **options).gone == 3
    bad: list[Item | Unreadable] = [*left, Unreadable("d3", "broken")]
    assert index(embedder, memory, bad, prune=True, on_error="skip", **options).pruned == 0
    assert index(embedder, memory, left, prune=True, stop=lambda: True, **options) == Counts(stopped=True)
    assert index(embedder, memory, left, prune=ask, **options).pruned == 0
    assert len(ids(memory)) == 6
    counts = index(embedder, memory, left, prune=ask, **options)
    assert (counts.gone, counts.pruned, asked) == (3, 3, [(3, rows)] * 2)
    assert ids(memory) == ["d0", "d1", "d2"]
    with pytest.raises(InputError, match="prune would remove all 3 documents of the collection"):
        index(embedder, memory, [], prune=True)
    assert index(embedder, memory, GOOD[:1], prune=True, **options).pruned == 2


def test_an_unreadable_document_is_not_gone(embedder: FakeEmbedder, memory: Store) -> None:
    index(embedder, memory, GOOD)
    counts = index(embedder, memory, [*GOOD[:4], Unreadable("d4", "broken")], on_error="skip")
    assert (counts.gone, counts.set_aside) == (0, 1)


def test_what_is_there_is_written_again_by_force(embedder: FakeEmbedder, memory: Store) -> None:
    index(embedder, memory, GOOD)
    embedder.calls.clear()
    assert index(embedder, memory, GOOD, force=True).updated == 5
    assert sum(len(call.texts) for call in embedder.calls) == 5


def test_a_corpus_is_read_once_and_in_parts(
    embedder: FakeEmbedder, memory: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("twofold.jobs.comparing.DOCUMENTS", 7)
    given: list[int] = []

    def corpus() -> Any:
        for number in range(30):
            given.append(memory.count())
            yield Item(f"d{number}", f"Ship {number}.")

    assert index(embedder, memory, corpus()).added == 30
    assert given[:8] == [0] * 8
    assert given[-1] >= 21
    with pytest.raises(InputError, match="id 'd2' occurs twice") as error:
        index(embedder, memory, [*(Item(f"d{number}", f"Ship {number}.") for number in range(30)), Item("d2", "x")])
    assert error.value.index == 30
