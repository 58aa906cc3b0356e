"""The table of providers: where each one is, what it takes, which models it has. Data, not classes.

Importing this loads nothing but the standard library. `wires.py` has the few functions that turn our words into a
provider's and its answers into vectors.

Sources: each provider's own API description; for Jina, its OpenAPI document of 2026-04.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from twofold.errors import InputError
from twofold.hosted import wires
from twofold.models import CARDS, JINA_V3, ModelCard, Task, find_card

if TYPE_CHECKING:
    from collections.abc import Mapping

NOTHING: frozenset[str] = frozenset()
UNKNOWN = ModelCard("", width=1, max_tokens=8192)
"""Of a model that nothing is known of; its server refuses what is too long."""


@dataclass(frozen=True, slots=True)
class Hosted:
    """A model at a provider.

    Attributes:
        card: the same card as the local model's, where there is one.
        says: which of task, dimensions, late, normalize, truncate a request for it may say.
        bare: whether leaving the task out gives the bare model, and not some default task.
        sizes: the only values of `dimensions` that the provider takes; empty where it takes any.
    """

    card: ModelCard
    says: frozenset[str] = NOTHING
    bare: bool = True
    sizes: tuple[int, ...] = ()

    def asked_size(self, dimensions: int) -> int | None:
        """What to say as dimensions so that at least `dimensions` come back; None says nothing, for all."""
        if "dimensions" not in self.says or dimensions == self.card.width:
            return None
        return min((size for size in self.sizes if size >= dimensions), default=dimensions)


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """How one provider is reached and spoken to.

    Attributes:
        base_url: its public API; None where every user has an endpoint of their own.
        path: what is added to the base URL.
        key_env: the environment variable in which its users keep the key.
        wire: how it says things.
        models: those known, by the provider's own names.
        unknown: what may be said to a model that is not in `models`.
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
    wire: wires.Wire
    models: Mapping[str, Hosted] = field(default_factory=dict)
    unknown: frozenset[str] = NOTHING
    template: ModelCard = UNKNOWN
    encodings: tuple[str, ...] = ("base64", "float")
    max_items: int = 512
    max_tokens: int = 65_536
    instructs: bool = True
    unit: bool = False
    aliases: Mapping[str, str] = field(default_factory=dict)
    busy: frozenset[int] = frozenset()

    def find(self, model: str) -> Hosted | None:
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
        return Hosted(card, self.unknown)


def _tasks(*names: str, **prefixes: str) -> tuple[Task, ...]:
    return tuple(Task(name, prefixes.get(name.rpartition(".")[2], "")) for name in names)


# -- Jina -------------------------------------------------------------------------------------------------------------

_V2 = frozenset({"normalize", "truncate"})
_V3 = _V2 | {"task", "dimensions", "late"}
_CODE = frozenset({"task", "dimensions", "truncate"})

_JINA_V4 = ModelCard(
    "jinaai/jina-embeddings-v4",
    width=2048,
    max_tokens=32_768,
    tasks=_tasks(
        "retrieval.query",
        "retrieval.passage",
        "text-matching",
        "code.query",
        "code.passage",
        query="Query: ",
        passage="Passage: ",
    ),
    query_task="retrieval.query",
    document_task="retrieval.passage",
    matryoshka=(128, 256, 512, 1024, 2048),
    terms="its weights are not for commercial use; through the API they are",
)
_V5_DOCUMENT = "Document: "
_JINA_V5 = ModelCard(
    "jinaai/jina-embeddings-v5-text-small",
    width=1024,
    max_tokens=32_768,
    tasks=(
        Task("retrieval.query", "Query: "),
        *(Task(name, _V5_DOCUMENT) for name in ("retrieval.passage", "text-matching", "clustering", "classification")),
    ),
    query_task="retrieval.query",
    document_task="retrieval.passage",
    pooling="last",
    matryoshka=(32, 64, 128, 256, 512, 1024),
    licence="CC-BY-NC-4.0",
)
_JINA_CODE = ModelCard(
    "jinaai/jina-code-embeddings-0.5b",
    width=896,
    max_tokens=32_768,
    tasks=_tasks(
        *(
            f"{kind}.{side}"
            for kind in ("nl2code", "qa", "code2code", "code2nl", "code2completion")
            for side in ("query", "passage")
        )
    ),
    query_task="nl2code.query",
    document_task="nl2code.passage",
    pooling="last",
    matryoshka=(64, 128, 256, 512, 896),
)
JINA_MODELS = {
    hosted.card.name.removeprefix("jinaai/"): hosted
    for hosted in (
        Hosted(JINA_V3, _V3),
        *(Hosted(CARDS[f"jinaai/jina-embeddings-v2-base-{kind}"], _V2) for kind in ("en", "de", "es", "zh", "code")),
        Hosted(_JINA_V4, _V3 - {"normalize"}, bare=False),
        Hosted(_JINA_V5, _V3 - {"late"}, bare=False),
        Hosted(
            replace(
                _JINA_V5,
                name="jinaai/jina-embeddings-v5-text-nano",
                width=768,
                max_tokens=8192,
                matryoshka=(32, 64, 128, 256, 512, 768),
            ),
            _V3 - {"late"},
            bare=False,
        ),
        Hosted(_JINA_CODE, _CODE, bare=False),
        Hosted(
            replace(
                _JINA_CODE,
                name="jinaai/jina-code-embeddings-1.5b",
                width=1536,
                matryoshka=(128, 256, 512, 1024, 1536),
            ),
            _CODE,
            bare=False,
        ),
    )
}
JINA = Provider(
    name="jina",
    base_url="https://api.jina.ai/v1",
    path="/embeddings",
    key_env="JINA_API_KEY",
    wire=wires.JINA,
    models=JINA_MODELS,
    unknown=_V3,
    template=replace(
        UNKNOWN,
        tasks=_tasks("retrieval.query", "retrieval.passage"),
        query_task="retrieval.query",
        document_task="retrieval.passage",
    ),
    encodings=("base64", "float", "binary", "ubinary"),
)
SAGEMAKER = Provider(
    name="sagemaker",
    base_url=None,
    key_env="",
    wire=wires.SAGEMAKER,
    models={
        name: replace(hosted, says=hosted.says - {"normalize", "truncate"}, bare=not hosted.card.tasks)
        for name, hosted in JINA_MODELS.items()
    },
    encodings=("float",),
)

# -- others -----------------------------------------------------------------------------------------------------------

_OPENAI = {
    name: Hosted(ModelCard(name, width, 8191, matryoshka=sizes), frozenset({"dimensions"} if sizes else ()))
    for name, width, sizes in (
        ("text-embedding-3-small", 1536, (512, 1536)),
        ("text-embedding-3-large", 3072, (256, 1024, 3072)),
        ("text-embedding-ada-002", 1536, ()),
    )
}
OPENAI = Provider(
    name="openai",
    base_url="https://api.openai.com/v1",
    path="/embeddings",
    key_env="OPENAI_API_KEY",
    wire=wires.OPENAI,
    models=_OPENAI,
    max_items=2048,
    max_tokens=300_000,
    instructs=False,
    unit=True,
    aliases={"text-embedding-ada-002-v2": "text-embedding-ada-002"},
)

_COHERE_TASKS = _tasks("search_query", "search_document", "classification", "clustering")


def _cohere(name: str, width: int, max_tokens: int, *sizes: int) -> Hosted:
    card = ModelCard(name, width, max_tokens, _COHERE_TASKS, "search_query", "search_document", matryoshka=sizes)
    return Hosted(card, frozenset({"task", "truncate", *(("dimensions",) if sizes else ())}), bare=False, sizes=sizes)


COHERE = Provider(
    name="cohere",
    base_url="https://api.cohere.com/v2",
    path="/embed",
    key_env="COHERE_API_KEY",
    wire=wires.COHERE,
    models={
        hosted.card.name: hosted
        for hosted in (
            _cohere("embed-v4.0", 1536, 128_000, 256, 512, 1024, 1536),
            _cohere("embed-english-v3.0", 1024, 512),
            _cohere("embed-multilingual-v3.0", 1024, 512),
            _cohere("embed-english-light-v3.0", 384, 512),
            _cohere("embed-multilingual-light-v3.0", 384, 512),
        )
    },
    unknown=frozenset({"task", "truncate"}),
    template=replace(UNKNOWN, tasks=_COHERE_TASKS, query_task="search_query", document_task="search_document"),
    encodings=("float", "base64", "binary", "ubinary"),
    max_items=96,
)

_VOYAGE_TASKS = _tasks("query", "document")


def _voyage(name: str, width: int, max_tokens: int, *sizes: int) -> Hosted:
    card = ModelCard(name, width, max_tokens, _VOYAGE_TASKS, "query", "document", matryoshka=sizes)
    return Hosted(card, frozenset({"task", "truncate", *(("dimensions",) if sizes else ())}), sizes=sizes)


VOYAGE = Provider(
    name="voyage",
    base_url="https://api.voyageai.com/v1",
    path="/embeddings",
    key_env="VOYAGE_API_KEY",
    wire=wires.VOYAGE,
    models={
        hosted.card.name: hosted
        for hosted in (
            *(
                _voyage(name, 2048, 32_000, 256, 512, 1024, 2048)
                for name in ("voyage-3.5", "voyage-3.5-lite", "voyage-3-large", "voyage-code-3")
            ),
            _voyage("voyage-finance-2", 1024, 32_000),
            _voyage("voyage-law-2", 1024, 16_000),
        )
    },
    unknown=frozenset({"task", "truncate"}),
    template=replace(UNKNOWN, tasks=_VOYAGE_TASKS, query_task="query", document_task="document"),
    encodings=("base64", "float", "binary", "ubinary"),
    max_items=1000,
    max_tokens=120_000,
    unit=True,
)
TEI = Provider(
    name="tei",
    base_url=None,
    path="/embed",
    key_env="TEI_API_KEY",
    wire=wires.TEI,
    unknown=frozenset({"normalize", "truncate"}),
    encodings=("float",),
    max_items=32,
    max_tokens=16_384,
    instructs=False,
    busy=frozenset({424}),
)
AZURE = replace(JINA, name="azure", base_url=None, key_env="AZURE_JINA_API_KEY")

PROVIDERS: dict[str, Provider] = {row.name: row for row in (AZURE, COHERE, JINA, OPENAI, SAGEMAKER, TEI, VOYAGE)}


def hosted_card(provider: str, model: str) -> ModelCard | None:
    """The card of a hosted model, without asking anyone; None where only its server knows.

    Raises:
        InputError: a model that this provider can not be asked for.
    """
    hosted = PROVIDERS[provider].find(model)
    return None if hosted is None else hosted.card


def is_loopback(url: str) -> bool:
    """Whether a URL leads to this very machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def endpoint(provider: Provider, base_url: str | None) -> str:
    """The URL that requests go to, fixed by the embedder's own options.

    Raises:
        InputError: none is given where it must be, or one that is not plain: a scheme other than http and https, a
            user name, a query.
    """
    url = base_url or provider.base_url
    if url is None:
        raise InputError(f"{provider.name!r} needs base_url: the address of your own endpoint")
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise InputError(f"base_url={url!r}: it must start with https://, or http://, and name a host")
    if parts.username is not None or parts.query or parts.fragment:
        raise InputError("base_url has a user name or a query, which would be stored with the settings: use api_key")
    url = url.rstrip("/")
    return url if url.endswith(provider.path) else url + provider.path
