"""The contract of stores, as tests to inherit; see `StoreDoor`.

    class TestMyStore(StoreContract):
        door = StoreDoor(name="mine", store=lambda name: MyStore(client, name), forget=lambda name: …)

The model is a hash (`fake:`), so no weights are needed.
"""

from __future__ import annotations

import asyncio
import uuid
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from twofold.documents import Document
from twofold.errors import BlankWarning, InputError, ProviderUnavailable, SpaceMismatch, StoreError
from twofold.stores.opening import aopen_collection, open_collection
from twofold.stores.rows import Held, Row
from twofold.stores.store import Catalogue, scan_rows
from twofold.stores.writing import aadd_documents, add_documents
from twofold.testing.fakes import FailingEmbedder, FakeEmbedder

if TYPE_CHECKING:
    from twofold.stores.rows import Stored
    from twofold.stores.store import Store
    from twofold.testing.doors import StoreDoor
    from twofold.vectors import FloatArray

LATE = Document.from_spans(
    "The keeper counts ships. Fog came in at nine. Nobody answers.", [(0, 24), (25, 45), (46, 61)]
)
DOCUMENTS: dict[str, Any] = {"a": "The keeper counts nine ships.", "b/é #1": "Fog came in.", "c": LATE, "d": "Tea."}
METADATAS: list[Any] = [{"n": 1, "x": 0.5, "ok": True, "word": "灯台"}, None, [{"n": 1}, None, {"n": 3}], {}]
ROWS = ["a", "b/é #1", "c#0", "c#1", "c#2", "d"]

FILTERED = {"a": "Nine ships came in.", "b": "Ten ships came in.", "c": "Ships went out.", "d": "Tea and bread."}
FIELDS: dict[str, Any] = {
    "a": {"n": 9, "topic": "the sea", "ok": True},
    "b": {"n": 10.0, "topic": "sea"},
    "c": {"topic": "Sea", "said": "9"},
    "d": {"n": 1, "topic": "food", "said": 'it\'s "9", or 10%'},
}
FILTERS: list[tuple[dict[str, Any], str]] = [
    ({"topic": ["sea"]}, "b"),
    ({"topic": ["sea", "food"]}, "bd"),
    ({"n": [9, "9"]}, "a"),
    ({"n": [9.0, 10]}, "ab"),
    ({"said": ["9", 9]}, "c"),
    ({"said": ['it\'s "9", or 10%']}, "d"),
    ({"ok": [True]}, "a"),
    ({"ok": [1]}, ""),
    ({"n": [True]}, ""),
    ({"n": [1, 9], "topic": ["food"]}, "d"),
    ({"nothing": ["here"]}, ""),
    ({}, "abcd"),
]


class StoreContract:
    """What users may rely on with every store."""

    door: StoreDoor

    # -- identity -----------------------------------------------------------------------------------------------------

    def test_a_collection_is_made_once_and_opened_again(self) -> None:
        name, store, embedder = self._new(fill=True)
        open_collection(self.door.store(name), embedder, create=False)
        assert store.count() == 6
        with pytest.raises(StoreError):
            open_collection(self.door.store(f"{name}x"), embedder, create=False)
        assert not self.door.store(f"{name}x").find()

    def test_another_space_is_refused_before_anything_is_embedded(self) -> None:
        """When it is opened, and at each write; also with vectors of the same width."""
        name, store, _ = self._new(fill=True)
        for options in ({"dimensions": 16}, {"document_task": "topic"}, {"document_instruction": "Say: "}):
            other = FakeEmbedder(**options)
            with pytest.raises(SpaceMismatch):
                open_collection(self.door.store(name), other, adopt=True)
            with pytest.raises(SpaceMismatch):
                self._add(store, other)
            assert not other.calls
        assert store.count() == 6

    def test_the_record_is_read_at_each_write(self) -> None:
        """Somebody else may have created the collection again."""
        _, store, embedder = self._new()
        other = FakeEmbedder(document_task="topic")
        store.stamp(other.record().to_json(), other)
        with pytest.raises(SpaceMismatch):
            self._add(store, embedder)
        assert store.count() == 0

    def test_a_collection_without_a_record_is_adopted_once_it_is_proved(self) -> None:
        name, store, embedder = self._new(fill=True)
        self.door.forget(name)
        with pytest.raises(StoreError):
            open_collection(self.door.store(name), embedder)
        with pytest.raises(StoreError):
            self._add(self._found(name), embedder)
        with pytest.raises(SpaceMismatch):
            open_collection(self.door.store(name), FakeEmbedder(document_task="topic"), adopt=True)
        open_collection(self.door.store(name), embedder, adopt=True)
        self._add(self._found(name), embedder)
        assert store.count() == 6

    def test_an_empty_collection_is_adopted_without_proof(self) -> None:
        name, _, embedder = self._new()
        self.door.forget(name)
        open_collection(self.door.store(name), embedder)
        self._add(self._found(name), embedder)

    def test_a_collection_that_is_deleted_while_open_is_a_store_error(self) -> None:
        """In every method that needs it."""
        name, store, embedder = self._new(fill=True)
        other = self._found(name)
        if not isinstance(other, Catalogue):
            pytest.skip(f"{self.door.name} cannot remove collections")
        query, vectors = embedder.embed_query("ships"), embedder.embed_documents(["Tea."])
        other.drop()
        row = Row(id="d", document="d", text="Tea.", span=(0, 4), metadata={})
        for use in (
            lambda: self._add(store, embedder),
            lambda: store.upsert([row], vectors),
            lambda: store.delete(["d"]),
            lambda: store.search(query, 1),
            lambda: store.search(query, 1, {"n": [1]}),
            lambda: store.held(["d"]),
            lambda: store.page(None, 1),
            lambda: store.get(["d"]),
            store.record,
            store.count,
        ):
            with pytest.raises(StoreError):
                use()

    # -- rows ---------------------------------------------------------------------------------------------------------

    def test_each_row_has_its_own_vector_text_and_fields(self) -> None:
        """Whole and late-chunked documents in one call, with metadata for documents and for chunks."""
        _, store, embedder = self._new(fill=True)
        rows = self._rows(store)
        assert sorted(rows) == ROWS
        for key, text in DOCUMENTS.items():
            if isinstance(text, str):
                self._assert_alike(rows[key].vector, embedder.embed_documents([text])[0], key)
                assert rows[key].row.text == text
        for number, vector in enumerate(embedder.embed_late([LATE])[0]):
            stored = rows[f"c#{number}"]
            self._assert_alike(stored.vector, vector, f"c#{number}")
            assert LATE.text[slice(*stored.row.span)] == stored.row.text
            assert stored.row.document == "c"
        assert dict(rows["a"].row.metadata) == METADATAS[0]
        assert [rows[f"c#{n}"].row.metadata.get("n") for n in range(3)] == [1, None, 3]

    def test_a_document_that_is_added_again_is_replaced(self) -> None:
        """Shorter, cut differently, or with fewer fields: nothing of the earlier version stays."""
        _, store, embedder = self._new(fill=True)
        add_documents(store, embedder, ids=["a"], documents=["Fog."], metadatas=[{"m": 2}])
        assert dict(self._rows(store)["a"].row.metadata) == {"m": 2}
        shorter = Document.from_spans(LATE.text, LATE.spans[:1])
        changed: dict[str, Any] = {"a": LATE, "c": shorter, "d": "Tea with milk."}
        add_documents(store, embedder, ids=list(changed), documents=list(changed.values()))
        assert sorted(self._rows(store)) == ["a#0", "a#1", "a#2", "b/é #1", "c#0", "d"]
        add_documents(store, embedder, ids=["a", "d"], documents=["Whole again.", "Tea."])
        assert sorted(self._rows(store)) == ["a", "b/é #1", "c#0", "d"]

    def test_blank_documents_have_no_rows(self) -> None:
        """A warning names them, and their earlier rows are removed."""
        _, store, embedder = self._new(fill=True)
        with pytest.warns(BlankWarning, match="'c'"):
            add_documents(store, embedder, ids=["c", "e"], documents=[" \n", "Last."])
        assert sorted(self._rows(store)) == ["a", "b/é #1", "d", "e"]

    def test_bad_documents_are_refused_before_any_work(self) -> None:
        for ids, documents in ((["a", "a"], ["x", "y"]), (["a", "b"], ["x", "word " * 600]), (["a", ""], ["x", "y"])):
            _, store, embedder = self._new()
            embedder.calls.clear()
            with pytest.raises(InputError):
                add_documents(store, embedder, ids=ids, documents=documents)
            assert not embedder.calls
            assert store.count() == 0

    def test_what_was_paid_for_is_written(self) -> None:
        """If a provider fails halfway, the documents that have their vectors are written."""
        _, store, embedder = self._new(FailingEmbedder())
        with pytest.raises(ProviderUnavailable) as error:
            self._add(store, embedder)
        assert (sorted(error.value.partial), sorted(error.value.failed)) == ([0, 1], [2, 3])
        assert sorted(self._rows(store)) == ["a", "b/é #1"]

    # -- reading ------------------------------------------------------------------------------------------------------

    def test_search_ranks_by_cosine(self) -> None:
        _, store, embedder = self._new(fill=True)
        query = embedder.embed_query("Who counts ships in the fog?")
        rows = self._rows(store)
        cosines = {key: float(one.vector @ query / np.linalg.norm(one.vector)) for key, one in rows.items()}
        hits = store.search(query, 4)
        assert [hit.row.id for hit in hits] == sorted(cosines, key=lambda key: -cosines[key])[:4]
        for hit in hits:
            assert abs(hit.score - cosines[hit.row.id]) < 1e-3 + self.door.tolerance
            assert hit.row == rows[hit.row.id].row

    def test_search_filters_by_fields(self) -> None:
        """Values are compared exactly and by type, among all rows; a list matches by one of its values."""
        _, store, embedder = self._new()
        fields, filters = dict(FIELDS), list(FILTERS)
        if store.keeps_lists:
            fields["c"] = {**fields["c"], "tags": ["x", "y"], "years": [1999, 2026]}
            filters += [({"tags": ["y"]}, "c"), ({"years": [2026.0]}, "c"), ({"tags": ["z"]}, "")]
        ids, documents = list(FILTERED), list(FILTERED.values())
        add_documents(store, embedder, ids=ids, documents=documents, metadatas=[fields[key] for key in ids])
        query = embedder.embed_query("ships")
        for where, expected in filters:
            hits = store.search(query, len(expected) or 3, where)
            assert "".join(sorted(hit.row.id for hit in hits)) == expected, where
            scores = [hit.score for hit in hits]
            assert scores == sorted(scores, reverse=True), where

    def test_rows_are_found_page_by_page_and_by_document(self) -> None:
        """Each row is found once, whatever the page size. Deleting an unknown id is not an error."""
        _, store, _ = self._new(fill=True)
        found, cursor = [], None
        while True:
            rows, cursor = store.page(cursor, 2)
            found += [row.id for row in rows]
            if cursor is None:
                break
        assert sorted(found) == sorted(self._rows(store))
        assert {row.id for row in store.held(["c", "d", "nowhere"])} == {"c#0", "c#1", "c#2", "d"}
        assert list(store.get(["nowhere"])) == []
        store.delete(["c#0", "nowhere"])
        assert store.count() == 5

    def test_a_row_keeps_its_version_and_its_source(self) -> None:
        _, store, embedder = self._new()
        row = Row(id="a", document="a", text="Tea.", span=(0, 4), metadata={}, digest="1.2", rows=3, source="/x/é.txt")
        store.upsert([row], embedder.embed_documents(["Tea."]))
        (held,) = store.held(["a"])
        assert held == Held("a", "a", "1.2", 3, "/x/é.txt")
        assert store.get(["a"])[0].row == row

    def test_any_number_of_rows_is_written(self) -> None:
        """The store splits them into requests."""
        _, store, embedder = self._new()
        texts = [f"ship {number}" for number in range(1300)]
        rows = [Row(id=text, document=text, text=text, span=(0, len(text)), metadata={}) for text in texts]
        store.upsert(rows, embedder.embed_documents(texts))
        assert store.count() == len(texts)
        (hit,) = store.search(embedder.embed_documents([texts[1234]])[0], 1)
        assert hit.row.text == texts[1234]

    # -- async --------------------------------------------------------------------------------------------------------

    def test_the_async_client_writes_the_same(self) -> None:
        """Opened, refused and written through the host's asynchronous client."""
        astore = self.door.astore
        if astore is None:
            pytest.skip(f"{self.door.name} has no asynchronous client")
        _, sync, embedder = self._new(fill=True)
        name = f"Contract{uuid.uuid4().hex}"

        async def write() -> list[str]:
            async with astore(name) as store:
                await aopen_collection(store, embedder)
                ids, documents = list(DOCUMENTS), list(DOCUMENTS.values())
                written = await aadd_documents(store, embedder, ids=ids, documents=documents, metadatas=METADATAS)
            async with astore(name) as store:
                with pytest.raises(SpaceMismatch):
                    await aopen_collection(store, FakeEmbedder(document_task="topic"))
            return written

        written = asyncio.run(write())
        rows, theirs = self._rows(sync), self._rows(self._found(name))
        assert sorted(written) == sorted(theirs) == sorted(rows)
        for key, one in rows.items():
            assert theirs[key].row == one.row
            self._assert_alike(theirs[key].vector, one.vector, key)

    # -- inside -------------------------------------------------------------------------------------------------------

    def _new(self, embedder: FakeEmbedder | None = None, *, fill: bool = False) -> tuple[str, Store, FakeEmbedder]:
        """Create a collection; return its name, its store and its embedder."""
        name, embedder = f"Contract{uuid.uuid4().hex}", embedder or FakeEmbedder()
        store = self.door.store(name)
        open_collection(store, embedder)
        if fill:
            self._add(store, embedder)
        return name, store, embedder

    def _found(self, name: str) -> Store:
        store = self.door.store(name)
        assert store.find()
        return store

    def _add(self, store: Store, embedder: FakeEmbedder) -> list[str]:
        ids, documents = list(DOCUMENTS), list(DOCUMENTS.values())
        return add_documents(store, embedder, ids=ids, documents=documents, metadatas=METADATAS)

    def _rows(self, store: Store) -> dict[str, Stored]:
        return {one.row.id: one for one in store.get([row.id for row in scan_rows(store)])}

    def _assert_alike(self, stored: FloatArray, wanted: FloatArray, what: str) -> None:
        cosine = float(stored @ wanted / np.linalg.norm(stored) / np.linalg.norm(wanted))
        assert 1 - cosine <= self.door.tolerance, f"the vector of {what} belongs to another row"
