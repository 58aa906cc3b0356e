"""The collections of a store: listed, looked at, removed; written to files and read from them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.parquet as pq
import pytest

from twofold import Embedder, SpaceRecord
from twofold.stores import connect_store
from twofold.stores.store import as_catalogue, scan_rows
from twofold.testing import MemoryStore

if TYPE_CHECKING:
    from cli.conftest import Run
    from twofold.stores import Row
    from twofold.vectors import FloatArray


def test_collections_are_listed_with_their_spaces(twofold: Run, notes: tuple[str, ...]) -> None:
    code, out, _ = twofold("collections", *notes, "--json")
    (found,) = json.loads(out)
    assert code == 0
    assert (found["collection"], found["rows"]) == ("notes", 4)
    assert found["space"] == Embedder("fake:", dimensions=32).space.tag
    assert found["space"] in twofold("collections", *notes)[1]


def test_a_place_without_collections_is_left_as_it_is(twofold: Run) -> None:
    assert twofold("collections", "--store", "chroma:nowhere", "--json")[:2] == (0, "[]\n")
    assert not Path("nowhere").exists()


def test_info_shows_the_space_and_the_counts(twofold: Run, notes: tuple[str, ...]) -> None:
    code, out, _ = twofold("info", "notes", *notes, "--json")
    said = json.loads(out)
    assert code == 0
    assert (said["rows"], said["documents"], said["dimensions"], said["faults"]) == (4, 4, "32 of 64", [])
    assert "no faults found" in twofold("info", "notes", *notes)[1]


def test_info_sees_documents_that_are_not_whole(twofold: Run, notes: tuple[str, ...], tmp_path: Path) -> None:
    long = tmp_path / "long.txt"
    long.write_text("some words in a row, and then some more of them, until there are many chunks of them. " * 5)
    flags = ("--collection", "notes", "--model", "fake:", "--dimensions", "32", "--chunk-tokens", "10")
    assert twofold("index", str(long), *notes, *flags, "--id-root", str(tmp_path))[0] == 0
    store = connect_store(notes[1], "notes")
    store.find()
    store.delete(["long.txt#1"])
    store.close()
    code, out, _ = twofold("info", "notes", *notes)
    assert code == 1
    assert (
        "WRONG: 1 documents have missing rows, or rows of several versions: index again (the first: 'long.txt')" in out
    )


def test_drop_asks_before_it_removes(twofold: Run, notes: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    code, _, err = twofold("drop", "notes", *notes)
    assert code == 2
    assert "drop cannot ask for confirmation: add --yes to remove notes" in err
    monkeypatch.setattr("twofold.cli.manage.is_terminal", lambda: True)
    code, out, err = twofold("drop", "notes", *notes, stdin="no\n")
    assert (code, out) == (1, "")
    assert "remove the collection 'notes' with its 4 rows? [y/N]" in err
    assert "nothing was removed" in err
    assert twofold("drop", "notes", *notes, stdin="y\n")[:2] == (0, "removed notes with 4 rows\n")
    assert twofold("collections", *notes, "--json")[1] == "[]\n"


def test_a_store_that_cannot_is_named() -> None:
    class Bare:
        pass

    with pytest.raises(ValueError, match="Bare cannot list or remove collections"):
        as_catalogue(Bare())
    store = MemoryStore("there", "gone")
    store.make("{}", Embedder("fake:"))
    assert store.names() == ["gone"]
    as_catalogue(store).drop()
    assert store.names() == []


@pytest.mark.parametrize("name", ["notes.jsonl", "notes.parquet"])
def test_a_collection_goes_through_a_file_unchanged(twofold: Run, notes: tuple[str, ...], name: str) -> None:
    assert twofold("export", "notes", name, *notes)[:2] == (0, f"4 rows are in {name}\n")
    assert [path.name for path in Path.cwd().iterdir()] == [name]
    other = ("--store", "chroma:other")
    for _ in range(2):  # what is there is replaced
        assert twofold("import", name, "copy", *other)[:2] == (0, "4 rows are in copy\n")
    before, after = rows_of(notes[1], "notes"), rows_of("chroma:other", "copy")
    assert before.keys() == after.keys() == {"ships", "bread", "boats", "soup"}
    for key, (row, vector) in before.items():
        assert after[key][0] == row
        assert np.array_equal(after[key][1], vector)
    question = ("search", "ships in the harbour", "--json")
    found = json.loads(twofold(*question, *notes, "--collection", "notes")[1])
    assert json.loads(twofold(*question, *other, "--collection", "copy")[1]) == found


def rows_of(address: str, name: str) -> dict[str, tuple[Row, FloatArray]]:
    store = connect_store(address, name)
    assert store.find()
    found = {one.row.id: (one.row, one.vector) for one in store.get([row.id for row in scan_rows(store)])}
    store.close()
    return found


def test_other_programs_can_read_what_is_exported(twofold: Run, notes: tuple[str, ...]) -> None:
    twofold("export", "notes", "notes.parquet", *notes)
    table = pq.read_table("notes.parquet")
    record = SpaceRecord.from_json(table.schema.metadata[b"twofold.record"].decode())
    assert record.space == Embedder("fake:", dimensions=32).space
    assert sorted(table.column("id").to_pylist()) == ["boats", "bread", "ships", "soup"]
    assert table.schema.field("vector").type.list_size == 32


@pytest.mark.parametrize("name", ["notes.jsonl", "notes.parquet"])
def test_rows_of_another_space_are_refused(twofold: Run, notes: tuple[str, ...], name: str, tmp_path: Path) -> None:
    twofold("export", "notes", name, *notes)
    (tmp_path / "a.txt").write_text("a text")
    other = ("--store", "chroma:other")
    twofold("index", str(tmp_path / "a.txt"), *other, "--collection", "copy", "--model", "fake:")
    code, out, err = twofold("import", name, "copy", *other)
    assert (code, out) == (1, "")
    assert "dimensions: 64 and 32" in err
    assert len(rows_of("chroma:other", "copy")) == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is not JSON"),
        (b"{}\n", "its first line has no record"),
        (b"[1]\n", "is not a JSON object"),
        (b"PAR1 and no more", "is not Parquet"),
    ],
)
def test_a_file_that_was_not_exported_makes_nothing(twofold: Run, content: bytes, said: str) -> None:
    name = "x.parquet" if content.startswith(b"PAR1") else "x.jsonl"
    Path(name).write_bytes(content)
    code, _, err = twofold("import", name, "copy", "--store", "chroma:other")
    assert code == 2
    assert said in err
    assert not Path("other").exists()


def test_a_damaged_row_is_named(twofold: Run, notes: tuple[str, ...]) -> None:
    twofold("export", "notes", "notes.jsonl", *notes)
    head, first, *_ = Path("notes.jsonl").read_text().splitlines()
    Path("bad.jsonl").write_text(f"{head}\n{first}\n" + first.replace('"vector": [', '"vector": [1.0, '))
    code, _, err = twofold("import", "bad.jsonl", "copy", "--store", "chroma:other")
    assert code == 2
    assert "bad.jsonl, row 1: its vector is not 32 finite numbers" in err
