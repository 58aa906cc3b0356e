"""How a collection is found, what is kept in its configuration, and how it moves into another one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from twofold import InputError, StoreError
from twofold.adapters import (
    HOPS,
    MIGRATION,
    Original,
    extra,
    moved_to,
    resolve,
    takes_over,
)
from weaviate_twofold.connect import Catalogue, class_name
from weaviate_twofold.making import schema_like
from weaviate_twofold.objects import PIECE, Sending, object_id, pieces, refusals
from weaviate_twofold.properties import ID, row_of
from weaviate_twofold.record import guessed, kept_in, marks_in

with extra("weaviate"):
    from weaviate.classes.config import DataType, Property
    from weaviate.classes.data import DataObject
    from weaviate.classes.query import Filter, MetadataQuery, QueryReference
    from weaviate.exceptions import WeaviateInvalidInputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from twofold import Embedder
    from twofold.adapters import FloatArray
    from weaviate_twofold.record import Layout


class Moving(Catalogue):
    """A collection by its name, its configuration, and what `twofold.adapters.Movable` asks for."""

    collection: Any
    _asked: Layout | None
    _layout: Layout | None
    _known: dict[str, Any]
    _rows: bool
    _exact: bool
    """Whether marks of moving are not followed."""

    def find(self) -> bool:
        """Whether it is there, under this name or an alias."""
        for _ in range(HOPS):
            if not self._asking("cannot be opened", self.collection.exists):
                name = None if self._exact else self._successor()
                if name is None:
                    return False
                self._use(name)
            config = self._config()
            to = moved_to(marks_in(config))
            if self._exact and config.multi_tenancy_config.enabled:
                raise StoreError(f"collection {self.name!r} has tenants, which a migration does not copy")
            if self._exact or to is None:
                return True
            self._use(to)
        raise StoreError(f"collection {self.name!r} has moved in a circle: roll one of these moves back")

    def _successor(self) -> str | None:
        """What a prune that was cut short has not given its name yet."""
        if self._client is None:
            return None
        configs = self._asking("cannot be looked for", self._client.collections.list_all, simple=False)
        return next((one.name for one in configs.values() if takes_over(marks_in(one), self.name)), None)

    def _use(self, name: str) -> None:
        """Go on with another collection of the same server, and the same tenant."""
        own = self.collection
        other = type(own)(own._connection, name, own._validate_arguments, own.consistency_level, own.tenant)  # noqa: SLF001 - the client's own way from one to another
        self.collection, self.name, self._known, self._layout = other, name, {}, None

    def record(self) -> str | None:
        """What the server's configuration of it says now.

        Raises:
            InputError: it makes its vectors of other properties than was asked, or than documents need.
        """
        self._layout, record = kept_in(self._config())
        if self._layout is not None:
            if self._asked is not None and self._asked.renamed(self._layout.vectors) != self._layout:
                raise InputError(f"collection {self.name!r} is made with {self._layout}, not with {self._asked}")
            if self._rows:
                self._layout.text_property(self.name)
        return record

    def stamp(self, record: str) -> None:
        """Put the record into the description of the first property that vectors are made of."""
        self._describe(record, {})

    def layout(self) -> Layout:
        """How its objects become vectors, as it says, or as is guessed where it does not.

        Raises:
            InputError: it cannot be guessed.
            StoreError: vectors that are not compared by cosine.
        """
        if self._layout is None:
            config = self._config()
            self._layout = kept_in(config)[0] or guessed(config, self._asked)
        return self._layout

    def _describe(self, record: str | None, marks: Mapping[str, str | None]) -> None:
        layout = self.layout()
        own = self._known.get(layout.carrier)
        said = layout.describe(record, own and own.description, marks)
        if own is None:
            self._declare([Property(name=layout.carrier, data_type=DataType.TEXT, description=said)])
        else:
            update = self.collection.config.update
            self._asking("takes no record", update, property_descriptions={layout.carrier: said})

    # -- moving -------------------------------------------------------------------------------------------------------

    def marks(self) -> dict[str, str]:
        """What the configuration says beside the record."""
        return marks_in(self._config())

    def mark(self, changes: Mapping[str, str | None]) -> None:
        """Change them by one call; a collection that had no record has none after it."""
        record = kept_in(self._config())[1]
        self._describe(record, changes)

    def make_like(self, source: Moving, record: str, embedder: Embedder, marks: Mapping[str, str]) -> None:
        """The whole schema of the other one, its vectors being given with the objects and compared by cosine."""
        layout, config = source.layout(), source._config()
        schema = schema_like(config, layout, record, marks)
        schema["class"] = self.collection.name
        with refusals(f"collection {self.name!r} was not made"):
            resolve(self._client.collections.create_from_dict(schema))

    def match(self, source: Moving) -> None:
        """Declare the properties that the other one has beside those that are here."""
        self._declare((source._config()).properties)

    def originals(self, ids: Sequence[str], *, vectors: bool = False) -> list[Original]:
        """Objects with their properties and references; the text of each of their vectors."""
        layout, config = self.layout(), self._config()
        references = [QueryReference(link_on=one.name, return_properties=[]) for one in config.references]
        options: dict[str, Any] = {"limit": PIECE, "include_vector": vectors}
        options |= {"return_references": references} if references else {}
        ask, found = self.collection.query.fetch_objects_by_ids, []
        for start in range(0, len(ids), PIECE):
            some = [object_id(key) for key in ids[start : start + PIECE]]
            for one in (self._asking("cannot be read", ask, some, **options)).objects:
                kept: dict[str, Any] = {
                    "properties": {name: value for name, value in one.properties.items() if value is not None}
                }
                fields = {name: value for name, value in one.properties.items() if value is not None}
                linked = {name: [str(to.uuid) for to in own.objects] for name, own in (one.references or {}).items()}
                rows = [row_of(one.uuid, one.properties, layout, name) for name in layout.vectors]
                named = [one.vector.get(name, ()) for name in layout.vectors] if vectors else []
                own = tuple(np.asarray(vector, np.float32) for vector in named)
                kept = {"properties": fields, "uuid": str(one.uuid), "references": linked}
                found.append(Original(rows[0], tuple(row.text for row in rows), kept, own))
        return found

    def put(self, rows: Sequence[Original], vectors: Sequence[FloatArray]) -> None:
        """Write objects as they were, wherever the collection has moved."""
        layout, ids = self.layout(), [one.row.id for one in rows]
        objects = [
            DataObject(one.kept["properties"], one.kept["uuid"], layout.named(own), one.kept["references"] or None)
            for one, own in zip(rows, vectors, strict=True)
        ]
        sending = Sending(self.collection, ids)
        sending.insert(range(len(ids)), objects)
        sending.finish()

    def take_out(self, ids: Sequence[str]) -> None:
        """Remove objects, wherever the collection has moved."""
        for some in pieces(ids):
            where = Filter.by_id().contains_any([object_id(key) for key in some])
            self._asking("did not delete rows", self.collection.data.delete_many, where=where)

    def nearest(self, vector: FloatArray, limit: int, which: int = 0) -> list[tuple[str, float]]:
        """By the vector of this number."""
        layout = self.layout()
        name = list(layout.vectors)[which]
        found = self._asking(
            "cannot be searched",
            self.collection.query.near_vector,
            vector,
            limit=limit,
            target_vector=layout.target(name if len(layout.vectors) > 1 else None),
            return_properties=[ID] if ID in self._known else [],
            return_metadata=MetadataQuery(distance=True),
        )
        return [(str(one.properties.get(ID) or one.uuid), 1 - one.metadata.distance) for one in found.objects]

    def repoint(self, name: str, to: str) -> None:
        """Weaviate's own alias, from 1.32 on."""
        alias = class_name(name)
        config = self._asking("cannot be read", self._client.collections.use(alias).config.get)
        if config.name not in (alias, to):
            with refusals(f"alias {alias!r} was not moved"):
                resolve(self._client.alias.update(alias_name=alias, new_target_collection=to))

    def take_over(self, name: str) -> None:
        """By an alias: a collection's own name cannot change."""
        alias = class_name(name)
        if alias != self.collection.name and not resolve(self._client.collections.exists(alias)):
            with refusals(f"alias {alias!r} was not made (it needs Weaviate 1.32)"):
                resolve(self._client.alias.create(alias_name=alias, target_collection=self.collection.name))
        self.mark({MIGRATION: None})

    # -- asking -------------------------------------------------------------------------------------------------------

    def _asking(self, otherwise: str, ask: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        with refusals(f"collection {self.name!r} {otherwise}"):
            return resolve(ask(*arguments, **named))

    def _config(self) -> Any:
        """What the server says of it now; of an alias, the collection that it names now is kept to from here on."""
        config = self._asking("cannot be opened", self.collection.config.get)
        if config.name != self.collection.name:
            self._use(config.name)
        self._known = {one.name: one for one in config.properties}
        return config

    def _declare(self, wanted: Sequence[Property]) -> None:
        if not self._known:
            self._config()
        for one in wanted:
            if one.name not in self._known:
                try:
                    self._asking(f"takes no property {one.name!r}", self.collection.config.add_property, one)
                except StoreError as error:
                    if not isinstance(error.__cause__, WeaviateInvalidInputError):  # else another client was faster
                        raise
                self._known[one.name] = one
