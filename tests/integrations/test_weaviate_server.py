from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.weaviate_server import NoServer, free_ports, running_weaviate

if TYPE_CHECKING:
    from support.weaviate_server import WeaviateServer


def test_sync_and_async_clients_reach_one_server(weaviate_server: WeaviateServer) -> None:
    with weaviate_server.connect() as client:
        assert client.get_meta()["version"] == weaviate_server.version
        assert client.is_ready()


async def test_the_async_client_connects(weaviate_server: WeaviateServer) -> None:
    async with weaviate_server.connect_async() as client:
        assert (await client.get_meta())["version"] == weaviate_server.version


@pytest.mark.parametrize(("url", "said"), [(None, "WEAVIATE_URL is not set"), ("http://127.0.0.1:9", "127.0.0.1:9")])
def test_without_a_server_it_is_said_what_was_looked_for(
    url: str | None, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WEAVIATE_URL", raising=False)
    if url:
        monkeypatch.setenv("WEAVIATE_URL", url)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(NoServer, match=f"{said}.*no 'weaviate' on PATH"), running_weaviate():
        raise AssertionError


def test_ports_are_six_and_the_last_two_pairs_follow_each_other() -> None:
    ports = free_ports()
    assert len(set(ports)) == 6
    assert (ports[3], ports[5]) == (ports[2] + 1, ports[4] + 1)
