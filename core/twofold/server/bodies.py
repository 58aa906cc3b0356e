"""A request's body, read and decompressed within bounds, before anything of it is parsed."""

from __future__ import annotations

import asyncio
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING

from twofold.server.refusal import ClientGone, Refusal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.types import Receive, Scope

    from twofold.server.limits import Limits

PLAIN = {b"", b"identity"}
ZIPPED = {b"gzip": 31, b"x-gzip": 31, b"deflate": 47}
"""zlib's word for each: gzip, and zlib or gzip told apart by their heads."""


class Bodies:
    """All bodies that a server holds."""

    def __init__(self, limits: Limits) -> None:
        self._limits, self._held = limits, 0

    @contextmanager
    def holding(self, size: int) -> Iterator[None]:
        """Count the bytes of a body while it is held.

        Raises:
            Refusal: there are too many already.
        """
        if self._held and self._held + size > self._limits.bytes_in_flight:
            raise Refusal(429, "too many requests are being read: try again in 1 s", "bytes", retry_after=1)
        self._held += size
        try:
            yield
        finally:
            self._held -= size

    async def read(self, scope: Scope, receive: Receive) -> bytes:
        """The body, plain.

        Raises:
            Refusal: it is too large, too slow, or in an encoding that is not taken.
            ClientGone: the client hung up before its end.
        """
        encoding = _header(scope, b"content-encoding").lower()
        if encoding not in PLAIN and encoding not in ZIPPED:
            raise Refusal(415, "send the body as it is, or in gzip", "encoding")
        self.check_size(scope)
        try:
            async with asyncio.timeout(self._limits.read_seconds):
                body = await self._whole(receive)
        except TimeoutError:
            raise Refusal(408, "the body came too slowly", "slow") from None
        return body if encoding in PLAIN else self._unzipped(body, ZIPPED[encoding])

    def check_size(self, scope: Scope) -> int:
        """The most that a body may be by its head: its length, or the limit where it says none, or is compressed.

        Raises:
            Refusal: it is over the limit.
        """
        said = _header(scope, b"content-length")
        size = int(said) if said.isdigit() and len(said) < 20 else self._limits.body_bytes
        if size > self._limits.body_bytes:
            raise self._too_large()
        return size if _header(scope, b"content-encoding") in PLAIN else self._limits.body_bytes

    async def _whole(self, receive: Receive) -> bytes:
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            body += message.get("body", b"")
            if len(body) > self._limits.body_bytes:
                raise self._too_large()
            if not message.get("more_body", False):
                return bytes(body)

    def _unzipped(self, body: bytes, bits: int) -> bytes:
        decoder = zlib.decompressobj(wbits=bits)
        try:
            plain = decoder.decompress(body, self._limits.body_bytes + 1)
        except zlib.error:
            raise Refusal(400, "the body is not in the encoding that it says", "encoding") from None
        if len(plain) > self._limits.body_bytes:
            raise self._too_large()
        if not decoder.eof:
            raise Refusal(400, "the body's compression is cut off", "encoding")
        return plain

    def _too_large(self) -> Refusal:
        return Refusal(413, f"the body is over {self._limits.body_bytes} bytes: send several requests", "bytes")


def _header(scope: Scope, name: bytes) -> bytes:
    return next((value for key, value in scope["headers"] if key == name), b"")
