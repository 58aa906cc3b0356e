"""A batch's texts and the cache: which are missing there, and what of a batch's results goes into it."""

from __future__ import annotations

import hashlib
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from twofold import vectors
from twofold.backend import Missing, Refused
from twofold.cache import VectorCache, cache_key
from twofold.documents import check_text
from twofold.errors import SpaceMismatch
from twofold.space import CANARIES, CANARY_COSINE, lowest_cosine

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from twofold.backend import Batch, BatchAPI, Result
    from twofold.embedder import Embedder
    from twofold.jobs.batches.submissions import Submissions
    from twofold.vectors import FloatArray

AT_ONCE = 500
"""Texts that are looked up in the cache, or written to it, at once."""
CANARY, CANARY_KEY = CANARIES[0], "twofold-canary"
"""The first line of each batch: its vector must be the one that a single request gives."""


class Arrivals:
    """The vectors of one embedder's documents, by the digests of their texts."""

    def __init__(self, embedder: Embedder, folder: str, api: BatchAPI, kept: Submissions) -> None:
        """Open the cache.

        Raises:
            InputError: it cannot be used.
        """
        self._embedder, self._api, self._kept = embedder, api, kept
        self._cache, self._prefix = VectorCache(folder), prefix_of(embedder)

    def missing(self, texts: Iterable[str]) -> Iterator[tuple[int, list[tuple[str, bytes]]]]:
        """Part by part, the digests and lines of texts that are neither in the cache, nor on their way, nor refused.

        With each part, how many of its texts are in the cache, or were in it before.
        """
        walk = enumerate(texts)
        while some := list(islice(walk, AT_ONCE)):
            digests = {_digest(check_text(text, place)): text for place, text in some}
            names = list(digests)
            cached = self._cache.get([f"{self._prefix}/{name}" for name in names])
            known = self._kept.known(names)
            wanted = [name for name, value in zip(names, cached, strict=True) if value is None and name not in known]
            lines = self._api.lines(wanted, [digests[name] for name in wanted])
            yield len(some) - len(wanted) - len(known), list(lines)

    def canary(self) -> list[bytes]:
        """The line of the canary, once a single request has shown its vector; later that comes from the cache."""
        self._embedder.embed_documents([CANARY])
        return [line for _, line in self._api.lines([CANARY_KEY], [CANARY])]

    def take(self, now: Batch, marker: str) -> tuple[int, dict[str, str]]:
        """Put the vectors of a batch into the cache: how many they are, and which texts were refused, with the reasons.

        Raises:
            InputError: the cache cannot be written.
            SpaceMismatch: they are not those that single requests give.
        """
        ours, done = self._kept.texts_of(marker), 0
        refused: dict[str, str] = {}
        if not now.results:
            return done, refused
        with self._api.results(now) as results:
            walk = iter(results if self._are_true(now, results) else ())
            while some := list(islice(walk, AT_ONCE)):
                good = {key: value for key, value in some if key in ours}
                refused |= {key: value.reason for key, value in good.items() if isinstance(value, Refused)}
                done += self._keep({key: row for key, row in good.items() if not isinstance(row, (Refused, Missing))})
        return done, refused

    # -- inside -------------------------------------------------------------------------------------------------------

    def _keep(self, rows: dict[str, FloatArray]) -> int:
        if rows:
            pairs = zip(rows, self._finished(np.concatenate(list(rows.values()))), strict=True)
            values = [(f"{self._prefix}/{key}", row.astype("<f4").tobytes()) for key, row in pairs]
            self._cache.put(values, strict=True)
        return len(rows)

    def _are_true(self, now: Batch, results: Iterable[tuple[str, Result]]) -> bool:
        """Whether a batch's vectors are those that single requests give; False where its canary was not worked on.

        Raises:
            SpaceMismatch: they are others.
        """
        found = next((value for key, value in results if key == CANARY_KEY), None)
        if found is None or isinstance(found, (Refused, Missing)):
            return self._kept.is_proved
        cosine = lowest_cosine(self._finished(found), self._embedder.embed_documents([CANARY]))
        if cosine < CANARY_COSINE:
            raise SpaceMismatch(
                f"{self._api.name}: its batch API gives other vectors than single requests (a cosine of {cosine:.4f}, "
                f"under {CANARY_COSINE}), so that nothing of batch {now.id} is kept: do without batches"
            )
        self._kept.prove()
        return True

    def _finished(self, raw: FloatArray) -> FloatArray:
        return vectors.finish(raw, len(raw), self._embedder.dimensions, unit=self._embedder.settings.normalize)


def prefix_of(embedder: Embedder) -> str:
    """What comes before a document's digest in the keys of the cache."""
    return cache_key(embedder, "document", "").rpartition("/")[0]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
