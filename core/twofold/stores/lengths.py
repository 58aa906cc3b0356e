"""Lengths of many texts, checked before the first of them is embedded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twofold.documents import too_long
from twofold.stores.drivers import done

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twofold.documents import Document
    from twofold.embedder import Embedder
    from twofold.stores.drivers import Calls


async def checking_lengths(calls: Calls, ids: Sequence[str], documents: Sequence[Document | None]) -> None:
    """Refuse whole documents over the model's length, unless their ends are cut.

    Raises:
        InputError: see `check_lengths`.
    """
    if not refuses(calls.embedder):
        return
    whole = [(index, one) for index, one in enumerate(documents) if one is not None and one.is_whole]
    counts = await done(calls.count_tokens([one.text for _, one in whole])) if whole else []
    check_lengths(calls.embedder, ids, dict(zip((index for index, _ in whole), counts, strict=True)))


def refuses(embedder: Embedder) -> bool:
    """Whether long texts can be refused by their counts.

    A hosted model's counts may be estimates, well above the truth: its texts are counted, and refused by its backend.
    """
    return embedder.settings.truncate == "error" and embedder.backend.provider is None


def check_lengths(embedder: Embedder, ids: Sequence[str], counts: dict[int, int]) -> None:
    """Refuse a text that is too long; `counts` has the tokens of each by its place.

    Raises:
        InputError: the first one that is longer than a local model takes, named by its id.
    """
    limit = embedder.card.max_tokens
    over = [index for index, count in counts.items() if count > limit]
    if refuses(embedder) and over:
        raise too_long(
            f"document {ids[over[0]]!r}",
            counts[over[0]],
            limit,
            index=over[0],
            note=f" ({len(over)} of {len(counts)} documents are too long)",
            way_out="cut them into chunks, or cut their ends with truncate='end'",
        )
