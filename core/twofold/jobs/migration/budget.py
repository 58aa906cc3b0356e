"""How many tokens may be spent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twofold.errors import InputError

if TYPE_CHECKING:
    from twofold.embedder import Embedder


def tokens_of(embedder: Embedder, tokens: int | None, dollars: float | None) -> int | None:
    """What a budget in tokens, in US dollars, or in both allows; None is any number.

    Raises:
        InputError: nothing, or dollars for a model whose price is not known.
    """
    for name, value in (("budget_tokens", tokens), ("budget_usd", dollars)):
        if value is not None and value <= 0:
            raise InputError(f"{name}={value}: it must be more than 0")
    if dollars is None:
        return tokens
    price = embedder.estimate(["word"]).price
    if price is None:
        raise InputError(f"budget_usd={dollars}: no price of {embedder.card.name} is known; give budget_tokens")
    paid = int(dollars / price.dollars * 1e6)
    return paid if tokens is None else min(paid, tokens)
