"""Ask a folder with LangChain: late-chunked into a checked store, retrieved, answered by an open model.

uv run with_langchain.py notes "when does the ferry leave?" --llm http://localhost:11434/v1 --llm-model qwen3:4b
"""

from pathlib import Path

import chromadb
from langchain_core.documents import Document
from langchain_core.runnables import RunnableLambda
from langchain_text_splitters import RecursiveCharacterTextSplitter
from llm import answer, arguments

from langchain_twofold import TwofoldEmbeddings, add_documents, late_chunk, open_collection


def main() -> None:
    given = arguments(__doc__)
    embeddings = TwofoldEmbeddings(given.embedder)
    store = open_collection(chromadb.PersistentClient("./rag-langchain"), "folder", embeddings)

    files = sorted(Path(given.folder).rglob("*.md"))
    documents = [Document(file.read_text("utf-8"), id=str(file)) for file in files]
    splitter = RecursiveCharacterTextSplitter(chunk_size=600, chunk_overlap=0)
    add_documents(store, *late_chunk(documents, splitter, embeddings))  # replaces a file's previous rows

    def write(found: list[Document]) -> str:  # or a prompt and any LangChain chat model
        return answer(given, [(each.metadata["twofold_document"], each.page_content) for each in found])

    chain = store.as_retriever(search_kwargs={"k": 4}) | RunnableLambda(write)
    print(chain.invoke(given.question))


if __name__ == "__main__":
    main()
