"""Writing rows to a collection, in batches of the size that its server takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from twofold import StoreError
from twofold.extras import extra
from twofold.jobs.store import DOCUMENT

with extra("chroma"):
    import httpx
    from chromadb.errors import ChromaError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from chromadb.api.models.Collection import Collection

    from twofold.jobs.store import Scalar
    from twofold.vectors import FloatArray

MAX_BATCH = 1000
"""Rows in one call: Chroma's own limit is some thousands, but a server also limits the bytes of a request."""


def write(
    collection: Collection,
    ids: Sequence[str],
    vectors: FloatArray,
    texts: Sequence[str],
    metadatas: Sequence[Mapping[str, Scalar]],
) -> None:
    """Upsert rows, their metadata replaced and not, as Chroma does, merged with what was there.

    Raises:
        StoreError: Chroma refused rows, or is gone; the batches before are written, `failed` has all that are not.
    """
    for some in batches(collection, len(ids)):
        try:
            collection.upsert(
                ids=list(ids[some]),
                embeddings=vectors[some],
                documents=list(texts[some]),
                metadatas=cast("Any", _replacing(collection, ids[some], metadatas[some])),
            )
        except (ChromaError, ValueError, httpx.HTTPError) as error:  # Chroma refuses bad metadata by ValueError
            failed = dict.fromkeys(ids[some.start :], str(error))
            named = f"row {ids[some.start]!r} or one of the {some.stop - some.start - 1} after it"
            raise StoreError(f"Chroma did not take {named}: {error}", failed=failed) from error


def rows_of(collection: Collection, documents: Sequence[str]) -> set[str]:
    """The ids of the rows that belong to these documents."""
    found: set[str] = set()
    for some in batches(collection, len(documents)):
        where = cast("Any", {DOCUMENT: {"$in": list(documents[some])}})
        found.update(collection.get(where=where, include=[])["ids"])
    return found


def delete(collection: Collection, ids: Sequence[str]) -> None:
    """Delete rows; those that are not there are no error."""
    for some in batches(collection, len(ids)):
        collection.delete(ids=list(ids[some]))


def batches(collection: Collection, count: int) -> Iterator[slice]:
    """Slices of `count` rows that the collection's server takes at once."""
    limit = collection._client.get_max_batch_size()  # noqa: SLF001 - Chroma tells it to clients alone
    size = min(limit, MAX_BATCH)
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


def _replacing(
    collection: Collection, ids: Sequence[str], metadatas: Sequence[Mapping[str, Scalar]]
) -> list[dict[str, Scalar | None] | None]:
    """Metadata in which every field that a row has now, and is not to keep, is None: Chroma removes those."""
    found = collection.get(ids=list(ids), include=["metadatas"])
    old = dict(zip(found["ids"], found["metadatas"] or (), strict=True))
    return [
        {**dict.fromkeys(old.get(key) or ()), **new} or None  # Chroma takes None, and refuses an empty dict
        for key, new in zip(ids, metadatas, strict=True)
    ]
