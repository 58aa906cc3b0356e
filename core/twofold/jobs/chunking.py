"""Splits a text into chunks of at most a number of tokens, at the best borders available, with exact spans.

A long text is first cut into sections. Each section is split and late-chunked separately, so memory does not grow with
the text. A model sees only one window of the text at a time in any case.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from twofold.backend import Requesting
from twofold.documents import Document, is_blank, too_long
from twofold.errors import InputError
from twofold.extras import extra
from twofold.stores.checks import refuses_long
from twofold.stores.rows import digest_of, text_digest
from twofold.stores.writing import cut_policy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from twofold.documents import Span
    from twofold.embedder import Embedder

SECTION = 1 << 16
"""The most characters in a section. A text with no more than that is one section."""

BORDERS = ("\n\n", "\n", " ")
"""Where a section may end, best first."""


@dataclass(frozen=True, slots=True)
class Cutting:
    """How documents are cut.

    Attributes:
        chunk_tokens: the most tokens in a chunk; None keeps documents whole.
        late: embed chunks in the context of their document instead of alone.

    Raises:
        InputError: `late` without `chunk_tokens`.
    """

    chunk_tokens: int | None = None
    late: bool = False

    def __post_init__(self) -> None:
        if self.late and self.chunk_tokens is None:
            raise InputError("late_chunking needs chunk_tokens, the most tokens that a chunk may have")

    def check(self, embedder: Embedder) -> None:
        """Check that the model accepts chunks of this size and that the splitter is installed.

        Raises:
            InputError: `chunk_tokens` exceeds the model's maximum, or is too small for one short word with its
                instruction and special tokens.
            MissingExtra: the extra `chunks` is not installed.
        """
        if self.chunk_tokens is None:
            return
        name, longest = embedder.card.name, embedder.card.max_tokens
        if self.chunk_tokens > longest:
            raise InputError(f"chunk_tokens={self.chunk_tokens}: {name} takes at most {longest} tokens")
        least = _tokens(embedder, "word")
        if self.chunk_tokens < least:
            raise InputError(
                f"chunk_tokens={self.chunk_tokens}: the minimum is {least} (one word, with its instruction and special "
                "tokens)"
            )
        with extra("chunks"):
            import semantic_text_splitter  # noqa: F401, PLC0415 - optional

    def is_long(self, text: str) -> bool:
        """Whether `text` is cut into several sections."""
        return self.chunk_tokens is not None and len(text) > SECTION

    def too_long(self, embedder: Embedder, key: str, tokens: int) -> InputError | None:
        """The error for a whole document that exceeds the model's maximum, or None if it fits or may be truncated."""
        limit = embedder.card.max_tokens
        if self.chunk_tokens is not None or tokens <= limit or not refuses_long(embedder):
            return None
        way_out = "cut documents into chunks (chunk_tokens), or set truncate='end'"
        return too_long(f"document {key!r}", tokens, limit, way_out=way_out)

    def digest(self, embedder: Embedder, text: str) -> str:
        """A digest of everything that a document's vectors depend on: its text, its chunks, truncation and windows."""
        policy = cut_policy(embedder, late=self.late) if self.late or self.chunk_tokens is None else []
        sections = [SECTION] if self.is_long(text) else []
        return digest_of(text_digest(text), self.chunk_tokens, self.late, policy, *sections)

    def document(self, embedder: Embedder, text: str) -> Document:
        """The text of one section as a document, with one span for each vector."""
        if self.chunk_tokens is None:
            return Document.whole(text)
        return Document(text, split(embedder, text, self.chunk_tokens))


def sections(text: str) -> Iterator[Span]:
    """The sections of a text, in order. Each ends at the end of a paragraph, a line or a word if possible."""
    start = 0
    while start < len(text):
        end = min(start + SECTION, len(text))
        if end < len(text):
            found = (text.rfind(border, start + SECTION // 2, end) + len(border) for border in BORDERS)
            end = next((place for border, place in zip(BORDERS, found, strict=True) if place >= len(border)), end)
        yield start, end
        start = end


def split(embedder: Embedder, text: str, chunk_tokens: int) -> tuple[Span, ...]:
    """The spans of `text` with at most `chunk_tokens` tokens each, counted as if each were embedded alone.

    Spans end at blank lines if possible, otherwise at lines, sentences or words. Spans exclude the white space between
    chunks.

    Raises:
        MissingExtra: the extra `chunks` is not installed.
    """
    with extra("chunks"):
        from semantic_text_splitter import TextSplitter  # noqa: PLC0415 - optional

    def count(piece: str) -> int:
        return _tokens(embedder, piece) if not is_blank(piece) else 0

    found = TextSplitter.from_callback(count, chunk_tokens).chunk_indices(text)
    return tuple((start, start + len(chunk)) for start, chunk in found if not is_blank(chunk))


def _tokens(embedder: Embedder, text: str) -> int:
    """The tokens of a chunk; likely ones if only the provider can count them."""
    backend = embedder.backend
    if isinstance(backend, Requesting):
        return backend.likely_tokens([text], embedder.document_task)[0]
    return embedder.count_tokens([text])[0]
