"""One limit that a provider states in its answers: how many requests, or how many tokens, in a period."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from twofold.wires.limits import Quota

MARGIN = 0.99
"""The part of a stated limit that is used, since two clocks never agree exactly."""
MINUTE = 60.0
LONGEST = 3600.0
"""Seconds. A longer period says nothing about the pace."""
MOST = 1e12
"""A larger limit is ignored."""


@dataclass(slots=True)
class Meter:
    """The stated limit of requests or of tokens. It delays nothing until a provider states one.

    Attributes:
        limit: how much a period allows; 0 if unknown.
        level: how much may be taken now. A debt is at most one period's limit.
        taken: the total taken so far. It shows how much was taken after an answer's request was sent.
        period: seconds in which the whole limit is restored. If not stated, it is the larger of `longest` and
            `shortest`.
        longest: the longest reset that the provider stated.
        shortest: the shortest period that the stated resets imply for the part that was used.
        stamp: when `level` was last updated.
    """

    limit: float = 0.0
    level: float = 0.0
    taken: float = 0.0
    period: float = MINUTE
    longest: float = 0.0
    shortest: float = LONGEST
    stamp: float = 0.0

    @property
    def pace(self) -> float:
        """How much is restored in a second."""
        return MARGIN * self.limit / self.period

    def refill(self, now: float) -> None:
        """Restore what has become available until `now`."""
        seconds, self.stamp = max(0.0, now - self.stamp), now
        self.level = min(self.limit, self.level + seconds * self.pace)

    def wait(self, amount: float) -> float:
        """Seconds until `amount` may be taken."""
        if not self.limit:
            return 0.0
        return max(0.0, (min(amount, self.limit) - self.level) / self.pace)

    def take(self, amount: float) -> None:
        """Take `amount`, after `wait` has returned 0."""
        self.spend(amount)
        self.taken += amount

    def spend(self, amount: float) -> None:
        """Lower the level, or raise it by a negative amount, if a limit is known."""
        if self.limit:
            self.level = max(-self.limit, self.level - min(amount, 2 * self.limit))

    def learn(self, quota: Quota, part: float, mark: float) -> None:
        """Update from an answer; its request was sent when `taken` was `mark`. We use `part` of the account.

        If only `remaining` is stated, the largest value so far is the limit. If no period is stated, it follows from
        the time until the whole limit is restored, whether that happens continuously or at the end of each period.
        """
        remaining = None if quota.remaining is None else quota.remaining * part
        limit = max(self.limit, (remaining or 0) + 1) if quota.limit is None else quota.limit * part
        if not 0 < limit <= MOST or (quota.period or 0) > LONGEST:
            return
        if limit != self.limit:
            self.level = min(self.level, limit) if self.limit else limit
            self.limit = limit
        if quota.period:
            self.period = quota.period
        if remaining is None:
            return
        self.level = max(-limit, min(self.level, remaining - (self.taken - mark)))
        if quota.reset and not quota.period and quota.reset <= LONGEST and remaining < limit:
            self.longest = max(self.longest, quota.reset)
            self.shortest = min(self.shortest, quota.reset * limit / (limit - remaining))
            self.period = max(self.longest, self.shortest)
