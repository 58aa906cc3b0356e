"""The one limiter of a host and key: who may send now, and who looks whether the provider is back.

Shared by all calls of a process, and touched by its hosted loop alone. Four things hold a request back: a Retry-After,
a limit that is stated or guessed, the number of requests under way (additive increase, multiplicative decrease), and a
pause. A failure pauses everyone; when the pause is over one request goes ahead, and if that fails too the pause is
longer, until one is answered.
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
"""Seconds; each pause is twice the one before, give or take a quarter."""
LONGEST_REFUSAL = 4.0
"""Seconds of a pause at most where the provider is there and refuses: others of the account go on."""
FIRST_WINDOW = 4.0
LOOK = 1.0
"""Seconds after which a call that waits for others' requests looks again, should nobody have woken it."""
RECENT, SHORTEST = (2.0, 20.0), 0.05
"""Seconds over which recent requests fade, for the pace of a burst, and for one that is slow since others use the same
account; and the least over which a pace is taken."""
EVIDENCE = 10
"""Recent requests below which a refusal says nothing about the pace."""
FORGET = 120.0
"""Seconds without a request after which what was learnt is stale."""


@dataclass(frozen=True, slots=True)
class Grant:
    """Leave to send one request: its number, its estimated tokens, and where the meters stood."""

    number: int
    tokens: int
    marks: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Wait:
    """Seconds after which to ask again.

    Attributes:
        away: for how long the provider has not answered; None where it does.
        others: whether it is others' requests that are waited for: `Limiter.line` says how to be woken.
    """

    seconds: float
    away: float | None = None
    others: bool = False


class Limiter:
    """Holds requests back. None of its methods waits.

    Attributes:
        line: those that wait for others' requests, the first first: each future is settled when there may be room.
        part: of what the provider grants, that of this process; see `take_part`.
    """

    def __init__(self, jitter: Callable[[], float] = random.random) -> None:
        """Know nothing yet."""
        self._jitter, self.line = jitter, deque[Future[None]]()
        self.part = _part
        self._requests, self._tokens = Meter(), Meter()
        self._window, self._threshold = FIRST_WINDOW, inf
        self._paused, self._pause, self._pause_until = False, FIRST_PAUSE, 0.0
        self._away_since: float | None = None
        self._stamp = self._since = self._held_until = 0.0
        self._recent = [0.0] * len(RECENT)
        self._under_way = 0
        # Numbers of requests: the last sent, the last failed, and the last sent at a pause, a narrowing and a guess.
        self._sent = self._failed = self._round = self._narrowed = self._cut = 0
        self._probe = 0  # the one that goes ahead

    def acquire(self, tokens: int, now: float, *, last: bool = False) -> Grant | Wait:
        """Leave to send a request of about `tokens` now, or when to ask again. `last` goes ahead of a pause's end."""
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
        """A request is over, however it ended."""
        self._under_way -= 1
        if grant.number == self._probe:
            self._probe = 0
        room = self._room()
        while room > 0 and self.line:
            waiting = self.line.popleft()
            if not waiting.done():  # it has gone on, or ended
                waiting.set_result(None)
                room -= 1

    def _room(self) -> int:
        """How many more requests may be under way."""
        return max(1, int(self._window)) - self._under_way

    def accepted(self, grant: Grant, headers: Mapping[str, str], tokens: int | None) -> None:
        """An answer came: learn from its headers, settle its tokens, widen the window, and end a pause."""
        self._window += 1 if self._window < self._threshold else 1 / self._window
        if grant.number > self._failed:
            self._paused, self._away_since, self._pause = False, None, FIRST_PAUSE
        self._requests.accepted()
        self._learn(headers, grant)
        if tokens is not None:
            self._tokens.spend(tokens - grant.tokens)

    def failed(self, grant: Grant, now: float) -> None:
        """The provider is away: pause everyone."""
        self._halt(grant, now, LONGEST_PAUSE)
        if self._away_since is None:
            self._away_since = now

    def refused(self, grant: Grant, headers: Mapping[str, str], hold: float | None, now: float) -> None:
        """429: narrow the window, and send nothing for `hold` seconds, or pause where it does not say how long."""
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
        """Recent requests in a minute; None where they are too few to say."""
        for sent, seconds in zip(self._recent, RECENT, strict=True):
            if sent >= EVIDENCE:
                return 60 * sent / min(seconds, max(SHORTEST, now - self._since))
        return None

    def _halt(self, grant: Grant, now: float, longest: float) -> None:
        """Pause everyone, longer with each round of requests that fails."""
        self._failed = max(self._failed, grant.number)
        if grant.number > self._round or not self._paused:
            self._pause_until = now + min(longest, self._pause) * (0.75 + self._jitter() / 2)
        if grant.number > self._round:
            self._pause = min(longest, 2 * self._pause)
            self._round = self._sent
        self._paused = True

    def narrow(self, grant: Grant) -> None:
        """Halve the window, once for all that were under way together."""
        if grant.number > self._narrowed:
            self._narrowed = self._sent
            self._window = self._threshold = max(1.0, min(self._window, self._under_way + 1) / 2)

    def hold(self, seconds: float, now: float) -> None:
        """Send nothing for `seconds`: a Retry-After."""
        self._held_until = max(self._held_until, now + seconds)

    def limits(self) -> dict[str, float]:
        """What a minute grants, as far as it is known; 0 where it is not."""
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
        """Begin anew: what was learnt long ago says nothing."""
        self._requests, self._tokens = Meter(stamp=now), Meter(stamp=now)
        self._since = now
        self._window, self._threshold = FIRST_WINDOW, inf
        self._paused, self._pause, self._away_since = False, FIRST_PAUSE, None


_part = 1.0
_LIMITERS: WeakValueDictionary[tuple[int, str, str | None], Limiter] = WeakValueDictionary()


def limiter_for(host: str, account: str | None) -> Limiter:
    """This process's one limiter of `host` and an account there, alive for as long as anyone holds it."""
    name = os.getpid(), host, account
    limiter = _LIMITERS.get(name)
    if limiter is None:
        limiter = _LIMITERS[name] = Limiter()
    return limiter


def take_part(part: float) -> None:
    """Have this process use only a part of what providers grant, above 0 up to 1: others use the rest."""
    global _part  # noqa: PLW0603 - one for the process
    _part = part
    for limiter in list(_LIMITERS.values()):
        limiter.part = part
