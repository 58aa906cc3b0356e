"""Reads and decompresses request bodies within limits, before anything is parsed."""

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
"""zlib's `wbits` for each encoding: 31 reads gzip, 47 detects zlib or gzip."""


class Bodies:
    """The request bodies that a server holds in memory."""

    def __init__(self, limits: Limits) -> None:
        self._limits, self._held = limits, 0

    @contextmanager
    def reserve(self, size: int) -> Iterator[None]:
        """Reserve `size` bytes while a body is in memory.

        Raises:
            Refusal: the bodies in memory would exceed `bytes_in_flight`.
        """
        if self._held and self._held + size > self._limits.bytes_in_flight:
            raise Refusal(429, "too many requests are being read: try again in 1 s", "bytes", retry_after=1)
        self._held += size
        try:
            yield
        finally:
            self._held -= size

    async def read(self, scope: Scope, receive: Receive) -> bytes:
        """Return the decompressed body.

        Raises:
            Refusal: the body is too large or too slow, or its encoding is not supported.
            ClientGone: the client disconnected before the end of the body.
        """
        encoding = _header(scope, b"content-encoding").lower()
        if encoding not in PLAIN and encoding not in ZIPPED:
            raise Refusal(415, "unsupported Content-Encoding: send the body uncompressed or as gzip", "encoding")
        self.check_size(scope)
        try:
            async with asyncio.timeout(self._limits.read_seconds):
                body = await self._whole(receive)
        except TimeoutError:
            raise Refusal(408, f"the body took longer than {self._limits.read_seconds:g} s", "slow") from None
        return body if encoding in PLAIN else self._unzipped(body, ZIPPED[encoding])

    def check_size(self, scope: Scope) -> int:
        """Return the largest size that the headers allow: Content-Length, or the limit if that is unknown.

        Raises:
            Refusal: Content-Length is over the limit.
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
            raise Refusal(400, "the body does not match its Content-Encoding", "encoding") from None
        if len(plain) > self._limits.body_bytes:
            raise self._too_large()
        if not decoder.eof:
            raise Refusal(400, "the compressed body is incomplete", "encoding")
        return plain

    def _too_large(self) -> Refusal:
        return Refusal(413, f"the body is over {self._limits.body_bytes} bytes: send several requests", "bytes")


def _header(scope: Scope, name: bytes) -> bytes:
    return next((value for key, value in scope["headers"] if key == name), b"")
