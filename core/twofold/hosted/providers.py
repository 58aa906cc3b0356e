"""The table of providers: where each one is, what it takes, which models it has. Data, not classes.

Importing this loads nothing but the standard library. `twofold.wires` has the dialects.

Sources: each provider's own API description; for Jina, its OpenAPI document of 2026-04.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
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
    find_card,
)
from twofold.errors import InputError
from twofold.models import ModelCard, Task

if TYPE_CHECKING:
    from collections.abc import Mapping

NOTHING: frozenset[str] = frozenset()
UNKNOWN = ModelCard("", width=1, max_tokens=8192)
"""Of a model that nothing is known of; its server refuses what is too long."""


@dataclass(frozen=True, slots=True)
class HostedModel:
    """A model at a provider.

    Attributes:
        card: the same card as the local model's, where there is one.
        accepts: which of task, dimensions, late, normalize, truncate a request for it may have.
        bare: whether leaving the task out gives the bare model, and not some default task.
        sizes: the only values of `dimensions` that the provider takes; empty where it takes any.
    """

    card: ModelCard
    accepts: frozenset[str] = NOTHING
    bare: bool = True
    sizes: tuple[int, ...] = ()

    def asked_size(self, dimensions: int) -> int | None:
        """The `dimensions` of a request so that at least as many come back; None leaves them out, for all."""
        if "dimensions" not in self.accepts or dimensions == self.card.width:
            return None
        return min((size for size in self.sizes if size >= dimensions), default=dimensions)


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """How one provider is reached and spoken to.

    Attributes:
        base_url: its public API; None where every user has an endpoint of their own.
        path: what is added to the base URL.
        key_env: the environment variable in which its users keep the key.
        dialect: the module of `twofold.wires` that it speaks.
        models: those known, by the provider's own names.
        unknown: what a request may have for a model that is not in `models`.
        template: the card of a model that is not known at all, but for its name and width: the provider's own tasks.
        encodings: how it can send vectors, the first by default.
        max_items, max_tokens: in one request.
        instructs: whether it puts a task's instruction before the text itself.
        unit: whether its public API always gives vectors of unit length.
        aliases: names that it answers with for a model that was asked for by another.
        busy: statuses that are worth another try there, beyond the usual ones.
    """

    name: str
    base_url: str | None
    path: str = ""
    key_env: str
    dialect: str
    models: Mapping[str, HostedModel] = field(default_factory=dict)
    unknown: frozenset[str] = NOTHING
    template: ModelCard = UNKNOWN
    encodings: tuple[str, ...] = ("base64", "float")
    max_items: int = 512
    max_tokens: int = 65_536
    instructs: bool = True
    unit: bool = False
    aliases: Mapping[str, str] = field(default_factory=dict)
    busy: frozenset[int] = frozenset()

    def find(self, model: str) -> HostedModel | None:
        """What is known of `model` here; None for one of which only the server knows.

        Raises:
            InputError: no name, or a model whose tasks this provider has no word for.
        """
        if not model:
            raise InputError(f"no model is named: write '{self.name}:<model>'")
        if model in self.models:
            return self.models[model]
        card = find_card(model)
        if card is None:
            return None
        if any(task.adapter for task in card.tasks) and "task" not in self.unknown:
            raise InputError(
                f"{card.name} must be told its task, and {self.name!r} has no word for it: for a server of your own "
                "that speaks Jina's API, use 'jina:jina-embeddings-v3' with base_url"
            )
        return HostedModel(card, self.unknown)


_V2 = frozenset({"normalize", "truncate"})
_V3 = _V2 | {"task", "dimensions", "late"}
_CODE = frozenset({"task", "dimensions", "truncate"})
_TASKED = frozenset({"task", "truncate"})


def _models(*models: HostedModel) -> dict[str, HostedModel]:
    """By the provider's own names, which have no organisation."""
    return {model.card.name.rpartition("/")[2]: model for model in models}


def _sized(card: ModelCard, *, bare: bool = True) -> HostedModel:
    """A model that is told its task, and takes only the sizes that it was trained for."""
    sizes = card.matryoshka
    return HostedModel(card, _TASKED | {"dimensions"} if sizes else _TASKED, bare=bare, sizes=sizes)


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
            models=_models(*(_sized(card) for card in VOYAGE)),
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
