"""The limiter of one host and key: it decides which request may be sent when.

All calls of a process share it, and only the hosted loop uses it. Four things delay a request: a Retry-After, a rate
limit that is stated or guessed, the number of requests under way (additive increase, multiplicative decrease), and a
pause. A failure pauses all calls. After the pause, one request is sent as a probe. If it fails too, the next pause is
longer; if it is answered, all calls continue.
"""

from __future__ import annotations

import os
import random
from asyncio import Future
from collections import deque
from dataclasses import dataclass
from math import exp, inf
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from twofold.hosted.exchange import parse_duration, parse_number
from twofold.hosted.meter import Meter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 60.0
"""Seconds. Each pause is twice the previous one, with a jitter of a quarter."""
LONGEST_REFUSAL = 4.0
"""The longest pause in seconds after a 429: the provider is available, and other users of the account continue."""
FIRST_WINDOW = 4.0
LOOK = 1.0
"""Seconds after which a call that waits for other calls' requests asks again, in case nothing has woken it."""
RECENT, SHORTEST = (2.0, 20.0), 0.05
"""Seconds over which the counts of recent requests decay: one for bursts, one for the slower pace of a shared account.
And the shortest time for which a pace is computed."""
EVIDENCE = 10
"""With fewer recent requests than this, a refusal says nothing about the pace."""
FORGET = 120.0
"""After this many seconds without a request, what was learnt is discarded."""


@dataclass(frozen=True, slots=True)
class Grant:
    """Permission to send one request: its number, its estimated tokens, and what the meters had taken by then."""

    number: int
    tokens: int
    marks: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Wait:
    """No permission yet.

    Attributes:
        seconds: when to ask again.
        away: for how many seconds the provider has been unavailable; None if it is available.
        others: whether the wait is for the end of another call's request; `Limiter.line` then wakes the caller.
    """

    seconds: float
    away: float | None = None
    others: bool = False


class Limiter:
    """Delays requests. None of its methods waits.

    Attributes:
        line: the queue of calls that wait for other calls' requests. A future is settled when there may be room.
        part: the part of the provider's limits that this process may use; see `take_part`.
    """

    def __init__(self, jitter: Callable[[], float] = random.random) -> None:
        self._jitter, self.line = jitter, deque[Future[None]]()
        self.part = _part
        self._requests, self._tokens = Meter(), Meter()
        self._window, self._threshold = FIRST_WINDOW, inf
        self._paused, self._pause, self._pause_until = False, FIRST_PAUSE, 0.0
        self._away_since: float | None = None
        self._stamp = self._since = self._held_until = 0.0
        self._recent = [0.0] * len(RECENT)
        self._under_way = 0
        # Numbers of requests: the last one sent, the last one that failed, and the last one that had been sent when a
        # pause began, the window was narrowed, and the pace was lowered.
        self._sent = self._failed = self._round = self._narrowed = self._cut = 0
        self._probe = 0  # the request that tests whether the provider is back; 0 if none is under way

    def acquire(self, tokens: int, now: float, *, last: bool = False) -> Grant | Wait:
        """Permission to send a request of about `tokens` now, or when to ask again. `last` ignores a pause."""
        if now - self._stamp > FORGET and not self._under_way:
            self._forget(now)
        for meter in (self._requests, self._tokens):
            meter.refill(now)
        gone, self._stamp = self._stamp - now, now
        self._recent = [sent * exp(gone / seconds) for sent, seconds in zip(self._recent, RECENT, strict=True)]
        if self._paused and not last:
            if now < self._pause_until:
                return Wait(self._pause_until - now, None if self._away_since is None else now - self._away_since)
            if self._probe:
                return Wait(LOOK, others=True)
        if self._room() <= 0:
            return Wait(LOOK, others=True)
        wait = max(self._held_until - now, self._requests.wait(1), self._tokens.wait(tokens))
        if wait > 0:
            return Wait(wait)
        self._requests.take(1)
        self._tokens.take(tokens)
        self._recent = [sent + 1 for sent in self._recent]
        self._under_way += 1
        self._sent += 1
        if self._paused:
            self._probe = self._sent
        return Grant(self._sent, tokens, (self._requests.taken, self._tokens.taken))

    def release(self, grant: Grant) -> None:
        """A request has ended, with any outcome."""
        self._under_way -= 1
        if grant.number == self._probe:
            self._probe = 0
        room = self._room()
        while room > 0 and self.line:
            waiting = self.line.popleft()
            if not waiting.done():  # its call may have continued or ended
                waiting.set_result(None)
                room -= 1

    def _room(self) -> int:
        """How many more requests may be started."""
        return max(1, int(self._window)) - self._under_way

    def accepted(self, grant: Grant, headers: Mapping[str, str], tokens: int | None) -> None:
        """A request was answered: read the headers, correct the tokens, widen the window, end a pause."""
        self._window += 1 if self._window < self._threshold else 1 / self._window
        if grant.number > self._failed:
            self._paused, self._away_since, self._pause = False, None, FIRST_PAUSE
        self._requests.accepted()
        self._learn(headers, grant)
        if tokens is not None:
            self._tokens.spend(tokens - grant.tokens)

    def failed(self, grant: Grant, now: float) -> None:
        """The provider is unavailable: pause all calls."""
        self._halt(grant, now, LONGEST_PAUSE)
        if self._away_since is None:
            self._away_since = now

    def refused(self, grant: Grant, headers: Mapping[str, str], hold: float | None, now: float) -> None:
        """429: narrow the window, and send nothing for `hold` seconds; without `hold`, pause."""
        self.narrow(grant)
        self._learn(headers, grant)
        pace = self._pace(now)
        if grant.number > self._cut and pace is not None and not self._paused:
            self._cut = self._sent
            self._requests.refused(pace)
        if hold is None:
            self._halt(grant, now, LONGEST_REFUSAL)
            self._away_since = None
        else:
            self.hold(hold, now)

    def _pace(self, now: float) -> float | None:
        """The recent pace in requests a minute; None if there were too few."""
        for sent, seconds in zip(self._recent, RECENT, strict=True):
            if sent >= EVIDENCE:
                return 60 * sent / min(seconds, max(SHORTEST, now - self._since))
        return None

    def _halt(self, grant: Grant, now: float, longest: float) -> None:
        """Pause all calls, longer with each failed round of requests."""
        self._failed = max(self._failed, grant.number)
        if grant.number > self._round or not self._paused:
            self._pause_until = now + min(longest, self._pause) * (0.75 + self._jitter() / 2)
        if grant.number > self._round:
            self._pause = min(longest, 2 * self._pause)
            self._round = self._sent
        self._paused = True

    def narrow(self, grant: Grant) -> None:
        """Halve the window, once for all requests that were under way together."""
        if grant.number > self._narrowed:
            self._narrowed = self._sent
            self._window = self._threshold = max(1.0, min(self._window, self._under_way + 1) / 2)

    def hold(self, seconds: float, now: float) -> None:
        """Send nothing for `seconds`, as a Retry-After asks."""
        self._held_until = max(self._held_until, now + seconds)

    def limits(self) -> dict[str, float]:
        """The limits for a minute, "requests" and "tokens"; 0 if unknown."""
        return {
            name: meter.limit * (1 / self.part if meter.stated else meter.share) * 60 / meter.period
            for name, meter in (("requests", self._requests), ("tokens", self._tokens))
        }

    def _learn(self, headers: Mapping[str, str], grant: Grant) -> None:
        for meter, unit, mark in zip((self._requests, self._tokens), ("requests", "tokens"), grant.marks, strict=True):
            limit, remaining = (
                None if (said := parse_number(headers.get(f"x-ratelimit-{word}-{unit}"))) is None else said * self.part
                for word in ("limit", "remaining")
            )
            meter.learn(limit, remaining, parse_duration(headers.get(f"x-ratelimit-reset-{unit}")), mark)

    def _forget(self, now: float) -> None:
        """Discard what was learnt long ago."""
        self._requests, self._tokens = Meter(stamp=now), Meter(stamp=now)
        self._since = now
        self._window, self._threshold = FIRST_WINDOW, inf
        self._paused, self._pause, self._away_since = False, FIRST_PAUSE, None


_part = 1.0
_LIMITERS: WeakValueDictionary[tuple[int, str, str | None], Limiter] = WeakValueDictionary()


def limiter_for(host: str, account: str | None) -> Limiter:
    """This process's limiter for an account at `host`. It exists as long as something refers to it."""
    name = os.getpid(), host, account
    limiter = _LIMITERS.get(name)
    if limiter is None:
        limiter = _LIMITERS[name] = Limiter()
    return limiter


def take_part(part: float) -> None:
    """Let this process use only a part of all providers' limits, 0 < part <= 1. Other processes use the rest."""
    global _part  # noqa: PLW0603 - one per process
    _part = part
    for limiter in list(_LIMITERS.values()):
        limiter.part = part
