"""The contract of a store, on Chroma in a folder and on a server, with either client."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import chromadb
import pytest

from chroma_twofold import ChromaStore
from chroma_twofold.connect import close
from support.chroma_server import HOST, forget_record
from twofold.testing import StoreContract, StoreDoor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


def door(name: str, client: Any, **more: Any) -> StoreDoor:
    return StoreDoor(
        name=name,
        store=lambda collection: ChromaStore(client, collection),
        forget=lambda collection: forget_record(client, collection),
        **more,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreDoor]:
    client: Any = chromadb.PersistentClient(tmp_path_factory.mktemp("chroma"))
    yield door("chroma, folder", client)
    close(client)


@pytest.fixture(scope="module")
def server(chroma_port: int) -> Iterator[StoreDoor]:
    client: Any = chromadb.HttpClient(HOST, chroma_port)

    @asynccontextmanager
    async def astore(name: str) -> AsyncIterator[ChromaStore]:
        opened: Any = await chromadb.AsyncHttpClient(HOST, chroma_port)
        yield ChromaStore(opened, name)
        await opened._server._cleanup()

    yield door("chroma, server", client, astore=astore)
    close(client)


class TestChroma(StoreContract):
    @pytest.fixture(autouse=True, params=["folder", "server"])
    def _choose(self, request: pytest.FixtureRequest) -> None:
        self.door = request.getfixturevalue(request.param)
