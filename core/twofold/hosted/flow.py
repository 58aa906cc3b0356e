"""The rules of the hosted client as a generator without I/O: it decides, and a runner carries out each step.

    step = yielded Step(send, wait)       the runner starts `send`, then waits for an answer or `wait` seconds
    answers = list of Answer sent in      the answers that arrived meanwhile; may be empty

The flow opens no sockets and never sleeps, and the clock is an argument. Every rule can therefore be tested as a plain
function of answers and time. The rules:

    retry         408, 409, 425, 429, 5xx, no connection, an incomplete answer, an answer that is not JSON. If other
                  requests are answered meanwhile, only this one waits. Otherwise the limiter pauses all calls, then one
                  request at a time tests whether the provider is back, until time is up
    halve         504 or a read timeout, on the first, third, … occurrence: the batch may be too slow for the provider
    split         400, 413 or 422 for several texts: send both halves, until the refused text is alone. If both halves
                  are accepted, the size was the cause, and is remembered. The same for a 5xx that comes again, while
                  other requests are answered; if there are no others, one word is sent to find out
    refuse one    400, 413 or 422 for one text (or one late-chunked document), or a 5xx for it again and again while
                  others are answered: the other texts continue
    refuse all    401, 402, 403, 404 and every other status that no retry changes: the call ends. The call also ends if
                  a one-word probe is refused after many texts were, or if more texts are refused than accepted
    reject        2xx with vectors that cannot be right: sent once more, then an error
    other model   2xx from another model: the call ends, since the answer was paid for and the next would be the same
"""

from __future__ import annotations

import logging
import time
from collections import deque
from dataclasses import dataclass, replace
from itertools import accumulate, count
from math import inf
from typing import TYPE_CHECKING

import numpy as np

from twofold.documents import span_counts
from twofold.errors import DeadlineExceeded, ProviderUnavailable, RequestRefused, ResponseInvalid
from twofold.hosted.call import Usage
from twofold.hosted.exchange import Request
from twofold.hosted.limiter import Wait
from twofold.hosted.piece import PROBE, Attempt, Failure, Piece, Split
from twofold.progress import notice
from twofold.wires.limits import retry_after, stated_quotas
from twofold.wires.wire import Garbled, OtherModel, Violation

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
GARBLED_TRIES = 6
GRACE = 5.0
"""Seconds that requests under way get after the call has failed: their answers are paid for, and kept."""
FIRST_CONTACT = 5.0
"""Seconds to wait for a host that cannot be reached and has never answered, unless `max_outage` is set."""
VISIBLE, BETWEEN_NOTICES = 2.0, 60.0
"""Seconds. A wait of the first length is reported, and reported again each time that the second has passed."""
LAST_LOOK = 5.0
"""If the provider is unavailable, a call sends one last request this many seconds before its deadline (at most a tenth
of the timeout)."""
SHORT = 0.1
"""Seconds. A wait this short is never reported as longer than the time left."""
BLAMED = 3
"""After this many further 5xx for one text, each while other requests were answered, the text is refused."""
SUSPECTED = 3
"""After this many 5xx for everything that is left of a call, one word is sent to find out whether the texts are the
cause."""
REFUSED_IN_A_ROW = 16
"""After this many refusals without a success, one word is sent as a probe. If it is refused too, the texts are not the
cause."""
REFUSED_TEXTS = 32
"""Once this many texts are refused, the call ends unless more texts were accepted than refused."""
MARGIN = 3
"""Tokens by which a provider's count of a text that it cut may be below the model's length: special tokens."""
SLACK_BYTES, WIDEST, NUMBER_BYTES = 65_536, 16_384, 25
"""The largest answer in bytes: 65,536 for everything but the vectors, and 25 for each number as JSON."""
LOG = logging.getLogger("twofold.hosted")


@dataclass(frozen=True, slots=True)
class Step:
    """What the runner does next: start these requests, then wait for an answer, or for `wait` seconds.

    With `others`, the runner also waits in the limiter's line for the end of another call's request.
    """

    send: tuple[Request, ...]
    wait: float
    others: bool = False


class Flow:
    """One call. `run` is the generator; it returns the vectors."""

    def __init__(
        self,
        call: Call,
        limiter: Limiter,
        *,
        report: Report | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.call, self.limiter, self.usage = call, limiter, Usage()
        self.proved = call.proved  # the model and key have been accepted
        self._report, self._clock = report, clock
        self._ready = deque(Attempt(piece) for piece in call.pieces)
        self._delayed: list[tuple[float, Attempt]] = []  # those that wait alone, and until when
        self._under_way: dict[int, tuple[Attempt, Grant]] = {}  # by the request's number
        self._numbers = count()
        self._deadline = call.deadline  # earlier once the call has failed
        self._vectors: FloatArray | None = None
        self._first_rows = [0, *accumulate(span_counts(call.documents))]  # of each document in `_vectors`
        self._missing = span_counts(call.documents)  # vectors that each document still lacks
        self._finished = 0  # documents that have all their vectors
        self._refused: dict[int, str] = {}  # document -> reason
        self._refused_in_a_row = 0  # requests
        self._first_refusal: Failure | None = None  # of a document; the other documents continue
        self._fatal: Failure | None = None  # ends the call: nothing more is sent
        self._last_failure: Failure | None = None  # one that was retried
        self._sent_probe = self._sent_last_look = False
        self._failing_since: float | None = None  # the first failure since the last answer
        self._never_reached = False  # the last failure: no connection to a host that has never answered

    def run(self) -> Generator[Step, list[Answer], FloatArray]:
        """Yield each step, receive the answers, return the vectors of all rows.

        Raises:
            ProviderError: the call failed, or documents were refused. `partial` has the finished vectors, `failed` the
                reasons.
        """
        try:
            while self._under_way or ((self._ready or self._delayed) and not self._fatal):
                step = self._next_step(self._clock())
                for answer in (yield step):
                    self._handle(answer)
        finally:
            for _, grant in self._under_way.values():
                self.limiter.release(grant)
        self._raise_failure()
        return np.zeros((0, 0), np.float32) if self._vectors is None else self._vectors

    # -- before an answer ---------------------------------------------------------------------------------------------

    def _next_step(self, now: float) -> Step:
        if now >= self._deadline:
            self._time_out()
            self._raise_failure()
        due = [attempt for until, attempt in self._delayed if until <= now]
        self._delayed = [(until, attempt) for until, attempt in self._delayed if until > now]
        self._ready.extendleft(due)
        send: list[Request] = []
        wait, others = min([self._deadline, *(until for until, _ in self._delayed)]) - now, False
        while self._ready and not self._fatal and len(self._under_way) < self._most_at_once():
            attempt = self._cut_to_known_size(self._ready.popleft())
            leave = self.limiter.acquire(attempt.piece.tokens, now)
            if isinstance(leave, Wait):
                leave = self._accept_wait(leave, attempt, now)
            if isinstance(leave, Wait):
                self._ready.appendleft(attempt)
                wait, others = min(wait, leave.seconds), leave.others
                break
            send.append(self._start(attempt, leave))
        wait = max(0.0, min(wait, self._deadline - now))
        if not send and not self._fatal:
            wait = self._give_notice(wait, now)
        return Step(tuple(send), wait, others)

    def _give_notice(self, wait: float, now: float) -> float:
        """Report, once a minute, which host the call waits for and until when. Returns the time of the next check."""
        since = self._failing_since
        if since is None or now - since + wait < VISIBLE:
            return wait
        if now >= self.limiter.notice_at:
            self.limiter.notice_at = now + BETWEEN_NOTICES
            left = min(self._deadline - now, self.call.max_outage)
            end = "" if left == inf else f" until {time.strftime('%H:%M:%S', time.localtime(time.time() + left))}"
            text = f"waiting{end} for {self.call.host}: {self._last_reason()}"
            if not notice(text) or LOG.hasHandlers():
                LOG.warning("%s: %s", self.call.name, text)
        return min(wait, self.limiter.notice_at - now)

    def _most_at_once(self) -> int:
        """One request until the key and the model have been accepted."""
        return self.call.at_once if self.proved else 1

    def _accept_wait(self, wait: Wait, attempt: Attempt, now: float) -> Grant | Wait:
        """Return the wait if there is time for it; otherwise end the call, or send one last request."""
        left = self._deadline - now
        if self._never_reached and wait.away is not None and wait.away + wait.seconds > FIRST_CONTACT:
            reason = f"{self._last_reason()}: {self.call.host} has never answered. Check the address and the network"
            self._end_call(ProviderUnavailable, f"{reason}; to wait for a server that starts later, set max_outage")
        elif wait.away is not None and wait.away + wait.seconds > self.call.max_outage:
            reason = f"{self._last_reason()}; unavailable for longer than max_outage={self.call.max_outage:g} s"
            self._end_call(ProviderUnavailable, reason)
        elif wait.others or wait.seconds < left or wait.seconds <= SHORT:
            return wait
        elif wait.away is None:
            reason = f"its rate limits require a wait of {wait.seconds:.0f} s, {self._over_time_left()}"
            self._end_call(ProviderUnavailable, reason)
        elif (look := left - min(LAST_LOOK, self.call.timeout / 10)) > 0:
            return Wait(look)
        elif not self._sent_last_look:
            self._sent_last_look = True
            return self.limiter.acquire(attempt.piece.tokens, now, last=True)
        return wait

    def _cut_to_known_size(self, attempt: Attempt) -> Attempt:
        """The attempt, or the part of it that the provider is known to accept; the rest goes back to `_ready`."""
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

    def _handle(self, answer: Answer) -> None:
        attempt, grant = self._under_way.pop(answer.number)
        self.limiter.release(grant)
        self.limiter.reached |= answer.status > 0
        if answer.is_success and not answer.wrong:
            self._read(attempt, grant, answer)
        elif self._fatal:
            return
        elif answer.wrong:
            self._reject(attempt, answer.wrong, answer)
        elif answer.hopeless:
            self._end_call(ProviderUnavailable, answer.reason, answer)
        elif not answer.status or answer.status in RETRY | self.call.busy or answer.status >= 500:
            self._retry(attempt, grant, answer)
        elif answer.status in SPLIT:
            self._isolate(attempt, answer)
        else:
            self._end_call(RequestRefused, answer.reason, answer)

    def _retry(self, attempt: Attempt, grant: Grant, answer: Answer) -> None:
        """The provider is busy or unavailable, or a text makes it fail: wait, and send the piece again."""
        now = self._clock()
        hold = retry_after(answer.headers, answer.body)
        self._record_failure(ProviderUnavailable, answer.reason, answer)
        if answer.status == 429 and answer.is_spent:
            self._end_call(RequestRefused, answer.reason, answer)
            return
        if hold is not None and now + hold >= self._deadline:
            reason = f"{answer.reason}; it asks for a wait of {hold:.0f} s, {self._over_time_left()}"
            self._end_call(ProviderUnavailable, reason, answer)
            hold = self._deadline - now  # hold other calls no longer than this call could have waited
        since, tries = attempt.failed_at, attempt.tries
        if answer.status == 429:
            quotas = stated_quotas(answer.headers)
            delay = self.limiter.refused(grant, quotas, hold, now, since=since, tries=tries)
        else:
            delay = self.limiter.failed(grant, now, since=since, tries=tries)
            if hold is not None:
                self.limiter.hold(hold, now)
        slow = answer.slow or answer.status == 504
        if answer.status >= 500 and not (slow or attempt.probe or self._fatal):
            if delay and tries:  # it failed before, and others were answered since
                attempt.blamed += 1
                if self._split_or_refuse(attempt, now, answer):
                    return
            elif not delay:
                self._suspect(attempt)
        self._requeue(attempt, grant, delay, slow=slow)

    def _split_or_refuse(self, attempt: Attempt, now: float, answer: Answer) -> bool:
        """Isolate the text that causes a 5xx. Returns False if there is not enough evidence against a single text."""
        attempt.failed_at = now
        if len(attempt.piece.items) > 1 and not attempt.piece.late:
            self._halve(attempt)
        elif attempt.blamed >= BLAMED:
            self._refuse_documents(attempt.piece.items[0].documents, answer.reason, answer)
        else:
            return False
        return True

    def _suspect(self, attempt: Attempt) -> None:
        """Nothing else is answered. If nothing else is sent either, send one word: only its answer can tell why."""
        others = self._ready or self._delayed or self._under_way
        if not others and (attempt.blamed or attempt.is_half or attempt.tries + 1 >= SUSPECTED):
            self._ready.append(Attempt(Piece((PROBE,)), probe=True))

    def _requeue(self, attempt: Attempt, grant: Grant, delay: float = 0.0, *, slow: bool = False) -> None:
        """Send it again, after `delay`; in halves if it may be too large to be answered in time."""
        attempt.tries += 1
        attempt.timeouts += slow
        attempt.failed_at = now = self._clock()
        attempt.failure = self._last_failure
        if slow:
            self.limiter.halve(grant)
        if slow and attempt.timeouts % 2 and len(attempt.piece.items) > 1 and not attempt.piece.late:
            self._halve(attempt)
        elif delay:
            self._delayed.append((now + delay, attempt))
        else:  # another piece goes first, since this one may be the cause
            self._ready.insert(1, attempt)

    def _halve(self, attempt: Attempt) -> None:
        split = Split(attempt.piece)
        first, second = (
            Attempt(
                half,
                tries=1,
                failed_at=attempt.failed_at,
                failure=attempt.failure,
                timeouts=attempt.timeouts,
                split=split,
            )
            for half in attempt.piece.halves()
        )
        self._ready.extendleft((second, first))

    def _isolate(self, attempt: Attempt, answer: Answer) -> None:
        """Search for the refused text; a probe of one word shows whether a text is the cause at all."""
        items, reason = attempt.piece.items, answer.reason
        self._refused_in_a_row += 1
        if attempt.probe:
            self._end_call(RequestRefused, reason, answer)
            return
        if len(items) > 1 and not attempt.piece.late:
            self._halve(attempt)
        else:
            self._refuse_documents(items[0].documents, reason, answer)
        first = not self.proved and not self._sent_probe and answer.status != 413 and len(self._missing) > 1
        if first or self._refused_in_a_row >= REFUSED_IN_A_ROW:
            self._sent_probe, self._refused_in_a_row = True, 0
            self._ready.appendleft(Attempt(Piece((PROBE,)), probe=True))

    def _read(self, attempt: Attempt, grant: Grant, answer: Answer) -> None:
        """Check the vectors of an answer, and keep them if they can be right."""
        piece = attempt.piece
        try:
            reply = self.call.read(answer.body, piece)
            width = self.call.width if self._vectors is None else self._vectors.shape[1]
            self.call.check(reply, width, answer.redact)
        except Garbled:
            self._retry_garbled(attempt, grant, answer)
            return
        except Violation as violation:
            self.limiter.accepted(grant, stated_quotas(answer.headers), None, self._clock())
            if isinstance(violation, OtherModel):
                self._end_call(ResponseInvalid, f"its answer is invalid: {violation}", answer)
            elif not self._fatal:
                said = answer.said if answer.body[:1] == b"{" else ""
                self._reject(attempt, f"{violation}{said and f'; it says {said!r}'}", answer)
            return
        self.limiter.accepted(grant, stated_quotas(answer.headers), reply.tokens, self._clock())
        self.usage.tokens += reply.tokens or 0
        self.usage.unsaid += piece.most if reply.tokens is None else 0
        self.proved, self._refused_in_a_row, self._failing_since = True, 0, None
        if attempt.probe:
            return
        self._learn_size(attempt)
        if piece.below is not None and (reply.tokens is None or reply.tokens >= piece.below - MARGIN):
            self._doubt(attempt, reply, answer)
        elif piece.late and reply.tokens is not None and reply.tokens >= self.call.late_limit > piece.tokens:
            reason = f"the provider counts {reply.tokens} tokens and may have cut the end: use smaller documents"
            self._refuse_documents(piece.items[0].documents, reason, answer)
        else:
            self._keep(reply, piece)

    def _doubt(self, attempt: Attempt, reply: Reply, answer: Answer) -> None:
        """One of these texts may have been cut: send fewer at once, or refuse a single one."""
        if reply.tokens is None:
            self.call.sizes.says_tokens = False
            said = "the provider does not say how many tokens it counted, and may have cut the end"
            for item in attempt.piece.items:
                self._refuse_documents(item.documents, f"{said}: split the text, or set truncate='end'", answer)
        elif len(attempt.piece.items) > 1:
            self._halve(attempt)
        else:
            said = (
                f"the provider counted {reply.tokens} tokens of at most {attempt.piece.below}, and may have cut the end"
            )
            self._refuse_documents(
                attempt.piece.items[0].documents, f"{said}: split the text, or set truncate='end'", answer
            )

    def _learn_size(self, attempt: Attempt) -> None:
        """This size is accepted. If both halves of a refused batch are accepted, its size was the cause."""
        sizes, split = self.call.sizes, attempt.split
        sizes.accepted(len(attempt.piece.items), attempt.piece.size)
        if split is not None:
            split.accepted += 1
            if split.accepted == 2:
                sizes.refused(len(split.piece.items), split.piece.size)

    def _retry_garbled(self, attempt: Attempt, grant: Grant, answer: Answer) -> None:
        """Retry an answer that is not JSON: a captive portal, a proxy's page, an answer cut short."""
        if self._fatal:
            return
        attempt.garbled += 1
        is_empty = not answer.body.strip()
        reason = f"its answer is not JSON: it {'is empty' if is_empty else f'starts with {answer.start!r}'}"
        if answer.status != 200:
            reason = f"{answer.status}: {reason}"
        if attempt.garbled >= GARBLED_TRIES:
            self._end_call(ResponseInvalid, f"{reason} (tried {attempt.garbled} times)", answer)
            return
        self._record_failure(ResponseInvalid, reason, answer)
        delay = self.limiter.failed(grant, self._clock(), since=attempt.failed_at, tries=attempt.tries)
        self._requeue(attempt, grant, delay)

    def _reject(self, attempt: Attempt, why: str, answer: Answer) -> None:
        """Send the request once more; the second time, end the call."""
        attempt.rejected += 1
        if attempt.rejected > 1:
            self._end_call(ResponseInvalid, f"its answer is invalid, twice in a row: {why}", answer)
            return
        self._record_failure(ResponseInvalid, f"its answer is invalid: {why}", answer)
        attempt.tries += 1
        self._ready.appendleft(attempt)

    def _keep(self, reply: Reply, piece: Piece) -> None:
        if self._vectors is None:
            self._vectors = np.zeros((self._first_rows[-1], reply.vectors.shape[1]), np.float32)
        before = self._finished
        for item, vector in zip(piece.items, reply.vectors, strict=True):
            for document, row in zip(item.documents, item.rows, strict=False):
                self._vectors[row] = vector
                self._missing[document] -= 1
                self._finished += not self._missing[document]
        if self._report is not None:
            self._report(self._finished - before, piece.tokens if reply.tokens is None else reply.tokens)

    # -- the end ------------------------------------------------------------------------------------------------------

    def _refuse_documents(self, documents: tuple[int, ...], reason: str, answer: Answer) -> None:
        """These equal documents get no vectors; the others continue."""
        self._refused |= dict.fromkeys(documents, reason)
        failure = Failure(RequestRefused, reason, answer.status, answer.request_id)
        self._first_refusal = self._first_refusal or failure
        # The other windows of a refused long document are useless now.
        self._ready = deque(attempt for attempt in self._ready if not attempt.is_window_of(documents[0]))
        self._delayed = [(until, attempt) for until, attempt in self._delayed if not attempt.is_window_of(documents[0])]
        if len(self._refused) >= REFUSED_TEXTS and len(self._refused) > self._finished:
            reason = f"{reason} ({len(self._refused)} texts refused, {self._finished} accepted)"
            self._end_call(RequestRefused, reason, answer)

    def _record_failure(self, kind: type[ProviderError], reason: str, answer: Answer) -> None:
        """Log a failure that is retried, and keep it: the final error quotes the last one."""
        LOG.info("%s: %s; trying again", self.call.name, reason)
        self._last_failure = Failure(kind, reason, answer.status or None, answer.request_id)
        self._never_reached = answer.unreached and not self.limiter.reached and self.call.max_outage == inf
        if self._failing_since is None:
            self._failing_since = self._clock()

    def _last_reason(self) -> str:
        return self._last_failure.reason if self._last_failure else "another call's requests get no answer"

    def _time_out(self) -> None:
        """End the call at its timeout: the provider was unavailable, or too slow."""
        over = f"the timeout of {self.call.timeout:g} s ran out"
        if self._last_failure is not None and not self._under_way:
            self._end_call(self._last_failure.kind, f"{self._last_failure.reason}; {over}")
        else:
            said = "" if self._last_failure is None else f"; before that: {self._last_failure.reason}"
            self._end_call(DeadlineExceeded, over + said)

    def _end_call(self, kind: type[ProviderError], reason: str, answer: Answer | None = None) -> None:
        """Send nothing more. Requests under way get `GRACE` seconds, since their answers are paid for."""
        if self._fatal is None:
            cause = self._last_failure
            if answer is not None:
                cause = Failure(kind, reason, answer.status or None, answer.request_id)
            self._fatal = replace(cause or Failure(kind, reason), kind=kind, reason=reason)
            self._deadline = min(self._deadline, self._clock() + GRACE)

    def _raise_failure(self) -> None:
        """Raise the call's failure, if there is one.

        Raises:
            ProviderError: the call failed, or documents were refused.
        """
        failure = self._fatal or self._first_refusal
        if failure is None:
            return
        failed = dict(self._refused)
        if self._fatal:
            own, why = self._own_failures(), self._fatal.reason
            failed |= {
                index: why if why.startswith(said := own.get(index, why)) else f"{said}; {why}"
                for index, missing in enumerate(self._missing)
                if missing and index not in failed
            }
        partial = {
            index: self._rows(index)
            for index, missing in enumerate(self._missing)
            if not missing and index not in failed
        }
        raise failure.kind(
            failure.reason,
            asked=self.call.name,
            blames_inputs=self._fatal is None,
            status=failure.status,
            request_id=failure.request_id,
            partial=partial,
            failed=failed,
        )

    def _own_failures(self) -> dict[int, str]:
        """The provider's last message about each text that was sent more than once."""
        under_way = (attempt for attempt, _ in self._under_way.values())
        return {
            document: attempt.failure.reason
            for attempt in (*self._ready, *(attempt for _, attempt in self._delayed), *under_way)
            if attempt.failure is not None
            for item in attempt.piece.items
            for document in item.documents
        }

    def _rows(self, index: int) -> FloatArray:
        assert self._vectors is not None  # noqa: S101 - the document is finished
        return self._vectors[self._first_rows[index] : self._first_rows[index + 1]].copy()

    def _over_time_left(self) -> str:
        return f"longer than what is left of the timeout of {self.call.timeout:g} s"
