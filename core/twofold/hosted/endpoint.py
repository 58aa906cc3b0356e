"""Where a model's requests go, with which key, and over which connections."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from twofold.errors import InputError
from twofold.hosted.addresses import address, is_loopback
from twofold.hosted.limiter import limiter_for
from twofold.wires import find_wire

if TYPE_CHECKING:
    from twofold.hosted.exchange import Transport
    from twofold.hosted.limiter import Limiter
    from twofold.hosted.providers import Provider
    from twofold.keys import Key
    from twofold.settings import Settings

SHORTEST_KEY = 8
"""Characters of a key that is worth hiding: a shorter one is a placeholder, and a part of words."""
_LIKE_KEYS = re.compile(r"(?i)\bbearer\s+\S+|\b(?:sk|jina|pa|co|hf)[-_][\w-]{12,}")


class Endpoint:
    """One provider as one embedder reaches it.

    Attributes:
        url: where requests go; SageMaker's is its endpoint's name.
        wire: the dialect that is spoken there.
        encoding: how vectors are asked for.
        transport: carries requests; opens connections at the first use.
    """

    def __init__(self, row: Provider, settings: Settings, key: Key, client: Any = None) -> None:
        """Settle who is asked, and with what key; send nothing.

        Raises:
            InputError: a base_url that cannot be used, no key where one is needed, or one that would go unprotected.
            MissingExtra: httpx, msgspec or boto3 is not installed.
        """
        self._row, self._settings, self._key = row, settings, key
        self._limited: Limiter | None = None
        self.encoding = self._choose_encoding()
        self.url = self._where()
        self.wire = find_wire(row.dialect)
        self.transport = self._connect(client)

    def key(self) -> str | None:
        """The key for a call, which is also asked for again with each request.

        Raises:
            InputError: there is none where one is needed, or it cannot be one.
        """
        key = self._reveal()
        if key is None and self._settings.base_url is None:
            variable = self._settings.api_key_env or self._row.key_env
            raise InputError(f"no key for {self._row.name}: set the environment variable {variable}, or pass api_key")
        if key is not None and not (key.isascii() and key.isprintable() and " " not in key):
            raise InputError("the key has a character that no key has: a space, a line break, or one beyond ASCII")
        return key

    def check_key(self) -> str:
        """Say where the key comes from, without showing it.

        Raises:
            InputError: see `key`.
        """
        return repr(self._key) if self.key() else "none, and none is needed here"

    def limiter(self) -> Limiter:
        """The limiter of this host and key."""
        self._limited = limiter_for(urlsplit(self.url).netloc or self.url, self._reveal())  # held, so that it lives on
        return self._limited

    def redact(self, text: str) -> str:
        """Take this key, and what looks like any, out of text that came from outside."""
        key = self._reveal()
        return _LIKE_KEYS.sub("***", text.replace(key, "***") if key and len(key) >= SHORTEST_KEY else text)

    # -- inside -------------------------------------------------------------------------------------------------------

    def _reveal(self) -> str | None:
        """The key. The provider's usual variable is for its own address: a server of your own must be given a key."""
        own = self._settings.base_url is None or self._row.base_url is None
        return self._key.reveal(self._row.key_env if own else None)

    def _where(self) -> str:
        """The URL, or SageMaker's endpoint; checked together with how the key would travel."""
        base_url = self._settings.base_url
        if self._row.name == "sagemaker":
            if not base_url:
                raise InputError("'sagemaker' needs base_url: the name of your endpoint")
            return base_url
        url = address(self._row, base_url)
        if url.startswith("http:") and not is_loopback(url) and self._reveal():
            raise InputError(f"the key would go to {urlsplit(url).hostname} unencrypted: use https://")
        return url

    def _connect(self, client: Any) -> Transport:
        if self._row.name == "sagemaker":
            from twofold.hosted.sagemaker import SageMakerTransport  # noqa: PLC0415 - boto3 is an extra

            return SageMakerTransport(self.url, self.redact, client)
        from twofold.hosted.http import HttpTransport  # noqa: PLC0415 - httpx is an extra

        return HttpTransport(self.url, self._reveal, self.redact, client)

    def _choose_encoding(self) -> str:
        chosen, offered = self._settings.encoding, self._row.encodings
        if chosen == "auto":
            return offered[0]
        if chosen not in offered:
            raise InputError(f"encoding={chosen!r}: {self._row.name} sends {', '.join(offered)}")
        return chosen
