"""`twofold plot`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from twofold.cli.collection import embedder_of, open_existing
from twofold.cli.files import whole_file
from twofold.cli.options import Given, given_options, with_bare_tasks
from twofold.cli.pictures import Points, draw_map, draw_similarities, form_of
from twofold.cli.say import line
from twofold.cli.search import shorten
from twofold.errors import InputError
from twofold.stores.store import scan_rows

if TYPE_CHECKING:
    from twofold.embedder import Embedder
    from twofold.stores import Store

MOST = 5000
"""Default number of rows in a map."""
NAME = 60
"""Characters of a text in a picture."""


@given_options
def plot(
    name: Annotated[
        str | None, typer.Argument(help="Name of the collection; not needed with --text.", show_default=False)
    ] = None,
    *,
    given: Given,
    store: Annotated[str | None, typer.Option("--store", help="Store of the collection.")] = None,
    output: Annotated[Path, typer.Option(help="Picture to write, ending in .png, .svg or .html.")] = Path("plot.png"),
    color: Annotated[str | None, typer.Option(help="Metadata field that colours the points.")] = None,
    rows: Annotated[int, typer.Option(help="Maximum number of rows in the map, spread over the collection.")] = MOST,
    text: Annotated[
        list[str] | None, typer.Option(help="Draw the similarities of these texts instead. Repeatable.")
    ] = None,
) -> None:
    """Draw a map of a collection, or the similarities of a few texts.

    The map shows the two directions in which the vectors differ most (principal components). With --text, draws a table
    of cosines, computed by the embedder of the collection or of the options. Needs the extra plot.
    """
    form = form_of(output)
    if rows < 2:
        raise InputError(f"--rows {rows}: it must be at least 2")
    if text and len(text) < 2:
        raise InputError("only one --text was given: repeat --text to give at least two texts")
    if not text and (name is None or store is None):
        raise InputError("nothing to draw: give a collection and --store, or texts with --text")
    if text:
        picture = draw_similarities(_embedder(store, name, given).embed_documents(text), _names(text), form)
    else:
        with open_existing(str(store), str(name)) as opened:
            picture = draw_map(_points(opened, rows, color), form)
    with whole_file(output) as stream:
        stream.write(picture)
    line(str(output))


def _embedder(store: str | None, name: str | None, given: Given) -> Embedder:
    if store is not None and name is not None:
        with open_existing(store, name) as opened:
            return embedder_of(opened, given)
    if "model" not in given:
        raise InputError("no model: give --model, or a collection and --store")
    from twofold.embedder import Embedder  # noqa: PLC0415 - a map does not need it

    return Embedder(**with_bare_tasks(given))


def _points(store: Store, most: int, color: str | None) -> Points:
    """Rows spread evenly over a collection, with the values of the field that colours them."""
    count = store.count()
    if count < 2:
        raise InputError(f"collection {store.name!r} has {count} rows, a map needs at least 2")
    step = -(-count // most)
    ids = [row.id for number, row in enumerate(scan_rows(store)) if number % step == 0]
    stored = store.get(ids)
    if color is not None and not any(color in one.row.metadata for one in stored):
        fields = sorted({field for one in stored for field in one.row.metadata})
        raise InputError(f"no row has a field {color!r}; the fields are {', '.join(map(repr, fields)) or 'none'}")
    return Points(
        title=f"{store.name}: {len(stored):,} of {count:,} rows",
        vectors=[one.vector for one in stored],
        names=[f"{one.row.id}: {shorten(one.row.text, NAME)}" for one in stored],
        field=color,
        values=None if color is None else [one.row.metadata.get(color) for one in stored],
    )


def _names(texts: list[str]) -> list[str]:
    return [shorten(one, NAME) for one in texts]
