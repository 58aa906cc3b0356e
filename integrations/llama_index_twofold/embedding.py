"""`TwofoldEmbedding`: an embedder as LlamaIndex's `BaseEmbedding`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from llama_index_twofold.cache import asking
from llama_index_twofold.marks import is_marked, mark
from llama_index_twofold.options import EmbedderOptions
from twofold.documents import check_texts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llama_index.core.schema import BaseNode

    from twofold import Embedder


class TwofoldEmbedding(EmbedderOptions):
    """An embedder for LlamaIndex, with the query and the document side each sent as the model was trained for.

    * every option is that of a `twofold.Embedder`, by the same name, and a public field, so that the ingestion cache,
      `to_dict` and pickle see it; `model_name`, the host's own, is `model`;
    * `api_key` and `http_client` are in no dump, no repr and no pickle; a loaded copy finds its key in the environment;
    * vectors are lists of python floats, of the core's values exactly;
    * as a transformation it leaves out nodes that it, or late chunking, has embedded in this very space;
    * `embeddings_cache` keeps models and sides apart, which the host's keys do not;
    * `embed_batch_size` is 512: the embedder makes batches of tokens, and needs many texts for good ones.

    Raises:
        InputError: an option or a text that can not be embedded; see `twofold.Embedder`.
    """

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

    # -- the host's hooks ---------------------------------------------------------------------------------------------

    def _get_query_embedding(self, query: str) -> list[float]:
        vector: list[float] = self._embedder.embed_query(query).tolist()
        return vector

    async def _aget_query_embedding(self, query: str) -> list[float]:
        vector: list[float] = (await self._embedder.aembed_query(query)).tolist()
        return vector

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._get_text_embeddings([text])[0]

    async def _aget_text_embedding(self, text: str) -> list[float]:
        return (await self._aget_text_embeddings([text]))[0]

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        vectors: list[list[float]] = self._embedder.embed_documents(texts).tolist()
        return vectors

    async def _aget_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        vectors: list[list[float]] = (await self._embedder.aembed_documents(texts)).tolist()
        return vectors

    # -- the host's face, where its own loses a side, a check or a vector --------------------------------------

    def get_query_embedding(self, query: str) -> list[float]:
        """The vector of one query, cached as one."""
        with asking("query"):
            return super().get_query_embedding(query)

    async def aget_query_embedding(self, query: str) -> list[float]:
        """`get_query_embedding`, without holding up the event loop."""
        with asking("query"):
            return await super().aget_query_embedding(query)

    def get_text_embedding_batch(
        self, texts: list[str], show_progress: bool = False, **kwargs: Any
    ) -> list[list[float]]:
        """The vectors of documents, in the order of `texts`; all are checked before the first batch."""
        return super().get_text_embedding_batch(check_texts(texts), show_progress, **kwargs)

    async def aget_text_embedding_batch(
        self, texts: list[str], show_progress: bool = False, **kwargs: Any
    ) -> list[list[float]]:
        """`get_text_embedding_batch`, without holding up the event loop."""
        return await super().aget_text_embedding_batch(check_texts(texts), show_progress, **kwargs)

    def __call__(self, nodes: Sequence[BaseNode], **kwargs: Any) -> Sequence[BaseNode]:
        """Embed the nodes that are not yet in this space, where they are."""
        if nodes:
            fingerprint = self._embedder.space.fingerprint
            for node in super().__call__([node for node in nodes if not is_marked(node, fingerprint)], **kwargs):
                mark(node, fingerprint)
        return nodes

    async def acall(self, nodes: Sequence[BaseNode], **kwargs: Any) -> Sequence[BaseNode]:
        """`__call__`, without holding up the event loop."""
        if nodes:
            fingerprint = (await asyncio.to_thread(getattr, self._embedder, "space")).fingerprint
            for node in await super().acall([node for node in nodes if not is_marked(node, fingerprint)], **kwargs):
                mark(node, fingerprint)
        return nodes
