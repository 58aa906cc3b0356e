"""Which space a vector belongs to, on its way through LlamaIndex.

* A vector that an embedding returns is a `Vector`, which knows its space. LlamaIndex keeps that object in queries.
* Nodes copy their vectors to plain lists, so a node carries a mark, which is saved and loaded with it. The mark also
  says which text was embedded, so that no node is embedded twice. It stands among the keys that are excluded from the
  embedded text rather than in the metadata: a node's hash covers its metadata, and a document store would take a marked
  document for a changed one.
* A vector without a mark is proved: its text, embedded again, must give the vector.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np

from twofold import InputError, SpaceMismatch
from twofold.adapters import extra, is_blank

with extra("llama-index"):
    from llama_index.core.schema import MetadataMode

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from llama_index.core.schema import BaseNode

    from twofold import Embedder, Space
    from twofold.adapters import Side

PREFIX = "twofold:"
LATE, ALONE = "late", "alone"

SAME_COSINE = 0.999
"""The cosine of a stored vector with that of its text, embedded again, above which both are of one space."""

_tags: WeakKeyDictionary[Embedder, str] = WeakKeyDictionary()
_spaces: dict[str, Space] = {}
"""The spaces met in this process by their tags, so that a message can list what differs."""


class Vector(list[float]):
    """A vector that knows the embedder that made it, or that embedder's tag once it is unpickled."""

    __slots__ = ("_maker",)

    def __init__(self, values: Iterable[float], maker: Embedder | str) -> None:
        super().__init__(values)
        self._maker = maker

    @property
    def tag(self) -> str:
        """The tag of its space."""
        return self._maker if isinstance(self._maker, str) else tag_of(self._maker)

    def __reduce__(self) -> tuple[Any, ...]:
        return Vector, (list(self), self.tag)


def tag_of(embedder: Embedder) -> str:
    """The tag of the embedder's space. The first call for a local model reads its files."""
    if (tag := _tags.get(embedder)) is None:
        space = embedder.space
        tag = _tags[embedder] = space.tag
        _spaces[tag] = space
    return tag


def mark(node: BaseNode, tag: str, *, late: bool = False) -> None:
    """Note that `node` has its vector in the space with this tag, late-chunked or embedded alone."""
    keys = [key for key in node.excluded_embed_metadata_keys if not key.startswith(PREFIX)]
    node.excluded_embed_metadata_keys = [*keys, _mark(node, tag, LATE if late else ALONE)]


def is_marked(node: BaseNode, tag: str, *, late: bool = False) -> bool:
    """Whether `node` has a vector of this space and its text has not changed since; with `late`, a late-chunked one."""
    kinds = (LATE,) if late else (LATE, ALONE)
    return node.embedding is not None and _said(node) in [_mark(node, tag, kind) for kind in kinds]


def is_late(node: BaseNode) -> bool:
    """Whether the vector of `node` was late-chunked: it is then of the text alone, without metadata."""
    return _said(node).rpartition(":")[0].endswith(f":{LATE}")


def marked_tag(node: BaseNode) -> str | None:
    """The tag of the space that the mark of `node` names; None without a mark."""
    return _said(node).removeprefix(PREFIX).rsplit(":", 2)[0] or None


def _said(node: BaseNode) -> str:
    return next((key for key in node.excluded_embed_metadata_keys if key.startswith(PREFIX)), "")


def _mark(node: BaseNode, tag: str, kind: str) -> str:
    """A late-chunked vector is of the text alone: metadata that is added later does not belong to it."""
    text = node.get_content(MetadataMode.NONE if kind == LATE else MetadataMode.EMBED)
    return f"{PREFIX}{tag}:{kind}:{hashlib.sha256(text.encode(errors='surrogatepass')).hexdigest()[:16]}"


def told(one: str, other: str) -> str:
    """What differs between two spaces, by their tags: lines for the end of a message; none for an unknown space."""
    if one not in _spaces or other not in _spaces:
        return ""
    return "".join(f"\n  {line}" for line in _spaces[one].differences(_spaces[other]))


def check_nodes(nodes: Iterable[BaseNode], own: str) -> None:
    """Refuse nodes whose marks name another space than `own`.

    Raises:
        SpaceMismatch: such a node.
    """
    for node in nodes:
        if (tag := marked_tag(node)) not in {None, own}:
            raise SpaceMismatch(
                f"node {node.node_id!r} has a vector of {tag}, this embedder's are {own}: use the embedding that wrote "
                f"it, or embed its documents again into a new index{told(tag or '', own)}"
            )


def texts_of(node: BaseNode) -> list[str]:
    """The texts that an unmarked vector of `node` may be of: with its metadata, with some of it, or without."""
    return list(
        dict.fromkeys(node.get_content(mode) for mode in (MetadataMode.EMBED, MetadataMode.NONE, MetadataMode.ALL))
    )


def proved(
    pairs: Sequence[tuple[Sequence[str], Sequence[float]]], embedder: Embedder, side: Side = "document"
) -> list[bool]:
    """Whether each vector is the embedder's: one of the texts beside it, embedded again, gives the vector."""
    embed = embedder.embed_documents if side == "document" else embedder.embed_queries
    texts = list(dict.fromkeys(text for texts, _ in pairs for text in texts if not is_blank(text)))
    try:
        made = dict(zip(texts, embed(texts), strict=True))
    except InputError:  # such as a text over the model's length: embed the others
        made = {}
        for text in texts:
            with suppress(InputError):
                (made[text],) = embed([text])
    return [any(_agree(vector, made[text]) for text in texts if text in made) for texts, vector in pairs]


def _agree(one: Sequence[float], other: Any) -> bool:
    left, right = np.asarray(one, np.float32), np.asarray(other, np.float32)
    if left.shape != right.shape:
        return False
    size = float(np.linalg.norm(left) * np.linalg.norm(right))
    return size > 0 and float(left @ right) >= SAME_COSINE * size
