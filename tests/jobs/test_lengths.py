from __future__ import annotations

import pytest

from twofold import Embedder, InputError
from twofold.jobs.lengths import count_documents
from twofold.testing import FakeEmbedder


def test_a_text_that_is_too_long_is_named_by_its_id() -> None:
    texts = ["short", "word " * 513, "word " * 600]
    with pytest.raises(InputError, match=r"'b' has 513 tokens, .* takes 512 \(2 of 3 documents") as error:
        count_documents(FakeEmbedder(), ["a", "b", "c"], texts)
    assert error.value.index == 1
    assert count_documents(FakeEmbedder(truncate="end"), ["a", "b", "c"], texts) == [1, 513, 600]
    assert count_documents(FakeEmbedder(), [], []) == []


def test_an_estimate_refuses_nothing() -> None:
    embedder = Embedder("jina:jina-embeddings-v3", api_key="unused")
    text = "internationally " * 5000  # some 5,000 tokens in truth
    (count,) = count_documents(embedder, ["a"], [text])
    assert count > embedder.card.max_tokens
