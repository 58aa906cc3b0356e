"""The contract that every store keeps, on the shortest store there is."""

from __future__ import annotations

from twofold.testing import MemoryStore, StoreContract, StoreDoor


def forget(name: str) -> None:
    MemoryStore.places["", name]["record"] = None


class TestMemoryStore(StoreContract):
    door = StoreDoor(name="memory", store=lambda name: MemoryStore("", name), forget=forget)
