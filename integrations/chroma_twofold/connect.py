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


def check_address(address: str) -> str:
    """Return `address`, or say what is wrong with it; nothing is opened.

    Raises:
        InputError: an address that cannot be one.
    """
    if "://" in address:
        _server(address)
    elif not address or HOST_AND_PORT.fullmatch(address):
        raise InputError(
            f"{address!r} is not a Chroma store: write a folder (chroma:./folder) or a server (chroma:http://host:8000)"
        )
    return address


def is_there(address: str) -> bool:
    """Whether the folder has a store; a server is taken to be there."""
    return "://" in address or (_folder(address) / "chroma.sqlite3").is_file()


def connect(address: str) -> Client:
    """A client of the folder, which is made where it is not there, or of the server at `address`.

    Raises:
        InputError: an address that cannot be one.
        StoreError: the folder cannot be opened, or no server answers.
    """
    check_address(address)
    try:
        if "://" in address:
            return cast("Client", chromadb.HttpClient(**_server(address)))
        return cast("Client", chromadb.PersistentClient(_folder(address)))
    except (ChromaError, ValueError, OSError, RuntimeError) as error:
        what = "no Chroma server answers at" if "://" in address else "Chroma cannot open the folder"
        raise StoreError(f"{what} {address}: {error}") from None


def _folder(address: str) -> Path:
    return Path(address).expanduser()


def _server(address: str) -> dict[str, Any]:
    """What Chroma's client takes."""
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
    return {"host": url.hostname, "port": port or (443 if secure else 8000), "ssl": secure, **asked}


def close(client: Client) -> None:
    """Close a client and its connections, which Chroma leaves open."""
    client.close()
    for server in (client._server, getattr(client._admin_client, "_server", None)):  # noqa: SLF001 - see above
        session = getattr(server, "_session", None)
        if session is not None:
            session.close()
