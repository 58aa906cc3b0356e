"""Which task a word of a dialect means."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twofold.errors import InputError
from twofold.models import BARE

if TYPE_CHECKING:
    from twofold.embedder import Embedder
    from twofold.models import Side, Task

QUERY_WORDS = frozenset({"query", "search_query", "retrieval.query"})
DOCUMENT_WORDS = frozenset({"document", "passage", "search_document", "retrieval.passage"})
"""What dialects call the two sides."""
SAME = {"clustering": "separation", "separation": "clustering"}
"""One task under two names: Cohere's and Jina's later models' word, and v3's."""
SYMMETRIC = frozenset({*SAME, "classification", "text-matching"})
"""Tasks that have no sides: a model without tasks takes them all alike."""


def task_of(embedder: Embedder, word: str | None, side: Side | None) -> tuple[Task, bool]:
    """How texts go in by a request's word, or else by its address, and whether it is a query, which somebody waits for.

    The model's own words come first; then the sides, by whatever name. Without any word it is the bare model.

    Raises:
        InputError: a task that the model does not have.
    """
    card, query, document = embedder.card, embedder.query_task, embedder.document_task
    names = {task.name for task in card.tasks if task.name}
    word = word or side
    if word is None:
        return BARE, False
    if word not in names:
        word = SAME.get(word, word)
    if word == query.name or (word in QUERY_WORDS and word not in names):
        return query, True
    if word == document.name or (word in DOCUMENT_WORDS and word not in names):
        return document, False
    if not names and word in SYMMETRIC:
        return BARE, False
    if word not in names:
        has = ", ".join(map(repr, sorted(names))) or "none: it takes 'query' and 'document' alike"
        raise InputError(f"{card.name} has no task {word[:80]!r}; it has {has}")
    return card.task(word), word in QUERY_WORDS
