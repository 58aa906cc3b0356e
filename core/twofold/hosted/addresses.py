"""The URL that a provider's requests go to."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from twofold.errors import InputError

if TYPE_CHECKING:
    from twofold.hosted.provider import Provider


def is_loopback(url: str) -> bool:
    """Whether a URL leads to this very machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def address(provider: Provider, path: str, base_url: str | None, model: str = "") -> str:
    """The URL that requests go to, fixed by the embedder's own options.

    The model's name takes its place in `path`, unless `base_url` names it already: a deployment of another name.

    Raises:
        InputError: none is given where it must be, or one that is not plain: a scheme other than http and https, a
            user name, a query.
    """
    url = base_url or provider.base_url
    if url is None:
        raise InputError(f"{provider.name!r} needs base_url: the address of your own endpoint")
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise InputError(f"base_url={url!r}: it must start with https://, or http://, and name a host")
    if parts.username is not None or parts.query or parts.fragment:
        raise InputError("base_url has a user name or a query, which would be stored with the settings: use api_key")
    url = url.rstrip("/")
    before, _, after = path.partition("{model}")
    path = after if after and before in url else path.replace("{model}", quote(model, safe=""))
    return url if path and url.endswith(path) else url + path
