"""Runs that are killed at any moment: nothing is lost, nothing doubled, and no reader sees two versions as one."""

from __future__ import annotations

import random
import shutil
import time
from typing import TYPE_CHECKING

import pytest

from support.processes import CHUNK_TOKENS, Child, Corpus, indexing, reading
from twofold import StoreError
from twofold.jobs import Counts, index, open_store, verify
from twofold.testing import FakeEmbedder

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

DOCUMENTS = 60


@pytest.mark.parametrize(("kills", "kills_a_version"), [(4, 2), pytest.param(196, 4, marks=pytest.mark.soak)])
def test_killed_runs_lose_nothing(tmp_path: Path, kills: int, kills_a_version: int) -> None:
    address, embedder = f"chroma:{tmp_path}", FakeEmbedder()
    chance = random.Random(kills)
    killed = version = 0
    seconds = 1.0
    while killed < kills:
        corpus = Corpus(DOCUMENTS, version)
        for _ in range(kills_a_version):
            started = time.monotonic()
            child = Child(indexing, address, "docs", corpus)
            child.started()
            time.sleep(chance.random() * seconds)
            child.kill()
            if child.result() is None:
                killed += 1
            else:  # it was quicker
                seconds = time.monotonic() - started
            _check_versions(tmp_path, address, corpus)
        with open_store(address, "docs", embedder) as store:
            index(embedder, store, corpus.items(), chunk_tokens=CHUNK_TOKENS)
            assert index(embedder, store, corpus.items(), chunk_tokens=CHUNK_TOKENS) == Counts(
                skipped=DOCUMENTS, gone=0
            )
            found = verify(embedder, store, sample=DOCUMENTS)
        assert (found.documents, found.broken, found.changed_ids, found.lost_ids) == (DOCUMENTS, 0, (), ())
        version += 1


def _check_versions(folder: Path, address: str, corpus: Corpus) -> None:
    """What a reader sees between a kill and the next run.

    It looks in a process of its own: a folder that Chroma was killed in while it wrote may take its reader down.
    """
    reader = Child(reading, address)
    seen = reader.result()
    assert seen is not None or reader.crashed(), "a reader failed otherwise than Chroma does"
    if isinstance(seen, StoreError):
        assert "remove the folders beside chroma.sqlite3" in str(seen)
    if seen is None or isinstance(seen, StoreError):
        _mend(folder, address, corpus)
        return
    for document, rows in seen.items():
        assert len({row.digest for row in rows}) == 1, f"{document} has rows of two versions"
        assert len(rows) <= rows[0].rows


def _mend(folder: Path, address: str, corpus: Corpus) -> None:
    """As `StoreError` and docs/jobs.md say it: nothing of the texts is lost, and all vectors are written again."""
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
    embedder = FakeEmbedder()
    with open_store(address, "docs", embedder) as store:
        index(embedder, store, corpus.items(), chunk_tokens=CHUNK_TOKENS, force=True)
