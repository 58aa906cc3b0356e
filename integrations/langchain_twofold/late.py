"""Late chunking with any LangChain splitter: chunks whose vectors know their whole document."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, NamedTuple, SupportsIndex, overload

from langchain_twofold.embedding import as_embeddings
from twofold import InputError, ProviderError
from twofold.adapters import Checked, Entry, cut, digest_of, extra, invoke, run_in_thread, version, warn_blank

with extra("langchain"):
    from langchain_core.documents import Document

if TYPE_CHECKING:
    from collections.abc import Iterable

    from langchain_text_splitters import MarkdownHeaderTextSplitter, TextSplitter

    from twofold import Document as Text
    from twofold import Embedder, Space
    from twofold.adapters import Model

CHUNKS = uuid.UUID("6f0c1f2e-0d6a-5c1b-9a3e-7d6f2b1c4e58")
"""The namespace of chunks' ids."""


class LateVectors(list[Any]):
    """One vector for each chunk, and the `space` that they are in, which a slice and a sum with other rows keep.

    A row of None stands for a document that `add_documents` is to embed: `vectors + [None]` for one plain document
    after the chunks.
    """

    def __init__(self, rows: Iterable[list[float] | None], space: Space) -> None:
        """Take a row for each chunk."""
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
    """The chunks of `documents` and their vectors, for `add_documents(store, *late_chunk(…))`.

    Each document goes through the model whole; each chunk's vector is pooled from its own tokens. A chunk has the
    metadata that the splitter gives it, and `twofold_document` (the document's id, or a digest of its text and
    metadata), `twofold_start` and `twofold_end` (its offsets in the document's text, verified: a splitter's own are
    guesses, and wrong on repetitive text; its `start_index` is put right), `twofold_digest` and `twofold_rows` (the
    document's version). Its id is the same each time, so that indexing again replaces. A document that is blank, or
    that the splitter leaves nothing of, has no chunks; a `BlankWarning` names it.

    Args:
        documents: LangChain's documents, whole.
        splitter: any that cuts a text into pieces of it, with `split_documents` or `split_text`.
        embeddings: ours, an `Embedder`, or a model's name; where they are `cached`, what they have seen costs nothing.
        progress: draw a bar.

    Raises:
        InputError: a splitter whose chunks are not pieces of the text in its order, two documents with one id, a text
            that cannot be embedded, or a model that cannot late-chunk; `.index` is the document's.
        ProviderError: a hosted model failed; `partial` and `failed` count `documents`.
    """
    own = as_embeddings(embeddings)
    return _late(documents, splitter, own, progress=progress)


async def alate_chunk(
    documents: Iterable[Document],
    splitter: TextSplitter | MarkdownHeaderTextSplitter,
    embeddings: Model,
    *,
    progress: bool = False,
) -> tuple[list[Document], LateVectors]:
    """`late_chunk`, without holding up the event loop."""
    own = as_embeddings(embeddings)
    return await run_in_thread(_late, documents, splitter, own, progress=progress)


class _Cut(NamedTuple):
    """A document that is cut: its place, the host's pieces, and their spans in it."""

    place: int
    identity: str
    pieces: list[Document]
    text: Text


def _late(
    documents: Iterable[Document], splitter: Any, embeddings: Any, *, progress: bool
) -> tuple[list[Document], LateVectors]:
    cuts = _cut_all(documents, splitter)
    places = [one.place for one in cuts]
    try:
        vectors = invoke(embeddings, "embed_late", [one.text for one in cuts], progress=progress)
    except InputError as error:
        if error.index is None:
            raise
        place = places[error.index]
        raise InputError(f"document {place}: {error}", index=place) from None
    except ProviderError as error:
        error.renumber(places)
        raise
    chunks = [chunk for one in cuts for chunk in _chunks(one, embeddings.embedder)]
    return chunks, LateVectors((row for array in vectors for row in array.tolist()), embeddings.embedder.space)


def _cut_all(documents: Iterable[Document], splitter: Any) -> list[_Cut]:
    cuts: list[_Cut] = []
    seen: dict[str, int] = {}
    for place, document in enumerate(documents):
        pieces = _pieces(document, splitter) if document.page_content.strip() else []
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
    """The splitter's own; those that split texts alone, as Markdown's by headers, give the document's metadata away."""
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
