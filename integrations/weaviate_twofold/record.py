"""What is stored with a collection: the record of its vectors' space, and the properties that they are made of.

It is a line of JSON at the end of the description of the first of these properties. So it goes where the collection
goes: into backups and exports, to all of its tenants, and away with it. Objects show nothing of it, and the description
of the collection is its user's. Where somebody replaces the property's description, `adopt=True` brings it back.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np

from twofold import InputError, StoreError
from twofold.adapters import OWN_PREFIX, check_text, extra

with extra("weaviate"):
    from weaviate.classes.config import DataType, VectorDistances

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from twofold.adapters import FloatArray

Vectorize: TypeAlias = "str | Sequence[str] | Mapping[str, str | Sequence[str]]"
"""A property, several properties, or the properties of each named vector."""

MARK = "twofold: "
DEFAULT = "default"
"""The name that Weaviate gives to a vector that was given none."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How objects become vectors.

    Attributes:
        vectors: each vector's name -> the properties that it is made of, in the order in which they are joined.
        separator: what stands between two of them.
    """

    vectors: Mapping[str, tuple[str, ...]]
    separator: str = "\n"

    def __str__(self) -> str:
        """As `open_collection` takes it."""
        vectorize = {name: list(names) for name, names in self.vectors.items()}
        return f"vectorize={vectorize}, separator={self.separator!r}"

    @classmethod
    def usual(cls) -> Layout:
        """One vector, of the property `text`."""
        return cls({DEFAULT: ("text",)})

    @property
    def carrier(self) -> str:
        """The property in whose description this is kept."""
        return next(iter(self.vectors.values()))[0]

    def joined(self, names: Sequence[str], properties: Mapping[str, Any], index: int | None = None) -> str:
        """The text of these properties; those that the object lacks are left out, lists of strings joined alike."""
        return self.separator.join(
            part for name in names for part in _strings(properties.get(name), name, index) if part
        )

    def texts(self, properties: Mapping[str, Any], index: int) -> list[str]:
        """What each vector of the object numbered `index` is made from, in the order of `vectors`."""
        texts = [self.joined(names, properties, index) for names in self.vectors.values()]
        for text, (vector, names) in zip(texts, self.vectors.items(), strict=True):
            if not text.strip():
                named = f"vector {vector!r} of object {index}"
                raise InputError(f"{named} has no text: {_listed(names)} is empty or missing", index=index)
            check_text(text, index, "object")
        return texts

    def named(self, rows: FloatArray) -> Any:
        """The vectors of one object, shape (vectors, dimensions), as Weaviate's client takes them."""
        if list(self.vectors) == [DEFAULT]:
            return np.asarray(rows[0])
        return dict(zip(self.vectors, rows, strict=True))

    def ready(self, vectors: Any, count: int, dimensions: int) -> list[Any]:
        """Vectors that were given, for `count` objects: an array, or one for each named vector."""
        given = vectors if hasattr(vectors, "keys") else dict.fromkeys(self.vectors, vectors)
        if set(given) != set(self.vectors) or (given is not vectors and len(given) > 1):
            raise InputError(f"vectors: expected an array for each of {_listed(self.vectors)}")
        arrays = [np.asarray(given[name], np.float32) for name in self.vectors]
        for array in arrays:
            if array.shape != (count, dimensions) or not np.isfinite(array).all():
                expected = f"expected finite numbers, shape ({count}, {dimensions})"
                raise InputError(f"vectors: {expected}, got shape {array.shape}, {array.min(initial=0)} the lowest")
        return [self.named(rows) for rows in np.stack(arrays, axis=1)]

    def target(self, wanted: Any) -> Any:
        """The vector to search: the only one, or the one, or several, that are `wanted`."""
        if wanted is None and len(self.vectors) == 1:
            return None if DEFAULT in self.vectors else next(iter(self.vectors))
        names = [wanted] if isinstance(wanted, str) else wanted
        if names is None or (isinstance(names, list) and not set(names) <= set(self.vectors)):
            raise InputError(f"target_vector={wanted!r}: name one of {_listed(self.vectors)}")
        return wanted

    def text_property(self, collection: str) -> str:
        """The one property that rows of documents are made of."""
        names = {name for own in self.vectors.values() for name in own}
        if len(names) != 1 or len(self.vectors) != 1:
            raise InputError(
                f"collection {collection!r} makes {len(self.vectors)} vectors of {_listed(sorted(names))}: "
                "documents need a collection that is made with vectorize='text', or another single property"
            )
        return names.pop()

    def renamed(self, names: Iterable[str]) -> Layout:
        """The same for a collection whose vectors have these names: a lone vector needs none."""
        (own, properties), *more = self.vectors.items()
        name, *others = names
        return self if more or others or own != DEFAULT else Layout({name: properties}, self.separator)

    def describe(
        self, record: str | None, description: str | None, marks: Mapping[str, str | None] | None = None
    ) -> str:
        """The carrier's description, with this layout and the record in its last line.

        Marks of moving that stand there are kept, but for those that are given; None removes one.
        """
        own, _, before = _read(description)
        kept = {name: mark for name, mark in {**before, **(marks or {})}.items() if mark is not None}
        raw = {"vectors": dict(self.vectors), "separator": self.separator, "record": record and json.loads(record)}
        return f"{own}\n\n{MARK}{json.dumps(raw | ({'marks': kept} if kept else {}))}".lstrip()


def kept_in(config: Any) -> tuple[Layout | None, str | None]:
    """The layout and the record in a collection's configuration; None where it has none."""
    for one in config.properties:
        _, kept, _ = _read(one.description)
        if kept is not None:
            return kept
    return None, None


def marks_in(config: Any) -> dict[str, str]:
    """The marks of moving in a collection's configuration; see `twofold.adapters.Movable`."""
    return {name: mark for one in config.properties for name, mark in _read(one.description)[2].items()}


def described(description: str | None) -> str:
    """A description without the line that `Layout.describe` adds."""
    return _read(description)[0]


def _read(description: str | None) -> tuple[str, tuple[Layout, str | None] | None, dict[str, str]]:
    """A description without the line that `Layout.describe` adds, and what this line says."""
    own, _, text = (description or "").rpartition(MARK)
    try:
        raw = json.loads(text)
        layout = Layout({name: tuple(names) for name, names in raw["vectors"].items()}, raw["separator"])
        record = raw["record"] and json.dumps(raw["record"])
        return own.rstrip(), (layout, record), dict(raw.get("marks", {}))
    except (AttributeError, KeyError, TypeError, ValueError):
        return (description or "").rstrip(), None, {}


def guessed(config: Any, asked: Layout | None) -> Layout:
    """How the objects of a collection that does not say it became vectors: as was `asked`, or as is usual.

    Raises:
        InputError: it cannot be guessed, or what was asked has other vectors.
        StoreError: vectors that are not compared by cosine.
    """
    named = config.vector_config or {DEFAULT: config}
    for name, one in named.items():
        metric = getattr(one.vector_index_config, "distance_metric", VectorDistances.COSINE)
        if metric != VectorDistances.COSINE:
            raise StoreError(
                f"collection {config.name!r} compares its vectors {name!r} by {metric.value}, not by cosine"
            )
    if asked is None:
        return _usual(config, named)
    layout = asked.renamed(named)
    if not set(layout.vectors) <= set(named):
        raise InputError(f"vectorize names the vectors {_listed(layout.vectors)}, the collection has {_listed(named)}")
    return layout


def _usual(config: Any, named: Mapping[str, Any]) -> Layout:
    """What a server makes vectors of by itself; else the property `text`, or the only one that is a text."""
    kinds = (DataType.TEXT, DataType.TEXT_ARRAY)
    texts = [one.name for one in config.properties if one.data_type in kinds and not one.name.startswith(OWN_PREFIX)]
    modules = {name: getattr(one, "vectorizer", None) for name, one in named.items()}
    by_server = any(getattr(module, "vectorizer", "none") != "none" for module in modules.values() if module)
    vectors: dict[str, tuple[str, ...]] = {}
    if by_server:
        sources = {name: getattr(module, "source_properties", None) or texts for name, module in modules.items()}
        vectors = {name: tuple(sorted(own)) for name, own in sources.items()}
    elif len(named) == 1 and ("text" in texts or len(texts) < 2):
        vectors = dict.fromkeys(named, ("text",) if "text" in texts or not texts else (texts[0],))
    if not vectors or not all(vectors.values()):
        raise InputError(
            f"collection {config.name!r} has the vectors {_listed(named)} and the texts {_listed(texts) or 'none'}: "
            "say what vectors are made of, as vectorize=…"
        )
    return Layout(vectors, " " if by_server else "\n")


def asked(vectorize: Vectorize | None, separator: str = "\n") -> Layout | None:
    """The layout that a user asks for; None where nothing is said of it."""
    if vectorize is None:
        return None if separator == "\n" else Layout(Layout.usual().vectors, separator)
    named = cast("Mapping[str, Any]", vectorize if hasattr(vectorize, "items") else {DEFAULT: vectorize})
    vectors = {name: (names,) if isinstance(names, str) else tuple(names) for name, names in named.items()}
    for name, names in vectors.items():
        if not names or len(set(names)) < len(names) or not all(isinstance(one, str) and one for one in names):
            raise InputError(f"vectorize: vector {name!r} needs the names of its properties, each once, not {names!r}")
    if not vectors:
        raise InputError("vectorize is empty: name the properties that vectors are made of")
    return Layout(vectors, separator)


def _strings(value: object, name: str, index: int | None) -> list[str]:
    if value is None:
        return []
    if isinstance(value, str):
        return [value]
    if isinstance(value, list | tuple) and all(isinstance(one, str) for one in value):
        return list(value)
    raise InputError(f"property {name!r} of object {index} is of type {type(value).__name__}, not text", index=index)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names))
