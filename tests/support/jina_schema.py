"""Jina's embeddings API: fields, their types and limits, by model. The tests' own copy; every request is held to it."""

from __future__ import annotations

from typing import Any

V3_TASKS = {"retrieval.query", "retrieval.passage", "text-matching", "classification", "separation"}
V4_TASKS = {"text-matching", "retrieval.query", "retrieval.passage", "code.query", "code.passage"}
V5_TASKS = {"retrieval.query", "retrieval.passage", "text-matching", "clustering", "classification"}
CODE_TASKS = {
    f"{kind}.{side}"
    for kind in ("nl2code", "qa", "code2code", "code2nl", "code2completion")
    for side in ("query", "passage")
}
COMMON = {"model", "input", "embedding_type", "truncate"}

FIELDS: dict[str, tuple[set[str], set[str], int]] = {
    **{
        f"jina-embeddings-v2-base-{kind}": (COMMON | {"normalized"}, set(), 0)
        for kind in ("en", "zh", "de", "es", "code")
    },
    "jina-embeddings-v3": (COMMON | {"normalized", "task", "dimensions", "late_chunking"}, V3_TASKS, 1024),
    "jina-embeddings-v4": (
        COMMON | {"task", "dimensions", "late_chunking", "return_multivector", "return_tokenized_input"},
        V4_TASKS,
        2048,
    ),
    "jina-embeddings-v5-text-small": (COMMON | {"normalized", "task", "dimensions"}, V5_TASKS, 1024),
    "jina-embeddings-v5-text-nano": (COMMON | {"normalized", "task", "dimensions"}, V5_TASKS, 1024),
    "jina-code-embeddings-0.5b": (COMMON | {"task", "dimensions"}, CODE_TASKS, 896),
    "jina-code-embeddings-1.5b": (COMMON | {"task", "dimensions"}, CODE_TASKS, 1536),
}
"""model -> (its fields, its tasks, the most dimensions)"""
ENCODINGS = {"float", "base64", "binary", "ubinary"}
MAX_ITEMS = 512


def violations(body: dict[str, Any]) -> list[str]:
    """What is wrong with a request, in words; nothing for models that are not Jina's."""
    model = body.get("model")
    if model not in FIELDS:
        return []
    fields, tasks, widest = FIELDS[model]
    found = [f"{model} has no field {name!r}" for name in sorted(set(body) - fields)]
    texts = body.get("input")
    if not isinstance(texts, list) or not all(isinstance(text, str) and text for text in texts):
        found.append("input is not a list of texts")
    elif not 1 <= len(texts) <= MAX_ITEMS:
        found.append(f"{len(texts)} inputs")
    if "task" in body and body["task"] not in tasks:
        found.append(f"{model} has no task {body['task']!r}")
    if "dimensions" in body and (type(body["dimensions"]) is not int or not 1 <= body["dimensions"] <= widest):
        found.append(f"dimensions {body['dimensions']!r}")
    if body.get("embedding_type", "float") not in ENCODINGS:
        found.append(f"embedding_type {body['embedding_type']!r}")
    found += [
        f"{name} is {body[name]!r}"
        for name in ("normalized", "truncate", "late_chunking")
        if name in body and type(body[name]) is not bool
    ]
    return found
