"""Printing messages and data. Control characters in documents never reach the terminal."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

KEPT = "\n\t"


def plain(text: str) -> str:
    """Replace control characters, and those that change the writing direction, by readable escapes."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(character if _is_harmless(character) else _escaped(character) for character in text)


def say(text: str) -> None:
    """Print a message on standard error."""
    with suppress(AttributeError, OSError, ValueError):  # standard error is closed
        sys.stderr.write(f"{plain(text)}\n")
        sys.stderr.flush()


def line(text: str) -> None:
    """Print a line of data on standard output."""
    sys.stdout.write(f"{plain(text)}\n")


def _is_harmless(character: str) -> bool:
    # U+202A to U+202E and U+2066 to U+2069 change the writing direction, so one text could look like another
    code = ord(character)
    if code < 0x20 or 0x7F <= code < 0xA0:
        return character in KEPT
    return not (0x202A <= code <= 0x202E or 0x2066 <= code <= 0x2069 or 0xD800 <= code <= 0xDFFF)


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def discard_output() -> None:
    """Discard everything that is still to be written to standard output."""
    with suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
