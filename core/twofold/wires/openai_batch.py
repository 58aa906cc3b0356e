"""OpenAI's batch API: upload a file of requests, submit it with `POST /v1/batches`, download files of answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from twofold.backend import Batch, Missing, Refused
from twofold.wires.reading import decode

if TYPE_CHECKING:
    from twofold.backend import BatchState

UPLOAD, SUBMIT, LIST = "/files", "/batches", "/batches?limit=100"
OK, REFUSED = 200, frozenset({400, 413, 422})
"""The status of an answer with vectors, and statuses that refuse the text itself."""
MARKER = "twofold"
"""The key of our marker in a batch's metadata."""
_STATES: dict[str, BatchState] = {"validating": "checked", "cancelling": "running", "finalizing": "running"}
_STATES |= {"in_progress": "running", "completed": "completed", "failed": "failed"}
_STATES |= {"expired": "expired", "cancelled": "cancelled"}


class _Counts(msgspec.Struct):
    total: int = 0
    completed: int = 0
    failed: int = 0


class _Fault(msgspec.Struct):
    code: Any = None
    message: Any = None


class _Faults(msgspec.Struct):
    data: list[_Fault] | None = None


class _Batch(msgspec.Struct):
    id: str
    status: str
    created_at: float = 0.0
    output_file_id: str | None = None
    error_file_id: str | None = None
    errors: _Faults | None = None
    request_counts: _Counts | None = None
    metadata: dict[str, Any] | None = None


class _List(msgspec.Struct):
    data: list[_Batch]
    has_more: bool = False


class _Request(msgspec.Struct):
    custom_id: str
    method: str
    url: str
    body: msgspec.Raw


class _Answer(msgspec.Struct):
    status_code: int
    body: msgspec.Raw = msgspec.Raw(b"null")


class _Line(msgspec.Struct):
    custom_id: str
    response: _Answer | None = None
    error: Any = None


class _File(msgspec.Struct):
    id: str


def write_line(key: str, body: bytes) -> bytes:
    return msgspec.json.encode(_Request(key, "POST", "/v1/embeddings", msgspec.Raw(body))) + b"\n"


def write_batch(file: str, marker: str) -> bytes:
    """The body that submits an uploaded file."""
    return msgspec.json.encode(
        {
            "input_file_id": file,
            "endpoint": "/v1/embeddings",
            "completion_window": "24h",
            "metadata": {MARKER: marker},
        }
    )


def read_file(body: bytes) -> str:
    """The id of an uploaded file."""
    return decode(body, _File).id


def look_path(batch: str) -> str:
    return f"/batches/{batch}"


def read_batch(body: bytes) -> Batch:
    """A batch.

    Raises:
        Garbled, Violation: see `decode`.
    """
    return _batch(decode(body, _Batch))


def read_list(body: bytes) -> tuple[list[Batch], str | None]:
    """One page of batches, the newest first, and the path of the next page; None after the last."""
    page = decode(body, _List)
    more = f"{LIST}&after={page.data[-1].id}" if page.has_more and page.data else None
    return [_batch(one) for one in page.data], more


def read_line(line: bytes) -> tuple[str, bytes | Refused | Missing]:
    """A line of results: the request's key, and the answer's body or why there is none.

    Raises:
        Garbled, Violation: see `decode`.
    """
    said = decode(line, _Line)
    answer = said.response
    if answer is not None and answer.status_code == OK and said.error is None:
        return said.custom_id, bytes(answer.body)
    fault = said.error if answer is None else answer.body
    reason = f"{answer.status_code if answer else ''} {msgspec.json.encode(fault).decode()[:300]}".strip()
    refused = answer is not None and answer.status_code in REFUSED
    return said.custom_id, Refused(reason) if refused else Missing(reason)


def _batch(said: _Batch) -> Batch:
    counts = said.request_counts or _Counts()
    faults = (said.errors.data if said.errors else None) or []
    marker = (said.metadata or {}).get(MARKER)
    return Batch(
        id=said.id,
        state=_STATES.get(said.status, "running"),
        total=counts.total,
        done=counts.completed + counts.failed,
        reason="; ".join(f"{fault.code}: {fault.message}" for fault in faults[:3]),
        is_full=any(fault.code == "token_limit_exceeded" for fault in faults),
        marker=marker if isinstance(marker, str) else None,
        created=said.created_at,
        results=tuple(f"/files/{file}/content" for file in (said.output_file_id, said.error_file_id) if file),
    )
