"""What a call would ask for and cost, before anything is sent."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Price:
    """What a million tokens cost, by the provider's list.

    Attributes:
        dollars: US dollars, by single requests.
        as_of: the month of the list, as "2026-11".
        batch: US dollars by the provider's batch API; None where there is none, or its price is not known.
    """

    dollars: float
    as_of: str
    batch: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What a call would ask for.

    Attributes:
        texts: the texts, or documents, that would be embedded.
        requests: those that would be sent if none had to be repeated; 0 for a local model.
        tokens: those of the texts with their instructions, equal texts counted once.
        exact: whether they are counted, with the model's own tokenizer, and not estimated from above.
        price: what a million tokens cost; None where it is not known, or nothing is paid.
        cost: US dollars; None where the price is not known.
    """

    texts: int
    requests: int
    tokens: int
    exact: bool
    price: Price | None = None
    cost: float | None = None

    @property
    def batch_cost(self) -> float | None:
        """US dollars by the provider's batch API; None where that is not known."""
        return None if self.price is None or self.price.batch is None else self.tokens * self.price.batch / 1e6
