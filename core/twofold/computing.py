"""One call of an embedder, carried out: what the cache has is taken, the rest is computed, finished and kept."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from twofold import vectors
from twofold.assembly import Assembled
from twofold.cache import VectorCache
from twofold.documents import span_counts
from twofold.errors import InputError, ProviderError
from twofold.lookup import Lookup
from twofold.progress import reporting

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from twofold.documents import Document
    from twofold.lookup import Side
    from twofold.models import Task
    from twofold.settings import Truncate
    from twofold.vectors import FloatArray


def split(rows: FloatArray, documents: Sequence[Document]) -> list[FloatArray]:
    """The rows of each document."""
    return np.split(rows, np.cumsum(span_counts(documents))[:-1]) if documents else []


class Computing(Assembled):
    """What an `Embedder` does with documents that are checked. No side means a task of neither: it is never cached."""

    def _truncate(self, side: Side | None) -> Truncate:
        return (self.settings.query_truncate if side == "query" else None) or self.settings.truncate

    def _embed(
        self, documents: Sequence[Document], task: Task, side: Side | None, progress: bool = False
    ) -> FloatArray:
        if not documents:
            return np.empty((0, self.dimensions), np.float32)
        lookup = self._look_up(documents, side)
        if lookup is None:
            return self._compute(documents, task, self._truncate(side), progress)
        if missing := list(lookup.missing.values()):
            with self._salvaging(lookup):
                rows = self._compute(missing, task, self._truncate(side), progress)
            self._cache.put(lookup.filled(split(rows, missing)))
        return np.concatenate(lookup.arrays())

    async def _aembed(
        self, documents: Sequence[Document], task: Task, side: Side | None, progress: bool = False
    ) -> FloatArray:
        if not documents:
            return np.empty((0, self.dimensions), np.float32)
        if self.settings.cache is not None:
            await self._ready()
        lookup = await asyncio.to_thread(self._look_up, documents, side) if self.settings.cache is not None else None
        if lookup is None:
            return await self._acompute(documents, task, self._truncate(side), progress)
        if missing := list(lookup.missing.values()):
            with self._salvaging(lookup):
                rows = await self._acompute(missing, task, self._truncate(side), progress)
            await asyncio.to_thread(self._cache.put, lookup.filled(split(rows, missing)))
        return np.concatenate(lookup.arrays())

    # -- the cache ----------------------------------------------------------------------------------------------------

    @cached_property
    def _cache(self) -> VectorCache:
        assert self.settings.cache is not None  # noqa: S101 - asked for where there is one
        return VectorCache(self.settings.cache)

    def _look_up(self, documents: Sequence[Document], side: Side | None) -> Lookup[Document] | None:
        """What the cache has of these; None where there is no cache for them."""
        if self.settings.cache is None or side is None:
            return None
        lookup = Lookup(self, side, documents)
        lookup.read(self._cache.get(lookup.keys))
        return lookup

    @contextmanager
    def _salvaging(self, lookup: Lookup[Document]) -> Iterator[None]:
        """Keep what a provider gave before it failed; its error then counts by the whole call."""
        try:
            yield
        except (InputError, ProviderError) as error:
            self._cache.put(lookup.salvaged(error))
            if isinstance(error, ProviderError):
                error.partial = lookup.done()
                why = {lookup.keys[place]: reason for place, reason in error.failed.items()}
                error.failed = {place: why[key] for place, key in enumerate(lookup.keys) if key in why}
            raise

    # -- computing ----------------------------------------------------------------------------------------------------

    def _compute(self, documents: Sequence[Document], task: Task, truncate: Truncate, progress: bool) -> FloatArray:
        with self._keeping_partial(), reporting(len(documents), shown=progress) as report:
            raw = self.backend.embed(
                documents, task, self.dimensions, truncate=truncate, report=report if progress else None
            )
        return self._finish(raw, documents)

    async def _acompute(
        self, documents: Sequence[Document], task: Task, truncate: Truncate, progress: bool
    ) -> FloatArray:
        with self._keeping_partial(), reporting(len(documents), shown=progress) as report:
            raw = await self.backend.aembed(
                documents, task, self.dimensions, truncate=truncate, report=report if progress else None
            )
        return self._finish(raw, documents)

    @contextmanager
    def _keeping_partial(self) -> Iterator[None]:
        """Finish what a provider gave before it failed, as everything else is finished."""
        try:
            yield
        except ProviderError as error:
            for index, raw in error.partial.items():
                error.partial[index] = vectors.finish(raw, len(raw), self.dimensions, unit=self.settings.normalize)
            raise

    def _finish(self, raw: FloatArray, documents: Sequence[Document]) -> FloatArray:
        return vectors.finish(raw, sum(span_counts(documents)), self.dimensions, unit=self.settings.normalize)
