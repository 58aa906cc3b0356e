"""The one limiter of a host and key: who may send now, and who may try again.

Shared by all embedders and threads of a process; what the provider grants in a minute is shared by processes too (see
`quota.py`). Three things hold a request back: a Retry-After or an empty account, the number of requests under way
(additive increase, multiplicative decrease), and for retries a budget.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from twofold.hosted.quota import Ledger

if TYPE_CHECKING:
    from collections.abc import Mapping

BUDGET_SECONDS = 60.0
BUDGET_PART = 0.1
BUDGET_FLOOR = 10
"""Retries in a window: a tenth of its requests, and ten where requests are few."""
FIRST_WINDOW = 4.0
POLL = 0.02
"""Seconds after which a call looks again when others fill the window."""


@dataclass(frozen=True, slots=True)
class Grant:
    """Leave to send one request; `mark` and `round` tell which answers belong together."""

    tokens: int
    mark: float
    token_mark: float
    round: int


class Limiter:
    """Holds requests back. Every method is safe to call from any thread; none of them waits."""

    def __init__(self, host: str, key: str | None) -> None:
        """Join the account of `host` and `key`."""
        self._ledger = Ledger(host, key)
        self._lock = threading.Lock()
        self._window, self._threshold = FIRST_WINDOW, float("inf")
        self._under_way = self._round = 0
        self._sent: deque[tuple[float, bool]] = deque()

    def acquire(self, tokens: int, now: float, *, retry: bool = False) -> Grant | float:
        """Leave to send a request of about `tokens` now, or the seconds after which to ask again."""
        with self._lock:
            if self._under_way >= max(1, int(self._window)):
                return POLL
            with self._ledger.open(now) as account:
                wait = account.take(tokens, now)
                marks = account.requests.taken, account.tokens.taken
            if wait:
                return wait
            self._under_way += 1
            if not retry:  # retries are noted when they are granted
                self._note(now, retry=False)
            return Grant(tokens, *marks, self._round)

    def release(self) -> None:
        """A request is over, however it ended."""
        with self._lock:
            self._under_way -= 1

    def accepted(self, grant: Grant, headers: Mapping[str, str], tokens: int | None, now: float) -> None:
        """An answer came: learn from its headers, settle its tokens, and widen the window."""
        with self._lock:
            self._window += 1 if self._window < self._threshold else 1 / self._window
            with self._ledger.open(now) as account:
                account.accepted()
                account.learn(headers, grant.mark, grant.token_mark)
                if tokens is not None and account.tokens.limit:
                    account.tokens.level += grant.tokens - tokens

    def refused(self, grant: Grant, headers: Mapping[str, str], hold: float | None, now: float) -> None:
        """429, or no answer in time: narrow the window, and send nothing for `hold` seconds."""
        with self._lock:
            if grant.round == self._round:  # once for all that were under way together
                self._round += 1
                self._window = self._threshold = max(1.0, min(self._window, self._under_way + 1) / 2)
            with self._ledger.open(now) as account:
                account.learn(headers, grant.mark, grant.token_mark)
                if hold is None:
                    account.refused(grant.mark)
                else:
                    account.held_until = max(account.held_until, now + hold)

    def hold(self, seconds: float, now: float) -> None:
        """Send nothing for `seconds`: a Retry-After."""
        with self._ledger.open(now) as account:
            account.held_until = max(account.held_until, now + seconds)

    def limits(self, now: float) -> dict[str, float]:
        """What a minute grants, as far as it is known; 0 where it is not."""
        with self._ledger.open(now) as account:
            return {"requests": account.requests.limit, "tokens": account.tokens.limit}

    def may_retry(self, now: float) -> bool:
        """Take one retry out of the budget, if it is there."""
        with self._lock:
            self._forget(now)
            retries = sum(retry for _, retry in self._sent)
            requests = len(self._sent) - retries
            if retries >= max(BUDGET_FLOOR, BUDGET_PART * requests):
                return False
            self._note(now, retry=True)
            return True

    def _note(self, now: float, *, retry: bool) -> None:
        self._forget(now)
        self._sent.append((now, retry))

    def _forget(self, now: float) -> None:
        while self._sent and self._sent[0][0] < now - BUDGET_SECONDS:
            self._sent.popleft()


_LIMITERS: WeakValueDictionary[tuple[str, str | None], Limiter] = WeakValueDictionary()
_LIMITERS_LOCK = threading.Lock()


def limiter_for(host: str, key: str | None) -> Limiter:
    """The process's one limiter of `host` and `key`, alive for as long as anyone holds it."""
    with _LIMITERS_LOCK:
        name = host, key and blake2b(key.encode()).hexdigest()
        limiter = _LIMITERS.get(name)
        if limiter is None:
            limiter = _LIMITERS[name] = Limiter(host, key)
        return limiter


def _after_fork() -> None:
    """A child starts with limiters of its own: a thread of its parent may have held a lock."""
    global _LIMITERS_LOCK  # noqa: PLW0603 - replaced where no other thread exists
    _LIMITERS_LOCK = threading.Lock()
    _LIMITERS.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
