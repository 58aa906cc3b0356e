from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from twofold import Document, InputError, MissingExtra
from twofold.errors import ProviderUnavailable
from twofold.jobs import Counts, Item, Unreadable, index, open_store, search
from twofold.stores.store import scan_rows
from twofold.testing import FakeEmbedder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from twofold.jobs import Store
    from twofold.vectors import FloatArray

SENTENCE = "The keeper of lighthouse {} counts ships. Fog comes in at nine. Nobody answers the radio any more."
ITEMS = [Item(f"d{number}", SENTENCE.format(number), {"n": number}) for number in range(40)]


@pytest.fixture
def embedder() -> FakeEmbedder:
    return FakeEmbedder()


@pytest.fixture
def store(tmp_path: Path, embedder: FakeEmbedder) -> Iterator[Store]:
    with open_store(f"chroma:{tmp_path}", "docs", embedder) as opened:
        embedder.calls.clear()
        yield opened


@pytest.fixture
def small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three documents in a slice."""
    monkeypatch.setattr("twofold.jobs.long.FIRST_TOKENS", 60)
    monkeypatch.setattr("twofold.jobs.long.MAX_TOKENS", 60)


def embedded(embedder: FakeEmbedder) -> list[str]:
    return [text for call in embedder.calls for text in call.texts]


def test_a_second_run_embeds_nothing_and_a_changed_document_is_replaced(embedder: FakeEmbedder, store: Store) -> None:
    first = index(embedder, store, ITEMS)
    assert first == Counts(added=40, rows=40, tokens=40 * 18, gone=0)
    embedder.calls.clear()
    assert index(embedder, store, ITEMS) == Counts(skipped=40, gone=0)
    assert not embedder.calls

    changed = [Item("d3", "Something else now."), *ITEMS[4:], Item("new", "A new one.")]
    assert index(embedder, store, changed) == Counts(added=1, updated=1, skipped=36, rows=2, tokens=6, gone=3)
    assert embedded(embedder) == ["Something else now.", "A new one."]
    [hit] = search(embedder, store, "Something else now.", limit=1)
    assert (hit.row.id, hit.row.text, hit.row.metadata) == ("d3", "Something else now.", {})
    assert store.count() == 41


@pytest.mark.parametrize("options", [{}, {"chunk_tokens": 12, "late_chunking": True}])
def test_metadata_that_changed_alone_is_written_without_embedding(
    embedder: FakeEmbedder, store: Store, options: dict[str, Any]
) -> None:
    index(embedder, store, ITEMS[:2], **options)
    rows = [row.id for row in scan_rows(store)]
    vectors = {one.row.id: one.vector for one in store.get(rows)}
    embedder.calls.clear()
    changed = [Item("d0", ITEMS[0].text, {"m": "x"}), ITEMS[1]]
    assert index(embedder, store, changed, **options) == Counts(refiled=1, skipped=1, gone=0)
    assert not embedder.calls
    for one in store.get(rows):
        assert one.vector == pytest.approx(vectors[one.row.id])
        assert one.row.metadata == ({"m": "x"} if one.row.document == "d0" else {"n": 1})
    assert index(embedder, store, changed, **options) == Counts(skipped=2, gone=0)


def test_search_is_the_query_side_and_scores_are_cosines(embedder: FakeEmbedder, store: Store) -> None:
    index(embedder, store, ITEMS)
    query, documents = embedder.embed_query("lighthouse 7"), embedder.embed_documents([item.text for item in ITEMS])
    cosines = sorted((float(score) for score in documents @ query), reverse=True)
    hits = search(embedder, store, "lighthouse 7", limit=5)
    assert hits[0].row.id == "d7"
    assert [hit.score for hit in hits] == pytest.approx(cosines[:5], abs=1e-6)
    with pytest.raises(InputError, match="limit=0"):
        search(embedder, store, "x", limit=0)


@pytest.mark.usefixtures("small_slices")
def test_a_stop_ends_after_the_slice_in_hand_and_the_next_run_goes_on(embedder: FakeEmbedder, store: Store) -> None:
    slices = iter([False, False, False, True])
    stopped = index(embedder, store, ITEMS, stop=lambda: next(slices))
    assert stopped == Counts(added=6, rows=6, tokens=6 * 18, stopped=True)
    assert store.count() == 6
    embedder.calls.clear()
    assert index(embedder, store, ITEMS) == Counts(added=34, skipped=6, rows=34, tokens=34 * 18, gone=0)
    assert embedded(embedder) == [item.text for item in ITEMS[6:]]


@pytest.mark.usefixtures("small_slices")
def test_progress_is_shown_whether_the_number_of_documents_is_known_or_not(
    embedder: FakeEmbedder, store: Store, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("twofold.progress.SECONDS_BETWEEN_LINES", 0)
    index(embedder, store, ITEMS[:4], progress=True)
    assert "indexing: 3 of 4" in capsys.readouterr().err
    index(embedder, store, iter(ITEMS[:6]), progress=True)
    said = capsys.readouterr().err
    assert "indexing: 4, " in said  # those that are there already
    assert "indexing: 6, " in said
    assert "left" not in said


KILLED = """
import os, sys
from twofold.jobs import Item, index, long, open_store
from twofold.testing import FakeEmbedder

long.FIRST_TOKENS = long.MAX_TOKENS = 60
embedder = FakeEmbedder()
items = [Item(f"d{number}", sys.argv[2].format(number), {"n": number}) for number in range(40)]
with open_store(sys.argv[1], "docs", embedder) as store:
    upsert, left = store.upsert, iter(range(3))
    store.upsert = lambda rows, vectors: upsert(rows, vectors) if next(left, None) is not None else os._exit(9)
    index(embedder, store, items)
"""


def test_a_killed_run_continues_where_it_was(tmp_path: Path) -> None:
    address = f"chroma:{tmp_path}"
    killed = subprocess.run([sys.executable, "-c", KILLED, address, SENTENCE], check=False, timeout=120)
    assert killed.returncode == 9
    embedder = FakeEmbedder()
    with open_store(address, "docs", embedder) as store:
        assert store.count() == 9
        assert index(embedder, store, ITEMS) == Counts(added=31, skipped=9, rows=31, tokens=31 * 18, gone=0)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (Item("long", "word " * 600), "document 'long' has 600 tokens, the limit is 512: cut documents into chunks"),
        (Unreadable("latin", "it is not UTF-8", "/x/latin.txt"), "document 'latin': it is not UTF-8"),
        (Item("broken", "\ud800"), "document 'broken': text has a lone surrogate"),
        (Item("d3", "again"), "id 'd3' occurs twice"),
        (Item("", "x"), "id 40 is ''"),
        (Item("m", "x", {"twofold_digest": "y"}), "document 'm': metadata field 'twofold_digest' is Twofold's own"),
        (Item("m", "x", {"y": 2**63}), "metadata field 'y' is 9223372036854775808 of type int"),
        (Item("m", "x", {"y": float("inf")}), "metadata field 'y' is inf of type float"),
        (Item("m", "x", {"y": {}}), "document 'm': metadata field 'y' is {} of type dict"),  # type: ignore[dict-item]
    ],
)
def test_a_bad_document_is_named_before_the_first_is_embedded(
    embedder: FakeEmbedder, store: Store, bad: Item | Unreadable, message: str
) -> None:
    with pytest.raises(InputError, match=message) as error:
        index(embedder, store, [*ITEMS, bad])
    assert error.value.index == 40
    assert not embedder.calls
    assert store.count() == 0


def test_a_long_document_is_left_to_an_embedder_that_cuts(tmp_path: Path) -> None:
    embedder = FakeEmbedder(truncate="end")
    with open_store(f"chroma:{tmp_path}", "docs", embedder) as store:
        assert index(embedder, store, [Item("long", "word " * 600)]).tokens == 600


class Failing(FakeEmbedder):
    """A hosted model whose provider fails at the third text of every call."""

    fails = True

    def embed_late(self, documents: Iterable[Document], *, progress: bool = False) -> list[FloatArray]:
        done = super().embed_late(documents, progress=progress)
        if self.fails:
            raise ProviderUnavailable("down", partial=dict(enumerate(done[:2])), failed={2: "down"})
        return done


@pytest.mark.parametrize("options", [{}, {"chunk_tokens": 18}])
def test_what_a_failing_provider_gave_is_written(tmp_path: Path, options: dict[str, Any]) -> None:
    embedder = Failing()
    with open_store(f"chroma:{tmp_path}", "docs", embedder) as store:
        with pytest.raises(ProviderUnavailable):
            index(embedder, store, ITEMS, **options)
        assert {row.document for row in scan_rows(store)} == {"d0", "d1"}
        embedder.fails = False
        assert index(embedder, store, ITEMS, **options).skipped == 2


def test_of_a_document_that_has_only_some_of_its_vectors_nothing_is_written(tmp_path: Path) -> None:
    embedder = Failing()
    with open_store(f"chroma:{tmp_path}", "docs", embedder) as store:
        with pytest.raises(ProviderUnavailable):
            index(embedder, store, [Item("book", TEXT)], chunk_tokens=12)
        assert store.count() == 0


def test_a_document_that_fails_while_it_is_embedded_is_named(tmp_path: Path) -> None:
    refusing = FakeEmbedder(document_task="topic")
    refusing.count_tokens = lambda texts, **_: [1 for _ in texts]  # type: ignore[method-assign]
    with (
        open_store(f"chroma:{tmp_path}", "docs", refusing) as store,
        pytest.raises(InputError, match="document 'long': text 1 has 601 tokens") as error,
    ):
        index(refusing, store, [ITEMS[0], Item("long", "word " * 600)])
    assert error.value.index == 1


TEXT = "\n\n".join(SENTENCE.format(number) for number in range(12))


@pytest.mark.parametrize("late", [True, False])
def test_a_document_is_cut_into_rows_that_know_their_span(embedder: FakeEmbedder, store: Store, late: bool) -> None:
    counts = index(embedder, store, [Item("book", TEXT, {"n": 1})], chunk_tokens=12, late_chunking=late)
    assert counts.added == 1
    assert counts.rows == store.count() > 12
    rows = [hit.row for hit in search(embedder, store, "lighthouse", limit=100)]
    assert {row.id for row in rows} == {f"book#{number}" for number in range(counts.rows)}
    for row in rows:
        assert TEXT[slice(*row.span)] == row.text
        assert row.metadata == {"n": 1}
        assert row.document == "book"
        assert embedder.count_tokens([row.text])[0] <= 12
    ordered = sorted(rows, key=lambda row: row.span)
    assert " ".join(row.text for row in ordered).split() == TEXT.split()
    alone = embedder.embed_documents([row.text for row in ordered])
    expected = embedder.embed_late([Document(TEXT, tuple(row.span for row in ordered))])[0] if late else alone
    query = embedder.embed_query("lighthouse")
    scores = {hit.row.id: hit.score for hit in search(embedder, store, "lighthouse", limit=100)}
    assert [scores[row.id] for row in ordered] == pytest.approx(expected @ query, abs=1e-6)


def test_a_shorter_version_leaves_no_chunk_behind(embedder: FakeEmbedder, store: Store) -> None:
    index(embedder, store, [Item("book", TEXT)], chunk_tokens=12, late_chunking=True)
    counts = index(embedder, store, [Item("book", TEXT[:150])], chunk_tokens=12, late_chunking=True)
    assert (counts.updated, store.count()) == (1, counts.rows)
    assert index(embedder, store, [Item("book", TEXT[:150])], chunk_tokens=12, late_chunking=True).skipped == 1
    assert index(embedder, store, [Item("book", TEXT[:150])]).updated == 1
    assert [row.id for row in scan_rows(store)] == ["book"]


def test_a_document_of_which_a_chunk_is_missing_is_written_again(embedder: FakeEmbedder, store: Store) -> None:
    index(embedder, store, [Item("book", TEXT)], chunk_tokens=12, late_chunking=True)
    before = store.count()
    store.delete(["book#2"])
    assert index(embedder, store, [Item("book", TEXT)], chunk_tokens=12, late_chunking=True).updated == 1
    assert store.count() == before


@pytest.mark.parametrize("most", [2, 3, 1000])
def test_more_rows_than_chroma_finds_at_once_are_found(
    embedder: FakeEmbedder, store: Store, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr("chroma_twofold.store.MOST_FOUND", most)
    rows = index(embedder, store, [Item("book", TEXT), Item("tea", "Tea.")], chunk_tokens=12).rows
    assert len({row.id for row in store.held(["book", "tea"])}) == rows == store.count()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"late_chunking": True}, "late_chunking needs chunk_tokens"),
        ({"chunk_tokens": 0}, r"chunk_tokens=0: the minimum is 1 \(one word"),
        ({"chunk_tokens": 513}, "chunk_tokens=513: twofold/fake takes at most 512"),
    ],
)
def test_chunks_of_an_impossible_size_are_refused(
    embedder: FakeEmbedder, store: Store, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        index(embedder, store, ITEMS, **options)
    assert not embedder.calls


def test_cutting_without_its_extra_says_how_to_install_it(
    embedder: FakeEmbedder, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "semantic_text_splitter", None)
    with pytest.raises(MissingExtra, match=r"pip install 'twofold\[chunks\]'"):
        index(embedder, store, ITEMS, chunk_tokens=12)
