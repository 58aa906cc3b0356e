"""`twofold index --batch`: left with the provider, interrupted, gone on with."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from support.batchserver import BatchServer

if TYPE_CHECKING:
    from pathlib import Path

    from cli.conftest import Run

pytest.importorskip("chromadb")
QUICK = """
import sys
from twofold import cli
from twofold.jobs.batches import run as batch_run
batch_run.FIRST_LOOK = batch_run.LONGEST_LOOK = 0.05
sys.argv = ["twofold", *sys.argv[1:]]
cli.main()
"""


@pytest.fixture
def arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """An index run over 30 files, without the server's address."""
    monkeypatch.setenv("A_KEY", "k-canary-key")
    monkeypatch.setattr("twofold.jobs.batches.run.FIRST_LOOK", 0.05)
    monkeypatch.setattr("twofold.jobs.batches.run.LONGEST_LOOK", 0.05)
    (tmp_path / "docs").mkdir()
    for number in range(30):
        (tmp_path / "docs" / f"{number}.txt").write_text(f"text {number} of thirty")
    store = ["--store", f"chroma:{tmp_path / 'store'}", "--collection", "notes"]
    model = ["--model", "openai:text-embedding-3-small", "--dimensions", "512", "--api-key-env", "A_KEY"]
    return ["index", str(tmp_path / "docs"), *store, *model, "--cache", str(tmp_path / "cache")]


def test_a_run_by_batches(twofold: Run, arguments: list[str]) -> None:
    with BatchServer() as server:
        server.steps = 0
        code, out, err = twofold(*arguments, "--base-url", server.url, "--batch")
        assert code == 0, err
        assert "30 added" in out
        assert "30 texts embedded in 1 batch, 0 were already in the cache" in err
        assert not [text for text in server.single if "thirty" in text]
        code, out, _ = twofold(*arguments, "--base-url", server.url, "--batch")
        assert (code, len(server.jobs)) == (0, 1)
        assert "30 unchanged" in out


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX's")
def test_ctrl_c_leaves_the_batch_with_the_provider(twofold: Run, arguments: list[str]) -> None:
    with BatchServer() as server:
        server.steps = 10**9
        command = [sys.executable, "-c", QUICK, *arguments, "--base-url", server.url, "--batch"]
        with subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - no thread is in the child
        ) as process:
            until = time.monotonic() + 100
            while not (server.jobs and server.jobs["batch_0"].looks) and time.monotonic() < until:
                time.sleep(0.05)
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=60)
        assert process.returncode == 130, err
        assert "30 are being embedded; submitted texts stay with the provider: run the same command again" in err
        server.jobs["batch_0"].steps = 0
        code, out, err = twofold(*arguments, "--base-url", server.url, "--batch")
        assert code == 0, err
        assert "30 added" in out
        assert len(server.jobs) == 1


def test_what_cannot_be_is_said_before_anything_is_made(twofold: Run, arguments: list[str], tmp_path: Path) -> None:
    without = arguments[:-2]
    for given, said in (
        ([*without, "--batch"], "--batch needs --cache"),
        ([*arguments, "--batch", "--late-chunking", "--chunk-tokens", "20"], "do not support late chunking"),
        ([*arguments, "--batch", "--model", "jina:jina-embeddings-v3"], "no batch API is supported for this model"),
    ):
        code, _, err = twofold(*given)
        assert (code, said in err) == (2, True), err
    assert not (tmp_path / "store").exists()


def test_a_dry_run_says_both_prices(twofold: Run, arguments: list[str]) -> None:
    code, out, err = twofold(*arguments, "--dry-run")
    assert code == 0, err
    assert "at $0.02 a million tokens" in out
    assert "with the provider's batch API (--batch), within a day" in out
    code, _, err = twofold(*arguments, "--batch", "--budget", "0.000001")
    assert code != 0
    assert "the budget is" in err
