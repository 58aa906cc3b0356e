"""List prices, in US dollars for a million tokens, by provider and model, each with the month that it was read for.

What is billed otherwise (by the hour, by region, in packs of tokens) or could not be confirmed is not here. Sources:
developers.openai.com/api/docs/pricing; docs.voyageai.com/docs/pricing; cohere.com/pricing;
ai.google.dev/gemini-api/docs/pricing; mistral.ai/pricing.
"""

from __future__ import annotations

from twofold.estimate import Price

PRICES: dict[str, tuple[str, dict[str, float]]] = {
    "openai": (
        "2026-11",
        {"text-embedding-3-small": 0.02, "text-embedding-3-large": 0.13, "text-embedding-ada-002": 0.10},
    ),
    "voyage": (
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
    "cohere": ("2026-06", {"embed-v4.0": 0.12}),
    "gemini": ("2026-11", {"gemini-embedding-001": 0.15}),
    "mistral": ("2026-11", {"mistral-embed": 0.10}),
}


def price_of(provider: str, model: str) -> Price | None:
    """The list price of a model at a provider; None where it is not known."""
    month, prices = PRICES.get(provider, ("", {}))
    return Price(prices[model], month) if model in prices else None
