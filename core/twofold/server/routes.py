"""The one table of routes.

The paths with their prefixes, the OpenAPI document and the decision which routes need a key all come from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from twofold.models import Side


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A row of the table.

    Attributes:
        paths: its paths. The first one is documented and is a label of the metrics.
        summary: one sentence for the documentation.
        dialect: the module of `twofold.wires` that reads and writes its bodies. Such a route embeds, by POST.
        fact: the method of `Facts` that answers it, by GET.
        is_open: whether it needs no key.
        prefixed: whether it also exists under /query, /passage and /models/NAME. Routes that embed always do.
        named: whether its path may be followed by the name of a model.
    """

    paths: tuple[str, ...]
    summary: str
    dialect: str = ""
    fact: str = ""
    is_open: bool = False
    prefixed: bool = False
    named: bool = False

    @property
    def method(self) -> str:
        return "POST" if self.dialect else "GET"


ROUTES = (
    Route(
        paths=("/v1/embeddings", "/embeddings"),
        dialect="jina",
        summary="Embeddings in the API of Jina and OpenAI. Without a task, no prefix or adapter is used; /query and "
        "/passage before the path set the side.",
    ),
    Route(paths=("/v2/embed",), dialect="cohere", summary="Embeddings in Cohere's API, version 2."),
    Route(paths=("/v1/embed",), dialect="cohere_v1", summary="Embeddings in Cohere's API, version 1."),
    Route(
        paths=("/embed", ""),
        dialect="tei",
        summary="Embeddings in the API of text-embeddings-inference. Without a prompt_name, no prefix or adapter is "
        "used.",
    ),
    Route(
        paths=("/api/embed",),
        dialect="ollama",
        summary="Embeddings in Ollama's API. Without a prefix of the path, no prefix or adapter of the model is used.",
    ),
    Route(
        paths=("/vectors",),
        dialect="weaviate",
        summary="Embeddings for Weaviate's text2vec-transformers. /query and /passage before the path set the side for "
        "versions of Weaviate that do not send it.",
    ),
    Route(
        paths=("/v1/models",),
        fact="models",
        prefixed=True,
        named=True,
        summary="The models with their tasks, dimensions and context lengths.",
    ),
    Route(
        paths=("/meta",),
        fact="meta",
        prefixed=True,
        summary="A model, in the format of Weaviate's inference containers.",
    ),
    Route(paths=("/info",), fact="info", prefixed=True, summary="A model, in the format of text-embeddings-inference."),
    Route(
        paths=("/.well-known/ready",),
        fact="ready",
        is_open=True,
        prefixed=True,
        summary="204 when all models are loaded, 503 before.",
    ),
    Route(
        paths=("/.well-known/live",),
        fact="live",
        is_open=True,
        prefixed=True,
        summary="204 while the process is running.",
    ),
    Route(
        paths=("/health",),
        fact="health",
        is_open=True,
        summary="The state of the server and of each model; 503 until all models are loaded.",
    ),
    Route(paths=("/metrics",), fact="metrics", summary="Metrics for Prometheus."),
    Route(paths=("/openapi.json",), fact="openapi", is_open=True, summary="This document."),
    Route(paths=("/docs",), fact="reference", is_open=True, summary="This document as a page."),
)

SIDES: dict[str | None, Side | None] = {None: None, "/query": "query", "/passage": "document"}
"""Prefixes of a path that set the side, for clients that have no field for it."""
