"""Providers with limits on a virtual clock, and clients that ask them for all they can get.

A client is a real `Limiter` with some threads. The threads of `separate` have none: after a refusal, each waits alone,
twice as long each time, as most clients do.
"""

from __future__ import annotations

import heapq
import random
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from twofold.hosted.limiter import FIRST_PAUSE, LONGEST_REFUSAL, Grant, Limiter
from twofold.wires.limits import stated_quotas

Spelling = Callable[[int, int, float, float], Mapping[str, str]]
"""Headers: a limit, what remains of it, the seconds until all of it is restored, and those of the whole period."""

OPENAI: Spelling = lambda limit, left, reset, _: {  # noqa: E731
    "x-ratelimit-limit-requests": str(limit),
    "x-ratelimit-remaining-requests": str(left),
    "x-ratelimit-reset-requests": f"{reset:.3f}s",
}
SPELLINGS: dict[str, Spelling] = {
    "OpenAI": OPENAI,
    "Mistral": lambda limit, left, *_: {
        "x-ratelimit-limit-req-minute": str(limit),
        "x-ratelimit-remaining-req-minute": str(left),
    },
    "IETF": lambda limit, left, reset, period: {
        "ratelimit-policy": f'"default";q={limit};w={period:.0f}',
        "ratelimit": f'"default";r={left};t={reset:.0f}',
    },
    "IETF, older": lambda limit, left, reset, period: {
        "ratelimit-limit": f"{limit}, {limit};w={period:.0f}",
        "ratelimit-remaining": str(left),
        "ratelimit-reset": f"{reset:.0f}",
    },
    "plain": lambda limit, left, reset, _: {
        "x-ratelimit-limit": str(limit),
        "x-ratelimit-remaining": str(left),
        "x-ratelimit-reset": f"{reset:.0f}",
    },
    "none": lambda *_: {},
}


class Quota:
    """Grants `per_minute` requests, at most `burst` at once, and states it. `others` requests a second use it too."""

    def __init__(self, per_minute: float, burst: float, says: Spelling = OPENAI, others: float = 0.0) -> None:
        self.per_minute, self.burst, self.says, self.others = per_minute, burst, says, others
        self.level, self.stamp = burst, 0.0

    def __call__(self, now: float) -> bool:
        restored = (now - self.stamp) * (self.per_minute / 60 - self.others)
        self.level, self.stamp = max(0.0, min(self.burst, self.level + restored)), now
        fine = self.level >= 1
        self.level -= fine
        return fine

    def headers(self) -> Mapping[str, str]:
        missing = (self.burst - self.level) * 60 / self.per_minute
        return self.says(int(self.per_minute), int(self.level), missing, 60.0)


class Steps:
    """Grants `per_minute` requests, and restores all of them at the end of each period of some seconds."""

    def __init__(self, per_minute: float, says: Spelling, period: float = 60.0) -> None:
        self.limit, self.period, self.says = int(per_minute * period / 60), period, says
        self.left, self.number, self.now = self.limit, 0, 0.0

    def __call__(self, now: float) -> bool:
        self.now = now
        if now // self.period != self.number:
            self.left, self.number = self.limit, int(now // self.period)
        fine = self.left >= 1
        self.left -= fine
        return fine

    def headers(self) -> Mapping[str, str]:
        return self.says(self.limit, self.left, self.period - self.now % self.period, self.period)


STEPWISE = {"IETF", "IETF, older", "plain"}
"""The spellings of providers that restore a limit at the end of each period."""


class Moody:
    """Refuses a part of all requests, whatever their pace, or in bursts of `length` seconds."""

    def __init__(self, part: float, seed: int = 0, length: float = 0.0) -> None:
        self.part, self.length, self.chance = part, length, random.Random(seed)
        self.mood: dict[int, bool] = {}

    def __call__(self, now: float) -> bool:
        if not self.length:
            return self.chance.random() >= self.part
        return self.mood.setdefault(int(now / self.length), self.chance.random() >= self.part)

    def headers(self) -> Mapping[str, str]:
        return {}


@dataclass
class Outcome:
    """When requests were granted and refused."""

    granted: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)

    def part_refused(self, start: float = 0.0) -> float:
        """The part of the requests that was refused, from `start` on."""
        refused, granted = (sum(when >= start for when in each) for each in (self.refused, self.granted))
        return refused / max(1, refused + granted)


class Processes:
    """Processes with threads that send requests, one after the other."""

    def __init__(self, provider: Any, latency: float, seed: int) -> None:
        self.provider, self.latency, self.chance = provider, latency, random.Random(seed)
        self.outcome, self.numbers = Outcome(), count()
        self.events: list[tuple[float, int, Limiter, Grant | None, int, float | None]] = []
        self.waiting: defaultdict[Limiter, list[tuple[int, float | None]]] = defaultdict(list)

    def add(
        self, when: float, limiter: Limiter, grant: Grant | None = None, tries: int = 0, since: float | None = None
    ) -> None:
        heapq.heappush(self.events, (when, next(self.numbers), limiter, grant, tries, since))

    def run(self, seconds: float) -> Outcome:
        while self.events[0][0] < seconds:
            now, _, limiter, grant, tries, since = heapq.heappop(self.events)
            if grant is None:
                self.ask(now, limiter, tries, since)
            else:
                self.answer(now, limiter, grant, tries, since)
        return self.outcome

    def ask(self, now: float, limiter: Limiter, tries: int, since: float | None) -> None:
        leave = limiter.acquire(1, now)
        if isinstance(leave, Grant):
            self.add(now + self.latency * self.chance.uniform(0.9, 1.1), limiter, leave, tries, since)
        elif leave.others:
            self.waiting[limiter].append((tries, since))
        else:
            self.add(now + leave.seconds + 1e-6, limiter, None, tries, since)

    def answer(self, now: float, limiter: Limiter, grant: Grant, tries: int, since: float | None) -> None:
        fine, quotas = self.provider(now), stated_quotas(self.provider.headers())
        limiter.release(grant)
        if fine:
            self.outcome.granted.append(now)
            limiter.accepted(grant, quotas, None, now)
            self.add(now, limiter)
        else:
            self.outcome.refused.append(now)
            delay = limiter.refused(grant, quotas, None, now, since=since, tries=tries)
            self.add(now + delay, limiter, None, tries + 1, now)
        for other in self.waiting.pop(limiter, ()):
            self.add(now, limiter, None, *other)


def use(
    provider: Any, seconds: float, *, processes: int = 1, threads: int = 2, latency: float = 0.05, seed: int = 0
) -> Outcome:
    """Let the threads of all processes send requests for so many seconds."""
    all_of_them = Processes(provider, latency, seed)
    for number in range(processes):
        limiter = Limiter(random.Random(f"{seed} {number}").random)
        for _ in range(threads):
            all_of_them.add(all_of_them.chance.random() / 100, limiter)
    return all_of_them.run(seconds)


def separate(provider: Any, seconds: float, *, threads: int = 2, latency: float = 0.05, seed: int = 0) -> Outcome:
    """The same, with a back-off for each thread alone."""
    chance, numbers, outcome = random.Random(seed), count(), Outcome()
    events = [(chance.random() / 100 + latency, next(numbers), 0) for _ in range(threads)]
    heapq.heapify(events)
    while events[0][0] < seconds:
        now, _, tries = heapq.heappop(events)
        fine = provider(now)
        (outcome.granted if fine else outcome.refused).append(now)
        pause = 0.0 if fine else min(LONGEST_REFUSAL, FIRST_PAUSE * 2**tries) * chance.uniform(0.75, 1.25)
        heapq.heappush(
            events, (now + pause + latency * chance.uniform(0.9, 1.1), next(numbers), 0 if fine else tries + 1)
        )
    return outcome
