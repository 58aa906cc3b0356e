"""`ModelCard`: a model's tasks, sides and sizes. The table of known models is in `cards.py`."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cache
from typing import Literal, TypeAlias

from twofold.errors import DimensionsWarning, InputError, LicenceWarning

Pooling: TypeAlias = Literal["mean", "cls", "last", "other"]
Side: TypeAlias = Literal["query", "document"]
AUTO = "auto"
"""The value of `query_task` and `document_task` that means the task on the model card."""

LATE_OVERLAP = 512


@dataclass(frozen=True, slots=True)
class Task:
    """How a text is encoded: the text put before it, and the LoRA adapter used for it.

    `name` is the model's own name for the task, which users pass. None is the bare model.
    """

    name: str | None
    prefix: str = ""
    adapter: str | None = None


BARE = Task(None)
"""No instruction and no adapter."""


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What Twofold knows about a model.

    Attributes:
        name: its hub id, or the provider's name for a model that is only hosted.
        width: the number of dimensions of a full vector.
        max_tokens: the longest input in tokens, including the instruction and special tokens.
        tasks: the tasks that it was trained for, under its own names.
        query_task, document_task: the task of each side; None is the bare model.
        pooling: how token vectors become one vector: "mean", "cls" (the first), "last", or "other".
        matryoshka: the sizes to which it was trained to be cut; may be empty.
        licence: an SPDX identifier, or "unknown".
        terms: restrictions of the licence that users should know.
        hub_id: the id that an unknown model was opened by; messages name it.
        has_more_tasks: whether its own files state further tasks, so that a task can be checked only with them.
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
    hub_id: str = ""
    has_more_tasks: bool = False

    @property
    def label(self) -> str:
        """The model's name in messages."""
        return self.hub_id or self.name

    def task(self, name: str | None) -> Task:
        """The task called `name`; None is the bare model.

        Raises:
            InputError: the model has no such task. The message lists its tasks.
        """
        if name is None:
            return BARE
        for task in self.tasks:
            if task.name == name:
                return task
        has = ", ".join(repr(task.name) for task in self.tasks) or "no tasks"
        raise InputError(
            f"{self.label} has no task {name!r}: it has {has}; None is the bare model "
            "(query_task=None, document_task=None)"
        )

    def side(self, side: Side, chosen: str | None = AUTO) -> Task:
        """The task of one side: `chosen`, or the card's own task if `chosen` is "auto"."""
        own = self.query_task if side == "query" else self.document_task
        return self.task(own if chosen == AUTO else chosen)

    def check_dimensions(self, dimensions: int | None) -> int:
        """The size of the vectors: `dimensions`, or the full width for None.

        Raises:
            InputError: `dimensions` is not from 1 to the width.
        """
        if dimensions is None:
            return self.width
        if not 1 <= dimensions <= self.width:
            raise InputError(f"dimensions={dimensions}, but {self.label} has 1 to {self.width}")
        return dimensions

    def late_policy(self, window: int | None, overlap: int | None) -> tuple[int, int]:
        """The tokens of one window over a long document, and the tokens that two neighbouring windows share.

        The defaults are the model's length and 512 (Algorithm 2 of arXiv 2409.04701), at most half a window.

        Raises:
            InputError: the window is longer than the model's length, or the overlap is not less than the window.
        """
        window = self.max_tokens if window is None else window
        if window > self.max_tokens:
            raise InputError(f"late_window={window}, but {self.label} takes at most {self.max_tokens} tokens")
        overlap = min(LATE_OVERLAP, window // 2) if overlap is None else overlap
        if overlap >= window:
            raise InputError(f"late_overlap={overlap}: it must be less than the window of {window} tokens")
        return window, overlap


@cache
def warn_terms(card: ModelCard) -> None:
    """Warn once for each model whose licence restricts its use."""
    if card.terms:
        warnings.warn(f"the weights of {card.label} are {card.licence}: {card.terms}", LicenceWarning, stacklevel=2)


@cache
def warn_untrained(card: ModelCard, dimensions: int) -> None:
    """Warn once for each model and size if the model was not trained for that size."""
    sizes = ", ".join(map(str, card.matryoshka))
    trained = f"trained to be cut to {sizes}" if sizes else "not trained to be cut"
    warnings.warn(
        f"dimensions={dimensions}: {card.label} was {trained}; shorter vectors are allowed, measure what they cost you",
        DimensionsWarning,
        stacklevel=5,  # where the embedder is created
    )
