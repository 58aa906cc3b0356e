"""`twofold index --engine daft`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from cli.conftest import Run


def test_the_engine_writes_what_a_run_without_it_finds_unchanged(
    twofold: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("chromadb")
    monkeypatch.setenv("DO_NOT_TRACK", "1")
    corpus = tmp_path / "notes.jsonl"
    corpus.write_text('{"id": "a", "text": "nine ships"}\n{"id": "b", "text": "ten boats"}\n')
    flags = ("--store", f"chroma:{tmp_path / 'store'}", "--collection", "notes", "--model", "fake:")
    code, out, err = twofold("index", str(corpus), *flags, "--engine", "daft", "--at-once", "2")
    assert (code, out) == (0, "2 added, 0 updated, 0 unchanged\n"), err
    code, out, _ = twofold("index", str(corpus), *flags)
    assert (code, out) == (0, "0 added, 0 updated, 2 unchanged\n")


@pytest.mark.parametrize("flags", [("--address", "auto"), ("--at-once", "2")])
def test_an_engines_flags_need_an_engine(twofold: Run, tmp_path: Path, flags: tuple[str, str]) -> None:
    where = ("--store", f"chroma:{tmp_path / 'store'}", "--collection", "notes", "--model", "fake:")
    code, _, err = twofold("index", str(tmp_path), *where, *flags)
    assert code == 2
    assert "--address and --at-once are options of an engine: add --engine daft" in err
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    ("address", "exit_code", "said"),
    [
        ("nowhere", 2, "address='nowhere': expected 'auto' or an address like"),
        ("127.0.0.1:9", 1, "no Ray cluster at '127.0.0.1:9'"),
    ],
)
def test_a_cluster_that_is_not_there_is_said_before_a_store_is_made(
    twofold: Run, tmp_path: Path, address: str, exit_code: int, said: str
) -> None:
    pytest.importorskip("ray")
    where = ("--store", f"chroma:{tmp_path / 'store'}", "--collection", "notes", "--model", "fake:")
    code, _, err = twofold("index", str(tmp_path), *where, "--engine", "daft", "--address", address)
    assert code == exit_code
    assert said in err
    assert not (tmp_path / "store").exists()
