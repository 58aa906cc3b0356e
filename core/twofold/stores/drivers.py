"""One flow, two drivers.

What is done to a store is written once, as coroutines. A host's client may be synchronous or asynchronous: `done` takes
what its methods give either way. Over a synchronous client nothing ever waits, so `run` drives the coroutine to its end
without an event loop; over an asynchronous one the event loop does.
"""

from __future__ import annotations

from inspect import isawaitable
from math import inf
from typing import TYPE_CHECKING, TypeAlias, TypeVar, cast, overload

if TYPE_CHECKING:
    from collections.abc import Awaitable, Coroutine, Iterable, Sequence
    from typing import Any

    from twofold.documents import Document
    from twofold.embedder import Embedder
    from twofold.space import SpaceRecord
    from twofold.vectors import FloatArray

T = TypeVar("T")
MaybeAwaitable: TypeAlias = "T | Awaitable[T]"
"""What a method of a synchronous client gives, or of an asynchronous one."""


@overload
async def done(value: Awaitable[T]) -> T: ...
@overload
async def done(value: MaybeAwaitable[T]) -> T: ...
async def done(value: MaybeAwaitable[T]) -> T:
    """The value, waited for where it has to be."""
    return await value if isawaitable(value) else value


def run(flow: Coroutine[Any, Any, T]) -> T:
    """What `flow` returns; for flows over synchronous clients, in which nothing waits.

    Raises:
        RuntimeError: something in it waits: it belongs into an event loop.
    """
    try:
        flow.send(None)
    except StopIteration as end:
        return cast("T", end.value)
    flow.close()
    raise RuntimeError("an asynchronous client was given to a synchronous function: use its async twin")


class Calls:
    """An embedder as flows call it: its plain methods, or its async twins where the flow runs in an event loop."""

    def __init__(self, embedder: Embedder, *, waits: bool = False) -> None:
        """Remember which."""
        self.embedder, self.waits = embedder, waits

    @property
    def hungry(self) -> bool:
        """Whether it would begin with more documents than were announced to it."""
        return False

    @property
    def most_characters(self) -> float:
        """Of documents that it had better be asked for together."""
        return inf

    def expect(self, documents: Iterable[Document]) -> None:
        """Hear of documents that `embed_late` will be asked for; what computes when it is asked passes over them."""

    def embed_late(self, documents: Iterable[Document]) -> MaybeAwaitable[list[FloatArray]]:
        """See `Embedder.embed_late`."""
        return self.embedder.aembed_late(documents) if self.waits else self.embedder.embed_late(documents)

    def embed_queries(self, texts: Sequence[str]) -> MaybeAwaitable[FloatArray]:
        """See `Embedder.embed_queries`."""
        return self.embedder.aembed_queries(texts) if self.waits else self.embedder.embed_queries(texts)

    def count_tokens(self, texts: Sequence[str]) -> MaybeAwaitable[list[int]]:
        """See `Embedder.count_tokens`."""
        return self.embedder.acount_tokens(texts) if self.waits else self.embedder.count_tokens(texts)

    def record(self) -> MaybeAwaitable[SpaceRecord]:
        """See `Embedder.record`."""
        return self.embedder.arecord() if self.waits else self.embedder.record()

    def check(self, record: SpaceRecord) -> MaybeAwaitable[None]:
        """See `Embedder.check`."""
        if self.waits:
            return self.embedder.acheck(record)
        return self.embedder.check(record)  # type: ignore[func-returns-value] # None is what it gives
