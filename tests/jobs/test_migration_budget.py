"""What the steps of a migration may spend on a hosted model; where it does not suffice, what served serves on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.faultserver import FaultServer
from support.migrating import NEW, OLD, Place, fill
from twofold import BudgetExceeded, Embedder
from twofold.jobs import Budget, Item, Migration, index, open_store
from twofold.stores.moving import moved_mark

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from twofold.jobs import Counts

pytest.importorskip("chromadb")
MORE = [Item(f"more{number}", f"Document {number} tells of ships and fog.") for number in range(40)]
LITTLE, MUCH = Budget(tokens=20), Budget(tokens=100_000)


@pytest.fixture(autouse=True)
def no_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("twofold.jobs.migration.moving.GRACE", 0.0)


@pytest.fixture
def hosted() -> Iterator[Embedder]:
    with FaultServer() as server:
        yield Embedder("jina:jina-embeddings-v3", base_url=server.url, api_key="k", dimensions=32)


def write(place: Place, embedder: Embedder) -> Counts:
    with open_store(place.address, place.name, embedder) as store:
        return index(embedder, store, MORE)


def test_apply_and_cutover(tmp_path: Path, hosted: Embedder) -> None:
    place = Place(f"chroma:{tmp_path}", "docs")
    fill(place.address, place.name, 20, 0)
    with place.migration(new=hosted) as migration:
        with pytest.raises(BudgetExceeded):
            migration.apply(budget=LITTLE)
        assert migration.apply(budget=MUCH).embedded == 20
        assert migration.verify().go
        write(place, OLD)
        before = place.rows(OLD)
        with pytest.raises(BudgetExceeded, match="stopped within the budget of 20 tokens"):
            migration.cutover(budget=LITTLE)
        assert place.rows(OLD) == before
        assert migration.verify(behind=len(MORE)).go
        assert migration.cutover(budget=MUCH).embedded == len(MORE)
    assert place.rows(hosted) == before


def test_the_way_back(tmp_path: Path, hosted: Embedder) -> None:
    place = Place(f"chroma:{tmp_path}", "docs")
    with open_store(place.address, place.name, hosted) as store:
        index(hosted, store, MORE[:10])
    with place.migration(old=[hosted]) as migration:
        migration.apply()
        assert migration.verify().go
        migration.cutover()
        write(place, NEW)
        after = place.rows(NEW)
        with pytest.raises(BudgetExceeded):
            migration.rollback(carry=True, budget=LITTLE)
        assert place.rows(NEW) == after
        assert migration.rollback(carry=True, budget=MUCH).embedded == len(MORE) - 10
        assert place.rows(hosted) == after


def test_a_cutover_that_was_cut_short_goes_back_without_the_old_model(tmp_path: Path) -> None:
    place = Place(f"chroma:{tmp_path}", "docs")
    fill(place.address, place.name, 10, 0)
    with place.migration() as migration:
        migration.apply()
        both = migration._pair()
        both.source.set_moved(moved_mark(both.target.name, serving=False))
    with Migration(place.address, place.name) as alone:
        assert alone.rollback(carry=True).changed == 0
    write(place, OLD)
