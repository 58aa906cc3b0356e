"""The table of providers: where each one is, what it takes, which models it has. Data, not classes.

Importing this loads nothing but the standard library. `twofold.wires` has the dialects.

Sources: each provider's own API description; for Jina, its OpenAPI document of 2026-04.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from twofold.cards import (
    CARDS,
    COHERE,
    COHERE_TASKS,
    JINA_CODE,
    JINA_V3,
    JINA_V4,
    JINA_V5,
    OPENAI,
    VOYAGE,
    VOYAGE_TASKS,
)
from twofold.hosted.provider import UNKNOWN, HostedModel, Provider
from twofold.models import Task

if TYPE_CHECKING:
    from twofold.models import ModelCard


_V2 = frozenset({"normalize", "truncate"})
_V3 = _V2 | {"task", "dimensions", "late"}
_CODE = frozenset({"task", "dimensions", "truncate"})
_TASKED = frozenset({"task", "truncate"})


def _models(*models: HostedModel) -> dict[str, HostedModel]:
    """By the provider's own names, which have no organisation."""
    return {model.card.name.rpartition("/")[2]: model for model in models}


def _sized(card: ModelCard, *, bare: bool = True, default: int | None = None) -> HostedModel:
    """A model that is told its task, and takes only the sizes that it was trained for."""
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
        *(HostedModel(card, _CODE, bare=False) for card in JINA_CODE),
    ),
    unknown=_V3,
    template=replace(
        UNKNOWN,
        tasks=(Task("retrieval.query"), Task("retrieval.passage")),
        query_task="retrieval.query",
        document_task="retrieval.passage",
    ),
    encodings=("base64", "float", "binary", "ubinary"),
)
AZURE = replace(JINA, name="azure", base_url=None, key_env="AZURE_JINA_API_KEY")
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
PROVIDERS: dict[str, Provider] = {
    row.name: row
    for row in (
        AZURE,
        Provider(
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
        ),
        JINA,
        Provider(
            name="openai",
            base_url="https://api.openai.com/v1",
            path="/embeddings",
            key_env="OPENAI_API_KEY",
            dialect="openai",
            models=_models(
                *(HostedModel(card, frozenset({"dimensions"} if card.matryoshka else ())) for card in OPENAI)
            ),
            max_items=2048,
            max_tokens=300_000,
            instructs=False,
            unit=True,
            aliases={"text-embedding-ada-002-v2": "text-embedding-ada-002"},
        ),
        SAGEMAKER,
        Provider(
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
        ),
        Provider(
            name="voyage",
            base_url="https://api.voyageai.com/v1",
            path="/embeddings",
            key_env="VOYAGE_API_KEY",
            dialect="voyage",
            models=_models(*(_sized(card, default=1024) for card in VOYAGE)),
            unknown=_TASKED,
            template=replace(UNKNOWN, tasks=VOYAGE_TASKS, query_task="query", document_task="document"),
            encodings=("base64", "float", "binary", "ubinary"),
            max_items=1000,
            max_tokens=120_000,
            unit=True,
        ),
    )
}


def hosted_card(provider: str, model: str) -> ModelCard | None:
    """The card of a hosted model, without asking anyone; None where only its server knows.

    Raises:
        InputError: a model that this provider cannot be asked for.
    """
    hosted = PROVIDERS[provider].find(model)
    return None if hosted is None else hosted.card
