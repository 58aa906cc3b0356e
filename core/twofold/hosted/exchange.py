"""One request and what came of it: the words that the flow and the transports share, and what an answer's head says."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import IO, TYPE_CHECKING, Any, Protocol

from twofold.keys import Key

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterator, Mapping

CONNECT_SECONDS, READ_SECONDS = 5.0, 60.0
REQUEST_IDS = ("x-request-id", "request-id", "x-amzn-requestid", "cf-ray")
SPENT = frozenset({"insufficient_quota", "billing_not_active", "billing_hard_limit_reached"})
"""Codes of a 429 that no waiting mends: there is no money left."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request to send.

    Attributes:
        number: its own.
        body: JSON, unless `kind` says otherwise.
        most_bytes: the most bytes of its answer.
        late: whether it goes where late-chunked ones go.
        method, url: where neither is the usual one.
        kind: the body's media type.
        file: where the body of a good answer is written, in place of into memory.
    """

    number: int
    body: bytes = field(repr=False)  # texts: not for a traceback that shows variables
    most_bytes: int
    late: bool = False
    method: str = "POST"
    url: str = ""
    kind: str = "application/json"
    file: IO[bytes] | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a request.

    Attributes:
        status, headers, body: the answer's, header names in lower case; no status where there is no answer.
        wrong: what rules the body out.
        fault: why there is no answer, in words.
        slow: whether that was silence.
        hopeless: whether no waiting mends it.
        redact: takes the key that was sent out of text that came from outside.
    """

    number: int
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = field(default=b"", repr=False)  # may quote a key, or a text
    wrong: str = ""
    fault: str = ""
    slow: bool = False
    hopeless: bool = False
    redact: Callable[[str], str] = field(default=Key().redact, repr=False)

    @property
    def reason(self) -> str:
        """The status, and what its body says."""
        said = "redirects are not followed" if 300 <= self.status < 400 else reason_of(self.body)
        return f"{self.status} {self.redact(said)}".strip() if self.status else self.fault

    @property
    def is_spent(self) -> bool:
        """Whether a 429 says that there is no money left."""
        return any(code in reason_of(self.body) for code in SPENT)

    @property
    def request_id(self) -> str | None:
        """The provider's name for the request, for its support."""
        return next((self.headers[name][:200] for name in REQUEST_IDS if self.headers.get(name)), None)


class Transport(Protocol):
    """Where requests go."""

    async def send(self, request: Request, seconds: float, caller: asyncio.AbstractEventLoop | None) -> Answer:
        """Send one from the loop of `loop.py`, and never raise what time could mend; may be cancelled.

        `caller` is the event loop from which the call came; None for a sync one.
        """


def parse_number(value: Any) -> float | None:
    """A header's number that is not negative; None for anything else."""
    try:
        parsed = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return parsed if 0 <= parsed < float("inf") else None


_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?")


def parse_duration(value: str | None) -> float | None:
    """Seconds in "6m0s", "1.5s", "20ms", "30" or a time of day as Unix seconds; None for anything else."""
    number = parse_number(value)
    if number is not None:
        return max(0.0, number - time.time()) if number > 1e9 else number
    match = _DURATION.fullmatch(value or "")
    if not value or match is None:
        return None
    return sum(float(part) * unit for part, unit in zip(match.groups("0"), (3600, 60, 1, 0.001), strict=True))


def retry_after(headers: Mapping[str, str], wall: Callable[[], float] = time.time) -> float | None:
    """Seconds to wait by Retry-After, in milliseconds, seconds or as a date; None where it says no time to come.

    A date is taken from the answer's own Date, so that a wrong clock here does no harm.
    """
    for name, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        seconds = parse_number(headers.get(name))
        if seconds is not None:
            return seconds * scale or None
    until, sent = (_date(headers.get(name)) for name in ("retry-after", "date"))
    ahead = 0.0 if until is None else until - (wall() if sent is None else sent)
    return ahead if ahead > 0 else None


def _date(text: str | None) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp() if text else None
    except (ValueError, OverflowError):
        return None


def reason_of(body: bytes) -> str:
    """What an error's body says, whichever of the usual shapes it has, in at most 300 characters."""
    text = body[:4096].decode(errors="replace")
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        said = " ".join(text.split())
    return ": ".join(dict.fromkeys(_words(said)))[:300]


def _words(said: Any) -> Iterator[str]:
    """The code and the message of an error, at any of the depths at which providers put them."""
    if isinstance(said, str):
        yield said
    elif isinstance(said, list):
        for each in said[:3]:
            yield from _words(each)
    elif isinstance(said, dict):
        for name in ("code", "error_type", "field", "error", "detail", "message", "msg", "errors"):
            yield from _words(said.get(name))
