"""LangChain: a cache that keeps sides and models apart, late-chunked documents among them."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.documents import Document
from langchain_core.stores import InMemoryByteStore
from langchain_text_splitters import CharacterTextSplitter

from langchain_twofold import TwofoldEmbeddings, alate_chunk, cached, late_chunk
from twofold import BlankWarning, InputError, ProviderError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from twofold.testing import Call

TEXTS = ["a keeper", "nine ships", "a keeper", "fog"]


def fake(**options: Any) -> TwofoldEmbeddings:
    return TwofoldEmbeddings(model="fake:", **options)


def calls(embeddings: TwofoldEmbeddings) -> list[Call]:
    recorded: list[Call] = embeddings.embedder.backend.calls  # type: ignore[attr-defined]
    return recorded


def keys(store: Any) -> Iterable[str]:
    return list(store.yield_keys())


def test_a_query_never_gets_a_documents_vector() -> None:
    embeddings = fake()
    cache = cached(embeddings, InMemoryByteStore())
    for _ in range(2):
        assert cache.embed_documents(["fog"]) == embeddings.embed_documents(["fog"])
        assert cache.embed_query("fog") == embeddings.embed_query("fog")


def test_only_what_is_missing_is_embedded_and_each_text_once() -> None:
    embeddings = fake()
    wanted = embeddings.embed_documents(TEXTS)
    cache = cached(embeddings, InMemoryByteStore())
    calls(embeddings).clear()
    assert cache.embed_documents(TEXTS[:2]) == wanted[:2]
    assert cache.embed_documents(TEXTS) == wanted
    assert [call.texts for call in calls(embeddings)] == [("a keeper", "nine ships"), ("fog",)]


def test_async_shares_the_cache() -> None:
    embeddings, store = fake(), InMemoryByteStore()
    wanted, query = embeddings.embed_documents(TEXTS), embeddings.embed_query("fog")
    cache = cached(embeddings, store)

    async def ask() -> None:
        assert await cache.aembed_documents(TEXTS) == wanted
        assert await cache.aembed_query("fog") == query

    asyncio.run(ask())
    calls(embeddings).clear()
    assert (cache.embed_documents(TEXTS), cache.embed_query("fog")) == (wanted, query)
    asyncio.run(ask())
    assert calls(embeddings) == []


def test_models_may_share_a_store() -> None:
    store = InMemoryByteStore()
    for options in ({}, {"dimensions": 16}, {"document_task": "topic"}, {"normalize": False}):
        embeddings = fake(**options)
        assert cached(embeddings, store).embed_documents(TEXTS) == embeddings.embed_documents(TEXTS)
    assert len(list(keys(store))) == 4 * 3


def test_keys_say_space_and_side_and_not_the_text() -> None:
    store, embeddings = InMemoryByteStore(), fake()
    cached(embeddings, store).embed_query("fog")
    (key,) = keys(store)
    assert re.fullmatch(f"{embeddings.embedder.space.fingerprint}/query/[0-9a-f]{{64}}", key)


def test_a_folder_is_a_store(tmp_path: Path) -> None:
    from langchain_classic.storage import LocalFileStore

    embeddings = fake(dimensions=16)
    wanted = embeddings.embed_documents(TEXTS)
    for _ in range(2):
        assert cached(embeddings, LocalFileStore(tmp_path)).embed_documents(TEXTS) == wanted
    assert {file.stat().st_size for file in tmp_path.rglob("*") if file.is_file()} == {16 * 4}


def test_a_value_that_was_cut_off_is_embedded_again() -> None:
    store, embeddings = InMemoryByteStore(), fake()
    cache = cached(embeddings, store)
    wanted = cache.embed_documents(["fog"])
    store.mset([(key, b"half") for key in keys(store)])
    assert cache.embed_documents(["fog"]) == wanted


def test_nothing_is_looked_up_for_no_texts() -> None:
    assert cached(fake(), InMemoryByteStore()).embed_documents([]) == []


def test_errors_name_the_text_in_the_list_that_was_given() -> None:
    cache = cached(fake(), InMemoryByteStore())
    cache.embed_documents(["fog"])
    long = "word " * 600
    for texts, place in ((["fog", "ships", "\ud83d"], 2), (["fog", "ships", "fog", long], 3)):
        with pytest.raises(InputError) as caught:
            cache.embed_documents(texts)
        assert caught.value.index == place
    assert cache.embed_documents(["ships"]) == fake().embed_documents(["ships"])


@pytest.mark.parametrize("asynchronous", [False, True])
def test_what_was_paid_for_is_kept_when_a_call_fails(monkeypatch: pytest.MonkeyPatch, asynchronous: bool) -> None:
    embeddings = fake()
    embeddings.embedder.backend  # noqa: B018 - made before it is made to fail
    wanted = embeddings.embed_documents(["fog", "ships"])
    rows = embeddings.embedder.embed_documents(["ships"])

    def fail(*_: Any, **__: Any) -> None:
        raise ProviderError("no more", partial={0: rows}, failed={1: "no more"})

    async def afail(*_: Any, **__: Any) -> None:
        fail()

    cache = cached(embeddings, InMemoryByteStore())
    cache.embed_documents(["fog"])
    monkeypatch.setattr(embeddings.embedder.backend, "embed", fail)
    monkeypatch.setattr(embeddings.embedder.backend, "aembed", afail)
    texts = ["fog", "ships", "rain"]
    with pytest.raises(ProviderError) as caught:
        asyncio.run(cache.aembed_documents(texts)) if asynchronous else cache.embed_documents(texts)
    assert (set(caught.value.partial), set(caught.value.failed)) == ({1}, {2})
    assert cache.embed_documents(["fog", "ships"]) == wanted


def test_a_blank_text_does_not_stop_the_others() -> None:
    embeddings = fake()
    cache = cached(embeddings, InMemoryByteStore())
    for ask in (cache.embed_documents, lambda texts: asyncio.run(cache.aembed_documents(texts))):
        with pytest.warns(BlankWarning):
            wanted = embeddings.embed_documents(["fog", " ", ""])
        assert wanted[1] == wanted[2]
        if ask == cache.embed_documents:
            with pytest.warns(BlankWarning, match="is blank .* it gets the vector of the empty text"):
                assert ask(["fog", " ", ""]) == wanted
        else:  # it is known by now
            assert ask(["fog", " ", ""]) == wanted


PAGES = [Document("fog comes in\nnine ships go out"), Document("a lamp\nis lit\nby the keeper")]
LINES = CharacterTextSplitter("\n", chunk_size=15, chunk_overlap=0)


def test_a_late_chunked_document_is_embedded_once() -> None:
    embeddings, store = fake(), InMemoryByteStore()
    wanted = late_chunk(PAGES, LINES, embeddings)
    cache = cached(embeddings, store)
    cache.embed_documents([page.page_content for page in PAGES])
    calls(embeddings).clear()
    assert late_chunk(PAGES[:1], LINES, cache)[1] == wanted[1][:2]
    assert late_chunk(PAGES, LINES, cache) == wanted
    assert asyncio.run(alate_chunk(PAGES, LINES, cache)) == wanted
    assert [call.texts for call in calls(embeddings)] == [(page.page_content,) for page in PAGES]


def test_other_spans_and_other_windows_are_other_vectors() -> None:
    embeddings, store = fake(), InMemoryByteStore()
    long = [Document("\n".join(f"line {number}" for number in range(400)))]
    wide = CharacterTextSplitter("\n", chunk_size=1000, chunk_overlap=0)
    for splitter in (LINES, wide):
        for options in ({}, {"late_window": 64, "late_overlap": 8}):
            own = fake(**options)
            assert late_chunk(long, splitter, cached(own, store)) == late_chunk(long, splitter, own)
    assert len(list(keys(store))) == 4
    assert late_chunk(long, LINES, cached(embeddings, store))[1] == late_chunk(long, LINES, embeddings)[1]


def test_what_was_cut_is_no_answer_where_it_would_be_refused() -> None:
    store, long = InMemoryByteStore(), "word " * 600
    for side in ("embed_query", "embed_documents"):
        text: Any = long if side == "embed_query" else [long]
        assert getattr(cached(fake(truncate="end"), store), side)(text)
        with pytest.raises(InputError, match="tokens"):
            getattr(cached(fake(), store), side)(text)
