"""`Ahead`: an embedder's calls that an engine carries out, begun before they are asked for."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TYPE_CHECKING, Self, TypeAlias

from twofold.errors import EngineError, InputError, TwofoldError
from twofold.jobs.calls import Calls
from twofold.jobs.distributed.together import vectors_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from twofold.documents import Document, Span
    from twofold.embedder import Embedder
    from twofold.jobs.distributed.answers import Answer
    from twofold.vectors import FloatArray

SECONDS = 2.0
"""How long a part is meant to take."""

TAIL = 0.25
"""Of a part, what is still to come when the next one begins, so that nobody waits in between."""

FIRST_CHARACTERS, MOST_CHARACTERS = 1 << 16, 1 << 25
MOST_DOCUMENTS = 1 << 15
TRIES = 3
"""How often a document may be part of a query that failed as a whole."""

PATIENCE = 5.0
"""Seconds for a query to end that nobody waits for any more."""

Key: TypeAlias = "tuple[str, tuple[Span, ...]]"
Map: TypeAlias = "Callable[[Sequence[Document]], Iterator[list[Answer]]]"
"""Runs one query: the answers of some documents, in their order, as they arrive."""


@dataclass(slots=True)
class _Wanted:
    """A document that was, or will be, asked for, `times` times yet; `round` is that of the latest announcement."""

    document: Document
    round: int
    times: int = 0
    tries: int = 0
    answer: Answer | None = None


class _Part:
    """One query, on a thread of its own, which puts what comes of it into a queue."""

    def __init__(self, run_query: Map, wanted: list[_Wanted], put: SimpleQueue[_News]) -> None:
        self.wanted, self.started, self.given = wanted, time.monotonic(), 0
        self._put, self._over = put, threading.Event()
        answers = run_query([one.document for one in wanted])
        self._thread = threading.Thread(target=self._run, args=(answers,), name="twofold-engine", daemon=True)
        self._thread.start()

    @property
    def characters(self) -> int:
        return sum(len(one.document.text) for one in self.wanted)

    @property
    def left(self) -> int:
        return len(self.wanted) - self.given

    def close(self) -> None:
        self._over.set()
        self._thread.join(PATIENCE)

    def _run(self, answers: Iterator[list[Answer]]) -> None:
        try:
            for some in answers:
                self._put.put((self, some))
                if self._over.is_set():
                    return
            self._put.put((self, None))
        except Exception as error:  # noqa: BLE001 - it is raised where the answers are waited for
            self._put.put((self, error))


_News: TypeAlias = "tuple[_Part, list[Answer] | Exception | None]"


class Ahead(Calls):
    """`Calls` whose `embed_late` finds most of its answers there, or under way.

    What was announced is mapped part by part, each as large as the engine does in two seconds; the next begins towards
    the end of the one before, so that little is embedded and not written yet when the driver is killed. A query that
    fails as a whole, since a worker died, is begun again with what of it has no answer.
    """

    def __init__(self, embedder: Embedder, run_query: Map, batches: int) -> None:
        super().__init__(embedder)
        self._run_query, self._batches = run_query, batches
        self._wanted: dict[Key, _Wanted] = {}
        self._queue: deque[_Wanted] = deque()
        self._queued = 0
        self._parts: list[_Part] = []
        self._news: SimpleQueue[_News] = SimpleQueue()
        self._size, self._round, self._ended = FIRST_CHARACTERS, 0, 0.0

    def expect(self, documents: Iterable[Document]) -> None:
        """Begin with `documents`; they will be asked for after all those that were announced before."""
        self._round += 1
        for document in documents:
            self._note(document).times += 1
        self._submit()

    @property
    def hungry(self) -> bool:
        """Whether more should be announced for the engine to have enough to do."""
        return self._queued < self._size

    @property
    def most_characters(self) -> float:
        """Those of a batch: what waits for the rest of a slice is not written yet."""
        return self._size / self._batches

    def embed_late(self, documents: Iterable[Document]) -> list[FloatArray]:
        """See `Embedder.embed_late`, whose errors these are.

        Raises:
            EngineError: the engine failed, again and again.
        """
        wanted = [self._note(document, now=True) for document in documents]
        self._submit()
        while any(one.answer is None for one in wanted):
            self._take()
        try:
            vectors = vectors_of([one.answer for one in wanted])
        except InputError as error:
            if error.index is not None:
                self._drop(wanted[error.index : error.index + 1])
            raise  # the others will be asked for again
        except TwofoldError:
            self._drop(wanted)
            raise
        self._drop(wanted)
        return vectors

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Wait for nothing any more."""
        for part in self._parts:
            part.close()

    # -- inside -------------------------------------------------------------------------------------------------------

    def _note(self, document: Document, *, now: bool = False) -> _Wanted:
        key = document.text, document.spans
        wanted = self._wanted.get(key)
        if wanted is None:
            wanted = self._wanted[key] = _Wanted(document, self._round)
            if now:
                self._begin([wanted])
            else:
                self._queue.append(wanted)
                self._queued += len(document.text)
        if not now:
            wanted.round = self._round
        return wanted

    def _submit(self) -> None:
        """Begin the next part where the one before is nearly done."""
        while self._queue and all(part.left <= TAIL * len(part.wanted) for part in self._parts):
            some: list[_Wanted] = []
            characters = 0
            while self._queue and len(some) < MOST_DOCUMENTS and (not some or characters < self._size):
                some.append(self._queue.popleft())
                characters += len(some[-1].document.text)
            self._queued -= characters
            self._begin(some)

    def _begin(self, some: list[_Wanted]) -> None:
        self._parts.append(_Part(self._run_query, some, self._news))

    def _take(self) -> None:
        """Wait for the next answers, or for the end of a part."""
        part, news = self._news.get()
        if isinstance(news, list):
            for one, answer in zip(part.wanted[part.given :], news, strict=False):
                one.answer = answer
            part.given += len(news)
            self._submit()
            return
        self._parts.remove(part)
        if news is None:
            self._learn(part)
        else:
            self._again(part, news)
        self._submit()

    def _learn(self, part: _Part) -> None:
        """Make the next part one of about `SECONDS`."""
        now = time.monotonic()
        seconds, self._ended = now - max(part.started, self._ended), now
        fitting = int(part.characters * SECONDS / max(seconds, 1e-3))
        self._size = max(1, min(fitting, 4 * self._size, MOST_CHARACTERS))

    def _again(self, part: _Part, error: Exception) -> None:
        """Begin what has no answer once more, before all else."""
        lacking = [one for one in part.wanted if one.answer is None]
        for one in lacking:
            one.tries += 1
        if isinstance(error, TwofoldError) or any(one.tries >= TRIES for one in lacking):
            said = f"{type(error).__name__}: {error}".strip().splitlines()
            raise EngineError(f"the engine failed {TRIES} times on the same documents; at last: {said[-1]}") from error
        self._queue.extendleft(reversed(lacking))
        self._queued += sum(len(one.document.text) for one in lacking)

    def _drop(self, wanted: Sequence[_Wanted]) -> None:
        """Forget what nobody will ask for: these, where they were for the last time, and those of earlier rounds."""
        for one in wanted:
            one.times -= 1
            if one.times <= 0:
                self._wanted.pop((one.document.text, one.document.spans), None)
        oldest = min((one.round for one in wanted), default=0)
        for key in [key for key, one in self._wanted.items() if one.round < oldest]:
            del self._wanted[key]
