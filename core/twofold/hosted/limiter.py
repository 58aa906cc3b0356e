"""The limiter of one host and key: it decides which request may be sent when.

All calls of a process share it, and only the hosted loop uses it. Four things delay a request: a Retry-After, a rate
limit that the provider states, the number of requests under way (`Window`), and a pause.

A request that fails while others are answered waits alone. If nothing else is answered, all calls pause. After the
pause, one request is sent as a probe. If it fails too, the next pause is longer; if it is answered, all calls continue.
"""

from __future__ import annotations

import os
import random
from asyncio import Future
from collections import deque
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from twofold.hosted.meter import LONGEST, Meter
from twofold.hosted.window import Window

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from twofold.wires.limits import Quota

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 60.0
"""Seconds. Each pause is twice the previous one, with a jitter of a quarter."""
LONGEST_REFUSAL = 4.0
"""The longest pause in seconds after a 429: the provider is available, and other users of the account continue."""
LOOK = 1.0
"""Seconds after which a call that waits for other calls' requests asks again, in case nothing has woken it."""
FORGET = 120.0
"""After this many seconds without a request, what was learnt is discarded."""


@dataclass(frozen=True, slots=True)
class Grant:
    """Permission to send one request: its number, its tokens, what the meters had taken by then, and the time."""

    number: int
    tokens: int
    marks: tuple[float, float] = (0.0, 0.0)
    at: float = 0.0


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
        reached: whether the host has ever answered.
        notice_at: when the next notice may say that calls wait for this host.
    """

    def __init__(self, jitter: Callable[[], float] = random.random) -> None:
        self._jitter, self.line = jitter, deque[Future[None]]()
        self.part = _part
        self.reached, self.notice_at = False, -inf
        self._under_way = 0
        # Numbers of requests: the last one sent, the last one that failed, and the last one that had been sent when a
        # pause began and when the window was halved.
        self._sent = self._failed = self._round = self._halved = 0
        self._probe = 0  # the request that tests whether the provider is back; 0 if none is under way
        self._held_until = self._stamp = 0.0
        self._accepted_at = -inf  # when a request was last accepted
        self._forget(0.0)

    def _forget(self, now: float) -> None:
        """Discard what was learnt."""
        self._requests, self._tokens, self._window = Meter(stamp=now), Meter(stamp=now), Window(now)
        self._paused, self._pause, self._pause_until = False, FIRST_PAUSE, 0.0
        self._away_since: float | None = None
        self._next_start = 0.0

    def acquire(self, tokens: int, now: float, *, last: bool = False) -> Grant | Wait:
        """Permission to send a request of about `tokens` now, or when to ask again. `last` ignores a pause."""
        if now - self._stamp > FORGET and not self._under_way:
            self._forget(now)
        self._stamp = now
        if self._paused and not last:
            if now < self._pause_until:
                return Wait(self._pause_until - now, None if self._away_since is None else now - self._away_since)
            if self._probe:
                return Wait(LOOK, others=True)
        if self._room() <= 0:
            return Wait(LOOK, others=True)
        for meter in (self._requests, self._tokens):
            meter.refill(now)
        earliest = max(self._held_until, self._next_start)
        wait = max(earliest - now, self._requests.wait(1), self._tokens.wait(tokens))
        if wait > 0:
            return Wait(wait)
        self._requests.take(1)
        self._tokens.take(tokens)
        self._next_start = now + self._window.gap
        self._under_way += 1
        self._sent += 1
        if self._paused:
            self._probe = self._sent
        return Grant(self._sent, tokens, (self._requests.taken, self._tokens.taken), now)

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
        return max(1, int(self._window.size)) - self._under_way

    def accepted(self, grant: Grant, quotas: Mapping[str, Quota], tokens: int | None, now: float) -> None:
        """A request was answered: read the stated limits, correct the tokens, widen the window, end a pause."""
        self._window.answered(refused=False, seconds=now - grant.at, used=self._under_way + 1, now=now)
        self._accepted_at = now
        if grant.number > self._failed:
            self._paused, self._away_since, self._pause = False, None, FIRST_PAUSE
        self._learn(quotas, grant, now)
        if tokens is not None:
            self._tokens.spend(tokens - grant.tokens)

    def failed(self, grant: Grant, now: float, *, since: float | None = None, tries: int = 0) -> float:
        """A request got no answer, or a 5xx: pause all calls, unless others are answered.

        Returns how many seconds this request must wait alone, or 0 if all calls pause. It failed `tries` times before,
        the last time at `since`.
        """
        delay = self._delay(grant, now, since, tries, LONGEST_PAUSE)
        if not delay and self._away_since is None:
            self._away_since = now
        return delay

    def refused(
        self,
        grant: Grant,
        quotas: Mapping[str, Quota],
        hold: float | None,
        now: float,
        *,
        since: float | None = None,
        tries: int = 0,
    ) -> float:
        """429: send nothing for `hold` seconds; without `hold`, like `failed`."""
        self._window.answered(refused=True, seconds=now - grant.at, used=self._under_way + 1, now=now)
        self._learn(quotas, grant, now)
        if self._requests.limit:
            self._window.share(self._requests.pace)
        if hold is not None:
            self.hold(hold, now)
            return 0.0
        delay = self._delay(grant, now, since, tries, LONGEST_REFUSAL)
        if not delay:
            self._away_since = None
        return delay

    def _delay(self, grant: Grant, now: float, since: float | None, tries: int, longest: float) -> float:
        if self._accepted_at > (grant.at if since is None else since):
            return self._jittered(min(longest, FIRST_PAUSE * 2.0 ** min(tries, 9)))
        self._failed = max(self._failed, grant.number)
        if grant.number > self._round or not self._paused:
            self._pause_until = now + self._jittered(min(longest, self._pause))
        if grant.number > self._round:
            self._pause = min(longest, 2 * self._pause)
            self._round = self._sent
        self._paused = True
        return 0.0

    def _jittered(self, seconds: float) -> float:
        return seconds * (0.75 + self._jitter() / 2)

    def halve(self, grant: Grant) -> None:
        """Halve the window, once for all requests that were under way together: the provider was too slow."""
        if grant.number > self._halved:
            self._halved = self._sent
            self._window.halve(self._under_way + 1)

    def hold(self, seconds: float, now: float) -> None:
        """Send nothing for `seconds`, as a Retry-After asks."""
        self._held_until = max(self._held_until, now + seconds)

    def limits(self) -> dict[str, float]:
        """The stated limits for a minute, "requests" and "tokens"; 0 if unknown."""
        meters = {"requests": self._requests, "tokens": self._tokens}
        return {unit: meter.limit / self.part * 60 / meter.period for unit, meter in meters.items()}

    def _learn(self, quotas: Mapping[str, Quota], grant: Grant, now: float) -> None:
        meters = {"requests": self._requests, "tokens": self._tokens}
        for (unit, meter), mark in zip(meters.items(), grant.marks, strict=True):
            if (quota := quotas.get(unit)) is not None:
                meter.learn(quota, self.part, mark)
                if quota.stepwise and quota.remaining == 0 and quota.reset and quota.reset <= LONGEST:
                    self.hold(quota.reset + self._jitter(), now)  # it is stated in whole seconds


_part = 1.0
_LIMITERS: WeakValueDictionary[tuple[int, str, str | None, int], Limiter] = WeakValueDictionary()


def limiter_for(host: str, account: str | None, generation: int = 0) -> Limiter:
    """This process's limiter for an account at `host`, on its loop. It exists as long as something refers to it."""
    name = os.getpid(), host, account, generation
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
