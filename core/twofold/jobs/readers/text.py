"""Reads plain text, Markdown and reStructuredText. Each file is one document."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twofold.jobs.readers.source import Found

if TYPE_CHECKING:
    from collections.abc import Iterator

    from twofold.jobs.readers.source import Source


def read_text(source: Source) -> Iterator[Found]:
    yield Found(source.read(), {})
