"""The OpenAPI 3.1 document, generated from the types that read and write the bodies."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import msgspec

from twofold.wires import cohere, jina, openai, tei, weaviate

if TYPE_CHECKING:
    from twofold.server.service import Service


@dataclass(frozen=True, slots=True)
class Described:
    """A route: its path, its summary and the types of its bodies."""

    name: str
    path: str
    summary: str
    request: Any
    answer: Any
    error: Any


DOORS = (
    Described(
        "Jina",
        "/v1/embeddings",
        "Embeddings in the API of Jina and OpenAI. Without a task, no prefix or adapter is used; /query and /passage "
        "before the path set the side.",
        jina.Received,
        openai.Sending,
        openai.Refused,
    ),
    Described("Cohere", "/v2/embed", "Embeddings in Cohere's API.", cohere.Received, cohere.Sending, cohere.Refused),
    Described(
        "TEI",
        "/embed",
        "Embeddings in the API of text-embeddings-inference. Without a prompt_name, no prefix or adapter is used.",
        tei.Received,
        list[list[float]],
        tei.Refused,
    ),
    Described(
        "Weaviate",
        "/vectors",
        "Embeddings for Weaviate's text2vec-transformers. /query and /passage before the path set the side for "
        "versions of Weaviate that do not send it.",
        weaviate.Request,
        weaviate.Answer,
        weaviate.Refused,
    ),
)
STATUSES = {
    "400": "The body is not JSON.",
    "401": "The key is missing or wrong.",
    "404": "The model is unknown.",
    "408": "The body was sent too slowly.",
    "413": "The body is too large, or has too many texts.",
    "415": "The Content-Encoding is not supported.",
    "422": "The request is invalid. The message names the text, the limit and the way out.",
    "429": "The server is busy. Try again after the number of seconds in Retry-After.",
}
FACTS = {
    "/v1/models": "The models with their tasks, dimensions and context lengths.",
    "/health": "The state of the server and of each model; 503 until all models are loaded.",
    "/.well-known/ready": "204 when all models are loaded, 503 before.",
    "/.well-known/live": "204 while the process is running.",
    "/meta": "The first model, in the format of Weaviate's inference containers.",
    "/info": "The first model, in the format of text-embeddings-inference.",
    "/metrics": "Metrics for Prometheus.",
}


def document(service: Service) -> dict[str, Any]:
    """The OpenAPI document of a service, as JSON-compatible values."""
    paths: dict[str, Any] = {}
    schemas: dict[str, Any] = {}
    for door in DOORS:
        (request, answer, error), parts = _schemas(door)
        schemas |= parts
        paths[door.path] = {"post": _operation(door, request, answer, error)}
    for path, summary in FACTS.items():
        answers = {"200": {"description": "OK"}}
        paths[path] = {"get": {"summary": summary, "operationId": path.strip("/"), "responses": answers}}
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


def _schemas(door: Described) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The schemas of a route's bodies, and the components they refer to, named after the dialect."""
    whole, parts = msgspec.json.schema_components(
        (door.request, door.answer, door.error), ref_template=f"#/components/schemas/{door.name}{{name}}"
    )
    return whole, {f"{door.name}{name}": schema for name, schema in parts.items()}


def _operation(door: Described, request: Any, answer: Any, error: Any) -> dict[str, Any]:
    def body(schema: Any) -> dict[str, Any]:
        return {"application/json": {"schema": schema}}

    return {
        "summary": door.summary,
        "operationId": f"embed_{door.name.lower()}",
        "requestBody": {"required": True, "content": body(request)},
        "responses": {
            "200": {"description": "The vectors in the order of the texts.", "content": body(answer)},
            **{status: {"description": said, "content": body(error)} for status, said in STATUSES.items()},
        },
    }
