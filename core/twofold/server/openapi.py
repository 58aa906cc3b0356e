"""The OpenAPI 3.1 document, generated from the types that read and write the bodies."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import msgspec

from twofold.server.routes import ROUTES
from twofold.wires import cohere, cohere_v1, jina, ollama, openai, tei, weaviate

if TYPE_CHECKING:
    from twofold.server.routes import Route
    from twofold.server.service import Service


BODIES: dict[str, tuple[str, Any, Any, Any]] = {
    "jina": ("Jina", jina.Received, openai.Sending, openai.Refused),
    "cohere": ("Cohere", cohere.Received, cohere.Sending, cohere.Refused),
    "cohere_v1": ("CohereV1", cohere_v1.Received, cohere_v1.Sending, cohere.Refused),
    "tei": ("TEI", tei.Received, list[list[float]], tei.Refused),
    "ollama": ("Ollama", ollama.Received, ollama.Sending, weaviate.Refused),
    "weaviate": ("Weaviate", weaviate.Request, weaviate.Answer, weaviate.Refused),
}
"""For each dialect, its name and the types of its request, answer and error."""

STATUSES = {
    "400": "The body is not JSON.",
    "401": "The key is missing or wrong.",
    "404": "The model is unknown.",
    "408": "The body was sent too slowly.",
    "413": "The body is too large, or has too many texts.",
    "415": "The Content-Encoding is not supported.",
    "422": "The request is invalid. The message names the text, the limit and what to do.",
    "429": "The server is busy. Try again after the number of seconds in Retry-After.",
}


def document(service: Service) -> dict[str, Any]:
    """The OpenAPI document of a service, as JSON-compatible values."""
    paths: dict[str, Any] = {}
    schemas: dict[str, Any] = {}
    for route in ROUTES:
        if route.dialect:
            (request, answer, error), parts = _schemas(route.dialect)
            schemas |= parts
            operation = _operation(route, request, answer, error)
        else:
            answers = {"200": {"description": "OK"}}
            operation = {"summary": route.summary, "operationId": route.paths[0].strip("/"), "responses": answers}
        if service.guard and route.is_open:
            operation["security"] = []
        paths[route.paths[0]] = {route.method.lower(): operation}
    found: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": "Twofold", "version": version("twofold"), "description": ABOUT},
        "paths": paths,
        "components": {"schemas": schemas},
    }
    if service.guard:
        found["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        found["security"] = [{"key": []}]
    return found


ABOUT = (
    "Embeddings with two sides, query and document. Every embedding route also exists with the prefixes /query and "
    "/passage, which set the side for clients that cannot send it, and /models/{name}, which sets the model."
)


def _schemas(dialect: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The schemas of a dialect's bodies, and the components they refer to, named after the dialect."""
    name, *bodies = BODIES[dialect]
    whole, parts = msgspec.json.schema_components(bodies, ref_template=f"#/components/schemas/{name}{{name}}")
    return whole, {f"{name}{part}": schema for part, schema in parts.items()}


def _operation(route: Route, request: Any, answer: Any, error: Any) -> dict[str, Any]:
    def body(schema: Any) -> dict[str, Any]:
        return {"application/json": {"schema": schema}}

    return {
        "summary": route.summary,
        "operationId": f"embed_{route.dialect}",
        "requestBody": {"required": True, "content": body(request)},
        "responses": {
            "200": {"description": "The vectors in the order of the texts.", "content": body(answer)},
            **{status: {"description": said, "content": body(error)} for status, said in STATUSES.items()},
        },
    }
