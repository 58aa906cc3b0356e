"""The mark of a node that is embedded: in which space, and what of it, so that nothing is embedded twice.

It stands among the keys that are kept out of the embedded text, not in the metadata: a node's hash is made of its
metadata, and a document store would take a marked document for a changed one. It is saved and loaded with the node.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from twofold.extras import extra

with extra("llama-index"):
    from llama_index.core.schema import MetadataMode

if TYPE_CHECKING:
    from llama_index.core.schema import BaseNode

PREFIX = "twofold:"


def mark(node: BaseNode, fingerprint: str, *, late: bool = False) -> None:
    """Note that `node` has its vector in the space with this fingerprint, late-chunked or not."""
    keys = [key for key in node.excluded_embed_metadata_keys if not key.startswith(PREFIX)]
    node.excluded_embed_metadata_keys = [*keys, _late(node, fingerprint) if late else _naive(node, fingerprint)]


def is_marked(node: BaseNode, fingerprint: str, *, late: bool = False) -> bool:
    """Whether `node` has a vector of this space, or a late-chunked one at that, and has not changed since."""
    if node.embedding is None:
        return False
    marks = [key for key in node.excluded_embed_metadata_keys if key.startswith(PREFIX)]
    return _late(node, fingerprint) in marks or (not late and _naive(node, fingerprint) in marks)


def _naive(node: BaseNode, fingerprint: str) -> str:
    return f"{PREFIX}{fingerprint}:{_digest(node.get_content(MetadataMode.EMBED))}"


def _late(node: BaseNode, fingerprint: str) -> str:
    """The text alone: metadata that are added later do not belong to a late vector."""
    return f"{PREFIX}{fingerprint}:late:{_digest(node.get_content(MetadataMode.NONE))}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:16]
