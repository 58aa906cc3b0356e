"""Who may ask: keys, compared in constant time."""

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
    """The keys of a server. It keeps their digests alone, so that no traceback and no dump shows one.

    Raises:
        InputError: a key that is empty, or that no header can carry.
    """

    def __init__(self, keys: Iterable[str] = ()) -> None:
        self._digests = [_digest(key) for key in keys]

    def __bool__(self) -> bool:
        """Whether a key is asked for."""
        return bool(self._digests)

    def client_of(self, scope: Scope) -> Hashable:
        """Who asks, as far as fairness goes: the digest of a key where keys are asked for, else the address.

        Raises:
            Refusal: no key, or one that is none of ours; or a page of another site that has its visitor's browser ask.
        """
        headers = dict(scope["headers"])
        if headers.get(b"sec-fetch-site") == b"cross-site":
            raise Refusal(403, "a page of another site may not ask this server", "site")
        if not self._digests:
            client = scope.get("client")
            return client[0] if client else None
        word, _, key = headers.get(b"authorization", b"").partition(b" ")
        if word.lower() != b"bearer" or not key:
            raise Refusal(401, "this server asks for a key: send 'Authorization: Bearer <key>'", "key")
        digest = sha256(key.strip()).digest()
        if sum(hmac.compare_digest(digest, own) for own in self._digests) == 0:  # all of them, whichever matches
            raise Refusal(401, "that is not a key of this server", "key")
        return digest


def _digest(key: str) -> bytes:
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise InputError("a key of the server is empty, or has a character that no key has: a space, or beyond ASCII")
    return sha256(key.encode()).digest()
