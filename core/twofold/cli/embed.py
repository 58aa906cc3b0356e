"""`twofold embed`."""

from __future__ import annotations

import json
import sys
from itertools import chain
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import typer

from twofold import jobs
from twofold.cli import INTERRUPTED
from twofold.cli.corpus import describe_skipped, read_documents
from twofold.cli.files import input_lines, is_terminal, whole_file
from twofold.cli.interrupts import stop_on_interrupt
from twofold.cli.options import (
    BARE_MODEL,
    BudgetOption,
    BudgetTokensOption,
    budget_of,
    embedder_options,
    reading_options,
)
from twofold.cli.say import say
from twofold.cli.texts import Text, Texts, slices
from twofold.cli.unfinished import Unfinished
from twofold.embedder import Embedder
from twofold.errors import ProviderError
from twofold.jobs import Item, Reading
from twofold.progress import reporting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import BinaryIO

    from twofold.jobs import Corpus, Spending
    from twofold.vectors import FloatArray

SLICE_TOKENS = 32_768
"""Tokens embedded between two checks for Ctrl-C."""


@embedder_options()
@reading_options
def embed(
    texts: Annotated[list[str] | None, typer.Argument(help="Texts. Default: the lines of standard input.")] = None,
    *,
    embedder: Embedder,
    reading: Reading,
    file: Annotated[list[Path] | None, typer.Option(help="Read texts from this file or folder. Repeatable.")] = None,
    output: Annotated[Path | None, typer.Option(help="Write to this file instead of standard output.")] = None,
    form: Annotated[
        Literal["jsonl", "npy"] | None, typer.Option("--format", help="Output format. Default: by the file's name.")
    ] = None,
    query: Annotated[bool, typer.Option("--query", help="Embed as queries instead of documents.")] = False,
    budget: BudgetOption = None,
    budget_tokens: BudgetTokensOption = None,
    task: Annotated[
        str | None, typer.Option(help=f"Embed under this task; '{BARE_MODEL}' for no adapter and no prefix.")
    ] = None,
) -> None:
    """Embed texts. Write one line of JSON per text, or one NumPy array.

    An output file appears when it is complete. After Ctrl-C or a failure, finished vectors are kept in a file ending in
    .unfinished, and running the same command again continues from there.
    """
    if query and task is not None:
        raise typer.BadParameter("--query and --task cannot be used together")
    form = form or ("npy" if output and output.suffix == ".npy" else "jsonl")
    side = Side(embedder, query, task)
    with stop_on_interrupt() as stop, Texts() as todo:
        skipped = _read(todo, side, _inputs(texts or [], file or [], reading), stop)
        if skipped:
            say(f"skipped: {skipped}")
        work = EmbeddingRun(side, todo, stop, jobs.Spending(embedder, budget_of(budget, budget_tokens, ahead=True)))
        if output is None:
            _to_stream(work, form)
        else:
            _to_file(work, form, output)


class Side:
    """How texts are embedded: as documents, as queries, or under a named task.

    Raises:
        InputError: the model does not have the task.
    """

    def __init__(self, embedder: Embedder, query: bool, task: str | None) -> None:
        self.embedder, self.query = embedder, query
        usual = embedder.query_task if query else embedder.document_task
        self.name = usual.name if task is None else embedder.card.task(None if task == BARE_MODEL else task).name
        self._usual = task is None

    def embed(self, texts: Sequence[str]) -> FloatArray:
        """Return vectors of shape (n, dimensions)."""
        if not self._usual:
            return self.embedder.embed(texts, task=self.name)
        return self.embedder.embed_queries(texts) if self.query else self.embedder.embed_documents(texts)

    def said(self) -> dict[str, Any]:
        """A description that distinguishes its vectors from others."""
        settings = self.embedder.settings
        cut = settings.query_truncate if self.query and settings.query_truncate else settings.truncate
        return {"space": self.embedder.space.tag, "task": self.name, "query": self.query, "truncate": cut}


class EmbeddingRun:
    """Texts to embed, with the side, the budget and the check for Ctrl-C."""

    def __init__(self, side: Side, texts: Texts, stop: Callable[[], bool], spending: Spending) -> None:
        self.side, self.texts = side, texts
        self._stop, self._spending = stop, spending

    def do(self, kept: Unfinished | None = None) -> Iterator[tuple[list[Text], FloatArray]]:
        """Embed the texts that are not in `kept`, slice by slice. A slice that fails yields its finished texts.

        Raises:
            typer.Exit: Ctrl-C was pressed.
            ProviderError: a hosted model failed.
            BudgetExceeded: the budget is, or would be, exceeded.
        """
        if self._spending.limit < inf:
            self._spending.check(sum(text.tokens for text in self._left(kept)))
        with reporting(len(self.texts)) as report:
            for some in slices(self._left(kept), SLICE_TOKENS):
                if self._stop():
                    raise typer.Exit(INTERRUPTED)
                tokens = sum(text.tokens for text in some)
                self._spending.take(tokens)
                try:
                    yield some, self.side.embed([text.text for text in some])
                except ProviderError as error:
                    for index, vectors in sorted(error.partial.items()):
                        yield [some[index]], vectors
                    raise
                report(len(some), tokens)

    def _left(self, kept: Unfinished | None) -> Iterator[Text]:
        return (text for text in self.texts if kept is None or not kept.has(text.text))


def _inputs(texts: list[str], files: list[Path], reading: Reading) -> tuple[Iterator[Item], Corpus]:
    """The texts. Arguments and lines are numbered from 0; texts from files have their paths or ids."""
    corpus = jobs.read_corpus(files, reading)
    typed: Iterable[tuple[int, str]] = enumerate(texts)
    if not texts and not files:
        if is_terminal():
            raise typer.BadParameter("no texts: give texts, --file, or lines on standard input")
        typed = input_lines(reading.encoding)
    return chain((Item(str(number), text) for number, text in typed), read_documents(corpus)), corpus


def _read(todo: Texts, side: Side, inputs: tuple[Iterator[Item], Corpus], stop: Callable[[], bool]) -> str:
    """Read, count and store all texts. Returns what was skipped, in words."""
    items, corpus = inputs
    for _ in todo.read(side.embedder, side.name, items):
        if stop():
            raise typer.Exit(INTERRUPTED)
    if not todo:
        raise typer.BadParameter("no texts: all of them are blank")
    return describe_skipped(corpus)


def _to_stream(work: EmbeddingRun, form: str) -> None:
    """Write to standard output: lines as they are ready, or one array at the end."""
    stream, count = sys.stdout.buffer, 0
    with Unfinished(None, work.side.said()) as kept:
        try:
            for some, vectors in work.do():
                if form == "jsonl":
                    stream.writelines(_lines(some, vectors))
                    stream.flush()
                else:
                    kept.keep([text.text for text in some], vectors)
                count += len(some)
        finally:
            if count < len(work.texts):
                say(f"{count:,} of {len(work.texts):,} texts were embedded")
        if form == "npy":
            _write(stream, form, kept, work)


def _to_file(work: EmbeddingRun, form: str, output: Path) -> None:
    """Write a file when it is complete. Until then, its vectors are kept beside it."""
    with whole_file(output) as stream, Unfinished(output, work.side.said()) as kept:
        # the output is created first: if it cannot be written, nothing is embedded
        try:
            for some, vectors in work.do(kept):
                kept.keep([text.text for text in some], vectors)
            _write(stream, form, kept, work)
        except BaseException:
            if kept.count:
                say(
                    f"{kept.count:,} of {len(work.texts):,} texts are in {kept.path}: run the command again to continue"
                )
            else:
                kept.remove()
            raise
    kept.remove()


def _write(stream: BinaryIO, form: str, kept: Unfinished, work: EmbeddingRun) -> None:
    if form == "npy":
        shape = (len(work.texts), work.side.embedder.dimensions)
        np.lib.format.write_array_header_1_0(stream, {"descr": "<f4", "fortran_order": False, "shape": shape})
    for some in slices(work.texts, SLICE_TOKENS):
        vectors = kept.vectors([text.text for text in some])
        if form == "npy":
            stream.write(vectors.tobytes())
        else:
            stream.writelines(_lines(some, vectors))


def _lines(texts: Sequence[Text], vectors: FloatArray) -> Iterator[bytes]:
    """Lines of JSON. Numbers have no more digits than a float32 needs."""
    for text, vector in zip(texts, vectors, strict=True):
        numbers = ", ".join(map(str, vector))
        yield f'{{"id": {json.dumps(text.id)}, "embedding": [{numbers}]}}\n'.encode()
