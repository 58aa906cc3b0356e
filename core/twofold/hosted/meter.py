"""A provider's limit of requests or tokens: read from the headers of answers, or guessed from refusals."""

from __future__ import annotations

from dataclasses import dataclass

MARGIN = 0.99
"""The part of a stated limit that is used, since two clocks never agree exactly."""
DECREASE = 0.8
INCREASE = 0.5
"""Requests a minute that each success adds after a refusal: less than one percent a second."""
SMALLEST = 0.001
MINUTE = 60.0
LONGEST = 3600.0
"""A stated period longer than this, in seconds, says nothing about the pace."""
MOST = 1e12
"""A larger limit is ignored."""


@dataclass(slots=True)
class Meter:
    """The limit of requests or of tokens in a period.

    Attributes:
        limit: how much a period allows; 0 if unknown.
        share: the part of the limit that is used; less than 1 if others use the same account.
        level: how much may be taken now. A debt is at most one period's limit.
        taken: the total taken so far. It shows how much was taken after an answer's request was sent.
        period: seconds in which the whole limit is restored: the larger of `longest` and `shortest`.
        longest: the longest reset that the provider stated.
        shortest: the shortest period that the stated resets imply for the part that was used.
        stated: whether the provider states its limit.
        stamp: when `level` was last updated.
    """

    limit: float = 0.0
    share: float = 1.0
    level: float = 0.0
    taken: float = 0.0
    period: float = MINUTE
    longest: float = 0.0
    shortest: float = LONGEST
    stated: bool = False
    stamp: float = 0.0

    @property
    def pace(self) -> float:
        """How much is restored in a second."""
        return self.limit * self.share / self.period

    def refill(self, now: float) -> None:
        """Restore what has become available until `now`."""
        seconds, self.stamp = max(0.0, now - self.stamp), now
        self.level = min(self.limit, self.level + seconds * self.pace * MARGIN)

    def wait(self, amount: float) -> float:
        """Seconds until `amount` may be taken."""
        if not self.limit:
            return 0.0
        short = min(amount, self.limit) - self.level
        return max(0.0, short / (self.pace * MARGIN))

    def take(self, amount: float) -> None:
        """Take `amount`, after `wait` has returned 0."""
        self.spend(amount)
        self.taken += amount

    def spend(self, amount: float) -> None:
        """Lower the level, or raise it by a negative amount, if a limit is known."""
        if self.limit:
            self.level = max(-self.limit, self.level - min(amount, 2 * self.limit))

    def learn(self, limit: float | None, remaining: float | None, reset: float | None, mark: float) -> None:
        """Update from an answer's headers; its request was sent when `taken` was `mark`.

        If only `remaining` is stated, the largest value so far is the limit. `reset` is the time in seconds until the
        whole limit is restored. The length of a period follows from it, whether the limit is restored continuously or
        at the end of each period.
        """
        if remaining is None and limit is None:
            return
        stated = limit or max(self.limit, (remaining or 0) + 1)
        if stated > MOST:
            return
        if stated != self.limit:
            self.level = min(self.level, stated) if self.limit else stated
            self.limit = stated
        if remaining is not None:
            self.level = max(-stated, min(self.level, remaining - (self.taken - mark)))
            if reset and reset <= LONGEST and remaining < stated:
                self.longest = max(self.longest, reset)
                self.shortest = min(self.shortest, reset * stated / (stated - remaining))
                self.period = max(self.longest, self.shortest)
        self.stated = True

    def refused(self, recent: float) -> None:
        """Requests at a pace of `recent` a minute were too fast: use less of the limit, or guess one."""
        self.limit = self.limit or recent
        slower = DECREASE * min(self.share, recent / self.limit)
        self.share = max(SMALLEST, self.share / 2, slower)
        self.level = min(self.level, 0.0)

    def accepted(self) -> None:
        """Use more of the limit again. A guessed limit may be exceeded."""
        if self.limit:
            share = self.share + INCREASE / self.limit
            self.share = min(1.0, share) if self.stated else share
