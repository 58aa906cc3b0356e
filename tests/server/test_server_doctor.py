"""`twofold doctor` of a running server."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

import numpy as np

from support.serving import serving
from twofold import Embedder
from twofold.doctor import examine
from twofold.fake import FakeBackend
from twofold.testing import FakeEmbedder

if TYPE_CHECKING:
    from twofold.doctor import Finding


def found_at(url: str, **options: Any) -> dict[str, Finding]:
    served = Embedder("jina:fake", base_url=f"{url}/v1", **options)
    return {one.name: one for one in examine(served)}


def test_a_sound_server() -> None:
    with serving(FakeEmbedder(), api_keys=["a-key"]) as url:
        found = found_at(url, api_key="a-key")
        assert all(one.ok is not False for one in found.values()), found
        assert found["server"].detail == f"{url}: fake is ready"
        assert found["two sides"].ok
        assert found["dialects"].ok
        assert found["late chunking"].ok
        refused = found_at(url, api_key="another")
    assert any(one.ok is False for one in refused.values())
    assert "a-key" not in str(refused)


def test_a_server_whose_chunks_do_not_know_their_document() -> None:
    class Naive(FakeBackend):
        def embed(self, documents: Any, *arguments: Any, **named: Any) -> Any:
            from twofold import Document

            apart = [Document.whole(one.text[slice(*span)]) for one in documents for span in one.spans]
            return np.asarray(super().embed(apart, *arguments, **named))

    embedder = FakeEmbedder()
    embedder._backend = Naive()
    with serving(embedder) as url:
        assert found_at(url, api_key="none")["late chunking"].ok is False


def test_of_another_server_nothing_is_said() -> None:
    class Other(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(404)

        def do_POST(self) -> None:
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            """Stay quiet."""

    with HTTPServer(("127.0.0.1", 0), Other) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        found = found_at(f"http://127.0.0.1:{other.server_port}", api_key="none", timeout=5.0)
        other.shutdown()
    assert "server" not in found
