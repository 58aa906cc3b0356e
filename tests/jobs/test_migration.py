"""Migrations: each step, on real stores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from support.migrating import NEW, OLD, Place, fill, items, late, text
from twofold import InputError, SpaceMismatch, StoreError
from twofold.jobs import Counts, Following, Migration, Question, index, open_store, search, verify
from twofold.stores import add_documents
from twofold.stores.moving import movable
from twofold.testing import FakeEmbedder, MemoryStore

if TYPE_CHECKING:
    from pathlib import Path

ROWS = 60 + 12


@pytest.fixture(params=["folder", "server", "weaviate"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    pytest.importorskip("chromadb")
    if request.param == "folder":
        return Place(f"chroma:{tmp_path}", "docs")
    if request.param == "server":
        return Place(request.getfixturevalue("chroma_address"), request.getfixturevalue("collection_name"))
    server = request.getfixturevalue("weaviate_server")
    return Place(f"weaviate:{server.url}", request.getfixturevalue("weaviate_name"))


@pytest.fixture(autouse=True)
def no_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody writes while these cut over."""
    monkeypatch.setattr("twofold.jobs.migration.moving.GRACE", 0.0)


@pytest.fixture
def folder(tmp_path: Path) -> Place:
    pytest.importorskip("chromadb")
    return Place(f"chroma:{tmp_path}", "docs")


def test_the_whole_way_and_back(place: Place) -> None:
    fill(place.address, place.name)
    before = place.rows(OLD)
    first = place.physical()
    with place.migration() as migration:
        plan = migration.plan(seed=0)
        assert (plan.rows, plan.documents, plan.chunks, plan.late) == (ROWS, 66, 12, True)
        assert [proof.proved for proof in plan.proofs] == [True]
        assert plan.risks == []
        carried = migration.apply()
        assert (carried.embedded, carried.set_aside) == (ROWS, 0)
        assert carried.tokens == plan.tokens
        again = migration.apply()
        assert (again.unchanged, again.changed, again.tokens) == (ROWS, 0, 0)
        assert place.rows(OLD) == before  # readers see nothing of it
        assert migration.verify(seed=0).go
        assert migration.cutover().changed == 0
        assert place.rows(NEW) == before
        assert place.physical() != first
        with pytest.raises(SpaceMismatch):
            place.rows(OLD)
        migration.rollback()
        assert (place.rows(OLD), place.physical()) == (before, first)
        with pytest.raises(SpaceMismatch):
            place.rows(NEW)
        assert migration.verify(seed=0).go
        migration.cutover()
        assert migration.prune() == first
    assert place.rows(NEW) == before
    with open_store(place.address, place.name, NEW, create=False) as store:
        assert verify(NEW, store, sample=100).sound
        assert index(NEW, store, items(60)).skipped == 60  # the next index run sees its documents
        assert store.marks() == {}  # type: ignore[attr-defined]
    with place.migration() as migration, pytest.raises(StoreError, match=r"not being migrated|already in this space"):
        migration.rollback()


def test_late_chunks_are_embedded_in_their_documents(folder: Place) -> None:
    fill(folder.address, folder.name)
    with folder.migration() as migration:
        migration.apply()
        migration.verify()
        migration.cutover()
    with open_store(folder.address, folder.name, NEW, create=False) as store:
        stored = {one.row.id: one.vector for one in store.get([f"c2#{n}" for n in range(3)])}
    wanted = NEW.embed_chunks(late(2))
    assert np.allclose([stored[f"c2#{n}"] for n in range(3)], wanted, atol=1e-6)


def test_chunks_that_were_embedded_alone_stay_so(folder: Place) -> None:
    with open_store(folder.address, folder.name, OLD) as store:
        index(OLD, store, items(12), chunk_tokens=6)
    with folder.migration() as migration:
        plan = migration.plan()
        assert (plan.chunks > 12, plan.late) == (True, False)
        migration.apply()
        assert migration.verify().go
        migration.cutover()
    with open_store(folder.address, folder.name, NEW, create=False) as store:
        assert index(NEW, store, items(12), chunk_tokens=6) == Counts(skipped=12, gone=0)
        assert verify(NEW, store).sound


def test_how_chunks_were_embedded_has_to_be_known(folder: Place) -> None:
    fill(folder.address, folder.name)
    with folder.migration(old=()) as migration:
        assert migration.plan().late is None
        with pytest.raises(InputError, match="late_chunking=True or False"):
            migration.apply()
    with folder.migration(old=(), late=True) as migration:
        migration.apply()
    with folder.migration(old=(OLD,)) as migration:
        assert migration.verify().go


def test_updates_of_the_source_are_carried_over(place: Place) -> None:
    fill(place.address, place.name)
    with place.migration() as migration:
        migration.apply()
        migration.verify()
        with open_store(place.address, place.name, OLD) as store:
            changed = items(50)
            changed[3] = type(changed[3])("d3", "an entirely new text", {"n": 3, "kind": "k0"})
            changed[4] = type(changed[4])("d4", changed[4].text, {"n": 4, "kind": "another"})
            index(OLD, store, changed)
            store.delete([f"d{number}" for number in range(50, 60)])
            add_documents(store, OLD, ids=["c2", "new"], documents=[late(2)[:2], "another one"])
        verdict = migration.verify()
        assert not verdict.go
        assert (verdict.missing.ids, verdict.extra.rows) == (["new"], 11)
        assert set(verdict.differing.ids) == {"d3", "d4", "c2#0", "c2#1"}
        assert migration.verify(behind=20).go
        carried = migration.cutover()
        assert (carried.refiled, carried.removed, carried.embedded) == (1, 11 - 1, 4)
    rows = place.rows(NEW)
    assert rows["d3"][0] == "an entirely new text"
    assert rows["d4"][1]["kind"] == "another"
    assert len(rows) == ROWS - 11 + 1
    with open_store(place.address, place.name, NEW, create=False) as store:
        assert verify(NEW, store, sample=100).sound


def test_cutover_wants_a_verification_of_what_is_there(folder: Place) -> None:
    fill(folder.address, folder.name)
    with folder.migration() as migration:
        with pytest.raises(StoreError, match="apply first"):
            migration.cutover()
        migration.apply()
        with pytest.raises(StoreError, match="was not verified"):
            migration.cutover()
        target = migration._pair().target
        vectors = target.originals(["d1"], vectors=True)["d1"].vectors
        target.delete(["d1"])
        assert not migration.verify().go
        with pytest.raises(StoreError, match=r"NO-GO: 1 rows are missing .*'d1'"):
            migration.cutover()
        migration.apply()
        assert migration.verify().go
        original = target.originals(["d2"])["d2"]
        target.put([original], [np.stack(vectors)])
        with pytest.raises(StoreError, match="has changed since it was verified"):
            migration.cutover()
        assert folder.rows(OLD)


def test_another_cutover_carries_nothing_over_what_was_written_since(place: Place) -> None:
    fill(place.address, place.name)
    with place.migration() as migration:
        migration.apply()
        migration.verify()
        migration.cutover()
        with open_store(place.address, place.name, NEW) as store:
            add_documents(store, NEW, ids=["d1", "newer"], documents=["another text of it", "one more"])
            store.delete(["d2"])
        assert migration.cutover().changed == 0
        with pytest.raises(StoreError, match="cut over again, or roll it back"):
            migration.apply()
    rows = place.rows(NEW)
    assert rows["d1"][0] == "another text of it"
    assert "newer" in rows
    assert "d2" not in rows


def test_chunks_that_lost_a_neighbour_are_embedded_anew(folder: Place) -> None:
    fill(folder.address, folder.name)
    with folder.migration() as migration:
        migration.apply()
        with open_store(folder.address, folder.name, OLD) as store:
            store.delete(["c2#2"])
        carried = migration.apply()
        assert (carried.embedded, carried.removed) == (2, 1)
        migration.verify()
        migration.cutover()
    with open_store(folder.address, folder.name, NEW, create=False) as store:
        stored = {one.row.id: one.vector for one in store.get(["c2#0", "c2#1"])}
    wanted = NEW.embed_chunks([late(2)[0], late(2)[1]])
    assert np.allclose([stored["c2#0"], stored["c2#1"]], wanted, atol=1e-6)


def test_what_is_closed_or_moved_takes_no_writes(place: Place) -> None:
    fill(place.address, place.name)
    with (
        place.migration() as migration,
        open_store(place.address, place.name, OLD) as writer,
        open_store(place.address, place.name, OLD) as reader,
    ):
        migration.apply()
        migration.verify()
        source = migration._pair().source
        source.set_moved('{"to": "elsewhere", "serving": false}')
        for write in (
            lambda: add_documents(writer, OLD, ids=["x"], documents=["x y z"]),
            lambda: writer.delete(["d1"]),
            lambda: index(OLD, writer, items(61)),
        ):
            with pytest.raises(StoreError, match="is being cut over"):
                write()
        assert len(search(OLD, reader, "keeper")) == 10
        source.set_moved(None)
        migration.cutover()
        with pytest.raises(StoreError, match="has moved to"):
            add_documents(writer, OLD, ids=["x"], documents=["x y z"])
        assert len(search(OLD, reader, text(7))) == 10  # as it was opened: of one space
        migration.rollback()
        add_documents(writer, OLD, ids=["x"], documents=["x y z"])


def test_what_was_written_since_the_cutover_is_carried_back_or_not_lost(place: Place) -> None:
    fill(place.address, place.name, 20, 3)
    with place.migration() as migration:
        migration.apply()
        migration.verify()
        migration.cutover()
        with open_store(place.address, place.name, NEW, create=False) as store:
            ids = [row.id for row in store.held(["d1"])]
            add_documents(store, NEW, ids=["d2", "c2"], documents=["tide and rope", late(3)])
            add_documents(store, NEW, ids=["new"], documents=[late(5)])
            store.delete(ids)
        after = place.rows(NEW)
        with Migration(place.address, place.name, NEW) as blind, pytest.raises(InputError, match="pass the one that"):
            blind.rollback(carry=True)
        assert place.rows(NEW) == after
        back = migration.rollback(carry=True)
        assert (back.removed, back.set_aside) == (1, 0)
        assert place.rows(OLD) == after
        with open_store(place.address, place.name, OLD, create=False) as store:
            assert verify(OLD, store, sample=100).sound
        assert migration.apply().changed == 0
        migration.verify()
        migration.cutover()
        with open_store(place.address, place.name, NEW, create=False) as store:
            add_documents(store, NEW, ids=["d2"], documents=["only here"])
        migration.rollback()
        with pytest.raises(StoreError, match=r"1 of its rows are missing from .* or differ there \(d2\)"):
            migration.apply()
        assert migration.verify(behind=5).go
        with pytest.raises(StoreError, match="served until it was rolled back"):
            migration.cutover()
        assert place.rows(OLD) == after
        assert migration.apply(discard=True).embedded == 1
        assert migration.verify().go
        migration.cutover()
        assert place.rows(NEW) == after


def test_an_apply_that_a_cutover_overtakes_writes_no_more(folder: Place) -> None:
    fill(folder.address, folder.name, 10, 0)
    with folder.migration() as late_one, folder.migration() as migration:
        migration.apply()
        with open_store(folder.address, folder.name, OLD) as store:
            add_documents(store, OLD, ids=["d1"], documents=["changed since"])

        def overtaken() -> bool:
            assert migration.verify(behind=1).go
            migration.cutover()
            with open_store(folder.address, folder.name, NEW) as store:
                add_documents(store, NEW, ids=["d1"], documents=["changed after the cutover"])
            return False

        with pytest.raises(StoreError, match="is serving now: no more rows are carried"):
            late_one.apply(stop=overtaken)
    assert folder.rows(NEW)["d1"][0] == "changed after the cutover"


def test_readers_follow(place: Place) -> None:
    fill(place.address, place.name)
    with place.migration() as migration, Following(place.address, place.name, [OLD, NEW]) as reader:
        answers = [(len(reader.search(text(5))), reader.embedder)]
        migration.apply()
        migration.verify()
        migration.cutover()
        answers.append((len(reader.search(text(5))), reader.embedder))
        migration.rollback()
        answers.append((len(reader.search(text(5))), reader.embedder))
        migration.verify()
        migration.cutover()
        reader.search(text(5))
        migration.prune()
        answers.append((len(reader.search(text(5))), reader.embedder))
    assert answers == [(10, OLD), (10, NEW), (10, OLD), (10, NEW)]
    with pytest.raises(SpaceMismatch, match="none of the spaces"):
        Following(place.address, place.name, [OLD])
    with pytest.raises(InputError, match="got none"):
        Following(place.address, place.name, [])


def test_a_row_without_text_and_one_too_long(folder: Place) -> None:
    fill(folder.address, folder.name)
    import chromadb

    client = chromadb.PersistentClient(folder.address.partition(":")[2])
    docs: Any = client.get_collection("docs", embedding_function=None)
    docs.add(ids=["bare"], embeddings=[[1.0] * 32], metadatas=[{"a": 1}])
    docs.add(ids=["long"], embeddings=[[1.0] * 32], documents=["word " * 600])
    docs.add(ids=["odd"], embeddings=[[1.0] * 32], documents=["of another model"])
    with folder.migration() as migration:
        plan = migration.plan()
        assert plan.without_text == 1
        assert any("no text" in risk for risk in plan.risks)
        assert any("more than one model" in risk for risk in plan.risks)
        with pytest.raises(InputError, match="'bare' has no text"):
            migration.apply()
        letters = folder.address.partition(":")[2] + "/letters.jsonl"
        assert migration.apply(on_error="skip", dead_letters=letters).set_aside == 2
        with open(letters) as file:  # noqa: PTH123 - a test's
            assert [line.split('"')[3] for line in file] == ["bare", "long"]
        verdict = migration.verify()
        assert (verdict.go, sorted(verdict.left_out.ids)) == (True, ["bare", "long"])
        assert migration.cutover().set_aside == 2
    assert len(folder.rows(NEW)) == ROWS + 1


def test_questions_are_asked_of_both(folder: Place) -> None:
    pytest.importorskip("ir_measures")
    fill(folder.address, folder.name)
    questions = [Question(text(number), {f"d{number}": 1}) for number in range(20)] + [Question("fog and light")]
    with folder.migration() as migration:
        migration.apply()
        judged = migration.verify(questions).judged
        assert judged is not None
        assert (judged.questions, judged.new, judged.is_worse) == (21, 1.0, False)
        assert judged.overlap is not None
        assert judged.overlap > 0.5
        bad = [Question(question.text, {"d59": 1}) for question in questions]
        worse = migration.verify(bad, sample=2)
        assert worse.judged is not None


def test_what_cannot_be_migrated(folder: Place) -> None:
    with folder.migration() as migration, pytest.raises(StoreError, match="no Chroma store"):
        migration.plan()
    fill(folder.address, folder.name)
    with folder.migration(new=OLD) as migration, pytest.raises(SpaceMismatch, match="already in this space"):
        migration.apply()
    with folder.migration() as migration, pytest.raises(InputError, match="sample=0"):
        migration.plan(sample=0)
    with folder.migration() as migration, pytest.raises(StoreError, match="not being migrated"):
        migration.prune()
    with Place(folder.address, "others").migration() as migration, pytest.raises(StoreError, match="no collection"):
        migration.apply()
    with pytest.raises(InputError, match="cannot move its collections"):
        movable(MemoryStore("a", "b"))
    with Migration(folder.address, folder.name) as migration, pytest.raises(InputError, match="needs the embedder"):
        migration.apply()
    other = FakeEmbedder(dimensions=16)
    with folder.migration() as migration:
        migration.apply()
        migration.verify()
        migration.cutover()
        with folder.migration(new=other) as second, pytest.raises(StoreError, match="was moved before"):
            second.apply()
        with open_store(folder.address, folder.name, NEW) as store:
            assert store.count() == ROWS
