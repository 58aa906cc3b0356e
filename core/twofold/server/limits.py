"""The limits of a server, enforced before anything is parsed, tokenised or computed."""

from __future__ import annotations

from dataclasses import dataclass, fields

from twofold.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits of a server. All must be above 0.

    Attributes:
        body_bytes: bytes of one request's body, decompressed.
        bytes_in_flight: bytes of all bodies in memory at once.
        texts: texts in one request.
        queue_seconds: seconds of work that may wait, at the measured speed. Further requests get a 429.
        read_seconds: seconds a client has to send a request's headers, and again for its body.
        write_seconds: seconds a client may stop reading its answer before it is disconnected.
        keep_alive_seconds: seconds an idle connection is kept open. Weaviate's are idle for up to 90.

    Raises:
        InputError: a limit is not above 0.
    """

    body_bytes: int = 8 * 2**20
    bytes_in_flight: int = 128 * 2**20
    texts: int = 2048
    queue_seconds: float = 10.0
    read_seconds: float = 20.0
    write_seconds: float = 60.0
    keep_alive_seconds: int = 125

    def __post_init__(self) -> None:
        for field in fields(self):
            if not getattr(self, field.name) > 0:
                raise InputError(f"{field.name}={getattr(self, field.name)!r}: it must be above 0")
