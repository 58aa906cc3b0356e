"""Questions in a user's words, each with the names that answer it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.resources import files

SHOWN = 12
"""How many of them, the first ones, the demo prints with their answers."""


@dataclass(frozen=True, slots=True)
class Question:
    """What a user asks, and the qualified names of which each is a good answer."""

    text: str
    answers: frozenset[str]


def load_questions() -> list[Question]:
    """All of them, in the order of their file; an answer may be missing in some versions of Python, never all."""
    lines = files("twofold.demo").joinpath("questions.jsonl").read_text("utf-8").splitlines()
    return [Question(raw["question"], frozenset(raw["answers"])) for raw in map(json.loads, lines)]
