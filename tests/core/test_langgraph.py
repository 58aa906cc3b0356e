"""LangChain and langgraph take an `Embedder` as it is, with both of its sides."""

import subprocess
import sys

import pytest
from langchain_core.embeddings import Embeddings
from langgraph.store.base import IndexConfig
from langgraph.store.base.embed import ensure_embeddings
from langgraph.store.memory import InMemoryStore

from twofold import Embedder, InputError
from twofold.testing import FakeEmbedder


async def test_langgraph_uses_each_side_for_what_it_is() -> None:
    embedder = FakeEmbedder()
    store = InMemoryStore(index=IndexConfig(embed=embedder, dims=embedder.dimensions))
    store.put(("notes",), "ships", {"text": "ships in the fog"})
    await store.aput(("notes",), "tea", {"text": "tea"})
    assert [found.key for found in store.search(("notes",), query="ships")] == ["ships", "tea"]
    assert [found.key for found in await store.asearch(("notes",), query="tea")] == ["tea", "ships"]
    assert [call.task for call in embedder.calls] == ["document", "document", "query", "query"]


def test_an_embedder_is_langchains_embeddings() -> None:
    embedder = FakeEmbedder()
    assert isinstance(embedder, Embeddings)
    assert ensure_embeddings(embedder) is embedder


def test_an_embedder_made_before_langchain_is_imported_is_recognised_with_the_next_one() -> None:
    code = """
import twofold
first = twofold.Embedder("fake:")
from langchain_core.embeddings import Embeddings
assert not isinstance(first, Embeddings)
twofold.Embedder("fake:")
assert isinstance(first, Embeddings)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_function_of_texts_is_for_models_with_one_side() -> None:
    texts = ["one", "two"]
    same = Embedder("fake:", query_task="topic", document_task="topic")
    assert same(texts) == same.embed_documents(texts).tolist()
    for options in ({}, {"query_task": None, "document_task": None, "query_truncate": "end"}):
        with pytest.raises(InputError, match="encodes queries and documents differently, but a function has only one"):
            Embedder("fake:", **options)(texts)  # type: ignore[arg-type]
