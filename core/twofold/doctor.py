"""Is this model what it says it is, and does it run rightly here? What `twofold doctor` prints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from twofold.documents import Document
from twofold.errors import TwofoldError
from twofold.golden import GOLDEN, TOKEN_COUNTS, TOLERANCES
from twofold.models import BARE
from twofold.space import CANARIES, lowest_cosine
from twofold.vectors import finish

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from twofold.embedder import Embedder
    from twofold.golden import Golden

SAME_COSINE = {"float32": 0.99999, "bfloat16": 0.999, "int8": 0.99}
"""How alike a text's vectors must be when it is embedded alone and among others."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        name: what it is: "device", "published vectors".
        ok: whether it is as it must be; None where it is only said, or could not be judged.
        detail: what was found, in words.
    """

    name: str
    ok: bool | None
    detail: str


def examine(embedder: Embedder, golden: Iterable[Golden] = GOLDEN) -> Iterator[Finding]:
    """Look at everything that can be looked at, most basic first; what fails is a finding, not an error.

    `golden` are the published vectors to hold a local model against.
    """
    try:
        hosted = embedder.backend.provider is not None
    except TwofoldError as error:
        yield Finding("model", ok=False, detail=str(error))
        return
    if hosted:
        from twofold.hosted.doctor import examine as examine_hosted  # noqa: PLC0415 - needs the extra `hosted`

        yield from examine_hosted(embedder)
        return
    yield from _card(embedder)
    described: Mapping[str, str] = {}
    try:
        described = getattr(embedder.backend, "describe", dict)()  # loads the weights
    except TwofoldError as error:
        yield Finding("weights", ok=False, detail=str(error))
        return
    yield from (Finding(name, None, text) for name, text in described.items())
    dtype = _coarsest(described.get("dtype", "float32"))
    for look in (_tokenizer, _sides, _alone_and_together(dtype), _published(dtype, golden)):
        try:
            yield look(embedder)
        except TwofoldError as error:
            yield Finding("embedding", ok=False, detail=str(error))


def _card(embedder: Embedder) -> Iterator[Finding]:
    card = embedder.card
    yield Finding(
        "model",
        ok=True,
        detail=f"{card.name}: {card.width} dimensions, {card.max_tokens} tokens, {card.pooling}-pooled",
    )
    terms = f": {card.terms}" if card.terms else ""
    yield Finding("licence", None, f"{card.licence}{terms}")
    for name, task in (("query side", embedder.query_task), ("document side", embedder.document_task)):
        adapter = f", adapter {task.adapter}" if task.adapter else ""
        yield Finding(name, None, f"{task.name or 'the bare model'}, instruction {task.prefix!r}{adapter}")


def _coarsest(dtype: str) -> str:
    """The name in `TOLERANCES` of a described dtype such as "bfloat16, int8 weights"."""
    return next((name for name in reversed(TOLERANCES) if name in dtype), "bfloat16")


def _tokenizer(embedder: Embedder) -> Finding:
    text, published = TOKEN_COUNTS.get(embedder.card.name, (CANARIES[0], None))
    (count,) = embedder.backend.count_tokens([text], BARE)
    said = f"{text!r} has {count} tokens"
    if published is None:
        return Finding("tokenizer", None, f"{said}; none are published")
    return Finding("tokenizer", count == published, f"{said}, published are {published}")


def _sides(embedder: Embedder) -> Finding:
    one, other = embedder.embed_queries(CANARIES), embedder.embed_documents(CANARIES)
    cosine = lowest_cosine(one, other)
    if embedder.query_task == embedder.document_task:
        return Finding("two sides", None, "queries and documents go in alike")
    return Finding("two sides", not np.array_equal(one, other), f"a text's two vectors have a cosine of {cosine:.3f}")


def _alone_and_together(dtype: str) -> Callable[[Embedder], Finding]:
    def look(embedder: Embedder) -> Finding:
        together = embedder.embed_documents(CANARIES)
        alone = np.concatenate([embedder.embed_documents([text]) for text in CANARIES])
        cosine = lowest_cosine(together, alone)
        said = f"a cosine of {cosine:.6f} at least; {SAME_COSINE[dtype]} is wanted in {dtype}"
        return Finding("alone and in a batch", cosine >= SAME_COSINE[dtype], said)

    return look


def _published(dtype: str, golden: Iterable[Golden]) -> Callable[[Embedder], Finding]:
    def look(embedder: Embedder) -> Finding:
        known = [one for one in golden if one.model == embedder.card.name]
        if not known:
            return Finding("published vectors", None, f"none are known of {embedder.card.name}")
        off = {one.task.name: _farthest(embedder, one) for one in known}
        worst = max(off, key=lambda name: off[name])
        tasks = ", ".join(str(name) for name in off if name) or "the bare model"
        said = f"{tasks}: off by {off[worst]:.5f} at most, {TOLERANCES[dtype]} is allowed in {dtype}"
        return Finding("published vectors", off[worst] <= TOLERANCES[dtype], said)

    return look


def _farthest(embedder: Embedder, golden: Golden) -> float:
    """How far the worst number is from its published value."""
    documents = [Document.whole(text) for text in golden.texts]
    width = embedder.card.width
    raw = embedder.backend.embed(documents, golden.task, width)
    published = np.array(golden.values, np.float32)
    unit = finish(raw, len(documents), width, unit=True)
    return float(np.max(np.abs(unit[:, : published.shape[1]] - published)))
