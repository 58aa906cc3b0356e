"""Chroma's door: its embedding function, as a collection calls it and as one stores it."""

from __future__ import annotations

import json
import uuid
from typing import Any

import chromadb
from chromadb.utils.embedding_functions import config_to_embedding_function

from chroma_twofold import TwofoldEmbeddingFunction
from twofold.testing import Door


def _stored(function: TwofoldEmbeddingFunction) -> dict[str, Any]:
    """What a real collection keeps of the function."""
    client: Any = chromadb.EphemeralClient()
    name = f"contract-{uuid.uuid4().hex}"
    try:
        client.create_collection(name, embedding_function=function)
        stored: dict[str, Any] = client.get_collection(name).configuration_json
        return stored
    finally:
        client.delete_collection(name)
        client.close()


def _build(config: dict[str, Any]) -> Any:
    return TwofoldEmbeddingFunction.build_from_config(config)


DOOR = Door(
    name="chroma",
    make=TwofoldEmbeddingFunction,
    query=lambda function, text: function.embed_query(input=[text])[0],
    documents=lambda function, texts: function(input=texts),
    takes_blank=True,
    round_trips={
        "config": lambda function: _build(function.get_config()),
        "json": lambda function: _build(json.loads(json.dumps(function.get_config()))),
        "collection": lambda function: config_to_embedding_function(_stored(function)["embedding_function"]),
    },
    kept_back=frozenset({"base_url"}),
    surfaces=lambda function: [json.dumps(function.get_config()), json.dumps(_stored(function))],
    package="chroma_twofold",
    requires="chromadb",
    installs="'twofold[chroma]'",
)
