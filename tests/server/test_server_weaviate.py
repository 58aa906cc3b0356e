"""A real Weaviate that calls our server by three of its modules: sides, sizes, searches, and the record that holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from support.checkpoints import v3_original
from support.serving import serving
from twofold import Embedder, SpaceMismatch
from weaviate_twofold import TwofoldVectorizer, open_collection, server_side

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.weaviate_server import WeaviateServer

ROWS = [
    {"title": "Lighthouse", "body": "The keeper counted nine ships before the fog came in."},
    {"title": "Capital", "body": "Berlin ist die Hauptstadt Deutschlands."},
    {"title": "Directory", "body": "How do I remove a directory and everything in it?"},
]
JOINED = [f"{row['body']} {row['title']}" for row in ROWS]
"""What Weaviate makes of them: in alphabetical order of the properties."""

QUESTION, NAME, SIZE = "who counted ships?", "jina-embeddings-v3", 32
MODULES = ("text2vec-transformers", "text2vec-jinaai", "text2vec-cohere")


@pytest.fixture(scope="module")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> Embedder:
    folder = tmp_path_factory.mktemp("checkpoint") / NAME
    v3_original(folder)
    return Embedder(folder, dtype="float32", dimensions=SIZE)


@pytest.fixture(scope="module")
def url(embedder: Embedder) -> Iterator[str]:
    with serving({NAME: embedder}) as address:
        yield address


def unit(vector: Any) -> np.ndarray:
    """Text2vec-jinaai asks for vectors that are not normalised, and Weaviate compares by the cosine."""
    row = np.asarray(vector, np.float32)
    return np.asarray(row / np.linalg.norm(row))


@pytest.mark.parametrize("module", MODULES)
def test_weaviate_vectorises_through_the_server(
    weaviate_server: WeaviateServer, weaviate_name: str, embedder: Embedder, url: str, module: Any
) -> None:
    documents, query = embedder.embed_documents(JOINED), embedder.embed_query(QUESTION)
    with weaviate_server.connect() as client:
        made = client.collections.create(
            weaviate_name, vector_config=server_side(embedder, url, module=module, model=NAME)
        )
        for row in ROWS:
            made.data.insert(row)
        if module != "text2vec-jinaai":  # whose batches need a vocabulary that Weaviate downloads
            assert not made.data.insert_many(ROWS).has_errors
        stored = {one.properties["title"]: one.vector["default"] for one in made.iterator(include_vector=True)}
        for row, wanted in zip(ROWS, documents, strict=True):
            assert len(stored[row["title"]]) == SIZE
            assert np.abs(unit(stored[row["title"]]) - wanted).max() <= 1e-6

        found = made.query.near_text(QUESTION, return_metadata=["distance"]).objects
        distances = {str(one.properties["title"]): one.metadata.distance for one in found}
        for row, wanted in zip(ROWS, documents, strict=True):
            assert distances[row["title"]] == pytest.approx(1 - float(query @ wanted), abs=1e-5)
        best = made.query.hybrid(QUESTION, alpha=1, limit=1).objects[0]
        assert best.properties == found[0].properties

        opened = open_collection(client, weaviate_name, embedder, adopt=True)
        ours = TwofoldVectorizer(embedder).near_text(opened, QUESTION, return_metadata=["distance"]).objects
        assert [one.properties for one in ours] == [one.properties for one in found]
        with pytest.raises(SpaceMismatch):
            open_collection(client, weaviate_name, embedder.with_options(document_task="separation"))


def test_named_vectors_of_several_modules_and_sizes(
    weaviate_server: WeaviateServer, weaviate_name: str, embedder: Embedder, url: str
) -> None:
    small, whole = embedder, embedder.with_options(dimensions=None)
    config = [
        server_side(whole, url, name="whole", model=NAME),
        server_side(small, url, name="title", properties=["title"], module="text2vec-cohere", model=NAME),
    ]
    with weaviate_server.connect() as client:
        made = client.collections.create(weaviate_name, vector_config=config)
        made.data.insert_many(ROWS)
        (first,) = made.query.near_text(
            "Lighthouse", target_vector="title", limit=1, include_vector=True, return_metadata=["distance"]
        ).objects
        titles = small.embed_documents([row["title"] for row in ROWS])
        scores = titles @ small.embed_query("Lighthouse")
        best = ROWS[int(np.argmax(scores))]
        assert first.properties["title"] == best["title"]
        assert first.metadata.distance == pytest.approx(1 - float(scores.max()), abs=1e-5)
        assert np.abs(np.array(first.vector["title"]) - titles[int(np.argmax(scores))]).max() <= 1e-6
        assert len(first.vector["whole"]) == whole.dimensions > SIZE


def test_one_bad_object_fails_alone_and_says_why(
    weaviate_server: WeaviateServer, weaviate_name: str, embedder: Embedder, url: str
) -> None:
    with weaviate_server.connect() as client:
        made = client.collections.create(weaviate_name, vector_config=server_side(embedder, url))
        answer = made.data.insert_many([ROWS[0], {"title": "long", "body": "ships " * 5000}, ROWS[1]])
        assert list(answer.errors) == [1]
        assert "the limit is" in answer.errors[1].message


def test_a_model_that_is_not_there_is_said_to_the_user(
    weaviate_server: WeaviateServer, weaviate_name: str, embedder: Embedder, url: str
) -> None:
    """What the module's user is told when a model is asked for that is not there."""
    with weaviate_server.connect() as client:
        config = server_side(embedder, url, module="text2vec-cohere", model="other")
        made = client.collections.create(weaviate_name, vector_config=config)
        with pytest.raises(Exception, match="no model 'other' here; the models are: jina-embeddings-v3"):
            made.data.insert(ROWS[0])
