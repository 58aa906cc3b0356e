"""What says of which space a vector is, on its way through the host.

The host copies vectors as plain lists, so what made the last of them is remembered here. A node's mark is saved and
loaded with the node; it also says what of the node was embedded, so that nothing is embedded twice. It stands among the
keys that are kept out of the embedded text, not in the metadata: a node's hash is made of its metadata, and a document
store would take a marked document for a changed one.
"""

from __future__ import annotations

import hashlib
from threading import Lock
from typing import TYPE_CHECKING

from twofold.adapters import extra

with extra("llama-index"):
    from llama_index.core.schema import MetadataMode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llama_index.core.schema import BaseNode

    from twofold import Embedder, Space

PREFIX = "twofold:"
LATE, ALONE = "late", "alone"

MOST = 65_536
"""Vectors whose makers are remembered, and kept; the host hands some thousands from one place to the next."""

_makers: dict[tuple[float, ...], tuple[Embedder, ...]] = {}
_changing = Lock()


def remember(vectors: Sequence[list[float]], maker: Embedder) -> None:
    """Note what made these vectors."""
    alone = (maker,)
    with _changing:
        for vector in vectors:
            key = _key(vector)
            others = _makers.pop(key, alone)
            _makers[key] = alone if others == alone else (*(each for each in others if each is not maker), maker)
        while len(_makers) > MOST:
            del _makers[next(iter(_makers))]


def spaces_of(vector: Sequence[float]) -> list[Space]:
    """The spaces that `vector` is of; spaces that differ in their questions alone share the vectors of documents."""
    return [maker.space for maker in _makers.get(_key(vector), ())]


def _key(vector: Sequence[float]) -> tuple[float, ...]:
    return (len(vector), *vector[:8])


def mark(node: BaseNode, space: str, *, late: bool = False) -> None:
    """Note that `node` has its vector in the space with this tag, late-chunked or alone."""
    keys = [key for key in node.excluded_embed_metadata_keys if not key.startswith(PREFIX)]
    node.excluded_embed_metadata_keys = [*keys, _mark(node, space, LATE if late else ALONE)]


def is_marked(node: BaseNode, space: str, *, late: bool = False) -> bool:
    """Whether `node` has a vector of this space, or a late-chunked one at that, and has not changed since."""
    kinds = (LATE,) if late else (LATE, ALONE)
    return node.embedding is not None and _said(node) in [_mark(node, space, kind) for kind in kinds]


def is_late(node: BaseNode) -> bool:
    """Whether the vector of `node` was late-chunked: of its text alone, then, without metadata."""
    return _said(node).rpartition(":")[0].endswith(f":{LATE}")


def marked_tag(node: BaseNode) -> str | None:
    """The tag of the space that the mark of `node` names; None where it has none."""
    return _said(node).removeprefix(PREFIX).rsplit(":", 2)[0] or None


def _said(node: BaseNode) -> str:
    return next((key for key in node.excluded_embed_metadata_keys if key.startswith(PREFIX)), "")


def _mark(node: BaseNode, space: str, kind: str) -> str:
    """A late vector is of the text alone: metadata that are added later do not belong to it."""
    text = node.get_content(MetadataMode.NONE if kind == LATE else MetadataMode.EMBED)
    return f"{PREFIX}{space}:{kind}:{hashlib.sha256(text.encode(errors='surrogatepass')).hexdigest()[:16]}"
