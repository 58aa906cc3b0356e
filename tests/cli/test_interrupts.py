"""Ctrl-C on the real program: the first ends it after the slice in hand, the second at once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
from typing import TYPE_CHECKING

import pytest

from twofold.cli.interrupts import stopping

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SLOW = """
    import sys, time
    from twofold import cli, fake

    class SlowBackend(fake.FakeBackend):
        def embed(self, documents, task, dimensions, **options):
            sys.stderr.write("a slice\\n")
            sys.stderr.flush()
            time.sleep({seconds})
            return super().embed(documents, task, dimensions, **options)

    fake.FakeBackend = SlowBackend
    import twofold.jobs.indexing as indexing, twofold.cli.embed as embed
    indexing.FIRST_TOKENS = indexing.MAX_TOKENS = 20
    embed.SLICE_TOKENS = 20
    sys.argv = ["twofold", *{arguments!r}]
    cli.main()
"""


def interrupted(arguments: list[str], *, seconds: float, times: int, after: int) -> tuple[int, str, str]:
    """Run a slow command, press Ctrl-C `times` once it has begun its slice number `after`."""
    script = textwrap.dedent(SLOW).format(seconds=seconds, arguments=arguments)
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        watchdog = threading.Timer(120, process.kill)
        watchdog.start()
        seen = [*read_until(process, "a slice", after)]
        process.send_signal(signal.SIGINT)
        if times == 2:
            seen += read_until(process, "again", 1)
            process.send_signal(signal.SIGINT)
        out, err = process.communicate()
        watchdog.cancel()
    return process.returncode, out, "".join(seen) + err


def read_until(process: subprocess.Popen[str], word: str, count: int) -> Iterator[str]:
    """The lines of standard error up to the one with the `count`th `word`."""
    assert process.stderr is not None
    while count and (line := process.stderr.readline()):
        count -= word in line
        yield line


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX's")
def test_indexing_stops_after_the_slice_and_another_run_continues(tmp_path: Path) -> None:
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text("".join(json.dumps({"id": str(i), "text": "five words in each text"}) + "\n" for i in range(40)))
    where = ["--store", f"chroma:{tmp_path / 'store'}", "--collection", "notes", "--model", "fake:"]
    arguments = ["index", str(corpus), *where, "--json"]

    code, out, err = interrupted(arguments, seconds=0.3, times=1, after=4)
    counts = json.loads(out)
    assert code == 130
    assert "stopping after the slice in hand" in err
    assert counts["added"] > 0
    assert counts["left"] > 0
    assert counts["added"] + counts["left"] == 40

    ran = subprocess.run(
        [sys.executable, "-c", "from twofold.cli import main; main()", *arguments],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    again = json.loads(ran.stdout)
    assert (again["added"], again["skipped"], again["left"]) == (counts["left"], counts["added"], 0)


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX's")
def test_embedding_stops_with_whole_lines() -> None:
    texts = ["five words in each text"] * 40
    code, out, err = interrupted(["embed", *texts, "--model", "fake:"], seconds=0.3, times=1, after=2)
    lines = [json.loads(line) for line in out.splitlines()]
    assert code == 130
    assert 0 < len(lines) < 40
    assert f"{len(lines)} of 40 texts were embedded" in err


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX's")
def test_the_second_time_it_ends_at_once() -> None:
    code, out, err = interrupted(["embed", "a text", "--model", "fake:"], seconds=60, times=2, after=1)
    assert (code, out) == (130, "")
    assert "Traceback" not in err


def test_the_handler_that_was_there_is_put_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    with stopping() as stop:
        assert not stop()
        signal.raise_signal(signal.SIGINT)
        assert stop()
        assert signal.getsignal(signal.SIGINT) == before
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) == before
