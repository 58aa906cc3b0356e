"""Jina's batch API: `POST /v1/batch/embeddings` takes the lines themselves, and a file of answers comes of them.

Published of 2026-04, without the form of a line of results: it is read as OpenAI's, whose form of input it takes.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from twofold.backend import Batch
from twofold.wires.openai_batch import read_line
from twofold.wires.reading import decode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twofold.backend import BatchState
    from twofold.wires.wire import Ask

__all__ = ["LIST", "SUBMIT", "look_path", "read_batch", "read_line", "read_list", "write_batch", "write_line"]

SUBMIT, LIST = "/batch/embeddings", "/batches?limit=100"
TASKS = {"retrieval.passage": "retrieval"}
"""What a batch calls a task, where that is another name; it has none for the query's side."""
_STATES: dict[str, BatchState] = {"pending": "checked", "processing": "running", "completed": "completed"}
_STATES |= {"failed": "failed", "expired": "expired", "cancelled": "cancelled"}


class _Stats(msgspec.Struct):
    total: int = 0
    completed: int = 0
    failed: int = 0


class _Batch(msgspec.Struct):
    batch_id: str
    status: str
    created_at: str = ""
    stats: _Stats | None = None
    error: str | None = None
    output_url: str | None = None
    error_file_url: str | None = None


class _Submission(msgspec.Struct, omit_defaults=True):
    model: str
    input: list[msgspec.Raw]
    task: str | None = None
    dimensions: int | None = None
    normalized: bool | None = None


def write_line(key: str, text: str) -> bytes:
    """A text's line."""
    return msgspec.json.encode({"custom_id": key, "body": {"input": text}})


def write_batch(lines: Sequence[bytes], ask: Ask) -> bytes:
    """The body that submits lines."""
    return msgspec.json.encode(
        _Submission(
            model=ask.model,
            input=[msgspec.Raw(line) for line in lines],
            task=TASKS.get(ask.task or "", ask.task),
            dimensions=ask.dimensions,
            normalized=ask.normalize,
        )
    )


def look_path(batch: str) -> str:
    """Where a batch is looked after."""
    return f"/batch/{batch}"


def read_batch(body: bytes) -> Batch:
    """A batch.

    Raises:
        Garbled, Violation: see `decode`.
    """
    return _batch(decode(body, _Batch))


def read_list(body: bytes) -> tuple[list[Batch], str | None]:
    """The latest batches; there is no next page."""
    return [_batch(one) for one in decode(body, list[_Batch])], None


def _batch(said: _Batch) -> Batch:
    stats = said.stats or _Stats()
    files = (("output", stats.completed or said.output_url), ("errors", stats.failed or said.error_file_url))
    return Batch(
        id=said.batch_id,
        state=_STATES.get(said.status, "running"),
        total=stats.total,
        done=stats.completed + stats.failed,
        reason=said.error or "",
        created=_seconds(said.created_at),
        results=tuple(f"/batch/{said.batch_id}/{name}" for name, there in files if there),
    )


def _seconds(moment: str) -> float:
    """Unix seconds of an ISO 8601 moment, which is UTC's where it does not say; 0 for what is none."""
    try:
        read = datetime.fromisoformat(moment)
    except ValueError:
        return 0.0
    return (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()
