"""Jina's batch API: `POST /v1/batch/embeddings` accepts the lines, and a file of answers is downloaded later.

Published in 2026-04 without the format of a line of results. Since its input has OpenAI's format, results are read in
that format too.
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
"""A batch's names of tasks that differ from a single request's. There is none for the query side."""
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
    return msgspec.json.encode({"custom_id": key, "body": {"input": text}})


def write_batch(lines: Sequence[bytes], ask: Ask) -> bytes:
    """The body of a submission."""
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
    return f"/batch/{batch}"


def read_batch(body: bytes) -> Batch:
    """A batch.

    Raises:
        Garbled, Violation: see `decode`.
    """
    return _batch(decode(body, _Batch))


def read_list(body: bytes) -> tuple[list[Batch], str | None]:
    """The latest batches, and no path: the list has one page."""
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
    """Unix seconds of an ISO 8601 time, UTC by default; 0 if it is invalid."""
    try:
        read = datetime.fromisoformat(moment)
    except ValueError:
        return 0.0
    return (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()
