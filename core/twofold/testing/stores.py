"""The contract that every store keeps, as tests to inherit; see `StoreDoor`.

    class TestMyStore(StoreContract):
        door = StoreDoor(name="mine", store=lambda name: MyStore(client, name), forget=lambda name: …)

The model is a hash (`fake:`): no weights are needed.
"""

from __future__ import annotations

import asyncio
import uuid
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from twofold.documents import Document
from twofold.errors import BlankWarning, InputError, ProviderUnavailable, SpaceMismatch, StoreError
from twofold.stores.opening import aopen_collection, open_collection
from twofold.stores.rows import Held, Row
from twofold.stores.store import scan_rows
from twofold.stores.writing import aadd_documents, add_documents
from twofold.testing.checks import check, refuses, skip
from twofold.testing.embedder import FakeEmbedder
from twofold.testing.filters import FilterContract
from twofold.testing.store_door import DOCUMENTS, LATE, METADATAS, Failing

if TYPE_CHECKING:
    from twofold.stores.rows import Stored
    from twofold.stores.store import Store
    from twofold.testing.store_door import StoreDoor
    from twofold.vectors import FloatArray


class StoreContract(FilterContract):
    """What a user may rely on, whichever store it is."""

    door: StoreDoor

    def _new(self, embedder: FakeEmbedder | None = None, *, fill: bool = False) -> tuple[str, Store, FakeEmbedder]:
        """A new collection: its name, the store, and its embedder."""
        name, embedder = f"Contract{uuid.uuid4().hex}", embedder or FakeEmbedder()
        store = self.door.store(name)
        open_collection(store, embedder)
        if fill:
            self._add(store, embedder)
        return name, store, embedder

    def _found(self, name: str) -> Store:
        store = self.door.store(name)
        check(store.find(), f"the collection {name} is not there")
        return store

    def _add(self, store: Store, embedder: FakeEmbedder) -> list[str]:
        ids, documents = list(DOCUMENTS), list(DOCUMENTS.values())
        return add_documents(store, embedder, ids=ids, documents=documents, metadatas=METADATAS)

    def _rows(self, store: Store) -> dict[str, Stored]:
        return {one.row.id: one for one in store.get([row.id for row in scan_rows(store)])}

    # -- identity -----------------------------------------------------------------------------------------------------

    def test_a_collection_is_made_once_and_opened_again(self) -> None:
        """The record stays with it, and what is not there is not made by accident."""
        name, store, embedder = self._new(fill=True)
        open_collection(self.door.store(name), embedder, create=False)
        check(store.count() == 6, f"{store.count()} rows, not 6")
        refuses(StoreError, open_collection, self.door.store(f"{name}x"), embedder, create=False)
        check(not self.door.store(f"{name}x").find(), "a collection was made that was not to be made")

    def test_another_space_is_refused_before_anything_is_embedded(self) -> None:
        """At the door and at each write, of equal width too."""
        name, store, _ = self._new(fill=True)
        for options in ({"dimensions": 16}, {"document_task": "topic"}, {"document_instruction": "Say: "}):
            other = FakeEmbedder(**options)
            refuses(SpaceMismatch, open_collection, self.door.store(name), other, adopt=True)
            refuses(SpaceMismatch, self._add, store, other)
            check(not other.calls, "texts were embedded in a space that is refused")
        check(store.count() == 6, "rows were written in a space that is refused")

    def test_the_record_is_read_at_each_write(self) -> None:
        """Someone else may have made the collection anew."""
        _, store, embedder = self._new()
        other = FakeEmbedder(document_task="topic")
        store.stamp(other.record().to_json(), other)
        refuses(SpaceMismatch, self._add, store, embedder)
        check(store.count() == 0, "rows of one space stand under the record of another")

    def test_a_collection_without_a_record_is_adopted_once_it_is_proved(self) -> None:
        """Whole rows and late rows; another model's are refused, and nothing is written before."""
        name, store, embedder = self._new(fill=True)
        self.door.forget(name)
        refuses(StoreError, open_collection, self.door.store(name), embedder)
        refuses(StoreError, self._add, self._found(name), embedder)
        other = FakeEmbedder(document_task="topic")
        refuses(SpaceMismatch, open_collection, self.door.store(name), other, adopt=True)
        open_collection(self.door.store(name), embedder, adopt=True)
        self._add(self._found(name), embedder)
        check(store.count() == 6, f"{store.count()} rows, not 6")

    def test_an_empty_collection_is_simply_taken(self) -> None:
        """It has nothing that could be of another space."""
        name, _, embedder = self._new()
        self.door.forget(name)
        open_collection(self.door.store(name), embedder)
        self._add(self._found(name), embedder)

    # -- rows ---------------------------------------------------------------------------------------------------------

    def test_each_row_has_its_own_vector_text_and_fields(self) -> None:
        """Whole and late documents in one call, metadata for each document and each chunk."""
        _, store, embedder = self._new(fill=True)
        rows = self._rows(store)
        check(sorted(rows) == sorted(["a", "b/é #1", "c#0", "c#1", "c#2", "d"]), f"the rows are {sorted(rows)}")
        for key, text in DOCUMENTS.items():
            if isinstance(text, str):
                self._alike(rows[key].vector, embedder.embed_documents([text])[0], key)
                check(rows[key].row.text == text, f"{key} says {rows[key].row.text!r}")
        for number, vector in enumerate(embedder.embed_late([LATE])[0]):
            stored = rows[f"c#{number}"]
            self._alike(stored.vector, vector, f"c#{number}")
            check(LATE.text[slice(*stored.row.span)] == stored.row.text, f"c#{number} stands at {stored.row.span}")
            check(stored.row.document == "c", f"c#{number} is of {stored.row.document}")
        check(dict(rows["a"].row.metadata) == METADATAS[0], f"a has {dict(rows['a'].row.metadata)}")
        check([rows[f"c#{n}"].row.metadata.get("n") for n in range(3)] == [1, None, 3], "chunks lost their fields")

    def test_a_document_that_comes_again_replaces_itself(self) -> None:
        """Shorter, cut otherwise, or with fewer fields: nothing of the earlier version stays."""
        _, store, embedder = self._new(fill=True)
        add_documents(store, embedder, ids=["a"], documents=["Fog."], metadatas=[{"m": 2}])
        check(dict(self._rows(store)["a"].row.metadata) == {"m": 2}, "fields of an earlier version stay")
        shorter = Document.from_spans(LATE.text, LATE.spans[:1])
        changed: dict[str, Any] = {"a": LATE, "c": shorter, "d": "Tea with milk."}
        add_documents(store, embedder, ids=list(changed), documents=list(changed.values()))
        rows = self._rows(store)
        check(sorted(rows) == sorted(["a#0", "a#1", "a#2", "b/é #1", "c#0", "d"]), f"the rows are {sorted(rows)}")
        add_documents(store, embedder, ids=["a", "d"], documents=["Whole again.", "Tea."])
        check(sorted(self._rows(store)) == sorted(["a", "b/é #1", "c#0", "d"]), "rows of an earlier version stay")

    def test_blank_documents_have_no_rows(self) -> None:
        """They are named in a warning, and what they had before goes."""
        _, store, embedder = self._new(fill=True)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            add_documents(store, embedder, ids=["c", "e"], documents=[" \n", "Last."])
        check(any(issubclass(one.category, BlankWarning) and "'c'" in str(one.message) for one in said), "nothing said")
        check(sorted(self._rows(store)) == sorted(["a", "b/é #1", "d", "e"]), "a blank document has rows")

    def test_bad_documents_are_refused_before_any_work(self) -> None:
        """The document is named, and nothing is embedded or written."""
        for ids, documents in ((["a", "a"], ["x", "y"]), (["a", "b"], ["x", "word " * 600]), (["a", ""], ["x", "y"])):
            _, store, embedder = self._new()
            embedder.calls.clear()
            refuses(InputError, add_documents, store, embedder, ids=ids, documents=documents)
            check(not embedder.calls and store.count() == 0, "something was done before the input was refused")

    def test_what_was_paid_for_is_written(self) -> None:
        """A provider fails midway: documents that have their vectors are there, and the error counts documents."""
        _, store, embedder = self._new(Failing())
        try:
            self._add(store, embedder)
        except ProviderUnavailable as error:
            check((sorted(error.partial), sorted(error.failed)) == ([0, 1], [2, 3]), "the error counts something else")
        check(sorted(self._rows(store)) == sorted(["a", "b/é #1"]), "what was paid for is lost")

    # -- reading ------------------------------------------------------------------------------------------------------

    def test_search_ranks_by_cosine(self) -> None:
        """Best first, with the cosine as the score."""
        _, store, embedder = self._new(fill=True)
        query = embedder.embed_query("Who counts ships in the fog?")
        rows = self._rows(store)
        cosines = {key: float(one.vector @ query / np.linalg.norm(one.vector)) for key, one in rows.items()}
        exact = sorted(cosines, key=lambda key: -cosines[key])
        hits = store.search(query, 4)
        check([hit.row.id for hit in hits] == exact[:4], f"ranked {[hit.row.id for hit in hits]}, not {exact[:4]}")
        for hit in hits:
            key, allowed = hit.row.id, 1e-3 + self.door.tolerance
            check(abs(hit.score - cosines[key]) < allowed, f"{key} scores {hit.score}, its cosine is {cosines[key]}")
            check(hit.row == rows[key].row, f"the hit {key} is not the row that is stored")

    def test_rows_are_found_page_by_page_and_by_document(self) -> None:
        """Each once, however small the pages; deleting what is not there is no error."""
        _, store, _ = self._new(fill=True)
        found, cursor = [], None
        while True:
            rows, cursor = store.page(cursor, 2)
            found += [row.id for row in rows]
            if cursor is None:
                break
        check(sorted(found) == sorted(self._rows(store)), f"the pages hold {found}")
        check({row.id for row in store.held(["c", "d", "nowhere"])} == {"c#0", "c#1", "c#2", "d"}, "held() is wrong")
        check(store.get(["nowhere"]) == [], "a row that is not there was found")
        store.delete(["c#0", "nowhere"])
        check(store.count() == 5, f"{store.count()} rows, not 5")

    def test_a_row_keeps_its_version_and_its_source(self) -> None:
        """By them a job knows what is there, and whose it is."""
        _, store, embedder = self._new()
        row = Row(id="a", document="a", text="Tea.", span=(0, 4), metadata={}, digest="1.2", rows=3, source="/x/é.txt")
        store.upsert([row], embedder.embed_documents(["Tea."]))
        (held,) = store.held(["a"])
        check(held == Held("a", "a", "1.2", 3, "/x/é.txt"), f"held() says {held}")
        check(store.get(["a"])[0].row == row, "the row is another one when it is read")

    def test_any_number_of_rows_is_written(self) -> None:
        """The store splits them to what it takes at once."""
        _, store, embedder = self._new()
        texts = [f"ship {number}" for number in range(1300)]
        rows = [Row(id=text, document=text, text=text, span=(0, len(text)), metadata={}) for text in texts]
        store.upsert(rows, embedder.embed_documents(texts))
        check(store.count() == len(texts), f"{store.count()} rows of {len(texts)}")
        (hit,) = store.search(embedder.embed_documents([texts[1234]])[0], 1)
        check(hit.row.text == texts[1234], f"the vector of {texts[1234]!r} finds {hit.row.text!r}")

    # -- async --------------------------------------------------------------------------------------------------------

    def test_the_async_client_writes_the_same(self) -> None:
        """Opened, refused and written through the host's asynchronous client."""
        astore = self.door.astore
        if astore is None:
            skip(f"{self.door.name} has no asynchronous client")
        _, sync, embedder = self._new(fill=True)
        name, other = f"Contract{uuid.uuid4().hex}", FakeEmbedder(document_task="topic")

        async def write() -> list[str]:
            async with astore(name) as store:
                await aopen_collection(store, embedder)
                written = await aadd_documents(
                    store, embedder, ids=list(DOCUMENTS), documents=list(DOCUMENTS.values()), metadatas=METADATAS
                )
            async with astore(name) as store:
                try:
                    await aopen_collection(store, other)
                except SpaceMismatch:
                    return written
            raise AssertionError("another space was not refused")

        written = asyncio.run(write())
        rows, theirs = self._rows(sync), self._rows(self._found(name))
        check(sorted(written) == sorted(rows), f"written were {written}")
        check(sorted(theirs) == sorted(rows), f"the rows are {sorted(theirs)}")
        for key, one in rows.items():
            check(theirs[key].row == one.row, f"{key} is another row: {theirs[key].row}")
            self._alike(theirs[key].vector, one.vector, key)

    def _alike(self, stored: FloatArray, wanted: FloatArray, what: str) -> None:
        cosine = float(stored @ wanted / np.linalg.norm(stored) / np.linalg.norm(wanted))
        check(1 - cosine <= self.door.tolerance, f"the vector of {what} is another's: a cosine of {cosine}")
