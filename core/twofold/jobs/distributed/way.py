"""How the texts of a column are embedded: for one side, or with a task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from twofold.errors import InputError
from twofold.jobs.distributed.answers import embed_each

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twofold.embedder import Embedder
    from twofold.jobs.distributed.answers import Answer
    from twofold.vectors import FloatArray

Side: TypeAlias = Literal["document", "query"]


@dataclass(frozen=True, slots=True)
class SideOrTask:
    """A side, or a task instead of it.

    Raises:
        InputError: the side is unknown.
    """

    side: Side = "document"
    task: str | None = None

    def __post_init__(self) -> None:
        if self.side not in ("document", "query"):
            raise InputError(f"side={self.side!r}: choose 'document' or 'query'")

    def embed_each(self, embedder: Embedder, texts: Sequence[str]) -> list[Answer]:
        """The vector of each text, shape (1, dimensions), or its error."""
        return embed_each(lambda some: list(self._embed(embedder, some)[:, None]), texts)

    def _embed(self, embedder: Embedder, texts: Sequence[str]) -> FloatArray:
        if self.task is not None:
            return embedder.embed(texts, task=self.task)
        return embedder.embed_queries(texts) if self.side == "query" else embedder.embed_documents(texts)
