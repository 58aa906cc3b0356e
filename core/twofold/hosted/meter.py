"""How many requests, or tokens, a provider grants: read from the headers of answers, or guessed from refusals."""

from __future__ import annotations

from dataclasses import dataclass

MARGIN = 0.99
"""The part of a stated limit that is used: two clocks never run quite alike."""
DECREASE = 0.8
INCREASE = 0.5
"""Requests a minute that each success adds after a refusal: under one percent a second."""
SMALLEST = 0.001
MINUTE = 60.0
LONGEST = 3600.0
"""Seconds of a period beyond which it says nothing about pace."""
MOST = 1e12
"""A limit beyond this is none."""


@dataclass(slots=True)
class Meter:
    """What is granted in a period.

    Attributes:
        limit: what a period grants; 0 while that is unknown.
        share: the part of it that is used: less where others use the same account.
        level: what may be taken now; a debt is at most one period's.
        taken: what was taken since the start; it tells answers apart that were asked for earlier.
        period: seconds in which the whole limit comes back: at least the longest reset stated, and at least the
            shortest that a reset comes to for the part that was gone.
        stated: whether the provider says its limit.
        stamp: when `level` was brought up to date.
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
        """What comes back in a second."""
        return self.limit * self.share / self.period

    def refill(self, now: float) -> None:
        """Let time pass until `now`."""
        seconds, self.stamp = max(0.0, now - self.stamp), now
        self.level = min(self.limit, self.level + seconds * self.pace * MARGIN)

    def wait(self, amount: float) -> float:
        """Seconds until `amount` may be taken."""
        if not self.limit:
            return 0.0
        short = min(amount, self.limit) - self.level
        return max(0.0, short / (self.pace * MARGIN))

    def take(self, amount: float) -> None:
        """Take `amount`, of which `wait` has said that it is there."""
        self.spend(amount)
        self.taken += amount

    def spend(self, amount: float) -> None:
        """Lower the level, or raise it by a negative amount, where a limit is known."""
        if self.limit:
            self.level = max(-self.limit, self.level - min(amount, 2 * self.limit))

    def learn(self, limit: float | None, remaining: float | None, reset: float | None, mark: float) -> None:
        """Believe an answer's headers; its request was sent when `taken` was `mark`.

        Where only what remains is stated, the most that ever remained is the limit. `reset`, the seconds until all of
        it is back, says how long a period is, whether the limit comes back all along or at a period's end.
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
        """Use less of the limit, or guess one: that requests came at `recent` a minute was too fast."""
        self.limit = self.limit or recent
        slower = DECREASE * min(self.share, recent / self.limit)
        self.share = max(SMALLEST, self.share / 2, slower)
        self.level = min(self.level, 0.0)

    def accepted(self) -> None:
        """Use more of the limit again; more than all of it where it is only a guess."""
        if self.limit:
            share = self.share + INCREASE / self.limit
            self.share = min(1.0, share) if self.stated else share
