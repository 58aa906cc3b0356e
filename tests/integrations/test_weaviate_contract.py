"""The contract of a store, on a real Weaviate server, with either client, and on a stand-in where there is none."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from support.weaviate_server import require_weaviate
from support.weaviate_stand_in import StandInClient
from twofold.testing import StoreContract, StoreDoor
from weaviate_twofold import WeaviateStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


@pytest.fixture(scope="module")
def server() -> Iterator[StoreDoor]:
    server = require_weaviate()

    @asynccontextmanager
    async def astore(name: str) -> AsyncIterator[WeaviateStore]:
        async with server.connect_async() as client:
            yield WeaviateStore(client.collections.use(name), client=client)

    with server.connect() as client:
        yield StoreDoor(
            name="weaviate",
            store=lambda name: WeaviateStore(client.collections.use(name), client=client),
            forget=lambda name: client.collections.use(name).config.update(
                property_descriptions={"text": "what it says"}
            ),
            astore=astore,
        )
        client.collections.delete([name for name in client.collections.list_all() if name.startswith("Contract")])


@pytest.fixture(scope="module")
def stand_in() -> StoreDoor:
    client = StandInClient()

    @asynccontextmanager
    async def astore(name: str) -> AsyncIterator[WeaviateStore]:
        yield WeaviateStore(client.use(name), client=client)

    return StoreDoor(
        name="weaviate, stand-in",
        store=lambda name: WeaviateStore(client.use(name), client=client),
        forget=lambda name: client.use(name).update(property_descriptions={"text": "what it says"}),
        astore=astore,
    )


class TestWeaviate(StoreContract):
    @pytest.fixture(autouse=True, params=["server", "stand_in"])
    def _choose(self, request: pytest.FixtureRequest) -> None:
        self.door = request.getfixturevalue(request.param)
