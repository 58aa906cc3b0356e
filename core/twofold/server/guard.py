"""API keys, compared in constant time."""

from __future__ import annotations

import hmac
from hashlib import sha256
from typing import TYPE_CHECKING

from twofold.errors import InputError
from twofold.server.refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

    from starlette.types import Scope


class Guard:
    """The keys of a server. Only their digests are kept, so no traceback or dump can show a key.

    Raises:
        InputError: a key is empty, or has a character that a header cannot carry.
    """

    def __init__(self, keys: Iterable[str] = ()) -> None:
        self._digests = [_digest(key) for key in keys]

    def __bool__(self) -> bool:
        """Whether clients need a key."""
        return bool(self._digests)

    def client_of(self, scope: Scope) -> Hashable:
        """Identify the client, for fair turns: the digest of its key, or its address if the server has no keys.

        Raises:
            Refusal: the key is missing or wrong, or the request comes from a page of another site.
        """
        headers = dict(scope["headers"])
        if headers.get(b"sec-fetch-site") == b"cross-site":
            raise Refusal(403, "pages of other sites may not use this server", "site")
        if not self._digests:
            client = scope.get("client")
            return client[0] if client else None
        word, _, key = headers.get(b"authorization", b"").partition(b" ")
        if word.lower() != b"bearer" or not key:
            raise Refusal(401, "this server needs a key: send 'Authorization: Bearer <key>'", "key")
        digest = sha256(key.strip()).digest()
        if sum(hmac.compare_digest(digest, own) for own in self._digests) == 0:  # always compares all of them
            raise Refusal(401, "this server does not accept that key", "key")
        return digest


def _digest(key: str) -> bytes:
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise InputError("a key of the server is empty or invalid: use printable ASCII characters without spaces")
    return sha256(key.encode()).digest()
