"""What a pass over the rows of a migration has done."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields


@dataclass(slots=True)
class Carried:
    """What was done, in rows, `tokens` apart.

    Attributes:
        unchanged: there as in the source.
        embedded: written with new vectors, of `tokens`.
        refiled: written with the vectors that they had, since only their fields had changed.
        removed: in the source no more.
        set_aside: could not be embedded.
        stopped: whether the run was cut short by `stop`; another one goes on after it.
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
        """Add what another pass did; what was unchanged or set aside counts once."""
        for field in fields(self):
            latest = field.name in ("unchanged", "set_aside", "stopped")
            mine = 0 if latest else getattr(self, field.name)
            setattr(self, field.name, getattr(other, field.name) if latest else mine + getattr(other, field.name))

    def to_dict(self) -> dict[str, int]:
        """For JSON."""
        return asdict(self)
