"""Vectors that are there already, for stores that only know how to have theirs computed.

LangChain's stores take texts and ask their embeddings for the vectors; most have no method for ready ones. Where a
store's embeddings are Twofold's, these give out the ready vectors while the store's own method runs. Nothing of the
store is copied or changed, and no other thread or task sees it.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, TypeAlias

from twofold import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Waiting: TypeAlias = "dict[str, deque[list[float]]]"

_WAITING: ContextVar[Waiting | None] = ContextVar("twofold_ready", default=None)


@contextmanager
def ready(texts: Sequence[str], vectors: Sequence[list[float]]) -> Iterator[None]:
    """Inside, who asks for the vectors of these texts gets `vectors`; those of equal texts in their order.

    Raises:
        StoreError: at the end, where some were not asked for, so that nobody knows what the store has written.
    """
    waiting: Waiting = defaultdict(deque)
    for text, vector in zip(texts, vectors, strict=True):
        waiting[text].append(vector)
    token = _WAITING.set(waiting)
    try:
        yield
    finally:
        _WAITING.reset(token)
    if left := sum(map(len, waiting.values())):
        raise StoreError(
            f"it did not ask its embeddings for {left} of {len(texts)} vectors, and may have stored others"
        )


def take(texts: Sequence[str]) -> list[list[float]] | None:
    """The vectors that wait for all of these texts; None where some have none, and have to be computed."""
    waiting = _WAITING.get()
    if not waiting or Counter(texts) - Counter({text: len(vectors) for text, vectors in waiting.items()}):
        return None
    return [waiting[text].popleft() for text in texts]
