"""`StoreDoor`: how a store is reached, as the contract asks it, and what the contract puts into it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from twofold.documents import Document
from twofold.errors import ProviderUnavailable
from twofold.testing.embedder import FakeEmbedder

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    from twofold.stores.store import Store
    from twofold.vectors import FloatArray

LATE = Document.from_spans(
    "The keeper counts ships. Fog came in at nine. Nobody answers.", [(0, 24), (25, 45), (46, 61)]
)
DOCUMENTS: dict[str, Any] = {"a": "The keeper counts nine ships.", "b/é #1": "Fog came in.", "c": LATE, "d": "Tea."}
METADATAS: list[Any] = [{"n": 1, "x": 0.5, "ok": True, "word": "灯台"}, None, [{"n": 1}, None, {"n": 3}], {}]


@dataclass(frozen=True, kw_only=True)
class StoreDoor:
    """How one store is reached.

    Attributes:
        name: for messages and test ids.
        store: a collection's name -> its store, not opened yet; each call is a new client or handle of one place.
        forget: a collection's name -> nothing; takes the record away from it, as a user can.
        astore: the same as `store` through the host's asynchronous client, where it has one.
        tolerance: how far a stored vector's direction may be off, as 1 - cosine, where the store rounds.
        unit: whether the store keeps directions alone and gives back vectors of unit length.
    """

    name: str
    store: Callable[[str], Store]
    forget: Callable[[str], None]
    astore: Callable[[str], AbstractAsyncContextManager[Store]] | None = None
    tolerance: float = 1e-6
    unit: bool = False


class Failing(FakeEmbedder):
    """A hosted model that fails after the first `keeps` documents."""

    keeps = 2

    def embed_late(self, documents: Any, **options: Any) -> list[FloatArray]:
        """What was paid for is in the error's `partial`."""
        documents = list(documents)
        done = super().embed_late(documents[: self.keeps], **options)
        failed = dict.fromkeys(range(self.keeps, len(documents)), "busy")
        raise ProviderUnavailable("busy", partial=dict(enumerate(done)), failed=failed)
