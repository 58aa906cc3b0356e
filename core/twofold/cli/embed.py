"""`twofold embed`: texts to vectors."""

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
from twofold.cli.corpus import left_out, readable
from twofold.cli.files import input_lines, is_terminal, whole_file
from twofold.cli.interrupts import stopping
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
    budget: BudgetOption = None,
    budget_tokens: BudgetTokensOption = None,
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
    with stopping() as stop, Texts() as todo:
        skipped = _read(todo, side, _inputs(texts or [], file or [], reading), stop)
        if skipped:
            say(f"left out: {skipped}")
        work = Work(side, todo, stop, jobs.Spending(embedder, budget_of(budget, budget_tokens, ahead=True)))
        if output is None:
            _to_stream(work, form)
        else:
            _to_file(work, form, output)


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


class Work:
    """Texts, how they go in, and what ends that before all are done."""

    def __init__(self, side: Side, texts: Texts, stop: Callable[[], bool], spending: Spending) -> None:
        """Nothing is done."""
        self.side, self.texts = side, texts
        self._stop, self._spending = stop, spending

    def do(self, kept: Unfinished | None = None) -> Iterator[tuple[list[Text], FloatArray]]:
        """Embed slices of texts that are not kept yet; of one that a provider failed in, what it gave.

        Raises:
            typer.Exit: Ctrl-C was pressed.
            ProviderError: a hosted model failed.
            BudgetExceeded: they would cost, or have cost, what they may.
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
    """The texts: with numbers from 0 for those typed and for lines that are read, paths and ids for files."""
    corpus = jobs.read_corpus(files, reading)
    typed: Iterable[tuple[int, str]] = enumerate(texts)
    if not texts and not files:
        if is_terminal():
            raise typer.BadParameter("no texts: give some, or --file, or lines on standard input")
        typed = input_lines(reading.encoding)
    return chain((Item(str(number), text) for number, text in typed), readable(corpus)), corpus


def _read(todo: Texts, side: Side, inputs: tuple[Iterator[Item], Corpus], stop: Callable[[], bool]) -> str:
    """Read, count and keep all texts; what of the files was passed over, in words."""
    items, corpus = inputs
    for _ in todo.read(side.embedder, side.name, items):
        if stop():
            raise typer.Exit(INTERRUPTED)
    if not todo:
        raise typer.BadParameter("no texts: nothing but blank ones was read")
    return left_out(corpus)


def _to_stream(work: Work, form: str) -> None:
    """Write to standard output: lines as they come, or one array at the end."""
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


def _to_file(work: Work, form: str, output: Path) -> None:
    """Write a file once it is whole; until then vectors are kept beside it."""
    with whole_file(output) as stream, Unfinished(output, work.side.said()) as kept:
        # the output is made first, so that what cannot be written is said before any work
        try:
            for some, vectors in work.do(kept):
                kept.keep([text.text for text in some], vectors)
            _write(stream, form, kept, work)
        except BaseException:
            if kept.count:
                say(f"{kept.count:,} of {len(work.texts):,} texts are in {kept.path}: run it again to go on")
            else:
                kept.remove()
            raise
    kept.remove()


def _write(stream: BinaryIO, form: str, kept: Unfinished, work: Work) -> None:
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
    """Lines of JSON; each number has as many digits as a float32 needs."""
    for text, vector in zip(texts, vectors, strict=True):
        numbers = ", ".join(map(str, vector))
        yield f'{{"id": {json.dumps(text.id)}, "embedding": [{numbers}]}}\n'.encode()
