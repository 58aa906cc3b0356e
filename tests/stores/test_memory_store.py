"""The contract that every store keeps, on the shortest store: with a synchronous and with an asynchronous client."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from twofold.adapters import resolve
from twofold.testing import MemoryStore, StoreContract, StoreDoor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class AsyncMemoryStore(MemoryStore):
    """Asks its event loop before each method, as a store over an asynchronous client does."""

    def __getattribute__(self, name: str) -> Any:
        if name in ("find", "make", "record", "stamp", "held", "page", "get", "upsert", "delete", "search", "count"):
            resolve(asyncio.sleep(0))
        return super().__getattribute__(name)


def forget(name: str) -> None:
    MemoryStore.places["", name]["record"] = None


@asynccontextmanager
async def asynchronous(name: str) -> AsyncIterator[Any]:
    yield AsyncMemoryStore("", name)


class TestMemoryStore(StoreContract):
    door = StoreDoor(name="memory", store=lambda name: MemoryStore("", name), astore=asynchronous, forget=forget)
