"""Lengths of many texts, checked before the first of them is embedded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twofold.errors import InputError
from twofold.models import AUTO

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twofold.embedder import Embedder


def count_documents(
    embedder: Embedder, ids: Sequence[str], texts: Sequence[str], *, task: str | None = AUTO
) -> list[int]:
    """The tokens of each text as a document, or under `task`: none over the model's length, unless ends are cut.

    A hosted model's counts may be estimates, well above the truth: its texts are counted, and refused by its backend.

    Raises:
        InputError: a text that is longer than a local model takes, named by its id.
    """
    counts = embedder.count_tokens(texts, task=task) if texts else []
    limit = embedder.card.max_tokens
    refuse = embedder.settings.truncate == "error" and embedder.backend.provider is None
    if refuse and counts and max(counts) > limit:
        index = next(index for index, count in enumerate(counts) if count > limit)
        over = sum(count > limit for count in counts)
        raise InputError(
            f"document {ids[index]!r} has {counts[index]} tokens, {embedder.card.name} takes {limit} "
            f"({over} of {len(counts)} documents are too long): cut them into chunks, or set truncate='end'",
            index=index,
        )
    return counts
