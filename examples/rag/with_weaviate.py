"""Ask a folder with Weaviate: an object a file, found by meaning and by words, answered by an open model.

uv run with_weaviate.py notes "when does the ferry leave?" --llm http://localhost:11434/v1 --llm-model qwen3:4b
A server must run at WEAVIATE_URL, which is http://localhost:8080 if it is not set.
"""

import os
from pathlib import Path

from llm import answer, arguments

import weaviate_twofold
from twofold import Embedder


def main() -> None:
    given = arguments(__doc__)
    embedder = Embedder(given.embedder, truncate="end")
    vectorizer = weaviate_twofold.TwofoldVectorizer(embedder)
    with weaviate_twofold.connect(os.environ.get("WEAVIATE_URL", "http://localhost:8080")) as client:
        notes = weaviate_twofold.open_collection(client, "RagFolder", embedder)
        files = sorted(Path(given.folder).rglob("*.md"))
        texts = [file.read_text("utf-8") for file in files]
        weaviate_twofold.add_documents(notes, embedder, ids=[str(file) for file in files], documents=texts)
        found = vectorizer.hybrid(notes, given.question, limit=4).objects
    print(answer(given, [(str(each.properties["twofold_id"]), str(each.properties["text"])) for each in found]))


if __name__ == "__main__":
    main()
