"""Decides who may use the server, by API keys (compared in constant time), origins of pages, and host names."""

from __future__ import annotations

import hmac
import ipaddress
import re
from hashlib import sha256
from typing import TYPE_CHECKING

from twofold.errors import InputError
from twofold.server.refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

    from starlette.types import Scope


class Guard:
    """The keys of a server, the origins whose pages may use it, and its names.

    Only the digests of keys are kept, so no traceback or dump can show a key.

    Raises:
        InputError: a key is empty, or has a character that a header cannot carry.
    """

    def __init__(
        self, keys: Iterable[str] = (), origins: Iterable[str] = (), hosts: Iterable[str] | None = None
    ) -> None:
        self.set_keys(keys)
        self._origins = frozenset(origins)
        self._hosts = None if hosts is None else frozenset(host.lower() for host in hosts)

    def set_keys(self, keys: Iterable[str]) -> None:
        """Replace the accepted keys; requests that are already accepted are not affected."""
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
        if headers.get(b"sec-fetch-site") == b"cross-site" and not self._allows(headers.get(b"origin", b"")):
            raise Refusal(403, "pages of other sites cannot use this server: allow a site with --allow-origin", "site")
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

    def check_host(self, scope: Scope) -> None:
        """Refuse a request that was sent to a host name which is not allowed.

        A page of another site can point its own name at this machine (DNS rebinding). Its requests carry that name.

        Raises:
            Refusal: the name is not allowed.
        """
        if self._hosts is None:
            return
        host = next((value for name, value in scope["headers"] if name == b"host"), b"").decode("latin-1").lower()
        name = host.rpartition(":")[0] if re.search(r":\d+$", host) else host
        if name != "localhost" and name not in self._hosts and not _is_address(name.strip("[]")):
            raise Refusal(
                403, f"this server does not accept the host name {name[:80]!r}: allow it with --allow-host", "host"
            )

    def _allows(self, origin: bytes) -> bool:
        return "*" in self._origins or origin.decode("latin-1") in self._origins


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _digest(key: str) -> bytes:
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise InputError("a key of the server is empty or invalid: use printable ASCII characters without spaces")
    return sha256(key.encode()).digest()
