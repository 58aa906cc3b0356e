"""Nodes as the spans of one text: found in their document, or in what can be put together of the nodes themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from twofold import Document, InputError
from twofold.adapters import extra, locate

with extra("llama-index"):
    from llama_index.core.schema import MetadataMode, TextNode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llama_index.core.schema import BaseNode

    from twofold.adapters import Span

WAY_OUT = "split with LateChunkingNodeParser(node_parser=…), which sees the document"


class Page(NamedTuple):
    """The nodes of one document: the `place` and the name of that, and its text with a span for each of them."""

    place: int
    name: str
    nodes: Sequence[BaseNode]
    text: Document


def found(place: int, document: BaseNode, nodes: Sequence[BaseNode]) -> Page:
    """The nodes that a parser made of `document`, their offsets verified, and set right where they were not.

    Nodes of several levels (a hierarchical parser's) are found level by level.

    Raises:
        InputError: a node that is blank, or is no piece of the text in its order; `.index` is `place`, of the document.
    """
    text = content(document)
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


def rebuilt(place: int, name: str, nodes: Sequence[BaseNode]) -> Page:
    """The nodes of document `name`, put together by their own offsets; what lies between two of them is a blank.

    Raises:
        InputError: a node without offsets, or whose text is not as long as they say or not what another has there.
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


def content(node: BaseNode) -> str:
    """The text of a node alone, without metadata."""
    return node.get_content(MetadataMode.NONE)


def _levels(nodes: Sequence[BaseNode]) -> list[list[BaseNode]]:
    """The nodes by how many parents they have, in their order."""
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
