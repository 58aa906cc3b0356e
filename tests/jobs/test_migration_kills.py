"""Migrations that are killed at any moment, and one while somebody writes: nothing is lost, and spaces never meet."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Any

import pytest

from support.migrating import NEW, OLD, Place, Writer, applying, cutting, fill, text
from support.processes import Child
from twofold import SpaceMismatch
from twofold.jobs import Following, Item, index, open_store, verify
from twofold.jobs.migration import moving
from twofold.stores.store import scan_rows

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from twofold import Embedder

pytestmark = pytest.mark.slow

DOCUMENTS = 40


def corpus(version: int) -> list[Item]:
    """Documents of which a third changes from version to version."""
    return [
        Item(f"d{n}", text(n, version if n % 3 == version % 3 else 0), {"v": version if n % 3 == version % 3 else 0})
        for n in range(DOCUMENTS)
    ]


@pytest.mark.parametrize(("kills", "kills_a_step"), [(2, 1), pytest.param(48, 2, marks=pytest.mark.soak)])
def test_killed_migrations_lose_nothing(tmp_path: Path, kills: int, kills_a_step: int) -> None:
    pytest.importorskip("chromadb")
    place, chance = Place(f"chroma:{tmp_path}", "docs"), random.Random(kills)
    killed = version = 0
    seconds: dict[Callable[..., Any], float] = {applying: 0.5, cutting: 0.5}
    while killed < kills:
        _write(place, version)
        before = place.rows(OLD)
        for _ in range(kills_a_step):
            killed += _kill(applying, place, chance, seconds)
            assert place.rows(OLD) == before
        with place.migration() as migration:
            migration.apply()
            assert migration.verify().go
        _write(place, version + 1)
        before = place.rows(OLD)
        for _ in range(kills_a_step):
            killed += _kill(cutting, place, chance, seconds)
            assert _served(place) == before
        with place.migration() as migration:
            if place.physical() == "docs":
                migration.cutover()
        assert _served(place) == place.rows(NEW) == before
        with open_store(place.address, place.name, NEW, create=False) as store:
            assert verify(NEW, store, sample=DOCUMENTS).sound
        with place.migration() as migration:
            migration.rollback(carry=True)
        assert _served(place) == place.rows(OLD) == before
        version += 2


def _write(place: Place, version: int) -> None:
    with open_store(place.address, place.name, OLD) as store:
        index(OLD, store, corpus(version))


def _kill(work: Callable[..., Any], place: Place, chance: random.Random, seconds: dict[Any, float]) -> int:
    """Whether a run was killed at a random moment; else it was quicker, and how long it took is noted."""
    child = Child(work, place.address)
    child.started()
    started = time.monotonic()
    time.sleep(chance.random() * seconds[work])
    child.kill()
    if child.result() is None:
        return 1
    seconds[work] = time.monotonic() - started
    return 0


def _served(place: Place) -> dict[str, Any]:
    """What the one embedder finds whose space is served."""
    found = []
    for embedder in (OLD, NEW):
        try:
            found.append(place.rows(embedder))
        except SpaceMismatch:
            continue
    assert len(found) == 1
    return found[0]


@pytest.fixture(params=["server", "weaviate"])
def place(request: pytest.FixtureRequest) -> Place:
    if request.param == "server":
        return Place(request.getfixturevalue("chroma_address"), request.getfixturevalue("collection_name"))
    server = request.getfixturevalue("weaviate_server")
    return Place(f"weaviate:{server.url}", request.getfixturevalue("weaviate_name"))


def test_no_update_is_lost_while_somebody_writes(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moving, "GRACE", 1.0)
    fill(place.address, place.name, 30, 3)
    writer = Writer(place)
    asked: list[Embedder] = []
    with place.migration() as migration, Following(place.address, place.name, [OLD, NEW]) as reader:
        for step in (migration.apply, migration.apply, lambda: migration.verify(behind=500), migration.cutover):
            step()
            assert len(reader.search(text(3))) == 10
            asked.append(reader.embedder)
        _wait(writer, moved=True)
        count = len(writer.written)
        time.sleep(0.5)
        writer.stop()
    assert asked == [OLD, OLD, OLD, NEW]
    assert (writer.moved, writer.turns) == (True, 1)
    assert count
    _check_nothing_is_lost(place, writer, NEW)


def test_no_update_is_lost_on_the_way_back(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moving, "GRACE", 1.0)
    fill(place.address, place.name, 30, 3)
    with place.migration() as migration:
        migration.apply()
        migration.verify()
        migration.cutover()
        writer = Writer(place)
        _wait(writer, moved=True)
        assert migration.rollback(carry=True).changed
        _wait(writer, moved=False)
        time.sleep(0.5)
        writer.stop()
        assert writer.turns == 2  # to the new vectors, which serve when it begins, and back
        _check_nothing_is_lost(place, writer, OLD)
        migration.apply()  # which finds nothing in the other that would be lost
    assert place.rows(OLD).keys() > {"d1", "c1#0"}


def _wait(writer: Writer, *, moved: bool) -> None:
    """Until somebody writes to the collection that serves now."""
    deadline = time.monotonic() + 60
    while (not writer.written or writer.moved is not moved) and time.monotonic() < deadline:
        time.sleep(0.05)
    count = writer.writes
    while writer.writes == count and time.monotonic() < deadline:
        time.sleep(0.05)
    assert writer.moved is moved


def _check_nothing_is_lost(place: Place, writer: Writer, embedder: Embedder) -> None:
    with open_store(place.address, place.name, embedder, create=False) as store:
        versions: dict[str, set[object]] = {key: set() for key in writer.written}
        for one in store.get([row.id for row in scan_rows(store)]):
            if one.row.document in versions:
                versions[one.row.document].add(int(one.row.metadata["version"]))  # type: ignore[arg-type]
        wanted = {key: set() if version is None else {version} for key, version in writer.written.items()}
        assert versions == wanted
        found = verify(embedder, store, sample=200)
        assert (found.broken, found.changed_ids) == (0, ())
