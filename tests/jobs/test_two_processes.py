"""Two processes at one collection: a folder is one's at a time, a server serves both, and every row is found."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.processes import CHUNK_TOKENS, Child, Corpus, indexing, searching
from twofold import StoreError
from twofold.jobs import Counts, index, open_store, verify
from twofold.stores.store import scan_rows
from twofold.testing import FakeEmbedder

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

pytest.importorskip("chromadb")


@pytest.fixture(params=["folder", "server"])
def by(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def place(request: pytest.FixtureRequest, by: str, tmp_path: Path, collection_name: str) -> tuple[str, str]:
    """The address of a store and the name of a collection."""
    address = f"chroma:{tmp_path}" if by == "folder" else request.getfixturevalue("chroma_address")
    return address, collection_name


def check(place: tuple[str, str], corpus: Corpus) -> None:
    """All documents are stored, and a search with a row's own vector finds that row."""
    embedder = FakeEmbedder()
    with open_store(*place, embedder, create=False) as store:
        assert index(embedder, store, corpus.items(), chunk_tokens=CHUNK_TOKENS) == Counts(
            skipped=corpus.documents, gone=0
        )
        found = verify(embedder, store, sample=corpus.documents)
        assert (found.documents, found.broken, found.changed_ids, found.lost_ids) == (corpus.documents, 0, (), ())
        rows = store.get([row.id for row in scan_rows(store)])
        assert [one.row.id for one in rows if store.search(one.vector, 1)[0].row.text != one.row.text] == []


@pytest.mark.parametrize(("documents", "rounds"), [(40, 3), pytest.param(80, 12, marks=pytest.mark.soak)])
def test_searches_during_an_index(place: tuple[str, str], by: str, documents: int, rounds: int) -> None:
    corpus = Corpus(documents)
    writer = Child(indexing, *place, corpus, 100)
    writer.started()
    answers = [Child(searching, *place).result() for _ in range(rounds)]
    assert isinstance(writer.result(), Counts)
    refused = [answer for answer in answers if isinstance(answer, StoreError)]
    assert len(refused) + sum(isinstance(answer, list) for answer in answers) == rounds
    assert all("is open in another process (pid" in str(error) for error in refused)
    assert bool(refused) == (by == "folder")
    check(place, corpus)


@pytest.mark.parametrize(("documents", "pairs"), [(40, 2), pytest.param(80, 6, marks=pytest.mark.soak)])
def test_two_writers_do_not_spoil_each_others_rows(place: tuple[str, str], by: str, documents: int, pairs: int) -> None:
    refused: list[str] = []
    for version in reversed(range(pairs)):
        pair = [Child(indexing, *place, Corpus(documents, version), 100) for _ in range(2)]
        results = [child.result() for child in pair]
        refused += [str(result) for result in results if isinstance(result, StoreError)]
        assert any(isinstance(result, Counts) for result in results)
        assert all(isinstance(result, Counts | StoreError) for result in results)
    assert bool(refused) == (by == "folder"), refused
    check(place, Corpus(documents))
