"""Old and new answers to the same questions, side by side."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from twofold.errors import InputError
from twofold.extras import extra

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

DEPTH = 10
DRAWS = 2000
"""Resamplings of the questions, for an interval that holds in 95 of 100 cases."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, and, where somebody has judged, how good each document or row is as an answer: 0 is not."""

    text: str
    answers: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Judged:
    """How the answers compare.

    Attributes:
        questions: how many were asked.
        overlap: the share of the first ten answers that old and new have in common; None without the old embedder.
        old, new: nDCG@10, where there are judgements.
        low, high: between these lies the difference, new less old, in 95 of 100 cases (a paired bootstrap).
        examples: a few questions with the ids of the first answers, old and new.
    """

    questions: int
    overlap: float | None = None
    old: float | None = None
    new: float | None = None
    low: float | None = None
    high: float | None = None
    examples: tuple[dict[str, Any], ...] = ()

    @property
    def is_worse(self) -> bool:
        """Whether the new answers are worse for certain."""
        return self.high is not None and self.high < 0

    def said(self) -> str:
        """In a sentence."""
        if self.new is None:
            return f"{self.questions} questions, {self.overlap or 0:.0%} of the first ten answers as before"
        before = "" if self.old is None else f" (before {self.old:.3f}; difference {self.low:+.3f} to {self.high:+.3f})"
        return f"nDCG@10 {self.new:.3f}{before} on {self.questions} questions"


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


def judge(
    questions: Sequence[Question], old: Sequence[Sequence[str]] | None, new: Sequence[Sequence[str]], seed: int = 0
) -> Judged:
    """Compare answers, the ids of documents, best first.

    Raises:
        MissingExtra: there are judgements, and the extra `tune` is not installed.
    """
    overlap = None
    if old is not None:
        shares = [len(set(one) & set(other)) / max(len(one), 1) for one, other in zip(old, new, strict=True)]
        overlap = float(np.mean(shares))
    examples = tuple(
        {"question": question.text, "old": [*(old[place] if old else ())][:3], "new": [*new[place]][:3]}
        for place, question in enumerate(questions[:5])
    )
    judged = [place for place, question in enumerate(questions) if question.answers]
    if not judged:
        return Judged(len(questions), overlap, examples=examples)
    better = ndcg([questions[place].answers or {} for place in judged], [new[place] for place in judged])
    if old is None:
        return Judged(len(questions), None, None, float(better.mean()), examples=examples)
    before = ndcg([questions[place].answers or {} for place in judged], [old[place] for place in judged])
    low, high = interval(better - before, seed)
    return Judged(len(questions), overlap, float(before.mean()), float(better.mean()), low, high, examples)


def ndcg(answers: Sequence[Mapping[str, int]], found: Sequence[Sequence[str]]) -> np.ndarray:
    """The nDCG@10 of each question, shape (n,).

    Raises:
        MissingExtra: the extra `tune` is not installed.
    """
    with extra("tune"):
        from ir_measures import iter_calc, nDCG  # noqa: PLC0415 - optional
    wanted = {str(place): dict(own) for place, own in enumerate(answers)}
    ranked = {
        str(place): {key: float(DEPTH - rank) for rank, key in enumerate(dict.fromkeys(own))}
        for place, own in enumerate(found)
    }
    values = np.zeros(len(answers))
    for one in iter_calc([nDCG @ DEPTH], wanted, ranked):
        values[int(one.query_id)] = one.value
    return values


def interval(differences: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """Between what the mean of these lies in 95 of 100 resamplings (Efron's percentile bootstrap)."""
    random = np.random.default_rng(seed)
    drawn = random.integers(0, len(differences), (DRAWS, len(differences)))
    low, high = np.percentile(differences[drawn].mean(axis=1), (2.5, 97.5))
    return float(low), float(high)
