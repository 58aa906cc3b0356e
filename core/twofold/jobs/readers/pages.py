"""Reads the visible text of HTML and PDF pages."""

from __future__ import annotations

import logging
import re
import warnings
from typing import TYPE_CHECKING, Any

from twofold.errors import InputError
from twofold.extras import extra
from twofold.jobs.readers.source import Found

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bs4 import BeautifulSoup

    from twofold.jobs.readers.source import Source

UNREAD = ("script", "style", "noscript", "template", "svg", "head")
"""Elements whose content is not visible text."""
READ = ("NavigableString", "CData")
"""Beautiful Soup's classes for text. Comments and declarations have other classes."""
BLOCKS = (
    *("p", "div", "section", "article", "header", "footer", "main", "aside", "nav", "figure", "figcaption", "form"),
    *("h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "li", "dl", "dt", "dd", "table", "tr", "td", "th", "caption"),
    *("blockquote", "pre", "hr", "br", "address", "details", "summary", "fieldset", "option"),
)
"""Elements that begin and end a line. All others are inline."""


def read_html(source: Source) -> Iterator[Found]:
    """The page's text, one line for each block, with its title as a field.

    Raises:
        MissingExtra: Beautiful Soup is not installed.
    """
    with extra("inputs"):
        from bs4 import BeautifulSoup  # noqa: PLC0415 - optional
    with source.open() as stream:
        raw = stream.read()
    with warnings.catch_warnings(action="ignore"):  # it warns if the content looks like a file name or XML
        page = BeautifulSoup(raw, "html.parser", from_encoding=source.encoding)
    title = " ".join(page.title.get_text().split()) if page.title else ""
    lines = (re.sub(r"[^\S\n]+", " ", line).strip() for line in "".join(_strings(page)).split("\n"))
    yield Found("\n".join(line for line in lines if line), {"title": title} if title else {})


def _strings(page: BeautifulSoup) -> Iterator[str]:
    """The visible strings of a page, in order, with a line feed at both ends of each block. Takes linear time."""
    ends: list[tuple[str, Iterator[Any]]] = [("", iter(page.contents))]
    while ends:
        end, contents = ends[-1]
        for part in contents:
            if hasattr(part, "contents"):
                if part.name in UNREAD:
                    continue
                edge = "\n" if part.name in BLOCKS else ""
                yield edge
                ends.append((edge, iter(part.contents)))
                break
            if type(part).__name__ in READ:
                yield str(part)
        else:
            yield end
            ends.pop()


def read_pdf(source: Source) -> Iterator[Found]:
    """One document for each page, with the page number, the number of pages and the title as fields.

    Raises:
        MissingExtra: pypdf is not installed.
        InputError: the file needs a password or is broken.
    """
    with extra("inputs"):
        import pypdf  # noqa: PLC0415 - optional
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # it logs every small fault that it repairs
    with source.open() as stream:
        try:
            yield from _pages(pypdf.PdfReader(stream))
        except (InputError, GeneratorExit):
            raise
        except Exception as error:  # noqa: BLE001 - pypdf raises many types for broken files
            raise InputError(f"not a readable PDF: {error or type(error).__name__}") from None


def _pages(reader: Any) -> Iterator[Found]:
    if reader.is_encrypted and not reader.decrypt(""):
        raise InputError("it needs a password")
    title = str((reader.metadata or {}).get("/Title") or "").strip()
    for number, page in enumerate(reader.pages, 1):
        fields = {"page": number, "pages": len(reader.pages)} | ({"title": title} if title else {})
        yield Found(page.extract_text(), fields, f"#page={number}")
