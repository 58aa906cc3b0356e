"""Runs an embedder's calls on an engine and starts them before their results are needed."""

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
"""How long a part should take."""

TAIL = 0.25
"""The next part starts when this share of the running one is left, so that the engine is never idle."""

FIRST_CHARACTERS, MOST_CHARACTERS = 1 << 16, 1 << 25
MOST_DOCUMENTS = 1 << 15
TRIES = 3
"""How many failed queries a document may be part of."""

PATIENCE = 5.0
"""Seconds to wait for an abandoned query to end."""

Key: TypeAlias = "tuple[str, tuple[Span, ...]]"
Map: TypeAlias = "Callable[[Sequence[Document]], Iterator[list[Answer]]]"
"""Runs one query: the answers of some documents, in their order, as they arrive."""


@dataclass(slots=True)
class _Wanted:
    """A document to embed. It will be requested `times` more times; `round` is the number of its last announcement."""

    document: Document
    round: int
    times: int = 0
    tries: int = 0
    answer: Answer | None = None


class _Part:
    """One query, run on its own thread, which puts its answers into a queue."""

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
        except Exception as error:  # noqa: BLE001 - the thread that waits for the answers raises it
            self._put.put((self, error))


_News: TypeAlias = "tuple[_Part, list[Answer] | Exception | None]"


class Ahead(Calls):
    """`Calls` whose `embed_late` usually returns answers that were computed in advance or are being computed.

    Announced documents are mapped in parts that take about two seconds each. The next part starts shortly before the
    running one ends, so only a few embedded documents are unwritten if the driver is killed. If a whole query fails
    because a worker died, its unanswered documents are submitted again.
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
        """Announce `documents`, which will be requested after all that were announced before, and start on them."""
        self._round += 1
        for document in documents:
            self._note(document).times += 1
        self._submit()

    @property
    def wants_more(self) -> bool:
        """Whether the engine needs more announced documents to stay busy."""
        return self._queued < self._size

    @property
    def most_characters(self) -> float:
        """The characters of one batch. A larger slice would delay writing vectors that are ready."""
        return self._size / self._batches

    def embed_late(self, documents: Iterable[Document]) -> list[FloatArray]:
        """Like `Embedder.embed_late`, including its errors.

        Raises:
            EngineError: the engine failed repeatedly.
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
            raise  # the other documents will be requested again
        except TwofoldError:
            self._drop(wanted)
            raise
        self._drop(wanted)
        return vectors

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
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
        """Start the next part if the running ones are nearly done."""
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
        """Wait for the next answers or the end of a part."""
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
        """Size the next part to take about `SECONDS`."""
        now = time.monotonic()
        seconds, self._ended = now - max(part.started, self._ended), now
        fitting = int(part.characters * SECONDS / max(seconds, 1e-3))
        self._size = max(1, min(fitting, 4 * self._size, MOST_CHARACTERS))

    def _again(self, part: _Part, error: Exception) -> None:
        """Queue the unanswered documents of a failed part first."""
        lacking = [one for one in part.wanted if one.answer is None]
        for one in lacking:
            one.tries += 1
        if isinstance(error, TwofoldError) or any(one.tries >= TRIES for one in lacking):
            said = f"{type(error).__name__}: {error}".strip().splitlines()
            raise EngineError(f"the engine failed {TRIES} times on the same documents; last: {said[-1]}") from error
        self._queue.extendleft(reversed(lacking))
        self._queued += sum(len(one.document.text) for one in lacking)

    def _drop(self, wanted: Sequence[_Wanted]) -> None:
        """Forget these documents if this was their last request, and all documents of earlier rounds."""
        for one in wanted:
            one.times -= 1
            if one.times <= 0:
                self._wanted.pop((one.document.text, one.document.spans), None)
        oldest = min((one.round for one in wanted), default=0)
        for key in [key for key, one in self._wanted.items() if one.round < oldest]:
            del self._wanted[key]
