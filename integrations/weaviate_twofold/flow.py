"""What is done, said once, and done with either of Weaviate's clients.

A flow is a generator: it yields calls, and gets their results. The async client's methods have the names of the sync
client's and give awaitables, so one flow serves both.
"""

from __future__ import annotations

import asyncio
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeVar

from twofold.extras import extra

with extra("weaviate"):
    from weaviate import WeaviateAsyncClient
    from weaviate.collections import CollectionAsync

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from twofold import Embedder

T = TypeVar("T")


class Embed(NamedTuple):
    """A call of one of the embedder's methods, or of its async twin."""

    method: str
    arguments: tuple[Any, ...] = ()


Flow: TypeAlias = "Generator[Callable[[], Any] | Embed, Any, T]"


def run(host: Any, embedder: Embedder, flow: Flow[Any]) -> Any:
    """What `flow` gives, or an awaitable of it where `host` is an async client, or a collection of one."""
    if isinstance(host, WeaviateAsyncClient | CollectionAsync):
        return _await(embedder, flow)
    return _call(embedder, flow)


def _call(embedder: Embedder, flow: Flow[T]) -> T:
    try:
        step = next(flow)
        while True:
            try:
                result = getattr(embedder, step.method)(*step.arguments) if isinstance(step, Embed) else step()
            except Exception as error:  # noqa: BLE001 - the flow decides what it means
                step = flow.throw(error)
            else:
                step = flow.send(result)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]


async def _await(embedder: Embedder, flow: Flow[T]) -> T:
    try:
        step = next(flow)
        while True:
            try:
                result = await _embed(embedder, step) if isinstance(step, Embed) else step()
                result = await result if isawaitable(result) else result
            except Exception as error:  # noqa: BLE001 - the flow decides what it means
                step = flow.throw(error)
            else:
                step = flow.send(result)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]


async def _embed(embedder: Embedder, step: Embed) -> Any:
    twin = getattr(embedder, f"a{step.method}", None)
    if twin is None:  # the record and its check, which embed a few short texts
        return await asyncio.to_thread(getattr(embedder, step.method), *step.arguments)
    return await twin(*step.arguments)
