"""`Finding`: one thing that was looked at, and the looks that local and hosted models share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from twofold.space import lowest_cosine

if TYPE_CHECKING:
    from twofold.embedder import Embedder
    from twofold.vectors import FloatArray


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


def compare_sides(embedder: Embedder, queries: FloatArray, documents: FloatArray) -> Finding:
    """Whether the two sides are kept apart; `queries` and `documents` are the vectors of the same texts."""
    if embedder.query_task == embedder.document_task:
        return Finding("two sides", None, "queries and documents go in alike")
    cosine = lowest_cosine(queries, documents)
    detail = f"a text's two vectors have a cosine of {cosine:.3f}"
    return Finding("two sides", not np.allclose(queries, documents), detail)
