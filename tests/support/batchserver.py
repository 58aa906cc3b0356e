"""A server with the batch APIs of OpenAI and of Jina, over the published routes, which counts what it is paid for.

Every request is held to the published schema. Sources: OpenAI's API reference (files, batches), Jina's OpenAPI document
of 2026-04. A batch advances by one state with each look at it.
"""

from __future__ import annotations

import base64
import json
import re
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from support.faultserver import truth
from support.schemas import closed

if TYPE_CHECKING:
    from collections.abc import Callable

WIDTH = 8
TEXT = {"type": "string", "minLength": 1}
EMBEDDINGS = closed(
    ["model", "input"],
    model=TEXT,
    input={"anyOf": [TEXT, {"type": "array", "items": TEXT, "minItems": 1}]},
    dimensions={"type": "integer", "minimum": 1},
    encoding_format={"enum": ["float", "base64"]},
)
LINE = closed(
    ["custom_id", "method", "url", "body"],
    custom_id=TEXT,
    method={"const": "POST"},
    url={"const": "/v1/embeddings"},
    body=EMBEDDINGS,
)
BATCH = closed(
    ["input_file_id", "endpoint", "completion_window"],
    input_file_id=TEXT,
    endpoint={"const": "/v1/embeddings"},
    completion_window={"const": "24h"},
    metadata={"type": "object", "maxProperties": 16, "additionalProperties": {"type": "string", "maxLength": 512}},
)
JINA = closed(
    ["model", "input"],
    model={"enum": ["jina-embeddings-v5-text-nano", "jina-embeddings-v5-text-small"]},
    input={
        "type": "array",
        "minItems": 1,
        "maxItems": 10_000,
        "items": closed(["custom_id", "body"], custom_id=TEXT, body=closed(["input"], input=TEXT)),
    },
    task={"enum": ["retrieval", "text-matching", "clustering", "classification"]},
    dimensions={"type": "integer", "minimum": 1, "maximum": 1024},
    normalized={"type": "boolean"},
)
STATES = ["validating", "in_progress", "finalizing"]
REFUSED = {"error": {"code": "invalid_value", "message": "this text is poison"}}


@dataclass
class Job:
    """One batch."""

    id: str
    lines: list[dict[str, Any]]
    body: dict[str, Any]
    end: str = "completed"
    looks: int = 0
    steps: int = len(STATES)
    created: float = field(default_factory=time.time)
    errors: list[dict[str, str]] = field(default_factory=list)

    @property
    def is_over(self) -> bool:
        return self.looks > self.steps


class BatchServer:
    """Serves until the end of its block.

    Attributes:
        paid: how often each text was embedded by a batch.
        fault: called with the method and the path; "before" and "after" break the connection off before or after the
            request is carried out, a number is an error's status.
        ends: how the next batches end, one after the other: "completed", "expired" (the first half is done), "failed",
            "cancelled", "full" (too much is waiting).
        steps: looks that find a new batch unfinished.
        spoil: changes a vector of a batch.
        lists_as_jina: whether the one route that both have is Jina's.
        counts_early: whether Jina's batches say how many lines they have before they are over.
    """

    def __init__(self, most: int = 50_000) -> None:
        self.most, self.steps = most, len(STATES)
        self.lists_as_jina, self.counts_early = False, True
        self.paid: Counter[str] = Counter()
        self.single: list[str] = []
        self.jobs: dict[str, Job] = {}
        self.files: dict[str, list[dict[str, Any]]] = {}
        self.requests: list[str] = []
        self.wrong: list[str] = []
        self.ends: list[str] = []
        self.fault: Callable[[str, str], str | int | None] = lambda *_: None
        self.spoil: Callable[[list[float]], list[float]] = lambda vector: vector
        self.lock = threading.Lock()

    def __enter__(self) -> Self:
        handler = type("Handler", (_Handler,), {"owner": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        assert not self.wrong, self.wrong

    # -- what both have -----------------------------------------------------------------------------------------------

    def check(self, schema: dict[str, Any], body: Any) -> None:
        self.wrong += [error.message[:200] for error in Draft202012Validator(schema).iter_errors(body)]

    def submit(self, lines: list[dict[str, Any]], body: dict[str, Any]) -> Job:
        if len(lines) > self.most:
            self.wrong.append(f"{len(lines)} lines")
        if len({line["custom_id"] for line in lines}) < len(lines):
            self.wrong.append("a custom_id twice")
        end = self.ends.pop(0) if self.ends else "completed"
        job = Job(f"batch_{len(self.jobs)}", lines, body, end, steps=self.steps)
        self.jobs[job.id] = job
        return job

    def worked_on(self, job: Job) -> list[dict[str, Any]]:
        """The lines that are done when a batch ends."""
        part = {"completed": len(job.lines), "expired": (len(job.lines) + 1) // 2, "cancelled": 1}
        return job.lines[: part.get(job.end, 0)]

    def look(self, job: Job) -> None:
        job.looks += 1
        if job.looks == job.steps + 1:
            for line in self.worked_on(job):
                text = text_of(line)
                self.paid[text] += "poison" not in text

    def results(self, job: Job, *, good: bool) -> list[dict[str, Any]]:
        """The lines of the file of answers, or of that of errors; in another order than they were sent."""
        found = []
        for line in reversed(self.worked_on(job)):
            text = text_of(line)
            if ("poison" not in text) == good:
                body = self.answer(job, line, [text]) if good else REFUSED
                answer = {"status_code": 200 if good else 400, "request_id": "r", "body": body}
                found.append({"id": "x", "custom_id": line["custom_id"], "response": answer, "error": None})
        if not good and job.end == "expired":
            missing = job.lines[len(self.worked_on(job)) :]
            fault = {"code": "batch_expired", "message": "it could not be done in time"}
            found += [{"id": "x", "custom_id": line["custom_id"], "response": None, "error": fault} for line in missing]
        return found

    def answer(self, job: Job | None, line: dict[str, Any], texts: list[str]) -> dict[str, Any]:
        said = {**(job.body if job else {}), **line.get("body", {})}
        task = {"retrieval": "retrieval.passage"}.get(said.get("task", ""), said.get("task"))
        vectors: list[Any] = [truth(text, task, said.get("dimensions") or WIDTH).tolist() for text in texts]
        vectors = [self.spoil(vector) for vector in vectors] if job else vectors
        if said.get("encoding_format") == "base64":
            vectors = [base64.b64encode(np.array(one, "<f4").tobytes()).decode() for one in vectors]
        data = [{"object": "embedding", "index": index, "embedding": one} for index, one in enumerate(vectors)]
        return {"object": "list", "data": data, "model": said["model"], "usage": {"total_tokens": 5 * len(texts)}}


def text_of(line: dict[str, Any]) -> str:
    said = line["body"]["input"]
    return str(said[0] if isinstance(said, list) else said)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    owner: BatchServer

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's
        pass

    def do_GET(self) -> None:
        self._serve("GET")

    def do_POST(self) -> None:
        self._serve("POST")

    def _serve(self, method: str) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        owner, path = self.owner, self.path.removeprefix("/v1")
        with owner.lock:
            owner.requests.append(f"{method} {path}")
            fault = owner.fault(method, path)
            if self.headers["authorization"] != "Bearer k-canary-key":
                owner.wrong.append(f"{path} without the key")
            if isinstance(fault, int):
                self._say(fault, b'{"error": {"message": "not now"}}', {"retry-after-ms": "5"})
                return
            if fault != "before":
                status, said = self._route(method, path, body)
            if fault is not None:
                self.close_connection = True
                self.connection.close()
                return
        self._say(status, said, {})

    def _say(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"content-length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _route(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        name, _, query = path.partition("?")
        found: Any = None
        for pattern, call in (
            (r"POST /embeddings", self._embeddings),
            (r"POST /files", self._upload),
            (r"POST /batches", self._create),
            (r"GET /batches", self._list),
            (r"GET /batches/(\w+)", self._look),
            (r"GET /files/(\w+)/content", self._content),
            (r"POST /batch/embeddings", self._jina),
            (r"GET /batch/(\w+)", self._jina_look),
            (r"GET /batch/(\w+)/(output|errors)", self._jina_file),
        ):
            match = re.fullmatch(pattern, f"{method} {name}")
            if match:
                found = call(body, query, *match.groups())
                break
        if found is None:
            return 404, b'{"error": {"message": "there is nothing here"}}'
        return 200, found if isinstance(found, bytes) else json.dumps(found).encode()

    def _embeddings(self, body: bytes, _: str) -> Any:
        said = json.loads(body)
        self.owner.single += said["input"]
        return self.owner.answer(None, {"body": said}, said["input"])

    # -- OpenAI -------------------------------------------------------------------------------------------------------

    def _upload(self, body: bytes, _: str) -> Any:
        border = self.headers["content-type"].partition("boundary=")[2].encode()
        parts = [part.partition(b"\r\n\r\n") for part in body.split(b"--" + border)[1:-1]]
        fields = {re.search(rb'name="(\w+)"', head)[1].decode(): data[:-2] for head, _, data in parts}  # type: ignore[index]
        if set(fields) != {"purpose", "file"} or fields["purpose"] != b"batch":
            self.owner.wrong.append(f"a form of {sorted(fields)}")
        lines = [json.loads(line) for line in fields["file"].splitlines()]
        for line in lines:
            self.owner.check(LINE, line)
        file = f"file_{len(self.owner.files)}"
        self.owner.files[file] = lines
        return {"id": file, "object": "file", "purpose": "batch", "bytes": len(fields["file"])}

    def _create(self, body: bytes, _: str) -> Any:
        said = json.loads(body)
        self.owner.check(BATCH, said)
        return self._said(self.owner.submit(self.owner.files[said["input_file_id"]], said))

    def _list(self, _: bytes, query: str) -> Any:
        jobs = sorted(self.owner.jobs.values(), key=lambda job: -job.created)
        if self.owner.lists_as_jina:
            return [self._jina_said(job) for job in jobs[:100]]
        after = re.search(r"after=(\w+)", query)
        start = next((n + 1 for n, job in enumerate(jobs) if after and job.id == after[1]), 0)
        page = jobs[start : start + 2]  # pages are small here, so that there are several
        more = start + 2 < len(jobs)
        return {"object": "list", "data": [self._said(job) for job in page], "has_more": more}

    def _look(self, _: bytes, __: str, name: str) -> Any:
        job = self.owner.jobs.get(name)
        if job is not None:
            self.owner.look(job)
        return None if job is None else self._said(job)

    def _said(self, job: Job) -> dict[str, Any]:
        over, end = job.is_over, "failed" if job.end == "full" else job.end
        done = self.owner.worked_on(job) if over else []
        said = {
            "id": job.id,
            "object": "batch",
            "endpoint": "/v1/embeddings",
            "status": end if over else STATES[min(max(job.looks - 1, 0), 2)],
            "created_at": int(job.created),
            "input_file_id": job.body["input_file_id"],
            "metadata": job.body.get("metadata"),
            "request_counts": {"total": len(job.lines), "completed": len(done), "failed": 0},
            "output_file_id": f"output_{job.id}" if over and self.owner.results(job, good=True) else None,
            "error_file_id": f"error_{job.id}" if over and self.owner.results(job, good=False) else None,
        }
        if over and end == "failed":
            code = "token_limit_exceeded" if job.end == "full" else "invalid_json_line"
            said["errors"] = {"object": "list", "data": [{"code": code, "message": "no", "line": None}]}
        return said

    def _content(self, _: bytes, __: str, name: str) -> Any:
        kind, ___, job = name.partition("_")
        lines = self.owner.results(self.owner.jobs[job], good=kind == "output")
        return b"\n".join(json.dumps(line).encode() for line in lines)

    # -- Jina ---------------------------------------------------------------------------------------------------------

    def _jina(self, body: bytes, _: str) -> Any:
        said = json.loads(body)
        self.owner.check(JINA, said)
        return self._jina_said(self.owner.submit(said.pop("input"), said))

    def _jina_look(self, _: bytes, __: str, name: str) -> Any:
        job = self.owner.jobs.get(name)
        if job is not None:
            self.owner.look(job)
        return None if job is None else self._jina_said(job)

    def _jina_said(self, job: Job) -> dict[str, Any]:
        done = self.owner.worked_on(job) if job.is_over else []
        failed = sum("poison" in text_of(line) for line in done)
        return {
            "batch_id": job.id,
            "status": job.end
            if job.is_over
            else ["pending", "processing", "processing"][min(max(job.looks - 1, 0), 2)],
            "model": job.body["model"],
            "created_at": datetime.fromtimestamp(job.created, UTC).isoformat(),
            "stats": {"total": len(job.lines), "completed": len(done) - failed, "failed": failed}
            if self.owner.counts_early or job.is_over
            else None,
            "error": "it broke" if job.end == "failed" and job.is_over else None,
        }

    def _jina_file(self, _: bytes, __: str, name: str, kind: str) -> Any:
        lines = self.owner.results(self.owner.jobs[name], good=kind == "output")
        return b"\n".join(json.dumps(line).encode() for line in lines)
