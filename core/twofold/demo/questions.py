"""Questions in a user's words, each with the names that answer it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.resources import files

SHOWN = 12
"""The number of questions, from the first, that the demo prints with their answers."""


@dataclass(frozen=True, slots=True)
class DemoQuestion:
    """A question, and the qualified names that are good answers to it."""

    text: str
    answers: frozenset[str]


def load_questions() -> list[DemoQuestion]:
    """All questions, in the order of their file. Every version of Python has at least one answer to each."""
    lines = files("twofold.demo").joinpath("questions.jsonl").read_text("utf-8").splitlines()
    return [DemoQuestion(raw["question"], frozenset(raw["answers"])) for raw in map(json.loads, lines)]
