"""Proves which model wrote a collection's vectors by embedding some rows again and comparing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from twofold.documents import Document, is_blank
from twofold.jobs.chunking import SECTION
from twofold.jobs.migration.units import is_chunk, read_embedded
from twofold.space import CANARY_COSINE
from twofold.stores.checks import refuses_long
from twofold.stores.opening import rebuild
from twofold.vectors import normalize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twofold.embedder import Embedder
    from twofold.stores.moving import Original
    from twofold.vectors import FloatArray


@dataclass(frozen=True, slots=True)
class Proof:
    """How well an embedder's vectors match the stored ones.

    Attributes:
        tag: the tag of the embedder's space.
        rows: rows embedded again.
        agreeing: rows whose new vector equals the stored one, with a cosine of at least 0.999.
        cosine: the median of all cosines.
        alone: chunks that match when embedded alone.
        late: chunks that match when embedded in the context of their document. The only chunk of a document is both.
        chunks: rows that are chunks.
    """

    tag: str
    rows: int
    agreeing: int
    cosine: float
    alone: int = 0
    late: int = 0
    chunks: int = 0

    @property
    def proved(self) -> bool:
        """Whether the embedder wrote all of the rows."""
        return self.rows > 0 and self.agreeing == self.rows

    def summary(self) -> str:
        """A sentence for reports."""
        return f"{self.tag}: {self.agreeing} of {self.rows} rows agree (cosine {self.cosine:.4f})"


def prove(embedder: Embedder, documents: Sequence[Sequence[Original]]) -> Proof:
    """Embed documents again, given as their rows with vectors: each row alone, and chunks also in their document."""
    fitting = [own for own in documents if all(_has_text(one) for one in own)]
    fitting = [own for own in fitting if max(read_embedded(one)[0].span[1] for one in own) <= SECTION]
    fitting = [own for own in fitting if _is_short(embedder, own)]
    rows = [one for own in fitting for one in own]
    if not rows:
        return Proof(embedder.space.tag, 0, 0, 0.0)
    texts = [read_embedded(one)[1][0] for one in rows]
    separate = _cosines(rows, embedder.embed_late([Document.whole(text) for text in texts]))
    chunked = [own for own in fitting if is_chunk(own[0])]
    ordered = [sorted(own, key=lambda one: read_embedded(one)[0].span) for own in chunked]
    late = dict.fromkeys((one.row.id for one in rows), -1.0)
    made = embedder.embed_late([rebuild([read_embedded(one)[0] for one in own]) for own in ordered]) if ordered else []
    for own, vectors in zip(ordered, made, strict=True):
        cosines = _cosines(own, [vector[None] for vector in vectors])
        late.update(zip((one.row.id for one in own), cosines, strict=True))
    best = [max(one, late[row.row.id]) for one, row in zip(separate, rows, strict=True)]
    chunks = {one.row.id for own in chunked for one in own}
    return Proof(
        tag=embedder.space.tag,
        rows=len(rows),
        agreeing=sum(one >= CANARY_COSINE for one in best),
        cosine=float(np.median(best)),
        alone=sum(one >= CANARY_COSINE for one, row in zip(separate, rows, strict=True) if row.row.id in chunks),
        late=sum(late[key] >= CANARY_COSINE for key in chunks),
        chunks=len(chunks),
    )


def _has_text(one: Original) -> bool:
    return bool(one.vectors) and not is_blank(read_embedded(one)[1][0])


def _is_short(embedder: Embedder, own: Sequence[Original]) -> bool:
    """Whether each row fits into the model."""
    if not refuses_long(embedder):
        return True
    return max(embedder.count_tokens([read_embedded(one)[1][0] for one in own])) <= embedder.card.max_tokens


def _cosines(rows: Sequence[Original], made: Sequence[FloatArray]) -> list[float]:
    """Cosines of each row's first vector with its new one, shape (1, dimensions). -1 if the sizes differ."""
    return [
        float((normalize(one.vectors[0][None]) @ normalize(own).T)[0, 0])
        if one.vectors[0].shape == own[0].shape
        else -1.0
        for one, own in zip(rows, made, strict=True)
    ]
