"""`twofold demo --through weaviate`: a collection of the server at WEAVIATE_URL, removed afterwards."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from twofold import InputError
from weaviate_twofold.connect import connect
from weaviate_twofold.embedding import TwofoldVectorizer
from weaviate_twofold.store import open_collection

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twofold import Embedder

DEPTH = 10
"""Answers requested for each question."""


def ask(embedder: Embedder, entries: Sequence[Any], questions: Sequence[str]) -> list[list[tuple[str, float]]]:
    """Return the names and cosines of the entries nearest to each question, best first.

    Raises:
        InputError: WEAVIATE_URL is not set.
        StoreError: no server answers there.
    """
    url = os.environ.get("WEAVIATE_URL")
    if not url:
        raise InputError(
            "--through weaviate needs a server: set WEAVIATE_URL, for example to http://localhost:8080?grpc_port=50051"
        )
    vectorizer, name = TwofoldVectorizer(embedder), f"TwofoldDemo{uuid4().hex}"
    with connect(url) as client:
        try:
            collection = open_collection(client, name, embedder)
            vectorizer.add_objects(collection, [{"text": entry.text, "name": entry.name} for entry in entries])
            answers = [
                vectorizer.near_text(collection, question, limit=DEPTH, return_metadata=["distance"]).objects
                for question in questions
            ]
        finally:
            client.collections.delete(name)
    return [[(str(hit.properties["name"]), 1 - (hit.metadata.distance or 0)) for hit in hits] for hits in answers]
