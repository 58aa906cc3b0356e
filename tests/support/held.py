"""An embedder whose engine waits for a signal, so that tests can observe what is batched together."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from twofold.errors import InputError
from twofold.fake import FakeBackend
from twofold.testing import FakeEmbedder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twofold.documents import Document
    from twofold.vectors import FloatArray

POISON = "poison"


class HeldBackend(FakeBackend):
    """Holds all batches while `gate` is closed, and rejects documents that contain `POISON`."""

    def __init__(self, batch_tokens: int) -> None:
        super().__init__()
        self.batch_tokens = batch_tokens
        self.gate = threading.Event()
        self.gate.set()
        self.begun = threading.Semaphore(0)

    def embed(self, documents: Sequence[Document], *arguments: Any, **named: Any) -> FloatArray:
        self.begun.release()
        assert self.gate.wait(30)
        for index, document in enumerate(documents):
            if POISON in document.text:
                raise InputError(f"document {index} is poisoned", index=index)
        return super().embed(documents, *arguments, **named)


class HeldEmbedder(FakeEmbedder):
    """A fake embedder with a `HeldBackend`."""

    def __init__(self, batch_tokens: int = 1000, **options: Any) -> None:
        super().__init__(**options)
        self.held = HeldBackend(batch_tokens)
        self._backend = self.held
