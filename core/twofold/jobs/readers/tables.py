"""Reads CSV, TSV and Parquet. Each row is a document; one column holds its text, and one may hold its id."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

from twofold.errors import InputError
from twofold.extras import extra

if TYPE_CHECKING:
    from collections.abc import Iterator

    from twofold.jobs.readers.source import Broken, Found, Source

DELIMITERS = ",;\t|"
ROWS = 1024
"""Rows of a Parquet file in memory at once."""


def read_csv(source: Source) -> Iterator[Found | Broken]:
    """One document for each row. The first row names the columns. Empty cells are omitted from the metadata.

    A `.tsv` is separated by tabs. Other files are separated by the most frequent of comma, semicolon, tab and bar in
    the first row.
    """
    csv.field_size_limit(2**31 - 1)  # the default of 128 KiB is less than a long text
    text = io.StringIO(source.read(), newline="")
    header = text.readline()
    text.seek(0)
    delimiter = "\t" if source.suffix == ".tsv" else max(DELIMITERS, key=header.count)
    rows = csv.DictReader(text, delimiter=delimiter, strict=True)
    try:
        for row in rows:
            yield source.attempt(f"line {rows.line_num}", lambda row=row: _cells(row, source.text_field))  # type: ignore[misc]
    except csv.Error as error:
        raise InputError(f"line {rows.line_num} is not {source.suffix[1:].upper()}: {error}") from None


def read_parquet(source: Source) -> Iterator[Found | Broken]:
    """One document for each row.

    Raises:
        MissingExtra: pyarrow is not installed.
        InputError: the file is not Parquet.
    """
    with extra("inputs"):
        import pyarrow as pa  # noqa: PLC0415 - optional
        import pyarrow.parquet as pq  # noqa: PLC0415
    try:
        with source.open() as stream:
            number = 0
            for batch in pq.ParquetFile(pa.PythonFile(stream, mode="r")).iter_batches(ROWS):
                for row in batch.to_pylist():
                    yield source.attempt(f"row {number}", lambda row=row: _cells(row, source.text_field))  # type: ignore[misc]
                    number += 1
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"not Parquet: {error}") from None


def _cells(row: dict[str | None, Any], text_field: str) -> dict[str | None, Any]:
    """The row without empty cells. A missing text becomes an empty string.

    Raises:
        InputError: the row has more cells than there are columns.
    """
    if None in row:
        raise InputError("more cells than the first row has columns")
    return {
        name: value or "" if name == text_field else value
        for name, value in row.items()
        if _is_kept(name, value, text_field)
    }


def _is_kept(name: str | None, value: object, text_field: str) -> bool:
    return name == text_field or value not in (None, "")
