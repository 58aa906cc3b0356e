"""The contract that every store keeps, on the shortest store there is."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from twofold.adapters import ThreadedStore
from twofold.testing import MemoryStore, StoreContract, StoreDoor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


def forget(name: str) -> None:
    MemoryStore.places["", name]["record"] = None


@asynccontextmanager
async def threaded(name: str) -> AsyncIterator[Any]:
    yield ThreadedStore(MemoryStore("", name))


class TestMemoryStore(StoreContract):
    door = StoreDoor(name="memory", store=lambda name: MemoryStore("", name), astore=threaded, forget=forget)
