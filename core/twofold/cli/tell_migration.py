"""The output of each step of `twofold migrate`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from twofold.cli import INTERRUPTED, SET_ASIDE, show
from twofold.cli.say import line

if TYPE_CHECKING:
    from twofold.jobs.migration import Carried, Plan, Verdict


def tell_plan(plan: Plan, *, as_json: bool) -> None:
    """Print what the collection contains and what the migration would cost."""
    if as_json:
        show.as_json(plan.to_dict())
        return
    line(f"{plan.rows:,} rows of {plan.documents:,} documents; {plan.chunks:,} are chunks{_late(plan)}")
    line(f"their record: {plan.space or 'none'}")
    for proof in plan.proofs:
        line(f"{'proved' if proof.proved else 'not proved'}: {proof.summary()}")
    line(f"to embed: {plan.tokens:,} tokens ({plan.low:,} to {plan.high:,}), into {plan.target}")
    show.expected(plan.seconds, plan.cost, plan.price)
    line(f"vectors: {plan.bytes_before / 1e6:,.1f} MB now, {plan.bytes_after / 1e6:,.1f} MB more until prune")
    for what, sentences in (("advice", plan.advice), ("RISK", plan.risks)):
        for one in sentences:
            line(f"{what}: {one}")


def _late(plan: Plan) -> str:
    said = {
        True: ", embedded in their documents",
        False: ", embedded alone",
        None: "; how they were embedded is unknown",
    }
    return said[plan.late] if plan.chunks else ""


def tell_carried(carried: Carried, *, as_json: bool) -> None:
    """Print what a run did. Raises `typer.Exit` if it was stopped or set rows aside."""
    if as_json:
        show.as_json(carried.to_dict())
    else:
        parts = [f"{carried.embedded:,} rows embedded ({carried.tokens:,} tokens), {carried.unchanged:,} unchanged"]
        for number, what in (
            (carried.refiled, "with only new metadata"),
            (carried.removed, "removed"),
            (carried.set_aside, "set aside"),
        ):
            parts += [f"{number:,} {what}"] if number else []
        line(", ".join(parts) + ("; stopped: run the same command again to continue" if carried.stopped else ""))
    if carried.stopped:
        raise typer.Exit(INTERRUPTED)
    if carried.set_aside:
        raise typer.Exit(SET_ASIDE)


def tell_cutover(name: str, carried: Carried, *, as_json: bool) -> None:
    done = f"{name} is served from the new vectors; {carried.changed:,} rows were copied during the cutover"
    show.as_json(carried.to_dict()) if as_json else line(done)


def tell_back(name: str, back: Carried, *, carry: bool, as_json: bool) -> None:
    done = f"{name} is served from the old vectors"
    more = f"; {back.changed:,} rows were copied back" if carry else ""
    show.as_json({"serving": "old", **back.to_dict()}) if as_json else line(done + more)


def tell_verdict(verdict: Verdict) -> None:
    """Print GO or NO-GO, with the reasons."""
    line(f"{verdict.rows:,} rows, {verdict.sampled:,} embedded again")
    line(f"search finds {verdict.recall:.1%} of the ten nearest rows, on {verdict.searched:,} questions")
    if verdict.judged is not None:
        line(verdict.judged.summary())
        show.table(
            ("question", "before", "now"),
            ((one["question"], "\n".join(one["old"]), "\n".join(one["new"])) for one in verdict.judged.examples),
        )
    for reason in verdict.reasons:
        line(f"WRONG: {reason}")
    line("GO" if verdict.go else "NO-GO")
