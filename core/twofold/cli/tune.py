"""`twofold tune`."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from twofold.cli import show
from twofold.cli.files import whole_file
from twofold.cli.options import JsonOption, embedder_options, reading_options
from twofold.cli.pictures import draw_curves, form_of
from twofold.cli.say import line, say
from twofold.embedder import Embedder
from twofold.errors import InputError
from twofold.jobs import Reading, read_corpus, read_questions
from twofold.jobs.tuning import Way
from twofold.jobs.tuning import tune as measure
from twofold.jobs.tuning.tuning import LOSS, SAMPLE
from twofold.models import AUTO

if TYPE_CHECKING:
    from collections.abc import Iterator

    from twofold.jobs.tuning import Result, Tuned


@embedder_options()
@reading_options
def tune(
    paths: Annotated[list[Path], typer.Argument(help="Files and folders to measure on.", show_default=False)],
    *,
    embedder: Embedder,
    reading: Reading,
    questions: Annotated[
        Path | None, typer.Option(help='File of questions, one JSON per line: {"text": "…", "answers": ["id", …]}.')
    ] = None,
    sizes: Annotated[
        str | None,
        typer.Option(help="Dimensions to try, such as 768,64. Default: trained sizes, or halves of the width."),
    ] = None,
    forms: Annotated[str, typer.Option(help="Number formats to try.")] = "float,int8,binary",
    task: Annotated[list[str] | None, typer.Option(help="Also try this task for both sides. Repeatable.")] = None,
    against: Annotated[list[str] | None, typer.Option(help="Also try this model. Repeatable.")] = None,
    chunk_tokens: Annotated[
        int | None,
        typer.Option(help="Split documents into chunks of this many tokens; try them with and without late chunking."),
    ] = None,
    sample: Annotated[int, typer.Option(help="Maximum number of documents to embed.")] = SAMPLE,
    loss: Annotated[float, typer.Option(help="Share of the best nDCG@10 that a smaller choice may lose.")] = LOSS,
    output: Annotated[
        Path | None, typer.Option(help="Draw the results: .png, .svg or .html. Needs the extra plot.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Compare dimensions, quantisation, tasks, chunking and models on your documents.

    Without --questions, questions are derived from titles and first sentences, which are removed from the documents.
    That is good enough to compare choices, but does not show how good each choice is. Needs the extra tune.
    """
    form = None if output is None else form_of(output)
    corpus = read_corpus(paths, reading)
    asked = [] if questions is None else read_questions(questions)
    chosen = [*_ways(embedder, task or [], against or [], chunk_tokens)]
    options = {"sizes": _numbers(sizes), "forms": _words(forms), "sample": sample, "loss": loss}
    tuned = measure(chosen, corpus, asked, **options, progress=True)  # type: ignore[arg-type] # forms are checked there
    if output is not None and form is not None:
        with whole_file(output) as stream:
            stream.write(draw_curves(_curves(tuned), ("quality by size", "bytes per vector", "nDCG@10"), form))
        say(f"wrote {output}")
    show.as_json(tuned.to_dict()) if as_json else _tell(tuned)


def _ways(embedder: Embedder, tasks: list[str], models: list[str], chunk_tokens: int | None) -> Iterator[Way]:
    named = {_short(embedder.card.name): embedder}
    for task in tasks:
        settings = replace(embedder.settings, query_task=task, document_task=task)
        named[f"{_short(embedder.card.name)}, {task}"] = Embedder.from_settings(settings)
    for model in models:
        own = {"model": model, "dimensions": None, "query_task": AUTO, "document_task": AUTO}
        plain = replace(embedder.settings, **own, query_instruction=None, document_instruction=None)  # type: ignore[arg-type] # by name
        named[_short(model)] = Embedder.from_settings(plain)
    for name, one in named.items():
        if chunk_tokens is None:
            yield Way(name, one)
        else:
            yield Way(f"{name}, chunks alone", one, chunk_tokens)
            yield Way(f"{name}, late chunking", one, chunk_tokens, late=True)


def _short(model: str) -> str:
    return model.rstrip("/").rpartition("/")[2]


def _words(given: str) -> list[str]:
    return [word.strip() for word in given.split(",") if word.strip()]


def _numbers(given: str | None) -> list[int]:
    try:
        return [int(word) for word in _words(given or "")]
    except ValueError:
        raise InputError(f"--sizes {given}: expected whole numbers separated by commas") from None


def _tell(tuned: Tuned) -> None:
    made = " derived from titles and first sentences" if tuned.derived else ""
    line(f"{tuned.documents:,} documents, {tuned.questions:,} questions{made}")
    columns = ("way", "dimensions", "form", "nDCG@10", "difference", "recall@10", "bytes", "ms per question")
    show.table(columns, (_row(one, chosen=one == tuned.chosen) for one in tuned.results))
    best = tuned.chosen
    line(
        f"smallest within {tuned.loss:.0%} of the best: {best.way}, {best.dimensions} dimensions, {best.form}: "
        f"{best.bytes:,} bytes per vector, nDCG@10 {best.ndcg:.3f}"
    )


def _row(one: Result, *, chosen: bool) -> tuple[str, ...]:
    return (
        f"* {one.way}" if chosen else one.way,
        str(one.dimensions),
        one.form,
        f"{one.ndcg:.3f}",
        f"{one.low:+.3f} to {one.high:+.3f}",
        f"{one.recall:.3f}",
        f"{one.bytes:,}",
        f"{one.milliseconds:.2f}",
    )


def _curves(tuned: Tuned) -> dict[str, list[tuple[float, float]]]:
    curves: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for one in tuned.results:
        curves[f"{one.way}, {one.form}"].append((one.bytes, one.ndcg))
    return curves
