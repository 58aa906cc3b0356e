"""One suite through every door. A new adapter joins by one line in `DOORS` and its file in `doors/`."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest

from twofold.errors import MissingExtra
from twofold.testing import AdapterContract, VectorContract

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from twofold.testing import Door

DOORS = [
    "core",
    "chroma",
    "langchain",
    "llama_index",
    "weaviate",
]


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The local backend, on a small random checkpoint with adapters and instructions."""
    pytest.importorskip("torch")
    from support.checkpoints import v3_original

    return {"model": str(v3_original(tmp_path_factory.mktemp("v3")).folder), "device": "cpu"}


@pytest.fixture
def hosted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """The hosted backend, on a loopback server that speaks Jina's API and holds each request to its schema."""
    pytest.importorskip("httpx")
    from support.faultserver import FaultServer

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # quota accounts of its own
    monkeypatch.setenv("JINA_API_KEY", "sk-test")
    with FaultServer() as server:
        yield {"model": "jina:jina-embeddings-v3", "base_url": server.url}


class TestEveryDoor(AdapterContract):
    """Through the model that is a hash."""

    @pytest.fixture(autouse=True, params=DOORS)
    def _choose(self, request: pytest.FixtureRequest) -> None:
        self.door = _door(request.param)


@pytest.mark.filterwarnings("ignore::twofold.errors.LicenceWarning")
class TestEveryDoorToTheLocalBackend(VectorContract):
    """Through real weights."""

    @pytest.fixture(autouse=True, params=DOORS)
    def _choose(self, request: pytest.FixtureRequest, local: dict[str, Any]) -> None:
        self.door, self.options = _door(request.param), local


@pytest.mark.filterwarnings("ignore::twofold.errors.LicenceWarning")
class TestEveryDoorToTheHostedBackend(VectorContract):
    """Through a provider's API."""

    @pytest.fixture(autouse=True, params=DOORS)
    def _choose(self, request: pytest.FixtureRequest, hosted: dict[str, Any]) -> None:
        self.door, self.options = _door(request.param), hosted


class TestTheLocalBackend(AdapterContract):
    """Saved, shown, and without its extra."""

    @pytest.fixture(autouse=True)
    def _choose(self, local: dict[str, Any]) -> None:
        extra: dict[str, Any] = {
            "package": "twofold.local.opening",
            "requires": "torch",
            "installs": "'twofold[local]'",
        }
        self.door, self.options = replace(_door("core"), name="local", **extra), local


class TestTheHostedBackend(AdapterContract):
    """Saved, shown, and without its extra."""

    @pytest.fixture(autouse=True)
    def _choose(self, hosted: dict[str, Any]) -> None:
        use = "twofold.Embedder('jina:jina-embeddings-v3').embed_query('a ship')"
        extra: dict[str, Any] = {"package": "twofold", "use": use, "requires": "httpx", "installs": "'twofold[hosted]'"}
        self.door, self.options = replace(_door("core"), name="hosted", **extra), hosted


def _door(name: str) -> Door:
    try:
        door: Door = import_module(f"contract.doors.{name}").DOOR
    except MissingExtra as missing:
        pytest.skip(str(missing))
    return door
