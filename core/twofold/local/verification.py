"""Checks a model once when it is opened: two texts on each side, alone and in a batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from twofold.errors import ModelError
from twofold.models import AUTO, BARE
from twofold.space import lowest_cosine

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from twofold.models import ModelCard, Task
    from twofold.settings import Settings
    from twofold.vectors import FloatArray

TEXTS = ("How do I remove a directory?", "fog")
"""Of different lengths, so that a batch of both has padding where an engine pads."""
SAME_COSINE = {"float32": 0.9999, "bfloat16": 0.99, "int8": 0.98}
"""The lowest allowed cosine between a text's vectors when it is embedded alone and in a batch."""


@dataclass(frozen=True)
class Verified:
    """The result of the check.

    Attributes:
        sides: the tasks that were checked.
        cosine: the lowest cosine between a text's vectors when it is embedded alone and in a batch.
        least: the lowest allowed one.
    """

    sides: tuple[str | None, ...]
    cosine: float
    least: float

    def __str__(self) -> str:
        tasks = ", ".join(name or "the bare model" for name in self.sides)
        return f"{tasks}: the lowest cosine is {self.cosine:.6f}, expected at least {self.least}"


def verify(
    embed: Callable[[Sequence[str], Task], FloatArray], card: ModelCard, settings: Settings, precision: str
) -> Verified:
    """Embed two texts on each side of the settings in a batch, and compare them with the same texts alone.

    With two sides, one of the texts is embedded alone on each of them, so that the check costs four short batches.

    Raises:
        ModelError: a vector is not finite or zero, or a text's vector depends on the texts beside it.
    """
    tasks = _tasks(card, settings)
    least = SAME_COSINE[precision]
    lowest = 1.0
    for number, task in enumerate(tasks):
        chosen = [0, 1] if len(tasks) == 1 else [1 - number]
        together = embed(TEXTS, task)
        alone = np.concatenate([embed([TEXTS[place]], task) for place in chosen])
        vectors = np.concatenate([together, alone])
        side = "without a task" if task.name is None else f"with the task {task.name!r}"
        if not np.isfinite(vectors).all() or not vectors.any(axis=1).all():
            raise ModelError(
                f"{card.label} computes vectors that are not finite or are zero, {side} in {precision}. "
                "Check its files, or use dtype='float32'"
            )
        lowest = min(lowest, lowest_cosine(together[chosen], alone))
        if lowest < least:
            raise ModelError(
                f"{card.label} gives a text different vectors alone and in a batch, {side}: the "
                f"cosine is {lowest:.4f}, expected at least {least} in {precision}. Its vectors cannot be used"
            )
    return Verified(tuple(task.name for task in tasks), lowest, least)


def _tasks(card: ModelCard, settings: Settings) -> list[Task]:
    """The tasks of both sides, once each. Tasks that the card lacks are left to the embedder, which reports them."""
    names = {task.name for task in card.tasks}
    chosen = [
        card.query_task if settings.query_task == AUTO else settings.query_task,
        card.document_task if settings.document_task == AUTO else settings.document_task,
    ]
    return list(dict.fromkeys(card.task(name) if name in names else BARE for name in chosen))
