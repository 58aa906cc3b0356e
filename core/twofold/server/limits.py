"""What a server takes at most: bounds that hold before anything is parsed, tokenised or computed."""

from __future__ import annotations

from dataclasses import dataclass, fields

from twofold.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The bounds of a server.

    Attributes:
        body_bytes: of one request's body, after it is decompressed.
        bytes_in_flight: of all bodies that are held at once.
        texts: in one request.
        queue_seconds: of work that may wait, at the speed that is measured; what comes beyond it gets a 429.
        read_seconds: for a client to send a request's head, and again for its body.
        write_seconds: for which a client may be behind with taking its answer.
        keep_alive_seconds: for which an idle connection is kept; Weaviate's are idle for up to 90.

    Raises:
        InputError: one that is not above 0.
    """

    body_bytes: int = 8 * 2**20
    bytes_in_flight: int = 128 * 2**20
    texts: int = 2048
    queue_seconds: float = 10.0
    read_seconds: float = 20.0
    write_seconds: float = 60.0
    keep_alive_seconds: int = 125

    def __post_init__(self) -> None:
        """Refuse what would refuse everything."""
        for field in fields(self):
            if not getattr(self, field.name) > 0:
                raise InputError(f"{field.name}={getattr(self, field.name)!r}: it must be above 0")
