"""Late chunking in LlamaIndex: whole documents go through the model, and each of their nodes gets its own vector."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from llama_index_twofold.cache import embed
from llama_index_twofold.embedding import TwofoldEmbedding
from llama_index_twofold.identity import is_marked, mark, tag_of
from twofold import Document, InputError, ProviderError
from twofold.adapters import check_text, extra, is_blank, locate, run_in_thread, warn_blank

with extra("llama-index"):
    from llama_index.core.node_parser import NodeParser, SentenceSplitter
    from llama_index.core.schema import MetadataMode, TextNode, TransformComponent
    from pydantic import Field, SerializeAsAny

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llama_index.core.schema import BaseNode

    from twofold.adapters import Span

WAY_OUT = "split with LateChunkingNodeParser(node_parser=…), which sees the document"


class LateChunkingNodeParser(NodeParser):
    """Wraps any node parser; the nodes get late-chunked vectors and exact offsets.

    * each document's text goes through the model whole; its metadata stays with the nodes and is not embedded;
    * `start_char_idx` and `end_char_idx` are verified against the text: LlamaIndex's are wrong on repetitive text;
    * `node_parser` alone decides how nodes are made (ids, metadata, relationships);
    * a blank document has no nodes; a `BlankWarning` names it;
    * `TwofoldEmbedding` and `VectorStoreIndex` do not embed the nodes again.

    Raises:
        InputError: a parser whose nodes are not pieces of the text in its order, or a text that cannot be embedded;
            the message names the document, before any work.
    """

    embed_model: TwofoldEmbedding
    node_parser: SerializeAsAny[NodeParser] = Field(default_factory=SentenceSplitter)

    @classmethod
    def class_name(cls) -> str:
        return "TwofoldLateChunkingNodeParser"

    def _parse_nodes(self, nodes: Sequence[BaseNode], show_progress: bool = False, **kwargs: Any) -> list[BaseNode]:
        given = _with_text(nodes)
        split = [self.node_parser([each], **kwargs) for each in given.values()]
        return self._embed(given, split, show_progress)

    async def _aparse_nodes(
        self, nodes: Sequence[BaseNode], show_progress: bool = False, **kwargs: Any
    ) -> list[BaseNode]:
        given = _with_text(nodes)
        split = [await self.node_parser.acall([each], **kwargs) for each in given.values()]
        return await run_in_thread(self._embed, given, split, show_progress)

    def _embed(self, given: dict[int, BaseNode], split: Sequence[Sequence[BaseNode]], progress: bool) -> list[BaseNode]:
        pairs = zip(given.items(), split, strict=True)
        pages = [locate_nodes(place, document, nodes) for (place, document), nodes in pairs]
        return _embed_pages(self.embed_model, [page for page in pages if page is not None], progress)

    def _postprocess_parsed_nodes(self, nodes: list[BaseNode], parent_doc_map: dict[str, Any]) -> list[BaseNode]:
        """`node_parser` has done it. Doing it again would bring the guessed offsets back."""
        return nodes


class LateChunking(TransformComponent):
    """Gives late-chunked vectors to nodes with offsets, as a splitter before it in a pipeline leaves them.

    A document is put together from its nodes (those with the same `ref_doc_id`) by their offsets. If you can choose the
    splitter, use `LateChunkingNodeParser`: it sees the document, and corrects wrong offsets.

    Raises:
        InputError: a node without offsets, or with offsets that contradict its text or another node.
    """

    embed_model: TwofoldEmbedding

    @classmethod
    def class_name(cls) -> str:
        return "TwofoldLateChunking"

    def __call__(self, nodes: Sequence[BaseNode], **kwargs: Any) -> Sequence[BaseNode]:
        """Give each node its vector, in place. Skips documents all of whose nodes have one.

        Leaves blank nodes out, with a warning.
        """
        given = _with_text(nodes, "node")
        if len(given) != len(nodes):
            nodes = list(given.values())
        documents: dict[str, list[BaseNode]] = {}
        for node in nodes:
            documents.setdefault(node.ref_doc_id or node.node_id, []).append(node)
        tag = tag_of(self.embed_model.embedder) if documents else ""
        pages = [
            _rebuild(place, name, own)
            for place, (name, own) in enumerate(documents.items())
            if not all(is_marked(node, tag, late=True) for node in own)
        ]
        _embed_pages(self.embed_model, pages, bool(kwargs.get("show_progress")))
        return nodes

    async def acall(self, nodes: Sequence[BaseNode], **kwargs: Any) -> Sequence[BaseNode]:
        return await run_in_thread(self, nodes, **kwargs)


class Page(NamedTuple):
    """The nodes of one document, and its text with a span for each node; `place` is the document's in the call."""

    place: int
    name: str
    nodes: Sequence[BaseNode]
    text: Document


def locate_nodes(place: int, document: BaseNode, nodes: Sequence[BaseNode]) -> Page | None:
    """Find the nodes that a parser made of `document` in its text, and correct their offsets.

    Nodes of several levels (from a hierarchical parser) are located level by level. Blank nodes are left out. Returns
    None if there are no others.

    Raises:
        InputError: a node that is not a piece of the text in its order; `.index` is `place`.
    """
    text, nodes = content(document), [node for node in nodes if not is_blank(content(node))]
    if not nodes:
        return None
    spans: dict[str, Span] = {}
    try:
        for level in _levels(nodes):
            hints = [getattr(node, "start_char_idx", None) for node in level]
            places = locate(text, [content(node) for node in level], hints)
            spans |= {node.node_id: span for node, span in zip(level, places, strict=True)}
        whole = Document.from_spans(text, [spans[node.node_id] for node in nodes])
    except InputError as error:
        raise InputError(f"document {document.node_id}: {error}", index=place) from error
    for node in nodes:
        if isinstance(node, TextNode):
            node.start_char_idx, node.end_char_idx = spans[node.node_id]
    return Page(place, document.node_id, nodes, whole)


def content(node: BaseNode) -> str:
    """The text of a node, without metadata."""
    return node.get_content(MetadataMode.NONE)


def _embed_pages(model: TwofoldEmbedding, pages: Sequence[Page], progress: bool) -> list[BaseNode]:
    """Give each node of each page its late-chunked vector and its mark; return all nodes, in order."""
    nodes = [node for page in pages for node in page.nodes]
    if not nodes:
        return nodes
    texts, chunks = [page.text for page in pages], [content(node) for node in nodes]
    try:
        vectors = embed(model, "document", texts, chunks, progress=progress)
    except (InputError, ProviderError) as error:
        error.renumber([page.place for page in pages])
        if isinstance(error, InputError) and error.index is not None:
            name = next(page.name for page in pages if page.place == error.index)
            raise InputError(f"document {name}: {error}", index=error.index) from None
        raise
    tag = tag_of(model.embedder)
    for node, vector in zip(nodes, vectors, strict=True):
        node.embedding = vector
        mark(node, tag, late=True)
    return nodes


def _with_text(nodes: Sequence[BaseNode], name: str = "document") -> dict[int, BaseNode]:
    """The nodes that have a text, by their places; a warning names each of the others.

    Raises:
        InputError: a text that cannot be embedded.
    """
    given: dict[int, BaseNode] = {}
    for place, node in enumerate(nodes):
        if is_blank(content(node)):
            warn_blank(f"{name} {place}, {node.node_id},")
            continue
        try:
            check_text(content(node))
        except InputError as error:
            raise InputError(f"{name} {node.node_id}: {error}", index=place) from None
        given[place] = node
    return given


def _rebuild(place: int, name: str, nodes: Sequence[BaseNode]) -> Page:
    """Put document `name` together from its nodes by their offsets. A gap between two nodes becomes a line break.

    Raises:
        InputError: a node without offsets, or whose text has another length, or differs from what another has there.
    """
    starts = [_start(name, node) for node in nodes]
    text, end = "", 0  # in the document, where `text` ends
    spans: dict[int, Span] = {}
    for number in sorted(range(len(nodes)), key=starts.__getitem__):
        start, piece = starts[number], content(nodes[number])
        if text and start > end:
            text += "\n"
        begin = len(text) - max(end - start, 0) if text else 0
        shared = text[begin : begin + len(piece)]
        if not piece.startswith(shared):
            where = f"document {name}, node {nodes[number].node_id}"
            raise InputError(f"{where}: its offsets contradict those of another node; {WAY_OUT}")
        text += piece[len(shared) :]
        end = max(end, start + len(piece))
        spans[number] = (begin, begin + len(piece))
    return Page(place, name, nodes, Document.from_spans(text, [spans[number] for number in range(len(nodes))]))


def _levels(nodes: Sequence[BaseNode]) -> list[list[BaseNode]]:
    """The nodes by the number of their parents, each level in order."""
    depths: dict[str, int] = {}
    levels: list[list[BaseNode]] = []
    for node in nodes:
        parent = node.parent_node
        depth = depths[node.node_id] = 0 if parent is None else depths.get(parent.node_id, -1) + 1
        if depth == len(levels):
            levels.append([])
        levels[depth].append(node)
    return levels


def _start(name: str, node: BaseNode) -> int:
    start, end = getattr(node, "start_char_idx", None), getattr(node, "end_char_idx", None)
    if start is None or end is None or end - start != len(content(node)):
        where = f"document {name}, node {node.node_id}"
        raise InputError(f"{where}: it has no offsets, or not those of its text; {WAY_OUT}")
    return int(start)
