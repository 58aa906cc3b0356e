"""The rows of the table of providers, as data: addresses, limits, models.

Sources: each provider's API description, read in 2026-11; for Jina, its OpenAPI document of 2026-04. Limits that a
description does not state come from the provider's own client (Nomic: 50 texts) or from its refusals (Gemini: "at most
100 requests can be in one batch"; Mistral: "Too many tokens in batch. Max is 16384", and 257 texts are refused).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from twofold.cards import (
    CARDS,
    CODESTRAL,
    COHERE,
    COHERE_TASKS,
    GEMINI_1,
    GEMINI_2,
    JINA_CODE,
    JINA_V3,
    JINA_V4,
    JINA_V5,
    MISTRAL,
    NOMIC,
    OPENAI,
    TITAN,
    VOYAGE,
    VOYAGE_TASKS,
)
from twofold.hosted.provider import UNKNOWN, BatchRow, HostedModel, Provider
from twofold.models import Task

if TYPE_CHECKING:
    from twofold.models import ModelCard


_BATCH_BYTES = 64 << 20
"""Our limit for one batch, which is built in memory. OpenAI accepts 200 MB; Jina documents no limit."""
_V2 = frozenset({"normalize", "truncate"})
_V3 = _V2 | {"task", "dimensions", "late"}
_SIZED = frozenset({"task", "dimensions", "truncate"})
_TASKED = frozenset({"task", "truncate"})


def _models(*models: HostedModel) -> dict[str, HostedModel]:
    """The models by the provider's names, which have no organisation."""
    return {model.card.name.rpartition("/")[2]: model for model in models}


def _sized(card: ModelCard, *, bare: bool = True, default: int | None = None) -> HostedModel:
    """A model that is told its task and accepts only the sizes that it was trained for."""
    sizes = card.matryoshka
    accepts = _TASKED | {"dimensions"} if sizes else _TASKED
    return HostedModel(card, accepts, bare=bare, sizes=sizes, default=default if sizes else None)


JINA = Provider(
    name="jina",
    base_url="https://api.jina.ai/v1",
    path="/embeddings",
    key_env="JINA_API_KEY",
    dialect="jina",
    models=_models(
        HostedModel(JINA_V3, _V3),
        *(
            HostedModel(CARDS[f"jinaai/jina-embeddings-v2-base-{kind}"], _V2)
            for kind in ("en", "de", "es", "zh", "code")
        ),
        HostedModel(JINA_V4, _V3 - {"normalize"}, bare=False),
        *(HostedModel(card, _V3 - {"late"}, bare=False) for card in JINA_V5),
        *(HostedModel(card, _SIZED, bare=False) for card in JINA_CODE),
    ),
    unknown=_V3,
    template=replace(
        UNKNOWN,
        tasks=(Task("retrieval.query"), Task("retrieval.passage")),
        query_task="retrieval.query",
        document_task="retrieval.passage",
    ),
    encodings=("base64", "float", "binary", "ubinary"),
    batch=BatchRow(
        "jina_batch",
        lines=10_000,
        bytes=_BATCH_BYTES,
        models=frozenset({"jina-embeddings-v5-text-small", "jina-embeddings-v5-text-nano"}),
        first=100,  # how its task "retrieval" encodes a document is not published
    ),
)
AZURE_JINA = replace(JINA, name="azure-jina", base_url=None, key_env="AZURE_JINA_API_KEY", batch=None)
SAGEMAKER = Provider(
    name="sagemaker",
    base_url=None,
    key_env="",
    dialect="sagemaker",
    carrier="sagemaker",
    models={
        name: replace(model, accepts=model.accepts - {"normalize", "truncate"}, bare=not model.card.tasks)
        for name, model in JINA.models.items()
    },
    encodings=("float",),
)
COHERE_AI = Provider(
    name="cohere",
    base_url="https://api.cohere.com/v2",
    path="/embed",
    key_env="COHERE_API_KEY",
    dialect="cohere",
    models=_models(*(_sized(card, bare=False) for card in COHERE)),
    unknown=_TASKED,
    template=replace(UNKNOWN, tasks=COHERE_TASKS, query_task="search_query", document_task="search_document"),
    encodings=("float", "base64", "binary", "ubinary"),
    max_items=96,
)
BEDROCK = Provider(
    name="bedrock",
    base_url=None,
    key_env="",
    dialect="titan",
    carrier="bedrock",
    models=_models(HostedModel(TITAN, frozenset({"dimensions", "normalize"}), sizes=TITAN.matryoshka)),
    encodings=("float",),
    max_items=1,
)
_INVOKED = {
    "embed-v4.0": [f"{region}cohere.embed-v4:0" for region in ("", "us.", "eu.", "apac.", "global.")],
    "embed-english-v3.0": ["cohere.embed-english-v3"],
    "embed-multilingual-v3.0": ["cohere.embed-multilingual-v3"],
}
"""Bedrock's names of Cohere's models, inference profiles included."""
BEDROCK_COHERE = replace(
    BEDROCK,
    dialect="bedrock_cohere",
    models={own: COHERE_AI.models[name] for name, names in _INVOKED.items() for own in names},
    encodings=("float", "binary", "ubinary"),
    max_items=96,
)
OPENAI_COM = Provider(
    name="openai",
    base_url="https://api.openai.com/v1",
    path="/embeddings",
    key_env="OPENAI_API_KEY",
    dialect="openai",
    models=_models(*(HostedModel(card, frozenset({"dimensions"} if card.matryoshka else ())) for card in OPENAI)),
    max_items=2048,
    max_tokens=300_000,
    instructs=False,
    unit=True,
    aliases={"text-embedding-ada-002-v2": "text-embedding-ada-002"},
    batch=BatchRow("openai_batch", lines=50_000, bytes=_BATCH_BYTES),
)
AZURE_OPENAI = replace(
    OPENAI_COM,
    name="azure-openai",
    base_url=None,
    path="/openai/deployments/{model}/embeddings?api-version=2024-10-21",
    key_env="AZURE_OPENAI_API_KEY",
    key_header="api-key",
    key_prefix="",
    batch=None,
)
GEMINI = Provider(
    name="gemini",
    base_url="https://generativelanguage.googleapis.com/v1beta",
    path="/models/{model}:batchEmbedContents",
    key_env="GEMINI_API_KEY",
    key_header="x-goog-api-key",
    key_prefix="",
    dialect="gemini",
    models=_models(HostedModel(GEMINI_1, _SIZED)),
    encodings=("float",),
    max_items=100,
    counts=False,
)
VOYAGE_AI = Provider(
    name="voyage",
    base_url="https://api.voyageai.com/v1",
    path="/embeddings",
    key_env="VOYAGE_API_KEY",
    dialect="voyage",
    models=_models(*(_sized(card, default=1024) for card in VOYAGE if "context" not in card.name)),
    unknown=_TASKED,
    template=replace(UNKNOWN, tasks=VOYAGE_TASKS, query_task="query", document_task="document"),
    encodings=("base64", "float", "binary", "ubinary"),
    max_items=1000,
    max_tokens=120_000,
    unit=True,
)
GEMINI_PROMPTED = replace(GEMINI, models=_models(HostedModel(GEMINI_2, _SIZED - {"task"})), instructs=False)
VOYAGE_LITE = replace(
    VOYAGE_AI,
    max_tokens=1_000_000,
    models={name: VOYAGE_AI.models[name] for name in ("voyage-4-lite", "voyage-3.5-lite")},
)
VOYAGE_MIDDLE = replace(
    VOYAGE_AI, max_tokens=320_000, models={name: VOYAGE_AI.models[name] for name in ("voyage-4", "voyage-3.5")}
)
VOYAGE_CONTEXT = replace(
    VOYAGE_AI,
    path="/contextualizedembeddings",
    dialect="voyage_context",
    models=_models(
        *(
            replace(_sized(card, default=1024), accepts=frozenset({"task", "dimensions", "late"}))
            for card in VOYAGE
            if "context" in card.name
        )
    ),
    late_items=16_000,
    late_tokens=32_000,
)
MISTRAL_AI = Provider(
    name="mistral",
    base_url="https://api.mistral.ai/v1",
    path="/embeddings",
    key_env="MISTRAL_API_KEY",
    dialect="mistral",
    models=_models(
        HostedModel(MISTRAL),
        HostedModel(CODESTRAL, frozenset({"dimensions"}), default=1536),
    ),
    encodings=("float",),
    max_items=256,
    max_tokens=16_384,
)
NOMIC_AI = Provider(
    name="nomic",
    base_url="https://api-atlas.nomic.ai/v1",
    path="/embedding/text",
    key_env="NOMIC_API_KEY",
    dialect="nomic",
    models=_models(*(_sized(card, bare=False) for card in NOMIC)),
    encodings=("float",),
    max_items=50,
    counts=False,
)
TEI = Provider(
    name="tei",
    base_url=None,
    path="/embed",
    key_env="TEI_API_KEY",
    dialect="tei",
    unknown=frozenset({"normalize", "truncate"}),
    encodings=("float",),
    max_items=32,
    max_tokens=16_384,
    instructs=False,
    busy=frozenset({424}),
)
