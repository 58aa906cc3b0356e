"""The result of a verification, and the decision whether to cut over."""

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
"""The most ids in a list of faults."""

LEAST_RECALL = 0.95
"""The share of the ten exactly nearest rows that the store's search must find."""


@dataclass(slots=True)
class Fault:
    """A fault and the rows that have it.

    Attributes:
        rows: how many.
        ids: the first of them.
    """

    rows: int = 0
    ids: list[str] = field(default_factory=list)

    def note(self, key: str) -> None:
        """Count one more row."""
        self.rows += 1
        if len(self.ids) < NAMED:
            self.ids.append(key)


@dataclass(slots=True)
class Verdict:
    """The result of a verification. `go` is the decision. `reasons` lists what is wrong.

    Attributes:
        rows: rows of the target.
        missing: rows that are in the source but not in the target.
        extra: rows that are in the target but not in the source.
        differing: rows whose text, metadata or other fields differ from the source.
        left_out: missing rows that cannot be embedded: they have no text or exceed the model's maximum.
        unfit: rows with a vector of the wrong size or length, or that is not finite or all zeros.
        changed: sampled rows whose stored vector differs from what the embedder computes.
        sampled: rows embedded again.
        searched: questions used to compare the target's search with exact search.
        recall: the share of the ten exactly nearest rows that its search found.
        judged: comparison of old and new answers to the given questions; None without questions.
        saw: a digest of all rows and vectors of the target, independent of their order.
        at: the time in UTC.
        reasons: why not to cut over.
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
        """Rows that another `apply` or the cutover would carry over."""
        return self.missing.rows + self.extra.rows + self.differing.rows

    def decide(self, *, behind: int, skip: bool) -> None:
        """Fill in `reasons`. `behind` rows may be left for the cutover; rows may be left out only with `skip`."""
        faults = {
            "are missing": self.missing,
            "are not in the source": self.extra,
            "differ from the source": self.differing,
        }
        if self.behind > behind:
            self.reasons += [_said(fault, what) + "; apply again" for what, fault in faults.items() if fault.rows]
        if self.left_out.rows and not skip:
            self.reasons.append(
                _said(self.left_out, "cannot be embedded: apply with on_error='skip' to leave them out")
            )
        if self.unfit.rows:
            self.reasons.append(_said(self.unfit, "have vectors that cannot belong to the new space"))
        if self.changed.rows:
            self.reasons.append(_said(self.changed, "have vectors that differ from what the embedder computes"))
        if self.recall < LEAST_RECALL:
            self.reasons.append(f"search finds {self.recall:.1%} of the ten nearest rows; at least 95 % are required")
        if self.judged is not None and self.judged.is_worse:
            self.reasons.append(f"answers are worse than before: {self.judged.summary()}")

    def to_dict(self) -> dict[str, Any]:
        """A dict that `json` can write."""
        return {"go": self.go, "behind": self.behind, **asdict(self)}


class Digest:
    """A digest of rows and vectors that does not depend on their order: the sum of the rows' hashes."""

    def __init__(self) -> None:
        self._sum = 0

    def add(self, one: Original) -> None:
        kept = json.dumps([one.row.id, dict(one.kept)], sort_keys=True, default=str)
        hashed = hashlib.sha256(kept.encode(errors="surrogatepass"))
        for vector in one.vectors:
            hashed.update(vector.tobytes())
        self._sum = (self._sum + int.from_bytes(hashed.digest(), "big")) % (1 << 256)

    def __str__(self) -> str:
        """The digest as 64 hexadecimal digits."""
        return f"{self._sum:064x}"


def _said(fault: Fault, what: str) -> str:
    return f"{fault.rows:,} rows {what} (the first is {fault.ids[0]!r})"
