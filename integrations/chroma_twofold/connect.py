"""Where a Chroma store is, as one string: a folder, or the address of a server."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qs, urlsplit

from twofold import InputError, StoreError
from twofold.adapters import extra

with extra("chroma"):
    import chromadb
    from chromadb.errors import ChromaError

if TYPE_CHECKING:
    from chromadb.api.client import Client

HOST_AND_PORT = re.compile(r"[\w.-]+:\d+")


def connect(address: str) -> Client:
    """A client of the folder, which is made where it is not there, or of the server at `address`.

    Raises:
        InputError: an address that cannot be one.
        StoreError: the folder cannot be opened, or no server answers.
    """
    if "://" in address:
        return _server(address)
    if not address or HOST_AND_PORT.fullmatch(address):
        raise InputError(
            f"{address!r} is not a Chroma store: write a folder (chroma:./folder) or a server (chroma:http://host:8000)"
        )
    return _folder(Path(address).expanduser())


def _folder(folder: Path) -> Client:
    try:
        return cast("Client", chromadb.PersistentClient(folder))
    except (ChromaError, ValueError, OSError, RuntimeError) as error:
        raise StoreError(f"Chroma cannot open the folder {str(folder)!r}: {error}") from error


def _server(address: str) -> Client:
    shown = address.rpartition("@")[2]  # what stands before may be a password
    wrong = InputError(
        f"{shown!r} is not the address of a Chroma server: write http://host:port, "
        "with ?tenant=… and &database=… where these are not the default ones"
    )
    try:
        url = urlsplit(address)
        port = url.port
    except ValueError:
        raise wrong from None
    asked = {name: values[-1] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
    if url.scheme not in ("http", "https") or not url.hostname or url.path.strip("/") or url.username:
        raise wrong
    if set(asked) - {"tenant", "database"} or not all(asked.values()):
        raise wrong
    secure = url.scheme == "https"
    try:
        client = chromadb.HttpClient(url.hostname, port or (443 if secure else 8000), ssl=secure, **cast("Any", asked))
    except (ChromaError, ValueError) as error:
        raise StoreError(f"no Chroma server answers at {shown}: {error}") from None
    return cast("Client", client)


def close(client: Client) -> None:
    """Close a client and its connections, which Chroma leaves open."""
    client.close()
    for server in (client._server, getattr(client._admin_client, "_server", None)):  # noqa: SLF001 - see above
        session = getattr(server, "_session", None)
        if session is not None:
            session.close()
