"""What a migration's plan advises, of the models that it is between."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from twofold.embedder import Embedder

V2, V3, V2_CODE = "jina-embeddings-v2", "jina-embeddings-v3", "jina-embeddings-v2-base-code"
V2_BASE = 768
"""Dimensions of v2's base models."""


def advice(old: str | None, old_size: int | None, embedder: Embedder) -> Iterator[str]:
    """Settings to think about; `old` is the model that the vectors are of, where it is known.

    Sources: the model cards of jinaai/jina-embeddings-v2-base-* and jinaai/jina-embeddings-v3.
    """
    new = embedder.card.name
    if embedder.card.terms:
        yield f"the weights of {new} are {embedder.card.licence}: {embedder.card.terms}"
    size = embedder.dimensions
    if old_size is not None and old_size != size:
        smaller = "smaller" if size < old_size else "larger"
        yield f"vectors will be {smaller}: {size} dimensions, now {old_size} (dimensions={old_size} keeps the size)"
    if V2 in (old or "") and V3 in new:
        yield from _from_v2_to_v3(old or "", embedder)


def _from_v2_to_v3(old: str, embedder: Embedder) -> Iterator[str]:
    if V2_CODE in old:
        yield "jina-embeddings-v2-base-code was trained on code, v3 was not: for code, stay with it, or compare by tune"
    if embedder.dimensions != V2_BASE:
        yield f"dimensions={V2_BASE} keeps what a collection of v2's base models takes on disk and in memory"
    tasks = {embedder.query_task.name, embedder.document_task.name}
    if tasks == {"text-matching"}:
        yield (
            "text-matching treats both sides alike, as v2 did; for questions and passages the retrieval tasks, which "
            "are the default, are what v3 was trained for: take them unless texts of one kind are compared"
        )
    else:
        yield (
            "the retrieval tasks are chosen: questions and passages go in differently; query_task and document_task "
            "'text-matching' would treat both alike, as v2 did"
        )
