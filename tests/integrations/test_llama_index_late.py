"""Late chunking through LlamaIndex: vectors that are the core's, exact offsets, and no second embedding."""

from __future__ import annotations

import pickle
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import chromadb
import numpy as np
import pytest
from llama_index.core import SimpleDirectoryReader, VectorStoreIndex
from llama_index.core.callbacks import CallbackManager, LlamaDebugHandler
from llama_index.core.callbacks.schema import CBEventType, EventPayload
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.ingestion.pipeline import get_transformation_hash
from llama_index.core.node_parser import (
    HierarchicalNodeParser,
    JSONNodeParser,
    MarkdownNodeParser,
    NodeParser,
    SentenceWindowNodeParser,
    TokenTextSplitter,
)
from llama_index.core.node_parser.node_utils import build_nodes_from_splits
from llama_index.core.rate_limiter import TokenBucketRateLimiter
from llama_index.core.schema import Document, TextNode
from llama_index.core.storage.kvstore import SimpleKVStore

from llama_index_twofold import (
    LateChunking,
    LateChunkingNodeParser,
    TwofoldEmbedding,
    add_documents,
    open_collection,
)
from support.tokenless import TOKENLESS
from support.waiting import settled
from twofold import BlankWarning, InputError, ProviderUnavailable
from twofold import Document as Text
from twofold.adapters import is_blank
from twofold.testing import FakeEmbedder

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from llama_index.core.schema import BaseNode

    from twofold.testing import Call

REPEATED = "The cat sat on the mat. " * 60
STORY = (
    "Bern is the seat of the Swiss government. The old town lies in a bend of the Aare. It burned down in 1405. "
    "It was built again in sandstone, and has not changed much since. Its bears live by the river."
)
LIMA = "Lima is the capital of Peru. An earthquake destroyed it in 1746. It was built again with wider streets."


def splitter(size: int = 20, overlap: int = 0) -> TokenTextSplitter:
    """The host's, without the language data that its sentence splitter loads."""
    return TokenTextSplitter(chunk_size=size, chunk_overlap=overlap, include_metadata=False)


@pytest.fixture
def embedding() -> TwofoldEmbedding:
    return TwofoldEmbedding(model="fake:")


def parser(embedding: TwofoldEmbedding, inner: NodeParser | None = None) -> LateChunkingNodeParser:
    return LateChunkingNodeParser(embed_model=embedding, node_parser=inner or splitter())


def calls(embedding: TwofoldEmbedding) -> list[Call]:
    """What the model was asked."""
    made: list[Call] = embedding.embedder.backend.calls  # type: ignore[attr-defined]
    return made


def spans(nodes: Sequence[BaseNode]) -> list[tuple[Any, Any]]:
    return [(node.start_char_idx, node.end_char_idx) for node in nodes if isinstance(node, TextNode)]


def contents(nodes: Sequence[BaseNode]) -> list[str]:
    return [node.get_content() for node in nodes]


def late(embedding: TwofoldEmbedding, text: str, nodes: Sequence[BaseNode]) -> list[Any]:
    """The core's vectors of these spans."""
    vectors: list[Any] = (
        TwofoldEmbedding(**embedding.to_dict()).embedder.embed_late([Text.from_spans(text, spans(nodes))])[0].tolist()
    )
    return vectors


# -- the node parser --------------------------------------------------------------------------------------------------


async def test_nodes_have_the_cores_vectors_of_their_spans(embedding: TwofoldEmbedding) -> None:
    documents = [Document(text=STORY, id_="bern"), Document(text=LIMA, id_="lima")]
    nodes = parser(embedding).get_nodes_from_documents(documents)
    bern, lima = ([node for node in nodes if node.ref_doc_id == name] for name in ("bern", "lima"))
    assert (len(bern), len(lima)) == (3, 2)
    assert [node.embedding for node in nodes] == [*late(embedding, STORY, bern), *late(embedding, LIMA, lima)]
    assert [node.embedding for node in nodes] != embedding.get_text_embedding_batch(contents(nodes))
    again = await parser(embedding).aget_nodes_from_documents(documents)
    assert [node.embedding for node in again] == [node.embedding for node in nodes]
    assert calls(embedding)[0].texts == calls(embedding)[-1].texts == (STORY, LIMA)


@pytest.mark.parametrize("overlap", [0, 8])
def test_offsets_in_repetitive_text_are_set_right(embedding: TwofoldEmbedding, overlap: int) -> None:
    documents = [Document(text=REPEATED)]
    guessed = spans(splitter(40, overlap).get_nodes_from_documents(documents))
    nodes = parser(embedding, splitter(40, overlap)).get_nodes_from_documents(documents)
    places = spans(nodes)
    assert [REPEATED[start:end] for start, end in places] == contents(nodes)
    assert not any(REPEATED[before[1] : after[0]].strip() for before, after in pairwise(places))
    assert places[-1][1] == len(REPEATED.rstrip())
    assert places != guessed
    assert [node.embedding for node in nodes] == late(embedding, REPEATED, nodes)


def test_the_inner_parser_makes_the_nodes(embedding: TwofoldEmbedding) -> None:
    document = Document(text=STORY, id_="bern", metadata={"title": "Bern"})
    inner = TokenTextSplitter(chunk_size=20, chunk_overlap=0, id_func=lambda i, doc: f"{doc.node_id}-{i}")
    plain = inner.get_nodes_from_documents([document])
    nodes = parser(embedding, inner)([document])
    for node, wanted in zip(nodes, plain, strict=True):
        assert node.node_id == wanted.node_id
        assert node.metadata == wanted.metadata == {"title": "Bern"}
        assert set(node.relationships) == set(wanted.relationships)
    assert calls(embedding)[0].texts == (STORY,)  # its metadata are not embedded


def test_parsers_of_other_kinds(embedding: TwofoldEmbedding) -> None:
    levels = HierarchicalNodeParser.from_defaults(
        node_parser_ids=["large", "small"], node_parser_map={"large": splitter(40), "small": splitter(12)}
    )
    windows = SentenceWindowNodeParser.from_defaults(sentence_splitter=lambda text: text.split(" It "))
    for inner, text in (
        (levels, REPEATED),
        (windows, STORY),
        (MarkdownNodeParser(), "# A\n\nthe body\n\n## B\n\nthe body\n\n# C\n\nthe body"),
    ):
        nodes = parser(embedding, inner).get_nodes_from_documents([Document(text=text)])
        assert len(nodes) > 2
        assert [text[start:end] for start, end in spans(nodes)] == contents(nodes)
        assert [node.embedding for node in nodes] == late(embedding, text, nodes)
        assert spans(nodes)[0][0] == 0


def test_a_parser_that_rewrites_the_text_is_refused(embedding: TwofoldEmbedding) -> None:
    documents = [Document(text=STORY), Document(text='{"town": {"name": "Bern"}}', id_="the json")]

    class Mixed(JSONNodeParser):
        def _parse_nodes(self, nodes: Any, show_progress: bool = False, **kwargs: Any) -> Any:
            if nodes[0].text == STORY:
                return splitter()._parse_nodes(nodes, show_progress, **kwargs)
            return super()._parse_nodes(nodes, show_progress, **kwargs)

    with pytest.raises(InputError, match=r"document the json: chunk 0, .* is not in its document") as caught:
        parser(embedding, Mixed())(documents)
    assert caught.value.index == 1
    assert not calls(embedding)


@pytest.mark.parametrize("text", ["", " \n"])
async def test_a_blank_document_has_no_nodes_and_is_reported(embedding: TwofoldEmbedding, text: str) -> None:
    documents = [Document(text=STORY), Document(text=text, id_="nothing"), Document(text=LIMA)]
    for ask in (parser(embedding).get_nodes_from_documents, parser(embedding).aget_nodes_from_documents):
        with pytest.warns(BlankWarning, match="document 1, nothing, is blank: .* nothing is stored for it"):
            nodes = await settled(ask(documents))
        assert {node.ref_doc_id for node in nodes} == {documents[0].node_id, documents[2].node_id}
    with pytest.warns(BlankWarning):
        assert parser(embedding)(documents[1:2]) == []


@pytest.mark.parametrize("way", ["parser", "embedding", "transform"])
def test_a_folder_with_blank_files_is_ingested(embedding: TwofoldEmbedding, tmp_path: Path, way: str) -> None:
    for name, text in {"bern": STORY, "blank": " \n", "empty": "", "lima": LIMA}.items():
        (tmp_path / f"{name}.txt").write_text(text)
    documents = SimpleDirectoryReader(str(tmp_path)).load_data()
    for document in documents:
        document.metadata.clear()  # their paths are long, and would be embedded
    steps: list[Any] = [parser(embedding)]
    if way != "parser":
        steps = [splitter(), embedding if way == "embedding" else LateChunking(embed_model=embedding)]
    with pytest.warns(BlankWarning, match="is blank: it has no meaning to embed"):
        nodes = IngestionPipeline(transformations=steps).run(documents=documents)
    assert {node.ref_doc_id for node in nodes} == {documents[0].node_id, documents[3].node_id}
    assert all(node.embedding is not None for node in nodes)


def test_a_bad_document_is_named_by_its_place_before_any_work(embedding: TwofoldEmbedding) -> None:
    documents = [Document(text=f"{STORY} {number}", id_=f"d{number}") for number in range(10)]
    documents[0].set_content(" ")
    documents[9].set_content(f"{STORY} \ud83d")
    with (
        pytest.warns(BlankWarning),
        pytest.raises(InputError, match="document d9: text has a lone surrogate") as caught,
    ):
        parser(embedding)(documents)
    assert caught.value.index == 9
    assert not calls(embedding)


async def test_what_the_embedder_refuses_is_named_by_its_place_in_the_users_list() -> None:
    class Refusing(FakeEmbedder):
        def embed_late(self, documents: Any, **options: Any) -> Any:
            raise InputError("text 1 has no token", index=1)

        async def aembed_late(self, documents: Any, **options: Any) -> Any:
            raise ProviderUnavailable("busy", failed={1: "busy"})

    documents = [Document(text="", id_="blank"), Document(text=STORY), Document(text=LIMA, id_="lima")]
    refusing = parser(TwofoldEmbedding(Refusing()))
    with pytest.warns(BlankWarning), pytest.raises(InputError, match=r"^document lima: text 2 has no token") as caught:
        refusing.get_nodes_from_documents(documents)
    assert caught.value.index == 2
    with pytest.warns(BlankWarning), pytest.raises(ProviderUnavailable) as failed:
        await refusing.aget_nodes_from_documents(documents)
    assert failed.value.failed == {2: "busy"}


async def test_late_chunks_are_cached(embedding: TwofoldEmbedding) -> None:
    embedding.embeddings_cache = SimpleKVStore()
    documents = [Document(text=STORY), Document(text=LIMA)]
    nodes = parser(embedding).get_nodes_from_documents(documents)
    assert len(calls(embedding)) == 1
    again = await parser(embedding).aget_nodes_from_documents([*documents, Document(text=REPEATED)])
    assert [node.embedding for node in again[: len(nodes)]] == [node.embedding for node in nodes]
    assert [call.texts for call in calls(embedding)] == [(STORY, LIMA), (REPEATED,)]
    parser(embedding, splitter(30)).get_nodes_from_documents(documents)  # other spans
    assert embedding.get_text_embedding(STORY) not in [node.embedding for node in nodes]
    assert len(calls(embedding)) == 4


def test_no_documents_give_no_nodes(embedding: TwofoldEmbedding) -> None:
    assert parser(embedding)([]) == []
    assert not calls(embedding)


@pytest.mark.parametrize("options", [{}, {"late_window": 12, "late_overlap": 2}], ids=["one pass", "windows"])
@pytest.mark.parametrize("name", TOKENLESS)
def test_a_node_without_a_token_does_not_stop_the_others(minilm: str, name: str, options: dict[str, Any]) -> None:
    real, text = TwofoldEmbedding(minilm, dtype="float32", **options), TOKENLESS[name]
    documents = [Document(text=LIMA, id_="lima"), Document(text=text, id_=name)]
    nodes = parser(real, splitter(8)).get_nodes_from_documents(documents)
    for document in documents:
        own = [node for node in nodes if node.ref_doc_id == document.node_id]
        plain = contents(splitter(8).get_nodes_from_documents([document]))
        assert contents(own) == [content for content in plain if not is_blank(content)]
        assert [document.text[start:end] for start, end in spans(own)] == contents(own)
        wanted = real.embedder.embed_late([Text.from_spans(document.text, spans(own))])[0]
        np.testing.assert_allclose(np.array([node.embedding for node in own]), wanted, atol=1e-5)
    found = VectorStoreIndex(nodes, embed_model=real).as_retriever(similarity_top_k=1).retrieve("capital of Peru")
    assert found[0].node.ref_doc_id == "lima"
    bare: list[Any] = [
        node for node in splitter(8).get_nodes_from_documents(documents) if not is_blank(node.get_content())
    ]
    for node, (start, end) in zip(bare, spans(nodes), strict=True):
        node.start_char_idx, node.end_char_idx = start, end
    LateChunking(embed_model=real)(bare)
    assert all(node.embedding is not None for node in bare)


def test_a_blank_node_of_a_parser_is_left_out(embedding: TwofoldEmbedding, tmp_path: Path) -> None:
    class Lines(NodeParser):
        def _parse_nodes(self, nodes: Any, show_progress: bool = False, **kwargs: Any) -> Any:
            return build_nodes_from_splits(nodes[0].text.split("\n"), nodes[0])

    documents = [Document(text="fog\n\u200b\nships", id_="fog"), Document(text="\u200b", id_="nothing")]
    with pytest.warns(BlankWarning, match="document 1, nothing, is blank"):
        nodes = parser(embedding, Lines()).get_nodes_from_documents(documents)
    assert contents(nodes) == ["fog", "ships"]
    assert [node.embedding for node in nodes] == late(embedding, documents[0].text, nodes)
    store = open_collection(chromadb.PersistentClient(tmp_path), "lines", embedding)
    with pytest.warns(BlankWarning, match="document 1, 'nothing', is blank"):
        assert add_documents(store, documents, node_parser=Lines()) == ["fog#0", "fog#1"]


def test_what_is_public_is_pickled_and_seen_by_the_ingestion_cache(embedding: TwofoldEmbedding) -> None:
    document = Document(text=STORY)
    made = [
        parser(embedding, splitter(20)),
        parser(embedding, splitter(30)),
        parser(TwofoldEmbedding(model="fake:", dimensions=16), splitter(20)),
        LateChunking(embed_model=embedding),
        LateChunking(embed_model=TwofoldEmbedding(model="fake:", dimensions=16)),
    ]
    assert len({get_transformation_hash([document], one) for one in made}) == len(made)
    for one in made:
        again = pickle.loads(pickle.dumps(one))
        assert get_transformation_hash([document], again) == get_transformation_hash([document], one)
    assert LateChunking.from_dict(made[4].to_dict()).to_dict() == made[4].to_dict()
    assert "sk-mine" not in str(parser(TwofoldEmbedding(model="fake:", api_key="sk-mine")).to_dict())


# -- the transformation -----------------------------------------------------------------------------------------------


async def test_nodes_with_offsets_are_grouped_by_their_document(embedding: TwofoldEmbedding) -> None:
    documents = [Document(text=STORY, id_="bern"), Document(text=LIMA, id_="lima")]
    nodes = splitter(20, 6).get_nodes_from_documents(documents)
    mixed = nodes[::2] + nodes[1::2]
    chunk = LateChunking(embed_model=embedding)
    assert chunk(mixed) is mixed
    assert {text.rstrip() for text in calls(embedding)[0].texts} == {STORY, LIMA}
    bern = [node for node in nodes if node.ref_doc_id == "bern"]
    assert [node.embedding for node in bern] == late(embedding, STORY, bern)
    fresh = splitter(20, 6).get_nodes_from_documents(documents)
    await chunk.acall(fresh)
    assert [node.embedding for node in fresh] == [node.embedding for node in nodes]


async def test_documents_whose_nodes_have_late_vectors_are_left_alone(embedding: TwofoldEmbedding) -> None:
    chunk = LateChunking(embed_model=embedding)
    nodes = splitter().get_nodes_from_documents([Document(text=STORY)])
    embedding(nodes)
    naive = [node.embedding for node in nodes]
    chunk(nodes)
    assert [node.embedding for node in nodes] != naive
    asked = len(calls(embedding))
    chunk(nodes)
    await chunk.acall(nodes)
    embedding(nodes)
    assert len(calls(embedding)) == asked
    assert chunk([]) == await chunk.acall([]) == []


def test_what_was_left_out_between_two_nodes_is_a_blank(embedding: TwofoldEmbedding) -> None:
    nodes = [
        TextNode(text="two", start_char_idx=10, end_char_idx=13),
        TextNode(text="one", start_char_idx=4, end_char_idx=7),
        TextNode(text="wo three", start_char_idx=11, end_char_idx=19),
    ]
    source = Document(text="no one, nor two three", id_="source").as_related_node_info()
    for node in nodes:
        node.relationships["1"] = source  # type: ignore[index]
    LateChunking(embed_model=embedding)(nodes)
    assert calls(embedding)[0].texts == ("one\ntwo three",)
    wanted = embedding.embedder.embed_late([Text.from_spans("one\ntwo three", [(4, 7), (0, 3), (5, 13)])])[0]
    assert [node.embedding for node in nodes] == wanted.tolist()


@pytest.mark.parametrize(
    ("places", "message"),
    [
        ([(0, 3), (None, None)], "node b: it has no offsets, or not those of its text; split with LateChunkingNode"),
        ([(0, 3), (3, 9)], "node b: it has no offsets, or not those of its text"),
        ([(0, 3), (2, 5)], "node b: its offsets contradict those of another node"),
    ],
)
def test_offsets_that_can_not_be_are_refused(
    embedding: TwofoldEmbedding, places: list[tuple[Any, Any]], message: str
) -> None:
    nodes = [
        TextNode(id_=name, text=text, start_char_idx=start, end_char_idx=end)
        for name, text, (start, end) in zip("ab", ("one", "two"), places, strict=True)
    ]
    source = Document(text="one two", id_="source").as_related_node_info()
    for node in nodes:
        node.relationships["1"] = source  # type: ignore[index]
    with pytest.raises(InputError, match=f"document source, {message}"):
        LateChunking(embed_model=embedding)(nodes)
    assert not calls(embedding)


# -- in the host ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["parser", "transform", "parser then embedding", "cached"])
async def test_pipelines_and_indexes_do_not_embed_again(embedding: TwofoldEmbedding, way: str) -> None:
    steps: list[Any] = [splitter(), LateChunking(embed_model=embedding)] if way == "transform" else [parser(embedding)]
    steps += [embedding] if way == "parser then embedding" else []
    documents = [Document(text=STORY, id_="bern"), Document(text=LIMA, id_="lima")]
    pipeline = IngestionPipeline(transformations=steps)
    nodes = pipeline.run(documents=documents)
    if way == "cached":
        nodes = pipeline.run(documents=documents)
        embedding(nodes)
    else:
        await IngestionPipeline(transformations=steps).arun(documents=documents)
    asked = 1 if way == "cached" else 2
    assert len(calls(embedding)) == asked
    index = VectorStoreIndex(list(nodes), embed_model=embedding)
    assert len(calls(embedding)) == asked
    (best,) = index.as_retriever(similarity_top_k=1).retrieve("earthquake destroyed Lima")
    assert best.node.ref_doc_id == "lima"
    assert [call.task for call in calls(embedding)] == ["document"] * asked + ["query"]


def test_an_index_from_documents(embedding: TwofoldEmbedding) -> None:
    VectorStoreIndex.from_documents(
        [Document(text=STORY)], embed_model=embedding, transformations=[parser(embedding)], show_progress=True
    )
    assert [call.texts for call in calls(embedding)] == [(STORY,)]


async def test_observers_and_the_rate_limiter() -> None:
    class Counting(TokenBucketRateLimiter):
        asked: int = 0

        def acquire(self, num_tokens: int = 0) -> None:
            self.asked += 1

        async def async_acquire(self, num_tokens: int = 0) -> None:
            self.asked += 1

    debug, limiter = LlamaDebugHandler(print_trace_on_end=False), Counting(requests_per_minute=600)
    embedding = TwofoldEmbedding(
        model="fake:", embed_batch_size=3, callback_manager=CallbackManager([debug]), rate_limiter=limiter
    )
    documents = [Document(text=STORY), Document(text=LIMA), Document(text=LIMA)]
    nodes = parser(embedding).get_nodes_from_documents(documents, show_progress=True)
    await parser(embedding).aget_nodes_from_documents(documents)
    assert [call.texts for call in calls(embedding)] == [(STORY, LIMA, LIMA)] * 2
    assert limiter.asked == 6
    payloads = [pair[1].payload or {} for pair in debug.get_event_pairs(CBEventType.EMBEDDING)]
    assert [len(payload[EventPayload.CHUNKS]) for payload in payloads] == [7] * 2
    seen = payloads[0][EventPayload.EMBEDDINGS]
    assert seen == [node.embedding for node in nodes]
