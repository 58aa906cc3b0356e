"""`--filter field=value`: which of the rows that were found are shown."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from twofold.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twofold.stores import Hit, OpenStore, Row
    from twofold.vectors import FloatArray

WIDER = 4
"""How many times as many rows are asked for as are wanted, then again and again, until enough of them pass."""


def parse_filters(given: Sequence[str]) -> dict[str, str]:
    """Fields with the values that they must have.

    Raises:
        InputError: one without a field or an equals sign.
    """
    pairs = {}
    for one in given:
        name, sign, value = one.partition("=")
        if not name or not sign:
            raise InputError(f"--filter {one!r}: expected field=value")
        pairs[name] = value
    return pairs


def passes(row: Row, wanted: dict[str, str]) -> bool:
    """Whether each field of a row has the value that is wanted; a list, one such value."""
    return all(_is(row.metadata.get(name), value) for name, value in wanted.items())


def search_filtered(store: OpenStore, vector: FloatArray, limit: int, wanted: dict[str, str]) -> list[Hit]:
    """The `limit` nearest rows that pass: the nearest of all, then more of them until enough do."""
    count = store.count() if wanted else 0
    asked = limit
    while True:
        hits = [hit for hit in store.search(vector, asked) if passes(hit.row, wanted)]
        if len(hits) >= limit or asked >= count:
            return hits[:limit]
        asked = min(asked * WIDER, count)


def check_limit(limit: int) -> None:
    """Refuse to show nothing.

    Raises:
        InputError: a limit under 1.
    """
    if limit < 1:
        raise InputError(f"--limit {limit}: it must be at least 1")


def _is(value: Any, wanted: str) -> bool:
    if isinstance(value, list):
        return any(_is(one, wanted) for one in value)
    if isinstance(value, str) or value is None:
        return value == wanted
    try:
        said = json.loads(wanted)
    except ValueError:
        return False
    return isinstance(said, bool) == isinstance(value, bool) and said == value
