"""Writing objects and searching them, as flows."""

from __future__ import annotations

from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

from twofold import InputError
from twofold.jobs.lengths import count_documents
from weaviate_twofold.flow import Embed
from weaviate_twofold.writing import Writing, checked_ids, object_id, sending

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from uuid import UUID

    from twofold import Embedder
    from weaviate_twofold.flow import Flow
    from weaviate_twofold.layout import Layout


def writing_objects(
    layout: Layout,
    collection: Any,
    embedder: Embedder,
    objects: Sequence[Mapping[str, Any]],
    ids: Sequence[str | UUID] | None,
) -> Flow[list[str]]:
    """Embed objects and write them, piece by piece; everything that can be wrong with them is said first."""
    if isinstance(objects, str) or hasattr(objects, "keys"):
        raise InputError("a list of objects is wanted, each with its properties, not one: pass [object]")
    writing = Writing(collection.name, checked_ids(ids, objects), objects)
    texts = [layout.texts(properties, index) for index, properties in enumerate(objects)]
    _check_lengths(embedder, writing.ids, texts)
    for some in writing.pieces():
        rows = yield Embed("embed_documents", (list(chain.from_iterable(texts[some])),))
        yield from sending(layout, collection, writing, some, rows.reshape(-1, len(layout.vectors), rows.shape[1]))
    writing.finish()
    return [str(object_id(key)) for key in writing.ids]


def searching(
    layout: Layout, collection: Any, method: str, query: str, *, target: Any, options: Mapping[str, Any]
) -> Flow[Any]:
    """Embed a query and call one of the collection's query methods with its vector."""
    chosen = layout.target(target)
    vector = yield Embed("embed_query", (query,))
    if method == "hybrid":
        return (yield partial(collection.query.hybrid, query, vector=vector, target_vector=chosen, **options))
    return (yield partial(collection.query.near_vector, vector, target_vector=chosen, **options))


def _check_lengths(embedder: Embedder, ids: Sequence[str], texts: Sequence[Sequence[str]]) -> None:
    try:
        count_documents(embedder, [key for key, own in zip(ids, texts, strict=True) for _ in own], [*chain(*texts)])
    except InputError as error:
        index = None if error.index is None else error.index // len(texts[0])
        raise InputError(str(error), index=index) from None
