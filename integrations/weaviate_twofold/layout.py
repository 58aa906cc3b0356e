"""What is stored with a collection: the space of its vectors, and which properties they are made of.

It is a line of JSON at the end of the collection's description, because that goes where the collection goes: into
backups and exports, and away with it when it is deleted. A description is replaced with
`collection.config.update(description=layout.describe("…"))`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np

from twofold import InputError, SpaceRecord, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from twofold.vectors import FloatArray

Vectorize: TypeAlias = "str | Sequence[str] | Mapping[str, str | Sequence[str]]"
"""A property, several properties, or the properties of each named vector."""

MARK = "twofold: "
DEFAULT = "default"
"""The name that a Weaviate server gives to a vector that was given none."""

VERSION = 1


@dataclass(frozen=True, slots=True)
class Layout:
    """How objects become vectors, and what those are.

    Attributes:
        record: the space, with its canary vectors.
        vectors: each vector's name -> the properties that it is made of, in the order in which they are joined.
        separator: what stands between two of them.
    """

    record: SpaceRecord
    vectors: Mapping[str, tuple[str, ...]]
    separator: str

    def texts(self, properties: Mapping[str, Any], index: int) -> list[str]:
        """What each vector of the object numbered `index` is made from, in the order of `vectors`.

        Properties that the object lacks are left out; lists of strings are joined as properties are.

        Raises:
            InputError: a property that is no text, or no text at all for a vector.
        """
        texts = []
        for vector, names in self.vectors.items():
            parts = [part for name in names for part in _strings(properties.get(name), name, index)]
            if not any(part.strip() for part in parts):
                named = f"vector {vector!r} of object {index}"
                raise InputError(f"{named} has no text: {_listed(names)} is empty or missing", index=index)
            texts.append(self.separator.join(part for part in parts if part))
        return texts

    def named(self, rows: FloatArray) -> FloatArray | dict[str, FloatArray]:
        """The vectors of one object, shape (vectors, dimensions), as Weaviate's client takes them."""
        if list(self.vectors) == [DEFAULT]:
            return np.asarray(rows[0])
        return dict(zip(self.vectors, rows, strict=True))

    def target(self, wanted: Any) -> Any:
        """The vector to search: the only one, or the one, or several, that are `wanted`.

        Raises:
            InputError: none is named and there are several, or there is none of that name.
        """
        if wanted is None and len(self.vectors) == 1:
            return None
        names = [wanted] if isinstance(wanted, str) else wanted
        if names is None or (isinstance(names, list) and not set(names) <= set(self.vectors)):
            raise InputError(f"target_vector={wanted!r}: name one of {_listed(self.vectors)}")
        return wanted

    def describe(self, description: str | None = None) -> str:
        """A collection's description, with this layout in its last line."""
        raw = {
            "version": VERSION,
            "vectors": dict(self.vectors),
            "separator": self.separator,
            "record": json.loads(self.record.to_json()),
        }
        return f"{description or ''}\n\n{MARK}{json.dumps(raw)}".lstrip()

    @classmethod
    def read(cls, collection: str, description: str | None) -> Layout:
        """The layout that `describe` wrote.

        Raises:
            StoreError: there is none.
            SpaceMismatch: its record can not be read.
        """
        _, mark, text = (description or "").rpartition(MARK)
        try:
            raw = json.loads(text) if mark else {}
            vectors = {name: tuple(names) for name, names in raw["vectors"].items()}
            version, separator, record = raw["version"], raw["separator"], raw["record"]
        except (AttributeError, KeyError, TypeError, ValueError):
            raise StoreError(
                f"collection {collection!r} does not say what its vectors are: its description has no line "
                f"{MARK.strip()!r}. Make one with TwofoldVectorizer.create_collection and embed the objects again"
            ) from None
        if version != VERSION:
            raise StoreError(
                f"collection {collection!r} has a layout of version {version!r}, this Twofold reads {VERSION}"
            )
        return cls(SpaceRecord.from_json(json.dumps(record)), vectors, separator)


def vectors_of(vectorize: Vectorize) -> dict[str, tuple[str, ...]]:
    """Each vector's name and properties.

    Raises:
        InputError: no vector, or one without a property, or with one twice.
    """
    named = cast("Mapping[str, Any]", vectorize if hasattr(vectorize, "items") else {DEFAULT: vectorize})
    vectors = {name: (names,) if isinstance(names, str) else tuple(names) for name, names in named.items()}
    for name, names in vectors.items():
        if not names or len(set(names)) < len(names) or not all(isinstance(one, str) and one for one in names):
            raise InputError(f"vectorize: vector {name!r} needs the names of its properties, each once, not {names!r}")
    if not vectors:
        raise InputError("vectorize is empty: name the properties that vectors are made of")
    return vectors


def _strings(value: object, name: str, index: int) -> list[str]:
    if value is None:
        return []
    if isinstance(value, str):
        return [value]
    if isinstance(value, list | tuple) and all(isinstance(one, str) for one in value):
        return list(value)
    raise InputError(f"property {name!r} of object {index} is of type {type(value).__name__}, not text", index=index)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names))
