"""The store contract is worth what it catches: each of these stores breaks one promise, and one test says so."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from twofold.testing import MemoryStore, StoreContract, StoreDoor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from twofold.stores import Held


class NoIdentity(MemoryStore):
    """Says of every collection that it has neither a record nor rows."""

    def record(self) -> str | None:
        return None

    def page(self, cursor: Any, limit: int) -> Any:
        return [], None


class AnyRecord(MemoryStore):
    """Its record is what it was when the store was opened."""

    def record(self) -> str | None:
        self.first: str | None = getattr(self, "first", None) or super().record()
        return self.first


class Forgetful(MemoryStore):
    """Loses the record."""

    def make(self, record: str, embedder: Any) -> None:
        super().make(record, embedder)
        self.stamp("null", embedder)


class AlwaysThere(MemoryStore):
    """Makes what it looks for."""

    def find(self) -> bool:
        self.places.setdefault(self.key, {"record": None, "rows": {}})
        return True


class Swapped(MemoryStore):
    """Writes each row with its neighbour's vector."""

    def upsert(self, rows: Any, vectors: Any) -> None:
        super().upsert(rows, np.roll(vectors, 1, axis=0))


class Keeping(MemoryStore):
    """Does not know what belongs to a document."""

    def held(self, documents: Any) -> list[Held]:
        return []


class Merging(MemoryStore):
    """Keeps old fields beside new ones."""

    def upsert(self, rows: Any, vectors: Any) -> None:
        old = {row.id: dict(row.metadata) for row, _ in self.get([row.id for row in rows])}
        super().upsert([replace(row, metadata={**old.get(row.id, {}), **row.metadata}) for row in rows], vectors)


class Reversed(MemoryStore):
    """Ranks the farthest first."""

    def search(self, vector: Any, limit: int, where: Any = None) -> Any:
        return super().search(vector, 10**6, where)[::-1][:limit]


class Unfiltered(MemoryStore):
    """Takes every row for one that passes."""

    def search(self, vector: Any, limit: int, where: Any = None) -> Any:
        del where
        return super().search(vector, limit)


class OnePage(MemoryStore):
    """Stops after the first page."""

    def page(self, cursor: Any, limit: int) -> Any:
        return super().page(cursor, limit)[0], None


class Small(MemoryStore):
    """Drops what is too much for one request."""

    def upsert(self, rows: Any, vectors: Any) -> None:
        super().upsert(rows[:1000], vectors[:1000])


class Anonymous(MemoryStore):
    """Forgets where documents came from."""

    def held(self, documents: Any) -> list[Held]:
        return [held._replace(source="") for held in super().held(documents)]


class Untagged(MemoryStore):
    """Has no rows without a record."""

    def get(self, ids: Any) -> Any:
        return [] if self.record() is None else super().get(ids)


class Undead(MemoryStore):
    """Cannot be deleted."""

    def drop(self) -> None:
        pass


def door(store: type[MemoryStore], **more: Any) -> StoreDoor:
    def forget(name: str) -> None:
        store.places["", name]["record"] = None

    return StoreDoor(name=store.__name__, store=lambda name: store("", name), forget=forget, **more)


@asynccontextmanager
async def swapped(name: str) -> AsyncIterator[MemoryStore]:
    yield Swapped("", name)


BROKEN = [
    ("another_space_is_refused", door(NoIdentity)),
    ("the_record_is_read_at_each_write", door(AnyRecord)),
    ("a_collection_is_made_once", door(Forgetful)),
    ("a_collection_is_made_once", door(AlwaysThere)),
    ("a_collection_without_a_record", door(Untagged)),
    ("an_empty_collection_is_adopted_without_proof", door(Forgetful)),
    ("a_collection_that_is_deleted", door(Undead)),
    ("each_row_has_its_own_vector", door(Swapped)),
    ("a_document_that_is_added_again", door(Keeping)),
    ("a_document_that_is_added_again", door(Merging)),
    ("blank_documents_have_no_rows", door(Keeping)),
    ("bad_documents_are_refused", door(Forgetful)),
    ("what_was_paid_for_is_written", door(Forgetful)),
    ("search_ranks_by_cosine", door(Reversed)),
    ("search_filters_by_fields", door(Unfiltered)),
    ("rows_are_found_page_by_page", door(OnePage)),
    ("a_row_keeps_its_version", door(Anonymous)),
    ("any_number_of_rows", door(Small)),
    ("the_async_client_writes_the_same", door(MemoryStore, astore=swapped)),
]


@pytest.mark.parametrize(("test", "broken"), BROKEN, ids=[f"{test}-{broken.name}" for test, broken in BROKEN])
def test_a_broken_promise_is_caught(test: str, broken: StoreDoor) -> None:
    contract = StoreContract()
    contract.door = broken
    name = next(name for name in dir(StoreContract) if name.startswith(f"test_{test}"))
    with pytest.raises((Exception, pytest.fail.Exception)):
        getattr(contract, name)()


def test_every_test_of_the_contract_is_seen_to_fail() -> None:
    tests = [name for name in dir(StoreContract) if name.startswith("test_")]
    assert [name for name in tests if not any(name.startswith(f"test_{test}") for test, _ in BROKEN)] == []


def test_a_store_without_an_async_client_is_skipped() -> None:
    contract = StoreContract()
    contract.door = door(MemoryStore)
    with pytest.raises(pytest.skip.Exception, match="no asynchronous client"):
        contract.test_the_async_client_writes_the_same()
