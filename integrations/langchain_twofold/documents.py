"""LangChain's documents as rows, and the vectors that came with them."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np

from langchain_twofold.embedding import as_embeddings
from twofold import InputError
from twofold.adapters import Row, check_ids

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from langchain_core.documents import Document

    from twofold import Space


@dataclass(frozen=True)
class Documents:
    """What is to be written.

    Attributes:
        items: LangChain's documents.
        rows: the same as rows; `named` says which have an id that they may have had before.
        vectors: one for each; None where it is to be computed, or where the document is blank.
        space: of the vectors, where they say it.
        embeddings: what computes the others, where it is not the store's own.
    """

    items: Sequence[Document]
    rows: Sequence[Row]
    named: Sequence[bool]
    vectors: Sequence[list[float] | None]
    space: Space | None = None
    embeddings: Any = None

    @classmethod
    def of(cls, items: Sequence[Document], ids: Sequence[str] | None, given: Any) -> Documents:
        """Documents with what `add_documents` was given as their embeddings.

        Raises:
            InputError: not one id, or one vector, for each; or an id twice.
        """
        if ids is not None and len(ids) != len(items):
            raise InputError(f"{len(ids)} ids for {len(items)} documents: expected one for each")
        told = list(ids) if ids is not None else [item.id for item in items]
        names = [str(uuid.uuid4()) if name is None else name for name in told]
        check_ids(names)
        rows = [_row(name, item) for name, item in zip(names, items, strict=True)]
        named = [name is not None for name in told]
        if given is None or isinstance(given, str) or not hasattr(given, "__len__"):
            embeddings = None if given is None else as_embeddings(given)
            return cls(items, rows, named, [None] * len(items), embeddings=embeddings)
        return cls(items, rows, named, _vectors(given, len(items)), getattr(given, "space", None))

    def lacking(self, places: Iterable[int]) -> list[int]:
        """Of these places, those whose vectors are to be computed."""
        return [place for place in places if self.vectors[place] is None and self.rows[place].text.strip()]


def _row(name: str, item: Document) -> Row:
    """The row of a document; a field that is None is none, a date is its ISO text, as in LangChain's stores."""
    fields = {key: value for key, value in item.metadata.items() if value is not None}
    dates = {key: value.isoformat() for key, value in fields.items() if isinstance(value, date)}
    return Row.from_fields(name, item.page_content, fields | dates)


def _vectors(given: Any, count: int) -> list[list[float] | None]:
    """One vector, or None, for each document.

    Raises:
        InputError: another number of them, not of one width, or not of finite numbers.
    """
    rows = [None if row is None else _vector(row, place) for place, row in enumerate(given)]
    widths = sorted({len(row) for row in rows if row is not None})
    if len(rows) != count or len(widths) > 1:
        raise InputError(
            f"{len(rows)} vectors of the widths {widths} for {count} documents: expected one each, of one width"
        )
    return rows


def _vector(row: Any, place: int) -> list[float]:
    try:
        vector = np.asarray(row, np.float32)
    except (TypeError, ValueError):
        vector = np.empty(0, np.float32)
    if vector.ndim != 1 or not vector.size or not np.isfinite(vector).all():
        raise InputError(f"vector {place} is not a list of finite numbers", index=place)
    numbers: list[float] = vector.tolist()
    return numbers
