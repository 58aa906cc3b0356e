"""How a collection is made: for vectors that are given with the objects, compared by cosine, with the record in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twofold import InputError, StoreError
from twofold.adapters import extra
from weaviate_twofold.record import described

with extra("weaviate"):
    from weaviate.classes.config import Configure, DataType, Property, VectorDistances

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from weaviate_twofold.record import Layout


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
    """What `client.collections.create` takes, of the options of `open_collection`; `tenants` are made as they come.

    Raises:
        InputError: an option that is decided here, or an index that does not compare by cosine.
    """
    for option in ("vector_config", "vectorizer_config"):
        if option in options:
            raise InputError(
                f"{option} is decided here: give vectorize, quantizer and vector_index_config; for vectors that the "
                "server asks for, make the collection with server_side and open it then"
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
    """The index that is `given`, or Weaviate's usual one, comparing by cosine."""
    index = Configure.VectorIndex.hnsw() if given is None else given
    metric = index.distance or VectorDistances.COSINE
    if metric != VectorDistances.COSINE:
        raise InputError(
            f"vector_index_config compares by {metric.value}: an embedder's vectors are compared by cosine"
        )
    return index.model_copy(update={"distance": metric})


def schema_like(config: Any, layout: Layout, record: str, marks: Mapping[str, str]) -> dict[str, Any]:
    """The schema of a collection as JSON, its vectors being given with the objects and compared by cosine.

    Raises:
        StoreError: something of it cannot be copied; it is named.
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
        one["description"] = described(one.get("description"))
        if one["name"] == layout.carrier:
            one["description"] = layout.describe(record, one["description"], marks)
    return schema


_BY_SERVER = ("vectorizer", "vectorIndexConfig", "vectorIndexType", "moduleConfig")


def _given_vectors(index: Mapping[str, Any]) -> dict[str, Any]:
    own = {name: index[name] for name in ("vectorIndexConfig", "vectorIndexType") if name in index}
    settings = {**own.get("vectorIndexConfig", {}), "distance": "cosine"}
    return {"vectorizer": {"none": {}}, **own, "vectorIndexConfig": settings}


def declared(properties: Iterable[Any]) -> list[Property]:
    """What a collection says of its properties, as another one takes it; objects in objects it finds out itself."""
    return [
        Property(
            name=one.name,
            data_type=one.data_type,
            tokenization=one.tokenization,
            index_filterable=one.index_filterable,
            index_searchable=one.index_searchable,
            index_range_filters=one.index_range_filters,
        )
        for one in properties
        if not one.nested_properties
    ]
