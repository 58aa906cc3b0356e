"""`--batch`: submit texts to the provider's batch API. Ctrl-C leaves submitted texts with the provider."""

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

GO_ON = "submitted texts stay with the provider: run the same command again to continue"


def check(embedder: Embedder, *, late_chunking: bool) -> None:
    """Check that a batch API can do this job.

    Raises:
        InputError: there is no cache, late chunking is on, or the model has no batch API.
    """
    if late_chunking:
        raise InputError("batch APIs do not support late chunking: omit --batch or --late-chunking")
    if embedder.settings.cache is None:
        raise InputError("--batch needs --cache, a folder that keeps its vectors")
    check_batch(embedder)


def leave_with_provider(embedder: Embedder, texts: Iterable[str], stop: Callable[[], bool]) -> None:
    """Submit `texts`, and wait until their vectors are in the cache.

    Raises:
        typer.Exit: Ctrl-C was pressed.
    """
    try:
        made = jobs.batch(embedder, texts, progress=True, stop=stop)
    except KeyboardInterrupt:
        say(GO_ON)
        raise
    if made.stopped:
        say(f"{made.done:,} texts are in the cache, {made.under_way:,} are being embedded; {GO_ON}")
        raise typer.Exit(INTERRUPTED)
    batches = "1 batch" if made.submitted == 1 else f"{made.submitted:,} batches"
    aside = f"; {made.refused:,} were refused and are sent as single requests" if made.refused else ""
    say(f"{made.done:,} texts embedded in {batches}, {made.cached:,} were already in the cache{aside}")
