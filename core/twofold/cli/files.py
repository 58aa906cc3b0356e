"""Reads lines from standard input, and writes files that appear complete or not at all."""

from __future__ import annotations

import os
import sys
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from twofold.documents import is_blank
from twofold.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator


def is_terminal() -> bool:
    """Whether standard input is a terminal."""
    return sys.stdin is not None and sys.stdin.isatty()


def input_lines(encoding: str | None = None) -> Iterator[tuple[int, str]]:
    """The numbers (from 0) and texts of the lines of standard input that are not blank. Only a line feed ends a line.

    Raises:
        InputError: standard input is closed, or a line is not in this encoding.
    """
    if sys.stdin is None or sys.stdin.closed:
        raise InputError("standard input is closed: give texts as arguments or with --file")
    encoding = encoding or "utf-8"
    for number, raw in enumerate(sys.stdin.buffer):
        try:
            line = raw.decode(encoding)
        except UnicodeDecodeError as error:
            wrong = f"byte {raw[error.start]:#04x} at offset {error.start}"
            raise InputError(
                f"line {number + 1} of standard input is not {encoding.upper()}: {wrong}; set its encoding with "
                "--text-encoding"
            ) from None
        line = line.removesuffix("\n").removesuffix("\r")
        line = line.removeprefix("\ufeff") if number == 0 else line
        if not is_blank(line):
            yield number, line


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Write to a temporary file that replaces `path` when the block succeeds. Pipes and devices are written directly.

    Raises:
        InputError: the file cannot be created.
    """
    if path.exists() and not path.is_file():
        with _named(path), path.open("wb") as stream:
            yield stream
        return
    target = path.resolve()
    with _named(path):
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".tmp")
    try:
        with open(handle, "wb") as stream:  # noqa: PTH123 - already open
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        mode = target.stat().st_mode if target.exists() else 0o666 & ~_umask()
        Path(name).chmod(mode & 0o777)
        Path(name).replace(target)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise


@contextmanager
def _named(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}") from None


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
