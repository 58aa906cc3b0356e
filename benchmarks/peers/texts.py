"""The texts for all engines: the demo's corpus and questions, and passages of mixed lengths cut from the corpus."""

from __future__ import annotations

import random
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from twofold.demo.corpus import Topic
    from twofold.demo.questions import DemoQuestion


@dataclass(frozen=True)
class Texts:
    """The texts of one stage of the benchmark.

    Attributes:
        many: what is timed, and the number of tokens of each.
        queries: questions of about ten tokens, timed one by one.
        calibration: texts for a peer that calibrates its quantisation. They are not timed.
        corpus, questions: the texts to measure ranking with. Empty if the weights are random.
    """

    many: list[str]
    lengths: list[int]
    queries: list[str]
    calibration: list[str]
    corpus: list[Topic]
    questions: list[DemoQuestion]

    @property
    def by_name(self) -> dict[str, list[str]]:
        """All of them as plain texts, by name."""
        return {
            "many": self.many,
            "queries": self.queries,
            "calibration": self.calibration,
            "corpus": [entry.text for entry in self.corpus],
            "questions": [question.text for question in self.questions],
        }


def gather(
    count: Callable[[Sequence[str]], list[int]], many: int, longest: int, documents: int, *, ranked: bool
) -> Texts:
    """`many` passages of 8 to `longest` tokens, and at most `documents` of the corpus, including all answers."""
    from twofold.demo.corpus import standard_library
    from twofold.demo.questions import load_questions

    corpus, questions = standard_library(), load_questions()
    every = [entry.text for entry in corpus]
    words = " ".join(every).split()
    timed = passages(words, count, many, (8, longest), seed=0)
    asked = [question.text for question in questions]
    return Texts(
        many=timed,
        lengths=count(timed),
        queries=[text for text, length in zip(asked, count(asked), strict=True) if 9 <= length <= 12],
        calibration=passages(words, count, 64, (8, min(longest, 250)), seed=1),
        corpus=thinned(corpus, {name for one in questions for name in one.answers}, documents) if ranked else [],
        questions=questions if ranked else [],
    )


def passages(
    words: Sequence[str],
    count: Callable[[Sequence[str]], list[int]],
    number: int,
    lengths: tuple[int, int],
    seed: int,
) -> list[str]:
    """Runs of consecutive words from random places. Their lengths in tokens are spread evenly between `lengths`."""
    rng = random.Random(seed)
    made = []
    for _ in range(number):
        wanted = rng.randint(*lengths)
        start = rng.randrange(len(words) - wanted)
        run = words[start : start + wanted]
        while len(run) > 1 and (length := count([" ".join(run)])[0]) > wanted:
            run = run[: max(1, len(run) * wanted // length)]
        made.append(" ".join(run))
    return made


def thinned(corpus: Sequence[Topic], answers: Collection[str], number: int) -> list[Topic]:
    """All answers, and evenly spread other documents, about `number` in total, in the order of the corpus."""
    others = [entry.name for entry in corpus if entry.name not in answers]
    room = number - (len(corpus) - len(others))
    wanted = {*answers, *(others[:: ceil(len(others) / room)] if room > 0 else ())}
    return [entry for entry in corpus if entry.name in wanted]
