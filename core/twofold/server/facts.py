"""The routes that describe the server: health, models, metrics and documentation."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import Response

from twofold.cards import find_card
from twofold.server import openapi, reference

if TYPE_CHECKING:
    from twofold.server.served import Served
    from twofold.server.service import Service


def as_json(value: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json")


def describe(served: Served) -> dict[str, Any]:
    """A model as in OpenAI's list of models, with what a client needs to choose its settings."""
    card, embedder = served.embedder.card, served.embedder
    return {
        "id": served.name,
        "object": "model",
        "created": 0,
        "owned_by": "twofold",
        "names": list(served.names),
        "model": _elsewhere(embedder.settings.model, card.name),
        "dimensions": embedder.dimensions,
        "width": card.width,
        "matryoshka": list(card.matryoshka),
        "context_length": card.max_tokens,
        "tasks": [task.name for task in card.tasks],
        "query_task": embedder.query_task.name,
        "document_task": embedder.document_task.name,
        "two_sided": served.two_sided,
        "late_chunking": card.pooling == "mean",
        "normalized": embedder.settings.normalize,
        "licence": card.licence,
    }


def _elsewhere(model: str, name: str) -> str | None:
    """The model string for an `Embedder` in another process, or None. It never shows a path of this machine."""
    if not Path(model).exists():
        return model
    return name if find_card(name) else None


class Facts:
    """Answers that do not embed. They come quickly even when the engine is busy. `model` is a name, or empty."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def health(self, _: str) -> Response:
        """The state of the server and of each model; 503 until all models are loaded."""
        service = self._service
        state = "ready" if service.ready else "failed" if service.failure else "loading"
        models = {served.name: "ready" if served.ready else "loading" for served in service.models}
        return as_json({"status": state, "models": models}, 200 if service.ready else 503)

    async def live(self, _: str) -> Response:
        return Response(status_code=204)

    async def ready(self, _: str) -> Response:
        return Response(status_code=204 if self._service.ready else 503)

    async def models(self, model: str) -> Response:
        """All models, or the one with this name."""
        if model:
            return as_json(describe(await self._service.find(model)))
        found = [await self._service.find(served.name) for served in self._service.models]
        return as_json({"object": "list", "data": [describe(served) for served in found]})

    async def metrics(self, _: str) -> Response:
        return Response(self._service.metrics.text(), media_type=CONTENT_TYPE_LATEST)

    async def meta(self, model: str) -> Response:
        """The model, as Weaviate shows it. Weaviate asks on every connection and waits at most two seconds."""
        served = self._service.named(model)
        if not served.ready:
            return as_json({"model": {"model_name": served.name}, "state": "loading"})
        return as_json({"model": describe(served), "server": f"twofold {version('twofold')}"})

    async def openapi(self, _: str) -> Response:
        return as_json(openapi.document(self._service))

    async def reference(self, _: str) -> Response:
        """The OpenAPI document as a page."""
        page = reference.page(openapi.document(self._service))
        return Response(page, media_type="text/html", headers={"content-security-policy": reference.POLICY})

    async def info(self, model: str) -> Response:
        """The model in the shape of text-embeddings-inference's `/info`, with the members that apply here."""
        served = self._service.named(model)
        await served.loaded()
        embedder = served.embedder
        return as_json(
            {
                "model_id": served.name,
                "model_sha": None,
                "model_dtype": getattr(embedder.backend, "precision", None) or "float32",
                "model_type": {"embedding": {"pooling": embedder.card.pooling}},
                "max_input_length": embedder.card.max_tokens,
                "max_batch_tokens": getattr(embedder.backend, "batch_tokens", None),
                "max_client_batch_size": self._service.limits.texts,
                "auto_truncate": embedder.settings.truncate == "end",
                "version": version("twofold"),
            }
        )
