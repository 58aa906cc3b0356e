"""For tests: a fake embedder, a store in memory, and contracts as test classes to inherit.

The contracts need pytest. They are loaded on first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from twofold.fake import FAKE_CARD, Call, FakeBackend
from twofold.testing.doors import Door, StoreDoor, pickled, spawned
from twofold.testing.fakes import FailingEmbedder, FakeEmbedder, MemoryStore

if TYPE_CHECKING:
    from twofold.testing.embedders import AdapterContract, VectorContract, changed_options
    from twofold.testing.stores import StoreContract

__all__ = [
    "FAKE_CARD",
    "AdapterContract",
    "Call",
    "Door",
    "FailingEmbedder",
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

_CONTRACTS = {
    "AdapterContract": "embedders",
    "StoreContract": "stores",
    "VectorContract": "embedders",
    "changed_options": "embedders",
}


def __getattr__(name: str) -> Any:
    if name not in _CONTRACTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = f"{__name__}.{_CONTRACTS[name]}"
    import_module("pytest").register_assert_rewrite(module)
    return getattr(import_module(module), name)
