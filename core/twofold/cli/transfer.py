"""`twofold export` and `import`."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

import typer

from twofold.cli import show
from twofold.cli.archives import ARCHIVES, Archive
from twofold.cli.collection import open_existing, options_of, record_of
from twofold.cli.files import whole_file
from twofold.cli.interrupts import stop_on_interrupt
from twofold.cli.options import CollectionArgument, JsonOption, StoreOption
from twofold.cli.say import line
from twofold.embedder import Embedder
from twofold.errors import InputError
from twofold.progress import reporting
from twofold.stores import Store, connect_store
from twofold.stores.opening import check_space

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from twofold.space import SpaceRecord
    from twofold.stores import Stored

Form: TypeAlias = Literal["jsonl", "parquet"]
FormOption = Annotated[Form | None, typer.Option("--format", help="File format. Default: by the file's name.")]
ROWS = 1000
"""Rows in memory at once."""


def export(
    name: CollectionArgument,
    output: Annotated[Path, typer.Argument(help="File to write, ending in .parquet or .jsonl.", show_default=False)],
    *,
    store: StoreOption,
    form: FormOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a collection to a file, with its vectors and its record.

    The file appears when it is complete. Parquet needs the extra parquet.
    """
    archive = _archive(output, form)
    with (
        stop_on_interrupt() as stop,
        open_existing(store, name) as opened,
        whole_file(output) as stream,
        reporting(opened.count(), "exporting") as report,
        archive.open_writer(stream, record_of(opened).to_json()) as write,
    ):
        count = 0
        for rows in _pages(opened, stop):
            write(rows)
            count += len(rows)
            report(len(rows), 0)
    show.as_json({"rows": count}) if as_json else line(f"{count:,} rows are in {output}")


def import_(
    file: Annotated[Path, typer.Argument(help="File written by export.", show_default=False)],
    name: CollectionArgument,
    *,
    store: StoreOption,
    form: FormOption = None,
    as_json: JsonOption = False,
) -> None:
    """Read an exported file into a collection of the same space.

    The collection is created if it does not exist. Rows with the same ids are replaced.
    """
    archive = _archive(file, form)
    if not file.is_file():
        raise InputError(f"{file} does not exist" if not file.exists() else f"{file} is not a file")
    with (
        stop_on_interrupt() as stop,
        archive.open_reader(file) as (record, parts),
        _collection_for(store, name, record) as opened,
    ):
        count = 0
        for rows, vectors in parts:
            if stop():
                raise KeyboardInterrupt
            opened.upsert(rows, vectors)
            count += len(rows)
    show.as_json({"rows": count}) if as_json else line(f"{count:,} rows are in {name}")


@contextmanager
def _collection_for(address: str, name: str, record: SpaceRecord) -> Iterator[Store]:
    """Open a collection for vectors of a record's space. Creates it if it does not exist.

    Raises:
        SpaceMismatch: the collection exists and is in another space.
    """
    opened = connect_store(address, name)
    try:
        if not opened.find():
            opened.make(record.to_json(), Embedder(**options_of(record.space)))
        check_space(opened, record.space)
        yield opened
    finally:
        opened.close()


def _archive(file: Path, form: Form | None) -> Archive:
    chosen = form or file.suffix.lower().lstrip(".")
    if chosen not in ARCHIVES:
        raise InputError(
            f"{file}: the format is not clear from its name: choose one with --format {' or '.join(ARCHIVES)}"
        )
    return ARCHIVES[chosen]


def _pages(store: Store, stop: Callable[[], bool]) -> Iterator[list[Stored]]:
    cursor: Any = None
    while True:
        if stop():
            raise KeyboardInterrupt
        held, cursor = store.page(cursor, ROWS)
        yield list(store.get([row.id for row in held]))
        if cursor is None:
            return
