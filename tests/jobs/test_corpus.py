"""Corpora: which files are read, what their documents are called, and what is said of those that cannot be read."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

from twofold.errors import InputError, MissingExtra
from twofold.jobs import Item, Reading, Unreadable, read_corpus

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths are relative to the test's own folder."""
    monkeypatch.chdir(tmp_path)


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def read(*paths: str, **reading: object) -> dict[str, str]:
    """The documents by their ids."""
    found = list(read_corpus(paths, Reading(**reading)))  # type: ignore[arg-type] # any of its fields
    assert all(isinstance(item, Item) for item in found), found
    return {item.id: item.text for item in found if isinstance(item, Item)}


def test_a_folder_is_read_in_order_with_ids_that_are_paths_as_given(tmp_path: Path) -> None:
    write(tmp_path / "docs" / "b.md", "# Zwei\r\nÄ")
    write(tmp_path / "docs" / "a" / "one.txt", "\ufeffone")
    write(tmp_path / "docs" / "a.b" / "two.txt", "two")
    write(tmp_path / "docs" / ".git" / "x.txt", "hidden")
    expected = {"docs/a/one.txt": "one", "docs/a.b/two.txt": "two", "docs/b.md": "# Zwei\r\nÄ"}
    assert list(read("docs").items()) == list(expected.items())
    assert read("./docs/") == read("docs")
    assert list(read(str(tmp_path / "docs"))) == [f"{tmp_path}/{name}" for name in expected]


def test_two_folders_of_one_name_never_meet(tmp_path: Path) -> None:
    write(tmp_path / "p1" / "docs" / "README.md", "first")
    write(tmp_path / "p2" / "docs" / "README.md", "second")
    assert read("p1/docs", "p2/docs") == {"p1/docs/README.md": "first", "p2/docs/README.md": "second"}


def test_ids_can_be_relative_to_a_root_from_wherever_it_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "docs" / "a" / "one.txt", "one")
    assert read("docs", id_root=tmp_path / "docs") == {"a/one.txt": "one"}
    monkeypatch.chdir(tmp_path / "docs" / "a")
    assert read("one.txt", id_root=tmp_path / "docs") == {"a/one.txt": "one"}
    with pytest.raises(InputError, match=r"is not inside .*docs/b, the folder that ids are relative to"):
        read_corpus(["."], Reading(id_root=tmp_path / "docs" / "b"))


def test_a_file_says_where_it_comes_from(tmp_path: Path) -> None:
    write(tmp_path / "a.md", "a")
    assert list(read_corpus(["a.md"])) == [Item("a.md", "a", {}, (tmp_path / "a.md").as_posix())]


def test_a_file_that_is_named_twice_is_read_once(tmp_path: Path) -> None:
    write(tmp_path / "docs" / "a.md", "a")
    assert read("docs", "docs/a.md", "./docs") == {"docs/a.md": "a"}


def test_a_hidden_parent_does_not_hide_a_folder_that_was_named(tmp_path: Path) -> None:
    write(tmp_path / ".notes" / "x.md", "x")
    assert list(read(".notes")) == [".notes/x.md"]


def test_a_file_that_was_named_is_read_whatever_its_name_is(tmp_path: Path) -> None:
    write(tmp_path / "LICENSE", "free")
    assert read("LICENSE") == {"LICENSE": "free"}


def test_what_a_folder_has_besides_documents_is_counted_by_kind(tmp_path: Path) -> None:
    write(tmp_path / "docs" / "a.md", "a")
    for name in ("x.png", "y.PNG", "z.zip", "Makefile"):
        write(tmp_path / "docs" / name, b"\x89")
    write(tmp_path / "docs" / "package.json", '{"name": "x"}')
    corpus = read_corpus(["docs"])
    for _ in range(2):  # it can be read again
        assert len(list(corpus)) == 1
        assert corpus.skipped == {
            ".png files": 2,
            ".zip files": 1,
            "files without a suffix": 1,
            ".json files without a field 'text'": 1,
        }


def test_patterns_choose_files(tmp_path: Path) -> None:
    for name in ("a.md", "b.py", "guide/c.md", "guide/old/d.md", "node/e.md"):
        write(tmp_path / "docs" / name, name)
    assert list(read("docs", exclude=["node", "guide/old"])) == ["docs/a.md", "docs/guide/c.md"]
    assert list(read("docs", include=["*.py", "guide/*"], exclude=["old"])) == ["docs/b.py", "docs/guide/c.md"]
    corpus = read_corpus(["docs"], Reading(include=["*.py"]))
    assert len(list(corpus)) == 1
    assert corpus.skipped == {"files not included": 4}


def test_blank_documents_are_documents(tmp_path: Path) -> None:
    write(tmp_path / "docs" / "blank.txt", " \n")  # an earlier version of it may have rows, which are to go
    assert read("docs") == {"docs/blank.txt": " \n"}


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "cp1252"])
def test_another_encoding_is_read_where_it_is_named(tmp_path: Path, encoding: str) -> None:
    write(tmp_path / "a.txt", "né\n".encode(encoding))
    write(tmp_path / "b.jsonl", '{"id": "x", "text": "né"}\n{"id": "y", "text": "ü"}\n'.encode(encoding))
    assert read("a.txt", "b.jsonl", encoding=encoding) == {"a.txt": "né\n", "x": "né", "y": "ü"}


def test_what_is_no_encoding_is_said() -> None:
    for name in ("utf-9", "hex"):
        with pytest.raises(InputError, match=f"unknown encoding '{name}'"):
            Reading(encoding=name)


def test_what_cannot_be_read_stands_in_its_place(tmp_path: Path) -> None:
    write(tmp_path / "docs" / "a.txt", "né".encode("latin-1"))
    write(tmp_path / "docs" / "b.txt", "fine")
    broken, fine = read_corpus(["docs"])
    assert isinstance(broken, Unreadable)
    assert broken.id == "docs/a.txt"
    assert "docs/a.txt: not UTF-8: byte 0xe9 at offset 1; set its encoding" in broken.reason
    assert isinstance(fine, Item)


def test_what_is_not_there_or_holds_nothing_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere does not exist"):
        read_corpus([tmp_path / "nowhere"])  # before anything is read
    write(tmp_path / "docs" / "x.png", "x")
    with pytest.raises(InputError, match=r"has no documents \(files ending in .*; it has 1 .png files"):
        list(read_corpus(["docs"]))


@pytest.mark.skipif(os.name == "nt", reason="links and odd names are POSIX's")
def test_links_and_odd_names(tmp_path: Path) -> None:
    for name in ("x.txt", "x.jsonl"):
        (tmp_path / name).symlink_to(tmp_path / name)
        with pytest.raises(InputError, match="does not exist"):
            read_corpus([name])
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "loop").symlink_to(tmp_path / "docs", target_is_directory=True)
    with open(os.fsencode(tmp_path / "docs") + b"/caf\xe9.txt", "w") as file:  # noqa: PTH123 - a name that is no text
        file.write("x")
    assert read("docs") == {r"docs/caf\xe9.txt": "x"}


@pytest.mark.parametrize("name", ["a.html", "a.pdf", "a.parquet"])
def test_a_file_whose_reader_is_not_installed_is_no_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    for library in ("bs4", "pypdf", "pyarrow"):
        monkeypatch.setitem(sys.modules, library, None)
    write(tmp_path / "docs" / name, "<p>x</p>")
    with pytest.raises(MissingExtra, match=r"is not installed: pip install 'twofold\[inputs\]'"):
        read_corpus([f"docs/{name}"])
    write(tmp_path / "docs" / "a.md", "a")
    corpus = read_corpus(["docs"])
    assert len(list(corpus)) == 1
    assert corpus.skipped == {f".{name.partition('.')[2]} files (pip install 'twofold[inputs]')": 1}
