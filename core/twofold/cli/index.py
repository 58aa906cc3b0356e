"""`twofold index`: a corpus into a collection."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from twofold import jobs
from twofold.cli import INTERRUPTED, show
from twofold.cli.interrupts import stopping
from twofold.cli.options import CollectionOption, JsonOption, StoreOption, embedder_options
from twofold.embedder import Embedder


@embedder_options()
def index(
    paths: Annotated[
        list[Path], typer.Argument(help="Folders and files of text, Markdown, JSONL.", show_default=False)
    ],
    *,
    store: StoreOption,
    collection: CollectionOption,
    embedder: Embedder,
    chunk_tokens: Annotated[int | None, typer.Option(help="Cut documents into chunks of so many tokens.")] = None,
    late_chunking: Annotated[bool, typer.Option(help="Embed each chunk in its document.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Index a corpus: unchanged documents are skipped, changed ones replaced, a killed run continues."""
    with stopping() as stop, jobs.open_store(store, collection, embedder) as opened:
        counts = jobs.index(
            embedder,
            opened,
            jobs.read_corpus(paths),
            chunk_tokens=chunk_tokens,
            late_chunking=late_chunking,
            progress=True,
            stop=stop,
        )
    if as_json:
        show.as_json(asdict(counts))
    else:
        show.line(said(counts))
    if counts.stopped:
        raise typer.Exit(INTERRUPTED)


def said(counts: jobs.Counts) -> str:
    """What a run did, in a sentence."""
    done = f"{counts.added:,} added, {counts.updated:,} updated, {counts.skipped:,} unchanged"
    return f"{done}; the rest is left for the next run" if counts.stopped else done
