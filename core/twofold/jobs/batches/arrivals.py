"""Connects batches with the cache: finds missing texts, and stores the results of batches."""

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
"""How many texts are looked up in the cache, or written to it, at once."""
CANARY, CANARY_KEY = CANARIES[0], "twofold-canary"
"""The first line of each batch. Its vector must equal that of a single request."""


class Arrivals:
    """The vectors of one embedder's documents, by the digests of their texts."""

    def __init__(self, embedder: Embedder, folder: str, api: BatchAPI, kept: Submissions) -> None:
        """Open the cache.

        Raises:
            InputError: the cache cannot be used.
        """
        self._embedder, self._api, self._kept = embedder, api, kept
        self._cache, self._prefix = VectorCache(folder), prefix_of(embedder)

    def missing(self, texts: Iterable[str]) -> Iterator[tuple[int, list[tuple[str, bytes]]]]:
        """Yield, for each part of the texts, how many are cached or repeated, and the lines to submit.

        A line comes with the digest of its text. Texts that are cached, submitted already or refused need no line.
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
        """The canary's line. A single request computes its vector for comparison; later the cache has it."""
        self._embedder.embed_documents([CANARY])
        return [line for _, line in self._api.lines([CANARY_KEY], [CANARY])]

    def take(self, now: Batch, marker: str) -> tuple[int, dict[str, str]]:
        """Store a batch's vectors in the cache. Returns their number, and the refused texts with the reasons.

        Raises:
            InputError: the cache cannot be written.
            SpaceMismatch: the vectors differ from those of single requests.
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
        """Whether a batch's vectors equal those of single requests; False if its canary was not processed.

        Raises:
            SpaceMismatch: they differ.
        """
        found = next((value for key, value in results if key == CANARY_KEY), None)
        if found is None or isinstance(found, (Refused, Missing)):
            return self._kept.is_proved
        cosine = lowest_cosine(self._finished(found), self._embedder.embed_documents([CANARY]))
        if cosine < CANARY_COSINE:
            raise SpaceMismatch(
                f"{self._api.name}: the vectors of its batch API differ from those of single requests "
                f"(cosine {cosine:.4f}, below {CANARY_COSINE}). No vector of batch {now.id} was stored: embed without "
                "batches"
            )
        self._kept.prove()
        return True

    def _finished(self, raw: FloatArray) -> FloatArray:
        return vectors.finish(raw, len(raw), self._embedder.dimensions, unit=self._embedder.settings.normalize)


def prefix_of(embedder: Embedder) -> str:
    """The part of a cache key before the document's digest."""
    return cache_key(embedder, "document", "").rpartition("/")[0]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
