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
from support.tokenless import TOKENLESS
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


def first_characters(tokenizer: Tokenizer, text: str, prefix: str) -> list[int]:
    """Where each token of the text begins, without white space, by a plain loop."""
    encoding = tokenizer._rust.encode(prefix + text)
    found = [0]
    for (first, last), special in zip(encoding.offsets, encoding.special_tokens_mask, strict=True):
        start, end = max(first - len(prefix), 0), last - len(prefix)
        if not special and end > 0:
            dark = next((place for place in range(start, end) if not text[place].isspace()), start)
            found.append(max(dark, found[-1]))
    return found[1:]


@settings(max_examples=150, deadline=None)
@given(text=unicode_texts, cuts=st.lists(st.integers(0, 200), max_size=6), prefix=st.booleans())
def test_consecutive_spans_share_out_every_token_once(
    tokenizer: Tokenizer, text: str, cuts: list[int], prefix: bool
) -> None:
    edges = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    spans = list(pairwise(edges))
    assume(not any(is_blank(text[slice(*span)]) for span in spans))
    task = PREFIX if prefix else Task(None)
    (sequence,) = tokenizer.sequences([Document.from_spans(text, spans)], task, ROOMY)
    assert list(sequence.targets) == list(range(len(spans)))
    begins = first_characters(tokenizer, text, task.prefix)
    own = [number for number, (start, end) in enumerate(spans) if any(start <= place < end for place in begins)]
    if own:
        flat = np.concatenate([sequence.rows[number] for number in own])
        assert sorted(flat.tolist()) == list(range(len(sequence.ids)))
    places = [int(sequence.rows[number].min()) for number in own]
    assert places == sorted(places)


@settings(max_examples=150, deadline=None)
@given(text=unicode_texts, cuts=st.lists(st.integers(0, 200), min_size=2, max_size=9), prefix=st.booleans())
def test_a_span_without_a_token_of_its_own_borrows_and_changes_no_other(
    tokenizer: Tokenizer, text: str, cuts: list[int], prefix: bool
) -> None:
    edges = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    spans = [span for span in pairwise(edges) if not is_blank(text[slice(*span)])]
    task = PREFIX if prefix else Task(None)
    begins = first_characters(tokenizer, text, task.prefix)
    own = [span for span in spans if any(span[0] <= place < span[1] for place in begins)]
    assume(own)
    (sequence,) = tokenizer.sequences([Document(text, tuple(spans))], task, ROOMY)
    without = pooled(tokenizer.sequences([Document.from_spans(text, [*own, own[0]])], task, ROOMY))
    wanted = dict(zip(own, (without[number] for number in range(len(own))), strict=True))
    for (start, end), rows in zip(spans, sequence.rows, strict=True):
        if (start, end) in wanted:
            assert set(rows.tolist()) == wanted[start, end]
        else:
            offsets = tokenizer._rust.encode(task.prefix + text).offsets
            covering = [row for row in rows if offsets[row][0] - len(task.prefix) < end and offsets[row][1] > start]
            assert len(rows)
            assert len(covering) == len(rows) or set(rows.tolist()) in wanted.values()


@settings(max_examples=100, deadline=None)
@given(text=unicode_texts, start=st.integers(0, 60), length=st.integers(1, 60))
def test_a_token_is_pooled_where_its_first_dark_character_lies(
    tokenizer: Tokenizer, text: str, start: int, length: int
) -> None:
    end = min(len(text), start + length)
    assume(start < end)
    assume(not is_blank(text[start:end]))
    assume(any(start <= place < end for place in first_characters(tokenizer, text, "")))
    document = Document.from_spans(text, [(start, end), (0, len(text))])
    inside = pooled(tokenizer.sequences([document], Task(None), ROOMY))[0]
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
    (sequence,) = tokenizer.sequences([twice], PREFIX, ROOMY)
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


def test_a_span_inside_a_token_pools_that_token(minilm: str) -> None:
    model = Embedder(minilm, dtype="float32", normalize=False)  # for which "harbour" is one token
    halves, whole = Document.from_spans("harbour fog", [(0, 4), (4, 7), (7, 11)]), [(0, 7), (7, 11)]
    made = model.embed_late([halves])[0]
    np.testing.assert_allclose(
        made[[0, 2]], model.embed_late([Document.from_spans("harbour fog", whole)])[0], atol=1e-5
    )
    assert np.abs(made[1] - made[0]).max() > 0.1  # the first also has the special token
    fog = model.embed_late([Document.from_spans("fog harbour fog", [(0, 4), (4, 11), (8, 11), (11, 15)])])[0]
    np.testing.assert_allclose(fog[2], fog[1], atol=1e-5)


@pytest.mark.parametrize(
    ("chunks", "wanted"),
    [
        (["fog ", "\u0301", "sea"], [0, 0, 2]),  # the one before
        (["\u0301", "\ufe0f", "fog ", "sea"], [2, 2, 2, 3]),  # or the next
        (["fog ", "\u0301", "\ufe0f"], [0, 0, 0]),
        (["\u0301", "\ufe0f"], [0, 0]),
    ],
)
def test_a_span_without_a_token_gets_the_vector_of_its_neighbour(
    minilm: str, chunks: list[str], wanted: list[int]
) -> None:
    model = Embedder(minilm, dtype="float32")
    made = model.embed_chunks(chunks)
    np.testing.assert_array_equal(made, made[wanted])
    kept = sorted(set(wanted)) if "fog " in chunks else []
    joined = ["".join(chunk for chunk, place in zip(chunks, wanted, strict=True) if place == each) for each in kept]
    np.testing.assert_allclose(made[kept], model.embed_chunks(joined) if joined else made[:0], atol=1e-5)


def test_a_document_without_a_token_is_like_the_empty_text(minilm: str) -> None:
    model = Embedder(minilm, dtype="float32", document_instruction="passage: ")
    empty = model.with_options(document_instruction="").embed_documents(["passage: "])
    np.testing.assert_allclose(model.embed_documents(["\u0301\ufe0f"]), empty, atol=1e-5)
    np.testing.assert_allclose(model.embed_chunks(["\u0301", "\ufe0f"]), empty[[0, 0]], atol=1e-5)


def test_a_lone_span_without_a_token_pools_the_token_beside_it(minilm: str) -> None:
    model = Embedder(minilm, dtype="float32")
    for text, lone, beside in (("fog \u0301 sea", (4, 5), (0, 3)), ("\u0301 fog sea", (0, 1), (2, 5))):
        made = model.embed_late([Document.from_spans(text, [lone]), Document.from_spans(text, [beside])])
        np.testing.assert_allclose(made[0], made[1], atol=1e-5)


@pytest.mark.parametrize("options", [{}, {"late_window": 12, "late_overlap": 2}], ids=["one pass", "windows"])
@pytest.mark.parametrize("name", TOKENLESS)
def test_chunks_of_any_script_get_vectors_and_change_no_other(minilm: str, name: str, options: dict[str, Any]) -> None:
    model, text = Embedder(minilm, dtype="float32", **options), TOKENLESS[name]
    edges = [*range(0, len(text), 4), len(text)]
    spans = [span for span in pairwise(edges) if not is_blank(text[slice(*span)])]
    made = model.embed_late([Document.from_spans(text, spans)])[0]
    np.testing.assert_allclose(np.linalg.norm(made, axis=1), 1, atol=1e-5)
    begins = first_characters(model.backend.tokenizer, text, "")  # type: ignore[attr-defined]
    own = [number for number, (start, end) in enumerate(spans) if any(start <= place < end for place in begins)]
    assert len(own) < len(spans)
    if own:
        alone = model.embed_late([Document.from_spans(text, [spans[number] for number in own])])[0]
        np.testing.assert_allclose(made[own], alone, atol=1e-5)


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
