"""What a call would ask for and cost, before anything is sent."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars for a million tokens, and the month in which that was the list price, as "2026-11"."""

    dollars: float
    as_of: str


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
