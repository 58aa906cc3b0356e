"""What the server's routes take and give, as OpenAPI 3.1: made from the very types that read and write the bodies."""

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
    """A door, for its readers: the types of its bodies, and what it is for."""

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
        "Jina's and OpenAI's embeddings. Without a task it is the bare model; below /query and /passage, that side.",
        jina.Received,
        openai.Sending,
        openai.Refused,
    ),
    Described("Cohere", "/v2/embed", "Cohere's embeddings.", cohere.Received, cohere.Sending, cohere.Refused),
    Described(
        "TEI",
        "/embed",
        "The own API of text-embeddings-inference. Without a prompt's name it is the bare model.",
        tei.Received,
        list[list[float]],
        tei.Refused,
    ),
    Described(
        "Weaviate",
        "/vectors",
        "What Weaviate's text2vec-transformers asks; also below /query and /passage, for servers that say no side.",
        weaviate.Request,
        weaviate.Answer,
        weaviate.Refused,
    ),
)
STATUSES = {
    "400": "The body is not JSON.",
    "401": "A key is asked for, and none or a wrong one came.",
    "404": "There is no such model.",
    "408": "The body came too slowly.",
    "413": "The body, or the number of texts, is over the limit.",
    "415": "The body is in an encoding that is not taken.",
    "422": "It cannot be embedded; the message names the text, the limit and the way out.",
    "429": "Too much waits already: try again after the seconds of Retry-After.",
}
FACTS = {
    "/v1/models": "The models, with their tasks, sizes and context length.",
    "/health": "Whether all models are loaded; 503 until they are.",
    "/.well-known/ready": "204 once all models are loaded, 503 before.",
    "/.well-known/live": "204 as long as the process answers.",
    "/meta": "The first model, as Weaviate asks for it.",
    "/info": "The first model, as clients of text-embeddings-inference ask for it.",
    "/metrics": "Counters, for Prometheus.",
}


def document(service: Service) -> dict[str, Any]:
    """The whole document."""
    paths: dict[str, Any] = {}
    schemas: dict[str, Any] = {}
    for door in DOORS:
        (request, answer, error), parts = _schemas(door)
        schemas |= parts
        paths[door.path] = {"post": _operation(door, request, answer, error)}
    for path, summary in FACTS.items():
        answers = {"200": {"description": "It is so."}}
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
    "Embeddings with two sides, query and document. Every route of embeddings is also below /query and /passage, which "
    "say the side for clients that cannot, and below /models/{name}, which says the model."
)


def _schemas(door: Described) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The schemas of a door's bodies, and the parts that they refer to, named after the dialect."""
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
            "200": {"description": "The vectors, in the order of the texts.", "content": body(answer)},
            **{status: {"description": said, "content": body(error)} for status, said in STATUSES.items()},
        },
    }
