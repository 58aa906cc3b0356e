"""A backend for tests, without a model: deterministic and two-sided. It records its calls."""

from __future__ import annotations

import asyncio
import hashlib
import re
import time
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from twofold.documents import Document, too_long
from twofold.models import ModelCard, Task

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twofold.backend import Report
    from twofold.settings import Truncate
    from twofold.vectors import FloatArray

FAKE_CARD = ModelCard(
    "twofold/fake",
    width=64,
    max_tokens=512,
    tasks=(Task("query", "query: "), Task("document"), Task("topic", "topic: ")),
    query_task="query",
    document_task="document",
    matryoshka=(8, 16, 32, 64),
    licence="Apache-2.0",
)
CONTEXT = 0.25
KEPT_TEXTS = 10_000
"""Only the latest calls are kept, up to this number of texts, so that a large corpus does not fill the memory."""

KEPT_WORDS = 1 << 16

_SLOW = re.compile(r"(\d+(?:\.\d+)?)ms")


@dataclass(frozen=True)
class Call:
    """A recorded call of a fake backend."""

    texts: tuple[str, ...]
    task: str | None
    dimensions: int


class FakeBackend:
    """A two-sided backend that hashes words: deterministic and without weights. `calls` records its calls.

    Texts that share words get similar vectors. The same text gets different vectors as a query and as a document. The
    vector of a chunk depends on its document. A token is a word, including the words of the instruction. With a name
    like "5ms", it sleeps that long for each document, like a slow model.
    """

    provider = None
    weights_digest = "fake"

    def __init__(self, name: str = "") -> None:
        self.card = FAKE_CARD
        self.name = name
        self._seconds = float(slow[1]) / 1000 if (slow := _SLOW.fullmatch(name)) else 0.0
        self.calls: list[Call] = []

    def embed(
        self,
        documents: Sequence[Document],
        task: Task,
        dimensions: int,
        *,
        truncate: Truncate = "error",
        report: Report | None = None,
    ) -> FloatArray:
        """Hash the words of each span, with a share of the whole text and of the task."""
        rows = self._embed(documents, task, dimensions, truncate, report)
        time.sleep(self._seconds * len(documents))
        return rows

    async def aembed(
        self,
        documents: Sequence[Document],
        task: Task,
        dimensions: int,
        *,
        truncate: Truncate = "error",
        report: Report | None = None,
    ) -> FloatArray:
        """Async version of `embed`."""
        rows = self._embed(documents, task, dimensions, truncate, report)
        await asyncio.sleep(self._seconds * len(documents))
        return rows

    def count_tokens(self, texts: Sequence[str], task: Task) -> list[int]:
        """Count the words, including those of the instruction."""
        return [len((task.prefix + text).split()) for text in texts]

    def _embed(
        self, documents: Sequence[Document], task: Task, dimensions: int, truncate: Truncate, report: Report | None
    ) -> FloatArray:
        counts = self.count_tokens([document.text for document in documents], task)
        fitting = enumerate(zip(documents, counts, strict=True))
        documents = [self._fit(index, document, count, task, truncate) for index, (document, count) in fitting]
        self._note(Call(tuple(document.text for document in documents), task.name, dimensions))
        known = task in self.card.tasks  # the words of another instruction change the vectors, as they do in a model
        side = CONTEXT * _hashed(f"task {task.name}" if known else f"task {task.name} {task.prefix}")
        rows = []
        for document in documents:
            whole = _hashed(document.text)
            for start, end in document.spans:
                own = whole if document.is_whole else _hashed(document.text[start:end])
                rows.append(own + CONTEXT * whole + side)
        if report is not None:
            report(len(documents), sum(counts))
        return np.array(rows, np.float32).reshape(-1, self.card.width)

    def _note(self, call: Call) -> None:
        self.calls.append(call)
        while len(self.calls) > 1 and sum(len(one.texts) for one in self.calls) > KEPT_TEXTS:
            del self.calls[0]

    def _fit(self, index: int, document: Document, count: int, task: Task, truncate: Truncate) -> Document:
        """`document`, cut to the model's length. A document of several spans may be longer, as with real windows."""
        if count <= self.card.max_tokens or len(document.spans) > 1:
            return document
        if truncate == "error":
            raise too_long(f"text {index}", count, self.card.max_tokens, index=index)
        room = self.card.max_tokens - len(task.prefix.split())
        return Document.whole(" ".join(document.text.split()[:room]))


def _hashed(text: str) -> FloatArray:
    """The mean of a random vector for each word, the same on every machine."""
    words = re.findall(r"\w+", text.lower()) or [text]
    return np.asarray(np.mean([_word(word) for word in words], axis=0), np.float32)


@lru_cache(KEPT_WORDS)
def _word(word: str) -> FloatArray:
    seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:8], "little")
    return np.random.default_rng(seed).standard_normal(FAKE_CARD.width, dtype=np.float32)
