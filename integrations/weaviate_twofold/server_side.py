"""Vectors for which the Weaviate server calls an embedding server itself.

- `text2vec-transformers` has a URL for each side, which also separates the sides for old Weaviate servers that do not
  send the side. It needs no key, and sends one text per request.
- `text2vec-jinaai` speaks Jina's API, in batches. It sends the side only for models that have "v3" in their name, and
  always as v3's retrieval tasks. The server requires some key in JINAAI_APIKEY.
- `text2vec-cohere` speaks Cohere's API, in batches of 96, and is the fastest. It sends the side for every model, and
  always allows long texts to be cut. The server requires some key in COHERE_APIKEY.
- All of them join an object's text properties by a space, in alphabetical order. `open_collection` accounts for that:
  it gives such a collection its record, and `add_objects` joins properties there in the same way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from twofold import InputError
from twofold.adapters import extra
from weaviate_twofold.record import cosine_index

with extra("weaviate"):
    from weaviate.classes.config import Configure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twofold import Embedder

PASSAGE, QUERY = "/passage", "/query"
"""The paths of an embedding server for each side; Weaviate appends `/vectors`."""

SIDES = ("retrieval.query", "retrieval.passage")
"""The tasks that text2vec-jinaai sends, whatever the embedder's tasks are."""


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
    """Return the `vector_config` of a collection for which Weaviate calls the embedding server at `url`.

    Args:
        embedder: what the embedding server serves; its dimensions are used.
        url: the server's URL, as Weaviate reaches it. Weaviate cannot change it later.
        module: the Weaviate module that calls it.
        model: the embedding server's name for the model; by default that of its card. `text2vec-transformers` sends
            none.
        name: the vector's name.
        properties: the properties to vectorise; None is every text property.
        quantizer: Weaviate's quantizer.
        vector_index_config: Weaviate's index, for cosine.

    Raises:
        InputError: an invalid URL, an unknown module, or an embedder whose sides the module would lose.
    """
    if not url.startswith(("http://", "https://")):
        raise InputError(f"url={url!r}: the embedding server's URL starts with http:// or https://")
    base: Any = url.rstrip("/")  # the client declares its own URL type and accepts a string
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
            f"text2vec-jinaai would lose the sides of {name}, {tasks[0]!r} and {tasks[1]!r}: it sends a task only "
            f"for models with 'v3' in their name, and then {SIDES[0]!r} or {SIDES[1]!r}; use 'text2vec-transformers'"
        )
    return name
