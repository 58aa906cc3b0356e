"""The endpoint of a model: its address, key, dialect and connections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from twofold.errors import InputError
from twofold.hosted.addresses import address, is_loopback
from twofold.hosted.limiter import limiter_for
from twofold.hosted.loop import generation, in_thread
from twofold.wires import find_wire

if TYPE_CHECKING:
    from twofold.hosted.exchange import Transport
    from twofold.hosted.limiter import Limiter
    from twofold.hosted.provider import Provider
    from twofold.keys import Key
    from twofold.settings import Settings


class Endpoint:
    """One provider as one embedder reaches it.

    Attributes:
        url: the URL of requests; on AWS, the name of the endpoint or the model.
        wire, late_wire: the dialects of plain and of late-chunked requests.
        encoding: the requested encoding of vectors.
        transport: sends requests. It opens connections on first use.
    """

    def __init__(self, row: Provider, model: str, settings: Settings, key: Key, client: Any = None) -> None:
        """Check the address, the encoding and how the key would travel; nothing is sent.

        Raises:
            InputError: `base_url` or `encoding` is invalid, or the key would be sent unencrypted.
            MissingExtra: httpx, msgspec or boto3 is not installed.
        """
        self._row, self._settings, self._key = row, settings, key
        self._limited: Limiter | None = None
        self.encoding = self._choose_encoding()
        self.url = self._address(row.path, model)
        self.wire = find_wire(row.dialect)
        self.late_wire = find_wire(row.late_dialect or row.dialect)
        self.transport = self._connect(model, client)

    def check_key(self) -> str:
        """Where the key comes from, in words that do not show it. A callable is not called.

        Raises:
            InputError: the key is missing or invalid.
        """
        if self._key.is_asked_for or self._key.identity(self._variable):
            return repr(self._key)
        if self._settings.base_url is None and self._row.key_env:
            variable = self._settings.api_key_env or self._row.key_env
            raise InputError(f"no key for {self._row.name}: set the environment variable {variable}, or pass api_key")
        return "none, and none is required"

    def limiter(self) -> Limiter:
        """The limiter of this host and key."""
        host = urlsplit(self.url).netloc or self.url
        account = self._key.identity(self._variable)
        self._limited = limiter_for(host, account, generation())  # a strong reference keeps it alive
        return self._limited

    # -- inside -------------------------------------------------------------------------------------------------------

    @property
    def _variable(self) -> str | None:
        """The provider's usual variable, for its own address only. A custom `base_url` needs an explicit key."""
        own = self._settings.base_url is None or self._row.base_url is None
        return self._row.key_env if own else None

    async def _headers(self) -> tuple[Key, dict[str, str]]:
        """The key, and the header with the key, for one request.

        Raises:
            InputError: the key is invalid.
        """
        ask = self._key.resolved
        key = await in_thread(ask) if self._key.is_asked_for else ask(self._variable)
        return key, key.header(self._row.key_header, self._row.key_prefix)

    def _address(self, path: str, model: str) -> str:
        """The URL, or the name that AWS invokes. A key must not go to another machine over plain http."""
        base_url = self._settings.base_url
        if self._row.carrier == "sagemaker" and not base_url:
            raise InputError(f"{self._row.name!r} needs base_url, the name of your endpoint")
        if self._row.carrier != "http":
            return base_url or model
        url = address(self._row, path, base_url, model)
        keyed = self._key.is_asked_for or self._key.identity(self._variable)
        if url.startswith("http:") and not is_loopback(url) and keyed:
            raise InputError(f"the key would be sent to {urlsplit(url).hostname} unencrypted: use https://")
        return url

    def _connect(self, model: str, client: Any) -> Transport:
        if self._row.carrier != "http":
            from twofold.hosted.aws import AwsTransport  # noqa: PLC0415 - boto3 is an extra

            return AwsTransport(self._row.carrier, self.url, client)
        from twofold.hosted.http import HttpTransport  # noqa: PLC0415 - httpx is an extra

        late_url = self._address(self._row.late_path or self._row.path, model)
        return HttpTransport(self.url, late_url, self._headers, client)

    def _choose_encoding(self) -> str:
        chosen, offered = self._settings.encoding, self._row.encodings
        if chosen == "auto":
            return offered[0]
        if chosen not in offered:
            raise InputError(f"encoding={chosen!r}: {self._row.name} supports {', '.join(offered)}")
        return chosen
