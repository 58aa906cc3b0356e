"""One request and what came of it: the words that the flow and the transports share, and what an answer's head says."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

CONNECT_SECONDS, READ_SECONDS = 5.0, 60.0
REQUEST_IDS = ("x-request-id", "request-id", "x-amzn-requestid", "cf-ray")


@dataclass(frozen=True, slots=True)
class Request:
    """One request to send: its number, its JSON body, and the most bytes that its answer may have."""

    number: int
    body: bytes = field(repr=False)  # texts: not for a traceback that shows variables
    most_bytes: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a request.

    A status with headers (their names in lower case) and body; `wrong` says what rules the body out; or no status, and
    a `fault` in words, `slow` where it was silence.
    """

    number: int
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = field(default=b"", repr=False)  # may quote a key, or a text
    wrong: str = ""
    fault: str = ""
    slow: bool = False


class Line(Protocol):
    """Carries one request at a time for a thread."""

    def send(self, request: Request, seconds: float) -> Answer:
        """Block until the answer is there, and never raise."""

    def free(self) -> None:
        """Keep the connection for the next request."""

    def cut(self) -> None:
        """End what `send` is waiting for, from another thread."""

    def close(self) -> None:
        """Give up the connection."""


class Transport(Protocol):
    """Where requests go."""

    def line(self) -> Line:
        """A line for a thread."""

    async def asend(self, request: Request, seconds: float) -> Answer:
        """Send from an event loop, and never raise; may be cancelled."""


def parse_number(value: Any) -> float | None:
    """A header's number that is not negative; None for anything else."""
    try:
        parsed = float(value)
    except (TypeError, ValueError):
        return None
    return parsed if 0 <= parsed < float("inf") else None


def retry_after(headers: Mapping[str, str], wall: Callable[[], float] = time.time) -> float | None:
    """Seconds to wait by Retry-After, in milliseconds, seconds or as a date; None where it is not said.

    A date is taken from the answer's own Date, so that a wrong clock here does no harm.
    """
    for name, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        seconds = parse_number(headers.get(name))
        if seconds is not None:
            return seconds * scale
    until, sent = (_date(headers.get(name)) for name in ("retry-after", "date"))
    return None if until is None else max(0.0, until - (wall() if sent is None else sent))


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
    parts = list(_words(said))
    return ": ".join(dict.fromkeys(parts))[:300]


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


def request_id(answer: Answer) -> str | None:
    """The provider's name for a request, for its support."""
    return next((answer.headers[name][:200] for name in REQUEST_IDS if answer.headers.get(name)), None)
