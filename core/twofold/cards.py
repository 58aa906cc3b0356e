"""The table of known models: what Twofold knows before it reads any weights or asks a provider.

Sources: each model's page on huggingface.co, its files and its paper (for jina-embeddings-v3, arXiv 2409.10173), and
for models that are only hosted, their provider's API documentation. A checkpoint's own files win over this table.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from twofold.models import ModelCard, Task

# -- models whose weights are published -------------------------------------------------------------------------------


_POWERS = (32, 64, 128, 256, 512, 768, 1024, 1536, 2048)
NO_LIMIT = 1_000_000
"""The length of a model that takes texts of any length. Tokenizer files use 1e30 for that."""


def _up_to(width: int) -> tuple[int, ...]:
    """The sizes from 32 to the width to which a model with many of them was trained."""
    return (*(size for size in _POWERS if size < width), width)


def _sides(query: str, document: str) -> tuple[Task, ...]:
    return (Task("query", query), Task("document", document))


_V3_TASKS = (
    Task("retrieval.query", "Represent the query for retrieving evidence documents: ", "retrieval.query"),
    Task("retrieval.passage", "Represent the document for retrieval: ", "retrieval.passage"),
    Task("separation", "", "separation"),
    Task("classification", "", "classification"),
    Task("text-matching", "", "text-matching"),
)
JINA_V3 = ModelCard(
    "jinaai/jina-embeddings-v3",
    width=1024,
    max_tokens=8192,
    tasks=_V3_TASKS,
    query_task="retrieval.query",
    document_task="retrieval.passage",
    matryoshka=(32, 64, 128, 256, 512, 768, 1024),
    licence="CC-BY-NC-4.0",
    terms="not for commercial use; for that, call Jina's API (model 'jina:jina-embeddings-v3'), "
    "or take the model from a cloud market (AWS SageMaker, Azure)",
)
_JINA_V2 = ModelCard("jinaai/jina-embeddings-v2-base-en", 768, 8192, licence="Apache-2.0")
_E5 = ModelCard("intfloat/e5-base-v2", 768, 512, _sides("query: ", "passage: "), "query", "document", licence="MIT")
_SEARCH = "Represent this sentence for searching relevant passages: "
_BGE = ModelCard(
    "BAAI/bge-base-en-v1.5",
    768,
    512,
    _sides(_SEARCH, ""),
    "query",
    "document",
    pooling="cls",
    licence="MIT",
)

_WEB = "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery:"
"""The instruction of many models that were trained with instructions, as their pages give it for web search."""
_CODE = {
    "nl2code": ("Find the most relevant code snippet given the following query:\n", "Candidate code snippet:\n"),
    "qa": ("Find the most relevant answer given the following question:\n", "Candidate answer:\n"),
    "code2code": (
        "Find an equivalent code snippet given the following code snippet:\n",
        "Candidate code snippet:\n",
    ),
    "code2nl": ("Find the most relevant comment given the following code snippet:\n", "Candidate comment:\n"),
    "code2completion": (
        "Find the most relevant completion given the following start of code snippet:\n",
        "Candidate completion:\n",
    ),
}
_TERMS = {"CC-BY-NC-4.0": "not for commercial use", "Gemma": "Gemma's terms of use apply: ai.google.dev/gemma/terms"}


def _card(  # noqa: PLR0917 - a row of a table
    name: str,
    width: int,
    max_tokens: int,
    query: str = "",
    document: str = "",
    licence: str = "Apache-2.0",
    **more: Any,
) -> ModelCard:
    """A model without adapters. Its tasks are the names in its own files, or `query` and `document`."""
    sides = {"tasks": _sides(query, document), "query_task": "query", "document_task": "document"}
    given = {**(sides if query or document else {}), **more}
    return ModelCard(name, width, max_tokens, licence=licence, terms=_TERMS.get(licence, ""), **given)


def _named(query_task: str, document_task: str, **prefixes: str) -> dict[str, Any]:
    """Tasks under other names than `query` and `document`, and which of them is each side's."""
    tasks = tuple(Task(name, prefix) for name, prefix in prefixes.items())
    return {"tasks": tasks, "query_task": query_task, "document_task": document_task}


_SEARCH_SIDES = _named(
    "search_query",
    "search_document",
    **{name: f"{name}: " for name in ("search_query", "search_document", "classification", "clustering")},
)
NOMIC = tuple(
    _card(f"nomic-ai/nomic-embed-text-{version}", 768, 8192, matryoshka=sizes, **_SEARCH_SIDES)
    for version, sizes in (("v1", ()), ("v1.5", (64, 128, 256, 512, 768)))
)
MODERN = (
    *NOMIC,
    _card("nomic-ai/modernbert-embed-base", 768, 8192, matryoshka=(256, 768), **_SEARCH_SIDES),
    _card(
        "nomic-ai/nomic-embed-text-v2-moe",
        768,
        512,
        matryoshka=(256, 768),
        has_more_tasks=True,
        **_named("query", "passage", query="search_query: ", passage="search_document: "),
    ),
    *(
        _card(f"Qwen/Qwen3-Embedding-{size}", width, 32_768, _WEB, pooling="last", matryoshka=_up_to(width))
        for size, width in (("0.6B", 1024), ("4B", 2560), ("8B", 4096))
    ),
    _card(
        "google/embeddinggemma-300m",
        768,
        2048,
        "task: search result | query: ",
        "title: none | text: ",
        "Gemma",
        matryoshka=(128, 256, 512, 768),
        has_more_tasks=True,
    ),
    # one adapter of jina-embeddings-v5 merged into the base: the other three have the document's prompt on both sides
    *(
        _card(
            f"jinaai/jina-embeddings-v5-text-{size}-{task}",
            width,
            max_tokens,
            licence="CC-BY-NC-4.0",
            pooling="last",
            matryoshka=_up_to(width),
            **(
                _named("query", "document", query="Query: ", document="Document: ")
                if task == "retrieval"
                else _named("document", "document", document="Document: ")
            ),
        )
        for size, width, max_tokens in (("small", 1024, 32_768), ("nano", 768, 8192))
        for task in ("retrieval", "text-matching", "clustering", "classification")
    ),
    *(
        _card(
            f"jinaai/jina-code-embeddings-{size}",
            width,
            32_768,
            licence="CC-BY-NC-4.0",
            pooling="last",
            matryoshka=sizes,
            **_named(
                "nl2code_query",
                "nl2code_document",
                **{
                    f"{kind}_{side}": prefix
                    for kind, prefixes in _CODE.items()
                    for side, prefix in zip(("query", "document"), prefixes, strict=True)
                },
            ),
        )
        for size, width, sizes in (("0.5b", 896, (64, 128, 256, 512, 896)), ("1.5b", 1536, (128, 256, 512, 1024, 1536)))
    ),
    _card("intfloat/multilingual-e5-large-instruct", 1024, 512, f"{_WEB} ", licence="MIT"),
    _card(
        "intfloat/e5-mistral-7b-instruct",
        4096,
        32_768,
        licence="MIT",
        pooling="last",
        has_more_tasks=True,
        **_named("web_search_query", "document", web_search_query=f"{_WEB} ", document=""),
    ),
    _card("Snowflake/snowflake-arctic-embed-l-v2.0", 1024, 8192, "query: ", pooling="cls", matryoshka=(256, 1024)),
    _card("Snowflake/snowflake-arctic-embed-m-v2.0", 768, 8192, "query: ", pooling="cls", matryoshka=(256, 768)),
    _card("mixedbread-ai/mxbai-embed-large-v1", 1024, 512, _SEARCH, pooling="cls", matryoshka=(512, 1024)),
    _card("Alibaba-NLP/gte-modernbert-base", 768, 8192, pooling="cls"),
    _card("Alibaba-NLP/gte-multilingual-base", 768, 8192, pooling="cls"),
    _card("ibm-granite/granite-embedding-english-r2", 768, 8192, pooling="cls"),
    _card("ibm-granite/granite-embedding-small-english-r2", 384, 8192, pooling="cls"),
    _card("ibm-granite/granite-embedding-107m-multilingual", 384, 512, pooling="cls"),
    _card("ibm-granite/granite-embedding-278m-multilingual", 768, 512, pooling="cls"),
    _card(
        "KaLM-Embedding/KaLM-embedding-multilingual-mini-instruct-v2.5",
        896,
        512,
        matryoshka=(64, 128, 256, 512, 896),
        has_more_tasks=True,
    ),
    _card("sentence-transformers/all-mpnet-base-v2", 768, 384),
    _card("sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2", 384, 128),
    _card("MongoDB/mdbr-leaf-ir-asym", 768, 512, _SEARCH, pooling="other"),
    _card("sentence-transformers/static-retrieval-mrl-en-v1", 1024, NO_LIMIT, matryoshka=_up_to(1024)),
    _card("minishlab/potion-base-8M", 256, NO_LIMIT, licence="MIT"),
    _card("minishlab/potion-retrieval-32M", 512, NO_LIMIT, licence="MIT"),
)

CARDS: dict[str, ModelCard] = {
    card.name: card
    for card in (
        JINA_V3,
        *(
            replace(_JINA_V2, name=f"jinaai/jina-embeddings-v2-{kind}", width=width)
            for kind, width in (
                ("base-en", 768),
                ("small-en", 512),
                ("base-de", 768),
                ("base-es", 768),
                ("base-zh", 768),
                ("base-code", 768),
            )
        ),
        ModelCard("sentence-transformers/all-MiniLM-L6-v2", 384, 256, licence="Apache-2.0"),
        *(
            replace(_E5, name=f"intfloat/{name}", width=width)
            for size, width in (("small", 384), ("base", 768), ("large", 1024))
            for name in (f"multilingual-e5-{size}", f"e5-{size}-v2")
        ),
        *(
            replace(_BGE, name=f"BAAI/bge-{size}-en-v1.5", width=width)
            for size, width in (("small", 384), ("base", 768), ("large", 1024))
        ),
        ModelCard("BAAI/bge-m3", 1024, 8192, pooling="cls", licence="MIT"),
        *MODERN,
    )
}
_SHORT_NAMES = {name.rpartition("/")[2]: name for name in CARDS}


def find_card(name: str) -> ModelCard | None:
    """The card of a model by its hub id, or by the part after the slash; None if unknown."""
    return CARDS.get(name) or CARDS.get(_SHORT_NAMES.get(name, ""))


# -- further models of Jina --------------------------------------------------------------------------------------------


def _tasks(*names: str, **prefixes: str) -> tuple[Task, ...]:
    return tuple(Task(name, prefixes.get(name.rpartition(".")[2], "")) for name in names)


JINA_V4 = ModelCard(
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
    terms="its weights are not for commercial use; its API is",
)
JINA_V5 = tuple(
    ModelCard(
        f"jinaai/jina-embeddings-v5-text-{size}",
        width,
        max_tokens,
        tasks=(
            Task("retrieval.query", "Query: "),
            *(
                Task(name, "Document: ")
                for name in ("retrieval.passage", "text-matching", "clustering", "classification")
            ),
        ),
        query_task="retrieval.query",
        document_task="retrieval.passage",
        pooling="last",
        matryoshka=sizes,
        licence="CC-BY-NC-4.0",
    )
    for size, width, max_tokens, sizes in (
        ("small", 1024, 32_768, (32, 64, 128, 256, 512, 1024)),
        ("nano", 768, 8192, (32, 64, 128, 256, 512, 768)),
    )
)
JINA_CODE = tuple(
    ModelCard(
        f"jinaai/jina-code-embeddings-{size}",
        width,
        32_768,
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
        matryoshka=sizes,
    )
    for size, width, sizes in (("0.5b", 896, (64, 128, 256, 512, 896)), ("1.5b", 1536, (128, 256, 512, 1024, 1536)))
)

# -- models that are only hosted --------------------------------------------------------------------------------------

OPENAI = tuple(
    ModelCard(name, width, 8191, matryoshka=sizes)
    for name, width, sizes in (
        ("text-embedding-3-small", 1536, (512, 1536)),
        ("text-embedding-3-large", 3072, (256, 1024, 3072)),
        ("text-embedding-ada-002", 1536, ()),
    )
)
COHERE_TASKS = _tasks("search_query", "search_document", "classification", "clustering")
COHERE = tuple(
    ModelCard(name, width, max_tokens, COHERE_TASKS, "search_query", "search_document", matryoshka=sizes)
    for name, width, max_tokens, sizes in (
        ("embed-v4.0", 1536, 128_000, (256, 512, 1024, 1536)),
        ("embed-english-v3.0", 1024, 512, ()),
        ("embed-multilingual-v3.0", 1024, 512, ()),
        ("embed-english-light-v3.0", 384, 512, ()),
        ("embed-multilingual-light-v3.0", 384, 512, ()),
    )
)
VOYAGE_TASKS = _tasks("query", "document")
# docs.voyageai.com, Text Embeddings and Contextualized Chunk Embeddings, 2026-08
VOYAGE = tuple(
    ModelCard(name, width, max_tokens, VOYAGE_TASKS, "query", "document", matryoshka=sizes)
    for name, width, max_tokens, sizes in (
        *(
            (name, 2048, 32_000, (256, 512, 1024, 2048))
            for name in (
                "voyage-4-large",
                "voyage-4",
                "voyage-4-lite",
                "voyage-3.5",
                "voyage-3.5-lite",
                "voyage-3-large",
                "voyage-code-3",
                "voyage-context-4",
                "voyage-context-3",
            )
        ),
        ("voyage-finance-2", 1024, 32_000, ()),
        ("voyage-law-2", 1024, 16_000, ()),
    )
)
# ai.google.dev/gemini-api/docs/embeddings, 2026: the first model takes the task's name, the second a prompt
GEMINI_1 = ModelCard(
    "gemini-embedding-001",
    3072,
    2048,
    tasks=_tasks(
        "RETRIEVAL_QUERY",
        "RETRIEVAL_DOCUMENT",
        "SEMANTIC_SIMILARITY",
        "CLASSIFICATION",
        "CLUSTERING",
        "QUESTION_ANSWERING",
        "FACT_VERIFICATION",
        "CODE_RETRIEVAL_QUERY",
    ),
    query_task="RETRIEVAL_QUERY",
    document_task="RETRIEVAL_DOCUMENT",
    matryoshka=(768, 1536, 3072),
)
GEMINI_2 = ModelCard(
    "gemini-embedding-2",
    3072,
    8192,
    tasks=_sides("task: search result | query: ", "title: none | text: "),
    query_task="query",
    document_task="document",
    matryoshka=(768, 1536, 3072),
)
# docs.mistral.ai/api/endpoint/embeddings, 2026: neither has a task
MISTRAL = ModelCard("mistral-embed", 1024, 8192)
CODESTRAL = ModelCard("codestral-embed", 3072, 8192, matryoshka=(256, 512, 1024, 1536, 3072))
# docs.aws.amazon.com/bedrock, Titan Text Embeddings, 2026
TITAN = ModelCard("amazon.titan-embed-text-v2:0", 1024, 8192, matryoshka=(256, 512, 1024))
