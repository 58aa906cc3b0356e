"""What the host wants to know and to say of each call: its observers, and its rate limiter."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from twofold.adapters import extra, resolve

with extra("llama-index"):
    from llama_index.core.callbacks import CBEventType, EventPayload
    from llama_index.core.instrumentation.events.embedding import EmbeddingEndEvent, EmbeddingStartEvent
    from llama_index_instrumentation import get_dispatcher
    from llama_index_instrumentation.event_handlers import NullEventHandler

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from llama_index.core.base.embeddings.base import BaseEmbedding

dispatcher = get_dispatcher(__name__)


@contextmanager
def observed(host: BaseEmbedding, chunks: Sequence[str]) -> Iterator[list[list[float]]]:
    """Tell the host's observers of a call: what is embedded, and the vectors that were put into the list."""
    payload = host.to_payload()
    vectors: list[list[float]] = []
    dispatcher.event(EmbeddingStartEvent(model_dict=payload))
    with host.callback_manager.event(CBEventType.EMBEDDING, payload={EventPayload.SERIALIZED: payload}) as event:
        yield vectors
        event.on_end(payload={EventPayload.CHUNKS: list(chunks), EventPayload.EMBEDDINGS: vectors})
    if _listened():  # the event checks every number of every vector
        dispatcher.event(EmbeddingEndEvent(chunks=list(chunks), embeddings=vectors))


def _listened() -> bool:
    """Whether anybody handles events, here or further up; the host's root has a handler that does nothing."""
    here, found = dispatcher, False
    while not found:
        found = any(not isinstance(handler, NullEventHandler) for handler in here.event_handlers)
        if not here.propagate or here.parent is None:
            break
        here = here.parent
    return found


def admitted(host: BaseEmbedding, count: int, *, waits: bool) -> None:
    """Ask the rate limiter once for every `embed_batch_size` of the texts."""
    if (limiter := host.rate_limiter) is None:
        return
    for _ in range(0, count, host.embed_batch_size):
        resolve(limiter.async_acquire() if waits else limiter.acquire())
