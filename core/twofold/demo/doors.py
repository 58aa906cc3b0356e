"""Asks the same questions through each host's adapter and compares answers and scores with the core's.

Each adapter embeds the documents and the questions itself, each on its own side. The documents are the core's results
for all questions, so that the best results of a question are the same as in the whole corpus.

A host's package provides a function `ask(embedder, entries, questions)` through an entry point in the group
`twofold.demo`. It returns the names and scores of the best ten entries for each question.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, TypeAlias

from twofold.demo.asking import Result
from twofold.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twofold.demo.asking import Answered
    from twofold.demo.corpus import Topic
    from twofold.embedder import Embedder

Answers: TypeAlias = "list[list[Result]]"

ENTRY_POINTS = "twofold.demo"

TOLERANCE = 0.01
"""The allowed difference of a score. In bfloat16, rounding depends on the other documents in a batch."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How a host's answers compare with the core's.

    Attributes:
        questions: the number of questions.
        same: the number of questions with identical ranked names.
        difference: the largest difference between the scores at the same rank.
    """

    questions: int
    same: int
    difference: float

    @property
    def ok(self) -> bool:
        """Whether rounding explains the largest difference."""
        return self.difference <= TOLERANCE


def pool(answered: Sequence[Answered], corpus: Sequence[Topic]) -> list[Topic]:
    """The documents among the results of any question, in the order of the corpus."""
    names = {found.name for one in answered for found in one.found}
    return [entry for entry in corpus if entry.name in names]


def compare(answered: Sequence[Answered], answers: Answers) -> Agreement:
    """Compare a host's answers with the core's, question by question."""
    pairs = list(zip((one.found for one in answered), answers, strict=True))
    same = sum([found.name for found in ours] == [found.name for found in theirs] for ours, theirs in pairs)
    differences = [
        abs(one.score - other.score) for ours, theirs in pairs for one, other in zip(ours, theirs, strict=True)
    ]
    return Agreement(len(pairs), same, max(differences))


def door_names() -> list[str]:
    """The hosts with an installed integration, sorted by name."""
    return sorted({entry.name for entry in entry_points(group=ENTRY_POINTS)})


def ask_through(name: str, embedder: Embedder, entries: Sequence[Topic], questions: Sequence[str]) -> Answers:
    """The results of the host `name` for each question among `entries`, best first.

    Raises:
        InputError: the host is unknown, or it needs a server that is not configured.
        MissingExtra: the host's library is not installed.
    """
    found = {entry.name: entry for entry in entry_points(group=ENTRY_POINTS)}
    if name not in found:
        raise InputError(f"unknown host {name!r}: choose one of {', '.join(sorted(found))}")
    ask = found[name].load()
    return [[Result(*pair) for pair in pairs] for pairs in ask(embedder, entries, questions)]
