"""`twofold embed`: texts to vectors."""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
import typer

from twofold import jobs
from twofold.cli import INTERRUPTED, show
from twofold.cli.interrupts import stopping
from twofold.cli.options import BARE_MODEL, embedder_options
from twofold.embedder import Embedder
from twofold.progress import reporting
from twofold.stores.lengths import check_lengths

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import BinaryIO

    from twofold.vectors import FloatArray

SLICE_TOKENS = 32_768
"""How much is embedded between two looks at Ctrl-C."""


@embedder_options()
def embed(
    texts: Annotated[list[str] | None, typer.Argument(help="Lines of standard input if none are given.")] = None,
    *,
    embedder: Embedder,
    file: Annotated[list[Path] | None, typer.Option(help="A file of text, Markdown, JSONL, or a folder.")] = None,
    output: Annotated[Path | None, typer.Option(help="A file; standard output if none is given.")] = None,
    form: Annotated[Literal["jsonl", "npy"] | None, typer.Option("--format", help="By the file's name.")] = None,
    query: Annotated[bool, typer.Option("--query", help="As queries, not as documents.")] = False,
    task: Annotated[str | None, typer.Option(help=f"Under this task; '{BARE_MODEL}' is the bare model.")] = None,
) -> None:
    """Embed texts: one line of JSON for each, with its id and its vector, or one array in NumPy's format."""
    if query and task is not None:
        raise typer.BadParameter("--query and --task exclude each other")
    ids, texts = _inputs(texts or [], file or [])
    chosen = _task(embedder, query, task)
    counts = embedder.count_tokens(texts, task=chosen)
    check_lengths(embedder, ids, dict(enumerate(counts)))
    form = form or ("npy" if output and output.suffix == ".npy" else "jsonl")
    with ExitStack() as stack:
        stream: BinaryIO = stack.enter_context(output.open("wb")) if output else sys.stdout.buffer
        report = stack.enter_context(reporting(len(texts)))
        stop = stack.enter_context(stopping())
        kept = []
        for start, end in _slices(counts):
            if stop():
                show.say(f"{start:,} of {len(texts):,} texts were embedded")
                raise typer.Exit(INTERRUPTED)
            vectors = embedder.embed(texts[start:end], task=chosen)
            if form == "jsonl":
                stream.writelines(_lines(ids[start:end], vectors))
            else:
                kept.append(vectors)
            report(end - start, sum(counts[start:end]))
        if form == "npy":
            np.save(stream, np.concatenate(kept))


def _inputs(texts: list[str], files: list[Path]) -> tuple[list[str], list[str]]:
    """Ids and texts: numbers from 0 for those typed or read from standard input, paths and ids for files."""
    if not texts and not files:
        if sys.stdin.isatty():
            raise typer.BadParameter("no texts: give some, or --file, or lines on standard input")
        texts = [line for line in sys.stdin.read().splitlines() if line.strip()]
    items = [jobs.Item(str(number), text) for number, text in enumerate(texts)]
    items += jobs.read_corpus(files)
    if not items:
        raise typer.BadParameter("no texts on standard input")
    return [item.id for item in items], [item.text for item in items]


def _task(embedder: Embedder, query: bool, task: str | None) -> str | None:
    if task is not None:
        return None if task == BARE_MODEL else task
    return (embedder.query_task if query else embedder.document_task).name


def _slices(counts: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Runs of texts with about `SLICE_TOKENS` each, as start and end."""
    start, tokens = 0, 0
    for number, count in enumerate(counts):
        if tokens and tokens + count > SLICE_TOKENS:
            yield start, number
            start, tokens = number, 0
        tokens += count
    yield start, len(counts)


def _lines(ids: Sequence[str], vectors: FloatArray) -> Iterator[bytes]:
    """Lines of JSON; each number has as many digits as a float32 needs."""
    for key, vector in zip(ids, vectors, strict=True):
        numbers = ", ".join(map(str, vector))
        yield f'{{"id": {json.dumps(key)}, "embedding": [{numbers}]}}\n'.encode()
