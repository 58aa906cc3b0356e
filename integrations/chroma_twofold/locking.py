"""One folder, one process: Chroma's local files are not made for two, which lose rows and crash without a word."""

from __future__ import annotations

import json
import os
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from twofold import StoreError
from twofold.adapters import extra

with extra("chroma"):
    from filelock import FileLock, Timeout

if TYPE_CHECKING:
    from filelock import BaseFileLock

LOCK, HOLDER = "twofold.lock", "twofold.holder"
"""The file that is locked, and beside it the note that says who holds it."""


def lock(folder: Path) -> BaseFileLock:
    """Hold `folder`, which is there, until `unlock`; within one process any number of times.

    Only Twofold keeps to it: a program that opens the folder by Chroma alone is not seen.

    Raises:
        StoreError: another process holds it, which is named with the ways out, or no file can be locked there.
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
    """Let go of a folder; others may open it once each `lock` has been followed by this."""
    if held.lock_counter == 1:
        Path(held.lock_file).with_name(HOLDER).unlink(missing_ok=True)
    held.release()


def _this_process() -> dict[str, object]:
    """Who holds the folder; of the command only its name, since arguments may be secrets."""
    name = Path(sys.argv[0]).name
    ours = name in ("twofold", "__main__.py") and len(sys.argv) > 1
    since = datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
    return {"pid": os.getpid(), "command": f"twofold {sys.argv[1]}" if ours else name or "python", "since": since}


def _holder(folder: Path) -> str:
    """What the note says."""
    try:
        note = json.loads((folder / HOLDER).read_text(encoding="utf-8"))
        return f"pid {note['pid']}, {note['command']}, since {note['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "it has left no name"
