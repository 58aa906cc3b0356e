"""What a provider grants in a minute, shared by every process of this user that uses the same host and key.

The state is eleven numbers in a small file of the user's own in the temporary folder, changed under a file lock; its
name is a digest, so neither host nor key can be read from it. Where there are no file locks (Windows) or no safe
folder, the numbers live in this process alone. Limits are learnt: from the headers of answers, or, where there are
none, from the pace at which requests began to be refused (additive increase, multiplicative decrease).
"""

from __future__ import annotations

import os
import stat
import struct
import tempfile
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import blake2b
from math import exp
from pathlib import Path
from typing import TYPE_CHECKING

from twofold.hosted.exchange import parse_number

try:
    import fcntl
except ImportError:  # Windows: each process keeps its own account
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MARGIN = 0.99
"""The part of a stated limit that is used: two clocks never run quite alike."""
DECREASE = 0.8
INCREASE = 1.0
"""Requests a minute that each success adds to a limit that was never stated: under two percent a second."""
RECENT = 2.0
"""Seconds over which recent requests fade."""
EVIDENCE = 10
"""Recent requests below which a refusal says nothing about the pace."""
FORGET = 120.0
"""Seconds without a request after which what was learnt is stale."""


@dataclass(slots=True)
class Meter:
    """Requests, or tokens, a minute.

    Attributes:
        limit: what a minute grants; 0 while that is unknown.
        level: what may be taken now.
        taken: what was taken since the account began; it tells answers apart that were asked for earlier.
    """

    limit: float = 0.0
    level: float = 0.0
    taken: float = 0.0

    def refill(self, seconds: float) -> None:
        """Let `seconds` pass."""
        self.level = min(self.limit, self.level + seconds * self.limit * MARGIN / 60)

    def wait(self, amount: float) -> float:
        """Seconds until `amount` may be taken."""
        if not self.limit:
            return 0.0
        short = min(amount, self.limit) - self.level
        return max(0.0, short * 60 / (self.limit * MARGIN))

    def take(self, amount: float) -> None:
        """Take `amount`, of which `wait` has said that it is there."""
        self.level -= amount if self.limit else 0.0  # no debt is run up while no limit is known
        self.taken += amount

    def learn(self, limit: float | None, remaining: float | None, mark: float) -> None:
        """Believe an answer's headers; its request was sent when `taken` was `mark`.

        Where only what remains is stated, the most that ever remained is the limit.
        """
        if remaining is None and limit is None:
            return
        stated = limit or max(self.limit, (remaining or 0) + 1)
        if stated != self.limit:
            self.level = min(self.level, stated) if self.limit else stated
            self.limit = stated
        if remaining is not None:
            self.level = min(self.level, remaining - (self.taken - mark))


@dataclass(slots=True)
class Account:
    """The numbers that are shared.

    Attributes:
        stamp: when they were last brought up to date, on the machine's monotonic clock.
        held_until: before this nothing is sent: a provider's Retry-After.
        recent: requests of the last seconds, fading, to guess a limit that nobody states.
        cut: how many requests had been taken when the guess was last lowered.
        stated: 1 where the provider states its limits.
        requests, tokens: what a minute grants.
    """

    stamp: float
    held_until: float = 0.0
    recent: float = 0.0
    cut: float = 0.0
    stated: float = 0.0
    requests: Meter = field(default_factory=Meter)
    tokens: Meter = field(default_factory=Meter)

    def advance(self, now: float) -> None:
        """Let time pass until `now`."""
        seconds = max(0.0, now - self.stamp)
        self.stamp = now
        self.recent *= exp(-seconds / RECENT)
        self.requests.refill(seconds)
        self.tokens.refill(seconds)

    def take(self, tokens: float, now: float) -> float:
        """Take one request of `tokens` and return 0, or return the seconds to wait before asking again."""
        wait = max(0.0, self.held_until - now, self.requests.wait(1), self.tokens.wait(tokens))
        if not wait:
            self.recent += 1
            self.requests.take(1)
            self.tokens.take(tokens)
        return wait

    def learn(self, headers: Mapping[str, str], mark: float, token_mark: float) -> None:
        """Believe the headers of an answer, sent for when the meters stood at the marks."""
        for meter, unit, then in ((self.requests, "requests", mark), (self.tokens, "tokens", token_mark)):
            limit, remaining = (
                parse_number(headers.get(f"x-ratelimit-{word}-{unit}")) for word in ("limit", "remaining")
            )
            meter.learn(limit, remaining, then)
            if meter is self.requests and (limit or remaining is not None):
                self.stated = 1.0

    def refused(self, mark: float) -> None:
        """Lower a limit that is only a guess, once for all the requests that were under way together."""
        if self.stated or mark <= self.cut or self.recent < EVIDENCE:
            return
        self.cut = self.requests.taken
        self.requests.limit = DECREASE * (self.requests.limit or 60 * self.recent / RECENT)
        self.requests.level = min(self.requests.level, 0.0)

    def accepted(self) -> None:
        """Raise a limit that is only a guess."""
        if self.requests.limit and not self.stated:
            self.requests.limit += INCREASE


_FORM = struct.Struct("<11d")


def _pack(account: Account) -> bytes:
    return _FORM.pack(
        account.stamp,
        account.held_until,
        account.recent,
        account.cut,
        account.stated,
        *(getattr(meter, name) for meter in (account.requests, account.tokens) for name in ("limit", "level", "taken")),
    )


def _unpack(data: bytes, now: float) -> Account:
    """The account as stored, or a new one: nothing is stored, it is stale, or its clock was another boot's."""
    if len(data) != _FORM.size:
        return Account(now)
    stamp, held_until, recent, cut, stated, *meters = _FORM.unpack(data)
    account = Account(stamp, held_until, recent, cut, stated, Meter(*meters[:3]), Meter(*meters[3:]))
    if not now - FORGET <= account.stamp <= now + 1 or account.held_until > now + 86_400:
        return Account(now)
    account.advance(now)
    return account


class Ledger:
    """Keeps one account: in a file that processes share, or in this process."""

    def __init__(self, host: str, key: str | None) -> None:
        """Find the account of `host` and `key`; neither can be read from what is stored."""
        digest = blake2b(f"{host}\0{key or ''}".encode(), digest_size=16, person=b"twofold quota").hexdigest()
        folder = _folder()
        self._path = folder / digest if folder else None
        self._lock = threading.Lock()
        self._data = b""

    @contextmanager
    def open(self, now: float) -> Iterator[Account]:
        """The account, up to date, to be changed by nobody else meanwhile."""
        with self._lock, self._file() as file:
            account = _unpack(os.pread(file, _FORM.size, 0) if file is not None else self._data, now)
            yield account
            self._data = _pack(account)
            if file is not None:
                os.pwrite(file, self._data, 0)

    @contextmanager
    def _file(self) -> Iterator[int | None]:
        if self._path is None:
            yield None
            return
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield file
        finally:
            os.close(file)


def _folder() -> Path | None:
    """A folder that only this user can write to; None where there is none, or no file locks."""
    if fcntl is None:
        return None
    folder = Path(tempfile.gettempdir(), f"twofold-{os.getuid()}")
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return None
    private = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o022
    return folder if private and os.access(folder, os.W_OK) else None
