"""What a migration would do, cost and take."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from twofold.backend import Price
    from twofold.jobs.migration.proving import Proof


@dataclass(slots=True)
class Plan:
    """What is there, and what is to come. Times are in seconds, money in US dollars.

    Attributes:
        source, target: the collections, by their own names.
        space: what the source's record says, as a tag; None where it has none.
        rows, documents, chunks: how many there are; rows that are chunks of a document.
        without_text: rows that cannot be embedded, since they have none.
        too_long: rows that are longer than the model takes, an estimate; 0 where ends are cut.
        sizes: the sizes of the vectors of the sample, with how many have it.
        proofs: how well each old embedder's vectors are those that are stored.
        late: whether chunks are embedded in their documents; None where that has to be said.
        sampled: documents whose tokens were counted.
        tokens, low, high: what is to be embedded, and between what it lies in 95 of 100 cases.
        price: what a million tokens cost; None where it is not known, or nothing is paid.
        seconds: how long `apply` would take; None for a hosted model, whose provider sets the pace.
        bytes_before, bytes_after: what the vectors take, four bytes a dimension, without the store's index.
        advice: settings to think about.
        risks: what speaks against it as it is.
    """

    source: str
    target: str
    space: str | None = None
    rows: int = 0
    documents: int = 0
    chunks: int = 0
    without_text: int = 0
    too_long: int = 0
    sizes: dict[int, int] = field(default_factory=dict)
    proofs: list[Proof] = field(default_factory=list)
    late: bool | None = None
    sampled: int = 0
    tokens: int = 0
    low: int = 0
    high: int = 0
    price: Price | None = None
    seconds: float | None = None
    bytes_before: int = 0
    bytes_after: int = 0
    advice: list[str] = field(default_factory=list)
    risks: list[str] = field(default_factory=list)

    @property
    def cost(self) -> float | None:
        """Dollars; None where the price is not known."""
        return None if self.price is None else self.tokens * self.price.dollars / 1e6

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "cost": self.cost}
