"""Checks of a local model: whether it runs correctly on this machine and gives its published vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from twofold.doctor.finding import Finding, compare_sides
from twofold.doctor.published import TOKEN_COUNTS, TOLERANCES
from twofold.documents import Document
from twofold.errors import TwofoldError
from twofold.models import BARE
from twofold.space import CANARIES
from twofold.vectors import finish

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from twofold.doctor.published import Published
    from twofold.embedder import Embedder


def examine_local(embedder: Embedder, published: Iterable[Published]) -> Iterator[Finding]:
    """Check its card, its weights, its tokenizer, its two sides, batching, and its published vectors."""
    yield from _card(embedder)
    try:
        described: dict[str, str] = getattr(embedder.backend, "describe", dict)()  # loads the weights
    except TwofoldError as error:
        yield Finding("weights", ok=False, detail=str(error))
        return
    yield from (Finding(name, None, text) for name, text in described.items())
    precision = getattr(embedder.backend, "precision", "float32")
    if (verified := getattr(embedder.backend, "verified", None)) is not None:  # loading fails if this check does
        yield Finding("alone and in a batch", ok=True, detail=str(verified))
    for look in (_tokenizer, _sides, _published(precision, published)):
        try:
            yield look(embedder)
        except TwofoldError as error:
            yield Finding("embedding", ok=False, detail=str(error))


def _card(embedder: Embedder) -> Iterator[Finding]:
    card = embedder.card
    yield Finding(
        "model",
        ok=True,
        detail=f"{card.label}: {card.width} dimensions, {card.max_tokens} tokens, {card.pooling}-pooled",
    )
    terms = f": {card.terms}" if card.terms else ""
    yield Finding("licence", None, f"{card.licence}{terms}")
    for name, task in (("query side", embedder.query_task), ("document side", embedder.document_task)):
        adapter = f", adapter {task.adapter}" if task.adapter else ""
        yield Finding(name, None, f"{task.name or 'the bare model'}, instruction {task.prefix!r}{adapter}")


def _tokenizer(embedder: Embedder) -> Finding:
    text, published = TOKEN_COUNTS.get(embedder.card.name, (CANARIES[0], None))
    (count,) = embedder.backend.count_tokens([text], BARE)
    said = f"{text!r} has {count} tokens"
    if published is None:
        return Finding("tokenizer", None, f"{said}; no published count is known")
    return Finding("tokenizer", count == published, f"{said}; the published count is {published}")


def _sides(embedder: Embedder) -> Finding:
    return compare_sides(embedder, embedder.embed_queries(CANARIES), embedder.embed_documents(CANARIES))


def _published(precision: str, published: Iterable[Published]) -> Callable[[Embedder], Finding]:
    def look(embedder: Embedder) -> Finding:
        known = [one for one in published if one.model == embedder.card.name]
        if not known:
            return Finding("published vectors", None, f"none are known for {embedder.card.label}")
        off = {one.task.name: _farthest(embedder, one) for one in known}
        worst = max(off, key=lambda name: off[name])
        tasks = ", ".join(str(name) for name in off if name) or "the bare model"
        said = f"{tasks}: largest deviation {off[worst]:.5f}, allowed {TOLERANCES[precision]} in {precision}"
        return Finding("published vectors", off[worst] <= TOLERANCES[precision], said)

    return look


def _farthest(embedder: Embedder, known: Published) -> float:
    """The largest deviation from a published value."""
    documents = [Document.whole(text) for text in known.texts]
    width = embedder.card.width
    raw = embedder.backend.embed(documents, known.task, width)
    values = np.array(known.values, np.float32)
    unit = finish(raw, len(documents), width, unit=True)
    return float(np.max(np.abs(unit[:, : values.shape[1]] - values)))
