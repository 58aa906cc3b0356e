"""The result of an index run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Counts:
    """What a run did. All counts are documents, except `rows` and `tokens`.

    Attributes:
        added: written for the first time.
        updated: replaced an earlier or incomplete version.
        refiled: only the metadata had changed, so it was written without embedding.
        skipped: already stored, unchanged.
        blank: have no visible character and therefore no rows.
        set_aside: could not be embedded.
        rows, tokens: written and embedded for `added` and `updated`.
        gone: in the collection but not in the corpus; None if the run stopped before checking.
        pruned: how many of `gone` were removed.
        stopped: whether `stop` ended the run early. Another run continues from there.
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
