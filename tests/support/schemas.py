"""The published request of each provider as JSON Schema, and a server that holds requests to it and answers rightly.

Sources, read in 2026-11: ai.google.dev/api/embeddings; docs.mistral.ai/api/endpoint/embeddings;
docs.nomic.ai/reference/api/embed-text-v-1-embedding-text-post; Azure OpenAI's data plane reference 2024-10-21;
docs.aws.amazon.com/bedrock, "Amazon Titan Embeddings Text" and "Cohere Embed"; Voyage's OpenAPI document.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from support.faultserver import FaultServer, truth
from support.simulation import Simulation

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.faultserver import Exchange

TEXT = {"type": "string", "minLength": 1}
TASKS = [
    "TASK_TYPE_UNSPECIFIED",
    "RETRIEVAL_QUERY",
    "RETRIEVAL_DOCUMENT",
    "SEMANTIC_SIMILARITY",
    "CLASSIFICATION",
    "CLUSTERING",
    "QUESTION_ANSWERING",
    "FACT_VERIFICATION",
    "CODE_RETRIEVAL_QUERY",
]


def texts(most: int, least: int = 1) -> dict[str, Any]:
    return {"type": "array", "items": TEXT, "minItems": least, "maxItems": most}


def closed(required: list[str], **properties: Any) -> dict[str, Any]:
    """An object with these members and no others."""
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


GEMINI = closed(
    ["requests"],
    requests={
        "type": "array",
        "minItems": 1,
        "maxItems": 100,
        "items": closed(
            ["model", "content"],
            model={"type": "string", "pattern": "^models/[a-z0-9.-]+$"},
            content=closed(["parts"], parts={"type": "array", "items": closed(["text"], text=TEXT), "minItems": 1}),
            taskType={"enum": TASKS},
            title={"type": "string"},
            outputDimensionality={"type": "integer", "minimum": 1, "maximum": 3072},
        ),
    },
)
MISTRAL = closed(
    ["model", "input"],
    model={"enum": ["mistral-embed", "codestral-embed"]},
    input=texts(256),
    output_dimension={"type": "integer", "minimum": 1, "maximum": 3072},
    output_dtype={"enum": ["float", "int8", "uint8", "binary", "ubinary"]},
    encoding_format={"enum": ["float", "base64"]},
)
NOMIC = closed(
    ["texts"],
    texts=texts(50),
    model={"enum": ["nomic-embed-text-v1", "nomic-embed-text-v1.5"]},
    task_type={"enum": ["search_document", "search_query", "classification", "clustering"]},
    long_text_mode={"enum": ["truncate", "mean"]},
    max_tokens_per_text={"type": "integer"},
    dimensionality={"type": "integer", "minimum": 64, "maximum": 768},
)
AZURE_OPENAI = closed(
    ["input"],
    model={"type": "string"},
    input=texts(2048),
    encoding_format={"enum": ["float", "base64"]},
    dimensions={"type": "integer", "minimum": 1},
    user={"type": "string"},
)
TITAN = closed(
    ["inputText"],
    inputText=TEXT,
    dimensions={"enum": [256, 512, 1024]},
    normalize={"type": "boolean"},
    embeddingTypes={"type": "array", "items": {"enum": ["float", "binary"]}},
)
_COHERE = {
    "texts": texts(96),
    "input_type": {"enum": ["search_document", "search_query", "classification", "clustering"]},
    "embedding_types": {"type": "array", "items": {"enum": ["float", "int8", "uint8", "binary", "ubinary"]}},
}
BEDROCK_COHERE_3 = closed(["texts", "input_type"], **_COHERE, truncate={"enum": ["NONE", "START", "END"]})
BEDROCK_COHERE_4 = closed(
    ["input_type"],
    **_COHERE,
    truncate={"enum": ["NONE", "LEFT", "RIGHT"]},
    output_dimension={"enum": [256, 512, 1024, 1536]},
    max_tokens={"type": "integer", "maximum": 128_000},
)
_VOYAGE = {
    "model": {"type": "string", "pattern": "^voyage-"},
    "input_type": {"enum": [None, "query", "document"]},
    "output_dimension": {"enum": [None, 256, 512, 1024, 2048]},
    "output_dtype": {"enum": ["float", "int8", "uint8", "binary", "ubinary"]},
    "encoding_format": {"enum": [None, "base64"]},
}
VOYAGE = closed(["model", "input"], **_VOYAGE, input=texts(1000), truncation={"type": "boolean"})
VOYAGE_CONTEXT = closed(
    ["model", "inputs"], **_VOYAGE, inputs={"type": "array", "minItems": 1, "maxItems": 1000, "items": texts(16_000)}
)


class Schema:
    """A `behave` that answers `answer(body)` to a request within the schema.

    Any other request gets 400, and is reported at the end of the provider's block.
    """

    def __init__(self, schema: dict[str, Any], answer: Callable[[dict[str, Any]], Any], needs: str = "") -> None:
        self._schema, self._answer, self._needs = Draft202012Validator(schema), answer, needs
        self.wrong_requests: list[str] = []

    def __call__(self, exchange: Exchange) -> None:
        found = [error.message for error in self._schema.iter_errors(exchange.body)]
        name, _, value = self._needs.partition(": ")
        if self._needs and exchange.headers.get(name) != value:
            found.append(f"no header {name}")
        self.wrong_requests += found
        if found:
            exchange.answer(400, {"error": {"message": "; ".join(found)}})
        else:
            exchange.answer(200, self._answer(exchange.body))


class SchemaServer(Simulation):
    """A provider without sockets whose requests must keep to a schema."""

    def __init__(
        self, schema: dict[str, Any], answer: Callable[[dict[str, Any]], Any], path: str, needs: str = ""
    ) -> None:
        behave = Schema(schema, answer, needs)
        super().__init__(behave, path)
        self.wrong_requests = behave.wrong_requests


class SchemaSocketServer(FaultServer):
    """The same over sockets, for boto3."""

    def __init__(self, schema: dict[str, Any], answer: Callable[[dict[str, Any]], Any], path: str) -> None:
        behave = Schema(schema, answer)
        super().__init__(behave, path)
        self.wrong_requests = behave.wrong_requests


def vectors(inputs: list[str], width: int, context: str = "") -> list[list[float]]:
    """The right ones, as lists."""
    return [truth(text, None, width, context).tolist() for text in inputs]


def gemini(body: dict[str, Any]) -> dict[str, Any]:
    """As `batchEmbedContents` answers; a vector that is cut has not unit length."""
    rows = [
        2.0 * truth(one["content"]["parts"][0]["text"], one.get("taskType"), one.get("outputDimensionality", 3072))
        for one in body["requests"]
    ]
    return {"embeddings": [{"values": row.tolist()} for row in rows]}


def mistral(body: dict[str, Any]) -> dict[str, Any]:
    """As OpenAI and its like answer."""
    width = body.get("output_dimension", {"mistral-embed": 1024, "codestral-embed": 1536}[body["model"]])
    data = [
        {"object": "embedding", "index": index, "embedding": row}
        for index, row in enumerate(vectors(body["input"], width))
    ]
    return {"id": "1", "object": "list", "model": body["model"], "data": data[::-1], "usage": {"total_tokens": 7}}


def nomic(body: dict[str, Any]) -> dict[str, Any]:
    """As Nomic's API answers."""
    rows = vectors(body["texts"], body.get("dimensionality", 768))
    return {"embeddings": rows, "usage": {"prompt_tokens": 9, "total_tokens": 9}, "model": body["model"]}


def azure(body: dict[str, Any]) -> dict[str, Any]:
    """As Azure OpenAI answers: with the name of the model, not of the deployment."""
    rows = vectors(body["input"], body.get("dimensions", 3072))
    data = [{"object": "embedding", "index": index, "embedding": row} for index, row in enumerate(rows)]
    return {"object": "list", "data": data, "model": "text-embedding-3-large", "usage": {"total_tokens": 5}}


def titan(body: dict[str, Any]) -> dict[str, Any]:
    """As Titan answers."""
    (row,) = vectors([body["inputText"]], body.get("dimensions", 1024))
    return {"embedding": row, "inputTextTokenCount": 3, "embeddingsByType": {"float": row}}


def bedrock_cohere(body: dict[str, Any]) -> dict[str, Any]:
    """As Cohere's models on Bedrock answer where types are asked for."""
    rows = vectors(body["texts"], body.get("output_dimension", 1024))
    return {"id": "1", "response_type": "embeddings_by_type", "embeddings": {"float": rows}, "texts": body["texts"]}


def voyage(body: dict[str, Any]) -> dict[str, Any]:
    """As Voyage answers: 1,024 dimensions where no size is said."""
    rows = vectors(body["input"], body.get("output_dimension") or 1024)
    data = [{"object": "embedding", "index": index, "embedding": row} for index, row in enumerate(rows)]
    return {"object": "list", "data": data, "model": body["model"], "usage": {"total_tokens": 11}}


def voyage_context(body: dict[str, Any]) -> dict[str, Any]:
    """As the contextualized endpoint answers, in an order of its own; a chunk's vector depends on its document."""
    width = body.get("output_dimension") or 1024
    data = [
        {
            "object": "list",
            "index": number,
            "data": [
                {"object": "embedding", "index": index, "embedding": row}
                for index, row in enumerate(vectors(chunks, width, "".join(chunks)))
            ][::-1],
        }
        for number, chunks in enumerate(body["inputs"])
    ]
    return {"object": "list", "data": data[::-1], "model": body["model"], "usage": {"total_tokens": 24}}


def right(inputs: list[str], width: int, task: str | None = None, context: str = "") -> np.ndarray:
    """What must come out."""
    return np.array([truth(text, task, width, context) for text in inputs])
