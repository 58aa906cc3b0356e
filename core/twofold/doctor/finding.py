"""`Finding`, the result of one check, and the check that local and hosted models share."""

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
    """The result of one check.

    Attributes:
        name: what was checked, for example "device" or "published vectors".
        ok: whether the check passed; None for information, or if there was nothing to compare with.
        detail: the result in words.
    """

    name: str
    ok: bool | None
    detail: str


def compare_sides(embedder: Embedder, queries: FloatArray, documents: FloatArray) -> Finding:
    """Whether the two sides differ. `queries` and `documents` are vectors of the same texts."""
    if embedder.query_task == embedder.document_task:
        return Finding("two sides", None, "queries and documents are encoded the same way")
    cosine = lowest_cosine(queries, documents)
    detail = f"the lowest cosine between a text's two vectors is {cosine:.3f}"
    return Finding("two sides", not np.allclose(queries, documents), detail)
