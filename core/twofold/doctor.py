"""Is this model what it says it is, and does it run rightly here? What `twofold doctor` prints."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        name: what it is: "device", "published vectors".
        ok: whether it is as it must be; None where it is only said, or could not be judged.
        detail: what was found, in words.
    """

    name: str
    ok: bool | None
    detail: str
