"""Fields that rows must have, as Chroma's `where` says it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from twofold.adapters import Where


def where_of(where: Where | None) -> dict[str, Any] | None:
    """Chroma's filter for that of `Store.search`; None where every row passes."""
    fields = [
        _joined("$or", [clause for value in values for clause in _clauses(name, value)])
        for name, values in (where or {}).items()
    ]
    return _joined("$and", fields) if fields else None


def _clauses(name: str, value: Any) -> Iterator[dict[str, Any]]:
    """Rows whose field is `value`, or a list that holds it: there, Chroma tells 3 from 3.0."""
    yield {name: {"$eq": value}}
    yield {name: {"$contains": value}}
    if isinstance(value, float) and value.is_integer():
        yield {name: {"$contains": int(value)}}
    elif isinstance(value, int) and not isinstance(value, bool):
        yield {name: {"$contains": float(value)}}


def _joined(word: str, clauses: list[dict[str, Any]]) -> dict[str, Any]:
    """Chroma's `$and` and `$or` take two clauses at least."""
    return {word: clauses} if len(clauses) > 1 else clauses[0]
