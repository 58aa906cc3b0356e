"""A Weaviate in this process, for where there is no server: what the adapter asks of a client, and nothing more.

What a server does is tested on a real one; this one lets the adapter's own flows be tested anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
from weaviate.classes.config import VectorDistances
from weaviate.collections.classes.batch import BatchObjectReturn
from weaviate.collections.classes.filters import _FilterOr, _Operator
from weaviate.exceptions import UnexpectedStatusCodeError, WeaviateInvalidInputError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

COSINE = SimpleNamespace(distance_metric=VectorDistances.COSINE)


class StandInClient:
    """`collections.use`, `list_all`, `create` and `delete`; `aliases` name collections by other names."""

    def __init__(self) -> None:
        self.collections = self
        self.known: dict[str, StandIn] = {}
        self.aliases: dict[str, str] = {}
        self.states: dict[str, State] = {}

    def use(self, name: str) -> StandIn:
        return self.known.setdefault(name, StandIn(self, name))

    def list_all(self, *, simple: bool) -> dict[str, Any]:
        assert not simple, "only the whole configuration has descriptions"
        return {name: own.get() for name, own in self.known.items() if own.exists() and name not in self.aliases}

    def create(self, name: str, *, vector_config: Any, properties: Any = (), description: Any = None) -> StandIn:
        made = self.use(name)
        if made.exists():
            raise _refusal(422)
        self.states[name] = State([one.name for one in vector_config])
        for one in properties:
            made.add_property(one)
        return made

    def delete(self, name: str) -> None:
        del self.states[name]


@dataclass
class State:
    """What the server keeps of a collection."""

    vectors: list[str]
    properties: list[Any] = field(default_factory=list)
    objects: dict[UUID, Any] = field(default_factory=dict)


class StandIn:
    """A collection, by its name or an alias; its groups of methods are itself."""

    def __init__(self, client: StandInClient, name: str, *_options: Any) -> None:
        self.config = self.data = self.query = self.aggregate = self
        self.name, self._connection = name, client
        self._validate_arguments = self.consistency_level = self.tenant = None

    @property
    def _real(self) -> str:
        return self._connection.aliases.get(self.name, self.name)

    @property
    def _state(self) -> State:
        if not self.exists():
            raise _refusal(404)
        return self._connection.states[self._real]

    @property
    def vectors(self) -> list[str]:
        return self._state.vectors

    @property
    def properties(self) -> list[Any]:
        return self._state.properties

    @property
    def objects(self) -> dict[UUID, Any]:
        return self._state.objects

    # -- its configuration --------------------------------------------------------------------------------------------

    def exists(self) -> bool:
        return self._real in self._connection.states

    def get(self) -> Any:
        vectors = {name: SimpleNamespace(vectorizer=None, vector_index_config=COSINE) for name in self.vectors}
        return SimpleNamespace(name=self._real, properties=self.properties, vector_config=vectors)

    def add_property(self, one: Any) -> None:
        if one.name in [own.name for own in self.properties]:
            raise WeaviateInvalidInputError("already exists")
        kept = SimpleNamespace(name=one.name, description=one.description, data_type=one.dataType)
        kept.tokenization = one.tokenization
        self.properties.append(kept)

    def update(self, *changed: Any, property_descriptions: Any = None) -> None:
        for own in self.properties:
            own.description = (property_descriptions or {}).get(own.name, own.description)
        if changed:
            uuid, properties, _, vector = changed
            self.objects[uuid].properties.update(properties)
            self.objects[uuid].vector |= {} if vector is None else self._named(vector)

    # -- its objects --------------------------------------------------------------------------------------------------

    def insert_many(self, objects: Sequence[Any]) -> BatchObjectReturn:
        for one in objects:
            kept = SimpleNamespace(uuid=one.uuid, properties=dict(one.properties), vector=self._named(one.vector))
            self.objects[one.uuid] = kept
        return BatchObjectReturn(errors={})

    def delete_many(self, *, where: Any) -> None:
        for uuid in [uuid for uuid, one in self.objects.items() if _matches(where, one)]:
            del self.objects[uuid]

    def fetch_objects(
        self, *, limit: int, after: UUID | None = None, filters: Any = None, return_properties: Any = None
    ) -> Any:
        assert not (after and filters), "Weaviate refuses both at once"
        names = {own.name for own in self.properties}
        assert names.issuperset(return_properties or ()), "Weaviate refuses properties that are not declared"
        found = sorted(self.objects.values(), key=lambda one: one.uuid)
        found = [one for one in found if after is None or one.uuid > after]
        return SimpleNamespace(objects=[one for one in found if filters is None or _matches(filters, one)][:limit])

    def fetch_objects_by_ids(self, uuids: Sequence[UUID], **_: Any) -> Any:
        return SimpleNamespace(objects=[self.objects[uuid] for uuid in uuids if uuid in self.objects])

    def near_vector(self, vector: Any, *, limit: int = 10, target_vector: Any = None, **_: Any) -> Any:
        def distance(one: Any) -> float:
            own = np.asarray(one.vector[target_vector or self.vectors[0]])
            return 1 - float(own @ vector / np.linalg.norm(own) / np.linalg.norm(vector))

        found = sorted(self.objects.values(), key=distance)[:limit]
        return SimpleNamespace(
            objects=[SimpleNamespace(**vars(one), metadata=SimpleNamespace(distance=distance(one))) for one in found]
        )

    def hybrid(self, _words: str, *, vector: Any, **named: Any) -> Any:
        return self.near_vector(vector, **named)

    def over_all(self, **_: Any) -> Any:
        return SimpleNamespace(total_count=len(self.objects))

    def _named(self, vector: Any) -> dict[str, Any]:
        return dict(vector) if isinstance(vector, dict) else {self.vectors[0]: vector}


def _matches(where: Any, one: Any) -> bool:
    if isinstance(where, _FilterOr):
        return any(_matches(each, one) for each in where.filters)
    assert where.operator == _Operator.CONTAINS_ANY
    if where.target == "_id":
        return str(one.uuid) in [str(value) for value in where.value]
    return one.properties.get(where.target) in where.value


def _refusal(status: int) -> UnexpectedStatusCodeError:
    return UnexpectedStatusCodeError("refused", httpx.Response(status, json={}))
