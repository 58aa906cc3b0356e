"""Chroma as a store for jobs: `chroma:./folder`, `chroma:http://localhost:8000`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Self, cast
from urllib.parse import urlsplit

from chroma_twofold.collection import open_collection
from chroma_twofold.rows import asking, delete, write
from twofold import InputError, StoreError
from twofold.extras import extra
from twofold.jobs.store import Held, Hit, Row

with extra("chroma"):
    import chromadb

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from chromadb.api.client import Client
    from chromadb.api.models.Collection import Collection

    from twofold import Embedder
    from twofold.vectors import FloatArray

PAGE = 5000
"""Rows read in one call."""


class ChromaStore:
    """A collection of Chroma's as a `twofold.jobs.store.Store`."""

    def __init__(self, client: Client, collection: Collection) -> None:
        """Take a collection that `open_collection` gave, with its client, which `close` closes."""
        self.client = client
        self.collection = collection
        self._distance = (collection.configuration_json.get("hnsw") or {}).get("space", "cosine")

    @classmethod
    def open(cls, address: str, collection: str, embedder: Embedder, *, create: bool = True) -> Self:
        """See `Store.open`: a folder, made where it is not there, or the URL of a server."""
        client = _server(address) if "://" in address else _folder(address, create)
        try:
            return cls(client, open_collection(client, collection, embedder, create=create))
        except BaseException:
            _close(client)
            raise

    def held(self) -> Iterator[Held]:
        """Every row, read page by page."""
        for offset in range(0, self.count(), PAGE):
            with asking():
                page = self.collection.get(include=["metadatas"], limit=PAGE, offset=offset)
            for key, fields in zip(page["ids"], page["metadatas"] or (), strict=True):
                yield Held.from_fields(key, fields or {})

    def upsert(self, rows: Sequence[Row], vectors: FloatArray) -> None:
        """Write rows; see `Store.upsert`."""
        fields = [row.fields() for row in rows]
        write(self.collection, [row.id for row in rows], vectors, [row.text for row in rows], fields)

    def delete(self, ids: Sequence[str]) -> None:
        """Remove rows; see `Store.delete`."""
        delete(self.collection, ids)

    def search(self, vector: FloatArray, limit: int) -> list[Hit]:
        """The nearest rows, best first; see `Store.search`."""
        with asking():
            found = self.collection.query(
                query_embeddings=[vector.tolist()], n_results=limit, include=["documents", "metadatas", "distances"]
            )
        columns = (found["ids"], found["documents"] or [[]], found["metadatas"] or [[]], found["distances"] or [[]])
        return [
            Hit(Row.from_fields(key, text or "", fields or {}), self._cosine(distance))
            for key, text, fields, distance in zip(*(column[0] for column in columns), strict=True)
        ]

    def count(self) -> int:
        """How many rows there are."""
        with asking():
            return int(self.collection.count())

    def close(self) -> None:
        """Close the client."""
        _close(self.client)

    def _cosine(self, distance: float) -> float:
        """Chroma's distances are 1 - cosine, 1 - dot product, or the squared L2 distance (of unit vectors, here)."""
        return 1 - (distance / 2 if self._distance == "l2" else distance)


def _folder(address: str, create: bool) -> Client:
    folder = Path(address)
    if not create and not (folder / "chroma.sqlite3").is_file():
        raise StoreError(f"there is no Chroma store at {address!r}: index into it first")
    client = chromadb.PersistentClient(folder)
    return cast("Client", client)


def _server(address: str) -> Client:
    url = urlsplit(address)
    if url.scheme not in ("http", "https") or not url.hostname or url.path.strip("/") or url.username:
        shown = address.rpartition("@")[2]  # what stands before may be a password
        raise InputError(f"{shown!r} is no address of a Chroma server: http://host:port is wanted")
    secure = url.scheme == "https"
    port = url.port or (443 if secure else 8000)
    try:
        client = chromadb.HttpClient(url.hostname, port, ssl=secure)
    except ValueError as error:
        raise StoreError(f"no Chroma server answers at {address}: {error}") from None
    return cast("Client", client)


def _close(client: Client) -> None:
    """Close a client and its connections, which Chroma leaves open."""
    client.close()
    for server in (client._server, getattr(client._admin_client, "_server", None)):  # noqa: SLF001 - see above
        session = getattr(server, "_session", None)
        if session is not None:
            session.close()
