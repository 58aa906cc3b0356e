"""One request and its answer, as the flow and the transports see them; and the message of an error."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any, Protocol

from twofold.keys import Key

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterator, Mapping

CONNECT_SECONDS, READ_SECONDS = 5.0, 60.0
REQUEST_IDS = ("x-request-id", "request-id", "x-amzn-requestid", "cf-ray")
MOST_WORDS = 65_536
"""Bytes of a body in which an error's message is looked for, if it is not JSON."""
SPENT = frozenset({"insufficient_quota", "billing_not_active", "billing_hard_limit_reached"})
"""Codes of a 429 that means that the account has no money left. Waiting does not help."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request to send.

    Attributes:
        number: identifies it within a call.
        body: JSON, unless `kind` names another media type.
        most_bytes: the largest answer that is accepted.
        late: whether it is sent to the URL for late chunking.
        method: the HTTP method.
        url: replaces the transport's URL if it is not empty.
        kind: the body's media type.
        file: receives the body of a successful answer, instead of memory.
    """

    number: int
    body: bytes = field(repr=False)  # has texts, which must not appear in a traceback
    most_bytes: int
    late: bool = False
    method: str = "POST"
    url: str = ""
    kind: str = "application/json"
    file: IO[bytes] | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """The outcome of a request: an HTTP answer, or why there is none.

    `received` removes the key from a new answer. Every quote from it is redacted again before it is shortened, since
    JSON may write the key in another way, and a text may contain another key.

    Attributes:
        number: the request's number.
        status, headers, body: of the HTTP answer. Header names are lower case. The status is 0 if there is no answer.
        wrong: why the body is unusable; empty if it is usable.
        fault: why there is no answer.
        slow: whether the fault is a read timeout.
        hopeless: whether a retry cannot help.
        unreached: whether no connection was made: an unknown name, a refused connection, no route.
        redact: removes the key that was sent from a text that came from outside.
    """

    number: int
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = field(default=b"", repr=False)  # may quote a key, or a text
    wrong: str = ""
    fault: str = ""
    slow: bool = False
    hopeless: bool = False
    unreached: bool = False
    redact: Callable[[str], str] = field(default=Key().redact, repr=False)

    @classmethod
    def received(
        cls, number: int, status: int, headers: Mapping[str, str], body: bytes, *, key: Key, wrong: str = ""
    ) -> Answer:
        """An HTTP answer without the key that was sent."""
        shown = {name.lower(): key.redact(value) for name, value in headers.items()}
        return cls(number, status, shown, key.redact_bytes(body), wrong=wrong, redact=key.redact)

    @property
    def is_success(self) -> bool:
        """Whether the status is one of a successful answer."""
        return 200 <= self.status < 300

    @property
    def reason(self) -> str:
        """The status and the body's error message, or the fault."""
        said = "redirects are not followed" if 300 <= self.status < 400 else self.said
        return f"{self.status} {said}".strip() if self.status else self.fault

    @property
    def said(self) -> str:
        """The body's error message, at most 300 characters."""
        return self.redact(words_of(self.body))[:300]

    @property
    def start(self) -> str:
        """How the body starts, at most 60 characters."""
        return self.redact(self.body[:MOST_WORDS].decode(errors="replace"))[:60]

    @property
    def is_spent(self) -> bool:
        """Whether a 429 means that the account has no money left."""
        said = words_of(self.body)
        return any(code in said for code in SPENT)

    @property
    def request_id(self) -> str | None:
        """The provider's id of the request, which its support asks for."""
        return next((self.headers[name][:200] for name in REQUEST_IDS if self.headers.get(name)), None)


class Transport(Protocol):
    """Sends requests."""

    async def send(self, request: Request, seconds: float, caller: asyncio.AbstractEventLoop | None) -> Answer:
        """Send one request on the hosted loop. It may be cancelled.

        A failure that a retry may avoid is returned as an answer, never raised. `caller` is the event loop of an async
        call, and None for a sync call.
        """


def words_of(body: bytes) -> str:
    """The message of an error's body in any of the usual shapes."""
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        said = " ".join(body[:MOST_WORDS].decode(errors="replace").split())
    return ": ".join(dict.fromkeys(_words(said)))


def _words(said: Any) -> Iterator[str]:
    """The code and the message of an error, at any depth."""
    if isinstance(said, str):
        yield said
    elif isinstance(said, list):
        for each in said[:3]:
            yield from _words(each)
    elif isinstance(said, dict):
        for name in ("code", "error_type", "field", "error", "detail", "message", "msg", "errors"):
            yield from _words(said.get(name))
