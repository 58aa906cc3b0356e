"""Where a Chroma store is, as one string: a folder, or the address of a server; and what goes wrong there."""

from __future__ import annotations

import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qs, urlsplit

from chroma_twofold.locking import lock, unlock
from twofold import InputError, StoreError
from twofold.adapters import extra

with extra("chroma"):
    import chromadb
    import httpx
    from chromadb.api.client import Client
    from chromadb.config import Settings
    from chromadb.errors import ChromaError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from filelock import BaseFileLock

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
    """A client of the server at `address`, or of the folder, which is made where it is not there.

    Other processes of ours cannot open a folder until the client is closed.

    Raises:
        InputError: an address that cannot be one.
        StoreError: another process has the folder open, it cannot be opened, or no server answers.
    """
    check_address(address)
    if "://" not in address:
        return _open(_folder(address))
    try:
        return cast("Client", chromadb.HttpClient(**_server(address)))
    except (ChromaError, ValueError, OSError, RuntimeError) as error:
        raise StoreError(f"no Chroma server answers at {address}: {error}") from None


class FolderClient(Client):
    """Chroma's client of a folder, which other processes cannot open until this one is closed."""

    def __init__(self, folder: Path, held: BaseFileLock) -> None:
        """Open `folder`, whose lock is `held`."""
        self._lock: BaseFileLock | None = held
        super().__init__(settings=Settings(persist_directory=str(folder), is_persistent=True))

    def close(self) -> None:
        """Close it, and let others open the folder."""
        super().close()
        if self._lock is not None:
            unlock(self._lock)
            self._lock = None


def _open(folder: Path) -> Client:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise StoreError(f"Chroma cannot open {str(folder)!r}: it is a file, and a store is a folder") from None
    except OSError as error:
        raise StoreError(f"Chroma cannot open the folder {str(folder)!r}: {error.strerror}") from None
    held = lock(folder)
    try:
        return FolderClient(folder, held)
    except BaseException as error:
        unlock(held)
        if not _is_chromas(error):
            raise
        raise StoreError(f"Chroma cannot open the folder {str(folder)!r}: {error}") from None


def _is_chromas(error: BaseException) -> bool:
    """Whether Chroma failed: by its own errors, by those that it lets through, or by a panic of its Rust part."""
    ours = isinstance(error, ChromaError | ValueError | OSError | RuntimeError)
    return ours or type(error).__name__ == "PanicException"


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


CUT_SHORT = "Error deserializing pickle file"
MEND = (
    "; a process ended while Chroma wrote its search structure: remove the folders that stand beside chroma.sqlite3, "
    "which has the texts, and index again with force"
)
"""The way out where Chroma was killed at the one moment that it does not survive; it fails at everything after that."""


@contextmanager
def asking(what: str = "Chroma failed", ids: Sequence[str] = ()) -> Iterator[None]:
    """Turn an error of Chroma's, or of the way to it, into ours; `ids` are the rows that are not written then.

    Raises:
        StoreError: Chroma refused what it was asked inside the block, or did not answer.
    """
    try:
        yield
    except (NotFoundError, InputError):
        raise
    except (ChromaError, ValueError, httpx.HTTPError) as error:  # bad metadata is a ValueError
        way_out = MEND if CUT_SHORT in str(error) else ""
        raise StoreError(f"{what}: {error}{way_out}", failed=dict.fromkeys(ids, str(error))) from error
