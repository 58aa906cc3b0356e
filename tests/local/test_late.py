"""Late chunking: which tokens each span gets, windows over long documents, and a reference computed by hand."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from support.checkpoints import INSTRUCTIONS, unigram, wordpiece
from twofold import Document, Embedder, InputError
from twofold.documents import is_blank
from twofold.local.tokenizer import Tokenizer
from twofold.local.windows import Limits
from twofold.models import Task

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.checkpoints import Made
    from twofold.local.windows import TokenSequence

PASSAGE = "retrieval.passage"
CHUNKS = [
    "Berlin ist die Hauptstadt Deutschlands. ",
    "The lighthouse keeper counted nine ships.\n\n",
    "  東京の地下鉄は朝八時に",
    "最も混雑する。 Привет, мир!",
]
ROOMY = Limits(100_000, "error", 100_000, 512)
PREFIX = Task("passage", INSTRUCTIONS[PASSAGE])

alphabet = st.sampled_from(
    [
        *("fog", "Berlin", "harbour", "query:", "a", "e\u0301", "nai\u0308ve", "ﬁ", "\u1100\u1161"),
        *("東京の地下鉄は", "最も", "。", "👩‍👩‍👧", "🏳️‍🌈", "مرحبا", "שלום", "\u200f", "Ⅷ", "½", "\u00ad"),
        *(" ", "   ", "\n", "\n\n\t", "\u3000", "\xa0", ".", ", ", "x\x00y"),
    ]
)
unicode_texts = st.lists(alphabet, min_size=1, max_size=40).map("".join).filter(lambda text: not is_blank(text))


@pytest.fixture(scope="module", params=["wordpiece", "unigram", "unigram with leading spaces"])
def tokenizer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    """Each kind of tokenizer. They differ in whether a token's offsets include the space before it."""
    folder = tmp_path_factory.mktemp("tokenizer")
    if request.param == "wordpiece":
        wordpiece(folder)
    else:
        unigram(folder, split=request.param == "unigram")
    return Tokenizer(folder)


def pooled(sequences: list[TokenSequence]) -> dict[int, set[int]]:
    """Target -> its pooled tokens, for documents of a single sequence."""
    return {
        target: set(rows.tolist())
        for sequence in sequences
        for target, rows in zip(sequence.targets, sequence.rows, strict=True)
    }


@settings(max_examples=150, deadline=None)
@given(text=unicode_texts, cuts=st.lists(st.integers(0, 200), max_size=6), prefix=st.booleans())
def test_consecutive_spans_share_out_every_token_once(
    tokenizer: Tokenizer, text: str, cuts: list[int], prefix: bool
) -> None:
    edges = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    spans = list(pairwise(edges))
    assume(not any(is_blank(text[slice(*span)]) for span in spans))
    task = PREFIX if prefix else Task(None)
    try:
        sequences = tokenizer.sequences([Document.from_spans(text, spans)], task, ROOMY)
    except InputError as error:
        assert "contains no token" in str(error)  # noqa: PT017 - the other outcome is checked below
        return
    (sequence,) = sequences
    flat = np.concatenate([*sequence.rows])
    assert sorted(flat.tolist()) == list(range(len(sequence.ids)))
    assert list(sequence.targets) == list(range(len(spans)))
    places = [int(rows.min()) for rows in sequence.rows]
    assert places == sorted(places)


@settings(max_examples=100, deadline=None)
@given(text=unicode_texts, start=st.integers(0, 60), length=st.integers(1, 60))
def test_a_token_is_pooled_where_its_first_dark_character_lies(
    tokenizer: Tokenizer, text: str, start: int, length: int
) -> None:
    end = min(len(text), start + length)
    assume(start < end)
    assume(not is_blank(text[start:end]))
    document = Document.from_spans(text, [(start, end), (0, len(text))])
    try:
        sequences = tokenizer.sequences([document], Task(None), ROOMY)
    except InputError:
        return
    inside = pooled(sequences)[0]
    encoding = tokenizer._rust.encode(text)
    for index, (first, last) in enumerate(encoding.offsets):
        dark = [place for place in range(first, last) if not text[place].isspace()]
        if (
            not encoding.special_tokens_mask[index]
            and dark
            and first >= max(offset for offset, _ in encoding.offsets[: index + 1])
        ):
            assert (index in inside) == (start <= dark[0] < end)


@settings(max_examples=60, deadline=None)
@given(text=unicode_texts)
def test_one_span_over_everything_pools_every_token(tokenizer: Tokenizer, text: str) -> None:
    twice = Document.from_spans(text, [(0, len(text)), (0, len(text))])
    try:
        (sequence,) = tokenizer.sequences([twice], PREFIX, ROOMY)
    except InputError:
        return
    for rows in sequence.rows:
        assert rows.tolist() == list(range(len(sequence.ids)))


@pytest.mark.parametrize("split", [True, False])
def test_vectors_are_those_of_a_plain_reference(made: Callable[..., Made], split: bool) -> None:
    v3 = made("jina-v3", split=split, length=512)
    want = by_hand(v3, CHUNKS)
    got = Embedder(v3.folder, dtype="float32", device="cpu").embed_chunks(CHUNKS)
    np.testing.assert_allclose(got, want, atol=1e-5)


def by_hand(made: Made, chunks: list[str]) -> np.ndarray:
    """One pass of transformers' model over instruction and document, then a plain loop over tokens and chunks."""
    from tokenizers import Tokenizer as Rust

    text, instruction = "".join(chunks), INSTRUCTIONS[PASSAGE]
    encoding = Rust.from_file(str(made.folder / "tokenizer.json")).encode(instruction + text)
    states = made.hidden(encoding.ids, PASSAGE)
    ends = np.cumsum([len(chunk) for chunk in chunks])
    members: list[list[int]] = [[] for _ in chunks]
    for index, (start, end) in enumerate(encoding.offsets):
        inside = range(max(0, start - len(instruction)), end - len(instruction))
        place = next((place for place in inside if not text[place].isspace()), start - len(instruction))
        if index == len(encoding.ids) - 1:
            members[-1].append(index)
        elif end <= len(instruction):  # including the first special token
            members[0].append(index)
        else:
            members[int(np.searchsorted(ends, place, side="right"))].append(index)
    vectors = torch.stack([states[own].mean(0) for own in members])
    return np.asarray(vectors / vectors.norm(dim=1, keepdim=True))


def test_late_and_naive_differ_and_a_lone_chunk_is_a_document(embedder: Callable[..., Embedder]) -> None:
    model = embedder("jina-v3")
    late, naive = model.embed_chunks(CHUNKS), model.embed_documents(CHUNKS)
    assert np.abs(late - naive).max(axis=1).min() > 1e-3
    np.testing.assert_allclose(model.embed_chunks(CHUNKS[:1]), model.embed_documents(CHUNKS[:1]), atol=1e-6)


def test_a_chunk_knows_its_own_document_and_no_other(embedder: Callable[..., Embedder]) -> None:
    model = embedder("jina-v3")
    together = model.embed_late([Document.from_chunks(CHUNKS[:2]), Document.from_chunks(CHUNKS[2:])])
    alone = [model.embed_chunks(CHUNKS[:2]), model.embed_chunks(CHUNKS[2:])]
    for one, other in zip(together, alone, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_overlapping_spans_and_gaps(embedder: Callable[..., Embedder]) -> None:
    model = embedder("jina-v3")
    text = "".join(CHUNKS)
    spans = [(0, len(text)), (7, 30), (20, 60), (0, 39), (50, len(text))]
    got = model.embed_late([Document.from_spans(text, spans)])[0]
    assert got.shape == (5, 48)
    np.testing.assert_allclose(got[0], model.embed_documents([text])[0], atol=1e-5)
    again = model.embed_late([Document.from_spans(text, [spans[1], spans[0]])])[0]
    np.testing.assert_allclose(again, got[[1, 0]], atol=1e-5)


def test_a_span_without_a_token_is_named(minilm: str) -> None:
    model = Embedder(minilm)  # for which "harbour" is one token
    halves = Document.from_spans("harbour fog", [(0, 4), (4, 7), (7, 11)])
    with pytest.raises(InputError, match=r"span 1 of document 1, \(4, 7\), contains no token: 'our'") as caught:
        model.embed_late([Document.whole("fine"), halves])
    assert caught.value.index == 1


@pytest.mark.parametrize("name", ["bert", "jina-v2", "jina-v3"])
def test_where_one_pass_suffices_windows_are_not_used(embedder: Callable[..., Embedder], name: str) -> None:
    whole = embedder(name).embed_chunks(CHUNKS)
    count = embedder(name).count_tokens(["".join(CHUNKS)])[0]
    exact = embedder(name, late_window=count, late_overlap=5).embed_chunks(CHUNKS)
    np.testing.assert_allclose(exact, whole, atol=1e-5)


def long_document(words: int, every: int = 3) -> tuple[Document, list[str]]:
    rng = np.random.default_rng(0)
    chosen = rng.choice(["fog ", "harbour ", "Berlin ", "ships, ", "keeper. ", "最も "], words)
    chunks = ["".join(chosen[i : i + every]) for i in range(0, words, every)]
    return Document.from_chunks(chunks), chunks


@settings(max_examples=40, deadline=None)
@given(
    words=st.integers(30, 200),
    every=st.integers(1, 6),
    window=st.integers(64, 128),
    overlap=st.integers(0, 30),
)
def test_every_chunk_is_pooled_once_from_a_window_that_holds_it(
    made: Callable[[str], Made], words: int, every: int, window: int, overlap: int
) -> None:
    tokens = Tokenizer(made("jina-v3").folder)
    document, chunks = long_document(words, every)
    (whole,) = tokens.sequences([document], PREFIX, ROOMY)
    sequences = tokens.sequences([document], PREFIX, Limits(128, "error", window, overlap))
    assert sorted(target for sequence in sequences for target in sequence.targets) == list(range(len(chunks)))
    assert all(len(sequence.ids) <= window for sequence in sequences)
    for sequence in sequences:
        for target, rows in zip(sequence.targets, sequence.rows, strict=True):
            own = [sequence.ids[row] for row in rows]
            assert own == [whole.ids[row] for row in whole.rows[target]]


def test_a_chunk_takes_the_window_with_the_most_context(made: Callable[[str], Made]) -> None:
    tokens = Tokenizer(made("jina-v3").folder)
    document, _ = long_document(300, 1)
    sequences = tokens.sequences([document], Task(None), Limits(128, "error", 62, 30))
    for sequence in sequences[1:-1]:
        for rows in sequence.rows:
            left, right = int(rows.min()) - 1, len(sequence.ids) - 2 - int(rows.max())
            assert min(left, right) >= (30 - len(rows)) // 2


def test_a_window_gives_what_one_pass_over_its_text_gives(
    made: Callable[[str], Made], embedder: Callable[..., Embedder]
) -> None:
    document, _ = long_document(120, 2)
    tokens = Tokenizer(made("jina-v3").folder)
    got = embedder("jina-v3", late_window=64, late_overlap=20, normalize=False).embed_late([document])[0]
    for sequence in tokens.sequences([document], PREFIX, Limits(128, "error", 64, 20)):
        states = made("jina-v3").hidden(list(sequence.ids), PASSAGE)
        for target, rows in zip(sequence.targets, sequence.rows, strict=True):
            np.testing.assert_allclose(got[target], states[rows].mean(0), atol=1e-5)


def test_a_book_of_two_hundred_thousand_tokens(made: Callable[..., Made], monkeypatch: Any) -> None:
    from twofold.local.encoder import Encoder

    real, longest = Encoder.__call__, [0]

    def watched(self: Any, batch: Any, adapter: str | None = None) -> torch.Tensor:
        longest[0] = max(longest[0], len(batch.ids))
        return real(self, batch, adapter)

    monkeypatch.setattr(Encoder, "__call__", watched)
    document, chunks = long_document(42_000, 12)
    v3 = made("jina-v3", split=True, length=512).folder
    model = Embedder(v3, dtype="float32", device="cpu", batch_tokens=2048, late_window=256, late_overlap=32)
    assert model.count_tokens([document.text])[0] > 200_000
    vectors = model.embed_late([document])[0]
    assert vectors.shape == (len(chunks), 48)
    assert np.isfinite(vectors).all()
    assert longest[0] <= 2048


def test_a_span_longer_than_a_window_is_named(embedder: Callable[..., Embedder]) -> None:
    document, _ = long_document(400, 200)
    with pytest.raises(
        InputError, match=r"span 0 of document 0 has \d+ tokens, but a window has room for \d+: split it"
    ):
        embedder("jina-v3").embed_late([document])


def test_a_window_without_room_for_its_overlap(embedder: Callable[..., Embedder]) -> None:
    document, _ = long_document(400, 2)
    with pytest.raises(InputError, match="no room for an overlap of 25"):
        embedder("jina-v3", late_window=40, late_overlap=25).embed_late([document])


@pytest.mark.parametrize("pooling", ["cls", "last"])
def test_models_pooled_by_one_token_refuse_spans(bert_with: Callable[..., str], pooling: str) -> None:
    model = Embedder(bert_with(pooling))
    with pytest.raises(InputError, match=f"pools only its {pooling} token, .*needs a mean-pooled model"):
        model.embed_chunks(CHUNKS)
    assert model.embed_chunks(["one chunk alone is a document"]).shape == (1, 48)


async def test_async_late_is_the_same(embedder: Callable[..., Embedder]) -> None:
    model = embedder("jina-v3")
    np.testing.assert_allclose(await model.aembed_chunks(CHUNKS), model.embed_chunks(CHUNKS), atol=1e-6)
