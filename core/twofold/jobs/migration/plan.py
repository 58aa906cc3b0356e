"""The estimate of a migration."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from twofold.backend import Price
    from twofold.jobs.migration.proving import Proof


@dataclass(slots=True)
class Plan:
    """The collection and what its migration would cost. Times are in seconds, money in US dollars.

    Attributes:
        source, target: the physical names of the collections.
        space: the tag of the space in the source's record; None without a record.
        rows, documents: how many there are.
        chunks: rows that are chunks of a document.
        without_text: rows that cannot be embedded because they have no text.
        too_long: estimated number of rows that exceed the model's maximum; 0 if the model truncates.
        sizes: the vector sizes in the sample, with the number of rows of each.
        proofs: for each old embedder, how well its vectors match the stored ones.
        late: whether chunks are embedded in the context of their documents; None if it must be given.
        sampled: documents whose tokens were counted.
        tokens: estimated number of tokens to embed.
        low, high: 95 % confidence interval of `tokens`.
        price: the price of a million tokens; None if it is unknown or the model is free.
        seconds: how long `apply` would take; None for a hosted model, where the provider sets the pace.
        bytes_before, bytes_after: size of the vectors at four bytes a dimension, without the store's index.
        advice: settings to consider.
        risks: problems to solve before migrating.
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
        """US dollars; None if the price is unknown."""
        return None if self.price is None else self.tokens * self.price.dollars / 1e6

    def to_dict(self) -> dict[str, Any]:
        """A dict that `json` can write."""
        return {**asdict(self), "cost": self.cost}
