"""List prices in US dollars per million tokens, by provider and model, with their sources and dates.

No price was read on the provider's live page. Each comes from a copy of that page or from other lists that quote it, as
`through` states; `month` is the date of the copy. Prices that depend on region or hours (Azure, Bedrock, SageMaker) or
on packs of tokens (Jina) are missing here, and so are those that could not be confirmed (codestral-embed,
gemini-embedding-2, Cohere's v3 models, Nomic).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from twofold.backend import Price

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class PriceList:
    """One provider's prices.

    Attributes:
        source: the provider's page.
        through: where its numbers were read.
        month: the date of what was read, as "2026-11".
        prices: of single requests.
        batch: of the provider's batch API.
    """

    source: str
    through: str
    month: str
    prices: Mapping[str, float]
    batch: Mapping[str, float] = field(default_factory=dict)


PRICES = {
    "openai": PriceList(
        "developers.openai.com/api/docs/pricing",
        "a copy of the page; the batch prices also in two lists that quote it, of 2026-04 and 2026-05",
        "2026-11",
        {"text-embedding-3-small": 0.02, "text-embedding-3-large": 0.13, "text-embedding-ada-002": 0.10},
        {"text-embedding-3-small": 0.01, "text-embedding-3-large": 0.065, "text-embedding-ada-002": 0.05},
    ),
    "voyage": PriceList(
        "docs.voyageai.com/docs/pricing",
        "lists that quote the page",
        "2026-05",
        {
            "voyage-4-large": 0.12,
            "voyage-4": 0.06,
            "voyage-4-lite": 0.02,
            "voyage-3.5": 0.06,
            "voyage-3.5-lite": 0.02,
            "voyage-3-large": 0.18,
            "voyage-code-3": 0.18,
            "voyage-context-3": 0.18,
            "voyage-finance-2": 0.12,
            "voyage-law-2": 0.12,
        },
    ),
    "cohere": PriceList("cohere.com/pricing", "lists that quote the page", "2026-06", {"embed-v4.0": 0.12}),
    "gemini": PriceList(
        "ai.google.dev/gemini-api/docs/pricing", "a copy of the page", "2026-11", {"gemini-embedding-001": 0.15}
    ),
    "mistral": PriceList("mistral.ai/pricing", "a copy of the page", "2026-11", {"mistral-embed": 0.10}),
}


def price_of(provider: str, model: str) -> Price | None:
    """The list price of a model at a provider; None if unknown."""
    known = PRICES.get(provider)
    if known is None or model not in known.prices:
        return None
    return Price(known.prices[model], known.month, known.batch.get(model))
