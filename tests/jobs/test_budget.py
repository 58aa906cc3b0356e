"""A hosted model is not paid more than it may cost: said before the first request, or between two slices."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest

from support.faultserver import FaultServer
from twofold import BudgetExceeded, Embedder, InputError
from twofold.jobs import Budget, Item, Spending, index
from twofold.stores import open_collection
from twofold.testing import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from twofold.stores import Store

ITEMS = [Item(f"d{number}", f"Document {number} tells of ships and fog.") for number in range(60)]
BOOK = Item("book", "\n\n".join(f"Page {number} tells of ships and fog, and of tea." for number in range(4000)))


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as server:
        yield server


@pytest.fixture
def hosted(server: FaultServer) -> Embedder:
    return Embedder("jina:jina-embeddings-v3", base_url=server.url, api_key="k", dimensions=32)


@pytest.fixture
def store(hosted: Embedder) -> Iterator[Store]:
    opened = MemoryStore("budget", uuid.uuid4().hex)
    open_collection(opened, hosted)
    yield opened
    del MemoryStore.places[opened.key]


def test_a_run_that_would_not_fit_is_refused_before_the_first_request(
    server: FaultServer, hosted: Embedder, store: Store
) -> None:
    asked = server.count
    with pytest.raises(BudgetExceeded, match=r"the budget is 50 tokens, but this run needs about [\d,]+ tokens") as no:
        index(hosted, store, ITEMS, budget=Budget(tokens=50))
    assert (server.count, store.count(), no.value.spent) == (asked, 0, 0)


def test_dollars_are_held_against_the_list_price(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    embedder = Embedder("openai:text-embedding-3-small")  # $0.02 a million tokens
    spending = Spending(embedder, Budget(dollars=0.01, tokens=10**9))
    assert spending.limit == 500_000
    assert Spending(embedder, Budget(dollars=0.01, tokens=70)).limit == 70
    spending.check(500_000)
    with pytest.raises(BudgetExceeded, match=r"500,000 tokens \(\$0.0100\).* about 600,000 tokens \(\$0.0120\)"):
        spending.check(600_000)


@pytest.mark.parametrize("options", [{}, {"chunk_tokens": 40}, {"chunk_tokens": 40, "late_chunking": True}])
def test_a_run_ends_before_what_does_not_fit_and_another_goes_on(
    monkeypatch: pytest.MonkeyPatch, hosted: Embedder, store: Store, options: dict[str, Any]
) -> None:
    monkeypatch.setattr("twofold.jobs.writing.MAX_DOCUMENTS", 10)
    spending = Spending(hosted)
    with pytest.raises(BudgetExceeded, match="stopped within the budget of 800 tokens") as stopped:
        index(hosted, store, ITEMS, budget=Budget(tokens=800, ahead=False), **options)
    there = store.count()
    assert 0 < there < len(ITEMS)
    assert 0 < stopped.value.spent == spending.spent <= 800
    counts = index(hosted, store, ITEMS, budget=Budget(tokens=100_000), **options)
    assert (counts.skipped, counts.added) == (there, len(ITEMS) - there)


@pytest.mark.parametrize("late", [False, True])
def test_a_long_document_is_left_in_the_middle(hosted: Embedder, store: Store, late: bool) -> None:
    options: dict[str, Any] = {"chunk_tokens": 100, "late_chunking": late}
    with pytest.raises(BudgetExceeded):
        index(hosted, store, [BOOK], budget=Budget(tokens=80_000 if late else 34_000, ahead=False), **options)
    there = store.count()
    assert there
    counts = index(hosted, store, [BOOK], **options)
    assert counts.updated == 1
    assert store.count() == counts.rows > there


def test_a_corpus_that_can_be_read_once_is_not_read_ahead(hosted: Embedder, store: Store) -> None:
    with pytest.raises(InputError, match=r"read only once.*ahead=False"):
        index(hosted, store, iter(ITEMS), budget=Budget(tokens=10**6))
    assert index(hosted, store, iter(ITEMS), budget=Budget(tokens=10**6, ahead=False)).added == len(ITEMS)


def test_a_budget_that_cannot_be_kept_is_refused(server: FaultServer, hosted: Embedder, store: Store) -> None:
    asked = server.count
    with pytest.raises(InputError, match=r"the price of jina:jina-embeddings-v3 is unknown.*--budget-tokens"):
        index(hosted, store, ITEMS, budget=Budget(dollars=5))
    assert server.count == asked
    for amounts in ({}, {"dollars": 0}, {"tokens": -1}, {"dollars": float("nan")}):
        with pytest.raises(InputError, match="a budget"):
            Budget(**amounts)


def test_a_local_model_costs_nothing() -> None:
    spending = Spending(Embedder("fake:"), Budget(dollars=0.01, tokens=1))
    spending.check(10**9)
    spending.take(10**9)
    assert spending.spent == 0
