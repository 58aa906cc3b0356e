"""Cutting a text into chunks of a number of tokens, on the best borders there are, with exact spans.

A long text is cut into sections first, each of which is split, and late-chunked, by itself: memory does not grow with
the text, and a model sees no more of it than a window anyway.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from twofold.documents import Document, is_blank, too_long
from twofold.errors import InputError
from twofold.extras import extra
from twofold.stores.checks import refuses_long
from twofold.stores.rows import digest_of, text_digest
from twofold.stores.writing import cut_policy

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from twofold.documents import Span
    from twofold.embedder import Embedder

SECTION = 1 << 16
"""Characters of a section; a text that has no more is one."""

BORDERS = ("\n\n", "\n", " ")
"""Where a section ends, the best first."""


@dataclass(frozen=True, slots=True)
class Cutting:
    """How documents are cut: into chunks of at most `chunk_tokens`, embedded each in its document or each alone.

    Raises:
        InputError: late chunking without a size of chunks.
    """

    chunk_tokens: int | None = None
    late: bool = False

    def __post_init__(self) -> None:
        """Refuse what means nothing."""
        if self.late and self.chunk_tokens is None:
            raise InputError("late_chunking needs chunk_tokens: how many tokens a chunk may have")

    def check(self, embedder: Embedder) -> None:
        """Refuse chunks that the model cannot take, or that have no room for text, and a splitter that is not there.

        Raises:
            InputError: more tokens than the model's length, or no more than a short word and its frame have.
            MissingExtra: the extra `chunks` is not installed.
        """
        if self.chunk_tokens is None:
            return
        name, longest = embedder.card.name, embedder.card.max_tokens
        if self.chunk_tokens > longest:
            raise InputError(f"chunk_tokens={self.chunk_tokens}: {name} takes {longest} tokens")
        least = embedder.count_tokens(["word"])[0]
        if self.chunk_tokens < least:
            raise InputError(
                f"chunk_tokens={self.chunk_tokens}: one word has {least}, instruction and special tokens included"
            )
        with extra("chunks"):
            import semantic_text_splitter  # noqa: F401, PLC0415 - optional

    def is_long(self, text: str) -> bool:
        """Whether a text is cut into sections."""
        return self.chunk_tokens is not None and len(text) > SECTION

    def too_long(self, embedder: Embedder, key: str, tokens: int) -> InputError | None:
        """The error for a document that is not cut and is longer than the model takes; None where there is none."""
        limit = embedder.card.max_tokens
        if self.chunk_tokens is not None or tokens <= limit or not refuses_long(embedder):
            return None
        way_out = "cut documents into chunks (chunk_tokens), or set truncate='end'"
        return too_long(f"document {key!r}", tokens, limit, way_out=way_out)

    def digest(self, embedder: Embedder, text: str) -> str:
        """What a document's vectors depend on: its text, its cutting, and how what is long is cut or windowed."""
        policy = cut_policy(embedder, late=self.late) if self.late or self.chunk_tokens is None else []
        sections = [SECTION] if self.is_long(text) else []
        return digest_of(text_digest(text), self.chunk_tokens, self.late, policy, *sections)

    def document(self, embedder: Embedder, text: str) -> Document:
        """A text of one section, with the spans that each get a vector."""
        if self.chunk_tokens is None:
            return Document.whole(text)
        return Document(text, split(embedder, text, self.chunk_tokens))


def sections(text: str) -> Iterator[Span]:
    """The sections of a text, one after the other; each ends where a paragraph, a line or a word does."""
    start = 0
    while start < len(text):
        end = min(start + SECTION, len(text))
        if end < len(text):
            found = (text.rfind(border, start + SECTION // 2, end) + len(border) for border in BORDERS)
            end = next((place for border, place in zip(BORDERS, found, strict=True) if place >= len(border)), end)
        yield start, end
        start = end


def split(embedder: Embedder, text: str, chunk_tokens: int) -> tuple[Span, ...]:
    """The spans of `text` that hold at most `chunk_tokens` tokens each, as the model counts a text of its own.

    Borders are blank lines where they can be, then lines, sentences, words. White space between chunks is in none.

    Raises:
        MissingExtra: the extra `chunks` is not installed.
    """
    with extra("chunks"):
        from semantic_text_splitter import TextSplitter  # noqa: PLC0415 - optional

    def count(piece: str) -> int:
        return embedder.count_tokens([piece])[0] if not is_blank(piece) else 0

    found = TextSplitter.from_callback(count, chunk_tokens).chunk_indices(text)
    return tuple((start, start + len(chunk)) for start, chunk in found if not is_blank(chunk))


def join(document: Document, numbers: Sequence[int]) -> Document:
    """The document with its spans of these numbers joined to the span before them, or to the next one.

    For spans in which no token begins, since a token reaches over their border: they add none to their neighbour.
    """
    lost = set(numbers)
    spans: list[Span] = []
    begin: int | None = None
    for number, (start, end) in enumerate(document.spans):
        if number not in lost:
            spans.append((start if begin is None else begin, end))
            begin = None
        elif spans:
            spans[-1] = spans[-1][0], end
        elif begin is None:
            begin = start
    return Document(document.text, tuple(spans)) if spans else Document.whole(document.text)
