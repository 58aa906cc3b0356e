"""The command line in this process: its exit code, standard output and standard error."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING, TypeAlias

import pytest

from twofold.cli import main

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Run: TypeAlias = Callable[..., tuple[int, str, str]]


@pytest.fixture
def twofold(
    capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Run:
    """Run the command line on some arguments, in a folder of its own, without variables that set options."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("TWOFOLD_MODEL", raising=False)
    monkeypatch.chdir(tmp_path_factory.mktemp("here"))

    def run(*arguments: str, stdin: str | bytes = "") -> tuple[int, str, str]:
        raw = stdin.encode() if isinstance(stdin, str) else stdin
        monkeypatch.setattr(sys, "argv", ["twofold", *arguments])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(raw), "utf-8"))
        with pytest.raises(SystemExit) as stop:
            main()
        sys.stdout.flush()
        out, err = capfdbinary.readouterr()
        code = stop.value.code
        assert isinstance(code, int)
        return code, out.decode("utf-8", "surrogateescape"), err.decode()

    return run


@pytest.fixture
def notes(twofold: Run, tmp_path: Path) -> tuple[str, ...]:
    """The flags of a collection of four small documents, written with `fake:` in 32 dimensions."""
    pytest.importorskip("chromadb")
    corpus = tmp_path / "notes.jsonl"
    corpus.write_text(
        '{"id": "ships", "text": "nine ships left the harbour", "topic": "sea", "n": 9}\n'
        '{"id": "bread", "text": "flour, water, salt and time make bread", "topic": "food", "n": 4}\n'
        '{"id": "boats", "text": "ten boats came back to the harbour", "topic": "sea", "n": 10}\n'
        '{"id": "soup", "text": "water and salt make a thin soup", "topic": "food", "n": 2, "hot": true}\n'
    )
    store = ("--store", f"chroma:{tmp_path / 'store'}")
    code, _, err = twofold(
        "index", str(corpus), *store, "--collection", "notes", "--model", "fake:", "--dimensions", "32"
    )
    assert code == 0, err
    return store
