"""Collections: made for an embedder's vectors, and checked when they are opened."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from twofold import InputError, SpaceMismatch, StoreError
from twofold.extras import extra
from weaviate_twofold.flow import Embed
from weaviate_twofold.layout import Layout, vectors_of

with extra("weaviate"):
    from weaviate.classes.config import Configure, DataType, Property, VectorDistances
    from weaviate.exceptions import UnexpectedStatusCodeError, WeaviateBaseError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, MutableMapping

    from weaviate_twofold.flow import Flow
    from weaviate_twofold.layout import Vectorize

DECIDED = ("vector_config", "vectorizer_config", "vector_index_config")


def creating(
    layouts: MutableMapping[Any, Layout],
    client: Any,
    name: str,
    vectorize: Vectorize,
    *,
    separator: str,
    options: Mapping[str, Any],
) -> Flow[Any]:
    """Make a collection, and remember its layout."""
    for option in DECIDED:
        if option in options:
            raise InputError(
                f"{option} is the vectorizer's: vectors are given with the objects, and compared by cosine"
            )
    vectors = vectors_of(vectorize)
    layout = Layout((yield Embed("record")), vectors, separator)
    with refusals(f"collection {name!r} was not made"):
        collection = yield partial(client.collections.create, name, **_arguments(layout, **options))
    layouts[collection] = layout
    return collection


def layout_of(layouts: MutableMapping[Any, Layout], collection: Any) -> Flow[Layout]:
    """The layout of a collection, read and checked against the embedder when it is first asked for."""
    layout = layouts.get(collection)
    if layout is None:
        with refusals(f"collection {collection.name!r} can not be opened"):
            config = yield collection.config.get
        layout = Layout.read(collection.name, config.description)
        try:
            yield Embed("check", (layout.record,))
        except SpaceMismatch as mismatch:
            raise SpaceMismatch(f"collection {collection.name!r}: {mismatch}") from None
        layouts[collection] = layout
    return layout


@contextmanager
def refusals(doing: str) -> Iterator[None]:
    """Turn what Weaviate raises into a `StoreError` that says what was being done.

    Raises:
        StoreError: Weaviate refused, or did not answer.
    """
    try:
        yield
    except UnexpectedStatusCodeError as error:
        reason = "there is none of that name" if error.status_code == 404 else str(error)
        raise StoreError(f"{doing}: {reason}") from error
    except WeaviateBaseError as error:
        raise StoreError(f"{doing}: {error}") from error


def _arguments(
    layout: Layout, description: str | None = None, properties: Any = None, quantizer: Any = None, **options: Any
) -> dict[str, Any]:
    declared = {one.name for one in properties or ()}
    missing = dict.fromkeys(name for names in layout.vectors.values() for name in names if name not in declared)
    index = Configure.VectorIndex.hnsw(distance_metric=VectorDistances.COSINE)
    own = partial(Configure.Vectors.self_provided, quantizer=quantizer, vector_index_config=index)
    return {
        "description": layout.describe(description),
        "properties": [*(properties or ()), *(Property(name=name, data_type=DataType.TEXT) for name in missing)],
        "vector_config": [own(name=name) for name in layout.vectors],
        **options,
    }
