"""Questions with what answers them: given, or made of the beginnings of documents."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from twofold.documents import is_blank
from twofold.errors import InputError

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    from twofold.jobs.corpus import Item

SHORT, LONG = 12, 300
"""Characters that a beginning has, at least and at most, to be a question."""

HEADING = re.compile(r"\s*#{1,6}\s+(?P<words>[^\n]+)\n")
LINE = re.compile(r"\s*(?P<words>[^\n]+)\n\s*(?=\S)")
SENTENCE = re.compile(r"\s*(?P<words>.+?[.!?\u3002\uff01\uff1f])(?=\s|$)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, and, where somebody has judged, how good each document or row is as an answer: 0 is not."""

    text: str
    answers: Mapping[str, int] | None = None


def read_questions(file: str | os.PathLike[str]) -> list[Question]:
    """Questions of a file, a line of JSON each: `{"text": …, "answers": ["id", …]}`, or `{"id": grade}`, or no answers.

    Raises:
        InputError: a file or a line that cannot be read; it is named.
    """
    try:
        lines = Path(file).read_text("utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise InputError(f"the questions in {str(file)!r} cannot be read: {error}") from None
    return [_question(f"{file}, line {number}", line) for number, line in enumerate(lines, 1) if line.strip()]


def _question(where: str, line: str) -> Question:
    try:
        raw = json.loads(line)
        answers = raw.get("answers")
        grades = answers if answers is None or isinstance(answers, Mapping) else dict.fromkeys(answers, 1)
        return Question(str(raw["text"]), grades and {str(key): int(grade) for key, grade in grades.items()})
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InputError(
            f'{where}: expected {{"text": "a question", "answers": ["the id of a good answer", …]}}'
        ) from None


def question_of(item: Item) -> tuple[Question, Item] | None:
    """A question made of a document, and the document without it; None where nothing else is left, or there is none.

    It is the document's field `title`, or its heading or first line, or else its first sentence. What the question is
    made of is taken out of the text, so that it is not found by its own words.
    """
    title = item.metadata.get("title")
    if isinstance(title, str) and SHORT <= len(title.strip()) <= LONG:
        rest = item.text.strip().removeprefix(title.strip())
        return _made(title, rest, item)
    for pattern in (HEADING, LINE, SENTENCE):
        found = pattern.match(item.text)
        if found is not None and SHORT <= len(found["words"].strip()) <= LONG:
            return _made(found["words"], item.text[found.end() :], item)
    return None


def _made(words: str, rest: str, item: Item) -> tuple[Question, Item] | None:
    if is_blank(rest):
        return None
    return Question(" ".join(words.split()), {item.id: 1}), replace(item, text=rest.strip())


def made_of(items: Iterable[Item]) -> tuple[list[Question], list[Item]]:
    """Questions made of documents, and the documents as they are to be searched; those that give none stay whole."""
    questions, kept = [], []
    for item in items:
        made = question_of(item)
        if made is not None:
            questions.append(made[0])
        kept.append(item if made is None else made[1])
    return questions, kept
