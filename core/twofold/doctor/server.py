"""Checks of a Twofold server: `twofold doctor jina:<name> --base-url http://…/v1`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from twofold.doctor.finding import Finding
from twofold.errors import TwofoldError
from twofold.extras import extra
from twofold.space import CANARIES, lowest_cosine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from twofold.embedder import Embedder

SECONDS = 10.0
SAME = 0.99999
"""The lowest allowed cosine between a text's vectors from different routes, since one engine computes them."""


def examine_server(embedder: Embedder) -> Iterator[Finding]:
    """Check its health, its dialects and late chunking. Yields nothing for other servers."""
    root = str(embedder.settings.base_url).rstrip("/").removesuffix("/v1")
    health = _health(root)
    if health is None:
        return
    states = ", ".join(f"{name} is {state}" for name, state in health["models"].items())
    yield Finding("server", health.get("status") == "ready", f"{root}: {states}")
    for look in (_dialects, _late):
        try:
            yield look(embedder, root)
        except TwofoldError as error:
            yield Finding("server", ok=False, detail=str(error))


def _health(root: str) -> dict[str, Any] | None:
    """The answer of a Twofold server at `/health`, or None from other servers."""
    with extra("hosted"):
        import httpx  # noqa: PLC0415

    try:
        said = httpx.get(f"{root}/health", timeout=SECONDS).json()
    except (httpx.HTTPError, ValueError):
        return None
    return said if isinstance(said, dict) and isinstance(said.get("models"), dict) else None


def _dialects(embedder: Embedder, root: str) -> Finding:
    """Compare both sides in Jina's and Cohere's dialects, and the query side in text-embeddings-inference's."""
    name = embedder.settings.model.partition(":")[2]
    own: dict[str, Any] = {"query_task": "auto", "document_task": "auto"}  # each provider names its tasks differently
    cohere = embedder.with_options(model=f"cohere:{name}", base_url=f"{root}/v2", **own)
    tei = embedder.with_options(model="tei:served", base_url=f"{root}/models/{name}/query", **own)
    queries, documents = embedder.embed_queries(CANARIES), embedder.embed_documents(CANARIES)
    cosine = min(
        lowest_cosine(queries, cohere.embed_queries(CANARIES)),
        lowest_cosine(documents, cohere.embed_documents(CANARIES)),
        lowest_cosine(queries, tei.embed_documents(CANARIES)),
    )
    return Finding("dialects", cosine >= SAME, f"the lowest cosine between Jina's, Cohere's and TEI's is {cosine:.6f}")


def _late(embedder: Embedder, _: str) -> Finding:
    apart, late = embedder.embed_documents(CANARIES), embedder.embed_chunks(CANARIES)
    known = not np.allclose(apart, late)
    detail = "chunks are embedded with their document" if known else "chunks are embedded separately"
    return Finding("late chunking", known, detail)
