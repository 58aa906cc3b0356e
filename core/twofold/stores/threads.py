"""`ThreadedStore`: a store over a synchronous client, for flows that run in an event loop."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

from twofold.stores.opened import OpenStore

if TYPE_CHECKING:
    from twofold.stores.store import Store


class ThreadedStore:
    """Each method of `Store` as a coroutine that does its work in a thread, so that the event loop goes on."""

    def __init__(self, store: Store) -> None:
        """Take a store over a synchronous client."""
        self._open = OpenStore(store)
        self.name, self.keeps_lists = store.name, store.keeps_lists

    def __getattr__(self, name: str) -> Any:
        return partial(asyncio.to_thread, getattr(self._open, name))
