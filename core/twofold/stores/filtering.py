"""Searching among rows with given fields, for stores that cannot filter by themselves, and what the filter means."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twofold.stores.drivers import done

if TYPE_CHECKING:
    from collections.abc import Callable

    from twofold.stores.drivers import MaybeAwaitable
    from twofold.stores.rows import Hit, Row, Where

WIDER = 4
"""How many times as many rows are asked for as are wanted, then again and again, until enough of them pass."""


def matches(row: Row, where: Where) -> bool:
    """Whether each field of a row that `where` names has one of its values; a list, one such value."""
    return all(_has(row.metadata.get(name), values) for name, values in where.items())


async def among(
    search: Callable[[int], MaybeAwaitable[list[Hit]]],
    count: Callable[[], MaybeAwaitable[int]],
    limit: int,
    where: Where | None,
    *,
    most: int | None = None,
) -> list[Hit]:
    """The `limit` nearest rows that pass: the nearest of all, then more of them until enough do.

    Args:
        search: the nearest rows of all, as many as it is asked for.
        count: how many rows there are.
        limit: how many are wanted.
        where: see `Store.search`.
        most: what `search` may be asked for, where it gives no more.
    """
    if not where:
        return await done(search(limit))
    rows, asked = await done(count()), limit
    rows = rows if most is None else min(rows, most)
    while True:
        hits = [hit for hit in await done(search(asked)) if matches(hit.row, where)]
        if len(hits) >= limit or asked >= rows:
            return hits[:limit]
        asked = min(asked * WIDER, rows)


def _has(value: Any, wanted: Any) -> bool:
    if isinstance(value, list):
        return any(_has(one, wanted) for one in value)
    return any(value == one and isinstance(value, bool) == isinstance(one, bool) for one in wanted)
