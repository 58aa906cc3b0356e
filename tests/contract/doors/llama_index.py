"""LlamaIndex's door."""

from __future__ import annotations

import copy

from llama_index_twofold import TwofoldEmbedding
from twofold.testing import Door

DOOR = Door(
    name="llama-index",
    make=TwofoldEmbedding,
    query=lambda embedding, text: embedding.get_query_embedding(text),
    documents=lambda embedding, texts: embedding.get_text_embedding_batch(texts),
    aquery=lambda embedding, text: embedding.aget_query_embedding(text),
    adocuments=lambda embedding, texts: embedding.aget_text_embedding_batch(texts),
    vector=list,
    number=float,
    takes_blank=True,
    round_trips={
        "to_dict": lambda embedding: TwofoldEmbedding.from_dict(embedding.to_dict()),
        "to_json": lambda embedding: TwofoldEmbedding.from_json(embedding.to_json()),
        "fields": lambda embedding: TwofoldEmbedding(**embedding.model_dump()),
        "model_validate": lambda embedding: TwofoldEmbedding.model_validate(embedding.model_dump()),
        "model_copy": lambda embedding: embedding.model_copy(deep=True),
        "deepcopy": copy.deepcopy,
    },
    surfaces=lambda embedding: [
        str(embedding.to_dict()),
        embedding.to_json(),
        str(embedding.to_payload()),
        str(TwofoldEmbedding.model_json_schema(mode="serialization")),
    ],
    package="llama_index_twofold",
    requires="llama_index",
    installs="'twofold[llama-index]'",
)
