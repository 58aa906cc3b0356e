"""Ask a folder: indexed into Chroma (what is unchanged is skipped), searched, answered by an open model.

uv run with_chroma.py notes "when does the ferry leave?" --llm http://localhost:11434/v1 --llm-model qwen3:4b
"""

from llm import answer, arguments

from twofold import Embedder
from twofold.jobs import index, open_store, read_corpus, search


def main() -> None:
    given = arguments(__doc__)
    embedder = Embedder(given.embedder)
    with open_store("chroma:./rag-store", "folder", embedder) as store:
        print(index(embedder, store, read_corpus([given.folder]), chunk_tokens=128))
        hits = search(embedder, store, given.question, limit=4)
    print(answer(given, [(hit.row.id, hit.row.text) for hit in hits]))


if __name__ == "__main__":
    main()
