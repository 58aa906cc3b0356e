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
"""The text used to look up a model's price, which is the same for every text. Nothing is sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """The most that a run may spend on a hosted model. Local models cost nothing, so a budget does not limit them.

    Attributes:
        dollars: US dollars at the list price. The model's price must be known.
        tokens: tokens that the provider bills.
        ahead: whether to read the corpus once before the run, and reject the run if it would not fit.

    Raises:
        InputError: neither amount is given, or one is not above zero.
    """

    dollars: float | None = None
    tokens: int | None = None
    ahead: bool = True

    def __post_init__(self) -> None:
        given = {"dollars": self.dollars, "tokens": self.tokens}
        if all(amount is None for amount in given.values()):
            raise InputError("a budget needs an amount: dollars, tokens, or both")
        for name, amount in given.items():
            if amount is not None and not 0 < amount < inf:
                raise InputError(f"a budget of {amount} {name}: it must be above zero")


class Spending:
    """Compares what an embedder bills from now on with a budget.

    Attributes:
        limit: the most tokens that may be billed; infinite without a budget or for a local model.

    Raises:
        InputError: the budget is in dollars and the model's price is unknown.
    """

    def __init__(self, embedder: Embedder, budget: Budget | None = None, *, batch: bool = False) -> None:
        """Start at zero. With `batch`, prices are those of the provider's batch API."""
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
                    f"the price of {embedder.settings.model} is unknown, so a budget in dollars cannot be checked: "
                    "set one in tokens (--budget-tokens, Budget(tokens=…))"
                )
            self.limit = min(self.limit, int(budget.dollars / self._price.dollars * 1e6))

    @property
    def spent(self) -> int:
        """Tokens billed so far. If a response does not state its usage, our own count of its tokens."""
        return self._billed - self._before

    def check(self, tokens: int) -> None:
        """Check a whole run of `tokens` before its first request.

        Raises:
            BudgetExceeded: `tokens` is more than the limit.
        """
        if tokens > self.limit:
            raise BudgetExceeded(
                f"the budget is {self._said(self.limit)}, but this run needs about {self._said(tokens)}: nothing was "
                "embedded; raise the budget or embed less"
            )

    def take(self, tokens: int) -> None:
        """Check the next slice of a run, which has `tokens`.

        Raises:
            BudgetExceeded: the slice exceeds the rest of the budget.
        """
        if tokens and self.spent + tokens > self.limit:
            raise BudgetExceeded(
                f"stopped within the budget of {self._said(self.limit)}: {self._said(self.spent)} were spent, and the "
                f"next {tokens:,} tokens would exceed it; everything embedded so far is stored, and another run with "
                "a new budget continues from there",
                spent=self.spent,
            )

    @property
    def _billed(self) -> int:
        return self._backend.billed if isinstance(self._backend, Requesting) else 0

    def _said(self, tokens: float) -> str:
        price = self._price
        return f"{tokens:,} tokens" + ("" if price is None else f" (${tokens * price.dollars / 1e6:,.4f})")
