"""What a verification finds: one row of many is corrupted, in each of the ways there are, and NO-GO is said of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from support.migrating import NEW, OLD, Place, fill, text
from twofold.testing import FakeEmbedder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from twofold.jobs.migration.collection import Collection
    from twofold.stores.moving import Original

ROWS, SAMPLE = 600, 40
"""Far fewer rows are embedded again than there are: a single bad one has to be suspected."""


def _row(target: Collection, key: str) -> Original:
    return target.originals([key], vectors=True)[key]


def _vector(target: Collection, key: str, vector: Any) -> None:
    target.put([_row(target, key)], [np.asarray(vector, np.float32)[None]])


def _lost(target: Collection) -> None:
    target.delete(["d123"])


def _doubled(target: Collection) -> None:
    one = _row(target, "d123")
    target.put([one._replace(row=replace(one.row, id="d123-again"))], [np.stack(one.vectors)])


def _wrong_side(target: Collection) -> None:
    _vector(target, "d123", NEW.embed_query(text(123)))


def _swapped_ids(target: Collection) -> None:
    one, other = _row(target, "d123"), _row(target, "d321")
    target.put(
        [one._replace(row=other.row), other._replace(row=one.row)], [one.vectors[0][None], other.vectors[0][None]]
    )


def _swapped_vectors(target: Collection) -> None:
    one, other = _row(target, "d123").vectors[0], _row(target, "d321").vectors[0]
    _vector(target, "d123", other)
    _vector(target, "d321", one)


def _stale_text(target: Collection) -> None:
    one = _row(target, "d123")
    target.put([one._replace(kept={**one.kept, "text": text(123, 9)})], [one.vectors[0][None]])


def _stale_vector(target: Collection) -> None:
    _vector(target, "d123", NEW.embed_documents([text(124, 9)])[0])


def _foreign(target: Collection) -> None:
    _vector(target, "d123", np.random.default_rng(1).standard_normal(64))


def _of_another_task(target: Collection) -> None:
    _vector(target, "d123", FakeEmbedder(document_task="topic").embed_documents([text(123)])[0])


def _changed_metadata(target: Collection) -> None:
    one = _row(target, "d123")
    kept = {**one.kept, "metadata": {**one.kept["metadata"], "kind": "another"}}
    target.put([one._replace(kept=kept)], [one.vectors[0][None]])


def _not_normalised(target: Collection) -> None:
    _vector(target, "d123", 3 * _row(target, "d123").vectors[0])


def _zero(target: Collection) -> None:
    _vector(target, "d123", np.zeros(64))


def _late_chunk_alone(target: Collection) -> None:
    _vector(target, "c2#1", NEW.embed_documents([_row(target, "c2#1").row.text])[0])


CORRUPTIONS: dict[Callable[[Collection], None], str] = {
    _lost: "missing",
    _doubled: "extra",
    _wrong_side: "changed",
    _swapped_ids: "differing",
    _swapped_vectors: "changed",
    _stale_text: "differing",
    _stale_vector: "changed",
    _foreign: "unfit",
    _of_another_task: "changed",
    _changed_metadata: "differing",
    _not_normalised: "unfit",
    _zero: "unfit",
    _late_chunk_alone: "changed",
}


@pytest.fixture(scope="module")
def applied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A migration that is GO, before the tests and after them: each test restores what it corrupts."""
    pytest.importorskip("chromadb")
    place = Place(f"chroma:{tmp_path_factory.mktemp('store')}", "docs")
    fill(place.address, place.name, ROWS, 6)
    with place.migration() as migration:
        migration.apply()
        assert migration.verify(sample=SAMPLE, seed=1).go
        yield place
        assert migration.verify(sample=SAMPLE, seed=1).go


@pytest.mark.parametrize("corrupt", CORRUPTIONS, ids=lambda one: one.__name__.strip("_"))
def test_one_corrupted_row_is_found(applied: Place, corrupt: Callable[[Collection], None]) -> None:
    with applied.migration() as migration:
        target = migration._pair().target
        kept = {key: _row(target, key) for key in ("d123", "d321", "c2#1")}
        corrupt(target)
        verdict = migration.verify(sample=SAMPLE, seed=1)
        target.delete(["d123-again"])
        target.put(list(kept.values()), [np.stack(one.vectors) for one in kept.values()])
        assert not verdict.go
        found = getattr(verdict, CORRUPTIONS[corrupt])
        assert {"d123", "d123-again", "c2#1"} & set(found.ids), verdict


def test_a_collection_of_another_size_is_no_go(tmp_path: Path) -> None:
    pytest.importorskip("chromadb")
    place = Place(f"chroma:{tmp_path}", "docs")
    fill(place.address, place.name, 20, 0)
    with place.migration() as migration:
        migration.apply()
        pair = migration._pair()
        rows = list(pair.target.originals([f"d{n}" for n in range(20)]).values())
        record, note = pair.target.rows.record(), pair.note
        pair.target.drop()
        target = pair.source.sibling(pair.target.name)
        assert record is not None
        target.make_like(pair.source, record, NEW, note)
        target.put(rows, list(OLD.embed_documents([one.row.text for one in rows])[:, None]))
        verdict = migration.verify()
        assert (verdict.go, verdict.unfit.rows) == (False, 20)
