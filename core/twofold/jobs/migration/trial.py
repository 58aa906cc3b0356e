"""Measures how long a store takes to write a row, on a temporary collection."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from twofold.jobs.migration.collection import PAGE, Note

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twofold.embedder import Embedder
    from twofold.jobs.migration.collection import Collection
    from twofold.stores.moving import Original
    from twofold.vectors import FloatArray


def seconds_a_row(
    source: Collection,
    target: Collection,
    embedder: Embedder,
    made: Sequence[tuple[Original, FloatArray]],
    rows: int,
) -> float:
    """Write up to `rows` of the rows with their new vectors, and return the seconds for each."""
    if not made:
        return 0.0
    trial = source.sibling(f"{target.name}_trial")
    if trial.find():  # left by an interrupted plan
        trial.drop()
        trial = source.sibling(trial.name)
    trial.make_like(source, embedder.record().to_json(), embedder, Note(trial.name, source.name))
    try:
        written, spent = 0, 0.0
        for start in range(0, min(len(made), rows), PAGE):
            some = made[start : start + PAGE]
            started = time.monotonic()
            trial.originals([one.row.id for one, _ in some])  # carrying reads them, too
            trial.put([one for one, _ in some], [vectors for _, vectors in some])
            spent += time.monotonic() - started
            written += len(some)
        return spent / written
    finally:
        trial.drop()
