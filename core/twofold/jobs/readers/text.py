"""Plain text, Markdown, reStructuredText: a file is a document."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twofold.jobs.readers.source import Found

if TYPE_CHECKING:
    from collections.abc import Iterator

    from twofold.jobs.readers.source import Source


def read_text(source: Source) -> Iterator[Found]:
    """The file's text."""
    yield Found(source.read(), {})
