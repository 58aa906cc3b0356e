"""Ctrl-C on the real program: the first ends it soon, after the current slice if possible; the second at once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from twofold.cli.interrupts import stop_on_interrupt
from twofold.fake import FakeBackend
from twofold.stores import connect_store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cli.conftest import Run

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name == "nt", reason="signals are POSIX's")]

SLOW = """
    import sys, time
    from twofold import cli, fake

    class SlowBackend(fake.FakeBackend):
        def embed(self, documents, task, dimensions, **options):
            sys.stderr.write("a slice\\n")
            sys.stderr.flush()
            {wait}
            return super().embed(documents, task, dimensions, **options)

    fake.FakeBackend = SlowBackend
    import twofold.jobs.long as long, twofold.jobs.chunking as chunking
    long.FIRST_TOKENS = long.MAX_TOKENS = 20
    chunking.SECTION = {section}
    sys.argv = ["twofold", *{arguments!r}]
    cli.main()
"""
SECTION = 2048
"""Characters of a section: a short book then has several."""
DEAF = "import hashlib; hashlib.pbkdf2_hmac('sha256', b'', b'', 2**31 - 1)"
"""Many minutes in a library that neither looks at signals nor holds Python's lock, as a large product of matrices."""


@contextmanager
def started(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A Python that Ctrl-C ends, whatever the shell of these tests ignores."""
    with subprocess.Popen(
        [sys.executable, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - no thread of ours is in the child
    ) as process:
        watchdog = threading.Timer(120, process.kill)
        watchdog.start()
        try:
            yield process
        finally:
            watchdog.cancel()


def interrupted(arguments: list[str], *, wait: str, times: int, after: int) -> tuple[int, str, str]:
    """Run a slow command, press Ctrl-C `times` once it has begun its slice number `after`."""
    with started("-c", textwrap.dedent(SLOW).format(wait=wait, arguments=arguments, section=SECTION)) as process:
        seen = [*read_until(process, "a slice", after)]
        process.send_signal(signal.SIGINT)
        if times == 2:
            seen += read_until(process, "again", 1)
            process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    return process.returncode, out, "".join(seen) + err


def read_until(process: subprocess.Popen[str], word: str, count: int) -> Iterator[str]:
    """The lines of standard error up to the one with the `count`th `word`."""
    assert process.stderr is not None
    while count and (line := process.stderr.readline()):
        count -= word in line
        yield line


def test_indexing_stops_after_the_slice_and_another_run_continues(twofold: Run, tmp_path: Path) -> None:
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text("".join(json.dumps({"id": str(i), "text": "five words in each text"}) + "\n" for i in range(40)))
    where = ["--store", f"chroma:{tmp_path / 'store'}", "--collection", "notes", "--model", "fake:"]
    arguments = ["index", str(corpus), *where, "--json"]

    code, out, err = interrupted(arguments, wait="time.sleep(0.2)", times=1, after=4)
    counts = json.loads(out)
    assert code == 130
    assert "stopping after the current slice" in err
    assert 0 < counts["added"] < 40

    again = json.loads(twofold(*arguments)[1])
    assert (again["added"], again["skipped"]) == (40 - counts["added"], counts["added"])


def test_embedding_stops_with_whole_lines(twofold: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    slices, whole = iter(range(20)), FakeBackend.embed

    def embed(self: FakeBackend, *arguments: Any, **options: Any) -> Any:
        if next(slices) == 2:
            signal.raise_signal(signal.SIGINT)
        return whole(self, *arguments, **options)

    monkeypatch.setattr(FakeBackend, "embed", embed)
    monkeypatch.setattr("twofold.cli.embed.SLICE_TOKENS", 20)
    monkeypatch.setattr("twofold.cli.interrupts.leave_soon", lambda: None)  # it would end the tests
    texts = ["five words in each text"] * 40
    code, out, err = twofold("embed", *texts, "--model", "fake:")
    lines = [json.loads(line) for line in out.splitlines()]
    assert code == 130
    assert len(lines) == 12  # the current slice is the third, of four texts each
    assert f"{len(lines)} of 40 texts were embedded" in err


@pytest.mark.parametrize("wait", ["time.sleep(600)", DEAF])
def test_a_slice_that_takes_long_is_not_waited_for(wait: str) -> None:
    code, out, err = interrupted(["embed", "a text", "--model", "fake:"], wait=wait, times=1, after=1)
    assert (code, out) == (130, "")
    assert "Traceback" not in err


def test_a_section_that_takes_long_is_not_waited_for_and_those_before_it_stay(
    twofold: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("twofold.jobs.chunking.SECTION", SECTION)
    corpus = tmp_path / "book.txt"
    corpus.write_text("\n\n".join(f"page {number} has five words" for number in range(400)))
    where = ["--store", f"chroma:{tmp_path / 'store'}", "--collection", "notes", "--model", "fake:"]
    arguments = ["index", str(corpus), *where, "--chunk-tokens", "20", "--late-chunking", "--json"]
    later = "len(documents[0].text) > 1_000 and documents[0].text[:7] != 'page 0 '"
    wait = f"import hashlib; {later} and {DEAF.partition('; ')[2]}"
    code, _, err = interrupted(arguments, wait=wait, times=1, after=4)
    assert (code, "Traceback" in err) == (130, False), err
    store = connect_store(where[1], "notes")
    assert store.find()
    there = store.count()
    store.close()
    counts = json.loads(twofold(*arguments)[1])
    assert 0 < there < counts["rows"]
    assert (counts["updated"], counts["added"]) == (1, 0)


def test_the_second_time_it_ends_at_once() -> None:
    code, out, err = interrupted(["embed", "a text", "--model", "fake:"], wait="time.sleep(600)", times=2, after=1)
    assert (code, out) == (130, "")
    assert "Traceback" not in err


@pytest.mark.parametrize("module", ["twofold.cli.interrupts", "typer", "numpy._core", "chromadb.config"])
def test_during_imports_it_ends_without_a_traceback(module: str, tmp_path: Path) -> None:
    flags = ("--store", f"chroma:{tmp_path}", "--collection", "notes")
    with started("-X", "importtime", "-m", "twofold", "search", "x", *flags) as process:
        assert any(module in line for line in read_until(process, f" {module}\n", 1))
        process.send_signal(signal.SIGINT)
        _, err = process.communicate()
    assert process.returncode == 130
    assert "Traceback" not in err
    assert "KeyboardInterrupt" not in err


def test_where_it_is_ignored_it_stays_so() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # a job in the background of a shell
    try:
        with stop_on_interrupt() as stop:
            signal.raise_signal(signal.SIGINT)
            assert not stop()
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_the_handler_that_was_there_is_put_back() -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever the shell of these tests ignores
    try:
        with stop_on_interrupt() as stop:
            assert not stop()
            signal.raise_signal(signal.SIGINT)
            assert stop()
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
