"""LangChain: late chunking with its splitters, whose offsets are checked and repaired."""

from __future__ import annotations

import asyncio
import copy
import pickle
import uuid
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from langchain_core.documents import Document
from langchain_core.stores import InMemoryByteStore
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_text_splitters import (
    CharacterTextSplitter,
    MarkdownHeaderTextSplitter,
    RecursiveCharacterTextSplitter,
    TextSplitter,
)

from langchain_twofold import LateVectors, TwofoldEmbeddings, add_documents, alate_chunk, cached, late_chunk
from support.tokenless import TOKENLESS
from twofold import Document as Text
from twofold import Embedder, InputError, ProviderError
from twofold.adapters import is_blank
from twofold.errors import BlankWarning
from twofold.stores import DOCUMENT, END, START

ARTICLE = "Berlin is the capital of Germany.\n\nIts population is 3.8 million.\n\nThe city is one of sixteen states."
CHAT = "who is at the dinner\nall of us\nwho is at the table\nall of us\nwho is at the bar\nall of us\n" * 12


@pytest.fixture
def embeddings() -> TwofoldEmbeddings:
    return TwofoldEmbeddings(model="fake:")


class Splitter(TextSplitter):
    """A splitter that gives what it is told to."""

    def __init__(self, *pieces: str) -> None:
        super().__init__()
        self.pieces = list(pieces)

    def split_text(self, text: str) -> list[str]:
        return self.pieces or [text]


def spans(chunks: list[Document]) -> list[tuple[int, int]]:
    return [(chunk.metadata[START], chunk.metadata[END]) for chunk in chunks]


def paragraphs(size: int = 40) -> TextSplitter:
    return RecursiveCharacterTextSplitter(chunk_size=size, chunk_overlap=0)


def words(size: int, overlap: int) -> TextSplitter:
    """Sizes in words, as others count tokens: the host takes the overlap for characters all the same."""
    options: dict[str, Any] = {"length_function": lambda text: len(text.split()), "add_start_index": True}
    return RecursiveCharacterTextSplitter(separators=[" "], chunk_size=size, chunk_overlap=overlap, **options)


def covered(found: list[tuple[int, int]]) -> bool:
    edges = [(0, 0), *found, (len(CHAT), len(CHAT))]
    return not any(CHAT[before[1] : after[0]].strip() for before, after in pairwise(edges))


def test_each_chunk_knows_its_own_document_and_no_other(embeddings: TwofoldEmbeddings) -> None:
    documents = [Document(ARTICLE), Document(ARTICLE.replace("Berlin", "Bremen"))]
    chunks, vectors = late_chunk(documents, paragraphs(), embeddings)
    assert [chunk.page_content for chunk in chunks[:3]] == ARTICLE.split("\n\n")
    core = embeddings.embedder.embed_late(
        [
            Text.from_spans(documents[0].page_content, spans(chunks[:3])),
            Text.from_spans(documents[1].page_content, spans(chunks[3:])),
        ]
    )
    assert vectors == np.concatenate(core).tolist()
    assert vectors[1] != embeddings.embed_documents([chunks[1].page_content])[0]
    assert vectors[1] != vectors[4]  # the same words, in another document


def test_chunks_keep_metadata_and_say_where_they_stand(embeddings: TwofoldEmbeddings) -> None:
    document = Document(ARTICLE, id="berlin", metadata={"source": "wiki"})
    chunks, _ = late_chunk([document], paragraphs(), embeddings)
    for chunk, (start, end) in zip(chunks, spans(chunks), strict=True):
        assert ARTICLE[start:end] == chunk.page_content
        assert chunk.metadata["source"] == "wiki"
        assert chunk.metadata[DOCUMENT] == "berlin"
        assert str(uuid.UUID(chunk.id)) == chunk.id
    assert document.metadata == {"source": "wiki"}
    assert [chunk.id for chunk in late_chunk([document], paragraphs(), embeddings)[0]] == [chunk.id for chunk in chunks]


@pytest.mark.parametrize("hinted", [False, True])
@pytest.mark.parametrize("overlap", [0, 30, 60])
def test_offsets_in_repetitive_text_cover_it(embeddings: TwofoldEmbeddings, overlap: int, hinted: bool) -> None:
    splitter = CharacterTextSplitter("\n", chunk_size=150, chunk_overlap=overlap, add_start_index=hinted)
    chunks, vectors = late_chunk([Document(CHAT)], splitter, embeddings)
    found = spans(chunks)
    assert [CHAT[start:end] for start, end in found] == [chunk.page_content for chunk in chunks]
    assert found == sorted(found)
    assert covered(found)
    assert len(vectors) == len(chunks) > 5


def test_the_hosts_own_offsets_are_wrong_here(embeddings: TwofoldEmbeddings) -> None:
    """What is repaired: else the test above shows nothing."""
    splitter = words(8, 3)
    own = [chunk.metadata["start_index"] for chunk in splitter.split_documents([Document(CHAT)])]
    found = spans(late_chunk([Document(CHAT)], splitter, embeddings)[0])
    assert own != [start for start, _ in found]
    assert covered(found)


@pytest.mark.parametrize("leaves_out", [False, True])
def test_start_indexes_are_used_where_chunks_look_like_their_neighbours(
    embeddings: TwofoldEmbeddings, *, leaves_out: bool
) -> None:
    """Verbatim chunks of a text that repeats itself; a search by text cannot tell them apart."""
    text = "la la la, " * 20
    places = [(start, start + 7) for start in range(1, len(text) - 20 if leaves_out else len(text) - 7)]
    places = [place for place in places if place[0] % 9]

    class Own:
        def split_documents(self, documents: list[Document]) -> list[Document]:
            return [Document(text[start:end], metadata={"start_index": start}) for start, end in places]

    chunks, vectors = late_chunk([Document(text)], Own(), embeddings)  # type: ignore[arg-type]
    assert spans(chunks) == places
    wanted = embeddings.embedder.embed_late([Text.from_spans(text, places)])[0]
    assert np.array_equal(np.asarray(vectors, np.float32), wanted)


def test_white_space_that_a_splitter_changes_does_not_matter(embeddings: TwofoldEmbeddings) -> None:
    text = "one  two\n\n three\tfour  five"
    chunks, _ = late_chunk([Document(text)], Splitter("one two", "three four", "five"), embeddings)
    assert [text[start:end] for start, end in spans(chunks)] == ["one  two", "three\tfour", "five"]
    assert [chunk.page_content for chunk in chunks] == ["one two", "three four", "five"]


@pytest.mark.parametrize("start", [7, -1, "page 3", None])
def test_offsets_of_an_earlier_splitting_do_no_harm(embeddings: TwofoldEmbeddings, start: Any) -> None:
    chunks, _ = late_chunk([Document(ARTICLE, metadata={"start_index": start})], paragraphs(), embeddings)
    assert [ARTICLE[begin:end] for begin, end in spans(chunks)] == ARTICLE.split("\n\n")


def test_a_splitter_that_writes_its_own_text_is_refused(embeddings: TwofoldEmbeddings) -> None:
    with pytest.raises(InputError, match="document 1: chunk 0") as caught:
        late_chunk([Document("a ship"), Document("fog")], Splitter("a ship"), embeddings)
    assert caught.value.index == 1


@pytest.mark.parametrize("identity", [None, "one"])
def test_two_documents_of_one_identity_are_refused(embeddings: TwofoldEmbeddings, identity: str | None) -> None:
    with pytest.raises(InputError, match="have one id") as caught:
        late_chunk(
            [Document("fog", id=identity), Document("mist"), Document("fog", id=identity)], Splitter(), embeddings
        )
    assert caught.value.index == 2


@pytest.mark.parametrize("differing", [[{"id": "one"}, {"id": "two"}], [{"metadata": {"page": n}} for n in (1, 2)]])
def test_one_text_under_two_ids_or_pages_is_two_documents(embeddings: TwofoldEmbeddings, differing: list[Any]) -> None:
    chunks, _ = late_chunk([Document("fog", **each) for each in differing], Splitter(), embeddings)
    assert len({chunk.id for chunk in chunks}) == len({chunk.metadata[DOCUMENT] for chunk in chunks}) == 2


@pytest.mark.parametrize("splitter", [paragraphs(), MarkdownHeaderTextSplitter([("#", "title")])])
def test_blank_documents_have_no_chunks_and_are_named(embeddings: TwofoldEmbeddings, splitter: Any) -> None:
    documents = [Document("fog", id="a"), Document(" \n"), Document(""), Document("mist", id="b")]
    with pytest.warns(BlankWarning) as said:
        chunks, vectors = late_chunk(documents, splitter, embeddings)
    assert [chunk.metadata[DOCUMENT] for chunk in chunks] == ["a", "b"]
    assert len(vectors) == 2
    assert [str(one.message).split(" is")[0] for one in said] == ["document 1", "document 2"]


def test_markdown_by_its_headers(embeddings: TwofoldEmbeddings) -> None:
    text = "# Log\n\nFog comes in.\n\n## Ships\nNine go out.  \nOne comes back.\n\n## Lamp\nIt is lit."
    splitter = MarkdownHeaderTextSplitter([("#", "title"), ("##", "part")])
    chunks, vectors = late_chunk([Document(text, id="log", metadata={"page": 4})], splitter, embeddings)
    assert [text[start:end] for start, end in spans(chunks)] == [
        "Fog comes in.",
        "Nine go out.  \nOne comes back.",
        "It is lit.",
    ]
    assert [chunk.metadata.get("part") for chunk in chunks] == [None, "Ships", "Lamp"]
    assert {(chunk.metadata["title"], chunk.metadata["page"]) for chunk in chunks} == {("Log", 4)}
    wanted = embeddings.embedder.embed_late([Text.from_spans(text, spans(chunks))])[0]
    assert np.array_equal(np.asarray(vectors, np.float32), wanted)


def test_what_is_no_splitter_is_refused(embeddings: TwofoldEmbeddings) -> None:
    with pytest.raises(InputError, match="a dict has neither split_documents nor split_text"):
        late_chunk([Document("fog")], {}, embeddings)  # type: ignore[arg-type]


def test_a_text_that_is_too_long_is_named_by_its_place(embeddings: TwofoldEmbeddings) -> None:
    documents = [Document(" "), Document("fog"), Document("word " * 600)]
    with pytest.warns(BlankWarning), pytest.raises(InputError, match=r"^document 2: .* tokens") as caught:
        late_chunk(documents, Splitter(), embeddings)
    assert caught.value.index == 2


@pytest.mark.parametrize("asynchronous", [False, True])
def test_what_was_paid_for_counts_the_users_documents(
    embeddings: TwofoldEmbeddings, monkeypatch: pytest.MonkeyPatch, asynchronous: bool
) -> None:
    rows = embeddings.embedder.embed_documents(["fog"])

    def fail(*_: Any, **__: Any) -> Any:
        raise ProviderError("busy", partial={0: rows}, failed={1: "busy"})

    async def afail(*_: Any, **__: Any) -> Any:
        fail()

    monkeypatch.setattr(embeddings.embedder.backend, "embed", fail)
    monkeypatch.setattr(embeddings.embedder.backend, "aembed", afail)
    documents = [Document(" "), Document("fog"), Document("mist")]

    def chunk() -> Any:
        if asynchronous:
            return asyncio.run(alate_chunk(documents, Splitter(), embeddings))
        return late_chunk(documents, Splitter(), embeddings)

    with pytest.warns(BlankWarning), pytest.raises(ProviderError) as caught:
        chunk()
    assert (list(caught.value.partial), list(caught.value.failed)) == ([1], [2])


def test_vectors_carry_their_space(embeddings: TwofoldEmbeddings) -> None:
    _, vectors = late_chunk([Document(ARTICLE)], paragraphs(), embeddings)
    for own in (vectors, vectors[:1], vectors + [None], pickle.loads(pickle.dumps(vectors)), copy.copy(vectors)):  # noqa: RUF005
        assert isinstance(own, LateVectors)
        assert own.space == embeddings.embedder.space
    assert isinstance(vectors[0], list)
    assert vectors[:2] + vectors[2:] == vectors


def test_an_embedder_will_do(embeddings: TwofoldEmbeddings) -> None:
    wanted = late_chunk([Document(ARTICLE)], paragraphs(), embeddings)
    assert late_chunk([Document(ARTICLE)], paragraphs(), Embedder("fake:")) == wanted


def test_a_splitters_own_start_index_is_put_right(embeddings: TwofoldEmbeddings) -> None:
    chunks, _ = late_chunk([Document(CHAT)], words(8, 3), embeddings)
    assert [chunk.metadata["start_index"] for chunk in chunks] == [start for start, _ in spans(chunks)]
    assert "start_index" not in late_chunk([Document(ARTICLE)], paragraphs(), embeddings)[0][0].metadata


def test_progress_is_shown(embeddings: TwofoldEmbeddings, capsys: pytest.CaptureFixture[str]) -> None:
    late_chunk([Document(ARTICLE)], paragraphs(), embeddings, progress=True)
    assert "1 of 1" in capsys.readouterr().err


def test_a_cache_changes_no_late_vector(embeddings: TwofoldEmbeddings) -> None:
    documents = [Document(ARTICLE)]
    wanted = late_chunk(documents, paragraphs(), embeddings)
    cache = cached(embeddings, InMemoryByteStore())
    cache.embed_documents(ARTICLE.split("\n\n"))
    assert late_chunk(documents, paragraphs(), cache) == wanted


def test_no_documents_give_no_chunks(embeddings: TwofoldEmbeddings) -> None:
    assert late_chunk([], paragraphs(), embeddings) == ([], [])


def test_async_gives_the_same(embeddings: TwofoldEmbeddings) -> None:
    documents = [Document(ARTICLE), Document(CHAT)]
    assert asyncio.run(alate_chunk(documents, paragraphs(), embeddings)) == late_chunk(
        documents, paragraphs(), embeddings
    )


@pytest.mark.parametrize("options", [{}, {"late_window": 12, "late_overlap": 2}], ids=["one pass", "windows"])
@pytest.mark.parametrize("name", TOKENLESS)
def test_a_chunk_without_a_token_does_not_stop_the_others(minilm: str, name: str, options: dict[str, Any]) -> None:
    real = TwofoldEmbeddings(minilm, dtype="float32", **options)
    splitter = RecursiveCharacterTextSplitter(chunk_size=4, chunk_overlap=0)
    documents = [Document("Fog comes in.", id="fog"), Document(TOKENLESS[name], id=name)]
    chunks, vectors = late_chunk(documents, splitter, real)
    assert [chunk.page_content for chunk in chunks] == [
        piece.page_content for piece in splitter.split_documents(documents) if not is_blank(piece.page_content)
    ]
    wanted = [
        Text.from_spans(text.page_content, spans([one for one in chunks if one.metadata[DOCUMENT] == text.id]))
        for text in documents
    ]
    np.testing.assert_allclose(vectors, np.concatenate(real.embedder.embed_late(wanted)), atol=1e-5)
    store = InMemoryVectorStore(real)
    assert add_documents(store, chunks, vectors) == [chunk.id for chunk in chunks]
    assert len(store.store) == len(chunks)


def test_a_blank_chunk_is_left_out(embeddings: TwofoldEmbeddings) -> None:
    text = "fog \u200b\u200b ships"
    chunks, vectors = late_chunk([Document(text)], Splitter("fog ", "\u200b\u200b", " ships", "\n"), embeddings)
    assert [chunk.page_content for chunk in chunks] == ["fog ", " ships"]
    assert vectors == embeddings.embedder.embed_late([Text.from_spans(text, [(0, 4), (6, 12)])])[0].tolist()
    for splitter in (Splitter(), Splitter("\u200b", "\ufeff")):
        with pytest.warns(BlankWarning, match="document 0 is blank"):
            assert late_chunk([Document("\u200b\ufeff")], splitter, embeddings) == ([], [])
