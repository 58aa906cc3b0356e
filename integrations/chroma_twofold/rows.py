"""Writing rows to a collection, in batches of the size that its server takes."""

from __future__ import annotations

from contextlib import contextmanager
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


@contextmanager
def asking(ids: Sequence[str] = ()) -> Iterator[None]:
    """Turn an error of Chroma's, or of the way to it, into ours; `ids` are the rows that are not written then.

    Raises:
        StoreError: Chroma refused what it was asked inside the block, or did not answer.
    """
    try:
        yield
    except (ChromaError, ValueError, httpx.HTTPError) as error:  # bad metadata is a ValueError
        what = f"did not take row {ids[0]!r} or one of the {len(ids) - 1} after it" if ids else "failed"
        raise StoreError(f"Chroma {what}: {error}", failed=dict.fromkeys(ids, str(error))) from error


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
        with asking(ids[some.start :]):
            collection.upsert(
                ids=list(ids[some]),
                embeddings=vectors[some],
                documents=list(texts[some]),
                metadatas=cast("Any", _replacing(collection, ids[some], metadatas[some])),
            )


def rows_of(collection: Collection, documents: Sequence[str]) -> set[str]:
    """The ids of the rows that belong to these documents."""
    found: set[str] = set()
    for some in batches(collection, len(documents)):
        where = cast("Any", {DOCUMENT: {"$in": list(documents[some])}})
        with asking():
            found.update(collection.get(where=where, include=[])["ids"])
    return found


def delete(collection: Collection, ids: Sequence[str]) -> None:
    """Delete rows; those that are not there are no error."""
    for some in batches(collection, len(ids)):
        with asking():
            collection.delete(ids=list(ids[some]))


def batches(collection: Collection, count: int) -> Iterator[slice]:
    """Slices of `count` rows that the collection's server takes at once."""
    with asking():
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
