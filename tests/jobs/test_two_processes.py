"""Two processes at one collection: a folder is one's at a time, a server serves both, and every row is found."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from support.chroma_server import HOST, chroma_server
from support.processes import CHUNK_TOKENS, Child, Corpus, indexing, searching
from twofold import StoreError
from twofold.jobs import Counts, index, open_store, verify
from twofold.stores.store import scan_rows
from twofold.testing import FakeEmbedder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow

ROUNDS, PAIRS = 12, 6
CORPUS = Corpus(80)


@contextmanager
def served(folder: Path, by: str) -> Iterator[str]:
    """The address of a store in `folder`, with a server or without."""
    if by == "folder":
        yield f"chroma:{folder}"
    else:
        with chroma_server(folder) as port:
            yield f"chroma:http://{HOST}:{port}"


def check(address: str) -> None:
    """Everything is there, and every row is found by its own vector."""
    embedder = FakeEmbedder()
    with open_store(address, "docs", embedder, create=False) as store:
        assert index(embedder, store, CORPUS.items(), chunk_tokens=CHUNK_TOKENS) == Counts(
            skipped=CORPUS.documents, gone=0
        )
        found = verify(embedder, store, sample=CORPUS.documents)
        assert (found.documents, found.broken, found.changed_ids, found.lost_ids) == (CORPUS.documents, 0, (), ())
        rows = store.get([row.id for row in scan_rows(store)])
        assert [one.row.id for one in rows if store.search(one.vector, 1)[0].row.text != one.row.text] == []


@pytest.mark.parametrize("by", ["folder", "server"])
def test_searches_during_an_index(tmp_path: Path, by: str) -> None:
    with served(tmp_path, by) as address:
        writer = Child(indexing, address, CORPUS, 100)
        writer.started()
        answers = [Child(searching, address).result() for _ in range(ROUNDS)]
        assert isinstance(writer.result(), Counts)
        refused = [answer for answer in answers if isinstance(answer, StoreError)]
        assert len(refused) + sum(isinstance(answer, list) for answer in answers) == ROUNDS
        assert all("is open in another process (pid" in str(error) for error in refused)
        assert bool(refused) == (by == "folder")
        check(address)


@pytest.mark.parametrize("by", ["folder", "server"])
def test_two_writers_do_not_spoil_each_others_rows(tmp_path: Path, by: str) -> None:
    with served(tmp_path, by) as address:
        refused: list[str] = []
        for version in reversed(range(PAIRS)):
            pair = [Child(indexing, address, Corpus(CORPUS.documents, version), 100) for _ in range(2)]
            results = [child.result() for child in pair]
            refused += [str(result) for result in results if isinstance(result, StoreError)]
            assert any(isinstance(result, Counts) for result in results)
            assert all(isinstance(result, Counts | StoreError) for result in results)
        assert bool(refused) == (by == "folder"), refused
        check(address)
