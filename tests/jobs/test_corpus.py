from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from twofold.errors import InputError
from twofold.jobs import Item, read_corpus

if TYPE_CHECKING:
    from pathlib import Path


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_a_folder_is_read_in_order_with_ids_that_start_at_its_own_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    docs = tmp_path / "docs"
    write(docs / "b.md", "# Zwei\r\nÄ")
    write(docs / "a" / "one.txt", "\ufeffone")
    write(docs / "a" / "blank.txt", " \n")
    write(docs / ".git" / "x.txt", "hidden")
    write(docs / "image.png", b"\x89PNG")
    expected = [Item("docs/a/one.txt", "one"), Item("docs/b.md", "# Zwei\r\nÄ")]
    assert list(read_corpus([docs])) == expected
    monkeypatch.chdir(docs)
    assert list(read_corpus(["."])) == expected


def test_a_hidden_parent_does_not_hide_a_folder_that_was_named(tmp_path: Path) -> None:
    write(tmp_path / ".notes" / "x.md", "x")
    assert [item.id for item in read_corpus([tmp_path / ".notes"])] == [".notes/x.md"]


def test_a_file_that_was_named_is_read_whatever_its_name_is(tmp_path: Path) -> None:
    assert list(read_corpus([write(tmp_path / "LICENSE", "free")])) == [Item("LICENSE", "free")]


def test_jsonl_lines_are_documents_with_their_fields(tmp_path: Path) -> None:
    first = '{"id": "a", "text": "x", "n": 1, "ok": true, "none": null, "tags": ["é"]}'
    file = write(tmp_path / "c.jsonl", first + '\n\n{"text": "y"}\n{"id": 7, "text": "z"}')
    assert list(read_corpus([file])) == [
        Item("a", "x", {"n": 1, "ok": True, "tags": '["é"]'}),
        Item("c.jsonl:3", "y"),
        Item("7", "z"),
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "is not JSON"),
        ('{"text": "x", "n": NaN}', "NaN is not a JSON number"),
        ("[1]", 'is not an object with a string "text"'),
        ('{"text": 1}', 'is not an object with a string "text"'),
        ('{"text": "x", "id": ""}', "\"id\" is ''"),
        ('{"text": "x", "id": true}', '"id" is True'),
        (b"\xff", "is not UTF-8: byte 0xff at offset 0"),
    ],
)
def test_a_bad_line_is_named_by_file_and_line(tmp_path: Path, line: str | bytes, message: str) -> None:
    raw = line.encode() if isinstance(line, str) else line
    file = write(tmp_path / "bad.jsonl", b'{"text": "fine"}\n' + raw + b"\n")
    with pytest.raises(InputError, match=r"bad\.jsonl, line 2") as error:
        list(read_corpus([file]))
    assert message in str(error.value)


def test_a_file_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    file = write(tmp_path / "latin.txt", "né".encode("latin-1"))
    with pytest.raises(InputError, match=r"latin\.txt is not UTF-8: byte 0xe9 at offset 1"):
        list(read_corpus([file]))


def test_what_is_not_there_or_holds_nothing_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere is not there"):
        list(read_corpus([tmp_path / "nowhere"]))
    with pytest.raises(InputError, match="has no documents in it"):
        list(read_corpus([tmp_path]))


def test_a_file_that_can_not_be_opened_is_named(tmp_path: Path) -> None:
    for name in ("x.txt", "x.jsonl"):
        (tmp_path / name).symlink_to(tmp_path / name)
        with pytest.raises(InputError, match="is not there"):
            list(read_corpus([tmp_path / name]))
