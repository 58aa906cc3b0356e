"""The URL of a provider's endpoint."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from twofold.errors import InputError

if TYPE_CHECKING:
    from twofold.hosted.provider import Provider


def is_loopback(url: str) -> bool:
    """Whether a URL points to this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def address(provider: Provider, path: str, base_url: str | None, model: str = "") -> str:
    """The URL of all requests of an embedder.

    "{model}" in `path` becomes the model's name. If `base_url` already has that part of the path, for a deployment with
    another name, only the rest of `path` is appended.

    Raises:
        InputError: `base_url` is required but missing, its scheme is not http or https, or it has a user name, a query
            or a fragment.
    """
    url = base_url or provider.base_url
    if url is None:
        raise InputError(f"{provider.name!r} needs base_url, the address of your endpoint")
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise InputError(f"base_url={url!r}: it must start with https:// or http:// and name a host")
    if parts.username is not None or parts.query or parts.fragment:
        raise InputError(
            "base_url must not have a user name, a query or a fragment: it is stored with the settings. Use api_key"
        )
    url = url.rstrip("/")
    before, _, after = path.partition("{model}")
    path = after if after and before in url else path.replace("{model}", quote(model, safe=""))
    return url if path and url.endswith(path) else url + path
