"""`TwofoldEmbedding`: an embedder as LlamaIndex's `BaseEmbedding`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Self, Unpack

from llama_index_twofold.cache import dispatcher, embed
from llama_index_twofold.identity import Vector, caller_of, is_marked, mark, tag_of
from twofold import InputError
from twofold.adapters import (
    as_embedder,
    check_text,
    check_texts,
    extra,
    is_blank,
    option_fields,
    option_names,
    run_in_thread,
    warn_blank,
)

with extra("llama-index"):
    from llama_index.core.base.embeddings.base import BaseEmbedding, mean_agg
    from llama_index.core.schema import MetadataMode
    from pydantic import Field, PrivateAttr, create_model

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from llama_index.core.callbacks import CallbackManager
    from llama_index.core.rate_limiter import BaseRateLimiter
    from llama_index.core.schema import BaseNode
    from llama_index.core.storage.kvstore.types import BaseKVStore

    from llama_index_twofold.identity import Caller
    from twofold import Embedder
    from twofold.adapters import KeySource, Model, Options

    class HostOptions(Options, total=False):
        """The keyword arguments of a `TwofoldEmbedding`: an embedder's options, and LlamaIndex's own fields."""

        model_name: str
        embed_batch_size: int
        num_workers: int | None
        callback_manager: CallbackManager
        embeddings_cache: BaseKVStore | None
        rate_limiter: BaseRateLimiter | None

    class Fields(BaseEmbedding):
        def __getattr__(self, name: str) -> Any: ...
else:
    Fields = create_model("Fields", __base__=BaseEmbedding, **option_fields())


class TwofoldEmbedding(Fields):
    """An embedder for LlamaIndex that encodes queries and documents the way the model was trained.

    * `model` is an `Embedder`, or what a `twofold.Embedder` takes, with any of its options. Every option is a public
      field of the same name, so that the ingestion cache, `to_dict` and pickle see it. LlamaIndex's own `model_name` is
      the same as `model`;
    * `api_key` and `http_client` appear in no dump, repr or pickle; a loaded copy finds its key in the environment;
    * vectors are lists of Python floats with exactly the core's values;
    * a blank text does not stop an ingestion: it gets the vector of the empty text, with a `BlankWarning`;
    * as a transformation it skips nodes that it, or late chunking, has already embedded in this space;
    * `embeddings_cache` keeps models, sides and late-chunked documents apart, which LlamaIndex's own keys do not;
    * all texts of a call go to the embedder at once. It checks them all before any work and makes its own batches
      (`batch_tokens`); `embed_batch_size` is the number of texts for which the rate limiter is asked once;
    * embeddings with the same saved fields are equal.

    Raises:
        InputError: an option or a text that cannot be used, named by its place; see `twofold.Embedder`.
    """

    embed_batch_size: int = Field(default=512, gt=0, le=2048)

    if TYPE_CHECKING:  # arguments of the constructor that are kept in no field
        api_key: KeySource = None
        http_client: Any = None

    _embedder: Embedder = PrivateAttr()

    def __init__(self, model: Model, **options: Unpack[HostOptions]) -> None:
        """Let the embedder check the options: its errors are `InputError`, pydantic's are not."""
        given: dict[str, Any] = {**options}
        given.pop("class_name", None)  # of a dump
        name = given.pop("model_name", None)
        host = {field: given.pop(field) for field in BaseEmbedding.model_fields if field in given}
        embedder = as_embedder(model, **given)
        settings = embedder.settings
        if name not in {None, settings.model}:
            raise InputError("model_name must equal model: pass only model")
        super().__init__(**asdict(settings), **host, model_name=settings.model)
        self._embedder = embedder

    @classmethod
    def class_name(cls) -> str:
        return "TwofoldEmbedding"

    @property
    def embedder(self) -> Embedder:
        """The embedder itself, for its `space`, its numpy vectors and everything else that it does."""
        return self._embedder

    def to_payload(self) -> dict[str, Any]:
        return {**super().to_payload(), **self._embedder.settings.to_dict()}

    # -- the public methods of a BaseEmbedding ------------------------------------------------------------------------

    @dispatcher.span
    def get_query_embedding(self, query: str) -> list[float]:
        """The vector of one query.

        Raises:
            SpaceMismatch: called for an index that holds vectors of another space.
        """
        return self._embed_query(caller_of(self, [query]), query)

    @dispatcher.span
    async def aget_query_embedding(self, query: str) -> list[float]:
        """`get_query_embedding` without blocking the event loop."""
        return await run_in_thread(self._embed_query, caller_of(self, [query]), query)

    def get_agg_embedding_from_queries(
        self, queries: list[str], agg_fn: Callable[..., list[float]] | None = None
    ) -> list[float]:
        """One vector for several queries: their mean, or the result of `agg_fn`."""
        vectors = [self.get_query_embedding(query) for query in queries]
        return Vector((agg_fn or mean_agg)(vectors), self._embedder)

    async def aget_agg_embedding_from_queries(
        self, queries: list[str], agg_fn: Callable[..., list[float]] | None = None
    ) -> list[float]:
        vectors = [await self.aget_query_embedding(query) for query in queries]
        return Vector((agg_fn or mean_agg)(vectors), self._embedder)

    def get_text_embedding(self, text: str) -> list[float]:
        """The vector of one document."""
        return self.get_text_embedding_batch([text])[0]

    async def aget_text_embedding(self, text: str) -> list[float]:
        """`get_text_embedding` without blocking the event loop."""
        return (await self.aget_text_embedding_batch([text]))[0]

    @dispatcher.span
    def get_text_embedding_batch(
        self, texts: list[str], show_progress: bool = False, **kwargs: Any
    ) -> list[list[float]]:
        """The vectors of documents, in the order of `texts`; all are checked before anything is embedded.

        Raises:
            SpaceMismatch: called for an index, or for nodes, that have vectors of another space.
        """
        return self._embed_texts(caller_of(self, texts), texts, show_progress)

    @dispatcher.span
    async def aget_text_embedding_batch(
        self, texts: list[str], show_progress: bool = False, **kwargs: Any
    ) -> list[list[float]]:
        """`get_text_embedding_batch` without blocking the event loop."""
        return await run_in_thread(self._embed_texts, caller_of(self, texts), texts, show_progress)

    def __call__(self, nodes: Sequence[BaseNode], **kwargs: Any) -> Sequence[BaseNode]:
        """Embed the nodes that are not yet in this space, in place. Leaves blank nodes out, with a warning."""
        if not nodes:
            return nodes
        nodes, tag = _without_blank(nodes), tag_of(self._embedder)
        fresh = [node for node in nodes if not is_marked(node, tag)]
        texts = [node.get_content(MetadataMode.EMBED) for node in fresh]
        for node, vector in zip(fresh, self.get_text_embedding_batch(texts, **kwargs), strict=True):
            node.embedding = vector
            mark(node, tag)
        return nodes

    async def acall(self, nodes: Sequence[BaseNode], **kwargs: Any) -> Sequence[BaseNode]:
        return await run_in_thread(self, nodes, **kwargs)

    _get_query_embedding, _aget_query_embedding = get_query_embedding, aget_query_embedding
    _get_text_embedding, _aget_text_embedding = get_text_embedding, aget_text_embedding

    # -- copies -------------------------------------------------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        """Pickle to the fields: no weights, no client, no key."""
        return {**super().__getstate__(), "__pydantic_private__": None}

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy with the options in `update`, which its embedder has too; `deep` changes nothing."""
        update = dict(update or {})
        host = {field: update.pop(field, getattr(self, field)) for field in BaseEmbedding.model_fields}
        host.pop("model_name")
        return type(self)(self._embedder.with_options(**update) if update else self._embedder, **host)

    def __copy__(self) -> Self:
        return self.model_copy()

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        return self.model_copy()

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.to_dict() == self.to_dict()

    __hash__ = None  # type: ignore[assignment] # its fields can change, as those of any of LlamaIndex's embeddings

    def __setattr__(self, name: str, value: Any) -> None:
        """Refuse to change an option, since the embedder would not see the change."""
        if name in option_names():
            raise InputError(f"{name} cannot be changed: make another, as model_copy(update={{{name!r}: …}}) does")
        super().__setattr__(name, value)

    def _embed_query(self, caller: Caller | None, query: str) -> list[float]:
        query = check_text(query, blank=True)
        if caller is not None:
            caller.check(self, tag_of(self._embedder))
        return embed(self, "query", [query], [query])[0]

    def _embed_texts(self, caller: Caller | None, texts: list[str], progress: bool) -> list[list[float]]:
        tag = "" if caller is None else tag_of(self._embedder)
        if caller is not None:
            caller.check(self, tag)
        texts = check_texts(texts, blank=True)
        vectors = embed(self, "document", texts, texts, progress=progress) if texts else []
        if caller is not None:
            caller.mark(texts, tag)
        return vectors


def _without_blank(nodes: Sequence[BaseNode]) -> Sequence[BaseNode]:
    """The nodes that have a text; the same sequence if all do."""
    modes = (MetadataMode.NONE, MetadataMode.EMBED)
    blank = [node for node in nodes if all(is_blank(node.get_content(mode)) for mode in modes)]
    for node in blank:
        warn_blank(f"node {node.node_id}, of document {node.ref_doc_id},")
    return [node for node in nodes if not any(node is each for each in blank)] if blank else nodes
