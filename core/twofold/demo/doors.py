"""The same questions through each host's adapter: do answers and scores agree with the core's?

Each door embeds the documents and the questions through its adapter, on its side. The documents are those that the
core found for any question, so that each question's first ones are the same as over the whole corpus.

A door is the function `ask(embedder, entries, questions)` of a host's package, found by its entry point in the group
`twofold.demo`: names and scores of the best ten entries for each question.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, TypeAlias

from twofold.demo.asking import Found
from twofold.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twofold.demo.asking import Answered
    from twofold.demo.corpus import Entry
    from twofold.embedder import Embedder

Answers: TypeAlias = "list[list[Found]]"

ENTRY_POINTS = "twofold.demo"

TOLERANCE = 0.01
"""How far a score may be off: documents meet others in their batches, which bfloat16 rounds differently."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How a door's answers compare with the core's.

    Attributes:
        questions: how many were asked.
        same: of how many the ranked names are the very same.
        difference: the largest difference of the scores at one rank.
    """

    questions: int
    same: int
    difference: float

    @property
    def ok(self) -> bool:
        """Whether no score is off by more than rounding explains."""
        return self.difference <= TOLERANCE


def pool(answered: Sequence[Answered], corpus: Sequence[Entry]) -> list[Entry]:
    """The documents that were found for any question, in the order of the corpus."""
    names = {found.name for one in answered for found in one.found}
    return [entry for entry in corpus if entry.name in names]


def compare(answered: Sequence[Answered], answers: Answers) -> Agreement:
    """Hold a door's answers against the core's, question by question."""
    pairs = list(zip((one.found for one in answered), answers, strict=True))
    same = sum([found.name for found in ours] == [found.name for found in theirs] for ours, theirs in pairs)
    differences = [
        abs(one.score - other.score) for ours, theirs in pairs for one, other in zip(ours, theirs, strict=True)
    ]
    return Agreement(len(pairs), same, max(differences))


def door_names() -> list[str]:
    """The hosts whose integrations are installed, in the order of their names."""
    return sorted({entry.name for entry in entry_points(group=ENTRY_POINTS)})


def ask_through(name: str, embedder: Embedder, entries: Sequence[Entry], questions: Sequence[str]) -> Answers:
    """What the host called `name` finds for each question among `entries`, best first.

    Raises:
        InputError: no such host; or it needs a server that is not there.
        MissingExtra: its library is not installed.
    """
    found = {entry.name: entry for entry in entry_points(group=ENTRY_POINTS)}
    if name not in found:
        raise InputError(f"unknown host {name!r}: choose one of {', '.join(sorted(found))}")
    ask = found[name].load()
    return [[Found(*pair) for pair in pairs] for pairs in ask(embedder, entries, questions)]
