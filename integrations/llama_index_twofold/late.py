"""Late chunking in LlamaIndex: whole documents go through the model, and their nodes leave with their vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llama_index_twofold.cache import embed
from llama_index_twofold.embedding import TwofoldEmbedding
from llama_index_twofold.marks import is_marked, mark
from llama_index_twofold.node_spans import content, found, rebuilt
from twofold import InputError, ProviderError
from twofold.adapters import check_text, extra, run_in_thread, warn_blank

with extra("llama-index"):
    from llama_index.core.node_parser import NodeParser, SentenceSplitter
    from llama_index.core.schema import TransformComponent
    from pydantic import Field, SerializeAsAny

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llama_index.core.schema import BaseNode

    from llama_index_twofold.node_spans import Page


class LateChunkingNodeParser(NodeParser):
    """Any node parser, whose nodes leave with late-chunked vectors and exact offsets.

    * each document's text goes through the model whole; its metadata stay with the nodes and are not embedded;
    * `start_char_idx` and `end_char_idx` are verified against the text: the host's are wrong on repetitive text;
    * how nodes are made (ids, metadata, relationships) is the business of `node_parser` alone;
    * a blank document has no nodes, and a warning (`BlankWarning`) names it;
    * `TwofoldEmbedding` and `VectorStoreIndex` do not embed the nodes again.

    Raises:
        InputError: a parser whose nodes are not pieces of the text in its order, or a text that cannot be embedded;
            the document is named, before any work.
    """

    embed_model: TwofoldEmbedding
    node_parser: SerializeAsAny[NodeParser] = Field(default_factory=SentenceSplitter)

    @classmethod
    def class_name(cls) -> str:
        """The host's name for this class."""
        return "TwofoldLateChunkingNodeParser"

    def _parse_nodes(self, nodes: Sequence[BaseNode], show_progress: bool = False, **kwargs: Any) -> list[BaseNode]:
        given = _worded(nodes)
        split = [self.node_parser([each], **kwargs) for each in given.values()]
        return _embed(self.embed_model, _found(given, split), progress=show_progress)

    async def _aparse_nodes(
        self, nodes: Sequence[BaseNode], show_progress: bool = False, **kwargs: Any
    ) -> list[BaseNode]:
        given = _worded(nodes)
        split = [await self.node_parser.acall([each], **kwargs) for each in given.values()]
        return await run_in_thread(_embed, self.embed_model, _found(given, split), waits=True, progress=show_progress)

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
        """Give each node its vector, where it is; documents whose nodes have all theirs are left alone.

        Blank nodes are left out, with a warning.
        """
        if nodes := _all_worded(nodes):
            self._embed_missing(nodes, progress=bool(kwargs.get("show_progress")))
        return nodes

    async def acall(self, nodes: Sequence[BaseNode], **kwargs: Any) -> Sequence[BaseNode]:
        """`__call__`, without holding up the event loop."""
        if nodes := _all_worded(nodes):
            progress = bool(kwargs.get("show_progress"))
            await run_in_thread(self._embed_missing, nodes, waits=True, progress=progress)
        return nodes

    def _embed_missing(self, nodes: Sequence[BaseNode], **options: bool) -> None:
        _embed(self.embed_model, _rebuilt(nodes, self.embed_model.embedder.space.tag), **options)


def _embed(
    model: TwofoldEmbedding, pages: Sequence[Page], *, waits: bool = False, progress: bool = False
) -> list[BaseNode]:
    """Give each node of each page its late-chunked vector and its mark; all nodes, in order."""
    nodes = [node for page in pages for node in page.nodes]
    if not nodes:
        return nodes
    texts, chunks = [page.text for page in pages], [content(node) for node in nodes]
    try:
        vectors = embed(model, model.embedder, "document", texts, chunks, waits=waits, progress=progress)
    except (InputError, ProviderError) as error:
        error.renumber([page.place for page in pages])
        if isinstance(error, InputError) and error.index is not None:
            name = next(page.name for page in pages if page.place == error.index)
            raise InputError(f"document {name}: {error}", index=error.index) from None
        raise
    space = model.embedder.space
    for node, vector in zip(nodes, vectors, strict=True):
        node.embedding = vector
        mark(node, space.tag, late=True)
    return nodes


def _worded(nodes: Sequence[BaseNode], name: str = "document") -> dict[int, BaseNode]:
    """Those that say anything, by their places; a warning names each of the others.

    Raises:
        InputError: a text that cannot be embedded.
    """
    given: dict[int, BaseNode] = {}
    for place, node in enumerate(nodes):
        if not content(node).strip():
            warn_blank(f"{name} {place}, {node.node_id},")
            continue
        try:
            check_text(content(node))
        except InputError as error:
            raise InputError(f"{name} {node.node_id}: {error}", index=place) from None
        given[place] = node
    return given


def _all_worded(nodes: Sequence[BaseNode]) -> Sequence[BaseNode]:
    """The very sequence where no node is blank."""
    given = _worded(nodes, "node")
    return nodes if len(given) == len(nodes) else list(given.values())


def _found(documents: dict[int, BaseNode], split: Sequence[Sequence[BaseNode]]) -> list[Page]:
    pairs = zip(documents.items(), split, strict=True)
    return [found(place, document, own) for (place, document), own in pairs if own]


def _rebuilt(nodes: Sequence[BaseNode], space: str) -> list[Page]:
    documents: dict[str, list[BaseNode]] = {}
    for node in nodes:
        documents.setdefault(node.ref_doc_id or node.node_id, []).append(node)
    return [
        rebuilt(place, name, own)
        for place, (name, own) in enumerate(documents.items())
        if not all(is_marked(node, space, late=True) for node in own)
    ]
