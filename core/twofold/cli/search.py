"""`twofold search`."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from twofold.cli import show
from twofold.cli.collection import embedder_of, open_existing
from twofold.cli.files import input_lines, is_terminal
from twofold.cli.filters import check_limit, parse_filters
from twofold.cli.options import CollectionOption, Given, JsonOption, StoreOption, given_options
from twofold.cli.say import line, say
from twofold.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from twofold.stores import Hit

SHOWN = 160
"""Characters of a text in the table."""
PROMPT = "question> "


@given_options
def search(
    texts: Annotated[
        list[str] | None, typer.Argument(help="Questions. Default: asks for them, or reads lines of standard input.")
    ] = None,
    *,
    store: StoreOption,
    collection: CollectionOption,
    given: Given,
    limit: Annotated[int, typer.Option(help="Maximum number of rows per question.")] = 10,
    filter_: Annotated[
        list[str] | None,
        typer.Option("--filter", help="Only rows with field=value. Repeat a field to accept several values."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Search a collection. The best rows come first, with their cosines.

    The model and its options are read from the collection. With --json, each question gives one line.
    """
    check_limit(limit)
    where = parse_filters(filter_ or [])
    with open_existing(store, collection) as opened:
        embedder = embedder_of(opened, given)

        def answer(text: str) -> None:
            hits = opened.search(embedder.embed_query(text), limit, where)
            show.as_json([{"score": hit.score, **asdict(hit.row)} for hit in hits]) if as_json else _print(hits)

        if texts:
            for text in texts:
                if len(texts) > 1 and not as_json:
                    line(text)
                answer(text)
        else:
            _converse(answer)


def _converse(answer: Callable[[str], None]) -> None:
    """Answer questions one by one. An invalid question prints an error and does not end the loop."""
    for text in _typed() if is_terminal() else (text for _, text in input_lines()):
        try:
            answer(text)
        except InputError as error:
            say(f"twofold: {error}")


def _typed() -> Iterator[str]:
    """Questions typed at a prompt, until Ctrl-D."""
    with suppress(ImportError):  # not on Windows
        import readline  # noqa: F401, PLC0415 - importing it gives `input` a history
    while True:
        try:
            text = input(PROMPT)
        except EOFError:
            line("")
            return
        if text.strip():
            yield text


def _print(hits: list[Hit]) -> None:
    rows = ((f"{hit.score:.4f}", hit.row.id, shorten(hit.row.text)) for hit in hits)
    show.table(("score", "id", "text"), rows)


def shorten(text: str, most: int = SHOWN) -> str:
    """The beginning of a text on one line."""
    flat = " ".join(text[: 4 * most].split())
    return flat if len(flat) <= most else f"{flat[: most - 1]}…"
