"""For tests, yours and ours: an embedder and a store without anything behind them, and the contracts that all keep."""

from twofold.fake import FAKE_CARD, Call, FakeBackend
from twofold.testing.adapters import AdapterContract, changed_options
from twofold.testing.door import Door, pickled, spawned
from twofold.testing.embedder import FakeEmbedder
from twofold.testing.memory import MemoryStore
from twofold.testing.store_door import StoreDoor
from twofold.testing.stores import StoreContract
from twofold.testing.vectors import VectorContract

__all__ = [
    "FAKE_CARD",
    "AdapterContract",
    "Call",
    "Door",
    "FakeBackend",
    "FakeEmbedder",
    "MemoryStore",
    "StoreContract",
    "StoreDoor",
    "VectorContract",
    "changed_options",
    "pickled",
    "spawned",
]
