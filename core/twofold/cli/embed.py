"""`twofold embed`: texts to vectors."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import typer

from twofold import jobs
from twofold.cli import INTERRUPTED
from twofold.cli.corpus import readable
from twofold.cli.files import input_lines, is_terminal, whole_file
from twofold.cli.interrupts import stopping
from twofold.cli.options import BARE_MODEL, embedder_options, reading_options
from twofold.cli.say import say
from twofold.cli.unfinished import Unfinished
from twofold.embedder import Embedder
from twofold.errors import ProviderError
from twofold.jobs import Reading
from twofold.progress import reporting
from twofold.stores.lengths import check_lengths

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import BinaryIO

    from twofold.vectors import FloatArray

SLICE_TOKENS = 32_768
"""How much is embedded between two looks at Ctrl-C."""


@embedder_options()
@reading_options
def embed(
    texts: Annotated[list[str] | None, typer.Argument(help="Lines of standard input if none are given.")] = None,
    *,
    embedder: Embedder,
    reading: Reading,
    file: Annotated[list[Path] | None, typer.Option(help="A file of texts, or a folder.")] = None,
    output: Annotated[Path | None, typer.Option(help="A file; standard output if none is given.")] = None,
    form: Annotated[Literal["jsonl", "npy"] | None, typer.Option("--format", help="By the file's name.")] = None,
    query: Annotated[bool, typer.Option("--query", help="As queries, not as documents.")] = False,
    task: Annotated[str | None, typer.Option(help=f"Under this task; '{BARE_MODEL}' is the bare model.")] = None,
) -> None:
    """Embed texts: a line of JSON for each, or one array in NumPy's format.

    An output file appears once it is whole. What Ctrl-C or a failure cut short is kept beside it, in a file ending in
    .unfinished, and the same command continues from there.
    """
    if query and task is not None:
        raise typer.BadParameter("--query and --task exclude each other")
    form = form or ("npy" if output and output.suffix == ".npy" else "jsonl")
    side = Side(embedder, query, task)
    with stopping() as stop:
        ids, texts = _inputs(texts or [], file or [], reading)
        counts = embedder.count_tokens(texts, task=side.name)
        check_lengths(embedder, ids, dict(enumerate(counts)))
        todo = Todo(ids, texts, counts)
        if output is None:
            _to_stream(side, todo, form, stop)
        else:
            _to_file(side, todo, form, output, stop)


class Side:
    """How texts go in: as documents, as queries, or under a task by its name."""

    def __init__(self, embedder: Embedder, query: bool, task: str | None) -> None:
        """Look the task up; it is an `InputError` where the model has none of that name."""
        self.embedder, self.query = embedder, query
        usual = embedder.query_task if query else embedder.document_task
        self.name = usual.name if task is None else embedder.card.task(None if task == BARE_MODEL else task).name
        self._usual = task is None

    def embed(self, texts: Sequence[str]) -> FloatArray:
        """The vectors of texts, shape (n, dimensions)."""
        if not self._usual:
            return self.embedder.embed(texts, task=self.name)
        return self.embedder.embed_queries(texts) if self.query else self.embedder.embed_documents(texts)

    def said(self) -> dict[str, Any]:
        """What its vectors are, to tell them from others."""
        settings = self.embedder.settings
        cut = settings.query_truncate if self.query and settings.query_truncate else settings.truncate
        return {"space": self.embedder.space.tag, "task": self.name, "query": self.query, "truncate": cut}


class Todo:
    """Texts with their ids and lengths, and what is done of them."""

    def __init__(self, ids: Sequence[str], texts: Sequence[str], counts: Sequence[int]) -> None:
        """Nothing is done."""
        self.ids, self.texts, self.counts = ids, texts, counts

    def without(self, kept: Unfinished) -> Todo:
        """Those that are not kept yet."""
        left = [number for number, text in enumerate(self.texts) if not kept.has(text)]
        return Todo(*([column[number] for number in left] for column in (self.ids, self.texts, self.counts)))  # type: ignore[arg-type] # columns of several types

    def slices(self) -> Iterator[tuple[int, int]]:
        """Runs of texts with about `SLICE_TOKENS` each, as start and end."""
        start, tokens = 0, 0
        for number, count in enumerate(self.counts):
            if tokens and tokens + count > SLICE_TOKENS:
                yield start, number
                start, tokens = number, 0
            tokens += count
        if start < len(self.counts):
            yield start, len(self.counts)


def _inputs(texts: list[str], files: list[Path], reading: Reading) -> tuple[list[str], list[str]]:
    """Ids and texts: numbers from 0 for those typed and for lines that are read, paths and ids for files."""
    items = [jobs.Item(str(number), text) for number, text in enumerate(texts)]
    if not texts and not files:
        if is_terminal():
            raise typer.BadParameter("no texts: give some, or --file, or lines on standard input")
        items = [jobs.Item(str(number), line) for number, line in input_lines(reading.encoding)]
    corpus = jobs.read_corpus(files, reading)
    items += readable(corpus)
    if not items:
        raise typer.BadParameter("no texts: nothing but blank ones was read")
    if corpus.skipped:
        say("left out: " + ", ".join(f"{count:,} {what}" for what, count in corpus.skipped.items()))
    return [item.id for item in items], [item.text for item in items]


def _run(side: Side, todo: Todo, stop: Any) -> Iterator[tuple[int, int, FloatArray]]:
    """Slices as start and end, with their vectors; of one that a provider failed in, what it gave.

    Raises:
        typer.Exit: Ctrl-C was pressed.
        ProviderError: a hosted model failed.
    """
    with reporting(len(todo.texts)) as report:
        for start, end in todo.slices():
            if stop():
                raise typer.Exit(INTERRUPTED)
            try:
                yield start, end, side.embed(todo.texts[start:end])
            except ProviderError as error:
                for index, vectors in sorted(error.partial.items()):
                    yield start + index, start + index + 1, vectors
                raise
            report(end - start, sum(todo.counts[start:end]))


def _to_stream(side: Side, todo: Todo, form: str, stop: Any) -> None:
    """Write to standard output: lines as they come, or one array at the end."""
    stream, kept, count = sys.stdout.buffer, [], 0
    try:
        for start, end, vectors in _run(side, todo, stop):
            if form == "jsonl":
                stream.writelines(_lines(todo.ids[start:end], vectors))
                stream.flush()
            else:
                kept.append(vectors)
            count += end - start
    finally:
        if count < len(todo.texts):
            say(f"{count:,} of {len(todo.texts):,} texts were embedded")
    if form == "npy":
        np.save(stream, np.concatenate(kept))


def _to_file(side: Side, todo: Todo, form: str, output: Path, stop: Any) -> None:
    """Write a file once it is whole; until then vectors are kept beside it."""
    with whole_file(output) as stream:  # made first, so that what cannot be written is said before any work
        kept = Unfinished(output, side.said(), side.embedder.dimensions)
        try:
            left = todo.without(kept)
            for start, end, vectors in _run(side, left, stop):
                kept.keep(left.texts[start:end], vectors)
        finally:
            there = sum(map(kept.has, todo.texts))
            if there < len(todo.texts):
                say(f"{there:,} of {len(todo.texts):,} texts are in {kept.path}: run it again to go on")
        _write(stream, form, kept, todo)
    kept.remove()


def _write(stream: BinaryIO, form: str, kept: Unfinished, todo: Todo) -> None:
    if form == "npy":
        np.save(stream, kept.vectors(todo.texts))
        return
    for start, end in todo.slices():
        stream.writelines(_lines(todo.ids[start:end], kept.vectors(todo.texts[start:end])))


def _lines(ids: Sequence[str], vectors: FloatArray) -> Iterator[bytes]:
    """Lines of JSON; each number has as many digits as a float32 needs."""
    for key, vector in zip(ids, vectors, strict=True):
        numbers = ", ".join(map(str, vector))
        yield f'{{"id": {json.dumps(key)}, "embedding": [{numbers}]}}\n'.encode()
