"""A server of the fake embedder, shared by the tests of a module, and what posts to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest

from support.serving import serving
from twofold.testing import FakeEmbedder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(scope="module")
def embedder() -> FakeEmbedder:
    return FakeEmbedder()


@pytest.fixture(scope="module")
def url(embedder: FakeEmbedder) -> Iterator[str]:
    with serving(embedder) as address:
        yield address


@pytest.fixture(scope="module")
def post(url: str) -> Iterator[Callable[..., httpx.Response]]:
    with httpx.Client(base_url=url, timeout=30) as client:

        def send(path: str, body: Any = None, **options: Any) -> httpx.Response:
            return client.post(path, json=body, **options) if body is not None else client.post(path, **options)

        yield send
