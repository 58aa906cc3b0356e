"""What the hosted client does, without doing it: one generator that decides, for two drivers that carry it out.

    step = yield-ed Step(send, wait)      the driver starts `send`, waits until an answer or `wait` seconds
    answers = sent-in list of Answer      whatever came, perhaps nothing

No sockets, no threads, no sleeping here, and the clock is handed in; so every rule can be tested as a plain function
of answers and time. The rules:

    retry         408, 409, 425, 429, 5xx, no connection, no whole answer, not JSON: after Retry-After, which holds back
                  the whole limiter, or a jittered exponential back-off; within a budget that all callers share
    split         413, and 400 or 422 for several texts: both halves, until the text at fault stands alone
    item refused  400, 413 or 422 for one text (or one late-chunked document): the others go on
    all refused   401, 402, 403, 404 and what else is no use to repeat: nothing more is sent
    not believed  200 with vectors that cannot be right: asked for once more, then an error
"""

from __future__ import annotations

import heapq
import logging
import random
import time
from collections import deque
from dataclasses import dataclass
from itertools import accumulate, count
from typing import TYPE_CHECKING

import numpy as np

from twofold.documents import span_counts
from twofold.errors import DeadlineExceeded, ProviderUnavailable, RequestRefused, ResponseInvalid
from twofold.hosted.call import Usage
from twofold.hosted.exchange import Request, reason_of, request_id, retry_after
from twofold.hosted.packing import Item, Piece
from twofold.wires.wire import Garbled, Violation

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from twofold.backend import Report
    from twofold.errors import ProviderError
    from twofold.hosted.call import Call
    from twofold.hosted.exchange import Answer
    from twofold.hosted.limiter import Grant, Limiter
    from twofold.vectors import FloatArray
    from twofold.wires.wire import Reply

RETRY = frozenset({408, 409, 425, 429})
SPLIT = frozenset({400, 413, 422})
TRIES = 6
FIRST_BACKOFF, LONGEST_BACKOFF = 0.5, 20.0
GRACE = 5.0
"""Seconds that requests under way still have once the call is lost: what comes is paid for, and kept."""
UNIT = 1e-2
PROBE = "test"
"""Sent once when everything is refused so far: if this is too, the texts are not to blame."""
SLACK_BYTES, WIDEST, NUMBER_BYTES = 65_536, 16_384, 25
"""The most bytes of an answer: something for its frame, and 25 for each number as JSON."""
LOG = logging.getLogger("twofold.hosted")


@dataclass(frozen=True, slots=True)
class Step:
    """What the driver is to do: start these requests, and come back at an answer, or after `wait` seconds."""

    send: tuple[Request, ...]
    wait: float


@dataclass(slots=True)
class _Try:
    """A piece on its way: how often it was sent, how often its answer was not believed, whether it is the probe."""

    piece: Piece
    probe: bool = False
    tries: int = 0
    disbelieved: int = 0

    def is_window_of(self, document: int) -> bool:
        """Whether this is a part of one late-chunked document."""
        return self.piece.late and self.piece.items[0].document == document


@dataclass(frozen=True, slots=True)
class _Lost:
    """Why nothing more is sent."""

    kind: type[ProviderError]
    reason: str
    status: int | None = None
    request_id: str | None = None


class Flow:
    """One call: `run` is the generator, and returns the vectors."""

    def __init__(
        self,
        call: Call,
        limiter: Limiter,
        *,
        report: Report | None = None,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """Take everything that decides as arguments."""
        self.call, self.limiter, self.usage = call, limiter, Usage()
        self.proved = call.proved
        self._report, self._clock, self._jitter = report, clock, jitter
        self.most_items: int | None = None  # until a request was too large
        self._items = sum(len(piece.items) for piece in call.pieces)
        self._ready = deque(_Try(piece) for piece in call.pieces)
        self._later: list[tuple[float, int, _Try]] = []
        self._under_way: dict[int, tuple[_Try, Grant]] = {}
        self._numbers = count()
        self._until = call.deadline
        self._vectors: FloatArray | None = None
        self._first = [0, *accumulate(span_counts(call.documents))]
        self._left = span_counts(call.documents)
        self._failed: dict[int, str] = {}
        self._refusal: _Lost | None = None
        self._lost: _Lost | None = None
        self._probed = False

    def run(self) -> Generator[Step, list[Answer], FloatArray]:
        """Yield what is to be done, take what came of it, return the vectors of all rows.

        Raises:
            ProviderError: see `twofold.errors`; with what was done in `partial`, and the reasons in `failed`.
        """
        try:
            while self._under_way or (not self._lost and (self._ready or self._later)):
                step = Step(*self._choose(self._clock()))
                for answer in (yield step):
                    self._settle(answer)
        finally:
            for _ in self._under_way:
                self.limiter.release()
        self._end()
        return np.zeros((0, 0), np.float32) if self._vectors is None else self._vectors

    # -- before an answer ---------------------------------------------------------------------------------------------

    def _choose(self, now: float) -> tuple[tuple[Request, ...], float]:
        """The requests to start now, and the seconds until there may be more."""
        if now >= self._until:
            self._lose(DeadlineExceeded, f"the timeout of {self.call.timeout:g} s ran out")
            self._end()
        while self._later and self._later[0][0] <= now:
            self._ready.appendleft(heapq.heappop(self._later)[2])
        send: list[Request] = []
        wait = (self._later[0][0] if self._later else self._until) - now
        while self._ready and not self._lost and len(self._under_way) < self._room():
            attempt = self._ready[0] = self._small_enough(self._ready.popleft())
            leave = self.limiter.acquire(attempt.piece.tokens, now, retry=attempt.tries > 0)
            if isinstance(leave, float):
                if now + leave >= self._until:
                    self._lose(ProviderUnavailable, f"its limits ask for a wait of {leave:.0f} s, {self._too_long()}")
                wait = min(wait, leave)
                break
            send.append(self._start(self._ready.popleft(), leave))
        return tuple(send), max(0.0, min(wait, self._until - now))

    def _room(self) -> int:
        """Requests under way at once: one until the key and the model are known to be accepted."""
        return self.call.concurrency if self.proved else 1

    def _small_enough(self, attempt: _Try) -> _Try:
        """The attempt, or its first part where a request of its size has been too large before."""
        while self.most_items and len(attempt.piece.items) > self.most_items and not attempt.piece.late:
            first, second = attempt.piece.halves()
            self._ready.appendleft(_Try(second))
            attempt = _Try(first)
        self._ready.appendleft(attempt)
        return attempt

    def _start(self, attempt: _Try, grant: Grant) -> Request:
        number, piece = next(self._numbers), attempt.piece
        self._under_way[number] = attempt, grant
        self.usage.requests += 1
        self.usage.retries += attempt.tries > 0
        body = self.call.write(piece)
        return Request(number, body, SLACK_BYTES + len(piece.items) * (self.call.width or WIDEST) * NUMBER_BYTES)

    # -- after an answer ----------------------------------------------------------------------------------------------

    def _settle(self, answer: Answer) -> None:
        attempt, grant = self._under_way.pop(answer.number)
        self.limiter.release()
        now = self._clock()
        if answer.status == 200 and not answer.wrong:
            self._read(attempt, grant, answer, now)
        elif self._lost:
            return
        elif answer.wrong:
            self._disbelieve(attempt, answer.wrong, answer)
        elif not answer.status:
            if answer.slow:
                self.limiter.refused(grant, {}, None, now)
            self._again(attempt, answer, ProviderUnavailable, answer.fault)
        elif answer.status in RETRY or answer.status >= 500 or answer.status in self.call.busy:
            self._busy(attempt, grant, answer, now)
        elif answer.status in SPLIT:
            self._split(attempt, answer)
        else:
            self._lose(RequestRefused, self._reason(answer), answer)

    def _busy(self, attempt: _Try, grant: Grant, answer: Answer, now: float) -> None:
        """Wait for as long as the provider says, and hold back everyone else meanwhile."""
        hold = retry_after(answer.headers)
        if answer.status == 429:
            self.limiter.refused(grant, answer.headers, hold, now)
        elif hold is not None:
            self.limiter.hold(hold, now)
        self._again(attempt, answer, ProviderUnavailable, self._reason(answer), hold)

    def _again(
        self, attempt: _Try, answer: Answer, kind: type[ProviderError], why: str, hold: float | None = None
    ) -> None:
        """Put the piece back for later; or give up: too many tries, no budget, no time."""
        now = self._clock()
        attempt.tries += 1
        affordable = self.limiter.may_retry(now)
        if answer.status != 429:  # a full minute is no failure: that one waits for as long as there is time
            if attempt.tries >= TRIES:
                self._lose(kind, f"{why} (tried {attempt.tries} times)", answer)
                return
            if not affordable:
                self._lose(kind, f"{why} (too many requests fail now to try again)", answer)
                return
        longest = min(LONGEST_BACKOFF, FIRST_BACKOFF * 2.0 ** min(attempt.tries - 1, 10))
        delay = longest * (0.5 + self._jitter() / 2) if hold is None else hold
        if now + delay >= self._until:
            self._lose(kind, f"{why}; the next try would be in {delay:.0f} s, {self._too_long()}", answer)
            return
        LOG.info("%s; trying again in %.2f s", why, delay)
        heapq.heappush(self._later, (now + delay, next(self._numbers), attempt))

    def _split(self, attempt: _Try, answer: Answer) -> None:
        """Look for the text at fault, after a look at whether it is a text at all."""
        items, reason = attempt.piece.items, self._reason(answer)
        if attempt.probe:
            self._lose(RequestRefused, reason, answer)
            return
        if len(items) > 1 and not attempt.piece.late:
            if answer.status == 413:
                self.most_items = min(self.most_items or len(items), len(items) // 2)
            self._ready.extendleft(map(_Try, reversed(attempt.piece.halves())))
        else:
            self._fail(items[0].document, reason, answer)
        if answer.status != 413 and not self.proved and not self._probed and self._items > 1:
            self._probed = True
            self._ready.appendleft(_Try(Piece((Item(PROBE, 1, items[0].document, None),)), probe=True))

    def _read(self, attempt: _Try, grant: Grant, answer: Answer, now: float) -> None:
        """Take the vectors of an answer, if they can be believed."""
        piece = attempt.piece
        try:
            reply = self.call.read(answer.body, piece)
            self._check(reply, piece)
        except Garbled:
            start = self.call.redact(answer.body[:60].decode(errors="replace"))
            self.limiter.accepted(grant, answer.headers, None, now)
            if not self._lost:
                self._again(attempt, answer, ResponseInvalid, f"its answer is not JSON: it starts with {start!r}")
            return
        except Violation as violation:
            self.limiter.accepted(grant, answer.headers, None, now)
            if not self._lost:
                self._disbelieve(attempt, str(violation), answer)
            return
        self.limiter.accepted(grant, answer.headers, reply.tokens, now)
        self.usage.tokens += reply.tokens or 0
        self.proved = True
        if piece.late and reply.tokens is not None and reply.tokens >= self.call.late_limit > piece.tokens:
            reason = f"it counts {reply.tokens} tokens, and may have cut the end off: use smaller documents"
            self._fail(piece.items[0].document, reason, answer)
        elif not attempt.probe:
            self._keep(reply, piece)

    def _disbelieve(self, attempt: _Try, why: str, answer: Answer) -> None:
        """Ask once more, then say what was wrong."""
        attempt.disbelieved += 1
        if attempt.disbelieved > 1:
            self._lose(ResponseInvalid, f"its answer cannot be right, twice: {why}", answer)
        else:
            self._again(attempt, answer, ResponseInvalid, f"its answer cannot be right: {why}")

    def _check(self, reply: Reply, piece: Piece) -> None:
        """Refuse vectors that cannot be right.

        Raises:
            Violation: another width, a number that is not finite, zeros, another length than 1, another model.
        """
        vectors = reply.vectors
        width = self.call.width if self._vectors is None else self._vectors.shape[1]
        if width is not None and vectors.shape[1] != width:
            raise Violation(f"vectors of {vectors.shape[1]} dimensions came, and {width} were asked for")
        if not np.isfinite(vectors).all():
            raise Violation("a vector has NaN or infinity")
        norms = np.linalg.norm(vectors.astype(np.float64), axis=1)
        if not norms.all():
            raise Violation("a vector is all zeros")
        if self.call.unit and np.abs(norms - 1).max() > UNIT:
            raise Violation(f"a vector has length {norms[np.abs(norms - 1).argmax()]:.3f}, and 1 was asked for")
        if reply.model is not None and not self.call.echoes(reply.model):
            raise Violation(f"the model {self.call.redact(reply.model)[:80]!r} answered, which was not asked for")

    def _keep(self, reply: Reply, piece: Piece) -> None:
        if self._vectors is None:
            self._vectors = np.zeros((self._first[-1], reply.vectors.shape[1]), np.float32)
        done = 0
        for item, vector in zip(piece.items, reply.vectors, strict=True):
            if item.row is not None:
                self._vectors[item.row] = vector
                self._left[item.document] -= 1
                done += not self._left[item.document]
        if self._report is not None:
            self._report(done, piece.tokens if reply.tokens is None else reply.tokens)

    # -- the end ------------------------------------------------------------------------------------------------------

    def _fail(self, document: int, reason: str, answer: Answer) -> None:
        """One document has no vectors; the others go on."""
        self._failed[document] = reason
        self._refusal = self._refusal or _Lost(RequestRefused, reason, answer.status, request_id(answer))
        # The other windows of a long document are of no use now.
        self._ready = deque(attempt for attempt in self._ready if not attempt.is_window_of(document))
        self._later = [entry for entry in self._later if not entry[2].is_window_of(document)]
        heapq.heapify(self._later)

    def _lose(self, kind: type[ProviderError], reason: str, answer: Answer | None = None) -> None:
        """Send nothing more; what is under way has a few seconds still, since it is paid for."""
        if self._lost is None:
            self._lost = _Lost(kind, reason)
            if answer is not None:
                self._lost = _Lost(kind, reason, answer.status or None, request_id(answer))
            self._until = min(self._until, self._clock() + GRACE)

    def _end(self) -> None:
        """Raise what there is to raise.

        Raises:
            ProviderError: the call was lost, or documents have failed.
        """
        lost = self._lost or self._refusal
        if lost is None:
            return
        failed = dict(self._failed)
        if self._lost:
            failed |= {index: lost.reason for index, left in enumerate(self._left) if left and index not in failed}
        partial = {
            index: self._rows(index) for index, left in enumerate(self._left) if not left and index not in failed
        }
        which = f"text {min(failed)}" + (f" and {len(failed) - 1} more" if len(failed) > 1 else "") if failed else "all"
        kept = f"; {len(partial)} others are done, in .partial" if partial else ""
        message = lost.reason if self._lost else f"{which} refused: {lost.reason}"
        raise lost.kind(
            f"{self.call.name}: {message}{kept}",
            status=lost.status,
            request_id=lost.request_id,
            partial=partial,
            failed=failed,
        )

    def _rows(self, index: int) -> FloatArray:
        assert self._vectors is not None  # noqa: S101 - a document is done
        return self._vectors[self._first[index] : self._first[index + 1]].copy()

    def _too_long(self) -> str:
        return f"over what is left of the timeout of {self.call.timeout:g} s"

    def _reason(self, answer: Answer) -> str:
        said = "redirects are not followed" if 300 <= answer.status < 400 else reason_of(answer.body)
        return f"{answer.status} {self.call.redact(said)}".strip()
