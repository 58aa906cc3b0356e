"""LangChain's door."""

from __future__ import annotations

import copy

from langchain_twofold import TwofoldEmbeddings
from twofold.testing import Door

DOOR = Door(
    name="langchain",
    make=TwofoldEmbeddings,
    query=lambda embeddings, text: embeddings.embed_query(text),
    documents=lambda embeddings, texts: embeddings.embed_documents(texts),
    aquery=lambda embeddings, text: embeddings.aembed_query(text),
    adocuments=lambda embeddings, texts: embeddings.aembed_documents(texts),
    vector=list,
    number=float,
    takes_blank=True,
    round_trips={
        "fields": lambda embeddings: TwofoldEmbeddings(**embeddings.model_dump()),
        "model_validate": lambda embeddings: TwofoldEmbeddings.model_validate(embeddings.model_dump()),
        "json": lambda embeddings: TwofoldEmbeddings.model_validate_json(embeddings.model_dump_json()),
        "model_copy": lambda embeddings: embeddings.model_copy(deep=True),
        "deepcopy": copy.deepcopy,
    },
    surfaces=lambda embeddings: [
        str(embeddings.model_dump()),
        embeddings.model_dump_json(),
        str(TwofoldEmbeddings.model_json_schema()),
    ],
    package="langchain_twofold",
    requires="langchain_core",
    installs="'twofold[langchain]'",
)
