"""`twofold search`: ask a collection."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from twofold import jobs
from twofold.cli import show
from twofold.cli.options import CollectionOption, JsonOption, StoreOption, embedder_options
from twofold.embedder import Embedder

SHOWN = 160
"""Characters of a found text that the table shows."""


@embedder_options()
def search(
    text: Annotated[str, typer.Argument(help="The question.", show_default=False)],
    *,
    store: StoreOption,
    collection: CollectionOption,
    embedder: Embedder,
    limit: Annotated[int, typer.Option(help="How many rows.")] = 10,
    as_json: JsonOption = False,
) -> None:
    """Search a collection, best first, with the cosine of each row."""
    with jobs.open_store(store, collection, embedder, create=False) as opened:
        hits = jobs.search(embedder, opened, text, limit)
    if as_json:
        show.as_json([{"score": hit.score, **asdict(hit.row)} for hit in hits])
        return
    show.table(("score", "id", "text"), ((f"{hit.score:.4f}", hit.row.id, shorten(hit.row.text)) for hit in hits))


def shorten(text: str) -> str:
    """The beginning of a text, on one line."""
    flat = " ".join(text.split())
    return flat if len(flat) <= SHOWN else f"{flat[: SHOWN - 1]}…"
