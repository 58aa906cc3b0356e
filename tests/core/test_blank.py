"""`embed_texts`, for the calls of hosts: a blank text gets the vector of the empty text, and stops nothing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import pytest

from twofold import BlankWarning, Embedder, InputError
from twofold.adapters import aembed_texts, embed_texts
from twofold.testing import FakeEmbedder

if TYPE_CHECKING:
    from pathlib import Path

    from twofold.models import Side

TEXTS = ["a ship", "", " \n", "\ufeff", "tea"]
WARNING = r"text 1 is blank \(3 of 5\): it gets the vector of the empty text"


@pytest.mark.parametrize("side", ["query", "document"])
async def test_a_blank_text_gets_the_empty_texts_vector_with_its_side(side: Side) -> None:
    embedder = FakeEmbedder()
    with pytest.warns(BlankWarning, match=WARNING) as caught:
        rows = embed_texts(embedder, side, TEXTS)
    assert len(caught) == 1
    assert embedder.calls[0].texts == ("a ship", "", "", "", "tea")
    assert embedder.calls[0].task == side
    method = embedder.embed_queries if side == "query" else embedder.embed_documents
    np.testing.assert_array_equal(rows[[0, 4]], method(["a ship", "tea"]))
    np.testing.assert_array_equal(rows[[1, 1]], rows[[2, 3]])
    with pytest.warns(BlankWarning, match=WARNING):
        np.testing.assert_array_equal(await aembed_texts(embedder, side, TEXTS), rows)


def test_without_a_blank_text_it_is_the_ordinary_call() -> None:
    embedder = FakeEmbedder()
    np.testing.assert_array_equal(embed_texts(embedder, "query", ["tea"]), embedder.embed_queries(["tea"]))
    assert embed_texts(embedder, "document", []).shape == (0, 64)


def test_what_is_not_a_text_is_still_refused_and_our_own_methods_refuse_blank_ones() -> None:
    embedder = FakeEmbedder()
    with pytest.raises(InputError, match="text 1 is of type NoneType"):
        embed_texts(embedder, "document", ["", None])  # type: ignore[list-item]
    with pytest.raises(InputError, match="text 0 has a lone surrogate"):
        embed_texts(embedder, "document", ["\ud800"])
    with pytest.raises(InputError, match="text 0 is empty"):
        embedder.embed_documents([""])


@pytest.mark.filterwarnings("ignore::twofold.BlankWarning")
def test_the_cache_keeps_it_under_its_side(tmp_path: Path) -> None:
    embedder = FakeEmbedder(cache=str(tmp_path))
    query, document = embed_texts(embedder, "query", [""]), embed_texts(embedder, "document", [""])
    assert not np.allclose(query, document)
    np.testing.assert_array_equal(embed_texts(embedder, "query", [" "]), query)
    assert len(embedder.calls) == 2


@pytest.mark.filterwarnings("ignore::twofold.BlankWarning")
def test_a_provider_gets_a_full_stop_since_it_may_refuse_an_empty_string() -> None:
    sent: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        body: dict[str, Any] = json.loads(request.content)
        sent.extend(body["input"])
        row = [1.0, *[0.0] * 1535]
        data = [{"object": "embedding", "index": place, "embedding": row} for place in range(len(body["input"]))]
        said = {
            "object": "list",
            "model": body["model"],
            "data": data,
            "usage": {"prompt_tokens": 3, "total_tokens": 3},
        }
        return httpx.Response(200, stream=httpx.ByteStream(json.dumps(said).encode()))

    client = httpx.Client(transport=httpx.MockTransport(answer))
    embedder = Embedder("openai:text-embedding-3-small", api_key="sk-test", http_client=client, encoding="float")
    assert embed_texts(embedder, "document", ["tea", "", "  "]).shape == (3, 1536)
    assert sorted(sent) == [".", "tea"]
