"""Model cards: what Twofold knows of a model before it has seen a weight. Data, not classes.

Sources: each model's own files and paper; for jina-embeddings-v3, arXiv 2409.10173.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal, TypeAlias

from twofold.errors import DimensionsWarning, InputError

Pooling: TypeAlias = Literal["mean", "cls", "last", "other"]
AUTO = "auto"
"""The value of `query_task` and `document_task` that takes the card's own."""

LATE_OVERLAP = 512


@dataclass(frozen=True, slots=True)
class Task:
    """How an input goes in: the text put before it, and the LoRA adapter switched on for it.

    `name` is the model's own word, as users pass it; None is the bare model.
    """

    name: str | None
    prefix: str = ""
    adapter: str | None = None


BARE = Task(None)
"""No instruction and no adapter."""


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What is known of a model.

    Attributes:
        name: its hub id, or the provider's name for a model that is only hosted.
        width: the number of dimensions of a full vector.
        max_tokens: the longest input, instruction and special tokens included.
        tasks: the tasks that it was trained for, in its own words.
        query_task, document_task: the task of each side; None is the bare model.
        pooling: how token vectors become one: their mean, the first, the last, or in another way of the model's own.
        matryoshka: the sizes that it was trained to be cut to; empty where it was trained for none.
        licence: an SPDX identifier, or "unknown".
        terms: what the licence asks of users, where that needs saying.
    """

    name: str
    width: int
    max_tokens: int
    tasks: tuple[Task, ...] = ()
    query_task: str | None = None
    document_task: str | None = None
    pooling: Pooling = "mean"
    matryoshka: tuple[int, ...] = ()
    licence: str = "unknown"
    terms: str = ""

    def task(self, name: str | None) -> Task:
        """The task called `name`; None is the bare model.

        Raises:
            InputError: the model has no such task; the message lists those that it has.
        """
        if name is None:
            return BARE
        for task in self.tasks:
            if task.name == name:
                return task
        has = ", ".join(repr(task.name) for task in self.tasks) or "no tasks"
        raise InputError(
            f"{self.name} has no task {name!r}: it has {has}, and None for the bare model "
            "(query_task=None, document_task=None)"
        )

    def side(self, side: Literal["query", "document"], chosen: str | None = AUTO) -> Task:
        """The task of one side: the one `chosen`, or the card's own when that is "auto"."""
        own = self.query_task if side == "query" else self.document_task
        return self.task(own if chosen == AUTO else chosen)

    def check_dimensions(self, dimensions: int | None) -> int:
        """The size of the vectors: `dimensions`, or the full width for None.

        Raises:
            InputError: outside of 1 to the width.
        """
        if dimensions is None:
            return self.width
        if not 1 <= dimensions <= self.width:
            raise InputError(f"dimensions={dimensions}, but {self.name} has 1 to {self.width}")
        return dimensions

    def late_policy(self, window: int | None, overlap: int | None) -> tuple[int, int]:
        """Tokens in one pass over a long document, and tokens that two such passes share.

        By default the model's length and 512 (Algorithm 2 of arXiv 2409.04701), at most half a window.

        Raises:
            InputError: a window over the model's length, or an overlap that leaves it no step.
        """
        window = self.max_tokens if window is None else window
        if window > self.max_tokens:
            raise InputError(f"late_window={window}, but {self.name} takes at most {self.max_tokens} tokens")
        overlap = min(LATE_OVERLAP, window // 2) if overlap is None else overlap
        if overlap >= window:
            raise InputError(f"late_overlap={overlap}: it must be less than the window of {window} tokens")
        return window, overlap


@cache
def warn_untrained(card: ModelCard, dimensions: int) -> None:
    """Warn of a size that the model was not trained to be cut to, once for each model and size."""
    sizes = ", ".join(map(str, card.matryoshka))
    trained = f"trained to be cut to {sizes}" if sizes else "not trained to be cut"
    warnings.warn(
        f"dimensions={dimensions}: {card.name} was {trained}; shorter vectors are allowed, measure what they cost you",
        DimensionsWarning,
        stacklevel=4,  # where the embedder is made
    )


def _sides(query: str, document: str) -> tuple[Task, ...]:
    return (Task("query", query), Task("document", document))


_V3_TASKS = (
    Task("retrieval.query", "Represent the query for retrieving evidence documents: ", "retrieval.query"),
    Task("retrieval.passage", "Represent the document for retrieval: ", "retrieval.passage"),
    Task("separation", "", "separation"),
    Task("classification", "", "classification"),
    Task("text-matching", "", "text-matching"),
)
JINA_V3 = ModelCard(
    "jinaai/jina-embeddings-v3",
    width=1024,
    max_tokens=8192,
    tasks=_V3_TASKS,
    query_task="retrieval.query",
    document_task="retrieval.passage",
    matryoshka=(32, 64, 128, 256, 512, 768, 1024),
    licence="CC-BY-NC-4.0",
    terms="not for commercial use; for that, call Jina's API (model 'jina:jina-embeddings-v3'), "
    "or take the model from a cloud market (AWS SageMaker, Azure)",
)
_JINA_V2 = ModelCard("jinaai/jina-embeddings-v2-base-en", 768, 8192, licence="Apache-2.0")
_E5 = ModelCard("intfloat/e5-base-v2", 768, 512, _sides("query: ", "passage: "), "query", "document", licence="MIT")
_BGE = ModelCard(
    "BAAI/bge-base-en-v1.5",
    768,
    512,
    _sides("Represent this sentence for searching relevant passages: ", ""),
    "query",
    "document",
    pooling="cls",
    licence="MIT",
)

CARDS: dict[str, ModelCard] = {
    card.name: card
    for card in (
        JINA_V3,
        *(
            replace(_JINA_V2, name=f"jinaai/jina-embeddings-v2-{kind}", width=width)
            for kind, width in (
                ("base-en", 768),
                ("small-en", 512),
                ("base-de", 768),
                ("base-es", 768),
                ("base-zh", 768),
                ("base-code", 768),
            )
        ),
        ModelCard("sentence-transformers/all-MiniLM-L6-v2", 384, 256, licence="Apache-2.0"),
        *(
            replace(_E5, name=f"intfloat/{name}", width=width)
            for size, width in (("small", 384), ("base", 768), ("large", 1024))
            for name in (f"multilingual-e5-{size}", f"e5-{size}-v2")
        ),
        *(
            replace(_BGE, name=f"BAAI/bge-{size}-en-v1.5", width=width)
            for size, width in (("small", 384), ("base", 768), ("large", 1024))
        ),
        ModelCard("BAAI/bge-m3", 1024, 8192, pooling="cls", licence="MIT"),
    )
}
_SHORT_NAMES = {name.rpartition("/")[2]: name for name in CARDS}


def find_card(name: str) -> ModelCard | None:
    """The card of a model by its hub id, or by the part of it after the slash; None where there is none."""
    return CARDS.get(name) or CARDS.get(_SHORT_NAMES.get(name, ""))
