"""Reads JSON Lines, and JSON files that hold one object or an array of objects."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NoReturn

from twofold.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from twofold.jobs.readers.source import Broken, Found, Source


def read_jsonl(source: Source) -> Iterator[Found | Broken]:
    """One document for each line."""
    for number, line in source.lines():
        yield source.attempt(f"line {number}", lambda line=line: _parse(source.decode(line)))  # type: ignore[misc]


def read_json(source: Source) -> Iterator[Found | Broken]:
    """One document for each object.

    Raises:
        NoField: the file holds no objects.
    """
    parsed = _parse(source.read())
    for number, value in enumerate(parsed if isinstance(parsed, list) else [parsed]):
        yield source.attempt(f"object {number}", lambda value=value: value)  # type: ignore[misc]


def _parse(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except RecursionError:
        raise InputError("nested too deeply") from None
    except ValueError as error:
        raise InputError(f"not JSON: {error}") from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")
