"""Late chunking with any LangChain splitter: chunks whose vectors know their whole document."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, NamedTuple, SupportsIndex, overload

from langchain_twofold.embedding import as_embeddings
from twofold import InputError, ProviderError
from twofold.adapters import cut, extra, invoke, is_blank, run_in_thread, warn_blank
from twofold.stores import Checked, Entry, digest_of, version

with extra("langchain"):
    from langchain_core.documents import Document

if TYPE_CHECKING:
    from collections.abc import Iterable

    from langchain_text_splitters import MarkdownHeaderTextSplitter, TextSplitter

    from twofold import Document as Text
    from twofold import Embedder, Space
    from twofold.adapters import Model

CHUNKS = uuid.UUID("6f0c1f2e-0d6a-5c1b-9a3e-7d6f2b1c4e58")
"""The namespace of the chunks' ids."""


class LateVectors(list[Any]):
    """One vector for each chunk, and their `space`, which slices and sums with other rows keep.

    A row of None stands for a document that `add_documents` embeds: `vectors + [None]` for one plain document after the
    chunks.
    """

    def __init__(self, rows: Iterable[list[float] | None], space: Space) -> None:
        super().__init__(rows)
        self.space = space

    @overload
    def __getitem__(self, place: SupportsIndex) -> Any: ...
    @overload
    def __getitem__(self, place: slice) -> LateVectors: ...
    def __getitem__(self, place: SupportsIndex | slice) -> Any:
        rows = super().__getitem__(place)
        return LateVectors(rows, self.space) if isinstance(place, slice) else rows

    def __add__(self, rows: list[Any]) -> LateVectors:
        return LateVectors([*self, *rows], self.space)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle with the space."""
        return LateVectors, (list(self), self.space)


def late_chunk(
    documents: Iterable[Document],
    splitter: TextSplitter | MarkdownHeaderTextSplitter,
    embeddings: Model,
    *,
    progress: bool = False,
) -> tuple[list[Document], LateVectors]:
    """Return the chunks of `documents` and their vectors, for `add_documents(store, *late_chunk(…))`.

    Each document goes through the model whole; each chunk's vector is pooled from its own tokens. A chunk has the
    metadata that the splitter gives it, and these fields: `twofold_document` (the document's id, or a digest of its
    text and metadata), `twofold_start` and `twofold_end` (verified offsets in the document's text; a splitter's
    `start_index` is a guess that may be wrong on repetitive text, and is corrected), `twofold_digest` and
    `twofold_rows` (the document's version). A chunk's id is the same each time, so that indexing again replaces it. A
    blank chunk is left out. A document that is blank, or of which the splitter leaves nothing, has no chunks; a
    `BlankWarning` names it.

    Args:
        documents: LangChain's documents, whole.
        splitter: anything that cuts a text into pieces of it, with `split_documents` or `split_text`.
        embeddings: ours, an `Embedder`, or a model's name. With `cached` ones, a known document costs nothing.
        progress: draw a progress bar.

    Raises:
        InputError: a splitter whose chunks are not pieces of the text in its order, two documents with one id, a text
            that cannot be embedded, or a model that cannot late-chunk; `.index` is the document's.
        ProviderError: a hosted model failed; `partial` and `failed` count `documents`.
    """
    own = as_embeddings(embeddings)
    cuts = _cut_all(documents, splitter)
    places = [one.place for one in cuts]
    try:
        vectors = invoke(own, "embed_late", [one.text for one in cuts], progress=progress)
    except InputError as error:
        if error.index is None:
            raise
        place = places[error.index]
        raise InputError(f"document {place}: {error}", index=place) from None
    except ProviderError as error:
        error.renumber(places)
        raise
    chunks = [chunk for one in cuts for chunk in _chunks(one, own.embedder)]
    return chunks, LateVectors((row for array in vectors for row in array.tolist()), own.embedder.space)


async def alate_chunk(
    documents: Iterable[Document],
    splitter: TextSplitter | MarkdownHeaderTextSplitter,
    embeddings: Model,
    *,
    progress: bool = False,
) -> tuple[list[Document], LateVectors]:
    """`late_chunk` without blocking the event loop."""
    return await run_in_thread(late_chunk, documents, splitter, embeddings, progress=progress)


class _Cut(NamedTuple):
    """A document, its place in the call, the splitter's pieces, and their spans."""

    place: int
    identity: str
    pieces: list[Document]
    text: Text


def _cut_all(documents: Iterable[Document], splitter: Any) -> list[_Cut]:
    cuts: list[_Cut] = []
    seen: dict[str, int] = {}
    for place, document in enumerate(documents):
        pieces = [] if is_blank(document.page_content) else _pieces(document, splitter)
        pieces = [piece for piece in pieces if not is_blank(piece.page_content)]
        if not pieces:
            warn_blank(f"document {place}")
            continue
        hints = [piece.metadata.get("start_index") for piece in pieces]
        text = cut(
            document.page_content,
            [piece.page_content for piece in pieces],
            [hint if isinstance(hint, int) else None for hint in hints],
            name=f"document {place}",
            index=place,
        )
        identity = document.id or digest_of(document.page_content, document.metadata)
        if seen.setdefault(identity, place) != place:
            raise InputError(
                f"documents {seen[identity]} and {place} have one id, or are the same and have none: "
                "give each its own id, or leave one out",
                index=place,
            )
        cuts.append(_Cut(place, identity, pieces, text))
    return cuts


def _pieces(document: Document, splitter: Any) -> list[Document]:
    """The splitter's pieces. A splitter of texts, such as Markdown's by headers, drops the document's metadata."""
    if hasattr(splitter, "split_documents"):
        pieces: list[Document] = splitter.split_documents([document])
        return pieces
    if not hasattr(splitter, "split_text"):
        raise InputError(f"a {type(splitter).__name__} has neither split_documents nor split_text: give a splitter")
    made = [one if isinstance(one, Document) else Document(one) for one in splitter.split_text(document.page_content)]
    return [Document(one.page_content, metadata={**document.metadata, **one.metadata}) for one in made]


def _chunks(one: _Cut, embedder: Embedder) -> list[Document]:
    metadatas = [piece.metadata for piece in one.pieces]
    digest = version(embedder, Checked(one.text, metadatas, chunked=True))
    rows = Entry(one.identity, one.text, metadatas, digest, chunked=True).rows()
    chunks = []
    for piece, row in zip(one.pieces, rows, strict=True):
        metadata: dict[str, Any] = row.fields()
        if "start_index" in metadata:
            metadata["start_index"] = row.span[0]
        key = uuid.uuid5(CHUNKS, f"{one.identity}:{row.span[0]}:{row.span[1]}")
        chunks.append(Document(id=str(key), page_content=piece.page_content, metadata=metadata))
    return chunks
