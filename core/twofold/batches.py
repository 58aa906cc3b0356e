"""The seam for batch APIs: many texts are left with a provider, and their vectors are fetched hours later, for less."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from twofold.models import Task
    from twofold.settings import Truncate
    from twofold.vectors import FloatArray

BatchState: TypeAlias = Literal["checked", "running", "completed", "failed", "expired", "cancelled"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """A batch as its provider describes it.

    Attributes:
        id: the provider's name for it.
        state: "checked" while the provider looks at what was submitted, "running" once it has taken it; the others
            are ends, of which "failed" may have no results, "expired" and "cancelled" those of some of its texts.
        total, done: its texts, and those that have been worked on; 0 where that is not said.
        reason: what the provider says of a failure.
        is_full: whether it failed since too much of the account's was waiting already.
        marker: what we called it when it was submitted, where the provider keeps that.
        created: Unix seconds.
        results: the paths of the files that its results are in.
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
        """Whether nothing more comes."""
        return self.state not in ("checked", "running")


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a text has no vector, in the provider's words."""

    reason: str


@dataclass(frozen=True, slots=True)
class Missing:
    """A text was not worked on, through no fault of its own: it is to be submitted again."""

    reason: str


Result: TypeAlias = "FloatArray | Refused | Missing"
"""What came of one text; a vector has shape (1, at least dimensions)."""


class Unsure(Exception):
    """A batch may or may not have been submitted: only the provider's list can say."""


class BatchAPI(Protocol):
    """One model's batch API, for one task.

    Attributes:
        name: of provider and model, for messages.
        most_lines, most_bytes: what one batch may hold.
        longest_outage: seconds for which a provider that is away is waited for.
        first_lines: what the first may hold, and it goes alone, where it is to show that the vectors are those that
            single requests give; None where the provider says so.
    """

    name: str
    most_lines: int
    most_bytes: int
    longest_outage: float
    first_lines: int | None

    def lines(self, keys: Sequence[str], texts: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        """Each text's key with its line of a batch; texts that the model cannot take are passed over.

        Raises:
            InputError: a size, a task or an option that the provider has no word for.
        """

    def submit(self, marker: str, lines: Sequence[bytes]) -> str:
        """Submit a batch and give its id.

        Raises:
            Unsure: no answer came.
            ProviderError: it was refused.
        """

    def find(self, marker: str, lines: int, since: float, known: Collection[str]) -> str | None:
        """The id of a batch of `lines` that was submitted as `marker` at the Unix second `since`, if there is one.

        One whose id is `known` is another.
        """

    def look(self, batch: str) -> Batch:
        """How a batch stands.

        Raises:
            ProviderError: it is not there, or the provider is away for too long.
        """

    def results(self, batch: Batch) -> AbstractContextManager[Iterable[tuple[str, Result]]]:
        """What came of a batch that is over, text by text with its key, in any order; it can be walked over again."""


@runtime_checkable
class Batching(Protocol):
    """A backend whose provider has a batch API, for some models."""

    def batch_api(self, task: Task, dimensions: int, truncate: Truncate) -> BatchAPI:
        """The batch API for one task.

        Raises:
            InputError: there is none for this model; no key.
        """
