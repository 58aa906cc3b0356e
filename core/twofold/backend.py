"""The protocols of what computes: `Backend`, with `Requesting` and `Batching` for hosted ones, and their values."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, runtime_checkable

from twofold.errors import InputError

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from twofold.documents import Document
    from twofold.models import ModelCard, Task
    from twofold.settings import Truncate
    from twofold.vectors import FloatArray

Report: TypeAlias = "Callable[[int, int], None]"
"""Called during work with the numbers of documents and tokens finished since the last call."""

CALLER: ContextVar[AbstractEventLoop | None] = ContextVar("CALLER", default=None)
"""The event loop for which a thread creates a backend: an async client of the user's works only on that loop."""


def running_loop() -> AbstractEventLoop:
    """The event loop of an async call.

    Raises:
        InputError: there is none: another library than asyncio runs the call.
    """
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise InputError(
            "the async methods need asyncio. Under trio or curio, call the sync method in a thread: "
            "await trio.to_thread.run_sync(embedder.embed_query, text)"
        ) from None


@runtime_checkable
class Backend(Protocol):
    """What computes. It owns its batching; the embedder owns everything that all backends have in common."""

    @property
    def card(self) -> ModelCard:
        """What the model is."""

    @property
    def weights_digest(self) -> str | None:
        """A digest of the weights; None for a hosted model."""

    @property
    def provider(self) -> str | None:
        """Who serves the model; None for a local one."""

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

        `truncate` says whether a whole text over the model's length is an error or loses its end. The caller may write
        to the array.

        Raises:
            InputError: a text that cannot be embedded, named by its index, before any work.
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
        """Async version of `embed`."""

    def count_tokens(self, texts: Sequence[str], task: Task) -> list[int]:
        """The length of each text as the model sees it, with instruction and special tokens."""


# -- hosted models: what a call would send ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Price:
    """The provider's list price.

    Attributes:
        dollars: US dollars for a million tokens in single requests.
        as_of: the month of the list, as "2026-11".
        batch: US dollars for a million tokens through the batch API; None if there is none or its price is unknown.
    """

    dollars: float
    as_of: str
    batch: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What a call would send and cost.

    Attributes:
        texts: how many texts or documents would be embedded.
        requests: how many requests would be sent without retries; 0 for a local model.
        tokens: the tokens of the texts and their instructions; equal texts count once. If they are not exact, this is a
            bound: the bytes in UTF-8, of which every token has at least one.
        least: the fewest tokens that the texts can have. If they are not exact, these are their words.
        exact: whether the model's own tokenizer counted the tokens.
        price: the list price; None if it is unknown or the model is free.
        cost: US dollars for `tokens`; None if the price is unknown.
    """

    texts: int
    requests: int
    tokens: int
    exact: bool
    least: int = 0
    price: Price | None = None
    cost: float | None = None

    @property
    def least_cost(self) -> float | None:
        """US dollars for the fewest tokens that the texts can have; None if the price is unknown."""
        return None if self.cost is None or not self.tokens else self.cost * self.least / self.tokens

    @property
    def batch_cost(self) -> float | None:
        """US dollars through the provider's batch API; None if unknown."""
        return None if self.price is None or self.price.batch is None else self.tokens * self.price.batch / 1e6


@runtime_checkable
class Requesting(Protocol):
    """A backend that sends requests, and can estimate and report what they use."""

    @property
    def billed(self) -> int:
        """The tokens of all requests so far: the provider's count, or our own where it reports none."""

    def likely_tokens(self, texts: Sequence[str], task: Task) -> list[int]:
        """The likely tokens of each text, for the sizes of chunks. `count_tokens` may be a bound far above them."""

    def estimate(
        self, documents: Sequence[Document], task: Task, dimensions: int, *, truncate: Truncate = "error"
    ) -> Estimate:
        """What `embed` would send. Nothing is sent and no key is needed.

        Raises:
            InputError: what `embed` would reject.
        """


# -- hosted models: batch APIs, which return the vectors of many texts hours later, for less --------------------------

BatchState: TypeAlias = Literal["checked", "running", "completed", "failed", "expired", "cancelled"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """A batch as its provider describes it.

    Attributes:
        id: the provider's name for it.
        state: "checked" while the provider validates it, then "running"; the other states are final. "failed" may have
            no results, "expired" and "cancelled" may have those of some texts.
        total, done: the number of texts, and of those finished; 0 if unknown.
        reason: the provider's explanation of a failure.
        is_full: whether it failed because too much of the account's work was queued already.
        marker: the name under which we submitted it, if the provider stores that.
        created: Unix seconds.
        results: the paths of the files that hold its results.
    """

    id: str
    state: BatchState
    total: int = 0
    done: int = 0
    reason: str = ""
    is_full: bool = False
    marker: str | None = None
    created: float = 0.0
    results: tuple[str, ...] = ()

    @property
    def is_over(self) -> bool:
        """Whether the state is final."""
        return self.state not in ("checked", "running")


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a text has no vector, in the provider's words."""

    reason: str


@dataclass(frozen=True, slots=True)
class Missing:
    """The provider did not process a text, through no fault of the text: submit it again."""

    reason: str


Result: TypeAlias = "FloatArray | Refused | Missing"
"""The outcome of one text; a vector has shape (1, at least dimensions)."""


class Unsure(Exception):
    """A batch may or may not have been submitted: only the provider's list can tell."""


class BatchAPI(Protocol):
    """One model's batch API, for one task.

    Attributes:
        name: the provider and model, for messages.
        most_lines, most_bytes: the size limits of one batch.
        longest_outage: how many seconds to wait for an unavailable provider.
        first_lines: the size limit of the first batch, which is sent alone to check that its vectors equal those of
            single requests; None if the provider guarantees that.
    """

    name: str
    most_lines: int
    most_bytes: int
    longest_outage: float
    first_lines: int | None

    def lines(self, keys: Sequence[str], texts: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        """Each text's key with its line of a batch. Texts that the model cannot take are skipped.

        Raises:
            InputError: a size, a task or an option that the provider does not support.
        """

    def submit(self, marker: str, lines: Sequence[bytes]) -> str:
        """Submit a batch. Returns its id.

        Raises:
            Unsure: no answer came.
            ProviderError: the provider rejected it.
        """

    def find(self, marker: str, lines: int, since: float, known: Collection[str]) -> str | None:
        """The id of the batch of `lines` lines submitted as `marker` at the Unix second `since`, if it exists.

        Ids in `known` belong to other batches.
        """

    def look(self, batch: str) -> Batch:
        """The state of a batch.

        Raises:
            ProviderError: the batch does not exist, or the provider stays unavailable.
        """

    def results(self, batch: Batch) -> AbstractContextManager[Iterable[tuple[str, Result]]]:
        """The outcome of each text of a finished batch with its key, in any order; can be iterated several times."""


@runtime_checkable
class Batching(Protocol):
    """A backend whose provider has a batch API for some models."""

    def batch_api(self, task: Task, dimensions: int, truncate: Truncate) -> BatchAPI:
        """The batch API for one task.

        Raises:
            InputError: the model has no batch API, or there is no key.
        """
