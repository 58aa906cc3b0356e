"""Questions with their answers, read from a file or derived from the beginnings of documents."""

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
"""The fewest and most characters of a beginning that can serve as a question."""

HEADING = re.compile(r"\s*#{1,6}\s+(?P<words>[^\n]+)\n")
LINE = re.compile(r"\s*(?P<words>[^\n]+)\n\s*(?=\S)")
SENTENCE = re.compile(r"\s*(?P<words>.+?[.!?\u3002\uff01\uff1f])(?=\s|$)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Question:
    """A question and, if it was judged, the grade of each document or row as an answer. Grade 0 is not an answer."""

    text: str
    answers: Mapping[str, int] | None = None


def read_questions(file: str | os.PathLike[str]) -> list[Question]:
    """Read questions from a JSON Lines file: `{"text": …, "answers": ["id", …]}`.

    `answers` may also be a mapping `{"id": grade}`, or absent.

    Raises:
        InputError: the file or a line cannot be read. The message names it.
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


def derive_question(item: Item) -> tuple[Question, Item] | None:
    """A question derived from a document, and the document without it. None if there is no question or no other text.

    The question is the document's field `title`, or its heading or first line, or its first sentence. It is removed
    from the text so that the document cannot be found by the question's own words.
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


def derive_questions(items: Iterable[Item]) -> tuple[list[Question], list[Item]]:
    """Questions derived from documents, and the documents without them. Documents without a question stay whole."""
    questions, kept = [], []
    for item in items:
        made = derive_question(item)
        if made is not None:
            questions.append(made[0])
        kept.append(item if made is None else made[1])
    return questions, kept
