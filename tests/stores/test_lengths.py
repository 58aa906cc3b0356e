"""Lengths are checked before any work, where counts are exact."""

from __future__ import annotations

import pytest

from twofold import Document, Embedder, InputError
from twofold.stores.checks import check_lengths
from twofold.testing import FakeEmbedder

TEXTS = ["short", "word " * 513, "word " * 600]


def check(embedder: Embedder, texts: list[str]) -> None:
    check_lengths(embedder, ["a", "b", "c"], [Document.whole(text) for text in texts])


def test_a_text_that_is_too_long_is_named_by_its_id() -> None:
    with pytest.raises(InputError, match=r"document 'b' has 513 tokens, the limit is 512 \(2 of 3 documents") as error:
        check(FakeEmbedder(), TEXTS)
    assert error.value.index == 1
    check(FakeEmbedder(truncate="end"), TEXTS)
    check(FakeEmbedder(), [])


def test_a_document_that_is_cut_may_be_longer_than_the_model() -> None:
    long = Document.from_spans(TEXTS[2], [(0, 4), (5, 2000)])
    check_lengths(FakeEmbedder(), ["a"], [long])


def test_an_estimate_refuses_nothing() -> None:
    embedder = Embedder("jina:jina-embeddings-v3", api_key="unused")
    text = "internationally " * 5000  # some 5,000 tokens in truth
    assert embedder.count_tokens([text])[0] > embedder.card.max_tokens
    check(embedder, [text])
