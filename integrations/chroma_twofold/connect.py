"""Where a Chroma store is: a folder, which one process opens at a time, or a server.

Chroma's local files are not made for two processes: rows get lost and processes crash without a message.
"""

from __future__ import annotations

import json
import os
import re
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qs, urlsplit

from twofold import InputError, StoreError
from twofold.adapters import extra

with extra("chroma"):
    import chromadb
    from chromadb.api.client import Client
    from chromadb.config import Settings
    from chromadb.errors import ChromaError
    from filelock import FileLock, Timeout

if TYPE_CHECKING:
    from filelock import BaseFileLock

HOST_AND_PORT = re.compile(r"[\w.-]+:\d+")


def check_address(address: str) -> str:
    """Return `address` if it is valid. Opens nothing.

    Raises:
        InputError: an invalid address.
    """
    if "://" in address:
        _server(address)
    elif not address or HOST_AND_PORT.fullmatch(address):
        raise InputError(
            f"{address!r} is not a Chroma store: write a folder (chroma:./folder) or a server (chroma:http://host:8000)"
        )
    return address


def folder_exists(address: str) -> bool:
    """Return whether the folder has a store; True for every server."""
    return "://" in address or (_folder(address) / "chroma.sqlite3").is_file()


def connect(address: str) -> Client:
    """Return a client of the server or the folder at `address`; a missing folder is created.

    Until the client is closed, no other process can open the folder through Twofold.

    Raises:
        InputError: an invalid address.
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
    """Chroma's client of a locked folder."""

    def __init__(self, folder: Path, held: BaseFileLock) -> None:
        self._lock: BaseFileLock | None = held
        super().__init__(settings=Settings(persist_directory=str(folder), is_persistent=True))

    def close(self) -> None:
        """Close the client and unlock the folder."""
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
    """Return whether Chroma raised this: its own errors, those it passes on, and panics of its Rust part."""
    ours = isinstance(error, ChromaError | ValueError | OSError | RuntimeError)
    return ours or type(error).__name__ == "PanicException"


def _folder(address: str) -> Path:
    return Path(address).expanduser()


def _server(address: str) -> dict[str, Any]:
    """Return the arguments of Chroma's client."""
    shown = address.rpartition("@")[2]  # the part before may be a password
    wrong = InputError(
        f"{shown!r} is not the address of a Chroma server: write http://host:port, "
        "with ?tenant=… and &database=… if these are not the defaults"
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
    """Close a client, and the connections that Chroma leaves open."""
    client.close()
    for server in (client._server, getattr(client._admin_client, "_server", None)):  # noqa: SLF001 - see above
        session = getattr(server, "_session", None)
        if session is not None:
            session.close()


# -- one folder, one process ------------------------------------------------------------------------------------------

LOCK, HOLDER = "twofold.lock", "twofold.holder"
"""The locked file, and beside it the note that names the process."""


def lock(folder: Path) -> BaseFileLock:
    """Lock an existing folder until `unlock`. One process can lock it any number of times.

    Only Twofold respects the lock: it does not see a program that opens the folder through Chroma alone.

    Raises:
        StoreError: another process holds it (the message names it and the ways out), or no file can be locked there.
    """
    found = FileLock(
        str(folder.resolve() / LOCK), timeout=0, thread_local=False, is_singleton=True, fallback_to_soft=False
    )
    try:
        found.acquire()
        if found.lock_counter == 1:
            (folder / HOLDER).write_text(json.dumps(_this_process()), encoding="utf-8")
    except Timeout:
        raise StoreError(
            f"the Chroma folder {str(folder)!r} is open in another process ({_holder(folder)}), and it is for one at a "
            f"time: wait for that one, or serve the folder (chroma run --path {folder}) and give both the server's "
            "address (chroma:http://localhost:8000)"
        ) from None
    except (OSError, NotImplementedError) as error:
        if found.is_locked:
            found.release()
        raise StoreError(f"the Chroma folder {str(folder)!r} cannot be locked: {error}") from None
    return found


def unlock(held: BaseFileLock) -> None:
    """Unlock a folder. Other processes can open it after as many calls as there were of `lock`."""
    if held.lock_counter == 1:
        Path(held.lock_file).with_name(HOLDER).unlink(missing_ok=True)
    held.release()


def _this_process() -> dict[str, object]:
    """Describe the process that holds the folder. Of the command only the name: arguments may be secrets."""
    name = Path(sys.argv[0]).name
    ours = name in ("twofold", "__main__.py") and len(sys.argv) > 1
    since = datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
    return {"pid": os.getpid(), "command": f"twofold {sys.argv[1]}" if ours else name or "python", "since": since}


def _holder(folder: Path) -> str:
    try:
        note = json.loads((folder / HOLDER).read_text(encoding="utf-8"))
        return f"pid {note['pid']}, {note['command']}, since {note['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "it left no name"
