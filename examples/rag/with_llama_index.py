"""Ask a folder with LlamaIndex: late-chunked nodes in a checked store, retrieved, answered by an open model.

uv run with_llama_index.py notes "when does the ferry leave?" --llm http://localhost:11434/v1 --llm-model qwen3:4b
"""

from pathlib import Path

import chromadb
from llama_index.core import Document, VectorStoreIndex
from llama_index.core.node_parser import TokenTextSplitter
from llm import answer, arguments

from llama_index_twofold import TwofoldEmbedding, add_documents, open_collection


def main() -> None:
    given = arguments(__doc__)
    embedding = TwofoldEmbedding(given.embedder)
    store = open_collection(chromadb.PersistentClient("./rag-llama-index"), "folder", embedding)

    files = sorted(Path(given.folder).rglob("*.md"))
    documents = [Document(text=file.read_text("utf-8"), id_=str(file)) for file in files]
    splitter = TokenTextSplitter(chunk_size=128, chunk_overlap=0)
    add_documents(store, documents, node_parser=splitter)  # replaces a file's previous rows

    retriever = VectorStoreIndex.from_vector_store(store, embed_model=embedding).as_retriever(similarity_top_k=4)
    found = retriever.retrieve(given.question)  # or index.as_query_engine(llm=any LlamaIndex model)
    print(answer(given, [(str(each.node.ref_doc_id), each.text) for each in found]))


if __name__ == "__main__":
    main()
