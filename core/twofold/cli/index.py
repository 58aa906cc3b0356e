"""`twofold index`."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from twofold import jobs
from twofold.cli import FAILED, INTERRUPTED, SET_ASIDE, batching, show
from twofold.cli.corpus import describe_skipped
from twofold.cli.interrupts import stop_on_interrupt
from twofold.cli.manage import tell_faults
from twofold.cli.options import (
    BudgetOption,
    BudgetTokensOption,
    CollectionOption,
    JsonOption,
    StoreOption,
    budget_of,
    embedder_options,
    reading_options,
)
from twofold.cli.say import line, say
from twofold.embedder import Embedder
from twofold.errors import InputError
from twofold.jobs import Reading

if TYPE_CHECKING:
    from twofold.jobs import Corpus, DryRun, Verified
    from twofold.jobs.distributed import Engine


@embedder_options()
@reading_options
def index(
    paths: Annotated[list[Path], typer.Argument(help="Files and folders to index.", show_default=False)],
    *,
    store: StoreOption,
    collection: CollectionOption,
    embedder: Embedder,
    reading: Reading,
    chunk_tokens: Annotated[int | None, typer.Option(help="Split documents into chunks of this many tokens.")] = None,
    late_chunking: Annotated[bool, typer.Option(help="Embed each chunk in the context of its document.")] = False,
    on_error: Annotated[
        Literal["stop", "skip"], typer.Option(help="If a document cannot be embedded: stop, or set it aside.")
    ] = "stop",
    dead_letters: Annotated[Path | None, typer.Option(help="File for documents set aside, with the reasons.")] = None,
    prune: Annotated[bool, typer.Option("--prune", help="Remove documents that are no longer in the files.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Also write unchanged documents again.")] = False,
    take_over: Annotated[
        bool, typer.Option("--take-over", help="Overwrite documents with the same id from another source.")
    ] = False,
    verify: Annotated[bool, typer.Option("--verify", help="Check rows, vectors and search afterwards.")] = False,
    budget: BudgetOption = None,
    budget_tokens: BudgetTokensOption = None,
    batch: Annotated[
        bool, typer.Option("--batch", help="Use the provider's batch API: cheaper, takes up to a day. Needs --cache.")
    ] = False,
    engine: Annotated[Literal["daft"] | None, typer.Option(help="Embed with Daft, on one or many machines.")] = None,
    address: Annotated[
        str | None, typer.Option(help="Ray cluster of the engine: 'auto' or host:port. Default: only this machine.")
    ] = None,
    at_once: Annotated[
        int | None, typer.Option(help="Concurrent batches of the engine in each process. Default: one per GPU.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be done, but do nothing.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Index files into a collection. Unchanged documents are skipped.

    Changed documents are replaced. If a run is interrupted, run the same command again to continue.
    """
    with stop_on_interrupt() as stop:
        corpus = jobs.read_corpus(paths, reading)  # options are checked before anything is created
        cutting = jobs.Cutting(chunk_tokens, late_chunking)
        cutting.check(embedder)
        limit = budget_of(budget, budget_tokens, ahead=False)
        if batch:
            batching.check(embedder, late_chunking=late_chunking)
            if engine is not None:
                raise InputError("--batch submits all texts to the provider, so --engine has no effect: omit it")
        spending = jobs.Spending(embedder, limit, batch=batch)
        if dry_run or spending.limit < inf:  # before the store is created, which embeds a few words
            with closing(jobs.connect_store(store, collection)) as existing:
                found = jobs.dry_run(
                    embedder,
                    existing if existing.find() else None,
                    corpus,
                    chunk_tokens=chunk_tokens,
                    late_chunking=late_chunking,
                    force=force,
                    take_over=take_over,
                )
            if dry_run:
                _tell_dry_run(found, corpus, as_json=as_json)
            spending.check(found.tokens)
            if dry_run:
                return
        chosen_engine = make_engine(engine, address, at_once)
        with jobs.open_store(store, collection, embedder) as opened:
            if batch:
                texts = jobs.texts_to_embed(embedder, opened, corpus, chunk_tokens=chunk_tokens, force=force)
                batching.leave_with_provider(embedder, texts, stop)
            counts = jobs.index(
                embedder,
                opened,
                corpus,
                chunk_tokens=chunk_tokens,
                late_chunking=late_chunking,
                force=force,
                take_over=take_over,
                on_error=on_error,
                dead_letters=dead_letters,
                prune=prune,
                budget=limit,
                engine=chosen_engine,
                progress=True,
                stop=stop,
            )
            verified = jobs.verify(embedder, opened) if verify and not counts.stopped else None
    _tell(counts, corpus, verified, as_json=as_json)
    if counts.stopped:
        raise typer.Exit(INTERRUPTED)
    if verified is not None and not verified.sound:
        raise typer.Exit(FAILED)
    if counts.set_aside:
        raise typer.Exit(SET_ASIDE)


def make_engine(name: str | None, address: str | None, at_once: int | None) -> Engine | None:
    """The engine that the flags name.

    Raises:
        InputError: a flag needs --engine.
        EngineError: the cluster does not answer.
    """
    if name is None:
        if address is not None or at_once is not None:
            raise InputError("--address and --at-once are options of an engine: add --engine daft")
        return None
    from twofold.jobs.distributed import Engine  # noqa: PLC0415 - only if needed

    return Engine(address, at_once=at_once)


def said(counts: jobs.Counts) -> str:
    """A sentence about what a run did."""
    parts = [f"{counts.added:,} added, {counts.updated:,} updated, {counts.skipped:,} unchanged"]
    for number, what in (
        (counts.refiled, "with only new metadata"),
        (counts.blank, "blank"),
        (counts.set_aside, "set aside"),
        (counts.pruned, "removed"),
    ):
        if number:
            parts.append(f"{number:,} {what}")
    if counts.gone and not counts.pruned:
        parts.append(f"{counts.gone:,} in the collection but no longer in the files (--prune removes them)")
    return ", ".join(parts) + ("; stopped: run the same command again to continue" if counts.stopped else "")


def _tell(counts: jobs.Counts, corpus: Corpus, verified: Verified | None, *, as_json: bool) -> None:
    if as_json:
        checked = {} if verified is None else {"verified": {**asdict(verified), "faults": verified.faults}}
        show.as_json({**asdict(counts), "left_out": dict(corpus.skipped), **checked})
        return
    if passed := describe_skipped(corpus):
        say(f"skipped: {passed}")
    line(said(counts))
    if verified is not None:
        _tell_verified(verified)


def _tell_verified(found: Verified) -> None:
    line(f"{found.documents:,} documents, {found.rows:,} rows; {found.sampled:,} documents were checked")
    tell_faults(found)


def _tell_dry_run(found: DryRun, corpus: Corpus, *, as_json: bool) -> None:
    if as_json:
        costs = {"seconds": found.seconds, "cost": found.cost, "batch_cost": found.batch_cost}
        show.as_json({**asdict(found), **costs, "left_out": dict(corpus.skipped)})
        return
    line(f"{found.embedded:,} documents to embed, as {found.chunks:,} rows of {found.tokens:,} tokens")
    line(f"{found.skipped:,} unchanged, {found.refiled:,} with only new metadata, {found.blank:,} blank")
    show.expected(found.seconds, found.cost, found.price)
    if found.price is not None and found.batch_cost is not None:
        line(f"about ${found.batch_cost:,.2f} with the provider's batch API (--batch), within a day")
    if passed := describe_skipped(corpus):
        line(f"skipped: {passed}")
    if found.set_aside:
        line(f"{found.set_aside:,} cannot be indexed; the first: {found.first_refused}")
