"""What a run may spend on a hosted model, and what it has spent."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf
from typing import TYPE_CHECKING

from twofold.backend import Requesting
from twofold.errors import BudgetExceeded, InputError

if TYPE_CHECKING:
    from twofold.embedder import Embedder

PROBE = "word"
"""Of which the price is asked, the same for every text; nothing is sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """The most that a run may spend on a hosted model; a local one spends nothing, and is not held back.

    Attributes:
        dollars: US dollars, at the list price; for models whose price is known.
        tokens: tokens that the provider bills.
        ahead: whether the corpus is read once before the run, which is refused where it would not fit.

    Raises:
        InputError: neither is said, or one is not above zero.
    """

    dollars: float | None = None
    tokens: int | None = None
    ahead: bool = True

    def __post_init__(self) -> None:
        """Refuse what means nothing."""
        given = {"dollars": self.dollars, "tokens": self.tokens}
        if all(amount is None for amount in given.values()):
            raise InputError("a budget needs an amount: dollars, tokens, or both")
        for name, amount in given.items():
            if amount is not None and not 0 < amount < inf:
                raise InputError(f"a budget of {amount} {name}: it must be above zero")


class Spending:
    """What an embedder bills from now on, held against a budget.

    Attributes:
        limit: tokens that may be billed; infinite where there is no budget, or nothing is paid.

    Raises:
        InputError: a budget in dollars for a model whose price is not known.
    """

    def __init__(self, embedder: Embedder, budget: Budget | None = None, *, batch: bool = False) -> None:
        """Begin at nothing. With `batch`, tokens cost what they cost by the provider's batch API."""
        self.limit = inf
        self._backend, self._price = embedder.backend, None
        self._before = self._billed
        if budget is None or not isinstance(self._backend, Requesting):
            return
        price = embedder.estimate([PROBE]).price
        if price is not None and batch:
            price = None if price.batch is None else replace(price, dollars=price.batch)
        self._price = price
        self.limit = inf if budget.tokens is None else budget.tokens
        if budget.dollars is not None:
            if self._price is None:
                raise InputError(
                    f"the price of {embedder.settings.model} is not known here, so that a budget in dollars cannot be "
                    "kept: give one in tokens (--budget-tokens, Budget(tokens=…))"
                )
            self.limit = min(self.limit, int(budget.dollars / self._price.dollars * 1e6))

    @property
    def spent(self) -> int:
        """Tokens that were billed; as they are counted here, of answers that did not say."""
        return self._billed - self._before

    def check(self, tokens: int) -> None:
        """Refuse a run before its first request.

        Raises:
            BudgetExceeded: it would take so many tokens, and they do not fit.
        """
        if tokens > self.limit:
            raise BudgetExceeded(
                f"the budget is {self._said(self.limit)}, and this would take about {self._said(tokens)}: nothing was "
                "embedded; raise the budget or embed less"
            )

    def take(self, tokens: int) -> None:
        """Refuse the next slice of a run, which has so many tokens.

        Raises:
            BudgetExceeded: it does not fit into what is left.
        """
        if tokens and self.spent + tokens > self.limit:
            raise BudgetExceeded(
                f"stopped within the budget of {self._said(self.limit)}: {self._said(self.spent)} were spent, and the "
                f"next {tokens:,} tokens do not fit; what was embedded is kept, and another run, with a budget of its "
                "own, goes on from there",
                spent=self.spent,
            )

    @property
    def _billed(self) -> int:
        return self._backend.billed if isinstance(self._backend, Requesting) else 0

    def _said(self, tokens: float) -> str:
        price = self._price
        return f"{tokens:,} tokens" + ("" if price is None else f" (${tokens * price.dollars / 1e6:,.4f})")
