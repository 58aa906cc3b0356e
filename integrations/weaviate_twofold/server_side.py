"""Vectors that the Weaviate server asks an embedding server for by itself.

- `text2vec-transformers` has a URL for each side, so that old Weaviate servers, which do not say the side, keep them
  apart too; it needs no key, and sends one text a request.
- `text2vec-jinaai` speaks Jina's API, in batches. It says the side only for models that have "v3" in their name, and
  always as v3's retrieval tasks; the server wants some key in JINAAI_APIKEY.
- `text2vec-cohere` speaks Cohere's API, in batches of 96: the fastest way in. It says the side whatever the model is,
  and always allows that the end of a text is cut; the server wants some key in COHERE_APIKEY.
- All join an object's text properties by a space, in alphabetical order. `open_collection` knows that: it puts the
  record into a collection that was made so, and what `add_objects` embeds there is joined alike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from twofold import InputError
from twofold.adapters import extra
from weaviate_twofold.making import cosine_index

with extra("weaviate"):
    from weaviate.classes.config import Configure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twofold import Embedder

PASSAGE, QUERY = "/passage", "/query"
"""Where an embedding server answers for each side: Weaviate puts `/vectors` behind it."""

SIDES = ("retrieval.query", "retrieval.passage")
"""What text2vec-jinaai says, whatever the embedder's tasks are."""


def server_side(
    embedder: Embedder,
    url: str,
    *,
    module: Literal["text2vec-transformers", "text2vec-jinaai", "text2vec-cohere"] = "text2vec-transformers",
    model: str | None = None,
    name: str | None = None,
    properties: Sequence[str] | None = None,
    quantizer: Any = None,
    vector_index_config: Any = None,
) -> Any:
    """The `vector_config` of a collection for which Weaviate calls the embedding server at `url`.

    Args:
        embedder: the one that the embedding server serves; it gives the dimensions.
        url: the server's, as Weaviate reaches it. Weaviate cannot change it later.
        module: which of Weaviate's modules calls it.
        model: the name that the embedding server has for it; that of its card. `text2vec-transformers` says none.
        name: of the vector.
        properties: those that are vectorised; None is every text property.
        quantizer: Weaviate's.
        vector_index_config: Weaviate's, for cosine.

    Raises:
        InputError: a URL or module that is none, or an embedder whose sides the module would lose.
    """
    if not url.startswith(("http://", "https://")):
        raise InputError(f"url={url!r}: the embedding server's URL starts with http:// or https://")
    base: Any = url.rstrip("/")  # a string, which the client takes as a URL of its own type
    shared: dict[str, Any] = {
        "name": name,
        "dimensions": embedder.dimensions,
        "source_properties": list(properties) if properties is not None else None,
        "vectorize_collection_name": False,
        "vector_index_config": cosine_index(vector_index_config),
        "quantizer": quantizer,
    }
    if module == "text2vec-transformers":
        sides: dict[str, Any] = {"passage_inference_url": base + PASSAGE, "query_inference_url": base + QUERY}
        return Configure.Vectors.text2vec_transformers(**sides, **shared)
    if module == "text2vec-jinaai":
        return Configure.Vectors.text2vec_jinaai(base_url=base, model=_jina_model(embedder, model), **shared)
    if module == "text2vec-cohere":
        return Configure.Vectors.text2vec_cohere(base_url=base, model=model or _name(embedder), **shared)
    raise InputError(f"module={module!r}: it must be 'text2vec-transformers', 'text2vec-jinaai' or 'text2vec-cohere'")


def _name(embedder: Embedder) -> str:
    return embedder.card.name.rpartition("/")[2]


def _jina_model(embedder: Embedder, model: str | None) -> str:
    name = model or _name(embedder)
    tasks = (embedder.query_task.name, embedder.document_task.name)
    if tasks[0] != tasks[1] and ("v3" not in name or tasks != SIDES):
        raise InputError(
            f"text2vec-jinaai would lose the sides of {name}, {tasks[0]!r} and {tasks[1]!r}: it says a task only for "
            f"models with 'v3' in their name, and then {SIDES[0]!r} or {SIDES[1]!r}; take 'text2vec-transformers'"
        )
    return name
