"""The seam between the embedder and what computes: one verb."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Protocol, TypeAlias, runtime_checkable

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable, Sequence

    from twofold.documents import Document
    from twofold.estimate import Estimate
    from twofold.models import ModelCard, Task
    from twofold.settings import Truncate
    from twofold.vectors import FloatArray

Report: TypeAlias = "Callable[[int, int], None]"
"""Called as work goes on with the documents and the tokens that are newly done."""

CALLER: ContextVar[AbstractEventLoop | None] = ContextVar("CALLER", default=None)
"""The event loop for which a thread makes a backend: an async client of the user's can be used there alone."""


@runtime_checkable
class Backend(Protocol):
    """What computes. It owns its batching; the embedder owns everything that is the same for all of them."""

    @property
    def card(self) -> ModelCard:
        """What the model is."""

    @property
    def weights_digest(self) -> str | None:
        """A digest of the weights, for a local model."""

    @property
    def provider(self) -> str | None:
        """Who serves the model, for a hosted one."""

    def embed(
        self,
        documents: Sequence[Document],
        task: Task,
        dimensions: int,
        *,
        truncate: Truncate = "error",
        report: Report | None = None,
    ) -> FloatArray:
        """One vector for each span, in order: shape (n_spans, at least dimensions), float32, not normalised.

        A whole text over the model's length is refused, or its end is cut, as `truncate` says. The array is its
        caller's, who may write to it.

        Raises:
            InputError: a text that cannot be embedded, before any work, named by its index.
        """

    async def aembed(
        self,
        documents: Sequence[Document],
        task: Task,
        dimensions: int,
        *,
        truncate: Truncate = "error",
        report: Report | None = None,
    ) -> FloatArray:
        """The same, without holding up the event loop."""

    def count_tokens(self, texts: Sequence[str], task: Task) -> list[int]:
        """The length of each text as the model sees it, instruction and special tokens included."""


@runtime_checkable
class Requesting(Protocol):
    """A backend that sends requests, and can say how many, and what they took."""

    @property
    def billed(self) -> int:
        """The tokens of all requests so far, as the provider says, or as they are counted where it does not."""

    def estimate(
        self, documents: Sequence[Document], task: Task, dimensions: int, *, truncate: Truncate = "error"
    ) -> Estimate:
        """What `embed` would ask for; nothing is sent, and no key is needed.

        Raises:
            InputError: what `embed` would refuse.
        """
