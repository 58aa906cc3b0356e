"""`Counts`: what a run did."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Counts:
    """What a run did, in documents, `rows` and `tokens` apart.

    Attributes:
        added: written for the first time.
        updated: written in place of an earlier version, or of one that is there in part.
        refiled: only their metadata had changed: it was written, and nothing embedded.
        skipped: there, unchanged.
        blank: without a visible character; they have no rows.
        set_aside: could not be embedded.
        rows, tokens: of those that were added and updated.
        gone: in the collection and not in the corpus; None where the run was cut short, and nobody looked.
        pruned: of these, removed.
        stopped: whether the run was cut short by `stop`; another one goes on after it.
    """

    added: int = 0
    updated: int = 0
    refiled: int = 0
    skipped: int = 0
    blank: int = 0
    set_aside: int = 0
    rows: int = 0
    tokens: int = 0
    gone: int | None = None
    pruned: int = 0
    stopped: bool = False
