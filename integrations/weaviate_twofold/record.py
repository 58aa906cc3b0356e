"""A collection's configuration: how it is created, and what is stored in it.

A collection stores the record of its vectors' space, and the properties that they are made from, as a line of JSON at
the end of the description of the first of these properties. The record is therefore part of backups and exports, valid
for all tenants, and removed with the collection. It does not show in objects, and the description of the collection
stays the user's. If somebody replaces the property's description, `adopt=True` restores it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np

from twofold import InputError, StoreError
from twofold.adapters import check_text, extra
from twofold.stores import OWN_PREFIX

with extra("weaviate"):
    from weaviate.classes.config import Configure, DataType, Property, VectorDistances

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from twofold.adapters import FloatArray

Vectorize: TypeAlias = "str | Sequence[str] | Mapping[str, str | Sequence[str]]"
"""A property, several properties, or the properties of each named vector."""

MARK = "twofold: "
DEFAULT = "default"
"""Weaviate's own name for a vector without a name."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How objects become vectors.

    Attributes:
        vectors: each vector's name -> the properties that it is made from, in the order in which they are joined.
        separator: the text between two of them.
    """

    vectors: Mapping[str, tuple[str, ...]]
    separator: str = "\n"

    def __str__(self) -> str:
        """The options of `open_collection`."""
        vectorize = {name: list(names) for name, names in self.vectors.items()}
        return f"vectorize={vectorize}, separator={self.separator!r}"

    @classmethod
    def usual(cls) -> Layout:
        """One vector, made from the property `text`."""
        return cls({DEFAULT: ("text",)})

    @property
    def carrier(self) -> str:
        """The property whose description holds the record."""
        return next(iter(self.vectors.values()))[0]

    def joined(self, names: Sequence[str], properties: Mapping[str, Any], index: int | None = None) -> str:
        """Join these properties. Missing ones are left out; lists of strings are joined in the same way."""
        return self.separator.join(
            part for name in names for part in _strings(properties.get(name), name, index) if part
        )

    def texts(self, properties: Mapping[str, Any], index: int) -> list[str]:
        """Return the text of each vector, in the order of `vectors`.

        Raises:
            InputError: a vector has no text, or one that cannot be embedded; `index` names the object.
        """
        texts = [self.joined(names, properties, index) for names in self.vectors.values()]
        for text, (vector, names) in zip(texts, self.vectors.items(), strict=True):
            if not text.strip():
                named = f"vector {vector!r} of object {index}"
                raise InputError(f"{named} has no text: {_listed(names)} is empty or missing", index=index)
            check_text(text, index, "object")
        return texts

    def named(self, rows: FloatArray) -> Any:
        """Return the vectors of one object, shape (vectors, dimensions), as Weaviate's client takes them."""
        if list(self.vectors) == [DEFAULT]:
            return np.asarray(rows[0])
        return dict(zip(self.vectors, rows, strict=True))

    def ready(self, vectors: Any, count: int, dimensions: int) -> list[Any]:
        """Return given vectors for each of `count` objects: from one array, or an array for each named vector.

        Raises:
            InputError: another shape, or values that are not finite.
        """
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
        """Return the vector to search: the only one, or the one or several that are `wanted`.

        Raises:
            InputError: an unknown vector, or none of several.
        """
        if wanted is None and len(self.vectors) == 1:
            return None if DEFAULT in self.vectors else next(iter(self.vectors))
        names = [wanted] if isinstance(wanted, str) else wanted
        if names is None or (isinstance(names, list) and not set(names) <= set(self.vectors)):
            raise InputError(f"target_vector={wanted!r}: name one of {_listed(self.vectors)}")
        return wanted

    def text_property(self, collection: str) -> str:
        """Return the one property that holds the rows' text.

        Raises:
            InputError: several vectors or properties, so that documents cannot be stored here.
        """
        names = {name for own in self.vectors.values() for name in own}
        if len(names) != 1 or len(self.vectors) != 1:
            raise InputError(
                f"collection {collection!r} makes {len(self.vectors)} vectors of {_listed(sorted(names))}: "
                "documents need a collection that was made with vectorize='text', or another single property"
            )
        return names.pop()

    def renamed(self, names: Iterable[str]) -> Layout:
        """Use the collection's own name for a single vector that was not named."""
        (own, properties), *more = self.vectors.items()
        name, *others = names
        return self if more or others or own != DEFAULT else Layout({name: properties}, self.separator)

    def describe(
        self, record: str | None, description: str | None, marks: Mapping[str, str | None] | None = None
    ) -> str:
        """Return the carrier's description with this layout and the record in its last line.

        Existing marks of a migration are kept, except for those in `marks`; None removes one.
        """
        own, _, before = _read(description)
        kept = {name: mark for name, mark in {**before, **(marks or {})}.items() if mark is not None}
        raw = {"vectors": dict(self.vectors), "separator": self.separator, "record": record and json.loads(record)}
        return f"{own}\n\n{MARK}{json.dumps(raw | ({'marks': kept} if kept else {}))}".lstrip()


def kept_in(config: Any) -> tuple[Layout | None, str | None]:
    """Return the layout and the record in a collection's configuration; None for what is missing."""
    for one in config.properties:
        _, kept, _ = _read(one.description)
        if kept is not None:
            return kept
    return None, None


def marks_in(config: Any) -> dict[str, str]:
    """Return the marks of a migration in a collection's configuration."""
    return {name: mark for one in config.properties for name, mark in _read(one.description)[2].items()}


def _read(description: str | None) -> tuple[str, tuple[Layout, str | None] | None, dict[str, str]]:
    """Return a description without the line that `Layout.describe` adds, and the content of this line."""
    own, _, text = (description or "").rpartition(MARK)
    try:
        raw = json.loads(text)
        layout = Layout({name: tuple(names) for name, names in raw["vectors"].items()}, raw["separator"])
        record = raw["record"] and json.dumps(raw["record"])
        return own.rstrip(), (layout, record), dict(raw.get("marks", {}))
    except (AttributeError, KeyError, TypeError, ValueError):
        return (description or "").rstrip(), None, {}


def guessed(config: Any, asked: Layout | None) -> Layout:
    """Return the layout of a collection without one: the one `asked` for, or the usual one.

    Raises:
        InputError: it cannot be guessed, or the collection has other vectors.
        StoreError: a vector is not compared by cosine.
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
    """What the server itself vectorises; otherwise the property `text`, or the only text property."""
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
            "say what vectors are made from, as vectorize=…"
        )
    return Layout(vectors, " " if by_server else "\n")


def asked(vectorize: Vectorize | None, separator: str = "\n") -> Layout | None:
    """Return the layout that a user asks for; None if they did not ask.

    Raises:
        InputError: a vector without properties, or with one twice.
    """
    if vectorize is None:
        return None if separator == "\n" else Layout(Layout.usual().vectors, separator)
    named = cast("Mapping[str, Any]", vectorize if hasattr(vectorize, "items") else {DEFAULT: vectorize})
    vectors = {name: (names,) if isinstance(names, str) else tuple(names) for name, names in named.items()}
    for name, names in vectors.items():
        if not names or len(set(names)) < len(names) or not all(isinstance(one, str) and one for one in names):
            raise InputError(f"vectorize: vector {name!r} needs the names of its properties, each once, not {names!r}")
    if not vectors:
        raise InputError("vectorize is empty: name the properties that vectors are made from")
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


# -- creating a collection --------------------------------------------------------------------------------------------


def arguments(
    layout: Layout,
    record: str,
    *,
    properties: Sequence[Property] = (),
    quantizer: Any = None,
    vector_index_config: Any = None,
    tenants: bool = False,
    **options: Any,
) -> dict[str, Any]:
    """Turn options of `open_collection` into those of `client.collections.create`; `tenants` are created when used.

    Raises:
        InputError: an option that Twofold decides, or an index that does not compare by cosine.
    """
    for option in ("vector_config", "vectorizer_config"):
        if option in options:
            raise InputError(
                f"{option} is decided here: pass vectorize, quantizer and vector_index_config; if the server should "
                "embed, create the collection with server_side, then open it"
            )
    if tenants:
        options["multi_tenancy_config"] = Configure.multi_tenancy(
            enabled=True, auto_tenant_creation=True, auto_tenant_activation=True
        )
    each = {"quantizer": quantizer, "vector_index_config": cosine_index(vector_index_config)}
    declared = {one.name: one for one in properties}
    for name in (name for names in layout.vectors.values() for name in names):
        declared.setdefault(name, Property(name=name, data_type=DataType.TEXT))
    carrier = declared[layout.carrier]
    described = {"description": layout.describe(record, carrier.description)}
    declared[carrier.name] = carrier.model_copy(update=described)
    vectors = [Configure.Vectors.self_provided(name=name, **each) for name in layout.vectors]
    return {"properties": list(declared.values()), "vector_config": vectors, **options}


def cosine_index(given: Any = None) -> Any:
    """Return the given index, or Weaviate's default one, comparing by cosine.

    Raises:
        InputError: it compares by another distance.
    """
    index = Configure.VectorIndex.hnsw() if given is None else given
    metric = index.distance or VectorDistances.COSINE
    if metric != VectorDistances.COSINE:
        raise InputError(
            f"vector_index_config compares by {metric.value}: an embedder's vectors are compared by cosine"
        )
    return index.model_copy(update={"distance": metric})


def schema_like(config: Any, layout: Layout, record: str, marks: Mapping[str, str]) -> dict[str, Any]:
    """Copy a collection's schema as JSON, for vectors that come with the objects and are compared by cosine.

    Raises:
        StoreError: a part of it cannot be copied; the message names it.
    """
    lost = [f"the blobs of {one.name!r}" for one in config.properties if one.data_type == DataType.BLOB]
    lost += [f"the vector {name!r}" for name in sorted(set(config.vector_config or ()) - set(layout.vectors))]
    if lost:
        raise StoreError(f"collection {config.name!r} has {', '.join(lost)}, which a migration does not copy")
    schema: dict[str, Any] = config.to_dict()
    indexes = schema.pop("vectorConfig", None) or dict.fromkeys(layout.vectors, schema)
    vectors = {name: _given_vectors(index) for name, index in indexes.items()}
    schema = {name: own for name, own in schema.items() if name not in _BY_SERVER} | {"vectorConfig": vectors}
    for one in schema["properties"]:
        one.pop("moduleConfig", None)
        one["description"] = _read(one.get("description"))[0]
        if one["name"] == layout.carrier:
            one["description"] = layout.describe(record, one["description"], marks)
    return schema


_BY_SERVER = ("vectorizer", "vectorIndexConfig", "vectorIndexType", "moduleConfig")


def _given_vectors(index: Mapping[str, Any]) -> dict[str, Any]:
    own = {name: index[name] for name in ("vectorIndexConfig", "vectorIndexType") if name in index}
    settings = {**own.get("vectorIndexConfig", {}), "distance": "cosine"}
    return {"vectorizer": {"none": {}}, **own, "vectorIndexConfig": settings}
