"""The advice of a migration plan, based on the old and the new model."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from twofold.embedder import Embedder

V2, V3, V2_CODE = "jina-embeddings-v2", "jina-embeddings-v3", "jina-embeddings-v2-base-code"
V2_BASE = 768
"""Dimensions of v2's base models."""


def advise(old: str | None, old_size: int | None, embedder: Embedder) -> Iterator[str]:
    """Settings to consider. `old` is the model of the stored vectors, or None if unknown.

    Sources: the model cards of jinaai/jina-embeddings-v2-base-* and jinaai/jina-embeddings-v3.
    """
    new = embedder.card.name
    if embedder.card.terms:
        yield f"the weights of {new} are {embedder.card.licence}: {embedder.card.terms}"
    size = embedder.dimensions
    if old_size is not None and old_size != size:
        smaller = "smaller" if size < old_size else "larger"
        yield f"vectors will be {smaller}: {size} dimensions instead of {old_size} (dimensions={old_size} keeps them)"
    if V2 in (old or "") and V3 in new:
        yield from _from_v2_to_v3(old or "", embedder)


def _from_v2_to_v3(old: str, embedder: Embedder) -> Iterator[str]:
    if V2_CODE in old:
        yield (
            "jina-embeddings-v2-base-code was trained on code, v3 was not: for code, keep it, or compare both with tune"
        )
    if embedder.dimensions != V2_BASE:
        yield f"dimensions={V2_BASE} keeps the disk and memory use of a collection of v2 base models"
    tasks = {embedder.query_task.name, embedder.document_task.name}
    if tasks == {"text-matching"}:
        yield (
            "text-matching treats both sides alike, as v2 did; v3 was trained to embed questions and passages with the "
            "retrieval tasks, which are the default: use them unless you compare texts of the same kind"
        )
    else:
        yield (
            "with the retrieval tasks, questions and passages are embedded differently; query_task and document_task "
            "'text-matching' would treat both alike, as v2 did"
        )
