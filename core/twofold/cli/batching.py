"""`--batch`: texts are left with the provider's batch API, and Ctrl-C leaves them there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from twofold import jobs
from twofold.cli import INTERRUPTED
from twofold.cli.say import say
from twofold.errors import InputError
from twofold.jobs.batches.batching import check_batch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from twofold.embedder import Embedder

GO_ON = "what was submitted stays with the provider: run the same command again to go on with it"


def check(embedder: Embedder, *, late_chunking: bool) -> None:
    """Refuse what a batch API cannot do, before anything is made.

    Raises:
        InputError: no cache, late chunking, a model without a batch API.
    """
    if late_chunking:
        raise InputError("a batch API has no late chunking: leave out --batch or --late-chunking")
    if embedder.settings.cache is None:
        raise InputError("--batch needs --cache: the folder in which its vectors are kept")
    check_batch(embedder)


def leave_with_provider(embedder: Embedder, texts: Iterable[str], stop: Callable[[], bool]) -> None:
    """Have the vectors of `texts` made, and wait for them.

    Raises:
        typer.Exit: Ctrl-C was pressed.
    """
    try:
        made = jobs.batch(embedder, texts, progress=True, stop=stop)
    except KeyboardInterrupt:
        say(GO_ON)
        raise
    if made.stopped:
        say(f"{made.done:,} texts are in the cache, {made.under_way:,} are under way; {GO_ON}")
        raise typer.Exit(INTERRUPTED)
    batches = "1 batch" if made.submitted == 1 else f"{made.submitted:,} batches"
    aside = f"; {made.refused:,} were refused, and are tried by single requests" if made.refused else ""
    say(f"{made.done:,} texts by {batches}, {made.there:,} in the cache before{aside}")
