"""Maps the task names of each dialect to the model's tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twofold.errors import InputError
from twofold.models import BARE

if TYPE_CHECKING:
    from twofold.embedder import Embedder
    from twofold.models import Side, Task

QUERY_WORDS = frozenset({"query", "search_query", "retrieval.query"})
DOCUMENT_WORDS = frozenset({"document", "passage", "search_document", "retrieval.passage"})
"""The dialects' names for the two sides."""
SAME = {"clustering": "separation", "separation": "clustering"}
"""Two names for one task: Cohere and later Jina models say "clustering", jina-embeddings-v3 says "separation"."""
SYMMETRIC = frozenset({*SAME, "classification", "text-matching"})
"""Tasks without sides. A model without tasks accepts them and ignores them."""


def task_of(embedder: Embedder, word: str | None, side: Side | None) -> tuple[Task, bool]:
    """Return the task that a request names, or else its path, and whether it is a query.

    The model's own task names take precedence over the names of the sides. Without a word, the task is `BARE`.

    Raises:
        InputError: the model does not have this task.
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
        has = ", ".join(map(repr, sorted(names))) or "none; 'query' and 'document' mean the same"
        raise InputError(f"{card.name} has no task {word[:80]!r}; it has {has}")
    return card.task(word), word in QUERY_WORDS
