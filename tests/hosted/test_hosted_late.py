"""Late chunking over an API: what goes into which request, and which vector is taken from where."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.faultserver import status, truth
from support.simulation import Simulation
from twofold import Document, Embedder
from twofold.errors import InputError, RequestRefused
from twofold.hosted.counting import likely_tokens
from twofold.hosted.packing import pack
from twofold.hosted.piece import Limits

if TYPE_CHECKING:
    from support.faultserver import Exchange, Provider
    from twofold.hosted.piece import Piece

pytestmark = pytest.mark.filterwarnings("ignore::twofold.errors.DimensionsWarning")
TASK = "retrieval.passage"
CHUNKS = ["Berlin is the capital. ", "Its more than 3.85 million people ", "make it the largest city."]


def make(server: Provider, model: str = "jina-embeddings-v3", **options: Any) -> Embedder:
    return Embedder(f"jina:{model}", **{"dimensions": 16, "base_url": server.url, "api_key": "k", **options})


class Words:
    """Counts words, exactly."""

    exact = True

    def count(self, texts: Any, *, special: bool = True) -> list[int]:
        return [len(text.split()) + 2 * special for text in texts]

    weigh = count


LIMITS = Limits(items=512, tokens=1000, length=100, window=100, overlap=20)


def test_a_document_is_one_request_and_its_chunks_know_their_context() -> None:
    with Simulation() as server:
        vectors = make(server).embed_chunks(CHUNKS)
    (exchange,) = server.exchanges
    assert exchange.body["input"] == CHUNKS
    assert exchange.body["late_chunking"] is True
    assert exchange.body["truncate"] is False
    np.testing.assert_allclose(vectors, [truth(chunk, TASK, 16, "".join(CHUNKS)) for chunk in CHUNKS], atol=1e-6)


async def test_documents_are_never_mixed_and_plain_ones_share_a_request() -> None:
    documents = [
        Document.from_chunks(["one ", "two"]),
        Document.whole("plain"),
        Document.from_chunks(["three ", "four"]),
    ]
    with Simulation() as server:
        vectors = await make(server).aembed_late([*documents, Document.whole("also plain")])
    assert [rows.shape for rows in vectors] == [(2, 16), (1, 16), (2, 16), (1, 16)]
    asked = sorted((exchange.body.get("late_chunking", False), exchange.body["input"]) for exchange in server.exchanges)
    assert asked == [(False, ["plain", "also plain"]), (True, ["one ", "two"]), (True, ["three ", "four"])]
    np.testing.assert_allclose(vectors[2][1], truth("four", TASK, 16, "three four"), atol=1e-6)


def test_white_space_between_spans_goes_with_the_chunk_before_it() -> None:
    text = "  One sentence.  Another one.\n"
    with Simulation() as server:
        make(server).embed_late([Document.from_spans(text, [(2, 15), (17, 29)])])
    assert server.exchanges[0].body["input"] == ["  One sentence.  ", "Another one.\n"]


def test_a_span_that_leaves_white_space_out_is_late_chunked_as_it_is_locally() -> None:
    document = Document(" a ship ", ((1, 7),))
    assert not document.is_whole
    with Simulation() as server:
        make(server).embed_late([document])
    assert server.exchanges[0].body["late_chunking"] is True


@pytest.mark.parametrize(
    ("spans", "message"),
    [
        ([(0, 3), (8, 13)], "leave out characters 3 to 8"),
        ([(0, 7), (4, 13)], "span 1 starts before span 0 ends"),
        ([(4, 13), (0, 3)], "leave out characters 0 to 4"),
        ([(0, 3), (4, 7)], "leave out characters 7 to 13"),
        ([(0, 3)], "leave out characters 3 to 13"),
    ],
)
def test_spans_that_the_wire_has_no_word_for_are_refused(spans: Any, message: str) -> None:
    with (
        Simulation() as server,
        pytest.raises(InputError, match=f"document 1: .*{message}.*the local model") as caught,
    ):
        make(server).embed_late([Document.whole("fine"), Document.from_spans("one two three", spans)])
    assert caught.value.index == 1
    assert server.count == 0


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ("jina-embeddings-v2-base-en", "the API does not offer it"),
        ("jina-embeddings-v5-text-small", "pools the last token"),
    ],
)
def test_models_without_it_say_why(model: str, reason: str) -> None:
    with Simulation() as server, pytest.raises(InputError, match=f"no late chunking: .*{reason}"):
        make(server, model, dimensions=None).embed_chunks(CHUNKS)
    assert server.count == 0


def test_queries_are_never_late_chunked() -> None:
    with Simulation() as server:
        embedder = make(server)
        with pytest.raises(InputError, match="needs late chunking, but queries are never late-chunked"):
            embedder.backend.embed([Document.from_chunks(CHUNKS)], embedder.query_task, 16)
    assert server.count == 0


def test_a_refused_document_is_named_and_the_others_are_kept() -> None:
    def behave(exchange: Exchange) -> None:
        if "bad " in exchange.texts:
            exchange.answer(422, {"detail": "no"})
        else:
            exchange.well()

    documents = [Document.from_chunks(["good ", "one"]), Document.from_chunks(["bad ", "one"]), Document.whole("plain")]
    with Simulation(behave) as server, pytest.raises(RequestRefused, match="text 1 refused: 422 no") as caught:
        make(server).embed_late(documents)
    assert {index: rows.shape for index, rows in caught.value.partial.items()} == {0: (2, 16), 2: (1, 16)}
    assert list(caught.value.failed) == [1]


def test_a_document_that_the_provider_counts_over_its_limit_is_not_believed() -> None:
    """A count over ours, at the limit: the end may have been cut off without a word."""

    def behave(exchange: Exchange) -> None:
        reply = exchange.reply()
        if exchange.body.get("late_chunking"):
            reply["usage"]["total_tokens"] = 8192
        exchange.answer(200, reply)

    with Simulation(behave) as server, pytest.raises(RequestRefused, match="may have cut the end"):
        make(server).embed_chunks(CHUNKS)
    assert server.count == 1


def test_a_long_document_is_split_at_chunk_borders_with_context_on_both_sides() -> None:
    chunks = [f"chunk number {number}, with some words. " for number in range(60)]
    with Simulation() as server:
        vectors = make(server, late_window=300, late_overlap=80).embed_chunks(chunks)
    requests = [exchange.body["input"] for exchange in server.exchanges]
    requests.sort(key=lambda inputs: chunks.index(inputs[0]))
    assert len(requests) >= 3
    for inputs in requests:
        start = chunks.index(inputs[0])
        assert inputs == chunks[start : start + len(inputs)]
        assert likely_tokens("".join(inputs)) <= 300
    for number, chunk in enumerate(chunks):
        contexts = ["".join(inputs) for inputs in requests if chunk in inputs]
        wanted = [truth(chunk, TASK, 16, context) for context in contexts]
        assert any(np.allclose(vectors[number], one, atol=1e-6) for one in wanted)


def test_a_chunk_over_the_window_is_named() -> None:
    with Simulation() as server, pytest.raises(InputError, match=r"chunk 1 of document 0 has \d+ tokens by estimate"):
        make(server).embed_chunks(["short ", "word " * 9000])
    assert server.count == 0


@given(
    st.lists(st.integers(1, 60), min_size=2, max_size=80),
    st.integers(60, 120),
    st.integers(0, 60),
    st.integers(2, 12),
)
def test_every_chunk_is_asked_once_where_it_has_most_context(
    sizes: list[int], window: int, overlap: int, most: int
) -> None:
    chunks = [" ".join(f"w{number}" for _ in range(size)) + " " for number, size in enumerate(sizes)]
    document = Document.from_chunks(chunks)
    limits = Limits(items=most, tokens=10_000, length=10_000, window=window + 3, overlap=overlap)
    pieces = pack([document], Words(), limits, "query:", add=False)  # type: ignore[arg-type]
    asked = [row for piece in pieces for item in piece.items for row in item.rows]
    assert asked == list(range(len(chunks))) or sorted(asked) == list(range(len(chunks)))
    for piece in pieces:
        assert piece.late
        assert len(piece.items) <= most
        assert piece.tokens <= window + 3
        assert "".join(item.text for item in piece.items) in document.text
    ranges = [_range(piece, chunks) for piece in pieces]
    assert ranges[0][0] == 0
    assert ranges[-1][1] == len(chunks)
    for (_, end), (start, _) in pairwise(ranges):
        assert start <= end
        assert sum(sizes[start:end]) <= overlap
    for piece, own in zip(pieces, ranges, strict=True):
        for place, item in enumerate(piece.items):
            if item.rows:
                chunk = own[0] + place
                assert _context(chunk, own, sizes) == max(
                    _context(chunk, other, sizes) for other in ranges if other[0] <= chunk < other[1]
                )


def _range(piece: Piece, chunks: list[str]) -> tuple[int, int]:
    start = chunks.index(piece.items[0].text)
    return start, start + len(piece.items)


def _context(chunk: int, own: tuple[int, int], sizes: list[int]) -> float:
    before = sum(sizes[own[0] : chunk]) if own[0] else float("inf")
    after = sum(sizes[chunk + 1 : own[1]]) if own[1] < len(sizes) else float("inf")
    return min(before, after)


def test_batches_keep_to_items_and_tokens() -> None:
    documents = [Document.whole("word " * size) for size in (50, 40, 20, 5, 5, 5)]
    limits = Limits(items=3, tokens=100, length=100, window=100, overlap=20)
    pieces = pack(documents, Words(), limits, "", add=False)  # type: ignore[arg-type]
    assert [[item.documents for item in piece.items] for piece in pieces] == [[(0,), (1,)], [(2,), (3, 4, 5)]]


def test_a_text_that_is_surely_too_long_is_refused_with_its_count() -> None:
    documents = [Document.whole("fine"), Document.whole("word " * 120)]
    with pytest.raises(InputError, match=r"text 1 has 123 tokens, the limit is 100: .*truncate='end'") as caught:
        pack(documents, Words(), LIMITS, "instruction ", add=False)  # type: ignore[arg-type]
    assert caught.value.index == 1


def test_the_provider_says_what_only_it_can_count() -> None:
    with Simulation(status(422, "too long")) as server, pytest.raises(RequestRefused, match=r"422 .*too long"):
        make(server).embed_documents(["word-" * 20_000])
    assert server.exchanges[0].body["truncate"] is False
