"""What a call would take and cost, said before anything is sent, and what it took."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support import schemas
from support.schemas import SchemaServer
from support.simulation import Simulation
from twofold import Document, Embedder, Estimate, InputError, Price
from twofold.cache import VectorCache, cache_key
from twofold.hosted.prices import PRICES
from twofold.hosted.providers import PROVIDERS

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings("ignore::twofold.errors.DimensionsWarning")
TEXTS = [f"text {number} of many" for number in range(1000)]


def test_requests_are_those_that_are_sent() -> None:
    with SchemaServer(schemas.NOMIC, schemas.nomic, "/v1/embedding/text") as server:
        embedder = Embedder("nomic:nomic-embed-text-v1.5", base_url=server.url, api_key="k")
        estimate = embedder.estimate([*TEXTS[:120], *TEXTS[:120]])
        assert server.count == 0
        embedder.embed_documents([*TEXTS[:120], *TEXTS[:120]])
        assert (estimate.texts, estimate.requests) == (240, server.count) == (240, 3)
        assert embedder.estimate(TEXTS[:1], side="query").requests == 1
    assert (estimate.cost, estimate.price) == (None, None)  # a server of one's own
    assert not estimate.exact


def test_windows_of_a_late_chunked_document_are_requests_too() -> None:
    with Simulation() as server:
        embedder = Embedder(
            "jina:jina-embeddings-v3", base_url=server.url, api_key="k", dimensions=8, late_window=64, late_overlap=8
        )
        long = Document.from_chunks(["a few words " * 5] * 12)
        estimate = embedder.estimate([long, "a text"])
        embedder.embed_late([long, Document.whole("a text")])
        assert estimate.requests == server.count > 3


def test_the_cost_needs_no_key_and_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    embedder = Embedder("openai:text-embedding-3-large")
    estimate = embedder.estimate(TEXTS)
    assert estimate.tokens == sum(embedder.count_tokens(TEXTS))
    assert estimate.price == Price(0.13, "2026-11", 0.065)
    assert estimate.cost == pytest.approx(estimate.tokens * 0.13e-6)
    assert estimate.requests == 1


def test_an_unknown_price_is_none() -> None:
    estimate = Embedder("jina:jina-embeddings-v3", api_key="k").estimate(["a text"])
    assert estimate == Estimate(texts=1, requests=1, tokens=estimate.tokens, least=2, exact=estimate.exact)
    assert estimate.tokens > 2


def test_what_would_be_refused_is_refused() -> None:
    embedder = Embedder("mistral:mistral-embed", truncate="end")
    with pytest.raises(InputError, match="text 1 has up to"):
        embedder.estimate(["short", "a " * 9000])
    with pytest.raises(InputError, match="text 1 is blank"):
        embedder.estimate(["a text", "  "])
    with pytest.raises(InputError, match="a list of texts"):
        embedder.estimate("a text")


def test_a_local_model_costs_nothing() -> None:
    estimate = Embedder("fake:").estimate(["three words here", "two words"])
    assert (estimate.texts, estimate.requests, estimate.tokens, estimate.cost) == (2, 0, 5, 0.0)
    assert Embedder("fake:").estimate([]).tokens == 0


def test_every_price_is_of_a_model_in_the_table() -> None:
    for provider, known in PRICES.items():
        assert len(known.month) == len("2026-11")
        assert known.source
        assert known.through
        for model, dollars in known.prices.items():
            assert PROVIDERS[provider].find(model) is not None
            assert 0 < dollars < 1
        for model, dollars in known.batch.items():
            assert dollars < known.prices[model]
        assert not known.batch or PROVIDERS[provider].batch is not None


def test_a_batch_costs_half_at_openai() -> None:
    estimate = Embedder("openai:text-embedding-3-large").estimate(TEXTS)
    assert estimate.batch_cost == pytest.approx(estimate.cost / 2)  # type: ignore[operator]
    assert Embedder("cohere:embed-v4.0", api_key="k").estimate(TEXTS).batch_cost is None


def test_a_full_cache_costs_nothing_and_the_price_is_said_still(tmp_path: Path) -> None:
    embedder = Embedder("openai:text-embedding-3-large", api_key="k", cache=str(tmp_path))
    key = cache_key(embedder, "document", TEXTS[0])
    VectorCache(str(tmp_path)).put([(key, b"\0" * 4 * embedder.dimensions)])
    estimate = embedder.estimate(TEXTS[:1])
    assert (estimate.requests, estimate.tokens, estimate.cost) == (0, 0, 0.0)
    assert estimate.price == Price(0.13, "2026-11", 0.065)
