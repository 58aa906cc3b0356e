"""A chat model that is none: a server on loopback that speaks OpenAI's chat API and repeats the first passage."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


class Handler(BaseHTTPRequestHandler):
    """Answers `POST …/chat/completions` with the first line of the prompt that begins with a file's name."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        lines = body["messages"][-1]["content"].splitlines()
        said = next(line for line in lines if line.startswith("["))
        told: dict[str, Any] = {
            "choices": [{"message": {"role": "assistant", "content": said}}],
            "model": body["model"],
        }
        raw = json.dumps(told).encode()
        self.send_response(200 if self.path == "/v1/chat/completions" else 404)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def llm_server() -> Iterator[str]:
    """Run it; its base URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
