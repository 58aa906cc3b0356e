"""The same questions through each host's adapter: do answers and scores agree with the core's?

Each door embeds the documents and the questions through its adapter, on its side. The documents are those that the
core found for any question, so that each question's first ones are the same as over the whole corpus.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, TypeAlias
from uuid import uuid4

from twofold.demo.asking import DEPTH, Found
from twofold.errors import InputError
from twofold.extras import extra

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from twofold.demo.asking import Answered
    from twofold.demo.corpus import Entry
    from twofold.embedder import Embedder

Answers: TypeAlias = "list[list[Found]]"

TOLERANCE = 0.01
"""How far a score may be off: documents meet others in their batches, which bfloat16 rounds differently."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How a door's answers compare with the core's.

    Attributes:
        questions: how many were asked.
        same: of how many the ranked names are the very same.
        difference: the largest difference of the scores at one rank.
    """

    questions: int
    same: int
    difference: float

    @property
    def ok(self) -> bool:
        """Whether no score is off by more than rounding explains."""
        return self.difference <= TOLERANCE


def pool(answered: Sequence[Answered], corpus: Sequence[Entry]) -> list[Entry]:
    """The documents that were found for any question, in the order of the corpus."""
    names = {found.name for one in answered for found in one.found}
    return [entry for entry in corpus if entry.name in names]


def compare(answered: Sequence[Answered], answers: Answers) -> Agreement:
    """Hold a door's answers against the core's, question by question."""
    pairs = list(zip((one.found for one in answered), answers, strict=True))
    same = sum([found.name for found in ours] == [found.name for found in theirs] for ours, theirs in pairs)
    differences = [
        abs(one.score - other.score) for ours, theirs in pairs for one, other in zip(ours, theirs, strict=True)
    ]
    return Agreement(len(pairs), same, max(differences))


def through_chroma(embedder: Embedder, entries: Sequence[Entry], questions: Sequence[str]) -> Answers:
    """A collection on disk that embeds by itself."""
    with extra("chroma"):
        import chromadb.config  # noqa: PLC0415 - each door needs its own host alone

        from chroma_twofold import open_collection  # noqa: PLC0415
    quiet = chromadb.config.Settings(anonymized_telemetry=False)
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        client = chromadb.PersistentClient(folder, quiet)
        collection = open_collection(client, "door", embedder)
        collection.add(ids=[entry.name for entry in entries], documents=[entry.text for entry in entries])
        answers = []
        for question in questions:
            found = collection.query(query_texts=[question], n_results=DEPTH, include=["distances"])
            pairs = zip(found["ids"][0], (found["distances"] or [[]])[0], strict=True)
            answers.append([Found(name, 1 - distance) for name, distance in pairs])
        client.delete_collection("door")
    return answers


def through_langchain(embedder: Embedder, entries: Sequence[Entry], questions: Sequence[str]) -> Answers:
    """LangChain's store in memory."""
    with extra("langchain"):
        from langchain_core.documents import Document  # noqa: PLC0415
        from langchain_core.vectorstores import InMemoryVectorStore  # noqa: PLC0415

        from langchain_twofold import TwofoldEmbeddings  # noqa: PLC0415
    store = InMemoryVectorStore(TwofoldEmbeddings(**asdict(embedder.settings)))
    store.add_documents([Document(entry.text, id=entry.name) for entry in entries])
    return [
        [Found(str(document.id), score) for document, score in store.similarity_search_with_score(question, DEPTH)]
        for question in questions
    ]


def through_llama_index(embedder: Embedder, entries: Sequence[Entry], questions: Sequence[str]) -> Answers:
    """LlamaIndex's store in memory."""
    with extra("llama-index"):
        from llama_index.core import VectorStoreIndex  # noqa: PLC0415
        from llama_index.core.schema import TextNode  # noqa: PLC0415

        from llama_index_twofold import TwofoldEmbedding  # noqa: PLC0415
    nodes = [TextNode(id_=entry.name, text=entry.text) for entry in entries]
    index = VectorStoreIndex(nodes, embed_model=TwofoldEmbedding(**asdict(embedder.settings)))
    retriever = index.as_retriever(similarity_top_k=DEPTH)
    return [
        [Found(hit.node.node_id, hit.score or 0.0) for hit in retriever.retrieve(question)] for question in questions
    ]


def through_weaviate(embedder: Embedder, entries: Sequence[Entry], questions: Sequence[str]) -> Answers:
    """A collection of the server at WEAVIATE_URL, removed afterwards.

    Raises:
        InputError: WEAVIATE_URL is not set.
    """
    url = os.environ.get("WEAVIATE_URL")
    if not url:
        raise InputError(
            "--through weaviate needs a server: set WEAVIATE_URL, to http://localhost:8080?grpc_port=50051 say"
        )
    with extra("weaviate"):
        from weaviate.classes.query import MetadataQuery  # noqa: PLC0415

        from weaviate_twofold import TwofoldVectorizer, connect  # noqa: PLC0415
    vectorizer, name = TwofoldVectorizer(embedder), f"TwofoldDemo{uuid4().hex}"
    with connect(url) as client:
        collection = vectorizer.create_collection(client, name)
        try:
            objects = [{"text": entry.text, "name": entry.name} for entry in entries]
            vectorizer.add_objects(collection, objects)
            asked = MetadataQuery(distance=True)
            return [
                [
                    Found(str(hit.properties["name"]), 1 - (hit.metadata.distance or 0.0))
                    for hit in vectorizer.near_text(collection, question, limit=DEPTH, return_metadata=asked).objects
                ]
                for question in questions
            ]
        finally:
            client.collections.delete(name)


DOORS: dict[str, Callable[[Embedder, Sequence[Entry], Sequence[str]], Answers]] = {
    "chroma": through_chroma,
    "langchain": through_langchain,
    "llama-index": through_llama_index,
    "weaviate": through_weaviate,
}
