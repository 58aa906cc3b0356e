from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import chromadb
import chromadb.config
import pytest

from chroma_twofold import ChromaStore
from support.chroma_server import HOST, chroma_server
from twofold import InputError, SpaceMismatch, StoreError, stores
from twofold.jobs import Counts, Item, index, open_store, search
from twofold.stores import Row
from twofold.stores.store import scan_rows
from twofold.testing import FakeEmbedder

if TYPE_CHECKING:
    from pathlib import Path

ITEMS = [Item("a", "The keeper counts ships."), Item("b", "Fog came in at nine."), Item("c", "Nobody answers.")]


def test_a_server_is_a_store(chroma_port: int) -> None:
    embedder = FakeEmbedder()
    address = f"chroma:http://{HOST}:{chroma_port}"
    with open_store(address, "store_docs", embedder) as store:
        assert index(embedder, store, ITEMS).added == 3
    with open_store(address, "store_docs", embedder, create=False) as store:
        assert index(embedder, store, ITEMS) == Counts(skipped=3, gone=0)
        assert [hit.row.id for hit in search(embedder, store, ITEMS[1].text, limit=1)] == ["b"]
    with pytest.raises(SpaceMismatch), open_store(address, "store_docs", FakeEmbedder(dimensions=8)):
        pass


def test_a_server_that_goes_away_is_a_store_error_with_what_it_did_not_take(tmp_path: Path) -> None:
    embedder = FakeEmbedder()
    with chroma_server(tmp_path) as port:
        opened = ExitStack()
        store = opened.enter_context(open_store(f"chroma:http://{HOST}:{port}", "docs", embedder))
        index(embedder, store, ITEMS)
    with pytest.raises(StoreError, match=r"Chroma's collection 'docs' is not available: .*refused"):
        index(embedder, store, ITEMS)
    with pytest.raises(StoreError, match=r"row 'a' or one after it: .*refused") as error:
        store.upsert([Row(id="a", document="a", text="x", span=(0, 1), metadata={})], embedder.embed_documents(["x"]))
    assert list(error.value.failed) == ["a"]
    with pytest.raises(StoreError, match="Chroma's collection 'docs' is not available"):
        search(embedder, store, "x")
    with pytest.raises(StoreError, match="collection 'docs' is not available"):
        list(scan_rows(store))
    opened.close()


@pytest.mark.parametrize(
    "address",
    [
        "ftp://x",
        "http://",
        "http://x/path",
        "http://user:secret@x",
        "http://x:port",
        "http://x?tenant=",
        "http://x?key=y",
    ],
)
def test_what_is_no_address_is_refused_without_showing_a_password(address: str) -> None:
    with pytest.raises(InputError, match="is not the address of a Chroma server") as error:
        ChromaStore.connect(address, "docs")
    assert "secret" not in str(error.value)


@pytest.mark.parametrize("address", ["", "localhost:8000"])
def test_what_is_no_folder_is_refused(address: str) -> None:
    with pytest.raises(InputError, match=r"is not a Chroma store: write a folder .* or a server"):
        ChromaStore.connect(address, "docs")


def test_a_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with open_store("chroma:~/store", "docs", FakeEmbedder()):
        assert (tmp_path / "store" / "chroma.sqlite3").exists()


def test_tenant_and_database_are_those_of_the_address(chroma_port: int) -> None:
    admin = chromadb.AdminClient(
        chromadb.config.Settings(
            chroma_api_impl="chromadb.api.fastapi.FastAPI",
            chroma_server_host=HOST,
            chroma_server_http_port=chroma_port,
        )
    )
    admin.create_tenant("ten1")
    admin.create_database("base1", tenant="ten1")
    address = f"http://{HOST}:{chroma_port}"
    with open_store(f"chroma:{address}?tenant=ten1&database=base1", "ten1_docs", FakeEmbedder()) as store:
        index(FakeEmbedder(), store, ITEMS)
    with (
        pytest.raises(StoreError, match="there is no collection 'ten1_docs'"),
        open_store(f"chroma:{address}", "ten1_docs", FakeEmbedder(), create=False),
    ):
        pass
    admin._server._session.close()  # type: ignore[attr-defined] # Chroma leaves it open


def test_a_server_that_is_not_there_is_named() -> None:
    with (
        pytest.raises(StoreError, match=f"no Chroma server answers at http://{HOST}:9"),
        open_store(f"chroma:http://{HOST}:9", "docs", FakeEmbedder()),
    ):
        pass


def test_a_search_makes_neither_folder_nor_collection(tmp_path: Path) -> None:
    embedder = FakeEmbedder()
    with (
        pytest.raises(StoreError, match="there is no collection 'docs'"),
        open_store(f"chroma:{tmp_path / 'nowhere'}", "docs", embedder, create=False),
    ):
        pass
    assert not (tmp_path / "nowhere").exists()
    with open_store(f"chroma:{tmp_path}", "docs", embedder):
        pass
    with (
        pytest.raises(StoreError, match="there is no collection 'other'"),
        open_store(f"chroma:{tmp_path}", "other", embedder, create=False),
    ):
        pass


@pytest.mark.parametrize(("space", "normalize"), [("cosine", False), ("ip", True), ("l2", True)])
def test_scores_are_cosines_whatever_distance_the_collection_was_made_for(
    tmp_path: Path, space: str, normalize: bool
) -> None:
    embedder = FakeEmbedder(normalize=normalize)
    with open_store(f"chroma:{tmp_path}", "first", embedder) as store:
        client = store.client  # type: ignore[attr-defined]
        client.create_collection("docs", embedding_function=None, metadata={"hnsw:space": space})
        opened = ChromaStore(client, "docs")
        stores.open_collection(opened, embedder)
        index(embedder, opened, ITEMS)
        query, documents = embedder.embed_query("fog ships"), embedder.embed_documents([item.text for item in ITEMS])
        cosines = documents @ query
        if not normalize:
            import numpy as np

            cosines = cosines / (np.linalg.norm(documents, axis=1) * np.linalg.norm(query))
        scores = {hit.row.id: hit.score for hit in search(embedder, opened, "fog ships", limit=3)}
        assert [scores[item.id] for item in ITEMS] == pytest.approx(cosines.tolist(), abs=1e-5)
