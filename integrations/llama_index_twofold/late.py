"""Late chunking in LlamaIndex: whole documents go through the model, and their nodes leave with their vectors."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from llama_index_twofold.batches import aembed_pages, embed_pages
from llama_index_twofold.embedding import TwofoldEmbedding
from llama_index_twofold.marks import is_marked
from llama_index_twofold.pages import found, rebuilt
from twofold.extras import extra

with extra("llama-index"):
    from llama_index.core.node_parser import NodeParser, SentenceSplitter
    from llama_index.core.schema import TransformComponent
    from pydantic import Field, SerializeAsAny

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llama_index.core.schema import BaseNode

    from llama_index_twofold.pages import Page


class LateChunkingNodeParser(NodeParser):
    """Any node parser, whose nodes leave with late-chunked vectors and exact offsets.

    * each document's text goes through the model whole; its metadata stay with the nodes and are not embedded;
    * `start_char_idx` and `end_char_idx` are verified against the text: the host's are wrong on repetitive text;
    * how nodes are made (ids, metadata, relationships) is the business of `node_parser` alone;
    * `TwofoldEmbedding` and `VectorStoreIndex` do not embed the nodes again.

    Raises:
        InputError: a parser whose nodes are not pieces of the text in its order, or a text that can not be embedded;
            the document is named.
    """

    embed_model: TwofoldEmbedding
    node_parser: SerializeAsAny[NodeParser] = Field(default_factory=SentenceSplitter)

    @classmethod
    def class_name(cls) -> str:
        """The host's name for this class."""
        return "TwofoldLateChunkingNodeParser"

    def _parse_nodes(self, nodes: Sequence[BaseNode], show_progress: bool = False, **kwargs: Any) -> list[BaseNode]:
        pages = [found(index, each, self.node_parser([each], **kwargs)) for index, each in enumerate(nodes)]
        return embed_pages(self.embed_model, pages, show_progress)

    async def _aparse_nodes(
        self, nodes: Sequence[BaseNode], show_progress: bool = False, **kwargs: Any
    ) -> list[BaseNode]:
        split = [await self.node_parser.acall([each], **kwargs) for each in nodes]
        pages = [found(index, each, own) for index, (each, own) in enumerate(zip(nodes, split, strict=True))]
        return await aembed_pages(self.embed_model, pages, show_progress)

    def _postprocess_parsed_nodes(self, nodes: list[BaseNode], parent_doc_map: dict[str, Any]) -> list[BaseNode]:
        """`node_parser` has done it; a second time would bring the guessed offsets back."""
        return nodes


class LateChunking(TransformComponent):
    """Late-chunked vectors for nodes that come with offsets, as a splitter before this in a pipeline leaves them.

    A document is put together of its nodes (those with one `ref_doc_id`), as their offsets have it. Where you choose
    the splitter, `LateChunkingNodeParser` is better: it sees the document, and can set wrong offsets right.

    Raises:
        InputError: a node without offsets, or with offsets that contradict its text or another node.
    """

    embed_model: TwofoldEmbedding

    @classmethod
    def class_name(cls) -> str:
        """The host's name for this class."""
        return "TwofoldLateChunking"

    def __call__(self, nodes: Sequence[BaseNode], **kwargs: Any) -> Sequence[BaseNode]:
        """Give each node its vector, where it is; documents whose nodes have all theirs are left alone."""
        embed_pages(self.embed_model, self._pages(nodes), bool(kwargs.get("show_progress")))
        return nodes

    async def acall(self, nodes: Sequence[BaseNode], **kwargs: Any) -> Sequence[BaseNode]:
        """`__call__`, without holding up the event loop."""
        pages = await asyncio.to_thread(self._pages, nodes)
        await aembed_pages(self.embed_model, pages, bool(kwargs.get("show_progress")))
        return nodes

    def _pages(self, nodes: Sequence[BaseNode]) -> list[Page]:
        documents: dict[str, list[BaseNode]] = {}
        for node in nodes:
            documents.setdefault(node.ref_doc_id or node.node_id, []).append(node)
        space = self.embed_model.embedder.space.fingerprint if nodes else ""
        done = {name for name, own in documents.items() if all(is_marked(node, space, late=True) for node in own)}
        return [rebuilt(name, own) for name, own in documents.items() if name not in done]
