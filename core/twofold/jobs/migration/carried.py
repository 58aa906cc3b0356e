"""The result of a pass over the rows of a migration."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields


@dataclass(slots=True)
class Carried:
    """What was done. All counts are rows, except `tokens`.

    Attributes:
        unchanged: already equal to the source.
        embedded: written with new vectors.
        refiled: only fields had changed, so they were written with their existing vectors.
        removed: no longer in the source.
        set_aside: could not be embedded.
        tokens: tokens that were embedded.
        stopped: whether `stop` ended the run early. Another run continues from there.
    """

    unchanged: int = 0
    embedded: int = 0
    refiled: int = 0
    removed: int = 0
    set_aside: int = 0
    tokens: int = 0
    stopped: bool = False

    @property
    def changed(self) -> int:
        """Rows that were written or removed."""
        return self.embedded + self.refiled + self.removed

    def add(self, other: Carried) -> None:
        """Add a later pass. `unchanged`, `set_aside` and `stopped` take the later value instead of the sum."""
        for field in fields(self):
            latest = field.name in ("unchanged", "set_aside", "stopped")
            mine = 0 if latest else getattr(self, field.name)
            setattr(self, field.name, getattr(other, field.name) if latest else mine + getattr(other, field.name))

    def to_dict(self) -> dict[str, int]:
        """A dict that `json` can write."""
        return asdict(self)
