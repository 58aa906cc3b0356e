"""`twofold demo`: index the documentation of Python's standard library and ask it questions."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from twofold import jobs
from twofold.cli import FAILED, INTERRUPTED, show
from twofold.cli.interrupts import stop_on_interrupt
from twofold.cli.options import JsonOption, embedder_options
from twofold.cli.say import line, say
from twofold.demo.asking import MODEL, as_items, ask, collection_name, measure, with_bundled_weights
from twofold.demo.corpus import standard_library
from twofold.demo.doors import ask_through, compare, door_names, pool
from twofold.demo.questions import SHOWN, load_questions
from twofold.embedder import Embedder
from twofold.errors import TwofoldError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twofold.demo.asking import Answered
    from twofold.demo.corpus import Topic
    from twofold.demo.doors import Agreement

ANSWERS = 3
"""Answers printed per question."""
ALL = "all"
NAMES = ", ".join(door_names())


@embedder_options(model=MODEL, truncate="end")
def demo(
    embedder: Embedder,
    folder: Annotated[Path, typer.Option(help="Folder of the Chroma store.")] = Path("demo-store"),
    through: Annotated[str | None, typer.Option(help=f"Also ask through an integration: {NAMES}, or {ALL}.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Index the documentation of Python's standard library and ask it questions.

    A second run only asks the questions.
    """
    names = door_names()
    if through not in {None, ALL, *names}:
        raise typer.BadParameter(f"--through {through}: choose one of {NAMES}, {ALL}")
    embedder = with_bundled_weights(embedder)
    corpus = standard_library()
    with (
        stop_on_interrupt() as stop,
        jobs.open_store(f"chroma:{folder}", collection_name(embedder), embedder) as collection,
    ):
        _index(embedder, collection, corpus, stop)
        answered = ask(embedder, collection, load_questions())
    doors = names if through == ALL else [through] if through else []
    agreements, all_answered = _ask_doors(embedder, answered, corpus, doors)
    if as_json:
        show.as_json(_as_json(answered, agreements))
    else:
        _print(answered, agreements)
    if not all_answered or not all(agreement.ok for agreement, _ in agreements.values()):
        raise typer.Exit(FAILED)


def _index(embedder: Embedder, collection: jobs.Store, corpus: Sequence[Topic], stop: Any) -> None:
    counts = jobs.index(embedder, collection, as_items(corpus), progress=True, stop=stop)
    if counts.stopped:
        say("stopped: run the same command again to continue")
        raise typer.Exit(INTERRUPTED)
    done = counts.added + counts.updated
    said = (
        f"{done:,} of {len(corpus):,} documents indexed" if done else f"all {len(corpus):,} documents already indexed"
    )
    say(f"{said}: {embedder.space.tag}")


def _ask_doors(
    embedder: Embedder, answered: Sequence[Answered], corpus: Sequence[Topic], doors: Sequence[str]
) -> tuple[dict[str, tuple[Agreement, float]], bool]:
    """Compare each integration's answers with the core's. Returns them with the seconds, and whether all answered."""
    agreements, all_answered = {}, True
    for door in doors:
        say(f"asking through {door}")
        started = time.monotonic()
        try:
            answers = ask_through(door, embedder, pool(answered, corpus), [one.question.text for one in answered])
        except TwofoldError as error:
            say(f"{door} failed: {error}")
            all_answered = False
            continue
        agreements[door] = compare(answered, answers), time.monotonic() - started
    return agreements, all_answered


def _print(answered: Sequence[Answered], agreements: dict[str, tuple[Agreement, float]]) -> None:
    rows = (
        (one.question.text, "\n".join(f"{found.score:.3f}  {found.name}" for found in one.found[:ANSWERS]))
        for one in answered[:SHOWN]
    )
    show.table(("question", "answers"), rows)
    line(f"{len(answered)} questions with known answers:")
    for name, value in measure(answered).items():
        line(f"{name} {value:.2f}")
    if agreements:
        show.table(
            ("through", "same answers", "largest score difference", "seconds", ""),
            (
                (
                    door,
                    f"{agreement.same} of {agreement.questions}",
                    f"{agreement.difference:.6f}",
                    f"{seconds:.1f}",
                    "agrees" if agreement.ok else "DIFFERS",
                )
                for door, (agreement, seconds) in agreements.items()
            ),
        )


def _as_json(answered: Sequence[Answered], agreements: dict[str, tuple[Agreement, float]]) -> dict[str, Any]:
    return {
        "questions": [
            {"question": one.question.text, "rank": one.rank, "found": [found._asdict() for found in one.found]}
            for one in answered
        ],
        **measure(answered),
        "through": {door: asdict(agreement) | {"ok": agreement.ok} for door, (agreement, _) in agreements.items()},
    }
