"""Jobs in processes of their own, forked from one that has imported everything, so that many of them are cheap."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from twofold import Embedder
from twofold.errors import StoreError
from twofold.jobs import Item, batch, index, long, open_store, search
from twofold.jobs.comparing import by_document
from twofold.stores.store import scan_rows
from twofold.testing import FakeEmbedder

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from multiprocessing.connection import Connection

    from twofold.stores.rows import Held

SENTENCE = (
    "Keeper{0} counts{0} ships{0} of{1}. Fog{0} comes{0} in{0} at{0} nine{1}. Nobody{0} answers{0} radio{0} in{1}."
)
"""No two chunks are alike: of many equal vectors HNSW makes islands that searches do not leave, whoever writes them."""

CHUNK_TOKENS = 8

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["support.processes", "chroma_twofold", "chromadb.api.rust", "semantic_text_splitter"])


@dataclass(frozen=True, slots=True)
class Corpus:
    """Documents of one to six sentences; every third one changes from version to version, in its length too."""

    documents: int
    version: int = 0

    def items(self) -> list[Item]:
        """The documents."""
        return [self._item(number) for number in range(self.documents)]

    def _item(self, number: int) -> Item:
        version = self.version if number % 3 == self.version % 3 else 0
        sentences = 1 + (number + 5 * version) % 6
        return Item(f"d{number}", "\n\n".join(SENTENCE.format(f"{number}x{n}", version) for n in range(sentences)))


class Child:
    """One job: its process, and what came of it."""

    def __init__(self, work: Callable[..., Any], *arguments: Any) -> None:
        """Start it."""
        self._there, here = _context.Pipe(duplex=False)
        self._process = _context.Process(target=_run, args=(here, work, arguments), daemon=True)
        self._process.start()
        here.close()

    def started(self) -> None:
        """Wait until it has opened its store, or was refused it."""
        assert self._there.poll(120), "a child does not start"

    def kill(self) -> None:
        """Kill it, if it has not ended, and wait until it is gone. Another thread may wait for its result."""
        assert self._process.pid is not None
        with suppress(ProcessLookupError):
            os.kill(self._process.pid, signal.SIGKILL)
            while True:
                os.kill(self._process.pid, 0)
                time.sleep(0.005)

    def crashed(self) -> bool:
        """Whether a signal ended it, as a fault in native code does, and no exception of Python's."""
        return (self._process.exitcode or 0) < 0

    def result(self) -> Any:
        """What it gave, or the `StoreError` that it was refused by; None where it died."""
        try:
            said = self._there.recv()
            while said == "opened":
                said = self._there.recv()
        except EOFError:
            said = None
        self._process.join(60)
        return said


def _run(here: Connection, work: Callable[..., Any], arguments: Sequence[Any]) -> None:
    try:
        here.send(work(lambda: here.send("opened"), *arguments))
    except StoreError as error:
        here.send(error)


def indexing(opened: Callable[[], None], address: str, name: str, corpus: Corpus, slice_tokens: int = 200) -> Any:
    """Index a corpus in small slices."""
    long.FIRST_TOKENS = long.MAX_TOKENS = slice_tokens
    embedder = FakeEmbedder()
    with open_store(address, name, embedder) as store:
        opened()
        return index(embedder, store, corpus.items(), chunk_tokens=CHUNK_TOKENS)


def batching(_: Callable[[], None], model: str, url: str, cache: str) -> int:
    """Embed 250 texts through a batch API, 60 lines a batch; returns how many came."""
    from twofold.hosted import batching as hosted
    from twofold.jobs.batches import run

    run.FIRST_LOOK, run.LONGEST_LOOK, run.SETTLED, hosted.FIRST_WAIT = 0.01, 0.02, 0.05, 0.01
    whole = hosted.Batches.__init__

    def init(self: hosted.Batches, *given: Any) -> None:
        whole(self, *given)
        self.most_lines = 60

    hosted.Batches.__init__ = init  # type: ignore[method-assign, assignment]
    embedder = Embedder(model, base_url=url, api_key="k-canary-key", dimensions=8, cache=cache)
    return batch(embedder, [f"text {number}" for number in range(250)]).done


def reading(opened: Callable[[], None], address: str) -> dict[str, list[Held]]:
    """Every row of the collection `docs`, by its document."""
    with open_store(address, "docs", FakeEmbedder()) as store:
        opened()
        return dict(by_document(scan_rows(store)))


def searching(opened: Callable[[], None], address: str, name: str) -> Any:
    """Ask a collection a few questions."""
    embedder = FakeEmbedder()
    with open_store(address, name, embedder, create=False) as store:
        opened()
        return [len(search(embedder, store, f"lighthouse {number}", limit=3)) for number in range(20)]
