"""`FakeEmbedder`: an embedder on the backend without a model, with its calls at hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from twofold.embedder import Embedder
from twofold.fake import FakeBackend

if TYPE_CHECKING:
    from twofold.fake import Call
    from twofold.settings import Options


class FakeEmbedder(Embedder):
    """`Embedder("fake:")` with its calls at hand: `FakeEmbedder(dimensions=16).calls`."""

    def __init__(self, model: str = "fake:", **options: Unpack[Options]) -> None:
        """Take any option of an `Embedder`."""
        super().__init__(model, **options)

    @property
    def calls(self) -> list[Call]:
        """What the backend was asked, in order."""
        assert isinstance(self.backend, FakeBackend)  # noqa: S101 - holds by construction
        return self.backend.calls
