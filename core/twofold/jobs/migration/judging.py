"""Compares old and new answers to the same questions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from twofold.jobs.metrics import interval, measure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twofold.jobs.questions import Question


@dataclass(frozen=True, slots=True)
class Judged:
    """The comparison of old and new answers.

    Attributes:
        questions: how many were asked.
        overlap: the share of the first ten answers that old and new have in common; None without the old embedder.
        old, new: nDCG@10; None without judged answers.
        low, high: 95 % confidence interval of the difference, new minus old (paired bootstrap).
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
        """Whether the new answers are significantly worse."""
        return self.high is not None and self.high < 0

    def summary(self) -> str:
        """A sentence for reports."""
        if self.new is None:
            return f"{self.questions} questions, {self.overlap or 0:.0%} of the first ten answers as before"
        before = "" if self.old is None else f" (before {self.old:.3f}; difference {self.low:+.3f} to {self.high:+.3f})"
        return f"nDCG@10 {self.new:.3f}{before} on {self.questions} questions"


def judge(
    questions: Sequence[Question], old: Sequence[Sequence[str]] | None, new: Sequence[Sequence[str]], seed: int = 0
) -> Judged:
    """Compare the old and new answers to each question: ids of documents, best first.

    Raises:
        MissingExtra: there are judged answers and the extra `tune` is not installed.
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
    answers = [questions[place].answers or {} for place in judged]
    better, _ = measure(answers, [new[place] for place in judged])
    if old is None:
        return Judged(len(questions), None, None, float(better.mean()), examples=examples)
    before, _ = measure(answers, [old[place] for place in judged])
    low, high = interval(better - before, seed)
    return Judged(len(questions), overlap, float(before.mean()), float(better.mean()), low, high, examples)
