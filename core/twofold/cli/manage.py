"""`twofold collections`, `info` and `drop`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from twofold import jobs
from twofold.cli import FAILED, show
from twofold.cli.collection import open_existing, record_of, space_of
from twofold.cli.files import is_terminal
from twofold.cli.options import CollectionArgument, JsonOption, StoreOption
from twofold.cli.say import line, say
from twofold.errors import InputError, TwofoldError
from twofold.stores.store import as_catalogue, collection_names

if TYPE_CHECKING:
    from twofold.jobs import Verified
    from twofold.stores import Store


def collections(store: StoreOption, as_json: JsonOption = False) -> None:
    """List the collections of a store with their models and sizes."""
    found = [_described(store, name) for name in collection_names(store)]
    if as_json:
        show.as_json(found)
        return
    columns = ("collection", "rows", "space")
    show.table(columns, ((one["collection"], f"{one['rows']:,}", one["space"] or one["note"]) for one in found))


def info(name: CollectionArgument, *, store: StoreOption, as_json: JsonOption = False) -> None:
    """Show what a collection contains, and check it for faults.

    Checks that no document lacks rows, and that a search with a row's own vector finds the row. Needs no model. The
    exit code is 1 if there is a fault.
    """
    with open_existing(store, name) as opened:
        found = jobs.verify(None, opened)
        facts = {"collection": name, **space_of(opened), "documents": found.documents, "rows": found.rows}
    if as_json:
        show.as_json({**facts, "faults": found.faults})
    else:
        show.table(("what", "found"), ((key, _said(value)) for key, value in facts.items()))
        tell_faults(found)
    if not found.sound:
        raise typer.Exit(FAILED)


def tell_faults(found: Verified) -> None:
    """Print the faults of a collection."""
    for fault in found.faults or ["no faults found"]:
        line(f"WRONG: {fault}" if found.faults else fault)


def drop(
    name: CollectionArgument,
    *,
    store: StoreOption,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
) -> None:
    """Remove a collection. Asks for confirmation."""
    with open_existing(store, name) as opened:
        rows = opened.count()
        if not yes and not _agreed(name, rows):
            say("nothing was removed")
            raise typer.Exit(FAILED)
        as_catalogue(opened).drop()
    line(f"removed {name} with {rows:,} rows")


def _agreed(name: str, rows: int) -> bool:
    if not is_terminal():
        raise InputError(
            f"standard input is not a terminal, so drop cannot ask for confirmation: add --yes to remove {name}"
        )
    sys.stderr.write(f"remove the collection {name!r} with its {rows:,} rows? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _described(address: str, name: str) -> dict[str, Any]:
    """One line of the list. A collection that cannot be opened is listed with its error."""
    try:
        with open_existing(address, name) as opened:
            return {"collection": name, "rows": opened.count(), "space": _tag(opened), "note": ""}
    except TwofoldError as error:
        return {"collection": name, "rows": 0, "space": None, "note": str(error)}


def _tag(store: Store) -> str | None:
    return record_of(store).space.tag if store.record() is not None else None


def _said(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
