"""`TwofoldEmbedding`: an embedder as LlamaIndex's `BaseEmbedding`."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Self
from weakref import WeakSet

from llama_index_twofold.cache import embed
from llama_index_twofold.callers import caller_of
from llama_index_twofold.marks import is_marked, mark, remember
from llama_index_twofold.observers import dispatcher
from twofold import InputError
from twofold.adapters import (
    as_embedder,
    check_text,
    check_texts,
    extra,
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

    from llama_index.core.schema import BaseNode

    from llama_index_twofold.callers import Caller
    from twofold import Embedder
    from twofold.adapters import KeySource, Model

    class Options(BaseEmbedding):
        def __getattr__(self, name: str) -> Any: ...
else:
    Options = create_model("Options", __base__=BaseEmbedding, **option_fields())

SECRETS = ("api_key", "http_client")
"""What makes an embedder, and is kept in no field."""


class TwofoldEmbedding(Options):
    """An embedder for LlamaIndex, with the query and the document side each sent as the model was trained for.

    * `model` is an `Embedder`, or what makes one with any of its options beside it; every option is a public field by
      the same name, so that the ingestion cache, `to_dict` and pickle see it; `model_name`, the host's own, is `model`;
    * `api_key` and `http_client` are in no dump, no repr and no pickle; a loaded copy finds its key in the environment;
    * vectors are lists of python floats, of the core's values exactly;
    * as a transformation it leaves out nodes that it, or late chunking, has embedded in this very space;
    * `embeddings_cache` keeps models, sides and late-chunked documents apart, which the host's keys do not;
    * all texts of a call go to the embedder at once, which checks them all before any work and makes its own batches of
      tokens (`batch_tokens`); `embed_batch_size` is how many the rate limiter is asked for at a time.

    Raises:
        InputError: an option or a text that cannot be embedded, named by its place; see `twofold.Embedder`.
    """

    embed_batch_size: int = Field(default=512, gt=0, le=2048)

    if TYPE_CHECKING:  # arguments of the constructor, kept in no field
        api_key: KeySource = None
        http_client: Any = None

    _embedder: Embedder = PrivateAttr()
    _seen: WeakSet[Any] = PrivateAttr(default_factory=WeakSet)

    def __init__(self, model: Model, **options: Any) -> None:
        """Let the embedder check the options: its errors are `InputError`, pydantic's are not."""
        options.pop("class_name", None)  # of a dump
        name = options.pop("model_name", None)
        host = {field: options.pop(field) for field in BaseEmbedding.model_fields if field in options}
        embedder = as_embedder(model, **options)
        settings = embedder.settings
        if name not in {None, settings.model}:
            raise InputError("model_name follows model: give model alone")
        super().__init__(**asdict(settings), **host, model_name=settings.model)
        self._embedder = embedder

    @classmethod
    def class_name(cls) -> str:
        """The host's name for this class, in dumps and traces."""
        return "TwofoldEmbedding"

    @property
    def embedder(self) -> Embedder:
        """The embedder itself, for its `space`, its numpy vectors and everything else that it does."""
        return self._embedder

    def to_payload(self) -> dict[str, Any]:
        """What traces say of it: the options that were given, and nothing secret."""
        return {**super().to_payload(), **self._embedder.settings.to_dict()}

    # -- the host's face: each has its side, its check and its space --------------------------------------------------

    @dispatcher.span
    def get_query_embedding(self, query: str) -> list[float]:
        """The vector of one query."""
        query = check_text(query)
        return embed(self, self._embedder, "query", [query], [query])[0]

    @dispatcher.span
    async def aget_query_embedding(self, query: str) -> list[float]:
        """`get_query_embedding`, without holding up the event loop."""
        query = check_text(query)
        return (await run_in_thread(embed, self, self._embedder, "query", [query], [query], waits=True))[0]

    def get_agg_embedding_from_queries(
        self, queries: list[str], agg_fn: Callable[..., list[float]] | None = None
    ) -> list[float]:
        """One vector for several queries, their mean where `agg_fn` does not say otherwise."""
        if (caller := caller_of(sys._getframe(1))) is not None:  # noqa: SLF001 - see there
            caller.meet(self._embedder, self._seen)
        return self._aggregate([self.get_query_embedding(query) for query in queries], agg_fn)

    async def aget_agg_embedding_from_queries(
        self, queries: list[str], agg_fn: Callable[..., list[float]] | None = None
    ) -> list[float]:
        """`get_agg_embedding_from_queries`, without holding up the event loop."""
        if (caller := caller_of(sys._getframe(1))) is not None:  # noqa: SLF001 - see there
            await self._ameet(caller)
        return self._aggregate([await self.aget_query_embedding(query) for query in queries], agg_fn)

    def get_text_embedding(self, text: str) -> list[float]:
        """The vector of one document."""
        return self.get_text_embedding_batch([check_text(text)])[0]

    async def aget_text_embedding(self, text: str) -> list[float]:
        """`get_text_embedding`, without holding up the event loop."""
        return (await self.aget_text_embedding_batch([check_text(text)]))[0]

    @dispatcher.span
    def get_text_embedding_batch(
        self, texts: list[str], show_progress: bool = False, **kwargs: Any
    ) -> list[list[float]]:
        """The vectors of documents, in the order of `texts`; all are checked before anything is embedded.

        Raises:
            SpaceMismatch: called for an index, or for nodes, that have vectors of another space.
        """
        if (caller := caller_of(sys._getframe(1))) is not None:  # noqa: SLF001 - see there
            caller.meet(self._embedder, self._seen)
        vectors: list[list[float]] = []
        if texts := check_texts(texts):
            vectors = embed(self, self._embedder, "document", texts, texts, progress=show_progress)
        if caller is not None:
            caller.mark(self._embedder.space.tag)
        return vectors

    @dispatcher.span
    async def aget_text_embedding_batch(
        self, texts: list[str], show_progress: bool = False, **kwargs: Any
    ) -> list[list[float]]:
        """`get_text_embedding_batch`, without holding up the event loop."""
        if (caller := caller_of(sys._getframe(1))) is not None:  # noqa: SLF001 - see there
            await self._ameet(caller)
        vectors: list[list[float]] = []
        if texts := check_texts(texts):
            vectors = await run_in_thread(
                embed, self, self._embedder, "document", texts, texts, waits=True, progress=show_progress
            )
        if caller is not None:
            caller.mark(self._embedder.space.tag)
        return vectors

    def __call__(self, nodes: Sequence[BaseNode], **kwargs: Any) -> Sequence[BaseNode]:
        """Embed the nodes that are not yet in this space, where they are; blank ones are left out, with a warning."""
        if not nodes:
            return nodes
        nodes, tag = _without_blank(nodes), self._embedder.space.tag
        fresh = [node for node in nodes if not is_marked(node, tag)]
        _give(fresh, self.get_text_embedding_batch(_texts(fresh), **kwargs), tag)
        return nodes

    async def acall(self, nodes: Sequence[BaseNode], **kwargs: Any) -> Sequence[BaseNode]:
        """`__call__`, without holding up the event loop."""
        if not nodes:
            return nodes
        nodes, tag = _without_blank(nodes), (await asyncio.to_thread(getattr, self._embedder, "space")).tag
        fresh = [node for node in nodes if not is_marked(node, tag)]
        _give(fresh, await self.aget_text_embedding_batch(_texts(fresh), **kwargs), tag)
        return nodes

    # -- the host's hooks, for those who call them past its face ------------------------------------------------------

    def _get_query_embedding(self, query: str) -> list[float]:
        return self.get_query_embedding(query)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return await self.aget_query_embedding(query)

    def _get_text_embedding(self, text: str) -> list[float]:
        return self.get_text_embedding(text)

    async def _aget_text_embedding(self, text: str) -> list[float]:
        return await self.aget_text_embedding(text)

    # -- copies -------------------------------------------------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        """Pickle to the fields: neither weights, nor a client, nor a key."""
        return {**super().__getstate__(), "__pydantic_private__": None}

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Make it anew with what is in `update`, so that its embedder has that too; `deep` changes nothing."""
        update = dict(update or {})
        host = {field: update.pop(field, getattr(self, field)) for field in BaseEmbedding.model_fields}
        host.pop("model_name")
        if secrets := {name: update.pop(name) for name in SECRETS if name in update}:
            return type(self)(**{**asdict(self._embedder.settings), **update}, **secrets, **host)
        return type(self)(self._embedder.with_options(**update) if update else self._embedder, **host)

    def __copy__(self) -> Self:
        return self.model_copy()

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        return self.model_copy()

    def __setattr__(self, name: str, value: Any) -> None:
        """Refuse to change an option, which the embedder would not see."""
        if name in option_names():
            raise InputError(f"{name} cannot be changed: make another, as model_copy(update={{{name!r}: …}}) does")
        super().__setattr__(name, value)

    async def _ameet(self, caller: Caller) -> None:
        await asyncio.to_thread(getattr, self._embedder, "space")  # which reads the weights
        caller.meet(self._embedder, self._seen)

    def _aggregate(self, vectors: list[list[float]], agg_fn: Callable[..., list[float]] | None) -> list[float]:
        vector = (agg_fn or mean_agg)(vectors)
        remember([vector], self._embedder)
        return vector


def _texts(nodes: Sequence[BaseNode]) -> list[str]:
    return [node.get_content(MetadataMode.EMBED) for node in nodes]


def _without_blank(nodes: Sequence[BaseNode]) -> Sequence[BaseNode]:
    """The nodes that say anything; the very sequence where all do."""
    said = [any(node.get_content(mode).strip() for mode in (MetadataMode.NONE, MetadataMode.EMBED)) for node in nodes]
    for node in [node for node, words in zip(nodes, said, strict=True) if not words]:
        warn_blank(f"node {node.node_id}, of document {node.ref_doc_id},")
    return nodes if all(said) else [node for node, words in zip(nodes, said, strict=True) if words]


def _give(nodes: Sequence[BaseNode], vectors: Sequence[list[float]], tag: str) -> None:
    for node, vector in zip(nodes, vectors, strict=True):
        node.embedding = vector
        mark(node, tag)
