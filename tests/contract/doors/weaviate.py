"""Weaviate's door: documents are written to a real server, and their vectors read back from it."""

from __future__ import annotations

import uuid
from typing import Any

from support.weaviate_server import require_weaviate
from twofold.testing import Door
from weaviate_twofold import TwofoldVectorizer, aopen_collection, open_collection


def _objects(texts: list[str]) -> dict[str, Any]:
    """Each text with an id of its own: Weaviate keeps the same object once."""
    return {"objects": [{"text": text} for text in texts], "ids": [f"text {number}" for number in range(len(texts))]}


def _vectors(ids: list[str], found: Any) -> list[Any]:
    vectors = {str(one.uuid): one.vector["default"] for one in found.objects}
    return [vectors[key] for key in ids]


def _documents(vectorizer: TwofoldVectorizer, texts: list[str]) -> list[Any]:
    name = f"Contract{uuid.uuid4().hex}"
    with require_weaviate().connect() as client:
        try:
            collection = open_collection(client, name, vectorizer)
            ids = vectorizer.add_objects(collection, **_objects(texts))
            return _vectors(ids, collection.query.fetch_objects_by_ids(ids, include_vector=True))
        finally:
            client.collections.delete(name)


async def _adocuments(vectorizer: TwofoldVectorizer, texts: list[str]) -> list[Any]:
    name = f"Contract{uuid.uuid4().hex}"
    async with require_weaviate().connect_async() as client:
        try:
            collection = await aopen_collection(client, name, vectorizer)
            ids = await vectorizer.aadd_objects(collection, **_objects(texts))
            return _vectors(ids, await collection.query.fetch_objects_by_ids(ids, include_vector=True))
        finally:
            await client.collections.delete(name)


async def _aquery(vectorizer: TwofoldVectorizer, text: str) -> list[float]:
    return (await vectorizer.embedder.aembed_query(text)).tolist()  # type: ignore[no-any-return]


DOOR = Door(
    name="weaviate",
    make=TwofoldVectorizer,
    query=lambda vectorizer, text: vectorizer.embedder.embed_query(text).tolist(),
    documents=_documents,
    aquery=_aquery,
    adocuments=_adocuments,
    vector=list,
    number=float,
    surfaces=lambda vectorizer: [vectorizer.embedder.record().to_json()],
    package="weaviate_twofold",
    requires="weaviate",
    installs="'twofold[weaviate]'",
)
