"""The command line in this process: its exit code, standard output and standard error."""

from __future__ import annotations

import io
import os
import shutil
import sys
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, TypeAlias

import pytest

from support.command_line import exit_code

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Run: TypeAlias = Callable[..., tuple[int, str, str]]


@pytest.fixture
def twofold(
    capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Run:
    """Run the command line in its own folder, without variables that set options.

    `encoding` is that of the console: by default UTF-8.
    """
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("TWOFOLD_MODEL", raising=False)
    monkeypatch.chdir(tmp_path_factory.mktemp("here"))

    def run(*arguments: str, stdin: str | bytes = "", encoding: str | None = None) -> tuple[int, str, str]:
        raw = stdin.encode() if isinstance(stdin, str) else stdin
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(raw), "utf-8"))
            if encoding is not None:
                for name, number in (("stdout", 1), ("stderr", 2)):
                    patch.setattr(sys, name, os.fdopen(os.dup(number), "w", encoding=encoding))
            code = exit_code(arguments)
            for stream in (sys.stdout, sys.stderr):
                stream.close() if encoding is not None else stream.flush()
        out, err = capfdbinary.readouterr()
        return code, out.decode("utf-8", "surrogateescape"), err.decode()

    return run


@pytest.fixture(scope="session")
def indexed_notes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the collection `notes`: four small documents, written with `fake:` in 32 dimensions."""
    pytest.importorskip("chromadb")
    folder = tmp_path_factory.mktemp("notes")
    corpus = folder / "notes.jsonl"
    corpus.write_text(
        '{"id": "ships", "text": "nine ships left the harbour", "topic": "sea", "n": 9}\n'
        '{"id": "bread", "text": "flour, water, salt and time make bread", "topic": "food", "n": 4}\n'
        '{"id": "boats", "text": "ten boats came back to the harbour", "topic": "sea", "n": 10}\n'
        '{"id": "soup", "text": "water and salt make a thin soup", "topic": "food", "n": 2, "hot": true}\n'
    )
    store = ("--store", f"chroma:{folder / 'store'}", "--collection", "notes")
    with redirect_stdout(io.StringIO()):
        assert exit_code(["index", str(corpus), *store, "--model", "fake:", "--dimensions", "32"]) == 0
    return folder / "store"


@pytest.fixture
def notes(twofold: Run, indexed_notes: Path, tmp_path: Path) -> tuple[str, ...]:
    """The flags of a store of its own with that collection."""
    del twofold  # the folder and the variables of the commands
    shutil.copytree(indexed_notes, tmp_path / "store")
    return ("--store", f"chroma:{tmp_path / 'store'}")
