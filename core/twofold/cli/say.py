"""Words to people, and data: nothing that a document holds reaches a terminal as a control character."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

KEPT = "\n\t"


def plain(text: str) -> str:
    """`text` with control characters, and those that turn the direction of writing, as escapes that can be read."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(character if _is_harmless(character) else _escaped(character) for character in text)


def say(text: str) -> None:
    """Tell the user something that is no data, on standard error."""
    with suppress(AttributeError, OSError, ValueError):  # it is closed, or its reader has gone: nobody to tell
        sys.stderr.write(f"{plain(text)}\n")
        sys.stderr.flush()


def line(text: str) -> None:
    """Print a line of data."""
    sys.stdout.write(f"{plain(text)}\n")


def _is_harmless(character: str) -> bool:
    # U+202A to U+202E and U+2066 to U+2069 turn the direction of what follows them, so that a text shows as another
    code = ord(character)
    if code < 0x20 or 0x7F <= code < 0xA0:
        return character in KEPT
    return not (0x202A <= code <= 0x202E or 0x2066 <= code <= 0x2069 or 0xD800 <= code <= 0xDFFF)


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def discard_output() -> None:
    """Let nobody read what is still to be written to standard output."""
    with suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
