"""Checks of a hosted model: whether it answers with this key, and agrees with the same model on this machine."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from twofold.doctor.finding import Finding, compare_sides
from twofold.embedder import Embedder
from twofold.errors import TwofoldError
from twofold.hosted.backend import HostedBackend
from twofold.hosted.counting import cached_file
from twofold.space import CANARIES, CANARY_COSINE, lowest_cosine

if TYPE_CHECKING:
    from collections.abc import Iterator


def examine_hosted(embedder: Embedder, local: Embedder | None = None) -> Iterator[Finding]:
    """Check the address, the key, the answer to a few short texts, the limits, and agreement with the local model.

    `local` is the same model on this machine. Without it, the model is looked up in the hub's cache. Sends three short
    requests.
    """
    backend = embedder.backend
    if not isinstance(backend, HostedBackend):
        raise TypeError(f"{embedder!r} is not hosted")
    yield Finding("address", None, backend.address)
    try:
        yield Finding("key", ok=True, detail=backend.check_key())
        started = time.monotonic()
        queries = embedder.embed_queries(CANARIES)
        milliseconds = 1000 * (time.monotonic() - started)
        card = embedder.card
        yield Finding(
            "answer", ok=True, detail=f"{len(queries)} vectors of {queries.shape[1]} in {milliseconds:.0f} ms"
        )
        yield Finding("model", None, f"{card.name}: {card.width} dimensions, {card.max_tokens} tokens")
        yield Finding("limits", None, _limits(backend))
        documents = embedder.embed_documents(CANARIES)
        yield compare_sides(embedder, queries, documents)
        yield _same_space(embedder, np.concatenate([queries, documents]), local)
    except TwofoldError as error:
        yield Finding("answer", ok=False, detail=str(error))


def _limits(backend: HostedBackend) -> str:
    known = [f"{limit:,.0f} {unit} a minute" for unit, limit in backend.limits().items() if limit]
    return ", ".join(known) or "the provider does not state them; Twofold learns them from its refusals"


def _same_space(embedder: Embedder, canaries: np.ndarray, local: Embedder | None) -> Finding:
    """Compare with the local model, since one application may use both."""
    local = local or _local_twin(embedder)
    if local is None:
        return Finding(
            "local model", None, f"{embedder.card.name} is not on this machine, so there is nothing to compare"
        )
    cosine = lowest_cosine(canaries, np.concatenate([local.embed_queries(CANARIES), local.embed_documents(CANARIES)]))
    return Finding(
        "local model",
        cosine >= CANARY_COSINE,
        f"the lowest cosine between its vectors and the hosted ones is {cosine:.5f}, expected at least {CANARY_COSINE}",
    )


def _local_twin(embedder: Embedder) -> Embedder | None:
    """The same model on this machine, if its files are in the cache, it runs here and has the same tasks."""
    name, settings = embedder.card.name, embedder.settings
    if cached_file(name, "config.json") is None:
        return None
    try:
        twin = Embedder(
            name,
            dimensions=embedder.dimensions,
            query_task=embedder.query_task.name,
            document_task=embedder.document_task.name,
            normalize=settings.normalize,
        )
        _ = twin.backend  # which opens the files
    except TwofoldError:
        return None
    return twin
