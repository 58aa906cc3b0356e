"""The formats of exported collections: JSONL and Parquet. Both contain the space's record and every row's vector.

JSONL has the record in its first line, `{"twofold": 1, "record": …}`, then one line per row. Parquet has the record in
the metadata of its schema, under `twofold.record`, and a column per field of a row. Metadata is JSON in both.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias

import numpy as np

from twofold.errors import InputError
from twofold.extras import extra
from twofold.space import SpaceRecord
from twofold.stores import Row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from twofold.stores import Stored
    from twofold.vectors import FloatArray

    Write: TypeAlias = Callable[[Sequence[Stored]], None]
    Parts: TypeAlias = Iterator[tuple[list[Row], FloatArray]]

VERSION = 1
RECORD = b"twofold.record"
ROWS = 1000


class Archive(ABC):
    """A file format: writes rows to a stream and reads them from a file."""

    @abstractmethod
    def open_writer(self, stream: BinaryIO, record: str) -> AbstractContextManager[Write]:
        """Write the record, then yield a function that writes rows."""

    @abstractmethod
    def open_reader(self, file: Path) -> AbstractContextManager[tuple[SpaceRecord, Parts]]:
        """Yield the record and an iterator over parts of the rows, with their vectors.

        Raises:
            InputError: the file was not exported by Twofold, or is damaged.
            SpaceMismatch: its record cannot be read.
        """


class Jsonl(Archive):
    """One line of JSON per row, with vectors as lists of numbers."""

    @contextmanager
    def open_writer(self, stream: BinaryIO, record: str) -> Iterator[Write]:
        stream.write(_line({"twofold": VERSION, "record": record}))

        def write(rows: Sequence[Stored]) -> None:
            stream.writelines(_line({**_fields(one.row), "vector": _numbers(one.vector)}) for one in rows)

        yield write

    @contextmanager
    def open_reader(self, file: Path) -> Iterator[tuple[SpaceRecord, Parts]]:
        with file.open("rb") as stream:
            first = _parsed(stream.readline(), file, 1)
            if first.get("twofold") != VERSION or not isinstance(first.get("record"), str):
                raise InputError(f"{file} was not exported by this version of Twofold: its first line has no record")
            record = SpaceRecord.from_json(first["record"])
            lines = (_parsed(line, file, number) for number, line in enumerate(stream, 2))
            yield record, _parts(lines, record.space.dimensions, file)


class Parquet(Archive):
    """One column per field, with vectors as lists of float32."""

    @contextmanager
    def open_writer(self, stream: BinaryIO, record: str) -> Iterator[Write]:
        pa, pq = _pyarrow()
        size = SpaceRecord.from_json(record).space.dimensions
        columns = [(name, pa.string()) for name in ("id", "document", "text")]
        columns += [(name, pa.int64()) for name in ("start", "end", "section", "rows")]
        columns += [(name, pa.string()) for name in ("digest", "source", "metadata")]
        schema = pa.schema([*columns, ("vector", pa.list_(pa.float32(), size))], metadata={RECORD: record})
        with pq.ParquetWriter(stream, schema) as writer:

            def write(rows: Sequence[Stored]) -> None:
                values = [{**_fields(one.row), "vector": np.asarray(one.vector, np.float32)} for one in rows]
                writer.write_table(pa.Table.from_pylist(values, schema))

            yield write

    @contextmanager
    def open_reader(self, file: Path) -> Iterator[tuple[SpaceRecord, Parts]]:
        pa, pq = _pyarrow()
        try:
            table = pq.ParquetFile(file)
        except pa.ArrowInvalid as error:
            raise InputError(f"{file} is not Parquet: {error}") from None
        with table:
            stored = (table.schema_arrow.metadata or {}).get(RECORD)
            if stored is None:
                raise InputError(f"{file} was not exported by Twofold: its schema has no record")
            record = SpaceRecord.from_json(stored.decode())
            rows = (row for batch in table.iter_batches(ROWS) for row in batch.to_pylist())
            yield record, _parts(rows, record.space.dimensions, file)


ARCHIVES: dict[str, Archive] = {"jsonl": Jsonl(), "parquet": Parquet()}


def _pyarrow() -> tuple[Any, Any]:
    with extra("parquet"):
        import pyarrow as pa  # noqa: PLC0415 - optional
        import pyarrow.parquet as pq  # noqa: PLC0415
    return pa, pq


def _fields(row: Row) -> dict[str, Any]:
    """A row's fields without its vector."""
    start, end = row.span
    own = {"id": row.id, "document": row.document, "text": row.text, "start": start, "end": end, "section": row.section}
    metadata = json.dumps(dict(row.metadata), ensure_ascii=False, sort_keys=True)
    return {**own, "rows": row.rows, "digest": row.digest, "source": row.source, "metadata": metadata}


def _parts(raw: Iterable[dict[str, Any]], size: int, file: Path) -> Parts:
    rows: list[Row] = []
    vectors: list[Any] = []
    for number, one in enumerate(raw):
        try:
            row, vector = _row(one), np.asarray(one["vector"], np.float32)
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{file}, row {number}: not an exported row ({error})") from None
        if vector.shape != (size,) or not np.isfinite(vector).all():
            raise InputError(f"{file}, row {number}: its vector is not {size} finite numbers")
        rows.append(row)
        vectors.append(vector)
        if len(rows) == ROWS:
            yield rows, np.stack(vectors)
            rows, vectors = [], []
    if rows:
        yield rows, np.stack(vectors)


def _row(one: dict[str, Any]) -> Row:
    return Row(
        id=str(one["id"]),
        document=str(one["document"]),
        text=str(one["text"]),
        span=(int(one["start"]), int(one["end"])),
        metadata=json.loads(one["metadata"]),
        digest=str(one["digest"]),
        rows=int(one["rows"]),
        source=str(one["source"]),
        section=int(one["section"]),
    )


def _numbers(vector: FloatArray) -> list[float]:
    """Numbers with no more digits than a float32 needs."""
    return [float(str(number)) for number in np.asarray(vector, np.float32)]


def _line(value: dict[str, Any]) -> bytes:
    return (json.dumps(value) + "\n").encode()


def _parsed(raw: bytes, file: Path, number: int) -> dict[str, Any]:
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file}, line {number} is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise InputError(f"{file}, line {number} is not a JSON object")
    return value
