"""Late chunking of text whose characters and tokens do not match: what our own splitter cuts is never refused."""

from __future__ import annotations

import random
import uuid
from typing import TYPE_CHECKING

import pytest

from twofold import Embedder, InputError
from twofold.jobs import Item, index
from twofold.jobs.chunking import Cutting, split
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


def is_refused(embedder: Embedder, text: str, chunk_tokens: int) -> bool:
    """Whether late chunking would refuse the chunks of our splitter as they are."""
    try:
        embedder.embed_late([Cutting(chunk_tokens, late=True).document(embedder, text)])
    except InputError as error:
        return bool(error.spans)
    return False


@pytest.mark.parametrize("count", [15, pytest.param(60, marks=pytest.mark.soak)])
@pytest.mark.parametrize(("checkpoint", "chunk_tokens"), [("xlm-roberta", 8), ("xlm-roberta", 16), ("jina-v3", 32)])
def test_our_own_chunks_are_never_refused(
    made: Callable[..., Made], checkpoint: str, chunk_tokens: int, count: int
) -> None:
    embedder = Embedder(made(checkpoint).folder, device="cpu")
    items = [Item(f"t{number}", text) for number, text in enumerate(texts(count))]
    assert any(is_refused(embedder, item.text, chunk_tokens) for item in items), "these texts show nothing"
    store = MemoryStore("late", uuid.uuid4().hex)
    open_collection(store, embedder)
    counts = index(embedder, store, items, chunk_tokens=chunk_tokens, late_chunking=True)
    assert counts.added == len(items)
    for item in items:
        spans = sorted(store.places[store.key]["rows"][row.id].row.span for row in store.held([item.id]))
        cut = split(embedder, item.text, chunk_tokens)
        assert (spans[0][0], spans[-1][1]) == (cut[0][0], cut[-1][1])
        assert len(spans) <= len(cut)
