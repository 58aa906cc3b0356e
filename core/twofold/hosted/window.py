"""How many requests may be under way at once: one number, learnt from the part of the answers that are refusals.

Refusals have two causes. Either the account's quota is used up, by this process or by others: then sending less helps.
Or the provider refuses some requests whatever we send: then sending less only costs time. A large part of refusals is
always a reason to send less. A few percent may have either cause, so they narrow the window only to a third of what it
was: if that does not help, no more is lost. Every change is a factor.
"""

from __future__ import annotations

from math import inf

FIRST, SMALLEST = 4.0, 0.01
ROUND, SHORTEST_ROUND = 20, 4.0
"""The window changes after this many answers, but not before this many seconds have passed."""
SOON = 3
"""It changes sooner after this many refusals, if they are at least half of the answers."""
FIRST_STEP, LARGEST_STEP = 0.03, 0.5
"""The part by which a good round widens the window. It doubles with each round without any refusal."""
HARMLESS, CLEAR = 0.04, 0.2
"""Parts of the answers that are refusals. Below the first, they cost less than a narrow window. Above the second, they
depend on the pace, or the provider is in trouble."""
CUT = 2.0
"""The window is narrowed by the refused part times this factor: below what was accepted, but at most by half."""
RANGE = 3.0
"""Refusals that may be unrelated to the pace narrow the window at most by this factor."""


class Window:
    """The number of requests that may be under way at once.

    Below 1, it is the part of the time in which one request is under way; see `gap`.
    """

    def __init__(self, now: float = 0.0) -> None:
        self.size = FIRST
        self._most, self._least = inf, FIRST / RANGE
        self._latency = 0.0
        self._is_new = True  # no round was bad yet: each answer widens the window
        self._step = FIRST_STEP
        self._begun, self._answers, self._refusals, self._most_used = now, 0, 0, 0

    @property
    def gap(self) -> float:
        """Seconds between the starts of two requests, for a window below 1."""
        return 0.0 if self.size >= 1 else self._latency / self.size

    def answered(self, *, refused: bool, seconds: float, used: int, now: float) -> None:
        """A request was answered after `seconds`, while `used` requests were under way."""
        self._latency += (seconds - self._latency) / 8 if self._latency else seconds
        if now - seconds < self._begun:  # sent before the last change
            return
        self._answers += 1
        self._refusals += refused
        self._most_used = max(self._most_used, used)
        if self._is_new and not refused:
            self._widen(self.size + 1)
        is_bad = self._refusals >= SOON and 2 * self._refusals >= self._answers
        if is_bad or (self._answers >= ROUND and now - self._begun >= SHORTEST_ROUND):
            self._end_round(self._refusals / self._answers)
            self._begun, self._answers, self._refusals, self._most_used = now, 0, 0, used

    def share(self, pace: float) -> None:
        """Requests were refused although we kept to a stated limit of `pace` a second: others use it too."""
        self._most = max(SMALLEST, 2 * pace * self._latency)
        self.size = min(self.size, self._most)

    def halve(self, used: int) -> None:
        """The provider was too slow for `used` requests at once."""
        self._is_new = False
        self.size = max(1.0, min(self.size, used) / 2)
        self._least = min(self._least, self.size)

    def _end_round(self, refused: float) -> None:
        if refused <= HARMLESS:
            self._widen(self.size * (1 + self._step))
            self._step = FIRST_STEP if refused else min(LARGEST_STEP, 2 * self._step)
            return
        self._step, self._is_new = FIRST_STEP, False
        narrower = max(SMALLEST, self.size * (1 - min(CUT * refused, 0.5)))
        if refused > CLEAR:
            self.size, self._least = narrower, narrower / RANGE
        else:
            self.size = max(narrower, min(self.size, self._least))

    def _widen(self, size: float) -> None:
        """At most to twice what is used."""
        self.size = max(self.size, min(size, 2.0 * max(FIRST, self._most_used), self._most))
        self._least = max(self._least, self.size / RANGE)
