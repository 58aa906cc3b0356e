"""One run of batches: submit texts, wait for the results, submit again what got no vector."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING
from uuid import uuid4

from twofold.backend import Unsure
from twofold.errors import ProviderUnavailable, RequestRefused, TwofoldError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from twofold.backend import Batch, BatchAPI, Report
    from twofold.jobs.batches.arrivals import Arrivals
    from twofold.jobs.batches.submissions import Submission, Submissions

FIRST_LOOK, LONGEST_LOOK = 5.0, 60.0
"""Seconds between two checks of the batches under way. Each wait is 1.5 times the previous one."""
BEAT = 0.2
"""Seconds between two calls of `stop`."""
SETTLED = 60.0
"""Seconds until a submission appears in the provider's list. If it is not in the list then, it was never made."""
GONE = frozenset({404, 410})
"""Statuses of results that the provider has deleted."""
FRUITLESS = 3
"""The run ends after this many batches in a row without a vector."""


class Stopped(Exception):
    """`stop` returned True."""


class BatchRun:
    """One run over the texts.

    Attributes:
        cached, done, refused, submitted: see `twofold.jobs.batches.batching.Batched`.
    """

    def __init__(
        self,
        api: BatchAPI,
        kept: Submissions,
        arrivals: Arrivals,
        stop: Callable[[], bool],
        report: Report,
    ) -> None:
        self.cached = self.done = self.refused = self.submitted = 0
        self._api, self._kept, self._arrivals, self._stop, self._report = api, kept, arrivals, stop, report
        self._most, self._room = api.most_lines, 0  # lines in a batch; batches at once, 0 if unknown
        self._lost = False  # some texts got no vector and must be submitted again
        self._checked = False  # the provider has accepted the format of a batch of this run
        self._fruitless, self._waited = 0, FIRST_LOOK
        self._unsure_since: float | None = None
        self._shown: Counter[str] = Counter()

    def carry_out(self, texts: Iterable[str]) -> None:
        """Submit the missing texts and wait for their vectors, until none is missing.

        Raises:
            Stopped: `stop` returned True. Batches under way stay at the provider.
        """
        for one in self._kept.open():
            if one.id is None:  # the process was killed during its submission
                self._find(one)
        self._let_one_go_ahead()
        first = True
        while first or self._lost:
            self._lost = False
            for keys, lines in self._slices(texts, first=first):
                while self._room and len(self._kept.open()) >= self._room:
                    self._look_at_all()
                self._submit(keys, lines)
                self._let_one_go_ahead()
            while self._kept.open():
                self._look_at_all()
            first = False

    def _let_one_go_ahead(self) -> None:
        """Wait until the first batch shows that the provider accepts batches, with the vectors of single requests."""
        while self._kept.open() and not self._kept.is_proved and (self._api.first_lines or not self._checked):
            self._look_at_all()

    # -- submitting ---------------------------------------------------------------------------------------------------

    def _slices(self, texts: Iterable[str], *, first: bool) -> Iterator[tuple[list[str], list[bytes]]]:
        """Yield the digests and lines of each batch. Each batch has room for the canary."""
        keys: list[str] = []
        lines: list[bytes] = []
        size = 0
        for key, line in self._missing(texts, first=first):
            most = self._most if self._kept.is_proved else self._api.first_lines or self._most
            if lines and (len(lines) + 1 >= most or size + len(line) > self._api.most_bytes):
                yield keys, lines
                keys, lines, size = [], [], 0
            keys.append(key)
            lines.append(line)
            size += len(line)
        if lines:
            yield keys, lines

    def _missing(self, texts: Iterable[str], *, first: bool) -> Iterator[tuple[str, bytes]]:
        for there, lines in self._arrivals.missing(texts):
            self._pause()
            if first:
                self.cached += there
                self._report(there, 0)
            yield from lines

    def _submit(self, keys: list[str], lines: list[bytes]) -> None:
        self._pause()
        lines, marker = self._arrivals.canary() + lines, uuid4().hex
        self._kept.intend(marker, keys)
        try:
            self._kept.submitted(marker, self._api.submit(marker, lines))
            self._unsure_since = None
        except Unsure as error:
            self._find_unsure(error, marker)
        except TwofoldError:
            self._kept.over(marker)  # it was refused, so the provider has nothing to look for
            raise
        self.submitted += 1

    def _find_unsure(self, error: Unsure, marker: str) -> None:
        """Find out whether a submission without an answer was made.

        Raises:
            ProviderUnavailable: submissions were unanswered for longer than `max_outage`.
        """
        since = self._unsure_since = self._unsure_since or time.monotonic()
        (one,) = (one for one in self._kept.open() if one.marker == marker)
        if not self._find(one) and time.monotonic() - since > self._api.longest_outage:
            raise ProviderUnavailable(str(error))

    def _find(self, one: Submission) -> bool:
        """Look for a submission without an answer. If it is not in the provider's list, it was never made."""
        while True:
            early = one.since + SETTLED - time.time()
            found = self._api.find(one.marker, one.lines + 1, one.since, self._kept.ids())
            if found is not None:
                self._kept.submitted(one.marker, found)
                return True
            if early <= 0:
                self._kept.over(one.marker)
                self._lost = True
                return False
            self._sleep(min(early, FIRST_LOOK))

    # -- waiting ------------------------------------------------------------------------------------------------------

    def _look_at_all(self) -> None:
        """Check each batch under way once, and collect the finished ones; if there are none, sleep."""
        over = [self._look(one) for one in self._kept.open()]
        if any(over):
            self._waited = FIRST_LOOK
        else:
            self._sleep(self._waited)
            self._waited = min(LONGEST_LOOK, 1.5 * self._waited)

    def _look(self, one: Submission) -> bool:
        """Whether a batch is finished. Its results are in the cache then."""
        self._pause()
        now = self._api.look(one.id or "")
        self._checked = self._checked or now.state != "checked"
        self._show(one, min(now.done, one.lines))
        if now.is_over:
            self._collect(one, now)
        return now.is_over

    def _collect(self, one: Submission, now: Batch) -> None:
        """Store the results of a finished batch."""
        try:
            done, refused = self._arrivals.take(now, one.marker)
        except RequestRefused as error:
            if error.status not in GONE:
                raise
            done, refused = 0, {}
        self.done += done
        self.refused += len(refused)
        self._kept.over(one.marker, refused)
        self._show(one, done + len(refused))
        self._lost = self._lost or done + len(refused) < one.lines
        if now.is_full:
            self._room = max(1, len(self._kept.open()))
            self._most = self._most if self._kept.open() else max(2, one.lines // 2)
        self._judge(now, fruitful=bool(done or refused) or (now.is_full and one.lines > 1))

    def _judge(self, now: Batch, *, fruitful: bool) -> None:
        """Raise an error if submitting again is useless.

        Raises:
            ProviderUnavailable: a batch failed, or several in a row ended without a vector.
        """
        self._fruitless = 0 if fruitful else self._fruitless + 1
        if self._fruitless >= FRUITLESS or (self._fruitless and now.state == "failed"):
            why = now.reason or "the provider gives no reason"
            raise ProviderUnavailable(f"{self._api.name}: batch {now.id} ({now.state}) returned no vector: {why}")

    def _show(self, one: Submission, done: int) -> None:
        self._report(done - self._shown[one.marker], 0)
        self._shown[one.marker] = done

    def _pause(self) -> None:
        if self._stop():
            raise Stopped

    def _sleep(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self._pause()
            time.sleep(min(BEAT, left))
