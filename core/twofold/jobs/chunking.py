"""Cutting a text into chunks of a number of tokens, on the best borders there are, with exact spans."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twofold.errors import InputError
from twofold.extras import extra

if TYPE_CHECKING:
    from twofold.documents import Span
    from twofold.embedder import Embedder


def check_chunk_tokens(embedder: Embedder, chunk_tokens: int) -> None:
    """Refuse chunks that the model can not take, or that have no room for text.

    Raises:
        InputError: more tokens than the model's length, or no more than a short word and its frame have.
    """
    if chunk_tokens > embedder.card.max_tokens:
        raise InputError(f"chunk_tokens={chunk_tokens}: {embedder.card.name} takes {embedder.card.max_tokens} tokens")
    least = embedder.count_tokens(["word"])[0]
    if chunk_tokens < least:
        raise InputError(f"chunk_tokens={chunk_tokens}: one word has {least}, instruction and special tokens included")


def split(embedder: Embedder, text: str, chunk_tokens: int) -> tuple[Span, ...]:
    """The spans of `text` that hold at most `chunk_tokens` tokens each, as the model counts a text of its own.

    Borders are blank lines where they can be, then lines, sentences, words. White space between chunks is in none.

    Raises:
        MissingExtra: the extra `chunks` is not installed.
    """
    with extra("chunks"):
        from semantic_text_splitter import TextSplitter  # noqa: PLC0415 - optional

    def count(piece: str) -> int:
        return embedder.count_tokens([piece])[0] if piece.strip() else 0

    found = TextSplitter.from_callback(count, chunk_tokens).chunk_indices(text)
    return tuple((start, start + len(chunk)) for start, chunk in found)
