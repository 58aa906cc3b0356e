"""A provider's batch API over HTTP: submit batches, look up their state, download their results, wait out an outage.

The formats are in `twofold.wires`: `openai_batch`, `jina_batch`. A batch is never submitted twice: if a submission gets
no answer, `Unsure` is raised, and the caller looks in the provider's list of batches.
"""

from __future__ import annotations

import asyncio
import random
import shutil
import tempfile
import time
from contextlib import contextmanager
from importlib import import_module
from typing import IO, TYPE_CHECKING, Any, TypeVar
from uuid import uuid4

from twofold.backend import Missing, Refused, Unsure
from twofold.errors import InputError, ProviderUnavailable, RequestRefused, ResponseInvalid
from twofold.hosted.exchange import READ_SECONDS, Request
from twofold.hosted.loop import call
from twofold.hosted.piece import Piece
from twofold.keys import Key
from twofold.wires.limits import retry_after
from twofold.wires.wire import BINARY, Garbled, Violation

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from twofold.backend import Batch, Result
    from twofold.hosted.call import Call
    from twofold.hosted.endpoint import Endpoint
    from twofold.hosted.exchange import Answer
    from twofold.hosted.provider import Provider
    from twofold.settings import Settings

T = TypeVar("T")

AGAIN = frozenset({408, 409, 425, 429})
TAKEN = frozenset({200, 201, 202})
FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0
"""Seconds before a retry. Each wait is twice the previous one, with a jitter of a quarter."""
LONGEST_OUTAGE = 86_400.0
"""Seconds to wait for an unavailable provider, unless `max_outage` is set: the time in which a batch is completed."""
MOST_BYTES = 1 << 22
"""The largest answer in bytes, files of results excepted."""
MOST_FILE_BYTES = 1 << 33
SKEW = 600.0
"""Seconds that a provider's clock may be behind ours."""


class Batches:
    """One model's batch API, for one task; see `twofold.backend.BatchAPI`."""

    def __init__(
        self, settings: Settings, row: Provider, endpoint: Endpoint, plan: Callable[[Sequence[str]], Call]
    ) -> None:
        """Check the options; nothing is sent. `plan` plans a call for texts.

        Raises:
            InputError: the provider has no batch API for this model, or the batch API lacks an option that is set.
        """
        self.name, model = settings.model, settings.model.partition(":")[2]
        if row.batch is None or (row.batch.models and model not in row.batch.models):
            raise InputError(f"{self.name}: no batch API is supported for this model; {providers_with_batches()}")
        self.most_lines, self.most_bytes = row.batch.lines, row.batch.bytes
        self.first_lines = row.batch.first
        self._wire: Any = import_module(f"twofold.wires.{row.batch.dialect}")
        self._uploads = hasattr(self._wire, "UPLOAD")
        self._root, self._transport = endpoint.url.removesuffix(row.path), endpoint.transport
        self._plan, self._one = plan, plan(["test"])
        self.longest_outage = LONGEST_OUTAGE if settings.max_outage is None else settings.max_outage
        if not self._uploads and (self._one.ask.truncate or endpoint.encoding in BINARY):
            raise InputError(f"{self.name}: its batch API does not support truncate='end' or a binary encoding")

    # -- the batch API ------------------------------------------------------------------------------------------------

    def lines(self, keys: Sequence[str], texts: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        left = list(zip(keys, texts, strict=True))
        while left:
            try:
                plan = self._plan([text for _, text in left])
            except InputError as error:
                if error.index is None:
                    raise
                del left[error.index]  # embedding this text by a single request reports the error
                continue
            for item in (item for piece in plan.pieces for item in piece.items):
                key = left[item.documents[0]][0]
                yield key, self._wire.write_line(key, plan.write(Piece((item,))) if self._uploads else item.text)
            return

    def submit(self, marker: str, lines: Sequence[bytes]) -> str:
        return call(self._submit(marker, lines))

    def find(self, marker: str, lines: int, since: float, known: Collection[str]) -> str | None:
        """See `BatchAPI`. If the provider keeps no marker, find the first batch since then with as many lines."""
        found = [batch for batch in call(self._list(since)) if batch.id not in known and batch.created >= since - SKEW]
        mine = [batch for batch in found if batch.marker == marker] if self._uploads else []
        mine = mine or [batch for batch in found if not self._uploads and batch.total == lines]
        mine = mine or [batch for batch in found if not self._uploads and not batch.total]  # not counted yet
        return mine[-1].id if mine else None  # the newest are first

    def look(self, batch: str) -> Batch:
        read: Callable[[bytes], Batch] = self._wire.read_batch
        return self._read(read, call(self._ask("GET", self._wire.look_path(batch))))

    @contextmanager
    def results(self, batch: Batch) -> Iterator[Iterable[tuple[str, Result]]]:
        with tempfile.TemporaryFile() as file:
            for path in batch.results:
                with tempfile.TemporaryFile() as part:
                    call(self._ask("GET", path, file=part))
                    part.seek(0)
                    shutil.copyfileobj(part, file)
                    file.write(b"\n")  # the last line may lack one; blank lines are skipped
            yield _Results(file, self._result, self.name)

    # -- inside -------------------------------------------------------------------------------------------------------

    async def _submit(self, marker: str, lines: Sequence[bytes]) -> str:
        if self._uploads:
            body, kind = _multipart(marker, lines)
            answer = await self._ask("POST", self._wire.UPLOAD, body, kind=kind)
            body = self._wire.write_batch(self._read(self._wire.read_file, answer), marker)
        else:
            body = self._wire.write_batch(lines, self._one.ask)
        answer = await self._ask("POST", self._wire.SUBMIT, body, again=False)
        try:
            return str(self._read(self._wire.read_batch, answer).id)
        except ResponseInvalid as error:
            raise Unsure(str(error)) from None

    async def _list(self, since: float) -> list[Batch]:
        """The account's batches since `since`, the newest first."""
        path, found = self._wire.LIST, []
        while path is not None:
            batches, path = self._read(self._wire.read_list, await self._ask("GET", path))
            found += batches
            if batches and batches[-1].created < since - SKEW:
                break
        return found

    def _result(self, line: bytes) -> tuple[str, Result]:
        key, said = self._wire.read_line(line)
        if isinstance(said, (Refused, Missing)):
            return key, type(said)(Key().redact(said.reason))
        reply = self._one.read(said, self._one.pieces[0])
        self._one.check(reply, self._one.width, Key().redact)
        return key, reply.vectors

    def _read(self, read: Callable[[bytes], T], answer: Answer) -> T:
        try:
            return read(answer.body)
        except (Garbled, Violation) as wrong:
            raise ResponseInvalid(f"{self.name}: its batch API answered {answer.start!r}: {wrong}") from None

    async def _ask(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        kind: str = "application/json",
        file: IO[bytes] | None = None,
        again: bool = True,
    ) -> Answer:
        """Send one request, and retry until it is answered. Without `again`, retry only if it was surely not accepted.

        Raises:
            Unsure: without `again`, the request may have been accepted.
            RequestRefused: no retry helps.
            ProviderUnavailable: the provider was unavailable for too long.
        """
        most = MOST_BYTES if file is None else MOST_FILE_BYTES
        request = Request(0, body, most, method=method, url=self._root + path, kind=kind, file=file)
        began, wait = time.monotonic(), FIRST_WAIT
        while True:
            answer = await self._transport.send(request, READ_SECONDS, None)
            if answer.status in TAKEN and not answer.wrong:
                return answer
            self._judge(answer, began, again=again)
            hold = retry_after(answer.headers, answer.body)
            jittered = wait * random.uniform(0.75, 1.25)  # noqa: S311 - no secret
            await asyncio.sleep(min(jittered if hold is None else hold, self.longest_outage))
            wait = min(LONGEST_WAIT, 2 * wait)

    def _judge(self, answer: Answer, began: float, *, again: bool) -> None:
        """Raise an error if this failed request must not be sent again."""
        said = f"{self.name}: its batch API: {answer.wrong or answer.reason}"
        known = {"status": answer.status or None, "request_id": answer.request_id}
        if answer.hopeless or answer.wrong:
            raise ProviderUnavailable(said, **known)  # type: ignore[arg-type] # passed by name
        away = not answer.status or answer.status >= 500
        if not away and (answer.status not in AGAIN or answer.is_spent):
            raise RequestRefused(said, **known)  # type: ignore[arg-type]
        if not again and answer.status != 429:
            raise Unsure(said)
        if time.monotonic() - began > self.longest_outage:
            raise ProviderUnavailable(f"{said}; unavailable for longer than {self.longest_outage:g} s", **known)  # type: ignore[arg-type]


class _Results:
    """The lines of a file of results. It can be iterated over repeatedly."""

    def __init__(self, file: IO[bytes], read: Callable[[bytes], tuple[str, Result]], name: str) -> None:
        self._file, self._read, self._name = file, read, name

    def __iter__(self) -> Iterator[tuple[str, Result]]:
        self._file.seek(0)
        for number, line in enumerate(self._file, 1):
            if line.strip():
                try:
                    yield self._read(line)
                except (Garbled, Violation) as wrong:
                    said = str(wrong) or f"it is not JSON: {Key().redact(line.decode(errors='replace'))[:60]!r}"
                    raise ResponseInvalid(f"{self._name}: line {number} of a batch's results: {said}") from None


def providers_with_batches() -> str:
    from twofold.hosted.providers import PROVIDERS  # noqa: PLC0415 - a table that imports rows alone

    names = [
        f"{row.name} ({', '.join(sorted(row.batch.models))})" if row.batch.models else row.name
        for row in PROVIDERS.values()
        if row.batch is not None
    ]
    return f"supported are: {', '.join(names)}"


def _multipart(marker: str, lines: Sequence[bytes]) -> tuple[bytes, str]:
    """A form that holds the lines as a file, and its media type."""
    border = uuid4().hex
    head = (
        f'--{border}\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
        f'--{border}\r\ncontent-disposition: form-data; name="file"; filename="{marker}.jsonl"\r\n'
        "content-type: application/jsonl\r\n\r\n"
    )
    return b"".join(
        (head.encode(), *lines, f"\r\n--{border}--\r\n".encode())
    ), f"multipart/form-data; boundary={border}"
