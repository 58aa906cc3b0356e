"""A real Weaviate server that calls an embedding server, here one of a few lines, by the entries of `server_side`."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from twofold import SpaceMismatch
from twofold.fake import FAKE_CARD, FakeBackend
from twofold.testing import FakeEmbedder
from weaviate_twofold import TwofoldVectorizer, open_collection, server_side

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.weaviate_server import WeaviateServer
    from twofold import Embedder

PROPERTIES = {"title": "Lighthouse", "body": "The keeper counted nine ships."}
JOINED = "The keeper counted nine ships. Lighthouse"
"""What Weaviate makes of it: in alphabetical order, joined by a space, without the collection's name."""


@contextmanager
def serving(embedder: Embedder) -> Iterator[tuple[str, list[tuple[str, Any]]]]:
    """An embedding server's URL, and the requests that it gets."""
    asked: list[tuple[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append((self.path, body))
            texts = body.get("input") or [body["text"]]
            query = self.path.startswith("/query") or body.get("task") == "retrieval.query"
            rows = (embedder.embed_queries if query else embedder.embed_documents)(texts).tolist()
            if "input" in body:
                answer: Any = {"data": [{"index": index, "embedding": row} for index, row in enumerate(rows)]}
            else:
                answer = {"text": texts[0], "vector": rows[0], "dim": len(rows[0])}
            said = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *_: object) -> None:
            """Stay quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join()


class NamedLikeV3(FakeEmbedder):
    """The fake under a name, and with tasks, that text2vec-jinaai tells the sides of."""

    @property
    def backend(self) -> FakeBackend:
        if not isinstance(self._backend, FakeBackend):
            from dataclasses import replace

            tasks = tuple(
                replace(task, name=f"retrieval.{name}")
                for task, name in zip(FAKE_CARD.tasks, ("query", "passage"), strict=False)
            )
            self._backend = FakeBackend()
            self._backend.card = replace(
                FAKE_CARD, name="jina-embeddings-v3", tasks=tasks, query_task=tasks[0].name, document_task=tasks[1].name
            )
        return self._backend


@pytest.mark.parametrize(
    ("module", "embedder"),
    [("text2vec-transformers", FakeEmbedder(dimensions=16)), ("text2vec-jinaai", NamedLikeV3(dimensions=16))],
)
def test_the_server_keeps_the_sides_and_the_dimensions(
    weaviate_server: WeaviateServer, weaviate_name: str, module: Any, embedder: Embedder
) -> None:
    with weaviate_server.connect() as client, serving(embedder) as (url, asked):
        made = client.collections.create(weaviate_name, vector_config=server_side(embedder, url, module=module))
        made.data.insert(PROPERTIES)
        found = made.query.near_text("who counted ships?", limit=1, include_vector=True, return_metadata=["distance"])
        ours = embedder.embed_query("who counted ships?")
        (one,) = found.objects
        stored = np.array(one.vector["default"], np.float32)
        assert np.array_equal(stored, embedder.embed_documents([JOINED])[0])  # to the bit, through JSON
        assert one.metadata.distance == pytest.approx(1 - float(ours @ stored), abs=1e-5)
    (document_path, document), (query_path, query) = asked
    if module == "text2vec-transformers":
        assert (document_path, query_path) == ("/passage/vectors", "/query/vectors")
        assert document["config"]["dimensions"] == query["config"]["dimensions"] == 16
        assert (document["text"], query["text"]) == (JOINED, "who counted ships?")
    else:
        assert document_path == query_path == "/v1/embeddings"
        assert (document["task"], query["task"]) == ("retrieval.passage", "retrieval.query")
        assert document["dimensions"] == query["dimensions"] == 16
        assert document["input"] == [JOINED]


def test_a_collection_that_the_server_filled_is_proved_and_held_to_its_space(
    weaviate_server: WeaviateServer, weaviate_name: str
) -> None:
    embedder, other = FakeEmbedder(), FakeEmbedder(document_task="topic")
    with weaviate_server.connect() as client, serving(embedder) as (url, _):
        made = client.collections.create(weaviate_name, vector_config=server_side(embedder, url))
        made.data.insert_many([PROPERTIES, {"title": "Fog"}])
        with pytest.raises(SpaceMismatch, match="was not written by this embedder"):
            open_collection(client, weaviate_name, other, adopt=True)
        made = open_collection(client, weaviate_name, embedder, adopt=True)
        with pytest.raises(SpaceMismatch, match="document task"):
            open_collection(client, weaviate_name, other)
        theirs = made.query.near_text("who counted ships?", return_metadata=["distance"]).objects
        found = TwofoldVectorizer(embedder).near_text(made, "who counted ships?", return_metadata=["distance"]).objects
        assert [one.uuid for one in found] == [one.uuid for one in theirs]
        distances = [one.metadata.distance for one in theirs]
        assert [one.metadata.distance for one in found] == pytest.approx(distances, abs=1e-5)


def test_our_own_vectors_are_those_that_the_server_would_ask_for(
    weaviate_server: WeaviateServer, weaviate_name: str
) -> None:
    embedder = FakeEmbedder()
    with weaviate_server.connect() as client:
        config = server_side(embedder, "http://127.0.0.1:9", properties=["title", "body"])
        client.collections.create(weaviate_name, vector_config=config)
        made = open_collection(client, weaviate_name, embedder)
        (uuid,) = TwofoldVectorizer(embedder).add_objects(made, [PROPERTIES])
        one = made.query.fetch_object_by_id(uuid, include_vector=True)
    assert np.array_equal(np.array(one.vector["default"], np.float32), embedder.embed_documents([JOINED])[0])
