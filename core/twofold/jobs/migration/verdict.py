"""What a verification found, and whether that is good enough to cut over."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from twofold.jobs.migration.judging import Judged
    from twofold.stores.moving import Original

NAMED = 20
"""Ids that a list of faults has at most."""

LEAST_RECALL = 0.95
"""The share of the ten exactly nearest rows that the store's search must find."""


@dataclass(slots=True)
class Fault:
    """Something that is wrong with some rows.

    Attributes:
        rows: how many.
        ids: the first of them.
    """

    rows: int = 0
    ids: list[str] = field(default_factory=list)

    def note(self, key: str) -> None:
        """One more."""
        self.rows += 1
        if len(self.ids) < NAMED:
            self.ids.append(key)


@dataclass(slots=True)
class Verdict:
    """What was found. `go` is the verdict, `reasons` says why it is not.

    Attributes:
        rows: rows of the target.
        missing: in the source, and not in the target.
        extra: in the target, and not in the source.
        differing: with another text, metadata or other field than in the source.
        left_out: missing, since they have no text or are longer than the model takes.
        unfit: with a vector that is none of this space: of another size or length, not finite, or all zeros.
        changed: of those that were embedded again, with another vector than the embedder makes of them.
        sampled: rows that were embedded again.
        searched: questions that the target was asked, to compare its answers with exact search.
        recall: the share of the ten exactly nearest rows that its search found.
        judged: old and new answers to given questions; None where there were none.
        saw: a digest of all rows of the target with their vectors, whatever their order.
        at: when, in UTC.
    """

    rows: int = 0
    missing: Fault = field(default_factory=Fault)
    extra: Fault = field(default_factory=Fault)
    differing: Fault = field(default_factory=Fault)
    left_out: Fault = field(default_factory=Fault)
    unfit: Fault = field(default_factory=Fault)
    changed: Fault = field(default_factory=Fault)
    sampled: int = 0
    searched: int = 0
    recall: float = 1.0
    judged: Judged | None = None
    saw: str = ""
    at: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    reasons: list[str] = field(default_factory=list)

    @property
    def go(self) -> bool:
        """Whether to cut over."""
        return not self.reasons

    @property
    def behind(self) -> int:
        """Rows that another `apply`, or the cutover itself, would carry over."""
        return self.missing.rows + self.extra.rows + self.differing.rows

    def decide(self, *, behind: int, skip: bool) -> None:
        """Say what speaks against going; `behind` rows may wait for the cutover, and none may be left out."""
        faults = {
            "are missing": self.missing,
            "are not in the source": self.extra,
            "differ from the source": self.differing,
        }
        if self.behind > behind:
            self.reasons += [_said(fault, what) + "; apply again" for what, fault in faults.items() if fault.rows]
        if self.left_out.rows and not skip:
            self.reasons.append(_said(self.left_out, "cannot be embedded: apply with on_error='skip' to leave them"))
        if self.unfit.rows:
            self.reasons.append(_said(self.unfit, "have vectors that are not of the new space"))
        if self.changed.rows:
            self.reasons.append(_said(self.changed, "have other vectors than the embedder makes of them"))
        if self.recall < LEAST_RECALL:
            self.reasons.append(f"search finds {self.recall:.1%} of the ten nearest rows, at least 95 % are wanted")
        if self.judged is not None and self.judged.is_worse:
            self.reasons.append(f"answers are worse than before: {self.judged.said()}")

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"go": self.go, "behind": self.behind, **asdict(self)}


class Digest:
    """A digest of rows with their vectors, whatever their order: the sum of the hashes of each."""

    def __init__(self) -> None:
        self._sum = 0

    def add(self, one: Original) -> None:
        """Take a row."""
        kept = json.dumps([one.row.id, dict(one.kept)], sort_keys=True, default=str)
        hashed = hashlib.sha256(kept.encode(errors="surrogatepass"))
        for vector in one.vectors:
            hashed.update(vector.tobytes())
        self._sum = (self._sum + int.from_bytes(hashed.digest(), "big")) % (1 << 256)

    def __str__(self) -> str:
        """Sixty-four hexadecimal digits."""
        return f"{self._sum:064x}"


def _said(fault: Fault, what: str) -> str:
    return f"{fault.rows:,} rows {what} (the first is {fault.ids[0]!r})"
