"""Reads files as documents: one function for each file type, chosen by the suffix. A final `.gz` is ignored."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twofold.jobs.readers.pages import read_html, read_pdf
from twofold.jobs.readers.records import read_json, read_jsonl
from twofold.jobs.readers.source import Broken, Found, Source
from twofold.jobs.readers.tables import read_csv, read_parquet
from twofold.jobs.readers.text import read_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Reader = Callable[[Source], Iterator[Found | Broken]]

__all__ = ["READERS", "Broken", "Found", "Source", "known_suffixes", "reader_of"]

READERS: dict[str, Reader] = {
    **dict.fromkeys((".txt", ".text", ".md", ".markdown", ".rst"), read_text),
    **dict.fromkeys((".jsonl", ".ndjson"), read_jsonl),
    **dict.fromkeys((".html", ".htm", ".xhtml"), read_html),
    ".json": read_json,
    ".pdf": read_pdf,
    ".csv": read_csv,
    ".tsv": read_csv,
    ".parquet": read_parquet,
}


def reader_of(source: Source) -> Reader:
    """The reader for a file. Files with an unknown suffix are read as text."""
    return READERS.get(source.suffix, read_text)


def known_suffixes() -> list[str]:
    """The suffixes of the files that are read from folders."""
    return sorted(READERS)
