"""What the hosted client does, without doing it: one generator that decides, for a runner that carries it out.

    step = yield-ed Step(send, wait)      the runner starts `send`, waits until an answer or `wait` seconds
    answers = sent-in list of Answer      whatever came, perhaps nothing

No sockets and no sleeping here, and the clock is handed in; so every rule can be tested as a plain function of answers
and time. The rules:

    again         408, 409, 425, 429, 5xx, no connection, no whole answer, not JSON: the limiter pauses everyone, one
                  request at a time looks whether the provider is back, for as long as there is time
    halve         504 and silence, the first, third, … time: the batch may be too much for the provider's own timeout
    split         400, 413 or 422 for several texts: both halves, until the text at fault stands alone. If both halves
                  are taken, size was the fault, and is remembered
    item refused  400, 413 or 422 for one text (or one late-chunked document): the others go on
    all refused   401, 402, 403, 404 and what else is no use to repeat: nothing more is sent. So too where one word is
                  refused after many texts were, and where more texts are refused than taken
    not believed  200 with vectors that cannot be right: asked for once more, then an error
"""

from __future__ import annotations

import logging
import time
from collections import deque
from dataclasses import dataclass, replace
from itertools import accumulate, count
from typing import TYPE_CHECKING

import numpy as np

from twofold.documents import span_counts
from twofold.errors import DeadlineExceeded, ProviderUnavailable, RequestRefused, ResponseInvalid
from twofold.hosted.call import Usage
from twofold.hosted.exchange import Request, reason_of, retry_after
from twofold.hosted.limiter import Wait
from twofold.hosted.piece import PROBE, Attempt, Lost, Piece, Whole
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

AGAIN = frozenset({408, 409, 425, 429})
SPLIT = frozenset({400, 413, 422})
GARBLED_TRIES = 6
GRACE = 5.0
"""Seconds that requests under way still have once the call is lost: what comes is paid for, and kept."""
LAST_LOOK = 5.0
"""Seconds before the end, at most a tenth of the timeout, at which a call whose provider is away asks a last time."""
SHORT = 0.1
"""Seconds of a wait that nobody is told would be too long."""
REFUSED_IN_A_ROW = 16
"""Refusals without a success between them after which one word is sent: if it is refused too, no text is to blame."""
REFUSED_TEXTS = 32
"""Texts that may be refused before more must have been taken than refused."""
SLACK_BYTES, WIDEST, NUMBER_BYTES = 65_536, 16_384, 25
"""The most bytes of an answer: something for its frame, and 25 for each number as JSON."""
LOG = logging.getLogger("twofold.hosted")


@dataclass(frozen=True, slots=True)
class Step:
    """What the runner is to do: start these requests, and come back at an answer, or after `wait` seconds.

    With `others` it waits in the limiter's line too, for the end of another call's request.
    """

    send: tuple[Request, ...]
    wait: float
    others: bool = False


class Flow:
    """One call: `run` is the generator, and returns the vectors."""

    def __init__(
        self,
        call: Call,
        limiter: Limiter,
        *,
        report: Report | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take everything that decides as arguments."""
        self.call, self.limiter, self.usage = call, limiter, Usage()
        self.proved = call.proved
        self._report, self._clock = report, clock
        self._ready = deque(Attempt(piece) for piece in call.pieces)
        self._under_way: dict[int, tuple[Attempt, Grant]] = {}
        self._numbers = count()
        self._until = call.deadline
        self._vectors: FloatArray | None = None
        self._first = [0, *accumulate(span_counts(call.documents))]
        self._left = span_counts(call.documents)
        self._done = self._in_a_row = 0
        self._failed: dict[int, str] = {}
        self._refusal: Lost | None = None
        self._lost: Lost | None = None
        self._trouble: Lost | None = None
        self._probed = self._looked = False

    def run(self) -> Generator[Step, list[Answer], FloatArray]:
        """Yield what is to be done, take what came of it, return the vectors of all rows.

        Raises:
            ProviderError: see `twofold.errors`; with what was done in `partial`, and the reasons in `failed`.
        """
        try:
            while self._under_way or (self._ready and not self._lost):
                step = self._choose(self._clock())
                for answer in (yield step):
                    self._settle(answer)
        finally:
            for _, grant in self._under_way.values():
                self.limiter.release(grant)
        self._end()
        return np.zeros((0, 0), np.float32) if self._vectors is None else self._vectors

    # -- before an answer ---------------------------------------------------------------------------------------------

    def _choose(self, now: float) -> Step:
        """The requests to start now, and how long to wait until there may be more."""
        if now >= self._until:
            self._run_out()
            self._end()
        send: list[Request] = []
        wait, others = self._until - now, False
        while self._ready and not self._lost and len(self._under_way) < self._room():
            attempt = self._small_enough(self._ready.popleft())
            leave = self.limiter.acquire(attempt.piece.tokens, now)
            if isinstance(leave, Wait):
                leave = self._bear(leave, attempt, now)
            if isinstance(leave, Wait):
                self._ready.appendleft(attempt)
                wait, others = min(wait, leave.seconds), leave.others
                break
            send.append(self._start(attempt, leave))
        return Step(tuple(send), max(0.0, min(wait, self._until - now)), others)

    def _room(self) -> int:
        """Requests under way at once: one until the key and the model are known to be accepted."""
        return self.call.at_once if self.proved else 1

    def _bear(self, wait: Wait, attempt: Attempt, now: float) -> Grant | Wait:
        """Whether there is time to wait, and if not, whether to look a last time."""
        left = self._until - now
        if wait.away is not None and wait.away + wait.seconds > self.call.max_outage:
            self._lose(ProviderUnavailable, f"{self._last_words()}; away for max_outage={self.call.max_outage:g} s")
        elif wait.others or wait.seconds < left or wait.seconds <= SHORT:
            return wait
        elif wait.away is None:
            self._lose(ProviderUnavailable, f"its limits ask for a wait of {wait.seconds:.0f} s, {self._too_long()}")
        elif (look := left - min(LAST_LOOK, self.call.timeout / 10)) > 0:
            return Wait(look)
        elif not self._looked:
            self._looked = True
            return self.limiter.acquire(attempt.piece.tokens, now, last=True)
        return wait

    def _small_enough(self, attempt: Attempt) -> Attempt:
        """The attempt, or as much of it as the provider is known to take."""
        sizes, piece = self.call.sizes, attempt.piece
        if piece.late or len(piece.items) == 1 or sizes.allow(len(piece.items), piece.size):
            return attempt
        first, rest = piece.cut(sizes.items.limit, sizes.bytes.limit)
        self._ready.appendleft(Attempt(rest))
        return Attempt(first)

    def _start(self, attempt: Attempt, grant: Grant) -> Request:
        number, piece = next(self._numbers), attempt.piece
        self._under_way[number] = attempt, grant
        self.usage.requests += 1
        self.usage.retries += attempt.tries > 0
        most = SLACK_BYTES + len(piece.items) * (self.call.width or WIDEST) * NUMBER_BYTES
        return Request(number, self.call.write(piece), most, piece.late)

    # -- after an answer ----------------------------------------------------------------------------------------------

    def _settle(self, answer: Answer) -> None:
        attempt, grant = self._under_way.pop(answer.number)
        self.limiter.release(grant)
        if answer.status == 200 and not answer.wrong:
            self._read(attempt, grant, answer)
        elif self._lost:
            return
        elif answer.wrong:
            self._disbelieve(attempt, answer.wrong, answer)
        elif answer.hopeless:
            self._lose(ProviderUnavailable, answer.reason, answer)
        elif not answer.status or answer.status in AGAIN | self.call.busy or answer.status >= 500:
            self._again(attempt, grant, answer)
        elif answer.status in SPLIT:
            self._refuse(attempt, answer)
        else:
            self._lose(RequestRefused, answer.reason, answer)

    def _again(self, attempt: Attempt, grant: Grant, answer: Answer) -> None:
        """The provider is busy or away: hold everyone back, and put the piece first in line."""
        now = self._clock()
        hold = retry_after(answer.headers)
        self._note(ProviderUnavailable, answer.reason, answer)
        if answer.status == 429 and answer.is_spent:
            self._lose(RequestRefused, answer.reason, answer)
            return
        if hold is not None and now + hold >= self._until:
            reason = f"{answer.reason}; it asks for a wait of {hold:.0f} s, {self._too_long()}"
            self._lose(ProviderUnavailable, reason, answer)
            hold = self._until - now  # for others: no longer than this call could have waited
        if answer.status == 429:
            self.limiter.refused(grant, answer.headers, hold, now)
        else:
            self.limiter.failed(grant, now)
            if hold is not None:
                self.limiter.hold(hold, now)
        self._put_back(attempt, slow=answer.slow or answer.status == 504, grant=grant)

    def _put_back(self, attempt: Attempt, grant: Grant, *, slow: bool = False) -> None:
        """First in line again; in halves, where its size may be what takes too long."""
        attempt.tries += 1
        attempt.silences += slow
        if slow:
            self.limiter.narrow(grant)
        if slow and attempt.silences % 2 and len(attempt.piece.items) > 1 and not attempt.piece.late:
            self._halve(attempt)
        else:
            self._ready.appendleft(attempt)

    def _halve(self, attempt: Attempt) -> None:
        whole = Whole(attempt.piece)
        halves = (
            Attempt(half, tries=attempt.tries, silences=attempt.silences, whole=whole)
            for half in attempt.piece.halves()
        )
        self._ready.extendleft(reversed(tuple(halves)))

    def _refuse(self, attempt: Attempt, answer: Answer) -> None:
        """Look for the text at fault, after a look at whether it is a text at all."""
        items, reason = attempt.piece.items, answer.reason
        self._in_a_row += 1
        if attempt.probe:
            self._lose(RequestRefused, reason, answer)
            return
        if len(items) > 1 and not attempt.piece.late:
            self._halve(attempt)
        else:
            self._fail(items[0].documents, reason, answer)
        first = not self.proved and not self._probed and answer.status != 413 and len(self._left) > 1
        if first or self._in_a_row >= REFUSED_IN_A_ROW:
            self._probed, self._in_a_row = True, 0
            self._ready.appendleft(Attempt(Piece((PROBE,)), probe=True))

    def _read(self, attempt: Attempt, grant: Grant, answer: Answer) -> None:
        """Take the vectors of an answer, if they can be believed."""
        piece = attempt.piece
        try:
            reply = self.call.read(answer.body, piece)
            width = self.call.width if self._vectors is None else self._vectors.shape[1]
            self.call.check(reply, width, answer.redact)
        except Garbled:
            self._garbled(attempt, grant, answer)
            return
        except Violation as violation:
            self.limiter.accepted(grant, answer.headers, None)
            if not self._lost:
                said = answer.redact(reason_of(answer.body)) if answer.body[:1] == b"{" else ""
                self._disbelieve(attempt, f"{violation}{said and f'; it says {said!r}'}", answer)
            return
        self.limiter.accepted(grant, answer.headers, reply.tokens)
        self.usage.tokens += reply.tokens or 0
        self.usage.unsaid += piece.tokens if reply.tokens is None else 0
        self.proved, self._in_a_row = True, 0
        if attempt.probe:
            return
        self._learn_size(attempt)
        if piece.late and reply.tokens is not None and reply.tokens >= self.call.late_limit > piece.tokens:
            reason = f"it counts {reply.tokens} tokens, and may have cut the end off: use smaller documents"
            self._fail(piece.items[0].documents, reason, answer)
        else:
            self._keep(reply, piece)

    def _learn_size(self, attempt: Attempt) -> None:
        """A request of this size is taken; where both halves of one are, its size was what was refused."""
        sizes, whole = self.call.sizes, attempt.whole
        sizes.accepted(len(attempt.piece.items), attempt.piece.size)
        if whole is not None:
            whole.taken += 1
            if whole.taken == 2:
                sizes.refused(len(whole.piece.items), whole.piece.size)

    def _garbled(self, attempt: Attempt, grant: Grant, answer: Answer) -> None:
        """Not JSON: a captive portal, a proxy's page, an answer cut short. That passes, or it does not."""
        if self._lost:
            return
        attempt.garbled += 1
        start = answer.redact(answer.body[:60].decode(errors="replace"))
        reason = f"its answer is not JSON: it starts with {start!r}"
        if attempt.garbled >= GARBLED_TRIES:
            self._lose(ResponseInvalid, f"{reason} (tried {attempt.garbled} times)", answer)
            return
        self._note(ResponseInvalid, reason, answer)
        self.limiter.failed(grant, self._clock())
        self._put_back(attempt, grant)

    def _disbelieve(self, attempt: Attempt, why: str, answer: Answer) -> None:
        """Ask once more, then say what was wrong."""
        attempt.disbelieved += 1
        if attempt.disbelieved > 1:
            self._lose(ResponseInvalid, f"its answer cannot be right, twice: {why}", answer)
            return
        self._note(ResponseInvalid, f"its answer cannot be right: {why}", answer)
        attempt.tries += 1
        self._ready.appendleft(attempt)

    def _keep(self, reply: Reply, piece: Piece) -> None:
        if self._vectors is None:
            self._vectors = np.zeros((self._first[-1], reply.vectors.shape[1]), np.float32)
        before = self._done
        for item, vector in zip(piece.items, reply.vectors, strict=True):
            for document, row in zip(item.documents, item.rows, strict=False):
                self._vectors[row] = vector
                self._left[document] -= 1
                self._done += not self._left[document]
        if self._report is not None:
            self._report(self._done - before, piece.tokens if reply.tokens is None else reply.tokens)

    # -- the end ------------------------------------------------------------------------------------------------------

    def _fail(self, documents: tuple[int, ...], reason: str, answer: Answer) -> None:
        """A document, and its twins, have no vectors; the others go on."""
        self._failed |= dict.fromkeys(documents, reason)
        self._refusal = self._refusal or Lost(RequestRefused, reason, answer.status, answer.request_id)
        # The other windows of a long document are of no use now.
        self._ready = deque(attempt for attempt in self._ready if not attempt.is_window_of(documents[0]))
        if len(self._failed) >= REFUSED_TEXTS and len(self._failed) > self._done:
            self._lose(RequestRefused, f"{reason} ({len(self._failed)} texts refused, {self._done} taken)", answer)

    def _note(self, kind: type[ProviderError], reason: str, answer: Answer) -> None:
        """Keep the last trouble for the error, should this be the end."""
        LOG.info("%s: %s; trying again", self.call.name, reason)
        self._trouble = Lost(kind, reason, answer.status or None, answer.request_id)

    def _last_words(self) -> str:
        return self._trouble.reason if self._trouble else "it does not answer another call's requests"

    def _run_out(self) -> None:
        """The timeout is over: the provider was away, or too slow."""
        over = f"the timeout of {self.call.timeout:g} s ran out"
        if self._trouble is not None and not self._under_way:
            self._lose(self._trouble.kind, f"{self._trouble.reason}; {over}")
        else:
            self._lose(DeadlineExceeded, over)

    def _lose(self, kind: type[ProviderError], reason: str, answer: Answer | None = None) -> None:
        """Send nothing more; what is under way has a few seconds still, since it is paid for."""
        if self._lost is None:
            lost = self._trouble if answer is None else Lost(kind, reason, answer.status or None, answer.request_id)
            self._lost = replace(lost or Lost(kind, reason), kind=kind, reason=reason)
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
        raise lost.kind(
            lost.reason,
            asked=self.call.name,
            blames_inputs=self._lost is None,
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
