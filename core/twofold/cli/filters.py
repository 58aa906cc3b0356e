"""`--filter field=value`: search only some rows."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from twofold.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twofold.stores.rows import Where


def parse_filters(given: Sequence[str]) -> Where:
    """Map fields to their accepted values. `n=9` accepts the number 9 and the string "9"; `ok=true` also accepts True.

    Raises:
        InputError: a filter has no field or no equals sign.
    """
    fields: dict[str, list[Any]] = {}
    for one in given:
        name, sign, value = one.partition("=")
        if not name or not sign:
            raise InputError(f"--filter {one!r}: expected field=value")
        fields.setdefault(name, []).extend(_meanings(value))
    return fields


def check_limit(limit: int) -> None:
    """Raise InputError if the limit is below 1."""
    if limit < 1:
        raise InputError(f"--limit {limit}: it must be at least 1")


def _meanings(value: str) -> list[Any]:
    try:
        said = json.loads(value)
    except ValueError:
        return [value]
    finite = isinstance(said, int) or (isinstance(said, float) and abs(said) < float("inf"))
    return [value, said] if finite else [value]
