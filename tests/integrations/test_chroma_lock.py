from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from chroma_twofold import connect, open_collection
from chroma_twofold.connect import close
from twofold import StoreError
from twofold.jobs import open_store
from twofold.testing import FakeEmbedder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

OTHER = """
import sys
from chroma_twofold import connect
for line in sys.stdin:
    try:
        connect(line.strip()).close()
        print("opened", flush=True)
    except Exception as error:
        print(type(error).__name__, str(error).replace("\\n", " "), flush=True)
"""


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[Callable[[Path], str]]:
    """What another process says when it opens a folder."""
    with subprocess.Popen(
        [sys.executable, "-c", OTHER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        told, heard = process.stdin, process.stdout

        def open_it(folder: Path) -> str:
            told.write(f"{folder}\n")
            told.flush()
            return heard.readline().strip()

        yield open_it


def test_a_second_process_is_told_who_holds_the_folder_and_the_way_out(
    tmp_path: Path, elsewhere: Callable[[Path], str]
) -> None:
    client = connect(str(tmp_path))
    assert client is not None
    open_collection(client, "docs", FakeEmbedder())
    said = elsewhere(tmp_path)
    assert f"{str(tmp_path)!r} is open in another process (pid " in said
    assert ", since 20" in said
    assert f"chroma run --path {tmp_path}" in said
    assert "chroma:http://localhost:8000" in said
    close(client)
    assert elsewhere(tmp_path) == "opened"


def test_one_process_opens_a_folder_as_often_as_it_likes(tmp_path: Path, elsewhere: Callable[[Path], str]) -> None:
    embedder = FakeEmbedder()
    with open_store(f"chroma:{tmp_path}", "docs", embedder):
        with open_store(f"chroma:{tmp_path}", "docs", embedder, create=False) as second:
            assert second.count() == 0
        assert "is open in another process" in elsewhere(tmp_path)
    assert elsewhere(tmp_path) == "opened"


def test_arguments_are_in_no_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/bin/tool.py", "sk-secret"])
    client = connect(str(tmp_path))
    assert client is not None
    with client:
        note = (tmp_path / "twofold.holder").read_text()
    assert "tool.py" in note
    assert "secret" not in note


def test_a_folder_that_cannot_be_one_is_one_clear_line(tmp_path: Path, elsewhere: Callable[[Path], str]) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "chroma.sqlite3").write_text("junk" * 1000)
    for name, said in (("file", "it is a file, and a store is a folder"), ("broken", "file is not a database")):
        with pytest.raises(StoreError, match=said) as error:
            connect(str(tmp_path / name))
        assert "\n" not in str(error.value)
    assert elsewhere(tmp_path / "broken") != "opened"
