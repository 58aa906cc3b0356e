"""What the page on stores states beyond what it runs: the length, the threads, the errors and the address."""

from __future__ import annotations

import asyncio
import re
import sqlite3
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from support.pages import Page, steps
from twofold import InputError, StoreError
from twofold.stores import Store, aadd_documents, add_documents, aopen_collection, connect_store, open_collection
from twofold.stores.store import Catalogue, collection_names, scan_rows
from twofold.testing import FakeEmbedder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from twofold.testing import StoreContract

PAGE = Path(__file__).parents[2] / "docs" / "extending" / "store.md"


@pytest.fixture
def store_class(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The class of the page, installed as the page says."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    page = Page("store.md")
    for step in steps(PAGE):
        if step.block.file:
            page.run(step)
    modules = ("sqlite_store", "test_sqlite_store")
    for name in modules:
        sys.modules.pop(name, None)
    yield import_module("sqlite_store").SqliteStore
    for name in modules:
        sys.modules.pop(name, None)


def test_the_store_is_as_long_as_the_page_states() -> None:
    (stated,) = re.findall(r"one\s+file of (\d+) lines", PAGE.read_text("utf-8"))
    (text,) = (step.block.text for step in steps(PAGE) if step.block.file == "sqlite_store.py")
    assert len(text.splitlines()) == int(stated)
    assert max(map(len, text.splitlines())) <= 120


def test_its_address_leads_to_it(store_class: Any) -> None:
    with pytest.raises(InputError, match=r"write sqlite:notes\.db"):
        connect_store("sqlite:", "notes")
    store = connect_store("sqlite:notes.db", "notes")
    assert type(store) is store_class
    assert isinstance(store, Store)
    assert isinstance(store, Catalogue)
    assert collection_names("sqlite:notes.db") == []
    assert not Path("notes.db").exists()
    open_collection(store, FakeEmbedder())
    assert collection_names("sqlite:notes.db") == ["notes"]


def test_any_thread_may_call_it(store_class: Any) -> None:
    store, embedder = store_class("notes.db", "notes"), FakeEmbedder()
    open_collection(store, embedder)

    def add(number: int) -> None:
        add_documents(store, embedder, ids=[f"ship {number}"], documents=[f"Ship {number} came in."])
        assert store.search(embedder.embed_query("ships"), 1)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(add, range(20)))
    assert {row.id for row in scan_rows(store)} == {f"ship {number}" for number in range(20)}


def test_the_async_functions_take_it(store_class: Any) -> None:
    store, embedder = store_class("notes.db", "notes"), FakeEmbedder()

    async def write() -> None:
        await aopen_collection(store, embedder)
        await aadd_documents(store, embedder, ids=["a"], documents=["Tea."])

    asyncio.run(write())
    assert store.count() == 1


def test_a_collection_that_is_made_again_has_no_rows_of_the_earlier_one(store_class: Any) -> None:
    store, embedder = store_class("notes.db", "notes"), FakeEmbedder()
    for _ in range(2):
        open_collection(store, embedder)
        assert store.count() == 0
        add_documents(store, embedder, ids=["a"], documents=["Tea."])
        store.drop()


def test_a_failure_of_sqlite_is_a_store_error(store_class: Any) -> None:
    Path("text.db").write_text("This is not a database, but a text of some length. " * 100, "utf-8")
    for path in ("text.db", "no/such/folder/notes.db"):
        with pytest.raises(StoreError, match=path):
            open_collection(store_class(path, "notes"), FakeEmbedder())
    with sqlite3.connect("notes.db") as other:
        other.execute("CREATE TABLE entries (whatever)")
    other.close()
    with pytest.raises(StoreError):
        open_collection(store_class("notes.db", "notes"), FakeEmbedder())


def test_the_contract_of_the_page_notices_a_store_that_ignores_filters(
    store_class: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    contract: StoreContract = import_module("test_sqlite_store").TestSqliteStore()
    contract.test_search_filters_by_fields()
    search = store_class.search
    monkeypatch.setattr(store_class, "search", lambda store, vector, limit, _where=None: search(store, vector, limit))
    with pytest.raises(AssertionError):
        contract.test_search_filters_by_fields()
